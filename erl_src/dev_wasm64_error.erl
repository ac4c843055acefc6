%% @doc Errors as {@link dev_wasm64} tells them: as messages, and as texts that are the same on every node.
-module(dev_wasm64_error).

-export([message/2, message/3, text/1, import/3, is_of_node/1, spoils/1]).

%% @doc The answer to a request that failed for the value of a key.
-spec message(Key :: binary(), hb_wasm64:reason()) -> map().
message(Key, Reason) ->
    message(Key, status(Reason), text(Reason)).

%% @doc The same, with a status of HTTP and a text.
-spec message(Key :: binary(), Status :: 400..599, Text :: binary()) -> map().
message(Key, Status, Text) ->
    #{<<"status">> => Status, <<"key">> => Key, <<"body">> => <<Key/binary, ": ", Text/binary>>}.

status(timeout) -> 504;
status(stopped) -> 410;
status(Reason) ->
    case is_of_node(Reason) of
        true -> 503;
        false -> 400
    end.

%% @doc Whether a reason speaks of this node rather than of the guest: another node may get further.
-spec is_of_node(term()) -> boolean().
is_of_node(Reason) when Reason =:= timeout; Reason =:= cancelled; Reason =:= stopped; Reason =:= not_local -> true;
is_of_node({limit, instances}) -> true;
is_of_node({invalid_option, _, _}) -> true;
is_of_node(Reason) -> spoils(Reason).

%% @doc Whether a reason of this node ended the guest in the middle of something, so that it is in a state that no other
%% node can reach. (What a timeout does to it is an option of the call.)
-spec spoils(term()) -> boolean().
spoils({host, _}) -> true;
spoils({trap, #{code := out_of_host_memory}}) -> true;
spoils({import_failed, {of_node, _}}) -> true;
spoils(_) -> false.

%% @doc The reason for an import that failed: which, and why, without anything that differs between nodes. Where its
%% device could not do something on this node (the statuses 502 to 504 of HTTP) that is kept apart.
-spec import(string(), string(), term()) -> binary() | {of_node, binary()}.
import(Module, Func, Why) ->
    Text = unicode:characters_to_binary([Module, $., Func, ": ", why(Why)]),
    case Why of
        #{<<"status">> := Status} when Status >= 502, Status =< 504 -> {of_node, Text};
        _ -> Text
    end.

why({raised, Class}) -> ["raised ", atom_to_binary(Class)];
why(no_results) -> "the answer has no results";
why(no_state) -> "the state of the answer is no message";
why(no_list) -> "the results are no list";
why(no_answer) -> "the answer is none of ok and error";
why(#{<<"body">> := Text}) when is_binary(Text) -> why(Text);
why(Text) when is_binary(Text) ->
    case unicode:characters_to_binary(Text) of
        Text -> Text;
        _ -> "error"
    end;
why(Atom) when is_atom(Atom) -> atom_to_binary(Atom);
why(_) -> "error".

%% @doc A reason as text.
-spec text(term()) -> binary().
text(Reason) -> unicode:characters_to_binary(describe(Reason)).

describe({invalid_module, Text}) -> ["not a WebAssembly module: ", Text];
describe({unsupported, Text}) -> ["not supported: ", Text];
describe({link, #{module := Module, name := Name, kind := Kind}}) ->
    io_lib:format("the import ~ts.~ts is a ~p; only functions can be imported", [Module, Name, Kind]);
describe({unknown_function, Name}) -> ["unknown function: ", name(Name)];
describe({invalid_args, #{signature := Signature, position := Position}}) ->
    io_lib:format("invalid arguments: number ~b does not fit ~ts", [Position, Signature]);
describe({trap, #{code := abort, message := Message} = Trap}) -> ["trap: ", Message, place(abort, Trap)];
describe({trap, #{code := Code} = Trap}) -> ["trap: ", atom_to_binary(Code), place(Code, Trap)];
describe({exit, Status}) -> ["exit: ", integer_to_binary(Status)];
describe({exception, #{tag := undefined}}) -> "uncaught exception";
describe({exception, #{tag := Tag}}) -> ["uncaught exception: ", Tag];
describe({import_failed, {invalid_results, #{module := Module, func := Name, signature := Signature}}}) ->
    io_lib:format("import failed: ~ts.~ts: the results do not fit ~ts", [Module, Name, Signature]);
describe({import_failed, {not_native, #{module := Module, func := Name}}}) ->
    io_lib:format("import failed: ~ts.~ts: the engine does not serve this", [Module, Name]);
describe({import_failed, {of_node, Text}}) -> ["import failed: ", Text];
describe({import_failed, Text}) when is_binary(Text) -> ["import failed: ", Text];
describe({import_failed, {raised, Class, _, _}}) -> ["import failed: raised ", atom_to_binary(Class)];
describe({import_failed, {invalid_answer, _}}) -> "import failed: the answer is none";
describe({import_failed, _}) -> "import failed";
describe({invalid_snapshot, #{message := Text}}) -> ["invalid snapshot: ", Text];
describe({uncapturable, Text}) -> ["cannot snapshot: ", Text];
describe({limit, What}) -> ["limit reached: ", atom_to_binary(What)];
describe({out_of_bounds, #{offset := Offset, size := Size, memory := Memory}}) ->
    io_lib:format("out of bounds: ~b bytes at ~b of a memory of ~b", [Size, Offset, Memory]);
describe({host, Text}) -> ["the node cannot do this now: ", Text];
describe({invalid_option, Key, _}) -> io_lib:format("the node's option wasm_~p is not valid", [Key]);
describe(Reason) when is_atom(Reason) -> atom_to_binary(Reason);
describe(_) -> "error".

name(Index) when is_integer(Index) -> ["table entry ", integer_to_binary(Index)];
name(Name) ->
    %% Names of functions are UTF-8; what was asked for may be anything.
    case unicode:characters_to_binary(Name) of
        Name -> string:slice(Name, 0, 200);
        _ -> "a name that is no UTF-8"
    end.

%% The function in which the guest was. How deep a runaway recursion came depends on the machine.
place(stack_overflow, _Trap) -> "";
place(_Code, #{backtrace := [#{name := Name} | _]}) when is_list(Name) -> [" in ", Name];
place(_Code, #{backtrace := [#{function := Index} | _]}) -> [" in function ", integer_to_binary(Index)];
place(_Code, _Trap) -> "".
