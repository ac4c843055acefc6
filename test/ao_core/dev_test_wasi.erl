%% @doc The `fd_write' of WASI preview 1, for guests of 32 and of 64 bits. What they write is in the message after the
%% compute, under `console/FD'.
-module(dev_test_wasi).

-export([fd_write/3]).

%% @doc Gathers the pieces that the guest's vectors name, out of its memory, and writes their size back into it.
-spec fd_write(map(), map(), map()) -> {ok, map()}.
fd_write(Base, Request, RawOpts) ->
    Opts = RawOpts#{hashpath => ignore},
    State = hb_ao:get(<<"state">>, Base, Opts),
    Instance = hb_private:get(<<(dev_stack:prefix(State, Request, Opts))/binary, "/instance">>, State, Opts),
    [FD, Vectors, Count, SizePtr] = hb_ao:get(<<"args">>, Request, Opts),
    Bits = address_bits(hb_ao:get(<<"func-sig">>, Request, Opts)),
    Text = iolist_to_binary([piece(Instance, Vectors, N, Bits) || N <- lists:seq(0, Count - 1)]),
    ok = hb_beamr_io:write(Instance, SizePtr, <<(byte_size(Text)):Bits/little>>),
    Path = <<"console/", (integer_to_binary(FD))/binary>>,
    Before = hb_ao:get(Path, State, <<>>, Opts),
    {ok, #{
        <<"state">> => hb_ao:set(State, Path, <<Before/binary, Text/binary>>, Opts),
        <<"results">> => [0]
    }}.

piece(Instance, Vectors, Number, Bits) ->
    Size = 2 * Bits div 8,
    {ok, <<Pointer:Bits/little, Length:Bits/little>>} = hb_beamr_io:read(Instance, Vectors + Number * Size, Size),
    {ok, Bytes} = hb_beamr_io:read(Instance, Pointer, Length),
    Bytes.

%% The second parameter is an address.
address_bits(<<"(iI", _/binary>>) -> 64;
address_bits(<<"(ii", _/binary>>) -> 32.
