%% @doc What `make bench' prints.
-module(hb_bench_table).

-export([references_heading/1, against_reference/2, builds_heading/2, against_base/3, not_measured/2, summary/1]).

-type rounds() :: [{Before :: number(), After :: number()}, ...].

%% A build is slower with a ratio beyond this.
-define(SLOWER, 1.03).

%% @doc Above rows that are compared with references.
-spec references_heading(pos_integer()) -> ok.
references_heading(Rounds) ->
    io:format("Medians of up to ~w rounds; half of the rounds are within what is given in brackets.~n", [Rounds]),
    load(),
    columns(["row", "", "reference", "ours", "reference", "compared", "", "target", ""]).

%% @doc A row that is compared with a reference: the figures of each round, the reference's first.
-spec against_reference(hb_bench_row:row(), rounds()) -> ok.
against_reference(#{name := Name, title := Title, against := Against, target := Target} = Row, Rounds) ->
    Unit = maps:get(unit, Row, time),
    Figure = hb_bench_figures:median([Ours || {_, Ours} <- Rounds]),
    Figure0 = hb_bench_figures:median([Reference || {Reference, _} <- Rounds]),
    Compared = [compare(Target, Round) || Round <- Rounds],
    Median = hb_bench_figures:median(Compared),
    columns([
        Name, Title, Against, figure(Unit, Figure), figure(Unit, Figure0), compared(Target, Median),
        middle_half(Target, Compared), wanted(Target), verdict(Target, Figure, Median)
    ]).

columns(Columns) ->
    io:format("~-16s ~-27s ~-23s ~10s ~10s ~10s ~-24s ~9s  ~s~n", Columns).

compare({more, _}, {Reference, Ours}) -> Ours - Reference;
compare(_, {Reference, _}) when Reference == 0 -> none;
compare(_, {Reference, Ours}) -> Ours / Reference.

compared(_, none) -> "";
compared({more, _}, Time) when Time < 0 -> ["-", duration(-Time)];
compared({more, _}, Time) -> ["+", duration(Time)];
compared(_, Factor) -> io_lib:format("~.2fx", [Factor]).

middle_half(_, [_]) ->
    "";
middle_half(_, [none | _]) ->
    "";
middle_half(Target, Compared) ->
    {First, Last} = hb_bench_figures:middle_half(Compared),
    ["(", compared(Target, First), " to ", compared(Target, Last), ")"].

wanted({more, Time}) -> ["+", duration(Time)];
wanted({times, Factor}) -> io_lib:format("~.2fx", [Factor]);
wanted({at_least, Factor}) -> io_lib:format(">~.2fx", [Factor]);
wanted({at_most, Time}) -> duration(Time);
wanted(none) -> "".

verdict(none, _, _) -> "";
verdict({at_most, Most}, Figure, _) when Figure =< Most -> "ok";
verdict({more, Most}, _, Compared) when Compared =< Most -> "ok";
verdict({times, Most}, _, Compared) when Compared =< Most -> "ok";
verdict({at_least, Least}, _, Compared) when Compared >= Least -> "ok";
verdict(_, _, _) -> "MISSED".

%% @doc Above rows that are compared with another build.
-spec builds_heading(string(), string()) -> ok.
builds_heading(Base, This) ->
    io:format("base: ~ts~nthis: ~ts~n", [Base, This]),
    io:format(
        "ratio: this / base, the median of pairs of rounds, and where it is with a probability of 95 %; least: the same of~n"
        "the shortest rounds. SLOWER, or \"ok\": beyond a ratio of ~.2f, or not, with that probability; \"unclear\": neither.~n",
        [?SLOWER]
    ),
    load(),
    versus(["row", "", "base", "this", "ratio", "", "least", ""]).

%% @doc A row that is compared with the same of another build: the figures of each pair of rounds, the base's first. With
%% results that differ it is a comparison of different things.
-spec against_base(hb_bench_row:row(), rounds(), boolean()) -> ok | slower | unclear.
against_base(#{name := Name, title := Title} = Row, Rounds, Same) ->
    Unit = maps:get(unit, Row, time),
    Ratios = [This / Base || {Base, This} <- Rounds],
    {Low, High} = hb_bench_figures:confidence(Ratios),
    {Bases, Theses} = lists:unzip(Rounds),
    Verdict = slower(Row, Low, High),
    versus([
        Name, Title, figure(Unit, hb_bench_figures:median(Bases)), figure(Unit, hb_bench_figures:median(Theses)),
        ratio(hb_bench_figures:median(Ratios)), ["(", ratio(Low), " to ", ratio(High), ")"],
        ratio(lists:min(Theses) / lists:min(Bases)),
        [case Verdict of slower -> "SLOWER"; _ -> atom_to_list(Verdict) end, [", results differ" || not Same]]
    ]),
    Verdict.

%% Of what is to be at least so much, less is worse.
slower(#{target := {at_least, _}}, _Low, High) when High < 1 / ?SLOWER -> slower;
slower(#{target := {at_least, _}}, Low, _High) when Low >= 1 / ?SLOWER -> ok;
slower(#{target := {at_least, _}}, _Low, _High) -> unclear;
slower(_Row, Low, _High) when Low > ?SLOWER -> slower;
slower(_Row, _Low, High) when High =< ?SLOWER -> ok;
slower(_Row, _Low, _High) -> unclear.

ratio(Ratio) -> io_lib:format("~.3f", [Ratio]).

versus(Columns) ->
    io:format("~-16s ~-27s ~10s ~10s ~8s ~-18s ~8s  ~s~n", Columns).

%% @doc A row without a figure.
-spec not_measured(hb_bench_row:row(), iodata()) -> ok.
not_measured(#{name := Name, title := Title}, Why) ->
    io:format("~-16s ~-27s not measured: ~ts~n", [Name, Title, Why]).

%% @doc How many rows came out how.
-spec summary([ok | slower | unclear | not_measured]) -> ok.
summary(Verdicts) ->
    Count = fun(Verdict) -> length([Same || Same <- Verdicts, Same =:= Verdict]) end,
    io:format("~w rows: ~w ok, ~w slower, ~w unclear, ~w not measured~n", [
        length(Verdicts), Count(ok), Count(slower), Count(unclear), Count(not_measured)
    ]).

load() ->
    %% Linux only; elsewhere the reader has to know.
    case file:read_file("/proc/loadavg") of
        {ok, Load} ->
            io:format("Load of this machine before: ~s. The less the better.~n", [hd(binary:split(Load, <<" ">>))]);
        {error, _} ->
            ok
    end.

figure(time, Time) -> duration(Time);
figure(_Unit, Number) when Number == 0 -> "";
figure(_Unit, Number) -> integer_to_list(round(Number)).

duration(Time) when Time == 0 -> "";
duration(Time) when Time < 10_000 -> io_lib:format("~.2f us", [Time / 1.0e3]);
duration(Time) when Time < 1_000_000 -> io_lib:format("~.1f us", [Time / 1.0e3]);
duration(Time) when Time < 1.0e10 -> io_lib:format("~.2f ms", [Time / 1.0e6]);
duration(Time) -> io_lib:format("~.1f s", [Time / 1.0e9]).
