%% The drop-in for HyperBEAM's `hb_beamr': the shapes that its callers rely on.
%% What the C driver gets wrong is in hb_faults_tests.
-module(hb_beamr_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PAGE, 65536).

%% Starting

start_gives_a_reference_and_the_imports_and_exports_test() ->
    {ok, H, Imports, Exports} = hb_beamr:start(hb_support:guest("imports")),
    ?assert(is_reference(H)),
    ?assertEqual(
        [{func, "env", "add", "(ii)i"}, {func, "env", "wide", "(I)I"}, {func, "env", "single", "(f)f"},
         {func, "env", "double", "(F)F"}, {func, "env", "vec", "(v)v"}, {func, "env", "none", "()"},
         {func, "env", "pair", "(i)iI"}, {func, "env", "extern", "(e)e"}, {func, "env", "callback", "(i)i"},
         {func, "env", "log", "(ii)"}],
        Imports),
    ?assertEqual(
        [{memory, "memory", []}, {global, "total", []}, {table, "__indirect_function_table", []},
         {func, "call_add", "(ii)i"}, {func, "call_wide", "(I)I"}, {func, "call_single", "(f)f"},
         {func, "call_double", "(F)F"}, {func, "call_vec", "(v)v"}, {func, "call_none", "()"},
         {func, "call_pair", "(i)iI"}, {func, "call_extern", "(e)e"}, {func, "call_callback", "(i)i"},
         {func, "call_log", "()"}, {func, "call_many", "(i)i"}, {func, "nest", "(i)i"},
         {func, "peek", "(i)i"}, {func, "poke", "(ii)"}, {func, "mem_then_import", "(i)i"},
         {func, "import_then_trap", "(i)i"}, {func, "add_to_global", "(i)i"}, {func, "malloc", "(i)i"},
         {func, "free", "(i)"}],
        Exports).

the_lists_are_those_of_describe_test() ->
    [begin
        {ok, H, Imports, Exports} = hb_beamr:start(hb_support:guest(Guest)),
        ?assertMatch({ok, #{imports := Imports, exports := Exports}}, hb_wasm64:describe(H))
    end || Guest <- ["imports", "numbers", "exceptions", "many_memories"]].

a_module_without_imports_has_an_empty_list_test() ->
    ?assertMatch({ok, _, [], [{memory, "memory", []}, {func, "get", "()i"}, {func, "get_memory", "()i"}]},
        hb_beamr:start(hb_support:guest("start_ok"))).

start_in_mode_wasm_is_start_test() ->
    Image = hb_support:guest("numbers"),
    {ok, _, Imports, Exports} = hb_beamr:start(Image),
    {ok, H, Imports, Exports} = hb_beamr:start(Image, wasm),
    ?assertEqual({ok, [120.0]}, hb_beamr:call(H, "fac", [5.0])).

start_in_mode_aot_takes_no_aot_file_of_another_engine_test() ->
    %% As WAMR's compiler begins its files.
    {error, {invalid_artifact, Text}} = hb_beamr:start(<<0, "aot", 3:32/little, 0:1000>>, aot),
    ?assertMatch({match, _}, re:run(Text, "WAMR")).

start_in_mode_aot_takes_an_artifact_test() ->
    Image = hb_support:guest("numbers"),
    {ok, Artifact} = hb_wasm64:compile(Image, #{}),
    {ok, H, Imports, Exports} = hb_beamr:start(Artifact, aot),
    ?assertMatch({ok, _, Imports, Exports}, hb_beamr:start(Image, wasm)),
    ?assertEqual({ok, [120.0]}, hb_beamr:call(H, "fac", [5.0])),
    {ok, Memory} = hb_beamr:serialize(H),
    ?assertMatch({ok, H, Imports, Exports}, hb_beamr:reset(H, Artifact, aot, Memory)),
    {ok, Other} = hb_wasm64:compile(hb_support:guest("memory"), #{}),
    ?assertMatch({error, {unsupported, _}}, hb_beamr:reset(H, Other, aot, Memory)),
    ?assertMatch({error, {invalid_artifact, _}}, hb_beamr:reset(H, Image, aot, Memory)).

start_in_mode_wasm_takes_no_aot_file_test() ->
    ?assertMatch({error, {unsupported, _}}, hb_beamr:start(<<0, "aot", 3:32/little, 0:1000>>, wasm)),
    ?assertMatch({error, {unsupported, _}}, hb_beamr:start(<<0, "aot", 3:32/little, 0:1000>>)).

start_says_what_is_wrong_with_an_image_test() ->
    <<Half:100/binary, _/binary>> = hb_support:guest("numbers"),
    [?assertMatch({error, {invalid_module, _}}, hb_beamr:start(Image))
        || Image <- [<<>>, <<"no wasm">>, Half, <<0, "asm">>]],
    ?assertMatch({error, {unsupported, _}}, hb_beamr:start(hb_support:guest("component"))),
    ?assertMatch({error, {unsupported, _}}, hb_beamr:start(hb_support:guest("shared_memory"))),
    ?assertMatch({error, {link, #{module := "env", name := "memory", kind := memory}}},
        hb_beamr:start(hb_support:guest("imported_memory"))),
    ?assertMatch({error, {trap, #{code := unreachable}}}, hb_beamr:start(hb_support:guest("start_trap"))).

start_refuses_what_is_no_image_or_no_mode_test() ->
    [?assertMatch({error, _}, hb_beamr:start(Image)) || Image <- ["list", an_atom, 1, <<1:3>>]],
    [?assertMatch({error, _}, hb_beamr:start(hb_support:guest("numbers"), Mode)) || Mode <- [jit, "wasm", 1, #{}]].

a_start_function_runs_and_its_imports_are_answered_with_zeros_test() ->
    {ok, H, [], _} = hb_beamr:start(hb_support:guest("start_ok")),
    ?assertEqual({ok, [42]}, hb_beamr:call(H, "get", [])),
    {ok, I, [{func, "env", "hello", "()i"}], _} = hb_beamr:start(hb_support:guest("start_import")),
    ?assertEqual({ok, [0]}, hb_beamr:call(I, "get", [])).

instances_of_one_image_are_apart_test() ->
    [A, B] = [start("imports") || _ <- "ab"],
    ?assertEqual({ok, [5]}, hb_beamr:call(A, "add_to_global", [5])),
    ?assertEqual({ok, [7]}, hb_beamr:call(B, "add_to_global", [7])),
    ?assertEqual({ok, []}, hb_beamr:call(A, "poke", [0, 1])),
    ?assertEqual({ok, [0]}, hb_beamr:call(B, "peek", [0])).

%% Calling

call_3_gives_the_results_test() ->
    H = start("numbers"),
    ?assertEqual({ok, [120.0]}, hb_beamr:call(H, "fac", [5.0])),
    ?assertEqual({ok, [120.0]}, hb_beamr:call(H, <<"fac">>, [5.0])),
    ?assertEqual({ok, []}, hb_beamr:call(H, "nop", [])),
    ?assertEqual({ok, [1, 2]}, hb_beamr:call(H, "two", [])).

call_3_answers_imports_with_zeros_test() ->
    H = start("imports"),
    ?assertEqual({ok, [0]}, hb_beamr:call(H, "call_add", [1, 2])),
    ?assertEqual({ok, [0]}, hb_beamr:call(H, "call_wide", [1])),
    ?assertEqual({ok, [0.0]}, hb_beamr:call(H, "call_single", [1.0])),
    ?assertEqual({ok, [0.0]}, hb_beamr:call(H, "call_double", [1.0])),
    ?assertEqual({ok, []}, hb_beamr:call(H, "call_none", [])),
    ?assertEqual({ok, []}, hb_beamr:call(H, "call_log", [])).

call_4_begins_with_an_empty_map_as_state_and_no_options_test() ->
    H = start("imports"),
    See = fun(State, #{args := [A, B]}, Opts) -> {ok, [A * B], {State, Opts}} end,
    ?assertEqual({ok, [6], {#{}, #{}}}, hb_beamr:call(H, "call_add", [2, 3], See)),
    ?assertEqual({ok, [20], #{}}, hb_beamr:call(H, 0, [2], See)).

call_5_takes_the_state_along_from_import_to_import_test() ->
    H = start("imports"),
    Count = fun({N, Opts}, #{args := [A, B]}, Opts) -> {ok, [A + B], {N + 1, Opts}} end,
    ?assertEqual({ok, [55], {10, #{}}}, hb_beamr:call(H, "call_many", [10], Count, {0, #{}})).

call_6_hands_the_options_to_the_import_function_test() ->
    H = start("imports"),
    Opts = #{store => [#{name => "cache"}], <<"key">> => self()},
    See = fun(State, _, Given) -> {ok, [length(State)], [Given | State]} end,
    ?assertEqual({ok, [2], [Opts, Opts, Opts]}, hb_beamr:call(H, "call_many", [3], See, [], Opts)).

a_state_may_be_any_term_and_comes_back_as_it_was_test() ->
    H = start("imports"),
    [?assertEqual({ok, [0], State}, hb_beamr:call(H, "call_add", [1, 2], fun hb_beamr:stub/3, State, #{}))
        || State <- [[], #{}, self(), make_ref(), <<1:3>>, {error, x}, fun hb_beamr:stub/3]].

an_import_function_gets_the_request_as_a_map_test() ->
    H = start("imports"),
    See = fun(_, Request, _) -> {ok, [9, 9], Request} end,
    {ok, [9], Add} = hb_beamr:call(H, "call_add", [-1, 2], See),
    ?assertEqual(#{module => "env", func => "add", args => [-1, 2], func_sig => "(ii)i"},
        maps:remove(instance, Add)),
    ?assert(is_reference(maps:get(instance, Add))),
    {ok, [9, 9], Pair} = hb_beamr:call(H, "call_pair", [7], See),
    ?assertEqual(#{module => "env", func => "pair", args => [7], func_sig => "(i)iI"},
        maps:remove(instance, Pair)),
    {ok, [], None} = hb_beamr:call(H, "call_none", [], See),
    ?assertEqual(#{module => "env", func => "none", args => [], func_sig => "()"}, maps:remove(instance, None)),
    {ok, [], Log} = hb_beamr:call(H, "call_log", [], See),
    ?assertEqual([64, 12], maps:get(args, Log)).

the_instance_of_a_request_is_the_same_instance_afterwards_test() ->
    H = start("imports"),
    Keep = fun(_, #{instance := I}, _) -> {ok, [0], I} end,
    {ok, [0], I} = hb_beamr:call(H, "call_add", [1, 2], Keep),
    ?assertEqual({ok, [5]}, hb_beamr:call(I, "add_to_global", [5])),
    ?assertEqual({ok, [11]}, hb_beamr:call(H, "add_to_global", [6])).

the_import_function_runs_in_the_caller_test() ->
    H = start("imports"),
    See = fun(_, _, _) -> {ok, [0], {self(), get(key)}} end,
    put(key, value),
    Self = self(),
    ?assertEqual({ok, [0], {Self, value}}, hb_beamr:call(H, "call_add", [1, 2], See)).

an_import_function_may_call_with_another_one_test() ->
    H = start("imports"),
    Inner = fun(State, #{args := [A, B]}, Opts) -> {ok, [A * B], [{inner, Opts} | State]} end,
    Outer = fun(State, #{instance := I, args := [K]}, Opts) ->
        {ok, [Product], State1} = hb_beamr:call(I, "call_add", [K, 3], Inner, State, #{level => inner}),
        {ok, [Product], [{outer, Opts} | State1]}
    end,
    ?assertEqual({ok, [21], [{outer, #{level => outer}}, {inner, #{level => inner}}]},
        hb_beamr:call(H, "call_callback", [7], Outer, [], #{level => outer})).

an_error_carries_the_state_test() ->
    T = start("traps"),
    ?assertMatch({error, {trap, #{code := unreachable}}}, hb_beamr:call(T, "unreachable", [])),
    ?assertMatch({error, {trap, #{code := unreachable}}, #{}},
        hb_beamr:call(T, "unreachable", [], fun hb_beamr:stub/3)),
    ?assertMatch({error, {trap, #{code := unreachable}}, state},
        hb_beamr:call(T, "unreachable", [], fun hb_beamr:stub/3, state)),
    ?assertMatch({error, {trap, #{code := unreachable}}, state},
        hb_beamr:call(T, "unreachable", [], fun hb_beamr:stub/3, state, #{})),
    ?assertMatch({error, {unknown_function, _}}, hb_beamr:call(T, "nosuch", [])),
    ?assertMatch({error, {unknown_function, _}, state},
        hb_beamr:call(T, "nosuch", [], fun hb_beamr:stub/3, state)),
    ?assertMatch({error, {invalid_args, #{position := 1}}, state},
        hb_beamr:call(T, "outer", [1 bsl 32], fun hb_beamr:stub/3, state)),
    ?assertEqual({ok, [42]}, hb_beamr:call(T, "ok", [])).

an_error_after_an_import_carries_the_state_that_the_import_left_test() ->
    H = start("imports"),
    Count = fun(N, _, _) -> {ok, [0], N + 1} end,
    ?assertMatch({error, {trap, #{code := unreachable}}, 6},
        hb_beamr:call(H, "import_then_trap", [1], Count, 5)).

a_raising_import_function_shows_its_class_reason_and_stack_test() ->
    H = start("imports"),
    [begin
        Third = fun(2, _, _) -> raise(Class, Reason); (N, _, _) -> {ok, [0], N + 1} end,
        {error, C, R, Stack, State} = hb_beamr:call(H, "call_many", [5], Third, 0),
        ?assertEqual({Class, Reason, 2}, {C, R, State}),
        ?assertMatch([{?MODULE, raise, 2, _} | _], Stack),
        ?assertEqual({ok, [3], 0}, hb_beamr:call(H, "call_add", [1, 2], fun add/3, 0))
    end || Class <- [throw, error, exit], Reason <- [oops, normal, {error, oops}, "text"]].

an_import_function_may_answer_an_error_test() ->
    H = start("imports"),
    Third = fun(Error) -> fun(2, _, _) -> Error; (N, _, _) -> {ok, [0], N + 1} end end,
    ?assertEqual({error, {import_failed, oops}, 2},
        hb_beamr:call(H, "call_many", [5], Third({error, oops}), 0)),
    ?assertEqual({error, {import_failed, {no, "file"}}, changed},
        hb_beamr:call(H, "call_many", [5], Third({error, {no, "file"}, changed}), 0)),
    ?assertEqual({ok, [3], 0}, hb_beamr:call(H, "call_add", [1, 2], fun add/3, 0)).

a_failed_import_ends_the_innermost_call_only_test() ->
    H = start("imports"),
    Outer = fun(_, #{instance := I}, _) ->
        {ok, [1], hb_beamr:call(I, "call_add", [1, 2], fun(_, _, _) -> raise(throw, inner) end, inner_state)}
    end,
    ?assertMatch({ok, [1], {error, throw, inner, [_ | _], inner_state}},
        hb_beamr:call(H, "call_callback", [1], Outer)).

arguments_that_are_no_numbers_are_given_back_test() ->
    H = start("numbers"),
    Stub = fun hb_beamr:stub/3,
    [begin
        ?assertEqual({error, {invalid_args, Args}}, hb_beamr:call(H, "id_i32", Args, Stub)),
        ?assertEqual({error, {invalid_args, Args}}, hb_beamr:call(H, "id_i32", Args, Stub, state)),
        ?assertEqual({error, {invalid_args, Args}}, hb_beamr:call(H, "id_i32", Args, Stub, state, #{})),
        ?assertMatch({error, {invalid_args, _}}, hb_beamr:call(H, "id_i32", Args))
    end || Args <- [["1"], [<<"1">>], [one], [[1]], [#{}], [self()], [1, two]]],
    ?assertEqual({ok, [1], state}, hb_beamr:call(H, "id_i32", [1], Stub, state)).

arguments_that_are_no_list_are_refused_test() ->
    H = start("numbers"),
    Stub = fun hb_beamr:stub/3,
    [begin
        ?assertMatch({error, {invalid_args, _}}, hb_beamr:call(H, "id_i32", Args)),
        ?assertMatch({error, {invalid_args, Args}}, hb_beamr:call(H, "id_i32", Args, Stub))
    end || Args <- [1, foo, <<1>>, #{}, {1}, [1 | 2]]],
    ?assertEqual({ok, [1]}, hb_beamr:call(H, "id_i32", [1])).

a_handle_that_is_no_reference_raises_test() ->
    [?assertException(error, _, hb_beamr:call(H, "fac", [5.0])) || H <- [self(), foo, 1, <<>>]],
    [?assertException(error, _, hb_beamr:serialize(H)) || H <- [self(), foo, 1, <<>>]].

a_handle_of_another_node_is_not_local_test() ->
    Foreign = foreign_reference(),
    ?assertEqual({error, not_local}, hb_beamr:call(Foreign, "fac", [5.0])),
    ?assertEqual({error, not_local, state}, hb_beamr:call(Foreign, "fac", [5.0], fun hb_beamr:stub/3, state)),
    ?assertEqual({error, not_local}, hb_beamr:serialize(Foreign)),
    ?assertEqual({error, not_local}, hb_beamr:deserialize(Foreign, <<1>>)),
    ?assertEqual({error, not_local}, hb_beamr_io:size(Foreign)).

an_instance_serves_other_processes_and_outlives_who_started_it_test() ->
    Handle = hb_support:in_process(fun() -> start("imports") end),
    ?assertEqual({ok, [5]}, hb_beamr:call(Handle, "add_to_global", [5])),
    ?assertEqual({ok, [12]}, hb_support:in_process(fun() -> hb_beamr:call(Handle, "add_to_global", [7]) end)).

calls_leave_no_messages_and_no_monitors_behind_test() ->
    H = start("imports"),
    Before = watchers(self()),
    {ok, [55], none} = hb_beamr:call(H, "call_many", [10], fun add/3, none),
    {error, throw, oops, _, none} =
        hb_beamr:call(H, "call_add", [1, 2], fun(_, _, _) -> throw(oops) end, none),
    {error, {trap, _}, none} = hb_beamr:call(H, "import_then_trap", [1], fun hb_beamr:stub/3, none),
    {ok, Memory} = hb_beamr:serialize(H),
    ok = hb_beamr:deserialize(H, Memory),
    %% Long enough to be interrupted.
    L = start("crunch"),
    {ok, [1857859]} = hb_beamr:call(L, "sieve", [30_000_000]),
    ok = hb_beamr:stop(H),
    ?assertEqual([], hb_support:flush()),
    ?assertEqual(Before, watchers(self())).

stub_answers_zero_and_keeps_the_state_test() ->
    ?assertEqual({ok, [0], state}, hb_beamr:stub(state, #{module => "m", func => "f", args => [1]}, #{})),
    ?assertEqual({ok, [0], #{}}, hb_beamr:stub(#{}, anything, anything)),
    H = start("imports"),
    ?assertEqual({ok, [0.0], state}, hb_beamr:call(H, "call_double", [1.0], fun hb_beamr:stub/3, state)),
    ?assertEqual({ok, [], state}, hb_beamr:call(H, "call_none", [], fun hb_beamr:stub/3, state)).

stop_may_be_repeated_and_ends_only_that_instance_test() ->
    [A, B] = [start("numbers") || _ <- "ab"],
    ?assertEqual(ok, hb_beamr:stop(A)),
    ?assertEqual(ok, hb_beamr:stop(A)),
    ?assertEqual(ok, hb_support:in_process(fun() -> hb_beamr:stop(A) end)),
    ?assertEqual({error, stopped}, hb_beamr:call(A, "fac", [5.0])),
    ?assertEqual({error, stopped, state}, hb_beamr:call(A, "fac", [5.0], fun hb_beamr:stub/3, state)),
    ?assertEqual({error, stopped}, hb_beamr:serialize(A)),
    ?assertEqual({error, stopped}, hb_beamr:deserialize(A, <<>>)),
    ?assertEqual({ok, [120.0]}, hb_beamr:call(B, "fac", [5.0])).

%% The memory as an image

serialize_gives_the_raw_memory_test() ->
    [begin
        H = start(Guest),
        {ok, Memory} = hb_beamr:serialize(H),
        ?assertEqual(?PAGE, byte_size(Memory)),
        ?assertEqual(<<0:64/unit:8, "Hello, World!", 0>>, binary:part(Memory, 0, 78)),
        ?assertEqual({ok, []}, hb_beamr:call(H, "store8", [?PAGE - 1, 255])),
        {ok, Changed} = hb_beamr:serialize(H),
        ?assertEqual([binary:part(Memory, 0, ?PAGE - 1), 255],
            [binary:part(Changed, 0, ?PAGE - 1), binary:last(Changed)]),
        {ok, [1]} = hb_beamr:call(H, "grow", [2]),
        {ok, Grown} = hb_beamr:serialize(H),
        ?assert(Grown =:= <<Changed/binary, 0:(2 * ?PAGE)/unit:8>>)
    end || Guest <- ["memory", "memory64"]].

a_serialized_memory_does_not_change_any_more_test() ->
    H = start("memory"),
    {ok, Memory} = hb_beamr:serialize(H),
    Copy = binary:copy(Memory),
    {ok, []} = hb_beamr:call(H, "fill", [0, 255, ?PAGE]),
    ok = hb_beamr:stop(H),
    ?assert(Copy =:= Memory).

deserialize_restores_the_memory_test() ->
    [begin
        [A, B] = [start(Guest) || _ <- "ab"],
        {ok, []} = hb_beamr:call(A, "store64", [1000, 16#1122334455667788]),
        {ok, Memory} = hb_beamr:serialize(A),
        {ok, []} = hb_beamr:call(B, "fill", [0, 255, ?PAGE]),
        ?assertEqual(ok, hb_beamr:deserialize(B, Memory)),
        ?assertEqual({ok, [16#1122334455667788]}, hb_beamr:call(B, "load64", [1000])),
        ?assert({ok, Memory} =:= hb_beamr:serialize(B)),
        %% Onto itself, too.
        {ok, []} = hb_beamr:call(A, "store64", [1000, 0]),
        ?assertEqual(ok, hb_beamr:deserialize(A, Memory)),
        ?assertEqual({ok, [16#1122334455667788]}, hb_beamr:call(A, "load64", [1000]))
    end || Guest <- ["memory", "memory64"]].

reset_keeps_the_memory_and_nothing_else_test() ->
    Image = hb_support:guest("numbers"),
    {ok, H, Imports, Exports} = hb_beamr:start(Image),
    {ok, [8]} = hb_beamr:call(H, "count", [1]),
    {ok, [10]} = hb_beamr:call(H, "count", [2]),
    {ok, Memory} = hb_beamr:serialize(H),
    ?assertEqual({ok, H, Imports, Exports}, hb_beamr:reset(H, Image, wasm, Memory)),
    ?assertEqual({ok, [8]}, hb_beamr:call(H, "count", [1])),
    WithMemory = hb_support:guest("memory"),
    {ok, M, _, _} = hb_beamr:start(WithMemory),
    ok = hb_beamr_io:write(M, 70, <<42>>),
    {ok, Written} = hb_beamr:serialize(M),
    ok = hb_beamr_io:write(M, 70, <<43>>),
    {ok, M, _, _} = hb_beamr:reset(M, WithMemory, wasm, Written),
    ?assertEqual({ok, <<42>>}, hb_beamr_io:read(M, 70, 1)),
    ?assertMatch({error, {unsupported, _}}, hb_beamr:reset(M, Image, wasm, Written)),
    ?assertMatch({error, {invalid_artifact, _}}, hb_beamr:reset(M, WithMemory, aot, Written)),
    ?assertMatch({error, {invalid_args, _}}, hb_beamr:reset(M, not_an_image, wasm, Written)),
    ?assertEqual({ok, <<42>>}, hb_beamr_io:read(M, 70, 1)).

there_is_no_driver_to_send_to_test() ->
    {ok, H, _, _} = hb_beamr:start(hb_support:guest("numbers")),
    ?assertMatch({error, {unsupported, _}}, hb_beamr:wasm_send(H, {command, term_to_binary({size})})).

a_larger_image_grows_the_memory_first_test() ->
    [begin
        H = start(Guest),
        Image = <<0:(3 * ?PAGE - 4)/unit:8, "last">>,
        ?assertEqual(ok, hb_beamr:deserialize(H, Image)),
        ?assertEqual({ok, [3]}, hb_beamr:call(H, "size", [])),
        ?assert({ok, Image} =:= hb_beamr:serialize(H)),
        ?assertEqual({ok, [$t]}, hb_beamr:call(H, "load8", [3 * ?PAGE - 1]))
    end || Guest <- ["memory", "memory64"]].

an_image_that_is_no_whole_number_of_pages_is_filled_up_with_zeros_test() ->
    H = start("memory"),
    ?assertEqual(ok, hb_beamr:deserialize(H, binary:copy(<<7>>, ?PAGE + 1))),
    ?assert({ok, <<(binary:copy(<<7>>, ?PAGE + 1))/binary, 0:(?PAGE - 1)/unit:8>>} =:= hb_beamr:serialize(H)).

a_smaller_image_leaves_zeros_behind_it_test() ->
    [begin
        H = start(Guest),
        {ok, [1]} = hb_beamr:call(H, "grow", [1]),
        {ok, []} = hb_beamr:call(H, "fill", [0, 255, 2 * ?PAGE]),
        ?assertEqual(ok, hb_beamr:deserialize(H, Image)),
        ?assertEqual({ok, [2]}, hb_beamr:call(H, "size", [])),
        ?assert({ok, <<Image/binary, 0:(2 * ?PAGE - byte_size(Image))/unit:8>>} =:= hb_beamr:serialize(H))
    end || Guest <- ["memory", "memory64"],
           Image <- [<<"abc">>, <<>>, binary:copy(<<1>>, ?PAGE), binary:copy(<<1>>, ?PAGE + 7)]].

an_image_beyond_what_the_module_allows_is_refused_and_changes_nothing_test() ->
    %% 1 to 1024 pages.
    H = start("memory"),
    {ok, Before} = hb_beamr:serialize(H),
    ?assertMatch({error, {limit, memory}}, hb_beamr:deserialize(H, <<1, 0:(1024 * ?PAGE)/unit:8>>)),
    ?assert({ok, Before} =:= hb_beamr:serialize(H)),
    ?assertEqual({ok, [1]}, hb_beamr:call(H, "size", [])),
    %% One page and no more.
    T = start("traps"),
    {ok, Zeros} = hb_beamr:serialize(T),
    ?assertMatch({error, {limit, memory}}, hb_beamr:deserialize(T, binary:copy(<<1>>, ?PAGE + 1))),
    ?assert({ok, Zeros} =:= hb_beamr:serialize(T)),
    ?assertEqual(ok, hb_beamr:deserialize(T, binary:copy(<<1>>, ?PAGE))).

the_largest_image_that_the_module_allows_is_taken_test() ->
    H = start("memory"),
    Image = <<0:(1024 * ?PAGE - 1)/unit:8, 1>>,
    ?assertEqual(ok, hb_beamr:deserialize(H, Image)),
    ?assertEqual({ok, [1024]}, hb_beamr:call(H, "size", [])),
    ?assert({ok, Image} =:= hb_beamr:serialize(H)).

without_a_memory_the_image_is_empty_test() ->
    H = start("numbers"),
    ?assertEqual({ok, <<>>}, hb_beamr:serialize(H)),
    ?assertEqual(ok, hb_beamr:deserialize(H, <<>>)),
    ?assertMatch({error, _}, hb_beamr:deserialize(H, <<1>>)),
    ?assertEqual({ok, [120.0]}, hb_beamr:call(H, "fac", [5.0])).

what_is_no_image_is_refused_test() ->
    H = start("memory"),
    {ok, Before} = hb_beamr:serialize(H),
    [?assertMatch({error, _}, hb_beamr:deserialize(H, Image)) || Image <- ["list", foo, 1, <<1:3>>, undefined]],
    ?assert({ok, Before} =:= hb_beamr:serialize(H)).

%% HyperBEAM's own images

fac_in_the_image_of_hyperbeam_test_() ->
    [hb_support:with_shared(File, fun(Image) ->
        {File, fun() ->
            {ok, H, Imports, Exports} = hb_beamr:start(Image),
            ?assertEqual({[], [{func, "fac", "(F)F"}]}, {Imports, Exports}),
            ?assertEqual({ok, [120.0]}, hb_beamr:call(H, "fac", [5.0])),
            ?assertEqual({ok, <<>>}, hb_beamr:serialize(H))
        end}
    end) || File <- ["test.wasm", "test-64.wasm"]].

pow_multiplies_by_an_import_test_() ->
    hb_support:with_shared("pow_calculator.wasm", fun(Image) ->
        {"pow_calculator.wasm", fun() ->
            {ok, H, Imports, Exports} = hb_beamr:start(Image),
            ?assertEqual({func, "my_lib", "mul", "(ii)i"}, hd(Imports)),
            ?assertEqual(4, length(Imports)),
            ?assert(lists:member({func, "pow", "(ii)i"}, Exports)),
            ?assert(lists:member({memory, "memory", []}, Exports)),
            Mul = fun(N, #{module := "my_lib", func := "mul", args := [A, B], func_sig := "(ii)i"}, _) ->
                {ok, [A * B], N + 1}
            end,
            ?assertEqual({ok, [32], 5}, hb_beamr:call(H, <<"pow">>, [2, 5], Mul, 0)),
            ?assertEqual({ok, [-27], 3}, hb_beamr:call(H, "pow", [-3, 3], Mul, 0))
        end}
    end).

a_wasi_write_reads_the_memory_of_the_guest_that_waits_test_() ->
    hb_support:with_shared("test-print.wasm", fun(Image) ->
        {"test-print.wasm", fun() ->
            {ok, H, Imports, Exports} = hb_beamr:start(Image),
            ?assertEqual([{func, "wasi_snapshot_preview1", "fd_write", "(iiii)i"}], Imports),
            ?assertEqual([{func, "hello", "()i"}, {memory, "memory", []}], lists:sort(Exports)),
            %% The guest gives back what was written as the number of bytes.
            ?assertEqual({ok, [22], [{1, <<"Hello, World!\nHowdy!\n", 0>>}]},
                hb_beamr:call(H, "hello", [], fun fd_write_32/3, []))
        end}
    end).

a_program_for_64_bits_prints_its_arguments_test_() ->
    hb_support:with_shared("test-calling.wasm", fun(Image) ->
        {"test-calling.wasm", fun() ->
            {ok, H, Imports, _} = hb_beamr:start(Image),
            ?assertEqual([{func, "wasi_snapshot_preview1", "proc_exit", "(i)"},
                          {func, "wasi_snapshot_preview1", "fd_write", "(iIII)i"}], Imports),
            {ok, One} = hb_beamr_io:write_string(H, <<"Hello">>),
            {ok, Two} = hb_beamr_io:write_string(H, ["Wor", <<"ld">>]),
            {ok, [], Written} = hb_beamr:call(H, "print_args", [One, Two], fun fd_write_64/3, []),
            %% The program prints its second argument first.
            ?assertEqual(<<"ARGS: 'World' 'Hello'\n">>,
                iolist_to_binary([Text || {1, Text} <- lists:reverse(Written)])),
            %% Its memory has exactly 258 pages and cannot grow.
            {ok, Memory} = hb_beamr:serialize(H),
            ?assertEqual(258 * ?PAGE, byte_size(Memory)),
            ?assertMatch({error, {limit, memory}}, hb_beamr:deserialize(H, <<Memory/binary, 0>>)),
            ?assert({ok, Memory} =:= hb_beamr:serialize(H))
        end}
    end).

aos_evaluates_and_its_memory_goes_to_another_instance_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        {"aos-2-pure-xs.wasm", {timeout, 300, fun() ->
            {ok, A, Imports, Exports} = hb_beamr:start(Image),
            ?assertEqual(14, length(Imports)),
            ?assert(lists:member({func, "handle", "(II)I"}, Exports)),
            ?assertEqual(<<"2">>, eval(A, <<"return 1 + 1">>)),
            ?assertEqual(<<>>, eval(A, <<"x = 41">>)),
            ?assertEqual(<<"42">>, eval(A, <<"return x + 1">>)),
            {ok, Memory} = hb_beamr:serialize(A),
            {ok, B, _, _} = hb_beamr:start(Image),
            ?assertEqual(ok, hb_beamr:deserialize(B, Memory)),
            ?assertEqual(<<"43">>, eval(B, <<"return x + 2">>)),
            %% The C driver's memory is one page larger than the module says.
            {ok, C, _, _} = hb_beamr:start(Image),
            ?assertEqual({ok, 192 * ?PAGE}, hb_beamr_io:size(C)),
            {ok, Fresh} = hb_beamr:serialize(C),
            ?assertEqual(ok, hb_beamr:deserialize(C, <<Fresh/binary, 0:?PAGE/unit:8>>)),
            ?assertEqual({ok, 193 * ?PAGE}, hb_beamr_io:size(C)),
            ?assertEqual(<<"2">>, eval(C, <<"return 1 + 1">>))
        end}}
    end).

%% Sends an Eval to AOS and takes the text of `response.Output.data'.
eval(H, Code) ->
    {ok, Message} = hb_beamr_io:write_string(H, [
        <<"{\"From\":\"FOOBAR\",\"Block-Height\":\"1\",\"Target\":\"AOS\",\"Owner\":\"FOOBAR\",\"Id\":\"1\",">>,
        <<"\"Module\":\"W\",\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"">>, Code, <<"\"}">>]),
    {ok, Env} = hb_beamr_io:write_string(H,
        <<"{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\","
          "\"Tags\":[{\"name\":\"Name\",\"value\":\"Thomas\"},"
          "{\"name\":\"Authority\",\"value\":\"FOOBAR\"}]}}">>),
    {ok, [Answer], none} = hb_beamr:call(H, "handle", [Message, Env], fun hb_beamr:stub/3, none),
    {ok, Json} = hb_beamr_io:read_string(H, Answer),
    {match, [Data]} = re:run(Json, <<"\"Output\":\\{.*?\"data\":\"(.*?)\"">>, [{capture, all_but_first, binary}]),
    Data.

fd_write_32(Written, #{func := "fd_write", instance := I, args := [Fd, Vecs, N, Size]}, _) ->
    Read = fun(At) -> {ok, <<Ptr:32/little, Len:32/little>>} = hb_beamr_io:read(I, At, 8), {Ptr, Len} end,
    write_vectors(Written, I, Fd, [Read(Vecs + 8 * K) || K <- lists:seq(0, N - 1)], {Size, 32}).

fd_write_64(Written, #{func := "fd_write", instance := I, args := [Fd, Vecs, N, Size]}, _) ->
    Read = fun(At) -> {ok, <<Ptr:64/little, Len:64/little>>} = hb_beamr_io:read(I, At, 16), {Ptr, Len} end,
    write_vectors(Written, I, Fd, [Read(Vecs + 16 * K) || K <- lists:seq(0, N - 1)], {Size, 64}).

write_vectors(Written, I, Fd, Vectors, {Size, Bits}) ->
    Text = << <<(element(2, {ok, _} = hb_beamr_io:read(I, Ptr, Len)))/binary>> || {Ptr, Len} <- Vectors >>,
    ok = hb_beamr_io:write(I, Size, <<(byte_size(Text)):Bits/little>>),
    {ok, [0], [{Fd, Text} | Written]}.

start(Guest) ->
    {ok, H, _, _} = hb_beamr:start(hb_support:guest(Guest)),
    H.

add(State, #{args := [A, B]}, _) -> {ok, [A + B], State}.

raise(throw, Reason) -> throw(Reason);
raise(error, Reason) -> error(Reason);
raise(exit, Reason) -> exit(Reason).

%% What watches a process apart from other processes.
watchers(Pid) ->
    hb_support:in_process(fun() ->
        {monitored_by, Watchers} = process_info(Pid, monitored_by),
        [Watcher || Watcher <- Watchers, not is_pid(Watcher)]
    end).

%% A reference as another node would send it: NEWER_REFERENCE_EXT with the
%% name of that node.
foreign_reference() ->
    Node = <<"elsewhere@nowhere">>,
    binary_to_term(<<131, 90, 3:16, 119, (byte_size(Node)), Node/binary, 1:32, 1:32, 2:32, 3:32>>).
