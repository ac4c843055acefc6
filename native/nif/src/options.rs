//! Options and deadlines of operations.

use crate::atoms;
use hb_wasm64_engine::error::Error as Failure;
use hb_wasm64_engine::image::Image;
use hb_wasm64_engine::{CallOptions, Clock, Initialize, METER_MODULE, NotGiven, StartRequest};
use rustler::{Atom, Binary, Decoder, Encoder, Env, Error, MapIterator, NifResult, Term};
use std::sync::LazyLock;
use std::time::Instant;

/// The options of a call.
///
/// # Errors
/// [`Failure::Unsupported`] where imports of the image's meter are to be intercepted: it does not call them.
pub fn call(term: Term<'_>, image: &Image) -> NifResult<Result<CallOptions, Failure>> {
    let mut options = CallOptions::default();
    for (key, value) in entries(term)? {
        if key == atoms::fuel() {
            options.fuel = fuel(value)?;
        } else if key == atoms::time() {
            options.time = Some(value.decode()?);
        } else if key == atoms::gas() {
            options.gas = Some(value.decode()?);
        } else if key == atoms::refill() {
            options.refill = value.decode()?;
        } else if key == atoms::seed() {
            options.seed = Some(bytes(value)?);
        } else if key == atoms::stream() {
            options.stream = value.decode()?;
        } else if key == atoms::usage() {
            options.usage = value.decode()?;
        } else if key == atoms::intercept() {
            let names: Vec<Binary<'_>> = value.decode()?;
            let is_named = |module: &str| names.iter().any(|name| name.as_slice() == module.as_bytes());
            if image.is_metered() && is_named(METER_MODULE) {
                let text = format!("a meter is a part of the image: imports of {} cannot be intercepted", METER_MODULE);
                return Ok(Err(Failure::Unsupported(text)));
            }
            options.intercept =
                image.interceptable_modules().iter().filter(|module| is_named(module)).cloned().collect();
        }
    }
    Ok(Ok(options))
}

/// The options of a start.
pub fn start(term: Term<'_>) -> NifResult<StartRequest> {
    let mut request = StartRequest::default();
    for (key, value) in entries(term)? {
        if key == atoms::fuel() {
            request.fuel = fuel(value)?;
        } else if key == atoms::gas() {
            request.gas = Some(value.decode()?);
        } else if key == atoms::time() {
            match value.decode::<(u64, u64)>() {
                Ok((next, step)) => {
                    request.time = next;
                    request.given.clock = Some(Clock { next, step });
                }
                Err(_) => request.time = value.decode()?,
            }
        } else if key == atoms::initialize() {
            request.initialize = initialize(value.decode()?);
        } else if key == atoms::memory() {
            request.bounds.memory = value.decode()?;
        } else if key == atoms::table() {
            request.bounds.table = value.decode()?;
        } else if key == atoms::args() {
            request.given.args = Some(all_bytes(value)?);
        } else if key == atoms::stream() {
            request.stream = value.decode()?;
        } else if key == atoms::env() {
            let pairs = value.decode::<Vec<(Binary<'_>, Binary<'_>)>>()?;
            let pairs = pairs.iter().map(|(name, value)| (name.as_slice().to_vec(), value.as_slice().to_vec()));
            request.given.env = Some(pairs.collect());
        } else if key == atoms::stdin() {
            request.given.stdin = Some(bytes(value)?);
        } else if key == atoms::seed() {
            request.given.seed = Some(bytes(value)?);
        } else if key == atoms::files() {
            let files = value.decode::<Vec<(Binary<'_>, Binary<'_>)>>()?;
            let files = files.iter().map(|(path, contents)| (path.as_slice().to_vec(), contents.as_slice().to_vec()));
            request.given.files = Some(files.collect());
        } else if key == atoms::preopens() {
            request.given.preopens = Some(all_bytes(value)?);
        }
    }
    Ok(request)
}

/// `{error, {invalid_option, Key, Value}}`, where a program cannot be given what the options of a start say.
pub fn refused<'a>(env: Env<'a>, term: Term<'a>, request: &StartRequest) -> Option<Term<'a>> {
    let NotGiven(key) = request.given.check().err()?;
    let key = Atom::from_str(env, key).ok()?;
    let value = term.map_get(key).ok()?;
    Some((atoms::error(), (atoms::invalid_option(), key, value)).encode(env))
}

fn bytes(term: Term<'_>) -> NifResult<Vec<u8>> {
    Ok(term.decode::<Binary<'_>>()?.as_slice().to_vec())
}

fn all_bytes(term: Term<'_>) -> NifResult<Vec<Vec<u8>>> {
    Ok(term.decode::<Vec<Binary<'_>>>()?.iter().map(|binary| binary.as_slice().to_vec()).collect())
}

fn entries(term: Term<'_>) -> NifResult<impl Iterator<Item = (Atom, Term<'_>)>> {
    let entries = MapIterator::new(term).ok_or(Error::BadArg)?;
    Ok(entries.filter_map(|(key, value)| key.decode().ok().map(|key| (key, value))))
}

/// `infinity`, or how much fuel there is.
fn fuel(term: Term<'_>) -> NifResult<Option<u64>> {
    if term.is_atom() { Ok(None) } else { term.decode().map(Some) }
}

/// `nothing`, `constructors` or `main`: what of a program runs as it starts.
fn initialize(term: Atom) -> Initialize {
    if term == atoms::nothing() {
        Initialize::Nothing
    } else if term == atoms::main() {
        Initialize::Main
    } else {
        Initialize::Constructors
    }
}

/// The time by which an operation is to end, of the clock of [`now`], or the atom `infinity`.
#[derive(Clone, Copy, Default)]
pub struct Deadline(Option<i64>);

impl Deadline {
    /// Whether it is past.
    pub fn is_over(self) -> bool {
        self.0.is_some_and(|deadline| deadline <= now())
    }
}

impl<'a> Decoder<'a> for Deadline {
    fn decode(term: Term<'a>) -> NifResult<Deadline> {
        if term.is_atom() { Ok(Deadline(None)) } else { term.decode().map(|time| Deadline(Some(time))) }
    }
}

/// Nanoseconds since the clock was asked for the first time.
pub fn now() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos().try_into().unwrap_or(i64::MAX)
}
