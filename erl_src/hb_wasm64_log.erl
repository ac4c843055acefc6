%% @doc Passes the records of the native library on to `logger', with `library => hb_wasm64' in their metadata.
%%
%% One registered process, started with the library and again with any instance if it is gone. It is no part of a
%% supervision tree, so that the library works the same in a node that does not start it as an application.
-module(hb_wasm64_log).

-export([ensure_started/0, set_level/1]).
-export_type([level/0]).

-type level() :: off | error | warning | info | debug.

%% @doc Starts the process if it does not run. Cheap where it does.
-spec ensure_started() -> ok.
ensure_started() ->
    case whereis(?MODULE) of
        undefined -> start();
        _Pid -> ok
    end.

%% @doc Sets the level from which on records are passed on; `warning' at first.
-spec set_level(level()) -> ok.
set_level(Level) ->
    ok = hb_wasm64_nif:log_level(Level),
    application:set_env(hb_wasm64, log_level, Level).

start() ->
    _ = spawn(fun() ->
        try register(?MODULE, self()) of
            true -> attach()
        catch
            %% Another process was faster.
            error:badarg -> ok
        end
    end),
    ok.

attach() ->
    %% While the library is being loaded this call waits for the end of that.
    ok = hb_wasm64_nif:log_to(self(), application:get_env(hb_wasm64, log_level, warning)),
    loop().

loop() ->
    receive
        {log, Level, Target, Text} ->
            logger:log(Level, "~ts", [Text], #{library => hb_wasm64, target => Target}),
            loop();
        _Stray ->
            loop()
    end.
