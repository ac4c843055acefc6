//! Listing directories.

use super::Answer;
use super::layout::file_type;
use crate::context::{Args, HostCtx, int};
use crate::embedder::Embedder;
use crate::errno::Errno;
use crate::failure::Fault;
use crate::guest::with_host;
use crate::limits::WORK_STEP_BYTES;
use wasmtime::StoreContextMut;

/// `fd`, where entries go and how many bytes of them, behind which position they begin, and where it is written how many bytes
/// were. The last entry is cut off where it does not fit: the program asks for it again.
pub(crate) async fn readdir<T: Embedder>(store: &mut StoreContextMut<'_, T>, args: Args<'_>) -> wasmtime::Result<u64> {
    let (size, into) = (args.pointer(2), args.pointer(4));
    let mut listing = Listing { fd: args.int(0), at: args.pointer(1), size, used: 0, position: args.wide(3) as u64 };
    let mut result = with_host(store, |host| Ok(check(host, &listing, into).map(|()| true)))?;
    while let Ok(true) = result {
        result = with_host(store, |host| Ok(listing.step(host)))?;
        if let Ok(true) = result {
            T::pause().await;
        }
    }
    let result = match result {
        Ok(_) => with_host(store, |host| Ok(host.memory.put_pointer(into, listing.used).map_err(Errno::from)))?,
        Err(errno) => Err(errno),
    };
    Ok(int(result.map_or_else(Errno::positive, |()| 0)))
}

fn check(host: &HostCtx<'_>, listing: &Listing, into: u64) -> Answer {
    host.memory.check(listing.at, listing.size)?;
    host.memory.get(into, host.memory.width().bytes())?;
    Ok(())
}

/// How far a directory has been listed.
struct Listing {
    fd: i32,
    at: u64,
    /// Bytes that there are for entries, and those that have been written.
    size: u64,
    used: u64,
    /// That of the last entry that is there whole.
    position: u64,
}

impl Listing {
    /// Writes some of the entries: whether there may be more, and there is room for them.
    fn step(&mut self, host: &mut HostCtx<'_>) -> Result<bool, Errno> {
        let (memory, mut failure, mut is_cut) = (&mut host.memory, None, false);
        let end = self.size.min(self.used + WORK_STEP_BYTES);
        host.state.files.list_behind(self.fd, self.position, |entry| {
            if self.used >= end {
                is_cut = self.used < self.size;
                return false;
            }
            let mut bytes = Vec::with_capacity(24 + entry.name.len());
            bytes.extend(entry.position.to_le_bytes());
            bytes.extend(entry.inode.to_le_bytes());
            bytes.extend((entry.name.len() as u32).to_le_bytes());
            bytes.extend([file_type(entry.format), 0, 0, 0]);
            bytes.extend(entry.name);
            let room = usize::try_from(self.size - self.used).unwrap_or(usize::MAX);
            let fits = bytes.get(..room).unwrap_or(&bytes);
            match self.at.checked_add(self.used).ok_or(Fault::OutOfBounds).and_then(|at| memory.put(at, fits)) {
                Ok(()) => (self.used, self.position) = (self.used + fits.len() as u64, entry.position),
                Err(fault) => failure = Some(fault),
            }
            failure.is_none() && self.used < self.size
        })?;
        failure.map_or(Ok(is_cut), |fault| Err(fault.into()))
    }
}
