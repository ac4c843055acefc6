%% Images with a gas meter: what they use, and where that ends. The meter is AO's: `metering.usegas' before each block.
-module(hb_wasm64_meter_tests).

-include_lib("eunit/include/eunit.hrl").

-define(USAGE, #{usage => true}).
%% The limit of AO's loader where nobody says another.
-define(DEFAULT, 9_000_000_000_000_000).

%% Catches a meter that goes to Erlang, or that counts something else than it is told.
a_call_tells_the_gas_that_it_has_used_test() ->
    H = start(),
    No = fun(S, #{func := "callback"}, _) -> {ok, [0], S} end,
    [?assertMatch({Function, {ok, _, #{gas_used := Gas}}}, {Function, hb_wasm64:call(H, Function, Args, ?USAGE)})
     || {Function, Args, Gas} <- [
        {"seven", [], 3}, {"take", [0], 0}, {"take", [1000], 1000}, {"loop", [0], 15}, {"loop", [10], 65},
        {"ask", [0], 101}, {0, [30], 30}, {1, [31], 31}
    ]],
    ?assertMatch({ok, [0], s, #{gas_used := 101}}, hb_wasm64:call(H, "ask", [0], No, s, ?USAGE)),
    ?assertMatch({ok, [7], #{gas_used := 3}}, async(H, "seven", [], ?USAGE)),
    ?assertMatch({error, {trap, #{code := unreachable}}, #{gas_used := 2}}, hb_wasm64:call(H, "trap", [], ?USAGE)).

an_image_without_a_meter_has_no_gas_test() ->
    H = hb_support:start("numbers"),
    {ok, [7], Usage} = hb_wasm64:call(H, "add_i32", [3, 4], #{usage => true, gas => 0, refill => false}),
    ?assertEqual([fuel_used], maps:keys(Usage)),
    {ok, Description} = hb_wasm64:describe(H),
    ?assertNot(is_map_key(gas_used, Description)).

%% What exceeds the limit ends the call: the limit itself does not.
gas_ends_at_the_block_that_exceeds_the_limit_test() ->
    H = start(),
    [begin
         {Rounds, Used} = stopped_loop(Gas),
         {ok, Before} = rounds(H),
         ?assertMatch({error, {limit, gas}, #{gas_used := Used}}, call(H, "loop", [100], Gas), Gas),
         ?assertEqual({Gas, {ok, Before + Rounds}}, {Gas, rounds(H)})
     end || Gas <- lists:seq(0, 60) ++ [511, 512, 513, 514]],
    ?assertMatch({ok, [_], #{gas_used := 515}}, call(H, "loop", [100], 515)),
    ?assertMatch({ok, [_], #{gas_used := 515}}, call(H, "loop", [100], 516)).

%% How many rounds there are, and what has been used, where there is too little.
stopped_loop(Gas) when Gas < 10 -> {0, 10};
stopped_loop(Gas) -> {(Gas - 10) div 5, 10 + 5 * ((Gas - 10) div 5 + 1)}.

%% Catches gas that is taken for fuel, and a limit that also ends the calls after it.
the_end_of_gas_is_told_apart_and_the_instance_lives_on_test() ->
    H = start(),
    ?assertEqual({error, {limit, gas}}, hb_wasm64:call(H, "seven", [], #{gas => 2})),
    ?assertEqual({error, {limit, gas}, s}, hb_wasm64:call(H, "seven", [], fun answer/3, s, #{gas => 2})),
    ?assertEqual({error, {limit, gas}}, async(H, "seven", [], #{gas => 2})),
    ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "seven", [], #{fuel => 0})),
    ?assertEqual({ok, [7]}, hb_wasm64:call(H, "seven", [])),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "take", [2_000_000_000])).

the_limit_is_that_of_aos_loader_where_there_is_no_other_test() ->
    H = start(),
    Largest = (1 bsl 31) - 1,
    {Times, Rest} = {?DEFAULT div Largest, ?DEFAULT rem Largest},
    {ok, [], #{gas_used := Gulp}} = hb_wasm64:call(H, "gulp", [Times, Largest], ?USAGE),
    ?assertEqual(Times * Largest, Gulp),
    On = #{refill => false},
    ?assertEqual({ok, []}, hb_wasm64:call(H, "take", [Rest], On)),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "take", [0], On)),
    ?assertEqual({error, {limit, gas}}, hb_wasm64:call(H, "take", [1], On)),
    %% A higher one is allowed.
    ?assertEqual({ok, []}, hb_wasm64:call(H, "take", [1], On#{gas => 1 bsl 53})),
    ?assertEqual({ok, ?DEFAULT + 2}, gas(H)).

%% Amounts are signed, as JavaScript reads them.
a_negative_amount_gives_gas_back_test() ->
    H = start(),
    ?assertMatch({ok, [], #{gas_used := -7}}, call(H, "take", [-7], 0)),
    On = #{gas => 0, refill => false, usage => true},
    ?assertMatch({ok, [7], #{gas_used := 3}}, hb_wasm64:call(H, "seven", [], On)),
    ?assertMatch({ok, [7], #{gas_used := 3}}, hb_wasm64:call(H, "seven", [], On)),
    ?assertMatch({error, {limit, gas}, #{gas_used := 3}}, hb_wasm64:call(H, "seven", [], On)).

%%% What has been used stays

%% Catches a refill that is forgotten, and one that nobody has asked for.
every_call_begins_with_all_of_its_gas_unless_it_goes_on_test() ->
    H = start(),
    ?assertEqual({ok, 0}, gas(H)),
    Seven = fun(Options) -> {ok, [7], #{gas_used := 3}} = hb_wasm64:call(H, "seven", [], Options#{usage => true}), gas(H) end,
    ?assertEqual({ok, 3}, Seven(#{})),
    ?assertEqual({ok, 3}, Seven(#{refill => true})),
    ?assertEqual({ok, 6}, Seven(#{refill => false})),
    ?assertEqual({ok, 9}, Seven(#{refill => false, gas => 9})),
    ?assertMatch({error, {limit, gas}, #{gas_used := 3}},
        hb_wasm64:call(H, "seven", [], #{refill => false, gas => 11, usage => true})),
    ?assertEqual({ok, 12}, gas(H)),
    %% Others than calls of the guest use none and refill nothing.
    {ok, _} = hb_wasm64:read(H, 0, 10),
    {ok, _} = hb_wasm64:snapshot(H),
    ?assertEqual({ok, 12}, gas(H)),
    ?assertEqual({ok, 3}, Seven(#{gas => 3})).

%% Catches a limit that becomes state: nodes with other limits would have other states.
the_limit_is_no_state_and_what_has_been_used_is_test() ->
    Snapshot = fun(Options) ->
        H = start(),
        _ = hb_wasm64:call(H, "loop", [5], Options),
        {ok, Bytes} = hb_wasm64:snapshot(H),
        Bytes
    end,
    Bytes = Snapshot(#{}),
    [?assertEqual(Bytes, Snapshot(Options)) || Options <- [#{gas => 40}, #{gas => 1 bsl 53}, #{refill => false}, ?USAGE]],
    ?assertNotEqual(Bytes, Snapshot(#{gas => 34})).

a_meter_that_is_half_used_goes_with_the_state_test_() ->
    {timeout, 600, fun() ->
        Image = hb_support:guest("metered"),
        H = start(),
        {ok, [10]} = hb_wasm64:call(H, "loop", [10]),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Fork} = hb_wasm64:fork(H),
        {ok, Restored} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
        {ok, Memory, Rest} = hb_wasm64:read_state(H),
        {ok, Put} = hb_wasm64:start(Image, #{snapshot => {raw, Memory, Rest}}),
        Later = start(),
        {ok, [20]} = hb_wasm64:call(Later, "loop", [20]),
        ok = hb_wasm64:restore(Later, Snapshot),
        [begin
             ?assertEqual({ok, 65}, gas(I)),
             On = #{refill => false, gas => 65 + 35, usage => true},
             ?assertMatch({error, {limit, gas}, #{gas_used := 40}}, hb_wasm64:call(I, "loop", [10], On)),
             ?assertEqual({ok, 105}, gas(I))
         end || I <- [H, Fork, Restored, Put, Later]],
        %% In another process of the operating system.
        Peer = hb_support:peer(),
        There = hb_support:on_peer(Peer, fun() ->
            {ok, I} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
            Ended = hb_wasm64:call(I, "loop", [10], #{refill => false, gas => 100, usage => true}),
            {ok, After} = hb_wasm64:snapshot(I),
            {Ended, After}
        end),
        ok = peer:stop(Peer),
        {ok, Twin} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
        Ended = hb_wasm64:call(Twin, "loop", [10], #{refill => false, gas => 100, usage => true}),
        {ok, After} = hb_wasm64:snapshot(Twin),
        ?assertEqual({Ended, After}, There)
    end}.

%% Catches a state that differs for a meter that was never used: snapshots from before there were meters have none.
a_meter_of_which_nothing_is_used_is_in_no_state_test() ->
    H = start(),
    {ok, Fresh} = hb_wasm64:snapshot(H),
    {ok, []} = hb_wasm64:call(H, "take", [5]),
    {ok, Used} = hb_wasm64:snapshot(H),
    ?assertNotEqual(Fresh, Used),
    {ok, []} = hb_wasm64:call(H, "take", [0]),
    ?assertEqual({ok, Fresh}, hb_wasm64:snapshot(H)),
    {ok, []} = hb_wasm64:call(H, "take", [5]),
    ok = hb_wasm64:restore(H, Fresh),
    ?assertEqual({ok, 0}, gas(H)).

slices_and_other_instances_change_nothing_test_() ->
    {timeout, 300, fun() ->
        Play = fun() ->
            H = start(),
            First = hb_wasm64:call(H, "loop", [2_000_000], ?USAGE),
            Second = hb_wasm64:call(H, "loop", [2_000_000], #{usage => true, gas => 7_000_003}),
            {ok, Snapshot} = hb_wasm64:snapshot(H),
            {First, Second, crypto:hash(sha256, Snapshot)}
        end,
        Played = {_, {error, {limit, gas}, _}, _} = Play(),
        try
            [begin ok = hb_wasm64:time_slice(Slice), ?assertEqual(Played, Play()) end || Slice <- [100, 10_000]]
        after
            hb_wasm64:time_slice(1000)
        end
    end}.

%%% Within imports

a_nested_call_uses_the_gas_of_the_call_around_it_test() ->
    H = start(),
    Nested = fun(Inner) ->
        fun([], #{instance := I, func := "callback"}, _) ->
            {ok, [0], [hb_wasm64:call(I, "loop", [10], Inner#{usage => true}), hb_wasm64:describe(I)]}
        end
    end,
    Ask = fun(Inner, Outer) -> hb_wasm64:call(H, "ask", [0], Nested(Inner), [], Outer#{usage => true}) end,
    {ok, [0], [{ok, [10], #{gas_used := 65}}, {ok, Within}], #{gas_used := 166}} = Ask(#{}, #{}),
    %% The meter shows what the call has used so far, at the import and after what was called there.
    ?assertEqual(165, maps:get(gas_used, Within)),
    %% A refill is the outermost call's business.
    ?assertMatch({ok, [0], [{ok, _, #{gas_used := 65}}, _], #{gas_used := 166}}, Ask(#{refill => true}, #{})),
    %% It ends with the gas of the call around it, which then has none left,
    ?assertMatch({error, {limit, gas}, [{error, {limit, gas}, #{gas_used := 55}}, _], #{gas_used := 156}}, Ask(#{}, #{gas => 150})),
    %% or with its own, and the call around it goes on,
    ?assertMatch({ok, [0], [{error, {limit, gas}, #{gas_used := 30}}, _], #{gas_used := 131}}, Ask(#{gas => 25}, #{gas => 131})),
    %% which has paid for it.
    ?assertMatch({error, {limit, gas}, [{error, {limit, gas}, #{gas_used := 30}}, _], #{gas_used := 131}},
        Ask(#{gas => 25}, #{gas => 130})),
    ?assertMatch({ok, [0], [{ok, _, #{gas_used := 65}}, _], #{gas_used := 166}}, Ask(#{gas => 1 bsl 53}, #{gas => 166})).

%% Catches a meter that a cancelled call leaves with the limit of that call.
a_call_that_was_cut_short_leaves_the_limit_as_it_was_test() ->
    H = start(),
    Slow = fun(S, _, _) -> timer:sleep(50), {ok, [0], S} end,
    ?assertEqual({error, timeout, s}, hb_wasm64:call(H, "ask", [0], Slow, s, #{gas => 150, timeout => 20})),
    ?assertEqual({ok, 100}, gas(H)),
    ?assertMatch({ok, [], #{gas_used := 1000}}, hb_wasm64:call(H, "take", [1000], #{refill => false, usage => true})),
    ?assertEqual({ok, 1100}, gas(H)).

%% AO's programs ask it themselves.
a_guest_can_ask_what_it_has_used_test() ->
    H = start(),
    ?assertEqual({ok, [20.0]}, hb_wasm64:call(H, "used", [])),
    ?assertEqual({ok, [20.0]}, hb_wasm64:call(H, "used", [])),
    ?assertEqual({ok, [40.0]}, hb_wasm64:call(H, "used", [], #{refill => false})),
    ?assertEqual({ok, [20.0]}, hb_wasm64:call(H, "used", [], #{gas => 20})).

%%% Who serves it

%% A meter is a part of the image: nobody else can count instead.
a_meter_cannot_be_intercepted_test() ->
    H = start(),
    Nobody = fun(_, Import, _) -> error(Import) end,
    [?assertMatch({error, {unsupported, <<"a meter is a part of the image", _/binary>>}, s},
        hb_wasm64:call(H, "seven", [], Nobody, s, #{intercept => Modules}))
     || Modules <- [["metering"], [<<"env">>, <<"metering">>]]],
    ?assertEqual({ok, [7], s}, hb_wasm64:call(H, "seven", [], Nobody, s, #{intercept => ["env"]})),
    %% In an image without one it is a module like others.
    None = hb_support:start("numbers"),
    ?assertEqual({ok, [7], s}, hb_wasm64:call(None, "add_i32", [3, 4], Nobody, s, #{intercept => ["metering"]})).

an_image_that_imports_another_function_of_that_name_has_no_meter_test() ->
    %% (module (import "metering" "usegas" (func (param f32))) (func (export "f") (call 0 (f32.const 1))))
    Image = <<0, "asm", 1:32/little, 1, 8, 2, 16#60, 1, 16#7d, 0, 16#60, 0, 0, 2, 19, 1, 8, "metering", 6, "usegas", 0, 0,
        3, 2, 1, 1, 7, 5, 1, 1, "f", 0, 1, 10, 11, 1, 9, 0, 16#43, 1.0:32/little-float, 16#10, 0, 16#0b>>,
    {ok, H} = hb_wasm64:start(Image),
    Note = fun(S, #{module := "metering", func := "usegas", args := [Amount]}, _) -> {ok, [], [Amount | S]} end,
    ?assertEqual({ok, [], [1.0]}, hb_wasm64:call(H, "f", [], Note, [], #{intercept => ["metering"]})).

%% An import function that runs in a metered call.
answer(State, #{func := "callback"}, _User) -> {ok, [0], State}.

call(H, Function, Args, Gas) -> hb_wasm64:call(H, Function, Args, #{usage => true, gas => Gas}).

rounds(H) ->
    {ok, [Rounds]} = hb_wasm64:call(H, "loop", [0]),
    {ok, Rounds}.

%% What has been used since the gas was refilled last.
gas(H) ->
    {ok, #{gas_used := Gas}} = hb_wasm64:describe(H),
    {ok, Gas}.

start() -> hb_support:start("metered").

async(H, Function, Args, Options) ->
    {ok, Ref} = hb_wasm64:call_async(H, Function, Args, Options),
    receive {hb_wasm64, Ref, {done, Result}} -> Result after 60_000 -> error(no_message) end.
