%% @doc An import device without a state of its own: arithmetic for guests.
%%
%% Every import device here follows the same rule: the base carries the calling state at `state', the request carries
%% `args', `module', `func' and `func-sig'; the answer is a message with the `state' to go on with and the `results'.
-module(dev_test_math).

-export([add/3, mul/3]).

-spec add(map(), map(), map()) -> {ok, map()}.
add(Base, Request, Opts) -> answer(Base, Request, Opts, fun(A, B) -> A + B end).

-spec mul(map(), map(), map()) -> {ok, map()}.
mul(Base, Request, Opts) -> answer(Base, Request, Opts, fun(A, B) -> A * B end).

answer(Base, Request, RawOpts, Operation) ->
    Opts = RawOpts#{hashpath => ignore},
    [A, B] = hb_ao:get(<<"args">>, Request, Opts),
    {ok, #{<<"state">> => hb_ao:get(<<"state">>, Base, Opts), <<"results">> => [Operation(A, B)]}}.
