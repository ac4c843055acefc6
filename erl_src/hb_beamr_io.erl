%% @doc Access to the memory of an instance, under the names of HyperBEAM's module. See {@link hb_wasm64}.
-module(hb_beamr_io).

-export([size/1, read/3, write/3, read_string/2, write_string/2, malloc/2, free/2, grow/2]).

%% @doc Size of the memory in bytes.
-spec size(hb_wasm64:handle()) -> {ok, non_neg_integer()} | {error, hb_wasm64:reason()}.
size(Handle) -> hb_wasm64:memory_size(Handle).

%% @doc Reads `Size' bytes.
-spec read(hb_wasm64:handle(), integer(), integer()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
read(Handle, Offset, Size) -> hb_wasm64:read(Handle, Offset, Size).

%% @doc Writes a binary.
-spec write(hb_wasm64:handle(), integer(), binary()) -> ok | {error, hb_wasm64:reason()}.
write(Handle, Offset, Binary) -> hb_wasm64:write(Handle, Offset, Binary).

%% @doc Reads a string up to its NUL.
-spec read_string(hb_wasm64:handle(), integer()) -> {ok, binary()} | {error, hb_wasm64:reason()}.
read_string(Handle, Offset) -> hb_wasm64:read_string(Handle, Offset).

%% @doc Writes a string with a NUL into memory of the guest's `malloc'.
-spec write_string(hb_wasm64:handle(), iodata()) -> {ok, pos_integer()} | {error, hb_wasm64:reason()}.
write_string(Handle, Iodata) -> hb_wasm64:write_string(Handle, Iodata).

%% @doc Calls the guest's `malloc'.
-spec malloc(hb_wasm64:handle(), non_neg_integer()) -> {ok, pos_integer()} | {error, hb_wasm64:reason()}.
malloc(Handle, Size) -> hb_wasm64:malloc(Handle, Size).

%% @doc Calls the guest's `free'.
-spec free(hb_wasm64:handle(), non_neg_integer()) -> ok | {error, hb_wasm64:reason()}.
free(Handle, Pointer) -> hb_wasm64:free(Handle, Pointer).

%% @doc Grows the memory by pages of 64 KiB, as `memory.grow' does.
-spec grow(hb_wasm64:handle(), Pages :: non_neg_integer()) -> ok | {error, hb_wasm64:reason()}.
grow(Handle, Pages) when is_integer(Pages), Pages >= 0 ->
    case hb_wasm64:memory_size(Handle) of
        {ok, Size} -> hb_wasm64:grow(Handle, Size + Pages * 65536);
        {error, _} = Error -> Error
    end;
grow(Handle, Pages) ->
    {error, hb_wasm64_args:error("grow(Handle, Pages)", [Handle, Pages], 2)}.
