%% Processes of legacynet in the device, as a node drives it: what they are told,
%% what they leave behind, and what others see of it. The module is a small one
%% that answers with what it was given.
-module(dev_genesis_wasm64_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_genesis_wasm64_support, [
    on_both/2, process/0, process/1, process/2, message/1, message/2, compute/3, compute/4, slots/2, answer/1, output/1, count/1
]).

first() -> message(<<"first">>, [{<<"Type">>, <<"Process">>}]).

%%% What a process is told

a_process_finds_the_fields_of_the_cu_in_their_order_test_() ->
    on_both("fields", fun() ->
        {ok, Computed} = compute(process(), 0, message(<<"data \"1\"">>, [{<<"Type">>, <<"Process">>}, {<<"N">>, 5}, {<<"From">>, <<"x">>}])),
        case hb_ao:get(<<"results/json/body">>, Computed, #{}) of
            not_found ->
                ok;
            JSON ->
                {match, [Message]} = re:run(JSON, <<"\"message\":(.*),\"environment\"">>, [{capture, all_but_first, binary}]),
                Id = maps:get(<<"Id">>, maps:get(<<"message">>, output(Computed))),
                ?assertEqual(
                    iolist_to_binary([
                        <<"{\"Id\":\"">>, Id, <<"\",\"Signature\":\"sig\",\"Data\":\"data \\\"1\\\"\",\"Owner\":\"">>, owner(),
                        <<"\",\"Target\":\"ProcessProcessProcessProcessProcessProcessP\",\"Anchor\":\"anchor\",\"From\":\"">>, owner(),
                        <<"\",\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"},{\"name\":\"Type\",\"value\":\"Process\"},"
                          "{\"name\":\"N\",\"value\":\"5\"}],\"Epoch\":0,\"Nonce\":0,\"Timestamp\":1700000000000,"
                          "\"Block-Height\":1000000,\"Hash-Chain\":\"chain\",\"Cron\":false,\"Read-Only\":false}">>
                    ]),
                    Message
                ),
                {match, [Environment]} = re:run(JSON, <<"\"environment\":(.*)},\"Patches\"">>, [{capture, all_but_first, binary}]),
                ?assertMatch(
                    {match, _},
                    re:run(Environment, <<
                        "^{\"Process\":{\"Id\":\"[^\"]{43}\",\"Owner\":\"", (owner())/binary, "\",\"Tags\":\\[{\"name\":\"Type\".*\\]},"
                        "\"Module\":{\"Id\":\"[^\"]{43}\",\"Owner\":\"", (owner())/binary, "\",\"Tags\":\\[{\"name\":\"Module-Format\".*\\]}}$"
                    >>)
                )
        end
    end).

owner() -> <<"OwnerOwnerOwnerOwnerOwnerOwnerOwnerOwnerOwn">>.

a_message_is_from_the_process_that_it_was_forwarded_for_test_() ->
    on_both("forwarded", fun() ->
        {ok, Computed} = compute(process(), 0, message(<<>>, [{<<"Type">>, <<"Process">>}, {<<"From-Process">>, <<"other">>}])),
        Owner = owner(),
        ?assertMatch(
            #{<<"From">> := <<"other">>, <<"Forwarded-By">> := Owner, <<"Owner">> := Owner}, maps:get(<<"message">>, output(Computed))
        )
    end).

the_clock_is_that_of_the_loader_in_each_slot_test_() ->
    on_both("clock", fun() ->
        Computed = slots(process(), [first(), message(<<"2">>)]),
        ?assertMatch(#{<<"clock">> := 10004, <<"count">> := 2}, output(Computed))
    end).

a_schedule_that_does_not_begin_with_the_process_gets_it_first_test_() ->
    on_both("process message", fun() ->
        {ok, Computed} = compute(process(), 0, message(<<"1">>)),
        ?assertEqual(2, count(Computed)),
        {ok, Began} = compute(process(), 0, first()),
        ?assertEqual(1, count(Began))
    end).

%% A process never begins anew behind a slot.
a_process_whose_state_is_lost_is_a_failure_test_() ->
    on_both("lost", fun() ->
        Lost = (process())#{<<"at-slot">> => 5},
        [?assertMatch({_, #{<<"status">> := 410}}, compute(Lost, Slot, message(<<"6">>))) || Slot <- [0, 6]],
        ?assertMatch({ok, _}, compute((process())#{<<"at-slot">> => -1}, 0, first()))
    end).

so_many_messages_of_intervals_are_a_failure_test_() ->
    on_both("many crons", fun() ->
        Process = process([{<<"Cron-Interval">>, <<"1-second">>}, {<<"Cron-Tag-Action">>, <<"Tick">>}]),
        Known = dev_wasm64_support:opts(#{genesis_wasm_blocks => fun(_, _) -> {ok, []} end}),
        {ok, First} = hb_ao:resolve(Process, dev_genesis_wasm64_support:assignment(0, first()), Known),
        Request = dev_genesis_wasm64_support:assignment(1, message(<<"2">>)),
        Late = Request#{<<"timestamp">> => 1_700_000_000_000 + 11_000_000},
        ?assertMatch({_, #{<<"status">> := 503, <<"body">> := <<"slot: more than 10000 messages", _/binary>>}}, hb_ao:resolve(First, Late, Known)),
        ?assertMatch({ok, _}, hb_ao:resolve(First, Request, Known))
    end).

intervals_bring_messages_between_slots_test_() ->
    on_both("cron", fun() ->
        Process = process([{<<"Cron-Interval">>, <<"10-seconds">>}, {<<"Cron-Tag-Action">>, <<"Tick">>}]),
        Known = dev_wasm64_support:opts(#{genesis_wasm_blocks => fun(_, _) -> {ok, []} end}),
        {ok, First} = hb_ao:resolve(Process, dev_genesis_wasm64_support:assignment(0, first()), Known),
        Later = dev_genesis_wasm64_support:assignment(1, message(<<"1">>), #{<<"timestamp">> => 1_700_000_035_000}),
        {ok, Second} = hb_ao:resolve(First, Later, Known),
        %% Three of them.
        ?assertEqual(5, count(Second)),
        %% A node that cannot read blocks has no result.
        ?assertMatch({Refused, #{<<"status">> := 503}} when Refused =/= ok, hb_ao:resolve(First, Later, #{}))
    end).

%%% What it leaves behind

memory_is_as_before_a_message_that_fails_test_() ->
    on_both("rollback", fun() ->
        Before = slots(process(), [first(), message(<<"2">>)]),
        [
            begin
                {ok, Failed} = compute(Before, 2, message(Wish)),
                ?assertEqual({Wish, Error}, {Wish, maps:get(<<"Error">>, answer(Failed), none)}),
                {ok, After} = compute(Failed, 3, message(<<"4">>)),
                ?assertEqual({Wish, 3}, {Wish, count(After)})
            end
         || {Wish, Error} <- [
                {<<"!e">>, <<"wrong">>},
                {<<"!f">>, <<"thrown">>},
                {<<"!t">>, #{}},
                {<<"!n">>, #{}},
                {<<"!m">>, none},
                {<<"!x">>, #{
                    <<"name">> => <<"ExitStatus">>, <<"message">> => <<"Program terminated with exit(3)">>, <<"status">> => 3
                }}
            ]
        ],
        %% What an error's answer says besides is told.
        {ok, Wrong} = compute(Before, 2, message(<<"!e">>)),
        ?assertMatch(#{<<"Messages">> := [1], <<"GasUsed">> := 0}, answer(Wrong)),
        ?assertNot(is_map_key(<<"GasUsed">>, answer(element(2, compute(Before, 2, message(<<"!t">>))))))
    end).

a_process_whose_first_messages_fail_has_no_memory_test_() ->
    on_both("no memory", fun() ->
        Process = slots(process(), [message(<<"!t">>, [{<<"Type">>, <<"Process">>}]), message(<<"!e">>)]),
        {ok, Computed} = compute(Process, 2, message(<<"1">>)),
        ?assertEqual(1, count(Computed))
    end).

a_slot_changes_nothing_of_the_base_test_() ->
    on_both("twice", fun() ->
        Before = slots(process(), [first(), message(<<"2">>)]),
        {ok, One} = compute(Before, 2, message(<<"3">>)),
        {ok, Two} = compute(Before, 2, message(<<"3">>)),
        ?assertEqual({3, answer(One)}, {count(One), answer(Two)})
    end).

memory_that_has_grown_goes_with_its_message_test_() ->
    on_both("growth", fun() ->
        Size = fun(Computed) ->
            {ok, State} = hb_ao:resolve(Computed, <<"state">>, #{}),
            byte_size(hb_ao:get(<<"body">>, State, #{}))
        end,
        Grown = slots(process(), [first(), message(<<"!g">>)]),
        ?assertEqual(4 * 65_536, Size(Grown)),
        {ok, More} = compute(Grown, 2, message(<<"!g">>)),
        ?assertEqual(5 * 65_536, Size(More))
    end).

a_dry_run_leaves_no_trace_test_() ->
    on_both("dry run", fun() ->
        Before = slots(process(), [first(), message(<<"2">>)]),
        {ok, Dry} = hb_ao:resolve(Before, (message(<<"dry">>))#{<<"path">> => <<"compute">>}, #{}),
        ?assertMatch(#{<<"count">> := 3}, output(Dry)),
        ?assertMatch(
            #{<<"Read-Only">> := true, <<"Timestamp">> := 1_700_000_001_000, <<"Block-Height">> := 1_000_001, <<"Cron">> := false},
            maps:get(<<"message">>, output(Dry))
        ),
        {ok, After} = compute(Dry, 2, message(<<"3">>)),
        ?assertEqual(3, count(After))
    end).

%%% What is skipped

messages_that_were_pushed_or_assigned_before_are_skipped_test_() ->
    on_both("dedup", fun() ->
        Pushed = message(<<"pushed">>, [{<<"From-Process">>, <<"other">>}]),
        Before = slots(process(), [first(), Pushed]),
        {ok, Again} = compute(Before, 2, Pushed#{<<"signature">> => <<"another">>}),
        ?assertEqual(
            #{<<"Messages">> => [], <<"Assignments">> => [], <<"Spawns">> => [], <<"Output">> => <<>>, <<"Patches">> => []},
            answer(Again)
        ),
        {ok, Other} = compute(Again, 3, message(<<"pushed!">>, [{<<"From-Process">>, <<"other">>}])),
        ?assertEqual(3, count(Other)),
        %% Those of people are not: their scheduler refuses them.
        {ok, Person} = compute(Other, 4, message(<<"2">>)),
        {ok, Same} = compute(Person, 5, message(<<"2">>)),
        ?assertEqual(5, count(Same))
    end).

an_assignment_that_only_names_its_message_finds_it_test_() ->
    on_both("assignment", fun() ->
        {ok, Id} = hb_cache:write(message(<<"on chain">>, [{<<"From-Process">>, <<"other">>}]), #{}),
        Before = slots(process(), [first()]),
        Named = fun(Base, Slot, Keys) ->
            Request = maps:remove(<<"body">>, dev_genesis_wasm64_support:assignment(Slot, none, Keys#{<<"message">> => Id})),
            hb_ao:resolve(Base, Request, #{})
        end,
        {ok, Computed} = Named(Before, 1, #{}),
        Told = maps:get(<<"message">>, output(Computed)),
        ?assertMatch(#{<<"Id">> := Id, <<"Data">> := <<"on chain">>, <<"From">> := <<"other">>, <<"Target">> := <<>>}, Told),
        ?assertNot(is_map_key(<<"Forwarded-By">>, Told)),
        {ok, Again} = Named(Computed, 2, #{}),
        ?assertEqual(<<>>, output(Again)),
        {ok, Excluded} = Named(Before, 1, #{<<"exclude">> => <<"Data">>}),
        ?assertNot(is_map_key(<<"Data">>, maps:get(<<"message">>, output(Excluded)))),
        %% One that this node does not have is not recorded as a result.
        Missing = maps:remove(<<"body">>, dev_genesis_wasm64_support:assignment(1, none, #{<<"message">> => hb_util:human_id(<<7:256>>)})),
        ?assertMatch({Refused, #{<<"status">> := 404}} when Refused =/= ok, hb_ao:resolve(Before, Missing, #{}))
    end).

a_slot_that_is_marked_is_not_evaluated_test_() ->
    on_both("skip", fun() ->
        Before = slots(process(), [first()]),
        {ok, Skipped} = compute(Before, 1, message(<<"2">>), #{<<"skip">> => <<"true">>}),
        ?assertMatch(#{<<"Output">> := #{<<"data">> := <<>>, <<"prompt">> := <<>>, <<"print">> := false}, <<"GasUsed">> := 0}, answer(Skipped)),
        {ok, After} = compute(Skipped, 2, message(<<"3">>)),
        ?assertEqual(2, count(After))
    end).

%%% What is refused

slots_have_no_gaps_test_() ->
    on_both("gaps", fun() ->
        Before = slots(process(), [first()]),
        [?assertMatch({error, #{<<"status">> := 422}}, compute(Before, Slot, message(<<"x">>))) || Slot <- [0, 2, 7]],
        ?assertMatch({error, #{<<"status">> := 422}}, compute(process(), 1, first())),
        ?assertMatch({error, #{<<"status">> := 422}}, compute(Before, 1, message(<<"x">>), #{<<"timestamp">> => <<"soon">>}))
    end).

hash_chains_of_legacynet_are_checked_test_() ->
    on_both("chain", fun() ->
        Keys = fun(Slot, Hash) -> #{<<"variant">> => <<"ao.TN.1">>, <<"block-height">> => 1_440_000 + Slot, <<"hash-chain">> => Hash} end,
        {ok, First} = compute(process(), 0, first(), Keys(0, hb_util:encode(<<1:256>>))),
        Wrong = compute(First, 1, message(<<"2">>), Keys(1, hb_util:encode(<<2:256>>))),
        ?assertMatch({error, #{<<"status">> := 422, <<"body">> := <<"hash-chain: HashChain invalid", _/binary>>}}, Wrong),
        Assigned = dev_genesis_wasm64_support:assignment(0, first(), Keys(0, hb_util:encode(<<1:256>>))),
        Id = hb_util:native_id(hb_message:id(maps:without([<<"body">>], Assigned), all, #{})),
        Right = hb_util:encode(crypto:hash(sha256, <<Id/binary, 1:256>>)),
        ?assertMatch({ok, _}, compute(First, 1, message(<<"2">>), Keys(1, Right))),
        %% Not of processes from before that block, and not those of other schedulers.
        Old = slots(process(), [first()]),
        ?assertMatch({ok, _}, compute(Old, 1, message(<<"2">>), #{<<"variant">> => <<"ao.TN.1">>}))
    end).

modules_are_held_to_the_rules_test_() ->
    on_both("module", fun() ->
        Without = process([], [{<<"Module-Format">>, <<"other">>}, {<<"Input-Encoding">>, <<"x">>}, {<<"Output-Encoding">>, <<"x">>}]),
        ?assertMatch({error, #{<<"status">> := 422}}, compute(Without, 0, first())),
        Large = process([{<<"Memory-Limit">>, <<"100-gb">>}]),
        ?assertMatch({error, #{<<"status">> := 413}}, compute(Large, 0, first())),
        Unknown = process(),
        #{<<"process">> := Definition} = Unknown,
        Lost = Unknown#{
            <<"process">> := dev_genesis_wasm64_support:signed(Definition, [{<<"Module">>, hb_util:human_id(<<9:256>>)}])
        },
        ?assertMatch({Refused, #{<<"status">> := 404}} when Refused =/= ok, compute(Lost, 0, first()))
    end).

%%% Results

patches_of_the_outbox_are_applied_test_() ->
    on_both("patch", fun() ->
        {ok, Computed} = compute(slots(process(), [first()]), 1, message(<<"!p">>)),
        ?assertEqual(<<"7">>, hb_ao:get(<<"balance">>, Computed, #{})),
        ?assertEqual(#{}, maps:without([<<"priv">>], hb_ao:get(<<"results/outbox">>, Computed, #{}))),
        ?assertMatch(#{<<"Messages">> := [#{<<"Target">> := <<"T">>}]}, answer(Computed))
    end).
