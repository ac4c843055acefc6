%% @doc Rows of calls: their own cost, what a guest computes, how deep it comes, and who else is held up.
-module(hb_bench_calls).

-export([rows/0]).

-import(hb_bench_row, [guest/2, once/2, rust/2, start/1]).

-define(MB, (1 bsl 20)).
-define(TASK, "engine task, from Rust").
-define(WASMTIME, "wasmtime, from Rust").

-spec rows() -> [hb_bench_row:row()].
rows() ->
    [
        #{
            name => "call",
            title => "call of fac(5.0)",
            against => ?TASK,
            turns => 30_000,
            turn => fun fac/1,
            reference => fun(Context) -> rust(Context, ["task", guest(Context, "numbers"), "fac", "5.0"]) end,
            target => {more, 700}
        },
        #{
            name => "import",
            title => "import, there and back",
            against => ?TASK,
            turns => 20,
            per_turn => 1000,
            turn => fun imports/1,
            reference => fun(Context) -> rust(Context, ["task", guest(Context, "imports"), "call_many", "1000"]) end,
            target => {more, 1500}
        },
        computing("primes", "primes up to 1,000,000", "sieve", 1_000_000),
        computing("fib", "fib(31) by recursion", "fib", 31),
        computing("sum", "4 MB written and summed up", "mem_sum", 4 * ?MB),
        aos("aos-eval", "AOS, return 1 + 1", "one_and_one", 60, <<"\"data\":\"2\"">>, 1.15),
        aos("aos-loop", "AOS, loop of 3,000,000", "loop", 1, <<"\"data\":\"4500001500000\"">>, 1.05),
        recursion("recursion", "recursion, frames", "plain"),
        recursion("recursion-try", "recursion, through a try", "catch_all"),
        #{
            name => "beside-snapshots",
            title => "call beside snapshots",
            against => "the same call alone",
            turns => 4,
            measure => fun beside_snapshots/1,
            reference => fun alone/1,
            target => {times, 2.0}
        },
        #{
            name => "timer",
            title => "1 ms timer, 8 guests, p99",
            against => "8 Erlang loops",
            turns => 100,
            measure => fun beside_guests/1,
            reference => fun(_Context) -> late_timer(fun spin/0) end,
            target => none
        }
    ].

fac(Context) ->
    Numbers = start(guest(Context, "numbers")),
    fun() -> {ok, [Result]} = hb_wasm64:call(Numbers, <<"fac">>, [5.0]), Result end.

imports(Context) ->
    Imports = start(guest(Context, "imports")),
    Add = fun(Count, #{args := [A, B]}, _Options) -> {ok, [A + B], Count + 1} end,
    fun() -> {ok, [Result], 1000} = hb_wasm64:call(Imports, <<"call_many">>, [1000], Add, 0, #{}), Result end.

computing(Name, Title, Func, Argument) ->
    #{
        name => Name,
        title => Title,
        against => ?WASMTIME,
        turns => 4,
        turn => fun(Context) ->
            Crunch = once(crunch, fun() -> start(guest(Context, "crunch")) end),
            fun() -> {ok, [Result]} = hb_wasm64:call(Crunch, Func, [Argument]), Result end
        end,
        reference => fun(Context) -> rust(Context, ["plain", guest(Context, "crunch"), Func, integer_to_list(Argument)]) end,
        target => none
    }.

aos(Name, Title, File, Turns, Data, Times) ->
    Message = "bench/aos/" ++ File ++ ".json",
    Environment = "bench/aos/environment.json",
    #{
        name => Name,
        title => Title,
        against => ?WASMTIME,
        needs => aos,
        turns => Turns,
        turn => fun(#{aos := Aos}) ->
            H = once(aos, fun() -> start(Aos) end),
            Texts = [write_file(H, Path) || Path <- [Message, Environment]],
            fun() ->
                {ok, [Answer]} = hb_wasm64:call(H, <<"handle">>, Texts),
                {H, Answer}
            end
        end,
        tell => fun({H, Answer}) ->
            {ok, Text} = hb_wasm64:read_string(H, Answer),
            {_, _} = binary:match(Text, Data),
            Text
        end,
        reference => fun(#{aos := Aos} = Context) -> rust(Context, ["handle", Aos, Environment, Message]) end,
        target => {times, Times}
    }.

write_file(H, Path) ->
    {ok, Text} = file:read_file(Path),
    {ok, Pointer} = hb_wasm64:write_string(H, Text),
    Pointer.

%% The most calls that a function may go deep. V8 optimizes it before it is called: its frames are smaller then.
recursion(Name, Title, Func) ->
    #{
        name => Name,
        title => Title,
        against => "V8, optimized",
        needs => node,
        unit => count,
        turns => 1,
        measure => fun(Context) ->
            H = start(guest(Context, "deep")),
            Fits = fun(Depth) ->
                case hb_wasm64:call(H, Func, [Depth]) of
                    {ok, [Depth]} -> true;
                    {error, {trap, #{code := stack_overflow}}} -> false
                end
            end,
            fun(_Turns) -> {deepest(Fits, 0, 1 bsl 20), <<>>} end
        end,
        reference => fun(#{node := Node} = Context) ->
            Args = ["--no-liftoff", "bench/recursion.mjs", guest(Context, "deep")],
            hb_bench_row:asked(once(recursion, fun() -> hb_bench_row:program(Node, Args) end), [Func])
        end,
        target => {at_least, 1.0}
    }.

deepest(_Fits, Most, TooMany) when TooMany - Most =:= 1 -> Most;
deepest(Fits, Most, TooMany) ->
    Middle = (Most + TooMany) div 2,
    case Fits(Middle) of
        true -> deepest(Fits, Middle, TooMany);
        false -> deepest(Fits, Most, Middle)
    end.

%% A guest of several slices, all but the first of which need a dirty scheduler.
alone(Context) ->
    Loop = once(loop, fun() -> start(guest(Context, "loop")) end),
    Turn = fun() -> {ok, [Count]} = hb_wasm64:call(Loop, <<"count">>, [2_000_000]), Count end,
    fun(Turns) -> hb_bench_row:time(Turn, Turns, 1) end.

%% As many processes as there are dirty schedulers take one snapshot after the other, compressed, of 64 MB each.
beside_snapshots(Context) ->
    Alone = alone(Context),
    Large = [large(Context) || _ <- lists:seq(1, erlang:system_info(dirty_cpu_schedulers_online))],
    fun(Turns) ->
        Snapshotters = [spawn_monitor(fun() -> snapshots(H) end) || H <- Large],
        timer:sleep(20),
        Measured = Alone(Turns),
        [Pid ! stop || {Pid, _} <- Snapshotters],
        [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Snapshotters],
        Measured
    end.

%% Contents that cannot be compressed.
large(Context) ->
    H = start(guest(Context, "memory64")),
    ok = hb_wasm64:write_memory(H, rand:bytes(64 * ?MB)),
    {ok, _} = hb_wasm64:snapshot(H),
    H.

snapshots(H) ->
    receive
        stop -> ok
    after 0 ->
        {ok, _} = hb_wasm64:snapshot(H, #{compress => true}),
        snapshots(H)
    end.

beside_guests(Context) ->
    {ok, Image} = file:read_file(guest(Context, "loop")),
    late_timer(fun() -> {ok, H} = hb_wasm64:start(Image), hb_wasm64:call(H, <<"spin">>, []) end).

spin() -> spin().

%% How late a timer is, in nanoseconds, while eight processes run that do not end: the one that is later than all but one
%% in a hundred.
late_timer(Fun) ->
    fun(Turns) ->
        Pids = [spawn_monitor(Fun) || _ <- lists:seq(1, 8)],
        timer:sleep(20),
        Wait = fun() -> receive after 1 -> none end end,
        Timers = [element(1, hb_bench_row:time(Wait, 1, 0)) || _ <- lists:seq(1, Turns)],
        [begin exit(Pid, kill), receive {'DOWN', Monitor, process, Pid, killed} -> ok end end || {Pid, Monitor} <- Pids],
        {lists:nth(max(1, Turns - Turns div 100), lists:sort(Timers)), none}
    end.
