//! Handles: the resources that Erlang holds, and the processes that wait for something of them.

use crate::atoms;
use crate::messenger;
use hb_wasm64_engine::{Instance, News, Scope};
use parking_lot::Mutex;
use rustler::env::SavedTerm;
use rustler::{Encoder, Env, Error, LocalPid, Monitor, NifResult, OwnedEnv, Resource, ResourceArc, Term};
use std::sync::Arc;

/// What a handle refers to: an instance, and the import in whose scope it is used, if any.
pub struct Handle {
    pub instance: Arc<Instance<Arc<Owner>, Responder>>,
    pub scope: Option<Scope>,
}

#[rustler::resource_impl]
impl Resource for Handle {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, env: Env<'a>, _pid: LocalPid, monitor: Monitor) {
        // Flags go up and lines get shorter; the guest itself is left to whoever polls next.
        let news = self.instance.cancel_owned(|owner| owner.monitor == Some(monitor));
        wake(env, news.wake);
        let others = news.spent.into_iter().filter(|owner| owner.monitor != Some(monitor));
        others.for_each(messenger::unwatch);
    }
}

/// Who answers the imports of a call.
#[derive(Clone, Copy, PartialEq)]
pub struct Responder {
    pub pid: LocalPid,
    /// It also drives the call: while its import waits, the process does nothing but answer it.
    pub drives: bool,
}

/// A process with an operation under way, and how to reach it.
pub struct Owner {
    pid: LocalPid,
    /// The reference that it waits for, in an environment of its own.
    reference: Mutex<(OwnedEnv, SavedTerm)>,
    /// Ends the operation when the process dies. `None`: the process was exiting already.
    monitor: Option<Monitor>,
    watched: ResourceArc<Handle>,
}

impl Owner {
    /// Watches the calling process.
    pub fn watch(env: Env<'_>, handle: &ResourceArc<Handle>, reference: Term<'_>) -> Arc<Owner> {
        let pid = env.pid();
        let monitor = env.monitor(handle, &pid);
        let own_env = OwnedEnv::new();
        let saved = own_env.save(reference);
        Arc::new(Owner { pid, reference: Mutex::new((own_env, saved)), monitor, watched: handle.clone() })
    }

    /// `{hb_wasm64, Reference, turn}`.
    fn turn<'a>(&self, env: Env<'a>) -> Term<'a> {
        let reference = self.reference.lock();
        let (own_env, saved) = &*reference;
        let reference = own_env.run(|own_env| saved.load(own_env).in_env(env));
        (atoms::hb_wasm64(), reference, atoms::turn()).encode(env)
    }

    /// Sends the message of its turn, from a thread that is none of the BEAM's.
    pub fn wake_from_outside(&self) {
        // A process that is gone needs no waking.
        let _ = OwnedEnv::new().send_and_clear(&self.pid, |env| self.turn(env));
    }

    /// Ends the monitor: in the environment of a process, or without one on a thread that is none of the BEAM's.
    pub fn unwatch(&self, env: Option<Env<'_>>) {
        if let Some(monitor) = &self.monitor {
            self.watched.demonitor(env, monitor);
        }
    }

    /// Whether the death of the process will be noticed.
    pub fn is_watched(&self) -> bool {
        self.monitor.is_some()
    }
}

/// A call that a process of its own drives: the reference in its messages, which leads back to that process.
pub struct Async(pub LocalPid);

#[rustler::resource_impl]
impl Resource for Async {}

/// Wakes and forgets whom the engine says to. Only for environments of a process.
pub fn tell(env: Env<'_>, news: News<Arc<Owner>>) {
    wake(env, news.wake);
    news.spent.iter().for_each(|owner| owner.unwatch(Some(env)));
}

/// The same from a thread that is none of the BEAM's.
pub fn tell_from_outside(news: News<Arc<Owner>>) {
    news.wake.iter().for_each(|owner| owner.wake_from_outside());
    news.spent.iter().for_each(|owner| owner.unwatch(None));
}

fn wake(env: Env<'_>, owners: Vec<Arc<Owner>>) {
    for owner in owners {
        let message = owner.turn(env);
        // A process that has been killed meanwhile cannot send any more, but the one that waits must be woken.
        if env.send(&owner.pid, message).is_err() {
            messenger::wake(owner);
        }
    }
}

/// The handle in a term. `Ok(None)`: a reference that means nothing on this node.
pub fn decode(term: Term<'_>) -> NifResult<Option<ResourceArc<Handle>>> {
    match term.decode::<ResourceArc<Handle>>() {
        Ok(handle) => Ok(Some(handle)),
        Err(_) if term.is_ref() => Ok(None),
        Err(_) => Err(Error::BadArg),
    }
}
