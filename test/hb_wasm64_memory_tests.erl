%% The host's access to a guest's memory.
-module(hb_wasm64_memory_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PAGE, 65536).

%% Each test of this kind runs with a 32-bit and with a 64-bit memory.
-define(BOTH, ["memory", "memory64"]).

what_the_guest_has_is_read_and_what_is_written_it_sees_test() ->
    [begin
         H = hb_support:start(Guest),
         ?assertEqual({ok, <<"Hello, World!", 0>>}, hb_wasm64:read(H, 64, 14)),
         ?assertEqual(ok, hb_wasm64:write(H, 64, <<"Jello">>)),
         ?assertEqual({ok, [$J]}, hb_wasm64:call(H, "load8", [64])),
         ?assertEqual({ok, <<"Jello, World!">>}, hb_wasm64:read(H, 64, 13)),
         {ok, []} = hb_wasm64:call(H, "store64", [200, 16#0102030405060708]),
         ?assertEqual({ok, <<8, 7, 6, 5, 4, 3, 2, 1>>}, hb_wasm64:read(H, 200, 8)),
         ok = hb_wasm64:write(H, ?PAGE - 8, <<-2:64/little>>),
         ?assertEqual({ok, [-2]}, hb_wasm64:call(H, "load64", [?PAGE - 8])),
         ?assertEqual({ok, <<>>}, hb_wasm64:read(H, 0, 0)),
         ?assertEqual(ok, hb_wasm64:write(H, 0, <<>>))
     end || Guest <- ?BOTH].

the_size_follows_the_guest_test() ->
    [begin
         H = hb_support:start(Guest),
         ?assertEqual({ok, ?PAGE}, hb_wasm64:memory_size(H)),
         {ok, [1]} = hb_wasm64:call(H, "grow", [3]),
         ?assertEqual({ok, 4 * ?PAGE}, hb_wasm64:memory_size(H)),
         ?assertEqual({ok, <<0>>}, hb_wasm64:read(H, 4 * ?PAGE - 1, 1)),
         ?assertEqual(beyond(4 * ?PAGE, 1, 4 * ?PAGE), hb_wasm64:read(H, 4 * ?PAGE, 1)),
         %% The guest is told where its own limit is.
         ?assertEqual({ok, [-1]}, hb_wasm64:call(H, "grow", [65536])),
         ?assertEqual({ok, 4 * ?PAGE}, hb_wasm64:memory_size(H))
     end || Guest <- ?BOTH].

%% The C driver crashed the node on most of these.
access_beyond_the_memory_is_out_of_bounds_test() ->
    Beyond = [
        {?PAGE, 1}, {?PAGE - 1, 2}, {0, ?PAGE + 1}, {?PAGE + 1, 0}, {1 bsl 31, 4}, {1 bsl 32, 4}, {1 bsl 62, 1},
        {1 bsl 63, 1}, {1 bsl 64 - 1, 1}, {1 bsl 64 - 4, 8}
    ],
    [begin
         H = hb_support:start(Guest),
         [begin
              ?assertEqual(beyond(At, Size, ?PAGE), hb_wasm64:read(H, At, Size)),
              ?assertEqual(beyond(At, Size, ?PAGE), hb_wasm64:write(H, At, <<0:Size/unit:8>>))
          end || {At, Size} <- Beyond],
         %% Sizes that no binary has.
         [?assertEqual(beyond(At, Size, ?PAGE), hb_wasm64:read(H, At, Size))
          || {At, Size} <- [{0, 1 bsl 40}, {0, 1 bsl 63}, {0, 1 bsl 64 - 1}, {64, 1 bsl 64 - 64}, {1 bsl 63, 1 bsl 63}]],
         ?assertEqual({ok, <<"Hello, World!">>}, hb_wasm64:read_string(H, 64))
     end || Guest <- ?BOTH].

%% No integer is too strange to be answered: the map repeats it.
negative_and_huge_numbers_are_out_of_bounds_test() ->
    H = hb_support:start("memory64"),
    [begin
         ?assertEqual(beyond(At, 4, ?PAGE), hb_wasm64:read(H, At, 4)),
         ?assertEqual(beyond(At, 4, ?PAGE), hb_wasm64:write(H, At, <<1, 2, 3, 4>>)),
         ?assertMatch({error, {out_of_bounds, #{offset := At, memory := ?PAGE}}}, hb_wasm64:read_string(H, At))
     end || At <- [-1, -64, -(1 bsl 31), -(1 bsl 63), -(1 bsl 64), 1 bsl 64, 1 bsl 70, 1 bsl 4000, -(1 bsl 4000)]],
    [?assertEqual(beyond(0, Size, ?PAGE), hb_wasm64:read(H, 0, Size))
     || Size <- [-1, -(1 bsl 63), -(1 bsl 64), 1 bsl 64, 1 bsl 70, -(1 bsl 4000)]].

%% The very end is within.
nothing_can_be_read_at_the_end_test() ->
    H = hb_support:start("memory"),
    ?assertEqual({ok, <<>>}, hb_wasm64:read(H, ?PAGE, 0)),
    ?assertEqual(ok, hb_wasm64:write(H, ?PAGE, <<>>)),
    ?assertEqual({ok, <<0>>}, hb_wasm64:read(H, ?PAGE - 1, 1)),
    ?assertEqual({ok, <<0:?PAGE/unit:8>>},
                 begin ok = hb_wasm64:write(H, 64, <<0:14/unit:8>>), hb_wasm64:read(H, 0, ?PAGE) end).

%% A refused write must not have written its first half.
a_refused_write_changes_nothing_test() ->
    H = hb_support:start("memory"),
    {error, {out_of_bounds, _}} = hb_wasm64:write(H, ?PAGE - 2, <<1, 2, 3>>),
    ?assertEqual({ok, <<0, 0>>}, hb_wasm64:read(H, ?PAGE - 2, 2)).

%% What has been read is a copy.
a_binary_once_read_does_not_change_test() ->
    H = hb_support:start("memory"),
    {ok, Before} = hb_wasm64:read(H, 0, ?PAGE),
    Copy = binary:copy(Before),
    {ok, []} = hb_wasm64:call(H, "fill", [0, 255, ?PAGE]),
    ?assertEqual(Copy, Before),
    {ok, H2} = hb_wasm64:start(hb_support:guest("memory")),
    ?assertEqual({ok, Copy}, hb_wasm64:read(H2, 0, ?PAGE)).

%% It behaves like a memory of size 0.
an_image_without_memory_has_one_of_size_0_test() ->
    H = hb_support:start("numbers"),
    ?assertEqual({ok, 0}, hb_wasm64:memory_size(H)),
    ?assertEqual({ok, <<>>}, hb_wasm64:read(H, 0, 0)),
    ?assertEqual(ok, hb_wasm64:write(H, 0, <<>>)),
    ?assertEqual(beyond(0, 1, 0), hb_wasm64:read(H, 0, 1)),
    ?assertEqual(beyond(1, 0, 0), hb_wasm64:read(H, 1, 0)),
    ?assertEqual(beyond(0, 3, 0), hb_wasm64:write(H, 0, <<"abc">>)),
    ?assertMatch({error, {out_of_bounds, #{offset := 0, memory := 0}}}, hb_wasm64:read_string(H, 0)).

%% The one called "memory", wherever it stands.
the_exported_memory_is_the_one_that_is_meant_test() ->
    H = hb_support:start("many_memories"),
    ?assertEqual({ok, 2 * ?PAGE}, hb_wasm64:memory_size(H)),
    ?assertEqual({ok, <<"memory">>}, hb_wasm64:read_string(H, 0)),
    ok = hb_wasm64:write(H, 0, <<"x">>),
    ?assertEqual({ok, [$a, $x, $c]}, hb_wasm64:call(H, "first_bytes", [])).

%% On a dirty scheduler, where it would take long on a normal one.
much_memory_is_read_as_it_was_written_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("memory64"),
        {ok, [1]} = hb_wasm64:call(H, "grow", [1023]),
        Block = crypto:strong_rand_bytes(1 bsl 20),
        Bytes = << <<N:32, (binary:part(Block, 0, (1 bsl 20) - 4))/binary>> || N <- lists:seq(1, 64) >>,
        ?assertEqual(1 bsl 26, byte_size(Bytes)),
        ?assertEqual(ok, hb_wasm64:write(H, 0, Bytes)),
        {ok, Read} = hb_wasm64:read(H, 0, 1 bsl 26),
        ?assert(Bytes =:= Read),
        {ok, Odd} = hb_wasm64:read(H, 4097, (1 bsl 26) - 4098),
        ?assert(binary:part(Bytes, 4097, (1 bsl 26) - 4098) =:= Odd),
        {ok, [_]} = hb_wasm64:call(H, "load8", [(1 bsl 26) - 1]),
        ?assertEqual(beyond(1, 1 bsl 26, 1 bsl 26), hb_wasm64:read(H, 1, 1 bsl 26))
    end}.

%% Sixteen gigabytes at the start cost address space, not memory.
a_large_memory_costs_what_is_touched_of_it_test() ->
    Before = hb_support:rss(),
    H = hb_support:start("big_memory"),
    ?assertEqual({ok, 1 bsl 34}, hb_wasm64:memory_size(H)),
    ok = hb_wasm64:write(H, (1 bsl 34) - 1, <<7>>),
    ?assertEqual({ok, <<0, 7>>}, hb_wasm64:read(H, (1 bsl 34) - 2, 2)),
    ?assert(hb_support:rss() - Before < 100_000_000),
    ok = hb_wasm64:stop(H).

%% Strings

strings_end_at_the_nul_test() ->
    [begin
         H = hb_support:start(Guest),
         ?assertEqual({ok, <<"Hello, World!">>}, hb_wasm64:read_string(H, 64)),
         ?assertEqual({ok, <<"World!">>}, hb_wasm64:read_string(H, 71)),
         ?assertEqual({ok, <<>>}, hb_wasm64:read_string(H, 77)),
         ?assertEqual({ok, <<>>}, hb_wasm64:read_string(H, ?PAGE - 1)),
         %% Any bytes but NUL.
         Text = list_to_binary(lists:seq(1, 255)),
         ok = hb_wasm64:write(H, 1000, <<Text/binary, 0>>),
         ?assertEqual({ok, Text}, hb_wasm64:read_string(H, 1000))
     end || Guest <- ?BOTH].

long_strings_are_read_test() ->
    H = hb_support:start("memory"),
    {ok, [1]} = hb_wasm64:call(H, "grow", [255]),
    Text = binary:copy(<<"0123456789abcdef">>, 1_000_000),
    ok = hb_wasm64:write(H, 100, <<Text/binary, 0>>),
    {ok, Read} = hb_wasm64:read_string(H, 100),
    ?assert(Text =:= Read).

%% The memory's end is not the string's.
strings_without_nul_are_out_of_bounds_test() ->
    H = hb_support:start("unterminated"),
    {ok, [At]} = hb_wasm64:call(H, "handle", [0, 0]),
    ?assertMatch({error, {out_of_bounds, #{offset := At, size := Size, memory := ?PAGE}}} when At + Size > ?PAGE,
                 hb_wasm64:read_string(H, At)),
    ?assertMatch({error, {out_of_bounds, #{offset := ?PAGE}}}, hb_wasm64:read_string(H, ?PAGE)),
    ?assertMatch({error, {out_of_bounds, #{offset := 65537}}}, hb_wasm64:read_string(H, 65537)),
    ?assertMatch({error, {out_of_bounds, _}}, hb_wasm64:read_string(H, 1 bsl 64 - 1)).

written_strings_have_a_nul_and_a_place_of_their_own_test() ->
    [begin
         H = hb_support:start(Guest),
         Texts = ["Hello", <<"World">>, "", <<>>, ["nested", [<<" io">>, $d, [$a | <<"ta">>]]], <<"naïve"/utf8>>,
                  lists:seq(128, 255)],
         Pointers = [element(2, {ok, _} = hb_wasm64:write_string(H, Text)) || Text <- Texts],
         ?assertEqual(length(Pointers), length(lists:usort(Pointers))),
         [begin
              Bytes = iolist_to_binary(Text),
              ?assertEqual({ok, Bytes}, hb_wasm64:read_string(H, P)),
              ?assertEqual({ok, <<Bytes/binary, 0>>}, hb_wasm64:read(H, P, byte_size(Bytes) + 1)),
              ?assertEqual({ok, [byte_size(Bytes)]}, hb_wasm64:call(H, "strlen", [P])),
              ?assertEqual(ok, hb_wasm64:free(H, P))
          end || {Text, P} <- lists:zip(Texts, Pointers)]
     end || Guest <- ?BOTH].

%% The guest's malloc grows the memory: the write must see the new one.
a_long_string_grows_the_memory_test_() ->
    {timeout, 300, fun() ->
        [begin
             H = hb_support:start(Guest),
             Text = binary:copy(<<"x">>, 10_000_000),
             {ok, P} = hb_wasm64:write_string(H, Text),
             {ok, Read} = hb_wasm64:read_string(H, P),
             ?assert(Text =:= Read)
         end || Guest <- ?BOTH]
    end}.

%% malloc and free

malloc_gives_room_test() ->
    [begin
         H = hb_support:start(Guest),
         {ok, A} = hb_wasm64:malloc(H, 100),
         {ok, B} = hb_wasm64:malloc(H, 100),
         ?assert(abs(A - B) >= 100),
         ok = hb_wasm64:write(H, A, binary:copy(<<1>>, 100)),
         ok = hb_wasm64:write(H, B, binary:copy(<<2>>, 100)),
         ?assertEqual({ok, binary:copy(<<1>>, 100)}, hb_wasm64:read(H, A, 100)),
         ?assertEqual(ok, hb_wasm64:free(H, A)),
         ?assertMatch({ok, _}, hb_wasm64:malloc(H, 0))
     end || Guest <- ?BOTH].

%% Null is no pointer: nothing may be written there.
malloc_that_has_nothing_fails_test() ->
    H = hb_support:start("no_malloc"),
    ?assertEqual({error, malloc_failed}, hb_wasm64:malloc(H, 8)),
    ?assertEqual({error, malloc_failed}, hb_wasm64:write_string(H, "Hello")),
    ?assertEqual({ok, [0]}, hb_wasm64:call(H, "load8", [0])),
    %% More than the memory may ever have.
    ?assertEqual({error, malloc_failed}, hb_wasm64:malloc(hb_support:start("memory"), 1 bsl 30)).

%% The guest's word is checked.
malloc_that_lies_is_out_of_bounds_test() ->
    H = hb_support:start("bad_malloc"),
    ?assertMatch({error, {out_of_bounds, #{offset := 16#10000000000, size := 6, memory := ?PAGE}}},
                 hb_wasm64:write_string(H, "Hello")),
    {ok, [Pointer]} = hb_wasm64:call(H, "handle", [0, 0]),
    ?assertMatch({error, {out_of_bounds, _}}, hb_wasm64:read_string(H, Pointer)),
    ?assertEqual({ok, ?PAGE}, hb_wasm64:memory_size(H)).

%% (module (memory (export "memory") 32770)
%%   (func (export "malloc") (param i32) (result i32) i32.const 0x80000000)
%%   (func (export "free") (param i32)))
%% A pointer is an unsigned number, though the result of a call is signed.
pointers_in_the_upper_half_of_a_32_bit_memory_are_positive_test() ->
    {ok, H} = hb_wasm64:start(
        <<0, "asm", 1:32/little, 1, 10, 2, 16#60, 1, 16#7f, 1, 16#7f, 16#60, 1, 16#7f, 0, 3, 3, 2, 0, 1,
          5, 5, 1, 0, 16#82, 16#80, 2, 7, 26, 3, 6, "memory", 2, 0, 6, "malloc", 0, 0, 4, "free", 0, 1,
          10, 13, 2, 8, 0, 16#41, 16#80, 16#80, 16#80, 16#80, 16#78, 16#0b, 2, 0, 16#0b>>),
    ?assertEqual({ok, 16#80000000}, hb_wasm64:malloc(H, 8)),
    ?assertEqual({ok, 16#80000000}, hb_wasm64:write_string(H, "high")),
    ?assertEqual({ok, <<"high">>}, hb_wasm64:read_string(H, 16#80000000)),
    ?assertEqual(ok, hb_wasm64:free(H, 16#80000000)).

guests_without_malloc_and_free_say_so_test() ->
    [begin
         H = hb_support:start(Guest),
         ?assertMatch({error, {unknown_function, _}}, hb_wasm64:malloc(H, 8)),
         ?assertMatch({error, {unknown_function, _}}, hb_wasm64:write_string(H, "Hello")),
         ?assertMatch({error, {unknown_function, _}}, hb_wasm64:free(H, 8))
     end || Guest <- ["numbers", "start_ok"]].

%% A trap in the guest's own malloc or free is told as what it is. (module
%%   (memory (export "memory") 1)
%%   (func (export "malloc") (param i64) (result i64) unreachable)
%%   (func (export "free") (param i64) unreachable))
traps_in_malloc_and_free_are_traps_test() ->
    {ok, H} = hb_wasm64:start(
        <<0, "asm", 1:32/little, 1, 10, 2, 16#60, 1, 16#7e, 1, 16#7e, 16#60, 1, 16#7e, 0, 3, 3, 2, 0, 1,
          5, 3, 1, 0, 1, 7, 26, 3, 6, "memory", 2, 0, 6, "malloc", 0, 0, 4, "free", 0, 1,
          10, 9, 2, 3, 0, 0, 16#0b, 3, 0, 0, 16#0b>>),
    ?assertMatch({error, {trap, #{code := unreachable}}}, hb_wasm64:malloc(H, 8)),
    ?assertMatch({error, {trap, #{code := unreachable}}}, hb_wasm64:write_string(H, "Hello")),
    ?assertMatch({error, {trap, #{code := unreachable}}}, hb_wasm64:free(H, 8)),
    ?assertEqual({ok, <<0>>}, hb_wasm64:read(H, 0, 1)).

%% Support

beyond(Offset, Size, Memory) ->
    {error, {out_of_bounds, #{offset => Offset, size => Size, memory => Memory}}}.

%% A guest decides where its strings end, and with that how much memory of the node a read takes.
a_string_is_no_longer_than_the_option_max_allows_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("memory64"),
        Size = 5 bsl 20,
        {ok, [1]} = hb_wasm64:call(H, "grow", [Size div ?PAGE]),
        {ok, []} = hb_wasm64:call(H, "fill", [0, $a, Size]),
        %% Around what is read on a normal scheduler, and around nothing.
        [begin
             ok = hb_wasm64:write(H, Length, <<0>>),
             ?assertEqual({ok, binary:copy(<<"a">>, Length)}, hb_wasm64:read_string(H, 0, #{max => Length})),
             ?assertEqual({ok, binary:copy(<<"a">>, Length)}, hb_wasm64:read_string(H, 0, #{max => Length + 1})),
             [?assertEqual({error, {limit, string}}, hb_wasm64:read_string(H, 0, #{max => Max}))
              || Max <- [Length - 1, Length div 2, 0], Max >= 0, Max < Length],
             ok = hb_wasm64:write(H, Length, <<"a">>)
         end || Length <- [0, 1, 100, (1 bsl 20) - 1, 1 bsl 20, (1 bsl 20) + 1, 4 bsl 20]],
        [?assertEqual({error, {invalid_option, max, Max}}, hb_wasm64:read_string(H, 0, #{max => Max}))
         || Max <- [-1, 1.0, infinity, <<"1">>, 1 bsl 64]],
        %% One without an end.
        ok = hb_wasm64:write(H, Size, binary:copy(<<"a">>, ?PAGE)),
        ?assertMatch({error, {out_of_bounds, _}}, hb_wasm64:read_string(H, 0)),
        ?assertEqual({error, {limit, string}}, hb_wasm64:read_string(H, 0, #{max => Size}))
    end}.

without_the_option_max_a_string_has_at_most_64_mib_test_() ->
    {timeout, 300, fun() ->
        H = hb_support:start("memory64"),
        Most = 64 bsl 20,
        {ok, [1]} = hb_wasm64:call(H, "grow", [Most div ?PAGE]),
        {ok, []} = hb_wasm64:call(H, "fill", [0, $a, Most]),
        {ok, String} = hb_wasm64:read_string(H, 0),
        ?assertEqual(Most, byte_size(String)),
        ok = hb_wasm64:write(H, Most, <<"a">>),
        ?assertEqual({error, {limit, string}}, hb_wasm64:read_string(H, 0)),
        ?assertEqual({error, {limit, string}}, hb_beamr_io:read_string(H, 0)),
        ?assertMatch({ok, _}, hb_wasm64:read_string(H, 0, #{max => Most + 1}))
    end}.
