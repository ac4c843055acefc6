%% Exceptions of guests: the legacy instructions, which are rewritten, and the
%% standard ones. What the exports must give is in test/guests/README.md.
-module(hb_wasm64_exceptions_tests).

-include_lib("eunit/include/eunit.hrl").

%% A rewriting that jumps to the wrong place gives another number.
legacy_instructions_do_what_they_say_test() ->
    H = hb_support:start("exceptions"),
    Same = fun(Name, Args) -> {Name, Args, Args} end,
    Rows = [
        {"ok", [], [42]},
        Same("catch_i32", [-5]), Same("catch_i64", [1 bsl 40]), Same("catch_f32", [1.5]), Same("catch_f64", [0.1]),
        Same("catch_f64", [nan]), Same("catch_many", [1, 1 bsl 40, 2.5, 0.1]),
        {"catch_empty", [], [1]}
    ] ++ numbers("order", [{0, 0}, {1, 11}, {2, 22}, {3, 30}, {4, 30}])
      ++ numbers("catch_all", [{0, 0}, {1, 1}, {7, 1}])
      ++ numbers("inner_passes", [{0, 0}, {1, 101}, {2, 202}, {3, 300}, {4, 300}])
      ++ numbers("bare_try", [{0, 0}, {2, 2}])
      ++ numbers("rethrow_inner", [{5, 1005}]) ++ numbers("rethrow_outer", [{5, 1005}])
      ++ numbers("rethrow_in_block", [{5, 1005}])
      ++ [Same("rethrow_all", [7, 2.5])]
      ++ numbers("throw_in_catch", [{5, 2006}])
      ++ numbers("delegate_outer", [{5, 1005}]) ++ numbers("delegate_past", [{5, 1005}])
      ++ numbers("delegate_block", [{5, 1005}]) ++ numbers("delegate_twice", [{5, 1005}])
      ++ numbers("delegate_caller", [{5, 3005}]) ++ numbers("delegate_from_catch", [{5, 2005}])
      ++ numbers("delegate_nothing", [{5, 6}])
      ++ [{"params_results", [0, 9], [10, 1]}, {"params_results", [3, 9], [12, 2]}]
      ++ numbers("operands_below", [{5, 115}]) ++ numbers("locals", [{5, 8}])
      ++ numbers("br_try", [{5, 1005}]) ++ numbers("br_catch", [{5, 6}])
      ++ numbers("br_self", [{0, 50}, {1, 60}, {9, 60}])
      ++ [{"br_table", [N, C], [Base + min(N, 2)]} || {C, Base} <- [{0, 10}, {1, 30}], N <- [0, 1, 2, 3, 100]]
      ++ numbers("return", [{0, 1}, {1, 2}, {9, 2}])
      ++ [{"dead_code", [], [4]}, {"loop_throws", [1000], [499500]}]
      ++ numbers("loop_from_catch", [{0, 0}, {1, 1}, {1000, 1000}])
      ++ numbers("deep", [{5, 405}]) ++ numbers("indirect", [{5, 505}])
      ++ numbers("unwind", [{0, 0}, {1, 1}, {1000, 1000}]),
    [?assertEqual({Name, Args, {ok, Results}}, {Name, Args, hb_wasm64:call(H, Name, Args)})
     || {Name, Args, Results} <- Rows].

the_standard_instructions_give_the_same_test() ->
    H = hb_support:start("exceptions_final"),
    Rows = [{"ok", [], [42]}, {"catch_i32", [5], [5]}, {"rethrow_all", [7, 2.5], [7, 2.5]}, {"rethrow_inner", [5], [1005]}]
        ++ numbers("order", [{0, 0}, {1, 11}, {2, 22}, {3, 30}, {4, 30}]) ++ numbers("trap_in_try", [{1, 1}]),
    [?assertEqual({Name, Args, {ok, Results}}, {Name, Args, hb_wasm64:call(H, Name, Args)})
     || {Name, Args, Results} <- Rows].

vectors_and_references_come_out_of_exceptions_as_they_went_in_test() ->
    H = hb_support:start("exceptions_refs"),
    Vector = list_to_binary(lists:seq(1, 16)),
    ?assertEqual({ok, [Vector]}, hb_wasm64:call(H, "catch_v128", [Vector])),
    ?assertEqual({ok, [7, null, -1]}, hb_wasm64:call(H, "catch_refs", [7, null, -1])),
    ?assertEqual({ok, [null, null, 0]}, hb_wasm64:call(H, "catch_refs", [null, null, 0])).

%% The host sees the exported name of the tag and the values.
an_exception_that_nobody_catches_is_an_error_with_its_values_test() ->
    [begin
         H = hb_support:start(Guest),
         ?assertEqual({error, {exception, #{tag => "failure", values => [7, 2.5]}}}, hb_wasm64:call(H, Name, [7, 2.5])),
         ?assertEqual({error, {exception, #{tag => "failure", values => [-1, nan]}}}, hb_wasm64:call(H, Name, [-1, nan])),
         ?assertEqual({ok, [42]}, hb_wasm64:call(H, "ok", []))
     end || {Guest, Name} <- [{"exceptions", "throw_uncaught"}, {"exceptions", "rethrow_uncaught"},
                              {"exceptions_final", "throw_uncaught"}]].

an_exception_of_a_tag_without_a_name_is_an_error_all_the_same_test() ->
    H = hb_support:start("exceptions"),
    ?assertEqual({error, {exception, #{tag => undefined, values => [5]}}}, hb_wasm64:call(H, "throw_unnamed", [5])),
    ?assertMatch({error, {exception, #{tag := undefined}}}, hb_wasm64:call(H, "bare_try", [1])),
    ?assertEqual({ok, [42]}, hb_wasm64:call(H, "ok", [])).

%% The tag of the exceptions is listed with the exports.
tags_are_described_test() ->
    {ok, #{exports := Exports}} = hb_wasm64:describe(hb_support:start("exceptions")),
    ?assertMatch([_], [Tag || {tag, "failure", _} = Tag <- Exports]).

%% An uncaught exception of a nested call ends that call only.
an_exception_in_a_nested_call_does_not_reach_the_outer_guest_test() ->
    H = hb_support:start("exceptions"),
    Fun = fun(_, #{instance := Scoped}, _) -> {ok, [3], hb_wasm64:call(Scoped, "throw_uncaught", [7, 2.5])} end,
    ?assertEqual({ok, [3], {error, {exception, #{tag => "failure", values => [7, 2.5]}}}},
                 hb_wasm64:call(H, "nested_import", [], Fun, none, #{})).

traps_are_not_caught_test() ->
    [begin
         H = hb_support:start(Guest),
         ?assertMatch({error, {trap, #{code := integer_division_by_zero}}}, hb_wasm64:call(H, "trap_in_try", [0])),
         ?assertEqual({ok, [1]}, hb_wasm64:call(H, "trap_in_try", [1]))
     end || Guest <- ["exceptions", "exceptions_final"]],
    H = hb_support:start("exceptions"),
    ?assertMatch({error, {trap, #{code := stack_overflow}}}, hb_wasm64:call(H, "overflow_in_try", [])),
    ?assertEqual({ok, [42]}, hb_wasm64:call(H, "ok", [])).

%% catch_all must not keep a guest from being stopped.
a_guest_that_throws_for_ever_can_be_ended_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("exceptions"),
        ?assertEqual({error, timeout}, hb_wasm64:call(H, "spin", [], #{timeout => 300})),
        ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "spin", [], #{fuel => 1_000_000})),
        Pid = spawn(fun() -> hb_wasm64:call(H, "spin", []) end),
        timer:sleep(50),
        hb_support:gone(Pid),
        ?assertEqual({ok, [42]}, hb_wasm64:call(H, "ok", []))
    end}.

%% Exceptions live on a heap of their own: it is collected.
exceptions_do_not_pile_up_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("exceptions"),
        {ok, _} = hb_wasm64:call(H, "loop_throws", [100_000]),
        Before = hb_support:settled_rss(),
        [{ok, _} = hb_wasm64:call(H, "loop_throws", [100_000]) || _ <- lists:seq(1, 10)],
        [{error, {exception, _}} = hb_wasm64:call(H, "throw_uncaught", [7, 2.5]) || _ <- lists:seq(1, 20_000)],
        ?assertEqual(true, hb_support:flat(Before, 30_000_000))
    end}.

numbers(Name, Pairs) -> [{Name, [In], [Out]} || {In, Out} <- Pairs].
