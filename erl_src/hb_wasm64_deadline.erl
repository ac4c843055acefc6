%% @doc Deadlines of operations.
%%
%% The deadline of a call also holds for what its import function does: while that runs the process carries the deadline,
%% and every operation of the process ends by then at the latest.
-module(hb_wasm64_deadline).

-export([new/1, inherited/0, left/1, inherit/2]).
-export_type([deadline/0]).

-type deadline() :: Nanoseconds :: integer() | infinity.
%% A time of {@link hb_wasm64_nif:now/0}: the native library looks at deadlines, too.

%% Where a process carries the deadline of the call whose import function it runs.
-define(INHERITED, hb_wasm64_deadline).
-define(MILLISECOND, 1_000_000).

%% @doc The time `Timeout' milliseconds from now, or the inherited deadline if that comes first.
-spec new(timeout()) -> deadline().
new(infinity) -> inherited();
%% Every integer is less than an atom.
new(Timeout) -> min(hb_wasm64_nif:now() + Timeout * ?MILLISECOND, inherited()).

%% @doc The deadline of the call whose import function this process runs; `infinity' if there is none.
-spec inherited() -> deadline().
inherited() ->
    case get(?INHERITED) of
        undefined -> infinity;
        Deadline -> Deadline
    end.

%% @doc Milliseconds left, rounded up.
-spec left(deadline()) -> timeout().
left(infinity) -> infinity;
left(Deadline) -> max(0, (Deadline - hb_wasm64_nif:now() + ?MILLISECOND - 1) div ?MILLISECOND).

%% @doc Runs `Fun', whose operations inherit `Deadline'. The deadline of a nested call is never later than the outer one's.
-spec inherit(deadline(), fun(() -> Result)) -> Result.
inherit(infinity, Fun) ->
    Fun();
inherit(Deadline, Fun) ->
    Outer = put(?INHERITED, Deadline),
    try
        Fun()
    after
        case Outer of
            undefined -> erase(?INHERITED);
            _ -> put(?INHERITED, Outer)
        end
    end.
