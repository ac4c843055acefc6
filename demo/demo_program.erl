%% @doc A program of WASI, run to its end: what it prints, its status, and what it took.
-module(demo_program).

-export([is_program/1, run/2]).

%% @doc Whether an image is one: it exports `_start', and imports of WASI.
-spec is_program(binary()) -> boolean().
is_program(Image) ->
    case hb_wasm64:start(Image) of
        {ok, H} ->
            {ok, #{exports := Exports}} = hb_wasm64:describe(H),
            IsProgram = hb_wasm64:host(H) =:= {ok, wasi} andalso lists:keymember("_start", 2, Exports),
            ok = hb_wasm64:stop(H),
            IsProgram;
        {error, _} ->
            false
    end.

%% @doc Runs a program with these arguments, separated by spaces: its status.
-spec run(binary(), string()) -> non_neg_integer().
run(Image, Arguments) ->
    Args = [unicode:characters_to_binary(Argument) || Argument <- string:lexemes(Arguments, " ")],
    Now = erlang:system_time(millisecond),
    {ok, H} = hb_wasm64:start(Image, #{args => Args, seed => <<"demo">>, time => Now}),
    Options = #{time => Now, usage => true, timeout => 60_000},
    {Micros, Result} = timer:tc(fun() -> hb_wasm64:call(H, "_start", [], Options) end),
    {ok, #{stdout := Output, stderr := Errors}} = hb_wasm64:output(H),
    io:format("~ts", [printable(Output)]),
    io:format(standard_error, "~ts", [printable(Errors)]),
    {Status, Usage} = ended(Result),
    io:format("~n(status ~b, ~.1f ms, ~b units of fuel)~n", [Status, Micros / 1000, maps:get(fuel_used, Usage, 0)]),
    Status.

ended({ok, [], Usage}) -> {0, Usage};
ended({error, {exit, Status}, Usage}) -> {Status, Usage};
ended({error, {trap, #{message := Text}}, Usage}) ->
    io:format(standard_error, "trap: ~ts~n", [Text]),
    {134, Usage};
ended({error, Reason, Usage}) ->
    io:format(standard_error, "~0tp~n", [Reason]),
    {1, Usage}.

%% A program may print what is no text.
printable(Bytes) ->
    case unicode:characters_to_list(Bytes) of
        Text when is_list(Text) -> Text;
        _ -> binary_to_list(Bytes)
    end.
