%% Instances that move to another node.
-module(hb_wasm64_migrate_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_state_support, [run/2, snapshot/1, hash/1]).
-import(hb_migrate_support, [on_node/2, stop_on/2, changed_instance/0, large_instance/0]).
-import(hb_migrate_support, [start_move/2, result_of/1, stop_halfway/2, resume/1]).

migrate_test_() ->
    hb_migrate_support:on_two_nodes([
        {"the state arrives, and the handle is good there", fun arrives/1},
        {"its bounds go with it", fun bounds/1},
        {"the old one is stopped", fun old_one_is_stopped/1},
        {"who waited is told that it is stopped", fun waiting_callers/1},
        {"a call in progress is waited for", fun waits_for_a_call/1},
        {"an image that is there is not sent again", fun image_is_sent_once/1},
        {"an image that nobody has there is sent", fun unknown_image/1},
        {"it lives there while nobody holds it, and ends with stop", fun lives_until_stopped/1},
        {"the process that keeps it there holds nothing else", fun is_kept_in_little_memory/1},
        {"nobody is left for whom it is kept", fun ends_with_its_holder/1},
        {"it is kept for the process that moves it", fun ends_with_its_mover/1},
        {"it lives on with a process there that has its handle", fun outlives_its_holder/1},
        {"it is kept while somebody may need it", fun is_kept_while_its_holder_may_live/1},
        {"it is kept over upgrades", fun is_kept_over_upgrades/1},
        {"it ends with the application", fun ends_with_the_application/1},
        {"to and fro, twice", fun to_and_fro/1},
        {"within the time that it has", fun in_time/1},
        {"a hundred move at the same time", fun hundred_at_once/1},
        {"one that everybody moves is moved once", fun moved_once/1},
        {"to the node where it is", fun to_itself/1},
        {"64 MB arrive", fun large_state/1}
    ]).

arrives(Other) ->
    H = changed_instance(),
    Snapshot = snapshot(H),
    {ok, Twin} = hb_wasm64:fork(H),
    {ok, New} = hb_wasm64:migrate(H, Other),
    ?assertEqual(Other, node(New)),
    ?assert(on_node(Other, fun() -> snapshot(New) end) =:= Snapshot),
    ?assertEqual(hb_state_support:observe(Twin), on_node(Other, fun() -> hb_state_support:observe(New) end)),
    ?assertEqual({ok, [301]}, erpc:call(Other, hb_wasm64, call, [New, "call", [0, 1]])),
    ?assertEqual({error, not_local}, hb_wasm64:call(New, "call", [0, 1])),
    stop_on(Other, New).

bounds(Other) ->
    Image = hb_support:guest("growth"),
    Grow = fun(H, Name, By) -> hb_wasm64:call(H, Name, [By]) end,
    {ok, H} = hb_wasm64:start(Image, #{memory => 32 * 65536, table => 100}),
    {ok, There} = hb_wasm64:migrate(H, Other),
    ?assertEqual({ok, [1]}, on_node(Other, fun() -> Grow(There, "grow1", 29) end)),
    ?assertEqual({error, {limit, memory}}, on_node(Other, fun() -> Grow(There, "grow3", 1) end)),
    ?assertEqual({error, {limit, table}}, on_node(Other, fun() -> Grow(There, "grow_objects", 100) end)),
    stop_on(Other, There),
    {ok, Free} = hb_wasm64:start(Image),
    {ok, FreeThere} = hb_wasm64:migrate(Free, Other),
    ?assertEqual({ok, [1]}, on_node(Other, fun() -> Grow(FreeThere, "grow1", 29) end)),
    ?assertEqual({ok, [30]}, on_node(Other, fun() -> Grow(FreeThere, "grow1", 1) end)),
    stop_on(Other, FreeThere).

old_one_is_stopped(Other) ->
    H = changed_instance(),
    {ok, New} = hb_wasm64:migrate(H, Other),
    [?assertEqual({error, stopped}, Answer) || Answer <- [
        hb_wasm64:status(H), hb_wasm64:call(H, "sizes", []), hb_wasm64:snapshot(H), hb_wasm64:read(H, 0, 1), hb_wasm64:fork(H),
        hb_wasm64:migrate(H, Other)
    ]],
    ?assertEqual([], hb_support:flush()),
    stop_on(Other, New).

waiting_callers(Other) ->
    H = large_instance(),
    {Mover, Receiver} = stop_halfway(H, Other),
    Test = self(),
    Waiting = [spawn_link(fun() -> Test ! {self(), Ask()} end) || Ask <- [
        fun() -> hb_wasm64:call(H, "size", []) end, fun() -> hb_wasm64:read(H, 0, 1) end, fun() -> hb_wasm64:snapshot(H) end,
        fun() -> hb_wasm64:fork(H) end, fun() -> hb_wasm64:migrate(H, Other) end, fun() -> hb_wasm64:memory_size(H) end
    ]],
    ?assertEqual({error, timeout}, hb_wasm64:call(H, "size", [], #{timeout => 50})),
    [?assert(hb_support:wait_until(fun() -> process_info(Pid, status) =:= {status, waiting} end)) || Pid <- Waiting],
    resume(Receiver),
    {ok, New} = result_of(Mover),
    [?assertEqual({error, stopped}, receive {Pid, Answer} -> Answer after 60_000 -> nothing end) || Pid <- Waiting],
    stop_on(Other, New).

waits_for_a_call(Other) ->
    H = hb_state_support:start(),
    {ok, Ref} = hb_wasm64:call_async(H, "ask", [5], #{}),
    Import = receive {hb_wasm64, Ref, {import, I, _}} -> I after 60_000 -> error(nothing) end,
    Mover = start_move(H, Other),
    ?assert(hb_support:wait_until(fun() -> process_info(Mover, status) =:= {status, waiting} end)),
    ok = hb_wasm64:respond(Import, {ok, [1]}),
    ?assertEqual({done, {ok, [3]}}, receive {hb_wasm64, Ref, Done} -> Done after 60_000 -> nothing end),
    {ok, New} = result_of(Mover),
    ?assertMatch([[2 | _]], on_node(Other, fun() -> run(New, [{"numbers", []}]) end)),
    stop_on(Other, New).

in_time(Other) ->
    H = changed_instance(),
    Snapshot = snapshot(H),
    {ok, New} = hb_wasm64:migrate(H, Other, #{timeout => 60_000}),
    ?assert(on_node(Other, fun() -> snapshot(New) end) =:= Snapshot),
    stop_on(Other, New).

image_is_sent_once(Other) ->
    Image = hb_support:fresh(hb_state_support:image()),
    {ok, First} = hb_wasm64:start(Image),
    {ok, Second} = hb_wasm64:start(Image),
    {New1, Sent1} = sent(First, Other),
    {New2, Sent2} = sent(Second, Other),
    %% Image and snapshot; then the snapshot alone.
    ?assertEqual({2, true}, {length(Sent1), lists:member(Image, Sent1)}),
    ?assertEqual({1, false}, {length(Sent2), lists:member(Image, Sent2)}),
    stop_on(Other, New1),
    stop_on(Other, New2).

%% The new instance, and the binaries that were sent for it.
sent(H, Other) ->
    Test = self(),
    Mover = spawn_link(fun() -> receive go -> Test ! {self(), hb_wasm64:migrate(H, Other)} end end),
    1 = erlang:trace(Mover, true, [send]),
    Mover ! go,
    {ok, New} = result_of(Mover),
    Delivered = erlang:trace_delivered(Mover),
    receive {trace_delivered, Mover, Delivered} -> ok end,
    {New, [Bytes || {trace, Pid, Send, {_, Kind, Bytes}, _} <- hb_support:flush(), Pid =:= Mover, Send =:= send orelse Send =:= send_to_non_existing_process,
                    Kind =:= last orelse Kind =:= piece]}.

unknown_image(Other) ->
    Image = hb_support:fresh(hb_state_support:image()),
    Hash = crypto:hash(sha256, Image),
    ?assertEqual(not_found, erpc:call(Other, hb_wasm64_nif, find_hash, [Hash])),
    {ok, H} = hb_wasm64:start(Image),
    {ok, New} = hb_wasm64:migrate(H, Other),
    ?assertMatch({ok, #{image := Hash}}, erpc:call(Other, hb_wasm64, describe, [New])),
    stop_on(Other, New).

%% The process there that keeps it is the only one, and does nothing until it is told.
lives_until_stopped(Other) ->
    {New, Keeper} = kept(Other, #{}),
    Bytes = term_to_binary(New),
    [?assertEqual({ok, idle}, status(Other, Bytes)) || _ <- lists:seq(1, 5)],
    ?assertEqual([], on_node(Other, fun() ->
        1 = erlang:trace(Keeper, true, [running]),
        timer:sleep(1500),
        1 = erlang:trace(Keeper, false, [running]),
        hb_support:flush()
    end)),
    Monitor = monitor(process, Keeper),
    stop_on(Other, New),
    ?assertEqual(normal, receive {'DOWN', Monitor, process, _, Reason} -> Reason after 60_000 -> still_there end),
    ?assert(hb_support:wait_until(fun() -> status(Other, Bytes) =:= {error, not_local} end)),
    ok.

%% The status of an instance by its handle as bytes, when nobody holds more than that.
status(Other, Bytes) ->
    on_node(Other, fun() -> [erlang:garbage_collect(Pid) || Pid <- processes(), not hibernates(Pid)], ok end),
    erpc:call(Other, fun() -> hb_wasm64:status(binary_to_term(Bytes)) end).

hibernates(Pid) -> process_info(Pid, current_function) =:= {current_function, {erlang, hibernate, 3}}.

%% An instance that has moved, and the process that keeps it.
kept(Other, Options) ->
    Before = on_node(Other, fun hb_migrate_support:receivers/0),
    {ok, New} = hb_wasm64:migrate(hb_state_support:start(), Other, Options),
    [Keeper] = on_node(Other, fun() ->
        [Keeper] = hb_migrate_support:receivers() -- Before,
        true = hb_support:wait_until(fun() -> hibernates(Keeper) end),
        [Keeper]
    end),
    {New, Keeper}.

%% Nobody is left who could use it: it is gone, after the time that the node gives it.
ends_with_its_holder(Other) ->
    [begin
         ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, Time]),
         Holder = spawn(fun() -> receive never -> ok end end),
         {New, Keeper} = kept(Other, #{holder => Holder}),
         Monitor = monitor(process, Keeper),
         Bytes = term_to_binary(New),
         exit(Holder, kill),
         ?assertEqual(normal, receive {'DOWN', Monitor, process, _, Reason} -> Reason after 60_000 -> still_there end),
         ?assert(hb_support:wait_until(fun() -> status(Other, Bytes) =:= {error, not_local} end))
     end || Time <- [0, 300]],
    ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, 60_000]).

%% By default the holder is the process that moves.
ends_with_its_mover(Other) ->
    ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, 0]),
    Test = self(),
    Mover = spawn(fun() -> Test ! {self(), kept(Other, #{})}, receive never -> ok end end),
    {New, Keeper} = receive {Mover, Kept} -> Kept after 60_000 -> error(nothing) end,
    ?assertEqual({ok, idle}, erpc:call(Other, hb_wasm64, status, [New])),
    Monitor = monitor(process, Keeper),
    exit(Mover, kill),
    ?assertEqual(normal, receive {'DOWN', Monitor, process, _, Reason} -> Reason after 60_000 -> still_there end),
    ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, 60_000]).

%% Who has its handle there has the instance.
outlives_its_holder(Other) ->
    ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, 0]),
    Mover = spawn(fun() -> receive never -> ok end end),
    {New, Keeper} = kept(Other, #{holder => Mover}),
    Monitor = monitor(process, Keeper),
    Owner = spawn(Other, fun() -> receive {H, From} -> From ! hb_wasm64:status(H), receive stop -> hb_wasm64:stop(H) end end end),
    Owner ! {New, self()},
    ?assertEqual({ok, idle}, receive Status -> Status after 60_000 -> nothing end),
    exit(Mover, kill),
    ?assertEqual(normal, receive {'DOWN', Monitor, process, _, Reason} -> Reason after 60_000 -> still_there end),
    ?assertEqual({ok, idle}, status(Other, term_to_binary(New))),
    Owner ! stop,
    ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, 60_000]).

%% With `none', and with a connection that is there again when the time of the node is up.
is_kept_while_its_holder_may_live(Other) ->
    ok = hb_support:reached(300, fun(Time) ->
        ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, Time]),
        Mover = spawn(fun() -> receive never -> ok end end),
        Kept = [kept(Other, #{holder => Holder}) || Holder <- [Mover, none]],
        {Micros, true} = hb_support:micros(fun() ->
            true = erlang:disconnect_node(Other),
            net_kernel:connect_node(Other)
        end),
        timer:sleep(Time + 700),
        case Micros < Time * 1000 of
            true ->
                [begin
                     ?assertEqual({ok, idle}, status(Other, term_to_binary(New))),
                     ?assert(erpc:call(Other, erlang, is_process_alive, [Keeper])),
                     stop_on(Other, New)
                 end || {New, Keeper} <- Kept],
                ok;
            false ->
                [stop_on(Other, New) || {New, _} <- Kept],
                not_reached
        end
    end),
    ok = erpc:call(Other, application, set_env, [hb_wasm64, keep_moved, 60_000]).

%% The code of the library is replaced twice.
is_kept_over_upgrades(Other) ->
    {New, _} = kept(Other, #{}),
    Bytes = term_to_binary(New),
    ok = on_node(Other, fun() ->
        [begin
             _ = code:purge(Module),
             {module, Module} = code:load_file(Module)
         end || Module <- [hb_wasm64_migrate, hb_wasm64_group, hb_wasm64_sup, hb_wasm64_log], _ <- [1, 2, 3]],
        ok
    end),
    ?assertEqual({ok, idle}, status(Other, Bytes)),
    stop_on(Other, New).

ends_with_the_application(Other) ->
    {New, _} = kept(Other, #{}),
    Bytes = term_to_binary(New),
    ok = erpc:call(Other, application, stop, [hb_wasm64]),
    ?assert(hb_support:wait_until(fun() -> status(Other, Bytes) =:= {error, not_local} end)),
    ok.

to_and_fro(Other) ->
    Here = node(),
    H = changed_instance(),
    {ok, Twin} = hb_wasm64:fork(H),
    Last = lists:foldl(fun(N, At) ->
        {ok, New} = hb_wasm64:migrate(At, Other),
        _ = run(Twin, [{"mix", [N]}]),
        ?assert(on_node(Other, fun() -> _ = run(New, [{"mix", [N]}]), snapshot(New) end) =:= snapshot(Twin)),
        {ok, Back} = erpc:call(Other, hb_wasm64, migrate, [New, Here]),
        ?assertMatch({error, _}, erpc:call(Other, hb_wasm64, status, [New])),
        ?assertEqual(Here, node(Back)),
        Back
    end, H, [1, 2]),
    ?assertEqual({error, stopped}, hb_wasm64:status(H)),
    ?assert(hash(Twin) =:= hash(Last)),
    ?assertEqual(hb_state_support:observe(Twin), hb_state_support:observe(Last)),
    stop_on(Here, Last).

hundred_at_once(Other) ->
    Instances = [begin H = hb_state_support:start(), _ = run(H, [{"set_i64", [N]}]), {N, H} end || N <- lists:seq(1, 100)],
    Movers = [{N, start_move(H, Other)} || {N, H} <- Instances],
    Moved = [{N, element(2, {ok, _} = result_of(Mover))} || {N, Mover} <- Movers],
    Seen = on_node(Other, fun() -> [{N, run(New, [{"numbers", []}])} || {N, New} <- Moved] end),
    ?assertEqual([], [N || {N, [[_, I64 | _]]} <- Seen, I64 =/= N]),
    [stop_on(Other, New) || {_, New} <- Moved],
    ok.

moved_once(Other) ->
    H = large_instance(),
    Results = [result_of(Mover) || Mover <- [start_move(H, Other) || _ <- lists:seq(1, 10)]],
    ?assertMatch([{ok, _}], [R || {ok, _} = R <- Results]),
    ?assertEqual(9, length([R || {error, stopped} = R <- Results])),
    [stop_on(Other, New) || {ok, New} <- Results],
    ok.

%% Nothing is left behind: see hb_migrate_support.
to_itself(_Other) ->
    H = changed_instance(),
    Before = hash(H),
    ?assertEqual({ok, H}, hb_wasm64:migrate(H, node())),
    ?assertEqual({ok, H}, hb_wasm64:migrate(H, node(), #{timeout => 0})),
    ?assert(Before =:= hash(H)),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:migrate(H, node())),
    ?assertEqual({error, not_local}, hb_wasm64:migrate(make_ref(), node())).

large_state(Other) ->
    H = hb_migrate_support:large_instance(1024),
    {ok, Memory} = hb_wasm64:read_memory(H),
    {ok, New} = hb_wasm64:migrate(H, Other),
    Hash = fun() -> {ok, There} = hb_wasm64:read_memory(New), crypto:hash(sha256, There) end,
    ?assert(crypto:hash(sha256, Memory) =:= on_node(Other, Hash)),
    stop_on(Other, New).

%% What keeps it alive has not also all that it came in.
is_kept_in_little_memory(Other) ->
    {ok, New} = hb_wasm64:migrate(large_instance(), Other),
    Held = fun() -> lists:sum([hb_migrate_support:megabytes(Pid) || Pid <- hb_migrate_support:receivers()]) end,
    Soon = hb_support:wait_until(fun() -> on_node(Other, Held) < 2 end) orelse {mb_held, on_node(Other, Held)},
    stop_on(Other, New),
    ?assertEqual(true, Soon).
