%% @doc The files of instances: the functions of {@link hb_wasm64} by the same names.
-module(hb_wasm64_files).

-export([put_file/4, fill_file/5, read_file/3, list_files/3, remove_file/3]).

-define(IS_U64(N), (is_integer(N) andalso N >= 0 andalso N < (1 bsl 64))).

-spec put_file(hb_wasm64:handle(), term(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
put_file(Handle, Path, Contents, Options) ->
    Args = [Handle, Path, Contents],
    case contents(Contents) of
        error ->
            refused(put_file, Args, 3);
        Given ->
            at(file, put_file, Args, Options, fun(Name, Parsed, Deadline, Ref, Ticket) ->
                put(Given, time(Parsed), Handle, Ref, Ticket, Deadline, Name)
            end)
    end.

put({lazy, Size}, Time, Handle, Ref, Ticket, Deadline, Name) ->
    hb_wasm64_nif:put_lazy_file(Handle, Ref, Ticket, Deadline, Name, {Size, Time});
put(Bytes, Time, Handle, Ref, Ticket, Deadline, Name) ->
    hb_wasm64_nif:put_file(Handle, Ref, Ticket, Deadline, Name, {Bytes, Time}).

-spec fill_file(hb_wasm64:handle(), term(), term(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
fill_file(Handle, Path, Offset, Contents, Options) ->
    Args = [Handle, Path, Offset, Contents],
    case bytes(Contents) of
        error ->
            refused(fill_file, Args, 4);
        _ when not ?IS_U64(Offset) ->
            refused(fill_file, Args, 3);
        Bytes ->
            at(operation, fill_file, Args, Options, fun(Name, _Parsed, Deadline, Ref, Ticket) ->
                hb_wasm64_nif:fill_file(Handle, Ref, Ticket, Deadline, Name, {Offset, Bytes})
            end)
    end.

-spec read_file(hb_wasm64:handle(), term(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
read_file(Handle, Path, Options) ->
    at(read_string, read_file, [Handle, Path], Options, fun(Name, Parsed, Deadline, Ref, Ticket) ->
        hb_wasm64_nif:read_file(Handle, Ref, Ticket, Deadline, {Name, hb_wasm64_options:value(max, Parsed)})
    end).

-spec list_files(hb_wasm64:handle(), term(), term()) ->
    {ok, [{binary(), hb_wasm64:file_kind()}]} | {error, hb_wasm64:reason()}.
list_files(Handle, Path, Options) ->
    at(operation, list_files, [Handle, Path], Options, fun(Name, _Parsed, Deadline, Ref, Ticket) ->
        hb_wasm64_nif:list_files(Handle, Ref, Ticket, Deadline, Name)
    end).

-spec remove_file(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
remove_file(Handle, Path, Options) ->
    at(file, remove_file, [Handle, Path], Options, fun(Name, Parsed, Deadline, Ref, Ticket) ->
        hb_wasm64_nif:remove_file(Handle, Ref, Ticket, Deadline, Name, time(Parsed))
    end).

%% An operation at a path, with the options of one of the functions of the API.
at(Api, Function, [Handle, Path | _] = Args, Options, Operation) ->
    case {path(Path), hb_wasm64_options:parse(Api, Options)} of
        {error, _} ->
            refused(Function, Args, 2);
        {Name, {ok, Parsed}} ->
            Deadline = hb_wasm64_options:deadline(Parsed),
            Step = fun(Ref, Ticket) -> Operation(Name, Parsed, Deadline, Ref, Ticket) end,
            hb_wasm64_call:single_step(Handle, Deadline, Step);
        {_, {error, _} = Error} ->
            Error
    end.

time(Parsed) -> maps:get(time, hb_wasm64_options:engine(Parsed), 0).

refused(Function, Args, Position) ->
    Names = lists:sublist(["Handle", "Path" | names(Function)], length(Args)),
    Call = lists:flatten([atom_to_list(Function), "(", lists:join(", ", Names), ")"]),
    {error, hb_wasm64_args:error(Call, Args, Position)}.

names(fill_file) -> ["Offset", "Contents"];
names(_) -> ["Contents"].

%% An absolute path.
path(Path) when is_list(Path) ->
    try unicode:characters_to_binary(Path) of
        Name when is_binary(Name) -> path(Name);
        _ -> error
    catch
        error:badarg -> error
    end;
path(<<"/", _/binary>> = Path) ->
    case binary:match(Path, <<0>>) of
        nomatch -> Path;
        _ -> error
    end;
path(_Other) -> error.

contents({lazy, Size}) when ?IS_U64(Size) -> {lazy, Size};
contents(Contents) -> bytes(Contents).

bytes(Contents) when is_binary(Contents) -> Contents;
bytes(Contents) ->
    try iolist_to_binary(Contents)
    catch error:badarg -> error
    end.
