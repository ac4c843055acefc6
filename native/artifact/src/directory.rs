//! Sealed code in the files of a directory.
//!
//! Several processes may use one directory. A file is written aside and gets its name when it is whole, so that nobody sees
//! a part of one; it is never written again. A file that is damaged, or of a version that was installed before, is replaced.

use crate::key::Key;
use crate::sealed::{self, Refused, SealedFile};
use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::geteuid;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How the names of files end that are whole.
const WHOLE: &str = "code";

/// And of those that are being written.
const PART: &str = "part";

/// A file that was begun before is what somebody left who was killed.
const LEFT: Duration = Duration::from_secs(3600);

/// A directory with compiled code.
pub struct Directory {
    path: PathBuf,
    key: Key,
    most_bytes: u64,
}

impl Directory {
    /// A directory whose files may take so many bytes together. It is made where there is none.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn open(path: &Path, key: Key, most_bytes: u64) -> io::Result<Directory> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let directory = Directory { path: path.to_owned(), key, most_bytes };
        let (part, _) = directory.begin()?;
        fs::remove_file(part)?;
        Ok(directory)
    }

    /// The code of that name: a copy in memory that nobody can change, so that nothing that happens to the file, or to the disk, is
    /// seen by who uses the code. `None` where there is none.
    ///
    /// # Errors
    /// [`Refused`] where there is something that is not to be used, or no room for it.
    pub fn get(&self, name: &str, label: &[u8]) -> Result<Option<SealedFile>, Refused> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(self.file(name));
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let about = file.metadata()?;
        if !about.is_file() || about.uid() != geteuid().as_raw() || about.mode() & 0o022 != 0 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can write it, or it is no file").into());
        }
        let memory =
            memfd_create("hb_wasm64_code", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(io::Error::from)?;
        let mut copy = File::from(memory);
        io::copy(&mut (&mut file).take(about.len()), &mut copy)?;
        fcntl_add_seals(&copy, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
            .map_err(io::Error::from)?;
        // It was used just now; where that cannot be noted it goes sooner.
        let _ = file.set_modified(SystemTime::now());
        SealedFile::open(&self.key, label, copy).map(Some)
    }

    /// Writes code under a name, in the place of what is there, and makes room for it.
    ///
    /// # Errors
    /// Where it cannot be written; then nothing is left of it. And where it is larger than all files may be.
    pub fn put(&self, name: &str, label: &[u8], code: &[u8], about: &[u8]) -> io::Result<()> {
        let trailer = sealed::seal(&self.key, label, code, about);
        let size = [code, about, &trailer].iter().map(|part| part.len() as u64).sum::<u64>();
        if size > self.most_bytes {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{size} bytes are more than all files may have"),
            ));
        }
        let whole = self.file(name);
        self.make_room(size, &whole)?;
        let (part, mut file) = self.begin()?;
        let written = [code, about, &trailer].iter().try_for_each(|bytes| file.write_all(bytes));
        // Some file systems tell only then that there was no room.
        let named = written.and_then(|()| file.sync_data()).and_then(|()| fs::rename(&part, &whole));
        if named.is_err() {
            let _ = fs::remove_file(&part);
        }
        named
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.{WHOLE}"))
    }

    /// A new file that is to be written.
    fn begin(&self) -> io::Result<(PathBuf, File)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);

        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = self.path.join(format!("{}-{number}.{PART}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                // Another process had the same number, in another container or before.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map(|file| (path, file)),
            }
        }
    }

    /// Removes files, those first that were not used for the longest, until so many bytes more are allowed; and what was left by
    /// somebody who was killed. A file that is in use stays readable for who uses it.
    fn make_room(&self, bytes: u64, replaced: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // One that another process has removed meanwhile makes room, too.
            let Ok((about, entry)) = entry.and_then(|entry| Ok((entry.metadata()?, entry))) else { continue };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            // What is not ours is left alone, whatever it is called.
            if !about.is_file() || about.uid() != geteuid().as_raw() {
                continue;
            }
            if is_part(&entry) && SystemTime::now().duration_since(used).is_ok_and(|age| age > LEFT) {
                let _ = fs::remove_file(entry.path());
            } else if is_whole(&entry) && entry.path() != replaced {
                files.push((used, about.len(), entry.path()));
            }
        }
        files.sort_unstable();
        let mut all: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, path) in files {
            if all.saturating_add(bytes) <= self.most_bytes {
                break;
            }
            let _ = fs::remove_file(path);
            all -= size;
        }
        Ok(())
    }
}

/// What comes before the end of a name, in parts.
fn parts(entry: &DirEntry, end: &str) -> Option<Vec<String>> {
    let name = entry.file_name().into_string().ok()?;
    let stem = name.strip_suffix(end)?.strip_suffix('.')?;
    Some(stem.split('-').map(str::to_owned).collect())
}

/// Whether this is what [`Directory::begin`] calls a file.
fn is_part(entry: &DirEntry) -> bool {
    let is_number = |part: &String| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts(entry, PART).is_some_and(|parts| parts.len() == 2 && parts.iter().all(is_number))
}

/// Whether this is a file of a name that [`Directory::put`] was given: two hexadecimal numbers.
fn is_whole(entry: &DirEntry) -> bool {
    let is_hex = |part: &String| part.len() >= 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts(entry, WHOLE).is_some_and(|parts| parts.len() == 2 && parts.iter().all(is_hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;
    use tempfile::TempDir;
    use wasmtime::{Engine, Instance, Module, Store};

    const LABEL: &[u8] = b"label";

    struct Place {
        root: TempDir,
    }

    impl Place {
        fn new() -> Place {
            Place { root: tempfile::tempdir().unwrap() }
        }

        fn directory_with(&self, key: &str, most_bytes: u64) -> Directory {
            let key = Key::of_file(&self.root.path().join(key)).unwrap();
            Directory::open(&self.path(), key, most_bytes).unwrap()
        }

        fn directory(&self) -> Directory {
            self.directory_with("key", u64::MAX)
        }

        fn path(&self) -> PathBuf {
            self.root.path().join("code")
        }

        fn names(&self) -> Vec<String> {
            let names =
                fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            // Of whole files their letter.
            let short = |name: String| if name.len() > 64 { name[..1].to_owned() } else { name };
            let mut names: Vec<_> = names.map(short).collect();
            names.sort();
            names
        }

        fn file(&self, letter: &str) -> PathBuf {
            self.path().join(format!("{}.code", name(letter)))
        }
    }

    /// As whole files are called.
    fn name(letter: &str) -> String {
        format!("{}-0123456789abcdef", letter.repeat(64))
    }

    fn found(directory: &Directory, letter: &str) -> Result<Option<Vec<u8>>, String> {
        let found = directory.get(&name(letter), LABEL).map_err(|error| error.to_string())?;
        Ok(found.map(|found| found.about))
    }

    fn about(directory: &Directory, letter: &str) -> Option<Vec<u8>> {
        found(directory, letter).unwrap()
    }

    fn refusal(directory: &Directory, letter: &str) -> String {
        found(directory, letter).unwrap_err()
    }

    #[test]
    fn a_module_comes_back_from_its_file_and_runs() {
        let (place, engine) = (Place::new(), Engine::default());
        let wasm = wat::parse_str(
            r#"(module (memory (export "m") 1) (data (i32.const 7) "seven")
                (func (export "f") (result i32) (i32.load8_u (i32.const 7))))"#,
        );
        let code = Module::new(&engine, wasm.unwrap()).unwrap().serialize().unwrap();
        place.directory().put(&name("a"), LABEL, &code, b"about").unwrap();
        let directory = place.directory();
        let sealed = directory.get(&name("a"), LABEL).unwrap().unwrap();
        assert_eq!(sealed.about, b"about");
        let module = sealed.module(&engine).unwrap();
        // It does not need its file.
        fs::write(place.file("a"), b"something else").unwrap();
        fs::remove_file(place.file("a")).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let function = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
        assert_eq!(function.call(&mut store, ()).unwrap(), i32::from(b's'));
        assert_eq!(about(&directory, "a"), None);
    }

    #[test]
    fn code_of_other_settings_is_incompatible() {
        let (place, engine) = (Place::new(), Engine::default());
        let code = Module::new(&engine, b"\0asm\x01\0\0\0").unwrap().serialize().unwrap();
        place.directory().put(&name("a"), LABEL, &code, b"").unwrap();
        let mut config = wasmtime::Config::new();
        config.consume_fuel(true);
        let sealed = place.directory().get(&name("a"), LABEL).unwrap().unwrap();
        let refused = sealed.module(&Engine::new(&config).unwrap()).err().unwrap();
        assert!(matches!(refused, Refused::Incompatible(_)), "{refused}");
    }

    #[test]
    fn a_file_with_another_byte_or_another_size_is_refused() {
        let place = Place::new();
        let directory = place.directory();
        let path = place.file("a");
        directory.put(&name("a"), LABEL, &[1; 100], &[2; 50]).unwrap();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            assert!(found(&directory, "a").is_err(), "{at}");
        }
        for size in 0..good.len() {
            fs::write(&path, &good[..size]).unwrap();
            assert!(found(&directory, "a").is_err(), "{size}");
        }
        fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert!(found(&directory, "a").is_err());
        fs::write(&path, &good).unwrap();
        assert_eq!(about(&directory, "a"), Some(vec![2; 50]));
    }

    #[test]
    fn what_was_sealed_with_another_key_or_for_something_else_is_refused() {
        let place = Place::new();
        let directory = place.directory();
        directory.put(&name("a"), LABEL, b"code", b"about").unwrap();
        assert!(refusal(&place.directory_with("other", 1000), "a").contains("another key"));
        let refused = directory.get(&name("a"), b"labe").err().unwrap();
        assert!(matches!(refused, Refused::WrongSeal), "{refused}");
        // Bytes cannot go from one part to another.
        fs::remove_file(place.file("a")).unwrap();
        directory.put(&name("a"), b"labe", b"lcode", b"about").unwrap();
        assert!(found(&directory, "a").is_err());
        // It is replaced.
        directory.put(&name("a"), LABEL, b"code", b"new").unwrap();
        assert_eq!(about(&directory, "a"), Some(b"new".to_vec()));
    }

    #[test]
    fn what_others_can_write_is_refused_whatever_its_seal() {
        let place = Place::new();
        let directory = place.directory();
        directory.put(&name("a"), LABEL, b"code", b"about").unwrap();
        let path = place.file("a");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(refusal(&directory, "a").contains("others can write it"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, place.file("b")).unwrap();
        assert!(found(&directory, "b").is_err());
        fs::create_dir(place.file("c")).unwrap();
        assert!(found(&directory, "c").is_err());
    }

    #[test]
    fn those_that_were_not_used_for_the_longest_make_room() {
        let place = Place::new();
        let size = 1000 + sealed::TRAILER_BYTES as u64;
        let directory = place.directory_with("key", 3 * size);
        let put = |letter: &str, age: u64| {
            directory.put(&name(letter), LABEL, &[1; 900], &[2; 100]).unwrap();
            let file = File::open(place.file(letter)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        put("a", 300);
        put("b", 200);
        put("c", 100);
        assert!(about(&directory, "a").is_some());
        put("d", 0);
        assert_eq!(place.names(), ["a", "c", "d"]);
        // One that is replaced takes no more.
        put("d", 0);
        assert_eq!(place.names(), ["a", "c", "d"]);
        let error = directory.put(&name("e"), LABEL, &[1; 4000], b"").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(place.names(), ["a", "c", "d"]);
    }

    #[test]
    fn what_a_killed_writer_left_goes_after_an_hour() {
        let place = Place::new();
        let directory = place.directory();
        for (name, age) in [("1-1.part", 3500), ("1-2.part", 3700)] {
            let file = File::create(place.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        fs::write(place.path().join("mine"), b"of somebody else").unwrap();
        for name in ["download.part", "1.part", "my.code"] {
            let file = File::create(place.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        directory.put(&name("a"), LABEL, b"code", b"about").unwrap();
        assert_eq!(place.names(), ["1-1.part", "1.part", "a", "download.part", "mine", "my.code"]);
    }

    #[test]
    fn many_may_read_and_write_at_once() {
        let place = Place::new();
        thread::scope(|scope| {
            for byte in 0..4 {
                let directory = place.directory();
                scope.spawn(move || {
                    for _ in 0..100 {
                        directory.put(&name("a"), LABEL, &[byte; 5000], &[byte; 10]).unwrap();
                        let about = about(&directory, "a").unwrap();
                        assert!(about.len() == 10 && about.iter().all(|other| *other == about[0]));
                    }
                });
            }
        });
        assert_eq!(place.names(), ["a"]);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_refused() {
        let place = Place::new();
        fs::write(place.path(), b"a file").unwrap();
        let key = Key::of_file(&place.root.path().join("key")).unwrap();
        assert!(Directory::open(&place.path(), key, 1000).is_err());
    }
}
