%% JSON as JavaScript has it: what `JSON.stringify(JSON.parse(Text))' gives. The
%% expected texts are Node's.
-module(dev_genesis_wasm64_json_tests).

-include_lib("eunit/include/eunit.hrl").

again(Text) ->
    case dev_genesis_wasm64_json:decode(Text) of
        {ok, Value} -> iolist_to_binary(dev_genesis_wasm64_json:encode(Value));
        error -> error
    end.

texts_come_back_as_javascript_writes_them_test_() ->
    [?_assertEqual({Text, Expected}, {Text, again(Text)}) || {Text, Expected} <- [
        {<<" [ 1 , 2 ] ">>, <<"[1,2]">>},
        {<<"{\"b\":1,\"a\":{\"d\":[],\"c\":{}}}">>, <<"{\"b\":1,\"a\":{\"d\":[],\"c\":{}}}">>},
        %% Keys that are array indices come first, in their order.
        {<<"{\"b\":1,\"10\":2,\"9\":3,\"01\":4,\"-1\":5,\"4294967294\":6,\"4294967295\":7}">>,
            <<"{\"9\":3,\"10\":2,\"4294967294\":6,\"b\":1,\"01\":4,\"-1\":5,\"4294967295\":7}">>},
        %% The last value of a key, at the place of the first.
        {<<"{\"a\":1,\"b\":2,\"a\":3}">>, <<"{\"a\":3,\"b\":2}">>},
        {<<"[0,-0,1.0,1e3,1E-7,123456789012345680000,1e21,1.5e300,5e-324,0.1,100]">>,
            <<"[0,0,1,1000,1e-7,123456789012345680000,1e+21,1.5e+300,5e-324,0.1,100]">>},
        {<<"[9007199254740993,-9007199254740993,12345678901234567890,0.000001,1.7976931348623157e308]">>,
            <<"[9007199254740992,-9007199254740992,12345678901234567000,0.000001,1.7976931348623157e+308]">>},
        {<<"[1e400,-1e400,1e-400]">>, <<"[null,null,0]">>},
        {<<"[true,false,null]">>, <<"[true,false,null]">>},
        {<<"\"\\u0041\\/\\b\\f\\n\\r\\t\\\\\\\"\\u0001\"">>, <<"\"A/\\b\\f\\n\\r\\t\\\\\\\"\\u0001\"">>},
        {<<"\"\\ud83d\\ude00\\u00e9\"">>, <<"\"\x{1f600}\x{e9}\""/utf8>>},
        %% Half a pair stays an escape.
        {<<"\"\\ud800x\\udc00\\ud800\\ud83d\\ude00\"">>, <<"\"\\ud800x\\udc00\\ud800\x{1f600}\""/utf8>>},
        {<<"\"\x{2028}\x{fffd}\x{10fffd}\""/utf8>>, <<"\"\x{2028}\x{fffd}\x{10fffd}\""/utf8>>}
    ]].

what_javascript_refuses_is_refused_test_() ->
    [?_assertEqual({Text, error}, {Text, again(Text)}) || Text <- [
        <<>>, <<" ">>, <<"{">>, <<"[1,]">>, <<"{\"a\":1,}">>, <<"{a:1}">>, <<"'a'">>, <<"01">>, <<"1.">>, <<".5">>, <<"+1">>, <<"1e">>,
        <<$", $\t, $">>, <<"\"\\x\"">>, <<"\"\\u12g4\"">>, <<"\"abc">>, <<"nul">>, <<"[1] 2">>, <<"-">>, <<"[1 2]">>, <<"NaN">>
    ]].

bytes_that_are_no_text_are_replaced_as_javascript_does_it_test_() ->
    R = <<16#fffd/utf8>>,
    [?_assertEqual(Expected, dev_genesis_wasm64_json:text(Bytes)) || {Bytes, Expected} <- [
        {<<"plain">>, <<"plain">>},
        {<<"a", 16#ff, "b">>, <<"a", R/binary, "b">>},
        {<<16#e2, 16#82, "x">>, <<R/binary, "x">>},
        {<<16#f0, 16#9f, 16#98>>, R},
        {<<16#ed, 16#a0, 16#80>>, <<R/binary, R/binary, R/binary>>},
        {<<16#c0, 16#80>>, <<R/binary, R/binary>>},
        {<<16#f5, "x">>, <<R/binary, "x">>},
        {<<"a", 16#80, 16#80, "z", 16#c3>>, <<"a", R/binary, R/binary, "z", R/binary>>}
    ]].

objects_are_found_in_test() ->
    {ok, Value} = dev_genesis_wasm64_json:decode(<<"{\"a\":{\"b\":null}}">>),
    A = dev_genesis_wasm64_json:find(<<"a">>, Value),
    ?assertEqual([null, undefined, undefined], [
        dev_genesis_wasm64_json:find(<<"b">>, A),
        dev_genesis_wasm64_json:find(<<"c">>, A),
        dev_genesis_wasm64_json:find(<<"a">>, [1])
    ]).
