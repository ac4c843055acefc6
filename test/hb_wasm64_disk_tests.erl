%% Compiled code on disk, by VMs that start one after the other and side by side.
-module(hb_wasm64_disk_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").

settings(Root) ->
    #{disk_cache => filename:join(Root, "code"), code_key => list_to_binary(filename:join(Root, "key"))}.

files(Root) -> filelib:wildcard(filename:join([Root, "code", "*.code"])).

rust() ->
    {ok, Packed} = file:read_file(filename:join([hb_support:root(), "test/guests/wasi/program_rs.wasm.gz"])),
    zlib:gunzip(Packed).

%% One with a gas meter, unlike all others.
image() -> hb_support:fresh(hb_support:guest("metered")).

%% What a VM with these settings has of Fun, and what its library has logged meanwhile.
vm(Settings, Fun) ->
    Peer = hb_support:peer(),
    Result = hb_support:on_peer(Peer, fun() ->
        %% To listen takes an image, which is not to be kept.
        ok = application:load(hb_wasm64),
        ok = application:set_env(hb_wasm64, disk_cache, false),
        {ok, _} = application:ensure_all_started(hb_wasm64),
        Listening = hb_log_support:listen(),
        ok = hb_wasm64:log_level(info),
        ok = application:stop(hb_wasm64),
        [ok = application:set_env(hb_wasm64, Key, Value) || {Key, Value} <- maps:to_list(Settings)],
        {ok, _} = application:ensure_all_started(hb_wasm64),
        %% Nobody has it in memory after that.
        ok = hb_wasm64_nif:set_limit(cached_images, 1),
        Result = Fun(),
        {error, _} = hb_wasm64:start(<<"no image">>),
        Texts = [Text || #{text := Text} <- hb_log_support:records_up_to("refused an image of 8 bytes")],
        ok = hb_log_support:unlisten(Listening),
        {Result, Texts}
    end),
    ok = peer:stop(Peer),
    Result.

%% Starts an image, and lets its code be written: what it is, and results, fuel and state of a call.
used(Root, Image, Files) ->
    {ok, H} = hb_wasm64:start(Image),
    Result = {hb_wasm64:describe(H), hb_wasm64:call(H, "seven", [], #{usage => true}), hb_wasm64:snapshot(H)},
    true = hb_support:wait_until(fun() -> length(files(Root)) >= Files end),
    Result.

said(Prefix, {_, Texts}) -> length([Text || Text <- Texts, lists:prefix(Prefix, Text)]).

compiled(Ran) -> said("compiled an image", Ran).

found(Ran) -> said("found the code of an image on disk", Ran).

%% In a directory of its own.
tests(Tests) ->
    [{Name, {timeout, 300, fun() ->
        Root = directory(),
        try Test(Root) after ok = file:del_dir_r(Root) end
    end}} || {Name, Test} <- Tests].

directory() ->
    Root = string:trim(os:cmd("mktemp -d")),
    true = filelib:is_dir(Root),
    Root.

disk_test_() -> tests([
    {"a VM that starts again compiles nothing, and everything is the same", fun(Root) ->
        Image = image(),
        First = vm(settings(Root), fun() -> used(Root, Image, 1) end),
        Second = vm(settings(Root), fun() -> used(Root, Image, 1) end),
        ?assertEqual({1, 0}, {compiled(First), found(First)}),
        ?assertEqual({0, 1}, {compiled(Second), found(Second)}),
        ?assertEqual(element(1, First), element(1, Second)),
        ?assertMatch({{ok, #{}}, {ok, [7], #{gas_used := 3}}, {ok, <<_/binary>>}}, element(1, First))
    end},
    {"images of every kind are the same from disk", fun(Root) ->
        Names = ["state", "state_start", "tables", "exceptions_mixed", "objects", "many_memories", "memory64", "bulk", "imports",
                 "emscripten/throw64"],
        Images = [hb_support:guest(Name) || Name <- Names] ++ [rust()],
        Look = fun() ->
            Looks = [begin
                {ok, H} = hb_wasm64:start(Image),
                {hb_wasm64:describe(H), hb_wasm64:snapshot(H), hb_wasm64:host(H)}
            end || Image <- Images],
            true = hb_support:wait_until(fun() -> length(files(Root)) >= length(Images) end),
            Looks
        end,
        First = vm(settings(Root), Look),
        Second = vm(settings(Root), Look),
        ?assertEqual({0, length(Images)}, {compiled(Second), found(Second)}),
        ?assertEqual(element(1, First), element(1, Second))
    end},
    {"an image that is hashed by a compiler's thread is looked for by it", fun(Root) ->
        %% With a custom section of 5 MB.
        Image = <<(image())/binary, 0, 16#c2, 16#96, 16#b1, 2, 1, "x", 0:(5_000_000 * 8)>>,
        First = vm(settings(Root), fun() -> used(Root, Image, 1) end),
        Second = vm(settings(Root), fun() -> used(Root, Image, 1) end),
        ?assertEqual({1, 0, 0, 1}, {compiled(First), found(First), compiled(Second), found(Second)}),
        ?assertEqual(element(1, First), element(1, Second))
    end},
    {"the files belong to their owner alone", fun(Root) ->
        _ = vm(settings(Root), fun() -> used(Root, image(), 1) end),
        Modes = [begin {ok, #file_info{mode = Mode}} = file:read_file_info(File), Mode band 8#777 end
                 || File <- [filename:join(Root, "key"), filename:join(Root, "code") | files(Root)]],
        ?assertEqual([8#600, 8#700, 8#600], Modes)
    end},
    {"a damaged file is compiled again and replaced", fun(Root) ->
        Image = image(),
        First = vm(settings(Root), fun() -> used(Root, Image, 1) end),
        [File] = files(Root),
        {ok, Good} = file:read_file(File),
        Middle = byte_size(Good) div 2,
        <<Before:Middle/binary, Byte, After/binary>> = Good,
        [begin
            ok = file:write_file(File, Bad),
            Again = vm(settings(Root), fun() ->
                Used = used(Root, Image, 1),
                true = hb_support:wait_until(fun() -> file:read_file(File) =/= {ok, Bad} end),
                Used
            end),
            ?assertEqual({1, 0, 1}, {compiled(Again), found(Again), said("compiled code of an image is not used", Again)}),
            ?assertEqual(element(1, First), element(1, Again)),
            Then = vm(settings(Root), fun() -> used(Root, Image, 1) end),
            ?assertEqual({0, 1}, {compiled(Then), found(Then)})
        end || Bad <- [<<Before/binary, (Byte bxor 1), After/binary>>, Before, <<>>, <<"something else">>]]
    end},
    {"who can write the directory and has not the key runs nothing", fun(Root) ->
        Image = image(),
        Own = settings(Root),
        _ = vm(Own#{code_key := filename:join(Root, "other")}, fun() -> used(Root, Image, 1) end),
        Ran = vm(Own, fun() -> used(Root, Image, 1) end),
        ?assertEqual({1, 0}, {compiled(Ran), found(Ran)}),
        ?assertMatch([_], [Text || "compiled code of an image is not used" ++ _ = Text <- element(2, Ran),
                                   string:find(Text, "another key") =/= nomatch])
    end},
    {"code of one image cannot take another's place", fun(Root) ->
        [One, Other] = [image(), image()],
        _ = vm(settings(Root), fun() -> used(Root, One, 1) end),
        [File] = files(Root),
        {ok, Code} = file:read_file(File),
        _ = vm(settings(Root), fun() -> used(Root, Other, 2) end),
        [ok = file:write_file(Name, Code) || Name <- files(Root)],
        Ran = vm(settings(Root), fun() -> used(Root, Other, 2) end),
        ?assertEqual({1, 0}, {compiled(Ran), found(Ran)})
    end},
    {"two VMs may use a directory at once", fun(Root) ->
        Images = [image() || _ <- lists:seq(1, 10)],
        Self = self(),
        Use = fun() -> [used(Root, Image, 1) || Image <- Images] end,
        [spawn_link(fun() -> Self ! {ran, element(1, vm(settings(Root), Use))} end) || _ <- [1, 2]],
        [One, Other] = [receive {ran, Ran} -> Ran end || _ <- [1, 2]],
        ?assertEqual(One, Other),
        ?assertEqual(10, length(files(Root))),
        Then = vm(settings(Root), Use),
        ?assertEqual({0, 10}, {compiled(Then), found(Then)})
    end},
    {"what a killed writer leaves is in nobody's way", fun(Root) ->
        Part = filename:join([Root, "code", "1-0.part"]),
        ok = filelib:ensure_dir(Part),
        ok = file:write_file(Part, <<"a part">>),
        Image = image(),
        _ = vm(settings(Root), fun() -> used(Root, Image, 1) end),
        Then = vm(settings(Root), fun() -> used(Root, Image, 1) end),
        ?assertEqual({0, 1}, {compiled(Then), found(Then)})
    end},
    {"files that were not used for the longest make room", fun(Root) ->
        Size = vm(settings(Root), fun() -> used(Root, image(), 1), filelib:file_size(hd(files(Root))) end),
        Most = (settings(Root))#{disk_cache_bytes => 3 * element(1, Size)},
        {_, []} = {vm(Most, fun() -> [used(Root, image(), 1) || _ <- lists:seq(1, 8)] end), []},
        ?assert(length(files(Root)) =< 3)
    end},
    {"where nothing fits or can be written everything is compiled", fun(Root) ->
        ok = file:write_file(filename:join(Root, "file"), <<>>),
        ok = file:change_mode(filename:join(Root, "file"), 8#644),
        Own = settings(Root),
        Image = image(),
        Expected = element(1, vm(Own#{disk_cache := false}, fun() -> used(Root, Image, 0) end)),
        [begin
            {Result, Texts} = Ran = vm(maps:merge(Own, Other), fun() -> used(Root, Image, 0) end),
            ?assertEqual(Expected, Result),
            ?assertEqual({1, 0}, {compiled(Ran), found(Ran)}),
            ?assertMatch([_], [Text || Text <- Texts, string:find(Text, Warning) =/= nomatch])
        end || {Other, Warning} <- [
            {#{disk_cache => filename:join(Root, "file")}, "compiled code is not kept on disk"},
            {#{code_key => filename:join(Root, "file")}, "others can read or write the key"}
        ]],
        %% This is told when the image has long been there.
        {{Result, Records}, _} = vm(Own#{disk_cache_bytes => 10}, fun() ->
            Used = used(Root, Image, 0),
            {Used, hb_log_support:records_up_to("compiled code of an image cannot be kept on disk")}
        end),
        ?assertEqual(Expected, Result),
        Ran = {Result, [Text || #{text := Text} <- Records]},
        ?assertEqual({1, 0}, {compiled(Ran), found(Ran)}),
        ?assertEqual([], files(Root))
    end},
    {"a hundred who ask at once have it compiled once, whoever of them is killed", fun(Root) ->
        Image = image(),
        Many = fun() ->
            Asking = [spawn_monitor(fun() -> {ok, _} = hb_wasm64:start(Image), exit(started) end) || _ <- lists:seq(1, 100)],
            [exit(Pid, kill) || {Pid, _} <- lists:sublist(Asking, 50)],
            Ended = [receive {'DOWN', Monitor, process, _, Reason} -> Reason end || {_, Monitor} <- Asking],
            true = hb_support:wait_until(fun() -> length(files(Root)) =:= 1 end),
            lists:nthtail(50, Ended)
        end,
        First = vm(settings(Root), Many),
        Second = vm(settings(Root), Many),
        [?assertEqual(lists:duplicate(50, started), element(1, Ran)) || Ran <- [First, Second]],
        ?assertEqual({1, 0}, {compiled(First), found(First)}),
        ?assertEqual({0, 1}, {compiled(Second), found(Second)})
    end},
    {"values that mean nothing are refused", fun(Root) ->
        Peer = hb_support:peer(),
        [begin
            Settings = maps:put(Key, Value, (settings(Root))#{disk_cache_bytes => 1000}),
            Refused = hb_support:on_peer(Peer, fun() ->
                _ = application:load(hb_wasm64),
                [ok = application:set_env(hb_wasm64, K, V) || {K, V} <- maps:to_list(Settings)],
                application:start(hb_wasm64)
            end),
            ?assertMatch({error, {{invalid_option, Key, Value}, _}}, Refused)
        end || {Key, Value} <- [{disk_cache, 7}, {disk_cache, ""}, {disk_cache, yes}, {disk_cache_bytes, -1},
                                {disk_cache_bytes, all}, {code_key, false}, {code_key, <<>>}]],
        ok = peer:stop(Peer)
    end}
]).
