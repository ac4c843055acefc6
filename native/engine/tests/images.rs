//! Preparing images: once for all who ask, and with a reason where it fails.

// Helpers of tests are tests, too; `clippy.toml` excepts only what is marked as one.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use hb_wasm64_engine::LinkedImage;
use hb_wasm64_engine::error::{Error, Limit};
use hb_wasm64_engine::image::hash;
use hb_wasm64_engine::images::{self, Done, Prepared, Request, Source};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

fn refused(bytes: &[u8]) -> Error {
    match LinkedImage::compile(hash(bytes), bytes) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

/// Bytes that tell when they are let go.
struct Bytes(Arc<[u8]>, Option<Sender<()>>);

impl Source for Bytes {
    fn with(&self, look: &mut dyn FnMut(&[u8])) {
        look(&self.0);
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Some(gone) = self.1.take() {
            let _ = gone.send(());
        }
    }
}

/// A module whose functions compile for long: as many as that, of a kilobyte each.
fn large(functions: usize) -> Vec<u8> {
    let step = "(local.set 0 (i32.xor (local.get 0) (i32.mul (local.get 0) (i32.const 40503))))";
    let function = format!("(func (param i32) (result i32) {} (local.get 0))", step.repeat(90));
    wat::parse_str(format!("(module {})", function.repeat(functions))).unwrap()
}

/// The same module as one that nobody has asked for yet.
fn fresh(bytes: &[u8], number: u8) -> Arc<[u8]> {
    [bytes, &[0, 3, 1, b'x', number]].concat().into()
}

fn ask(bytes: &Arc<[u8]>, done: Done) -> Request {
    match images::prepare(Box::new(bytes.clone()), done).unwrap() {
        Prepared::Waiting(request) => request,
        Prepared::Ready(_) => panic!("known"),
    }
}

#[test]
fn an_image_is_compiled_once_however_many_ask_at_the_same_time() {
    let bytes: Arc<[u8]> = wat::parse_str(r#"(module (func (export "once")))"#).unwrap().into();
    let (sender, receiver) = channel();
    for _ in 0..20 {
        let done = sender.clone();
        let done = Box::new(move |image: Result<Arc<LinkedImage>, Error>| done.send(image.unwrap()).unwrap());
        if let Prepared::Ready(image) = images::prepare(Box::new(bytes.clone()), done).unwrap() {
            sender.send(image).unwrap();
        }
    }
    let prepared: Vec<Arc<LinkedImage>> = receiver.iter().take(20).collect();
    assert!(prepared.iter().all(|image| Arc::ptr_eq(image, &prepared[0])));
    assert!(images::cached(&hash(&bytes)).is_some_and(|image| Arc::ptr_eq(&image, &prepared[0])));
}

#[test]
fn an_image_too_large_to_be_hashed_by_who_asks_is_compiled_once_too() {
    // Mostly a custom section of 5 MiB.
    let bytes: Arc<[u8]> = [&large(20)[..], &[0, 0x81, 0x80, 0xc0, 0x02, 0], &vec![7; 5 << 20]].concat().into();
    let (sender, receiver) = channel();
    for _ in 0..3 {
        let done = sender.clone();
        ask(&bytes, Box::new(move |image| done.send(image.unwrap()).unwrap()));
    }
    let prepared: Vec<Arc<LinkedImage>> = receiver.iter().take(3).collect();
    assert!(prepared.iter().all(|image| Arc::ptr_eq(image, &prepared[0])));
}

#[test]
fn an_image_that_nobody_waits_for_any_more_is_not_compiled_to_its_end() {
    // Each takes seconds.
    let large = large(2000);
    let (sender, receiver) = channel();
    let mut hashes = Vec::new();
    for number in 1..=12 {
        let (let_go, done) = (sender.clone(), sender.clone());
        let fresh = fresh(&large, number);
        hashes.push(hash(&fresh));
        let done = Box::new(move |_| done.send(()).unwrap());
        let bytes = Box::new(Bytes(fresh, Some(let_go)));
        let Prepared::Waiting(request) = images::prepare(bytes, done).unwrap() else { panic!("known") };
        // Some are being compiled by then, the others wait.
        std::thread::sleep(Duration::from_millis(10));
        request.withdraw();
    }
    drop(sender);
    // The bytes of each are let go, and nobody is told of an image.
    assert_eq!(receiver.iter().count(), 12);
    // What has been compiled to its end is kept.
    let compiled = hashes.iter().filter(|hash| images::cached(hash).is_some()).count();
    assert!(compiled < 6, "{compiled} of 12 images were compiled");
}

#[test]
fn who_still_waits_gets_the_image_that_others_have_stopped_to_wait_for() {
    let bytes = fresh(&large(1000), 100);
    let (sender, receiver) = channel();
    let first = ask(&bytes, Box::new(|_| panic!("told")));
    let second = ask(&bytes, Box::new(move |image| sender.send(image.unwrap()).unwrap()));
    first.withdraw();
    first.withdraw();
    assert_eq!(receiver.recv().unwrap().hash(), &hash(&bytes));
    second.withdraw();
    assert!(images::cached(&hash(&bytes)).is_some());
}

#[test]
fn an_image_that_was_abandoned_can_be_had_later() {
    let bytes = fresh(&large(1000), 101);
    ask(&bytes, Box::new(|_| panic!("told"))).withdraw();
    let (sender, receiver) = channel();
    ask(&bytes, Box::new(move |image| sender.send(image.is_ok()).unwrap()));
    assert!(receiver.recv().unwrap());
}

#[test]
fn a_small_image_is_not_held_up_by_large_ones() {
    // Each takes seconds.
    let large = large(2000);
    let small: Arc<[u8]> = wat::parse_str(r#"(module (func (export "small")))"#).unwrap().into();
    let (sender, receiver) = channel();
    let told = |name: &'static str| -> Done {
        let sender = sender.clone();
        Box::new(move |_| sender.send(name).unwrap())
    };
    let requests: Vec<Request> = (200..212).map(|number| ask(&fresh(&large, number), told("large"))).collect();
    ask(&small, told("small"));
    let before = receiver.iter().take_while(|name| *name == "large").count();
    requests.iter().for_each(Request::withdraw);
    assert!(before <= 6, "{before} large images came first");
}

#[test]
fn an_image_of_more_than_256_mib_is_refused_by_its_size() {
    let bytes: Arc<[u8]> = vec![0; (256 << 20) + 1].into();
    let refused = images::prepare(Box::new(bytes), Box::new(|_| panic!("told")));
    assert_eq!(refused.err(), Some(Error::Limit(Limit::Image)));
}

#[test]
fn what_is_no_module_is_told_from_what_is_one_that_cannot_run_here() {
    assert!(matches!(refused(b""), Error::InvalidModule(_)));
    assert!(matches!(refused(b"\0asm\x01\0\0\0\x01"), Error::InvalidModule(_)));
    assert!(matches!(refused(b"(module)"), Error::Unsupported(_)));
    assert!(matches!(refused(b"\0asm\x0d\0\x01\0"), Error::Unsupported(_)));
    assert!(matches!(refused(b"\x7fELF\x02\x01\x01"), Error::Unsupported(_)));
    let shared = wat::parse_str("(module (memory 1 2 shared))").unwrap();
    assert!(matches!(refused(&shared), Error::Unsupported(_)));
}

#[test]
fn an_import_that_is_no_function_or_has_two_types_cannot_be_linked() {
    let kinds = [
        (r#"(module (import "e" "x" (memory 1)))"#, "memory"),
        (r#"(module (import "e" "x" (table 1 funcref)))"#, "table"),
        (r#"(module (import "e" "x" (global i32)))"#, "global"),
        (r#"(module (import "e" "x" (tag (param i32))))"#, "tag"),
        (r#"(module (import "e" "x" (func)) (import "e" "x" (func (param i32))))"#, "func"),
    ];
    for (wat, kind) in kinds {
        let expected = Error::Link { module: "e".into(), name: "x".into(), kind };
        assert_eq!(refused(&wat::parse_str(wat).unwrap()), expected);
    }
    let twice = wat::parse_str(r#"(module (import "e" "x" (func)) (import "e" "x" (func)))"#).unwrap();
    assert!(LinkedImage::compile(hash(&twice), &twice).is_ok());
}

#[test]
fn a_module_is_described_in_its_own_order() {
    let bytes = wat::parse_str(
        r#"(module
            (import "a" "b" (func (param i32 i64 f32 f64) (result v128)))
            (import "c" "d" (func (param externref funcref exnref)))
            (func (export "z")) (memory (export "y") 1) (table (export "x") 1 funcref)
            (global (export "w") i32 (i32.const 0)) (tag (export "v")))"#,
    )
    .unwrap();
    let image = LinkedImage::compile(hash(&bytes), &bytes).unwrap();
    let imports: Vec<String> = image.imports().iter().map(|import| import.signature_text.clone()).collect();
    assert_eq!(imports, ["(iIfF)v", "(eux)"]);
    let exports: Vec<(&str, &str)> = image.exports().iter().map(|export| (export.kind, export.name.as_str())).collect();
    assert_eq!(exports, [("func", "z"), ("memory", "y"), ("table", "x"), ("global", "w"), ("tag", "v")]);
}
