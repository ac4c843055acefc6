%% Support for the tests of dev_genesis_wasm64: processes of a small module,
%% their assignments, and the answers of slots.
-module(dev_genesis_wasm64_support).

-export([on_both/2, process/0, process/1, process/2, assignment/2, assignment/3, message/1, message/2, signed/2]).
-export([compute/3, compute/4, slots/2, answer/1, output/1, count/1, opts/0]).

-define(OWNER, <<"OwnerOwnerOwnerOwnerOwnerOwnerOwnerOwnerOwn">>).
-define(FORMAT, <<"wasm32-unknown-emscripten4">>).

on_both(Title, Test) -> dev_wasm64_support:on_both(Title, Test).

%% A message with a signature, and tags as its signer had them.
signed(Message, Tags) ->
    Original = [#{<<"name">> => Name, <<"value">> => Value} || {Name, Value} <- Tags],
    Message#{<<"signed-by">> => ?OWNER, <<"original-tags">> => Original}.

%% A process of a module that is in the node's cache.
process() -> process([]).
process(Tags) -> process(Tags, module_tags()).

process(Tags, ModuleTags) ->
    {ok, ModuleId} = hb_cache:write(signed(#{<<"data">> => hb_support:guest("legacynet")}, ModuleTags), #{}),
    Own = [{<<"Type">>, <<"Process">>}, {<<"Module">>, ModuleId}, {<<"Variant">>, <<"ao.TN.1">>} | Tags],
    Definition = signed(#{<<"variant">> => <<"ao.TN.1">>, <<"module">> => ModuleId, <<"data">> => <<"boot">>}, Own),
    #{<<"device">> => <<"genesis-wasm@1.0">>, <<"process">> => Definition}.

module_tags() ->
    [
        {<<"Module-Format">>, ?FORMAT}, {<<"Input-Encoding">>, <<"JSON-1">>}, {<<"Output-Encoding">>, <<"JSON-1">>},
        {<<"Memory-Limit">>, <<"1-gb">>}, {<<"Compute-Limit">>, <<"9000000000000">>}
    ].

message(Data) -> message(Data, []).
message(Data, Tags) -> signed(#{<<"data">> => Data, <<"anchor">> => <<"anchor">>, <<"signature">> => <<"sig">>}, [{<<"Action">>, <<"Eval">>} | Tags]).

assignment(Slot, Message) -> assignment(Slot, Message, #{}).
assignment(Slot, Message, Keys) ->
    maps:merge(
        #{
            <<"path">> => <<"compute">>, <<"type">> => <<"Assignment">>, <<"slot">> => Slot, <<"epoch">> => 0,
            <<"timestamp">> => 1_700_000_000_000 + 1000 * Slot, <<"block-height">> => 1_000_000 + Slot,
            <<"process">> => <<"ProcessProcessProcessProcessProcessProcessP">>, <<"hash-chain">> => <<"chain">>, <<"body">> => Message
        },
        Keys
    ).

opts() -> #{}.

compute(Base, Slot, Message) -> compute(Base, Slot, Message, #{}).
compute(Base, Slot, Message, Keys) ->
    hb_ao:resolve(Base, assignment(Slot, Message, Keys), opts()).

%% The base after these messages, from slot 0 on.
slots(Base, Messages) ->
    lists:foldl(
        fun({Slot, Message}, Before) ->
            {ok, After} = compute(Before, Slot, Message),
            After
        end,
        Base,
        lists:zip(lists:seq(0, length(Messages) - 1), Messages)
    ).

%% The CU's whole answer of a slot: as text on the kernels of 2025, as a message on today's.
answer(Computed) ->
    case hb_ao:get(<<"results/json/body">>, Computed, opts()) of
        not_found -> hb_ao:get(<<"results/raw">>, Computed, opts());
        JSON ->
            {ok, Value} = dev_genesis_wasm64_json:decode(JSON),
            maps_of(Value)
    end.

maps_of({Members}) -> maps:from_list([{Key, maps_of(Value)} || {Key, Value} <- Members]);
maps_of(List) when is_list(List) -> [maps_of(Value) || Value <- List];
maps_of(Value) -> Value.

output(Computed) -> maps:get(<<"Output">>, answer(Computed)).

%% How many messages the process has seen in its memory.
count(Computed) -> maps:get(<<"count">>, output(Computed)).
