%% @doc The rows of `make bench', and how one of them is measured in the process that calls this.
%%
%% A row is a map:
%% <table>
%% <tr><th>key</th><th>value</th></tr>
%% <tr><td>`name', `group'</td><td>strings by which it can be chosen; the group is the name of the module's list</td></tr>
%% <tr><td>`title', `against'</td><td>what is measured, and what the reference is</td></tr>
%% <tr><td>`turns'</td><td>how many turns make one side's part of a round</td></tr>
%% <tr><td>`turn'</td><td>`fun((Context) -> fun(() -> Result))': prepares, and returns a turn, which is timed</td></tr>
%% <tr><td>`measure'</td><td>in place of `turn', where more than a turn has to be done:
%%     `fun((Context) -> fun((Turns) -> {Figure, Result}))'</td></tr>
%% <tr><td>`reference'</td><td>as `measure', with `none' as the result where there is nothing to compare; without it there
%%     is no reference</td></tr>
%% <tr><td>`target'</td><td>`{more, Ns}' than the reference, `{times, Factor}' of the reference at most, `{at_least, Factor}'
%%     of the reference, `{at_most, Ns}', or `none'</td></tr>
%% <tr><td>`unit'</td><td>of a figure: `time' in nanoseconds (the default), `bytes', `count'; what is no time is measured once</td></tr>
%% <tr><td>`per_turn'</td><td>how often a turn does what is shown (1)</td></tr>
%% <tr><td>`warm'</td><td>turns before those that are timed (a tenth of them)</td></tr>
%% <tr><td>`tell'</td><td>the result of a turn as the reference has it</td></tr>
%% <tr><td>`needs'</td><td>what it cannot be measured without: `aos', `node', `images', `metered'</td></tr>
%% </table>
-module(hb_bench_row).

-export([all/0, named/1, missing/2, repeats/1, ours/2, reference/2]).
-export([once/2, time/3, timed/1, guest/2, start/1, rust/2, program/2, asked/2]).
-export_type([row/0, context/0, measure/0]).

-type row() :: map().
-type context() :: #{reference | guests | aos | node | loader | images | metered => string()}.
-type measure() :: fun((Turns :: pos_integer()) -> {Figure :: number(), Result :: term()}).

%% The longest that a program may take for its part of a round.
-define(PATIENCE, 120_000).

-spec all() -> [row()].
all() ->
    [Row#{group => Group} || {Group, Rows} <- [
        {"calls", hb_bench_calls:rows()},
        {"memory", hb_bench_memory:rows()},
        {"state", hb_bench_state:rows()},
        {"images", hb_bench_images:rows()},
        {"device", hb_bench_device:rows()},
        {"emscripten", hb_bench_emscripten:rows()},
        {"meters", hb_bench_meters:rows()},
        {"legacynet", hb_bench_legacynet:rows()}
    ], Row <- Rows].

-spec named(string()) -> row().
named(Name) ->
    hd([Row || #{name := Known} = Row <- all(), Known =:= Name]).

%% @doc What a row needs and this machine does not have.
-spec missing(row(), context()) -> none | iodata().
missing(#{needs := aos}, #{aos := Aos}) ->
    case filelib:is_regular(Aos) of
        true -> none;
        false -> Aos
    end;
missing(#{needs := node}, #{node := ""}) -> "Node 20";
missing(#{needs := metered}, #{metered := Metered, loader := Loader}) ->
    case {filelib:is_regular(Metered), Loader} of
        {false, _} -> Metered;
        {true, ""} -> "Node 20, or no loader from npm";
        {true, _} -> none
    end;
missing(#{needs := images}, #{images := ""}) -> "Node 20, or no images from npm";
missing(_Row, _Context) -> none.

-spec repeats(row()) -> boolean().
repeats(Row) -> maps:get(unit, Row, time) =:= time.

%% @doc Prepares a row.
-spec ours(row(), context()) -> measure().
ours(#{turns := Most} = Row, Context) ->
    PerTurn = maps:get(per_turn, Row, 1),
    Tell = maps:get(tell, Row, fun(Result) -> Result end),
    Measure =
        case Row of
            #{turn := Prepare} ->
                Turn = Prepare(Context),
                Warm = maps:get(warm, Row, Most div 10),
                fun(Turns) -> time(Turn, Turns, Warm * Turns div Most) end;
            #{measure := Prepare} ->
                Prepare(Context)
        end,
    fun(Turns) ->
        {Figure, Result} = Measure(Turns),
        {Figure / PerTurn, as_text(Tell(Result))}
    end.

%% @doc Prepares the reference of a row.
-spec reference(row(), context()) -> measure().
reference(#{reference := Prepare} = Row, Context) ->
    PerTurn = maps:get(per_turn, Row, 1),
    Measure = Prepare(Context),
    fun(Turns) ->
        {Figure, Result} = Measure(Turns),
        {Figure / PerTurn, as_text(Result)}
    end;
reference(_Row, _Context) ->
    fun(_Turns) -> {0, none} end.

as_text(none) -> none;
as_text(Result) when is_binary(Result) -> Result;
as_text(Result) -> iolist_to_binary(io_lib:format("~w", [Result])).

%% @doc The value of a function that this process calls once, for all rows.
-spec once(term(), fun(() -> Value)) -> Value when Value :: term().
once(Key, Make) ->
    case get({?MODULE, Key}) of
        undefined ->
            Value = Make(),
            put({?MODULE, Key}, {value, Value}),
            Value;
        {value, Value} ->
            Value
    end.

%% @doc Nanoseconds that a turn takes, and the result of the last one. The turns before fill the caches, which hold what
%% the other side has left there.
-spec time(fun(() -> Result), pos_integer(), non_neg_integer()) -> {float(), Result}.
time(Turn, Turns, Warm) ->
    _ = repeat(Warm, Turn, none),
    Begin = erlang:monotonic_time(),
    Result = repeat(Turns, Turn, none),
    End = erlang:monotonic_time(),
    {erlang:convert_time_unit(End - Begin, native, nanosecond) / Turns, Result}.

repeat(0, _Turn, Result) -> Result;
repeat(N, Turn, _Result) -> repeat(N - 1, Turn, Turn()).

%% @doc A reference in Erlang.
-spec timed(fun(() -> term())) -> measure().
timed(Turn) -> fun(Turns) -> time(Turn, Turns, Turns div 10) end.

-spec guest(context(), string()) -> string().
guest(#{guests := Guests}, Name) -> filename:join(Guests, Name ++ ".wasm").

-spec start(string()) -> hb_wasm64:handle().
start(Path) ->
    {ok, Image} = file:read_file(Path),
    {ok, H} = hb_wasm64:start(Image),
    H.

%% @doc A measurement by the reference program in Rust; see there for the fields.
-spec rust(context(), [string()]) -> measure().
rust(#{reference := Reference}, Fields) ->
    asked(once(rust, fun() -> program(Reference, []) end), Fields).

%% @doc Starts a program that answers each line of fields, the last of which is the number of turns, with one line: a
%% figure with a decimal point, a tab, and a result.
-spec program(string(), [string()]) -> port().
program(Executable, Args) ->
    open_port({spawn_executable, Executable}, [{args, Args}, {line, 1 bsl 20}, binary, exit_status]).

%% @doc A measurement by such a program.
-spec asked(port(), [iodata()]) -> measure().
asked(Port, Fields) ->
    fun(Turns) ->
        [Figure, Result] = binary:split(ask(Port, lists:join($\t, Fields ++ [integer_to_list(Turns)])), <<"\t">>),
        {binary_to_float(Figure), Result}
    end.

ask(Port, Line) ->
    true = port_command(Port, [Line, $\n]),
    receive
        {Port, {data, {eol, Answer}}} -> Answer;
        {Port, {exit_status, Status}} -> error({reference_ended, Status, Line})
    after ?PATIENCE -> error({reference_is_silent, Line})
    end.
