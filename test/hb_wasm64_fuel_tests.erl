%% What fuel is taken for: work that is done, and that before it is done.
-module(hb_wasm64_fuel_tests).

-include_lib("eunit/include/eunit.hrl").

%% Enough for a few dozen instructions.
-define(LITTLE, 100).

%% Catches growth that is charged before it is refused: it ended the second
%% call without any limit on fuel, and the first one with one.
growth_that_is_refused_answers_minus_1_whatever_fuel_there_is_test() ->
    H = hb_support:start("bulk"),
    Refused = [
        {Function, N}
     || {Function, Sizes} <- [
            {"table_grow", [5, 100, 1 bsl 31, -1]},
            {"table_grow64", [10_000_000, 1 bsl 32, 1 bsl 63, -1]},
            {"memory_grow", [2, 65536, -1]},
            {"memory_grow64", [2, 1 bsl 48, -1]}
        ],
        N <- Sizes
    ],
    [?assertEqual({Function, N, {ok, [-1]}}, {Function, N, hb_wasm64:call(H, Function, [N], Options)})
     || {Function, N} <- Refused, Options <- [#{}, #{}, #{fuel => ?LITTLE}]],
    [?assertEqual({ok, [Size]}, hb_wasm64:call(H, Function, [1], #{fuel => ?LITTLE}))
     || {Function, Size} <- [{"table_grow", 4}, {"table_grow64", 4}, {"memory_grow", 1}, {"memory_grow64", 1}]].

%% Catches an operation beyond the end that is charged first, one that traps
%% under another code, and one that traps in a function that is not the
%% guest's.
an_operation_beyond_the_end_traps_whatever_fuel_there_is_test() ->
    H = hb_support:start("bulk"),
    [begin
         Result = hb_wasm64:call(H, Function, Args, Options),
         ?assertMatch({Function, Args, {error, {trap, #{code := Code}}}}, {Function, Args, Result}),
         {error, {trap, #{backtrace := [#{name := Name} | _]}}} = Result,
         ?assertEqual(Function, Name)
     end || {Function, Args, Code} <- beyond(), Options <- [#{}, #{fuel => ?LITTLE}]].

beyond() ->
    Memory = [
        {"fill", [[0, 7, 65537], [1, 7, 65536], [65537, 7, 0], [-1, 7, -1]]},
        {"fill64", [[0, 7, 65537], [1, 7, -1], [-1, 7, 0], [-1, 7, -1]]},
        {"copy", [[0, 1, 65536], [1, 0, 65536], [0, -1, -1]]},
        {"copy64", [[0, 1, 65536], [1, 0, 65536], [0, -1, -1]]},
        {"copy_across", [[0, 1 bsl 32, 1], [0, 0, 65537], [-1, 0, 1000]]},
        {"init", [[0, 0, 11], [65530, 0, 10], [0, -1, 1000]]},
        {"init64", [[0, 0, 11], [65530, 0, 10], [1 bsl 40, 0, 1]]}
    ],
    Table = [
        {"table_fill", [[0, 5], [4, 1], [0, -1], [-1, -1]]},
        {"table_fill64", [[0, 5], [4, 1], [0, -1], [-1, -1]]},
        {"table_copy", [[0, 1, 4], [1, 0, 4], [0, 0, -1]]},
        {"table_copy64", [[0, 1, 4], [1, 0, 4], [0, 0, -1]]},
        {"table_init", [[0, 0, 3], [3, 0, 2], [0, -1, 1000]]},
        {"table_init64", [[0, 0, 3], [3, 0, 2], [-1, 0, 1000]]}
    ],
    [{Function, Args, memory_out_of_bounds} || {Function, Many} <- Memory, Args <- Many]
        ++ [{Function, Args, table_out_of_bounds} || {Function, Many} <- Table, Args <- Many].

%% Catches a segment that is taken for whole although it has been dropped, here
%% or before a snapshot.
a_dropped_segment_has_nothing_to_charge_for_test() ->
    H = hb_support:start("bulk"),
    {ok, []} = hb_wasm64:call(H, "init", [0, 0, 10], #{fuel => ?LITTLE}),
    {ok, []} = hb_wasm64:call(H, "table_init", [0, 0, 2], #{fuel => ?LITTLE}),
    {ok, []} = hb_wasm64:call(H, "drop", []),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    {ok, Restored} = hb_wasm64:start(hb_support:guest("bulk"), #{snapshot => Snapshot}),
    [begin
         [?assertMatch({error, {trap, #{code := memory_out_of_bounds}}}, hb_wasm64:call(I, F, [0, 0, 10], #{fuel => 50}))
          || F <- ["init", "init64"]],
         [?assertMatch({error, {trap, #{code := table_out_of_bounds}}}, hb_wasm64:call(I, F, [0, 0, 2], #{fuel => 50}))
          || F <- ["table_init", "table_init64"]],
         [?assertEqual({ok, []}, hb_wasm64:call(I, F, [0, 0, 0], #{fuel => ?LITTLE}))
          || F <- ["init", "init64", "table_init", "table_init64"]]
     end || I <- [H, Restored]].

%% Catches work that is done before it is paid for, or for nothing.
what_succeeds_is_paid_for_by_its_length_before_it_is_done_test() ->
    H = hb_support:start("bulk"),
    Before = hb_wasm64:read_memory(H),
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "fill", [0, 7, 65536], #{fuel => 60_000})),
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "table_grow64", [50_000], #{fuel => 50_000})),
    ?assertEqual(Before, hb_wasm64:read_memory(H)),
    ?assertEqual({ok, [4]}, hb_wasm64:call(H, "table_grow64", [50_000], #{fuel => 50_100})),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "fill", [0, 7, 65536], #{fuel => 65_636})),
    ?assertEqual({ok, binary:copy(<<7>>, 65536)}, hb_wasm64:read(H, 0, 65536)).

%% Catches operations that fail in an import and take the fuel of the call that
%% waits for it.
what_fails_in_an_import_leaves_the_outer_call_its_fuel_test() ->
    H = hb_support:start("bulk"),
    Again = fun(State, #{instance := I}, _) ->
        [{error, {trap, _}} = hb_wasm64:call(I, Function, Args) || {Function, Args, _} <- beyond()],
        [{ok, [-1]} = hb_wasm64:call(I, "table_grow64", [-1]) || _ <- [1, 2, 3]],
        {ok, [], State}
    end,
    [?assertEqual({ok, [1000], x}, hb_wasm64:call(H, "ask_and_count", [1000], Again, x, Options))
     || Options <- [#{}, #{fuel => 20_000}]].
