%% @doc `make bench BASE=directory': each row on this build and on another, a round of the one after a round of the other.
%%
%% Each build runs in an Erlang VM of its own, with the same modules of this benchmark. There are several such pairs of VMs, as
%% one VM can be faster than another of the same build for all of its life (by how its memory and code happen to lie);
%% every row is measured in each pair. Which of a pair begins changes with each round.
%% Both have to be built with the same settings of the compiler: those of cargo's own configuration count as well.
-module(hb_bench_builds).

-export([compare/5]).
%% What runs in the VM of a build.
-export([open/1, measure/2, close/1]).

-define(PAIRS, 3).
%% For each pair of VMs.
-define(ROUNDS, 61).
%% The time of one side's part of a round, in nanoseconds: shorter ones are disturbed more rarely.
-define(PART, 5_000_000).
%% Milliseconds that a row may take in one pair of VMs, but for three rounds.
-define(LONGEST, 15_000).
%% The longest that one side may take for its part of a round.
-define(PATIENCE, 300_000).

-record(build, {name, directory, peer}).

%% @doc Prints a line for each row. `Base' and `This' are directories with a built library each, `Beams' has the compiled
%% modules of the benchmark.
-spec compare([hb_bench_row:row()], string(), string(), string(), hb_bench_row:context()) -> ok.
compare(Rows, Base, This, Beams, Context) ->
    Builds = {build("base", Base), build("this", This)},
    Start = fun(Build) -> running(Build, Beams, Context) end,
    hb_bench_table:builds_heading(Base, This),
    {Verdicts, Pairs} = lists:mapfoldl(
        fun(Row, Pairs) ->
            Running = [{Start(First), Start(Second)} || {First, Second} <- Pairs],
            {row(Row, Running, Context), Running}
        end,
        lists:duplicate(?PAIRS, Builds),
        Rows
    ),
    hb_bench_table:summary(Verdicts),
    [peer:stop(Peer) || {#build{peer = First}, #build{peer = Second}} <- Pairs, Peer <- [First, Second]],
    ok.

build(Name, Directory) ->
    filelib:is_regular(filename:join(ebin(Directory), "hb_wasm64.beam")) orelse
        throw({usage, [Directory, " is not a checkout of this library that has been built"]}),
    #build{name = Name, directory = Directory, peer = none}.

ebin(Directory) -> filename:join(Directory, "_build/default/lib/hb_wasm64/ebin").

%% Starts the VM of a build, unless it runs: what one row does to it is not the end of the others.
running(#build{directory = Directory, peer = Peer} = Build, Beams, Context) ->
    case is_pid(Peer) andalso is_process_alive(Peer) of
        true ->
            Build;
        false ->
            Args = ["+Bd", "-pa", ebin(Directory), Beams],
            {ok, New, _} = peer:start(#{connection => standard_io, args => Args, wait_boot => 60_000}),
            ok = peer:call(New, ?MODULE, open, [Context], ?PATIENCE),
            Build#build{peer = New}
    end.

row(#{name := Name} = Row, Pairs, Context) ->
    case hb_bench_row:missing(Row, Context) of
        none ->
            try
                Rounds = lists:append([rounds(Row, Pair) || Pair <- Pairs]),
                [close(Name, Build) || {Base, This} <- Pairs, Build <- [Base, This]],
                verdict(Row, Rounds)
            catch
                throw:{cannot, Whose, Why} ->
                    hb_bench_table:not_measured(Row, io_lib:format("~s cannot run it: ~0tP", [Whose, Why, 12])),
                    not_measured
            end;
        What ->
            hb_bench_table:not_measured(Row, ["there is no ", What]),
            not_measured
    end.

verdict(Row, Rounds) ->
    Same = lists:all(fun({{_, Result}, {_, Result1}}) -> Result =:= Result1 end, Rounds),
    hb_bench_table:against_base(Row, [{Base, This} || {{Base, _}, {This, _}} <- Rounds], Same).

rounds(#{name := Name, turns := Most} = Row, {Base, This}) ->
    %% The first time, a row is prepared.
    Few = max(1, Most div 100),
    {Figure, _} = First = measured(Base, Name, Few),
    {Figure1, _} = Second = measured(This, Name, Few),
    case hb_bench_row:repeats(Row) of
        true ->
            Turns = turns(Row, max(Figure, Figure1)),
            hb_bench_figures:rounds(fun() -> alternating(Name, Turns, Base, This) end, ?ROUNDS, ?LONGEST);
        false ->
            [{First, Second}]
    end.

%% As many turns as there is time for, but no more than where there are references.
turns(#{turns := Most} = Row, Figure) ->
    max(1, min(Most, round(?PART / max(1.0, Figure * maps:get(per_turn, Row, 1))))).

%% The build that was second is first the next time.
alternating(Name, Turns, Base, This) ->
    case put(first, this) of
        this ->
            put(first, base),
            Measured = measured(Base, Name, Turns),
            {Measured, measured(This, Name, Turns)};
        _ ->
            Measured = measured(This, Name, Turns),
            {measured(Base, Name, Turns), Measured}
    end.

measured(#build{name = Whose} = Build, Name, Turns) ->
    case ask(Build, measure, [Name, Turns]) of
        {ok, Measured} -> Measured;
        {cannot, Why} -> throw({cannot, Whose, Why})
    end.

close(Name, Build) -> ok = ask(Build, close, [Name]).

ask(#build{peer = Peer}, Function, Args) ->
    try
        peer:call(Peer, ?MODULE, Function, Args, ?PATIENCE)
    catch
        exit:_ ->
            %% It may hang as well as have ended.
            catch peer:stop(Peer),
            {cannot, no_answer}
    end.

%% In the VM of a build

%% @doc Starts the process that measures.
-spec open(hb_bench_row:context()) -> ok.
open(Context) ->
    {ok, _} = application:ensure_all_started(hb_wasm64),
    Opened = self(),
    Pid = spawn(fun() ->
        register(?MODULE, self()),
        Opened ! {self(), open},
        serve(Context, #{})
    end),
    receive {Pid, open} -> ok end.

%% @doc Measures so many turns of a row, which is prepared the first time.
-spec measure(string(), pos_integer()) -> {ok, {number(), term()}} | {cannot, term()}.
measure(Name, Turns) -> request({measure, Name, Turns}).

%% @doc Gives up what was prepared for a row alone.
-spec close(string()) -> ok.
close(Name) -> request({close, Name}).

request(Request) ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! {self(), Monitor, Request},
    receive
        {Monitor, Answer} -> demonitor(Monitor, [flush]), Answer;
        {'DOWN', Monitor, process, _, Reason} -> {cannot, Reason}
    end.

serve(Context, Prepared) ->
    receive
        {From, Tag, {measure, Name, Turns}} ->
            case prepared(Name, Context, Prepared) of
                {ok, Measure} ->
                    From ! {Tag, try_to(fun() -> Measure(Turns) end)},
                    serve(Context, Prepared#{Name => Measure});
                {cannot, _} = Cannot ->
                    From ! {Tag, Cannot},
                    serve(Context, Prepared)
            end;
        {From, Tag, {close, Name}} ->
            Rest = maps:remove(Name, Prepared),
            _ = garbage_collect(),
            From ! {Tag, ok},
            serve(Context, Rest)
    end.

prepared(Name, Context, Prepared) ->
    case Prepared of
        #{Name := Measure} -> {ok, Measure};
        #{} -> try_to(fun() -> hb_bench_row:ours(hb_bench_row:named(Name), Context) end)
    end.

%% An older build may not have what a row calls, or answer in other shapes.
try_to(Do) ->
    try
        {ok, Do()}
    catch
        error:undef:Stack ->
            [{Module, Function, Args, _} | _] = Stack,
            {cannot, {undef, Module, Function, length(Args)}};
        _:Reason -> {cannot, Reason}
    end.
