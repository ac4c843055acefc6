//! The host that images built with Emscripten expect: what its JavaScript does, done natively.
//!
//! An image is Emscripten's where it imports something that only this runtime gives ([`is_emscripten`]). Its imports
//! are then served here, each by the function of its name and type; the rest goes to Erlang, as do all imports of other
//! images. What unwinds the stack is no function of the host at all: see
//! [`hb_wasm64_rewrite::unwind`].
//!
//! | file | what |
//! |---|---|
//! | `abi` | memory, arguments and results as host functions see them |
//! | `link` | which function serves an import, and how its type has to be |
//! | `serve` | one call of such a function |
//! | `exceptions` | what C++ exceptions need to have noted |
//! | `memory` | heap and mappings |
//! | `library` | what takes a function of the guest's C library |
//! | `process` | exit, abort, system |
//! | `time/` | clocks and the calendar, from the caller's clock |
//! | `files/`, `syscalls/`, `wasi` | the file system and the calls that reach it |
//! | `startup` | constructors and `main` |
//! | `state`, `sink` | what of all this is state of the instance, and that as bytes |

mod abi;
mod exceptions;
mod files;
mod library;
mod link;
mod memory;
mod process;
mod serve;
mod sink;
mod startup;
mod state;
mod syscalls;
mod time;
mod wasi;

pub(crate) use link::Natives;
pub(crate) use serve::serve;
pub use startup::Initialize;
pub(crate) use startup::initialize;
pub(crate) use state::State;

pub(crate) use abi::Width;

/// The module of the imports that Emscripten's runtime serves.
const ENV: &str = "env";

/// Whether an image that imports these functions runs on Emscripten's JavaScript runtime, and not only on WASI: the
/// imports of a standalone image mean the same on any host.
pub(crate) fn is_emscripten<'a>(imports: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
    imports.into_iter().any(|(module, name)| module == ENV && is_of_the_runtime(name))
}

fn is_of_the_runtime(name: &str) -> bool {
    // Standalone images import these, too.
    const STANDALONE: [&str; 2] = ["_emscripten_system", "emscripten_notify_memory_growth"];
    !STANDALONE.contains(&name)
        && (["invoke_", "emscripten_", "_emscripten_", "__cxa_"].iter().any(|prefix| name.starts_with(prefix))
            || name.starts_with('_') && name.ends_with("_js")
            || name == "__resumeException")
}
