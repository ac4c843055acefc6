//! Code, what is known of it, and the seal of both.
//!
//! ```text
//! code                 as wasmtime serializes a module
//! about                what its owner knows of it
//! length of the code   u64, little-endian like all numbers
//! length of about      u64
//! name of the key      8 bytes
//! seal                 32 bytes: a keyed hash of label, code and about, each behind its length
//! magic                8 bytes
//! ```
//!
//! The label is not among the bytes: who opens it says what they are to be, so that one thing cannot take another's place.

use crate::key::{Key, NAME_BYTES};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use thiserror::Error;

const MAGIC: [u8; 8] = *b"hbw64\x00\x00\x01";
const SEAL_BYTES: usize = 32;
pub(crate) const TRAILER_BYTES: usize = 16 + NAME_BYTES + SEAL_BYTES + MAGIC.len();

/// Bytes that may be known of code.
const ABOUT_BYTES: u64 = 512 << 20;

/// Why bytes are not what they are to be.
#[derive(Debug, Error)]
pub enum Refused {
    /// They cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// They are something else, or not whole.
    #[error("this is no compiled image of hb_wasm64, or not a whole one")]
    Unknown,
    /// They were sealed elsewhere.
    #[error("it was sealed with another key")]
    OtherKey,
    /// They have changed since they were sealed, or are of something else than was asked for.
    #[error("its seal is not right: it is damaged, or of another image or version")]
    WrongSeal,
    /// The engine does not take them.
    #[error("{0}")]
    Incompatible(String),
}

/// What comes behind code and `about`, so that they are sealed.
pub fn seal(key: &Key, label: &[u8], code: &[u8], about: &[u8]) -> Vec<u8> {
    let mut hasher = labelled(key, label);
    for part in [code, about] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    trailer.extend_from_slice(&(code.len() as u64).to_le_bytes());
    trailer.extend_from_slice(&(about.len() as u64).to_le_bytes());
    trailer.extend_from_slice(&key.name());
    trailer.extend_from_slice(hasher.finalize().as_bytes());
    trailer.extend_from_slice(&MAGIC);
    trailer
}

fn labelled(key: &Key, label: &[u8]) -> blake3::Hasher {
    let mut hasher = key.hasher();
    hasher.update(&(label.len() as u64).to_le_bytes());
    hasher.update(label);
    hasher
}

/// The trailer, taken apart.
struct Trailer {
    code: u64,
    about: u64,
    key: [u8; NAME_BYTES],
    seal: [u8; SEAL_BYTES],
}

impl Trailer {
    /// Of something of so many bytes.
    fn parse(mut bytes: &[u8], size: u64) -> Result<Trailer, Refused> {
        let mut trailer = Trailer { code: 0, about: 0, key: [0; NAME_BYTES], seal: [0; SEAL_BYTES] };
        let (mut code, mut about, mut magic) = ([0; 8], [0; 8], [0; MAGIC.len()]);
        for field in [&mut code[..], &mut about, &mut trailer.key, &mut trailer.seal, &mut magic] {
            bytes.read_exact(field).map_err(|_| Refused::Unknown)?;
        }
        (trailer.code, trailer.about) = (u64::from_le_bytes(code), u64::from_le_bytes(about));
        let all = trailer.code.checked_add(trailer.about).and_then(|all| all.checked_add(TRAILER_BYTES as u64));
        let is_whole = magic == MAGIC && all == Some(size) && trailer.about <= ABOUT_BYTES;
        if is_whole { Ok(trailer) } else { Err(Refused::Unknown) }
    }
}

/// Bytes that have the right seal.
pub struct Sealed<'a> {
    /// The code.
    pub(crate) code: &'a [u8],
    /// What is known of it.
    pub about: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Takes bytes apart that were sealed under a label.
    ///
    /// # Errors
    /// [`Refused`] where they are not whole, or the seal is not right.
    pub fn open(key: &Key, label: &[u8], bytes: &'a [u8]) -> Result<Sealed<'a>, Refused> {
        let trailer = bytes.len().checked_sub(TRAILER_BYTES).and_then(|at| bytes.get(at..)).ok_or(Refused::Unknown)?;
        let trailer = Trailer::parse(trailer, bytes.len() as u64)?;
        if trailer.key != key.name() {
            return Err(Refused::OtherKey);
        }
        let code = usize::try_from(trailer.code).map_err(|_| Refused::Unknown)?;
        let (code, rest) = bytes.split_at_checked(code).ok_or(Refused::Unknown)?;
        let about = rest.get(..rest.len() - TRAILER_BYTES).ok_or(Refused::Unknown)?;
        let mut hasher = labelled(key, label);
        for part in [code, about] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        // Compared in constant time.
        if hasher.finalize() == trailer.seal { Ok(Sealed { code, about }) } else { Err(Refused::WrongSeal) }
    }
}

/// Bytes that have the right seal, in memory that nobody can change any more.
pub struct SealedFile {
    pub(crate) file: File,
    /// What is known of the code.
    pub about: Vec<u8>,
}

impl SealedFile {
    /// The same as [`Sealed::open`] for a file.
    pub(crate) fn open(key: &Key, label: &[u8], mut file: File) -> Result<SealedFile, Refused> {
        let size = file.metadata()?.len();
        let mut trailer = [0; TRAILER_BYTES];
        file.seek(SeekFrom::Start(size.checked_sub(TRAILER_BYTES as u64).ok_or(Refused::Unknown)?))?;
        file.read_exact(&mut trailer)?;
        let trailer = Trailer::parse(&trailer, size)?;
        if trailer.key != key.name() {
            return Err(Refused::OtherKey);
        }
        file.seek(SeekFrom::Start(0))?;
        let mut hasher = labelled(key, label);
        hasher.update(&trailer.code.to_le_bytes());
        hasher.update_reader((&mut file).take(trailer.code))?;
        let mut about = Vec::new();
        let size = usize::try_from(trailer.about).map_err(|_| Refused::Unknown)?;
        about.try_reserve_exact(size).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        (&mut file).take(trailer.about).read_to_end(&mut about)?;
        hasher.update(&trailer.about.to_le_bytes());
        hasher.update(&about);
        if hasher.finalize() == trailer.seal { Ok(SealedFile { file, about }) } else { Err(Refused::WrongSeal) }
    }
}
