%% What a snapshot of dev_wasm64 holds besides the memory: the contract counts
%% globals and tables as state, under keys of their own where they differ from
%% those of a fresh instance.
-module(dev_wasm64_snapshot_state_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_test, [on_both/2, ok/1, base/2, started/1, compute/3, result/1]).

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

%% A base with the snapshot of another one.
restored(Guest, M) ->
    Snapshot = maps:remove(<<"priv">>, ok(hb_ao:resolve(M, <<"snapshot">>, #{}))),
    base(Guest, #{<<"snapshot">> => Snapshot}).
