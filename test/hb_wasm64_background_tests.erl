%% Native work that takes long: snapshots, restores, copies of whole memories, merges. It leaves the schedulers to
%% guests, ends when nobody wants it any more, and a host without room for it is an error.
-module(hb_wasm64_background_tests).

-export([stop_meanwhile/1]).

-include_lib("eunit/include/eunit.hrl").

-define(MIB, (1 bsl 20)).

%% Guests go on meanwhile

%% One more of them than there are dirty schedulers, over and over. The call takes some thirty slices: on the same threads
%% each would wait for one of them to end.
a_call_does_not_wait_for_long_work_test_() ->
    {timeout, 600, fun() ->
        Large = [large(64) || _ <- lists:seq(0, erlang:system_info(dirty_cpu_schedulers_online))],
        Small = hb_support:start("loop"),
        {ok, _} = hb_wasm64:snapshot(hd(Large)),
        Work = [
            fun(H) -> {ok, _} = hb_wasm64:snapshot(H, #{compress => true}) end,
            fun(H) -> {ok, Memory, _} = hb_wasm64:read_state(H), ok = hb_wasm64:write_state(H, Memory, none) end
        ],
        [
            begin
                Rounds = counters:new(1, []),
                Workers = [spawn_monitor(fun() -> over_and_over(fun() -> Do(H) end, Rounds) end) || H <- Large],
                timer:sleep(20),
                Outcome = hb_support:best_of(5, fun() ->
                    Before = counters:get(Rounds, 1),
                    ?assertEqual({ok, [5_000_000]}, hb_wasm64:call(Small, "count", [5_000_000], #{timeout => 60_000})),
                    Meanwhile = counters:get(Rounds, 1) - Before,
                    Meanwhile < 15 orelse Meanwhile
                end),
                [ok = hb_support:gone(Pid) || {Pid, _} <- Workers],
                [receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(killed, Reason) end || {Pid, Monitor} <- Workers],
                ?assertEqual(true, Outcome)
            end
         || Do <- Work
        ]
    end}.

over_and_over(Do, Rounds) ->
    _ = Do(),
    ok = counters:add(Rounds, 1, 1),
    over_and_over(Do, Rounds).

%% Nobody has written to these 16 GiB each: looking at them all takes many seconds.
what_was_never_written_is_not_looked_at_test_() ->
    {timeout, 600, fun() ->
        Large = [hb_support:start("big_memory") || _ <- lists:seq(0, erlang:system_info(dirty_cpu_schedulers_online))],
        Before = hb_support:rss(),
        Work = [
            fun(H) -> hb_wasm64:write_memory(H, <<>>) end, fun(H) -> hb_beamr:deserialize(H, <<1, 2, 3>>) end,
            fun(H) -> element(1, hb_wasm64:snapshot(H)) end, fun(H) -> element(1, hb_wasm64:fork(H)) end,
            fun(H) -> hb_wasm64:write_state(H, <<>>, none) end
        ],
        [
            begin
                Outcome = hb_support:best_of(5, fun() ->
                    {Micros, Results} = hb_support:micros(fun() -> at_once([fun() -> Do(H) end || H <- Large]) end),
                    ?assertEqual([ok || _ <- Large], Results),
                    Micros < 5_000_000 orelse Micros
                end),
                ?assertEqual(true, Outcome)
            end
         || Do <- Work
        ],
        %% Nor has any of it become resident.
        ?assert(hb_support:rss() - Before < 200 * ?MIB),
        {ok, Bytes} = hb_wasm64:memory_size(hd(Large)),
        ?assertEqual(16 bsl 30, Bytes)
    end}.

at_once(Funs) ->
    Test = self(),
    Pids = [spawn_link(fun() -> Test ! {self(), Fun()} end) || Fun <- Funs],
    [receive {Pid, Result} -> Result end || Pid <- Pids].

%% Wherever something was written before: by data segments, by the guest, by callers.
memory_that_is_written_as_a_whole_has_no_traces_of_what_was_there_test_() ->
    {timeout, 300, fun() ->
        [
            begin
                H = hb_support:start("memory64"),
                {ok, _} = hb_wasm64:call(H, "grow", [Pages - 1]),
                [
                    begin
                        [ok = hb_wasm64:write(H, rand:uniform(Size - 100), rand:bytes(100)) || _ <- lists:seq(1, 20)],
                        New = rand:bytes(min(Length, Size)),
                        ?assertEqual(ok, hb_wasm64:write_memory(H, New)),
                        {ok, Memory} = hb_wasm64:read_memory(H),
                        ?assert(Memory =:= <<New/binary, 0:((Size - byte_size(New)) * 8)>>)
                    end
                 || Length <- [0, 1, 60, 4096, 5000, 70_000, Size - 1, Size]
                ],
                ?assertMatch({error, {out_of_bounds, _}}, hb_wasm64:read(H, Size, 1))
            end
         || Pages <- [2, 96], Size <- [Pages * 65536]
        ]
    end}.

%% What nobody wants any more

%% As it was, or as in the snapshot, and never something in between. Whoever is told that it is done, for them it is.
a_restore_that_is_cut_short_changes_nothing_test_() ->
    {timeout, 600, fun() ->
        H = large(32),
        {ok, Old} = hb_wasm64:snapshot(H, #{compress => true}),
        Other = large(32),
        {ok, _} = hb_wasm64:call(Other, "grow", [10]),
        {ok, New} = hb_wasm64:snapshot(Other, #{compress => true}),
        Ends = [
            begin
                ok = hb_wasm64:restore(H, Old),
                Answer = hb_wasm64:restore(H, New, #{timeout => Timeout}),
                ?assertEqual({ok, case Answer of ok -> New; {error, timeout} -> Old end}, hb_wasm64:snapshot(H, #{compress => true})),
                Answer
            end
         || Timeout <- [0, 1, 2, 5, 10, 20, 40, 60_000]
        ],
        ?assertEqual({{error, timeout}, ok}, {hd(Ends), lists:last(Ends)}),
        [
            begin
                ok = hb_wasm64:restore(H, Old),
                {Pid, _} = spawn_monitor(fun() -> hb_wasm64:restore(H, New) end),
                timer:sleep(Millis),
                ok = hb_support:gone(Pid),
                {ok, Now} = hb_wasm64:snapshot(H, #{compress => true}),
                ?assert(lists:member(Now, [Old, New]))
            end
         || Millis <- [0, 1, 3, 10, 30]
        ],
        [flush_down() || _ <- lists:seq(1, 5)],
        ?assertEqual([], hb_support:flush())
    end}.

flush_down() -> receive {'DOWN', _, process, _, _} -> ok after 60_000 -> error(nothing) end.

%% Not only where it waits for its turn: here others keep the threads busy for a while.
time_that_is_up_ends_long_work_test_() ->
    {timeout, 600, fun() ->
        H = large(64),
        {ok, Whole} = hb_wasm64:snapshot(H),
        Count = 10 + 2 * erlang:system_info(logical_processors),
        Rounds = counters:new(1, []),
        Others = [spawn(fun() -> over_and_over(fun() -> {ok, _} = hb_wasm64:merge([Whole]) end, Rounds) end) || _ <- lists:seq(1, Count)],
        ?assert(hb_support:wait_until(fun() -> counters:get(Rounds, 1) > Count end, 60_000)),
        [?assertEqual({Name, {error, timeout}}, {Name, Do(#{timeout => 10})}) || {Name, Do} <- [
            {snapshot, fun(Options) -> hb_wasm64:snapshot(H, Options) end},
            {compressed, fun(Options) -> hb_wasm64:snapshot(H, Options#{compress => true}) end},
            {delta, fun(Options) -> hb_wasm64:snapshot(H, Options#{base => [Whole]}) end},
            {restore, fun(Options) -> hb_wasm64:restore(H, Whole, Options) end},
            {fork, fun(Options) -> hb_wasm64:fork(H, Options) end},
            {merge, fun(Options) -> hb_wasm64:merge([Whole], Options) end}
        ]],
        [ok = hb_support:gone(Pid) || Pid <- Others],
        %% The next one finds the instance free, and nothing has changed.
        ?assertEqual({ok, idle}, hb_wasm64:status(H)),
        ?assert({ok, Whole} =:= hb_wasm64:snapshot(H)),
        ?assertEqual([], hb_support:flush())
    end}.

the_death_of_who_asked_ends_long_work_test_() ->
    {timeout, 600, fun() ->
        H = large(64),
        {ok, Whole} = hb_wasm64:snapshot(H),
        Work = [
            fun() -> hb_wasm64:snapshot(H, #{compress => true}) end, fun() -> hb_wasm64:fork(H) end, fun() -> hb_wasm64:read_memory(H) end,
            fun() -> hb_wasm64:read_state(H) end, fun() -> hb_wasm64:merge([Whole]) end, fun() -> hb_wasm64:read(H, 0, 60 * ?MIB) end
        ],
        [
            begin
                Pids = [spawn(Do) || _ <- lists:seq(1, 10)],
                timer:sleep(Millis),
                [ok = hb_support:gone(Pid) || Pid <- Pids],
                ?assert({ok, Whole} =:= hb_wasm64:snapshot(H, #{timeout => 60_000}))
            end
         || Do <- Work, Millis <- [0, 5]
        ]
    end}.

%% Whenever it comes: before a process has its place in line, in line, or in the middle of its step.
processes_that_are_killed_at_any_time_leave_the_instance_to_others_test_() ->
    {timeout, 600, fun() ->
        H = hb_support:start("memory64"),
        {ok, _} = hb_wasm64:call(H, "grow", [100]),
        [
            begin
                Pids = [spawn(fun() -> hb_wasm64:read(H, 0, 2 * ?MIB) end) || _ <- lists:seq(1, 10)],
                _ = [ok || _ <- lists:seq(1, rand:uniform(20_000))],
                [exit(Pid, kill) || Pid <- Pids],
                ?assertEqual({Round, {ok, <<0>>}}, {Round, hb_wasm64:read(H, 0, 1, #{timeout => 60_000})})
            end
         || Round <- lists:seq(1, 1500)
        ]
    end}.

a_stopped_instance_ends_long_work_test_() ->
    {timeout, 300, fun() ->
        [
            begin
                H = large(64),
                Test = self(),
                Pid = spawn_link(fun() -> Test ! {self(), Do(H)} end),
                timer:sleep(10),
                ok = hb_wasm64:stop(H),
                ?assertEqual({error, stopped}, receive {Pid, Answer} -> Answer after 60_000 -> nothing end)
            end
         || Do <- [fun(H) -> hb_wasm64:snapshot(H, #{compress => true}) end, fun(H) -> hb_wasm64:write_memory(H, <<>>), hb_wasm64:read_state(H) end]
        ]
    end}.

%% Others see all of a write or nothing of it, whatever becomes of the one who asked for it.
a_write_that_nobody_waits_for_is_whole_test_() ->
    {timeout, 300, fun() ->
        Size = 32 * ?MIB,
        H = large(32),
        {ok, Old} = hb_wasm64:read_memory(H),
        [
            begin
                New = binary:copy(<<Byte>>, Size),
                ok = hb_wasm64:write_memory(H, Old),
                Pid = spawn(fun() -> hb_wasm64:write_memory(H, New) end),
                timer:sleep(Millis),
                ok = hb_support:gone(Pid),
                {ok, Now} = hb_wasm64:read(H, 0, Size),
                ?assert(Now =:= New orelse Now =:= binary:part(Old, 0, Size))
            end
         || {Byte, Millis} <- [{1, 0}, {2, 1}, {3, 2}, {4, 4}, {5, 8}]
        ]
    end}.

a_node_can_stop_meanwhile_test_() ->
    {timeout, 600, fun() ->
        Ebin = [filename:dirname(code:which(Module)) || Module <- [hb_wasm64, ?MODULE]],
        [
            begin
                Args = ["-noinput", "-pa" | Ebin] ++ ["-eval", "hb_wasm64_background_tests:stop_meanwhile(" ++ Stop ++ ")."],
                Port = open_port({spawn_executable, os:find_executable("erl")}, [{args, Args}, exit_status, stderr_to_stdout, binary]),
                ?assertEqual({0, <<"begun\n">>}, output(Port, <<>>))
            end
         || Stop <- ["fun init:stop/0", "fun erlang:halt/0"]
        ]
    end}.

output(Port, Seen) ->
    receive
        {Port, {data, Data}} -> output(Port, <<Seen/binary, Data/binary>>);
        {Port, {exit_status, Status}} -> {Status, Seen}
    after 60_000 -> {nothing, Seen}
    end.

%% Called in another VM.
stop_meanwhile(Stop) ->
    Large = [large(64) || _ <- [1, 2, 3]],
    {ok, _} = hb_wasm64:snapshot(hb_support:start("memory64")),
    [spawn(fun() -> hb_wasm64:snapshot(H, #{compress => true}) end) || H <- Large],
    timer:sleep(20),
    io:put_chars("begun\n"),
    Stop().

%% A host without room

%% The limit on address space leaves less than any of this takes. What an ordinary allocation cannot have ends a VM.
a_host_without_room_is_an_error_and_the_vm_lives_test_() ->
    {timeout, 600, fun() ->
        Peer = hb_support:peer(),
        {Short, Long} = hb_support:on_peer(Peer, fun() ->
            H = hb_support:start("memory64"),
            {ok, _} = hb_wasm64:call(H, "grow", [3199]),
            {ok, []} = hb_wasm64:call(H, "fill", [65536, 7, 200_000_000]),
            {ok, Compressed} = hb_wasm64:snapshot(H, #{compress => true}),
            Random = large(200),
            Work = [
                fun() -> hb_wasm64:snapshot(H) end, fun() -> hb_wasm64:read_memory(H) end, fun() -> hb_wasm64:read_state(H) end,
                fun() -> hb_wasm64:merge(Compressed) end, fun() -> hb_wasm64:read(H, 0, 150 * ?MIB) end,
                fun() -> hb_wasm64:snapshot(Random, #{compress => true}) end
            ],
            ok = limit_address_space(64 * ?MIB),
            Refused = [dev_wasm64_support:brief(Do()) || Do <- Work],
            ok = no_limit(),
            _ = [garbage_collect(Pid) || Pid <- processes()],
            {ok, Whole} = hb_wasm64:snapshot(H),
            {Refused, [element(1, Do()) || Do <- Work] ++ [{ok, Whole} =:= hb_wasm64:merge(Compressed)]}
        end),
        ok = peer:stop(Peer),
        [?assertMatch({error, {host, _}}, Answer) || Answer <- Short],
        ?assertEqual([ok, ok, ok, ok, ok, ok, true], Long)
    end}.

%% Of this VM, from what it has now.
limit_address_space(More) ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kilobytes]} = re:run(Status, "VmSize:\\s+(\\d+)", [{capture, [1], list}]),
    prlimit(integer_to_list(list_to_integer(Kilobytes) * 1024 + More)).

no_limit() -> prlimit("unlimited").

prlimit(Soft) ->
    "" = os:cmd("prlimit --pid " ++ os:getpid() ++ " --as=" ++ Soft ++ ":unlimited"),
    ok.

%% Of a few KiB: each page is told by 29 bytes.
a_snapshot_of_many_pages_says_no_more_than_it_holds_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("memory64"),
        {ok, _} = hb_wasm64:call(H, "grow", [1599]),
        {ok, []} = hb_wasm64:call(H, "fill", [65536, 7, 100_000_000]),
        {ok, Compressed} = hb_wasm64:snapshot(H, #{compress => true}),
        #{rest := <<1:32/little, Size:64/little, Rest/binary>>} = Parts = hb_snapshot:parts(Compressed),
        Claims = fun(Bytes) -> hb_snapshot:join(Parts#{rest => <<1:32/little, Bytes:64/little, Rest/binary>>}) end,
        ?assert(Claims(Size) =:= Compressed),
        ?assertMatch({error, {invalid_snapshot, #{code := damaged}}}, hb_wasm64:merge(Claims(Size + 65536))),
        ?assertMatch({error, {invalid_snapshot, #{code := malformed}}}, hb_wasm64:merge(Claims(65536))),
        [?assertMatch({error, _}, hb_wasm64:Fun(Claims(1 bsl 60))) || Fun <- [merge]]
    end}.

%% As many names as make a description longer than a scheduler may take for it.
a_long_description_is_whole_test_() ->
    {timeout, 300, fun() ->
        Count = 20_000,
        Name = fun(N) -> iolist_to_binary(io_lib:format("f~5..0b", [N])) end,
        Exports = [[<<6, (Name(N))/binary>>, 0, 0] || N <- lists:seq(1, Count)],
        Image = iolist_to_binary([
            <<"\0asm", 1:32/little>>, section(1, [1, 16#60, 0, 0]), section(3, [1, 0]), section(7, [leb128(Count), Exports]), section(10, [1, 2, 0, 11])
        ]),
        {ok, H} = hb_wasm64:start(Image),
        {ok, #{exports := Found, status := idle}} = hb_wasm64:describe(H),
        ?assertEqual([{func, binary_to_list(Name(N)), "()"} || N <- lists:seq(1, Count)], Found),
        %% Within the time of the call around it.
        Import = fun(none, _, _) -> {ok, [1], element(1, hb_wasm64:describe(H))} end,
        ?assertMatch({ok, [_], ok}, hb_wasm64:call(hb_state_support:start(), "ask", [5], Import, none, #{timeout => 60_000})),
        ok = hb_wasm64:stop(H),
        ?assertEqual({error, stopped}, hb_wasm64:describe(H))
    end}.

names_have_a_bound_together_test_() ->
    {timeout, 300, fun() ->
        Name = fun(N) -> <<N:32, (binary:copy(<<"n">>, 8000))/binary>> end,
        Exports = [[leb128(8004), Name(16#20202020 + N), 0, 0] || N <- lists:seq(0, 8000), N band 255 < 16#5f, N bsr 8 < 16#5f],
        Image = iolist_to_binary([
            <<"\0asm", 1:32/little>>, section(1, [1, 16#60, 0, 0]), section(3, [1, 0]), section(7, [leb128(length(Exports)), Exports]),
            section(10, [1, 2, 0, 11])
        ]),
        ?assertEqual(
            {error, {unsupported, <<"the names of imports and exports have more than 16777216 bytes together">>}}, hb_wasm64:start(Image)
        )
    end}.

section(Id, Contents) ->
    Bytes = iolist_to_binary(Contents),
    [Id, leb128(byte_size(Bytes)), Bytes].

leb128(N) when N < 128 -> [N];
leb128(N) -> [128 bor (N band 127) | leb128(N bsr 7)].

%% An instance with so many MiB that cannot be compressed. Copies of a piece lie further apart than any window.
large(Mebibytes) ->
    H = hb_support:start("memory64"),
    {ok, _} = hb_wasm64:call(H, "grow", [16 * (Mebibytes + 1)]),
    Piece = rand:bytes(8 * ?MIB),
    [ok = hb_wasm64:write(H, 65536 + N * 8 * ?MIB, Piece) || N <- lists:seq(0, Mebibytes div 8 - 1)],
    H.
