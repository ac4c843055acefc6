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
        {einval, hb_wasm64:read_file(H, "file")},
        {einval, hb_wasm64:read_file(H, <<"/file", 0>>)},
        {enametoolong, hb_wasm64:put_file(H, [$/ | lists:duplicate(256, $n)], "")},
        {enotdir, hb_wasm64:put_file(H, "/file/below", "")},
        {eisdir, hb_wasm64:put_file(H, "/tmp", "")},
        {enotsup, hb_wasm64:put_file(H, "/dev/null", "")},
        {enotdir, hb_wasm64:list_files(H, "/file")},
        {enoent, hb_wasm64:remove_file(H, "/missing")},
        {ebusy, hb_wasm64:remove_file(H, "/")}
    ]],
    ?assertMatch({error, {invalid_args, #{position := 2}}}, hb_wasm64:read_file(H, 1)),
    ?assertMatch({error, {invalid_args, #{position := 3}}}, hb_wasm64:put_file(H, "/file", 1)),
    ?assertEqual({error, {invalid_option, fuel, 1}}, hb_wasm64:read_file(H, "/file", #{fuel => 1})),
    ?assertEqual({ok, <<"text">>}, hb_wasm64:read_file(H, "/file")),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:read_file(H, "/file")),
    ?assertMatch({error, {unsupported, _}}, hb_wasm64:put_file(hb_support:start("numbers"), "/file", "text")).

%% 1 GiB is all that files may have.
a_file_without_space_changes_nothing_test_() ->
    {timeout, 60, fun() ->
        H = start(),
        Large = fun(Line) -> binary:copy(Line, 34 bsl 20) end,
        ok = hb_wasm64:put_file(H, "/large", Large(<<"0123456789abcdef">>)),
        ?assertEqual({error, {file, enospc}}, hb_wasm64:put_file(H, "/other", Large(<<"0123456789abcdef">>))),
        ?assertEqual({error, {file, enoent}}, hb_wasm64:read_file(H, "/other")),
        %% What it has is given up for what it gets.
        ?assertEqual(ok, hb_wasm64:put_file(H, "/large", Large(<<"fedcba9876543210">>))),
        ?assertMatch({ok, <<"fedcba", _/binary>>}, hb_wasm64:read_file(H, "/large"))
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
