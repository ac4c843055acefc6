%% Images built with Emscripten in the device: the clock of a message, and who
%% answers an import that the engine could serve.
-module(dev_wasm64_emscripten_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, started/1, started/2, compute/3, result/1, library/1]).

-define(CLOCK, "emscripten/clock64").

compute_at(Base, Function, Keys) ->
    hb_ao:resolve(Base, Keys#{<<"path">> => <<"compute">>, <<"function">> => Function, <<"parameters">> => []}, #{}).

the_clock_shows_the_timestamp_of_the_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started(?CLOCK),
        Now = fun(Keys) -> result(compute_at(M, <<"date_now">>, Keys)) end,
        ?assertEqual([ok, [1708000496789.0]], Now(#{<<"timestamp">> => 1708000496789})),
        ?assertEqual([ok, [1708000496789.0]], Now(#{<<"timestamp">> => <<"1708000496789">>})),
        ?assertEqual([ok, [5.0]], Now(#{<<"body">> => #{<<"timestamp">> => 5}})),
        ?assertEqual([ok, [6.0]], Now(#{<<"timestamp">> => 6, <<"body">> => #{<<"timestamp">> => 5}}))
    end).

a_message_that_tells_no_time_is_at_the_beginning_of_time_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started(?CLOCK),
        [?assertEqual([ok, [0.0]], result(compute_at(M, <<"date_now">>, Keys))) || Keys <- [
            #{}, #{<<"timestamp">> => <<"soon">>}, #{<<"timestamp">> => -1}, #{<<"timestamp">> => 1.5},
            #{<<"timestamp">> => <<>>}, #{<<"timestamp">> => 1 bsl 60}, #{<<"timestamp">> => #{<<"a">> => 1}},
            #{<<"timestamp">> => binary:copy(<<"9">>, 10_000)}
        ]]
    end).

a_device_for_the_module_is_asked_before_the_engine_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Now = fun(#{<<"state">> := State}, _, _) -> {ok, #{<<"state">> => State#{<<"asked">> => 1}, <<"results">> => [9.0]}} end,
        M = started(?CLOCK, #{<<"stdlib">> => #{<<"env">> => library(#{emscripten_date_now => Now})}}),
        Answer = compute_at(M, <<"date_now">>, #{<<"timestamp">> => 5}),
        ?assertEqual([ok, [9.0]], result(Answer)),
        ?assertMatch(#{<<"asked">> := 1}, ok(Answer)),
        %% What it does not know the engine serves, and nothing is recorded as undefined.
        Other = compute_at(M, <<"now">>, #{<<"timestamp">> => 5}),
        ?assertEqual([ok, [5.0]], result(Other)),
        ?assertNot(is_map_key(<<"undefined-calls">>, maps:get(<<"results">>, ok(Other))))
    end).

an_import_that_neither_knows_is_recorded_and_answered_with_zeros_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("emscripten/longjmp64"),
        Answer = compute(M, <<"import_in_invoke">>, [1]),
        ?assertEqual([ok, [0]], result(Answer)),
        ?assertMatch([#{<<"func">> := <<"host_call">>}], dev_wasm64_support:get(<<"state/results/undefined-calls">>, ok(Answer)))
    end).

an_import_that_is_left_to_the_engine_and_not_served_there_is_told_by_its_name_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Mine = fun(State, #{func := "host_call"}, _) -> {pass, State} end,
        M = hb_private:set(started("emscripten/longjmp64"), <<"import-resolver">>, Mine, #{}),
        Expected = <<"import failed: env.host_call: the engine does not implement this function">>,
        ?assertEqual([error, Expected], result(compute(M, <<"import_in_invoke">>, [1])))
    end).

%% Whatever else is in the library.
devices_for_other_modules_are_not_asked_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Asked = library(#{emscripten_date_now => fun(_, _, _) -> error(asked) end}),
        Others = maps:from_list([{<<"lib-", (integer_to_binary(N))/binary>>, Asked} || N <- lists:seq(1, 1000)]),
        M = started(?CLOCK, #{<<"stdlib">> => Others}),
        ?assertEqual([ok, [5.0]], result(compute_at(M, <<"date_now">>, #{<<"timestamp">> => 5})))
    end).

%% What the clock showed to constructors, by a global and by the memory.
clocks(M) -> [result(compute(M, Func, [])) || Func <- [<<"constructed">>, <<"noted">>]].

init_at(Keys) -> hb_ao:resolve(dev_wasm64_support:base("emscripten/starting"), Keys#{<<"path">> => <<"init">>}, #{}).

constructors_find_the_timestamp_of_the_init_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [?assertEqual([[ok, [Time]], [ok, [Time]]], clocks(ok(init_at(Keys)))) || {Keys, Time} <- [
            {#{<<"timestamp">> => 1708000496789}, 1708000496789.0}, {#{<<"timestamp">> => <<"5">>}, 5.0},
            {#{<<"body">> => #{<<"timestamp">> => 5}}, 5.0}, {#{}, 0.0}, {#{<<"timestamp">> => <<"soon">>}, 0.0},
            {#{<<"body">> => <<"text">>}, 0.0}
        ]]
    end).

%% A restored instance has the state of the one that was started, whatever the
%% time of the message that finds it gone.
a_snapshot_of_constructors_at_some_time_brings_that_time_back_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [begin
             Snapshot = ok(hb_ao:resolve(ok(init_at(Keys)), <<"snapshot">>, #{})),
             ?assertEqual(HasRest, is_map_key(<<"wasm-state">>, Snapshot)),
             M = dev_wasm64_support:base("emscripten/starting", #{<<"snapshot">> => Snapshot}),
             ?assertEqual([ok, [Time]], result(compute_at(M, <<"constructed">>, #{<<"timestamp">> => 9})))
         end || {Keys, Time, HasRest} <- [{#{<<"timestamp">> => 5}, 5.0, true}, {#{}, 0.0, false}]]
    end).

the_end_of_a_program_is_a_result_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = started("emscripten/longjmp64"),
        ?assertEqual([error, <<"exit: 3">>], result(compute(M, <<"exit_in_invoke">>, [3]))),
        [error, <<"trap: aborted: native code called abort()", _/binary>>] = result(compute(M, <<"abort_in_invoke">>, [])),
        [error, <<"uncaught exception: __c_longjmp">>] = result(compute(M, <<"uncaught">>, [1]))
    end).
