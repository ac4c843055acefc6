%% A second instance in the state of the first.
-module(hb_wasm64_fork_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_state_support, [run/2, snapshot/1, hash/1]).

a_fork_is_in_the_state_of_the_original_test() ->
    H = changed(),
    {ok, F} = hb_wasm64:fork(H),
    ?assertNotEqual(H, F),
    ?assert(hash(H) =:= hash(F)),
    ?assert(hb_state_support:raw(H) =:= hb_state_support:raw(F)),
    ?assertEqual(hb_wasm64:describe(H), hb_wasm64:describe(F)),
    ?assertEqual(hb_state_support:observe(H), hb_state_support:observe(F)),
    ?assert(hash(H) =:= hash(F)).

what_one_does_the_other_does_not_see_test() ->
    H = changed(),
    Before = hash(H),
    {ok, F} = hb_wasm64:fork(H),
    Calls = [{"put1", [0, 1]}, {"put2", [8, 2]}, {"put3", [16, 3]}, {"grow1", [1]}, {"grow2", [1]}, {"grow3", [1]}, {"set_i32", [4]},
             {"set_v128", [<<9:128>>]}, {"set_func", [1]}, {"set", [0, 3]}, {"set_hidden", [0, 1]}, {"grow_externs", [1, null]},
             {"data_drop2", []}, {"elem_drop2", []}],
    [
        begin
            Hash = hash(Still),
            [?assertMatch({_, _, Result} when is_list(Result), {Func, Args, hd(run(Changing, [{Func, Args}]))}) || {Func, Args} <- Calls],
            ?assertNot(Hash =:= hash(Changing)),
            ?assert(Hash =:= hash(Still))
        end
     || {Changing, Still} <- [{F, H}, {H, element(2, {ok, _} = hb_wasm64:fork(H))}]
    ],
    ?assertNot(Before =:= hash(H)).

a_fork_outlives_the_original_test() ->
    H = changed(),
    {ok, F} = hb_wasm64:fork(H),
    Expected = hb_state_support:observe(H),
    ok = hb_wasm64:stop(H),
    ?assertEqual(Expected, hb_state_support:observe(F)),
    {ok, G} = hb_wasm64:fork(F),
    ok = hb_wasm64:stop(F),
    ?assertEqual([[5]], run(G, [{"get1", [65528]}])).

%% As many as there are, at one time, by many processes.
many_fork_at_once_test_() ->
    {timeout, 300, fun() ->
        H = changed(),
        Before = hash(H),
        Test = self(),
        Forks = [spawn_link(fun() ->
            {ok, F} = hb_wasm64:fork(H),
            Same = hash(F) =:= Before,
            Test ! {self(), Same, run(F, [{"set_i64", [N]}, {"numbers", []}])}
        end) || N <- lists:seq(1, 50)],
        [receive {Fork, Same, [[], [_, I64 | _]]} -> ?assertEqual({true, N}, {Same, I64}) end || {N, Fork} <- lists:enumerate(Forks)],
        ?assert(Before =:= hash(H))
    end}.

%% An exponential number of instances would show.
a_fork_of_a_fork_is_one_test() ->
    H = changed(),
    Before = hash(H),
    Last = lists:foldl(fun(_, Handle) -> {ok, F} = hb_wasm64:fork(Handle), ok = hb_wasm64:stop(Handle), F end, H, lists:seq(1, 200)),
    ?assert(Before =:= hash(Last)),
    ?assertEqual({error, stopped}, hb_wasm64:fork(H)).

%% It runs once more, on zeros for imports, and nothing of that is seen.
a_start_function_does_not_show_test() ->
    {ok, H} = hb_wasm64:start(hb_support:guest("state_start")),
    _ = run(H, [{"fill", [100_000, 0, 5000]}, {"grow", [1]}, {"clear", [4]}]),
    {ok, F} = hb_wasm64:fork(H),
    ?assertEqual([[1], [0], [4], [0], indirect_call_to_null], run(F, [{"starts", []}, {"answer", []}, {"size", []}, {"load8", [102_000]}, {"call", [4, 0]}])),
    ?assert(hash(H) =:= hash(F)).

a_large_memory_is_forked_test() ->
    H = hb_support:start("memory"),
    [[1]] = run(H, [{"grow", [1023]}]),
    Bytes = rand:bytes(8_000_000),
    ok = hb_wasm64:write(H, 30_000_001, Bytes),
    {ok, F} = hb_wasm64:fork(H),
    {ok, Read} = hb_wasm64:read(F, 30_000_001, 8_000_000),
    ?assert(Bytes =:= Read),
    ?assertEqual({ok, 1024 * 65536}, hb_wasm64:memory_size(F)),
    ?assert(hash(H) =:= hash(F)).

%% No forks

within_a_call_there_is_no_fork_test() ->
    H = hb_state_support:start(),
    {Seen, [7]} = hb_state_support:within_an_import(H, fun(Scope) -> [hb_wasm64:fork(Scope), hb_wasm64:fork(H)] end),
    [?assertMatch({error, {uncapturable, <<_, _/binary>>}}, Answer) || Answer <- Seen],
    ?assertEqual([[2]], [[hd(R)] || R <- run(H, [{"numbers", []}])]),
    ?assertMatch({ok, _}, hb_wasm64:fork(H)).

a_fork_of_nothing_is_none_test() ->
    H = hb_state_support:start(),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:fork(H)),
    ?assertEqual({error, not_local}, hb_wasm64:fork(make_ref())).

%% A fork waits its turn, and is of what is there then.
a_fork_waits_for_the_end_of_the_call_test() ->
    H = hb_state_support:start(),
    {ok, Ref} = hb_wasm64:call_async(H, "ask", [5], #{}),
    Import = receive {hb_wasm64, Ref, {import, I, _}} -> I after 60_000 -> error(nothing) end,
    Test = self(),
    Forking = spawn_link(fun() -> Test ! {self(), hb_wasm64:fork(H)} end),
    ?assert(hb_support:wait_until(fun() -> process_info(Forking, status) =:= {status, waiting} end)),
    ok = hb_wasm64:respond(Import, {ok, [1]}),
    ?assertMatch({done, {ok, [_]}}, receive {hb_wasm64, Ref, Done} -> Done after 60_000 -> nothing end),
    {ok, F} = receive {Forking, Forked} -> Forked after 60_000 -> error(nothing) end,
    ?assert(hash(H) =:= hash(F)).

%% Who is killed while it forks leaves the original usable, and no fork.
a_killed_forker_frees_the_original_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("memory"),
        [[1]] = run(H, [{"grow", [1023]}]),
        ok = hb_wasm64:write(H, 0, rand:bytes(30_000_000)),
        Before = hash(H),
        [
            begin
                Forker = spawn(fun() -> hb_wasm64:fork(H) end),
                timer:sleep(Delay),
                hb_support:gone(Forker),
                ?assertEqual({ok, [1024]}, hb_wasm64:call(H, "size", [], #{timeout => 60_000}))
            end
         || Delay <- [0, 0, 1, 2, 5, 10]
        ],
        ?assert(Before =:= hash(H))
    end}.

%% Memory

three_hundred_forks_and_stops_leave_no_memory_behind_test_() ->
    flat("three hundred forks and stops", fun(H) -> {ok, F} = hb_wasm64:fork(H), ok = hb_wasm64:stop(F) end).

three_hundred_forks_that_nobody_uses_are_collected_test_() ->
    flat("three hundred forks that nobody uses", fun(H) -> {ok, _} = hb_wasm64:fork(H) end).

three_hundred_forgotten_forks_are_collected_test_() ->
    flat("three hundred forks that are forgotten", fun(H) -> {ok, F} = hb_wasm64:fork(H), {ok, [_]} = hb_wasm64:call(F, "mix", [5]) end).

three_hundred_snapshots_and_restores_leave_no_memory_behind_test_() ->
    flat("three hundred snapshots and restores", fun(H) ->
        ok = hb_wasm64:restore(H, snapshot(H)),
        {ok, Memory, Rest} = hb_wasm64:read_state(H),
        ok = hb_wasm64:write_state(H, Memory, Rest)
    end).

three_hundred_refused_forks_leave_no_memory_behind_test_() ->
    flat("three hundred forks that are refused", fun(H) ->
        {ok, []} = hb_wasm64:call(H, "set_extern", [7]),
        {error, {uncapturable, _}} = hb_wasm64:fork(H),
        {ok, []} = hb_wasm64:call(H, "set_extern", [null])
    end).

%% A VM of its own, as what other tests leave would show. Each state has 1 MB
%% in pages that were written.
flat(Title, Cycle) ->
    {Title, {timeout, 300, fun() ->
        Peer = hb_support:peer(),
        Growth = hb_support:on_peer(Peer, fun() ->
            H = changed(),
            [[_], []] = run(H, [{"grow1", [16]}, {"fill1", [0, 7, 1_000_000]}]),
            ok = repeat(100, H, Cycle),
            Before = hb_support:rss(),
            ok = repeat(300, H, Cycle),
            Grown = fun() -> erlang:garbage_collect(), hb_support:rss() - Before end,
            hb_support:wait_until(fun() -> Grown() < 50_000_000 end) orelse Grown()
        end),
        ok = peer:stop(Peer),
        ?assertEqual(true, Growth)
    end}}.

repeat(N, H, Cycle) ->
    lists:foreach(fun(I) -> _ = Cycle(H), I rem 100 =:= 0 andalso erlang:garbage_collect() end, lists:seq(1, N)).

changed() ->
    H = hb_state_support:start(),
    _ = run(H, hb_state_support:everything() ++ [{"put1", [65528, 5]}]),
    H.
