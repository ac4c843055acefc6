%% @doc A process of the supervision tree that others are linked to: they end when the application does.
%%
%% `hb_wasm64_runners' has the processes that drive the calls of {@link hb_wasm64:call_async/4}, `hb_wasm64_keepers' those
%% that receive and keep instances from other nodes.
%%
%% A supervisor would start them in its own process, one after the other, and wait for each. A link is one signal, and
%% nothing waits for it.
-module(hb_wasm64_group).

-behaviour(gen_server).

-export([start_link/1, join/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([group/0]).

-type group() :: hb_wasm64_runners | hb_wasm64_keepers.

-spec start_link(group()) -> {ok, pid()} | {error, term()}.
start_link(Group) ->
    case gen_server:start_link({local, Group}, ?MODULE, [], []) of
        {ok, _} = Started -> Started;
        ignore -> {error, ignore};
        {error, _} = Error -> Error
    end.

%% @doc Makes the calling process one of a group, if the application runs. It ends when the group ends.
-spec join(group()) -> ok.
join(Group) ->
    case whereis(Group) of
        undefined ->
            ok;
        Pid ->
            try link(Pid) of
                true -> ok
            catch
                error:noproc -> ok
            end
    end.

-spec init([]) -> {ok, none}.
init([]) ->
    _ = process_flag(trap_exit, true),
    {ok, none}.

-spec handle_call(term(), gen_server:from(), none) -> {noreply, none}.
handle_call(_Stray, _From, none) ->
    {noreply, none}.

-spec handle_cast(term(), none) -> {noreply, none}.
handle_cast(_Stray, none) ->
    {noreply, none}.

%% The end of one of the group concerns nobody here. A reason may hold handles, and instances with them, until it is
%% collected.
-spec handle_info(term(), none) -> {noreply, none} | {noreply, none, hibernate}.
handle_info({'EXIT', _Pid, Reason}, none) when is_atom(Reason) ->
    {noreply, none};
handle_info(_Other, none) ->
    {noreply, none, hibernate}.
