%% Programs as compilers make them: C, C++, Rust, Zig, Go, AssemblyScript. They
%% run to their end with nobody to answer an import, and print what they print in
%% Node.js (test/guests/wasi/*.out).
-module(hb_wasi_programs_tests).

-include_lib("eunit/include/eunit.hrl").

-define(TIME, 1_700_000_000_000).

directory() -> filename:join(hb_support:root(), "test/guests/wasi").

image(Name) ->
    {ok, Zipped} = file:read_file(filename:join(directory(), Name ++ ".wasm.gz")),
    zlib:gunzip(Zipped).

given(Arguments) ->
    {ok, Input} = file:read_file(filename:join(directory(), "input.txt")),
    #{args => Arguments, env => [{<<"GREETING">>, <<"hello">>}], stdin => Input, seed => <<"seed">>, time => ?TIME}.

options() -> #{time => ?TIME, timeout => 60_000}.

%% What a program has printed, and its status.
printed(Handle, Result) ->
    {ok, #{stdout := Output, stderr := Errors}} = hb_wasm64:output(Handle),
    Status = case Result of {ok, []} -> 0; {error, {exit, Number}} -> Number end,
    iolist_to_binary([Output, "---- error output\n", Errors, io_lib:format("---- status ~b\n", [Status])]).

programs_print_what_they_print_in_node_test_() ->
    {ok, Runs} = file:read_file(filename:join(directory(), "runs.txt")),
    [
        {timeout, 600, {binary_to_list(Name), fun() ->
            {ok, Wanted} = file:read_file(filename:join(directory(), <<Name/binary, ".out">>)),
            {ok, H} = hb_wasm64:start(image(binary_to_list(Program)), given(Arguments)),
            ?assertEqual({ok, wasi}, hb_wasm64:host(H)),
            ?assertEqual(Wanted, printed(H, hb_wasm64:call(H, "_start", [], options())))
        end}}
     || Line <- binary:split(Runs, <<"\n">>, [global, trim_all]),
        [Name, Program | Arguments] <- [binary:split(Line, <<" ">>, [global])]
    ].

%% The same source, for 64-bit memories.
zig_has_pointers_of_64_bits_test() ->
    {ok, Wanted} = file:read_file(filename:join(directory(), "zig.out")),
    {ok, H} = hb_wasm64:start(image("program_zig64"), given([<<"a">>, <<"b">>])),
    Printed = printed(H, hb_wasm64:call(H, "_start", [], options())),
    ?assertEqual(binary:replace(Wanted, <<"usize has 32 bits">>, <<"usize has 64 bits">>), Printed).

%%% The start

the_start_runs_a_program_where_it_is_told_to_test() ->
    {ok, Wanted} = file:read_file(filename:join(directory(), "rust_input.out")),
    Given = given([<<"input">>]),
    {ok, H} = hb_wasm64:start(image("program_rs"), Given#{initialize => main}),
    ?assertEqual(Wanted, printed(H, {ok, []})),
    ?assertEqual({error, {exit, 9}}, hb_wasm64:start(image("program_rs"), (given([<<"exit">>, <<"9">>]))#{initialize => main})).

%% Go ends every program by proc_exit.
a_program_that_ends_itself_with_0_has_ended_well_test() ->
    Text = "(i)",
    Image = hb_import_image:forwarding([{"wasi_snapshot_preview1", "proc_exit", Text, x}], 32),
    {ok, H} = hb_wasm64:start(Image),
    ?assertEqual({error, {exit, 0}}, hb_wasm64:call(H, "wasi_snapshot_preview1.proc_exit", [0])).

%% It has left its frames behind, and later calls have all of the stack.
the_stack_is_as_before_after_a_program_has_ended_itself_test_() ->
    Globals = fun(H) ->
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        #{globals := [_ | _] = Globals} = hb_snapshot:decode(Snapshot),
        Globals
    end,
    {timeout, 300, fun() ->
        {ok, H} = hb_wasm64:start(image("files"), given([<<"/">>])),
        Before = Globals(H),
        {error, {exit, 7}} = hb_wasm64:call(H, "_start", [], options()),
        ?assertEqual(Before, Globals(H)),
        {ok, Main} = hb_wasm64:start(image("program_rs"), (given([<<"input">>]))#{initialize => main}),
        {ok, Fresh} = hb_wasm64:start(image("program_rs"), given([<<"input">>])),
        ?assertEqual(Globals(Fresh), Globals(Main))
    end}.

%%% The same bytes, however it is run

%% In slices of any length, and in an instance that starts from a snapshot.
results_depend_on_nothing_else_test_() ->
    {timeout, 600, fun() ->
        Run = fun(Program, Arguments, Slice) ->
            ok = hb_wasm64:time_slice(Slice),
            {ok, H} = hb_wasm64:start(image(Program), given(Arguments)),
            {ok, Before} = hb_wasm64:snapshot(H),
            {ok, Twin} = hb_wasm64:start(image(Program), #{snapshot => Before}),
            [Same, Same] = [
                begin
                    Printed = printed(Each, hb_wasm64:call(Each, "_start", [], options())),
                    {Printed, element(2, {ok, _} = hb_wasm64:snapshot(Each))}
                end
             || Each <- [H, Twin]
            ],
            Same
        end,
        try
            [
                ?assertEqual(Run(Program, Arguments, 100), Run(Program, Arguments, 10_000))
             || {Program, Arguments} <- [{"program_rs", [<<"maps">>]}, {"program_rs", [<<"files">>]}, {"files", [<<"/">>]}]
            ]
        after
            hb_wasm64:time_slice(1000)
        end
    end}.

%% Of a program that leaves files behind, and has read half of its input.
state_comes_along_test() ->
    {ok, H} = hb_wasm64:start(image("program_rs"), given([<<"files">>])),
    {ok, []} = hb_wasm64:call(H, "_start", [], options()),
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    {ok, Twin} = hb_wasm64:start(image("program_rs"), #{snapshot => Snapshot}),
    {ok, Fork} = hb_wasm64:fork(H),
    [?assertEqual({ok, Snapshot}, hb_wasm64:snapshot(Each)) || Each <- [H, Twin, Fork]].

%%% The device

%% On every node the same, as its random bytes are made of the message.
a_program_runs_as_a_process_test_() ->
    dev_wasm64_support:on_both(?FUNCTION_NAME, fun() ->
        Run = fun(Slot) ->
            M = dev_wasm64_support:started(image("program_rs"), #{}),
            Message = #{
                <<"path">> => <<"compute">>, <<"function">> => <<"_start">>, <<"slot">> => Slot, <<"timestamp">> => ?TIME
            },
            {ok, After} = hb_ao:resolve(M, Message, #{}),
            ?assertEqual([error, <<"exit: 2">>], dev_wasm64_support:result({ok, After})),
            {ok, #{stderr := Errors}} = hb_wasm64:output(dev_wasm64:instance(After, #{}, #{})),
            Errors
        end,
        ?assertEqual(<<"nothing to do for None\n">>, Run(1)),
        ?assertEqual(Run(1), Run(1))
    end).

random_bytes_of_a_process_are_of_the_message_test_() ->
    dev_wasm64_support:on_both(?FUNCTION_NAME, fun() ->
        Image = hb_import_image:forwarding([{"wasi_snapshot_preview1", "random_get", "(ii)i", x}], 32),
        Run = fun(Slot, Keys) ->
            M = dev_wasm64_support:started(Image),
            Message = #{
                <<"path">> => <<"compute">>, <<"function">> => <<"wasi_snapshot_preview1.random_get">>,
                <<"parameters">> => [64, 16], <<"slot">> => Slot
            },
            {ok, After} = hb_ao:resolve(M, maps:merge(Message, Keys), #{}),
            ?assertEqual([ok, [0]], dev_wasm64_support:result({ok, After})),
            {ok, Bytes} = hb_wasm64:read(dev_wasm64:instance(After, #{}, #{}), 64, 16),
            Bytes
        end,
        Bytes = Run(1, #{}),
        ?assertNotEqual(<<0:128>>, Bytes),
        ?assertEqual(Bytes, Run(1, #{<<"of-this-node">> => make_ref()})),
        ?assertEqual(Bytes, Run(<<"1">>, #{})),
        ?assertEqual(4, length(lists:usort([Bytes, Run(2, #{}), Run(1, #{<<"timestamp">> => 5}), Run(1, #{<<"hash-chain">> => <<"x">>})])))
    end).

%%% AssemblyScript without WASI

what_a_module_of_assemblyscript_throws_is_told_test() ->
    {ok, H} = hb_wasm64:start(image("throws")),
    ?assertEqual({ok, assemblyscript}, hb_wasm64:host(H)),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "add", [1, 2])),
    ?assertEqual({ok, [2]}, hb_wasm64:call(H, "fail", [2])),
    Message = fun(Func, Arg) ->
        {error, {trap, #{code := abort, message := Message}}} = hb_wasm64:call(H, Func, [Arg]),
        Message
    end,
    ?assertEqual(<<"aborted: too many: 3 in throws.ts:7:14">>, Message("fail", 3)),
    ?assertEqual(<<"aborted: n is below ten in throws.ts:12:3">>, Message("check", 10)),
    [?assertEqual({ok, []}, hb_wasm64:call(H, Func, [7])) || Func <- ["log", "said"]],
    ?assertEqual({ok, #{stdout => <<"traced 7 0.5\n">>, stderr => <<>>}}, hb_wasm64:output(H)),
    {ok, []} = hb_wasm64:call(H, "log", [-1]),
    ?assertEqual({ok, #{stdout => <<"n is -1\n">>, stderr => <<>>}}, hb_wasm64:output(H)),
    %% Somebody else may serve it.
    Log = fun(Said, #{func := "console.log", instance := Scope, args := [At]}, _) ->
        {ok, <<Size:32/little>>} = hb_wasm64:read(Scope, At - 4, 4),
        {ok, Text} = hb_wasm64:read(Scope, At, Size),
        {ok, [], [unicode:characters_to_binary(Text, {utf16, little}) | Said]}
    end,
    ?assertEqual({ok, [], [<<"n is 5">>]}, hb_wasm64:call(H, "log", [5], Log, [], #{intercept => ["env"]})).

%% A name is not enough.
an_import_of_another_type_is_no_function_of_assemblyscript_test() ->
    Image = hb_import_image:forwarding([{"env", "abort", "(i)i", x}, {"env", "console.log", "(i)", x}], 32),
    ?assertEqual({ok, none}, hb_wasm64:host(element(2, hb_wasm64:start(Image)))),
    {ok, H} = hb_wasm64:start(Image),
    Abort = fun(none, #{func := "abort", args := [N]}, _) -> {ok, [N + 1], none} end,
    ?assertEqual({ok, [6], none}, hb_wasm64:call(H, "env.abort", [5], Abort, none, #{})).
