//! Tells the engine what it is built from: compiled code that another build has kept is not for this one.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

/// What decides how an image is rewritten and compiled, and what is known of it.
const SOURCES: [&str; 10] = [
    "../artifact/src",
    "../engine/src",
    "../host/src",
    "../rewrite/src",
    "../artifact/Cargo.toml",
    "../engine/Cargo.toml",
    "../host/Cargo.toml",
    "../rewrite/Cargo.toml",
    "../../Cargo.toml",
    "../../Cargo.lock",
];

fn main() -> io::Result<()> {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        collect(&own.join(source), &mut files)?;
    }
    files.sort();
    // It has no random keys: the same sources give the same number.
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write(&fs::read(file)?);
        hasher.write_u8(0xff);
    }
    println!("cargo::rustc-env=HB_WASM64_SOURCES={:016x}", hasher.finish());
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}
