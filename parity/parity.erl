%% Plays a sequence of messages to an image in hb_wasm64, as parity/loader.mjs does in ao-loader.
%%
%% The arguments of main/1: the image, what messages.mjs has written, the file for the results, `plain' or `snapshots' (each
%% message finds an instance that has been restored from a snapshot), and the length of a time slice in microseconds. The
%% results are a line of JSON for each message: the `answer' of the image's `handle' as it is, or `crashed', which is how
%% the call has ended without one.
-module(parity).

-export([main/1]).



-spec main([string()]) -> no_return().
main([ImageFile, Sequence, Results, Mode, Slice]) ->
    {ok, Image} = file:read_file(ImageFile),
    {ok, Lines} = file:read_file(Sequence),
    {ok, Out} = file:open(Results, [write, raw, binary, delayed_write]),
    ok = hb_wasm64:time_slice(list_to_integer(Slice)),
    {ok, H} = hb_wasm64:start(Image),
    Messages = [binary:split(Line, <<"\t">>, [global]) || Line <- binary:split(Lines, <<"\n">>, [global]), Line =/= <<>>],
    _ = lists:foldl(
        fun([Time, Message, Environment | _], {N, Before}) ->
            {Told, After} = play(Image, Mode, Before, binary_to_integer(Time), Message, Environment),
            ok = file:write(Out, ["{\"n\":", integer_to_list(N), ",", Told, "}\n"]),
            {N + 1, After}
        end,
        {1, H},
        Messages
    ),
    ok = file:close(Out),
    halt(0).

%% A message that ends without an answer leaves nothing behind.
play(Image, Mode, H, Time, Message, Environment) ->
    {ok, Snapshot} = hb_wasm64:snapshot(H),
    case handle(H, Time, Message, Environment) of
        {ok, Answer} when Mode =:= "plain" ->
            {["\"answer\":", Answer], H};
        {ok, Answer} ->
            {ok, Now} = hb_wasm64:snapshot(H),
            ok = hb_wasm64:stop(H),
            {ok, Other} = hb_wasm64:start(Image, #{snapshot => Now}),
            {["\"answer\":", Answer], Other};
        {error, Reason} ->
            ok = hb_wasm64:restore(H, Snapshot),
            {["\"crashed\":", crash(Reason)], H}
    end.

%% The texts lie on the guest's own stack while it is called, as ao-loader puts them: their places show in what Lua makes
%% of addresses, such as the order of its tables.
handle(H, Time, Message, Environment) ->
    {ok, [Stack]} = hb_wasm64:call(H, <<"emscripten_stack_get_current">>, []),
    Pointers = [push(H, Text) || Text <- [Message, Environment]],
    case hb_wasm64:call(H, <<"handle">>, Pointers, #{time => Time}) of
        {ok, [Answer]} ->
            {ok, []} = hb_wasm64:call(H, <<"_emscripten_stack_restore">>, [Stack]),
            hb_wasm64:read_string(H, Answer band ((1 bsl 64) - 1));
        {error, _} = Error ->
            Error
    end.

push(H, Text) ->
    %% Emscripten's stringToUTF8OnStack asks for a byte more than the text with its NUL has.
    {ok, [Pointer]} = hb_wasm64:call(H, <<"_emscripten_stack_alloc">>, [byte_size(Text) + 1]),
    ok = hb_wasm64:write(H, Pointer, <<Text/binary, 0>>),
    Pointer.

crash({exit, Status}) -> io_lib:format("{\"kind\":\"exit\",\"status\":~b}", [Status]);
crash({trap, #{code := stack_overflow}}) -> "{\"kind\":\"stack\"}";
crash({trap, #{code := abort}}) -> "{\"kind\":\"abort\"}";
crash({trap, #{code := Code}}) -> io_lib:format("{\"kind\":\"trap\",\"text\":\"~ts\"}", [Code]);
crash({exception, #{tag := Tag}}) -> io_lib:format("{\"kind\":\"error\",\"text\":\"~ts\"}", [Tag]);
crash(Reason) -> io_lib:format("{\"kind\":\"error\",\"text\":~0p}", [lists:flatten(io_lib:format("~0P", [Reason, 10]))]).
