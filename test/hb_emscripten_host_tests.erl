%% The host of Emscripten's images as a caller sees it: its clock, who answers
%% an import, what a program says, and that none of it is lost in a snapshot.
-module(hb_emscripten_host_tests).

-include_lib("eunit/include/eunit.hrl").

%% 2024-02-15 12:34:56.789
-define(TIME, 1_708_000_496_789).

guests(Name) -> [lists:concat(["emscripten/", Name, Width]) || Width <- ["", "64", "_old"]].

start(Guest) ->
    {ok, H} = hb_wasm64:start(hb_support:guest(Guest)),
    H.

each(Name, Test) -> [{Guest, fun() -> Test(start(Guest)) end} || Guest <- guests(Name)].

%% Flags of openat: to be created, to be read and written.
-define(CREATE, (8#100 bor 8#2)).

%%% The clock

the_clock_shows_the_time_of_the_call_test_() ->
    each("clock", fun(H) ->
        Options = #{time => ?TIME},
        ?assertEqual({ok, [?TIME * 1.0]}, hb_wasm64:call(H, "date_now", [], Options)),
        ?assertEqual({ok, [?TIME * 1.0]}, hb_wasm64:call(H, "now", [], Options)),
        ?assertEqual({ok, [?TIME * 1_000_000]}, hb_wasm64:call(H, "clock_time", [0, 0], Options))
    end).

a_call_without_a_time_is_at_the_beginning_of_time_test_() ->
    each("clock", fun(H) ->
        {ok, [1.0]} = hb_wasm64:call(H, "date_now", [], #{time => 1}),
        ?assertEqual({ok, [0.0]}, hb_wasm64:call(H, "date_now", []))
    end).

a_call_within_an_import_has_the_time_of_the_call_around_it_unless_it_says_otherwise_test() ->
    H = start("emscripten/clock64"),
    Import = fun(_, #{func := "emscripten_date_now", instance := Scope}, _) ->
        {ok, [Inner]} = hb_wasm64:call(Scope, "date_now", []),
        {ok, [Other]} = hb_wasm64:call(Scope, "date_now", [], #{time => 7}),
        {pass, [Inner, Other]}
    end,
    Options = #{time => ?TIME, intercept => [<<"env">>]},
    ?assertEqual({ok, [?TIME * 1.0], [?TIME * 1.0, 7.0]}, hb_wasm64:call(H, "date_now", [], Import, none, Options)).

a_time_that_is_none_is_refused_and_names_what_it_was_test() ->
    H = start("emscripten/clock64"),
    [?assertEqual({error, {invalid_option, time, Time}}, hb_wasm64:call(H, "date_now", [], #{time => Time}))
     || Time <- [-1, 1.5, (1 bsl 53) + 1, <<"1">>, undefined]],
    ?assertEqual({ok, [(1 bsl 53) * 1.0]}, hb_wasm64:call(H, "date_now", [], #{time => 1 bsl 53})).

dates_are_utc_test_() ->
    each("clock", fun(H) ->
        {ok, []} = hb_wasm64:call(H, "gmtime", [?TIME div 1000]),
        {ok, To} = hb_wasm64:malloc(H, 100),
        {ok, Format} = hb_wasm64:write_string(H, <<"%Y-%m-%d %H:%M:%S %A %j">>),
        {ok, [Size]} = hb_wasm64:call(H, "format", [To, 100, Format]),
        ?assertEqual({ok, <<"2024-02-15 12:34:56 Thursday 046">>}, hb_wasm64:read(H, To, Size)),
        ?assertEqual({ok, [?TIME div 1000]}, hb_wasm64:call(H, "mktime", []))
    end).

a_text_is_read_as_a_date_test_() ->
    each("clock", fun(H) ->
        {ok, Text} = hb_wasm64:write_string(H, <<"Thu, 15 Feb 2024 12:34:56 and more">>),
        {ok, Format} = hb_wasm64:write_string(H, <<"%a, %d %b %Y %T">>),
        {ok, Other} = hb_wasm64:write_string(H, <<"%Y">>),
        [begin
             {ok, []} = hb_wasm64:call(H, "set_tm", [0, 0, 0, 1, 0, 70, 0, 0, 5]),
             ?assertEqual({ok, [Text + 25]}, hb_wasm64:call(H, Parse, [Text, Format])),
             Fields = [hb_wasm64:call(H, "tm_field", [Field]) || Field <- lists:seq(0, 9)],
             ?assertEqual([{ok, [Value]} || Value <- [56, 34, 12, 15, 1, 124, 4, 45, 0, 0]], Fields),
             ?assertEqual({ok, [0]}, hb_wasm64:call(H, Parse, [Text, Other]))
         end || Parse <- ["parse", "parse_l"]]
    end).

%% Up to Emscripten 3.1.54 names of zones are allocated, once, by the host.
the_time_zone_has_a_name_test_() ->
    [{Guest, fun() ->
        H = start(Guest),
        {ok, [Before]} = hb_wasm64:call(H, "heap_used", []),
        [{ok, []} = hb_wasm64:call(H, "local", [?TIME div 1000]) || _ <- [1, 2]],
        {ok, [After]} = hb_wasm64:call(H, "heap_used", []),
        ?assertEqual(Allocated, After - Before),
        [?assertEqual({ok, Name}, begin
             {ok, [Pointer]} = hb_wasm64:call(H, "zone_name", [Which]),
             hb_wasm64:read_string(H, Pointer)
         end) || Which <- [0, 1]],
        {ok, To} = hb_wasm64:malloc(H, 100),
        {ok, Format} = hb_wasm64:write_string(H, <<"%H %Z">>),
        {ok, [Size]} = hb_wasm64:call(H, "format", [To, 100, Format]),
        ?assertEqual({ok, <<"12 ", Name/binary>>}, hb_wasm64:read(H, To, Size)),
        ?assertEqual({ok, [0]}, hb_wasm64:call(H, "timezone", []))
    end} || {Guest, Name, Allocated} <- [
        {"emscripten/clock", <<"UTC">>, 0},
        {"emscripten/clock64", <<"UTC">>, 0},
        %% Two blocks with a header of 16 bytes each and 27 bytes, in multiples of 16.
        {"emscripten/clock_old", <<"Coordinated Universal Time">>, 96}
    ]].

there_is_no_randomness_and_who_asks_is_told_test_() ->
    each("clock", fun(H) ->
        {ok, To} = hb_wasm64:malloc(H, 16),
        ok = hb_wasm64:write(H, To, <<"untouched">>),
        ?assertEqual({ok, [-52]}, hb_wasm64:call(H, "random", [To, 9])),
        ?assertEqual({ok, [0]}, hb_wasm64:call(H, "errno", [])),
        ?assertEqual({ok, [-1]}, hb_wasm64:call(H, "entropy", [To, 9])),
        ?assertEqual({ok, [52]}, hb_wasm64:call(H, "errno", [])),
        ?assertEqual({ok, <<"untouched">>}, hb_wasm64:read(H, To, 9)),
        %% Whoever has some can give it.
        Import = fun(Asked, #{func := Func}, _) -> {ok, [0], [Func | Asked]} end,
        Options = #{intercept => ["env", "wasi_snapshot_preview1"]},
        ?assertEqual({ok, [0], ["random_get"]}, hb_wasm64:call(H, "random", [To, 9], Import, [], Options)),
        ?assertEqual({ok, [0], ["getentropy"]}, hb_wasm64:call(H, "entropy", [To, 9], Import, [], Options))
    end).

%% Also where nothing has been written that a snapshot would tell.
a_call_takes_the_same_fuel_on_every_way_to_an_instance_test_() ->
    each("clock", fun(H) ->
        {ok, [1.0]} = hb_wasm64:call(H, "date_now", [], #{time => 1}),
        {ok, #{image := Hash}} = hb_wasm64:describe(H),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Memory, none} = hb_wasm64:read_state(H),
        {ok, Fork} = hb_wasm64:fork(H),
        {ok, Restored} = hb_wasm64:fork(H),
        ok = hb_wasm64:restore(Restored, Snapshot),
        {ok, Raw} = hb_wasm64:fork(H),
        ok = hb_wasm64:write_state(Raw, Memory, none),
        [?assertMatch({ok, #{image := Hash}}, hb_wasm64:describe(At)) || At <- [Fork, Restored, Raw]],
        Least = fun(At) -> hd([Fuel || Fuel <- lists:seq(0, 2000), {ok, [1.0]} =:= hb_wasm64:call(At, "date_now", [], #{time => 1, fuel => Fuel})]) end,
        ?assertMatch([_], lists:usort([Least(At) || At <- [H, Fork, Restored, Raw, Restored]]))
    end).

%%% Who answers

an_import_of_a_named_module_goes_to_the_import_function_first_test_() ->
    each("clock", fun(H) ->
        Import = fun(Asked, #{func := Func, interceptable := true}, _) -> {ok, [5.0], [Func | Asked]} end,
        ?assertEqual(
            {ok, [5.0], ["emscripten_date_now"]},
            hb_wasm64:call(H, "date_now", [], Import, [], #{intercept => ["env"], time => 3})
        ),
        ?assertEqual({ok, [3.0], []}, hb_wasm64:call(H, "date_now", [], Import, [], #{intercept => ["other"], time => 3})),
        ?assertEqual({ok, [3.0], []}, hb_wasm64:call(H, "date_now", [], Import, [], #{time => 3}))
    end).

what_the_import_function_leaves_the_host_serves_test_() ->
    each("clock", fun(H) ->
        Import = fun(Asked, #{func := Func}, _) -> {pass, [Func | Asked]} end,
        ?assertEqual(
            {ok, [3.0], ["emscripten_date_now"]},
            hb_wasm64:call(H, "date_now", [], Import, [], #{intercept => [<<"env">>], time => 3})
        )
    end).

a_handler_can_leave_an_import_to_the_host_test() ->
    H = start("emscripten/clock64"),
    {ok, Ref} = hb_wasm64:call_async(H, "date_now", [], #{intercept => [<<"env">>], time => 3}),
    ok = receive {hb_wasm64, Ref, {import, Import, #{interceptable := true}}} -> hb_wasm64:respond(Import, pass) end,
    ?assertEqual({ok, [3.0]}, receive {hb_wasm64, Ref, {done, Result}} -> Result end).

an_import_that_the_host_does_not_serve_cannot_be_left_to_it_test() ->
    H = start("emscripten/longjmp64"),
    Import = fun(State, Request, _) ->
        ?assertNot(is_map_key(interceptable, Request)),
        {pass, State}
    end,
    ?assertEqual(
        {error, {import_failed, {not_interceptable, #{module => "env", func => "host_call"}}}, state},
        hb_wasm64:call(H, "import_in_invoke", [1], Import, state, #{intercept => [<<"env">>]})
    ),
    {ok, Ref} = hb_wasm64:call_async(H, "import_in_invoke", [1], #{}),
    receive
        {hb_wasm64, Ref, {import, Pending, _}} ->
            ?assertEqual({error, not_interceptable}, hb_wasm64:respond(Pending, pass)),
            ?assertEqual(ok, hb_wasm64:respond(Pending, {ok, [4]}))
    end,
    ?assertEqual({ok, [4]}, receive {hb_wasm64, Ref, {done, Result}} -> Result end).

%% Whatever its number: standard output can be a file, and another descriptor a
%% terminal.
a_descriptor_on_a_file_of_the_host_is_never_asked_for_test_() ->
    each("files", fun(H) ->
        Import = fun(Asked, #{func := Func, args := [Descriptor | _]}, _) -> {pass, [{Func, Descriptor} | Asked]} end,
        Options = #{intercept => [<<"wasi_snapshot_preview1">>]},
        {ok, From} = hb_wasm64:malloc(H, 16),
        ok = hb_wasm64:write(H, From, <<"text">>),
        Write = fun(Descriptor) ->
            {ok, [_], Asked} = hb_wasm64:call(H, "write", [Descriptor, From, 4], Import, [], Options),
            Asked
        end,
        ?assertEqual([{"fd_write", 1}], Write(1)),
        File = open(H, <<"/tmp/o">>, ?CREATE),
        {ok, [7]} = hb_wasm64:call(H, "dup3", [1, 7, 0]),
        {ok, [1]} = hb_wasm64:call(H, "dup3", [File, 1, 0]),
        ?assertEqual([], Write(1)),
        ?assertEqual(<<"text">>, contents(H, <<"/tmp/o">>)),
        ?assertEqual([], Write(File)),
        ?assertEqual([{"fd_write", 7}], Write(7)),
        ?assertEqual([{"fd_write", 2}], Write(2)),
        ?assertEqual([{"fd_write", 99}], Write(99))
    end).

what_unwinds_or_allocates_is_never_asked_for_test() ->
    H = start("emscripten/throw64"),
    Import = fun(_, #{func := Func}, _) -> error({asked_for, Func}) end,
    ?assertMatch({ok, [_], none}, hb_wasm64:call(H, "throw_int", [5], Import, none, #{intercept => [<<"env">>]})),
    ?assertMatch({ok, [_], none}, hb_wasm64:call(H, "rethrow", [5], Import, none, #{intercept => [<<"env">>]})).

names_of_modules_that_are_none_are_refused_test() ->
    H = start("emscripten/clock64"),
    [?assertEqual({error, {invalid_option, intercept, Names}}, hb_wasm64:call(H, "now", [], #{intercept => Names}))
     || Names <- [env, <<"env">>, [env], [<<255>>], ["a" | <<"b">>], [[-1]]]].

an_image_says_whether_it_has_the_host_test() ->
    ?assertEqual({ok, emscripten}, hb_wasm64:host(start("emscripten/clock"))),
    ?assertEqual({ok, none}, hb_wasm64:host(start("imports"))),
    ?assertEqual({error, not_local}, hb_wasm64:host(make_ref())).

other_images_have_none_of_it_test() ->
    H = start("imports"),
    Import = fun(State, Request, _) ->
        ?assertNot(is_map_key(interceptable, Request)),
        {ok, [1], State}
    end,
    ?assertEqual({ok, [1], none}, hb_wasm64:call(H, "call_add", [1, 2], Import, none, #{intercept => [<<"env">>], time => 1})),
    ?assertEqual({ok, #{stdout => <<>>, stderr => <<>>}}, hb_wasm64:output(H)).

%%% What a program says

say(H, Descriptor, Text) ->
    {ok, From} = hb_wasm64:malloc(H, byte_size(Text) + 1),
    ok = hb_wasm64:write(H, From, Text),
    hb_wasm64:call(H, "write", [Descriptor, From, byte_size(Text)]).

output_is_that_of_the_last_call_test_() ->
    each("files", fun(H) ->
        ?assertEqual({ok, #{stdout => <<>>, stderr => <<>>}}, hb_wasm64:output(H)),
        ?assertEqual({ok, [5]}, say(H, 1, <<"out\0\n">>)),
        ?assertEqual({ok, #{stdout => <<"out\0\n">>, stderr => <<>>}}, hb_wasm64:output(H)),
        ?assertEqual({ok, [6]}, say(H, 2, <<"errors">>)),
        ?assertEqual({ok, #{stdout => <<>>, stderr => <<"errors">>}}, hb_wasm64:output(H))
    end).

a_program_that_says_too_much_goes_on_and_the_beginning_is_kept_test() ->
    H = start("emscripten/files64"),
    Size = 3 bsl 20,
    ?assertEqual({ok, [Size]}, say(H, 1, binary:copy(<<"0123456789abcdef">>, Size div 16))),
    {ok, #{stdout := Kept}} = hb_wasm64:output(H),
    ?assertEqual(binary:copy(<<"0123456789abcdef">>, (1 bsl 20) div 16), Kept).

%%% State

path(H, Path) ->
    {ok, Pointer} = hb_wasm64:write_string(H, Path),
    Pointer.

open(H, Path, Flags) ->
    {ok, [Descriptor]} = hb_wasm64:call(H, "openat", [-100, path(H, Path), Flags, 8#644]),
    Descriptor.

contents(H, Path) ->
    case open(H, Path, 0) of
        Descriptor when Descriptor >= 0 ->
            {ok, To} = hb_wasm64:malloc(H, 1000),
            {ok, [Size]} = hb_wasm64:call(H, "read", [Descriptor, To, 1000]),
            {ok, [0]} = hb_wasm64:call(H, "close", [Descriptor]),
            {ok, Bytes} = hb_wasm64:read(H, To, Size),
            Bytes;
        Error ->
            Error
    end.

a_file_outlives_its_call_and_is_in_snapshots_and_forks_test_() ->
    each("files", fun(H) ->
        File = open(H, <<"/data/x">>, ?CREATE),
        {ok, [5]} = say(H, File, <<"hello">>),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Fork} = hb_wasm64:fork(H),
        {ok, #{image := _}} = hb_wasm64:describe(H),
        {ok, Compressed} = hb_wasm64:snapshot(H, #{compress => true}),
        {ok, [6]} = say(H, File, <<" world">>),
        {ok, Delta} = hb_wasm64:snapshot(H, #{base => Snapshot}),
        {ok, Memory, Rest} = hb_wasm64:read_state(H),
        ?assertEqual(<<"hello world">>, contents(H, <<"/data/x">>)),
        ?assertEqual(<<"hello">>, contents(Fork, <<"/data/x">>)),
        %% The descriptor is open in each of them, and where it was.
        [begin
             ok = hb_wasm64:restore(H, State),
             ?assertEqual({ok, [byte_size(Was)]}, hb_wasm64:call(H, "seek", [File, 0, 1])),
             ?assertEqual(Was, contents(H, <<"/data/x">>))
         end || {State, Was} <- [
             {Snapshot, <<"hello">>}, {Compressed, <<"hello">>}, {[Snapshot, Delta], <<"hello world">>}
         ]],
        ok = hb_wasm64:write_state(H, Memory, Rest),
        ?assertEqual(<<"hello world">>, contents(H, <<"/data/x">>)),
        %% A snapshot is the state and nothing else.
        ok = hb_wasm64:restore(H, Snapshot),
        ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(H))
    end).

raw_memory_alone_goes_into_an_instance_as_it_starts_test_() ->
    each("files", fun(H) ->
        {ok, Memory, none} = hb_wasm64:read_state(H),
        File = open(H, <<"/tmp/y">>, ?CREATE),
        {ok, [2]} = say(H, File, <<"yy">>),
        {ok, _, Rest} = hb_wasm64:read_state(H),
        ?assert(is_binary(Rest)),
        ok = hb_wasm64:write_state(H, Memory, none),
        ?assertEqual(-44, open(H, <<"/tmp/y">>, 0)),
        ?assertEqual({ok, Memory, none}, hb_wasm64:read_state(start("emscripten/files" ++ width(H))))
    end).

%% The image of an instance, by the width of its pointers and how it passes wide integers.
width(H) ->
    {ok, #{exports := Exports, imports := Imports}} = hb_wasm64:describe(H),
    case {lists:keyfind("malloc", 2, Exports), lists:keyfind("fd_seek", 3, Imports)} of
        {{func, _, "(I)I"}, _} -> "64";
        {_, {func, _, _, "(iIii)i"}} -> "";
        _ -> "_old"
    end.

a_damaged_state_of_the_host_is_refused_test() ->
    H = start("emscripten/files64"),
    File = open(H, <<"/data/x">>, ?CREATE),
    {ok, [5]} = say(H, File, <<"hello">>),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    Refused = [begin
        Position = rand:uniform(byte_size(Snapshot)) - 1,
        <<Before:Position/binary, Byte, After/binary>> = Snapshot,
        hb_wasm64:restore(H, <<Before/binary, (Byte bxor (1 bsl (rand:uniform(8) - 1))), After/binary>>)
    end || _ <- lists:seq(1, 300)],
    [?assertMatch({error, {invalid_snapshot, _}}, Result) || Result <- Refused],
    ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(H)).

%%% Time slices

results_do_not_depend_on_the_length_of_slices_test_() ->
    {timeout, 300, fun() ->
        Run = fun(Slice) ->
            ok = hb_wasm64:time_slice(Slice),
            H = start("emscripten/throw64"),
            Results = [hb_wasm64:call(H, Func, [N]) || {Func, N} <- [
                {"rounds", 10_000}, {"in_turns", 100}, {"destructors", 20}, {"both", 1}, {"rethrow", 5}
            ]],
            {ok, Snapshot} = hb_wasm64:snapshot(H),
            {Results, crypto:hash(sha256, Snapshot)}
        end,
        try
            [Short, Normal, Long] = [Run(Slice) || Slice <- [100, 1000, 10_000]],
            ?assertEqual(Normal, Short),
            ?assertEqual(Normal, Long)
        after
            ok = hb_wasm64:time_slice(1000)
        end
    end}.

slices_have_bounds_test() ->
    [?assertMatch({error, {invalid_args, #{position := 1}}}, hb_wasm64:time_slice(Slice))
     || Slice <- [0, 99, 100_001, -1, 1.5, soon, 1 bsl 64]].

%%% Starts

%% What the clock showed to constructors, by a global and by the memory, and to
%% main; -1 where one has not run.
clocks(H) ->
    [begin
         {ok, [Clock]} = hb_wasm64:call(H, Func, []),
         Clock
     end || Func <- ["constructed", "noted", "ran"]].

starting(Options) ->
    {ok, H} = hb_wasm64:start(hb_support:guest("emscripten/starting"), Options),
    H.

what_runs_at_the_start_is_an_option_test() ->
    ?assertEqual([0.0, 0.0, -1.0], clocks(starting(#{}))),
    ?assertEqual([0.0, 0.0, -1.0], clocks(starting(#{initialize => true}))),
    ?assertEqual([-1.0, 0.0, -1.0], clocks(starting(#{initialize => false}))),
    ?assertEqual([0.0, 0.0, 0.0], clocks(starting(#{initialize => main}))),
    Image = hb_support:guest("emscripten/starting"),
    [?assertEqual({error, {invalid_option, initialize, How}}, hb_wasm64:start(Image, #{initialize => How}))
     || How <- [yes, 1, <<"main">>]].

the_clock_of_a_start_shows_its_time_test() ->
    Time = ?TIME * 1.0,
    H = starting(#{time => ?TIME}),
    ?assertEqual([Time, Time, -1.0], clocks(H)),
    ?assertEqual([Time, Time, Time], clocks(starting(#{time => ?TIME, initialize => main}))),
    ?assertEqual([-1.0, 0.0, -1.0], clocks(starting(#{time => ?TIME, initialize => false}))),
    %% It ends with the start.
    ?assertEqual({ok, [0.0]}, hb_wasm64:call(H, "now", [])),
    {ok, Other} = hb_wasm64:start(hb_support:guest("imports"), #{time => ?TIME}),
    ?assertEqual({ok, idle}, hb_wasm64:status(Other)).

a_time_of_a_start_that_is_none_is_refused_test() ->
    Image = hb_support:guest("emscripten/starting"),
    {ok, Memory, none} = hb_wasm64:read_state(starting(#{})),
    [?assertEqual({error, {invalid_option, time, Time}}, hb_wasm64:start(Image, Options#{time => Time}))
     || Options <- [#{}, #{snapshot => {raw, Memory, none}}], Time <- [-1, 1.5, (1 bsl 53) + 1, <<"1">>, none, undefined]],
    ?assertMatch({ok, _}, hb_wasm64:start(Image, #{time => 1 bsl 53})).

%% What constructors have made of another time is a difference from a fresh
%% instance, and comes along like any other.
an_instance_started_at_some_time_keeps_that_in_its_state_test_() ->
    Image = hb_support:guest("emscripten/starting"),
    [{atom_to_list(Name), fun() ->
        H = starting(#{time => ?TIME}),
        New = Way(Image, H),
        ?assertEqual([?TIME * 1.0, ?TIME * 1.0, -1.0], clocks(New)),
        ?assert(hb_state_support:hash(H) =:= hb_state_support:hash(New))
    end} || {Name, Way} <- hb_state_support:ways()].

raw_memory_alone_means_an_instance_started_without_a_time_test() ->
    {ok, Memory, none} = hb_wasm64:read_state(starting(#{})),
    {ok, Later, Rest} = hb_wasm64:read_state(starting(#{time => ?TIME})),
    ?assert(is_binary(Rest)),
    H = starting(#{time => 7}),
    ok = hb_wasm64:write_state(H, Later, none),
    ?assertEqual([0.0, ?TIME * 1.0, -1.0], clocks(H)),
    ok = hb_wasm64:write_state(H, Memory, none),
    ?assertEqual({ok, Memory, none}, hb_wasm64:read_state(H)).

raw_memory_alone_goes_into_an_instance_that_starts_as_it_is_told_test() ->
    {ok, Memory, _} = hb_wasm64:read_state(starting(#{time => ?TIME})),
    Raw = #{snapshot => {raw, Memory, none}},
    Time = ?TIME * 1.0,
    ?assertEqual([0.0, Time, -1.0], clocks(starting(Raw))),
    ?assertEqual([5.0, Time, -1.0], clocks(starting(Raw#{time => 5}))),
    ?assertEqual([-1.0, Time, -1.0], clocks(starting(Raw#{time => 5, initialize => false}))).

a_snapshot_was_taken_after_everything_that_runs_at_a_start_test() ->
    Image = hb_support:guest("emscripten/starting"),
    Kept = starting(#{time => 5}),
    {ok, Whole} = hb_wasm64:snapshot(Kept),
    {ok, Memory, Rest} = hb_wasm64:read_state(Kept),
    Snapshots = [Whole, [Whole], {raw, Memory, Rest}],
    [?assertEqual([5.0, 5.0, -1.0], clocks(starting(#{snapshot => Snapshot, time => ?TIME, initialize => How})))
     || Snapshot <- Snapshots, How <- [true, false]],
    [?assertEqual({error, {invalid_option, initialize, main}}, hb_wasm64:start(Image, #{snapshot => Snapshot, initialize => main}))
     || Snapshot <- [{raw, Memory, none} | Snapshots]].

%%% Images that cannot be served

%% The guest with another name in place of one that it exports.
without(Guest, Name) ->
    Image = hb_support:guest("emscripten/" ++ Guest),
    {_, _} = binary:match(Image, Name),
    binary:replace(Image, Name, binary:replace(Name, <<"r">>, <<"_">>), [global]).

an_image_that_lacks_what_an_invoke_takes_is_refused_test_() ->
    [{lists:concat([Guest, " without ", binary_to_list(Name)]), fun() ->
        {error, {unsupported, Text}} = hb_wasm64:start(without(Guest, Name)),
        Expected = <<"^the import env\\.invoke_[a-z]+ requires the export ", Name/binary, "$">>,
        ?assertEqual({Text, match}, {Text, re:run(Text, Expected, [{capture, none}])})
    end} || {Guest, Name} <- [
        {"longjmp", <<"setThrew">>}, {"longjmp64", <<"setThrew">>}, {"throw_old", <<"setThrew">>},
        {"longjmp64", <<"emscripten_stack_get_current">>}, {"longjmp", <<"_emscripten_stack_restore">>}
    ]].

an_image_that_lacks_the_twin_of_a_function_with_wide_integers_is_refused_test() ->
    Image = binary:replace(hb_support:guest("emscripten/legal"), <<"dynCall_jj">>, <<"dynCall_ji">>),
    Text = <<"the import env.invoke_jj requires the export dynCall_jj">>,
    ?assertEqual({error, {unsupported, Text}}, hb_wasm64:start(Image)).

an_invoke_of_another_type_is_an_import_like_others_test() ->
    {ok, H} = hb_wasm64:start(dev_wasm64_support:importer(<<"env">>, <<"invoke_v">>)),
    Import = fun(State, #{func := "invoke_v", args := []}, _) -> {ok, [5], State} end,
    ?assertEqual({ok, [5], state}, hb_wasm64:call(H, "go", [], Import, state, #{})).

%% (import "env" "emscripten_date_now") and (func (export "dup") (param i32) (result i32)), which is __syscall_dup.
an_image_without_a_memory_has_a_state_of_its_host_test() ->
    Image = <<0, "asm", 1:32/little,
        1, 10, 2, 16#60, 0, 1, 16#7c, 16#60, 1, 16#7f, 1, 16#7f,
        2, 47, 2, 3, "env", 19, "emscripten_date_now", 0, 0, 3, "env", 13, "__syscall_dup", 0, 1,
        3, 2, 1, 1,
        7, 7, 1, 3, "dup", 0, 2,
        10, 8, 1, 6, 0, 16#20, 0, 16#10, 1, 16#0b>>,
    {ok, H} = hb_wasm64:start(Image),
    ?assertEqual({ok, <<>>, none}, hb_wasm64:read_state(H)),
    {ok, [3]} = hb_wasm64:call(H, "dup", [0]),
    {ok, <<>>, Rest} = hb_wasm64:read_state(H),
    {ok, Twin} = hb_wasm64:start(Image, #{snapshot => {raw, <<>>, Rest}}),
    ok = hb_wasm64:write_state(H, <<>>, none),
    ?assertEqual([{ok, [3]}, {ok, [4]}], [hb_wasm64:call(At, "dup", [0]) || At <- [H, Twin]]),
    ?assertMatch({error, {invalid_snapshot, _}}, hb_wasm64:write_state(H, <<0:(65536 * 8)>>, Rest)).
