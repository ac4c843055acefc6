%% @doc IDs of messages, under the name that devices ask for them. Signatures are not played here.
-module(hb_message).

-export([id/1, id/2, id/3, signers/2, verify/3]).

-spec id(map()) -> binary().
id(Message) -> id(Message, uncommitted).

-spec id(map(), atom() | list()) -> binary().
id(Message, Committers) -> id(Message, Committers, #{}).

%% @doc On `main' the device of the message is asked: a stack is run for it. `dev_message:id/3' always hashes.
-spec id(map(), atom() | list(), map()) -> binary().
id(Message, Committers, Opts) ->
    Request = #{<<"path">> => <<"id">>, <<"committers">> => Committers},
    {ok, ID} =
        case ao_core:branch() of
            main -> hb_ao:resolve(Message, Request, Opts);
            _ -> dev_message:id(Message, Request, Opts)
        end,
    ID.

%% @doc Who has signed a message: it says so in `signed-by'.
-spec signers(map(), map()) -> [binary()].
signers(Message, Opts) ->
    [hb_cache:ensure_loaded(Signer, Opts) || #{<<"signed-by">> := Signer} <- [Message]].

%% @doc Whether the signatures are what they should be: each but `forged'.
-spec verify(map(), atom(), map()) -> boolean().
verify(Message, all, Opts) ->
    hb_cache:ensure_loaded(maps:get(<<"signature">>, Message, <<>>), Opts) =/= <<"forged">>.
