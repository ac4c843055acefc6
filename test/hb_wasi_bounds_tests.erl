%% What functions of WASI take: how long one of them keeps a thread, what it costs before it works, and which arguments
%% it refuses.
-module(hb_wasi_bounds_tests).

-include_lib("eunit/include/eunit.hrl").

-define(P1, "wasi_snapshot_preview1").
-define(OLD, "wasi_unstable").
-define(INTO, 4096).
-define(TEXT, 8192).

functions() ->
    [
        {"args_get", "(ii)i"}, {"args_sizes_get", "(ii)i"}, {"environ_get", "(ii)i"}, {"environ_sizes_get", "(ii)i"},
        {"random_get", "(ii)i"}, {"fd_seek", "(iIii)i"}, {"path_open", "(iiiiiIIii)i"}, {"fd_readdir", "(iiiIi)i"},
        {"path_create_directory", "(iii)i"}, {"path_symlink", "(iiiii)i"}
    ].

start(Pages, Options) ->
    Rows = [{M, Name, Type, x} || M <- [?P1, ?OLD], {Name, Type} <- functions()],
    {ok, H} = hb_wasm64:start(hb_import_image:forwarding(Rows, 32, Pages), Options),
    H.

call(H, Name, Args) -> call(H, Name, Args, #{}).
call(H, Name, Args, Options) -> call(H, ?P1, Name, Args, Options).

call(H, Module, Name, Args, Options) ->
    case hb_wasm64:call(H, Module ++ "." ++ Name, Args, Options) of
        {ok, [Errno]} -> Errno;
        {error, Reason} -> Reason
    end.

read(H, At, Size) -> element(2, {ok, _} = hb_wasm64:read(H, At, Size)).

%% The fastest of some runs, in microseconds: what else the computer does counts in the others.
fastest(Fun) -> lists:min([element(1, hb_support:micros(Fun)) || _ <- lists:seq(1, 20)]).

%%% Random bytes

%% A gigabyte takes seconds.
a_large_buffer_is_filled_as_long_as_there_is_time_test_() ->
    {timeout, 300, fun() ->
        Bytes = 16_384 * 65_536 - ?INTO,
        H = start(16_384, #{seed => <<"s">>}),
        ?assertEqual(timeout, call(H, "random_get", [?INTO, Bytes], #{timeout => 100})),
        %% It has not come to the end.
        ?assertEqual(<<0:512>>, read(H, ?INTO + Bytes - 64, 64)),
        %% What cannot be paid for is not begun.
        Before = read(H, ?INTO, 64),
        ?assertEqual({limit, fuel}, call(H, "random_get", [?INTO, Bytes], #{fuel => Bytes div 8 - 1})),
        ?assertEqual(Before, read(H, ?INTO, 64)),
        ?assertEqual(21, call(H, "random_get", [?INTO, Bytes + 1])),
        ok = hb_wasm64:stop(H)
    end}.

a_large_buffer_has_the_bytes_of_small_ones_test() ->
    Size = 3 * 1_048_576 + 5,
    [Whole, Parts] = [
        begin
            H = start(64, #{seed => <<"s">>}),
            Fill = fun(Count, At) -> ?assertEqual(0, call(H, "random_get", [At, Count])), At + Count end,
            ?assertEqual(?INTO + Size, lists:foldl(Fill, ?INTO, Sizes)),
            read(H, ?INTO, Size)
        end
     || Sizes <- [[Size], [1_000_000, 1, 2_000_000, Size - 3_000_001]]
    ],
    ?assertEqual(Whole, Parts),
    ?assertNotEqual(binary:copy(<<0>>, 5), binary:part(Whole, Size, -5)).

%%% Arguments and environment

%% As many as there can be. Counting them takes no time, and neither does what nobody can pay for.
many_strings_take_no_time_before_they_are_paid_for_test_() ->
    {timeout, 300, fun() ->
        Strings = [<<"argument ", (integer_to_binary(N rem 100_000))/binary>> || N <- lists:seq(1, 65_536)],
        Variables = [{<<"N", (integer_to_binary(N))/binary>>, <<"value">>} || N <- lists:seq(1, 65_536)],
        H = start(64, #{args => tl(Strings), env => Variables}),
        [
            begin
                All = << <<Each/binary, 0>> || Each <- Texts >>,
                Sizes = fun() -> call(H, SizesGet, [?INTO, ?INTO + 4]) end,
                ?assertEqual(0, Sizes()),
                ?assertEqual(<<(length(Texts)):32/little, (byte_size(All)):32/little>>, read(H, ?INTO, 8)),
                Pointers = ?TEXT + byte_size(All),
                Args = [Pointers, ?TEXT],
                Unpaid = fun() -> call(H, Get, Args, #{fuel => 10_000}) end,
                ?assertEqual({limit, fuel}, Unpaid()),
                ?assertEqual(<<0:64>>, read(H, ?TEXT, 8)),
                [?assertMatch({Each, Micros} when Micros < 1000, {Each, fastest(Run)}) || {Each, Run} <- [{SizesGet, Sizes}, {Get, Unpaid}]],
                ?assertEqual(0, call(H, Get, Args)),
                ?assertEqual(All, read(H, ?TEXT, byte_size(All))),
                {At, Places} = lists:foldl(
                    fun(Text, {At, Done}) -> {At + byte_size(Text) + 1, [<<At:32/little>> | Done]} end, {?TEXT, []}, Texts
                ),
                ?assertEqual(Pointers, At),
                ?assertEqual(iolist_to_binary(lists:reverse(Places)), read(H, Pointers, 4 * length(Texts))),
                ?assertEqual(21, call(H, Get, [Pointers, 64 * 65_536 - 8])),
                ok = hb_wasm64:write(H, ?TEXT, <<0:64>>)
            end
         || {SizesGet, Get, Texts} <- [
                {"args_sizes_get", "args_get", [<<"./this.program">> | tl(Strings)]},
                {"environ_sizes_get", "environ_get", [<<Name/binary, "=value">> || {Name, _} <- Variables]}
            ]
        ]
    end}.

%%% Files

%% Linux has two more, to where data and holes are.
there_are_three_places_to_seek_from_test() ->
    H = start(4, #{}),
    Path = fun(Text) -> ok = hb_wasm64:write(H, ?TEXT, Text), [?TEXT, byte_size(Text)] end,
    0 = call(H, "path_open", [3, 1] ++ Path(<<"f">>) ++ [1, 66, 66, 0, ?INTO]),
    <<Fd:32/little>> = read(H, ?INTO, 4),
    [
        ?assertEqual({Module, [0, 0, 0, 28, 28, 28, 28]},
            {Module, [call(H, Module, "fd_seek", [Fd, 0, Whence, ?INTO], #{}) || Whence <- [0, 1, 2, 3, 4, 5, -1]]})
     || Module <- [?P1, ?OLD]
    ].

%% A listing of more than a MiB, which is made in steps.
a_large_directory_is_listed_whole_test_() ->
    {timeout, 300, fun() ->
        H = start(64, #{}),
        Name = fun(N) -> <<(binary:copy(<<"n">>, 240))/binary, (integer_to_binary(N))/binary>> end,
        Paths = fun(N) ->
            Text = <<"d/", (Name(N))/binary>>,
            ok = hb_wasm64:write(H, ?TEXT, Text),
            0 = call(H, "path_symlink", [?TEXT, 1, 3, ?TEXT, byte_size(Text)])
        end,
        ok = hb_wasm64:write(H, ?TEXT, <<"d">>),
        0 = call(H, "path_create_directory", [3, ?TEXT, 1]),
        Numbers = lists:seq(10_001, 16_000),
        lists:foreach(Paths, Numbers),
        ok = hb_wasm64:write(H, ?TEXT, <<"d">>),
        0 = call(H, "path_open", [3, 1, ?TEXT, 1, 2, 2, 0, 0, ?INTO]),
        <<Fd:32/little>> = read(H, ?INTO, 4),
        List = fun(Size, Position) ->
            0 = call(H, "fd_readdir", [Fd, ?TEXT, Size, Position, ?INTO]),
            <<Used:32/little>> = read(H, ?INTO, 4),
            read(H, ?TEXT, Used)
        end,
        All = List(3_000_000, 0),
        Names = [Each || {_, Each} <- entries(All)],
        ?assertEqual([<<".">>, <<"..">> | [Name(N) || N <- Numbers]], Names),
        ?assertEqual(25 + 26 + 6_000 * (24 + 245), byte_size(All)),
        %% Less room, also exactly what a step makes: the same up to there.
        [?assertEqual(binary:part(All, 0, Size), List(Size, 0)) || Size <- [1_048_575, 1_048_576, 1_048_577, 1_500_000]],
        {Position, _} = lists:nth(5_000, entries(All)),
        ?assertEqual(lists:nthtail(5_000, Names), [Each || {_, Each} <- entries(List(3_000_000, Position))])
    end}.

%% What works in steps has looked at its arguments before.
no_arguments_do_harm_test() ->
    H = start(4, #{seed => <<"s">>}),
    Values = [0, 1, 3, -1, 262_143, 262_144, 262_145, 16#7fffffff, -16#80000000],
    Random = [call(H, "random_get", [At, Size]) || At <- Values, Size <- Values],
    ?assertEqual([0, 21], lists:usort(Random)),
    Listed = [call(H, "fd_readdir", [Fd, At, Size, P, Into]) || Fd <- [-1, 1, 3], At <- Values, Size <- Values, P <- [0, -1], Into <- Values],
    ?assertEqual([0, 8, 21, 54], lists:usort(Listed)).

entries(<<Next:64/little, _:64, Size:32/little, _:32, Name:Size/binary, Rest/binary>>) -> [{Next, Name} | entries(Rest)];
entries(<<>>) -> [].

%%% The stack

%% A global that is used as a stack pointer is, by one function.
what_a_program_counts_is_not_put_back_test() ->
    H = hb_support:start("stock"),
    ?assertEqual({ok, wasi}, hb_wasm64:host(H)),
    ?assertEqual({error, {exit, 1}}, hb_wasm64:call(H, "take", [])),
    ?assertEqual({ok, [84]}, hb_wasm64:call(H, "left", [])).

%% Programs of C, C++, Rust and Zig that have lost their names, ended in the middle.
a_stack_is_put_back_without_names_test_() ->
    Pointer = fun(H) ->
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        #{globals := [First | _]} = hb_snapshot:decode(Snapshot),
        First
    end,
    {timeout, 300, fun() ->
        [
            begin
                {ok, Zipped} = file:read_file(filename:join([hb_support:root(), "test/guests/wasi", Name ++ ".wasm.gz"])),
                Image = without_custom_sections(zlib:gunzip(Zipped)),
                {ok, H} = hb_wasm64:start(Image, #{args => [<<"files">>], seed => <<"s">>}),
                Before = Pointer(H),
                ?assertMatch({Name, {error, _}}, {Name, hb_wasm64:call(H, "_start", [], #{fuel => 3000})}),
                ?assertEqual({Name, Before}, {Name, Pointer(H)})
            end
         || Name <- ["files", "streams", "program_rs", "program_zig32", "program_zig64"]
        ]
    end}.

without_custom_sections(<<Header:8/binary, Sections/binary>>) ->
    iolist_to_binary([Header | [Section || {Id, Section} <- sections(Sections), Id =/= 0]]).

sections(<<>>) ->
    [];
sections(<<Id, Rest/binary>> = All) ->
    {Size, Leb} = leb(Rest, 0),
    Whole = 1 + Leb + Size,
    <<Section:Whole/binary, Others/binary>> = All,
    [{Id, Section} | sections(Others)].

leb(<<0:1, Low:7, _/binary>>, Count) -> {Low bsl (7 * Count), Count + 1};
leb(<<1:1, Low:7, Rest/binary>>, Count) ->
    {High, Bytes} = leb(Rest, Count + 1),
    {High bor (Low bsl (7 * Count)), Bytes}.
