%% @doc The functions of the native library, as it replaces them when it is loaded.
%%
%% Not an interface: use {@link hb_wasm64}. What each function gives is written in native/nif/src, and
%% `docs/architecture.md' has the protocol between the two. A name that ends in `_dirty' does the same as its twin on
%% a dirty CPU scheduler. What runs there may wait long for a thread, and so it has the deadline of its operation: a step
%% that begins later is not done, and answers `{error, timeout}'.
-module(hb_wasm64_nif).

-export([find_image/1, load_image/3, forget_image/1, image_bytes/1, origin/1, find_hash/1, new_instance/1, new_sibling/1]).
-export([start/3, start_dirty/3, take_printed/1, call/7, resume/5, answer/5, respond/2, respond_dirty/2, cancel/2, hold/3, stop/1, watch/2]).
-export([status/1, host/1, describe/3, unserved/2]).
-export([memory_size/3, output/4, read/5, read_dirty/6, read_all/4, write/5, write_dirty/6, write_all/5]).
-export([put_file/6, put_lazy_file/6, fill_file/6, read_file/5, list_files/5, remove_file/6]).
-export([read_string/5, read_string_dirty/6, grow/5]).
-export([snapshot/6, read_state/4, merge/3, give_up_job/1, restore/6, fork/5, renew/6]).
-export([async_new/1, async_done/2, async_cancel/1]).
-export([now/0, log_to/1, logged/1, log_level/1, time_slice/1, set_limit/2, is_lowered/1]).
-export([keep_on_disk/3, keep_nothing_on_disk/0, artifact/4, load_artifact/4, image_hash/1]).
-export_type([image/0, asker/0, handle/0, ticket/0, job/0, step/0, responder/0]).

-compile({no_auto_import, [now/0]}).

-on_load(load/0).

-opaque image() :: reference().
-opaque asker() :: reference().
%% A process that waits for an image.
-type handle() :: reference().
-type ticket() :: non_neg_integer().
%% Names an operation that is not over yet; 0 before it has a name.
-type responder() :: pid() | zero.
%% Who answers imports; `zero' stands for zeros of the right types.
-type options() :: #{
    fuel => non_neg_integer() | infinity,
    time => non_neg_integer(),
    intercept => [binary()],
    usage => boolean(),
    gas => non_neg_integer(),
    refill => boolean(),
    initialize => nothing | constructors | main
}.
%% Those of {@link hb_wasm64_options} that are the engine's business, which says which of them a start or a call has.
-type deadline() :: hb_wasm64_deadline:deadline().
-opaque job() :: reference().
%% Work that belongs to no instance. It sends `{hb_wasm64, Ref, {done, Result}}', or nothing once it has been given up.
-type wait() :: {wait, ticket()}.
-type step() ::
    {ok, list()}
    | {error, term()}
    | {ok, list(), hb_wasm64_call:usage()}
    | {error, term(), hb_wasm64_call:usage()}
    | {import, ticket(), map()}
    | {yielded, ticket()}
    | {deferred, ticket()}
    | wait().
%% `deferred': it is its turn, but nothing of it may run on a normal scheduler.

load() ->
    case load_nif() of
        ok ->
            attach_log();
        {error, Why} = Error ->
            %% For whoever loads this module: the code server tells it no more than that this function failed.
            persistent_term:put(?MODULE, Why),
            Error
    end.

%% Where the library is loaded once more while the application runs. Nothing is asked of another process: if that called
%% this module now it would wait for this function, or find no module where the code server is in embedded mode.
attach_log() ->
    case whereis(hb_wasm64_log) of
        undefined -> ok;
        Log -> log_to(Log)
    end.

load_nif() ->
    Dir =
        case code:priv_dir(hb_wasm64) of
            {error, bad_name} -> filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
            Found -> Found
        end,
    erlang:load_nif(filename:join(Dir, "hb_wasm64_nif"), 0).

-spec find_image(binary()) -> {ok, image()} | hash.
find_image(_Image) -> erlang:nif_error(nif_not_loaded).

-spec load_image(reference(), binary(), IsWhole :: boolean()) -> {ok, image()} | {wait, asker()} | {error, term()}.
load_image(_Ref, _Image, _IsWhole) -> erlang:nif_error(nif_not_loaded).

-spec forget_image(asker()) -> boolean().
forget_image(_Asker) -> erlang:nif_error(nif_not_loaded).

-spec new_instance(image()) -> handle().
new_instance(_Image) -> erlang:nif_error(nif_not_loaded).

%% The hash of the image of an instance, and the options of its start that bound it.
-spec origin(handle()) ->
    {ok, Hash :: binary(), #{memory => non_neg_integer(), table => non_neg_integer()}} | {error, term()}.
origin(_Handle) -> erlang:nif_error(nif_not_loaded).

%% The bytes of the image of an instance.
-spec image_bytes(handle()) -> {ok, binary()} | {error, term()}.
image_bytes(_Handle) -> erlang:nif_error(nif_not_loaded).

%% Whether the image with this hash can be had without its bytes.
-spec find_hash(binary()) -> {ok, image()} | not_found.
find_hash(_Hash) -> erlang:nif_error(nif_not_loaded).

%% An instance of the same image that has yet to be started.
-spec new_sibling(handle()) -> {ok, handle()} | {error, term()}.
new_sibling(_Handle) -> erlang:nif_error(nif_not_loaded).

-spec start(handle(), reference(), options()) -> step().
start(_Handle, _Ref, _Options) -> erlang:nif_error(nif_not_loaded).

-spec take_printed(handle()) -> {ok, [{stdout | stderr, binary()}]} | {error, term()}.
take_printed(_Handle) -> erlang:nif_error(nif_not_loaded).

-spec start_dirty(handle(), reference(), options()) -> step().
start_dirty(_Handle, _Ref, _Options) -> erlang:nif_error(nif_not_loaded).

-spec call(handle(), reference(), ticket(), binary() | non_neg_integer(), list(), options(), responder()) -> step().
call(_Handle, _Ref, _Ticket, _Func, _Args, _Options, _Responder) -> erlang:nif_error(nif_not_loaded).

-spec resume(handle(), reference(), ticket(), deadline(), responder()) -> step().
resume(_Handle, _Ref, _Ticket, _Deadline, _Responder) -> erlang:nif_error(nif_not_loaded).

-spec answer(handle(), reference(), ticket(), handle(), list() | binary() | pass) -> step().
answer(_Handle, _Ref, _Ticket, _Scope, _Answer) -> erlang:nif_error(nif_not_loaded).

-spec respond(handle(), list() | binary() | pass) -> ok | {error, no_pending_import | not_interceptable}.
respond(_Scope, _Answer) -> erlang:nif_error(nif_not_loaded).

-spec respond_dirty(handle(), list() | binary()) -> ok | {error, no_pending_import}.
respond_dirty(_Scope, _Answer) -> erlang:nif_error(nif_not_loaded).

-spec cancel(handle(), ticket()) -> boolean() | done.
cancel(_Handle, _Ticket) -> erlang:nif_error(nif_not_loaded).

-spec stop(handle()) -> ok | {error, not_local}.
stop(_Handle) -> erlang:nif_error(nif_not_loaded).

-spec hold(handle(), reference(), ticket()) -> {ok, Scope :: handle(), ticket()} | {error, term()} | wait().
hold(_Handle, _Ref, _Ticket) -> erlang:nif_error(nif_not_loaded).

%% A message `{hb_wasm64, Ref, turn}' comes when the instance is stopped.
-spec watch(handle(), reference()) -> ok | {error, stopped | not_local}.
watch(_Handle, _Ref) -> erlang:nif_error(nif_not_loaded).

-spec status(handle()) -> {ok, idle | running | suspended} | {error, term()}.
status(_Handle) -> erlang:nif_error(nif_not_loaded).

-spec host(handle()) -> {ok, emscripten | wasi | assemblyscript | none} | {error, not_local}.
host(_Handle) -> erlang:nif_error(nif_not_loaded).

-spec describe(handle(), reference(), deadline()) ->
    {ok, hb_wasm64:description()} | {error, term()} | {wait, job()}.
describe(_Handle, _Ref, _Deadline) -> erlang:nif_error(nif_not_loaded).

-spec unserved(Module :: binary(), Func :: binary()) -> zeros | exit | unsupported | integer().
unserved(_Module, _Func) -> erlang:nif_error(nif_not_loaded).

-spec memory_size(handle(), reference(), ticket()) -> {ok, non_neg_integer()} | {error, term()} | wait().
memory_size(_Handle, _Ref, _Ticket) -> erlang:nif_error(nif_not_loaded).

-spec output(handle(), reference(), ticket(), deadline()) ->
    {ok, {Output :: binary(), ErrorOutput :: binary()}} | {error, term()} | wait().
output(_Handle, _Ref, _Ticket, _Deadline) -> erlang:nif_error(nif_not_loaded).

-spec read(handle(), reference(), ticket(), non_neg_integer(), non_neg_integer()) ->
    {ok, binary()} | {error, term()} | wait().
read(_Handle, _Ref, _Ticket, _Offset, _Size) -> erlang:nif_error(nif_not_loaded).

-spec read_dirty(handle(), reference(), ticket(), deadline(), non_neg_integer(), non_neg_integer()) ->
    {ok, binary()} | {error, term()} | wait().
read_dirty(_Handle, _Ref, _Ticket, _Deadline, _Offset, _Size) -> erlang:nif_error(nif_not_loaded).

-spec put_file(handle(), reference(), ticket(), deadline(), binary(), {binary(), Time :: non_neg_integer()}) ->
    ok | {error, term()} | wait().
put_file(_Handle, _Ref, _Ticket, _Deadline, _Path, _Contents) -> erlang:nif_error(nif_not_loaded).

-spec put_lazy_file(
    handle(), reference(), ticket(), deadline(), binary(), {Size :: non_neg_integer(), Time :: non_neg_integer()}
) -> ok | {error, term()} | wait().
put_lazy_file(_Handle, _Ref, _Ticket, _Deadline, _Path, _Size) -> erlang:nif_error(nif_not_loaded).

-spec fill_file(handle(), reference(), ticket(), deadline(), binary(), {Offset :: non_neg_integer(), binary()}) ->
    ok | {error, term()} | wait().
fill_file(_Handle, _Ref, _Ticket, _Deadline, _Path, _Part) -> erlang:nif_error(nif_not_loaded).

-spec read_file(handle(), reference(), ticket(), deadline(), {binary(), Most :: non_neg_integer()}) -> {ok, binary()} | {error, term()} | wait().
read_file(_Handle, _Ref, _Ticket, _Deadline, _Path) -> erlang:nif_error(nif_not_loaded).

-spec list_files(handle(), reference(), ticket(), deadline(), binary()) ->
    {ok, [{binary(), hb_wasm64:file_kind()}]} | {error, term()} | wait().
list_files(_Handle, _Ref, _Ticket, _Deadline, _Path) -> erlang:nif_error(nif_not_loaded).

-spec remove_file(handle(), reference(), ticket(), deadline(), binary(), non_neg_integer()) ->
    ok | {error, term()} | wait().
remove_file(_Handle, _Ref, _Ticket, _Deadline, _Path, _Time) -> erlang:nif_error(nif_not_loaded).

-spec read_all(handle(), reference(), ticket(), deadline()) -> {ok, binary()} | {error, term()} | wait().
read_all(_Handle, _Ref, _Ticket, _Deadline) -> erlang:nif_error(nif_not_loaded).

-spec write(handle(), reference(), ticket(), non_neg_integer(), binary()) -> ok | {error, term()} | wait().
write(_Handle, _Ref, _Ticket, _Offset, _Binary) -> erlang:nif_error(nif_not_loaded).

-spec write_dirty(handle(), reference(), ticket(), deadline(), non_neg_integer(), binary()) ->
    ok | {error, term()} | wait().
write_dirty(_Handle, _Ref, _Ticket, _Deadline, _Offset, _Binary) -> erlang:nif_error(nif_not_loaded).

-spec write_all(handle(), reference(), ticket(), deadline(), binary()) -> ok | {error, term()} | wait().
write_all(_Handle, _Ref, _Ticket, _Deadline, _Binary) -> erlang:nif_error(nif_not_loaded).

-spec read_string(handle(), reference(), ticket(), non_neg_integer(), Max :: non_neg_integer()) ->
    {ok, binary()} | more | {error, term()} | wait().
read_string(_Handle, _Ref, _Ticket, _Offset, _Max) -> erlang:nif_error(nif_not_loaded).

-spec read_string_dirty(handle(), reference(), ticket(), deadline(), non_neg_integer(), Max :: non_neg_integer()) ->
    {ok, binary()} | more | {error, term()} | wait().
read_string_dirty(_Handle, _Ref, _Ticket, _Deadline, _Offset, _Max) -> erlang:nif_error(nif_not_loaded).

-spec grow(handle(), reference(), ticket(), deadline(), non_neg_integer()) -> step().
grow(_Handle, _Ref, _Ticket, _Deadline, _Bytes) -> erlang:nif_error(nif_not_loaded).

-spec snapshot(handle(), reference(), ticket(), deadline(), Compressed :: boolean(), Base :: [binary()]) ->
    {ok, binary()} | {error, term()} | {yielded, ticket()} | wait().
snapshot(_Handle, _Ref, _Ticket, _Deadline, _Compressed, _Base) -> erlang:nif_error(nif_not_loaded).

-spec read_state(handle(), reference(), ticket(), deadline()) ->
    {ok, {Memory :: binary(), Rest :: binary() | none}} | {error, term()} | {yielded, ticket()} | wait().
read_state(_Handle, _Ref, _Ticket, _Deadline) -> erlang:nif_error(nif_not_loaded).

-spec merge(reference(), deadline(), [binary()]) -> {ok, binary()} | {error, term()} | {wait, job()}.
merge(_Ref, _Deadline, _Snapshots) -> erlang:nif_error(nif_not_loaded).

-spec give_up_job(job()) -> boolean().
give_up_job(_Job) -> erlang:nif_error(nif_not_loaded).

-spec restore(handle(), reference(), ticket(), deadline(), {raw | whole, [binary()]}, options()) -> step().
restore(_Handle, _Ref, _Ticket, _Deadline, _State, _Options) -> erlang:nif_error(nif_not_loaded).

-spec fork(handle(), reference(), ticket(), deadline(), handle()) -> step().
fork(_Handle, _Ref, _Ticket, _Deadline, _Other) -> erlang:nif_error(nif_not_loaded).

-spec renew(handle(), reference(), ticket(), deadline(), handle(), options()) -> step().
renew(_Handle, _Ref, _Ticket, _Deadline, _Other, _Options) -> erlang:nif_error(nif_not_loaded).

%% A reference for a call that `Driver' drives for the calling process. One message `{hb_wasm64, Ref, {done, Result}}' comes
%% of it, when the driver says so or dies, unless it is cancelled before.
-spec async_new(Driver :: pid()) -> reference().
async_new(_Driver) -> erlang:nif_error(nif_not_loaded).

-spec async_done(reference(), hb_wasm64_call:result()) -> ok.
async_done(_Ref, _Result) -> erlang:nif_error(nif_not_loaded).

%% The driver; `undefined' for a reference that is none of {@link async_new/1}.
-spec async_cancel(reference()) -> Driver :: pid() | undefined.
async_cancel(_Ref) -> erlang:nif_error(nif_not_loaded).

-spec log_to(pid()) -> ok.
log_to(_Pid) -> erlang:nif_error(nif_not_loaded).

-spec logged(Number :: non_neg_integer()) -> ok.
logged(_Number) -> erlang:nif_error(nif_not_loaded).

-spec log_level(off | error | warning | info | debug) -> ok.
log_level(_Level) -> erlang:nif_error(nif_not_loaded).

-spec time_slice(pos_integer()) -> ok | false.
time_slice(_Microseconds) -> erlang:nif_error(nif_not_loaded).

-spec set_limit(memory | table | image | cached_images | cached_bytes, non_neg_integer()) -> ok | false.
set_limit(_Limit, _Value) -> erlang:nif_error(nif_not_loaded).

-spec keep_on_disk(Directory :: binary(), Key :: binary(), non_neg_integer()) -> ok | {error, {host, binary()}}.
keep_on_disk(_Directory, _Key, _Bytes) -> erlang:nif_error(nif_not_loaded).

-spec image_hash(image()) -> binary().
image_hash(_Image) -> erlang:nif_error(nif_not_loaded).

-spec artifact(reference(), deadline(), image(), Key :: binary()) -> {ok, binary()} | {error, term()} | {wait, job()}.
artifact(_Ref, _Deadline, _Image, _Key) -> erlang:nif_error(nif_not_loaded).

-spec load_artifact(reference(), deadline(), binary(), Key :: binary()) -> {ok, image()} | {error, term()} | {wait, job()}.
load_artifact(_Ref, _Deadline, _Artifact, _Key) -> erlang:nif_error(nif_not_loaded).

-spec keep_nothing_on_disk() -> ok.
keep_nothing_on_disk() -> erlang:nif_error(nif_not_loaded).

-spec is_lowered(memory | table | image) -> boolean().
is_lowered(_Limit) -> erlang:nif_error(nif_not_loaded).

%% Nanoseconds of a clock that only goes forward: the one that deadlines are compared with.
-spec now() -> integer().
now() -> erlang:nif_error(nif_not_loaded).
