%% @doc An instance on its way to another node.
%%
%% The process that moves it reserves it, so that its state stands still, and sends image and state in pieces, each after
%% the one before has arrived. A process there puts them together and starts the instance. Only when that has been told is
%% the one here stopped.
%%
%% ```
%% here                                        there
%% spawn ------------------------------------> accept
%%       <------------------------------------ want image | have image
%%       {piece, Bytes} ---------------------> (image, then snapshot; each piece answered by `next')
%%       last -------------------------------> start
%%       <------------------------------------ {started, Handle}
%%       settled ----------------------------> keeps the handle until the instance is stopped
%% stop
%% '''
%% When the process here dies before it has settled, the one there stops what it has started: the instance is here, as its
%% reservation ended with the process. When the connection breaks the one there cannot know which of the two it is, and
%% keeps the instance: rather two than none.
-module(hb_wasm64_migrate).

-export([migrate/3]).
%% Called on the other node.
-export([accept/3]).

-include_lib("kernel/include/logger.hrl").

-define(PIECE, (1 bsl 20)).
%% How often a keeper looks whether its instance has been stopped, in milliseconds.
-define(LOOK, 1000).

-record(there, {
    pid :: pid(),
    %% Both the name of this move and where its answers go. What comes when it is over goes nowhere.
    ref :: reference(),
    watch :: reference(),
    deadline :: hb_wasm64_run:deadline()
}).

-spec migrate(hb_wasm64:handle(), term(), term()) -> {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
migrate(Handle, Node, Options) when is_atom(Node) ->
    case hb_wasm64_run:deadline(Options) of
        {ok, Deadline} -> migrate_until(Deadline, Handle, Node);
        {error, _} = Error -> Error
    end;
migrate(Handle, Other, _Options) ->
    {error, hb_wasm64_run:wrong_argument("migrate(Handle, Node)", [Handle, Other], 2)}.

migrate_until(Deadline, Handle, Node) ->
    case hb_wasm64_run:in_turn(Handle, Deadline, fun(Ref, Ticket) -> hb_wasm64_nif:hold(Handle, Ref, Ticket) end) of
        {ok, Scope, Ticket} ->
            %% An exception leaves the instance where it is, like any other failure.
            try move(Deadline, Handle, Scope, Node) of
                Result -> Result
            after
                hb_wasm64_nif:cancel(Handle, Ticket)
            end;
        {error, _} = Error ->
            Error
    end.

move(Deadline, Handle, Scope, Node) ->
    case hb_wasm64_state:snapshot(Scope, #{compress => true, timeout => hb_wasm64_run:left(Deadline)}) of
        {ok, Snapshot} ->
            case hb_wasm64:describe(Handle) of
                {ok, #{image := Hash}} -> move_to(Node, Deadline, Handle, Hash, Snapshot);
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

move_to(Node, Deadline, Handle, Hash, Snapshot) ->
    Ref = alias(),
    try spawn_monitor(Node, ?MODULE, accept, [self(), Ref, Hash]) of
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
    after hb_wasm64_run:left(Deadline) -> {error, timeout}
    end.

%% @doc The process on the other node.
-spec accept(pid(), reference(), Hash :: binary()) -> ok.
accept(From, Ref, Hash) ->
    Watch = monitor(process, From),
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
            case start(Image, Snapshot) of
                {ok, Handle} ->
                    Ref ! {Ref, {started, Handle}},
                    started(Handle, Ref, Watch);
                {error, _} = Error ->
                    Ref ! {Ref, Error},
                    ok
            end;
        _ ->
            ok
    end.

start({loaded, Image}, Snapshot) -> hb_wasm64:start_loaded(Image, Snapshot);
start(Image, Snapshot) -> hb_wasm64:start(Image, #{snapshot => Snapshot}).

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

started(Handle, Ref, Watch) ->
    receive
        {Ref, settled} ->
            true = demonitor(Watch, [flush]),
            keep_alone(Handle);
        {Ref, given_up} ->
            _ = hb_wasm64:stop(Handle),
            ok;
        {'DOWN', Watch, process, _, noconnection} ->
            ?LOG_WARNING("an instance has arrived here, and the node it came from is gone", #{library => hb_wasm64}),
            keep_alone(Handle);
        {'DOWN', Watch, process, _, _} ->
            _ = hb_wasm64:stop(Handle),
            ok
    end.

%% What has been sent here is not needed any more.
keep_alone(Handle) ->
    true = garbage_collect(),
    keep(Handle).

%% Without somebody who holds it here the instance would be gone before anybody has used it.
keep(Handle) ->
    case hb_wasm64:status(Handle) of
        {ok, _} ->
            timer:sleep(?LOOK),
            keep(Handle);
        {error, _} ->
            ok
    end.
