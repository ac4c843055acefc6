%% A whole program: test/guests/ledger.c, a token ledger that writes each entry
%% to a journal kept by the host.
-module(hb_wasm64_ledger_tests).

-include_lib("eunit/include/eunit.hrl").

a_ledger_mints_transfers_and_tells_balances_test() ->
    H = hb_support:start("ledger"),
    {Minted, Journal1} = send(H, "Mint", "alice", [{"Quantity", "100"}], []),
    ?assertEqual(<<"Minted 100, journal 1">>, data(Minted)),
    {Moved, Journal2} = send(H, "Transfer", "alice", [{"Quantity", "25"}, {"Recipient", "bob"}], Journal1),
    ?assertEqual(<<"Transferred 25, journal 2">>, data(Moved)),
    ?assertNotEqual(nomatch, binary:match(Moved, <<"You received 25 from alice">>)),
    ?assertEqual(<<"75">>, balance(H, "alice")),
    ?assertEqual(<<"25">>, balance(H, "bob")),
    ?assertEqual(<<"0">>, balance(H, "carol")),
    ?assertEqual(
        [<<"{\"Action\":\"Mint\",\"From\":\"alice\",\"Recipient\":\"alice\",\"Quantity\":\"100\",\"Id\":\"1\"}">>,
         <<"{\"Action\":\"Transfer\",\"From\":\"alice\",\"Recipient\":\"bob\",\"Quantity\":\"25\",\"Id\":\"1\"}">>],
        lists:reverse(Journal2)
    ).

%% What is refused is no entry in the journal.
refusals_leave_the_ledger_as_it_was_test() ->
    H = hb_support:start("ledger"),
    {_, Journal} = send(H, "Mint", "alice", [{"Quantity", "100"}], []),
    Refused = [
        {"Mint", "bob", [{"Quantity", "1"}], <<"only the owner may mint">>},
        {"Transfer", "alice", [{"Quantity", "101"}, {"Recipient", "bob"}], <<"insufficient balance">>},
        {"Transfer", "bob", [{"Quantity", "1"}, {"Recipient", "alice"}], <<"insufficient balance">>},
        {"Transfer", "alice", [{"Quantity", "1"}, {"Recipient", "alice"}], <<"a transfer to oneself">>},
        {"Transfer", "alice", [{"Quantity", "-1"}, {"Recipient", "bob"}], <<"invalid quantity">>},
        {"Transfer", "alice", [{"Quantity", "9223372036854775808"}, {"Recipient", "bob"}], <<"invalid quantity">>},
        {"Transfer", "alice", [{"Quantity", "1"}], <<"no recipient">>},
        {"Mint", "alice", [{"Quantity", "9223372036854775807"}], <<"the total would be too large">>},
        {"Dance", "alice", [], <<"unknown action">>}
    ],
    [begin
         {Answer, Journal} = send(H, Action, From, Tags, Journal),
         ?assertEqual({Action, Tags, Text}, {Action, Tags, refusal(Answer)})
     end || {Action, From, Tags, Text} <- Refused],
    ?assertEqual(<<"100">>, balance(H, "alice")),
    ?assertEqual(<<"0">>, balance(H, "bob")).

%% 2^63-1 goes through JSON, the guest and the import as it is.
quantities_of_63_bits_are_exact_test() ->
    H = hb_support:start("ledger"),
    Most = "9223372036854775807",
    Test = self(),
    Audit = fun(S, #{args := [_, _, Quantity], func_sig := "(III)I"}, _) -> Test ! {audit, Quantity}, {ok, [1 bsl 62], S} end,
    {ok, Answer, s} = handle(H, json("Mint", "alice", [{"Quantity", Most}]), Audit, s),
    ?assertEqual([{audit, 1 bsl 63 - 1}], hb_support:flush()),
    ?assertEqual(<<"Minted 9223372036854775807, journal 4611686018427387904">>, data(Answer)),
    ?assertEqual(list_to_binary(Most), balance(H, "alice")).

%% A journal that refuses, fails, raises or answers nonsense: nothing has
%% changed, and the program goes on.
a_journal_that_fails_changes_nothing_test() ->
    H = hb_support:start("ledger"),
    {_, Journal} = send(H, "Mint", "alice", [{"Quantity", "100"}], []),
    Transfer = json("Transfer", "alice", [{"Quantity", "25"}, {"Recipient", "bob"}]),
    {ok, Refused, s} = handle(H, Transfer, fun(S, _, _) -> {ok, [-1], S} end, s),
    ?assertEqual(<<"the journal refused the entry">>, refusal(Refused)),
    ?assertEqual({error, {import_failed, disk_full}, s}, handle(H, Transfer, fun(_, _, _) -> {error, disk_full} end, s)),
    [?assertMatch({error, {import_failed, _}, s}, handle(H, Transfer, Audit, s))
     || Audit <- [fun(_, _, _) -> error(oops) end, fun(_, _, _) -> nonsense end, fun(S, _, _) -> {ok, [], S} end]],
    ?assertEqual(<<"100">>, balance(H, "alice")),
    ?assertEqual(<<"0">>, balance(H, "bob")),
    {Moved, [_, _]} = send(H, "Transfer", "alice", [{"Quantity", "25"}, {"Recipient", "bob"}], Journal),
    ?assertEqual(<<"Transferred 25, journal 2">>, data(Moved)).

%% Without an import function the journal's answer is the number 0.
a_journal_of_zeros_takes_every_entry_test() ->
    H = hb_support:start("ledger"),
    {ok, [Pointer]} = hb_wasm64:call(H, "handle", pointers(H, json("Mint", "alice", [{"Quantity", "5"}]))),
    {ok, Answer} = hb_wasm64:read_string(H, Pointer),
    ?assertEqual(<<"Minted 5, journal 0">>, data(Answer)).

nonsense_is_answered_and_not_trapped_test() ->
    H = hb_support:start("ledger"),
    [begin
         {ok, Answer, s} = handle(H, Text, fun(S, _, _) -> {ok, [1], S} end, s),
         ?assertMatch(<<"{\"ok\":false,\"error\":\"", _/binary>>, Answer)
     end || Text <- ["", "{", "[1,2", "nonsense", "\"text\"", binary:copy(<<"[">>, 100_000), <<255, 254>>]],
    {_, [_]} = send(H, "Mint", "alice", [{"Quantity", "5"}], []),
    ?assertEqual(<<"5">>, balance(H, "alice")).

%% The guest's malloc and free, over and over: its memory stays what it was.
ten_thousand_entries_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("ledger"),
        {_, _} = send(H, "Mint", "alice", [{"Quantity", "1000000"}], []),
        Count = fun(N, #{instance := I, args := [At, Length, 1]}, _) ->
            {ok, <<"{\"Action\":\"Transfer\"", _/binary>>} = hb_wasm64:read(I, At, Length),
            {ok, [N], N + 1}
        end,
        Transfer = json("Transfer", "alice", [{"Quantity", "1"}, {"Recipient", "bob"}]),
        Round = fun(_, N) ->
            Pointers = pointers(H, Transfer),
            {ok, [Answer], N1} = hb_wasm64:call(H, "handle", Pointers, Count, N, #{}),
            [ok = hb_wasm64:free(H, P) || P <- [Answer | Pointers]],
            N1
        end,
        500 = lists:foldl(Round, 0, lists:seq(1, 500)),
        {ok, Size} = hb_wasm64:memory_size(H),
        ?assertEqual(10_000, lists:foldl(Round, 500, lists:seq(501, 10_000))),
        ?assertEqual({ok, Size}, hb_wasm64:memory_size(H)),
        ?assertEqual(<<"10000">>, balance(H, "bob"))
    end}.

%% Support

%% Sends a message; the journal is the state. The answer and the journal.
send(H, Action, From, Tags, Journal) ->
    {ok, Answer, Journal1} = handle(H, json(Action, From, Tags), fun audit/3, Journal),
    {Answer, Journal1}.

%% The journal: a list of lines, the latest first.
audit(Journal, #{instance := I, module := "ledger", func := "audit", args := [At, Length, _Quantity]}, _) ->
    {ok, Line} = hb_wasm64:read(I, At, Length),
    {ok, [length(Journal) + 1], [Line | Journal]}.

handle(H, Text, Audit, State) ->
    case hb_wasm64:call(H, "handle", pointers(H, Text), Audit, State, #{}) of
        {ok, [Pointer], State1} ->
            {ok, Answer} = hb_wasm64:read_string(H, Pointer),
            {ok, Answer, State1};
        Error ->
            Error
    end.

pointers(H, Text) ->
    Env = "{\"Process\":{\"Id\":\"P\",\"Owner\":\"alice\",\"Tags\":[{\"name\":\"Name\",\"value\":\"Gold\"}]}}",
    [element(2, {ok, _} = hb_wasm64:write_string(H, T)) || T <- [Text, Env]].

balance(H, Account) ->
    {Answer, none} = send(H, "Balance", Account, [], none),
    data(Answer).

json(Action, From, Tags) ->
    Pairs = [["{\"name\":\"", N, "\",\"value\":\"", V, "\"}"] || {N, V} <- [{"Action", Action} | Tags]],
    ["{\"Id\":\"1\",\"From\":\"", From, "\",\"Tags\":[", lists:join(",", Pairs), "]}"].

data(Answer) -> field(Answer, <<"\"data\":\"(.*?)\"">>).

refusal(Answer) -> field(Answer, <<"\"Error\":\"(.*?)\"">>).

field(Answer, Pattern) ->
    case re:run(Answer, Pattern, [{capture, [1], binary}]) of
        {match, [Value]} -> Value;
        nomatch -> {not_there, Answer}
    end.
