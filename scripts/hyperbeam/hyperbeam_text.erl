%% @doc Edits Erlang text in place: what is not edited keeps its bytes, comments and layout included.
%%
%% Text is a binary and is read byte by byte, so that positions are those of the file whatever its encoding. An edit is
%% `{From, To, New}': the bytes From..To-1 become New. Forms, lists and tuples are found by their tokens, never by lines.
-module(hyperbeam_text).

-export([forms/1, tokens/1, terms/1]).
-export([named/2, values_of/2, items/1, term/1, slice/2, strings/1]).
-export([replace/2, remove/3, remove_words/3, insert_first/3, insert_after/3, append/3, apply_edits/2, take_back/3]).
-export_type([node_/0, item/0, edit/0]).

-type position() :: non_neg_integer().
-type edit() :: {From :: position(), To :: position(), New :: binary()}.
-type node_() ::
    {leaf, position(), position(), erl_scan:token()}
    | {group, position(), position(), Open :: atom(), [item()]}.
%% What stands between two commas, and the comma behind it.
-type item() :: {item, position(), position(), [node_()], Comma :: {position(), position()} | none}.

%% @doc The forms of a text, each as a group of items.
-spec forms(binary()) -> {ok, [node_()]} | {error, Why :: string()}.
forms(Text) ->
    case scan(Text) of
        {ok, Tokens} ->
            try {ok, read_forms(placed(Tokens, 0))}
            catch throw:{brackets, At} -> {error, io_lib:format("line ~b: brackets that do not match", [line(Text, At)])}
            end;
        {error, _} = Error ->
            Error
    end.

%% @doc The tokens alone: two texts that differ only in layout and comments have the same.
-spec tokens(binary()) -> [{atom(), term()}].
tokens(Text) ->
    {ok, Tokens} = scan(Text),
    [{erl_scan:category(Token), erl_scan:symbol(Token)} || Token <- Tokens, is_code(Token)].

%% @doc The terms of a text of terms, such as rebar.config.
-spec terms(binary()) -> {ok, [term()]} | {error, Why :: string()}.
terms(Text) ->
    case scan(Text) of
        {ok, Tokens} -> parse_terms([Token || Token <- Tokens, is_code(Token)], [], []);
        {error, _} = Error -> Error
    end.

parse_terms([], [], Terms) ->
    {ok, lists:reverse(Terms)};
parse_terms([], [Token | _], _) ->
    {error, io_lib:format("line ~b: a term without a full stop", [erl_scan:line(Token)])};
parse_terms([{dot, _} = Dot | Rest], Read, Terms) ->
    case erl_parse:parse_term(lists:reverse(Read, [Dot])) of
        {ok, Term} -> parse_terms(Rest, [], [Term | Terms]);
        {error, {At, _, Why}} -> {error, io_lib:format("line ~p: ~ts", [line_of(At), erl_parse:format_error(Why)])}
    end;
parse_terms([Token | Rest], Read, Terms) ->
    parse_terms(Rest, [Token | Read], Terms).

scan(Text) ->
    case erl_scan:string(binary_to_list(Text), {1, 1}, [return, text]) of
        {ok, Tokens, _} -> {ok, Tokens};
        {error, {At, _, Why}, _} -> {error, io_lib:format("line ~p: ~ts", [line_of(At), erl_scan:format_error(Why)])}
    end.

line_of({Line, _Column}) -> Line;
line_of(Line) -> Line.

line(Text, At) -> length(binary:matches(binary:part(Text, 0, At), <<"\n">>)) + 1.

is_code(Token) -> not lists:member(erl_scan:category(Token), [white_space, comment]).

placed(Tokens, At) ->
    {Leaves, _} = lists:mapfoldl(
        fun(Token, From) ->
            To = From + length(erl_scan:text(Token)),
            {{leaf, From, To, Token}, To}
        end, At, Tokens),
    [Leaf || {leaf, _, _, Token} = Leaf <- Leaves, is_code(Token)].

read_forms([]) ->
    [];
read_forms([{leaf, From, _, _} | _] = Leaves) ->
    {Items, To, Rest} = read_items(Leaves, dot),
    [{group, From, To, form, Items} | read_forms(Rest)].

%% Reads up to the bracket Close. An empty group has no items.
read_items(Leaves, Close) -> read_items(Leaves, Close, [], []).

read_items([], dot, Nodes, Items) ->
    Done = lists:reverse(item(Nodes, none, Items)),
    {Done, to(lists:last(Done)), []};
read_items([], _, _, _) ->
    throw({brackets, 0});
read_items([{leaf, From, To, Token} = Leaf | Rest], Close, Nodes, Items) ->
    case erl_scan:category(Token) of
        Close ->
            {lists:reverse(item(Nodes, none, Items)), To, Rest};
        ',' ->
            read_items(Rest, Close, [], item(Nodes, {From, To}, Items));
        Category ->
            case closing(Category) of
                none ->
                    read_items(Rest, Close, [Leaf | Nodes], Items);
                wrong ->
                    throw({brackets, From});
                Wanted ->
                    {Inner, End, Rest1} =
                        try read_items(Rest, Wanted)
                        catch throw:{brackets, 0} -> throw({brackets, From})
                        end,
                    read_items(Rest1, Close, [{group, From, End, Category, Inner} | Nodes], Items)
            end
    end.

item([], none, Items) ->
    Items;
item([], {From, _} = Comma, Items) ->
    [{item, From, From, [], Comma} | Items];
item(Nodes, Comma, Items) ->
    [{item, from(lists:last(Nodes)), to(hd(Nodes)), lists:reverse(Nodes), Comma} | Items].

from(Node) -> element(2, Node).
to(Node) -> element(3, Node).

closing('{') -> '}';
closing('[') -> ']';
closing('(') -> ')';
closing('<<') -> '>>';
closing(Category) when Category =:= '}'; Category =:= ']'; Category =:= ')'; Category =:= '>>'; Category =:= dot -> wrong;
closing(_) -> none.

%% @doc The items behind Name of every tuple `{Name, ...}' that is a form, or one of a list of tuples.
-spec named(atom(), [node_()] | [item()]) -> [[item()]].
named(Name, FormsOrItems) ->
    lists:append([tuple(Name, Nodes) || Nodes <- lists:map(fun nodes/1, FormsOrItems)]).

nodes({group, _, _, form, [{item, _, _, Nodes, _}]}) -> Nodes;
nodes({item, _, _, Nodes, _}) -> Nodes;
nodes(_) -> [].

tuple(Name, [{group, _, _, '{', [{item, _, _, [{leaf, _, _, {atom, _, Name}}], _} | Items]}]) -> [Items];
tuple(_, _) -> [].

%% @doc Every group that stands behind `Name =>', however deep.
-spec values_of(atom(), [node_()]) -> [node_()].
values_of(Name, Nodes) ->
    lists:append(lists:map(fun({group, _, _, _, Items}) ->
        lists:append([values_in(Name, Inner) || {item, _, _, Inner, _} <- Items]);
        (_) -> []
    end, Nodes)).

values_in(Name, Nodes) ->
    Here = case Nodes of
        [{leaf, _, _, {atom, _, Name}}, {leaf, _, _, {'=>', _}}, {group, _, _, _, _} = Value | _] -> [Value];
        _ -> []
    end,
    Here ++ values_of(Name, Nodes).

%% @doc The items of a list or tuple.
-spec items(item() | node_()) -> [item()] | none.
items({item, _, _, [{group, _, _, _, Items}], _}) -> Items;
items({group, _, _, _, Items}) -> Items;
items(_) -> none.

%% @doc What an item means, where it is a term.
-spec term(item()) -> {ok, term()} | error.
term({item, _, _, Nodes, _} = Item) ->
    case erl_parse:parse_term(lists:append(lists:map(fun flat/1, Nodes)) ++ [{dot, to(Item)}]) of
        {ok, Term} -> {ok, Term};
        {error, _} -> error
    end.

flat({leaf, _, _, Token}) ->
    [Token];
flat({group, From, To, Open, Items}) ->
    Inner = [lists:append(lists:map(fun flat/1, Nodes)) || {item, _, _, Nodes, _} <- Items],
    [{Open, From}] ++ lists:append(lists:join([{',', From}], Inner)) ++ [{closing(Open), To}].

%% @doc The bytes of an item.
-spec slice(binary(), item()) -> binary().
slice(Text, Item) -> binary:part(Text, from(Item), to(Item) - from(Item)).

%% @doc The string literals in an item, as they are written.
-spec strings(item() | node_()) -> [node_()].
strings({item, _, _, Nodes, _}) -> lists:append(lists:map(fun strings/1, Nodes));
strings({group, _, _, _, Items}) -> lists:append(lists:map(fun strings/1, Items));
strings({leaf, _, _, {string, _, _}} = Leaf) -> [Leaf];
strings({leaf, _, _, _}) -> [].

%% @doc The edit that puts New in the place of an item.
-spec replace(item() | node_(), iodata()) -> edit().
replace(Item, New) -> {from(Item), to(Item), iolist_to_binary(New)}.

%% @doc The edits that take an item out of its list: with its comma, and with its lines where they are its own.
-spec remove(binary(), item(), [item()]) -> [edit()].
remove(Text, {item, From, To, _, Comma} = Item, Items) ->
    Line = line_start(Text, From),
    Before = lists:takewhile(fun(Other) -> Other =/= Item end, Items),
    case {Comma, Before} of
        {{_, CommaEnd}, _} ->
            case is_blank(Text, Line, From) of
                true -> [{Line, line_end(Text, CommaEnd, Items), <<>>}];
                false -> [{From, skip_blanks(Text, CommaEnd), <<>>}]
            end;
        {none, []} ->
            [{From, To, <<>>}];
        {none, _} ->
            {item, _, _, _, {CommaFrom, CommaTo}} = lists:last(Before),
            case is_blank(Text, Line, From) of
                true ->
                    %% A comment behind the comma belongs to the item before and stays.
                    End = to_line_end(Text, To),
                    case previous_line_end(Text, Line) of
                        Break when Break > CommaTo -> [{CommaFrom, CommaTo, <<>>}, {Break, End, <<>>}];
                        _ -> [{CommaFrom, End, <<>>}]
                    end;
                false -> [{CommaFrom, To, <<>>}]
            end
    end.

%% @doc The edits that take words out of a string literal: neighbours together, with the space on one side.
-spec remove_words(binary(), node_(), fun((string()) -> boolean())) -> [edit()].
remove_words(Text, {leaf, From, To, _}, Is) ->
    Literal = binary:part(Text, From, To - From),
    Words = case re:run(Literal, "[^ \"]+", [global]) of
        {match, Found} -> [{At, At + Size} || [{At, Size}] <- Found];
        nomatch -> []
    end,
    [begin
        {Start, End} = case Literal of
            <<_:Last/binary, " ", _/binary>> -> {First, Last + 1};
            <<_:(First - 1)/binary, " ", _/binary>> -> {First - 1, Last};
            _ -> {First, Last}
        end,
        {From + Start, From + End, <<>>}
    end || {First, Last} <- runs(Words, fun({A, B}) -> Is(binary_to_list(binary:part(Literal, A, B - A))) end)].

runs(Words, Is) ->
    case lists:dropwhile(fun(Word) -> not Is(Word) end, Words) of
        [] ->
            [];
        [{First, _} | _] = Rest ->
            {Run, Others} = lists:splitwith(Is, Rest),
            [{First, element(2, lists:last(Run))} | runs(Others, Is)]
    end.

%% @doc The edit that puts New first in a list, laid out like the item that was first.
-spec insert_first(binary(), item() | node_(), iodata()) -> edit().
insert_first(Text, List, New) ->
    case items(List) of
        [] -> {to(List) - 1, to(List) - 1, iolist_to_binary(New)};
        [First | _] -> {from(First), from(First), iolist_to_binary([New, ",", gap(Text, First)])}
    end.

%% @doc The edits that put New last in a list, laid out like the item that was last.
-spec append(binary(), item() | node_(), iodata()) -> [edit()].
append(Text, List, New) ->
    case items(List) of
        [] -> [{to(List) - 1, to(List) - 1, iolist_to_binary(New)}];
        Items -> insert_after(Text, lists:last(Items), New)
    end.

%% @doc The edits that put New behind an item, laid out like that.
-spec insert_after(binary(), item(), iodata()) -> [edit()].
insert_after(Text, {item, _, To, _, Comma} = Item, New) ->
    Entry = [gap(Text, Item), New],
    %% A comment behind the item stays with it.
    case {Comma, to_line_end(Text, case Comma of none -> To; {_, CommaTo} -> CommaTo end)} of
        {none, End} when End > To -> [{To, To, <<",">>}, {End, End, iolist_to_binary(Entry)}];
        {{_, CommaEnd}, End} when End > CommaEnd -> [{End, End, iolist_to_binary([Entry, ","])}];
        _ -> [{To, To, iolist_to_binary([",", Entry])}]
    end.

%% The line break and the indentation before an item that begins a line; else a space.
gap(Text, Item) ->
    Line = line_start(Text, from(Item)),
    case Line > 0 andalso is_blank(Text, Line, from(Item)) of
        true ->
            Break = previous_line_end(Text, Line),
            binary:part(Text, Break, from(Item) - Break);
        false ->
            <<" ">>
    end.

line_start(Text, At) ->
    case binary:matches(binary:part(Text, 0, At), <<"\n">>) of
        [] -> 0;
        Breaks -> element(1, lists:last(Breaks)) + 1
    end.

%% Where the line break before a line begins.
previous_line_end(_, 0) -> 0;
previous_line_end(Text, Line) when Line > 1 ->
    case binary:part(Text, Line - 2, 2) of
        <<"\r\n">> -> Line - 2;
        _ -> Line - 1
    end;
previous_line_end(_, Line) -> Line - 1.

%% The end of the line At is in, if no other item stands in it; else where that begins.
line_end(Text, At, Items) ->
    End = case binary:match(Text, <<"\n">>, [{scope, {At, byte_size(Text) - At}}]) of
        {Break, 1} -> Break + 1;
        nomatch -> byte_size(Text)
    end,
    case [from(Item) || Item <- Items, from(Item) >= At, from(Item) < End] of
        [] -> End;
        [Next | _] -> Next
    end.

%% Where the comment at At ends that has the rest of the line for itself; else At.
to_line_end(Text, At) ->
    case re:run(Text, "\\G[ \\t]*(%[^\\r\\n]*)?(?=\\r?\\n)", [{offset, At}, {capture, first}]) of
        {match, [{At, Size}]} -> At + Size;
        nomatch -> At
    end.

is_blank(Text, From, To) -> re:run(binary:part(Text, From, To - From), "^[ \\t]*$", [{capture, none}]) =:= match.

skip_blanks(Text, At) ->
    case Text of
        <<_:At/binary, Char, _/binary>> when Char =:= $\s; Char =:= $\t -> skip_blanks(Text, At + 1);
        _ -> At
    end.

-spec apply_edits(binary(), [edit()]) -> binary().
apply_edits(Text, Edits) ->
    lists:foldr(fun({From, To, New}, Now) ->
        <<Before:From/binary, _:(To - From)/binary, After/binary>> = Now,
        <<Before/binary, New/binary, After/binary>>
    end, Text, lists:keysort(1, Edits)).

%% @doc Takes the Edits made of Before out of Now, which somebody has changed further. Each is looked for by what stands
%% around it, the widest surroundings first; `error' where one is not there exactly once.
-spec take_back(Before :: binary(), [edit()], Now :: binary()) -> {ok, binary()} | error.
take_back(Before, Edits, Now) ->
    After = apply_edits(Before, Edits),
    {Places, _} = lists:mapfoldl(
        fun({From, To, New}, Shift) ->
            {{From + Shift, New, binary:part(Before, From, To - From)}, Shift + byte_size(New) - (To - From)}
        end, 0, lists:keysort(1, Edits)),
    Back = [{look(After, At, New, Now), byte_size(New), Old} || {At, New, Old} <- Places],
    Found = lists:keysort(1, [{At, At + Size, Old} || {At, Size, Old} <- Back, is_integer(At)]),
    case length(Found) =:= length(Back) andalso not overlap(Found) of
        true -> {ok, apply_edits(Now, Found)};
        false -> error
    end.

overlap([{_, To, _} | [{From, _, _} | _] = Rest]) -> From < To orelse overlap(Rest);
overlap(_) -> false.

look(After, At, New, Now) ->
    look([{Left, Right} || Wide <- [200, 80, 40, 20], {Left, Right} <- [{Wide, Wide}, {Wide, 0}, {0, Wide}]],
        After, At, New, Now).

look([], _, _, _, _) ->
    not_found;
look([{Left0, Right0} | Narrower], After, At, New, Now) ->
    Left = min(Left0, At),
    Right = min(Right0, byte_size(After) - At - byte_size(New)),
    case binary:matches(Now, binary:part(After, At - Left, Left + byte_size(New) + Right)) of
        [{Found, _}] -> Found + Left;
        _ -> look(Narrower, After, At, New, Now)
    end.
