%% Images on their way: which are compiled first, and for how long.
-module(hb_wasm64_images_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hb_support, [fresh/1]).

%% Images that are asked for at the same time.
-define(MANY, 12).

%% An image of so many functions, of a kilobyte each. 400 of them take about
%% two seconds of a processor's time.
large(Functions) ->
    Code = binary:copy(<<16#20, 0, 16#20, 0, 16#41, 7, 16#6c, 16#73, 16#21, 0>>, 100),
    Body = <<0, Code/binary, 16#20, 0, 16#0b>>,
    Types = section(1, <<1, 16#60, 1, 16#7f, 1, 16#7f>>),
    Declared = section(3, [leb(Functions), binary:copy(<<0>>, Functions)]),
    Bodies = section(10, [leb(Functions), binary:copy(iolist_to_binary([leb(byte_size(Body)), Body]), Functions)]),
    iolist_to_binary([<<0, "asm", 1, 0, 0, 0>>, Types, Declared, Bodies]).

section(Id, Content) ->
    [Id, leb(iolist_size(Content)), Content].

leb(N) when N < 128 -> <<N>>;
leb(N) -> <<1:1, N:7, (leb(N bsr 7))/binary>>.

small() ->
    fresh(<<0, "asm", 1, 0, 0, 0>>).

%% Many ask for images of which each takes seconds, and none of them waits for
%% long: how many are compiled before one that is asked for afterwards.
compiled_for_nobody(Ask) ->
    Listening = hb_log_support:listen(),
    try
        ok = hb_wasm64:log_level(info),
        Large = large(2000),
        ok = Ask([fresh(Large) || _ <- lists:seq(1, ?MANY)]),
        %% Not one that goes before the others because it is cheaper.
        Last = fresh(large(2001)),
        {ok, _} = hb_wasm64:start(Last),
        Compiled = fun(Image) -> lists:concat(["compiled an image of ", byte_size(Image), " bytes"]) end,
        Records = hb_log_support:records_up_to(Compiled(Last)),
        length([Text || #{text := Text} <- Records, lists:prefix(Compiled(fresh(Large)), Text)])
    after
        hb_log_support:unlisten(Listening)
    end.

images_that_nobody_waits_for_are_not_compiled_test_() ->
    {timeout, 600, fun() ->
        Compiled = compiled_for_nobody(fun(Images) ->
            [?assertEqual({error, timeout}, hb_wasm64:start(Image, #{timeout => 20})) || Image <- Images],
            ok
        end),
        ?assert(Compiled < ?MANY div 2, Compiled)
    end}.

images_of_killed_processes_are_not_compiled_test_() ->
    {timeout, 600, fun() ->
        Compiled = compiled_for_nobody(fun(Images) ->
            Askers = [spawn(fun() -> hb_wasm64:start(Image) end) || Image <- Images],
            [true = hb_support:wait_until(fun() -> process_info(Asker, status) =:= {status, waiting} end) || Asker <- Askers],
            lists:foreach(fun hb_support:gone/1, Askers)
        end),
        ?assert(Compiled < ?MANY div 2, Compiled)
    end}.

who_still_waits_gets_the_image_test_() ->
    {timeout, 600, fun() ->
        Image = fresh(large(1000)),
        Self = self(),
        spawn(fun() -> Self ! {patient, hb_wasm64:start(Image)} end),
        Killed = spawn(fun() -> hb_wasm64:start(Image) end),
        ?assertEqual({error, timeout}, hb_wasm64:start(Image, #{timeout => 5})),
        exit(Killed, kill),
        receive
            {patient, Result} -> ?assertMatch({ok, _}, Result)
        end
    end}.

no_message_comes_after_a_timeout_test_() ->
    {timeout, 600, fun() ->
        Large = large(20),
        Results = [hb_wasm64:start(fresh(Large), #{timeout => Timeout}) || Timeout <- lists:seq(0, 60)],
        ?assert(lists:member({error, timeout}, Results)),
        ?assertEqual([], [Result || Result <- Results, element(1, Result) =:= error, Result =/= {error, timeout}]),
        ?assertMatch({ok, _}, hb_wasm64:start(fresh(Large), #{timeout => 60000})),
        receive
            Stray -> ?assertEqual(none, Stray)
        after 500 -> ok
        end
    end}.

%% The large ones take seconds each.
a_small_image_is_not_held_up_by_large_ones_test_() ->
    {timeout, 600, fun() ->
        Large = large(2000),
        Askers = [spawn(fun() -> hb_wasm64:start(fresh(Large)) end) || _ <- lists:seq(1, ?MANY)],
        [true = hb_support:wait_until(fun() -> process_info(Asker, status) =:= {status, waiting} end) || Asker <- Askers],
        ?assertMatch({ok, _}, hb_wasm64:start(small())),
        Waiting = [Asker || Asker <- Askers, is_process_alive(Asker)],
        lists:foreach(fun hb_support:gone/1, Askers),
        ?assert(length(Waiting) > ?MANY div 2, length(Waiting))
    end}.

%% An image whose function `f' adds 3 so many times, each in a block of its own,
%% where its argument is not 0. Optimized, 4000 times would take a quarter of a
%% minute.
sum(Times) ->
    Step = <<16#20, 1, 16#20, 0, 4, 16#7f, 16#41, 3, 5, 16#41, 0, 16#0b, 16#6a, 16#21, 1>>,
    Body = <<1, 1, 16#7f, (binary:copy(Step, Times))/binary, 16#20, 1, 16#0b>>,
    iolist_to_binary([
        <<0, "asm", 1, 0, 0, 0>>,
        section(1, <<1, 16#60, 1, 16#7f, 1, 16#7f>>),
        section(3, <<1, 0>>),
        section(7, <<1, 1, "f", 0, 0>>),
        section(10, [1, leb(byte_size(Body)), Body])
    ]).

%% The least fuel with which a call of `f' comes to its end.
fuel(Handle) ->
    fuel(Handle, 0, 1 bsl 20).

fuel(_Handle, TooLittle, Enough) when Enough - TooLittle =:= 1 ->
    Enough;
fuel(Handle, TooLittle, Enough) ->
    Middle = (TooLittle + Enough) div 2,
    case hb_wasm64:call(Handle, "f", [1], #{fuel => Middle}) of
        {ok, _} -> fuel(Handle, TooLittle, Middle);
        {error, {limit, fuel}} -> fuel(Handle, Middle, Enough)
    end.

a_function_too_complex_for_the_optimizer_runs_the_same_test_() ->
    {timeout, 600, fun() ->
        [A, B, C] = [
            begin
                {ok, Handle} = hb_wasm64:start(sum(Times)),
                ?assertEqual({ok, [3 * Times]}, hb_wasm64:call(Handle, "f", [1])),
                ?assertEqual({ok, [0]}, hb_wasm64:call(Handle, "f", [0])),
                fuel(Handle)
            end
         || Times <- [100, 200, 4000]
        ],
        %% The first two are optimized. Each step costs the same.
        ?assertEqual(39 * (B - A), C - A)
    end}.

a_function_that_would_fill_the_memory_is_refused_test_() ->
    {timeout, 300, fun() ->
        %% 12,000 loops, each of which passes on one value: 36 KB.
        Body = <<0, 16#20, 0, (binary:copy(<<3, 0, 16#0b>>, 12000))/binary, 16#0b>>,
        Image = iolist_to_binary([
            <<0, "asm", 1, 0, 0, 0>>,
            section(1, <<1, 16#60, 1, 16#7f, 1, 16#7f>>),
            section(3, <<1, 0>>),
            section(10, [1, leb(byte_size(Body)), Body])
        ]),
        ?assertMatch({error, {unsupported, <<"function 0 is too complex to be compiled", _/binary>>}}, hb_wasm64:start(Image))
    end}.

an_image_has_256_mib_at_most_test_() ->
    {timeout, 300, fun() ->
        Image = <<"\0asm", 1, 0, 0, 0, 0:((256 bsl 20) * 8)>>,
        ?assertEqual({error, {limit, image}}, hb_wasm64:start(Image))
    end}.

%% Names are lists in every request of an import, and in errors.
a_name_of_an_import_or_export_has_a_bound_test_() ->
    Import = fun(Module, Name) ->
        module([section(1, <<1, 16#60, 0, 0>>), section(2, [1, name(Module), name(Name), <<0, 0>>])])
    end,
    Export = fun(Name) ->
        module([
            section(1, <<1, 16#60, 0, 0>>), section(3, <<1, 0>>), section(7, [1, name(Name), <<0, 0>>]),
            section(10, <<1, 2, 0, 16#0b>>)
        ])
    end,
    Long = binary:copy(<<"n">>, 8192),
    Refused = fun(Of) ->
        Text = <<"the name of an ", Of/binary, " has 8193 bytes; the most are 8192">>,
        {error, {unsupported, Text}}
    end,
    [
        ?_assertMatch({ok, _}, hb_wasm64:start(Import(Long, Long))),
        ?_assertMatch({ok, _}, hb_wasm64:start(Export(Long))),
        ?_assertEqual(Refused(<<"import">>), hb_wasm64:start(Import(<<Long/binary, "n">>, <<"f">>))),
        ?_assertEqual(Refused(<<"import">>), hb_wasm64:start(Import(<<"m">>, <<Long/binary, "n">>))),
        ?_assertEqual(Refused(<<"export">>), hb_wasm64:start(Export(<<Long/binary, "n">>)))
    ].

%% A guest chooses how its functions are called.
the_name_of_a_function_in_a_backtrace_is_cut_off_test() ->
    Names = [leb(1), 0, name(binary:copy(<<"ab">>, 50_000))],
    Custom = section(0, [name(<<"name">>), 1, leb(iolist_size(Names)), Names]),
    Image = module([
        section(1, <<1, 16#60, 0, 0>>), section(3, <<1, 0>>), section(7, [1, name(<<"f">>), <<0, 0>>]),
        section(10, <<1, 3, 0, 0, 16#0b>>), Custom
    ]),
    {ok, H} = hb_wasm64:start(Image),
    {error, {trap, #{code := unreachable, backtrace := [#{name := Name}]}}} = hb_wasm64:call(H, "f", []),
    ?assertEqual(lists:flatten(lists:duplicate(128, "ab")), Name).

module(Sections) ->
    iolist_to_binary([<<0, "asm", 1:32/little>>, Sections]).

name(Name) ->
    [leb(byte_size(Name)), Name].
