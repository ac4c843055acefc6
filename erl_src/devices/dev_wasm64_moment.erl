%% @doc What the clock of a guest shows, and what its random bytes follow from: both are of the message, so the same on every
%% node.
-module(dev_wasm64_moment).

-export([options/4, time/3]).

-type message() :: map().
-type opts() :: map().

%% The latest time that a float represents to the millisecond.
-define(MAX_TIME, (1 bsl 53)).
%% What a scheduler says of a message: together these tell it from others of its process.
-define(SCHEDULED, [<<"slot">>, <<"epoch">>, <<"timestamp">>, <<"block-height">>, <<"block-hash">>, <<"hash-chain">>]).
%% The most bytes of one of them that count.
-define(MAX_BYTES, 1024).

%% @doc The options `time' and `seed' of a call, or of a start, for which a message asks.
%%
%% The time is the `timestamp' of the request, or else of its body, in milliseconds since 1970; 0 without one, or with something
%% else under that name. The seed is made of the name of the function and of `slot', `epoch', `timestamp', `block-height',
%% `block-hash' and `hash-chain' of the request, or else of its body, as far as they are there.
-spec options(Function :: binary() | non_neg_integer(), Body :: term(), message(), opts()) ->
    #{time := non_neg_integer(), seed := binary()}.
options(Function, Body, Request, Opts) ->
    Scheduled = [{Key, Value} || Key <- ?SCHEDULED, {ok, Value} <- [value(Key, Body, Request, Opts)]],
    Time = milliseconds(proplists:get_value(<<"timestamp">>, Scheduled, 0)),
    Parts = [[Key, $=, Text, 0] || {Key, Value} <- Scheduled, {ok, Text} <- [text(Value)]],
    #{time => Time, seed => iolist_to_binary([name(Function), 0, Parts])}.

%% @doc The option `time' alone, for a guest that has no random bytes.
-spec time(Body :: term(), message(), opts()) -> non_neg_integer().
time(Body, Request, Opts) ->
    case value(<<"timestamp">>, Body, Request, Opts) of
        {ok, Time} -> milliseconds(Time);
        not_found -> 0
    end.

name(Function) when is_integer(Function) -> integer_to_binary(Function);
name(Function) -> binary:part(Function, 0, min(byte_size(Function), ?MAX_BYTES)).

value(Key, Body, Request, Opts) ->
    case lib_wasm64_message:value(Key, Request, undefined, Opts) of
        undefined ->
            case lib_wasm64_message:value(Key, Body, undefined, Opts) of
                undefined -> not_found;
                Value -> {ok, Value}
            end;
        Value ->
            {ok, Value}
    end.

milliseconds(Time) when is_integer(Time), Time >= 0, Time =< ?MAX_TIME ->
    Time;
milliseconds(Text) when is_binary(Text), byte_size(Text) =< 16 ->
    try
        milliseconds(binary_to_integer(Text))
    catch
        error:badarg -> 0
    end;
milliseconds(_Other) ->
    0.

%% A number and its text are the same.
text(Number) when is_integer(Number), Number >= 0, Number =< ?MAX_TIME -> {ok, integer_to_binary(Number)};
text(Text) when is_binary(Text) -> {ok, binary:part(Text, 0, min(byte_size(Text), ?MAX_BYTES))};
text(_Other) -> error.
