#!/usr/bin/env escript
%% Called by device.sh: makes the folders of the packages out of the compiled application and the sources of the device.

main([]) ->
    [Out, Library] = [os:getenv(Name) || Name <- ["OUT", "TMP_SO"]],
    Ebin = ebin(),
    {ok, [{application, hb_wasm64, Keys}]} = file:consult(filename:join(Ebin, "hb_wasm64.app")),
    {vsn, Version} = lists:keyfind(vsn, 1, Keys),
    Zip = zip(Version, Keys, Ebin, Library),
    Hash = lists:flatten([io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= crypto:hash(sha256, Zip)]),
    Info = #{version => Version, sha256 => Hash, architecture => erlang:system_info(system_architecture)},
    Folders = [{"wasm-64", "dev_wasm64"}, {"wasm64", "dev_wasm64"}, {"genesis-wasm", "dev_genesis_wasm64"}],
    [folder(Out, Name, Root, Version, Zip, Info) || {Name, Root} <- Folders],
    io:format(
        "device: ~ts in ~ts, for ~ts: engine ~ts, ~.1f MB zipped, ~.1f MB unpacked~n",
        [
            lists:join(", ", [Name || {Name, _} <- Folders]), Out, maps:get(architecture, Info), Version,
            byte_size(Zip) / 1.0e6, filelib:file_size(Library) / 1.0e6
        ]
    ).

ebin() ->
    Dir = os:getenv("EBIN", "_build/default/lib/hb_wasm64/ebin"),
    filelib:is_dir(Dir) orelse fail("the application is not compiled. To compile it: make"),
    Dir.

%%% The engine: the application without devices, and the names of the C driver apart from it

zip(Version, Keys, Ebin, Library) ->
    {modules, All} = lists:keyfind(modules, 1, Keys),
    DropIn = [hb_beamr, hb_beamr_io],
    Modules = [Module || Module <- All -- DropIn, not is_of_device(Module)],
    App = {application, hb_wasm64, lists:keyreplace(modules, 1, Keys, {modules, Modules})},
    Root = "hb_wasm64-" ++ Version,
    Names = "hb_wasm64_drop_in-" ++ Version,
    Files =
        [{filename:join([Root, "ebin", "hb_wasm64.app"]), unicode:characters_to_binary(io_lib:format("~tp.~n", [App]))}] ++
        [{filename:join([Root, "ebin", beam(Module)]), stripped(Ebin, Module)} || Module <- Modules] ++
        [{filename:join([Names, "ebin", beam(Module)]), stripped(Ebin, Module)} || Module <- DropIn] ++
        [{filename:join([Root, "priv", "hb_wasm64_nif.so"]), read(Library)}],
    %% The same bytes for the same files.
    Time = {{1980, 1, 1}, {0, 0, 0}},
    Options = [memory | [{extra, []} || erlang:system_info(otp_release) >= "26"]],
    {ok, {_, Zip}} = zip:create("hb_wasm64.zip", [{File, Bytes, info(Bytes, Time)} || {File, Bytes} <- Files], Options),
    Zip.

is_of_device(Module) -> lists:any(fun(Prefix) -> lists:prefix(Prefix, atom_to_list(Module)) end, ["dev_", "lib_"]).

beam(Module) -> atom_to_list(Module) ++ ".beam".

%% Without what differs from one directory to the next.
stripped(Ebin, Module) ->
    {ok, {Module, Beam}} = beam_lib:strip(read(filename:join(Ebin, beam(Module)))),
    Beam.

info(Bytes, Time) ->
    {file_info, byte_size(Bytes), regular, read_write, Time, Time, Time, 8#100644, 1, 0, 0, 0, 0, 0}.

%%% A folder

folder(Out, Name, Root, Version, Zip, Info) ->
    Dir = filename:join(Out, Name),
    _ = file:del_dir_r(Dir),
    Sources = filelib:wildcard("erl_src/devices/{" ++ Root ++ "," ++ Root ++ "_*,lib_wasm64_*}.erl"),
    [write([Dir, "src", filename:basename(File)], source(Name, filename:basename(File), read(File))) || File <- Sources],
    write([Dir, "src", "wasm64_device.app.src"], io_lib:format("~tp.~n", [app(Name, Version)])),
    write([Dir, "priv", "hb_wasm64.term"], io_lib:format("~tp.~n", [Info])),
    write([Dir, "priv", "hb_wasm64.zip"], Zip),
    write([Dir, "rebar.config"], rebar_config()),
    write([Dir, "README.md"], readme(Name, Root)).

%% A package implements one name.
source(Name, "dev_wasm64.erl", Source) ->
    Declared = <<"-implements(<<\"wasm-64@1.0\">>).">>,
    [_, _] = binary:split(Source, Declared),
    binary:replace(Source, Declared, iolist_to_binary(["-implements(<<\"", Name, "@1.0\">>)."]));
source(_Name, _File, Source) ->
    Source.

app(Name, Version) ->
    {application, wasm64_device, [
        {description, Name ++ "@1.0 for HyperBEAM"}, {vsn, Version}, {registered, []}, {applications, [kernel, stdlib, hb]},
        {env, []}, {modules, []}
    ]}.

rebar_config() ->
    Ref =
        case os:getenv("HB_REF", "") of
            "" -> "{branch, \"edge\"}";
            Commit -> "{ref, \"" ++ Commit ++ "\"}"
        end,
    [
        "{erl_opts, [debug_info]}.\n\n"
        "{deps, [{hb, {git, \"https://github.com/permaweb/HyperBEAM.git\", ", Ref, "}}]}.\n\n"
        "{overrides, [\n    {override, cowboy, [{deps, [cowlib, ranch]}]},\n    {override, gun, [{deps, [cowlib]}]}\n]}.\n\n"
        "%% The packager, of the same commit.\n"
        "{plugins, [\n    {plugin, {git_subdir, \"https://github.com/permaweb/HyperBEAM.git\", ", Ref, ", \"src/forge\"}}\n]}.\n"
    ].

readme(Name, Root) ->
    [
        "# ", Name, "@1.0\n\n"
        "A device of HyperBEAM that runs WebAssembly. Made by `make device` of hb_wasm64, whose `docs/hyperbeam.md` tells how to\n"
        "install it.\n\n"
        "```\nrebar3 device package\nrebar3 device verify\nrebar3 device test\nrebar3 device publish --key wallet.json\n```\n\n"
        "`priv/hb_wasm64.zip` is the engine; it is for machines like the one that made this folder: `priv/hb_wasm64.term` says\n"
        "which. What the device does stands at the top of `src/", Root, ".erl`.\n"
    ].

read(File) ->
    case file:read_file(File) of
        {ok, Bytes} -> Bytes;
        {error, Reason} -> fail(io_lib:format("~ts: ~ts", [File, file:format_error(Reason)]))
    end.

write(Parts, Content) ->
    File = filename:join(Parts),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Content).

fail(Text) ->
    io:format(standard_error, "device: ~ts~n", [Text]),
    halt(1).
