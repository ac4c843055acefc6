#!/usr/bin/env escript
%% usage: scripts/eunit.escript LANES DIRECTORY...
%% Runs the suites of test/, which are compiled in these directories, in so many VMs at a time. Each takes one suite after
%% the other. What a suite prints comes in one piece when it is over. A VM that ends in the middle of a suite fails it, and
%% another takes its place.
-mode(compile).

%% What a VM says at the end of a suite, at the beginning of a line.
-define(OVER, "eunit.escript: this suite is over: ").
%% The longest ones: begun first, so that no VM is left alone with one of them at the end.
-define(LONG, [
    hb_emscripten_images_tests, hb_faults_tests, hb_wasm64_migrate_faults_tests, dev_wasm64_many_tests, hb_wasm64_app_tests,
    hb_wasm64_migrate_tests, hyperbeam_script_tests, hb_wasm64_interrupted_tests, hb_wasm64_state_aos_tests, hb_wasm64_aos_tests
]).

-record(lane, {suite, output = []}).

main([Lanes | Path]) when Path =/= [] ->
    ok = io:setopts([{encoding, unicode}]),
    Found = [list_to_atom(filename:basename(File, ".erl")) || File <- filelib:wildcard("test/*_tests.erl")],
    Suites = [Suite || Suite <- ?LONG, lists:member(Suite, Found)] ++ (Found -- ?LONG),
    Began = erlang:monotonic_time(second),
    Results = start(min(list_to_integer(Lanes), length(Suites)), Suites, Path, #{}, []),
    io:format("~n==== ~s in ~b s~n", [told(Results), erlang:monotonic_time(second) - Began]),
    halt(case [Suite || {Suite, {error, _}} <- Results] of [] -> 0; _ -> 1 end);
main(_) ->
    io:format(standard_error, "usage: scripts/eunit.escript LANES DIRECTORY...~n", []),
    halt(2).

start(0, Suites, Path, Lanes, Results) ->
    run(Suites, Path, Lanes, Results);
start(N, [Suite | Suites], Path, Lanes, Results) ->
    start(N - 1, Suites, Path, Lanes#{begin_with(Suite, Path) => #lane{suite = Suite}}, Results).

run([], _Path, Lanes, Results) when map_size(Lanes) =:= 0 ->
    Results;
run(Suites, Path, Lanes, Results) ->
    receive
        {Port, {data, {eol, <<?OVER, Result/binary>>}}} ->
            #{Port := #lane{suite = Suite, output = Output}} = Lanes,
            Counted = over(Suite, Result, Output),
            case Suites of
                [] ->
                    true = port_close(Port),
                    run([], Path, maps:remove(Port, Lanes), [Counted | Results]);
                [Next | Others] ->
                    true = port_command(Port, [atom_to_list(Next), $\n]),
                    run(Others, Path, Lanes#{Port := #lane{suite = Next}}, [Counted | Results])
            end;
        {Port, {data, {End, Text}}} ->
            #{Port := #lane{output = Output} = Lane} = Lanes,
            Line = case End of eol -> [Text, $\n]; noeol -> Text end,
            run(Suites, Path, Lanes#{Port := Lane#lane{output = [Output, Line]}}, Results);
        {Port, {exit_status, Status}} ->
            #{Port := #lane{suite = Suite, output = Output}} = Lanes,
            Ended = io_lib:format("~n~s: *failed*~nits VM ended with status ~b~n~n", [Suite, Status]),
            Counted = over(Suite, <<"error">>, [Output, Ended]),
            Left = maps:remove(Port, Lanes),
            case Suites of
                [] -> run([], Path, Left, [Counted | Results]);
                [Next | Others] -> run(Others, Path, Left#{begin_with(Next, Path) => #lane{suite = Next}}, [Counted | Results])
            end
    end.

begin_with(Suite, Path) ->
    Loop = io_lib:format(
        "ok = io:setopts([{encoding, unicode}]),"
        "Patient = fun(Suite) ->"
        "    {\"module '\" ++ atom_to_list(Suite) ++ \"'\", [case lists:suffix(\"_test_\", atom_to_list(Name)) of"
        "        true -> {generator, Suite, Name};"
        "        false -> {timeout, 300, {Suite, Name}}"
        "    end || {Name, 0} <- Suite:module_info(exports), re:run(atom_to_list(Name), \"_test_?$\") =/= nomatch]}"
        "end,"
        "Loop = fun Loop() ->"
        "    case io:get_line([]) of"
        "        eof -> halt(0);"
        "        Line ->"
        "            Result = eunit:test(Patient(list_to_atom(string:trim(Line))), [verbose]),"
        "            io:format(\"~~n~s~~p~~n\", [case Result of ok -> ok; _ -> error end]),"
        "            Loop()"
        "    end "
        "end,"
        "Loop()", [?OVER]),
    Args = ["-noshell", "-pa"] ++ Path ++ ["-eval", unicode:characters_to_list(Loop)],
    Options = [{args, Args}, {line, 10_000}, binary, exit_status, stderr_to_stdout, use_stdio],
    Port = open_port({spawn_executable, os:find_executable("erl")}, Options),
    true = port_command(Port, [atom_to_list(Suite), $\n]),
    Port.

over(Suite, Result, Output) ->
    Text = iolist_to_binary(Output),
    io:put_chars(["\n", Text]),
    {Suite, {binary_to_existing_atom(Result), passed(Text)}}.

%% How many tests have passed, of what eunit says at the end.
passed(Text) ->
    Number = fun(Pattern) ->
        case re:run(Text, Pattern, [{capture, [1], list}]) of
            {match, [Count]} -> list_to_integer(Count);
            nomatch -> 0
        end
    end,
    Alone = case re:run(Text, "^  Test passed[.]", [multiline]) of {match, _} -> 1; nomatch -> 0 end,
    Number("(?:All |  )([0-9]+) tests passed[.]") + Number("Passed: ([0-9]+)[.]") + Alone.

told(Results) ->
    Failed = [atom_to_list(Suite) || {Suite, {error, _}} <- Results],
    Passed = lists:sum([Passed || {_, {_, Passed}} <- Results]),
    [io_lib:format("~b tests passed", [Passed]), [[", failed: ", lists:join(", ", lists:sort(Failed))] || Failed =/= []]].
