//! The images that are kept for those who ask again.

use crate::image::Hash;
use crate::limits::{CACHED_BYTES, CACHED_IMAGES};
use crate::reaper;
use crate::task::LinkedImage;
use std::collections::HashMap;
use std::sync::Arc;

/// Images by their hashes. The one that nobody has asked for the longest makes room for others.
#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<Hash, Entry>,
    /// Memory that they take together, in bytes.
    bytes: usize,
    /// Counts what has been asked for.
    time: u64,
}

struct Entry {
    image: Arc<LinkedImage>,
    bytes: usize,
    used: u64,
}

impl Cache {
    pub(super) fn get(&mut self, hash: &Hash) -> Option<Arc<LinkedImage>> {
        self.time += 1;
        let entry = self.entries.get_mut(hash)?;
        entry.used = self.time;
        Some(entry.image.clone())
    }

    pub(super) fn keep(&mut self, image: Arc<LinkedImage>) {
        self.time += 1;
        let (newest, bytes, used) = (*image.hash(), image.resident_bytes(), self.time);
        self.forget(&newest);
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(newest, Entry { image, bytes, used });
        let (images, bytes) = (CACHED_IMAGES.get(), CACHED_BYTES.get());
        while self.entries.len() as u64 > images || self.bytes as u64 > bytes {
            let others = self.entries.iter().filter(|(hash, _)| **hash != newest);
            let Some(oldest) = others.min_by_key(|(_, entry)| entry.used).map(|(hash, _)| *hash) else { break };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, hash: &Hash) {
        if let Some(entry) = self.entries.remove(hash) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            reaper::dispose(entry.image);
        }
    }
}
