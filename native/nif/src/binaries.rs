//! Binaries of any size on their way to Erlang.

use crate::atoms;
use crate::terms;
use hb_wasm64_engine::error::Error;
use hb_wasm64_snapshot::Cancellation;
use rustler::{Encoder, Env, OwnedBinary, Term};

/// Bytes that are copied before anybody looks whether the result is still wanted.
pub const PIECE_BYTES: usize = 1 << 20;

/// A binary with these bytes. A host that has no room for it is an error: an ordinary allocation would end the node.
pub fn copied(bytes: &[u8]) -> Result<OwnedBinary, Error> {
    let mut binary = allocated(bytes.len())?;
    binary.as_mut_slice().copy_from_slice(bytes);
    Ok(binary)
}

/// The same for many bytes.
pub fn copied_unless(bytes: &[u8], cancellation: Cancellation<'_>) -> Result<OwnedBinary, Error> {
    let mut binary = allocated(bytes.len())?;
    for (place, piece) in binary.as_mut_slice().chunks_mut(PIECE_BYTES).zip(bytes.chunks(PIECE_BYTES)) {
        cancellation.check()?;
        place.copy_from_slice(piece);
    }
    Ok(binary)
}

/// A binary of this size, to be filled.
pub fn allocated(size: usize) -> Result<OwnedBinary, Error> {
    let mut binary = OwnedBinary::new(0);
    if binary.realloc(size) { Ok(binary) } else { Err(Error::Host(format!("no room for a binary of {size} bytes"))) }
}

/// `{ok, Binary}`.
pub fn ok_bytes(env: Env<'_>, bytes: OwnedBinary) -> Term<'_> {
    (atoms::ok(), bytes.release(env)).encode(env)
}

/// `{ok, Binary}`, or why there is none.
pub fn bytes_or_error(env: Env<'_>, result: Result<OwnedBinary, Error>) -> Term<'_> {
    match result {
        Ok(bytes) => (atoms::ok(), bytes.release(env)).encode(env),
        Err(error) => terms::error(env, &error),
    }
}
