%% @doc JSON as JavaScript reads and writes it, to the byte: what a process of AO sees of a message, and what others see of its answer,
%% has passed through `JSON.parse' and `JSON.stringify'.
%%
%% Objects keep the order of their keys, apart from keys that are array indices, which come first; of a key that is there twice the
%% last value counts. Numbers are doubles. A string is UTF-8; half a surrogate pair, which only an escape can denote, is in it as the
%% three bytes that UTF-8 would have for it.
-module(dev_genesis_wasm64_json).

-export([decode/1, encode/1, text/1, find/2]).
-export_type([json/0]).

-type json() :: null | boolean() | number() | infinity | neg_infinity | binary() | [json()] | object() | #{binary() => json()}.
%% Of a map the keys are written in their order.
-type object() :: {[{Key :: binary(), json()}]}.

%% Integers up to here are doubles.
-define(EXACT, 9007199254740992).
%% The greatest array index.
-define(MAX_INDEX, 4294967294).

%% @doc The value of a text, as `JSON.parse' has it.
-spec decode(binary()) -> {ok, json()} | error.
decode(Text) ->
    try value(skip(text(Text))) of
        {Value, Rest} ->
            case skip(Rest) of
                <<>> -> {ok, Value};
                _ -> error
            end
    catch
        throw:not_json -> error
    end.

%% @doc A string of bytes as JavaScript decodes it: what is not UTF-8 is replaced by U+FFFD.
-spec text(binary()) -> binary().
text(Bytes) ->
    case unicode:characters_to_binary(Bytes) of
        Text when is_binary(Text) -> Text;
        {_, Valid, Rest} -> iolist_to_binary([Valid | replaced(Rest)])
    end.

%% One replacement for the longest start of a character, or for a byte.
replaced(<<>>) ->
    [];
replaced(Bytes) ->
    Size = invalid(Bytes),
    <<_:Size/binary, Rest/binary>> = Bytes,
    case unicode:characters_to_binary(Rest) of
        Text when is_binary(Text) -> [<<16#fffd/utf8>>, Text];
        {_, Valid, Left} -> [<<16#fffd/utf8>>, Valid | replaced(Left)]
    end.

invalid(<<A, B, C, _/binary>>) when A =:= 16#f0, B >= 16#90, B < 16#c0, C >= 16#80, C < 16#c0 -> 3;
invalid(<<A, B, C, _/binary>>) when A > 16#f0, A < 16#f4, B >= 16#80, B < 16#c0, C >= 16#80, C < 16#c0 -> 3;
invalid(<<A, B, C, _/binary>>) when A =:= 16#f4, B >= 16#80, B < 16#90, C >= 16#80, C < 16#c0 -> 3;
invalid(<<A, B, _/binary>>) when A =:= 16#f0, B >= 16#90, B < 16#c0 -> 2;
invalid(<<A, B, _/binary>>) when A > 16#f0, A < 16#f4, B >= 16#80, B < 16#c0 -> 2;
invalid(<<A, B, _/binary>>) when A =:= 16#f4, B >= 16#80, B < 16#90 -> 2;
invalid(<<A, B, _/binary>>) when A =:= 16#e0, B >= 16#a0, B < 16#c0 -> 2;
invalid(<<A, B, _/binary>>) when A =:= 16#ed, B >= 16#80, B < 16#a0 -> 2;
invalid(<<A, B, _/binary>>) when A > 16#e0, A < 16#f0, A =/= 16#ed, B >= 16#80, B < 16#c0 -> 2;
invalid(_Byte) -> 1.

%% @doc The value of a key of an object; `undefined' where there is none, or no object.
-spec find(binary(), json() | undefined) -> json() | undefined.
find(Key, {Members}) -> proplists:get_value(Key, Members);
find(Key, Map) when is_map(Map) -> maps:get(Key, Map, undefined);
find(_Key, _Other) -> undefined.

skip(<<C, Rest/binary>>) when C =:= $\s; C =:= $\n; C =:= $\r; C =:= $\t -> skip(Rest);
skip(Text) -> Text.

value(<<${, Rest/binary>>) -> object(skip(Rest));
value(<<$[, Rest/binary>>) -> array(skip(Rest));
value(<<$", Rest/binary>>) -> string(Rest);
value(<<"true", Rest/binary>>) -> {true, Rest};
value(<<"false", Rest/binary>>) -> {false, Rest};
value(<<"null", Rest/binary>>) -> {null, Rest};
value(<<C, _/binary>> = Text) when C =:= $-; C >= $0, C =< $9 -> number(Text);
value(_Text) -> throw(not_json).

object(<<$}, Rest/binary>>) -> {{[]}, Rest};
object(Text) -> members(Text, []).

members(<<$", Text/binary>>, Members) ->
    {Key, Rest} = string(Text),
    case skip(Rest) of
        <<$:, After/binary>> ->
            {Value, Left} = value(skip(After)),
            More = [{Key, Value} | Members],
            case skip(Left) of
                <<$,, Next/binary>> -> members(skip(Next), More);
                <<$}, End/binary>> -> {{ordered(lists:reverse(More))}, End};
                _ -> throw(not_json)
            end;
        _ ->
            throw(not_json)
    end;
members(_Text, _Members) ->
    throw(not_json).

array(<<$], Rest/binary>>) -> {[], Rest};
array(Text) -> elements(Text, []).

elements(Text, Elements) ->
    {Value, Rest} = value(Text),
    More = [Value | Elements],
    case skip(Rest) of
        <<$,, Next/binary>> -> elements(skip(Next), More);
        <<$], End/binary>> -> {lists:reverse(More), End};
        _ -> throw(not_json)
    end.

%% The members as an object of JavaScript has them.
ordered(Members) ->
    Last = maps:from_list(Members),
    Once =
        case map_size(Last) =:= length(Members) of
            true -> Members;
            false -> [{Key, maps:get(Key, Last)} || Key <- once([Key || {Key, _} <- Members], #{})]
        end,
    case [{Index, Member} || {Key, _} = Member <- Once, Index <- index(Key)] of
        [] ->
            Once;
        Indexed ->
            [Member || {_, Member} <- lists:sort(Indexed)] ++ [Member || {Key, _} = Member <- Once, index(Key) =:= []]
    end.

once([Key | Keys], Seen) when is_map_key(Key, Seen) -> once(Keys, Seen);
once([Key | Keys], Seen) -> [Key | once(Keys, Seen#{Key => true})];
once([], _Seen) -> [].

%% Whether a key is that of an array.
index(<<"0">>) -> [0];
index(<<C, _/binary>> = Key) when C >= $1, C =< $9, byte_size(Key) =< 10 ->
    case string:to_integer(Key) of
        {Index, <<>>} when Index =< ?MAX_INDEX -> [Index];
        _ -> []
    end;
index(_Key) -> [].

string(Text) -> string(Text, Text, 0, []).

%% `Size' bytes of `From' are plain.
string(<<$", Rest/binary>>, From, Size, Parts) ->
    <<Plain:Size/binary, _/binary>> = From,
    case Parts of
        [] -> {Plain, Rest};
        _ -> {iolist_to_binary(lists:reverse([Plain | Parts])), Rest}
    end;
string(<<$\\, Escape, Rest/binary>>, From, Size, Parts) ->
    <<Plain:Size/binary, _/binary>> = From,
    {Char, Left} = escaped(Escape, Rest),
    string(Left, Left, 0, [Char, Plain | Parts]);
string(<<C, Rest/binary>>, From, Size, Parts) when C >= 32, C =/= $\\ ->
    string(Rest, From, Size + 1, Parts);
string(_Text, _From, _Size, _Parts) ->
    throw(not_json).

escaped($", Rest) -> {<<$">>, Rest};
escaped($\\, Rest) -> {<<$\\>>, Rest};
escaped($/, Rest) -> {<<$/>>, Rest};
escaped($b, Rest) -> {<<$\b>>, Rest};
escaped($f, Rest) -> {<<$\f>>, Rest};
escaped($n, Rest) -> {<<$\n>>, Rest};
escaped($r, Rest) -> {<<$\r>>, Rest};
escaped($t, Rest) -> {<<$\t>>, Rest};
escaped($u, Rest) ->
    {High, Left} = unit(Rest),
    case Left of
        <<"\\u", Next/binary>> when High >= 16#d800, High < 16#dc00 ->
            case unit(Next) of
                {Low, End} when Low >= 16#dc00, Low < 16#e000 ->
                    {<<(16#10000 + ((High - 16#d800) bsl 10) + (Low - 16#dc00))/utf8>>, End};
                _ ->
                    {half(High), Left}
            end;
        _ when High >= 16#d800, High < 16#e000 ->
            {half(High), Left};
        _ ->
            {<<High/utf8>>, Left}
    end;
escaped(_Char, _Rest) ->
    throw(not_json).

%% Half a pair in the bytes that UTF-8 would have.
half(Unit) -> <<16#ed, (16#80 bor ((Unit bsr 6) band 16#3f)), (16#80 bor (Unit band 16#3f))>>.

unit(<<Digits:4/binary, Rest/binary>>) ->
    case is_hex(Digits) of
        true -> {binary_to_integer(Digits, 16), Rest};
        false -> throw(not_json)
    end;
unit(_Text) ->
    throw(not_json).

is_hex(Digits) ->
    lists:all(
        fun(C) -> (C >= $0 andalso C =< $9) orelse (C >= $a andalso C =< $f) orelse (C >= $A andalso C =< $F) end,
        binary_to_list(Digits)
    ).

number(Text) ->
    {Sign, Digits} =
        case Text of
            <<$-, Rest/binary>> -> {<<$->>, Rest};
            _ -> {<<>>, Text}
        end,
    {Whole, AfterWhole} = whole(Digits),
    {Fraction, AfterFraction} = fraction(AfterWhole),
    {Exponent, Rest1} = exponent(AfterFraction),
    {double(Sign, Whole, Fraction, Exponent), Rest1}.

whole(<<$0, Rest/binary>>) -> {<<$0>>, Rest};
whole(Text) -> some_digits(Text).

fraction(<<$., Rest/binary>>) -> some_digits(Rest);
fraction(Text) -> {<<>>, Text}.

exponent(<<E, Sign, Rest/binary>>) when (E =:= $e orelse E =:= $E), (Sign =:= $- orelse Sign =:= $+) ->
    {Digits, Left} = some_digits(Rest),
    {<<Sign, Digits/binary>>, Left};
exponent(<<E, Rest/binary>>) when E =:= $e; E =:= $E ->
    some_digits(Rest);
exponent(Text) ->
    {<<>>, Text}.

some_digits(Text) ->
    case digits(Text, 0) of
        0 -> throw(not_json);
        Size -> {binary:part(Text, 0, Size), binary:part(Text, Size, byte_size(Text) - Size)}
    end.

digits(Text, Size) ->
    case Text of
        <<_:Size/binary, C, _/binary>> when C >= $0, C =< $9 -> digits(Text, Size + 1);
        _ -> Size
    end.

%% An integer that is exact, or the nearest double.
double(Sign, Whole, <<>>, <<>>) when byte_size(Whole) < 16 ->
    binary_to_integer(<<Sign/binary, Whole/binary>>);
double(Sign, Whole, Fraction, Exponent) ->
    Part = if Fraction =:= <<>> -> <<$0>>; true -> Fraction end,
    Power = if Exponent =:= <<>> -> <<$0>>; true -> Exponent end,
    %% What is out of range is not read by Erlang.
    try simplified(binary_to_float(<<Sign/binary, Whole/binary, $., Part/binary, $e, Power/binary>>)) catch
        error:badarg ->
            case Sign of
                <<>> -> infinity;
                _ -> neg_infinity
            end
    end.

simplified(Double) when abs(Double) < ?EXACT, trunc(Double) == Double -> trunc(Double);
simplified(Double) -> Double.

%% @doc The text of a value, as `JSON.stringify' has it.
-spec encode(json()) -> iodata().
encode(Text) when is_binary(Text) -> quoted(Text);
encode({Members}) -> object_of(Members);
encode(Map) when is_map(Map) -> object_of(lists:sort(maps:to_list(Map)));
encode([]) -> <<"[]">>;
encode(List) when is_list(List) -> [$[, lists:join($,, [encode(Value) || Value <- List]), $]];
encode(null) -> <<"null">>;
encode(true) -> <<"true">>;
encode(false) -> <<"false">>;
encode(Number) when is_integer(Number), abs(Number) =< ?EXACT -> integer_to_binary(Number);
encode(Number) when is_integer(Number) -> decimal(float(Number));
encode(Number) when is_float(Number) -> decimal(Number);
encode(Infinity) when Infinity =:= infinity; Infinity =:= neg_infinity -> <<"null">>.

object_of(Members) ->
    [${, lists:join($,, [[quoted(Key), $:, encode(Value)] || {Key, Value} <- Members]), $}].

%% A double as JavaScript writes it: the shortest digits that mean it, plain between 1e-7 and 1e21.
decimal(Double) when Double == 0 -> <<"0">>;
decimal(Double) when Double < 0 -> [$-, decimal(-Double)];
decimal(Double) ->
    {Digits, Point} = shortest(Double),
    Count = byte_size(Digits),
    if
        Point >= Count, Point =< 21 -> [Digits, binary:copy(<<$0>>, Point - Count)];
        Point > 0, Point =< 21 -> [binary:part(Digits, 0, Point), $., binary:part(Digits, Point, Count - Point)];
        Point > -6, Point =< 0 -> [<<"0.">>, binary:copy(<<$0>>, -Point), Digits];
        Count =:= 1 -> [Digits, exponent_of(Point - 1)];
        true -> [binary:part(Digits, 0, 1), $., binary:part(Digits, 1, Count - 1), exponent_of(Point - 1)]
    end.

exponent_of(Power) when Power < 0 -> [<<"e-">>, integer_to_binary(-Power)];
exponent_of(Power) -> [<<"e+">>, integer_to_binary(Power)].

%% The digits, without zeros around them, and how many of them are before the point.
shortest(Double) ->
    {Mantissa, Power} =
        case binary:split(float_to_binary(Double, [short]), <<"e">>) of
            [Plain] -> {Plain, 0};
            [Plain, Exponent] -> {Plain, binary_to_integer(Exponent)}
        end,
    [Whole, Fraction] = binary:split(Mantissa, <<".">>),
    All = <<Whole/binary, Fraction/binary>>,
    Significant = string:trim(All, leading, "0"),
    Leading = byte_size(All) - byte_size(Significant),
    {string:trim(Significant, trailing, "0"), byte_size(Whole) - Leading + Power}.

quoted(Text) -> [$", plain(Text, Text, 0), $"].

plain(<<C, Rest/binary>>, From, Size) when C >= 32, C =/= $", C =/= $\\, C < 16#ed ->
    plain(Rest, From, Size + 1);
plain(<<>>, From, _Size) ->
    From;
plain(<<16#ed, B, _, Rest/binary>>, From, Size) when B < 16#a0 ->
    plain(Rest, From, Size + 3);
plain(<<16#ed, B, C, Rest/binary>>, From, Size) ->
    Unit = 16#d000 bor ((B band 16#3f) bsl 6) bor (C band 16#3f),
    [binary:part(From, 0, Size), <<"\\u">>, hex(Unit) | plain(Rest, Rest, 0)];
plain(<<C, Rest/binary>>, From, Size) when C >= 16#ed ->
    plain(Rest, From, Size + 1);
plain(<<C, Rest/binary>>, From, Size) ->
    [binary:part(From, 0, Size), escape(C) | plain(Rest, Rest, 0)].

escape($") -> <<"\\\"">>;
escape($\\) -> <<"\\\\">>;
escape($\b) -> <<"\\b">>;
escape($\f) -> <<"\\f">>;
escape($\n) -> <<"\\n">>;
escape($\r) -> <<"\\r">>;
escape($\t) -> <<"\\t">>;
escape(C) -> [<<"\\u">>, hex(C)].

hex(Unit) -> io_lib:format("~4.16.0b", [Unit]).
