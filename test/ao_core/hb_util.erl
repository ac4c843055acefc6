%% @doc The helpers of HyperBEAM's `hb_util' that devices and this AO-Core use.
-module(hb_util).

-export([ok/1, ok/2, int/1, bin/1, encode/1, decode/1, human_id/1, native_id/1]).
-export([to_lower/1, is_string_list/1, key_to_atom/2, deep_merge/3, message_to_ordered_list/1, message_to_ordered_list/2]).

-include("ao_core.hrl").

%% @doc The value of `{ok, Value}'; anything else is thrown, unless `error_strategy' forbids that.
-spec ok(term()) -> term().
ok(Result) -> ok(Result, #{}).

-spec ok(term(), map()) -> term().
ok({ok, Value}, _Opts) -> Value;
ok(Other, Opts) ->
    case hb_opts:get(error_strategy, throw, Opts) of
        throw -> throw({unexpected, Other});
        _ -> {unexpected, Other}
    end.

-spec int(integer() | binary() | string()) -> integer().
int(Number) when is_integer(Number) -> Number;
int(Digits) when is_binary(Digits) -> binary_to_integer(Digits);
int(Digits) when is_list(Digits) -> list_to_integer(Digits).

-spec bin(term()) -> binary().
bin(Value) when is_binary(Value) -> Value;
bin(Value) when is_atom(Value) -> atom_to_binary(Value);
bin(Value) when is_integer(Value) -> integer_to_binary(Value);
bin(Value) when is_list(Value) -> list_to_binary(Value).

%% @doc Base64 with the letters for URLs and without padding. (`base64:encode/2' would do it, from OTP 26 on.)
-spec encode(binary()) -> binary().
encode(Binary) ->
    << <<(url_letter(Letter))>> || <<Letter>> <= base64:encode(Binary), Letter =/= $= >>.

-spec decode(binary()) -> binary().
decode(Text) ->
    Padding = binary:copy(<<"=">>, (4 - byte_size(Text) rem 4) rem 4),
    Letters = << <<(plain_letter(Letter))>> || <<Letter>> <= Text >>,
    base64:decode(<<Letters/binary, Padding/binary>>).

url_letter($+) -> $-;
url_letter($/) -> $_;
url_letter(Letter) -> Letter.

plain_letter($-) -> $+;
plain_letter($_) -> $/;
plain_letter(Letter) -> Letter.

-spec human_id(binary()) -> binary().
human_id(ID) when byte_size(ID) =:= 32 -> encode(ID);
human_id(ID) when ?IS_ID(ID) -> ID.

-spec native_id(binary()) -> binary().
native_id(ID) when byte_size(ID) =:= 43 -> decode(ID);
native_id(ID) when ?IS_ID(ID) -> ID.

-spec to_lower(binary()) -> binary().
to_lower(Text) -> string:lowercase(Text).

-spec is_string_list(list()) -> boolean().
is_string_list(List) -> lists:all(fun is_integer/1, List).

%% @doc The atom of a key, dashes as underscores; only `new_atoms' makes atoms that do not exist yet.
-spec key_to_atom(atom() | binary(), term()) -> atom().
key_to_atom(Key, _Mode) when is_atom(Key) -> Key;
key_to_atom(Key, Mode) ->
    Name = binary:replace(Key, <<"-">>, <<"_">>, [global]),
    case Mode of
        new_atoms -> binary_to_atom(Name);
        _ -> binary_to_existing_atom(Name)
    end.

%% @doc Merges the second map over the first, and maps within them likewise. A link in the first is not loaded for it
%% (as on `edge'): what comes from above replaces it.
-spec deep_merge(map(), map(), map()) -> map().
deep_merge(Below, Above, Opts) ->
    maps:fold(
        fun(Key, Value, Merged) ->
            case {Merged, hb_cache:ensure_loaded(Value, Opts)} of
                {#{Key := Old}, New} when is_map(Old), is_map(New) -> Merged#{Key => deep_merge(Old, New, Opts)};
                {_, New} -> Merged#{Key => New}
            end
        end,
        Below,
        Above
    ).

%% @doc The values of a message numbered from its lowest key on without a gap.
-spec message_to_ordered_list(map() | list()) -> list().
message_to_ordered_list(Message) -> message_to_ordered_list(Message, #{}).

-spec message_to_ordered_list(map() | list(), map()) -> list().
message_to_ordered_list(List, _Opts) when is_list(List) -> List;
message_to_ordered_list(Message, _Opts) ->
    Numbered = maps:remove(<<"priv">>, hb_ao:normalize_keys(Message)),
    case lists:sort([int(Key) || Key <- maps:keys(Numbered)]) of
        [] ->
            [];
        Keys = [First | _] ->
            Expected = lists:seq(First, First + length(Keys) - 1),
            Keys =:= Expected orelse throw({missing_key, {message, Message}}),
            [maps:get(integer_to_binary(Key), Numbered) || Key <- Keys]
    end.
