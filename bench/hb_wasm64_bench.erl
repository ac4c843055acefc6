%% @doc `make bench': measures rows, against references or against another build of this library.
%%
%% A row measures one thing, see {@link hb_bench_row}. Without `BASE' it is compared with a reference that is measured in
%% the same round: the same work in Rust without Erlang (native/engine/benches/reference), in Erlang, or in JavaScript.
%% With `BASE' it is compared with itself on the other build, see {@link hb_bench_builds}.
%%
%% A target that is missed is a result, not a failure: the exit code is 0 unless a measurement could not be made.
-module(hb_wasm64_bench).

-export([main/1]).

%% Many short rounds: a disturbance of one side alone then reaches few of them.
-define(ROUNDS, 41).
%% A row ends after this time even if it has had fewer rounds, but at least three.
-define(LONGEST, 60_000).

-spec main([string()]) -> no_return().
main([Rows, Base, This, Beams | Paths]) ->
    Context = maps:from_list(lists:zip([reference, guests, aos, node, loader, images, metered], Paths)),
    try
        Chosen = chosen(string:lexemes(Rows, ", "), hb_bench_row:all()),
        case Base of
            "" ->
                {ok, _} = application:ensure_all_started(hb_wasm64),
                hb_bench_table:references_heading(?ROUNDS),
                [against_reference(Row, Context) || Row <- Chosen];
            _ ->
                hb_bench_builds:compare(Chosen, Base, This, Beams, Context)
        end,
        halt(0)
    catch
        throw:{usage, Text} ->
            io:format(standard_error, "bench: ~ts~n", [Text]),
            halt(2);
        Class:Reason:Stack ->
            io:format(standard_error, "bench: could not measure: ~p~n", [{Class, Reason, Stack}]),
            halt(1)
    end.

chosen([], Rows) ->
    Rows;
chosen(Names, Rows) ->
    Known = fun(Name, #{name := RowName, group := Group}) -> Name =:= RowName orelse Name =:= Group end,
    case [Name || Name <- Names, not lists:any(fun(Row) -> Known(Name, Row) end, Rows)] of
        [] -> [Row || Row <- Rows, lists:any(fun(Name) -> Known(Name, Row) end, Names)];
        [Unknown | _] -> throw({usage, ["no row or group is called ", Unknown, ". The groups and their rows:", groups(Rows)]})
    end.

groups(Rows) ->
    Groups = lists:foldl(fun(#{group := Group}, Seen) -> Seen ++ [Group || not lists:member(Group, Seen)] end, [], Rows),
    [["\n  ", Group, ": ", lists:join(" ", [Name || #{name := Name, group := In} <- Rows, In =:= Group])] || Group <- Groups].

against_reference(Row, Context) ->
    case hb_bench_row:missing(Row, Context) of
        none -> measure(Row, Context);
        What -> hb_bench_table:not_measured(Row, ["there is no ", What])
    end.

measure(#{turns := Turns} = Row, Context) ->
    Reference = hb_bench_row:reference(Row, Context),
    Ours = hb_bench_row:ours(Row, Context),
    Round = fun() ->
        {Figure0, Result0} = Reference(Turns),
        {Figure, Result} = Ours(Turns),
        case Result0 =:= none orelse Result0 =:= Result of
            true -> {Figure0, Figure};
            false -> error({different_results, #{row => maps:get(name, Row), ours => Result, reference => Result0}})
        end
    end,
    %% The first one makes whatever is made once: instances, memory, compiled code.
    First = Round(),
    Rounds =
        case hb_bench_row:repeats(Row) of
            true -> hb_bench_figures:rounds(Round, ?ROUNDS, ?LONGEST);
            false -> [First]
        end,
    hb_bench_table:against_reference(Row, Rounds),
    _ = garbage_collect(),
    ok.
