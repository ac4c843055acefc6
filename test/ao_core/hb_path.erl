%% @doc Paths of requests, and the hashpath: the chain of what led to a message.
%%
%% A hashpath has two parts, `BASE/REQUEST'. The next one hashes both into its base, so that the text never grows:
%% `ID', then `ID/k1', then `sha256(ID, k1)/k2', and so on.
-module(hb_path).

-export([hashpath/2, hashpath/3, term_to_path_parts/1, term_to_path_parts/2, from_message/3]).
-export([hd/2, matches/2, to_binary/1]).

-include("ao_core.hrl").

%% @doc The hashpath a message has; one that has none starts its own with its ID.
-spec hashpath(term(), map()) -> binary().
hashpath(Binary, _Opts) when is_binary(Binary) -> hb_util:human_id(crypto:hash(sha256, Binary));
hashpath(Message, Opts) ->
    case hb_private:from_message(hb_ao:normalize_keys(Message)) of
        #{<<"hashpath">> := Hashpath} -> Hashpath;
        _ -> hb_util:human_id(hb_util:ok(dev_message:id(Message, #{<<"commitments">> => <<"all">>}, Opts)))
    end.

%% @doc The hashpath of what a request made of a base. A request of nothing but a path is named by its path, any other
%% by its ID.
-spec hashpath(map(), map(), map()) -> binary().
hashpath(Base, Request, Opts) when is_map(Base), is_map(Request) ->
    ao_core_counter:hit({hb_path, hashpath}),
    extend(hashpath(Base, Opts), request_name(Request, Opts)).

request_name(Request, Opts) ->
    case {map_size(maps:without(?AO_CORE_KEYS, Request)), from_message(request, Request, Opts)} of
        {0, [First | _]} -> to_binary(First);
        _ -> hb_util:human_id(hb_util:ok(dev_message:id(Request, #{<<"commitments">> => <<"all">>}, Opts)))
    end.

extend(Hashpath, Name) ->
    case binary:split(Hashpath, <<"/">>) of
        [ID] -> <<ID/binary, "/", Name/binary>>;
        [Base, Last] -> <<(hb_util:human_id(chain(Base, Last)))/binary, "/", Name/binary>>
    end.

chain(Base, Last) when byte_size(Last) =:= 43 -> chain(Base, hb_util:native_id(Last));
chain(Base, Last) -> crypto:hash(sha256, <<(hb_util:native_id(Base))/binary, Last/binary>>).

%% @doc The parts of a path in any of its forms. Case is kept: only keys of messages are normalized, later.
-spec term_to_path_parts(term()) -> undefined | list().
term_to_path_parts(Path) -> term_to_path_parts(Path, #{}).

-spec term_to_path_parts(term(), map()) -> undefined | list().
term_to_path_parts(Link, Opts) when ?IS_LINK(Link) -> term_to_path_parts(hb_cache:ensure_loaded(Link, Opts), Opts);
term_to_path_parts(Empty, _Opts) when Empty =:= []; Empty =:= <<>> -> undefined;
term_to_path_parts(<<"/">>, _Opts) -> [];
term_to_path_parts(Binary, _Opts) when is_binary(Binary) ->
    case binary:split(Binary, <<"/">>, [global, trim_all]) of
        [] -> undefined;
        Parts -> Parts
    end;
term_to_path_parts(String = [Letter | _], _Opts) when is_integer(Letter) -> [hb_ao:normalize_key(String)];
term_to_path_parts(List, Opts) when is_list(List) ->
    lists:flatten([term_to_path_parts(Part, Opts) || Part <- List]);
term_to_path_parts(Atom, _Opts) when is_atom(Atom) -> [Atom];
term_to_path_parts(Number, _Opts) when is_integer(Number) -> [hb_ao:normalize_key(Number)].

%% @doc The path that a request asks for, or the hashpath of a message.
-spec from_message(request | hashpath, term(), map()) -> undefined | list() | binary().
from_message(Type, Link, Opts) when ?IS_LINK(Link) -> from_message(Type, hb_cache:ensure_loaded(Link, Opts), Opts);
from_message(hashpath, Message, Opts) -> hashpath(Message, Opts);
from_message(request, #{path := Path}, Opts) -> term_to_path_parts(Path, Opts);
from_message(request, #{<<"path">> := Path}, Opts) -> term_to_path_parts(Path, Opts);
from_message(request, _Request, _Opts) -> undefined.

%% @doc The first key of a request's path.
-spec hd(map(), map()) -> term().
hd(Request, Opts) ->
    case from_message(request, Request, Opts) of
        [First | _] -> First;
        _ -> undefined
    end.

%% @doc Whether two keys are the same to AO-Core.
-spec matches(term(), term()) -> boolean().
matches(Key1, Key2) -> hb_ao:normalize_key(Key1) =:= hb_ao:normalize_key(Key2).

-spec to_binary(term()) -> binary().
to_binary(Path) ->
    Parts = [hb_util:bin(Part) || Part <- term_to_path_parts(Path), Part =/= undefined],
    iolist_to_binary(lists:join(<<"/">>, Parts)).
