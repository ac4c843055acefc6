%% What an instance may have, and what it costs to get there.
-module(hb_wasm64_limits_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PAGE, 65536).
-define(PAGES_OF_4_GIB, 65536).
-define(PAGES_OF_16_GIB, 262144).

%% Growth

%% Nothing was written: nothing is to be copied, and nothing to be resident.
growth_beyond_4_gib_costs_what_is_used_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("growth"),
        {ok, []} = hb_wasm64:call(H, "store8", [100, 7]),
        Before = hb_support:rss(),
        Grow = fun(Of) ->
            ?assertEqual({ok, [1]}, hb_wasm64:call(Of, "grow1", [?PAGES_OF_4_GIB - 1], #{fuel => 100})),
            {Micros, Grown} = hb_support:micros(fun() -> hb_wasm64:call(Of, "grow1", [1], #{fuel => 100}) end),
            ?assertEqual({ok, [?PAGES_OF_4_GIB]}, Grown),
            Micros
        end,
        _ = Grow(H),
        %% Copying takes seconds.
        Outcome = hb_support:best_of(5, fun() ->
            Other = hb_support:start("growth"),
            Micros = Grow(Other),
            ok = hb_wasm64:stop(Other),
            Micros < 500_000 orelse Micros
        end),
        ?assertEqual(true, Outcome),
        {ok, []} = hb_wasm64:call(H, "store8", [?PAGES_OF_4_GIB * ?PAGE, 9]),
        ?assertEqual({ok, []}, hb_wasm64:call(H, "grow_often", [1000])),
        %% Two pages are other memories'.
        ?assertEqual({ok, [?PAGES_OF_4_GIB + 1001]},
                     hb_wasm64:call(H, "grow1", [?PAGES_OF_16_GIB - ?PAGES_OF_4_GIB - 1003])),
        ?assertEqual({ok, [7]}, hb_wasm64:call(H, "load8", [100])),
        ?assertEqual({ok, [9]}, hb_wasm64:call(H, "load8", [?PAGES_OF_4_GIB * ?PAGE])),
        Size = (?PAGES_OF_16_GIB - 2) * ?PAGE,
        ?assertEqual({ok, Size}, hb_wasm64:memory_size(H)),
        ?assertEqual({ok, <<0>>}, hb_wasm64:read(H, Size - 1, 1)),
        ?assert(hb_support:rss() - Before < 100_000_000),
        ok = hb_wasm64:stop(H)
    end}.

%% A host that grows the memory meets the same.
a_memory_grown_by_the_host_costs_what_is_used_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("growth"),
        Before = hb_support:rss(),
        ?assertEqual(ok, hb_wasm64:grow(H, (1 bsl 32) + 1)),
        ?assertEqual(ok, hb_wasm64:grow(H, (1 bsl 32) + ?PAGE + 1)),
        ?assertEqual({error, {limit, memory}}, hb_wasm64:grow(H, (1 bsl 34) + 1)),
        ?assertEqual({ok, (1 bsl 32) + 2 * ?PAGE}, hb_wasm64:memory_size(H)),
        ?assert(hb_support:rss() - Before < 100_000_000)
    end}.

%% Bounds

%% 16 GiB for all of them, not for each.
the_memories_of_an_instance_share_one_bound_test() ->
    H = hb_support:start("growth"),
    Grow = fun(Name, By) -> {ok, [Old]} = hb_wasm64:call(H, Name, [By]), Old end,
    ?assertEqual(1, Grow("grow1", 131071)),
    ?assertEqual(0, Grow("grow3", 65536)),
    %% Two pages of 16 GiB are the second memory's and the fourth's.
    ?assertEqual(-1, Grow("grow2", 65536)),
    ?assertEqual(-1, Grow("grow1", 65535)),
    ?assertEqual(1, Grow("grow2", 65533)),
    ?assertEqual(1, Grow("grow4", 1)),
    ?assertEqual([-1, -1, -1, -1], [Grow("grow" ++ N, 1) || N <- ["1", "2", "3", "4"]]),
    ?assertEqual([131072, 65534, 65536, 2], [Grow("grow" ++ N, 0) || N <- ["1", "2", "3", "4"]]).

%% What was refused is not used up, by whatever it was refused.
refused_growth_takes_nothing_test() ->
    H = hb_support:start("growth"),
    Grow = fun(Name, By) -> {ok, [Old]} = hb_wasm64:call(H, Name, [By]), Old end,
    Refused = [{"grow1", -1}, {"grow1", 1 bsl 62}, {"grow1", 262144}, {"grow2", -1}, {"grow2", 262144},
               {"grow3", 131073}, {"grow4", -1}, {"grow4", 65536}],
    [?assertEqual({Name, By, -1}, {Name, By, Grow(Name, By)}) || {Name, By} <- Refused],
    ?assertEqual([1, 1, 0, 1], [Grow("grow" ++ N, 1) || N <- ["1", "2", "3", "4"]]),
    [?assertEqual({Name, By, -1}, {Name, By, Grow(Name, By)}) || {Name, By} <- Refused],
    ?assertEqual(2, Grow("grow2", 262144 - 7)),
    ?assertEqual(-1, Grow("grow1", 1)),
    ?assertEqual([2, 262139, 1, 2], [Grow("grow" ++ N, 0) || N <- ["1", "2", "3", "4"]]).

%% Ten million elements for all of them. The table that holds functions for snapshots is not the image's.
the_tables_of_an_instance_share_one_bound_test() ->
    H = hb_support:start("growth"),
    ?assertEqual({ok, [1]}, hb_wasm64:call(H, "grow_functions", [5_999_999])),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "grow_objects", [3_999_999])),
    ?assertEqual({ok, [-1]}, hb_wasm64:call(H, "grow_functions", [2])),
    ?assertEqual({ok, [-1]}, hb_wasm64:call(H, "grow_objects", [2])),
    ?assertEqual({ok, [3_999_999]}, hb_wasm64:call(H, "grow_objects", [1])),
    ?assertEqual({ok, [-1]}, hb_wasm64:call(H, "grow_functions", [1])),
    %% Sizes that cannot be counted are refused like others, and only once.
    ?assertEqual({ok, [-1]}, hb_wasm64:call(H, "grow_functions", [-1])),
    ?assertEqual({ok, [6_000_000]}, hb_wasm64:call(H, "grow_functions", [0])).

%% (module (memory i64 131072) (memory i64 131072) (memory i64 1)), a page more than 16 GiB together, and
%% (module (table 6000000 funcref) (table 4000001 funcref)).
images_whose_sum_is_too_large_are_refused_test() ->
    Memory = <<4, 16#80, 16#80, 8>>,
    ?assertEqual({error, {limit, memory}},
                 hb_wasm64:start(<<0, "asm", 1:32/little, 5, 11, 3, Memory/binary, Memory/binary, 4, 1>>)),
    ?assertMatch({ok, _}, hb_wasm64:start(<<0, "asm", 1:32/little, 5, 9, 2, Memory/binary, Memory/binary>>)),
    ?assertEqual({error, {limit, table}},
                 hb_wasm64:start(<<0, "asm", 1:32/little, 4, 13, 2, 16#70, 0, 16#80, 16#9b, 16#ee, 2,
                                   16#70, 0, 16#81, 16#92, 16#f4, 1>>)).

%% A state of several large memories goes where it came from.
a_state_of_large_memories_is_restored_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("growth"),
        {ok, [1]} = hb_wasm64:call(H, "grow1", [131071]),
        {ok, [0]} = hb_wasm64:call(H, "grow3", [65536]),
        {ok, [1]} = hb_wasm64:call(H, "grow2", [65534]),
        {ok, []} = hb_wasm64:call(H, "store8", [131072 * ?PAGE - 1, 5]),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Twin} = hb_wasm64:start(hb_support:guest("growth"), #{snapshot => Snapshot}),
        {ok, Fork} = hb_wasm64:fork(H),
        [begin
             ?assertEqual({ok, [5]}, hb_wasm64:call(Each, "load8", [131072 * ?PAGE - 1])),
             ?assertEqual({ok, [-1]}, hb_wasm64:call(Each, "grow1", [1])),
             ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(Each))
         end || Each <- [H, Twin, Fork]]
    end}.

%% The node's own

%% A lower limit is seen by nobody as `-1': what exceeds it ends the call, and what another limit refuses is refused as ever.
a_lower_limit_of_the_node_ends_what_exceeds_it_test_() ->
    {timeout, 300, fun() ->
        Peer = hb_support:peer(),
        ok = hb_support:on_peer(Peer, fun() ->
            {ok, _} = application:ensure_all_started(hb_wasm64),
            Before = hb_support:start("growth"),
            ok = application:set_env(hb_wasm64, memory, 32 * ?PAGE),
            ok = application:set_env(hb_wasm64, table, 100),
            ok = application:stop(hb_wasm64),
            ok = application:start(hb_wasm64),
            H = hb_support:start("growth"),
            {ok, [1]} = hb_wasm64:call(H, "grow1", [20]),
            {ok, [0]} = hb_wasm64:call(H, "grow3", [9]),
            {error, {limit, memory}} = hb_wasm64:call(H, "grow2", [1]),
            {error, {limit, memory}} = hb_wasm64:call(H, "grow_often", [1]),
            {error, {limit, memory}} = hb_wasm64:grow(H, 22 * ?PAGE),
            {ok, [-1]} = hb_wasm64:call(H, "grow1", [262144]),
            {ok, [-1]} = hb_wasm64:call(H, "grow3", [131072]),
            {ok, [1]} = hb_wasm64:call(H, "grow_functions", [99]),
            {error, {limit, table}} = hb_wasm64:call(H, "grow_objects", [1]),
            {ok, [-1]} = hb_wasm64:call(H, "grow_functions", [10_000_000]),
            {ok, [21]} = hb_wasm64:call(H, "grow1", [0]),
            {error, {limit, memory}} = hb_wasm64:start(hb_support:guest("big_memory")),
            {error, {limit, table}} = hb_wasm64:start(hb_support:guest("big_table")),
            %% Whatever is started in its state is held to the same; an instance that was there before is not.
            {ok, Fork} = hb_wasm64:fork(H),
            {error, {limit, memory}} = hb_wasm64:call(Fork, "grow1", [3]),
            {ok, [1]} = hb_wasm64:call(Before, "grow1", [1000]),
            {ok, Snapshot} = hb_wasm64:snapshot(Before),
            {error, {limit, memory}} = hb_wasm64:start(hb_support:guest("growth"), #{snapshot => Snapshot}),
            {error, {limit, memory}} = hb_wasm64:restore(H, Snapshot),
            {ok, [21]} = hb_wasm64:call(H, "grow1", [0]),
            true = lib_wasm64_error:spoils({limit, memory}),
            true = lib_wasm64_error:is_of_node({limit, table}),
            ok
        end),
        ok = peer:stop(Peer)
    end}.

%% And whatever it is restored to.
an_instance_may_have_limits_of_its_own_test() ->
    Image = hb_support:guest("growth"),
    {ok, H} = hb_wasm64:start(Image, #{memory => 32 * ?PAGE, table => 100}),
    Free = hb_support:start("growth"),
    {ok, [1]} = hb_wasm64:call(Free, "grow1", [1000]),
    {ok, Snapshot} = hb_wasm64:snapshot(Free),
    Grow = fun(Name, By) -> hb_wasm64:call(H, Name, [By]) end,
    ?assertEqual({ok, [1]}, Grow("grow1", 29)),
    ?assertEqual({error, {limit, memory}}, Grow("grow3", 1)),
    ?assertEqual({ok, [-1]}, Grow("grow1", 262144)),
    ?assertEqual({ok, [1]}, Grow("grow_functions", 99)),
    ?assertEqual({error, {limit, table}}, Grow("grow_objects", 1)),
    ?assertEqual({error, {limit, memory}}, hb_wasm64:restore(H, Snapshot)),
    ?assertEqual({ok, [30]}, Grow("grow1", 0)),
    ?assertEqual({error, {limit, memory}}, hb_wasm64:start(Image, #{snapshot => Snapshot, memory => 100 * ?PAGE})),
    ?assertMatch({ok, _}, hb_wasm64:start(Image, #{snapshot => Snapshot, memory => 1003 * ?PAGE})),
    ?assertEqual({error, {limit, memory}}, hb_wasm64:start(Image, #{memory => 2 * ?PAGE})),
    ?assertEqual({error, {limit, table}}, hb_wasm64:start(Image, #{table => 0})),
    %% A limit above the node's is none.
    {ok, High} = hb_wasm64:start(Image, #{memory => 1 bsl 40, table => 1 bsl 40}),
    ?assertEqual({ok, [-1]}, hb_wasm64:call(High, "grow1", [262144])),
    [?assertEqual({error, {invalid_option, Key, Value}}, hb_wasm64:start(Image, #{Key => Value}))
     || {Key, Value} <- [{memory, -1}, {memory, infinity}, {table, 1.0}, {table, 1 bsl 64}]],
    ?assertEqual({error, {invalid_option, memory, 1}}, hb_wasm64:call(H, "load8", [0], #{memory => 1})).

%% Where every node has the same limit, what exceeds it is a fault of the image.
a_limit_of_every_node_is_none_of_this_one_test() ->
    [?assertNot(lib_wasm64_error:is_of_node({limit, Limit})) || Limit <- [memory, table, image]].

%% The image that is asked for last is kept, and nothing else.
a_node_may_take_smaller_images_and_keep_fewer_test_() ->
    {timeout, 300, fun() ->
        Peer = hb_support:peer(),
        ok = hb_support:on_peer(Peer, fun() ->
            Numbers = hb_support:guest("numbers"),
            ok = application:load(hb_wasm64),
            ok = application:set_env(hb_wasm64, image, byte_size(Numbers)),
            ok = application:set_env(hb_wasm64, cached_images, 1),
            {ok, _} = application:ensure_all_started(hb_wasm64),
            Kept = fun(Image) -> hb_wasm64_nif:find_hash(crypto:hash(sha256, Image)) =/= not_found end,
            Small = hb_support:guest("start_ok"),
            {ok, _} = hb_wasm64:start(Small),
            true = Kept(Small),
            {ok, _} = hb_wasm64:start(Numbers),
            [true, false] = [Kept(Numbers), Kept(Small)],
            {error, {limit, image}} = hb_wasm64:start(hb_support:fresh(Numbers)),
            true = lib_wasm64_error:is_of_node({limit, image}),
            ok
        end),
        ok = peer:stop(Peer)
    end}.

limits_out_of_range_are_refused_test_() ->
    {timeout, 300, fun() ->
        Peer = hb_support:peer(),
        Refused = hb_support:on_peer(Peer, fun() ->
            ok = application:load(hb_wasm64),
            [begin
                 {ok, Default} = application:get_env(hb_wasm64, Key),
                 ok = application:set_env(hb_wasm64, Key, Value),
                 {error, {Reason, _}} = application:start(hb_wasm64),
                 ok = application:set_env(hb_wasm64, Key, Default),
                 {Key, Value, Reason}
             end || {Key, Value} <- [{memory, (1 bsl 34) + 1}, {memory, -1}, {memory, infinity}, {memory, 1 bsl 64},
                                     {table, 10_000_001}, {table, <<"1">>}, {image, (1 bsl 28) + 1},
                                     {cached_images, 0}, {cached_bytes, -1}]]
        end),
        ok = peer:stop(Peer),
        [?assertEqual({invalid_option, Key, Value}, Reason) || {Key, Value, Reason} <- Refused]
    end}.

%% What the host has no room for is told in the host's own words, and ends nothing.
a_memory_without_address_space_is_the_hosts_fault_test_() ->
    {timeout, 300, fun() ->
        Pa = filename:dirname(code:which(hb_wasm64)),
        Guests = filename:join(hb_support:root(), "test/guests"),
        Run = "Start = fun(Name) -> {ok, Image} = file:read_file(\"" ++ Guests ++ "/\" ++ Name), hb_wasm64:start(Image) end, "
              "{error, {host, Text}} = Start(\"big_memory.wasm\"), "
              "{ok, H} = Start(\"numbers.wasm\"), {ok, [3]} = hb_wasm64:call(H, \"add_i32\", [1, 2]), "
              "io:format(\"said: ~ts~n\", [Text]), halt(0).",
        Said = os:cmd("ulimit -v 12000000; erl +MIscs 64 -noinput -pa '" ++ Pa ++ "' -eval '" ++ Run ++ "' 2>&1"),
        ?assertMatch({match, _}, re:run(Said, "said: .*memory"), Said)
    end}.

%% The stack

%% How many calls deep V8 gets with the stack that it has by default (984 KiB): Node.js 20.20.2 on x86-64, optimized code,
%% for the same functions. Images are built for that.
-define(V8, [
    {"plain", 24_633}, {"wide", 24_630}, {"indirect", 24_630}, {"two", 20_525}, {"catch", 24_630}, {"catch_all", 24_630},
    {"rethrow", 24_630}
]).

recursion_goes_deeper_than_in_v8_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("deep"),
        [begin
             Deep = Calls * 3 div 2,
             ?assertEqual({Name, {ok, [Deep]}}, {Name, hb_wasm64:call(H, Name, [Deep])}),
             ?assertMatch({Name, {error, {trap, #{code := stack_overflow}}}},
                          {Name, hb_wasm64:call(H, Name, [1_000_000_000])}),
             ?assertEqual({Name, {ok, [Deep]}}, {Name, hb_wasm64:call(H, Name, [Deep])})
         end || {Name, Calls} <- ?V8]
    end}.

%% Also where the host calls on from the bottom of one stack, and each stack is a deep one.
each_nested_call_has_as_much_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("deep"),
        Ask = fun Ask(Level, #{instance := I}, _) when Level < 20 ->
                      {ok, [Depth], _} = hb_wasm64:call(I, "ask", [30_000], Ask, Level + 1, #{}),
                      {ok, [Depth], Level};
                  Ask(Level, #{instance := I}, _) ->
                      {error, {trap, #{code := stack_overflow}}} = hb_wasm64:call(I, "catch_all", [1_000_000_000]),
                      {ok, [0], Level}
              end,
        ?assertEqual({ok, [21 * 30_000], 0}, hb_wasm64:call(H, "ask", [30_000], Ask, 0, #{}))
    end}.

%% A stack costs what of it was used: a hundred guests that wait in a shallow call.
a_waiting_guest_costs_what_it_uses_test_() ->
    {timeout, 300, fun() ->
        Handles = [hb_support:start("deep") || _ <- lists:seq(1, 100)],
        [{ok, [1]} = hb_wasm64:call(H, "plain", [1]) || H <- Handles],
        Before = hb_support:settled_rss(),
        Refs = [element(2, {ok, _} = hb_wasm64:call_async(H, "ask", [1], #{})) || H <- Handles],
        Asked = [receive {hb_wasm64, Ref, {import, Import, _}} -> Import end || Ref <- Refs],
        ?assert(hb_support:settled_rss() - Before < 100 * 500_000),
        [ok = hb_wasm64:respond(Import, {ok, [1]}) || Import <- Asked],
        [?assertEqual({ok, [2]}, receive {hb_wasm64, Ref, {done, Done}} -> Done end) || Ref <- Refs]
    end}.
