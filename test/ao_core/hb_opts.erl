%% @doc Options: those of the caller first, then the node's.
-module(hb_opts).

-export([default_message/0, get/1, get/2, get/3]).

-compile({no_auto_import, [get/1]}).

%% @doc What a node of this AO-Core runs with, and its operator has set in the persistent term `hb_opts'. Names of devices are in the form that `hb_ao:normalize_key/1' gives.
-spec default_message() -> map().
default_message() ->
    Operator = persistent_term:get(?MODULE, #{}),
    maps:merge(ao_core:options(defaults()), Operator).

defaults() ->
    #{
        cache_control => [<<"no-cache">>, <<"no-store">>],
        load_remote_devices => false,
        preloaded_devices => [
            #{<<"name">> => Name, <<"module">> => Module}
         || {Name, Module} <- [
                {<<"genesis-wasm@1.0">>, dev_genesis_wasm64},
                {<<"json-iface@1.0">>, dev_json_iface},
                {<<"message@1.0">>, dev_message},
                {<<"multipass@1.0">>, dev_multipass},
                {<<"patch@1.0">>, dev_patch},
                {<<"stack@1.0">>, dev_stack},
                {<<"test-iface@1.0">>, dev_test_iface},
                {<<"test-kv@1.0">>, dev_test_kv},
                {<<"test-math@1.0">>, dev_test_math},
                {<<"test-remote@1.0">>, dev_test_remote},
                {<<"test-wasi@1.0">>, dev_test_wasi},
                {<<"wasi@1.0">>, dev_wasi},
                {<<"wasm-64@1.0">>, dev_wasm64},
                {<<"wasm64@1.0">>, dev_wasm64}
            ]
        ],
        wasm_allow_aot => false
    }.

-spec get(atom() | binary()) -> term().
get(Key) -> get(Key, undefined).

-spec get(atom() | binary(), term()) -> term().
get(Key, Default) -> get(Key, Default, #{}).

%% @doc `only => local | global' asks one side alone; `prefer => global' turns the order round.
-spec get(atom() | binary(), term(), map()) -> term().
get(Key, Default, Opts) ->
    case ao_core:branch() of
        packages ->
            Only = maps:get(<<"only">>, Opts, both),
            first(ao_core:option(Key), sources(Only, maps:get(<<"prefer">>, Opts, local), Opts), Default);
        _ when is_binary(Key) ->
            try binary_to_existing_atom(Key) of
                Atom -> get(Atom, Default, Opts)
            catch
                error:badarg -> Default
            end;
        _ ->
            first(Key, sources(maps:get(only, Opts, both), maps:get(prefer, Opts, local), Opts), Default)
    end.

sources(local, _Prefer, Opts) -> [Opts];
sources(global, _Prefer, _Opts) -> [default_message()];
sources(both, global, Opts) -> [default_message(), Opts];
sources(both, _Prefer, Opts) -> [Opts, default_message()].

first(_Key, [], Default) -> Default;
first(Key, [Source | Rest], Default) ->
    case Source of
        #{Key := Value} -> Value;
        _ -> first(Key, Rest, Default)
    end.
