//! Artifacts, and where compiled code is kept.

use crate::atoms;
use crate::binaries::{copied, ok_bytes};
use crate::jobs;
use crate::loading::{Kept, Loaded};
use crate::options::Deadline;
use crate::steps;
use crate::terms::{self, binary};
use hb_wasm64_engine::LinkedImage;
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::images::{self, Source};
use rustler::{Atom, Binary, Encoder, Env, NifResult, ResourceArc, Term};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn path(bytes: Binary<'_>) -> PathBuf {
    OsStr::from_bytes(bytes.as_slice()).into()
}

/// The SHA-256 of the WebAssembly module.
#[rustler::nif]
fn image_hash<'a>(env: Env<'a>, image: ResourceArc<Loaded>) -> Term<'a> {
    binary(env, image.0.hash())
}

/// Has compiled code kept on disk: `ok`, or `{error, {host, Text}}`.
#[rustler::nif(schedule = "DirtyIo")]
fn keep_on_disk<'a>(env: Env<'a>, directory: Binary<'a>, key: Binary<'a>, most_bytes: u64) -> Term<'a> {
    match images::keep_on_disk(&path(directory), &path(key), most_bytes) {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => terms::error(env, &error),
    }
}

/// Has none kept.
#[rustler::nif]
fn keep_nothing_on_disk() -> Atom {
    images::keep_nothing_on_disk();
    atoms::ok()
}

/// `{wait, Job}`, and `{ok, Artifact}` in a message.
#[rustler::nif]
fn artifact<'a>(
    env: Env<'a>,
    reference: Term<'a>,
    deadline: Deadline,
    image: ResourceArc<Loaded>,
    key: Binary<'a>,
) -> NifResult<Term<'a>> {
    if deadline.is_over() {
        return Ok(steps::timeout(env));
    }
    let (key, bytes) = (path(key), image.0.source().len() as u64);
    let make = move |cancelled: &AtomicBool| copied(&images::artifact(&image.0, &key, cancelled)?);
    Ok(jobs::run(env, reference, bytes, make, ok_bytes))
}

/// `{wait, Job}`, and `{ok, Image}` in a message.
#[rustler::nif]
fn load_artifact<'a>(
    env: Env<'a>,
    reference: Term<'a>,
    deadline: Deadline,
    artifact: Term<'a>,
    key: Binary<'a>,
) -> NifResult<Term<'a>> {
    if deadline.is_over() {
        return Ok(steps::timeout(env));
    }
    let bytes = artifact.decode::<Binary<'_>>()?.len() as u64;
    let (key, kept) = (path(key), Kept::new(artifact));
    let load = move |_: &AtomicBool| {
        let mut image = Err(Error::Cancelled);
        kept.with(&mut |bytes| image = images::of_artifact(bytes, &key));
        image
    };
    Ok(jobs::run(env, reference, bytes, load, ok_image))
}

fn ok_image(env: Env<'_>, image: Arc<LinkedImage>) -> Term<'_> {
    (atoms::ok(), ResourceArc::new(Loaded(image))).encode(env)
}
