//! Handles: the resources that Erlang holds, and the processes that wait for something of them.

use crate::atoms;
use hb_wasm64_engine::{ImportId, Instance, News};
use parking_lot::Mutex;
use rustler::env::SavedTerm;
use rustler::{Env, Error, LocalPid, Monitor, NifResult, OwnedEnv, Resource, ResourceArc, Term};
use std::sync::Arc;

/// What a handle refers to: an instance, and the import in whose scope it is used, if any.
pub struct Handle {
    pub instance: Arc<Instance<Arc<Owner>, LocalPid>>,
    pub scope: Option<ImportId>,
}

#[rustler::resource_impl]
impl Resource for Handle {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, env: Env<'a>, _pid: LocalPid, monitor: Monitor) {
        // Flags go up and lines get shorter; the guest itself is left to whoever polls next.
        let news = self.instance.cancel_owned(|owner| owner.monitor == Some(monitor));
        wake(env, news.wake);
        // Other monitors can be ended only in the environment of a process. The next one to come does it.
        let others = news.spent.into_iter().filter(|owner| owner.monitor != Some(monitor));
        LEFT_OVER.lock().extend(others);
    }
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

    /// Whether the death of the process will be noticed.
    pub fn is_watched(&self) -> bool {
        self.monitor.is_some()
    }
}

/// A call that a process of its own drives: the reference in its messages, which leads back to that process.
pub struct Async(pub LocalPid);

#[rustler::resource_impl]
impl Resource for Async {}

/// Owners whose monitor could not be ended where that was noticed.
static LEFT_OVER: Mutex<Vec<Arc<Owner>>> = Mutex::new(Vec::new());

/// Wakes and forgets whom the engine says to. Only for environments of a process.
pub fn tell(env: Env<'_>, news: News<Arc<Owner>>) {
    wake(env, news.wake);
    if !news.spent.is_empty() {
        let left_over = std::mem::take(&mut *LEFT_OVER.lock());
        for owner in news.spent.into_iter().chain(left_over) {
            if let Some(monitor) = &owner.monitor {
                env.demonitor(&owner.watched, monitor);
            }
        }
    }
}

fn wake(env: Env<'_>, owners: Vec<Arc<Owner>>) {
    for owner in owners {
        let reference = owner.reference.lock();
        let (own_env, saved) = &*reference;
        let reference = own_env.run(|own_env| saved.load(own_env).in_env(env));
        // A process that is gone needs no waking.
        let _ = env.send(&owner.pid, (atoms::hb_wasm64(), reference, atoms::turn()));
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
