%% @doc Rows of AO's images built with Emscripten, against the JavaScript that else runs them. Each message gets what a
%% compute unit gives it: the memory that the one before has left.
-module(hb_bench_emscripten).

-export([rows/0]).

-import(hb_bench_row, [once/2]).

-define(ONE, <<"return 1 + 1">>).

-spec rows() -> [hb_bench_row:row()].
rows() ->
    [
        one("aos2-eval", "aos2_0_6"),
        one("sqlite-eval", "sqlite"),
        longer("sqlite-loop", "loop of 3,000,000", <<"local x = 0 for i = 1, 3000000 do x = x + i end return x">>, 1.25),
        longer("sqlite-pcall", "100,000 pcalls", <<"for i = 1, 100000 do pcall(error, 1) end return 1">>, 1.0)
    ].

one(Name, Image) ->
    Row = row(Name, Image, "return 1 + 1", ?ONE),
    Row#{
        against => "ao-loader",
        turns => 20,
        %% JavaScript moves all of the memory for each message: nothing of ours is in a cache then.
        warm => 50,
        reference => fun(Context) -> javascript(Context, Image, ?ONE) end,
        target => {times, 0.02}
    }.

longer(Name, Title, Code, Times) ->
    Image = "sqlite",
    Row = row(Name, Image, Title, Code),
    Row#{
        against => "ao-loader, less an eval",
        turns => 1,
        reference => fun(Context) -> less(javascript(Context, Image, Code), javascript(Context, Image, ?ONE)) end,
        target => {times, Times}
    }.

row(Name, Image, Title, Code) ->
    #{
        name => Name,
        title => [Image, ", ", Title],
        needs => images,
        turn => fun(Context) ->
            H = process(Context, Image),
            Eval = eval(H, evaluation(Code)),
            fun() -> {H, Eval()} end
        end,
        tell => fun({H, Answer}) -> output(H, Answer) end
    }.

%% The time of one reference without that of another.
less(Reference, Less) ->
    fun(Turns) ->
        {Time0, _} = Less(1),
        {Time, Result} = Reference(Turns),
        {max(1.0, Time - Time0), Result}
    end.

javascript(#{node := Node, loader := Loader} = Context, Image, Code) ->
    Format = "wasm64-unknown-emscripten-draft_2024_02_15",
    Args = ["--experimental-wasm-memory64", "bench/loader.mjs", Loader, Format, path(Context, Image)],
    hb_bench_row:asked(once({loader, Image}, fun() -> hb_bench_row:program(Node, Args) end), [Code]).

path(#{images := Images}, Image) -> filename:join(Images, Image ++ ".wasm").

%% After the message that a process begins with, which makes its owner known: the owner's evals are obeyed.
process(Context, Image) ->
    once({process, Image}, fun() ->
        H = hb_bench_row:start(path(Context, Image)),
        {ok, _} = (eval(H, text("process")))(),
        H
    end).

text(Name) ->
    {ok, Text} = file:read_file(["bench/aos/", Name, ".json"]),
    Text.

%% The message of the other rows about AOS, with other code.
evaluation(Code) -> binary:replace(text("one_and_one"), ?ONE, Code).

eval(H, Message) ->
    Pointers = [begin {ok, Pointer} = hb_wasm64:write_string(H, Text), Pointer end || Text <- [Message, text("environment")]],
    fun() -> hb_wasm64:call(H, <<"handle">>, Pointers, #{time => 1_700_000_000_000}) end.

%% The output of an eval, as loader.mjs has it.
output(H, {ok, [Answer]}) ->
    {ok, Text} = hb_wasm64:read_string(H, Answer),
    {match, [Output]} = re:run(Text, "\"(?:output|data)\":(\"?[0-9]+\"?)[,}]", [{capture, all_but_first, binary}]),
    Output.
