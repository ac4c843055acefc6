%% AO's images from npm, where scripts/images.sh has brought them: what only
%% they are large enough for. What they answer is compared by `make parity'.
-module(hb_emscripten_images_tests).

-include_lib("eunit/include/eunit.hrl").

-define(TIME, 1_700_000_000_000).

%% A test for each image; the output says so where they are not there.
with_images(Names, Test) ->
    %% make hands over what is not given as empty.
    Dir =
        case os:getenv("IMAGES", "") of
            "" ->
                Cache = os:getenv("XDG_CACHE_HOME", filename:join(os:getenv("HOME", "/"), ".cache")),
                filename:join([Cache, "hb_wasm64", "images"]);
            Given ->
                Given
        end,
    Files = [{Name, filename:join(Dir, Name ++ ".wasm")} || Name <- Names],
    Tests = [{Name, {timeout, 600, fun() ->
        {ok, Image} = file:read_file(File),
        Test(Image)
    end}} || {Name, File} <- Files],
    case [File || {_, File} <- Files, not filelib:is_regular(File)] of
        [] -> Tests;
        [Missing | _] -> hb_support:not_run(Tests, Test, ["there is no ", Missing, ", which scripts/images.sh brings"])
    end.

start(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    _ = send(H, <<"process">>, <<"{\"name\":\"Type\",\"value\":\"Process\"}">>, <<>>),
    H.

eval(H, Code) -> send(H, <<"message">>, <<"{\"name\":\"Action\",\"value\":\"Eval\"}">>, Code).

%% Sends a message as the owner: the answer.
send(H, ID, Tag, Data) ->
    Message = <<"{\"Id\":\"", ID/binary, "\",\"From\":\"owner\",\"Owner\":\"owner\",\"Target\":\"process\",\"Module\":\"module\","
        "\"Block-Height\":1,\"Timestamp\":1700000000000,\"Tags\":[", Tag/binary, "],\"Data\":\"", Data/binary, "\"}">>,
    Environment = <<"{\"Process\":{\"Id\":\"process\",\"Owner\":\"owner\",\"Tags\":[{\"name\":\"Name\",\"value\":\"Test\"}]},"
        "\"Module\":{\"Id\":\"module\",\"Tags\":[]}}">>,
    {ok, Pointer} = hb_wasm64:write_string(H, Message),
    {ok, Around} = hb_wasm64:write_string(H, Environment),
    {ok, [Answer]} = hb_wasm64:call(H, <<"handle">>, [Pointer, Around], #{time => ?TIME}),
    {ok, Text} = hb_wasm64:read_string(H, Answer),
    ok = hb_wasm64:free(H, Pointer),
    ok = hb_wasm64:free(H, Around),
    Text.

many_pcalls_leave_the_memory_as_it_was_test_() ->
    with_images(["sqlite", "aos2_0_6"], fun(Image) ->
        H = start(Image),
        Pcalls = fun(N) -> eval(H, <<"for i = 1, ", (integer_to_binary(N))/binary, " do pcall(error, 1) end return 'done'">>) end,
        ?assertMatch({_, _}, binary:match(Pcalls(10_000), <<"done">>)),
        {ok, Before} = hb_wasm64:memory_size(H),
        Resident = hb_support:settled_rss(),
        ?assertMatch({_, _}, binary:match(Pcalls(200_000), <<"done">>)),
        ?assertEqual({ok, Before}, hb_wasm64:memory_size(H)),
        ?assertEqual(true, hb_support:flat(Resident, 10 bsl 20)),
        ok = hb_wasm64:stop(H)
    end).

%% Code that touches much of what the host does.
-define(CODES, [
    <<"x = {} for i = 1, 20000 do x[i] = i * i end return #x">>,
    <<"return pcall(error, 'out')">>,
    <<"local f = io.open('/tmp/f', 'a') f:write('line ', os.time(), '\\n') f:close() return os.date()">>,
    <<"local f = io.open('/tmp/f') local all = f and f:read('a') if f then f:close() end return all or 'none'">>,
    <<"local s = 0 for i = 1, 200000 do s = (s * 31 + i) % 1000003 end return s">>,
    <<"local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end return deep(10000)">>,
    <<"return select(2, pcall(string.rep, 'x', -1)), tostring(nil), collectgarbage('count') > 0">>
]).

slices_and_snapshots_change_no_answer_and_no_byte_test_() ->
    with_images(["sqlite", "aos2_0_1", "aos2_0_4_32"], fun(Image) ->
        Plain = play(Image, fun(H) -> H end),
        Restored = play(Image, fun(H) ->
            {ok, Snapshot} = hb_wasm64:snapshot(H),
            ok = hb_wasm64:stop(H),
            {ok, Other} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
            Other
        end),
        Sliced = fun(Slice) ->
            ok = hb_wasm64:time_slice(Slice),
            try play(Image, fun(H) -> H end) after ok = hb_wasm64:time_slice(1000) end
        end,
        ?assertEqual(Plain, Restored),
        ?assertEqual(Plain, Sliced(100)),
        ?assertEqual(Plain, Sliced(10_000))
    end).

%% All answers, and the hash of the state after them.
play(Image, Between) ->
    {H, Answers} = lists:foldl(
        fun(Code, {H, Answers}) ->
            Answer = eval(H, Code),
            {Between(H), [Answer | Answers]}
        end, {start(Image), []}, ?CODES),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    ok = hb_wasm64:stop(H),
    {lists:reverse(Answers), crypto:hash(sha256, Snapshot)}.
