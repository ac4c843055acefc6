%% Who serves each import, as `describe' tells it, and what becomes of functions of Emscripten's library that nobody serves.
-module(hb_wasm64_served_tests).

-include_lib("eunit/include/eunit.hrl").


-define(ROWS, [
    {"env", "emscripten_date_now", "()F", host},
    {"env", "__syscall_openat", "(iiii)i", host},
    {"env", "__syscall_socket", "(iiiiii)i", nobody},
    {"env", "emscripten_sleep", "(i)", nobody},
    {"env", "_dlopen_js", "(i)i", nobody},
    {"env", "emscripten_date_now_of_tomorrow", "()i", nobody},
    {"env", "getaddrinfo", "(iiii)i", nobody},
    {"env", "emscripten_trace_mark", "(i)", erlang},
    {"env", "mine", "(i)i", erlang},
    {"wasi_snapshot_preview1", "fd_write", "(iiii)i", host},
    {"wasi_snapshot_preview1", "fd_of_tomorrow", "()i", nobody},
    {"other", "emscripten_sleep", "(i)", erlang}
]).

each_import_has_one_who_serves_it_test() ->
    {ok, H} = hb_wasm64:start(hb_import_image:image(?ROWS)),
    {ok, #{served := Served, imports := Imports}} = hb_wasm64:describe(H),
    ?assertEqual([{Module, Func, Who} || {Module, Func, _, Who} <- ?ROWS], Served),
    ?assertEqual([{func, Module, Func, Type} || {Module, Func, Type, _} <- ?ROWS], Imports).

instructions_of_the_image_serve_what_unwinds_test() ->
    {ok, #{served := Served}} = hb_wasm64:describe(hb_support:start("emscripten/longjmp")),
    ?assertMatch({"env", _, image}, lists:keyfind("_emscripten_throw_longjmp", 2, Served)),
    {ok, #{served := Adds}} = hb_wasm64:describe(hb_support:start("imports")),
    ?assertEqual({"env", "add", erlang}, lists:keyfind("add", 2, Adds)).

%% The call ends, with the name; the instance lives on.
a_function_of_the_library_that_nobody_serves_is_no_success_test() ->
    {ok, H} = hb_wasm64:start(hb_import_image:image(?ROWS)),
    [begin
        {error, {unsupported, Text}} = hb_wasm64:call(H, "env." ++ Func, []),
        ?assertMatch({_, _}, binary:match(Text, list_to_binary("env." ++ Func)))
     end || Func <- ["emscripten_sleep", "_dlopen_js", "emscripten_date_now_of_tomorrow"]],
    ?assertEqual({ok, [-4]}, hb_wasm64:call(H, "env.getaddrinfo", [])),
    ?assertEqual({ok, [-52]}, hb_wasm64:call(H, "env.__syscall_socket", [])),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "env.emscripten_trace_mark", [])),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "other.emscripten_sleep", [])),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "env.mine", [])).

an_import_function_may_serve_it_test() ->
    {ok, H} = hb_wasm64:start(hb_import_image:image(?ROWS)),
    Serve = fun(Asked, #{func := Func}, _User) -> {ok, [7], [Func | Asked]} end,
    ?assertEqual({ok, [7], ["_dlopen_js"]}, hb_wasm64:call(H, "env._dlopen_js", [], Serve, [], #{})).
