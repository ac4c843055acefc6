%% What goes into a guest function and what comes out of it: the table of
%% values in the contract, row by row, and what is refused.
-module(hb_wasm64_values_tests).

-include_lib("eunit/include/eunit.hrl").

-define(MAX_F32, 3.4028234663852886e38).
-define(MAX_F64, 1.7976931348623157e308).

%% Integers

%% Catches arguments cut to a small integer of the VM, and a wrong sign.
i32_takes_the_signed_and_the_unsigned_range_and_gives_signed_test() ->
    gives("id_i32", [
        {0, 0}, {1, 1}, {-1, -1},
        {16#7fffffff, 16#7fffffff}, {-16#80000000, -16#80000000},
        {16#80000000, -16#80000000}, {16#ffffffff, -1}
    ]).

i64_takes_the_signed_and_the_unsigned_range_and_gives_signed_test() ->
    gives("id_i64", [
        {0, 0}, {-1, -1}, {1 bsl 31, 1 bsl 31}, {1 bsl 32 + 5, 1 bsl 32 + 5},
        %% Both sides of what is a small integer in Erlang.
        {1 bsl 59 - 1, 1 bsl 59 - 1}, {1 bsl 59, 1 bsl 59}, {-(1 bsl 59) - 1, -(1 bsl 59) - 1},
        {1 bsl 63 - 1, 1 bsl 63 - 1}, {-(1 bsl 63), -(1 bsl 63)},
        {1 bsl 63, -(1 bsl 63)}, {1 bsl 64 - 1, -1}
    ]).

i32_beyond_its_range_is_refused_test() ->
    refuses("id_i32", "(i)i", [
        1 bsl 32, -(1 bsl 31) - 1, 1 bsl 63, 1 bsl 64, 1 bsl 128, 1 bsl 4000, -(1 bsl 4000)
    ]).

i64_beyond_its_range_is_refused_test() ->
    refuses("id_i64", "(I)I", [
        1 bsl 64, -(1 bsl 63) - 1, 1 bsl 127, 1 bsl 128, -(1 bsl 128), 1 bsl 4000, -(1 bsl 4000)
    ]).

%% A float, even a whole one, is no integer: the C driver took its bits.
integers_take_nothing_but_integers_test() ->
    Others = [1.0, 0.5, nan, infinity, neg_infinity, null, true, <<1>>, <<0:128>>, "1", [], {}, #{},
              make_ref(), self(), fun() -> 1 end, {nan, 1}],
    refuses("id_i32", "(i)i", Others),
    refuses("id_i64", "(I)I", Others).

integers_wrap_in_the_guest_as_wasm_says_test() ->
    H = hb_support:start("numbers"),
    ?assertEqual({ok, [-(1 bsl 31)]}, hb_wasm64:call(H, "add_i32", [1 bsl 31 - 1, 1])),
    ?assertEqual({ok, [-(1 bsl 63)]}, hb_wasm64:call(H, "add_i64", [1 bsl 63 - 1, 1])),
    ?assertEqual({ok, [1 bsl 63 - 1]}, hb_wasm64:call(H, "max_i64", [])),
    ?assertEqual({ok, [-(1 bsl 63)]}, hb_wasm64:call(H, "min_i64", [])).

%% Floats

f64_takes_floats_and_integers_test() ->
    gives("id_f64", [
        {0.0, 0.0}, {1.5, 1.5}, {-1.5, -1.5}, {?MAX_F64, ?MAX_F64}, {5.0e-324, 5.0e-324},
        {5, 5.0}, {0, 0.0}, {-7, -7.0}, {1 bsl 53, 9007199254740992.0}
    ]).

f32_takes_floats_and_integers_test() ->
    gives("id_f32", [
        {0.0, 0.0}, {1.5, 1.5}, {-1.5, -1.5}, {?MAX_F32, ?MAX_F32}, {-?MAX_F32, -?MAX_F32},
        {1.401298464324817e-45, 1.401298464324817e-45},
        {5, 5.0}, {0, 0.0}, {-7, -7.0}
    ]).

%% To the nearest, ties to even; never by cutting digits off.
floats_round_to_the_nearest_test() ->
    gives("id_f64", [
        {1 bsl 53 + 1, 9007199254740992.0}, {1 bsl 53 + 3, 9007199254740996.0},
        {-(1 bsl 53) - 3, -9007199254740996.0}, {1 bsl 64 - 1, 18446744073709551616.0}
    ]),
    gives("id_f32", [
        {0.1, 0.10000000149011612}, {16777217, 16777216.0}, {16777219, 16777220.0},
        {16777217.0, 16777216.0}, {1.0e-60, 0.0}
    ]).

%% By way of an f64 this would be rounded twice, and to the wrong neighbour.
an_integer_becomes_an_f32_by_one_rounding_test() ->
    gives("id_f32", [{(1 bsl 60) + (1 bsl 36) + 1, float((1 bsl 60) + (1 bsl 37))}]).

%% Beyond the largest number the nearest is infinity.
floats_too_large_for_an_f32_become_infinite_test() ->
    gives("id_f32", [{1.0e300, infinity}, {-1.0e300, neg_infinity}, {3.5e38, infinity}]).

%% Integers of any size are numbers: those of more than 128 bits, too.
big_integers_become_floats_test() ->
    gives("id_f64", [
        {1 bsl 100, math:pow(2, 100)}, {1 bsl 127, math:pow(2, 127)}, {1 bsl 128, math:pow(2, 128)},
        {-(1 bsl 200), -math:pow(2, 200)}, {1 bsl 1000, math:pow(2, 1000)},
        {(1 bsl 200) + 1, math:pow(2, 200)},
        %% Halfway between two floats, and one more than that.
        {(1 bsl 200) + (1 bsl 147), math:pow(2, 200)},
        {(1 bsl 200) + (1 bsl 147) + 1, math:pow(2, 200) + math:pow(2, 148)}
    ]),
    gives("id_f32", [{(1 bsl 128) - (1 bsl 104), ?MAX_F32}, {-(1 bsl 126), -math:pow(2, 126)}]).

%% As in Erlang, where there is no such float either.
integers_beyond_all_floats_are_refused_test() ->
    refuses("id_f64", "(F)F", [1 bsl 1024, -(1 bsl 1024), 1 bsl 4000, -(1 bsl 100_000)]),
    refuses("id_f32", "(f)f", [1 bsl 128, -(1 bsl 128), 1 bsl 1000, 1 bsl 4000]).

nan_and_infinity_go_in_test() ->
    gives("id_f64", [{nan, nan}, {infinity, infinity}, {neg_infinity, neg_infinity}]),
    gives("id_f32", [{nan, nan}, {infinity, infinity}, {neg_infinity, neg_infinity}]),
    gives("bits_f32", [{nan, 16#7fc00000}, {infinity, 16#7f800000}, {neg_infinity, 16#ff800000 - (1 bsl 32)}]),
    gives("bits_f64", [{nan, 16#7ff8000000000000}, {infinity, 16#7ff0000000000000},
                       {neg_infinity, 16#fff0000000000000 - (1 bsl 64)}]).

%% The C driver's caller hung for ever on these.
nan_and_infinity_come_out_test() ->
    H = hb_support:start("numbers"),
    Expected = [
        {"nan_f32", nan}, {"nan_f64", nan}, {"zero_div", nan},
        {"inf_f32", infinity}, {"inf_f64", infinity},
        {"minus_inf_f32", neg_infinity}, {"minus_inf_f64", neg_infinity},
        {"nan_payload_f32", {nan, 16#7fa12345}}, {"nan_payload_f64", {nan, 16#7ff4000000012345}},
        {"nan_negative_f32", {nan, 16#ffc00000}}, {"nan_negative_f64", {nan, 16#fff8000000000000}}
    ],
    [?assertEqual({Name, {ok, [Value]}}, {Name, hb_wasm64:call(H, Name, [0.0 || Name =:= "zero_div"])})
     || {Name, Value} <- Expected].

%% A NaN keeps its sign and payload, signalling ones as well.
nan_with_a_payload_goes_in_and_out_test() ->
    Nans32 = [16#7fa12345, 16#7f800001, 16#7fffffff, 16#ffc00000, 16#ff800001, 16#ffffffff],
    Nans64 = [16#7ff4000000012345, 16#7ff0000000000001, 16#7fffffffffffffff, 16#fff8000000000000,
              16#fff0000000000001, 16#ffffffffffffffff],
    gives("id_f32", [{{nan, Bits}, {nan, Bits}} || Bits <- Nans32]),
    gives("id_f64", [{{nan, Bits}, {nan, Bits}} || Bits <- Nans64]),
    gives("bits_f32", [{{nan, Bits}, signed(32, Bits)} || Bits <- Nans32]),
    gives("bits_f64", [{{nan, Bits}, signed(64, Bits)} || Bits <- Nans64]),
    %% The canonical one has one name only.
    gives("id_f32", [{{nan, 16#7fc00000}, nan}]),
    gives("id_f64", [{{nan, 16#7ff8000000000000}, nan}]).

%% Bits that are a number would be one value under two names.
nan_of_bits_that_are_no_nan_is_refused_test() ->
    refuses("id_f32", "(f)f", [{nan, B} || B <- [0, 16#7f800000, 16#ff800000, 16#3f800000, 1 bsl 32,
                                                 16#7ff8000000000001, -1, 1 bsl 70, foo, 1.0]]),
    refuses("id_f64", "(F)F", [{nan, B} || B <- [0, 16#7ff0000000000000, 16#fff0000000000000, 1 bsl 64,
                                                 16#7fc00000, -1, 1 bsl 70, foo, 1.0]]).

floats_take_nothing_but_numbers_test() ->
    Others = [null, foo, inf, <<1.0/float>>, "1.0", [], {}, {nan}, {nan, 1, 2}, {infinity, 1}, make_ref()],
    refuses("id_f32", "(f)f", Others),
    refuses("id_f64", "(F)F", Others).

minus_zero_keeps_its_sign_test() ->
    H = hb_support:start("numbers"),
    MinusZero = 16#8000000000000000 - (1 bsl 64),
    {ok, [Zero]} = hb_wasm64:call(H, "minus_zero_f64", []),
    ?assertEqual(<<MinusZero:64>>, <<Zero/float>>),
    ?assertEqual({ok, [MinusZero]}, hb_wasm64:call(H, "bits_f64", [Zero])),
    ?assertEqual({ok, [-(1 bsl 31)]}, hb_wasm64:call(H, "bits_f32", [Zero])).

%% Vectors

v128_is_sixteen_bytes_little_endian_test() ->
    H = hb_support:start("numbers"),
    Bytes = list_to_binary(lists:seq(0, 15)),
    ?assertEqual({ok, [Bytes]}, hb_wasm64:call(H, "bytes_v128", [])),
    ?assertEqual({ok, [Bytes]}, hb_wasm64:call(H, "id_v128", [Bytes])),
    ?assertEqual(
        {ok, [<<11:32/little, 22:32/little, 33:32/little, 0:32>>]},
        hb_wasm64:call(H, "add_i32x4", [
            <<1:32/little, 2:32/little, 3:32/little, 16#ffffffff:32/little>>,
            <<10:32/little, 20:32/little, 30:32/little, 1:32/little>>
        ])
    ),
    %% A part of a larger binary is a binary like any other.
    <<_:3/binary, Part:16/binary, _/binary>> = list_to_binary(lists:seq(0, 99)),
    ?assertEqual({ok, [Part]}, hb_wasm64:call(H, "id_v128", [Part])).

v128_takes_nothing_else_test() ->
    refuses("id_v128", "(v)v", [
        <<>>, <<0:120>>, <<0:136>>, <<0:127>>, 0, 1 bsl 100, 1.0, null, nan, foo, lists:seq(0, 15), {}
    ]).

%% References

externref_is_null_or_a_number_of_the_host_test() ->
    gives("id_externref", [{null, null}, {0, 0}, {1, 1}, {1 bsl 31, 1 bsl 31}, {1 bsl 32 - 1, 1 bsl 32 - 1}]),
    gives("is_null_extern", [{null, 1}, {0, 0}, {7, 0}]),
    H = hb_support:start("numbers"),
    ?assertEqual({ok, [null]}, hb_wasm64:call(H, "null_extern", [])).

externref_takes_nothing_else_test() ->
    refuses("id_externref", "(e)e", [-1, 1 bsl 32, 1 bsl 64, 1 bsl 128, 1.0, foo, externref, undefined,
                                     <<>>, "", {}, make_ref(), self()]).

%% Many host references: each is known by its number, and they are collected.
externrefs_do_not_pile_up_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("numbers"),
        Pass = fun(N) -> [{ok, [X]} = hb_wasm64:call(H, "id_externref", [X]) || X <- lists:seq(1, N)], ok end,
        ok = Pass(20_000),
        Before = hb_support:rss(),
        ok = Pass(300_000),
        ?assertEqual(true, hb_support:flat(Before, 30_000_000))
    end}.

funcref_is_null_or_says_no_more_than_its_type_test() ->
    gives("id_funcref", [{null, null}]),
    refuses("id_funcref", "(u)u", [0, 1, 1.0, funcref, foo, <<>>, fun() -> ok end, make_ref()]),
    H = hb_support:start("numbers"),
    ?assertEqual({ok, [null]}, hb_wasm64:call(H, "null_func", [])),
    ?assertEqual({ok, [funcref]}, hb_wasm64:call(H, "some_func", [])).

%% (module
%%   (tag $t)
%%   (func (export "id") (param exnref) (result exnref) local.get 0)
%%   (func (export "caught") (result exnref)
%%     block (result exnref) try_table (catch_all_ref 0) throw $t end unreachable end))
exnref_is_null_or_says_no_more_than_its_type_test() ->
    {ok, H} = hb_wasm64:start(exnref_image()),
    ?assertEqual({ok, [null]}, hb_wasm64:call(H, "id", [null])),
    ?assertEqual({ok, [exnref]}, hb_wasm64:call(H, "caught", [])),
    [?assertEqual(invalid("(x)x", [Bad], 1), hb_wasm64:call(H, "id", [Bad])) || Bad <- [0, exnref, <<>>, 1.0]].

exnref_image() ->
    <<0, "asm", 1:32/little,
      1, 13, 3, 16#60, 0, 0, 16#60, 1, 16#69, 1, 16#69, 16#60, 0, 1, 16#69,
      3, 3, 2, 1, 2,
      13, 3, 1, 0, 0,
      7, 15, 2, 2, "id", 0, 0, 6, "caught", 0, 1,
      10, 21, 2, 4, 0, 16#20, 0, 16#0b,
                14, 0, 2, 16#69, 16#1f, 16#40, 1, 3, 0, 8, 0, 16#0b, 0, 16#0b, 16#0b>>.

%% Several values

multiple_results_keep_their_order_and_types_test() ->
    H = hb_support:start("numbers"),
    ?assertEqual({ok, [1, 2]}, hb_wasm64:call(H, "two", [])),
    ?assertEqual({ok, [2, 4.25, 1, 3.5]}, hb_wasm64:call(H, "mixed", [1, 2, 3.5, 4.25])),
    ?assertEqual({ok, [2, 4.0, 1, 3.0]}, hb_wasm64:call(H, "mixed", [1, 2, 3, 4])),
    ?assertEqual({ok, []}, hb_wasm64:call(H, "nop", [])),
    ?assertEqual({ok, [120.0]}, hb_wasm64:call(H, "fac", [5])).

%% Too few arguments crashed the node, too many were ignored.
wrong_counts_are_refused_with_their_position_test() ->
    H = hb_support:start("numbers"),
    Wrong = [
        {"mixed", "(iIfF)IFif", [], 1}, {"mixed", "(iIfF)IFif", [1], 2}, {"mixed", "(iIfF)IFif", [1, 2, 3.0], 4},
        {"mixed", "(iIfF)IFif", [1, 2, 3.0, 4.0, 5], 5}, {"mixed", "(iIfF)IFif", [1, 2, 3.0, 4.0, 5, 6, 7], 5},
        {"nop", "()", [1], 1}, {"nop", "()", [[]], 1}, {"fac", "(F)F", [], 1}, {"fac", "(F)F", [1.0, 2.0], 2}
    ],
    [?assertEqual(invalid(Signature, Args, Position), hb_wasm64:call(H, Name, Args))
     || {Name, Signature, Args, Position} <- Wrong].

ill_typed_arguments_are_refused_with_their_position_test() ->
    H = hb_support:start("numbers"),
    [?assertEqual(invalid("(iIfF)IFif", Args, Position), hb_wasm64:call(H, "mixed", Args))
     || {Args, Position} <- [
         {[x, 2, 3.0, 4.0], 1}, {[1, 2.0, 3.0, 4.0], 2}, {[1, 2, x, 4.0], 3}, {[1, 2, 3.0, x], 4},
         %% The first one counts.
         {[1, x, y, z], 2}, {[1, x], 2}, {[1, 2, 3.0, x, 5], 4}
     ]].

arguments_that_are_no_list_are_refused_test() ->
    H = hb_support:start("numbers"),
    [?assertMatch({error, {invalid_args, #{signature := "" ++ _, args := _, position := _}}},
                  hb_wasm64:call(H, "fac", Args))
     || Args <- [foo, 5.0, {5.0}, #{}, <<"5">>, [5.0 | 6.0], [5.0 | foo]]].

a_refused_call_runs_nothing_test() ->
    H = hb_support:start("numbers"),
    {ok, [8]} = hb_wasm64:call(H, "count", [1]),
    [{error, {invalid_args, _}} = hb_wasm64:call(H, "count", Args) || Args <- [[], [x], [1, 1], [1.0], [1 bsl 64]]],
    ?assertEqual({ok, [8]}, hb_wasm64:call(H, "count", [0])).

%% Names and numbers of functions

names_are_binaries_or_strings_test() ->
    H = hb_support:start("numbers"),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "add_i32", [1, 2])),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, <<"add_i32">>, [1, 2])).

%% A name of 300 characters crashed the node.
unknown_functions_are_named_as_they_were_asked_for_test() ->
    H = hb_support:start("numbers"),
    Names = [
        <<"nosuch">>, "nosuch", <<>>, "", lists:duplicate(300, $a), binary:copy(<<"a">>, 100_000),
        <<255, 254>>, <<"add_i32", 0>>, <<"naïve 名前"/utf8>>, "naïve 名前", [16#110000], [-1], [a], [{}],
        add_i32, undefined, {}, 1.0, #{}, self()
    ],
    [?assertEqual({error, {unknown_function, Name}}, hb_wasm64:call(H, Name, [])) || Name <- Names],
    ?assertEqual({error, {unknown_function, "counter"}}, hb_wasm64:call(H, "counter", [])),
    ?assertEqual({ok, [3]}, hb_wasm64:call(H, "add_i32", [1, 2])).

%% The C driver knew only names.
an_integer_calls_that_entry_of_the_function_table_test() ->
    H = hb_support:start("imports"),
    ?assertEqual({ok, [50]}, hb_wasm64:call(H, 0, [5])),
    ?assertEqual({ok, [7]}, hb_wasm64:call(H, 1, [7])),
    ?assertEqual({ok, [9]}, hb_wasm64:call(H, 1, [2])),
    ?assertEqual(invalid("(i)i", [], 1), hb_wasm64:call(H, 0, [])),
    ?assertEqual(invalid("(i)i", [1.0], 1), hb_wasm64:call(H, 0, [1.0])),
    ?assertEqual(invalid("(i)i", [1, 2], 2), hb_wasm64:call(H, 0, [1, 2])).

entries_that_are_not_there_are_unknown_functions_test() ->
    Ask = fun(Guest, Indices) ->
        H = hb_support:start(Guest),
        [?assertEqual({error, {unknown_function, I}}, hb_wasm64:call(H, I, [])) || I <- Indices]
    end,
    %% Beyond the end.
    Ask("imports", [3, 1 bsl 31, 1 bsl 32, 1 bsl 63, 1 bsl 64 - 1, 1 bsl 64, 1 bsl 200, -1, -(1 bsl 63), -(1 bsl 200)]),
    %% The only table, whatever its name; its entries are null.
    Ask("big_table", [0, 9_999_999, 10_000_000]),
    %% Two tables without the usual name: neither is meant.
    Ask("tables", [0, 1]),
    %% No table.
    Ask("numbers", [0]).

%% Support

gives(Name, Pairs) ->
    H = hb_support:start("numbers"),
    [?assertEqual({Name, Arg, {ok, [Value]}}, {Name, Arg, hb_wasm64:call(H, Name, [Arg])}) || {Arg, Value} <- Pairs].

refuses(Name, Signature, Args) ->
    H = hb_support:start("numbers"),
    [?assertEqual(invalid(Signature, [Arg], 1), hb_wasm64:call(H, Name, [Arg])) || Arg <- Args].

invalid(Signature, Args, Position) ->
    {error, {invalid_args, #{signature => Signature, args => Args, position => Position}}}.

signed(Width, Bits) ->
    <<N:Width/signed>> = <<Bits:Width>>,
    N.

%% Looking at the digits of integers that fit nowhere would take a scheduler for long. (Reasons are not compared whole:
%% printing such integers takes longer still.)
giant_integers_are_refused_at_once_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("numbers"),
        Giant = 1 bsl 1_000_000,
        Position = fun({error, {invalid_args, #{position := P}}}) -> P end,
        [?assertEqual(1, Position(hb_wasm64:call(H, Func, [Giant]))) || Func <- ["id_i32", "id_i64", "id_f32", "id_f64"]],
        AtOnce = fun() ->
            {Micros, At} = hb_support:micros(fun() -> Position(hb_wasm64:call(H, "id_f64", lists:duplicate(1000, Giant))) end),
            ?assertEqual(1, At),
            Micros < 100_000 orelse {Micros, us}
        end,
        ?assertEqual(true, hb_support:best_of(5, AtOnce))
    end}.
