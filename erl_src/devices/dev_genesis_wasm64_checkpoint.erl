%% @doc Memory checkpoints as AO's compute unit ("CU") has them: the linear memory, gzipped, with tags that say of which process and slot it
%% is.
-module(dev_genesis_wasm64_checkpoint).

-export([packed/1, unpacked/2, message/2, read/5]).
-export_type([known/0]).

-type known() :: #{
    process := binary(),
    module := binary(),
    slot := integer(),
    block := dev_genesis_wasm64_cron:block(),
    chain := {Assignment :: binary(), HashChain :: binary()} | none,
    epoch => integer() | undefined
}.
%% What a checkpoint says of its memory.

%% Bytes that a memory can have.
-define(MOST, (16 bsl 30)).

%% A stretch of a memory, and of what is read at once.
-define(PIECE, (1 bsl 20)).

%% @doc A memory, gzipped: fast rather than small.
-spec packed(binary()) -> binary().
packed(Memory) ->
    Stream = zlib:open(),
    try
        ok = zlib:deflateInit(Stream, best_speed, deflated, 16 + 15, 9, default),
        Bytes = iolist_to_binary(pack(Stream, Memory)),
        ok = zlib:deflateEnd(Stream),
        Bytes
    after
        zlib:close(Stream)
    end.

pack(Stream, <<Piece:?PIECE/binary, Rest/binary>>) when Rest =/= <<>> -> [zlib:deflate(Stream, Piece) | pack(Stream, Rest)];
pack(Stream, Piece) -> [zlib:deflate(Stream, Piece, finish)].

%% @doc The memory that was gzipped, of at most so many bytes. Nothing larger is unpacked.
-spec unpacked(binary(), Most :: non_neg_integer()) -> {ok, binary()} | {error, damaged | too_large}.
unpacked(Packed, Most) ->
    Stream = zlib:open(),
    try
        ok = zlib:inflateInit(Stream, 16 + 15),
        Result = unpack(Stream, zlib:safeInflate(Stream, Packed), Most, []),
        %% Raises where the end or the checksum is missing.
        ok = zlib:inflateEnd(Stream),
        Result
    catch
        error:_ -> {error, damaged};
        throw:too_large -> {error, too_large}
    after
        zlib:close(Stream)
    end.

unpack(Stream, {Status, Output}, Most, Pieces) when Status =:= finished; Status =:= continue ->
    case Most - iolist_size(Output) of
        Left when Left < 0 -> throw(too_large);
        _ when Status =:= finished -> {ok, iolist_to_binary(lists:reverse([Output | Pieces]))};
        Left -> unpack(Stream, zlib:safeInflate(Stream, []), Left, [iolist_to_binary(Output) | Pieces])
    end.

%% @doc A checkpoint as a message: the keys are the tags of the CU's data item.
-spec message(Memory :: binary(), known()) -> #{binary() => binary()}.
message(Memory, #{process := Process, module := Module, slot := Slot, block := {Height, Time}, chain := Chain} = Known) ->
    Tags = #{
        <<"data-protocol">> => <<"ao">>,
        <<"variant">> => <<"ao.TN.1">>,
        <<"type">> => <<"Checkpoint">>,
        <<"module">> => Module,
        <<"process">> => Process,
        <<"nonce">> => integer_to_binary(Slot),
        <<"timestamp">> => integer_to_binary(Time),
        <<"block-height">> => integer_to_binary(Height),
        <<"content-type">> => <<"application/octet-stream">>,
        <<"sha-256">> => digest(Memory),
        <<"content-encoding">> => <<"gzip">>,
        <<"data">> => packed(Memory)
    },
    Chained =
        case Chain of
            none -> #{};
            {Assignment, Hash} -> #{<<"assignment">> => Assignment, <<"hash-chain">> => Hash}
        end,
    Epoch =
        case Known of
            #{epoch := Number} when is_integer(Number), Number > 0 -> #{<<"epoch">> => integer_to_binary(Number)};
            _ -> #{}
        end,
    maps:merge(Tags, maps:merge(Chained, Epoch)).

digest(Memory) -> string:lowercase(binary:encode_hex(crypto:hash(sha256, Memory))).

%% @doc What a checkpoint of a process and its module holds. One of others, or that is not whole, is refused, and says why.
-spec read(map(), Process :: binary(), Module :: binary(), Most :: pos_integer(), map()) ->
    {ok, #{memory := binary(), slot := integer(), block := dev_genesis_wasm64_cron:block(), chain := {binary(), binary()} | none}}
    | {error, map()}.
read(Checkpoint, Process, Module, Most, Opts) ->
    Get = fun(Key) -> lib_wasm64_message:value(Key, Checkpoint, undefined, Opts) end,
    Slot = number(Get(<<"nonce">>)),
    Block = {number(Get(<<"block-height">>)), number(Get(<<"timestamp">>))},
    case {Get(<<"process">>), Get(<<"module">>), Slot, Block} of
        {Other, _, _, _} when Other =/= Process ->
            refused(<<"process">>, <<"Checkpoint message targets a different process.">>);
        {_, Other, _, _} when Other =/= Module ->
            refused(<<"module">>, <<"the checkpoint is of another module">>);
        {_, _, error, _} ->
            refused(<<"nonce">>, <<"not a slot">>);
        {_, _, _, {Height, Time}} when Height =:= error; Time =:= error ->
            refused(<<"timestamp">>, <<"the checkpoint does not say of which block and time it is">>);
        _ ->
            Data =
                case Get(<<"data">>) of
                    undefined -> Get(<<"body">>);
                    Bytes -> Bytes
                end,
            case contents(Data, Get(<<"content-encoding">>), min(Most, ?MOST)) of
                {ok, Memory} -> whole(Memory, Get(<<"sha-256">>), Get, #{slot => Slot, block => Block});
                {error, too_large} -> refused(<<"data">>, <<"the memory is larger than the Memory-Limit of the process">>);
                {error, damaged} -> refused(<<"data">>, <<"damaged: it cannot be unpacked">>)
            end
    end.

contents(Data, _Encoding, _Most) when not is_binary(Data) -> {error, damaged};
contents(Data, Encoding, Most) when Encoding =:= undefined; Encoding =:= <<"identity">> ->
    %% What has been unpacked on its way is not unpacked again.
    case Data of
        <<16#1f, 16#8b, _/binary>> -> unpacked(Data, Most);
        _ when byte_size(Data) > Most -> {error, too_large};
        _ -> {ok, Data}
    end;
contents(Data, _Encoding, Most) ->
    unpacked(Data, Most).

whole(Memory, Digest, Get, Known) ->
    case is_binary(Digest) andalso string:lowercase(Digest) =:= digest(Memory) of
        false ->
            refused(<<"sha-256">>, <<"missing, or damaged: the memory is not the one that was hashed">>);
        true when byte_size(Memory) rem 65536 =/= 0; Memory =:= <<>> ->
            refused(<<"data">>, <<"not a memory: its size is no multiple of 64 KiB">>);
        true ->
            Chain =
                case {Get(<<"assignment">>), Get(<<"hash-chain">>)} of
                    {Assignment, Hash} when is_binary(Assignment), is_binary(Hash) -> {Assignment, Hash};
                    _ -> none
                end,
            {ok, Known#{memory => Memory, chain => Chain}}
    end.

number(Number) when is_integer(Number) -> Number;
number(Text) when is_binary(Text) ->
    case string:to_integer(Text) of
        {Number, <<>>} -> Number;
        _ -> error
    end;
number(_Other) -> error.

refused(Key, Text) -> lib_wasm64_error:fault(<<"snapshot/", Key/binary>>, 400, Text).
