%% The package of the device: the engine that it brings, beside other nodes and other engines, and the names of the C driver.
-module(dev_wasm64_package_tests).

-include_lib("eunit/include/eunit.hrl").

%% How often a node restarts beside another.
-define(RESTARTS, 5).

%%% A node that loads packages

a_package_implements_each_name_test() ->
    Roots = [{"wasm-64", "dev_wasm64"}, {"wasm64", "dev_wasm64"}, {"genesis-wasm", "dev_genesis_wasm64"}],
    Names = [Name || {Folder, Root} <- Roots, {ok, Name} <- [implements(hb_packages:folder(Folder), Root)]],
    ?assertEqual([<<"wasm-64@1.0">>, <<"wasm64@1.0">>, <<"genesis-wasm@1.0">>], Names).

implements(Folder, Root) ->
    {ok, Source} = file:read_file(filename:join([Folder, "src", Root ++ ".erl"])),
    {match, [Name]} = re:run(Source, "-implements\\(<<\"(.*)\">>\\)", [{capture, all_but_first, binary}]),
    {ok, Name}.

%% What Forge takes for the specification of a device: its first lines.
a_package_says_what_it_does_test() ->
    {ok, Source} = file:read_file(filename:join([hb_packages:folder("wasm64"), "src", "dev_wasm64.erl"])),
    ?assertMatch(<<"%%% # `~wasm64@1.0`", _/binary>>, Source),
    {Lines, _} = lists:splitwith(fun(Line) -> string:prefix(Line, "%%%") =/= nomatch end, binary:split(Source, <<"\n">>, [global])),
    ?assert(length(Lines) > 50),
    Keys = [<<"`init`">>, <<"`compute`">>, <<"`import`">>, <<"`snapshot`">>, <<"`normalize`">>, <<"`terminate`">>],
    [?assert(lists:any(fun(Line) -> binary:match(Line, Key) =/= nomatch end, Lines), Key) || Key <- Keys].

a_node_test_() ->
    {setup, fun() -> hb_packages:vm([]) end, fun peer:stop/1, fun(VM) ->
        [
            {"no module of the library is there under its name before", fun() ->
                ?assertEqual([non_existing, non_existing], [which(VM, Module) || Module <- [hb_wasm64, dev_wasm64]])
            end},
            {"both names run in one engine", {timeout, 60, fun() ->
                [?assertEqual([120.0], fac(VM, Name)) || Name <- [<<"wasm-64@1.0">>, <<"wasm64@1.0">>]],
                Loaded = peer:call(VM, code, all_loaded, []),
                Roots = [M || {M, _} <- Loaded, re:run(atom_to_list(M), "^_hb_device_wasm_?64_1_0_[a-z2-7]+$") =/= nomatch],
                ?assertMatch([_, _], Roots),
                ?assert(lists:keymember(hb_wasm64_nif, 1, Loaded)),
                ?assertNot(lists:keymember(dev_wasm64, 1, Loaded))
            end}},
            {"another device has the same engine", fun() ->
                ?assertMatch(
                    {ok, #{<<"device">> := <<"genesis-wasm@1.0">>}},
                    peer:call(VM, hb_ao, resolve, [#{<<"device">> => <<"genesis-wasm@1.0">>}, <<"init">>, #{}])
                )
            end},
            {"the engine is outside of the package's folders, under a name of its hash", fun() ->
                {match, [Place]} = re:run(which(VM, hb_wasm64_nif), "/(hb_wasm64_[0-9a-f]{16})/", [{capture, all_but_first, list}]),
                ?assertNotEqual(nomatch, string:find(peer:call(VM, code, priv_dir, [hb_wasm64]), Place))
            end},
            {"other devices find the names of the driver", fun() ->
                ?assertNotEqual(nomatch, string:find(which(VM, hb_beamr_io), "hb_wasm64_drop_in"))
            end}
        ]
    end}.

which(VM, Module) -> peer:call(VM, code, which, [Module]).

fac(VM, Name) ->
    eval(
        VM,
        "{ok, Started} = hb_ao:resolve(Base, <<\"init\">>, #{}),"
        "{ok, #{<<\"results\">> := #{<<\"output\">> := Output}}} = hb_ao:resolve(Started, Request, #{}),"
        "Output.",
        #{
            'Base' => #{<<"device">> => Name, <<"image">> => hb_support:guest("numbers")},
            'Request' => #{<<"path">> => <<"compute">>, <<"function">> => <<"fac">>, <<"parameters">> => [5.0]}
        }
    ).

%% In one process of the VM: handles are of no use elsewhere.
eval(VM, Text, Bindings) ->
    {value, Value, _} = peer:call(VM, erl_eval, exprs, [expressions(Text), Bindings], 60_000),
    Value.

expressions(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    Expressions.

%% Each start writes the files of the packages anew, in place, while the first node has the engine mapped and works.
nodes_share_a_folder_test_() ->
    {timeout, 600, fun() ->
        Dir = fresh("shared"),
        First = hb_packages:vm([], #{implementations => Dir}),
        [120.0] = fac(First, <<"wasm-64@1.0">>),
        Test = self(),
        Again = fun Again() ->
            [120.0] = fac(First, <<"wasm-64@1.0">>),
            receive
                stop -> Test ! stopped
            after 0 -> Again()
            end
        end,
        Load = spawn_link(Again),
        _ = [
            begin
                Second = hb_packages:vm([], #{implementations => Dir}),
                ?assertEqual([120.0], fac(Second, <<"wasm-64@1.0">>)),
                ok = peer:stop(Second)
            end
         || _ <- lists:seq(1, list_to_integer(os:getenv("RESTARTS", integer_to_list(?RESTARTS))))
        ],
        Load ! stop,
        receive
            stopped -> ok
        end,
        ?assertEqual([120.0], fac(First, <<"wasm-64@1.0">>)),
        ok = peer:stop(First),
        %% One engine, and nothing that was put aside.
        ?assertMatch([_], filelib:wildcard(filename:join(Dir, "hb_wasm64*")))
    end}.

%%% The engine

%% The files of a package, and a VM that has nothing but Erlang and the module that loads them.
package(Name) ->
    Dir = filename:join(fresh(Name), "package"),
    _ = [copy(File, Dir) || File <- ["hb_wasm64.term", "hb_wasm64.zip"]],
    Dir.

copy(File, Dir) ->
    ok = filelib:ensure_dir(filename:join(Dir, File)),
    {ok, _} = file:copy(filename:join([hb_packages:folder("wasm-64"), "priv", File]), filename:join(Dir, File)).

fresh(Name) ->
    Dir = filename:join([filename:dirname(code:lib_dir(hb_wasm64)), "hb_packages", Name]),
    _ = file:del_dir_r(Dir),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    Dir.

bare() -> bare([]).

bare(Env) ->
    {ok, VM, _} = peer:start_link(#{connection => standard_io, wait_boot => 60_000, env => Env}),
    {Module, Beam, File} = code:get_object_code(lib_wasm64_package),
    {module, Module} = peer:call(VM, code, load_binary, [Module, File, Beam]),
    ok = peer:call(VM, logger, set_primary_config, [level, none]),
    VM.

engine(VM, Dir) -> peer:call(VM, lib_wasm64_package, engine, [Dir], 60_000).

text({error, Text}) -> unicode:characters_to_list(Text).

runs(VM) ->
    Text = "{ok, Handle} = hb_wasm64:start(Image), hb_wasm64:call(Handle, \"fac\", [5.0]).",
    eval(VM, Text, #{'Image' => hb_support:guest("numbers")}) =:= {ok, [120.0]}.

an_engine_is_loaded_once_test_() ->
    {timeout, 60, fun() ->
        Dir = package("once"),
        VM = bare(),
        ?assertEqual(ok, engine(VM, Dir)),
        ?assert(runs(VM)),
        Which = which(VM, hb_wasm64_nif),
        ?assertEqual(ok, engine(VM, Dir)),
        ?assertEqual(Which, which(VM, hb_wasm64_nif)),
        ?assert(runs(VM)),
        ok = peer:stop(VM)
    end}.

a_node_that_depends_on_the_library_uses_that_test_() ->
    {timeout, 60, fun() ->
        Dir = package("dependency"),
        VM = hb_support:peer(),
        ?assertNot(peer:call(VM, erlang, module_loaded, [hb_wasm64_nif])),
        Which = which(VM, hb_wasm64_nif),
        ?assertEqual(ok, engine(VM, Dir)),
        ?assert(runs(VM)),
        ?assertEqual(Which, which(VM, hb_wasm64_nif)),
        ?assertEqual([], filelib:wildcard(filename:join(filename:dirname(Dir), "hb_wasm64_*"))),
        ok = change_info(Dir, fun(Info) -> Info#{version => "0.2.0"} end),
        ?assertNotEqual(nomatch, string:find(text(engine(VM, Dir)), "0.2.0")),
        ok = peer:stop(VM)
    end}.

another_engine_is_kept_and_named_test_() ->
    {timeout, 60, fun() ->
        Dir = package("versions"),
        VM = bare(),
        ok = engine(VM, Dir),
        Answer = fun(Version) ->
            ok = change_info(Dir, fun(Info) -> Info#{version => Version} end),
            engine(VM, Dir)
        end,
        ?assertEqual(ok, Answer("0.1.0")),
        [
            begin
                Text = text(Answer(Version)),
                [?assertNotEqual(nomatch, string:find(Text, Part), Text) || Part <- [Version, "0.1.0", "Restart"]]
            end
         || Version <- ["0.1.1", "0.2.0", "0.0.9", "1.0.0", "1.1.0", "odd"]
        ],
        ?assert(runs(VM)),
        ok = peer:stop(VM)
    end}.

change_info(Dir, Change) ->
    File = filename:join(Dir, "hb_wasm64.term"),
    {ok, [Info]} = file:consult(File),
    file:write_file(File, io_lib:format("~tp.~n", [Change(Info)])).

%% Of another architecture or libc: a file that the machine's loader does not take.
a_library_that_cannot_be_loaded_leaves_the_node_as_it_was_test_() ->
    {timeout, 60, fun() ->
        Dir = package("foreign"),
        {ok, Files} = zip:unzip(filename:join(Dir, "hb_wasm64.zip"), [memory]),
        Foreign = [{File, case filename:extension(File) of ".so" -> <<16#7f, "ELF", 0:512>>; _ -> Bytes end} || {File, Bytes} <- Files],
        {ok, {_, Zip}} = zip:create("hb_wasm64.zip", Foreign, [memory]),
        ok = file:write_file(filename:join(Dir, "hb_wasm64.zip"), Zip),
        Hash = lists:flatten([io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= crypto:hash(sha256, Zip)]),
        ok = change_info(Dir, fun(Info) -> Info#{sha256 => Hash, architecture => "another-machine"} end),
        VM = bare(),
        Path = peer:call(VM, code, get_path, []),
        Text = text(engine(VM, Dir)),
        [
            ?assertNotEqual(nomatch, string:find(Text, Part), Text)
         || Part <- ["another-machine", erlang:system_info(system_architecture), "make device", "hb_wasm64_nif"]
        ],
        ?assertEqual(Path, peer:call(VM, code, get_path, [])),
        ?assertNot(peer:call(VM, erlang, module_loaded, [hb_wasm64])),
        %% A package that fits can be loaded still.
        ?assertEqual(ok, engine(VM, package("fits"))),
        ?assert(runs(VM)),
        ok = peer:stop(VM)
    end}.

%% What a node reads while another writes the files is not what the package holds.
files_that_are_being_written_are_waited_for_test_() ->
    {timeout, 60, fun() ->
        Dir = package("written"),
        VM = bare(),
        File = filename:join(Dir, "hb_wasm64.zip"),
        {ok, Zip} = file:read_file(File),
        ok = file:write_file(File, binary:part(Zip, 0, byte_size(Zip) div 2)),
        Test = self(),
        _ = spawn_link(fun() -> Test ! {loaded, engine(VM, Dir)} end),
        receive
            {loaded, TooEarly} -> error({too_early, TooEarly})
        after 200 -> ok
        end,
        ok = file:write_file(File, Zip),
        receive
            {loaded, Answer} -> ?assertEqual(ok, Answer)
        end,
        ?assert(runs(VM)),
        ok = peer:stop(VM)
    end}.

files_that_are_not_the_packages_are_refused_test_() ->
    {timeout, 60, fun() ->
        Dir = package("damaged"),
        VM = bare(),
        ok = file:write_file(filename:join(Dir, "hb_wasm64.zip"), <<"no zip">>),
        ?assertNotEqual(nomatch, string:find(text(engine(VM, Dir)), "hash")),
        ok = file:delete(filename:join(Dir, "hb_wasm64.zip")),
        ?assertNotEqual(nomatch, string:find(text(engine(VM, Dir)), "enoent")),
        ?assertNot(peer:call(VM, erlang, module_loaded, [hb_wasm64_nif])),
        ok = peer:stop(VM)
    end}.

%% As after a loss of power.
a_place_with_other_files_is_left_alone_test_() ->
    {timeout, 60, fun() ->
        Dir = package("place"),
        VM = bare(),
        ok = engine(VM, Dir),
        ok = peer:stop(VM),
        [Library] = filelib:wildcard(filename:join([filename:dirname(Dir), "hb_wasm64_*", "hb_wasm64-*", "priv", "*.so"])),
        ok = file:write_file(Library, <<>>),
        Again = bare(),
        ?assertEqual(ok, engine(Again, Dir)),
        ?assert(runs(Again)),
        ?assertEqual(0, filelib:file_size(Library)),
        ok = peer:stop(Again)
    end}.

%%% The names of the C driver

%% Modules like the node's, which take pids.
with_driver(Env) ->
    VM = bare(Env),
    [
        begin
            Forms = [
                {attribute, 1, module, Module},
                {attribute, 1, export, [{size, 1}]},
                {function, 1, size, 1, [{clause, 1, [{var, 1, 'Pid'}], [[{call, 1, {atom, 1, is_pid}, [{var, 1, 'Pid'}]}]], [{atom, 1, driver}]}]}
            ],
            {ok, Module, Beam} = compile:forms(Forms),
            {module, Module} = peer:call(VM, code, load_binary, [Module, "driver", Beam])
        end
     || Module <- [hb_beamr, hb_beamr_io]
    ],
    VM.

memory_size(VM) ->
    eval(VM, "{ok, Handle} = hb_wasm64:start(Image), hb_beamr_io:size(Handle).", #{'Image' => hb_support:guest("memory")}).

the_names_of_the_driver_become_ours_test_() ->
    {timeout, 60, fun() ->
        VM = with_driver([]),
        driver = peer:call(VM, hb_beamr_io, size, [self()]),
        ok = engine(VM, package("names")),
        ?assertEqual({ok, 65536}, memory_size(VM)),
        ok = peer:stop(VM)
    end}.

an_operator_may_keep_the_driver_test_() ->
    {timeout, 60, fun() ->
        VM = with_driver([{"HB_WASM64_DROP_IN", "no"}]),
        ok = engine(VM, package("kept")),
        ?assertError(_, memory_size(VM)),
        ?assertEqual(driver, peer:call(VM, hb_beamr_io, size, [self()])),
        ok = peer:stop(VM)
    end}.

instances_of_the_driver_keep_it_test_() ->
    {timeout, 60, fun() ->
        Dir = package("in_use"),
        Program = filename:join(Dir, "hb_beamr"),
        ok = file:write_file(Program, "#!/bin/sh\nexec cat\n"),
        ok = file:change_mode(Program, 8#755),
        VM = with_driver([{"PATH", Dir ++ ":" ++ os:getenv("PATH")}]),
        Open = expressions("open_port({spawn, \"hb_beamr\"}, []), timer:sleep(infinity)."),
        Owner = peer:call(VM, erlang, spawn, [erl_eval, exprs, [Open, []]]),
        true = hb_support:wait_until(fun() ->
            lists:any(
                fun(Port) -> peer:call(VM, erlang, port_info, [Port, name]) =:= {name, "hb_beamr"} end,
                peer:call(VM, erlang, ports, [])
            )
        end),
        ok = engine(VM, Dir),
        ?assertEqual(driver, peer:call(VM, hb_beamr_io, size, [Owner])),
        ok = peer:stop(VM)
    end}.
