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
%% Objects of the garbage collector and references that may not be null stay with the guest: an export that has one among its
%% parameters or results has no signature, and a call of it is `{unsupported, Text}'; an import that has one is a link error.
%%
%% Signatures are strings such as `"(iI)F"', with i, I, f, F, v, e (externref), u (funcref) and x (exnref).
%%
%% == Errors ==
%% No function raises for what is passed to it, apart from a handle that is no reference. See {@link reason()}. These speak of
%% the node and not of the guest: `{host, Text}', `{limit, instances}' (all address space is reserved), the trap
%% `out_of_host_memory', `timeout', `cancelled', `stopped', `not_local' and `{node, _}'. What memories and tables may have is in
%% the table of numbers in `docs/architecture.md', and what an operator may lower in {@link hb_wasm64_app}.
-module(hb_wasm64).
-export([start/1, start/2, compile/2, describe/1, describe/2, status/1, host/1, stop/1]).
-export([call/3, call/4, call/6, call_async/4, respond/2, cancel/1]).
-export([memory_size/1, memory_size/2, read/3, read/4, write/3, write/4, read_string/2, read_string/3]).
-export([write_string/2, write_string/3, malloc/2, malloc/3, free/2, free/3]).
-export([read_memory/1, read_memory/2, write_memory/2, write_memory/3, grow/2, grow/3, output/1, output/2]).
-export([put_file/3, put_file/4, fill_file/4, fill_file/5, read_file/2, read_file/3, list_files/2, list_files/3, remove_file/2, remove_file/3]).
-export([snapshot/1, snapshot/2, restore/2, restore/3, merge/1, merge/2, fork/1, fork/2, renew/2]).
-export([read_state/1, read_state/2, write_state/3, write_state/4]).
-export([migrate/2, migrate/3, log_level/1, time_slice/1]).
-export_type([handle/0, import_ref/0, func/0, value/0, request/0, import_fun/0, description/0]).
-export_type([file_kind/0, snapshot/0, snapshot_code/0, usage/0, reason/0]).

-type handle() :: hb_wasm64_nif:handle().
%% An instance. The one in a {@link request()} is bound to the pending import: while that waits for its answer, whoever
%% holds it may read, write and call. Once the import is answered it is the plain instance; if its call is cancelled
%% instead, everything done with it answers `cancelled'.
-opaque import_ref() :: hb_wasm64_nif:handle().
-type func() :: binary() | string() | non_neg_integer().
%% An export, or an entry of the function table (`__indirect_function_table', or the only table).
-type value() ::
    number() | nan | infinity | neg_infinity | {nan, non_neg_integer()} | binary() | null | externref | funcref | exnref.
-type request() :: #{
    instance := handle(),
    module := string(),
    func := string(),
    args := [value()],
    func_sig := string(),
    interceptable => true
}.
%% `interceptable' stands for an import that the host of the engine serves where nobody else does.
-type import_fun() :: fun(
    (State :: term(), request(), User :: term()) ->
        {ok, [value()], term()} | {pass, term()} | {error, term()} | {error, term(), term()}
).
%% `User' is the value of the option `user'.
-type description() :: #{
    imports := [{func, string(), string(), string()}],
    served := [{string(), string(), host | image | erlang | nobody}],
    exports := [{func | memory | table | global | tag, string(), string()}],
    image := binary(), mode := wasm,
    memory := non_neg_integer(), gas_used => integer(),
    status := idle | running | suspended
}.
-type usage() :: hb_wasm64_call:usage().
-type file_kind() :: {file, Bytes :: non_neg_integer()} | directory | link | device.
-type snapshot() :: binary() | [binary()].
%% A snapshot, or a whole one and deltas, each against the one before. `docs/snapshot.md' has the format.
-type snapshot_code() ::
    not_a_snapshot | unsupported_version | damaged | malformed | too_large | other_image | other_base | missing_base
    | not_a_delta | empty | other_memory.
%% See `docs/snapshot.md'. The message of the reason says the same in words, which may change.
-type reason() ::
    {invalid_module, Text :: binary()}
    | {invalid_artifact, Text :: binary()}
    | {unsupported, Text :: binary()}
    | {link, #{module := string(), name := string(), kind := atom()}}
    | {unknown_function, term()}
    | {invalid_args, #{signature := string(), args := term(), position := pos_integer()}}
    | {invalid_option, Key :: term(), Value :: term()}
    | {trap, #{code := atom(), message := binary(), backtrace := [map()]}}
    | {exit, Status :: integer()}
    | {exception, #{tag := string() | undefined, values := [value()]}}
    | {import_failed, Why :: term()}
    | {limit, memory | table | fuel | gas | image | instances | string | file}
    | {out_of_bounds, #{offset := integer(), size := integer(), memory := non_neg_integer()}}
    | malloc_failed
    | {file, Posix :: atom()}
    | {invalid_snapshot, #{code := snapshot_code(), message := binary()}}
    | {uncapturable, Text :: binary()}
    | {node, Reason :: term()}
    | would_deadlock | timeout | cancelled | stopped | not_local
    | {host, Text :: binary()}.

%% Bytes that are copied in well under a millisecond.
-define(SHORT_BYTES, (1 bsl 20)).

%% @equiv start(Image, #{})
-spec start(binary()) -> {ok, handle()} | {error, reason()}.
start(Image) -> start(Image, #{}).

%% @doc Starts an instance of an image: compiles it, unless that has been done, instantiates it and runs its start
%% function and, if it was built with Emscripten or for WASI, its constructors. Imports that these call and the engine does not
%% serve are answered as those of {@link call/4}.
%%
%% `timeout' includes the time to compile. With `snapshot' the instance starts in that state: a snapshot, or
%% `{raw, Memory, SideState}' as {@link read_state/1} returns them. It was taken after constructors had run, so none run, and
%% `initialize => main' is refused. Only raw memory alone (`{raw, Memory, none}') is written after constructors have run, if
%% `initialize' does not say otherwise.
-spec start(ImageOrArtifact :: binary(), hb_wasm64_options:start()) -> {ok, handle()} | {error, reason()}.
start(Image, Options) -> hb_wasm64_start:start(Image, Options).

%% @doc Compiles an image for {@link start/2} with `mode => aot': the artifact has the image and its native code, and is sealed with the
%% key of the node (`code_key', see {@link hb_wasm64_disk}). It starts where the key, the version and the processor are the same.
-spec compile(Image :: binary(), hb_wasm64_options:operation()) -> {ok, Artifact :: binary()} | {error, reason()}.
compile(Image, Options) -> hb_wasm64_start:compile(Image, Options).

%% @equiv describe(Handle, #{})
-spec describe(handle()) -> {ok, description()} | {error, reason()}.
describe(Handle) -> describe(Handle, #{}).

%% @doc Describes an instance, without waiting for its turn: its imports `{func, Module, Name, Signature}', who serves each of them
%% (`served': `{Module, Name, Who}' in the same order, where `Who' is `host', the engine; `image', instructions that have taken its place;
%% `erlang', whoever answers imports, and without one it returns zeros; or `nobody', the same, but without one it fails, as it belongs to a
%% runtime that the engine knows and it is not served there), its exports
%% `{Kind, Name, Signature | []}', the SHA-256 of its image, the size of its memory in bytes when the guest last stopped,
%% and whether it is `idle', `running' or `suspended' at an import; for an image with a meter `gas_used', what it had used then since
%% its gas was refilled last.
-spec describe(handle(), hb_wasm64_options:operation()) -> {ok, description()} | {error, reason()}.
describe(Handle, Options) -> hb_wasm64_state:describe(Handle, Options).

%% @doc Whether an instance is there and what it does, at once and on any scheduler.
-spec status(handle()) -> {ok, idle | running | suspended} | {error, stopped | not_local}.
status(Handle) -> hb_wasm64_nif:status(Handle).

%% @doc Which host of the engine serves imports of an instance's image: Emscripten's where it imports what only that runtime has,
%% such as `env.invoke_*' (see `docs/emscripten.md'); else WASI's where it imports from `wasi_snapshot_preview1' or
%% `wasi_unstable'; else AssemblyScript's where it imports what that compiler does by itself, such as `env.abort'.
-spec host(handle()) -> {ok, emscripten | wasi | assemblyscript | none} | {error, not_local}.
host(Handle) -> hb_wasm64_nif:host(Handle).

%% @doc Ends an instance. Calls in progress end with `stopped'. Stopping twice does no harm.
-spec stop(handle()) -> ok | {error, not_local}.
stop(Handle) -> hb_wasm64_nif:stop(Handle).

%% @equiv call(Handle, Func, Args, #{})
-spec call(handle(), func(), [value()]) -> {ok, [value()]} | {error, reason()}.
call(Handle, Func, Args) -> call(Handle, Func, Args, #{}).

%% @doc Calls a function. Imports that the engine does not serve have nobody to answer them. Functions of WASI
%% (`wasi_snapshot_preview1', `wasi_unstable') that it does not know then report an error: `EBADF' those on descriptors (`fd_*'), `ENOSYS' the
%% others, but `clock_time_get' returns 0; `proc_exit' ends the call with `{exit, Status}'. `env.__syscall_*' return
%% `-ENOSYS'. All other functions, and these with another type of result, return zeros of the right types.
%%
%% With `usage => true' the result ends with what the call has used, whether it has returned or failed.
-spec call(handle(), func(), [value()], hb_wasm64_options:call()) ->
    {ok, [value()]} | {error, reason()} | {ok, [value()], usage()} | {error, reason(), usage()}.
call(Handle, Func, Args, Options) ->
    case {new_call(call, Handle, Func, Args, zero, Options), Options} of
        {{ok, Call}, _} -> hb_wasm64_call:run(Call);
        {{error, Reason}, #{usage := true}} -> {error, Reason, #{}};
        {{error, _} = Error, _} -> Error
    end.

%% @doc Calls a function and answers its imports with `ImportFun', in this process, with the state threaded through.
%%
%% The import function may read, write and call: with the plain handle, too, it works while its import is pending, and
%% within the deadline of this call.
%%
%% An import that the engine serves itself comes only where `intercept' names its module, and with `interceptable => true'; the
%% answer `{pass, State}' leaves it to the engine.
%%
%% Surplus results of an import are dropped; missing or ill-typed ones, an error and an exception end the innermost
%% guest call with `{import_failed, Why}', where `Why' is the reason given, `{raised, Class, Reason, Stacktrace}',
%% `{invalid_results, Map}', or `{not_interceptable, Map}' for an import that is left to the engine and not served there; both maps
%% have `module' and `func'. The instance lives on.
%%
%% With `usage => true' the tuple ends with what the call has used.
-spec call(handle(), func(), [value()], import_fun(), State, hb_wasm64_options:call_with_imports()) ->
    {ok, [value()], State1 :: term()}
    | {error, reason(), State1 :: term()}
    | {ok, [value()], State1 :: term(), usage()}
    | {error, reason(), State1 :: term(), usage()}
when
    State :: term().
call(Handle, Func, Args, ImportFun, State, Options) when is_function(ImportFun, 3) ->
    case new_call(call_with_imports, Handle, Func, Args, {function, ImportFun}, Options) of
        {ok, Call} -> hb_wasm64_call:run(Call, State);
        {error, Reason} -> refused(Reason, State, Options)
    end;
call(Handle, Func, Args, ImportFun, State, Options) ->
    Given = [Handle, Func, Args, ImportFun, State, Options],
    refused(hb_wasm64_args:error("call(Handle, Func, Args, ImportFun, State, Options)", Given, 4), State, Options).

refused(Reason, State, #{usage := true}) -> {error, Reason, State, #{}};
refused(Reason, State, _Options) -> {error, Reason, State}.

new_call(Api, Handle, Func, Args, Imports, Options) ->
    case hb_wasm64_options:parse(Api, Options) of
        {ok, Parsed} -> hb_wasm64_call:new(Handle, Func, Args, Imports, Parsed);
        {error, _} = Error -> Error
    end.

%% @doc Calls a function without waiting for it. The process named by `handler', the calling one by default, gets
%% `{hb_wasm64, Ref, {import, ImportRef, Request}}' for each import, to be answered with {@link respond/2}. The calling
%% process gets `{hb_wasm64, Ref, {done, {ok, Results} | {error, Reason}}}', exactly once, whatever process dies meanwhile:
%% if it is the one that drives the call, it is `{error, {host, _}}'. With `usage => true' every other `done' has what the call
%% has used: `{ok, Results, Usage} | {error, Reason, Usage}'.
%%
%% The call ends when the calling process dies, with `{import_failed, handler_down}' when the handler dies while an
%% import waits for it, and with {@link cancel/1}.
%%
%% While an import waits for a handler, whatever that does with the plain handle is done within the import, as with the
%% handle of the request. What it already waits for when the import comes, and what stands behind the import, ends with
%% `would_deadlock'.
-spec call_async(handle(), func(), [value()], hb_wasm64_options:call_async()) -> {ok, reference()} | {error, reason()}.
call_async(Handle, Func, Args, Options) ->
    case {hb_wasm64_options:parse(call_async, Options), hb_wasm64_nif:status(Handle)} of
        {{ok, Parsed}, {ok, _}} ->
            Handler = hb_wasm64_options:value(handler, Parsed),
            case hb_wasm64_call:new(Handle, Func, Args, {handler, Handler}, Parsed) of
                {ok, Call} -> hb_wasm64_call:async(Call);
                {error, _} = Error -> Error
            end;
        {{error, _} = Error, _} ->
            Error;
        {_, {error, _} = Error} ->
            Error
    end.

%% @doc Answers an import of {@link call_async/4}, from any process. `pass' leaves an import to the engine that it serves
%% itself. An answer that does not fit fails the import.
-spec respond(import_ref(), {ok, [value()]} | pass | {error, term()}) ->
    ok | {error, no_pending_import | not_interceptable}.
respond(ImportRef, Answer) ->
    case hb_wasm64_call:answer(Answer) of
        Reason when is_binary(Reason), byte_size(Reason) > ?SHORT_BYTES ->
            hb_wasm64_nif:respond_dirty(ImportRef, Reason);
        Given ->
            hb_wasm64_nif:respond(ImportRef, Given)
    end.

%% @doc Ends a call of {@link call_async/4}, for the process that made it. No message of it comes to that process
%% afterwards, and those that came before are removed. Cancelled by another process, it ends without a `done'.
-spec cancel(reference()) -> ok.
cancel(Ref) -> hb_wasm64_call:cancel(Ref).

%% @equiv memory_size(Handle, #{})
-spec memory_size(handle()) -> {ok, non_neg_integer()} | {error, reason()}.
memory_size(Handle) -> memory_size(Handle, #{}).

%% @doc Size of the linear memory in bytes; 0 where the image has none. The memory is the one exported as `memory', the
%% first exported one, or else the first.
-spec memory_size(handle(), hb_wasm64_options:operation()) -> {ok, non_neg_integer()} | {error, reason()}.
memory_size(Handle, Options) -> hb_wasm64_memory:memory_size(Handle, Options).

%% @equiv output(Handle, #{})
-spec output(handle()) -> {ok, #{stdout := binary(), stderr := binary()}} | {error, reason()}.
output(Handle) -> output(Handle, #{}).

%% @doc What the guest has written to its standard output and its error output, the first megabyte of each, since the
%% call in progress, or else the last one, began. Only images whose imports the engine serves have such files.
-spec output(handle(), hb_wasm64_options:operation()) ->
    {ok, #{stdout := binary(), stderr := binary()}} | {error, reason()}.
output(Handle, Options) -> hb_wasm64_memory:output(Handle, Options).

%% @equiv read(Handle, Offset, Size, #{})
-spec read(handle(), Offset :: non_neg_integer(), Size :: non_neg_integer()) -> {ok, binary()} | {error, reason()}.
read(Handle, Offset, Size) -> read(Handle, Offset, Size, #{}).

%% @doc Reads `Size' bytes of the linear memory.
-spec read(handle(), Offset :: non_neg_integer(), Size :: non_neg_integer(), hb_wasm64_options:operation()) ->
    {ok, binary()} | {error, reason()}.
read(Handle, Offset, Size, Options) -> hb_wasm64_memory:read(Handle, Offset, Size, Options).

%% @equiv write(Handle, Offset, Binary, #{})
-spec write(handle(), Offset :: non_neg_integer(), binary()) -> ok | {error, reason()}.
write(Handle, Offset, Binary) -> write(Handle, Offset, Binary, #{}).

%% @doc Writes a binary to the linear memory.
-spec write(handle(), Offset :: non_neg_integer(), binary(), hb_wasm64_options:operation()) -> ok | {error, reason()}.
write(Handle, Offset, Binary, Options) -> hb_wasm64_memory:write(Handle, Offset, Binary, Options).

%% @equiv read_string(Handle, Offset, #{})
-spec read_string(handle(), Offset :: non_neg_integer()) -> {ok, binary()} | {error, reason()}.
read_string(Handle, Offset) -> read_string(Handle, Offset, #{}).

%% @doc Reads a string up to its NUL, which is left out. One of more than `max' bytes, 64 MiB by default, is `{limit, string}'.
-spec read_string(handle(), Offset :: non_neg_integer(), hb_wasm64_options:read_string()) ->
    {ok, binary()} | {error, reason()}.
read_string(Handle, Offset, Options) -> hb_wasm64_memory:read_string(Handle, Offset, Options).

%% @equiv write_string(Handle, Iodata, #{})
-spec write_string(handle(), iodata()) -> {ok, Pointer :: pos_integer()} | {error, reason()}.
write_string(Handle, Iodata) -> write_string(Handle, Iodata, #{}).

%% @doc Writes a string with a NUL behind it into memory that the guest's `malloc' gives. The options are those of the
%% call of `malloc'; `timeout' is for both.
-spec write_string(handle(), iodata(), hb_wasm64_options:allocation()) -> {ok, Pointer :: pos_integer()} | {error, reason()}.
write_string(Handle, Iodata, Options) -> hb_wasm64_memory:write_string(Handle, Iodata, Options).

%% @equiv malloc(Handle, Size, #{})
-spec malloc(handle(), Size :: non_neg_integer()) -> {ok, Pointer :: pos_integer()} | {error, reason()}.
malloc(Handle, Size) -> malloc(Handle, Size, #{}).

%% @doc Calls the guest's `malloc'.
-spec malloc(handle(), Size :: non_neg_integer(), hb_wasm64_options:allocation()) ->
    {ok, Pointer :: pos_integer()} | {error, reason()}.
malloc(Handle, Size, Options) -> hb_wasm64_memory:malloc(Handle, Size, Options).

%% @equiv free(Handle, Pointer, #{})
-spec free(handle(), Pointer :: non_neg_integer()) -> ok | {error, reason()}.
free(Handle, Pointer) -> free(Handle, Pointer, #{}).

%% @doc Calls the guest's `free'.
-spec free(handle(), Pointer :: non_neg_integer(), hb_wasm64_options:allocation()) -> ok | {error, reason()}.
free(Handle, Pointer, Options) -> hb_wasm64_memory:free(Handle, Pointer, Options).

%% @equiv read_memory(Handle, #{})
-spec read_memory(handle()) -> {ok, binary()} | {error, reason()}.
read_memory(Handle) -> read_memory(Handle, #{}).

%% @doc All of the linear memory, as the guest sees it.
-spec read_memory(handle(), hb_wasm64_options:operation()) -> {ok, binary()} | {error, reason()}.
read_memory(Handle, Options) -> hb_wasm64_memory:read_memory(Handle, Options).

%% @equiv write_memory(Handle, Binary, #{})
-spec write_memory(handle(), binary()) -> ok | {error, reason()}.
write_memory(Handle, Binary) -> write_memory(Handle, Binary, #{}).

%% @doc Makes `Binary' the linear memory, with zeros behind it. A memory that is smaller grows first. Others see all of the
%% write or nothing of it. It costs the bytes given and the pages written before, whatever the size of the memory.
-spec write_memory(handle(), binary(), hb_wasm64_options:operation()) -> ok | {error, reason()}.
write_memory(Handle, Binary, Options) -> hb_wasm64_memory:write_memory(Handle, Binary, Options).

%% @equiv grow(Handle, Bytes, #{})
-spec grow(handle(), Bytes :: non_neg_integer()) -> ok | {error, reason()}.
grow(Handle, Bytes) -> grow(Handle, Bytes, #{}).

%% @doc Grows the linear memory to at least `Bytes'.
-spec grow(handle(), Bytes :: non_neg_integer(), hb_wasm64_options:operation()) -> ok | {error, reason()}.
grow(Handle, Bytes, Options) -> hb_wasm64_memory:grow(Handle, Bytes, Options).

%% @equiv put_file(Handle, Path, Contents, #{})
-spec put_file(handle(), Path :: iodata(), Contents :: iodata() | {lazy, Bytes :: non_neg_integer()}) -> ok | {error, reason()}.
put_file(Handle, Path, Contents) -> put_file(Handle, Path, Contents, #{}).

%% @doc Makes a file for the guest, or puts the contents in the place of those that it has. Directories that are missing on the
%% way are made. Paths are absolute; `{file, enoent}' and its like tell why something cannot be done, and nothing is changed then.
%%
%% Files are state of the instance, which snapshots hold. Images that import nothing of WASI or Emscripten have none:
%% `{unsupported, Text}'. An import function may use these functions while its import is pending.
-spec put_file(handle(), Path :: iodata(), Contents :: iodata() | {lazy, Bytes :: non_neg_integer()}, hb_wasm64_options:file()) ->
    ok | {error, reason()}.
put_file(Handle, Path, Contents, Options) -> hb_wasm64_files:put_file(Handle, Path, Contents, Options).

%% @equiv fill_file(Handle, Path, Offset, Contents, #{})
-spec fill_file(handle(), Path :: iodata(), Offset :: non_neg_integer(), Contents :: iodata()) -> ok | {error, reason()}.
fill_file(Handle, Path, Offset, Contents) -> fill_file(Handle, Path, Offset, Contents, #{}).

%% @doc Gives a lazy file bytes, whole pages of 4096 but for the end of the file. A file that is put with `{lazy, Bytes}' has
%% that size, and when the guest reads bytes that nobody has given yet, the import function or handler of its call gets a
%% request with the module `"hb_wasm64:file"', the path as `func', and the arguments `[Offset, Size]'. It fills them in and
%% answers with `{ok, []}'; without them the guest's read fails (`EIO'). What has been given stays, as state. Programs only
%% read such a file; {@link read_file/2} is `{file, eagain}' until all of it is known.
-spec fill_file(handle(), Path :: iodata(), Offset :: non_neg_integer(), Contents :: iodata(), hb_wasm64_options:operation()) ->
    ok | {error, reason()}.
fill_file(Handle, Path, Offset, Contents, Options) ->
    hb_wasm64_files:fill_file(Handle, Path, Offset, Contents, Options).

%% @equiv read_file(Handle, Path, #{})
-spec read_file(handle(), Path :: iodata()) -> {ok, binary()} | {error, reason()}.
read_file(Handle, Path) -> read_file(Handle, Path, #{}).

%% @doc Reads a file, all of it.
-spec read_file(handle(), Path :: iodata(), hb_wasm64_options:read_string()) -> {ok, binary()} | {error, reason()}.
read_file(Handle, Path, Options) -> hb_wasm64_files:read_file(Handle, Path, Options).

%% @equiv list_files(Handle, Path, #{})
-spec list_files(handle(), Path :: iodata()) -> {ok, [{Name :: binary(), file_kind()}]} | {error, reason()}.
list_files(Handle, Path) -> list_files(Handle, Path, #{}).

%% @doc Lists a directory, by name.
-spec list_files(handle(), Path :: iodata(), hb_wasm64_options:operation()) ->
    {ok, [{Name :: binary(), file_kind()}]} | {error, reason()}.
list_files(Handle, Path, Options) -> hb_wasm64_files:list_files(Handle, Path, Options).

%% @equiv remove_file(Handle, Path, #{})
-spec remove_file(handle(), Path :: iodata()) -> ok | {error, reason()}.
remove_file(Handle, Path) -> remove_file(Handle, Path, #{}).

%% @doc Removes a file, a link, a device or an empty directory. A program that has it open keeps it.
-spec remove_file(handle(), Path :: iodata(), hb_wasm64_options:file()) -> ok | {error, reason()}.
remove_file(Handle, Path, Options) -> hb_wasm64_files:remove_file(Handle, Path, Options).

%% @equiv snapshot(Handle, #{})
-spec snapshot(handle()) -> {ok, binary()} | {error, reason()}.
snapshot(Handle) -> snapshot(Handle, #{}).

%% @doc All of the state: memories, mutable globals, tables, dropped segments. The same state of the same image gives the
%% same bytes on every machine. Waits for its turn, and is refused within a call: what is on the guest's stack is lost.
%%
%% `base => Snapshot' makes it a delta, with only what has changed since.
-spec snapshot(handle(), hb_wasm64_options:snapshot()) -> {ok, binary()} | {error, reason()}.
snapshot(Handle, Options) -> hb_wasm64_state:snapshot(Handle, Options).

%% @equiv restore(Handle, Snapshot, #{})
-spec restore(handle(), snapshot()) -> ok | {error, reason()}.
restore(Handle, Snapshot) -> restore(Handle, Snapshot, #{}).

%% @doc Puts an instance into the state of a snapshot of the same image. An instance that refuses the snapshot, or has not
%% taken it within `timeout' milliseconds, is as it was.
-spec restore(handle(), snapshot(), hb_wasm64_options:operation()) -> ok | {error, reason()}.
restore(Handle, Snapshot, Options) -> hb_wasm64_state:restore(Handle, Snapshot, Options).

%% @equiv merge(Snapshot, #{})
-spec merge(snapshot()) -> {ok, binary()} | {error, reason()}.
merge(Snapshot) -> merge(Snapshot, #{}).

%% @doc A snapshot and its deltas as one whole snapshot: the one that {@link snapshot/1} would have given.
-spec merge(snapshot(), hb_wasm64_options:operation()) -> {ok, binary()} | {error, reason()}.
merge(Snapshot, Options) -> hb_wasm64_state:merge(Snapshot, Options).

%% @equiv fork(Handle, #{})
-spec fork(handle()) -> {ok, handle()} | {error, reason()}.
fork(Handle) -> fork(Handle, #{}).

%% @doc A second instance in the state of the first.
-spec fork(handle(), hb_wasm64_options:operation()) -> {ok, handle()} | {error, reason()}.
fork(Handle, Options) -> hb_wasm64_state:fork(Handle, Options).

%% @doc Another instance of the same image, started with these options, that then finds the linear memory of the first: globals,
%% files and clock are fresh. So AO's loader goes on with the memory of a process. There is no `snapshot', `output' or `main'.
-spec renew(handle(), hb_wasm64_options:start()) -> {ok, handle()} | {error, reason()}.
renew(Handle, Options) -> hb_wasm64_state:renew(Handle, Options).

%% @equiv read_state(Handle, #{})
-spec read_state(handle()) -> {ok, Memory :: binary(), SideState :: binary() | none} | {error, reason()}.
read_state(Handle) -> read_state(Handle, #{}).

%% @doc The linear memory as it is, and what else there is of the state: a snapshot without that memory (a whole one where
%% it is not the first of the image), or `none' where it is as in an instance that was started without options. Both at one
%% moment.
-spec read_state(handle(), hb_wasm64_options:operation()) ->
    {ok, Memory :: binary(), SideState :: binary() | none} | {error, reason()}.
read_state(Handle, Options) -> hb_wasm64_state:read_state(Handle, Options).

%% @equiv write_state(Handle, Memory, SideState, #{})
-spec write_state(handle(), Memory :: binary(), SideState :: binary() | none) -> ok | {error, reason()}.
write_state(Handle, Memory, SideState) -> write_state(Handle, Memory, SideState, #{}).

%% @doc Puts an instance into the state that {@link read_state/1} returned. With `none' everything but the memory is as in an
%% instance that was started without options; a smaller memory grows, and what is left of a larger one is zeros.
-spec write_state(handle(), Memory :: binary(), SideState :: binary() | none, hb_wasm64_options:operation()) ->
    ok | {error, reason()}.
write_state(Handle, Memory, SideState, Options) -> hb_wasm64_state:write_state(Handle, Memory, SideState, Options).

%% @equiv migrate(Handle, Node, #{})
-spec migrate(handle(), node()) -> {ok, handle()} | {error, reason()}.
migrate(Handle, Node) -> migrate(Handle, Node, #{}).

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
-spec migrate(handle(), node(), hb_wasm64_options:migrate()) -> {ok, handle()} | {error, reason()}.
migrate(Handle, Node, Options) -> hb_wasm64_migrate:migrate(Handle, Node, Options).

%% @doc Sets the level from which on the library's own records go to `logger', with `library => hb_wasm64' in
%% their metadata. It is `log_level' in the environment of the application, `warning' at first.
-spec log_level(hb_wasm64_app:level()) -> ok | {error, reason()}.
log_level(Level) ->
    case hb_wasm64_app:set_level(Level) of
        true -> ok;
        false -> {error, hb_wasm64_args:error("log_level(Level)", [Level], 1)}
    end.

%% @doc Sets how long a guest of this node runs before somebody else may have its thread: from 100 to 100,000
%% microseconds. It is `time_slice' in the environment of the application, 1,000 at first. No result depends on it.
-spec time_slice(Microseconds :: pos_integer()) -> ok | {error, reason()}.
time_slice(Microseconds) ->
    case hb_wasm64_app:set_time_slice(Microseconds) of
        true -> ok;
        false -> {error, hb_wasm64_args:error("time_slice(Microseconds)", [Microseconds], 1)}
    end.
