%% Images that older versions of Emscripten have built, with times of 32 bits and the files that belong to them.
-module(hb_emscripten_old_tests).

-include_lib("eunit/include/eunit.hrl").

-define(TIME, 1_700_000_000_000).

%% Programs of Emscripten 3.1.6 print what they print in JavaScript, for which scripts/emcc-guests.sh has asked: dates, files and the
%% environment, and C++ exceptions.
guests_of_an_old_emscripten_print_what_they_print_in_javascript_test_() ->
    [{Name, {timeout, 300, fun() ->
        {ok, Expected} = file:read_file(filename:join([hb_support:root(), "test/guests/emcc", Name ++ ".expected"])),
        Image = hb_support:guest("emcc/" ++ Name),
        {ok, H} = hb_wasm64:start(Image, #{initialize => main, time => ?TIME + 123}),
        {ok, #{stdout := Output, stderr := Errors}} = hb_wasm64:output(H),
        ?assertEqual({string:split(Expected, "\n", all), <<>>}, {string:split(Output, "\n", all), Errors}),
        {ok, #{served := Served}} = hb_wasm64:describe(H),
        ?assertEqual([], [Func || {_, Func, Who} <- Served, Who =/= host, Who =/= image])
    end}} || Name <- ["system", "throw"]].

%% What `old_time_t.wasm' answers to its action `Date' is the day of the call.
a_time_of_32_bits_is_read_as_one_test_() ->
    hb_support:with_shared("legacy/old_time_t.wasm", fun(Image) ->
        fun() ->
            {ok, H} = hb_wasm64:start(Image),
            Message = <<"{\"Owner\":\"tom\",\"Target\":\"1\",\"Tags\":[{\"name\":\"Action\",\"value\":\"Date\"}],\"Data\":\"\"}">>,
            Answer = handle(H, Message, <<"{\"Process\":{\"Id\":\"1\",\"Tags\":[]}}">>),
            ?assertMatch({_, _}, binary:match(Answer, <<"\"Output\":\"2023-11-14\"">>))
        end
    end).

%% Lua's dates and files, and SQLite, which looks at the size of its files.
dates_files_and_databases_of_an_old_image_work_test_() ->
    hb_support:with_shared("legacy/old_stat_sqlite.wasm", fun(Image) ->
        Rows = [
            {"return os.date('!%Y-%m-%d', 86400)", <<"\"1970-01-02\"">>},
            {"return os.time({year=2020,month=1,day=1,hour=0})", <<"1577836800">>},
            %% The year stays as it is given.
            {"local t = {year=2019,month=13,day=1,hour=0} return os.time(t) .. ' ' .. t.year .. ' ' .. t.month",
                <<"\"1577836800 2019 1\"">>},
            {"return os.time()", <<"1700000000">>},
            {"local f = io.open('/tmp/f', 'w') f:write(string.rep('x', 5000)) f:close() return #io.open('/tmp/f'):read('a')",
                <<"5000">>},
            {"return require('lsqlite3').open('/tmp/d'):exec('create table t(a); insert into t values (1),(2)')", <<"0">>},
            {"for v in require('lsqlite3').open('/tmp/d'):urows('select sum(a) from t') do return v end", <<"3">>}
        ],
        {timeout, 300, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            [?assertEqual({Code, {match, [Output]}}, {Code, output(eval(H, Code))}) || {Code, Output} <- Rows]
        end}
    end).

%% The value of an answer, whose keys come in any order.
output(Answer) -> re:run(Answer, "\"output\":(\"[^\"]*\"|[^,}]*)", [{capture, all_but_first, binary}]).

eval(H, Code) ->
    Message = ["{\"Target\":\"AOS\",\"Owner\":\"FOOBAR\",\"Block-Height\":\"1\",\"Id\":\"1\",\"Module\":\"M\",",
        "\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", Code, "\"}"],
    handle(H, iolist_to_binary(Message), <<"{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\",\"Tags\":[]}}">>).

handle(H, Message, Env) ->
    {ok, M} = hb_wasm64:write_string(H, Message),
    {ok, E} = hb_wasm64:write_string(H, Env),
    {ok, [Pointer]} = hb_wasm64:call(H, "handle", [M, E], #{time => ?TIME}),
    {ok, Answer} = hb_wasm64:read_string(H, Pointer),
    Answer.
