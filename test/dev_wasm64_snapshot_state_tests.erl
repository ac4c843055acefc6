%% What a snapshot of dev_wasm64 holds besides the memory: the contract counts
%% globals and tables as state, under keys of their own where they differ from
%% those of a fresh instance.
-module(dev_wasm64_snapshot_state_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, base/2, started/1, compute/3, result/1, instance/1]).

a_snapshot_keeps_the_globals_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("numbers"), <<"count">>, [5])),
        ?assertEqual([ok, [13]], result(compute(restored("numbers", M), <<"count">>, [1])))
    end).

%% The guest's malloc keeps its place in one: what was handed out must not be handed out again.
a_snapshot_keeps_globals_that_are_not_exported_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("memory"), <<"malloc">>, [100])),
        [ok, [Next]] = result(compute(restored("memory", M), <<"malloc">>, [100])),
        ?assertEqual(result(compute(M, <<"malloc">>, [100])), [ok, [Next]])
    end).

a_snapshot_keeps_the_tables_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("tables"), <<"grow">>, [2])),
        ?assertEqual([ok, [6]], result(compute(M, <<"size">>, []))),
        ?assertEqual([ok, [6]], result(compute(restored("tables", M), <<"size">>, [])))
    end).

%% Nothing is told twice: HyperBEAM and older nodes know the body only.
a_fresh_instance_has_a_snapshot_of_its_memory_only_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            ?assertEqual([<<"body">>], maps:keys(maps:remove(<<"priv">>, ok(hb_ao:resolve(started(Guest), <<"snapshot">>, #{})))))
         || Guest <- ["numbers", "memory", "tables", "imports", "ledger", "many_memories"]
        ]
    end).

%% Everything at once, and it goes on as if nothing had been.
a_snapshot_keeps_all_of_the_state_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = changed(),
        Restored = ok(hb_ao:resolve(restored("state", M), <<"normalize">>, #{})),
        ?assert(hash(M) =:= hash(Restored)),
        ?assertEqual(looked(M), looked(Restored)),
        ?assert(hash(M) =:= hash(Restored)),
        ?assertEqual([<<"body">>, <<"wasm-state">>], maps:keys(snapshot(Restored)))
    end).

%% By compute, without a normalize before, and out of the cache.
a_compute_restores_all_of_the_state_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = changed(),
        Base = restored("state", M),
        Expected = result(compute(M, <<"mix">>, [7])),
        [?assertEqual({Name, Expected}, {Name, result(compute(Given, <<"mix">>, [7]))})
         || {Name, Given} <- [{direct, Base}, {reread, dev_wasm64_support:reread(Base)}]]
    end).

in_a_stack_all_of_the_state_is_under_the_device_key_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = changed(),
        Base = base("state", #{<<"device-key">> => <<"2">>, <<"snapshot">> => #{
            <<"1">> => #{<<"body">> => <<>>, <<"wasm-state">> => <<"of another">>}, <<"2">> => snapshot(M)
        }}),
        ?assert(hash(M) =:= hash(ok(hb_ao:resolve(Base, <<"normalize">>, #{}))))
    end).

%% With every kind that one memory does not hold, there is a second key; and
%% none where it is as at first again.
what_differs_from_a_fresh_instance_is_told_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = lists:foldl(fun({F, A}, Base) -> ok(compute(Base, F, A)) end, started("state"), Calls),
                ?assertEqual({Calls, Keys}, {Calls, maps:keys(snapshot(M))})
            end
         || {Keys, Calls} <- [
                {[<<"body">>], []}, {[<<"body">>], [{<<"put1">>, [8, 9]}, {<<"get2">>, [8]}]},
                {[<<"body">>], [{<<"set_i32">>, [9]}, {<<"set_i32">>, [1]}]},
                {[<<"body">>], [{<<"set">>, [0, 3]}, {<<"set">>, [0, 0]}, {<<"put2">>, [8, 5]}, {<<"put2">>, [8, 0]}]}
            ] ++ [{[<<"body">>, <<"wasm-state">>], [Call]} || Call <- [
                {<<"set_i32">>, [9]}, {<<"set_func">>, [1]}, {<<"set">>, [3, 1]}, {<<"grow_externs">>, [1, null]}, {<<"put2">>, [8, 9]},
                {<<"grow3">>, [1]}, {<<"data_drop">>, []}, {<<"elem_drop">>, []}, {<<"grow1">>, [1]}
            ]]
        ]
    end).

%% Older nodes, and those of the C driver, whose memory is 64 KiB larger than
%% the guest's, know the body only.
a_memory_of_the_c_driver_is_restored_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(ok(compute(started("memory"), <<"grow">>, [2])), <<"store8">>, [150_000, 9])),
        #{<<"body">> := Memory} = snapshot(M),
        Driver = <<Memory/binary, 0:(65536 * 8)>>,
        [
            begin
                Base = base("memory", #{<<"snapshot">> => #{<<"body">> => Driver}}),
                After = case Step of
                    normalize -> ok(hb_ao:resolve(Base, <<"normalize">>, #{}));
                    compute -> Base
                end,
                ?assertEqual([ok, [9]], result(compute(After, <<"load8">>, [150_000]))),
                ?assertEqual([ok, [4]], result(compute(After, <<"size">>, []))),
                Live = ok(compute(After, <<"load8">>, [0])),
                ?assert(Driver =:= maps:get(<<"body">>, snapshot(Live)))
            end
         || Step <- [normalize, compute]
        ]
    end).

%% A grown memory and globals, from the body and from the rest together.
a_grown_memory_is_restored_with_the_rest_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = lists:foldl(fun({F, A}, Base) -> ok(compute(Base, F, A)) end, started("state"),
            [{<<"grow1">>, [9]}, {<<"put1">>, [600_000, 5]}, {<<"grow2">>, [2]}, {<<"put2">>, [190_000, 6]}, {<<"set_i64">>, [7]}]),
        ?assertEqual(655_360, byte_size(maps:get(<<"body">>, snapshot(M)))),
        Restored = ok(compute(restored("state", M), <<"sizes">>, [])),
        ?assertEqual([ok, [10, 3, 1]], result({ok, Restored})),
        ?assertEqual([ok, [5]], result(compute(Restored, <<"get1">>, [600_000]))),
        ?assertEqual([ok, [6]], result(compute(Restored, <<"get2">>, [190_000]))),
        ?assert(hash(M) =:= hash(Restored))
    end).

a_linear_memory_that_is_not_the_first_is_the_body_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("many_memories"),
        ok = hb_wasm64:write(instance(M), 100, <<"changed">>),
        #{<<"body">> := Memory} = snapshot(M),
        ?assert({ok, Memory} =:= hb_wasm64:read_memory(instance(M))),
        Restored = ok(hb_ao:resolve(restored("many_memories", M), <<"normalize">>, #{})),
        ?assertEqual({ok, <<"changed">>}, hb_wasm64:read(instance(Restored), 100, 7)),
        ?assert(hash(M) =:= hash(Restored)),
        %% As an older node gave it.
        Body = base("many_memories", #{<<"snapshot">> => #{<<"body">> => Memory}}),
        ?assertEqual({ok, <<"changed">>}, hb_wasm64:read(instance(ok(hb_ao:resolve(Body, <<"normalize">>, #{}))), 100, 7))
    end).

%% What is wrong is named, and no instance is left of it.
a_rest_that_does_not_fit_is_named_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        #{<<"body">> := Memory, <<"wasm-state">> := Rest} = snapshot(changed()),
        #{<<"wasm-state">> := Other} = snapshot(ok(compute(started("numbers"), <<"count">>, [5]))),
        <<Half:(byte_size(Rest) div 2)/binary, Byte, After/binary>> = Rest,
        [
            begin
                Snapshot = #{<<"body">> => Body, <<"wasm-state">> => State},
                {Base, Path} = case Key of
                    none -> {base("state", #{<<"snapshot">> => Snapshot}), <<"snapshot/wasm-state">>};
                    _ -> {base("state", #{<<"device-key">> => Key, <<"snapshot">> => #{Key => Snapshot}}), <<"snapshot/2/wasm-state">>}
                end,
                {Answer, Instances} = dev_wasm64_support:instances_of(fun() -> dev_wasm64_support:brief(hb_ao:resolve(Base, Step, #{})) end),
                ?assertMatch({Name, {error, #{<<"key">> := Path, <<"status">> := 400, <<"body">> := <<_, _/binary>>}}}, {Name, Answer}),
                ?assert(lists:all(fun dev_wasm64_support:is_gone/1, Instances), Name)
            end
         || {Name, Body, State} <- [
                {damaged, Memory, <<Half/binary, (Byte bxor 1), After/binary>>}, {cut, Memory, Half}, {empty, Memory, <<>>},
                {text, Memory, <<"text">>}, {of_another_image, Memory, Other}, {no_binary, Memory, 7}, {a_map, Memory, #{}},
                {with_a_memory_too_small, <<>>, Rest}, {with_a_memory_too_large, <<Memory/binary, 0:(65536 * 8)>>, Rest}
            ],
            Key <- [none, <<"2">>], Step <- [<<"normalize">>, <<"compute">>]
        ]
    end).

what_cannot_be_captured_is_named_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("state"),
        {ok, []} = hb_wasm64:call(instance(M), "set_extern", [7]),
        ?assertThrow({error, #{<<"key">> := <<"instance">>, <<"body">> := <<_, _/binary>>}}, hb_ao:resolve(M, <<"snapshot">>, #{})),
        ?assertEqual([ok, [1, 1, 1]], result(compute(M, <<"sizes">>, [])))
    end).

%%% Support

%% A base with the snapshot of another one.
restored(Guest, M) -> base(Guest, #{<<"snapshot">> => snapshot(M)}).

snapshot(M) -> maps:remove(<<"priv">>, ok(hb_ao:resolve(M, <<"snapshot">>, #{}))).

%% The guest of all kinds of state, after changes to everything.
changed() ->
    M = started("state"),
    _ = hb_state_support:run(instance(M), hb_state_support:everything()),
    M.

hash(M) -> hb_state_support:hash(instance(M)).

looked(M) -> hb_state_support:observe(instance(M)).
