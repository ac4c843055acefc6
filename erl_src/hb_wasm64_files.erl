%% @doc The files of instances: the functions of {@link hb_wasm64} by the same names.
-module(hb_wasm64_files).

-export([put_file/4, read_file/3, list_files/3, remove_file/3]).

-spec put_file(hb_wasm64:handle(), term(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
put_file(Handle, Path, Contents, Options) ->
    case {path(Path), bytes(Contents)} of
        {error, _} -> refused("put_file(Handle, Path, Contents)", [Handle, Path, Contents], 2);
        {_, error} -> refused("put_file(Handle, Path, Contents)", [Handle, Path, Contents], 3);
        {Name, Bytes} ->
            parsed(Handle, Options, fun(Time, Deadline, Ref, Ticket) ->
                hb_wasm64_nif:put_file(Handle, Ref, Ticket, Deadline, Name, {Bytes, Time})
            end)
    end.

-spec read_file(hb_wasm64:handle(), term(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
read_file(Handle, Path, Options) ->
    at(Handle, Path, "read_file(Handle, Path)", Options, fun(Name, _Time, Deadline, Ref, Ticket) ->
        hb_wasm64_nif:read_file(Handle, Ref, Ticket, Deadline, Name)
    end).

-spec list_files(hb_wasm64:handle(), term(), term()) -> {ok, [{binary(), hb_wasm64:file_kind()}]} | {error, hb_wasm64:reason()}.
list_files(Handle, Path, Options) ->
    at(Handle, Path, "list_files(Handle, Path)", Options, fun(Name, _Time, Deadline, Ref, Ticket) ->
        hb_wasm64_nif:list_files(Handle, Ref, Ticket, Deadline, Name)
    end).

-spec remove_file(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
remove_file(Handle, Path, Options) ->
    at(Handle, Path, "remove_file(Handle, Path)", Options, fun(Name, Time, Deadline, Ref, Ticket) ->
        hb_wasm64_nif:remove_file(Handle, Ref, Ticket, Deadline, Name, Time)
    end).

at(Handle, Path, Call, Options, Operation) ->
    case path(Path) of
        error -> refused(Call, [Handle, Path], 2);
        Name -> parsed(Handle, Options, fun(Time, Deadline, Ref, Ticket) -> Operation(Name, Time, Deadline, Ref, Ticket) end)
    end.

parsed(Handle, Options, Operation) ->
    case hb_wasm64_options:parse(file, Options) of
        {ok, Parsed} ->
            Deadline = hb_wasm64_options:deadline(Parsed),
            Time = maps:get(time, hb_wasm64_options:engine(Parsed), 0),
            hb_wasm64_call:single_step(Handle, Deadline, fun(Ref, Ticket) -> Operation(Time, Deadline, Ref, Ticket) end);
        {error, _} = Error ->
            Error
    end.

refused(Call, Args, Position) -> {error, hb_wasm64_args:error(Call, Args, Position)}.

path(Path) when is_binary(Path) -> Path;
path(Path) when is_list(Path) ->
    try unicode:characters_to_binary(Path) of
        Name when is_binary(Name) -> Name;
        _ -> error
    catch
        error:badarg -> error
    end;
path(_Other) -> error.

bytes(Contents) when is_binary(Contents) -> Contents;
bytes(Contents) ->
    try iolist_to_binary(Contents)
    catch error:badarg -> error
    end.
