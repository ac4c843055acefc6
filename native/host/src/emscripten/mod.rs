//! The functions that images built with Emscripten import: what its JavaScript does, done natively.
//!
//! An image is Emscripten's where it imports something that only this runtime has ([`is_emscripten`]). Each of its imports
//! is served by the function of its name and type, if there is one. What unwinds the stack (`invoke_*`, `longjmp`) is not a
//! function of the host: the image is rewritten so that it does that itself.
//!
//! | file | what |
//! |---|---|
//! | `old` | functions that only older versions have |
//! | `operate` | functions that call the guest or take long |
//! | `startup` | constructors and `main` |
//! | `environment` | the environment of older images |
//! | `exceptions` | C++ exceptions |
//! | `heap` | the heap, and mappings |
//! | `process` | exit, abort, system, randomness |
//! | `time/` | clocks and the calendar |
//! | `syscalls/` | files and descriptors, beside the functions of WASI |

mod environment;
mod exceptions;
mod heap;
mod old;
mod operate;
mod process;
mod startup;
mod syscalls;
#[cfg(test)]
mod tests;
mod time;

pub(crate) use operate::{operate, set_temp_ret};
pub(crate) use startup::initialize;

use crate::abi::Abi;
use crate::function::{Call, ENV, Flags, Function, OWN, Operation};

/// All of them. A function whose type differs between versions of Emscripten has a row for each type.
pub(crate) const FUNCTIONS: [&[Function]; 6] =
    [time::FUNCTIONS, exceptions::FUNCTIONS, heap::FUNCTIONS, process::FUNCTIONS, syscalls::FUNCTIONS, old::FUNCTIONS];

/// Those that come before all others of their module in an image of these versions: there the same name and type means
/// something else.
pub(crate) fn first(abi: Abi) -> impl Iterator<Item = &'static Function> {
    let heap = if abi == Abi::Until3_1_15 { heap::FUNCTIONS_UNTIL_3_1_15 } else { &[] };
    heap.iter().chain(environment::functions(abi))
}

/// Of them, those that images import that Emscripten has built to run without its JavaScript.
pub(crate) const SYSCALLS: &[Function] = syscalls::FUNCTIONS;

/// What serves a name that has any number of parameters.
pub(crate) fn variadic(module: &str, name: &str, params: usize) -> Option<(String, Flags, Call)> {
    let is_variadic = module == ENV && name.starts_with(exceptions::FIND_MATCHING_CATCH);
    is_variadic.then(|| ("p".repeat(params) + ":p", OWN, Call::Operation(Operation::FindMatchingCatch)))
}

/// What a function does in an image that is built without catching C++ exceptions.
pub(crate) fn without_catching(name: &str, call: Call) -> Call {
    if name == exceptions::THROW { exceptions::THROW_FOR_GOOD } else { call }
}

/// Whether an image that imports these functions runs on Emscripten's JavaScript runtime, and not only on WASI: the
/// imports of a standalone image mean the same on any host.
pub(crate) fn is_emscripten<'a>(imports: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
    imports.into_iter().any(|(module, name)| module == ENV && is_of_the_runtime(name))
}

/// Whether a name is one of a function of Emscripten's library that a program cannot do without: it means that something is
/// done. Those that only tell somebody something are not.
pub(crate) fn is_of_library(name: &str) -> bool {
    /// Marks for tools, output for developers, and what keeps a program alive that ends with its call anyway.
    const TOLD: [&str; 5] = [
        "emscripten_trace_",
        "emscripten_runtime_keepalive_",
        "_emscripten_runtime_keepalive_",
        "emscripten_dbg",
        "emscripten_debugger",
    ];
    const OTHER: [&str; 4] = ["_wasmfs_", "_embind_", "_emval_", "_Unwind_"];

    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    (is_of_the_runtime(name) || begins(&OTHER)) && !begins(&TOLD)
}

fn is_of_the_runtime(name: &str) -> bool {
    // Standalone images import these, too.
    const STANDALONE: [&str; 2] = ["_emscripten_system", "emscripten_notify_memory_growth"];
    !STANDALONE.contains(&name)
        && (["invoke_", "emscripten_", "_emscripten_", "__cxa_"].iter().any(|prefix| name.starts_with(prefix))
            || name.starts_with('_') && name.ends_with("_js")
            || name == "__resumeException")
}
