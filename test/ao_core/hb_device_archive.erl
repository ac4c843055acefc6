%% @doc Where the files of a package are: the kernel's answer to a module of the package.
-module(hb_device_archive).

-export([implementation_dir/1, load/3]).

%% @doc The directory with the files of the package that a module belongs to.
-spec implementation_dir(module()) -> file:filename().
implementation_dir(Module) ->
    [Root | _] = string:split(atom_to_list(Module), "__"),
    filename:join(root(), Root).

root() -> os:getenv("HB_DEVICE_IMPLEMENTATION_DIR", "_build/device-implementations").

%% @doc Loads the modules of an archive, root first and one after the other, after its other files were written: in place, each
%% time.
-spec load(module(), binary(), map()) -> {ok, module()} | {error, term()}.
load(Root, Archive, _Opts) ->
    {ok, Entries} = zip:unzip(Archive, [memory]),
    Dir = implementation_dir(Root),
    ok = write([{filename:join(Dir, File), Bytes} || {"priv/" ++ File, Bytes} <- Entries]),
    Modules = [{list_to_atom(filename:basename(File, ".beam")), File, Beam} || {"ebin/" ++ _ = File, Beam} <- Entries],
    load_modules([M || {Module, _, _} = M <- Modules, code:is_loaded(Module) =:= false], Root).

write([]) ->
    ok;
write([{File, Bytes} | Rest]) ->
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Bytes),
    write(Rest).

load_modules([], Root) ->
    {ok, Root};
load_modules([{Module, File, Beam} | Rest], Root) ->
    case code:load_binary(Module, File, Beam) of
        {module, Module} -> load_modules(Rest, Root);
        {error, Reason} -> {error, {Module, Reason}}
    end.
