%% A VM with a kernel that loads packages: the modules of ao_core compiled for it, their devices under other names, and ours out of
%% packages, as HyperBEAM's packager makes them of the folders of `make device'. Neither `dev_message' nor a module of this
%% library is on its code path.
-module(hb_packages).

-export([folder/1, package/1, vm/1, vm/2, run/3]).
-export([parse_transform/2]).

%%% Packages

%% The folder of a package, made once for this build of the library.
folder(Name) ->
    Out = filename:join(dir(), "device"),
    Output = once(folders, fun() -> 
        Ebin = filename:absname(filename:join(code:lib_dir(hb_wasm64), "ebin")),
        os:cmd(lists:concat(["cd '", root(), "' && EBIN='", Ebin, "' scripts/device.sh '", filename:absname(Out), "' 2>&1"]))
    end),
    filelib:is_file(filename:join([Out, Name, "priv", "hb_wasm64.zip"])) orelse error({no_folder, Output}),
    filename:join(Out, Name).

dir() -> filename:join(filename:dirname(code:lib_dir(hb_wasm64)), "hb_packages").

%% Where the project is.
root() -> filename:dirname(filename:dirname(proplists:get_value(source, hb_wasm64:module_info(compile)))).

%% The root module and the archive of a folder. A package is the module with `-implements', those whose names begin with its
%% name, the libraries it names, and the files in `priv'. The modules' names become new ones, made of a hash of it all, and so does
%% each atom in them that is one of these names.
package(Folder) ->
    Sources = filelib:wildcard(filename:join([Folder, "src", "dev_*.erl"])),
    [{RootFile, Device}] = [{File, Name} || File <- Sources, {ok, Name} <- [attribute(implements, File)]],
    {ok, Libraries} = attribute(device_libraries, RootFile),
    Files = [RootFile | Sources -- [RootFile]] ++ [filename:join([Folder, "src", lists:concat([Lib, ".erl"])]) || Lib <- Libraries],
    Priv = [File || File <- filelib:wildcard(filename:join([Folder, "priv", "**"])), filelib:is_regular(File)],
    Contents = [element(2, {ok, _} = file:read_file(File)) || File <- Files ++ Priv],
    Hash = [Letter || <<Digit:5>> <= crypto:hash(sha256, Contents), Letter <- [lists:nth(Digit + 1, "abcdefghijklmnopqrstuvwxyz234567")]],
    Root = "_hb_device_" ++ [sanitized(Letter) || <<Letter>> <= Device] ++ "_" ++ Hash,
    Names = maps:from_list([{module(File), renamed(module(File), module(RootFile), Root)} || File <- Files]),
    Beams = [{"ebin/" ++ atom_to_list(maps:get(module(File), Names)) ++ ".beam", compiled(File, Names, [])} || File <- Files],
    Prefix = filename:join(Folder, "priv"),
    Resources = [
        {"priv" ++ string:prefix(File, Prefix), element(2, {ok, _} = file:read_file(File))}
     || File <- Priv
    ],
    {ok, {_, Archive}} = zip:create("package.zip", Beams ++ Resources, [memory, {uncompress, all}]),
    {list_to_atom(Root), Archive, Names}.

module(File) -> list_to_atom(filename:basename(File, ".erl")).

sanitized(Letter) when Letter >= $a, Letter =< $z; Letter >= $0, Letter =< $9 -> Letter;
sanitized(_) -> $_.

renamed(Module, Module, Root) -> list_to_atom(Root);
renamed(Module, RootModule, Root) ->
    Tail =
        case string:prefix(atom_to_list(Module), atom_to_list(RootModule) ++ "_") of
            nomatch -> string:prefix(atom_to_list(Module), "lib_");
            Found -> Found
        end,
    list_to_atom(Root ++ "__" ++ Tail).

attribute(Name, File) ->
    {ok, Forms} = epp_dodger:parse_file(File),
    Found = [Value || Form <- Forms, {attribute, {N, Value}} <- [analyzed(Form)], N =:= Name],
    case Found of
        [[Value]] when is_binary(Value) -> {ok, Value};
        [Value] -> {ok, Value};
        [] -> none
    end.

analyzed(Form) ->
    try
        erl_syntax_lib:analyze_form(Form)
    catch
        _:_ -> none
    end.

compiled(File, Names, Options) ->
    Include = [{i, filename:dirname(File)}, {i, filename:join(filename:dirname(File), "ao_core")}],
    Standard = [binary, debug_info, return, {parse_transform, ?MODULE}, {?MODULE, Names}, nowarn_missing_spec],
    case compile:file(File, Options ++ Include ++ Standard) of
        {ok, _Module, Beam, _Warnings} -> Beam;
        {error, Errors, _} -> error({compile, File, Errors})
    end.

parse_transform(Forms, Options) ->
    Names = proplists:get_value(?MODULE, Options),
    [
        case Form of
            {attribute, Anno, module, Module} -> {attribute, Anno, module, maps:get(Module, Names, Module)};
            _ -> rename(Form, Names)
        end
     || Form <- Forms
    ].

rename({atom, Anno, Name}, Names) when is_map_key(Name, Names) -> {atom, Anno, map_get(Name, Names)};
rename(Tuple, Names) when is_tuple(Tuple) -> list_to_tuple(rename(tuple_to_list(Tuple), Names));
rename([Head | Tail], Names) -> [rename(Head, Names) | rename(Tail, Names)];
rename(Other, _Names) -> Other.

%%% The VM

%% A VM in which the operator trusts our packages under their names, and a store holds them.
vm(Suites) -> vm(Suites, #{}).

vm(Suites, Options) ->
    Packages = once(packages, fun() -> [{Name, package(folder(Name))} || Name <- ["wasm-64", "wasm64", "genesis-wasm"]] end),
    Ebin = once({ebin, Suites}, fun() -> ebin(Suites, Packages) end),
    Env = [{"HB_DEVICE_IMPLEMENTATION_DIR", maps:get(implementations, Options, filename:join(Ebin, "implementations"))}],
    Start = #{
        connection => standard_io, wait_boot => 30_000, env => Env ++ maps:get(env, Options, []),
        args => ["-pa", Ebin | lists:append([["-pa", filename:join(code:lib_dir(App), "ebin")] || App <- [proper], code:lib_dir(App) =/= {error, bad_name}])]
    },
    {ok, VM, _Node} = peer:start_link(Start),
    ok = peer:call(VM, hb_packages_node, trust, [[{Name ++ "@1.0", Root, file(Root, Archive)} || {Name, {Root, Archive, _}} <- Packages]]),
    VM.

%% An archive as a file: to send it takes long.
file(Root, Archive) ->
    File = filename:join(dir(), lists:concat([Root, ".zip"])),
    filelib:is_file(File) orelse begin ok = file:write_file(File, Archive) end,
    File.

%% What Make makes, made once in this VM.
once(Name, Make) ->
    case persistent_term:get({?MODULE, Name}, none) of
        none ->
            Made = Make(),
            persistent_term:put({?MODULE, Name}, Made),
            Made;
        Made ->
            Made
    end.

%% The kernel, its devices, the tests and what supports them, compiled for the VM. Its own devices have other names there as well.
ebin(Suites, [{_, {_, _, Ours}} | _]) ->
    Dir = filename:join(dir(), lists:concat(["ebin_", erlang:phash2(Suites)])),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    _ = [file:delete(File) || File <- filelib:wildcard(filename:join(Dir, "*.beam"))],
    Sources = filelib:wildcard(filename:join([root(), "test", "ao_core", "*.erl"])),
    Devices = [module(File) || File <- Sources, lists:prefix("dev_", filename:basename(File))],
    Theirs = maps:from_list([{Module, list_to_atom(lists:concat(["_hb_device_", Module, "_ao_core"]))} || Module <- Devices]),
    Tests = needed([hb_packages_node | Suites], []),
    Names = maps:merge(Theirs, Ours),
    _ = [
        begin
            Beam = compiled(File, Names, [{d, 'PACKAGES'}, {d, 'TEST'}]),
            ok = file:write_file(filename:join(Dir, lists:concat([maps:get(module(File), Names, module(File)), ".beam"])), Beam)
        end
     || File <- Sources ++ [filename:join([root(), "test", lists:concat([Module, ".erl"])]) || Module <- Tests]
    ],
    Dir.

%% Modules of test/ that these call.
needed([], Found) ->
    Found;
needed([Module | Rest], Found) ->
    File = filename:join([root(), "test", lists:concat([Module, ".erl"])]),
    case lists:member(Module, Found) orelse not filelib:is_file(File) of
        true ->
            needed(Rest, Found);
        false ->
            {Module, Beam, _} = code:get_object_code(Module),
            {ok, {Module, [{imports, Imports}]}} = beam_lib:chunks(Beam, [imports]),
            needed([Called || {Called, _, _} <- Imports] ++ Rest, [Module | Found])
    end.

%% Runs a test function of a suite in the VM: its failures.
run(VM, Module, Function) ->
    Test = case lists:suffix("_test_", atom_to_list(Function)) of true -> {generator, Module, Function}; false -> {Module, Function} end,
    peer:call(VM, hb_packages_node, run, [Test], 300_000).
