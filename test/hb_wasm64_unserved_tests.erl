%% Imports that nobody serves: neither the engine, nor an import function, nor a
%% device. Functions of WASI and of Linux report an error, and programs go on or
%% end; where no such protocol is known the answer is zeros. The engine serves a
%% function of the right name and type: these have other ones.
-module(hb_wasm64_unserved_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, started/1, compute/3, result/1, get/2]).
-import(hb_import_image, [image/1, name/1]).

-define(BADF, 8).
-define(NOSYS, 52).

%% Module, function, type, and what a guest is told.
rows() ->
    [
        {"wasi_snapshot_preview1", "fd_write", "(iii)i", [?BADF]},
        {"wasi_snapshot_preview1", "fd_prestat_get", "(II)i", [?BADF]},
        {"wasi_snapshot_preview1", "fd_of_tomorrow", "()i", [?BADF]},
        {"wasi_unstable", "fd_read", "(iIII)i", [?BADF]},
        {"wasi_snapshot_preview1", "path_open", "(iiiiiiiii)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "random_get", "(iii)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "environ_sizes_get", "(II)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "poll_oneoff", "(iii)i", [?NOSYS]},
        {"wasi_snapshot_preview1", "of_tomorrow", "()i", [?NOSYS]},
        {"wasi_unstable", "sched_yield", "(i)i", [?NOSYS]},
        %% AOS shows in its results whether its clock fails.
        {"wasi_snapshot_preview1", "clock_time_get", "(II)i", [0]},
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
    Rows = [{"env", "emscripten_date_now", "()F", [0.0]} | rows()],
    {ok, H} = hb_wasm64:start(image(Rows)),
    ?assertEqual({ok, emscripten}, hb_wasm64:host(H)),
    told(H, Rows, fun(Name) -> hb_wasm64:call(H, Name, []) end).

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

%% Of another type it is something else.
what_is_called_like_the_end_of_a_program_does_not_end_it_test() ->
    Others = [{"wasi_snapshot_preview1", "proc_exit", "(ii)", []}, {"env", "proc_exit", "(i)", []}],
    [?assertEqual({ok, []}, hb_wasm64:call(ok(hb_wasm64:start(image([Row]))), name(Row), [])) || Row <- Others].

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

%%% Support

each_row(Call) ->
    {ok, H} = hb_wasm64:start(image(rows())),
    told(H, rows(), fun(Name) -> Call(H, Name) end).

told(_H, Rows, Call) ->
    [?assertEqual({Row, {ok, Told}}, {Row, Call(name(Row))}) || {_, _, _, Told} = Row <- Rows].

row(Name) ->
    [Row] = [Row || Row <- rows(), name(Row) =:= Name],
    Row.
