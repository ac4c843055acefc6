%% The key init of dev_wasm64: where an image may come from, and what is in the
%% private state afterwards.
-module(dev_wasm64_init_tests).

-include_lib("eunit/include/eunit.hrl").

-import(dev_wasm64_support, [on_both/2, ok/1, instance/1, instance/2, is_instance_of/2]).

%%% Where the image is

an_image_is_read_by_the_id_of_its_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {ok, ID} = hb_cache:write(#{<<"body">> => image()}, #{}),
        ?assertEqual(43, byte_size(ID)),
        [?assert(starts(#{<<"image">> => Form})) || Form <- [ID, hb_util:native_id(ID)]]
    end).

an_image_is_read_by_an_id_of_its_own_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ID = hb_util:encode(crypto:hash(sha256, image())),
        {ok, _Path} = hb_cache:write_binary(ID, image(), #{}),
        ?assert(starts(#{<<"image">> => ID}))
    end).

an_image_is_the_body_of_a_message_test_() ->
    on_both(?FUNCTION_NAME, fun() -> ?assert(starts(#{<<"image">> => #{<<"body">> => image()}})) end).

%% Its body is a link there.
an_image_is_the_body_of_a_message_from_the_cache_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Read = dev_wasm64_support:reread(#{<<"body">> => image(), <<"content-type">> => <<"application/wasm">>}),
        ?assert(starts(#{<<"image">> => Read}))
    end).

%% Not the image's device but the plain message is asked for the body.
an_image_message_may_have_a_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Device = #{body => fun() -> {ok, <<"something else">>} end},
        Names = [<<"wasm-64@1.0">>, <<"no-such-device@1.0">>, Device],
        [?assert(starts(#{<<"image">> => #{<<"device">> => Name, <<"body">> => image()}})) || Name <- Names],
        {ok, ID} = hb_cache:write(#{<<"device">> => <<"wasm-64@1.0">>, <<"body">> => image()}, #{}),
        ?assert(starts(#{<<"image">> => ID}))
    end).

an_image_may_be_in_the_message_itself_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ?assert(starts(#{<<"image">> => image()})),
        ?assert(starts(#{<<"Image">> => image()}))
    end).

%% 43 and 32 bytes of an image are no ID.
an_image_is_known_by_its_first_bytes_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Empty = <<0, "asm", 1:32/little>>,
        [
            begin
                %% A custom section makes up the size.
                Content = Size - byte_size(Empty) - 2,
                Image = <<Empty/binary, 0, Content, 1, "x", 0:((Content - 2) * 8)>>,
                ?assertEqual(Size, byte_size(Image)),
                ?assert(starts(Image, #{<<"image">> => Image}))
            end
         || Size <- [32, 42, 43]
        ]
    end).

without_an_image_the_body_is_taken_test_() ->
    on_both(?FUNCTION_NAME, fun() -> ?assert(starts(#{<<"body">> => image()})) end).

an_image_goes_before_the_body_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ?assert(starts(#{<<"image">> => image(), <<"body">> => hb_support:guest("memory")}))
    end).

a_base_from_the_cache_starts_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Bases = [
            #{<<"image">> => image()},
            #{<<"image">> => #{<<"body">> => image()}},
            #{<<"body">> => image()},
            #{<<"input-prefix">> => <<"process">>, <<"process">> => #{<<"image">> => #{<<"body">> => image()}}}
        ],
        [?assert(starts(dev_wasm64_support:reread(Base#{<<"device">> => <<"wasm-64@1.0">>}))) || Base <- Bases]
    end).

%%% Under an input prefix

an_image_lies_under_the_input_prefix_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Process = #{<<"process">> => #{<<"image">> => image()}, <<"image">> => <<"not this one">>},
        Prefixes = [<<"process">>, <<"/process/">>, <<"Process">>],
        [?assert(starts(Process#{<<"input-prefix">> => Prefix})) || Prefix <- Prefixes]
    end).

an_input_prefix_may_have_levels_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Base = #{<<"input-prefix">> => <<"a/B/c">>, <<"a">> => #{<<"b">> => #{<<"c">> => #{<<"image">> => image()}}}},
        ?assert(starts(Base))
    end).

%% The device of the message with the image is asked.
what_the_input_prefix_leads_to_may_have_a_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Device = #{image => fun() -> {ok, image()} end},
        ?assert(starts(#{<<"input-prefix">> => <<"process">>, <<"process">> => #{<<"device">> => Device}}))
    end).

under_an_input_prefix_the_body_is_still_that_of_the_message_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ?assert(starts(#{<<"input-prefix">> => <<"process">>, <<"process">> => #{}, <<"body">> => image()}))
    end).

%%% The mode

wasm_is_a_mode_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        ?assert(starts(#{<<"image">> => image(), <<"mode">> => <<"WASM">>})),
        Process = #{<<"image">> => image(), <<"Mode">> => <<"WASM">>},
        ?assert(starts(#{<<"input-prefix">> => <<"process">>, <<"process">> => Process}))
    end).

%% The image decides, as long as the node does not allow artifacts.
aot_is_wasm_on_a_node_that_does_not_allow_it_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Base = dev_wasm64_support:base("numbers", #{<<"mode">> => <<"AOT">>}),
        [
            ?assert(is_instance_of(image(), instance(ok(hb_ao:resolve(Base, <<"init">>, Opts)))))
         || Opts <- [#{}, #{wasm_allow_aot => false}, #{wasm_allow_aot => <<"true">>}]
        ]
    end).

an_artifact_runs_where_the_node_allows_it_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        {ok, Artifact} = hb_wasm64:compile(image(), #{}),
        Base = fun(Image) -> (dev_wasm64_support:base("numbers", #{<<"mode">> => <<"AOT">>}))#{<<"image">> => Image} end,
        [
            ?assert(is_instance_of(image(), instance(ok(hb_ao:resolve(Base(Image), <<"init">>, dev_wasm64_support:opts(#{wasm_allow_aot => true}))))))
         || Image <- [Artifact, image()]
        ],
        ?assertMatch({_, #{<<"status">> := 400}}, hb_ao:resolve(Base(Artifact), <<"init">>, #{}))
    end).

%% Without an input prefix both read the same key.
the_mode_of_a_stack_is_none_of_the_image_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [?assert(starts(#{<<"image">> => image(), <<"mode">> => Mode})) || Mode <- [<<"Fold">>, <<"Map">>]],
        Stack = dev_wasm64_support:base("numbers", #{
            <<"device">> => <<"stack@1.0">>, <<"device-stack">> => [<<"wasm-64@1.0">>], <<"mode">> => <<"Fold">>
        }),
        ?assert(is_instance_of(image(), instance(ok(hb_ao:resolve(Stack, <<"init">>, #{})))))
    end).

%%% The private state

the_private_state_has_what_other_devices_need_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = dev_wasm64_support:started("imports"),
        ?assert(is_reference(instance(M))),
        ?assert(is_function(instance(<<"import-resolver">>, M), 3)),
        Write = instance(<<"write">>, M),
        Read = instance(<<"read">>, M),
        {ok, Pointer} = Write(<<"written">>),
        ?assert(is_integer(Pointer)),
        ?assertEqual({ok, <<"written">>}, Read(Pointer)),
        %% The output of a compute, as it is.
        ?assertEqual({ok, <<"written">>}, Read([Pointer])),
        ?assertEqual({ok, <<"Hello, host!">>}, Read(64)),
        ?assertMatch({error, {out_of_bounds, _}}, Read(65536)),
        ?assertEqual({error, malloc_failed}, Write(binary:copy(<<"x">>, 65536)))
    end).

the_private_state_is_under_the_output_prefix_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        [
            begin
                M = dev_wasm64_support:started("imports", #{<<"output-prefix">> => Prefix}),
                ?assert(is_instance_of(hb_support:guest("imports"), instance(<<Prefix/binary, "/instance">>, M))),
                ?assert(is_instance_of(hb_support:guest("imports"), instance(Path, M))),
                ?assertEqual(not_found, instance(M))
            end
         || {Prefix, Path} <- [
                {<<"wasm">>, <<"wasm/instance">>},
                {<<"WASM">>, <<"wasm/instance">>},
                {<<"Out/Wasm/">>, <<"out/wasm/instance">>}
            ]
        ]
    end).

%% As HyperBEAM's JSON interface asks for them.
write_and_read_are_found_by_the_prefix_of_the_stack_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        M = dev_wasm64_support:started("imports", #{<<"output-prefix">> => <<"WASM">>}),
        Prefix = dev_stack:prefix(M, #{}, #{}),
        {ok, Pointer} = (hb_private:get(<<Prefix/binary, "/write">>, M, #{}))(<<"text">>),
        ?assertEqual({ok, <<"text">>}, (hb_private:get(<<Prefix/binary, "/read">>, M, #{}))([Pointer]))
    end).

what_else_is_private_stays_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Private = #{<<"other">> => #{<<"key">> => 1}, <<"wasm">> => #{<<"more">> => 2}},
        [
            begin
                M = dev_wasm64_support:started("numbers", #{<<"output-prefix">> => Prefix, <<"priv">> => Private}),
                ?assertEqual([1, 2], [instance(Path, M) || Path <- [<<"other/key">>, <<"wasm/more">>]])
            end
         || Prefix <- [<<>>, <<"wasm">>, <<"other">>, <<"other/x">>]
        ]
    end).

nothing_public_changes_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Base = dev_wasm64_support:base("numbers", #{<<"output-prefix">> => <<"wasm">>, <<"kept">> => #{<<"a">> => [1]}}),
        ?assert(maps:remove(<<"priv">>, ok(hb_ao:resolve(Base, <<"init">>, #{}))) =:= Base)
    end).

both_names_are_this_device_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        Names = [<<"wasm-64@1.0">>, <<"wasm64@1.0">>, <<"WASM-64@1.0">>, dev_wasm64],
        [?assert(starts(#{<<"device">> => Name, <<"image">> => image()})) || Name <- Names]
    end).

%% Each init is an instance of its own.
init_starts_a_new_instance_test_() ->
    on_both(?FUNCTION_NAME, fun() ->
        One = dev_wasm64_support:started("numbers"),
        Two = ok(hb_ao:resolve(One, <<"init">>, #{})),
        ?assertNotEqual(instance(One), instance(Two)),
        Count = fun(M) -> dev_wasm64_support:result(dev_wasm64_support:compute(M, <<"count">>, [1])) end,
        ?assertEqual([[ok, [8]], [ok, [9]], [ok, [8]]], [Count(One), Count(One), Count(Two)])
    end).

%%% Support

image() -> hb_support:guest("numbers").

%% Whether the init of a message with these keys starts the image.
starts(Keys) -> starts(image(), Keys).

starts(Image, Keys) ->
    Base = maps:merge(#{<<"device">> => <<"wasm-64@1.0">>}, Keys),
    is_instance_of(Image, instance(ok(hb_ao:resolve(Base, <<"init">>, #{})))).
