//! Operations that look into an instance without running its code, and leave what they find in a slot.

use super::{Access, Caller, Instance, Pending, Progress, Slice, Step, Turn};
use crate::error::Error;
use crate::queue::{Notifications, Scope, TicketId};
use crate::state::View;
use crate::task::{Command, Contents, LongAccessing, StartRequest, Starting};
use hb_wasm64_host::Standard;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

impl<O: Clone, P: Copy + PartialEq> Instance<O, P> {
    /// Takes what the call that is in progress, or was the last, has printed since this was done before, if its caller wants
    /// that. A guest that has printed much makes way, so that whoever drives its call can do this between two steps.
    pub fn take_printed(&self) -> Vec<(Standard, Vec<u8>)> {
        self.port.stream.take()
    }

    /// Runs `access` on the linear memory, which is empty where the image has none.
    pub fn access<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        access: impl FnOnce(&mut [u8]) -> T + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.at_once(caller, |slot| Command::Access(Box::new(move |memory| *slot.lock() = Some(Ok(access(memory))))))
    }

    /// Runs `access` on the linear memory, where that may take long as it handles about so many bytes. It should end once
    /// the flag is up that it is given.
    pub fn access_long<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        bytes: u64,
        access: impl FnOnce(&mut Contents<'_, '_>, &AtomicBool) -> Result<T, Error> + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.long(caller, |ticket, slot, cancelled| {
            let access = Box::new(move |contents: &mut Contents<'_, '_>, cancelled: &AtomicBool| {
                *slot.lock() = Some(access(contents, cancelled)?);
                Ok(())
            });
            Command::LongAccess(LongAccessing { ticket, cancelled, bytes }, access)
        })
    }

    /// Runs `look` on all of the state, and on so many bytes beside it. Refused while a call is in progress, and where a
    /// part of it means nothing outside.
    pub fn view<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        beside: u64,
        look: impl FnOnce(&View<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.long(caller, |ticket, slot, cancelled| {
            let look = Box::new(move |view: &View<'_>| {
                *slot.lock() = Some(look(view)?);
                Ok(())
            });
            Command::View(Starting { ticket, cancelled, request: StartRequest::nothing(), beside }, look)
        })
    }

    /// Sends a command that may take long, or goes on with the one that the ticket has sent, and leaves its result in a slot.
    fn long<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        command: impl FnOnce(TicketId, Arc<Mutex<Option<T>>>, Arc<AtomicBool>) -> Command,
    ) -> Step<O, Access<T>> {
        let ticket = caller.ticket;
        let slot = match &self.inner.lock().result {
            Some((id, slot)) if *id == ticket => slot.downcast_ref::<Arc<Mutex<Option<T>>>>().cloned(),
            _ => None,
        };
        let slot = slot.unwrap_or_default();
        let Step { progress, notifications } =
            self.command(caller, Slice::Long, None, |ticket, cancelled| command(ticket, slot.clone(), cancelled));
        let progress = match progress {
            Progress::Finished(Ok(_)) | Progress::Measured(Ok(_), _) => {
                slot.lock().take().map_or(Access::Refused(Error::Stopped), Access::Done)
            }
            Progress::Finished(Err(error)) | Progress::Measured(Err(error), _) => Access::Refused(error),
            Progress::Waiting => Access::Waiting,
            Progress::Yielded | Progress::Deferred | Progress::Import(_) => Access::Yielded,
            Progress::Long(bytes) => Access::Long(bytes),
        };
        if matches!(progress, Access::Yielded | Access::Long(_)) {
            self.inner.lock().result = Some((ticket, Box::new(slot)));
        }
        Step { progress, notifications }
    }

    /// Runs `look` on what the guest has written to standard output and to error output since the call in progress, or
    /// else the last one, began.
    pub fn output<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        look: impl FnOnce(&[u8], &[u8]) -> T + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.at_once(caller, |slot| {
            Command::Output(Box::new(move |output, errors| *slot.lock() = Some(Ok(look(output, errors)))))
        })
    }

    /// Sends a command that is done in one poll, on whatever thread, and leaves its result in a slot.
    fn at_once<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        command: impl FnOnce(Arc<Mutex<Option<Result<T, Error>>>>) -> Command,
    ) -> Step<O, Access<T>> {
        let Turn { inner, owner } = match self.enter(&caller) {
            Ok(turn) => turn,
            Err(none) => return none.step(Access::Waiting, Access::Refused),
        };
        let slot = Arc::default();
        self.port.send(command(Arc::clone(&slot)));
        let (mut inner, _) = self.poll(inner, Slice::Long);
        let mut notifications = inner.notify(Notifications::default());
        notifications.released.extend(owner);
        drop(inner);
        let progress = match slot.lock().take() {
            Some(Ok(value)) => Access::Done(value),
            Some(Err(error)) => Access::Refused(error),
            None => Access::Refused(Error::Stopped),
        };
        Step { progress, notifications }
    }

    /// Reserves the instance: until the ticket is cancelled it is used only in the scope that this returns.
    pub fn hold<F: Fn() -> O>(&self, caller: Caller<'_, P, F>) -> Step<O, Access<Scope>> {
        let Turn { mut inner, owner } = match self.enter(&caller) {
            Ok(turn) => turn,
            Err(none) => return none.step(Access::Waiting, Access::Refused),
        };
        inner.queue.begin(caller.ticket, caller.process, owner);
        let held = inner.queue.suspend(caller.ticket, None, Pending { import: None, answer: None });
        match held {
            Some((scope, wake)) => self.leave(inner, &caller, false, wake, Access::Done(scope), Access::Refused),
            None => Step::quiet(Access::Refused(Error::Cancelled)),
        }
    }
}
