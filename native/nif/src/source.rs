//! Binaries from callers on their way to the task.

use rustler::{Binary, NifResult, OwnedEnv, Term};

/// Bytes that are copied once more rather than keeping the binary alive, as that is cheaper.
const SHORT_BYTES: usize = 1 << 10;

/// Bytes to write, in a form that may travel to the task.
pub enum Source {
    Short(Vec<u8>),
    Long(OwnedEnv, rustler::env::SavedTerm),
}

impl Source {
    pub fn new(binary: Term<'_>) -> NifResult<Source> {
        let bytes: Binary<'_> = binary.decode()?;
        if bytes.len() <= SHORT_BYTES {
            return Ok(Source::Short(bytes.as_slice().to_vec()));
        }
        let env = OwnedEnv::new();
        let saved = env.save(binary);
        Ok(Source::Long(env, saved))
    }

    pub fn size(&self) -> u64 {
        self.with(|bytes| bytes.len() as u64)
    }

    pub fn with<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Source::Short(bytes) => look(bytes),
            Source::Long(env, saved) => env.run(|env| match saved.load(env).decode::<Binary<'_>>() {
                Ok(bytes) => look(&bytes),
                Err(_) => look(&[]),
            }),
        }
    }
}
