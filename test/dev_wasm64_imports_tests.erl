%% Imports of a guest on AO-Core: which device answers them, with what, and what
%% becomes of those that none answers.
-module(dev_wasm64_imports_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, base/2, started/2, reread/1, compute/3, result/1, get/2, instance/1, instance/2]).
-import(dev_wasm64_support, [brief/1, importer/2, library/1]).

%%% Devices that answer

a_device_answers_the_imports_of_its_module_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("imports", env(<<"test-math@1.0">>)),
        ?assertEqual([ok, [3]], result(compute(M, <<"call_add">>, [1, 2]))),
        ?assertEqual([ok, [55]], result(compute(M, <<"call_many">>, [10])))
    end).

libraries_are_under_the_output_prefix_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Env = env(<<"test-math@1.0">>),
        Add = fun(Keys) -> ok(compute(started("imports", Keys), <<"call_add">>, [1, 2])) end,
        ?assertEqual([3], get(<<"results/wasm/output">>, Add(#{<<"output-prefix">> => <<"wasm">>, <<"wasm">> => Env}))),
        ?assertEqual([3], get(<<"results/a/b/output">>, Add(#{<<"output-prefix">> => <<"A/b">>, <<"a">> => #{<<"b">> => Env}}))),
        %% Those without a prefix are of another device.
        ?assertEqual([0], get(<<"results/wasm/output">>, Add(Env#{<<"output-prefix">> => <<"wasm">>})))
    end).

a_device_gets_the_state_and_the_request_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Test = self(),
        Add = fun(Base = #{<<"state">> := State}, Request, Opts) ->
            Test ! {import, Base, Request, Opts},
            {ok, #{<<"state">> => State, <<"results">> => [7]}}
        end,
        Library = (library(#{add => Add}))#{<<"own">> => 1},
        M = started("imports", #{
            <<"output-prefix">> => <<"wasm">>, <<"kept">> => 2, <<"wasm">> => #{<<"stdlib">> => #{<<"env">> => Library}}
        }),
        ?assertMatch({ok, _}, compute(M, <<"call_add">>, [-1, 2])),
        {Base, Request, Opts} = receive {import, B, R, O} -> {B, R, O} end,
        ?assertMatch(#{<<"own">> := 1, <<"state">> := #{<<"kept">> := 2, <<"output-prefix">> := <<"wasm">>}}, brief(Base)),
        ?assertMatch(
            #{
                <<"path">> := <<"add">>, <<"module">> := <<"env">>, <<"func">> := <<"add">>, <<"args">> := [-1, 2],
                <<"func-sig">> := <<"(ii)i">>
            },
            Request
        ),
        ?assertEqual(dev_wasm64_support:opts(#{hashpath => ignore}), maps:with([hashpath, <<"hashpath">>], Opts)),
        %% An instance to work in, at the place where devices look for it.
        #{<<"state">> := State} = Base,
        ?assert(is_reference(instance(<<"wasm/instance">>, State)))
    end).

the_options_of_the_node_reach_the_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Add = fun(#{<<"state">> := State}, _, Opts) ->
            {ok, #{<<"state">> => State, <<"results">> => [hb_opts:get(mine, 0, Opts)]}}
        end,
        M = started("imports", env(#{add => Add})),
        ?assertEqual([ok, [9]], result(dev_wasm64_support:compute(M, <<"call_add">>, [1, 2], #{mine => 9})))
    end).

%%% The state

what_devices_change_in_the_state_is_in_the_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Put = fun(Base, Request = #{<<"args">> := [A, B]}, Opts) ->
            {ok, Answer} = dev_test_kv:put(Base, Request#{<<"args">> => [B, A]}, Opts),
            {ok, Answer#{<<"results">> => [A + B]}}
        end,
        M = started("imports", (env(#{add => Put}))#{<<"output-prefix">> => <<>>}),
        First = ok(compute(M, <<"call_many">>, [3])),
        %% 0 + 1, 1 + 2, 3 + 3.
        ?assertEqual(#{<<"1">> => 0, <<"2">> => 1, <<"3">> => 3}, maps:get(<<"kv">>, First)),
        Second = ok(compute(First, <<"call_add">>, [40, 4])),
        ?assertEqual(#{<<"1">> => 0, <<"2">> => 1, <<"3">> => 3, <<"4">> => 40}, maps:get(<<"kv">>, Second)),
        ?assertNot(is_map_key(<<"state">>, Second))
    end).

every_import_sees_the_state_of_the_one_before_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Add = fun(Base, _, Opts) ->
            {ok, #{<<"results">> := [N]}} = dev_test_kv:fetch(Base, #{<<"args">> => [0]}, Opts),
            {ok, Answer} = dev_test_kv:put(Base, #{<<"args">> => [0, N + 1]}, Opts),
            {ok, Answer#{<<"results">> => [N + 1]}}
        end,
        M = started("imports", env(#{add => Add})),
        After = ok(compute(M, <<"call_many">>, [10])),
        ?assertEqual([ok, [10]], result({ok, After})),
        ?assertEqual([ok, [11]], result(compute(After, <<"call_add">>, [0, 0])))
    end).

%% What had been done when the guest failed is done.
the_state_of_a_failed_compute_is_the_last_one_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Callback = fun(Base, Request, Opts) ->
            {ok, Answer} = dev_test_kv:put(Base, Request#{<<"args">> => [5, 6]}, Opts),
            {ok, Answer#{<<"results">> => [0]}}
        end,
        M = ok(compute(started("imports", env(#{callback => Callback})), <<"import_then_trap">>, [1])),
        ?assertEqual([error, <<"trap: unreachable in import_then_trap">>], result({ok, M})),
        ?assertEqual(#{<<"5">> => 6}, maps:get(<<"kv">>, M))
    end).

%% A device that answers another message altogether has it so; the instance stays with it.
the_state_may_be_replaced_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Add = fun(#{<<"state">> := #{<<"device">> := Device}}, _, _) ->
            {ok, #{<<"state">> => #{<<"device">> => Device, <<"all">> => <<"new">>}, <<"results">> => [1]}}
        end,
        M = started("imports", env(#{add => Add})),
        After = ok(compute(M, <<"call_add">>, [0, 0])),
        ?assertMatch(#{<<"all">> := <<"new">>, <<"results">> := #{<<"output">> := [1]}}, After),
        ?assertNot(is_map_key(<<"image">>, After)),
        ?assertEqual(instance(M), instance(After)),
        ?assertEqual([ok, [50]], result(compute(After, 0, [5])))
    end).

%% As HyperBEAM's devices find it in the private state, and after the compute it is the plain one again.
the_instance_after_a_compute_is_the_one_before_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Test = self(),
        Add = fun(#{<<"state">> := State}, _, _) ->
            Test ! {scoped, instance(State)},
            {ok, #{<<"state">> => State, <<"results">> => [1]}}
        end,
        M = started("imports", env(#{add => Add})),
        [
            begin
                After = ok(compute(M, Function, Parameters)),
                ?assertNotEqual(instance(M), receive {scoped, Scoped} -> Scoped after 0 -> none end),
                ?assertEqual(instance(M), instance(After)),
                [?assertEqual(instance(Key, M), instance(Key, After)) || Key <- [<<"write">>, <<"read">>, <<"import-resolver">>]]
            end
         || {Function, Parameters} <- [{<<"call_add">>, [1, 2]}, {<<"call_many">>, [1]}]
        ]
    end).

%%% What a device may do while the guest waits

wasi_prints_what_lies_in_the_memory_test_() ->
    hb_support:with_shared("test-print.wasm", fun(Image) ->
        on_both(?FUNCTION_NAME, fun() ->
            Wasi = #{<<"stdlib">> => #{<<"wasi_snapshot_preview1">> => #{<<"device">> => <<"test-wasi@1.0">>}}},
            M = started(Image, #{<<"output-prefix">> => <<"wasm">>, <<"wasm">> => Wasi}),
            After = ok(compute(M, <<"hello">>, [])),
            <<"Hello, World!", _/binary>> = Printed = get(<<"console/1">>, After),
            ?assertEqual(ok, get(<<"results/wasm/type">>, After)),
            Twice = <<Printed/binary, Printed/binary>>,
            ?assertEqual(Twice, get(<<"console/1">>, ok(compute(After, <<"hello">>, []))))
        end)
    end).

%% Reads and writes the waiting guest's memory, and calls it.
a_device_in_another_process_works_in_the_waiting_guest_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Env = env(<<"test-remote@1.0">>),
        M = started("imports", #{<<"output-prefix">> => <<"wasm">>, <<"wasm">> => Env}),
        Logged = ok(compute(M, <<"call_log">>, [])),
        ?assertEqual([<<"Hello, host!">>], get(<<"log">>, Logged)),
        ?assertEqual({ok, <<"HELLO, HOST!">>}, (instance(<<"wasm/read">>, Logged))(64)),
        %% nest(3), whose own import nobody answers: 3 + 0; then 4 on top.
        ?assertEqual([3 + 4], get(<<"results/wasm/output">>, ok(compute(Logged, <<"nest">>, [4]))))
    end).

%% A plain instance would wait there for the end of the call, and the call for it.
write_and_read_work_in_the_waiting_guest_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Callback = fun(#{<<"state">> := State}, _, _) ->
            Device = self(),
            Helper = spawn(fun() ->
                {ok, Pointer} = (instance(<<"write">>, State))(<<"from elsewhere">>),
                Device ! {wrote, Pointer, (instance(<<"read">>, State))([Pointer])}
            end),
            {Pointer, Text} = receive {wrote, P, T} -> {P, T} after 60_000 -> {0, waits_for_itself} end,
            %% Where it waits, this ends the wait.
            hb_support:gone(Helper),
            {ok, #{<<"state">> => State#{<<"text">> => Text}, <<"results">> => [Pointer]}}
        end,
        After = ok(compute(started("imports", env(#{callback => Callback})), <<"call_callback">>, [1])),
        ?assertEqual({ok, <<"from elsewhere">>}, maps:get(<<"text">>, After)),
        [ok, Pointer] = result({ok, After}),
        ?assertEqual({ok, <<"from elsewhere">>}, (instance(<<"read">>, After))(Pointer))
    end).

%% With the whole of AO-Core in between: 4 + (3 + (2 + (1 + 0))).
a_device_may_compute_on_the_waiting_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Callback = fun(#{<<"state">> := State}, #{<<"args">> := [K]}, Opts) ->
            Nested = ok(dev_wasm64_support:compute(State, <<"nest">>, [K], Opts)),
            {ok, #{<<"state">> => Nested, <<"results">> => get(<<"results/output">>, Nested)}}
        end,
        M = started("imports", env(#{callback => Callback})),
        After = ok(compute(M, <<"nest">>, [4])),
        ?assertEqual([ok, [10]], result({ok, After})),
        ?assertEqual(instance(M), instance(After)),
        ?assertEqual([ok, [1275]], result(compute(After, <<"nest">>, [50])))
    end).

%% The same instance under another message, from another library.
a_device_may_compute_on_another_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Other = started("numbers", #{}),
        Add = fun(#{<<"state">> := State}, #{<<"args">> := Args}, Opts) ->
            {ok, #{
                <<"state">> => State,
                <<"results">> => get(<<"results/output">>, ok(dev_wasm64_support:compute(Other, <<"add_i32">>, Args, Opts)))
            }}
        end,
        ?assertEqual([ok, [55]], result(compute(started("imports", env(#{add => Add})), <<"call_many">>, [10])))
    end).

%% What the guest has on its stack would be lost.
a_snapshot_is_refused_while_the_guest_waits_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Callback = fun(#{<<"state">> := State}, _, Opts) ->
            Refused =
                try
                    hb_ao:resolve(State, <<"snapshot">>, Opts)
                catch
                    throw:{error, Message} -> Message
                end,
            {ok, #{<<"state">> => State#{<<"seen">> => maps:get(<<"body">>, Refused)}, <<"results">> => [0]}}
        end,
        After = ok(compute(started("imports", env(#{callback => Callback})), <<"mem_then_import">>, [77])),
        ?assertEqual(<<"instance: cannot snapshot: a call is in progress">>, maps:get(<<"seen">>, After)),
        #{<<"body">> := Memory} = ok(hb_ao:resolve(After, <<"snapshot">>, #{})),
        ?assertMatch(<<_:512/binary, 77:32/little, _/binary>>, Memory)
    end).

%%% Another resolver

the_resolver_may_be_another_one_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Mine = fun(State, #{module := "env", func := "add", args := [A, B], func_sig := "(ii)i"}, Opts) ->
            {ok, [A * B + hb_opts:get(mine, 0, Opts)], State#{<<"asked">> => true}}
        end,
        M = hb_private:set(started("imports", env(<<"test-math@1.0">>)), <<"import-resolver">>, Mine, #{}),
        After = ok(dev_wasm64_support:compute(M, <<"call_add">>, [6, 7], #{mine => 1})),
        ?assertEqual([ok, [43]], result({ok, After})),
        ?assertMatch(#{<<"asked">> := true}, After),
        ?assertEqual(Mine, instance(<<"import-resolver">>, After))
    end).

%%% Names

names_of_modules_are_paths_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Seven = fun(#{<<"state">> := State}, _, _) -> {ok, #{<<"state">> => State, <<"results">> => [7]}} end,
        Library = library(#{'Go' => Seven, go => Seven}),
        [
            begin
                M = started(importer(Module, Func), #{<<"stdlib">> => StdLib}),
                ?assertEqual({Module, Func, [ok, [7]]}, {Module, Func, result(compute(M, <<"go">>, []))})
            end
         || {Module, StdLib} <- [
                {<<"Env">>, #{<<"env">> => Library}},
                {<<"my/Lib">>, #{<<"my">> => #{<<"lib">> => Library}}},
                {<<"/my//lib/">>, #{<<"my">> => #{<<"lib">> => Library}}},
                {<<"größe"/utf8>>, #{<<"größe"/utf8>> => Library}},
                {<<"1">>, [Library]}
            ],
            Func <- [<<"go">>, <<"Go">>]
        ]
    end).

%% Nothing at all, and what a path makes something else of.
functions_of_strange_names_are_undefined_without_a_library_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                After = ok(compute(started(importer(Module, Func), #{}), <<"go">>, [])),
                ?assertEqual({Module, Func, [ok, [0]]}, {Module, Func, result({ok, After})}),
                ?assertMatch([#{<<"module">> := Module, <<"func">> := Func}], undefined_calls(After))
            end
         || {Module, Func} <- [
                {<<>>, <<>>}, {<<"env">>, <<>>}, {<<>>, <<"go">>}, {<<"/">>, <<"/">>}, {<<"a/b">>, <<"c/d">>},
                {binary:copy(<<"i">>, 43), binary:copy(<<"i">>, 43)}, {<<"ä"/utf8>>, <<"ö"/utf8>>}, {<<"priv">>, <<"priv">>}
            ]
        ]
    end).

%% As with names that the device does not know.
functions_of_strange_names_are_undefined_with_a_library_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = started(importer(<<"env">>, Func), env(<<"test-math@1.0">>)),
                ?assertEqual({Func, [ok, [0]]}, {Func, result(compute(M, <<"go">>, []))})
            end
         || Func <- [<<"nosuch">>, <<"Add">>, <<>>, <<"/">>, <<"no/such">>, <<"ö"/utf8>>, <<"priv">>]
        ]
    end).

libraries_from_the_cache_answer_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Base = base("imports", #{<<"output-prefix">> => <<"wasm">>, <<"wasm">> => env(<<"test-math@1.0">>)}),
        M = ok(hb_ao:resolve(reread(Base), <<"init">>, #{})),
        ?assertEqual([55], get(<<"results/wasm/output">>, ok(compute(M, <<"call_many">>, [10])))),
        Loose = started("imports", #{<<"stdlib">> => reread(#{<<"env">> => #{<<"device">> => <<"test-math@1.0">>}})}),
        ?assertEqual([ok, [55]], result(compute(Loose, <<"call_many">>, [10])))
    end).

%%% Asked directly

an_import_is_resolved_like_any_key_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("imports", env(<<"test-math@1.0">>)),
        Ask = fun(Func) ->
            hb_ao:resolve(M, #{
                <<"path">> => <<"import">>, <<"module">> => <<"env">>, <<"func">> => Func, <<"args">> => [20, 22],
                <<"func-sig">> => <<"(ii)iF">>
            }, #{})
        end,
        {ok, #{<<"results">> := Sum, <<"state">> := State}} = Ask(<<"add">>),
        ?assertEqual([42], Sum),
        ?assertEqual(instance(M), instance(State)),
        {ok, #{<<"results">> := Zeros, <<"state">> := Noted}} = Ask(<<"nosuch">>),
        ?assertEqual([0, 0.0], Zeros),
        ?assertMatch([#{<<"func">> := <<"nosuch">>, <<"args">> := [20, 22]}], undefined_calls(Noted))
    end).

%%% Support

env(Device) -> #{<<"stdlib">> => #{<<"env">> => #{<<"device">> => Device}}}.

undefined_calls(M) -> get(<<"state/results/undefined-calls">>, M).
