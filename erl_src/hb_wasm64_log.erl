%% @doc Passes the records of the native library on to `logger', with `library => hb_wasm64' in their metadata.
%%
%% The library keeps its records until this process runs, and sends the next one when the one before has been passed on.
%% So a record outlives this process, and no more of them wait in its mailbox than the logger can take.
-module(hb_wasm64_log).

-behaviour(gen_server).

-export([start_link/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, _} = Started -> Started;
        ignore -> {error, ignore};
        {error, _} = Error -> Error
    end.

-spec init([]) -> {ok, none}.
init([]) ->
    ok = hb_wasm64_nif:log_to(self()),
    {ok, none}.

-spec handle_call(term(), gen_server:from(), none) -> {noreply, none}.
handle_call(_Stray, _From, none) ->
    {noreply, none}.

-spec handle_cast(term(), none) -> {noreply, none}.
handle_cast(_Stray, none) ->
    {noreply, none}.

-spec handle_info(term(), none) -> {noreply, none}.
handle_info({log, Number, Level, Target, Text}, none) ->
    logger:log(Level, "~ts", [Text], #{library => hb_wasm64, target => Target}),
    ok = hb_wasm64_nif:logged(Number),
    {noreply, none};
handle_info(_Stray, none) ->
    {noreply, none}.
