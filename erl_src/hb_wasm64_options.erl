%% @doc Options of the functions of {@link hb_wasm64}.
%%
%% {@link option/1} is the one table of them. A function refuses every other option, also one that only other functions
%% accept, with `{invalid_option, Key, Value}'.
%%
%% <table>
%% <tr><th>option</th><th>functions</th><th>default</th><th>meaning</th></tr>
%% <tr><td>`timeout'</td><td>all</td><td>`infinity'</td><td>milliseconds until the operation ends with `timeout', waiting
%%     for its turn included. In an import function an operation ends with the call that the function answers, at the
%%     latest</td></tr>
%% <tr><td>`on_timeout'</td><td>calls</td><td>`keep'</td><td>`stop': an instance whose guest was cut short by the timeout is
%%     stopped, because no other node can reproduce its state. An instance for which the call only waited is kept</td></tr>
%% <tr><td>`fuel'</td><td>calls, `start'</td><td>`infinity'</td><td>wasm instructions, roughly, that the guest may execute:
%%     the same number on every machine. Calls made while an import is pending use up the fuel of the call around them
%%     too</td></tr>
%% <tr><td>`time'</td><td>calls, `start', files</td><td>that of the call around it, or 0</td><td>what the clock of a guest built
%%     with Emscripten or for WASI shows, in milliseconds since 1970. In `start' it is that of constructors and of `main', in
%%     functions on files that of the file. `start' and `renew' also accept `{First, Step}': a clock of the instance, which shows
%%     `First' to the first look at it and `Step' more to each that follows, whatever `time' a call has. It is part of the
%%     state</td></tr>
%% <tr><td>`intercept'</td><td>`call/6', `call_async'</td><td>`[]'</td><td>modules whose imports go to the import function or
%%     handler though the engine could serve them</td></tr>
%% <tr><td>`gas'</td><td>calls, `start'</td><td>9,000,000,000,000,000</td><td>gas that a guest with a meter may use: see `docs/meters.md'.
%%     In a nested call it is a part of what the call around it has</td></tr>
%% <tr><td>`refill'</td><td>calls</td><td>`true'</td><td>`false': what calls before have used of their gas counts to this
%%     one</td></tr>
%% <tr><td>`usage'</td><td>`call/4', `call/6', `call_async'</td><td>`false'</td><td>whether the result ends with what the call
%%     has used: {@link hb_wasm64_call:usage()}</td></tr>
%% <tr><td>`user'</td><td>`call/6'</td><td>`#{}'</td><td>any term: the third argument of the import function</td></tr>
%% <tr><td>`handler'</td><td>`call_async'</td><td>the caller</td><td>the process that answers the imports</td></tr>
%% <tr><td>`snapshot'</td><td>`start'</td><td>none</td><td>the state to start in</td></tr>
%% <tr><td>`initialize'</td><td>`start'</td><td>`true'</td><td>whether the constructors of an image built with Emscripten
%%     or for WASI run; `main': `main' after them</td></tr>
%% <tr><td>`mode'</td><td>`start'</td><td>`wasm'</td><td>what the image is: WebAssembly, or (`aot') an artifact of
%%     {@link hb_wasm64:compile/2}</td></tr>
%% <tr><td>`output'</td><td>`start', calls</td><td>none</td><td>the process to which what the guest prints is sent meanwhile: see
%%     {@link hb_wasm64_output}</td></tr>
%% <tr><td>`args'</td><td>`start'</td><td>`[]'</td><td>the program's arguments, behind its name</td></tr>
%% <tr><td>`env'</td><td>`start'</td><td>that of the host</td><td>its environment: a list of names and values, or a map, of which
%%     it is in the order of the names</td></tr>
%% <tr><td>`stdin'</td><td>`start'</td><td>`<<>>'</td><td>what it can read from its standard input</td></tr>
%% <tr><td>`seed'</td><td>`start', calls</td><td>none</td><td>what its random bytes follow from. Without a seed it is told that there
%%     are none (`ENOSYS'). That of a call holds as long as the call</td></tr>
%% <tr><td>`files'</td><td>`start'</td><td>`#{}'</td><td>files that a program finds, by their absolute paths: up to 1,024, with
%%     16 MiB together. {@link hb_wasm64:put_file/3} has no such bound</td></tr>
%% <tr><td>`preopens'</td><td>`start'</td><td>`[<<"/">>]'</td><td>the directories that a program of WASI finds open, under these
%%     names; one that does not begin with a slash starts at the root. Those that are missing are made</td></tr>
%% <tr><td>`memory'</td><td>`start'</td><td>the node's</td><td>bytes that the memories of the instance may have together, the
%%     heap of its exceptions included. Growth beyond ends the call with `{limit, memory}'; a limit above the node's has no
%%     effect</td></tr>
%% <tr><td>`table'</td><td>`start'</td><td>the node's</td><td>elements that its tables may have together; the same with
%%     `{limit, table}'</td></tr>
%% <tr><td>`compress'</td><td>`snapshot'</td><td>`false'</td><td>whether to compress the snapshot (zstd)</td></tr>
%% <tr><td>`base'</td><td>`snapshot'</td><td>none</td><td>the snapshot against which to make a delta</td></tr>
%% <tr><td>`holder'</td><td>`migrate'</td><td>the caller</td><td>the process for which the other node keeps the
%%     instance; `none': until it is stopped</td></tr>
%% <tr><td>`max'</td><td>`read_string', `read_file'</td><td>67,108,864</td><td>the longest string or file to read, in bytes; a longer one is
%%     `{limit, string}' or `{limit, file}'</td></tr>
%% </table>
%% "Calls" are `call', `call_async', `malloc', `free' and `write_string'.
-module(hb_wasm64_options).

-export([parse/2, deadline/1, is_default/1, engine/1, value/2, snapshots/1, state/1, gives/1]).
-export_type([api/0, parsed/0]).
-export_type([operation/0, allocation/0, call/0, call_with_imports/0, call_async/0, start/0, snapshot/0, read_string/0, file/0, migrate/0]).

-type operation() :: #{timeout => timeout()}.
%% Options of every function that is not named below.
-type allocation() :: #{
    timeout => timeout(),
    on_timeout => keep | stop,
    fuel => non_neg_integer() | infinity,
    gas => non_neg_integer(),
    refill => boolean(),
    time => non_neg_integer()
}.
%% Options of `malloc', `free' and `write_string'.
-type call() :: #{
    timeout => timeout(),
    on_timeout => keep | stop,
    fuel => non_neg_integer() | infinity,
    gas => non_neg_integer(),
    refill => boolean(),
    time => non_neg_integer(),
    seed => binary(),
    output => pid(),
    usage => boolean()
}.
-type call_with_imports() :: #{
    timeout => timeout(),
    on_timeout => keep | stop,
    fuel => non_neg_integer() | infinity,
    gas => non_neg_integer(),
    refill => boolean(),
    time => non_neg_integer(),
    seed => binary(),
    output => pid(),
    usage => boolean(),
    intercept => [binary() | string()],
    user => term()
}.
-type call_async() :: #{
    timeout => timeout(),
    on_timeout => keep | stop,
    fuel => non_neg_integer() | infinity,
    gas => non_neg_integer(),
    refill => boolean(),
    time => non_neg_integer(),
    seed => binary(),
    output => pid(),
    usage => boolean(),
    intercept => [binary() | string()],
    handler => pid()
}.
-type start() :: #{
    timeout => timeout(),
    fuel => non_neg_integer() | infinity,
    gas => non_neg_integer(),
    time => non_neg_integer() | {First :: non_neg_integer(), Step :: non_neg_integer()},
    initialize => boolean() | main,
    mode => wasm | aot,
    args => [binary()],
    env => [{Name :: binary(), Value :: binary()}] | #{binary() => binary()},
    stdin => binary(),
    seed => binary(),
    output => pid(),
    preopens => [binary()],
    files => #{Path :: binary() => Contents :: binary()},
    memory => non_neg_integer(),
    table => non_neg_integer(),
    snapshot => hb_wasm64:snapshot() | {raw, Memory :: binary(), Rest :: binary() | none}
}.
-type snapshot() :: #{timeout => timeout(), compress => boolean(), base => hb_wasm64:snapshot()}.
-type migrate() :: #{timeout => timeout(), holder => pid() | none}.
-type file() :: #{timeout => timeout(), time => non_neg_integer()}.
%% Options of `put_file' and `remove_file'.
-type read_string() :: #{timeout => timeout(), max => non_neg_integer()}.
%% Of `read_file', too.

-type api() ::
    operation | allocation | call | call_with_imports | call_async | start | snapshot | read_string | file | migrate.
%% The functions of the API, as far as their options differ.

-record(parsed, {
    deadline = infinity :: hb_wasm64_deadline:deadline(),
    %% What the native library is to know.
    engine = #{} :: map(),
    %% What the Erlang side is to know.
    values = #{} :: map()
}).
-opaque parsed() :: #parsed{}.
%% The options of one use of a function, checked.

-define(CALLS, [call, call_with_imports, call_async]).
-define(RUNS, [allocation | ?CALLS]).
%% The loader counts with floats: up to here they are exact.
-define(MAX_GAS, (1 bsl 53)).
-define(MAX_FUEL, ((1 bsl 64) - 1)).
%% The latest time that a float still represents to the millisecond.
-define(MAX_TIME, (1 bsl 53)).
%% The longest that a receive can wait.
-define(MAX_TIMEOUT, ((1 bsl 32) - 1)).
-define(MAX_STRING_BYTES, (1 bsl 26)).
%% Those of host/src/limits.rs.
-define(MAX_STRINGS, 65_536).
-define(MAX_STRINGS_BYTES, (1 bsl 20)).
-define(MAX_STDIN, (16 bsl 20)).
-define(MAX_FILES, 1024).
-define(MAX_SEED, 65_536).
-define(MAX_PREOPENS, 64).

%% An option: the functions that accept it, the side that uses it, its default and its check. The check returns the value in
%% the form in which it is used.
option(timeout) -> {all, deadline, infinity, fun timeout/1};
option(on_timeout) -> {?RUNS, erlang, keep, fun on_timeout/1};
option(fuel) -> {[start | ?RUNS], engine, infinity, fun fuel/1};
option(time) -> {[start, file | ?RUNS], engine, 0, fun time/1};
option(gas) -> {[start | ?RUNS], engine, none, fun gas/1};
option(refill) -> {?RUNS, engine, true, fun boolean/1};
option(usage) -> {?CALLS, engine, false, fun boolean/1};
option(intercept) -> {[call_with_imports, call_async], engine, [], fun intercept/1};
option(user) -> {[call_with_imports], erlang, #{}, fun user/1};
option(handler) -> {[call_async], erlang, self(), fun handler/1};
option(output) -> {[start | ?CALLS], erlang, none, fun output/1};
option(args) -> {[start], engine, [], fun args/1};
option(env) -> {[start], engine, [], fun env/1};
option(stdin) -> {[start], engine, <<>>, fun stdin/1};
option(seed) -> {[start | ?CALLS], engine, none, fun seed/1};
option(files) -> {[start], engine, [], fun files/1};
option(preopens) -> {[start], engine, [<<"/">>], fun preopens/1};
option(snapshot) -> {[start], erlang, none, fun state/1};
option(initialize) -> {[start], engine, constructors, fun initialize/1};
option(mode) -> {[start], erlang, wasm, fun mode/1};
option(memory) -> {[start], engine, none, fun limit/1};
option(table) -> {[start], engine, none, fun limit/1};
option(compress) -> {[snapshot], erlang, false, fun boolean/1};
option(base) -> {[snapshot], erlang, [], fun snapshots/1};
option(holder) -> {[migrate], erlang, self(), fun holder/1};
option(max) -> {[read_string], erlang, ?MAX_STRING_BYTES, fun max/1};
option(_Unknown) -> unknown.

%% Only an instance that is started can have a clock of its own.
option(time, start) -> {[start], engine, 0, fun clock/1};
option(Key, _Api) -> option(Key).

timeout(infinity) -> {ok, infinity};
timeout(Timeout) when is_integer(Timeout), Timeout >= 0, Timeout =< ?MAX_TIMEOUT -> {ok, Timeout};
timeout(_Other) -> error.

on_timeout(Value) when Value =:= keep; Value =:= stop -> {ok, Value};
on_timeout(_Other) -> error.

fuel(infinity) -> {ok, infinity};
fuel(Fuel) when is_integer(Fuel), Fuel >= 0, Fuel =< ?MAX_FUEL -> {ok, Fuel};
fuel(_Other) -> error.

gas(Gas) when is_integer(Gas), Gas >= 0, Gas =< ?MAX_GAS -> {ok, Gas};
gas(_Other) -> error.

time(Time) when is_integer(Time), Time >= 0, Time =< ?MAX_TIME -> {ok, Time};
time(_Other) -> error.

%% A clock of the instance's own.
clock({First, Step} = Clock) ->
    case {time(First), time(Step)} of
        {{ok, _}, {ok, _}} -> {ok, Clock};
        _ -> error
    end;
clock(Time) ->
    time(Time).

intercept(Modules) ->
    try lists:map(fun unicode:characters_to_binary/1, Modules) of
        Names ->
            case lists:all(fun is_binary/1, Names) of
                true -> {ok, Names};
                false -> error
            end
    catch
        error:_ -> error
    end.

user(Term) -> {ok, Term}.

handler(Pid) when is_pid(Pid), node(Pid) =:= node() -> {ok, Pid};
handler(_Other) -> error.

%% @doc The state of an instance: whole snapshots, or raw memory and a snapshot of the rest.
-spec state(term()) -> {ok, {raw | whole, [binary()]}} | error.
state({raw, Memory, none}) when is_binary(Memory) -> {ok, {raw, [Memory]}};
state({raw, Memory, Rest}) when is_binary(Memory), is_binary(Rest) -> {ok, {raw, [Memory, Rest]}};
state(Snapshot) ->
    case snapshots(Snapshot) of
        {ok, Snapshots} -> {ok, {whole, Snapshots}};
        error -> error
    end.

mode(Mode) when Mode =:= wasm; Mode =:= aot -> {ok, Mode};
mode(_Other) -> error.

initialize(true) -> {ok, constructors};
initialize(false) -> {ok, nothing};
initialize(main) -> {ok, main};
initialize(_Other) -> error.

output(Pid) when is_pid(Pid), node(Pid) =:= node() -> {ok, Pid};
output(_Other) -> error.

args(Args) ->
    case strings(Args) of
        true -> {ok, Args};
        false -> error
    end.

strings(Strings) ->
    try length(Strings) =< ?MAX_STRINGS andalso lists:all(fun(String) -> string(String) end, Strings) of
        true -> lists:sum([byte_size(String) + 1 || String <- Strings]) =< ?MAX_STRINGS_BYTES;
        false -> false
    catch
        error:badarg -> false
    end.

string(String) -> is_binary(String) andalso binary:match(String, <<0>>) =:= nomatch.

%% Of a map the variables are in the order of their names.
env(Env) when is_map(Env) -> env(lists:sort(maps:to_list(Env)));
env(Env) when is_list(Env) ->
    try [variable(Variable) || Variable <- Env] of
        Variables ->
            case strings(Variables) of
                true -> {ok, Env};
                false -> error
            end
    catch
        error:_ -> error
    end;
env(_Other) -> error.

variable({Name, Value}) when Name =/= <<>> ->
    nomatch = binary:match(Name, <<"=">>),
    <<Name/binary, "=", Value/binary>>.

stdin(Bytes) when is_binary(Bytes), byte_size(Bytes) =< ?MAX_STDIN -> {ok, Bytes};
stdin(_Other) -> error.

seed(Seed) when is_binary(Seed), Seed =/= <<>>, byte_size(Seed) =< ?MAX_SEED -> {ok, Seed};
seed(_Other) -> error.

preopens(Paths) when is_list(Paths) ->
    try length(Paths) =< ?MAX_PREOPENS andalso lists:all(fun is_binary/1, Paths) of
        %% What a path may be like the native library knows.
        true -> {ok, Paths};
        false -> error
    catch
        error:badarg -> error
    end;
preopens(_Other) -> error.

%% In the order of the paths.
files(Files) when is_map(Files), map_size(Files) =< ?MAX_FILES ->
    Given = lists:sort(maps:to_list(Files)),
    Are = fun({Path, Contents}) -> is_binary(Path) andalso is_binary(Contents) end,
    case lists:all(Are, Given) andalso lists:sum([byte_size(Contents) || {_, Contents} <- Given]) =< ?MAX_STDIN of
        %% What a path may be like the native library knows.
        true -> {ok, Given};
        false -> error
    end;
files(_Other) -> error.

limit(Limit) when is_integer(Limit), Limit >= 0, Limit < (1 bsl 64) -> {ok, Limit};
limit(_Other) -> error.

boolean(Value) when is_boolean(Value) -> {ok, Value};
boolean(_Other) -> error.

holder(Holder) when is_pid(Holder); Holder =:= none -> {ok, Holder};
holder(_Other) -> error.

max(Bytes) when is_integer(Bytes), Bytes >= 0, Bytes < (1 bsl 63) -> {ok, Bytes};
max(_Other) -> error.

%% @doc A snapshot as the list of its parts.
-spec snapshots(term()) -> {ok, [binary()]} | error.
snapshots(Snapshot) when is_binary(Snapshot) -> {ok, [Snapshot]};
snapshots(Snapshots) -> binaries(Snapshots, Snapshots).

binaries([Snapshot | Rest], All) when is_binary(Snapshot) -> binaries(Rest, All);
binaries([], All) -> {ok, All};
binaries(_Other, _All) -> error.

%% @doc Checks the options of a function. The time that `timeout' allows begins now.
-spec parse(api(), term()) -> {ok, parsed()} | {error, {invalid_option, term(), term()}}.
parse(_Api, Options) when Options =:= #{} ->
    {ok, #parsed{deadline = hb_wasm64_deadline:inherited()}};
parse(Api, Options) when is_map(Options) ->
    %% Sorted, so that of several wrong options always the same one is reported.
    parse(lists:sort(maps:to_list(Options)), Api, #parsed{deadline = hb_wasm64_deadline:inherited()});
parse(_Api, Options) ->
    {error, {invalid_option, options, Options}}.

parse([{Key, Value} | Rest], Api, Parsed) ->
    case check(option(Key, Api), Api, Value) of
        {ok, Side, Checked} -> parse(Rest, Api, add(Side, Key, Checked, Parsed));
        error -> {error, {invalid_option, Key, Value}}
    end;
parse([], _Api, Parsed) ->
    {ok, Parsed}.

check({Apis, Side, _Default, Check}, Api, Value) ->
    case Apis =:= all orelse lists:member(Api, Apis) of
        true ->
            case Check(Value) of
                {ok, Checked} -> {ok, Side, Checked};
                error -> error
            end;
        false ->
            error
    end;
check(unknown, _Api, _Value) ->
    error.

add(deadline, _Key, Timeout, Parsed) -> Parsed#parsed{deadline = hb_wasm64_deadline:new(Timeout)};
add(engine, Key, Value, #parsed{engine = Engine} = Parsed) -> Parsed#parsed{engine = Engine#{Key => Value}};
add(erlang, Key, Value, #parsed{values = Values} = Parsed) -> Parsed#parsed{values = Values#{Key => Value}}.

%% @doc When the operation is to end.
-spec deadline(parsed()) -> hb_wasm64_deadline:deadline().
deadline(#parsed{deadline = Deadline}) -> Deadline.

%% @doc Whether nothing but a deadline was given.
-spec is_default(parsed()) -> boolean().
is_default(#parsed{engine = Engine, values = Values}) -> Engine =:= #{} andalso Values =:= #{}.

%% @doc The options that the native library is to know, of those that were given.
-spec engine(parsed()) -> map().
engine(#parsed{engine = Engine}) -> Engine.

%% @doc Those of the engine's options of a start that say what the program is given.
-spec gives(map()) -> [atom()].
gives(Options) ->
    [Key || Key <- [args, env, files, preopens, seed, stdin], is_map_key(Key, Options)] ++
        [time || #{time := {_, _}} <- [Options]].

%% @doc The value of an option that the Erlang side uses.
-spec value(atom(), parsed()) -> term().
value(Key, #parsed{values = Values}) ->
    case Values of
        #{Key := Value} -> Value;
        #{} -> default(Key)
    end.

default(Key) ->
    {_Apis, _Side, Default, _Check} = option(Key),
    Default.
