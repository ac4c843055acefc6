%% @doc The state of instances: snapshots, restoring, forking. The functions of {@link hb_wasm64} by the same names.
-module(hb_wasm64_state).

-export([snapshot/2, restore/3, merge/1, fork/2, read_state/1, write_state/3]).
-export([restoring/2]).

%% A snapshot was taken later than anything that runs at a start.
-define(NOTHING, {nothing, 0}).

-spec snapshot(hb_wasm64:handle(), term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
snapshot(Handle, Options) when is_map(Options) ->
    Base = maps:get(base, Options, []),
    case {maps:get(compress, Options, false), snapshots(Base), hb_wasm64_run:deadline(Options)} of
        {Compress, _, _} when not is_boolean(Compress) ->
            {error, {invalid_option, compress, Compress}};
        {_, error, _} ->
            {error, {invalid_option, base, Base}};
        {_, _, {error, _} = Error} ->
            Error;
        {Compress, {ok, Snapshots}, {ok, Deadline}} ->
            Take = fun(Ref, Ticket) -> hb_wasm64_nif:snapshot(Handle, Ref, Ticket, Compress, Snapshots) end,
            hb_wasm64_run:in_turn(Handle, Deadline, Take)
    end;
snapshot(_Handle, Options) ->
    {error, {invalid_option, options, Options}}.

%% Of the options of a call only the timeout means something here.
run(Handle, Operation, Options) when is_map(Options) ->
    case hb_wasm64_run:operation(Handle, Operation, maps:with([timeout], Options)) of
        {ok, Run} ->
            case hb_wasm64_run:sync(Run, zero, none) of
                {ok, [], none} -> ok;
                {error, Reason, none} -> {error, Reason}
            end;
        {error, _} = Error ->
            Error
    end;
run(_Handle, _Operation, Options) ->
    {error, {invalid_option, options, Options}}.

-spec restore(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
restore(Handle, Snapshot, Options) ->
    case snapshots(Snapshot) of
        {ok, Snapshots} ->
            run(Handle, {restore, whole, Snapshots, ?NOTHING}, Options);
        error ->
            {error, hb_wasm64_run:wrong_argument("restore(Handle, Snapshot)", [Handle, Snapshot], 2)}
    end.

-spec merge(term()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
merge(Snapshot) ->
    case snapshots(Snapshot) of
        {ok, Snapshots} ->
            {ok, Deadline} = hb_wasm64_run:deadline(#{}),
            hb_wasm64_run:job(Deadline, fun(Ref) -> hb_wasm64_nif:merge(Ref, Snapshots) end);
        error -> {error, hb_wasm64_run:wrong_argument("merge(Snapshot)", [Snapshot], 1)}
    end.

-spec fork(hb_wasm64:handle(), term()) -> {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
fork(Handle, Options) ->
    case hb_wasm64_nif:new_sibling(Handle) of
        {ok, Other} ->
            case run(Handle, {fork, Other}, Options) of
                ok -> {ok, Other};
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

-spec read_state(hb_wasm64:handle()) -> {ok, binary(), binary() | none} | {error, hb_wasm64:reason()}.
read_state(Handle) ->
    case hb_wasm64_run:in_turn(Handle, fun(Ref, Ticket) -> hb_wasm64_nif:read_state(Handle, Ref, Ticket) end) of
        {ok, {Memory, Rest}} -> {ok, Memory, Rest};
        {error, _} = Error -> Error
    end.

-spec write_state(hb_wasm64:handle(), term(), term()) -> ok | {error, hb_wasm64:reason()}.
write_state(Handle, Memory, Rest) ->
    case restoring({raw, Memory, Rest}, {constructors, 0}) of
        {ok, Operation} ->
            run(Handle, Operation, #{});
        error ->
            Position = if is_binary(Memory) -> 3; true -> 2 end,
            Given = [Handle, Memory, Rest],
            {error, hb_wasm64_run:wrong_argument("write_state(Handle, Memory, Rest)", Given, Position)}
    end.

%% @doc What puts an instance into a state. Only raw memory alone has anything run: it tells nothing of the rest.
-spec restoring(term(), hb_wasm64_run:beginning()) -> {ok, hb_wasm64_run:operation()} | error.
restoring({raw, Memory, none}, Beginning) when is_binary(Memory) ->
    {ok, {restore, raw, [Memory], Beginning}};
restoring({raw, Memory, Rest}, _Beginning) when is_binary(Memory), is_binary(Rest) ->
    {ok, {restore, raw, [Memory, Rest], ?NOTHING}};
restoring(Snapshot, _Beginning) ->
    case snapshots(Snapshot) of
        {ok, Snapshots} -> {ok, {restore, whole, Snapshots, ?NOTHING}};
        error -> error
    end.

%% A snapshot as the list of its parts.
snapshots(Snapshot) when is_binary(Snapshot) -> {ok, [Snapshot]};
snapshots(Snapshots) when is_list(Snapshots) -> check(Snapshots, Snapshots);
snapshots(_Other) -> error.

check([], All) -> {ok, All};
check([Snapshot | Rest], All) when is_binary(Snapshot) -> check(Rest, All);
check(_Other, _All) -> error.
