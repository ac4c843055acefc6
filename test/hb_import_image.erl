%% Images that do nothing but call what they import. An import is `{Module, Func, Type, _}', its type in the letters of
%% `describe'.
-module(hb_import_image).

-export([image/1, forwarding/2, forwarding/3, name/1]).

%% The export that calls an import.
name({Module, Func, _, _}) -> Module ++ "." ++ Func.

%% An image that exports, under the name of each import, a function that calls it
%% with 42 for every argument and returns its results.
image(Rows) ->
    Callers = [{"", Results} || {_, Results} <- signatures(Rows)],
    image(Rows, Callers, [], fun(Param, _) -> constant(Param) end).

%% An image that exports, under the name of each import, a function that passes
%% its arguments on; and a memory of four pages, or as many as are wanted, with so
%% many bits of address, as `memory'.
forwarding(Rows, Bits) -> forwarding(Rows, Bits, 4).

forwarding(Rows, Bits, Pages) ->
    Flags = case Bits of 32 -> 0; 64 -> 4 end,
    image(Rows, signatures(Rows), [Flags, leb(Pages)], fun(_, Index) -> [16#20, leb(Index)] end).

image(Rows, Callers, Memory, Argument) ->
    Count = length(Rows),
    Numbered = lists:enumerate(0, Rows),
    Types = [[16#60, types(Params), types(Results)] || {Params, Results} <- signatures(Rows) ++ Callers],
    Imports = [[text(Module), text(Func), 0, leb(N)] || {N, {Module, Func, _, _}} <- Numbered],
    Exports = [[text(name(Row)), 0, leb(Count + N)] || {N, Row} <- Numbered],
    Bodies = [
        sized([0, [Argument(Param, Index) || {Index, Param} <- lists:enumerate(0, Params)], 16#10, leb(N), 16#0b])
     || {N, {Params, _}} <- lists:enumerate(0, signatures(Rows))
    ],
    iolist_to_binary([
        <<0, "asm", 1:32/little>>,
        section(1, vector(Types)),
        section(2, vector(Imports)),
        section(3, vector([leb(Count + N) || {N, _} <- Numbered])),
        [section(5, vector([Memory])) || Memory =/= []],
        section(7, vector(Exports ++ [[text("memory"), 2, 0] || Memory =/= []])),
        section(10, vector(Bodies))
    ]).

signatures(Rows) -> [signature(Type) || {_, _, Type, _} <- Rows].

signature("(" ++ Rest) ->
    [Params, Results] = string:split(Rest, ")"),
    {Params, Results}.

types(Letters) -> vector([maps:get(Letter, #{$i => 16#7f, $I => 16#7e, $F => 16#7c}) || Letter <- Letters]).

constant($i) -> [16#41, 42];
constant($I) -> [16#42, 42].

text(Text) -> sized(Text).
vector(Items) -> [leb(length(Items)) | Items].
section(Id, Content) -> [Id, sized(Content)].
sized(Content) -> [leb(iolist_size(Content)), Content].

leb(N) when N < 128 -> [N];
leb(N) -> [N band 127 bor 128 | leb(N bsr 7)].
