%% Who serves the imports of an image of WASI: the engine, or whoever is asked
%% before it.
-module(hb_wasi_asked_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, started/1, started/2, compute/3, result/1, get/2]).

-define(P1, "wasi_snapshot_preview1").
-define(BADF, 8).

write() -> {?P1, "fd_write", "(iiii)i", x}.
exit_() -> {?P1, "proc_exit", "(i)", x}.

image() ->
    hb_import_image:forwarding(
        [write(), exit_(), {?P1, "clock_time_get", "(iIi)i", x}, {"wasi_unstable", "fd_write", "(iiii)i", x},
         {"env", "__syscall_rmdir", "(i)i", x}, {"env", "twice", "(i)i", x}],
        32
    ).

start() ->
    {ok, H} = hb_wasm64:start(image()),
    %% "Hello" as one part, at 16.
    ok = hb_wasm64:write(H, 16, <<32:32/little, 5:32/little>>),
    ok = hb_wasm64:write(H, 32, <<"Hello">>),
    H.

-define(WRITE, [1, 16, 1, 64]).
-define(TEXT, {ok, #{stdout => <<"Hello">>, stderr => <<>>}}).
-define(NOTHING, {ok, #{stdout => <<>>, stderr => <<>>}}).

the_host_is_told_test() ->
    ?assertEqual({ok, wasi}, hb_wasm64:host(start())),
    {ok, Older} = hb_wasm64:start(hb_import_image:image([{"wasi_unstable", "fd_close", "(i)i", x}])),
    ?assertEqual({ok, wasi}, hb_wasm64:host(Older)),
    {ok, Other} = hb_wasm64:start(hb_import_image:image([{"wasi_snapshot_preview2", "fd_close", "(i)i", x}])),
    ?assertEqual({ok, none}, hb_wasm64:host(Other)).

the_engine_serves_it_where_nobody_is_asked_test() ->
    H = start(),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, ?P1 ".fd_write", ?WRITE)),
    ?assertEqual(?TEXT, hb_wasm64:output(H)),
    ?assertEqual({ok, <<5:32/little>>}, hb_wasm64:read(H, 64, 4)),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "wasi_unstable.fd_write", ?WRITE)),
    ?assertEqual(?TEXT, hb_wasm64:output(H)),
    ?assertEqual({error, {exit, 7}}, hb_wasm64:call(H, ?P1 ".proc_exit", [7])),
    ?assertEqual({error, {exit, 0}}, hb_wasm64:call(H, ?P1 ".proc_exit", [0])),
    ?assertEqual({ok, idle}, hb_wasm64:status(H)),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, ?P1 ".clock_time_get", [0, 1, 64], #{time => 1234})),
    ?assertEqual({ok, <<1_234_000_000:64/little>>}, hb_wasm64:read(H, 64, 8)).

%% Emscripten's library makes these in images that run without JavaScript.
system_calls_reach_the_same_files_test() ->
    H = start(),
    ok = hb_wasm64:write(H, 32, <<"/tmp", 0>>),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "env.__syscall_rmdir", [32])),
    ?assertEqual({ok, [-44]}, hb_wasm64:call(H, "env.__syscall_rmdir", [32])).

an_import_function_gets_what_the_engine_does_not_serve_test() ->
    H = start(),
    Asked = fun(Seen, #{func := Func}, _) -> {ok, [3], [Func | Seen]} end,
    ?assertEqual({ok, [0], []}, hb_wasm64:call(H, ?P1 ".fd_write", ?WRITE, Asked, [], #{})),
    ?assertEqual({ok, [3], ["twice"]}, hb_wasm64:call(H, "env.twice", [1], Asked, [], #{})).

an_import_function_is_asked_first_where_the_call_says_so_test() ->
    H = start(),
    Asked = fun(Seen, #{func := Func, interceptable := true}, _) -> {ok, [3], [Func | Seen]} end,
    Options = #{intercept => [?P1, "env"]},
    [
        ?assertEqual({ok, Results, [Func]}, hb_wasm64:call(H, Module ++ "." ++ Func, Args, Asked, [], Options))
     || {Module, Func, Args, Results} <- [
            {?P1, "fd_write", ?WRITE, [3]}, {?P1, "proc_exit", [7], []}, {?P1, "clock_time_get", [0, 1, 64], [3]},
            {"env", "__syscall_rmdir", [32], [3]}
        ]
    ],
    ?assertEqual(?NOTHING, hb_wasm64:output(H)),
    %% The older one is another module.
    ?assertEqual({ok, [0], []}, hb_wasm64:call(H, "wasi_unstable.fd_write", ?WRITE, Asked, [], Options)),
    Pass = fun(Seen, _, _) -> {pass, Seen} end,
    ?assertEqual({ok, [0], []}, hb_wasm64:call(H, ?P1 ".fd_write", ?WRITE, Pass, [], Options)),
    ?assertEqual(?TEXT, hb_wasm64:output(H)).

%%% As the C driver

%% Its callers bring all that a program imports.
the_import_function_of_a_call_as_of_the_c_driver_is_asked_first_test() ->
    H = start(),
    Asked = fun(Seen, #{module := Module, func := Func}, _) -> {ok, [3], [{Module, Func} | Seen]} end,
    [
        ?assertEqual({ok, Results, [{Module, Func}]}, hb_beamr:call(H, Module ++ "." ++ Func, Args, Asked, []))
     || {Module, Func, Args, Results} <- [
            {?P1, "fd_write", ?WRITE, [3]}, {?P1, "proc_exit", [7], []}, {"wasi_unstable", "fd_write", ?WRITE, [3]},
            {"env", "__syscall_rmdir", [32], [3]}, {"env", "twice", [1], [3]}
        ]
    ].

without_an_import_function_the_engine_serves_it_test() ->
    H = start(),
    ?assertEqual({ok, [0]}, hb_beamr:call(H, ?P1 ".fd_write", ?WRITE)),
    ?assertEqual(?TEXT, hb_wasm64:output(H)),
    ?assertEqual({ok, [0]}, hb_beamr:call(H, "env.twice", [1])).

%%% The device

a_device_of_the_process_is_asked_first_function_by_function_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Wasi = #{<<"device">> => #{
            <<"fd_write">> => fun(#{<<"state">> := State}, _, _) ->
                {ok, #{<<"state">> => State#{<<"asked">> => true}, <<"results">> => [3]}}
            end
        }},
        M = started(image(), #{<<"stdlib">> => #{<<"wasi_snapshot_preview1">> => Wasi}}),
        After = ok(compute(M, <<"wasi_snapshot_preview1.fd_write">>, ?WRITE)),
        ?assertEqual([ok, [3]], result({ok, After})),
        ?assertEqual(true, get(<<"asked">>, After)),
        %% It has no such function, and is not there for this module.
        ?assertEqual([ok, [0]], result(compute(M, <<"wasi_snapshot_preview1.clock_time_get">>, [0, 1, 64]))),
        ?assertEqual([ok, [0]], result(compute(M, <<"wasi_unstable.fd_write">>, ?WRITE))),
        ?assertEqual([error, <<"exit: 7">>], result(compute(M, <<"wasi_snapshot_preview1.proc_exit">>, [7])))
    end).

a_device_that_fails_is_told_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Wasi = #{<<"device">> => #{<<"fd_write">> => fun(_, _, _) -> error(no_data) end}},
        M = started(image(), #{<<"stdlib">> => #{<<"wasi_snapshot_preview1">> => Wasi}}),
        ?assertEqual(
            [error, <<"import failed: wasi_snapshot_preview1.fd_write: raised error">>],
            result(compute(M, <<"wasi_snapshot_preview1.fd_write">>, ?WRITE))
        )
    end).

the_clock_of_a_guest_is_that_of_the_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started(image()),
        Message = #{
            <<"path">> => <<"compute">>, <<"function">> => <<"wasi_snapshot_preview1.clock_time_get">>,
            <<"parameters">> => [0, 1, 64], <<"timestamp">> => 1234
        },
        {ok, After} = hb_ao:resolve(M, Message, #{}),
        H = dev_wasm64:instance(After, #{}, #{}),
        ?assertEqual({ok, <<1_234_000_000:64/little>>}, hb_wasm64:read(H, 64, 8))
    end).

%%% State

%% As one that was taken when no host served such images.
a_snapshot_has_no_state_of_the_host_where_that_is_as_at_the_start_test() ->
    {ok, H} = hb_wasm64:start(image()),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    #{memories := [_]} = hb_snapshot:decode(Snapshot),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, ?P1 ".clock_time_get", [0, 1, 64])),
    ok = hb_wasm64:write(H, 64, <<0:64>>),
    ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(H)),
    {ok, Twin} = hb_wasm64:start(image(), #{snapshot => Snapshot}),
    ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(Twin)).

a_snapshot_has_the_state_of_the_host_once_it_is_another_test() ->
    {ok, H} = hb_wasm64:start(image()),
    {ok, Before} = hb_wasm64:snapshot(H),
    ok = hb_wasm64:write(H, 32, <<"/tmp", 0>>),
    {ok, [0]} = hb_wasm64:call(H, "env.__syscall_rmdir", [32]),
    {ok, After} = hb_wasm64:snapshot(H),
    #{memories := [_, _]} = hb_snapshot:decode(After),
    {ok, Delta} = hb_wasm64:snapshot(H, #{base => Before}),
    ?assertEqual({ok, After}, hb_wasm64:merge([Before, Delta])),
    {ok, Back} = hb_wasm64:snapshot(element(2, hb_wasm64:start(image(), #{snapshot => Before})), #{base => After}),
    ?assertEqual({ok, Before}, hb_wasm64:merge([After, Back])),
    {ok, Fork} = hb_wasm64:fork(H),
    {ok, Twin} = hb_wasm64:start(image(), #{snapshot => [Before, Delta]}),
    [
        begin
            ?assertEqual({ok, After}, hb_wasm64:snapshot(Each)),
            ?assertEqual({ok, [-44]}, hb_wasm64:call(Each, "env.__syscall_rmdir", [32]))
        end
     || Each <- [H, Fork, Twin]
    ],
    ok = hb_wasm64:restore(H, Before),
    ?assertEqual({ok, Before}, hb_wasm64:snapshot(H)),
    %% One state has one form: a memory of 0 bytes is that of no state.
    #{memories := [Memory]} = Read = hb_snapshot:decode(Before),
    Empty = hb_snapshot:full(Read#{memories := [Memory, <<>>]}),
    ?assertMatch({error, {invalid_snapshot, #{code := malformed}}}, hb_wasm64:restore(H, Empty)).

%%% AOS

aos_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        {timeout, 300, [
            {"prints", fun() ->
                {ok, H} = hb_wasm64:start(Image),
                ?assertEqual({ok, wasi}, hb_wasm64:host(H)),
                ?assertEqual(<<"2">>, eval(H, "io.write('hello') io.stdout:flush() return 2", fun call/4)),
                ?assertEqual({ok, #{stdout => <<"hello">>, stderr => <<>>}}, hb_wasm64:output(H)),
                ?assertEqual(<<"nil">>, eval(H, "local f, e = io.open('/x') return tostring(f)", fun call/4)),
                ?assertEqual(<<"true">>, eval(H, "return tostring((os.remove('/tmp')))", fun call/4)),
                ?assertEqual(<<"nil">>, eval(H, "return tostring((os.remove('/tmp')))", fun call/4))
            end},
            {"finds what an import function gives that answers everything with 0", fun() ->
                Zero = fun(S, _, _) -> {ok, [0], S} end,
                Zeros = fun(H, Func, Args, Options) ->
                    {ok, Results, none} = hb_wasm64:call(
                        H, Func, Args, Zero, none, Options#{intercept => [?P1, "env"]}
                    ),
                    {ok, Results}
                end,
                Codes = [
                    "return 1 + 1", "return math.random(1, 1000000)", "return os.clock()", "return tostring({})",
                    "local s = '' for k in pairs({a = 1, b = 2, c = 3, d = 4}) do s = s .. k end return s"
                ],
                [Of0, Served] = [
                    begin
                        {ok, H} = hb_wasm64:start(Image),
                        Answers = [eval(H, Code, Call) || Code <- Codes],
                        {ok, Memory} = hb_wasm64:read_memory(H),
                        {Answers, crypto:hash(sha256, Memory)}
                    end
                 || Call <- [Zeros, fun call/4]
                ],
                ?assertEqual(Of0, Served)
            end}
        ]}
    end).

call(H, Func, Args, Options) -> hb_wasm64:call(H, Func, Args, Options).

eval(H, Code, Call) ->
    {ok, Message} = hb_wasm64:write_string(H, [
        "{\"From\":\"F\",\"Owner\":\"F\",\"Target\":\"AOS\",\"Id\":\"1\",\"Module\":\"W\",\"Block-Height\":\"1\","
        "\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", Code, "\"}"
    ]),
    {ok, Env} = hb_wasm64:write_string(H,
        "{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"F\",\"Tags\":[{\"name\":\"Name\",\"value\":\"T\"}]}}"),
    {ok, [Pointer]} = Call(H, "handle", [Message, Env], #{timeout => 60_000}),
    {ok, Text} = hb_wasm64:read_string(H, Pointer),
    {match, [Data]} = re:run(Text, "\"data\":\"([^\"]*)\"", [{capture, [1], binary}]),
    Data.
