%% What the sources have to keep to, so that whoever has to take them over finds
%% rooms with walls.
-module(sources_tests).

-include_lib("eunit/include/eunit.hrl").

-define(LINES, 500).

%% Cargo keeps crates apart; inside of a crate nobody does but this: no top
%% module imports one that imports it back, by itself or through others.
modules_of_a_crate_import_each_other_in_no_ring_test_() ->
    [{Crate, fun() -> ?assertEqual([], rings(imports(Crate))) end} || Crate <- crates()].

a_ring_is_found_test() ->
    ?assertEqual([["a", "b", "c", "a"]], [Ring || {Ring, _} <- rings([
        {"a", "b", "a.rs:1"}, {"b", "c", "b.rs:1"}, {"c", "a", "c.rs:1"}, {"d", "a", "d.rs:1"}, {"c", "e", "c.rs:2"}
    ])]),
    ?assertEqual([], rings([{"a", "b", "a.rs:1"}, {"a", "c", "a.rs:2"}, {"b", "c", "b.rs:1"}])).

imports_are_read_in_all_their_forms_test() ->
    Text = [
        "//! See crate::doc.", "use crate::one::{self, Thing};", "use crate::{two, three::Other};", "use crate::{", "    four::X,",
        "    Five,", "};", "pub(crate) use crate::six::*;", "fn f() -> crate::seven::T { crate::eight() }", "// crate::comment",
        "use other_crate::nine;", "#[cfg(test)]", "use crate::ten;", "#[cfg(test)]", "mod tests {", "    use crate::eleven;", "}"
    ],
    ?assertEqual(
        [{"one", 2}, {"two", 3}, {"three", 3}, {"four", 4}, {"Five", 4}, {"six", 8}, {"seven", 9}, {"eight", 9}],
        names(Text)
    ).

files_are_short_test() ->
    Files = files(["erl_src/**/*.erl", "native/*/src/**/*.rs"] ++ [Dir ++ "/**/*.erl" || Dir <- ["scripts", "bench", "demo", "parity"]]),
    Lengths = [{File, length(code(lines(File)))} || File <- Files, not is_test(File)],
    ?assertEqual([], [Long || {_, Lines} = Long <- Lengths, Lines > ?LINES]).

%% The rings of {From, To, Place}, each with the places of its imports. Of
%% modules that are bound to each other in several ways the shortest ring.
rings(Imports) ->
    Graph = digraph:new(),
    _ = [digraph:add_vertex(Graph, Name) || {From, To, _} <- Imports, Name <- [From, To]],
    _ = [digraph:add_edge(Graph, From, To) || {From, To, _} <- Imports],
    Rings = [
        begin
            Ring = digraph:get_short_cycle(Graph, lists:min(Component)),
            Steps = lists:zip(lists:droplast(Ring), tl(Ring)),
            {Ring, [Place || {From, To, Place} <- Imports, lists:member({From, To}, Steps)]}
        end
     || Component <- digraph_utils:cyclic_strong_components(Graph)
    ],
    true = digraph:delete(Graph),
    Rings.

crates() -> [filename:basename(filename:dirname(File)) || File <- files(["native/*/Cargo.toml"])].

%% Which top module imports which: {From, To, Place}. A name of the crate itself stands for the module that it is from.
imports(Crate) ->
    Src = filename:join(["native", Crate, "src"]),
    Root = code(lines(filename:join(Src, "lib.rs"))),
    Modules = lists:usort([Name || File <- files([Src ++ "/*.rs", Src ++ "/*/mod.rs"]), Name <- [top(Src, File)], Name =/= "lib"]),
    Exported = exported(lists:flatten(lists:join(" ", Root))),
    lists:usort([
        {From, To, File ++ ":" ++ integer_to_list(Line)}
     || File <- files([Src ++ "/**/*.rs"]), not is_test(File),
        From <- [top(Src, File)], From =/= "lib",
        {Name, Line} <- names(lines(File)),
        To <- [maps:get(Name, Exported, Name)],
        To =/= From, lists:member(To, Modules)
    ]).

top(Src, File) ->
    [First | _] = filename:split(string:prefix(File, Src ++ "/")),
    filename:rootname(First).

%% By name, the module from which the crate exports it.
exported(Root) ->
    {ok, Use} = re:compile("pub(?:\\(crate\\))? use (?:crate::|self::)?([a-z_0-9]+)::([^;]*);"),
    case re:run(Root, Use, [global, {capture, [1, 2], list}]) of
        {match, Uses} ->
            maps:from_list([
                {Name, Module}
             || [Module, What] <- Uses, {match, Names} <- [re:run(What, "[A-Za-z_0-9]+", [global, {capture, [0], list}])],
                [Name] <- Names
            ]);
        nomatch ->
            #{}
    end.

%% The names of the crate that lines of Rust refer to, with the numbers of these lines.
names(Lines) ->
    Numbered = lists:enumerate(code(Lines)),
    lists:append([names_at(Number, Line, Numbered) || {Number, Line} <- Numbered]).

names_at(Number, Line, Numbered) ->
    case re:run(Line, "\\bcrate::([A-Za-z_0-9]+|\\{)", [global, {capture, [1], list}]) of
        {match, Found} ->
            lists:append([
                case Name of
                    "{" -> [{Inner, Number} || Inner <- group(Number, Numbered)];
                    _ -> [{Name, Number}]
                end
             || [Name] <- Found
            ]);
        nomatch ->
            []
    end.

%% The first names of the members of `crate::{...}', which begins in this line.
group(Number, Numbered) ->
    Text = lists:append([Line || {N, Line} <- Numbered, N >= Number]),
    [_, Members] = string:split(Text, "crate::{"),
    members(Members, 1, "", []).

members([$} | _], 1, Member, Before) -> [Name || Name <- lists:reverse([first(Member) | Before]), Name =/= ""];
members([$, | Rest], 1, Member, Before) -> members(Rest, 1, "", [first(Member) | Before]);
members([${ | Rest], Depth, Member, Before) -> members(Rest, Depth + 1, Member, Before);
members([$} | Rest], Depth, Member, Before) -> members(Rest, Depth - 1, Member, Before);
members([Char | Rest], 1, Member, Before) -> members(Rest, 1, [Char | Member], Before);
members([_ | Rest], Depth, Member, Before) -> members(Rest, Depth, Member, Before).

first(Reversed) ->
    case re:run(lists:reverse(Reversed), "^\\s*([A-Za-z_0-9]+)", [{capture, [1], list}]) of
        {match, [Name]} -> Name;
        nomatch -> ""
    end.

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
