%% Artifacts: images with their native code.
-module(hb_wasm64_artifact_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PATIENT(Test), {timeout, 300, fun() -> Test end}).

key(Name) -> application:set_env(hb_wasm64, code_key, filename:join(os:getenv("TMPDIR", "/tmp"), Name ++ "-" ++ os:getpid())).

%% With a key of its own, which nothing else uses.
with_key_test_() ->
    {setup,
        fun() ->
            ok = application:ensure_started(hb_wasm64),
            Before = application:get_env(hb_wasm64, code_key),
            ok = key("key"),
            Before
        end,
        fun(Before) ->
            [_ = file:delete(filename:join(os:getenv("TMPDIR", "/tmp"), Name ++ "-" ++ os:getpid())) || Name <- ["key", "other"]],
            case Before of
                {ok, Key} -> ok = application:set_env(hb_wasm64, code_key, Key);
                undefined -> ok = application:unset_env(hb_wasm64, code_key)
            end
        end,
        [
            {"an artifact is the image", ?PATIENT(is_the_image())},
            {"in a VM of its own, too", ?PATIENT(in_another_vm())},
            {"each other byte is found", ?PATIENT(each_byte())},
            {"what is no artifact is named", ?PATIENT(no_artifacts())},
            {"of another key", ?PATIENT(other_key())},
            {"options", ?PATIENT(options())},
            {"snapshots", ?PATIENT(snapshots())}
        ]}.

seen(H) -> {hb_wasm64:describe(H), hb_wasm64:call(H, "seven", [], #{usage => true}), hb_wasm64:snapshot(H)}.

is_the_image() ->
    Image = hb_support:fresh(hb_support:guest("metered")),
    {ok, Artifact} = hb_wasm64:compile(Image, #{}),
    {ok, H} = hb_wasm64:start(Image),
    {ok, A} = hb_wasm64:start(Artifact, #{mode => aot}),
    ?assertEqual(seen(H), seen(A)).

%% Nothing is in memory there, and nothing is compiled.
in_another_vm() ->
    Image = hb_support:fresh(hb_support:guest("metered")),
    {ok, Artifact} = hb_wasm64:compile(Image, #{}),
    {ok, Key} = application:get_env(hb_wasm64, code_key),
    {ok, H} = hb_wasm64:start(Image),
    Peer = hb_support:peer(),
    {Seen, Texts} = hb_support:on_peer(Peer, fun() ->
        ok = application:load(hb_wasm64),
        ok = application:set_env(hb_wasm64, code_key, Key),
        Listening = hb_log_support:listen(),
        ok = hb_wasm64:log_level(info),
        {ok, A} = hb_wasm64:start(Artifact, #{mode => aot}),
        Result = seen(A),
        {error, _} = hb_wasm64:start(<<"no image">>),
        Records = hb_log_support:records_up_to("refused an image of 8 bytes"),
        ok = hb_log_support:unlisten(Listening),
        {Result, [Text || #{text := Text} <- Records]}
    end),
    ok = peer:stop(Peer),
    ?assertEqual(seen(H), Seen),
    ?assertEqual([], [Text || "compiled an image" ++ _ = Text <- Texts]).

each_byte() ->
    {ok, Artifact} = hb_wasm64:compile(hb_support:fresh(hb_support:guest("loop")), #{}),
    Size = byte_size(Artifact),
    [begin
        <<Before:At/binary, Byte, After/binary>> = Artifact,
        ?assertMatch({error, {invalid_artifact, _}}, hb_wasm64:start(<<Before/binary, (Byte bxor 1), After/binary>>, #{mode => aot}), At)
    end || At <- lists:seq(0, Size - 1, 97) ++ lists:seq(Size - 80, Size - 1)],
    [?assertMatch({error, {invalid_artifact, _}}, hb_wasm64:start(binary:part(Artifact, 0, Less), #{mode => aot}), Less)
        || Less <- lists:seq(0, Size - 1, 997) ++ [Size - 1]],
    ?assertMatch({error, {invalid_artifact, _}}, hb_wasm64:start(<<Artifact/binary, 0>>, #{mode => aot})).

no_artifacts() ->
    [begin
        {error, {invalid_artifact, Text}} = hb_wasm64:start(Bytes, #{mode => aot}),
        ?assertMatch({match, _}, re:run(Text, Words))
    end || {Bytes, Words} <- [
        {hb_support:guest("numbers"), "WebAssembly module"},
        {<<0, "aot", 5:32/little, 0:800>>, "AOT file of WAMR"},
        {<<>>, "no compiled image"},
        {rand:bytes(1000), "no compiled image"}
    ]].

other_key() ->
    Image = hb_support:fresh(hb_support:guest("metered")),
    ok = key("other"),
    {ok, Artifact} = hb_wasm64:compile(Image, #{}),
    ok = key("key"),
    {error, {invalid_artifact, Text}} = hb_wasm64:start(Artifact, #{mode => aot}),
    ?assertMatch({match, _}, re:run(Text, "another key")),
    ok = application:set_env(hb_wasm64, code_key, 7),
    ?assertEqual({error, {invalid_option, code_key, 7}}, hb_wasm64:compile(Image, #{})),
    ok = application:set_env(hb_wasm64, code_key, "/dev/null/key"),
    ?assertMatch({error, {host, _}}, hb_wasm64:compile(Image, #{})),
    ok = key("key").

options() ->
    Image = hb_support:guest("numbers"),
    ?assertEqual({error, {invalid_option, mode, jit}}, hb_wasm64:start(Image, #{mode => jit})),
    ?assertEqual({error, {invalid_option, mode, aot}}, hb_wasm64:compile(Image, #{mode => aot})),
    ?assertMatch({error, {invalid_args, #{position := 1}}}, hb_wasm64:compile(image, #{})),
    ?assertMatch({error, {invalid_module, _}}, hb_wasm64:compile(<<"no image">>, #{})),
    ?assertEqual({error, timeout}, hb_wasm64:compile(hb_support:fresh(Image), #{timeout => 0})),
    {ok, Artifact} = hb_wasm64:compile(Image, #{}),
    ?assertEqual({error, timeout}, hb_wasm64:start(Artifact, #{mode => aot, timeout => 0})).

%% A snapshot is one of the image, however that was brought.
snapshots() ->
    Image = hb_support:fresh(hb_support:guest("metered")),
    {ok, Artifact} = hb_wasm64:compile(Image, #{}),
    {ok, H} = hb_wasm64:start(Image),
    {ok, [7]} = hb_wasm64:call(H, "seven", []),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    {ok, A} = hb_wasm64:start(Artifact, #{mode => aot, snapshot => Snapshot}),
    ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(A)).
