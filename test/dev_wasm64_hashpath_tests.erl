%% dev_wasm64 in AO-Core: the history that its results have, what it costs, and
%% on which branches it runs.
-module(dev_wasm64_hashpath_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, base/2, started/1, started/2, compute/3, result/1, instance/1, instance/2]).
-import(dev_wasm64_support, [library/1]).

%%% Hashpaths

%% As with any device: of what was asked of which message.
a_compute_is_one_step_of_the_hashpath_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = imports(#{}),
        [
            begin
                Request = #{<<"path">> => <<"compute">>, <<"function">> => Function, <<"parameters">> => Parameters},
                ?assertEqual(
                    hb_path:hashpath(M, Request, #{}),
                    hashpath(ok(hb_ao:resolve(M, Request, #{}))),
                    Function
                )
            end
         || {Function, Parameters} <- [
                {<<"call_add">>, [1, 2]}, {<<"call_many">>, [20]}, {<<"call_wide">>, [1]}, {<<"peek">>, [64]},
                {<<"nosuch">>, []}, {<<"import_then_trap">>, [1]}
            ]
        ]
    end).

a_compute_that_calls_nothing_is_a_step_as_well_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Request = #{<<"path">> => <<"compute">>, <<"more">> => 1},
        Bases = [started("numbers"), started("numbers", #{<<"pass">> => 2, <<"function">> => <<"nop">>})],
        [?assertEqual(hb_path:hashpath(M, Request, #{}), hashpath(ok(hb_ao:resolve(M, Request, #{})))) || M <- Bases],
        %% The one that another device gives which hands on what it gets.
        Pass = #{compute => fun(M) -> {ok, M} end},
        Private = #{<<"priv">> => #{<<"hashpath">> => some_hashpath()}},
        Other = ok(hb_ao:resolve(Private#{<<"device">> => Pass}, Request, #{})),
        Wasm = maps:get(<<"priv">>, started("numbers")),
        Mine = ok(hb_ao:resolve(#{
            <<"device">> => <<"wasm-64@1.0">>, <<"priv">> => Wasm#{<<"hashpath">> => some_hashpath()}
        }, Request, #{})),
        ?assertEqual(hashpath(Other), hashpath(Mine))
    end).

a_chain_of_computes_has_the_chain_of_hashpaths_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Request = fun(N) -> #{<<"path">> => <<"compute">>, <<"function">> => <<"count">>, <<"parameters">> => [N]} end,
        {Last, Expected} = lists:foldl(
            fun(N, {M, Path}) ->
                Named = #{<<"priv">> => #{<<"hashpath">> => Path}},
                {ok(hb_ao:resolve(M, Request(N), #{})), hb_path:hashpath(Named, Request(N), #{})}
            end,
            {started("numbers"), hashpath(started("numbers"))},
            lists:seq(1, 5)
        ),
        ?assertEqual(Expected, hashpath(Last)),
        ?assertEqual([ok, [7 + 15]], result({ok, Last}))
    end).

%% It must not matter for what comes after whether a process was restored.
a_restored_base_has_the_hashpath_of_a_living_one_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Keys = #{<<"priv">> => #{<<"hashpath">> => some_hashpath()}},
        Living = named(started("memory"), some_hashpath()),
        {ok, Memory} = hb_wasm64:read_memory(instance(Living)),
        Literal = (base("memory", Keys))#{<<"snapshot">> => #{<<"body">> => Memory}},
        Steps = [
            <<"normalize">>,
            #{<<"path">> => <<"compute">>, <<"function">> => <<"strlen">>, <<"parameters">> => [64]}
        ],
        [
            begin
                [One, Two] = [ok(hb_ao:resolve(M, Step, #{})) || M <- [Living, Literal]],
                ?assertEqual(hashpath(One), hashpath(Two)),
                ?assert(maps:remove(<<"priv">>, One) =:= maps:remove(<<"priv">>, Two)),
                ?assert(hb_message:id(maps:remove(<<"priv">>, One)) =:= hb_message:id(maps:remove(<<"priv">>, Two)))
            end
         || Step <- Steps
        ]
    end).

%% As devices call each other: the message stays the one that it was.
normalize_keeps_the_hashpath_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {ok, Memory} = hb_wasm64:read_memory(instance(started("memory"))),
        Keys = #{<<"priv">> => #{<<"hashpath">> => some_hashpath(), <<"other">> => 1}},
        Bases = [named(started("memory"), some_hashpath()), base("memory", Keys#{<<"snapshot">> => #{<<"body">> => Memory}})],
        [?assertEqual(some_hashpath(), hashpath(ok(dev_wasm64:normalize(M, #{}, #{})))) || M <- Bases]
    end).

what_is_private_stays_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Private = #{<<"other">> => #{<<"a">> => 1}, <<"wasm">> => #{<<"b">> => 2}},
        M = started("imports", #{<<"priv">> => Private, <<"output-prefix">> => <<"wasm">>}),
        Steps = [
            #{<<"path">> => <<"compute">>, <<"function">> => <<"call_add">>, <<"parameters">> => [1, 2]},
            #{<<"path">> => <<"compute">>, <<"function">> => <<"nosuch">>},
            <<"compute">>, <<"normalize">>, <<"terminate">>
        ],
        [
            begin
                After = ok(hb_ao:resolve(M, Step, #{})),
                ?assertEqual([1, 2], [instance(Path, After) || Path <- [<<"other/a">>, <<"wasm/b">>]])
            end
         || Step <- Steps
        ]
    end).

%% The ID of what a compute gives holds nothing of the instance.
the_id_of_a_result_is_the_same_for_every_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ID = fun() -> hb_util:ok(dev_message:id(ok(compute(imports(#{}), <<"call_add">>, [1, 2])), #{}, #{})) end,
        ?assertEqual(ID(), ID())
    end).

%% The options of a caller who does not want one reach all that is done.
without_hashpaths_there_are_none_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Opts = dev_wasm64_support:opts(#{hashpath => ignore}),
        M = ok(hb_ao:resolve(base("imports", math()), <<"init">>, Opts)),
        {After, Counts} = ao_core_counter:count(fun() ->
            ok(dev_wasm64_support:compute(M, <<"call_many">>, [10], Opts))
        end),
        ?assertEqual([ok, [55]], result({ok, After})),
        ?assertNot(is_map_key({hb_path, hashpath}, Counts)),
        ?assertNot(is_map_key(<<"hashpath">>, hb_private:from_message(After)))
    end).

%%% Cost

%% On a node the calls around a guest take longer than the guest.
a_compute_takes_few_calls_of_ao_core_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers", #{<<"output-prefix">> => <<"wasm">>}),
        {Answer, Counts} = ao_core_counter:count(fun() -> compute(M, <<"fac">>, [5]) end),
        ?assertEqual([120.0], dev_wasm64_support:get(<<"results/wasm/output">>, ok(Answer))),
        Count = fun(Name) -> maps:get(Name, Counts, 0) end,
        %% The caller's own.
        ?assertEqual(1, Count({hb_ao, resolve}), Counts),
        ?assertEqual(1, Count({hb_ao, step}), Counts),
        ?assertEqual(1, Count({hb_path, hashpath}), Counts),
        [
            ?assertEqual({Name, 0}, {Name, Count(Name)})
         || Name <- [
                {hb_ao, get}, {hb_ao, set}, {hb_private, get}, {hb_private, set}, {dev_stack, prefix}, {hb_cache, read}
            ]
        ],
        ?assertEqual(1, Count({dev_message, set}), Counts),
        ?assert(Count({dev_message, get}) =< 10, Counts)
    end).

%% The calls of an import do not grow with those before it.
an_import_takes_few_calls_of_ao_core_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Count = fun(N) ->
            M = imports(#{}),
            {_, Counts} = ao_core_counter:count(fun() -> [ok, [_]] = result(compute(M, <<"call_many">>, [N])) end),
            Counts
        end,
        {Ten, Twenty} = {Count(10), Count(20)},
        Each = maps:map(fun(Name, Calls) -> (Calls - maps:get(Name, Ten, 0)) / 10 end, Twenty),
        ?assertEqual(0.0, maps:get({hb_path, hashpath}, Each, 0.0)),
        ?assertEqual(0.0, maps:get({hb_private, set}, Each, 0.0)),
        %% The library's resolve, and the two gets of test-math.
        ?assert(maps:get({hb_ao, resolve}, Each) =< 3.0, Each),
        ?assert(maps:get({hb_ao, get}, Each) =< 2.0, Each),
        ?assert(maps:get({dev_message, get}, Each) =< 20.0, Each)
    end).

%%% Branches

only_calls_of_both_branches_are_made_test() ->
    {ok, Modules} = application:get_key(hb_wasm64, modules),
    Devices = [Module || Module <- Modules, Prefix <- ["dev_wasm64", "lib_wasm64"], lists:prefix(Prefix, atom_to_list(Module))],
    ?assert(length(Devices) > 5),
    %% Where the kernels differ is said in one module.
    [?assertEqual([], ao_core:unportable_calls(Module)) || Module <- Devices -- [lib_wasm64_kernel]].

%% Edge hands the options to info, main does not.
info_says_the_same_to_both_branches_test() ->
    ?assertMatch(#{excludes := [<<"instance">>]}, dev_wasm64:info(#{})),
    [
        ?assertMatch(
            #{excludes := [<<"instance">>]},
            ao_core:with_branch(Branch, fun() -> hb_ao:info(#{<<"device">> => <<"wasm64@1.0">>}, #{}) end)
        )
     || Branch <- [main, edge]
    ].

%%% Support

imports(Keys) -> started("imports", maps:merge(math(), Keys)).

math() ->
    Callback = fun(#{<<"state">> := State}, _, _) -> {ok, #{<<"state">> => State, <<"results">> => [0]}} end,
    #{<<"stdlib">> => #{<<"env">> => library(#{add => fun dev_test_math:add/3, callback => Callback})}}.

hashpath(#{<<"priv">> := #{<<"hashpath">> := Hashpath}}) -> Hashpath.

some_hashpath() -> <<(hb_util:encode(crypto:hash(sha256, <<"some">>)))/binary, "/step">>.

named(#{<<"priv">> := Private} = M, Hashpath) -> M#{<<"priv">> => Private#{<<"hashpath">> => Hashpath}}.
