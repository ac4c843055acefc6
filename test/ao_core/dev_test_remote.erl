%% @doc An import device that answers from another Erlang process, which works in the guest's memory while the guest
%% waits. The functions fit the imports of `test/guests/imports.wat'.
-module(dev_test_remote).

-export([add/3, callback/3, log/3]).

-spec add(map(), map(), map()) -> {ok, map()}.
add(Base, Request, Opts) ->
    answer(Base, Request, Opts, fun(_Instance, [A, B], State) -> {State, [A + B]} end).

%% @doc Calls back into the waiting guest: `nest' with the same number.
-spec callback(map(), map(), map()) -> {ok, map()}.
callback(Base, Request, Opts) ->
    answer(Base, Request, Opts, fun(Instance, Args, State) ->
        {ok, Results} = hb_beamr:call(Instance, "nest", Args),
        {State, Results}
    end).

%% @doc Keeps the text at an address under `log' of the state and puts it there again in capitals.
-spec log(map(), map(), map()) -> {ok, map()}.
log(Base, Request, Opts) ->
    answer(Base, Request, Opts, fun(Instance, [Pointer, Length], State) ->
        {ok, Text} = hb_beamr_io:read(Instance, Pointer, Length),
        ok = hb_beamr_io:write(Instance, Pointer, string:uppercase(Text)),
        Before = hb_ao:get(<<"log">>, State, [], Opts#{hashpath => ignore}),
        {hb_ao:set(State, <<"log">>, [Text | Before], Opts), []}
    end).

answer(Base, Request, RawOpts, Work) ->
    Opts = RawOpts#{hashpath => ignore},
    State = hb_ao:get(<<"state">>, Base, Opts),
    Path = <<(dev_stack:prefix(State, Request, Opts))/binary, "/instance">>,
    Instance = hb_private:get(Path, State, Opts),
    Args = hb_ao:get(<<"args">>, Request, Opts),
    {NewState, Results} = elsewhere(fun() -> Work(Instance, Args, State) end),
    {ok, #{<<"state">> => NewState, <<"results">> => Results}}.

%% The answer comes, or the end of the process that was to give it.
elsewhere(Work) ->
    Asker = self(),
    Tag = make_ref(),
    {Pid, Monitor} = spawn_monitor(fun() -> Asker ! {Tag, Work()} end),
    receive
        {Tag, Answer} ->
            true = demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, Pid, Reason} ->
            error({remote_died, Reason})
    end.
