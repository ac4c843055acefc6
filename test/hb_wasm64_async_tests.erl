%% call_async/4: the messages of a call, who answers its imports, and what
%% becomes of it when that one does not.
-module(hb_wasm64_async_tests).

-include_lib("eunit/include/eunit.hrl").

-define(AWAIT(Pattern, Result), receive Pattern -> Result after 60_000 -> error({nothing_came, ??Pattern}) end).

a_call_without_imports_is_done_with_one_message_test() ->
    H = hb_support:start("numbers"),
    {ok, Ref} = hb_wasm64:call_async(H, "add_i32", [1, 2], #{}),
    ?assertEqual({done, {ok, [3]}}, next(Ref)),
    ?assert(silent()).

an_import_is_a_message_and_its_answer_lets_the_call_go_on_test() ->
    H = hb_support:start("imports"),
    {ok, Ref} = hb_wasm64:call_async(H, "call_many", [3], #{}),
    [begin
         {import, IRef, Request} = next(Ref),
         #{instance := Scoped, module := "env", func := "add", args := [A, B], func_sig := "(ii)i"} = Request,
         ?assertEqual(5, map_size(Request)),
         ?assertEqual({ok, 65536}, hb_wasm64:memory_size(Scoped)),
         ?assertEqual(ok, hb_wasm64:respond(IRef, {ok, [A + B]}))
     end || _ <- [1, 2, 3]],
    ?assertEqual({done, {ok, [6]}}, next(Ref)),
    ?assert(silent()).

%% Errors come as the one done message, too, or at once.
a_call_that_fails_is_done_once_test() ->
    H = hb_support:start("imports"),
    {ok, Ref} = hb_wasm64:call_async(H, "peek", [-1], #{}),
    ?assertMatch({done, {error, {trap, #{code := memory_out_of_bounds}}}}, next(Ref)),
    [?assertEqual({error, Reason}, outcome(hb_wasm64:call_async(H, Name, Args, #{})))
     || {Name, Args, Reason} <- [
         {"nosuch", [], {unknown_function, "nosuch"}},
         {"peek", [], {invalid_args, #{signature => "(i)i", args => [], position => 1}}}
     ]],
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, outcome(hb_wasm64:call_async(H, "peek", [0], #{}))),
    ?assert(silent()).

a_refused_import_ends_the_call_with_the_reason_given_test() ->
    H = hb_support:start("imports"),
    {Ref, IRef} = pending(H, "call_add", [1, 2]),
    ?assertEqual(ok, hb_wasm64:respond(IRef, {error, {any, "term"}})),
    ?assertEqual({done, {error, {import_failed, {any, "term"}}}}, next(Ref)),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])).

%% Answers that do not fit

ill_fitting_answers_fail_the_import_test() ->
    H = hb_support:start("imports"),
    Wrong = [{ok, []}, {ok, [foo]}, {ok, [1.0]}, {ok, foo}, {ok, [1 | 2]}, ok, foo, {ok, [1], more}, [1], {error, a, b}],
    [begin
         {Ref, IRef} = pending(H, "call_add", [1, 2]),
         _ = hb_wasm64:respond(IRef, Answer),
         ?assertMatch({Answer, {done, {error, {import_failed, _}}}}, {Answer, next(Ref)}),
         ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5]))
     end || Answer <- Wrong].

surplus_results_are_dropped_test() ->
    H = hb_support:start("imports"),
    {Ref, IRef} = pending(H, "call_none", []),
    ?assertEqual(ok, hb_wasm64:respond(IRef, {ok, [0]})),
    ?assertEqual({done, {ok, []}}, next(Ref)).

%% The second answer must not reach the next import, or the next call.
an_import_is_answered_once_test() ->
    H = hb_support:start("imports"),
    {Ref, First} = pending(H, "call_many", [2]),
    ?assertEqual(ok, hb_wasm64:respond(First, {ok, [10]})),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(First, {ok, [20]})),
    {import, Second, #{args := [10, 2]}} = next(Ref),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(First, {ok, [30]})),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(First, {error, late})),
    ?assertEqual(ok, hb_wasm64:respond(Second, {ok, [40]})),
    ?assertEqual({done, {ok, [40]}}, next(Ref)),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(Second, {ok, [50]})),
    ?assert(silent()).

late_answers_find_no_pending_import_test() ->
    H = hb_support:start("imports"),
    %% After cancel.
    {Ref, IRef} = pending(H, "call_add", [1, 2]),
    ok = hb_wasm64:cancel(Ref),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(IRef, {ok, [3]})),
    %% After stop.
    {Ref2, IRef2} = pending(H, "call_add", [1, 2]),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(IRef2, {ok, [3]})),
    ?assertEqual({done, {error, stopped}}, next(Ref2)),
    %% After the instance has gone.
    IRef3 = hb_support:in_process(fun() ->
        {_, I} = pending(hb_support:start("imports"), "call_add", [1, 2]),
        I
    end),
    ?assert(hb_support:wait_until(fun() -> hb_wasm64:respond(IRef3, {ok, [3]}) =:= {error, no_pending_import} end)).

references_that_name_no_import_are_refused_test() ->
    H = hb_support:start("imports"),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(make_ref(), {ok, [3]})),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(H, {ok, [3]})).

%% Cancelling

nothing_comes_after_cancel_has_returned_test_() ->
    {timeout, 300, fun() ->
        Loop = hb_support:start("loop"),
        Imports = hb_support:start("imports"),
        Calls = [{Loop, "spin", []}, {Loop, "import_loop", []}, {Imports, "call_add", [1, 2]}, {Imports, "peek", [0]},
                 {Imports, "peek", [-1]}],
        [begin
             {ok, Ref} = hb_wasm64:call_async(H, Name, Args, #{}),
             timer:sleep(Wait),
             ?assertEqual(ok, hb_wasm64:cancel(Ref)),
             _ = hb_support:flush(),
             %% Whatever cancel/1 took back is settled: this stays silent.
             ?assert(silent()),
             %% And it was not a mere silence: the instance is free.
             ?assertMatch({ok, _}, hb_wasm64:memory_size(H)),
             ?assertEqual(ok, hb_wasm64:cancel(Ref))
         end || {H, Name, Args} <- Calls, Wait <- [0, 2, 20]]
    end}.

%% Not even what had been sent before.
cancel_takes_back_what_has_come_already_test() ->
    H = hb_support:start("imports"),
    {ok, Ref} = hb_wasm64:call_async(H, "call_add", [1, 2], #{}),
    timer:sleep(20),
    ok = hb_wasm64:cancel(Ref),
    ?assertEqual([], hb_support:flush()).

a_cancelled_call_frees_the_instance_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        [begin
             {ok, Ref} = hb_wasm64:call_async(H, "spin", [], #{}),
             timer:sleep(5),
             ok = hb_wasm64:cancel(Ref),
             ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3]))
         end || _ <- lists:seq(1, 20)]
    end}.

%% One that waits for its turn: the one before it goes on as if nothing were.
a_queued_call_can_be_cancelled_test() ->
    H = hb_support:start("imports"),
    {First, IRef} = pending(H, "call_add", [1, 2]),
    {ok, Second} = hb_wasm64:call_async(H, "add_to_global", [5], #{}),
    {ok, Third} = hb_wasm64:call_async(H, "add_to_global", [1], #{}),
    ok = hb_wasm64:cancel(Second),
    ok = hb_wasm64:respond(IRef, {ok, [3]}),
    ?assertEqual({done, {ok, [3]}}, next(First)),
    ?assertEqual({done, {ok, [1]}}, next(Third)),
    ?assert(silent()).

cancel_knows_no_other_references_and_does_not_mind_test() ->
    ?assertEqual(ok, hb_wasm64:cancel(make_ref())),
    H = hb_support:start("numbers"),
    {ok, Ref} = hb_wasm64:call_async(H, "nop", [], #{}),
    {done, {ok, []}} = next(Ref),
    ?assertEqual(ok, hb_wasm64:cancel(Ref)),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "nop", [])).

%% Several calls at a time

each_call_has_messages_of_its_own_test() ->
    Handles = [hb_support:start("imports") || _ <- lists:seq(1, 20)],
    Calls = [{N, pending(H, "call_callback", [N])} || {N, H} <- lists:enumerate(Handles)],
    [ok = hb_wasm64:respond(IRef, {ok, [N * 2]}) || {N, {_, IRef}} <- lists:reverse(Calls)],
    [?assertEqual({done, {ok, [N * 2]}}, next(Ref)) || {N, {Ref, _}} <- Calls],
    ?assert(silent()).

calls_on_one_instance_are_served_in_turn_test() ->
    H = hb_support:start("imports"),
    {First, IRef} = pending(H, "call_add", [1, 2]),
    Refs = [element(2, {ok, _} = hb_wasm64:call_async(H, "add_to_global", [1], #{})) || _ <- lists:seq(1, 10)],
    ?assert(silent()),
    ok = hb_wasm64:respond(IRef, {ok, [3]}),
    ?assertEqual({done, {ok, [3]}}, next(First)),
    ?assertEqual([{done, {ok, [N]}} || N <- lists:seq(1, 10)], [next(Ref) || Ref <- Refs]).

%% It stands in line when call_async returns: what the same process asks for
%% afterwards comes after it.
calls_of_one_process_keep_their_order_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        [begin
             {ok, [Now]} = hb_wasm64:call(H, "add_to_global", [0]),
             {ok, Ref} = hb_wasm64:call_async(H, "add_to_global", [1], #{}),
             ?assertEqual({N, {ok, [Now + 1]}}, {N, hb_wasm64:call(H, "add_to_global", [0])}),
             ?assertEqual({done, {ok, [Now + 1]}}, next(Ref))
         end || N <- lists:seq(1, 200)]
    end}.

%% Handlers

%% The caller gets done, the handler gets the imports.
a_handler_in_another_process_answers_the_imports_test() ->
    H = hb_support:start("imports"),
    Handler = handler(fun(#{instance := Scoped, args := [A, B]}) ->
        {ok, 65536} = hb_wasm64:memory_size(Scoped),
        {ok, [A + B]}
    end),
    {ok, Ref} = hb_wasm64:call_async(H, "call_many", [100], #{handler => Handler}),
    ?assertEqual({done, {ok, [5050]}}, next(Ref)),
    ?assert(silent()),
    ?assertMatch([_, _ | _], stop_handler(Handler)).

%% For processes that do not owe the answer.
the_plain_handle_waits_for_the_answer_test() ->
    H = hb_support:start("imports"),
    {Ref, IRef} = pending(H, "call_add", [1, 2]),
    Test = self(),
    spawn_link(fun() -> Test ! {read, hb_wasm64:read(H, 0, 4)} end),
    ?assertEqual(nothing, receive {read, _} -> early after 50 -> nothing end),
    ?assertEqual(ok, hb_wasm64:respond(IRef, {ok, [3]})),
    ?assertEqual({done, {ok, [3]}}, next(Ref)),
    ?assertMatch({ok, <<_:4/binary>>}, receive {read, Read} -> Read after 60_000 -> nothing end).

%% A handler that comes too late must not write into the calls of others.
the_scope_of_a_cancelled_import_is_gone_test() ->
    H = hb_support:start("imports"),
    {Ref, Scope} = pending(H, "call_add", [1, 2]),
    ok = hb_wasm64:cancel(Ref),
    ?assertEqual({error, cancelled}, hb_wasm64:write(Scope, 0, <<42>>)),
    ?assertEqual({error, cancelled}, hb_wasm64:read(Scope, 0, 1)),
    ?assertEqual({error, cancelled}, hb_wasm64:call(Scope, "add_to_global", [1])),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(Scope, {ok, [3]})),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "add_to_global", [0])).

%% Anybody may pass the answer on: the reference is what counts.
any_process_may_answer_test() ->
    H = hb_support:start("imports"),
    {Ref, IRef} = pending(H, "call_add", [1, 2]),
    ?assertEqual(ok, hb_support:in_process(fun() -> hb_wasm64:respond(IRef, {ok, [9]}) end)),
    ?assertEqual({done, {ok, [9]}}, next(Ref)).

a_handler_that_dies_ends_the_call_and_the_instance_lives_test() ->
    H = hb_support:start("imports"),
    Handler = spawn(fun() -> receive {hb_wasm64, _, {import, _, _}} -> exit(boom) end end),
    {ok, Ref} = hb_wasm64:call_async(H, "call_add", [1, 2], #{handler => Handler}),
    ?assertEqual({done, {error, {import_failed, handler_down}}}, next(Ref)),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])),
    ?assert(silent()).

a_killed_handler_ends_the_call_and_the_instance_lives_test() ->
    H = hb_support:start("imports"),
    Test = self(),
    Handler = spawn(fun() -> receive {hb_wasm64, _, {import, _, _}} -> Test ! asked, timer:sleep(infinity) end end),
    {ok, Ref} = hb_wasm64:call_async(H, "call_add", [1, 2], #{handler => Handler}),
    ?AWAIT(asked, ok),
    exit(Handler, kill),
    ?assertEqual({done, {error, {import_failed, handler_down}}}, next(Ref)),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])).

%% Dead before it is asked.
a_handler_that_is_dead_already_ends_the_call_test() ->
    H = hb_support:start("imports"),
    Handler = spawn(fun() -> ok end),
    hb_support:gone(Handler),
    {ok, Ref} = hb_wasm64:call_async(H, "call_add", [1, 2], #{handler => Handler}),
    ?assertEqual({done, {error, {import_failed, handler_down}}}, next(Ref)),
    {ok, Ref2} = hb_wasm64:call_async(H, 0, [5], #{handler => Handler}),
    ?assertEqual({done, {ok, [50]}}, next(Ref2)).

%% The handler dies between two imports, while the guest runs.
a_handler_that_dies_after_its_answer_ends_the_call_at_the_next_import_test() ->
    H = hb_support:start("imports"),
    Handler = spawn(fun() ->
        receive {hb_wasm64, _, {import, IRef, _}} -> ok = hb_wasm64:respond(IRef, {ok, [1]}) end
    end),
    {ok, Ref} = hb_wasm64:call_async(H, "call_many", [2], #{handler => Handler}),
    ?assertEqual({done, {error, {import_failed, handler_down}}}, next(Ref)),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])).

%% The death of a process that has nothing to answer any more is nobody's business.
a_handler_may_die_when_all_is_answered_test() ->
    H = hb_support:start("imports"),
    Handler = handler(fun(_) -> {ok, [3]} end),
    {ok, Ref} = hb_wasm64:call_async(H, "call_add", [1, 2], #{handler => Handler}),
    ?assertEqual({done, {ok, [3]}}, next(Ref)),
    hb_support:gone(Handler),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])),
    ?assert(silent()).

%% The caller is the one whom the call belongs to, not the handler.
a_caller_that_dies_ends_the_call_of_a_handler_test() ->
    H = hb_support:start("imports"),
    Test = self(),
    Caller = spawn(fun() ->
        {ok, _} = hb_wasm64:call_async(H, "call_add", [1, 2], #{handler => Test}),
        timer:sleep(infinity)
    end),
    IRef = ?AWAIT({hb_wasm64, _, {import, I, _}}, I),
    hb_support:gone(Caller),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(IRef, {ok, [3]})),
    ?assert(silent()).

%% Options

limits_hold_for_asynchronous_calls_test() ->
    H = hb_support:start("loop"),
    {ok, Ref} = hb_wasm64:call_async(H, "spin", [], #{timeout => 30}),
    ?assertEqual({done, {error, timeout}}, next(Ref)),
    {ok, Ref2} = hb_wasm64:call_async(H, "spin", [], #{fuel => 100_000}),
    ?assertEqual({done, {error, {limit, fuel}}}, next(Ref2)),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3])).

%% An import that nobody answers counts as time, too.
a_timeout_ends_a_call_that_waits_for_an_answer_test() ->
    H = hb_support:start("imports"),
    {Result, IRef} = hb_support:reached(50, fun(Timeout) ->
        {ok, Ref} = hb_wasm64:call_async(H, "call_add", [1, 2], #{timeout => Timeout}),
        case next(Ref) of
            {import, Import, _} -> {next(Ref), Import};
            {done, {error, timeout}} -> not_reached
        end
    end),
    ?assertEqual({done, {error, timeout}}, Result),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(IRef, {ok, [3]})),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])).

%% One message, whatever dies

a_call_whose_driver_is_killed_is_done_test() ->
    H = hb_support:start("imports"),
    {Ref, IRef, Driver} = driven(fun() -> pending(H, "call_add", [1, 2]) end),
    exit(Driver, kill),
    ?assertMatch({done, {error, {host, <<_/binary>>}}}, next(Ref)),
    ?assertEqual({error, no_pending_import}, hb_wasm64:respond(IRef, {ok, [3]})),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])),
    ?assertEqual(ok, hb_wasm64:cancel(Ref)),
    ?assert(silent()).

%% At whatever moment it is killed, the one message comes: that of the result or that of the death.
a_call_whose_driver_is_killed_at_any_time_is_done_once_test_() ->
    {timeout, 600, fun() ->
        H = hb_support:start("numbers"),
        Results = [begin
             {Ref, none, Driver} = driven(fun() -> {ok, R} = hb_wasm64:call_async(H, "add_i32", [N, 1], #{}), {R, none} end),
             _ = is_pid(Driver) andalso begin [erlang:yield() || _ <- lists:seq(1, N rem 7)], exit(Driver, kill) end,
             {done, Result} = next(Ref),
             Result
         end || N <- lists:seq(1, 300)],
        [?assertMatch({ok, [_]}, Result) || Result <- Results, element(1, Result) =/= error],
        [?assertMatch({error, {host, _}}, Result) || Result <- Results, element(1, Result) =:= error],
        ?assert(silent())
    end}.

%% Processes may have a bound on their heap, which ends them in the middle of whatever they do.
a_call_whose_driver_exceeds_its_heap_is_done_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        Handler = handler(fun(#{args := [A, B]}) -> {ok, [A + B]} end),
        Long = [<<"module">> || _ <- lists:seq(1, 5_000)],
        Default = erlang:system_flag(max_heap_size, #{size => 10_000, kill => true, error_logger => false}),
        Started =
            try
                hb_wasm64:call_async(H, "call_many", [1_000_000], #{handler => Handler, intercept => Long})
            after
                erlang:system_flag(max_heap_size, Default)
            end,
        {ok, Ref} = Started,
        ?assertMatch({done, {error, {host, <<_/binary>>}}}, receive {hb_wasm64, Ref, Done} -> Done after 60_000 -> nothing end),
        ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])),
        unlink(Handler),
        exit(Handler, kill),
        ?assert(silent())
    end}.

%% Who uses the plain handle and owes the answer

a_handler_that_uses_the_plain_handle_works_within_the_import_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        Handler = handler(fun(#{args := [A, B]}) ->
            {ok, 65536} = hb_wasm64:memory_size(H),
            ok = hb_wasm64:write(H, 1024, <<"written">>),
            {ok, <<"written">>} = hb_wasm64:read(H, 1024, 7),
            {ok, [50]} = hb_wasm64:call(H, 0, [5]),
            {ok, [A + B]}
        end),
        {ok, Ref} = hb_wasm64:call_async(H, "call_many", [3], #{handler => Handler}),
        ?assertEqual({done, {ok, [6]}}, next(Ref)),
        ?assertEqual({ok, <<"written">>}, hb_wasm64:read(H, 1024, 7))
    end}.

%% It waits before the import comes, and cannot answer: the message is in its mailbox.
a_handler_that_waits_for_its_own_answer_is_told_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        Test = self(),
        Fun = fun(_, #{instance := Scope}, _) ->
            %% A call in the import of another process, whose handler then waits behind it.
            Handler = spawn_link(fun() ->
                Test ! {self(), hb_wasm64:call(H, "count", [1])},
                receive {hb_wasm64, _, {import, IRef, _}} -> ok = hb_wasm64:respond(IRef, {error, enough}) end
            end),
            true = hb_support:wait_until(fun() -> process_info(Handler, status) =:= {status, waiting} end),
            {ok, Ref} = hb_wasm64:call_async(Scope, "import_loop", [], #{handler => Handler}),
            ?assertEqual({error, would_deadlock}, ?AWAIT({Handler, Result}, Result)),
            ?assertEqual({done, {error, {import_failed, enough}}}, next(Ref)),
            {error, enough, done}
        end,
        ?assertEqual({error, {import_failed, enough}, done}, hb_wasm64:call(H, "import_loop", [], Fun, none, #{})),
        ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3])),
        ?assert(silent())
    end}.

%% The scope of an outer import waits for the inner one, and that for the process that uses the scope.
the_scope_of_an_outer_import_is_no_way_around_the_own_answer_test() ->
    H = hb_support:start("imports"),
    {Outer, Scope} = pending(H, "call_add", [1, 2]),
    {ok, Inner} = hb_wasm64:call_async(Scope, "call_add", [3, 4], #{}),
    {import, InnerScope, _} = next(Inner),
    ?assertEqual({error, would_deadlock}, hb_wasm64:memory_size(Scope)),
    ?assertEqual({error, would_deadlock}, hb_wasm64:call(Scope, 0, [5])),
    ?assertEqual({ok, 65536}, hb_wasm64:memory_size(InnerScope)),
    ?assertEqual({ok, 65536}, hb_wasm64:memory_size(H)),
    ok = hb_wasm64:respond(InnerScope, {ok, [7]}),
    ?assertEqual({done, {ok, [7]}}, next(Inner)),
    ?assertEqual({ok, 65536}, hb_wasm64:memory_size(Scope)),
    ok = hb_wasm64:respond(Scope, {ok, [3]}),
    ?assertEqual({done, {ok, [3]}}, next(Outer)),
    ?assert(silent()).

%% Support

%% What Fun gives, with the process that drives its call. `none' where that has ended already.
driven(Fun) ->
    Before = processes(),
    {Ref, IRef} = Fun(),
    %% Not of a process that has ended meanwhile.
    Is = fun(Pid) -> process_info(Pid, initial_call) =:= {initial_call, {erlang, apply, 2}} end,
    Driver = case [Pid || Pid <- processes() -- Before, Is(Pid)] of
        [Pid] -> Pid;
        [] -> none
    end,
    {Ref, IRef, Driver}.

%% The next message of a call.
next(Ref) ->
    receive {hb_wasm64, Ref, Message} -> Message
    after 60_000 -> error({nothing_came, hb_support:flush()})
    end.

silent() ->
    timer:sleep(30),
    case hb_support:flush() of
        [] -> true;
        Messages -> {false, Messages}
    end.

%% A call that waits for its first import.
pending(H, Name, Args) ->
    {ok, Ref} = hb_wasm64:call_async(H, Name, Args, #{}),
    {import, IRef, _} = next(Ref),
    {Ref, IRef}.

outcome({ok, Ref}) ->
    {done, Result} = next(Ref),
    Result;
outcome({error, Reason}) ->
    {error, Reason}.

%% A process that answers imports until it is stopped.
handler(Answer) -> spawn_link(fun() -> handle(Answer, []) end).

handle(Answer, Seen) ->
    receive
        {hb_wasm64, _, {import, IRef, Request}} ->
            ok = hb_wasm64:respond(IRef, Answer(Request)),
            handle(Answer, [Request | Seen]);
        {seen, From} ->
            From ! {seen, Seen}
    end.

stop_handler(Handler) ->
    Handler ! {seen, self()},
    ?AWAIT({seen, Seen}, Seen).
