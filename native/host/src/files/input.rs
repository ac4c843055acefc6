//! What a program can read from its standard input.

use std::sync::Arc;

/// Bytes that are read once, one after the other. What has been read is not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    bytes: Arc<Vec<u8>>,
    /// How many of them have been read.
    read: usize,
}

impl Input {
    pub(super) fn new(bytes: Vec<u8>) -> Input {
        Input { bytes: Arc::new(bytes), read: 0 }
    }

    /// The bytes that have not been read.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }

    /// Copies what there is room for: how much that is.
    pub(super) fn copy(&self, into: &mut [u8]) -> usize {
        let rest = self.rest();
        let count = rest.len().min(into.len());
        if let (Some(into), Some(from)) = (into.get_mut(..count), rest.get(..count)) {
            into.copy_from_slice(from);
        }
        count
    }

    /// Goes on behind so many bytes.
    pub(super) fn skip(&mut self, count: usize) {
        self.read = self.read.saturating_add(count);
        if self.rest().is_empty() {
            *self = Input::default();
        }
    }
}

impl PartialEq for Input {
    fn eq(&self, other: &Input) -> bool {
        self.rest() == other.rest()
    }
}

impl Eq for Input {}
