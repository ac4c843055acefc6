//! The threads that compile images.
//!
//! There is a lane for each class of images. A lane compiles one image at a time, its functions in parallel on threads
//! of its own: so no image has all threads, and none waits for a thread that has turned to another image.
//!
//! The compiler has no way to be told to stop. But it reports each pass over each function to a profiler, which belongs
//! to a thread; ours unwinds where the image has been abandoned. So an abandoned image costs at most one pass over one
//! function on each thread of its lane.

use super::queue::Class;
use crate::error::Error;
use crate::image::Abandoned;
use cranelift_codegen::timing::{Pass, Profiler, set_thread_profiler};
use parking_lot::RwLock;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::any::Any;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

/// Stack of a thread that compiles, in bytes. Only pages that are touched cost memory.
const STACK_BYTES: usize = 64 << 20;

/// Threads of a lane at most: more of them hardly make an image faster.
const THREADS: usize = 8;

/// What unwinds from an image that has been abandoned.
struct Unwinding;

pub(super) struct Lane {
    pub(super) class: Class,
    pool: ThreadPool,
    /// Of the image that is being compiled.
    abandoned: Arc<RwLock<Abandoned>>,
}

impl Lane {
    pub(super) fn new(class: Class) -> Result<Lane, Error> {
        let abandoned = Arc::new(RwLock::new(Abandoned::default()));
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let observed = abandoned.clone();
        let threads = ThreadPoolBuilder::new()
            .num_threads(cores.min(THREADS))
            .stack_size(STACK_BYTES)
            .thread_name(|index| format!("hb_wasm64_comp{index}"))
            .start_handler(move |_| {
                set_thread_profiler(Box::new(Observer(observed.clone())));
            });
        let pool = threads.build().map_err(|error| Error::Host(format!("no compile threads: {error}")))?;
        Ok(Lane { class, pool, abandoned })
    }

    /// Runs `compile` on the threads of the lane. [`Error::Cancelled`] where it has been abandoned meanwhile.
    pub(super) fn run<T: Send>(
        &self,
        abandoned: &Abandoned,
        compile: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        *self.abandoned.write() = abandoned.clone();
        let result = catch_unwind(AssertUnwindSafe(|| self.pool.install(compile)));
        *self.abandoned.write() = Abandoned::default();
        result.unwrap_or_else(|unwinding| {
            if unwinding.is::<Unwinding>() {
                Err(Error::Cancelled)
            } else {
                Err(Error::Host("the compiler panicked".into()))
            }
        })
    }
}

/// Is told of each pass of the compiler.
struct Observer(Arc<RwLock<Abandoned>>);

impl Profiler for Observer {
    fn start_pass(&self, _pass: Pass) -> Box<dyn Any> {
        if self.0.read().load(Ordering::Relaxed) {
            // No panic: nothing has gone wrong, and nothing is printed.
            resume_unwind(Box::new(Unwinding));
        }
        Box::new(())
    }
}
