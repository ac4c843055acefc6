//! What a program has printed.

/// The most that is kept of each stream, in bytes.
pub(crate) const OUTPUT_BYTES: usize = 1 << 20;

/// The first bytes that were written to a terminal since it was last cleared; what is beyond the limit is lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let room = OUTPUT_BYTES.saturating_sub(self.0.len());
        self.0.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
