//! Tests of the file system: what Linux does, what it is like as bytes, and random programs against a model.

mod code;
mod confined;
mod descriptors;
mod names;
mod pipes;
mod random;
mod restored;

use super::flags::*;
use super::path::Follow;
use super::tree::FD_DIRECTORY;
use super::{Errno, Files};

const NOW: u64 = 1_700_000_000_123;
const HERE: i32 = AT_FDCWD;
const NEW: i32 = O_CREAT | O_RDWR;

/// Everything that the file system counts has to be what decoding counts.
#[track_caller]
pub(crate) fn check(files: &Files) {
    let bytes = encoded(files);
    assert_eq!(bytes.len(), files.encoded_size(), "another size than was told before");
    let decoded = Files::decode(&bytes).unwrap();
    assert_eq!(&decoded, files);
    assert_eq!(encoded(&decoded), bytes);
}

fn encoded(files: &Files) -> Vec<u8> {
    let mut bytes = Vec::new();
    files.encode(&mut bytes);
    bytes
}

/// A file with some contents, closed.
#[track_caller]
fn file(files: &mut Files, path: &str, contents: &[u8]) {
    let fd = files.open(HERE, path.as_bytes(), NEW | O_TRUNC, 0o644, NOW).unwrap();
    assert_eq!(files.write(fd, contents, NOW), Ok(contents.len()));
    files.close(fd).unwrap();
}

#[track_caller]
fn directory(files: &mut Files, path: &str) {
    files.make_directory(HERE, path.as_bytes(), 0o755, NOW).unwrap();
}

pub(crate) fn contents(files: &mut Files, path: &str) -> Result<Vec<u8>, Errno> {
    let fd = files.open(HERE, path.as_bytes(), 0, 0, NOW)?;
    let mut bytes = vec![0; 10_000];
    let count = files.read(fd, &mut bytes);
    files.close(fd).unwrap();
    bytes.truncate(count?);
    Ok(bytes)
}

fn list(files: &mut Files, path: &str) -> Vec<String> {
    let fd = files.open(HERE, path.as_bytes(), O_DIRECTORY, 0, NOW).unwrap();
    let names = list_open(files, fd, usize::MAX);
    files.close(fd).unwrap();
    names
}

fn list_open(files: &mut Files, fd: i32, most: usize) -> Vec<String> {
    let mut names = Vec::new();
    files
        .list(fd, |entry| {
            let takes = names.len() < most;
            if takes {
                names.push(String::from_utf8_lossy(entry.name).into_owned());
            }
            takes
        })
        .unwrap();
    names
}

#[test]
fn a_new_instance_finds_what_emscripten_has_made() {
    let mut files = Files::new();
    check(&files);
    assert_eq!(list(&mut files, "/"), [".", "..", "tmp", "home", "dev", "proc", "data"]);
    assert_eq!(list(&mut files, "/dev"), [".", "..", "null", "tty", "tty1", "shm", "stdin", "stdout", "stderr"]);
    assert_eq!(files.stat(HERE, b"/proc/self/fd", 0).unwrap().inode, FD_DIRECTORY);
    assert_eq!(files.stat(HERE, b"/home/web_user", 0).unwrap().mode, S_IFDIR | 0o777);
    assert_eq!(files.stat(HERE, b"/dev/urandom", 0), Err(Errno::NOENT));
    assert_eq!(files.working_directory(), Ok(b"/".to_vec()));
    assert_eq!((0..4).map(|fd| files.is_open(fd)).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(files.open(HERE, b"a", NEW, 0o600, NOW), Ok(3));
}

#[test]
fn descriptors_are_listed_and_followed() {
    let mut files = Files::new();
    directory(&mut files, "/a");
    file(&mut files, "/a/b", b"text");
    let fd = files.open(HERE, b"/a/b", 0, 0, NOW).unwrap();
    assert_eq!(list(&mut files, "/proc/self/fd"), [".", "..", "0", "1", "2", "3", "4"]);
    assert_eq!(files.read_link(HERE, b"/proc/self/fd/3"), Ok(b"/a/b".to_vec()));
    assert_eq!(files.read_link(HERE, b"/proc/self/fd/0"), Ok(b"/dev/tty".to_vec()));
    assert_eq!(contents(&mut files, "/proc/self/fd/3"), Ok(b"text".to_vec()));
    assert_eq!(files.read_link(HERE, b"/proc/self/fd/03"), Err(Errno::NOENT));
    assert_eq!(files.stat(HERE, b"/proc/self/fd/3", AT_SYMLINK_NOFOLLOW).unwrap().mode & S_IFMT, S_IFLNK);
    assert_eq!(files.stat(HERE, b"/proc/self/fd/3", 0), files.stat_open(fd));
    assert_eq!(files.unlink(HERE, b"/proc/self/fd/3", NOW), Err(Errno::PERM));
    assert_eq!(files.open(HERE, b"/proc/self/fd/9", NEW, 0, NOW), Err(Errno::PERM));
    assert_eq!(files.remove_directory(HERE, b"/proc/self/fd", NOW), Err(Errno::BUSY));
    assert_eq!(files.rename((HERE, b"/proc/self/fd"), (HERE, b"/x"), NOW), Err(Errno::BUSY));
    files.unlink(HERE, b"/a/b", NOW).unwrap();
    assert_eq!(files.read_link(HERE, b"/proc/self/fd/3"), Err(Errno::NOENT));
    assert!(files.walk(HERE, b"/proc/self/fd/3/x", Follow::Always).is_err());
    check(&files);
}

#[test]
fn output_is_bounded_and_no_state() {
    let mut files = Files::new();
    assert_eq!(files.write(1, b"out", NOW), Ok(3));
    assert_eq!(files.write(2, b"error", NOW), Ok(5));
    assert_eq!(files.output(), (&b"out"[..], &b"error"[..]));
    assert_eq!(files, Files::new());
    assert_eq!(encoded(&files), encoded(&Files::new()));
    let much = vec![b'x'; 3 << 20];
    assert_eq!(files.write(1, &much, NOW), Ok(3 << 20));
    assert_eq!(files.output().0.len(), 1 << 20);
    files.clear_output();
    assert_eq!(files.output(), (&b""[..], &b""[..]));
    assert_eq!(files.read(0, &mut [0; 4]), Ok(0));
    assert_eq!(files.seek(1, 0, SEEK_CUR), Err(Errno::SPIPE));
}

#[test]
fn there_is_no_more_space_than_a_gibibyte() {
    let mut files = Files::new();
    let fd = files.open(HERE, b"a", NEW, 0o600, NOW).unwrap();
    let before = files.clone();
    assert_eq!(files.allocate(fd, 0, 0, 1 << 31, NOW), Err(Errno::NOSPC));
    files.tree.bytes += files.tree.room() - 4200;
    assert_eq!(files.open(HERE, &[b'b'; 200], NEW, 0o600, NOW).and_then(|fd| files.close(fd)), Ok(()));
    assert_eq!(files.write(fd, b"12345", NOW), Err(Errno::NOSPC));
    assert_eq!(files.unlink(HERE, &[b'b'; 200], NOW), Ok(()));
    // What fits is written: a page.
    assert_eq!(files.seek(fd, 4093, SEEK_SET), Ok(4093));
    assert_eq!(files.write(fd, b"12345", NOW), Ok(3));
    assert_eq!(files.write(fd, b"45", NOW), Err(Errno::NOSPC));
    assert_eq!(files.open(HERE, b"b", NEW, 0o600, NOW), Err(Errno::NOSPC));
    assert_eq!(files.make_directory(HERE, b"b", 0o700, NOW), Err(Errno::NOSPC));
    assert_eq!(files.make_symlink(b"a", HERE, b"b", NOW), Err(Errno::NOSPC));
    // What is taken away can be taken again.
    assert_eq!(files.truncate_open(fd, 0, NOW), Ok(()));
    assert_eq!(files.pwrite(fd, 0, b"12345", NOW), Ok(5));
    files.truncate_open(fd, 0, NOW).unwrap();
    files.seek(fd, 0, SEEK_SET).unwrap();
    files.tree.bytes = before.tree.bytes;
    assert_eq!(encoded(&files).len(), encoded(&before).len());
}

#[test]
fn a_file_is_no_longer_than_a_tebibyte() {
    let mut files = Files::new();
    let fd = files.open(HERE, b"a", NEW, 0o600, NOW).unwrap();
    let before = files.clone();
    assert_eq!(files.truncate_open(fd, i64::MAX, NOW), Err(Errno::FBIG));
    assert_eq!(files.truncate(b"a", (1 << 40) + 1, NOW), Err(Errno::FBIG));
    assert_eq!(files.pwrite(fd, i64::MAX, b"x", NOW), Err(Errno::FBIG));
    assert_eq!(files.pwrite(fd, 1 << 40, b"x", NOW), Err(Errno::FBIG));
    assert_eq!(files.allocate(fd, 0, 1, i64::MAX, NOW), Err(Errno::FBIG));
    assert_eq!(files, before);
    assert_eq!(files.pwrite(fd, (1 << 40) - 2, b"xyz", NOW), Ok(2));
    assert_eq!(files.stat_open(fd).unwrap().size, 1 << 40);
    check(&files);
}

#[test]
fn holes_take_nothing_and_are_kept() {
    let mut files = Files::new();
    let fd = files.open(HERE, b"a", NEW, 0o600, NOW).unwrap();
    let free = files.space_of_open(fd).unwrap().free_bytes;
    files.truncate_open(fd, 1 << 40, NOW).unwrap();
    files.allocate(fd, 1, 0, 1 << 30, NOW).unwrap();
    files.pwrite(fd, 1 << 39, b"in the middle", NOW).unwrap();
    files.pwrite(fd, 1 << 38, &[0; 20_000], NOW).unwrap();
    assert_eq!(files.space_of_open(fd).unwrap().free_bytes, free - 4096);
    check(&files);
    assert!(encoded(&files).len() < 10_000);
    let mut bytes = [1; 20];
    assert_eq!(files.pread(fd, (1 << 39) - 3, &mut bytes), Ok(20));
    assert_eq!(&bytes, b"\0\0\0in the middle\0\0\0\0");
    files.allocate(fd, 3, 1 << 39, 100, NOW).unwrap();
    assert_eq!(files.space_of_open(fd).unwrap().free_bytes, free);
    check(&files);
}

#[test]
fn steps_are_counted() {
    let mut files = Files::new();
    let path: Vec<u8> = b"d/".repeat(500);
    for end in (1..path.len()).step_by(2) {
        files.make_directory(HERE, &path[..end], 0o700, NOW).unwrap();
    }
    files.make_directory(HERE, b"other", 0o700, NOW).unwrap();
    take_work(&mut files);
    files.stat(HERE, b"other", 0).unwrap();
    let one = take_work(&mut files);
    assert!((1..200).contains(&one));
    files.stat(HERE, &path, 0).unwrap();
    assert!(take_work(&mut files) > 400 * one / 2);
    // Whether a directory would be moved into itself takes as many steps as the place is deep.
    files.change_directory(&path).unwrap();
    take_work(&mut files);
    files.rename((HERE, b"/other"), (HERE, b"moved"), NOW).unwrap();
    assert!(take_work(&mut files) > 400 * one / 2);
    files.working_directory().unwrap();
    assert!(take_work(&mut files) > 400 * one / 2);
    assert_eq!(take_work(&mut files), 0);
}

#[test]
fn descriptors_that_are_passed_over_are_counted() {
    let mut files = Files::new();
    let mut one = 0;
    for _ in 0..1000 {
        files.duplicate(1, 0, false).unwrap();
        one = take_work(&mut files);
    }
    assert!(one > 5000);
    files.open(HERE, b"/dev/null", 0, 0, NOW).unwrap();
    assert!(take_work(&mut files) > one);
}

#[test]
fn a_new_file_system_has_done_nothing() {
    assert_eq!(take_work(&mut Files::new()), 0);
}

/// What was paid for since this was last asked.
fn take_work(files: &mut Files) -> u64 {
    let paid = files.paid();
    files.begin_work(u64::MAX);
    paid
}
