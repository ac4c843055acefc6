%% @doc Rows of the device, on the small AO-Core of the tests. On a node each AO-Core call takes many times as long, so
%% that their number counts there.
-module(hb_bench_device).

-export([rows/0]).

-spec rows() -> [hb_bench_row:row()].
rows() ->
    lists:append([computed(Name, Title, Guest, Func, Args) || {Name, Title, Guest, Func, Args} <- [
        {"compute", "compute of fac(5.0)", "numbers", <<"fac">>, [5.0]},
        {"compute-import", "compute with an import", "imports", <<"call_add">>, [3, 4]}
    ]]).

%% Both devices have to come to the same result and hashpath.
computed(Name, Title, Guest, Func, Args) ->
    Ours = fun(Context) -> compute(process(Context, Guest, Func, Args), dev_wasm64) end,
    Paths = fun(Context) -> compute(process(Context, Guest, Func, Args), dev_bench_paths) end,
    Row = #{against => "the same by paths", target => {times, 0.25}},
    Calls = fun(Compute) -> fun(Context) -> ao_core_calls(Compute(Context)) end end,
    [
        Row#{
            name => Name,
            title => Title,
            turns => 200,
            turn => Ours,
            reference => fun(Context) -> hb_bench_row:timed(Paths(Context)) end
        },
        Row#{
            name => Name ++ "-calls",
            title => "  AO-Core calls in it",
            unit => count,
            turns => 1,
            measure => Calls(Ours),
            reference => Calls(Paths)
        }
    ].

%% One and the same message with either device behind its name.
compute(Process, Device) ->
    Known = hb_opts:get(preloaded_devices),
    Opts = ao_core:options(#{preloaded_devices => [#{<<"name">> => <<"wasm64@1.0">>, <<"module">> => Device} | Known]}),
    {ok, Base} = hb_ao:resolve(Process, <<"init">>, Opts),
    fun() ->
        {ok, Result = #{<<"results">> := Results}} = hb_ao:resolve(Base, <<"compute">>, Opts),
        {Results, hb_path:hashpath(Result, Opts)}
    end.

process(Context, Guest, Func, Args) ->
    {ok, Image} = file:read_file(hb_bench_row:guest(Context, Guest)),
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
    fun(_Turns) ->
        {_, Counts} = ao_core_counter:count(Compute),
        Calls = [Count || {Name, Count} <- maps:to_list(Counts), not lists:member(Name, [{dev_message, get}, {hb_maps, get}])],
        {lists:sum(Calls), none}
    end.
