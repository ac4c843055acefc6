%% @doc A content-addressed cache: messages under their ID, binaries under their hash.
%%
%% It lives in memory, for as long as the VM, or in files where the option `store' names a directory
%% (`#{<<"prefix">> => Dir}' as on `main', or `#{<<"name">> => Dir}' as on `edge'), so that another VM can read what
%% this one wrote.
%%
%% What is written is what HyperBEAM could write: nothing private, functions as text, no references or pids. Reading
%% gives the whole message on branch `main'. On `edge' each value of it is a link, which is read when someone asks
%% through `hb_ao' or `dev_message' for it: a device that takes a message apart itself meets the links.
-module(hb_cache).

-export([read/2, write/2, write_binary/3, storable/2, ensure_loaded/2, ensure_all_loaded/2]).

-include("ao_core.hrl").

%% @doc Writes a message, or a binary. The path is where `read/2' finds it again; that of a message is its ID.
-spec write(map() | binary(), map()) -> {ok, binary()}.
write(Binary, Opts) when is_binary(Binary) ->
    ao_core_counter:hit({hb_cache, write}),
    Path = <<"data/", (hb_path:hashpath(Binary, Opts))/binary>>,
    put_value(store(Opts), Path, Binary),
    {ok, Path};
write(Message, Opts) when is_map(Message) ->
    ao_core_counter:hit({hb_cache, write}),
    {ok, ID} = dev_message:id(Message, #{}, Opts),
    put_value(store(Opts), ID, storable(Message, Opts)),
    {ok, ID}.

%% @doc Writes a binary so that it is also found at an ID of its own.
-spec write_binary(binary(), binary(), map()) -> {ok, binary()}.
write_binary(ID, Binary, Opts) ->
    put_value(store(Opts), ID, Binary),
    write(Binary, Opts).

%% @doc Reads what lies at an ID, or at a path below one. A kernel that loads packages wraps what it does not find, and says
%% where a store did not answer: here one that is called `down'.
-spec read(term(), map()) -> {ok, term()} | not_found | {error, not_found} | {failure, binary()}.
read(Path, Opts) ->
    ao_core_counter:hit({hb_cache, read}),
    case {store(Opts), ao_core:branch()} of
        {down, packages} ->
            {failure, <<"the store is down">>};
        {down, _} ->
            not_found;
        {Store, Branch} ->
            case read(Path, Store, Branch, Opts) of
                not_found when Branch =:= packages -> {error, not_found};
                Found -> Found
            end
    end.

read(Path, Store, Branch, Opts) ->
    Parts =
        case hb_path:term_to_path_parts(Path, Opts) of
            undefined -> [<<>>];
            [<<"data">>, Hash | Below] -> [<<"data/", Hash/binary>> | Below];
            Other -> Other
        end,
    case follow(get_value(Store, hd(Parts)), tl(Parts)) of
        {ok, Message} when is_map(Message) ->
            case Branch of
                main -> {ok, Message};
                _ -> {ok, maps:map(fun(Key, _) -> link(Path, Key, Store) end, Message)}
            end;
        Found ->
            Found
    end.

follow({ok, Value}, []) -> {ok, Value};
follow({ok, Message}, [Key | Rest]) when is_map(Message) ->
    case Message of
        #{Key := Value} -> follow({ok, Value}, Rest);
        _ -> not_found
    end;
follow(_Other, _Parts) -> not_found.

link(Path, Key, Store) ->
    {link, <<(hb_path:to_binary(Path))/binary, "/", Key/binary>>, #{<<"lazy">> => true, store => Store}}.

%% @doc The value of a link, one level of it; anything else as it is.
-spec ensure_loaded(term(), map()) -> term().
ensure_loaded(Link = {link, Path, LinkOpts}, Opts) ->
    case read(Path, maps:merge(Opts, LinkOpts)) of
        {ok, Value} -> Value;
        not_found -> throw({necessary_message_not_found, Link});
        {error, not_found} -> throw({necessary_message_not_found, Path, Link})
    end;
ensure_loaded(Value, _Opts) -> Value.

%% @doc The value with all links in it loaded.
-spec ensure_all_loaded(term(), map()) -> term().
ensure_all_loaded(Link, Opts) when ?IS_LINK(Link) -> ensure_all_loaded(ensure_loaded(Link, Opts), Opts);
ensure_all_loaded(Map, Opts) when is_map(Map) -> maps:map(fun(_, Value) -> ensure_all_loaded(Value, Opts) end, Map);
ensure_all_loaded(List, Opts) when is_list(List) -> [ensure_all_loaded(Value, Opts) || Value <- List];
ensure_all_loaded(Value, _Opts) -> Value.

%% @doc A value in the form in which it can be written and hashed; the same for equal content on every node.
-spec storable(term(), map()) -> term().
storable(Link, Opts) when ?IS_LINK(Link) -> storable(ensure_loaded(Link, Opts), Opts);
storable(Map, Opts) when is_map(Map) ->
    maps:from_list([
        {hb_ao:normalize_key(Key), storable(Value, Opts)}
     || {Key, Value} <- maps:to_list(Map),
        Key =/= <<"commitments">>,
        not hb_private:is_private(Key),
        not is_unsupported(Value)
    ]);
storable(List, Opts) when is_list(List) -> [storable(Value, Opts) || Value <- List];
storable(Function, _Opts) when is_function(Function) -> list_to_binary(erlang:fun_to_list(Function));
storable(Value, _Opts) -> Value.

is_unsupported(Value) -> is_reference(Value) orelse is_pid(Value) orelse is_port(Value).

%% In the form in which links carry it on.
store(Opts) ->
    case hb_opts:get(store, memory, Opts) of
        #{<<"prefix">> := Directory} -> {directory, Directory};
        #{<<"name">> := <<"down">>} -> down;
        #{<<"name">> := Directory} -> {directory, Directory};
        Store = {directory, _} -> Store;
        [First | _] -> store(#{store => First});
        _ -> memory
    end.

put_value(memory, Path, Value) ->
    true = ets:insert(table(), {Path, Value}),
    ok;
put_value(Store, Path, Value) ->
    File = file(Store, Path),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, term_to_binary(Value)).

get_value(memory, Path) ->
    case ets:lookup(table(), Path) of
        [{Path, Value}] -> {ok, Value};
        [] -> not_found
    end;
get_value(Store, Path) when is_binary(Path) ->
    case file:read_file(file(Store, Path)) of
        {ok, Bytes} -> {ok, binary_to_term(Bytes)};
        {error, _} -> not_found
    end.

%% The name is hashed once more, so that no path can lead out of the directory.
file({directory, Directory}, Path) ->
    filename:join(Directory, hb_util:encode(crypto:hash(sha256, Path))).

%% The table belongs to a process of its own: tests run in processes that end before the next one reads.
table() ->
    case ets:whereis(?MODULE) of
        undefined ->
            Asker = self(),
            Ready = make_ref(),
            _ = spawn(fun() -> own_table(Asker, Ready) end),
            %% Comes in either case: when two processes ask at once, one owner finds the name taken and ends.
            receive
                Ready -> ?MODULE
            end;
        _ ->
            ?MODULE
    end.

own_table(Asker, Ready) ->
    IsOwner =
        try ets:new(?MODULE, [named_table, public, {read_concurrency, true}]) of
            _ -> true
        catch
            error:badarg -> false
        end,
    Asker ! Ready,
    IsOwner andalso timer:sleep(infinity).
