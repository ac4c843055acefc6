%% What a call has used is told by the call.
-module(hb_wasm64_usage_tests).

-include_lib("eunit/include/eunit.hrl").

-define(USAGE, #{usage => true}).

%% Catches a result that is longer, or shorter, than the option says.
a_call_tells_what_it_has_used_only_if_it_is_asked_test() ->
    H = hb_support:start("numbers"),
    {ok, [120.0], #{fuel_used := Used}} = hb_wasm64:call(H, "fac", [5.0], ?USAGE),
    ?assert(is_integer(Used) andalso Used > 0),
    ?assertEqual({ok, [120.0]}, hb_wasm64:call(H, "fac", [5.0], #{usage => false})),
    ?assertEqual({ok, [120.0]}, hb_wasm64:call(H, "fac", [5.0], #{})),
    ?assertEqual({ok, [120.0], state, #{fuel_used => Used}}, hb_wasm64:call(H, "fac", [5.0], fun add/3, state, ?USAGE)),
    ?assertEqual({ok, [120.0], state}, hb_wasm64:call(H, "fac", [5.0], fun add/3, state, #{})),
    ?assertEqual({done, {ok, [120.0], #{fuel_used => Used}}}, done(hb_wasm64:call_async(H, "fac", [5.0], ?USAGE))),
    ?assertEqual({done, {ok, [120.0]}}, done(hb_wasm64:call_async(H, "fac", [5.0], #{}))).

%% A loop makes as many rounds as it is told: what it uses grows by the same with each.
what_is_used_counts_instructions_test() ->
    H = hb_support:start("loop"),
    Of = fun(N) -> used(hb_wasm64:call(H, "count", [N], ?USAGE)) end,
    Round = Of(2) - Of(1),
    ?assert(Round > 0),
    [?assertEqual(Of(1) + (N - 1) * Round, Of(N)) || N <- [3, 10, 1000, 100_000]].

%% Catches a count that begins with the limit, or that ends somewhere else than the limit does.
a_call_may_have_what_it_uses_and_uses_all_of_less_test() ->
    H = hb_support:start("loop"),
    Used = used(hb_wasm64:call(H, "count", [1000], ?USAGE)),
    [?assertEqual({ok, [1000], #{fuel_used => Used}}, hb_wasm64:call(H, "count", [1000], #{usage => true, fuel => Fuel}))
     || Fuel <- [Used, Used + 1, 1 bsl 40, (1 bsl 64) - 1, infinity]],
    [?assertEqual({error, {limit, fuel}, #{fuel_used => Fuel}}, hb_wasm64:call(H, "count", [1000], #{usage => true, fuel => Fuel}))
     || Fuel <- [0, 1, 10, Used div 2]].

%% Catches fuel that slices, schedulers or imports take.
it_is_the_same_in_all_slices_and_in_every_copy_test_() ->
    {timeout, 300, fun() ->
        Image = hb_support:guest("loop"),
        {ok, H} = hb_wasm64:start(Image),
        {ok, Fork} = hb_wasm64:fork(H),
        {ok, Snapshot} = hb_wasm64:snapshot(H),
        {ok, Restored} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
        Use = fun(I) -> used(hb_wasm64:call(I, "count", [5_000_000], ?USAGE)) end,
        Used = Use(H),
        try
            [begin
                 ok = hb_wasm64:time_slice(Slice),
                 ?assertEqual({Slice, Used}, {Slice, Use(I)})
             end || Slice <- [100, 10_000], I <- [H, Fork, Restored]]
        after
            hb_wasm64:time_slice(1000)
        end
    end}.

imports_take_the_same_whoever_answers_them_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        {ok, [0], #{fuel_used := Zeros}} = hb_wasm64:call(H, "call_many", [100], ?USAGE),
        Slow = fun(State, Import, User) -> timer:sleep(1), add(State, Import, User) end,
        [?assertEqual({ok, [5050], s, #{fuel_used => Zeros}}, hb_wasm64:call(H, "call_many", [100], Fun, s, ?USAGE))
         || Fun <- [fun add/3, Slow]],
        Handler = spawn_link(fun Answer() ->
            receive
                {hb_wasm64, _, {import, Import, #{args := [A, B]}}} -> ok = hb_wasm64:respond(Import, {ok, [A + B]}), Answer();
                stop -> ok
            end
        end),
        Asked = hb_wasm64:call_async(H, "call_many", [100], #{usage => true, handler => Handler}),
        ?assertEqual({done, {ok, [5050], #{fuel_used => Zeros}}}, done(Asked)),
        Handler ! stop
    end}.

%% Catches a nested call that is free, or that is counted twice.
a_nested_call_counts_to_the_call_around_it_too_test() ->
    H = hb_support:start("imports"),
    Alone = used(hb_wasm64:call(H, "peek", [0], ?USAGE)),
    Nest = fun(Times) ->
        Import = fun([], #{instance := I}, _) ->
            {ok, [1], [used(hb_wasm64:call(I, "peek", [0], ?USAGE)) || _ <- lists:seq(1, Times)]}
        end,
        {ok, [_], Nested, #{fuel_used := Used}} = hb_wasm64:call(H, "call_callback", [1], Import, [], ?USAGE),
        ?assertEqual(lists:duplicate(Times, Alone), Nested),
        Used
    end,
    Outer = Nest(0),
    [?assertEqual(Outer + Times * Alone, Nest(Times)) || Times <- [1, 2, 5]].

%% Of a call that fails it is what had been used until then.
a_call_that_fails_tells_it_too_test() ->
    Traps = hb_support:start("traps"),
    Same = fun(Call) -> First = Call(), ?assertEqual(First, Call()), First end,
    {error, {trap, #{code := unreachable}}, #{fuel_used := Trapped}} =
        Same(fun() -> hb_wasm64:call(Traps, "unreachable", [], ?USAGE) end),
    ?assert(Trapped > 0),
    %% The processor traps and does not tell.
    [?assertMatch({Func, {error, {trap, #{code := Code}}, Usage}} when Usage =:= #{}, {Func, hb_wasm64:call(Traps, Func, [], ?USAGE)})
     || {Func, Code} <- [
            {"load_out_of_bounds", memory_out_of_bounds}, {"integer_division_by_zero", integer_division_by_zero},
            {"bad_signature", bad_signature}, {"indirect_call_to_null", indirect_call_to_null}
        ]],
    Imports = hb_support:start("imports"),
    Fail = fun(S, _, _) -> {error, no, S} end,
    {error, {import_failed, no}, s, #{fuel_used := Failed}} =
        Same(fun() -> hb_wasm64:call(Imports, "call_add", [1, 2], Fail, s, ?USAGE) end),
    ?assert(Failed > 0),
    Answer = fun(Asked) -> receive {hb_wasm64, _, {import, Ref, _}} -> hb_wasm64:respond(Ref, {error, no}) end, done(Asked) end,
    ?assertEqual(
        {done, {error, {import_failed, no}, #{fuel_used => Failed}}},
        Answer(hb_wasm64:call_async(Imports, "call_add", [1, 2], ?USAGE))
    ).

%% Catches a shape that depends on why a call has failed.
a_call_that_was_refused_or_ended_from_outside_tells_nothing_test() ->
    H = hb_support:start("loop"),
    Spin = #{usage => true, timeout => 20},
    {error, {invalid_args, _}, Nothing} = hb_wasm64:call(H, "count", [x], ?USAGE),
    ?assertEqual(#{}, Nothing),
    [?assertEqual({error, Reason, #{}}, Result) || {Reason, Result} <- [
        {{unknown_function, "nosuch"}, hb_wasm64:call(H, "nosuch", [], ?USAGE)},
        {{unknown_function, {}}, hb_wasm64:call(H, {}, [], ?USAGE)},
        {{invalid_option, fule, 1}, hb_wasm64:call(H, "count", [1], #{usage => true, fule => 1})},
        {timeout, hb_wasm64:call(H, "spin", [], Spin)}
    ]],
    ?assertEqual({error, timeout, s, #{}}, hb_wasm64:call(H, "spin", [], fun add/3, s, Spin)),
    ?assertMatch({error, _, s, #{}}, hb_wasm64:call(H, "spin", [], no_function, s, Spin)),
    ?assertEqual({done, {error, timeout, #{}}}, done(hb_wasm64:call_async(H, "spin", [], Spin))),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped, #{}}, hb_wasm64:call(H, "count", [1], ?USAGE)),
    ?assertEqual({error, stopped, s, #{}}, hb_wasm64:call(H, "count", [1], fun add/3, s, ?USAGE)).

add(State, #{args := [A, B]}, _User) -> {ok, [A + B], State}.

used({ok, _, #{fuel_used := Used}}) -> Used.

done({ok, Ref}) -> receive {hb_wasm64, Ref, {done, _} = Done} -> Done after 60_000 -> error(no_message) end.
