%% @doc Counts the calls that go through this small AO-Core.
%%
%% On a real node the AO-Core calls around a guest cost more than the guest, and none of them costs there what it costs
%% here. So a benchmark on this AO-Core counts calls; times belong to a real node.
%%
%% Every entry into a counted function counts, whoever calls it: one `{hb_ao, get}' brings at least one
%% `{hb_ao, resolve}' and as many `{hb_ao, step}' as its path has parts. A step is one function of a device run.
-module(ao_core_counter).

-export([count/1, hit/1]).

-type name() :: {module(), atom()}.

%% @doc Runs `Fun' and says which functions were entered meanwhile, in any process, and how often.
-spec count(fun(() -> Result)) -> {Result, #{name() => pos_integer()}}.
count(Fun) ->
    Table = ets:new(?MODULE, [public, {write_concurrency, true}]),
    persistent_term:put(?MODULE, Table),
    try
        Result = Fun(),
        {Result, maps:from_list(ets:tab2list(Table))}
    after
        persistent_term:put(?MODULE, off),
        ets:delete(Table)
    end.

%% @doc Called by the counted functions; next to free while nobody counts.
-spec hit(name()) -> ok.
hit(Name) ->
    case persistent_term:get(?MODULE, off) of
        off ->
            ok;
        Table ->
            %% Another process may end the counting between the two lines.
            try ets:update_counter(Table, Name, 1, {Name, 0}) of
                _ -> ok
            catch
                error:badarg -> ok
            end
    end.
