%% @doc Messages, as {@link dev_wasm64} reads and changes them.
%%
%% On a node the AO-Core calls around a guest take longer than the guest does. So each of these takes the cheapest way
%% that means the same as resolving a path: a message without a device of its own is a map, whose values `dev_message'
%% gives (and loads, where they are links into the node's cache); everything else goes through `hb_ao'.
-module(dev_wasm64_message).

-export([prefix/3, parts/1, path/1, plain/1]).
-export([find/3, ask/3, value/4, has/2, list/2, set/4]).
-export([private/2, merge_private/3, without_private/3]).

-type key() :: binary() | integer() | atom().

%% @doc The parts of a prefix that the message names; none where it is empty or not there.
-spec prefix(binary(), map(), map()) -> [binary()].
prefix(Key, Message, Opts) ->
    case dev_message:get(Key, Message, Opts) of
        {ok, Prefix} -> parts(Prefix);
        {error, _} -> []
    end.

%% @doc The parts of a path, in the form in which messages have keys.
-spec parts(term()) -> [binary()].
parts(<<>>) -> [];
parts(Path) when is_binary(Path) ->
    %% Keys are text.
    case unicode:characters_to_binary(Path) of
        Path -> [hb_ao:normalize_key(Part) || Part <- binary:split(Path, <<"/">>, [global, trim_all])];
        _ -> []
    end;
parts(Number) when is_integer(Number) -> [integer_to_binary(Number)];
parts(_Other) -> [].

%% @doc A path as one key, for people to read.
-spec path([key()]) -> binary().
path(Parts) -> iolist_to_binary(lists:join(<<"/">>, [hb_ao:normalize_key(Part) || Part <- Parts])).

%% @doc Values of a guest as messages can hold them: a NaN of whatever bits is one.
-spec plain(term()) -> term().
plain(Values) when is_list(Values) -> [case Value of {nan, _} -> nan; _ -> Value end || Value <- Values];
plain(Other) -> Other.

%% @doc What lies at a path of a message, whatever the message's own device would make of the first key.
-spec find([key()], map(), map()) -> {ok, term()} | not_found.
find([Key | Rest], Message, Opts) ->
    case dev_message:get(Key, Message, Opts) of
        {ok, Value} -> ask(Rest, Value, Opts);
        {error, _} -> not_found
    end.

%% @doc What resolving a path on a message gives.
-spec ask([key()], term(), map()) -> {ok, term()} | not_found.
ask([], Value, _Opts) ->
    {ok, Value};
ask(Path, Message, Opts) when is_map(Message) ->
    case has(<<"device">>, Message) of
        false -> find(Path, Message, Opts);
        true -> resolve(Path, Message, Opts)
    end;
ask(Path, List, Opts) when is_list(List) ->
    resolve(Path, List, Opts);
ask(_Path, _Value, _Opts) ->
    not_found.

resolve(Path, Message, Opts) ->
    case hb_ao:get(Path, Message, not_found, Opts#{hashpath => ignore}) of
        not_found -> not_found;
        Value -> {ok, Value}
    end.

%% @doc The value of a key, or a default.
-spec value(key(), map(), Default, map()) -> term() | Default when Default :: term().
value(Key, Message, Default, Opts) ->
    case ask([Key], Message, Opts) of
        {ok, Value} -> Value;
        not_found -> Default
    end.

%% @doc Whether a message has a key: as AO-Core hands it to devices, with its keys normalized.
-spec has(binary(), map()) -> boolean().
has(Key, Message) -> is_map_key(Key, Message) orelse is_map_key(binary_to_atom(Key), Message).

%% @doc A list, or a message numbered from 1, as a list; its values loaded.
-spec list(term(), map()) -> {ok, list()} | error.
list(List, Opts) when is_list(List) ->
    try lists:all(fun is_plain/1, List) of
        true -> {ok, List};
        false -> {ok, [hb_ao:get(Number, List, Opts) || Number <- lists:seq(1, length(List))]}
    catch
        %% The tail is no list.
        error:_ -> error
    end;
list(Message, Opts) when is_map(Message) ->
    try hb_util:message_to_ordered_list(Message) of
        List -> list(List, Opts)
    catch
        _:_ -> error
    end;
list(_Other, _Opts) ->
    error.

is_plain(Value) -> is_number(Value) orelse is_atom(Value) orelse is_binary(Value).

%% @doc Sets the values of a message at a path; what else is there stays.
-spec set([binary()], map(), map(), map()) -> map().
set(Path, Values, Message, Opts) ->
    case is_map_all_the_way(Path, Message) of
        true ->
            Nested = lists:foldr(fun(Key, Inner) -> #{Key => Inner} end, Values, Path),
            {ok, Changed} = dev_message:set(Message, Nested, Opts),
            Changed;
        false ->
            Flat = maps:from_list([{path(Path ++ [Key]), Value} || {Key, Value} <- maps:to_list(Values)]),
            hb_ao:set(Message, Flat, Opts#{hashpath => ignore})
    end.

%% Links, and messages with a device, have their own way of being changed.
is_map_all_the_way([], _Message) ->
    true;
is_map_all_the_way([Key | Rest], Message) ->
    case Message of
        #{Key := Inner} when is_map(Inner) -> not has(<<"device">>, Inner) andalso is_map_all_the_way(Rest, Inner);
        #{Key := Inner} -> not is_tuple(Inner);
        _ -> true
    end.

%% @doc What the private state has at a path.
-spec private([binary()], map()) -> map().
private(Path, Message) -> level(Path, hb_private:from_message(Message)).

level([], Private) -> Private;
level([Key | Rest], Private) ->
    case Private of
        #{Key := Inner} when is_map(Inner) -> level(Rest, Inner);
        _ -> #{}
    end.

%% @doc Sets values at a path of the private state.
-spec merge_private([binary()], map(), map()) -> map().
merge_private(Path, Values, Message) ->
    change_private(Path, fun(Private) -> maps:merge(Private, Values) end, Message).

%% @doc Takes keys at a path out of the private state.
-spec without_private([binary()], [binary()], map()) -> map().
without_private(Path, Keys, Message) ->
    change_private(Path, fun(Private) -> maps:without(Keys, Private) end, Message).

change_private(Path, Change, Message) ->
    hb_private:set_priv(Message, change(Path, Change, hb_private:from_message(Message))).

change([], Change, Private) ->
    Change(Private);
change([Key | Rest], Change, Private) ->
    Inner =
        case Private of
            #{Key := Map} when is_map(Map) -> Map;
            _ -> #{}
        end,
    Private#{Key => change(Rest, Change, Inner)}.
