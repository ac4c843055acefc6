%% make hyperbeam: what becomes of a checkout, and of a directory that is none.
-module(hyperbeam_install_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hyperbeam_support, [on/2, install/1, install/2, undo/1, snapshot/1, write/3, read/2, change/4, terms/2]).

-define(assertSays(Expected, Said), ?assert(string:find(Said, Expected) =/= nomatch, Said)).

on_both(Test) -> [on(main, Test), on(edge, Test)].

the_library_takes_the_place_of_the_driver_test_() ->
    on_both(fun(Dir) ->
        Deps = proplists:get_value(deps, terms(Dir, "rebar.config")),
        ?assertMatch({0, _}, install(Dir)),
        Config = terms(Dir, "rebar.config"),
        Dep = {hb_wasm64, {git, "file:///lib/hb_wasm64", {ref, "c0ffee"}}},
        ?assertEqual([Dep | Deps], proplists:get_value(deps, Config)),
        %% The other native library is still built.
        ?assertMatch([{"./priv/hb_keccak.so", _}], proplists:get_value(port_specs, Config)),
        ?assertEqual(nomatch, re:run(read(Dir, "rebar.config"), "\" wamr|make wamr|_build/wamr|vmlib|native/hb_beamr")),
        Releases = [R || R <- proplists:get_value(relx, Config), element(1, R) =:= release],
        ?assertEqual([hb], [element(1, element(2, R)) || R <- Releases, lists:last(element(3, R)) =:= hb_wasm64]),
        [{application, hb, App}] = terms(Dir, "src/hb.app.src"),
        ?assertEqual(hb_wasm64, lists:last(proplists:get_value(applications, App))),
        ?assertEqual([], [Path || Path <- ["src/hb_beamr.erl", "src/hb_beamr_io.erl", "native/hb_beamr"],
            filelib:is_file(filename:join(Dir, Path))]),
        %% The tests of other modules call it.
        ?assert(filelib:is_file(filename:join(Dir, "src/dev_wasm.erl"))),
        ?assertEqual({ok, "/lib/hb_wasm64"}, file:read_link(filename:join(Dir, "_checkouts/hb_wasm64")))
    end).

%% One after the other: they load the same module.
both_names_of_the_device_are_ours_test_() ->
    {inorder, on_both(fun(Dir) ->
        Before = hyperbeam_support:devices(Dir),
        ?assertMatch({0, _}, install(Dir)),
        Ours = [{Name, dev_wasm64} || Name <- [<<"wasm-64@1.0">>, <<"wasm64@1.0">>]],
        ?assertEqual(lists:sort(Ours ++ (Before -- [{<<"wasm-64@1.0">>, dev_wasm}])),
            lists:sort(hyperbeam_support:devices(Dir)))
    end)}.

layout_comments_and_modes_stay_test_() ->
    on(main, fun(Dir) ->
        Lines = fun() -> string:split(read(Dir, "rebar.config"), "\n", all) end,
        Before = Lines(),
        {ok, Info} = file:read_file_info(filename:join(Dir, "rebar.config")),
        ?assertMatch({0, _}, install(Dir)),
        %% Nine lines go or change, five are new or changed.
        ?assertEqual({9, 5}, {length(Before -- Lines()), length(Lines() -- Before)}),
        {ok, Now} = file:read_file_info(filename:join(Dir, "rebar.config")),
        ?assertEqual(element(8, Info), element(8, Now)),
        Comments = ["% Gr", "% first", "% builds WAMR", "% sweep", "% Hashes", "% The first", "% the last"],
        ?assertEqual(["% builds WAMR", "% sweep"],
            [Comment || Comment <- Comments, re:run(read(Dir, "rebar.config"), Comment) =:= nomatch])
    end).

a_dry_run_says_all_and_writes_nothing_test_() ->
    on_both(fun(Dir) ->
        Before = snapshot(Dir),
        {0, Said} = install(Dir, #{dry_run => true}),
        [?assertSays(Path, Said) || Path <- ["rebar.config", "src/hb.app.src", "src/hb_opts.erl", "src/hb_beamr.erl",
            "src/hb_beamr_io.erl", "native/hb_beamr", "_checkouts/hb_wasm64", "+", "Nothing was written"]],
        ?assertEqual(Before, snapshot(Dir))
    end).

a_second_run_changes_nothing_test_() ->
    on_both(fun(Dir) ->
        {0, _} = install(Dir),
        After = snapshot(Dir),
        {0, Said} = install(Dir),
        ?assertSays("already", Said),
        ?assertEqual(After, snapshot(Dir))
    end).

uncommitted_work_stays_test_() ->
    on(main, fun(Dir) ->
        change(Dir, "rebar.config", "{fish, \"1.0.0\"},", "{fish, \"1.0.0\"}, {mine, \"2\"}, % mine\n"),
        change(Dir, "src/hb_opts.erl", "port => 8734", "port => 1, mine => true"),
        write(Dir, "src/mine.erl", "-module(mine).\n"),
        {0, _} = install(Dir),
        ?assert(lists:member({mine, "2"}, proplists:get_value(deps, terms(Dir, "rebar.config")))),
        ?assertMatch({match, _}, re:run(read(Dir, "rebar.config"), "% mine")),
        ?assertMatch({match, _}, re:run(read(Dir, "src/hb_opts.erl"), "mine => true")),
        ?assertEqual(<<"-module(mine).\n">>, read(Dir, "src/mine.erl"))
    end).

%% Each of these takes away one thing that an install needs to find.
what_is_not_found_is_named_and_nothing_written_test_() ->
    Spoilt = [
        {"rebar.config: the file", fun(Dir) -> ok = file:delete(filename:join(Dir, "rebar.config")) end},
        {"rebar.config: one list deps", fun(Dir) -> change(Dir, "rebar.config", "\n{deps,", "\n{dops,") end},
        {"rebar.config: hb_beamr.so", fun(Dir) -> change(Dir, "rebar.config", "hb_beamr.so", "hb_other.so") end},
        {"rebar.config: paths of WAMR", fun(Dir) -> change(Dir, "rebar.config", "\n{port_env,", "\n{part_env,") end},
        {"rebar.config: \"make wamr\"", fun(Dir) -> change(Dir, "rebar.config", " wamr\"", " other\"") end},
        {"rebar.config: a release of hb", fun(Dir) -> change(Dir, "rebar.config", "[hb, fish", "[hob, fish") end},
        {"rebar.config: Erlang that can be read (line", fun(Dir) -> change(Dir, "rebar.config", "[hb, ", "[hb}, ") end},
        {"src/hb.app.src: the list applications", fun(Dir) -> change(Dir, "src/hb.app.src", "ions,", "ens,") end},
        {"src/hb_opts.erl: one entry wasm-64@1.0", fun(Dir) -> change(Dir, "src/hb_opts.erl", "wasm-64@", "w-64@") end},
        {"src/hb_opts.erl: one entry", fun(Dir) -> change(Dir, "src/hb_opts.erl", "=> dev_wasm}", "=> dev_mine}") end},
        {"src/hb_beamr.erl: -module(hb_beamr)", fun(Dir) -> write(Dir, "src/hb_beamr.erl", "-module(other).") end},
        {"src/hb_beamr_io.erl: the file", fun(Dir) -> ok = file:delete(filename:join(Dir, "src/hb_beamr_io.erl")) end},
        {"native/hb_beamr: C sources", fun(Dir) ->
            ok = file:delete(filename:join(Dir, "native/hb_beamr/hb_beamr.c"))
        end},
        {"src/hb.app.src: a file that is no symbolic link", fun(Dir) ->
            ok = file:rename(filename:join(Dir, "src/hb.app.src"), filename:join(Dir, "elsewhere")),
            ok = file:make_symlink("../elsewhere", filename:join(Dir, "src/hb.app.src"))
        end}
    ],
    [{What, on(main, fun(Dir) ->
        Spoil(Dir),
        Before = snapshot(Dir),
        {1, Said} = install(Dir),
        ?assertSays(What, Said),
        ?assertSays("Nothing was changed", Said),
        ?assertEqual(Before, snapshot(Dir))
    end)} || {What, Spoil} <- Spoilt].

a_checkout_that_loads_packages_is_told_how_to_test_() ->
    [{Path, on(edge, fun(Dir) ->
        write(Dir, Path, ""),
        Before = snapshot(Dir),
        {1, Said} = install(Dir),
        [?assertSays(Part, Said) || Part <- ["make device", "trusted-devices", "docs/hyperbeam.md", "Nothing was changed"]],
        ?assertEqual(Before, snapshot(Dir))
    end)} || Path <- ["src/forge/hb_packager.erl", "src/core/resolver/hb_ao.erl"]].

a_checkout_that_is_changed_in_part_is_refused_test_() ->
    on(main, fun(Dir) ->
        change(Dir, "rebar.config", "\t{fish,", "\t{hb_wasm64, \"0.1.0\"}, {fish,"),
        Before = snapshot(Dir),
        {1, Said} = install(Dir),
        ?assertSays("installed in part (rebar.config)", Said),
        ?assertSays("src/hb_opts.erl", Said),
        ?assertEqual(Before, snapshot(Dir))
    end).

%% Modules of hb come before those of its dependencies.
no_beam_of_the_driver_is_left_to_hide_ours_test_() ->
    on(main, fun(Dir) ->
        Before = snapshot(Dir),
        Beams = ["_build/default/lib/hb/ebin/", "_build/more+test/lib/hb/ebin/"],
        [write(Dir, Path ++ Beam, "") || Path <- Beams, Beam <- ["hb_beamr.beam", "hb_beamr_io.beam", "hb_opts.beam"]],
        {0, _} = install(Dir),
        ?assertEqual([Path ++ "hb_opts.beam" || Path <- Beams],
            [Path || Path <- lists:sort(maps:keys(snapshot(Dir))), filename:extension(Path) =:= ".beam"]),
        %% What rebar3 makes of our own, with links into the library's sources.
        write(Dir, "_build/default/checkouts/hb_wasm64/ebin/hb_beamr.beam", ""),
        Link = filename:join(Dir, "_build/default/checkouts/hb_wasm64/src"),
        ok = file:make_symlink(filename:join(Dir, "native"), Link),
        write(Dir, "_build/default/lib/hb_wasm64/ebin/hb_beamr.beam", ""),
        {0, _} = undo(Dir),
        [ok = file:del_dir_r(filename:join(Dir, Rest)) || Rest <- ["_build/default/lib/hb", "_build/more+test/lib/hb"]],
        [ok = file:del_dir(filename:join(Dir, Rest)) || Rest <- ["_build/default/checkouts", "_build/default/lib",
            "_build/default", "_build/more+test/lib", "_build/more+test", "_build"]],
        ?assertEqual(Before, snapshot(Dir))
    end).

what_is_in_the_place_of_the_link_is_not_touched_test_() ->
    [on(main, fun(Dir) ->
        Place = filename:join(Dir, "_checkouts/hb_wasm64"),
        ok = filelib:ensure_dir(Place),
        ok = InTheWay(Place),
        Before = snapshot(Dir),
        ?assertMatch({1, _}, install(Dir)),
        ?assertEqual(Before, snapshot(Dir))
    end) || InTheWay <- [fun file:make_dir/1, fun(Place) -> file:make_symlink("/elsewhere", Place) end]].

%% Without a link rebar3 fetches the commit, and locks it.
a_source_or_a_ref_is_fetched_test_() ->
    [on(main, fun(Dir) ->
        {0, _} = install(Dir, Options),
        ?assertMatch([{hb_wasm64, Source} | _], proplists:get_value(deps, terms(Dir, "rebar.config"))),
        ?assertNot(filelib:is_file(filename:join(Dir, "_checkouts")))
    end) || {Options, Source} <- [
        {#{source => "https://example.org/\"x\""}, {git, "https://example.org/\"x\"", {ref, "c0ffee"}}},
        {#{ref => "v1"}, {git, "file:///lib/hb_wasm64", {ref, "v1"}}},
        {#{source => "ssh://x", commit => ""}, {git, "ssh://x", {branch, "main"}}}]].

another_commit_takes_the_place_of_the_one_before_test_() ->
    on(main, fun(Dir) ->
        Before = snapshot(Dir),
        {0, _} = install(Dir, #{ref => "v1"}),
        lock(Dir, "v1"),
        %% What the user adds around it stays where it is.
        change(Dir, "rebar.config", "{fish, \"1.0.0\"}", "{fish, \"2.0.0\"}"),
        {0, Said} = install(Dir, #{ref => "v2"}),
        ?assertSays("v2", Said),
        ?assertMatch([{hb_wasm64, {git, _, {ref, "v2"}}}, {fish, "2.0.0"} | _],
            proplists:get_value(deps, terms(Dir, "rebar.config"))),
        %% A lock of v1 would win over v2.
        ?assertEqual(nomatch, binary:match(read(Dir, "rebar.lock"), <<"hb_wasm64">>)),
        {0, _} = install(Dir),
        ?assertEqual({ok, "/lib/hb_wasm64"}, file:read_link(filename:join(Dir, "_checkouts/hb_wasm64"))),
        change(Dir, "rebar.config", "{fish, \"2.0.0\"}", "{fish, \"1.0.0\"}"),
        {0, _} = undo(Dir),
        ?assertEqual(Before, snapshot(Dir))
    end).

%% What rebar3 writes when it has fetched the library.
lock(Dir, Ref) ->
    change(Dir, "rebar.lock", "},0}]}.", ["},0},\n {<<\"hb_wasm64\">>,\n  {git,\"file:///lib/hb_wasm64\",\n"
        "       {ref,\"", Ref, "\"}},\n  0}]}."]).

the_lock_of_a_fetched_library_stays_test_() ->
    on(main, fun(Dir) ->
        {0, _} = install(Dir, #{ref => "v1"}),
        lock(Dir, "v1"),
        After = snapshot(Dir),
        {0, _} = install(Dir, #{ref => "v1"}),
        ?assertEqual(After, snapshot(Dir))
    end).

an_installed_checkout_without_a_record_is_left_alone_test_() ->
    on(main, fun(Dir) ->
        {0, _} = install(Dir),
        ok = file:del_dir_r(filename:join(Dir, ".hb_wasm64")),
        Before = snapshot(Dir),
        {0, Said} = install(Dir, #{ref => "v2"}),
        ?assertSays("already", Said),
        ?assertMatch({1, _}, undo(Dir)),
        ?assertEqual(Before, snapshot(Dir))
    end).

a_record_of_another_version_is_refused_test_() ->
    on(main, fun(Dir) ->
        {0, _} = install(Dir),
        write(Dir, ".hb_wasm64/record", "{hb_wasm64_install, 0}.\n"),
        Before = snapshot(Dir),
        ?assertMatch({1, _}, install(Dir)),
        ?assertMatch({1, _}, undo(Dir)),
        ?assertEqual(Before, snapshot(Dir))
    end).
