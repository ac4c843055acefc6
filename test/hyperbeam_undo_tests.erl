%% make hyperbeam-undo: whatever has happened since, nothing of the user's is lost.
-module(hyperbeam_undo_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hyperbeam_support, [on/2, install/1, undo/1, undo/2, snapshot/1, write/3, read/2, change/4, kept/2]).

-define(assertSays(Expected, Said), ?assert(string:find(Said, Expected) =/= nomatch, Said)).

on_both(Test) -> [on(main, Test), on(edge, Test)].

every_byte_comes_back_test_() ->
    on_both(fun(Dir) ->
        Before = snapshot(Dir),
        {0, _} = install(Dir),
        ?assertNotEqual(Before, snapshot(Dir)),
        ?assertMatch({0, _}, undo(Dir)),
        ?assertEqual(Before, snapshot(Dir)),
        {0, Said} = undo(Dir),
        ?assertSays("nothing to undo", Said),
        ?assertEqual(Before, snapshot(Dir))
    end).

what_a_release_was_given_goes_as_well_test_() ->
    on_both(fun(Dir) ->
        {0, _} = install(Dir),
        Built = ["_build/default/lib/hb_wasm64/x", "_build/default/rel/hb/lib/hb_wasm64-0.1.0/x", "_build/rocksdb/rel/hb/lib/hb_wasm64-0.1.0/x"],
        [write(Dir, Path, "") || Path <- ["_build/default/rel/hb/lib/hb-0.0.1/x" | Built]],
        {0, Said} = undo(Dir),
        ?assertSays("_build/default/rel/hb/lib/hb_wasm64-0.1.0", Said),
        ?assertEqual([], [Path || Path <- Built, filelib:is_file(filename:join(Dir, filename:dirname(Path)))]),
        ?assert(filelib:is_file(filename:join(Dir, "_build/default/rel/hb/lib/hb-0.0.1/x")))
    end).

a_dry_run_says_all_and_writes_nothing_test_() ->
    on(main, fun(Dir) ->
        {0, _} = install(Dir),
        Before = snapshot(Dir),
        {0, Said} = undo(Dir, #{dry_run => true}),
        [?assertSays(Path, Said) || Path <- ["rebar.config", "src/hb.app.src", "src/hb_opts.erl", "src/hb_beamr.erl",
            "src/hb_beamr_io.erl", "native/hb_beamr", "_checkouts/hb_wasm64", "+", "Nothing was written"]],
        ?assertEqual(Before, snapshot(Dir))
    end).

lines_that_end_as_on_windows_come_back_test_() ->
    on_both(fun(Dir) ->
        [write(Dir, Path, binary:replace(read(Dir, Path), <<"\n">>, <<"\r\n">>, [global]))
            || Path <- ["rebar.config", "src/hb_opts.erl"]],
        Before = snapshot(Dir),
        {0, _} = install(Dir),
        ?assertEqual(nomatch, re:run(read(Dir, "rebar.config"), "[^\r]\n")),
        {0, _} = undo(Dir),
        ?assertEqual(Before, snapshot(Dir))
    end).

what_was_edited_before_comes_back_test_() ->
    on(main, fun(Dir) ->
        change(Dir, "rebar.config", "{fish, \"1.0.0\"},", "{fish, \"1.0.0\"}, {mine, \"2\"}, % mine\n"),
        write(Dir, "src/hb_beamr.erl", "-module(hb_beamr).\n%% Mine.\n"),
        write(Dir, "native/hb_beamr/notes", "Mine."),
        ok = file:make_symlink("notes", filename:join(Dir, "native/hb_beamr/link")),
        ok = file:make_dir(filename:join(Dir, "native/hb_beamr/empty")),
        ok = file:make_dir(filename:join(Dir, "_checkouts")),
        write(Dir, "_checkouts/other", ""),
        Before = snapshot(Dir),
        {0, _} = install(Dir),
        {0, _} = undo(Dir),
        ?assertEqual(Before, snapshot(Dir))
    end).

%% What a user may change in an installed checkout: before and behind each of the install's edits, and in the same line.
edit(Dir) ->
    [change(Dir, Path, Old, New) || {Path, Old, New} <- [
        {"rebar.config", "/hi\\\"\"}", "/hi2\\\"\"}"},
        {"rebar.config", "-I/opt/include", "-I/opt/include -I/opt/mine"},
        {"rebar.config", " -lei\"}\n]}", " -lei -lmine\"},\n\t{\"LDLIBS\", \"-lei\"}\n]}"},
        {"rebar.config", "{ compile, \"rm -f native/hb_keccak/*.o\"}", "{clean, \"mine\"}"},
        {"rebar.config", "\t%% Hashes.", "\t{\"./priv/mine.so\", [\"mine.c\"]},\n\t%% Mine, too."},
        {"rebar.config", "{deps, [\n", "{deps, [\n\t{mine, \"1\"}, % mine\n"},
        {"rebar.config", "[hb, fish, bird", "[hb, mine, fish, bird"},
        {"rebar.config", "{include_erts, true}", "{include_erts, false}, {mine, true}"},
        {"src/hb.app.src", "        stdlib,", "        stdlib,\n        ssl,"},
        {"src/hb.app.src", "{modules, []}", "{modules, []}, {mine, 1}"},
        {"src/hb_opts.erl", "<<\"wasi@1.0\">>", "<<\"mine@1.0\">>"},
        {"src/hb_opts.erl", "        ],\n        port => 8734", "        ], %% mine\n        port => 1"}]],
    write(Dir, "src/mine.erl", "-module(mine)."),
    write(Dir, "native/mine.c", "").

edits_made_since_stay_test_() ->
    on(main, fun(Dir) ->
        hyperbeam_support:with_tree(main, fun(Never) ->
            {0, _} = install(Dir),
            edit(Dir),
            After = snapshot(Dir),
            ?assertMatch({0, _}, install(Dir)),
            ?assertEqual(After, snapshot(Dir)),
            ?assertMatch({0, _}, undo(Dir)),
            edit(Never),
            [?assertEqual(read(Never, Path), read(Dir, Path))
                || Path <- ["rebar.config", "src/hb.app.src", "src/hb_opts.erl"]],
            ?assertEqual(snapshot(Never), snapshot(Dir))
        end)
    end).

an_entry_behind_ours_stays_test_() ->
    on(main, fun(Dir) ->
        {0, _} = install(Dir),
        Mine = ",\n            #{<<\"name\">> => <<\"mine@1.0\">>, <<\"module\">> => dev_mine}",
        change(Dir, "src/hb_opts.erl", "\n        ],", [Mine, "\n        ],"]),
        change(Dir, "rebar.config", "bird, hb_wasm64]", "bird, hb_wasm64, mine]"),
        {0, _} = undo(Dir),
        ?assertMatch({match, _}, re:run(read(Dir, "rebar.config"), "\\[hb, fish, bird, mine\\]")),
        ?assertMatch({match, _}, re:run(read(Dir, "src/hb_opts.erl"), "=> dev_wasm},\n *#\\{.*dev_mine}\n"))
    end).

a_conflict_leaves_the_file_and_says_what_to_do_test_() ->
    on(main, fun(Dir) ->
        Before = snapshot(Dir),
        {0, _} = install(Dir),
        change(Dir, "src/hb_opts.erl", "<<\"wasm64@1.0\">>, <<\"module\">> => dev_wasm64",
            "<<\"wasm64@1.0\">>, <<\"module\">> => dev_mine"),
        Mine = read(Dir, "src/hb_opts.erl"),
        {1, Said} = undo(Dir),
        ?assertSays("src/hb_opts.erl", Said),
        ?assertSays("By hand: let wasm-64@1.0 be dev_wasm again", Said),
        ?assertSays(".hb_wasm64/before/src/hb_opts.erl", Said),
        ?assertEqual(Mine, read(Dir, "src/hb_opts.erl")),
        %% The rest is back, and what is left can be done by hand.
        Back = ["rebar.config", "src/hb.app.src", "src/hb_beamr.erl", "native/hb_beamr/hb_beamr.o"],
        ?assertEqual(maps:with(Back, Before), maps:with(Back, snapshot(Dir))),
        ?assertMatch({1, _}, undo(Dir)),
        {ok, _} = file:copy(kept(Dir, "src/hb_opts.erl"), filename:join(Dir, "src/hb_opts.erl")),
        {0, _} = undo(Dir),
        ?assertEqual(Before, snapshot(Dir))
    end).

%% Everything that is done takes place in steps; whichever are done, the rest can be done, or all undone.
an_interrupted_install_is_finished_or_undone_test_() ->
    [on(main, fun(Dir) ->
        Before = snapshot(Dir),
        {0, _} = install(Dir),
        After = snapshot(Dir),
        interrupt(Dir, Done),
        ?assertNotEqual(After, snapshot(Dir)),
        case Then of
            undo ->
                ?assertMatch({0, _}, undo(Dir)),
                ?assertEqual(Before, snapshot(Dir));
            install ->
                ?assertMatch({0, _}, install(Dir)),
                ?assertEqual(After, snapshot(Dir)),
                ?assertMatch({0, _}, undo(Dir)),
                ?assertEqual(Before, snapshot(Dir))
        end
    end) || Done <- lists:seq(0, 6), Then <- [install, undo]].

%% Makes an installed checkout one whose install ended after Done of its steps.
interrupt(Dir, Done) ->
    Edited = [fun() -> {ok, _} = file:copy(kept(Dir, Path), filename:join(Dir, Path)) end
        || Path <- ["rebar.config", "src/hb.app.src", "src/hb_opts.erl"]],
    Moved = [fun() -> ok = file:rename(kept(Dir, Path), filename:join(Dir, Path)) end
        || Path <- ["src/hb_beamr.erl", "src/hb_beamr_io.erl", "native/hb_beamr"]],
    Linked = fun() -> ok = file:del_dir_r(filename:join(Dir, "_checkouts")) end,
    lists:foreach(fun(Not) -> Not() end, lists:nthtail(Done, Edited ++ Moved ++ [Linked])).

an_install_that_ended_before_its_record_is_repeated_test_() ->
    on(main, fun(Dir) ->
        Before = snapshot(Dir),
        write(Dir, ".hb_wasm64/before/rebar.config", "half of i"),
        {0, _} = install(Dir),
        {0, _} = undo(Dir),
        ?assertEqual(Before, snapshot(Dir)),
        write(Dir, ".hb_wasm64/before/rebar.config", "half of i"),
        {0, _} = undo(Dir),
        ?assertEqual(Before, snapshot(Dir))
    end).

%% git checkout, reset and stash bring back what was taken out.
what_git_brought_back_is_taken_out_again_test_() ->
    [on(main, fun(Dir) ->
        Before = snapshot(Dir),
        {0, _} = install(Dir),
        After = snapshot(Dir),
        [{ok, _} = file:copy(kept(Dir, Path), filename:join(Dir, Path)) || Path <- ["rebar.config", "src/hb_beamr.erl"]],
        ok = file:make_dir(filename:join(Dir, "native/hb_beamr")),
        {ok, _} = file:copy(kept(Dir, "native/hb_beamr/hb_beamr.c"), filename:join(Dir, "native/hb_beamr/hb_beamr.c")),
        case Then of
            undo -> ok;
            install -> {0, _} = install(Dir), ?assertEqual(After, snapshot(Dir))
        end,
        {0, _} = undo(Dir),
        ?assertEqual(Before, snapshot(Dir))
    end) || Then <- [install, undo]].

another_file_in_the_place_of_one_taken_out_is_kept_test_() ->
    on(main, fun(Dir) ->
        {0, _} = install(Dir),
        write(Dir, "src/hb_beamr.erl", "-module(hb_beamr).\n%% Mine.\n"),
        Before = snapshot(Dir),
        ?assertMatch({1, _}, install(Dir)),
        ?assertEqual(Before, snapshot(Dir)),
        {1, Said} = undo(Dir),
        ?assertSays("src/hb_beamr.erl", Said),
        ?assertEqual(<<"-module(hb_beamr).\n%% Mine.\n">>, read(Dir, "src/hb_beamr.erl")),
        ?assertMatch({ok, _}, file:read_file(kept(Dir, "src/hb_beamr.erl"))),
        ok = file:delete(filename:join(Dir, "src/hb_beamr.erl")),
        ?assertMatch({0, _}, undo(Dir)),
        ?assertEqual(<<"-module(hb_beamr).\n%% The old one.\n">>, read(Dir, "src/hb_beamr.erl"))
    end).
