%% The examples of README.md and of pages under docs, run as they stand there.
-module(readme_tests).

-include_lib("eunit/include/eunit.hrl").

every_example_runs_test_() ->
    {ok, Cwd} = file:get_cwd(),
    Root = hb_support:root(),
    {setup, fun() -> ok = file:set_cwd(Root) end, fun(_) -> ok = file:set_cwd(Cwd) end, [
        {lists:sublist(Example, 40), {timeout, 300, fun() -> run(Example) end}}
     || File <- ["README.md", "docs/meters.md", "docs/wasi.md"], Example <- examples(filename:join(Root, File))
    ]}.

examples(File) ->
    {ok, Text} = file:read_file(File),
    {match, Examples} = re:run(Text, "```erlang\n(.*?)```", [global, dotall, {capture, [1], list}]),
    lists:append(Examples).

%% Expressions run; a term of rebar.config has to be one.
run("{deps" ++ _ = Term) ->
    {ok, Tokens, _} = erl_scan:string(Term),
    ?assertMatch({ok, {deps, [{hb_wasm64, _}]}}, erl_parse:parse_term(Tokens));
run(Example) ->
    {ok, Tokens, _} = erl_scan:string(Example),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    ?assertMatch({value, _, _}, erl_eval:exprs(Expressions, [])).
