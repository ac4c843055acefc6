%% @doc Messages that the intervals of a process bring between its slots, as AO's compute unit makes them.
%%
%% A process has intervals by its tags `Cron-Interval' (`10-blocks', `5-minutes'), each with the `Cron-Tag-NAME' that follow it.
%% Between two slots the time goes on by a second at a time from that of the first; a block whose time has come brings the messages
%% of intervals in blocks, and each second those of intervals in seconds, the shortest ones first.
-module(dev_genesis_wasm64_cron).

-export([intervals/1, due/2, between/4]).
-export_type([interval/0, block/0]).

%% An interval in a unit that nobody knows never comes.
-type interval() :: #{unit := blocks | seconds | none, value := pos_integer(), tags := [{binary(), binary()}]}.
-type block() :: {Height :: non_neg_integer(), Timestamp :: non_neg_integer()}.
%% A block, or what is known of one at a slot; its time is in milliseconds.

%% @doc The intervals of a process. An error says which tag is wrong.
-spec intervals([{binary(), binary()}]) -> {ok, [interval()]} | {error, binary()}.
intervals(Tags) ->
    try lists:foldl(fun tag/2, [], Tags) of
        Intervals -> {ok, [Interval#{tags := lists:reverse(Own)} || #{tags := Own} = Interval <- lists:reverse(Intervals)]}
    catch
        throw:Text -> {error, Text}
    end.

tag({<<"Cron-Interval">>, Value}, Intervals) ->
    [(interval(Value))#{tags => []} | Intervals];
tag({<<"Cron-Tag-", Name/binary>>, Value}, Intervals) when Name =/= <<>> ->
    case Intervals of
        [#{tags := Tags} = Last | Others] -> [Last#{tags := [{Name, Value} | Tags]} | Others];
        [] -> throw(<<"Unmatched Cron-Tag with no preceding Cron-Interval: Cron-Tag-", Name/binary>>)
    end;
tag(_Other, Intervals) ->
    Intervals.

interval(Text) ->
    {Number, Unit} =
        case [string:trim(Part) || Part <- binary:split(Text, <<"-">>)] of
            [Digits, Name] -> {string:to_integer(Digits), Name};
            [Digits] -> {string:to_integer(Digits), <<>>}
        end,
    case Number of
        {Value, _} when is_integer(Value), Value > 0, Unit =:= <<"blocks">> orelse Unit =:= <<"block">> ->
            #{unit => blocks, value => Value};
        {Value, _} when is_integer(Value), Value > 0 ->
            case milliseconds(Unit) of
                unknown -> #{unit => none, value => Value};
                Length when Value * Length >= 1000 -> #{unit => seconds, value => Value * Length div 1000};
                _ -> throw(<<"time-based cron cannot be less than 1 second">>)
            end;
        _ ->
            throw(<<"not an interval: ", Text/binary>>)
    end.

milliseconds(Unit) ->
    Second = 1000,
    Units = #{
        [<<>>, <<"ms">>, <<"msec">>, <<"msecs">>, <<"millisecond">>, <<"milliseconds">>] => 1,
        [<<"s">>, <<"sec">>, <<"secs">>, <<"second">>, <<"seconds">>] => Second,
        [<<"m">>, <<"min">>, <<"mins">>, <<"minute">>, <<"minutes">>] => 60 * Second,
        [<<"h">>, <<"hr">>, <<"hrs">>, <<"hour">>, <<"hours">>] => 3600 * Second,
        [<<"d">>, <<"day">>, <<"days">>] => 86_400 * Second,
        [<<"w">>, <<"week">>, <<"weeks">>] => 604_800 * Second,
        [<<"y">>, <<"yr">>, <<"yrs">>, <<"year">>, <<"years">>] => 31_557_600 * Second
    },
    case [Length || {Names, Length} <- maps:to_list(Units), lists:member(string:lowercase(Unit), Names)] of
        [Length] -> Length;
        [] -> unknown
    end.

%% @doc How many messages come between two slots, at most.
-spec due([interval()], {Left :: block(), Right :: block()}) -> non_neg_integer().
due(Intervals, {{FromHeight, From}, {ToHeight, To}}) ->
    Due = fun
        (#{unit := blocks, value := Value}) -> max(0, ToHeight - FromHeight) div Value + 1;
        (#{unit := seconds, value := Value}) -> max(0, To - From) div (1000 * Value) + 1;
        (_Never) -> 0
    end,
    lists:sum([Due(Interval) || Interval <- Intervals]).

%% @doc The messages between two slots: the tags of each, and when it comes. `Origin' is the block of the process itself, `Blocks' are
%% those between the slots, in their order.
-spec between([interval()], Origin :: block(), {Left :: block(), Right :: block()}, Blocks :: [block()]) ->
    [{Tags :: [{binary(), binary()}], Timestamp :: non_neg_integer(), Height :: non_neg_integer()}].
between(Intervals, Origin, {{_, From} = Left, {_, To}}, Blocks) ->
    InRange = [Block || {_, Time} = Block <- Blocks, Time > From, Time < To],
    ByBlock = [Interval || #{unit := blocks} = Interval <- Intervals],
    ByTime = lists:sort(fun(#{value := A}, #{value := B}) -> A =< B end, [I || #{unit := seconds} = I <- Intervals]),
    case Intervals of
        [] -> [];
        _ -> lists:reverse(seconds(From, To, Left, InRange, {ByBlock, ByTime, Origin}, []))
    end.

seconds(Now, To, _Current, _Blocks, _Given, Messages) when Now >= To ->
    Messages;
seconds(Now, To, Current, Blocks, {ByBlock, ByTime, {OriginHeight, OriginTime}} = Given, Messages) ->
    {Block, Later, FromBlock} =
        case Blocks of
            [{Height, Time} = Next | Rest] when Now div 1000 >= Time div 1000 ->
                {Next, Rest, [
                    {Tags, Time, Height}
                 || #{value := Value, tags := Tags} <- ByBlock, on(Height - OriginHeight, Value)
                ]};
            _ ->
                {Current, Blocks, []}
        end,
    {BlockHeight, _} = Block,
    FromTime = [
        {Tags, Now, BlockHeight}
     || #{value := Value, tags := Tags} <- ByTime, on(Now div 1000 - OriginTime div 1000, Value)
    ],
    seconds(Now + 1000, To, Block, Later, Given, lists:reverse(FromTime, lists:reverse(FromBlock, Messages))).

%% The origin itself is on no interval.
on(0, _Value) -> false;
on(Distance, Value) -> Distance rem Value =:= 0.
