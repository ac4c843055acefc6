%% @doc The kernel's maps, whose values may be links: those functions of it that devices use.
-module(hb_maps).

-export([get/4, is_key/3]).

%% @doc The value of a key, loaded.
-spec get(term(), map(), term(), map()) -> term().
get(Key, Map, Default, Opts) ->
    ao_core_counter:hit({hb_maps, get}),
    case hb_cache:ensure_loaded(Map, Opts) of
        #{Key := Value} -> hb_cache:ensure_loaded(Value, Opts);
        _ -> Default
    end.

-spec is_key(term(), map(), map()) -> boolean().
is_key(Key, Map, Opts) -> is_map_key(Key, hb_cache:ensure_loaded(Map, Opts)).
