%% @doc The device at the end of a stack that asks for another pass until there were `passes' of them.
-module(dev_multipass).

-export([info/1]).

-spec info(map()) -> map().
info(_Base) -> #{handler => fun handle/4}.

handle(<<"keys">>, Base, _Request, _Opts) -> dev_message:keys(Base);
handle(<<"set">>, Base, Request, Opts) -> dev_message:set(Base, Request, Opts);
handle(_Key, Base, _Request, Opts) ->
    Passes = hb_ao:get(<<"passes">>, {as, <<"message@1.0">>, Base}, 1, Opts),
    case hb_ao:get(<<"pass">>, {as, <<"message@1.0">>, Base}, 1, Opts) of
        Pass when Pass < Passes -> {pass, Base};
        _ -> {ok, Base}
    end.
