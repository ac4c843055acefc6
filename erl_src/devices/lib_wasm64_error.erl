%% @doc What devices answer where they have no result: as messages, and as texts that are the same on every node.
%%
%% There are two kinds. A <em>fault</em> is what every node would find: what a guest did wrong, or a message that is not valid.
%% A <em>failure</em> is what this node met and another may not: the time was up, memory was short, a store did not answer, an
%% instance had been stopped, an image was not found here. Functions return `{error, Message}' and `{failure, Message}'; {@link
%% lib_wasm64_kernel:answer/1} turns these into the form of the node's kernel.
-module(lib_wasm64_error).

-export([answer/2, fault/2, fault/3, failure/3, text/1, import/3, is_of_node/1, spoils/1]).

-type fault() :: {error, map()}.
-type failure() :: {failure, map()}.
-export_type([fault/0, failure/0]).

%% @doc The answer to a request that failed because of a key's value: of which kind it is follows from the reason.
-spec answer(Key :: binary(), hb_wasm64:reason()) -> fault() | failure().
answer(Key, Reason) ->
    case is_of_node(Reason) of
        true -> failure(Key, status(Reason), text(Reason));
        false -> fault(Key, Reason)
    end.

%% @doc A fault, whatever the reason.
-spec fault(Key :: binary(), hb_wasm64:reason()) -> fault().
fault(Key, Reason) -> fault(Key, status(Reason), text(Reason)).

%% @doc A fault, with an HTTP status and a text.
-spec fault(Key :: binary(), Status :: 400..599, Text :: binary()) -> fault().
fault(Key, Status, Text) -> {error, message(Key, Status, Text)}.

%% @doc A failure, with an HTTP status and a text.
-spec failure(Key :: binary(), Status :: 400..599, Text :: binary()) -> failure().
failure(Key, Status, Text) -> {failure, message(Key, Status, Text)}.

message(Key, Status, Text) ->
    #{<<"status">> => Status, <<"key">> => Key, <<"body">> => <<Key/binary, ": ", Text/binary>>}.

status(timeout) -> 504;
status(stopped) -> 410;
status(Reason) ->
    case is_of_node(Reason) of
        true -> 503;
        false -> 400
    end.

%% @doc Whether a reason is a failure of this node and not a fault: another node may succeed.
-spec is_of_node(term()) -> boolean().
is_of_node(Reason) when Reason =:= timeout; Reason =:= cancelled; Reason =:= stopped; Reason =:= not_local -> true;
is_of_node({limit, instances}) -> true;
%% It is sealed with the key of one node, or of some.
is_of_node({invalid_artifact, _}) -> true;
is_of_node({limit, image}) -> hb_wasm64_nif:is_lowered(image);
is_of_node({invalid_option, _, _}) -> true;
is_of_node(Reason) -> spoils(Reason).

%% @doc Whether a failure of this node interrupted the guest, so that no other node can reproduce its state. (What a timeout
%% does to an instance is an option of the call.)
-spec spoils(term()) -> boolean().
spoils({host, _}) -> true;
spoils({trap, #{code := out_of_host_memory}}) -> true;
%% By itself a limit of memories or tables is the same on every node, and growth beyond it is refused. Where the operator of
%% this node has lowered it, what exceeds it ends the guest.
spoils({limit, Limit}) when Limit =:= memory; Limit =:= table -> hb_wasm64_nif:is_lowered(Limit);
spoils({import_failed, {of_node, _}}) -> true;
spoils(_) -> false.

%% @doc The reason for an import that failed: its name and the cause, without anything that differs between nodes. It is
%% marked as a failure of this node if the device said that it is one, returned an HTTP status that says so (408, 429, 502 to 504), or
%% lacked a message or a process of the node.
-spec import(string(), string(), term()) -> binary() | {of_node, binary()}.
import(Module, Func, Why) ->
    Text = unicode:characters_to_binary([Module, $., Func, ": ", why(Why)]),
    case Why of
        missing -> {of_node, Text};
        {failure, _} -> {of_node, Text};
        #{<<"status">> := Status} ->
            case lists:member(Status, [408, 429, 502, 503, 504, <<"408">>, <<"429">>, <<"502">>, <<"503">>, <<"504">>]) of
                true -> {of_node, Text};
                false -> Text
            end;
        _ -> Text
    end.

why(missing) -> "a message is in none of the node's stores";
why({failure, Reason}) -> why(Reason);
why({raised, Class}) -> ["raised ", atom_to_binary(Class)];
why(no_results) -> "the answer has no results";
why(no_state) -> "the state in the answer is not a message";
why(no_list) -> "the results are not a list";
why(no_answer) -> "the device returned neither ok nor error";
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
describe({invalid_artifact, Text}) -> ["not an artifact of this node: ", Text];
describe({unsupported, Text}) -> ["not supported: ", Text];
describe({link, #{module := Module, name := Name, kind := func}}) ->
    io_lib:format("the function ~ts.~ts is imported with two types, or with one that is not supported", [Module, Name]);
describe({link, #{module := Module, name := Name, kind := Kind}}) ->
    io_lib:format("the import ~ts.~ts is a ~p; only functions can be imported", [Module, Name, Kind]);
describe({unknown_function, Name}) -> ["unknown function: ", name(Name)];
describe({invalid_args, #{signature := Signature, position := Position}}) ->
    io_lib:format("invalid arguments: argument ~b does not fit ~ts", [Position, Signature]);
describe({trap, #{code := abort, message := Message} = Trap}) -> ["trap: ", Message, place(abort, Trap)];
describe({trap, #{code := Code} = Trap}) -> ["trap: ", atom_to_binary(Code), place(Code, Trap)];
describe({exit, Status}) -> ["exit: ", integer_to_binary(Status)];
describe({exception, #{tag := undefined}}) -> "uncaught exception";
describe({exception, #{tag := Tag}}) -> ["uncaught exception: ", Tag];
describe({import_failed, {invalid_results, #{module := Module, func := Name, signature := Signature}}}) ->
    io_lib:format("import failed: ~ts.~ts: the results do not fit ~ts", [Module, Name, Signature]);
describe({import_failed, {not_interceptable, #{module := Module, func := Name}}}) ->
    io_lib:format("import failed: ~ts.~ts: the engine does not implement this function", [Module, Name]);
describe({import_failed, {of_node, Text}}) -> ["import failed: ", Text];
describe({import_failed, Text}) when is_binary(Text) -> ["import failed: ", Text];
describe({import_failed, {raised, Class, _, _}}) -> ["import failed: raised ", atom_to_binary(Class)];
describe({import_failed, {invalid_answer, _}}) -> "import failed: the import function returned an invalid value";
describe({import_failed, _}) -> "import failed";
describe({invalid_snapshot, #{message := Text}}) -> ["invalid snapshot: ", Text];
describe({uncapturable, Text}) -> ["cannot snapshot: ", Text];
%% In the words of AO's loader.
describe({limit, gas}) -> "out of gas!";
describe({limit, What}) -> ["limit reached: ", atom_to_binary(What)];
describe({out_of_bounds, #{offset := Offset, size := Size, memory := Memory}}) ->
    io_lib:format("out of bounds: ~b bytes at ~b in a memory of ~b bytes", [Size, Offset, Memory]);
describe({host, Text}) -> ["the node cannot do this now: ", Text];
describe({invalid_option, Key, _}) when Key =:= timeout; Key =:= fuel ->
    ["the node's option wasm_", atom_to_binary(Key), " is not valid"];
describe({invalid_option, Key, _}) -> io_lib:format("the option ~0p is not valid", [Key]);
describe(Reason) when is_atom(Reason) -> atom_to_binary(Reason);
describe(_) -> "error".

name(Index) when is_integer(Index) -> ["table entry ", integer_to_binary(Index)];
name(Name) ->
    %% Names of exports are UTF-8, the name in a request may be any binary.
    case unicode:characters_to_binary(Name) of
        Name -> string:slice(Name, 0, 200);
        _ -> "a name that is not UTF-8"
    end.

%% The function that trapped. At an overflow of the stack it depends on the machine which one that is.
place(stack_overflow, _Trap) -> "";
place(_Code, #{backtrace := [#{name := Name} | _]}) when is_list(Name) -> [" in ", Name];
place(_Code, #{backtrace := [#{function := Index} | _]}) -> [" in function ", integer_to_binary(Index)];
place(_Code, _Trap) -> "".
