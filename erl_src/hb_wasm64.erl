%% @doc WebAssembly instances.
%%
%% An instance is a reference. It belongs to nobody: any process of the node may use it, operations take turns in the
%% order in which they come, and when the last copy of the reference is gone so is the instance.
%%
%% == Values ==
%% <table>
%% <tr><th>wasm</th><th>argument</th><th>result</th></tr>
%% <tr><td>i32</td><td>integer from -2^31 to 2^32-1, the upper half wraps</td><td>signed integer</td></tr>
%% <tr><td>i64</td><td>integer from -2^63 to 2^64-1, the upper half wraps</td><td>signed integer</td></tr>
%% <tr><td>f32, f64</td><td>float, integer (rounded to nearest), `nan', `infinity', `neg_infinity', `{nan, Bits}'</td>
%%     <td>float, `infinity', `neg_infinity'; `nan' for the canonical NaN, `{nan, Bits}' for any other</td></tr>
%% <tr><td>v128</td><td>binary of 16 bytes, little endian</td><td>the same</td></tr>
%% <tr><td>externref</td><td>`null' or an integer from 0 to 2^32-1</td><td>the same, or `externref'</td></tr>
%% <tr><td>funcref, exnref</td><td>`null'</td><td>`null', `funcref', `exnref'</td></tr>
%% </table>
%% Signatures are strings such as `"(iI)F"', with i, I, f, F, v, e (externref), u (funcref) and x (exnref).
%%
%% == Errors ==
%% No function raises for what is passed to it, apart from a handle that is no reference. See {@link reason()}. Some speak of
%% the node and not of the guest: `{host, Text}', `{limit, instances}', the trap `out_of_host_memory', and of course
%% `timeout', `cancelled', `stopped', `not_local' and `{node, _}'. `{limit, instances}' means that the instances there are
%% have reserved all the address space that memories may have; a start that the host refuses for want of memory, address
%% space or mappings is `{host, Text}'. An image whose memories have more than 16 GiB together at the start, or whose
%% tables more than ten million elements, is refused with `{limit, memory}' or `{limit, table}'; growth beyond that is `-1'
%% to the guest. Lower limits can be set for a node, see {@link hb_wasm64_app}: what exceeds them ends the call with the same
%% reasons.
-module(hb_wasm64).

-export([start/1, start/2, describe/1, status/1, host/1, stop/1]).
-export([call/3, call/4, call/6, call_async/4, respond/2, cancel/1]).
-export([memory_size/1, read/3, write/3, read_string/2, write_string/2, write_string/3, malloc/2, malloc/3, free/2]).
-export([read_memory/1, write_memory/2, grow/2, output/1]).
-export([snapshot/1, snapshot/2, restore/2, restore/3, merge/1, fork/1, fork/2, read_state/1, write_state/3]).
-export([migrate/2, migrate/3]).
-export([log_level/1, time_slice/1]).
-export([start_loaded/2]).
-export_type([handle/0, import_ref/0, func/0, value/0, request/0, import_fun/0, options/0, snapshot/0, snapshot_code/0]).
-export_type([reason/0]).

-type handle() :: hb_wasm64_nif:handle().
%% An instance. The one in a {@link request()} is bound to the pending import: while that waits for its answer, whoever
%% holds it may read, write and call. Once the import is answered it is the plain instance; if its call is cancelled
%% instead, everything done with it answers `cancelled'.
-opaque import_ref() :: hb_wasm64_nif:handle().
-type func() :: binary() | string() | non_neg_integer().
%% An export, or an entry of the function table (`__indirect_function_table', or the only table).
-type value() :: number() | nan | infinity | neg_infinity | {nan, non_neg_integer()} | binary() | null | atom().
-type request() :: #{
    instance := handle(),
    module := string(),
    func := string(),
    args := [value()],
    func_sig := string(),
    native => true
}.
%% `native' stands for an import that the host of the engine serves where nobody else does.
-type import_fun() :: fun(
    (State :: term(), request(), Options :: map()) ->
        {ok, [value()], term()} | {native, term()} | {error, term()} | {error, term(), term()}
).
-type options() :: #{
    timeout => timeout(),
    snapshot => snapshot() | {raw, Memory :: binary(), Rest :: binary() | none},
    on_timeout => keep | stop,
    fuel => non_neg_integer() | infinity,
    time => non_neg_integer(),
    override => [binary() | string()],
    initialize => boolean() | main,
    handler => pid(),
    _ => _
}.
%% A function takes no notice of options that are not its own; import functions get all of them.
%%
%% `timeout' in milliseconds, for all of the call, calls made in its import function by the same process included. With
%% `on_timeout => stop' an instance whose guest was cut short by it is stopped, as it is in a state that nothing leads to;
%% one for which the call only waited is not. `fuel' in wasm instructions, roughly: the same number on every machine.
%% `time' is what the clock of a guest built with Emscripten shows, in milliseconds since 1970: that of the call around it by
%% default, and 0; at a start it is that of constructors and of `main'. `override' names modules whose imports go to the import
%% function or handler though the host could serve them. `initialize' is for {@link start/2}: whether constructors run, or
%% `main' after them; see `docs/emscripten.md'. `handler' is for {@link call_async/4} only.
-type snapshot() :: binary() | [binary()].
%% A snapshot, or a whole one and deltas, each against the one before. `docs/snapshot.md' has the format.
-type snapshot_code() ::
    not_a_snapshot
    | unsupported_version
    | damaged
    | malformed
    | too_large
    | other_image
    | other_base
    | missing_base
    | not_a_delta
    | empty
    | other_memory.
%% What is wrong with a snapshot; `docs/snapshot.md' describes each. The message of the reason says the same in words, which
%% may change.
-type reason() ::
    {invalid_module, Text :: binary()}
    | {unsupported, Text :: binary()}
    | {link, #{module := string(), name := string(), kind := atom()}}
    | {unknown_function, term()}
    | {invalid_args, #{signature := string(), args := term(), position := pos_integer()}}
    | {invalid_option, Key :: atom(), Value :: term()}
    | {trap, #{code := atom(), message := binary(), backtrace := [map()]}}
    | {exit, Status :: integer()}
    | {exception, #{tag := string() | undefined, values := [value()]}}
    | {import_failed, Why :: term()}
    | {limit, memory | table | fuel | image | instances}
    | {out_of_bounds, #{offset := integer(), size := integer(), memory := non_neg_integer()}}
    | malloc_failed
    | {invalid_snapshot, #{code := snapshot_code(), message := binary()}}
    | {uncapturable, Text :: binary()}
    | {node, Reason :: term()}
    | timeout
    | cancelled
    | stopped
    | not_local
    | {host, Text :: binary()}.

%% Reads and writes up to this size take well under a millisecond.
-define(SHORT, (1 bsl 20)).
-define(IS_U64(N), (is_integer(N) andalso N >= 0 andalso N < (1 bsl 64))).

%% @equiv start(Image, #{})
-spec start(binary()) -> {ok, handle()} | {error, reason()}.
start(Image) ->
    start(Image, #{}).

%% @doc Starts an instance of an image: compiles it, unless that has been done, instantiates it and runs its start
%% function and, if Emscripten has built it, its constructors. Imports that these call and the host does not serve are
%% answered as those of {@link call/4}.
%%
%% `Options': `timeout' in milliseconds bounds all of it, `fuel' what runs. `time' is what constructors find. `initialize =>
%% false' leaves them out, `initialize => main' runs `main' after them. With `snapshot' the instance starts in that state: a
%% snapshot, or `{raw, Memory, Rest}' as {@link read_state/1} gives them. It was taken after all of this, so that nothing runs,
%% and `main' is refused; only raw memory alone (`{raw, Memory, none}') is put in after constructors have run, or have not.
-spec start(Image :: binary(), options()) -> {ok, handle()} | {error, reason()}.
start(Image, Options) when is_binary(Image) ->
    case {hb_wasm64_run:deadline(Options), starting(Options)} of
        {{ok, Deadline}, {ok, Operation}} ->
            ok = hb_wasm64_app:ensure_started(),
            case load(Image, Deadline) of
                {ok, Loaded} -> instantiate(Loaded, Operation, Options#{timeout => hb_wasm64_run:left(Deadline)});
                {error, _} = Error -> Error
            end;
        {{error, _} = Error, _} ->
            Error;
        {_, {error, _} = Error} ->
            Error
    end;
start(Image, Options) ->
    {error, hb_wasm64_run:wrong_argument("start(Image, Options)", [Image, Options], 1)}.

starting(Options) when is_map(Options) ->
    case {initialize(Options), hb_wasm64_run:time(Options)} of
        {{ok, Initialize}, {ok, none}} -> starting({Initialize, 0}, Options);
        {{ok, Initialize}, {ok, Time}} -> starting({Initialize, Time}, Options);
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end;
starting(Options) ->
    {error, {invalid_option, options, Options}}.

initialize(#{initialize := main, snapshot := _}) -> {error, {invalid_option, initialize, main}};
initialize(#{initialize := main}) -> {ok, main};
initialize(#{initialize := true}) -> {ok, constructors};
initialize(#{initialize := false}) -> {ok, nothing};
initialize(#{initialize := Other}) -> {error, {invalid_option, initialize, Other}};
initialize(_Options) -> {ok, constructors}.

starting(Beginning, #{snapshot := Snapshot}) ->
    case hb_wasm64_state:restoring(Snapshot, Beginning) of
        {ok, _} = Restoring -> Restoring;
        error -> {error, {invalid_option, snapshot, Snapshot}}
    end;
starting(Beginning, _Options) ->
    {ok, {start, Beginning}}.

load(Image, Deadline) ->
    case hb_wasm64_nif:find_image(Image) of
        hash ->
            Ref = make_ref(),
            case hb_wasm64_nif:load_image(Ref, Image) of
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
    after hb_wasm64_run:left(Deadline) ->
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

instantiate(Loaded, Operation, Options) ->
    Handle = hb_wasm64_nif:new_instance(Loaded),
    case hb_wasm64_run:operation(Handle, Operation, Options) of
        {ok, Run} ->
            case hb_wasm64_run:sync(Run, zero, none) of
                {ok, [], none} ->
                    {ok, Handle};
                {error, Reason, none} ->
                    _ = hb_wasm64_nif:stop(Handle),
                    {error, Reason}
            end;
        {error, _} = Error ->
            Error
    end.

%% @private Starts an instance of an image that the library has.
-spec start_loaded(hb_wasm64_nif:image(), options()) -> {ok, handle()} | {error, reason()}.
start_loaded(Loaded, Options) ->
    case starting(Options) of
        {ok, Operation} -> instantiate(Loaded, Operation, Options);
        {error, _} = Error -> Error
    end.

%% @doc What there is to know about an instance, without waiting for it: its imports `{func, Module, Name, Signature}',
%% its exports `{Kind, Name, Signature | []}', the SHA-256 of its image, the size of its memory in bytes when the guest
%% last stopped, and whether it is `idle', `running' or `suspended' at an import.
-spec describe(handle()) ->
    {ok, #{
        imports := [{func, string(), string(), string()}],
        exports := [{func | memory | table | global | tag, string(), string()}],
        image := binary(),
        mode := wasm,
        memory := non_neg_integer(),
        status := idle | running | suspended
    }}
    | {error, stopped | not_local}.
describe(Handle) ->
    hb_wasm64_nif:describe(Handle).

%% @doc Whether an instance is there and what it does, at once and on any scheduler.
-spec status(handle()) -> {ok, idle | running | suspended} | {error, stopped | not_local}.
status(Handle) ->
    hb_wasm64_nif:status(Handle).

%% @doc Which host of the engine serves imports of an instance's image. An image is Emscripten's where it imports what only
%% Emscripten's runtime gives, such as `env.invoke_*' or `env._abort_js'; see `docs/emscripten.md'.
-spec host(handle()) -> {ok, emscripten | none} | {error, not_local}.
host(Handle) ->
    hb_wasm64_nif:host(Handle).

%% @doc Ends an instance. Calls in progress end with `stopped'. Stopping twice does no harm.
-spec stop(handle()) -> ok | {error, not_local}.
stop(Handle) ->
    hb_wasm64_nif:stop(Handle).

%% @equiv call(Handle, Func, Args, #{})
-spec call(handle(), func(), [value()]) -> {ok, [value()]} | {error, reason()}.
call(Handle, Func, Args) ->
    call(Handle, Func, Args, #{}).

%% @doc Calls a function. Imports that the host of the engine does not serve have nobody to answer them. Functions of WASI
%% (`wasi_snapshot_preview1', `wasi_unstable') then report an error: `EBADF' those on descriptors (`fd_*'), `ENOSYS' the
%% others, but `clock_time_get' returns 0; `proc_exit' ends the call with `{exit, Status}'. `env.__syscall_*' return
%% `-ENOSYS'. All other functions, and these with another type of result, return zeros of the right types.
-spec call(handle(), func(), [value()], options()) -> {ok, [value()]} | {error, reason()}.
call(Handle, Func, Args, Options) ->
    case call_with(Handle, Func, Args, zero, none, Options) of
        {ok, Results, none} -> {ok, Results};
        {error, Reason, none} -> {error, Reason}
    end.

%% @doc Calls a function and answers its imports with `ImportFun', in this process, with the state threaded through.
%%
%% An import that the host of the engine serves comes only where `override' names its module, and with `native => true'; the
%% answer `{native, State}' leaves it to the host.
%%
%% Surplus results of an import are dropped; missing or ill-typed ones, an error and an exception end the innermost
%% guest call with `{import_failed, Why}', where `Why' is the reason given, `{raised, Class, Reason, Stacktrace}',
%% `{invalid_results, Map}', or `{not_native, Map}' for one that is left to the host and not served there; both maps have
%% `module' and `func'. The instance lives on.
-spec call(handle(), func(), [value()], import_fun(), State, options()) ->
    {ok, [value()], State1 :: term()} | {error, reason(), State1 :: term()}
when
    State :: term().
call(Handle, Func, Args, ImportFun, State, Options) when is_function(ImportFun, 3) ->
    call_with(Handle, Func, Args, ImportFun, State, Options);
call(Handle, Func, Args, ImportFun, State, Options) ->
    Given = [Handle, Func, Args, ImportFun, State, Options],
    {error, hb_wasm64_run:wrong_argument("call(Handle, Func, Args, ImportFun, State, Options)", Given, 4), State}.

call_with(Handle, Func, Args, Import, State, Options) ->
    case hb_wasm64_run:new(Handle, Func, Args, Options) of
        {ok, Run} -> hb_wasm64_run:sync(Run, Import, State);
        {error, Reason} -> {error, Reason, State}
    end.

%% @doc Calls a function without waiting for it. The process named by `handler', the calling one by default, gets
%% `{hb_wasm64, Ref, {import, ImportRef, Request}}' for each import, to be answered with {@link respond/2}. The calling
%% process gets `{hb_wasm64, Ref, {done, {ok, Results} | {error, Reason}}}', once.
%%
%% The call ends when the calling process dies, with `{import_failed, handler_down}' when the handler dies while an
%% import waits for it, and with {@link cancel/1}.
-spec call_async(handle(), func(), [value()], options()) -> {ok, reference()} | {error, reason()}.
call_async(Handle, Func, Args, Options) ->
    case {hb_wasm64_run:new(Handle, Func, Args, Options), hb_wasm64_nif:status(Handle)} of
        {{ok, Run}, {ok, _}} ->
            case maps:get(handler, Options, self()) of
                Handler when is_pid(Handler), node(Handler) =:= node() -> {ok, hb_wasm64_run:async(Run, Handler)};
                Other -> {error, {invalid_option, handler, Other}}
            end;
        {{error, _} = Error, _} ->
            Error;
        {_, {error, _} = Error} ->
            Error
    end.

%% @doc Answers an import of {@link call_async/4}, from any process. `native' leaves one to the host that this serves. An answer that does not fit fails the import.
-spec respond(import_ref(), {ok, [value()]} | native | {error, term()}) ->
    ok | {error, no_pending_import | not_native}.
respond(ImportRef, Answer) ->
    case hb_wasm64_run:answer(Answer) of
        Reason when is_binary(Reason), byte_size(Reason) > ?SHORT -> hb_wasm64_nif:respond_dirty(ImportRef, Reason);
        Given -> hb_wasm64_nif:respond(ImportRef, Given)
    end.

%% @doc Ends a call of {@link call_async/4}, for the process that made it. No message of it comes to that process
%% afterwards, and those that came before are removed. Cancelled by another process, it ends without a `done'.
-spec cancel(reference()) -> ok.
cancel(Ref) ->
    hb_wasm64_run:cancel(Ref).

%% @doc Size of the linear memory in bytes; 0 where the image has none. The memory is the one exported as `memory', the
%% first exported one, or else the first.
-spec memory_size(handle()) -> {ok, non_neg_integer()} | {error, reason()}.
memory_size(Handle) ->
    hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:memory_size(Handle, Ref, Ticket) end).

%% @doc What the guest has written to its standard output and its error output, the first megabyte of each, since the
%% call in progress, or else the last one, began. Only the host of Emscripten's images has such files.
-spec output(handle()) -> {ok, #{stdout := binary(), stderr := binary()}} | {error, reason()}.
output(Handle) ->
    case hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:output(Handle, Ref, Ticket) end) of
        {ok, {Output, Errors}} -> {ok, #{stdout => Output, stderr => Errors}};
        {error, _} = Error -> Error
    end.

%% @doc Reads `Size' bytes of the linear memory.
-spec read(handle(), Offset :: non_neg_integer(), Size :: non_neg_integer()) -> {ok, binary()} | {error, reason()}.
read(Handle, Offset, Size) when ?IS_U64(Offset), ?IS_U64(Size), Size =< ?SHORT ->
    hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:read(Handle, Ref, Ticket, Offset, Size) end);
read(Handle, Offset, Size) when ?IS_U64(Offset), ?IS_U64(Size) ->
    hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:read_dirty(Handle, Ref, Ticket, Offset, Size) end);
read(Handle, Offset, Size) when is_integer(Offset), is_integer(Size) ->
    out_of_bounds(Handle, Offset, Size);
read(Handle, Offset, Size) ->
    Position = if is_integer(Offset) -> 3; true -> 2 end,
    {error, hb_wasm64_run:wrong_argument("read(Handle, Offset, Size)", [Handle, Offset, Size], Position)}.

%% @doc Writes a binary to the linear memory.
-spec write(handle(), Offset :: non_neg_integer(), binary()) -> ok | {error, reason()}.
write(Handle, Offset, Binary) when ?IS_U64(Offset), is_binary(Binary), byte_size(Binary) =< ?SHORT ->
    hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:write(Handle, Ref, Ticket, Offset, Binary) end);
write(Handle, Offset, Binary) when ?IS_U64(Offset), is_binary(Binary) ->
    hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:write_dirty(Handle, Ref, Ticket, Offset, Binary) end);
write(Handle, Offset, Binary) when is_integer(Offset), is_binary(Binary) ->
    out_of_bounds(Handle, Offset, byte_size(Binary));
write(Handle, Offset, Binary) ->
    Position = if is_integer(Offset) -> 3; true -> 2 end,
    {error, hb_wasm64_run:wrong_argument("write(Handle, Offset, Binary)", [Handle, Offset, Binary], Position)}.

%% @doc Reads a string up to its NUL, which is left out.
-spec read_string(handle(), Offset :: non_neg_integer()) -> {ok, binary()} | {error, reason()}.
read_string(Handle, Offset) when ?IS_U64(Offset) ->
    case hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:read_string(Handle, Ref, Ticket, Offset, ?SHORT) end) of
        more ->
            hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:read_string_dirty(Handle, Ref, Ticket, Offset) end);
        Result ->
            Result
    end;
read_string(Handle, Offset) when is_integer(Offset) ->
    out_of_bounds(Handle, Offset, 1);
read_string(Handle, Offset) ->
    {error, hb_wasm64_run:wrong_argument("read_string(Handle, Offset)", [Handle, Offset], 2)}.

%% @equiv write_string(Handle, Iodata, #{})
-spec write_string(handle(), iodata()) -> {ok, Pointer :: non_neg_integer()} | {error, reason()}.
write_string(Handle, Iodata) ->
    write_string(Handle, Iodata, #{}).

%% @doc Writes a string with a NUL behind it into memory that the guest's `malloc' gives. The options are those of the
%% call of `malloc'.
-spec write_string(handle(), iodata(), options()) -> {ok, Pointer :: non_neg_integer()} | {error, reason()}.
write_string(Handle, Iodata, Options) when is_binary(Iodata); is_list(Iodata) ->
    try iolist_to_binary([Iodata, 0]) of
        Binary ->
            case malloc(Handle, byte_size(Binary), Options) of
                {ok, Pointer} ->
                    case write(Handle, Pointer, Binary) of
                        ok -> {ok, Pointer};
                        {error, _} = Error -> Error
                    end;
                {error, _} = Error ->
                    Error
            end
    catch
        error:badarg -> no_iodata(Handle, Iodata)
    end;
write_string(Handle, Iodata, _Options) ->
    no_iodata(Handle, Iodata).

no_iodata(Handle, Given) ->
    {error, hb_wasm64_run:wrong_argument("write_string(Handle, Iodata)", [Handle, Given], 2)}.

%% @equiv malloc(Handle, Size, #{})
-spec malloc(handle(), Size :: non_neg_integer()) -> {ok, Pointer :: pos_integer()} | {error, reason()}.
malloc(Handle, Size) ->
    malloc(Handle, Size, #{}).

%% @doc Calls the guest's `malloc'.
-spec malloc(handle(), Size :: non_neg_integer(), options()) -> {ok, Pointer :: pos_integer()} | {error, reason()}.
malloc(Handle, Size, Options) ->
    case call(Handle, <<"malloc">>, [Size], Options) of
        {ok, [0]} -> {error, malloc_failed};
        {ok, [Pointer]} when is_integer(Pointer), Pointer > 0 -> {ok, Pointer};
        %% The upper half of a 32-bit memory.
        {ok, [Pointer]} when is_integer(Pointer), Pointer >= -(1 bsl 31) -> {ok, Pointer + (1 bsl 32)};
        {ok, _} -> {error, malloc_failed};
        {error, _} = Error -> Error
    end.

%% @doc Calls the guest's `free'.
-spec free(handle(), Pointer :: non_neg_integer()) -> ok | {error, reason()}.
free(Handle, Pointer) ->
    case call(Handle, <<"free">>, [Pointer]) of
        {ok, _} -> ok;
        {error, _} = Error -> Error
    end.

%% @doc All of the linear memory, as the guest sees it.
-spec read_memory(handle()) -> {ok, binary()} | {error, reason()}.
read_memory(Handle) ->
    hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:read_all(Handle, Ref, Ticket) end).

%% @doc Makes `Binary' the linear memory, with zeros behind it. A memory that is smaller grows first. Others see all of the
%% write or nothing of it. It costs the bytes given and the pages written before, whatever the size of the memory.
-spec write_memory(handle(), binary()) -> ok | {error, reason()}.
write_memory(Handle, Binary) when is_binary(Binary) ->
    case grow(Handle, byte_size(Binary)) of
        ok -> hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:write_all(Handle, Ref, Ticket, Binary) end);
        {error, _} = Error -> Error
    end;
write_memory(Handle, Other) ->
    {error, hb_wasm64_run:wrong_argument("write_memory(Handle, Binary)", [Handle, Other], 2)}.

%% @doc Grows the linear memory to at least `Bytes'.
-spec grow(handle(), Bytes :: non_neg_integer()) -> ok | {error, reason()}.
grow(Handle, Bytes) when ?IS_U64(Bytes) ->
    case hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:grow(Handle, Ref, Ticket, Bytes) end) of
        {ok, []} -> ok;
        {error, _} = Error -> Error
    end;
grow(Handle, Bytes) ->
    {error, hb_wasm64_run:wrong_argument("grow(Handle, Bytes)", [Handle, Bytes], 2)}.

%% @equiv snapshot(Handle, #{})
-spec snapshot(handle()) -> {ok, binary()} | {error, reason()}.
snapshot(Handle) ->
    snapshot(Handle, #{}).

%% @doc All of the state: memories, mutable globals, tables, dropped segments. The same state of the same image gives the
%% same bytes on every machine. Waits for its turn, and is refused within a call: what is on the guest's stack is lost.
%%
%% `compress => true' compresses it (zstd). `base => Snapshot' makes it a delta, with only what has changed since.
%% `timeout' in milliseconds bounds all of it, waiting for its turn included.
-spec snapshot(handle(), #{timeout => timeout(), compress => boolean(), base => snapshot(), _ => _}) ->
    {ok, binary()} | {error, reason()}.
snapshot(Handle, Options) ->
    hb_wasm64_state:snapshot(Handle, Options).

%% @equiv restore(Handle, Snapshot, #{})
-spec restore(handle(), snapshot()) -> ok | {error, reason()}.
restore(Handle, Snapshot) ->
    restore(Handle, Snapshot, #{}).

%% @doc Puts an instance into the state of a snapshot of the same image. One that refuses it, or is not given the time that
%% it takes by `timeout' (in milliseconds, waiting for its turn included), is as it was.
-spec restore(handle(), snapshot(), #{timeout => timeout(), _ => _}) -> ok | {error, reason()}.
restore(Handle, Snapshot, Options) ->
    hb_wasm64_state:restore(Handle, Snapshot, Options).

%% @doc A snapshot and its deltas as one whole snapshot: the one that {@link snapshot/1} would have given. In an import
%% function it has the time of the call around it.
-spec merge(snapshot()) -> {ok, binary()} | {error, reason()}.
merge(Snapshot) ->
    hb_wasm64_state:merge(Snapshot).

%% @equiv fork(Handle, #{})
-spec fork(handle()) -> {ok, handle()} | {error, reason()}.
fork(Handle) ->
    fork(Handle, #{}).

%% @doc A second instance in the state of the first. `timeout' in milliseconds bounds all of it, waiting for its turn included.
-spec fork(handle(), #{timeout => timeout(), _ => _}) -> {ok, handle()} | {error, reason()}.
fork(Handle, Options) ->
    hb_wasm64_state:fork(Handle, Options).

%% @doc The linear memory as it is, and what else there is of the state: a snapshot without that memory (a whole one where
%% it is not the first of the image), or `none' where it is as in an instance that was started without options. Both at one
%% moment.
-spec read_state(handle()) -> {ok, Memory :: binary(), Rest :: binary() | none} | {error, reason()}.
read_state(Handle) ->
    hb_wasm64_state:read_state(Handle).

%% @doc Puts an instance into the state that {@link read_state/1} gave. With `none' everything but the memory is as in one
%% that was started without options; a smaller memory grows, and what is left of a larger one is zeros.
-spec write_state(handle(), Memory :: binary(), Rest :: binary() | none) -> ok | {error, reason()}.
write_state(Handle, Memory, Rest) ->
    hb_wasm64_state:write_state(Handle, Memory, Rest).

%% @equiv migrate(Handle, Node, #{})
-spec migrate(handle(), node()) -> {ok, handle()} | {error, reason()}.
migrate(Handle, Node) ->
    migrate(Handle, Node, #{}).

%% @doc Moves an instance to another node, which needs this library and not the image. Returns the handle there, which is
%% for functions that run on that node.
%%
%% While it moves, nobody else can use the instance; who waits for it gets `stopped' in the end. If anything fails the
%% instance stays here, as it was; also when it has not arrived within `timeout' milliseconds, waiting for its turn included.
%% How long it takes to reach the node at all, or until a node that has stopped answering is given up, is not bounded by that.
%% An instance that is to move to this node stays, and its handle is returned.
%%
%% The other node keeps the instance for the process `holder', by default the one that calls this: until the instance is
%% stopped, or until 60 seconds (`keep_moved', see {@link hb_wasm64_app}) after the holder has ended, or has been out of
%% reach. From then on it lives as any instance does, as long as a process of that node has the handle. With `holder => none'
%% it is kept until it is stopped.
-spec migrate(handle(), node(), #{timeout => timeout(), holder => pid() | none, _ => _}) ->
    {ok, handle()} | {error, reason()}.
migrate(Handle, Node, Options) ->
    hb_wasm64_migrate:migrate(Handle, Node, Options).

%% @doc Sets the level from which on the library's own records go to `logger', with `library => hb_wasm64' in
%% their metadata. It is `log_level' in the environment of the application, `warning' at first.
-spec log_level(hb_wasm64_app:level()) -> ok | {error, reason()}.
log_level(Level) ->
    case hb_wasm64_app:set_level(Level) of
        true -> ok;
        false -> {error, hb_wasm64_run:wrong_argument("log_level(Level)", [Level], 1)}
    end.

%% @doc Sets how long a guest of this node runs before somebody else may have its thread: from 100 to 100,000
%% microseconds. It is `time_slice' in the environment of the application, 1,000 at first. No result depends on it.
-spec time_slice(Microseconds :: pos_integer()) -> ok | {error, reason()}.
time_slice(Microseconds) ->
    case hb_wasm64_app:set_time_slice(Microseconds) of
        true -> ok;
        false -> {error, hb_wasm64_run:wrong_argument("time_slice(Microseconds)", [Microseconds], 1)}
    end.

%% Offsets and sizes that no memory has.
out_of_bounds(Handle, Offset, Size) ->
    case memory_size(Handle) of
        {ok, Memory} -> {error, {out_of_bounds, #{offset => Offset, size => Size, memory => Memory}}};
        {error, _} = Error -> Error
    end.

