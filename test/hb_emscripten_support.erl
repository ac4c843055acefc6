%% Support for the tests of images built with Emscripten.
-module(hb_emscripten_support).

-export([start/1, each/2, call/4, gives/2, numbers/2, stack/1]).

-include_lib("eunit/include/eunit.hrl").

start(Guest) -> hb_support:start("emscripten/" ++ Guest).

%% A test on each of some guests, as eunit wants it.
each(Guests, Test) -> [{Guest, {timeout, 300, fun() -> Test(start(Guest)) end}} || Guest <- Guests].

call(H, {Func, Args}, Fun, State) -> hb_wasm64:call(H, Func, Args, Fun, State, #{}).

%% Calls give what their rows say.
gives(H, Rows) ->
    [?assertEqual({Name, Args, {ok, Results}}, {Name, Args, hb_wasm64:call(H, Name, Args)}) || {Name, Args, Results} <- Rows].

%% Rows of a function from a number to a number.
numbers(Name, Pairs) -> [{Name, [In], [Out]} || {In, Out} <- Pairs].

%% Where the guest's own stack ends.
stack(H) ->
    case hb_wasm64:call(H, "emscripten_stack_get_current", []) of
        {error, {unknown_function, _}} -> hb_wasm64:call(H, "stackSave", []);
        Stack -> Stack
    end.
