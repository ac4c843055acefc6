%% @doc Takes an install out of a checkout again.
%%
%% A file that is as the install left it becomes what it was, byte for byte. Out of one that was changed since, only the
%% install's edits are taken; where they cannot be told from the user's, the file stays and the user is told what to do.
-module(hyperbeam_undo).

-export([plan/2]).
-export_type([step/0]).

-type step() ::
    {write, Path :: string(), Was :: binary(), Becomes :: binary(), Why :: string()}
    | {move_back, Path :: string()}
    | {replace_back, Path :: string()}
    | {unlink, Path :: string()}
    | {delete, Path :: string(), Why :: string()}
    | {stays, hyperbeam_store:entry(), Path :: string(), Why :: [string()]}.

%% @doc What there is to do. Entries that are undone already give no step.
-spec plan(string(), [hyperbeam_store:entry()]) -> [step()].
plan(Root, Entries) ->
    lists:append([steps(Root, Entry) || Entry <- Entries])
        ++ [{delete, Path, "built from hb_wasm64"} || Path <- hyperbeam_store:find(Root,
            ["_build/*/lib/hb_wasm64", "_build/*/checkouts/hb_wasm64", "_build/*/rel/*/lib/hb_wasm64-*"])].

steps(Root, {edited, Path, _, _} = Entry) ->
    case hyperbeam_store:look(Root, Path) of
        {file, Now} ->
            case restored(Root, Now, Entry) of
                {ok, Now} -> [];
                {ok, Before} -> [{write, Path, Now, Before, why(Root, Path, Before)}];
                error -> [stays(Entry, Path, ["was changed where the install had changed it",
                    "By hand: " ++ hyperbeam_changes:by_hand(Path)])]
            end;
        _ ->
            [stays(Entry, Path, ["is no file any more", "By hand: bring it back"])]
    end;
steps(Root, {moved, Path} = Entry) ->
    case {hyperbeam_store:look(Root, Path), hyperbeam_store:kept(Root, Path)} of
        {none, none} ->
            [stays(Entry, Path, ["is neither here nor kept", "By hand: git checkout -- " ++ Path])];
        {_, none} ->
            [];
        {none, _} ->
            [{move_back, Path}];
        {_, _} ->
            case hyperbeam_store:contained(filename:join(Root, Path), hyperbeam_store:kept_path(Root, Path)) of
                true -> [{replace_back, Path}];
                false -> [stays(Entry, Path, ["is here again and differs from what the install took out",
                    "By hand: delete it, or what is kept"])]
            end
    end;
steps(Root, {linked, Path, Target}) ->
    case hyperbeam_store:look(Root, Path) of
        {link, Target} -> [{unlink, Path}];
        _ -> []
    end;
steps(Root, {lock, Path}) ->
    case hyperbeam_store:look(Root, Path) of
        {file, Now} ->
            case hyperbeam_changes:without_lock(Now) of
                same -> [];
                {ok, Without} ->
                    [{write, Path, Now, as_it_was(Root, Path, Without), "hb_wasm64 out, which rebar3 put in"}]
            end;
        _ ->
            []
    end.

stays(Entry, Path, Why) ->
    {stays, Entry, Path, Why ++ ["What it was: .hb_wasm64/before/" ++ Path]}.

why(Root, Path, Before) ->
    case hyperbeam_store:kept(Root, Path) of
        {file, Before} -> "as it was";
        _ -> "our edits out, those made since stay"
    end.

%% rebar3 lays its lock file out anew: the old bytes, where they say the same.
as_it_was(Root, Path, Without) ->
    case hyperbeam_store:kept(Root, Path) of
        {file, Before} ->
            case hyperbeam_text:terms(Before) =:= hyperbeam_text:terms(Without) of
                true -> Before;
                false -> Without
            end;
        _ ->
            Without
    end.

%% An edited file without the install's edits: Now itself where there are none in it.
restored(Root, Now, {edited, Path, Edits, Dep}) ->
    case hyperbeam_store:kept(Root, Path) of
        {file, Now} ->
            {ok, Now};
        {file, Before} ->
            case hyperbeam_text:apply_edits(Before, Edits) of
                Now -> {ok, Before};
                _ -> changed(Path, Before, Edits, Now, Dep)
            end;
        _ ->
            error
    end.

changed(Path, Before, Edits, Now, Dep) ->
    {Marks, Rest} = hyperbeam_changes:inspect(Path, Now, Dep),
    case hyperbeam_changes:status(Marks) of
        theirs ->
            {ok, Now};
        ours ->
            %% Rest makes the dependency what the install wrote, where somebody chose another commit.
            As = hyperbeam_text:apply_edits(Now, Rest),
            case hyperbeam_text:take_back(Before, Edits, As) of
                {ok, Restored} -> verified(Path, Restored, As, Dep);
                error -> error
            end;
        odd ->
            error
    end.

%% Installed again, the restored file has to be what it was taken from, but for layout and order.
verified(Path, Restored, As, Dep) ->
    {Marks, Edits} = hyperbeam_changes:inspect(Path, Restored, Dep),
    Again = hyperbeam_text:apply_edits(Restored, Edits),
    case hyperbeam_changes:status(Marks) =:= theirs
        andalso lists:sort(hyperbeam_text:tokens(Again)) =:= lists:sort(hyperbeam_text:tokens(As)) of
        true -> {ok, Restored};
        false -> error
    end.
