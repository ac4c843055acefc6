%% Handles: who may use an instance, in which order, and when it is gone.
-module(hb_wasm64_handles_tests).

-include_lib("eunit/include/eunit.hrl").

%% Descriptions

describe_tells_imports_and_exports_as_the_module_has_them_test() ->
    {ok, Described} = hb_wasm64:describe(hb_support:start("loop")),
    ?assertEqual([exports, image, imports, memory, mode, served, status], lists:sort(maps:keys(Described))),
    #{imports := Imports, exports := Exports} = Described,
    ?assertEqual([{func, "env", "tick", "()"}], Imports),
    ?assertEqual([{func, "spin", "()"}, {func, "count", "(I)I"}, {func, "recurse", "(I)I"},
                  {func, "call_forest", "(i)"}, {func, "import_loop", "()"}, {func, "spin_after_import", "()"}],
                 Exports).

describe_knows_every_kind_and_type_test() ->
    {ok, #{imports := Imports, exports := Exports}} = hb_wasm64:describe(hb_support:start("imports")),
    ?assertEqual([{func, "env", Name, Signature}
                  || {Name, Signature} <- [{"add", "(ii)i"}, {"wide", "(I)I"}, {"single", "(f)f"}, {"double", "(F)F"},
                                           {"vec", "(v)v"}, {"none", "()"}, {"pair", "(i)iI"}, {"extern", "(e)e"},
                                           {"callback", "(i)i"}, {"log", "(ii)"}]],
                 Imports),
    Expected = [{memory, "memory", []}, {global, "total", []}, {table, "__indirect_function_table", []},
                {func, "call_pair", "(i)iI"}, {func, "call_extern", "(e)e"}],
    [?assert(lists:member(Export, Exports), Export) || Export <- Expected],
    {ok, #{exports := More}} = hb_wasm64:describe(hb_support:start("numbers")),
    Expected2 = [{func, "id_funcref", "(u)u"}, {func, "mixed", "(iIfF)IFif"}, {global, "counter", []}],
    [?assert(lists:member(Export, More), Export) || Export <- Expected2],
    {ok, #{exports := Last}} = hb_wasm64:describe(hb_support:start("exceptions")),
    ?assert(lists:keymember("failure", 2, [E || {tag, _, _} = E <- Last])).

%% What the host adds to an image is nobody's business.
describe_shows_nothing_that_is_not_in_the_module_test() ->
    {ok, #{exports := Exports}} = hb_wasm64:describe(hb_support:start("tables")),
    ?assertEqual(["call", "clear", "copy", "fill", "first", "get", "get2", "grow", "grow2", "second", "set", "set2",
                  "size", "size2"],
                 lists:sort([element(2, Export) || Export <- Exports])).

describe_tells_the_image_and_the_memory_test() ->
    Image = hb_support:guest("memory64"),
    {ok, H} = hb_wasm64:start(Image),
    {ok, #{image := Hash, mode := wasm, memory := 65536, status := idle}} = hb_wasm64:describe(H),
    ?assertEqual(crypto:hash(sha256, Image), Hash),
    {ok, [1]} = hb_wasm64:call(H, "grow", [2]),
    ?assertMatch({ok, #{memory := 196608}}, hb_wasm64:describe(H)),
    ?assertMatch({ok, #{memory := 0}}, hb_wasm64:describe(hb_support:start("numbers"))).

%% And it waits for nobody.
describe_tells_what_the_instance_is_doing_test() ->
    Loop = hb_support:start("loop"),
    {ok, Spin} = hb_wasm64:call_async(Loop, "spin", [], #{}),
    Status = fun() -> {ok, #{status := S}} = hb_wasm64:describe(Loop), S end,
    ?assertEqual(true, hb_support:wait_until(fun() -> Status() =:= running end)),
    ok = hb_wasm64:cancel(Spin),
    {ok, Ref} = hb_wasm64:call_async(Loop, "spin_after_import", [], #{}),
    receive {hb_wasm64, Ref, {import, _, _}} -> ok after 60_000 -> error(no_import) end,
    ?assertEqual(suspended, Status()),
    ok = hb_wasm64:cancel(Ref).

%% Callers

%% The C driver gave answers to the wrong caller, and let the others hang.
a_hundred_callers_get_each_their_own_answer_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        Numbers = hb_support:start("numbers"),
        Test = self(),
        Add = fun(S, #{args := [A, B]}, _) -> {ok, [A + B], S} end,
        Work = fun(N) ->
            [begin
                 Sum = N * 1000 + I,
                 {ok, [Sum]} = hb_wasm64:call(Numbers, "add_i64", [N * 1000, I]),
                 {ok, [Sum], N} = hb_wasm64:call(H, "call_add", [N * 1000, I], Add, N, #{})
             end || I <- lists:seq(1, 50)],
            Test ! {right, N}
        end,
        [spawn_link(fun() -> Work(N) end) || N <- lists:seq(1, 100)],
        [receive {right, N} -> ok after 60_000 -> error({no_answer, N}) end || N <- lists:seq(1, 100)],
        ?assertEqual([], hb_support:flush())
    end}.

calls_are_served_in_the_order_in_which_they_came_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        {Ref, IRef} = pending(H),
        Test = self(),
        [begin
             Pid = spawn_link(fun() ->
                 {ok, [Turn]} = hb_wasm64:call(H, "add_to_global", [1]),
                 Test ! {turn, N, Turn}
             end),
             %% It stands in line.
             true = hb_support:wait_until(fun() -> waiting(Pid) end)
         end || N <- lists:seq(1, 20)],
        ok = hb_wasm64:respond(IRef, {ok, []}),
        Turns = [receive {turn, N, Turn} -> Turn after 60_000 -> error({no_turn, N}) end || N <- lists:seq(1, 20)],
        ?assertEqual(lists:seq(1, 20), Turns),
        done(Ref)
    end}.

%% The C driver's read stole the result of the call.
reads_and_writes_wait_for_the_call_in_progress_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        Test = self(),
        Read = fun(S, #{instance := I, args := [At]}, _) ->
            Pids = [spawn_link(fun() -> Test ! {Tag, Fun()} end)
                    || {Tag, Fun} <- [{read, fun() -> hb_wasm64:read(H, At, 4) end},
                                      {write, fun() -> hb_wasm64:write(H, At, <<7:32/little>>) end},
                                      {string, fun() -> hb_wasm64:read_string(H, 64) end}]],
            [true = hb_support:wait_until(fun() -> waiting(Pid) end) || Pid <- Pids],
            receive {T, R} when is_atom(T), R =/= turn -> error({did_not_wait, T, R}) after 50 -> ok end,
            ok = hb_wasm64:write(I, At, <<22:32/little>>),
            {ok, [0], S}
        end,
        %% 22 is what the guest sees, and not the 7 of the one who waits.
        ?assertEqual({ok, [22], s}, hb_wasm64:call(H, "mem_then_import", [21], Read, s, #{})),
        [?assertEqual({Tag, Result}, receive {Tag, R} -> {Tag, R} after 60_000 -> {Tag, nothing} end)
         || {Tag, Result} <- [{read, {ok, <<22:32/little>>}}, {write, ok}, {string, {ok, <<"Hello, host!">>}}]],
        ?assertEqual({ok, <<7:32/little>>}, hb_wasm64:read(H, 512, 4))
    end}.

many_processes_start_one_image_at_the_same_time_test() ->
    Image = hb_support:fresh(hb_support:guest("crunch")),
    Test = self(),
    [spawn_link(fun() ->
         {ok, H} = hb_wasm64:start(Image),
         Test ! {N, hb_wasm64:call(H, "fib", [N])}
     end) || N <- lists:seq(1, 20)],
    Fibs = [receive {N, {ok, [F]}} -> F after 60_000 -> error({no_answer, N}) end || N <- lists:seq(1, 20)],
    Fib = fun F(N) when N < 2 -> N; F(N) -> F(N - 1) + F(N - 2) end,
    ?assertEqual([Fib(N) || N <- lists:seq(1, 20)], Fibs).

instances_of_one_image_share_nothing_test() ->
    Image = hb_support:guest("imports"),
    {ok, A} = hb_wasm64:start(Image),
    {ok, B} = hb_wasm64:start(Image),
    {ok, [5]} = hb_wasm64:call(A, "add_to_global", [5]),
    ok = hb_wasm64:write(A, 64, <<"Jello">>),
    ?assertEqual({ok, [1]}, hb_wasm64:call(B, "add_to_global", [1])),
    ?assertEqual({ok, <<"Hello, host!">>}, hb_wasm64:read_string(B, 64)),
    {ok, C} = hb_wasm64:start(Image),
    ?assertEqual({ok, <<"Hello, host!">>}, hb_wasm64:read_string(C, 64)).

%% Dead callers

%% Seen from the next caller: the instance is free within 10 ms.
a_killed_caller_frees_the_instance_test_() ->
    frees(fun(H) -> hb_wasm64:call(H, "spin", []) end).

a_caller_killed_in_an_endless_forest_of_calls_frees_the_instance_test_() ->
    frees(fun(H) -> hb_wasm64:call(H, "call_forest", [60]) end).

%% The C driver was stuck, with this instance or with every new one.
a_caller_killed_during_an_import_frees_the_instance_test_() ->
    frees(fun(H) -> hb_wasm64:call(H, "import_loop", [], fun(_, _, _) -> timer:sleep(infinity) end, s, #{}) end).

a_caller_killed_between_imports_frees_the_instance_test_() ->
    frees(fun(H) -> hb_wasm64:call(H, "import_loop", [], fun(S, _, _) -> {ok, [], S} end, s, #{}) end).

%% The nested call goes, and with it the outer one, whose import it was.
a_caller_killed_during_a_nested_call_frees_the_instance_test_() ->
    Nested = fun(_, #{instance := I}, _) -> hb_wasm64:call(I, "spin", []) end,
    Deeper = fun(S, #{instance := I}, _) -> hb_wasm64:call(I, "import_loop", [], Nested, S, #{}) end,
    [frees(fun(H) -> hb_wasm64:call(H, "import_loop", [], Import, s, #{}) end) || Import <- [Nested, Deeper]].

%% Twenty times, as the caller may be anywhere when it is killed: on a normal
%% scheduler, on a dirty one, between two slices. Each time the next caller is
%% answered, and half the time at least without having waited, unless the machine
%% does other things.
frees(Call) ->
    {timeout, 600, fun() ->
        H = hb_support:start("loop"),
        Round = fun() ->
            Times = [begin
                Pid = spawn(fun() -> Call(H) end),
                timer:sleep(10 + N rem 3),
                exit(Pid, kill),
                {Micros, Result} = hb_support:micros(fun() -> hb_wasm64:call(H, "count", [3], #{timeout => 60_000}) end),
                ?assertEqual({N, {ok, [3]}}, {N, Result}),
                Micros
            end || N <- lists:seq(1, 20)],
            hb_support:median(Times) < 100_000 orelse Times
        end,
        ?assertEqual(true, hb_support:best_of(5, Round))
    end}.

%% One who holds the scope makes a nested call and dies: the import is still
%% pending, and its owner answers as if nothing had been.
a_nested_caller_that_dies_leaves_the_import_pending_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        Fun = fun(N, #{instance := I}, _) ->
            Pid = spawn(fun() -> hb_wasm64:call(I, "spin", []) end),
            timer:sleep(20),
            hb_support:gone(Pid),
            {ok, [3]} = hb_wasm64:call(I, "count", [3]),
            case N of
                3 -> {error, enough, N};
                _ -> {ok, [], N + 1}
            end
        end,
        ?assertEqual({error, {import_failed, enough}, 3}, hb_wasm64:call(H, "import_loop", [], Fun, 0, #{})),
        ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3]))
    end}.

%% The other way round: the call around it is gone, and with it what is nested.
a_nested_call_of_another_process_is_cancelled_with_the_outer_one_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        Test = self(),
        Fun = fun(_, #{instance := I}, _) ->
            spawn_link(fun() ->
                process_flag(trap_exit, true),
                Test ! nests,
                Test ! {nested, hb_wasm64:call(I, "spin", [])}
            end),
            timer:sleep(infinity)
        end,
        Pid = spawn(fun() -> hb_wasm64:call(H, "import_loop", [], Fun, s, #{}) end),
        receive nests -> timer:sleep(50) end,
        exit(Pid, kill),
        ?assertEqual({error, cancelled}, receive {nested, Result} -> Result after 60_000 -> nothing end),
        ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3]))
    end}.

%% Those who stood in line and died are passed over.
queued_calls_of_dead_processes_are_dropped_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        {Ref, IRef} = pending(H),
        Pids = [spawn(fun() -> hb_wasm64:call(H, "add_to_global", [1 bsl N]) end) || N <- lists:seq(0, 9)],
        [true = hb_support:wait_until(fun() -> waiting(Pid) end) || Pid <- Pids],
        [hb_support:gone(Pid) || Pid <- Pids],
        ok = hb_wasm64:respond(IRef, {ok, []}),
        ?assertEqual({ok, [0]}, hb_wasm64:call(H, "add_to_global", [0])),
        done(Ref)
    end}.

%% Timeouts and fuel

a_timeout_ends_an_endless_guest_in_time_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        Good = fun(S, _, _) -> {ok, [], S} end,
        Calls = [
            fun() -> hb_wasm64:call(H, "spin", [], #{timeout => 50}) end,
            fun() -> hb_wasm64:call(H, "call_forest", [60], #{timeout => 50}) end,
            fun() -> hb_wasm64:call(H, "import_loop", [], #{timeout => 50}) end,
            fun() -> drop(s, hb_wasm64:call(H, "import_loop", [], Good, s, #{timeout => 50})) end,
            fun() -> drop(s, hb_wasm64:call(H, "spin_after_import", [], Good, s, #{timeout => 50})) end
        ],
        InTime = fun(Call) ->
            {Micros, Result} = hb_support:micros(Call),
            ?assertEqual({error, timeout}, Result),
            ?assert(Micros >= 49_000),
            ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3])),
            Micros =< 100_000 orelse {Micros, us}
        end,
        [?assertEqual(true, hb_support:best_of(20, fun() -> InTime(Call) end)) || Call <- Calls],
        ?assertEqual([], hb_support:flush())
    end}.

drop(State, {error, Reason, State}) -> {error, Reason}.

a_call_that_ends_in_time_is_left_alone_test() ->
    H = hb_support:start("loop"),
    ?assertEqual({ok, [1000]}, hb_wasm64:call(H, "count", [1000], #{timeout => 60_000})),
    timer:sleep(20),
    ?assertEqual([], hb_support:flush()).

%% Waiting in line is a part of the call.
a_timeout_counts_while_others_have_their_turn_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        {ok, Ref} = hb_wasm64:call_async(H, "spin", [], #{}),
        true = hb_support:wait_until(fun() -> {ok, #{status := S}} = hb_wasm64:describe(H), S =:= running end),
        InTime = fun() ->
            {Micros, Result} = hb_support:micros(fun() -> hb_wasm64:call(H, "count", [3], #{timeout => 50}) end),
            ?assertEqual({error, timeout}, Result),
            ?assert(Micros >= 49_000),
            Micros < 1_000_000 orelse {Micros, us}
        end,
        ?assertEqual(true, hb_support:best_of(5, InTime)),
        ok = hb_wasm64:cancel(Ref),
        ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3])),
        ?assertEqual([], hb_support:flush())
    end}.

a_timeout_of_nothing_is_a_timeout_test() ->
    H = hb_support:start("loop"),
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "spin", [], #{timeout => 0})),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3])).

%% The nested call's time is its own; the outer call goes on.
a_timeout_in_a_nested_call_ends_that_call_only_test() ->
    H = hb_support:start("loop"),
    Fun = fun(_, #{instance := I}, _) -> {error, enough, hb_wasm64:call(I, "spin", [], #{timeout => 20})} end,
    ?assertEqual({error, {import_failed, enough}, {error, timeout}}, hb_wasm64:call(H, "import_loop", [], Fun, s, #{})).

%% The same fuel buys the same work on every instance, every time.
fuel_runs_out_at_the_same_instruction_each_time_test_() ->
    {timeout, 300, fun() ->
        Enough = fun(H, Fuel) ->
            case hb_wasm64:call(H, "count", [1000], #{fuel => Fuel}) of
                {ok, [1000]} -> true;
                {error, {limit, fuel}} -> false
            end
        end,
        H = hb_support:start("loop"),
        Least = least(0, 1_000_000, fun(Fuel) -> Enough(H, Fuel) end),
        ?assert(Least > 1000),
        Other = hb_support:start("loop"),
        [?assertEqual({false, true}, {Enough(I, Least - 1), Enough(I, Least)}) || I <- [H, Other, H, Other]],
        %% Slices do not change it: this takes many of them.
        Run = fun(I) ->
            Count = fun(N, _, _) -> {ok, [], N + 1} end,
            {error, {limit, fuel}, N} = hb_wasm64:call(I, "import_loop", [], Count, 0, #{fuel => 100_000}),
            N
        end,
        N = Run(H),
        ?assert(N > 1000),
        ?assertEqual([N, N, N], [Run(Other), Run(H), Run(Other)])
    end}.

least(No, Yes, Enough) when Yes - No > 1 ->
    Middle = (Yes + No) div 2,
    case Enough(Middle) of
        true -> least(No, Middle, Enough);
        false -> least(Middle, Yes, Enough)
    end;
least(_, Yes, _) ->
    Yes.

an_instance_without_fuel_is_usable_test() ->
    H = hb_support:start("loop"),
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "spin", [], #{fuel => 1_000_000})),
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "spin", [], #{fuel => 0})),
    %% What was left over or lacking is no matter of the next call.
    ?assertEqual({ok, [100_000]}, hb_wasm64:call(H, "count", [100_000])),
    ?assertEqual({ok, [100_000]}, hb_wasm64:call(H, "count", [100_000], #{fuel => infinity})),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3], #{fuel => 1 bsl 62})).

%% Support

%% A call that waits for its import, and the end of it.
pending(H) ->
    {ok, Ref} = hb_wasm64:call_async(H, "call_none", [], #{}),
    receive {hb_wasm64, Ref, {import, IRef, _}} -> {Ref, IRef}
    after 60_000 -> error(no_import)
    end.

done(Ref) ->
    receive {hb_wasm64, Ref, {done, Result}} -> ?assertEqual({ok, []}, Result)
    after 60_000 -> error(not_done)
    end.

%% The process waits for a message.
waiting(Pid) -> process_info(Pid, status) =:= {status, waiting}.
