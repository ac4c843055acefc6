%% AOS, the operating system of AO processes: a real image, of half a megabyte,
%% with a Lua interpreter that throws exceptions by the legacy instructions. It
%% is not part of the project; where it is not there nothing of this runs.
-module(hb_wasm64_aos_tests).

-include_lib("eunit/include/eunit.hrl").

aos_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        [{timeout, 600, {Title, fun() -> Test(Image) end}}
         || {Title, Test} <- [
             {"one and one is two, twice", fun one_and_one/1},
             {"state stays from message to message", fun state_stays/1},
             {"a loop of 3,000,000 comes to its end", fun a_long_loop/1},
             {"pcall(error, 1) a million times in flat memory", fun pcall_is_flat/1},
             {"errors of Lua are caught by pcall", fun errors_are_caught/1},
             {"a Lua stack overflow is an error of Lua", fun stack_overflow/1},
             {"deep C calls are an error of Lua", fun deep_c_calls/1},
             {"an endless Lua loop ends by timeout, and another message is answered", fun endless_loop/1},
             {"two instances give the same bytes", fun same_bytes/1},
             {"fuel ends at the same instruction", fun same_fuel/1},
             {"nonsense for a message is answered", fun nonsense/1}
         ]]
    end).

%% The image is described as its module says, and its memory is as it declares.
aos_is_described_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        [{timeout, 300, fun() ->
            {ok, H} = hb_wasm64:start(Image),
            {ok, #{imports := Imports, exports := Exports, memory := Memory}} = hb_wasm64:describe(H),
            ?assertEqual(14, length(Imports)),
            [?assertMatch({func, [_ | _], [_ | _], "(" ++ _}, Import) || Import <- Imports],
            ?assert(lists:member({func, "handle", "(II)I"}, Exports)),
            ?assert(lists:member({func, "malloc", "(I)I"}, Exports)),
            ?assertEqual(192 * 65536, Memory),
            ?assertMatch({error, {unknown_function, _}}, hb_wasm64:free(H, 8))
         end}]
    end).

one_and_one(Image) ->
    H = start(Image),
    ?assertEqual(<<"2">>, eval(H, "return 1 + 1")),
    ?assertEqual(<<"2">>, eval(H, "return 1 + 1")).

state_stays(Image) ->
    H = start(Image),
    _ = eval(H, "Counter = 40"),
    ?assertEqual(<<"42">>, eval(H, "Counter = Counter + 2; return Counter")),
    ?assertEqual(<<"nil">>, eval(start(Image), "return tostring(Counter)")).

a_long_loop(Image) ->
    ?assertEqual(<<"4500001500000">>, eval(start(Image), "local n = 0; for i = 1, 3000000 do n = n + i end; return n")).

%% The rest of a million, after the first hundred thousand, takes less than 20 MB.
pcall_is_flat(Image) ->
    H = start(Image),
    Code = "local n = 0; for i = 1, 100000 do if not pcall(error, 1) then n = n + 1 end end; return n",
    ?assertEqual(<<"100000">>, eval(H, Code)),
    Before = hb_support:settled_rss(),
    [?assertEqual(<<"100000">>, eval(H, Code)) || _ <- lists:seq(1, 9)],
    ?assertEqual(true, hb_support:flat(Before, 20_000_000)).

errors_are_caught(Image) ->
    H = start(Image),
    ?assertEqual(<<"false">>, eval(H, "return tostring((pcall(error, 'oops')))")),
    ?assertEqual(<<"caught">>, eval(H, "local ok, e = pcall(function() error({name = 'caught'}) end); return e.name")),
    ?assertEqual(<<"3">>, eval(H, "local ok, e = pcall(function() pcall(error, 1); error(3, 0) end); return e")),
    ?assertEqual(<<"2">>, eval(H, "return 1 + 1")).

stack_overflow(Image) ->
    H = start(Image),
    ?assertEqual(<<"false">>, eval(H, "local function f() return 1 + f() end; return tostring((pcall(f)))")),
    ?assertEqual(<<"2">>, eval(H, "return 1 + 1")),
    %% Nobody catches it: AOS tells the error.
    Answer = message(H, "local function f() return 1 + f() end; return f()"),
    ?assertNotEqual(nomatch, binary:match(Answer, <<"stack overflow">>)),
    ?assertEqual(<<"2">>, eval(H, "return 1 + 1")).

%% Patterns and nested pcalls recurse in C, on the guest's own stack.
deep_c_calls(Image) ->
    H = start(Image),
    ?assertEqual(<<"done">>, eval(H, "local function f() return pcall(f) end; f(); return 'done'")),
    ?assertEqual(<<"false">>, eval(H, "return tostring((pcall(string.rep('x', 100).find, string.rep('a', 300000), "
                                      "string.rep('a?', 300000) .. 'b')))")),
    ?assertEqual(<<"false">>, eval(H, "local t = setmetatable({}, {}); getmetatable(t).__index = function(s, k) "
                                      "return s[k] end; return tostring((pcall(function() return t.x end)))")),
    ?assertEqual(<<"2">>, eval(H, "return 1 + 1")).

%% The interrupted message has left the interpreter in the middle of something;
%% it is a new instance that must work at once, and this one must answer.
endless_loop(Image) ->
    H = start(Image),
    <<"2">> = eval(H, "return 1 + 1"),
    ?assertEqual({error, timeout}, handle(H, "while true do end", #{timeout => 200})),
    ?assertMatch({ok, [_]}, handle(H, "return 1 + 1", #{timeout => 60_000})),
    ?assertEqual(<<"2">>, eval(start(Image), "return 1 + 1")).

%% What AO is about: who runs the same messages gets the same answers, and the
%% same memory to the last byte, whatever else the machine does.
same_bytes(Image) ->
    Codes = ["return 1 + 1", "X = {}; for i = 1, 10000 do X[i] = tostring(i) .. 'x' end; return #X",
             "return tostring((pcall(error, 1)))", "local f = function(f) return 1 + f(f) end; return tostring((pcall(f, f)))",
             "return 0/0", "return string.format('%.17g %.17g', 0.1, 1e300 * 1e10)", "return math.random(1000000)",
             "return tostring({})", "return table.concat(X, ',')"],
    Run = fun() ->
        H = start(Image),
        Answers = [message(H, Code) || Code <- Codes],
        {ok, Size} = hb_wasm64:memory_size(H),
        {ok, Memory} = hb_wasm64:read(H, 0, Size),
        {Answers, Memory}
    end,
    {Answers, Memory} = Run(),
    Busy = [spawn(fun() -> hb_wasm64:call(hb_support:start("loop"), "spin", []) end) || _ <- [1, 2, 3]],
    {Answers2, Memory2} = Run(),
    [hb_support:gone(Pid) || Pid <- Busy],
    ?assertEqual(Answers, Answers2),
    ?assert(Memory =:= Memory2).

same_fuel(Image) ->
    Ends = fun() ->
        H = start(Image),
        <<"2">> = eval(H, "return 1 + 1"),
        {error, {limit, fuel}} = handle(H, "N = 0; while true do N = N + 1 end", #{fuel => 20_000_000}),
        {ok, Size} = hb_wasm64:memory_size(H),
        {ok, Memory} = hb_wasm64:read(H, 0, Size),
        Memory
    end,
    Memory = Ends(),
    ?assert(Memory =:= Ends()).

%% AOS gives up on some of it by calling proc_exit, again and again where that
%% returns. The instance answers the host in any case.
nonsense(Image) ->
    [begin
         H = start(Image),
         {ok, M} = hb_wasm64:write_string(H, Message),
         {ok, E} = hb_wasm64:write_string(H, env()),
         case hb_wasm64:call(H, "handle", [M, E], fun zeros/3, s, #{timeout => 300}) of
             {ok, [P], s} -> ?assertMatch({ok, <<_/binary>>}, hb_wasm64:read_string(H, P));
             {error, {Kind, _}, s} -> ?assert(lists:member(Kind, [trap, exception]));
             {error, timeout, s} -> ok
         end,
         ?assertEqual({ok, list_to_binary(env())}, hb_wasm64:read_string(H, E))
     end || Message <- ["", "{", "nonsense", "[]", "null", binary:copy(<<"[">>, 10_000)]].

%% Support

start(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    H.

%% The data of the answer.
eval(H, Code) ->
    Answer = message(H, Code),
    case re:run(Answer, <<"\"Output\":\\{.*?\"data\":\"(.*?)\"">>, [{capture, [1], binary}, dotall]) of
        {match, [Data]} -> Data;
        nomatch -> error({no_data_in, Answer})
    end.

%% The whole answer.
message(H, Code) ->
    {ok, [Pointer]} = handle(H, Code, #{}),
    {ok, Answer} = hb_wasm64:read_string(H, Pointer),
    Answer.

handle(H, Code, Options) ->
    {ok, Message} = hb_wasm64:write_string(H, [
        "{\"From\":\"FOOBAR\",\"Block-Height\":\"1\",\"Target\":\"AOS\",\"Owner\":\"FOOBAR\",\"Id\":\"1\",\"Module\":\"W\","
        "\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", Code, "\"}"
    ]),
    {ok, Env} = hb_wasm64:write_string(H, env()),
    case hb_wasm64:call(H, "handle", [Message, Env], fun zeros/3, s, Options) of
        {ok, Results, s} -> {ok, Results};
        {error, Reason, s} -> {error, Reason}
    end.

env() ->
    "{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\",\"Tags\":[{\"name\":\"Name\",\"value\":\"Thomas\"},"
    "{\"name\":\"Authority\",\"value\":\"FOOBAR\"}]}}".

%% As HyperBEAM's stub.
zeros(State, _Request, _Options) -> {ok, [0], State}.
