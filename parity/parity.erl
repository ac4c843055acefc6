%% @doc Plays a sequence of messages to an image in hb_wasm64, as loader.mjs does in ao-loader.
%%
%% main/1 takes the image, what messages.mjs has written, the file for the results, and options: `snapshot' (each message
%% finds a new instance, started from a snapshot of the one before), `roomy' (texts get as much room as in the first two
%% formats), and the length of a time slice in microseconds. Results
%% are a line for each message, with tabs between its number, the milliseconds that it took, and
%%   answer  what the image's `handle' gave, as it is
%%   exit, trap, abort, stack, error  how the call ended without one, and what there is to tell of it
-module(parity).

-export([main/1]).

-record(player, {image, out, snapshot = false, texts = exact}).

%% As messages.mjs has it: when an instance is started.
-define(START_TIME, 1_700_000_000_000).

-spec main([string()]) -> no_return().
main([ImageFile, SequenceFile, ResultsFile | Options]) ->
    {ok, Image} = file:read_file(ImageFile),
    {ok, Sequence} = file:read_file(SequenceFile),
    {ok, Out} = file:open(ResultsFile, [write, raw, binary, delayed_write]),
    Player = lists:foldl(fun option/2, #player{image = Image, out = Out}, Options),
    {ok, Fresh} = hb_wasm64:start(Image, #{time => ?START_TIME}),
    {ok, Snapshot} = hb_wasm64:snapshot(Fresh),
    Lines = binary:split(Sequence, <<"\n">>, [global, trim]),
    _ = lists:foldl(
        fun({N, Line}, State) -> play(Player, N, binary:split(Line, <<"\t">>, [global]), State) end,
        {Fresh, Snapshot},
        lists:zip(lists:seq(1, length(Lines)), Lines)
    ),
    ok = file:close(Out),
    halt(0).

option("snapshot", Player) ->
    Player#player{snapshot = true};
option("roomy", Player) ->
    Player#player{texts = roomy};
option(Slice, Player) ->
    ok = hb_wasm64:time_slice(list_to_integer(Slice)),
    Player.

%% The state is an instance, and its snapshot: a message that ends in an error leaves no trace.
play(Player, N, [Time, Message, Environment | _], {H, Before}) ->
    Begin = erlang:monotonic_time(),
    Result = handle(Player, H, binary_to_integer(Time), Message, Environment),
    Micros = erlang:convert_time_unit(erlang:monotonic_time() - Begin, native, microsecond),
    {Kind, Text, State} =
        case Result of
            {ok, Answer} ->
                case is_ok(Answer) of
                    true -> {"answer", Answer, next(Player, H)};
                    false -> {"answer", Answer, back(H, Before)}
                end;
            {error, Reason} ->
                {EndKind, EndText} = ending(Reason),
                {EndKind, EndText, back(H, Before)}
        end,
    Fields = [integer_to_list(N), io_lib:format("~.1f", [Micros / 1000]), Kind, one_line(Text)],
    ok = file:write(Player#player.out, [lists:join("\t", Fields), "\n"]),
    State.

next(#player{snapshot = false}, H) ->
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    {H, Snapshot};
next(#player{image = Image}, H) ->
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    ok = hb_wasm64:stop(H),
    {ok, Next} = hb_wasm64:start(Image, #{snapshot => Snapshot}),
    {Next, Snapshot}.

back(H, Before) ->
    ok = hb_wasm64:restore(H, Before),
    {H, Before}.

%% ao-loader puts the two texts on the guest's own stack. Where they are shows in what Lua makes of addresses, such as the
%% order of its tables, so they go there too.
handle(Player, H, Time, Message, Environment) ->
    {ok, [Stack]} = first(H, [<<"emscripten_stack_get_current">>, <<"stackSave">>], []),
    case push(H, [{room(Player, Text), Text} || Text <- [Message, Environment]], []) of
        {ok, Pointers} ->
            case hb_wasm64:call(H, <<"handle">>, Pointers, #{time => Time}) of
                {ok, [Answer]} ->
                    {ok, []} = first(H, [<<"_emscripten_stack_restore">>, <<"stackRestore">>], [Stack]),
                    hb_wasm64:read_string(H, Answer);
                {error, _} = Error ->
                    Error
            end;
        {error, _} = Error ->
            Error
    end.

push(_H, [], Pointers) ->
    {ok, lists:reverse(Pointers)};
push(H, [{Room, Text} | Texts], Pointers) ->
    {ok, [Pointer]} = first(H, [<<"_emscripten_stack_alloc">>, <<"stackAlloc">>], [Room]),
    case hb_wasm64:write(H, Pointer, <<Text/binary, 0>>) of
        ok -> push(H, Texts, [Pointer | Pointers]);
        {error, _} = Error -> Error
    end.

%% Four bytes for each unit of UTF-16 that JavaScript has, or as many as there are; and a NUL.
room(#player{texts = roomy}, Text) -> byte_size(unicode:characters_to_binary(Text, utf8, utf16)) * 2 + 1;
room(#player{texts = exact}, Text) -> byte_size(Text) + 1.

%% A call of the first of these functions that there is.
first(H, [Name | Names], Args) ->
    case hb_wasm64:call(H, Name, Args) of
        {error, {unknown_function, _}} when Names =/= [] -> first(H, Names, Args);
        Result -> Result
    end.

%% An answer is an object of `ok' and `response', in either order.
is_ok(Answer) -> re:run(Answer, <<"^\\{\"ok\":true[,}]|,\"ok\":true\\}$">>, [{capture, none}]) =:= match.

ending({exit, Status}) -> {"exit", integer_to_list(Status)};
ending({trap, #{code := abort, message := Text}}) -> {"abort", Text};
ending({trap, #{code := stack_overflow, message := Text}}) -> {"stack", Text};
ending({trap, #{code := Code, message := Text}}) -> {"trap", [atom_to_list(Code), ": ", Text]};
%% The texts did not fit on the stack: JavaScript lets them fall beside the memory, and the guest ends at once.
ending({out_of_bounds, _} = Reason) -> {"trap", io_lib:format("~0p", [Reason])};
ending(Reason) -> {"error", io_lib:format("~0P", [Reason, 20])}.

one_line(Text) -> re:replace(Text, "[\t\r\n]", " ", [global]).
