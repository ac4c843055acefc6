%% The drop-in for HyperBEAM's `hb_beamr_io': the memory of a guest.
-module(hb_beamr_io_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PAGE, 65536).

%% Memories of 32 and of 64 bits.
both(Test) -> lists:foreach(Test, ["memory", "memory64"]).

%% Size

size_is_in_bytes_and_follows_the_growth_of_the_memory_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        ?assertEqual({ok, ?PAGE}, hb_beamr_io:size(H)),
        {ok, [1]} = hb_beamr:call(H, "grow", [2]),
        ?assertEqual({ok, 3 * ?PAGE}, hb_beamr_io:size(H))
    end).

grow_grows_by_pages_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        ?assertEqual(ok, hb_beamr_io:grow(H, 2)),
        ?assertEqual({ok, 3 * ?PAGE}, hb_beamr_io:size(H)),
        ?assertEqual(ok, hb_beamr_io:grow(H, 0)),
        ?assertMatch({error, {limit, memory}}, hb_beamr_io:grow(H, 1 bsl 40)),
        ?assertMatch({error, {invalid_args, #{position := 2}}}, hb_beamr_io:grow(H, -1)),
        ?assertEqual({ok, 3 * ?PAGE}, hb_beamr_io:size(H))
    end).

size_of_an_instance_without_memory_is_zero_test() ->
    ?assertEqual({ok, 0}, hb_beamr_io:size(start("numbers"))).

%% Read and write

read_sees_what_the_guest_wrote_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        ?assertEqual({ok, <<"Hello, World!">>}, hb_beamr_io:read(H, 64, 13)),
        {ok, []} = hb_beamr:call(H, "store64", [200, 16#0807060504030201]),
        ?assertEqual({ok, <<0, 1, 2, 3, 4, 5, 6, 7, 8, 0>>}, hb_beamr_io:read(H, 199, 10))
    end).

the_guest_sees_what_was_written_and_nothing_else_changes_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        {ok, Before} = hb_beamr_io:read(H, 0, ?PAGE),
        ?assertEqual(ok, hb_beamr_io:write(H, 200, <<1, 2, 3, 4, 5, 6, 7, 8>>)),
        ?assertEqual({ok, [16#0807060504030201]}, hb_beamr:call(H, "load64", [200])),
        {ok, After} = hb_beamr_io:read(H, 0, ?PAGE),
        <<Low:200/binary, _:8/binary, High/binary>> = Before,
        ?assertEqual(<<Low/binary, 1, 2, 3, 4, 5, 6, 7, 8, High/binary>>, After)
    end).

a_binary_that_was_read_does_not_change_any_more_test() ->
    H = start("memory"),
    {ok, Small} = hb_beamr_io:read(H, 64, 13),
    {ok, Large} = hb_beamr_io:read(H, 0, ?PAGE),
    Copy = binary:copy(Large),
    ?assertEqual(ok, hb_beamr_io:write(H, 0, binary:copy(<<255>>, ?PAGE))),
    ?assertEqual(<<"Hello, World!">>, Small),
    ?assertEqual(Copy, Large).

nothing_is_read_and_written_as_an_empty_binary_test() ->
    H = start("memory"),
    ?assertEqual({ok, <<>>}, hb_beamr_io:read(H, 64, 0)),
    ?assertEqual(ok, hb_beamr_io:write(H, 64, <<>>)),
    ?assertEqual({ok, <<"Hello, World!">>}, hb_beamr_io:read(H, 64, 13)).

the_memory_can_be_used_up_to_its_last_byte_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        ?assertEqual(ok, hb_beamr_io:write(H, ?PAGE - 1, <<7>>)),
        ?assertEqual({ok, <<7>>}, hb_beamr_io:read(H, ?PAGE - 1, 1)),
        ?assertEqual({ok, [7]}, hb_beamr:call(H, "load8", [?PAGE - 1])),
        All = binary:copy(<<"0123456789abcdef">>, ?PAGE div 16),
        ?assertEqual(ok, hb_beamr_io:write(H, 0, All)),
        ?assertEqual({ok, All}, hb_beamr_io:read(H, 0, ?PAGE))
    end).

beyond_the_memory_nothing_is_read_or_written_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        {ok, Before} = hb_beamr_io:read(H, 0, ?PAGE),
        [begin
            ?assertEqual({error, {out_of_bounds, #{offset => Offset, size => 4, memory => ?PAGE}}},
                hb_beamr_io:read(H, Offset, 4)),
            ?assertEqual({error, {out_of_bounds, #{offset => Offset, size => 4, memory => ?PAGE}}},
                hb_beamr_io:write(H, Offset, <<"abcd">>))
        end || Offset <- [?PAGE - 3, ?PAGE, ?PAGE + 1, 1_000_000, 1 bsl 32]],
        ?assertEqual({ok, Before}, hb_beamr_io:read(H, 0, ?PAGE)),
        %% There after the memory has grown.
        {ok, [1]} = hb_beamr:call(H, "grow", [1]),
        ?assertEqual(ok, hb_beamr_io:write(H, ?PAGE - 3, <<"abcd">>)),
        ?assertEqual({ok, <<"abcd">>}, hb_beamr_io:read(H, ?PAGE - 3, 4))
    end).

an_instance_without_memory_is_one_of_size_zero_test() ->
    H = start("numbers"),
    ?assertEqual({error, {out_of_bounds, #{offset => 0, size => 1, memory => 0}}}, hb_beamr_io:read(H, 0, 1)),
    ?assertEqual({error, {out_of_bounds, #{offset => 0, size => 1, memory => 0}}},
        hb_beamr_io:write(H, 0, <<1>>)),
    ?assertMatch({error, {out_of_bounds, _}}, hb_beamr_io:read_string(H, 0)).

what_is_no_address_no_size_and_no_binary_is_refused_test() ->
    H = start("memory"),
    Junk = [foo, "1", <<"1">>, 1.0, [], #{}, self()],
    [begin
        ?assertMatch({error, _}, hb_beamr_io:read(H, X, 4)),
        ?assertMatch({error, _}, hb_beamr_io:read(H, 64, X)),
        ?assertMatch({error, _}, hb_beamr_io:write(H, X, <<"abcd">>)),
        ?assertMatch({error, _}, hb_beamr_io:read_string(H, X)),
        ?assertMatch({error, _}, hb_beamr_io:malloc(H, X)),
        ?assertMatch({error, _}, hb_beamr_io:free(H, X))
    end || X <- Junk],
    [?assertMatch({error, _}, hb_beamr_io:write(H, 64, X)) || X <- [foo, 1, 1.0, #{}, self(), <<1:3>>]],
    ?assertEqual({ok, <<"Hello, World!">>}, hb_beamr_io:read(H, 64, 13)).

many_processes_read_and_write_one_memory_test() ->
    H = start("memory"),
    Work = fun(N) ->
        At = 1024 + 64 * N,
        [begin
            Bytes = binary:copy(<<N, K>>, 32),
            ok = hb_beamr_io:write(H, At, Bytes),
            {ok, Bytes} = hb_beamr_io:read(H, At, 64)
        end || K <- lists:seq(1, 100)],
        hb_support:flush()
    end,
    Workers = [spawn_monitor(fun() -> exit({left, Work(N)}) end) || N <- lists:seq(1, 50)],
    [receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual({left, []}, Reason) end
        || {Pid, Monitor} <- Workers].

an_import_function_reads_and_writes_while_the_guest_waits_test() ->
    H = start("imports"),
    Handle = fun(Instance) -> fun(_, #{instance := I, args := [At]}, _) ->
        Used = case Instance of request -> I; plain -> H end,
        {ok, <<7:32/little>>} = hb_beamr_io:read(Used, At, 4),
        ok = hb_beamr_io:write(Used, At, <<8:32/little>>),
        {ok, ?PAGE} = hb_beamr_io:size(Used),
        {ok, Ptr} = hb_beamr_io:write_string(Used, "from the import"),
        {ok, Text} = hb_beamr_io:read_string(Used, Ptr),
        ok = hb_beamr_io:free(Used, Ptr),
        {ok, [0], Text}
    end end,
    [?assertEqual({ok, [8], <<"from the import">>}, hb_beamr:call(H, "mem_then_import", [7], Handle(Instance)))
        || Instance <- [request, plain]].

another_process_may_do_so_for_the_import_function_test() ->
    H = start("imports"),
    Import = fun(_, #{instance := I, args := [At]}, _) ->
        Text = hb_support:in_process(fun() ->
            {ok, <<7:32/little>>} = hb_beamr_io:read(I, At, 4),
            ok = hb_beamr_io:write(I, At, <<8:32/little>>),
            {ok, Ptr} = hb_beamr_io:write_string(I, "from elsewhere"),
            {ok, Read} = hb_beamr_io:read_string(I, Ptr),
            Read
        end),
        {ok, [0], Text}
    end,
    ?assertEqual({ok, [8], <<"from elsewhere">>}, hb_beamr:call(H, "mem_then_import", [7], Import)).

%% Strings

a_string_is_read_up_to_its_nul_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        ?assertEqual({ok, <<"Hello, World!">>}, hb_beamr_io:read_string(H, 64)),
        ?assertEqual({ok, <<"World!">>}, hb_beamr_io:read_string(H, 71)),
        ?assertEqual({ok, <<>>}, hb_beamr_io:read_string(H, 77)),
        %% Of every length around the eight bytes that others read at a time.
        [begin
            Text = binary:copy(<<"x">>, N),
            ok = hb_beamr_io:write(H, 500, <<Text/binary, 0, "rest">>),
            ?assertEqual({ok, Text}, hb_beamr_io:read_string(H, 500))
        end || N <- [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 4095, 4096]],
        %% The NUL in the very last byte.
        ok = hb_beamr_io:write(H, ?PAGE - 5, <<"last", 0>>),
        ?assertEqual({ok, <<"last">>}, hb_beamr_io:read_string(H, ?PAGE - 5)),
        ?assertEqual({ok, <<>>}, hb_beamr_io:read_string(H, ?PAGE - 1))
    end).

a_string_without_end_is_an_error_test() ->
    H = start("unterminated"),
    {ok, [At]} = hb_beamr:call(H, "handle", [0, 0]),
    ?assertEqual(65520, At),
    ?assertMatch({error, {out_of_bounds, #{offset := 65520, memory := ?PAGE}}}, hb_beamr_io:read_string(H, At)),
    ?assertMatch({error, {out_of_bounds, #{offset := 65535}}}, hb_beamr_io:read_string(H, 65535)).

a_string_outside_the_memory_is_an_error_test() ->
    H = start("memory"),
    [?assertMatch({error, {out_of_bounds, #{offset := Offset, memory := ?PAGE}}}, hb_beamr_io:read_string(H, Offset))
        || Offset <- [?PAGE, ?PAGE + 1, 1 bsl 32, 1 bsl 40]],
    [?assertMatch({error, _}, hb_beamr_io:read_string(H, Offset)) || Offset <- [-1, 1 bsl 64, -(1 bsl 64), 1 bsl 5000]].

a_string_that_was_written_has_a_nul_for_the_guest_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        %% So that a missing NUL shows.
        {ok, []} = hb_beamr:call(H, "fill", [1024, 255, 4096]),
        [begin
            {ok, Ptr} = hb_beamr_io:write_string(H, Data),
            Bytes = iolist_to_binary(Data),
            ?assertEqual({ok, [byte_size(Bytes)]}, hb_beamr:call(H, "strlen", [Ptr])),
            ?assertEqual({ok, <<Bytes/binary, 0>>}, hb_beamr_io:read(H, Ptr, byte_size(Bytes) + 1)),
            ?assertEqual({ok, Bytes}, hb_beamr_io:read_string(H, Ptr))
        end || Data <- [<<"Hello, World!">>, "Hello, World!", ["Hello", [$,, " " | <<"World">>], $!], <<>>, "", [],
                        [<<>>, []], <<"öäü€"/utf8>>, binary:copy(<<"x">>, 1000)]]
    end).

strings_do_not_overlap_test() ->
    H = start("memory"),
    Texts = [integer_to_binary(N * N) || N <- lists:seq(1, 200)],
    Written = [{Text, hb_beamr_io:write_string(H, Text)} || Text <- Texts],
    [?assertEqual({ok, Text}, hb_beamr_io:read_string(H, Ptr)) || {Text, {ok, Ptr}} <- Written],
    ?assertEqual(200, length([Ptr || {_, {ok, Ptr}} <- Written])).

a_nul_inside_ends_the_string_when_it_is_read_test() ->
    H = start("memory"),
    {ok, Ptr} = hb_beamr_io:write_string(H, <<"one", 0, "two">>),
    ?assertEqual({ok, <<"one">>}, hb_beamr_io:read_string(H, Ptr)),
    ?assertEqual({ok, <<"two">>}, hb_beamr_io:read_string(H, Ptr + 4)).

a_megabyte_is_written_and_read_as_a_string_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        Text = binary:copy(<<"0123456789abcdef">>, 65536),
        {ok, Ptr} = hb_beamr_io:write_string(H, Text),
        ?assertEqual({ok, [1 bsl 20]}, hb_beamr:call(H, "strlen", [Ptr])),
        ?assert({ok, Text} =:= hb_beamr_io:read_string(H, Ptr))
    end).

what_is_no_iodata_is_no_string_test() ->
    H = start("memory"),
    [?assertMatch({error, _}, hb_beamr_io:write_string(H, Data))
        || Data <- [foo, 1, #{}, [foo], [256], [-1], [1.0], [<<1:3>>], <<1:3>>, ["a" | 1], [16#20ac]]],
    ?assertEqual({ok, ?PAGE}, hb_beamr_io:size(H)).

%% Allocation

malloc_gives_memory_of_the_guest_s_own_choice_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        %% This guest hands out memory from 1024 on.
        ?assertEqual({ok, 1024}, hb_beamr_io:malloc(H, 100)),
        ?assertEqual({ok, 1128}, hb_beamr_io:malloc(H, 8)),
        ?assertEqual(ok, hb_beamr_io:free(H, 1024)),
        ?assertEqual(ok, hb_beamr_io:free(H, 1128))
    end).

malloc_may_grow_the_memory_test() ->
    H = start("memory"),
    {ok, Ptr} = hb_beamr_io:malloc(H, 4 * ?PAGE),
    ?assertEqual({ok, 5 * ?PAGE}, hb_beamr_io:size(H)),
    ?assertEqual(ok, hb_beamr_io:write(H, Ptr, binary:copy(<<1>>, 4 * ?PAGE))).

malloc_fails_where_the_guest_has_no_memory_test() ->
    H = start("memory"),
    ?assertEqual({error, malloc_failed}, hb_beamr_io:malloc(H, 128 * 1024 * 1024)),
    ?assertEqual({ok, 1024}, hb_beamr_io:malloc(H, 100)),
    N = start("no_malloc"),
    ?assertEqual({error, malloc_failed}, hb_beamr_io:malloc(N, 1)),
    ?assertEqual({error, malloc_failed}, hb_beamr_io:write_string(N, "text")),
    %% Nothing was written to the address 0 that it answers.
    ?assertEqual({ok, [0]}, hb_beamr:call(N, "load8", [0])).

malloc_refuses_sizes_that_are_none_test() ->
    both(fun(Guest) ->
        H = start(Guest),
        [?assertMatch({error, _}, hb_beamr_io:malloc(H, Size))
            || Size <- [-1, -100, 1 bsl 64, -(1 bsl 64), 1 bsl 5000]],
        ?assertEqual({ok, 1024}, hb_beamr_io:malloc(H, 100))
    end).

an_address_outside_the_memory_is_not_written_to_test() ->
    H = start("bad_malloc"),
    ?assertEqual({ok, 1 bsl 40}, hb_beamr_io:malloc(H, 10)),
    ?assertMatch({error, {out_of_bounds, #{offset := 1 bsl 40, memory := ?PAGE}}},
        hb_beamr_io:write_string(H, "text")).

%% Of 32 bits are addresses, too, that are negative as an i32.
an_address_in_the_upper_half_of_a_memory_can_be_used_test() ->
    H = start_image(upper_half()),
    {ok, Ptr} = hb_beamr_io:write_string(H, "high"),
    ?assertEqual(1 bsl 31, Ptr),
    ?assertEqual({ok, <<"high">>}, hb_beamr_io:read_string(H, Ptr)),
    ?assertEqual({ok, <<"high", 0>>}, hb_beamr_io:read(H, Ptr, 5)),
    ?assertEqual({ok, [$h]}, hb_beamr:call(H, "load8", [Ptr])),
    ?assertEqual(ok, hb_beamr_io:write(H, Ptr, <<"H">>)),
    ?assertEqual(ok, hb_beamr_io:free(H, Ptr)).

without_malloc_and_free_there_is_no_such_function_test() ->
    H = start("numbers"),
    ?assertMatch({error, {unknown_function, _}}, hb_beamr_io:malloc(H, 10)),
    ?assertMatch({error, {unknown_function, _}}, hb_beamr_io:free(H, 10)),
    ?assertMatch({error, {unknown_function, _}}, hb_beamr_io:write_string(H, "text")).

%% Handles

a_stopped_instance_says_so_test() ->
    H = start("memory"),
    ok = hb_beamr:stop(H),
    ?assertEqual({error, stopped}, hb_beamr_io:size(H)),
    ?assertEqual({error, stopped}, hb_beamr_io:read(H, 0, 1)),
    ?assertEqual({error, stopped}, hb_beamr_io:write(H, 0, <<1>>)),
    ?assertEqual({error, stopped}, hb_beamr_io:read_string(H, 0)),
    ?assertEqual({error, stopped}, hb_beamr_io:write_string(H, "text")),
    ?assertEqual({error, stopped}, hb_beamr_io:malloc(H, 1)),
    ?assertEqual({error, stopped}, hb_beamr_io:free(H, 1)).

a_handle_that_is_no_reference_raises_test() ->
    [begin
        ?assertException(error, _, hb_beamr_io:size(H)),
        ?assertException(error, _, hb_beamr_io:read(H, 0, 1)),
        ?assertException(error, _, hb_beamr_io:write(H, 0, <<1>>)),
        ?assertException(error, _, hb_beamr_io:read_string(H, 0)),
        ?assertException(error, _, hb_beamr_io:write_string(H, "text")),
        ?assertException(error, _, hb_beamr_io:malloc(H, 1)),
        ?assertException(error, _, hb_beamr_io:free(H, 1))
    end || H <- [self(), foo, 1]].

the_functions_leave_no_messages_behind_test() ->
    H = start("memory"),
    {ok, Ptr} = hb_beamr_io:write_string(H, "text"),
    {ok, _} = hb_beamr_io:read(H, 0, ?PAGE),
    {error, _} = hb_beamr_io:read(H, ?PAGE, 1),
    {error, _} = hb_beamr_io:write(H, ?PAGE, <<1>>),
    {ok, _} = hb_beamr_io:malloc(H, 8 * 1024 * 1024),
    {error, malloc_failed} = hb_beamr_io:malloc(H, 128 * 1024 * 1024),
    ok = hb_beamr_io:free(H, Ptr),
    ok = hb_beamr:stop(H),
    {error, stopped} = hb_beamr_io:size(H),
    ?assertEqual([], hb_support:flush()).

%% HyperBEAM's own images, as its tests use them

the_memory_of_a_printing_program_test_() ->
    hb_support:with_shared("test-print.wasm", fun(Image) ->
        {"test-print.wasm", fun() ->
            H = start_image(Image),
            ?assertEqual({ok, ?PAGE}, hb_beamr_io:size(H)),
            ?assertEqual({ok, <<"Hello, World!">>}, hb_beamr_io:read(H, 66, 13)),
            ?assertMatch({error, _}, hb_beamr_io:read(H, 1_000_000, 13)),
            ?assertEqual(ok, hb_beamr_io:write(H, 0, <<"Hello, World!">>)),
            ?assertEqual({ok, <<"Hello, World!">>}, hb_beamr_io:read(H, 0, 13)),
            ?assertMatch({error, _}, hb_beamr_io:write(H, 1_000_000, <<"Bad hello world!">>))
        end}
    end).

the_allocator_of_a_program_in_c_test_() ->
    hb_support:with_shared("test-calling.wasm", fun(Image) ->
        {"test-calling.wasm", fun() ->
            H = start_image(Image),
            {ok, Ptr} = hb_beamr_io:malloc(H, 100),
            ?assert(Ptr > 0),
            %% Its memory of 258 pages cannot grow.
            ?assertEqual({error, malloc_failed}, hb_beamr_io:malloc(H, 128 * 1024 * 1024)),
            {ok, String} = hb_beamr_io:write_string(H, <<"Hello, World!">>),
            ?assertEqual({ok, <<"Hello, World!">>}, hb_beamr_io:read_string(H, String)),
            ?assertMatch({error, {unknown_function, _}}, hb_beamr_io:free(H, String))
        end}
    end).

the_memory_of_aos_test_() ->
    hb_support:with_shared("aos-2-pure-xs.wasm", fun(Image) ->
        {"aos-2-pure-xs.wasm", {timeout, 300, fun() ->
            H = start_image(Image),
            ?assertEqual({ok, 192 * ?PAGE}, hb_beamr_io:size(H)),
            {ok, Ptr} = hb_beamr_io:write_string(H, [<<"{}">>, "\n"]),
            ?assertEqual({ok, <<"{}\n">>}, hb_beamr_io:read_string(H, Ptr))
        end}}
    end).

start(Guest) -> start_image(hb_support:guest(Guest)).

start_image(Image) ->
    {ok, H, _, _} = hb_beamr:start(Image),
    H.

%% (module
%%   (memory (export "memory") 32769)
%%   (func (export "malloc") (param i32) (result i32) i32.const 0x80000000)
%%   (func (export "free") (param i32))
%%   (func (export "load8") (param i32) (result i32) local.get 0 i32.load8_u))
upper_half() ->
    binary:decode_hex(<<
        "0061736d01000000010a0260017f017f"
        "60017f00030403000100050501008180"
        "02072204066d656d6f72790200066d61"
        "6c6c6f63000004667265650001056c6f"
        "61643800020a15030800418080808078"
        "0b02000b070020002d00000b"
    >>).
