//! Images on their way from a binary to the engine.

use crate::atoms;
use crate::terms;
use hb_wasm64_engine::LinkedImage;
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::images::{self, Prepared, Request, Source};
use parking_lot::Mutex;
use rustler::env::SavedTerm;
use rustler::thread::is_scheduler_thread;
use rustler::{Binary, Encoder, Env, LocalPid, Monitor, NifResult, OwnedEnv, Resource, ResourceArc, Term};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

/// An image as Erlang holds it between loading and instantiating.
pub struct Loaded(pub Arc<LinkedImage>);

#[rustler::resource_impl]
impl Resource for Loaded {}

/// Smaller binaries may lie on the heap of a process, where their place says nothing; and hashing them takes no time.
const LARGE_BYTES: usize = 4 << 10;

/// Binaries remembered by their place in memory.
const REMEMBERED: usize = 16;

/// Bytes that they may have together. The newest is remembered, however large.
const REMEMBERED_BYTES: usize = 64 << 20;

/// The image of a binary, if it is there. Otherwise it is compiled, and `{hb_wasm64, Reference, {image, Result}}` goes to
/// the calling process, unless that dies first or gives up: see [`Asker`]. One that is `is_whole`, and no small part of what
/// its memory holds, is recognized by its place next time.
pub fn load<'a>(
    env: Env<'a>,
    reference: Term<'a>,
    binary: Term<'a>,
    is_whole: bool,
) -> NifResult<Result<Found, Error>> {
    let bytes: Binary<'_> = binary.decode()?;
    let asker = ResourceArc::new(Asker {
        state: Mutex::new(Asking::Waiting),
        request: OnceLock::new(),
        monitor: OnceLock::new(),
    });
    // The death of a process that is exiting already is not reported.
    let watched = env.monitor(&asker, &env.pid()).map(|monitor| asker.monitor.set(monitor)).is_some();
    let mut reply = Reply::new(env.pid(), reference, asker.clone());
    let place = (bytes.as_ptr() as usize, bytes.len());
    let kept = Kept::new(binary);
    let done = move |result: Result<Arc<LinkedImage>, Error>| {
        if let Ok(image) = &result
            && is_whole
        {
            remember(place, kept, image);
        }
        reply.deliver(&result);
    };
    Ok(match images::prepare(Box::new(Kept::new(binary)), Box::new(done)) {
        Ok(Prepared::Ready(image)) => {
            if is_whole {
                remember(place, Kept::new(binary), &image);
            }
            Ok(Found::Image(image))
        }
        Ok(Prepared::Waiting(request)) => {
            let request = asker.request.get_or_init(|| request);
            // Whoever died before the request was there to be withdrawn has left that to us.
            if !watched || *asker.state.lock() == Asking::Over {
                request.withdraw();
            }
            Ok(Found::Waiting(asker))
        }
        Err(error) => Err(error),
    })
}

/// What [`load`] has found.
pub enum Found {
    Image(Arc<LinkedImage>),
    Waiting(ResourceArc<Asker>),
}

/// A process that waits for an image. When it dies, the image is not compiled for it.
pub struct Asker {
    state: Mutex<Asking>,
    request: OnceLock<Request>,
    /// Notices the death of the process, until it has its answer.
    monitor: OnceLock<Monitor>,
}

#[derive(Clone, Copy, PartialEq)]
enum Asking {
    Waiting,
    /// The message is in the mailbox.
    Answered,
    /// No message will come.
    Over,
}

#[rustler::resource_impl]
impl Resource for Asker {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.give_up();
    }
}

impl Asker {
    /// Ends the request: `true` where no message will come, `false` where it is in the mailbox.
    pub fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        if *state == Asking::Answered {
            return false;
        }
        *state = Asking::Over;
        drop(state);
        if let Some(request) = self.request.get() {
            request.withdraw();
        }
        true
    }
}

/// A binary kept alive outside of any process, not copied.
pub struct Kept {
    env: OwnedEnv,
    term: SavedTerm,
}

impl Kept {
    pub fn new(binary: Term<'_>) -> Kept {
        let env = OwnedEnv::new();
        let term = env.save(binary);
        Kept { env, term }
    }
}

impl Source for Kept {
    fn with(&self, look: &mut dyn FnMut(&[u8])) {
        self.env.run(|env| match self.term.load(env).decode::<Binary>() {
            Ok(binary) => look(&binary),
            Err(_) => look(&[]),
        });
    }
}

/// Sends one message, unless its receiver has given up.
struct Reply {
    env: OwnedEnv,
    pid: LocalPid,
    reference: SavedTerm,
    asker: ResourceArc<Asker>,
}

impl Reply {
    fn new(pid: LocalPid, reference: Term<'_>, asker: ResourceArc<Asker>) -> Reply {
        let env = OwnedEnv::new();
        let reference = env.save(reference);
        Reply { env, pid, reference, asker }
    }

    fn deliver(&mut self, result: &Result<Arc<LinkedImage>, Error>) {
        if let Some(monitor) = self.asker.monitor.get() {
            self.asker.demonitor(None, monitor);
        }
        // Held while the message is sent, so that it has arrived where the state says so.
        let mut state = self.asker.state.lock();
        if *state != Asking::Waiting {
            return;
        }
        *state = Asking::Answered;
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
        // Nothing can be sent from a scheduler; and there it is only dropped where the asker knows.
        if is_scheduler_thread() {
            return;
        }
        // Only a thread that broke down leaves an asker without an answer.
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
    image: Weak<LinkedImage>,
}

static KNOWN: Mutex<VecDeque<Known>> = Mutex::new(VecDeque::new());

/// The image of a binary that has been seen before, at the same place.
pub fn recall(binary: &Binary<'_>) -> Option<Arc<LinkedImage>> {
    let (start, size) = (binary.as_ptr() as usize, binary.len());
    let known = KNOWN.lock();
    known.iter().find(|known| known.start == start && known.size == size).and_then(|known| known.image.upgrade())
}

fn sizes(known: &VecDeque<Known>) -> usize {
    known.iter().map(|known| known.size).sum()
}

/// Remembers a binary, which must be most of what its memory holds: all of that is kept with it.
fn remember((start, size): (usize, usize), kept: Kept, image: &Arc<LinkedImage>) {
    if size < LARGE_BYTES {
        return;
    }
    let image = Arc::downgrade(image);
    let mut known = KNOWN.lock();
    let (others, mut forgotten): (VecDeque<Known>, VecDeque<Known>) =
        known.drain(..).partition(|other| other.start != start && other.image.strong_count() > 0);
    *known = others;
    known.push_back(Known { start, size, _kept: kept, image });
    while known.len() > REMEMBERED || (known.len() > 1 && sizes(&known) > REMEMBERED_BYTES) {
        forgotten.extend(known.pop_front());
    }
    // The binaries are freed when others need not wait for that.
    drop(known);
    drop(forgotten);
}
