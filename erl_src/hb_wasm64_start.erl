%% @doc Instances on their way from an image to a handle.
-module(hb_wasm64_start).

-export([start/2, start_loaded/2, compile/2, hash_of_artifact/1]).

%% @doc {@link hb_wasm64:start/2}.
-spec start(term(), term()) -> {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
start(Image, Options) when is_binary(Image) ->
    with_options(Options, fun(Operation, Deadline) ->
        Loading =
            case Options of
                #{mode := aot} -> load_artifact(Image, Deadline);
                _ -> load(Image, Deadline)
            end,
        case Loading of
            {ok, Loaded} -> instantiate(Loaded, Operation, Deadline);
            {error, _} = Error -> Error
        end
    end);
start(Image, Options) ->
    {error, hb_wasm64_args:error("start(Image, Options)", [Image, Options], 1)}.

%% @doc The same for an image that the library has.
-spec start_loaded(hb_wasm64_nif:image(), hb_wasm64_options:start()) ->
    {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
start_loaded(Loaded, Options) ->
    with_options(Options, fun(Operation, Deadline) -> instantiate(Loaded, Operation, Deadline) end).

%% @doc {@link hb_wasm64:compile/2}.
-spec compile(term(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
compile(Image, Options) when is_binary(Image) ->
    case hb_wasm64_options:parse(operation, Options) of
        {ok, Parsed} ->
            with_application(none, hb_wasm64_options:deadline(Parsed), fun(none, Deadline) ->
                case load(Image, Deadline) of
                    {ok, Loaded} -> with_key(fun(Key) -> artifact(Loaded, Key, Deadline) end);
                    {error, _} = Error -> Error
                end
            end);
        {error, _} = Error ->
            Error
    end;
compile(Image, Options) ->
    {error, hb_wasm64_args:error("compile(Image, Options)", [Image, Options], 1)}.

%% @doc The SHA-256 of the WebAssembly module of an artifact.
-spec hash_of_artifact(binary()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
hash_of_artifact(Artifact) ->
    case load_artifact(Artifact, infinity) of
        {ok, Loaded} -> {ok, hb_wasm64_nif:image_hash(Loaded)};
        {error, _} = Error -> Error
    end.

artifact(Loaded, Key, Deadline) ->
    hb_wasm64_call:job(Deadline, fun(Ref) -> hb_wasm64_nif:artifact(Ref, Deadline, Loaded, Key) end).

load_artifact(Artifact, Deadline) ->
    with_key(fun(Key) ->
        hb_wasm64_call:job(Deadline, fun(Ref) -> hb_wasm64_nif:load_artifact(Ref, Deadline, Artifact, Key) end)
    end).

with_key(Fun) ->
    case hb_wasm64_disk:key() of
        {ok, Key} -> Fun(Key);
        {error, _} = Error -> Error
    end.

with_options(Options, Start) ->
    case hb_wasm64_options:parse(start, Options) of
        {ok, Parsed} ->
            case operation(hb_wasm64_options:value(snapshot, Parsed), hb_wasm64_options:engine(Parsed)) of
                {ok, Operation} ->
                    Output = hb_wasm64_options:value(output, Parsed),
                    Started = with_application({Operation, Output}, hb_wasm64_options:deadline(Parsed), Start),
                    as_given(Options, Started);
                {error, _} = Error ->
                    as_given(Options, Error)
            end;
        {error, _} = Error ->
            Error
    end.

%% The library has an option in the form in which it is used; the caller is told what was wrong in the caller's own form.
as_given(Options, {error, {invalid_option, Key, _}}) when is_map_key(Key, Options) ->
    {error, {invalid_option, Key, maps:get(Key, Options)}};
as_given(_Options, Result) ->
    Result.

with_application(Operation, Deadline, Start) ->
    case hb_wasm64_app:ensure_started() of
        ok -> Start(Operation, Deadline);
        {error, _} = Error -> Error
    end.

%% The options of the engine say what runs at the start; after whole snapshots nothing does, and they have what the program
%% was given.
operation(none, Options) -> {ok, {start, Options}};
operation(_State, #{initialize := main}) -> {error, {invalid_option, initialize, main}};
operation({raw, [_Memory]} = State, Options) -> {ok, {restore, State, Options}};
operation(State, Options) ->
    case hb_wasm64_options:gives(Options) of
        [] -> {ok, {restore, State, Options}};
        [Key | _] -> {error, {invalid_option, Key, maps:get(Key, Options)}}
    end.

load(Image, Deadline) ->
    case hb_wasm64_nif:find_image(Image) of
        hash ->
            Ref = make_ref(),
            %% A part of a much larger binary keeps all of that.
            IsWhole = binary:referenced_byte_size(Image) =< 2 * byte_size(Image),
            case hb_wasm64_nif:load_image(Ref, Image, IsWhole) of
                {wait, Asker} -> await_image(Ref, Asker, Deadline);
                Result -> Result
            end;
        Found ->
            Found
    end.

%% A thread that compiles answers in every case, also where it fails. Whoever stops waiting says so, by dying or by
%% forget_image, and the image is not compiled any further if nobody else waits for it.
await_image(Ref, Asker, Deadline) ->
    receive
        {hb_wasm64, Ref, {image, Result}} -> Result
    after hb_wasm64_deadline:left(Deadline) ->
        case hb_wasm64_nif:forget_image(Asker) of
            true ->
                {error, timeout};
            false ->
                receive
                    {hb_wasm64, Ref, {image, Result}} -> Result
                after 0 -> {error, timeout}
                end
        end
    end.

instantiate(Loaded, {Operation, Output}, Deadline) ->
    Handle = hb_wasm64_nif:new_instance(Loaded),
    case hb_wasm64_call:run(hb_wasm64_call:new(Handle, Operation, Deadline, Output)) of
        {ok, []} ->
            {ok, Handle};
        {error, Reason} ->
            _ = hb_wasm64_nif:stop(Handle),
            {error, Reason}
    end.
