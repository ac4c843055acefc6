%% @doc One message evaluated, as AO's compute unit ("CU") does it with `@permaweb/ao-loader': what is the same in JavaScript and here,
%% byte for byte, is checked by `make parity'.
%%
%% The CU carries nothing but the linear memory of a process from one slot to the next: each slot is evaluated in a fresh instance,
%% so that globals, open files and the clock are fresh, too. Messages of one slot (the process itself, those of intervals) share an
%% instance until one of them ends in an error. A message that ends in an error, or could not have memory for its data, leaves the
%% memory as it was.
-module(dev_genesis_wasm64_evaluate).

-export([slot/3, new/2, from_memory/3, start_options/1, nothing/0, skipped/0]).
-export_type([state/0, settings/0, outcome/0]).

-type state() :: hb_wasm64:handle() | none.
%% The instance with a process's memory; `none' before the first message that has left one.
-type settings() :: #{
    image := binary(),
    environment := binary(),
    format := binary(),
    gas => non_neg_integer(),
    %% Its Memory-Limit, in bytes.
    memory => pos_integer(),
    timeout => timeout(),
    intercept => [binary()],
    imports => {fun((term(), hb_wasm64:request(), term()) -> term()), State :: term(), User :: term()}
}.
-type outcome() :: #{json := binary(), result := dev_genesis_wasm64_json:json(), error := boolean(), text => binary()}.
%% The answer of a message: the text that the CU sends, the same as a term, whether it has an error, and where that is one of
%% JavaScript's, which has no text there, what has happened.

%% Bytes of an answer. As terms it takes many times as much.
-define(MAX_ANSWER, (128 bsl 20)).

%% @doc How an instance of a process is started: AO's loader shows 10,000 to the first look at its clock, which is often its own, and one
%% more to each that follows.
-spec start_options(settings()) -> hb_wasm64_options:start().
start_options(Settings) ->
    (waits(Settings))#{time => {first_look(Settings), 1}}.

%% The loader has made three links to the terminal before, in the later formats also `/data', and looked for each.
first_look(#{format := Format}) ->
    case Format of
        <<"wasm32-unknown-emscripten", N>> when N =:= $2; N =:= $3 -> 10003;
        <<"wasm32-unknown-emscripten">> -> 10003;
        _ -> 10004
    end.

%% @doc An instance of a process that has no memory yet.
-spec new(settings(), map()) -> {ok, hb_wasm64:handle()} | {error, hb_wasm64:reason()}.
new(#{image := Image} = Settings, Options) ->
    hb_wasm64:start(Image, maps:merge(start_options(Settings), Options)).

%% @doc A state with this linear memory.
-spec from_memory(settings(), Memory :: binary(), map()) -> {ok, state()} | {error, hb_wasm64:reason()}.
from_memory(Settings, Memory, Options) ->
    new(Settings, Options#{snapshot => {raw, Memory, none}}).

%% @doc Evaluates the messages of a slot, one after the other: the state after them, and their outcomes. `failure' is what this node
%% could not do (time, memory of the host): nothing has happened then.
-spec slot(state(), Messages :: [binary()], settings()) ->
    {ok, state(), [outcome()]} | {failure, hb_wasm64:reason()}.
slot(State, Messages, Settings) ->
    slot(State, none, Messages, Settings, []).

slot(State, _Instance, [], _Settings, Outcomes) ->
    {ok, State, lists:reverse(Outcomes)};
slot(State, Instance, [Message | Messages], Settings, Outcomes) ->
    case instance(State, Instance, Settings) of
        {ok, Working} ->
            case message(Working, Message, Settings) of
                {changed, Outcome} -> slot(Working, Working, Messages, Settings, [Outcome | Outcomes]);
                {kept, Outcome} -> slot(State, none, Messages, Settings, [Outcome | Outcomes]);
                {failure, _} = Failure -> Failure
            end;
        {error, Reason} ->
            {failure, Reason}
    end.

%% What the next message runs in. The state is kept for when it fails.
instance(none, none, Settings) -> new(Settings, #{});
instance(State, none, Settings) -> hb_wasm64:renew(State, start_options(Settings));
instance(State, State, Settings) -> hb_wasm64:fork(State, waits(Settings)).

message(Instance, Message, Settings) ->
    case handle(Instance, Message, Settings) of
        {ok, Text, Gas} -> answered(dev_genesis_wasm64_json:decode(Text), Gas);
        {error, Reason} -> ended(Reason)
    end.

%% The texts lie on the guest's own stack, as Emscripten's `ccall' puts them: from other addresses Lua would have other hashes. All the
%% calls of a message share the gas of one.
handle(Instance, Message, #{environment := Environment} = Settings) ->
    maybe_ok(stack(Instance, save, [], true, Settings), fun([Stack], Gas0) ->
        maybe_ok(push(Instance, [Message, Environment], Settings, [], Gas0), fun(Pointers, Gas1) ->
            maybe_ok(call(Instance, Pointers, Settings), fun(Results, Gas2) ->
                maybe_ok(stack(Instance, restore, [Stack], false, Settings), fun(_, Gas3) ->
                    answer(Instance, Results, Gas1 + Gas2 + Gas3, Settings)
                end)
            end)
        end)
    end).

maybe_ok({ok, Value, Gas}, Next) -> Next(Value, Gas);
maybe_ok({error, _} = Error, _Next) -> Error.

answer(Instance, [Pointer], Gas, Settings) ->
    case hb_wasm64:read_string(Instance, Pointer, (waits(Settings))#{max => ?MAX_ANSWER}) of
        {ok, Text} -> {ok, Text, Gas};
        {error, _} = Error -> Error
    end;
answer(_Instance, _Other, _Gas, _Settings) ->
    {error, {import_failed, <<"`handle' has no result">>}}.

waits(Settings) -> maps:with([timeout], Settings).

call(Instance, Pointers, #{imports := {Fun, State, User}} = Settings) ->
    Options = (options(false, Settings))#{user => User, intercept => maps:get(intercept, Settings, [])},
    case hb_wasm64:call(Instance, <<"handle">>, Pointers, Fun, State, Options) of
        {ok, Results, _State, Used} -> {ok, Results, gas(Used)};
        {error, Reason, _State, _Used} -> {error, Reason};
        {error, Reason, _State} -> {error, Reason}
    end;
call(Instance, Pointers, Settings) ->
    used(hb_wasm64:call(Instance, <<"handle">>, Pointers, options(false, Settings))).

options(Refill, Settings) -> (maps:with([timeout, gas], Settings))#{usage => true, refill => Refill}.

used({ok, Results, Used}) -> {ok, Results, gas(Used)};
used({error, Reason, _Used}) -> {error, Reason};
used({error, Reason}) -> {error, Reason}.

gas(#{gas_used := Gas}) -> Gas;
gas(#{}) -> 0.

push(_Instance, [], _Settings, Pointers, Gas) ->
    {ok, lists:reverse(Pointers), Gas};
push(Instance, [Text | Texts], Settings, Pointers, Gas) ->
    maybe_ok(stack(Instance, alloc, [room(Text, Settings)], false, Settings), fun([Pointer], More) ->
        case hb_wasm64:write(Instance, Pointer, <<Text/binary, 0>>, waits(Settings)) of
            ok -> push(Instance, Texts, Settings, [Pointer | Pointers], Gas + More);
            {error, _} = Error -> Error
        end
    end).

%% The loaders of the first two formats give texts the room that they may take at most.
room(Text, #{format := Format}) ->
    case Format of
        <<"wasm32-unknown-emscripten", Version/binary>> when Version =:= <<>>; Version =:= <<"2">> ->
            byte_size(unicode:characters_to_binary(Text, utf8, utf16)) * 2 + 1;
        _ ->
            byte_size(Text) + 1
    end.

%% The functions of the stack have older names, too.
stack(Instance, Function, Args, Refill, Settings) ->
    [Name | Older] =
        case Function of
            save -> [<<"emscripten_stack_get_current">>, <<"stackSave">>];
            alloc -> [<<"_emscripten_stack_alloc">>, <<"stackAlloc">>];
            restore -> [<<"_emscripten_stack_restore">>, <<"stackRestore">>]
        end,
    Options = options(Refill, Settings),
    case used(hb_wasm64:call(Instance, Name, Args, Options)) of
        {error, {unknown_function, _}} -> used(hb_wasm64:call(Instance, hd(Older), Args, Options));
        Result -> Result
    end.

%%% What the CU makes of it

answered({ok, {_} = Answer}, Gas) ->
    Response = dev_genesis_wasm64_json:find(<<"response">>, Answer),
    case truth(dev_genesis_wasm64_json:find(<<"ok">>, Answer)) of
        true when Response =:= undefined; Response =:= null ->
            thrown({[]}, <<"the answer has no response">>);
        true ->
            responded(Response, Gas);
        false ->
            {kept, outcome({[]}, none, Response)}
    end;
answered(_Other, _Gas) ->
    thrown({[]}, <<"the answer is no JSON object">>).

responded(Response, Gas) ->
    Error = dev_genesis_wasm64_json:find(<<"Error">>, Response),
    Outcome = outcome(Response, Gas, Error),
    case truth(Error) orelse lacks_memory(dev_genesis_wasm64_json:find(<<"Output">>, Response)) of
        true -> {kept, Outcome};
        false -> {changed, Outcome}
    end.

%% What older modules say where they could not have memory.
lacks_memory(Output) ->
    Text =
        case Output of
            {_} -> dev_genesis_wasm64_json:find(<<"output">>, dev_genesis_wasm64_json:find(<<"data">>, Output));
            _ -> Output
        end,
    Words = <<"not enough memory for buffer allocation">>,
    is_binary(Text) andalso
        binary:longest_common_suffix([Text, Words]) =:= byte_size(Words).

%% An error of JavaScript, of which nothing is left as JSON.
thrown(Error, Text) ->
    {kept, (outcome({[]}, none, Error))#{text => Text}}.

%% A call that ended without an answer.
ended({exit, Status}) ->
    Text = iolist_to_binary(io_lib:format("Program terminated with exit(~b)", [Status])),
    thrown({[{<<"name">>, <<"ExitStatus">>}, {<<"message">>, Text}, {<<"status">>, Status}]}, Text);
ended({trap, #{code := out_of_host_memory}} = Reason) ->
    {failure, Reason};
ended({trap, #{message := Text}}) ->
    thrown({[]}, Text);
ended({limit, gas}) ->
    thrown({[]}, <<"out of gas!">>);
ended({exception, _} = Reason) ->
    thrown({[]}, text(Reason));
%% The texts did not fit on the stack, or there is no answer at the place that is told.
ended({out_of_bounds, _} = Reason) ->
    thrown({[]}, text(Reason));
ended({import_failed, {thrown, Value}}) ->
    thrown(Value, text(Value));
ended({unknown_function, _} = Reason) ->
    thrown({[]}, text(Reason));
ended(Reason) ->
    {failure, Reason}.

text(Reason) -> iolist_to_binary(io_lib:format("~0P", [Reason, 20])).

outcome(Response, Gas, Error) ->
    Get = fun(Key, Default) ->
        case dev_genesis_wasm64_json:find(Key, Response) of
            Empty when Empty =:= undefined; Empty =:= null -> Default;
            Value -> Value
        end
    end,
    Members =
        [{Key, Get(Key, [])} || Key <- [<<"Messages">>, <<"Assignments">>, <<"Spawns">>]] ++
            [{<<"Output">>, output(Get(<<"Output">>, <<>>))}, {<<"Patches">>, Get(<<"Patches">>, [])}] ++
            [{<<"GasUsed">>, Gas} || Gas =/= none] ++
            [{<<"Error">>, Error} || Error =/= undefined, Error =/= null],
    Result = {Members},
    #{json => iolist_to_binary(dev_genesis_wasm64_json:encode(Result)), result => Result, error => truth(Error)}.

output(Number) when is_number(Number) -> iolist_to_binary(dev_genesis_wasm64_json:encode(Number));
output(Output) -> Output.

%% What JavaScript takes for true.
truth(Value) -> not lists:member(Value, [undefined, null, false, 0, <<>>]).

%% @doc The outcome of a slot in which nothing is evaluated, as its message has been before.
-spec nothing() -> outcome().
nothing() -> outcome({[]}, none, undefined).

%% @doc The outcome of a slot that the node has marked so.
-spec skipped() -> outcome().
skipped() ->
    Output = {[{<<"data">>, <<>>}, {<<"prompt">>, <<>>}, {<<"print">>, false}]},
    outcome({[{<<"Output">>, Output}]}, 0, undefined).
