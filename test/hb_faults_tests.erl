%% The faults of HyperBEAM's C driver, one test for each: what it does wrong
%% with some input must be right here, through the drop-in names. These call
%% hb_wasm64, whose own suites have more of each.
-module(hb_faults_tests).

-include_lib("eunit/include/eunit.hrl").

-define(MB, 1_000_000).

%% What an input does to the C driver stands in parentheses.
values_test_() ->
    rows([
        {"an integer wraps into i32 up to 2^32-1 and is exact for i64 (0, or a host address)",
            fun integers/1},
        {"an integer beyond its type is refused (0, or a host address)", fun integers_too_large/1},
        {"an i64 or f32 that an import answers arrives exact (cut to 32 bits; 0.0)", fun import_answers/1},
        {"f32 results and f32 arguments of imports are exact (garbage)", fun single_floats/1},
        {"an integer for a float parameter is converted (its bit pattern, or a hang)",
            fun integers_for_floats/1},
        {"a huge integer for a float parameter is converted, too (its bit pattern, or a hang)",
            fun huge_integers_for_floats/1},
        {"a float for an integer parameter is refused (its bit pattern)", fun floats_for_integers/1},
        {"NaN and infinity are results like others (hangs for ever)", fun not_a_number/1},
        {"too few arguments are refused (the node crashes)", fun too_few_arguments/1},
        {"too many arguments are refused (ignored)", fun too_many_arguments/1},
        {"the import function sees the whole signature (last character cut off)", fun import_signatures/1}
    ]).

names_and_addresses_test_() ->
    rows([
        {"a function name of 300 characters is unknown (the node crashes)", fun long_names/1},
        {"read and write far outside the memory are refused (the node crashes)", fun wild_offsets/1},
        {"read of a negative or huge size is refused (the node crashes)", fun wild_sizes/1},
        {"a call by table index works (unknown command)", fun table_index/1},
        {"a call by table index works where the only table is not exported (unknown command)",
            fun hidden_table_index/1}
    ]).

imports_test_() ->
    rows([
        {"an import that answers [] or nonsense fails alone (the node crashes, or hangs)",
            fun nonsense_answers/1},
        {"an import function that gives no answer and state fails alone (hangs for ever)", fun no_answers/1},
        {"an import function that throws fails alone (hangs for ever)", fun throwing_imports/1},
        {"the guest may be called back from an import (deadlock)", fun calling_back/1},
        {"another instance may be called from an import, by many at once (deadlock)",
            fun other_instances/1},
        {"a caller killed in an import frees the instance at once (stuck)", fun killed_in_import/1},
        {"a caller killed in an import sets free who called back for it (stuck)",
            fun killed_under_a_nested_call/1},
        {"a caller killed in an import does not hold up new instances (stuck)",
            fun killed_in_import_then_start/1}
    ]).

endless_test_() ->
    rows([
        {"killing the caller of an endless loop ends it (cannot be stopped)", fun killed_in_loop/1},
        {"killing who starts an endless start function ends it (cannot be stopped)",
            fun killed_in_start/1},
        {"stop ends an endless loop and does not block (hangs)", fun stopped_in_loop/1},
        {"halt() is not held up by an endless loop (hangs)", fun halted_in_loop/1}
    ]) ++ [
        alone("a time limit ends an endless loop (cannot be stopped)", fun timeout_in_loop/0),
        alone("a time limit ends an endless start function (cannot be stopped)", fun timeout_in_start/0),
        alone("fuel ends an endless loop (cannot be stopped)", fun fuel_in_loop/0)
    ].

turns_test_() ->
    rows([
        {"several callers of one instance each get their own answer (the wrong caller does)",
            fun several_callers/1},
        {"a read waits while a call runs (steals its result)", fun read_during_call/1},
        {"a read waits while an import is pending elsewhere (steals its result)",
            fun read_during_import/1},
        {"stray messages that look like answers stay in the mailbox (taken as the answer)",
            fun stray_messages/1},
        {"a call after stop is told so (hangs for ever)", fun call_after_stop/1},
        {"a call works right after start (may be \"not initialized\")", fun call_after_start/1},
        {"an instance has no process of its own (one that stays for ever)", fun no_processes/1}
    ]).

snapshots_test_() ->
    rows([
        {"a snapshot holds globals, tables and all memories (linear memory only)", fun complete_snapshots/1},
        {"a memory too large to restore is an error and changes nothing (ok)", fun snapshots_too_large/1},
        {"what cannot be restored is an error and changes nothing (ok)", fun snapshots_of_nothing/1},
        {"restoring a stopped instance is an error (ok, or a hang)", fun snapshots_for_nobody/1}
    ]).

%% In a VM of their own, as what other tests leave would show.
memory_test_() ->
    {setup, fun hb_support:peer/0, fun peer:stop/1,
        fun(Peer) ->
            [{Row, {timeout, 300, fun() -> hb_support:on_peer(Peer, fun() -> Test(hb_beamr) end) end}} || {Row, Test} <- [
                {"100,000 calls leave no memory behind (290 MB)", fun flat_calls/1},
                {"100,000 imports leave no memory behind (160 MB)", fun flat_imports/1},
                {"10,000 failed imports leave no memory behind (all hang)", fun flat_failures/1},
                {"100,000 reads leave no memory behind (1 GB)", fun flat_reads/1},
                {"1,000 starts and stops leave no memory behind (1.1 GB)", fun flat_starts/1},
                {"5,000 instances that are forgotten are collected (never)", fun flat_forgotten/1}
            ]]
        end}.

%% Values

integers(Api) ->
    H = start(Api, "numbers"),
    I32 = [0, 1, -1, 1 bsl 31 - 1, -(1 bsl 31)],
    [?assertEqual({ok, [N]}, call(Api, H, "id_i32", [N])) || N <- I32],
    ?assertEqual({ok, [-(1 bsl 31)]}, call(Api, H, "id_i32", [1 bsl 31])),
    ?assertEqual({ok, [-1]}, call(Api, H, "id_i32", [1 bsl 32 - 1])),
    I64 = I32 ++ [1 bsl 31, 1 bsl 32, -(1 bsl 32) - 1, 1 bsl 59, 1 bsl 60, 1 bsl 63 - 1, -(1 bsl 63)],
    [?assertEqual({ok, [N]}, call(Api, H, "id_i64", [N])) || N <- I64],
    ?assertEqual({ok, [-(1 bsl 63)]}, call(Api, H, "id_i64", [1 bsl 63])),
    ?assertEqual({ok, [-1]}, call(Api, H, "id_i64", [1 bsl 64 - 1])).

integers_too_large(Api) ->
    H = start(Api, "numbers"),
    [refused({"(i)i", [N], 1}, call(Api, H, "id_i32", [N]))
        || N <- [1 bsl 32, -(1 bsl 31) - 1, 1 bsl 63, 1 bsl 64, -(1 bsl 64), 1 bsl 5000]],
    [refused({"(I)I", [N], 1}, call(Api, H, "id_i64", [N]))
        || N <- [1 bsl 64, -(1 bsl 63) - 1, 1 bsl 127, 1 bsl 128, -(1 bsl 200), 1 bsl 5000]],
    ?assertEqual({ok, [7]}, call(Api, H, "id_i64", [7])).

import_answers(Api) ->
    H = start(Api, "imports"),
    Answered = fun(Func, Args, Answer) ->
        {ok, Results, _} = call(Api, H, Func, Args, answer(Answer), none),
        Results
    end,
    [?assertEqual([N], Answered("call_wide", [0], [N]))
        || N <- [1 bsl 31, 1 bsl 32, 1 bsl 40 + 1, -(1 bsl 40) - 1, 1 bsl 63 - 1, -(1 bsl 63)]],
    ?assertEqual([-1], Answered("call_wide", [0], [1 bsl 64 - 1])),
    ?assertEqual([-1], Answered("call_add", [0, 0], [1 bsl 32 - 1])),
    [?assertEqual([X], Answered("call_single", [0], [X])) || X <- [1.5, -0.25, 16777216.0]],
    ?assertEqual([single(0.1)], Answered("call_single", [0], [0.1])),
    [?assertEqual([X], Answered("call_double", [0], [X])) || X <- [0.1, -1.0e300, 5.0e-324]],
    ?assertEqual([3.0], Answered("call_double", [0], [3])),
    ?assertEqual([7, 1 bsl 40], Answered("call_pair", [0], [7, 1 bsl 40])).

single_floats(Api) ->
    H = start(Api, "numbers"),
    [?assertEqual({ok, [X]}, call(Api, H, "id_f32", [X])) || X <- [0.0, 1.5, -2.25, 1.0e10]],
    ?assertEqual({ok, [single(0.1)]}, call(Api, H, "id_f32", [0.1])),
    ?assertEqual({ok, [3.75]}, call(Api, H, "add_f32", [1.5, 2.25])),
    ?assertEqual({ok, [2, 4.5, 1, 3.5]}, call(Api, H, "mixed", [1, 2, 3.5, 4.5])),
    I = start(Api, "imports"),
    Keep = fun(_, #{args := Args}, _) -> {ok, Args, Args} end,
    [?assertEqual({ok, [X], [X]}, call(Api, I, "call_single", [X], Keep, none))
        || X <- [1.5, -2.25, single(0.1)]].

integers_for_floats(Api) ->
    H = start(Api, "numbers"),
    ?assertEqual({ok, [120.0]}, call(Api, H, "fac", [5])),
    ?assertEqual({ok, [-3.0]}, call(Api, H, "id_f32", [-3])),
    ?assertEqual({ok, [0.0]}, call(Api, H, "id_f64", [0])),
    %% To the nearest, and to the even one of two that are equally near.
    ?assertEqual({ok, [9007199254740992.0]}, call(Api, H, "id_f64", [1 bsl 53 + 1])),
    ?assertEqual({ok, [16777216.0]}, call(Api, H, "id_f32", [1 bsl 24 + 1])),
    ?assertEqual({ok, [float(1 bsl 100)]}, call(Api, H, "id_f64", [1 bsl 100])),
    ?assertEqual({ok, [-float(1 bsl 100)]}, call(Api, H, "id_f32", [-(1 bsl 100)])).

huge_integers_for_floats(Api) ->
    H = start(Api, "numbers"),
    [?assertEqual({ok, [float(N)]}, call(Api, H, "id_f64", [N]))
        || N <- [1 bsl 127, 1 bsl 128, -(1 bsl 128), 1 bsl 200, 1 bsl 1023]],
    %% Nearer to no float than to the others.
    refused({"(F)F", [1 bsl 5000], 1}, call(Api, H, "id_f64", [1 bsl 5000])).

floats_for_integers(Api) ->
    H = start(Api, "numbers"),
    refused({"(i)i", [1.0], 1}, call(Api, H, "id_i32", [1.0])),
    refused({"(I)I", [2.5], 1}, call(Api, H, "id_i64", [2.5])),
    refused({"(iIfF)IFif", [1, 2.0, 3.0, 4.0], 2}, call(Api, H, "mixed", [1, 2.0, 3.0, 4.0])),
    ?assertEqual({ok, [1]}, call(Api, H, "id_i32", [1])).

not_a_number(Api) ->
    H = start(Api, "numbers"),
    Result = fun(Func, Args) -> {ok, [X]} = call(Api, H, Func, Args), X end,
    ?assertEqual(nan, Result("nan_f32", [])),
    ?assertEqual(nan, Result("nan_f64", [])),
    ?assertEqual(nan, Result("zero_div", [0.0])),
    ?assertEqual(infinity, Result("inf_f32", [])),
    ?assertEqual(infinity, Result("inf_f64", [])),
    ?assertEqual(neg_infinity, Result("minus_inf_f32", [])),
    ?assertEqual(neg_infinity, Result("minus_inf_f64", [])),
    ?assertEqual({nan, 16#7fa12345}, Result("nan_payload_f32", [])),
    ?assertEqual({nan, 16#7ff4000000012345}, Result("nan_payload_f64", [])),
    ?assertEqual({nan, 16#ffc00000}, Result("nan_negative_f32", [])),
    ?assertEqual({nan, 16#fff8000000000000}, Result("nan_negative_f64", [])),
    I = start(Api, "imports"),
    [?assertEqual({ok, [X], none}, call(Api, I, "call_double", [1.0], answer([X]), none))
        || X <- [nan, infinity, neg_infinity, {nan, 16#fff8000000000001}]],
    [?assertEqual({ok, [X], none}, call(Api, I, "call_single", [1.0], answer([X]), none))
        || X <- [nan, infinity, neg_infinity, {nan, 16#ffc00001}]].

too_few_arguments(Api) ->
    H = start(Api, "numbers"),
    refused({"(ii)i", [], 1}, call(Api, H, "add_i32", [])),
    refused({"(ii)i", [1], 2}, call(Api, H, "add_i32", [1])),
    refused({"(iIfF)IFif", [1, 2, 3.0], 4}, call(Api, H, "mixed", [1, 2, 3.0])),
    ?assertEqual({ok, [3]}, call(Api, H, "add_i32", [1, 2])),
    I = start(Api, "imports"),
    refused({"(i)i", [], 1}, call(Api, I, 0, [])).

too_many_arguments(Api) ->
    H = start(Api, "numbers"),
    refused({"()", [1], 1}, call(Api, H, "nop", [1])),
    refused({"(ii)i", [1, 2, 3], 3}, call(Api, H, "add_i32", [1, 2, 3])),
    Many = lists:seq(1, 10_000),
    refused({"(ii)i", Many, 3}, call(Api, H, "add_i32", Many)),
    ?assertEqual({ok, []}, call(Api, H, "nop", [])),
    I = start(Api, "imports"),
    refused({"(i)i", [1, 2], 2}, call(Api, I, 0, [1, 2])).

import_signatures(Api) ->
    H = start(Api, "imports"),
    Note = fun(Seen, #{func := Func, func_sig := Sig}, _) -> {ok, [0, 0], [{Func, Sig} | Seen]} end,
    Calls = [{"call_add", [1, 2]}, {"call_wide", [1]}, {"call_single", [1]}, {"call_double", [1]},
             {"call_none", []}, {"call_pair", [1]}, {"call_callback", [1]}, {"call_log", []}],
    Seen = lists:foldl(
        fun({Func, Args}, State) ->
            {ok, _, State1} = call(Api, H, Func, Args, Note, State),
            State1
        end, [], Calls),
    ?assertEqual(
        [{"add", "(ii)i"}, {"wide", "(I)I"}, {"single", "(f)f"}, {"double", "(F)F"},
         {"none", "()"}, {"pair", "(i)iI"}, {"callback", "(i)i"}, {"log", "(ii)"}],
        lists:reverse(Seen)).

%% Names and addresses

long_names(Api) ->
    H = start(Api, "numbers"),
    Names = [lists:duplicate(300, $x), lists:duplicate(100_000, $x), "fac" ++ lists:duplicate(297, 0),
             lists:duplicate(300, 16#20ac), "", "fac\0", "Fac"],
    [?assertMatch({error, {unknown_function, _}}, call(Api, H, Form, []))
        || Name <- Names, Form <- [Name, unicode:characters_to_binary(Name)]],
    %% No text at all.
    [?assertMatch({error, _}, call(Api, H, Name, []))
        || Name <- [<<255, 254>>, [16#110000], [a | b], [-1]]],
    ?assertEqual({ok, [120.0]}, call(Api, H, "fac", [5.0])).

wild_offsets(Api) ->
    [begin
        H = start(Api, Guest),
        {ok, Before} = read(Api, H, 0, 65536),
        [begin
            outside(read(Api, H, Offset, 8)),
            outside(write(Api, H, Offset, <<"01234567">>))
        end || Offset <- [-1, -8, -65536, 65529, 65536, 65537, 1 bsl 31, 1 bsl 32, 1 bsl 32 - 1, 1 bsl 40,
                          1 bsl 63 - 1, 1 bsl 63, 1 bsl 64 - 1, 1 bsl 64, 1 bsl 64 + 64, -(1 bsl 63),
                          -(1 bsl 64), 1 bsl 5000]],
        ?assertMatch({error, {out_of_bounds, #{offset := 65529, size := 8, memory := 65536}}},
            read(Api, H, 65529, 8)),
        ?assertEqual({ok, Before}, read(Api, H, 0, 65536)),
        ?assertEqual(ok, write(Api, H, 65528, <<"01234567">>)),
        ?assertEqual({ok, <<"01234567">>}, read(Api, H, 65528, 8))
    end || Guest <- ["memory", "memory64"]].

wild_sizes(Api) ->
    H = start(Api, "memory"),
    [outside(read(Api, H, 64, Size))
        || Size <- [-1, -64, 65536, 65473, 1 bsl 31, 1 bsl 32 - 64, 1 bsl 32, 1 bsl 40, 1 bsl 62, 1 bsl 63,
                    1 bsl 64 - 64, 1 bsl 64, -(1 bsl 64), 1 bsl 5000]],
    outside(write(Api, H, 0, binary:copy(<<1>>, 65537))),
    ?assertEqual({ok, <<"Hello, World!", 0>>}, read(Api, H, 64, 14)),
    ?assertEqual({ok, <<>>}, read(Api, H, 64, 0)),
    %% Without a memory every address is outside.
    N = start(Api, "numbers"),
    outside(read(Api, N, 0, 1)),
    outside(write(Api, N, 0, <<1>>)).

table_index(Api) ->
    H = start(Api, "imports"),
    ?assertEqual({ok, [70]}, call(Api, H, 0, [7])),
    ?assertEqual({ok, [5]}, call(Api, H, 1, [5])),
    ?assertEqual({ok, [11]}, call(Api, H, 1, [6])),
    ?assertEqual({ok, [104], none}, call(Api, H, 2, [4], answer([100]), none)),
    [?assertMatch({error, {unknown_function, _}}, call(Api, H, Index, [1])) || Index <- [3, 1 bsl 31, 1 bsl 32]],
    [?assertMatch({error, _}, call(Api, H, Index, [1])) || Index <- [-1, 1 bsl 64, -(1 bsl 64), 1 bsl 5000]],
    ?assertEqual({ok, [70]}, call(Api, H, 0, [7])),
    %% No table, and two of which none has the usual name.
    [?assertMatch({error, {unknown_function, _}}, call(Api, start(Api, Guest), 0, []))
        || Guest <- ["numbers", "tables"]].

%% Its entry 1 is null.
hidden_table_index(Api) ->
    H = start(Api, "traps"),
    ?assertEqual({ok, [14]}, call(Api, H, 0, [7])),
    [?assertMatch({error, {unknown_function, _}}, call(Api, H, Index, [7])) || Index <- [1, 2]],
    ?assertEqual({ok, [42]}, call(Api, H, "ok", [])).

%% Imports

nonsense_answers(Api) ->
    H = start(Api, "imports"),
    Fails = fun(Func, Args, Answer) ->
        ?assertMatch({error, {import_failed, _}, _}, call(Api, H, Func, Args, answer(Answer), none))
    end,
    [Fails("call_add", [1, 2], Answer)
        || Answer <- [[], [foo], ["text"], [<<"text">>], [1.5], [nan], [1 bsl 32], [-(1 bsl 31) - 1],
                      [1 bsl 5000], [null], [[]], [#{}], [self()], foo, <<>>, 1, #{}, [1 | 2]]],
    [Fails("call_wide", [1], Answer) || Answer <- [[], [1.5], [1 bsl 64]]],
    [Fails("call_double", [1], Answer) || Answer <- [[], [foo], [{nan, 0}]]],
    [Fails("call_pair", [1], Answer) || Answer <- [[], [1], [1, foo]]],
    [Fails("call_none", [], Answer) || Answer <- [foo, 1]],
    %% More than is wanted is no nonsense: HyperBEAM's devices answer so.
    ?assertEqual({ok, [], none}, call(Api, H, "call_none", [], answer([0]), none)),
    ?assertEqual({ok, [5], none}, call(Api, H, "call_add", [1, 2], answer([5, foo]), none)),
    ?assertEqual([], hb_support:flush()).

no_answers(Api) ->
    H = start(Api, "imports"),
    [?assertEqual({{failed, none}, Junk},
            {failed_with(call(Api, H, "call_add", [1, 2], fun(_, _, _) -> Junk end, none)), Junk})
        || Junk <- [ok, {ok, [1], 2, 3}, [], 42, undefined, {error}, {ok, [1]}]],
    ?assertEqual({ok, [3], none}, call(Api, H, "call_add", [1, 2], fun add/3, none)),
    ?assertEqual([], hb_support:flush()).

throwing_imports(Api) ->
    H = start(Api, "imports"),
    Raisers = [fun() -> throw(oops) end, fun() -> error(oops) end, fun() -> exit(oops) end,
               fun() -> exit(normal) end, fun() -> exit(kill) end, fun() -> erlang:raise(throw, oops, []) end],
    [begin
        %% The state is the one that the failing import was given.
        Third = fun(2, _, _) -> Raise();
                   (N, #{args := [A, B]}, _) -> {ok, [A + B], N + 1} end,
        ?assertEqual({failed, 2}, failed_with(call(Api, H, "call_many", [5], Third, 0))),
        ?assertEqual({ok, [3], 0}, call(Api, H, "call_add", [1, 2], fun add/3, 0))
    end || Raise <- Raisers],
    %% In a nested call: only that one fails.
    Outer = fun(_, #{instance := I}, _) ->
        Raise = fun(_, _, _) -> error(inner) end,
        Inner = call(Api, I, "call_add", [1, 2], Raise, inner),
        {ok, [8], Inner}
    end,
    {ok, [8], Inner} = call(Api, H, "call_callback", [1], Outer, none),
    ?assertEqual({failed, inner}, failed_with(Inner)),
    ?assertEqual({ok, [3], 0}, call(Api, H, "call_add", [1, 2], fun add/3, 0)),
    ?assertEqual([], hb_support:flush()).

calling_back(Api) ->
    H = start(Api, "imports"),
    %% callback(k) is answered by nest(k), which asks for callback(k - 1).
    Nest = fun Nest(Depth, #{instance := I, func := "callback", args := [K]}, _) ->
        {ok, [Sum], _} = call(Api, I, "nest", [K], Nest, Depth + 1),
        {ok, [Sum], Depth + 1}
    end,
    ?assertEqual({ok, [55], 1}, call(Api, H, "nest", [10], Nest, 0)),
    %% The handle that the import function knows from before serves as well.
    Plain = fun Plain(_, #{args := [K]}, _) ->
        {ok, [Sum], _} = call(Api, H, "nest", [K], Plain, none),
        {ok, [Sum], none}
    end,
    ?assertEqual({ok, [55], none}, call(Api, H, "nest", [10], Plain, none)),
    %% So does another process, with the handle from the request.
    Elsewhere = fun Elsewhere(_, #{instance := I, args := [K]}, _) ->
        {ok, [Sum], _} = await(async(fun() -> call(Api, I, "nest", [K], Elsewhere, none) end)),
        {ok, [Sum], none}
    end,
    ?assertEqual({ok, [55], none}, call(Api, H, "nest", [10], Elsewhere, none)),
    %% By table index, and the memory between calls.
    Poke = fun(_, #{instance := I, args := [At]}, _) ->
        {ok, [40]} = call(Api, I, 0, [4]),
        {ok, <<4:32/little>>} = read(Api, I, At, 4),
        ok = write(Api, I, At, <<5:32/little>>),
        {ok, [5]} = call(Api, I, "peek", [At]),
        {ok, []} = call(Api, I, "poke", [At, 6]),
        {ok, [0], none}
    end,
    ?assertEqual({ok, [6], none}, call(Api, H, "mem_then_import", [4], Poke, none)),
    ?assertEqual([], hb_support:flush()).

other_instances(Api) ->
    Run = fun(N) ->
        [A, B, C] = [start(Api, "imports") || _ <- "abc"],
        ToC = fun(_, #{args := [K]}, _) ->
            {ok, [Sum], _} = call(Api, C, "call_add", [K, N], fun add/3, none),
            {ok, [Sum], none}
        end,
        ToB = fun(_, #{args := [K]}, _) ->
            {ok, [Sum], _} = call(Api, B, "nest", [K], ToC, none),
            {ok, [Sum], none}
        end,
        call(Api, A, "nest", [10], ToB, none)
    end,
    Runs = [{N, async(fun() -> Run(N) end)} || N <- lists:seq(1, 200)],
    %% nest(10) = 10 + callback(9); callback(9) = nest(9) = 9 + callback(8); callback(8) = 8 + N.
    [?assertEqual({ok, [27 + N], none}, await(Job)) || {N, Job} <- Runs].

killed_in_import(Api) ->
    H = start(Api, "imports"),
    [begin
        Caller = waits_in_import(Api, H, Depth),
        Queued = async(fun() -> call(Api, H, "call_add", [1, 2], fun add/3, queued) end),
        hb_support:gone(Caller),
        ?assertEqual({ok, [7], next}, call(Api, H, "call_add", [3, 4], fun add/3, next)),
        ?assertEqual({ok, [3], queued}, await(Queued))
    end || Depth <- [1, 2, 3, 1, 2, 3]].

killed_under_a_nested_call(Api) ->
    H = start(Api, "imports"),
    Test = self(),
    Never = fun(_, #{instance := I}, _) -> Test ! {scope, I}, receive never -> ok end end,
    Caller = spawn(fun() -> call(Api, H, "call_callback", [0], Never, none) end),
    Scope = receive {scope, I} -> I end,
    Wait = fun(_, _, _) -> Test ! nested, receive go_on -> {ok, [1], answered} end end,
    {Nested, _} = Job = async(fun() ->
        Result = call(Api, Scope, "call_callback", [0], Wait, none),
        {Result, hb_support:flush(), watchers_left(self())}
    end),
    receive nested -> ok end,
    InLine = async(fun() -> {call(Api, Scope, 0, [7]), hb_support:flush(), watchers_left(self())} end),
    hb_support:gone(Caller),
    ?assertEqual({ok, [7], next}, in_time(fun() -> call(Api, H, "call_add", [3, 4], fun add/3, next) end)),
    Nested ! go_on,
    ?assertMatch({{error, _, answered}, [], []}, await(Job)),
    %% Its scope went with the call.
    ?assertEqual({{error, cancelled}, [], []}, await(InLine)).

killed_in_import_then_start(Api) ->
    Callers = [waits_in_import(Api, start(Api, "imports"), 1) || _ <- lists:seq(1, 50)],
    lists:foreach(fun hb_support:gone/1, Callers),
    [?assertEqual({ok, [7], none}, call(Api, start(Api, "imports"), "call_add", [3, 4], fun add/3, none))
        || _ <- lists:seq(1, 50)].

%% Endless

killed_in_loop(Api) ->
    [begin
        H = start(Api, "loop"),
        Tick = fun(_, _, _) -> {ok, [], none} end,
        Caller = spawn(fun() -> call(Api, H, Func, Args, Tick, none) end),
        ?assert(hb_support:wait_until(fun() -> hb_wasm64:status(H) =:= {ok, running} end)),
        Queued = [async(fun() -> call(Api, H, "count", [N]) end) || N <- [1000, 2000, 3000]],
        timer:sleep(10),
        hb_support:gone(Caller),
        %% They have their turn when the guest has ended.
        ?assertEqual([{ok, [1000]}, {ok, [2000]}, {ok, [3000]}], [await(Job) || Job <- Queued]),
        ?assertEqual({ok, idle}, hb_wasm64:status(H))
    end || {Func, Args} <- endless(), _ <- [1, 2, 3]],
    ?assert(hb_support:wait_until(fun() -> not busy() end)).

killed_in_start(Api) ->
    Starter = spawn(fun() -> start(Api, "start_spin") end),
    ?assert(hb_support:wait_until(fun() -> busy() end)),
    hb_support:gone(Starter),
    ?assert(hb_support:wait_until(fun() -> not busy() end)),
    ?assertEqual({ok, [42]}, in_time(fun() -> call(Api, start(Api, "start_ok"), "get", []) end)).

stopped_in_loop(Api) ->
    %% More guests than schedulers, so that none would be left if they were blocked.
    N = 2 * erlang:system_info(schedulers) + erlang:system_info(dirty_cpu_schedulers),
    Handles = [start(Api, "loop") || _ <- lists:seq(1, N)],
    Callers = [async(fun() -> call(Api, H, "spin", [], fun add/3, none) end) || H <- Handles],
    Running = fun(H) -> hb_wasm64:status(H) =:= {ok, running} end,
    ?assert(hb_support:wait_until(fun() -> lists:all(Running, Handles) end)),
    [?assertEqual(ok, in_time(fun() -> stop(Api, H) end)) || H <- Handles],
    [?assertEqual({error, stopped, none}, await(Caller)) || Caller <- Callers],
    ?assert(hb_support:wait_until(fun() -> not busy() end)).

halted_in_loop(Api) ->
    process_flag(trap_exit, true),
    Peer = hb_support:peer(),
    Pid = hb_support:on_peer(Peer, fun() ->
        [spawn(fun() -> call(Api, start(Api, "loop"), "spin", []) end) || _ <- [1, 2, 3]],
        true = hb_support:wait_until(fun() -> busy() end),
        os:getpid()
    end),
    Proc = "/proc/" ++ Pid,
    ?assert(filelib:is_dir(Proc)),
    ok = peer:cast(Peer, erlang, halt, [0]),
    Halted = hb_support:wait_until(fun() -> not filelib:is_dir(Proc) end),
    Halted orelse os:cmd("kill -9 " ++ Pid),
    ?assert(Halted).

timeout_in_loop() ->
    H = start(hb_wasm64, "loop"),
    Tick = fun(N, _, _) -> {ok, [], N + 1} end,
    [begin
        {Micros, Result} = hb_support:micros(fun() -> hb_wasm64:call(H, Func, Args, Tick, 0, #{timeout => 100}) end),
        ?assertMatch({error, timeout, _}, Result),
        ?assert(Micros >= 90_000),
        ?assert(Micros < 30_000_000),
        ?assertEqual({ok, [100]}, hb_wasm64:call(H, "count", [100]))
    end || {Func, Args} <- endless()],
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "spin", [], #{timeout => 20})),
    ?assertEqual({ok, [100]}, hb_wasm64:call(H, "count", [100], #{timeout => 60_000})),
    ?assertEqual([], hb_support:flush()).

timeout_in_start() ->
    Image = hb_support:guest("start_spin"),
    ?assertEqual({error, timeout}, hb_wasm64:start(Image, #{timeout => 100})),
    ?assert(hb_support:wait_until(fun() -> not busy() end)),
    ?assertMatch({ok, _}, hb_wasm64:start(hb_support:guest("start_ok"), #{timeout => 60_000})),
    ?assertEqual([], hb_support:flush()).

fuel_in_loop() ->
    H = start(hb_wasm64, "loop"),
    [begin
        ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, Func, Args, #{fuel => 1_000_000})),
        ?assertEqual({ok, [100]}, hb_wasm64:call(H, "count", [100]))
    end || {Func, Args} <- [{"spin", []}, {"call_forest", [1000]}, {"import_loop", []}]],
    ?assertEqual({ok, [100]}, hb_wasm64:call(H, "count", [100], #{fuel => 1_000_000})).

%% Functions of the guest "loop" that do not end.
endless() -> [{"spin", []}, {"call_forest", [1000]}, {"import_loop", []}, {"spin_after_import", []}].

%% Turns

several_callers(Api) ->
    H = start(Api, "imports"),
    Adding = fun(Own) ->
        fun(N, #{args := [A, B]}, _) ->
            N =:= 5 andalso erlang:yield(),
            N =:= 0 andalso Own rem 10 =:= 0 andalso timer:sleep(1),
            {ok, [A + B + Own], N + 1}
        end
    end,
    Call = fun(Own) ->
        %% call_many(n) makes n sums; each import adds what only this caller's does.
        [begin
            ?assertEqual({ok, [55 + 10 * Own], 10}, call(Api, H, "call_many", [10], Adding(Own), 0)),
            ?assertEqual({ok, [10 * Own]}, call(Api, H, 0, [Own]))
        end || _ <- lists:seq(1, 20)],
        {hb_support:flush(), watchers(self())}
    end,
    Callers = [async(fun() -> Call(Own) end) || Own <- lists:seq(1, 50)],
    [?assertEqual({[], []}, await(Caller)) || Caller <- Callers].

read_during_call(Api) ->
    H = start(Api, "crunch"),
    ?assertEqual({ok, [25]}, call(Api, H, "sieve", [100])),
    %% Lasts for many slices.
    Caller = async(fun() -> [call(Api, H, "sieve", [30_000_000]), call(Api, H, "fib", [10]), hb_support:flush()] end),
    ?assert(hb_support:wait_until(fun() -> hb_wasm64:status(H) =:= {ok, running} end)),
    Readers = [async(fun() ->
        [[write(Api, H, N, <<N>>), read(Api, H, N, 1), call(Api, H, "fib", [N])], hb_support:flush()]
    end) || N <- lists:seq(1, 20)],
    Fibs = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765],
    [?assertEqual([[ok, {ok, <<N>>}, {ok, [Fib]}], []], await(Reader))
        || {N, Fib, Reader} <- lists:zip3(lists:seq(1, 20), Fibs, Readers)],
    ?assertEqual([{ok, [1857859]}, {ok, [55]}, []], await(Caller)).

read_during_import(Api) ->
    H = start(Api, "imports"),
    Test = self(),
    Ask = fun(_, #{args := [A, B]}, _) ->
        Test ! {asked, self()},
        receive go_on -> {ok, [A * B], answered} end
    end,
    Caller = async(fun() -> {call(Api, H, "call_add", [6, 7], Ask, none), hb_support:flush()} end),
    Handler = receive {asked, Pid} -> Pid end,
    Reader = async(fun() -> Test ! reading, {read(Api, H, 64, 12), hb_support:flush()} end),
    receive reading -> ok end,
    timer:sleep(50),
    {ReaderPid, _} = Reader,
    ?assert(is_process_alive(ReaderPid)),
    Handler ! go_on,
    ?assertEqual({{ok, [42], answered}, []}, await(Caller)),
    ?assertEqual({{ok, <<"Hello, host!">>}, []}, await(Reader)).

stray_messages(Api) ->
    H = start(Api, "imports"),
    Strays = [{execution_result, [999]}, {execution_result, [], []}, {error, "Exception: stray"},
              {import, "env", "add", [1, 2], "(ii)i"}, ok, {ok, [999]}, {import_response, [999]},
              {hb_wasm64, make_ref(), {done, {ok, [999]}}},
              {hb_wasm64, make_ref(), {import, make_ref(), #{}}}, {make_ref(), {ok, [999]}}],
    [self() ! Stray || Stray <- Strays],
    ?assertEqual({ok, [70]}, call(Api, H, 0, [7])),
    ?assertEqual({ok, [55], none}, call(Api, H, "call_many", [10], fun add/3, none)),
    ?assertMatch({error, {trap, _}, none}, call(Api, H, "import_then_trap", [1], answer([0]), none)),
    ?assertEqual(ok, write(Api, H, 0, <<"stray">>)),
    ?assertEqual({ok, <<"stray">>}, read(Api, H, 0, 5)),
    ?assertEqual({ok, 65536}, size(Api, H)),
    self() ! {execution_result, [998]},
    ?assertMatch({error, {unknown_function, _}}, call(Api, H, "nosuch", [])),
    ?assertEqual({ok, [0]}, call(Api, start(Api, "start_import"), "get", [])),
    ?assertEqual(ok, stop(Api, H)),
    ?assertEqual({error, stopped}, call(Api, H, 0, [7])),
    ?assertEqual(Strays ++ [{execution_result, [998]}], hb_support:flush()).

call_after_stop(Api) ->
    H = start(Api, "imports"),
    {ok, [70]} = call(Api, H, 0, [7]),
    ?assertEqual(ok, stop(Api, H)),
    ?assertEqual({error, stopped}, call(Api, H, "call_add", [1, 2])),
    ?assertEqual({error, stopped}, call(Api, H, 0, [7])),
    ?assertEqual({error, stopped, state}, call(Api, H, "call_add", [1, 2], fun add/3, state)),
    ?assertEqual({error, stopped}, read(Api, H, 0, 1)),
    ?assertEqual({error, stopped}, write(Api, H, 0, <<1>>)),
    ?assertEqual({error, stopped}, size(Api, H)),
    ?assertEqual(ok, stop(Api, H)),
    %% One that has never run anything.
    F = start(Api, "imports"),
    ?assertEqual(ok, stop(Api, F)),
    ?assertEqual({error, stopped}, call(Api, F, 0, [7])),
    %% Those who stand in line when it is stopped, and the one in an import.
    Q = start(Api, "imports"),
    Test = self(),
    Wait = fun(_, _, _) -> Test ! waiting, receive go_on -> {ok, [0], waited} end end,
    {Caller, _} = InImport = async(fun() -> call(Api, Q, "call_add", [1, 2], Wait, none) end),
    receive waiting -> ok end,
    InLine = [async(fun() -> call(Api, Q, 0, [7]) end) || _ <- lists:seq(1, 10)],
    ?assertEqual(ok, stop(Api, Q)),
    [?assertEqual({error, stopped}, await(Job)) || Job <- InLine],
    Caller ! go_on,
    ?assertMatch({error, stopped, _}, await(InImport)).

call_after_start(Api) ->
    [begin
        H = start(Api, Guest),
        ?assertEqual({ok, [42]}, call(Api, H, Func, []))
    end || _ <- lists:seq(1, 100), {Guest, Func} <- [{"start_ok", "get"}, {"traps", "ok"}]],
    %% By many at once, and by others than the one who started it.
    Test = self(),
    Image = hb_support:guest("start_ok"),
    [async(fun() -> Test ! {started, start_image(Api, Image)} end) || _ <- lists:seq(1, 100)],
    [receive {started, H} -> ?assertEqual({ok, [42]}, call(Api, H, "get", [])) end || _ <- lists:seq(1, 100)].

no_processes(Api) ->
    Image = hb_support:guest("start_ok"),
    {ok, [42]} = call(Api, start_image(Api, Image), "get", []),
    Before = length(processes()),
    Handles = [start_image(Api, Image) || _ <- lists:seq(1, 1000)],
    [{ok, [42]} = call(Api, H, "get", []) || H <- Handles],
    %% Others may come and go meanwhile, but not a thousand.
    ?assert(length(processes()) - Before < 100),
    ?assertEqual(1000, length(lists:usort(Handles))).

%% Memory

flat_calls(Api) ->
    H = start(Api, "numbers"),
    flat(100_000, 20 * ?MB, fun(N) -> {ok, [N]} = call(Api, H, "id_i64", [N]) end).

flat_imports(Api) ->
    H = start(Api, "imports"),
    flat(100_000, 20 * ?MB, fun(N) -> {ok, [N], none} = call(Api, H, "call_wide", [N], answer([N]), none) end).

flat_failures(Api) ->
    H = start(Api, "imports"),
    Raise = fun(_, _, _) -> error(oops) end,
    flat(10_000, 20 * ?MB, fun(N) ->
        {failed, none} = failed_with(call(Api, H, "call_wide", [N], Raise, none)),
        {error, {trap, _}, none} = call(Api, H, "import_then_trap", [N], answer([0]), none)
    end).

flat_reads(Api) ->
    H = start(Api, "memory"),
    flat(100_000, 20 * ?MB, fun(N) ->
        ok = write(Api, H, N rem 60_000, <<N:64>>),
        {ok, <<N:64, _/binary>>} = read(Api, H, N rem 60_000, 1000)
    end).

flat_starts(Api) ->
    Image = hb_support:guest("memory"),
    flat(1000, 20 * ?MB, fun(N) ->
        H = start_image(Api, Image),
        {ok, []} = call(Api, H, "fill", [0, N rem 256, 65536]),
        ok = stop(Api, H)
    end).

%% Each of them uses 64 KiB: 320 MB if they stayed.
flat_forgotten(Api) ->
    Image = hb_support:guest("memory"),
    flat(5000, 40 * ?MB, fun(N) ->
        H = start_image(Api, Image),
        {ok, []} = call(Api, H, "fill", [0, N rem 256, 65536])
    end).

%% After a warming up, N rounds may not add Bound bytes to the memory in use.
flat(N, Bound, Round) ->
    Rounds = fun(First, Last) ->
        %% In batches, so that what a round leaves to the collector goes soon.
        [hb_support:in_process(fun() -> lists:foreach(Round, lists:seq(From, min(From + 499, Last))), ok end)
            || From <- lists:seq(First, Last, 500)]
    end,
    Rounds(1, max(500, N div 5)),
    Before = hb_support:settled_rss(),
    Rounds(1, N),
    ?assertEqual({true, Bound}, {hb_support:flat(Before, Bound), Bound}).

%% Snapshots

%% What hb_beamr:serialize/1 gives is the linear memory, by contract; the rest
%% is to be had with it, for the same handle.
complete_snapshots(Api) ->
    Looks = [{"numbers", []}, {"sizes", []}, {"table_sizes", []}, {"call", [0, 1]}, {"call_hidden", [1, 1]}, {"get2", [8]}, {"get3", [8]}],
    Changes = [{"set_i64", [5]}, {"grow2", [1]}, {"put2", [8, 5]}, {"put3", [8, 6]}, {"set", [0, 3]}, {"set_hidden", [1, 4]}, {"put1", [8, 7]}],
    H = start(Api, "state"),
    _ = hb_state_support:run(H, Changes),
    {ok, Memory, Rest} = hb_wasm64:read_state(H),
    ?assert({ok, Memory} =:= raw(Api, H)),
    New = start(Api, "state"),
    ?assertEqual(ok, hb_wasm64:write_state(New, Memory, Rest)),
    Seen = hb_state_support:run(New, Looks),
    ?assertEqual(hb_state_support:run(H, Looks), Seen),
    ?assertNotEqual(hb_state_support:run(start(Api, "state"), Looks), Seen),
    {ok, Snapshot} = hb_wasm64:snapshot(New),
    Again = start(Api, "state"),
    ?assertEqual(ok, hb_wasm64:restore(Again, Snapshot)),
    ?assertEqual(Seen, hb_state_support:run(Again, Looks)).

snapshots_too_large(Api) ->
    [
        begin
            H = start(Api, Guest),
            %% Some of it is there already.
            {ok, Before} = raw(Api, H),
            ?assertEqual({Guest, {error, {limit, memory}}}, {Guest, put_raw(Api, H, binary:copy(<<7>>, Size))}),
            ?assert({ok, Before} =:= raw(Api, H)),
            ?assertEqual({error, {limit, memory}}, hb_wasm64:write_state(H, binary:copy(<<7>>, Size), none)),
            ?assert({ok, Before} =:= raw(Api, H)),
            ?assertMatch({ok, _}, call(Api, H, Func, Args))
        end
     || {Guest, Size, Func, Args} <- [
            {"memory", 1024 * 65536 + 1, "size", []}, {"state", 65 * 65536, "sizes", []}, {"traps", 65537, "ok", []},
            {"tables", 1, "size", []}
        ]
    ].

snapshots_of_nothing(Api) ->
    H = start(Api, "memory"),
    {ok, Before} = raw(Api, H),
    [?assertMatch({error, _}, put_raw(Api, H, Bad)) || Bad <- [none, [], "bytes", 7, <<1:3>>]],
    Other = start(Api, "state"),
    {ok, Snapshot} = hb_wasm64:snapshot(Other),
    [?assertMatch({error, {invalid_snapshot, _}}, hb_wasm64:restore(H, Bad))
        || Bad <- [<<>>, Before, Snapshot, binary:part(Snapshot, 0, byte_size(Snapshot) div 2)]],
    ?assert({ok, Before} =:= raw(Api, H)),
    ?assertEqual({ok, [13]}, call(Api, H, "strlen", [64])).

snapshots_for_nobody(Api) ->
    H = start(Api, "memory"),
    {ok, Memory} = raw(Api, H),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    ok = stop(Api, H),
    [?assertEqual({error, stopped}, in_time(Restore)) || Restore <- [
        fun() -> put_raw(Api, H, Memory) end, fun() -> hb_wasm64:restore(H, Snapshot) end, fun() -> raw(Api, H) end,
        fun() -> hb_wasm64:write_state(H, Memory, none) end, fun() -> hb_wasm64:snapshot(H) end
    ]].

raw(hb_beamr, H) -> hb_beamr:serialize(H);
raw(hb_wasm64, H) -> hb_wasm64:read_memory(H).

put_raw(hb_beamr, H, Memory) -> hb_beamr:deserialize(H, Memory);
put_raw(hb_wasm64, H, Memory) -> hb_wasm64:write_memory(H, Memory).

%% The two modules, seen alike

%% Each test in a process of its own, with a mailbox of its own.
rows(Rows) -> [alone(Row, fun() -> Test(hb_beamr) end) || {Row, Test} <- Rows].

alone(Title, Test) -> {spawn, {Title, {timeout, 300, Test}}}.

start(Api, Guest) -> start_image(Api, hb_support:guest(Guest)).

start_image(hb_beamr, Image) ->
    {ok, H, Imports, Exports} = hb_beamr:start(Image),
    true = is_list(Imports) andalso is_list(Exports),
    H;
start_image(hb_wasm64, Image) ->
    {ok, H} = hb_wasm64:start(Image),
    H.

call(Api, H, Func, Args) -> Api:call(H, Func, Args).

call(hb_beamr, H, Func, Args, Fun, State) -> hb_beamr:call(H, Func, Args, Fun, State, #{});
call(hb_wasm64, H, Func, Args, Fun, State) -> hb_wasm64:call(H, Func, Args, Fun, State, #{}).

stop(Api, H) -> Api:stop(H).

read(hb_beamr, H, Offset, Size) -> hb_beamr_io:read(H, Offset, Size);
read(hb_wasm64, H, Offset, Size) -> hb_wasm64:read(H, Offset, Size).

write(hb_beamr, H, Offset, Bytes) -> hb_beamr_io:write(H, Offset, Bytes);
write(hb_wasm64, H, Offset, Bytes) -> hb_wasm64:write(H, Offset, Bytes).

size(hb_beamr, H) -> hb_beamr_io:size(H);
size(hb_wasm64, H) -> hb_wasm64:memory_size(H).

%% The watchers of a process that do not go away. Those that another process's death made needless end a moment later.
watchers_left(Pid) ->
    _ = hb_support:wait_until(fun() -> watchers(Pid) =:= [] end),
    watchers(Pid).

%% What watches a process apart from other processes: instances on which it has
%% something under way.
watchers(Pid) ->
    hb_support:in_process(fun() ->
        {monitored_by, Watchers} = process_info(Pid, monitored_by),
        [Watcher || Watcher <- Watchers, not is_pid(Watcher)]
    end).

%% Import functions

answer(Results) -> fun(State, _, _) -> {ok, Results, State} end.

add(State, #{args := [A, B]}, _) -> {ok, [A + B], State}.

%% A process in Depth calls nested in imports, the innermost of which waits.
waits_in_import(Api, H, Depth) ->
    Test = self(),
    Import = fun
        Import(N, #{instance := I}, _) when N < Depth -> call(Api, I, "call_callback", [0], Import, N + 1);
        Import(_, _, _) -> Test ! {waiting, self()}, receive never -> ok end
    end,
    Caller = spawn(fun() -> call(Api, H, "call_callback", [0], Import, 1) end),
    receive {waiting, Caller} -> Caller end.

%% How an import that failed shows, with the state that came back. hb_beamr
%% says what was raised as HyperBEAM's does.
failed_with({error, {import_failed, _}, State}) -> {failed, State};
failed_with({error, Class, _, Stack, State})
        when is_list(Stack), Class =:= throw orelse Class =:= error orelse Class =:= exit ->
    {failed, State};
failed_with(Other) -> {not_failed, Other}.

refused({Signature, Args, Position}, Result) ->
    ?assertEqual({error, {invalid_args, #{signature => Signature, args => Args, position => Position}}}, Result).

outside(Result) ->
    ?assertMatch({error, {Reason, _}} when Reason =:= out_of_bounds; Reason =:= invalid_args, Result).

%% An f64 as an f32 sees it.
single(X) -> <<Y:32/float>> = <<X:32/float>>, Y.

%% Processes and time

async(Fun) -> spawn_monitor(fun() -> exit({async, Fun()}) end).

await({Pid, Monitor}) ->
    receive
        {'DOWN', Monitor, process, Pid, {async, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> error({died, Reason})
    after 60_000 ->
        exit(Pid, kill),
        error({hangs, Pid})
    end.

in_time(Fun) -> await(async(Fun)).

%% Whether this VM computes, which it does not by itself: a guest runs. Other
%% programs may leave it little of the processors.
busy() ->
    {Before, _} = statistics(runtime),
    timer:sleep(100),
    {After, _} = statistics(runtime),
    After - Before >= 20.
