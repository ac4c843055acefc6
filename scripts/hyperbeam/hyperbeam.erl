%% @doc make hyperbeam, make hyperbeam-undo: plans, says what it will do, and does it. Started by scripts/hyperbeam.sh,
%% which has checked that there is a directory HB.
%%
%% hyperbeam_install and hyperbeam_undo plan; hyperbeam_changes knows HyperBEAM's files and hyperbeam_text how to edit
%% them; hyperbeam_store writes.
-module(hyperbeam).

-export([main/1, run/2]).
-export_type([options/0]).

-type options() :: #{
    checkout := string(),
    library := string(),
    %% The commit that the library is, or "".
    commit := string(),
    %% What the user asks for instead, or "".
    source := string(),
    ref := string(),
    dry_run := boolean(),
    %% A directory for a file of our own.
    tmp := string(),
    say := fun((standard_io | standard_error, Line :: unicode:chardata()) -> term())
}.

-spec main([string()]) -> no_return().
main([What]) ->
    [ok, ok] = [io:setopts(Device, [{encoding, unicode}]) || Device <- [standard_io, standard_error]],
    halt(run(list_to_existing_atom(What), #{
        checkout => os:getenv("HB"),
        library => os:getenv("LIBRARY"),
        commit => os:getenv("COMMIT", ""),
        source => os:getenv("SOURCE", ""),
        ref => os:getenv("REF", ""),
        dry_run => not lists:member(os:getenv("DRY_RUN", ""), ["", "0"]),
        tmp => os:getenv("HYPERBEAM_TMP"),
        say => fun say_on/2
    })).

%% A reader that has gone, as behind "| head", is no reason to stop half way.
say_on(Device, Line) ->
    try io:format(Device, "~ts~n", [Line])
    catch error:_ -> ok
    end.

%% @doc The exit status.
-spec run(install | undo, options()) -> 0 | 1.
run(What, #{checkout := Root} = Options) ->
    try
        case {What, recorded(Root)} of
            {install, Recorded} -> check_kind(Root), install(Root, Recorded, Options);
            {undo, none} -> undo_unrecorded(Root, Options);
            {undo, Recorded} -> undo(Root, Recorded, Options)
        end
    catch
        throw:{refused, Lines} ->
            complain([Root | indented(Lines ++ ["Nothing was changed."])], Options);
        throw:{failed, Why} ->
            How = "\"make hyperbeam\" goes on from here, \"make hyperbeam-undo\" goes back.",
            complain([Root | indented([Why, ["Not finished. ", How]])], Options)
    end.

%% Since May 2026 a device of HyperBEAM is a package; no file of the checkout names one.
check_kind(Root) ->
    case [Path || Path <- ["src/forge", "src/core"], hyperbeam_store:look(Root, Path) =/= none] of
        [] ->
            ok;
        _ ->
            throw({refused, [
                "This HyperBEAM loads its devices from packages: there is nothing to change in its checkout.",
                "Make the packages with \"make device\", and have the node's configuration name them under",
                "\"trusted-devices\": docs/hyperbeam.md tells how."
            ]})
    end.

recorded(Root) ->
    case hyperbeam_store:read(Root) of
        none -> none;
        {ok, Entries} -> Entries;
        {error, Why} -> throw({refused, [[hyperbeam_store:name(), "/record ", Why]]})
    end.

install(Root, Recorded, Options) ->
    case hyperbeam_install:plan(Root, wish(Options), Recorded) of
        {ok, _, [], _} ->
            say([[Root, " runs on hb_wasm64 already, nothing to do."]], Options);
        {ok, Keep, Steps, Record} ->
            check_writable(Root),
            show("to run on hb_wasm64", Root, Steps, Options),
            unless_dry(Options, fun() ->
                lists:foreach(fun({Path, Text}) -> hyperbeam_store:keep(Root, Path, Text) end, Keep),
                hyperbeam_store:write(Root, Record),
                lists:foreach(fun(Step) -> step(Root, Step) end, Steps),
                say([["Done. For \"make hyperbeam-undo\", what was there before is kept in ", hyperbeam_store:name(), "."],
                    "Next, in the checkout: rebar3 compile"], Options)
            end);
        {error, unrecorded} ->
            say([[Root, " runs on hb_wasm64 already, but no ", hyperbeam_store:name(), " tells what it was before."],
                "Nothing to do. To undo it or to change the dependency, use git or an editor."], Options);
        {error, Lines} ->
            throw({refused, Lines})
    end.

undo(Root, Recorded, Options) ->
    Steps = hyperbeam_undo:plan(Root, Recorded),
    check_writable(Root),
    show("back", Root, Steps, Options),
    Stay = [Step || {stays, _, _, _} = Step <- Steps],
    unless_dry(Options, fun() ->
        lists:foreach(fun(Step) -> step(Root, Step) end, Steps),
        case [Entry || {stays, Entry, _, _} <- Stay] of
            [] -> hyperbeam_store:clear(Root), say(["Done."], Options);
            Left -> hyperbeam_store:write(Root, Left)
        end
    end),
    case Stay of
        [] ->
            0;
        _ ->
            complain([["not all can be put back. What stays as it is in ", Root, ":"]]
                ++ [["  ", Path, " ", lists:join("\n    ", Why)] || {stays, _, Path, Why} <- Stay]
                ++ [["Then run \"make hyperbeam-undo\" again. Or delete ", hyperbeam_store:name(),
                    ", where these files are as you want them."]], Options)
    end.

%% No record: is there something to undo?
undo_unrecorded(Root, Options) ->
    case hyperbeam_install:plan(Root, wish(Options), none) of
        {ok, _, _, _} ->
            %% Left from an install that was interrupted before it changed anything; but nothing that was taken out.
            Kept = [Path || Path <- hyperbeam_changes:moved(), hyperbeam_store:kept(Root, Path) =/= none],
            0 = unless_dry(Options, fun() -> Kept =:= [] andalso hyperbeam_store:clear(Root) end),
            say([[Root, " has no record of an install: nothing to undo."]], Options);
        {error, unrecorded} ->
            throw({refused, [["It runs on hb_wasm64, but there is no ", hyperbeam_store:name(),
                " that tells what it was before. Use git."]]});
        {error, Lines} ->
            throw({refused, Lines})
    end.

%% The dependency as text, and where the link of _checkouts goes, if there is to be one.
wish(#{library := Library, commit := Commit, source := Source, ref := Ref}) ->
    Url = if Source =:= "" -> "file://" ++ Library; true -> Source end,
    Version =
        case if Ref =:= "" -> Commit; true -> Ref end of
            "" -> "{branch, \"main\"}";
            Wanted -> ["{ref, ", quoted(Wanted), "}"]
        end,
    #{
        dependency => unicode:characters_to_binary(["{hb_wasm64, {git, ", quoted(Url), ", ", Version, "}}"]),
        link => if Source =:= "", Ref =:= "" -> Library; true -> none end
    }.

quoted(String) -> [$", [case C of $" -> "\\\""; $\\ -> "\\\\"; _ -> C end || C <- String], $"].

check_writable(Root) ->
    Dirs = [Root | [filename:join(Root, Dir) || Dir <- ["src", "native", "_checkouts", hyperbeam_store:name()],
        hyperbeam_store:look(Root, Dir) =/= none]],
    case [Dir || Dir <- Dirs, not hyperbeam_store:is_writable(Dir)] of
        [] -> ok;
        Not -> throw({refused, [["No permission to write in ", lists:join(", ", Not)]]})
    end.

step(Root, {write, Path, _, Text, _}) -> hyperbeam_store:replace(Root, Path, Text);
step(Root, {move_out, Path}) -> hyperbeam_store:move_out(Root, Path);
step(Root, {move_back, Path}) -> hyperbeam_store:move_back(Root, Path);
step(Root, {delete, Path, _}) -> hyperbeam_store:delete(Root, Path);
step(Root, {replace_back, Path}) -> hyperbeam_store:delete(Root, Path), hyperbeam_store:move_back(Root, Path);
step(Root, {link, Path, Target}) -> hyperbeam_store:link(Root, Path, Target);
step(Root, {unlink, Path}) -> hyperbeam_store:unlink(Root, Path);
step(_, {stays, _, _, _}) -> ok.

show(What, Root, Steps, #{dry_run := Dry} = Options) ->
    Lines = [["  ", string:pad(Verb, 6), " ", string:pad(Path, 22), " ", Why]
        || Step <- Steps, {Verb, Path, Why} <- [shown(Step)]],
    say([[Root, if Dry -> " would change "; true -> " changes " end, What, ":"] | Lines], Options),
    case Dry of
        true ->
            say([diff(Root, Path, Text, Options) || {write, Path, _, Text, _} <- Steps]
                ++ ["Nothing was written (DRY_RUN)."], Options);
        false ->
            0
    end.

shown({write, Path, _, _, Why}) -> {"edit", Path, Why};
shown({move_out, Path}) -> {"move", Path, hyperbeam_changes:why(Path)};
shown({move_back, Path}) -> {"back", Path, "as it was"};
shown({replace_back, Path}) -> {"back", Path, "as it was, in the place of a copy of it"};
shown({delete, Path, Why}) -> {"delete", Path, Why};
shown({link, Path, Target}) -> {"link", Path, ["to ", Target, ": rebar3 takes the library from there"]};
shown({unlink, Path}) -> {"delete", Path, "the link to the library"};
shown({stays, _, Path, [Why | _]}) -> {"stays", Path, Why}.

%% What an edit changes in a file, where there is a diff to say it.
diff(Root, Path, Text, #{tmp := Tmp}) ->
    case os:find_executable("diff") of
        false ->
            "";
        Diff ->
            New = filename:join(Tmp, "new"),
            ok = file:write_file(New, Text),
            Args = ["-u", "-L", Path, "-L", Path, filename:join(Root, Path), New],
            Port = open_port({spawn_executable, Diff}, [{args, Args}, binary, exit_status, stderr_to_stdout]),
            Said = output(Port, []),
            ok = file:delete(New),
            case unicode:characters_to_list(Said) of
                Chars when is_list(Chars) -> Chars;
                _ -> binary_to_list(Said)
            end
    end.

%% Ends with the program, which is the only one that has this port.
output(Port, Read) ->
    receive
        {Port, {data, Data}} -> output(Port, [Read, Data]);
        {Port, {exit_status, _}} -> iolist_to_binary(Read)
    end.

unless_dry(#{dry_run := true}, _) -> 0;
unless_dry(#{dry_run := false}, Fun) -> _ = Fun(), 0.

say(Lines, #{say := Say}) ->
    lists:foreach(fun(Line) -> Say(standard_io, Line) end, Lines),
    0.

complain([First | Lines], #{say := Say}) ->
    Say(standard_error, ["hyperbeam: ", First]),
    lists:foreach(fun(Line) -> Say(standard_error, Line) end, Lines),
    1.

indented(Lines) -> [["  ", Line] || Line <- Lines].
