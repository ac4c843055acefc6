%% What becomes of a process where a compute has no result: on each kernel, the node records what every node would find and nothing that
%% only it met, and afterwards nodes agree, whatever happened to one of them.
-module(dev_wasm64_records_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, started/1, started/2, compute/3, compute/4, opts/1, library/1, brief/1]).

%%% A process, as HyperBEAM runs it

%% Kernels that load packages record an error as the result of its slot, and the process goes on from the state before it.
%% Older ones record no error: the slot is computed again.
slot(State, {Function, Parameters}, Opts) ->
    case {compute(State, Function, Parameters, Opts), records_errors()} of
        {{ok, #{<<"results">> := #{<<"type">> := Type, <<"output">> := Output}} = After}, _} -> {recorded, {Type, Output}, After};
        {{error, Message}, true} -> {recorded, {error, maps:remove(<<"priv">>, Message)}, State};
        {{failure, #{<<"status">> := Status}}, true} -> {not_recorded, Status};
        {{error, #{<<"status">> := Status}}, false} -> {not_recorded, Status}
    end.

records_errors() -> ao_core:branch() =:= packages.

%% The results of slots, and the state after them. What is not recorded is computed again, by a node that has the checkpoint
%% of the slot before it, without what Opts demand.
process(Slots, State, Opts) -> process(Slots, State, Opts, []).

process([], State, _Opts, Results) ->
    {lists:reverse(Results), State};
process([Slot | Slots], State, Opts, Results) ->
    Checkpoint = checkpoint(State),
    case slot(State, Slot, maps:get(Slot, Opts, #{})) of
        {recorded, Result, After} -> process(Slots, After, Opts, [Result | Results]);
        {not_recorded, _Status} ->
            Restored = ok(hb_ao:resolve(Checkpoint, <<"normalize">>, #{})),
            process([Slot | Slots], Restored, maps:remove(Slot, Opts), Results)
    end.

%% The message as a node reads it that has not computed it.
checkpoint(State) ->
    {ok, Snapshot} = hb_ao:resolve(State, <<"snapshot">>, #{}),
    (maps:without([<<"priv">>, <<"results">>], State))#{<<"snapshot">> => maps:remove(<<"priv">>, Snapshot)}.

memory(State) ->
    {ok, Snapshot} = hb_ao:resolve(State, <<"snapshot">>, #{}),
    maps:with([<<"body">>, <<"wasm-state">>], Snapshot).

%%% Agreement

a_node_whose_time_was_up_agrees_with_one_that_had_time_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Spin = {<<"count">>, [40_000_000]},
        Slots = [{<<"count">>, [3]}, Spin, {<<"count">>, [5]}],
        {Results, Slow} = process(Slots, started("loop"), #{Spin => #{wasm_timeout => 1}}),
        {Same, Fast} = process(Slots, started("loop"), #{}),
        ?assertMatch([{ok, [3]}, {ok, [40_000_000]}, {ok, [5]}], Results),
        ?assertEqual(Same, Results),
        ?assertEqual(memory(Fast), memory(Slow))
    end).

%% Also where the guest had changed its state before the time was up.
what_a_call_that_was_cut_short_has_changed_is_gone_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Before = ok(compute(started("sums"), <<"add">>, [1])),
        ?assertEqual({not_recorded, 504}, slot(Before, {<<"add_and_spin">>, [10]}, #{wasm_timeout => 100})),
        ?assertThrow({error, no_wasm_instance_or_snapshot}, compute(Before, <<"add">>, [2])),
        Again = ok(compute(checkpoint(ok(compute(started("sums"), <<"add">>, [1]))), <<"add">>, [2])),
        ?assertMatch(#{<<"results">> := #{<<"output">> := [3003]}}, Again)
    end).

%% After a fault the instance is what a snapshot of it restores: with the memory and the globals that the guest left.
after_a_fault_going_on_and_restoring_are_the_same_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Slots = [{<<"add">>, [1]}, {<<"add_and_trap">>, [10]}, {<<"nosuch">>, []}, {<<"add">>, [100]}],
        {Results, GoneOn} = process(Slots, started("sums"), #{}),
        ?assertMatch([{ok, [1001]}, {error, _}, {error, _}, {ok, [111111]}], Results),
        {_, AfterFaults} = process(lists:sublist(Slots, 3), started("sums"), #{}),
        Restored = ok(compute(checkpoint(AfterFaults), <<"add">>, [100])),
        ?assertMatch(#{<<"results">> := #{<<"output">> := [111111]}}, Restored),
        ?assertEqual(memory(GoneOn), memory(Restored))
    end).

%%% Kinds

%% What kernels record: of a guest's fault the same text. What is wrong with a message is recorded where errors are.
faults_are_recorded_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Text = fun({recorded, {error, #{<<"body">> := <<"function: ", Body/binary>>}}, _}) -> Body;
            ({recorded, {error, Body}, _}) -> Body
        end,
        ?assertEqual(<<"trap: unreachable in unreachable">>, Text(slot(started("traps"), {<<"unreachable">>, []}, #{}))),
        ?assertEqual(<<"unknown function: nosuch">>, Text(slot(started("traps"), {<<"nosuch">>, []}, #{}))),
        ?assertEqual(<<"limit reached: fuel">>, Text(slot(started("loop"), {<<"spin">>, []}, #{wasm_fuel => 1000}))),
        ?assertEqual(
            <<"import failed: env.add: broken">>,
            Text(slot(importing(fun() -> {error, #{<<"status">> => 500, <<"body">> => <<"broken">>}} end), {<<"call_add">>, [1, 2]}, #{}))
        ),
        Invalid = slot(started("traps"), {#{}, []}, #{}),
        case records_errors() of
            true -> ?assertMatch({recorded, {error, #{<<"status">> := 400, <<"key">> := <<"function">>}}, _}, Invalid);
            false -> ?assertEqual({not_recorded, 400}, Invalid)
        end
    end).

%% Whoever reads the record finds no state in it: an error of the kernel is a small message.
a_recorded_fault_is_no_state_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {recorded, {error, Fault}, _} = slot(started("traps"), {<<"unreachable">>, []}, #{}),
        ?assert(erlang:external_size(Fault) < 500, Fault)
    end).

failures_are_not_recorded_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Add = {<<"call_add">>, [1, 2]},
        ?assertEqual({not_recorded, 504}, slot(started("loop"), {<<"spin">>, []}, #{wasm_timeout => 50})),
        ?assertEqual({not_recorded, 503}, slot(started("loop"), {<<"count">>, [1]}, #{wasm_fuel => <<"much">>})),
        [
            ?assertEqual({Number, {not_recorded, 503}}, {Number, slot(importing(Answer), Add, #{})})
         || {Number, Answer} <- lists:enumerate([
                fun() -> {failure, <<"disk full">>} end,
                fun() -> {failure, #{<<"status">> => 500, <<"body">> => <<"disk full">>}} end,
                fun() -> {error, #{<<"status">> => 503, <<"body">> => <<"busy">>}} end,
                fun() -> throw({necessary_message_not_found, <<"path">>, <<"link">>}) end,
                fun() -> throw({failure, <<"the store is down">>}) end,
                fun() -> error({case_clause, {failure, <<"the store is down">>}}) end
            ])
        ]
    end).

importing(Add) -> started("imports", #{<<"stdlib">> => #{<<"env">> => library(#{add => Add})}}).

%% A store that does not answer says nothing of what it has; only kernels that load packages can tell that.
a_store_that_does_not_answer_is_a_failure_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ID = hb_util:encode(crypto:hash(sha256, <<"an image">>)),
        Base = #{<<"device">> => <<"wasm-64@1.0">>, <<"image">> => ID},
        Init = fun(Opts) -> brief(hb_ao:resolve(Base, <<"init">>, Opts)) end,
        case records_errors() of
            true ->
                ?assertMatch({failure, #{<<"status">> := 404}}, Init(#{})),
                ?assertMatch({failure, #{<<"status">> := 503}}, Init(opts(#{store => #{<<"name">> => <<"down">>}})));
            false ->
                ?assertMatch({error, #{<<"status">> := 404}}, Init(#{}))
        end
    end).
