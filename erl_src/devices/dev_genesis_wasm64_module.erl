%% @doc What AO's compute unit ("CU") requires of a module: its format, its encodings, and what it may take.
-module(dev_genesis_wasm64_module).

-export([check/3, bytes/1]).
-export_type([rules/0, limits/0]).

-type tags() :: [{binary(), binary()}].
-type limits() :: #{memory := pos_integer(), compute := pos_integer(), formats := [binary()], extensions := [binary()]}.
%% What a node takes at most: bytes of memory, gas, and the formats and extensions that it has.
-type rules() :: #{
    format := binary(), memory := pos_integer(), gas := pos_integer(), availability := binary(), extensions := [binary()]
}.

%% @doc What holds for a process and its module, by their tags; or an HTTP status and why it is refused: `error' on every node, `limit' on
%% this one, whose operator takes less. Tags of the process come before those of the module.
-spec check(Process :: {binary(), tags()}, Module :: {binary(), tags()}, limits()) ->
    {ok, rules()} | {error | limit, Status :: 413 | 422, binary()}.
check({ProcessId, Process}, {ModuleId, Module}, Limits) ->
    Tag = fun(Name, Tags) -> proplists:get_value(Name, Tags) end,
    Either = fun(Name) ->
        case Tag(Name, Process) of
            undefined -> Tag(Name, Module);
            Value -> Value
        end
    end,
    Format = Tag(<<"Module-Format">>, Module),
    Memory = bytes(Either(<<"Memory-Limit">>)),
    Gas = whole(Either(<<"Compute-Limit">>)),
    Extensions = [Value || {<<"Extension">>, Value} <- Module],
    #{memory := MostMemory, compute := MostGas, formats := Formats, extensions := Known} = Limits,
    Not = fun(What) -> <<What/binary, " for module \"", ModuleId/binary, "\" is not supported">> end,
    Exceeds = fun(What) -> <<What/binary, " for process \"", ProcessId/binary, "\" exceeds supported limit">> end,
    Checks = [
        {Tag(<<"Input-Encoding">>, Module) =/= undefined, error, 422, Not(<<"Input-Encoding">>)},
        {Tag(<<"Output-Encoding">>, Module) =/= undefined, error, 422, Not(<<"Output-Encoding">>)},
        {Format =/= undefined, error, 422, Not(<<"Module-Format">>)},
        {lists:member(Format, Formats), limit, 422, Not(<<"Module-Format">>)},
        {is_some(Memory), error, 413, Exceeds(<<"Memory-Limit">>)},
        {is_some(Memory) andalso Memory =< MostMemory, limit, 413, Exceeds(<<"Memory-Limit">>)},
        {is_some(Gas), error, 413, Exceeds(<<"Compute-Limit">>)},
        {is_some(Gas) andalso Gas =< MostGas, limit, 413, Exceeds(<<"Compute-Limit">>)},
        {Extensions -- Known =:= [], limit, 422, <<"Module Extensions for module \"", ModuleId/binary, "\" are not supported">>}
    ],
    case lists:keyfind(false, 1, Checks) of
        {false, Kind, Status, Text} ->
            {Kind, Status, Text};
        false ->
            Availability =
                case Either(<<"Availability-Type">>) of
                    undefined -> <<"Assignments">>;
                    Type -> Type
                end,
            {ok, #{format => Format, memory => Memory, gas => Gas, availability => Availability, extensions => Extensions}}
    end.

is_some(Amount) -> is_integer(Amount) andalso Amount > 0.

%% @doc A number of bytes such as `1-gb', `500mb' or `1024'; `undefined' for what is none.
-spec bytes(binary() | undefined) -> non_neg_integer() | undefined.
bytes(undefined) ->
    undefined;
bytes(Text) ->
    %% The first dash only is left out.
    Plain = string:lowercase(iolist_to_binary(binary:split(Text, <<"-">>))),
    case re:run(Plain, <<"^([-+]?[0-9]+(?:\\.[0-9]+)?) *(kb|mb|gb|tb|pb)$">>, [{capture, all_but_first, binary}]) of
        {match, [Number, Unit]} -> trunc(number(Number) * unit(Unit));
        nomatch -> whole(Plain)
    end.

number(Text) ->
    case binary:match(Text, <<".">>) of
        nomatch -> binary_to_integer(Text);
        _ -> binary_to_float(Text)
    end.

unit(<<"kb">>) -> 1 bsl 10;
unit(<<"mb">>) -> 1 bsl 20;
unit(<<"gb">>) -> 1 bsl 30;
unit(<<"tb">>) -> 1 bsl 40;
unit(<<"pb">>) -> 1 bsl 50.

%% The digits at the beginning.
whole(undefined) ->
    undefined;
whole(Text) ->
    case string:to_integer(string:trim(Text, leading)) of
        {Number, _} when is_integer(Number) -> Number;
        _ -> undefined
    end.
