%% The state of AOS, message by message: as raw memory and as a chain of
%% deltas, restored in other OS processes.
-module(hb_wasm64_state_aos_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_state_support, [snapshot/1, snapshot/2]).

-define(MESSAGES, 50).
%% After which messages another process goes on.
-define(POINTS, [1, 17, 34, 49]).

aos_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        [
            {"a state after each of 50 messages is complete in each of its forms", {timeout, 600, fun() -> fifty(Image) end}},
            {"the same bytes on every machine", {timeout, 300, fun() -> everywhere(Image) end}},
            {"a raw memory of the C driver goes on", {timeout, 300, fun() -> driver(Image) end}},
            {"a message that is interrupted leaves a state like others", {timeout, 300, fun() -> interrupted(Image) end}}
        ]
    end).

fifty(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    {_, Kept} = lists:foldl(fun(N, {Chain, Kept}) ->
        Answer = message(H, N),
        ?assertNotEqual(nomatch, binary:match(Answer, <<"\"ok\":true">>), N),
        Whole = snapshot(H),
        Longer = Chain ++ [snapshot(H, #{base => Chain, compress => N rem 2 =:= 0})],
        ?assert(hb_wasm64:merge(Longer) =:= {ok, Whole}, N),
        {ok, Memory, Rest} = hb_wasm64:read_state(H),
        ?assert({ok, Memory} =:= hb_wasm64:read_memory(H), N),
        ?assert({ok, Memory} =:= hb_beamr:serialize(H), N),
        Now = [{N, Answer, {Longer, Whole, {Memory, Rest}}} || lists:member(N, ?POINTS)],
        {Longer, Now ++ [{N, Answer, none} | Kept]}
    end, {[snapshot(H)], []}, lists:seq(1, ?MESSAGES)),
    Answers = maps:from_list([{N, Answer} || {N, Answer, _} <- Kept]),
    Last = seen(H),
    %% The state is not as it was: there is something to lose.
    {ok, Fresh} = hb_wasm64:start(Image),
    ?assertNot(seen(Fresh) =:= Last),
    Peer = hb_support:peer(),
    [
        begin
            File = stored(Form),
            {Said, After} = hb_support:on_peer(Peer, fun() ->
                {ok, Bytes} = file:read_file(File),
                New = restored(Image, binary_to_term(Bytes)),
                {[message(New, M) || M <- lists:seq(N + 1, ?MESSAGES)], seen(New)}
            end),
            ok = file:delete(File),
            ?assert({N, name(Form), [maps:get(M, Answers) || M <- lists:seq(N + 1, ?MESSAGES)]} =:= {N, name(Form), Said}),
            ?assert(Last =:= After, {N, name(Form)})
        end
     || {N, _, {Chain, Whole, {Memory, Rest}}} <- Kept,
        Form <- [{chain, Chain}, {raw, Memory, Rest}] ++ [{whole, Whole} || N =:= 17]
    ],
    ok = peer:stop(Peer).

name(Form) -> element(1, Form).

%% In a file, as what is said to a peer goes through its standard input.
stored(Form) ->
    Dir = case os:getenv("TMPDIR") of false -> "/tmp"; Given -> Given end,
    File = filename:join(Dir, "hb_wasm64_state_" ++ os:getpid() ++ "_" ++ integer_to_list(erlang:unique_integer([positive]))),
    ok = file:write_file(File, term_to_binary(Form)),
    File.

restored(Image, {raw, Memory, Rest}) ->
    {ok, H} = hb_wasm64:start(Image),
    ok = hb_wasm64:write_state(H, Memory, Rest),
    H;
restored(Image, {_, Snapshot}) ->
    {ok, H} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
    H.

%% The C driver's memory is 64 KiB larger than the guest's, and holds no
%% globals: with those that a fresh instance has too, here.
driver(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    _ = [message(H, N) || N <- lists:seq(1, 5)],
    {ok, Memory} = hb_beamr:serialize(H),
    {ok, New, _, _} = hb_beamr:start(Image),
    ?assertEqual(ok, hb_beamr:deserialize(New, <<Memory/binary, 0:(65536 * 8)>>)),
    ?assertEqual({ok, byte_size(Memory) + 65536}, hb_wasm64:memory_size(New)),
    ?assertEqual([message(H, N) || N <- lists:seq(6, 10)], [message(New, N) || N <- lists:seq(6, 10)]).

%% Whatever the machine, its Erlang and its day.
everywhere(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    {ok, [_]} = handle(H, "return 1 + 1", #{}),
    {ok, Memory, none} = hb_wasm64:read_state(H),
    ?assertEqual(
        {
            <<"00C9031C0780074EE85C668E6474ABB29AE0D2637716E363623377F81DF7C901">>,
            <<"716D1013C362B120A17AD62D069B9F8F34EC08E2EE60993EEAFD20B77E8392C5">>
        },
        {binary:encode_hex(crypto:hash(sha256, Memory)), binary:encode_hex(crypto:hash(sha256, snapshot(H)))}
    ).

interrupted(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    _ = message(H, 1),
    Early = snapshot(H),
    ?assertEqual({error, timeout}, handle(H, "while true do end", #{timeout => 100})),
    {ok, Twin} = hb_wasm64:fork(H),
    {ok, New} = hb_wasm64:start(Image, #{snapshot => snapshot(H)}),
    ?assertEqual(handle(H, "return 1 + 1", #{}), handle(New, "return 1 + 1", #{})),
    ?assert(snapshot(H) =:= snapshot(New)),
    ?assertNot(snapshot(H) =:= snapshot(Twin)),
    ok = hb_wasm64:restore(H, Early),
    ?assert(Early =:= snapshot(H)),
    ?assertNotEqual(nomatch, binary:match(message(H, 2), <<"\"ok\":true">>)).

seen(H) ->
    {ok, Memory, Rest} = hb_wasm64:read_state(H),
    {crypto:hash(sha256, snapshot(H)), crypto:hash(sha256, Memory), Rest =/= none andalso crypto:hash(sha256, Rest)}.

%% Messages that build up state of many kinds.
code(N) when N rem 7 =:= 1 -> ["Counter = (Counter or 0) + ", integer_to_list(N), "; return Counter"];
code(N) when N rem 7 =:= 2 -> ["T = T or {}; for i = 1, 200 do T[#T + 1] = i * ", integer_to_list(N), " end; return #T"];
code(N) when N rem 7 =:= 3 -> ["S = (S or '') .. string.rep('x", integer_to_list(N), "', 300); return #S"];
code(N) when N rem 7 =:= 4 ->
    ["Handlers.add('h", integer_to_list(N), "', function(m) return false end, function(m) end); return #Handlers.list"];
code(N) when N rem 7 =:= 5 -> ["F = F or {}; local u = ", integer_to_list(N), "; F[#F + 1] = function() u = u + 1; return u end; "
    "local s = 0; for _, f in ipairs(F) do s = s + f() end; return s"];
code(N) when N rem 7 =:= 6 -> ["Co = Co or coroutine.wrap(function() local i = 0; while true do i = i + 1; coroutine.yield(i) end end); "
    "collectgarbage(); return Co() .. ' ' .. tostring((pcall(error, ", integer_to_list(N), ")))"];
code(_) -> "local s = 0; for _, v in ipairs(T or {}) do s = s + v end; return s .. tostring({}) .. math.random(1000000)".

message(H, N) ->
    {ok, [Pointer]} = handle(H, code(N), #{}),
    {ok, Answer} = hb_wasm64:read_string(H, Pointer),
    Answer.

handle(H, Code, Options) ->
    {ok, Message} = hb_wasm64:write_string(H, [
        "{\"From\":\"FOOBAR\",\"Block-Height\":\"1\",\"Target\":\"AOS\",\"Owner\":\"FOOBAR\",\"Id\":\"1\",\"Module\":\"W\","
        "\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", Code, "\"}"
    ]),
    {ok, Env} = hb_wasm64:write_string(H,
        "{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\",\"Tags\":[{\"name\":\"Name\",\"value\":\"Thomas\"},"
        "{\"name\":\"Authority\",\"value\":\"FOOBAR\"}]}}"),
    Zeros = fun(State, _Request, _Options) -> {ok, [0], State} end,
    case hb_wasm64:call(H, "handle", [Message, Env], Zeros, s, Options) of
        {ok, Results, s} -> {ok, Results};
        {error, Reason, s} -> {error, Reason}
    end.
