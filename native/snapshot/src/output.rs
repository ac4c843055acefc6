//! Where compressed snapshots go.

use crate::error::Result;
use crate::room;

/// Where a compressed snapshot goes. Its size is not known before.
pub trait Output {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// [`SnapshotError::Host`] where there is no room for them.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// All bytes.
    fn bytes(&mut self) -> &mut [u8];
}

impl Output for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(room::append(self, bytes)?)
    }

    fn bytes(&mut self) -> &mut [u8] {
        self
    }
}
