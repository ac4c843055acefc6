%%% # `~wasm64@1.0`: WebAssembly as a part of a process
%%%
%%% Also called `wasm-64@1.0`. Runs a WebAssembly image, of 32 or 64 bits, as an instance that stays with the message.
%%%
%%% `P` is the message's `output-prefix`, `In` its `input-prefix` (see `~stack@1.0`); an empty prefix adds no level.
%%%
%%% | key | reads | returns |
%%% |---|---|---|
%%% | `init` | `In/image`: the ID of a message or of an image, a message with the image in `body`, or the image itself; if it is not set, `body`. `In/mode`: `WASM` or `AOT` | the base with, in its private state, `P/instance`, `P/write` (a function from a binary to `{ok, Pointer}`), `P/read` (a function from a pointer, or a list of one, to `{ok, Binary}`) and `P/import-resolver` |
%%% | `compute` | `function` and `parameters`: each from the request's `body`, the request, or the base | the base with `results/P/type`, which is `ok`, and the list `results/P/output`. Without a function, and in the second pass of a stack and later ones, the base unchanged. Where the base has `P/report-usage` with the value `true`, also `results/P/fuel-used` and `results/P/gas-used`: 0 for a call that was refused, and gas for an image without a meter |
%%% | `import` | `module`, `func`, `args`, `func-sig` of the request | what the device at `P/stdlib/MODULE` returns for FUNC: `state` and `results`. Without such a device, functions of WASI and Linux (`env.__syscall_*`) return the number of an error, `proc_exit` ends the call, and others return zeros; the request is recorded under `results/P/undefined-calls` of the base's `state` |
%%% | `snapshot` | the instance | its linear memory as `body`; the rest of its state as `wasm-state` (a snapshot of the engine without that memory), if it differs from a fresh instance's |
%%% | `normalize` | the instance, or else `snapshot/body` and `snapshot/wasm-state` (in a stack `snapshot/DEVICE-KEY/...`) | the base with an instance and without `snapshot` |
%%% | `terminate` | the instance | the base without the instance, which is stopped |
%%%
%%% ## Images with a gas meter
%%%
%%% A call may use as much gas as `compute-limit` of the base says, as a number or as text, and the loader's default otherwise; a
%%% call that exceeds it is a fault, whose text is the loader's: `out of gas!`. A meter is a part of the image: with
%%% a device at `P/stdlib/metering` calls are faults that say so.
%%%
%%% ## Images built with Emscripten or for WASI
%%%
%%% The engine serves their imports, unless the device at `P/stdlib/MODULE` has the function: it is asked first.
%%% `wasi@1.0`, which puts itself there in many stacks, is asked first only where the base has `P/stdlib-first` with the value
%%% `true`. The clock shows the `timestamp` of the request, or else of its `body`, in milliseconds since 1970, and 0 without
%%% one: that of `init` while constructors run, that of `compute` during a call. Random bytes of WASI follow from the
%%% message, too. When a snapshot without `wasm-state` is restored, constructors run with the time 0, as they did in the instance that it
%%% was taken of.
%%%
%%% ## Errors
%%%
%%% Where a key has no result it answers with a message: an HTTP `status`, the `key` that is to blame, and a text as `body`. There are
%%% two kinds.
%%%
%%% - A **fault** is what every node would find, with the same text: a trap or another error of the guest, fuel or gas used
%%%   up, an image, a mode, a snapshot, a function or parameters that are not valid.
%%% - A **failure** is what this node met and another may not: the time was up (504), memory was short, a store did not answer or an
%%%   import device could not (503), an image or a message is in none of the node's stores (404), the instance was stopped (410). An
%%%   instance that was interrupted is stopped, because no other node can reproduce its state: its process goes on from its last
%%%   checkpoint.
%%%
%%% A kernel with packages is answered `{error, Message}` for a fault, which it may record as the result of a slot, and `{failure,
%%% Message}` for a failure, which it does not. Older kernels know no `failure`, and record no `{error, _}`: to them a fault of
%%% the guest is a result with `error` as `results/P/type` and the text as `results/P/output`, and all else is `{error, Message}`.
%%%
%%% After a fault the instance goes on as the guest left it, with its memory, globals and tables: just that is what a snapshot
%%% has, and what restoring it gives.
%%%
%%% `normalize` and `compute` on a base with neither instance nor snapshot throw `{error, no_wasm_instance_or_snapshot}`. For a state
%%% that cannot be captured `snapshot` throws.
%%%
%%% ## Options of the node
%%%
%%% `wasm-timeout` (milliseconds for a call, for `read`, `write`, a snapshot, or for a start including compilation) and
%%% `wasm-fuel` (instructions for a call, for `write`, or for a start; nodes agree on results only if they agree on this), both
%%% `infinity` by default. `wasm-allow-aot` (default `false`): whether the mode `AOT` takes artifacts of this node instead of being treated
%%% as `WASM`. Older kernels call them `wasm_timeout`, `wasm_fuel` and `wasm_allow_aot`. `read` returns at most 64 MiB on every node.
-module(dev_wasm64).
-implements(<<"wasm-64@1.0">>).
-device_libraries([lib_wasm64_kernel, lib_wasm64_message, lib_wasm64_error, lib_wasm64_package]).

-export([info/1, init/3, compute/3, import/3, snapshot/3, normalize/3, terminate/3]).
-export([instance/3]).

-type message() :: map().
-type opts() :: map().
-type answer() :: {ok, message()} | {error, message()} | {failure, message()}.

%% The largest limit of gas.
-define(MAX_GAS, (1 bsl 53)).

%% @doc Excludes {@link instance/3}, which is for other devices, from AO-Core.
-spec info(message()) -> map().
info(_Base) ->
    #{excludes => [<<"instance">>]}.

%% @doc Starts an instance.
-spec init(message(), message(), opts()) -> answer().
init(Base, Request, Opts) ->
    Body = lib_wasm64_message:value(<<"body">>, Request, #{}, Opts),
    Moment = dev_wasm64_moment:options(<<"init">>, Body, Request, Opts),
    lib_wasm64_kernel:answer(dev_wasm64_state:start(Base, fun(Key, _Reason) -> Key end, Moment, Opts)).

%% @doc Calls the guest, with imports resolved on AO-Core. Normalizes the base first.
-spec compute(message(), message(), opts()) -> answer().
compute(RawBase, Request, Opts) ->
    Prefix = lib_wasm64_message:output_prefix(RawBase, Opts),
    lib_wasm64_kernel:answer(
        case normalized(Prefix, RawBase, Opts) of
            {ok, Base} ->
                case lib_wasm64_message:find([<<"pass">>], Base, Opts) of
                    {ok, Pass} when Pass =/= 1 -> {ok, Base};
                    _ -> compute_function(Prefix, Base, Request, Opts)
                end;
            Refused ->
                Refused
        end
    ).

compute_function(Prefix, Base, Request, Opts) ->
    %% Once: it may have to be read from the node's cache.
    Body = lib_wasm64_message:value(<<"body">>, Request, #{}, Opts),
    case find_argument(<<"function">>, Body, Request, Base, Opts) of
        not_found ->
            {ok, Base};
        {ok, Function} when is_binary(Function); is_integer(Function) ->
            case find_parameters(Body, Request, Base, Opts) of
                {ok, Parameters} -> call(Prefix, Function, Parameters, Body, Request, Base, Opts);
                {error, _} = Error -> Error
            end;
        {ok, _} ->
            refuse(<<"function">>, 400, <<"neither the name of an export nor the index of a table entry">>)
    end.

find_argument(Key, Body, Request, Base, Opts) ->
    case lib_wasm64_message:ask([Key], Body, Opts) of
        {ok, _} = Found ->
            Found;
        not_found ->
            case lib_wasm64_message:ask([Key], Request, Opts) of
                {ok, _} = Found -> Found;
                not_found -> lib_wasm64_message:find([Key], Base, Opts)
            end
    end.

find_parameters(Body, Request, Base, Opts) ->
    Key = <<"parameters">>,
    case find_argument(Key, Body, Request, Base, Opts) of
        not_found ->
            {ok, []};
        {ok, Given} ->
            case lib_wasm64_message:list(Given, Opts) of
                {ok, Parameters} -> {ok, Parameters};
                error -> refuse(Key, 400, <<"not a list">>)
            end
    end.

%% Options of a call for an image whose imports the engine serves.
host(Handle, Function, Prefix, Body, Request, Base, Opts) ->
    case hb_wasm64:host(Handle) of
        {ok, Runtime} when Runtime =/= none ->
            Moment =
                case Runtime of
                    wasi -> dev_wasm64_moment:options(Function, Body, Request, Opts);
                    _ -> #{time => dev_wasm64_moment:time(Body, Request, Opts)}
                end,
            Moment#{intercept => dev_wasm64_import:intercepted(Prefix, Base, Opts)};
        _ ->
            #{}
    end.

%% The limit that a process sets to the meter of its image, a number or text. Anything else sets none, as with AO's loader.
gas(Base, Options, Opts) ->
    case lib_wasm64_message:find([<<"compute-limit">>], Base, Opts) of
        {ok, Limit} ->
            case integer(Limit) of
                Gas when Gas > 0, Gas =< ?MAX_GAS -> Options#{gas => Gas};
                _ -> Options
            end;
        not_found ->
            Options
    end.

%% A number, or text with one; 0 for anything else.
integer(Number) when is_integer(Number) ->
    Number;
integer(Text) when is_binary(Text), byte_size(Text) =< 16 ->
    try
        binary_to_integer(Text)
    catch
        error:badarg -> 0
    end;
integer(_Other) ->
    0.

call(Prefix, Function, Parameters, Body, Request, Base, Opts) ->
    Access = #{<<"instance">> := Handle} = lib_wasm64_message:private(Prefix, Base),
    Resolver = maps:get(<<"import-resolver">>, Access, fun dev_wasm64_import:resolve/3),
    Import = fun(State, Import, _) -> dev_wasm64_import:checked(Resolver(State, Import, Opts)) end,
    Bounds = dev_wasm64_instance:bounds(Opts),
    Options = gas(Base, maps:merge(Bounds#{on_timeout => stop}, host(Handle, Function, Prefix, Body, Request, Base, Opts)), Opts),
    case lib_wasm64_message:is_true(Prefix ++ [<<"report-usage">>], Base, Opts) of
        false ->
            Ended = hb_wasm64:call(Handle, Function, Parameters, Import, Base, Options),
            ended(Ended, #{}, Prefix, Access, Opts);
        true ->
            Call = hb_wasm64:call(Handle, Function, Parameters, Import, Base, Options#{usage => true}),
            {Outcome, Given, State, Usage} = Call,
            ended({Outcome, Given, State}, used(Given, Usage), Prefix, Access, Opts)
    end.

%% Of a call that was refused nothing; the fuel of one that has trapped nobody knows. What a message before has used is replaced.
used(Given, Usage) ->
    Fuel = case Given of {trap, _} -> <<"unknown">>; _ -> 0 end,
    #{<<"fuel-used">> => maps:get(fuel_used, Usage, Fuel), <<"gas-used">> => maps:get(gas_used, Usage, 0)}.

ended({ok, Results, State}, Usage, Prefix, Access, Opts) ->
    {ok, finish(Prefix, Access, ok, Results, Usage, State, Opts)};
ended({error, Why, State}, Usage, Prefix, #{<<"instance">> := Handle} = Access, Opts) ->
    Reason = reason(Why),
    _ = lib_wasm64_error:spoils(Reason) andalso hb_wasm64:stop(Handle),
    case {lib_wasm64_error:answer(<<"function">>, Reason), lib_wasm64_kernel:loads_packages()} of
        {{error, Message}, true} -> {error, maps:merge(Message, Usage)};
        {{error, _}, false} -> {ok, finish(Prefix, Access, error, lib_wasm64_error:text(Reason), Usage, State, Opts)};
        {{failure, _} = Failure, _} -> Failure
    end.

%% A `proc_exit' that nobody serves ends the guest as one that the engine serves does.
reason({import_failed, {exit, Status}}) -> {exit, Status};
reason(Reason) -> Reason.

%% Import devices may have changed the private state, or left the handle of their import in it: the message gets back what it
%% had before the call.
finish(Prefix, Access, Type, Output, Usage, State, Opts) ->
    Private = dev_wasm64_instance:own(Access),
    Results = Usage#{<<"type">> => Type, <<"output">> => lib_wasm64_message:plain(Output)},
    lib_wasm64_message:set(
        [<<"results">> | Prefix], Results, lib_wasm64_message:merge_private(Prefix, Private, State), Opts
    ).

%% @doc Answers an import of the guest, see {@link dev_wasm64_import:import/3}.
-spec import(message(), message(), opts()) -> {Status :: atom(), term()} | {error, device_call, term()}.
import(Base, Request, Opts) ->
    dev_wasm64_import:import(Base, Request, Opts).

%% @doc The state of the instance, see {@link dev_wasm64_state:snapshot/2}.
-spec snapshot(message(), message(), opts()) -> answer().
snapshot(Base, _Request, Opts) ->
    lib_wasm64_kernel:answer(dev_wasm64_state:snapshot(Base, Opts)).

%% @doc The base with an instance and without a literal snapshot. Its hashpath stays the same: it does not depend on which
%% of the two the base came with.
-spec normalize(message(), message(), opts()) -> answer().
normalize(Base, _Request, Opts) ->
    lib_wasm64_kernel:answer(normalized(lib_wasm64_message:output_prefix(Base, Opts), Base, Opts)).

normalized(Prefix, Base, Opts) ->
    case dev_wasm64_instance:live(Prefix, Base) of
        {ok, _Handle} -> {ok, dev_wasm64_state:without_snapshot(Base, Opts)};
        not_found -> dev_wasm64_state:restore(Base, Opts)
    end.

%% @doc Stops the instance and removes it from the private state.
-spec terminate(message(), message(), opts()) -> answer().
terminate(Base, _Request, Opts) ->
    Prefix = lib_wasm64_message:output_prefix(Base, Opts),
    _ = [hb_wasm64:stop(Handle) || {ok, Handle} <- [dev_wasm64_instance:live(Prefix, Base)]],
    {ok, dev_wasm64_instance:remove(Prefix, Base)}.

%% @doc The instance of a message, for other devices.
-spec instance(message(), message(), opts()) -> hb_wasm64:handle() | not_found.
instance(Base, _Request, Opts) ->
    dev_wasm64_instance:find(Base, Opts).

refuse(Key, Status, Text) -> lib_wasm64_error:fault(Key, Status, Text).

%%% What Forge runs as the test of a package

-ifdef(TEST).
-include_lib("eunit/include/eunit.hrl").

%% A module with a function `f' that returns 42.
the_device_runs_test() ->
    Image = <<"\0asm", 1:32/little, 1, 5, 1, 16#60, 0, 1, 16#7f, 3, 2, 1, 0, 7, 5, 1, 1, "f", 0, 0, 10, 6, 1, 4, 0, 16#41, 42, 11>>,
    {ok, Started} = init(#{<<"body">> => Image}, #{}, #{}),
    {ok, #{<<"results">> := Results}} = compute(Started, #{<<"function">> => <<"f">>}, #{}),
    ?assertEqual(#{<<"type">> => ok, <<"output">> => [42]}, Results).
-endif.
