%%% # `~genesis-wasm@1.0`: processes of AO's legacynet
%%%
%%% Evaluates them natively, with the results of AO's compute unit ("CU").
%%%
%%% | key | reads | returns |
%%% |---|---|---|
%%% | `init` | | the base |
%%% | `compute` | an assignment, with the message in `body` | the base with `results` (what `~json-iface@1.0` makes of the CU's answer), `results/json` with that answer as a whole (`results/raw` in today's HyperBEAM), and the patches of `results/outbox` applied by `~patch@1.0`. A request without `slot` is a dry run: the state stays as it was |
%%% | `normalize` | `snapshot`: one of this device, or a checkpoint of a CU | the base in that state |
%%% | `snapshot` | the state | a message that `normalize` accepts; it is empty before the first slot |
%%% | `checkpoint` | the state | the same as a CU has it: the linear memory, gzipped, with its tags |
%%% | `import` | `import`: the ID of a checkpoint; `process-id` | the process in its state, stored as the CU's device stores it |
%%% | `state` | the state | `body` with the linear memory |
%%% | `terminate` | the state | the base without it |
%%%
%%% The state is in the private part of the base. A slot does not change it: the base that `compute` returns has another one, so a
%%% slot that is computed twice on a base gives the same twice.
%%%
%%% ## Errors
%%%
%%% What the CU refuses, with its HTTP status, is `{error, Message}`. What this node could not do (time, memory, a message that it
%%% could not read) is a failure: `{failure, Message}`, or on older kernels an error that they do not record.
-module(dev_genesis_wasm64).

-implements(<<"genesis-wasm@1.0">>).
-device_libraries([lib_wasm64_kernel, lib_wasm64_message, lib_wasm64_error, lib_wasm64_package]).

-export([init/3, compute/3, normalize/3, snapshot/3, checkpoint/3, import/3, state/3, terminate/3]).

-type message() :: map().
-type opts() :: map().
-type answer() :: {ok, message()} | {error, term()} | {failure, term()}.

%% The key of the private state.
-define(KEY, <<"genesis-wasm64">>).

%% @doc Nothing is started before the first slot.
-spec init(message(), message(), opts()) -> answer().
init(Base, _Request, _Opts) -> {ok, Base}.

%% @doc Evaluates a slot, or a dry run.
-spec compute(message(), message(), opts()) -> answer().
compute(RawBase, Request, Opts) ->
    answer(fun() ->
        case live(RawBase, Opts) of
            {ok, Base, Process} ->
                case lib_wasm64_message:ask([<<"slot">>], Request, Opts) of
                    {ok, _} -> slot(Base, Process, Request, Opts);
                    not_found -> dry_run(Base, Process, Request, Opts)
                end;
            Refused ->
                Refused
        end
    end).

slot(Base, Process, Request, Opts) ->
    Struct = dev_genesis_wasm64_node:slot(Request, Opts),
    case dev_genesis_wasm64_process:slot(Process, Struct, Opts) of
        {ok, Outcome, Next} ->
            With = dev_genesis_wasm64_node:results(Outcome, put_process(Next, Base), Opts),
            dev_genesis_wasm64_node:patched(With, Request, Opts);
        Refused ->
            Refused
    end.

dry_run(Base, Process, Request, Opts) ->
    Message = dev_genesis_wasm64_node:said(maps:without([<<"commitments">>, <<"path">>], Request), Opts),
    case dev_genesis_wasm64_process:dry_run(Process, Message, Opts) of
        {ok, Outcome} -> {ok, dev_genesis_wasm64_node:results(Outcome, Base, Opts)};
        Refused -> Refused
    end.

%% @doc The base in the state of its snapshot.
-spec normalize(message(), message(), opts()) -> answer().
normalize(Base, _Request, Opts) ->
    answer(fun() ->
        case {process(Base), lib_wasm64_message:find([<<"snapshot">>], Base, Opts)} of
            {not_found, {ok, Snapshot}} when is_map(Snapshot), map_size(Snapshot) > 0 ->
                case live(Base, Opts) of
                    {ok, Live, _Process} -> {ok, Live};
                    Refused -> Refused
                end;
            _ ->
                {ok, without_snapshot(Base, Opts)}
        end
    end).

%% The base with a process: that of its private state, the one in its snapshot, or a fresh one.
live(Base, Opts) ->
    case process(Base) of
        {ok, Process} ->
            {ok, Base, Process};
        not_found ->
            Started =
                case lib_wasm64_message:find([<<"snapshot">>], Base, Opts) of
                    {ok, Snapshot} when is_map(Snapshot), map_size(Snapshot) > 0 ->
                        dev_genesis_wasm64_process:restored(Base, Snapshot, Opts);
                    _ ->
                        fresh(lib_wasm64_message:value(<<"at-slot">>, Base, -1, Opts), Base, Opts)
                end,
            case Started of
                {ok, Process} -> {ok, put_process(Process, without_snapshot(Base, Opts)), Process};
                Refused -> Refused
            end
    end.

%% A process that has come to a slot has a state somewhere. Without it nothing is known that could go on.
fresh(At, _Base, _Opts) when is_integer(At), At >= 0 ->
    lib_wasm64_error:failure(<<"snapshot">>, 410, <<"the state of the slot is neither here nor in a snapshot">>);
fresh(_At, Base, Opts) ->
    dev_genesis_wasm64_process:new(Base, Opts).

without_snapshot(Base, Opts) ->
    case lib_wasm64_kernel:has(<<"snapshot">>, Base, Opts) of
        true -> lib_wasm64_kernel:set(Base, #{<<"snapshot">> => unset}, Opts);
        false -> Base
    end.

%% @doc The state as a message.
-spec snapshot(message(), message(), opts()) -> answer().
snapshot(Base, _Request, Opts) ->
    answer(fun() ->
        case process(Base) of
            {ok, Process} -> dev_genesis_wasm64_process:snapshot(Process, Opts);
            not_found -> {ok, #{}}
        end
    end).

%% @doc The state as a checkpoint of a CU.
-spec checkpoint(message(), message(), opts()) -> answer().
checkpoint(Base, _Request, Opts) -> with_live(Base, Opts, fun dev_genesis_wasm64_process:checkpoint/2).

%% @doc The linear memory.
-spec state(message(), message(), opts()) -> answer().
state(Base, _Request, Opts) ->
    with_live(Base, Opts, fun(Process, Options) ->
        case dev_genesis_wasm64_process:memory(Process, Options) of
            {ok, Memory} -> {ok, #{<<"body">> => Memory, <<"content-type">> => <<"application/octet-stream">>}};
            Refused -> Refused
        end
    end).

with_live(Base, Opts, Fun) ->
    answer(fun() ->
        case live(Base, Opts) of
            {ok, _Base, Process} -> Fun(Process, Opts);
            Refused -> Refused
        end
    end).

%% @doc A process that goes on from a checkpoint of a CU.
-spec import(message(), message(), opts()) -> answer().
import(Base, Request, Opts) -> answer(fun() -> dev_genesis_wasm64_import:import(Base, Request, Opts) end).

%% @doc The base without its state.
-spec terminate(message(), message(), opts()) -> answer().
terminate(Base, _Request, _Opts) ->
    case process(Base) of
        {ok, Process} -> dev_genesis_wasm64_process:stop(Process);
        not_found -> ok
    end,
    {ok, lib_wasm64_message:without_private([], [?KEY], Base)}.

process(Base) ->
    case lib_wasm64_message:private([], Base) of
        #{?KEY := Process} -> {ok, Process};
        _ -> not_found
    end.

put_process(Process, Base) -> lib_wasm64_message:merge_private([], #{?KEY => Process}, Base).

answer(Do) ->
    try
        lib_wasm64_kernel:answer(Do())
    catch
        throw:{failure, Reason} -> lib_wasm64_kernel:answer({failure, Reason})
    end.
