%% @doc Rows of an instance's memory: reads, writes, growth.
-module(hb_bench_memory).

-export([rows/0]).

-import(hb_bench_row, [guest/2, once/2, rust/2, start/1, timed/1]).

-define(MB, (1 bsl 20)).
%% In pages.
-define(GIB, (1 bsl 14)).

-spec rows() -> [hb_bench_row:row()].
rows() ->
    Size = integer_to_list(?MB),
    [
        #{
            name => "write",
            title => "write 1 MB",
            against => "Rust, into a buffer",
            turns => 400,
            turn => fun(Context) ->
                {H, Bytes} = memory(Context),
                fun() -> ok = hb_wasm64:write(H, 0, Bytes), <<>> end
            end,
            reference => fun(Context) -> rust(Context, ["copy_over", Size]) end,
            target => {times, 1.3}
        },
        #{
            name => "read",
            title => "read 1 MB",
            against => "Rust, into a new Vec",
            turns => 400,
            turn => fun read/1,
            reference => fun(Context) -> rust(Context, ["copy_fresh", Size]) end,
            target => {times, 1.3}
        },
        #{
            name => "read-copy",
            title => "read 1 MB",
            against => "binary:copy/1",
            turns => 400,
            turn => fun read/1,
            reference => fun(Context) ->
                {_, Bytes} = memory(Context),
                timed(fun() -> <<_:?MB/binary>> = binary:copy(Bytes), none end)
            end,
            target => none
        },
        #{
            name => "fd-write",
            title => "1 MB by fd_write, 4 KB each",
            against => "Rust, into pages of its own",
            turns => 200,
            turn => fun(Context) ->
                H = start(guest(Context, "writes")),
                fun() ->
                    {ok, [?MB]} = hb_wasm64:call(H, "write", [?MB]),
                    integer_to_binary(?MB)
                end
            end,
            reference => fun(Context) -> rust(Context, ["copy_pages", Size]) end,
            target => {times, 1.5}
        },
        small("memory-size", "memory_size", 20_000, fun(H) -> {ok, _} = hb_wasm64:memory_size(H) end),
        small("read-64", "read 64 bytes", 20_000, fun(H) -> {ok, _} = hb_wasm64:read(H, 64, 64) end),
        small("describe", "describe", 1_000, fun(H) -> {ok, _} = hb_wasm64:describe(H) end),
        #{
            name => "growth",
            title => "growth past 4 GiB, a page",
            against => "below 1 GiB, a page",
            turns => 1,
            measure => fun(Context) -> growth(Context, 4 * ?GIB) end,
            reference => fun(Context) -> growth(Context, ?GIB - 1) end,
            target => {times, 2.0}
        }
    ].

memory(Context) ->
    once(memory, fun() ->
        H = start(guest(Context, "memory")),
        {ok, [_]} = hb_wasm64:call(H, "grow", [31]),
        {H, binary:copy(<<0:64, (1 bsl 64 - 1):64>>, ?MB div 16)}
    end).

read(Context) ->
    {H, _} = memory(Context),
    fun() -> {ok, <<_:?MB/binary>>} = hb_wasm64:read(H, 0, ?MB), <<>> end.

small(Name, Title, Turns, Do) ->
    #{
        name => Name,
        title => Title,
        against => "-",
        turns => Turns,
        turn => fun(Context) ->
            {H, _} = memory(Context),
            fun() -> _ = Do(H), none end
        end,
        target => none
    }.

%% A page more than so many, in an instance of its own.
growth(Context, Pages) ->
    fun(_Turns) ->
        H = start(guest(Context, "growth")),
        {ok, [1]} = hb_wasm64:call(H, <<"grow1">>, [Pages - 1]),
        {Figure, [Pages]} = hb_bench_row:time(
            fun() -> {ok, Before} = hb_wasm64:call(H, <<"grow1">>, [1]), Before end, 1, 0
        ),
        ok = hb_wasm64:stop(H),
        {Figure, none}
    end.
