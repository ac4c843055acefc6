%% Files that callers give a guest, and take from it.
-module(hb_wasm64_files_tests).

-include_lib("eunit/include/eunit.hrl").

%% A program with files, before it has run.
start() -> hb_support:start("emscripten/files").

a_file_is_put_read_listed_and_removed_test() ->
    H = start(),
    ?assertEqual(ok, hb_wasm64:put_file(H, "/data/one/file.txt", [<<"some ">>, "text"])),
    ?assertEqual({ok, <<"some text">>}, hb_wasm64:read_file(H, <<"/data/one/file.txt">>)),
    ?assertEqual(ok, hb_wasm64:put_file(H, "/data/b", <<>>)),
    ?assertEqual({ok, [{<<"b">>, {file, 0}}, {<<"one">>, directory}]}, hb_wasm64:list_files(H, "/data")),
    ?assertEqual(ok, hb_wasm64:put_file(H, "/data/one/file.txt", "shorter")),
    ?assertEqual({ok, <<"shorter">>}, hb_wasm64:read_file(H, "/data/one/file.txt")),
    ?assertEqual({error, {file, enotempty}}, hb_wasm64:remove_file(H, "/data/one")),
    ?assertEqual([ok, ok, ok, ok], [hb_wasm64:remove_file(H, Path) || Path <- ["/data/one/file.txt", "/data/one", "/data/b", "/data"]]),
    ?assertEqual({error, {file, enoent}}, hb_wasm64:list_files(H, "/data")).

what_is_wrong_is_told_test() ->
    H = start(),
    ok = hb_wasm64:put_file(H, "/file", "text"),
    [?assertEqual({error, {file, Why}}, Result) || {Why, Result} <- [
        {enoent, hb_wasm64:read_file(H, "/missing")},
        {eisdir, hb_wasm64:read_file(H, "/")},
        {enotsup, hb_wasm64:read_file(H, "/dev/null")},
        {enametoolong, hb_wasm64:put_file(H, [$/ | lists:duplicate(256, $n)], "")},
        {enotdir, hb_wasm64:put_file(H, "/file/below", "")},
        {eisdir, hb_wasm64:put_file(H, "/tmp", "")},
        {enotsup, hb_wasm64:put_file(H, "/dev/null", "")},
        {enotdir, hb_wasm64:list_files(H, "/file")},
        {enoent, hb_wasm64:remove_file(H, "/missing")},
        {ebusy, hb_wasm64:remove_file(H, "/")}
    ]],
    [?assertMatch({error, {invalid_args, #{position := 2}}}, hb_wasm64:read_file(H, Path)) || Path <- [1, "file", <<"/file", 0>>]],
    %% What fails leaves nothing behind.
    {ok, Before} = hb_wasm64:list_files(H, "/"),
    [?assertMatch({error, {file, _}}, hb_wasm64:put_file(H, Path, "")) || Path <- ["/new/", ["/new/" | lists:duplicate(256, $n)]]],
    ?assertEqual({ok, Before}, hb_wasm64:list_files(H, "/")),
    [?assertEqual({error, {invalid_option, time, 1}}, hb_wasm64:Fun(H, "/file", #{time => 1})) || Fun <- [read_file, list_files]],
    ?assertMatch({error, {invalid_args, #{position := 3}}}, hb_wasm64:put_file(H, "/file", 1)),
    ?assertEqual({error, {invalid_option, fuel, 1}}, hb_wasm64:read_file(H, "/file", #{fuel => 1})),
    ?assertEqual({ok, <<"text">>}, hb_wasm64:read_file(H, "/file")),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:read_file(H, "/file")),
    ?assertMatch({error, {unsupported, _}}, hb_wasm64:put_file(hb_support:start("numbers"), "/file", "text")).

%% A file is as long as its guest has made it: the caller says how much there may be of it.
a_file_that_is_too_long_is_not_read_test() ->
    H = start(),
    ok = hb_wasm64:put_file(H, "/file", "text"),
    Fd = open(H, "/file", 2),
    {ok, [0]} = hb_wasm64:call(H, "ftruncate", [Fd, 1 bsl 39]),
    ?assertEqual({error, {limit, file}}, hb_wasm64:read_file(H, "/file")),
    {ok, [0]} = hb_wasm64:call(H, "ftruncate", [Fd, 100]),
    ?assertEqual({error, {limit, file}}, hb_wasm64:read_file(H, "/file", #{max => 99})),
    ?assertMatch({ok, <<"text", 0, _/binary>>}, hb_wasm64:read_file(H, "/file", #{max => 100})).

%% 1 GiB is all that files may have.
a_file_without_space_changes_nothing_test_() ->
    {timeout, 300, fun() ->
        H = start(),
        Large = fun(Line) -> binary:copy(Line, 34 bsl 20) end,
        ok = hb_wasm64:put_file(H, "/large", Large(<<"0123456789abcdef">>)),
        ?assertEqual({error, {file, enospc}}, hb_wasm64:put_file(H, "/other", Large(<<"0123456789abcdef">>))),
        ?assertEqual({error, {file, enoent}}, hb_wasm64:read_file(H, "/other")),
        %% What it has is given up for what it gets.
        ?assertEqual(ok, hb_wasm64:put_file(H, "/large", Large(<<"fedcba9876543210">>))),
        ?assertMatch({ok, <<"fedcba", _/binary>>}, hb_wasm64:read_file(H, "/large", #{max => 1 bsl 30}))
    end}.

%% The guest sees what callers have put, and they what it has written.
guests_and_callers_have_the_same_files_test() ->
    H = start(),
    ok = hb_wasm64:put_file(H, "/given", "from outside", #{time => 1_700_000_000_123}),
    {ok, Path} = hb_wasm64:write_string(H, "/given"),
    {ok, [Fd]} = hb_wasm64:call(H, "openat", [-100, Path, 2, 0]),
    {ok, [12]} = hb_wasm64:call(H, "read", [Fd, Path, 12]),
    ?assertEqual({ok, <<"from outside">>}, hb_wasm64:read(H, Path, 12)),
    {ok, [12]} = hb_wasm64:call(H, "write", [Fd, Path, 12]),
    ?assertEqual({ok, <<"from outsidefrom outside">>}, hb_wasm64:read_file(H, "/given")),
    %% Removed, it stays for who has it open.
    ok = hb_wasm64:remove_file(H, "/given"),
    ?assertEqual({ok, [24]}, hb_wasm64:call(H, "seek", [Fd, 0, 2])).

files_are_state_test() ->
    H = start(),
    {ok, Before} = hb_wasm64:snapshot(H),
    ok = hb_wasm64:put_file(H, "/kept", "text"),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    {ok, Other} = hb_wasm64:start(hb_support:guest("emscripten/files"), #{snapshot => Snapshot}),
    {ok, Fork} = hb_wasm64:fork(H),
    [?assertEqual({ok, <<"text">>}, hb_wasm64:read_file(It, "/kept")) || It <- [Other, Fork]],
    ok = hb_wasm64:restore(H, Before),
    ?assertEqual({error, {file, enoent}}, hb_wasm64:read_file(H, "/kept")).

%% As an extension of a JavaScript loader does it: the guest asks, the handler leaves a file.
an_import_function_may_leave_files_test() ->
    H = hb_support:start("emscripten/longjmp"),
    Give = fun(none, #{instance := Scope, args := [N]}, _) ->
        ok = hb_wasm64:put_file(Scope, "/asked", integer_to_list(N)),
        ok = hb_wasm64:put_file(H, "/plain", "the same"),
        {ok, [N], hb_wasm64:list_files(Scope, "/")}
    end,
    {ok, [7], {ok, Listed}} = hb_wasm64:call(H, "import_in_invoke", [7], Give, none, #{}),
    ?assertEqual([{<<"asked">>, {file, 1}}, {<<"plain">>, {file, 8}}], [File || {_, {file, _}} = File <- Listed]).

%% Before anything runs.
a_program_may_be_given_files_for_its_start_test() ->
    Files = #{<<"/data/a">> => <<"one">>, <<"/b">> => <<>>},
    {ok, H} = hb_wasm64:start(hb_support:guest("emscripten/files"), #{files => Files}),
    ?assertEqual({ok, <<"one">>}, hb_wasm64:read_file(H, "/data/a")),
    ?assertEqual({ok, <<>>}, hb_wasm64:read_file(H, "/b")),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    ?assertEqual(
        {error, {invalid_option, files, Files}},
        hb_wasm64:start(hb_support:guest("emscripten/files"), #{files => Files, snapshot => Snapshot})
    ).

%%% Lazy files

-define(SIZE, 100_000).

%% As many as a snapshot can hold of them.
runs_of_unknown_pages_have_a_bound_test_() ->
    {timeout, 300, fun() ->
        H = start(),
        ok = hb_wasm64:put_file(H, "/x", {lazy, 4096 * 140_000}),
        Page = <<0:(8 * 4096)>>,
        Fill = fun(N) -> hb_wasm64:fill_file(H, "/x", 8192 * N, Page) end,
        [ok = Fill(N) || N <- lists:seq(0, 65_534)],
        ?assertEqual([ok, {error, {file, enospc}}], [Fill(N) || N <- [65_535, 65_536]]),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Twin} = hb_wasm64:start(hb_support:guest("emscripten/files"), #{snapshot => Snapshot}),
        ?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(Twin))
    end}.

%% Whoever is asked for it gets its path as text, and nobody else can ask in its name.
a_request_for_a_file_is_no_import_test() ->
    ?assertEqual({error, {file, einval}}, hb_wasm64:put_file(start(), <<"/", 16#ff>>, {lazy, 10})),
    Import = <<1, 14, "hb_wasm64:file", 2, "/x", 0, 0>>,
    Image = <<"\0asm", 1:32/little, 1, 6, 1, 16#60, 2, 16#7e, 16#7e, 0, 2, (byte_size(Import)), Import/binary>>,
    ?assertEqual(
        {error, {unsupported, <<"an import of hb_wasm64:file, which names what is the library's own">>}}, hb_wasm64:start(Image)
    ).

contents() -> << <<(N rem 251)>> || N <- lists:seq(1, ?SIZE) >>.

%% Gives what is asked for, and tells what that was.
give(Asked, #{module := "hb_wasm64:file", func := Path, args := [Offset, Size], instance := Scope}, _) ->
    ok = hb_wasm64:fill_file(Scope, Path, Offset, binary:part(contents(), Offset, Size)),
    {ok, [], [{Path, Offset, Size} | Asked]}.

lazy() ->
    H = start(),
    ok = hb_wasm64:put_file(H, "/deep/lazy", {lazy, ?SIZE}, #{time => 1000}),
    H.

open(H, Path, Flags) ->
    {ok, At} = hb_wasm64:write_string(H, Path),
    {ok, [Fd]} = hb_wasm64:call(H, "openat", [-100, At, Flags, 0]),
    Fd.

%% Reads bytes at an offset as a program does: what it gets, and what was asked for.
pread(H, Fd, Size, Offset) -> pread(H, Fd, Size, Offset, fun give/3).

pread(H, Fd, Size, Offset, Give) ->
    {ok, Buffer} = hb_wasm64:malloc(H, Size),
    Result = hb_wasm64:call(H, "pread", [Fd, Buffer, Size, Offset], Give, [], #{}),
    Read =
        case Result of
            {ok, [Count], Asked} when Count >= 0 -> {element(2, hb_wasm64:read(H, Buffer, Count)), lists:reverse(Asked)};
            Other -> Other
        end,
    ok = hb_wasm64:free(H, Buffer),
    Read.

the_parts_that_a_program_reads_are_asked_for_once_test() ->
    H = lazy(),
    Fd = open(H, "/deep/lazy", 0),
    Part = fun(Offset, Size) -> binary:part(contents(), Offset, Size) end,
    ?assertEqual({Part(5000, 100), [{"/deep/lazy", 4096, 4096}]}, pread(H, Fd, 100, 5000)),
    ?assertEqual({Part(6000, 100), []}, pread(H, Fd, 100, 6000)),
    %% Around what is known.
    ?assertEqual(
        {Part(0, 20_000), [{"/deep/lazy", 0, 4096}, {"/deep/lazy", 8192, 12288}]}, pread(H, Fd, 20_000, 0)
    ),
    %% To the end, and behind it.
    ?assertEqual({Part(99_000, 1000), [{"/deep/lazy", 98304, 1696}]}, pread(H, Fd, 5000, 99_000)),
    ?assertEqual({<<>>, []}, pread(H, Fd, 5000, 100_000)),
    ?assertEqual({error, {file, eagain}}, hb_wasm64:read_file(H, "/deep/lazy")),
    {_, _} = pread(H, Fd, ?SIZE, 0),
    ?assertEqual({ok, contents()}, hb_wasm64:read_file(H, "/deep/lazy")),
    ?assertEqual({ok, [{<<"lazy">>, {file, ?SIZE}}]}, hb_wasm64:list_files(H, "/deep")).

%% In several parts, of which a later one is not known: the program sees how far it came, and asks for the rest.
reading_on_asks_for_no_part_twice_test() ->
    H = lazy(),
    Fd = open(H, "/deep/lazy", 0),
    {ok, Buffer} = hb_wasm64:malloc(H, 10_000),
    Read = fun(Size) ->
        {ok, [Count], Asked} = hb_wasm64:call(H, "read_parts", [Fd, Buffer, Size, 4096], fun give/3, [], #{}),
        {ok, Bytes} = hb_wasm64:read(H, Buffer, Count),
        {Bytes, lists:reverse(Asked)}
    end,
    {First, [{_, 0, 4096}]} = Read(6000),
    ?assertEqual(binary:part(contents(), 0, 4096), First),
    {Second, [{_, 4096, 4096}]} = Read(4096),
    ?assertEqual(binary:part(contents(), 4096, 4096), Second).

a_part_that_nobody_gives_fails_test() ->
    H = lazy(),
    Fd = open(H, "/deep/lazy", 0),
    Eio = -29,
    Nothing = fun(Asked, #{args := Args}, _) -> {ok, [], [Args | Asked]} end,
    ?assertEqual({ok, [Eio], [[0, 4096]]}, pread(H, Fd, 10, 0, Nothing)),
    %% Nobody answers.
    ?assertEqual({ok, [Eio]}, hb_wasm64:call(H, "pread", [Fd, 0, 10, 0])),
    %% A failure ends the call, as of any import.
    Fails = fun(_, _, _) -> {error, gone} end,
    ?assertEqual({error, {import_failed, gone}, []}, pread(H, Fd, 10, 0, Fails)),
    ?assertMatch({<<1, _/binary>>, [_]}, pread(H, Fd, 10, 0)).

a_lazy_file_is_only_read_test() ->
    H = lazy(),
    Fd = open(H, "/deep/lazy", 2),
    Eperm = -63,
    ?assertEqual({ok, [Eperm]}, hb_wasm64:call(H, "pwrite", [Fd, 0, 10, 0])),
    ?assertEqual({ok, [Eperm]}, hb_wasm64:call(H, "ftruncate", [Fd, 0])),
    [?assertEqual({error, {file, einval}}, hb_wasm64:fill_file(H, "/deep/lazy", Offset, Bytes)) || {Offset, Bytes} <- [
        {1, <<0:(8 * 4096)>>}, {0, <<1>>}, {98304, <<0:(8 * 1697)>>}, {1 bsl 63, <<>>}
    ]],
    ok = hb_wasm64:put_file(H, "/whole", "text"),
    ?assertEqual({error, {file, einval}}, hb_wasm64:fill_file(H, "/whole", 0, "text")),
    ?assertEqual({error, {file, efbig}}, hb_wasm64:put_file(H, "/large", {lazy, 1 bsl 41})),
    %% It may become an ordinary one, and go.
    ok = hb_wasm64:put_file(H, "/deep/lazy", "text"),
    ?assertEqual({ok, <<"text">>}, hb_wasm64:read_file(H, "/deep/lazy")),
    ok = hb_wasm64:put_file(H, "/deep/lazy", {lazy, 10}),
    ok = hb_wasm64:remove_file(H, "/deep/lazy").

%% Half read, in another OS process.
a_lazy_file_that_is_half_known_is_state_test_() ->
    {timeout, 300, fun() ->
        H = lazy(),
        Fd = open(H, "/deep/lazy", 0),
        {_, [_]} = pread(H, Fd, 50_000, 0),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        Rest = fun(It) -> {pread(It, Fd, 10, 0), pread(It, Fd, 10_000, 60_000), hb_wasm64:snapshot(It)} end,
        Peer = hb_support:peer(),
        There = hb_support:on_peer(Peer, fun() ->
            {ok, It} = hb_wasm64:start(hb_support:guest("emscripten/files"), #{snapshot => Snapshot}),
            Rest(It)
        end),
        ok = peer:stop(Peer),
        {ok, Fork} = hb_wasm64:fork(H),
        Here = Rest(H),
        ?assertMatch({{_, []}, {_, [{_, 57344, 16384}]}, {ok, _}}, Here),
        ?assert(Here =:= There),
        ?assert(Here =:= Rest(Fork))
    end}.
