%% A clock of an instance's own, and an instance that goes on with nothing but
%% the memory of another one: as AO's loader has both.
-module(hb_wasm64_clock_tests).

-include_lib("eunit/include/eunit.hrl").

-define(IMAGES, ["emscripten/clock", "emscripten/clock64", "emscripten/clock_old"]).

each(Test) -> [{Name, {timeout, 60, fun() -> Test(Name) end}} || Name <- ?IMAGES].

start(Name, Options) ->
    {ok, H} = hb_wasm64:start(hb_support:guest(Name), Options),
    H.

look(H) -> look(H, #{}).

look(H, Options) ->
    {ok, [Now]} = hb_wasm64:call(H, "now", [], Options),
    Now.

%%% The clock

it_goes_on_with_each_look_and_with_nothing_else_test_() ->
    each(fun(Name) ->
        H = start(Name, #{time => {10_000, 7}, initialize => false}),
        ?assertEqual([10_000.0, 10_007.0], [look(H), look(H)]),
        {ok, [_]} = hb_wasm64:call(H, "now_resolution", []),
        ?assertEqual({ok, [10_014.0]}, hb_wasm64:call(H, "date_now", [])),
        %% In nanoseconds.
        ?assertEqual({ok, [10_021_000_000]}, hb_wasm64:call(H, "clock_time", [0, 0])),
        ?assertEqual(10_028.0, look(H))
    end).

the_time_of_a_call_does_not_change_it_test_() ->
    each(fun(Name) ->
        H = start(Name, #{time => {10_000, 1}, initialize => false}),
        ?assertEqual([10_000.0, 10_001.0], [look(H, #{time => 5}), look(H, #{time => 1_700_000_000_000})])
    end).

constructors_look_at_it_first_test() ->
    H = start("emscripten/starting", #{time => {10_000, 7}}),
    ?assertEqual({ok, [10_000.0]}, hb_wasm64:call(H, "constructed", [])),
    {ok, Next} = hb_wasm64:renew(H, #{time => {20_000, 7}}),
    ?assertEqual({ok, [20_000.0]}, hb_wasm64:call(Next, "constructed", [])).

without_a_step_it_stands_still_test_() ->
    each(fun(Name) ->
        H = start(Name, #{time => {10_000, 0}, initialize => false}),
        ?assertEqual([10_000.0, 10_000.0], [look(H), look(H)])
    end).

it_is_part_of_the_state_test_() ->
    each(fun(Name) ->
        H = start(Name, #{time => {10_000, 3}, initialize => false}),
        10_000.0 = look(H),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Twin} = hb_wasm64:start(hb_support:guest(Name), #{snapshot => Snapshot}),
        {ok, Fork} = hb_wasm64:fork(H),
        {ok, Memory, Rest} = hb_wasm64:read_state(H),
        {ok, Raw} = hb_wasm64:start(hb_support:guest(Name), #{snapshot => {raw, Memory, Rest}}),
        [?assertEqual([10_003.0, 10_006.0], [look(I), look(I)]) || I <- [H, Twin, Fork, Raw]],
        {ok, Delta} = hb_wasm64:snapshot(H, #{base => Snapshot}),
        ok = hb_wasm64:restore(Fork, [Snapshot, Delta]),
        ?assertEqual(10_009.0, look(Fork)),
        %% The same state has the same bytes.
        ok = hb_wasm64:restore(Twin, Snapshot),
        ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(Twin)),
        %% It is not that of an instance which has another one, or none.
        Other = start(Name, #{time => {10_000, 4}, initialize => false}),
        10_000.0 = look(Other),
        ?assertNotEqual({ok, Snapshot}, hb_wasm64:snapshot(Other))
    end).

short_time_slices_do_not_show_test_() ->
    {timeout, 60, fun() ->
        Looks = fun() ->
            H = start("emscripten/clock64", #{time => {0, 1}, initialize => false}),
            [look(H) || _ <- lists:seq(1, 50)]
        end,
        Expected = [float(N) || N <- lists:seq(0, 49)],
        ?assertEqual(Expected, Looks()),
        Before = hb_wasm64:time_slice(100),
        try
            ?assertEqual(Expected, Looks())
        after
            hb_wasm64:time_slice(1000)
        end,
        ?assertEqual(ok, Before)
    end}.

it_stops_at_the_end_of_time_test() ->
    H = start("emscripten/clock64", #{time => {1 bsl 53, 1 bsl 53}, initialize => false}),
    Looks = [look(H) || _ <- lists:seq(1, 3000)],
    ?assertEqual(Looks, lists:sort(Looks)).

clocks_that_cannot_be_are_refused_test_() ->
    Image = hb_support:guest("emscripten/clock64"),
    [
        ?_assertEqual({error, {invalid_option, time, Time}}, hb_wasm64:start(Image, #{time => Time}))
     || Time <- [{1, -1}, {-1, 1}, {1}, {1, 2, 3}, {1.0, 1}, {(1 bsl 53) + 1, 1}, {1, 1 bsl 54}, []]
    ].

only_a_start_gives_one_test() ->
    H = start("emscripten/clock64", #{}),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    ?assertEqual({error, {invalid_option, time, {1, 1}}}, hb_wasm64:call(H, "now", [], #{time => {1, 1}})),
    ?assertEqual({error, {invalid_option, time, {1, 1}}}, hb_wasm64:put_file(H, "/x", <<>>, #{time => {1, 1}})),
    %% A snapshot has its own.
    ?assertEqual(
        {error, {invalid_option, time, {1, 1}}},
        hb_wasm64:start(hb_support:guest("emscripten/clock64"), #{snapshot => Snapshot, time => {1, 1}})
    ).

%%% Another instance with the memory

the_memory_is_there_and_all_else_is_fresh_test_() ->
    each(fun(Name) ->
        H = start(Name, #{time => {10_000, 1}}),
        _ = look(H),
        ok = hb_wasm64:put_file(H, "/tmp/file", <<"text">>),
        {ok, Memory} = hb_wasm64:read_memory(H),
        ok = hb_wasm64:write(H, byte_size(Memory) - 8, <<"the last">>),
        {ok, Before, _} = hb_wasm64:read_state(H),
        {ok, Next} = hb_wasm64:renew(H, #{time => {20_000, 1}}),
        ?assertEqual({ok, Before}, hb_wasm64:read_memory(Next)),
        ?assertEqual({error, {file, enoent}}, hb_wasm64:read_file(Next, "/tmp/file")),
        ?assert(look(Next) >= 20_000.0),
        %% The first one is as it was.
        ?assertEqual({ok, Before}, hb_wasm64:read_memory(H)),
        ?assertEqual({ok, <<"text">>}, hb_wasm64:read_file(H, "/tmp/file")),
        ok = hb_wasm64:write(Next, 0, <<"changed">>),
        ?assertEqual({ok, Before}, hb_wasm64:read_memory(H))
    end).

memory_that_has_grown_is_there_test() ->
    H = start("writes", #{}),
    {ok, Size} = hb_wasm64:memory_size(H),
    case hb_wasm64:grow(H, Size + 65_536) of
        {ok, _} -> ok;
        ok -> ok
    end,
    ok = hb_wasm64:write(H, Size + 65_528, <<"the last">>),
    {ok, Memory} = hb_wasm64:read_memory(H),
    {ok, Next} = hb_wasm64:renew(H, #{}),
    ?assertEqual({ok, Memory}, hb_wasm64:read_memory(Next)).

zeros_take_the_place_of_what_a_start_has_written_test() ->
    Image = hb_support:guest("emscripten/clock64"),
    {ok, H} = hb_wasm64:start(Image, #{time => 5}),
    {ok, Memory} = hb_wasm64:read_memory(H),
    Zeros = binary:copy(<<0>>, byte_size(Memory)),
    ok = hb_wasm64:write_memory(H, Zeros),
    {ok, Next} = hb_wasm64:renew(H, #{time => 5}),
    ?assertEqual({ok, Zeros}, hb_wasm64:read_memory(Next)).

it_is_refused_what_it_has_no_use_for_test_() ->
    H = start("emscripten/clock64", #{}),
    [
        ?_assertEqual({error, {invalid_option, Key, Value}}, hb_wasm64:renew(H, #{Key => Value}))
     || {Key, Value} <- [{snapshot, <<>>}, {output, self()}, {initialize, main}, {time, x}, {fule, 1}, {args, [1]}]
    ].

a_stopped_instance_has_nothing_to_go_on_with_test() ->
    H = start("emscripten/clock64", #{}),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:renew(H, #{})).
