//! The functions that images built with Emscripten import: what its JavaScript does, done natively.
//!
//! An image is Emscripten's where it imports something that only this runtime has ([`is_emscripten`]). Each of its imports
//! is served by the function of its name and type, if there is one. What unwinds the stack (`invoke_*`, `longjmp`) is not a
//! function of the host: the image is rewritten so that it does that itself.
//!
//! | file | what |
//! |---|---|
//! | `function` | what is known of a function: a row |
//! | `bind` | which function serves an import, and how arguments are passed |
//! | `serve` | one call of a function |
//! | `startup` | constructors and `main` |
//! | `exceptions` | C++ exceptions |
//! | `heap` | the heap, and mappings |
//! | `process` | exit, abort, system, randomness |
//! | `time/` | clocks and the calendar |
//! | `syscalls/`, `wasi` | files and descriptors |

mod bind;
mod exceptions;
mod function;
mod heap;
mod process;
mod serve;
mod startup;
mod syscalls;
#[cfg(test)]
mod tests;
mod time;
mod wasi;

pub use bind::{Binding, Functions};
pub use serve::serve;
pub use startup::{Initialize, initialize};

use function::ENV;

/// Whether an image that imports these functions runs on Emscripten's JavaScript runtime, and not only on WASI: the
/// imports of a standalone image mean the same on any host.
pub fn is_emscripten<'a>(imports: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
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
