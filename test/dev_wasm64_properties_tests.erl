%% Whatever stands in a message: dev_wasm64 answers, and keeps nothing.
-module(dev_wasm64_properties_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, brief/1]).

-define(RUNS, 500).

%% Nonsense in the base, before there is an instance.
any_base_is_started_or_refused_test_() ->
    property(?FUNCTION_NAME, fun base/0, fun(Base) -> run(Base, [#{<<"path">> => <<"init">>}]) end).

%% Nonsense in the base and in what is asked of it, one request after the other.
any_request_is_answered_test_() ->
    property(?FUNCTION_NAME, fun() -> proper_types:tuple([base(), requests()]) end, fun({Base, Asked}) ->
        run(maps:merge(#{<<"image">> => {guest, "imports"}}, Base), [#{<<"path">> => <<"init">>} | Asked])
    end).

%% Nonsense beside an image that is good.
any_request_to_a_living_instance_is_answered_test_() ->
    property(?FUNCTION_NAME, fun() -> proper_types:tuple([base(), requests()]) end, fun({Base, Asked}) ->
        Good = maps:without([<<"image">>, <<"input-prefix">>, <<"mode">>], Base),
        run(Good#{<<"image">> => {guest, "imports"}}, [#{<<"path">> => <<"init">>} | Asked])
    end).

%% Nonsense for a snapshot, without an init before it.
any_snapshot_is_restored_or_refused_test_() ->
    Generator = fun() -> proper_types:tuple([base(), snapshot(), request()]) end,
    property(?FUNCTION_NAME, Generator, fun({Base, Snapshot, Request}) ->
        Good = maps:without([<<"image">>, <<"input-prefix">>, <<"mode">>], Base),
        run(Good#{<<"image">> => {guest, "imports"}, <<"snapshot">> => Snapshot}, [Request])
    end).

%% Nonsense for answers of import devices.
any_answer_to_an_import_is_taken_or_refused_test_() ->
    property(?FUNCTION_NAME, fun answer/0, fun(Answer) ->
        Library = #{<<"device">> => #{add => fun() -> Answer end}},
        Base = #{<<"image">> => {guest, "imports"}, <<"stdlib">> => #{<<"env">> => Library}},
        Call = #{<<"path">> => <<"compute">>, <<"function">> => <<"call_many">>, <<"parameters">> => [2]},
        run(Base, [#{<<"path">> => <<"init">>}, Call, Call])
    end).

%%% What is asked

%% Resolves the requests, each on what the one before gave. Errors do not end it.
run(Keys, Requests) ->
    Base = filled(Keys#{<<"device">> => <<"wasm-64@1.0">>}),
    lists:foldl(
        fun
            (Request, {true, M}) ->
                case answered(M, filled(Request)) of
                    {ok, Next} -> {true, Next};
                    refused -> {true, M};
                    {unexpected, What} -> {brief({Request, What}), M}
                end;
            (_Request, Failed) ->
                Failed
        end,
        {true, Base},
        Requests
    ).

answered(M, Request) ->
    try hb_ao:resolve(M, Request, #{wasm_timeout => 60_000}) of
        {ok, Next = #{<<"device">> := <<"wasm-64@1.0">>}} -> {ok, Next};
        %% A snapshot, the answer of an import.
        {ok, #{<<"body">> := Body}} when is_binary(Body) -> refused;
        {ok, #{<<"state">> := _, <<"results">> := _}} -> refused;
        %% An import device has replaced the message.
        {ok, #{<<"results">> := #{<<"type">> := error}}} -> refused;
        {ok, #{<<"results">> := #{<<"type">> := ok}}} -> refused;
        {error, #{<<"key">> := Key, <<"status">> := Status, <<"body">> := Text}} when
            is_binary(Key), is_integer(Status), is_binary(Text)
        ->
            refused;
        Other -> {unexpected, Other}
    catch
        throw:{error, no_wasm_instance_or_snapshot} -> refused;
        Class:Reason:Stacktrace -> {unexpected, {Class, Reason, lists:sublist(Stacktrace, 6)}}
    end.

%% Images are named in what PropEr makes, so that it can show it.
filled({guest, Name}) -> hb_support:guest(Name);
filled(Map) when is_map(Map) -> maps:map(fun(_, Value) -> filled(Value) end, Map);
filled(Other) -> Other.

%%% Generators

%% Most bases have few of these keys, so that what comes after them is reached.
base() ->
    some_keys([
        {<<"image">>, proper_types:oneof([{guest, "imports"}, junk(), #{<<"body">> => {guest, "memory"}}])},
        {<<"body">>, junk()},
        {<<"mode">>, proper_types:oneof([<<"WASM">>, <<"AOT">>, junk()])},
        {<<"input-prefix">>, prefix()},
        {<<"output-prefix">>, prefix()},
        {<<"function">>, func()},
        {<<"parameters">>, parameters()},
        {<<"pass">>, proper_types:oneof([1, 2, junk()])},
        {<<"device-key">>, junk()},
        {<<"snapshot">>, snapshot()},
        {<<"stdlib">>, junk()},
        {<<"state">>, junk()},
        {<<"results">>, junk()},
        {<<"in">>, junk()},
        {<<"out">>, junk()}
    ]).

request() ->
    Paths = [<<"init">>, <<"compute">>, <<"compute">>, <<"import">>, <<"snapshot">>, <<"normalize">>, <<"terminate">>],
    Keys = some_keys([
        {<<"function">>, func()}, {<<"parameters">>, parameters()}, {<<"body">>, junk()}, {<<"module">>, junk()},
        {<<"func">>, junk()}, {<<"args">>, junk()}, {<<"func-sig">>, junk()}, {<<"mode">>, junk()}
    ]),
    from(proper_types:tuple([proper_types:elements(Paths), Keys]), fun({Path, Map}) -> Map#{<<"path">> => Path} end).

requests() -> proper_types:resize(4, proper_types:list(request())).

snapshot() ->
    proper_types:oneof([
        junk(), map([{<<"body">>, junk()}]), map([{<<"1">>, junk()}]), map([{<<"1">>, map([{<<"body">>, junk()}])}])
    ]).

func() -> proper_types:oneof([<<"call_add">>, <<"call_none">>, <<"import_then_trap">>, 0, junk()]).

parameters() -> proper_types:oneof([[1, 2], [], proper_types:list(junk()), junk()]).

prefix() -> proper_types:oneof([<<"in">>, <<"out">>, <<"in/out">>, <<"body">>, <<"results">>, <<"/">>, junk()]).

answer() ->
    Message = some_keys([{<<"results">>, proper_types:oneof([[1], junk()])}, {<<"state">>, junk()}, {<<"body">>, junk()}]),
    proper_types:oneof([
        junk(),
        proper_types:tuple([proper_types:elements([ok, error, skip, junk]), proper_types:oneof([junk(), Message, Message])])
    ]).

%% What users can put into a message.
junk() ->
    proper_types:oneof([
        proper_types:integer(), proper_types:float(), proper_types:atom(), words(), binary(), [],
        proper_types:list(plain()), numbered(), map([{word(), plain()}]), map([{word(), map([{word(), plain()}])}])
    ]).

plain() -> proper_types:oneof([proper_types:integer(), proper_types:float(), proper_types:atom(), words(), #{}, [1]]).

numbered() -> map([{<<"1">>, plain()}, {<<"2">>, plain()}]).

%% Some of the sizes of IDs, some that are no text.
binary() ->
    proper_types:oneof([
        proper_types:binary(), proper_types:binary(32), proper_types:binary(43), <<>>, <<"/">>, <<"//">>,
        <<0, "asm">>, <<0, "asm", 1:32/little>>, <<255, 254>>
    ]).

word() ->
    proper_types:elements([
        <<"a">>, <<"1">>, <<"body">>, <<"env">>, <<"add">>, <<"image">>, <<"function">>, <<"results">>, <<"in">>, <<"out">>
    ]).

words() -> proper_types:oneof([word(), <<"a/b">>, <<"in/out">>, <<"A">>, <<"call_add">>, <<"(i)i">>, <<")">>, <<"priv">>]).

%% A map with some of the keys.
some_keys(Fields) ->
    Optional = [{Key, proper_types:frequency([{3, none}, {1, proper_types:tuple([some, Type])}])} || {Key, Type} <- Fields],
    from(proper_types:fixed_list(Optional), fun(Pairs) -> maps:from_list([{Key, Value} || {Key, {some, Value}} <- Pairs]) end).

map(Fields) -> from(proper_types:fixed_list(Fields), fun maps:from_list/1).

%% What Fun makes of something generated.
from(Type, Fun) -> proper_types:bind(Type, fun(Value) -> proper_types:exactly(Fun(Value)) end, false).

%% The generator is made where it is used: copied to another process, what its parts share would be many times as large.
property(Title, Generator, Run) ->
    on_both(Title, fun() ->
        {Result, Instances} = dev_wasm64_support:instances_of(fun() ->
            Property = proper:forall(Generator(), fun(X) -> element(1, Run(X)) =:= true end),
            case proper:quickcheck(Property, [quiet, long_result, {numtests, ?RUNS}]) of
                true -> true;
                [Counterexample] -> {Counterexample, element(1, Run(Counterexample))}
            end
        end),
        ?assertEqual(true, Result),
        ?assertEqual([], [Instance || Instance <- Instances, not dev_wasm64_support:is_gone(Instance)])
    end).
