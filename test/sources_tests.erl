%% What the sources have to keep to.
-module(sources_tests).

-include_lib("eunit/include/eunit.hrl").

-define(LINES, 500).

files_are_short_test() ->
    Files = files(["erl_src/**/*.erl", "native/*/src/**/*.rs"] ++ [Dir ++ "/**/*.erl" || Dir <- ["scripts", "bench", "demo", "parity"]]),
    Lengths = [{File, length(code(lines(File)))} || File <- Files, not is_test(File)],
    ?assertEqual([], [Long || {_, Lines} = Long <- Lengths, Lines > ?LINES]).

%% Without what is for tests only, and with the comments empty.
code(["#[cfg(test)]" ++ _, Next | Lines]) ->
    case lists:suffix(";", Next) of
        true -> code(Lines);
        false -> []
    end;
code([Line | Lines]) ->
    [hd(string:split(Line, "//")) | code(Lines)];
code([]) ->
    [].

is_test(File) -> lists:any(fun(Part) -> lists:member(Part, ["tests", "tests.rs", "test"]) end, filename:split(File)).

lines(File) ->
    {ok, Text} = file:read_file(filename:join(hb_support:root(), File)),
    string:split(unicode:characters_to_list(Text), "\n", all).

files(Patterns) -> lists:append([filelib:wildcard(Pattern, hb_support:root()) || Pattern <- Patterns]).
