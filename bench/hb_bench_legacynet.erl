%% @doc Rows of legacynet's processes: what a message costs beside the calls of its guest.
-module(hb_bench_legacynet).

-export([rows/0]).

-import(hb_bench_row, [once/2, timed/1]).

-spec rows() -> [hb_bench_row:row()].
rows() ->
    [
        of_aos(#{
            name => "legacynet",
            title => "a message to AOS, evaluated as in a compute unit",
            against => "the guest's calls alone, instance kept",
            turn => fun(#{state := State, settings := Settings}) ->
                fun() -> evaluated(State, message(<<"return 1 + 1">>), Settings) end
            end,
            target => {times, 1.5}
        }),
        of_aos(#{
            name => "legacynet-error",
            title => "the same that fails, and is undone",
            against => "the guest's calls alone, of one that does not",
            turn => fun(#{state := State, settings := Settings}) ->
                fun() -> evaluated(State, message(<<"error('x')">>), Settings) end
            end,
            target => {more, 1_000_000}
        }),
        #{
            name => "legacynet-own",
            title => "the device's own part of a slot, a guest that only answers",
            against => "none",
            turns => 100,
            turn => fun own/1,
            tell => fun(_) -> none end,
            target => {at_most, 4_000_000}
        }
    ].

of_aos(#{turn := Turn} = Row) ->
    Row#{
        turns => 30,
        needs => images,
        turn := fun(Context) -> Turn(aos(Context)) end,
        reference => fun(Context) -> calls(aos(Context)) end,
        tell => fun(_) -> none end
    }.

%% A process of AOS that has been started and has some messages behind it.
aos(#{images := Images}) ->
    once({?MODULE, aos}, fun() ->
        {ok, Image} = file:read_file(filename:join(Images, "aos2_0_6.wasm")),
        Party = #{id => id($P), owner => id($O), tags => [{<<"Name">>, <<"bench">>}, {<<"Authority">>, id($O)}]},
        Settings = #{
            image => Image,
            format => <<"wasm64-unknown-emscripten-draft_2024_02_15">>,
            environment => dev_genesis_wasm64_message:environment(Party, Party)
        },
        Process = [{<<"Type">>, <<"Process">>}, {<<"Module">>, id($M)}],
        Messages = [message(<<>>, Process) | [message(<<"return ", (integer_to_binary(N))/binary>>) || N <- lists:seq(1, 20)]],
        State = lists:foldl(fun(Message, Before) -> evaluated(Before, Message, Settings) end, none, Messages),
        #{state => State, settings => Settings}
    end).

id(Char) -> binary:copy(<<Char>>, 43).

message(Code) -> message(Code, [{<<"Action">>, <<"Eval">>}, {<<"Module">>, id($M)}]).

message(Code, Tags) ->
    dev_genesis_wasm64_message:json([
        {<<"Id">>, id($I)},
        {<<"Data">>, Code},
        {<<"Owner">>, id($O)},
        {<<"Target">>, id($P)},
        {<<"From">>, id($O)},
        {<<"Tags">>, Tags},
        {<<"Epoch">>, 0},
        {<<"Nonce">>, 1},
        {<<"Timestamp">>, 1_700_000_000_000},
        {<<"Block-Height">>, 1_400_000},
        {<<"Cron">>, false},
        {<<"Read-Only">>, false}
    ]).

evaluated(State, Message, Settings) ->
    {ok, After, [_Outcome]} = dev_genesis_wasm64_evaluate:slot(State, [Message], Settings),
    After.

%% The same message in an instance that is kept: the texts on the stack, the call, and the answer read.
calls(#{state := State, settings := #{environment := Environment} = Settings}) ->
    {ok, Instance} = hb_wasm64:renew(State, dev_genesis_wasm64_evaluate:start_options(Settings)),
    Message = message(<<"return 1 + 1">>),
    timed(fun() ->
        {ok, [Stack]} = hb_wasm64:call(Instance, <<"emscripten_stack_get_current">>, []),
        Pointers = [
            begin
                {ok, [Pointer]} = hb_wasm64:call(Instance, <<"_emscripten_stack_alloc">>, [byte_size(Text) + 1]),
                ok = hb_wasm64:write(Instance, Pointer, <<Text/binary, 0>>),
                Pointer
            end
         || Text <- [Message, Environment]
        ],
        {ok, [Answer]} = hb_wasm64:call(Instance, <<"handle">>, Pointers),
        {ok, _} = hb_wasm64:read_string(Instance, Answer),
        {ok, []} = hb_wasm64:call(Instance, <<"_emscripten_stack_restore">>, [Stack]),
        none
    end).

%% A slot through the device on the small AO-Core of the tests, with a guest of a few instructions.
own(#{guests := Guests}) ->
    {ok, Image} = file:read_file(filename:join(Guests, "legacynet.wasm")),
    Module = #{<<"data">> => Image, <<"signed-by">> => id($O), <<"original-tags">> => named(module_tags())},
    {ok, Id} = hb_cache:write(Module, #{}),
    Tags = [{<<"Type">>, <<"Process">>}, {<<"Module">>, Id}],
    Process = #{<<"signed-by">> => id($O), <<"original-tags">> => named(Tags), <<"data">> => <<>>},
    Base = #{<<"device">> => <<"genesis-wasm@1.0">>, <<"process">> => Process},
    {ok, First} = dev_genesis_wasm64:compute(Base, assignment(0), #{}),
    fun() -> {ok, _} = dev_genesis_wasm64:compute(First, assignment(1), #{}) end.

named(Tags) -> [#{<<"name">> => Name, <<"value">> => Value} || {Name, Value} <- Tags].

module_tags() ->
    [
        {<<"Module-Format">>, <<"wasm32-unknown-emscripten4">>}, {<<"Input-Encoding">>, <<"JSON-1">>},
        {<<"Output-Encoding">>, <<"JSON-1">>}, {<<"Memory-Limit">>, <<"1-gb">>}, {<<"Compute-Limit">>, <<"9000000000000">>}
    ].

assignment(Slot) ->
    Body = #{<<"signed-by">> => id($O), <<"original-tags">> => named([{<<"Type">>, <<"Process">>}]), <<"data">> => <<"return 1">>},
    #{
        <<"slot">> => Slot, <<"epoch">> => 0, <<"timestamp">> => 1_700_000_000_000 + Slot, <<"block-height">> => 1_400_000,
        <<"process">> => id($P), <<"hash-chain">> => id($H), <<"body">> => Body
    }.
