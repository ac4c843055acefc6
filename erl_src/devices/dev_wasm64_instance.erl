%% @doc The instance of a message: its place in the private state, and the bounds that the node sets to it.
-module(dev_wasm64_instance).

-export([find/2, live/2, put/3, remove/2, access/2, own/1, bounds/1, time_bound/1]).

%% The device's keys of the private state, below the output prefix.
-define(KEYS, [<<"instance">>, <<"write">>, <<"read">>, <<"import-resolver">>]).
%% The longest string that `read' returns. Every node has the same bound: what exceeds it is a result.
-define(MAX_STRING_BYTES, (64 bsl 20)).

%% @doc The handle of a message, of an instance that may have been stopped.
-spec find(map(), map()) -> hb_wasm64:handle() | not_found.
find(Base, Opts) ->
    case lib_wasm64_message:private(lib_wasm64_message:output_prefix(Base, Opts), Base) of
        #{<<"instance">> := Handle} -> Handle;
        _ -> not_found
    end.

%% @doc The handle at an output prefix of a message, unless it has been stopped.
-spec live([binary()], map()) -> {ok, hb_wasm64:handle()} | not_found.
live(Prefix, Base) ->
    case lib_wasm64_message:private(Prefix, Base) of
        #{<<"instance">> := Handle} when is_reference(Handle) ->
            case hb_wasm64:status(Handle) of
                {ok, _} -> {ok, Handle};
                {error, _} -> not_found
            end;
        _ ->
            not_found
    end.

%% @doc Puts keys of {@link access/2} into the private state.
-spec put(map(), map(), map()) -> map().
put(Access, Base, Opts) ->
    lib_wasm64_message:merge_private(lib_wasm64_message:output_prefix(Base, Opts), Access, Base).

%% @doc Removes the device's keys from the private state.
-spec remove([binary()], map()) -> map().
remove(Prefix, Base) -> lib_wasm64_message:without_private(Prefix, ?KEYS, Base).

%% @doc Those of the keys of a private state that are the device's own.
-spec own(map()) -> map().
own(Private) -> maps:with(?KEYS, Private).

%% @doc What a node allows a guest each time that it runs: the options `timeout' and `fuel' of its calls.
-spec bounds(map()) -> hb_wasm64_options:allocation().
bounds(Opts) ->
    (time_bound(Opts))#{fuel => bound(wasm_fuel, Opts)}.

%% @doc The option `timeout' of what runs no guest.
-spec time_bound(map()) -> hb_wasm64_options:operation().
time_bound(Opts) ->
    #{timeout => bound(wasm_timeout, Opts)}.

%% In a node's configuration file it is text.
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

%% @doc The instance and the two functions by which other devices write strings into its memory and read them.
-spec access(hb_wasm64:handle(), map()) -> #{binary() => term()}.
access(Handle, Opts) ->
    #{
        <<"instance">> => Handle,
        <<"write">> => fun(Binary) -> hb_wasm64:write_string(Handle, Binary, bounds(Opts)) end,
        <<"read">> => fun
            ([Pointer]) -> read(Handle, Pointer, Opts);
            (Pointer) -> read(Handle, Pointer, Opts)
        end
    }.

read(Handle, Pointer, Opts) ->
    hb_wasm64:read_string(Handle, Pointer, (time_bound(Opts))#{max => ?MAX_STRING_BYTES}).
