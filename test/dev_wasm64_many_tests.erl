%% Many processes at a time, each with an instance of its own. What differs between the branches of HyperBEAM is of no
%% account here.
-module(dev_wasm64_many_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_edge/2, ok/1, started/2, compute/3, get/2, instance/2]).

-define(MANY, 1000).

%% Every step of one comes between steps of all the others, in one Erlang process.
a_thousand_messages_keep_their_guests_apart_test_() ->
    on_edge(?FUNCTION_NAME, fun() ->
        Messages = [{N, start()} || N <- lists:seq(1, ?MANY)],
        Counted = lists:foldl(
            fun(Round, Before) ->
                [
                    begin
                        After = ok(compute(M, <<"count">>, [N])),
                        ?assertEqual([7 + Round * N], get(<<"results/wasm/output">>, After)),
                        {N, After}
                    end
                 || {N, M} <- Before
                ]
            end,
            Messages,
            [1, 2, 3]
        ),
        ?assertEqual(?MANY, length(lists:usort([instance(<<"wasm/instance">>, M) || {_, M} <- Counted])))
    end).

%% Each in an Erlang process of its own, all of them at once. Half of them terminate, the others just end.
a_thousand_processes_count_right_and_leave_nothing_test_() ->
    on_edge(?FUNCTION_NAME, fun() ->
        Counted = count_all(),
        ?assertEqual(lists:seq(1, ?MANY), lists:sort([N || {N, _} <- Counted])),
        ?assertEqual([], [N || {N, Instance} <- Counted, not dev_wasm64_support:is_gone(Instance)]),
        _ = count_all(),
        erlang:garbage_collect(),
        {Rss, Memory, Processes} = {hb_support:rss(), erlang:memory(total), erlang:system_info(process_count)},
        [?assertEqual(?MANY, length(count_all())) || _ <- [once, more]],
        %% What has been dropped is taken apart a little later.
        Growth = fun() ->
            erlang:garbage_collect(),
            {hb_support:rss() - Rss, erlang:memory(total) - Memory}
        end,
        ?assert(hb_support:wait_until(fun() -> {R, M} = Growth(), R < 50_000_000 andalso M < 20_000_000 end), Growth()),
        ?assert(erlang:system_info(process_count) =< Processes + 5)
    end).

%% The numbers of those who counted right, and their instances as bytes. Nobody ends before all have begun.
count_all() ->
    Test = self(),
    Counters = [spawn_monitor(fun() -> count(N, Test) end) || N <- lists:seq(1, ?MANY)],
    [
        receive
            {begun, Pid} -> ok;
            {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
        end
     || {Pid, Monitor} <- Counters
    ],
    [Pid ! go_on || {Pid, _} <- Counters],
    [
        receive
            {'DOWN', Monitor, process, Pid, {counted, N, Instance}} -> {N, Instance};
            {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
        end
     || {Pid, Monitor} <- Counters
    ].

count(N, Test) ->
    M = lists:foldl(
        fun(Round, M) ->
            After = ok(compute(M, <<"count">>, [N])),
            [Sum] = get(<<"results/wasm/output">>, After),
            Sum =:= 7 + Round * N orelse error({wrong, Round, N, Sum}),
            Round =:= 2 andalso begin
                Test ! {begun, self()},
                receive go_on -> ok end
            end,
            After
        end,
        start(),
        lists:seq(1, 4)
    ),
    case N rem 2 of
        0 -> {ok, _} = hb_ao:resolve(M, <<"terminate">>, #{});
        1 -> ok
    end,
    exit({counted, N, term_to_binary(instance(<<"wasm/instance">>, M))}).

start() -> started("numbers", #{<<"output-prefix">> => <<"wasm">>}).

%% Message after message on one instance: nothing of them stays, in the node or in the message.
ten_thousand_computes_take_no_memory_test_() ->
    on_edge(?FUNCTION_NAME, fun() ->
        Library = #{<<"device">> => <<"test-math@1.0">>},
        M = started("imports", #{<<"stdlib">> => #{<<"env">> => Library}}),
        Run = fun(Count) ->
            hb_support:in_process(fun() ->
                lists:foldl(fun(_, Before) -> ok(compute(Before, <<"call_add">>, [1, 2])) end, M, lists:seq(1, Count))
            end)
        end,
        Size = fun(Message) -> erts_debug:flat_size(Message) end,
        First = Run(1000),
        {Rss, Memory} = {hb_support:settled_rss(), erlang:memory(total)},
        Last = Run(10_000),
        ?assertEqual(Size(First), Size(Last)),
        ?assertEqual(true, hb_support:flat(Rss, 50_000_000)),
        Growth = fun() -> erlang:garbage_collect(), erlang:memory(total) - Memory end,
        ?assert(hb_support:wait_until(fun() -> Growth() < 20_000_000 end), Growth())
    end).
