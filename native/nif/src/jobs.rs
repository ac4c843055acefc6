//! Long work that belongs to no instance: it is done on a background thread, which sends the result to the process that
//! asked.

use crate::atoms;
use crate::terms;
use hb_wasm64_engine::background;
use hb_wasm64_engine::error::Error;
use rustler::env::SavedTerm;
use rustler::thread::is_scheduler_thread;
use rustler::{Encoder, Env, LocalPid, Monitor, NifResult, OwnedEnv, Resource, ResourceArc, Term};
use std::sync::atomic::{AtomicBool, Ordering};

/// Work on its way: whether somebody still waits for it.
#[derive(Default)]
pub struct Job {
    cancelled: AtomicBool,
    /// The result is being sent, or nobody wants it any more: whoever sets this decides.
    is_over: AtomicBool,
}

#[rustler::resource_impl]
impl Resource for Job {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.give_up();
    }
}

impl Job {
    /// Ends the work. `false`: its result has been sent, or is about to be.
    fn give_up(&self) -> bool {
        self.cancelled.store(true, Ordering::Release);
        !self.is_over.swap(true, Ordering::AcqRel)
    }
}

/// Sends one message, whatever becomes of the work.
struct Reply {
    job: ResourceArc<Job>,
    env: OwnedEnv,
    pid: LocalPid,
    reference: SavedTerm,
    /// Ends the work when the process dies.
    monitor: Option<Monitor>,
    /// The message is for this one to send.
    is_due: bool,
}

impl Reply {
    /// `{hb_wasm64, Reference, {done, Result}}`.
    fn send(&mut self, encode: impl FnOnce(Env<'_>) -> Term<'_>) {
        self.is_due |= !self.job.is_over.swap(true, Ordering::AcqRel);
        if let Some(monitor) = self.monitor.take() {
            self.job.demonitor(None, &monitor);
        }
        if !self.is_due {
            return;
        }
        let reference = &self.reference;
        // A process that is gone needs no answer.
        let _ = self.env.send_and_clear(&self.pid, |env| {
            (atoms::hb_wasm64(), reference.load(env), (atoms::done(), encode(env))).encode(env)
        });
        self.is_due = false;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Where no thread could be had the asker is told at once, and nothing could be sent from here.
        if !is_scheduler_thread() {
            self.send(|env| terms::error(env, &Error::Host("a background thread met a panic".into())));
        }
    }
}

/// Lets a background thread do work on about so many bytes for the calling process: `{wait, Job}`, and later a message
/// `{hb_wasm64, Reference, {done, Result}}`, unless the job is [given up](give_up_job). Work should end once the flag is up.
pub fn run<'a, R>(
    env: Env<'a>,
    reference: Term<'a>,
    bytes: u64,
    work: impl FnOnce(&AtomicBool) -> Result<R, Error> + Send + 'static,
    encode: impl FnOnce(Env<'_>, R) -> Term<'_> + Send + 'static,
) -> Term<'a> {
    let job = ResourceArc::new(Job::default());
    let pid = env.pid();
    let monitor = env.monitor(&job, &pid);
    if monitor.is_none() {
        // The process is exiting.
        job.give_up();
    }
    let own_env = OwnedEnv::new();
    let saved = own_env.save(reference);
    let mut reply = Reply { job: job.clone(), env: own_env, pid, reference: saved, monitor, is_due: false };
    let started = background::spawn(bytes, move || {
        let result = if reply.job.cancelled.load(Ordering::Acquire) {
            Err(Error::Cancelled)
        } else {
            work(&reply.job.cancelled)
        };
        reply.send(|env| match result {
            Ok(result) => encode(env, result),
            Err(error) => terms::error(env, &error),
        });
    });
    match started {
        Ok(()) => (atoms::wait(), job).encode(env),
        Err(error) => terms::error(env, &error),
    }
}

/// Ends the work of a job. `true`: no message comes of it; `false`: it is here or on its way.
#[rustler::nif]
fn give_up_job<'a>(job: Term<'a>) -> NifResult<bool> {
    Ok(job.decode::<ResourceArc<Job>>()?.give_up())
}
