%% The modules are loaded again, purged and deleted while instances live, as
%% happens in a shell and in an upgrade. Everything runs in a VM of its own,
%% whose end would be the failure of the test.
-module(hb_wasm64_reload_tests).

-include_lib("eunit/include/eunit.hrl").

%% Refused or an upgrade, but the instances answer as before.
the_nif_module_is_loaded_again_while_instances_live_test_() ->
    in_a_vm(?FUNCTION_NAME, fun() ->
        Live = live(),
        [begin
             Loaded = code:load_file(hb_wasm64_nif),
             true = element(1, Loaded) =:= module orelse element(1, Loaded) =:= error,
             true = alive(Live)
         end || _ <- lists:seq(1, 5)]
    end).

%% As l(Module) in the shell.
the_modules_are_purged_and_loaded_again_while_instances_live_test_() ->
    in_a_vm(?FUNCTION_NAME, fun() ->
        Live = live(),
        [begin
             _ = code:purge(Module),
             _ = code:load_file(Module),
             true = alive(Live)
         end || _ <- lists:seq(1, 5), Module <- [hb_wasm64, hb_wasm64_nif, hb_wasm64_log]],
        timer:sleep(100),
        true = alive(live())
    end).

%% The old library's code must stay as long as one of its instances does.
the_nif_module_is_deleted_while_instances_live_test_() ->
    in_a_vm(?FUNCTION_NAME, fun() ->
        Live = live(),
        _ = code:purge(hb_wasm64_nif),
        true = code:delete(hb_wasm64_nif),
        _ = code:purge(hb_wasm64_nif),
        false = code:is_loaded(hb_wasm64_nif),
        %% Loaded again by the first call. What the old handles are to it (its
        %% own, or not local), and whether they can be asked at all, is its
        %% business; it must answer.
        Answer = hb_wasm64:call(maps:get(numbers, Live), "add_i32", [1, 2]),
        true = lists:member(Answer, [{ok, [3]}, {error, not_local}]),
        true = alive(live())
    end).

%% The instances are dropped after their library is gone: their destructors run.
instances_outlive_their_module_and_are_collected_test_() ->
    in_a_vm(?FUNCTION_NAME, fun() ->
        Test = self(),
        Pids = [spawn(fun() -> Live = live(), Test ! ready, receive drop -> Live end end) || _ <- lists:seq(1, 10)],
        [receive ready -> ok after 60_000 -> error(not_ready) end || _ <- Pids],
        _ = code:purge(hb_wasm64_nif),
        true = code:delete(hb_wasm64_nif),
        _ = code:purge(hb_wasm64_nif),
        [Pid ! drop || Pid <- Pids],
        timer:sleep(500),
        true = alive(live())
    end).

%% While guests run in other processes.
the_nif_module_is_loaded_again_while_guests_run_test_() ->
    in_a_vm(?FUNCTION_NAME, fun() ->
        Image = hb_support:guest("loop"),
        Pids = [spawn(fun() ->
            {ok, H} = hb_wasm64:start(Image),
            hb_wasm64:call(H, "spin", [])
        end) || _ <- [1, 2, 3]],
        timer:sleep(50),
        _ = code:load_file(hb_wasm64_nif),
        timer:sleep(50),
        %% A soft purge kills nobody: it is refused while they run the old code.
        _ = code:soft_purge(hb_wasm64_nif),
        true = alive(live()),
        [exit(Pid, kill) || Pid <- Pids],
        timer:sleep(50),
        true = alive(live())
    end).

%% code:purge kills who still runs old code: in the middle of a guest.
a_purge_may_kill_callers_of_running_guests_test_() ->
    in_a_vm(?FUNCTION_NAME, fun() ->
        Image = hb_support:guest("loop"),
        {ok, H} = hb_wasm64:start(Image),
        _ = spawn(fun() -> hb_wasm64:call(H, "spin", []) end),
        timer:sleep(50),
        [begin
             _ = code:load_file(Module),
             _ = code:purge(Module)
         end || _ <- [1, 2, 3], Module <- [hb_wasm64, hb_wasm64_nif]],
        timer:sleep(50),
        true = lists:member(hb_wasm64:call(H, "count", [3], #{timeout => 2000}),
                            [{ok, [3]}, {error, timeout}, {error, not_local}]),
        true = alive(live())
    end).

%% A node that ends with all of this going on ends.
a_node_with_running_guests_stops_test_() ->
    {timeout, 300, fun() ->
        Peer = hb_support:peer(),
        Image = hb_support:guest("loop"),
        ok = hb_support:on_peer(Peer, fun() ->
            [spawn(fun() ->
                 {ok, H} = hb_wasm64:start(Image),
                 hb_wasm64:call(H, "spin", [])
             end) || _ <- [1, 2, 3, 4]],
            timer:sleep(100),
            ok
        end),
        Monitor = monitor(process, Peer),
        unlink(Peer),
        ?assertEqual(ok, peer:stop(Peer)),
        ?assertEqual(ended, receive {'DOWN', Monitor, process, Peer, _} -> ended after 60_000 -> still_there end)
    end}.

%% Support

in_a_vm(Title, Fun) ->
    {atom_to_list(Title), {timeout, 300, fun() ->
        Peer = hb_support:peer(),
        _ = hb_support:on_peer(Peer, Fun),
        %% It has not died a moment later either.
        timer:sleep(100),
        ?assertEqual(pong, hb_support:on_peer(Peer, fun() -> pong end)),
        ok = peer:stop(Peer)
    end}}.

%% Instances in every state: at rest, with memory written, in the middle of an import.
live() ->
    Waiting = hb_support:start("imports"),
    {ok, Ref} = hb_wasm64:call_async(Waiting, "call_add", [1, 2], #{}),
    IRef = receive {hb_wasm64, Ref, {import, I, _}} -> I after 60_000 -> error(no_import) end,
    Memory = hb_support:start("memory"),
    ok = hb_wasm64:write(Memory, 64, <<"Jello">>),
    #{numbers => hb_support:start("numbers"), memory => Memory, waiting => Waiting, import => {Ref, IRef}}.

%% Whether they answer as they must.
alive(#{numbers := Numbers, memory := Memory, waiting := Waiting}) ->
    {ok, [3]} = hb_wasm64:call(Numbers, "add_i32", [1, 2]),
    {ok, <<"Jello, World!">>} = hb_wasm64:read_string(Memory, 64),
    {error, {trap, _}} = hb_wasm64:call(hb_support:start("traps"), "unreachable", []),
    {ok, #{status := suspended}} = hb_wasm64:describe(Waiting),
    true.
