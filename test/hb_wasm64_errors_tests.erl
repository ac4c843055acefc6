%% How images are refused and how calls fail, and that the instance is usable
%% after every failure.
-module(hb_wasm64_errors_tests).

-include_lib("eunit/include/eunit.hrl").

%% Traps

%% Catches a trap that comes under another code, as another error, or that
%% breaks the instance.
each_trap_has_its_code_and_the_instance_lives_test() ->
    H = hb_support:start("traps"),
    Traps = [
        {"unreachable", [], unreachable},
        {"load_out_of_bounds", [], memory_out_of_bounds},
        {"store_out_of_bounds", [], memory_out_of_bounds},
        {"offset_out_of_bounds", [], memory_out_of_bounds},
        {"fill_out_of_bounds", [], memory_out_of_bounds},
        {"table_out_of_bounds", [], table_out_of_bounds},
        {"table_get_out_of_bounds", [], table_out_of_bounds},
        {"indirect_call_to_null", [], indirect_call_to_null},
        {"bad_signature", [], bad_signature},
        {"integer_overflow", [], integer_overflow},
        {"integer_overflow_i64", [], integer_overflow},
        {"division_overflow", [], integer_overflow},
        {"division_overflow_i64", [], integer_overflow},
        {"integer_division_by_zero", [], integer_division_by_zero},
        {"remainder_by_zero", [], integer_division_by_zero},
        {"divide", [1, 0], integer_division_by_zero},
        {"divide", [-(1 bsl 31), -1], integer_overflow},
        {"bad_conversion_to_integer", [], bad_conversion_to_integer},
        {"stack_overflow", [0], stack_overflow}
    ],
    [begin
         Result = hb_wasm64:call(H, Name, Args),
         ?assertMatch({Name, {error, {trap, #{code := Code, message := <<_, _/binary>>, backtrace := [_ | _]}}}},
                      {Name, Result}),
         {error, {trap, Trap}} = Result,
         ?assertEqual([backtrace, code, message], lists:sort(maps:keys(Trap))),
         %% Innermost first, and these trap in themselves. Where the stack ends is no instruction of the guest's.
         #{backtrace := [Frame | _]} = Trap,
         ?assertMatch(#{function := F, name := Name} when is_integer(F), Frame),
         ?assert(is_integer(maps:get(offset, Frame)) orelse Code =:= stack_overflow),
         ?assertEqual({ok, [42]}, hb_wasm64:call(H, "ok", []))
     end || {Name, Args, Code} <- Traps].

a_backtrace_names_the_functions_innermost_first_test() ->
    H = hb_support:start("traps"),
    {error, {trap, #{code := integer_division_by_zero, backtrace := Frames}}} = hb_wasm64:call(H, "outer", [1]),
    ?assertEqual(["inner", "middle", "outer"], [Name || #{name := Name} <- Frames]),
    [?assertEqual([function, name, offset], lists:sort(maps:keys(Frame))) || Frame <- Frames],
    Functions = [F || #{function := F} <- Frames],
    ?assertEqual([0, 1, 2], [F - hd(Functions) || F <- Functions]),
    Offsets = [O || #{offset := O} <- Frames],
    ?assertEqual(lists:usort(Offsets), Offsets),
    ?assert(lists:last(Offsets) < byte_size(hb_support:guest("traps"))).

%% (module (func (export "f") unreachable)): no name section.
a_frame_without_a_name_says_so_test() ->
    Image = <<0, "asm", 1:32/little, 1, 4, 1, 16#60, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, "f", 0, 0, 10, 5, 1, 3, 0, 0, 16#0b>>,
    {ok, H} = hb_wasm64:start(Image),
    ?assertMatch({error, {trap, #{backtrace := [#{function := 0, name := undefined}]}}}, hb_wasm64:call(H, "f", [])).

%% Endless recursion in an interpreter must not make a message of megabytes.
a_backtrace_is_cut_at_some_length_test() ->
    H = hb_support:start("traps"),
    {error, {trap, #{backtrace := Frames}}} = hb_wasm64:call(H, "stack_overflow", [0]),
    ?assert(length(Frames) > 1),
    ?assert(length(Frames) =< 1000).

%% The stack

%% On a normal scheduler, whose own stack is smaller than the guest's, and many
%% times, so that nothing of it stays behind.
a_stack_overflow_in_the_first_slice_leaves_the_node_alone_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("traps"),
        [?assertMatch({error, {trap, #{code := stack_overflow}}}, hb_wasm64:call(H, "stack_overflow", [0]))
         || _ <- lists:seq(1, 200)],
        ?assertEqual({ok, [42]}, hb_wasm64:call(H, "ok", []))
    end}.

%% (module
%%   (func $deep (result i32) call $deep i32.const 1 i32.add)
%%   (func (export "late") (param i64) (result i32)
%%     loop local.get 0 i64.const 1 i64.sub local.tee 0 i64.eqz if else br 1 end end
%%     call $deep))
%% After so many turns the guest is on a dirty scheduler.
a_stack_overflow_in_a_later_slice_leaves_the_node_alone_test_() ->
    Image = <<0, "asm", 1:32/little,
              1, 10, 2, 16#60, 0, 1, 16#7f, 16#60, 1, 16#7e, 1, 16#7f,
              3, 3, 2, 0, 1,
              7, 8, 1, 4, "late", 0, 1,
              10, 31, 2, 7, 0, 16#10, 0, 16#41, 1, 16#6a, 16#0b,
                      21, 0, 16#03, 16#40, 16#20, 0, 16#42, 1, 16#7d, 16#22, 0, 16#50, 16#04, 16#40, 16#05,
                      16#0c, 1, 16#0b, 16#0b, 16#10, 0, 16#0b>>,
    {timeout, 300, fun() ->
        {ok, H} = hb_wasm64:start(Image),
        {Micros, _} = hb_support:micros(fun() ->
            ?assertMatch({error, {trap, #{code := stack_overflow}}}, hb_wasm64:call(H, "late", [50_000_000]))
        end),
        %% It was a later slice.
        ?assert(Micros > 5_000),
        [?assertMatch({error, {trap, #{code := stack_overflow}}}, hb_wasm64:call(H, "late", [N]))
         || N <- [1, 1_000, 10_000_000, 20_000_000]]
    end}.

%% The frames of the outer calls count: levels do not add up to a new stack each.
a_stack_overflow_in_nested_calls_leaves_the_node_alone_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        Self = fun Deeper(S, #{instance := I}, _) ->
            case hb_wasm64:call(I, "call_callback", [1], Deeper, S + 1, #{}) of
                {ok, [Depth], S1} -> {ok, [Depth + 1], S1};
                {error, Reason, S1} -> {error, Reason, S1}
            end
        end,
        {error, Reason, Depth} = hb_wasm64:call(H, "call_callback", [1], Self, 0, #{}),
        ?assertMatch({import_failed, _}, Reason),
        ?assertNotEqual(nomatch, string:find(io_lib:format("~0p", [Reason]), "stack_overflow")),
        ?assert(Depth > 10),
        ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5]))
    end}.

deep_recursion_that_ends_is_no_overflow_test() ->
    H = hb_support:start("loop"),
    ?assertEqual({ok, [5_000]}, hb_wasm64:call(H, "recurse", [5_000])).

%% Two machines must give up at the same depth; so must two instances.
stack_overflow_comes_at_the_same_depth_each_time_test() ->
    Depth = fun(H, Nested) ->
        Fits = fun(N) ->
            case Nested(H, N) of
                {ok, [N]} -> true;
                {error, {trap, #{code := stack_overflow}}} -> false
            end
        end,
        bisect(1, 1_000_000, Fits)
    end,
    Plain = fun(H, N) -> hb_wasm64:call(H, "recurse", [N]) end,
    A = Depth(hb_support:start("loop"), Plain),
    ?assertEqual(A, Depth(hb_support:start("loop"), Plain)),
    ?assertEqual(A, hb_support:in_process(fun() -> Depth(hb_support:start("loop"), Plain) end)).

bisect(Yes, No, Fits) when No - Yes > 1 ->
    Middle = (Yes + No) div 2,
    case Fits(Middle) of
        true -> bisect(Middle, No, Fits);
        false -> bisect(Yes, Middle, Fits)
    end;
bisect(Yes, _, _) ->
    Yes.

%% Images that are none

broken_bytes_are_an_invalid_module_test() ->
    Good = hb_support:guest("numbers"),
    %% Every shorter piece of it but the bare header, which is a module.
    Truncated = [binary:part(Good, 0, N) || N <- lists:seq(0, byte_size(Good) - 1, 23), N =/= 8],
    <<Header:8/binary, Rest/binary>> = Good,
    Broken = [<<>>, <<0>>, <<"hello, world">>, <<0, "asm">>, <<0, "asm", 2:32/little>>, <<0:8000>>,
              <<Good/binary, 0>>, <<Good/binary, Good/binary>>, <<Header/binary, 255, Rest/binary>>,
              binary:copy(<<255>>, 100_000)],
    %% Nothing that is known by how it begins begins like this: no text, nor what has a magic number.
    Random = [<<255, (rand:bytes(N))/binary>> || N <- [0, 7, 99, 9_999]],
    RandomBodies = [<<Header/binary, (rand:bytes(N))/binary>> || N <- [1, 10, 100, 10_000]],
    [?assertMatch({error, {invalid_module, <<_, _/binary>>}}, hb_wasm64:start(Image))
     || Image <- Truncated ++ Broken ++ Random ++ RandomBodies].

%% Bytes changed within a real image: refused or run, but nothing crashes.
a_damaged_image_is_refused_or_runs_test_() ->
    {timeout, 300, fun() ->
        Good = hb_support:guest("exceptions"),
        [begin
             At = rand:uniform(byte_size(Good) - 8) + 7,
             <<Before:At/binary, Byte, After/binary>> = Good,
             Damaged = <<Before/binary, (Byte bxor (1 bsl (rand:uniform(8) - 1))), After/binary>>,
             case hb_wasm64:start(Damaged, #{timeout => 60_000}) of
                 {ok, H} -> ok = hb_wasm64:stop(H);
                 %% Changed sizes may ask for more than this host can give, changed code may throw: rare, and worth a look.
                 {error, {Kind, _} = Reason} when Kind =:= host; Kind =:= exception ->
                     io:format(user, "~n  byte ~b changed: ~P~n", [At, Reason, 20]);
                 {error, {Kind, _} = Reason} ->
                     ?assert(lists:member(Kind, [invalid_module, unsupported, link, trap, limit]), {At, Reason});
                 {error, timeout} ->
                     error({endless, Damaged})
             end
         end || _ <- lists:seq(1, 150)]
    end}.

what_is_no_binary_is_refused_test() ->
    [?assertMatch({error, {Reason, _}} when Reason =:= invalid_module orelse Reason =:= invalid_args, hb_wasm64:start(Image))
     || Image <- [foo, 1, "asm", [], [<<0, "asm", 1:32/little>>], #{}, {}, <<0, "asm", 1:32/little, 1:1>>]].

the_bare_header_is_a_module_test() ->
    {ok, H} = hb_wasm64:start(<<0, "asm", 1:32/little>>),
    ?assertEqual({error, {unknown_function, "f"}}, hb_wasm64:call(H, "f", [])),
    ?assertMatch({ok, #{imports := [], exports := []}}, hb_wasm64:describe(H)),
    ?assertEqual({ok, 0}, hb_wasm64:memory_size(H)).

valid_images_that_cannot_run_here_are_unsupported_test() ->
    Images = [
        {component, hb_support:guest("component")}, {shared_memory, hb_support:guest("shared_memory")},
        {exact_function, <<0, "asm", 1:32/little, 1, 4, 1, 16#60, 0, 0, 2, 7, 1, 1, "m", 1, "f", 16#20, 0>>},
        {text, <<"(module)">>}, {text, <<"  \n(module (func))">>}, {text, <<"(component)">>},
        {aot, <<0, "aot", 3:32/little, 0:800>>}, {elf, <<16#7f, "ELF", 2, 1, 1, 0:800>>}
    ],
    [?assertMatch({Kind, {error, {unsupported, <<_, _/binary>>}}}, {Kind, hb_wasm64:start(Image)})
     || {Kind, Image} <- Images].

%% What is refused is refused each time, and a good image starts after it.
refusals_are_not_remembered_wrongly_test() ->
    Bad = <<0, "asm", 1:32/little, 99>>,
    [{error, {invalid_module, Text}} | More] = [hb_wasm64:start(Bad) || _ <- lists:seq(1, 5)],
    [?assertEqual({error, {invalid_module, Text}}, Result) || Result <- More],
    ?assertMatch({ok, _}, hb_wasm64:start(hb_support:guest("numbers"))).

%% Both kinds of exception instructions in one module: the standard does not allow it.
mixed_exception_instructions_are_refused_or_run_right_test() ->
    case hb_wasm64:start(hb_support:guest("exceptions_mixed")) of
        {ok, H} ->
            ?assertEqual(hb_wasm64:call(H, "new", [5]), hb_wasm64:call(H, "old", [5]));
        {error, Reason} ->
            ?assertMatch({_, <<_, _/binary>>}, Reason),
            ?assert(lists:member(element(1, Reason), [invalid_module, unsupported]))
    end.

%% Imports that are no functions

link_errors_name_what_is_missing_test() ->
    [?assertEqual({error, {link, #{module => "env", name => Name, kind => Kind}}}, hb_wasm64:start(hb_support:guest(Guest)))
     || {Guest, Name, Kind} <- [
         {"imported_tag", "t", tag}, {"imported_memory", "memory", memory},
         {"imported_global", "g", global}, {"imported_table", "table", table}
     ]].

%% (module (import "env" "f" (func)) (import "env" "f" (func (param i32))))
one_name_imported_with_two_types_is_a_link_error_test() ->
    Image = <<0, "asm", 1:32/little, 1, 8, 2, 16#60, 0, 0, 16#60, 1, 16#7f, 0,
              2, 17, 2, 3, "env", 1, "f", 0, 0, 3, "env", 1, "f", 0, 1>>,
    ?assertEqual({error, {link, #{module => "env", name => "f", kind => func}}}, hb_wasm64:start(Image)).

%% (module (memory i64 262145)), 16 GiB and a page; (module (table 10000001 funcref)).
images_that_want_more_than_they_may_have_meet_a_limit_test() ->
    ?assertEqual({error, {limit, memory}}, hb_wasm64:start(<<0, "asm", 1:32/little, 5, 5, 1, 4, 16#81, 16#80, 16#10>>)),
    ?assertEqual({error, {limit, table}}, hb_wasm64:start(<<0, "asm", 1:32/little, 4, 7, 1, 16#70, 0, 16#81, 16#ad, 16#e2, 4>>)),
    %% And no more than that are as good as any other.
    ?assertEqual({ok, [10_000_000]}, hb_wasm64:call(hb_support:start("big_table"), "size", [])).

%% To a guest a limit is what its own maximum is: growing fails.
guests_are_told_that_they_cannot_grow_test() ->
    H = hb_support:start("big_table"),
    ?assertEqual({ok, [-1]}, hb_wasm64:call(H, "grow", [1])),
    Memory = hb_support:start("big_memory"),
    ?assertEqual({ok, [262144]}, hb_wasm64:call(Memory, "size", [])),
    ok = hb_wasm64:stop(Memory).

%% Start functions

a_start_function_runs_before_start_returns_test() ->
    H = hb_support:start("start_ok"),
    ?assertEqual({ok, [42]}, hb_wasm64:call(H, "get", [])),
    ?assertEqual({ok, [43]}, hb_wasm64:call(H, "get_memory", [])),
    ?assertEqual({ok, <<43:32/little>>}, hb_wasm64:read(H, 16, 4)).

a_start_function_that_traps_makes_no_instance_test() ->
    ?assertMatch({error, {trap, #{code := unreachable, backtrace := [_ | _]}}},
                 hb_wasm64:start(hb_support:guest("start_trap"))).

%% Nobody can answer yet: zeros.
a_start_function_may_call_imports_test() ->
    H = hb_support:start("start_import"),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "get", [])).

an_endless_start_function_is_ended_by_the_timeout_test_() ->
    {timeout, 300, fun() ->
        Image = hb_support:guest("start_spin"),
        {Micros, Result} = hb_support:micros(fun() -> hb_wasm64:start(Image, #{timeout => 100}) end),
        ?assertEqual({error, timeout}, Result),
        ?assert(Micros >= 90_000),
        ?assert(Micros < 30_000_000),
        ?assertEqual([], hb_support:flush())
    end}.

%% Whatever the compile threads still have to say is nobody's message any more.
a_start_that_has_no_time_leaves_nothing_in_the_mailbox_test_() ->
    {timeout, 300, fun() ->
        %% It has started in no time where this process was kept waiting by others until the image was there.
        Outcome = hb_support:best_of(5, fun() ->
            Image = hb_support:fresh(hb_support:guest("ledger")),
            Started = hb_wasm64:start(Image, #{timeout => 0}),
            %% Whoever has asked for an image that is being compiled is told before those who ask later.
            ?assertMatch({ok, _}, hb_wasm64:start(Image)),
            timer:sleep(300),
            ?assertEqual([], hb_support:flush()),
            Started =:= {error, timeout} orelse Started
        end),
        ?assertEqual(true, Outcome)
    end}.

%% The C driver could not be stopped at all, and blocked a scheduler.
an_endless_start_function_ends_with_its_caller_test_() ->
    {timeout, 300, fun() ->
        Image = hb_support:guest("start_spin"),
        Pids = [spawn(fun() -> hb_wasm64:start(Image) end) || _ <- lists:seq(1, 8)],
        timer:sleep(100),
        [hb_support:gone(Pid) || Pid <- Pids],
        %% The schedulers are free: nothing of it goes on.
        ?assert(hb_support:wait_until(fun() -> dirty_schedulers_idle() end))
    end}.

dirty_schedulers_idle() ->
    Old = erlang:system_flag(scheduler_wall_time, true),
    Before = lists:sort(erlang:statistics(scheduler_wall_time_all)),
    timer:sleep(100),
    After = lists:sort(erlang:statistics(scheduler_wall_time_all)),
    _ = erlang:system_flag(scheduler_wall_time, Old),
    Normal = erlang:system_info(schedulers),
    Dirty = erlang:system_info(dirty_cpu_schedulers),
    lists:all(
        fun({{Id, A0, T0}, {Id, A1, T1}}) -> Id > Normal + Dirty orelse (A1 - A0) / max(1, T1 - T0) < 0.5 end,
        lists:zip(Before, After)
    ).

%% Nonsense

%% No function of the API raises for what it is given.
nonsense_is_answered_and_not_raised_test() ->
    H = hb_support:start("memory"),
    ?assertMatch({error, _}, hb_wasm64:read(H, foo, 1)),
    ?assertMatch({error, _}, hb_wasm64:read(H, 0, foo)),
    ?assertMatch({error, _}, hb_wasm64:read(H, 1.0, 1)),
    ?assertMatch({error, _}, hb_wasm64:write(H, foo, <<>>)),
    ?assertMatch({error, _}, hb_wasm64:write(H, 0, foo)),
    ?assertMatch({error, _}, hb_wasm64:write(H, 0, <<1:1>>)),
    ?assertMatch({error, _}, hb_wasm64:read_string(H, foo)),
    ?assertMatch({error, _}, hb_wasm64:write_string(H, foo)),
    ?assertMatch({error, _}, hb_wasm64:write_string(H, [1000])),
    ?assertMatch({error, _}, hb_wasm64:write_string(H, [<<"a">> | foo])),
    ?assertMatch({error, _}, hb_wasm64:malloc(H, foo)),
    ?assertMatch({error, _}, hb_wasm64:malloc(H, -1)),
    ?assertMatch({error, _}, hb_wasm64:malloc(H, 1 bsl 100)),
    ?assertMatch({error, _}, hb_wasm64:free(H, foo)),
    ?assertEqual({ok, <<"Hello, World!">>}, hb_wasm64:read_string(H, 64)).

%% A limit that is none would otherwise be no limit at all.
bad_options_are_refused_test() ->
    H = hb_support:start("numbers"),
    Import = fun(S, _, _) -> {ok, [], S} end,
    Bad = [{timeout, T} || T <- [-1, foo, 1.5, <<"1">>, "1", undefined]]
        ++ [{fuel, F} || F <- [-1, foo, 1.5, <<"1">>, undefined, 1 bsl 64]],
    [begin
         Refused = {error, {invalid_option, Key, Value}},
         ?assertEqual(Refused, hb_wasm64:call(H, "nop", [], #{Key => Value})),
         ?assertEqual(Refused, hb_wasm64:call_async(H, "nop", [], #{Key => Value})),
         ?assertEqual(erlang:append_element(Refused, s), hb_wasm64:call(H, "nop", [], Import, s, #{Key => Value}))
     end || {Key, Value} <- Bad],
    [?assertEqual({error, {invalid_option, timeout, T}}, hb_wasm64:start(hb_support:guest("numbers"), #{timeout => T}))
     || {timeout, T} <- Bad],
    [?assertMatch({error, {invalid_option, _, Options}}, hb_wasm64:call(H, "nop", [], Options))
     || Options <- [foo, [], [{timeout, 1}], 1]],
    [?assertEqual({error, {invalid_option, handler, Handler}}, hb_wasm64:call_async(H, "nop", [], #{handler => Handler}))
     || Handler <- [foo, 1, make_ref(), undefined]],
    ?assertEqual([], hb_support:flush()).

import_functions_that_are_none_are_refused_test() ->
    H = hb_support:start("numbers"),
    [?assertMatch({error, _, s}, hb_wasm64:call(H, "nop", [], Import, s, #{}))
     || Import <- [foo, fun() -> ok end, fun(_, _) -> ok end, undefined, {m, f}]].

options_without_a_bound_are_as_good_as_none_test() ->
    H = hb_support:start("numbers"),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "nop", [], #{timeout => infinity, fuel => infinity})).
