%% The parts of WebAssembly 3.0 whose values stay with the guest: objects of its garbage collector and typed references to
%% functions; and atomic instructions.
-module(hb_wasm64_objects_tests).

-include_lib("eunit/include/eunit.hrl").

-define(CALL(H, Func, Args), hb_wasm64:call(H, Func, Args)).

objects_are_made_and_used_test() ->
    H = hb_support:start("objects"),
    ?assertEqual({ok, [500_500]}, ?CALL(H, "sum", [1000])),
    ?assertEqual({ok, [7]}, ?CALL(H, "array", [100_000, 7])),
    ?assertEqual({ok, [3]}, ?CALL(H, "cast", [3])),
    Code = fun(Func, Args) ->
        {error, {trap, #{code := Code}}} = ?CALL(H, Func, Args),
        Code
    end,
    ?assertEqual(cast_failure, Code("cast", [0])),
    ?assertEqual(array_out_of_bounds, Code("array_get", [10, 10])),
    ?assertEqual(allocation_too_large, Code("array", [-1, 1])),
    ?assertEqual(null_reference, Code("kept", [])),
    %% What nobody refers to is freed: 100 times 16 MB.
    [?assertEqual({ok, [N]}, ?CALL(H, "array", [2_000_000, N])) || N <- lists:seq(1, 100)].

null_references_trap_test() ->
    H = hb_support:start("null_reference"),
    [?assertMatch({error, {trap, #{code := null_reference}}}, ?CALL(H, Func, [])) || Func <- ["call_ref_null", "as_non_null"]],
    ?assertEqual({ok, [42]}, ?CALL(H, "ok", [])).

%% Each element is paid for, before it is made.
arrays_take_fuel_by_their_length_test() ->
    H = hb_support:start("objects"),
    Used = fun(N) ->
        {ok, [7], #{fuel_used := Used}} = hb_wasm64:call(H, "array", [N, 7], #{usage => true}),
        Used
    end,
    ?assertEqual(10_000, Used(20_000) - Used(10_000)),
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "array", [1_000_000, 7], #{fuel => 10_000})).

their_values_do_not_cross_the_border_test() ->
    H = hb_support:start("objects"),
    Refused = fun(Name) ->
        Text = <<"the function ", Name/binary, " has a parameter or result of a type that only guests have">>,
        {error, {unsupported, Text}}
    end,
    [?assertEqual(Refused(Name), ?CALL(H, Name, Args))
     || {Name, Args} <- [{<<"take">>, [null]}, {<<"give">>, []}, {<<"take_some">>, [null]}]],
    ?assertEqual({ok, [1]}, ?CALL(H, "null_way", [null])),
    ?assertMatch({error, {invalid_args, #{position := 1}}}, ?CALL(H, "null_way", [1])),
    ?assertEqual({ok, [funcref]}, ?CALL(H, "give_way", [1])),
    {ok, #{exports := Exports}} = hb_wasm64:describe(H),
    ?assertEqual([[], [], "(u)i"], [Type || {func, Name, Type} <- Exports, lists:member(Name, ["take", "give", "null_way"])]).

%% It is told at the snapshot, and only as long as it is so.
a_state_with_objects_is_not_captured_test_() ->
    [
        {Keep, fun() ->
            H = hb_support:start("objects"),
            {ok, Before} = hb_wasm64:snapshot(H),
            ?assertEqual({ok, []}, ?CALL(H, Keep, [3])),
            ?assertEqual({error, {uncapturable, Text}}, hb_wasm64:snapshot(H)),
            ?assertEqual({error, {uncapturable, Text}}, hb_wasm64:fork(H)),
            ?assertEqual({error, {uncapturable, Text}}, hb_wasm64:read_state(H)),
            ?assertEqual({ok, []}, ?CALL(H, Forget, [])),
            ?assertEqual({ok, Before}, hb_wasm64:snapshot(H))
        end}
     || {Keep, Forget, Text} <- [
            {"keep", "forget", <<"global 0 holds an object, or an exception">>},
            {"keep_any", "forget_any", <<"global 1 holds an object, or an exception">>},
            {"keep_outside", "forget_outside", <<"global 2 holds an object, or an exception">>},
            {"keep_entry", "forget_entry", <<"table 0 holds an object, or an exception">>}
        ]
    ].

objects_of_a_call_are_no_state_test() ->
    H = hb_support:start("objects"),
    {ok, Before} = hb_wasm64:snapshot(H),
    ?assertEqual({ok, [5050]}, ?CALL(H, "sum", [100])),
    ?assertEqual({ok, Before}, hb_wasm64:snapshot(H)).

an_object_in_a_constant_is_state_that_is_not_captured_test() ->
    H = hb_support:start("constant_object"),
    ?assertEqual([{ok, [N]} || N <- [1, 2, 3]], [?CALL(H, "count", []) || _ <- [1, 2, 3]]),
    ?assertEqual({error, {uncapturable, <<"a constant of the image holds an object">>}}, hb_wasm64:snapshot(H)).

%% Also those that may not be null, in globals and in tables, and tables of them that have grown.
typed_references_to_functions_are_state_test() ->
    Ask = fun(State, #{args := [X]}, _) -> {ok, [X * 100], State} end,
    Run = fun(H, Func, Args) -> hb_wasm64:call(H, Func, Args, Ask, none, #{}) end,
    Look = fun(H) ->
        [Run(H, "chosen", [5]), Run(H, "always", [5]) | [Run(H, "go", [At, 5]) || At <- lists:seq(0, 4)]]
    end,
    H = hb_support:start("objects"),
    ?assertMatch([{error, {trap, #{code := null_reference}}, none}, {ok, [10], none} | _], Look(H)),
    {ok, []} = ?CALL(H, "choose", [3]),
    {ok, [2]} = ?CALL(H, "add_way", [2]),
    {ok, [3]} = ?CALL(H, "add_way", [3]),
    {ok, []} = ?CALL(H, "set_way", [0, 2]),
    Expected = [{ok, [X], none} || X <- [6, 6, 500, 10, 500, 6]],
    [?assertEqual(Expected, lists:sublist(Look(It), 6)) || It <- [
        H,
        element(2, hb_wasm64:fork(H)),
        element(2, hb_wasm64:start(hb_support:guest("objects"), #{snapshot => element(2, hb_wasm64:snapshot(H))}))
    ]].

%% The heap ends at what its references can reach, on every node; an operator's limit is told as such.
a_full_heap_ends_the_call_test_() ->
    {timeout, 300, fun() ->
        {ok, H} = hb_wasm64:start(hb_support:guest("objects"), #{memory => 64 bsl 20}),
        ?assertEqual({error, {limit, memory}}, hb_wasm64:call(H, "fill_heap", [1])),
        ?assertEqual({ok, [5050]}, ?CALL(H, "sum", [100]))
    end}.

%% They take 10 GB in all.
circles_that_nobody_refers_to_are_freed_test_() ->
    {timeout, 600, fun() ->
        H = hb_support:start("objects"),
        [?assertEqual({ok, []}, ?CALL(H, "large_circle", [25_000_000])) || _ <- lists:seq(1, 50)]
    end}.

an_endless_list_ends_with_the_time_that_it_has_test() ->
    H = hb_support:start("objects"),
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "fill_heap", [1], #{timeout => 200})),
    ?assertEqual({ok, [5050]}, ?CALL(H, "sum", [100])).

objects_in_slices_are_as_in_one_test() ->
    ok = hb_wasm64:time_slice(100),
    try
        H = hb_support:start("objects"),
        ?assertEqual({ok, [500_000 * 500_001 div 2 - (1 bsl 32) * ((500_000 * 500_001 div 2 + (1 bsl 31)) bsr 32)]}, ?CALL(H, "sum", [500_000]))
    after
        ok = hb_wasm64:time_slice(1000)
    end.
atomic_instructions_work_on_a_memory_of_ones_own_test() ->
    H = hb_support:start("atomics"),
    ?assertEqual([{ok, [0]}, {ok, [5]}], [?CALL(H, "add", [5]), ?CALL(H, "add", [5])]),
    ?assertEqual([{ok, [0]}, {ok, [9]}], [?CALL(H, "swap", [0, 9]), ?CALL(H, "swap", [0, 10])]),
    ?assertEqual([{ok, [0]}, {ok, []}], [?CALL(H, "notify", []), ?CALL(H, "fence", [])]),
    Code = fun(Func) ->
        {error, {trap, #{code := Code}}} = ?CALL(H, Func, []),
        Code
    end,
    ?assertEqual([heap_misaligned, atomic_wait_non_shared_memory], [Code("unaligned"), Code("wait")]),
    ?assertEqual({error, {unsupported, <<"a memory that threads share">>}}, hb_wasm64:start(hb_support:guest("shared_memory"))).
