%% @doc Where compiled code is kept on disk, so that a node that starts again compiles nothing it has compiled before.
%%
%% <table>
%% <tr><th>key of the application's environment</th><th>default</th><th>value</th></tr>
%% <tr><td>`disk_cache'</td><td>`true'</td><td>`true': in the user's cache directory, `~/.cache/hb_wasm64/code' on Linux; `false':
%%     nowhere; else the directory</td></tr>
%% <tr><td>`disk_cache_bytes'</td><td>4,294,967,296</td><td>bytes that its files may take together. Those that were not used for the
%%     longest make room</td></tr>
%% <tr><td>`code_key'</td><td>`true'</td><td>the file of the key that the code is sealed with, there and
%%     in artifacts; `true': one in the user's data
%%     directory, `~/.local/share/hb_wasm64/key' on Linux. It is made where there is none: 32 random bytes that only its owner
%%     reads. Nodes that share a directory and not the key compile for themselves</td></tr>
%% </table>
%% Whoever can write the directory can at most have code compiled again: what has not the right seal is not used. Whoever can read
%% the key, or is the node's own user, can run code in the node.
%%
%% Where a directory or key cannot be used, a warning says why, and the node works without.
-module(hb_wasm64_disk).

-export([apply_settings/1, key/0]).

-include_lib("kernel/include/logger.hrl").

%% @doc Makes the environment hold: the keys whose values are of no use, with them. With `quiet' a directory that cannot be used is
%% not reported.
-spec apply_settings(report | quiet) -> [{Key :: atom(), Value :: term()}].
apply_settings(Report) ->
    Settings = [{disk_cache, true, fun is_place/1}, {disk_cache_bytes, 4294967296, fun is_size/1}, {code_key, true, fun is_file/1}],
    Values = [{Key, application:get_env(hb_wasm64, Key, Default), Is} || {Key, Default, Is} <- Settings],
    case [{Key, Value} || {Key, Value, Is} <- Values, not Is(Value)] of
        [] ->
            [Directory, Bytes, KeyFile] = [Value || {_, Value, _} <- Values],
            keep(Directory, Bytes, KeyFile, Report);
        Refused ->
            Refused
    end.

keep(false, _Bytes, _KeyFile, _Report) ->
    ok = hb_wasm64_nif:keep_nothing_on_disk(),
    [];
keep(Directory, Bytes, KeyFile, Report) ->
    Place = place(Directory, user_cache, "code"),
    case hb_wasm64_nif:keep_on_disk(Place, key(KeyFile), Bytes) of
        ok ->
            [];
        {error, {host, _}} when Report =:= quiet ->
            [];
        {error, {host, Text}} ->
            ?LOG_WARNING("compiled code is not kept on disk: ~ts", [Text], #{library => hb_wasm64}),
            []
    end.

%% @doc The file of the key.
-spec key() -> {ok, binary()} | {error, {invalid_option, code_key, term()}}.
key() ->
    KeyFile = application:get_env(hb_wasm64, code_key, true),
    case is_file(KeyFile) of
        true -> {ok, key(KeyFile)};
        false -> {error, {invalid_option, code_key, KeyFile}}
    end.

key(KeyFile) -> place(KeyFile, user_data, "key").

place(true, Base, Name) -> place(filename:join(filename:basedir(Base, "hb_wasm64"), Name), Base, Name);
place(Path, _Base, _Name) when is_binary(Path) -> Path;
place(Path, _Base, _Name) -> encoded(Path).

encoded(Path) -> unicode:characters_to_binary(Path, unicode, file:native_name_encoding()).

is_place(Value) -> is_boolean(Value) orelse is_file(Value).

is_size(Value) -> is_integer(Value) andalso Value >= 0 andalso Value < 1 bsl 64.

is_file(true) -> true;
is_file(Value) when is_binary(Value) -> byte_size(Value) > 0;
is_file(Value) -> is_list(Value) andalso Value =/= [] andalso io_lib:char_list(Value) andalso is_binary(encoded(Value)).
