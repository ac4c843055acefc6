%% @doc The device `~wasm64@1.0': runs a WebAssembly image as a part of a process.
%%
%% `P' is the message's output prefix, `In' its input prefix (see HyperBEAM's `dev_stack'); an empty prefix is no level of
%% its own. Every key takes the base message, the request and the node's options.
%% <table>
%% <tr><th>key</th><th>reads</th><th>gives</th></tr>
%% <tr><td>`init'</td><td>`In/image': the ID of a message or of an image, a message with the image in `body', or the image
%%     itself; without it `body'. `In/mode': `WASM' or `AOT'</td>
%%     <td>in the private state `P/instance', `P/write' (binary to `{ok, Pointer}'), `P/read' (pointer, or a list with one,
%%     to `{ok, Binary}') and `P/import-resolver'</td></tr>
%% <tr><td>`compute'</td><td>`function' and `parameters': each in the request's `body', the request, or the base</td>
%%     <td>`results/P/type' (`ok' or `error') and `results/P/output' (a list, or the text of the error). Without a function,
%%     and in the second pass of a stack and later ones, the base as it is</td></tr>
%% <tr><td>`import'</td><td>`module', `func', `args', `func-sig' of the request</td>
%%     <td>what the device at `P/stdlib/MODULE' answers to FUNC: `state' and `results'. Without one, functions of WASI and
%%     Linux (`env.__syscall_*') return the number of an error, `proc_exit' ends the call, others return zeros; the request
%%     is recorded under `results/P/undefined-calls' of the base's `state'</td></tr>
%% <tr><td>`snapshot'</td><td>the instance</td><td>its linear memory as `body'; what else there is of its state, where that is
%%     not as in a fresh instance, as `wasm-state' (a snapshot of the engine without that memory)</td></tr>
%% <tr><td>`normalize'</td><td>the instance, or else `snapshot/body' and `snapshot/wasm-state' (in a stack
%%     `snapshot/DEVICE-KEY/...')</td>
%%     <td>the base with an instance and without `snapshot'</td></tr>
%% <tr><td>`terminate'</td><td>the instance</td><td>the base without it; it is stopped</td></tr>
%% </table>
%%
%% == Images built with Emscripten ==
%% Their imports are served by the engine (see {@link hb_wasm64:call/6}), unless a device at `P/stdlib/MODULE' has the
%% function: it is asked first. Their clock shows the `timestamp' of the request, or else of its `body', in milliseconds
%% since 1970, and 0 without one: that of `init' while the program starts, that of `compute' while it runs. A
%% snapshot without `wasm-state' is of an instance whose constructors found 0: they do again when it is restored.
%%
%% == Errors ==
%% What is wrong with an image, a mode, a snapshot, or with a function or parameters that can be none, is `{error, Message}'
%% with the `key' that is to blame, a `status' and a text as `body'. `normalize' and `compute' on a base with neither
%% instance nor snapshot throw `{error, no_wasm_instance_or_snapshot}'.
%%
%% What a guest does wrong is a result: `results/P/type' is `error', and every node finds the same text. What this node
%% could not do (time ran out, the host had no memory, an import device answered with a status from 502 to 504) is none, as
%% others would not find it: it is `{error, Message}', and an instance that was in the middle of something is stopped, for
%% it is in a state that no other node can reach. A state that cannot be captured makes `snapshot' throw `{error, Message}'.
%%
%% == Options of the node ==
%% `wasm_timeout' (milliseconds of a call, of `write', or of a start with the compiling that it takes) and `wasm_fuel'
%% (instructions of each; nodes agree on results only if they agree on this), both `infinity' by default. `wasm_allow_aot'
%% (`false' by default): without it the mode `AOT' is `WASM'.
-module(dev_wasm64).

-export([info/1, init/3, compute/3, import/3, snapshot/3, normalize/3, terminate/3]).
-export([instance/3]).

-include_lib("kernel/include/logger.hrl").

-type message() :: map().
-type opts() :: map().
-type answer() :: {ok, message()} | {error, message()}.

%% The device's own keys of the private state.
-define(PRIVATE, [<<"instance">>, <<"write">>, <<"read">>, <<"import-resolver">>]).
%% What a snapshot has beside the memory.
-define(REST, <<"wasm-state">>).
%% The modules that the engine's host of Emscripten's images serves imports of.
-define(NATIVE, [<<"env">>, <<"wasi_snapshot_preview1">>]).
%% The latest time that a float still tells to the millisecond.
-define(MAX_TIME, (1 bsl 53)).
%% The image messages that a node's cache is asked for by ID: native, base64url, and an address of 20 bytes in hex.
-define(IS_ID(Bin), (byte_size(Bin) =:= 32 orelse byte_size(Bin) =:= 43 orelse byte_size(Bin) =:= 42)).

%% @doc What AO-Core may not resolve: {@link instance/3} is for other devices.
-spec info(message()) -> map().
info(_Base) ->
    #{excludes => [<<"instance">>]}.

%% @doc Starts an instance.
-spec init(message(), message(), opts()) -> answer().
init(Base, Request, Opts) ->
    Body = dev_wasm64_message:value(<<"body">>, Request, #{}, Opts),
    start(Base, fun(Key, _Reason) -> Key end, #{time => time(Body, Request, Opts)}, Opts).

%% Starts the image of a message, in a state where the options have one. `Blame' tells the key that is to blame for a
%% reason, given that of the image.
start(Base, Blame, Options, Opts) ->
    maybe_ok(find_image(Base, Opts), fun(Key, Image) ->
        maybe_ok(find_mode(Base, Opts), fun(_Key, wasm) ->
            case hb_wasm64:start(Image, maps:merge(bounds(Opts), Options)) of
                {ok, Handle} ->
                    Private = maps:put(<<"import-resolver">>, fun resolve_import/3, access(Handle, Opts)),
                    {ok, dev_wasm64_message:merge_private(prefix(Base, Opts), Private, Base)};
                {error, Reason} ->
                    {error, dev_wasm64_error:message(Blame(Key, Reason), Reason)}
            end
        end)
    end).

%% What the node allows a guest: each time that it runs.
bounds(Opts) ->
    #{timeout => bound(wasm_timeout, Opts), fuel => bound(wasm_fuel, Opts)}.

%% A node's configuration file gives text.
bound(Option, Opts) ->
    case hb_opts:get(Option, infinity, Opts) of
        <<"infinity">> -> infinity;
        Text when is_binary(Text) ->
            try
                binary_to_integer(Text)
            catch
                error:badarg -> Text
            end;
        Bound -> Bound
    end.

%% What other devices have of an instance.
access(Handle, Opts) ->
    #{
        <<"instance">> => Handle,
        <<"write">> => fun(Binary) -> hb_wasm64:write_string(Handle, Binary, bounds(Opts)) end,
        <<"read">> => fun
            ([Pointer]) -> hb_wasm64:read_string(Handle, Pointer);
            (Pointer) -> hb_wasm64:read_string(Handle, Pointer)
        end
    }.

%% Stores raise for what they cannot reach, and so do links to what is not there any more.
find_image(Base, Opts) ->
    Path = input_prefix(Base, Opts) ++ [<<"image">>],
    Key = dev_wasm64_message:path(Path),
    try
        find_image(Path, Key, Base, Opts)
    catch
        Class:Reason ->
            ?LOG_WARNING("~ts cannot be read: ~p:~0P", [Key, Class, Reason, 20], #{library => hb_wasm64}),
            refuse(Key, 404, <<"this cannot be read">>)
    end.

find_image(Path, Key, Base, Opts) ->
    case dev_wasm64_message:find(Path, Base, Opts) of
        {ok, Image} ->
            image(Key, Image, Opts);
        not_found ->
            case dev_wasm64_message:find([<<"body">>], Base, Opts) of
                %% What a request without a body has on some nodes.
                {ok, <<>>} -> refuse(Key, 400, <<"there is no image here, and body is empty">>);
                {ok, Image} when is_binary(Image) -> {ok, <<"body">>, Image};
                {ok, _} -> refuse(Key, 400, <<"there is no image here, and body is no binary">>);
                not_found -> refuse(Key, 400, <<"there is no image here, and no body">>)
            end
    end.

image(Key, <<"\0asm", _/binary>> = Image, _Opts) ->
    {ok, Key, Image};
image(Key, ID, Opts) when is_binary(ID), ?IS_ID(ID) ->
    case hb_cache:read(hb_util:human_id(ID), Opts) of
        {ok, Image} when is_binary(Image) -> {ok, Key, Image};
        {ok, Message} when is_map(Message) -> image(Key, Message, Opts);
        _ -> refuse(Key, 404, <<"no message with this ID can be read">>)
    end;
image(Key, Message, Opts) when is_map(Message) ->
    case dev_wasm64_message:find([<<"body">>], Message, Opts) of
        {ok, Image} when is_binary(Image) -> {ok, Key, Image};
        {ok, _} -> refuse(Key, 400, <<"the body of the image message is no binary">>);
        not_found -> refuse(Key, 400, <<"the image message has no body">>)
    end;
image(Key, Image, _Opts) when is_binary(Image) ->
    {ok, Key, Image};
image(Key, _Other, _Opts) ->
    refuse(Key, 400, <<"this is neither an ID nor a message nor an image">>).

find_mode(Base, Opts) ->
    In = input_prefix(Base, Opts),
    Path = In ++ [<<"mode">>],
    case dev_wasm64_message:find(Path, Base, Opts) of
        not_found -> {ok, mode, wasm};
        {ok, <<"WASM">>} -> {ok, mode, wasm};
        {ok, <<"AOT">>} -> aot(dev_wasm64_message:path(Path), Opts);
        %% The key is the stack's own where nothing keeps the two apart.
        {ok, Mode} when In =:= [], Mode =:= <<"Fold">> orelse Mode =:= <<"Map">> -> {ok, mode, wasm};
        {ok, _} -> refuse(dev_wasm64_message:path(Path), 400, <<"the modes are WASM and AOT">>)
    end.

aot(Key, Opts) ->
    case hb_opts:get(wasm_allow_aot, false, Opts) of
        true -> refuse(Key, 501, <<"AOT artifacts cannot be loaded; give the WebAssembly module with the mode WASM">>);
        _ -> {ok, mode, wasm}
    end.

%% @doc Calls the guest, with imports resolved on AO-Core. Normalizes the base first.
-spec compute(message(), message(), opts()) -> answer().
compute(RawBase, Request, Opts) ->
    Prefix = prefix(RawBase, Opts),
    case normalized(Prefix, RawBase, Opts) of
        {ok, Base} ->
            case dev_wasm64_message:find([<<"pass">>], Base, Opts) of
                {ok, Pass} when Pass =/= 1 -> {ok, Base};
                _ -> compute_function(Prefix, Base, Request, Opts)
            end;
        {error, _} = Error ->
            Error
    end.

compute_function(Prefix, Base, Request, Opts) ->
    %% Looked up once: it may have to be read from the node's cache.
    Body = dev_wasm64_message:value(<<"body">>, Request, #{}, Opts),
    case find_argument(<<"function">>, Body, Request, Base, Opts) of
        not_found ->
            {ok, Base};
        {ok, Function} when is_binary(Function); is_integer(Function) ->
            maybe_ok(find_parameters(Body, Request, Base, Opts), fun(_Key, Parameters) ->
                call(Prefix, Function, Parameters, Body, Request, Base, Opts)
            end);
        {ok, _} ->
            refuse(<<"function">>, 400, <<"this is neither the name of an export nor the index of a table entry">>)
    end.

find_argument(Key, Body, Request, Base, Opts) ->
    case dev_wasm64_message:ask([Key], Body, Opts) of
        {ok, _} = Found ->
            Found;
        not_found ->
            case dev_wasm64_message:ask([Key], Request, Opts) of
                {ok, _} = Found -> Found;
                not_found -> dev_wasm64_message:find([Key], Base, Opts)
            end
    end.

find_parameters(Body, Request, Base, Opts) ->
    Key = <<"parameters">>,
    case find_argument(Key, Body, Request, Base, Opts) of
        not_found ->
            {ok, Key, []};
        {ok, Given} ->
            case dev_wasm64_message:list(Given, Opts) of
                {ok, Parameters} -> {ok, Key, Parameters};
                error -> refuse(Key, 400, <<"this is no list">>)
            end
    end.

%% What the engine's host of the guest has to know, if it has one.
host(Handle, Prefix, Body, Request, Base, Opts) ->
    case hb_wasm64:host(Handle) of
        {ok, emscripten} -> #{time => time(Body, Request, Opts), override => libraries(Prefix, Base, Opts)};
        _ -> #{}
    end.

%% What the clock of a guest shows: when the message was scheduled, as every node is told. One that tells no time, or
%% something else by that name, is at the beginning of time.
time(Body, Request, Opts) ->
    Key = <<"timestamp">>,
    case dev_wasm64_message:value(Key, Request, undefined, Opts) of
        undefined -> milliseconds(dev_wasm64_message:value(Key, Body, 0, Opts));
        Time -> milliseconds(Time)
    end.

milliseconds(Time) when is_integer(Time), Time >= 0, Time =< ?MAX_TIME ->
    Time;
milliseconds(Text) when is_binary(Text), byte_size(Text) =< 16 ->
    try
        milliseconds(binary_to_integer(Text))
    catch
        error:badarg -> 0
    end;
milliseconds(_Other) ->
    0.

%% The modules with a device that answers their imports: it is asked before the engine's host.
libraries(Prefix, Base, Opts) ->
    case dev_wasm64_message:find(Prefix ++ [<<"stdlib">>], Base, Opts) of
        {ok, Libraries} when is_map(Libraries) -> [Module || Module <- ?NATIVE, dev_wasm64_message:has(Module, Libraries)];
        _ -> []
    end.

call(Prefix, Function, Parameters, Body, Request, Base, Opts) ->
    Access = #{<<"instance">> := Handle} = dev_wasm64_message:private(Prefix, Base),
    Resolver = maps:get(<<"import-resolver">>, Access, fun resolve_import/3),
    Import = fun(State, Import, _) -> checked(Resolver(State, Import, Opts)) end,
    Options = maps:merge(maps:put(on_timeout, stop, bounds(Opts)), host(Handle, Prefix, Body, Request, Base, Opts)),
    case hb_wasm64:call(Handle, Function, Parameters, Import, Base, Options) of
        {ok, Results, State} ->
            {ok, finish(Prefix, Access, ok, Results, State, Opts)};
        {error, Why, State} ->
            Reason = ended(Why),
            _ = dev_wasm64_error:spoils(Reason) andalso hb_wasm64:stop(Handle),
            case dev_wasm64_error:is_of_node(Reason) of
                false -> {ok, finish(Prefix, Access, error, dev_wasm64_error:text(Reason), State, Opts)};
                true -> {error, dev_wasm64_error:message(<<"function">>, Reason)}
            end
    end.

%% A `proc_exit' that nobody serves ends the guest, as one of the engine's own does.
ended({import_failed, {exit, Status}}) -> {exit, Status};
ended(Reason) -> Reason.

%% Whoever else has put a resolver there: it goes on with a message.
checked({ok, _Results, State}) when not is_map(State) -> {error, <<"the state of the answer is no message">>};
checked({error, Reason, State}) when not is_map(State) -> {error, Reason};
checked(Answer) -> Answer.

%% Whatever import devices did with the state they were given, it goes on with the instance, and not with one that was
%% bound to their import.
finish(Prefix, Access, Type, Output, State, Opts) ->
    Private = maps:with(?PRIVATE, Access),
    Results = #{<<"type">> => Type, <<"output">> => dev_wasm64_message:plain(Output)},
    dev_wasm64_message:set(
        [<<"results">> | Prefix], Results, dev_wasm64_message:merge_private(Prefix, Private, State), Opts
    ).

%% The import function of a call: {@link import/3} on the state so far, which has the instance as it is to be had while
%% the guest waits.
resolve_import(State, Import, Opts) ->
    #{instance := Scope, module := Module, func := Func, args := Args, func_sig := Signature} = Import,
    Waiting = dev_wasm64_message:merge_private(prefix(State, Opts), access(Scope, Opts), State),
    Request = #{
        <<"path">> => <<"import">>,
        <<"module">> => unicode:characters_to_binary(Module),
        <<"func">> => unicode:characters_to_binary(Func),
        <<"args">> => Args,
        <<"func-sig">> => list_to_binary(Signature)
    },
    try dev_wasm64_import:resolve(Import, Waiting, Request, State, Opts) of
        {error, Why} -> {error, dev_wasm64_error:import(Module, Func, Why), State};
        Answer -> Answer
    catch
        Class:Reason:Stacktrace ->
            ?LOG_WARNING(
                "import ~ts.~ts raised ~p:~0P ~0P", [Module, Func, Class, Reason, 30, Stacktrace, 60],
                #{library => hb_wasm64}
            ),
            {error, dev_wasm64_error:import(Module, Func, {raised, Class}), State}
    end.

%% @doc Answers an import of the guest: with what the device at `P/stdlib/MODULE' makes of FUNC. Without one, WASI's and
%% Linux's functions report an error, `proc_exit' is one, and all others return zeros.
-spec import(message(), message(), opts()) -> {Status :: atom(), term()} | {error, device_call, term()}.
import(Base, Request, Opts) ->
    dev_wasm64_import:import(Base, Request, Opts).

%% @doc The state of the instance: the raw memory, and the rest where it is worth telling.
-spec snapshot(message(), message(), opts()) -> answer().
snapshot(Base, Request, Opts) ->
    case instance(Base, Request, Opts) of
        not_found ->
            refuse(<<"instance">>, 404, <<"there is no instance to take a snapshot of">>);
        Handle ->
            case hb_wasm64:read_state(Handle) of
                {ok, Memory, none} ->
                    {ok, #{<<"body">> => Memory}};
                {ok, Memory, Rest} ->
                    {ok, #{<<"body">> => Memory, ?REST => Rest}};
                {error, Reason} ->
                    %% A stack in map mode leaves out who answers with an error, and its process would be kept without
                    %% its memory.
                    throw({error, dev_wasm64_error:message(<<"instance">>, Reason)})
            end
    end.

%% @doc The base with an instance and without a literal snapshot. Its hashpath is the same, so that it does not matter
%% which of the two it came with.
-spec normalize(message(), message(), opts()) -> answer().
normalize(Base, _Request, Opts) ->
    normalized(prefix(Base, Opts), Base, Opts).

normalized(Prefix, Base, Opts) ->
    case live(dev_wasm64_message:private(Prefix, Base)) of
        {ok, _Handle} -> {ok, without_snapshot(Base, Opts)};
        not_found -> restore(Base, Opts)
    end.

live(#{<<"instance">> := Handle}) when is_reference(Handle) ->
    case hb_wasm64:status(Handle) of
        {ok, _} -> {ok, Handle};
        {error, _} -> not_found
    end;
live(_) ->
    not_found.

restore(Base, Opts) ->
    Path = snapshot_path(Base, Opts),
    Find = fun(Key) -> hb_ao:get(Path ++ [Key], {as, dev_message, Base}, none, Opts#{hashpath => ignore}) end,
    case {Find(<<"body">>), Find(?REST)} of
        {none, _} ->
            throw({error, no_wasm_instance_or_snapshot});
        {Memory, _} when not is_binary(Memory) ->
            refuse(dev_wasm64_message:path(Path ++ [<<"body">>]), 400, <<"this is no binary">>);
        {Memory, Rest} when is_binary(Rest); Rest =:= none ->
            Blame = fun
                (_Key, {invalid_snapshot, _}) -> dev_wasm64_message:path(Path ++ [?REST]);
                (_Key, {limit, memory}) -> dev_wasm64_message:path(Path ++ [<<"body">>]);
                (Key, _Reason) -> Key
            end,
            case start(Base, Blame, #{snapshot => {raw, Memory, Rest}}, Opts) of
                {ok, Started} -> {ok, without_snapshot(Started, Opts)};
                {error, _} = Error -> Error
            end;
        _ ->
            refuse(dev_wasm64_message:path(Path ++ [?REST]), 400, <<"this is no binary">>)
    end.

%% In a stack each device has a snapshot of its own.
snapshot_path(Base, Opts) ->
    case dev_wasm64_message:find([<<"device-key">>], Base, Opts) of
        {ok, Key} -> [<<"snapshot">> | dev_wasm64_message:parts(Key)];
        not_found -> [<<"snapshot">>]
    end.

%% @doc Stops the instance and takes it out of the private state.
-spec terminate(message(), message(), opts()) -> answer().
terminate(Base, _Request, Opts) ->
    Prefix = prefix(Base, Opts),
    _ = [hb_wasm64:stop(Handle) || {ok, Handle} <- [live(dev_wasm64_message:private(Prefix, Base))]],
    {ok, dev_wasm64_message:without_private(Prefix, ?PRIVATE, Base)}.

%% @doc The instance of a message, for other devices.
-spec instance(message(), message(), opts()) -> hb_wasm64:handle() | not_found.
instance(Base, _Request, Opts) ->
    case dev_wasm64_message:private(prefix(Base, Opts), Base) of
        #{<<"instance">> := Handle} -> Handle;
        _ -> not_found
    end.

prefix(Base, Opts) -> dev_wasm64_message:prefix(<<"output-prefix">>, Base, Opts).

input_prefix(Base, Opts) -> dev_wasm64_message:prefix(<<"input-prefix">>, Base, Opts).

without_snapshot(Base, Opts) ->
    case dev_wasm64_message:has(<<"snapshot">>, Base) of
        true ->
            {ok, Without} = dev_message:set(Base, without_own(snapshot_path(Base, Opts), Base, Opts), Opts),
            Without;
        false ->
            Base
    end.

%% The snapshots of other devices of a stack stay: they have not taken theirs yet.
without_own([Snapshots, Key], Base, Opts) ->
    case dev_wasm64_message:find([Snapshots], Base, Opts) of
        {ok, Snapshot} when is_map(Snapshot) ->
            case maps:without([Key, <<"priv">>], hb_ao:normalize_keys(Snapshot)) of
                Others when map_size(Others) > 0 -> #{Snapshots => Others, <<"set-mode">> => <<"explicit">>};
                _None -> #{Snapshots => unset}
            end;
        _ ->
            #{Snapshots => unset}
    end;
without_own([Snapshots | _], _Base, _Opts) ->
    #{Snapshots => unset}.

maybe_ok({ok, Key, Value}, Then) -> Then(Key, Value);
maybe_ok({error, _} = Error, _Then) -> Error.

refuse(Key, Status, Text) -> {error, dev_wasm64_error:message(Key, Status, Text)}.
