%% What docs/wasi.md says of building programs: each line is run where its compiler is, and the program that comes of it.
-module(hb_wasi_compilers_tests).

-include_lib("eunit/include/eunit.hrl").

-define(TIME, 1_700_000_000_000).

%% By the first word of a line that is no variable: what asks whether the compiler is there, and which run of runs.txt is its
%% program's.
compiler("clang-16") -> {"clang-16 --version && test -d /usr/include/wasm32-wasi", "files", [<<"/">>, <<"words">>]};
compiler("clang++-16") -> {"clang++-16 --version && test -d /usr/include/wasm32-wasi/c++/v1", "streams", []};
compiler("rustc") ->
    {"test -d $(rustc --print sysroot)/lib/rustlib/wasm32-wasip1/lib", "rust_maps", [<<"maps">>]};
compiler("python3") -> {"python3 -m ziglang version", "zig", [<<"a">>, <<"b">>]};
compiler("go") -> {"go version", "go", [<<"a">>, <<"b">>]};
compiler("npx") -> {"test -d node_modules/@assemblyscript/wasi-shim", "assemblyscript", [<<"a">>, <<"b">>]}.

every_line_makes_a_program_that_runs_test_() ->
    {ok, Page} = file:read_file(filename:join(hb_support:root(), "docs/wasi.md")),
    {match, Lines} = re:run(Page, "```sh\n(.*?)\n```", [global, dotall, {capture, [1], list}]),
    ?assertEqual(6, length(Lines)),
    [line(Line) || [Line] <- Lines].

line(Line) ->
    [Command | _] = [Word || Word <- string:lexemes(Line, " "), not lists:member($=, Word)],
    {IsThere, Name, Arguments} = compiler(Command),
    Test = {Name, {timeout, 600, fun() -> builds_and_runs(Line, Name, Arguments) end}},
    case succeeds(IsThere) of
        true -> Test;
        false -> hb_support:not_run(Test, fun succeeds/1, ["there is no compiler for: ", Command])
    end.

builds_and_runs(Line, Name, Arguments) ->
    Dir = filename:join("/tmp", "hb_wasi_" ++ os:getpid() ++ "_" ++ Name),
    Program = filename:join(Dir, "program.wasm"),
    ok = filelib:ensure_dir(Program),
    ?assert(succeeds(string:replace(Line, "program.wasm", Program, all))),
    {ok, Image} = file:read_file(Program),
    ok = file:del_dir_r(Dir),
    {ok, Input} = file:read_file(filename:join(hb_support:root(), "test/guests/wasi/input.txt")),
    {ok, H} = hb_wasm64:start(Image, #{
        args => Arguments, env => [{<<"GREETING">>, <<"hello">>}], stdin => Input, seed => <<"seed">>
    }),
    _ = hb_wasm64:call(H, "_start", [], #{time => ?TIME}),
    {ok, Expected} = file:read_file(filename:join([hb_support:root(), "test/guests/wasi", Name ++ ".out"])),
    [Output, _] = binary:split(Expected, <<"---- error output">>),
    ?assertMatch({ok, #{stdout := Output}}, hb_wasm64:output(H)).

%% Run in the project's directory.
succeeds(Command) ->
    Script = io_lib:format("cd '~ts' && { ~ts; } >/dev/null 2>&1 && echo yes", [hb_support:root(), Command]),
    os:cmd(unicode:characters_to_list(Script)) =:= "yes\n".
