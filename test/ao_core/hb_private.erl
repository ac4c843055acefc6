%% @doc The private part of a message: under `priv', never hashed, never sent, not to be had through AO-Core.
-module(hb_private).

-export([from_message/1, reset/1, is_private/1, get/3, get/4, set/3, set/4, set_priv/2]).

%% @doc The whole private part.
-spec from_message(term()) -> map().
from_message(#{<<"priv">> := Private}) -> Private;
from_message(#{priv := Private}) -> Private;
from_message(_Other) -> #{}.

%% @doc What lies at a path of the private part. The path may start with `priv'.
-spec get(term(), term(), map()) -> term().
get(Path, Message, Opts) -> get(Path, Message, not_found, Opts).

-spec get(term(), term(), term(), map()) -> term().
get(Path, Message, Default, Opts) ->
    ao_core_counter:hit({hb_private, get}),
    case hb_ao:resolve(from_message(Message), #{<<"path">> => inner_path(Path)}, private_opts(Opts)) of
        {ok, Value} -> Value;
        {error, _} -> Default
    end.

%% @doc Sets several paths of the private part at once.
-spec set(map(), map(), map()) -> map().
set(Message, Values, Opts) ->
    ao_core_counter:hit({hb_private, set}),
    set_priv(Message, hb_ao:set(from_message(Message), Values, private_opts(Opts))).

%% @doc Sets one.
-spec set(map(), term(), term(), map()) -> map().
set(Message, Path, Value, Opts) ->
    ao_core_counter:hit({hb_private, set}),
    set_priv(Message, hb_ao:set(from_message(Message), inner_path(Path), Value, private_opts(Opts))).

%% @doc Replaces the whole private part. An empty one is not added to a message that has none.
-spec set_priv(map(), map()) -> map().
set_priv(Message, Private) when map_size(Private) =:= 0, not is_map_key(<<"priv">>, Message) -> Message;
set_priv(Message, Private) -> Message#{<<"priv">> => Private}.

%% @doc Whether a key is private: its name starts with `priv'.
-spec is_private(term()) -> boolean().
is_private(Key) ->
    try hb_ao:normalize_key(Key) of
        <<"priv", _/binary>> -> true;
        _ -> false
    catch
        _:_ -> false
    end.

%% @doc The message without what is private; on `edge' also without what is private in the messages within it.
-spec reset(term()) -> term().
reset(Message) when is_map(Message) ->
    Public = maps:filter(fun(Key, _) -> not is_private(Key) end, Message),
    case ao_core:branch() of
        main -> Public;
        _ -> maps:map(fun(_, Value) -> reset(Value) end, Public)
    end;
reset(List) when is_list(List) -> [reset(Item) || Item <- List];
reset(Other) -> Other.

inner_path(Path) ->
    case hb_path:term_to_path_parts(Path) of
        Parts = [First | Rest] ->
            case is_private(First) of
                true -> Rest;
                false -> Parts
            end
    end.

%% What is done to the private part is no part of the message's history.
private_opts(Opts) ->
    maps:merge(Opts, ao_core:options(#{hashpath => ignore, cache_control => [<<"no-cache">>, <<"no-store">>]})).
