%% Instances that move to another node: two nodes and real distribution. The
%% tests run on one of them, `here', so that the VM of all the other tests is
%% no node.
-module(hb_wasm64_migrate_tests).

-include_lib("eunit/include/eunit.hrl").

%% For the other node.
-export([movers/0]).

-import(hb_state_test, [run/2, snapshot/1, hash/1]).

%% Without distribution all of this fails: there is nothing to skip it for.
migrate_test_() ->
    {setup, fun() -> hb_test:nodes(2) end, fun(Nodes) -> [peer:stop(Peer) || {Peer, _} <- Nodes] end,
        fun([{Here, Node}, {There, Other}]) ->
            [{Title, {timeout, 60, fun() ->
                true = peer:call(Here, net_kernel, connect_node, [Other], 10_000),
                ok = hb_test:on_peer(Here, fun() -> Test(Other) end),
                [?assert(hb_test:wait_until(fun() -> peer:call(P, ?MODULE, movers, []) =:= [] end)) || P <- [Here, There]],
                ?assertEqual(Node, peer:call(Here, erlang, node, []))
            end}} || {Title, Test} <- [
                {"the state arrives, and the handle is good there", fun arrives/1},
                {"the old one is stopped", fun old_one_is_stopped/1},
                {"who waited is told that it is stopped", fun waiting_callers/1},
                {"a call in progress is waited for", fun waits_for_a_call/1},
                {"an image that is there is not sent again", fun image_is_sent_once/1},
                {"an image that nobody has there is sent", fun unknown_image/1},
                {"it lives there while nobody holds it, and ends with stop", fun lives_until_stopped/1},
                {"to and fro, twice", fun to_and_fro/1},
                {"a hundred move at the same time", fun hundred_at_once/1},
                {"one that everybody moves is moved once", fun moved_once/1},
                {"to the node where it is", fun to_itself/1},
                {"64 MB arrive", fun large_state/1},
                {"within a call nothing moves", fun within_a_call/1},
                {"what cannot be captured stays", fun uncapturable/1},
                {"what is no node is refused", fun no_node/1},
                {"what is no instance does not move", fun no_instance/1},
                {"a broken connection leaves it here", fun disconnected/1},
                {"a receiver that is killed leaves it here", fun receiver_killed/1},
                {"a mover that is killed in the middle leaves it here", fun mover_killed/1},
                {"a mover that is killed when it has arrived leaves one of the two", fun mover_killed_late/1},
                {"an instance stopped on its way is stopped", fun stopped_on_its_way/1}
            ]]
        end}.

%% Each with another node of its own.
nodes_that_fail_test_() ->
    [{Title, {timeout, 60, fun() ->
        [{Here, _}, {There, Other}] = hb_test:nodes(2),
        unlink(There),
        ok = hb_test:on_peer(Here, fun() -> Test(Other) end),
        catch peer:stop(There),
        ok = peer:stop(Here)
    end}} || {Title, Test} <- [
        {"a node that ends in the middle leaves it here", fun node_ends/1},
        {"a node without the library leaves it here", fun node_without_library/1},
        {"a node that is frozen in the middle is waited for, and given up with its connection", fun node_frozen/1}
    ]].

%% What is done

arrives(Other) ->
    H = changed(),
    Snapshot = snapshot(H),
    {ok, Twin} = hb_wasm64:fork(H),
    {ok, New} = hb_wasm64:migrate(H, Other),
    ?assertEqual(Other, node(New)),
    ?assert(on(Other, fun() -> snapshot(New) end) =:= Snapshot),
    ?assertEqual(hb_state_test:observe(Twin), on(Other, fun() -> hb_state_test:observe(New) end)),
    ?assertEqual({ok, [4]}, erpc:call(Other, hb_wasm64, call, [New, "call", [3, 1]])),
    ?assertEqual({error, not_local}, hb_wasm64:call(New, "call", [3, 1])),
    over(Other, New).

old_one_is_stopped(Other) ->
    H = changed(),
    {ok, New} = hb_wasm64:migrate(H, Other),
    [?assertEqual({error, stopped}, Answer) || Answer <- [
        hb_wasm64:status(H), hb_wasm64:call(H, "sizes", []), hb_wasm64:snapshot(H), hb_wasm64:read(H, 0, 1), hb_wasm64:fork(H),
        hb_wasm64:migrate(H, Other)
    ]],
    ?assertEqual([], hb_test:flush()),
    over(Other, New).

waiting_callers(Other) ->
    H = large(),
    {Mover, Receiver} = halfway(H, Other),
    Test = self(),
    Waiting = [spawn_link(fun() -> Test ! {self(), Ask()} end) || Ask <- [
        fun() -> hb_wasm64:call(H, "size", []) end, fun() -> hb_wasm64:read(H, 0, 1) end, fun() -> hb_wasm64:snapshot(H) end,
        fun() -> hb_wasm64:fork(H) end, fun() -> hb_wasm64:migrate(H, Other) end, fun() -> hb_wasm64:memory_size(H) end
    ]],
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "size", [], #{timeout => 50})),
    [?assertEqual({status, waiting}, process_info(Pid, status)) || Pid <- Waiting],
    resume(Receiver),
    {ok, New} = result(Mover),
    [?assertEqual({error, stopped}, receive {Pid, Answer} -> Answer after 10_000 -> nothing end) || Pid <- Waiting],
    over(Other, New).

waits_for_a_call(Other) ->
    H = hb_state_test:start(),
    {ok, Ref} = hb_wasm64:call_async(H, "ask", [5], #{}),
    Import = receive {hb_wasm64, Ref, {import, I, _}} -> I after 5000 -> error(nothing) end,
    Mover = mover(H, Other),
    ?assert(hb_test:wait_until(fun() -> process_info(Mover, status) =:= {status, waiting} end)),
    ok = hb_wasm64:respond(Import, {ok, [1]}),
    ?assertEqual({done, {ok, [3]}}, receive {hb_wasm64, Ref, Done} -> Done after 5000 -> nothing end),
    {ok, New} = result(Mover),
    ?assertMatch([[2 | _]], on(Other, fun() -> run(New, [{"numbers", []}]) end)),
    over(Other, New).

image_is_sent_once(Other) ->
    Image = hb_test:fresh(hb_state_test:image()),
    {ok, First} = hb_wasm64:start(Image),
    {ok, Second} = hb_wasm64:start(Image),
    {New1, Sent1} = sent(First, Other),
    {New2, Sent2} = sent(Second, Other),
    %% Image and snapshot; then the snapshot alone.
    ?assertEqual({2, true}, {length(Sent1), lists:member(Image, Sent1)}),
    ?assertEqual({1, false}, {length(Sent2), lists:member(Image, Sent2)}),
    over(Other, New1),
    over(Other, New2).

%% The new instance, and the binaries that were sent for it.
sent(H, Other) ->
    Test = self(),
    Mover = spawn_link(fun() -> receive go -> Test ! {self(), hb_wasm64:migrate(H, Other)} end end),
    1 = erlang:trace(Mover, true, [send]),
    Mover ! go,
    {ok, New} = result(Mover),
    Delivered = erlang:trace_delivered(Mover),
    receive {trace_delivered, Mover, Delivered} -> ok end,
    {New, [Bytes || {trace, Pid, Send, {_, Kind, Bytes}, _} <- hb_test:flush(), Pid =:= Mover, Send =:= send orelse Send =:= send_to_non_existing_process,
                    Kind =:= last orelse Kind =:= piece]}.

unknown_image(Other) ->
    Image = hb_test:fresh(hb_state_test:image()),
    Hash = crypto:hash(sha256, Image),
    ?assertEqual(not_found, erpc:call(Other, hb_wasm64_nif, find_hash, [Hash])),
    {ok, H} = hb_wasm64:start(Image),
    {ok, New} = hb_wasm64:migrate(H, Other),
    ?assertMatch({ok, #{image := Hash}}, erpc:call(Other, hb_wasm64, describe, [New])),
    over(Other, New).

%% The process there that keeps it is the only one.
lives_until_stopped(Other) ->
    {ok, New} = hb_wasm64:migrate(changed(), Other),
    Bytes = term_to_binary(New),
    on(Other, fun() ->
        [erlang:garbage_collect(Pid) || Pid <- processes()],
        ?assertEqual({ok, idle}, hb_wasm64:status(binary_to_term(Bytes))),
        ?assertMatch([_], movers()),
        ok = hb_wasm64:stop(New)
    end),
    ?assertEqual({error, stopped}, erpc:call(Other, hb_wasm64, status, [New])),
    ?assert(hb_test:wait_until(fun() -> erpc:call(Other, ?MODULE, movers, []) =:= [] end)),
    Gone = fun() -> erpc:call(Other, hb_wasm64, status, [binary_to_term(Bytes)]) =:= {error, not_local} end,
    ?assert(hb_test:wait_until(fun() -> on(Other, fun() -> [erlang:garbage_collect(Pid) || Pid <- processes()], ok end), Gone() end)),
    ok.

to_and_fro(Other) ->
    Here = node(),
    H = changed(),
    {ok, Twin} = hb_wasm64:fork(H),
    Last = lists:foldl(fun(N, At) ->
        {ok, New} = hb_wasm64:migrate(At, Other),
        _ = run(Twin, [{"mix", [N]}]),
        ?assert(on(Other, fun() -> _ = run(New, [{"mix", [N]}]), snapshot(New) end) =:= snapshot(Twin)),
        {ok, Back} = erpc:call(Other, hb_wasm64, migrate, [New, Here]),
        ?assertEqual({error, stopped}, erpc:call(Other, hb_wasm64, status, [New])),
        ?assertEqual(Here, node(Back)),
        Back
    end, H, [1, 2]),
    ?assertEqual({error, stopped}, hb_wasm64:status(H)),
    ?assert(hash(Twin) =:= hash(Last)),
    ?assertEqual(hb_state_test:observe(Twin), hb_state_test:observe(Last)),
    over(Here, Last).

hundred_at_once(Other) ->
    Instances = [begin H = hb_state_test:start(), _ = run(H, [{"set_i64", [N]}]), {N, H} end || N <- lists:seq(1, 100)],
    Movers = [{N, mover(H, Other)} || {N, H} <- Instances],
    Moved = [{N, element(2, {ok, _} = result(Mover))} || {N, Mover} <- Movers],
    Seen = on(Other, fun() -> [{N, run(New, [{"numbers", []}])} || {N, New} <- Moved] end),
    ?assertEqual([], [N || {N, [[_, I64 | _]]} <- Seen, I64 =/= N]),
    [over(Other, New) || {_, New} <- Moved],
    ok.

moved_once(Other) ->
    H = large(),
    Results = [result(Mover) || Mover <- [mover(H, Other) || _ <- lists:seq(1, 10)]],
    ?assertMatch([{ok, _}], [R || {ok, _} = R <- Results]),
    ?assertEqual(9, length([R || {error, stopped} = R <- Results])),
    [over(Other, New) || {ok, New} <- Results],
    ok.

to_itself(_Other) ->
    H = changed(),
    Before = hash(H),
    {ok, New} = hb_wasm64:migrate(H, node()),
    ?assertEqual({error, stopped}, hb_wasm64:status(H)),
    ?assert(Before =:= hash(New)),
    over(node(), New).

large_state(Other) ->
    H = large(),
    {ok, Memory} = hb_wasm64:read_memory(H),
    {ok, New} = hb_wasm64:migrate(H, Other),
    ?assert(crypto:hash(sha256, Memory) =:= on(Other, fun() -> {ok, There} = hb_wasm64:read_memory(New), crypto:hash(sha256, There) end)),
    over(Other, New).

%% What is refused

within_a_call(Other) ->
    H = hb_state_test:start(),
    {Seen, [7]} = hb_state_test:within_an_import(H, fun(Scope) -> [hb_wasm64:migrate(Scope, Other), hb_wasm64:migrate(H, Other)] end),
    [?assertMatch({error, {uncapturable, <<_, _/binary>>}}, Answer) || Answer <- Seen],
    goes_on(H).

uncapturable(Other) ->
    H = hb_state_test:start(),
    [[]] = run(H, [{"set_extern", [7]}]),
    ?assertMatch({error, {uncapturable, <<_, _/binary>>}}, hb_wasm64:migrate(H, Other)),
    ?assertEqual([[funcref, null, externref]], [[R1, R2, case R3 of 7 -> externref; _ -> R3 end] || [R1, R2, R3] <- run(H, [{"references", []}])]),
    [[]] = run(H, [{"set_extern", [null]}]),
    goes_on(H).

no_node(_Other) ->
    H = changed(),
    Before = hash(H),
    [?assertMatch({error, {node, _}}, hb_wasm64:migrate(H, Node)) || Node <- ['nosuch@127.0.0.1', nosuch, '']],
    [?assertMatch({error, {invalid_args, #{position := 2}}}, hb_wasm64:migrate(H, Node)) || Node <- ["x@127.0.0.1", <<"x">>, self(), 1, {}]],
    ?assert(Before =:= hash(H)),
    goes_on(H).

no_instance(Other) ->
    H = hb_state_test:start(),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:migrate(H, Other)),
    ?assertEqual({error, not_local}, hb_wasm64:migrate(make_ref(), Other)),
    There = on(Other, fun() -> make_ref() end),
    ?assertEqual({error, not_local}, hb_wasm64:migrate(There, Other)),
    ok.

%% What breaks

disconnected(Other) ->
    H = large(),
    Before = hash(H),
    {Mover, Receiver} = halfway(H, Other),
    true = erlang:disconnect_node(Other),
    ?assertEqual({error, {node, noconnection}}, result(Mover)),
    ?assert(Before =:= hash(H)),
    goes_on(H),
    true = net_kernel:connect_node(Other),
    resume(Receiver),
    moves(H, Other).

receiver_killed(Other) ->
    H = large(),
    Before = hash(H),
    {Mover, Receiver} = halfway(H, Other),
    exit(Receiver, kill),
    ?assertEqual({error, {node, killed}}, result(Mover)),
    ?assert(Before =:= hash(H)),
    goes_on(H),
    moves(H, Other).

mover_killed(Other) ->
    H = large(),
    Before = hash(H),
    {Mover, Receiver} = halfway(H, Other),
    unlink(Mover),
    exit(Mover, kill),
    ?assertMatch({ok, [_]}, hb_wasm64:call(H, "size", [], #{timeout => 1000})),
    ?assert(Before =:= hash(H)),
    resume(Receiver),
    goes_on(H),
    moves(H, Other).

%% The one there has started, and this one does not know it yet.
mover_killed_late(Other) ->
    H = large(),
    Before = hash(H),
    {Mover, Receiver} = halfway(H, Other),
    true = erlang:suspend_process(Mover),
    resume(Receiver),
    %% It goes on with what is on its way, and then waits for the next piece.
    unlink(Mover),
    exit(Mover, kill),
    ?assertMatch({ok, [_]}, hb_wasm64:call(H, "size", [], #{timeout => 1000})),
    ?assert(Before =:= hash(H)),
    goes_on(H).

stopped_on_its_way(Other) ->
    H = large(),
    {Mover, Receiver} = halfway(H, Other),
    ok = hb_wasm64:stop(H),
    resume(Receiver),
    case result(Mover) of
        {error, stopped} -> ok;
        {ok, New} -> over(Other, New)
    end,
    ?assertEqual({error, stopped}, hb_wasm64:status(H)),
    ok.

node_ends(Other) ->
    H = large(),
    Before = hash(H),
    {Mover, _} = halfway(H, Other),
    ok = erpc:cast(Other, erlang, halt, [1, [{flush, false}]]),
    ?assertEqual({error, {node, noconnection}}, result(Mover)),
    ?assert(Before =:= hash(H)),
    goes_on(H),
    ?assertMatch({error, {node, _}}, hb_wasm64:migrate(H, Other)).

node_without_library(Other) ->
    H = changed(),
    Before = hash(H),
    ok = erpc:call(Other, fun() ->
        [code:del_path(Dir) || Dir <- code:get_path(), string:find(Dir, "hb_wasm64") =/= nomatch],
        ok
    end),
    ?assertMatch({error, {node, {undef, _}}}, hb_wasm64:migrate(H, Other)),
    ?assert(Before =:= hash(H)),
    goes_on(H).

node_frozen(Other) ->
    H = large(),
    Before = hash(H),
    OsPid = erpc:call(Other, os, getpid, []),
    {Mover, Receiver} = halfway(H, Other),
    resume(Receiver),
    _ = os:cmd("kill -STOP " ++ OsPid),
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "size", [], #{timeout => 100})),
    true = erlang:disconnect_node(Other),
    Result = result(Mover),
    _ = os:cmd("kill -KILL " ++ OsPid),
    ?assertEqual({error, {node, noconnection}}, Result),
    ?assert(Before =:= hash(H)),
    goes_on(H).

%% Support

changed() ->
    H = hb_state_test:start(),
    _ = run(H, hb_state_test:everything()),
    H.

%% 64 MB that cannot be compressed.
large() ->
    H = hb_test:start("memory"),
    {ok, [1]} = hb_wasm64:call(H, "grow", [1023]),
    ok = hb_wasm64:write(H, 128, rand:bytes(1024 * 65536 - 128)),
    H.

mover(H, Other) ->
    Test = self(),
    spawn_link(fun() -> Test ! {self(), hb_wasm64:migrate(H, Other)} end).

result(Mover) ->
    receive {Mover, Result} -> Result
    after 30_000 -> error(nothing)
    end.

%% Begins to move an instance, and stops the receiving process in the middle.
halfway(H, Other) ->
    Mover = mover(H, Other),
    Test = self(),
    Freezer = spawn(Other, fun() ->
        true = hb_test:wait_until(fun() -> [P || P <- movers(), pieces(P) > 3] =/= [] end, 20_000),
        [Receiver] = [P || P <- movers(), pieces(P) > 3],
        true = erlang:suspend_process(Receiver),
        Test ! {self(), Receiver},
        receive resume -> true = erlang:resume_process(Receiver) end,
        Test ! {self(), resumed}
    end),
    receive
        {Freezer, Receiver} ->
            put(Receiver, Freezer),
            {Mover, Receiver};
        {Mover, Result} ->
            error({arrived_already, Result})
    after 30_000 -> error(nothing)
    end.

%% What a process has of large binaries, in MB.
pieces(Pid) ->
    case process_info(Pid, binary) of
        {binary, Binaries} -> lists:sum([Size || {_, Size, _} <- Binaries]) div (1 bsl 20);
        undefined -> 0
    end.

resume(Receiver) ->
    Freezer = get(Receiver),
    Freezer ! resume,
    receive {Freezer, resumed} -> ok after 10_000 -> error(nothing) end.

%% The processes of this node that receive or keep an instance.
movers() -> [Pid || Pid <- processes(), process_info(Pid, initial_call) =:= {initial_call, {hb_wasm64_migrate, accept, 3}}].

on(Node, Fun) -> erpc:call(Node, Fun, 60_000).

goes_on(H) ->
    case hb_wasm64:describe(H) of
        {ok, #{exports := Exports}} ->
            ?assertEqual({ok, idle}, hb_wasm64:status(H)),
            case lists:keymember("mix", 2, Exports) of
                true -> ?assertMatch({ok, [_]}, hb_wasm64:call(H, "mix", [3], #{timeout => 5000}));
                false -> ?assertEqual({ok, []}, hb_wasm64:call(H, "store8", [3, 3], #{timeout => 5000}))
            end
    end,
    ?assertEqual([], [M || M <- hb_test:flush(), not is_pid(element(1, M))]),
    ok.

moves(H, Other) ->
    {ok, New} = hb_wasm64:migrate(H, Other),
    over(Other, New).

%% The end of an instance somewhere, and of the process that keeps it.
over(Node, H) ->
    ok = erpc:call(Node, hb_wasm64, stop, [H]),
    ok.
