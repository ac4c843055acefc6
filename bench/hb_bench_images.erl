%% @doc Rows of images: instances of one that is compiled, and one that is to be compiled while others are.
-module(hb_bench_images).

-export([rows/0]).

-import(hb_bench_row, [guest/2, rust/2]).

-spec rows() -> [hb_bench_row:row()].
rows() ->
    [
        starts(#{name => "start", title => "start and stop, ledger.wasm", target => none}, fun(Context) ->
            guest(Context, "ledger")
        end),
        starts(#{name => "start-aos", title => "start and stop, AOS", needs => aos, target => {at_most, 50_000}}, fun(
            #{aos := Aos}
        ) -> Aos end),
        #{
            name => "compile-behind",
            title => "small image behind large",
            against => "the same alone",
            turns => 1,
            measure => fun behind/1,
            reference => fun alone/1,
            target => none
        },
        from_disk("disk-aos", "aos2_0_6", {at_most, 10_000_000}),
        from_disk("disk-sqlite", "sqlite", {at_most, 20_000_000})
    ].

%% A start of an image that nobody has in memory, and whose compiled code is on disk.
from_disk(Name, Image, Target) ->
    #{
        name => Name,
        title => [Image, ", started from disk"],
        against => "its code read",
        needs => images,
        turns => 4,
        measure => fun(Context) -> found(Context, Image) end,
        reference => fun(Context) ->
            {_Images, Directory} = prepared(Context, Image),
            [Code | _] = filelib:wildcard(filename:join(Directory, "*.code")),
            hb_bench_row:timed(fun() -> {ok, _} = file:read_file(Code), none end)
        end,
        target => Target
    }.

found(Context, Image) ->
    {Images, Directory} = prepared(Context, Image),
    fun(Turns) ->
        keep(Directory),
        %% Of two that are used in turn, the other one is the one in memory.
        Starts = fun() -> [none = started(binary:copy(Each)) || Each <- Images], none end,
        {Figure, Result} = hb_bench_row:time(Starts, Turns, 1),
        keep_nothing(),
        {Figure / length(Images), Result}
    end.

%% Two images that are alike, and a directory with the code of both.
prepared(#{images := Path}, Name) ->
    hb_bench_row:once({disk, Name}, fun() ->
        {ok, Image} = file:read_file(filename:join(Path, Name ++ ".wasm")),
        Images = [fresh(Image), fresh(Image)],
        Directory = string:trim(os:cmd("mktemp -d")),
        keep(Directory),
        [none = started(Each) || Each <- Images],
        written(Directory, length(Images)),
        keep_nothing(),
        {Images, Directory}
    end).

written(Directory, Files) ->
    case length(filelib:wildcard(filename:join(Directory, "*.code"))) of
        Files -> ok;
        _ -> timer:sleep(10), written(Directory, Files)
    end.

keep(Directory) ->
    ok = hb_wasm64_nif:set_limit(cached_images, 1),
    Path = list_to_binary(Directory),
    ok = hb_wasm64_nif:keep_on_disk(Path, <<Path/binary, "/key">>, 1 bsl 32).

keep_nothing() ->
    ok = hb_wasm64_nif:keep_nothing_on_disk(),
    ok = hb_wasm64_nif:set_limit(cached_images, 256).

%% Stopping hands the instance to another thread; the reference drops its own where it stands.
starts(Row, Path) ->
    Row#{
        against => "wasmtime, from Rust",
        turns => 200,
        turn => fun(Context) ->
            {ok, Image} = file:read_file(Path(Context)),
            fun() ->
                {ok, H} = hb_wasm64:start(Image),
                ok = hb_wasm64:stop(H),
                <<>>
            end
        end,
        reference => fun(Context) -> rust(Context, ["instantiate", Path(Context)]) end
    }.

alone(Context) ->
    Small = image(Context, "numbers"),
    fun(_Turns) -> hb_bench_row:time(fun() -> started(fresh(Small)) end, 1, 0) end.

%% Four large images for each scheduler, asked for by as many processes.
behind(Context) ->
    Alone = alone(Context),
    Large = image(Context, "emscripten/throw64"),
    fun(Turns) ->
        Images = [fresh(Large) || _ <- lists:seq(1, 4 * erlang:system_info(schedulers_online))],
        Askers = [spawn_monitor(fun() -> none = started(Image) end) || Image <- Images],
        timer:sleep(5),
        Measured = Alone(Turns),
        [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Askers],
        Measured
    end.

started(Image) ->
    {ok, H} = hb_wasm64:start(Image),
    ok = hb_wasm64:stop(H),
    none.

image(Context, Name) ->
    {ok, Image} = file:read_file(guest(Context, Name)),
    Image.

%% The same image to compile, but one that has not been compiled: with a custom section of its own.
fresh(Image) -> <<Image/binary, 0, 10, 1, "x", (rand:bytes(8))/binary>>.
