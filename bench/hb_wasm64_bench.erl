%% What `make bench` prints: for each measurement our figure, that of a reference, how they compare and what is asked for.
%%
%% Each line is the median of several rounds. A round measures the reference, then ours, at once after it, and compares the
%% two; so a machine that is busy with something else slows both down, and the comparison holds. Both sides must also come
%% to the same result. The reference is a program of its own, native/engine/benches/reference, at the other end of a port.
%%
%% A target that is missed is a result, not a failure: the exit code is 0 unless a measurement could not be made.
-module(hb_wasm64_bench).

-export([main/1]).

-define(ROUNDS, 9).
%% The longest that the reference may take for its part of a round.
-define(PATIENCE, 60_000).
-define(MB, (1 bsl 20)).

-record(bench, {port, guests, aos}).

-spec main([string()]) -> no_return().
main([Reference, Guests, Aos]) ->
    Options = [{line, 1 bsl 16}, binary, exit_status],
    Bench = #bench{port = open_port({spawn_executable, Reference}, Options), guests = Guests, aos = Aos},
    try
        heading(),
        [Part(Bench) || Part <- [fun calls/1, fun computing/1, fun aos/1, fun starts/1, fun memory/1]],
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench: could not measure: ~p~n", [{Class, Reason, Stack}]),
            halt(1)
    end.

%% The lines

calls(Bench) ->
    Numbers = start(guest(Bench, "numbers")),
    line("call of fac(5.0); an engine task from Rust", #{
        turns => 100_000,
        reference => rust(Bench, ["task", guest(Bench, "numbers"), "fac", "5.0"]),
        ours => fun() -> {ok, [Result]} = hb_wasm64:call(Numbers, <<"fac">>, [5.0]), Result end,
        target => {more, 700}
    }),
    Imports = start(guest(Bench, "imports")),
    Add = fun(Count, #{args := [A, B]}, _Options) -> {ok, [A + B], Count + 1} end,
    line("import, there and back; an engine task from Rust", #{
        turns => 50,
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
    [line([Title, "; wasmtime from Rust"], #{
        turns => 5,
        reference => rust(Bench, ["plain", Path, Func, integer_to_list(Argument)]),
        ours => fun() -> {ok, [Result]} = hb_wasm64:call(Crunch, Func, [Argument]), Result end,
        target => {times, 1.05}
    })
     || {Title, Func, Argument} <- [
         {"primes up to 1,000,000", "sieve", 1_000_000},
         {"fib(27) by recursion", "fib", 27},
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
                 line(["AOS, ", Title, "; wasmtime from Rust"], #{
                     turns => Turns,
                     reference => rust(Bench, ["handle", Aos, Environment, Message]),
                     ours => fun() -> {ok, [Answer]} = hb_wasm64:call(H, <<"handle">>, Texts), Answer end,
                     show => fun(Answer) ->
                         {ok, Text} = hb_wasm64:read_string(H, Answer),
                         {_, _} = binary:match(Text, [<<"\"data\":\"", Data/binary, "\"">>]),
                         Text
                     end,
                     target => {times, Times}
                 })
             end
             || {Title, File, Data, Turns, Times} <- [
                 {"return 1 + 1", "one_and_one", <<"2">>, 100, 1.15},
                 {"a loop of 3,000,000", "loop", <<"4500001500000">>, 1, 1.05}
             ]];
        false ->
            note(["AOS is not measured: there is no ", Aos])
    end.

starts(#bench{aos = Aos} = Bench) ->
    Images = [{"ledger.wasm", guest(Bench, "ledger"), info}] ++
        [{"AOS", Aos, {at_most, 50_000}} || filelib:is_regular(Aos)],
    [begin
         {ok, Image} = file:read_file(Path),
         line(["start and stop of ", Title, ", image known; wasmtime from Rust"], #{
             turns => 200,
             reference => rust(Bench, ["instantiate", Path]),
             ours => fun() ->
                 {ok, H} = hb_wasm64:start(Image),
                 ok = hb_wasm64:stop(H),
                 <<>>
             end,
             target => Target
         }),
         ok
     end
     || {Title, Path, Target} <- Images].

memory(Bench) ->
    H = start(guest(Bench, "memory")),
    {ok, [_]} = hb_wasm64:call(H, "grow", [31]),
    Bytes = binary:copy(<<0:64, (1 bsl 64 - 1):64>>, ?MB div 16),
    Size = integer_to_list(?MB),
    Read = fun() -> {ok, <<_:?MB/binary>>} = hb_wasm64:read(H, 0, ?MB), <<>> end,
    line("write of 1 MB; a copy into a buffer, in Rust", #{
        turns => 200,
        reference => rust(Bench, ["copy_over", Size]),
        ours => fun() -> ok = hb_wasm64:write(H, 0, Bytes), <<>> end,
        target => {times, 1.3}
    }),
    line("read of 1 MB; a copy into a new Vec, in Rust", #{
        turns => 200, reference => rust(Bench, ["copy_fresh", Size]), ours => Read, target => {times, 1.3}
    }),
    line("read of 1 MB; binary:copy/1 of as much", #{
        turns => 200,
        reference => here(fun() -> <<_:?MB/binary>> = binary:copy(Bytes), <<>> end),
        ours => Read,
        target => info
    }),
    [line([Title, "; a NIF that does nothing much"], #{
        turns => 100_000,
        reference => here(fun() -> ok = hb_wasm64_nif:cancel(self_reference, 0) end),
        ours => Ours,
        target => info
    }) || {Title, Ours} <- [
        {"memory_size", fun() -> {ok, _} = hb_wasm64:memory_size(H), <<>> end}
    ]].

guest(#bench{guests = Guests}, Name) -> filename:join(Guests, Name ++ ".wasm").

start(Path) ->
    {ok, Image} = file:read_file(Path),
    {ok, H} = hb_wasm64:start(Image),
    H.

write_file(H, Path) ->
    {ok, Text} = file:read_file(Path),
    {ok, Pointer} = hb_wasm64:write_string(H, Text),
    Pointer.
