//! Waiting for events. Nobody waits: files are always ready, and where a program waits for nothing but time its clocks show
//! that the time has passed.

use super::layout::{Event, Subscribed, Subscription, Version};
use super::{Answer, clock};
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::files::flags::{S_IFMT, S_IFREG};
use crate::limits::SUBSCRIPTIONS;

/// Where subscriptions are, where events go, how many subscriptions there are, and where the number of events goes.
pub(super) fn oneoff(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    poll(host, args, Version::Preview1)
}

pub(super) fn older_oneoff(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    poll(host, args, Version::Unstable)
}

fn poll(host: &mut HostCtx<'_>, args: Args<'_>, version: Version) -> Answer {
    let (from, into, count) = (args.pointer(0), args.pointer(1), args.pointer(2));
    if count == 0 || count > SUBSCRIPTIONS {
        return Err(Errno::INVAL);
    }
    // Looked at before anything is changed.
    host.memory.get(from, count * version.subscription_bytes())?;
    host.memory.get(into, count * Event::BYTES)?;
    host.memory.get(args.pointer(3), host.memory.width().bytes())?;
    let subscriptions = (0..count).map(|index| Subscription::read(&host.memory, from, index, version));
    let subscriptions: Vec<Subscription> = subscriptions.collect::<Result<_, _>>()?;
    let start = host.nanoseconds();
    let mut events: Vec<Event> = subscriptions.iter().filter_map(|it| ready(host, it, start)).collect();
    if events.is_empty() {
        // Only clocks are left.
        let first = subscriptions.iter().filter_map(|it| it.due(start)).min().unwrap_or(start);
        host.sleep_until(first);
        events.extend(subscriptions.iter().filter_map(|it| ready(host, it, start)));
    }
    for (index, event) in events.iter().enumerate() {
        event.write(&mut host.memory, into, index as u64)?;
    }
    host.memory.put_pointer(args.pointer(3), events.len() as u64)?;
    Ok(())
}

/// The event of a subscription, where it has come. `start` is what the clocks showed when the program began to wait.
fn ready(host: &HostCtx<'_>, subscription: &Subscription, start: u64) -> Option<Event> {
    let event = Event::of(subscription);
    match subscription.to {
        Subscribed::Clock { number, .. } => match clock::check(number) {
            Ok(()) => subscription.due(start).filter(|due| *due <= host.nanoseconds()).map(|_| event),
            Err(errno) => Some(event.failed(errno)),
        },
        Subscribed::Read(fd) => Some(match readable(host, fd) {
            Ok((bytes, hangs_up)) => event.with(bytes, hangs_up),
            Err(errno) => event.failed(errno),
        }),
        Subscribed::Write(fd) => Some(match host.state.files.check(fd) {
            Ok(()) => event,
            Err(errno) => event.failed(errno),
        }),
        Subscribed::Nothing => Some(event.failed(Errno::INVAL)),
    }
}

/// How many bytes can be read, and whether no more will come.
fn readable(host: &HostCtx<'_>, fd: i32) -> Result<(u64, bool), Errno> {
    let files = &host.state.files;
    let is_file = files.stat_open(fd)?.mode & S_IFMT == S_IFREG;
    match files.readable(fd) {
        Ok(bytes) => Ok((bytes, bytes == 0 && !is_file)),
        Err(Errno::NOTTY) => Ok((0, false)),
        Err(errno) => Err(errno),
    }
}
