%% AOS of AO's first year, which has a meter: what ao-loader counts, and where it ends.
%%
%% The numbers are those of ao-loader 0.0.49 on Node.js 20 (`GasUsed', and `gas.used' where it has thrown), with
%% `process.argv[1]' set to `./this.program': the interpreter seeds its tables with addresses, and these depend on the
%% program's name and on the environment.
-module(hb_wasm64_meter_aos_tests).

-include_lib("eunit/include/eunit.hrl").

-define(FILE_NAME, "legacy/metered_aos.wasm").
-define(MESSAGES, [
    {<<"return 1">>, 261_770_346},
    {<<"return 2">>, 98_064_342}
]).
%% Builds a large table: far more than there is.
-define(LARGE, <<"local big = {} for i = 1, 200000 do big[i] = 'item ' .. i end return #big">>).
-define(LIMIT, 7_000_000_000).
%% JavaScript counts four times 331 more: as the error passes through four `invoke_*', each puts the stack back by a metered
%% function, and ends in that.
-define(EXCEEDED, 7_000_002_304 - 4 * 331).

%% The environment that ao-loader gives to images of this format.
-define(ENVIRONMENT, [
    "USER=web_user", "LOGNAME=web_user", "PATH=/", "PWD=/", "HOME=/home/web_user", "LANG=C.UTF-8", "_=./this.program"
]).

it_uses_as_much_gas_as_with_ao_loader_test_() ->
    hb_support:with_shared(?FILE_NAME, fun(Image) ->
        {timeout, 300, fun() ->
            H = booted(Image),
            [?assertEqual({Code, Gas}, {Code, gas(answered(H, Code, #{}))}) || {Code, Gas} <- ?MESSAGES]
        end}
    end).

it_ends_where_ao_loader_ends_test_() ->
    hb_support:with_shared(?FILE_NAME, fun(Image) ->
        {timeout, 300, fun() ->
            [{One, Gas1}, {Two, Gas2}] = ?MESSAGES,
            H = booted(Image),
            ?assertEqual(Gas1, gas(answered(H, One, #{gas => ?LIMIT}))),
            {ok, Fork} = hb_wasm64:fork(H),
            ?assertEqual({{error, {limit, gas}}, ?EXCEEDED}, gas(send(H, ?LARGE, #{gas => ?LIMIT}))),
            %% What it needs is enough, and one less is not.
            {ok, Twin} = hb_wasm64:fork(Fork),
            ?assertEqual(Gas2, gas(answered(Fork, Two, #{gas => Gas2 - restoring()}))),
            ?assertMatch({{error, {limit, gas}}, _}, gas(send(Twin, Two, #{gas => Gas2 - restoring() - 1})))
        end}
    end).

%% Between messages the state goes to another process of the operating system, in slices of another length.
a_meter_half_used_goes_on_in_another_process_test_() ->
    hb_support:with_shared(?FILE_NAME, fun(Image) ->
        {timeout, 600, fun() ->
            {ok, H} = hb_wasm64:start(Image, #{initialize => main}),
            Codes = [Code || {Code, _} <- ?MESSAGES] ++ [<<"return #Inbox">>],
            Here = [{answer(H, send(H, Code, #{})), state(H)} || Code <- Codes],
            {ok, First} = hb_wasm64:start(Image, #{initialize => main}),
            There = moved(Image, First, Codes, [100, 10_000, 1000]),
            ?assertEqual(Here, There)
        end}
    end).

moved(Image, H, [Code | Codes], [Slice | Slices]) ->
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    Peer = hb_support:peer(),
    %% In files, as what is said to a peer goes through its standard input.
    Dir = filename:join("/tmp", "hb_wasm64_meter_" ++ os:getpid()),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    [Before, After] = [filename:join(Dir, Name) || Name <- ["before", "after"]],
    ok = file:write_file(Before, Snapshot),
    {Said, State} = hb_support:on_peer(Peer, fun() ->
        ok = hb_wasm64:time_slice(Slice),
        {ok, Bytes} = file:read_file(Before),
        {ok, I} = hb_wasm64:start(Image, #{snapshot => Bytes}),
        Answer = answer(I, send(I, Code, #{})),
        {ok, Next} = hb_wasm64:snapshot(I),
        ok = file:write_file(After, Next),
        {Answer, crypto:hash(sha256, Next)}
    end),
    ok = peer:stop(Peer),
    {ok, Bytes} = file:read_file(After),
    ok = file:del_dir_r(Dir),
    {ok, Next} = hb_wasm64:start(Image, #{snapshot => Bytes}),
    [{Said, State} | moved(Image, Next, Codes, Slices)];
moved(_Image, _H, [], _Slices) ->
    [].

state(H) ->
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    crypto:hash(sha256, Snapshot).

answer(H, {{ok, [Pointer]}, _}) -> {ok, hb_wasm64:read_string(H, Pointer)};
answer(_H, {Error, _}) -> Error.

%% An instance that has been started as ao-loader starts it: with its environment, and with the program's name on the
%% stack of the guest.
booted(Image) ->
    {ok, H} = hb_wasm64:start(Image, #{initialize => false}),
    Run = fun(Function, Args) ->
        hb_wasm64:call(H, Function, Args, fun environment/3, s, #{intercept => ["wasi_snapshot_preview1"]})
    end,
    {ok, [], s} = Run("__wasm_call_ctors", []),
    {ok, [Names], s} = Run("stackAlloc", [8]),
    {ok, [Name], s} = Run("stackAlloc", [15]),
    ok = hb_wasm64:write(H, Name, <<"./this.program", 0>>),
    ok = hb_wasm64:write(H, Names, <<Name:32/little, 0:32>>),
    {ok, [0], s} = Run("main", [1, Names]),
    H.

environment(s, #{instance := I, func := "environ_sizes_get", args := [Count, Bytes]}, _) ->
    ok = hb_wasm64:write(I, Count, <<(length(?ENVIRONMENT)):32/little>>),
    ok = hb_wasm64:write(I, Bytes, <<(iolist_size(?ENVIRONMENT) + length(?ENVIRONMENT)):32/little>>),
    {ok, [0], s};
environment(s, #{instance := I, func := "environ_get", args := [Pointers, Bytes]}, _) ->
    lists:foldl(
        fun(Variable, {Pointer, At}) ->
            ok = hb_wasm64:write(I, Pointer, <<At:32/little>>),
            ok = hb_wasm64:write(I, At, list_to_binary([Variable, 0])),
            {Pointer + 4, At + length(Variable) + 1}
        end,
        {Pointers, Bytes},
        ?ENVIRONMENT
    ),
    {ok, [0], s};
environment(s, _Import, _) ->
    {pass, s}.

%% A message in the way of Emscripten's `cwrap': its result, and the meter before and after the stack is put back. The texts lie
%% on the guest's stack; all that is called for that counts to the message.
send(H, Code, Options) ->
    Message = [
        "{\"Target\":\"AOS\",\"From\":\"FOOBAR\",\"Owner\":\"FOOBAR\",\"Block-Height\":\"1\",\"Timestamp\":1,\"Id\":\"1\","
        "\"Module\":\"M\",\"Tags\":[{\"name\":\"Action\",\"value\":\"Eval\"}],\"Data\":\"", Code, "\"}"
    ],
    Environment = "{\"Process\":{\"Id\":\"AOS\",\"Owner\":\"FOOBAR\",\"Tags\":[]}}",
    On = Options#{refill => false},
    {ok, [Stack]} = hb_wasm64:call(H, "stackSave", [], Options),
    Pointers = [begin
        {ok, [Pointer]} = hb_wasm64:call(H, "stackAlloc", [iolist_size(Text) * 4 + 1], On),
        ok = hb_wasm64:write(H, Pointer, iolist_to_binary([Text, 0])),
        Pointer
    end || Text <- [Message, Environment]],
    Result = hb_wasm64:call(H, "handle", Pointers, On),
    {ok, #{gas_used := Used}} = hb_wasm64:describe(H),
    _ = [{ok, []} = hb_wasm64:call(H, "stackRestore", [Stack], #{refill => false}) || {ok, _} <- [Result]],
    {Result, Used}.

%% The same of a message with an answer.
answered(H, Code, Options) ->
    {{ok, [Pointer]}, _} = Sent = send(H, Code, Options),
    {ok, <<"{\"", _/binary>>} = hb_wasm64:read_string(H, Pointer),
    Sent.

%% What has been used. JavaScript puts the stack back before it tells.
gas({{ok, _}, Used}) -> Used + restoring();
gas({{error, _} = Error, Used}) -> {Error, Used}.

%% What `stackRestore' takes.
restoring() -> 331.
