%% What holds for every value and not only for those one thinks of: PropEr's
%% tests of the border between Erlang and a guest.
-module(hb_wasm64_properties_tests).

-include_lib("eunit/include/eunit.hrl").

%% PropEr's own integers and floats are small ones; these are made of random bits.

every_i64_comes_back_test_() ->
    property(?FUNCTION_NAME, proper_types:binary(8), fun(H, <<Unsigned:64>> = Bits) ->
        <<Signed:64/signed>> = Bits,
        hb_wasm64:call(H, "id_i64", [Unsigned]) =:= {ok, [Signed]} andalso
            hb_wasm64:call(H, "id_i64", [Signed]) =:= {ok, [Signed]}
    end).

every_i32_comes_back_test_() ->
    property(?FUNCTION_NAME, proper_types:binary(4), fun(H, <<Unsigned:32>> = Bits) ->
        <<Signed:32/signed>> = Bits,
        hb_wasm64:call(H, "id_i32", [Unsigned]) =:= {ok, [Signed]} andalso
            hb_wasm64:call(H, "id_i32", [Signed]) =:= {ok, [Signed]}
    end).

%% As it is named in the contract, and with the same bits: NaNs as well.
every_f64_comes_back_bit_by_bit_test_() ->
    property(?FUNCTION_NAME, bits(64), fun(H, {<<Random:64>>, Mask}) ->
        Bits = Random bor Mask,
        {ok, [Value]} = hb_wasm64:call(H, "from_bits_f64", [Bits]),
        Value =:= f64(Bits) andalso
            hb_wasm64:call(H, "bits_f64", [Value]) =:= {ok, [signed(64, Bits)]} andalso
            hb_wasm64:call(H, "id_f64", [Value]) =:= {ok, [Value]}
    end).

every_f32_comes_back_bit_by_bit_test_() ->
    property(?FUNCTION_NAME, bits(32), fun(H, {<<Random:32>>, Mask}) ->
        Bits = Random bor Mask,
        {ok, [Value]} = hb_wasm64:call(H, "from_bits_f32", [Bits]),
        Value =:= f32(Bits) andalso
            hb_wasm64:call(H, "bits_f32", [Value]) =:= {ok, [signed(32, Bits)]} andalso
            hb_wasm64:call(H, "id_f32", [Value]) =:= {ok, [Value]}
    end).

%% An f64 within the range of an f32 becomes the same f32 as in Erlang.
every_float_rounds_to_an_f32_as_in_erlang_test_() ->
    Exponent = proper_types:resize(1000, proper_types:integer(1023 - 160, 1023 + 126)),
    Bits = proper_types:tuple([proper_types:binary(7), Exponent]),
    property(?FUNCTION_NAME, Bits, fun(H, {<<Sign:1, Fraction:52, _/bits>>, E}) ->
        <<Float/float>> = <<Sign:1, E:11, Fraction:52>>,
        <<Rounded:32/float>> = <<Float:32/float>>,
        hb_wasm64:call(H, "id_f32", [Float]) =:= {ok, [Rounded]}
    end).

%% Integers of all sizes up to 128 bits.
every_integer_becomes_the_nearest_f64_test_() ->
    Size = proper_types:resize(1000, proper_types:integer(0, 127)),
    property(?FUNCTION_NAME, proper_types:tuple([proper_types:binary(16), Size]), fun(H, {<<All:128/signed>>, Shift}) ->
        N = All bsr Shift,
        hb_wasm64:call(H, "id_f64", [N]) =:= {ok, [nearest(N)]}
    end).

every_vector_comes_back_test_() ->
    property(?FUNCTION_NAME, proper_types:binary(16), fun(H, V) -> hb_wasm64:call(H, "id_v128", [V]) =:= {ok, [V]} end).

%% Nothing that Erlang has makes a call raise or crash.
any_term_is_a_value_or_refused_test_() ->
    Function = proper_types:elements(["id_i32", "id_i64", "id_f32", "id_f64", "id_v128", "id_externref", "id_funcref"]),
    property(?FUNCTION_NAME, proper_types:tuple([Function, proper_types:any()]), fun(H, {Name, Term}) ->
        case hb_wasm64:call(H, Name, [Term]) of
            {ok, [_]} -> true;
            {error, {invalid_args, #{args := [Term], position := 1}}} -> true
        end
    end).

%% What is read is what was written, anywhere in a memory of one page and a
%% little beyond it; what does not fit writes nothing.
writes_are_read_back_test_() ->
    Access = proper_types:tuple([proper_types:binary(3), proper_types:binary()]),
    property(?FUNCTION_NAME, "memory", Access, fun(H, {<<Random:24>>, Bytes}) ->
        At = case Random rem 2 of
            0 -> Random rem 65536;
            1 -> 65536 - 30 + Random rem 60
        end,
        Length = byte_size(Bytes),
        Refused = {error, {out_of_bounds, #{offset => At, size => Length, memory => 65536}}},
        {ok, Before} = hb_wasm64:read(H, 65536 - 60, 60),
        case hb_wasm64:write(H, At, Bytes) of
            ok -> At + Length =< 65536 andalso hb_wasm64:read(H, At, Length) =:= {ok, Bytes};
            Refused -> At + Length > 65536 andalso hb_wasm64:read(H, 65536 - 60, 60) =:= {ok, Before}
        end
    end).

%% Support

%% Random bits, half of them to be made those of a NaN by a mask.
bits(Width) ->
    Exponent = case Width of 32 -> 16#7f800000; 64 -> 16#7ff0000000000000 end,
    proper_types:tuple([proper_types:binary(Width div 8), proper_types:elements([0, Exponent])]).

property(Title, Generator, Holds) -> property(Title, "numbers", Generator, Holds).

property(Title, Guest, Generator, Holds) ->
    {atom_to_list(Title), {timeout, 300, fun() ->
        H = hb_support:start(Guest),
        Property = proper:forall(Generator, fun(X) -> Holds(H, X) end),
        %% In place of true comes the counterexample.
        ?assertEqual(true, proper:quickcheck(Property, [quiet, long_result, {numtests, 1000}]))
    end}}.

signed(Width, Bits) ->
    <<N:Width/signed>> = <<Bits:Width>>,
    N.

%% The float of these bits, as the contract writes it.
f64(16#7ff0000000000000) -> infinity;
f64(16#fff0000000000000) -> neg_infinity;
f64(16#7ff8000000000000) -> nan;
f64(Bits) ->
    case <<Bits:64>> of
        <<Float/float>> -> Float;
        _ -> {nan, Bits}
    end.

f32(16#7f800000) -> infinity;
f32(16#ff800000) -> neg_infinity;
f32(16#7fc00000) -> nan;
f32(Bits) ->
    case <<Bits:32>> of
        <<Float:32/float>> -> Float;
        _ -> {nan, Bits}
    end.

%% float/1 of the VM truncates large integers; string conversion does not.
nearest(N) -> list_to_float(integer_to_list(N) ++ ".0").
