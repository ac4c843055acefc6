%% Four thousand damaged snapshots: each is refused, or is the state that it was
%% before it was damaged. The instance and the VM take no harm.
-module(hb_wasm64_damaged_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_state_support, [image/0, run/2, snapshot/1, snapshot/2, hash/1]).

-define(EACH, 1_000).

damaged_snapshots_are_refused_or_harmless_test_() ->
    [{lists:concat([?EACH, " damaged ones, ", Form]), {timeout, 600, fun() ->
        Peer = hb_support:peer(),
        Seed = erlang:unique_integer([positive]) + erlang:system_time(),
        {Counts, Growth} = hb_support:on_peer(Peer, fun() -> damage(Form, Seed) end),
        ok = peer:stop(Peer),
        ?assertEqual({[], Seed}, {maps:get(bad, Counts, []), Seed}),
        %% Nearly all of them are found out, by a check of some kind.
        ?assert(maps:get(refused, Counts) > ?EACH * 9 div 10, Counts),
        ?assertEqual({true, Seed}, {Growth, Seed})
    end}} || Form <- [whole, compressed, delta, raw]].

damage(Form, Seed) ->
    _ = rand:seed(exsss, Seed),
    {Original, Good} = stored(Form),
    H = hb_state_support:start(),
    _ = run(H, [{"put1", [0, 7]}, {"grow1", [2]}, {"set_i32", [9]}]),
    Own = snapshot(H),
    Before = hash(H),
    Try = fun(Counts, Bad) ->
        case result(tried(Form, H, Bad), Original) of
            {harmless, H} ->
                ok = hb_wasm64:restore(H, Own),
                count(harmless, Counts);
            {harmless, New} ->
                ok = hb_wasm64:stop(New),
                count(harmless, Counts);
            refused ->
                case hash(H) of
                    Before -> count(refused, Counts);
                    _ -> bad({changed, H}, Counts)
                end;
            Other ->
                bad(Other, Counts)
        end
    end,
    First = lists:foldl(fun(_, Counts) -> Try(Counts, damaged(Good)) end, #{}, lists:seq(1, ?EACH div 5)),
    erlang:garbage_collect(),
    Rss = hb_support:rss(),
    All = lists:foldl(fun(N, Counts) ->
        N rem 100 =:= 0 andalso erlang:garbage_collect(),
        Try(Counts, damaged(Good))
    end, First, lists:seq(1, ?EACH * 4 div 5)),
    ?assertMatch([[3, 1, 1], [9 | _]], run(H, [{"sizes", []}, {"numbers", []}])),
    Grown = fun() -> erlang:garbage_collect(), hb_support:rss() - Rss end,
    {All, hb_support:wait_until(fun() -> Grown() < 50_000_000 end) orelse {grown, Grown()}}.

count(What, Counts) -> maps:update_with(What, fun(N) -> N + 1 end, 1, Counts).

%% The first few are enough.
bad(What, Counts) -> maps:update_with(bad, fun(Some) -> lists:sublist([What | Some], 5) end, [What], Counts).

%% A state with much in it, in one of the forms, and its hash.
stored(Form) ->
    H = hb_state_support:start(),
    Base = snapshot(H),
    _ = run(H, hb_state_support:everything()),
    Stored = case Form of
        whole -> [snapshot(H)];
        compressed -> [snapshot(H, #{compress => true})];
        delta -> [Base, snapshot(H, #{base => Base, compress => rand:uniform(2) =:= 1})];
        raw -> {ok, Memory, Rest} = hb_wasm64:read_state(H), [Memory, Rest]
    end,
    {hash(H), Stored}.

tried(raw, H, [Memory, Rest]) ->
    case rand:uniform(2) of
        1 -> {hb_wasm64:write_state(H, Memory, Rest), H};
        2 -> {hb_wasm64:start(image(), #{snapshot => {raw, Memory, Rest}}), none}
    end;
tried(_, H, Bad) ->
    case rand:uniform(2) of
        1 -> {hb_wasm64:restore(H, Bad), H};
        2 -> {hb_wasm64:start(image(), #{snapshot => Bad}), none}
    end.

result({ok, H}, Original) -> same(H, Original);
result({{ok, New}, none}, Original) -> same(New, Original);
result({{error, {invalid_snapshot, #{message := <<_, _/binary>>}}}, _}, _) -> refused;
result({{error, {limit, Limit}}, _}, _) when Limit =:= memory; Limit =:= table -> refused;
result({Other, _}, _) -> {unexpected, dev_wasm64_support:brief(Other)}.

same(H, Original) ->
    case hash(H) of
        Original -> {harmless, H};
        _ -> another_state
    end.

%% Damages one of the parts: the last, mostly. The raw memory itself has no
%% check; it is left alone.
damaged([One]) -> [bytes(One)];
damaged([Memory, Rest]) when binary_part(Rest, 10, 1) =:= <<4>> -> [Memory, bytes(Rest)];
damaged([Base, Delta]) ->
    case rand:uniform(8) of
        1 -> [bytes(Base), Delta];
        2 -> lists:nth(rand:uniform(5), [[Delta, Base], [Base, Base], [Base, Delta, Delta], [Delta], [Delta, Delta]]);
        _ -> [Base, bytes(Delta)]
    end.

%% In ways that a check finds, and in ways that get past the check of header
%% and tables.
bytes(Good) ->
    case way(rand:uniform(10), Good) of
        Good -> bytes(Good);
        Bad -> Bad
    end.

way(N, Good) when N =< 2 -> flipped(Good, rand:uniform(byte_size(Good)) - 1);
way(3, Good) -> binary:part(Good, 0, rand:uniform(byte_size(Good)) - 1);
way(4, Good) -> inserted(Good, rand:uniform(byte_size(Good)) - 1, rand:bytes(rand:uniform(64)));
way(5, Good) -> cut(Good, rand:uniform(byte_size(Good)) - 1, rand:uniform(64));
way(6, Good) -> swapped(Good);
way(7, Good) -> hb_snapshot:seal(flipped(Good, rand:uniform(tables(Good)) - 1));
way(8, Good) -> hb_snapshot:seal(number(Good));
way(9, Good) -> hb_snapshot:join(part(hb_snapshot:parts(Good)));
way(10, Good) ->
    Parts = hb_snapshot:parts(Good),
    [One, Two] = [lists:nth(rand:uniform(3), [rest, table, data]) || _ <- [1, 2]],
    hb_snapshot:join(Parts#{One => maps:get(Two, Parts), Two => maps:get(One, Parts)}).

%% Where the page data begin.
tables(<<_:12/binary, Rest:32/little, Table:64/little, _/binary>>) -> 128 + Rest + Table.

flipped(Bytes, At) ->
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    <<Before/binary, (Byte bxor (1 bsl (rand:uniform(8) - 1))), After/binary>>.

inserted(Bytes, At, More) ->
    <<Before:At/binary, After/binary>> = Bytes,
    <<Before/binary, More/binary, After/binary>>.

cut(Bytes, At, Size) ->
    <<Before:At/binary, Rest/binary>> = Bytes,
    Less = min(Size, byte_size(Rest)),
    <<_:Less/binary, After/binary>> = Rest,
    <<Before/binary, After/binary>>.

%% Two stretches of the same length change places.
swapped(Bytes) ->
    Size = rand:uniform(min(64, byte_size(Bytes) div 2)),
    One = rand:uniform(byte_size(Bytes) - 2 * Size + 1) - 1,
    Two = One + Size + rand:uniform(byte_size(Bytes) - One - 2 * Size + 1) - 1,
    Gap = Two - One - Size,
    <<Before:One/binary, A:Size/binary, Between:Gap/binary, B:Size/binary, After/binary>> = Bytes,
    <<Before/binary, B/binary, Between/binary, A/binary, After/binary>>.

%% A number where a length or a count may be becomes another one.
number(Bytes) ->
    Width = lists:nth(rand:uniform(3), [16, 32, 64]),
    At = rand:uniform(tables(Bytes) - 8) - 1,
    <<Before:At/binary, _:Width, After/binary>> = Bytes,
    Value = lists:nth(rand:uniform(8), [0, 1, -1, 1 bsl 31, 1 bsl 63, 4096, 65536, rand:uniform(1 bsl 62)]),
    <<Before/binary, Value:Width/little, After/binary>>.

%% A part becomes another one, and the lengths in the header are right.
part(Parts) ->
    Key = lists:nth(rand:uniform(6), [rest, table, data, image, id, base]),
    Part = maps:get(Key, Parts),
    Bad = case {Key, byte_size(Part)} of
        {_, 0} -> rand:bytes(rand:uniform(100));
        {Sized, _} when Sized =:= rest; Sized =:= table; Sized =:= data ->
            case rand:uniform(3) of
                1 -> flipped(Part, rand:uniform(byte_size(Part)) - 1);
                2 -> inserted(Part, rand:uniform(byte_size(Part)) - 1, rand:bytes(rand:uniform(40)));
                3 -> cut(Part, rand:uniform(byte_size(Part)) - 1, rand:uniform(40))
            end;
        _ -> flipped(Part, rand:uniform(byte_size(Part)) - 1)
    end,
    Parts#{Key => Bad}.
