%% What the functions of WASI do, called one by one: in images with 32-bit
%% memories and with 64-bit ones, and those of `wasi_unstable' where they differ.
-module(hb_wasi_functions_tests).

-include_lib("eunit/include/eunit.hrl").

-define(P1, "wasi_snapshot_preview1").
-define(OLD, "wasi_unstable").
%% Where paths and structures are, and where results go.
-define(TEXT, 1024).
-define(OTHER, 2048).
-define(INTO, 4096).
-define(BADF, 8).
-define(INVAL, 28).
-define(PERM, 63).

%% Every function with its type; p stands for an address or a size.
functions() ->
    [
        {"args_get", "(pp)i"}, {"args_sizes_get", "(pp)i"}, {"clock_res_get", "(ip)i"}, {"clock_time_get", "(iIp)i"},
        {"environ_get", "(pp)i"}, {"environ_sizes_get", "(pp)i"}, {"fd_advise", "(iIIi)i"}, {"fd_allocate", "(iII)i"},
        {"fd_close", "(i)i"}, {"fd_datasync", "(i)i"}, {"fd_fdstat_get", "(ip)i"}, {"fd_fdstat_set_flags", "(ii)i"},
        {"fd_fdstat_set_rights", "(iII)i"}, {"fd_filestat_get", "(ip)i"}, {"fd_filestat_set_size", "(iI)i"},
        {"fd_filestat_set_times", "(iIIi)i"}, {"fd_pread", "(ippIp)i"}, {"fd_prestat_dir_name", "(ipp)i"},
        {"fd_prestat_get", "(ip)i"}, {"fd_pwrite", "(ippIp)i"}, {"fd_read", "(ippp)i"}, {"fd_readdir", "(ippIp)i"},
        {"fd_renumber", "(ii)i"}, {"fd_seek", "(iIip)i"}, {"fd_sync", "(i)i"}, {"fd_tell", "(ip)i"},
        {"fd_write", "(ippp)i"}, {"path_create_directory", "(ipp)i"}, {"path_filestat_get", "(iippp)i"},
        {"path_filestat_set_times", "(iippIIi)i"}, {"path_link", "(iippipp)i"}, {"path_open", "(iippiIIip)i"},
        {"path_readlink", "(ippppp)i"}, {"path_remove_directory", "(ipp)i"}, {"path_rename", "(ippipp)i"},
        {"path_symlink", "(ppipp)i"}, {"path_unlink_file", "(ipp)i"}, {"poll_oneoff", "(pppp)i"}, {"proc_exit", "(i)"},
        {"proc_raise", "(i)i"}, {"random_get", "(pp)i"}, {"sched_yield", "()i"}, {"sock_accept", "(iip)i"},
        {"sock_recv", "(ippipp)i"}, {"sock_send", "(ippip)i"}, {"sock_shutdown", "(ii)i"}
    ].

image(Bits) ->
    Pointer = case Bits of 32 -> $i; 64 -> $I end,
    Type = fun(Letters) -> [case Letter of $p -> Pointer; _ -> Letter end || Letter <- Letters] end,
    hb_import_image:forwarding([{M, Name, Type(Letters), x} || M <- [?P1, ?OLD], {Name, Letters} <- functions()], Bits).

%% A program: an instance, and how wide its pointers are.
start(Bits, Options) ->
    {ok, H} = hb_wasm64:start(image(Bits), Options),
    {H, Bits}.

each(Options, Test) -> [Test(start(Bits, Options)) || Bits <- [32, 64]].
each(Test) -> each(#{}, Test).

call(Program, Name, Args) -> call(Program, ?P1, Name, Args, #{}).

call({H, _}, Module, Name, Args, Options) ->
    case hb_wasm64:call(H, Module ++ "." ++ Name, Args, Options) of
        {ok, [Errno]} -> Errno;
        {ok, []} -> returned;
        {error, Reason} -> Reason
    end.

%% A call that writes a path at ?TEXT before, and one that is given two.
with_path({H, _} = Program, Name, Args, Path) ->
    ok = hb_wasm64:write(H, ?TEXT, Path),
    call(Program, Name, [case Arg of path -> ?TEXT; size -> byte_size(Path); _ -> Arg end || Arg <- Args]).

with_paths({H, _} = Program, Name, Args, Path, Other) ->
    ok = hb_wasm64:write(H, ?OTHER, Other),
    Given = [case Arg of other -> ?OTHER; other_size -> byte_size(Other); _ -> Arg end || Arg <- Args],
    with_path(Program, Name, Given, Path).

read({H, _}, Size) -> read_at(H, ?INTO, Size).
read_at(H, At, Size) -> element(2, {ok, _} = hb_wasm64:read(H, At, Size)).

number(Program, Bits) ->
    <<Number:Bits/little>> = read(Program, Bits div 8),
    Number.

pointer({_, Bits} = Program) -> number(Program, Bits).

-define(CREATE, 1).
-define(DIRECTORY, 2).
-define(EXCLUSIVE, 4).
-define(TRUNCATE, 8).
-define(READ, 2).
-define(WRITE, 64).

open(Program, Path, How, Rights) -> open(Program, 3, 1, Path, How, Rights).

open(Program, Dir, Follow, Path, How, Rights) ->
    case with_path(Program, "path_open", [Dir, Follow, path, size, How, Rights, 0, 0, ?INTO], Path) of
        0 -> {ok, number(Program, 32)};
        Errno -> Errno
    end.

transfer({H, Bits} = Program, Name, Fd, Bytes, Args) ->
    ok = hb_wasm64:write(H, ?OTHER, Bytes),
    ok = hb_wasm64:write(H, ?TEXT, <<?OTHER:Bits/little, (byte_size(Bytes)):Bits/little>>),
    case call(Program, Name, [Fd, ?TEXT, 1 | Args] ++ [?INTO]) of
        0 -> {ok, pointer(Program)};
        Errno -> Errno
    end.

write(Program, Fd, Bytes) -> transfer(Program, "fd_write", Fd, Bytes, []).

content({H, _} = Program, Fd, Size) ->
    case transfer(Program, "fd_read", Fd, <<0:Size/unit:8>>, []) of
        {ok, Count} -> read_at(H, ?OTHER, Count);
        Errno -> Errno
    end.

every_function_of_both_modules_is_served_test() ->
    each(fun({H, _}) ->
        {ok, #{imports := Imports}} = hb_wasm64:describe(H),
        Asked = fun(Seen, #{interceptable := true} = Request, _) ->
            {pass, [{maps:get(module, Request), maps:get(func, Request)} | Seen]}
        end,
        [
            begin
                Args = [0 || Letter <- Type, lists:member(Letter, "iI")],
                Options = #{intercept => [Module], fuel => 1000000},
                Count = length(Args) - length([x || ")i" <- [string:find(Type, ")")]]),
                Answer = hb_wasm64:call(H, Module ++ "." ++ Name, lists:sublist(Args, Count), Asked, [], Options),
                ?assertEqual([{Module, Name}], element(3, Answer))
            end
         || {func, Module, Name, Type} <- Imports
        ]
    end).

%%% Arguments and environment

arguments_and_variables_are_given_test() ->
    Given = #{args => [<<"one">>, <<>>], env => #{<<"b">> => <<"2">>, <<"a">> => <<"x=y">>}},
    each(Given, fun({H, Bits} = Program) ->
        Strings = fun(Sizes, Get) ->
            0 = call(Program, Sizes, [?INTO, ?INTO + 8]),
            Count = pointer(Program),
            <<Size:Bits/little>> = read_at(H, ?INTO + 8, Bits div 8),
            0 = call(Program, Get, [?INTO, ?OTHER]),
            ?assertEqual(?OTHER, pointer(Program)),
            [Count, Size, binary:split(read_at(H, ?OTHER, Size - 1), <<0>>, [global])]
        end,
        ?assertEqual([3, 20, [<<"./this.program">>, <<"one">>, <<>>]], Strings("args_sizes_get", "args_get")),
        ?assertEqual([2, 10, [<<"a=x=y">>, <<"b=2">>]], Strings("environ_sizes_get", "environ_get"))
    end),
    each(fun(Program) ->
        0 = call(Program, "args_sizes_get", [?INTO, ?INTO + 8]),
        ?assertEqual(1, pointer(Program)),
        0 = call(Program, "environ_sizes_get", [?INTO, ?INTO + 8]),
        ?assertEqual(0, pointer(Program))
    end).

%%% Files

files_are_written_and_read_test() ->
    each(fun(Program) ->
        {ok, Fd} = open(Program, <<"f">>, ?CREATE, ?READ bor ?WRITE),
        ?assertEqual({ok, 12}, write(Program, Fd, <<"hello, world">>)),
        ?assertEqual(0, call(Program, "fd_seek", [Fd, 7, 0, ?INTO])),
        ?assertEqual(7, number(Program, 64)),
        ?assertEqual(<<"world">>, content(Program, Fd, 100)),
        ?assertEqual(0, call(Program, "fd_tell", [Fd, ?INTO])),
        ?assertEqual(12, number(Program, 64)),
        ?assertEqual({ok, 2}, transfer(Program, "fd_pwrite", Fd, <<"HE">>, [0])),
        ?assertEqual({ok, 3}, transfer(Program, "fd_pread", Fd, <<0:24>>, [0])),
        ?assertEqual(<<"HEl">>, read_at(element(1, Program), ?OTHER, 3)),
        ?assertEqual(0, call(Program, "fd_filestat_set_size", [Fd, 5])),
        ?assertEqual(0, call(Program, "fd_allocate", [Fd, 5, 3])),
        ?assertEqual(0, call(Program, "fd_filestat_get", [Fd, ?INTO])),
        ?assertMatch(<<1:64/little, _:64, 4, _:56, 1:64/little, 8:64/little, 0:192>>, read(Program, 64)),
        ?assertEqual(0, call(Program, "fd_sync", [Fd])),
        ?assertEqual(0, call(Program, "fd_datasync", [Fd])),
        ?assertEqual(0, call(Program, "fd_advise", [Fd, 0, 10, 5])),
        ?assertEqual(?INVAL, call(Program, "fd_advise", [Fd, 0, 10, 6])),
        ?assertEqual(0, call(Program, "fd_close", [Fd])),
        ?assertEqual(?BADF, call(Program, "fd_close", [Fd])),
        ?assertEqual(?BADF, write(Program, Fd, <<"x">>))
    end).

%% Access follows from the rights that are asked for, and rights from access.
rights_say_what_is_open_test() ->
    each(fun(Program) ->
        {ok, New} = open(Program, <<"f">>, ?CREATE bor ?EXCLUSIVE, ?WRITE),
        ?assertEqual(20, open(Program, <<"f">>, ?CREATE bor ?EXCLUSIVE, ?WRITE)),
        ?assertEqual({ok, 1}, write(Program, New, <<"x">>)),
        ?assertEqual(?BADF, content(Program, New, 1)),
        {ok, Fd} = open(Program, <<"f">>, 0, ?READ),
        ?assertEqual(?BADF, write(Program, Fd, <<"x">>)),
        ?assertEqual(<<"x">>, content(Program, Fd, 1)),
        Stat = fun(Number) ->
            0 = call(Program, "fd_fdstat_get", [Number, ?INTO]),
            <<Type, 0, Flags:16/little, 0:32, Rights:64/little, Inheriting:64/little>> = read(Program, 24),
            {Type, Flags, [Right || Right <- [?READ, 4, 32, ?WRITE, 1 bsl 22], Rights band Right > 0], Inheriting > 0}
        end,
        ?assertEqual({4, 0, [?READ, 4, 32], false}, Stat(Fd)),
        ?assertEqual({4, 0, [4, 32, ?WRITE, 1 bsl 22], false}, Stat(New)),
        ?assertEqual({3, 0, [], true}, Stat(3)),
        %% A terminal, as libraries know one.
        ?assertEqual({2, 0, [?READ], false}, Stat(0)),
        ?assertEqual({2, 0, [?WRITE], false}, Stat(1)),
        ?assertEqual(0, call(Program, "fd_fdstat_set_flags", [New, 1 bor 4])),
        ?assertMatch({4, 5, _, _}, Stat(New)),
        ?assertEqual(58, call(Program, "fd_fdstat_set_flags", [New, 2])),
        ?assertEqual(58, call(Program, "fd_fdstat_set_rights", [New, 0, 0])),
        ?assertEqual(31, open(Program, <<".">>, ?DIRECTORY, ?READ bor ?WRITE))
    end).

links_and_directories_test() ->
    each(fun({H, _} = Program) ->
        ?assertEqual(0, with_path(Program, "path_create_directory", [3, path, size], <<"d">>)),
        ?assertEqual(20, with_path(Program, "path_create_directory", [3, path, size], <<"d">>)),
        {ok, Fd} = open(Program, <<"d/f">>, ?CREATE, ?WRITE),
        {ok, 3} = write(Program, Fd, <<"abc">>),
        Two = [3, path, size, 3, other, other_size],
        ?assertEqual(0, with_paths(Program, "path_rename", Two, <<"d/f">>, <<"d/g">>)),
        ?assertEqual(0, with_paths(Program, "path_link", [3, 0 | tl(Two)], <<"d/g">>, <<"d/h">>)),
        ?assertEqual(?INVAL, with_paths(Program, "path_link", [3, 1 | tl(Two)], <<"d/g">>, <<"d/i">>)),
        ?assertEqual(0, with_paths(Program, "path_symlink", [path, size, 3, other, other_size], <<"g">>, <<"d/s">>)),
        ?assertEqual(0, with_path(Program, "path_readlink", [3, path, size, ?OTHER, 100, ?INTO], <<"d/s">>)),
        ?assertEqual(1, pointer(Program)),
        ?assertEqual(<<"g">>, read_at(H, ?OTHER, 1)),
        Stat = fun(Follow) ->
            0 = with_path(Program, "path_filestat_get", [3, Follow, path, size, ?INTO], <<"d/s">>),
            <<_:128, Type, _:56, Links:64/little, Size:64/little, _/binary>> = read(Program, 64),
            {Type, Links, Size}
        end,
        ?assertEqual({4, 2, 3}, Stat(1)),
        ?assertEqual({7, 1, 1}, Stat(0)),
        %% A link at the end is not followed unless that is asked for.
        ?assertMatch({ok, _}, open(Program, 3, 1, <<"d/s">>, 0, ?READ)),
        ?assertEqual(32, open(Program, 3, 0, <<"d/s">>, 0, ?READ)),
        ?assertEqual(55, with_path(Program, "path_remove_directory", [3, path, size], <<"d">>)),
        ?assertEqual(31, with_path(Program, "path_unlink_file", [3, path, size], <<"d">>)),
        [?assertEqual(0, with_path(Program, "path_unlink_file", [3, path, size], Path)) || Path <- [<<"d/g">>, <<"d/h">>, <<"d/s">>]],
        ?assertEqual(0, with_path(Program, "path_remove_directory", [3, path, size], <<"d">>)),
        ?assertEqual(44, open(Program, <<"d">>, 0, ?READ))
    end).

%% Entries, the last of them cut off where it does not fit; and the rest behind a
%% position.
a_directory_is_listed_from_any_position_test() ->
    each(fun({H, _} = Program) ->
        [0 = with_path(Program, "path_create_directory", [3, path, size], Path) || Path <- [<<"d">>, <<"d/one">>, <<"d/three">>]],
        {ok, Fd} = open(Program, <<"d">>, ?DIRECTORY, ?READ),
        List = fun(Size, Position) ->
            0 = call(Program, "fd_readdir", [Fd, ?OTHER, Size, Position, ?INTO]),
            Used = pointer(Program),
            {Used, entries(read_at(H, ?OTHER, Used))}
        end,
        {Used, [{_, 3, <<".">>}, {_, 3, <<"..">>}, {One, 3, <<"one">>}, {_, 3, <<"three">>}] = All} = List(500, 0),
        ?assertEqual(4 * 24 + 11, Used),
        ?assertMatch({29, [{_, 3, <<"three">>}]}, List(500, One)),
        ?assertEqual({60, lists:sublist(All, 2)}, List(60, 0)),
        ?assertEqual({0, []}, List(0, 0)),
        %% It can be read in turns with others, as it keeps no place.
        ?assertEqual({Used, All}, List(500, 0)),
        ?assertEqual(?BADF, call(Program, "fd_seek", [Fd, 0, 0, ?INTO])),
        ?assertEqual(?BADF, content(Program, Fd, 1))
    end).

entries(<<Next:64/little, _:64, Size:32/little, Type, _:24, Name:Size/binary, Rest/binary>>) ->
    [{Next, Type, Name} | entries(Rest)];
entries(_Cut) ->
    [].

%%% Directories that a program is given

a_program_finds_the_root_test() ->
    each(fun({H, Bits} = Program) ->
        ?assertEqual(0, call(Program, "fd_prestat_get", [3, ?INTO])),
        %% Its size is as wide as a pointer, and aligned as one.
        ?assertEqual(<<0:Bits, 1:Bits/little>>, read(Program, Bits div 4)),
        ?assertEqual(0, call(Program, "fd_prestat_dir_name", [3, ?OTHER, 1])),
        ?assertEqual(<<"/">>, read_at(H, ?OTHER, 1)),
        ?assertEqual(37, call(Program, "fd_prestat_dir_name", [3, ?OTHER, 0])),
        [?assertEqual(?BADF, call(Program, "fd_prestat_get", [Fd, ?INTO])) || Fd <- [0, 1, 4, -1]],
        {ok, Fd} = open(Program, <<".">>, ?DIRECTORY, ?READ),
        ?assertEqual(?BADF, call(Program, "fd_prestat_get", [Fd, ?INTO])),
        ?assertEqual(0, call(Program, "fd_renumber", [3, Fd])),
        ?assertEqual(0, call(Program, "fd_prestat_get", [Fd, ?INTO])),
        ?assertEqual(?BADF, call(Program, "fd_prestat_get", [3, ?INTO])),
        ?assertEqual(?BADF, call(Program, "fd_renumber", [Fd, 9])),
        ?assertEqual(0, call(Program, "fd_close", [Fd])),
        ?assertEqual(?BADF, call(Program, "fd_prestat_get", [Fd, ?INTO]))
    end).

nothing_leads_out_of_a_directory_test() ->
    each(#{preopens => [<<"/box">>, <<"lid/in">>]}, fun({H, _} = Program) ->
        Name = fun(Fd) ->
            0 = call(Program, "fd_prestat_get", [Fd, ?INTO]),
            0 = call(Program, "fd_prestat_dir_name", [Fd, ?OTHER, 100]),
            hd(binary:split(read_at(H, ?OTHER, 10), <<0>>))
        end,
        ok = hb_wasm64:write(H, ?OTHER, <<0:80>>),
        ?assertEqual(<<"/box">>, Name(3)),
        ?assertEqual(<<"lid/in">>, Name(4)),
        ?assertEqual(?BADF, call(Program, "fd_prestat_get", [5, ?INTO])),
        [0 = with_path(Program, "path_create_directory", [3, path, size], Path) || Path <- [<<"a">>, <<"a/b">>]],
        {ok, _} = open(Program, <<"a/f">>, ?CREATE, ?WRITE),
        ?assertMatch({ok, _}, open(Program, <<"a/b/../../a/f">>, 0, ?READ)),
        [?assertEqual({Path, ?PERM}, {Path, open(Program, Path, 0, ?READ)}) || Path <- [<<"/tmp">>, <<"..">>, <<"../box/a">>, <<"a/../../tmp">>]],
        {ok, Below} = open(Program, <<"a">>, ?DIRECTORY, ?READ),
        ?assertEqual(?PERM, open(Program, Below, 1, <<"../a/f">>, 0, ?READ)),
        Link = fun(Target, Path) -> with_paths(Program, "path_symlink", [path, size, 3, other, other_size], Target, Path) end,
        ?assertEqual(?PERM, Link(<<"/tmp">>, <<"l">>)),
        ?assertEqual(0, Link(<<"../../tmp">>, <<"a/out">>)),
        ?assertEqual(0, Link(<<"../a/f">>, <<"a/in">>)),
        ?assertEqual(?PERM, open(Program, <<"a/out">>, 0, ?READ)),
        ?assertEqual(?PERM, with_path(Program, "path_filestat_get", [3, 1, path, size, ?INTO], <<"a/out">>)),
        ?assertEqual(0, with_path(Program, "path_filestat_get", [3, 0, path, size, ?INTO], <<"a/out">>)),
        ?assertMatch({ok, _}, open(Program, <<"a/in">>, 0, ?READ)),
        %% Nor into another one, though it may go there by name.
        ?assertEqual(?PERM, with_paths(Program, "path_rename", [3, path, size, 4, other, other_size], <<"a/f">>, <<"../f">>)),
        ?assertEqual(0, with_paths(Program, "path_rename", [3, path, size, 4, other, other_size], <<"a/f">>, <<"f">>)),
        ?assertMatch({ok, _}, open(Program, 4, 1, <<"f">>, 0, ?READ)),
        [?assertEqual(25, open(Program, Path, ?CREATE, ?READ)) || Path <- [<<"x", 0>>, <<16#ff>>]]
    end).

%%% Time

sleeping_moves_the_clocks_test() ->
    each(fun({H, Bits} = Program) ->
        Now = fun(Clock, Time) ->
            0 = call(Program, ?P1, "clock_time_get", [Clock, 0, ?INTO], #{time => Time}),
            number(Program, 64)
        end,
        Sleep = fun(Subscriptions, Time) ->
            Size = iolist_size(Subscriptions),
            ok = hb_wasm64:write(H, ?TEXT, iolist_to_binary(Subscriptions)),
            0 = call(Program, ?P1, "poll_oneoff", [?TEXT, ?OTHER, Size div 48, ?INTO], #{time => Time}),
            [
                {Data, Errno, Type, Bytes, Flags}
             || <<Data:64/little, Errno:16/little, Type, _:40, Bytes:64/little, Flags, _:56>>
                    <= read_at(H, ?OTHER, 32 * pointer(Program))
            ]
        end,
        ?assertEqual([1_000_000_000, 1_000_000_000], [Now(0, 1000), Now(3, 1000)]),
        ?assertEqual(?INVAL, call(Program, "clock_time_get", [4, 0, ?INTO])),
        ?assertEqual([{7, 0, 0, 0, 0}], Sleep([clock(7, 1, 2_000_000_001, 0)], 1000)),
        %% They do not go back, and show a later time of the caller.
        ?assertEqual([3_000_000_001, 3_000_000_001], [Now(1, 1000), Now(0, 1000)]),
        ?assertEqual(5_000_000_000, Now(0, 5000)),
        ?assertEqual(3_000_000_001, Now(0, 0)),
        %% The first of several comes, and what is due with it.
        ?assertEqual([{1, 0, 0, 0, 0}, {3, 0, 0, 0, 0}],
            Sleep([clock(1, 0, 4_000_000_000, 1), clock(2, 0, 6_000_000_000, 1), clock(3, 1, 4_000_000_000, 1)], 0)),
        ?assertEqual(4_000_000_000, Now(0, 0)),
        %% Nothing is waited for where a file is ready.
        ?assertEqual([{2, 0, 1, 0, 1}, {3, 0, 2, 0, 0}, {4, ?BADF, 1, 0, 0}],
            Sleep([clock(1, 1, 1000, 0), file(2, 1, 0), file(3, 2, 1), file(4, 1, 99)], 0)),
        ?assertEqual(4_000_000_000, Now(0, 0)),
        ?assertEqual([{1, ?INVAL, 0, 0, 0}], Sleep([clock(1, 9, 1, 0)], 0)),
        ?assertEqual(?INVAL, call(Program, "poll_oneoff", [?TEXT, ?OTHER, 0, ?INTO])),
        %% It is state.
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Twin} = hb_wasm64:start(image(Bits), #{snapshot => Snapshot}),
        0 = call({Twin, Bits}, "clock_time_get", [0, 0, ?INTO]),
        ?assertEqual(4_000_000_000, number({Twin, Bits}, 64))
    end).

clock(Data, Clock, Timeout, Absolute) ->
    <<Data:64/little, 0, 0:56, Clock:32/little, 0:32, Timeout:64/little, 0:64, Absolute:16/little, 0:48>>.

file(Data, Type, Fd) -> <<Data:64/little, Type, 0:56, Fd:32/little, 0:224>>.

times_are_set_test() ->
    each(fun(Program) ->
        {ok, Fd} = open(Program, <<"f">>, ?CREATE, ?WRITE),
        Times = fun() ->
            0 = call(Program, "fd_filestat_get", [Fd, ?INTO]),
            <<_:40/binary, Accessed:64/little, Modified:64/little, _/binary>> = read(Program, 64),
            {Accessed, Modified}
        end,
        ?assertEqual(0, call(Program, "fd_filestat_set_times", [Fd, 5_000_000_001, 6, 1 bor 4])),
        ?assertEqual({5_000_000_001, 6}, Times()),
        ?assertEqual(0, with_path(Program, "path_filestat_set_times", [3, 0, path, size, 9, 9, 4], <<"f">>)),
        ?assertEqual({5_000_000_001, 9}, Times()),
        ?assertEqual(0, call(Program, "fd_filestat_set_times", [Fd, 1, 1, 2])),
        ?assertEqual({0, 9}, Times()),
        [?assertEqual(?INVAL, call(Program, "fd_filestat_set_times", [Fd, 1, 1, Flags])) || Flags <- [3, 12, 16]]
    end).

%%% The rest

random_bytes_follow_from_a_seed_test() ->
    Random = fun({H, _} = Program, Size, Options) ->
        case call(Program, ?P1, "random_get", [?INTO, Size], Options) of
            0 -> read_at(H, ?INTO, Size);
            Errno -> Errno
        end
    end,
    each(fun(Program) -> ?assertEqual(52, Random(Program, 10, #{})) end),
    [Bytes, Bytes] = each(#{seed => <<"s">>}, fun({H, Bits} = Program) ->
        First = Random(Program, 10, #{}),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        Second = Random(Program, 3, #{}),
        {ok, Twin} = hb_wasm64:start(image(Bits), #{snapshot => Snapshot}),
        ?assertEqual(Second, Random({Twin, Bits}, 3, #{})),
        %% That of a call is for the call.
        Other = Random(Program, 10, #{seed => <<"t">>}),
        ?assertEqual(Other, Random({Twin, Bits}, 10, #{seed => <<"t">>})),
        ?assertEqual(hb_wasm64:snapshot(H), hb_wasm64:snapshot(Twin)),
        Third = Random(Program, 5, #{}),
        ?assert(Other =/= First),
        {First, Second, Third}
    end),
    {First, Second, Third} = Bytes,
    each(#{seed => <<"s">>}, fun(Program) ->
        ?assertEqual(<<First/binary, Second/binary, Third/binary>>, Random(Program, 18, #{}))
    end).

there_are_no_sockets_test() ->
    each(fun(Program) ->
        [
            ?assertEqual([58, ?BADF], [call(Program, Name, [Fd | Args]) || Fd <- [1, 99]])
         || {Name, Args} <- [{"sock_accept", [0, ?INTO]}, {"sock_recv", [?TEXT, 1, 0, ?INTO, ?OTHER]}, {"sock_send", [?TEXT, 1, 0, ?INTO]}]
        ],
        ?assertEqual([57, ?BADF], [call(Program, "sock_shutdown", [Fd, 1]) || Fd <- [1, 99]])
    end).

a_signal_ends_the_call_test() ->
    each(fun(Program) ->
        [?assertEqual(0, call(Program, "proc_raise", [Signal])) || Signal <- [0, 16, 17]],
        ?assertEqual(?INVAL, call(Program, "proc_raise", [31])),
        ?assertMatch({trap, #{code := abort, message := <<"aborted: the program raised SIGABRT">>}}, call(Program, "proc_raise", [6]))
    end).

%% An endless loop of these ends with the fuel of its call.
yielding_costs_fuel_test() ->
    {H, 32} = start(32, #{}),
    {ok, [0], #{fuel_used := Yield}} = hb_wasm64:call(H, ?P1 ".sched_yield", [], #{usage => true}),
    {ok, [0], #{fuel_used := Clock}} = hb_wasm64:call(H, ?P1 ".clock_res_get", [0, ?INTO], #{usage => true}),
    ?assert(Yield > 1),
    ?assert(Clock > 1).

%%% The older snapshot

structures_of_wasi_unstable_are_its_own_test() ->
    each(fun({H, _} = Program) ->
        Old = fun(Name, Args) -> call(Program, ?OLD, Name, Args, #{}) end,
        {ok, Fd} = open(Program, <<"f">>, ?CREATE, ?READ bor ?WRITE),
        {ok, 5} = write(Program, Fd, <<"hello">>),
        ok = hb_wasm64:write(H, ?INTO, <<-1:512>>),
        ?assertEqual(0, Old("fd_filestat_get", [Fd, ?INTO])),
        ?assertMatch(<<1:64/little, _:64, 4, 0:24, 1:32/little, 5:64/little, 0:192, -1:64/signed>>, read(Program, 64)),
        %% From here, from the end, from the start.
        [
            begin
                ?assertEqual(0, Old("fd_seek", [Fd, Offset, Whence, ?INTO])),
                ?assertEqual({Whence, At}, {Whence, number(Program, 64)})
            end
         || {Offset, Whence, At} <- [{-1, 1, 4}, {-2, 0, 2}, {1, 2, 1}]
        ],
        ok = hb_wasm64:write(H, ?TEXT, <<7:64/little, 0, 0:56, 5:64/little, 1:32/little, 0:32, 3_000:64/little, 0:64, 0:64>>),
        ?assertEqual(0, Old("poll_oneoff", [?TEXT, ?OTHER, 1, ?INTO])),
        ?assertMatch(<<7:64/little, 0:192>>, read_at(H, ?OTHER, 32)),
        ?assertEqual(0, Old("clock_time_get", [1, 0, ?INTO])),
        ?assertEqual(3_000, number(Program, 64))
    end).
