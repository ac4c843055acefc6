//! The images that this process knows, each compiled once however many ask for it at the same time.

use crate::error::Error;
use crate::image::{Hash, Image};
use crate::reaper;
use once_cell::sync::{Lazy, OnceCell};
use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Stack of a compile thread. Only touched pages cost memory.
const COMPILE_STACK_BYTES: usize = 64 << 20;

/// Images kept for those who ask again.
const KEPT_IMAGES: usize = 256;

/// Bytes of modules, as they came, that are kept at most.
const KEPT_BYTES: usize = 512 << 20;

type Done = Box<dyn FnOnce(Result<Arc<Image>, Error>) + Send>;

enum Entry {
    /// Somebody compiles it; these wait.
    Compiling(Vec<Done>),
    /// When it was asked for last, in the cache's own time.
    Ready(Arc<Image>, u64),
}

#[derive(Default)]
struct Cache {
    entries: HashMap<Hash, Entry>,
    time: u64,
}

static CACHE: Lazy<Mutex<Cache>> = Lazy::new(Mutex::default);

/// Runs `job` on a compile thread.
///
/// # Errors
/// [`Error::Host`] where the threads cannot be started.
pub fn spawn(job: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    static POOL: OnceCell<ThreadPool> = OnceCell::new();
    let pool = POOL.get_or_try_init(|| {
        let threads = ThreadPoolBuilder::new().stack_size(COMPILE_STACK_BYTES);
        let threads = threads.thread_name(|index| format!("hb_wasm64_comp{index}"));
        threads.build().map_err(|error| Error::Host(format!("no compile threads: {error}")))
    })?;
    pool.spawn(move || {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            log::error!("a compile thread met a panic");
        }
    });
    Ok(())
}

/// The image of that hash, if it is there.
pub fn cached(hash: &Hash) -> Option<Arc<Image>> {
    CACHE.lock().ready(hash)
}

/// Finds or compiles the image of `bytes`, whose hash is `hash`, on this thread, and passes it to `done`; or leaves
/// `done` to the thread that compiles these bytes already.
pub fn prepare(hash: Hash, bytes: &[u8], done: Done) {
    let mut cache = CACHE.lock();
    if let Some(image) = cache.ready(&hash) {
        drop(cache);
        return done(Ok(image));
    }
    if let Some(Entry::Compiling(waiting)) = cache.entries.get_mut(&hash) {
        return waiting.push(done);
    }
    cache.entries.insert(hash, Entry::Compiling(vec![done]));
    drop(cache);

    let began = std::time::Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| Image::compile(hash, bytes)))
        .unwrap_or_else(|_| Err(Error::Host("the compiler panicked".into())))
        .map(Arc::new);
    match &result {
        Ok(_) => log::info!("compiled an image of {} bytes in {} ms", bytes.len(), began.elapsed().as_millis()),
        Err(error) => log::info!("refused an image of {} bytes: {error}", bytes.len()),
    }

    let waiting = {
        let mut cache = CACHE.lock();
        let entry = cache.entries.remove(&hash);
        if let Ok(image) = &result {
            cache.keep(image.clone());
        }
        match entry {
            Some(Entry::Compiling(waiting)) => waiting,
            _ => Vec::new(),
        }
    };
    for done in waiting {
        done(result.clone());
    }
}

impl Cache {
    fn ready(&mut self, hash: &Hash) -> Option<Arc<Image>> {
        self.time += 1;
        match self.entries.get_mut(hash) {
            Some(Entry::Ready(image, used)) => {
                *used = self.time;
                Some(image.clone())
            }
            _ => None,
        }
    }

    /// Adds an image; the one that nobody asked for the longest makes room.
    fn keep(&mut self, image: Arc<Image>) {
        self.time += 1;
        let newest = *image.hash();
        self.entries.insert(newest, Entry::Ready(image, self.time));
        loop {
            let ready = self.entries.iter().filter_map(|(hash, entry)| match entry {
                Entry::Ready(image, used) => Some((*used, *hash, image.source().len())),
                Entry::Compiling(_) => None,
            });
            let (mut count, mut bytes, mut oldest) = (0, 0, None);
            for (used, hash, size) in ready {
                count += 1;
                bytes += size;
                oldest = oldest.min(Some((used, hash))).or(Some((used, hash)));
            }
            match oldest {
                Some((_, hash)) if hash != newest && (count > KEPT_IMAGES || bytes > KEPT_BYTES) => {
                    log::debug!("forgetting an image that was not used for long");
                    reaper::dispose(self.entries.remove(&hash));
                }
                _ => return,
            }
        }
    }
}
