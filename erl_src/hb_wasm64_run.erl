%% @doc Calls on their way: moves them on slice by slice, answers their imports, ends them when their time is up.
%%
%% A call is driven by one process. That of {@link sync/3} is the caller; {@link async/2} spawns one for it. The library
%% watches the driver: when it dies, the guest is stopped and the instance is free for the next one.
-module(hb_wasm64_run).

-export([new/4, operation/3, deadline/1, left/1, time/1]).
-export([sync/3, async/2, cancel/1, in_turn/2, in_turn/3, job/2]).
-export([answer/1, wrong_argument/3]).
-export_type([run/0, operation/0, beginning/0, deadline/0]).

-record(run, {
    handle :: hb_wasm64_nif:handle(),
    func :: operation() | binary() | non_neg_integer(),
    %% The function as the caller named it.
    name :: term(),
    args = [] :: list(),
    %% The arguments as the caller gave them.
    given = [] :: list(),
    fuel = infinity :: non_neg_integer() | infinity,
    host = none :: hb_wasm64_nif:host(),
    deadline = infinity :: deadline(),
    options = #{} :: map(),
    responder = zero :: hb_wasm64_nif:responder()
}).
-opaque run() :: #run{}.
-type operation() ::
    {start, beginning()}
    | {restore, raw | whole, [binary()], beginning()}
    | {fork, hb_wasm64_nif:handle()}.
%% What is driven like a call: it may run code of the image.
-type beginning() :: {hb_wasm64_nif:initialize(), Time :: non_neg_integer()}.
%% What of a program runs then, and what its clock shows.
-type deadline() :: integer() | infinity.
%% Native time units of erlang:monotonic_time/0.
-type in_one_step(Result) ::
    fun((reference(), hb_wasm64_nif:ticket()) -> {wait | yielded, hb_wasm64_nif:ticket()} | Result).

-define(MAX_FUEL, ((1 bsl 64) - 1)).
%% No module has longer names, in bytes.
-define(MAX_NAME, 100_000).
%% Beyond this no integer is an argument of any type.
-define(LARGEST, (1 bsl 1024)).
%% Stands for a reason that the driver of the call has kept.
-define(KEPT, <<>>).
%% Where a process keeps the deadline of the call whose import it is answering.
-define(OUTER, hb_wasm64_deadline).
%% The latest time that a float still tells to the millisecond.
-define(MAX_TIME, (1 bsl 53)).
%% The longest that a receive can wait.
-define(MAX_TIMEOUT, ((1 bsl 32) - 1)).

%% @doc A call, checked as far as that is possible without the instance.
-spec new(hb_wasm64:handle(), term(), term(), term()) -> {ok, run()} | {error, hb_wasm64:reason()}.
new(Handle, Func, Args, Options) ->
    maybe_ok(deadline(Options), fun(Deadline) ->
        maybe_ok(fuel(Options), fun(Fuel) ->
            maybe_ok(host(Options), fun(Host) ->
                case {func(Func), checked(Args)} of
                    {error, _} ->
                        {error, {unknown_function, Func}};
                    {_, error} ->
                        {error, wrong_argument("call(Handle, Func, Args)", [Handle, Func, Args], 3)};
                    {Target, {ok, Values}} ->
                        {ok, #run{
                            handle = Handle, func = Target, name = Func, args = Values, given = Args, fuel = Fuel,
                            host = Host, deadline = Deadline, options = Options
                        }}
                end
            end)
        end)
    end).

%% @doc An operation other than a call, as something to be driven like one.
-spec operation(hb_wasm64:handle(), operation(), term()) -> {ok, run()} | {error, hb_wasm64:reason()}.
operation(Handle, Operation, Options) ->
    maybe_ok(deadline(Options), fun(Deadline) ->
        maybe_ok(fuel(Options), fun(Fuel) ->
            {ok, #run{handle = Handle, func = Operation, fuel = Fuel, deadline = Deadline, options = Options}}
        end)
    end).

maybe_ok({ok, Value}, Then) -> Then(Value);
maybe_ok({error, _} = Error, _Then) -> Error.

%% @doc When the time that the options give is up: that of the call in whose import function this process is, at the
%% latest.
-spec deadline(term()) -> {ok, deadline()} | {error, hb_wasm64:reason()}.
deadline(#{timeout := infinity}) ->
    {ok, outer_deadline()};
deadline(#{timeout := Timeout}) when is_integer(Timeout), Timeout >= 0, Timeout =< ?MAX_TIMEOUT ->
    Deadline = erlang:monotonic_time() + erlang:convert_time_unit(Timeout, millisecond, native),
    %% Every integer is less than an atom.
    {ok, min(Deadline, outer_deadline())};
deadline(#{timeout := Timeout}) ->
    {error, {invalid_option, timeout, Timeout}};
deadline(Options) when is_map(Options) ->
    {ok, outer_deadline()};
deadline(Options) ->
    {error, {invalid_option, options, Options}}.

outer_deadline() ->
    case get(?OUTER) of
        undefined -> infinity;
        Deadline -> Deadline
    end.

%% @doc Milliseconds left, rounded up.
-spec left(deadline()) -> timeout().
left(infinity) ->
    infinity;
left(Deadline) ->
    Left = Deadline - erlang:monotonic_time(),
    max(0, erlang:convert_time_unit(Left + erlang:convert_time_unit(1, millisecond, native) - 1, native, millisecond)).

fuel(#{fuel := infinity}) -> {ok, infinity};
fuel(#{fuel := Fuel}) when is_integer(Fuel), Fuel >= 0, Fuel =< ?MAX_FUEL -> {ok, Fuel};
fuel(#{fuel := Fuel}) -> {error, {invalid_option, fuel, Fuel}};
fuel(_Options) -> {ok, infinity}.

%% @doc What the clock of a guest is to show, if the options tell.
-spec time(map()) -> {ok, Time :: non_neg_integer() | none} | {error, hb_wasm64:reason()}.
time(#{time := Time}) when is_integer(Time), Time >= 0, Time =< ?MAX_TIME -> {ok, Time};
time(#{time := Time}) -> {error, {invalid_option, time, Time}};
time(_Options) -> {ok, none}.

%% What the host of the guest has to know. Most calls say nothing of it.
host(#{override := Modules} = Options) ->
    maybe_ok(time(Options), fun(Time) -> host(Time, Modules) end);
host(#{time := _} = Options) ->
    maybe_ok(time(Options), fun(Time) -> {ok, {Time, []}} end);
host(_Options) ->
    {ok, none}.

host(Time, Modules) ->
    try lists:map(fun unicode:characters_to_binary/1, Modules) of
        Names ->
            case lists:all(fun is_binary/1, Names) of
                true -> {ok, {Time, Names}};
                false -> {error, {invalid_option, override, Modules}}
            end
    catch
        error:_ -> {error, {invalid_option, override, Modules}}
    end.

func(Func) when is_binary(Func), byte_size(Func) =< ?MAX_NAME ->
    Func;
func(Index) when is_integer(Index), Index >= 0, Index < (1 bsl 64) ->
    Index;
func(Func) when is_list(Func) ->
    try unicode:characters_to_binary(Func) of
        Name when is_binary(Name) -> func(Name);
        _ -> error
    catch
        error:_ -> error
    end;
func(_Func) ->
    error.

%% A proper list, with integers that no float can hold made something that is no value at all: the library would take
%% long to look at them.
checked(Values) when is_list(Values) ->
    try length(Values) of
        _ ->
            case lists:any(fun is_too_large/1, Values) of
                false -> {ok, Values};
                true -> {ok, [case is_too_large(Value) of true -> too_large; false -> Value end || Value <- Values]}
            end
    catch
        error:badarg -> error
    end;
checked(_NoList) ->
    error.

is_too_large(Value) when is_integer(Value), (Value > ?LARGEST orelse Value < -?LARGEST) -> true;
is_too_large(_Value) -> false.

%% @doc Drives a call in this process. `zero' answers imports with zeros.
-spec sync(run(), zero | hb_wasm64:import_fun(), State :: term()) ->
    {ok, [hb_wasm64:value()], term()} | {error, hb_wasm64:reason(), term()}.
sync(Run, zero, State) ->
    Ref = make_ref(),
    sync(first(Run, Ref), Ref, entering, Run, zero, {none, State});
sync(Run, Import, State) ->
    Mine = Run#run{responder = self()},
    Ref = make_ref(),
    sync(first(Mine, Ref), Ref, entering, Mine, Import, {none, State}).

first(Run, Ref) ->
    enter(Run, Ref, 0).

enter(#run{handle = Handle, func = {start, {Initialize, Time}}, fuel = Fuel}, Ref, 0) ->
    hb_wasm64_nif:start(Handle, Ref, {Fuel, Initialize, Time});
enter(#run{handle = Handle, func = {restore, Form, Snapshots, {Initialize, Time}}, fuel = Fuel}, Ref, Ticket) ->
    hb_wasm64_nif:restore(Handle, Ref, Ticket, Form, Snapshots, {Fuel, Initialize, Time});
enter(#run{handle = Handle, func = {fork, Other}}, Ref, Ticket) ->
    hb_wasm64_nif:fork(Handle, Ref, Ticket, Other);
enter(#run{handle = Handle, func = Func, args = Args, fuel = Fuel, host = Host, responder = Responder}, Ref, Ticket) ->
    hb_wasm64_nif:call(Handle, Ref, Ticket, Func, Args, Fuel, Host, Responder).

resume(#run{handle = Handle, responder = Responder}, Ref, Ticket) ->
    hb_wasm64_nif:resume(Handle, Ref, Ticket, Responder).

%% `Ref' is an argument of its own so that the compiler sees where it was made, and lets the receive skip what came
%% before. `entering': the turn of the call has not come yet; `active': it is the call in progress. The state comes with
%% the reason of the import function's last failure, which stays in this process.
sync({ok, Results}, _Ref, _Phase, _Run, _Import, {_, State}) ->
    {ok, Results, State};
sync({error, Reason}, _Ref, _Phase, Run, _Import, {Failure, State}) ->
    {error, reason(Reason, Failure, Run), State};
sync({yielded, Ticket}, Ref, _Phase, Run, Import, State) ->
    case left(Run#run.deadline) of
        0 -> give_up(Ticket, Run, State);
        _ -> sync(resume(Run, Ref, Ticket), Ref, active, Run, Import, State)
    end;
sync({wait, Ticket}, Ref, Phase, Run, Import, State) ->
    %% The library wakes everyone who waits: when the turn has come, and when the instance is stopped. Until then this
    %% waits as long as those before it take, or to the deadline.
    receive
        {hb_wasm64, Ref, turn} when Phase =:= entering -> sync(enter(Run, Ref, Ticket), Ref, Phase, Run, Import, State);
        {hb_wasm64, Ref, turn} -> sync(resume(Run, Ref, Ticket), Ref, Phase, Run, Import, State)
    after left(Run#run.deadline) ->
        case leave_line(Ticket, Ref, Run#run.handle) of
            done -> sync(enter(Run, Ref, Ticket), Ref, Phase, Run, Import, State);
            ok -> timed_out(Phase, Run, State)
        end
    end;
sync({import, Ticket, Request}, Ref, _Phase, #run{handle = Handle} = Run, Import, {Failure, State}) ->
    {Answer, After} =
        case import(Import, State, Request, Run) of
            {{results, Results}, State1} -> {Results, {Failure, State1}};
            {native, State1} -> {native, {Failure, State1}};
            {{failure, _} = Kept, State1} -> {?KEPT, {Kept, State1}}
        end,
    case left(Run#run.deadline) of
        0 ->
            give_up(Ticket, Run, After);
        _ ->
            Step = hb_wasm64_nif:answer(Handle, Ref, Ticket, maps:get(instance, Request), Answer),
            sync(Step, Ref, active, Run, Import, After)
    end.

give_up(Ticket, Run, {_, State}) ->
    _ = hb_wasm64_nif:cancel(Run#run.handle, Ticket),
    cut_short(Run),
    {error, timeout, State}.

timed_out(Phase, Run, {_, State}) ->
    _ = Phase =:= active andalso cut_short(Run),
    {error, timeout, State}.

%% The guest was stopped in the middle of something.
cut_short(#run{handle = Handle, options = #{on_timeout := stop}}) ->
    _ = hb_wasm64_nif:stop(Handle),
    ok;
cut_short(_Run) ->
    ok.

%% Runs an import function: what it gave, and the state afterwards. Calls that it makes end when the time of this one is
%% up.
import(ImportFun, State, Request, #run{deadline = infinity, options = Options}) ->
    import_now(ImportFun, State, Request, Options);
import(ImportFun, State, Request, #run{deadline = Deadline, options = Options}) ->
    Outer = put(?OUTER, Deadline),
    Result = import_now(ImportFun, State, Request, Options),
    _ =
        case Outer of
            undefined -> erase(?OUTER);
            _ -> put(?OUTER, Outer)
        end,
    Result.

import_now(ImportFun, State, Request, Options) ->
    try ImportFun(State, Request, Options) of
        {ok, Results, State1} -> {given({ok, Results}), State1};
        {native, State1} -> native_or_failure(State1, Request);
        {error, Reason} -> {given({error, Reason}), State};
        {error, Reason, State1} -> {given({error, Reason}), State1};
        Other -> {{failure, {invalid_answer, Other}}, State}
    catch
        Class:Reason:Stacktrace -> {{failure, {raised, Class, Reason, Stacktrace}}, State}
    end.

native_or_failure(State, #{native := true}) -> {native, State};
native_or_failure(State, Request) -> {{failure, {not_native, maps:with([module, func], Request)}}, State}.

%% @doc What the library is given for an answer: results, or the reason of a failure in a form that it passes through
%% unread.
-spec answer(term()) -> list() | binary() | native.
answer(native) ->
    native;
answer(Answer) ->
    case given(Answer) of
        {results, Values} -> Values;
        {failure, Reason} -> term_to_binary(Reason)
    end.

given({ok, Results}) ->
    case checked(Results) of
        {ok, Values} -> {results, Values};
        error -> {failure, {invalid_answer, {ok, Results}}}
    end;
given({error, Reason}) ->
    {failure, Reason};
given(Other) ->
    {failure, {invalid_answer, Other}}.

%% The library tells what it knows; what the caller passed is added here.
reason({invalid_args, Signature, Position}, _Failure, Run) ->
    {invalid_args, #{signature => Signature, args => Run#run.given, position => Position}};
reason({unknown_function, _}, _Failure, Run) ->
    {unknown_function, Run#run.name};
reason({import_failed, {refused, ?KEPT}}, {failure, Reason}, _Run) ->
    {import_failed, Reason};
reason({import_failed, {refused, Failure}}, _Failure, _Run) ->
    {import_failed, binary_to_term(Failure)};
reason(Reason, _Failure, _Run) ->
    Reason.

%% @equiv in_turn(Handle, infinity, Operation)
-spec in_turn(hb_wasm64:handle(), in_one_step(Result)) -> Result.
in_turn(Handle, Operation) ->
    in_turn(Handle, infinity, Operation).

%% @doc Does something that is done in one step, as soon as it is its turn, unless that comes after the deadline.
-spec in_turn(hb_wasm64:handle(), deadline(), in_one_step(Result)) -> Result | {error, timeout}.
in_turn(Handle, Deadline, Operation) ->
    Ref = make_ref(),
    in_turn(Operation(Ref, 0), Ref, Handle, Deadline, Operation).

in_turn({wait, Ticket}, Ref, Handle, Deadline, Operation) ->
    %% The library wakes everyone who waits: when the turn has come, when a background thread is done, and when the
    %% instance is stopped.
    receive
        {hb_wasm64, Ref, turn} -> in_turn(Operation(Ref, Ticket), Ref, Handle, Deadline, Operation)
    after left(Deadline) ->
        case leave_line(Ticket, Ref, Handle) of
            done -> in_turn(Operation(Ref, Ticket), Ref, Handle, Deadline, Operation);
            ok -> {error, timeout}
        end
    end;
in_turn({yielded, Ticket}, Ref, Handle, Deadline, Operation) ->
    case left(Deadline) of
        0 ->
            _ = hb_wasm64_nif:cancel(Handle, Ticket),
            {error, timeout};
        _ ->
            in_turn(Operation(Ref, Ticket), Ref, Handle, Deadline, Operation)
    end;
in_turn(Result, _Ref, _Handle, _Deadline, _Operation) ->
    Result.

%% Gives up what waits for its turn, unless it is done.
leave_line(Ticket, Ref, Handle) ->
    case hb_wasm64_nif:cancel(Handle, Ticket) of
        true ->
            ok;
        Woken ->
            %% Somebody has been told to send this already: take it out of the mailbox, however soon it comes.
            receive
                {hb_wasm64, Ref, turn} when Woken =:= done -> done;
                {hb_wasm64, Ref, turn} -> ok
            end
    end.

%% @doc Does something that a background thread may have to finish, in which case it sends the result.
-spec job(deadline(), fun((reference()) -> {wait, hb_wasm64_nif:job()} | Result)) -> Result | {error, timeout}.
job(Deadline, Start) ->
    Ref = make_ref(),
    case Start(Ref) of
        {wait, Job} ->
            %% The thread sends one message in every case, unless it is told that nobody waits any more.
            receive
                {hb_wasm64, Ref, {done, Result}} -> Result
            after left(Deadline) ->
                case hb_wasm64_nif:give_up_job(Job) of
                    true -> {error, timeout};
                    false -> receive {hb_wasm64, Ref, {done, Result}} -> Result end
                end
            end;
        Result ->
            Result
    end.

%% @doc The reason for an argument of an API function that is no such thing.
-spec wrong_argument(string(), [term()], pos_integer()) -> hb_wasm64:reason().
wrong_argument(Signature, Args, Position) ->
    {invalid_args, #{signature => Signature, args => Args, position => Position}}.

%% @doc Drives a call in a process of its own. Imports go to `Handler', the end of the call to the calling process.
%% When this returns the call has its place in line.
-spec async(run(), Handler :: pid()) -> reference().
async(Run, Handler) ->
    Caller = self(),
    Runner = spawn(fun() ->
        Watch = monitor(process, Caller),
        %% One of the two comes: the caller's next lines send the first, and if it dies before, the second comes.
        receive
            {run, Ref, Alias} -> async_run(Run#run{responder = Handler}, Ref, Alias, Caller, Watch);
            {'DOWN', Watch, process, Caller, _} -> ok
        end
    end),
    Ref = hb_wasm64_nif:new_async(Runner),
    Alias = monitor(process, Runner, [{alias, reply_demonitor}]),
    Runner ! {run, Ref, Alias},
    %% One of the two comes, as the first step of a call takes no longer than a slice.
    receive
        {Alias, in_line} -> Ref;
        {'DOWN', Alias, process, Runner, _} -> Ref
    end.

async_run(Run, Ref, Alias, Caller, Watch) ->
    Turn = make_ref(),
    First = first(Run, Turn),
    Alias ! {Alias, in_line},
    ok = join(First),
    case async(First, Turn, entering, Run, Ref, Watch) of
        {done, Result} -> Caller ! {hb_wasm64, Ref, {done, Result}};
        %% The library sees this process end, and stops the guest.
        caller_down -> ok
    end.

%% Ends with the application, unless it is over already.
join({ok, _}) -> ok;
join({error, _}) -> ok;
join(_Step) -> hb_wasm64_group:join(hb_wasm64_runners).

async({ok, Results}, _Turn, _Phase, _Run, _Ref, _Watch) ->
    {done, {ok, Results}};
async({error, Reason}, _Turn, _Phase, Run, _Ref, _Watch) ->
    {done, {error, reason(Reason, none, Run)}};
async({yielded, Ticket}, Turn, _Phase, Run, Ref, Watch) ->
    receive
        {'DOWN', Watch, process, _, _} -> caller_down
    after 0 ->
        case left(Run#run.deadline) of
            0 -> async_timeout(Ticket, Run);
            _ -> async(resume(Run, Turn, Ticket), Turn, active, Run, Ref, Watch)
        end
    end;
async({wait, Ticket}, Turn, Phase, Run, Ref, Watch) ->
    receive
        {hb_wasm64, Turn, turn} when Phase =:= entering ->
            async(enter(Run, Turn, Ticket), Turn, Phase, Run, Ref, Watch);
        {hb_wasm64, Turn, turn} ->
            async(resume(Run, Turn, Ticket), Turn, Phase, Run, Ref, Watch);
        {'DOWN', Watch, process, _, _} ->
            caller_down
    after left(Run#run.deadline) -> async_timeout(Ticket, Run)
    end;
async({import, Ticket, Request}, Turn, _Phase, #run{responder = Handler} = Run, Ref, Watch) ->
    Scope = maps:get(instance, Request),
    HandlerWatch = monitor(process, Handler),
    Handler ! {hb_wasm64, Ref, {import, Scope, Request}},
    %% An answer wakes this process, and so does the end of whoever could give or want one.
    receive
        {hb_wasm64, Turn, turn} ->
            true = demonitor(HandlerWatch, [flush]),
            async(resume(Run, Turn, Ticket), Turn, active, Run, Ref, Watch);
        {'DOWN', HandlerWatch, process, _, _} ->
            %% Answered by somebody else in the last moment: then that answer counts. Either one wakes this process.
            _ = hb_wasm64_nif:respond(Scope, answer({error, handler_down})),
            async({wait, Ticket}, Turn, active, Run, Ref, Watch);
        {'DOWN', Watch, process, _, _} ->
            caller_down
    after left(Run#run.deadline) -> async_timeout(Ticket, Run)
    end.

async_timeout(Ticket, #run{handle = Handle}) ->
    _ = hb_wasm64_nif:cancel(Handle, Ticket),
    {done, {error, timeout}}.

%% @doc Ends a call of {@link async/2}. No message of it comes to this process afterwards.
-spec cancel(reference()) -> ok.
cancel(Ref) ->
    case hb_wasm64_nif:runner(Ref) of
        undefined ->
            ok;
        Runner ->
            Watch = monitor(process, Runner),
            exit(Runner, kill),
            %% It has ended already, or the signal ends it.
            receive
                {'DOWN', Watch, process, Runner, _} -> flush(Ref)
            end
    end.

flush(Ref) ->
    receive
        {hb_wasm64, Ref, _} -> flush(Ref)
    after 0 -> ok
    end.
