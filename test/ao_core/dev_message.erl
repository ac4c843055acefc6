%% @doc The device of a message that names none: its keys are what they are. Signatures are not played.
-module(dev_message).

-export([info/0, get/3, get/4, set/3, set_path/3, remove/2, remove/3, keys/1, keys/2, id/1, id/2, id/3]).

%% Keys that this device answers itself, so that `set/3' cannot put a value there.
-define(OWN_KEYS, [
    <<"id">>, <<"commitments">>, <<"committers">>, <<"keys">>, <<"path">>, <<"set">>, <<"remove">>, <<"verify">>
]).

-spec info() -> map().
info() -> #{default => fun get/4}.

%% @doc The value of a public key, its case ignored. The third argument is the request on `main' and the options on
%% `edge'; whoever passes the options is right on both.
-spec get(term(), map(), map()) -> {ok, term()} | {error, not_found}.
get(Key, Message, Opts) -> get(Key, Message, #{<<"path">> => <<"get">>}, Opts).

-spec get(term(), map(), map(), map()) -> {ok, term()} | {error, not_found}.
get(Key, Message, _Request, Opts) ->
    ao_core_counter:hit({dev_message, get}),
    case hb_private:is_private(Key) of
        true -> {error, not_found};
        false -> find(Key, Message, Opts)
    end.

%% The key as it was given comes first: the message as someone built it may hold keys that are not normalized.
find(Key, Message, Opts) when is_map_key(Key, Message) -> {ok, hb_cache:ensure_loaded(maps:get(Key, Message), Opts)};
find(Key, Message, Opts) ->
    Normalized = hb_ao:normalize_key(Key),
    case hb_ao:normalize_keys(Message) of
        #{Normalized := Value} -> {ok, hb_cache:ensure_loaded(Value, Opts)};
        _ -> {error, not_found}
    end.

%% @doc The message with the keys of the request set. Maps are merged into maps, deeply, unless `set-mode' is
%% `explicit'; `unset' takes a key away and `undefined' leaves it. The private part stays as it was.
-spec set(map(), map(), map()) -> {ok, map()}.
set(Message, Request, Opts) ->
    ao_core_counter:hit({dev_message, set}),
    {ok, RequestKeys} = keys(Request, Opts),
    Values = [
        {Key, hb_cache:ensure_loaded(maps:get(Key, Request), Opts)}
     || Key <- RequestKeys, not lists:member(Key, [<<"set-mode">> | ?OWN_KEYS])
    ],
    New = maps:from_list([{Key, Value} || {Key, Value} <- Values, Value =/= undefined, Value =/= unset]),
    Base = maps:without([Key || {Key, unset} <- maps:to_list(Request)], Message),
    Merged =
        case maps:get(<<"set-mode">>, Request, <<"deep">>) of
            <<"explicit">> -> maps:merge(Base, New);
            _ -> hb_util:deep_merge(Base, New, Opts)
        end,
    {ok, hb_private:set_priv(Merged, hb_private:from_message(Message))}.

%% @doc Sets `path', which `set/3' takes for its own.
-spec set_path(map(), map(), map()) -> {ok, map()}.
set_path(Message, #{<<"value">> := unset}, _Opts) -> {ok, maps:remove(<<"path">>, Message)};
set_path(Message, #{<<"value">> := Path}, _Opts) -> {ok, Message#{<<"path">> => Path}}.

%% @doc The message without the key `item', or the keys `items', of the request.
-spec remove(map(), map()) -> {ok, map()}.
remove(Message, Request) -> remove(Message, Request, #{}).

-spec remove(map(), map(), map()) -> {ok, map()}.
remove(Message, #{<<"item">> := Key}, _Opts) -> {ok, maps:remove(Key, Message)};
remove(Message, #{<<"items">> := Keys}, _Opts) -> {ok, maps:without(Keys, Message)}.

%% @doc The public keys.
-spec keys(map() | list()) -> {ok, [term()]}.
keys(Message) -> keys(Message, #{}).

-spec keys(map() | list(), map()) -> {ok, [term()]}.
keys(List, Opts) when is_list(List) -> keys(hb_ao:normalize_keys(List), Opts);
keys(Message, _Opts) when is_map(Message) ->
    {ok, [Key || Key <- maps:keys(Message), not hb_private:is_private(Key)]}.

%% @doc The ID: a hash of what is public. Not the hash that a real node takes, but equal and unequal where that is.
-spec id(map() | binary()) -> {ok, binary()}.
id(Message) -> id(Message, #{}).

-spec id(map() | binary(), map()) -> {ok, binary()}.
id(Message, Request) -> id(Message, Request, #{}).

-spec id(map() | binary(), map(), map()) -> {ok, binary()}.
id(Binary, _Request, Opts) when is_binary(Binary) -> {ok, hb_path:hashpath(Binary, Opts)};
id(Message, _Request, Opts) ->
    ao_core_counter:hit({dev_message, id}),
    {ok, hb_util:encode(crypto:hash(sha256, term_to_binary(ordered(hb_cache:storable(Message, Opts)))))}.

%% Large maps have no order of their own that two VMs share.
ordered(Map) when is_map(Map) -> {message, [{Key, ordered(Value)} || {Key, Value} <- lists:sort(maps:to_list(Map))]};
ordered(List) when is_list(List) -> [ordered(Value) || Value <- List];
ordered(Value) -> Value.
