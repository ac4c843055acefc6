%% The key compute of dev_wasm64: which function is called with what, and where
%% the results go.
-module(dev_wasm64_compute_tests).

-include_lib("eunit/include/eunit.hrl").
-include("dev_wasm64.hrl").

-import(dev_wasm64_support, [base/2, on_both/2, on_edge/2, ok/1, started/1, started/2, reread/1, compute/3, result/1]).
-import(dev_wasm64_support, [get/2, instance/1, brief/1]).

%%% The function and its parameters

a_function_is_called_test_() ->
    on_both(?FUNCTION_NAME, fun() -> ?assertEqual([ok, [120.0]], result(compute(started("numbers"), <<"fac">>, [5.0]))) end).

%% The body of the request first, then the request, then the base; each key for itself.
the_function_is_found_in_this_order_test_() ->
    Body = {<<"add_i64">>, [1, 10]},
    Request = {<<"add_i32">>, [2, 20]},
    Base = {<<"add_f64">>, [3, 30]},
    None = {none, none},
    Rows = [
        {Body, Request, Base, 11}, {Body, None, Base, 11}, {Body, Request, None, 11},
        {None, Request, Base, 22}, {None, Request, None, 22},
        {None, None, Base, 33.0},
        %% The function from one, the parameters from another.
        {{<<"add_f64">>, none}, {none, [2, 20]}, None, 22.0},
        {{none, [1, 10]}, {<<"add_f64">>, none}, Base, 11.0},
        {{none, [1, 10]}, None, {<<"add_f64">>, [3, 30]}, 11.0},
        {{<<"add_i64">>, none}, None, {none, [3, 30]}, 33}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = started("numbers", call(InBase)),
                Ask = maps:merge(call(InRequest), #{<<"path">> => <<"compute">>, <<"body">> => call(InBody)}),
                ?assertEqual([ok, [Sum]], result(hb_ao:resolve(M, Ask, #{})), Row)
            end
         || Row = {InBody, InRequest, InBase, Sum} <- Rows
        ]
    end).

call({Function, Parameters}) ->
    maps:from_list([{<<"function">>, Function} || Function =/= none] ++ [{<<"parameters">>, Parameters} || Parameters =/= none]).

%% What it makes of the keys counts, not what lies under them.
a_request_may_have_a_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Device = #{function => fun() -> {ok, <<"add_i32">>} end, parameters => fun() -> {ok, [2, 3]} end},
        Message = #{<<"device">> => Device, <<"function">> => <<"nosuch">>, <<"parameters">> => []},
        M = started("numbers"),
        Path = #{<<"path">> => <<"compute">>},
        ?assertEqual([ok, [5]], result(hb_ao:resolve(M, maps:merge(Path, Message), #{}))),
        ?assertEqual([ok, [5]], result(hb_ao:resolve(M, Path#{<<"body">> => Message}, #{}))),
        %% A device that does not know the keys leaves them to the message.
        Plain = #{<<"device">> => <<"test-math@1.0">>, <<"function">> => <<"fac">>, <<"parameters">> => [3]},
        ?assertEqual([ok, [6.0]], result(hb_ao:resolve(M, Path#{<<"body">> => Plain}, #{})))
    end).

%% Text in the body, as interfaces have it.
a_body_that_is_no_message_is_passed_over_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        [
            begin
                Request = #{
                    <<"path">> => <<"compute">>, <<"function">> => <<"fac">>, <<"parameters">> => [4], <<"body">> => Body
                },
                ?assertEqual([ok, [24.0]], result(hb_ao:resolve(M, Request, #{})), Body)
            end
         || Body <- [<<"text">>, <<>>, 1, [], [<<"function">>], atom, #{}]
        ]
    end).

parameters_may_be_a_numbered_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        [
            ?assertEqual([ok, [4, 5.0, 1, 3.0]], result(compute(M, <<"mixed">>, Parameters)), Parameters)
         || Parameters <- [
                [1, 4, 3.0, 5.0],
                #{1 => 1, 2 => 4, 3 => 3.0, 4 => 5.0},
                #{<<"1">> => 1, <<"2">> => 4, <<"3">> => 3, <<"4">> => 5},
                #{'1' => 1, <<"2">> => 4, 3 => 3, "4" => 5},
                #{<<"0">> => 1, <<"1">> => 4, <<"2">> => 3, <<"3">> => 5}
            ]
        ],
        %% Not as text: 10 comes after 9.
        Many = maps:from_list([{integer_to_binary(N), N} || N <- lists:seq(1, 12)]),
        ?assertEqual(
            [error, <<"invalid arguments: argument 3 does not fit (ii)i">>],
            result(compute(M, <<"add_i32">>, Many))
        )
    end).

without_parameters_there_are_no_arguments_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        Request = #{<<"path">> => <<"compute">>, <<"function">> => <<"two">>},
        [
            ?assertEqual([ok, [1, 2]], result(hb_ao:resolve(M, maps:merge(Request, More), #{})))
         || More <- [#{}, #{<<"parameters">> => []}, #{<<"parameters">> => #{}}]
        ]
    end).

%% Function, parameters and each of them are links on edge.
a_base_from_the_cache_computes_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Keys = #{<<"function">> => <<"mixed">>, <<"parameters">> => [1, 4, 3.0, 5.0]},
        Numbered = Keys#{<<"parameters">> => #{<<"1">> => 1, <<"2">> => 4, <<"3">> => 3.0, <<"4">> => 5.0}},
        [
            begin
                Read = reread(dev_wasm64_support:base("numbers", Given)),
                M = ok(hb_ao:resolve(Read, <<"init">>, #{})),
                ?assertEqual([ok, [4, 5.0, 1, 3.0]], result(hb_ao:resolve(M, <<"compute">>, #{}))),
                Asked = (reread(Given))#{<<"path">> => <<"compute">>},
                ?assertEqual([ok, [4, 5.0, 1, 3.0]], result(hb_ao:resolve(started("numbers"), Asked, #{}))),
                InBody = #{<<"path">> => <<"compute">>, <<"body">> => reread(Given)},
                ?assertEqual([ok, [4, 5.0, 1, 3.0]], result(hb_ao:resolve(started("numbers"), InBody, #{})))
            end
         || Given <- [Keys, Numbered]
        ]
    end).

parameters_may_be_links_each_test_() ->
    on_edge(?FUNCTION_NAME, fun() ->
        Numbers = reread(#{<<"one">> => 1, <<"two">> => 2}),
        #{<<"one">> := {link, _, _} = One, <<"two">> := {link, _, _} = Two} = Numbers,
        M = started("numbers"),
        [
            ?assertEqual([ok, [3]], result(compute(M, <<"add_i32">>, Parameters)))
         || Parameters <- [[One, Two], [1, Two], #{<<"1">> => One, <<"2">> => Two}]
        ]
    end).

a_function_may_be_the_index_of_a_table_entry_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("imports"),
        ?assertEqual([ok, [50]], result(compute(M, 0, [5]))),
        ?assertEqual([ok, [7]], result(compute(M, 1, [7])))
    end).

%%% When nothing is called

without_a_function_the_base_stays_as_it_is_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers", #{<<"parameters">> => [1], <<"results">> => #{<<"old">> => 1}}),
        [
            ?assert(unchanged(M, hb_ao:resolve(M, Request, #{})))
         || Request <- [
                #{<<"path">> => <<"compute">>},
                #{<<"path">> => <<"compute">>, <<"parameters">> => [1, 2]},
                #{<<"path">> => <<"compute">>, <<"body">> => <<"function">>}
            ]
        ]
    end).

the_first_pass_of_a_stack_calls_and_the_others_do_not_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Pass = fun(Number) -> started("numbers", #{<<"pass">> => Number}) end,
        ?assertEqual([ok, [8]], result(compute(Pass(1), <<"count">>, [1]))),
        [
            begin
                M = Pass(Number),
                ?assert(unchanged(M, compute(M, <<"count">>, [1]))),
                %% The guest has not been called.
                ?assertEqual({ok, [7]}, hb_wasm64:call(instance(M), "count", [0]))
            end
         || Number <- [2, 3, 100]
        ]
    end).

unchanged(M, Answer) -> maps:remove(<<"priv">>, ok(Answer)) =:= maps:remove(<<"priv">>, M).

%%% Results

results_are_under_the_output_prefix_test_() ->
    Three = #{<<"type">> => ok, <<"output">> => [3]},
    Rows = [
        {<<>>, Three},
        {<<"wasm">>, #{<<"wasm">> => Three}},
        {<<"Out/WASM/">>, #{<<"out">> => #{<<"wasm">> => Three}}}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = ok(compute(started("numbers", #{<<"output-prefix">> => Prefix}), <<"add_i32">>, [1, 2])),
                ?assertEqual(Results, maps:get(<<"results">>, M))
            end
         || {Prefix, Results} <- Rows
        ]
    end).

other_results_stay_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Others = #{<<"other">> => #{<<"a">> => 1}, <<"wasm">> => #{<<"b">> => 2, <<"output">> => <<"old">>}, <<"c">> => 3},
        M = ok(compute(started("numbers", #{<<"output-prefix">> => <<"wasm">>, <<"results">> => Others}), <<"two">>, [])),
        ?assertEqual(
            #{
                <<"other">> => #{<<"a">> => 1},
                <<"wasm">> => #{<<"b">> => 2, <<"type">> => ok, <<"output">> => [1, 2]},
                <<"c">> => 3
            },
            maps:get(<<"results">>, M)
        )
    end).

%% A second call's results take the place of the first one's, also after an error.
results_are_those_of_the_last_call_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        Failed = ok(compute(ok(compute(M, <<"two">>, [])), <<"nosuch">>, [])),
        ?assertEqual([error, <<"unknown function: nosuch">>], result({ok, Failed})),
        ?assertEqual([ok, []], result(compute(Failed, <<"nop">>, [])))
    end).

%% What lies behind the link stays.
results_may_be_links_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Others = #{<<"other">> => #{<<"a">> => <<"1">>}, <<"wasm">> => #{<<"b">> => <<"2">>}},
        [
            begin
                Base = dev_wasm64_support:base("numbers", #{<<"output-prefix">> => Prefix, <<"results">> => Others}),
                Read = reread(Base),
                M = ok(compute(ok(hb_ao:resolve(Read, <<"init">>, #{})), <<"two">>, [])),
                Path = [<<"results">> | binary:split(Prefix, <<"/">>, [global, trim_all])],
                ?assertEqual([1, 2], get(Path ++ [<<"output">>], M)),
                ?assertEqual([<<"1">>, <<"2">>], [get(Key, M) || Key <- [<<"results/other/a">>, <<"results/wasm/b">>]])
            end
         || Prefix <- [<<"wasm">>, <<>>, <<"other/deep">>]
        ]
    end).

results_may_be_a_message_with_a_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Note = fun(Base, Request) -> {ok, Base#{<<"saw">> => lists:sort(maps:keys(Request))}} end,
        Results = #{<<"device">> => <<"test-math@1.0">>, <<"old">> => 1},
        M = ok(compute(started("numbers", #{<<"results">> => Results}), <<"two">>, [])),
        ?assertMatch(
            #{<<"old">> := 1, <<"output">> := [1, 2], <<"device">> := <<"test-math@1.0">>},
            maps:get(<<"results">>, M)
        ),
        %% Its own way of being set is respected.
        Own = ok(compute(started("numbers", #{<<"results">> => #{<<"device">> => #{set => Note}}}), <<"two">>, [])),
        ?assertMatch(#{<<"saw">> := [_ | _]}, maps:get(<<"results">>, Own))
    end).

values_of_every_type_come_back_test_() ->
    Rows = [
        {<<"id_i32">>, [4294967295], [-1]},
        {<<"id_i64">>, [18446744073709551615], [-1]},
        {<<"max_i64">>, [], [9223372036854775807]},
        {<<"id_f32">>, [0.1], [0.10000000149011612]},
        {<<"id_f64">>, [0.1], [0.1]},
        {<<"id_f64">>, [3], [3.0]},
        {<<"id_v128">>, [<<1:128/little>>], [<<1:128/little>>]},
        {<<"id_externref">>, [7], [7]},
        {<<"id_externref">>, [null], [null]},
        {<<"null_func">>, [], [null]},
        {<<"some_func">>, [], [funcref]},
        {<<"nan_f64">>, [], [nan]},
        {<<"nan_f32">>, [], [nan]},
        {<<"nan_payload_f64">>, [], [nan]},
        {<<"zero_div">>, [0.0], [nan]},
        {<<"inf_f32">>, [], [infinity]},
        {<<"minus_inf_f64">>, [], [neg_infinity]},
        {<<"id_f64">>, [infinity], [infinity]},
        {<<"id_f64">>, [{nan, 16#7ff4000000012345}], [nan]},
        {<<"bits_f64">>, [nan], [16#7ff8000000000000]},
        {<<"mixed">>, [1, 2, 3, 4], [2, 4.0, 1, 3.0]},
        {<<"nop">>, [], []}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        [
            ?assertEqual({Function, Parameters, [ok, Results]}, {Function, Parameters, result(compute(M, Function, Parameters))})
         || {Function, Parameters, Results} <- Rows
        ]
    end).

%% A node's configuration file gives text.
options_may_be_text_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("loop"),
        Fuel = hb_ao:resolve(M, #{<<"path">> => <<"compute">>, <<"function">> => <<"spin">>}, dev_wasm64_support:opts(#{wasm_fuel => <<"1000">>})),
        ?assertEqual([error, <<"limit reached: fuel">>], result(Fuel)),
        Unlimited = dev_wasm64_support:opts(#{wasm_fuel => <<"infinity">>, wasm_timeout => <<"100">>}),
        ?assertMatch(
            {?FAILURE, #{<<"status">> := 504}},
            hb_ao:resolve(M, #{<<"path">> => <<"compute">>, <<"function">> => <<"spin">>}, Unlimited)
        )
    end).

the_guest_goes_on_from_call_to_call_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M1 = ok(compute(started("numbers"), <<"count">>, [1])),
        M2 = ok(compute(M1, <<"count">>, [1])),
        ?assertEqual([ok, [9]], result({ok, M2})),
        ?assertEqual(instance(M1), instance(M2))
    end).

%%% What is no function

what_cannot_be_called_is_named_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        [
            ?assertMatch(
                {error, #{<<"key">> := <<"function">>, <<"status">> := 400, <<"body">> := <<"function: ", _/binary>>}},
                brief(compute(M, Function, []))
            )
         || Function <- [#{}, #{<<"body">> => <<"fac">>}, [<<"fac">>], "fac", [], 1.5, fac, fun() -> fac end]
        ]
    end).

parameters_that_are_no_list_are_named_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        [
            ?assertMatch(
                {error, #{<<"key">> := <<"parameters">>, <<"status">> := 400, <<"body">> := <<"parameters: ", _/binary>>}},
                brief(compute(M, <<"fac">>, Parameters))
            )
         || Parameters <- [
                5, 5.0, five, <<"5">>, {5}, [5 | 5],
                #{<<"n">> => 5}, #{<<"1">> => 5, <<"3">> => 5}, #{<<"1">> => 5, <<"n">> => 5}
            ]
        ],
        %% Nothing was called, and the instance is as good as before.
        ?assertEqual([ok, [120.0]], result(compute(M, <<"fac">>, [5])))
    end).

%% A list of what is no value is still a list: the guest's signature says what is wrong.
parameters_of_no_type_are_invalid_arguments_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("numbers"),
        [
            ?assertEqual(
                {Value, [error, <<"invalid arguments: argument 1 does not fit (F)F">>]},
                {Value, result(compute(M, <<"fac">>, [Value]))}
            )
         || Value <- [<<"5">>, five, #{}, [], [5], {5}, fun() -> 5 end, 1 bsl 2000]
        ]
    end).

%%% What a call has used

%% Catches keys that are there unasked: they would change the results of every process.
what_a_call_has_used_is_reported_only_where_the_process_asks_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {ok, _, #{fuel_used := Used}} =
            hb_wasm64:call(hb_support:start("numbers"), "fac", [5.0], #{usage => true}),
        [
            begin
                Computed = ok(compute(started("numbers", Keys), <<"fac">>, [5.0])),
                ?assertEqual(Expected, get(<<"results/fuel-used">>, Computed)),
                ?assertEqual([120.0], get(<<"results/output">>, Computed))
            end
         || {Keys, Expected} <- [
                {#{}, not_found},
                {#{<<"report-usage">> => false}, not_found},
                {#{<<"report-usage">> => <<"false">>}, not_found},
                {#{<<"report-usage">> => true}, Used},
                {#{<<"report-usage">> => <<"true">>}, Used}
            ]
        ]
    end).

%% Catches what an earlier call had used.
a_call_that_fails_reports_what_it_has_used_too_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M0 = started("traps", #{<<"report-usage">> => true}),
        Fuel = fun(M, Function, Args) ->
            Computed = ok(compute(M, Function, Args)),
            ?assertEqual(error, get(<<"results/type">>, Computed)),
            {get(<<"results/fuel-used">>, Computed), Computed}
        end,
        {Trapped, M1} = Fuel(M0, <<"unreachable">>, []),
        ?assert(Trapped > 0),
        ?assertMatch({0, _}, Fuel(M1, <<"nosuch">>, [])),
        ?assertMatch({0, _}, Fuel(M1, <<"divide">>, [1])),
        ?assertMatch({<<"unknown">>, _}, Fuel(M1, <<"divide">>, [1, 0]))
    end).

with_an_output_prefix_it_is_asked_for_and_reported_below_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Keys = #{<<"output-prefix">> => <<"wasm">>, <<"wasm">> => #{<<"report-usage">> => true}},
        Computed = ok(compute(started("numbers", Keys), <<"fac">>, [5.0])),
        ?assert(is_integer(get(<<"results/wasm/fuel-used">>, Computed))),
        ?assertEqual([120.0], get(<<"results/wasm/output">>, Computed))
    end).

%%% Gas meters

%% Catches a limit that is read from somewhere else, and texts of our own.
a_process_may_limit_the_gas_of_its_image_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            ?assertEqual({Limit, Expected}, {Limit, result(compute(started("metered", Limit), <<"seven">>, []))})
         || {Limit, Expected} <- [
                {#{}, [ok, [7]]},
                {#{<<"compute-limit">> => 3}, [ok, [7]]},
                {#{<<"compute-limit">> => 2}, [error, <<"out of gas!">>]},
                {#{<<"compute-limit">> => <<"2">>}, [error, <<"out of gas!">>]},
                {#{<<"compute-limit">> => <<"9000000000000">>}, [ok, [7]]},
                %% As with the loader these are no limit.
                {#{<<"compute-limit">> => 0}, [ok, [7]]},
                {#{<<"compute-limit">> => <<"much">>}, [ok, [7]]}
            ]
        ]
    end).

gas_is_reported_beside_fuel_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Gas = fun(M, Function, Args) ->
            Computed = ok(compute(M, Function, Args)),
            {get(<<"results/gas-used">>, Computed), Computed}
        end,
        Asked = #{<<"report-usage">> => true, <<"compute-limit">> => 40},
        {15, M1} = Gas(started("metered", Asked), <<"loop">>, [0]),
        {45, M2} = Gas(M1, <<"loop">>, [100]),
        ?assertEqual([error, <<"out of gas!">>], result({ok, M2})),
        {0, M3} = Gas(M2, <<"nosuch">>, []),
        {3, _} = Gas(M3, <<"seven">>, []),
        %% An image without a meter uses none.
        {0, _} = Gas(started("numbers", Asked), <<"fac">>, [5.0]),
        {not_found, _} = Gas(started("metered"), <<"seven">>, [])
    end).

the_meter_is_in_the_snapshot_of_a_process_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = ok(compute(started("metered"), <<"loop">>, [10])),
        Snapshot = ok(hb_ao:resolve(M, <<"snapshot">>, #{})),
        Restored = ok(hb_ao:resolve(base("metered", #{<<"snapshot">> => Snapshot}), <<"normalize">>, #{})),
        {ok, Described} = hb_wasm64:describe(instance(Restored)),
        ?assertMatch(#{gas_used := 65}, Described)
    end).
