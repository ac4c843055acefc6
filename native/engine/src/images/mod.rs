//! The images that this process knows, each compiled once however many ask for it at the same time, and for as long as
//! somebody waits for it.
//!
//! Where compiled code is kept on disk, that is looked at first: for images that have been hashed by a thread of its own, so that what
//! is there waits for no compiler; for others, which are large, by the lane that hashes them.

mod artifact;
mod cache;
mod disk;
mod lanes;
mod queue;

use crate::error::{Error, Limit};
use crate::image::{self, Abandoned, Compiled, Hash};
use crate::limits::NODE_IMAGE_BYTES;
use crate::reaper;
use crate::task::LinkedImage;
pub use artifact::{artifact, of_artifact};
use cache::Cache;
use disk::Kept;
pub use disk::{keep_nothing_on_disk, keep_on_disk};
use lanes::Lane;
use once_cell::sync::OnceCell;
use parking_lot::{Condvar, Mutex, MutexGuard};
use queue::{Class, Place, Queue};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// Images of up to this size are hashed by those who ask: a few milliseconds.
const HASHED_AT_ONCE_BYTES: usize = 4 << 20;

/// What is not found on disk by then is compiled.
const DISK_PATIENCE: Duration = Duration::from_millis(500);

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
    /// Those whose code may be on disk.
    lookups: VecDeque<(Instant, Queued)>,
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
    /// What it is expected to take: see [`queue::expected_cost`].
    cost: u64,
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
        lookups: VecDeque::new(),
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
            let queued = Queued { job: number, cost, hash, source, abandoned: abandoned.clone() };
            images.jobs.insert(number, Job { hash, waiting: vec![(request, done)], abandoned, place: None });
            if hash.is_some() && disk::is_kept() {
                images.lookups.push_back((Instant::now(), queued));
            } else {
                images.enqueue(queued);
            }
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
                queued = match job.place {
                    Some(place) => images.queue.remove(place),
                    None => images.no_lookup(number),
                };
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

    /// Takes a job back whose code was to be looked for.
    fn no_lookup(&mut self, number: u64) -> Option<Queued> {
        let at = self.lookups.iter().position(|(_, queued)| queued.job == number)?;
        self.lookups.remove(at).map(|(_, queued)| queued)
    }

    /// Has those compiled that have waited too long for a disk that does not answer, and says when to look again. What nobody waits for
    /// any more is returned.
    fn overdue(&mut self) -> (Vec<Queued>, Option<Instant>) {
        let mut left = Vec::new();
        while let Some((since, _)) = self.lookups.front() {
            let due = *since + DISK_PATIENCE;
            if due > Instant::now() {
                return (left, Some(due));
            }
            left.extend(self.lookups.pop_front().and_then(|(_, queued)| self.enqueue(queued)));
            QUEUED.notify_all();
        }
        (left, None)
    }

    /// Has a job wait for a thread that compiles. What is left of it where nobody waits for it any more.
    fn enqueue(&mut self, queued: Queued) -> Option<Queued> {
        let Some(job) = self.jobs.get_mut(&queued.job) else { return Some(queued) };
        job.place = Some(self.queue.push(queued.job, microseconds(), queued.cost, queued));
        None
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

/// Starts the threads that look for images and compile them, once.
fn start_lanes() -> Result<(), Error> {
    static STARTED: OnceCell<()> = OnceCell::new();
    STARTED
        .get_or_try_init(|| {
            let lanes = Class::ALL.map(Lane::new).into_iter().collect::<Result<Vec<Lane>, Error>>()?;
            start("hb_wasm64_disk", look_up)?;
            lanes.into_iter().try_for_each(|lane| start("hb_wasm64_lane", move || drive(&lane)))
        })
        .copied()
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = thread::Builder::new().name(name.into()).spawn(work);
    started.map(drop).map_err(|error| Error::Host(format!("no thread for images: {error}")))
}

/// Looks on disk for one image after the other.
fn look_up() {
    loop {
        let queued = {
            let mut images = IMAGES.lock();
            loop {
                match images.lookups.pop_front() {
                    Some((_, queued)) => break queued,
                    None => QUEUED.wait(&mut images),
                }
            }
        };
        let job = queued.job;
        if catch_unwind(AssertUnwindSafe(|| find_on_disk(queued))).is_err() {
            give_up(job);
        }
    }
}

fn drive(lane: &Lane) {
    loop {
        let queued = next(lane);
        if catch_unwind(AssertUnwindSafe(|| compile(lane, &queued))).is_err() {
            give_up(queued.job);
        }
    }
}

/// Waits for an image to compile.
fn next(lane: &Lane) -> Queued {
    let mut images = IMAGES.lock();
    loop {
        let (left, due) = images.overdue();
        if let Some(queued) = images.queue.take(lane.class) {
            if let Some(job) = images.jobs.get_mut(&queued.job) {
                job.place = None;
            }
            // Nothing is dropped while the lock is held.
            drop(images);
            drop(left);
            return queued;
        }
        if !left.is_empty() {
            MutexGuard::unlocked(&mut images, || drop(left));
        } else if let Some(due) = due {
            let _ = QUEUED.wait_until(&mut images, due);
        } else {
            QUEUED.wait(&mut images);
        }
    }
}

fn give_up(job: u64) {
    log::error!("a thread that brings images met a panic");
    // Those who still wait are told as they are dropped.
    let waiting = IMAGES.lock().end(job);
    drop(waiting);
}

/// The hash of an image. `None` where somebody else has it or brings it, or nobody waits for it any more.
fn identify(queued: &Queued) -> Option<Hash> {
    if queued.abandoned.load(Ordering::Relaxed) {
        return None;
    }
    if queued.hash.is_some() {
        return queued.hash;
    }
    let mut hash = Hash::default();
    queued.source.with(&mut |bytes| hash = image::hash(bytes));
    let identified = IMAGES.lock().identify(queued.job, hash);
    match identified {
        Ok(()) => Some(hash),
        Err(arrived) => {
            arrived.into_iter().for_each(|(done, image)| done(Ok(image)));
            None
        }
    }
}

/// Brings an image whose code is on disk; another one waits to be compiled.
fn find_on_disk(mut queued: Queued) {
    let Some(hash) = identify(&queued) else { return };
    queued.hash = Some(hash);
    match on_disk(&hash, &queued) {
        Some(image) => arrive(queued.job, &Ok(Arc::new(image))),
        None => {
            let left = IMAGES.lock().enqueue(queued);
            QUEUED.notify_all();
            drop(left);
        }
    }
}

/// An image whose code is on disk. A panic of what reads it is no reason not to compile it.
fn on_disk(hash: &Hash, queued: &Queued) -> Option<LinkedImage> {
    let (began, mut found) = (Instant::now(), None);
    let looked = catch_unwind(AssertUnwindSafe(|| queued.source.with(&mut |bytes| found = disk::load(hash, bytes))));
    if looked.is_err() {
        log::error!("looking for compiled code met a panic");
        return None;
    }
    if found.is_some() {
        log::info!("found the code of an image on disk in {} ms", began.elapsed().as_millis());
    }
    found
}

/// Compiles an image and tells those who wait for it.
fn compile(lane: &Lane, queued: &Queued) {
    let Some(hash) = identify(queued) else { return };
    // Whoever hashes it looks for it.
    if queued.hash.is_none()
        && disk::is_kept()
        && let Some(image) = on_disk(&hash, queued)
    {
        arrive(queued.job, &Ok(Arc::new(image)));
        return;
    }
    let began = Instant::now();
    let (mut size, mut compiled, abandoned) = (0, Err(Error::Cancelled), &queued.abandoned);
    let mut kept = None;
    queued.source.with(&mut |bytes| {
        size = bytes.len();
        compiled = lane.run(abandoned, || {
            let compiled = Compiled::new(bytes, abandoned)?;
            let kept = Kept::of(hash, &compiled);
            Ok((LinkedImage::of(hash, bytes, compiled)?, kept))
        });
    });
    let elapsed = began.elapsed().as_millis();
    let compiled = compiled.map(|(image, code)| {
        kept = code;
        Arc::new(image)
    });
    match &compiled {
        Ok(_) => log::info!("compiled an image of {size} bytes in {elapsed} ms"),
        Err(Error::Cancelled) => log::info!("abandoned an image of {size} bytes after {elapsed} ms"),
        Err(error) => log::info!("refused an image of {size} bytes after {elapsed} ms: {error}"),
    }
    arrive(queued.job, &compiled);
    if let Some(kept) = kept {
        kept.save();
    }
}

/// What has become of an image: it is kept, and those who wait for it are told.
fn arrive(job: u64, image: &Result<Arc<LinkedImage>, Error>) {
    let waiting = {
        let mut images = IMAGES.lock();
        if let Ok(image) = image {
            images.cache.keep(image.clone());
        }
        images.end(job)
    };
    for done in waiting {
        done(image.clone());
    }
}

/// The time that orders the queue, in microseconds.
fn microseconds() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX)
}
