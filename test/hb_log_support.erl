%% Support for the tests: what the native library logs, as it arrives in Erlang's logger.
-module(hb_log_support).

-export([listen/0, unlisten/1, next/1, records_up_to/1]).

%% The handler of the tests.
-export([log/2]).

%% Records are collected from now on, with what unlisten/1 needs. The terminal gets none of them.
listen() ->
    #{level := Primary} = logger:get_primary_config(),
    %% The test's process changes from test to test.
    Collector = spawn_link(fun() -> collect([]) end),
    true = register(?MODULE, Collector),
    ok = logger:set_primary_config(level, all),
    %% Only this handler, not the terminal, gets the records.
    Quiet = fun
        (#{meta := #{library := hb_wasm64}}, _) -> stop;
        (#{meta := #{domain := [otp | _]}}, _) -> stop;
        (_, _) -> ignore
    end,
    _ = logger:add_handler_filter(default, ?MODULE, {Quiet, none}),
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => all}),
    {ok, _} = hb_wasm64:start(hb_support:guest("numbers")),
    {Primary, Collector}.

unlisten({Primary, Collector}) ->
    ok = hb_wasm64:log_level(warning),
    ok = logger:remove_handler(?MODULE),
    _ = logger:remove_handler_filter(default, ?MODULE),
    ok = logger:set_primary_config(level, Primary),
    hb_support:gone(Collector).

%% The callback of a logger handler.
log(#{level := Level, msg := Msg, meta := #{library := hb_wasm64} = Meta}, _Config) ->
    Text = case Msg of
        {string, String} -> String;
        {Format, Args} -> io_lib:format(Format, Args)
    end,
    ?MODULE ! {record, #{level => Level, meta => Meta, text => lists:flatten(Text)}},
    ok;
log(_Event, _Config) ->
    ok.

collect(Records) ->
    receive
        {record, Record} -> collect([Record | Records]);
        {take, From} -> From ! {records, lists:reverse(Records)}, collect([])
    end.

%% The records that have come since this was asked last.
records() ->
    ?MODULE ! {take, self()},
    receive {records, Records} -> Records end.

%% The next record that begins like this.
next(Prefix) -> lists:last(records_up_to(Prefix)).

%% All records up to one that begins like this.
records_up_to(Prefix) ->
    IsOther = fun(#{text := Text}) -> not lists:prefix(Prefix, Text) end,
    UpTo = fun UpTo(_, 0) -> error({no_record, Prefix});
               UpTo(Before, N) ->
                   case lists:splitwith(IsOther, records()) of
                       {Others, [Record | _]} -> Before ++ Others ++ [Record];
                       {Others, []} -> timer:sleep(20), UpTo(Before ++ Others, N - 1)
                   end
    end,
    UpTo([], 3000).
