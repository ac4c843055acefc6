%% Sizes that HyperBEAM takes for an ID: native, Ethereum address without its prefix, base64url.
-define(IS_ID(X), (is_binary(X) andalso (byte_size(X) =:= 32 orelse byte_size(X) =:= 42 orelse byte_size(X) =:= 43))).

%% A value that is still in the cache (branch `edge'): `{link, Path, LinkOptions}'.
-define(IS_LINK(X), (is_tuple(X) andalso tuple_size(X) =:= 3 andalso element(1, X) =:= link)).

%% Keys that belong to the protocol, not to the content of a message.
-define(AO_CORE_KEYS, [<<"path">>, <<"hashpath">>, <<"priv">>]).
