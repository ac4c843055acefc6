%% @doc The supervisor of the library's processes.
-module(hb_wasm64_sup).

-behaviour(supervisor).

-export([start_link/0, init/1]).

%% Milliseconds that a child may take to end. A node that stops waits for all of them.
-define(SHUTDOWN, 200).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        {ok, _} = Started -> Started;
        ignore -> {error, ignore};
        {error, _} = Error -> Error
    end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    Groups = [hb_wasm64_runners, hb_wasm64_keepers],
    {ok, {#{strategy => one_for_one, intensity => 10, period => 10}, [
        child(hb_wasm64_log, {hb_wasm64_log, start_link, []})
        | [child(Group, {hb_wasm64_group, start_link, [Group]}) || Group <- Groups]
    ]}}.

child(ID, Start) -> #{id => ID, start => Start, shutdown => ?SHUTDOWN}.
