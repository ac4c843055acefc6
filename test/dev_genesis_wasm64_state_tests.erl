%% The state of legacynet's processes between nodes: snapshots, and checkpoints
%% of compute units ("CUs") in both directions.
-module(dev_genesis_wasm64_state_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_genesis_wasm64_support, [on_both/2, process/0, message/1, message/2, compute/3, slots/2, answer/1, count/1]).

-define(SIGNER, <<"OwnerOwnerOwnerOwnerOwnerOwnerOwnerOwnerOwn">>).

first() -> message(<<"first">>, [{<<"Type">>, <<"Process">>}]).

pushed() -> message(<<"pushed">>, [{<<"From-Process">>, <<"other">>}]).

snapshot(Base) ->
    {ok, Snapshot} = hb_ao:resolve(Base, <<"snapshot">>, #{}),
    maps:without([<<"priv">>, <<"hashpath">>], Snapshot).

restored(Process, Snapshot) -> hb_ao:resolve(Process#{<<"snapshot">> => Snapshot}, <<"normalize">>, #{}).

is_refused({error, #{<<"status">> := 400, <<"body">> := Text}}) -> is_binary(Text);
is_refused(_Other) -> false.

%%% Snapshots

a_process_goes_on_from_its_snapshot_test_() ->
    on_both("snapshot", fun() ->
        Process = process(),
        Before = slots(Process, [first(), pushed(), message(<<"!g">>)]),
        Snapshot = snapshot(Before),
        {ok, Restored} = restored(Process, Snapshot),
        ?assertNot(is_map_key(<<"snapshot">>, Restored)),
        [
            begin
                {ok, Next} = compute(Base, 3, message(<<"4">>)),
                %% What was pushed before is known to both.
                {ok, Again} = compute(Next, 4, pushed()),
                ?assertEqual({4, <<>>}, {count(Next), maps:get(<<"Output">>, answer(Again))})
            end
         || Base <- [Before, Restored]
        ],
        ?assertEqual(Snapshot, snapshot(Restored)),
        %% A base that nobody has normalized does so with its next slot.
        {ok, Direct} = compute(Process#{<<"snapshot">> => Snapshot}, 3, message(<<"4">>)),
        ?assertEqual(4, count(Direct)),
        ?assertNot(is_map_key(<<"snapshot">>, Direct))
    end).

a_snapshot_is_much_smaller_than_the_memory_test_() ->
    on_both("small", fun() ->
        #{<<"body">> := Body} = snapshot(slots(process(), [first()])),
        ?assert(byte_size(Body) < 65_536)
    end).

before_the_first_slot_there_is_nothing_to_keep_test_() ->
    on_both("empty", fun() ->
        Process = process(),
        ?assertEqual(#{}, snapshot(Process)),
        {ok, Normal} = restored(Process, #{}),
        {ok, Computed} = compute(Normal, 0, first()),
        ?assertEqual(1, count(Computed))
    end).

a_process_without_memory_keeps_its_slot_test_() ->
    on_both("failed", fun() ->
        Process = process(),
        Failed = slots(Process, [message(<<"!t">>, [{<<"Type">>, <<"Process">>}])]),
        {ok, Restored} = restored(Process, snapshot(Failed)),
        {ok, Computed} = compute(Restored, 1, message(<<"2">>)),
        ?assertEqual(1, count(Computed))
    end).

snapshots_that_are_not_whole_are_refused_test_() ->
    on_both("damaged", fun() ->
        Process = process(),
        Snapshot = #{<<"body">> := Body} = snapshot(slots(Process, [first()])),
        Half = binary:part(Body, 0, byte_size(Body) div 2),
        [?assert(is_refused(restored(Process, Damaged))) || Damaged <- [
            Snapshot#{<<"body">> := Half}, Snapshot#{<<"body">> := <<"text">>}, Snapshot#{<<"module">> := <<"other">>},
            Snapshot#{<<"blocks">> := <<"x">>}, maps:remove(<<"nonce">>, Snapshot), Snapshot#{<<"type">> := <<"other">>}
        ]]
    end).

%%% Checkpoints

checkpoint(Base) ->
    {ok, Checkpoint} = hb_ao:resolve(Base, <<"checkpoint">>, #{}),
    maps:without([<<"priv">>, <<"hashpath">>], Checkpoint).

a_process_goes_on_from_a_checkpoint_of_a_cu_test_() ->
    on_both("checkpoint", fun() ->
        Process = process(),
        Before = slots(Process, [first(), message(<<"2">>), message(<<"!g">>)]),
        Checkpoint = checkpoint(Before),
        ?assertMatch(#{<<"nonce">> := <<"2">>, <<"block-height">> := <<"1000002">>}, Checkpoint),
        {ok, Restored} = restored(Process, Checkpoint),
        {ok, Next} = compute(Restored, 3, message(<<"4">>)),
        ?assertEqual(4, count(Next)),
        ?assertMatch({error, #{<<"status">> := 422}}, compute(Restored, 4, message(<<"5">>))),
        %% And back.
        ?assertEqual(maps:get(<<"data">>, Checkpoint), maps:get(<<"data">>, checkpoint(Restored)))
    end).

import(Process, Checkpoint, Signers) ->
    Request = #{<<"path">> => <<"import">>, <<"import">> => Checkpoint},
    hb_ao:resolve(Process, Request, dev_wasm64_support:opts(#{genesis_wasm_import_authorities => Signers})).

signed(Checkpoint) -> Checkpoint#{<<"signed-by">> => ?SIGNER, <<"signature">> => <<"sig">>}.

a_checkpoint_that_a_trusted_signer_has_signed_is_imported_test_() ->
    on_both("import", fun() ->
        Process = process(),
        Checkpoint = signed(checkpoint(slots(Process, [first(), message(<<"2">>)]))),
        {ok, Id} = hb_cache:write(Checkpoint, #{}),
        [
            begin
                {ok, Imported} = import(Process, Given, [?SIGNER]),
                ?assertEqual(1, hb_ao:get(<<"at-slot">>, Imported, #{})),
                {ok, Next} = compute(Imported, 2, message(<<"3">>)),
                ?assertEqual(3, count(Next))
            end
         || Given <- [Id, Checkpoint]
        ]
    end).

checkpoints_of_nobody_and_of_others_are_not_imported_test_() ->
    on_both("not imported", fun() ->
        Process = process(),
        Checkpoint = #{<<"data">> := Data} = signed(checkpoint(slots(Process, [first(), message(<<"2">>)]))),
        Half = binary:part(Data, 0, byte_size(Data) div 2),
        [?assert(is_refused(import(Process, Given, Signers))) || {Given, Signers} <- [
            {Checkpoint, []},
            {Checkpoint, [<<"another">>]},
            {maps:remove(<<"signed-by">>, Checkpoint), [?SIGNER]},
            {Checkpoint#{<<"signature">> := <<"forged">>}, [?SIGNER]},
            {Checkpoint#{<<"process">> := <<"another">>}, [?SIGNER]},
            {Checkpoint#{<<"module">> := <<"another">>}, [?SIGNER]},
            {Checkpoint#{<<"data">> := Half}, [?SIGNER]},
            {Checkpoint#{<<"data">> := dev_genesis_wasm64_checkpoint:packed(binary:copy(<<1>>, 65_536))}, [?SIGNER]}
        ]],
        Missing = import(Process, hb_util:human_id(<<5:256>>), [?SIGNER]),
        ?assertMatch({Refused, #{<<"status">> := 404}} when Refused =/= ok, Missing),
        #{<<"process">> := Definition} = Process,
        Other = Process#{<<"process">> := maps:remove(<<"variant">>, Definition)},
        ?assert(is_refused(import(Other, Checkpoint, [?SIGNER])))
    end).

a_memory_that_the_module_cannot_have_is_refused_test_() ->
    on_both("too large", fun() ->
        Process = process(),
        Checkpoint = checkpoint(slots(Process, [first()])),
        Large = binary:copy(<<0>>, 68 * 65_536),
        Packed = Checkpoint#{
            <<"data">> := dev_genesis_wasm64_checkpoint:packed(Large),
            <<"sha-256">> := string:lowercase(binary:encode_hex(crypto:hash(sha256, Large)))
        },
        %% It can grow so far: what is there is the memory.
        {ok, Restored} = restored(Process, Packed),
        {ok, State} = hb_ao:resolve(Restored, <<"state">>, #{}),
        ?assertEqual(byte_size(Large), byte_size(hb_ao:get(<<"body">>, State, #{})))
    end).

a_process_that_is_terminated_has_no_state_test_() ->
    on_both("terminate", fun() ->
        Before = slots(process(), [first()]),
        {ok, Ended} = hb_ao:resolve(Before, <<"terminate">>, #{}),
        ?assertEqual(#{}, snapshot(Ended))
    end).

a_time_that_is_up_is_no_result_test_() ->
    on_both("time", fun() ->
        Opts = dev_wasm64_support:opts(#{wasm_timeout => 300}),
        Compute = fun(Base, Slot, Message) -> hb_ao:resolve(Base, dev_genesis_wasm64_support:assignment(Slot, Message), Opts) end,
        {ok, Before} = Compute(process(), 0, first()),
        ?assertMatch({Refused, #{<<"status">> := 504}} when Refused =/= ok, Compute(Before, 1, message(<<"!l">>))),
        %% Nothing has happened.
        {ok, After} = Compute(Before, 1, message(<<"2">>)),
        ?assertEqual(2, count(After))
    end).
