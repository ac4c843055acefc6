%% @doc What differs between HyperBEAM's kernels, as far as the devices of this library call them; all else that they do is the same
%% on each. There are two kinds of kernel, and {@link loads_packages/0} says of which kind the running node is:
%% <ul>
%% <li>Those of 2026 load devices from packages. No device is a module that can be called by its name, `~message@1.0'
%%     neither: its keys are run by `hb_ao:raw/5', and `hb_maps' reads messages. Options have binary keys with dashes, keys of
%%     messages are taken as they are, and a device can answer `{failure, Reason}'.</li>
%% <li>Those of 2025 have devices as modules. `dev_message' reads and changes messages, options have atoms as keys, and keys of
%%     messages are compared in lower case.</li>
%% </ul>
%% Devices use this module and `hb_private', `hb_opts' with an atom, `hb_util:human_id/1' and `hb_ao:normalize_key/1', which are
%% the same on all; {@link lib_wasm64_message} is made of it.
-module(lib_wasm64_kernel).

-export([loads_packages/0]).
-export([find/3, has/3, get/3, normalized/1, list/2, loaded/2]).
-export([set/3, set_path/4, internal/1, run/4]).
-export([read/2, answer/1, is_unavailable/2]).

%% What no message has as a value.
-define(NOTHING, '$nothing').

-type message() :: map().
-type opts() :: map().
-type answer() :: {ok, message()} | {error, term()} | {failure, term()}.
-export_type([answer/0]).

%% @doc Whether the node's kernel loads devices from packages.
-spec loads_packages() -> boolean().
loads_packages() ->
    case persistent_term:get(?MODULE, unknown) of
        unknown ->
            {module, hb_ao} = code:ensure_loaded(hb_ao),
            Loads = erlang:function_exported(hb_ao, raw, 5),
            persistent_term:put(?MODULE, Loads),
            Loads;
        Loads ->
            Loads
    end.

%%% Reading

%% @doc The value of a message's own public key, whatever device it has. Raises where the value is in no store.
-spec find(Key :: term(), message(), opts()) -> {ok, term()} | not_found.
find(Key, Message, Opts) ->
    case loads_packages() of
        true -> find_public(hb_ao:normalize_key(Key), Message, Opts);
        false ->
            case dev_message:get(Key, Message, Opts) of
                {ok, Value} -> {ok, Value};
                {error, _} -> not_found
            end
    end.

find_public(Key, Message, Opts) ->
    case hb_private:is_private(Key) of
        true ->
            not_found;
        false ->
            %% Not every kernel's `hb_maps:find/3' loads what it finds.
            case hb_maps:get(Key, Message, ?NOTHING, Opts) of
                ?NOTHING -> not_found;
                Value -> {ok, Value}
            end
    end.

%% @doc Whether a message, as the kernel hands it to devices, has a key.
-spec has(binary(), message(), opts()) -> boolean().
has(Key, Message, Opts) ->
    case loads_packages() of
        true -> hb_maps:is_key(Key, Message, Opts);
        false -> is_map_key(Key, Message) orelse is_map_key(binary_to_atom(Key), Message)
    end.

%% @doc The value of a key that a message's device returns. It is no step in the history of the message, and not cached. Throws
%% `{failure, Reason}' where the device answers that.
-spec get(Key :: term(), message(), opts()) -> {ok, term()} | not_found.
get(Key, Message, Opts) ->
    case loads_packages() of
        true ->
            Path = hb_ao:normalize_key(Key),
            case hb_ao:raw(undefined, Path, Message, #{<<"path">> => Path}, internal(Opts)) of
                {ok, Value} -> {ok, loaded(Value, Opts)};
                {failure, Reason} -> throw({failure, Reason});
                _ -> not_found
            end;
        false ->
            case hb_ao:get([Key], Message, not_found, Opts#{hashpath => ignore}) of
                not_found -> not_found;
                Value -> {ok, Value}
            end
    end.

%% @doc A list as a message numbered from 1, and a message with its own keys normalized.
-spec normalized(list() | message()) -> message().
normalized(Message) -> hb_ao:normalize_keys(Message).

%% @doc The values of a message numbered from 1. Raises where the numbers have gaps.
-spec list(message(), opts()) -> list().
list(Message, Opts) -> hb_util:message_to_ordered_list(Message, Opts).

%% @doc A value, read from the node's stores where it is a link.
-spec loaded(term(), opts()) -> term().
loaded({link, _Path, _LinkOpts} = Link, Opts) -> hb_cache:ensure_loaded(Link, Opts);
loaded(Value, _Opts) -> Value.

%%% Changing

%% @doc The message with keys set as `~message@1.0' sets them: maps are merged into maps, `unset' removes a key, and
%% signatures over what has changed go.
-spec set(message(), Values :: map(), opts()) -> message().
set(Message, Values, Opts) ->
    {ok, Changed} =
        case loads_packages() of
            true -> hb_ao:raw(<<"message@1.0">>, <<"set">>, Message, Values, internal(Opts));
            false -> dev_message:set(Message, Values, Opts)
        end,
    Changed.

%% @doc The message with the value at a path set, by the devices of the messages on the way.
-spec set_path(message(), Path :: binary(), Value :: term(), opts()) -> message().
set_path(Message, Path, Value, Opts) -> hb_ao:set(Message, Path, Value, internal(Opts)).

%% @doc Options for what is no step in the history of a message, and is not cached.
-spec internal(opts()) -> opts().
internal(Opts) ->
    NoCache = [<<"no-cache">>, <<"no-store">>],
    case loads_packages() of
        true -> Opts#{<<"hashpath">> => ignore, <<"cache-control">> => NoCache};
        false -> Opts#{hashpath => ignore, cache_control => NoCache}
    end.

%% @doc Runs a key of the base's device, with {@link internal/1}. A kernel that can runs the function and nothing else: no
%% message is hashed.
-spec run(Key :: binary(), Base :: message(), Request :: message(), opts()) -> {Status :: atom(), term()} | tuple().
run(Key, Base, Request, Opts) ->
    case loads_packages() of
        true -> hb_ao:raw(undefined, Key, Base, Request#{<<"path">> => Key}, internal(Opts));
        false -> hb_ao:resolve(Base, Request#{<<"path">> => Key}, internal(Opts))
    end.

%%% What a node could not do

%% @doc What the node's stores have at an ID: `failure' where one of them did not answer.
-spec read(ID :: binary(), opts()) -> {ok, term()} | not_found | failure.
read(ID, Opts) ->
    case hb_cache:read(ID, Opts) of
        {ok, Value} -> {ok, Value};
        not_found -> not_found;
        {error, not_found} -> not_found;
        _ -> failure
    end.

%% @doc The answer of a device's key in the form of the node's kernel. `{error, _}' means that every node would come to it, and
%% `{failure, _}' that this node met something that others may not. A kernel that knows both may record the first as a
%% result. One that knows only `{error, _}' records no such answer.
-spec answer(answer()) -> answer().
answer({failure, Reason} = Failure) ->
    case loads_packages() of
        true -> Failure;
        false -> {error, Reason}
    end;
answer(Answer) ->
    Answer.

%% @doc Whether an exception reports that a message, or a part of one, is in none of the node's stores, or that a store or a
%% device could not answer. `hb_cache' raises the first for links, with a number of details that differs between versions, and
%% the kernel's own readers have no clause for the second.
-spec is_unavailable(error | exit | throw, term()) -> boolean().
is_unavailable(error, {case_clause, {failure, _}}) ->
    true;
is_unavailable(Class, Reason) when Class =/= exit, is_tuple(Reason), tuple_size(Reason) > 0 ->
    lists:member(element(1, Reason), [necessary_message_not_found, could_not_read_lazy_link, failure]);
is_unavailable(_Class, _Reason) ->
    false.
