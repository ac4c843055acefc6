%% @doc What a guest prints, sent to a process while the guest runs.
%%
%% The option `output => Pid' of a start or a call has it sent as `{hb_wasm64, OutputRef, {output, stdout | stderr, Bytes}}', 64 KiB
%% at most, in the order in which it is printed. At the end comes `{hb_wasm64, OutputRef, {output, eof}}', before the call returns
%% or its `done' comes. The receiver answers each message with bytes by `hb_wasm64_output:seen(OutputRef)': where 16 have not been answered,
%% the guest waits, until the `timeout' of its call at the latest. So neither the node nor the receiver's mailbox is filled by a
%% guest that prints without end; and nothing of all that shows in the guest.
%%
%% A receiver that ends gets nothing more, and the guest goes on. One that is still waited for when time is up gets no `eof'. The
%% process that waits for a call cannot be its receiver (`{invalid_option, output, Pid}'); the one that makes a `call_async' can. A
%% call that is made while an import waits sends what it prints where its own options say.
%%
%% The process that drives the call sends it, between two steps of the guest, which makes way when it has printed much.
-module(hb_wasm64_output).

-export([new/1, forward/4, finish/2, seen/1]).
-export_type([output/0, ref/0]).

%% Bytes of a message.
-define(PIECE, (64 bsl 10)).
%% Messages that may be unseen.
-define(UNSEEN, 16).

-record(output, {
    to :: pid(),
    watch :: reference(),
    %% Where the receiver says what it has seen.
    ref :: reference(),
    %% How many messages it has not seen; and whether nothing is sent any more.
    counters :: counters:counters_ref()
}).
-type output() :: none | #output{}.
-type ref() :: reference().

-define(UNSEEN_AT, 1).
-define(CLOSED_AT, 2).

%% @doc Output on its way to a process, or to none.
-spec new(pid() | none) -> output().
new(none) ->
    none;
new(To) ->
    #output{to = To, watch = monitor(process, To), ref = alias(), counters = counters:new(2, [])}.

%% @doc Sends what has been printed since. Ends early with the deadline, with the receiver, and with the process whose monitor
%% is given: from then on nothing is sent.
-spec forward(output(), hb_wasm64:handle(), hb_wasm64_deadline:deadline(), reference() | none) ->
    ok | {error, hb_wasm64:reason()}.
forward(none, _Handle, _Deadline, _Caller) ->
    ok;
forward(Output, Handle, Deadline, Caller) ->
    case hb_wasm64_nif:take_printed(Handle) of
        {ok, Parts} ->
            _ = [send(Bytes, Name, Output, Deadline, Caller) || {Name, Bytes} <- Parts],
            ok;
        {error, _} = Error ->
            close(Output),
            Error
    end.

send(<<Piece:?PIECE/binary, Rest/binary>>, Name, Output, Deadline, Caller) when Rest =/= <<>> ->
    send_piece(Piece, Name, Output, Deadline, Caller),
    send(Rest, Name, Output, Deadline, Caller);
send(Piece, Name, Output, Deadline, Caller) ->
    send_piece(Piece, Name, Output, Deadline, Caller).

send_piece(Piece, Name, #output{to = To, ref = Ref, counters = Counters} = Output, Deadline, Caller) ->
    wait(Output, Deadline, Caller),
    case is_closed(Output) of
        true ->
            ok;
        false ->
            To ! {hb_wasm64, Ref, {output, Name, Piece}},
            counters:add(Counters, ?UNSEEN_AT, 1)
    end.

%% Waits until there is room for one more message.
wait(#output{watch = Watch, ref = Ref, counters = Counters} = Output, Deadline, Caller) ->
    Patience =
        case counters:get(Counters, ?UNSEEN_AT) < ?UNSEEN of
            true -> 0;
            false -> hb_wasm64_deadline:left(Deadline)
        end,
    case is_closed(Output) of
        true ->
            ok;
        false ->
            receive
                {Ref, seen} ->
                    counters:sub(Counters, ?UNSEEN_AT, 1),
                    wait(Output, Deadline, Caller);
                {'DOWN', Watch, process, _, _} ->
                    close(Output);
                {'DOWN', Caller, process, _, _} = Down ->
                    %% Whoever drives the call looks for it, too.
                    self() ! Down,
                    close(Output)
            after Patience ->
                _ = counters:get(Counters, ?UNSEEN_AT) < ?UNSEEN orelse close(Output),
                ok
            end
    end.

is_closed(#output{counters = Counters}) -> counters:get(Counters, ?CLOSED_AT) =:= 1.

close(#output{counters = Counters}) -> counters:put(Counters, ?CLOSED_AT, 1).

%% @doc Tells the receiver that all has been sent, if it has, and returns what is given.
-spec finish(output(), Result) -> Result.
finish(none, Result) ->
    Result;
finish(#output{to = To, watch = Watch, ref = Ref} = Output, Result) ->
    _ = is_closed(Output) orelse (To ! {hb_wasm64, Ref, {output, eof}}),
    true = demonitor(Watch, [flush]),
    _ = unalias(Ref),
    flush(Ref),
    Result.

flush(Ref) ->
    receive
        {Ref, seen} -> flush(Ref)
    after 0 -> ok
    end.

%% @doc Says that a message with output has been seen.
-spec seen(ref()) -> ok.
seen(Ref) when is_reference(Ref) ->
    Ref ! {Ref, seen},
    ok.
