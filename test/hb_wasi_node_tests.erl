%% The programs of test/guests/wasi, beside Node.js in the same run; and one that goes on in another process.
-module(hb_wasi_node_tests).

-include_lib("eunit/include/eunit.hrl").

-define(TIME, 1_700_000_000_000).

%% What test/guests/wasi/runs.txt says is run: `{Name, Program, Arguments}'.
runs() ->
    {ok, Text} = file:read_file(path("runs.txt")),
    [
        {binary_to_list(Name), binary_to_list(Program), Arguments}
     || Line <- binary:split(Text, <<"\n">>, [global]),
        [Name, Program | Arguments] <- [binary:split(Line, <<" ">>, [global])]
    ].

path(File) -> filename:join([hb_support:root(), "test/guests/wasi", File]).

program(Name) ->
    {ok, Packed} = file:read_file(path(Name ++ ".wasm.gz")),
    zlib:gunzip(Packed).

start(Program, Arguments) ->
    {ok, Input} = file:read_file(path("input.txt")),
    {ok, H} = hb_wasm64:start(program(Program), #{
        args => Arguments,
        env => [{<<"GREETING">>, <<"hello">>}],
        stdin => Input,
        seed => <<"seed">>,
        time => ?TIME
    }),
    H.

%% What a program prints, and its status, written as in the files of what Node.js gives.
run(H, Options) ->
    Status =
        case hb_wasm64:call(H, <<"_start">>, [], Options#{time => ?TIME}) of
            {ok, []} -> 0;
            {error, {exit, Number}} -> Number
        end,
    {ok, #{stdout := Output, stderr := Errors}} = hb_wasm64:output(H),
    ok = hb_wasm64:stop(H),
    iolist_to_binary([Output, "---- error output\n", Errors, "---- status ", integer_to_list(Status), "\n"]).

programs_print_what_node_prints_now_test_() ->
    Tests = [
        {Name, {timeout, 300, fun() ->
            ?assertEqual(in_node(Program, Arguments), run(start(Program, Arguments), #{}))
        end}}
     || {Name, Program, Arguments} <- runs()
    ],
    case os:find_executable("node") of
        false -> hb_support:not_run(Tests, fun in_node/2, "there is no node");
        _ -> Tests
    end.

in_node(Program, Arguments) ->
    Dir = filename:join("/tmp", "hb_wasi_" ++ os:getpid()),
    [Output, Errors] = [filename:join(Dir, Name) || Name <- ["output", "errors"]],
    ok = filelib:ensure_dir(Output),
    Command = lists:join(" ", [
        "node --no-warnings", path("node.mjs"), path(Program ++ ".wasm.gz"), "--env GREETING=hello",
        lists:join(" ", Arguments), "<", path("input.txt"), ">", Output, "2>", Errors, "; echo $?"
    ]),
    Status = os:cmd(lists:flatten(io_lib:format("~ts", [Command]))),
    [{ok, Printed}, {ok, Said}] = [file:read_file(File) || File <- [Output, Errors]],
    ok = file:del_dir_r(Dir),
    iolist_to_binary([Printed, "---- error output\n", Said, "---- status ", Status]).

%% With its goroutines, timers and maps.
a_reactor_goes_on_in_another_process_test_() ->
    {timeout, 600, fun() ->
        Image = program("reactor_go"),
        {ok, H} = hb_wasm64:start(Image, #{time => ?TIME}),
        ?assertEqual({ok, [5]}, hb_wasm64:call(H, <<"add">>, [2, 3], #{time => ?TIME})),
        ?assertEqual({ok, [5050]}, hb_wasm64:call(H, <<"sum">>, [100], #{time => ?TIME})),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        Rest = fun(It) ->
            [hb_wasm64:call(It, Func, Args, #{time => ?TIME + 5000})
             || {Func, Args} <- [{<<"add">>, [1, 1]}, {<<"count">>, []}, {<<"sum">>, [50]}]] ++ [hb_wasm64:snapshot(It)]
        end,
        Peer = hb_support:peer(),
        There = hb_support:on_peer(Peer, fun() ->
            {ok, It} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
            Rest(It)
        end),
        ok = peer:stop(Peer),
        Here = Rest(H),
        ?assertMatch([{ok, [2]}, {ok, [2]}, {ok, [1275]}, {ok, _}], Here),
        ?assert(Here =:= There)
    end}.
