%% Instances that do not arrive on the other node: they stay, as they were.
-module(hb_wasm64_migrate_faults_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_state_support, [run/2, snapshot/1, hash/1]).
-import(hb_migrate_support, [on_node/2, stop_on/2, changed_instance/0, large_instance/0]).
-import(hb_migrate_support, [result_of/1, stop_halfway/2, stop_halfway/3, resume/1, assert_usable/1, assert_moves/2]).

migrate_test_() ->
    hb_migrate_support:on_two_nodes([
        {"within a call nothing moves", fun within_a_call/1},
        {"what cannot be captured stays", fun uncapturable/1},
        {"what is no node is refused", fun no_node/1},
        {"what is no instance does not move", fun no_instance/1},
        {"a node with another protocol refuses", fun other_protocol/1},
        {"what is no process is no holder", fun no_holder/1},
        {"a broken connection leaves it here", fun disconnected/1},
        {"a receiver that is killed leaves it here", fun receiver_killed/1},
        {"a receiver that takes too long leaves it here", fun receiver_too_slow/1},
        {"a mover that is killed in the middle leaves it here", fun mover_killed/1},
        {"a mover that is frozen and killed leaves it here", fun frozen_mover_killed/1},
        {"a mover that is killed when it has arrived leaves it here", fun mover_killed_late/1},
        {"a connection that breaks when it has arrived leaves both", fun disconnected_late/1},
        {"an instance stopped on its way is stopped", fun stopped_on_its_way/1}
    ]).

%% Each with another node of its own.
nodes_that_fail_test_() ->
    [{Title, {timeout, 300, fun() ->
        [{Here, _}] = hb_support:nodes(1),
        {There, Node} = Other(),
        unlink(There),
        ok = hb_support:on_peer(Here, fun() -> Test(Node) end),
        _ = catch peer:stop(There),
        ok = peer:stop(Here)
    end}} || {Title, Other, Test} <- [
        {"a node that ends in the middle leaves it here", fun other/0, fun node_ends/1},
        {"a node without the library leaves it here", fun hb_support:bare_node/0, fun node_without_library/1},
        {"a node that is frozen is waited for until its connection is given up", fun other/0, fun node_frozen/1}
    ]].

other() -> hd(hb_support:nodes(1)).

%% What is refused

within_a_call(Other) ->
    H = hb_state_support:start(),
    {Seen, [7]} = hb_state_support:within_an_import(H, fun(Scope) -> [hb_wasm64:migrate(Scope, Other), hb_wasm64:migrate(H, Other)] end),
    [?assertMatch({error, {uncapturable, <<_, _/binary>>}}, Answer) || Answer <- Seen],
    assert_usable(H).

uncapturable(Other) ->
    H = hb_state_support:start(),
    [[]] = run(H, [{"set_extern", [7]}]),
    ?assertMatch({error, {uncapturable, <<_, _/binary>>}}, hb_wasm64:migrate(H, Other)),
    ?assertEqual([[funcref, null, externref]], [[R1, R2, case R3 of 7 -> externref; _ -> R3 end] || [R1, R2, R3] <- run(H, [{"references", []}])]),
    [[]] = run(H, [{"set_extern", [null]}]),
    assert_usable(H).

no_node(_Other) ->
    H = changed_instance(),
    Before = hash(H),
    [?assertMatch({error, {node, _}}, hb_wasm64:migrate(H, Node)) || Node <- ['nosuch@127.0.0.1', nosuch, '']],
    [?assertMatch({error, {invalid_args, #{position := 2}}}, hb_wasm64:migrate(H, Node)) || Node <- ["x@127.0.0.1", <<"x">>, self(), 1, {}]],
    ?assert(Before =:= hash(H)),
    assert_usable(H).

%% Nodes whose versions of this library differ in what they tell each other.
other_protocol(Other) ->
    Move = #{from => self(), ref => alias(), hash => <<>>, bounds => #{}, holder => none, timeout => infinity},
    Receiver = erpc:call(Other, fun() -> spawn(hb_wasm64_migrate, accept, [999, Move]) end),
    ?assertEqual({error, {node, {protocol, 999, 2}}}, receive {_, Answer} -> Answer after 60_000 -> nothing end),
    ?assert(hb_support:wait_until(fun() -> not erpc:call(Other, erlang, is_process_alive, [Receiver]) end)),
    ok.

no_holder(Other) ->
    H = hb_state_support:start(),
    [?assertEqual({error, {invalid_option, holder, Holder}}, hb_wasm64:migrate(H, Node, #{holder => Holder}))
     || Holder <- [undefined, name, make_ref(), 1], Node <- [Other, node()]],
    assert_usable(H).

no_instance(Other) ->
    H = hb_state_support:start(),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:migrate(H, Other)),
    ?assertEqual({error, not_local}, hb_wasm64:migrate(make_ref(), Other)),
    There = on_node(Other, fun() -> make_ref() end),
    ?assertEqual({error, not_local}, hb_wasm64:migrate(There, Other)),
    ok.

%% What breaks

disconnected(Other) ->
    H = large_instance(),
    Before = hash(H),
    {Mover, Receiver} = stop_halfway(H, Other),
    true = erlang:disconnect_node(Other),
    ?assertEqual({error, {node, noconnection}}, result_of(Mover)),
    ?assert(Before =:= hash(H)),
    assert_usable(H),
    true = net_kernel:connect_node(Other),
    resume(Receiver),
    assert_moves(H, Other).

receiver_killed(Other) ->
    H = large_instance(),
    Before = hash(H),
    {Mover, Receiver} = stop_halfway(H, Other),
    exit(Receiver, kill),
    ?assertEqual({error, {node, killed}}, result_of(Mover)),
    ?assert(Before =:= hash(H)),
    assert_usable(H),
    assert_moves(H, Other).

receiver_too_slow(Other) ->
    H = large_instance(),
    Before = hash(H),
    {Mover, Receiver} = stop_halfway(H, Other, #{timeout => 8000}),
    ?assertEqual({error, timeout}, result_of(Mover)),
    ?assert(Before =:= hash(H)),
    assert_usable(H),
    resume(Receiver),
    assert_moves(H, Other).

mover_killed(Other) ->
    H = large_instance(),
    Before = hash(H),
    {Mover, Receiver} = stop_halfway(H, Other),
    unlink(Mover),
    exit(Mover, kill),
    ?assertMatch({ok, [_]}, hb_wasm64:call(H, "size", [], #{timeout => 60_000})),
    ?assert(Before =:= hash(H)),
    resume(Receiver),
    assert_usable(H),
    assert_moves(H, Other).

frozen_mover_killed(Other) ->
    H = large_instance(),
    Before = hash(H),
    {Mover, Receiver} = stop_halfway(H, Other),
    true = erlang:suspend_process(Mover),
    resume(Receiver),
    unlink(Mover),
    exit(Mover, kill),
    ?assertMatch({ok, [_]}, hb_wasm64:call(H, "size", [], #{timeout => 60_000})),
    ?assert(Before =:= hash(H)),
    assert_usable(H).

%% The one there has started, and the mover does not know it yet. A process of
%% the test is the mover, and stops at this point.
mover_killed_late(Other) ->
    {Player, There} = arrived(hb_state_support:start(), Other),
    ?assertMatch({ok, _}, erpc:call(Other, hb_wasm64, status, [There])),
    exit(Player, kill),
    ?assert(hb_support:wait_until(fun() -> element(1, erpc:call(Other, hb_wasm64, status, [There])) =:= error end)),
    ok.

%% Rather two than none: it cannot be known there which of them it is.
disconnected_late(Other) ->
    ok = erpc:call(Other, logger, set_primary_config, [level, error]),
    {Player, There} = arrived(hb_state_support:start(), Other),
    true = erlang:disconnect_node(Other),
    true = net_kernel:connect_node(Other),
    exit(Player, kill),
    timer:sleep(200),
    ?assertMatch({ok, [[1, 1, 1]]}, {ok, on_node(Other, fun() -> run(There, [{"sizes", []}]) end)}),
    stop_on(Other, There).

arrived(H, Other) ->
    Test = self(),
    Snapshot = snapshot(H),
    {ok, #{image := Hash}} = hb_wasm64:describe(H),
    _ = on_node(Other, fun() -> hb_state_support:start(), ok end),
    Player = spawn(fun() ->
        Ref = alias(),
        Move = #{from => self(), ref => Ref, hash => Hash, bounds => #{}, holder => self(), timeout => infinity},
        Receiver = spawn(Other, hb_wasm64_migrate, accept, [2, Move]),
        receive {Ref, have_image} -> Receiver ! {Ref, last, Snapshot} end,
        receive {Ref, next} -> ok end,
        receive {Ref, {started, There}} -> Test ! {self(), There} end,
        receive never -> ok end
    end),
    receive {Player, There} -> {Player, There}
    after 60_000 -> error(nothing)
    end.

stopped_on_its_way(Other) ->
    H = large_instance(),
    {Mover, Receiver} = stop_halfway(H, Other),
    ok = hb_wasm64:stop(H),
    resume(Receiver),
    ?assertEqual({error, stopped}, result_of(Mover)),
    ?assertEqual({error, stopped}, hb_wasm64:status(H)),
    ok.

node_ends(Other) ->
    H = large_instance(),
    Before = hash(H),
    {Mover, _} = stop_halfway(H, Other),
    ok = erpc:cast(Other, erlang, halt, [1, [{flush, false}]]),
    ?assertEqual({error, {node, noconnection}}, result_of(Mover)),
    ?assert(Before =:= hash(H)),
    assert_usable(H),
    ?assertMatch({error, {node, _}}, hb_wasm64:migrate(H, Other)).

node_without_library(Other) ->
    H = changed_instance(),
    Before = hash(H),
    ?assertMatch({error, {node, {undef, _}}}, hb_wasm64:migrate(H, Other)),
    ?assert(Before =:= hash(H)),
    assert_usable(H).

node_frozen(Other) ->
    H = large_instance(),
    Before = hash(H),
    OsPid = erpc:call(Other, os, getpid, []),
    {Mover, _} = stop_halfway(H, Other),
    _ = os:cmd("kill -STOP " ++ OsPid),
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "size", [], #{timeout => 100})),
    true = erlang:disconnect_node(Other),
    Result = result_of(Mover),
    _ = os:cmd("kill -KILL " ++ OsPid),
    ?assertEqual({error, {node, noconnection}}, Result),
    ?assert(Before =:= hash(H)),
    assert_usable(H).
