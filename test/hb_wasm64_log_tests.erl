%% What the native library logs arrives in Erlang's logger.
-module(hb_wasm64_log_tests).

-include_lib("eunit/include/eunit.hrl").

%% The handler of the tests.
-export([log/2]).

log_test_() ->
    {foreach, fun listen/0, fun unlisten/1, [
        fun records_of_the_library_reach_the_logger/1,
        fun nothing_below_the_level_arrives/1,
        fun nothing_arrives_when_it_is_off/1,
        fun the_level_can_be_changed_at_any_time/1,
        fun bad_levels_are_refused/1,
        fun an_image_with_damaged_names_writes_no_warning/1,
        fun a_record_outlives_the_process_that_passes_records_on/1
    ]}.

records_of_the_library_reach_the_logger(_) ->
    {timeout, 60, fun() ->
        ok = hb_wasm64:log_level(info),
        Image = fresh_image(),
        {ok, _} = hb_wasm64:start(Image),
        Record = next("compiled an image of " ++ integer_to_list(byte_size(Image)) ++ " bytes"),
        #{level := Level, meta := Meta, text := Text} = Record,
        ?assertEqual(info, Level),
        ?assertMatch(#{library := hb_wasm64, time := _, pid := _}, Meta),
        ?assertMatch({match, _}, re:run(Text, "compiled an image of [0-9]+ bytes in [0-9]+ ms")),
        {error, _} = hb_wasm64:start(<<"no image, ", (rand:bytes(8))/binary>>),
        ?assertMatch(#{level := info}, next("refused an image of 18 bytes"))
    end}.

nothing_below_the_level_arrives(_) ->
    {timeout, 60, fun() -> ?assertMatch([#{text := "refused" ++ _}], hidden_and_shown(warning, info)) end}.

nothing_arrives_when_it_is_off(_) ->
    {timeout, 60, fun() -> ?assertMatch([#{text := "refused" ++ _}], hidden_and_shown(off, info)) end}.

the_level_can_be_changed_at_any_time(_) ->
    {timeout, 60, fun() ->
        [begin
             %% At the level debug there are others as well.
             Records = [R || #{level := info} = R <- hidden_and_shown(Hidden, Shown)],
             ?assertMatch({Hidden, Shown, [#{text := "refused" ++ _}]}, {Hidden, Shown, Records})
         end || {Hidden, Shown} <- [{error, info}, {warning, debug}, {off, info}]]
    end}.

%% What arrives when one image is compiled while the first level holds, then
%% another refused while the second does. What the first one has to say would
%% come first.
hidden_and_shown(Hidden, Shown) ->
    ok = hb_wasm64:log_level(Hidden),
    {ok, _} = hb_wasm64:start(fresh_image()),
    ok = hb_wasm64:log_level(Shown),
    {error, _} = hb_wasm64:start(<<"no image, ", (rand:bytes(8))/binary>>),
    records_up_to("refused an image of 18 bytes").

bad_levels_are_refused(_) ->
    {timeout, 60, fun() ->
        ok = hb_wasm64:log_level(info),
        [?assertMatch({error, _}, hb_wasm64:log_level(Level)) || Level <- [foo, 1, "info", <<"info">>, undefined]],
        {ok, _} = hb_wasm64:start(fresh_image()),
        ?assertMatch(#{level := info}, next("compiled an image"))
    end}.

an_image_with_damaged_names_writes_no_warning(_) ->
    {timeout, 60, fun() ->
        ok = hb_wasm64:log_level(warning),
        %% A section of names that ends in the middle of one.
        Damaged = <<(hb_support:guest("numbers"))/binary, 0, 9, 4, "name", 1, 200, 1, 5>>,
        {ok, _} = hb_wasm64:start(hb_support:fresh(Damaged)),
        ok = hb_wasm64:log_level(info),
        {error, _} = hb_wasm64:start(<<"no image, ", (rand:bytes(8))/binary>>),
        ?assertMatch([#{text := "refused" ++ _}], records_up_to("refused an image of 18 bytes"))
    end}.

a_record_outlives_the_process_that_passes_records_on(_) ->
    {timeout, 60, fun() ->
        ok = hb_wasm64:log_level(info),
        true = erlang:suspend_process(whereis(hb_wasm64_log)),
        {ok, _} = hb_wasm64:start(fresh_image()),
        hb_support:gone(whereis(hb_wasm64_log)),
        ?assertMatch(#{level := info}, next("compiled an image"))
    end}.

%% Support

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

%% The records that have come within so many milliseconds.
records(Millis) ->
    timer:sleep(Millis),
    ?MODULE ! {take, self()},
    receive {records, Records} -> Records end.

%% The next record that begins like this.
next(Prefix) -> lists:last(records_up_to(Prefix)).

%% All records up to one that begins like this.
records_up_to(Prefix) ->
    IsOther = fun(#{text := Text}) -> not lists:prefix(Prefix, Text) end,
    UpTo = fun UpTo(_, 0) -> error({no_record, Prefix});
               UpTo(Before, N) ->
                   case lists:splitwith(IsOther, records(20)) of
                       {Others, [Record | _]} -> Before ++ Others ++ [Record];
                       {Others, []} -> UpTo(Before ++ Others, N - 1)
                   end
    end,
    UpTo([], 500).

fresh_image() -> hb_support:fresh(hb_support:guest("crunch")).
