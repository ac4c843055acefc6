%% @doc Plays a sequence of slots to an image in hb_wasm64, through the evaluation of the device `genesis-wasm@1.0', as unit.mjs does in
%% ao-loader.
%%
%% main/1 takes the format, the image, what slots.mjs has written, the file for the results, the directory with ao-loader's checkpoints,
%% and the length of a time slice in microseconds or nothing. After each tenth slot its own checkpoint goes there, NUMBER.engine, and it
%% goes on from ao-loader's of the same place.
-module(parity_unit).

-export([main/1]).

-spec main([string()]) -> no_return().
main([Format, ImageFile, SequenceFile, ResultsFile, Directory | Slice]) ->
    {ok, Image} = file:read_file(ImageFile),
    {ok, Sequence} = file:read_file(SequenceFile),
    {ok, Out} = file:open(ResultsFile, [write, raw, binary, delayed_write]),
    [ok = hb_wasm64:time_slice(list_to_integer(Micros)) || Micros <- Slice],
    [Head | Lines] = binary:split(Sequence, <<"\n">>, [global, trim]),
    {ok, Environment} = dev_genesis_wasm64_json:decode(Head),
    [Process, Module] = [party(dev_genesis_wasm64_json:find(Key, Environment)) || Key <- [<<"Process">>, <<"Module">>]],
    Settings = #{
        image => Image,
        format => list_to_binary(Format),
        gas => 9_000_000_000_000,
        environment => dev_genesis_wasm64_message:environment(Process, Module)
    },
    _ = lists:foldl(
        fun({Slot, Line}, State) -> play(Slot, Line, State, Settings, Directory, Out) end,
        none,
        lists:zip(lists:seq(0, length(Lines) - 1), Lines)
    ),
    ok = file:close(Out),
    halt(0).

party(Party) ->
    [Id, Owner, Tags] = [dev_genesis_wasm64_json:find(Key, Party) || Key <- [<<"Id">>, <<"Owner">>, <<"Tags">>]],
    #{id => Id, owner => Owner, tags => dev_genesis_wasm64_message:tags(#{<<"Tags">> => struct(Tags)})}.

struct({Members}) -> maps:from_list([{Key, struct(Value)} || {Key, Value} <- Members]);
struct(List) when is_list(List) -> [struct(Value) || Value <- List];
struct(Value) -> Value.

play(Slot, Line, State, Settings, Directory, Out) ->
    {ok, Entry} = dev_genesis_wasm64_json:decode(Line),
    #{<<"slot">> := Struct, <<"title">> := Title} = struct(Entry),
    Begin = erlang:monotonic_time(),
    {ok, #{message := Message, slot := Slot}} = dev_genesis_wasm64_message:scheduled(Struct, <<>>),
    {ok, After, [#{json := Answer}]} =
        dev_genesis_wasm64_evaluate:slot(State, [dev_genesis_wasm64_message:json(Message)], Settings),
    Micros = erlang:convert_time_unit(erlang:monotonic_time() - Begin, native, microsecond),
    Fields = [integer_to_list(Slot), io_lib:format("~.1f", [Micros / 1000]), Answer, Title],
    ok = file:write(Out, [lists:join("\t", Fields), "\n"]),
    case Slot rem 10 of
        9 -> handed_over(After, Slot, Settings, Directory);
        _ -> After
    end.

handed_over(State, Slot, Settings, Directory) ->
    File = filename:join(Directory, integer_to_list(Slot)),
    {ok, Memory, _} = hb_wasm64:read_state(State),
    Hash = string:lowercase(binary:encode_hex(crypto:hash(sha256, Memory))),
    {ok, Expected} = file:read_file(File ++ ".sha256"),
    Same = if Hash =:= Expected -> "same"; true -> "other" end,
    ok = file:write_file(File ++ ".memory", Same),
    ok = file:write_file(File ++ ".engine", dev_genesis_wasm64_checkpoint:packed(Memory)),
    {ok, Packed} = file:read_file(File ++ ".loader"),
    {ok, Other} = dev_genesis_wasm64_checkpoint:unpacked(Packed, 1 bsl 34),
    {ok, Next} = dev_genesis_wasm64_evaluate:from_memory(Settings, Other, #{}),
    ok = hb_wasm64:stop(State),
    Next.
