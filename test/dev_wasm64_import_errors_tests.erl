%% Imports of dev_wasm64 that no device answers, and those that one answers
%% wrongly.
-module(dev_wasm64_import_errors_tests).

-include_lib("eunit/include/eunit.hrl").
-include("dev_wasm64.hrl").

-import(dev_wasm64_support, [on_both/2, on_edge/2, ok/1, started/1, started/2, reread/1, compute/3, result/1, get/2, instance/1, quiet/1]).
-import(dev_wasm64_support, [brief/1, importer/2, library/1]).

%%% Undefined imports

%% Of the types that the guest expects.
undefined_imports_give_zeros_test_() ->
    Rows = [
        {<<"call_add">>, [1, 2], [0]}, {<<"call_wide">>, [1], [0]}, {<<"call_single">>, [1.0], [0.0]},
        {<<"call_double">>, [1.0], [0.0]}, {<<"call_vec">>, [<<1:128>>], [<<0:128>>]}, {<<"call_none">>, [], []},
        {<<"call_pair">>, [1], [0, 0]}, {<<"call_extern">>, [7], [null]}, {<<"call_callback">>, [1], [0]},
        {<<"call_log">>, [], []}, {<<"call_many">>, [10], [0]}, {<<"nest">>, [5], [5]}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                ?assertEqual({Function, [ok, Results]}, {Function, result(compute(started("imports"), Function, Parameters))}),
                Loose = started("imports", #{<<"stdlib">> => #{<<"other">> => #{<<"device">> => <<"test-math@1.0">>}}}),
                ?assertEqual({Function, [ok, Results]}, {Function, result(compute(Loose, Function, Parameters))})
            end
         || {Function, Parameters, Results} <- Rows
        ]
    end).

%% The signature alone says what the zeros are.
zeros_are_of_every_type_test_() ->
    Rows = [
        {<<"()">>, []}, {<<"()i">>, [0]}, {<<"(iIfFveu)iIfFveu">>, [0, 0, 0.0, 0.0, <<0:128>>, null, null]},
        {<<"()x">>, [null]}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                Request = #{
                    <<"path">> => <<"import">>, <<"module">> => <<"m">>, <<"func">> => <<"f">>, <<"args">> => [],
                    <<"func-sig">> => Signature
                },
                {ok, #{<<"results">> := Results}} = hb_ao:resolve(started("imports"), Request, #{}),
                %% Integers and floats apart.
                ?assert(Results =:= Zeros, {Signature, Results})
            end
         || {Signature, Zeros} <- Rows
        ]
    end).

undefined_imports_are_recorded_newest_first_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("imports"), <<"call_many">>, [3])),
        ?assertMatch(
            [
                #{<<"module">> := <<"env">>, <<"func">> := <<"add">>, <<"args">> := [0, 3], <<"func-sig">> := <<"(ii)i">>},
                #{<<"args">> := [0, 2]},
                #{<<"args">> := [0, 1]}
            ],
            undefined_calls([], M)
        ),
        After = ok(compute(M, <<"call_pair">>, [7])),
        ?assertMatch(
            [#{<<"func">> := <<"pair">>, <<"args">> := [7], <<"func-sig">> := <<"(i)iI">>}, #{<<"args">> := [0, 3]}, _, _],
            undefined_calls([], After)
        )
    end).

undefined_imports_are_recorded_under_the_output_prefix_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        State = #{<<"kept">> => 1, <<"results">> => #{<<"other">> => 2}},
        M = ok(compute(started("imports", #{<<"output-prefix">> => <<"Out/wasm">>, <<"state">> => State}), <<"call_add">>, [1, 2])),
        ?assertMatch([#{<<"args">> := [1, 2]}], undefined_calls([<<"out">>, <<"wasm">>], M)),
        ?assertMatch(#{<<"kept">> := 1, <<"results">> := #{<<"other">> := 2}}, maps:get(<<"state">>, M)),
        %% The results of the guest are elsewhere.
        ?assertEqual([0], get(<<"results/out/wasm/output">>, M)),
        ?assertEqual(not_found, get(<<"results/out/wasm/undefined-calls">>, M))
    end).

undefined_imports_are_recorded_over_links_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        State = #{<<"kept">> => 1, <<"results">> => #{<<"undefined-calls">> => [#{<<"func">> => <<"old">>}], <<"b">> => 2}},
        Read = reread(dev_wasm64_support:base("imports", #{<<"state">> => State})),
        M = ok(compute(ok(hb_ao:resolve(Read, <<"init">>, #{})), <<"call_add">>, [1, 2])),
        ?assertEqual([1, 2], [get(Key, M) || Key <- [<<"state/kept">>, <<"state/results/b">>]]),
        [#{<<"func">> := <<"add">>}, Old] = undefined_calls([], M),
        ?assertEqual(<<"old">>, hb_ao:get(<<"func">>, Old, #{}))
    end).

%% A guest in a loop must not fill the memory of the node with its complaints.
the_record_of_undefined_imports_has_an_end_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("imports"), <<"call_many">>, [3000])),
        Calls = undefined_calls([], M),
        ?assertEqual(1000, length(Calls)),
        ?assertMatch(#{<<"args">> := [0, 3000]}, hd(Calls)),
        ?assertMatch(#{<<"args">> := [0, 2001]}, lists:last(Calls)),
        After = ok(compute(M, <<"call_add">>, [9, 9])),
        ?assertEqual(1000, length(undefined_calls([], After))),
        ?assertMatch([#{<<"args">> := [9, 9]} | _], undefined_calls([], After)),
        ?assert(erts_debug:flat_size(undefined_calls([], After)) < 100_000)
    end).

undefined_calls(Prefix, M) -> get([<<"state">>, <<"results">>] ++ Prefix ++ [<<"undefined-calls">>], M).

%%% Libraries that are none

%% AO-Core would answer some of these itself.
a_library_without_a_device_is_none_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Libraries = [
            #{}, #{<<"get">> => 1, <<"set">> => 2, <<"go">> => #{<<"results">> => [9]}}, <<"text">>, 1, [], [1], <<>>
        ],
        [
            begin
                M = started(importer(<<"env">>, Func), #{<<"stdlib">> => #{<<"env">> => Library}}),
                After = ok(compute(M, <<"go">>, [])),
                ?assertEqual({Func, Library, [ok, [0]]}, {Func, Library, result({ok, After})}),
                ?assertMatch([#{<<"func">> := Func}], undefined_calls([], After))
            end
         || Func <- [<<"get">>, <<"set">>, <<"keys">>, <<"id">>, <<"go">>, <<"path">>, <<"remove">>],
            Library <- Libraries
        ]
    end).

a_stdlib_that_is_none_has_nothing_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            ?assertEqual({Lib, [ok, [0]]}, {Lib, result(compute(started("imports", #{<<"stdlib">> => Lib}), <<"call_add">>, [1, 2]))})
         || Lib <- [<<"text">>, <<>>, 1, atom, [], [#{}], #{<<"env">> => #{<<"add">> => 1}}]
        ]
    end).

a_device_that_does_not_know_the_function_leaves_it_undefined_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        NotFound = fun() -> {error, not_found} end,
        [
            begin
                After = ok(compute(started("imports", env(Device)), <<"call_add">>, [1, 2])),
                ?assertEqual([ok, [0]], result({ok, After})),
                ?assertMatch([#{<<"func">> := <<"add">>}], undefined_calls([], After))
            end
         || Device <- [<<"test-kv@1.0">>, #{add => NotFound}, #{sub => NotFound}]
        ]
    end).

%%% Wrong answers

%% Each fails the import; the instance lives, and the message goes on with it.
a_wrong_answer_is_an_error_of_the_guest_test_() ->
    Answer = fun(Make) -> fun(#{<<"state">> := State}) -> Make(State) end end,
    With = fun(Results) -> Answer(fun(S) -> {ok, #{<<"state">> => S, <<"results">> => Results}} end) end,
    NotFit = <<"import failed: env.add: the results do not fit (ii)i">>,
    Raised = fun(Class) -> <<"import failed: env.add: raised ", Class/binary>> end,
    Rows = [
        %% Missing, of the wrong type, no list.
        {With([]), NotFit}, {With([1.0]), NotFit}, {With([<<"1">>]), NotFit}, {With([one]), NotFit},
        {With([1 bsl 32]), NotFit}, {With([#{}]), NotFit}, {With(#{}), NotFit},
        {Answer(fun(S) -> {ok, #{<<"state">> => S}} end), <<"import failed: env.add: the answer has no results">>},
        {Answer(fun(_) -> {ok, [3]} end), <<"import failed: env.add: the answer has no results">>},
        {Answer(fun(_) -> {ok, 3} end), <<"import failed: env.add: the answer has no results">>},
        %% Reasons.
        {Answer(fun(_) -> {error, <<"disk full">>} end), <<"import failed: env.add: disk full">>},
        {Answer(fun(_) -> {error, disk_full} end), <<"import failed: env.add: disk_full">>},
        {Answer(fun(_) -> {error, #{<<"body">> => <<"disk full">>, <<"status">> => 500}} end),
            <<"import failed: env.add: disk full">>},
        %% What would not be the same on every node.
        {Answer(fun(_) -> {error, {self(), make_ref()}} end), <<"import failed: env.add: error">>},
        {Answer(fun(_) -> {error, "disk full"} end), <<"import failed: env.add: error">>},
        {Answer(fun(_) -> {error, <<255, 254>>} end), <<"import failed: env.add: error">>},
        {Answer(fun(_) -> error({badmatch, self()}) end), Raised(<<"error">>)},
        {Answer(fun(_) -> throw(away) end), Raised(<<"throw">>)},
        {Answer(fun(_) -> exit(now) end), Raised(<<"exit">>)},
        %% Neither ok nor error, and no tuple of two.
        {Answer(fun(S) -> {skip, S} end), <<"import failed: env.add: the device returned neither ok nor error">>},
        {Answer(fun(S) -> {pass, S} end), <<"import failed: env.add: the device returned neither ok nor error">>},
        {Answer(fun(_) -> [3] end), Raised(<<"error">>)},
        {Answer(fun(_) -> {ok, 3, 4} end), Raised(<<"error">>)}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        quiet(fun() ->
            [
                begin
                    M = started("imports", env(#{add => Function})),
                    After = ok(compute(M, <<"call_add">>, [1, 2])),
                    ?assertEqual({Number, [error, Text]}, {Number, result({ok, After})}),
                    ?assertEqual(instance(M), instance(After)),
                    ?assertEqual([ok, [50]], result(compute(After, 0, [5])))
                end
             || {Number, {Function, Text}} <- lists:enumerate(Rows)
            ]
        end)
    end).

%% What a device could not do here is no result: another node may find another one.
an_answer_that_speaks_of_the_node_is_no_result_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = started("imports", env(#{add => fun() -> {error, #{<<"body">> => <<"busy">>, <<"status">> => Status}} end})),
                ?assertMatch(
                    {?FAILURE, #{<<"status">> := 503, <<"body">> := <<"function: import failed: env.add: busy">>}},
                    compute(M, <<"call_add">>, [1, 2])
                ),
                ?assertEqual({error, stopped}, hb_wasm64:status(instance(M)))
            end
         || Status <- [408, 429, 502, 503, 504, <<"503">>]
        ]
    end).

%% A process of another node may answer.
a_process_that_does_not_answer_an_import_device_is_no_result_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("imports", env(#{add => fun() -> gen_server:call(nobody_is_called_so, ask) end})),
        ?assertMatch(
            {?FAILURE, #{<<"status">> := 503, <<"body">> := <<"function: import failed: env.add: a process of the node did ", _/binary>>}},
            compute(M, <<"call_add">>, [1, 2])
        ),
        ?assertEqual({error, stopped}, hb_wasm64:status(instance(M)))
    end).

%% Another node may have the message.
a_message_that_an_import_device_lacks_is_no_result_test_() ->
    on_edge(?FUNCTION_NAME, fun() ->
        Load = fun() -> hb_cache:ensure_loaded({link, <<"nowhere/body">>, #{}}, #{}) end,
        M = started("imports", env(#{add => Load})),
        ?assertMatch(
            {?FAILURE, #{<<"status">> := 503, <<"body">> := <<"function: import failed: env.add: a message is in none ", _/binary>>}},
            compute(M, <<"call_add">>, [1, 2])
        ),
        ?assertEqual({error, stopped}, hb_wasm64:status(instance(M)))
    end).

%% Whoever reads it has many imports to choose from.
results_that_are_no_list_name_the_import_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                Add = fun(#{<<"state">> := S}) -> {ok, #{<<"state">> => S, <<"results">> => Results}} end,
                After = ok(compute(started("imports", env(#{add => Add})), <<"call_add">>, [1, 2])),
                ?assertMatch([error, <<"import failed: env.add: ", _/binary>>], result({ok, After}))
            end
         || Results <- [5, <<"5">>, five, {5}, #{<<"a">> => 1}, [1 | 2]]
        ]
    end).

surplus_results_are_dropped_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Give = fun(Results) -> fun(#{<<"state">> := S}) -> {ok, #{<<"state">> => S, <<"results">> => Results}} end end,
        Rows = [
            {<<"call_add">>, [1, 2], add, [3, 4, nonsense], [3]},
            {<<"call_none">>, [], none, [0], []},
            {<<"call_log">>, [], log, [0], []},
            {<<"call_pair">>, [1], pair, [1, 2, 3], [1, 2]}
        ],
        [
            begin
                M = started("imports", env(#{Name => Give(Results)})),
                ?assertEqual({Name, [ok, Expected]}, {Name, result(compute(M, Function, Parameters))})
            end
         || {Function, Parameters, Name, Results, Expected} <- Rows
        ]
    end).

results_may_be_a_numbered_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Pair = fun(#{<<"state">> := S}) -> {ok, #{<<"state">> => S, <<"results">> => #{<<"1">> => 1, <<"2">> => 2}}} end,
        ?assertEqual([ok, [1, 2]], result(compute(started("imports", env(#{pair => Pair})), <<"call_pair">>, [1])))
    end).

%% It goes on with the state that it was given.
an_answer_without_a_state_changes_none_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("imports", (env(#{add => fun() -> {ok, #{<<"results">> => [5]}} end}))#{<<"kept">> => 1}),
        After = ok(compute(M, <<"call_many">>, [3])),
        ?assertEqual([ok, [5]], result({ok, After})),
        ?assertMatch(#{<<"kept">> := 1}, After),
        ?assertEqual(instance(M), instance(After))
    end).

%% There is nothing to put results into: the message before it counts.
a_state_that_is_no_message_harms_nothing_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        quiet(fun() ->
            [
                begin
                    Add = fun() -> {ok, #{<<"results">> => [5], <<"state">> => State}} end,
                    M = started("imports", (env(#{add => Add}))#{<<"kept">> => 1}),
                    [
                        begin
                            After = ok(compute(M, Function, Parameters)),
                            ?assertMatch([Type, _] when Type =:= ok orelse Type =:= error, result({ok, After})),
                            ?assertMatch(#{<<"kept">> := 1}, After),
                            ?assertEqual(instance(M), instance(After)),
                            ?assertEqual([ok, [50]], result(compute(After, 0, [5])))
                        end
                     || {Function, Parameters} <- [{<<"call_add">>, [1, 2]}, {<<"call_many">>, [3]}]
                    ]
                end
             || State <- [5, <<"text">>, [], [1], atom, not_found]
            ]
        end)
    end).

%% What a device makes of the messages on their way in is its own business, but not the node's end.
a_library_whose_device_does_not_exist_fails_the_import_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        quiet(fun() ->
            [
                begin
                    After = ok(compute(started("imports", env(Name)), <<"call_add">>, [1, 2])),
                    ?assertEqual([error, <<"import failed: env.add: raised throw">>], result({ok, After})),
                    ?assertEqual([ok, [50]], result(compute(After, 0, [5])))
                end
             || Name <- [<<"no-such-device@1.0">>, no_such_module, binary:copy(<<"i">>, 43)]
            ]
        end)
    end).

%% The innermost call alone, when the device has made one itself.
a_failed_import_in_a_nested_compute_is_a_result_of_that_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Callback = fun(#{<<"state">> := State}, _, Opts) ->
            Nested = ok(dev_wasm64_support:compute(State, <<"call_add">>, [1, 2], Opts)),
            {ok, #{<<"state">> => Nested#{<<"inner">> => result({ok, Nested})}, <<"results">> => [7]}}
        end,
        M = started("imports", env(#{callback => Callback, add => fun() -> {error, no} end})),
        After = ok(compute(M, <<"call_callback">>, [1])),
        ?assertEqual([ok, [7]], result({ok, After})),
        ?assertEqual([error, <<"import failed: env.add: no">>], maps:get(<<"inner">>, After)),
        ?assertEqual(instance(M), instance(After))
    end).

%% What the own resolver of a message does wrong is told without a word of the node.
a_resolver_of_ones_own_may_fail_test_() ->
    Rows = [
        {fun(_, _, _) -> error(oops) end, <<"import failed: raised error">>},
        {fun(_, _, _) -> nonsense end, <<"import failed: the import function returned an invalid value">>},
        {fun(_, _, _) -> {error, self()} end, <<"import failed">>},
        {fun(_, _, _) -> {error, <<"why">>} end, <<"import failed: why">>}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = hb_private:set(started("imports"), <<"import-resolver">>, Mine, #{}),
                ?assertEqual([error, Text], result(compute(M, <<"call_add">>, [1, 2])))
            end
         || {Mine, Text} <- Rows
        ]
    end).

%%% Asked directly

%% What is missing in the request is no reason to raise.
an_import_without_its_keys_is_undefined_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            ?assertMatch(
                {Request, {ok, #{<<"results">> := [0], <<"state">> := #{}}}},
                {Request, brief(hb_ao:resolve(M, Request#{<<"path">> => <<"import">>}, #{}))}
            )
         || M <- [started("imports", env(<<"test-math@1.0">>)), started("imports")],
            Request <- [
                #{}, #{<<"module">> => <<"env">>}, #{<<"module">> => <<"env">>, <<"func">> => <<"nosuch">>},
                #{<<"module">> => <<"env">>, <<"func">> => 1}, #{<<"module">> => 1, <<"func">> => <<"add">>},
                #{<<"module">> => <<"env">>, <<"func">> => <<"nosuch">>, <<"func-sig">> => 1},
                #{<<"module">> => <<"env">>, <<"func">> => #{}}
            ]
        ]
    end).

%%% Support

env(Device) -> #{<<"stdlib">> => #{<<"env">> => library(Device)}}.
