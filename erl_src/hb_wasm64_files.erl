%% @doc The files of instances: the functions of {@link hb_wasm64} by the same names.
-module(hb_wasm64_files).

-export([put_file/4, fill_file/5, read_file/3, list_files/3, remove_file/3]).

-define(IS_U64(N), (is_integer(N) andalso N >= 0 andalso N < (1 bsl 64))).

-spec put_file(hb_wasm64:handle(), term(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
put_file(Handle, Path, {lazy, Size}, Options) when ?IS_U64(Size) ->
    at(Handle, Path, "put_file(Handle, Path, Contents)", Options, fun(Name, Time, Deadline, Ref, Ticket) ->
        hb_wasm64_nif:put_lazy_file(Handle, Ref, Ticket, Deadline, Name, {Size, Time})
    end);
put_file(Handle, Path, Contents, Options) ->
    Call = "put_file(Handle, Path, Contents)",
    case bytes(Contents) of
        error ->
            refused(Call, [Handle, Path, Contents], 3);
        Bytes ->
            at(Handle, Path, Call, Options, fun(Name, Time, Deadline, Ref, Ticket) ->
                hb_wasm64_nif:put_file(Handle, Ref, Ticket, Deadline, Name, {Bytes, Time})
            end)
    end.

-spec fill_file(hb_wasm64:handle(), term(), term(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
fill_file(Handle, Path, Offset, Contents, Options) ->
    Call = "fill_file(Handle, Path, Offset, Contents)",
    case bytes(Contents) of
        Bytes when is_binary(Bytes), ?IS_U64(Offset) ->
            at(Handle, Path, Call, Options, fun(Name, _Time, Deadline, Ref, Ticket) ->
                hb_wasm64_nif:fill_file(Handle, Ref, Ticket, Deadline, Name, {Offset, Bytes})
            end);
        Bytes ->
            Position = if is_binary(Bytes) -> 3; true -> 4 end,
            refused(Call, [Handle, Path, Offset, Contents], Position)
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
