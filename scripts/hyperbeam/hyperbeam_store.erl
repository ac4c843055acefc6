%% @doc What an install leaves behind in a checkout, so that it can be undone: the directory .hb_wasm64 at its root.
%%
%% `record' says what was done, as terms; `before/' holds the files as they were, those that were taken out included. The
%% directory ignores itself: that also works in a worktree and without git, and no file of the checkout changes for it.
%% Files are written beside their place and renamed, with mode and owner of what they replace.
-module(hyperbeam_store).

-include_lib("kernel/include/file.hrl").

-export([name/0, read/1, write/2, clear/1]).
-export([look/2, find/2, is_writable/1, contained/2]).
-export([keep/3, kept/2, kept_path/2, replace/3, move_out/2, move_back/2, delete/2, link/3, unlink/2]).
-export_type([entry/0, what/0]).

-define(DIR, ".hb_wasm64").
-define(FORMAT, 1).

-type entry() ::
    {edited, Path :: string(), [hyperbeam_text:edit()], Dependency :: binary()}
    | {moved, Path :: string()}
    | {linked, Path :: string(), Target :: string()}
    | {lock, Path :: string()}.
-type what() :: none | {file, binary()} | {dir, [string()]} | {link, string()} | other.

-spec name() -> string().
name() -> ?DIR.

%% @doc What is recorded. A directory without a record is left from an install that had changed nothing yet.
-spec read(string()) -> none | {ok, [entry()]} | {error, string()}.
read(Root) ->
    case look(Root, ?DIR "/record") of
        none -> none;
        _ ->
            case file:consult(path(Root, ?DIR "/record")) of
                {ok, [{hb_wasm64_install, ?FORMAT} | Entries]} -> {ok, Entries};
                {ok, _} -> {error, "was written by another version of this"};
                {error, Why} -> {error, lists:flatten(["cannot be read: ", file:format_error(Why)])}
            end
    end.

-spec write(string(), [entry()]) -> ok.
write(Root, Entries) ->
    replace(Root, ?DIR "/.gitignore", <<"*\n">>),
    Terms = [io_lib:format("~tp.~n", [Term]) || Term <- [{hb_wasm64_install, ?FORMAT} | Entries]],
    Text = ["%% Written by \"make hyperbeam\" of hb_wasm64, for \"make hyperbeam-undo\".\n" | Terms],
    replace(Root, ?DIR "/record", unicode:characters_to_binary(Text)).

%% @doc The record goes first: what is left without it counts for nothing.
-spec clear(string()) -> ok.
clear(Root) ->
    case look(Root, ?DIR) of
        none -> ok;
        _ ->
            _ = file:delete(path(Root, ?DIR "/record")),
            done(file:del_dir_r(path(Root, ?DIR)), ?DIR)
    end.

%% @doc What there is at a path; links are not followed.
-spec look(string(), string()) -> what().
look(Root, Path) ->
    Full = path(Root, Path),
    case file:read_link_info(Full) of
        {ok, #file_info{type = regular}} ->
            case file:read_file(Full) of
                {ok, Text} -> {file, Text};
                {error, _} -> other
            end;
        {ok, #file_info{type = directory}} ->
            {dir, got(file:list_dir_all(Full), Path)};
        {ok, #file_info{type = symlink}} ->
            {link, got(file:read_link_all(Full), Path)};
        {ok, _} ->
            other;
        {error, _} ->
            none
    end.

%% @doc The paths that match one of these patterns.
-spec find(string(), [string()]) -> [string()].
find(Root, Patterns) -> lists:append([filelib:wildcard(Pattern, Root) || Pattern <- Patterns]).

-spec is_writable(string()) -> boolean().
is_writable(Full) ->
    case file:read_file_info(Full) of
        {ok, #file_info{access = Access}} -> Access =:= write orelse Access =:= read_write;
        {error, _} -> false
    end.

%% @doc Is all that is at the first path at the second as well, with the same content?
-spec contained(string(), string()) -> boolean().
contained(One, Other) ->
    case {look(One, ""), look(Other, "")} of
        {{dir, Names}, {dir, _}} -> lists:all(fun(Name) -> contained(path(One, Name), path(Other, Name)) end, Names);
        {Same, Same} -> Same =/= other;
        _ -> false
    end.

%% @doc Keeps a file as it is now.
-spec keep(string(), string(), binary()) -> ok.
keep(Root, Path, Text) -> replace(Root, ?DIR "/before/" ++ Path, Text).

-spec kept(string(), string()) -> what().
kept(Root, Path) -> look(Root, kept_path(Path)).

kept_path(Path) -> ?DIR "/before/" ++ Path.

%% @doc As {@link kept/2}, where it is.
-spec kept_path(string(), string()) -> string().
kept_path(Root, Path) -> path(Root, kept_path(Path)).

%% @doc Puts Text in the place of a file, or where there is none.
-spec replace(string(), string(), binary()) -> ok.
replace(Root, Path, Text) ->
    Full = path(Root, Path),
    make_dirs(Root, filename:dirname(Path)),
    New = filename:join(filename:dirname(Full), "." ++ filename:basename(Full) ++ ".hb_wasm64-new"),
    ok = done(file:write_file(New, Text, [raw]), Path),
    case file:read_file_info(Full) of
        {ok, #file_info{mode = Mode} = Old} ->
            belongs(New, Old),
            ok = done(file:change_mode(New, Mode band 8#7777), Path);
        {error, _} ->
            belongs(New, owner(Root))
    end,
    done(file:rename(New, Full), Path).

-spec move_out(string(), string()) -> ok.
move_out(Root, Path) -> move(Root, Path, kept_path(Path)).

-spec move_back(string(), string()) -> ok.
move_back(Root, Path) -> move(Root, kept_path(Path), Path).

move(Root, From, To) ->
    make_dirs(Root, filename:dirname(To)),
    done(file:rename(path(Root, From), path(Root, To)), From).

-spec delete(string(), string()) -> ok.
delete(Root, Path) -> done(file:del_dir_r(path(Root, Path)), Path).

-spec link(string(), string(), string()) -> ok.
link(Root, Path, Target) ->
    make_dirs(Root, filename:dirname(Path)),
    _ = file:delete(path(Root, Path)),
    done(file:make_symlink(Target, path(Root, Path)), Path).

%% @doc Takes a link away, and its directory where that is empty then.
-spec unlink(string(), string()) -> ok.
unlink(Root, Path) ->
    ok = done(file:delete(path(Root, Path)), Path),
    _ = file:del_dir(path(Root, filename:dirname(Path))),
    ok.

make_dirs(_, ".") ->
    ok;
make_dirs(Root, Dir) ->
    make_dirs(Root, filename:dirname(Dir)),
    case file:make_dir(path(Root, Dir)) of
        ok -> belongs(path(Root, Dir), owner(Root));
        {error, eexist} -> ok;
        {error, Why} -> failed(Why, Dir)
    end.

owner(Root) ->
    {ok, Info} = file:read_file_info(Root),
    Info.

%% Root may work in the checkout of somebody else, who has to be able to go on. For others this changes nothing.
belongs(Full, #file_info{uid = Uid, gid = Gid}) ->
    _ = file:change_owner(Full, Uid, Gid),
    ok.

path(Root, "") -> Root;
path(Root, Path) -> filename:join(Root, Path).

done(ok, _) -> ok;
done({error, Why}, Path) -> failed(Why, Path).

got({ok, Got}, _) -> Got;
got({error, Why}, Path) -> failed(Why, Path).

-spec failed(file:posix() | badarg, string()) -> no_return().
failed(Why, Path) -> throw({failed, [Path, ": ", file:format_error(Why)]}).
