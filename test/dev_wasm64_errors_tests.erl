%% Computes of dev_wasm64 that fail: what a guest does wrong is a result that
%% every node finds, what the node could not do is none.
-module(dev_wasm64_errors_tests).

-include_lib("eunit/include/eunit.hrl").
-include("dev_wasm64.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, base/1, started/1, started/2, compute/3, compute/4, result/1]).
-import(dev_wasm64_support, [instance/1, brief/1, library/1]).

%%% Results

%% The texts are part of what nodes agree on: whoever changes one changes the results of processes.
what_a_guest_does_wrong_is_a_result_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            ?assertEqual({Row, [error, Text]}, {Row, result(fail(Row))})
         || {Row, Text} <- failures()
        ]
    end).

%% Guest, function, parameters and options; the text.
failures() ->
    Traps = [
        {Code, Code}
     || Code <- [
            <<"unreachable">>, <<"integer_overflow">>, <<"integer_division_by_zero">>, <<"bad_conversion_to_integer">>,
            <<"indirect_call_to_null">>, <<"bad_signature">>, <<"table_out_of_bounds">>
        ]
    ] ++ [{<<"store_out_of_bounds">>, <<"memory_out_of_bounds">>}, {<<"remainder_by_zero">>, <<"integer_division_by_zero">>}],
    [
        {{"traps", Function, []}, <<"trap: ", Code/binary, " in ", Function/binary>>}
     || {Function, Code} <- Traps
    ] ++ [
        %% Where it happened, not what was called.
        {{"traps", <<"outer">>, [1]}, <<"trap: integer_division_by_zero in inner">>},
        {{"traps", <<"stack_overflow">>, [1]}, <<"trap: stack_overflow">>},
        {{"imports", <<"import_then_trap">>, [1]}, <<"trap: unreachable in import_then_trap">>},
        {{"exceptions", <<"throw_uncaught">>, [1, 2.5]}, <<"uncaught exception: failure">>},
        {{"exceptions", <<"throw_unnamed">>, [1]}, <<"uncaught exception">>},
        {{"numbers", <<"nosuch">>, []}, <<"unknown function: nosuch">>},
        {{"numbers", <<>>, []}, <<"unknown function: ">>},
        {{"numbers", <<"counter">>, []}, <<"unknown function: counter">>},
        {{"numbers", <<"Fac">>, [5]}, <<"unknown function: Fac">>},
        {{"numbers", <<255, 254>>, []}, <<"unknown function: a name that is not UTF-8">>},
        {{"numbers", <<"größe"/utf8>>, []}, <<"unknown function: größe"/utf8>>},
        {{"numbers", binary:copy(<<"x">>, 100_001), []}, <<"unknown function: ", (binary:copy(<<"x">>, 200))/binary>>},
        {{"numbers", 0, []}, <<"unknown function: table entry 0">>},
        {{"imports", 3, []}, <<"unknown function: table entry 3">>},
        {{"imports", -1, []}, <<"unknown function: table entry -1">>},
        {{"numbers", <<"add_i32">>, [1]}, <<"invalid arguments: argument 2 does not fit (ii)i">>},
        {{"numbers", <<"add_i32">>, [1, 2, 3]}, <<"invalid arguments: argument 3 does not fit (ii)i">>},
        {{"numbers", <<"add_i32">>, [1, 2.0]}, <<"invalid arguments: argument 2 does not fit (ii)i">>},
        {{"loop", <<"spin">>, []}, <<"limit reached: fuel">>},
        {{"loop", <<"recurse">>, [1 bsl 40]}, <<"trap: stack_overflow">>}
    ].

fail({Guest, Function, Parameters}) -> compute(started(Guest), Function, Parameters, #{wasm_fuel => 10_000_000}).

%% Nothing of a machine, a process or a moment gets into them.
every_vm_finds_the_same_texts_test_() ->
    {timeout, 300, fun() ->
        Here = [result(fail(Row)) || {Row, _} <- failures()],
        Paths = [Path || Path <- code:get_path(), filelib:is_file(filename:join(Path, "hb_ao.beam"))],
        There = [
            begin
                Peer = hb_support:peer(),
                Found = hb_support:on_peer(Peer, fun() ->
                    ok = code:add_paths(Paths),
                    [result(fail(Row)) || {Row, _} <- failures()]
                end),
                ok = peer:stop(Peer),
                Found
            end
         || _ <- [1, 2]
        ],
        ?assertEqual([Here, Here], There)
    end}.

%% Also the results of the others, and the instance.
a_failed_compute_keeps_the_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("traps", #{<<"kept">> => 1, <<"results">> => #{<<"other">> => 2}}),
        Failed = ok(compute(M, <<"unreachable">>, [])),
        ?assertMatch(#{<<"kept">> := 1, <<"results">> := #{<<"other">> := 2, <<"type">> := error}}, brief(Failed)),
        ?assertEqual(instance(M), instance(Failed)),
        ?assertEqual([ok, [42]], result(compute(Failed, <<"ok">>, [])))
    end).

%%% Fuel

fuel_bounds_a_call_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("loop"),
        Count = fun(N, Fuel) -> result(compute(M, <<"count">>, [N], #{wasm_fuel => Fuel})) end,
        ?assertEqual([ok, [1000]], Count(1000, 100_000)),
        ?assertEqual([error, <<"limit reached: fuel">>], Count(1_000_000, 100_000)),
        ?assertEqual([error, <<"limit reached: fuel">>], Count(1, 0)),
        %% Of each call, not of all of them together.
        [?assertEqual([ok, [1000]], Count(1000, 100_000)) || _ <- lists:seq(1, 20)],
        ?assertEqual([ok, [1_000_000]], Count(1_000_000, infinity)),
        ?assertEqual([ok, [1_000_000]], result(compute(M, <<"count">>, [1_000_000])))
    end).

%%% What this node could not do

a_timeout_is_no_result_and_stops_the_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("loop"),
        ?assertMatch(
            {{?FAILURE, #{<<"key">> := <<"function">>, <<"status">> := 504, <<"body">> := <<"function: timeout">>}}, {error, stopped}},
            cut_short(M, fun(Timeout) -> brief(compute(M, <<"spin">>, [], #{wasm_timeout => Timeout})) end)
        ),
        ?assertThrow({error, no_wasm_instance_or_snapshot}, compute(M, <<"count">>, [1]))
    end).

%% What Compute gives for a timeout, and the status of the instance of M then. The time is not up before the guest begins.
cut_short(M, Compute) ->
    hb_support:reached(50, fun(Timeout) ->
        Answer = Compute(Timeout),
        case hb_wasm64:status(instance(M)) of
            {ok, idle} -> not_reached;
            Status -> {Answer, Status}
        end
    end).

%% Time runs while the guest waits for its imports.
a_timeout_counts_imports_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Tick = fun(#{<<"state">> := State}, _, _) -> {ok, #{<<"state">> => State, <<"results">> => []}} end,
        M = started("loop", #{<<"stdlib">> => #{<<"env">> => library(#{tick => Tick})}}),
        ?assertMatch(
            {{?FAILURE, #{<<"status">> := 504}}, {error, stopped}},
            cut_short(M, fun(Timeout) -> brief(compute(M, <<"import_loop">>, [], #{wasm_timeout => Timeout})) end)
        )
    end).

a_call_within_its_time_is_not_stopped_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("loop"),
        ?assertEqual([ok, [1000]], result(compute(M, <<"count">>, [1000], #{wasm_timeout => 60_000}))),
        ?assertEqual({ok, idle}, hb_wasm64:status(instance(M)))
    end).

options_that_are_not_valid_are_named_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                {?FAILURE, Message} = compute(started("loop"), <<"count">>, [1], #{Option => Value}),
                ?assertMatch(#{<<"status">> := 503, <<"key">> := <<"function">>}, Message),
                #{<<"body">> := Text} = Message,
                ?assertNotEqual({nomatch, Text}, {binary:match(Text, Name), Text})
            end
         || {Option, Name} <- [{wasm_timeout, <<"wasm_timeout">>}, {wasm_fuel, <<"wasm_fuel">>}],
            Value <- [-1, 1.5, <<"much">>, <<"-1">>, none, 1 bsl 64]
        ]
    end).

%% Nothing ran: the state of the process is where it was, and must not be lost for a slip in the node's configuration.
options_that_are_not_valid_leave_the_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("numbers"), <<"count">>, [1])),
        {?FAILURE, _} = compute(M, <<"count">>, [1], #{wasm_fuel => <<"much">>}),
        ?assertEqual({ok, idle}, hb_wasm64:status(instance(M)))
    end).

%% With a snapshot it goes on, without one nobody knows its state.
an_instance_stopped_by_somebody_else_is_none_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("memory"),
        {ok, Memory} = hb_wasm64:read_memory(instance(M)),
        ok = hb_wasm64:stop(instance(M)),
        ?assertThrow({error, no_wasm_instance_or_snapshot}, compute(M, <<"size">>, [])),
        Restored = compute(M#{<<"snapshot">> => #{<<"body">> => Memory}}, <<"strlen">>, [64]),
        ?assertEqual([ok, [13]], result(Restored)),
        ?assertNotEqual(instance(M), instance(ok(Restored)))
    end).

%% During the call, so that it is this call that fails.
an_instance_stopped_in_its_call_is_no_result_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Stop = fun(#{<<"state">> := State}, _, _) ->
            ok = hb_wasm64:stop(instance(State)),
            {ok, #{<<"state">> => State, <<"results">> => [0]}}
        end,
        M = started("imports", #{<<"stdlib">> => #{<<"env">> => library(#{add => Stop})}}),
        ?assertMatch(
            {?FAILURE, #{<<"status">> := 410, <<"key">> := <<"function">>}},
            brief(compute(M, <<"call_add">>, [1, 2]))
        )
    end).

%% Nobody can go on without one.
a_base_without_instance_and_snapshot_throws_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Bases = [base("numbers"), #{<<"device">> => <<"wasm-64@1.0">>}],
        [
            begin
                ?assertThrow({error, no_wasm_instance_or_snapshot}, compute(Base, <<"fac">>, [5])),
                ?assertThrow({error, no_wasm_instance_or_snapshot}, hb_ao:resolve(Base, <<"compute">>, #{}))
            end
         || Base <- Bases
        ]
    end).

%% A stack tells it as it tells everything else.
an_error_in_a_stack_is_that_of_the_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Stack = #{
            <<"device">> => <<"stack@1.0">>,
            <<"device-stack">> => [<<"message@1.0">>, <<"wasm-64@1.0">>],
            <<"stack-keys">> => [<<"init">>, <<"compute">>],
            <<"image">> => hb_support:guest("loop")
        },
        M = ok(hb_ao:resolve(Stack, <<"init">>, #{})),
        {{error, {stack_call_failed, _, _, 2, Info}}, Status} = cut_short(M, fun(Timeout) ->
            compute(M, <<"spin">>, [], #{wasm_timeout => Timeout, error_strategy => stop})
        end),
        ?assertMatch(#{<<"status">> := 504}, Info),
        ?assertEqual({error, stopped}, Status)
    end).

%% The process that computes is killed: the next one finds the instance as usable as any.
a_killed_compute_frees_the_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("loop"),
        Pid = spawn(fun() -> compute(M, <<"spin">>, []) end),
        ?assert(hb_support:wait_until(fun() -> hb_wasm64:status(instance(M)) =:= {ok, running} end)),
        hb_support:gone(Pid),
        ?assertEqual([ok, [3]], result(compute(M, <<"count">>, [3], #{wasm_timeout => 60_000})))
    end).

%% Bases are copied from process to process; the instance is one.
computes_of_one_instance_take_turns_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        Test = self(),
        [spawn_link(fun() -> Test ! {counted, result(compute(M, <<"count">>, [1]))} end) || _ <- lists:seq(1, 50)],
        Counted = [receive {counted, [ok, [N]]} -> N after 60_000 -> nothing end || _ <- lists:seq(1, 50)],
        ?assertEqual(lists:seq(8, 57), lists:sort(Counted))
    end).
