%% @doc The image of a message, and the mode in which it is to run.
-module(dev_wasm64_image).

-export([find/2, mode/2, started_in/2]).

-include_lib("kernel/include/logger.hrl").

%% An ID of a message: native, base64url, or an address of 20 bytes in hexadecimal.
-define(IS_ID(Bin), (byte_size(Bin) =:= 32 orelse byte_size(Bin) =:= 43 orelse byte_size(Bin) =:= 42)).

%% @doc The image at `In/image', or else at `body', with the key where it was found. What is in none of the node's stores has
%% the status 404, what the node failed to read 503: another node may find and read it.
-spec find(map(), map()) ->
    {ok, Key :: binary(), Image :: binary()} | lib_wasm64_error:fault() | lib_wasm64_error:failure().
find(Base, Opts) ->
    Path = lib_wasm64_message:input_prefix(Base, Opts) ++ [<<"image">>],
    Key = lib_wasm64_message:path(Path),
    try
        find(Path, Key, Base, Opts)
    catch
        Class:Reason:Stacktrace ->
            case lib_wasm64_kernel:is_unavailable(Class, Reason) of
                true ->
                    fail(Key, 404, <<"a part of it is in none of the node's stores">>);
                false ->
                    ?LOG_ERROR(
                        "~ts cannot be read: ~p:~0P ~0P", [Key, Class, Reason, 30, Stacktrace, 60],
                        #{library => hb_wasm64}
                    ),
                    fail(Key, 503, <<"the node failed to read it">>)
            end
    end.

find(Path, Key, Base, Opts) ->
    case lib_wasm64_message:find(Path, Base, Opts) of
        {ok, Image} ->
            image(Key, Image, Opts);
        not_found ->
            case lib_wasm64_message:find([<<"body">>], Base, Opts) of
                %% On some nodes a request without a body has this one.
                {ok, <<>>} -> refuse(Key, 400, <<"not set, and body is empty">>);
                {ok, Image} when is_binary(Image) -> {ok, <<"body">>, Image};
                {ok, _} -> refuse(Key, 400, <<"not set, and body is not a binary">>);
                not_found -> refuse(Key, 400, <<"not set, and neither is body">>)
            end
    end.

image(Key, <<"\0asm", _/binary>> = Image, _Opts) ->
    {ok, Key, Image};
image(Key, ID, Opts) when is_binary(ID), ?IS_ID(ID) ->
    case lib_wasm64_kernel:read(hb_util:human_id(ID), Opts) of
        {ok, Image} when is_binary(Image) -> {ok, Key, Image};
        {ok, Message} when is_map(Message) -> image(Key, Message, Opts);
        failure -> fail(Key, 503, <<"a store of the node did not answer">>);
        _ -> fail(Key, 404, <<"no message with this ID was found">>)
    end;
image(Key, Message, Opts) when is_map(Message) ->
    case lib_wasm64_message:find([<<"body">>], Message, Opts) of
        {ok, Image} when is_binary(Image) -> {ok, Key, Image};
        {ok, _} -> refuse(Key, 400, <<"the body of the image message is not a binary">>);
        not_found -> refuse(Key, 400, <<"the image message has no body">>)
    end;
image(Key, Image, _Opts) when is_binary(Image) ->
    {ok, Key, Image};
image(Key, _Other, _Opts) ->
    refuse(Key, 400, <<"neither an ID, a message nor an image">>).

%% @doc The mode in which a node runs an image: that at `In/mode', or at `In/Mode' where the kernel tells these apart.
-spec mode(map(), map()) -> {ok, wasm | aot} | lib_wasm64_error:fault().
mode(Base, Opts) ->
    In = lib_wasm64_message:input_prefix(Base, Opts),
    first_not_wasm([mode(In, Key, Base, Opts) || Key <- [<<"mode">>, <<"Mode">>]]).

first_not_wasm([{ok, wasm} | Rest]) -> first_not_wasm(Rest);
first_not_wasm([Other | _]) -> Other;
first_not_wasm([]) -> {ok, wasm}.

mode(In, Key, Base, Opts) ->
    Path = In ++ [Key],
    case lib_wasm64_message:find(Path, Base, Opts) of
        not_found -> {ok, wasm};
        {ok, <<"WASM">>} -> {ok, wasm};
        {ok, <<"AOT">>} -> {ok, aot(Opts)};
        %% Without an input prefix the key is also that of a stack for its own mode.
        {ok, Mode} when In =:= [], Mode =:= <<"Fold">> orelse Mode =:= <<"Map">> -> {ok, wasm};
        {ok, _} -> refuse(lib_wasm64_message:path(Path), 400, <<"unknown mode; the modes are WASM and AOT">>)
    end.

aot(Opts) ->
    case hb_opts:get(wasm_allow_aot, false, Opts) of
        true -> aot;
        _ -> wasm
    end.

%% @doc The mode of {@link hb_wasm64:start/2} for an image. Code of a WebAssembly module is on the node's disk in either mode.
-spec started_in(wasm | aot, Image :: binary()) -> wasm | aot.
started_in(_Mode, <<"\0asm", _/binary>>) -> wasm;
started_in(Mode, _Image) -> Mode.

refuse(Key, Status, Text) -> lib_wasm64_error:fault(Key, Status, Text).

fail(Key, Status, Text) -> lib_wasm64_error:failure(Key, Status, Text).
