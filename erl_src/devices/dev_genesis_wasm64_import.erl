%% @doc What processes of legacynet need of the world: checkpoints of compute units ("CUs") to go on from, and blocks.
%%
%% A checkpoint comes from the node's stores by its ID, or is the latest of a process that the gateway knows. It has to be signed by one
%% of the node's `genesis_wasm_import_authorities', to be of the process, and whole.
-module(dev_genesis_wasm64_import).

-export([import/3, blocks/4]).

-type message() :: map().

%% @doc The process with the checkpoint as its snapshot, at the checkpoint's slot. Where the node's kernel can, it is stored as the last
%% state of the process.
-spec import(message(), message(), map()) -> {ok, message()} | {error, map()} | {failure, map()}.
import(Base, Request, Opts) ->
    case process(Base, Request, Opts) of
        {ok, Process} ->
            case checkpoint(Process, Request, Opts) of
                {ok, Checkpoint} -> import(Process, Checkpoint, Request, Opts);
                Refused -> Refused
            end;
        Refused ->
            Refused
    end.

process(Base, Request, Opts) ->
    case lib_wasm64_message:ask([<<"process-id">>], Request, Opts) of
        {ok, Id} ->
            case lib_wasm64_kernel:read(Id, Opts) of
                {ok, Process} when is_map(Process) -> {ok, with_process(Process, Opts)};
                failure -> lib_wasm64_error:failure(<<"process-id">>, 503, <<"the node failed to read ", Id/binary>>);
                _ -> lib_wasm64_error:failure(<<"process-id">>, 404, <<"no message ", Id/binary>>)
            end;
        not_found ->
            {ok, with_process(Base, Opts)}
    end.

%% As `~process@1.0' has it: the process below a key of its own.
with_process(Base, Opts) ->
    case lib_wasm64_message:find([<<"process">>], Base, Opts) of
        {ok, Process} when is_map(Process) -> Base;
        _ -> Base#{<<"process">> => hb_private:reset(Base)}
    end.

checkpoint(#{<<"process">> := Process}, Request, Opts) ->
    case lib_wasm64_message:ask([<<"import">>], Request, Opts) of
        {ok, Id} when is_binary(Id) ->
            read(Id, Opts);
        {ok, Checkpoint} when is_map(Checkpoint) ->
            {ok, Checkpoint};
        _ ->
            latest(hb_util:human_id(hb_message:id(Process, all, Opts)), Opts)
    end.

read(Id, Opts) ->
    case lib_wasm64_kernel:read(Id, Opts) of
        {ok, Checkpoint} when is_map(Checkpoint) -> {ok, Checkpoint};
        failure -> lib_wasm64_error:failure(<<"import">>, 503, <<"the node failed to read ", Id/binary>>);
        _ -> lib_wasm64_error:failure(<<"import">>, 404, <<"no message ", Id/binary>>)
    end.

%% The last checkpoint of a process that a trusted signer has uploaded.
latest(Id, Opts) ->
    Query = <<
        "query($process: String!, $signers: [String!]) { transactions(tags: ["
        "{name: \"Type\", values: [\"Checkpoint\"]}, {name: \"Process\", values: [$process]}], "
        "owners: $signers, first: 1, sort: HEIGHT_DESC) { edges { node { id } } } }"
    >>,
    case {authorities(Opts), gateway()} of
        {[], _} ->
            lib_wasm64_error:fault(<<"import">>, 400, <<"the node trusts nobody's checkpoints">>);
        {_, none} ->
            lib_wasm64_error:failure(<<"import">>, 503, <<"the node has no gateway">>);
        {Signers, Gateway} ->
            Answer = Gateway:query(Query, #{<<"process">> => Id, <<"signers">> => Signers}, Opts),
            Path = [<<"data">>, <<"transactions">>, <<"edges">>, 1, <<"node">>, <<"id">>],
            case Answer of
                {ok, Found} ->
                    case lib_wasm64_message:ask(Path, Found, Opts) of
                        {ok, CheckpointId} -> read(CheckpointId, Opts);
                        not_found -> lib_wasm64_error:failure(<<"import">>, 404, <<"no checkpoint of ", Id/binary>>)
                    end;
                _ ->
                    lib_wasm64_error:failure(<<"import">>, 503, <<"the gateway did not answer">>)
            end
    end.

gateway() ->
    Loaded = [
        Module
     || Module <- [hb_client_gateway, hb_gateway_client],
        code:ensure_loaded(Module) =:= {module, Module},
        erlang:function_exported(Module, query, 3)
    ],
    case Loaded of
        [Module | _] -> Module;
        [] -> none
    end.

authorities(Opts) -> dev_genesis_wasm64_node:option(genesis_wasm_import_authorities, [], Opts).

import(#{<<"process">> := Process} = Base, Checkpoint, _Request, Opts) ->
    Signers = hb_message:signers(Checkpoint, Opts),
    Checks = [
        {is_legacy(Process, Opts), <<"Process is not a valid target for importing a `~genesis-wasm@1.0' checkpoint.">>},
        {lists:any(fun(Signer) -> lists:member(Signer, authorities(Opts)) end, Signers),
            <<"Checkpoint message is not signed by a trusted snapshot authority.">>},
        {hb_message:verify(Checkpoint, all, Opts) =:= true, <<"Checkpoint message is not verifiable.">>}
    ],
    case lists:keyfind(false, 1, Checks) of
        {false, Text} ->
            lib_wasm64_error:fault(<<"import">>, 400, Text);
        false ->
            %% It is tried before anything is stored.
            case dev_genesis_wasm64_process:restored(Base, Checkpoint, Opts) of
                {ok, State} -> stored(Base, State, Checkpoint, Opts);
                Refused -> Refused
            end
    end.

is_legacy(Process, Opts) ->
    Is = fun(Key, Value) -> lib_wasm64_message:value(Key, Process, none, Opts) =:= Value end,
    Is(<<"variant">>, <<"ao.TN.1">>) orelse Is(<<"execution-device">>, <<"genesis-wasm@1.0">>).

stored(#{<<"process">> := Process} = Base, State, Checkpoint, Opts) ->
    Slot = dev_genesis_wasm64_process:at(State),
    ok = dev_genesis_wasm64_process:stop(State),
    Public = hb_private:reset(Base#{<<"at-slot">> => Slot, <<"initialized">> => <<"true">>}),
    With = Public#{<<"snapshot">> => Checkpoint},
    Id = hb_util:human_id(hb_message:id(Process, all, Opts)),
    ok = store(Id, Slot, Public, With, Opts),
    {ok, With}.

%% Each version of HyperBEAM has its own cache of processes.
store(Id, Slot, Public, With, Opts) ->
    case {exports(hb_cache, write_result, 3), exports(dev_process_cache, write, 4)} of
        {true, _} ->
            Write = fun(Path, Keys, Message) ->
                Names = [{Id, Key#{<<"path">> => Path}} || Key <- Keys],
                {ok, _} = call(hb_cache, write_result, [Names, Message, Opts])
            end,
            {ok, _} = Write(<<"compute">>, [#{<<"slot">> => Slot}], Public),
            {ok, _} = Write(<<"latest">>, [#{}], Public),
            {ok, _} = Write(<<"restore">>, [#{<<"slot">> => Slot}, #{}], With),
            ok;
        {false, true} ->
            {ok, _} = call(dev_process_cache, write, [Id, Slot, With, Opts]),
            ok;
        {false, false} ->
            ok
    end.

call(Module, Function, Args) -> apply(Module, Function, Args).

exports(Module, Function, Arity) ->
    code:ensure_loaded(Module) =:= {module, Module} andalso erlang:function_exported(Module, Function, Arity).

%% @doc The blocks between two slots, where a process has intervals in blocks. The node's option `genesis_wasm_blocks' is a function that
%% knows them, `fun(From, To) -> {ok, [{Height, Timestamp}]} | {error, term()}'; otherwise the gateway is asked.
-spec blocks([dev_genesis_wasm64_cron:interval()], dev_genesis_wasm64_cron:block(), dev_genesis_wasm64_cron:block(), map()) ->
    [dev_genesis_wasm64_cron:block()].
blocks([], _From, _To, _Opts) ->
    [];
blocks(_Intervals, {_, Same}, {_, Same}, _Opts) ->
    [];
blocks(_Intervals, {Height, _} = From, To, Opts) ->
    Known =
        case dev_genesis_wasm64_node:option(genesis_wasm_blocks, none, Opts) of
            Fun when is_function(Fun, 2) -> Fun(From, To);
            _ -> of_gateway(Height, To, [], Opts)
        end,
    case Known of
        {ok, Blocks} -> Blocks;
        _ -> throw({failure, #{<<"status">> => 503, <<"body">> => <<"the blocks between two slots could not be read">>}})
    end.

%% A hundred at a time, up to the first one that is later.
of_gateway(Height, {_, Until} = To, Blocks, Opts) ->
    Query = <<
        "query($min: Int) { blocks(height: {min: $min}, first: 100, sort: HEIGHT_ASC) "
        "{ edges { node { timestamp height } } } }"
    >>,
    case gateway() of
        none ->
            {error, no_gateway};
        Gateway ->
            case Gateway:query(Query, #{<<"min">> => Height}, Opts) of
                {ok, Found} ->
                    Page = page(lib_wasm64_message:ask([<<"data">>, <<"blocks">>, <<"edges">>], Found, Opts), Opts),
                    All = Blocks ++ [Block || {_, Time} = Block <- Page, Time < Until],
                    case Page =:= [] orelse length(Page) < 100 orelse element(2, lists:last(Page)) >= Until of
                        true -> {ok, All};
                        false -> of_gateway(element(1, lists:last(Page)) + 1, To, All, Opts)
                    end;
                Error ->
                    {error, Error}
            end
    end.

%% The gateway has seconds.
page({ok, Edges}, Opts) ->
    {ok, List} = lib_wasm64_message:list(Edges, Opts),
    [{number(Edge, <<"height">>, Opts), number(Edge, <<"timestamp">>, Opts) * 1000} || Edge <- List];
page(not_found, _Opts) ->
    [].

number(Edge, Key, Opts) ->
    {ok, Number} = lib_wasm64_message:ask([<<"node">>, Key], Edge, Opts),
    Number.
