%% @doc The demo: a process on a stack of AO-Core devices, run through the device `~wasm64@1.0'. What it does it says as it
%% goes. The AO-Core is the small one of the tests; on a node the same messages do the same.
-module(demo).

-export([main/0]).
%% Called in the second VM.
-export([restored/3]).

%% When all messages were scheduled, in milliseconds: the 1st of January 2025. It is what a guest is told of the time.
-define(NOW, 1_735_689_600_000).

-spec main() -> no_return().
main() ->
    ok = io:setopts([{encoding, unicode}]),
    Store = filename:join(os:getenv("DEMO_DIR"), "cache"),
    try
        case os:getenv("IMAGE", "") of
            "" -> ledger("test/guests/ledger.wasm", opts(Store));
            File -> image(File, opts(Store))
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

%% An image of AOS, or a program of WASI, which ends the demo with its own status.
image(File, Opts) ->
    case file:read_file(File) of
        {ok, Image} ->
            case demo_program:is_program(Image) of
                true -> halt(demo_program:run(Image, os:getenv("ARGS", "")));
                false -> aos(File, os:getenv("EVAL", ""), Opts)
            end;
        {error, Reason} ->
            stop("cannot read ~ts: ~ts", [File, file:format_error(Reason)])
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
    Env = demo_json:encode({[{"Process", {[{"Id", "LEDGER"}, {"Owner", "alice"}, {"Tags", [tag("Name", "Coins")]}]}}]}),
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

%% AOS: a Lua that evaluates what its owner says. The first message is that of the process itself, which makes the owner
%% known. What the process asks of a host that nobody is, zero is a good enough answer to.
aos(File, Eval, Opts) ->
    Env = demo_json:encode({[
        {"Process",
            {[{"Id", "AOS"}, {"Owner", "DEMO"}, {"Tags", [tag("Name", "Demo"), tag("Authority", "DEMO")]}]}}
    ]}),
    Process = start(File, Env, #{}, Opts),
    Handler = "Handlers.add('ping', Handlers.utils.hasMatchingTag('Action', 'Ping'), function(m) "
        "ao.send({Target = m.From, Action = 'Pong', Data = 'pong ' .. m.Data}) end) return 'a handler'",
    Evals =
        case Eval of
            "" -> [
                "return 1 + 1",
                "Counter = (Counter or 0) + 1 return Counter",
                "Counter = Counter + 1 return Counter",
                "return os.date('!%A, %d %B %Y, %H:%M:%S')",
                "error('this is wrong')",
                "local ok, why = pcall(error, 'this is caught') return why",
                Handler
            ];
            _ -> [Eval]
        end,
    Messages = [{"AOS", "", "AOS", [{"Type", "Process"}]}] ++ [{"1", Code, "DEMO", [{"Action", "Eval"}]} || Code <- Evals] ++
        [{"2", "hello", "alice", [{"Action", "Ping"}]} || Eval =:= ""],
    After = lists:foldl(
        fun({ID, Data, From, Tags}, State) ->
            case {Tags, From} of
                {[{"Type", "Process"}], _} -> say("~nThe process begins.", []);
                {[{"Action", "Eval"}], _} -> say("~nThe owner sends an Eval of:  ~ts", [Data]);
                {[{"Action", Action}], _} -> say("~n~ts sends a message, ~ts:  ~ts", [From, Action, Data])
            end,
            Sender = case From of "AOS" -> "DEMO"; _ -> From end,
            {Micros, Next} = compute(State, aos_message(ID, Sender, Tags, Data), Opts),
            say("  answered in ~.2f ms", [Micros / 1000]),
            [say("    ~ts", [Line]) || Line <- answer(value(<<"results/text">>, Next, Opts))],
            Next
        end,
        Process,
        Messages
    ),
    checkpoint(After, aos_message("3", "DEMO", [{"Action", "Eval"}], "return Counter"), Opts).

%% The lines of an answer of AOS, for people: what it says, and what it sends.
answer(Text) ->
    case demo_json:decode(Text) of
        {ok, #{<<"ok">> := false, <<"response">> := Why}} -> [["not ok: ", io_lib:format("~0tp", [Why])]];
        {ok, #{<<"response">> := #{} = Response}} -> lines(Response);
        {ok, #{<<"Output">> := _} = Response} -> lines(Response);
        _ -> [Text]
    end.

lines(Response) ->
    %% AOS itself puts the word before some.
    Error = [["error: ", re:replace(plain(Why), "^\\s*(error:\\s*)?", "")] || #{<<"Error">> := Why} <- [Response], is_binary(Why)],
    Output =
        case maps:get(<<"Output">>, Response, #{}) of
            #{<<"data">> := #{<<"output">> := Data}} -> Data;
            #{<<"data">> := Data} when not is_map(Data) -> Data;
            _ -> <<>>
        end,
    Sent = case Response of #{<<"Messages">> := List} when is_list(List) -> List; _ -> [] end,
    Error ++ [plain(Output) || Output =/= <<>>] ++
        [io_lib:format("sends ~ts: ~ts", [maps:get(<<"Target">>, Message, "?"), maps:get(<<"Data">>, Message, "")])
         || #{} = Message <- Sent].

%% Without what colours a terminal.
plain(Text) when is_binary(Text) -> re:replace(Text, "\\e\\[[0-9;]*m", "", [global, {return, binary}]);
plain(Other) -> io_lib:format("~0tp", [Other]).

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
        some([Name ++ Sig || {func, Name, Sig} <- Exports]),
        some([Module ++ "." ++ Name ++ Sig || {func, Module, Name, Sig} <- Imports]),
        Memory
    ]),
    case hb_wasm64:host(instance(Process, Opts)) of
        {ok, emscripten} -> say("  Emscripten has built it: the engine has the host that it expects.", []);
        {ok, none} -> ok
    end,
    Process.

some(Names) when length(Names) > 14 ->
    {Some, Others} = lists:split(4, Names),
    [lists:join(", ", Some), " and ", integer_to_list(length(Others)), " others"];
some(Names) ->
    lists:join(", ", Names).

%% A message to the process: the first pass writes it into the guest and calls `handle', the second reads the answer.
compute(State, Message, Opts) ->
    Request = #{<<"path">> => <<"compute">>, <<"body">> => Message, <<"timestamp">> => ?NOW},
    timed(fun() -> resolve(State, Request, Opts) end).

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
    Answer = case answer(Text) of [] -> "nothing"; Lines -> lists:join("; ", Lines) end,
    say("A message here is answered in ~.2f ms: ~ts", [Micros / 1000, Answer]),
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
    demo_json:encode({[
        {"Id", "1"}, {"From", From}, {"Owner", From}, {"Target", "LEDGER"}, {"Block-Height", "1"},
        {"Tags", [tag(Name, Value) || {Name, Value} <- Tags]}, {"Data", ""}
    ]}).

aos_message(ID, From, Tags, Data) ->
    demo_json:encode({[
        {"Id", ID}, {"From", From}, {"Owner", From}, {"Target", "AOS"}, {"Module", "DEMO"},
        {"Block-Height", "1"}, {"Timestamp", integer_to_list(?NOW)},
        {"Tags", [tag(Name, Value) || {Name, Value} <- Tags]}, {"Data", Data}
    ]}).

tag(Name, Value) ->
    {[{"name", Name}, {"value", Value}]}.

timed(Fun) -> timer:tc(Fun).

say(Format, Args) -> io:format(Format ++ "~n", Args).

stop(Format, Args) -> throw({stop_demo, io_lib:format(Format, Args)}).
