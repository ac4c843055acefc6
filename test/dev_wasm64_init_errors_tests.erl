%% What the key init of dev_wasm64 refuses: each as an error message that names
%% the key.
-module(dev_wasm64_init_errors_tests).

-export([log/2]).

-include_lib("eunit/include/eunit.hrl").
-include("dev_wasm64.hrl").

-import(dev_wasm64_support, [on_both/2, on_edge/2, quiet/1, brief/1]).

%%% What there is no image in

without_image_and_body_nothing_is_started_test_() ->
    refused(?FUNCTION_NAME, 400, <<"image">>, [#{}, #{<<"image">> => undefined_is_no_image}]).

what_is_neither_id_nor_message_nor_image_is_refused_test_() ->
    refused(?FUNCTION_NAME, 400, <<"image">>, [
        #{<<"image">> => Image}
     || Image <- [
            1, 1.5, an_atom, [hb_support:guest("numbers")], fun() -> ok end,
            %% Binaries are images, unless they have the size of an ID.
            <<>>, <<"numbers.wasm">>, <<0, "as">>
        ]
    ]).

a_body_that_is_no_binary_is_no_image_test_() ->
    refused(?FUNCTION_NAME, 400, <<"image">>, [
        #{<<"body">> => Body}
     || Body <- [1, atom, [], #{<<"body">> => hb_support:guest("numbers")}]
    ]).

a_broken_body_is_named_test_() ->
    refused(?FUNCTION_NAME, 400, <<"body">>, [#{<<"body">> => Body} || Body <- [<<"text">>, broken()]]).

an_empty_body_is_none_test_() ->
    refused(?FUNCTION_NAME, 400, <<"image">>, [#{<<"body">> => <<>>}]).

%%% IDs

an_id_that_nobody_knows_is_not_found_test_() ->
    refused(?FUNCTION_NAME, 404, <<"image">>, [
        #{<<"image">> => ID}
     || ID <- [
            hb_util:encode(crypto:hash(sha256, <<"unknown">>)),
            crypto:hash(sha256, <<"unknown">>),
            binary:copy(<<"a">>, 42),
            <<255:256>>
        ]
    ]).

%% A path of the cache is no ID, nor an image.
the_path_of_a_binary_is_no_id_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {ok, Path} = hb_cache:write(hb_support:guest("numbers"), #{}),
        ?assertMatch(<<"data/", _/binary>>, Path),
        ?assertMatch({error, #{<<"key">> := <<"image">>, <<"status">> := 400}}, init(#{<<"image">> => Path}))
    end).

%% The image may well exist: another node may read it.
a_store_that_raises_is_a_fault_of_the_node_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ID = hb_util:encode(crypto:hash(sha256, <<"unknown">>)),
        Opts = dev_wasm64_support:opts(#{store => #{<<"prefix">> => {no, directory}, <<"name">> => {no, directory}}}),
        ?assertError(_, hb_cache:read(ID, Opts)),
        [
            ?assertMatch(
                {?FAILURE, #{<<"key">> := <<"image">>, <<"status">> := 503, <<"body">> := <<"image: ", _/binary>>}},
                quiet(fun() -> init(#{<<"image">> => Form}, Opts) end)
            )
         || Form <- [ID, hb_util:native_id(ID)]
        ]
    end).

%% Exceptions of what lies on the way to the image: a device that answers for it, a store, a link.
an_exception_is_no_missing_image_unless_it_says_so_test_() ->
    Missing = [
        {Class, Reason}
     || Class <- [throw, error],
        Reason <- [
            {necessary_message_not_found, <<"path">>}, {necessary_message_not_found, <<"path">>, <<"link">>},
            {necessary_message_not_found, <<"path">>, <<"link">>, {opts, #{}}},
            {could_not_read_lazy_link, 1, 2, 3}
        ]
    ],
    Others = [
        {error, badarg}, {error, {badmatch, self()}}, {error, {}}, {throw, not_found}, {throw, {error, not_found}}, {exit, normal},
        {exit, {timeout, {gen_server, call, [store]}}}, {exit, {necessary_message_not_found, <<"path">>}}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                Raise = fun(_, _, _) -> erlang:Class(Reason) end,
                Base = #{<<"input-prefix">> => <<"process">>, <<"process">> => #{<<"device">> => #{image => Raise}}},
                ?assertMatch(
                    {{?FAILURE, #{<<"key">> := <<"process/image">>, <<"status">> := Status}}, Class, Reason},
                    {brief(init(Base)), Class, Reason}
                )
            end
         || {Status, Rows} <- [{404, Missing}, {503, Others}], {Class, Reason} <- Rows
        ]
    end).

%% What it was is the operator's business, and no other node's.
an_unexpected_exception_is_logged_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ok = logger:unset_module_level(dev_wasm64_image),
        ok = logger:set_handler_config(default, level, none),
        ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
        try
            Raise = fun(_, _, _) -> error({disk, broken}) end,
            Base = #{<<"input-prefix">> => <<"process">>, <<"process">> => #{<<"device">> => #{image => Raise}}},
            {?FAILURE, #{<<"body">> := Text}} = init(Base),
            ?assertEqual(nomatch, binary:match(Text, <<"broken">>)),
            Record = receive {record, error, Logged} -> Logged after 60_000 -> nothing end,
            ?assertMatch({match, _}, re:run(Record, "process/image.*error.*disk,broken"))
        after
            ok = logger:remove_handler(?MODULE),
            ok = logger:set_handler_config(default, level, all)
        end
    end).

%% The callback of a logger handler.
log(#{level := Level, msg := {Format, Args}, meta := #{library := hb_wasm64}}, #{config := Test}) ->
    Test ! {record, Level, lists:flatten(io_lib:format(Format, Args))},
    ok;
log(_Event, _Config) ->
    ok.

%% What was in the cache when the message was read may be gone when its values are.
an_image_behind_a_broken_link_is_not_found_test_() ->
    on_edge(?FUNCTION_NAME, fun() ->
        Link = {link, <<"nowhere/body">>, #{}},
        [
            ?assertMatch({?FAILURE, #{<<"key">> := <<"image">>, <<"status">> := 404}}, quiet(fun() -> init(Keys) end))
         || Keys <- [#{<<"image">> => #{<<"body">> => Link}}, #{<<"image">> => Link}]
        ]
    end).

an_id_of_something_without_image_is_refused_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Refused = fun(Message) ->
            {ok, ID} = hb_cache:write(Message, #{}),
            init(#{<<"image">> => ID})
        end,
        [
            ?assertMatch({error, #{<<"key">> := <<"image">>, <<"status">> := 400}}, Refused(Message))
         || Message <- [
                #{<<"data">> => hb_support:guest("numbers")},
                #{<<"body">> => <<"no image">>},
                #{<<"body">> => #{<<"body">> => hb_support:guest("numbers")}}
            ]
        ]
    end).

%%% Image messages

an_image_message_needs_a_body_that_is_an_image_test_() ->
    refused(?FUNCTION_NAME, 400, <<"image">>, [
        #{<<"image">> => Message}
     || Message <- [
            #{}, #{<<"image">> => hb_support:guest("numbers")}, #{<<"body">> => 1}, #{<<"body">> => #{}},
            #{<<"body">> => [hb_support:guest("numbers")]}, #{<<"body">> => <<>>}, #{<<"body">> => broken()}
        ]
    ]).

%%% Images that are none

a_broken_image_is_refused_with_the_reason_test_() ->
    Component = <<0, "asm", 13, 0, 1, 0>>,
    Rows = [
        {broken(), "not a WebAssembly module: "},
        {<<"(module)">>, "not "},
        {Component, "not supported: "},
        {hb_support:guest("component"), "not supported: "},
        {hb_support:guest("shared_memory"), "not supported: "},
        {imported_twice(), "the function env.f is imported with two types, or with one that is not supported"},
        {hb_support:guest("imported_memory"), "the import env.memory is a memory; only functions can be imported"},
        {hb_support:guest("start_trap"), "trap: unreachable"}
    ],
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                {error, Message} = init(#{<<"image">> => Image}),
                ?assertMatch(#{<<"key">> := <<"image">>, <<"status">> := 400}, Message),
                #{<<"body">> := Text} = Message,
                ?assertEqual({0, Reason}, {string:str(binary_to_list(Text), "image: " ++ Reason) - 1, Reason}, Text)
            end
         || {Image, Reason} <- Rows
        ]
    end).

%% A guest that never comes to its end at the start must not hold the process for ever.
an_endless_start_function_ends_with_the_timeout_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Test = self(),
        Pid = spawn(fun() ->
            Test ! {init, init(#{<<"image">> => hb_support:guest("start_spin")}, #{wasm_timeout => 100})}
        end),
        Answer = receive {init, Given} -> Given after 60_000 -> still_running end,
        hb_support:gone(Pid),
        ?assertMatch({?FAILURE, #{<<"key">> := <<"image">>, <<"status">> := 504}}, Answer)
    end).

%%% Modes

an_unknown_mode_is_refused_test_() ->
    refused(?FUNCTION_NAME, 400, <<"mode">>, [
        #{<<"image">> => hb_support:guest("numbers"), <<"mode">> => Mode}
     || Mode <- [<<"JIT">>, <<>>, <<"wasm">>, wasm, 1, [], #{}]
    ]).

%% There the stack's own mode is no excuse.
an_unknown_mode_is_named_with_the_input_prefix_test_() ->
    refused(?FUNCTION_NAME, 400, <<"process/sub/mode">>, [
        #{
            <<"input-prefix">> => <<"Process/sub">>,
            <<"process">> => #{<<"sub">> => #{<<"image">> => hb_support:guest("numbers"), <<"mode">> => Mode}}
        }
     || Mode <- [<<"JIT">>, <<"Fold">>, <<"Map">>]
    ]).

%% Another node may have the key that it was sealed with.
an_artifact_of_another_node_is_a_failure_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Keys = #{<<"image">> => <<0, "aot", 0:1000>>, <<"mode">> => <<"AOT">>},
        ?assertMatch(
            {_, #{<<"key">> := <<"image">>, <<"status">> := 503, <<"body">> := <<"image: not an artifact of this node: ", _/binary>>}},
            init(Keys, #{wasm_allow_aot => true})
        )
    end).

the_image_is_named_with_the_input_prefix_test_() ->
    refused(?FUNCTION_NAME, 400, <<"process/sub/image">>, [
        #{<<"input-prefix">> => <<"process/Sub">>, <<"process">> => Process}
     || Process <- [#{}, 1, #{<<"sub">> => 1}, #{<<"sub">> => #{<<"image">> => <<"none">>}}]
    ]).

%%% What becomes of an error

%% A fold stops at the device and says which it was.
a_stack_tells_the_error_of_its_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Stack = #{
            <<"device">> => <<"stack@1.0">>,
            <<"device-stack">> => [<<"message@1.0">>, <<"wasm-64@1.0">>],
            <<"stack-keys">> => [<<"init">>],
            <<"image">> => <<"no image">>
        },
        Raised =
            try hb_ao:resolve(Stack, <<"init">>, #{}) of
                Answer -> brief(Answer)
            catch
                error:{device_failed, {dev_num, Number}, _, _, {info, #{<<"key">> := Key}}} -> {Number, Key}
            end,
        ?assertEqual({2, <<"image">>}, Raised),
        {error, {stack_call_failed, _, _, 2, Info}} = hb_ao:resolve(Stack, <<"init">>, dev_wasm64_support:opts(#{error_strategy => stop})),
        ?assertMatch(#{<<"key">> := <<"image">>, <<"status">> := 400}, Info)
    end).

%% AO-Core can go into it.
an_error_is_a_message_of_plain_values_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {error, Message} = init(#{<<"image">> => <<"no image">>}),
        Public = maps:remove(<<"priv">>, Message),
        ?assertEqual([<<"body">>, <<"key">>, <<"status">>], lists:sort(maps:keys(Public))),
        ?assertEqual([], [Value || Value <- maps:values(Public), not is_binary(Value), not is_integer(Value)]),
        ?assertEqual(400, hb_ao:get(<<"status">>, Message, #{}))
    end).

a_failed_init_leaves_no_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Images = [broken(), hb_support:guest("start_trap"), hb_support:guest("imported_memory")],
        {_, Instances} = dev_wasm64_support:instances_of(fun() -> [init(#{<<"image">> => Image}) || Image <- Images] end),
        ?assertMatch([_], Instances),
        [?assert(dev_wasm64_support:is_gone(Instance)) || Instance <- Instances]
    end).

%%% Support

init(Keys) -> init(Keys, #{}).

init(Keys, Opts) -> hb_ao:resolve(Keys#{<<"device">> => <<"wasm-64@1.0">>}, <<"init">>, dev_wasm64_support:opts(Opts)).

broken() -> binary:part(hb_support:guest("numbers"), 0, 500).

%% The init of each of these is refused with this status, for this key.
refused(Title, Status, Key, Bases) ->
    on_both(Title, fun() ->
        [
            begin
                Answer = brief(init(Keys)),
                Kind = case Status of 400 -> error; 501 -> error; _ -> ?FAILURE end,
                ?assertMatch({Kind, #{<<"status">> := Status, <<"key">> := Key}}, Answer, brief(Keys)),
                {Kind, #{<<"body">> := Text}} = Answer,
                ?assertMatch({0, _}, binary:match(Text, <<Key/binary, ": ">>))
            end
         || Keys <- Bases
        ]
    end).

%% A module that imports env.f as a function without and with a result.
imported_twice() ->
    Types = <<1, 8, 2, 16#60, 0, 0, 16#60, 0, 1, 16#7f>>,
    Imports = <<2, 17, 2, 3, "env", 1, "f", 0, 0, 3, "env", 1, "f", 0, 1>>,
    <<"\0asm", 1, 0, 0, 0, Types/binary, Imports/binary>>.
