%% @doc The names and shapes of HyperBEAM's C driver of the same name, on {@link hb_wasm64}.
%%
%% Handles are references. Where the C driver crashes, hangs or guesses, this answers as {@link hb_wasm64} does.
-module(hb_beamr).

-export([start/1, start/2, call/3, call/4, call/5, call/6, stop/1, serialize/1, deserialize/2, stub/3]).
-export([reset/4, wasm_send/2]).

%% @equiv start(Image, wasm)
-spec start(binary()) -> {ok, hb_wasm64:handle(), Imports :: list(), Exports :: list()} | {error, hb_wasm64:reason()}.
start(Image) ->
    start(Image, wasm).

%% @doc Starts an instance. In the mode `aot' the image is an artifact of {@link hb_wasm64:compile/2}; anything else, an AOT file of the C
%% driver's engine too, is `{invalid_artifact, Text}'.
-spec start(binary(), wasm | aot) ->
    {ok, hb_wasm64:handle(), Imports :: [{func, string(), string(), string()}],
        Exports :: [{atom(), string(), string()}]}
    | {error, hb_wasm64:reason()}.
start(Image, Mode) when Mode =:= wasm; Mode =:= aot ->
    case hb_wasm64:start(Image, #{mode => Mode}) of
        {ok, Handle} ->
            case hb_wasm64:describe(Handle) of
                {ok, #{imports := Imports, exports := Exports}} -> {ok, Handle, Imports, Exports};
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end;
start(Image, Mode) ->
    {error, hb_wasm64_args:error("start(Image, Mode)", [Image, Mode], 2)}.

%% @doc Ends an instance.
-spec stop(hb_wasm64:handle()) -> ok | {error, not_local}.
stop(Handle) ->
    hb_wasm64:stop(Handle).

%% @doc Makes an instance one that has just been started, with these bytes as its linear memory: what is left of it after a trap
%% goes, and the memory stays. The image has to be its own. Answers what {@link start/2} does, with the same handle.
-spec reset(hb_wasm64:handle(), Image :: binary(), wasm | aot, Memory :: binary()) ->
    {ok, hb_wasm64:handle(), Imports :: [{func, string(), string(), string()}], Exports :: [{atom(), string(), string()}]}
    | {error, hb_wasm64:reason()}.
reset(Handle, Image, Mode, Memory) when is_binary(Image), Mode =:= wasm orelse Mode =:= aot ->
    case hash(Image, Mode) of
        {ok, Hash} -> reset_own(Handle, Hash, Memory);
        {error, _} = Error -> Error
    end;
reset(Handle, Image, Mode, Memory) ->
    {error, hb_wasm64_args:error("reset(Handle, Image, Mode, Memory)", [Handle, Image, Mode, Memory], 2)}.

reset_own(Handle, Hash, Memory) ->
    case hb_wasm64:describe(Handle) of
        {ok, #{image := Hash, imports := Imports, exports := Exports}} ->
            case hb_wasm64:write_state(Handle, Memory, none) of
                ok -> {ok, Handle, Imports, Exports};
                {error, _} = Error -> Error
            end;
        {ok, _} ->
            {error, {unsupported, <<"the image of another instance">>}};
        {error, _} = Error ->
            Error
    end.

%% The hash of the WebAssembly module.
hash(Image, wasm) -> {ok, crypto:hash(sha256, Image)};
hash(Artifact, aot) -> hb_wasm64_start:hash_of_artifact(Artifact).

%% @doc Sends commands to the C driver, of which there is none here: the functions of this module and of {@link hb_beamr_io} do
%% what its commands do.
-spec wasm_send(hb_wasm64:handle(), term()) -> {error, {unsupported, binary()}}.
wasm_send(_Handle, _Command) ->
    {error, {unsupported, <<"commands of the C driver">>}}.

%% @doc Calls a function; imports that the engine does not serve are answered as {@link stub/3} does.
-spec call(hb_wasm64:handle(), hb_wasm64:func(), [number()]) -> {ok, [hb_wasm64:value()]} | {error, term()}.
call(Handle, Func, Args) ->
    case call(Handle, Func, Args, fun stub/3, #{}, #{}, []) of
        {ok, Results, _State} -> {ok, Results};
        {error, Reason, _State} -> {error, Reason};
        {error, _} = Error -> Error
    end.

%% @equiv call(Handle, Func, Args, ImportFun, #{}, #{})
-spec call(hb_wasm64:handle(), hb_wasm64:func(), [number()], hb_wasm64:import_fun()) -> call_result().
call(Handle, Func, Args, ImportFun) ->
    call(Handle, Func, Args, ImportFun, #{}).

%% @equiv call(Handle, Func, Args, ImportFun, State, #{})
-spec call(hb_wasm64:handle(), hb_wasm64:func(), [number()], hb_wasm64:import_fun(), term()) -> call_result().
call(Handle, Func, Args, ImportFun, State) ->
    call(Handle, Func, Args, ImportFun, State, #{}).

-type call_result() ::
    {ok, [hb_wasm64:value()], State :: term()}
    | {error, Reason :: term(), State :: term()}
    | {error, error | exit | throw, Reason :: term(), Stacktrace :: list(), State :: term()}
    | {error, {invalid_args, term()}}.

%% @doc Calls a function and answers its imports with `ImportFun(State, Request, Opts)': all of them, also those of WASI,
%% which {@link hb_wasm64:call/6} leaves to the engine. What images built with Emscripten require of its JavaScript the engine
%% serves itself.
%%
%% `Opts' are the import function's alone, whatever they are called. Where it raises, so does the answer: class, reason
%% and stack trace, and the state before that import.
-spec call(hb_wasm64:handle(), hb_wasm64:func(), [number()], hb_wasm64:import_fun(), term(), term()) -> call_result().
call(Handle, Func, Args, ImportFun, State, Opts) ->
    call(Handle, Func, Args, ImportFun, State, Opts, intercepted(Handle)).

call(Handle, Func, Args, ImportFun, State, Opts, Intercepted) ->
    case is_list(Args) andalso are_numbers(Args) of
        true ->
            case hb_wasm64:call(Handle, Func, Args, ImportFun, State, #{user => Opts, intercept => Intercepted}) of
                {error, {import_failed, {raised, Class, Reason, Stacktrace}}, After} ->
                    {error, Class, Reason, Stacktrace, After};
                Result ->
                    Result
            end;
        false ->
            {error, {invalid_args, Args}}
    end.

%% The modules whose imports the engine would serve, and the callers of the C driver serve themselves.
intercepted(Handle) ->
    case hb_wasm64:host(Handle) of
        {ok, wasi} -> [<<"wasi_snapshot_preview1">>, <<"wasi_unstable">>, <<"env">>];
        {ok, assemblyscript} -> [<<"env">>];
        _ -> []
    end.

are_numbers([Arg | Rest]) -> is_number(Arg) andalso are_numbers(Rest);
are_numbers(Rest) -> Rest =:= [].

%% @doc The raw bytes of the linear memory.
-spec serialize(hb_wasm64:handle()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
serialize(Handle) ->
    hb_wasm64:read_memory(Handle).

%% @doc Makes these bytes the linear memory. A smaller memory grows first; what is left of a larger one is zeros.
-spec deserialize(hb_wasm64:handle(), binary()) -> ok | {error, hb_wasm64:reason()}.
deserialize(Handle, Binary) ->
    hb_wasm64:write_memory(Handle, Binary).

%% @doc An import function that answers 0 to everything.
-spec stub(State, hb_wasm64:request(), term()) -> {ok, [0], State}.
stub(State, _Request, _Opts) ->
    {ok, [0], State}.
