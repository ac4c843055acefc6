//! What a program has printed.

use super::pages::NoRoom;
use crate::limits::OUTPUT_BYTES;

/// The first bytes that were written to a terminal since it was last cleared; what is beyond the limit is lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let room = OUTPUT_BYTES.saturating_sub(self.0.len());
        let bytes = bytes.get(..room).unwrap_or(bytes);
        self.0.try_reserve(bytes.len()).map_err(|_| NoRoom)?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
