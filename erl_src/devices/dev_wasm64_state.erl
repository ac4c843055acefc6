%% @doc The state of a message's instance: started from an image, taken as a snapshot, restored from one.
-module(dev_wasm64_state).

-export([start/4, snapshot/2, restore/2, without_snapshot/2]).

-type message() :: map().
-type opts() :: map().

%% The key of a snapshot beside the memory.
-define(REST, <<"wasm-state">>).

%% @doc Starts the image of a message. `Options' are those of {@link hb_wasm64:start/2}. `Blame' returns the key to which
%% a reason belongs, given that of the image.
-spec start(message(), fun((binary(), hb_wasm64:reason()) -> binary()), hb_wasm64_options:start(), opts()) ->
    {ok, message()} | lib_wasm64_error:fault() | lib_wasm64_error:failure().
start(Base, Blame, Options, Opts) ->
    case {dev_wasm64_image:find(Base, Opts), dev_wasm64_image:mode(Base, Opts)} of
        {{ok, Key, Image}, {ok, Mode}} ->
            Started = Options#{mode => dev_wasm64_image:started_in(Mode, Image)},
            case hb_wasm64:start(Image, maps:merge(dev_wasm64_instance:bounds(Opts), Started)) of
                {ok, Handle} ->
                    Access = dev_wasm64_instance:access(Handle, Opts),
                    Resolver = fun dev_wasm64_import:resolve/3,
                    {ok, dev_wasm64_instance:put(Access#{<<"import-resolver">> => Resolver}, Base, Opts)};
                {error, Reason} ->
                    lib_wasm64_error:answer(Blame(Key, Reason), Reason)
            end;
        {{ok, _, _}, Refused} ->
            Refused;
        {NotFound, _} ->
            NotFound
    end.

%% @doc The linear memory of the instance, and the rest of its state where it differs from a fresh instance's.
-spec snapshot(message(), opts()) -> {ok, message()} | lib_wasm64_error:failure().
snapshot(Base, Opts) ->
    case dev_wasm64_instance:find(Base, Opts) of
        not_found ->
            lib_wasm64_error:failure(<<"instance">>, 404, <<"there is no instance to snapshot">>);
        Handle ->
            case hb_wasm64:read_state(Handle, dev_wasm64_instance:time_bound(Opts)) of
                {ok, Memory, none} ->
                    {ok, #{<<"body">> => Memory}};
                {ok, Memory, Rest} ->
                    {ok, #{<<"body">> => Memory, ?REST => Rest}};
                {error, Reason} ->
                    %% A stack in map mode leaves out devices that return an error: the checkpoint would lack the memory.
                    throw(lib_wasm64_kernel:answer(lib_wasm64_error:answer(<<"instance">>, Reason)))
            end
    end.

%% @doc The base with an instance in the state of its snapshot, and without the snapshot.
-spec restore(message(), opts()) -> {ok, message()} | lib_wasm64_error:fault() | lib_wasm64_error:failure().
restore(Base, Opts) ->
    Path = snapshot_path(Base, Opts),
    Snapshot = lib_wasm64_message:find(Path, Base, Opts),
    case {of_snapshot(<<"body">>, Snapshot, Opts), of_snapshot(?REST, Snapshot, Opts)} of
        {none, _} ->
            throw({error, no_wasm_instance_or_snapshot});
        {Memory, _} when not is_binary(Memory) ->
            refuse(lib_wasm64_message:path(Path ++ [<<"body">>]), 400, <<"not a binary">>);
        {Memory, Rest} when is_binary(Rest); Rest =:= none ->
            Blame = fun
                (_Key, {invalid_snapshot, _}) -> lib_wasm64_message:path(Path ++ [?REST]);
                (_Key, {limit, memory}) -> lib_wasm64_message:path(Path ++ [<<"body">>]);
                (Key, _Reason) -> Key
            end,
            case start(Base, Blame, #{snapshot => {raw, Memory, Rest}}, Opts) of
                {ok, Started} -> {ok, without_snapshot(Started, Opts)};
                Refused -> Refused
            end;
        _ ->
            refuse(lib_wasm64_message:path(Path ++ [?REST]), 400, <<"not a binary">>)
    end.

of_snapshot(Key, {ok, Snapshot}, Opts) -> lib_wasm64_message:value(Key, Snapshot, none, Opts);
of_snapshot(_Key, not_found, _Opts) -> none.

%% In a stack each device has a snapshot of its own.
snapshot_path(Base, Opts) ->
    case lib_wasm64_message:find([<<"device-key">>], Base, Opts) of
        {ok, Key} -> [<<"snapshot">> | lib_wasm64_message:parts(Key)];
        not_found -> [<<"snapshot">>]
    end.

%% @doc The base without the snapshot of this device.
-spec without_snapshot(message(), opts()) -> message().
without_snapshot(Base, Opts) ->
    case lib_wasm64_kernel:has(<<"snapshot">>, Base, Opts) of
        true -> lib_wasm64_kernel:set(Base, without_own(snapshot_path(Base, Opts), Base, Opts), Opts);
        false -> Base
    end.

%% The snapshots of other devices of a stack stay: those have not restored theirs yet.
without_own([Snapshots, Key], Base, Opts) ->
    case lib_wasm64_message:find([Snapshots], Base, Opts) of
        {ok, Snapshot} when is_map(Snapshot) ->
            case maps:without([Key, <<"priv">>], lib_wasm64_kernel:normalized(Snapshot)) of
                Others when map_size(Others) > 0 -> #{Snapshots => Others, <<"set-mode">> => <<"explicit">>};
                _None -> #{Snapshots => unset}
            end;
        _ ->
            #{Snapshots => unset}
    end;
without_own([Snapshots | _], _Base, _Opts) ->
    #{Snapshots => unset}.

refuse(Key, Status, Text) -> lib_wasm64_error:fault(Key, Status, Text).
