%% Files as a program sees them through the imports that Emscripten's C library
%% has for them: as on Linux, with Emscripten's numbers of errors.
-module(hb_emscripten_files_tests).

-include_lib("eunit/include/eunit.hrl").

-define(HERE, -100).
-define(CREATE, 8#100).
-define(EXCLUSIVE, 8#200).
-define(TRUNCATE, 8#1000).
-define(APPEND, 8#2000).
-define(WRITE, 8#1).
-define(BOTH, 8#2).

-define(EAGAIN, -6).
-define(EBADF, -8).
-define(EEXIST, -20).
-define(EFAULT, -21).
-define(EFBIG, -22).
-define(EINVAL, -28).
-define(ENOSPC, -51).
-define(EISDIR, -31).
-define(ENOENT, -44).
-define(ENOTDIR, -54).
-define(ENOTEMPTY, -55).
-define(EPIPE, -64).
-define(ESPIPE, -70).

each(Test) ->
    [{Guest, fun() ->
        {ok, H} = hb_wasm64:start(hb_support:guest("emscripten/" ++ Guest)),
        Test(H)
    end} || Guest <- ["files", "files64", "files_old"]].

%% Calls a function; binaries among the arguments are put into the memory.
call(H, Func, Args) -> call(H, Func, Args, #{}).

call(H, Func, Args, Options) ->
    {ok, [Result]} = hb_wasm64:call(H, Func, [argument(H, Arg) || Arg <- Args], Options),
    Result.

argument(H, Text) when is_binary(Text) ->
    {ok, Pointer} = hb_wasm64:write_string(H, Text),
    Pointer;
argument(_H, Number) ->
    Number.

open(H, Path, Flags) -> call(H, "openat", [?HERE, Path, Flags, 8#644]).

write(H, File, Bytes) -> call(H, "write", [File, Bytes, byte_size(Bytes)]).

read(H, File, Size) ->
    {ok, To} = hb_wasm64:malloc(H, Size + 1),
    case call(H, "read", [File, To, Size]) of
        Read when Read >= 0 -> element(2, {ok, _} = hb_wasm64:read(H, To, Read));
        Error -> Error
    end.

what_is_written_is_read_again_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/a">>, ?CREATE bor ?BOTH),
        ?assertEqual(3, File),
        ?assertEqual(11, write(H, File, <<"hello world">>)),
        ?assertEqual(<<>>, read(H, File, 5)),
        ?assertEqual(6, call(H, "seek", [File, 6, 0])),
        ?assertEqual(<<"wor">>, read(H, File, 3)),
        ?assertEqual(8, call(H, "seek", [File, -3, 2])),
        ?assertEqual(<<"rld">>, read(H, File, 100)),
        ?assertEqual(0, call(H, "close", [File])),
        ?assertEqual(?EBADF, call(H, "close", [File])),
        ?assertEqual(?EBADF, read(H, File, 1))
    end).

how_a_file_is_opened_decides_what_may_be_done_test_() ->
    each(fun(H) ->
        ?assertEqual(?ENOENT, open(H, <<"/tmp/a">>, 0)),
        First = open(H, <<"/tmp/a">>, ?CREATE bor ?EXCLUSIVE bor ?WRITE),
        3 = write(H, First, <<"abc">>),
        ?assertEqual(?EBADF, read(H, First, 1)),
        ?assertEqual(?EEXIST, open(H, <<"/tmp/a">>, ?CREATE bor ?EXCLUSIVE)),
        Reader = open(H, <<"/tmp/a">>, 0),
        ?assertEqual(?EBADF, write(H, Reader, <<"x">>)),
        Appender = open(H, <<"/tmp/a">>, ?WRITE bor ?APPEND),
        1 = write(H, Appender, <<"d">>),
        ?assertEqual(<<"abcd">>, read(H, Reader, 10)),
        _ = open(H, <<"/tmp/a">>, ?WRITE bor ?TRUNCATE),
        ?assertEqual(0, call(H, "fstat", [Reader])),
        ?assertEqual(0, call(H, "stat_field", [6])),
        ?assertEqual(?EISDIR, open(H, <<"/tmp">>, ?WRITE)),
        ?assertEqual(?ENOTDIR, open(H, <<"/tmp/a/b">>, 0))
    end).

a_file_that_is_unlinked_is_there_until_it_is_closed_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/a">>, ?CREATE bor ?BOTH),
        5 = write(H, File, <<"still">>),
        ?assertEqual(0, call(H, "unlinkat", [?HERE, <<"/tmp/a">>, 0])),
        ?assertEqual(?ENOENT, call(H, "stat", [<<"/tmp/a">>])),
        0 = call(H, "seek", [File, 0, 0]),
        ?assertEqual(<<"still">>, read(H, File, 10))
    end).

directories_hold_what_is_put_there_test_() ->
    each(fun(H) ->
        ?assertEqual(0, call(H, "mkdirat", [?HERE, <<"/data/d">>, 8#755])),
        ?assertEqual(?EEXIST, call(H, "mkdirat", [?HERE, <<"/data/d">>, 8#755])),
        Directory = open(H, <<"/data/d">>, 0),
        [_ = call(H, "openat", [Directory, Name, ?CREATE, 8#644]) || Name <- [<<"x">>, <<"y">>]],
        ?assertEqual(?ENOTEMPTY, call(H, "rmdir", [<<"/data/d">>])),
        ?assertEqual(4, call(H, "entries", [Directory, 64])),
        Names = [begin
            Pointer = call(H, "entry_name", [Index]),
            {ok, Name} = hb_wasm64:read_string(H, Pointer),
            Name
        end || Index <- lists:seq(0, 3)],
        ?assertEqual([<<".">>, <<"..">>, <<"x">>, <<"y">>], lists:sort(Names)),
        ?assertEqual(0, call(H, "renameat", [?HERE, <<"/data/d/x">>, Directory, <<"z">>])),
        ?assertEqual(0, call(H, "stat", [<<"/data/d/z">>])),
        [0 = call(H, "unlinkat", [Directory, Name, 0]) || Name <- [<<"y">>, <<"z">>]],
        ?assertEqual(0, call(H, "rmdir", [<<"/data/d">>])),
        ?assertEqual(?ENOENT, call(H, "stat", [<<"/data/d">>]))
    end).

files_have_the_time_of_the_call_test_() ->
    each(fun(H) ->
        File = call(H, "openat", [?HERE, <<"/tmp/t">>, ?CREATE bor ?BOTH, 8#600], #{time => 1_700_000_000_123}),
        0 = call(H, "fstat", [File]),
        ?assertEqual(1_700_000_000, call(H, "stat_field", [11])),
        ?assertEqual(123_000_000, call(H, "stat_field", [12])),
        ?assertEqual(8#100600, call(H, "stat_field", [1]))
    end).

terminals_are_terminals_test_() ->
    each(fun(H) ->
        ?assertEqual(<<>>, read(H, 0, 10)),
        ?assertEqual(?ESPIPE, call(H, "seek", [1, 0, 0])),
        ?assertEqual([0, 1, 2], [Fd || Fd <- lists:seq(0, 9), call(H, "fstat", [Fd]) =:= 0]),
        0 = call(H, "fstat", [1]),
        ?assertEqual(8#020000, call(H, "stat_field", [1]) band 8#170000)
    end).

%% A new pipe: its descriptors.
pipe(H) ->
    {ok, At} = hb_wasm64:malloc(H, 8),
    0 = call(H, "pipe", [At]),
    {ok, <<From:32/little, To:32/little>>} = hb_wasm64:read(H, At, 8),
    {From, To}.

%% What poll tells of descriptors of which everything is asked.
poll(H, Fds) ->
    {ok, At} = hb_wasm64:malloc(H, 8 * length(Fds)),
    ok = hb_wasm64:write(H, At, << <<Fd:32/little, 5:16/little, 0:16>> || Fd <- Fds >>),
    Ready = call(H, "poll", [At, length(Fds), -1]),
    {ok, Told} = hb_wasm64:read(H, At, 8 * length(Fds)),
    {Ready, [Events || <<_:48, Events:16/little>> <= Told]}.

what_is_written_to_a_pipe_is_read_once_test_() ->
    each(fun(H) ->
        {From, To} = pipe(H),
        ?assertEqual({3, 4}, {From, To}),
        ?assertEqual(?EAGAIN, read(H, From, 1)),
        ?assertEqual({1, [0, 4]}, poll(H, [From, To])),
        ?assertEqual(11, write(H, To, <<"hello world">>)),
        ?assertEqual({2, [1, 4]}, poll(H, [From, To])),
        ?assertEqual(<<"hello">>, read(H, From, 5)),
        ?assertEqual(?EBADF, read(H, To, 1)),
        ?assertEqual(?ESPIPE, call(H, "seek", [From, 0, 0])),
        ?assertEqual(?EINVAL, call(H, "sync", [To])),
        0 = call(H, "fstat", [From]),
        ?assertEqual(8#010600, call(H, "stat_field", [1])),
        0 = call(H, "close", [To]),
        ?assertEqual({1, [17]}, poll(H, [From])),
        ?assertEqual(<<" world">>, read(H, From, 100)),
        ?assertEqual(<<>>, read(H, From, 100)),
        {Other, Broken} = pipe(H),
        ?assertEqual(65536, write(H, Broken, binary:copy(<<"x">>, 65537))),
        ?assertEqual(?EAGAIN, write(H, Broken, <<"x">>)),
        0 = call(H, "close", [Other]),
        ?assertEqual(?EPIPE, write(H, Broken, <<"x">>)),
        {ok, Size} = hb_wasm64:memory_size(H),
        ?assertEqual(?EFAULT, call(H, "pipe", [Size - 4]))
    end).

%% In another OS process, and in a fork.
a_pipe_that_is_half_full_is_state_test_() ->
    {timeout, 300, fun() ->
        {ok, H} = hb_wasm64:start(hb_support:guest("emscripten/files")),
        {From, To} = pipe(H),
        Bytes = << <<(N * 7 rem 251)>> || N <- lists:seq(1, 30_000) >>,
        30_000 = write(H, To, Bytes),
        ?assertEqual(binary:part(Bytes, 0, 5000), read(H, From, 5000)),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        Rest = fun(It) ->
            {write(It, To, <<"more">>), read(It, From, 100), hb_wasm64:snapshot(It), read(It, From, 65536), read(It, From, 1)}
        end,
        Peer = hb_support:peer(),
        There = hb_support:on_peer(Peer, fun() ->
            {ok, It} = hb_wasm64:start(hb_support:guest("emscripten/files"), #{snapshot => Snapshot}),
            Rest(It)
        end),
        ok = peer:stop(Peer),
        {ok, Fork} = hb_wasm64:fork(H),
        {4, First, {ok, _}, Last, ?EAGAIN} = Here = Rest(H),
        ?assertEqual(<<(binary:part(Bytes, 5000, 25_000))/binary, "more">>, <<First/binary, Last/binary>>),
        ?assert(Here =:= There),
        ?assert(Here =:= Rest(Fork))
    end}.

there_is_no_randomness_and_no_file_of_the_host_test_() ->
    each(fun(H) ->
        [?assertEqual({Path, ?ENOENT}, {Path, open(H, Path, 0)})
         || Path <- [<<"/dev/random">>, <<"/dev/urandom">>, <<"/etc/passwd">>, <<"/proc/cpuinfo">>]]
    end).

addresses_that_are_none_are_errors_and_lose_nothing_test_() ->
    each(fun(H) ->
        {ok, Size} = hb_wasm64:memory_size(H),
        File = open(H, <<"/tmp/a">>, ?CREATE bor ?BOTH),
        4 = write(H, File, <<"kept">>),
        ?assertEqual(?EFAULT, call(H, "openat", [?HERE, Size, 0, 0])),
        ?assertEqual(?EFAULT, call(H, "write", [File, Size - 1, 10])),
        0 = call(H, "seek", [File, 0, 0]),
        ?assertEqual(?EFAULT, call(H, "read", [File, Size, 4])),
        0 = call(H, "seek", [File, 0, 0]),
        ?assertEqual(<<"kept">>, read(H, File, 10)),
        ?assertEqual(?EINVAL, call(H, "seek", [File, -1, 0]))
    end).

%% 12 to 14 are what 32-bit images have since Emscripten 3.1.52, 5 to 7 all others.
a_lock_is_there_to_be_had_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/l">>, ?CREATE bor ?BOTH),
        {ok, Lock} = hb_wasm64:malloc(H, 64),
        [begin
             ok = hb_wasm64:write(H, Lock, <<1:16/little>>),
             ?assertEqual({Get, 0}, {Get, call(H, "fcntl_pointer", [File, Get, Lock])}),
             ?assertEqual({ok, <<2:16/little>>}, hb_wasm64:read(H, Lock, 2)),
             [?assertEqual({Set, 0}, {Set, call(H, "fcntl_pointer", [File, Set, Lock])}) || Set <- [Get + 1, Get + 2]],
             ?assertEqual({Get, ?EBADF}, {Get, call(H, "fcntl_pointer", [99, Get + 1, Lock])})
         end || Get <- [5, 12]],
        ?assertEqual(?EINVAL, call(H, "fcntl_pointer", [File, 15, Lock]))
    end).

%% A struct statfs has grown in Emscripten 4.0.12. Of the structure a program
%% has, its size tells.
a_struct_statfs_is_of_the_size_that_the_program_has_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/s">>, ?CREATE bor ?BOTH),
        {ok, #{exports := Exports}} = hb_wasm64:describe(H),
        %% The bits of a long; and for each size those of the counts, and of what is between them and the next long.
        {Long, Sizes} = case lists:keyfind("malloc", 2, Exports) of
            {func, _, "(I)I"} -> {64, [{104, 32, 32}, {120, 64, 0}]};
            {func, _, "(i)i"} -> {32, [{64, 32, 0}, {88, 64, 0}]}
        end,
        {ok, To} = hb_wasm64:malloc(H, 200),
        {ok, Path} = hb_wasm64:write_string(H, <<"/tmp">>),
        [begin
             ok = hb_wasm64:write(H, To, binary:copy(<<16#ee>>, 200)),
             ?assertEqual({Size, 0}, {Size, call(H, Name, [Of, Size, To])}),
             {ok, <<Struct:Size/binary, Behind/binary>>} = hb_wasm64:read(H, To, 200),
             ?assertEqual(binary:copy(<<16#ee>>, 200 - Size), Behind),
             <<16#01021994:Long/little, 4096:Long/little, Blocks:Count/little, Free:Count/little, Free:Count/little,
               _:Count, _:Count, 42:32/little, 0:32, 0:Gap, 255:Long/little, 4096:Long/little, 2:Long/little,
               Rest/binary>> = Struct,
             ?assertEqual({Size, (1 bsl 30) div 4096}, {Size, Blocks}),
             ?assert(Free > 0 andalso Free =< Blocks),
             ?assertEqual(0, binary:decode_unsigned(Rest))
         end || {Size, Count, Gap} <- Sizes, {Name, Of} <- [{"statfs", Path}, {"fstatfs", File}]],
        [?assertEqual({Size, ?EINVAL}, {Size, call(H, "statfs", [Path, Size, To])})
         || Size <- [0, 63, 96, 121] ++ [S || S <- [64, 88, 104, 120], not lists:keymember(S, 1, Sizes)]],
        ?assertEqual(?EINVAL, call(H, "fstatfs", [File, 0, To]))
    end).

permissions_and_names_are_changed_by_path_test_() ->
    each(fun(H) ->
        _ = open(H, <<"/tmp/p">>, ?CREATE bor ?BOTH),
        Mode = fun(Path) ->
            0 = call(H, "stat", [Path]),
            call(H, "stat_field", [1])
        end,
        ?assertEqual(0, call(H, "chmodat", [?HERE, <<"/tmp/p">>, 8#640])),
        ?assertEqual(8#100640, Mode(<<"/tmp/p">>)),
        ?assertEqual(0, call(H, "rename", [<<"/tmp/p">>, <<"/tmp/q">>])),
        ?assertEqual(8#100640, Mode(<<"/tmp/q">>)),
        ?assertEqual(?ENOENT, call(H, "rename", [<<"/tmp/p">>, <<"/tmp/q">>]))
    end).

%% Nobody has to answer for that: there is no import function.
the_program_runs_as_the_only_user_test_() ->
    each(fun(H) ->
        ?assertEqual(0, call(H, "identity", [])),
        ?assertEqual(0, call(H, "umask", [8#77]))
    end).

a_mapping_begins_where_it_is_asked_to_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/n">>, ?CREATE bor ?BOTH),
        ?assertEqual(4, call(H, "pwrite", [File, <<"late">>, 4, 65_536])),
        Mapped = call(H, "map", [4, 3, 1, File, 65_536]),
        ?assertEqual({ok, <<"late">>}, hb_wasm64:read(H, Mapped, 4)),
        ok = hb_wasm64:write(H, Mapped, <<"L">>),
        ?assertEqual(0, call(H, "msync", [Mapped, 4, 3, 1, File, 65_536])),
        65_536 = call(H, "seek", [File, 65_536, 0]),
        ?assertEqual(<<"Late">>, read(H, File, 10))
    end).

a_mapping_is_a_copy_that_is_written_back_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/m">>, ?CREATE bor ?BOTH),
        6 = write(H, File, <<"mapped">>),
        Shared = call(H, "map", [6, 3, 1, File, 0]),
        ?assert(Shared > 0),
        ?assertEqual({ok, <<"mapped">>}, hb_wasm64:read(H, Shared, 6)),
        ok = hb_wasm64:write(H, Shared, <<"MAP">>),
        ?assertEqual(0, call(H, "unmap", [Shared, 6, 3, 1, File, 0])),
        0 = call(H, "seek", [File, 0, 0]),
        ?assertEqual(<<"MAPped">>, read(H, File, 10))
    end).

%% What has become of the descriptor does not matter, nor that another file has
%% its number now, nor what is saved and restored meanwhile.
a_mapping_is_of_its_file_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/mapped">>, ?CREATE bor ?BOTH),
        8 = write(H, File, <<"aaaaaaaa">>),
        Mapped = call(H, "map", [6, 3, 1, File, 2]),
        0 = call(H, "close", [File]),
        ok = hb_wasm64:write(H, Mapped, <<"YYYY">>),
        File = open(H, <<"/tmp/other">>, ?CREATE bor ?BOTH),
        10 = write(H, File, <<"other file">>),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Fork} = hb_wasm64:fork(H),
        {ok, Restored} = hb_wasm64:start(hb_wasm64_image(H), #{snapshot => Snapshot}),
        Contents = fun(At, Path) -> read(At, open(At, Path, 0), 20) end,
        [
            begin
                %% The library passes the descriptor that it has noted.
                ?assertEqual(0, call(At, "msync", [Mapped, 6, 3, 1, File, 2])),
                ?assertEqual(<<"other file">>, Contents(At, <<"/tmp/other">>)),
                ?assertEqual(<<"aaYYYYaa">>, Contents(At, <<"/tmp/mapped">>)),
                ok = hb_wasm64:write(At, Mapped, <<"Z">>),
                %% A part of it, and without a descriptor.
                ?assertEqual(0, call(At, "msync", [Mapped, 1, 3, 1, -1, 0])),
                ?assertEqual(<<"aaZYYYaa">>, Contents(At, <<"/tmp/mapped">>)),
                0 = call(At, "unlinkat", [?HERE, <<"/tmp/mapped">>, 0]),
                ?assertEqual(0, call(At, "unmap", [Mapped, 6, 3, 1, File, 2])),
                ?assertEqual(<<"other file">>, Contents(At, <<"/tmp/other">>)),
                %% Now it is none any more, and the descriptor is what is left.
                ?assertEqual(0, call(At, "msync", [Mapped, 1, 3, 1, File, 9])),
                ?assertEqual(<<"other filZ">>, Contents(At, <<"/tmp/other">>))
            end
         || At <- [H, Fork, Restored]
        ],
        %% The same steps, the same state.
        {ok, Last} = hb_wasm64:snapshot(H),
        ?assertEqual({ok, Last}, hb_wasm64:snapshot(Restored))
    end).

hb_wasm64_image(H) ->
    {ok, Image} = hb_wasm64_nif:image_bytes(H),
    Image.

%% A state in which mappings are not known: they are written back by their
%% descriptors.
a_mapping_of_an_older_state_is_written_back_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/m">>, ?CREATE bor ?BOTH),
        6 = write(H, File, <<"mapped">>),
        {ok, Before} = hb_wasm64:snapshot(H),
        Mapped = call(H, "map", [6, 3, 1, File, 0]),
        {ok, After} = hb_wasm64:snapshot(H),
        #{memories := Old} = hb_snapshot:decode(Before),
        State = #{memories := New} = hb_snapshot:decode(After),
        ?assertMatch({_, _}, binary:match(lists:last(New), <<"files 02">>)),
        ?assertMatch({_, _}, binary:match(lists:last(Old), <<"files 01">>)),
        Memories = lists:droplast(New) ++ [lists:last(Old)],
        Older = hb_snapshot:full(State#{memories := Memories, sizes => [byte_size(Memory) || Memory <- Memories]}),
        ok = hb_wasm64:restore(H, Older),
        ok = hb_wasm64:write(H, Mapped, <<"MAP">>),
        ?assertEqual(0, call(H, "unmap", [Mapped, 6, 3, 1, File, 0])),
        0 = call(H, "seek", [File, 0, 0]),
        ?assertEqual(<<"MAPped">>, read(H, File, 10))
    end).

%% A function that moves bytes takes fuel for them before it does.
what_cannot_be_paid_for_is_not_moved_test_() ->
    each(fun(H) ->
        Size = 1 bsl 16,
        [Ones, Twos] = [binary:copy(<<N>>, Size) || N <- [1, 2]],
        Poor = fun(Func, Args) -> ?assertEqual({Func, {error, {limit, fuel}}}, {Func, hb_wasm64:call(H, Func, Args, #{fuel => 1000})}) end,
        File = open(H, <<"/tmp/a">>, ?CREATE bor ?BOTH),
        {ok, At} = hb_wasm64:malloc(H, Size),
        {ok, Other} = hb_wasm64:malloc(H, Size),
        [ok, ok] = [hb_wasm64:write(H, Place, Bytes) || {Place, Bytes} <- [{At, Ones}, {Other, Twos}]],
        Poor("write", [File, At, Size]),
        0 = call(H, "fstat", [File]),
        ?assertEqual(0, call(H, "stat_field", [6])),
        Size = call(H, "write", [File, At, Size]),
        0 = call(H, "seek", [File, 0, 0]),
        Poor("read", [File, Other, Size]),
        ?assertEqual({ok, Twos}, hb_wasm64:read(H, Other, Size)),
        Poor("copy", [Other, At, Size]),
        ?assertEqual({ok, Twos}, hb_wasm64:read(H, Other, Size)),
        Poor("map", [Size, 3, 1, File, 0]),
        Mapped = call(H, "map", [Size, 3, 1, File, 0]),
        ok = hb_wasm64:write(H, Mapped, Twos),
        [Poor(Func, [Mapped, Size, 3, 1, File, 0]) || Func <- ["msync", "unmap"]],
        0 = call(H, "seek", [File, 0, 0]),
        Size = call(H, "read", [File, Other, Size]),
        ?assertEqual({ok, Ones}, hb_wasm64:read(H, Other, Size)),
        %% The mapping is still there.
        ?assertEqual(0, call(H, "msync", [Mapped, Size, 3, 1, File, 0])),
        0 = call(H, "seek", [File, 0, 0]),
        Size = call(H, "read", [File, Other, Size]),
        ?assertEqual({ok, Twos}, hb_wasm64:read(H, Other, Size))
    end).

a_file_has_an_end_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/large">>, ?CREATE bor ?BOTH),
        ?assertEqual(?EFBIG, call(H, "ftruncate", [File, (1 bsl 40) + 1])),
        ?assertEqual(?EFBIG, call(H, "pwrite", [File, <<"x">>, 1, 1 bsl 40])),
        ?assertEqual(?ENOSPC, call(H, "fallocate", [File, 0, 0, 1 bsl 31])),
        0 = call(H, "fstat", [File]),
        ?assertEqual(0, call(H, "stat_field", [6]))
    end).

%% A guest with little fuel could keep a scheduler, and fill the memory of the
%% node.
what_a_file_does_not_hold_takes_neither_time_nor_memory_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/hole">>, ?CREATE bor ?BOTH),
        {ok, Before} = hb_wasm64:snapshot(H),
        Little = #{fuel => 5000},
        ?assertEqual(1, call(H, "pwrite", [File, <<"x">>, 1, 1 bsl 39], Little)),
        ?assertEqual(0, call(H, "ftruncate", [File, 1 bsl 40], Little)),
        ?assertEqual(0, call(H, "fallocate", [File, 0, 1 bsl 29, 1 bsl 29], Little)),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        ?assert(byte_size(Snapshot) - byte_size(Before) < 4 * 4096),
        {ok, Fork} = hb_wasm64:fork(H),
        ok = hb_wasm64:restore(H, Snapshot),
        [begin
             ?assertEqual((1 bsl 39) - 2, call(At, "seek", [File, (1 bsl 39) - 2, 0])),
             ?assertEqual(<<0, 0, "x", 0>>, read(At, File, 4)),
             ?assertEqual(0, call(At, "ftruncate", [File, 0], Little)),
             0 = call(At, "seek", [File, 0, 0]),
             ?assertEqual(<<>>, read(At, File, 4))
         end || At <- [H, Fork]]
    end).

%% Of a buffer, what was filled.
reading_costs_what_was_read_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/a">>, ?CREATE bor ?BOTH),
        4 = write(H, File, <<"some">>),
        0 = call(H, "seek", [File, 0, 0]),
        {ok, To} = hb_wasm64:malloc(H, 1 bsl 20),
        ?assertEqual([4, 0], [call(H, "read", [File, To, 1 bsl 20], #{fuel => 5000}) || _ <- [1, 2]]),
        ?assertEqual(1 bsl 19, call(H, "write", [File, To, 1 bsl 19])),
        0 = call(H, "seek", [File, 0, 0]),
        ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "read", [File, To, 1 bsl 20], #{fuel => 5000}))
    end).

%% So do the steps along a path, however few bytes it has.
a_path_costs_its_steps_test_() ->
    each(fun(H) ->
        Deep = binary:copy(<<"tmp/../">>, 500),
        0 = call(H, "stat", [<<"tmp">>], #{fuel => 5000}),
        0 = call(H, "stat", [Deep]),
        ?assertEqual({error, {limit, fuel}}, hb_wasm64:call(H, "stat", [argument(H, Deep)], #{fuel => 5000}))
    end).

a_state_cannot_claim_to_be_more_than_it_holds_test_() ->
    each(fun(H) ->
        File = open(H, <<"/tmp/a">>, ?CREATE bor ?BOTH),
        4 = write(H, File, <<"some">>),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        State = #{memories := Memories} = hb_snapshot:decode(Snapshot),
        Sizes = [byte_size(Memory) || Memory <- Memories],
        Claims = fun(Size) -> hb_snapshot:full(State#{sizes => lists:droplast(Sizes) ++ [Size]}) end,
        ?assert(Claims(lists:last(Sizes)) =:= Snapshot),
        [?assertEqual(
             {error, {invalid_snapshot, #{code => malformed, message => <<"a state of the host of a size that none has">>}}},
             hb_wasm64:restore(H, Claims(Size))
         ) || Size <- [1 bsl 32, 1 bsl 30, 1 bsl 25]],
        ?assertMatch({error, {invalid_snapshot, _}}, hb_wasm64:restore(H, Claims(lists:last(Sizes) + 65536))),
        ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(H))
    end).
