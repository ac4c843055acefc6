%% Options: each function accepts its own, and refuses all others.
-module(hb_wasm64_options_tests).

-include_lib("eunit/include/eunit.hrl").

%% A good value of every option there is.
good() ->
    #{
        timeout => 60_000, on_timeout => keep, fuel => 1_000_000, time => 5, intercept => [], user => user, handler => self(),
        snapshot => {raw, <<>>, none}, initialize => true, compress => false, base => [], max => 100, holder => none,
        usage => true, gas => 1_000_000, refill => true
    }.

an_option_is_refused_by_every_function_that_does_not_accept_it_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        [begin
             Refused = {error, {invalid_option, Key, Value}},
             ?assertEqual({Name, Key, Refused}, {Name, Key, brief(Function(H, #{Key => Value}))})
         end
         || {Name, Accepted, Function} <- functions(),
            {Key, Value} <- maps:to_list(maps:without(Accepted, (good())#{
                fule => 10, time_out => 5, <<"fuel">> => 10, store => [], 7 => 8
            }))],
        ?assertEqual([], hb_support:flush())
    end}.

an_option_is_accepted_where_it_belongs_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("imports"),
        [?assertMatch({Name, _, Key}, {Name, not_refused(brief(Function(H, maps:with([Key], good())))), Key})
         || {Name, Accepted, Function} <- functions(), Key <- Accepted]
    end}.

%% What no function accepts is refused before anything is done.
a_call_with_a_misspelt_option_does_not_run_test() ->
    H = hb_support:start("imports"),
    ?assertEqual({error, {invalid_option, fule, 10}}, hb_wasm64:call(H, "add_to_global", [1], #{fule => 10})),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "add_to_global", [0])),
    ?assertEqual({error, {invalid_option, fule, 10}}, hb_wasm64:start(<<"no module">>, #{fule => 10})).

of_several_wrong_options_the_first_is_named_test() ->
    H = hb_support:start("numbers"),
    [?assertEqual({error, {invalid_option, a, 1}}, hb_wasm64:call(H, "nop", [], maps:from_list(Options)))
     || Options <- [[{a, 1}, {b, 2}], [{b, 2}, {a, 1}], [{a, 1}, {fuel, none}], [{z, 0}, {a, 1}, {timeout, x}]]].

import_functions_get_what_the_option_user_carries_test() ->
    H = hb_support:start("imports"),
    Add = fun(State, _, User) -> {ok, [7], [User | State]} end,
    ?assertEqual({ok, [7], [#{}]}, hb_wasm64:call(H, "call_add", [1, 2], Add, [], #{})),
    ?assertEqual({ok, [7], [#{}]}, hb_wasm64:call(H, "call_add", [1, 2], Add, [], #{timeout => 60_000})),
    [?assertEqual({ok, [7], [User]}, hb_wasm64:call(H, "call_add", [1, 2], Add, [], #{user => User}))
     || User <- [#{fule => 10}, fuel, [], undefined, fun erlang:self/0]].

%% Each with the options that it accepts.
functions() ->
    Run = [timeout, on_timeout, fuel, time, gas, refill],
    Call = [usage | Run],
    Only = [timeout],
    {ok, Snapshot} = hb_wasm64:snapshot(hb_support:start("imports")),
    [
        {start, [timeout, fuel, gas, time, initialize, snapshot], fun(_, O) -> hb_wasm64:start(hb_support:guest("imports"), O) end},
        {call, Call, fun(H, O) -> hb_wasm64:call(H, "peek", [0], O) end},
        {call_with_imports, Call ++ [intercept, user], fun(H, O) ->
            hb_wasm64:call(H, "peek", [0], fun(S, _, _) -> {ok, [], S} end, state, O)
        end},
        {call_async, Call ++ [intercept, handler], fun(H, O) -> done(hb_wasm64:call_async(H, "peek", [0], O)) end},
        {malloc, Run, fun(H, O) -> hb_wasm64:malloc(H, 8, O) end},
        {free, Run, fun(H, O) -> hb_wasm64:free(H, 8, O) end},
        {write_string, Run, fun(H, O) -> hb_wasm64:write_string(H, "text", O) end},
        {read_string, [timeout, max], fun(H, O) -> hb_wasm64:read_string(H, 0, O) end},
        {read_string_nowhere, [timeout, max], fun(H, O) -> hb_wasm64:read_string(H, -1, O) end},
        {snapshot, [timeout, compress, base], fun(H, O) -> hb_wasm64:snapshot(H, O) end},
        {restore, Only, fun(H, O) -> hb_wasm64:restore(H, Snapshot, O) end},
        {merge, Only, fun(_, O) -> hb_wasm64:merge(Snapshot, O) end},
        {fork, Only, fun(H, O) -> hb_wasm64:fork(H, O) end},
        {renew, [timeout, fuel, gas, time, initialize], fun(H, O) -> hb_wasm64:renew(H, O) end},
        {read_state, Only, fun(H, O) -> hb_wasm64:read_state(H, O) end},
        {write_state, Only, fun(H, O) -> hb_wasm64:write_state(H, <<>>, none, O) end},
        {migrate, [timeout, holder], fun(H, O) -> hb_wasm64:migrate(H, nonode, O) end},
        {describe, Only, fun(H, O) -> hb_wasm64:describe(H, O) end},
        {memory_size, Only, fun(H, O) -> hb_wasm64:memory_size(H, O) end},
        {output, Only, fun(H, O) -> hb_wasm64:output(H, O) end},
        {read, Only, fun(H, O) -> hb_wasm64:read(H, 0, 4, O) end},
        {read_nowhere, Only, fun(H, O) -> hb_wasm64:read(H, -1, 4, O) end},
        {write, Only, fun(H, O) -> hb_wasm64:write(H, 0, <<0>>, O) end},
        {read_memory, Only, fun(H, O) -> hb_wasm64:read_memory(H, O) end},
        {write_memory, Only, fun(H, O) -> hb_wasm64:write_memory(H, <<>>, O) end},
        {grow, Only, fun(H, O) -> hb_wasm64:grow(H, 0, O) end}
    ].

done({ok, Ref}) ->
    receive
        {hb_wasm64, Ref, {done, Result}} -> Result
    after 60_000 -> error(nothing_came)
    end;
done(Error) ->
    Error.

brief({error, Reason, state}) -> {error, Reason};
brief(Result) -> Result.

not_refused({error, {invalid_option, _, _}} = Error) -> error(Error);
not_refused(_Other) -> accepted.
