#!/usr/bin/env escript
%% Called by on-node.sh: runs suites of test/ with the modules of a HyperBEAM checkout in the place of those of test/ao_core.

main(Suites) ->
    [HB, Root] = [os:getenv(Name) || Name <- ["HB", "ROOT"]],
    Node = filelib:wildcard(filename:join([HB, "_build", "default", "lib", "*", "ebin"])),
    filelib:is_file(filename:join([HB, "_build", "default", "lib", "hb", "ebin", "hb_ao.beam"])) orelse
        fail(HB ++ " is not compiled. To compile it: rebar3 compile"),
    Ours = [filename:join([Root, "_build", "test", "lib", "hb_wasm64", Dir]) || Dir <- ["ebin", "test"]],
    %% Of ours the library comes first, as its names of the driver are meant; of the tests what the node has not.
    ok = code:add_pathsz(Ours),
    ok = code:add_pathsa([Dir || Dir <- Node, filename:basename(filename:dirname(Dir)) =/= "hb_wasm64"]),
    _ = [{module, M} = code:load_abs(filename:join(hd(Ours), atom_to_list(M))) || M <- [hb_beamr, hb_beamr_io]],
    Branch = branch(),
    persistent_term:put({ao_core, branches}, [Branch]),
    {ok, _} = application:ensure_all_started(hb),
    ok = with_test_devices(),
    io:format("on-node: ~ts is like ~p; ~ts~n", [HB, Branch, code:which(hb_ao)]),
    case eunit:test([list_to_atom(Suite) || Suite <- Suites], [verbose]) of
        ok -> halt(0);
        _ -> halt(1)
    end.

branch() ->
    {module, hb_ao} = code:ensure_loaded(hb_ao),
    case {erlang:function_exported(hb_ao, raw, 5), code:which(hb_maps)} of
        {true, _} -> fail("this HyperBEAM loads its devices from packages: see rebar3 device test in the folders of make device");
        {false, Path} -> case string:find(Path, "hb_wasm64") of nomatch -> edge; _ -> main end
    end.

%% The node's options, with the devices of the tests among those that it knows.
with_test_devices() ->
    {hb_opts, Beam, File} = code:get_object_code(hb_opts),
    {ok, {hb_opts, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(Beam, [abstract_code]),
    Renamed = [case Form of {attribute, A, module, hb_opts} -> {attribute, A, module, hb_opts_of_node}; _ -> Form end || Form <- Forms],
    {ok, hb_opts_of_node, Node} = compile:forms(Renamed, [nowarn_unused_function]),
    {module, hb_opts_of_node} = code:load_binary(hb_opts_of_node, File, Node),
    {ok, Tokens, _} = erl_scan:string(
        "get(Key) -> get(Key, undefined). "
        "get(Key, Default) -> get(Key, Default, #{}). "
        "get(preloaded_devices, Default, Opts) -> "
        "case hb_opts_of_node:get(preloaded_devices, Default, Opts) of List when is_list(List) -> devices() ++ List; Other -> Other end; "
        "get(Key, Default, Opts) -> hb_opts_of_node:get(Key, Default, Opts). "
        "devices() -> [#{<<\"name\">> => N, <<\"module\">> => M} || {N, M} <- [{<<\"wasm-64@1.0\">>, dev_wasm64}, "
        "{<<\"wasm64@1.0\">>, dev_wasm64}, {<<\"test-iface@1.0\">>, dev_test_iface}, {<<\"test-kv@1.0\">>, dev_test_kv}, "
        "{<<\"test-math@1.0\">>, dev_test_math}, {<<\"test-remote@1.0\">>, dev_test_remote}, {<<\"test-wasi@1.0\">>, dev_test_wasi}]]."
    ),
    Others = [FA || {F, _} = FA <- hb_opts_of_node:module_info(exports), F =/= module_info, F =/= get],
    Delegates = [delegate(F, A) || {F, A} <- Others],
    New = [{attribute, 1, module, hb_opts}, {attribute, 1, export, [{get, 1}, {get, 2}, {get, 3} | Others]},
        {attribute, 1, compile, {no_auto_import, [{get, 1}]}} | functions(Tokens) ++ Delegates],
    {ok, hb_opts, Wrapper} = compile:forms(New),
    _ = code:purge(hb_opts),
    {module, hb_opts} = code:load_binary(hb_opts, "on-node", Wrapper),
    ok.

functions(Tokens) ->
    case lists:splitwith(fun(Token) -> element(1, Token) =/= dot end, Tokens) of
        {[], []} -> [];
        {Function, [Dot | Rest]} ->
            {ok, Form} = erl_parse:parse_form(Function ++ [Dot]),
            [Form | functions(Rest)]
    end.

delegate(Name, Arity) ->
    Args = [{var, 1, list_to_atom("A" ++ integer_to_list(N))} || N <- lists:seq(1, Arity)],
    {function, 1, Name, Arity, [{clause, 1, Args, [], [{call, 1, {remote, 1, {atom, 1, hb_opts_of_node}, {atom, 1, Name}}, Args}]}]}.

fail(Text) ->
    io:format(standard_error, "on-node: ~ts~n", [Text]),
    halt(1).
