%% Imports that nobody serves: neither the engine, nor an import function, nor a
%% device. Functions of WASI and of Linux report an error, and programs go on or
%% end; where no such protocol is known the answer is zeros.
-module(hb_wasm64_unserved_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, started/1, compute/3, result/1, get/2]).

-define(BADF, 8).
-define(NOSYS, 52).

%% Module, function, type, and what a guest is told.
rows() ->
    [
        {"wasi_snapshot_preview1", "fd_write", "(iiii)i", [?BADF]},
        {"wasi_snapshot_preview1", "fd_prestat_get", "(ii)i", [?BADF]},
        {"wasi_snapshot_preview1", "fd_close", "(i)i", [?BADF]},
        {"wasi_unstable", "fd_read", "(iIII)i", [?BADF]},
        {"wasi_snapshot_preview1", "path_open", "(iiiiiIIii)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "random_get", "(ii)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "environ_sizes_get", "(II)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "poll_oneoff", "(iiii)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "of_tomorrow", "()i", [?NOSYS]},
        {"wasi_unstable", "sched_yield", "()i", [?NOSYS]},
        %% AOS shows in its results whether its clock fails.
        {"wasi_snapshot_preview1", "clock_time_get", "(iII)i", [0]},
        {"env", "__syscall_socket", "(iiiiii)i", [-?NOSYS]},
        {"env", "__syscall_fork", "()i", [-?NOSYS]},
        {"env", "__syscall_uname", "(I)i", [-?NOSYS]},
        {"env", "__syscall_wait4", "(iiii)i", [-?NOSYS]},
        {"env", "__syscall__newselect", "(iiiii)i", [-?NOSYS]},
        %% With other results there is no place for an error.
        {"wasi_snapshot_preview1", "fd_tell", "(ii)", []},
        {"wasi_snapshot_preview1", "random_bits", "()I", [0]},
        {"wasi_snapshot_preview1", "random_unit", "()F", [0.0]},
        {"env", "__syscall_two", "()ii", [0, 0]},
        %% These are of no protocol.
        {"wasi_snapshot_preview2", "fd_write", "(iiii)i", [0]},
        {"wasi_snapshot_preview1x", "fd_write", "(iiii)i", [0]},
        {"other", "__syscall_socket", "(iiiiii)i", [0]},
        {"env", "syscall", "()i", [0]},
        {"env", "fd_write", "(iiii)i", [0]},
        {"", "", "()i", [0]}
    ].

every_call_is_told_test() ->
    each_row(fun(H, Name) -> hb_wasm64:call(H, Name, []) end).

%% Also where Emscripten's host serves what it knows.
every_call_of_an_image_of_emscripten_is_told_test() ->
    Date = {"env", "emscripten_date_now", "()F", [0.0]},
    %% That host serves most of the functions of this module.
    Rows = [Row || {Module, _, _, _} = Row <- rows(), Module =/= "wasi_snapshot_preview1"],
    {ok, H} = hb_wasm64:start(image([Date | Rows])),
    ?assertEqual({ok, emscripten}, hb_wasm64:host(H)),
    told(H, [Date | Rows], fun(Name) -> hb_wasm64:call(H, Name, []) end).

%% Nobody is asked in a call that is nested in an import and has no function of its own.
a_nested_call_is_told_test() ->
    {ok, H} = hb_wasm64:start(image([{"env", "outer", "()i", []} | rows()])),
    [
        begin
            Nested = fun(_, #{instance := Scope}, _) -> {ok, [1], hb_wasm64:call(Scope, name(Row), [])} end,
            ?assertEqual({Row, {ok, [1], {ok, Told}}}, {Row, hb_wasm64:call(H, "env.outer", [], Nested, none, #{})})
        end
     || {_, _, _, Told} = Row <- rows()
    ].

%% An import function decides for itself.
an_import_function_is_asked_test() ->
    {ok, H} = hb_wasm64:start(image(rows())),
    Asked = fun(Seen, #{module := Module, func := Func, func_sig := Signature}, _) ->
        {ok, [7, 7], [{Module, Func, Signature} | Seen]}
    end,
    [
        ?assertMatch({_, {ok, _, [{Module, Func, Type}]}}, {Row, hb_wasm64:call(H, name(Row), [], Asked, [], #{})})
     || {Module, Func, Type, _} = Row <- rows()
    ].

a_program_that_ends_itself_has_ended_test() ->
    Type = "(i)",
    [
        begin
            {ok, H} = hb_wasm64:start(image([{Module, "proc_exit", Type, []}])),
            ?assertEqual({error, {exit, 42}}, hb_wasm64:call(H, Module ++ ".proc_exit", [])),
            ?assertEqual({ok, idle}, hb_wasm64:status(H))
        end
     || Module <- ["wasi_snapshot_preview1", "wasi_unstable"]
    ],
    %% Of another type it is something else.
    Others = [{"wasi_snapshot_preview1", "proc_exit", "(ii)", []}, {"env", "proc_exit", Type, []}],
    [?assertEqual({ok, []}, hb_wasm64:call(ok(hb_wasm64:start(image([Row]))), name(Row), [])) || Row <- Others].

%% A start has nobody to ask.
a_start_that_ends_the_program_fails_test() ->
    ?assertEqual({error, {exit, 42}}, hb_wasm64:start(image([{"wasi_unstable", "proc_exit", "(i)", []}], 0))),
    {ok, _} = hb_wasm64:start(image([{"env", "proc_exit", "(i)", []}], 0)).

%%% The device

a_device_tells_the_same_and_records_it_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started(image(rows())),
        each_row(fun(_, Name) ->
            After = ok(compute(M, list_to_binary(Name), [])),
            {Module, Func, Type, _} = row(Name),
            Call = #{
                <<"module">> => list_to_binary(Module), <<"func">> => list_to_binary(Func), <<"func-sig">> => list_to_binary(Type)
            },
            [Recorded | _] = get(<<"state/results/undefined-calls">>, After),
            ?assertEqual(Call, maps:with(maps:keys(Call), Recorded)),
            case result({ok, After}) of
                [ok, Results] -> {ok, Results}
            end
        end)
    end).

a_device_lets_a_program_end_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started(image([{"wasi_snapshot_preview1", "proc_exit", "(i)", []}])),
        After = ok(compute(M, <<"wasi_snapshot_preview1.proc_exit">>, [])),
        ?assertEqual([error, <<"exit: 42">>], result({ok, After})),
        ?assertMatch(
            [#{<<"func">> := <<"proc_exit">>, <<"args">> := [42]}], get(<<"state/results/undefined-calls">>, After)
        )
    end).

%% As other devices ask for imports.
the_key_import_tells_the_same_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        Ask = fun(Module, Func, Args, Type) ->
            hb_ao:resolve(M, #{
                <<"path">> => <<"import">>, <<"module">> => list_to_binary(Module), <<"func">> => list_to_binary(Func),
                <<"args">> => Args, <<"func-sig">> => list_to_binary(Type)
            }, #{})
        end,
        [
            ?assertMatch({Row, {ok, #{<<"results">> := Told}}}, {Row, Ask(Module, Func, [], Type)})
         || {Module, Func, Type, Told} = Row <- rows(), Module =/= ""
        ],
        ?assertMatch({error, #{<<"body">> := <<"func: exit: 3">>}}, Ask("wasi_unstable", "proc_exit", [3], "(i)"))
    end).

%%% AOS

%% A buffer that cannot be written is an error of Lua, and not tried for ever.
aos_writes_to_nobody_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        {timeout, 60, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            ?assertEqual(<<"2">>, eval(H, "io.write('x') io.stdout:flush() return 2", fun call/4)),
            ?assertEqual(<<"nil">>, eval(H, "local f, e = io.open('/x') return tostring(f)", fun call/4)),
            ?assertEqual(<<"nil">>, eval(H, "return tostring((os.remove('/x')))", fun call/4))
        end}
    end).

%% What AOS finds at its start is what an import function gives that answers
%% everything with 0.
aos_is_as_with_zeros_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        {timeout, 60, fun() ->
            Zeros = fun(H, Func, Args, Options) ->
                {ok, Results, none} = hb_wasm64:call(H, Func, Args, fun(S, _, _) -> {ok, [0], S} end, none, Options),
                {ok, Results}
            end,
            Codes = [
                "return 1 + 1", "return math.random(1, 1000000)", "return os.clock()", "return tostring({})",
                "local s = '' for k in pairs({a = 1, b = 2, c = 3, d = 4}) do s = s .. k end return s"
            ],
            [Of0, Told] = [
                begin
                    {ok, H} = hb_wasm64:start(Image),
                    Answers = [eval(H, Code, Call) || Code <- Codes],
                    {ok, Memory} = hb_wasm64:read_memory(H),
                    {Answers, crypto:hash(sha256, Memory)}
                end
             || Call <- [Zeros, fun call/4]
            ],
            ?assertEqual(Of0, Told)
        end}
    end).

call(H, Func, Args, Options) -> hb_wasm64:call(H, Func, Args, Options).

eval(H, Code, Call) ->
    {ok, Message} = hb_wasm64:write_string(H, [
        "{\"From\":\"F\",\"Owner\":\"F\",\"Target\":\"AOS\",\"Id\":\"1\",\"Module\":\"W\",\"Block-Height\":\"1\","
        "\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", Code, "\"}"
    ]),
    {ok, Env} = hb_wasm64:write_string(H,
        "{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"F\",\"Tags\":[{\"name\":\"Name\",\"value\":\"T\"}]}}"),
    {ok, [Pointer]} = Call(H, "handle", [Message, Env], #{timeout => 30_000}),
    {ok, Text} = hb_wasm64:read_string(H, Pointer),
    {match, [Data]} = re:run(Text, "\"data\":\"([^\"]*)\"", [{capture, [1], binary}]),
    Data.

%%% Support

each_row(Call) ->
    {ok, H} = hb_wasm64:start(image(rows())),
    told(H, rows(), fun(Name) -> Call(H, Name) end).

told(_H, Rows, Call) ->
    [?assertEqual({Row, {ok, Told}}, {Row, Call(name(Row))}) || {_, _, _, Told} = Row <- Rows].

name({Module, Func, _, _}) -> Module ++ "." ++ Func.

row(Name) ->
    [Row] = [Row || Row <- rows(), name(Row) =:= Name],
    Row.

%% An image that imports these functions and exports, under the name of each, one
%% that calls it with 42 for every argument and returns its results.
image(Rows) -> image(Rows, none).

%% The same, with one of them (by its number) as the start.
image(Rows, Start) ->
    Count = length(Rows),
    Numbered = lists:enumerate(0, Rows),
    Types = [[types(Params), types(Results)] || {_, _, Type, _} <- Rows, {Params, Results} <- [signature(Type)]],
    Callers = [[types(""), types(Results)] || {_, _, Type, _} <- Rows, {_, Results} <- [signature(Type)]],
    Imports = [[text(Module), text(Func), 0, leb(N)] || {N, {Module, Func, _, _}} <- Numbered],
    Exports = [[text(name(Row)), 0, leb(Count + N)] || {N, Row} <- Numbered],
    Bodies = [
        sized([0, [constant(Param) || Param <- element(1, signature(Type))], 16#10, leb(N), 16#0b])
     || {N, {_, _, Type, _}} <- Numbered
    ],
    iolist_to_binary([
        <<0, "asm", 1:32/little>>,
        section(1, vector([[16#60, Type] || Type <- Types ++ Callers])),
        section(2, vector(Imports)),
        section(3, vector([leb(Count + N) || {N, _} <- Numbered])),
        section(7, vector(Exports)),
        case Start of
            none -> [];
            _ -> section(8, leb(Count + Start))
        end,
        section(10, vector(Bodies))
    ]).

signature("(" ++ Rest) ->
    [Params, Results] = string:split(Rest, ")"),
    {Params, Results}.

types(Letters) -> vector([maps:get(Letter, #{$i => 16#7f, $I => 16#7e, $F => 16#7c}) || Letter <- Letters]).

constant($i) -> [16#41, 42];
constant($I) -> [16#42, 42].

text(Text) -> sized(Text).
vector(Items) -> [leb(length(Items)) | Items].
section(Id, Content) -> [Id, sized(Content)].
sized(Content) -> [leb(iolist_size(Content)), Content].

leb(N) when N < 128 -> [N];
leb(N) -> [N band 127 bor 128 | leb(N bsr 7)].
