%% setjmp and longjmp of images built with Emscripten, whose host catches the
%% jumps. What the exports must give is in test/guests/README.md.
-module(hb_emscripten_longjmp_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_emscripten_support, [start/1, call/4, gives/2, numbers/2, stack/1]).

-define(JUMP, {exception, #{tag => "__c_longjmp", values => []}}).

%% 32 bits, 64 bits, 32 bits as older versions of Emscripten have them, and 64
%% bits with a table whose indices are as wide.
guests() -> ["longjmp", "longjmp64", "longjmp_old", "longjmp_table64"].

each(Test) -> hb_emscripten_support:each(guests(), Test).

%% A jump to the wrong place gives another number.
jumps_arrive_where_they_should_test_() -> each(fun(H) -> gives(H, rows()) end).

rows() ->
    numbers("direct", [{5, 5}, {0, 1}, {-7, -7}, {-(1 bsl 31), -(1 bsl 31)}])
    ++ [{"count", [], [4]}]
    ++ numbers("levels", [{5, 305}])
    ++ [{"nested", [Which, 5], [Result]} || {Which, Result} <- [{0, 1}, {1, 1005}, {2, 2005}, {3, 3006}]]
    ++ numbers("again", [{0, 1}, {1, 2}, {1000, 1001}])
    ++ [{"two_places", [1, 7], [1007]}, {"two_places", [2, 7], [2007]}]
    ++ numbers("many_places", [{0, 0}, {1, 1}, {5, 5}, {500, 500}])
    ++ [{"recursion", [Deepest, Target], [Target * 1001]}
        || {Deepest, Target} <- [{0, 0}, {10, 4}, {10, 10}, {59, 0}, {59, 59}]]
    ++ numbers("locals", [{5, 6}]).

%% Also with an i64 at the border, and where a jump leaves no result behind.
functions_of_all_types_are_called_test_() ->
    each(fun(H) ->
        gives(H, [
            {"wide", [1 bsl 40], [1 bsl 40 + 1]}, {"wide", [0], [-2]}, {"single", [1.5], [2.5]}, {"single", [0], [-2.0]},
            {"doubled", [0.5], [1.5]}, {"doubled", [0], [-2.0]},
            {"mixed", [1, 1 bsl 40, 0.5, 0.25, 3], [float(1 bsl 40) + 7.75]}, {"mixed", [1, 2, 0, 0, -9], [-9.0]},
            {"indirect", [0, 5], [6]}, {"indirect", [1, 5], [1005]}
        ])
    end).

%% What invoke_jj takes and gives goes by way of dynCall_jj.
halves_of_wide_values_go_by_way_of_the_guest_test() ->
    H = start("legal"),
    gives(H, [
        {"call", [1, 1 bsl 40 + 1], [1 bsl 41 + 2]}, {"call", [1, -3], [-6]}, {"call", [2, 5], [-1]},
        {"emscripten_stack_get_current", [], [65536]}
    ]),
    ?assertMatch({error, {trap, #{code := indirect_call_to_null}}}, hb_wasm64:call(H, "call", [3, 1])).

%% Constructors run when the instance starts, once, unless that is not wanted.
constructors_have_run_test_() ->
    [{Guest, fun() ->
        Image = hb_support:guest("emscripten/" ++ Guest),
        [begin
             {ok, H} = hb_wasm64:start(Image, Options),
             ?assertEqual({Options, {ok, [Runs]}}, {Options, hb_wasm64:call(H, "constructed", [])})
         end || {Options, Runs} <- [{#{}, 1}, {#{initialize => true}, 1}, {#{initialize => false}, 0}]]
    end} || Guest <- guests()].

many_jumps_leave_nothing_behind_test_() ->
    each(fun(H) ->
        {ok, [0]} = hb_wasm64:call(H, "heap_used", []),
        {ok, _} = hb_wasm64:call(H, "direct", [5]),
        Size = hb_wasm64:memory_size(H),
        Before = hb_support:settled_rss(),
        ?assertEqual({ok, [5_000_050_000]}, hb_wasm64:call(H, "rounds", [100_000])),
        ?assertEqual({ok, [0]}, hb_wasm64:call(H, "heap_used", [])),
        ?assertEqual(Size, hb_wasm64:memory_size(H)),
        ?assertEqual(true, hb_support:flat(Before, 30_000_000))
    end).

the_stack_is_where_it_was_after_a_jump_test_() ->
    each(fun(H) ->
        gives(H, numbers("stack_moved", [{0, 0}, {20, 0}, {100, 0}])),
        {ok, [Depth]} = hb_wasm64:call(H, "stack_depth", [20]),
        ?assert(Depth >= 20 * 256)
    end).

%% None of them is 9999, which is what the setjmp gives.
what_is_no_jump_is_not_caught_test_() ->
    each(fun(H) ->
        [begin
             ?assertMatch({Name, {error, {trap, #{code := Code}}}}, {Name, hb_wasm64:call(H, Name, Args)}),
             is_usable(H)
         end
         || {Name, Args, Code} <- [
                {"trap_in_invoke", [0], unreachable}, {"overflow_in_invoke", [], stack_overflow},
                {"indirect", [3, 5], indirect_call_to_null}, {"indirect", [4, 5], bad_signature},
                {"indirect", [5, 5], table_out_of_bounds}, {"abort_in_invoke", [], abort}
            ]],
        ?assertEqual({ok, [1]}, hb_wasm64:call(H, "trap_in_invoke", [1]))
    end).

a_failed_assertion_says_where_test_() ->
    each(fun(H) ->
        {error, {trap, #{code := abort, message := Message}}} = hb_wasm64:call(H, "assert_in_invoke", []),
        [?assertNotEqual({Part, nomatch}, {Part, string:find(Message, Part)})
         || Part <- [<<"1 == 2">>, <<"longjmp.c">>, <<"42">>, <<"assert_in_invoke">>]],
        is_usable(H)
    end).

an_exit_is_not_caught_test_() ->
    each(fun(H) ->
        [begin
             ?assertEqual({Name, {error, {exit, Status}}}, {Name, hb_wasm64:call(H, Name, [Status])}),
             is_usable(H)
         end
         || Name <- ["exit_in_invoke", "exit_below_invoke", "proc_exit_in_invoke"], Status <- [3, 0]],
        ?assertEqual({ok, [-3]}, hb_wasm64:call(H, "exit_below_invoke", [-3]))
    end).

%% Imports that are not Emscripten's go to Erlang, as a function that invoke_*
%% calls and below one.
imports_answer_and_fail_below_an_invoke_test_() ->
    each(fun(H) ->
        Calls = [{"import_in_invoke", [7]}, {"import_below_invoke", [7]}, {"import_then_jump", [7]}, {"indirect", [2, 7]}],
        Answer = fun(N, #{module := "env", func := "host_call", args := [X], func_sig := "(i)i"}, _) ->
            {ok, [10 * X + 1], N + 1}
        end,
        [?assertEqual({Call, {ok, [Result], 1}}, {Call, call(H, Call, Answer, 0)})
         || {Call, Result} <- lists:zip(Calls, [71, 72, 1072, 71])],
        [begin
             ?assertEqual({Call, {error, {import_failed, why}, s1}},
                          {Call, call(H, Call, fun(s, _, _) -> {error, why, s1} end, s)}),
             ?assertMatch({Call, {error, {import_failed, {raised, error, why, _}}, s}},
                          {Call, call(H, Call, fun(s, _, _) -> error(why) end, s)}),
             is_usable(H)
         end || Call <- Calls]
    end).

%% A jump ends the call that the host has made, as an error. The guest has noted
%% it, though: once the import is answered the function around it takes it, or,
%% where it is none of its own, passes it on. That is so in Emscripten as well.
a_jump_out_of_a_nested_call_ends_that_call_test_() ->
    each(fun(H) ->
        Jump = fun(Func) ->
            fun(none, #{instance := Scoped}, _) -> {ok, [4], hb_wasm64:call(Scoped, Func, [5])} end
        end,
        [begin
             ?assertEqual({Name, {ok, [Result], {error, ?JUMP}}}, {Name, call(H, {Name, [7]}, Jump("jump_from_outside"), none)}),
             ?assertEqual({Name, {error, ?JUMP, {error, ?JUMP}}}, {Name, call(H, {Name, [7]}, Jump("uncaught"), none)}),
             is_usable(H)
         end
         || {Name, Result} <- [{"import_in_invoke", 9999}, {"import_below_invoke", 9999}, {"import_then_jump", 1005}]]
    end).

%% The nested call has a setjmp of its own.
a_jump_within_a_nested_call_is_its_own_test_() ->
    each(fun(H) ->
        Inner = fun(_, _, _) -> {ok, [8], answered} end,
        Outer = fun(none, #{instance := Scoped}, _) ->
            {ok, [Result], _} = Given = call(Scoped, {"import_then_jump", [1]}, Inner, none),
            {ok, [Result], Given}
        end,
        ?assertEqual({ok, [1009], {ok, [1009], answered}}, call(H, {"import_in_invoke", [7]}, Outer, none)),
        is_usable(H)
    end).

a_jump_that_nobody_waits_for_is_an_error_test_() ->
    each(fun(H) ->
        [begin
             ?assertEqual({Name, {error, ?JUMP}}, {Name, hb_wasm64:call(H, Name, [5])}),
             is_usable(H)
         end || Name <- ["uncaught", "uncaught_late", "jump_from_outside"]]
    end).

the_end_of_fuel_and_time_is_not_caught_test_() ->
    each(fun(H) ->
        [begin
             ?assertEqual({Name, {error, {limit, fuel}}}, {Name, hb_wasm64:call(H, Name, [], #{fuel => 1_000_000})}),
             is_usable(H),
             ?assertEqual({Name, {error, timeout}}, {Name, hb_wasm64:call(H, Name, [], #{timeout => 300})}),
             is_usable(H)
         end || Name <- ["spin_jumps", "spin_in_invoke"]]
    end).

%% Wherever fuel ends, in a jump too: it is never taken for one. With enough of
%% it the call ends as it does without a limit.
fuel_may_end_anywhere_test_() ->
    each(fun(H) ->
        Ends = [hb_wasm64:call(H, "levels", [5], #{fuel => Fuel}) || Fuel <- lists:seq(0, 20_000, 53)],
        {Short, Enough} = lists:splitwith(fun(End) -> End =:= {error, {limit, fuel}} end, Ends),
        ?assertMatch([_ | _], Short),
        ?assertEqual([{ok, [305]}], lists:usort(Enough)),
        is_usable(H)
    end).

a_guest_that_jumps_for_ever_can_be_killed_test_() ->
    each(fun(H) ->
        Pid = spawn(fun() -> hb_wasm64:call(H, "spin_jumps", []) end),
        timer:sleep(50),
        hb_support:gone(Pid),
        is_usable(H)
    end).

%% Also after calls that have left something behind: an allocated table, what
%% was thrown.
a_snapshot_between_jumps_changes_nothing_test_() ->
    [{lists:concat([Guest, ", by ", Name]), {timeout, 300, fun() ->
        Image = hb_support:guest("emscripten/" ++ Guest),
        {ok, H} = hb_wasm64:start(Image),
        _ = hb_state_support:run(H, [{"direct", [5]}, {"levels", [5]}, {"uncaught", [5]}, {"trap_in_invoke", [0]}]),
        New = Way(Image, H),
        ?assert(hb_state_support:hash(H) =:= hb_state_support:hash(New)),
        gives(New, [{"count", [], [1]}, {"constructed", [], [1]}]),
        gives(New, [{Func, Args, Results} || {Func, Args, Results} <- rows(), Func =/= "count"]),
        gives(H, [{"count", [], [1]}]),
        gives(H, [{Func, Args, Results} || {Func, Args, Results} <- rows(), Func =/= "count"]),
        ?assert(hb_state_support:hash(H) =:= hb_state_support:hash(New))
    end}} || Guest <- guests(), {Name, Way} <- hb_state_support:ways()].

%% The same calls with the same failures, twice: the same state.
equal_calls_lead_to_equal_states_test_() ->
    [{Guest, fun() ->
        Calls = [{"direct", [5]}, {"uncaught", [5]}, {"exit_in_invoke", [3]}, {"stack_moved", [9]}, {"import_in_invoke", [7]}],
        [Hash, Hash] = [begin
            H = start(Guest),
            _ = hb_state_support:run(H, Calls),
            hb_state_support:hash(H)
        end || _ <- [1, 2]]
    end} || Guest <- guests()].

%% Jumps still work, and no failure has taken a piece of the stack with it: all
%% 64 KiB of it are there, at the beginning of the memory.
is_usable(H) ->
    ?assertEqual({ok, [305]}, hb_wasm64:call(H, "levels", [5])),
    ?assertEqual({ok, [65_536]}, stack(H)).
