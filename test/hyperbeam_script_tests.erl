%% The script of make hyperbeam and make hyperbeam-undo as it is typed: variables, directories, exit statuses, git.
-module(hyperbeam_script_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hyperbeam_support, [on/2, script/3, make/2, command/2, snapshot/1, terms/2]).

-define(assertSays(Expected, Said), ?assert(string:find(Said, Expected) =/= nomatch, Said)).

without_a_checkout_it_says_how_to_use_it_test_() ->
    [{timeout, 300, fun() ->
        {2, Said} = script(What, "", []),
        ?assertSays(Usage, Said)
    end} || {What, Usage} <- [{"install", "usage: make hyperbeam HB="}, {"undo", "usage: make hyperbeam-undo HB="},
        {"else", "usage: "}]].

what_is_no_checkout_is_refused_test_() ->
    Root = hb_support:root(),
    [{timeout, 300, fun() ->
        {1, Said} = script(What, Dir, []),
        ?assertSays(Why, Said)
    end} || What <- ["install", "undo"], {Dir, Why} <- [
        {"/nowhere at all", "not a directory"},
        {filename:join(Root, "Makefile"), "not a directory"},
        {Root, "is hb_wasm64"},
        {filename:join(Root, "docs"), "not HyperBEAM"}]].

a_checkout_goes_there_and_back_test_() ->
    on(main, fun(Dir) ->
        Before = snapshot(Dir),
        {0, Dry} = script("install", Dir, [{"DRY_RUN", "1"}]),
        ?assertSays("Nothing was written", Dry),
        ?assertEqual(Before, snapshot(Dir)),
        {0, _} = script("install", Dir, [{"DRY_RUN", "0"}]),
        %% To the library that these tests are of.
        {ok, Library} = file:read_link(filename:join(Dir, "_checkouts/hb_wasm64")),
        ?assert(filelib:is_file(filename:join(Library, "erl_src/hb_wasm64.app.src"))),
        Url = "file://" ++ Library,
        ?assertMatch([{hb_wasm64, {git, Url, {_, _}}} | _], proplists:get_value(deps, terms(Dir, "rebar.config"))),
        After = snapshot(Dir),
        {0, _} = script("undo", Dir, [{"DRY_RUN", "yes"}]),
        ?assertEqual(After, snapshot(Dir)),
        {0, _} = script("undo", Dir, []),
        ?assertEqual(Before, snapshot(Dir))
    end).

make_hands_over_what_it_is_given_test_() ->
    on(edge, fun(Dir) ->
        Before = snapshot(Dir),
        {0, _} = make("hyperbeam", [{"HB", Dir}, {"SOURCE", "https://example.org/$x"}, {"REF", "v1"}]),
        ?assertMatch([{hb_wasm64, {git, "https://example.org/$x", {ref, "v1"}}} | _],
            proplists:get_value(deps, terms(Dir, "rebar.config"))),
        {0, _} = make("hyperbeam-undo", [{"HB", Dir}]),
        ?assertEqual(Before, snapshot(Dir)),
        {Status, _} = make("hyperbeam", []),
        ?assertNotEqual(0, Status)
    end).

%% In a worktree, whose .git is a file.
git_sees_the_changes_and_nothing_else_test_() ->
    Git = os:find_executable("git"),
    Test = on(main, fun(Dir) ->
        Worktree = filename:join(filename:dirname(Dir), "worktree"),
        Run = fun(Where, Args) ->
            Who = ["-c", "user.name=t", "-c", "user.email=t@example.org"],
            {0, Said} = command([Git, "-C", Where] ++ Who ++ Args, []),
            Said
        end,
        hyperbeam_support:write(Dir, ".gitignore", "_build\n_checkouts\n*.o\n"),
        _ = [Run(Dir, Args) || Args <- [["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"],
            ["worktree", "add", "-q", Worktree]]],
        {0, _} = script("install", Worktree, []),
        ?assertEqual(" D native/hb_beamr/hb_beamr.c\n D native/hb_beamr/include/hb_core.h\n M rebar.config\n"
            " M src/hb.app.src\n D src/hb_beamr.erl\n D src/hb_beamr_io.erl\n M src/hb_opts.erl\n",
            Run(Worktree, ["status", "--porcelain", "-uall"])),
        {0, _} = script("undo", Worktree, []),
        ?assertEqual("", Run(Worktree, ["status", "--porcelain", "-uall", "--ignored"])),
        ?assertEqual("", Run(Dir, ["status", "--porcelain", "-uall"]))
    end),
    case Git of
        false -> hb_support:not_run(Test, fun hyperbeam_support:script/3, "there is no git");
        _ -> Test
    end.
