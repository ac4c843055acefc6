%% An instance that comes and goes: the keys snapshot, normalize and terminate
%% of dev_wasm64, and what other devices see of it.
-module(dev_wasm64_snapshots_tests).

-include_lib("eunit/include/eunit.hrl").
-include("dev_wasm64.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, base/2, started/1, started/2, reread/1, compute/3, result/1, instance/1, instance/2]).
-import(dev_wasm64_support, [brief/1, instances_of/1]).

%%% Snapshots

a_snapshot_is_the_memory_as_the_guest_sees_it_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("memory"), <<"store8">>, [100, 200])),
        Snapshot = #{<<"body">> := Memory} = ok(hb_ao:resolve(M, <<"snapshot">>, #{})),
        ?assertEqual([<<"body">>], maps:keys(maps:remove(<<"priv">>, Snapshot))),
        ?assertMatch(<<_:64/binary, "Hello, World!", 0, _:22/binary, 200, _/binary>>, Memory),
        ?assert({ok, Memory} =:= hb_wasm64:read_memory(instance(M))),
        ?assertEqual(65536, byte_size(Memory))
    end).

a_snapshot_is_taken_under_the_output_prefix_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("memory", #{<<"output-prefix">> => <<"Out/wasm">>}),
        ?assertMatch(#{<<"body">> := <<_:64/binary, "Hello", _/binary>>}, ok(hb_ao:resolve(M, <<"snapshot">>, #{})))
    end).

an_image_without_memory_has_an_empty_snapshot_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ?assertMatch(#{<<"body">> := <<>>}, ok(hb_ao:resolve(started("tables"), <<"snapshot">>, #{}))),
        ?assertEqual([ok, [4]], result(compute(restored("tables", <<>>), <<"size">>, [])))
    end).

without_an_instance_there_is_no_snapshot_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Stopped = started("memory"),
        ok = hb_wasm64:stop(instance(Stopped)),
        [
            ?assertMatch(
                {?FAILURE, #{<<"key">> := <<"instance">>, <<"status">> := 404, <<"body">> := <<"instance: ", _/binary>>}},
                brief(hb_ao:resolve(M, <<"snapshot">>, #{}))
            )
         || M <- [base("memory", #{}), ok(hb_ao:resolve(Stopped, <<"terminate">>, #{}))]
        ]
    end).

%% A stack would leave out an error, and its process would be kept without its memory.
a_snapshot_that_cannot_be_taken_is_thrown_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Stopped = started("memory"),
        ok = hb_wasm64:stop(instance(Stopped)),
        Map = #{<<"path">> => <<"snapshot">>, <<"mode">> => <<"Map">>},
        Stack = Stopped#{<<"device">> => <<"stack@1.0">>, <<"device-stack">> => [<<"wasm64@1.0">>]},
        [
            ?assertThrow({?FAILURE, #{<<"key">> := <<"instance">>, <<"status">> := 410}}, hb_ao:resolve(M, Request, #{}))
         || {M, Request} <- [{Stopped, <<"snapshot">>}, {Stack, Map}]
        ]
    end).

%%% Restoring

a_compute_restores_the_snapshot_of_its_base_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("memory"), <<"store8">>, [70, $,])),
        After = ok(compute(restored("memory", snapshot(M)), <<"load8">>, [70])),
        ?assertEqual([ok, [$,]], result({ok, After})),
        ?assertNotEqual(instance(M), instance(After)),
        ?assertNot(is_map_key(<<"snapshot">>, After)),
        %% The restored one is an instance of its own.
        {ok, _} = compute(After, <<"store8">>, [70, $!]),
        ?assertEqual([ok, [$,]], result(compute(M, <<"load8">>, [70])))
    end).

%% Also where there is nothing to compute.
a_compute_without_a_function_restores_as_well_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Base = restored("memory", snapshot(started("memory"))),
        [
            begin
                M = ok(hb_ao:resolve(Given, <<"compute">>, #{})),
                ?assertNot(is_map_key(<<"snapshot">>, M)),
                ?assertEqual([ok, [13]], result(compute(maps:remove(<<"pass">>, M), <<"strlen">>, [64])))
            end
         || Given <- [Base, Base#{<<"pass">> => 2}]
        ]
    end).

normalize_restores_what_other_devices_need_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Keys = #{<<"output-prefix">> => <<"wasm">>, <<"kept">> => 1},
        M = ok(hb_ao:resolve(restored("memory", snapshot(started("memory")), Keys), <<"normalize">>, #{})),
        ?assertEqual({ok, <<"Hello, World!">>}, (instance(<<"wasm/read">>, M))(64)),
        ?assert(is_function(instance(<<"wasm/write">>, M), 1)),
        ?assert(maps:remove(<<"priv">>, M) =:= base("memory", Keys))
    end).

a_snapshot_in_the_cache_is_restored_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("memory"), <<"store8">>, [70, $;])),
        Bases = [
            restored("memory", snapshot(M)),
            (base("memory", #{<<"device-key">> => <<"2">>}))#{<<"snapshot">> => #{<<"2">> => #{<<"body">> => snapshot(M)}}}
        ],
        [?assertEqual([ok, [$;]], result(compute(reread(Base), <<"load8">>, [70]))) || Base <- Bases]
    end).

in_a_stack_the_snapshot_is_under_the_device_key_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Memory = snapshot(ok(compute(started("memory"), <<"store8">>, [70, $.]))),
        [
            begin
                Snapshot = #{<<"1">> => #{<<"body">> => <<>>}, <<"2">> => #{<<"body">> => Memory}, <<"body">> => <<>>},
                M = base("memory", #{<<"device-key">> => Key, <<"snapshot">> => Snapshot}),
                ?assertEqual([ok, [$.]], result(compute(M, <<"load8">>, [70])))
            end
         || Key <- [2, <<"2">>]
        ],
        %% That of another device is none.
        Other = base("memory", #{<<"device-key">> => 3, <<"snapshot">> => #{<<"2">> => #{<<"body">> => Memory}}}),
        ?assertThrow({error, no_wasm_instance_or_snapshot}, compute(Other, <<"load8">>, [70]))
    end).

%% A memory that has grown is larger than the image says.
a_grown_memory_is_restored_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Grown = ok(compute(started("memory64"), <<"grow">>, [9])),
        M = ok(compute(Grown, <<"store8">>, [655_359, 7])),
        ?assertEqual(655_360, byte_size(snapshot(M))),
        Restored = ok(compute(restored("memory64", snapshot(M)), <<"size">>, [])),
        ?assertEqual([ok, [10]], result({ok, Restored})),
        ?assertEqual([ok, [7]], result(compute(Restored, <<"load8">>, [655_359])))
    end).

%% A program whose whole state is in its memory.
a_restored_guest_goes_on_as_if_nothing_had_been_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M0 = started("ledger", #{<<"output-prefix">> => <<"wasm">>}),
        {M1, _} = ledger(M0, "Mint", [{"Quantity", "100"}]),
        Base = restored("ledger", snapshot(M1, <<"wasm">>), maps:without([<<"priv">>, <<"device">>, <<"image">>], M1)),
        Messages = [
            {"Transfer", [{"Quantity", "30"}, {"Recipient", "bob"}]}, {"Balance", []}, {"Balance", [{"Account", "bob"}]},
            {"Transfer", [{"Quantity", "1000"}, {"Recipient", "bob"}]}, {"Balances", []}
        ],
        Run = fun(Start) ->
            lists:foldl(
                fun({Action, Tags}, {M, Answers}) ->
                    {Next, Answer} = ledger(M, Action, Tags),
                    {Next, [Answer | Answers]}
                end,
                {Start, []},
                Messages
            )
        end,
        {Living, Said} = Run(M1),
        {Restored, SaidAgain} = Run(ok(hb_ao:resolve(Base, <<"normalize">>, #{}))),
        ?assertEqual(Said, SaidAgain),
        ?assertNotEqual(nomatch, binary:match(hd(Said), <<"\\\"alice\\\":\\\"70\\\"">>)),
        ?assert(snapshot(Living, <<"wasm">>) =:= snapshot(Restored, <<"wasm">>))
    end).

ledger(M, Action, Tags) ->
    Pairs = [["{\"name\":\"", N, "\",\"value\":\"", V, "\"}"] || {N, V} <- [{"Action", Action} | Tags]],
    Message = ["{\"Id\":\"1\",\"From\":\"alice\",\"Tags\":[", lists:join(",", Pairs), "]}"],
    Env = "{\"Process\":{\"Id\":\"P\",\"Owner\":\"alice\",\"Tags\":[]}}",
    Pointers = [element(2, {ok, _} = (instance(<<"wasm/write">>, M))(iolist_to_binary(Text))) || Text <- [Message, Env]],
    After = ok(compute(M, <<"handle">>, Pointers)),
    {ok, Answer} = (instance(<<"wasm/read">>, After))(dev_wasm64_support:get(<<"results/wasm/output">>, After)),
    {After, Answer}.

%%% The literal snapshot

a_living_instance_goes_before_a_snapshot_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = (started("memory"))#{<<"snapshot">> => #{<<"body">> => <<1, 2, 3>>}},
        [
            begin
                After = ok(hb_ao:resolve(M, Step, #{})),
                ?assertNot(is_map_key(<<"snapshot">>, After)),
                ?assertEqual(instance(M), instance(After)),
                ?assertEqual([ok, [13]], result(compute(After, <<"strlen">>, [64])))
            end
         || Step <- [<<"normalize">>, <<"compute">>]
        ]
    end).

with_neither_instance_nor_snapshot_normalize_throws_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            ?assertThrow({error, no_wasm_instance_or_snapshot}, hb_ao:resolve(base("memory", Keys), <<"normalize">>, #{}))
         || Keys <- [
                #{}, #{<<"snapshot">> => #{}}, #{<<"snapshot">> => #{<<"1">> => #{<<"body">> => <<>>}}},
                #{<<"snapshot">> => <<"text">>}, #{<<"device-key">> => 1, <<"snapshot">> => #{<<"body">> => <<>>}}
            ]
        ]
    end).

%%% Snapshots that are none

a_snapshot_that_is_no_binary_is_named_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Body = fun(Value) -> #{<<"snapshot">> => #{<<"body">> => Value}} end,
        Rows = [{Body(Value), <<"snapshot/body">>} || Value <- [1, 1.5, atom, [], [<<1>>], #{}, #{<<"body">> => <<>>}]] ++ [
            {#{<<"device-key">> => 2, <<"snapshot">> => #{<<"2">> => #{<<"body">> => 1}}}, <<"snapshot/2/body">>}
        ],
        refused(Rows, 400)
    end).

a_snapshot_that_does_not_fit_is_named_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Body = #{<<"body">> => <<0:(2 * 65536 * 8)>>},
        %% One page and no more; no memory at all.
        [
            begin
                {Answer, Instances} = instances_of(fun() -> brief(hb_ao:resolve(Base, Step, #{})) end),
                ?assertMatch({error, #{<<"key">> := Key, <<"status">> := 400}}, Answer),
                ?assertEqual({1, true}, {length(Instances), lists:all(fun dev_wasm64_support:is_gone/1, Instances)})
            end
         || Guest <- ["traps", "numbers"],
            {Base, Key} <- [
                {base(Guest, #{<<"snapshot">> => Body}), <<"snapshot/body">>},
                {base(Guest, #{<<"device-key">> => 2, <<"snapshot">> => #{<<"2">> => Body}}), <<"snapshot/2/body">>}
            ],
            Step <- [<<"normalize">>, <<"compute">>]
        ]
    end).

a_snapshot_without_its_image_is_refused_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Base = #{<<"device">> => <<"wasm-64@1.0">>, <<"snapshot">> => #{<<"body">> => <<>>}},
        [
            ?assertMatch({error, #{<<"key">> := <<"image">>}}, brief(hb_ao:resolve(M, Step, #{})))
         || M <- [Base, Base#{<<"image">> => <<"none">>}], Step <- [<<"normalize">>, <<"compute">>]
        ]
    end).

refused(Rows, Status) ->
    [
        begin
            {Answer, Instances} = instances_of(fun() -> brief(hb_ao:resolve(base("memory", Keys), Step, #{})) end),
            ?assertMatch({error, #{<<"key">> := Key, <<"status">> := Status}}, Answer, Keys),
            ?assertEqual({Keys, []}, {Keys, Instances})
        end
     || {Keys, Key} <- Rows, Step <- [<<"normalize">>, <<"compute">>]
    ].

%%% The end

terminate_stops_the_instance_and_takes_it_out_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = started("memory", #{<<"output-prefix">> => Prefix, <<"kept">> => 1, <<"priv">> => #{<<"other">> => 2}}),
                Path = fun(Key) -> [Part || Part <- [Prefix, Key], Part =/= <<>>] end,
                Handle = instance(Path(<<"instance">>), M),
                After = ok(hb_ao:resolve(M, <<"terminate">>, #{})),
                ?assertEqual({error, stopped}, hb_wasm64:status(Handle)),
                [
                    ?assertEqual({Key, not_found}, {Key, instance(Path(Key), After)})
                 || Key <- [<<"instance">>, <<"write">>, <<"read">>, <<"import-resolver">>]
                ],
                ?assertEqual(2, instance(<<"other">>, After)),
                ?assert(maps:remove(<<"priv">>, After) =:= maps:remove(<<"priv">>, M)),
                ?assertThrow({error, no_wasm_instance_or_snapshot}, compute(After, <<"size">>, []))
            end
         || Prefix <- [<<>>, <<"wasm">>]
        ]
    end).

terminate_may_come_twice_or_too_early_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("memory"),
        Stopped = started("memory"),
        ok = hb_wasm64:stop(instance(Stopped)),
        [
            begin
                After = ok(hb_ao:resolve(Base, <<"terminate">>, #{})),
                ?assertEqual(not_found, instance(After)),
                ?assert(maps:remove(<<"priv">>, After) =:= maps:remove(<<"priv">>, Base))
            end
         || Base <- [M, M, ok(hb_ao:resolve(M, <<"terminate">>, #{})), Stopped, base("memory", #{})]
        ]
    end).

after_its_end_it_starts_again_from_a_snapshot_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("memory"), <<"store8">>, [70, $?])),
        Memory = snapshot(M),
        Ended = ok(hb_ao:resolve(M, <<"terminate">>, #{})),
        ?assertEqual([ok, [$?]], result(compute(Ended#{<<"snapshot">> => #{<<"body">> => Memory}}, <<"load8">>, [70])))
    end).

%% Nobody has to say that it is over.
an_instance_that_nobody_has_any_more_is_gone_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {_, Instances} = instances_of(fun() ->
            M = started("memory"),
            {ok, _} = compute(M, <<"size">>, []),
            done
        end),
        ?assertMatch([_], Instances),
        ?assert(lists:all(fun dev_wasm64_support:is_gone/1, Instances))
    end).

%%% Other devices

other_devices_ask_for_the_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = started("memory", #{<<"output-prefix">> => Prefix}),
                Handle = dev_wasm64:instance(M, #{}, #{}),
                ?assert(dev_wasm64_support:is_instance_of(hb_support:guest("memory"), Handle)),
                ?assertEqual(not_found, dev_wasm64:instance(M#{<<"output-prefix">> => <<"other">>}, #{}, #{}))
            end
         || Prefix <- [<<>>, <<"wasm">>, <<"A/b">>]
        ],
        ?assertEqual(not_found, dev_wasm64:instance(base("memory", #{}), #{}, #{}))
    end).

%% It is no key: who asks for it gets what the message says, if it says anything.
the_instance_cannot_be_resolved_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = (started("memory", #{<<"output-prefix">> => Prefix})),
                Keys = [<<"instance">>, <<"Instance">>, <<"priv">>, <<"priv/instance">>, <<"wasm/instance">>],
                [
                    begin
                        Answer = hb_ao:resolve(M, Key, #{}),
                        ?assertNot(holds_reference(Answer), Key)
                    end
                 || Key <- Keys
                ],
                ?assertEqual({error, not_found}, hb_ao:resolve(M, <<"instance">>, #{})),
                ?assertEqual({ok, 1}, hb_ao:resolve(M#{<<"instance">> => 1}, <<"instance">>, #{}))
            end
         || Prefix <- [<<>>, <<"wasm">>]
        ]
    end).

holds_reference(Term) when is_reference(Term) -> true;
holds_reference(Term) when is_map(Term) -> holds_reference(maps:to_list(Term));
holds_reference(Term) when is_tuple(Term) -> holds_reference(tuple_to_list(Term));
holds_reference([First | Rest]) -> holds_reference(First) orelse holds_reference(Rest);
holds_reference(_) -> false.

%% Which includes its ID, and what is written to the cache.
nothing_of_an_instance_is_public_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("memory", #{<<"output-prefix">> => <<"wasm">>}), <<"size">>, [])),
        ?assertNot(holds_reference(maps:remove(<<"priv">>, M))),
        {ok, ID} = hb_cache:write(M, #{}),
        {ok, Same} = hb_cache:write(hb_private:reset(M), #{}),
        ?assertEqual(ID, Same)
    end).

keys_of_the_message_are_still_there_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("memory", #{<<"mine">> => 1, <<"results">> => #{<<"a">> => 2}}),
        ?assertEqual({ok, 1}, hb_ao:resolve(M, <<"mine">>, #{})),
        ?assertEqual({ok, 2}, hb_ao:resolve(M, <<"results/a">>, #{})),
        ?assertEqual({error, not_found}, hb_ao:resolve(M, <<"nosuch">>, #{})),
        ?assertEqual([<<"device">>, <<"image">>, <<"mine">>, <<"results">>], lists:sort(hb_ao:keys(M, #{}))),
        ?assertMatch(#{<<"mine">> := 3}, hb_ao:set(M, <<"mine">>, 3, #{}))
    end).

%%% Support

snapshot(M) -> maps:get(<<"body">>, ok(hb_ao:resolve(M, <<"snapshot">>, #{}))).

snapshot(M, Prefix) -> snapshot(M#{<<"output-prefix">> => Prefix}).

restored(Guest, Memory) -> restored(Guest, Memory, #{}).

restored(Guest, Memory, Keys) -> base(Guest, Keys#{<<"snapshot">> => #{<<"body">> => Memory}}).
