%% @doc The imports of a guest, answered by the devices in the message's `stdlib'.
-module(dev_wasm64_import).

-export([resolve/3, import/3, checked/1, intercepted/3]).

-include_lib("kernel/include/logger.hrl").

-type message() :: map().
-type opts() :: map().

%% The modules of imports that the engine can serve.
-define(NATIVE, [<<"env">>, <<"metering">>, <<"wasi_snapshot_preview1">>, <<"wasi_unstable">>]).
%% How many calls of undefined imports a message keeps.
-define(MAX_UNDEFINED_CALLS, 1000).

%% @doc Of the modules whose imports the engine can serve, those for which there is a device that is asked first. The node's
%% `wasi@1.0' is asked first only where the message says so: it implements few functions, and `fd_write' fails in each version.
-spec intercepted([binary()], message(), opts()) -> [binary()].
intercepted(Prefix, Base, Opts) ->
    case lib_wasm64_message:find(Prefix ++ [<<"stdlib">>], Base, Opts) of
        {ok, Libraries} when is_map(Libraries) -> [Module || Module <- ?NATIVE, is_first(Module, Libraries, Prefix, Base, Opts)];
        _ -> []
    end.

is_first(Module, Libraries, Prefix, Base, Opts) ->
    case lib_wasm64_kernel:find(Module, Libraries, Opts) of
        {ok, Library} when is_map(Library) ->
            not is_wasi(lib_wasm64_kernel:find(<<"device">>, Library, Opts)) orelse
                lib_wasm64_message:is_true(Prefix ++ [<<"stdlib-first">>], Base, Opts);
        {ok, _} ->
            true;
        not_found ->
            false
    end.

%% The device itself writes its name in capitals.
is_wasi({ok, Name}) when is_binary(Name), byte_size(Name) =:= 8 -> string:lowercase(Name) =:= <<"wasi@1.0">>;
is_wasi(_Other) -> false.

%% @doc The answer of an import function, which may be another device's: its state has to be a message.
-spec checked(term()) -> term().
checked({ok, _Results, State}) when not is_map(State) -> {error, <<"the state in the answer is not a message">>};
checked({error, Reason, State}) when not is_map(State) -> {error, Reason};
checked(Answer) -> Answer.

%% @doc The import function of a call: {@link import/3} on the state so far, with the handle that is bound to the pending
%% import in its private state.
-spec resolve(message(), hb_wasm64:request(), opts()) ->
    {ok, list(), message()} | {pass, message()} | {error, term(), message()}.
resolve(State, Import, Opts) ->
    #{instance := Scope, module := Module, func := Func, args := Args, func_sig := Signature} = Import,
    Waiting = dev_wasm64_instance:put(dev_wasm64_instance:access(Scope, Opts), State, Opts),
    Request = #{
        <<"path">> => <<"import">>,
        <<"module">> => unicode:characters_to_binary(Module),
        <<"func">> => unicode:characters_to_binary(Func),
        <<"args">> => Args,
        <<"func-sig">> => list_to_binary(Signature)
    },
    try served(Import, Waiting, Request, State, Opts) of
        {error, Why} -> {error, lib_wasm64_error:import(Module, Func, Why), State};
        Answer -> Answer
    catch
        Class:Reason:Stacktrace ->
            ?LOG_WARNING(
                "import ~ts.~ts raised ~p:~0P ~0P", [Module, Func, Class, Reason, 30, Stacktrace, 60],
                #{library => hb_wasm64}
            ),
            {error, lib_wasm64_error:import(Module, Func, raised(Class, Reason)), State}
    end.

%% Where a process of the node that was asked did not answer, another node's may.
raised(exit, {_Why, {Module, call, _Arguments}}) when Module =:= gen_server; Module =:= gen_statem; Module =:= gen ->
    {failure, <<"a process of the node did not answer">>};
raised(Class, Reason) ->
    case lib_wasm64_kernel:is_unavailable(Class, Reason) of
        true -> missing;
        false -> {raised, Class}
    end.

served(Import, Waiting, Request, State, Opts) ->
    case {from_library(Waiting, Request, Opts), Import} of
        {undefined, #{interceptable := true}} ->
            {pass, State};
        {undefined, _} ->
            case unserved(Waiting, Request, Opts) of
                {{results, Results}, Recorded} -> {ok, Results, Recorded};
                {{exit, _} = Exit, Recorded} -> {error, Exit, Recorded};
                {{unsupported, _} = Refused, Recorded} -> {error, Refused, Recorded}
            end;
        {Answer, _} ->
            answer(Answer, State, Opts)
    end.

%% The answer of an import device as that of an import function.
answer({ok, Answer}, Before, Opts) ->
    case lib_wasm64_message:ask([<<"results">>], Answer, Opts) of
        {ok, Given} ->
            State = lib_wasm64_message:value(<<"state">>, Answer, Before, Opts),
            case lib_wasm64_message:list(Given, Opts) of
                {ok, _} when not is_map(State) -> {error, no_state};
                {ok, Results} -> {ok, Results, State};
                error -> {error, no_list}
            end;
        not_found ->
            {error, no_results}
    end;
answer({error, Reason}, _Before, _Opts) -> {error, Reason};
answer({failure, Reason}, _Before, _Opts) -> {error, {failure, Reason}};
answer(_Other, _Before, _Opts) -> {error, no_answer}.

%% @doc Answers an import of the guest: resolves FUNC on the device at `P/stdlib/MODULE'. Without one, functions of WASI
%% and Linux return the number of an error, `proc_exit' ends the call, and others return zeros.
-spec import(message(), message(), opts()) -> {Status :: atom(), term()} | {error, device_call, term()}.
import(Base, Request, Opts) ->
    case from_library(Base, Request, Opts) of
        undefined ->
            case unserved(Base, Request, Opts) of
                {{results, Results}, State} -> {ok, #{<<"state">> => State, <<"results">> => Results}};
                {{exit, _} = Exit, _State} -> lib_wasm64_error:fault(<<"func">>, Exit);
                {{unsupported, _} = Refused, _State} -> lib_wasm64_error:fault(<<"func">>, Refused)
            end;
        Answer ->
            Answer
    end.

%% The answer of the device at `P/stdlib/MODULE'; `undefined' without one, or where it has no such key.
from_library(Base, Request, Opts) ->
    Prefix = lib_wasm64_message:output_prefix(Base, Opts),
    Module = lib_wasm64_message:value(<<"module">>, Request, <<>>, Opts),
    Func = lib_wasm64_message:value(<<"func">>, Request, <<>>, Opts),
    Library = lib_wasm64_message:find(Prefix ++ [<<"stdlib">> | lib_wasm64_message:parts(Module)], Base, Opts),
    case {Library, lib_wasm64_message:parts(Func)} of
        {{ok, #{<<"device">> := _} = Device}, [_ | _]} ->
            %% An import is not a step in the history of the process, and its answer is not to be cached.
            case lib_wasm64_kernel:run(Func, Device#{<<"state">> => Base}, Request, Opts) of
                {error, not_found} -> undefined;
                Answer -> Answer
            end;
        _ ->
            undefined
    end.

%% Nobody serves it: it is recorded.
unserved(Base, Request, Opts) ->
    Path = [<<"state">>, <<"results">> | lib_wasm64_message:output_prefix(Base, Opts)],
    Before =
        case lib_wasm64_message:find(Path ++ [<<"undefined-calls">>], Base, Opts) of
            {ok, Calls} when is_list(Calls) -> lists:sublist(Calls, ?MAX_UNDEFINED_CALLS - 1);
            _ -> []
        end,
    Recorded = maps:map(fun(_Key, Value) -> lib_wasm64_message:plain(Value) end, Request),
    State = lib_wasm64_message:set(Path, #{<<"undefined-calls">> => [Recorded | Before]}, Base, Opts),
    Value = fun(Key) -> lib_wasm64_message:value(Key, Request, <<>>, Opts) end,
    Types = result_types(Value(<<"func-sig">>)),
    {default(Value(<<"module">>), Value(<<"func">>), Value(<<"args">>), Types, Opts), State}.

%% The answer to an import that nobody serves: an error, if its protocol has one.
default(Module, Func, Args, Types, Opts) ->
    case {hb_wasm64_nif:unserved(text(Module), text(Func)), Types} of
        {Errno, <<"i">>} when is_integer(Errno) ->
            {results, [Errno]};
        {exit, <<>>} ->
            case lib_wasm64_message:list(Args, Opts) of
                {ok, [Status]} when is_integer(Status) -> {exit, Status};
                _ -> {results, []}
            end;
        {unsupported, _} ->
            {unsupported, iolist_to_binary(["nobody serves ", Module, ".", Func, ", a function of Emscripten's library"])};
        _ ->
            {results, [zero(Type) || <<Type>> <= Types]}
    end.

text(Name) when is_binary(Name) -> Name;
text(_Other) -> <<>>.

result_types(Signature) when is_binary(Signature) ->
    case binary:split(Signature, <<")">>) of
        [_Parameters, Results] -> Results;
        _ -> <<"i">>
    end;
result_types(_NoSignature) ->
    <<"i">>.

zero(Type) when Type =:= $i; Type =:= $I -> 0;
zero(Type) when Type =:= $f; Type =:= $F -> 0.0;
zero($v) -> <<0:128>>;
zero(_Reference) -> null.
