%% XXH3 with 128 bits and seed 0, for inputs of more than 240 bytes: what
%% docs/snapshot.md calls the page hash. From the specification in
%% https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, for
%% comparing; it is slow.
-module(hb_xxh3).

-export([hash128/1]).

-define(MASK, 16#ffffffffffffffff).
-define(PRIME32_1, 16#9E3779B1).
-define(PRIME32_2, 16#85EBCA77).
-define(PRIME32_3, 16#C2B2AE3D).
-define(PRIME64_1, 16#9E3779B185EBCA87).
-define(PRIME64_2, 16#C2B2AE3D27D4EB4F).
-define(PRIME64_3, 16#165667B19E3779F9).
-define(PRIME64_4, 16#85EBCA77C2B2AE63).
-define(PRIME64_5, 16#27D4EB2F165667C5).

secret() ->
    <<16#b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f:256,
      16#cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c:256,
      16#3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8:256,
      16#a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364:256,
      16#eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e:256,
      16#2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e:256>>.

%% In canonical order.
hash128(Input) when byte_size(Input) > 240 ->
    Length = byte_size(Input),
    Start = [?PRIME32_3, ?PRIME64_1, ?PRIME64_2, ?PRIME64_3, ?PRIME64_4, ?PRIME32_2, ?PRIME64_5, ?PRIME32_1],
    Blocks = (Length - 1) div 1024,
    Mixed = lists:foldl(fun(Block, Acc) -> scramble(stripes(Input, Block, 16, Acc)) end, Start, lists:seq(0, Blocks - 1)),
    Partial = stripes(Input, Blocks, (Length - 1 - 1024 * Blocks) div 64, Mixed),
    Acc = accumulate(binary:part(Input, Length - 64, 64), 121, Partial),
    Low = merge(Acc, 11, Length * ?PRIME64_1),
    High = merge(Acc, 117, bnot (Length * ?PRIME64_2)),
    <<High:64, Low:64>>.

stripes(Input, Block, Count, Acc) ->
    lists:foldl(fun(N, A) -> accumulate(binary:part(Input, 1024 * Block + 64 * N, 64), 8 * N, A) end, Acc, lists:seq(0, Count - 1)).

accumulate(<<Stripe:64/binary>>, At, Acc) -> accumulate_pairs(Stripe, binary:part(secret(), At, 64), Acc).

accumulate_pairs(<<D0:64/little, D1:64/little, Data/binary>>, <<S0:64/little, S1:64/little, Secret/binary>>, [A0, A1 | Acc]) ->
    [(A0 + D1 + halves(D0 bxor S0)) band ?MASK, (A1 + D0 + halves(D1 bxor S1)) band ?MASK | accumulate_pairs(Data, Secret, Acc)];
accumulate_pairs(<<>>, <<>>, []) ->
    [].

halves(N) -> (N band 16#ffffffff) * (N bsr 32).

scramble(Acc) ->
    Keys = [Key || <<Key:64/little>> <= binary:part(secret(), 128, 64)],
    [((A bxor (A bsr 47) bxor Key) * ?PRIME32_1) band ?MASK || {A, Key} <- lists:zip(Acc, Keys)].

merge(Acc, At, Start) ->
    Keys = [Key || <<Key:64/little>> <= binary:part(secret(), At, 64)],
    avalanche((Start + folded(lists:zipwith(fun(A, Key) -> A bxor Key end, Acc, Keys))) band ?MASK).

folded([A, B | Rest]) ->
    Product = A * B,
    ((Product band ?MASK) bxor (Product bsr 64)) + folded(Rest);
folded([]) ->
    0.

avalanche(Hash) ->
    Mixed = ((Hash bxor (Hash bsr 37)) * 16#165667919E3779F9) band ?MASK,
    Mixed bxor (Mixed bsr 32).
