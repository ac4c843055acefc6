//! Handles: the resources that Erlang holds, and the processes that wait for something of them.

use crate::atoms;
use crate::messenger;
use hb_wasm64_engine::{Instance, Notifications, Scope};
use parking_lot::Mutex;
use rustler::env::SavedTerm;
use rustler::{Encoder, Env, Error, LocalPid, Monitor, NifResult, OwnedEnv, Resource, ResourceArc, Term};
use std::sync::Arc;

/// What a handle refers to: an instance, and the import in whose scope it is used, if any.
pub struct Handle {
    pub instance: Arc<Instance<Arc<Owner>, LocalPid>>,
    pub scope: Option<Scope>,
}

#[rustler::resource_impl]
impl Resource for Handle {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, env: Env<'a>, _pid: LocalPid, monitor: Monitor) {
        // Flags go up and lines get shorter; the guest itself is left to whoever polls next.
        let notifications = self.instance.cancel_owned(|owner| owner.monitor == Some(monitor));
        wake(env, notifications.wake);
        let others = notifications.released.into_iter().filter(|owner| owner.monitor != Some(monitor));
        others.for_each(|owner| messenger::send(move || owner.demonitor(None)));
    }
}

/// A process with an operation under way, and how to reach it.
pub struct Owner {
    pid: LocalPid,
    /// The reference that it waits for, in an environment of its own.
    reference: Mutex<(OwnedEnv, SavedTerm)>,
    /// Ends the operation when the process dies. `None`: the process was exiting already.
    monitor: Option<Monitor>,
    monitored_by: ResourceArc<Handle>,
}

impl Owner {
    /// Monitors the calling process.
    pub fn monitor(env: Env<'_>, handle: &ResourceArc<Handle>, reference: Term<'_>) -> Arc<Owner> {
        let pid = env.pid();
        let monitor = env.monitor(handle, &pid);
        let own_env = OwnedEnv::new();
        let saved = own_env.save(reference);
        Arc::new(Owner { pid, reference: Mutex::new((own_env, saved)), monitor, monitored_by: handle.clone() })
    }

    /// `{hb_wasm64, Reference, turn}`.
    fn turn<'a>(&self, env: Env<'a>) -> Term<'a> {
        let reference = self.reference.lock();
        let (own_env, saved) = &*reference;
        let reference = own_env.run(|own_env| saved.load(own_env).in_env(env));
        (atoms::hb_wasm64(), reference, atoms::turn()).encode(env)
    }

    /// Sends the message of its turn, from a non-scheduler thread.
    pub fn wake_from_outside(&self) {
        // A process that is gone needs no waking.
        let _ = OwnedEnv::new().send_and_clear(&self.pid, |env| self.turn(env));
    }

    /// Ends the monitor: in the environment of a process, or without one on a non-scheduler thread.
    pub fn demonitor(&self, env: Option<Env<'_>>) {
        if let Some(monitor) = &self.monitor {
            self.monitored_by.demonitor(env, monitor);
        }
    }

    /// Whether the death of the process will be noticed.
    pub fn is_monitored(&self) -> bool {
        self.monitor.is_some()
    }
}

/// Wakes processes and ends their monitors, as the engine says. Only for environments of a process.
pub fn notify(env: Env<'_>, notifications: Notifications<Arc<Owner>>) {
    wake(env, notifications.wake);
    notifications.released.iter().for_each(|owner| owner.demonitor(Some(env)));
}

/// The same from a non-scheduler thread.
pub fn notify_from_outside(notifications: Notifications<Arc<Owner>>) {
    notifications.wake.iter().for_each(|owner| owner.wake_from_outside());
    notifications.released.iter().for_each(|owner| owner.demonitor(None));
}

fn wake(env: Env<'_>, owners: Vec<Arc<Owner>>) {
    for owner in owners {
        let message = owner.turn(env);
        // A process that has been killed meanwhile cannot send any more, but the one that waits must be woken.
        if env.send(&owner.pid, message).is_err() {
            messenger::send(move || owner.wake_from_outside());
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
