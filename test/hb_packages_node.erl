%% The part of hb_packages in the VM with the kernel that loads packages.
-module(hb_packages_node).

-behaviour(eunit_listener).

-export([trust/1, run/1]).
%% The listener of run/1.
-export([start/1, init/1, handle_begin/3, handle_end/3, handle_cancel/3, terminate/2]).

%% Puts archives into the store and has the operator trust them: names of devices, root modules, files.
trust(Packages) ->
    Trusted = [
        begin
            {ok, Archive} = file:read_file(File),
            {ok, ID} = hb_cache:write(#{<<"module-name">> => atom_to_binary(Root), <<"body">> => Archive}, #{}),
            {list_to_binary(Name), ID}
        end
     || {Name, Root, File} <- Packages
    ],
    persistent_term:put(hb_opts, #{<<"trusted-devices">> => maps:from_list(Trusted)}).

%% Runs tests of eunit: how many there were, and those that failed with the reasons.
run(Test) ->
    _ = eunit:test(Test, [no_tty, {report, {?MODULE, [{to, self()}]}}]),
    receive
        {?MODULE, Count, Failures} -> {Count, Failures}
    after 5_000 -> {0, [no_report]}
    end.

start(Options) -> eunit_listener:start(?MODULE, Options).

init(Options) -> {proplists:get_value(to, Options), 0, []}.

handle_begin(_Kind, _Data, State) -> State.

handle_end(test, Data, {To, Count, Failures}) ->
    case proplists:get_value(status, Data) of
        ok -> {To, Count + 1, Failures};
        {_, Reason} -> {To, Count + 1, [failure(Data, Reason) | Failures]}
    end;
handle_end(group, _Data, State) ->
    State.

handle_cancel(_Kind, Data, {To, Count, Failures}) ->
    {To, Count, [failure(Data, proplists:get_value(reason, Data)) | Failures]}.

terminate(_Result, {To, Count, Failures}) ->
    To ! {?MODULE, Count, lists:reverse(Failures)},
    ok.

failure(Data, Reason) ->
    Text = io_lib:format("~0p ~ts: ~0P", [proplists:get_value(source, Data), proplists:get_value(desc, Data), Reason, 60]),
    lists:flatten(Text).
