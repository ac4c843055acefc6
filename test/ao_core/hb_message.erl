%% @doc IDs of messages, under the name that devices ask for them. Signatures are not played here.
-module(hb_message).

-export([id/1, id/2, id/3]).

-spec id(map()) -> binary().
id(Message) -> id(Message, uncommitted).

-spec id(map(), atom() | list()) -> binary().
id(Message, Committers) -> id(Message, Committers, #{}).

-spec id(map(), atom() | list(), map()) -> binary().
id(Message, Committers, Opts) ->
    {ok, ID} = dev_message:id(Message, #{<<"committers">> => Committers}, Opts),
    ID.
