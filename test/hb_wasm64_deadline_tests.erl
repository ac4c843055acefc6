%% Deadlines: every operation has one that it can be given, and inherits that of the call in whose import function it is made.
-module(hb_wasm64_deadline_tests).

-include_lib("eunit/include/eunit.hrl").

%% Long enough that no load of the machine makes an operation miss it that does not wait, in milliseconds.
-define(PATIENCE, 20_000).

%% Another instance is busy for as long as the test lasts.
an_operation_in_an_import_function_ends_with_the_outer_call_test_() ->
    {timeout, 300, fun() ->
        Busy = hb_support:start("loop"),
        Spinner = spinner(Busy),
        H = hb_support:start("imports"),
        [begin
             Import = fun(_, #{func := "add"}, _) -> {ok, [1], Operation(Busy, #{})} end,
             ?assertEqual({Name, {error, timeout, {error, timeout}}}, {Name, call_add(H, Import, 100)})
         end || {Name, Operation} <- waiting_operations()],
        ok = hb_support:gone(Spinner)
    end}.

an_operation_ends_by_the_timeout_that_it_is_given_test_() ->
    {timeout, 300, fun() ->
        Busy = hb_support:start("loop"),
        Spinner = spinner(Busy),
        [begin
             {Micros, Result} = hb_support:micros(fun() -> Operation(Busy, #{timeout => 50}) end),
             ?assertEqual({Name, {error, timeout}}, {Name, Result}),
             ?assert(Micros < ?PATIENCE * 1000, {Name, Micros}),
             ?assertEqual({Name, {error, timeout}}, {Name, Operation(Busy, #{timeout => 0})})
         end || {Name, Operation} <- waiting_operations()],
        %% Nobody waits any more, and no message comes late.
        ok = hb_support:gone(Spinner),
        ?assertEqual({ok, [3]}, hb_wasm64:call(Busy, "count", [3])),
        ?assertEqual([], hb_support:flush())
    end}.

%% The names of the C driver have no options: they inherit.
the_drop_in_modules_inherit_the_deadline_test_() ->
    {timeout, 600, fun() ->
        Busy = hb_support:start("loop"),
        Spinner = spinner(Busy),
        H = hb_support:start("imports"),
        [begin
             Import = fun(_, #{func := "add"}, _) -> {ok, [1], Operation()} end,
             ?assertMatch({error, timeout, {error, timeout}}, call_add(H, Import, 100))
         end || Operation <- [
             fun() -> hb_beamr:call(Busy, "count", [1]) end,
             fun() -> hb_beamr:serialize(Busy) end,
             fun() -> hb_beamr:deserialize(Busy, <<>>) end,
             fun() -> hb_beamr_io:size(Busy) end,
             fun() -> hb_beamr_io:read(Busy, 0, 1) end,
             fun() -> hb_beamr_io:write(Busy, 0, <<1>>) end,
             fun() -> hb_beamr_io:read_string(Busy, 0) end
         ]],
        ok = hb_support:gone(Spinner)
    end}.

%% The time of a nested call is that of its outer call, if its own is longer.
the_earliest_deadline_counts_test_() ->
    {timeout, 300, fun() ->
        Busy = hb_support:start("loop"),
        Spinner = spinner(Busy),
        H = hb_support:start("imports"),
        Import = fun(_, _, _) -> {ok, [1], hb_wasm64:memory_size(Busy, #{timeout => infinity})} end,
        ?assertMatch({error, timeout, {error, timeout}}, call_add(H, Import, 50)),
        Own = fun(_, _, _) -> {ok, [1], hb_wasm64:memory_size(Busy, #{timeout => 50})} end,
        ?assertMatch({ok, [1], {error, timeout}},
                     hb_wasm64:call(H, "call_add", [1, 2], Own, none, #{timeout => ?PATIENCE})),
        %% The deadline ends with the call, also where the import function raises.
        Raise = fun(_, _, _) -> throw(ball) end,
        {error, {import_failed, _}, none} = call_add(H, Raise, 1000),
        timer:sleep(1000),
        ?assertMatch({ok, _}, hb_wasm64:memory_size(H)),
        ok = hb_support:gone(Spinner)
    end}.

%% All dirty schedulers are busy with something else until long after the deadline: what waits for one of them looks at its
%% deadline when it begins at last.
a_step_that_begins_after_its_deadline_is_not_done_test_() ->
    {timeout, 300, fun() ->
        ?assertEqual(true, hb_support:best_of(5, fun steps_after_their_deadlines/0))
    end}.

steps_after_their_deadlines() ->
    H = hb_support:start("memory"),
    Large = large(),
    {ok, Before} = hb_wasm64:read_memory(H),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    Bytes = (1 bsl 20) + 1,
    Operations = [
        {call, fun() -> hb_wasm64:call(Large, "size", [], #{timeout => 50}) end},
        {read_memory, fun() -> hb_wasm64:read_memory(H, #{timeout => 50}) end},
        {read, fun() -> hb_wasm64:read(Large, 0, Bytes, #{timeout => 50}) end},
        {write, fun() -> hb_wasm64:write(Large, 0, binary:copy(<<1>>, Bytes), #{timeout => 50}) end},
        {write_memory, fun() -> hb_wasm64:write_memory(H, <<1, 2, 3>>, #{timeout => 50}) end},
        {grow, fun() -> hb_wasm64:grow(H, byte_size(Before) + 1, #{timeout => 50}) end},
        {describe, fun() -> hb_wasm64:describe(H, #{timeout => 50}) end},
        {output, fun() -> hb_wasm64:output(H, #{timeout => 50}) end},
        {snapshot, fun() -> hb_wasm64:snapshot(H, #{timeout => 50}) end},
        {restore, fun() -> hb_wasm64:restore(H, Snapshot, #{timeout => 50}) end},
        {merge, fun() -> hb_wasm64:merge(Snapshot, #{timeout => 50}) end},
        {fork, fun() -> hb_wasm64:fork(H, #{timeout => 50}) end},
        {read_state, fun() -> hb_wasm64:read_state(H, #{timeout => 50}) end},
        {write_state, fun() -> hb_wasm64:write_state(H, <<>>, none, #{timeout => 50}) end}
    ],
    case beside_busy_schedulers([Operation || {_, Operation} <- Operations]) of
        too_late ->
            too_late;
        Results ->
            [?assertEqual({Name, {error, timeout}}, {Name, Result}) || {{Name, _}, Result} <- lists:zip(Operations, Results)],
            ?assertEqual({ok, Before}, hb_wasm64:read_memory(H)),
            ?assertEqual({ok, <<0>>}, hb_wasm64:read(Large, 0, 1)),
            ?assertEqual([], hb_support:flush()),
            true
    end.

%% The guest has not begun: it is not cut short.
a_call_that_only_waited_for_a_scheduler_stops_nothing_test_() ->
    {timeout, 300, fun() ->
        Outcome = hb_support:best_of(5, fun() ->
            Large = large(),
            Call = fun() -> hb_wasm64:call(Large, "size", [], #{timeout => 50, on_timeout => stop}) end,
            case beside_busy_schedulers([Call]) of
                too_late ->
                    too_late;
                Results ->
                    ?assertEqual([{error, timeout}], Results),
                    ?assertEqual({ok, idle}, hb_wasm64:status(Large)),
                    ?assertMatch({ok, [_]}, hb_wasm64:call(Large, "size", [])),
                    true
            end
        end),
        ?assertEqual(true, Outcome)
    end}.

%% A call whose import function is called before its time is up.
call_add(H, Import, Millis) ->
    hb_support:reached(Millis, fun(Timeout) ->
        Call = fun() -> hb_wasm64:call(H, "call_add", [1, 2], Import, none, #{timeout => Timeout}) end,
        {Micros, Result} = hb_support:micros(Call),
        ?assert(Micros < (Timeout + ?PATIENCE) * 1000, Micros),
        case Result of
            {error, timeout, none} -> not_reached;
            _ -> Result
        end
    end).

%% What waits for the turn of an instance; the options are the timeout alone.
waiting_operations() ->
    Image = hb_support:guest("loop"),
    {ok, Fresh} = hb_wasm64:start(Image),
    {ok, Snapshot} = hb_wasm64:snapshot(Fresh),
    [
        {call, fun(H, O) -> hb_wasm64:call(H, "count", [1], O) end},
        {memory_size, fun(H, O) -> hb_wasm64:memory_size(H, O) end},
        {output, fun(H, O) -> hb_wasm64:output(H, O) end},
        {read, fun(H, O) -> hb_wasm64:read(H, 0, 1, O) end},
        {read_large, fun(H, O) -> hb_wasm64:read(H, 0, 1 bsl 21, O) end},
        {read_nowhere, fun(H, O) -> hb_wasm64:read(H, -1, 1, O) end},
        {write, fun(H, O) -> hb_wasm64:write(H, 0, <<1>>, O) end},
        {write_large, fun(H, O) -> hb_wasm64:write(H, 0, <<0:(8 bsl 21)>>, O) end},
        {write_nowhere, fun(H, O) -> hb_wasm64:write(H, -1, <<1>>, O) end},
        {read_string, fun(H, O) -> hb_wasm64:read_string(H, 0, O) end},
        {read_memory, fun(H, O) -> hb_wasm64:read_memory(H, O) end},
        {write_memory, fun(H, O) -> hb_wasm64:write_memory(H, <<>>, O) end},
        {grow, fun(H, O) -> hb_wasm64:grow(H, 0, O) end},
        {snapshot, fun(H, O) -> hb_wasm64:snapshot(H, O) end},
        {restore, fun(H, O) -> hb_wasm64:restore(H, Snapshot, O) end},
        {fork, fun(H, O) -> hb_wasm64:fork(H, O) end},
        {read_state, fun(H, O) -> hb_wasm64:read_state(H, O) end},
        {write_state, fun(H, O) -> hb_wasm64:write_state(H, <<>>, none, O) end},
        {migrate, fun(H, O) -> hb_wasm64:migrate(H, 'nobody@nowhere', O) end}
    ].

spinner(H) ->
    Spinner = spawn(fun() -> hb_wasm64:call(H, "spin", []) end),
    true = hb_support:wait_until(fun() -> hb_wasm64:status(H) =:= {ok, running} end),
    Spinner.

%% An instance of which nothing runs on a normal scheduler.
large() ->
    H = hb_support:start("memory"),
    {ok, [_]} = hb_wasm64:call(H, "grow", [511]),
    H.

%% Runs each of Funs in a process, while every dirty CPU scheduler does something else for far longer than a timeout of 50 ms.
%% `too_late' where one of them may have been free before such a timeout was over.
beside_busy_schedulers(Funs) ->
    Test = self(),
    Busy = [spawn_monitor(fun() -> Test ! {busy, self()}, erts_debug:dirty_cpu(wait, 1500), exit({free, now_millis()}) end)
        || _ <- lists:seq(1, erlang:system_info(dirty_cpu_schedulers_online))],
    [receive {busy, Pid} -> ok end || {Pid, _} <- Busy],
    timer:sleep(200),
    Timed = fun(Fun) -> Began = now_millis(), {Began, Fun()} end,
    Results = results([spawn_monitor(fun() -> exit({result, Timed(Fun)}) end) || Fun <- Funs]),
    Free = [receive {'DOWN', Monitor, process, Pid, {free, Millis}} -> Millis end || {Pid, Monitor} <- Busy],
    case lists:max([Began || {Began, _} <- Results]) + 200 < lists:min(Free) of
        true -> [Result || {_, Result} <- Results];
        false -> too_late
    end.

now_millis() -> erlang:monotonic_time(millisecond).

results(Processes) ->
    [receive {'DOWN', Monitor, process, Pid, {result, Result}} -> Result end || {Pid, Monitor} <- Processes].
