%% What a snapshot holds, in what form, and when there is none.
-module(hb_wasm64_snapshot_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_state_support, [image/0, run/2, snapshot/1, snapshot/2, hash/1]).

%% Everything is in it

%% Each kind of state by itself, by every way from one instance to another:
%% what is seen afterwards is seen in the original, and not in a fresh instance.
a_snapshot_holds_test_() ->
    [
        {lists:concat([What, ", by ", Name]), fun() -> arrives(Way, Changes, Looks) end}
     || {What, Changes, Looks} <- kinds(), {Name, Way} <- hb_state_support:ways()
    ].

arrives(Way, Changes, Looks) ->
    Image = image(),
    {ok, H} = hb_wasm64:start(Image),
    _ = run(H, Changes),
    New = Way(Image, H),
    ?assert(hash(H) =:= hash(New)),
    Seen = run(New, Looks),
    ?assertEqual(run(H, Looks), Seen),
    ?assertNotEqual(run(hb_state_support:start(), Looks), Seen),
    ?assert(hash(H) =:= hash(New)).

kinds() ->
    [
        {"the bytes of a memory", [{"put1", [100, 1234567890123]}], [{"get1", [100]}]},
        {"its last bytes", [{"put1", [65528, -1]}], [{"get1", [65528]}]},
        {"zeros in place of data", [{"fill1", [64, 0, 17]}], [{"get1", [64]}]},
        {"a memory that has grown", [{"grow1", [3]}], [{"sizes", []}, {"get1", [262_136]}]},
        {"what is written where it has grown", [{"grow1", [63]}, {"put1", [4_194_296, 5]}], [{"get1", [4_194_296]}]},
        {"the bytes of another memory", [{"put2", [8, 5]}, {"fill2", [4090, 0, 8]}], [{"get2", [8]}, {"get2", [4090]}]},
        {"another memory that has grown", [{"grow2", [7]}, {"put2", [524_280, 6]}], [{"sizes", []}, {"get2", [524_280]}]},
        {"the bytes of a 64-bit memory", [{"put3", [16, 5]}], [{"get3", [16]}]},
        {"a 64-bit memory that has grown", [{"grow3", [15]}, {"put3", [1_048_568, 6]}], [{"sizes", []}, {"get3", [1_048_568]}]},
        {"an exported i32", [{"set_i32", [-5]}], [{"numbers", []}]},
        {"a hidden i64", [{"set_i64", [-(1 bsl 63)]}], [{"numbers", []}]},
        {"a hidden f32", [{"set_f32", [neg_infinity]}], [{"numbers", []}]},
        {"the bits of a NaN f32", [{"set_f32", [{nan, 16#ffa12345}]}], [{"numbers", []}]},
        {"an exported f64", [{"set_f64", [0.1]}], [{"numbers", []}]},
        {"the bits of a NaN f64", [{"set_f64", [{nan, 16#fff4000000012345}]}], [{"numbers", []}]},
        {"a v128", [{"set_v128", [list_to_binary(lists:seq(240, 255))]}], [{"numbers", []}]},
        {"a function in a global", [{"set_func", [1]}], [{"call_global", [0, 50]}]},
        {"null in a global that was not", [{"set_func", [7]}], [{"references", []}, {"call_global", [0, 50]}]},
        {"a function in a global that was null", [{"set_null", [6]}], [{"references", []}, {"call_global", [1, 50]}]},
        {"an import in a global", [{"set_null", [3]}], [{"call_global", [1, 50]}]},
        {"functions in a table", [{"set", [0, 1]}, {"set", [3, 5]}], [{"call", [0, 50]}, {"call", [3, 50]}]},
        {"an import in a table", [{"set", [2, 3]}], [{"call", [2, 50]}]},
        {"null in a table that was not", [{"set", [0, 7]}], [{"call", [0, 50]}]},
        {"a table that has grown", [{"grow", [60, 4]}, {"fill", [10, 2, 20]}],
            [{"table_sizes", []}, {"call", [63, 1]}, {"call", [29, 1]}, {"call", [30, 1]}]},
        {"a hidden table", [{"set_hidden", [1, 0]}], [{"call_hidden", [1, 7]}]},
        {"a hidden table that has grown", [{"grow_hidden", [198, 6]}], [{"table_sizes", []}, {"call_hidden", [199, 7]}]},
        {"what was copied from table to table", [{"set_hidden", [0, 5]}, {"table_copy", [3, 0, 1]}], [{"call", [3, 1]}]},
        {"a table of host references that has grown", [{"grow_externs", [6, null]}], [{"table_sizes", []}, {"get_entry_extern", [7]}]},
        {"what was made of an element segment", [{"elem_init", [0, 0, 4]}, {"elem_init2", [0, 1, 2]}],
            [{"call", [0, 1]}, {"call", [2, 1]}, {"call_hidden", [0, 1]}, {"call_hidden", [1, 1]}]},
        {"a dropped data segment", [{"data_drop", []}], [{"data_init", [0, 0, 1]}, {"data_init2", [0, 0, 1]}]},
        {"another dropped data segment", [{"data_drop2", []}], [{"data_init2", [0, 0, 1]}, {"data_init", [0, 0, 1]}]},
        {"a dropped element segment", [{"elem_drop", []}], [{"elem_init", [0, 0, 1]}, {"elem_init2", [0, 0, 1]}]},
        {"another dropped element segment", [{"elem_drop2", []}], [{"elem_init2", [0, 0, 1]}, {"elem_init", [0, 0, 1]}]},
        {"everything at once", hb_state_support:everything(),
            [{"numbers", []}, {"sizes", []}, {"table_sizes", []}, {"mix", [1]}, {"call", [5, 9]}, {"data_init", [0, 0, 1]}]}
    ].

%% Nothing of it is in the process that made it.
everything_arrives_in_another_vm_test_() ->
    {timeout, 300, fun() ->
        Image = image(),
        {ok, H} = hb_wasm64:start(Image),
        _ = run(H, hb_state_support:everything()),
        Snapshot = snapshot(H),
        Peer = hb_support:peer(),
        {Again, Seen, After} = hb_support:on_peer(Peer, fun() ->
            {ok, New} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
            {snapshot(New) =:= Snapshot, hb_state_support:observe(New), hash(New)}
        end),
        ok = peer:stop(Peer),
        ?assert(Again),
        ?assertEqual(hb_state_support:observe(H), Seen),
        ?assert(hash(H) =:= After)
    end}.

%% Other images of all kinds, each changed a little.
images_of_all_kinds_have_snapshots_test_() ->
    [{lists:concat([Guest, ", by ", Name]), fun() ->
        Image = hb_support:guest(Guest),
        {ok, H} = hb_wasm64:start(Image),
        _ = run(H, Changes),
        New = Way(Image, H),
        ?assert(hash(H) =:= hash(New)),
        ?assertEqual(run(H, Changes), run(New, Changes)),
        ?assert(hash(H) =:= hash(New))
    end}
     || {Guest, Changes} <- [
            {"numbers", [{"count", [5]}]}, {"imports", [{"add_to_global", [5]}, {"poke", [100, 5]}]},
            {"memory", [{"grow", [1]}, {"store8", [70_000, 1]}]}, {"memory64", [{"grow", [1]}, {"store8", [70_000, 1]}]},
            {"tables", [{"grow", [2]}, {"grow2", [2]}, {"clear", [0, 1]}]}, {"many_memories", [{"first_bytes", []}]},
            {"exceptions", [{"deep", [3]}]}, {"exceptions_final", [{"order", [3]}]}, {"start_ok", [{"get", []}]},
            {"state_start", [{"fill", [100_000, 0, 5000]}, {"clear", [0]}, {"drop_left", []}, {"load8", [102_000]}]},
            {"state_exnref", [{"count", []}, {"grow", []}, {"keep", []}, {"forget", []}]}
        ],
        {Name, Way} <- hb_state_support:ways()].

%% Not within a call, and not what means nothing elsewhere

within_a_call_there_is_no_snapshot_test() ->
    H = hb_state_support:start(),
    Before = snapshot(H),
    Tries = [
        fun(I) -> hb_wasm64:snapshot(I) end, fun(I) -> hb_wasm64:snapshot(I, #{compress => true}) end,
        fun(I) -> hb_wasm64:snapshot(I, #{base => Before}) end, fun hb_wasm64:read_state/1
    ],
    [
        begin
            {Seen, [N]} = hb_state_support:within_an_import(H, fun(Scope) -> [Try(Scope), Try(H)] end),
            [?assertMatch({error, {uncapturable, <<_, _/binary>>}}, brief(Answer)) || Answer <- Seen],
            ?assertEqual(6 + Nth, N)
        end
     || {Nth, Try} <- lists:zip(lists:seq(1, length(Tries)), Tries)
    ],
    ?assertEqual([[5, 2, 3.0, 4.0, <<5:32/little, 6:32/little, 7:32/little, 8:32/little>>]], run(H, [{"numbers", []}])),
    ?assertMatch(#{globals := [{_, 1, <<5:32/little>>} | _]}, hb_snapshot:decode(snapshot(H))).

%% The same where nobody has asked for a snapshot of the image before: what a
%% fresh instance is like has to be found out first.
within_a_call_there_is_no_first_snapshot_test() ->
    {ok, H} = hb_wasm64:start(hb_support:fresh(image())),
    ?assertMatch({{error, {uncapturable, _}}, [7]}, hb_state_support:within_an_import(H, fun(I) -> brief(hb_wasm64:snapshot(I)) end)),
    ?assertMatch({ok, _}, brief(hb_wasm64:snapshot(H))).

%% From elsewhere it waits its turn: the state is that after the call.
a_snapshot_waits_for_the_end_of_the_call_test() ->
    H = hb_state_support:start(),
    {ok, Ref} = hb_wasm64:call_async(H, "ask", [5], #{}),
    Import = receive {hb_wasm64, Ref, {import, I, _}} -> I after 60_000 -> error(nothing) end,
    Test = self(),
    Asking = spawn_link(fun() -> Test ! {self(), snapshot(H)} end),
    ?assert(hb_support:wait_until(fun() -> process_info(Asking, status) =:= {status, waiting} end)),
    ok = hb_wasm64:respond(Import, {ok, [1]}),
    ?assertEqual({done, {ok, [3]}}, receive {hb_wasm64, Ref, Done} -> Done after 60_000 -> nothing end),
    Snapshot = receive {Asking, Taken} -> Taken after 60_000 -> error(nothing) end,
    ?assert(Snapshot =:= snapshot(H)).

an_object_of_the_host_is_refused_and_named_test() ->
    Rows = [
        {{"set_extern", [5]}, {"set_extern", [null]}}, {{"set_entry_extern", [1, 5]}, {"set_entry_extern", [1, null]}},
        {{"grow_externs", [2, 7]}, none}
    ],
    [
        begin
            H = hb_state_support:start(),
            [[]] = run(H, [{"put1", [8, 1]}]),
            [_] = run(H, [Keep]),
            Base = snapshot(hb_state_support:start()),
            [?assertMatch({error, {uncapturable, <<_, _/binary>>}}, brief(Answer)) || Answer <- [
                hb_wasm64:snapshot(H), hb_wasm64:snapshot(H, #{compress => true}), hb_wasm64:snapshot(H, #{base => Base}),
                hb_wasm64:read_state(H), hb_wasm64:fork(H), hb_wasm64:migrate(H, 'nosuch@127.0.0.1')
            ]],
            %% It lives on, and has what it had.
            ?assertEqual([[1], [1]], run(H, [{"get1", [8]}, {"call_global", [0, -99]}])),
            [begin
                 [[]] = run(H, [Forget]),
                 ?assertMatch({ok, _}, brief(hb_wasm64:snapshot(H)))
             end || Forget =/= none]
        end
     || {Keep, Forget} <- Rows
    ].

an_exception_is_refused_and_named_test() ->
    [
        begin
            H = hb_support:start("state_exnref"),
            ?assertMatch({ok, _}, brief(hb_wasm64:snapshot(H))),
            [[]] = run(H, [{Keep, []}]),
            ?assertMatch({error, {uncapturable, <<_, _/binary>>}}, brief(hb_wasm64:snapshot(H))),
            ?assertMatch({error, {uncapturable, <<_, _/binary>>}}, brief(hb_wasm64:fork(H))),
            ?assertEqual([[1], []], run(H, [{"count", []}, {Forget, []}])),
            ?assertMatch({ok, _}, brief(hb_wasm64:snapshot(H)))
        end
     || {Keep, Forget} <- [{"keep", "forget"}, {"keep_entry", "forget_entry"}]
    ].

a_stopped_instance_has_no_snapshot_test() ->
    H = hb_state_support:start(),
    ok = hb_wasm64:stop(H),
    ?assertEqual({error, stopped}, hb_wasm64:snapshot(H)),
    ?assertEqual({error, stopped}, hb_wasm64:snapshot(H, #{compress => true})),
    ?assertEqual({error, stopped}, hb_wasm64:read_state(H)),
    ?assertEqual({error, not_local}, hb_wasm64:snapshot(make_ref())).

%% Options

wrong_options_are_refused_test() ->
    H = hb_state_support:start(),
    [?assertEqual({error, {invalid_option, compress, V}}, hb_wasm64:snapshot(H, #{compress => V})) || V <- [1, zstd, <<>>, undefined, []]],
    [?assertEqual({error, {invalid_option, base, V}}, hb_wasm64:snapshot(H, #{base => V}))
     || V <- [none, 1, #{}, [1], [<<>> | <<>>], [[<<>>]], <<1:1>>]],
    [?assertEqual({error, {invalid_option, options, V}}, hb_wasm64:snapshot(H, V)) || V <- [none, [], [{compress, true}], 1]],
    [?assertMatch({error, {invalid_snapshot, #{code := Code}}}, brief(hb_wasm64:snapshot(H, #{base => V})))
     || {V, Code} <- [{<<>>, damaged}, {<<"x">>, not_a_snapshot}, {[<<>>], damaged}]],
    ?assert(snapshot(H) =:= snapshot(H, #{compress => false, base => []})).

%% One binary for one state

the_same_state_has_the_same_bytes_test_() ->
    {timeout, 300, fun() ->
        H = hb_state_support:start(),
        _ = run(H, hb_state_support:everything()),
        Base = snapshot(hb_state_support:start()),
        Forms = [#{}, #{compress => true}, #{base => Base}, #{base => Base, compress => true}],
        Take = fun(Handle) -> [snapshot(Handle, Form) || Form <- Forms] end,
        Taken = Take(H),
        ?assert(Taken =:= Take(H)),
        [?assert(Taken =:= Take(Way(image(), H)), Name) || {Name, Way} <- hb_state_support:ways()],
        Again = hb_state_support:start(),
        _ = run(Again, hb_state_support:everything()),
        ?assert(Taken =:= Take(Again)),
        Peer = hb_support:peer(),
        There = hb_support:on_peer(Peer, fun() ->
            Third = hb_state_support:start(),
            _ = run(Third, hb_state_support:everything()),
            Take(Third)
        end),
        ok = peer:stop(Peer),
        ?assert(Taken =:= There)
    end}.

%% How a state came about leaves no trace: not what was written and is zero
%% again, and not what was looked at.
a_state_does_not_tell_how_it_came_about_test() ->
    H = hb_state_support:start(),
    Before = snapshot(H),
    _ = run(H, [
        {"put1", [40_000, 5]}, {"put1", [40_000, 0]}, {"fill2", [20_000, 9, 20_000]}, {"fill2", [20_000, 0, 20_000]},
        {"get1", [50_000]}, {"get3", [60_000]}, {"set_i32", [3]}, {"set_i32", [1]}, {"set", [0, 3]}, {"set", [0, 0]},
        {"set", [3, 3]}, {"set", [3, 7]}, {"set_func", [2]}, {"set_func", [4]}, {"fill1", [64, 0, 4]}, {"put1", [64, $i]}
    ]),
    ok = hb_wasm64:write(H, 64, <<"in the beginning">>),
    ?assert(Before =:= snapshot(H)).

%% It is the file that the page describes.
a_snapshot_is_what_its_description_says_test() ->
    H = hb_state_support:start(),
    Fresh = snapshot(H),
    State = hb_snapshot:decode(Fresh),
    ?assert(Fresh =:= hb_snapshot:full(State)),
    _ = run(H, hb_state_support:everything()),
    Full = snapshot(H),
    Changed = #{memories := [Memory | _]} = hb_snapshot:decode(Full),
    ?assert(Full =:= hb_snapshot:full(Changed)),
    ?assert(snapshot(H, #{base => Fresh}) =:= hb_snapshot:delta(State, Changed)),
    {ok, Raw, Rest} = hb_wasm64:read_state(H),
    ?assert(Raw =:= Memory),
    ?assert(Rest =:= hb_snapshot:partial(Changed)),
    %% And the other way round.
    {ok, New} = hb_wasm64:start(image(), #{snapshot => hb_snapshot:full(Changed)}),
    ?assertEqual(hb_state_support:observe(H), hb_state_support:observe(New)).

zero_pages_are_left_out_test() ->
    H = hb_support:start("memory"),
    Small = snapshot(H),
    ?assert(byte_size(Small) < 2 * 4096),
    [[1]] = run(H, [{"grow", [1023]}]),
    Grown = snapshot(H),
    %% As large as before, but for the size in it.
    ?assertEqual(byte_size(Small), byte_size(Grown)),
    [[]] = run(H, [{"store8", [60_000_000, 1]}]),
    ?assertEqual(byte_size(Grown) + 4096 + 26, byte_size(snapshot(H))),
    [[]] = run(H, [{"store8", [60_000_000, 0]}]),
    ?assert(Grown =:= snapshot(H)).

%% A page of text.
compressed_is_smaller_test() ->
    H = hb_support:start("memory"),
    ok = hb_wasm64:write(H, 8192, binary:copy(<<"so many words of the same kind, ">>, 1024)),
    ?assert(byte_size(snapshot(H, #{compress => true})) * 4 < byte_size(snapshot(H))),
    {ok, Merged} = hb_wasm64:merge(snapshot(H, #{compress => true})),
    ?assert(Merged =:= snapshot(H)).

brief(Answer) -> dev_wasm64_support:brief(Answer).
