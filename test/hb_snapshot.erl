%% The format of docs/snapshot.md once more, from the page alone: what is made
%% here by hand can be compared with what the library makes, and damaged in
%% ways that get past a check.
-module(hb_snapshot).

-export([decode/1, full/1, delta/2, partial/1, seal/1, parts/1, join/1, of_image/1]).

-define(MAGIC, 16#89, "HBW", 16#0d, 16#0a, 16#1a, 16#0a).
-define(PAGE, 4096).
-define(DELTA, 1).
-define(PARTIAL, 4).

%% The state in a full snapshot without compression.
decode(Snapshot) ->
    #{flags := 0, image := Image, rest := Rest, table := Table, data := Data} = parts(Snapshot),
    State = rest(Rest),
    #{memories := Sizes} = State,
    {Memories, {<<>>, <<>>}} = lists:mapfoldl(fun memory/2, {Table, Data}, Sizes),
    State#{image => Image, memories := Memories}.

memory(Size, {<<Count:64/little, Table/binary>>, Data}) ->
    {Pages, Rest} = pages(Count, Table, Data, []),
    {fill(Pages, 0, Size, []), Rest}.

pages(0, Table, Data, Pages) ->
    {lists:reverse(Pages), {Table, Data}};
pages(N, <<Page:64/little, ?PAGE:16/little, Hash:16/binary, Table/binary>>, <<Bytes:?PAGE/binary, Data/binary>>, Pages) ->
    Hash = page_hash(Bytes),
    pages(N - 1, Table, Data, [{Page, Bytes} | Pages]).

fill([], At, Size, Parts) ->
    iolist_to_binary(lists:reverse(Parts, [<<0:((Size - At) * 8)>>]));
fill([{Page, Bytes} | Pages], At, Size, Parts) ->
    Start = Page * ?PAGE,
    fill(Pages, Start + ?PAGE, Size, [Bytes, <<0:((Start - At) * 8)>> | Parts]).

rest(Rest) ->
    {Memories, Rest1} = list(fun(<<Size:64/little, R/binary>>) -> {Size, R} end, Rest),
    {Globals, Rest2} = list(fun global/1, Rest1),
    {Tables, Rest3} = list(fun table/1, Rest2),
    Index = fun(<<I:32/little, R/binary>>) -> {I, R} end,
    {Data, Rest4} = list(Index, Rest3),
    {Elements, <<>>} = list(Index, Rest4),
    #{memories => Memories, globals => Globals, tables => Tables, data => Data, elements => Elements}.

list(Read, <<Count:32/little, Rest/binary>>) ->
    lists:mapfoldl(fun(_, Bytes) -> Read(Bytes) end, Rest, lists:seq(1, Count)).

global(<<Index:32/little, Type, Rest/binary>>) ->
    Size = element(Type + 1, {0, 4, 8, 4, 8, 16, 4}),
    <<Value:Size/binary, Rest1/binary>> = Rest,
    {{Index, Type, Value}, Rest1}.

table(<<Index:32/little, Entries:32/little, Rest/binary>>) ->
    {Runs, Rest1} = runs(Entries, Rest, []),
    {{Index, Entries, Runs}, Rest1}.

runs(0, Rest, Runs) ->
    {lists:reverse(Runs), Rest};
runs(Left, <<Count:32/little, Function:32/little, Rest/binary>>, Runs) when Count > 0, Count =< Left ->
    runs(Left - Count, Rest, [{Count, Function} | Runs]).

%% Snapshots of a state, byte for byte.
full(State) -> write(0, <<0:256>>, all_pages(State), State).

partial(#{memories := [First | Others]} = State) ->
    [_ | Pages] = all_pages(State#{memories := [<<>> | Others]}),
    Sized = State#{sizes => [byte_size(First) | [byte_size(Memory) || Memory <- Others]]},
    write(?PARTIAL, <<0:256>>, [[] | Pages], Sized).

delta(Base, State) ->
    Pages = lists:zipwith3(fun changed/3, all_pages(Base), all_pages(State), [byte_size(Memory) || Memory <- maps:get(memories, State)]),
    write(?DELTA, id(0, Base, all_pages(Base), Base), Pages, State).

%% What is beyond the end of a memory is not told.
changed(Before, After, Size) ->
    New = [{N, {patch, proplists:get_value(N, Before, <<0:(?PAGE * 8)>>), Page}} || {N, Page} = Entry <- After, not lists:member(Entry, Before)],
    Zero = [{N, zero} || {N, _} <- Before, not lists:keymember(N, 1, After), (N + 1) * ?PAGE =< Size],
    lists:keysort(1, New ++ Zero).

all_pages(#{memories := Memories}) ->
    [[{N, Page} || {N, Page} <- cut(0, Memory), Page =/= <<0:(?PAGE * 8)>>] || Memory <- Memories].

cut(N, <<Page:?PAGE/binary, Rest/binary>>) -> [{N, Page} | cut(N + 1, Rest)];
cut(_, <<>>) -> [].

write(Flags, Base, Pages, #{image := Image} = State) ->
    Own = if Flags =:= ?DELTA -> all_pages(State); true -> Pages end,
    Table = [[<<(length(Entries)):64/little>>, [[<<N:64/little>>, entry(Page)] || {N, Page} <- Entries]] || Entries <- Pages],
    Data = [record(Page) || Entries <- Pages, {_, Page} <- Entries],
    join(#{
        flags => Flags, image => Image, id => id(Flags band ?PARTIAL, State, Own, State), base => Base,
        rest => iolist_to_binary(write_rest(State)), table => iolist_to_binary(Table), data => iolist_to_binary(Data)
    }).

entry(zero) -> <<0:16, 0:128>>;
entry({patch, _, Page} = Patch) -> <<(byte_size(record(Patch))):16/little, (page_hash(Page))/binary>>;
entry(Page) -> <<?PAGE:16/little, (page_hash(Page))/binary>>.

record(zero) ->
    <<>>;
record({patch, Before, Page}) ->
    case iolist_to_binary(patch(joined(runs_of(Before, Page, 0)), 0, Page)) of
        Patch when byte_size(Patch) < ?PAGE -> Patch;
        _ -> Page
    end;
record(Page) ->
    Page.

%% Where two pages differ: {Start, End} of each run.
runs_of(Before, Page, At) when At < ?PAGE ->
    Same = binary:longest_common_prefix([binary:part(Page, At, ?PAGE - At), binary:part(Before, At, ?PAGE - At)]),
    case At + Same of
        ?PAGE -> [];
        Start -> run(Before, Page, Start, Start + 1)
    end;
runs_of(_, _, ?PAGE) ->
    [].

run(Before, Page, Start, At) ->
    case At < ?PAGE andalso binary:at(Before, At) =/= binary:at(Page, At) of
        true -> run(Before, Page, Start, At + 1);
        false -> [{Start, At} | runs_of(Before, Page, At)]
    end.

joined([{Start, End}, {Next, Last} | Runs]) when Next - End < 3 -> joined([{Start, Last} | Runs]);
joined([Run | Runs]) -> [Run | joined(Runs)];
joined([]) -> [].

patch([{Start, End} | Runs], At, Page) ->
    [leb128(Start - At), leb128(End - Start), binary:part(Page, Start, End - Start) | patch(Runs, End, Page)];
patch([], _, _) ->
    [].

leb128(N) when N < 128 -> [N];
leb128(N) -> [128 bor (N band 127) | leb128(N bsr 7)].

id(Partial, #{image := Image}, Pages, State) ->
    Rest = iolist_to_binary(write_rest(State)),
    Hashes = [[<<Memory:32/little, N:64/little>>, page_hash(Page)]
              || {Memory, Entries} <- lists:zip(lists:seq(0, length(Pages) - 1), Pages), {N, Page} <- Entries],
    hash(["hb_wasm64 state", min(Partial, 1), Image, <<(byte_size(Rest)):64/little>>, Rest, Hashes]).

write_rest(#{memories := Memories, globals := Globals, tables := Tables, data := Data, elements := Elements} = State) ->
    Sizes = maps:get(sizes, State, [byte_size(Memory) || Memory <- Memories]),
    [
        counted(fun(Size) -> <<Size:64/little>> end, Sizes),
        counted(fun({Index, Type, Value}) -> [<<Index:32/little, Type>>, Value] end, Globals),
        counted(fun({Index, Entries, Runs}) ->
            [<<Index:32/little, Entries:32/little>>, [<<Count:32/little, F:32/little>> || {Count, F} <- Runs]]
        end, Tables),
        counted(fun(Index) -> <<Index:32/little>> end, Data),
        counted(fun(Index) -> <<Index:32/little>> end, Elements)
    ].

counted(Write, Items) -> [<<(length(Items)):32/little>> | [Write(Item) || Item <- Items]].

%% A snapshot in its parts, whatever they are, and back.
parts(<<?MAGIC, 1:16/little, Flags:16/little, Rest:32/little, Table:64/little, Data:64/little, Image:32/binary, ID:32/binary,
        Base:32/binary, After/binary>>) ->
    <<RestBytes:Rest/binary, TableBytes:Table/binary, _Check:32/binary, DataBytes:Data/binary>> = After,
    #{flags => Flags, image => Image, id => ID, base => Base, rest => RestBytes, table => TableBytes, data => DataBytes}.

join(#{flags := Flags, image := Image, id := ID, base := Base, rest := Rest, table := Table, data := Data}) ->
    Checked = [
        <<?MAGIC, 1:16/little, Flags:16/little, (byte_size(Rest)):32/little, (byte_size(Table)):64/little>>,
        <<(byte_size(Data)):64/little>>, Image, ID, Base, Rest, Table
    ],
    iolist_to_binary([Checked, hash(Checked), Data]).

%% The same with a check that is right, as far as the lengths in it tell where that is.
seal(<<Head:12/binary, Rest:32/little, Table:64/little, _/binary>> = Snapshot) when byte_size(Snapshot) >= 160 + Rest + Table ->
    Length = 128 + Rest + Table,
    <<Checked:Length/binary, _:32/binary, Data/binary>> = Snapshot,
    true = binary:part(Checked, 0, 12) =:= Head,
    <<Checked/binary, (hash(Checked))/binary, Data/binary>>;
seal(Snapshot) ->
    Snapshot.

%% What a snapshot of an image would be if it had one memory, and globals.
of_image(Image) ->
    #{image => hash(Image), memories => [], globals => [], tables => [], data => [], elements => []}.

hash(Bytes) -> crypto:hash(sha256, Bytes).

%% Kept, as it takes a while.
page_hash(Page) ->
    case get({page_hash, Page}) of
        undefined ->
            Hash = hb_xxh3:hash128(Page),
            put({page_hash, Page}, Hash),
            Hash;
        Hash ->
            Hash
    end.
