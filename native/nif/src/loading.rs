//! Images on their way from a binary to the engine.

use crate::atoms;
use crate::terms;
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::image::{self, Image};
use hb_wasm64_engine::images;
use parking_lot::Mutex;
use rustler::env::SavedTerm;
use rustler::thread::is_scheduler_thread;
use rustler::{Binary, Encoder, LocalPid, NifResult, OwnedEnv, Resource, ResourceArc, Term};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// An image as Erlang holds it between loading and instantiating.
pub struct Loaded(pub Arc<Image>);

#[rustler::resource_impl]
impl Resource for Loaded {}

/// Smaller binaries may lie on the heap of a process, where their place says nothing; and hashing them takes no time.
const LARGE_BYTES: usize = 4 << 10;

/// Binaries remembered by their place in memory.
const REMEMBERED: usize = 16;

/// The image of a binary, if it is there; otherwise a compile thread prepares it and sends
/// `{hb_wasm64, Reference, {image, Result}}` to `pid`.
pub fn load(pid: LocalPid, reference: Term<'_>, binary: Term<'_>) -> NifResult<Result<Option<Arc<Image>>, Error>> {
    let bytes: Binary<'_> = binary.decode()?;
    let hash = image::hash(&bytes);
    if let Some(image) = images::cached(&hash) {
        remember(Kept::new(binary), &image);
        return Ok(Ok(Some(image)));
    }
    let kept = Kept::new(binary);
    let reply = Reply::new(pid, reference);
    let prepared = images::spawn(move || {
        kept.with(|bytes| images::prepare(hash, bytes, Box::new(move |result| reply.send(result))));
        if let Some(image) = images::cached(&hash) {
            remember(kept, &image);
        }
    });
    Ok(prepared.map(|()| None))
}

/// A binary kept alive outside of any process, not copied.
struct Kept {
    env: OwnedEnv,
    term: SavedTerm,
}

impl Kept {
    fn new(binary: Term<'_>) -> Kept {
        let env = OwnedEnv::new();
        let term = env.save(binary);
        Kept { env, term }
    }

    fn with<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        self.env.run(|env| match self.term.load(env).decode::<Binary>() {
            Ok(binary) => look(&binary),
            Err(_) => look(&[]),
        })
    }

    fn place(&self) -> (usize, usize) {
        self.with(|bytes| (bytes.as_ptr() as usize, bytes.len()))
    }
}

/// Sends one message, whatever becomes of it.
struct Reply {
    env: OwnedEnv,
    pid: LocalPid,
    reference: SavedTerm,
    sent: bool,
}

impl Reply {
    fn new(pid: LocalPid, reference: Term<'_>) -> Reply {
        let env = OwnedEnv::new();
        let reference = env.save(reference);
        Reply { env, pid, reference, sent: false }
    }

    fn send(mut self, result: Result<Arc<Image>, Error>) {
        self.deliver(&result);
    }

    fn deliver(&mut self, result: &Result<Arc<Image>, Error>) {
        if std::mem::replace(&mut self.sent, true) {
            return;
        }
        let reference = &self.reference;
        // A process that is gone needs no answer.
        let _ = self.env.send_and_clear(&self.pid, |env| {
            let outcome = match result {
                Ok(image) => (atoms::ok(), ResourceArc::new(Loaded(image.clone()))).encode(env),
                Err(error) => terms::error(env, error),
            };
            (atoms::hb_wasm64(), reference.load(env), (atoms::image(), outcome)).encode(env)
        });
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Where no compile thread could be had the asker is told at once, and nothing could be sent from here.
        if is_scheduler_thread() {
            return;
        }
        // Only a compile thread that broke down leaves an asker without an answer.
        self.deliver(&Err(Error::Host("the image could not be prepared".into())));
    }
}

/// A binary whose image is known, by its place in memory. It is kept alive, so that no other can take its place; as
/// Erlang's binaries never change, the same place means the same bytes.
struct Known {
    start: usize,
    size: usize,
    /// Frees the place when it goes.
    _kept: Kept,
    image: Weak<Image>,
}

static KNOWN: Mutex<VecDeque<Known>> = Mutex::new(VecDeque::new());

/// The image of a binary that has been seen before, at the same place.
pub fn recall(binary: &Binary<'_>) -> Option<Arc<Image>> {
    let (start, size) = (binary.as_ptr() as usize, binary.len());
    let known = KNOWN.lock();
    known.iter().find(|known| known.start == start && known.size == size).and_then(|known| known.image.upgrade())
}

fn remember(kept: Kept, image: &Arc<Image>) {
    let (start, size) = kept.place();
    if size < LARGE_BYTES {
        return;
    }
    let mut known = KNOWN.lock();
    known.retain(|other| other.start != start && other.image.strong_count() > 0);
    known.push_back(Known { start, size, _kept: kept, image: Arc::downgrade(image) });
    let forgotten = if known.len() > REMEMBERED { known.pop_front() } else { None };
    drop(known);
    drop(forgotten);
}
