//! Images whose compiled code is on disk.
//!
//! It is a cache and never state: what is there is what would be compiled. The name of a file is that of the image and of all
//! that decides about its code: this library's sources and settings, and what the processor can do. So several nodes, of
//! several versions, may use one directory.

use crate::config::{self, EngineKind};
use crate::error::Error;
use crate::image::{Compiled, Hash, Known};
use crate::task::LinkedImage;
use hb_wasm64_artifact::{Directory, Key, Refused};
use parking_lot::{Mutex, RwLock};
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash as _, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

static PLACE: RwLock<Option<Place>> = RwLock::new(None);

/// Where code is kept.
struct Place {
    path: PathBuf,
    key: PathBuf,
    most_bytes: u64,
    directory: Arc<Directory>,
}

/// Something could not be written; that is told once.
static IS_FULL: AtomicBool = AtomicBool::new(false);

/// Keeps compiled code in a directory from now on, sealed with the key in a file, both of which are made where they are not
/// there. Its files take so many bytes together at most. Takes as long as the disk does.
///
/// # Errors
/// [`Error::Host`] where that cannot be; then nothing is kept on disk.
pub fn keep_on_disk(path: &Path, key: &Path, most_bytes: u64) -> Result<(), Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    let _one = ONE_AT_A_TIME.lock();
    let is_same = |place: &Place| (&*place.path, &*place.key, place.most_bytes) == (path, key, most_bytes);
    if PLACE.read().as_ref().is_some_and(is_same) {
        return Ok(());
    }
    *PLACE.write() = None;
    let failed = |error: std::io::Error| Error::Host(error.to_string());
    let opened = Directory::open(path, Key::of_file(key).map_err(failed)?, most_bytes);
    let directory = opened.map_err(|error| Error::Host(format!("{}: {error}", path.display())))?;
    IS_FULL.store(false, Ordering::Relaxed);
    *PLACE.write() = Some(Place { path: path.into(), key: key.into(), most_bytes, directory: Arc::new(directory) });
    Ok(())
}

/// Keeps no compiled code on disk from now on. What is there stays.
pub fn keep_nothing_on_disk() {
    *PLACE.write() = None;
}

/// Whether there is a directory to look in.
pub(super) fn is_kept() -> bool {
    PLACE.read().is_some()
}

fn directory() -> Option<Arc<Directory>> {
    PLACE.read().as_ref().map(|place| place.directory.clone())
}

/// The image whose code is there. What cannot be used is reported, and compiled anew.
pub(super) fn load(hash: &Hash, bytes: &[u8]) -> Option<LinkedImage> {
    let directory = directory()?;
    let label = label(hash)?;
    match load_from(&directory, &label, hash, bytes) {
        Ok(image) => image,
        Err(text) => {
            log::warn!("compiled code of an image is not used, which is compiled again: {text}");
            None
        }
    }
}

fn load_from(directory: &Directory, label: &str, hash: &Hash, bytes: &[u8]) -> Result<Option<LinkedImage>, String> {
    let text = |error: Refused| error.to_string();
    let Some(found) = directory.get(label, label.as_bytes()).map_err(text)? else { return Ok(None) };
    let known: Known = postcard::from_bytes(&found.about).map_err(|error| error.to_string())?;
    let engine = known.engine().map_err(|error| error.to_string())?;
    let module = found.module(engine).map_err(text)?;
    let image = LinkedImage::of(*hash, bytes, Compiled { module, known });
    image.map(Some).map_err(|error| error.to_string())
}

/// What is to be kept of an image that has been compiled.
pub(super) struct Kept {
    hash: Hash,
    module: wasmtime::Module,
    about: Vec<u8>,
}

/// Images that may wait to be written. Where a disk is slower than the compiler, others are not kept.
const WAITING: usize = 16;

impl Kept {
    /// `None` where nothing is kept.
    pub(super) fn of(hash: Hash, compiled: &Compiled) -> Option<Kept> {
        let about = is_kept().then(|| postcard::to_allocvec(&compiled.known).ok())??;
        Some(Kept { hash, module: compiled.module.clone(), about })
    }

    /// Has it written by a thread of its own: nobody waits for the disk.
    pub(super) fn save(self) {
        static WRITER: OnceLock<Option<SyncSender<Kept>>> = OnceLock::new();

        let writer = WRITER.get_or_init(|| {
            let (sender, receiver) = sync_channel::<Kept>(WAITING);
            let write = move || receiver.into_iter().for_each(Kept::write);
            thread::Builder::new().name("hb_wasm64_save".into()).spawn(write).ok().map(|_| sender)
        });
        if writer.as_ref().is_none_or(|writer| writer.try_send(self).is_err()) {
            log::info!("compiled code of an image is not kept on disk, which is behind");
        }
    }

    fn write(self) {
        let (Some(directory), Some(label)) = (directory(), label(&self.hash)) else { return };
        let code = self.module.serialize().map_err(|error| format!("{error:#}"));
        let put = |code: Vec<u8>| directory.put(&label, label.as_bytes(), &code, &self.about);
        let saved = code.and_then(|code| put(code).map_err(|error| error.to_string()));
        match saved {
            Ok(()) => IS_FULL.store(false, Ordering::Relaxed),
            Err(text) if IS_FULL.swap(true, Ordering::Relaxed) => {
                log::info!("compiled code of an image cannot be kept on disk: {text}");
            }
            Err(text) => log::warn!("compiled code of an image cannot be kept on disk: {text}"),
        }
    }
}

/// A number for all that decides about the code of an image, beside the image.
pub(super) fn settings() -> Result<u64, Error> {
    let engine = config::engine(EngineKind::default())?;
    let mut settings = DefaultHasher::new();
    env!("HB_WASM64_SOURCES").hash(&mut settings);
    // All kinds of engines have the same version and processor. What else they differ in follows from the image.
    engine.precompile_compatibility_hash().hash(&mut settings);
    Ok(settings.finish())
}

/// What a file is called, and what its seal is for. `None` where there can be no engine.
fn label(hash: &Hash) -> Option<String> {
    let settings = settings().ok()?;
    let mut label = String::with_capacity(2 * hash.len() + 17);
    for byte in hash {
        write!(label, "{byte:02x}").ok()?;
    }
    write!(label, "-{settings:016x}").ok()?;
    Some(label)
}
