%% @doc Rows of AOS with a gas meter, against ao-loader, which is asked before each block, and against the same image with
%% its meter taken out.
-module(hb_bench_meters).

-export([rows/0]).

-import(hb_bench_row, [once/2]).

-define(ONE, <<"return 1 + 1">>).
-define(TABLE, <<"local t = {} for i = 1, 20000 do t[i] = 'item ' .. i end return #t">>).

-spec rows() -> [hb_bench_row:row()].
rows() ->
    [
        loader("metered-first", "first message", ?ONE, fun first/3, ["fresh"]),
        loader("metered-eval", "return 1 + 1", ?ONE, fun later/3, []),
        loader("metered-table", "table of 20,000", ?TABLE, fun later/3, []),
        without("meter-cost-first", "first message", ?ONE, fun first/3),
        without("meter-cost-boot", "boot of Lua", none, fun boot/3),
        without("meter-cost-eval", "return 1 + 1", ?ONE, fun later/3),
        without("meter-cost-table", "table of 20,000", ?TABLE, fun later/3)
    ].

loader(Name, Title, Code, Measure, Mode) ->
    (row(Name, Title, Code, Measure))#{
        against => "ao-loader",
        target => {times, 0.2},
        reference => fun(#{node := Node, loader := Loader, metered := Image}) ->
            Args = ["--experimental-wasm-memory64", "bench/loader.mjs", Loader, "wasm32-unknown-emscripten2", Image | Mode],
            hb_bench_row:asked(once({loader, metered, Mode}, fun() -> hb_bench_row:program(Node, Args) end), [Code])
        end
    }.

without(Name, Title, Code, Measure) ->
    (row(Name, Title, Code, Measure))#{
        against => "the same without its meter",
        target => {times, 1.15},
        reference => fun(Context) -> Measure(Context, without, Code) end
    }.

row(Name, Title, Code, Measure) ->
    #{
        name => Name,
        title => ["metered AOS, ", Title],
        needs => metered,
        turns => 5,
        measure => fun(Context) -> Measure(Context, metered, Code) end
    }.

%% The first message of an instance that has been started.
first(Context, Which, Code) ->
    Started = started(Context, Which),
    fun(Turns) ->
        measured(Turns, fun() ->
            {ok, H} = hb_wasm64:fork(Started),
            %% The fork's pages are written for the first time by whoever is first.
            eval(H, Code)
        end)
    end.

%% `main', which starts Lua.
boot(Context, Which, none) ->
    Image = image(Context, Which),
    fun(Turns) ->
        measured(Turns, fun() ->
            {ok, H} = hb_wasm64:start(Image, #{initialize => false}),
            {ok, []} = hb_wasm64:call(H, <<"__wasm_call_ctors">>, []),
            {fun() -> hb_wasm64:call(H, <<"main">>, [0, 0]) end, fun({ok, [0]}) -> <<"0">> end}
        end)
    end.

%% A message of one that has had others.
later(Context, Which, Code) ->
    H = once({later, Which}, fun() ->
        {ok, H} = hb_wasm64:fork(started(Context, Which)),
        {Process, _} = eval(H, text("process")),
        {ok, _} = Process(),
        H
    end),
    fun(Turns) -> measured(Turns, fun() -> eval(H, Code) end) end.

started(Context, Which) ->
    once({started, Which}, fun() ->
        {ok, H} = hb_wasm64:start(image(Context, Which), #{initialize => main}),
        H
    end).

%% Nanoseconds of a turn, whose preparation is not timed, and the result of the last one.
measured(Turns, Prepare) ->
    {Total, Result} = lists:foldl(
        fun(_, {Total, _}) ->
            {Turn, Tell} = Prepare(),
            Begin = erlang:monotonic_time(),
            Ended = Turn(),
            End = erlang:monotonic_time(),
            {Total + End - Begin, Tell(Ended)}
        end,
        {0, none},
        lists:seq(1, Turns)
    ),
    {erlang:convert_time_unit(Total, native, nanosecond) / Turns, Result}.

image(#{metered := Path}, Which) ->
    {ok, Image} = file:read_file(Path),
    case Which of
        metered -> Image;
        without -> without_meter(Image)
    end.

%% The image with no instruction in the place of each constant and call of its meter, which is its last import.
without_meter(Image) ->
    Meter = "\\x41[\\x80-\\xff]{0,4}[\\x00-\\x7f]\\x10\\x1f",
    {match, Found} = re:run(Image, Meter, [global, dotall]),
    true = length(Found) > 9_000,
    {Parts, At} = lists:foldl(
        fun([{Start, Length}], {Parts, At}) ->
            {[binary:copy(<<1>>, Length), binary:part(Image, At, Start - At) | Parts], Start + Length}
        end,
        {[], 0},
        Found
    ),
    iolist_to_binary(lists:reverse(Parts, [binary:part(Image, At, byte_size(Image) - At)])).

text(Name) ->
    {ok, Text} = file:read_file(["bench/aos/", Name, ".json"]),
    Text.

%% An eval, and its output as loader.mjs has it; of the message `process' the message itself.
eval(H, Code) ->
    Message = case Code of
        <<"{", _/binary>> -> Code;
        _ -> binary:replace(text("one_and_one"), ?ONE, Code)
    end,
    Pointers = [begin {ok, Pointer} = hb_wasm64:write_string(H, Text), Pointer end || Text <- [Message, text("environment")]],
    {
        fun() -> hb_wasm64:call(H, <<"handle">>, Pointers, #{time => 1_700_000_000_000}) end,
        fun({ok, [Answer]}) ->
            {ok, Text} = hb_wasm64:read_string(H, Answer),
            {match, [Output]} = re:run(Text, "\"(?:output|data)\":(\"?[0-9]+\"?)[,}]", [{capture, all_but_first, binary}]),
            _ = [hb_wasm64:free(H, Pointer) || Pointer <- Pointers],
            Output
        end
    }.
