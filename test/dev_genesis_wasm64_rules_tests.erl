%% What AO's compute unit ("CU") requires of modules, makes of intervals, and
%% puts into checkpoints.
-module(dev_genesis_wasm64_rules_tests).

-include_lib("eunit/include/eunit.hrl").

%%% Modules

-define(FORMAT, <<"wasm64-unknown-emscripten-draft_2024_02_15">>).

module() ->
    [
        {<<"Module-Format">>, ?FORMAT}, {<<"Input-Encoding">>, <<"JSON-1">>}, {<<"Output-Encoding">>, <<"JSON-1">>},
        {<<"Memory-Limit">>, <<"1-gb">>}, {<<"Compute-Limit">>, <<"9000000000000">>}
    ].

without(Name) -> lists:keydelete(Name, 1, module()).

check(Process, Module) ->
    Limits = #{memory => 1 bsl 30, compute => 9_000_000_000_000, formats => [?FORMAT], extensions => [<<"WeaveDrive">>]},
    dev_genesis_wasm64_module:check({<<"P">>, Process}, {<<"M">>, Module}, Limits).

a_module_has_a_format_encodings_and_limits_test_() ->
    [
        ?_assertMatch(
            {ok, #{format := ?FORMAT, memory := 1073741824, gas := 9_000_000_000_000, availability := <<"Assignments">>}},
            check([], module())
        ),
        %% The process comes first.
        ?_assertMatch(
            {ok, #{memory := 524288000, gas := 5, availability := <<"Library">>}},
            check(
                [{<<"Memory-Limit">>, <<"500-mb">>}, {<<"Compute-Limit">>, <<"5 units">>}, {<<"Availability-Type">>, <<"Library">>}],
                module()
            )
        ),
        ?_assertEqual(
            {error, 422, <<"Input-Encoding for module \"M\" is not supported">>}, check([], without(<<"Input-Encoding">>))
        ),
        ?_assertEqual(
            {error, 422, <<"Output-Encoding for module \"M\" is not supported">>}, check([], without(<<"Output-Encoding">>))
        ),
        ?_assertMatch({error, 422, <<"Module-Format", _/binary>>}, check([], without(<<"Module-Format">>))),
        ?_assertMatch({limit, 422, _}, check([], [{<<"Module-Format">>, <<"other">>} | without(<<"Module-Format">>)])),
        ?_assertEqual(
            {error, 413, <<"Memory-Limit for process \"P\" exceeds supported limit">>}, check([], without(<<"Memory-Limit">>))
        ),
        ?_assertMatch({limit, 413, _}, check([{<<"Memory-Limit">>, <<"1025-mb">>}], module())),
        ?_assertMatch({error, 413, <<"Compute-Limit", _/binary>>}, check([], without(<<"Compute-Limit">>))),
        ?_assertMatch({limit, 413, _}, check([{<<"Compute-Limit">>, <<"9000000000001">>}], module())),
        ?_assertMatch({error, 413, _}, check([{<<"Compute-Limit">>, <<"none">>}], module())),
        ?_assertMatch({ok, #{extensions := [<<"WeaveDrive">>]}}, check([], [{<<"Extension">>, <<"WeaveDrive">>} | module()])),
        ?_assertMatch({limit, 422, _}, check([], [{<<"Extension">>, <<"Other">>} | module()]))
    ].

numbers_of_bytes_test_() ->
    [?_assertEqual({Text, Bytes}, {Text, dev_genesis_wasm64_module:bytes(Text)}) || {Text, Bytes} <- [
        {<<"1-gb">>, 1 bsl 30}, {<<"500-mb">>, 500 bsl 20}, {<<"1.5GB">>, 1610612736}, {<<"1024">>, 1024}, {<<"2 kb">>, 2048},
        {<<"x">>, undefined}, {<<>>, undefined}, {undefined, undefined}, {<<"3 apples">>, 3}
    ]].

%%% Intervals

intervals_have_the_tags_that_follow_them_test() ->
    ?assertEqual(
        {ok, [
            #{unit => seconds, value => 300, tags => [{<<"Action">>, <<"A">>}, {<<"X">>, <<"1">>}]},
            #{unit => blocks, value => 10, tags => []},
            #{unit => none, value => 3, tags => []}
        ]},
        dev_genesis_wasm64_cron:intervals([
            {<<"Name">>, <<"n">>},
            {<<"Cron-Interval">>, <<"5-minutes">>}, {<<"Cron-Tag-Action">>, <<"A">>}, {<<"Cron-Tag-X">>, <<"1">>},
            {<<"Cron-Interval">>, <<"10-blocks">>}, {<<"Cron-Interval">>, <<"3-moons">>}
        ])
    ).

intervals_that_cannot_be_test_() ->
    [?_assertMatch({error, _}, dev_genesis_wasm64_cron:intervals(Tags)) || Tags <- [
        [{<<"Cron-Tag-A">>, <<"x">>}], [{<<"Cron-Interval">>, <<"soon">>}], [{<<"Cron-Interval">>, <<"500-ms">>}],
        [{<<"Cron-Interval">>, <<"0-blocks">>}]
    ]].

messages_of_intervals_are_between_the_slots_test() ->
    {ok, Intervals} = dev_genesis_wasm64_cron:intervals([
        {<<"Cron-Interval">>, <<"20-seconds">>}, {<<"Cron-Tag-N">>, <<"20">>},
        {<<"Cron-Interval">>, <<"2-blocks">>}, {<<"Cron-Tag-N">>, <<"blocks">>},
        {<<"Cron-Interval">>, <<"10-seconds">>}, {<<"Cron-Tag-N">>, <<"10">>}
    ]),
    Origin = {100, 1_000_000},
    Blocks = [{101, 1_005_500}, {102, 1_015_000}, {104, 1_090_000}],
    Between = [
        {proplists:get_value(<<"N">>, Tags), Time, Height}
     || {Tags, Time, Height} <- dev_genesis_wasm64_cron:between(Intervals, Origin, {{100, 1_000_000}, {103, 1_022_000}}, Blocks)
    ],
    ?assertEqual(
        [
            {<<"10">>, 1_010_000, 101},
            {<<"blocks">>, 1_015_000, 102},
            {<<"10">>, 1_020_000, 102}, {<<"20">>, 1_020_000, 102}
        ],
        Between
    ),
    ?assertEqual([], dev_genesis_wasm64_cron:between([], Origin, {{100, 0}, {100, 1 bsl 60}}, Blocks)),
    ?assertEqual([], dev_genesis_wasm64_cron:between(Intervals, Origin, {{103, 1_022_000}, {103, 1_022_000}}, Blocks)).

%%% Checkpoints

memory() -> iolist_to_binary([rand:bytes(65_536), binary:copy(<<0>>, 3 * 65_536)]).

known() -> #{process => <<"P">>, module => <<"M">>, slot => 41, block => {1_500_000, 1_700_000_000_000}, chain => {<<"A">>, <<"H">>}}.

due_test() ->
    {ok, Intervals} = dev_genesis_wasm64_cron:intervals([{<<"Cron-Interval">>, <<"10-seconds">>}, {<<"Cron-Interval">>, <<"2-blocks">>}]),
    ?assertEqual(0, dev_genesis_wasm64_cron:due([], {{1, 0}, {9, 100_000}})),
    ?assertEqual(11 + 5, dev_genesis_wasm64_cron:due(Intervals, {{1, 0}, {9, 100_000}})).

read(Checkpoint) -> dev_genesis_wasm64_checkpoint:read(Checkpoint, <<"P">>, <<"M">>, 1 bsl 30, #{}).

a_checkpoint_has_what_it_was_made_of_test() ->
    Memory = memory(),
    Checkpoint = dev_genesis_wasm64_checkpoint:message(Memory, known()),
    ?assertEqual(
        {ok, #{memory => Memory, slot => 41, block => {1_500_000, 1_700_000_000_000}, chain => {<<"A">>, <<"H">>}}}, read(Checkpoint)
    ),
    ?assertMatch(
        #{
            <<"type">> := <<"Checkpoint">>, <<"nonce">> := <<"41">>, <<"timestamp">> := <<"1700000000000">>,
            <<"block-height">> := <<"1500000">>, <<"content-encoding">> := <<"gzip">>, <<"variant">> := <<"ao.TN.1">>
        },
        Checkpoint
    ),
    #{<<"data">> := Data, <<"sha-256">> := Digest} = Checkpoint,
    ?assertEqual(Memory, zlib:gunzip(Data)),
    ?assertEqual(string:lowercase(binary:encode_hex(crypto:hash(sha256, Memory))), Digest).

a_checkpoint_without_a_chain_test() ->
    ?assertMatch({ok, #{chain := none}}, read(dev_genesis_wasm64_checkpoint:message(memory(), (known())#{chain := none}))).

what_gzip_has_unpacked_on_its_way_is_read_test() ->
    Memory = memory(),
    #{} = Checkpoint = dev_genesis_wasm64_checkpoint:message(Memory, known()),
    ?assertMatch({ok, #{memory := Memory}}, read(maps:remove(<<"content-encoding">>, Checkpoint#{<<"data">> := Memory}))).

checkpoints_that_are_not_whole_or_of_others_are_refused_test_() ->
    Checkpoint = #{<<"data">> := Data} = dev_genesis_wasm64_checkpoint:message(memory(), known()),
    Half = binary:part(Data, 0, byte_size(Data) div 2),
    <<Start:100/binary, Byte, Rest/binary>> = Data,
    Cases = #{
        <<"of another process">> => Checkpoint#{<<"process">> := <<"Q">>},
        <<"of another module">> => Checkpoint#{<<"module">> := <<"N">>},
        <<"without a slot">> => maps:remove(<<"nonce">>, Checkpoint),
        <<"of no slot">> => Checkpoint#{<<"nonce">> := <<"4x">>},
        <<"without a time">> => maps:remove(<<"timestamp">>, Checkpoint),
        <<"without data">> => maps:remove(<<"data">>, Checkpoint),
        <<"half written">> => Checkpoint#{<<"data">> := Half},
        <<"damaged">> => Checkpoint#{<<"data">> := <<Start/binary, (Byte bxor 1), Rest/binary>>},
        <<"of another memory">> => Checkpoint#{<<"data">> := dev_genesis_wasm64_checkpoint:packed(memory())},
        <<"empty">> => Checkpoint#{<<"data">> := <<>>},
        <<"no memory">> => maps:remove(<<"sha-256">>, Checkpoint#{<<"data">> := dev_genesis_wasm64_checkpoint:packed(<<"text">>)})
    },
    [
        {binary_to_list(Title), ?_assertMatch({error, #{<<"status">> := 400, <<"body">> := <<"snapshot/", _/binary>>}}, read(Case))}
     || {Title, Case} <- maps:to_list(Cases)
    ].

nothing_larger_than_a_memory_can_be_is_unpacked_test() ->
    Packed = dev_genesis_wasm64_checkpoint:packed(binary:copy(<<0>>, 10 bsl 20)),
    ?assertEqual({error, too_large}, dev_genesis_wasm64_checkpoint:unpacked(Packed, (10 bsl 20) - 1)),
    ?assertMatch({ok, _}, dev_genesis_wasm64_checkpoint:unpacked(Packed, 10 bsl 20)).
