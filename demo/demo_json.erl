%% @doc JSON, as much of it as the demo needs.
-module(demo_json).

-export([encode/1, decode/1]).

-type term_() :: string() | {[{string(), term_()}]} | [{[{string(), term_()}]}].
-type value() :: binary() | number() | boolean() | null | [value()] | #{binary() => value()}.

%% @doc Objects are `{[{Key, Value}]}', arrays are lists of those, everything else is a string.
-spec encode(term_()) -> binary().
encode(Term) -> unicode:characters_to_binary(text(Term)).

text({Fields}) ->
    ["{", lists:join(",", [[text(Key), ":", text(Value)] || {Key, Value} <- Fields]), "}"];
text([Object | _] = Array) when is_tuple(Object) ->
    ["[", lists:join(",", [text(Value) || Value <- Array]), "]"];
text(String) ->
    ["\"", [escape(Char) || Char <- String], "\""].

escape($") -> "\\\"";
escape($\\) -> "\\\\";
escape(Char) when Char < 32 -> io_lib:format("\\u~4.16.0b", [Char]);
escape(Char) -> [Char].

%% @doc Objects become maps, with binaries for keys. `error' is for what is no JSON.
-spec decode(binary()) -> {ok, value()} | error.
decode(Text) ->
    try value(skip(Text)) of
        {Value, Rest} ->
            case skip(Rest) of
                <<>> -> {ok, Value};
                _ -> error
            end
    catch
        error:_ -> error
    end.

value(<<"{", Rest/binary>>) -> object(skip(Rest), #{});
value(<<"[", Rest/binary>>) -> array(skip(Rest), []);
value(<<"\"", Rest/binary>>) -> string(Rest, <<>>);
value(<<"true", Rest/binary>>) -> {true, Rest};
value(<<"false", Rest/binary>>) -> {false, Rest};
value(<<"null", Rest/binary>>) -> {null, Rest};
value(Text) ->
    {match, [{0, Length}]} = re:run(Text, "^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?", [{capture, first}]),
    <<Number:Length/binary, Rest/binary>> = Text,
    {number(Number), Rest}.

object(<<"}", Rest/binary>>, Object) ->
    {Object, Rest};
object(<<",", Rest/binary>>, Object) ->
    object(skip(Rest), Object);
object(<<"\"", Text/binary>>, Object) ->
    {Key, Rest} = string(Text, <<>>),
    <<":", Rest1/binary>> = skip(Rest),
    {Value, Rest2} = value(skip(Rest1)),
    object(skip(Rest2), Object#{Key => Value}).

array(<<"]", Rest/binary>>, Array) ->
    {lists:reverse(Array), Rest};
array(<<",", Rest/binary>>, Array) ->
    array(skip(Rest), Array);
array(Text, Array) ->
    {Value, Rest} = value(Text),
    array(skip(Rest), [Value | Array]).

string(<<"\"", Rest/binary>>, String) ->
    {String, Rest};
string(<<"\\u", A:4/binary, "\\u", B:4/binary, Rest/binary>>, String) when A >= <<"D800">>, A < <<"DC00">>;
        A >= <<"d800">>, A < <<"dc00">> ->
    Char = 16#10000 + ((binary_to_integer(A, 16) band 16#3FF) bsl 10) + (binary_to_integer(B, 16) band 16#3FF),
    string(Rest, <<String/binary, Char/utf8>>);
string(<<"\\u", Hex:4/binary, Rest/binary>>, String) ->
    string(Rest, <<String/binary, (binary_to_integer(Hex, 16))/utf8>>);
string(<<"\\", Char, Rest/binary>>, String) ->
    {Char, Meant} = lists:keyfind(Char, 1, lists:zip("\"\\/bfnrt", "\"\\/\b\f\n\r\t")),
    string(Rest, <<String/binary, Meant>>);
string(<<Byte, Rest/binary>>, String) ->
    string(Rest, <<String/binary, Byte>>).

%% Erlang wants a point in a float.
number(Text) ->
    case re:run(Text, "^(-?[0-9]+)(\\.[0-9]+)?(.*)$", [{capture, all_but_first, binary}]) of
        {match, [Integer, <<>>, <<>>]} -> binary_to_integer(Integer);
        {match, [Integer, <<>>, Exponent]} -> binary_to_float(<<Integer/binary, ".0", Exponent/binary>>);
        {match, _} -> binary_to_float(Text)
    end.

skip(<<Space, Rest/binary>>) when Space =:= $\s; Space =:= $\t; Space =:= $\n; Space =:= $\r -> skip(Rest);
skip(Text) -> Text.
