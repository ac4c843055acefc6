%% Support for the tests: guests, other nodes, time and memory.
-module(hb_support).

-export([root/0, guest/1, fresh/1, start/1, with_shared/2, not_run/3]).
-export([peer/0, peer/1, on_peer/2, nodes/1, bare_node/0]).
-export([flush/0, wait_until/1, wait_until/2, reached/2, in_process/1, gone/1]).
-export([micros/1, median/1, percentile/2, best_of/2, rss/0, settled_rss/0, flat/2]).

%% The directory of the project. rebar3 runs eunit in it; elsewhere the beam
%% file of this module tells.
root() ->
    {ok, Cwd} = file:get_cwd(),
    Beam = case code:which(?MODULE) of
        Path when is_list(Path) -> [filename:absname(filename:dirname(Path))];
        _ -> []
    end,
    case lists:append([above(Dir) || Dir <- [Cwd | Beam]]) of
        [Root | _] -> Root;
        [] -> error({no_project_above, [Cwd | Beam]})
    end.

above(Dir) ->
    Here = [Dir || filelib:is_file(filename:join(Dir, "rebar.config")),
                   filelib:is_dir(filename:join(Dir, "test/guests"))],
    case filename:dirname(Dir) of
        Dir -> Here;
        Parent -> Here ++ above(Parent)
    end.

%% The image test/guests/NAME.wasm.
guest(Name) ->
    {ok, Image} = file:read_file(filename:join([root(), "test/guests", Name ++ ".wasm"])),
    Image.

%% The same image as one that nobody has asked for yet: with a custom section
%% that no other has.
fresh(Image) -> <<Image/binary, 0, 10, 1, "x", (rand:bytes(8))/binary>>.

%% An instance of the image test/guests/NAME.wasm.
start(Name) ->
    {ok, Handle} = hb_wasm64:start(guest(Name)),
    Handle.

%% For generators: the tests that Fun makes of an image that is not part of the
%% project and lies beside it, if it does.
with_shared(File, Fun) ->
    case file:read_file(filename:join([root(), "../shared/data", File])) of
        {ok, Image} -> Fun(Image);
        {error, _} -> not_run(Fun(<<>>), Fun, "there is no ../shared/data/" ++ File)
    end.

%% For generators: no tests, in the place of these. The output says how many
%% they are, which function's and why, and scripts/eunit.sh says it once more at
%% the end. What a generator says twice, as eunit calls it twice, counts once.
not_run(Tests, Function, Why) ->
    [{module, Module}, {name, Name}] = [erlang:fun_info(Function, Item) || Item <- [module, name]],
    io:format(user, "~n  NOT RUN: ~b, ~ts (~s:~s)~n", [count(Tests), Why, Module, Name]),
    [].

count(Tests) when is_list(Tests) -> lists:sum([count(Test) || Test <- Tests]);
count(Tests) when is_tuple(Tests) -> count(element(tuple_size(Tests), Tests));
count(Test) when is_function(Test, 0) -> 1.

%% Another Erlang VM, reached by its standard input and output, so that it
%% needs no distribution here. It ends with the process that started it. With a
%% name it is a node of its own (and its references are foreign here); without
%% one it is `nonode@nohost'.
peer() -> peer(#{}).

peer(Options) ->
    Dirs = [ebin(Module) || Module <- [hb_wasm64, ?MODULE]],
    Args = ["-pa" | lists:usort(Dirs)] ++ case Options of
        #{name := _} -> ["-dist_listen", "false", "-start_epmd", "false"];
        _ -> []
    end ++ maps:get(args, Options, []),
    Defaults = #{connection => standard_io, wait_boot => 60_000},
    case peer:start_link((maps:merge(Defaults, Options))#{args => Args}) of
        {ok, Peer, _Node} -> Peer;
        {ok, Peer} -> Peer
    end.

%% Other VMs that are nodes and can reach each other, with their names; this one
%% is no node and stays none. Where distribution cannot be had this raises.
nodes(N) ->
    Dirs = lists:usort([ebin(Module) || Module <- [hb_wasm64, ?MODULE]]),
    [started_node(["-pa" | Dirs]) || _ <- lists:seq(1, N)].

%% One that has nothing but Erlang.
bare_node() -> started_node([]).

started_node(Args) ->
    Options = #{
        name => peer:random_name(), host => "127.0.0.1", longnames => true, connection => standard_io, wait_boot => 60_000,
        args => ["-setcookie", "hb_support", "-kernel", "inet_dist_use_interface", "{127,0,0,1}" | Args]
    },
    {ok, Peer, Node} = peer:start_link(Options),
    case peer:call(Peer, erlang, is_alive, []) of
        true -> {Peer, Node};
        false -> error({no_distribution, Node})
    end.

ebin(Module) ->
    case code:which(Module) of
        Path when is_list(Path) -> filename:absname(filename:dirname(Path));
        _ -> filename:join(code:lib_dir(hb_wasm64), "ebin")
    end.

%% Runs Fun on a peer, in one process. Raises what Fun raises, and where the
%% peer dies of it.
on_peer(Peer, Fun) -> peer:call(Peer, erlang, apply, [Fun, []], 300_000).

%% What is in the mailbox, taken out.
flush() ->
    receive Message -> [Message | flush()]
    after 0 -> []
    end.

%% Waits for Fun to be true, for so many milliseconds (a minute); false where
%% that has not come about in time. What Fun itself takes counts.
wait_until(Fun) -> wait_until(Fun, 60_000).

wait_until(Fun, Timeout) -> until(Fun, erlang:monotonic_time(millisecond) + Timeout).

until(Fun, Deadline) ->
    Fun() orelse erlang:monotonic_time(millisecond) < Deadline andalso begin
        timer:sleep(5),
        until(Fun, Deadline)
    end.

%% For what has to come to some point before its time is up, on machines that do
%% other things as well: what Fun gives for so many milliseconds, or for ten
%% times as many where that is `not_reached', and so on.
reached(Millis, Fun) ->
    case Fun(Millis) of
        not_reached when Millis < 10_000 -> reached(10 * Millis, Fun);
        Result -> Result
    end.

%% Runs Fun in a process of its own and gives what it gives: what Fun leaves
%% behind (messages, garbage, references) is gone afterwards.
in_process(Fun) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({in_process, Fun()}) end),
    receive
        {'DOWN', Monitor, process, Pid, {in_process, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    end.

%% Kills a process and waits for its end.
gone(Pid) ->
    Monitor = monitor(process, Pid),
    unlink(Pid),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end.

%% How long Fun takes, in microseconds, and what it gives.
micros(Fun) ->
    Began = erlang:monotonic_time(),
    Result = Fun(),
    Ended = erlang:monotonic_time(),
    {erlang:convert_time_unit(Ended - Began, native, microsecond), Result}.

median(Numbers) -> percentile(50, Numbers).

%% The smallest of Numbers that P percent of them do not exceed.
percentile(P, Numbers) ->
    Sorted = lists:sort(Numbers),
    lists:nth(max(1, ceil(P * length(Sorted) / 100)), Sorted).

%% For bounds on time, on machines that do other things as well: true as soon
%% as one of N rounds of Fun gives true, or else all that the rounds gave.
best_of(N, Fun) -> best_of(N, Fun, []).

best_of(0, _, Results) -> {not_once, lists:reverse(Results)};
best_of(N, Fun, Results) ->
    case Fun() of
        true -> true;
        Result -> best_of(N - 1, Fun, [Result | Results])
    end.

%% The memory of this VM that is in RAM, in bytes.
rss() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s+([0-9]+)", [{capture, [1], list}]),
    list_to_integer(KiB) * 1024.

%% The same, when nothing is given back any more: what is given back late must
%% not count as room for a leak.
settled_rss() ->
    collect(),
    First = rss(),
    timer:sleep(300),
    collect(),
    case rss() of
        Later when First - Later > 2_000_000 -> settled_rss();
        Later -> Later
    end.

%% Whether that memory is less than Bound bytes above Before, or comes to be, as
%% what has been dropped is taken apart a little later: true, or else how much
%% is left.
flat(Before, Bound) ->
    IsFlat = fun() -> collect(), rss() - Before < Bound end,
    wait_until(IsFlat) orelse {grown, rss() - Before}.

collect() -> lists:foreach(fun erlang:garbage_collect/1, processes()).
