%% @doc The state of instances: snapshots, restoring, forking. The functions of {@link hb_wasm64} by the same names.
-module(hb_wasm64_state).

-export([describe/2]).
-export([snapshot/2, snapshot/4, restore/3, merge/2, fork/2, renew/2, read_state/2, write_state/4]).

-spec describe(hb_wasm64:handle(), term()) -> {ok, hb_wasm64:description()} | {error, hb_wasm64:reason()}.
describe(Handle, Options) ->
    within(Options, fun(Deadline) ->
        hb_wasm64_call:job(Deadline, fun(Ref) -> hb_wasm64_nif:describe(Handle, Ref, Deadline) end)
    end).

-spec snapshot(hb_wasm64:handle(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
snapshot(Handle, Options) ->
    case hb_wasm64_options:parse(snapshot, Options) of
        {ok, Parsed} ->
            [Compress, Base] = [hb_wasm64_options:value(Key, Parsed) || Key <- [compress, base]],
            snapshot(Handle, Compress, Base, hb_wasm64_options:deadline(Parsed));
        {error, _} = Error ->
            Error
    end.

%% @doc The same with a deadline; no base is the empty list.
-spec snapshot(hb_wasm64:handle(), Compress :: boolean(), Base :: [binary()], hb_wasm64_deadline:deadline()) ->
    {ok, binary()} | {error, hb_wasm64:reason()}.
snapshot(Handle, Compress, Base, Deadline) ->
    Take = fun(Ref, Ticket) -> hb_wasm64_nif:snapshot(Handle, Ref, Ticket, Deadline, Compress, Base) end,
    hb_wasm64_call:single_step(Handle, Deadline, Take).

run(Handle, Operation, Deadline) ->
    case hb_wasm64_call:run(hb_wasm64_call:new(Handle, Operation, Deadline)) of
        {ok, []} -> ok;
        {error, _} = Error -> Error
    end.

-spec restore(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
restore(Handle, Snapshot, Options) ->
    case hb_wasm64_options:snapshots(Snapshot) of
        {ok, Snapshots} ->
            within(Options, fun(Deadline) -> run(Handle, {restore, {whole, Snapshots}, #{}}, Deadline) end);
        error ->
            {error, hb_wasm64_args:error("restore(Handle, Snapshot)", [Handle, Snapshot], 2)}
    end.

-spec merge(term(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
merge(Snapshot, Options) ->
    case hb_wasm64_options:snapshots(Snapshot) of
        {ok, Snapshots} ->
            within(Options, fun(Deadline) ->
                hb_wasm64_call:job(Deadline, fun(Ref) -> hb_wasm64_nif:merge(Ref, Deadline, Snapshots) end)
            end);
        error ->
            {error, hb_wasm64_args:error("merge(Snapshot)", [Snapshot], 1)}
    end.

-spec fork(hb_wasm64:handle(), term()) -> {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
fork(Handle, Options) ->
    within(Options, fun(Deadline) -> sibling(Handle, fun(Other) -> {fork, Other} end, Deadline) end).

sibling(Handle, Operation, Deadline) ->
    case hb_wasm64_nif:new_sibling(Handle) of
        {ok, Other} ->
            case run(Handle, Operation(Other), Deadline) of
                ok -> {ok, Other};
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

%% Where what it prints goes, and a state, are no options of this one.
-spec renew(hb_wasm64:handle(), term()) -> {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
renew(_Handle, #{snapshot := Snapshot}) ->
    {error, {invalid_option, snapshot, Snapshot}};
renew(_Handle, #{output := Output}) ->
    {error, {invalid_option, output, Output}};
renew(_Handle, #{initialize := main}) ->
    {error, {invalid_option, initialize, main}};
renew(Handle, Options) ->
    case hb_wasm64_options:parse(start, Options) of
        {ok, Parsed} ->
            Engine = hb_wasm64_options:engine(Parsed),
            sibling(Handle, fun(Other) -> {renew, Other, Engine} end, hb_wasm64_options:deadline(Parsed));
        {error, _} = Error ->
            Error
    end.

-spec read_state(hb_wasm64:handle(), term()) -> {ok, binary(), binary() | none} | {error, hb_wasm64:reason()}.
read_state(Handle, Options) ->
    within(Options, fun(Deadline) ->
        Read = fun(Ref, Ticket) -> hb_wasm64_nif:read_state(Handle, Ref, Ticket, Deadline) end,
        case hb_wasm64_call:single_step(Handle, Deadline, Read) of
            {ok, {Memory, SideState}} -> {ok, Memory, SideState};
            {error, _} = Error -> Error
        end
    end).

-spec write_state(hb_wasm64:handle(), term(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
write_state(Handle, Memory, SideState, Options) ->
    case hb_wasm64_options:state({raw, Memory, SideState}) of
        {ok, State} ->
            within(Options, fun(Deadline) -> run(Handle, {restore, State, #{}}, Deadline) end);
        error ->
            Position = if is_binary(Memory) -> 3; true -> 2 end,
            Given = [Handle, Memory, SideState],
            {error, hb_wasm64_args:error("write_state(Handle, Memory, SideState)", Given, Position)}
    end.

within(Options, Operation) ->
    case hb_wasm64_options:parse(operation, Options) of
        {ok, Parsed} -> Operation(hb_wasm64_options:deadline(Parsed));
        {error, _} = Error -> Error
    end.
