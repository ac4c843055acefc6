%% What a guest prints, sent to a process while it runs.
-module(hb_wasm64_output_tests).

-include_lib("eunit/include/eunit.hrl").

-define(MB, (1 bsl 20)).

start() ->
    {ok, H} = hb_wasm64:start(hb_support:guest("writes")),
    H.

%% A process that gets output, and says that it has seen it if it is `eager'. It
%% tells what it has got so far when it is asked, and ends with this one.
receiver(Kind) ->
    Test = self(),
    spawn_link(fun() -> collect(Test, Kind, []) end).

collect(Test, Kind, Got) ->
    receive
        {hb_wasm64, Ref, {output, Name, Bytes}} ->
            _ = [hb_wasm64_output:seen(Ref) || Kind =:= eager],
            collect(Test, Kind, [{Name, Bytes} | Got]);
        {hb_wasm64, _Ref, {output, eof}} ->
            collect(Test, Kind, [eof | Got]);
        tell ->
            Test ! {got, lists:reverse(Got)},
            collect(Test, Kind, Got)
    end.

got(Receiver) ->
    Receiver ! tell,
    receive {got, Got} -> Got after 60_000 -> error(silent) end.

bytes(Name, Got) -> iolist_to_binary([Bytes || {Known, Bytes} <- Got, Known =:= Name]).

all_that_is_printed_is_sent_in_order_test_() ->
    {timeout, 300, fun() ->
        H = start(),
        Receiver = receiver(eager),
        {ok, [Written]} = hb_wasm64:call(H, "print", [10 * ?MB], #{output => Receiver}),
        Got = got(Receiver),
        ?assertEqual(10 * ?MB, Written),
        ?assertEqual(binary:copy(<<7>>, Written), bytes(stdout, Got)),
        ?assertEqual([{stderr, <<"file">>}, eof], lists:nthtail(length(Got) - 2, Got)),
        ?assert(lists:all(fun({_, Bytes}) -> byte_size(Bytes) =< 64 * 1024; (eof) -> true end, Got)),
        %% It can be read as ever, too.
        {ok, #{stdout := Output}} = hb_wasm64:output(H),
        ?assertEqual(?MB, byte_size(Output)),
        %% The next call does not ask for it.
        {ok, _} = hb_wasm64:call(H, "print", [4096]),
        ?assertEqual(Got, got(Receiver))
    end}.

%% Where nobody reads, the guest waits, and neither it nor the mailbox grows.
a_receiver_that_has_not_seen_it_holds_the_guest_up_test() ->
    {H, Got} = hb_support:reached(300, fun(Timeout) ->
        %% One that has nothing left to send.
        Instance = start(),
        Receiver = receiver(lazy),
        ?assertEqual({error, timeout}, hb_wasm64:call(Instance, "print", [1 bsl 40], #{output => Receiver, timeout => Timeout})),
        case got(Receiver) of
            Fewer when length(Fewer) < 16 -> not_reached;
            All -> {Instance, All}
        end
    end),
    ?assertEqual(16, length(Got)),
    ?assertEqual({ok, idle}, hb_wasm64:status(H)),
    ?assertMatch({ok, [4096]}, hb_wasm64:call(H, "print", [4096])).

a_receiver_that_ends_holds_nobody_up_test_() ->
    {timeout, 300, fun() ->
        H = start(),
        Dead = spawn(fun() -> ok end),
        ?assertMatch({ok, _}, hb_wasm64:call(H, "print", [5 * ?MB], #{output => Dead, timeout => 60_000})),
        Brief = spawn(fun() -> receive {hb_wasm64, _, _} -> ok end end),
        ?assertMatch({ok, _}, hb_wasm64:call(H, "print", [5 * ?MB], #{output => Brief, timeout => 60_000}))
    end}.

nothing_of_it_shows_in_the_guest_test_() ->
    {timeout, 300, fun() ->
        Run = fun(Options, Slice) ->
            ok = hb_wasm64:time_slice(Slice),
            H = start(),
            Result = hb_wasm64:call(H, "print", [3 * ?MB], Options#{usage => true}),
            {Result, hb_wasm64:snapshot(H)}
        end,
        try
            Plain = Run(#{}, 1000),
            ?assertEqual(Plain, Run(#{output => receiver(eager)}, 1000)),
            ?assertEqual(Plain, Run(#{output => receiver(eager)}, 100))
        after
            hb_wasm64:time_slice(1000)
        end
    end}.

a_start_and_an_asynchronous_call_send_it_too_test_() ->
    {timeout, 300, fun() ->
        Receiver = receiver(eager),
        {ok, H} = hb_wasm64:start(hb_support:guest("writes"), #{output => Receiver}),
        ?assertEqual([{stdout, binary:copy(<<7>>, 4096)}, eof], got(Receiver)),
        {ok, Ref} = hb_wasm64:call_async(H, "print", [?MB], #{output => self()}),
        Own = own(Ref, []),
        ?assertEqual(?MB, byte_size(bytes(stdout, Own))),
        ?assertEqual([eof, {done, {ok, [?MB]}}], lists:nthtail(length(Own) - 2, Own))
    end}.

own(Ref, Got) ->
    receive
        {hb_wasm64, Ref, {done, _} = Done} -> lists:reverse([Done | Got]);
        {hb_wasm64, _, {output, eof}} -> own(Ref, [eof | Got]);
        {hb_wasm64, OutputRef, {output, Name, Bytes}} ->
            ok = hb_wasm64_output:seen(OutputRef),
            own(Ref, [{Name, Bytes} | Got])
    after 60_000 -> error({silent, Got})
    end.

%% The call waits for it, or it for the call.
who_waits_for_the_call_cannot_receive_test() ->
    H = start(),
    Self = self(),
    Refused = {error, {invalid_option, output, Self}},
    ?assertEqual(Refused, hb_wasm64:call(H, "print", [1], #{output => Self})),
    ?assertEqual(Refused, hb_wasm64:start(hb_support:guest("writes"), #{output => Self})),
    ?assertEqual({error, {invalid_option, output, none}}, hb_wasm64:call(H, "print", [1], #{output => none})),
    ?assertEqual({error, {invalid_option, output, Self}, s},
        hb_wasm64:call(H, "print", [1], fun(S, _, _) -> {ok, [0], S} end, s, #{output => Self})).

%% A caller that dies while its receiver is waited for leaves the instance to others.
a_caller_that_dies_leaves_the_instance_to_others_test() ->
    H = start(),
    Receiver = receiver(lazy),
    Caller = spawn(fun() ->
        {ok, _} = hb_wasm64:call_async(H, "print", [1 bsl 40], #{output => Receiver}),
        receive never -> ok end
    end),
    true = hb_support:wait_until(fun() -> length(got(Receiver)) =:= 16 end),
    exit(Caller, kill),
    ?assertMatch({ok, [4096]}, hb_wasm64:call(H, "print", [4096], #{timeout => 60_000})).

%% A nested call sends what it is told to, and the one around it the rest.
a_nested_call_has_its_own_test() ->
    Image = hb_import_image:forwarding(
        [{"wasi_snapshot_preview1", "fd_write", "(iiii)i", x}, {"env", "ask", "()i", x}], 32
    ),
    {ok, H} = hb_wasm64:start(Image),
    ok = hb_wasm64:write(H, 16, <<32:32/little, 5:32/little>>),
    ok = hb_wasm64:write(H, 32, <<"Hello">>),
    Write = fun(Scope, Options) -> hb_wasm64:call(Scope, "wasi_snapshot_preview1.fd_write", [1, 16, 1, 64], Options) end,
    [Outer, Inner] = [receiver(eager), receiver(eager)],
    Ask = fun(S, #{instance := Scope}, _) ->
        {ok, [0]} = Write(Scope, #{}),
        {ok, [0]} = Write(Scope, #{output => Inner}),
        {ok, [0], S}
    end,
    {ok, [0], none} = hb_wasm64:call(H, "env.ask", [], Ask, none, #{output => Outer}),
    ?assertEqual([eof], got(Outer)),
    ?assertEqual([{stdout, <<"Hello">>}, eof], got(Inner)).
