%% What the native library logs arrives in Erlang's logger.
-module(hb_wasm64_log_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_log_support, [next/1, records_up_to/1]).

log_test_() ->
    {foreach, fun hb_log_support:listen/0, fun hb_log_support:unlisten/1, [
        fun records_of_the_library_reach_the_logger/1,
        fun nothing_below_the_level_arrives/1,
        fun nothing_arrives_when_it_is_off/1,
        fun the_level_can_be_changed_at_any_time/1,
        fun bad_levels_are_refused/1,
        fun an_image_with_damaged_names_writes_no_warning/1,
        fun a_record_outlives_the_process_that_passes_records_on/1
    ]}.

records_of_the_library_reach_the_logger(_) ->
    {timeout, 300, fun() ->
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
    {timeout, 300, fun() -> ?assertMatch([#{text := "refused" ++ _}], hidden_and_shown(warning, info)) end}.

nothing_arrives_when_it_is_off(_) ->
    {timeout, 300, fun() -> ?assertMatch([#{text := "refused" ++ _}], hidden_and_shown(off, info)) end}.

the_level_can_be_changed_at_any_time(_) ->
    {timeout, 300, fun() ->
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
    {timeout, 300, fun() ->
        ok = hb_wasm64:log_level(info),
        [?assertMatch({error, _}, hb_wasm64:log_level(Level)) || Level <- [foo, 1, "info", <<"info">>, undefined]],
        {ok, _} = hb_wasm64:start(fresh_image()),
        ?assertMatch(#{level := info}, next("compiled an image"))
    end}.

an_image_with_damaged_names_writes_no_warning(_) ->
    {timeout, 300, fun() ->
        ok = hb_wasm64:log_level(warning),
        %% A section of names that ends in the middle of one.
        Damaged = <<(hb_support:guest("numbers"))/binary, 0, 9, 4, "name", 1, 200, 1, 5>>,
        {ok, _} = hb_wasm64:start(hb_support:fresh(Damaged)),
        ok = hb_wasm64:log_level(info),
        {error, _} = hb_wasm64:start(<<"no image, ", (rand:bytes(8))/binary>>),
        ?assertMatch([#{text := "refused" ++ _}], records_up_to("refused an image of 18 bytes"))
    end}.

a_record_outlives_the_process_that_passes_records_on(_) ->
    {timeout, 300, fun() ->
        ok = hb_wasm64:log_level(info),
        true = erlang:suspend_process(whereis(hb_wasm64_log)),
        {ok, _} = hb_wasm64:start(fresh_image()),
        hb_support:gone(whereis(hb_wasm64_log)),
        ?assertMatch(#{level := info}, next("compiled an image"))
    end}.

%% Support

fresh_image() -> hb_support:fresh(hb_support:guest("crunch")).
