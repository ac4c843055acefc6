%% @doc Checks of arguments that need no instance.
-module(hb_wasm64_args).

-export([func/1, values/1, error/3]).

%% The longest name of an export that an image can have, in bytes.
-define(MAX_NAME_BYTES, 100_000).
%% No integer beyond this fits any type.
-define(MAX_INTEGER, (1 bsl 1024)).

%% @doc The function of a call, as the native library expects it: the name of an export, or the index of a table entry.
-spec func(term()) -> {ok, binary() | non_neg_integer()} | error.
func(Func) when is_binary(Func), byte_size(Func) =< ?MAX_NAME_BYTES ->
    {ok, Func};
func(Index) when is_integer(Index), Index >= 0, Index < (1 bsl 64) ->
    {ok, Index};
func(Func) when is_list(Func) ->
    try unicode:characters_to_binary(Func) of
        Name when is_binary(Name) -> func(Name);
        _ -> error
    catch
        error:_ -> error
    end;
func(_Func) ->
    error.

%% @doc A proper list of values. An integer that fits no type is replaced by an atom that fits none either: the library
%% would take long to look at a huge one.
-spec values(term()) -> {ok, list()} | error.
values(Values) when is_list(Values) ->
    case check(Values) of
        ok -> {ok, Values};
        too_large -> {ok, [case is_too_large(Value) of true -> too_large; false -> Value end || Value <- Values]};
        improper -> error
    end;
values(_NoList) ->
    error.

check(Values) -> check(Values, ok).

check([Value | Values], Result) ->
    case is_too_large(Value) of
        false -> check(Values, Result);
        true -> check(Values, too_large)
    end;
check([], Result) ->
    Result;
check(_Improper, _Result) ->
    improper.

is_too_large(Value) -> is_integer(Value) andalso (Value > ?MAX_INTEGER orelse Value < -?MAX_INTEGER).

%% @doc The reason for a wrong argument of a function of {@link hb_wasm64}.
-spec error(Signature :: string(), Args :: [term()], Position :: pos_integer()) -> hb_wasm64:reason().
error(Signature, Args, Position) ->
    {invalid_args, #{signature => Signature, args => Args, position => Position}}.
