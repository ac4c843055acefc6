#!/usr/bin/env escript
%% The demo: what it does it says as it goes.
-mode(compile).

main([]) ->
    ok = io:setopts([{encoding, unicode}]),
    case os:getenv("IMAGE", "") of
        "" -> ledger("test/guests/ledger.wasm");
        Image -> aos(Image, os:getenv("EVAL", ""))
    end.

%% A token ledger written in C, with one import: each movement is entered in a journal that this program keeps.
ledger(File) ->
    Handle = start(File),
    Env = json({[{"Process", {[{"Id", "LEDGER"}, {"Owner", "alice"}, {"Tags", [tag("Name", "Coins")]}]}}]}),
    Messages = [
        {"alice", [{"Action", "Mint"}, {"Recipient", "alice"}, {"Quantity", "100"}]},
        {"alice", [{"Action", "Transfer"}, {"Recipient", "bob"}, {"Quantity", "25"}]},
        {"bob", [{"Action", "Transfer"}, {"Recipient", "carol"}, {"Quantity", "1000"}]},
        {"mallory", [{"Action", "Mint"}, {"Recipient", "mallory"}, {"Quantity", "1"}]},
        {"bob", [{"Action", "Balances"}]}
    ],
    Journal = lists:foldl(
        fun({From, Tags}, Journal) ->
            say("~n~s sends ~s.", [From, string:join([K ++ "=" ++ V || {K, V} <- Tags], ", ")]),
            Msg = json({[
                {"Id", "1"}, {"From", From}, {"Owner", From}, {"Target", "LEDGER"}, {"Block-Height", "1"},
                {"Tags", [tag(Name, Value) || {Name, Value} <- Tags]}, {"Data", ""}
            ]}),
            handle(Handle, Msg, Env, Journal)
        end,
        [],
        Messages
    ),
    say("~nThe journal that this program kept for the guest has ~b entries:", [length(Journal)]),
    [say("  ~b. ~s", [N, Line]) || {N, Line} <- lists:zip(lists:seq(1, length(Journal)), lists:reverse(Journal))],
    say("~nA message that would run for ever is stopped: here one instruction of fuel is all there is.", []),
    say("  handle answers ~p", [hb_wasm64:call(Handle, "handle", [0, 0], #{fuel => 1})]),
    say("  and the instance goes on: ~p", [element(1, hb_wasm64:describe(Handle))]),
    finish(Handle).

%% AOS: a Lua that evaluates what the message says.
aos(File, Eval) ->
    Handle = start(File),
    Env = json({[
        {"Process",
            {[{"Id", "AOS"}, {"Owner", "DEMO"}, {"Tags", [tag("Name", "Demo"), tag("Authority", "DEMO")]}]}}
    ]}),
    Codes =
        case Eval of
            "" -> ["return 1 + 1", "Counter = (Counter or 0) + 1 return Counter", "Counter = Counter + 1 return Counter"];
            _ -> [Eval]
        end,
    lists:foreach(
        fun(Code) ->
            say("~nThe owner sends an Eval of:  ~ts", [Code]),
            Msg = json({[
                {"Id", "1"}, {"From", "DEMO"}, {"Owner", "DEMO"}, {"Target", "AOS"}, {"Module", "DEMO"},
                {"Block-Height", "1"}, {"Timestamp", "0"}, {"Tags", [tag("Action", "Eval")]}, {"Data", Code}
            ]}),
            handle(Handle, Msg, Env, [])
        end,
        Codes
    ),
    finish(Handle).

start(File) ->
    {ok, Image} =
        case file:read_file(File) of
            {error, Reason} -> stop_demo("cannot read ~ts: ~ts", [File, file:format_error(Reason)]);
            Read -> Read
        end,
    {Micros, Started} = timer:tc(fun() -> hb_wasm64:start(Image) end),
    case Started of
        {ok, Handle} ->
            {ok, #{imports := Imports, exports := Exports, memory := Memory}} = hb_wasm64:describe(Handle),
            say("~ts: ~b bytes, compiled and started in ~.1f ms.", [File, byte_size(Image), Micros / 1000]),
            say("It exports  ~ts", [string:join([Name ++ Sig || {func, Name, Sig} <- Exports], ", ")]),
            say("It imports  ~ts", [string:join([M ++ "." ++ Name ++ Sig || {func, M, Name, Sig} <- Imports], ", ")]),
            say("Its memory has ~b bytes.", [Memory]),
            {Again, {ok, Second}} = timer:tc(fun() -> hb_wasm64:start(Image) end),
            ok = hb_wasm64:stop(Second),
            say("A second instance of it was there in ~b microseconds.", [Again]),
            Handle;
        {error, Why} ->
            stop_demo("~ts does not start: ~p", [File, Why])
    end.

%% One message: two strings into the memory of the guest, one call, and a string out of it.
handle(Handle, Msg, Env, Journal) ->
    {ok, MsgPtr} = hb_wasm64:write_string(Handle, Msg),
    {ok, EnvPtr} = hb_wasm64:write_string(Handle, Env),
    {Micros, Result} = timer:tc(fun() ->
        hb_wasm64:call(Handle, "handle", [MsgPtr, EnvPtr], fun import/3, {Journal, #{}}, #{timeout => 10000})
    end),
    case Result of
        {ok, [Answer], {Journal1, Seen}} ->
            [say("  the guest called ~ts ~b times", [Name, Count]) || {Name, Count} <- maps:to_list(Seen)],
            {ok, Json} = hb_wasm64:read_string(Handle, Answer),
            say("  answered in ~.2f ms: ~ts", [Micros / 1000, Json]),
            Journal1;
        {error, Reason, {Journal1, _}} ->
            say("  failed: ~p", [Reason]),
            Journal1
    end.

%% The imports of both guests: the journal, which reads the line to enter from the guest's memory while the guest waits
%% for the number of the entry; and whatever AOS asks of its host, which zero is a good enough answer to.
import({Journal, Seen}, #{module := "ledger", func := "audit", instance := Instance, args := [Ptr, Len, _]}, _) ->
    {ok, Line} = hb_wasm64:read(Instance, Ptr, Len),
    {ok, [length(Journal) + 1], {[Line | Journal], count("ledger.audit", Seen)}};
import({Journal, Seen}, #{module := Module, func := Func}, _) ->
    {ok, [0], {Journal, count(Module ++ "." ++ Func, Seen)}}.

count(Name, Seen) ->
    maps:update_with(Name, fun(N) -> N + 1 end, 1, Seen).

finish(Handle) ->
    ok = hb_wasm64:stop(Handle),
    say("~nStopped. A call now answers ~p.", [hb_wasm64:call(Handle, "handle", [0, 0])]).

tag(Name, Value) ->
    {[{"name", Name}, {"value", Value}]}.

%% Objects are {[{Key, Value}]}, arrays are lists of those, everything else is a string.
json({Fields}) ->
    ["{", lists:join(",", [[json(Key), ":", json(Value)] || {Key, Value} <- Fields]), "}"];
json([Object | _] = Array) when is_tuple(Object) ->
    ["[", lists:join(",", [json(Value) || Value <- Array]), "]"];
json(String) ->
    ["\"", [escape(Char) || Char <- String], "\""].

escape($") -> "\\\"";
escape($\\) -> "\\\\";
escape(Char) when Char < 32 -> io_lib:format("\\u~4.16.0b", [Char]);
escape(Char) -> unicode:characters_to_binary([Char]).

say(Format, Args) ->
    io:format(Format ++ "~n", Args).

stop_demo(Format, Args) ->
    io:format(standard_error, "demo: " ++ Format ++ "~n", Args),
    halt(1).
