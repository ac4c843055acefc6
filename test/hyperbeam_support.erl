%% Support for the tests of make hyperbeam: invented checkouts of HyperBEAM's shape, and runs of the script on them.
-module(hyperbeam_support).

-export([with_tree/2, on/2, install/1, install/2, undo/1, undo/2, script/3, make/2, command/2]).
-export([snapshot/1, write/3, read/2, change/4, terms/2, devices/1, kept/2]).

%% A test on a checkout, by the name of the function that Test stands in.
on(Branch, Test) ->
    {name, Name} = erlang:fun_info(Test, name),
    [Function | _] = string:lexemes(atom_to_list(Name), "-/"),
    {Function ++ atom_to_list(Branch), {timeout, 300, fun() -> with_tree(Branch, Test) end}}.

%% Gives Test a checkout in a directory of its own, which is gone afterwards.
with_tree(Branch, Test) ->
    Unique = lists:flatten(io_lib:format("hyperbeam_~s_~b", [os:getpid(), erlang:unique_integer([positive])])),
    Parent = filename:join(os:getenv("TMPDIR", "/tmp"), Unique),
    %% A name that shells and make have to be careful with.
    Dir = filename:join(Parent, "Hyper $BEAM"),
    try
        maps:foreach(fun(Path, Text) -> write(Dir, Path, Text) end, tree(Branch)),
        ok = file:change_mode(filename:join(Dir, "rebar.config"), 8#640),
        Test(Dir)
    after
        ok = file:del_dir_r(Parent)
    end.

install(Dir) -> install(Dir, #{}).
install(Dir, Options) -> run(install, Dir, Options).

undo(Dir) -> undo(Dir, #{}).
undo(Dir, Options) -> run(undo, Dir, Options).

%% What the script does once it has found out what there is: its exit status and all that it says.
run(What, Dir, Options) ->
    load(),
    Ref = make_ref(),
    Defaults = #{
        checkout => Dir,
        library => "/lib/hb_wasm64",
        commit => "c0ffee",
        source => "",
        ref => "",
        dry_run => false,
        tmp => filename:dirname(Dir),
        say => fun(_Device, Line) -> self() ! {Ref, Line} end
    },
    Status = hyperbeam:run(What, maps:merge(Defaults, Options)),
    {Status, lists:flatten(lists:join("\n", said(Ref)))}.

said(Ref) ->
    receive {Ref, Line} -> [Line | said(Ref)]
    after 0 -> []
    end.

load() ->
    case code:is_loaded(hyperbeam) of
        false ->
            Sources = filelib:wildcard(filename:join(hb_support:root(), "scripts/hyperbeam/*.erl")),
            lists:foreach(
                fun(Source) ->
                    {ok, Module, Beam} = compile:file(Source, [binary, report, warnings_as_errors]),
                    {module, Module} = code:load_binary(Module, Source, Beam)
                end, Sources);
        _ ->
            ok
    end.

%% The script itself, with these variables in its environment.
script(What, Dir, Env) ->
    Clean = [{Name, false} || Name <- ["DRY_RUN", "SOURCE", "REF"], not lists:keymember(Name, 1, Env)],
    command([filename:join(hb_support:root(), "scripts/hyperbeam.sh"), What], [{"HB", Dir} | Env] ++ Clean).

%% The same through make, with the variables on its command line.
make(Target, Vars) ->
    %% A make that runs these tests has flags and variables of its own.
    Clean = [{Name, false} || Name <- ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "HB", "DRY_RUN", "SOURCE", "REF"]],
    Said = [Name ++ "=" ++ Value || {Name, Value} <- Vars],
    command([os:find_executable("make"), "-C", hb_support:root(), Target | Said], Clean).

%% Runs a program: its exit status and all that it says.
command([Program | Args], Env) ->
    Port = open_port({spawn_executable, Program},
        [{args, Args}, {env, Env}, exit_status, stderr_to_stdout, binary]),
    output(Port, []).

output(Port, Said) ->
    receive
        {Port, {data, Data}} -> output(Port, [Said, Data]);
        {Port, {exit_status, Status}} -> {Status, unicode:characters_to_list(iolist_to_binary(Said))}
    end.

%% All that is in a directory but git's own: type, mode and content, by path.
snapshot(Dir) -> maps:from_list(snapshot(Dir, "")).

snapshot(Dir, Path) ->
    Full = filename:join(Dir, Path),
    {ok, Names} = file:list_dir_all(Full),
    lists:append([entry(Dir, filename:join([Path || Path =/= ""] ++ [Name])) || Name <- Names, Name =/= ".git"]).

entry(Dir, Path) ->
    Full = filename:join(Dir, Path),
    {ok, Info} = file:read_link_info(Full),
    Mode = element(8, Info) band 8#7777,
    case element(3, Info) of
        directory -> [{Path, {directory, Mode}} | snapshot(Dir, Path)];
        symlink -> [{Path, {symlink, file:read_link(Full)}}];
        regular -> [{Path, {Mode, file:read_file(Full)}}]
    end.

write(Dir, Path, Text) ->
    Full = filename:join(Dir, Path),
    ok = filelib:ensure_dir(Full),
    ok = file:write_file(Full, if is_binary(Text) -> Text; true -> unicode:characters_to_binary(Text) end).

read(Dir, Path) ->
    {ok, Text} = file:read_file(filename:join(Dir, Path)),
    Text.

%% Old, which stands in the file once, becomes New.
change(Dir, Path, Old, New) ->
    Text = read(Dir, Path),
    [_] = binary:matches(Text, iolist_to_binary(Old)),
    write(Dir, Path, binary:replace(Text, iolist_to_binary(Old), iolist_to_binary(New))).

terms(Dir, Path) ->
    {ok, Terms} = file:consult(filename:join(Dir, Path)),
    Terms.

%% The devices that a node of this checkout has.
devices(Dir) ->
    {ok, Module, Beam} = compile:file(filename:join(Dir, "src/hb_opts.erl"), [binary, report]),
    {module, Module} = code:load_binary(Module, "", Beam),
    #{preloaded_devices := Devices} = Module:default(),
    [{Name, Device} || #{<<"name">> := Name, <<"module">> := Device} <- Devices].

%% Where an install keeps what it takes out.
kept(Dir, Path) -> filename:join([Dir, ".hb_wasm64/before", Path]).

tree(Branch) ->
    #{
        "rebar.config" => rebar_config(Branch),
        "rebar.lock" => "{\"1.2.0\",\n[{<<\"fish\">>,{pkg,<<\"fish\">>,<<\"1.0.0\">>},0}]}.\n[\n{pkg_hash,[\n"
            " {<<\"fish\">>, <<\"AB\">>}]}\n].\n",
        "src/hb.app.src" => app(Branch),
        "src/hb_opts.erl" => opts(Branch),
        "src/hb_beamr.erl" => "-module(hb_beamr).\n%% The old one.\n",
        "src/hb_beamr_io.erl" => "-module(hb_beamr_io).\n",
        "src/dev_wasm.erl" => "-module(dev_wasm).\n",
        "native/hb_beamr/hb_beamr.c" => "int old;\n",
        "native/hb_beamr/hb_beamr.o" => <<0, 255, 128>>,
        "native/hb_beamr/include/hb_core.h" => "int core;\n",
        "native/hb_keccak/hb_keccak.c" => "int keccak;\n",
        "Makefile" => "wamr:\n\ttrue\n"
    }.

%% The driver is first of port_specs and its hook last, as upstream; with a comment at each place that is edited.
rebar_config(main) -> "
{erl_opts, [debug_info]}. % Grüße
{profiles, [{more, [{deps, [{quick, \"1.0.0\"}]}]}]}.
{pre_hooks, [
    {compile, \"bash -c \\\"echo hi > ${REBAR_ROOT_DIR}/_build/hi\\\"\"}, % first
\t{compile, \"make -C \\\"${REBAR_ROOT_DIR}\\\" wamr\"} % builds WAMR
]}.

{port_env, [
\t{\"(linux|darwin)\", \"CFLAGS\",
\t\t\"$CFLAGS -I${REBAR_ROOT_DIR}/_build/wamr/core/include -I/opt/include\"},
\t{\"(linux|darwin)\", \"LDFLAGS\", \"$LDFLAGS -L${REBAR_ROOT_DIR}/_build/wamr/lib -lvmlib -lei\"}
]}.
{post_hooks, [
    { compile, \"rm -f native/hb_beamr/*.o native/hb_beamr/*.d\"}, % sweep
    { compile, \"rm -f native/hb_keccak/*.o\"}
]}.
{port_specs, [
\t{\"./priv/hb_beamr.so\", [
        \"./native/hb_beamr/hb_beamr.c\" % the driver, with its
    ]},
\t%% Hashes.
\t{\"./priv/hb_keccak.so\", [\"./native/hb_keccak/hb_keccak.c\"]}
]}.

{deps, [
\t%% The first.
\t{fish, \"1.0.0\"},
    {bird, {git, \"https://example.org/bird\", {ref, \"abc\"}}} % the last
]}.
{relx, [
\t{release, {'hb', \"0.0.1\"}, [hb, fish, bird]},
\t{include_erts, true}
]}.";
%% The same things in another order and layout.
rebar_config(edge) -> "{relx, [{include_erts, true}, {release, {hb, \"0.0.1\"},
    [
        fish,
        hb
    ], [{dev_mode, true}]}, {release, {other, \"1\"}, [fish]}]}.
{deps, [fish, bird]}.
{port_specs, [{\"./priv/hb_keccak.so\", [\"./native/hb_keccak/hb_keccak.c\"]},
              {\"linux\", \"priv/hb_beamr.so\", [\"native/hb_beamr/*.c\"]}]}.
{port_env, [{\"LDFLAGS\", \"-lvmlib -L${REBAR_ROOT_DIR}/_build/wamr/lib\"}]}.
{pre_hooks, [{\"linux\", compile, \"make wamr\"}, {compile, \"make other\"}]}.
".

app(main) -> "{application, hb, [
    {vsn, \"0.0.1\"},
    {applications, [
        kernel,
        stdlib,
        fish % swims
    ]},
    {modules, []}
]}.";
app(edge) -> "{application, hb, [{applications, [kernel, stdlib]}, {modules, []}]}.\r\n".

opts(main) -> "-module(hyperbeam_test_opts).
-export([default/0]).
default() ->
    #{
        %% dev_wasm is the last one.
        preloaded_devices => [
            #{<<\"name\">> => <<\"wasi@1.0\">>, <<\"module\">> => dev_wasi},
            #{<<\"name\">> => <<\"wasm-64@1.0\">>, <<\"module\">> => dev_wasm}
        ],
        port => 8734
    }.
";
opts(edge) -> "-module(hyperbeam_test_opts).
-export([default/0]).
-define(HERE, wherever()).
wherever() -> #{}.
default() -> #{port => 1, preloaded_devices =>
    [#{<<\"module\">> => dev_wasm, <<\"name\">> => <<\"wasm-64@1.0\">>}, ?HERE,
     #{<<\"name\">> => <<\"stack@1.0\">>, <<\"module\">> => dev_stack}]}.
".
