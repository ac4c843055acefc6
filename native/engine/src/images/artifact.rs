//! Artifacts: images with their compiled code, as bytes that somebody else keeps.
//!
//! They contain the image itself, so that its instances have the state, the hash and the results of any other, and nothing else than
//! the time of its first start is different.

use super::{IMAGES, disk};
use crate::error::{Error, Limit};
use crate::image::{self, Compiled, Known};
use crate::limits::NODE_IMAGE_BYTES;
use crate::task::LinkedImage;
use hb_wasm64_artifact::{Key, Refused, Sealed, seal};
use serde_derive::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What their seals are for.
const LABEL: &[u8] = b"hb_wasm64 artifact";

/// How WebAssembly begins, and what is no artifact.
const WASM: &[u8] = b"\0asm";
const WAMR: &[u8] = b"\0aot";

/// What stands beside the code.
#[derive(Serialize, Deserialize)]
struct About<'a> {
    settings: u64,
    #[serde(borrow)]
    known: &'a [u8],
    source: &'a [u8],
}

/// The artifact of an image, sealed with the key in a file, which is made where there is none. Takes some milliseconds for each
/// megabyte, and ends early once the flag is up.
///
/// # Errors
/// [`Error::Host`] where there is no key, or no room; [`Error::Cancelled`].
pub fn artifact(image: &LinkedImage, key: &Path, cancelled: &AtomicBool) -> Result<Vec<u8>, Error> {
    let go_on = || if cancelled.load(Ordering::Acquire) { Err(Error::Cancelled) } else { Ok(()) };
    let host = |text: String| Error::Host(text);
    let key = Key::of_file(key).map_err(|error| host(error.to_string()))?;
    let (known, _) = Known::of(image.source(), &go_on)?;
    let known = postcard::to_allocvec(&known).map_err(|error| host(error.to_string()))?;
    let about = About { settings: disk::settings()?, known: &known, source: image.source() };
    let mut room = Vec::new();
    room.try_reserve_exact(known.len() + image.source().len() + 64).map_err(|error| host(error.to_string()))?;
    let about = postcard::to_extend(&about, room).map_err(|error| host(error.to_string()))?;
    go_on()?;
    let mut code = image.module().serialize().map_err(|error| host(format!("{error:#}")))?;
    let trailer = seal(&key, LABEL, &code, &about);
    code.try_reserve_exact(about.len() + trailer.len()).map_err(|error| host(error.to_string()))?;
    code.extend_from_slice(&about);
    code.extend_from_slice(&trailer);
    Ok(code)
}

/// The image of an artifact that was sealed with the key in a file.
///
/// # Errors
/// [`Error::InvalidArtifact`] where it is none, is damaged, was sealed with another key, or compiled by another version or for
/// another processor: nothing of it has been run then. [`Error::Limit`] where its image is larger than any may be;
/// [`Error::Host`] where there is no key.
pub fn of_artifact(bytes: &[u8], key: &Path) -> Result<Arc<LinkedImage>, Error> {
    let invalid = |text: &str| Error::InvalidArtifact(text.into());
    if bytes.starts_with(WASM) {
        return Err(invalid("this is a WebAssembly module, which has to be compiled first"));
    }
    if bytes.starts_with(WAMR) {
        return Err(invalid(
            "this is an AOT file of WAMR, which only that can run; compile the WebAssembly module here",
        ));
    }
    let refused = |error: Refused| Error::InvalidArtifact(error.to_string());
    let key = Key::of_file(key).map_err(|error| Error::Host(error.to_string()))?;
    let sealed = Sealed::open(&key, LABEL, bytes).map_err(refused)?;
    let about =
        postcard::from_bytes::<About<'_>>(sealed.about).map_err(|_| invalid("it was made by another version"))?;
    if about.settings != disk::settings()? {
        return Err(invalid("it was compiled by another version of hb_wasm64, or for another processor"));
    }
    if about.source.len() as u64 > NODE_IMAGE_BYTES.get() {
        return Err(Error::Limit(Limit::Image));
    }
    let hash = image::hash(about.source);
    if let Some(image) = super::cached(&hash) {
        return Ok(image);
    }
    let known: Known = postcard::from_bytes(about.known).map_err(|error| Error::InvalidArtifact(error.to_string()))?;
    let module = sealed.module(known.engine()?).map_err(refused)?;
    let image = Arc::new(LinkedImage::of(hash, about.source, Compiled { module, known })?);
    let mut images = IMAGES.lock();
    // Somebody else may have been faster: one is enough.
    if let Some(other) = images.cache.get(&hash) {
        drop(images);
        return Ok(other);
    }
    images.cache.keep(image.clone());
    drop(images);
    Ok(image)
}
