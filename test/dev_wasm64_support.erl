%% Support for the tests of dev_wasm64: messages, and what there is to see of
%% them without printing an image.
-module(dev_wasm64_support).

-export([on_both/2, on_edge/2, quiet/1]).
-export([base/1, base/2, started/1, started/2, reread/1]).
-export([ok/1, compute/3, compute/4, opts/1, result/1, result/2, get/2, brief/1]).
-export([instance/1, instance/2, is_instance_of/2, instances_of/1, is_gone/1]).
-export([importer/2, library/1, answer/2]).

%% A test on the behaviour of each branch that is played.
on_both(Title, Test) -> [on(Branch, Title, Test) || Branch <- ao_core:branches()].

%% Where messages come out of the cache as links.
on_edge(Title, Test) -> [on(Branch, Title, Test) || Branch <- ao_core:branches(), Branch =/= main].

on(Branch, Title, Test) ->
    Name = lists:concat([Title, ", ", Branch]),
    {Name, {timeout, 300, fun() -> ao_core:with_branch(Branch, fun() -> quiet(Test) end) end}}.

%% Without what the device logs.
quiet(Fun) ->
    Modules = [dev_wasm64_image, dev_wasm64_import],
    ok = logger:set_module_level(Modules, none),
    try
        Fun()
    after
        logger:unset_module_level(Modules)
    end.

%% A message with an image, of test/guests where it has a name.
base(Guest) -> base(Guest, #{}).

base(Guest, Keys) when is_list(Guest) -> base(hb_support:guest(Guest), Keys);
base(Image, Keys) -> maps:merge(#{<<"device">> => <<"wasm-64@1.0">>, <<"image">> => Image}, Keys).

%% The same after its init.
started(Guest) -> started(Guest, #{}).

started(Guest, Keys) -> ok(hb_ao:resolve(base(Guest, Keys), <<"init">>, #{})).

%% A message as it comes out of the cache.
reread(Message) ->
    {ok, ID} = hb_cache:write(Message, #{}),
    %% A real store may write a little later.
    true = hb_support:wait_until(fun() -> hb_cache:read(ID, #{}) =/= not_found end),
    {ok, Read} = hb_cache:read(ID, #{}),
    Read.

%% The message of an answer. What is raised where it is none holds no image.
ok({ok, Message}) -> Message;
ok(Other) -> error({not_ok, brief(Other)}).

compute(Base, Function, Parameters) -> compute(Base, Function, Parameters, #{}).

compute(Base, Function, Parameters, Opts) ->
    Request = #{<<"path">> => <<"compute">>, <<"function">> => Function, <<"parameters">> => Parameters},
    hb_ao:resolve(Base, Request, opts(Opts)).

%% Options by the names that they have in the kernel.
opts(Opts) -> ao_core:options(Opts).

%% Type and output of a compute. A kernel that loads packages is answered an error where the guest is at fault, others a result.
result(Answer) -> result([], Answer).

result(Prefix, {ok, Message}) ->
    [get([<<"results">>] ++ Prefix ++ [Key], Message) || Key <- [<<"type">>, <<"output">>]];
result(_Prefix, {error, #{<<"status">> := 400, <<"key">> := <<"function">>, <<"body">> := <<"function: ", Text/binary>>}}) ->
    [error, Text];
result(_Prefix, Other) ->
    brief(Other).

%% The value at a path, whatever the message's device.
get(Path, Message) -> hb_ao:get(Path, {as, <<"message@1.0">>, Message}, opts(#{hashpath => ignore})).

%% A term without images and other large binaries in it, for people to read.
brief(Large) when is_binary(Large), byte_size(Large) > 500 -> {bytes, byte_size(Large)};
brief(Map) when is_map(Map) -> maps:map(fun(_, Value) -> brief(Value) end, Map);
brief([First | Rest]) -> [brief(First) | brief(Rest)];
brief(Tuple) when is_tuple(Tuple) -> list_to_tuple(brief(tuple_to_list(Tuple)));
brief(Other) -> Other.

instance(Message) -> instance(<<"instance">>, Message).

instance(Path, Message) -> hb_private:get(Path, Message, #{}).

%% Whether a handle is one of a living instance of an image.
is_instance_of(Image, Handle) ->
    {ok, #{image := Hash}} = hb_wasm64:describe(Handle),
    Hash =:= crypto:hash(sha256, Image).

%% Runs Fun in a process of its own and gives the instances that were started
%% meanwhile, as bytes: those keep none of them alive.
instances_of(Fun) ->
    Test = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        receive
            go -> exit({result, Fun()})
        end
    end),
    1 = erlang:trace(Pid, true, [call, {tracer, Test}]),
    _ = erlang:trace_pattern({hb_wasm64_nif, new_instance, 1}, [{'_', [], [{return_trace}]}], [global]),
    Pid ! go,
    Result =
        receive
            {'DOWN', Monitor, process, Pid, {result, Answer}} -> Answer;
            {'DOWN', Monitor, process, Pid, Reason} -> {raised, Reason}
        end,
    Delivered = erlang:trace_delivered(Pid),
    receive
        {trace_delivered, Pid, Delivered} -> ok
    end,
    _ = erlang:trace_pattern({hb_wasm64_nif, new_instance, 1}, false, [global]),
    {Result, traced(Pid)}.

traced(Pid) ->
    receive
        {trace, Pid, return_from, {hb_wasm64_nif, new_instance, 1}, Handle} -> [term_to_binary(Handle) | traced(Pid)];
        {trace, Pid, call, _} -> traced(Pid)
    after 0 -> []
    end.

%% Whether an instance of instances_of/1 is no more, soon.
is_gone(Bytes) ->
    IsGone = fun() -> element(1, hb_wasm64:status(binary_to_term(Bytes))) =:= error end,
    IsGone() orelse hb_support:wait_until(fun() ->
        erlang:garbage_collect(),
        IsGone()
    end).

%% An image whose `go ()i' calls an import with these names, of the same type.
importer(Module, Func) ->
    Name = fun(Text) -> [byte_size(Text), Text] end,
    Section = fun(ID, Content) -> [ID, iolist_size(Content), Content] end,
    iolist_to_binary([
        <<0, "asm", 1:32/little>>,
        Section(1, [1, 16#60, 0, 1, 16#7f]),
        Section(2, [1, Name(Module), Name(Func), 0, 0]),
        Section(3, [1, 0]),
        Section(7, [1, Name(<<"go">>), 0, 1]),
        Section(10, [1, 4, 0, 16#10, 0, 16#0b])
    ]).

%% A library whose functions are Funs of (Base, Request, Opts).
library(Functions) -> #{<<"device">> => Functions}.

%% What an import device answers: the state it was called with, and results.
answer(#{<<"state">> := State}, Results) -> {ok, #{<<"state">> => State, <<"results">> => Results}}.
