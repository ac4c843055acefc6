%% Support for the tests of migration: two nodes, `here' and the other, and
%% instances on their way from one to the other.
-module(hb_migrate_support).

-include_lib("eunit/include/eunit.hrl").

-export([on_two_nodes/1, receivers/0, on_node/2, stop_on/2, changed_instance/0, large_instance/0, large_instance/1]).
-export([assert_usable/1, assert_moves/2]).
-export([start_move/2, result_of/1, stop_halfway/2, stop_halfway/3, resume/1, megabytes/1]).

-import(hb_state_support, [run/2]).

%% Tests of two nodes with real distribution: {Title, Fun of the name of the
%% other}. They run on one of the two, so that the VM of all the other tests is
%% no node. Without distribution all of them fail: there is nothing to skip
%% them for.
on_two_nodes(Tests) ->
    {setup, fun() -> hb_support:nodes(2) end, fun(Nodes) -> [peer:stop(Peer) || {Peer, _} <- Nodes] end,
        fun([{Here, Node}, {_, Other}]) ->
            [{Title, {timeout, 300, fun() ->
                true = peer:call(Here, net_kernel, connect_node, [Other], 60_000),
                ok = hb_support:on_peer(Here, fun() -> Test(Other) end),
                ?assertEqual(Node, peer:call(Here, erlang, node, []))
            end}} || {Title, Test} <- Tests ++ [{"nothing is left behind", fun nothing_left/1}]]
        end}.

nothing_left(Other) ->
    [?assert(hb_support:wait_until(fun() -> erpc:call(Node, ?MODULE, receivers, []) =:= [] end)) || Node <- [Other, node()]],
    ok.

changed_instance() ->
    H = hb_state_support:start(),
    _ = run(H, hb_state_support:everything()),
    H.

%% 8 MB that cannot be compressed, so that there are pieces to be stopped after.
large_instance() -> large_instance(128).

large_instance(Pages) ->
    H = hb_support:start("memory"),
    {ok, [1]} = hb_wasm64:call(H, "grow", [Pages - 1]),
    ok = hb_wasm64:write(H, 128, rand:bytes(Pages * 65536 - 128)),
    H.

start_move(H, Other) -> start_move(H, Other, #{}).

start_move(H, Other, Options) ->
    Test = self(),
    spawn_link(fun() -> Test ! {self(), hb_wasm64:migrate(H, Other, Options)} end).

result_of(Mover) ->
    receive {Mover, Result} -> Result
    after 60_000 -> error(nothing)
    end.

%% Begins to move an instance, and stops the receiving process in the middle:
%% when it has got the first of many pieces.
stop_halfway(H, Other) -> stop_halfway(H, Other, #{}).

stop_halfway(H, Other, Options) ->
    Test = self(),
    Freezer = spawn(Other, fun() ->
        %% This process comes first, and no other runs beside it: so the receiver gets no further while it is told of here.
        _ = process_flag(priority, max),
        _ = erlang:system_flag(multi_scheduling, block_normal),
        _ = erlang:trace(new_processes, true, ['receive']),
        _ = erlang:trace_pattern('receive', [{['_', '_', {'_', piece, '_'}], [], []}], []),
        Test ! {self(), watching},
        Receiver = receive {trace, Pid, 'receive', {_, piece, _}} -> Pid after 60_000 -> error(nothing) end,
        true = erlang:suspend_process(Receiver),
        _ = erlang:trace(all, false, [all]),
        _ = erlang:trace_pattern('receive', true, []),
        _ = erlang:system_flag(multi_scheduling, unblock_normal),
        Test ! {self(), Receiver},
        receive resume -> true = erlang:resume_process(Receiver) end,
        Test ! {self(), resumed}
    end),
    receive {Freezer, watching} -> ok after 60_000 -> error(nothing) end,
    Mover = start_move(H, Other, Options),
    receive
        {Freezer, Receiver} ->
            put(Receiver, Freezer),
            {Mover, Receiver};
        {Mover, Result} ->
            error({arrived_already, Result})
    after 60_000 -> error(nothing)
    end.

%% What a process has of large binaries, in MB.
megabytes(Pid) ->
    case process_info(Pid, binary) of
        {binary, Binaries} -> lists:sum([Size || {_, Size, _} <- Binaries]) div (1 bsl 20);
        undefined -> 0
    end.

resume(Receiver) ->
    Freezer = get(Receiver),
    Freezer ! resume,
    receive {Freezer, resumed} -> ok after 60_000 -> error(nothing) end.

%% The processes of this node that receive or keep an instance.
receivers() -> [Pid || Pid <- processes(), process_info(Pid, initial_call) =:= {initial_call, {hb_wasm64_migrate, accept, 2}}].

on_node(Node, Fun) -> erpc:call(Node, Fun, 300_000).

assert_usable(H) ->
    case hb_wasm64:describe(H) of
        {ok, #{exports := Exports}} ->
            ?assertEqual({ok, idle}, hb_wasm64:status(H)),
            case lists:keymember("mix", 2, Exports) of
                true -> ?assertMatch({ok, [_]}, hb_wasm64:call(H, "mix", [3], #{timeout => 60_000}));
                false -> ?assertEqual({ok, []}, hb_wasm64:call(H, "store8", [3, 3], #{timeout => 60_000}))
            end
    end,
    ?assertEqual([], [M || M <- hb_support:flush(), not is_pid(element(1, M))]),
    ok.

assert_moves(H, Other) ->
    {ok, New} = hb_wasm64:migrate(H, Other),
    stop_on(Other, New).

%% The end of an instance somewhere, and of the process that keeps it.
stop_on(Node, H) ->
    ok = erpc:call(Node, hb_wasm64, stop, [H]),
    ok.
