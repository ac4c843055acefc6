//! Calls of `hb_wasm64:call_async/4`: one message `{hb_wasm64, Ref, {done, Result}}` for each, whatever dies.

use crate::atoms;
use parking_lot::Mutex;
use rustler::env::SavedTerm;
use rustler::{Encoder, Env, LocalPid, Monitor, NifResult, OwnedEnv, Resource, ResourceArc, Term};

/// The reference of a call. It is told the result, or sees the driver die, and sends the message of the first of the two.
pub struct CallAsync {
    driver: LocalPid,
    caller: LocalPid,
    /// The reference itself, until the message has been sent or is not wanted any more: this keeps it alive as long as the
    /// driver is monitored. The lock is held until the message is in the caller's mailbox, so that a caller that cancels
    /// the call finds it there or gets none.
    pending: Mutex<Option<(OwnedEnv, SavedTerm)>>,
}

#[rustler::resource_impl]
impl Resource for CallAsync {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.driver_died(env);
    }
}

impl CallAsync {
    /// Sends the message, unless that has been done.
    fn done<'a>(&self, env: Env<'a>, result: Term<'a>) {
        let mut pending = self.pending.lock();
        if let Some((own_env, reference)) = pending.take() {
            let reference = own_env.run(|own_env| reference.load(own_env).in_env(env));
            let message = (atoms::hb_wasm64(), reference, (atoms::done(), result)).encode(env);
            // A caller that is gone needs no message.
            let _ = env.send(&self.caller, message);
        }
    }

    fn driver_died(&self, env: Env<'_>) {
        let reason = (atoms::host(), "the process that drove the call has died");
        self.done(env, (atoms::error(), reason).encode(env));
    }
}

/// A reference for a call that a process drives for the calling one.
#[rustler::nif]
fn async_new<'a>(env: Env<'a>, driver: LocalPid) -> Term<'a> {
    let call = ResourceArc::new(CallAsync { driver, caller: env.pid(), pending: Mutex::new(None) });
    let term = call.encode(env);
    let own_env = OwnedEnv::new();
    let reference = own_env.save(term);
    *call.pending.lock() = Some((own_env, reference));
    if env.monitor(&call, &driver).is_none() {
        call.driver_died(env);
    }
    term
}

/// Sends the result of a call.
#[rustler::nif]
fn async_done<'a>(env: Env<'a>, call: ResourceArc<CallAsync>, result: Term<'a>) -> rustler::Atom {
    call.done(env, result);
    atoms::ok()
}

/// The process that drives a call, of which no message comes any more. `undefined` for any other reference.
#[rustler::nif]
fn async_cancel<'a>(env: Env<'a>, reference: Term<'a>) -> NifResult<Term<'a>> {
    match reference.decode::<ResourceArc<CallAsync>>() {
        Ok(call) => {
            drop(call.pending.lock().take());
            Ok(call.driver.encode(env))
        }
        Err(_) if reference.is_ref() => Ok(atoms::undefined().to_term(env)),
        Err(error) => Err(error),
    }
}
