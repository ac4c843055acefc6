%% @doc Rows of snapshots, and of the instances that are made from them. The references are Erlang's own copies.
-module(hb_bench_state).

-export([rows/0]).

-import(hb_bench_row, [guest/2, once/2, start/1, timed/1]).

-define(MB, (1 bsl 20)).

-spec rows() -> [hb_bench_row:row()].
rows() ->
    [
        #{
            name => "raw",
            title => "raw snapshot, 256 MB",
            against => "binary:copy/1 of it",
            turns => 3,
            turn => fun(Context) -> raw(large(Context)) end,
            reference => fun(Context) -> raw_copy(large(Context)) end,
            target => {times, 1.2}
        },
        of_aos(#{
            name => "raw-aos",
            title => "raw snapshot of AOS",
            against => "binary:copy/1 of it",
            turns => 20,
            turn => fun(#{h := H}) -> raw(H) end,
            reference => fun(#{h := H}) -> raw_copy(H) end,
            target => {times, 1.2}
        }),
        of_aos(#{
            name => "snapshot",
            title => "snapshot of AOS",
            against => "binary:copy/1, 12 MB",
            turns => 20,
            turn => fun snapshot/1,
            reference => fun(#{memory := Memory}) -> timed(fun() -> binary:copy(Memory) end) end,
            tell => fun(_) -> none end,
            target => {times, 0.4}
        }),
        size("snapshot-size", "binary:copy/1, 12 MB", whole, memory, {times, 0.15}),
        of_aos(#{
            name => "delta",
            title => "delta after one more eval",
            against => "the whole snapshot",
            turns => 20,
            turn => fun(#{h := H, before := Before}) ->
                fun() -> {ok, _} = hb_wasm64:snapshot(H, #{base => Before}) end
            end,
            reference => fun(State) -> timed(snapshot(State)) end,
            tell => fun(_) -> none end,
            target => {times, 0.25}
        }),
        size("delta-size", "the whole snapshot", delta, whole, {times, 0.1}),
        of_aos(#{
            name => "compressed",
            title => "snapshot of AOS, zstd",
            against => "the whole snapshot",
            turns => 5,
            turn => fun(#{h := H}) -> fun() -> {ok, _} = hb_wasm64:snapshot(H, #{compress => true}) end end,
            reference => fun(State) -> timed(snapshot(State)) end,
            tell => fun(_) -> none end,
            target => none
        }),
        size("compressed-size", "the whole snapshot", compressed, whole, none),
        started("restored", "start from a snapshot", fun(#{image := Image, whole := Whole}) ->
            hb_wasm64:start(Image, #{snapshot => Whole})
        end),
        started("fork", "fork", fun(#{h := H}) -> hb_wasm64:fork(H) end)
    ].

large(Context) ->
    once(large, fun() ->
        H = start(guest(Context, "memory64")),
        ok = hb_wasm64:write_memory(H, binary:copy(<<"contents">>, 32 * ?MB)),
        H
    end).

raw(H) ->
    {ok, Size} = hb_wasm64:memory_size(H),
    fun() -> {ok, <<_:Size/binary>>} = hb_wasm64:read_memory(H), none end.

raw_copy(H) ->
    {ok, Memory} = hb_wasm64:read_memory(H),
    Size = byte_size(Memory),
    timed(fun() -> <<_:Size/binary>> = binary:copy(Memory), none end).

%% A row that gets the state of AOS after some messages in place of the context. Its reference has no result.
of_aos(Row) ->
    WithState = fun(Prepare) -> fun(Context) -> Prepare(aos(Context)) end end,
    Prepared = maps:map(
        fun
            (reference, Prepare) -> without_result(WithState(Prepare));
            (Key, Prepare) when Key =:= turn; Key =:= measure -> WithState(Prepare);
            (_Key, Value) -> Value
        end,
        Row
    ),
    Prepared#{needs => aos}.

without_result(Prepare) ->
    fun(Context) ->
        Measure = Prepare(Context),
        fun(Turns) -> {element(1, Measure(Turns)), none} end
    end.

aos(#{aos := Aos}) ->
    once(aos_state, fun() ->
        {ok, Image} = file:read_file(Aos),
        {ok, H} = hb_wasm64:start(Image),
        Eval = fun() ->
            Texts = [write_file(H, ["bench/aos/", File]) || File <- ["one_and_one.json", "environment.json"]],
            {ok, [_]} = hb_wasm64:call(H, <<"handle">>, Texts)
        end,
        [Eval() || _ <- lists:seq(1, 5)],
        {ok, Before} = hb_wasm64:snapshot(H),
        Eval(),
        {ok, Memory} = hb_wasm64:read_memory(H),
        {ok, Whole} = hb_wasm64:snapshot(H),
        %% The same state, the same bytes.
        {ok, Whole} = hb_wasm64:snapshot(H),
        {ok, Delta} = hb_wasm64:snapshot(H, #{base => Before}),
        {ok, Compressed} = hb_wasm64:snapshot(H, #{compress => true}),
        #{
            image => Image, h => H, memory => Memory, before => Before, whole => Whole, delta => Delta,
            compressed => Compressed
        }
    end).

write_file(H, Path) ->
    {ok, Text} = file:read_file(Path),
    {ok, Pointer} = hb_wasm64:write_string(H, Text),
    Pointer.

snapshot(#{h := H}) -> fun() -> {ok, _} = hb_wasm64:snapshot(H) end.

size(Name, Against, What, Of, Target) ->
    Size = fun(Key) -> fun(State) -> fun(_Turns) -> {byte_size(maps:get(Key, State)), none} end end end,
    of_aos(#{
        name => Name,
        title => "  its size, bytes",
        against => Against,
        unit => bytes,
        turns => 1,
        measure => Size(What),
        reference => Size(Of),
        target => Target
    }).

started(Name, Title, Start) ->
    of_aos(#{
        name => Name,
        title => Title,
        against => "fresh, 12 MB written",
        turns => 10,
        turn => fun(State) ->
            fun() ->
                {ok, New} = Start(State),
                ok = hb_wasm64:stop(New),
                none
            end
        end,
        reference => fun(#{image := Image, memory := Memory}) ->
            timed(fun() ->
                {ok, New} = hb_wasm64:start(Image),
                ok = hb_wasm64:write(New, 0, Memory),
                ok = hb_wasm64:stop(New)
            end)
        end,
        target => {times, 0.3}
    }).
