%% @doc Makes a HyperBEAM checkout one that runs on hb_wasm64.
%%
%% All is decided before anything is written: a plan, or every reason against it. A checkout that has a record is taken
%% from wherever it stands, so an install that was interrupted is finished, and one that git has taken back is repeated.
%%
%% The library is a dependency, and a link in _checkouts as well: rebar3 takes a dependency from there if it can. So the
%% NIF that is built already is used, changes to it are seen, rebar.lock stays as it is (a checkout is not locked), and
%% a release holds it like any other. `SOURCE' or `REF' leave the link out: rebar3 then fetches and builds that commit.
-module(hyperbeam_install).

-export([plan/3]).
-export_type([step/0, wish/0]).

-define(LINK, "_checkouts/hb_wasm64").
-define(LOCK, "rebar.lock").

-type wish() :: #{dependency := binary(), link := string() | none}.
-type step() ::
    {write, Path :: string(), Was :: binary(), Becomes :: binary(), Why :: string()}
    | {move_out, Path :: string()}
    | {delete, Path :: string(), Why :: string()}
    | {link, Path :: string(), Target :: string()}
    | {unlink, Path :: string()}.

%% @doc Files as they were (to keep), steps, and the record of the whole; `{error, unrecorded}' for a checkout that is
%% installed but has no record.
-spec plan(string(), wish(), [hyperbeam_store:entry()] | none) ->
    {ok, Keep :: [{string(), binary()}], [step()], [hyperbeam_store:entry()]}
    | {error, unrecorded | [string()]}.
plan(Root, #{dependency := Dep} = Wish, Recorded) ->
    Edited = [{Path, edited(Root, Path, Dep)} || Path <- hyperbeam_changes:edited()],
    Moved = [{Path, moved(Root, Path)} || Path <- hyperbeam_changes:moved()],
    case recognised(Edited, Moved, Recorded) of
        ok ->
            Entries = case Recorded of none -> []; _ -> Recorded end,
            Parts = [edit(Path, File, Dep, Entries) || {Path, File} <- Edited]
                ++ [move(Root, Path, Mark, Entries) || {Path, Mark} <- Moved]
                ++ [link(Root, Wish, Entries), lock(Root, Wish, Entries), built(Root)],
            case lists:append([Why || {refused, Why} <- Parts]) of
                [] ->
                    {Keep, Steps, News} = lists:unzip3(Parts),
                    {ok, lists:append(Keep), lists:append(Steps), lists:append(News)};
                Refused ->
                    {error, Refused}
            end;
        Error ->
            Error
    end.

edited(Root, Path, Dep) ->
    case hyperbeam_store:look(Root, Path) of
        {file, Text} ->
            {Marks, Edits} = hyperbeam_changes:inspect(Path, Text, Dep),
            {Marks, Edits, Text};
        What ->
            {[{unknown, no_file(What)}], [], <<>>}
    end.

no_file(none) -> "the file";
no_file({link, _}) -> "a file that is no symbolic link";
no_file(_) -> "a file that can be read".

moved(Root, Path) -> hyperbeam_changes:inspect_moved(Path, hyperbeam_store:look(Root, Path)).

%% Every mark has its state: theirs everywhere, or ours everywhere; where there is a record, the one or the other in
%% each file.
recognised(Edited, Moved, none) ->
    Marks = [{Path, Mark} || {Path, {Of, _, _}} <- Edited, Mark <- Of] ++ Moved,
    case hyperbeam_changes:status([Mark || {_, Mark} <- Marks]) of
        theirs -> ok;
        ours -> {error, unrecorded};
        odd -> {error, reasons(Marks)}
    end;
recognised(Edited, Moved, _) ->
    Odd = [{Path, Mark} || {Path, {Marks, _, _}} <- Edited, hyperbeam_changes:status(Marks) =:= odd, Mark <- Marks]
        ++ [{Path, Mark} || {Path, {unknown, _} = Mark} <- Moved],
    case Odd of
        [] -> ok;
        _ -> {error, reasons(Odd)}
    end.

reasons(Marks) ->
    %% A place without the driver says that this is installed only if something else says so too.
    case [Path || {Path, {ours, _}} <- Marks] of
        [] ->
            ["This is not HyperBEAM as this knows it (branches main and edge). Not found:"
                | [["  ", Path, ": ", What] || {Path, {State, What}} <- Marks, State =/= theirs]];
        Ours ->
            ["This is installed in part (" ++ lists:join(", ", lists:usort(Ours)) ++ "). Still there:"
                | [["  ", Path, ": ", What] || {Path, {theirs, What}} <- Marks]]
            ++ [["  ", Path, ": not found: ", What] || {Path, {unknown, What}} <- Marks]
    end.

%% Each of the following gives what to keep, the steps, and what is recorded.
edit(Path, {Marks, Edits, Text}, Dep, Entries) ->
    case {hyperbeam_changes:status(Marks), [E || {edited, P, _, _} = E <- Entries, P =:= Path]} of
        {theirs, _} ->
            After = hyperbeam_text:apply_edits(Text, Edits),
            case hyperbeam_changes:check(Path, Text, After, Dep) of
                true ->
                    Step = {write, Path, Text, After, hyperbeam_changes:why(Path)},
                    {[{Path, Text}], [Step], [{edited, Path, Edits, Dep}]};
                false ->
                    {refused, [Path ++ " is written in a way that this cannot edit."]}
            end;
        {ours, Recorded} when Edits =:= [] ->
            {[], [], Recorded};
        {ours, Recorded} ->
            %% The dependency alone: another commit or source.
            After = hyperbeam_text:apply_edits(Text, Edits),
            {ok, Dep} = hyperbeam_changes:dependency(After),
            {[], [{write, Path, Text, After, "the dependency becomes " ++ unicode:characters_to_list(Dep)}],
                [{edited, Path, [{From, To, binary:replace(New, Was, Dep)} || {From, To, New} <- Made], Dep}
                    || {edited, _, Made, Was} <- Recorded]}
    end.

move(Root, Path, {theirs, _}, _) ->
    case hyperbeam_store:kept(Root, Path) of
        none ->
            {[], [{move_out, Path}], [{moved, Path}]};
        _ ->
            case hyperbeam_store:contained(filename:join(Root, Path), hyperbeam_store:kept_path(Root, Path)) of
                true -> {[], [{delete, Path, "out again: it is kept already"}], [{moved, Path}]};
                false -> {refused, [[Path, " is here again and differs from what was taken out, which is kept in ",
                    hyperbeam_store:kept_path("", Path), ". Delete one of the two."]]}
            end
    end;
move(_, Path, {gone, _}, Entries) ->
    {[], [], [Entry || {moved, P} = Entry <- Entries, P =:= Path]}.

link(Root, #{link := Wanted}, Entries) ->
    Recorded = [Target || {linked, ?LINK, Target} <- Entries],
    case {hyperbeam_store:look(Root, ?LINK), Wanted} of
        {none, none} ->
            {[], [], []};
        {none, _} ->
            {[], [{link, ?LINK, Wanted}], [{linked, ?LINK, Wanted}]};
        {{link, Wanted}, _} ->
            {[], [], [{linked, ?LINK, Wanted} || Recorded =/= []]};
        {{link, Target}, none} when Recorded =:= [Target] ->
            {[], [{unlink, ?LINK}], []};
        {{link, Target}, _} when Recorded =:= [Target] ->
            {[], [{link, ?LINK, Wanted}], [{linked, ?LINK, Wanted}]};
        {{dir, _}, _} when Wanted =/= none ->
            %% The library itself may have been put there.
            case same_place(filename:join(Root, ?LINK), Wanted) of
                true -> {[], [], []};
                false -> in_the_way()
            end;
        _ ->
            in_the_way()
    end.

in_the_way() -> {refused, [?LINK ++ " is there already, and rebar3 would take the library from it. Remove it."]}.

same_place(One, Other) ->
    case {file:read_file_info(One), file:read_file_info(Other)} of
        {{ok, A}, {ok, B}} -> {element(12, A), element(10, A)} =:= {element(12, B), element(10, B)};
        _ -> false
    end.

%% A locked commit would win over the one that is asked for.
lock(Root, #{dependency := Dep, link := Link}, Entries) ->
    Stale = Link =/= none orelse [Was || {edited, "rebar.config", _, Was} <- Entries] =/= [Dep],
    Recorded = lists:keymember(?LOCK, 2, Entries),
    case hyperbeam_store:look(Root, ?LOCK) of
        {file, Text} ->
            Keep = [{?LOCK, Text} || not Recorded],
            case hyperbeam_changes:without_lock(Text) of
                {ok, Without} when Stale, Recorded ->
                    {[], [{write, ?LOCK, Text, Without, "hb_wasm64 out: rebar3 locks the commit anew"}], [{lock, ?LOCK}]};
                _ ->
                    {Keep, [], [{lock, ?LOCK}]}
            end;
        _ ->
            {[], [], [{lock, ?LOCK}]}
    end.

%% rebar3 takes the beams of a module away when its source has gone, but not where it has forgotten that they are its own,
%% as after a move of the checkout. The modules of hb come before ours: the node would run on the driver still.
built(Root) ->
    {[], [{delete, Path, "built from the C driver"} || Path <- hyperbeam_store:find(Root,
        ["_build/*/lib/hb/ebin/hb_beamr.beam", "_build/*/lib/hb/ebin/hb_beamr_io.beam"])], []}.
