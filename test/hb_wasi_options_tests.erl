%% What a caller gives a program for its start.
-module(hb_wasi_options_tests).

-include_lib("eunit/include/eunit.hrl").

-define(P1, "wasi_snapshot_preview1").

image() ->
    hb_import_image:forwarding(
        [{?P1, "fd_read", "(iiii)i", x}, {?P1, "environ_get", "(ii)i", x}, {?P1, "random_get", "(ii)i", x}], 32
    ).

%% An image without random bytes.
plain() -> hb_import_image:forwarding([{?P1, "fd_read", "(iiii)i", x}], 32).

what_is_malformed_is_refused_test() ->
    Long = binary:copy(<<"x">>, 1 bsl 20),
    [
        ?assertEqual({error, {invalid_option, Key, Value}}, hb_wasm64:start(image(), #{Key => Value}))
     || {Key, Value} <- [
            {args, <<"a">>}, {args, ["a"]}, {args, [<<"a", 0>>]}, {args, [Long]}, {args, lists:duplicate(65_537, <<>>)},
            {args, [<<"a">> | <<"b">>]}, {env, <<"A=b">>}, {env, [{<<>>, <<"b">>}]}, {env, [{<<"A=">>, <<"b">>}]},
            {env, [{<<"A">>, <<"b", 0>>}]}, {env, [{<<"A">>, b}]}, {env, #{a => <<"b">>}}, {env, [{<<"A">>, Long}]},
            {env, [<<"A=b">>]}, {stdin, "text"}, {stdin, none}, {stdin, binary:copy(<<"x">>, (16 bsl 20) + 1)},
            {seed, <<>>}, {seed, 7}, {seed, binary:copy(<<"x">>, 65_537)}, {preopens, <<"/">>}, {preopens, ["/"]},
            {preopens, [<<>>]}, {preopens, [<<"/a/../b">>]}, {preopens, [<<"/a/./b">>]}, {preopens, [<<"a//b">>]},
            {preopens, [<<"/a", 0>>]}, {preopens, [<<16#ff>>]}, {preopens, [<<"/a/">>]}, {preopens, [<<"/dev/null">>]},
            {preopens, [<<"/dev/null/x">>]}, {preopens, [binary:copy(<<"x">>, 256)]},
            {preopens, lists:duplicate(65, <<"/">>)}, {files, [{<<"/a">>, <<>>}]}, {files, #{"/a" => <<>>}},
            {files, #{<<"/a">> => "text"}}, {files, #{<<"a">> => <<>>}}, {files, #{<<"/tmp">> => <<>>}},
            {files, #{<<"/a", 0>> => <<>>}}, {files, #{<<"/a">> => <<>>, <<"/a/b">> => <<>>}},
            {files, #{<<"/a">> => binary:copy(<<"x">>, (16 bsl 20) + 1)}},
            {files, maps:from_list([{<<"/", N:32>>, <<>>} || N <- lists:seq(1, 1025)])}
        ]
    ].

what_is_given_is_not_of_a_call_test() ->
    {ok, H} = hb_wasm64:start(image()),
    [
        ?assertEqual({error, {invalid_option, Key, Value}}, hb_wasm64:call(H, ?P1 ".fd_read", [0, 0, 0, 0], #{Key => Value}))
     || {Key, Value} <- [{args, []}, {env, []}, {stdin, <<>>}, {preopens, []}]
    ].

%% A snapshot has what the program was given.
what_is_given_does_not_go_with_a_snapshot_test() ->
    {ok, H} = hb_wasm64:start(image()),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    [
        ?assertEqual({error, {invalid_option, Key, Value}}, hb_wasm64:start(image(), #{snapshot => Snapshot, Key => Value}))
     || {Key, Value} <- [{args, []}, {env, []}, {stdin, <<>>}, {seed, <<"s">>}, {preopens, []}]
    ],
    {ok, Memory} = hb_wasm64:read_memory(H),
    {ok, _} = hb_wasm64:start(image(), #{snapshot => {raw, Memory, none}, seed => <<"s">>, stdin => <<"x">>}).

the_most_that_can_be_given_goes_into_a_snapshot_test_() ->
    {timeout, 300, fun() ->
        [
            begin
                Given = #{
                    stdin => binary:copy(<<Byte>>, 16 bsl 20), seed => binary:copy(<<"x">>, 65_536),
                    args => lists:duplicate(65_536, <<"a">>), env => [{<<"A">>, binary:copy(<<"x">>, (1 bsl 20) - 3)}],
                    preopens => [integer_to_binary(N) || N <- lists:seq(1, 64)]
                },
                {ok, H} = hb_wasm64:start(image(), Given),
                {ok, Snapshot} = hb_wasm64:snapshot(H),
                {ok, Twin} = hb_wasm64:start(image(), #{snapshot => Snapshot}),
                ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(Twin))
            end
         || Byte <- [0, $x]
        ]
    end}.

%% What no call can see makes no difference.
what_a_program_cannot_see_is_no_state_test() ->
    Snapshot = fun(Image, Options) ->
        {ok, H} = hb_wasm64:start(Image, Options),
        element(2, {ok, _} = hb_wasm64:snapshot(H))
    end,
    Default = Snapshot(image(), #{}),
    ?assertEqual(Default, Snapshot(image(), #{args => [], stdin => <<>>, preopens => [<<"/">>]})),
    ?assertNotEqual(Default, Snapshot(image(), #{seed => <<"s">>})),
    ?assertEqual(Snapshot(plain(), #{}), Snapshot(plain(), #{seed => <<"s">>})),
    %% What has been read is gone.
    {ok, H} = hb_wasm64:start(image(), #{stdin => <<"abc">>}),
    ok = hb_wasm64:write(H, 16, <<32:32/little, 3:32/little>>),
    {ok, [0]} = hb_wasm64:call(H, ?P1 ".fd_read", [0, 16, 1, 64]),
    {ok, <<"abc">>} = hb_wasm64:read(H, 32, 3),
    {ok, Memory} = hb_wasm64:read_memory(H),
    {ok, Other} = hb_wasm64:start(image()),
    ok = hb_wasm64:write_memory(Other, Memory),
    ?assertEqual(hb_wasm64:snapshot(Other), hb_wasm64:snapshot(H)).

%% A map is in the order of its names, whatever it was made like.
variables_of_a_map_are_in_order_test() ->
    Names = [<<"N", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 100)],
    {ok, H} = hb_wasm64:start(image(), #{env => maps:from_keys(Names, <<"v">>)}),
    {ok, [0]} = hb_wasm64:call(H, ?P1 ".environ_get", [0, 4096]),
    Wanted = iolist_to_binary([[Name, "=v", 0] || Name <- lists:sort(Names)]),
    ?assertEqual({ok, Wanted}, hb_wasm64:read(H, 4096, byte_size(Wanted))).

%% Input is read from where it was left, in any instance of that state.
input_is_read_once_test() ->
    Read = fun(H) ->
        ok = hb_wasm64:write(H, 16, <<32:32/little, 4:32/little>>),
        {ok, [0]} = hb_wasm64:call(H, ?P1 ".fd_read", [0, 16, 1, 64]),
        {ok, <<Count:32/little>>} = hb_wasm64:read(H, 64, 4),
        element(2, {ok, _} = hb_wasm64:read(H, 32, Count))
    end,
    {ok, H} = hb_wasm64:start(image(), #{stdin => <<"123456">>}),
    ?assertEqual(<<"1234">>, Read(H)),
    {ok, Fork} = hb_wasm64:fork(H),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    {ok, Twin} = hb_wasm64:start(image(), #{snapshot => Snapshot}),
    [?assertEqual([<<"56">>, <<>>, <<>>], [Read(Each) || _ <- [1, 2, 3]]) || Each <- [H, Fork, Twin]].
