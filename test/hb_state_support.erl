%% Support for the tests of state: what is done to test/guests/state.wat, what
%% can be seen of it, and the ways from one instance to another.
-module(hb_state_support).

-export([image/0, start/0, run/2, everything/0, observe/1, host/3]).
-export([snapshot/1, snapshot/2, hash/1, ways/0, raw/1]).
-export([within_an_import/2]).

image() -> hb_support:guest("state").

start() -> hb_support:start("state").

%% Calls one after the other: their results, or what they ended with. Arguments
%% are numbers and vectors only, so nothing large is in it.
run(Handle, Calls) ->
    [
        case hb_wasm64:call(Handle, Func, Args, fun host/3, s, #{}) of
            {ok, Results, s} -> Results;
            {error, {trap, #{code := Code}}, s} -> Code;
            {error, Reason, s} -> Reason
        end
     || {Func, Args} <- Calls
    ].

%% The import of the guest.
host(State, #{args := [X]}, _Options) -> {ok, [(X * 3) band 16#7fffffff], State}.

%% Calls that change something of every kind.
everything() ->
    [
        {"grow1", [3]}, {"put1", [200_000, 16#1122334455667788]}, {"fill1", [64, 0, 17]}, {"data_init", [300, 2, 9]},
        {"grow2", [1]}, {"put2", [131_064, -5]}, {"grow3", [2]}, {"put3", [131_072, 77]},
        {"set_i32", [-7]}, {"set_i64", [1 bsl 62]}, {"set_f32", [{nan, 16#7fa12345}]}, {"set_f64", [{nan, 16#7ff4000000012345}]},
        {"set_v128", [<<1:128>>]}, {"set_func", [5]}, {"set_null", [3]},
        {"set", [0, 6]}, {"set", [3, 3]}, {"grow", [5, 2]}, {"set_hidden", [1, 4]}, {"grow_hidden", [150, 5]},
        {"grow_externs", [2, null]}, {"elem_init", [1, 0, 2]}, {"elem_init2", [10, 0, 4]},
        {"data_drop", []}, {"elem_drop", []}, {"call", [5, 9]}, {"mix", [200]}
    ].

%% What there is to see of the state, with traps where segments are dropped.
%% Looking at it changes it.
observe(Handle) ->
    Addresses = [0, 64, 72, 300, 4090, 65528, 131_064, 200_000],
    run(Handle, [{"sizes", []}, {"table_sizes", []}, {"numbers", []}, {"references", []}]
        ++ [{Get, [At]} || Get <- ["get1", "get2", "get3"], At <- Addresses]
        ++ [{"call_global", [Which, 1]} || Which <- [0, 1]]
        ++ [{Call, [At, 1]} || Call <- ["call", "call_hidden"], At <- lists:seq(0, 13) ++ [151]]
        ++ [{"get_entry_extern", [At]} || At <- [0, 3]]
        ++ [{"data_init", [0, 0, 1]}, {"data_init2", [0, 0, 1]}, {"elem_init", [0, 0, 1]}, {"elem_init2", [0, 0, 1]}]).

snapshot(Handle) -> snapshot(Handle, #{}).

snapshot(Handle, Options) ->
    {ok, Snapshot} = hb_wasm64:snapshot(Handle, Options),
    Snapshot.

%% The state of an instance in 32 bytes.
hash(Handle) -> crypto:hash(sha256, snapshot(Handle)).

%% The raw memory and the rest, in 32 bytes.
raw(Handle) ->
    {ok, Memory, Rest} = hb_wasm64:read_state(Handle),
    crypto:hash(sha256, term_to_binary({Memory, Rest})).

%% All ways from an instance to another one in the same state.
ways() ->
    [
        {restore, fun(Image, H) ->
            New = started(Image, #{}),
            ok = hb_wasm64:restore(New, snapshot(H)),
            New
        end},
        {start, fun(Image, H) -> started(Image, #{snapshot => snapshot(H)}) end},
        {compressed, fun(Image, H) -> started(Image, #{snapshot => snapshot(H, #{compress => true})}) end},
        {delta, fun(Image, H) ->
            Base = snapshot(started(Image, #{})),
            started(Image, #{snapshot => [Base, snapshot(H, #{base => Base, compress => true})]})
        end},
        {merged, fun(Image, H) ->
            Base = snapshot(started(Image, #{}), #{compress => true}),
            {ok, Merged} = hb_wasm64:merge([Base, snapshot(H, #{base => Base})]),
            started(Image, #{snapshot => Merged})
        end},
        {raw, fun(Image, H) ->
            New = started(Image, #{}),
            {ok, Memory, Rest} = hb_wasm64:read_state(H),
            ok = hb_wasm64:write_state(New, Memory, Rest),
            New
        end},
        {raw_start, fun(Image, H) ->
            {ok, Memory, Rest} = hb_wasm64:read_state(H),
            started(Image, #{snapshot => {raw, Memory, Rest}})
        end},
        {fork, fun(_Image, H) ->
            {ok, New} = hb_wasm64:fork(H),
            New
        end}
    ].

started(Image, Options) ->
    {ok, Handle} = hb_wasm64:start(Image, Options),
    Handle.

%% What Fun gives for the handle that an import function of `ask' is given, and
%% what the call gives.
within_an_import(Handle, Fun) ->
    Import = fun(none, #{instance := Scope, args := [X]}, _) -> {ok, [X], {seen, Fun(Scope)}} end,
    {ok, Results, {seen, Seen}} = hb_wasm64:call(Handle, "ask", [5], Import, none, #{timeout => 60_000}),
    {Seen, Results}.
