%% @doc An import device that keeps its data in the state: `put(key, value)' and `fetch(key) -> value' on integers, 0
%% where there is none. What a guest put is in the message after the compute, under `kv'.
%%
%% (An import device cannot answer to `set' or `state': AO-Core asks it for these itself.)
-module(dev_test_kv).

-export([put/3, fetch/3]).

-spec put(map(), map(), map()) -> {ok, map()}.
put(Base, Request, RawOpts) ->
    Opts = RawOpts#{hashpath => ignore},
    [Key, Value | _] = hb_ao:get(<<"args">>, Request, Opts),
    State = hb_ao:set(hb_ao:get(<<"state">>, Base, Opts), path(Key), Value, Opts),
    {ok, #{<<"state">> => State, <<"results">> => []}}.

-spec fetch(map(), map(), map()) -> {ok, map()}.
fetch(Base, Request, RawOpts) ->
    Opts = RawOpts#{hashpath => ignore},
    [Key | _] = hb_ao:get(<<"args">>, Request, Opts),
    State = hb_ao:get(<<"state">>, Base, Opts),
    {ok, #{<<"state">> => State, <<"results">> => [hb_ao:get(path(Key), State, 0, Opts)]}}.

path(Key) -> <<"kv/", (integer_to_binary(Key))/binary>>.
