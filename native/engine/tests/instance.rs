//! What an instance does for those who drive it, seen from Rust.

// Helpers of tests are tests, too; `clippy.toml` excepts only what is marked as one.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use hb_wasm64_engine::LinkedImage;
use hb_wasm64_engine::error::{Error, ImportFailure, Limit};
use hb_wasm64_engine::image::hash;
use hb_wasm64_engine::value::{Arg, Value};
use hb_wasm64_engine::{
    Access, CallOptions, CallRequest, Caller, FuncName, GivenUp, Instance, Progress, Request, Response, Scope, Slice,
    StartRequest, Status, Step, TicketId,
};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

/// Owners are the names of processes here, and every import is answered by the test.
type Guest = Instance<&'static str, &'static str>;

/// Who answers imports.
const RESPONDER: Option<&str> = Some("responder");

fn caller<'a>(
    scope: Option<&'a Scope>,
    ticket: TicketId,
    process: &'static str,
) -> Caller<'a, &'static str, impl Fn() -> &'static str> {
    Caller { scope, ticket, process, owner: move || process }
}

fn resume(guest: &Guest, ticket: TicketId) -> Step<&'static str> {
    guest.resume(caller(None, ticket, "caller"), Slice::Long, RESPONDER)
}

fn guest(wat: &str) -> Guest {
    let bytes = wat::parse_str(wat).unwrap();
    let guest = Guest::new(Arc::new(LinkedImage::compile(hash(&bytes), &bytes).unwrap()));
    let ticket = TicketId::fresh();
    let step = guest.start(caller(None, ticket, "caller"), StartRequest::default(), Slice::Long);
    assert!(matches!(finish(&guest, ticket, step), Ok(values) if values.is_empty()));
    guest
}

fn request<'a>(name: &'a str, args: &[i128]) -> CallRequest<'a> {
    CallRequest {
        func: FuncName::Export(name),
        args: args.iter().map(|n| Arg::Int(*n)).collect(),
        options: CallOptions::default(),
    }
}

fn with_fuel(fuel: u64, request: CallRequest<'_>) -> CallRequest<'_> {
    CallRequest { options: CallOptions { fuel: Some(fuel), ..CallOptions::default() }, ..request }
}

fn begin(guest: &Guest, scope: Option<&Scope>, name: &str, args: &[i128]) -> (TicketId, Step<&'static str>) {
    let ticket = TicketId::fresh();
    (ticket, guest.call(caller(scope, ticket, "caller"), request(name, args), Slice::Long, RESPONDER))
}

fn finish(guest: &Guest, ticket: TicketId, mut step: Step<&'static str>) -> Result<Vec<Value>, Error> {
    loop {
        match step.progress {
            Progress::Finished(result) | Progress::Measured(result, _) => return result,
            Progress::Yielded => step = resume(guest, ticket),
            other => panic!("{other:?}"),
        }
    }
}

fn call(guest: &Guest, scope: Option<&Scope>, name: &str, args: &[i128]) -> Result<Vec<Value>, Error> {
    let (ticket, step) = begin(guest, scope, name, args);
    finish(guest, ticket, step)
}

/// The import that a call stops at. Its slice may end before.
fn import(guest: &Guest, ticket: TicketId, mut step: Step<&'static str>) -> Request {
    loop {
        match step.progress {
            Progress::Import(request) => return request,
            Progress::Yielded => step = resume(guest, ticket),
            other => panic!("{other:?}"),
        }
    }
}

const HOST: &str = r#"(module
    (import "env" "ask" (func $ask (param i32) (result i32)))
    (memory (export "memory") 1)
    (global $n (mut i32) (i32.const 0))
    (func (export "ask") (param i32) (result i32) (call $ask (local.get 0)))
    (func (export "twice") (param i32) (result i32) (call $ask (call $ask (local.get 0))))
    (func (export "ask_and_spin") (param i32)
        (drop (call $ask (local.get 0))) (loop (br 0)))
    (func (export "spin") (loop (br 0)))
    (func (export "count") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))
    (func (export "fill") (param i32)
        (memory.fill (i32.const 0) (i32.const 7) (local.get 0))))"#;

#[test]
fn a_guest_stops_at_its_import_and_goes_on_with_the_answer() {
    let guest = guest(HOST);
    let (ticket, step) = begin(&guest, None, "twice", &[3]);
    let first = import(&guest, ticket, step);
    assert_eq!((&*first.import.name, first.args.as_slice()), ("ask", [Value::I32(3)].as_slice()));
    assert_eq!(guest.status(), Status::Suspended);
    guest.respond(&first.scope, Response::Results(&[Arg::Int(30)])).unwrap();
    let step = resume(&guest, ticket);
    let second = import(&guest, ticket, step);
    assert_eq!(second.args, [Value::I32(30)]);
    guest.respond(&second.scope, Response::Results(&[Arg::Int(300)])).unwrap();
    let step = resume(&guest, ticket);
    assert_eq!(finish(&guest, ticket, step), Ok(vec![Value::I32(300)]));
    assert_eq!(guest.status(), Status::Idle);
}

#[test]
fn a_call_that_is_ended_while_its_step_comes_to_an_end_is_not_left_waiting() {
    let guest = guest(HOST);
    for (ends, expected) in [
        (&(|ticket| drop(guest.cancel(ticket))) as &dyn Fn(TicketId), Error::Cancelled),
        (&|_| drop(guest.stop()), Error::Stopped),
    ] {
        let ticket = TicketId::fresh();
        let owner = || {
            ends(ticket);
            "caller"
        };
        let caller = Caller { scope: None, ticket, process: "caller", owner };
        let step = guest.call(caller, request("ask", &[1]), Slice::Long, RESPONDER);
        assert!(matches!(step.progress, Progress::Finished(Err(error)) if error == expected));
        assert_eq!(step.notifications.released, ["caller"]);
    }
}

#[test]
fn a_suspended_guest_goes_on_on_another_thread() {
    let guest = Arc::new(guest(HOST));
    let (ticket, step) = begin(&guest, None, "ask", &[1]);
    let pending = import(&guest, ticket, step);
    let (there, elsewhere) = (guest.clone(), channel());
    std::thread::spawn(move || {
        there.respond(&pending.scope, Response::Results(&[Arg::Int(5)])).unwrap();
        let step = resume(&there, ticket);
        elsewhere.0.send(finish(&there, ticket, step)).unwrap();
    });
    assert_eq!(elsewhere.1.recv().unwrap(), Ok(vec![Value::I32(5)]));
}

#[test]
fn who_holds_the_scope_of_an_import_may_call_and_touch_memory_while_it_waits() {
    let guest = guest(HOST);
    let (ticket, step) = begin(&guest, None, "ask", &[1]);
    let outer = import(&guest, ticket, step);
    assert_eq!(call(&guest, Some(&outer.scope), "count", &[]), Ok(vec![Value::I32(1)]));
    let (nested, step) = begin(&guest, Some(&outer.scope), "ask", &[2]);
    let inner = import(&guest, nested, step);
    let step = guest.access(caller(Some(&inner.scope), TicketId::fresh(), "reader"), |memory| memory.len());
    assert_eq!(step.progress, Access::Done(65536));
    guest.respond(&inner.scope, Response::Results(&[Arg::Int(20)])).unwrap();
    let step = resume(&guest, nested);
    assert_eq!(finish(&guest, nested, step), Ok(vec![Value::I32(20)]));
    guest.respond(&outer.scope, Response::Results(&[Arg::Int(10)])).unwrap();
    let step = resume(&guest, ticket);
    assert_eq!(finish(&guest, ticket, step), Ok(vec![Value::I32(10)]));
}

#[test]
fn calls_nested_too_deep_trap_and_the_outer_ones_go_on() {
    let guest = guest(HOST);
    let mut pending = Vec::new();
    let mut scope = None;
    let error = loop {
        let (ticket, mut step) = begin(&guest, scope.as_ref(), "ask", &[1]);
        while matches!(step.progress, Progress::Yielded) {
            step = resume(&guest, ticket);
        }
        match step.progress {
            Progress::Import(request) => {
                scope = Some(request.scope.clone());
                pending.push((ticket, request.scope));
            }
            Progress::Finished(Err(error)) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(error, Error::Trap(info) if info.code == "stack_overflow"));
    assert_eq!(pending.len(), 64);
    for (ticket, id) in pending.into_iter().rev() {
        guest.respond(&id, Response::Results(&[Arg::Int(1)])).unwrap();
        let step = resume(&guest, ticket);
        assert_eq!(finish(&guest, ticket, step), Ok(vec![Value::I32(1)]));
    }
}

#[test]
fn an_answer_that_does_not_fit_fails_the_import_and_leaves_the_instance() {
    let guest = guest(HOST);
    for answer in [&[][..], &[Arg::Other], &[Arg::Float(1.0)], &[Arg::Int(1 << 40)]] {
        let (ticket, step) = begin(&guest, None, "ask", &[1]);
        guest.respond(&import(&guest, ticket, step).scope, Response::Results(answer)).unwrap();
        let step = resume(&guest, ticket);
        let result = finish(&guest, ticket, step);
        assert!(matches!(result, Err(Error::ImportFailed(ImportFailure::InvalidResults { position: 1, .. }))));
    }
    assert_eq!(call(&guest, None, "count", &[]), Ok(vec![Value::I32(1)]));
}

#[test]
fn an_import_is_answered_once() {
    let guest = guest(HOST);
    let (ticket, step) = begin(&guest, None, "ask", &[1]);
    let id = import(&guest, ticket, step).scope;
    guest.respond(&id, Response::Results(&[Arg::Int(1), Arg::Other])).unwrap();
    assert_eq!(guest.respond(&id, Response::Results(&[Arg::Int(2)])).err(), Some(Error::NoPendingImport));
    let step = resume(&guest, ticket);
    assert_eq!(finish(&guest, ticket, step), Ok(vec![Value::I32(1)]));
    assert_eq!(guest.respond(&id, Response::Results(&[Arg::Int(2)])).err(), Some(Error::NoPendingImport));
}

#[test]
fn an_endless_guest_yields_and_can_be_cancelled() {
    let guest = guest(HOST);
    let (ticket, step) = begin(&guest, None, "spin", &[]);
    assert!(matches!(step.progress, Progress::Yielded));
    assert!(matches!(resume(&guest, ticket).progress, Progress::Yielded));
    let waiting = TicketId::fresh();
    let step = guest.call(caller(None, waiting, "next"), request("count", &[]), Slice::Long, RESPONDER);
    assert!(matches!(step.progress, Progress::Waiting));
    assert_eq!(guest.cancel(ticket).0.wake, ["next"]);
    let step = guest.call(caller(None, waiting, "next"), request("count", &[]), Slice::Long, RESPONDER);
    assert_eq!(step.notifications.released, ["next"]);
    assert_eq!(finish(&guest, waiting, step), Ok(vec![Value::I32(1)]));
    assert_eq!(finish(&guest, ticket, resume(&guest, ticket)), Err(Error::Cancelled));
}

#[test]
fn imports_that_are_answered_with_zeros_do_not_make_a_slice_longer() {
    let guest = guest(
        r#"(module (import "env" "tick" (func $tick))
            (func (export "spin") (loop (call $tick) (br 0))))"#,
    );
    let ticket = TicketId::fresh();
    let mut step = guest.call(caller(None, ticket, "caller"), request("spin", &[]), Slice::Long, None);
    for _ in 0..3 {
        assert!(matches!(step.progress, Progress::Yielded));
        step = guest.resume(caller(None, ticket, "caller"), Slice::Long, None);
    }
}

#[test]
fn cancelling_an_outer_call_ends_the_nested_one() {
    let guest = guest(HOST);
    let (outer, step) = begin(&guest, None, "ask", &[1]);
    let scope = import(&guest, outer, step).scope;
    let (nested, step) = begin(&guest, Some(&scope), "spin", &[]);
    assert!(matches!(step.progress, Progress::Yielded));
    guest.cancel(outer);
    assert_eq!(finish(&guest, nested, resume(&guest, nested)), Err(Error::Cancelled));
    assert_eq!(call(&guest, None, "count", &[]), Ok(vec![Value::I32(1)]));
}

#[test]
fn a_stopped_instance_says_so_and_frees_those_who_wait() {
    let guest = guest(HOST);
    let (ticket, step) = begin(&guest, None, "spin", &[]);
    assert!(matches!(step.progress, Progress::Yielded));
    let step = guest.access(caller(None, TicketId::fresh(), "reader"), |memory| memory.len());
    assert_eq!(step.progress, Access::Waiting);
    assert_eq!(guest.stop().wake, ["reader"]);
    assert!(guest.stop().wake.is_empty());
    assert_eq!(finish(&guest, ticket, resume(&guest, ticket)), Err(Error::Stopped));
    assert_eq!(call(&guest, None, "count", &[]), Err(Error::Stopped));
    assert_eq!(guest.status(), Status::Stopped);
}

#[test]
fn a_guest_that_becomes_large_leaves_the_scheduler_before_it_can_hold_it_up() {
    let guest = guest(
        r#"(module (memory (export "memory") 1 16384)
            (func (export "work") (result i32)
                (drop (memory.grow (i32.const 8192)))
                (memory.fill (i32.const 0) (i32.const 7) (i32.const 400000000))
                (i32.load8_u (i32.const 399999999))))"#,
    );
    let ticket = TicketId::fresh();
    let step = guest.call(caller(None, ticket, "caller"), request("work", &[]), Slice::Short, RESPONDER);
    assert!(matches!(step.progress, Progress::Yielded));
    assert_eq!(finish(&guest, ticket, step), Ok(vec![Value::I32(7)]));
    let step = guest.call(caller(None, ticket, "caller"), request("work", &[]), Slice::Short, RESPONDER);
    assert!(matches!(step.progress, Progress::Deferred), "from now on it never starts there");
    guest.cancel(ticket);
}

#[test]
fn fuel_ends_a_call_at_the_same_point_every_time_and_slices_do_not_show() {
    let guest = guest(
        r#"(module (global $n (mut i64) (i64.const 0))
            (func (export "run") (loop
                (global.set $n (i64.add (global.get $n) (i64.const 1))) (br 0)))
            (func (export "take") (result i64)
                (global.get $n) (global.set $n (i64.const 0))))"#,
    );
    let mut ends = Vec::new();
    for _ in 0..3 {
        let ticket = TicketId::fresh();
        let limited = with_fuel(50_000_000, request("run", &[]));
        let step = guest.call(caller(None, ticket, "caller"), limited, Slice::Long, RESPONDER);
        assert_eq!(finish(&guest, ticket, step), Err(Error::Limit(Limit::Fuel)));
        ends.push(call(&guest, None, "take", &[]).unwrap());
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[test]
fn a_nested_call_spends_the_fuel_of_the_call_around_it() {
    let guest = guest(HOST);
    let ticket = TicketId::fresh();
    let limited = with_fuel(100_000, request("ask_and_spin", &[1]));
    let step = guest.call(caller(None, ticket, "caller"), limited, Slice::Long, RESPONDER);
    let scope = import(&guest, ticket, step).scope;
    let nested = TicketId::fresh();
    let step = guest.call(caller(Some(&scope), nested, "nested"), request("spin", &[]), Slice::Long, RESPONDER);
    assert_eq!(finish(&guest, nested, step), Err(Error::Limit(Limit::Fuel)));
    guest.respond(&scope, Response::Results(&[Arg::Int(1)])).unwrap();
    let step = resume(&guest, ticket);
    assert_eq!(finish(&guest, ticket, step), Err(Error::Limit(Limit::Fuel)));
    assert_eq!(call(&guest, None, "count", &[]), Ok(vec![Value::I32(1)]));
}

#[test]
fn growth_beyond_the_limit_is_refused_and_what_the_module_declares_is_minus_one() {
    let bytes = wat::parse_str(r#"(module (memory (export "memory") i64 300000))"#).unwrap();
    let large = Guest::new(Arc::new(LinkedImage::compile(hash(&bytes), &bytes).unwrap()));
    let ticket = TicketId::fresh();
    let step = large.start(caller(None, ticket, "caller"), StartRequest::default(), Slice::Long);
    assert_eq!(finish(&large, ticket, step), Err(Error::Limit(Limit::Memory)));

    let guest = guest(
        r#"(module (memory (export "memory") 1 2)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#,
    );
    assert_eq!(call(&guest, None, "grow", &[2]), Ok(vec![Value::I32(-1)]));
    assert_eq!(call(&guest, None, "grow", &[1]), Ok(vec![Value::I32(1)]));
}

#[test]
fn an_uncaught_exception_is_told_with_its_tag_and_values() {
    let guest = guest(
        r#"(module (tag $t (export "broken") (param i32 f64))
            (func (export "throw") (throw $t (i32.const 7) (f64.const 1.5))))"#,
    );
    let expected =
        Error::Exception { tag: Some("broken".into()), values: vec![Value::I32(7), Value::F64(1.5_f64.to_bits())] };
    assert_eq!(call(&guest, None, "throw", &[]), Err(expected));
}

/// More than is done on the thread that asks for it.
const LARGE: &str = r#"(module
    (memory (export "memory") 128)
    (func (export "count") (result i32) (i32.const 7))
    (func (export "fill") (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x800000))))"#;

/// Asks for all of the memory, with a ticket.
fn ask(guest: &Guest, ticket: TicketId) -> Step<&'static str, Access<usize>> {
    guest.view(caller(None, ticket, "reader"), 0, |view| Ok(view.memory_size()))
}

fn large() -> Guest {
    let guest = guest(LARGE);
    assert_eq!(call(&guest, None, "fill", &[]), Ok(Vec::new()));
    guest
}

/// The bytes of long work, once it has come to that.
fn long(guest: &Guest, ticket: TicketId) -> u64 {
    loop {
        match ask(guest, ticket).progress {
            Access::Yielded => {}
            Access::Long(bytes) => return bytes,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn long_work_is_done_by_whom_it_is_handed_to_and_its_owner_is_woken() {
    let guest = large();
    let ticket = TicketId::fresh();
    assert_eq!(long(&guest, ticket), 128 << 16);
    assert_eq!(guest.status(), Status::Running);
    // Who asks again meanwhile waits, and so does everybody else.
    assert_eq!(ask(&guest, ticket).progress, Access::Waiting);
    let (other, step) = begin(&guest, None, "count", &[]);
    assert!(matches!(step.progress, Progress::Waiting));
    let woken = thread::scope(|scope| scope.spawn(|| guest.work(ticket)).join().unwrap());
    assert_eq!(woken.wake, ["reader"]);
    assert_eq!(guest.give_up(ticket).1, GivenUp::TooLate);
    let Step { progress, notifications } = ask(&guest, ticket);
    assert_eq!(progress, Access::Done(128 << 16));
    assert_eq!((notifications.wake, notifications.released), (vec!["caller"], vec!["reader"]));
    let step = guest.call(caller(None, other, "caller"), request("count", &[]), Slice::Long, RESPONDER);
    assert_eq!(finish(&guest, other, step), Ok(vec![Value::I32(7)]));
}

#[test]
fn long_work_that_is_given_up_before_it_begins_keeps_nobody_waiting() {
    let guest = large();
    let ticket = TicketId::fresh();
    long(&guest, ticket);
    let (other, step) = begin(&guest, None, "count", &[]);
    assert!(matches!(step.progress, Progress::Waiting));
    let (ended, given_up) = guest.give_up(ticket);
    assert_eq!((ended.wake, ended.released, given_up), (vec!["caller"], vec!["reader"], GivenUp::Unwoken));
    let step = guest.call(caller(None, other, "caller"), request("count", &[]), Slice::Long, RESPONDER);
    assert_eq!(finish(&guest, other, step), Ok(vec![Value::I32(7)]));
    // The thread comes to it when there is nothing left to do.
    let nothing = guest.work(ticket);
    assert!(nothing.wake.is_empty() && nothing.released.is_empty());
    assert_eq!(guest.status(), Status::Idle);
    let again = TicketId::fresh();
    long(&guest, again);
    guest.work(again);
    assert_eq!(ask(&guest, again).progress, Access::Done(128 << 16));
}

#[test]
fn an_instance_that_is_stopped_ends_long_work() {
    let guest = large();
    let ticket = TicketId::fresh();
    long(&guest, ticket);
    assert_eq!(guest.stop().wake, ["reader"]);
    assert!(guest.work(ticket).wake.is_empty());
    assert_eq!(ask(&guest, ticket).progress, Access::Refused(Error::Stopped));
}

#[test]
fn what_panics_in_long_work_stops_the_instance_and_wakes_its_owner() {
    let guest = large();
    let ticket = TicketId::fresh();
    let ask = || guest.view(caller(None, ticket, "reader"), 0, |_| -> Result<(), Error> { panic!("on purpose") });
    while ask().progress == Access::Yielded {}
    assert_eq!(guest.work(ticket).wake, ["reader"]);
    assert_eq!(ask().progress, Access::Refused(Error::Stopped));
    assert_eq!(guest.status(), Status::Stopped);
}
