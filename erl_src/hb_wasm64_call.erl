%% @doc Operations on an instance: slice by slice, in turn with those of others, within their deadline.
%%
%% An operation is driven by one process, which the library monitors: when it dies, the guest is stopped and the instance
%% is free for the next operation. {@link run/2} drives in the calling process, {@link async/1} in a new one.
-module(hb_wasm64_call).

-export([new/5, new/4, new/3, run/1, run/2, async/1, cancel/1, single_step/3, job/2]).
-export([answer/1]).
-export_type([call/0, operation/0, imports/0, usage/0, result/0]).

-type operation() ::
    {call, binary() | non_neg_integer(), Args :: list(), Options :: map()}
    | {start, Options :: map()}
    | {grow, Bytes :: non_neg_integer()}
    | {restore, State :: {raw | whole, [binary()]}, Options :: map()}
    | {fork, hb_wasm64_nif:handle()}
    | {renew, hb_wasm64_nif:handle(), Options :: map()}.
%% What runs code of the image, or may take many slices. The options are those of the engine: see
%% {@link hb_wasm64_options}.
-type imports() :: zero | {function, fun((State :: term(), map(), User :: term()) -> term())} | {handler, pid()}.
%% Who answers imports; `zero' stands for zeros of the right types.
-record(call, {
    handle :: hb_wasm64_nif:handle(),
    operation :: operation(),
    %% The function and its arguments as the caller gave them, for errors.
    func :: term(),
    args = [] :: term(),
    imports = zero :: imports(),
    %% The third argument of the import function.
    user = #{} :: term(),
    deadline = infinity :: hb_wasm64_deadline:deadline(),
    on_timeout = keep :: keep | stop,
    %% Whether the result ends with what the call has used.
    usage = false :: boolean(),
    %% Where what the guest prints is sent meanwhile.
    output = none :: pid() | hb_wasm64_output:output(),
    %% Where another process waits for the result: the reference of the call, and the monitor of that process.
    async = none :: none | {reference(), reference()}
}).
-opaque call() :: #call{}.
-type usage() :: #{fuel_used => non_neg_integer(), gas_used => integer()}.
%% What a call has used: the same on every node, whatever the time slices, and whatever imports the guest waited for. A call
%% that is nested in an import counts to the call around it, too. Of a call that ends with `{limit, fuel}' it is all the fuel
%% that the call had. A call that fails in other ways has used what it had until then. Where
%% the guest itself has trapped, other than by `unreachable', there is no `fuel_used': the processor does not tell it, and
%% nothing of what a nested call has used so counts to the call around it. `gas_used' is what the meter of the image has
%% counted meanwhile; there is none where the image has no meter. Of a call that ends with `{limit, gas}' the amount that
%% exceeded the limit is counted, too. The map is empty where a call was refused, so that nothing has run, and where it was
%% ended from outside (`timeout', `cancelled', `stopped'), as that is at another point in each run.
-type result() ::
    {ok, [hb_wasm64:value()]}
    | {error, hb_wasm64:reason()}
    | {ok, [hb_wasm64:value()], usage()}
    | {error, hb_wasm64:reason(), usage()}.
%% The longer ones of calls with the option `usage'.
-type single_step(Result) ::
    fun((reference(), hb_wasm64_nif:ticket()) -> {wait | yielded, hb_wasm64_nif:ticket()} | Result).

%% Takes the place of an import failure whose reason stays in the process that drives the call.
-define(REASON_IS_HERE, <<>>).
%% How long to wait for a message that another thread has been told to send, in milliseconds.
-define(WAKE_UP_PATIENCE, 10_000).

%% @doc A call of a function, checked as far as that is possible without the instance.
-spec new(hb_wasm64:handle(), term(), term(), imports(), hb_wasm64_options:parsed()) ->
    {ok, call()} | {error, hb_wasm64:reason()}.
new(Handle, Func, Args, Imports, Options) ->
    case {hb_wasm64_args:func(Func), hb_wasm64_args:values(Args)} of
        {error, _} ->
            {error, {unknown_function, Func}};
        {_, error} ->
            {error, hb_wasm64_args:error("call(Handle, Func, Args)", [Handle, Func, Args], 3)};
        {{ok, Target}, {ok, Values}} ->
            Call = #call{
                handle = Handle,
                operation = {call, Target, Values, #{}},
                func = Func,
                args = Args,
                imports = Imports,
                deadline = hb_wasm64_options:deadline(Options)
            },
            %% The record has the same defaults.
            case hb_wasm64_options:is_default(Options) of
                true -> {ok, Call};
                false -> {ok, with_options(Call, Options)}
            end
    end.

with_options(#call{operation = {call, Target, Values, _}} = Call, Options) ->
    Output = hb_wasm64_options:value(output, Options),
    Call#call{
        operation = {call, Target, Values, streamed(Output, hb_wasm64_options:engine(Options))},
        user = hb_wasm64_options:value(user, Options),
        on_timeout = hb_wasm64_options:value(on_timeout, Options),
        usage = usage(Options),
        output = Output
    }.

usage(Options) ->
    case hb_wasm64_options:engine(Options) of
        #{usage := Usage} -> Usage;
        #{} -> false
    end.

%% Options of the engine, where what the guest prints is sent meanwhile.
streamed(none, Options) -> Options;
streamed(_Output, Options) -> Options#{stream => true}.

%% @doc Another operation, which has no imports answered.
-spec new(hb_wasm64:handle(), operation(), hb_wasm64_deadline:deadline()) -> call().
new(Handle, Operation, Deadline) ->
    #call{handle = Handle, operation = Operation, deadline = Deadline}.

%% @doc The same with what the guest prints sent to a process.
-spec new(hb_wasm64:handle(), operation(), hb_wasm64_deadline:deadline(), pid() | none) -> call().
new(Handle, {start, Options}, Deadline, Output) ->
    (new(Handle, {start, streamed(Output, Options)}, Deadline))#call{output = Output};
new(Handle, {restore, State, Options}, Deadline, Output) ->
    (new(Handle, {restore, State, streamed(Output, Options)}, Deadline))#call{output = Output}.

%% @doc Drives an operation in the calling process, without an import function.
-spec run(call()) -> result().
run(Call) ->
    without_state(run(Call, none)).

without_state({ok, Results, none}) -> {ok, Results};
without_state({error, Reason, none}) -> {error, Reason};
without_state({Outcome, Given, none, Usage}) -> {Outcome, Given, Usage};
without_state(caller_down) -> caller_down.

%% @doc Drives an operation in the calling process. `State' is that of the import function.
-spec run(call(), State :: term()) ->
    {ok, [hb_wasm64:value()], State :: term()}
    | {error, hb_wasm64:reason(), State :: term()}
    | {ok, [hb_wasm64:value()], State :: term(), usage()}
    | {error, hb_wasm64:reason(), State :: term(), usage()}.
run(#call{output = none} = Call, State) ->
    Ref = make_ref(),
    drive(enter(Call, Ref, 0), Ref, queued, Call, none, State);
run(#call{output = To} = Call, State) when To =:= self() ->
    %% It would wait for itself.
    failed({invalid_option, output, To}, Call, State);
run(#call{output = To} = Call, State) ->
    Output = hb_wasm64_output:new(To),
    hb_wasm64_output:finish(Output, run_streamed(Call#call{output = Output}, State)).

run_streamed(Call, State) ->
    Ref = make_ref(),
    drive(enter(Call, Ref, 0), Ref, queued, Call, none, State).

%% Begins an operation, or asks for its turn again. Ticket 0 is that of an operation that is not in the queue yet.
enter(#call{handle = Handle, operation = Operation, deadline = Deadline} = Call, Ref, Ticket) ->
    case Operation of
        {call, Func, Args, Options} -> hb_wasm64_nif:call(Handle, Ref, Ticket, Func, Args, Options, responder(Call));
        {start, Options} ->
            case hb_wasm64_options:gives(Options) of
                [] -> hb_wasm64_nif:start(Handle, Ref, Options);
                _ -> hb_wasm64_nif:start_dirty(Handle, Ref, Options)
            end;
        {grow, Bytes} -> hb_wasm64_nif:grow(Handle, Ref, Ticket, Deadline, Bytes);
        {restore, State, Options} -> hb_wasm64_nif:restore(Handle, Ref, Ticket, Deadline, State, Options);
        {fork, Other} -> hb_wasm64_nif:fork(Handle, Ref, Ticket, Deadline, Other);
        {renew, Other, Options} -> hb_wasm64_nif:renew(Handle, Ref, Ticket, Deadline, Other, Options)
    end.

resume(#call{handle = Handle, deadline = Deadline} = Call, Ref, Ticket) ->
    hb_wasm64_nif:resume(Handle, Ref, Ticket, Deadline, responder(Call)).

responder(#call{imports = zero}) -> zero;
responder(#call{imports = {function, _}}) -> self();
responder(#call{imports = {handler, Handler}}) -> Handler.

%% Drives an operation on from its last step. `Ref' is an argument of its own so that the compiler sees where it was made,
%% and lets a receive skip the messages that were there before. Phase: `queued' until a step of the operation has run, then
%% `running'. `Failure' is the reason with which the import function failed last.
drive(Step, Ref, Phase, #call{output = none} = Call, Failure, State) ->
    step(Step, Ref, Phase, Call, Failure, State);
drive(Step, Ref, Phase, #call{handle = Handle, output = Output, deadline = Deadline} = Call, Failure, State) ->
    _ = hb_wasm64_output:forward(Output, Handle, Deadline, caller_monitor(Call)),
    step(Step, Ref, Phase, Call, Failure, State).

caller_monitor(#call{async = none}) -> none;
caller_monitor(#call{async = {_, CallerMonitor}}) -> CallerMonitor.

step({ok, Results}, _Ref, _Phase, _Call, _Failure, State) ->
    {ok, Results, State};
step({error, timeout}, _Ref, Phase, Call, _Failure, State) ->
    timed_out(Phase, Call, State);
step({error, Reason}, _Ref, _Phase, Call, Failure, State) ->
    failed(reason(Reason, Failure, Call), Call, State);
step({ok, Results, Usage}, _Ref, _Phase, _Call, _Failure, State) ->
    {ok, Results, State, Usage};
step({error, Reason, Usage}, _Ref, _Phase, Call, Failure, State) ->
    {error, reason(Reason, Failure, Call), State, Usage};
step({yielded, Ticket}, Ref, _Phase, Call, Failure, State) ->
    next_slice(Ticket, Ref, running, Call, Failure, State);
step({deferred, Ticket}, Ref, Phase, Call, Failure, State) ->
    next_slice(Ticket, Ref, Phase, Call, Failure, State);
step({wait, Ticket}, Ref, Phase, Call, Failure, State) ->
    case wait(Ref, Call) of
        turn when Phase =:= queued -> drive(enter(Call, Ref, Ticket), Ref, Phase, Call, Failure, State);
        turn -> drive(resume(Call, Ref, Ticket), Ref, Phase, Call, Failure, State);
        timeout -> stop_waiting(Ticket, Ref, Phase, Call, Failure, State);
        caller_down -> caller_down
    end;
step({import, Ticket, Request}, Ref, _Phase, #call{imports = {function, Fun}} = Call, Failure, State) ->
    case import(Fun, State, Request, Call) of
        {failure, Reason, State1} -> answer(?REASON_IS_HERE, Ticket, Request, Ref, Call, Reason, State1);
        {Answer, State1} -> answer(Answer, Ticket, Request, Ref, Call, Failure, State1)
    end;
step({import, Ticket, #{instance := Scope} = Request}, Ref, _Phase, Call, Failure, State) ->
    #call{imports = {handler, Handler}, async = {AsyncRef, _}} = Call,
    Monitor = monitor(process, Handler),
    Handler ! {hb_wasm64, AsyncRef, {import, Scope, Request}},
    case wait(Ref, Call, Monitor) of
        turn ->
            true = demonitor(Monitor, [flush]),
            drive(resume(Call, Ref, Ticket), Ref, running, Call, Failure, State);
        handler_down ->
            %% If another process has answered meanwhile, its answer counts. Either answer sends the message.
            _ = hb_wasm64_nif:respond(Scope, answer({error, handler_down})),
            drive({wait, Ticket}, Ref, running, Call, Failure, State);
        timeout ->
            stop_waiting(Ticket, Ref, running, Call, Failure, State);
        caller_down ->
            caller_down
    end.

%% A call that has not run to an end of its own: it was refused, or ended by others at a point that differs from run to run.
failed(Reason, #call{usage = false}, State) -> {error, Reason, State};
failed(Reason, #call{usage = true}, State) -> {error, Reason, State, #{}}.

next_slice(Ticket, Ref, Phase, Call, Failure, State) ->
    case {caller_is_down(Call), hb_wasm64_deadline:left(Call#call.deadline)} of
        {true, _} -> caller_down;
        {false, 0} -> give_up(Ticket, Phase, Call, State);
        {false, _} -> drive(resume(Call, Ref, Ticket), Ref, Phase, Call, Failure, State)
    end.

answer(Answer, Ticket, #{instance := Scope}, Ref, #call{handle = Handle} = Call, Failure, State) ->
    case hb_wasm64_deadline:left(Call#call.deadline) of
        0 ->
            give_up(Ticket, running, Call, State);
        _ ->
            drive(hb_wasm64_nif:answer(Handle, Ref, Ticket, Scope, Answer), Ref, running, Call, Failure, State)
    end.

%% Waits for the library's message: it comes when the operation can go on, and when the instance is stopped.
wait(Ref, #call{async = none, deadline = Deadline}) ->
    receive
        {hb_wasm64, Ref, turn} -> turn
    after hb_wasm64_deadline:left(Deadline) -> timeout
    end;
wait(Ref, Call) ->
    wait(Ref, Call, none).

%% The same where the caller is another process, and while a handler is to answer.
wait(Ref, #call{async = {_, CallerMonitor}, deadline = Deadline}, HandlerMonitor) ->
    receive
        {hb_wasm64, Ref, turn} -> turn;
        {'DOWN', HandlerMonitor, process, _, _} -> handler_down;
        {'DOWN', CallerMonitor, process, _, _} -> caller_down
    after hb_wasm64_deadline:left(Deadline) -> timeout
    end.

caller_is_down(#call{async = none}) ->
    false;
caller_is_down(#call{async = {_, CallerMonitor}}) ->
    receive
        {'DOWN', CallerMonitor, process, _, _} -> true
    after 0 -> false
    end.

give_up(Ticket, Phase, #call{handle = Handle} = Call, State) ->
    _ = hb_wasm64_nif:cancel(Handle, Ticket),
    timed_out(Phase, Call, State).

stop_waiting(Ticket, Ref, Phase, #call{handle = Handle} = Call, Failure, State) ->
    case leave_queue(Handle, Ref, Ticket) of
        left -> timed_out(Phase, Call, State);
        done -> drive(enter(Call, Ref, Ticket), Ref, Phase, Call, Failure, State)
    end.

timed_out(running, #call{on_timeout = stop, handle = Handle} = Call, State) ->
    _ = hb_wasm64_nif:stop(Handle),
    failed(timeout, Call, State);
timed_out(_Phase, Call, State) ->
    failed(timeout, Call, State).

%% Takes back a ticket whose owner waits for the message of its turn; `done': a background thread has finished the operation.
leave_queue(Handle, Ref, Ticket) ->
    case hb_wasm64_nif:cancel(Handle, Ticket) of
        true ->
            left;
        Woken ->
            %% The thread that changed the queue sends the message, or has sent it: a step in native code that no death of a
            %% process interrupts. It is taken out of the mailbox, where nobody would look for it later.
            receive
                {hb_wasm64, Ref, turn} -> ok
            after ?WAKE_UP_PATIENCE -> ok
            end,
            case Woken of
                false -> left;
                done -> done
            end
    end.

%% Runs an import function: the answer, and the state after it.
import(Fun, State, Request, #call{deadline = infinity, user = User}) ->
    import_now(Fun, State, Request, User);
import(Fun, State, Request, #call{deadline = Deadline, user = User}) ->
    hb_wasm64_deadline:inherit(Deadline, fun() -> import_now(Fun, State, Request, User) end).

import_now(Fun, State, Request, User) ->
    try Fun(State, Request, User) of
        {ok, Results, State1} -> results(Results, State1);
        {pass, State1} when is_map_key(interceptable, Request) -> {pass, State1};
        {pass, State1} -> {failure, {not_interceptable, maps:with([module, func], Request)}, State1};
        {error, Reason} -> {failure, Reason, State};
        {error, Reason, State1} -> {failure, Reason, State1};
        Other -> {failure, {invalid_answer, Other}, State}
    catch
        Class:Reason:Stacktrace -> {failure, {raised, Class, Reason, Stacktrace}, State}
    end.

results(Results, State) ->
    case hb_wasm64_args:values(Results) of
        {ok, Values} -> {Values, State};
        error -> {failure, {invalid_answer, {ok, Results}}, State}
    end.

%% @doc The answer of a handler as the native library expects it: results, or the reason of a failure in a form that it
%% passes through unread.
-spec answer(term()) -> list() | binary() | pass.
answer(pass) ->
    pass;
answer({ok, Results}) ->
    case hb_wasm64_args:values(Results) of
        {ok, Values} -> Values;
        error -> term_to_binary({invalid_answer, {ok, Results}})
    end;
answer({error, Reason}) ->
    term_to_binary(Reason);
answer(Other) ->
    term_to_binary({invalid_answer, Other}).

%% Adds to the library's reason what only this side knows.
reason({invalid_args, Signature, Position}, _Failure, Call) ->
    {invalid_args, #{signature => Signature, args => Call#call.args, position => Position}};
reason({unknown_function, _}, _Failure, Call) ->
    {unknown_function, Call#call.func};
reason({import_failed, {refused, ?REASON_IS_HERE}}, Failure, _Call) ->
    {import_failed, Failure};
reason({import_failed, {refused, Failure}}, _Failure, _Call) ->
    {import_failed, binary_to_term(Failure)};
reason(Reason, _Failure, _Call) ->
    Reason.

%% @doc Runs an operation that has one result and runs no code of the image, when its turn comes, if that is before the
%% deadline.
-spec single_step(hb_wasm64:handle(), hb_wasm64_deadline:deadline(), single_step(Result)) -> Result | {error, timeout}.
single_step(Handle, Deadline, Operation) ->
    Ref = make_ref(),
    single_step(Operation(Ref, 0), Ref, Handle, Deadline, Operation).

single_step({wait, Ticket}, Ref, Handle, Deadline, Operation) ->
    %% The message comes when it is its turn, when a background thread is done, and when the instance is stopped.
    receive
        {hb_wasm64, Ref, turn} -> single_step(Operation(Ref, Ticket), Ref, Handle, Deadline, Operation)
    after hb_wasm64_deadline:left(Deadline) ->
        case leave_queue(Handle, Ref, Ticket) of
            left -> {error, timeout};
            done -> single_step(Operation(Ref, Ticket), Ref, Handle, Deadline, Operation)
        end
    end;
single_step({yielded, Ticket}, Ref, Handle, Deadline, Operation) ->
    %% The next step looks at the deadline.
    single_step(Operation(Ref, Ticket), Ref, Handle, Deadline, Operation);
single_step(Result, _Ref, _Handle, _Deadline, _Operation) ->
    Result.

%% @doc Does what a background thread may have to finish, in which case that sends the result.
-spec job(hb_wasm64_deadline:deadline(), fun((reference()) -> {wait, hb_wasm64_nif:job()} | Result)) ->
    Result | {error, timeout}.
job(Deadline, Start) ->
    Ref = make_ref(),
    case Start(Ref) of
        {wait, Job} ->
            %% The thread sends one message in every case, unless it is told that nobody waits any more.
            receive
                {hb_wasm64, Ref, {done, Result}} -> Result
            after hb_wasm64_deadline:left(Deadline) ->
                case hb_wasm64_nif:give_up_job(Job) of
                    true -> {error, timeout};
                    %% It has been sent.
                    false -> receive {hb_wasm64, Ref, {done, Result}} -> Result end
                end
            end;
        Result ->
            Result
    end.

%% @doc Drives a call in a new process: imports go to the handler, the result to the calling process. On return the call has
%% its place in the queue.
%%
%% The result is sent once, whatever dies: the reference of the call is a resource of the library, which sends `done' for
%% the new process, or for its death, whichever comes first.
-spec async(call()) -> {ok, reference()} | {error, hb_wasm64:reason()}.
async(Call) ->
    Caller = self(),
    Run = fun() ->
        Monitor = monitor(process, Caller),
        %% One of the two comes: the caller's next lines send the first, and if it dies before, the second comes.
        receive
            {run, Ref, Alias} -> run_async(Call#call{async = {Ref, Monitor}}, Ref, Alias);
            {'DOWN', Monitor, process, Caller, _} -> ok
        end
    end,
    try spawn(Run) of
        Driver ->
            Ref = hb_wasm64_nif:async_new(Driver),
            Alias = monitor(process, Driver, [{alias, reply_demonitor}]),
            Driver ! {run, Ref, Alias},
            %% One of the two comes, as the first step of a call is no longer than a slice.
            receive
                {Alias, queued} -> {ok, Ref};
                {'DOWN', Alias, process, Driver, _} -> {ok, Ref}
            end
    catch
        error:system_limit -> {error, {host, <<"the node has no room for another process">>}}
    end.

run_async(#call{output = To} = NewCall, AsyncRef, Alias) ->
    Ref = make_ref(),
    Output = hb_wasm64_output:new(To),
    Call = NewCall#call{output = Output},
    First = enter(Call, Ref, 0),
    Alias ! {Alias, queued},
    ok = end_with_application(First),
    case hb_wasm64_output:finish(Output, without_state(drive(First, Ref, queued, Call, none, none))) of
        %% The library sees this process end, and stops the guest.
        caller_down -> ok;
        Result -> hb_wasm64_nif:async_done(AsyncRef, Result)
    end.

%% A call that is over needs nobody to end it.
end_with_application({ok, _}) -> ok;
end_with_application({error, _}) -> ok;
end_with_application({Ended, _, _}) when Ended =:= ok; Ended =:= error -> ok;
end_with_application(_Step) -> hb_wasm64_group:join(hb_wasm64_runners).

%% @doc Ends a call of {@link async/1}. No message of it comes to this process afterwards.
-spec cancel(reference()) -> ok.
cancel(Ref) ->
    case hb_wasm64_nif:async_cancel(Ref) of
        undefined ->
            ok;
        Driver ->
            Monitor = monitor(process, Driver),
            exit(Driver, kill),
            %% It has ended already, or the signal ends it.
            receive
                {'DOWN', Monitor, process, Driver, _} -> flush(Ref)
            end
    end.

flush(Ref) ->
    receive
        {hb_wasm64, Ref, _} -> flush(Ref)
    after 0 -> ok
    end.
