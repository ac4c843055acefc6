%% @doc The application: applies the settings of its environment, and starts the supervisor.
%%
%% <table>
%% <tr><th>key</th><th>default</th><th>value</th></tr>
%% <tr><td>`log_level'</td><td>`warning'</td><td>`off', `error', `warning', `info' or `debug'; {@link hb_wasm64:log_level/1}
%%     changes it</td></tr>
%% <tr><td>`time_slice'</td><td>1000</td><td>microseconds, from 100 to 100,000; {@link hb_wasm64:time_slice/1} changes
%%     it</td></tr>
%% <tr><td>`memory'</td><td>17,179,869,184</td><td>bytes that the memories of an instance may have together, from 0 to the
%%     default. With less than the default the heap of exceptions counts, too</td></tr>
%% <tr><td>`table'</td><td>10,000,000</td><td>elements that the tables of an instance may have together, from 0 to the
%%     default</td></tr>
%% <tr><td>`image'</td><td>268,435,456</td><td>bytes that an image may have, from 0 to the default</td></tr>
%% <tr><td>`cached_images'</td><td>256</td><td>compiled images that are kept for those who ask again, from 1 to
%%     1,000,000</td></tr>
%% <tr><td>`cached_bytes'</td><td>536,870,912</td><td>bytes of memory that they may take together, from 0 to 1 TiB; the
%%     newest is kept in any case</td></tr>
%% <tr><td>`keep_moved'</td><td>60000</td><td>milliseconds for which this node keeps an instance that was moved to it, after
%%     the process for which it is kept has ended; see {@link hb_wasm64:migrate/3}</td></tr>
%% <tr><td>`disk_cache', `disk_cache_bytes', `code_key'</td><td></td><td>see {@link hb_wasm64_disk}</td></tr>
%% </table>
%% The defaults of `memory', `table' and `image' are limits of every node: growth beyond is refused, as the guest sees, and
%% so are larger images. A lower limit of one node changes no result: what exceeds it ends the call, or the start, with
%% `{limit, memory}', `{limit, table}' or `{limit, image}'. It holds for instances that are started later.
%%
%% A value out of these ranges is refused: the application does not start, with the reason `{invalid_option, Key, Value}'.
%%
%% The library does not wait for its application, so that no process of a node can come to wait for the application
%% controller by using it. Where the application is not running, the first start of an instance has it started by another
%% process; until then instances work, and records of the library are kept for the logger.
-module(hb_wasm64_app).

-behaviour(application).

-export([start/2, stop/1]).
-export([ensure_started/0, keep_moved/0, set_level/1, set_time_slice/1]).
-export_type([level/0]).

-include_lib("kernel/include/logger.hrl").

-type level() :: off | error | warning | info | debug.

%% Milliseconds until the application may be tried again where it could not be started.
-define(AGAIN, 60_000).
%% Milliseconds that the first instance waits for the application to be loaded.
-define(LOAD_TIMEOUT, 1_000).
%% The longest that a receive can wait.
-define(MAX_TIMEOUT, ((1 bsl 32) - 1)).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Arguments) ->
    case refused_settings(report) of
        [] -> hb_wasm64_sup:start_link();
        [{Key, Value} | _] -> {error, {invalid_option, Key, Value}}
    end.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.

%% Makes the settings hold that can.
refused_settings(Report) ->
    Settings = [
        {log_level, fun level/1},
        {time_slice, fun time_slice/1},
        {memory, fun(Bytes) -> limit(memory, Bytes) end},
        {table, fun(Elements) -> limit(table, Elements) end},
        {image, fun(Bytes) -> limit(image, Bytes) end},
        {cached_images, fun(Images) -> limit(cached_images, Images) end},
        {cached_bytes, fun(Bytes) -> limit(cached_bytes, Bytes) end},
        {keep_moved, fun(Millis) -> is_integer(Millis) andalso Millis >= 0 andalso Millis =< ?MAX_TIMEOUT end}
    ],
    [{Key, Value} || {Key, Apply} <- Settings, {ok, Value} <- [application:get_env(hb_wasm64, Key)], not Apply(Value)]
        ++ hb_wasm64_disk:apply_settings(Report).

level(Level) ->
    lists:member(Level, [off, error, warning, info, debug]) andalso hb_wasm64_nif:log_level(Level) =:= ok.

time_slice(Microseconds) ->
    is_integer(Microseconds) andalso Microseconds > 0 andalso Microseconds < (1 bsl 64) andalso
        hb_wasm64_nif:time_slice(Microseconds) =:= ok.

limit(Limit, Value) ->
    is_integer(Value) andalso Value >= 0 andalso Value < (1 bsl 64) andalso hb_wasm64_nif:set_limit(Limit, Value) =:= ok.

%% @doc Has the application started where it is not running. Does not wait for that; cheap where it is running. Its
%% environment holds at once; a limit there that is none is an error, as instances must not have more than the operator
%% wants. What else is wrong there is reported as the application starts.
-spec ensure_started() -> ok | {error, {invalid_option, Key :: atom(), Value :: term()}}.
ensure_started() ->
    case whereis(hb_wasm64_sup) of
        undefined -> start_soon();
        _Supervisor -> ok
    end.

start_soon() ->
    ok = load(),
    Refused = refused_settings(quiet),
    _ = spawn(fun() ->
        %% It does not end with the application that the caller belongs to.
        true = group_leader(whereis(init), self()),
        try register(hb_wasm64_starter, self()) of
            true -> start_now()
        catch
            %% Another process is starting it.
            error:badarg -> ok
        end
    end),
    case [Setting || {Key, _} = Setting <- Refused, lists:member(Key, [memory, table, image])] of
        [] -> ok;
        [{Key, Value} | _] -> {error, {invalid_option, Key, Value}}
    end.

%% What the configuration of the release says is there once the application is loaded. Where only the modules are, there is no
%% application; and a process that the application controller waits for must not wait for that.
load() ->
    case application:get_key(hb_wasm64, vsn) of
        {ok, _} ->
            ok;
        undefined ->
            {_, Monitor} = spawn_monitor(fun() -> application:load(hb_wasm64) end),
            receive
                {'DOWN', Monitor, process, _, _} -> ok
            after ?LOAD_TIMEOUT ->
                true = demonitor(Monitor, [flush]),
                ok
            end
    end.

start_now() ->
    case application:ensure_all_started(hb_wasm64) of
        {ok, _} ->
            ok;
        {error, Reason} ->
            ?LOG_ERROR("the application hb_wasm64 does not start: ~tp", [Reason], #{library => hb_wasm64}),
            %% Each start of an instance asks for the application. As long as this process has its name, none tries again.
            timer:sleep(?AGAIN)
    end.

%% @doc Milliseconds.
-spec keep_moved() -> timeout().
keep_moved() ->
    application:get_env(hb_wasm64, keep_moved, 60_000).

%% @doc Sets the level from which on the library's records go to the logger, `false' where it is none.
-spec set_level(level()) -> boolean().
set_level(Level) ->
    level(Level) andalso set(log_level, Level).

%% @doc Sets the length of a time slice in microseconds, `false' where it is too short, too long or no number.
-spec set_time_slice(pos_integer()) -> boolean().
set_time_slice(Microseconds) ->
    time_slice(Microseconds) andalso set(time_slice, Microseconds).

%% What is set before the application is loaded is not to be replaced by the defaults when it is.
set(Key, Value) ->
    application:set_env(hb_wasm64, Key, Value, [{persistent, true}, {timeout, infinity}]) =:= ok.
