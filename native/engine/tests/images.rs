//! Preparing images: once for all who ask, and with a reason where it fails.

// Helpers of tests are tests, too; `clippy.toml` excepts only what is marked as one.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::image::{Image, hash};
use hb_wasm64_engine::images;
use std::sync::Arc;
use std::sync::mpsc::channel;

fn refused(bytes: &[u8]) -> Error {
    match Image::compile(hash(bytes), bytes) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

#[test]
fn an_image_is_compiled_once_however_many_ask_at_the_same_time() {
    let bytes: Arc<[u8]> = wat::parse_str(r#"(module (func (export "once")))"#).unwrap().into();
    let (sender, receiver) = channel();
    for _ in 0..20 {
        let (bytes, sender) = (bytes.clone(), sender.clone());
        images::spawn(move || {
            images::prepare(hash(&bytes), &bytes, Box::new(move |image| sender.send(image.unwrap()).unwrap()))
        })
        .unwrap();
    }
    let prepared: Vec<Arc<Image>> = receiver.iter().take(20).collect();
    assert!(prepared.iter().all(|image| Arc::ptr_eq(image, &prepared[0])));
    assert!(images::cached(&hash(&bytes)).is_some_and(|image| Arc::ptr_eq(&image, &prepared[0])));
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
    assert!(Image::compile(hash(&twice), &twice).is_ok());
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
    let image = Image::compile(hash(&bytes), &bytes).unwrap();
    let imports: Vec<String> = image.imports().iter().map(|import| import.signature_text.clone()).collect();
    assert_eq!(imports, ["(iIfF)v", "(eux)"]);
    let exports: Vec<(&str, &str)> = image.exports().iter().map(|export| (export.kind, export.name.as_str())).collect();
    assert_eq!(exports, [("func", "z"), ("memory", "y"), ("table", "x"), ("global", "w"), ("tag", "v")]);
}
