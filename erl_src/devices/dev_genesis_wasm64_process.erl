%% @doc A process of legacynet between its slots: its memory, and what AO's compute unit ("CU") keeps beside that.
-module(dev_genesis_wasm64_process).

-export([new/2, at/1, slot/3, dry_run/3, snapshot/2, restored/3, checkpoint/2, memory/2, stop/1]).
-export_type([process/0]).

%% Messages of intervals that a slot may have: all of them are made before the first one is evaluated.
-define(MOST_DUE, 10_000).

-record(process, {
    party :: dev_genesis_wasm64_message:party(),
    module :: dev_genesis_wasm64_message:party(),
    settings :: dev_genesis_wasm64_evaluate:settings(),
    state = none :: dev_genesis_wasm64_evaluate:state(),
    %% The last slot; -1 before the first.
    slot = -1 :: integer(),
    %% Of the last slot, and of the first: height and time.
    block = none :: dev_genesis_wasm64_cron:block() | none,
    origin = none :: dev_genesis_wasm64_cron:block() | none,
    %% Assignment and hash chain of the last slot, as far as they are known.
    chain = none :: {binary(), binary()} | none,
    %% Messages that were pushed or assigned, by a hash of 16 bytes each.
    seen = #{} :: #{binary() => true},
    epoch :: integer() | undefined
}).
-opaque process() :: #process{}.

-type refused() :: {error, map()} | {failure, map()}.

%% Hash chains of processes before this block are not checked.
-define(FIRST_CHAIN, 1_440_000).
-define(HASH_BYTES, 16).

%% @doc A process before its first slot.
-spec new(map(), map()) -> {ok, process()} | refused().
new(Base, Opts) ->
    case dev_genesis_wasm64_node:process(Base, Opts) of
        {ok, Party} ->
            case dev_genesis_wasm64_node:module(Party, Opts) of
                {ok, Module, Image} -> new(Party, Module, Image, Opts);
                Refused -> Refused
            end;
        Refused ->
            Refused
    end.

new(#{id := Id, tags := Tags} = Party, #{id := ModuleId, tags := ModuleTags} = Module, Image, Opts) ->
    Limits = dev_genesis_wasm64_node:limits(Opts),
    case dev_genesis_wasm64_module:check({Id, Tags}, {ModuleId, ModuleTags}, Limits) of
        {ok, #{format := Format, gas := Gas, memory := Memory}} ->
            Settings = #{
                image => Image,
                memory => Memory,
                format => Format,
                gas => Gas,
                environment => dev_genesis_wasm64_message:environment(Party, Module)
            },
            {ok, #process{party = Party, module = Module, settings = maps:merge(Settings, dev_genesis_wasm64_node:time_bound(Opts))}};
        {error, Status, Text} ->
            refused(<<"module">>, Status, Text);
        %% Another node may take more.
        {limit, Status, Text} ->
            lib_wasm64_error:failure(<<"module">>, Status, Text)
    end.

%% @doc The last slot; -1 before the first.
-spec at(process()) -> integer().
at(#process{slot = Slot}) -> Slot.

%% @doc Evaluates a slot: its outcome, and the process after it.
-spec slot(process(), dev_genesis_wasm64_message:struct(), map()) ->
    {ok, dev_genesis_wasm64_evaluate:outcome(), process()} | refused().
slot(#process{party = #{id := Id}} = Process, Struct, Opts) ->
    case dev_genesis_wasm64_message:scheduled(Struct, Id) of
        {ok, Scheduled} -> scheduled(Process, Scheduled, Opts);
        {error, Text} -> refused(<<"assignment">>, 422, Text)
    end.

scheduled(#process{slot = Last} = Process, #{slot := Slot} = Scheduled, Opts) ->
    Block = {field(<<"Block-Height">>, Scheduled), field(<<"Timestamp">>, Scheduled)},
    First = Process#process{origin = if Process#process.origin =:= none -> Block; true -> Process#process.origin end},
    case {Slot =:= Last + 1, is_chained(First, Scheduled)} of
        {false, _} ->
            Text = io_lib:format("Non-incrementing slot: expected ~b but got ~b", [Last + 1, Slot]),
            %% It is this node's state that does not fit: as a result it would be one of every slot that follows.
            lib_wasm64_error:failure(<<"slot">>, 422, iolist_to_binary(Text));
        {true, false} ->
            refused(<<"hash-chain">>, 422, <<"HashChain invalid on slot ", (integer_to_binary(Slot))/binary>>);
        {true, true} ->
            Next = First#process{slot = Slot, block = Block, chain = chain(Scheduled), epoch = field(<<"Epoch">>, Scheduled)},
            hydrated(First, Next, Scheduled, Opts)
    end.

field(Key, #{message := Message}) -> proplists:get_value(Key, Message).

%% The schedules of legacynet chain their assignments. Where nothing is known of the one before, there only has to be a hash.
is_chained(#process{origin = {Height, _}, chain = Before}, #{hash_chain := Hash, assignment := Assignment}) ->
    case Height >= ?FIRST_CHAIN andalso Assignment =/= undefined of
        false ->
            true;
        true when Before =:= none ->
            Hash =/= undefined;
        true ->
            {LastId, LastHash} = Before,
            try base64url(crypto:hash(sha256, [hb_util:decode(LastId), hb_util:decode(LastHash)])) of
                Expected -> Expected =:= Hash
            catch
                error:_ -> false
            end
    end.

base64url(Bytes) -> hb_util:encode(Bytes).

chain(#{skip := true, original_assignment := Original, hash_chain := Hash}) when is_binary(Original), is_binary(Hash) ->
    {Original, Hash};
chain(#{assignment := Assignment, hash_chain := Hash}) when is_binary(Assignment), is_binary(Hash) ->
    {Assignment, Hash};
chain(_Scheduled) ->
    none.

%% An assignment of a message that it only names finds that in the node's stores.
hydrated(Before, Next, #{is_assignment := true, message := Message, exclude := Exclude} = Scheduled, Opts) ->
    Id = proplists:get_value(<<"Id">>, Message),
    case is_binary(Id) of
        false ->
            refused(<<"body">>, 422, <<"the assignment has no message">>);
        true ->
            case dev_genesis_wasm64_node:by_id(Id, Opts) of
                {ok, Struct} ->
                    Loaded = dev_genesis_wasm64_message:assigned(Struct, Message, Exclude),
                    evaluated(Before, Next, Scheduled#{message := Loaded}, Opts);
                Failure ->
                    Failure
            end
    end;
hydrated(Before, Next, Scheduled, Opts) ->
    evaluated(Before, Next, Scheduled, Opts).

evaluated(_Before, Next, #{skip := true}, _Opts) ->
    {ok, dev_genesis_wasm64_evaluate:skipped(), Next};
evaluated(#process{seen = Seen} = Before, Next, #{message := Message} = Scheduled, Opts) ->
    Hash = dev_genesis_wasm64_message:identity(Scheduled),
    case is_map_key(Hash, Seen) of
        true ->
            {ok, dev_genesis_wasm64_evaluate:nothing(), Next};
        false ->
            case messages(Before, Next, Message, Opts) of
                {ok, Messages} -> run(Before, Next, Hash, Messages);
                Refused -> Refused
            end
    end.

run(#process{state = State, settings = Settings, seen = Seen}, Next, Hash, Messages) ->
    case dev_genesis_wasm64_evaluate:slot(State, [dev_genesis_wasm64_message:json(Message) || Message <- Messages], Settings) of
        {ok, After, Outcomes} ->
            Known = if Hash =:= none -> Seen; true -> Seen#{Hash => true} end,
            {ok, lists:last(Outcomes), Next#process{state = After, seen = Known}};
        {failure, Reason} ->
            lib_wasm64_error:answer(<<"slot">>, Reason)
    end.

%% What is evaluated in a slot: before the first one the process itself, if its schedule does not begin with it; then what its
%% intervals bring; then the message.
messages(#process{block = Left, origin = Origin, party = #{tags := Tags}} = Process, #process{block = Right}, Message, Opts) ->
    From = if Left =:= none -> Origin; true -> Left end,
    case dev_genesis_wasm64_cron:intervals(Tags) of
        {ok, Intervals} ->
            case dev_genesis_wasm64_cron:due(Intervals, {From, Right}) of
                Due when Due > ?MOST_DUE ->
                    Text = <<"more than ", (integer_to_binary(?MOST_DUE))/binary, " messages of its intervals are due">>,
                    lib_wasm64_error:failure(<<"slot">>, 503, Text);
                _ ->
                    with_crons(Process, Right, Intervals, From, Message, Opts)
            end;
        {error, Text} ->
            refused(<<"process">>, 422, Text)
    end.

with_crons(#process{slot = Last, origin = Origin, party = Party}, Right, Intervals, From, Message, Opts) ->
    Blocks = dev_genesis_wasm64_import:blocks(Intervals, From, Right, Opts),
    Crons = [
        dev_genesis_wasm64_message:cron(Party, Own, {Time, Height})
     || {Own, Time, Height} <- dev_genesis_wasm64_cron:between(Intervals, Origin, {From, Right}, Blocks)
    ],
    All = Crons ++ [Message],
    case Last < 0 andalso not is_process(hd(All)) of
        true ->
            {Height, Time} = Origin,
            Self = Party#{timestamp => Time, height => Height},
            {ok, [dev_genesis_wasm64_message:process(Self, maps:get(data, Party)) | All]};
        false ->
            {ok, All}
    end.

is_process(Message) ->
    not proplists:get_value(<<"Cron">>, Message) andalso
        dev_genesis_wasm64_message:tag(<<"Type">>, proplists:get_value(<<"Tags">>, Message)) =:= <<"Process">>.

%% @doc The outcome of a message that leaves no trace.
-spec dry_run(process(), dev_genesis_wasm64_message:struct(), map()) ->
    {ok, dev_genesis_wasm64_evaluate:outcome()} | refused().
dry_run(#process{party = #{id := Id}, block = Block, state = State, settings = Settings}, Struct, _Opts) ->
    {Height, Time} = if Block =:= none -> {0, 0}; true -> Block end,
    Message = dev_genesis_wasm64_message:dry_run(Struct, Id, {Time, Height}),
    case dev_genesis_wasm64_evaluate:slot(State, [dev_genesis_wasm64_message:json(Message)], Settings) of
        {ok, _After, [Outcome]} -> {ok, Outcome};
        {failure, Reason} -> lib_wasm64_error:answer(<<"dry-run">>, Reason)
    end.

%%% Snapshots

%% @doc The process as a message, without what its base has of it anyway.
-spec snapshot(process(), map()) -> {ok, map()} | {failure, map()}.
snapshot(#process{slot = -1}, _Opts) ->
    {ok, #{}};
snapshot(#process{state = State, slot = Slot, block = Block, origin = Origin, chain = Chain, seen = Seen} = Process, Opts) ->
    Common = #{
        <<"type">> => <<"genesis-wasm64-state">>,
        <<"nonce">> => Slot,
        <<"process">> => maps:get(id, Process#process.party),
        <<"module">> => maps:get(id, Process#process.module),
        <<"blocks">> => text_of([Block, Origin]),
        <<"chain">> => chain_text(Chain),
        <<"seen">> => iolist_to_binary(lists:sort(maps:keys(Seen)))
    },
    case State of
        none ->
            {ok, Common};
        _ ->
            case hb_wasm64:snapshot(State, (dev_genesis_wasm64_node:time_bound(Opts))#{compress => true}) of
                {ok, Snapshot} -> {ok, Common#{<<"body">> => Snapshot}};
                {error, Reason} -> failed(Reason)
            end
    end.

text_of(Blocks) ->
    iolist_to_binary(lists:join($,, [[integer_to_binary(Height), $:, integer_to_binary(Time)] || {Height, Time} <- Blocks])).

chain_text(none) -> <<>>;
chain_text({Assignment, Hash}) -> <<Assignment/binary, ",", Hash/binary>>.

%% @doc The process in the state of a snapshot, or of a checkpoint of a CU.
-spec restored(map(), map(), map()) -> {ok, process()} | refused().
restored(Base, Snapshot, Opts) ->
    case new(Base, Opts) of
        {ok, Process} ->
            case lib_wasm64_message:value(<<"type">>, Snapshot, none, Opts) of
                <<"genesis-wasm64-state">> -> of_snapshot(Process, Snapshot, Opts);
                <<"Checkpoint">> -> of_checkpoint(Process, Snapshot, Opts);
                _ -> refused(<<"snapshot/type">>, 400, <<"neither a state of this device nor a Checkpoint">>)
            end;
        Refused ->
            Refused
    end.

of_snapshot(#process{party = #{id := Id}, module = #{id := ModuleId}, settings = #{image := Image}} = Process, Snapshot, Opts) ->
    [Slot, Of, Module, Blocks, Chain, Seen, Body] = [
        lib_wasm64_message:value(Key, Snapshot, none, Opts)
     || Key <- [<<"nonce">>, <<"process">>, <<"module">>, <<"blocks">>, <<"chain">>, <<"seen">>, <<"body">>]
    ],
    try
        true = Of =:= Id andalso Module =:= ModuleId,
        [Block, Origin] = blocks(Blocks),
        Process#process{
            slot = number(Slot),
            block = Block,
            origin = Origin,
            chain = chain_of(Chain),
            seen = maps:from_list([{Hash, true} || <<Hash:?HASH_BYTES/binary>> <= Seen])
        }
    of
        Known when Body =:= none ->
            {ok, Known};
        Known ->
            Options = (dev_genesis_wasm64_node:time_bound(Opts))#{snapshot => Body},
            case hb_wasm64:start(Image, Options) of
                {ok, State} -> {ok, Known#process{state = State}};
                %% Only this node has it.
                {error, {invalid_snapshot, #{message := Text}}} -> lib_wasm64_error:failure(<<"snapshot/body">>, 400, Text);
                {error, Reason} -> lib_wasm64_error:answer(<<"snapshot/body">>, Reason)
            end
    catch
        error:_ -> lib_wasm64_error:failure(<<"snapshot">>, 400, <<"damaged, or of another process or module">>)
    end.

number(Number) when is_integer(Number) -> Number;
number(Text) -> binary_to_integer(Text).

blocks(Text) ->
    [
        {binary_to_integer(Height), binary_to_integer(Time)}
     || Block <- binary:split(Text, <<",">>, [global]), [Height, Time] <- [binary:split(Block, <<":">>)]
    ].

chain_of(<<>>) -> none;
chain_of(Text) -> list_to_tuple([_, _] = binary:split(Text, <<",">>)).

of_checkpoint(#process{party = #{id := Id, tags := Tags}, module = #{id := ModuleId}, settings = Settings} = Process, Checkpoint, Opts) ->
    #{memory := Most} = Settings,
    case dev_genesis_wasm64_checkpoint:read(Checkpoint, Id, ModuleId, Most, Opts) of
        {ok, #{memory := Memory, slot := Slot, block := Block, chain := Chain}} ->
            %% Intervals count from the block of slot 0, which a checkpoint does not tell.
            HasIntervals = dev_genesis_wasm64_cron:intervals(Tags) =/= {ok, []},
            case dev_genesis_wasm64_evaluate:from_memory(Settings, Memory, #{}) of
                {ok, _} when HasIntervals ->
                    lib_wasm64_error:failure(<<"snapshot">>, 501, <<"a process with intervals cannot go on from a checkpoint">>);
                {ok, State} ->
                    {ok, Process#process{state = State, slot = Slot, block = Block, origin = Block, chain = Chain}};
                {error, Reason} ->
                    lib_wasm64_error:answer(<<"snapshot/data">>, Reason)
            end;
        Refused ->
            Refused
    end.

%% @doc The process as a checkpoint of a CU: a message that has what its data item has.
-spec checkpoint(process(), map()) -> {ok, map()} | refused().
checkpoint(#process{slot = Slot, block = Block, chain = Chain, party = Party, module = Module, epoch = Epoch} = Process, Opts) ->
    case memory(Process, Opts) of
        {ok, Memory} ->
            Known = #{
                process => maps:get(id, Party), module => maps:get(id, Module), slot => Slot, block => Block, chain => Chain, epoch => Epoch
            },
            {ok, dev_genesis_wasm64_checkpoint:message(Memory, Known)};
        Refused ->
            Refused
    end.

%% @doc The linear memory of a process.
-spec memory(process(), map()) -> {ok, binary()} | refused().
memory(#process{state = none}, _Opts) ->
    refused(<<"state">>, 404, <<"the process has no memory yet">>);
memory(#process{state = State}, Opts) ->
    case hb_wasm64:read_memory(State, dev_genesis_wasm64_node:time_bound(Opts)) of
        {ok, Memory} -> {ok, Memory};
        {error, Reason} -> failed(Reason)
    end.

%% @doc Frees the memory of a process.
-spec stop(process()) -> ok.
stop(#process{state = none}) -> ok;
stop(#process{state = State}) -> hb_wasm64:stop(State).

failed(Reason) ->
    {_, Message} = lib_wasm64_error:answer(<<"state">>, Reason),
    {failure, Message}.

refused(Key, Status, Text) -> lib_wasm64_error:fault(Key, Status, Text).
