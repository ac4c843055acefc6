%% @doc What the tests need around the small AO-Core: which of HyperBEAM's branches it plays, and whether a device
%% calls only what both branches have. The modules beside this one carry HyperBEAM's names; the README tells more.
-module(ao_core).

-export([branch/0, branches/0, with_branch/2, options/1, option/1, unportable_calls/1]).

-type branch() :: main | edge | packages.
-export_type([branch/0]).

-ifdef(PACKAGES).
-define(BRANCHES, [packages]).
-else.
-define(BRANCHES, [main, edge]).
-endif.

%% @doc The branch that is played: `main' unless {@link with_branch/2} says otherwise, and `packages', the kernel of 2026, where
%% these modules were compiled for it.
-spec branch() -> branch().
branch() -> persistent_term:get(?MODULE, hd(branches())).

%% @doc The branches that these modules can play, or the one that a real node is like on which tests run: see
%% scripts/on-node.escript.
-spec branches() -> [branch()].
branches() -> persistent_term:get({?MODULE, branches}, ?BRANCHES).

%% @doc Options as the branch has them: with binary keys and dashes where packages are loaded, which sees no others.
-spec options(map()) -> map().
options(Opts) ->
    case branch() of
        packages -> maps:from_list([{option(Key), Value} || {Key, Value} <- maps:to_list(Opts)]);
        _ -> Opts
    end.

%% @doc The name of an option.
-spec option(atom() | binary()) -> binary().
option(Key) when is_atom(Key) -> binary:replace(atom_to_binary(Key), <<"_">>, <<"-">>, [global]);
option(Key) -> Key.

%% @doc Runs `Fun' on the other branch's behaviour, in all processes of this VM.
-spec with_branch(branch(), fun(() -> Result)) -> Result.
with_branch(Branch, Fun) ->
    true = lists:member(Branch, branches()),
    Before = branch(),
    persistent_term:put(?MODULE, Branch),
    try
        Fun()
    after
        persistent_term:put(?MODULE, Before)
    end.

%% @doc The calls of a module into HyperBEAM which do not work on both branches: functions that this AO-Core does not
%% have, and those that it has for its own use although only one branch knows them.
-spec unportable_calls(module()) -> [mfa()].
unportable_calls(Module) ->
    {Module, Beam, _File} = code:get_object_code(Module),
    {ok, {Module, [{imports, Imports}]}} = beam_lib:chunks(Beam, [imports]),
    [Call || Call <- Imports, is_of_the_node(Call), not is_on_both_branches(Call)].

is_of_the_node({Module, _, _}) ->
    case atom_to_list(Module) of
        "hb_beamr" ++ _ -> false;
        "hb_wasm64" ++ _ -> false;
        "hb_" ++ _ -> true;
        "dev_wasm64" ++ _ -> false;
        "lib_wasm64" ++ _ -> false;
        "dev_test_" ++ _ -> false;
        "dev_" ++ _ -> true;
        _ -> false
    end.

is_on_both_branches(Call = {Module, Function, Arity}) ->
    _ = code:ensure_loaded(Module),
    erlang:function_exported(Module, Function, Arity) andalso not lists:member(Call, one_branch_only()).

one_branch_only() ->
    [
        {hb_ao, set, 2},                                                   % main
        {hb_ao, normalize_keys, 2},                                        % edge
        {hb_cache, ensure_loaded, 2}, {hb_cache, ensure_all_loaded, 2},    % edge
        {hb_path, from_message, 3},                                        % edge
        {hb_util, deep_merge, 3},                                          % edge
        {hb_maps, get, 4}, {hb_maps, is_key, 3},                            % edge
        {dev_message, get, 4}, {dev_message, keys, 2}, {dev_message, remove, 3}, % edge
        %% Not in the same meaning: main takes (Message, Committers) only.
        {hb_message, id, 3}
    ].
