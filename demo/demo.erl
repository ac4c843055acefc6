%% @doc The demo: a process on a stack of AO-Core devices, run through the device `~wasm64@1.0'. What it does it says as it
%% goes. The AO-Core is the small one of the tests; on a node the same messages do the same.
-module(demo).

-export([main/0]).
%% Called in the second VM.
-export([restored/3]).

-spec main() -> no_return().
main() ->
    ok = io:setopts([{encoding, unicode}]),
    Store = filename:join(os:getenv("DEMO_DIR"), "cache"),
    try
        case os:getenv("IMAGE", "") of
            "" -> ledger("test/guests/ledger.wasm", opts(Store));
            Image -> aos(Image, os:getenv("EVAL", ""), opts(Store))
        end,
        halt(0)
    catch
        throw:{stop_demo, Text} ->
            io:format(standard_error, "demo: ~ts~n", [Text]),
            halt(1);
        Class:Reason:Stacktrace ->
            io:format(standard_error, "demo: ~p: ~0P~n~0P~n", [Class, Reason, 40, Stacktrace, 40]),
            halt(1)
    end.

%% The options of a node: its store, and one device more than it has.
opts(Store) ->
    Journal = #{<<"name">> => <<"demo-journal@1.0">>, <<"module">> => dev_demo_journal},
    #{
        store => #{<<"prefix">> => unicode:characters_to_binary(Store)},
        preloaded_devices => [Journal | hb_opts:get(preloaded_devices)]
    }.

%% A token ledger written in C, with one import: each movement is entered in a journal.
ledger(File, Opts) ->
    Env = json({[{"Process", {[{"Id", "LEDGER"}, {"Owner", "alice"}, {"Tags", [tag("Name", "Coins")]}]}}]}),
    Process = start(File, Env, #{<<"ledger">> => #{<<"device">> => <<"demo-journal@1.0">>}}, Opts),
    Messages = [
        {"alice", [{"Action", "Mint"}, {"Recipient", "alice"}, {"Quantity", "100"}]},
        {"alice", [{"Action", "Transfer"}, {"Recipient", "bob"}, {"Quantity", "25"}]},
        {"bob", [{"Action", "Transfer"}, {"Recipient", "carol"}, {"Quantity", "1000"}]},
        {"mallory", [{"Action", "Mint"}, {"Recipient", "mallory"}, {"Quantity", "1"}]}
    ],
    After = lists:foldl(
        fun({From, Tags}, State) ->
            say("~n~s sends ~s.", [From, string:join([K ++ "=" ++ V || {K, V} <- Tags], ", ")]),
            tell(compute(State, message(From, Tags), Opts), Opts)
        end,
        Process,
        Messages
    ),
    Journal = value(<<"journal">>, After, Opts),
    say("~nThe journal that the import's device keeps in the process has ~b entries:", [length(Journal)]),
    [say("  ~b. ~ts", [N, Line]) || {N, Line} <- lists:zip(lists:seq(1, length(Journal)), Journal)],
    say("~nA call may be bounded. With a thousand instructions and no more:", []),
    #{<<"results">> := #{<<"wasm">> := #{<<"type">> := Type, <<"output">> := Text}}} = call_alone(After, Opts),
    say("  the result is of type ~p: ~ts", [Type, Text]),
    checkpoint(After, message("bob", [{"Action", "Balances"}]), Opts).

%% AOS: a Lua that evaluates what the message says. What it asks of its host, zero is a good enough answer to.
aos(File, Eval, Opts) ->
    Env = json({[
        {"Process",
            {[{"Id", "AOS"}, {"Owner", "DEMO"}, {"Tags", [tag("Name", "Demo"), tag("Authority", "DEMO")]}]}}
    ]}),
    Process = start(File, Env, #{}, Opts),
    Codes =
        case Eval of
            "" -> ["return 1 + 1", "Counter = (Counter or 0) + 1 return Counter", "Counter = Counter + 1 return Counter"];
            _ -> [Eval]
        end,
    After = lists:foldl(
        fun(Code, State) ->
            say("~nThe owner sends an Eval of:  ~ts", [Code]),
            tell(compute(State, eval(Code), Opts), Opts)
        end,
        Process,
        Codes
    ),
    checkpoint(After, eval("return Counter"), Opts).

%% A process: its definition, with the image by ID, and the stack that runs it.
start(File, Env, Library, Opts) ->
    Image =
        case file:read_file(File) of
            {ok, Read} -> Read;
            {error, Reason} -> stop("cannot read ~ts: ~ts", [File, file:format_error(Reason)])
        end,
    {ok, ID} = hb_cache:write(#{<<"body">> => Image}, Opts),
    Stack = [<<"test-iface@1.0">>, <<"wasm64@1.0">>, <<"multipass@1.0">>],
    Definition = #{
        <<"device">> => <<"stack@1.0">>,
        <<"device-stack">> => Stack,
        <<"passes">> => 2,
        <<"input-prefix">> => <<"process">>,
        <<"output-prefix">> => <<"wasm">>,
        <<"process">> => #{<<"image">> => ID},
        <<"wasm">> => #{<<"stdlib">> => Library},
        <<"env">> => Env
    },
    say("~ts, ~b bytes, is in the cache as ~ts.", [File, byte_size(Image), ID]),
    say("A process with this image on the stack ~ts:", [lists:join(", ", Stack)]),
    {Micros, Process} = timed(fun() -> resolve(Definition, #{<<"path">> => <<"init">>}, Opts) end),
    say("  init: compiled and started in ~.1f ms.", [Micros / 1000]),
    {ok, #{imports := Imports, exports := Exports, memory := Memory}} = hb_wasm64:describe(instance(Process, Opts)),
    say("  It exports ~ts, imports ~ts, and has ~b bytes of memory.", [
        lists:join(", ", [Name ++ Sig || {func, Name, Sig} <- Exports]),
        lists:join(", ", [Module ++ "." ++ Name ++ Sig || {func, Module, Name, Sig} <- Imports]),
        Memory
    ]),
    Process.

%% A message to the process: the first pass writes it into the guest and calls `handle', the second reads the answer.
compute(State, Message, Opts) ->
    timed(fun() -> resolve(State, #{<<"path">> => <<"compute">>, <<"body">> => Message}, Opts) end).

tell({Micros, State}, Opts) ->
    say("  answered in ~.2f ms: ~ts", [Micros / 1000, value(<<"results/text">>, State, Opts)]),
    State.

%% The device alone, as a request may ask for a function by name.
call_alone(State, Opts) ->
    Request = #{<<"path">> => <<"compute">>, <<"function">> => <<"handle">>, <<"parameters">> => [8, 8]},
    resolve((maps:remove(<<"pass">>, State))#{<<"device">> => <<"wasm64@1.0">>}, Request, Opts#{wasm_fuel => 1000}).

%% A snapshot of every device that has a state, written to the cache with the process; another VM goes on from there.
checkpoint(State, Message, Opts) ->
    Snapshot = resolve(State, #{<<"path">> => <<"snapshot">>, <<"mode">> => <<"Map">>}, Opts),
    {ok, ID} = hb_cache:write((hb_private:reset(State))#{<<"snapshot">> => Snapshot}, Opts),
    Sizes = [byte_size(Body) || #{<<"body">> := Body} <- maps:values(maps:without([<<"priv">>], Snapshot))],
    say("~nThe process with its snapshot of ~b bytes is in the cache as ~ts.", [lists:sum(Sizes), ID]),
    {Micros, Here} = compute(State, Message, Opts),
    {Text, Memory} = outcome(Here, Opts),
    say("A message here is answered in ~.2f ms: ~ts", [Micros / 1000, Text]),
    {ok, Peer, _} = peer:start_link(#{connection => standard_io, args => ["-pa" | code:get_path()]}),
    {Pid, {Text, Memory}} = peer:call(Peer, ?MODULE, restored, [ID, Message, Opts], 60_000),
    ok = peer:stop(Peer),
    say("In the fresh VM ~ts, after a restore, it is the same: the answer and the ~b bytes of memory.", [
        Pid, element(2, Memory)
    ]),
    Ended = resolve(Here, #{<<"path">> => <<"terminate">>}, Opts),
    not_found = instance(Ended, Opts),
    say("~nterminate: the process has no instance any more. Who still holds it is told ~w.", [
        hb_wasm64:status(instance(Here, Opts))
    ]).

%% @doc Reads a process from the cache, restores it and lets it answer a message.
-spec restored(binary(), binary(), map()) -> {string(), {binary(), {binary(), non_neg_integer()}}}.
restored(ID, Message, Opts) ->
    {ok, Read} = hb_cache:read(ID, Opts),
    Restored = resolve(Read, #{<<"path">> => <<"normalize">>}, Opts),
    {_, State} = compute(Restored, Message, Opts),
    {os:getpid(), outcome(State, Opts)}.

outcome(State, Opts) ->
    {ok, Memory} = hb_wasm64:read_memory(instance(State, Opts)),
    {value(<<"results/text">>, State, Opts), {crypto:hash(sha256, Memory), byte_size(Memory)}}.

%% A key of the process itself: whatever else is asked of a stack goes to its devices.
value(Path, State, Opts) -> hb_ao:get(Path, {as, dev_message, State}, Opts).

instance(State, Opts) -> dev_wasm64:instance(State, #{}, Opts).

resolve(Base, Request, Opts) ->
    case hb_ao:resolve(Base, Request, Opts) of
        {ok, Message} -> Message;
        {_, #{<<"body">> := Text}} -> stop("~ts", [Text]);
        Other -> stop("~0P", [Other, 20])
    end.

message(From, Tags) ->
    json({[
        {"Id", "1"}, {"From", From}, {"Owner", From}, {"Target", "LEDGER"}, {"Block-Height", "1"},
        {"Tags", [tag(Name, Value) || {Name, Value} <- Tags]}, {"Data", ""}
    ]}).

eval(Code) ->
    json({[
        {"Id", "1"}, {"From", "DEMO"}, {"Owner", "DEMO"}, {"Target", "AOS"}, {"Module", "DEMO"},
        {"Block-Height", "1"}, {"Timestamp", "0"}, {"Tags", [tag("Action", "Eval")]}, {"Data", Code}
    ]}).

tag(Name, Value) ->
    {[{"name", Name}, {"value", Value}]}.

json(Term) -> unicode:characters_to_binary(encode(Term)).

%% Objects are {[{Key, Value}]}, arrays are lists of those, everything else is a string.
encode({Fields}) ->
    ["{", lists:join(",", [[encode(Key), ":", encode(Value)] || {Key, Value} <- Fields]), "}"];
encode([Object | _] = Array) when is_tuple(Object) ->
    ["[", lists:join(",", [encode(Value) || Value <- Array]), "]"];
encode(String) ->
    ["\"", [escape(Char) || Char <- String], "\""].

escape($") -> "\\\"";
escape($\\) -> "\\\\";
escape(Char) when Char < 32 -> io_lib:format("\\u~4.16.0b", [Char]);
escape(Char) -> [Char].

timed(Fun) -> timer:tc(Fun).

say(Format, Args) -> io:format(Format ++ "~n", Args).

stop(Format, Args) -> throw({stop_demo, io_lib:format(Format, Args)}).
