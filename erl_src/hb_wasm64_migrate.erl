%% @doc An instance on its way to another node.
%%
%% The process that moves it reserves it, so that its state stands still, and sends image and state in pieces, each after
%% the one before has arrived. A process there puts them together and starts the instance. Only when that has been told is
%% the one here stopped.
%%
%% ```
%% here                                        there
%% spawn ------------------------------------> accept
%%       <------------------------------------ want_image | have_image
%%       {piece, Bytes} ---------------------> (image, then snapshot; each piece answered by `next')
%%       last -------------------------------> start
%%       <------------------------------------ {started, Handle}
%%       settled ----------------------------> keeps the instance
%% stop
%% '''
%% When the process here dies before it has settled, the one there stops what it has started: the instance is here, as its
%% reservation ended with the process. When the connection breaks the one there cannot know which of the two it is, and
%% keeps the instance: rather two than none.
%%
%% The process there, the keeper, has the instance live while no other process of that node has the handle. It ends when the
%% instance is stopped, and some time after the process for which it keeps the instance has ended.
-module(hb_wasm64_migrate).

-export([migrate/3]).
%% Called on the other node.
-export([accept/2]).
%% Where a keeper goes on.
-export([keep/1]).
-export_type([move/0]).

-include_lib("kernel/include/logger.hrl").

%% The form of what the two sides tell each other. Sides that differ in it do not move instances.
-define(PROTOCOL, 2).
-define(PIECE, (1 bsl 20)).
%% Milliseconds for the node of a holder to tell whether the holder lives.
-define(ASK, 10_000).

-type move() :: #{
    from := pid(),
    ref := reference(),
    %% SHA-256 of the image.
    hash := binary(),
    %% Options of its start that bound the instance.
    bounds := #{memory => non_neg_integer(), table => non_neg_integer()},
    holder := pid() | none,
    %% For the start of the instance, in milliseconds.
    timeout := timeout()
}.

-record(keeper, {
    stopped :: reference(),
    holder :: pid() | none,
    watch :: reference() | none,
    %% Until when the instance is kept for a holder that has ended, and how that has been noticed.
    over = none :: none | {Timer :: reference(), Reason :: term()}
}).

-record(there, {
    pid :: pid(),
    %% Both the name of this move and where its answers go. What comes when it is over goes nowhere.
    ref :: reference(),
    watch :: reference(),
    deadline :: hb_wasm64_deadline:deadline()
}).

-spec migrate(hb_wasm64:handle(), term(), term()) -> {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
migrate(Handle, Node, Options) when is_atom(Node) ->
    case hb_wasm64_options:parse(migrate, Options) of
        {ok, _} when Node =:= node() ->
            stay(Handle);
        {ok, Parsed} ->
            Holder = hb_wasm64_options:value(holder, Parsed),
            migrate_until(hb_wasm64_options:deadline(Parsed), Handle, Node, Holder);
        {error, _} = Error ->
            Error
    end;
migrate(Handle, Other, _Options) ->
    {error, hb_wasm64_args:error("migrate(Handle, Node)", [Handle, Other], 2)}.

stay(Handle) ->
    case hb_wasm64:status(Handle) of
        {ok, _} -> {ok, Handle};
        {error, _} = Error -> Error
    end.

migrate_until(Deadline, Handle, Node, Holder) ->
    Hold = fun(Ref, Ticket) -> hb_wasm64_nif:hold(Handle, Ref, Ticket) end,
    case hb_wasm64_call:single_step(Handle, Deadline, Hold) of
        {ok, Scope, Ticket} ->
            %% An exception leaves the instance where it is, like any other failure.
            try move(Deadline, Handle, Scope, Node, Holder) of
                Result -> Result
            after
                hb_wasm64_nif:cancel(Handle, Ticket)
            end;
        {error, _} = Error ->
            Error
    end.

move(Deadline, Handle, Scope, Node, Holder) ->
    case hb_wasm64_state:snapshot(Scope, true, [], Deadline) of
        {ok, Snapshot} ->
            case hb_wasm64_nif:origin(Handle) of
                {ok, Hash, Bounds} ->
                    Move = #{from => self(), ref => alias(), hash => Hash, bounds => Bounds, holder => Holder,
                             timeout => hb_wasm64_deadline:left(Deadline)},
                    move_to(Node, Move, Deadline, Handle, Snapshot);
                {error, _} = Error ->
                    Error
            end;
        {error, _} = Error ->
            Error
    end.

move_to(Node, #{ref := Ref} = Move, Deadline, Handle, Snapshot) ->
    try spawn_monitor(Node, ?MODULE, accept, [?PROTOCOL, Move]) of
        {Pid, Watch} ->
            There = #there{pid = Pid, ref = Ref, watch = Watch, deadline = Deadline},
            Result = send_all(Handle, Snapshot, There),
            true = demonitor(Watch, [flush]),
            settle(Result, Handle, There)
    catch
        error:Reason -> {error, {node, Reason}}
    after
        _ = unalias(Ref),
        flush(Ref)
    end.

flush(Ref) ->
    receive
        {Ref, _} -> flush(Ref)
    after 0 -> ok
    end.

%% Told first and stopped then: what may happen in between leaves two of them.
settle({started, There}, Handle, #there{pid = Pid, ref = Ref}) ->
    case hb_wasm64:status(Handle) of
        {ok, _} ->
            Pid ! {Ref, settled},
            _ = hb_wasm64:stop(Handle),
            {ok, There};
        {error, _} = Error ->
            %% Somebody has stopped it meanwhile, and that holds for what has become of it.
            Pid ! {Ref, given_up},
            Error
    end;
settle({error, _} = Error, _Handle, #there{pid = Pid, ref = Ref}) ->
    Pid ! {Ref, given_up},
    Error.

send_all(Handle, Snapshot, There) ->
    case answer(There) of
        want_image ->
            case hb_wasm64_nif:image_bytes(Handle) of
                {ok, Image} -> send_both(Image, Snapshot, There);
                {error, _} = Error -> Error
            end;
        have_image ->
            send_last(Snapshot, There);
        {error, _} = Error ->
            Error
    end.

send_both(Image, Snapshot, There) ->
    case send(Image, There) of
        next -> send_last(Snapshot, There);
        {error, _} = Error -> Error
    end.

send_last(Snapshot, There) ->
    case send(Snapshot, There) of
        next -> answer(There);
        {error, _} = Error -> Error
    end.

%% A binary in pieces, and its end.
send(<<Piece:?PIECE/binary, Rest/binary>>, #there{pid = Pid, ref = Ref} = There) ->
    Pid ! {Ref, piece, Piece},
    case answer(There) of
        next -> send(Rest, There);
        {error, _} = Error -> Error
    end;
send(Last, #there{pid = Pid, ref = Ref} = There) ->
    Pid ! {Ref, last, Last},
    answer(There).

%% The other process answers each message, or ends, or its node is lost: one of them comes, unless time is up before.
answer(#there{ref = Ref, watch = Watch, deadline = Deadline}) ->
    receive
        {Ref, Answer} -> Answer;
        {'DOWN', Watch, process, _, Reason} -> {error, {node, Reason}}
    after hb_wasm64_deadline:left(Deadline) -> {error, timeout}
    end.

%% @doc The process on the other node.
-spec accept(Protocol :: pos_integer(), move()) -> ok.
accept(?PROTOCOL, #{from := From, ref := Ref, hash := Hash} = Move) ->
    Watch = monitor(process, From),
    %% The group is there once the application runs.
    _ = application:ensure_all_started(hb_wasm64),
    ok = hb_wasm64_group:join(hb_wasm64_keepers),
    Image =
        case hb_wasm64_nif:find_hash(Hash) of
            {ok, Loaded} ->
                Ref ! {Ref, have_image},
                {loaded, Loaded};
            not_found ->
                Ref ! {Ref, want_image},
                collect(Ref, Watch, [])
        end,
    case Image =/= gone andalso collect(Ref, Watch, []) of
        Snapshot when is_binary(Snapshot) ->
            case start(Image, Snapshot, Move) of
                {ok, Handle} ->
                    Ref ! {Ref, {started, Handle}},
                    started(Handle, Watch, Move);
                {error, _} = Error ->
                    Ref ! {Ref, Error},
                    ok
            end;
        _ ->
            ok
    end;
accept(Protocol, #{ref := Ref}) ->
    Ref ! {Ref, {error, {node, {protocol, Protocol, ?PROTOCOL}}}},
    ok.

start(Image, Snapshot, #{timeout := Timeout, bounds := Bounds}) ->
    Options = Bounds#{snapshot => Snapshot, timeout => Timeout},
    case Image of
        {loaded, Loaded} -> hb_wasm64_start:start_loaded(Loaded, Options);
        Bytes -> hb_wasm64:start(Bytes, Options)
    end.

collect(Ref, Watch, Before) ->
    receive
        {Ref, piece, Piece} ->
            Ref ! {Ref, next},
            collect(Ref, Watch, [Piece | Before]);
        {Ref, last, Piece} ->
            Ref ! {Ref, next},
            iolist_to_binary(lists:reverse(Before, [Piece]));
        {Ref, given_up} ->
            gone;
        {'DOWN', Watch, process, _, _} ->
            gone
    end.

started(Handle, Watch, #{ref := Ref, holder := Holder}) ->
    receive
        {Ref, settled} ->
            true = demonitor(Watch, [flush]),
            keep(Handle, Holder);
        {Ref, given_up} ->
            _ = hb_wasm64:stop(Handle),
            ok;
        {'DOWN', Watch, process, _, noconnection} ->
            ?LOG_WARNING("an instance has arrived here, and the node it came from is gone", #{library => hb_wasm64}),
            keep(Handle, Holder);
        {'DOWN', Watch, process, _, _} ->
            _ = hb_wasm64:stop(Handle),
            ok
    end.

%% From here on the library has the handle for this process.
keep(Handle, Holder) ->
    Stopped = make_ref(),
    case hb_wasm64_nif:watch(Handle, Stopped) of
        ok -> wait(watch_holder(#keeper{stopped = Stopped, holder = Holder, watch = none}));
        {error, _} -> ok
    end.

watch_holder(#keeper{holder = none} = Keeper) -> Keeper;
watch_holder(#keeper{holder = Holder} = Keeper) -> Keeper#keeper{watch = monitor(process, Holder), over = none}.

%% It may last for long: nothing of what was received here is kept meanwhile, and no version of this code.
-spec wait(#keeper{}) -> no_return().
wait(Keeper) ->
    erlang:hibernate(?MODULE, keep, [Keeper]).

%% @private
-spec keep(#keeper{}) -> ok.
keep(#keeper{stopped = Stopped, watch = Watch, over = Over} = Keeper) ->
    receive
        {hb_wasm64, Stopped, turn} ->
            ok;
        {'DOWN', Watch, process, _, Reason} ->
            %% What the holder has told others may still be on its way to them.
            Timer = erlang:start_timer(hb_wasm64_app:keep_moved(), self(), over),
            wait(Keeper#keeper{over = {Timer, Reason}});
        {timeout, Timer, over} when element(1, Over) =:= Timer ->
            case element(2, Over) =:= noconnection andalso lives(Keeper#keeper.holder) of
                true -> wait(watch_holder(Keeper));
                false -> ok
            end;
        _Stray ->
            wait(Keeper)
    end.

lives(Holder) ->
    try
        erpc:call(node(Holder), erlang, is_process_alive, [Holder], ?ASK)
    catch
        %% Out of reach, or a node that has the name of the other one.
        _:_ -> false
    end.
