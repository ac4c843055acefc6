%% C++ exceptions of images built with Emscripten, whose host catches them and
%% keeps which are thrown and caught. What the exports must give is in
%% test/guests/README.md.
-module(hb_emscripten_throw_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_emscripten_support, [call/4, gives/2, numbers/2, stack/1]).

%% 32 bits, 64 bits, 32 bits as older versions of Emscripten have them, 64 bits
%% as later ones have them, and 64 bits with a table whose indices are as wide.
guests() -> ["throw", "throw64", "throw_old", "throw_new64", "throw_table64"].

each(Test) -> hb_emscripten_support:each(guests(), Test).

exceptions_arrive_where_they_should_test_() ->
    each(fun(H) ->
        gives(H, rows()),
        nothing_is_left(H)
    end).

rows() ->
    Text = lists:sum("text"),
    [{"constructed", [], [1]}]
    ++ numbers("throw_int", [{42, 42}, {0, 0}, {-1, -1}])
    ++ numbers("throw_wide", [{1 bsl 40, 1 bsl 40}, {0, -1}])
    ++ [{"throw_double", [0.1], [0.1]}, {"throw_double", [0], [-1.0]}]
    ++ [{Name, [5], [Result]} || {Name, Result} <- [
            {"by_value", 205}, {"by_reference", 105}, {"changed", 15}, {"by_base", 1005}, {"by_base_value", 5},
            {"by_second_base", 2005}, {"by_virtual_base", 5}, {"by_private_base", 3}, {"by_ambiguous_base", 5},
            {"by_base_pointer", 1005}, {"by_void_pointer", 5}
       ]]
    ++ [{"by_pointer", [], [Text]}]
    ++ numbers("by_enum", [{0, 10}, {1, 11}])
    ++ numbers("order", lists:zip(lists:seq(0, 8), [0, 11, 22, 33, 44, 55, 66, 99, 99]))
    ++ numbers("any", [{Which, min(Which, 1)} || Which <- lists:seq(0, 8)])
    ++ numbers("passes", [{0, 0}, {1, 101}, {2, 2}, {3, 103}, {7, 103}])
    ++ [{Name, [5], [Result]} || {Name, Result} <- [
            {"rethrow", 1105}, {"nested", 1211}, {"replaced", 106}, {"rethrow_first", 5}, {"constructor", 105},
            {"caught_in_destructor", 105}
       ]]
    ++ numbers("destructors", [{1, 1}, {2, 2}, {50, 50}])
    ++ [{"uncaught_while", [], [10]}]
    ++ numbers("current_type", [{0, -1}, {1, 1}, {2, 2}, {3, 3}, {4, 0}]).

exceptions_and_jumps_do_not_take_each_other_test_() ->
    each(fun(H) ->
        gives(H, numbers("jump_past", [{5, 5}, {0, 1}]) ++ numbers("throw_past", [{5, 5}, {0, 0}])
            ++ [{"both", [0, 5], [0]}, {"both", [1, 5], [1005]}, {"both", [2, 5], [2005]}]
            ++ numbers("in_turns", [{0, 0}, {1, 1000}, {2, 3001}, {100, 154_950}])),
        nothing_is_left(H)
    end).

many_exceptions_leave_nothing_behind_test_() ->
    each(fun(H) ->
        {ok, [42]} = hb_wasm64:call(H, "throw_int", [42]),
        Size = hb_wasm64:memory_size(H),
        Before = hb_support:settled_rss(),
        ?assertEqual({ok, [50_005_000]}, hb_wasm64:call(H, "rounds", [10_000])),
        nothing_is_left(H),
        ?assertEqual(Size, hb_wasm64:memory_size(H)),
        ?assertEqual(true, hb_support:flat(Before, 30_000_000))
    end).

%% As with std::current_exception and std::rethrow_exception.
an_exception_can_be_kept_and_thrown_again_test_() ->
    each(fun(H) ->
        gives(H, [
            {"keep", [5], [1]}, {"throw_kept", [], [1005]}, {"throw_kept", [], [1005]}, {"keep", [6], [1]},
            {"throw_kept", [], [1006]}, {"throw_int", [42], [42]}, {"throw_kept", [], [1006]}, {"forget", [], [0]}
        ]),
        nothing_is_left(H)
    end).

%% The host sees the address, and what is there is what was thrown. Destructors
%% on the way have run.
an_exception_that_nobody_catches_is_an_error_with_its_address_test_() ->
    each(fun(H) ->
        [begin
             {error, {exception, Exception}} = hb_wasm64:call(H, Name, [Value]),
             ?assertMatch({Name, #{tag := "__cpp_exception", values := [_]}}, {Name, Exception}),
             #{values := [Pointer]} = Exception,
             ?assertEqual({Name, {ok, [Value]}}, {Name, hb_wasm64:call(H, "value_of", [Pointer])}),
             is_usable(H)
         end || Name <- ["uncaught", "uncaught_below", "uncaught_rethrown"], Value <- [5, -5]],
        {error, _} = hb_wasm64:call(H, "uncaught_below", [5]),
        ?assertEqual({ok, [3]}, hb_wasm64:call(H, "destroyed_so_far", []))
    end).

%% None of them is 9999, which is what catch (...) gives.
what_is_no_exception_is_not_caught_test_() ->
    each(fun(H) ->
        [begin
             ?assertMatch({Name, {error, {trap, #{code := Code}}}}, {Name, hb_wasm64:call(H, Name, Args)}),
             is_usable(H)
         end
         || {Name, Args, Code} <- [
                {"trap_in_try", [0], unreachable}, {"noexcept_throws", [5], abort}, {"rethrow_nothing", [], abort}
            ]],
        ?assertEqual({ok, [1]}, hb_wasm64:call(H, "trap_in_try", [1])),
        [begin
             ?assertEqual({error, {exit, Status}}, hb_wasm64:call(H, "exit_in_try", [Status])),
             is_usable(H)
         end || Status <- [3, 0]]
    end).

an_abort_says_why_test_() ->
    each(fun(H) ->
        {error, {trap, #{code := abort, message := Message}}} = hb_wasm64:call(H, "rethrow_nothing", []),
        ?assertMatch(<<_, _/binary>>, Message)
    end).

imports_answer_and_fail_in_a_try_test_() ->
    each(fun(H) ->
        Answer = fun(N, #{module := "env", func := "host_call", args := [X], func_sig := "(i)i"}, _) ->
            {ok, [10 * X + 1], N + 1}
        end,
        ?assertEqual({ok, [71], 1}, call(H, {"import_in_try", [7]}, Answer, 0)),
        ?assertEqual({ok, [5051], 1}, call(H, {"import_in_handler", [5]}, Answer, 0)),
        nothing_is_left(H),
        [begin
             ?assertEqual({Call, {error, {import_failed, why}, s1}},
                          {Call, call(H, Call, fun(s, _, _) -> {error, why, s1} end, s)}),
             ?assertMatch({Call, {error, {import_failed, {raised, error, why, _}}, s}},
                          {Call, call(H, Call, fun(s, _, _) -> error(why) end, s)}),
             is_usable(H)
         end || Call <- [{"import_in_try", [7]}, {"import_in_handler", [5]}]]
    end).

%% The exception of the nested call ends that one alone, and the handler around
%% the import still has its own.
an_exception_in_a_nested_call_does_not_reach_the_outer_guest_test_() ->
    each(fun(H) ->
        Fun = fun(none, #{instance := Scoped}, _) -> {ok, [4], hb_wasm64:call(Scoped, "uncaught", [5])} end,
        [begin
             {ok, [Result], {error, {exception, Exception}}} = call(H, {Name, [7]}, Fun, none),
             ?assertMatch({Name, #{tag := "__cpp_exception", values := [_]}}, {Name, Exception}),
             ?assertEqual({Name, Expected}, {Name, Result}),
             is_usable(H)
         end || {Name, Expected} <- [{"import_in_try", 4}, {"import_in_handler", 7004}]],
        Caught = fun(none, #{instance := Scoped}, _) -> {ok, [4], hb_wasm64:call(Scoped, "rethrow", [5])} end,
        ?assertEqual({ok, [7004], {ok, [2105]}}, call(H, {"import_in_handler", [7]}, Caught, none))
    end).

the_end_of_fuel_and_time_is_not_caught_test_() ->
    each(fun(H) ->
        ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "spin_throws", [], #{fuel => 1_000_000})),
        is_usable(H),
        ?assertEqual({error, timeout}, hb_wasm64:call(H, "spin_throws", [], #{timeout => 300})),
        is_usable(H)
    end).

%% Wherever fuel ends, in what the host has the guest do for it too. With enough
%% of it the call ends as it does without a limit; what is left of the calls cut
%% short counts for alive().
fuel_may_end_anywhere_test_() ->
    each(fun(H) ->
        Ends = [hb_wasm64:call(H, "by_second_base", [5], #{fuel => Fuel}) || Fuel <- lists:seq(0, 20_000, 53)],
        {Short, Enough} = lists:splitwith(fun(End) -> End =:= {error, {limit, fuel}} end, Ends),
        ?assertMatch([_ | _], Short),
        ?assertEqual([{ok, [2005]}], lists:usort(Enough)),
        is_usable(H)
    end).

a_guest_that_throws_for_ever_can_be_killed_test_() ->
    each(fun(H) ->
        Pid = spawn(fun() -> hb_wasm64:call(H, "spin_throws", []) end),
        timer:sleep(50),
        hb_support:gone(Pid),
        is_usable(H)
    end).

%% With an exception that is kept, one that nobody has caught, and others that
%% the host has noted as being caught when the call ended: all of it is state.
a_snapshot_holds_what_is_thrown_and_caught_test_() ->
    [{lists:concat([Guest, ", by ", Name]), {timeout, 300, fun() ->
        Image = hb_support:guest("emscripten/" ++ Guest),
        {ok, H} = hb_wasm64:start(Image),
        {ok, [1]} = hb_wasm64:call(H, "keep", [5]),
        {error, {exception, _}} = hb_wasm64:call(H, "uncaught_below", [5]),
        {error, {import_failed, why}, s} = call(H, {"import_in_handler", [7]}, fun(s, _, _) -> {error, why, s} end, s),
        New = Way(Image, H),
        ?assert(hb_state_support:hash(H) =:= hb_state_support:hash(New)),
        Looks = [{"alive", []}, {"destroyed_so_far", []}, {"uncaught_count", []}, {"throw_kept", []}, {"rethrow", [5]},
                 {"current_type", [0]}, {"forget", []}],
        Seen = hb_state_support:run(H, Looks),
        ?assertMatch([[_], [3], [_], [_], [_], [_], [_]], Seen),
        ?assertEqual(Seen, hb_state_support:run(New, Looks)),
        ?assert(hb_state_support:hash(H) =:= hb_state_support:hash(New))
    end}} || Guest <- guests(), {Name, Way} <- hb_state_support:ways()].

a_snapshot_between_exceptions_changes_nothing_test_() ->
    [{lists:concat([Guest, ", by ", Name]), {timeout, 300, fun() ->
        Image = hb_support:guest("emscripten/" ++ Guest),
        {ok, H} = hb_wasm64:start(Image),
        gives(H, [{"keep", [5], [1]}, {"by_second_base", [5], [2005]}]),
        New = Way(Image, H),
        gives(New, [{"throw_kept", [], [1005]}, {"throw_kept", [], [1005]}, {"forget", [], [0]}]),
        gives(New, rows()),
        nothing_is_left(New)
    end}} || Guest <- guests(), {Name, Way} <- hb_state_support:ways()].

%% No object of class Counted, no memory, and nothing on its way.
nothing_is_left(H) ->
    gives(H, [{"alive", [], [0]}, {"heap_used", [], [0]}, {"uncaught_count", [], [0]}]).

%% Exceptions still work, and no failure has taken a piece of the stack with it:
%% all 64 KiB of it are there, at the beginning of the memory.
is_usable(H) ->
    ?assertEqual({ok, [42]}, hb_wasm64:call(H, "throw_int", [42])),
    ?assertEqual({ok, [2005]}, hb_wasm64:call(H, "by_second_base", [5])),
    ?assertEqual({ok, [10]}, hb_wasm64:call(H, "uncaught_while", [])),
    ?assertEqual({ok, [65_536]}, stack(H)).
