%% @doc The engine of a package: where HyperBEAM has loaded a device from a package, which holds modules of devices and
%% files, this brings the application `hb_wasm64' out of the package's files and loads it. Elsewhere the application is there
%% already, and this does nothing.
%%
%% A NIF cannot be loaded from where HyperBEAM puts the files of a package: any node that starts with the same folder writes them
%% again, and a library that is mapped must not be written to. So the files are a zip of the application and its hash; the zip is
%% unpacked beside them, under a name made of the hash: aside, then renamed, and never written to again. What a
%% node reads while another writes does not have the hash, and is read once more.
%%
%% A VM has one engine. One that is there already is used if it is of the same series and not older. Where the engine cannot be
%% had the module does not load, so that the node has no device of this package; the reason is logged, and nothing
%% else has changed.
%%
%% The zip also has modules with the names of HyperBEAM's C driver, `hb_beamr' and `hb_beamr_io', so that other devices can read and write the
%% memory of our instances. They take the place of the node's, unless an instance of the C driver lives, or the operator says no:
%% with `HB_WASM64_DROP_IN=no' in the environment, or `false' for `drop_in' in that of the application `hb_wasm64'.
-module(lib_wasm64_package).

-export([engine/1, drop_in/1]).

-on_load(load/0).

-include_lib("kernel/include/logger.hrl").

-define(INFO, "hb_wasm64.term").
-define(ZIP, "hb_wasm64.zip").
-define(META, #{library => hb_wasm64}).
%% Looks at files that another node may be writing, and the milliseconds between two.
-define(LOOKS, 100).
-define(PAUSE, 50).

-type info() :: #{version := string(), architecture := string(), sha256 := string()}.

load() ->
    case is_packaged() of
        true -> load(hb_device_archive:implementation_dir(?MODULE));
        false -> ok
    end.

%% Forge renames the modules of a package.
is_packaged() -> lists:prefix("_hb_device_", atom_to_list(?MODULE)).

load(Dir) ->
    %% Two packages of one node may be loaded at once.
    case global:trans({?INFO, self()}, fun() -> engine(Dir) end, [node()]) of
        ok ->
            ok;
        {error, Text} ->
            ?LOG_ERROR("~ts", [Text], ?META),
            {error, Text}
    end.

%% @doc Loads the engine from the files of a package in `Dir', or finds that the one that the node has fits.
-spec engine(file:filename_all()) -> ok | {error, unicode:chardata()}.
engine(Dir) ->
    case read(Dir, ?LOOKS) of
        {ok, Info, Zip} ->
            %% Loaded, or a dependency of the node.
            case code:which(hb_wasm64_nif) of
                non_existing -> bring(Dir, Info, Zip);
                _ ->
                    case code:ensure_loaded(hb_wasm64_nif) of
                        {module, hb_wasm64_nif} -> fits(Info, version());
                        {error, Reason} -> {error, refused({dependency, Reason}, Info)}
                    end
            end;
        {error, Reason} ->
            {error, io_lib:format("hb_wasm64: ~ts and ~ts of the package cannot be read in ~ts: ~0p", [?INFO, ?ZIP, Dir, Reason])}
    end.

%%% The files

-spec read(file:filename_all(), pos_integer()) -> {ok, info(), binary()} | {error, term()}.
read(Dir, Looks) ->
    case {file:consult(filename:join(Dir, ?INFO)), file:read_file(filename:join(Dir, ?ZIP))} of
        {{ok, [#{sha256 := Hash} = Info]}, {ok, Zip}} ->
            case hex(crypto:hash(sha256, Zip)) of
                Hash -> {ok, Info, Zip};
                _ -> read_again(Dir, Looks, "the hash of the zip is another")
            end;
        {{error, enoent}, _} -> {error, enoent};
        {_, {error, Reason}} -> {error, Reason};
        {{error, Reason}, _} -> read_again(Dir, Looks, Reason);
        _ -> read_again(Dir, Looks, "no description")
    end.

read_again(_Dir, 1, Reason) ->
    {error, Reason};
read_again(Dir, Looks, _Reason) ->
    timer:sleep(?PAUSE),
    read(Dir, Looks - 1).

hex(Bytes) -> lists:flatten([io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= Bytes]).

%% The directory with what is in the zip: that which another node has made, or a new one.
unpacked(Dir, #{sha256 := Hash}, Zip) ->
    {ok, Files} = zip:unzip(Zip, [memory]),
    Name = filename:join(filename:dirname(Dir), "hb_wasm64_" ++ lists:sublist(Hash, 16)),
    unpacked([Name | [Name ++ "_" ++ integer_to_list(N) || N <- lists:seq(2, 9)]], Files).

unpacked([], _Files) ->
    {error, "no place for the engine: all of its directories have been changed"};
unpacked([Place | Others], Files) ->
    case filelib:is_dir(Place) of
        false -> make(Place, Others, Files);
        true -> kept(Place, Others, Files)
    end.

%% A machine that loses its power may keep a name without the content.
kept(Place, Others, Files) ->
    case lists:all(fun({File, Bytes}) -> file:read_file(filename:join(Place, File)) =:= {ok, Bytes} end, Files) of
        true -> {ok, Place};
        false -> unpacked(Others, Files)
    end.

make(Place, Others, Files) ->
    Aside = lists:concat([Place, "_new_", os:getpid(), "_", erlang:unique_integer([positive])]),
    case write(Aside, Files) of
        ok ->
            case file:rename(Aside, Place) of
                ok ->
                    {ok, Place};
                {error, Reason} ->
                    _ = file:del_dir_r(Aside),
                    case filelib:is_dir(Place) of
                        %% Another node was faster.
                        true -> kept(Place, Others, Files);
                        false -> {error, Reason}
                    end
            end;
        {error, _} = Error ->
            _ = file:del_dir_r(Aside),
            Error
    end.

write(_Dir, []) ->
    ok;
write(Dir, [{File, Bytes} | Rest]) ->
    Path = filename:join(Dir, File),
    case filelib:ensure_dir(Path) of
        ok ->
            case file:write_file(Path, Bytes) of
                ok -> write(Dir, Rest);
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

%%% The engine

bring(Dir, #{version := Version} = Info, Zip) ->
    case unpacked(Dir, Info, Zip) of
        {ok, Place} ->
            Ebin = filename:join([Place, "hb_wasm64-" ++ Version, "ebin"]),
            true = code:add_patha(Ebin),
            case load_application(Version) of
                ok ->
                    _ = drop_in(filename:join([Place, "hb_wasm64_drop_in-" ++ Version, "ebin"])),
                    ok;
                {error, Reason} ->
                    true = code:del_path(Ebin),
                    {error, refused(Reason, Info)}
            end;
        {error, Reason} ->
            {error, io_lib:format("hb_wasm64: the engine cannot be unpacked beside ~ts: ~0p", [Dir, Reason])}
    end.

load_application(Version) ->
    _ = application:load(hb_wasm64),
    case application:get_key(hb_wasm64, vsn) of
        {ok, Version} ->
            {ok, Modules} = application:get_key(hb_wasm64, modules),
            load_modules([hb_wasm64_nif | lists:delete(hb_wasm64_nif, Modules)], []);
        {ok, Other} ->
            {error, {version, Other}};
        undefined ->
            {error, no_application}
    end.

%% Whatever mode the code server is in.
load_modules([], _Loaded) ->
    ok;
load_modules([Module | Modules], Loaded) ->
    case code:load_file(Module) of
        {module, Module} ->
            load_modules(Modules, [Module | Loaded]);
        {error, Reason} ->
            _ = [code:delete(Other) andalso code:purge(Other) || Other <- Loaded],
            _ = application:unload(hb_wasm64),
            {error, {Module, Reason}}
    end.

version() ->
    _ = application:load(hb_wasm64),
    case application:get_key(hb_wasm64, vsn) of
        {ok, Version} -> Version;
        undefined -> "unknown"
    end.

%% Versions of one series have the same first number that is not zero, and what stands before it.
fits(#{version := Needed} = Info, Loaded) ->
    case {numbers(Needed), numbers(Loaded)} of
        {[0, Series, Patch], [0, Series, Other]} when Other >= Patch -> ok;
        {[Series | Patch], [Series | Other]} when Series > 0, Other >= Patch -> ok;
        _ -> {error, refused({version, Loaded}, Info)}
    end.

numbers(Version) ->
    try
        [list_to_integer(Part) || Part <- string:lexemes(Version, ".")]
    catch
        error:badarg -> []
    end.

refused({version, Loaded}, #{version := Needed}) ->
    io_lib:format(
        "hb_wasm64: the package needs the engine ~ts, and this node has ~ts. The node goes on with that. Restart "
        "it, with packages of one version; a node that has hb_wasm64 as a dependency needs no package.",
        [Needed, Loaded]
    );
refused({hb_wasm64_nif, _}, #{architecture := Architecture}) ->
    io_lib:format(
        "hb_wasm64: the library of the package was built on ~ts and cannot be loaded on this node, ~ts, OTP ~ts: ~0tp. Use a "
        "package that was built on a machine like this, with the same libc or an older one: `make device' builds one.",
        [
            Architecture, erlang:system_info(system_architecture), erlang:system_info(otp_release),
            persistent_term:get(hb_wasm64_nif, unknown)
        ]
    );
refused({dependency, Reason}, _Info) ->
    io_lib:format(
        "hb_wasm64: this node has hb_wasm64 as a dependency, which cannot be loaded: ~0p, ~0tp. Build it on this machine, or take it "
        "out, so that the package's is used.",
        [Reason, persistent_term:get(hb_wasm64_nif, unknown)]
    );
refused(Reason, _Info) ->
    io_lib:format("hb_wasm64: the engine of the package cannot be loaded: ~0p", [Reason]).

%%% The names of the C driver

%% @doc Puts `hb_beamr' and `hb_beamr_io' of a directory in the place of the node's. The answer says why not, if not.
-spec drop_in(file:filename_all()) -> ok | refused | in_use.
drop_in(Ebin) ->
    Modules = [hb_beamr, hb_beamr_io],
    case is_allowed() of
        false ->
            refused;
        true ->
            case is_driver_in_use() orelse not lists:all(fun code:soft_purge/1, Modules) of
                true ->
                    ?LOG_WARNING(
                        "hb_wasm64: instances of the C driver are running, so hb_beamr and hb_beamr_io stay the node's: other "
                        "devices cannot reach the memory of ours. After a restart they can.",
                        [], ?META
                    ),
                    in_use;
                false ->
                    true = code:add_patha(Ebin),
                    _ = [{module, Module} = code:load_file(Module) || Module <- Modules],
                    ok
            end
    end.

is_allowed() ->
    not lists:member(os:getenv("HB_WASM64_DROP_IN"), ["no", "false", "0"]) andalso
        application:get_env(hb_wasm64, drop_in, true) =/= false.

is_driver_in_use() ->
    lists:any(fun(Port) -> erlang:port_info(Port, name) =:= {name, "hb_beamr"} end, erlang:ports()).
