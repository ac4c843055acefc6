%% @doc What the device `genesis-wasm@1.0' takes of the node: messages as AO's compute unit ("CU") is told them, modules, options; and
%% what it makes of the CU's answer. All that differs between versions of HyperBEAM is here or in {@link lib_wasm64_kernel}.
-module(dev_genesis_wasm64_node).

-export([slot/2, said/2, process/2, module/2, by_id/2, limits/1, time_bound/1, option/3, results/3, patched/3]).

-type message() :: map().
-type opts() :: map().

-define(FORMATS, [
    <<"wasm32-unknown-emscripten">>,
    <<"wasm32-unknown-emscripten2">>,
    <<"wasm32-unknown-emscripten3">>,
    <<"wasm32-unknown-emscripten4">>,
    <<"wasm64-unknown-emscripten-draft_2024_02_15">>,
    <<"wasm32-unknown-emscripten-metering">>,
    <<"wasm64-unknown-emscripten-draft_2024_10_16-metering">>
]).
%% What assignments say, by the names of legacynet.
-define(SAID, [
    {<<"process">>, <<"Process">>},
    {<<"epoch">>, <<"Epoch">>},
    {<<"slot">>, <<"Slot">>},
    {<<"nonce">>, <<"Nonce">>},
    {<<"timestamp">>, <<"Timestamp">>},
    {<<"block-height">>, <<"Block-Height">>},
    {<<"hash-chain">>, <<"Hash-Chain">>},
    {<<"exclude">>, <<"Exclude">>},
    {<<"skip">>, <<"Skip">>},
    {<<"original-assignment-id">>, <<"Original-Assignment-Id">>},
    {<<"variant">>, <<"Variant">>}
]).

%% @doc A slot's assignment and message.
-spec slot(message(), opts()) -> dev_genesis_wasm64_message:struct().
slot(Assignment, Opts) ->
    Said = [{Name, text(Value)} || {Key, Name} <- ?SAID, {ok, Value} <- [lib_wasm64_message:ask([Key], Assignment, Opts)]],
    Tags = [#{<<"name">> => Name, <<"value">> => Value} || {Name, Value} <- Said],
    Id =
        case lists:keyfind(<<"Variant">>, 1, Said) of
            %% Only the hash chain of legacynet's schedulers asks for it.
            {_, <<"ao.TN.1">>} -> hb_util:human_id(hb_message:id(maps:without([<<"body">>], Assignment), all, Opts));
            _ -> undefined
        end,
    #{<<"assignment">> => #{<<"Id">> => Id, <<"Tags">> => Tags}, <<"message">> => body(Assignment, Opts)}.

body(Assignment, Opts) ->
    case lib_wasm64_message:ask([<<"body">>], Assignment, Opts) of
        {ok, Message} when is_map(Message) ->
            said(Message, Opts);
        _ ->
            case lib_wasm64_message:ask([<<"message">>], Assignment, Opts) of
                {ok, Id} when is_binary(Id) -> #{<<"Id">> => hb_util:human_id(Id)};
                _ -> #{}
            end
    end.

%% @doc A message as a CU is told it.
-spec said(message(), opts()) -> dev_genesis_wasm64_message:struct().
said(Message, Opts) ->
    Loaded = all_loaded(Message, Opts),
    Struct =
        case lib_wasm64_kernel:loads_packages() of
            true ->
                {ok, Made} = lib_wasm64_kernel:run(<<"to">>, json_iface(), #{<<"message">> => Loaded}, Opts),
                Made;
            false ->
                dev_json_iface:message_to_json_struct(Loaded, Opts)
        end,
    Struct#{<<"Tags">> := [Tag#{<<"value">> := plain(Value)} || #{<<"value">> := Value} = Tag <- maps:get(<<"Tags">>, Struct)]}.

json_iface() -> #{<<"device">> => <<"json-iface@1.0">>}.

%% Values that are messages themselves have no text.
plain(Value) when is_binary(Value); is_integer(Value); is_float(Value); is_list(Value); is_map(Value) -> Value;
plain(Value) when is_atom(Value) -> atom_to_binary(Value);
plain(_Other) -> <<"[object Object]">>.

all_loaded(Message, Opts) ->
    case erlang:function_exported(hb_cache, ensure_all_loaded, 2) of
        true -> hb_cache:ensure_all_loaded(Message, Opts);
        false -> Message
    end.

text(Value) when is_binary(Value) -> Value;
text(Value) when is_integer(Value) -> integer_to_binary(Value);
text(Value) when is_atom(Value) -> atom_to_binary(Value);
text(Value) when is_float(Value) -> float_to_binary(Value, [short]);
text(_Other) -> <<>>.

%% @doc The process of a base message.
-spec process(message(), opts()) -> {ok, dev_genesis_wasm64_message:party()} | {error, map()}.
process(Base, Opts) ->
    case lib_wasm64_message:find([<<"process">>], Base, Opts) of
        {ok, Process} when is_map(Process) -> {ok, party(Process, Opts)};
        _ -> refused(<<"process">>, 400, <<"not a message">>)
    end.

party(Message, Opts) ->
    #{<<"Owner">> := Owner} = Said = said(Message, Opts),
    #{
        id => hb_util:human_id(hb_message:id(Message, all, Opts)),
        owner => Owner,
        tags => dev_genesis_wasm64_message:tags(Said),
        signature => dev_genesis_wasm64_message:field(<<"Signature">>, Said),
        anchor => dev_genesis_wasm64_message:field(<<"Anchor">>, Said),
        data => dev_genesis_wasm64_message:field(<<"Data">>, Said)
    }.

%% @doc The module of a process: what is said of it, and its image.
-spec module(dev_genesis_wasm64_message:party(), opts()) ->
    {ok, dev_genesis_wasm64_message:party(), Image :: binary()} | {error, map()} | {failure, map()}.
module(#{tags := Tags}, Opts) ->
    case dev_genesis_wasm64_message:tag(<<"Module">>, Tags) of
        undefined ->
            refused(<<"module">>, 422, <<"the process has no tag Module">>);
        Id ->
            case lib_wasm64_kernel:read(Id, Opts) of
                {ok, Message} when is_map(Message) ->
                    case image(Message, Opts) of
                        {ok, Image} -> {ok, (party(maps:without([<<"data">>, <<"body">>], Message), Opts))#{id := Id}, Image};
                        not_found -> refused(<<"module">>, 422, <<"the module has neither data nor body">>)
                    end;
                {ok, _} ->
                    refused(<<"module">>, 422, <<"not a message">>);
                not_found ->
                    lib_wasm64_error:failure(<<"module">>, 404, <<"no message ", Id/binary>>);
                failure ->
                    lib_wasm64_error:failure(<<"module">>, 503, <<"the node failed to read ", Id/binary>>)
            end
    end.

image(Message, Opts) ->
    Found = [Image || Key <- [<<"data">>, <<"body">>], {ok, Image} <- [lib_wasm64_message:ask([Key], Message, Opts)]],
    case [Image || Image <- Found, is_binary(Image), Image =/= <<>>] of
        [Image | _] -> {ok, Image};
        [] -> not_found
    end.

%% @doc A message that an assignment names only.
-spec by_id(binary(), opts()) -> {ok, dev_genesis_wasm64_message:struct()} | {failure, map()}.
by_id(Id, Opts) ->
    case lib_wasm64_kernel:read(Id, Opts) of
        {ok, Message} when is_map(Message) -> {ok, (said(Message, Opts))#{<<"Id">> => Id}};
        failure -> lib_wasm64_error:failure(<<"message">>, 503, <<"the node failed to read ", Id/binary>>);
        _ -> lib_wasm64_error:failure(<<"message">>, 404, <<"no message ", Id/binary>>)
    end.

%% @doc What the node takes at most. The memory is that of the CU, or of its default in today's HyperBEAM.
-spec limits(opts()) -> dev_genesis_wasm64_module:limits().
limits(Opts) ->
    Memory =
        case lib_wasm64_kernel:loads_packages() of
            true -> 24_000_000_000;
            false -> 1 bsl 30
        end,
    #{
        memory => number(option(genesis_wasm_memory_max_limit, Memory, Opts)),
        compute => number(option(genesis_wasm_compute_max_limit, 9_000_000_000_000, Opts)),
        formats => names(option(genesis_wasm_supported_formats, ?FORMATS, Opts)),
        extensions => names(option(genesis_wasm_supported_extensions, <<>>, Opts))
    }.

%% In a configuration file numbers may have underlines.
number(Number) when is_integer(Number) -> Number;
number(Text) -> binary_to_integer(binary:replace(iolist_to_binary(Text), <<"_">>, <<>>, [global])).

names([Name | _] = Names) when is_binary(Name) -> Names;
names(Text) -> [string:trim(Name) || Name <- binary:split(iolist_to_binary(Text), <<",">>, [global]), string:trim(Name) =/= <<>>].

%% @doc How long a guest, or a snapshot, may take on this node: the option `wasm_timeout', in milliseconds.
-spec time_bound(opts()) -> #{timeout := timeout()}.
time_bound(Opts) ->
    case option(wasm_timeout, infinity, Opts) of
        Text when is_binary(Text), Text =/= <<"infinity">> -> #{timeout => number(Text)};
        Time when is_integer(Time) -> #{timeout => Time};
        _ -> #{timeout => infinity}
    end.

%% @doc An option of the node.
-spec option(atom(), Default, opts()) -> term() | Default when Default :: term().
option(Name, Default, Opts) -> hb_opts:get(Name, Default, Opts).

%% @doc The base with the results of a slot: what `~json-iface@1.0' makes of the CU's answer, and that answer as a whole.
-spec results(dev_genesis_wasm64_evaluate:outcome(), message(), opts()) -> message().
results(#{json := JSON, result := Result}, Base, Opts) ->
    Maps = maps_of(Result),
    Results =
        case lib_wasm64_kernel:loads_packages() of
            true ->
                {ok, Made} = lib_wasm64_kernel:run(<<"from">>, json_iface(), #{<<"json">> => JSON}, Opts),
                Made#{<<"raw">> => Maps};
            false ->
                {ok, Made} = dev_json_iface:json_to_message(Maps, Opts),
                Made#{<<"json">> => #{<<"content-type">> => <<"application/json">>, <<"body">> => JSON}}
        end,
    Prefix = lib_wasm64_message:output_prefix(Base, Opts),
    lib_wasm64_message:set(Prefix, #{<<"results">> => Results}, Base, Opts).

maps_of({Members}) -> maps:from_list([{Key, maps_of(Value)} || {Key, Value} <- Members]);
maps_of(List) when is_list(List) -> [maps_of(Value) || Value <- List];
maps_of(Value) -> Value.

%% @doc The same with the patches of the outbox applied by `~patch@1.0', where there are some.
-spec patched(message(), Request :: message(), opts()) -> {ok, message()} | {error, term()} | {failure, term()}.
patched(#{<<"results">> := #{<<"outbox">> := Outbox}} = Base, Request, Opts) when is_map(Outbox) ->
    IsPatch = fun
        (Message) when is_map(Message) ->
            lists:any(fun({Key, Value}) -> says_patch(hb_ao:normalize_key(Key), Value) end, maps:to_list(Message));
        (_Other) ->
            false
    end,
    case lists:any(IsPatch, maps:values(Outbox)) of
        true -> hb_ao:resolve(Base, {as, <<"patch@1.0">>, Request#{<<"patch-from">> => <<"/results/outbox">>}}, Opts);
        false -> {ok, Base}
    end;
patched(Base, _Request, _Opts) ->
    {ok, Base}.

%% A message with a device may be one.
says_patch(Key, Value) ->
    case string:lowercase(Key) of
        <<"method">> -> Value =:= <<"PATCH">>;
        <<"device">> -> true;
        _ -> false
    end.

refused(Key, Status, Text) -> lib_wasm64_error:fault(Key, Status, Text).
