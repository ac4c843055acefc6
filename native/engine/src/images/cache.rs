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
        self.keep_within(image, CACHED_IMAGES.get(), CACHED_BYTES.get());
    }

    fn keep_within(&mut self, image: Arc<LinkedImage>, most_images: u64, most_bytes: u64) {
        self.time += 1;
        let (newest, bytes, used) = (*image.hash(), image.resident_bytes(), self.time);
        self.forget(&newest);
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(newest, Entry { image, bytes, used });
        while self.entries.len() as u64 > most_images || self.bytes as u64 > most_bytes {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image;

    /// An image that is not like the one of another number, with much more code than it has bytes.
    fn compiled(number: u32) -> Arc<LinkedImage> {
        let body = "(local.set 0 (i64.div_s (local.get 0) (i64.rem_s (local.get 0) (i64.const 3))))".repeat(40);
        let func = format!("(func (param i64) (result i64) {body} (local.get 0))");
        let text = format!("(module {} (func (result i32) (i32.const {number})))", func.repeat(20));
        let bytes = wat::parse_str(text).unwrap();
        Arc::new(LinkedImage::compile(image::hash(&bytes), &bytes).unwrap())
    }

    #[test]
    fn what_counts_is_the_compiled_code_and_not_only_the_module() {
        let image = compiled(0);
        let module = image.source().len();
        assert!(image.resident_bytes() > 3 * module, "{} of {module}", image.resident_bytes());
        let mut cache = Cache::default();
        let most = (image.resident_bytes() * 5 / 2) as u64;
        let hashes = [1, 2, 3].map(|number| {
            let image = compiled(number);
            cache.keep_within(image.clone(), 100, most);
            *image.hash()
        });
        assert_eq!(hashes.map(|hash| cache.get(&hash).is_some()), [false, true, true]);
        assert!(cache.bytes as u64 <= most);
    }

    #[test]
    fn the_image_that_nobody_has_asked_for_the_longest_makes_room() {
        let images = [1, 2, 3].map(compiled);
        let mut cache = Cache::default();
        cache.keep_within(images[0].clone(), 2, u64::MAX);
        cache.keep_within(images[1].clone(), 2, u64::MAX);
        assert!(cache.get(images[0].hash()).is_some());
        cache.keep_within(images[2].clone(), 2, u64::MAX);
        assert_eq!(images.map(|image| cache.get(image.hash()).is_some()), [true, false, true]);
    }

    #[test]
    fn an_image_that_is_larger_than_all_room_is_kept_until_the_next() {
        let mut cache = Cache::default();
        let (large, next) = (compiled(1), compiled(2));
        cache.keep_within(large.clone(), 2, 1);
        assert!(cache.get(large.hash()).is_some());
        cache.keep_within(next.clone(), 2, 1);
        assert!(cache.get(large.hash()).is_none() && cache.get(next.hash()).is_some());
    }
}
