//! The key that seals are made with.

use rustix::fs::OFlags;
use rustix::process::geteuid;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Bytes that tell keys apart.
pub(crate) const NAME_BYTES: usize = 8;

/// What a seal is made and recognized with.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// The key in a file, which is made where there is none: random bytes that only its owner can read.
    ///
    /// # Errors
    /// Where the file cannot be read or made, has not 32 bytes, belongs to somebody else than this process's user or root, or
    /// others than its owner and group may read it, or others than its owner may write it.
    pub fn of_file(path: &Path) -> io::Result<Key> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match Key::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Key::make(path).map_err(named)?;
                Key::read(path).map_err(named)
            }
            result => result.map_err(named),
        }
    }

    fn read(path: &Path) -> io::Result<Key> {
        let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
        let about = file.metadata()?;
        let refused = |text: &str| io::Error::new(io::ErrorKind::PermissionDenied, text.to_owned());
        if !about.is_file() {
            return Err(refused("a key is a file"));
        }
        if about.uid() != geteuid().as_raw() && about.uid() != 0 {
            return Err(refused("the key belongs to another user"));
        }
        if about.mode() & 0o027 != 0 {
            return Err(refused("others can read or write the key: its mode is to be 600"));
        }
        let mut bytes = Vec::new();
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let key = bytes.try_into().map_err(|_| io::Error::other("a key has 32 bytes"))?;
        Ok(Key(key))
    }

    /// Makes the file. One that somebody else makes meanwhile is left as it is.
    fn make(path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let (mut bytes, mut number) = ([0; KEY_BYTES], [0; 16]);
        let mut random = File::open("/dev/urandom")?;
        random.read_exact(&mut bytes)?;
        random.read_exact(&mut number)?;
        // Nobody else has a part of this name.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{:032x}", u128::from_le_bytes(number)));
        let part = Path::new(&name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
        let made = file.write_all(&bytes).and_then(|()| file.sync_all());
        // Only a whole key gets the name, and only where no other has it.
        let linked = made.and_then(|()| fs::hard_link(part, path));
        let _ = fs::remove_file(part);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Tells this key from others, and nothing else of it.
    pub(crate) fn name(&self) -> [u8; NAME_BYTES] {
        let derived = blake3::derive_key("hb_wasm64 2026 name of a key", &self.0);
        let mut name = [0; NAME_BYTES];
        name.iter_mut().zip(derived).for_each(|(to, from)| *to = from);
        name
    }

    /// A hash that only who has the key can make.
    pub(crate) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(path: &Path) -> [u8; NAME_BYTES] {
        Key::of_file(path).unwrap().name()
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b/key");
        let name = names(&path);
        assert_eq!(names(&path), name);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_ne!(names(&place.path().join("other")), name);
        // Nothing else is left there.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn many_who_make_it_at_once_have_the_same() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        fs::write(&path, [7; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let name = names(&path);
        Key::make(&path).unwrap();
        assert_eq!(names(&path), name);
        let new = place.path().join("new");
        let all: Vec<_> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..16).map(|_| scope.spawn(|| names(&new))).collect();
            made.into_iter().map(|made| made.join().unwrap()).collect()
        });
        assert!(all.iter().all(|name| *name == all[0]));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_is_no_key_or_that_others_can_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        for (mode, bytes, text) in [
            (0o600, 31, "a key has 32 bytes"),
            (0o600, 33, "a key has 32 bytes"),
            (0o644, 32, "others can read"),
            (0o620, 32, "others can read"),
        ] {
            fs::write(&path, vec![7; bytes]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Key::of_file(&path).err().unwrap().to_string();
            assert!(error.contains(text) && error.contains("key: "), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(&path, [7; 32]).unwrap();
        assert!(Key::of_file(&path).is_ok());
    }
}
