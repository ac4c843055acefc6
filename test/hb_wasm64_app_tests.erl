%% The application: its supervisor and settings, and nodes that start and stop with it. What changes a node runs in a VM of
%% its own.
-module(hb_wasm64_app_tests).

-include_lib("eunit/include/eunit.hrl").

%% The callbacks of another application, and of a logger's handler.
-export([start/2, stop/1, log/2]).
%% Called on a peer.
-export([records_of/1, sum_of_a_guest/1]).

%% As every release does it: all modules are loaded before the code server runs, in embedded mode.
a_release_boots_with_the_application_test_() ->
    {timeout, 600, fun() ->
        in_directory(fun(Dir) ->
            Peer = hb_support:peer(#{args => ["-mode", "embedded", "-boot", boot_script(Dir, [])]}),
            ?assertEqual(embedded, peer:call(Peer, code, get_mode, [])),
            ?assertEqual([], lists:filter(
                fun(Name) -> not is_pid(peer:call(Peer, erlang, whereis, [Name])) end,
                [hb_wasm64_sup, hb_wasm64_log, hb_wasm64_runners, hb_wasm64_keepers]
            )),
            ?assertMatch({hb_wasm64, _, _}, lists:keyfind(hb_wasm64, 1, peer:call(Peer, application, which_applications, []))),
            %% Nothing else is loaded by itself there.
            {module, ?MODULE} = peer:call(Peer, code, load_file, [?MODULE]),
            ?assertEqual({ok, [3]}, peer:call(Peer, ?MODULE, sum_of_a_guest, [hb_support:guest("numbers")], 60_000)),
            ?assertEqual(3, peer:call(Peer, ?MODULE, records_of, [3], 60_000)),
            ok = peer:stop(Peer)
        end)
    end}.

%% The application is started for it, and once more by the release.
an_application_that_a_release_starts_before_may_use_instances_test_() ->
    {timeout, 600, fun() ->
        in_directory(fun(Dir) ->
            Early = {application, early, [
                {vsn, "1"}, {description, ""}, {registered, []}, {modules, []}, {applications, [kernel, stdlib]}, {mod, {?MODULE, init}}
            ]},
            ok = file:write_file(filename:join(Dir, "early.app"), io_lib:format("~p.~n", [Early])),
            Peer = hb_support:peer(#{args => ["-boot", boot_script(Dir, [{early, "1"}])]}),
            Started = [Name || {Name, _, _} <- peer:call(Peer, application, which_applications, [])],
            ?assertEqual([], [early, hb_wasm64, stdlib, kernel] -- Started),
            ?assert(is_pid(peer:call(Peer, erlang, whereis, [hb_wasm64_log]))),
            ok = peer:stop(Peer)
        end)
    end}.

%% Who starts no application has it with the first instance; a process that must not wait for the application controller
%% may start one.
the_first_instance_starts_the_application_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        undefined = whereis(hb_wasm64_sup),
        _ = hb_support:start("numbers"),
        true = is_started()
    end).

%% Also where a release has not loaded the application before.
a_limit_of_the_configuration_holds_for_the_first_instance_test_() ->
    Start = fun() -> hb_wasm64:start(hb_support:guest("growth")) end,
    Refuses = fun(Settings, Expected) ->
        in_directory(fun(Dir) ->
            Config = filename:join(Dir, "sys.config"),
            ok = file:write_file(Config, io_lib:format("~p.~n", [[{hb_wasm64, Settings}]])),
            Peer = hb_support:peer(#{args => ["-config", Config]}),
            ?assertEqual(undefined, peer:call(Peer, application, get_key, [hb_wasm64, vsn])),
            ?assertEqual(Expected, hb_support:on_peer(Peer, Start)),
            ok = peer:stop(Peer)
        end)
    end,
    {timeout, 300, fun() ->
        Refuses([{memory, 65536}], {error, {limit, memory}}),
        %% An operator who wants a limit has it, or is told.
        Refuses([{memory, "1 GB"}], {error, {invalid_option, memory, "1 GB"}})
    end}.

another_application_may_use_instances_as_it_starts_and_stops_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        ok = application:load({application, ?MODULE, [{mod, {?MODULE, self()}}, {applications, [kernel, stdlib]}]}),
        ok = application:start(?MODULE),
        ok = receive {start, [3]} -> ok after 0 -> nothing end,
        true = is_started(),
        ok = application:stop(hb_wasm64),
        %% The controller stops this one now and serves nobody meanwhile.
        ok = application:stop(?MODULE),
        ok = receive {stop, [3]} -> ok after 0 -> nothing end,
        true = is_started()
    end).

start(_Type, Test) ->
    Test ! {start, three()},
    {ok, spawn_link(fun() -> receive never -> ok end end), Test}.

stop(Test) -> Test ! {stop, three()}.

%% In one process: an instance ends with the last reference to it.
sum_of_a_guest(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    hb_wasm64:call(H, "add_i32", [1, 2]).

three() ->
    {ok, [3] = Three} = hb_wasm64:call(hb_support:start("numbers"), "add_i32", [1, 2]),
    Three.

%% What the library has to say before the log process runs is passed on when it does, and what one had not passed on when
%% it was killed is passed on by the next.
records_wait_for_the_log_process_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        ok = listen(),
        ok = hb_wasm64:log_level(info),
        %% Nobody starts the application for an instance while somebody has this name.
        true = register(hb_wasm64_starter, self()),
        [refuse() || _ <- lists:seq(1, 10)],
        [] = received(200),
        undefined = whereis(hb_wasm64_log),
        {ok, _} = application:ensure_all_started(hb_wasm64),
        10 = count(10),
        Log = whereis(hb_wasm64_log),
        true = erlang:suspend_process(Log),
        [refuse() || _ <- lists:seq(1, 10)],
        %% No more than one lies with the process.
        true = hb_support:wait_until(fun() -> process_info(Log, message_queue_len) =:= {message_queue_len, 1} end),
        hb_support:gone(Log),
        10 = count(10)
    end).

processes_that_are_killed_are_started_again_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        {ok, _} = application:ensure_all_started(hb_wasm64),
        [begin
             hb_support:gone(whereis(Name)),
             true = hb_support:wait_until(fun() -> is_pid(whereis(Name)) end)
         end || Name <- [hb_wasm64_log, hb_wasm64_runners, hb_wasm64_keepers]],
        ok = listen(),
        ok = hb_wasm64:log_level(info),
        refuse(),
        1 = count(1)
    end).

%% Strays and ends of those who joined.
a_group_outlives_its_members_and_ends_them_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        Member = fun(End) ->
            spawn(fun() -> ok = hb_wasm64_group:join(hb_wasm64_runners), End() end)
        end,
        Wait = fun() -> receive never -> ok end end,
        %% Where the application does not run.
        Alone = Member(Wait),
        {ok, _} = application:ensure_all_started(hb_wasm64),
        Group = whereis(hb_wasm64_runners),
        _ = [hb_support:gone(Member(Wait)), Member(fun() -> ok end), Member(fun() -> exit({large, [self()]}) end)],
        Group ! stray,
        ok = gen_server:cast(Group, stray),
        Members = [Member(Wait) || _ <- lists:seq(1, 10)],
        Sees = fun() -> length(element(2, process_info(Group, links))) =:= 11 end,
        true = hb_support:wait_until(Sees),
        Group = whereis(hb_wasm64_runners),
        ok = application:stop(hb_wasm64),
        true = hb_support:wait_until(fun() -> not lists:any(fun is_process_alive/1, Members) end),
        true = is_process_alive(Alone)
    end).

%% Also those that wait for an import, or for their turn.
calls_of_call_async_end_with_the_application_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        {ok, _} = application:ensure_all_started(hb_wasm64),
        Imports = hb_support:start("imports"),
        Loop = hb_support:start("loop"),
        {ok, _} = hb_wasm64:call_async(Imports, "call_add", [1, 2], #{}),
        [{ok, _} = hb_wasm64:call_async(Loop, "spin", [], #{}) || _ <- [1, 2]],
        receive {hb_wasm64, _, {import, _, _}} -> ok after 60_000 -> error(no_import) end,
        ok = application:stop(hb_wasm64),
        [{ok, [_]} = hb_wasm64:call(H, Func, Args, #{timeout => 60_000})
         || {H, Func, Args} <- [{Imports, "call_add", [1, 2]}, {Loop, "count", [1]}]]
    end).

settings_come_from_the_environment_test_() ->
    on_peer(?FUNCTION_NAME, ["-hb_wasm64", "log_level", "info", "-hb_wasm64", "time_slice", "5000"], fun() ->
        ok = listen(),
        {ok, _} = application:ensure_all_started(hb_wasm64),
        refuse(),
        1 = count(1)
    end).

settings_of_the_wrong_kind_are_refused_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        [begin
             ok = application:load(hb_wasm64),
             ok = application:set_env(hb_wasm64, Key, Value),
             {error, {{invalid_option, Key, Value}, _}} = application:start(hb_wasm64),
             ok = application:unload(hb_wasm64)
         end || {Key, Value} <- [{log_level, loud}, {time_slice, 99}, {time_slice, "1000"}, {keep_moved, -1}]],
        ok = application:load(hb_wasm64),
        ok = application:set_env(hb_wasm64, log_level, loud),
        %% Instances work, and the reason is logged once.
        ok = listen(),
        [3] = three(),
        "the application hb_wasm64 does not start" ++ _ = receive {record, Text} -> Text after 60_000 -> nothing end,
        [3] = three(),
        [] = received(300)
    end).

%% Also where they are changed before the application is loaded.
settings_outlive_the_application_test_() ->
    on_peer(?FUNCTION_NAME, [], fun() ->
        ok = hb_wasm64:log_level(info),
        ok = hb_wasm64:time_slice(2000),
        ok = listen(),
        [begin
             {ok, _} = application:ensure_all_started(hb_wasm64),
             {ok, info} = application:get_env(hb_wasm64, log_level),
             {ok, 2000} = application:get_env(hb_wasm64, time_slice),
             refuse(),
             1 = count(1),
             ok = application:stop(hb_wasm64)
         end || _ <- [1, 2]]
    end).

%% Guests that run, an import that waits, images that are compiled and states that are read.
a_node_that_is_busy_stops_within_a_second_test_() ->
    {timeout, 300, fun() ->
        ?assertEqual(true, hb_support:best_of(3, fun() ->
            {Busy, Idle} = {stop_millis(fun keep_busy/0), stop_millis(fun three/0)},
            Busy < Idle + 1000 orelse {Busy, Idle}
        end))
    end}.

keep_busy() ->
    _ = [spawn(fun() -> hb_wasm64:call(hb_support:start("loop"), "spin", []) end) || _ <- lists:seq(1, 8)],
    Waiting = [{"loop", "spin", []}, {"imports", "call_add", [1, 2]}],
    _ = [{ok, _} = hb_wasm64:call_async(hb_support:start(Guest), Func, Args, #{}) || {Guest, Func, Args} <- Waiting],
    receive {hb_wasm64, _, {import, _, _}} -> ok after 60_000 -> error(no_import) end,
    Memory = hb_support:start("memory"),
    {ok, [1]} = hb_wasm64:call(Memory, "grow", [1023]),
    ok = hb_wasm64:write(Memory, 128, rand:bytes(60_000_000)),
    Image = hb_support:guest("ledger"),
    [spawn(fun() -> hb_wasm64:start(hb_support:fresh(Image)) end) || _ <- lists:seq(1, 8)],
    [spawn(fun() -> hb_wasm64:snapshot(Memory, #{compress => true}) end) || _ <- [1, 2]].

%% From init:stop() to the end of the VM.
stop_millis(Before) ->
    Peer = hb_support:peer(),
    unlink(Peer),
    _ = hb_support:on_peer(Peer, Before),
    Port = peer_port(Peer),
    Monitor = monitor(port, Port),
    Began = erlang:monotonic_time(millisecond),
    ok = peer:cast(Peer, init, stop, []),
    receive {'DOWN', Monitor, port, Port, _} -> ok after 60_000 -> error(still_there) end,
    erlang:monotonic_time(millisecond) - Began.

peer_port(Peer) ->
    {links, Links} = process_info(Peer, links),
    [Port] = [Link || Link <- Links, is_port(Link)],
    Port.

%% Support

on_peer(Name, Args, Fun) ->
    {atom_to_list(Name), {timeout, 600, fun() ->
        Peer = hb_support:peer(#{args => Args}),
        _ = hb_support:on_peer(Peer, Fun),
        ok = peer:stop(Peer)
    end}}.

is_started() -> hb_support:wait_until(fun() -> lists:keymember(hb_wasm64, 1, application:which_applications()) end).

%% The records of the library come to this process from now on.
listen() ->
    ok = logger:set_primary_config(level, all),
    ok = logger:set_handler_config(default, level, none),
    logger:add_handler(?MODULE, ?MODULE, #{config => self()}).

log(#{msg := Msg, meta := #{library := hb_wasm64}}, #{config := Test}) ->
    Text =
        case Msg of
            {string, String} -> String;
            {Format, Args} -> io_lib:format(Format, Args)
        end,
    Test ! {record, lists:flatten(Text)};
log(_Event, _Config) ->
    ok.

%% Has the library log, at the level `info', that it has refused an image.
refuse() -> {error, _} = hb_wasm64:start(<<"no image">>).

%% As many of these records as come, up to Enough.
count(0) -> 0;
count(Enough) ->
    receive {record, "refused an image of 8 bytes" ++ _} -> 1 + count(Enough - 1)
    after 60_000 -> 0
    end.

%% The records that come within so many milliseconds.
received(Millis) ->
    timer:sleep(Millis),
    [Text || {record, Text} <- hb_support:flush()].

%% For a peer.
records_of(N) ->
    ok = listen(),
    ok = hb_wasm64:log_level(info),
    _ = [refuse() || _ <- lists:seq(1, N)],
    count(N).

in_directory(Fun) ->
    Dir = filename:join(os:getenv("TMPDIR", "/tmp"), "hb_wasm64_release_" ++ os:getpid()),
    ok = file:make_dir(Dir),
    try
        Fun(Dir)
    after
        ok = file:del_dir_r(Dir)
    end.

%% A release of this application, after others that are described in the directory.
boot_script(Dir, Others) ->
    Release = filename:join(Dir, "release"),
    Versions = [begin
        _ = application:load(Name),
        {ok, Version} = application:get_key(Name, vsn),
        {Name, Version}
    end || Name <- [kernel, stdlib, hb_wasm64]],
    {Otp, Ours} = lists:split(2, Versions),
    Terms = {release, {"release", "1"}, {erts, erlang:system_info(version)}, Otp ++ Others ++ Ours},
    ok = file:write_file(Release ++ ".rel", io_lib:format("~p.~n", [Terms])),
    Path = [filename:dirname(code:which(hb_wasm64)), Dir],
    {ok, systools_make, []} = systools:make_script(Release, [{path, Path}, {outdir, Dir}, local, silent, no_warn_sasl]),
    Release.
