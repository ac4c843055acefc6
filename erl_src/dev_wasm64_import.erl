%% @doc Imports of a guest as AO-Core answers them: by the device of their module, or as nobody does.
-module(dev_wasm64_import).

-export([resolve/5, import/3]).

%% How many calls of undefined imports a message keeps.
-define(MAX_UNDEFINED_CALLS, 1000).

-type message() :: map().
-type opts() :: map().

%% @doc What an import function returns for an import: `Request' is the import as a message, `Waiting' the state so far with
%% the instance as it is to be had while the guest waits, `State' that state without it.
-spec resolve(hb_wasm64:request(), Waiting :: message(), Request :: message(), State :: message(), opts()) ->
    {ok, list(), message()} | {native, message()} | {error, term()} | {error, term(), message()}.
resolve(Import, Waiting, Request, State, Opts) ->
    case {from_library(Waiting, Request, Opts), Import} of
        {undefined, #{native := true}} ->
            {native, State};
        {undefined, _} ->
            case undefined_import(prefix(Waiting, Opts), Waiting, Request, Opts) of
                {{results, Results}, Recorded} -> {ok, Results, Recorded};
                {{exit, _} = Exit, Recorded} -> {error, Exit, Recorded}
            end;
        {Answer, _} ->
            answer(Answer, State, Opts)
    end.

%% What an import device has answered, as an import function does.
answer({ok, Answer}, Before, Opts) ->
    case dev_wasm64_message:ask([<<"results">>], Answer, Opts) of
        {ok, Given} ->
            State = dev_wasm64_message:value(<<"state">>, Answer, Before, Opts),
            case dev_wasm64_message:list(Given, Opts) of
                {ok, _} when not is_map(State) -> {error, no_state};
                {ok, Results} -> {ok, Results, State};
                error -> {error, no_list}
            end;
        not_found ->
            {error, no_results}
    end;
answer({error, Reason}, _Before, _Opts) -> {error, Reason};
answer(_Other, _Before, _Opts) -> {error, no_answer}.

%% @doc The key `import' of the device.
-spec import(message(), message(), opts()) -> {Status :: atom(), term()} | {error, device_call, term()}.
import(Base, Request, Opts) ->
    case from_library(Base, Request, Opts) of
        undefined ->
            case undefined_import(prefix(Base, Opts), Base, Request, Opts) of
                {{results, Results}, State} -> {ok, #{<<"state">> => State, <<"results">> => Results}};
                {{exit, _} = Exit, _State} -> {error, dev_wasm64_error:message(<<"func">>, Exit)}
            end;
        Answer ->
            Answer
    end.

%% What the device at `P/stdlib/MODULE' makes of FUNC; `undefined' where there is none, or it has no such key.
from_library(Base, Request, Opts) ->
    Prefix = prefix(Base, Opts),
    Module = dev_wasm64_message:value(<<"module">>, Request, <<>>, Opts),
    Func = dev_wasm64_message:value(<<"func">>, Request, <<>>, Opts),
    Library = dev_wasm64_message:find(Prefix ++ [<<"stdlib">> | dev_wasm64_message:parts(Module)], Base, Opts),
    case {Library, dev_wasm64_message:parts(Func)} of
        {{ok, #{<<"device">> := _} = Device}, [_ | _]} ->
            %% What an import does is no step of the process's history, and no answer for the next time.
            Internal = Opts#{hashpath => ignore, cache_control => [<<"no-cache">>, <<"no-store">>]},
            case hb_ao:resolve(Device#{<<"state">> => Base}, Request#{<<"path">> => Func}, Internal) of
                {error, not_found} -> undefined;
                Answer -> Answer
            end;
        _ ->
            undefined
    end.

undefined_import(Prefix, Base, Request, Opts) ->
    Path = [<<"state">>, <<"results">> | Prefix],
    Before =
        case dev_wasm64_message:find(Path ++ [<<"undefined-calls">>], Base, Opts) of
            {ok, Calls} when is_list(Calls) -> lists:sublist(Calls, ?MAX_UNDEFINED_CALLS - 1);
            _ -> []
        end,
    Recorded = maps:map(fun(_Key, Value) -> dev_wasm64_message:plain(Value) end, Request),
    State = dev_wasm64_message:set(Path, #{<<"undefined-calls">> => [Recorded | Before]}, Base, Opts),
    Value = fun(Key) -> dev_wasm64_message:value(Key, Request, <<>>, Opts) end,
    {unserved(Value(<<"module">>), Value(<<"func">>), Value(<<"args">>), result_types(Value(<<"func-sig">>)), Opts), State}.

%% What the guest is told where nobody serves an import: that there is nobody, if its protocol has a way to.
unserved(Module, Func, Args, Types, Opts) ->
    case {hb_wasm64_nif:unserved(text(Module), text(Func)), Types} of
        {Errno, <<"i">>} when is_integer(Errno) ->
            {results, [Errno]};
        {exit, <<>>} ->
            case dev_wasm64_message:list(Args, Opts) of
                {ok, [Status]} when is_integer(Status) -> {exit, Status};
                _ -> {results, []}
            end;
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

prefix(Base, Opts) -> dev_wasm64_message:prefix(<<"output-prefix">>, Base, Opts).
