%% The small AO-Core of test/ao_core against what HyperBEAM does. Above each group stands where the behaviour was read:
%% the function, and the branch where it is not both. Groups run on both branches' behaviour. `on_both/1' and
%% `maybe_equal/3' let HyperBEAM's own modules take the place of ours: test/ao_core/README.md.
-module(ao_core_tests).
-include_lib("eunit/include/eunit.hrl").

-define(IGNORE, #{hashpath => ignore}).

on_both(Tests) ->
    [
        {atom_to_list(Branch) ++ ": " ++ Name, fun() -> ao_core:with_branch(Branch, Test) end}
     || Branch <- [main, edge], {Name, Test} <- Tests
    ].

%%% Resolving: hb_ao:resolve/3, resolve_many/2, do_resolve_many/2, resolve_stage

resolve_test_() ->
    on_both([
        {"a path is resolved part by part", fun() ->
            Message = #{<<"a">> => #{<<"b">> => #{<<"c">> => 1}}},
            ?assertEqual({ok, 1}, hb_ao:resolve(Message, <<"a/b/c">>, #{})),
            ?assertEqual({ok, 1}, hb_ao:resolve(Message, <<"/a/b/c/">>, #{})),
            ?assertEqual({ok, 1}, hb_ao:resolve(Message, [<<"a">>, <<"b/c">>], #{})),
            ?assertEqual({error, not_found}, hb_ao:resolve(Message, <<"a/x/c">>, #{})),
            ?assertEqual({error, not_found}, hb_ao:resolve(Message, <<"a/b/c/d">>, #{}))
        end},
        {"every step sees the whole request, with its part of the path", fun() ->
            Device = #{next => fun(Base, Request, _) -> {ok, Base#{<<"saw">> => Request}} end},
            {ok, Result} = hb_ao:resolve(
                #{<<"a">> => #{<<"device">> => Device}},
                #{<<"path">> => <<"a/next">>, <<"x">> => 1},
                #{}
            ),
            ?assertMatch(#{<<"saw">> := #{<<"path">> := <<"next">>, <<"x">> := 1}}, Result)
        end},
        {"the first message may be a list of steps to come", fun() ->
            ?assertEqual({ok, 1}, hb_ao:resolve_many([#{<<"a">> => 1}, #{<<"path">> => <<"a">>}], #{})),
            ?assertEqual({ok, 1}, hb_ao:resolve(#{<<"path">> => <<"/k">>, <<"k">> => 1}, #{}))
        end},
        {"a list is a message numbered from 1", fun() ->
            ?assertEqual({ok, b}, hb_ao:resolve(#{<<"l">> => [a, b]}, <<"l/2">>, #{})),
            ?assertEqual({ok, [a, b]}, hb_ao:resolve(#{<<"l">> => [a, b]}, <<"l">>, #{}))
        end},
        {"what is not ok ends the path and comes back as it is", fun() ->
            Device = #{
                fail => fun() -> {error, #{<<"body">> => <<"why">>}} end,
                skip => fun(Base) -> {skip, Base} end,
                odd => fun() -> {error, reason, more} end
            },
            Message = #{<<"device">> => Device},
            ?assertMatch({error, #{<<"body">> := <<"why">>}}, hb_ao:resolve(Message, <<"fail/body">>, #{})),
            ?assertMatch({skip, #{<<"device">> := _}}, hb_ao:resolve(Message, <<"skip">>, #{})),
            ?assertError(_, hb_ao:resolve(Message, <<"odd">>, #{}), "what is no pair is no answer")
        end},
        {"what a device raises reaches the caller", fun() ->
            Message = #{<<"device">> => #{raise => fun() -> throw(thrown) end}},
            ?assertThrow(thrown, hb_ao:resolve(Message, <<"raise">>, #{})),
            ?assertMatch(
                {error, device_call, {throw, thrown, _}},
                hb_ao:resolve(Message, <<"raise">>, #{error_strategy => return})
            )
        end}
    ]).

%%% Keys: hb_ao:normalize_key/1, normalize_keys/1, dev_message:get, case_insensitive_get

keys_test_() ->
    on_both([
        {"normalized keys are binaries in lower case", fun() ->
            ?assertEqual(<<"a-b">>, hb_ao:normalize_key(<<"A-b">>)),
            ?assertEqual(<<"Ab">>, hb_ao:normalize_key('Ab')),
            ?assertEqual(<<"3">>, hb_ao:normalize_key(3)),
            ?assertEqual(<<"ab">>, hb_ao:normalize_key("aB")),
            ?assertEqual(<<"a/2">>, hb_ao:normalize_key([<<"A">>, 2])),
            [?assertEqual(ID, hb_ao:normalize_key(ID)) || ID <- ids()]
        end},
        {"only the keys of the message itself are normalized", fun() ->
            ?assertEqual(#{<<"a">> => #{'B' => 1}}, hb_ao:normalize_keys(#{<<"A">> => #{'B' => 1}})),
            ?assertEqual(#{<<"1">> => a, <<"2">> => b}, hb_ao:normalize_keys([a, b]))
        end},
        {"a key is found whatever its case and type", fun() ->
            Message = #{<<"Mode">> => 1, state => 2, 3 => three},
            ?assertEqual(1, hb_ao:get(<<"mode">>, Message, #{})),
            ?assertEqual(1, hb_ao:get(<<"MODE">>, Message, #{})),
            ?assertEqual(2, hb_ao:get(<<"state">>, Message, #{})),
            ?assertEqual(2, hb_ao:get(state, Message, #{})),
            ?assertEqual(three, hb_ao:get(3, Message, #{})),
            ?assertEqual({ok, 1}, dev_message:get(<<"mode">>, Message, #{})),
            ?assertEqual({error, not_found}, dev_message:get(<<"none">>, Message, #{}))
        end},
        {"nothing private is found or listed", fun() ->
            Message = #{<<"a">> => 1, <<"priv">> => #{<<"b">> => 2}, <<"priv_c">> => 3},
            ?assertEqual({error, not_found}, hb_ao:resolve(Message, <<"priv">>, #{})),
            ?assertEqual({error, not_found}, hb_ao:resolve(Message, <<"priv/b">>, #{})),
            ?assertEqual({error, not_found}, hb_ao:resolve(Message, <<"priv_c">>, #{})),
            ?assertEqual({ok, [<<"a">>]}, hb_ao:resolve(Message, <<"keys">>, #{})),
            ?assertEqual([<<"a">>], hb_ao:keys(Message, #{}))
        end},
        {"get has a default for errors, get_first takes the first that is there", fun() ->
            ?assertEqual(not_found, hb_ao:get(<<"x">>, #{}, #{})),
            ?assertEqual(default, hb_ao:get(<<"x/y">>, #{}, default, #{})),
            Pairs = [{#{}, <<"a">>}, {#{<<"b">> => #{<<"c">> => 1}}, <<"b/c">>}],
            ?assertEqual(1, hb_ao:get_first(Pairs, #{})),
            ?assertEqual(not_found, hb_ao:get_first([], #{}))
        end}
    ]).

ids() -> [binary:copy(<<"A">>, Size) || Size <- [32, 42, 43]].

%%% Devices: hb_ao:message_to_fun/3, message_to_device/2, load_device/2, find_exported_function/5, is_exported, info/3,
%%% truncate_args/2

devices_test_() ->
    on_both([
        {"a device is a map of functions, a module or the name of a preloaded one", fun() ->
            Args = #{<<"path">> => <<"add">>, <<"args">> => [1, 2]},
            Known = #{<<"name">> => <<"m@1.0">>, <<"module">> => dev_test_math},
            Preloaded = #{hashpath => ignore, preloaded_devices => [Known]},
            [
                ?assertMatch(
                    {ok, #{<<"results">> := [3], <<"state">> := s}},
                    hb_ao:resolve(#{<<"device">> => Device, <<"state">> => s}, Args, Preloaded)
                )
             || Device <- [dev_test_math, <<"m@1.0">>, <<"M@1.0">>, #{add => fun dev_test_math:add/3}]
            ],
            ?assertThrow(
                {error, {device_not_loadable, <<"none@1.0">>, _}},
                hb_ao:resolve(#{<<"device">> => <<"none@1.0">>}, <<"add">>, #{})
            )
        end},
        {"a function gets as many of base, request and options as it takes", fun() ->
            Device = #{
                none => fun() -> {ok, 0} end,
                one => fun(#{<<"k">> := K}) -> {ok, K} end,
                two => fun(_, #{<<"path">> := Path}) -> {ok, Path} end,
                three => fun(_, _, Opts) -> {ok, maps:keys(Opts)} end,
                four => fun(_, _, _, _) -> {ok, never} end
            },
            Message = #{<<"device">> => Device, <<"k">> => 1, <<"four">> => 4},
            Opts = #{mine => 1, cache_control => [<<"no-cache">>], spawn_worker => false},
            ?assertEqual({ok, 0}, hb_ao:resolve(Message, <<"none">>, #{})),
            ?assertEqual({ok, 1}, hb_ao:resolve(Message, <<"one">>, #{})),
            ?assertEqual({ok, <<"two">>}, hb_ao:resolve(Message, <<"two">>, #{})),
            ?assertEqual({ok, 4}, hb_ao:resolve(Message, <<"four">>, #{})),
            {ok, Seen} = hb_ao:resolve(Message, <<"three">>, Opts),
            ?assert(lists:member(mine, Seen)),
            ?assertNot(lists:member(spawn_worker, Seen)),
            ?assertNot(lists:member(cache_control, Seen))
        end},
        {"a key the device does not have is looked up in the message", fun() ->
            ?assertEqual({ok, 1}, hb_ao:resolve(#{<<"device">> => dev_test_math, <<"k">> => 1}, <<"k">>, #{})),
            ?assertEqual({error, not_found}, hb_ao:resolve(#{<<"device">> => dev_test_math}, <<"k">>, #{}))
        end},
        {"a module's function has the key's name to the letter, dashes as underscores", fun() ->
            Message = #{<<"device">> => dev_test_wasi},
            ?assertEqual({error, not_found}, hb_ao:resolve(Message, <<"FD_WRITE">>, #{})),
            ?assertMatch({ok, _}, hb_ao:find_exported_function(Message, dev_test_wasi, <<"fd-write">>, 3, #{})),
            ?assertMatch({ok, _}, hb_ao:find_exported_function(Message, dev_test_wasi, fd_write, 3, #{})),
            ?assertEqual(not_found, hb_ao:find_exported_function(Message, dev_test_wasi, fd_write, 2, #{})),
            Map = #{<<"Fd-Write">> => fun() -> {ok, 1} end},
            ?assertMatch({ok, _}, hb_ao:find_exported_function(Message, Map, <<"fd-write">>, 3, #{}))
        end},
        {"a handler answers all keys that are not excluded, and is given the key", fun() ->
            Handler = fun(Key, _Base, Request, _) -> {ok, {Key, Request}} end,
            Device = #{info => fun() -> #{handler => Handler, excludes => [own]} end},
            Message = #{<<"device">> => Device, <<"own">> => 1},
            ?assertMatch({ok, {<<"any">>, #{<<"path">> := <<"any">>}}}, hb_ao:resolve(Message, <<"any">>, #{})),
            ?assertEqual({ok, 1}, hb_ao:resolve(Message, <<"own">>, #{}))
        end},
        {"exports limits what can be asked, a default answers the rest", fun() ->
            Device = #{
                info => fun(_) -> #{exports => [<<"open">>, <<"more">>], default => fun(Key) -> {ok, Key} end} end,
                open => fun() -> {ok, opened} end,
                closed => fun() -> {ok, never} end
            },
            Message = #{<<"device">> => Device, <<"closed">> => 1},
            ?assertEqual({ok, opened}, hb_ao:resolve(Message, <<"open">>, #{})),
            ?assertEqual({ok, <<"more">>}, hb_ao:resolve(Message, <<"more">>, #{})),
            ?assertEqual({ok, 1}, hb_ao:resolve(Message, <<"closed">>, #{}))
        end}
    ]).

%% hb_ao:info/3: main looks for info/1 and info/0 only.
info_with_two_arguments_is_heard_on_edge_only_test() ->
    Device = #{info => fun(_, _) -> #{excludes => [helper]} end, helper => fun() -> {ok, helped} end},
    Message = #{<<"device">> => Device},
    Ask = fun() -> hb_ao:resolve(Message, <<"helper">>, #{}) end,
    maybe_equal({ok, helped}, main, Ask),
    maybe_equal({error, not_found}, edge, Ask).

%% Where the tests run against a real node, it plays one branch only and says so with `other_branch'.
maybe_equal(Expected, Branch, Fun) ->
    case ao_core:with_branch(Branch, Fun) of
        other_branch -> ok;
        Found -> ?assertEqual(Expected, Found)
    end.

%%% Setting: hb_ao:set/3,4, deep_set/4, device_set/4,5, remove/3, dev_message:set/3, set_path/3, hb_util:deep_merge

set_test_() ->
    on_both([
        {"a message is merged into a message, unset takes away, undefined leaves", fun() ->
            Message = #{<<"a">> => #{<<"x">> => 1}, <<"b">> => 2, <<"c">> => 3},
            Values = #{<<"a">> => #{<<"y">> => 2}, <<"b">> => unset, <<"c">> => undefined, <<"d">> => [4]},
            Expected = #{<<"a">> => #{<<"x">> => 1, <<"y">> => 2}, <<"c">> => 3, <<"d">> => [4]},
            ?assertEqual({ok, Expected}, dev_message:set(Message, Values, #{})),
            ?assertEqual(Expected, hb_ao:set(Message, Values, #{})),
            Explicit = #{<<"a">> => #{<<"y">> => 2}, <<"set-mode">> => <<"explicit">>},
            Replaced = #{<<"a">> => #{<<"y">> => 2}, <<"c">> => 3},
            ?assertEqual({ok, Replaced}, dev_message:set(maps:remove(<<"b">>, Message), Explicit, #{}))
        end},
        {"a path sets deep down and makes the way", fun() ->
            Set = hb_ao:set(#{<<"a">> => #{<<"x">> => 1}}, #{<<"a/b/c">> => 2, <<"d/e">> => 3}, #{}),
            ?assertEqual(#{<<"a">> => #{<<"x">> => 1, <<"b">> => #{<<"c">> => 2}}, <<"d">> => #{<<"e">> => 3}}, Set),
            ?assertEqual(#{<<"a">> => 1}, hb_ao:set(#{}, <<"a">>, 1, #{})),
            ?assertEqual(#{<<"a">> => 2}, hb_ao:set(#{<<"A">> => 1}, #{<<"A">> => 2}, #{}))
        end},
        {"dev_message sets under the key as it is given, hb_ao under the normalized one", fun() ->
            ?assertEqual({ok, #{<<"a">> => 1, <<"A">> => 2}}, dev_message:set(#{<<"a">> => 1}, #{<<"A">> => 2}, #{})),
            ?assertEqual(#{<<"a">> => 2}, hb_ao:set(#{<<"a">> => 1}, #{<<"A">> => 2}, #{}))
        end},
        {"the private part is never set and never lost", fun() ->
            Message = #{<<"priv">> => #{<<"p">> => 1}},
            Values = #{<<"a">> => 1, <<"priv">> => #{}},
            ?assertEqual({ok, Message#{<<"a">> => 1}}, dev_message:set(Message, Values, #{})),
            ?assertEqual(Message#{<<"a">> => 1}, hb_ao:set(Message, Values, #{}))
        end},
        {"keys that dev_message answers cannot be set, path can through AO-Core", fun() ->
            Values = #{<<"id">> => 1, <<"keys">> => 2, <<"path">> => <<"p">>},
            ?assertEqual({ok, #{}}, dev_message:set(#{}, Values, #{})),
            ?assertEqual(#{<<"path">> => <<"p">>}, hb_ao:set(#{}, <<"path">>, <<"p">>, #{}))
        end},
        {"the set of the device is used", fun() ->
            Device = #{set => fun(Base, Request) -> {ok, Base#{<<"saw">> => Request}} end},
            ?assertMatch(#{<<"saw">> := #{<<"k">> := 1}}, hb_ao:set(#{<<"device">> => Device}, #{<<"k">> => 1}, #{}))
        end},
        {"setting a path through a device asks the device for what is on the way", fun() ->
            Device = #{way => fun() -> {ok, #{<<"from">> => <<"device">>}} end},
            ?assertMatch(
                #{<<"way">> := #{<<"from">> := <<"device">>, <<"k">> := 1}},
                hb_ao:set(#{<<"device">> => Device}, #{<<"way/k">> => 1}, #{})
            )
        end},
        {"remove takes a key away", fun() ->
            ?assertEqual(#{<<"b">> => 2}, hb_ao:remove(#{<<"a">> => 1, <<"b">> => 2}, <<"a">>, #{})),
            ?assertEqual({ok, #{}}, dev_message:remove(#{<<"a">> => 1}, #{<<"items">> => [<<"a">>]}))
        end}
    ]).

%%% Another device for one question: hb_ao:get/4 and resolve_stage(1, {as, ...}), subresolve/4

as_test_() ->
    on_both([
        {"get asks the same message through another device, its private part with it", fun() ->
            Device = #{
                k => fun() -> {ok, device} end,
                p => fun(Base) -> {ok, hb_private:get(<<"p">>, Base, #{})} end
            },
            Message = #{<<"device">> => Device, <<"k">> => plain, <<"priv">> => #{<<"p">> => 1}},
            ?assertEqual(device, hb_ao:get(<<"k">>, Message, #{})),
            ?assertEqual(plain, hb_ao:get(<<"k">>, {as, <<"message@1.0">>, Message}, #{})),
            ?assertEqual(plain, hb_ao:get(<<"k">>, {as, <<"message@1.0">>, Message}, #{})),
            ?assertEqual(1, hb_ao:get(<<"p">>, {as, Device, Message}, #{}))
        end},
        {"resolve makes a message of the public keys", fun() ->
            Message = {as, dev_test_math, #{<<"state">> => s, <<"priv">> => #{<<"p">> => 1}}},
            {ok, Result} = hb_ao:resolve(Message, #{<<"path">> => <<"mul">>, <<"args">> => [2, 3]}, ?IGNORE),
            ?assertEqual(#{<<"state">> => s, <<"results">> => [6]}, Result)
        end}
    ]).

%%% Hashpaths: hb_ao:resolve_stage(9), hb_path:hashpath/2,3,4, hb_opts:get with `only => local'

hashpath(Message) -> maps:get(<<"hashpath">>, hb_private:from_message(Message), none).

hashpath_test_() ->
    on_both([
        {"the first is the ID of the base and the key, the next chain both", fun() ->
            Message = #{<<"a">> => #{<<"b">> => #{<<"c">> => #{}}}},
            ID = hb_message:id(Message),
            {ok, A} = hb_ao:resolve(Message, <<"a">>, #{}),
            ?assertEqual(<<ID/binary, "/a">>, hashpath(A)),
            {ok, B} = hb_ao:resolve(A, <<"b">>, #{}),
            Chained = hb_util:human_id(crypto:hash(sha256, <<(hb_util:native_id(ID))/binary, "a">>)),
            ?assertEqual(<<Chained/binary, "/b">>, hashpath(B)),
            {ok, SameB} = hb_ao:resolve(Message, <<"a/b">>, #{}),
            ?assertEqual(hashpath(B), hashpath(SameB)),
            {ok, C} = hb_ao:resolve(B, <<"c">>, #{}),
            Again = hb_util:human_id(crypto:hash(sha256, <<(hb_util:native_id(Chained))/binary, "b">>)),
            ?assertEqual(<<Again/binary, "/c">>, hashpath(C))
        end},
        {"a request with keys of its own is named by its ID", fun() ->
            Message = #{<<"device">> => #{go => fun(Base) -> {ok, Base} end}},
            Request = #{<<"path">> => <<"go">>, <<"x">> => 1},
            {ok, Result} = hb_ao:resolve(Message, Request, #{}),
            [_, Name] = binary:split(hashpath(Result), <<"/">>),
            ?assertEqual(hb_message:id(Request), Name),
            {ok, Next} = hb_ao:resolve(Result, Request, #{}),
            [Base, Prev] = binary:split(hashpath(Result), <<"/">>),
            Chained = crypto:hash(sha256, <<(hb_util:native_id(Base))/binary, (hb_util:native_id(Prev))/binary>>),
            ?assertEqual(<<(hb_util:human_id(Chained))/binary, "/", Name/binary>>, hashpath(Next))
        end},
        {"it goes by what came in, not by what the device did to it", fun() ->
            Forged = #{<<"hashpath">> => <<"forged">>, <<"mine">> => 1},
            Forge = fun(Base) -> {ok, hb_private:set_priv(Base, Forged)} end,
            Message = #{<<"device">> => #{go => Forge}},
            {ok, Result} = hb_ao:resolve(Message, <<"go">>, #{}),
            ?assertEqual(<<(hb_message:id(Message))/binary, "/go">>, hashpath(Result)),
            ?assertEqual(1, hb_private:get(<<"mine">>, Result, #{})),
            {ok, Ignored} = hb_ao:resolve(Message, <<"go">>, ?IGNORE),
            ?assertEqual(<<"forged">>, hashpath(Ignored)),
            ?assertEqual(#{}, hb_private:from_message(hb_private:set(#{}, #{<<"hashpath">> => <<"forged">>}, #{})))
        end},
        {"ignore leaves it, reset takes it away, so does anything but ok", fun() ->
            Device = #{go => fun(Base) -> {ok, Base} end, fail => fun(Base) -> {error, Base} end},
            Private = #{<<"hashpath">> => <<(hd(ids()))/binary, "/x">>, <<"p">> => 1},
            Message = #{<<"device">> => Device, <<"priv">> => Private},
            {ok, Ignored} = hb_ao:resolve(Message, <<"go">>, ?IGNORE),
            ?assertEqual(Private, hb_private:from_message(Ignored)),
            {ok, Reset} = hb_ao:resolve(Message, <<"go">>, #{hashpath => reset}),
            ?assertEqual(#{<<"p">> => 1}, hb_private:from_message(Reset)),
            {error, Failed} = hb_ao:resolve(Message, <<"fail">>, #{}),
            ?assertEqual(#{<<"p">> => 1}, hb_private:from_message(Failed)),
            {ok, Fresh} = hb_ao:resolve(#{<<"a">> => #{}}, <<"a">>, ?IGNORE),
            ?assertEqual(#{}, Fresh)
        end},
        {"get gives the messages it finds one", fun() ->
            ?assertMatch(<<_:43/binary, "/a">>, hashpath(hb_ao:get(<<"a">>, #{<<"a">> => #{}}, #{}))),
            ?assertEqual(#{}, hb_ao:get(<<"a">>, #{<<"a">> => #{}}, ?IGNORE))
        end},
        {"setting leaves that of the message; one path alone marks the messages on its way", fun() ->
            Message = #{<<"a">> => #{<<"x">> => 1}, <<"priv">> => #{<<"hashpath">> => <<(hd(ids()))/binary, "/x">>}},
            Map = hb_ao:set(Message, #{<<"a/b">> => 1}, #{}),
            ?assertEqual(hashpath(Message), hashpath(Map)),
            ?assertEqual(none, hashpath(maps:get(<<"a">>, Map))),
            Path = hb_ao:set(Message, <<"a/b">>, 1, #{}),
            ?assertEqual(hashpath(Message), hashpath(Path)),
            ?assertMatch(<<_:43/binary, "/a">>, hashpath(maps:get(<<"a">>, Path))),
            ?assertEqual(Map, hb_ao:set(Message, <<"a/b">>, 1, ?IGNORE))
        end},
        {"the ID is that of what is public", fun() ->
            Message = #{<<"a">> => 1, <<"m">> => #{<<"b">> => <<"2">>}},
            ID = hb_message:id(Message),
            ?assertEqual(43, byte_size(ID)),
            ?assertEqual(ID, hb_message:id(Message#{<<"priv">> => #{<<"x">> => make_ref()}})),
            ?assertEqual(ID, hb_message:id(Message#{<<"m">> => #{<<"b">> => <<"2">>, <<"priv">> => #{<<"x">> => 1}}})),
            ?assertEqual({ok, ID}, hb_ao:resolve(Message, <<"id">>, #{})),
            ?assertNotEqual(ID, hb_message:id(Message#{<<"a">> => 2})),
            ?assertNotEqual(ID, hb_message:id(Message#{<<"a">> => <<"1">>}))
        end}
    ]).

%%% Private state: hb_private

private_test_() ->
    on_both([
        {"get and set take paths below priv", fun() ->
            Message = hb_private:set(#{<<"a">> => 1}, #{<<"p/instance">> => i, <<"p/read">> => r}, #{}),
            ?assertEqual(#{<<"a">> => 1, <<"priv">> => #{<<"p">> => #{<<"instance">> => i, <<"read">> => r}}}, Message),
            ?assertEqual(i, hb_private:get(<<"p/instance">>, Message, #{})),
            ?assertEqual(i, hb_private:get(<<"priv/p/instance">>, Message, #{})),
            ?assertEqual(not_found, hb_private:get(<<"p/none">>, Message, #{})),
            ?assertEqual(default, hb_private:get(<<"none">>, #{}, default, #{}))
        end},
        {"an empty prefix is no part of the path", fun() ->
            Message = hb_private:set(#{}, #{<<"/instance">> => i}, #{}),
            ?assertEqual(#{<<"priv">> => #{<<"instance">> => i}}, Message),
            ?assertEqual(i, hb_private:get(<<"/instance">>, Message, #{}))
        end},
        {"keys are compared without their case, and unset takes them away", fun() ->
            Message = hb_private:set(#{}, #{<<"p/instance">> => i}, #{}),
            Gone = hb_private:set(Message, #{<<"p/instance">> => unset}, #{}),
            ?assertEqual(not_found, hb_private:get(<<"p/instance">>, Gone, #{})),
            ?assertEqual(i, hb_private:get(<<"p/Instance">>, Message, #{})),
            ?assertEqual(#{<<"priv">> => #{<<"x">> => 1}}, hb_private:set(#{}, <<"priv/x">>, 1, #{}))
        end},
        {"any term can be kept, and no hashpath comes of it", fun() ->
            Term = {make_ref(), fun() -> x end},
            ?assertEqual(#{<<"priv">> => #{<<"t">> => Term}}, hb_private:set(#{}, <<"t">>, Term, #{})),
            ?assertEqual(#{<<"k">> => 1}, hb_private:get(<<"m">>, #{<<"priv">> => #{<<"m">> => #{<<"k">> => 1}}}, #{}))
        end}
    ]).

%% hb_private:reset/1: on edge it goes into the messages within.
reset_goes_deep_on_edge_only_test() ->
    Message = #{<<"a">> => #{<<"priv">> => #{}, <<"b">> => 1}, <<"priv">> => #{}, <<"private">> => 1},
    Reset = fun() -> hb_private:reset(Message) end,
    maybe_equal(#{<<"a">> => #{<<"priv">> => #{}, <<"b">> => 1}}, main, Reset),
    maybe_equal(#{<<"a">> => #{<<"b">> => 1}}, edge, Reset).

%%% Stacks: dev_stack:resolve_fold/3,4, transform/3, resolve_map/3, increment_pass/2, maybe_error/5, info, router;
%%% dev_multipass:handle/4

appender(Text) -> appender(Text, ok).
appender(Text, Status) ->
    #{append => fun(Base = #{<<"result">> := Before}) ->
        {Status, Base#{<<"result">> => <<Before/binary, Text/binary>>}}
    end}.

stack(Devices) -> stack(Devices, #{}).
stack(Devices, Keys) ->
    Keys#{<<"device">> => <<"stack@1.0">>, <<"device-stack">> => Devices, <<"result">> => <<"0">>}.

stack_test_() ->
    on_both([
        {"fold runs the devices one after the other and puts the stack back", fun() ->
            Stack = stack([appender(<<"a">>), appender(<<"b">>)]),
            {ok, Result} = hb_ao:resolve(Stack, <<"append">>, #{}),
            ?assertMatch(#{<<"result">> := <<"0ab">>, <<"device">> := <<"stack@1.0">>}, Result),
            ?assertNot(is_map_key(<<"pass">>, Result)),
            ?assertNot(is_map_key(<<"device-key">>, Result)),
            {ok, ID} = dev_message:id(Stack, #{}, #{}),
            ?assertEqual(<<ID/binary, "/append">>, hashpath(Result)),
            ?assertMatch({ok, #{<<"result">> := <<"0abab">>}}, hb_ao:resolve(Result, <<"append">>, #{}))
        end},
        {"each device is told its number and runs as the message's device", fun() ->
            Tell = #{tell => fun(Base) ->
                {ok, Base#{<<"told">> => maps:with([<<"device-key">>, <<"pass">>], Base)}}
            end},
            {ok, Result} = hb_ao:resolve(stack(#{<<"1">> => appender(<<>>), <<"2">> => Tell}), <<"tell">>, #{}),
            ?assertMatch(#{<<"told">> := #{<<"device-key">> := 2, <<"pass">> := 1}}, Result)
        end},
        {"a device without the key is passed over", fun() ->
            Stack = stack([appender(<<"a">>), dev_test_math, appender(<<"b">>)]),
            ?assertMatch({ok, #{<<"result">> := <<"0ab">>}}, hb_ao:resolve(Stack, <<"append">>, #{}))
        end},
        {"skip ends the stack, a value that is no message is its answer", fun() ->
            Skip = stack([appender(<<"a">>, skip), appender(<<"b">>)]),
            ?assertMatch(
                {ok, #{<<"result">> := <<"0a">>, <<"device">> := <<"stack@1.0">>}},
                hb_ao:resolve(Skip, <<"append">>, #{})
            ),
            Raw = stack([#{append => fun() -> {ok, raw} end}, appender(<<"b">>)]),
            ?assertEqual({ok, raw}, hb_ao:resolve(Raw, <<"append">>, #{}))
        end},
        {"multipass runs the stack again until it has had its passes", fun() ->
            Pass = #{append => fun(Base = #{<<"pass">> := Pass, <<"result">> := Before}) ->
                {ok, Base#{<<"result">> => <<Before/binary, (integer_to_binary(Pass))/binary>>}}
            end},
            Stack = stack([Pass, <<"multipass@1.0">>], #{<<"passes">> => 3}),
            {ok, Result} = hb_ao:resolve(Stack, <<"append">>, #{}),
            ?assertMatch(#{<<"result">> := <<"0123">>}, Result),
            ?assertNot(is_map_key(<<"pass">>, Result)),
            ?assertMatch({ok, _}, hb_ao:resolve(#{<<"device">> => <<"multipass@1.0">>}, <<"any">>, #{})),
            ?assertMatch(
                {pass, _},
                hb_ao:resolve(#{<<"device">> => <<"multipass@1.0">>, <<"passes">> => 2}, <<"any">>, #{})
            )
        end},
        {"a device's error is an error of the node, or of the stack", fun() ->
            Stack = stack([#{append => fun() -> {error, why} end}]),
            ?assertError(
                {device_failed, {dev_num, 1}, {msg1, _}, {msg2, _}, {info, why}},
                hb_ao:resolve(Stack, <<"append">>, #{})
            ),
            ?assertMatch(
                {error, {stack_call_failed, _, _, 1, why}},
                hb_ao:resolve(Stack, <<"append">>, #{error_strategy => stop})
            )
        end},
        {"map collects each device's answer under its key", fun() ->
            Stack = stack([appender(<<"a">>), dev_test_math, appender(<<"b">>)]),
            Request = #{<<"path">> => <<"append">>, <<"mode">> => <<"Map">>},
            {ok, Result} = hb_ao:resolve(Stack, Request, ?IGNORE),
            ?assertMatch(#{<<"1">> := #{<<"result">> := <<"0a">>}, <<"3">> := #{<<"result">> := <<"0b">>}}, Result),
            ?assertNot(is_map_key(<<"2">>, Result)),
            {ok, ByBase} = hb_ao:resolve(Stack#{<<"mode">> => <<"Map">>}, <<"append">>, ?IGNORE),
            ?assertMatch(#{<<"1">> := #{<<"result">> := <<"0a">>}, <<"3">> := #{<<"result">> := <<"0b">>}}, ByBase)
        end},
        {"stack-keys limits what goes to the devices", fun() ->
            Stack = stack([appender(<<"a">>)], #{<<"stack-keys">> => [<<"append">>]}),
            ?assertMatch({ok, #{<<"result">> := <<"0a">>}}, hb_ao:resolve(Stack, <<"append">>, #{})),
            ?assertEqual({ok, <<"0">>}, hb_ao:resolve(Stack, <<"result">>, #{}))
        end},
        {"without stack-keys even a look at a key runs the stack", fun() ->
            Note = fun(Key, Base) -> {ok, Base#{<<"asked">> => Key}} end,
            Ask = #{info => fun() -> #{handler => Note, excludes => [set, keys]} end},
            {ok, Result} = hb_ao:resolve(stack([Ask]), <<"result">>, #{}),
            ?assertMatch(#{<<"asked">> := <<"result">>}, Result),
            ?assertEqual(<<"0">>, hb_ao:get(<<"result">>, {as, <<"message@1.0">>, stack([Ask])}, #{}))
        end}
    ]).

%%% Prefixes: dev_stack:prefix/3, input_prefix/3, output_prefix/3, transform/3

prefixes_test_() ->
    Copy = #{copy => fun(Base, Request, Opts) ->
        In = dev_stack:input_prefix(Base, Request, Opts),
        Out = dev_stack:prefix(Base, Request, Opts),
        {ok, hb_ao:set(Base, <<Out/binary, "/k">>, hb_ao:get(<<In/binary, "/k">>, Request, Opts), Opts)}
    end},
    Request = #{<<"path">> => <<"copy">>, <<"k">> => 0, <<"in1">> => #{<<"k">> => 1}, <<"in2">> => #{<<"k">> => 2}},
    Get = fun(Path, Message) -> hb_ao:get(Path, {as, <<"message@1.0">>, Message}, #{}) end,
    on_both([
        {"without one both are empty, and paths begin at the message", fun() ->
            ?assertEqual(<<>>, dev_stack:prefix(#{}, #{}, #{})),
            ?assertEqual(<<>>, dev_stack:input_prefix(#{}, #{}, #{})),
            {ok, Result} = hb_ao:resolve(#{<<"device">> => Copy}, Request, #{}),
            ?assertEqual(0, Get(<<"k">>, Result))
        end},
        {"the message's own are used, whatever its device", fun() ->
            Message = #{<<"device">> => Copy, <<"input-prefix">> => <<"in1">>, <<"output-prefix">> => <<"out">>},
            {ok, Result} = hb_ao:resolve(Message, Request, #{}),
            ?assertEqual(1, Get(<<"out/k">>, Result))
        end},
        {"a stack gives each device its own, by number", fun() ->
            [
                begin
                    Keys = #{<<"input-prefixes">> => Ins, <<"output-prefixes">> => Outs},
                    {ok, Result} = hb_ao:resolve(stack([Copy, Copy], Keys), Request, #{}),
                    ?assertEqual(1, Get(<<"out1/k">>, Result)),
                    ?assertEqual(2, Get(<<"out2/k">>, Result))
                end
             || {Ins, Outs} <- [
                    {[<<"in1">>, <<"in2">>], [<<"out1">>, <<"out2">>]},
                    {#{1 => <<"in1">>, 2 => <<"in2">>}, #{<<"1">> => <<"out1">>, <<"2">> => <<"out2">>}}
                ]
            ]
        end},
        {"a device without one runs with what is there", fun() ->
            Keys = #{<<"output-prefix">> => <<"out">>, <<"input-prefix">> => <<"in1">>},
            {ok, Result} = hb_ao:resolve(stack([Copy, Copy], Keys), Request, #{}),
            ?assertEqual(1, Get(<<"out/k">>, Result)),
            ?assertMatch(#{<<"output-prefix">> := <<"out">>, <<"input-prefix">> := <<"in1">>}, Result)
        end},
        {"what a stack leaves is the prefix before its last device", fun() ->
            Keys = #{<<"output-prefixes">> => [<<"out1">>, <<"out2">>]},
            {ok, Result} = hb_ao:resolve(stack([Copy, Copy], Keys), Request, #{}),
            ?assertMatch(#{<<"output-prefix">> := <<"out1">>}, Result)
        end}
    ]).

%%% The cache: hb_cache:write/2, read/2; on edge ensure_loaded/2, prepare_links/4

cache_test_() ->
    {setup, fun cache/0, fun forget/1, fun cache_tests/1}.

cache_tests(Cache) ->
    Public = #{<<"body">> => <<0, 1, 2>>, <<"n">> => 1, <<"m">> => #{<<"k">> => <<"v">>}},
    Message = Public#{<<"priv">> => #{<<"x">> => 1}},
    on_both([
        {"a message is read by its ID, what is private is not written", fun() ->
            {ok, ID} = hb_cache:write(Message, Cache),
            ?assertEqual(hb_message:id(Message), ID),
            {ok, Read} = hb_cache:read(ID, Cache),
            ?assertEqual([<<"body">>, <<"m">>, <<"n">>], lists:sort(maps:keys(Read))),
            ?assertEqual(<<0, 1, 2>>, hb_ao:get(<<"body">>, Read, Cache)),
            ?assertEqual({ok, 1}, dev_message:get(<<"n">>, Read, Cache)),
            ?assertEqual(<<"v">>, hb_ao:get(<<"m/k">>, Read, Cache)),
            ?assertEqual({ok, <<0, 1, 2>>}, hb_cache:read(<<ID/binary, "/body">>, Cache)),
            ?assertEqual({ok, ID}, dev_message:id(Read, #{}, Cache))
        end},
        {"a binary is read by the path that write gives", fun() ->
            {ok, Path} = hb_cache:write(<<"bytes">>, Cache),
            ?assertEqual({ok, <<"bytes">>}, hb_cache:read(Path, Cache))
        end},
        {"what is not there is not found", fun() ->
            ?assertEqual(not_found, hb_cache:read(binary:copy(<<"x">>, 43), Cache))
        end},
        {"equal messages have one ID", fun() ->
            {ok, ID} = hb_cache:write(Message, Cache),
            ?assertEqual({ok, ID}, hb_cache:write(maps:remove(<<"priv">>, Message), Cache))
        end},
        {"an ID alone is resolved to its message", fun() ->
            {ok, ID} = hb_cache:write(Message, Cache),
            {ok, Read} = hb_ao:resolve_many([ID], Cache),
            ?assertEqual(1, hb_ao:get(<<"n">>, Read, Cache)),
            ?assertEqual({error, not_found}, hb_ao:resolve_many([binary:copy(<<"x">>, 43)], Cache))
        end}
    ]) ++ [fun() -> values_are_links_on_edge(Cache) end, fun() -> setting_a_map_over_a_link_replaces_it(Cache) end].

%% hb_cache:read/2: whole on main; on edge the values are links, also plain ones.
values_are_links_on_edge(Cache) ->
    Read = fun() ->
        {ok, ID} = hb_cache:write(#{<<"body">> => <<"b">>}, Cache),
        {ok, Message} = hb_cache:read(ID, Cache),
        case Message of
            #{<<"body">> := {link, Path, LinkOpts}} -> {link, hb_cache:ensure_loaded({link, Path, LinkOpts}, Cache)};
            #{<<"body">> := Body} -> Body
        end
    end,
    maybe_equal(<<"b">>, main, Read),
    maybe_equal({link, <<"b">>}, edge, Read).

%% hb_util:deep_merge/3, edge: what is set under the key of a link replaces what it leads to, unless it is set by path.
setting_a_map_over_a_link_replaces_it(Cache) ->
    Set = fun() ->
        {ok, ID} = hb_cache:write(#{<<"results">> => #{<<"old">> => <<"1">>}}, Cache),
        {ok, Read} = hb_cache:read(ID, Cache),
        {ok, ByMap} = dev_message:set(Read, #{<<"results">> => #{<<"new">> => <<"2">>}}, Cache),
        ByPath = hb_ao:set(Read, #{<<"results/new">> => <<"2">>}, Cache),
        [hb_ao:get(<<"results/old">>, Message, Cache) || Message <- [ByMap, ByPath]]
    end,
    maybe_equal([<<"1">>, <<"1">>], main, Set),
    maybe_equal([not_found, <<"1">>], edge, Set).

%% A directory, named as on both branches.
cache() ->
    Name = lists:concat(["ao_core_tests.", os:getpid(), ".", erlang:unique_integer([positive])]),
    Directory = list_to_binary(filename:join(os:getenv("TMPDIR", "/tmp"), Name)),
    ok = filelib:ensure_dir(filename:join(Directory, "any")),
    #{store => #{<<"store-module">> => hb_store_fs, <<"prefix">> => Directory, <<"name">> => Directory}}.

forget(#{store := #{<<"prefix">> := Directory}}) -> ok = file:del_dir_r(Directory).

%%% Options: hb_opts:get/1,2,3

options_test() ->
    ?assertEqual(1, hb_opts:get(mine, 0, #{mine => 1})),
    ?assertEqual(0, hb_opts:get(mine, 0, #{})),
    ?assertEqual(undefined, hb_opts:get(no_such_option)),
    ?assertEqual(false, hb_opts:get(wasm_allow_aot, default, #{})),
    ?assertEqual(true, hb_opts:get(wasm_allow_aot, default, #{wasm_allow_aot => true})),
    ?assertEqual(true, hb_opts:get(<<"wasm_allow_aot">>, default, #{wasm_allow_aot => true})),
    ?assertEqual(default, hb_opts:get(wasm_allow_aot, default, #{only => local})),
    ?assertEqual(false, hb_opts:get(wasm_allow_aot, default, #{wasm_allow_aot => true, prefer => global})).

%%% From here on: what HyperBEAM does not have.

%%% The cache in memory

a_message_written_by_one_process_is_read_by_another_test() ->
    Message = #{<<"k">> => make_ref(), <<"f">> => fun() -> x end, <<"n">> => erlang:unique_integer()},
    Self = self(),
    {_, Monitor} = spawn_monitor(fun() -> Self ! {written, hb_cache:write(Message, #{})} end),
    receive {'DOWN', Monitor, process, _, Reason} -> ?assertEqual(normal, Reason) end,
    {ok, ID} = receive {written, Written} -> Written end,
    {ok, Read} = hb_cache:read(ID, #{}),
    ?assertMatch(#{<<"f">> := <<"#Fun<", _/binary>>}, Read),
    ?assertNot(is_map_key(<<"k">>, Read)).

two_directories_are_two_caches_test_() ->
    {setup, fun() -> {cache(), cache()} end, fun({One, Other}) -> forget(One), forget(Other) end,
        fun({One, Other}) -> fun() ->
            {ok, ID} = hb_cache:write(#{<<"k">> => <<"v">>}, One),
            ?assertMatch({ok, _}, hb_cache:read(ID, One)),
            ?assertEqual(not_found, hb_cache:read(ID, Other))
        end end}.

%%% Counting

calls_are_counted_in_all_processes_while_someone_counts_test() ->
    Get = fun() -> hb_ao:get(<<"a/b">>, #{<<"a">> => #{<<"b">> => 1}}, ?IGNORE) end,
    {1, Counts} = ao_core_counter:count(fun() ->
        {_, Monitor} = spawn_monitor(Get),
        receive {'DOWN', Monitor, process, _, normal} -> Get() end
    end),
    ?assertMatch(#{{hb_ao, get} := 2, {hb_ao, resolve} := 2, {hb_ao, step} := 4}, Counts),
    ?assertNot(is_map_key({hb_path, hashpath}, Counts)),
    _ = Get(),
    ?assertEqual({ok, #{}}, ao_core_counter:count(fun() -> ok end)).

%%% What only one branch has

calls_that_one_branch_lacks_are_found_test() ->
    Devices = [dev_test_iface, dev_test_kv, dev_test_math, dev_test_remote, dev_test_wasi],
    [?assertEqual([], ao_core:unportable_calls(Device)) || Device <- Devices],
    Unportable = ao_core:unportable_calls(hb_ao),
    ?assert(lists:member({hb_cache, ensure_loaded, 2}, Unportable)),
    ?assertNot(lists:member({dev_message, get, 3}, Unportable)).

%%% The import devices

%% The function that a call to a guest hands its imports to: what a WASM device makes of them, without its prefixes.
imports_of(Device) ->
    fun(State, #{instance := Instance, func := Func, args := Args, func_sig := Signature}, Opts) ->
        Base = #{<<"device">> => Device, <<"state">> => hb_private:set(State, #{<<"instance">> => Instance}, Opts)},
        Request = #{
            <<"path">> => list_to_binary(Func),
            <<"args">> => Args,
            <<"func-sig">> => list_to_binary(Signature)
        },
        {ok, Answer} = hb_ao:resolve(Base, Request, Opts),
        {ok, hb_ao:get(<<"results">>, Answer, Opts), hb_ao:get(<<"state">>, Answer, Opts)}
    end.

math_answers_a_guest_test() ->
    {ok, Handle, _, _} = hb_beamr:start(hb_support:guest("imports")),
    Import = imports_of(<<"test-math@1.0">>),
    ?assertMatch({ok, [55], _}, hb_beamr:call(Handle, "call_many", [10], Import, #{}, ?IGNORE)).

kv_keeps_its_data_in_the_state_test_() ->
    on_both([
        {"kv", fun() ->
            Ask = fun(Func, Args, State) ->
                Request = #{<<"path">> => Func, <<"args">> => Args},
                {ok, Answer} = hb_ao:resolve(#{<<"device">> => dev_test_kv, <<"state">> => State}, Request, #{}),
                #{<<"results">> := Results, <<"state">> := NewState} = Answer,
                {Results, NewState}
            end,
            {[0], State0} = Ask(<<"fetch">>, [7], #{<<"other">> => 1}),
            {[], State1} = Ask(<<"put">>, [7, 42], State0),
            {[], State2} = Ask(<<"put">>, [-1, 43], State1),
            ?assertMatch({[42], _}, Ask(<<"fetch">>, [7], State2)),
            ?assertMatch({[43], _}, Ask(<<"fetch">>, [-1], State2)),
            ?assertEqual(#{<<"other">> => 1, <<"kv">> => #{<<"7">> => 42, <<"-1">> => 43}}, State2)
        end}
    ]).

wasi_gathers_what_the_vectors_name_test_() ->
    [
        {integer_to_list(Bits), fun() ->
            {ok, Handle, _, _} = hb_beamr:start(hb_support:guest("memory")),
            Vectors = <<64:Bits/little, 7:Bits/little, 71:Bits/little, 6:Bits/little>>,
            ok = hb_beamr_io:write(Handle, 256, Vectors),
            State = hb_private:set(
                #{<<"output-prefix">> => <<"p">>, <<"console">> => #{<<"1">> => <<"> ">>}},
                #{<<"p/instance">> => Handle},
                #{}
            ),
            Request = #{<<"path">> => <<"fd_write">>, <<"args">> => [1, 256, 2, 512], <<"func-sig">> => Signature},
            {ok, Answer} = hb_ao:resolve(#{<<"device">> => <<"test-wasi@1.0">>, <<"state">> => State}, Request, #{}),
            ?assertEqual([0], hb_ao:get(<<"results">>, Answer, #{})),
            ?assertEqual(<<"> Hello, World!">>, hb_ao:get(<<"state/console/1">>, Answer, #{})),
            ?assertEqual({ok, <<13:Bits/little>>}, hb_beamr_io:read(Handle, 512, Bits div 8))
        end}
     || {Bits, Signature} <- [{32, <<"(iiii)i">>}, {64, <<"(iIII)i">>}]
    ].

another_process_works_in_the_memory_of_the_waiting_guest_test() ->
    {ok, Handle, _, _} = hb_beamr:start(hb_support:guest("imports")),
    Import = imports_of(<<"test-remote@1.0">>),
    {ok, [], State} = hb_beamr:call(Handle, "call_log", [], Import, #{}, ?IGNORE),
    ?assertMatch(#{<<"log">> := [<<"Hello, host!">>]}, State),
    ?assertEqual({ok, <<"HELLO, HOST!">>}, hb_beamr_io:read(Handle, 64, 12)),
    ?assertMatch({ok, [5], _}, hb_beamr:call(Handle, "call_add", [2, 3], Import, State, ?IGNORE)),
    ?assertMatch({ok, [3], _}, hb_beamr:call(Handle, "call_callback", [3], Import, State, ?IGNORE)).

the_interface_writes_before_the_call_and_reads_after_it_test_() ->
    Wasm = #{compute => fun
        (Base = #{<<"pass">> := 1, <<"parameters">> := Pointers, <<"function">> := <<"handle">>}, _, Opts) ->
            {ok, hb_ao:set(Base, #{<<"results/wasm">> => #{<<"type">> => ok, <<"output">> => Pointers}}, Opts)};
        (Base, _, _) ->
            {ok, Base}
    end},
    on_both([
        {"interface", fun() ->
            Stack = stack([<<"test-iface@1.0">>, Wasm, <<"multipass@1.0">>], #{
                <<"passes">> => 2,
                <<"output-prefix">> => <<"wasm">>,
                <<"env">> => <<"env">>,
                <<"stack-keys">> => [<<"init">>, <<"compute">>]
            }),
            Guest = #{
                <<"wasm/write">> => fun(Text) -> {ok, {at, Text}} end,
                <<"wasm/read">> => fun([{at, Text}, {at, Env}]) -> {ok, <<Env/binary, ":", Text/binary>>} end
            },
            {ok, Ready} = hb_ao:resolve(hb_private:set(Stack, Guest, #{}), <<"init">>, #{}),
            {ok, Result} = hb_ao:resolve(Ready, #{<<"path">> => <<"compute">>, <<"body">> => <<"message">>}, #{}),
            ?assertEqual(<<"env:message">>, hb_ao:get(<<"results/text">>, Result, #{}))
        end}
    ]).
