%% @doc Resolving a request on a base message.
%%
%% Each part of the request's path is one step: the base's device is found, its function for the key is run on base and
%% request, the result is linked to both by its hashpath and becomes the base of the next step.
%%
%% Left out of what the real one does: looking results up and storing them, sharing an execution between processes,
%% workers, hooks, checking signatures, `force_message'. None of it shows to a device with the default options.
-module(hb_ao).

-export([resolve/2, resolve/3, resolve_many/2]).
-export([get/2, get/3, get/4, get_first/2, get_first/3, set/2, set/3, set/4, remove/2, remove/3, keys/1, keys/2]).
-export([normalize_key/1, normalize_key/2, normalize_keys/1, normalize_keys/2]).
-export([info/2, load_device/2, message_to_device/2, message_to_fun/3, find_exported_function/5, truncate_args/2]).

%% A kernel that loads packages has this; by it devices tell which kind of kernel they run on.
-ifdef(PACKAGES).
-export([raw/5]).
-endif.

-include("ao_core.hrl").

-type result() :: {ok | atom(), term()} | {error, device_call, {atom(), term(), list()}}.
-type key() :: binary() | atom() | integer() | list().

%% Options that are meant for one step and do not reach the device's function.
-define(STEP_OPTS, [
    add_key, cache_control, force_message, spawn_worker,
    <<"add-key">>, <<"cache-control">>, <<"force-message">>, <<"spawn-worker">>, <<"only">>, <<"prefer">>
]).

-define(DEFAULT_DEVICE, dev_message).

%%% Resolving

%% @doc Resolves a request that carries its base: an ID or `~device' in front of its path, otherwise its own keys.
-spec resolve(binary() | map(), map()) -> result().
resolve(Path, Opts) when is_binary(Path) -> resolve(#{<<"path">> => Path}, Opts);
resolve(Request, Opts) ->
    Keys = maps:without([<<"path">>, path], Request),
    case hb_path:from_message(request, Request, Opts) of
        [ID] when ?IS_ID(ID) -> resolve_many([ID], Opts);
        [ID | Rest] when ?IS_ID(ID) ->
            case resolve_many([ID], Opts) of
                {ok, Base} -> resolve(Base, Keys#{<<"path">> => Rest}, Opts);
                Error -> Error
            end;
        [<<"~", Device/binary>> | Rest] ->
            resolve_many([Keys#{<<"device">> => Device} | [Keys#{<<"path">> => Part} || Part <- Rest]], Opts);
        Parts when is_list(Parts) ->
            resolve_many([Keys | [Keys#{<<"path">> => Part} || Part <- Parts]], Opts)
    end.

%% @doc Resolves each part of the request's path in turn. Every step sees the whole request, with its part as `path'.
-spec resolve(term(), term(), map()) -> result().
%% The request of another device, for which the base has that one meanwhile.
resolve(Base, {as, Device, Request}, Opts) when is_map(Base), is_map(Request) ->
    case resolve(Base#{<<"device">> => Device}, Request, Opts) of
        {ok, Result} -> {ok, maps:merge(maps:remove(<<"device">>, Result), maps:with([<<"device">>], Base))};
        Other -> Other
    end;
resolve(Base, Path, Opts) when not is_map(Path) -> resolve(Base, #{<<"path">> => Path}, Opts);
resolve(Base, Request, Opts) ->
    Parts = hb_path:from_message(request, Request, Opts),
    resolve_many([Base | [Request#{<<"path">> => Part} || Part <- Parts]], Opts).

%% @doc Resolves the second message on the first, the third on the result, and so on. An ID alone is read.
-spec resolve_many([term()], map()) -> result().
resolve_many([ID], Opts) when ?IS_ID(ID) ->
    case hb_cache:read(ID, Opts) of
        not_found -> {error, not_found};
        Found -> Found
    end;
resolve_many(Messages, Opts) ->
    ao_core_counter:hit({hb_ao, resolve}),
    steps(Messages, Opts).

steps([Result], Opts) -> {ok, hb_cache:ensure_loaded(Result, Opts)};
steps([Base, Request | Rest], Opts) ->
    case step(Base, Request, Opts) of
        {ok, Result} -> steps([Result | Rest], Opts);
        Other -> Other
    end.

step(Link, Request, Opts) when ?IS_LINK(Link) -> step(hb_cache:ensure_loaded(Link, Opts), Request, Opts);
step({as, Device, Keys}, Request, Opts) ->
    %% A message made of the keys: unlike in `get/4', nothing private comes along.
    step(set(#{<<"device">> => Device}, maps:remove(<<"path">>, Keys), Opts), Request, Opts);
step(List, Request, Opts) when is_list(List) -> step(normalize_keys(List), Request, Opts);
step(Base, _Request, _Opts) when not is_map(Base) -> {error, not_found};
step(RawBase, RawRequest, Opts) ->
    ao_core_counter:hit({hb_ao, step}),
    Base = normalize_keys(RawBase),
    Request = normalize_keys(RawRequest),
    DeviceOpts = maps:without(?STEP_OPTS, Opts),
    Key = hb_path:hd(Request, DeviceOpts),
    try
        {How, _Device, Function} = message_to_fun(Base, Key, DeviceOpts),
        Arguments = [Key || How =:= add_key] ++ [Base, Request, DeviceOpts],
        {_Status, _Result} = apply(Function, truncate_args(Function, Arguments))
    of
        Result -> link(Base, Request, Result, Opts)
    catch
        Class:Reason:Stacktrace ->
            case hb_opts:get(error_strategy, throw, Opts) of
                throw -> erlang:raise(Class, Reason, Stacktrace);
                _ -> {error, device_call, {Class, Reason, Stacktrace}}
            end
    end.

-ifdef(PACKAGES).
%% @doc Runs the function of a device, or of the base's own, and nothing else. `Base' reaches it as it is.
-spec raw(undefined | binary(), undefined | binary(), term(), map(), map()) -> term().
raw(Device, ForcedKey, Base, Request, Opts) ->
    ao_core_counter:hit({hb_ao, raw}),
    DeviceOpts = maps:without(?STEP_OPTS, Opts),
    Key = case ForcedKey of undefined -> hb_path:hd(Request, DeviceOpts); _ -> ForcedKey end,
    WithDevice =
        case Device of
            undefined -> Base;
            _ when is_map(Base) -> Base#{<<"device">> => Device};
            _ -> #{<<"device">> => Device}
        end,
    {How, _Device, Function} = message_to_fun(WithDevice, Key, DeviceOpts),
    Arguments = [Key || How =:= add_key] ++ [Base, Request, DeviceOpts],
    apply(Function, truncate_args(Function, Arguments)).
-endif.

%% The hashpath of a result says which request made it of which base. Only a message can carry one; a message that did
%% not come with `ok' loses it.
link(Base, Request, {ok, Message}, Opts) when is_map(Message) ->
    case hb_opts:get(hashpath, update, maps:merge(Opts, ao_core:options(#{only => local}))) of
        ignore ->
            {ok, Message};
        update ->
            Private = hb_private:from_message(Message),
            {ok, Message#{<<"priv">> => Private#{<<"hashpath">> => hb_path:hashpath(Base, Request, Opts)}}};
        reset ->
            {ok, without_hashpath(Message)}
    end;
link(_Base, _Request, {Status, Message}, _Opts) when is_map(Message) -> {Status, without_hashpath(Message)};
link(_Base, _Request, {Status, Value}, _Opts) -> {Status, Value}.

without_hashpath(Message) ->
    Message#{<<"priv">> => maps:remove(<<"hashpath">>, hb_private:from_message(Message))}.

%%% Getting and setting

-spec get(key(), term()) -> term().
get(Path, Message) -> get(Path, Message, #{}).

-spec get(key(), term(), map()) -> term().
get(Path, Message, Opts) -> get(Path, Message, not_found, Opts).

%% @doc The value at a path, or the default. `{as, Device, Message}' asks the message through another device.
-spec get(key(), term(), term(), map()) -> term().
get(Path, {as, Device, Message}, Default, Opts) ->
    get(Path, set(Message, #{<<"device">> => Device}, internal_opts(Opts)), Default, Opts);
get(Path, Message, Default, Opts) ->
    ao_core_counter:hit({hb_ao, get}),
    case resolve(Message, #{<<"path">> => Path}, maps:merge(Opts, ao_core:options(#{spawn_worker => false}))) of
        {ok, Value} -> Value;
        {error, _} -> Default
    end.

%% @doc The first value there is, of pairs of a message and a path.
-spec get_first([{term(), key()}], map()) -> term().
get_first(Pairs, Opts) -> get_first(Pairs, not_found, Opts).

-spec get_first([{term(), key()}], term(), map()) -> term().
get_first([], Default, _Opts) -> Default;
get_first([{Message, Path} | Rest], Default, Opts) ->
    case get(Path, Message, Opts) of
        not_found -> get_first(Rest, Default, Opts);
        Value -> Value
    end.

%% @doc The keys of a message, as its device names them.
-spec keys(term()) -> [binary()].
keys(Message) -> keys(Message, #{}).

-spec keys(term(), map()) -> [binary()].
keys(Message, Opts) ->
    Keys = maps:remove(<<"priv">>, normalize_keys(get(<<"keys">>, Message, Opts))),
    [normalize_key(Key) || Key <- maps:values(Keys)].

-spec set(map(), map()) -> map().
set(Message, Values) -> set(Message, Values, #{}).

%% @doc Sets several paths, one after the other, each through the `set' of the device it belongs to. The message's own
%% hashpath stays as it is.
-spec set(map(), map(), map()) -> map().
set(Message, Values, Opts) when is_map(Values) ->
    ao_core_counter:hit({hb_ao, set}),
    Internal = internal_opts(Opts),
    Settable = maps:without([<<"hashpath">>, <<"priv">>], normalize_keys(Values)),
    %% The keys are asked for anew each time, as the real one does: what this costs is part of what a benchmark counts.
    case keys(Settable, Internal) of
        [] ->
            normalize_keys(Message);
        [Key | _] ->
            Value =
                case get(Key, Settable, Internal) of
                    not_found -> hb_cache:ensure_loaded(maps:get(Key, Settable), Opts);
                    Found -> Found
                end,
            set(set(normalize_keys(Message), Key, Value, Internal), remove(Settable, Key, Internal), Opts)
    end.

%% @doc Sets one path. Messages on the way are made where there are none; those that are there are fetched with the
%% options as given, so that without `hashpath => ignore' they get a hashpath.
-spec set(map(), key(), term(), map()) -> map().
set(Message, Path, Value, Opts) ->
    ao_core_counter:hit({hb_ao, set}),
    deep_set(Message, hb_path:term_to_path_parts(Path, Opts), Value, Opts).

deep_set(Message, [], Value, Opts) when is_map(Message), is_map(Value) ->
    device_set(Message, Value#{<<"path">> => <<"set">>}, Opts);
deep_set(_Message, [], Value, _Opts) ->
    Value;
deep_set(Message, [<<"path">>], Value, Opts) ->
    device_set(Message, #{<<"path">> => <<"set_path">>, <<"value">> => Value}, Opts);
deep_set(Message, [Key], Value, Opts) ->
    device_set(Message, #{<<"path">> => <<"set">>, Key => Value}, Opts);
deep_set(Message, [Key | Rest], Value, Opts) ->
    case resolve(Message, Key, Opts) of
        {ok, Inner} ->
            Changed = deep_set(Inner, Rest, Value, Opts),
            device_set(Message, #{<<"path">> => <<"set">>, <<"set-mode">> => <<"explicit">>, Key => Changed}, Opts);
        _ ->
            Message#{Key => deep_set(#{}, Rest, Value, Opts)}
    end.

device_set(Message, Request, Opts) ->
    Internal = internal_opts(Opts),
    hb_util:ok(resolve(Message, Request, Internal), Internal).

-spec remove(map(), key()) -> map().
remove(Message, Key) -> remove(Message, Key, #{}).

%% @doc The message without a key.
-spec remove(map(), key(), map()) -> map().
remove(Message, Key, Opts) ->
    hb_util:ok(resolve(Message, #{<<"path">> => <<"remove">>, <<"item">> => Key}, internal_opts(Opts)), Opts).

%% What AO-Core does to a message for its own purposes is no part of the message's history.
internal_opts(Opts) ->
    maps:merge(
        Opts,
        ao_core:options(#{
            hashpath => ignore,
            cache_control => [<<"no-cache">>, <<"no-store">>],
            spawn_worker => false,
            await_inprogress => false
        })
    ).

%%% Keys

-spec normalize_key(key()) -> binary().
normalize_key(Key) -> normalize_key(Key, #{}).

%% @doc A key in the form in which messages hold it: a binary in lower case, except where it has the size of an ID.
-spec normalize_key(key(), map()) -> binary().
normalize_key(Key, _Opts) when ?IS_ID(Key) -> Key;
normalize_key(Key, _Opts) when is_binary(Key) ->
    case ao_core:branch() of
        packages -> Key;
        _ -> hb_util:to_lower(Key)
    end;
normalize_key(Key, _Opts) when is_atom(Key) -> atom_to_binary(Key);
normalize_key(Key, _Opts) when is_integer(Key) -> integer_to_binary(Key);
normalize_key(Key, Opts) when is_list(Key) ->
    case hb_util:is_string_list(Key) of
        true -> normalize_key(list_to_binary(Key), Opts);
        false -> iolist_to_binary(lists:join(<<"/">>, [normalize_key(Part, Opts) || Part <- Key]))
    end.

-spec normalize_keys(term()) -> term().
normalize_keys(Message) -> normalize_keys(Message, #{}).

%% @doc The message with its own keys normalized, not those of messages in it. A list is a message numbered from 1.
-spec normalize_keys(term(), map()) -> term().
normalize_keys(List, Opts) when is_list(List) ->
    normalize_keys(maps:from_list(lists:zip(lists:seq(1, length(List)), List)), Opts);
normalize_keys(Map, Opts) when is_map(Map) ->
    maps:from_list([{normalize_key(Key, Opts), Value} || {Key, Value} <- maps:to_list(Map)]);
normalize_keys(Other, _Opts) ->
    Other.

%%% Devices

%% @doc The function that answers a key on a message, and whether the key goes in front of its arguments. In this
%% order: the handler of the device, its function of that name, its default, the default device.
-spec message_to_fun(map(), key(), map()) -> {ok | add_key, module() | map(), fun()}.
message_to_fun(Message, Key, Opts) ->
    Device = message_to_device(Message, Opts),
    Info = info(Device, Message, Opts),
    IsExported = is_exported(Info, Key),
    case Info of
        #{handler := Handler} when IsExported, is_function(Handler) ->
            {add_key, Device, Handler};
        _ ->
            case find_exported_function(Message, Device, Key, 3, Opts) of
                {ok, Function} -> {ok, Device, Function};
                not_found -> default_fun(Info, IsExported, Device, Message, Key, Opts)
            end
    end.

default_fun(#{default := Default}, true, Device, _Message, _Key, _Opts) when is_function(Default) ->
    {add_key, Device, Default};
default_fun(#{default := Default}, true, _Device, Message, Key, Opts) when is_atom(Default) ->
    message_to_fun(Message#{device => Default}, Key, Opts);
default_fun(_Info, _IsExported, Device, Message, Key, Opts) ->
    Device =/= ?DEFAULT_DEVICE orelse throw({error, default_device_could_not_resolve_key, {key, Key}}),
    %% The atom is found before the message's own `device', and is gone with this copy.
    message_to_fun(Message#{device => ?DEFAULT_DEVICE}, Key, Opts).

%% @doc The module or map that a message names as its device.
-spec message_to_device(map(), map()) -> module() | map().
message_to_device(Message, Opts) ->
    case dev_message:get(device, Message, Opts) of
        {error, not_found} ->
            ?DEFAULT_DEVICE;
        {ok, Name} ->
            case load_device(Name, Opts) of
                {ok, Device} -> Device;
                {error, Reason} -> throw({error, {device_not_loadable, Name, Reason}})
            end
    end.

%% @doc A device is a map of functions, the name of a module as an atom, or the name of a preloaded device.
-spec load_device(term(), map()) -> {ok, module() | map()} | {error, term()}.
load_device(Device, _Opts) when is_map(Device) -> {ok, Device};
load_device(Module, _Opts) when is_atom(Module) ->
    case (ao_core:branch() =/= packages orelse Module =:= ?DEFAULT_DEVICE) andalso code:ensure_loaded(Module) of
        {module, Module} -> {ok, Module};
        _ -> {error, not_loadable}
    end;
load_device(ID, _Opts) when ?IS_ID(ID) -> {error, remote_devices_disabled};
load_device(Name, Opts) ->
    case {ao_core:branch(), hb_opts:get(trusted_devices, #{}, Opts)} of
        {packages, #{Name := ID}} -> load_package(ID, Opts);
        _ -> preloaded(normalize_key(Name), Opts)
    end.

%% The operator's word counts, and is asked once.
load_package(ID, Opts) ->
    case persistent_term:get({?MODULE, ID}, none) of
        none ->
            {ok, Message} = hb_cache:read(ID, Opts),
            Root = binary_to_atom(hb_maps:get(<<"module-name">>, Message, none, Opts)),
            case hb_device_archive:load(Root, hb_maps:get(<<"body">>, Message, none, Opts), Opts) of
                {ok, Root} ->
                    persistent_term:put({?MODULE, ID}, Root),
                    {ok, Root};
                {error, _} = Error ->
                    Error
            end;
        Root ->
            {ok, Root}
    end.

preloaded(Wanted, Opts) ->
    Preloaded = hb_opts:get(preloaded_devices, [], Opts),
    case [Module || #{<<"name">> := Known, <<"module">> := Module} <- Preloaded, Known =:= Wanted] of
        [Module | _] ->
            {module, Module} = code:ensure_loaded(Module),
            {ok, Module};
        [] -> {error, {module_not_admissable, Wanted, Preloaded}}
    end.

%% @doc What the device of a message says about itself.
-spec info(map(), map()) -> map().
info(Message, Opts) -> info(message_to_device(Message, Opts), Message, Opts).

info(Device, Message, Opts) ->
    ao_core_counter:hit({hb_ao, info}),
    %% On `main' an `info/2' is not found, and with it nothing it says.
    MaxArity =
        case ao_core:branch() of
            main -> 1;
            _ -> 2
        end,
    case find_exported_function(Message, Device, info, MaxArity, Opts) of
        {ok, Function} -> apply(Function, truncate_args(Function, [Message, Opts]));
        not_found -> #{}
    end.

%% @doc The exported function of a device for a key, of the highest arity up to a limit. A module's function has to bear
%% the key's name letter by letter, dashes as underscores; in a map of functions case does not matter.
-spec find_exported_function(map(), module() | map(), key(), integer(), map()) -> {ok, fun()} | not_found.
find_exported_function(Message, Device, Key, MaxArity, Opts) when is_map(Device) ->
    Name = normalize_key(Key),
    case normalize_keys(Device) of
        #{Name := Function} when is_function(Function) ->
            {arity, Arity} = erlang:fun_info(Function, arity),
            if_exported(Arity =< MaxArity, Message, Device, Key, Function, Opts);
        _ ->
            not_found
    end;
find_exported_function(_Message, _Module, _Key, Arity, _Opts) when Arity < 0 ->
    not_found;
find_exported_function(Message, Module, Key, Arity, Opts) when not is_atom(Key) ->
    try hb_util:key_to_atom(Key, false) of
        Name -> find_exported_function(Message, Module, Name, Arity, Opts)
    catch
        error:badarg -> not_found
    end;
find_exported_function(Message, Module, Key, Arity, Opts) ->
    case erlang:function_exported(Module, Key, Arity) of
        true -> if_exported(true, Message, Module, Key, fun Module:Key/Arity, Opts);
        false -> find_exported_function(Message, Module, Key, Arity - 1, Opts)
    end.

if_exported(false, _Message, _Device, _Key, _Function, _Opts) -> not_found;
if_exported(true, _Message, _Device, info, Function, _Opts) -> {ok, Function};
if_exported(true, Message, Device, Key, Function, Opts) ->
    case is_exported(info(Device, Message, Opts), Key) of
        true -> {ok, Function};
        false -> not_found
    end.

is_exported(_Info, info) -> true;
is_exported(Info, Key) ->
    Name = normalize_key(Key),
    not names(Name, maps:get(excludes, Info, [])) andalso
        (not is_map_key(exports, Info) orelse names(Name, maps:get(exports, Info))).

names(Name, Keys) -> lists:any(fun(Key) -> normalize_key(Key) =:= Name end, Keys).

%% @doc As many of the arguments as the function takes.
-spec truncate_args(fun(), list()) -> list().
truncate_args(Function, Arguments) ->
    {arity, Arity} = erlang:fun_info(Function, arity),
    lists:sublist(Arguments, Arity).
