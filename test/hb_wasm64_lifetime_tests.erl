%% The end of an instance: stopped, dropped, or of another node.
-module(hb_wasm64_lifetime_tests).

-include_lib("eunit/include/eunit.hrl").

%% Stopping

stop_is_idempotent_test() ->
    H = hb_support:start("numbers"),
    ?assertEqual([ok, ok, ok], [hb_wasm64:stop(H) || _ <- [1, 2, 3]]).

%% A call after stop hung for ever.
a_stopped_instance_says_so_to_everything_test() ->
    H = hb_support:start("memory"),
    ok = hb_wasm64:stop(H),
    [?assertEqual({Name, {error, stopped}}, {Name, Answer}) || {Name, Answer} <- answers(H)].

stop_ends_the_call_in_progress_test_() ->
    {timeout, 300, fun() ->
        Good = fun(S, _, _) -> {ok, [], S} end,
        Calls = [
            {[running], fun(H) -> hb_wasm64:call(H, "spin", []) end},
            {[running], fun(H) -> hb_wasm64:call(H, "import_loop", []) end},
            {[running, suspended], fun(H) ->
                {error, Reason, s} = hb_wasm64:call(H, "import_loop", [], Good, s, #{}),
                {error, Reason}
            end},
            {[suspended], fun(H) ->
                {ok, Ref} = hb_wasm64:call_async(H, "import_loop", [], #{}),
                receive {hb_wasm64, Ref, {import, _, _}} -> ok end,
                receive {hb_wasm64, Ref, {done, Result}} -> Result end
            end}
        ],
        [begin
             H = hb_support:start("loop"),
             Test = self(),
             spawn_link(fun() -> Test ! {result, Call(H)} end),
             IsThere = fun() -> {ok, Status} = hb_wasm64:status(H), lists:member(Status, There) end,
             ?assert(hb_support:wait_until(IsThere)),
             %% In its first slice or in a later one.
             timer:sleep(Millis),
             ?assertEqual(ok, hb_wasm64:stop(H)),
             ?assertEqual({error, stopped}, receive {result, R} -> R after 60_000 -> nothing end)
         end || {There, Call} <- Calls, Millis <- [0, 20]]
    end}.

%% Whenever it comes: also between a step of the call and the moment in which its process begins to wait.
stop_ends_an_asynchronous_call_at_any_moment_test_() ->
    {timeout, 600, fun() ->
        Image = hb_support:guest("loop"),
        Handler = spawn_link(fun Answer() ->
            receive {hb_wasm64, _, {import, Import, _}} -> _ = hb_wasm64:respond(Import, {ok, []}), Answer() end
        end),
        Spin = fun Spin(0) -> ok; Spin(N) -> Spin(N - 1) end,
        [begin
             {ok, H} = hb_wasm64:start(Image),
             {ok, Ref} = hb_wasm64:call_async(H, "import_loop", [], #{handler => Handler}),
             Spin(rand:uniform(20_000)),
             ok = hb_wasm64:stop(H),
             ?assertEqual({Try, {done, {error, stopped}}},
                          {Try, receive {hb_wasm64, Ref, Done} -> Done after 60_000 -> nothing end})
         end || Try <- lists:seq(1, 20_000)],
        unlink(Handler),
        hb_support:gone(Handler)
    end}.

%% Everybody who stands in line hears of it.
stop_answers_those_who_wait_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("loop"),
        Test = self(),
        Ask = fun(Job) -> spawn_link(fun() -> Test ! {result, Job()} end) end,
        _ = Ask(fun() -> hb_wasm64:call(H, "spin", []) end),
        ?assert(hb_support:wait_until(fun() -> hb_wasm64:status(H) =:= {ok, running} end)),
        Jobs = [fun() -> hb_wasm64:read(H, 0, 1) end | [fun() -> hb_wasm64:call(H, "count", [3]) end || _ <- lists:seq(1, 20)]],
        Waiting = [Ask(Job) || Job <- Jobs],
        [?assert(hb_support:wait_until(fun() -> process_info(Pid, status) =:= {status, waiting} end)) || Pid <- Waiting],
        ok = hb_wasm64:stop(H),
        [?assertEqual({error, stopped}, receive {result, R} -> R after 60_000 -> nothing end) || _ <- [spin | Jobs]]
    end}.

%% From within an import: its own call ends.
an_import_function_may_stop_the_instance_test() ->
    H = hb_support:start("imports"),
    Fun = fun(S, #{instance := I}, _) -> ok = hb_wasm64:stop(I), {ok, [3], S} end,
    ?assertEqual({error, stopped, s}, hb_wasm64:call(H, "call_add", [1, 2], Fun, s, #{})),
    ?assertEqual({error, stopped}, hb_wasm64:call(H, 0, [5])),
    ?assertEqual([], hb_support:flush()).

many_may_stop_at_the_same_time_test_() ->
    {timeout, 300, fun() ->
        [begin
             H = hb_support:start("loop"),
             Test = self(),
             spawn_link(fun() -> Test ! {call, hb_wasm64:call(H, "spin", [])} end),
             [spawn_link(fun() -> Test ! {stop, hb_wasm64:stop(H)} end) || _ <- lists:seq(1, 10)],
             [?assertEqual(ok, receive {stop, R} -> R after 60_000 -> nothing end) || _ <- lists:seq(1, 10)],
             ?assertEqual({error, stopped}, receive {call, R} -> R after 60_000 -> nothing end)
         end || _ <- lists:seq(1, 20)]
    end}.

%% Dropping

%% The C driver kept a process for each, for ever, and 1.1 MB.
dropped_instances_are_collected_test_() ->
    {timeout, 600, fun() ->
        Image = hb_support:guest("imports"),
        Cycle = fun() ->
            {ok, H} = hb_wasm64:start(Image),
            {ok, [3]} = hb_wasm64:call(H, "add_to_global", [3])
        end,
        flat(Cycle, 2_000, 8_000)
    end}.

%% In the middle of a call, with frames on its stack.
instances_dropped_during_an_import_are_collected_test_() ->
    {timeout, 600, fun() ->
        Image = hb_support:guest("imports"),
        Cycle = fun() ->
            hb_support:in_process(fun() ->
                {ok, H} = hb_wasm64:start(Image),
                {ok, Ref} = hb_wasm64:call_async(H, "call_add", [1, 2], #{}),
                receive {hb_wasm64, Ref, {import, _, _}} -> ok end
            end)
        end,
        flat(Cycle, 1_000, 2_000)
    end}.

stopped_instances_give_their_memory_back_test_() ->
    {timeout, 600, fun() ->
        Image = hb_support:guest("memory64"),
        Cycle = fun() ->
            {ok, H} = hb_wasm64:start(Image),
            %% 4 MB, each page of it touched.
            {ok, [1]} = hb_wasm64:call(H, "grow", [64]),
            {ok, []} = hb_wasm64:call(H, "fill", [0, 1, 4_000_000]),
            ok = hb_wasm64:stop(H)
        end,
        flat(Cycle, 100, 400)
    end}.

%% What the C driver leaked with each call, import and read.
calls_imports_and_reads_leak_nothing_test_() ->
    {timeout, 600, fun() ->
        H = hb_support:start("imports"),
        Fun = fun(S, #{instance := I}, _) -> {ok, _} = hb_wasm64:read(I, 0, 4096), {ok, [0], S} end,
        Cycle = fun() ->
            {ok, _} = hb_wasm64:call(H, "add_to_global", [1]),
            {ok, _, s} = hb_wasm64:call(H, "call_many", [10], Fun, s, #{}),
            {error, _, s} = hb_wasm64:call(H, "call_many", [10], fun(_, _, _) -> {error, no} end, s, #{}),
            {error, _} = hb_wasm64:call(H, "peek", [-1])
        end,
        flat(Cycle, 2_000, 20_000)
    end}.

%% Less than 50 MB more after More cycles than after the first ones. What has
%% been dropped is taken apart a little later.
flat(Cycle, First, More) ->
    ok = hb_support:in_process(fun() -> repeat(First, Cycle) end),
    timer:sleep(500),
    {Before, Processes} = {hb_support:rss(), erlang:system_info(process_count)},
    ok = hb_support:in_process(fun() -> repeat(More, Cycle) end),
    Growth = fun() ->
        erlang:garbage_collect(),
        hb_support:rss() - Before
    end,
    ?assert(hb_support:wait_until(fun() -> Growth() < 50_000_000 end), Growth()),
    ?assert(erlang:system_info(process_count) =< Processes + 5).

repeat(0, _) -> ok;
repeat(N, Cycle) ->
    Cycle(),
    %% References die with the garbage.
    N rem 100 =:= 0 andalso erlang:garbage_collect(),
    repeat(N - 1, Cycle).

%% A thousand at a time: each reserves address space, not memory.
a_thousand_instances_live_side_by_side_test_() ->
    {timeout, 300, fun() ->
        Image = hb_support:guest("imports"),
        Handles = [element(2, {ok, _} = hb_wasm64:start(Image)) || _ <- lists:seq(1, 1000)],
        [?assertEqual({ok, [N]}, hb_wasm64:call(H, "add_to_global", [N])) || {N, H} <- lists:enumerate(Handles)],
        [?assertEqual({ok, [N + 1]}, hb_wasm64:call(H, "add_to_global", [1])) || {N, H} <- lists:enumerate(Handles)],
        [ok = hb_wasm64:stop(H) || H <- Handles]
    end}.

%% Sixteen gigabytes of address space for each: there is an end to it. In a VM
%% of its own, which must live on.
an_instance_too_many_is_refused_and_harms_no_other_test_() ->
    {timeout, 300, fun() ->
        Peer = hb_support:peer(),
        Image = hb_support:guest("big_memory"),
        {Started, Reason, Usable, Again} = hb_support:on_peer(Peer, fun() ->
            {Handles, Reason} = start_all(Image, []),
            Usable = hb_wasm64:memory_size(hd(Handles)),
            [ok = hb_wasm64:stop(H) || H <- Handles],
            Again = hb_support:wait_until(fun() -> element(1, hb_wasm64:start(Image)) =:= ok end),
            {length(Handles), Reason, Usable, Again}
        end),
        ok = peer:stop(Peer),
        ?assertEqual({limit, instances}, Reason),
        ?assert(Started > 100),
        ?assertEqual({{ok, 1 bsl 34}, true}, {Usable, Again})
    end}.

start_all(Image, Handles) ->
    case hb_wasm64:start(Image) of
        {ok, H} -> start_all(Image, [H | Handles]);
        {error, Reason} -> {Handles, Reason}
    end.

%% The last copy counts, wherever it lies.
a_handle_in_a_message_keeps_the_instance_test() ->
    Test = self(),
    spawn_link(fun() -> Test ! {handle, hb_support:start("numbers")} end),
    timer:sleep(20),
    erlang:garbage_collect(),
    H = receive {handle, Handle} -> Handle after 60_000 -> error(nothing) end,
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "add_i32", [1, 2])).

%% Not ours

%% From another node, and back again.
a_handle_of_another_node_is_not_local_test_() ->
    {timeout, 300, fun() ->
        Peer = hb_support:peer(#{name => peer:random_name()}),
        Image = hb_support:guest("numbers"),
        H = hb_support:on_peer(Peer, fun() ->
            {ok, Handle} = hb_wasm64:start(Image),
            persistent_term:put(handle, Handle),
            Handle
        end),
        ?assert(is_reference(H)),
        ?assertNotEqual(node(), node(H)),
        [?assertEqual({Name, {error, not_local}}, {Name, Answer}) || {Name, Answer} <- answers(H)],
        ?assertEqual({error, not_local}, hb_wasm64:stop(H)),
        ?assertEqual({ok, [3]}, hb_support:on_peer(Peer, fun() -> hb_wasm64:call(H, "add_i32", [1, 2]) end)),
        ok = peer:stop(Peer),
        ?assertEqual({error, not_local}, hb_wasm64:call(H, "add_i32", [1, 2]))
    end}.

a_reference_that_is_no_handle_is_not_local_test() ->
    [begin
         [?assertEqual({Name, {error, not_local}}, {Name, Answer}) || {Name, Answer} <- answers(Ref)],
         ?assertEqual({error, not_local}, hb_wasm64:stop(Ref))
     end || Ref <- [make_ref(), monitor(process, self()), atomics:new(1, [])]].

%% A handle sent as bytes is a handle while the instance lives, and says so afterwards.
a_handle_made_of_bytes_is_good_while_the_instance_lives_test() ->
    H = hb_support:start("numbers"),
    Bytes = term_to_binary(H),
    ?assertEqual({ok, [3]}, hb_wasm64:call(binary_to_term(Bytes), "add_i32", [1, 2])),
    Orphan = hb_support:in_process(fun() -> term_to_binary(hb_support:start("numbers")) end),
    %% Who asks has a handle again, until its memory is collected.
    Ask = fun() -> hb_support:in_process(fun() -> hb_wasm64:call(binary_to_term(Orphan), "nop", []) end) end,
    ?assert(hb_support:wait_until(fun() -> Ask() =:= {error, not_local} end)).

what_is_no_reference_at_all_raises_test() ->
    [[?assertMatch({Name, error, R} when R =:= badarg orelse R =:= function_clause, raised(Name, Ask))
      || {Name, Ask} <- questions(Bad)]
     || Bad <- [foo, self(), 1, <<>>, "", {}, #{}, undefined]].

raised(Name, Ask) ->
    try Ask() of
        Result -> {Name, returned, Result}
    catch
        Class:Reason -> {Name, Class, Reason}
    end.

answers(H) -> [{Name, Ask()} || {Name, Ask} <- questions(H), Name =/= stop].

%% Every function of the API that takes a handle. The state of call/6 is left
%% out of its answer.
questions(H) ->
    Import = fun(S, _, _) -> {ok, [], S} end,
    [
        {stop, fun() -> hb_wasm64:stop(H) end},
        {describe, fun() -> hb_wasm64:describe(H) end},
        {call3, fun() -> hb_wasm64:call(H, "size", []) end},
        {call3_unknown, fun() -> hb_wasm64:call(H, "nosuch", []) end},
        {call3_bad_args, fun() -> hb_wasm64:call(H, "size", [1]) end},
        {call3_index, fun() -> hb_wasm64:call(H, 0, []) end},
        {call4, fun() -> hb_wasm64:call(H, "size", [], #{}) end},
        {call6, fun() ->
            case hb_wasm64:call(H, "size", [], Import, s, #{}) of
                {error, Reason, s} -> {error, Reason};
                Other -> Other
            end
        end},
        {call_async, fun() ->
            case hb_wasm64:call_async(H, "size", [], #{}) of
                {ok, Ref} -> receive {hb_wasm64, Ref, {done, Result}} -> Result after 60_000 -> nothing end;
                Error -> Error
            end
        end},
        {memory_size, fun() -> hb_wasm64:memory_size(H) end},
        {read, fun() -> hb_wasm64:read(H, 0, 1) end},
        {read_nothing, fun() -> hb_wasm64:read(H, 0, 0) end},
        {read_beyond, fun() -> hb_wasm64:read(H, 1 bsl 40, 1) end},
        {read_string, fun() -> hb_wasm64:read_string(H, 0) end},
        {write, fun() -> hb_wasm64:write(H, 0, <<1>>) end},
        {write_nothing, fun() -> hb_wasm64:write(H, 0, <<>>) end},
        {write_string, fun() -> hb_wasm64:write_string(H, "x") end},
        {malloc, fun() -> hb_wasm64:malloc(H, 8) end},
        {free, fun() -> hb_wasm64:free(H, 8) end}
    ].
