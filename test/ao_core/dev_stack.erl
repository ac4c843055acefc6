%% @doc Devices one after the other on the same message (`fold'), or each for itself (`map').
%%
%% The stack runs a device by putting it into the message as its `device', together with the prefixes that
%% `input-prefixes' and `output-prefixes' name for it, and resolving the same request again. What it replaced goes under
%% `previous-…', from where the prefixes are put back in the end.
-module(dev_stack).

-export([info/1, prefix/3, input_prefix/3, output_prefix/3]).

-include("ao_core.hrl").

-spec info(map()) -> map().
info(Base) ->
    Info = #{handler => fun route/4, excludes => [<<"set">>, <<"keys">>]},
    case Base of
        #{<<"stack-keys">> := Keys} -> Info#{exports => hb_cache:ensure_loaded(Keys, #{})};
        _ -> Info
    end.

%% @doc Where a device keeps its own: the output prefix.
-spec prefix(map(), term(), map()) -> binary().
prefix(Base, Request, Opts) ->
    ao_core_counter:hit({dev_stack, prefix}),
    output_prefix(Base, Request, Opts).

%% @doc Where a device finds what it needs.
-spec input_prefix(map(), term(), map()) -> binary().
input_prefix(Base, _Request, Opts) -> own(<<"input-prefix">>, Base, <<>>, Opts).

-spec output_prefix(map(), term(), map()) -> binary().
output_prefix(Base, _Request, Opts) -> own(<<"output-prefix">>, Base, <<>>, Opts).

%% What the message itself says, whatever its device makes of the key.
own(Path, Base, Default, Opts) -> hb_ao:get(Path, {as, <<"message@1.0">>, Base}, Default, Opts).

route(<<"keys">>, Base, _Request, _Opts) -> dev_message:keys(Base);
route(_Key, Base, Request, Opts) ->
    Mode =
        case hb_ao:get(<<"mode">>, Request, not_found, Opts) of
            not_found -> own(<<"mode">>, Base, <<"Fold">>, Opts);
            Asked -> Asked
        end,
    case Mode of
        <<"Fold">> -> fold(Base, Request, Opts);
        <<"Map">> -> map(Base, Request, Opts)
    end.

fold(Base, Request, Opts) ->
    {ok, Stack} = dev_message:get(<<"device">>, Base, Opts),
    PassBefore = own(<<"pass">>, Base, unset, Opts),
    case fold(hb_ao:set(Base, <<"pass">>, 1, Opts), Request, 1, Opts) of
        {ok, Result} when is_map(Result) ->
            dev_message:set(
                Result,
                #{
                    <<"device">> => Stack,
                    <<"device-key">> => unset,
                    <<"input-prefix">> => own(<<"previous-input-prefix">>, Result, undefined, Opts),
                    <<"output-prefix">> => own(<<"previous-output-prefix">>, Result, undefined, Opts),
                    <<"pass">> => PassBefore
                },
                Opts
            );
        Other ->
            Other
    end.

fold(Base, Request, Number, Opts) ->
    case transform(Base, Number, Opts) of
        not_found ->
            {ok, Base};
        {ok, WithDevice} ->
            case hb_ao:resolve(WithDevice, Request, Opts) of
                {ok, Next} when is_map(Next) -> fold(Next, Request, Number + 1, Opts);
                {ok, Value} -> {ok, Value};
                {error, not_found} -> fold(WithDevice, Request, Number + 1, Opts);
                {skip, Last} when is_map(Last) -> {ok, Last};
                {pass, Next} when is_map(Next) ->
                    Pass = own(<<"pass">>, Next, 1, Opts) + 1,
                    fold(hb_ao:set(Next, #{<<"pass">> => Pass}, Opts), Request, 1, Opts);
                {failure, _} = Failure -> Failure;
                {error, Info} -> failed(Base, Request, Number, Info, Opts);
                Other -> failed(Base, Request, Number, {unexpected_result, Other}, Opts)
            end
    end.

failed(Base, Request, Number, Info, Opts) ->
    case hb_opts:get(error_strategy, throw, Opts) of
        stop ->
            {error, {stack_call_failed, Base, Request, Number, Info}};
        throw ->
            erlang:raise(error, {device_failed, {dev_num, Number}, {msg1, Base}, {msg2, Request}, {info, Info}}, [])
    end.

map(Base, Request, Opts) ->
    Devices = hb_ao:normalize_keys(own(<<"device-stack">>, Base, not_found, Opts)),
    {ok,
        maps:filtermap(
            fun(Key, _Device) ->
                {ok, WithDevice} = transform(Base, Key, Opts),
                case hb_ao:resolve(WithDevice, Request, Opts) of
                    {ok, Value} -> {true, Value};
                    _ -> false
                end
            end,
            maps:without(?AO_CORE_KEYS, Devices)
        )}.

%% The message with one of the stack's devices in the stack's place. `undefined' values are not set: a device without a
%% prefix of its own runs with the one that is there.
transform(Base, Key, Opts) ->
    case own(<<"device-stack">>, Base, not_found, Opts) of
        not_found ->
            throw({error, no_valid_device_stack});
        Devices ->
            case hb_ao:resolve(Devices, #{<<"path">> => hb_ao:normalize_key(Key)}, Opts) of
                {ok, Device} ->
                    dev_message:set(
                        Base,
                        #{
                            <<"device">> => Device,
                            <<"device-key">> => Key,
                            <<"input-prefix">> => own([<<"input-prefixes">>, Key], Base, undefined, Opts),
                            <<"output-prefix">> => own([<<"output-prefixes">>, Key], Base, undefined, Opts),
                            <<"previous-device">> => own(<<"device">>, Base, not_found, Opts),
                            <<"previous-input-prefix">> => own(<<"input-prefix">>, Base, undefined, Opts),
                            <<"previous-output-prefix">> => own(<<"output-prefix">>, Base, undefined, Opts)
                        },
                        Opts
                    );
                _ ->
                    not_found
            end
    end.
