%% What is cut short while it puts an instance into a state: the instance is as it was, and at once somebody else's.
-module(hb_wasm64_interrupted_tests).

-include_lib("eunit/include/eunit.hrl").

%% Dropping the segments again takes the restore many slices.
a_killed_restore_leaves_the_instance_to_others_test_() ->
    {timeout, 300, fun() ->
        {ok, H} = hb_wasm64:start(image(30_000)),
        {ok, []} = hb_wasm64:call(H, "drop", []),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        ok = hb_wasm64:restore(H, Snapshot),
        [
            begin
                {Pid, Monitor} = spawn_monitor(fun() -> hb_wasm64:restore(H, Snapshot) end),
                timer:sleep(Millis),
                exit(Pid, kill),
                receive {'DOWN', Monitor, process, Pid, _} -> ok end,
                Byte = <<(Millis + 1)>>,
                ?assertEqual({Millis, ok}, {Millis, hb_wasm64:write(H, 0, Byte)}),
                ?assertEqual({Millis, {ok, Byte}}, {Millis, hb_wasm64:read(H, 0, 1)})
            end
         || Millis <- [0, 1, 2, 4, 6, 9, 12, 16, 20]
        ],
        ok = hb_wasm64:restore(H, Snapshot),
        ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(H))
    end}.

a_restore_without_the_time_that_it_takes_changes_nothing_test_() ->
    {timeout, 300, fun() ->
        {ok, H} = hb_wasm64:start(image(45_000)),
        {ok, Fresh} = hb_wasm64:snapshot(H),
        {ok, []} = hb_wasm64:call(H, "drop", []),
        {ok, Dropped} = hb_wasm64:snapshot(H),
        ok = hb_wasm64:restore(H, Fresh),
        [begin
             ?assertEqual({Millis, {error, timeout}}, {Millis, hb_wasm64:restore(H, Dropped, #{timeout => Millis})}),
             ?assert({ok, Fresh} =:= hb_wasm64:snapshot(H))
         end || Millis <- [0, 1, 2]],
        ?assertEqual([], hb_support:flush()),
        ?assertEqual(ok, hb_wasm64:restore(H, Dropped, #{timeout => 60_000})),
        ?assert({ok, Dropped} =:= hb_wasm64:snapshot(H))
    end}.

%% The instance is in the middle of a call, for as long as nobody answers its import.
what_has_to_do_with_state_waits_no_longer_than_it_is_told_test_() ->
    {timeout, 300, fun() ->
        H = hb_state_support:start(),
        Before = hb_state_support:snapshot(H),
        %% Who owes the answer would work within the import.
        Test = self(),
        Handler = spawn_link(fun() ->
            receive {hb_wasm64, _, {import, I, _}} -> Test ! {import, I} end,
            receive after infinity -> ok end
        end),
        {ok, Ref} = hb_wasm64:call_async(H, "ask", [5], #{handler => Handler}),
        Import = receive {import, I} -> I after 60_000 -> error(nothing) end,
        Operations = [
            fun(Options) -> hb_wasm64:snapshot(H, Options) end,
            fun(Options) -> hb_wasm64:snapshot(H, Options#{base => Before}) end,
            fun(Options) -> hb_wasm64:restore(H, Before, Options) end,
            fun(Options) -> hb_wasm64:fork(H, Options) end,
            %% The node is not looked for before.
            fun(Options) -> hb_wasm64:migrate(H, 'nosuch@127.0.0.1', Options) end
        ],
        [begin
             {Micros, Answer} = hb_support:micros(fun() -> Operation(#{timeout => 100}) end),
             ?assertEqual({error, timeout}, Answer),
             ?assert(Micros >= 100_000, Micros),
             ?assert(Micros < 30_000_000, Micros),
             ?assertEqual({error, timeout}, Operation(#{timeout => 0}))
         end || Operation <- Operations],
        %% Nobody stands in line any more, and no message comes too late.
        ok = hb_wasm64:respond(Import, {ok, [1]}),
        ?assertEqual({ok, [3]}, receive {hb_wasm64, Ref, {done, Done}} -> Done after 60_000 -> nothing end),
        ?assertEqual({ok, idle}, hb_wasm64:status(H)),
        ?assertEqual([], hb_support:flush()),
        [?assertMatch({ok, _}, Operation(#{timeout => 60_000})) || Operation <- [
            fun(Options) -> hb_wasm64:snapshot(H, Options) end, fun(Options) -> hb_wasm64:fork(H, Options) end
        ]]
    end}.

a_timeout_of_an_operation_is_checked_test() ->
    H = hb_state_support:start(),
    Snapshot = hb_state_support:snapshot(H),
    Operations = [
        fun(Options) -> hb_wasm64:snapshot(H, Options) end,
        fun(Options) -> hb_wasm64:restore(H, Snapshot, Options) end,
        fun(Options) -> hb_wasm64:fork(H, Options) end,
        fun(Options) -> hb_wasm64:migrate(H, node(), Options) end
    ],
    [?assertEqual({error, {invalid_option, timeout, Timeout}}, Operation(#{timeout => Timeout}))
     || Operation <- Operations, Timeout <- [-1, 1.5, soon, 1 bsl 32]],
    [?assertEqual({error, {invalid_option, options, Options}}, Operation(Options))
     || Operation <- Operations, Options <- [none, [], [{timeout, 1}], 1]],
    ?assert(Snapshot =:= hb_state_support:snapshot(H)).

%% An instance that has been forked keeps its memory to itself until something is done with it.
a_fork_that_is_stopped_unused_gives_its_memory_back_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("memory64"),
        Bytes = 64 bsl 20,
        %% By the guest: no binary of this size is here, which would be given back meanwhile.
        {ok, [1]} = hb_wasm64:call(H, "grow", [Bytes div 65536 - 1]),
        {ok, []} = hb_wasm64:call(H, "fill", [0, 1, Bytes]),
        Before = hb_support:settled_rss(),
        Forks = [begin {ok, Fork} = hb_wasm64:fork(H), Fork end || _ <- [1, 2, 3]],
        %% The host may have put some of it elsewhere meanwhile.
        ?assert(hb_support:rss() > Before + Bytes),
        [ok = hb_wasm64:stop(Fork) || Fork <- Forks],
        ?assertEqual(true, hb_support:flat(Before, Bytes))
    end}.

%% Guest code that runs outside of a call.
a_start_function_has_fuel_of_its_own_test() ->
    Spin = hb_support:guest("start_spin"),
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:start(Spin, #{fuel => 100_000})),
    ?assertEqual({error, timeout}, hb_wasm64:start(Spin, #{timeout => 50})),
    {ok, H} = hb_wasm64:start(hb_support:guest("start_ok"), #{fuel => 100_000}),
    ok = hb_wasm64:stop(H).

%% In the import function of a call no other call takes longer than that one may.
a_call_in_an_import_ends_with_the_time_of_the_outer_one_test() ->
    H = hb_support:start("imports"),
    Loop = hb_support:start("loop"),
    Add = fun(State, #{func := "add"}, _) ->
        {error, timeout} = hb_wasm64:call(Loop, "spin", []),
        {ok, [1], State}
    end,
    {Micros, Result} = hb_support:micros(fun() -> hb_wasm64:call(H, "call_add", [1, 2], Add, s, #{timeout => 100}) end),
    ?assertEqual({error, timeout, s}, Result),
    ?assert(Micros < 30_000_000),
    %% Afterwards it is forgotten.
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(Loop, "spin", [], #{fuel => 100_000_000})).

%% Who only waited has changed nothing.
on_timeout_stop_is_for_guests_that_were_cut_short_test() ->
    H = hb_support:start("loop"),
    Busy = spawn(fun() -> hb_wasm64:call(H, "spin", []) end),
    true = hb_support:wait_until(fun() -> hb_wasm64:status(H) =:= {ok, running} end),
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "count", [1], #{timeout => 50, on_timeout => stop})),
    ?assertMatch({ok, _}, hb_wasm64:status(H)),
    ok = hb_support:gone(Busy),
    Stopped = hb_support:reached(50, fun(Timeout) ->
        ?assertEqual({error, timeout}, hb_wasm64:call(H, "spin", [], #{timeout => Timeout, on_timeout => stop})),
        case hb_wasm64:status(H) of
            %% Its time was up before it had begun.
            {ok, idle} -> not_reached;
            Status -> Status
        end
    end),
    ?assertEqual({error, stopped}, Stopped).

%% Also between the moments in which the step of an operation ends and the death of its process is noticed.
a_process_that_is_killed_at_any_time_frees_the_instance_test_() ->
    {timeout, 600, fun() ->
        {ok, H} = hb_wasm64:start(image(50)),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        Operations = [
            fun() -> hb_wasm64:restore(H, Snapshot) end,
            fun() -> hb_wasm64:fork(H) end,
            fun() -> hb_wasm64:snapshot(H, #{compress => true}) end,
            fun() -> hb_wasm64:read_memory(H) end,
            fun() -> hb_wasm64:grow(H, 0) end
        ],
        [
            begin
                Pids = [spawn(Operation) || Operation <- Operations],
                _ = spend(Round rem 200),
                [exit(Pid, kill) || Pid <- Pids],
                ?assertEqual({Round, {ok, 65536}}, {Round, hb_wasm64:memory_size(H, #{timeout => 60_000})})
            end
         || Round <- lists:seq(1, 1000)
        ]
    end}.

%% Microseconds, without giving the scheduler away.
spend(Micros) -> spend_until(erlang:monotonic_time(microsecond) + Micros).

spend_until(End) -> erlang:monotonic_time(microsecond) >= End orelse spend_until(End).

%% A module with that many passive data segments, a function "drop" that drops them all, and a memory.
image(Segments) ->
    Count = leb(Segments),
    Drops = << <<16#fc, 9, (leb(Index))/binary>> || Index <- lists:seq(0, Segments - 1) >>,
    Body = <<0, Drops/binary, 16#0b>>,
    iolist_to_binary([
        <<"\0asm", 1, 0, 0, 0>>,
        section(1, <<1, 16#60, 0, 0>>),
        section(3, <<1, 0>>),
        section(5, <<1, 0, 1>>),
        section(7, <<2, 4, "drop", 0, 0, 6, "memory", 2, 0>>),
        section(12, Count),
        section(10, <<1, (leb(byte_size(Body)))/binary, Body/binary>>),
        section(11, <<Count/binary, (binary:copy(<<1, 1, "a">>, Segments))/binary>>)
    ]).

section(Id, Contents) -> [Id, leb(byte_size(Contents)), Contents].

leb(N) when N < 128 -> <<N>>;
leb(N) -> <<1:1, (N band 127):7, (leb(N bsr 7))/binary>>.
