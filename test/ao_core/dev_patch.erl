%% @doc HyperBEAM's patches: messages of the outbox that say so change the state, and are gone from there.
-module(dev_patch).

-export([compute/3]).

-spec compute(map(), map(), map()) -> {ok, map()}.
compute(Base, #{<<"patch-from">> := <<"/results/outbox">>}, _Opts) ->
    #{<<"results">> := #{<<"outbox">> := Outbox} = Results} = Base,
    IsPatch = fun(_Key, Message) ->
        maps:get(<<"method">>, Message, none) =:= <<"PATCH">> orelse maps:get(<<"device">>, Message, none) =:= <<"patch@1.0">>
    end,
    Patches = maps:filter(IsPatch, Outbox),
    Values = [maps:without([<<"method">>, <<"device">>, <<"target">>, <<"data">>], Patch) || Patch <- maps:values(Patches)],
    Patched = lists:foldl(fun(Patch, Changed) -> maps:merge(Changed, Patch) end, Base, Values),
    {ok, Patched#{<<"results">> => Results#{<<"outbox">> => maps:without(maps:keys(Patches), Outbox)}}}.
