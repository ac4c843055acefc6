%% What the tests of AO's loader send to images of its formats, and what they require of the answers.
-module(hb_emscripten_loader_tests).

-include_lib("eunit/include/eunit.hrl").

%% The first two formats: an image that knows a few actions.
an_image_of_the_first_format_test_() -> actions("legacy/minified.wasm", 51, fun assignments/1).
an_image_of_the_second_format_test_() -> actions("legacy/old_time_t.wasm", 47, fun(_) -> ok end).

actions(File, PopenLine, More) ->
    hb_support:with_shared(File, fun(Image) ->
        {timeout, 600, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            ?assertEqual(<<"\"Hello World\"">>, output(action(H, "echo", "Hello World"))),
            ?assertEqual(<<"1">>, output(action(H, "inc", ""))),
            %% The memory is handed on from instance to instance.
            {ok, Snapshot} = hb_wasm64:snapshot(H),
            {ok, Next} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
            ?assertEqual(<<"2">>, output(action(Next, "inc", ""))),
            ?assertEqual(<<"2">>, output(action(H, "inc", ""))),
            ?assertEqual(<<"\"1970-01-01\"">>, output(action(H, "Date", ""))),
            ?assertEqual(<<"0.5">>, output(action(H, "Random", ""))),
            ?assertEqual(<<"0.5">>, output(action(H, "Random", ""))),
            Popen = io_lib:format("[string \\\".process\\\"]:~b: 'popen' not supported", [PopenLine]),
            ?assertMatch({_, _}, binary:match(action(H, "Directory", ""), iolist_to_binary(Popen))),
            More(H)
        end}
    end).

assignments(H) ->
    Answer = action(H, "Assignment", ""),
    ?assertEqual({match, [[<<"1">>], [<<"2">>]]}, re:run(Answer, "\"Message\":\"mid-([12])\"", [global, {capture, [1], binary}])),
    ?assertEqual(2, length(binary:matches(Answer, <<"\"Processes\":[\"pid-1\",\"pid-2\"]">>))).

%% AOS with SQLite, of the second format.
a_database_of_an_image_of_the_second_format_test_() ->
    hb_support:with_shared("legacy/old_stat_sqlite.wasm", fun(Image) ->
        {timeout, 600, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            Insert = "local sqlite3 = require('lsqlite3') db = sqlite3.open_memory()"
                " db:exec[[CREATE TABLE test (id INTEGER PRIMARY KEY, content);"
                " INSERT INTO test VALUES (NULL, 'Hello Lua'); INSERT INTO test VALUES (NULL, 'Hello Sqlite3');"
                " INSERT INTO test VALUES (NULL, 'Hello ao!!!');]] return 'ok'",
            ?assertEqual(<<"\"ok\"">>, output(eval(H, Insert))),
            Select = "local s = '' for row in db:nrows('SELECT * FROM test') do s = s .. row.id .. ': ' .. row.content .. ';' end"
                " return s",
            ?assertEqual(<<"\"1: Hello Lua;2: Hello Sqlite3;3: Hello ao!!!;\"">>, output(eval(H, Select)))
        end}
    end).

%% The environment is that of the format: Emscripten's in the second, none in later ones.
programs_of_the_second_format_have_an_environment_test_() ->
    hb_support:with_shared("legacy/old_stat_sqlite.wasm", fun(Image) ->
        {timeout, 600, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            [?assertEqual({Name, Value}, {Name, output(eval(H, "return tostring(os.getenv('" ++ Name ++ "'))"))})
                || {Name, Value} <- [
                    {"USER", <<"\"web_user\"">>}, {"LOGNAME", <<"\"web_user\"">>}, {"PATH", <<"\"/\"">>}, {"PWD", <<"\"/\"">>},
                    {"HOME", <<"\"/home/web_user\"">>}, {"LANG", <<"\"C.UTF-8\"">>}, {"_", <<"\"./this.program\"">>},
                    {"NOSUCH", <<"\"nil\"">>}
                ]]
        end}
    end).

programs_of_later_formats_have_no_environment_test_() ->
    hb_support:with_shared("legacy/wd_process.wasm", fun(Image) ->
        {timeout, 600, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            ?assertEqual(<<"\"nil\"">>, output(eval(H, "return tostring(os.getenv('PATH'))")))
        end}
    end).

%% The rest, for an AOS of the latest format: what is returned, counted from message to message, the day, and a number.
an_image_of_the_latest_format_test_() ->
    hb_support:with_shared("legacy/wd_process.wasm", fun(Image) ->
        {timeout, 600, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            ?assertEqual(<<"\"Hello World\"">>, output(eval(H, "return 'Hello World'"))),
            ?assertEqual(<<"\"1\"">>, output(eval(H, "count = 1 return count"))),
            {ok, Snapshot} = hb_wasm64:snapshot(H),
            {ok, Next} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
            ?assertEqual(<<"\"2\"">>, output(eval(Next, "count = count + 1 return count"))),
            ?assertEqual(<<"\"1970-01-01\"">>, output(eval(H, "return os.date('%Y-%m-%d')")))
        end}
    end).

%% AOS of the second format with a gas meter: memory that grows, a message that follows, and a shell that is not there.
a_metered_image_test_() ->
    hb_support:with_shared("legacy/metered_aos.wasm", fun(Image) ->
        {timeout, 300, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            _ = eval(H, "Data = {} for i = 1, 10000 do table.insert(Data, 'Hello') end"),
            ?assertEqual(<<"10000">>, output(eval(H, "return #Data"))),
            ?assertMatch({_, _}, binary:match(eval(H, "os.execute('echo beep > foo.txt')"), <<"Function not implemented">>))
        end}
    end).

action(H, Name, Data) ->
    Message = ["{\"Owner\":\"tom\",\"Target\":\"1\",\"Tags\":[{\"name\":\"Action\",\"value\":\"", Name, "\"}],\"Data\":\"", Data, "\"}"],
    handle(H, Message, "{\"Process\":{\"Id\":\"1\",\"Tags\":[]}}").

eval(H, Code) ->
    Message = ["{\"Target\":\"AOS\",\"Owner\":\"FOOBAR\",\"From\":\"FOOBAR\",\"Block-Height\":\"1000\",\"Id\":\"1\",\"Module\":\"M\",",
        "\"Timestamp\":0,\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", Code, "\"}"],
    handle(H, Message, "{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\",\"Tags\":[]}}").

handle(H, Message, Env) ->
    {ok, M} = hb_wasm64:write_string(H, iolist_to_binary(Message)),
    {ok, E} = hb_wasm64:write_string(H, Env),
    {ok, [Pointer]} = hb_wasm64:call(H, "handle", [M, E]),
    {ok, Answer} = hb_wasm64:read_string(H, Pointer),
    Answer.

%% What an answer gives as its output, or as the data of that.
output(Answer) ->
    Value = "(\"[^\"]*\"|[^{,}]+)",
    case re:run(Answer, ["\"(?:output|data)\":", Value], [{capture, [1], binary}]) of
        {match, [Output]} -> Output;
        nomatch ->
            {match, [Output]} = re:run(Answer, ["\"Output\":", Value], [{capture, [1], binary}]),
            Output
    end.
