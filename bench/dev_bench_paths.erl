%% @doc What `dev_wasm64' is measured against: the same compute and import, but with everything asked for where it is
%% needed and by its path, which is how a device is usually written, and how HyperBEAM's own WASM device is. Both have to
%% come to the same message.
-module(dev_bench_paths).

-export([info/1, init/3, compute/3, import/3]).

-spec info(map()) -> map().
info(_Base) -> #{}.

-spec init(map(), map(), map()) -> {ok, map()}.
init(Base, Request, Opts) ->
    {ok, Started} = dev_wasm64:init(Base, Request, Opts),
    Path = <<(dev_stack:prefix(Base, Request, Opts))/binary, "/import-resolver">>,
    {ok, hb_private:set(Started, #{Path => fun resolve_import/3}, Opts)}.

-spec compute(map(), map(), map()) -> {ok, map()}.
compute(RawBase, Request, Opts) ->
    true = is_reference(instance(RawBase, Request, Opts)),
    {ok, Base} = dev_message:set(RawBase, #{<<"snapshot">> => unset}, Opts),
    Prefix = dev_stack:prefix(Base, Request, Opts),
    not_found = hb_ao:get(<<"pass">>, Base, Opts),
    Function = argument(<<"function">>, Base, Request, Opts),
    Parameters = argument(<<"parameters">>, Base, Request, Opts),
    Handle = instance(Base, Request, Opts),
    Resolver = hb_private:get(<<Prefix/binary, "/import-resolver">>, Base, Opts),
    Import = fun(State, Import, _) -> Resolver(State, Import, Opts) end,
    {ok, Results, After} = hb_wasm64:call(Handle, Function, Parameters, Import, Base, #{}),
    Set = #{<<"results/", Prefix/binary, "/type">> => ok, <<"results/", Prefix/binary, "/output">> => Results},
    {ok, hb_ao:set(After, Set, Opts)}.

argument(Key, Base, Request, Opts) ->
    hb_ao:get_first([{Request, <<"body/", Key/binary>>}, {Request, Key}, {Base, Key}], Opts).

instance(Base, Request, Opts) ->
    Path = <<(dev_stack:prefix(Base, Request, Opts))/binary, "/instance">>,
    hb_private:get(Path, Base, Opts#{hashpath => ignore}).

resolve_import(State, #{instance := Scope, module := Module, func := Func, args := Args, func_sig := Sig}, Opts) ->
    Prefix = dev_stack:prefix(State, #{}, Opts),
    Request = #{
        <<"path">> => <<"import">>,
        <<"module">> => list_to_binary(Module),
        <<"func">> => list_to_binary(Func),
        <<"args">> => Args,
        <<"func-sig">> => list_to_binary(Sig)
    },
    Waiting = hb_private:set(State, #{<<Prefix/binary, "/instance">> => Scope}, Opts),
    {ok, Answer} = hb_ao:resolve(Waiting, Request, Opts),
    {ok, hb_ao:get(<<"results">>, Answer, Opts), hb_ao:get(<<"state">>, Answer, Opts)}.

-spec import(map(), map(), map()) -> {ok, map()}.
import(Base, Request, Opts) ->
    Prefix = dev_stack:prefix(Base, Request, Opts),
    Library = <<Prefix/binary, "/stdlib/", (hb_ao:get(<<"module">>, Request, Opts))/binary>>,
    Path = <<Library/binary, "/", (hb_ao:get(<<"func">>, Request, Opts))/binary>>,
    WithState = hb_ao:set(Base, #{<<Library/binary, "/state">> => Base}, Opts#{hashpath => ignore}),
    {ok, _} = hb_ao:resolve(WithState, Request#{<<"path">> => Path}, Opts).
