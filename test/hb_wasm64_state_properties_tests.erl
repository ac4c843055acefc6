%% What holds for every state: PropEr's tests of snapshots on random calls of
%% test/guests/state.wat, restored by another OS process.
-module(hb_wasm64_state_properties_tests).

-include_lib("eunit/include/eunit.hrl").

%% For a look at what is generated.
-export([calls/1, change/0, change/2]).

-import(hb_state_support, [image/0, run/2, snapshot/1, snapshot/2]).

%% The state as it comes back goes on as the one that it was taken of: the same
%% results, and the same bytes at the end.
a_restored_state_goes_on_like_the_original_test_() ->
    with_peer(?FUNCTION_NAME, fun(Peer) ->
        Case = proper_types:tuple([calls(40), calls(20), form()]),
        property(500, Case, fun({Before, After, Form}) ->
            Image = image(),
            {ok, H} = hb_wasm64:start(Image),
            Stored = stored(Form, H, Before),
            There = hb_support:on_peer(Peer, fun() ->
                New = restored(Image, Stored),
                Same = seen(New),
                {Same, run(New, After), seen(New)}
            end),
            Here = {seen(H), run(H, After), seen(H)},
            There =:= Here
        end)
    end).

%% Two ways to one state lead to the same bytes: as it was, restored, forked,
%% in whatever form.
all_forms_hold_the_same_state_test_() ->
    {atom_to_list(?FUNCTION_NAME), {timeout, 300, fun() ->
        property(200, proper_types:tuple([calls(30), calls(30)]), fun({Before, After}) ->
            {ok, H} = hb_wasm64:start(image()),
            _ = run(H, Before),
            Base = snapshot(H),
            _ = run(H, After),
            Whole = snapshot(H),
            Delta = snapshot(H, #{base => Base}),
            Small = snapshot(H, #{base => snapshot(H), compress => true}),
            {ok, Memory, Rest} = hb_wasm64:read_state(H),
            {ok, Fork} = hb_wasm64:fork(H),
            ok = hb_wasm64:restore(H, Base),
            Again = snapshot(H) =:= Base,
            Reverse = snapshot(H, #{base => Whole}),
            ok = hb_wasm64:restore(H, [Base, Delta]),
            Forward = snapshot(H) =:= Whole,
            ok = hb_wasm64:restore(H, [Whole, Reverse]),
            Backward = snapshot(H) =:= Base,
            ok = hb_wasm64:write_state(H, Memory, Rest),
            Raw = snapshot(H) =:= Whole,
            {Again, Forward, Backward, Raw, snapshot(Fork) =:= Whole, hb_wasm64:merge([Base, Delta]) =:= {ok, Whole},
             hb_wasm64:merge([Base, Delta, Small]) =:= {ok, Whole}, hb_wasm64:read_memory(H) =:= {ok, Memory}}
                =:= {true, true, true, true, true, true, true, true}
        end)
    end}}.

%% To the last byte, patches of pages included.
what_is_written_is_what_its_description_says_test_() ->
    {atom_to_list(?FUNCTION_NAME), {timeout, 300, fun() ->
        property(100, proper_types:tuple([calls(20), calls(20), proper_types:list({between(0, 8_000), bytes()})]), fun({Before, After, Writes}) ->
            {ok, H} = hb_wasm64:start(image()),
            _ = run(H, Before),
            Base = snapshot(H),
            _ = run(H, After),
            [ok = hb_wasm64:write(H, At, Bytes) || {At, Bytes} <- Writes],
            Whole = snapshot(H),
            [From, To] = [hb_snapshot:decode(Snapshot) || Snapshot <- [Base, Whole]],
            {ok, Memory, Rest} = hb_wasm64:read_state(H),
            {Memory, hb_snapshot:full(To), hb_snapshot:delta(From, To), hb_snapshot:delta(To, From)}
                =:= {hd(maps:get(memories, To)), Whole, snapshot(H, #{base => Base}), back(H, Base, Whole)}
                andalso (Rest =:= none orelse Rest =:= hb_snapshot:partial(To))
        end)
    end}}.

back(H, Base, Whole) ->
    ok = hb_wasm64:restore(H, Base),
    snapshot(H, #{base => Whole}).

%% With equal bytes side by side, which patches leave out or not.
bytes() ->
    proper_types:bind(proper_types:list({proper_types:integer(1, 6), proper_types:elements([0, 0, 1, 255])}), fun(Runs) ->
        proper_types:exactly(iolist_to_binary([binary:copy(<<Byte>>, N) || {N, Byte} <- Runs]))
    end, false).

%% Nothing that can be given instead of a snapshot does harm.
any_bytes_are_refused_test_() ->
    {atom_to_list(?FUNCTION_NAME), {timeout, 300, fun() ->
        H = hb_state_support:start(),
        Whole = snapshot(H),
        Head = binary:part(Whole, 0, 128),
        Bytes = proper_types:tuple([proper_types:elements([<<>>, Head, binary:part(Head, 0, 12), Whole]), proper_types:binary()]),
        property(1000, proper_types:tuple([Bytes, proper_types:list(proper_types:binary())]), fun({{Start, End}, More}) ->
            Given = case <<Start/binary, End/binary>> of
                Whole -> [Whole, <<>> | More];
                Other -> [Other | More]
            end,
            {error, {invalid_snapshot, _}} = hb_wasm64:restore(H, Given),
            {error, {invalid_snapshot, _}} = hb_wasm64:merge(Given),
            {error, {invalid_snapshot, _}} = hb_wasm64:snapshot(H, #{base => Given}),
            true
        end),
        ?assert(Whole =:= snapshot(H))
    end}}.

%% A snapshot that somebody made up, with everything in it that makes it right,
%% but for what it says: it is refused, or is the state from then on.
what_is_accepted_is_what_it_says_test_() ->
    {atom_to_list(?FUNCTION_NAME), {timeout, 300, fun() ->
        H = hb_state_support:start(),
        _ = run(H, [{"put1", [8, 9]}, {"set", [3, 2]}, {"grow2", [1]}, {"data_drop", []}]),
        Own = snapshot(H),
        State = hb_snapshot:decode(Own),
        property(1000, proper_types:non_empty(proper_types:resize(3, proper_types:list(change()))), fun(Changes) ->
            Given = hb_snapshot:full(lists:foldl(fun change/2, State, Changes)),
            case hb_wasm64:restore(H, Given) of
                ok ->
                    Is = snapshot(H) =:= Given,
                    ok = hb_wasm64:restore(H, Own),
                    Is;
                {error, {Kind, _}} when Kind =:= invalid_snapshot; Kind =:= limit ->
                    snapshot(H) =:= Own
            end
        end)
    end}}.

change() ->
    Index = between(0, 13),
    Value = proper_types:bind(proper_types:elements([{0, 0}, {1, 4}, {2, 8}, {3, 4}, {4, 8}, {5, 16}, {6, 4}]), fun({Type, Size}) ->
        {Type, proper_types:oneof([proper_types:binary(Size) | [proper_types:elements([<<-1:32>>, <<2:32/little>>, <<9:32/little>>]) || Type =:= 6]])}
    end, false),
    Function = proper_types:oneof([16#ffffffff, between(0, 8)]),
    proper_types:frequency([
        {4, {becomes, Index, Value}}, {1, {added, Index, Value}}, {1, {left_out, Index}},
        {3, {table, between(0, 5), proper_types:oneof([0, 2, 4, between(0, 70)]), Function}}, {1, {tables, between(0, 1)}},
        {3, {data, between(0, 63)}}, {3, {elements, between(0, 63)}},
        {2, {memory, between(0, 2), between(0, 17)}}, {1, {memories, between(0, 4)}}
    ]).

change({becomes, N, {Type, Bytes}}, #{globals := [_ | _] = Globals} = S) ->
    {At, _, _} = lists:nth(N rem length(Globals) + 1, Globals),
    S#{globals => lists:keyreplace(At, 1, Globals, {At, Type, Bytes})};
change({added, N, {Type, Bytes}}, #{globals := Globals} = S) ->
    S#{globals => lists:sort(lists:keystore(N, 1, Globals, {N, Type, Bytes}))};
change({left_out, N}, #{globals := [_ | _] = Globals} = S) ->
    S#{globals => Globals -- [lists:nth(N rem length(Globals) + 1, Globals)]};
change({table, N, Entries, Function}, #{tables := Tables} = S) ->
    S#{tables => lists:sort(lists:keystore(N, 1, Tables, {N, Entries, [{Entries, Function} || Entries > 0]}))};
change({tables, N}, #{tables := Tables} = S) ->
    S#{tables => lists:sublist(Tables, N)};
change({Segments, Bits}, S) when Segments =:= data; Segments =:= elements ->
    S#{Segments => [B || B <- lists:seq(0, 5), Bits band (1 bsl B) > 0]};
change({memory, N, Pages}, #{memories := Memories} = S) when N < length(Memories) ->
    {Some, [Memory | More]} = lists:split(N, Memories),
    Kept = binary:part(Memory, 0, min(Pages * 65536, byte_size(Memory))),
    S#{memories => Some ++ [<<Kept/binary, 0:((Pages * 65536 - byte_size(Kept)) * 8)>> | More]};
change({memories, N}, #{memories := Memories} = S) ->
    S#{memories => lists:sublist(Memories ++ [<<>>], N)};
change(_, S) ->
    S.

%% Forms of a state, and ways to it

form() -> proper_types:elements([whole, compressed, raw, {chain, false}, {chain, true}, merged]).

%% Runs the calls and gives the state afterwards. A chain has a delta for every
%% few calls.
stored({chain, Compress}, H, Calls) ->
    lists:foldl(fun(Some, Chain) ->
        _ = run(H, Some),
        Chain ++ [snapshot(H, #{base => Chain, compress => Compress})]
    end, [snapshot(H)], some(7, Calls));
stored(merged, H, Calls) ->
    {ok, Merged} = hb_wasm64:merge(stored({chain, true}, H, Calls)),
    Merged;
stored(Form, H, Calls) ->
    _ = run(H, Calls),
    case Form of
        whole -> snapshot(H);
        compressed -> snapshot(H, #{compress => true});
        raw -> {ok, Memory, Rest} = hb_wasm64:read_state(H), {Memory, Rest}
    end.

some(N, Calls) when length(Calls) > N ->
    {Some, Rest} = lists:split(N, Calls),
    [Some | some(N, Rest)];
some(_, Calls) ->
    [Calls].

restored(Image, {Memory, Rest}) ->
    {ok, H} = hb_wasm64:start(Image),
    ok = hb_wasm64:write_state(H, Memory, Rest),
    H;
restored(Image, Stored) ->
    {ok, H} = hb_wasm64:start(Image, #{snapshot => Stored}),
    H.

seen(H) -> {crypto:hash(sha256, snapshot(H)), hb_state_support:raw(H)}.

%% Random calls. What they are given is mostly within bounds, and not always.
calls(Most) ->
    proper_types:resize(Most, proper_types:list(call())).

call() ->
    Which = between(0, 7),
    Entry = between(0, 12),
    Small = between(0, 4),
    [At1, At2] = [proper_types:oneof([between(0, 65_600), between(0, Size)]) || Size <- [300_000, 150_000]],
    I32 = between(-(1 bsl 31), 1 bsl 31 - 1),
    I64 = proper_types:oneof([between(-(1 bsl 63), 1 bsl 63 - 1), 0]),
    Size = between(0, 10_000),
    Byte = proper_types:oneof([0, between(0, 255)]),
    Weighted = [
        {6, [{"put1", [At1, I64]}, {"put2", [At2, I64]}, {"put3", [At1, I64]}, {"mix", [I32]}]},
        {3, [{"fill1", [At1, Byte, Size]}, {"fill2", [At2, Byte, Size]}, {"copy", [At1, At2, Size]}]},
        {2, [{"grow1", [Small]}, {"grow2", [Small]}, {"grow3", [Small]}, {"grow", [Small, Which]}, {"grow_hidden", [Small, Which]},
             {"grow_externs", [Small, null]}]},
        {4, [{"set_i32", [I32]}, {"set_i64", [I64]}, {"set_f32", [bits(32)]}, {"set_f64", [bits(64)]},
             {"set_v128", [proper_types:binary(16)]}, {"set_func", [Which]}, {"set_null", [Which]}]},
        {6, [{"set", [Entry, Which]}, {"fill", [Entry, Which, Small]}, {"set_hidden", [Small, Which]}, {"table_copy", [Entry, Small, Small]},
             {"elem_init", [Entry, Small, Small]}, {"elem_init2", [Small, Small, Small]}]},
        {6, [{"call", [Entry, I32]}, {"call_hidden", [Small, I32]}, {"call_global", [between(0, 1), I32]}, {"ask", [I32]}]},
        {3, [{"data_init", [At1, Small, Small]}, {"data_init2", [At2, Small, Small]}, {"numbers", []}, {"sizes", []}, {"table_sizes", []}]},
        {1, [{"data_drop", []}, {"data_drop2", []}, {"elem_drop", []}, {"elem_drop2", []}]}
    ],
    proper_types:frequency([{Weight, {Func, proper_types:fixed_list(Args)}} || {Weight, Calls} <- Weighted, {Func, Args} <- Calls]).

%% PropEr's own are small ones.
between(Low, High) ->
    proper_types:bind(proper_types:binary(8), fun(<<N:64>>) -> proper_types:exactly(Low + N rem (High - Low + 1)) end, false).

%% A float of any bits, as the library writes it.
bits(Width) ->
    Make = fun(Bytes) ->
        case {Width, Bytes} of
            {32, <<Float:32/float>>} -> Float;
            {64, <<Float/float>>} -> Float;
            {32, <<Bits:32>>} -> named(Bits, 16#7f800000, 16#ff800000, 16#7fc00000);
            {64, <<Bits:64>>} -> named(Bits, 16#7ff0000000000000, 16#fff0000000000000, 16#7ff8000000000000)
        end
    end,
    Exponent = case Width of 32 -> <<16#7f800000:32>>; 64 -> <<16#7ff0000000000000:64>> end,
    Bytes = proper_types:bind(proper_types:binary(Width div 8), fun(B) ->
        proper_types:elements([B, crypto:exor(B, Exponent), <<16#7f, 16#ff, (binary:part(B, 2, Width div 8 - 2))/binary>>])
    end, false),
    proper_types:bind(Bytes, fun(B) -> proper_types:exactly(Make(B)) end, false).

named(Bits, Bits, _, _) -> infinity;
named(Bits, _, Bits, _) -> neg_infinity;
named(Bits, _, _, Bits) -> nan;
named(Bits, _, _, _) -> {nan, Bits}.

%% Support

with_peer(Title, Test) ->
    {atom_to_list(Title), {timeout, 600, fun() ->
        Peer = hb_support:peer(),
        Test(Peer),
        ok = peer:stop(Peer)
    end}}.

property(Tests, Generator, Holds) ->
    Property = proper:forall(Generator, Holds),
    %% In place of true comes the counterexample.
    ?assertEqual(true, proper:quickcheck(Property, [quiet, long_result, {numtests, Tests}])).
