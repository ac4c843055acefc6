%% @doc Rounds, and what they say.
-module(hb_bench_figures).

-export([rounds/3, median/1, middle_half/1, confidence/1]).

-define(FEWEST, 3).

%% @doc The results of so many rounds, or of fewer where they take longer than so many milliseconds; of three at least.
-spec rounds(fun(() -> Result), pos_integer(), non_neg_integer()) -> [Result].
rounds(Round, Most, Longest) ->
    rounds(Round, Most, erlang:monotonic_time(millisecond) + Longest, []).

rounds(_Round, Most, _End, Results) when length(Results) >= Most ->
    Results;
rounds(Round, Most, End, Results) ->
    case length(Results) >= ?FEWEST andalso erlang:monotonic_time(millisecond) > End of
        true -> Results;
        false -> rounds(Round, Most, End, [Round() | Results])
    end.

-spec median([Number, ...]) -> Number when Number :: number().
median(List) -> lists:nth(length(List) div 2 + 1, lists:sort(List)).

%% @doc Half of the numbers are within these two.
-spec middle_half([Number, ...]) -> {Number, Number} when Number :: number().
middle_half(List) ->
    Sorted = lists:sort(List),
    Quarter = length(List) div 4,
    {lists:nth(Quarter + 1, Sorted), lists:nth(length(List) - Quarter, Sorted)}.

%% @doc The median of all rounds that could have been is within these two with a probability of 95 %: from the binomial
%% distribution of how many of a sample are below the median. With fewer than six rounds it is all of them, and less sure.
-spec confidence([Number, ...]) -> {Number, Number} when Number :: number().
confidence(List) ->
    Sorted = lists:sort(List),
    Count = length(List),
    Below = max(1, floor(Count / 2 - 0.98 * math:sqrt(Count))),
    {lists:nth(Below, Sorted), lists:nth(Count + 1 - Below, Sorted)}.
