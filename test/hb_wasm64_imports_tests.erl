%% Calls from a guest to Erlang by way of an import function: hb_wasm64:call/6
%% and, where nobody gives one, zeros. What call_async/4 does with imports is in
%% hb_wasm64_async_tests.
-module(hb_wasm64_imports_tests).

-include_lib("eunit/include/eunit.hrl").

%% Values

%% The C driver cut i64 to 32 bits and made 0.0 of f32, and it cut the last
%% character off the signature.
imports_get_and_give_values_of_every_type_test() ->
    Vector = list_to_binary(lists:seq(1, 16)),
    Rotcev = list_to_binary(lists:seq(16, 1, -1)),
    Rows = [
        {"call_add", [2, -3], "add", "(ii)i", [-7]},
        {"call_add", [1 bsl 32 - 1, 0], "add", "(ii)i", [-(1 bsl 31)], [-1, 0]},
        {"call_wide", [1 bsl 62 + 1], "wide", "(I)I", [-(1 bsl 63)]},
        {"call_wide", [-1], "wide", "(I)I", [1 bsl 62 + 3]},
        {"call_single", [1.5], "single", "(f)f", [-2.25]},
        {"call_single", [nan], "single", "(f)f", [infinity]},
        {"call_double", [0.1], "double", "(F)F", [1.0e300]},
        {"call_double", [neg_infinity], "double", "(F)F", [nan]},
        {"call_vec", [Vector], "vec", "(v)v", [Rotcev]},
        {"call_none", [], "none", "()", []},
        {"call_pair", [9], "pair", "(i)iI", [-1, 1 bsl 40]},
        {"call_extern", [null], "extern", "(e)e", [null]},
        {"call_extern", [7], "extern", "(e)e", [4_000_000_000]},
        {"call_callback", [5], "callback", "(i)i", [6]},
        {"call_log", [], "log", "(ii)", [], [64, 12]}
    ],
    [calls_import(Row) || Row <- Rows].

calls_import({Export, Args, Import, Signature, Results}) ->
    calls_import({Export, Args, Import, Signature, Results, Args});
calls_import({Export, Args, Import, Signature, Results, Arrived}) ->
    H = hb_support:start("imports"),
    Fun = fun(State, Request, Options) -> {ok, Results, [{Request, Options} | State]} end,
    {ok, Given, Seen} = hb_wasm64:call(H, Export, Args, Fun, [], #{user => {some, thing}}),
    ?assertEqual(Results, Given),
    ?assertMatch([{#{instance := _}, _}], Seen),
    [{Request, Options}] = Seen,
    ?assertEqual(#{module => "env", func => Import, args => Arrived, func_sig => Signature},
                 maps:remove(instance, Request)),
    ?assert(is_reference(maps:get(instance, Request))),
    ?assertEqual({some, thing}, Options).

%% What an import answers is converted as arguments are.
answers_are_coerced_as_arguments_are_test() ->
    H = hb_support:start("imports"),
    Answer = fun(Export, Args, Results) ->
        hb_wasm64:call(H, Export, Args, fun(S, _, _) -> {ok, Results, S} end, s, #{})
    end,
    ?assertEqual({ok, [-1], s}, Answer("call_add", [0, 0], [1 bsl 32 - 1])),
    ?assertEqual({ok, [-1], s}, Answer("call_wide", [0], [1 bsl 64 - 1])),
    ?assertEqual({ok, [3.0], s}, Answer("call_double", [0], [3])),
    ?assertEqual({ok, [16777216.0], s}, Answer("call_single", [0], [16777217])).

without_an_import_function_zeros_are_answered_test() ->
    H = hb_support:start("imports"),
    Rows = [
        {"call_add", [2, 3], [0]}, {"call_wide", [5], [0]}, {"call_single", [1.5], [0.0]},
        {"call_double", [1.5], [0.0]}, {"call_vec", [<<1:128>>], [<<0:128>>]}, {"call_none", [], []},
        {"call_pair", [1], [0, 0]}, {"call_extern", [7], [null]}, {"call_log", [], []},
        {"call_many", [1000], [0]}, {"nest", [5], [5]}
    ],
    [begin
         ?assertEqual({Name, {ok, Results}}, {Name, hb_wasm64:call(H, Name, Args)}),
         ?assertEqual({Name, {ok, Results}}, {Name, hb_wasm64:call(H, Name, Args, #{})})
     end || {Name, Args, Results} <- Rows].

%% State

the_state_goes_from_import_to_import_and_back_test() ->
    H = hb_support:start("imports"),
    Add = fun(Seen, #{args := [A, B]}, _) -> {ok, [A + B], [{A, B} | Seen]} end,
    {ok, [15], Seen} = hb_wasm64:call(H, "call_many", [5], Add, [], #{}),
    ?assertEqual([{0, 1}, {1, 2}, {3, 3}, {6, 4}, {10, 5}], lists:reverse(Seen)).

a_call_without_imports_gives_the_state_back_test() ->
    H = hb_support:start("imports"),
    ?assertEqual({ok, [0], state}, hb_wasm64:call(H, "peek", [512], fun unexpected/3, state, #{})).

%% Every error of a call/6 carries the state.
errors_carry_the_state_test() ->
    H = hb_support:start("imports"),
    Call = fun(Name, Args) -> hb_wasm64:call(H, Name, Args, fun unexpected/3, state, #{}) end,
    ?assertEqual({error, {unknown_function, "nosuch"}, state}, Call("nosuch", [])),
    ?assertMatch({error, {invalid_args, #{position := 1}}, state}, Call("peek", [])),
    ?assertMatch({error, {trap, #{code := memory_out_of_bounds}}, state}, Call("peek", [-1])),
    Count = fun(N, _, _) -> {ok, [0], N + 1} end,
    ?assertMatch({error, {trap, #{code := unreachable}}, 1},
                 hb_wasm64:call(H, "import_then_trap", [1], Count, 0, #{})),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped, state}, Call("peek", [0])).

%% The instance while an import is pending

%% The C driver was locked dead by a call back into the guest.
an_import_may_call_back_into_the_guest_test() ->
    H = hb_support:start("imports"),
    %% Three levels, then many.
    ?assertEqual({ok, [6], 3}, nest(H, 3, 0)),
    ?assertEqual({ok, [1275], 53}, nest(H, 50, 3)),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "nest", [0])).

nest(H, N, State) -> hb_wasm64:call(H, "nest", [N], fun nest_again/3, State, #{}).

nest_again(Count, #{instance := Scoped, func := "callback", args := [K]}, _) -> nest(Scoped, K, Count + 1).

%% A call/3 nested in an import answers its own imports with zeros.
a_nested_call_answers_its_own_imports_test() ->
    H = hb_support:start("imports"),
    Fun = fun(S, #{instance := Scoped, args := [K]}, _) ->
        {ok, Results} = hb_wasm64:call(Scoped, "nest", [K]),
        {ok, Results, S}
    end,
    ?assertEqual({ok, [10 + 9], s}, hb_wasm64:call(H, "nest", [10], Fun, s, #{})).

an_import_reads_and_writes_the_memory_of_the_waiting_guest_test() ->
    H = hb_support:start("imports"),
    Fun = fun(S, #{instance := Scoped, args := [At]}, _) ->
        {ok, <<V:32/little>>} = hb_wasm64:read(Scoped, At, 4),
        {ok, 65536} = hb_wasm64:memory_size(Scoped),
        ok = hb_wasm64:write(Scoped, At, <<(V * 2):32/little>>),
        {ok, [0], [V | S]}
    end,
    ?assertEqual({ok, [42], [21]}, hb_wasm64:call(H, "mem_then_import", [21], Fun, [], #{})).

%% As WASI's fd_write does, and as one that answers a string does.
an_import_uses_strings_and_malloc_of_the_waiting_guest_test() ->
    H = hb_support:start("imports"),
    Fun = fun(_, #{instance := Scoped, args := [At, Length]}, _) ->
        {ok, Text} = hb_wasm64:read(Scoped, At, Length),
        {ok, Same} = hb_wasm64:read_string(Scoped, At),
        {ok, Ptr} = hb_wasm64:write_string(Scoped, ["Hello, ", <<"guest!">>]),
        {ok, Room} = hb_wasm64:malloc(Scoped, 8),
        ok = hb_wasm64:free(Scoped, Room),
        {ok, [], {Text, Same, Ptr, Room}}
    end,
    {ok, [], {Text, Same, Ptr, Room}} = hb_wasm64:call(H, "call_log", [], Fun, none, #{}),
    ?assertEqual({<<"Hello, host!">>, <<"Hello, host!">>}, {Text, Same}),
    ?assert(Room >= Ptr + 14),
    ?assertEqual({ok, <<"Hello, guest!", 0>>}, hb_wasm64:read(H, Ptr, 14)).

%% Whoever owes the answer and uses the handle it started with would wait for
%% itself: it means the scoped one.
the_one_who_owes_the_answer_may_use_the_plain_handle_test() ->
    H = hb_support:start("imports"),
    Fun = fun(S, #{args := [At]}, _) ->
        {ok, <<V:32/little>>} = hb_wasm64:read(H, At, 4),
        ok = hb_wasm64:write(H, At, <<(V + 1):32/little>>),
        {ok, 65536} = hb_wasm64:memory_size(H),
        {ok, [50]} = hb_wasm64:call(H, 0, [5]),
        {ok, [_], nested} = hb_wasm64:call(H, "call_add", [1, 2], fun(_, _, _) -> {ok, [3], nested} end, s, #{}),
        {ok, [0], S}
    end,
    ?assertEqual({ok, [8], s}, hb_wasm64:call(H, "mem_then_import", [7], Fun, s, #{})).

%% HyperBEAM's devices may run in processes of their own.
the_scoped_handle_works_in_every_process_test() ->
    H = hb_support:start("imports"),
    Fun = fun(_, #{instance := Scoped, args := [At]}, _) ->
        Use = fun() ->
            {ok, <<V:32/little>>} = hb_wasm64:read(Scoped, At, 4),
            ok = hb_wasm64:write(Scoped, At, <<(V + 1):32/little>>),
            {ok, [Sum]} = hb_wasm64:call(Scoped, "nest", [3]),
            Sum
        end,
        Sums = [hb_support:in_process(Use) || _ <- [1, 2, 3]],
        {ok, [0], Sums}
    end,
    ?assertEqual({ok, [10], [3, 3, 3]}, hb_wasm64:call(H, "mem_then_import", [7], Fun, s, #{})).

%% Once answered, the scope is the plain instance.
a_scoped_handle_is_a_plain_one_after_the_answer_test() ->
    H = hb_support:start("imports"),
    Keep = fun(_, #{instance := Scoped}, _) -> {ok, [0], Scoped} end,
    {ok, _, Scoped} = hb_wasm64:call(H, "call_callback", [1], Keep, none, #{}),
    ?assertEqual({ok, [50]}, hb_wasm64:call(Scoped, 0, [5])),
    ?assertEqual({ok, <<"Hello, host!">>}, hb_wasm64:read_string(Scoped, 64)),
    {ok, _, Again} = hb_wasm64:call(Scoped, "call_callback", [1], Keep, none, #{}),
    ?assertEqual({ok, 65536}, hb_wasm64:memory_size(Again)),
    ok = hb_wasm64:stop(Scoped),
    ?assertEqual({error, stopped}, hb_wasm64:call(H, 0, [5])).

%% The scoped handle is as good as the plain one: it keeps the instance.
a_scoped_handle_keeps_the_instance_alive_test() ->
    Image = hb_support:guest("imports"),
    Scoped = hb_support:in_process(fun() ->
        {ok, H} = hb_wasm64:start(Image),
        {ok, _, Scoped} = hb_wasm64:call(H, "call_callback", [1],
                                         fun(_, #{instance := I}, _) -> {ok, [0], I} end, none, #{}),
        Scoped
    end),
    erlang:garbage_collect(),
    ?assertEqual({ok, [50]}, hb_wasm64:call(Scoped, 0, [5])).

%% A deadlock of the C driver where it had few threads.
an_import_may_use_another_instance_test() ->
    One = hb_support:start("imports"),
    Other = hb_support:start("imports"),
    Fun = fun(S, #{args := [K]}, _) ->
        {ok, [V], _} = hb_wasm64:call(Other, "nest", [K], fun(_, #{args := [L]}, _) -> {ok, [L], x} end, x, #{}),
        {ok, [V], S}
    end,
    %% nest(5) = import(4) + 5, import(4) = Other:nest(4) = 3 + 4.
    ?assertEqual({ok, [12], s}, hb_wasm64:call(One, "nest", [5], Fun, s, #{})).

globals_and_memory_survive_nested_calls_test() ->
    H = hb_support:start("imports"),
    Fun = fun(S, #{instance := Scoped, args := [K]}, _) ->
        {ok, [_]} = hb_wasm64:call(Scoped, "add_to_global", [K]),
        nest_again(S, #{instance => Scoped, func => "callback", args => [K]}, #{})
    end,
    {ok, [10], _} = hb_wasm64:call(H, "nest", [4], Fun, 0, #{}),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "add_to_global", [0])).

%% Import functions that fail

an_answer_of_error_ends_the_call_and_the_instance_lives_test() ->
    H = hb_support:start("imports"),
    Call = fun(Answer) -> hb_wasm64:call(H, "call_add", [1, 2], fun(_, _, _) -> Answer end, before, #{}) end,
    ?assertEqual({error, {import_failed, why}, 'after'}, Call({error, why, 'after'})),
    ?assertEqual({error, {import_failed, {some, "term", <<1>>, 2.5}}, before}, Call({error, {some, "term", <<1>>, 2.5}})),
    ?assertEqual({ok, [3], before}, Call({ok, [3], before})).

%% The C driver hung for ever and left the instance dead.
an_import_function_that_raises_ends_the_call_and_the_instance_lives_test() ->
    H = hb_support:start("imports"),
    Raise = [fun() -> error(oops) end, fun() -> throw(oops) end, fun() -> exit(oops) end],
    [begin
         Fun = fun(_, _, _) -> R() end,
         ?assertMatch({error, {import_failed, _}, before}, hb_wasm64:call(H, "call_add", [1, 2], Fun, before, #{})),
         {error, {import_failed, Why}, before} = hb_wasm64:call(H, "call_add", [1, 2], Fun, before, #{}),
         %% The reason is in it somewhere.
         ?assertNotEqual(nomatch, string:find(io_lib:format("~p", [Why]), "oops")),
         ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5]))
     end || R <- Raise].

%% The state of the last import that went well is what the caller gets.
the_state_after_a_failed_import_is_the_last_good_one_test() ->
    H = hb_support:start("imports"),
    Third = fun(2, _, _) -> error(third);
               (N, _, _) -> {ok, [0], N + 1}
            end,
    ?assertMatch({error, {import_failed, _}, 2}, hb_wasm64:call(H, "call_many", [10], Third, 0, #{})).

%% The C driver crashed the node, or hung for ever.
wrong_answers_fail_the_import_test() ->
    H = hb_support:start("imports"),
    Wrong = [
        %% Missing.
        {"call_add", [1, 2], {ok, [], s}}, {"call_pair", [1], {ok, [1], s}},
        %% Ill-typed.
        {"call_add", [1, 2], {ok, [1.0], s}}, {"call_add", [1, 2], {ok, [foo], s}}, {"call_add", [1, 2], {ok, [1 bsl 32], s}},
        {"call_pair", [1], {ok, [1, 2.0], s}}, {"call_vec", [<<0:128>>], {ok, [<<0:120>>], s}},
        {"call_extern", [null], {ok, [-1], s}}, {"call_double", [1.0], {ok, [<<>>], s}},
        %% No list.
        {"call_add", [1, 2], {ok, 3, s}}, {"call_add", [1, 2], {ok, foo, s}}, {"call_none", [], {ok, foo, s}},
        {"call_add", [1, 2], {ok, [1 | 2], s}},
        %% Nonsense.
        {"call_add", [1, 2], ok}, {"call_add", [1, 2], [3]}, {"call_add", [1, 2], {ok, [3]}}, {"call_add", [1, 2], 3},
        {"call_add", [1, 2], {ok, [3], s, more}}, {"call_add", [1, 2], {}}, {"call_none", [], undefined}
    ],
    [begin
         ?assertMatch({error, {import_failed, _}, _}, hb_wasm64:call(H, Name, Args, fun(_, _, _) -> Answer end, s, #{}),
                      {Name, Answer}),
         ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5]))
     end || {Name, Args, Answer} <- Wrong].

%% HyperBEAM's devices answer [0] to imports without a result.
surplus_results_are_dropped_test() ->
    H = hb_support:start("imports"),
    Call = fun(Name, Args, Results) -> hb_wasm64:call(H, Name, Args, fun(_, _, _) -> {ok, Results, s} end, s, #{}) end,
    ?assertEqual({ok, [], s}, Call("call_none", [], [0])),
    ?assertEqual({ok, [], s}, Call("call_none", [], [foo, bar, {}])),
    ?assertEqual({ok, [], s}, Call("call_log", [], [0])),
    ?assertEqual({ok, [3], s}, Call("call_add", [1, 2], [3, 4, foo])),
    ?assertEqual({ok, [1, 2], s}, Call("call_pair", [1], [1, 2, 3])).

%% A failed import is no exception of the guest's: its catch_all must not see it.
guests_cannot_catch_a_failed_import_test() ->
    H = hb_support:start("exceptions"),
    Call = fun(Fun) -> hb_wasm64:call(H, "nested_import", [], Fun, s, #{}) end,
    ?assertEqual({ok, [7], s}, Call(fun(S, _, _) -> {ok, [7], S} end)),
    ?assertEqual({error, {import_failed, why}, s}, Call(fun(_, _, _) -> {error, why} end)),
    ?assertMatch({error, {import_failed, _}, s}, Call(fun(_, _, _) -> error(why) end)),
    ?assertMatch({error, {import_failed, _}, s}, Call(fun(S, _, _) -> {ok, [], S} end)),
    ?assertEqual({ok, [42]}, hb_wasm64:call(H, "ok", [])).

%% Only the innermost call is unwound: the import function sees its error and
%% may answer for it.
a_failed_nested_call_leaves_the_outer_one_as_it_is_test() ->
    H = hb_support:start("imports"),
    Refuse = fun(_, _, _) -> {error, inner} end,
    Fun = fun(S, #{instance := Scoped}, _) ->
        Failed = hb_wasm64:call(Scoped, "call_add", [1, 2], Refuse, x, #{}),
        Trapped = hb_wasm64:call(Scoped, "import_then_trap", [1]),
        Unknown = hb_wasm64:call(Scoped, "nosuch", []),
        {ok, [7], [Failed, Trapped, Unknown | S]}
    end,
    {ok, [7], [Failed, Trapped, Unknown]} = hb_wasm64:call(H, "call_callback", [1], Fun, [], #{}),
    ?assertEqual({error, {import_failed, inner}, x}, Failed),
    ?assertMatch({error, {trap, #{code := unreachable}}}, Trapped),
    ?assertEqual({error, {unknown_function, "nosuch"}}, Unknown).

%% The mailbox

%% A stray message was taken for the answer by the C driver's caller.
stray_messages_are_left_alone_test() ->
    H = hb_support:start("imports"),
    Stray = [{execution_result, 1}, {hb_wasm64, make_ref(), {done, {ok, [666]}}},
             {hb_wasm64, make_ref(), {import, make_ref(), #{}}}, {hb_wasm64, self(), turn}, {done, {ok, [666]}}],
    [self() ! Message || Message <- Stray],
    Fun = fun(S, #{args := [A, B]}, _) -> {ok, [A + B], S} end,
    ?assertEqual({ok, [55], s}, hb_wasm64:call(H, "call_many", [10], Fun, s, #{})),
    ?assertEqual(Stray, hb_support:flush()).

%% Nothing of a call stays in the mailbox, whichever way it ends.
calls_leave_nothing_in_the_mailbox_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        Loop = hb_support:start("loop"),
        Good = fun(S, _, _) -> {ok, [0], S} end,
        Bad = fun(_, _, _) -> {error, bad} end,
        {ok, [_], s} = hb_wasm64:call(H, "call_many", [100], Good, s, #{}),
        {error, _, s} = hb_wasm64:call(H, "call_many", [100], Bad, s, #{}),
        {error, _, s} = hb_wasm64:call(H, "import_then_trap", [1], Good, s, #{}),
        {error, timeout, s} = hb_wasm64:call(Loop, "import_loop", [], Good, s, #{timeout => 30}),
        {error, timeout, s} = hb_wasm64:call(Loop, "spin_after_import", [], Good, s, #{timeout => 30}),
        timer:sleep(50),
        ?assertEqual([], hb_support:flush())
    end}.

%% Catches a receive that walks the mailbox for every import.
a_full_mailbox_does_not_slow_imports_down_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        Fun = fun(S, _, _) -> {ok, [0], S} end,
        Round = fun() ->
            {Micros, _} = hb_support:micros(fun() -> {ok, _, s} = hb_wasm64:call(H, "call_many", [5000], Fun, s, #{}) end),
            Micros
        end,
        %% The garbage collector has seen the messages before.
        Rounds = fun() ->
            erlang:garbage_collect(),
            _ = [Round() || _ <- lists:seq(1, 3)],
            hb_support:median([Round() || _ <- lists:seq(1, 9)])
        end,
        Outcome = hb_support:in_process(fun() ->
            hb_support:best_of(10, fun() ->
                _ = hb_support:flush(),
                Empty = Rounds(),
                [self() ! {unrelated, N} || N <- lists:seq(1, 100_000)],
                Full = Rounds(),
                Full =< 2 * Empty orelse {Empty, Full}
            end)
        end),
        ?assertEqual(true, Outcome)
    end}.

%% Support

unexpected(_, Request, _) -> error({no_import_was_expected, Request}).
