%% @doc The linear memory of instances: the functions of {@link hb_wasm64} by the same names.
-module(hb_wasm64_memory).

-export([memory_size/2, output/2, read/4, write/4, read_string/3, write_string/3, malloc/3, free/3]).
-export([read_memory/2, write_memory/3, grow/3]).

%% Reads and writes up to this size take well under a millisecond.
-define(SHORT_BYTES, (1 bsl 20)).
-define(IS_U64(N), (is_integer(N) andalso N >= 0 andalso N < (1 bsl 64))).

-spec memory_size(hb_wasm64:handle(), term()) -> {ok, non_neg_integer()} | {error, hb_wasm64:reason()}.
memory_size(Handle, Options) ->
    within(Options, fun(Deadline) -> size_within(Handle, Deadline) end).

size_within(Handle, Deadline) ->
    Size = fun(Ref, Ticket) -> hb_wasm64_nif:memory_size(Handle, Ref, Ticket) end,
    hb_wasm64_call:single_step(Handle, Deadline, Size).

-spec output(hb_wasm64:handle(), term()) ->
    {ok, #{stdout := binary(), stderr := binary()}} | {error, hb_wasm64:reason()}.
output(Handle, Options) ->
    within(Options, fun(Deadline) ->
        Output = fun(Ref, Ticket) -> hb_wasm64_nif:output(Handle, Ref, Ticket, Deadline) end,
        case hb_wasm64_call:single_step(Handle, Deadline, Output) of
            {ok, {Stdout, Stderr}} -> {ok, #{stdout => Stdout, stderr => Stderr}};
            {error, _} = Error -> Error
        end
    end).

-spec read(hb_wasm64:handle(), term(), term(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
read(Handle, Offset, Size, Options) when ?IS_U64(Offset), ?IS_U64(Size) ->
    within(Options, fun(Deadline) ->
        Read =
            case Size =< ?SHORT_BYTES of
                true -> fun(Ref, Ticket) -> hb_wasm64_nif:read(Handle, Ref, Ticket, Offset, Size) end;
                false -> fun(Ref, Ticket) -> hb_wasm64_nif:read_dirty(Handle, Ref, Ticket, Deadline, Offset, Size) end
            end,
        hb_wasm64_call:single_step(Handle, Deadline, Read)
    end);
read(Handle, Offset, Size, Options) when is_integer(Offset), is_integer(Size) ->
    out_of_bounds(Handle, Offset, Size, operation, Options);
read(Handle, Offset, Size, _Options) ->
    Position = if is_integer(Offset) -> 3; true -> 2 end,
    {error, hb_wasm64_args:error("read(Handle, Offset, Size)", [Handle, Offset, Size], Position)}.

-spec write(hb_wasm64:handle(), term(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
write(Handle, Offset, Binary, Options) when ?IS_U64(Offset), is_binary(Binary) ->
    within(Options, fun(Deadline) -> write_within(Handle, Offset, Binary, Deadline) end);
write(Handle, Offset, Binary, Options) when is_integer(Offset), is_binary(Binary) ->
    out_of_bounds(Handle, Offset, byte_size(Binary), operation, Options);
write(Handle, Offset, Binary, _Options) ->
    Position = if is_integer(Offset) -> 3; true -> 2 end,
    {error, hb_wasm64_args:error("write(Handle, Offset, Binary)", [Handle, Offset, Binary], Position)}.

write_within(Handle, Offset, Binary, Deadline) ->
    Write =
        case byte_size(Binary) =< ?SHORT_BYTES of
            true -> fun(Ref, Ticket) -> hb_wasm64_nif:write(Handle, Ref, Ticket, Offset, Binary) end;
            false -> fun(Ref, Ticket) -> hb_wasm64_nif:write_dirty(Handle, Ref, Ticket, Deadline, Offset, Binary) end
        end,
    hb_wasm64_call:single_step(Handle, Deadline, Write).

-spec read_string(hb_wasm64:handle(), term(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
read_string(Handle, Offset, Options) when ?IS_U64(Offset) ->
    case hb_wasm64_options:parse(read_string, Options) of
        {ok, Parsed} ->
            Deadline = hb_wasm64_options:deadline(Parsed),
            read_string(Handle, Offset, hb_wasm64_options:value(max, Parsed), Deadline);
        {error, _} = Error ->
            Error
    end;
read_string(Handle, Offset, Options) when is_integer(Offset) ->
    out_of_bounds(Handle, Offset, 1, read_string, Options);
read_string(Handle, Offset, _Options) ->
    {error, hb_wasm64_args:error("read_string(Handle, Offset)", [Handle, Offset], 2)}.

%% Looks at the first bytes at once, and only if the string is longer at the others on another scheduler.
read_string(Handle, Offset, Max, Deadline) ->
    Short = fun(Ref, Ticket) -> hb_wasm64_nif:read_string(Handle, Ref, Ticket, Offset, min(Max, ?SHORT_BYTES)) end,
    Long = fun(Ref, Ticket) -> hb_wasm64_nif:read_string_dirty(Handle, Ref, Ticket, Deadline, Offset, Max) end,
    case hb_wasm64_call:single_step(Handle, Deadline, Short) of
        more when Max > ?SHORT_BYTES ->
            case hb_wasm64_call:single_step(Handle, Deadline, Long) of
                more -> {error, {limit, string}};
                Result -> Result
            end;
        more ->
            {error, {limit, string}};
        Result ->
            Result
    end.

-spec write_string(hb_wasm64:handle(), term(), term()) -> {ok, Pointer :: pos_integer()} | {error, hb_wasm64:reason()}.
write_string(Handle, Iodata, Options) when is_binary(Iodata); is_list(Iodata) ->
    try iolist_to_binary([Iodata, 0]) of
        Binary ->
            parsed(Options, fun(Parsed) ->
                case malloc_parsed(Handle, byte_size(Binary), Parsed) of
                    {ok, Pointer} ->
                        case write_within(Handle, Pointer, Binary, hb_wasm64_options:deadline(Parsed)) of
                            ok -> {ok, Pointer};
                            {error, _} = Error -> Error
                        end;
                    {error, _} = Error ->
                        Error
                end
            end)
    catch
        error:badarg -> no_iodata(Handle, Iodata)
    end;
write_string(Handle, Other, _Options) ->
    no_iodata(Handle, Other).

no_iodata(Handle, Given) ->
    {error, hb_wasm64_args:error("write_string(Handle, Iodata)", [Handle, Given], 2)}.

-spec malloc(hb_wasm64:handle(), term(), term()) -> {ok, Pointer :: pos_integer()} | {error, hb_wasm64:reason()}.
malloc(Handle, Size, Options) ->
    parsed(Options, fun(Parsed) -> malloc_parsed(Handle, Size, Parsed) end).

malloc_parsed(Handle, Size, Parsed) ->
    case call(Handle, <<"malloc">>, [Size], Parsed) of
        {ok, [0]} -> {error, malloc_failed};
        {ok, [Pointer]} when is_integer(Pointer), Pointer > 0 -> {ok, Pointer};
        %% The upper half of a 32-bit memory.
        {ok, [Pointer]} when is_integer(Pointer), Pointer >= -(1 bsl 31) -> {ok, Pointer + (1 bsl 32)};
        {ok, _} -> {error, malloc_failed};
        {error, _} = Error -> Error
    end.

-spec free(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
free(Handle, Pointer, Options) ->
    parsed(Options, fun(Parsed) ->
        case call(Handle, <<"free">>, [Pointer], Parsed) of
            {ok, _} -> ok;
            {error, _} = Error -> Error
        end
    end).

call(Handle, Func, Args, Parsed) ->
    case hb_wasm64_call:new(Handle, Func, Args, zero, Parsed) of
        {ok, Call} -> hb_wasm64_call:run(Call);
        {error, _} = Error -> Error
    end.

-spec read_memory(hb_wasm64:handle(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
read_memory(Handle, Options) ->
    within(Options, fun(Deadline) ->
        Read = fun(Ref, Ticket) -> hb_wasm64_nif:read_all(Handle, Ref, Ticket, Deadline) end,
        hb_wasm64_call:single_step(Handle, Deadline, Read)
    end).

-spec write_memory(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
write_memory(Handle, Binary, Options) when is_binary(Binary) ->
    within(Options, fun(Deadline) ->
        Write = fun(Ref, Ticket) -> hb_wasm64_nif:write_all(Handle, Ref, Ticket, Deadline, Binary) end,
        case grow_within(Handle, byte_size(Binary), Deadline) of
            ok -> hb_wasm64_call:single_step(Handle, Deadline, Write);
            {error, _} = Error -> Error
        end
    end);
write_memory(Handle, Other, _Options) ->
    {error, hb_wasm64_args:error("write_memory(Handle, Binary)", [Handle, Other], 2)}.

-spec grow(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
grow(Handle, Bytes, Options) when ?IS_U64(Bytes) ->
    within(Options, fun(Deadline) -> grow_within(Handle, Bytes, Deadline) end);
grow(Handle, Bytes, _Options) ->
    {error, hb_wasm64_args:error("grow(Handle, Bytes)", [Handle, Bytes], 2)}.

grow_within(Handle, Bytes, Deadline) ->
    case hb_wasm64_call:run(hb_wasm64_call:new(Handle, {grow, Bytes}, Deadline)) of
        {ok, []} -> ok;
        {error, _} = Error -> Error
    end.

%% Offsets and sizes that no memory has.
out_of_bounds(Handle, Offset, Size, Api, Options) ->
    within(Api, Options, fun(Deadline) ->
        case size_within(Handle, Deadline) of
            {ok, Memory} -> {error, {out_of_bounds, #{offset => Offset, size => Size, memory => Memory}}};
            {error, _} = Error -> Error
        end
    end).

within(Options, Operation) ->
    within(operation, Options, Operation).

within(_Api, Options, Operation) when Options =:= #{} ->
    Operation(hb_wasm64_deadline:inherited());
within(Api, Options, Operation) ->
    case hb_wasm64_options:parse(Api, Options) of
        {ok, Parsed} -> Operation(hb_wasm64_options:deadline(Parsed));
        {error, _} = Error -> Error
    end.

parsed(Options, Operation) ->
    case hb_wasm64_options:parse(allocation, Options) of
        {ok, Parsed} -> Operation(Parsed);
        {error, _} = Error -> Error
    end.
