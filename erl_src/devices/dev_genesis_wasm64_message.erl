%% @doc What a process of legacynet is told of a message: the JSON of AO's compute unit ("CU"), with its keys in its order.
%%
%% A message comes as the node sends it to a CU: `#{<<"message">> => Message, <<"assignment">> => Assignment}', each with `Id', `Owner',
%% `Tags' (a list of `name' and `value') and more, as `~json-iface@1.0' makes them.
-module(dev_genesis_wasm64_message).

-export([scheduled/2, assigned/3, identity/1, process/2, cron/3, dry_run/3, json/1, environment/2, tag/2, tags/1, field/2]).
-export_type([struct/0, message/0, scheduled/0, party/0]).

-type struct() :: #{binary() => term()}.
-type message() :: [{Key :: binary(), dev_genesis_wasm64_json:json()}].
%% The fields of a message in the order in which a process finds them.
-type scheduled() :: #{
    message := message(),
    slot := integer(),
    assignment := binary() | undefined,
    hash_chain := binary() | undefined,
    is_assignment := boolean(),
    exclude := [binary()],
    skip := boolean(),
    original_assignment := binary() | undefined
}.
%% A message, and what its assignment says of it beside that.
-type party() :: #{id := binary(), owner := binary(), tags := [{binary(), binary()}], atom() => term()}.
%% A process or a module, as its messages name it.

-define(NUMBERS, [<<"Epoch">>, <<"Nonce">>, <<"Timestamp">>, <<"Block-Height">>]).

%% @doc A message with its assignment. The process is the target, whatever the message says. An error names what is missing.
-spec scheduled(struct(), ProcessId :: binary()) -> {ok, scheduled()} | {error, binary()}.
scheduled(#{<<"message">> := Message, <<"assignment">> := Assignment}, ProcessId) ->
    Said = tags(Assignment),
    Numbers = [{Key, whole(number_of(Key, Said))} || Key <- ?NUMBERS],
    case [Key || {Key, error} <- Numbers] of
        [] ->
            {ok, scheduled(Message, Assignment, Said, Numbers, ProcessId)};
        [Key | _] ->
            {error, <<"the assignment has no ", Key/binary>>}
    end.

%% A slot is what older schedulers call a nonce.
number_of(<<"Nonce">>, Said) ->
    case tag(<<"Slot">>, Said) of
        Empty when Empty =:= undefined; Empty =:= <<>> -> tag(<<"Nonce">>, Said);
        Slot -> Slot
    end;
number_of(Key, Said) ->
    tag(Key, Said).

scheduled(Message, Assignment, Said, Numbers, ProcessId) ->
    IsAssignment = maps:size(Message) =:= 1 orelse field(<<"Owner">>, Message) =:= undefined,
    Target =
        case tag(<<"Process">>, Said) of
            undefined -> ProcessId;
            Process -> Process
        end,
    HashChain = tag(<<"Hash-Chain">>, Said),
    Fields =
        case IsAssignment of
            true -> [{<<"Id">>, field(<<"Id">>, Message)}];
            false -> said_by(Message, Target)
        end,
    #{
        message => Fields ++ Numbers ++ [{<<"Hash-Chain">>, HashChain}, {<<"Cron">>, false}, {<<"Read-Only">>, false}],
        slot => proplists:get_value(<<"Nonce">>, Numbers),
        assignment => field(<<"Id">>, Assignment),
        hash_chain => HashChain,
        is_assignment => IsAssignment,
        exclude => [Value || {<<"Exclude">>, Value} <- Said],
        skip => tag(<<"Skip">>, Said) =:= <<"true">>,
        original_assignment => tag(<<"Original-Assignment-Id">>, Said)
    }.

%% What its sender has said.
said_by(Message, Target) ->
    Owner = field(<<"Owner">>, Message),
    Tags = tags(Message),
    [
        {<<"Id">>, field(<<"Id">>, Message)},
        {<<"Signature">>, field(<<"Signature">>, Message)},
        {<<"Data">>, field(<<"Data">>, Message)},
        {<<"Owner">>, Owner},
        {<<"Target">>, Target},
        {<<"Anchor">>, field(<<"Anchor">>, Message)},
        {<<"From">>, from(Tags, Owner)},
        {<<"Forwarded-By">>, forwarded_by(Tags, Owner)},
        {<<"Tags">>, Tags}
    ].

%% @doc A message that an assignment only names, with what is found under that name, except for what the assignment excludes.
-spec assigned(struct(), message(), Exclude :: [binary()]) -> message().
assigned(Found, Message, Exclude) ->
    Owner = field(<<"Owner">>, Found),
    Tags = tags(Found),
    Target =
        case field(<<"Target">>, Found) of
            undefined -> <<>>;
            Known -> Known
        end,
    Said = [
        {<<"Id">>, field(<<"Id">>, Found)},
        {<<"Signature">>, field(<<"Signature">>, Found)},
        {<<"Data">>, field(<<"Data">>, Found)},
        {<<"Owner">>, Owner},
        {<<"Target">>, Target},
        {<<"Anchor">>, field(<<"Anchor">>, Found)},
        {<<"From">>, from(Tags, Owner)},
        {<<"Tags">>, Tags}
    ],
    Optional = [<<"Signature">>, <<"Data">>, <<"Anchor">>],
    Kept = [Field || {Key, _} = Field <- Said, not (lists:member(Key, Exclude) andalso lists:member(Key, Optional))],
    Kept ++ lists:keydelete(<<"Id">>, 1, Message).

%% @doc What a message is known by of which there may be two: an assignment by the ID of its message, and one that was pushed by what
%% it says. `none' for others, which their scheduler has looked at.
-spec identity(scheduled()) -> binary() | none.
identity(#{is_assignment := IsAssignment, message := Message}) ->
    Get = fun(Key) -> proplists:get_value(Key, Message) end,
    case {IsAssignment, Get(<<"Forwarded-By">>)} of
        {true, _} ->
            hash([<<"assignment">>, Get(<<"Id">>)]);
        {false, Nobody} when Nobody =:= undefined; Nobody =:= <<>> ->
            none;
        {false, _} ->
            Tags = lists:append([[Name, Value] || {Name, Value} <- Get(<<"Tags">>)]),
            hash([<<"pushed">>, Get(<<"Data">>), Get(<<"Target">>), Get(<<"Anchor">>) | Tags])
    end.

hash(Parts) ->
    Texts = [case Part of undefined -> <<>>; null -> <<>>; _ -> text(Part) end || Part <- Parts],
    binary:part(crypto:hash(sha256, [[<<(byte_size(Text)):64>>, Text] || Text <- Texts]), 0, 16).

%% @doc The message that stands for a process before the first slot of one whose schedule does not begin with it.
-spec process(party(), Data :: term()) -> message().
process(#{id := Id, owner := Owner, tags := Tags} = Process, Data) ->
    [
        {<<"Id">>, Id},
        {<<"Signature">>, maps:get(signature, Process, undefined)},
        {<<"Data">>, Data},
        {<<"Owner">>, Owner},
        {<<"Target">>, Id},
        {<<"Anchor">>, maps:get(anchor, Process, undefined)},
        {<<"From">>, from(Tags, Owner)},
        {<<"Tags">>, Tags},
        {<<"Timestamp">>, maps:get(timestamp, Process, undefined)},
        {<<"Block-Height">>, maps:get(height, Process, undefined)},
        {<<"Cron">>, false},
        {<<"Read-Only">>, false}
    ].

%% @doc The message that an interval of a process brings.
-spec cron(party(), Tags :: [{binary(), binary()}], {Timestamp :: integer(), Height :: integer()}) -> message().
cron(#{id := Id, owner := Owner}, Tags, {Timestamp, Height}) ->
    [
        {<<"Owner">>, Owner},
        {<<"Target">>, Id},
        {<<"From">>, Owner},
        {<<"Tags">>, Tags},
        {<<"Timestamp">>, Timestamp},
        {<<"Block-Height">>, Height},
        {<<"Cron">>, true},
        {<<"Read-Only">>, false}
    ].

%% @doc A message that leaves no trace. What it does not say is as in the last message of the process.
-spec dry_run(struct(), ProcessId :: binary(), {Timestamp :: term(), Height :: term()}) -> message().
dry_run(Message, ProcessId, {Timestamp, Height}) ->
    Owner = given(<<"Owner">>, Message, <<"1234">>),
    Tags = tags(Message),
    [
        {<<"Id">>, field(<<"Id">>, Message)},
        {<<"Signature">>, field(<<"Signature">>, Message)},
        {<<"Data">>, field(<<"Data">>, Message)},
        {<<"Owner">>, Owner},
        {<<"Target">>, given(<<"Target">>, Message, ProcessId)},
        {<<"Anchor">>, field(<<"Anchor">>, Message)},
        {<<"From">>, from(Tags, Owner)},
        {<<"Tags">>, Tags},
        {<<"Timestamp">>, given(<<"Timestamp">>, Message, Timestamp)},
        {<<"Block-Height">>, given(<<"Block-Height">>, Message, Height)},
        {<<"Cron">>, false},
        {<<"Read-Only">>, true}
    ].

given(Key, Message, Default) ->
    case field(Key, Message) of
        Empty when Empty =:= undefined; Empty =:= null; Empty =:= <<>> -> Default;
        Value -> Value
    end.

%% @doc A message as its process finds it. Tags that would stand for its sender are not there.
-spec json(message()) -> binary().
json(Message) ->
    Members = [{Key, member(Key, Value)} || {Key, Value} <- Message, Value =/= undefined],
    iolist_to_binary(dev_genesis_wasm64_json:encode({Members})).

member(<<"Tags">>, Tags) -> named([Tag || {Name, _} = Tag <- Tags, Name =/= <<"From">>, Name =/= <<"Owner">>]);
member(_Key, Text) when is_binary(Text) -> dev_genesis_wasm64_json:text(Text);
member(_Key, Value) -> Value.

named(Tags) ->
    [
        {[{<<"name">>, dev_genesis_wasm64_json:text(Name)}, {<<"value">>, dev_genesis_wasm64_json:text(Value)}]}
     || {Name, Value} <- Tags
    ].

%% @doc What a process finds of itself and its module.
-spec environment(Process :: party(), Module :: party()) -> binary().
environment(Process, Module) ->
    iolist_to_binary(dev_genesis_wasm64_json:encode({[{<<"Process">>, self_of(Process)}, {<<"Module">>, self_of(Module)}]})).

self_of(#{id := Id, owner := Owner, tags := Tags}) ->
    {[{<<"Id">>, Id}, {<<"Owner">>, Owner}, {<<"Tags">>, named(Tags)}]}.

%% A process that a message was forwarded for is its sender.
from(Tags, Owner) ->
    case tag(<<"From-Process">>, Tags) of
        Empty when Empty =:= undefined; Empty =:= <<>> -> Owner;
        Process -> Process
    end.

forwarded_by(Tags, Owner) ->
    case tag(<<"From-Process">>, Tags) of
        undefined -> undefined;
        _ -> Owner
    end.

%% @doc The value of the first tag of a name.
-spec tag(binary(), [{binary(), binary()}]) -> binary() | undefined.
tag(Name, Tags) -> proplists:get_value(Name, Tags).

%% @doc The tags of a message. Values are strings, whatever they were.
-spec tags(struct()) -> [{binary(), binary()}].
tags(Message) ->
    [{Name, text(Value)} || #{<<"name">> := Name, <<"value">> := Value} <- list(field(<<"Tags">>, Message))].

list(List) when is_list(List) -> List;
list(_Other) -> [].

text(Value) when is_binary(Value) -> Value;
text(Value) when is_list(Value) -> iolist_to_binary(lists:join($,, [text(Item) || Item <- Value]));
text(undefined) -> <<"undefined">>;
text(Value) when is_map(Value); is_tuple(Value) -> <<"[object Object]">>;
text(Value) -> iolist_to_binary(dev_genesis_wasm64_json:encode(Value)).

%% @doc A field of a message, `undefined' where there is none.
-spec field(binary(), struct()) -> term().
field(Key, Message) -> maps:get(Key, Message, undefined).

%% The digits at the beginning, as `parseInt' has them.
whole(undefined) ->
    error;
whole(Text) ->
    case string:to_integer(string:trim(Text, leading)) of
        {Number, _} when is_integer(Number) -> Number;
        _ -> error
    end.
