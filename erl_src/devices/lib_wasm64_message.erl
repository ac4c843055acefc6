%% @doc How devices read and change messages, on {@link lib_wasm64_kernel}.
%%
%% On a node the AO-Core calls around a guest take longer than the guest does. So each of these is the cheapest way
%% that returns the same as resolving a path: a message without a device of its own is a map, whose values are read (and
%% loaded, where they are links into the node's cache); the device of any other message is asked.
-module(lib_wasm64_message).

-export([output_prefix/2, input_prefix/2, parts/1, path/1]).
-export([find/3, ask/3, value/4, is_true/3, list/2, set/4, plain/1]).
-export([private/2, merge_private/3, without_private/3]).

-type key() :: binary() | integer() | atom().

%% @doc The parts of the prefix below which the device puts its keys; none where it is empty or not set.
-spec output_prefix(map(), map()) -> [binary()].
output_prefix(Message, Opts) -> prefix(<<"output-prefix">>, Message, Opts).

%% @doc The same for the keys that the device reads.
-spec input_prefix(map(), map()) -> [binary()].
input_prefix(Message, Opts) -> prefix(<<"input-prefix">>, Message, Opts).

prefix(Key, Message, Opts) ->
    case lib_wasm64_kernel:find(Key, Message, Opts) of
        {ok, Prefix} -> parts(Prefix);
        not_found -> []
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
    case lib_wasm64_kernel:find(Key, Message, Opts) of
        {ok, Value} -> ask(Rest, Value, Opts);
        not_found -> not_found
    end.

%% @doc The value that resolving a path on a message returns.
-spec ask([key()], term(), map()) -> {ok, term()} | not_found.
ask([], Value, _Opts) ->
    {ok, Value};
ask([Key | Rest] = Path, Message, Opts) when is_map(Message) ->
    case lib_wasm64_kernel:has(<<"device">>, Message, Opts) of
        false ->
            find(Path, Message, Opts);
        true ->
            case lib_wasm64_kernel:get(Key, Message, Opts) of
                {ok, Value} -> ask(Rest, Value, Opts);
                not_found -> not_found
            end
    end;
ask(Path, List, Opts) when is_list(List) ->
    find(Path, lib_wasm64_kernel:normalized(List), Opts);
ask(_Path, _Value, _Opts) ->
    not_found.

%% @doc The value of a key, or a default.
-spec value(key(), map(), Default, map()) -> term() | Default when Default :: term().
value(Key, Message, Default, Opts) ->
    case ask([Key], Message, Opts) of
        {ok, Value} -> Value;
        not_found -> Default
    end.

%% @doc Whether the value at a path is `true', or that as text.
-spec is_true([key()], map(), map()) -> boolean().
is_true(Path, Message, Opts) ->
    case find(Path, Message, Opts) of
        {ok, Value} -> Value =:= true orelse Value =:= <<"true">>;
        not_found -> false
    end.

%% @doc A list, or a message numbered from 1, as a list with its values loaded. Raises where a value is in no store.
-spec list(term(), map()) -> {ok, list()} | error.
list(List, Opts) when length(List) >= 0 ->
    case lists:all(fun is_plain/1, List) of
        true -> {ok, List};
        false -> {ok, [lib_wasm64_kernel:loaded(Value, Opts) || Value <- List]}
    end;
list(Message, Opts) when is_map(Message) ->
    try lib_wasm64_kernel:list(Message, Opts) of
        List -> list(List, Opts)
    catch
        %% Keys that are not numbers, or are not all there.
        Class:Reason:Stacktrace when Class =/= exit ->
            case lib_wasm64_kernel:is_unavailable(Class, Reason) of
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

%% @doc Sets values of a message at a path; other values there stay.
-spec set([binary()], map(), map(), map()) -> map().
set(Path, Values, Message, Opts) ->
    case is_map_all_the_way(Path, Message, Opts) of
        true ->
            Nested = lists:foldr(fun(Key, Inner) -> #{Key => Inner} end, Values, Path),
            lib_wasm64_kernel:set(Message, Nested, Opts);
        false ->
            maps:fold(
                fun(Key, Value, Changed) -> lib_wasm64_kernel:set_path(Changed, path(Path ++ [Key]), Value, Opts) end,
                Message,
                Values
            )
    end.

%% Links, and messages with a device, have their own way of being changed.
is_map_all_the_way([], _Message, _Opts) ->
    true;
is_map_all_the_way([Key | Rest], Message, Opts) ->
    case Message of
        #{Key := Inner} when is_map(Inner) ->
            not lib_wasm64_kernel:has(<<"device">>, Inner, Opts) andalso is_map_all_the_way(Rest, Inner, Opts);
        #{Key := Inner} ->
            not is_tuple(Inner);
        _ ->
            true
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
