%% @doc HyperBEAM's JSON interface, as far as the device of legacynet's processes asks it: messages as legacynet has them, and its answers
%% as messages. A message that is signed says by whom in
%% `signed-by'; what an original had as tags may be in `original-tags'.
-module(dev_json_iface).

-export([message_to_json_struct/2, json_to_message/2]).
-export([to/3, from/3]).

-define(FIELDS, [<<"id">>, <<"anchor">>, <<"owner">>, <<"data">>, <<"target">>, <<"signature">>, <<"signed-by">>, <<"priv">>]).

%% @doc With packages, as keys of the device.
-spec to(map(), map(), map()) -> {ok, map()}.
to(_Base, #{<<"message">> := Message}, Opts) -> {ok, message_to_json_struct(Message, Opts)}.

-spec from(map(), map(), map()) -> {ok, map()}.
from(_Base, #{<<"json">> := JSON}, Opts) ->
    {ok, Value} = dev_genesis_wasm64_json:decode(JSON),
    json_to_message(maps_of(Value), Opts).

maps_of({Members}) -> maps:from_list([{Key, maps_of(Value)} || {Key, Value} <- Members]);
maps_of(List) when is_list(List) -> [maps_of(Value) || Value <- List];
maps_of(Value) -> Value.

-spec message_to_json_struct(map(), map()) -> map().
message_to_json_struct(Message, Opts) ->
    Owner = maps:get(<<"signed-by">>, Message, <<>>),
    Tags =
        case Message of
            #{<<"original-tags">> := Original} when is_list(Original) -> Original;
            #{<<"original-tags">> := Original} -> hb_util:message_to_ordered_list(Original);
            _ -> [tag(Key, Value) || {Key, Value} <- lists:sort(maps:to_list(maps:without(?FIELDS, Message)))]
        end,
    Get = fun(Key) -> maps:get(Key, Message, <<>>) end,
    #{
        <<"Id">> => hb_util:human_id(hb_message:id(Message, all, Opts)),
        <<"Anchor">> => Get(<<"anchor">>),
        <<"Owner">> => Owner,
        <<"From">> => maps:get(<<"from-process">>, Message, Owner),
        <<"Tags">> => Tags,
        <<"Target">> => Get(<<"target">>),
        <<"Data">> => Get(<<"data">>),
        <<"Signature">> => Get(<<"signature">>)
    }.

tag(Key, Value) ->
    Words = [string:titlecase(Word) || Word <- binary:split(Key, <<"-">>, [global])],
    #{<<"name">> => iolist_to_binary(lists:join(<<"-">>, Words)), <<"value">> => Value}.

-spec json_to_message(map(), map()) -> {ok, map()}.
json_to_message(#{<<"Error">> := Error}, _Opts) ->
    {ok, #{<<"outbox">> => #{}, <<"patches">> => [], <<"data">> => Error}};
json_to_message(Answer, _Opts) ->
    Output =
        case Answer of
            #{<<"Output">> := #{<<"data">> := Data}} -> Data;
            _ -> <<>>
        end,
    Messages = maps:get(<<"Messages">>, Answer, []),
    Outbox = maps:from_list([
        {integer_to_binary(Number), sent(Message)}
     || {Number, Message} <- lists:zip(lists:seq(1, length(Messages)), Messages)
    ]),
    {ok, #{<<"outbox">> => Outbox, <<"patches">> => [], <<"data">> => Output}}.

sent(Message) ->
    Tags = maps:from_list([{Name, Value} || #{<<"name">> := Name, <<"value">> := Value} <- maps:get(<<"Tags">>, Message, [])]),
    Fields = [{string:lowercase(Key), Value} || {Key, Value} <- maps:to_list(Message), Key =/= <<"Tags">>],
    maps:merge(maps:from_list(Fields), Tags).
