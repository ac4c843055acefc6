%% @doc What changes in a HyperBEAM checkout, file by file.
%%
%% A file is judged by its marks: the places this knows in it. Each is as HyperBEAM has it (`theirs'), as an install
%% leaves it (`ours', or `gone' where an install only takes something out, so that this tells nothing about who did), or
%% neither (`unknown'). No mark is found by its layout, and a result is compared, as terms, with what it has to be.
-module(hyperbeam_changes).

-export([edited/0, moved/0, why/1, by_hand/1]).
-export([inspect/3, inspect_moved/2, status/1, check/4, dependency/1, without_lock/1]).
-export_type([mark/0, status/0]).

-define(APP, hb_wasm64).
-define(DRIVER, "hb_beamr").

-type state() :: theirs | ours | gone | unknown.
-type mark() :: {state(), What :: string()}.
-type status() :: theirs | ours | odd.

%% @doc The files that are edited.
-spec edited() -> [string()].
edited() -> ["rebar.config", "src/hb.app.src", "src/hb_opts.erl"].

%% @doc The files and directories that are moved out.
-spec moved() -> [string()].
moved() -> ["src/hb_beamr.erl", "src/hb_beamr_io.erl", "native/hb_beamr"].

%% @doc What an install does with a file, and why.
-spec why(string()) -> string().
why("rebar.config") -> "hb_wasm64 into dependencies and release; the C driver, WAMR's paths and build hook out";
why("src/hb.app.src") -> "hb_wasm64 among the applications: it starts before hb";
why("src/hb_opts.erl") -> "wasm-64@1.0 and wasm64@1.0 are dev_wasm64";
why("native/hb_beamr") -> "out: the C driver";
why("src/" ++ _) -> "out: the module of this name is hb_wasm64's".

%% @doc How to take an install out of a file without help.
-spec by_hand(string()) -> string().
by_hand("rebar.config") ->
    "take hb_wasm64 out of deps and relx; put hb_beamr.so back into port_specs, WAMR's paths into port_env, "
    "\"make wamr\" into pre_hooks";
by_hand("src/hb.app.src") -> "take hb_wasm64 out of the applications";
by_hand("src/hb_opts.erl") -> "let wasm-64@1.0 be dev_wasm again, and take the entry wasm64@1.0 out".

%% @doc The marks of a file's text, and the edits that make all of them ours. Dep is the dependency as text.
-spec inspect(string(), binary(), Dep :: binary()) -> {[mark()], [hyperbeam_text:edit()]}.
inspect(Path, Text, Dep) ->
    case hyperbeam_text:forms(Text) of
        {ok, Forms} ->
            Found = marks(Path, Text, Forms, Dep),
            {[{State, What} || {State, What, _} <- Found], lists:append([Edits || {_, _, Edits} <- Found])};
        {error, Why} ->
            {[{unknown, lists:flatten(["Erlang that can be read (", Why, ")"])}], []}
    end.

%% @doc The mark of a file or directory that is moved out.
-spec inspect_moved(string(), hyperbeam_store:what()) -> mark().
inspect_moved("native/" ++ _, {dir, Names}) ->
    known([Name || Name <- Names, filename:extension(Name) =:= ".c"] =/= [], "C sources");
inspect_moved("src/" ++ Name, {file, Text}) ->
    Attribute = "-module(" ++ filename:basename(Name, ".erl") ++ ")",
    known(binary:match(Text, list_to_binary(Attribute)) =/= nomatch, Attribute);
inspect_moved("native/" ++ _, What) ->
    {gone_or_unknown(What), "the directory"};
inspect_moved(_, What) ->
    {gone_or_unknown(What), "the file"}.

gone_or_unknown(none) -> gone;
gone_or_unknown(_) -> unknown.

known(true, What) -> {theirs, What};
known(false, What) -> {unknown, What}.

-spec status([mark()]) -> status().
status(Marks) ->
    States = [State || {State, _} <- Marks],
    case {States -- [theirs || _ <- States], [S || S <- States, S =/= ours, S =/= gone]} of
        {[], _} -> theirs;
        {_, []} -> ours;
        _ -> odd
    end.

%% {State, What, Edits}; the dependency comes first in rebar.config.
marks("rebar.config", Text, Forms, Dep) ->
    [dep(Text, Forms, Dep), driver(Text, Forms), wamr_paths(Text, Forms), wamr_hook(Text, Forms),
        release(Text, Forms)];
marks("src/hb.app.src", Text, Forms, _) ->
    [applications(Text, Forms)];
marks("src/hb_opts.erl", Text, Forms, _) ->
    [devices(Text, Forms)].

dep(Text, Forms, Dep) ->
    case [Deps || [Deps] <- hyperbeam_text:named(deps, Forms), hyperbeam_text:items(Deps) =/= none] of
        [Deps] ->
            case [Item || Item <- list_items(Deps), app_of(Item) =:= ?APP] of
                [] -> {theirs, "deps without hb_wasm64", [hyperbeam_text:insert_first(Text, Deps, Dep)]};
                [Item] -> {ours, "deps without hb_wasm64", new_dep(Text, Item, Dep)};
                _ -> {unknown, "deps that name hb_wasm64 at most once", []}
            end;
        _ ->
            {unknown, "one list deps", []}
    end.

new_dep(Text, Item, Dep) ->
    case hyperbeam_text:slice(Text, Item) of
        Dep -> [];
        _ -> [hyperbeam_text:replace(Item, Dep)]
    end.

%% @doc The dependency as it stands in the text of rebar.config.
-spec dependency(binary()) -> {ok, binary()} | none.
dependency(Text) ->
    {ok, Forms} = hyperbeam_text:forms(Text),
    case [Item || [Deps] <- hyperbeam_text:named(deps, Forms), Item <- list_items(Deps), app_of(Item) =:= ?APP] of
        [Item | _] -> {ok, hyperbeam_text:slice(Text, Item)};
        [] -> none
    end.

app_of(Item) ->
    case hyperbeam_text:term(Item) of
        {ok, Term} when is_tuple(Term) -> element(1, Term);
        {ok, Term} -> Term;
        error -> unknown
    end.

driver(Text, Forms) ->
    What = "hb_beamr.so in port_specs",
    case hyperbeam_text:named(port_specs, Forms) of
        [[Specs]] ->
            Items = list_items(Specs),
            case take_out(Text, What, [Item || Item <- Items, is_driver(hyperbeam_text:term(Item))], Items) of
                {theirs, What, Edits} -> {theirs, What, Edits ++ sweeping(Text, Forms)};
                Other -> Other
            end;
        _ ->
            {unknown, What, []}
    end.

is_driver({ok, Spec}) -> builds_driver(Spec);
is_driver(error) -> false.

builds_driver({_Arch, Target, Sources}) when is_list(Sources) -> builds_driver({Target, Sources});
builds_driver({_Arch, Target, Sources, _}) -> builds_driver({Target, Sources});
builds_driver({Target, _}) -> filename:basename(Target, ".so") =:= ?DRIVER;
builds_driver(_) -> false.

take_out(_, What, [], _) -> {gone, What, []};
take_out(Text, What, [Item], Items) -> {theirs, What, hyperbeam_text:remove(Text, Item, Items)};
take_out(_, What, _, _) -> {unknown, What ++ ", once", []}.

%% WAMR's flags stand among others.
wamr_paths(Text, Forms) ->
    What = "paths of WAMR in port_env",
    Strings = [Leaf || [Env] <- hyperbeam_text:named(port_env, Forms), Leaf <- hyperbeam_text:strings(Env)],
    case lists:append([hyperbeam_text:remove_words(Text, Leaf, fun is_wamr/1) || Leaf <- Strings]) of
        [] -> {gone, What, []};
        Edits -> {theirs, What, Edits}
    end.

is_wamr(Word) -> string:find(Word, "/wamr/") =/= nomatch orelse string:equal(Word, "-lvmlib").

wamr_hook(Text, Forms) ->
    What = "\"make wamr\" in pre_hooks",
    case hyperbeam_text:named(pre_hooks, Forms) of
        [[Hooks]] ->
            Items = list_items(Hooks),
            take_out(Text, What, [Item || Item <- Items, makes_wamr(command(Item))], Items);
        _ ->
            {gone, What, []}
    end.

command(Item) ->
    case hyperbeam_text:term(Item) of
        {ok, {_When, Command}} -> Command;
        {ok, {_Arch, _When, Command}} -> Command;
        _ -> ""
    end.

makes_wamr(Command) ->
    Words = string:lexemes(Command, " "),
    Words =/= [] andalso hd(Words) =:= "make" andalso lists:last(Words) =:= "wamr".

%% Without the driver, hooks that sweep its directory have nothing to sweep. A checkout need not have them.
sweeping(Text, Forms) ->
    lists:append([hyperbeam_text:remove(Text, Item, Items) || [Hooks] <- hyperbeam_text:named(post_hooks, Forms),
        Items <- [list_items(Hooks)], Item <- Items, sweeps_driver(command(Item))]).

sweeps_driver(Command) ->
    case string:lexemes(Command, " ") of
        ["rm", "-f" | [_ | _] = Files] -> lists:all(fun(F) -> lists:prefix("native/" ?DRIVER "/", F) end, Files);
        _ -> false
    end.

%% Only releases that hold hb.
release(Text, Forms) ->
    What = "a release of hb in relx",
    Lists = [Apps || [Relx] <- hyperbeam_text:named(relx, Forms),
        [_Name, Apps | _] <- hyperbeam_text:named(release, list_items(Relx)), names(hb, Apps)],
    case [Apps || Apps <- Lists, not names(?APP, Apps)] of
        [] when Lists =:= [] -> {unknown, What, []};
        [] -> {ours, What, []};
        Without -> {theirs, What, lists:append([add_app(Text, Apps) || Apps <- Without])}
    end.

add_app(Text, Apps) -> hyperbeam_text:append(Text, Apps, atom_to_list(?APP)).

names(App, Apps) -> lists:any(fun(Item) -> app_of(Item) =:= App end, list_items(Apps)).

applications(Text, Forms) ->
    What = "the list applications",
    case [Apps || [_Hb, Properties] <- hyperbeam_text:named(application, Forms),
            [Apps] <- hyperbeam_text:named(applications, list_items(Properties)), hyperbeam_text:items(Apps) =/= none] of
        [Apps] ->
            case names(?APP, Apps) of
                true -> {ours, What, []};
                false -> {theirs, What, add_app(Text, Apps)}
            end;
        _ ->
            {unknown, What, []}
    end.

devices(Text, Forms) ->
    What = "one entry wasm-64@1.0 => dev_wasm in preloaded_devices",
    Entries = [{Name, Module, Item} || length(hyperbeam_text:values_of(preloaded_devices, Forms)) =:= 1,
        Item <- device_items(Forms), {ok, #{<<"name">> := Name, <<"module">> := Module}} <- [hyperbeam_text:term(Item)]],
    case {[E || {<<"wasm-64@1.0">>, _, _} = E <- Entries], [E || {<<"wasm64@1.0">>, _, _} = E <- Entries]} of
        {[{_, dev_wasm64, _}], [{_, dev_wasm64, _}]} ->
            {ours, What, []};
        {[{_, dev_wasm, Item}], []} ->
            Entry = to_ours(Text, Item),
            Second = re:replace(Entry, "wasm-64@1\\.0", "wasm64@1.0"),
            {theirs, What, [hyperbeam_text:replace(Item, Entry) | hyperbeam_text:insert_after(Text, Item, Second)]};
        {[{_, dev_wasm, First}], [{_, dev_wasm, Second}]} ->
            {theirs, What, [hyperbeam_text:replace(Item, to_ours(Text, Item)) || Item <- [First, Second]]};
        _ ->
            {unknown, What, []}
    end.

device_items(Forms) ->
    lists:append([hyperbeam_text:items(List) || List <- hyperbeam_text:values_of(preloaded_devices, Forms)]).

to_ours(Text, Item) -> re:replace(hyperbeam_text:slice(Text, Item), "\\bdev_wasm\\b", "dev_wasm64", [{return, binary}]).

list_items(Item) ->
    case hyperbeam_text:items(Item) of
        none -> [];
        Items -> Items
    end.

%% @doc Is After what an install has to make of Before? Told by the terms, apart from the edits.
-spec check(string(), Before :: binary(), After :: binary(), Dep :: binary()) -> boolean().
check("src/hb_opts.erl", Before, After, _Dep) ->
    {ok, Old} = hyperbeam_text:forms(Before),
    {ok, New} = hyperbeam_text:forms(After),
    around(Before, Old) =:= around(After, New)
        andalso lists:append([wanted_device(Entry) || Entry <- device_terms(Before, Old)]) =:= device_terms(After, New);
check(Path, Before, After, Dep) ->
    {ok, [Dependency]} = hyperbeam_text:terms(<<Dep/binary, ". ">>),
    case {hyperbeam_text:terms(Before), hyperbeam_text:terms(After)} of
        {{ok, Old}, {ok, New}} -> [wanted(Path, Term, Dependency) || Term <- Old] =:= New;
        _ -> false
    end.

wanted("rebar.config", {deps, Deps}, Dep) ->
    {deps, [Dep | Deps]};
wanted("rebar.config", {port_specs, Specs}, _) ->
    {port_specs, [Spec || Spec <- Specs, not builds_driver(Spec)]};
wanted("rebar.config", {port_env, Env}, _) ->
    {port_env, [list_to_tuple([no_wamr(Field) || Field <- tuple_to_list(Variable)]) || Variable <- Env]};
wanted("rebar.config", {pre_hooks, Hooks}, _) ->
    {pre_hooks, [Hook || Hook <- Hooks, not makes_wamr(last(Hook))]};
wanted("rebar.config", {post_hooks, Hooks}, _) ->
    {post_hooks, [Hook || Hook <- Hooks, not sweeps_driver(last(Hook))]};
wanted("rebar.config", {relx, Relx}, _) ->
    {relx, [wanted_release(Term) || Term <- Relx]};
wanted("src/hb.app.src", {application, Hb, Properties}, _) ->
    {applications, Apps} = lists:keyfind(applications, 1, Properties),
    {application, Hb, lists:keyreplace(applications, 1, Properties, {applications, Apps ++ [?APP]})};
wanted(_, Term, _) ->
    Term.

last(Tuple) -> element(tuple_size(Tuple), Tuple).

no_wamr([Char | _] = Field) when is_integer(Char) ->
    lists:append(lists:join(" ", [Word || Word <- string:split(Field, " ", all), not is_wamr(Word)]));
no_wamr(Field) ->
    Field.

wanted_release(Release) when element(1, Release) =:= release ->
    Apps = element(3, Release),
    case lists:member(hb, Apps) of
        true -> setelement(3, Release, Apps ++ [?APP]);
        false -> Release
    end;
wanted_release(Term) ->
    Term.

%% The devices as terms; the bytes of what is none.
device_terms(Text, Forms) ->
    [case hyperbeam_text:term(Item) of
        {ok, Term} -> Term;
        error -> hyperbeam_text:slice(Text, Item)
    end || Item <- device_items(Forms)].

wanted_device(#{<<"name">> := <<"wasm-64@1.0">>} = Entry) ->
    Ours = Entry#{<<"module">> => dev_wasm64},
    [Ours, Ours#{<<"name">> => <<"wasm64@1.0">>}];
wanted_device(#{<<"name">> := <<"wasm64@1.0">>}) ->
    [];
wanted_device(Entry) ->
    [Entry].

%% The bytes before and behind the list of devices.
around(Text, Forms) ->
    [{group, From, To, _, _}] = hyperbeam_text:values_of(preloaded_devices, Forms),
    {binary:part(Text, 0, From), binary:part(Text, To, byte_size(Text) - To)}.

%% @doc The text of rebar.lock without our entry, which rebar3 adds for a dependency that it fetches.
-spec without_lock(binary()) -> {ok, binary()} | same.
without_lock(Text) ->
    case hyperbeam_text:forms(Text) of
        {ok, [{group, _, _, form, [First]} | _]} ->
            %% {"1.2.0", Locks}, or in an old lock file Locks alone.
            Locks = case hyperbeam_text:term(First) of
                {ok, {_Version, _}} -> list_items(lists:last(hyperbeam_text:items(First)));
                {ok, _} -> list_items(First);
                error -> []
            end,
            case [Item || Item <- Locks, app_of(Item) =:= atom_to_binary(?APP)] of
                [] -> same;
                [Item] -> {ok, hyperbeam_text:apply_edits(Text, hyperbeam_text:remove(Text, Item, Locks))}
            end;
        _ ->
            same
    end.
