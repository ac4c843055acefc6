%% @doc HyperBEAM's `~wasi@1.0', as far as a stack meets it: it makes itself the library of WASI's imports, and `fd_write' reads a key
%% of the descriptor that is never there, so that it fails in each version.
-module(dev_wasi).

-export([init/3, compute/1, fd_write/3]).

-spec init(map(), map(), map()) -> {ok, map()}.
init(Base, _Request, Opts) ->
    %% As it writes itself.
    Library = #{<<"device">> => case ao_core:branch() of packages -> <<"wasi@1.0">>; _ -> <<"WASI@1.0">> end},
    Descriptors = maps:from_list([{FD, #{<<"filename">> => File, <<"offset">> => 0}} || {FD, File} <- [
        {<<"0">>, <<"/dev/stdin">>}, {<<"1">>, <<"/dev/stdout">>}, {<<"2">>, <<"/dev/stderr">>}
    ]]),
    WithLibrary = hb_ao:set(Base, <<"wasm/stdlib/wasi_snapshot_preview1">>, Library, Opts),
    {ok, hb_ao:set(WithLibrary, <<"file-descriptors">>, Descriptors, Opts)}.

-spec compute(map()) -> {ok, map()}.
compute(Base) -> {ok, Base}.

-spec fd_write(map(), map(), map()) -> no_return().
fd_write(Base, Request, Opts) ->
    State = hb_ao:get(<<"state">>, Base, Opts),
    [FD | _] = hb_ao:get(<<"args">>, Request, Opts),
    Descriptor = hb_ao:get(<<"file-descriptors/", (integer_to_binary(FD))/binary>>, State, Opts),
    error({badarg, hb_ao:get(<<"data">>, Descriptor, Opts)}).
