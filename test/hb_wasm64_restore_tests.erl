%% Snapshots on their way back: into an instance that is there, or into one
%% that starts with them. What is refused leaves everything as it was.
-module(hb_wasm64_restore_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_state_support, [image/0, run/2, snapshot/1, snapshot/2, hash/1]).

%% What is done

%% Nothing of what it was is left: not what it has more than the snapshot.
an_instance_goes_back_to_a_smaller_state_test_() ->
    [{atom_to_list(Form), fun() ->
        H = hb_state_support:start(),
        _ = run(H, [{"put1", [100, 5]}, {"set", [0, 3]}]),
        Early = hash(H),
        Kept = kept(Form, H),
        _ = run(H, hb_state_support:everything()),
        ?assertNot(Early =:= hash(H)),
        ?assertEqual(ok, back(H, Kept)),
        ?assert(Early =:= hash(H)),
        ?assertEqual([[1, 1, 1], [4, 2, 2], [5], trap], [case R of [_ | _] -> R; _ -> trap end
            || R <- run(H, [{"sizes", []}, {"table_sizes", []}, {"get1", [100]}, {"get1", [65536]}])])
    end} || Form <- [whole, compressed, chain, raw]].

kept(whole, H) -> snapshot(H);
kept(compressed, H) -> snapshot(H, #{compress => true});
kept(chain, H) ->
    Base = snapshot(hb_state_support:start()),
    [Base, snapshot(H, #{base => Base})];
kept(raw, H) ->
    {ok, Memory, Rest} = hb_wasm64:read_state(H),
    {Memory, Rest}.

back(H, {Memory, Rest}) -> hb_wasm64:write_state(H, Memory, Rest);
back(H, Kept) -> hb_wasm64:restore(H, Kept).

%% What starts anew runs its start function, and what that did is not there
%% afterwards unless it was in the snapshot.
what_a_start_function_does_is_undone_test() ->
    Image = hb_support:guest("state_start"),
    {ok, H} = hb_wasm64:start(Image),
    ?assertEqual([[1], [0], [3], [5], [16#5a], ["once"]],
        run(H, [{"starts", []}, {"answer", []}, {"size", []}, {"table_size", []}, {"load8", [104_999]}]) ++ [[text(H, 16)]]),
    Changes = [{"fill", [0, 0, 196_608]}, {"clear", [0]}, {"clear", [1]}, {"clear", [4]}, {"set_host", [3]}],
    _ = run(H, Changes),
    Looks = [{"starts", []}, {"load8", [16]}, {"load8", [100_000]}, {"load8", [104_999]}, {"load8", [0]}, {"call", [4, 1]},
             {"call", [3, 7]}, {"call", [2, 7]}, {"init_once", []}, {"init_left", []}],
    Expected = [[1], [0], [0], [0], [0], indirect_call_to_null, [21], [8], memory_out_of_bounds, []],
    [?assertEqual({Name, Expected}, {Name, run(Way(Image, H), Looks)}) || {Name, Way} <- hb_state_support:ways()],
    ?assertEqual(Expected, run(H, Looks)).

%% What it has done cannot be undone everywhere: no instance can be without it.
states_that_no_instance_can_have_are_refused_test() ->
    Image = hb_support:guest("state_start"),
    {ok, H} = hb_wasm64:start(Image),
    Snapshot = snapshot(H),
    #{memories := [<<Memory:65536/binary, _/binary>>], data := [Dropped]} = State = hb_snapshot:decode(Snapshot),
    ?assert(Snapshot =:= hb_snapshot:full(State)),
    Rows = [
        {dropped, State#{data => []}}, {other_dropped, State#{data => [Dropped + 1]}},
        {memory, State#{memories => [Memory]}}, {table, State#{tables => [{0, 2, [{2, 16#ffffffff}]}]}}
    ],
    [
        begin
            ?assertMatch({Row, {invalid_snapshot, _}}, {Row, refusal(hb_wasm64:restore(H, hb_snapshot:full(Bad)))}),
            ?assert(Snapshot =:= snapshot(H))
        end
     || {Row, Bad} <- Rows
    ].

text(H, At) ->
    {ok, Text} = hb_wasm64:read(H, At, 4),
    binary_to_list(Text).

%% Those who use an instance while it is restored see one state or the other.
restoring_takes_its_turn_test_() ->
    {timeout, 300, fun() ->
        H = hb_state_support:start(),
        [[], []] = run(H, [{"put1", [0, 1]}, {"put2", [0, 1]}]),
        One = snapshot(H),
        [[], []] = run(H, [{"put1", [0, 2]}, {"put2", [0, 2]}]),
        Two = snapshot(H),
        Test = self(),
        Readers = [spawn_link(fun() -> Test ! {self(), [run(H, [{"put1", [8, N]}, {"mix", [64]}]) || N <- lists:seq(1, 100)]} end) || _ <- [1, 2]],
        Takers = [spawn_link(fun() -> Test ! {self(), [both(snapshot(H)) || _ <- lists:seq(1, 50)]} end) || _ <- [1, 2]],
        [ok = hb_wasm64:restore(H, case N rem 2 of 0 -> One; 1 -> Two end) || N <- lists:seq(1, 100)],
        [receive {Reader, Results} -> ?assertEqual(100, length([R || [[], [_]] = R <- Results])) end || Reader <- Readers],
        [receive {Taker, Seen} -> ?assertEqual([], [S || S <- Seen, not lists:member(S, [{1, 1}, {2, 2}])]) end || Taker <- Takers]
    end}.

both(Snapshot) ->
    #{memories := [<<First:64/little, _/binary>>, <<Second:64/little, _/binary>>, _]} = hb_snapshot:decode(Snapshot),
    {First, Second}.

%% The literal snapshot may be as long as it likes.
a_chain_of_a_hundred_is_restored_and_merged_test() ->
    H = hb_state_support:start(),
    Chain = lists:foldl(fun(N, Chain) ->
        _ = run(H, [{"put1", [N * 640, N]}, {"put2", [4096 * (N rem 16), N rem 3]}, {"mix", [N]}, {"grow", [N rem 2, N rem 8]}]),
        Chain ++ [snapshot(H, #{base => Chain, compress => N rem 2 =:= 0})]
    end, [snapshot(H)], lists:seq(1, 100)),
    ?assertEqual(101, length(Chain)),
    {ok, New} = hb_wasm64:start(image(), #{snapshot => Chain}),
    ?assert(hash(H) =:= hash(New)),
    {ok, Merged} = hb_wasm64:merge(Chain),
    ?assert(snapshot(H) =:= Merged),
    %% The last one alone holds little.
    ?assert(byte_size(lists:last(Chain)) * 2 < byte_size(Merged)).

%% A memory cannot shrink, but a state with a smaller one can follow.
a_delta_may_lead_to_a_smaller_memory_test() ->
    H = hb_state_support:start(),
    Small = snapshot(H),
    _ = run(H, [{"grow1", [5]}, {"put1", [300_000, 5]}, {"grow2", [3]}, {"fill2", [100_000, 7, 50_000]}]),
    Large = snapshot(H),
    ok = hb_wasm64:restore(H, Small),
    Delta = snapshot(H, #{base => Large}),
    ?assert(byte_size(Delta) < byte_size(Small)),
    _ = run(H, hb_state_support:everything()),
    ok = hb_wasm64:restore(H, [Large, Delta]),
    ?assert(Small =:= snapshot(H)),
    {ok, Merged} = hb_wasm64:merge([Large, Delta]),
    ?assert(Small =:= Merged).

%% What is refused

refused_snapshots_change_nothing_test_() ->
    {setup, fun states/0, fun(States) ->
        [{Title, fun() -> refused(Snapshot) end} || {Title, Snapshot} <- bad(States)]
    end}.

%% Three states, one after the other.
states() ->
    H = hb_state_support:start(),
    [begin _ = run(H, Calls), snapshot(H) end
     || Calls <- [[], [{"put1", [8, 9]}, {"grow1", [1]}, {"put1", [70_000, 9]}, {"set_i32", [9]}], [{"put2", [8, 9]}, {"set", [0, 3]}]]].

bad([A, B, C]) ->
    H = hb_state_support:start(),
    Taken = fun(State, Options) -> ok = hb_wasm64:restore(H, State), snapshot(H, Options) end,
    [AB, BC] = [Taken(B, #{base => A}), Taken(C, #{base => B})],
    Other = snapshot(hb_support:start("memory")),
    Decoded = #{memories := [M1 | More], globals := Globals, tables := Tables} = hb_snapshot:decode(B),
    Full = fun(Changes) -> hb_snapshot:full(maps:merge(Decoded, Changes)) end,
    With = fun(Index, Type, Value) -> Full(#{globals => lists:keyreplace(Index, 1, Globals, {Index, Type, Value})}) end,
    {ok, _, Rest} = hb_wasm64:read_state(H),
    First = element(1, hd(Globals)),
    [
        {"nothing", <<>>}, {"text", <<"not a snapshot">>}, {"no snapshots", []},
        {"of another image", Other}, {"of an image with the same instructions", Full(#{image => crypto:hash(sha256, "x")})},
        {"cut in the header", binary:part(B, 0, 60)}, {"without its last byte", binary:part(B, 0, byte_size(B) - 1)},
        {"with a byte too many", <<B/binary, 0>>}, {"twice", <<B/binary, B/binary>>},
        {"with another byte in a page", flipped(B, byte_size(B) - 100)}, {"with another byte in the header", flipped(B, 70)},
        {"compressed, with another byte", flipped(Taken(B, #{compress => true}), -20)},
        {"compressed, cut", begin Z = Taken(B, #{compress => true}), binary:part(Z, 0, byte_size(Z) - 9) end},
        {"a delta alone", AB}, {"a delta on another state", [C, AB]}, {"a delta on its own state", [B, AB]},
        {"a delta left out", [A, BC]}, {"deltas the wrong way round", [A, BC, AB]}, {"a delta twice", [A, AB, AB]},
        {"two whole ones", [A, B]}, {"a whole one last", [A, AB, C]}, {"a delta on another image", [Other, AB]},
        {"a delta with another byte", [A, flipped(AB, byte_size(AB) - 100)]}, {"a damaged base", [flipped(A, byte_size(A) - 5), AB]},
        {"the rest without the memory", Rest}, {"a delta on a rest", [Rest, AB]},
        {"of another version", hb_snapshot:seal(<<(binary:part(B, 0, 8))/binary, 2, (binary:part(B, 9, byte_size(B) - 9))/binary>>)},
        {"with a flag that is none", hb_snapshot:seal(<<(binary:part(B, 0, 10))/binary, 8, (binary:part(B, 11, byte_size(B) - 11))/binary>>)},
        {"with a memory larger than the image allows", Full(#{memories => [<<0:(65 * 65536 * 8)>> | More]})},
        {"with a memory smaller than the image's", Full(#{memories => [<<>> | More]})},
        {"with a memory too many", Full(#{memories => [M1, M1 | More]})}, {"with a memory too few", Full(#{memories => More})},
        {"without a global", Full(#{globals => tl(Globals)})},
        {"with a global that never changes", Full(#{globals => [{First - 1, 1, <<0:32>>} | Globals]})},
        {"with a global of another type", With(First, 2, <<0:64>>)}, {"with a reference for a number", With(First, 6, <<-1:32>>)},
        {"with a null of no function for one", With(function_global(Globals), 0, <<>>)},
        {"with a null of a function for one of another", With(null_global(Globals), 6, <<-1:32>>)},
        {"with a table that is as in a fresh instance", Full(#{tables => [{1, 2, [{2, 16#ffffffff}]} | Tables]})},
        {"with a number for a reference", With(function_global(Globals), 1, <<0:32>>)},
        {"with a function that there is not", With(function_global(Globals), 6, <<100_000:32/little>>)},
        {"with a function that nobody refers to", With(function_global(Globals), 6, <<7:32/little>>)},
        {"with a table that there is not", Full(#{tables => Tables ++ [{77, 2, [{2, 16#ffffffff}]}]})},
        {"with a table that has shrunk", Full(#{tables => [{0, 3, [{3, 16#ffffffff}]}]})},
        {"with a table larger than the image allows", Full(#{tables => [{0, 65, [{65, 16#ffffffff}]}]})},
        {"with a function in a table of host references", Full(#{tables => [{2, 2, [{2, 1}]}]})},
        {"with a function in a table that there is not", Full(#{tables => [{0, 4, [{4, 99_999}]}]})},
        {"with a dropped segment that there is not", Full(#{data => [44]})},
        {"with a dropped segment that is no passive one", Full(#{data => [0]})},
        {"with a dropped element segment that there is not", Full(#{elements => [44]})}
    ].

null_global(Globals) -> hd([Index || {Index, 0, _} <- Globals]).

%% One byte is another: 9 in place of 0, at 8.
patches_that_break_a_rule_are_refused_test_() ->
    H = hb_state_support:start(),
    Base = snapshot(H),
    ok = hb_wasm64:write(H, 8, <<9>>),
    Whole = snapshot(H),
    Delta = #{table := <<1:64/little, 0:64/little, 3:16/little, Table/binary>>, data := <<8, 1, 9>>} = hb_snapshot:parts(snapshot(H, #{base => Base})),
    Patched = fun(Patch) ->
        [Base, hb_snapshot:join(Delta#{table => <<1:64/little, 0:64/little, (byte_size(Patch)):16/little, Table/binary>>, data => Patch})]
    end,
    [{"as it is", fun() -> ?assertEqual({ok, Whole}, {hb_wasm64:restore(H, Patched(<<8, 1, 9>>)), snapshot(H)}) end}] ++
    [{Title, fun() -> refused(Patched(Patch)) end} || {Title, Patch} <- [
        {"a number longer than it need be", <<136, 0, 1, 9>>}, {"another one", <<8, 129, 0, 9>>}, {"a number cut off", <<8, 1, 9, 128>>},
        {"a number of three bytes", <<136, 128, 0, 1, 9>>}, {"a run cut off", <<8, 2, 9>>}, {"a run without its length", <<8, 1, 9, 5>>},
        {"a run without bytes", <<8, 1, 9, 20, 0>>}, {"a run beyond the page", <<8, 1, 9, 246, 31, 2, 1, 1>>},
        {"a run far beyond the page", <<8, 1, 9, 255, 127, 1, 1>>}, {"a run that begins with what is there", <<7, 2, 0, 9>>},
        {"a run that ends with what is there", <<8, 2, 9, 0>>}, {"a run that changes nothing", <<8, 1, 9, 20, 1, 0>>},
        {"two runs for one", <<8, 1, 9, 2, 1, 0>>}, {"another byte", <<8, 1, 8>>}, {"another place", <<9, 1, 9>>}
    ]].

function_global(Globals) -> hd([Index || {Index, 6, _} <- Globals]).

flipped(Snapshot, At) when At < 0 -> flipped(Snapshot, byte_size(Snapshot) + At);
flipped(Snapshot, At) ->
    <<Before:At/binary, Byte, After/binary>> = Snapshot,
    <<Before/binary, (Byte bxor 4), After/binary>>.

refused(Snapshot) ->
    H = hb_state_support:start(),
    _ = run(H, hb_state_support:everything()),
    Before = hash(H),
    Reason = refusal(hb_wasm64:restore(H, Snapshot)),
    ?assert(Before =:= hash(H)),
    ?assertEqual(run(changed(), [{"mix", [5]}]), run(H, [{"mix", [5]}])),
    %% No instance is left of one that was to start with it.
    Start = fun() -> refusal(hb_wasm64:start(image(), #{snapshot => Snapshot})) end,
    {Same, Instances} = dev_wasm64_support:instances_of(Start),
    ?assertEqual(Reason, Same),
    ?assert(lists:all(fun dev_wasm64_support:is_gone/1, Instances)).

changed() ->
    H = hb_state_support:start(),
    _ = run(H, hb_state_support:everything()),
    H.

refusal({error, {invalid_snapshot, #{code := Code, message := Text}} = Reason}) when is_atom(Code), byte_size(Text) > 5 -> Reason;
refusal({error, {limit, Limit} = Reason}) when Limit =:= memory; Limit =:= table -> Reason;
refusal(Other) -> error({not_refused, dev_wasm64_support:brief(Other)}).

%% The reason is one that helps.
what_is_wrong_is_said_test() ->
    Bad = maps:from_list(bad(states())),
    Reason = fun(Title) -> element(2, refusal(hb_wasm64:restore(hb_state_support:start(), maps:get(Title, Bad)))) end,
    [
        begin
            #{code := Found, message := Text} = Reason(Title),
            ?assertMatch({Title, Code, {match, _}}, {Title, Found, re:run(Text, Word)})
        end
     || {Title, Code, Word} <- [
            {"of another image", other_image, "image"}, {"without its last byte", damaged, "truncated"},
            {"with a byte too many", damaged, "long"}, {"text", not_a_snapshot, "not a snapshot"},
            {"with another byte in a page", damaged, "page"}, {"with another byte in the header", damaged, "checksum"},
            {"a delta alone", missing_base, "delta"}, {"a delta on another state", other_base, "delta"},
            {"no snapshots", empty, "no snapshot"}, {"of another version", unsupported_version, "version"},
            {"with a dropped segment that there is not", malformed, "segment"}
        ]
    ],
    ?assertEqual(memory, Reason("with a memory larger than the image allows")),
    ?assertEqual(table, Reason("with a table larger than the image allows")).

what_is_no_snapshot_at_all_is_refused_test() ->
    H = hb_state_support:start(),
    Before = hash(H),
    [
        begin
            ?assertEqual({error, {invalid_args, #{signature => "restore(Handle, Snapshot)", args => [H, Bad], position => 2}}},
                hb_wasm64:restore(H, Bad)),
            ?assertEqual({error, {invalid_args, #{signature => "merge(Snapshot)", args => [Bad], position => 1}}}, hb_wasm64:merge(Bad)),
            ?assertEqual({error, {invalid_option, snapshot, Bad}}, hb_wasm64:start(image(), #{snapshot => Bad}))
        end
     || Bad <- [none, 1, #{}, {<<>>}, {raw, <<>>}, [1], [<<>>, none], [<<>> | <<>>], <<1:3>>, [<<1:3>>]]
    ],
    [begin
         ?assertMatch({error, {invalid_args, #{position := Position}}}, hb_wasm64:write_state(H, Memory, Rest)),
         ?assertEqual({error, {invalid_option, snapshot, {raw, Memory, Rest}}}, hb_wasm64:start(image(), #{snapshot => {raw, Memory, Rest}}))
     end || {Memory, Rest, Position} <- [{none, none, 2}, {1, <<>>, 2}, {<<1:3>>, none, 2}, {<<>>, 1, 3}, {<<>>, [], 3}, {<<>>, <<1:3>>, 3}]],
    ?assertMatch({error, {invalid_snapshot, #{code := empty}}}, hb_wasm64:merge([])),
    ?assertMatch({error, {invalid_snapshot, #{code := not_a_snapshot}}}, hb_wasm64:merge(<<"text">>)),
    ?assert(Before =:= hash(H)).

within_a_call_nothing_is_restored_test() ->
    H = hb_state_support:start(),
    Snapshot = snapshot(H),
    {ok, Memory, Rest} = hb_wasm64:read_state(H),
    {Seen, [7]} = hb_state_support:within_an_import(H, fun(Scope) ->
        [Try(Handle) || Handle <- [Scope, H],
            Try <- [fun(I) -> hb_wasm64:restore(I, Snapshot) end, fun(I) -> hb_wasm64:write_state(I, Memory, Rest) end]]
    end),
    [?assertMatch({error, {uncapturable, <<_, _/binary>>}}, Answer) || Answer <- Seen],
    ?assertEqual([[2]], [[hd(R)] || R <- run(H, [{"numbers", []}])]),
    ?assertEqual(ok, hb_wasm64:restore(H, Snapshot)),
    ?assertEqual([[1]], [[hd(R)] || R <- run(H, [{"numbers", []}])]).

a_stopped_instance_is_not_brought_back_test() ->
    H = hb_state_support:start(),
    Snapshot = snapshot(H),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:restore(H, Snapshot)),
    ?assertEqual({error, stopped}, hb_wasm64:write_state(H, <<>>, none)),
    ?assertEqual({error, not_local}, hb_wasm64:restore(make_ref(), Snapshot)).

%% Raw memory

raw_memory_without_a_rest_is_a_fresh_instance_with_it_test() ->
    H = hb_state_support:start(),
    _ = run(H, hb_state_support:everything()),
    ?assertEqual(ok, hb_wasm64:write_state(H, <<"short">>, none)),
    {ok, Memory, none} = hb_wasm64:read_state(H),
    ?assertEqual({65536, true}, {byte_size(Memory), Memory =:= <<"short", 0:((65536 - 5) * 8)>>}),
    Fresh = hb_state_support:start(),
    ok = hb_wasm64:write_memory(Fresh, Memory),
    ?assert(hash(Fresh) =:= hash(H)),
    ?assertEqual(hb_state_support:observe(Fresh), hb_state_support:observe(H)).

raw_memory_that_is_larger_grows_it_test() ->
    H = hb_state_support:start(),
    Large = rand:bytes(3 * 65536 + 5),
    ?assertEqual(ok, hb_wasm64:write_state(H, Large, none)),
    {ok, Memory} = hb_wasm64:read_memory(H),
    ?assertEqual({4 * 65536, true}, {byte_size(Memory), Memory =:= <<Large/binary, 0:((65536 - 5) * 8)>>}),
    ?assertEqual([[4, 1, 1]], run(H, [{"sizes", []}])).

raw_memory_that_does_not_fit_changes_nothing_test() ->
    H = hb_state_support:start(),
    _ = run(H, hb_state_support:everything()),
    {ok, Memory, Rest} = hb_wasm64:read_state(H),
    Before = hash(H),
    Fresh = hb_state_support:start(),
    {ok, FreshMemory, none} = hb_wasm64:read_state(Fresh),
    ?assertEqual({error, {limit, memory}}, hb_wasm64:write_state(H, <<0:(65 * 65536 * 8)>>, none)),
    ?assertMatch({error, {invalid_snapshot, #{code := other_memory}}}, hb_wasm64:write_state(H, FreshMemory, Rest)),
    [?assertMatch({error, {invalid_snapshot, _}}, hb_wasm64:write_state(H, Body, Else)) || {Body, Else} <- [
        {FreshMemory, Rest}, {<<Memory/binary, 0:(65536 * 8)>>, Rest}, {<<>>, Rest}, {Memory, <<>>}, {Memory, <<"text">>},
        {Memory, flipped(Rest, 80)}, {Memory, flipped(Rest, -1)}, {Memory, binary:part(Rest, 0, byte_size(Rest) - 1)},
        {Memory, snapshot(hb_support:start("memory"))}, {Memory, snapshot(Fresh)}
    ]],
    ?assert(Before =:= hash(H)),
    ?assertEqual({error, {limit, memory}}, hb_wasm64:write_state(hb_support:start("numbers"), <<0>>, none)).

%% Starting with a snapshot

%% The snapshot of an image whose start function never ends, made by hand.
a_start_function_without_end_ends_by_timeout_test_() ->
    {timeout, 300, fun() ->
        Image = hb_support:guest("start_spin"),
        Snapshot = hb_snapshot:full(hb_snapshot:of_image(Image)),
        Start = fun() -> hb_wasm64:start(Image, #{snapshot => Snapshot, timeout => 100}) end,
        {Micros, {Answer, Instances}} = hb_support:micros(fun() -> dev_wasm64_support:instances_of(Start) end),
        ?assertEqual({error, timeout}, Answer),
        ?assert(Micros < 30_000_000, Micros),
        ?assert(lists:all(fun dev_wasm64_support:is_gone/1, Instances)),
        ?assertEqual([], hb_support:flush()),
        ?assertEqual({error, {invalid_option, timeout, no}}, hb_wasm64:start(Image, #{snapshot => Snapshot, timeout => no}))
    end}.

%% Where it traps there is no state either.
a_start_function_that_traps_is_told_test() ->
    Image = hb_support:guest("start_trap"),
    Snapshot = hb_snapshot:full(hb_snapshot:of_image(Image)),
    ?assertMatch({error, {trap, #{code := unreachable}}}, hb_wasm64:start(Image, #{snapshot => Snapshot})).

who_starts_with_a_snapshot_may_be_killed_test_() ->
    {timeout, 300, fun() ->
        Image = hb_support:guest("start_spin"),
        Snapshot = hb_snapshot:full(hb_snapshot:of_image(Image)),
        Starter = spawn(fun() -> hb_wasm64:start(Image, #{snapshot => Snapshot}) end),
        Works = fun() -> element(2, process_info(Starter, reductions)) > 1000 end,
        ?assert(hb_support:wait_until(Works)),
        hb_support:gone(Starter),
        ?assertMatch({ok, _}, hb_wasm64:start(image(), #{snapshot => snapshot(hb_state_support:start()), timeout => 60_000}))
    end}.
