//! The images that this process knows, each compiled once however many ask for it at the same time, and for as long as
//! somebody waits for it.

mod cache;
mod lanes;
mod queue;

use crate::error::{Error, Limit};
use crate::image::{self, Abandoned, Hash};
use crate::limits::NODE_IMAGE_BYTES;
use crate::reaper;
use crate::task::LinkedImage;
use cache::Cache;
use lanes::Lane;
use once_cell::sync::OnceCell;
use parking_lot::{Condvar, Mutex};
use queue::{Class, Place, Queue};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Instant;

/// Images of up to this size are hashed by those who ask: a few milliseconds.
const HASHED_AT_ONCE_BYTES: usize = 4 << 20;

/// The bytes of an image, where they lie.
pub trait Source: Send {
    /// Shows the bytes, which are the same each time.
    fn with(&self, look: &mut dyn FnMut(&[u8]));
}

impl Source for Arc<[u8]> {
    fn with(&self, look: &mut dyn FnMut(&[u8])) {
        look(self);
    }
}

/// Gets the image, or why there is none, on a thread that compiles. Dropped without where its request was withdrawn.
pub type Done = Box<dyn FnOnce(Result<Arc<LinkedImage>, Error>) + Send>;

/// What [`prepare`] has found.
pub enum Prepared {
    /// The image, as it was known. Nobody else will be told.
    Ready(Arc<LinkedImage>),
    /// The image is compiled, or waits for that.
    Waiting(Request),
}

/// One who waits for an image.
#[derive(Debug, PartialEq, Eq)]
pub struct Request(u64);

/// Images on their way, and those that have arrived.
struct Images {
    cache: Cache,
    jobs: HashMap<u64, Job>,
    /// The jobs whose hash is known: whoever asks for the same image joins in.
    by_hash: HashMap<Hash, u64>,
    /// The job that each request waits for.
    requests: HashMap<u64, u64>,
    queue: Queue<Queued>,
    /// Numbers of jobs and requests.
    numbers: u64,
}

/// An image that somebody waits for.
struct Job {
    hash: Option<Hash>,
    waiting: Vec<(u64, Done)>,
    abandoned: Abandoned,
    /// Where it waits for a thread.
    place: Option<Place>,
}

/// A job that waits for a thread.
struct Queued {
    job: u64,
    hash: Option<Hash>,
    source: Box<dyn Source>,
    abandoned: Abandoned,
}

static IMAGES: LazyLock<Mutex<Images>> = LazyLock::new(|| {
    Mutex::new(Images {
        cache: Cache::default(),
        jobs: HashMap::new(),
        by_hash: HashMap::new(),
        requests: HashMap::new(),
        queue: Queue::new(),
        numbers: 0,
    })
});

/// Something has been queued.
static QUEUED: Condvar = Condvar::new();

/// The image of that hash, if it is there.
pub fn cached(hash: &Hash) -> Option<Arc<LinkedImage>> {
    IMAGES.lock().cache.get(hash)
}

/// Finds the image of some bytes, or has it compiled and passed to `done`. Hashes up to 4 MiB on this thread.
///
/// # Errors
/// [`Error::Limit`] where the image is larger than any may be; [`Error::Host`] where no threads can be had.
pub fn prepare(source: Box<dyn Source>, done: Done) -> Result<Prepared, Error> {
    let (mut size, mut cost, mut hash) = (0, 0, None);
    source.with(&mut |bytes| {
        size = bytes.len();
        cost = queue::expected_cost(bytes);
        hash = (size <= HASHED_AT_ONCE_BYTES).then(|| image::hash(bytes));
    });
    if size as u64 > NODE_IMAGE_BYTES.get() {
        return Err(Error::Limit(Limit::Image));
    }
    start_lanes()?;
    let now = microseconds();
    let mut images = IMAGES.lock();
    let images = &mut *images;
    if let Some(image) = hash.as_ref().and_then(|hash| images.cache.get(hash)) {
        return Ok(Prepared::Ready(image));
    }
    let request = images.number();
    let known = hash.and_then(|hash| images.by_hash.get(&hash).copied());
    let job = match known.and_then(|job| Some((job, images.jobs.get_mut(&job)?))) {
        Some((number, job)) => {
            job.waiting.push((request, done));
            number
        }
        None => {
            let (number, abandoned) = (images.number(), Abandoned::default());
            let queued = Queued { job: number, hash, source, abandoned: abandoned.clone() };
            let place = Some(images.queue.push(number, now, cost, queued));
            images.jobs.insert(number, Job { hash, waiting: vec![(request, done)], abandoned, place });
            if let Some(hash) = hash {
                images.by_hash.insert(hash, number);
            }
            QUEUED.notify_all();
            number
        }
    };
    images.requests.insert(request, job);
    Ok(Prepared::Waiting(Request(request)))
}

impl Request {
    /// Ends the request. An image that nobody waits for any more is not compiled, or not to its end.
    pub fn withdraw(&self) {
        let (mut done, mut queued) = (None, None);
        {
            let mut images = IMAGES.lock();
            let images = &mut *images;
            let Some(number) = images.requests.remove(&self.0) else { return };
            let Some(job) = images.jobs.get_mut(&number) else { return };
            if let Some(at) = job.waiting.iter().position(|(request, _)| *request == self.0) {
                done = Some(job.waiting.swap_remove(at));
            }
            if job.waiting.is_empty() {
                job.abandoned.store(true, Ordering::Relaxed);
                queued = job.place.and_then(|place| images.queue.remove(place));
                images.end(number);
            }
        }
        // Nothing is dropped while the lock is held.
        drop(done);
        if let Some(queued) = queued {
            reaper::dispose(queued.source);
        }
    }
}

impl Images {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Forgets a job. Those who waited for it are left.
    fn end(&mut self, number: u64) -> Vec<Done> {
        let Some(job) = self.jobs.remove(&number) else { return Vec::new() };
        if let Some(hash) = job.hash
            && self.by_hash.get(&hash) == Some(&number)
        {
            self.by_hash.remove(&hash);
        }
        for (request, _) in &job.waiting {
            self.requests.remove(request);
        }
        job.waiting.into_iter().map(|(_, done)| done).collect()
    }

    /// The hash of a job has been found out. `Err` where another one has the image, or makes it already.
    fn identify(&mut self, number: u64, hash: Hash) -> Result<(), Vec<(Done, Arc<LinkedImage>)>> {
        if let Some(image) = self.cache.get(&hash) {
            return Err(self.end(number).into_iter().map(|done| (done, image.clone())).collect());
        }
        match self.by_hash.get(&hash).copied() {
            Some(other) => {
                if let Some(Job { waiting, .. }) = self.jobs.remove(&number) {
                    for (request, _) in &waiting {
                        self.requests.insert(*request, other);
                    }
                    if let Some(other) = self.jobs.get_mut(&other) {
                        other.waiting.extend(waiting);
                    }
                }
                Err(Vec::new())
            }
            None => {
                if let Some(job) = self.jobs.get_mut(&number) {
                    job.hash = Some(hash);
                    self.by_hash.insert(hash, number);
                }
                Ok(())
            }
        }
    }
}

/// Starts the threads that compile, once.
fn start_lanes() -> Result<(), Error> {
    static STARTED: OnceCell<()> = OnceCell::new();
    STARTED
        .get_or_try_init(|| {
            let lanes = Class::ALL.map(Lane::new).into_iter().collect::<Result<Vec<Lane>, Error>>()?;
            for lane in lanes {
                let driver = thread::Builder::new().name("hb_wasm64_lane".into());
                driver
                    .spawn(move || drive(&lane))
                    .map_err(|error| Error::Host(format!("no thread for compiling: {error}")))?;
            }
            Ok(())
        })
        .copied()
}

fn drive(lane: &Lane) {
    loop {
        let queued = {
            let mut images = IMAGES.lock();
            loop {
                match images.queue.take(lane.class) {
                    Some(queued) => {
                        if let Some(job) = images.jobs.get_mut(&queued.job) {
                            job.place = None;
                        }
                        break queued;
                    }
                    None => QUEUED.wait(&mut images),
                }
            }
        };
        if catch_unwind(AssertUnwindSafe(|| process(lane, &queued))).is_err() {
            log::error!("a thread that compiles met a panic");
            // Those who still wait are told as they are dropped.
            let waiting = IMAGES.lock().end(queued.job);
            drop(waiting);
        }
    }
}

/// Compiles an image and tells those who wait for it.
fn process(lane: &Lane, queued: &Queued) {
    let hash = queued.hash.unwrap_or_else(|| {
        let mut hash = Hash::default();
        queued.source.with(&mut |bytes| hash = image::hash(bytes));
        hash
    });
    if queued.hash.is_none() {
        let identified = IMAGES.lock().identify(queued.job, hash);
        if let Err(arrived) = identified {
            arrived.into_iter().for_each(|(done, image)| done(Ok(image)));
            return;
        }
    }

    let began = Instant::now();
    let (mut size, mut compiled, abandoned) = (0, Err(Error::Cancelled), &queued.abandoned);
    queued.source.with(&mut |bytes| {
        size = bytes.len();
        compiled = lane.run(abandoned, || LinkedImage::compile_while(hash, bytes, abandoned));
    });
    let elapsed = began.elapsed().as_millis();
    let compiled = compiled.map(Arc::new);
    match &compiled {
        Ok(_) => log::info!("compiled an image of {size} bytes in {elapsed} ms"),
        Err(Error::Cancelled) => log::info!("abandoned an image of {size} bytes after {elapsed} ms"),
        Err(error) => log::info!("refused an image of {size} bytes after {elapsed} ms: {error}"),
    }

    let waiting = {
        let mut images = IMAGES.lock();
        if let Ok(image) = &compiled {
            images.cache.keep(image.clone());
        }
        images.end(queued.job)
    };
    for done in waiting {
        done(compiled.clone());
    }
}

/// The time that orders the queue, in microseconds.
fn microseconds() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX)
}
