%% @doc The device that answers the demo's import, `audit(Line, Length, Quantity) -> Number': it enters the line, which lies
%% in the guest's memory, in the journal of the process and tells the number of the entry.
-module(dev_demo_journal).

-export([audit/3]).

-spec audit(map(), map(), map()) -> {ok, map()}.
audit(Base, Request, Opts) ->
    State = hb_ao:get(<<"state">>, Base, Opts),
    [Pointer, Length, _Quantity] = hb_ao:get(<<"args">>, Request, Opts),
    {ok, Line} = hb_wasm64:read(dev_wasm64:instance(State, Request, Opts), Pointer, Length),
    Journal = hb_ao:get(<<"journal">>, State, [], Opts) ++ [Line],
    {ok, #{
        <<"state">> => hb_ao:set(State, #{<<"journal">> => Journal}, Opts),
        <<"results">> => [length(Journal)]
    }}.
