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
        }
    ].

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
