%% @doc What HyperBEAM's JSON interface is to a WASM device, without the JSON: before the call (pass 1) it writes the
%% request's `body' and the base's `env' into the guest with the private `write', after it (pass 2) it reads the answer
%% with the private `read'. The stack needs a multipass device with two passes behind it.
-module(dev_test_iface).

-export([init/3, compute/3]).

-spec init(map(), map(), map()) -> {ok, map()}.
init(Base, _Request, Opts) -> {ok, hb_ao:set(Base, #{<<"function">> => <<"handle">>}, Opts)}.

-spec compute(map(), map(), map()) -> {ok | error, map()}.
compute(Base, Request, Opts) ->
    Prefix = dev_stack:prefix(Base, Request, Opts),
    case hb_ao:get(<<"pass">>, Base, Opts) of
        1 ->
            Write = hb_private:get(<<Prefix/binary, "/write">>, Base, Opts),
            {ok, Message} = Write(hb_ao:get(<<"body">>, Request, Opts)),
            {ok, Env} = Write(hb_ao:get(<<"env">>, Base, Opts)),
            {ok, hb_ao:set(Base, #{<<"parameters">> => [Message, Env]}, Opts)};
        2 ->
            case hb_ao:normalize_key(hb_ao:get(<<"results/", Prefix/binary, "/type">>, Base, Opts)) of
                <<"ok">> ->
                    Read = hb_private:get(<<Prefix/binary, "/read">>, Base, Opts),
                    {ok, Text} = Read(hb_ao:get(<<"results/", Prefix/binary, "/output">>, Base, Opts)),
                    {ok, hb_ao:set(Base, #{<<"results/text">> => Text}, Opts)};
                <<"error">> ->
                    {error, hb_ao:set(Base, #{<<"results/body">> => <<"WASM execution error.">>}, Opts)}
            end;
        _ ->
            {ok, Base}
    end.
