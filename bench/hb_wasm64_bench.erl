%% What `make bench` prints: for each measurement our figure, that of a reference, how they compare and what is asked
%% for.
%%
%% Each line is the median of many rounds. A round measures the reference, then ours, at once after it, and compares the
%% two; so a machine that is busy with something else slows both down, and the comparison holds better than the figures.
%% Both sides must also come to the same result. The reference is a program of its own,
%% native/engine/benches/reference, at the other end of a port.
%%
%% A target that is missed is a result, not a failure: the exit code is 0 unless a measurement could not be made.
-module(hb_wasm64_bench).

-export([main/1]).

%% Many short rounds: what disturbs one side alone then disturbs few of them.
-define(ROUNDS, 41).
%% The longest that the reference may take for its part of a round.
-define(PATIENCE, 60_000).
-define(MB, (1 bsl 20)).

-record(bench, {port, guests, aos, node, loader, images}).

-spec main([string()]) -> no_return().
main([Reference, Guests, Aos, Node, Loader, Images]) ->
    Bench = #bench{
        port = program(Reference, []), guests = Guests, aos = Aos, node = Node, loader = Loader, images = Images
    },
    try
        heading(),
        [Part(Bench) || Part <- [fun calls/1, fun computing/1, fun aos/1, fun starts/1, fun memory/1, fun state/1, fun device/1,
            fun timers/1, fun emscripten/1]],
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench: could not measure: ~p~n", [{Class, Reason, Stack}]),
            halt(1)
    end.

%% The lines

calls(Bench) ->
    Task = "engine task, from Rust",
    Numbers = start(guest(Bench, "numbers")),
    line("call of fac(5.0)", Task, #{
        turns => 30_000,
        reference => rust(Bench, ["task", guest(Bench, "numbers"), "fac", "5.0"]),
        ours => fun() -> {ok, [Result]} = hb_wasm64:call(Numbers, <<"fac">>, [5.0]), Result end,
        target => {more, 700}
    }),
    Imports = start(guest(Bench, "imports")),
    Add = fun(Count, #{args := [A, B]}, _Options) -> {ok, [A + B], Count + 1} end,
    line("import, there and back", Task, #{
        turns => 20,
        per_turn => 1000,
        reference => rust(Bench, ["task", guest(Bench, "imports"), "call_many", "1000"]),
        ours => fun() ->
            {ok, [Result], 1000} = hb_wasm64:call(Imports, <<"call_many">>, [1000], Add, 0, #{}),
            Result
        end,
        target => {more, 1500}
    }).

computing(Bench) ->
    Path = guest(Bench, "crunch"),
    Crunch = start(Path),
    [line(Title, "wasmtime, from Rust", #{
        turns => 4,
        reference => rust(Bench, ["plain", Path, Func, integer_to_list(Argument)]),
        ours => fun() -> {ok, [Result]} = hb_wasm64:call(Crunch, Func, [Argument]), Result end,
        target => info
    })
     || {Title, Func, Argument} <- [
         {"primes up to 1,000,000", "sieve", 1_000_000},
         {"fib(31) by recursion", "fib", 31},
         {"4 MB written and summed up", "mem_sum", 4 * ?MB}
     ]].

aos(#bench{aos = Aos} = Bench) ->
    case filelib:is_regular(Aos) of
        true ->
            H = start(Aos),
            Environment = "bench/aos/environment.json",
            [begin
                 Message = ["bench/aos/", File, ".json"],
                 Texts = [write_file(H, Message), write_file(H, Environment)],
                 line(["AOS, ", Title], "wasmtime, from Rust", #{
                     turns => Turns,
                     reference => rust(Bench, ["handle", Aos, Environment, Message]),
                     ours => fun() -> {ok, [Answer]} = hb_wasm64:call(H, <<"handle">>, Texts), Answer end,
                     tell => fun(Answer) ->
                         {ok, Text} = hb_wasm64:read_string(H, Answer),
                         {_, _} = binary:match(Text, Data),
                         Text
                     end,
                     target => {times, Times}
                 })
             end
             || {Title, File, Turns, Data, Times} <- [
                 {"return 1 + 1", "one_and_one", 60, <<"\"data\":\"2\"">>, 1.15},
                 {"loop of 3,000,000", "loop", 1, <<"\"data\":\"4500001500000\"">>, 1.05}
             ]];
        false ->
            io:format("AOS is not measured: there is no ~ts~n", [Aos])
    end.

%% Stopping hands the instance to another thread; the reference drops its own where it stands.
starts(#bench{aos = Aos} = Bench) ->
    Images = [{"ledger.wasm", guest(Bench, "ledger"), info}] ++
        [{"AOS", Aos, {at_most, 50_000}} || filelib:is_regular(Aos)],
    [begin
         {ok, Image} = file:read_file(Path),
         line(["start and stop, ", Title], "wasmtime, from Rust", #{
             turns => 200,
             reference => rust(Bench, ["instantiate", Path]),
             ours => fun() -> {ok, H} = hb_wasm64:start(Image), ok = hb_wasm64:stop(H), <<>> end,
             target => Target
         })
     end
     || {Title, Path, Target} <- Images].

memory(Bench) ->
    H = start(guest(Bench, "memory")),
    {ok, [_]} = hb_wasm64:call(H, "grow", [31]),
    Bytes = binary:copy(<<0:64, (1 bsl 64 - 1):64>>, ?MB div 16),
    Size = integer_to_list(?MB),
    Read = fun() -> {ok, <<_:?MB/binary>>} = hb_wasm64:read(H, 0, ?MB), <<>> end,
    line("write 1 MB", "Rust, into a buffer", #{
        turns => 400,
        reference => rust(Bench, ["copy_over", Size]),
        ours => fun() -> ok = hb_wasm64:write(H, 0, Bytes), <<>> end,
        target => {times, 1.3}
    }),
    line("read 1 MB", "Rust, into a new Vec", #{
        turns => 400, reference => rust(Bench, ["copy_fresh", Size]), ours => Read, target => {times, 1.3}
    }),
    line("read 1 MB", "binary:copy/1", #{
        turns => 400,
        reference => erlang(fun() -> <<_:?MB/binary>> = binary:copy(Bytes), <<>> end),
        ours => Read,
        target => info
    }),
    [line(Title, "-", #{turns => Turns, reference => fun nothing/1, ours => Ours, target => info})
     || {Title, Turns, Ours} <- [
         {"memory_size", 20_000, fun() -> {ok, _} = hb_wasm64:memory_size(H), <<>> end},
         {"read 64 bytes", 20_000, fun() -> {ok, _} = hb_wasm64:read(H, 64, 64), <<>> end},
         {"describe", 1_000, fun() -> {ok, _} = hb_wasm64:describe(H), <<>> end}
     ]].

%% Snapshots of AOS after some messages, and what is done with them. The references are Erlang's own copies.
state(#bench{aos = Aos} = Bench) ->
    Large = start(guest(Bench, "memory64")),
    ok = hb_wasm64:write_memory(Large, binary:copy(<<"contents">>, 32 * ?MB)),
    raw("raw snapshot, 256 MB", Large, 3),
    case filelib:is_regular(Aos) of
        true -> aos_state(Aos);
        false -> io:format("Snapshots of AOS are not measured: there is no ~ts~n", [Aos])
    end.

raw(Title, H, Turns) ->
    {ok, Memory} = hb_wasm64:read_memory(H),
    Size = byte_size(Memory),
    line(Title, "binary:copy/1 of it", #{
        turns => Turns,
        reference => erlang(fun() -> <<_:Size/binary>> = binary:copy(Memory), <<>> end),
        ours => fun() -> {ok, <<_:Size/binary>>} = hb_wasm64:read_memory(H), <<>> end,
        target => {times, 1.2}
    }),
    Memory.

aos_state(Aos) ->
    {ok, Image} = file:read_file(Aos),
    H = start(Aos),
    Eval = fun() ->
        Texts = [write_file(H, ["bench/aos/", File]) || File <- ["one_and_one.json", "environment.json"]],
        {ok, [_]} = hb_wasm64:call(H, <<"handle">>, Texts)
    end,
    [Eval() || _ <- lists:seq(1, 5)],
    {ok, Before} = hb_wasm64:snapshot(H),
    Eval(),
    Memory = raw("raw snapshot of AOS", H, 20),
    {ok, Whole} = hb_wasm64:snapshot(H),
    {ok, Delta} = hb_wasm64:snapshot(H, #{base => Before}),
    {ok, Compressed} = hb_wasm64:snapshot(H, #{compress => true}),
    Nothing = fun(Result) -> fun() -> _ = Result(), <<>> end end,
    %% The same state, the same bytes.
    {ok, Whole} = hb_wasm64:snapshot(H),
    Snapshot = Nothing(fun() -> {ok, _} = hb_wasm64:snapshot(H) end),
    line("snapshot of AOS", "binary:copy/1, 12 MB", #{
        turns => 20,
        reference => erlang(Nothing(fun() -> binary:copy(Memory) end)),
        ours => Snapshot,
        target => {times, 0.4}
    }),
    size_line(Whole, Memory, 0.15),
    line("delta after one more eval", "the whole snapshot", #{
        turns => 20,
        reference => erlang(Snapshot),
        ours => Nothing(fun() -> {ok, _} = hb_wasm64:snapshot(H, #{base => Before}) end),
        target => {times, 0.25}
    }),
    size_line(Delta, Whole, 0.1),
    line("snapshot of AOS, zstd", "the whole snapshot", #{
        turns => 5,
        reference => erlang(Snapshot),
        ours => Nothing(fun() -> {ok, _} = hb_wasm64:snapshot(H, #{compress => true}) end),
        target => info
    }),
    size_line(Compressed, Whole, info),
    Fresh = erlang(Nothing(fun() ->
        {ok, New} = hb_wasm64:start(Image),
        ok = hb_wasm64:write(New, 0, Memory),
        ok = hb_wasm64:stop(New)
    end)),
    [line(Title, "fresh, 12 MB written", #{
         turns => 10,
         reference => Fresh,
         ours => Nothing(fun() -> {ok, New} = Start(), ok = hb_wasm64:stop(New) end),
         target => {times, 0.3}
     })
     || {Title, Start} <- [
         {"start from a snapshot", fun() -> hb_wasm64:start(Image, #{snapshot => Whole}) end},
         {"fork", fun() -> hb_wasm64:fork(H) end}
     ]].

size_line(Ours, Reference, Most) ->
    Factor = byte_size(Ours) / byte_size(Reference),
    Target = case Most of info -> info; _ -> {times, Most} end,
    print("  its size, bytes", "", [
        integer_to_list(byte_size(Ours)), integer_to_list(byte_size(Reference)), compared({times, 1}, Factor), "",
        wanted(Target), verdict(Target, Factor, Factor)
    ]).

%% On the small AO-Core of the tests. On a node each AO-Core call takes many times as long, so that what counts there is
%% how many there are.
device(Bench) ->
    [begin
         Process = process(Bench, Guest, Func, Args),
         [Ours, Reference] = Computes = [compute(Process, Device) || Device <- [dev_wasm64, dev_bench_paths]],
         line(Title, "the same by paths", #{
             turns => 200, reference => erlang(Reference), ours => Ours, target => {times, 0.25}
         }),
         [Calls, Calls0] = [ao_core_calls(Compute) || Compute <- Computes],
         print("  AO-Core calls in it", "", [
             integer_to_list(Calls), integer_to_list(Calls0), compared({times, 0.25}, Calls / Calls0), "", "0.25x",
             verdict({times, 0.25}, Calls, Calls / Calls0)
         ])
     end
     || {Title, Guest, Func, Args} <- [
         {"compute of fac(5.0)", "numbers", <<"fac">>, [5.0]},
         {"compute with an import", "imports", <<"call_add">>, [3, 4]}
     ]].

%% One and the same message with either device behind its name: results and hashpath have to be the same.
compute(Process, Device) ->
    Known = hb_opts:get(preloaded_devices),
    Opts = #{preloaded_devices => [#{<<"name">> => <<"wasm64@1.0">>, <<"module">> => Device} | Known]},
    {ok, Base} = hb_ao:resolve(Process, <<"init">>, Opts),
    fun() ->
        {ok, Result = #{<<"results">> := Results}} = hb_ao:resolve(Base, <<"compute">>, Opts),
        {Results, hb_path:hashpath(Result, Opts)}
    end.

process(Bench, Guest, Func, Args) ->
    {ok, Image} = file:read_file(guest(Bench, Guest)),
    {ok, ID} = hb_cache:write(#{<<"body">> => Image}, #{}),
    #{
        <<"device">> => <<"wasm64@1.0">>,
        <<"image">> => ID,
        <<"stdlib">> => #{<<"env">> => #{<<"device">> => <<"test-math@1.0">>}},
        <<"function">> => Func,
        <<"parameters">> => Args
    }.

%% Those that resolve a path, or change a message through its device, and those that these lead to.
ao_core_calls(Compute) ->
    {_, Counts} = ao_core_counter:count(Compute),
    lists:sum([Count || {{Module, Function}, Count} <- maps:to_list(Counts), {Module, Function} =/= {dev_message, get}]).

%% How late others are while guests run that do not end, and while Erlang does: of the timers of each round those that are
%% later than all but one in a hundred.
timers(Bench) ->
    {ok, Image} = file:read_file(guest(Bench, "loop")),
    Guest = fun() -> {ok, H} = hb_wasm64:start(Image), hb_wasm64:call(H, <<"spin">>, []) end,
    Round = fun() -> {late_timer(fun spin/0), late_timer(Guest)} end,
    _ = Round(),
    report("1 ms timer, 8 guests, p99", "8 Erlang loops", info, [Round() || _ <- lists:seq(1, ?ROUNDS)]).

spin() -> spin().

%% Nanoseconds.
late_timer(Fun) ->
    Pids = [spawn_monitor(Fun) || _ <- lists:seq(1, 8)],
    timer:sleep(20),
    Timers = [element(1, measure(fun() -> receive after 1 -> <<>> end end, 1, 0)) || _ <- lists:seq(1, 100)],
    [begin exit(Pid, kill), receive {'DOWN', Monitor, process, Pid, killed} -> ok end end || {Pid, Monitor} <- Pids],
    lists:nth(99, lists:sort(Timers)).

%% Images of AO built with Emscripten, against the JavaScript that else runs them. Each message gets what a compute unit
%% gives it: the memory that the one before has left.
emscripten(#bench{images = ""}) ->
    io:format("Emscripten's images are not measured: there is no Node 20, or no images from npm~n");
emscripten(Bench) ->
    [emscripten(Bench, Image, Lines) || {Image, Lines} <- [
        {"aos2_0_6", [{"return 1 + 1", one, 20, 0.02}]},
        {"sqlite", [
            {"return 1 + 1", one, 20, 0.02},
            {"loop of 3,000,000", "local x = 0 for i = 1, 3000000 do x = x + i end return x", 1, 1.25},
            {"100,000 pcalls", "for i = 1, 100000 do pcall(error, 1) end return 1", 1, 1.0}
        ]}
    ]].

emscripten(#bench{node = Node, loader = Loader, images = Images} = Bench, Image, Lines) ->
    Path = filename:join(Images, Image ++ ".wasm"),
    Format = "wasm64-unknown-emscripten-draft_2024_02_15",
    Port = program(Node, ["--experimental-wasm-memory64", "bench/loader.mjs", Loader, Format, Path]),
    JavaScript = Bench#bench{port = Port},
    H = start(Path),
    {ok, _} = (eval(H, ask(Port, "process\t")))(),
    One = rust(JavaScript, ["return 1 + 1"]),
    [line([Image, ", ", Title], Whose, #{
        turns => Turns, warm => Warm, reference => Reference, ours => Ours, tell => Tell, target => {times, Times}
     })
     || {Title, Code, Turns, Times} <- Lines,
        %% JavaScript moves all of the memory for each message: nothing of ours is in a cache then.
        Warm <- [case Code of one -> 50; _ -> 0 end],
        Eval <- [case Code of one -> "return 1 + 1"; _ -> Code end],
        Ours <- [eval(H, ask(Port, ["message\t", Eval]))],
        Tell <- [fun(Answer) -> output(H, Answer) end],
        {Whose, Reference} <- [case Code of
            one -> {"ao-loader", One};
            _ -> {"ao-loader, less that", less(rust(JavaScript, [Code]), One)}
        end]
    ],
    true = port_close(Port),
    ok = hb_wasm64:stop(H).

%% The time of one reference without that of another.
less(Reference, Less) ->
    fun(Turns) ->
        {Time0, _} = Less(1),
        {Time, Told} = Reference(Turns),
        {max(1.0, Time - Time0), Told}
    end.

eval(H, Texts) ->
    Pointers = [begin {ok, Pointer} = hb_wasm64:write_string(H, Text), Pointer end
        || Text <- binary:split(Texts, <<"\t">>)],
    fun() -> hb_wasm64:call(H, <<"handle">>, Pointers, #{time => 1_700_000_000_000}) end.

%% What an eval gave, as ao-loader's driver tells it.
output(H, {ok, [Answer]}) ->
    {ok, Text} = hb_wasm64:read_string(H, Answer),
    {match, [Output]} = re:run(Text, "\"(?:output|data)\":(\"?[0-9]+\"?)[,}]", [{capture, all_but_first, binary}]),
    Output.

ask(Port, Line) ->
    port_command(Port, [Line, $\n]),
    receive
        {Port, {data, {eol, Answer}}} -> Answer;
        {Port, {exit_status, Status}} -> error({reference_ended, Status, Line})
    after ?PATIENCE -> error({reference_is_silent, Line})
    end.

program(Executable, Args) ->
    open_port({spawn_executable, Executable}, [{args, Args}, {line, 1 bsl 20}, binary, exit_status]).

guest(#bench{guests = Guests}, Name) -> filename:join(Guests, Name ++ ".wasm").

start(Path) ->
    {ok, Image} = file:read_file(Path),
    {ok, H} = hb_wasm64:start(Image),
    H.

write_file(H, Path) ->
    {ok, Text} = file:read_file(Path),
    {ok, Pointer} = hb_wasm64:write_string(H, Text),
    Pointer.

%% One line

%% Measures `What' against `Whose'. The rest: how many turns make our part of a round, how many of what is shown a turn
%% holds, how many turns come before, a reference that makes as many turns, our turn, how to tell its result (the reference tells its own as text)
%% and the target:
%%   {more, Nanoseconds}      than the reference
%%   {times, Factor}          as long as the reference
%%   {at_most, Nanoseconds}   whatever the reference takes
%%   info                     nothing is asked for
line(What, Whose, #{turns := Turns, reference := Reference, ours := Ours, target := Target} = Line) ->
    Tell = maps:get(tell, Line, fun tell/1),
    PerTurn = maps:get(per_turn, Line, 1),
    Warm = maps:get(warm, Line, Turns div 10),
    Round = fun() ->
        {Time0, Told0} = Reference(Turns),
        {Time, Result} = measure(Ours, Turns, Warm),
        case Tell(Result) of
            Told when Told =:= Told0; Told0 =:= none -> {Time0 / PerTurn, Time / PerTurn};
            Told -> error({different_results, #{what => What, ours => Told, reference => Told0}})
        end
    end,
    %% The first one makes what is made once: instances, memory, compiled code.
    _ = Round(),
    report(What, Whose, Target, [Round() || _ <- lists:seq(1, ?ROUNDS)]).

report(What, Whose, Target, Rounds) ->
    Figure = median([Time || {_, Time} <- Rounds]),
    Figure0 = median([Time0 || {Time0, _} <- Rounds]),
    Compared = [compare(Target, Round1) || Round1 <- Rounds],
    print(What, Whose, [
        duration(Figure),
        duration(Figure0),
        compared(Target, median(Compared)),
        range(Target, lists:sort(Compared)),
        wanted(Target),
        verdict(Target, Figure, median(Compared))
    ]).

%% Nanoseconds that a turn takes, and what the last one gave. The turns before are to fill the caches, which hold what
%% the other side has left there.
measure(Turn, Turns, Warm) ->
    _ = repeat(Warm, Turn, none),
    Begin = erlang:monotonic_time(),
    Result = repeat(Turns, Turn, none),
    End = erlang:monotonic_time(),
    {erlang:convert_time_unit(End - Begin, native, nanosecond) / Turns, Result}.

repeat(0, _Turn, Result) -> Result;
repeat(N, Turn, _Result) -> repeat(N - 1, Turn, Turn()).

%% A measurement by the reference program; see there for the fields.
rust(#bench{port = Port}, Fields) ->
    fun(Turns) ->
        [Time, Told] = binary:split(ask(Port, lists:join($\t, Fields ++ [integer_to_list(Turns)])), <<"\t">>),
        {binary_to_float(Time), Told}
    end.

%% A reference in Erlang.
erlang(Turn) ->
    fun(Turns) ->
        {Time, Result} = measure(Turn, Turns, Turns div 10),
        {Time, tell(Result)}
    end.

nothing(_Turns) -> {0, none}.

tell(Result) when is_binary(Result) -> Result;
tell(Result) -> iolist_to_binary(io_lib:format("~w", [Result])).

median(List) -> lists:nth(length(List) div 2 + 1, lists:sort(List)).

compare({more, _}, {Time0, Time}) -> Time - Time0;
compare(_, {Time0, _}) when Time0 == 0 -> none;
compare(_, {Time0, Time}) -> Time / Time0.

verdict(info, _, _) -> "";
verdict({at_most, Most}, Figure, _) when Figure =< Most -> "ok";
verdict({more, Most}, _, Compared) when Compared =< Most -> "ok";
verdict({times, Most}, _, Compared) when Compared =< Most -> "ok";
verdict(_, _, _) -> "MISSED".

%% The table

heading() ->
    io:format("Medians of ~w rounds; half of the rounds are within what is given in brackets.~n", [?ROUNDS]),
    %% Linux only; elsewhere the reader has to know.
    case file:read_file("/proc/loadavg") of
        {ok, Load} ->
            io:format("Load of this machine before: ~s. The less the better.~n", [hd(binary:split(Load, <<" ">>))]);
        {error, _} ->
            ok
    end,
    print("", "reference", ["ours", "reference", "compared", "", "target", ""]).

print(What, Whose, Columns) ->
    io:format("~-27s ~-23s ~10s ~10s ~10s ~-24s ~9s  ~s~n", [What, Whose | Columns]).

%% The middle half.
range(_, [none | _]) ->
    "";
range(Target, Sorted) ->
    Quarter = length(Sorted) div 4,
    [First, Last] = [lists:nth(N, Sorted) || N <- [Quarter + 1, length(Sorted) - Quarter]],
    ["(", compared(Target, First), " to ", compared(Target, Last), ")"].

compared(_, none) -> "";
compared({more, _}, Time) when Time < 0 -> ["-", duration(-Time)];
compared({more, _}, Time) -> ["+", duration(Time)];
compared(_, Factor) -> io_lib:format("~.2fx", [Factor]).

wanted({more, Time}) -> ["+", duration(Time)];
wanted({times, Factor}) -> io_lib:format("~.2fx", [Factor]);
wanted({at_most, Time}) -> duration(Time);
wanted(info) -> "".

duration(Time) when Time == 0 -> "";
duration(Time) when Time < 10_000 -> io_lib:format("~.2f us", [Time / 1.0e3]);
duration(Time) when Time < 1_000_000 -> io_lib:format("~.1f us", [Time / 1.0e3]);
duration(Time) -> io_lib:format("~.2f ms", [Time / 1.0e6]).
