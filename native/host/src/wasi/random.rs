//! Random bytes.

use super::Answer;
use crate::context::{Args, HostCtx};
use crate::errno::Errno;

/// Without a seed there is no randomness, and bytes that are not random must not pass for it.
pub(super) fn get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let Some(random) = &mut host.state.program.random else { return Err(Errno::NOSYS) };
    random.fill(host.memory.get_mut(args.pointer(0), args.pointer(1))?);
    Ok(())
}
