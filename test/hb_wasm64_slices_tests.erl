%% Guests that run for long share the node with everything else. The bounds are
%% requirements; each is to be met in one of five rounds, as the machine may
%% have other things to do.
-module(hb_wasm64_slices_tests).

-include_lib("eunit/include/eunit.hrl").

-define(ROUNDS, 5).

%% Whoever else wants a normal scheduler gets one, though there are more guests
%% than schedulers: what those threads use of the processors is little, compared
%% with the time that goes by and with what the guests use.
endless_guests_leave_normal_schedulers_alone_test_() ->
    Test = {timeout, 600, fun() ->
        Pids = [spawn(fun() -> hb_wasm64:call(hb_support:start("loop"), "spin", []) end) || _ <- lists:seq(1, 8)],
        timer:sleep(100),
        Outcome = hb_support:best_of(?ROUNDS, fun() ->
            {Micros, {Normal, Dirty}} = hb_support:micros(fun() -> used_while(fun() -> timer:sleep(1000) end) end),
            Normal < 0.15 * min(Micros, Dirty) andalso Dirty > 100_000
                orelse #{time => Micros, normal => Normal, dirty => Dirty}
        end),
        [hb_support:gone(Pid) || Pid <- Pids],
        ?assertEqual(true, Outcome)
    end},
    case filelib:is_regular("/proc/self/schedstat") of
        true -> Test;
        false -> hb_support:not_run(Test, fun used/0, "there is no /proc/self/schedstat")
    end.

%% What the threads of the normal schedulers, and those of the dirty CPU
%% schedulers, use of the processors while Fun runs, in microseconds.
used_while(Fun) ->
    Before = used(),
    Fun(),
    list_to_tuple([After - Used || {Used, After} <- lists:zip(Before, used())]).

used() ->
    {ok, Threads} = file:list_dir("/proc/self/task"),
    Kinds = [
        %% As OTP 25 names them, and later ones.
        {schedulers, "^([0-9]+_scheduler|erts_sched_[0-9]+)$"},
        {dirty_cpu_schedulers, "^([0-9]+_dirty_cpu_.*|erts_dcpus_[0-9]+)$"}
    ],
    [begin
         Used = [nanoseconds(Thread) || Thread <- Threads, re:run(name(Thread), Names) =/= nomatch],
         ?assertEqual({Kind, erlang:system_info(Kind)}, {Kind, length(Used)}),
         lists:sum(Used) div 1000
     end || {Kind, Names} <- Kinds].

%% Of a thread that has ended meanwhile there is none; those of schedulers stay.
name(Thread) ->
    case file:read_file(["/proc/self/task/", Thread, "/comm"]) of
        {ok, Name} -> string:trim(Name);
        {error, _} -> <<>>
    end.

nanoseconds(Thread) ->
    {ok, Schedstat} = file:read_file(["/proc/self/task/", Thread, "/schedstat"]),
    binary_to_integer(hd(binary:split(Schedstat, <<" ">>))).

%% The first slice is one of call/8, all others are of resume/4, which goes to a
%% dirty scheduler each time. Nothing else is called between them.
all_slices_but_the_first_are_on_dirty_schedulers_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        Steps = steps(fun() -> hb_wasm64:call(H, "spin", []) end, 1001),
        Further = lists:append(lists:duplicate(500, [{called, resume}, {dirty, resume}])),
        ?assertEqual([{called, call} | Further], Steps)
    end}.

%% The first N steps of a process that runs Fun: functions of the library that
%% are called, and those that come to a dirty scheduler.
steps(Fun, N) ->
    Pid = spawn(fun() -> receive go -> Fun() end end),
    1 = erlang:trace(Pid, true, [call, running, scheduler_id]),
    _ = erlang:trace_pattern({hb_wasm64_nif, '_', '_'}, true, [global]),
    Pid ! go,
    Steps = [step(Pid) || _ <- lists:seq(1, N)],
    hb_support:gone(Pid),
    _ = erlang:trace_pattern({hb_wasm64_nif, '_', '_'}, false, [global]),
    Delivered = erlang:trace_delivered(Pid),
    receive {trace_delivered, Pid, Delivered} -> ok end,
    _ = hb_support:flush(),
    Steps.

step(Pid) ->
    receive
        {trace, Pid, call, {hb_wasm64_nif, Name, _}, _} -> {called, Name};
        %% All dirty schedulers have this number.
        {trace, Pid, in, {hb_wasm64_nif, Name, _}, 0} -> {dirty, Name};
        {trace, Pid, InOrOut, _, _} when InOrOut =:= in; InOrOut =:= out -> step(Pid)
    after 60_000 -> error(no_step)
    end.

%% The C driver could not be stopped at all.
endless_guests_end_with_their_callers_test_() ->
    {timeout, 300, fun() ->
        Handles = [hb_support:start("loop") || _ <- lists:seq(1, 16)],
        Pids = [spawn(fun() -> hb_wasm64:call(H, "spin", []) end) || H <- Handles],
        timer:sleep(100),
        [hb_support:gone(Pid) || Pid <- Pids],
        ?assert(hb_support:wait_until(fun() -> idle() end)),
        [?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3])) || H <- Handles]
    end}.

%% No scheduler does anything, dirty ones included: the guests have really ended,
%% and nothing polls for them.
idle() ->
    Old = erlang:system_flag(scheduler_wall_time, true),
    Before = lists:sort(erlang:statistics(scheduler_wall_time_all)),
    timer:sleep(100),
    After = lists:sort(erlang:statistics(scheduler_wall_time_all)),
    _ = erlang:system_flag(scheduler_wall_time, Old),
    Loads = [(A1 - A0) / max(1, T1 - T0) || {{I, A0, T0}, {I, A1, T1}} <- lists:zip(Before, After)],
    lists:sum(Loads) < 0.5.

%% Endless guests take turns with each other and with short calls.
short_calls_get_their_turn_beside_endless_guests_test_() ->
    {timeout, 300, fun() ->
        Spinners = [hb_support:start("loop") || _ <- lists:seq(1, 8)],
        Pids = [spawn(fun() -> hb_wasm64:call(H, "spin", []) end) || H <- Spinners],
        timer:sleep(50),
        H = hb_support:start("numbers"),
        Outcome = hb_support:best_of(?ROUNDS, fun() ->
            Calls = [element(1, hb_support:micros(fun() -> {ok, [120.0]} = hb_wasm64:call(H, "fac", [5.0]) end))
                     || _ <- lists:seq(1, 200)],
            %% The longest ones tell of the machine.
            hb_support:percentile(90, Calls) < 200_000 orelse Calls
        end),
        [hb_support:gone(Pid) || Pid <- Pids],
        ?assertEqual(true, Outcome)
    end}.

long_guests_side_by_side_all_come_to_their_end_test_() ->
    {timeout, 300, fun() ->
        Test = self(),
        [spawn_link(fun() -> Test ! {N, hb_wasm64:call(hb_support:start("crunch"), "fib", [27])} end)
         || N <- lists:seq(1, 8)],
        [?assertEqual({ok, [196418]}, receive {N, R} -> R after 60_000 -> nothing end) || N <- lists:seq(1, 8)]
    end}.

%% One instruction that takes long cannot be interrupted. It must not be on a
%% normal scheduler: the processes there would stand still as long as it runs.
one_long_instruction_does_not_block_the_schedulers_test_() ->
    {timeout, 600, fun() ->
        Fill = fun(Size) ->
            H = hb_support:start("memory64"),
            %% From a small memory in one call, filled by another.
            {ok, [1]} = hb_wasm64:call(H, "grow", [Size div 65536 - 1]),
            Load = load_of(fun() -> {ok, []} = hb_wasm64:call(H, "fill", [0, 1, Size]) end),
            ok = hb_wasm64:stop(H),
            Load
        end,
        Outcome = hb_support:best_of(?ROUNDS, fun() -> leaves_schedulers_alone(long(Fill, 1 bsl 30)) end),
        ?assertEqual(true, Outcome)
    end}.

%% The same for the host's own copies.
large_reads_and_writes_do_not_block_the_schedulers_test_() ->
    {timeout, 600, fun() ->
        Copy = fun(Size) ->
            H = hb_support:start("memory64"),
            {ok, [1]} = hb_wasm64:call(H, "grow", [Size div 65536 - 1]),
            Bytes = binary:copy(<<"0123456789abcdef">>, Size div 16),
            Load = load_of(fun() ->
                ok = hb_wasm64:write(H, 0, Bytes),
                {ok, Read} = hb_wasm64:read(H, 0, Size),
                {error, {out_of_bounds, _}} = hb_wasm64:read_string(H, 0, #{max => Size}),
                <<"0123456789abcdef">> = binary:part(Read, Size - 16, 16)
            end),
            ok = hb_wasm64:stop(H),
            erlang:garbage_collect(),
            Load
        end,
        Outcome = hb_support:best_of(?ROUNDS, fun() -> leaves_all_schedulers_alone(long(Copy, 1 bsl 29)) end),
        ?assertEqual(true, Outcome)
    end}.

%% The load of work on Size bytes, or on as many more as take it long enough for
%% the schedulers to show.
long(Work, Size) ->
    case Work(Size) of
        #{time := Time} when Time =< 60_000 -> long(Work, 2 * Size);
        Load -> Load
    end.

%% What Fun costs: its time, the longest tick of a timer beside it, and how long
%% normal and dirty schedulers had something to do, all in microseconds.
load_of(Fun) ->
    Test = self(),
    Old = erlang:system_flag(scheduler_wall_time, true),
    Ticker = spawn_link(fun() -> Test ! {ticks, tick_until_told([])} end),
    Before = lists:sort(erlang:statistics(scheduler_wall_time_all)),
    {Micros, _} = hb_support:micros(Fun),
    After = lists:sort(erlang:statistics(scheduler_wall_time_all)),
    Ticker ! enough,
    Ticks = receive {ticks, T} -> T end,
    _ = erlang:system_flag(scheduler_wall_time, Old),
    Normal = erlang:system_info(schedulers),
    Active = [{Id =< Normal, erlang:convert_time_unit(A1 - A0, native, microsecond)}
              || {{Id, A0, _}, {Id, A1, _}} <- lists:zip(Before, After)],
    #{time => Micros, tick => lists:max(Ticks),
      normal => lists:sum([A || {true, A} <- Active]), dirty => lists:sum([A || {false, A} <- Active])}.

%% How long the system itself keeps a thread waiting beside such a load is not
%% ours to bound: half of it would be too much.
leaves_schedulers_alone(#{time := Time, tick := Tick, normal := Normal, dirty := Dirty} = Load) ->
    Normal < Time div 4 andalso Dirty > Time div 2 andalso Tick < Time div 2 orelse Load.

%% The same of the dirty schedulers, which guests need: such work has threads of its own.
leaves_all_schedulers_alone(#{time := Time, tick := Tick, normal := Normal, dirty := Dirty} = Load) ->
    Normal < Time div 4 andalso Dirty < Time div 4 andalso Tick < Time div 2 orelse Load.

tick_until_told(Ticks) ->
    receive enough -> Ticks
    after 0 -> tick_until_told([tick() | Ticks])
    end.

tick() ->
    {Micros, ok} = hb_support:micros(fun() -> receive after 1 -> ok end end),
    Micros.

%% Nothing beats and nothing polls while no guest runs, also when one waits for
%% an answer.
an_idle_node_is_idle_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        {ok, Ref} = hb_wasm64:call_async(H, "call_none", [], #{}),
        IRef = receive {hb_wasm64, Ref, {import, I, _}} -> I after 60_000 -> error(no_import) end,
        Used = fun() ->
            {ok, Stat} = file:read_file("/proc/self/stat"),
            [_, Fields] = string:split(Stat, ") ", trailing),
            %% User and system time of all threads, in hundredths of a second.
            [binary_to_integer(F) || F <- lists:sublist(string:lexemes(Fields, " "), 12, 2)]
        end,
        Outcome = hb_support:best_of(?ROUNDS, fun() ->
            Before = Used(),
            timer:sleep(1000),
            Hundredths = lists:sum(Used()) - lists:sum(Before),
            Hundredths =< 5 orelse Hundredths
        end),
        ?assertEqual(true, Outcome),
        ok = hb_wasm64:respond(IRef, {ok, []}),
        ?assertEqual({done, {ok, []}}, receive {hb_wasm64, Ref, D} -> D after 60_000 -> nothing end)
    end}.

%% Other calls on the same instance, other instances, imports, kills and stops,
%% all at once, for a while: nobody waits for ever and nothing crashes.
everything_at_once_test_() ->
    {timeout, 600, fun() ->
        Image = hb_support:guest("loop"),
        Imports = hb_support:guest("imports"),
        Shared = [element(2, {ok, _} = hb_wasm64:start(Image)) || _ <- lists:seq(1, 4)],
        Test = self(),
        Until = erlang:monotonic_time(millisecond) + 4_000,
        Work = fun() -> chaos(Until, Shared, Imports) end,
        Pids = [spawn_monitor(fun() -> Work(), Test ! {worked, self()} end) || _ <- lists:seq(1, 30)]
            %% It comes to its end like the others: else the one that it is about to kill would go on.
            ++ [spawn_monitor(fun() -> killer(Until, Shared) end)],
        [receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason)
         after 60_000 -> error({stuck, Pid, process_info(Pid, current_stacktrace)})
         end || {Pid, Monitor} <- Pids],
        _ = hb_support:flush(),
        [?assertEqual({ok, [3]}, hb_wasm64:call(H, "count", [3], #{timeout => 60_000})) || H <- Shared]
    end}.

chaos(Until, Shared, Imports) ->
    case erlang:monotonic_time(millisecond) < Until of
        false ->
            ok;
        true ->
            H = lists:nth(rand:uniform(length(Shared)), Shared),
            _ = chaos_step(rand:uniform(6), H, Imports),
            chaos(Until, Shared, Imports)
    end.

chaos_step(1, H, _) -> {ok, [100]} = hb_wasm64:call(H, "count", [100]);
chaos_step(2, H, _) -> {error, timeout} = hb_wasm64:call(H, "spin", [], #{timeout => 5});
chaos_step(3, H, _) ->
    Nested = fun(N, #{instance := I}, _) ->
        {ok, [5]} = hb_wasm64:call(I, "count", [5]),
        case N of
            3 -> {error, enough, N};
            _ -> {ok, [], N + 1}
        end
    end,
    {error, {import_failed, enough}, 3} = hb_wasm64:call(H, "import_loop", [], Nested, 0, #{});
chaos_step(4, H, _) ->
    {ok, Ref} = hb_wasm64:call_async(H, "import_loop", [], #{}),
    timer:sleep(1),
    ok = hb_wasm64:cancel(Ref),
    [] = hb_support:flush();
chaos_step(5, _, Imports) ->
    {ok, Own} = hb_wasm64:start(Imports),
    {ok, [6], _} = hb_wasm64:call(Own, "call_add", [1, 2], fun(S, _, _) -> {ok, [6], S} end, s, #{}),
    ok = hb_wasm64:stop(Own);
chaos_step(6, H, _) -> {error, {limit, fuel}} = hb_wasm64:call(H, "spin", [], #{fuel => 10_000}).

killer(Until, Shared) ->
    H = lists:nth(rand:uniform(length(Shared)), Shared),
    Pid = spawn(fun() -> hb_wasm64:call(H, "spin", []) end),
    timer:sleep(rand:uniform(5)),
    exit(Pid, kill),
    timer:sleep(5),
    erlang:monotonic_time(millisecond) < Until andalso killer(Until, Shared).
