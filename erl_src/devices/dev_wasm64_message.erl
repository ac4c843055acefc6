%% @doc How {@link dev_wasm64} reads and changes messages.
%%
%% On a node the AO-Core calls around a guest take longer than the guest does. So each of these is the cheapest way
%% that returns the same as resolving a path: a message without a device of its own is a map, whose values `dev_message'
%% returns (and loads, where they are links into the node's cache); everything else goes through `hb_ao'.
-module(dev_wasm64_message).

-export([output_prefix/2, input_prefix/2, parts/1, path/1]).
-export([find/3, ask/3, value/4, has/2, list/2, set/4, plain/1, is_missing/2]).
-export([private/2, merge_private/3, without_private/3]).

-type key() :: binary() | integer() | atom().

%% @doc The parts of the prefix below which the device puts its keys; none where it is empty or not set.
-spec output_prefix(map(), map()) -> [binary()].
output_prefix(Message, Opts) -> prefix(<<"output-prefix">>, Message, Opts).

%% @doc The same for the keys that the device reads.
-spec input_prefix(map(), map()) -> [binary()].
input_prefix(Message, Opts) -> prefix(<<"input-prefix">>, Message, Opts).

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

%% @doc A path as one key, for error messages.
-spec path([key()]) -> binary().
path(Parts) -> iolist_to_binary(lists:join(<<"/">>, [hb_ao:normalize_key(Part) || Part <- Parts])).

%% @doc The value at a path of a message. The first key is read from the message itself, whatever device it has.
-spec find([key()], map(), map()) -> {ok, term()} | not_found.
find([Key | Rest], Message, Opts) ->
    case dev_message:get(Key, Message, Opts) of
        {ok, Value} -> ask(Rest, Value, Opts);
        {error, _} -> not_found
    end.

%% @doc The value that resolving a path on a message returns.
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

%% @doc A list, or a message numbered from 1, as a list with its values loaded. Raises where a value is in no store.
-spec list(term(), map()) -> {ok, list()} | error.
list(List, Opts) when is_list(List) ->
    try lists:all(fun is_plain/1, List) of
        true -> {ok, List};
        false -> {ok, [hb_ao:get(Number, List, Opts) || Number <- lists:seq(1, length(List))]}
    catch
        %% The tail is not a list.
        error:_ -> error
    end;
list(Message, Opts) when is_map(Message) ->
    try hb_util:message_to_ordered_list(Message) of
        List -> list(List, Opts)
    catch
        %% Keys that are not numbers, or are not all there.
        Class:Reason:Stacktrace when Class =/= exit ->
            case is_missing(Class, Reason) of
                true -> erlang:raise(Class, Reason, Stacktrace);
                false -> error
            end
    end;
list(_Other, _Opts) ->
    error.

is_plain(Value) -> is_number(Value) orelse is_atom(Value) orelse is_binary(Value).

%% @doc Values as messages can hold them: a NaN of whatever bits is `nan'.
-spec plain(term()) -> term().
plain(Values) when is_list(Values) -> [case Value of {nan, _} -> nan; _ -> Value end || Value <- Values];
plain(Other) -> Other.

%% @doc Whether an exception reports that a message, or a part of one, is in none of the node's stores. `hb_cache' raises
%% these for links, with a number of details that differs between versions.
-spec is_missing(error | exit | throw, term()) -> boolean().
is_missing(Class, Reason) when Class =/= exit, is_tuple(Reason), tuple_size(Reason) > 0 ->
    lists:member(element(1, Reason), [necessary_message_not_found, could_not_read_lazy_link]);
is_missing(_Class, _Reason) ->
    false.

%% @doc Sets values of a message at a path; other values there stay.
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

%% @doc The private state at a path; empty where there is none.
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

%% @doc Removes keys at a path of the private state.
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
