%% dev_wasm64 where it is used: in a stack of devices, as a process has it.
-module(dev_wasm64_stacks_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, reread/1, compute/3, get/2, instance/2, brief/1, instances_of/1]).

%%% A process: an interface before the guest and after it, two passes for each message

a_process_answers_message_after_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M0 = initialized(ledger()),
        {M1, Minted} = say(M0, "Mint", "alice", [{"Quantity", "100"}]),
        ?assertEqual(<<"Minted 100, journal 1">>, data(Minted)),
        {M2, Moved} = say(M1, "Transfer", "alice", [{"Quantity", "25"}, {"Recipient", "bob"}]),
        ?assertEqual(<<"Transferred 25, journal 2">>, data(Moved)),
        {M3, _} = say(M2, "Transfer", "bob", [{"Quantity", "26"}, {"Recipient", "alice"}]),
        {M4, Balance} = say(M3, "Balance", "bob", []),
        ?assertEqual(<<"25">>, data(Balance)),
        %% What the import device kept in the state; what was refused is not in it.
        ?assertMatch(
            [<<"{\"Action\":\"Transfer\",\"From\":\"alice\"", _/binary>>, <<"{\"Action\":\"Mint\"", _/binary>>],
            get(<<"journal">>, M4)
        ),
        %% The stack is as it was, and the instance the one of the init.
        ?assertMatch(#{<<"device">> := <<"stack@1.0">>}, brief(M4)),
        ?assertEqual(instance(<<"wasm/instance">>, M0), instance(<<"wasm/instance">>, M4)),
        [?assertEqual({Key, not_found}, {Key, get(Key, M4)}) || Key <- [<<"pass">>, <<"device-key">>, <<"snapshot">>]]
    end).

%% Once for each message, not once for each pass.
a_message_calls_the_guest_once_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Stack = (stack([<<"wasm-64@1.0">>, <<"multipass@1.0">>]))#{
            <<"image">> => hb_support:guest("numbers"), <<"passes">> => 3, <<"output-prefix">> => <<"wasm">>
        },
        M1 = ok(compute(initialized(Stack), <<"count">>, [1])),
        M2 = ok(compute(M1, <<"count">>, [1])),
        ?assertEqual([[8], [9]], [get(<<"results/wasm/output">>, M) || M <- [M1, M2]])
    end).

a_process_from_the_cache_starts_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {ok, Image} = hb_cache:write(#{<<"body">> => hb_support:guest("ledger")}, #{}),
        Process = maps:without([<<"wasm">>], (ledger())#{<<"image">> => Image}),
        {_, Minted} = say(initialized(reread(Process)), "Mint", "alice", [{"Quantity", "5"}]),
        %% Nobody answers the import.
        ?assertEqual(<<"Minted 5, journal 0">>, data(Minted))
    end).

%% As HyperBEAM's processes have it: the image under the process, the guest's own under wasm.
a_process_has_prefixes_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Process = maps:without([<<"image">>], (ledger())#{
            <<"input-prefix">> => <<"process">>, <<"process">> => #{<<"image">> => hb_support:guest("ledger")}
        }),
        {M, Minted} = say(initialized(Process), "Mint", "alice", [{"Quantity", "5"}]),
        ?assertEqual(<<"Minted 5, journal 1">>, data(Minted)),
        ?assertEqual(<<"process">>, get(<<"input-prefix">>, M)),
        ?assertEqual(<<"wasm">>, get(<<"output-prefix">>, M))
    end).

%% What the guest does wrong is for the interface to tell.
an_interface_sees_the_errors_of_the_guest_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Failing = (ledger())#{<<"wasm">> => #{<<"stdlib">> => #{<<"ledger">> => #{
            <<"device">> => #{audit => fun() -> {error, <<"disk full">>} end}
        }}}},
        Base = initialized(Failing),
        {error, {stack_call_failed, _, _, 2, Info}} = hb_ao:resolve(
            Base, message("Mint", "alice", [{"Quantity", "5"}]), dev_wasm64_support:opts(#{error_strategy => stop})
        ),
        ?assertEqual(<<"import failed: ledger.audit: disk full">>, get(<<"results/wasm/output">>, Info)),
        ?assertEqual(<<"WASM execution error.">>, get(<<"results/body">>, Info)),
        %% Nothing of it is in the ledger.
        {_, Balance} = say(Base, "Balance", "alice", []),
        ?assertEqual(<<"0">>, data(Balance))
    end).

%%% Checkpoints, as dev_process takes and loads them

a_process_goes_on_from_its_checkpoint_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {M1, _} = say(initialized(ledger()), "Mint", "alice", [{"Quantity", "100"}]),
        Snapshot = checkpoint(M1),
        %% The devices that have nothing to keep are not in it.
        ?assertMatch([{<<"3">>, #{<<"body">> := {bytes, _}}}], maps:to_list(brief(Snapshot))),
        Loaded = ok(hb_ao:resolve((public(M1))#{<<"snapshot">> => Snapshot}, <<"normalize">>, dev_wasm64_support:opts(#{hashpath => ignore}))),
        ?assertEqual(not_found, get(<<"snapshot">>, Loaded)),
        Transfer = fun(M) -> say(M, "Transfer", "alice", [{"Quantity", "40"}, {"Recipient", "bob"}]) end,
        {Living, Answer} = Transfer(M1),
        {Restored, Again} = Transfer(Loaded),
        ?assertEqual(<<"Transferred 40, journal 2">>, data(Answer)),
        ?assertEqual(Answer, Again),
        ?assert(checkpoint(Living) =:= checkpoint(Restored)),
        ?assert(public(Living) =:= public(Restored)),
        ?assertNotEqual(instance(<<"wasm/instance">>, Living), instance(<<"wasm/instance">>, Restored))
    end).

a_checkpoint_in_the_cache_is_loaded_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {M1, _} = say(initialized(maps:remove(<<"wasm">>, ledger())), "Mint", "alice", [{"Quantity", "100"}]),
        Stored = reread((public(M1))#{<<"snapshot">> => checkpoint(M1)}),
        {_, Balance} = say(ok(hb_ao:resolve(Stored, <<"normalize">>, #{})), "Balance", "alice", []),
        ?assertEqual(<<"100">>, data(Balance))
    end).

%%% Several guests in a stack

each_device_has_its_image_and_its_results_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = initialized(two("memory", "tables")),
        ?assert(dev_wasm64_support:is_instance_of(hb_support:guest("memory"), instance(<<"one/instance">>, M))),
        ?assert(dev_wasm64_support:is_instance_of(hb_support:guest("tables"), instance(<<"out/two/instance">>, M))),
        After = ok(compute(M, <<"size">>, [])),
        ?assertMatch(
            #{
                <<"one">> := #{<<"type">> := ok, <<"output">> := [1]},
                <<"out">> := #{<<"two">> := #{<<"type">> := ok, <<"output">> := [4]}}
            },
            get(<<"results">>, After)
        )
    end).

each_device_has_its_state_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = initialized(two("numbers", "numbers")),
        ?assertNotEqual(instance(<<"one/instance">>, M), instance(<<"out/two/instance">>, M)),
        ?assertEqual({ok, [107]}, hb_wasm64:call(instance(<<"one/instance">>, M), "count", [100])),
        ?assertEqual([[108], [8]], outputs(ok(compute(M, <<"count">>, [1]))))
    end).

%% What one guest does wrong is no concern of the other.
each_device_has_its_errors_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(initialized(two("traps", "numbers")), <<"fac">>, [5])),
        ?assertEqual([<<"unknown function: fac">>, [120.0]], outputs(M)),
        ?assertEqual([error, ok], [get(Key, M) || Key <- [<<"results/one/type">>, <<"results/out/two/type">>]])
    end).

each_device_has_its_libraries_and_undefined_calls_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Env = #{<<"stdlib">> => #{<<"env">> => #{<<"device">> => <<"test-math@1.0">>}}},
        M = ok(compute(initialized((two("imports", "imports"))#{<<"one">> => Env}), <<"call_add">>, [1, 2])),
        ?assertEqual([[3], [0]], outputs(M)),
        ?assertEqual(not_found, get(<<"state/results/one">>, M)),
        ?assertMatch([#{<<"args">> := [1, 2]}], get(<<"state/results/out/two/undefined-calls">>, M))
    end).

each_device_has_its_snapshot_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = initialized(two("memory", "memory64")),
        ?assertMatch(
            #{<<"1">> := #{<<"body">> := <<_:64/binary, "Hello", _/binary>>}, <<"2">> := #{<<"body">> := _}},
            checkpoint(ok(compute(M, <<"grow">>, [1])))
        )
    end).

%% The first to be restored must leave the second one its part.
several_guests_go_on_from_their_checkpoint_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(initialized(two("memory", "memory64")), <<"store8">>, [70, 7])),
        Checkpoint = (public(M))#{<<"snapshot">> => checkpoint(M)},
        Loaded = ok(hb_ao:resolve(Checkpoint, <<"normalize">>, dev_wasm64_support:opts(#{hashpath => ignore}))),
        ?assertEqual([[7], [7]], outputs(ok(compute(Loaded, <<"load8">>, [70])))),
        %% Also without a normalize before it.
        ?assertEqual([[7], [7]], outputs(ok(compute(Checkpoint, <<"load8">>, [70]))))
    end).

terminate_ends_them_all_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = initialized(two("memory", "tables")),
        After = ok(hb_ao:resolve(M, <<"terminate">>, #{})),
        [
            begin
                ?assertEqual({error, stopped}, hb_wasm64:status(instance(Path, M))),
                ?assertEqual(not_found, instance(Path, After))
            end
         || Path <- [<<"one/instance">>, <<"out/two/instance">>]
        ]
    end).

%% Each for itself, and nothing of it in the message.
a_map_gives_each_device_its_answer_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = initialized(two("memory", "tables")),
        Request = #{<<"path">> => <<"compute">>, <<"mode">> => <<"Map">>, <<"function">> => <<"size">>},
        Answers = ok(hb_ao:resolve(M, Request, #{})),
        ?assertEqual([1], get(<<"1/results/one/output">>, Answers)),
        ?assertEqual([4], get(<<"2/results/out/two/output">>, Answers)),
        ?assertEqual(not_found, get(<<"1/results/out">>, Answers))
    end).

a_failed_checkpoint_leaves_no_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Checkpoint = (two("memory", "traps"))#{<<"snapshot">> => #{
            <<"1">> => #{<<"body">> => 1}, <<"2">> => #{<<"body">> => <<0:(2 * 65536 * 8)>>}
        }},
        {Answer, Instances} = instances_of(fun() ->
            {error, {stack_call_failed, _, _, Number, Info}} =
                hb_ao:resolve(Checkpoint, <<"normalize">>, dev_wasm64_support:opts(#{error_strategy => stop})),
            {Number, brief(Info)}
        end),
        ?assertMatch({1, #{<<"key">> := <<"snapshot/1/body">>}}, Answer),
        ?assertEqual([], Instances)
    end).

%%% Real images

print_test_() ->
    hb_support:with_shared("test-print.wasm", fun(Image) ->
        on_both(wasi_is_a_device_of_the_stack, fun() ->
            Stack = (stack([<<"test-wasi@1.0">>, <<"wasm-64@1.0">>]))#{
                <<"image">> => Image, <<"output-prefix">> => <<"wasm">>,
                <<"wasm">> => #{<<"stdlib">> => #{<<"wasi_snapshot_preview1">> => #{<<"device">> => <<"test-wasi@1.0">>}}}
            },
            M = ok(compute(initialized(Stack), <<"hello">>, [])),
            ?assertMatch(<<"Hello, World!", _/binary>>, get(<<"console/1">>, M))
        end)
    end).

aos_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        on_both(aos_evaluates_before_and_after_a_checkpoint, fun() ->
            M0 = initialized((process(Image))#{<<"env">> => <<
                "{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\",\"Tags\":[{\"name\":\"Name\",\"value\":\"Thomas\"},"
                "{\"name\":\"Authority\",\"value\":\"FOOBAR\"}]}}"
            >>}),
            {M1, Two} = eval(M0, "Counter = 1; return 1 + 1"),
            ?assertEqual(<<"2">>, data(Two)),
            {M2, Counted} = eval(M1, "Counter = Counter + 1; return Counter"),
            ?assertEqual(<<"2">>, data(Counted)),
            Loaded = ok(hb_ao:resolve((public(M2))#{<<"snapshot">> => checkpoint(M2)}, <<"normalize">>, #{})),
            {Living, Answer} = eval(M2, "Counter = Counter + 1; return Counter"),
            {Restored, Again} = eval(Loaded, "Counter = Counter + 1; return Counter"),
            ?assertEqual(<<"3">>, data(Answer)),
            ?assertEqual(Answer, Again),
            ?assert(checkpoint(Living) =:= checkpoint(Restored))
        end)
    end).

%% HyperBEAM's wasi@1.0 fails to write, whatever it is asked: the engine serves what it can, unless the message says otherwise.
aos_writes_whatever_the_nodes_wasi_answers_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        on_both(?FUNCTION_NAME, fun() ->
            Process = (process(Image))#{
                <<"device-stack">> => [<<"wasi@1.0">>, <<"test-iface@1.0">>, <<"wasm-64@1.0">>, <<"multipass@1.0">>],
                <<"env">> => <<"{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\",\"Tags\":[{\"name\":\"Name\",\"value\":\"T\"}]}}">>
            },
            {_, Answer} = eval(initialized(Process), "io.write(42) io.flush() return 1 + 1"),
            ?assertEqual(<<"2">>, data(Answer)),
            Asked = initialized(Process#{<<"wasm">> => #{<<"stdlib-first">> => true}}),
            ?assertError({device_failed, _, _, _, _}, eval(Asked, "io.write(42) io.flush() return 1 + 1"))
        end)
    end).

eval(M, Code) ->
    answered(M, <<
        "{\"From\":\"FOOBAR\",\"Block-Height\":\"1\",\"Target\":\"AOS\",\"Owner\":\"FOOBAR\",\"Id\":\"1\",\"Module\":\"W\","
        "\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", (list_to_binary(Code))/binary, "\"}"
    >>).

%%% Support

stack(Devices) ->
    #{
        <<"device">> => <<"stack@1.0">>,
        <<"device-stack">> => Devices,
        <<"stack-keys">> => [<<"init">>, <<"compute">>, <<"snapshot">>, <<"normalize">>, <<"terminate">>]
    }.

process(Image) ->
    (stack([<<"test-wasi@1.0">>, <<"test-iface@1.0">>, <<"wasm-64@1.0">>, <<"multipass@1.0">>]))#{
        <<"passes">> => 2, <<"output-prefix">> => <<"wasm">>, <<"image">> => Image
    }.

ledger() ->
    (process(hb_support:guest("ledger")))#{
        <<"env">> => <<"{\"Process\":{\"Id\":\"P\",\"Owner\":\"alice\",\"Tags\":[]}}">>,
        <<"wasm">> => #{<<"stdlib">> => #{<<"ledger">> => #{<<"device">> => #{audit => fun audit/3}}}}
    }.

%% Keeps the lines in the state, newest first, and numbers them.
audit(#{<<"state">> := State}, #{<<"args">> := [At, Length, _Quantity]}, _Opts) ->
    {ok, Line} = hb_wasm64:read(instance(<<"wasm/instance">>, State), At, Length),
    Journal = [Line | maps:get(<<"journal">>, State, [])],
    {ok, #{<<"state">> => State#{<<"journal">> => Journal}, <<"results">> => [length(Journal)]}}.

initialized(Base) -> ok(hb_ao:resolve(Base, <<"init">>, #{})).

%% A message to the ledger: the base after it, and the guest's answer.
say(M, Action, From, Tags) -> answered(M, maps:get(<<"body">>, message(Action, From, Tags))).

answered(M, Text) ->
    After = ok(hb_ao:resolve(M, #{<<"path">> => <<"compute">>, <<"body">> => Text}, #{})),
    {After, get(<<"results/text">>, After)}.

message(Action, From, Tags) ->
    Pairs = [["{\"name\":\"", N, "\",\"value\":\"", V, "\"}"] || {N, V} <- [{"Action", Action} | Tags]],
    Text = ["{\"Id\":\"1\",\"From\":\"", From, "\",\"Tags\":[", lists:join(",", Pairs), "]}"],
    #{<<"path">> => <<"compute">>, <<"body">> => iolist_to_binary(Text)}.

data(Answer) ->
    {match, [Data]} = re:run(Answer, <<"\"Output\":\\{.*?\"data\":\"(.*?)\"">>, [{capture, [1], binary}, dotall]),
    Data.

%% Two guests, each with prefixes of its own.
two(One, Two) ->
    (stack([<<"wasm-64@1.0">>, <<"wasm64@1.0">>]))#{
        <<"input-prefixes">> => [<<"in/one">>, <<"two">>],
        <<"output-prefixes">> => [<<"one">>, <<"out/two">>],
        <<"in">> => #{<<"one">> => #{<<"image">> => hb_support:guest(One)}},
        <<"two">> => #{<<"image">> => hb_support:guest(Two)}
    }.

outputs(M) -> [get(Key, M) || Key <- [<<"results/one/output">>, <<"results/out/two/output">>]].

%% The snapshots of all devices, by their number.
checkpoint(M) ->
    Request = #{<<"path">> => <<"snapshot">>, <<"mode">> => <<"Map">>},
    Snapshots = maps:remove(<<"priv">>, ok(hb_ao:resolve(M, Request, #{}))),
    maps:map(fun(_, Snapshot) -> maps:remove(<<"priv">>, Snapshot) end, Snapshots).

public(M) -> maps:remove(<<"priv">>, M).
