//! Threads for native work that takes long: snapshots, restores, copies of whole memories, merges.
//!
//! An embedder's schedulers are for guests. Work whose length follows the size of a memory runs here instead, on one
//! thread fewer than the machine has cores, so that guests keep at least one core whatever is being copied. Short work
//! goes before long work in the queue, and the first in line is never passed more than a few times.

use crate::error::Error;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread;

/// Work up to this many bytes runs where it is: it takes a few milliseconds at most, and handing it over costs tens of
/// microseconds.
pub const SHORT_BYTES: u64 = 4 << 20;

/// Work up to this many bytes goes before larger work.
const MEDIUM_BYTES: u64 = 64 << 20;

/// How often in a row medium work may go before large work that waits.
const MOST_PASSED: u32 = 8;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    medium: VecDeque<Job>,
    large: VecDeque<Job>,
    /// How often the first large job has been passed.
    passed: u32,
    threads: usize,
    idle: usize,
}

impl Queue {
    fn next(&mut self) -> Option<Job> {
        let is_passed = !self.large.is_empty() && !self.medium.is_empty();
        if self.medium.is_empty() || (is_passed && self.passed >= MOST_PASSED) {
            self.passed = 0;
            return self.large.pop_front();
        }
        self.passed += u32::from(is_passed);
        self.medium.pop_front()
    }
}

/// Some threads and their queue.
struct Pool {
    most: usize,
    queue: Mutex<Queue>,
    ready: Condvar,
}

impl Pool {
    fn new(most: usize) -> Pool {
        Pool { most, queue: Mutex::default(), ready: Condvar::new() }
    }

    fn spawn(self: &Arc<Pool>, bytes: u64, job: Job) -> Result<(), Error> {
        let mut queue = self.queue.lock();
        let waiting = queue.medium.len() + queue.large.len();
        if waiting >= queue.idle && queue.threads < self.most {
            let pool = self.clone();
            let name = format!("hb_wasm64_work{}", queue.threads);
            match thread::Builder::new().name(name).spawn(move || pool.work()) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    return Err(Error::Host(format!("no thread for long work: {error}")));
                }
                Err(error) => log::warn!("no further thread for long work: {error}"),
            }
        }
        if bytes > MEDIUM_BYTES {
            queue.large.push_back(job)
        } else {
            queue.medium.push_back(job)
        }
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            match queue.next() {
                Some(job) => {
                    drop(queue);
                    // A job that panics must not end the thread that all others depend on.
                    if catch_unwind(AssertUnwindSafe(job)).is_err() {
                        log::error!("long work met a panic");
                    }
                    queue = self.queue.lock();
                }
                None => {
                    queue.idle += 1;
                    self.ready.wait(&mut queue);
                    queue.idle -= 1;
                }
            }
        }
    }
}

/// Runs `job`, which handles about so many bytes, on a background thread. Never waits.
///
/// # Errors
/// [`Error::Host`] where no thread can be started; the job is dropped then.
pub fn spawn(bytes: u64, job: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    static POOL: LazyLock<Arc<Pool>> = LazyLock::new(|| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Pool::new(cores.saturating_sub(1).max(1)))
    });
    POOL.spawn(bytes, Box::new(job))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn medium_work_goes_first_but_passes_large_work_a_few_times_only() {
        let pool = Arc::new(Pool::new(1));
        let (sender, receiver) = channel();
        let (go, gate) = channel::<()>();
        let (begun, has_begun) = channel();
        let wait = move || {
            begun.send(()).unwrap();
            assert!(gate.recv().is_err());
        };
        pool.spawn(0, Box::new(wait)).unwrap();
        has_begun.recv().unwrap();
        for number in 0..3 {
            let sender = sender.clone();
            pool.spawn(MEDIUM_BYTES + 1, Box::new(move || sender.send(format!("large {number}")).unwrap())).unwrap();
        }
        for number in 0..20 {
            let sender = sender.clone();
            pool.spawn(1, Box::new(move || sender.send(format!("medium {number}")).unwrap())).unwrap();
        }
        drop((go, sender));
        let order: Vec<String> = receiver.iter().collect();
        let place = |name: &str| order.iter().position(|done| done == name).unwrap();
        assert_eq!(order.len(), 23);
        assert_eq!(place("medium 0"), 0);
        assert_eq!(place("large 0"), MOST_PASSED as usize);
        assert_eq!(place("large 1"), 2 * MOST_PASSED as usize + 1);
        assert_eq!(place("large 2"), 22);
    }

    #[test]
    fn a_panic_ends_its_job_only() {
        let pool = Arc::new(Pool::new(1));
        let (sender, receiver) = channel();
        pool.spawn(0, Box::new(|| panic!("on purpose"))).unwrap();
        pool.spawn(0, Box::new(move || sender.send(7).unwrap())).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
    }

    #[test]
    fn no_more_threads_than_allowed_work_at_once() {
        let pool = Arc::new(Pool::new(2));
        let (sender, receiver) = channel();
        let running = Arc::new(Mutex::new((0, 0)));
        for _ in 0..20 {
            let (running, sender) = (running.clone(), sender.clone());
            let job = move || {
                let mut count = running.lock();
                count.0 += 1;
                count.1 = count.1.max(count.0);
                drop(count);
                thread::sleep(std::time::Duration::from_millis(2));
                running.lock().0 -= 1;
                sender.send(()).unwrap();
            };
            pool.spawn(0, Box::new(job)).unwrap();
        }
        drop(sender);
        assert_eq!(receiver.iter().count(), 20);
        assert!(running.lock().1 <= 2);
    }
}
