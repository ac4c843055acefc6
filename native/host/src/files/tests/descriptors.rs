//! Descriptors, and reading and writing through them.

use super::super::GivenUp;
use super::super::{SetTime, Time};
use super::*;

#[test]
fn copies_of_a_descriptor_share_their_offset() {
    let mut files = Files::new();
    let fd = files.open(HERE, b"/f", NEW, 0o600, NOW).unwrap();
    let copy = files.duplicate(fd, 0, false).unwrap();
    let other = files.open(HERE, b"/f", O_RDWR, 0, NOW).unwrap();
    assert_eq!((fd, copy, other), (3, 4, 5));
    files.write(fd, b"12345", NOW).unwrap();
    assert_eq!(files.seek(copy, 0, SEEK_CUR), Ok(5));
    assert_eq!(files.seek(other, 0, SEEK_CUR), Ok(0));
    files.close(fd).unwrap();
    assert_eq!(files.seek(copy, -1, SEEK_CUR), Ok(4));
    assert_eq!(files.duplicate(copy, 0, false), Ok(3));
    check(&files);
    assert_eq!(files.duplicate(copy, 100, true), Ok(100));
    assert_eq!(files.is_closed_on_exec(100), Ok(true));
    assert_eq!(files.is_closed_on_exec(copy), Ok(false));
    assert_eq!(files.duplicate_as(copy, 100, 0), Ok(100));
    assert_eq!(files.is_closed_on_exec(100), Ok(false));
    assert_eq!(files.duplicate_as(copy, copy, 0), Err(Errno::INVAL));
    assert_eq!(files.duplicate_as(copy, 4096, 0), Err(Errno::BADF));
    assert_eq!(files.duplicate_as(77, 5, 0), Err(Errno::BADF));
    assert!(files.is_open(5));
    check(&files);
}

#[test]
fn there_are_no_more_than_4096_descriptors() {
    let mut files = Files::new();
    for fd in 3..4096 {
        assert_eq!(files.duplicate(0, 0, false), Ok(fd));
    }
    assert_eq!(files.duplicate(0, 0, false), Err(Errno::MFILE));
    assert_eq!(files.open(HERE, b"/new", NEW, 0o600, NOW), Err(Errno::MFILE));
    assert_eq!(files.stat(HERE, b"/new", 0), Err(Errno::NOENT));
    files.close(1000).unwrap();
    assert_eq!(files.open(HERE, b"/new", NEW, 0o600, NOW), Ok(1000));
    check(&files);
}

#[test]
fn gaps_are_zeros() {
    let mut files = Files::new();
    let fd = files.open(HERE, b"/f", NEW, 0o600, NOW).unwrap();
    assert_eq!(files.seek(fd, 4, SEEK_END), Ok(4));
    files.write(fd, b"a", NOW).unwrap();
    files.truncate_open(fd, 7, NOW).unwrap();
    assert_eq!(contents(&mut files, "/f"), Ok(b"\0\0\0\0a\0\0".to_vec()));
    files.allocate(fd, 0, 6, 3, NOW).unwrap();
    assert_eq!(files.stat_open(fd).unwrap().size, 9);
    files.allocate(fd, 3, 4, 1, NOW).unwrap();
    assert_eq!(contents(&mut files, "/f"), Ok(vec![0; 9]));
    assert_eq!(files.seek(fd, 0, SEEK_HOLE), Ok(9));
    assert_eq!(files.seek(fd, 9, SEEK_DATA), Err(Errno::NXIO));
    assert_eq!(files.seek(fd, -1, SEEK_SET), Err(Errno::INVAL));
    assert_eq!(files.seek(fd, i64::MAX, SEEK_END), Err(Errno::OVERFLOW));
    assert_eq!(files.seek(fd, i64::MAX, SEEK_SET), Ok(i64::MAX as u64));
    assert_eq!(files.read(fd, &mut [0; 4]), Ok(0));
    assert_eq!(files.write(fd, b"x", NOW), Err(Errno::FBIG));
    check(&files);
}

#[test]
fn appending_ignores_offsets() {
    let mut files = Files::new();
    file(&mut files, "/f", b"123");
    let fd = files.open(HERE, b"/f", O_WRONLY | O_APPEND, 0, NOW).unwrap();
    files.write(fd, b"4", NOW).unwrap();
    files.pwrite(fd, 0, b"5", NOW).unwrap();
    assert_eq!(contents(&mut files, "/f"), Ok(b"12345".to_vec()));
    assert_eq!(files.flags(fd), Ok(O_WRONLY | O_APPEND));
    files.set_flags(fd, O_RDWR | O_NONBLOCK).unwrap();
    assert_eq!(files.flags(fd), Ok(O_WRONLY | O_NONBLOCK));
    files.pwrite(fd, 0, b"5", NOW).unwrap();
    assert_eq!(contents(&mut files, "/f"), Ok(b"52345".to_vec()));
    assert_eq!(files.read(fd, &mut [0]), Err(Errno::BADF));
}

#[test]
fn what_cannot_be_opened_is_not() {
    let mut files = Files::new();
    assert_eq!(files.open(HERE, b"/tmp", O_RDWR, 0, NOW), Err(Errno::ISDIR));
    assert_eq!(files.open(HERE, b"/tmp", O_CREAT, 0, NOW), Err(Errno::ISDIR));
    assert_eq!(files.open(HERE, b"/dev/stdin", O_NOFOLLOW, 0, NOW), Err(Errno::LOOP));
    assert_eq!(files.open(HERE, b"/dev/tty", O_DIRECTORY, 0, NOW), Err(Errno::NOTDIR));
    assert_eq!(files.open(HERE, b"/none", 0, 0, NOW), Err(Errno::NOENT));
    assert_eq!(files, Files::new());
    let fd = files.open(HERE, b"/tmp", 0, 0, NOW).unwrap();
    assert_eq!(files.read(fd, &mut [0]), Err(Errno::ISDIR));
    assert_eq!(files.write(fd, b"x", NOW), Err(Errno::BADF));
    let link = files.open(HERE, b"/dev/stdin", O_PATH | O_NOFOLLOW, 0, NOW).unwrap();
    assert_eq!(files.read_link(link, b""), Ok(b"/dev/tty".to_vec()));
    assert_eq!(files.read(link, &mut [0]), Err(Errno::BADF));
    assert_eq!(files.check(link), Err(Errno::BADF));
    check(&files);
}

#[test]
fn mappings_end_where_files_do() {
    let mut files = Files::new();
    file(&mut files, "/f", b"12345");
    let fd = files.open(HERE, b"/f", 0, 0, NOW).unwrap();
    assert_eq!(files.to_map(fd, 0, true), Err(Errno::ACCES));
    assert_eq!(files.to_map(fd, -1, false), Err(Errno::INVAL));
    let mut bytes = [0; 8];
    files.read_mapped(files.to_map(fd, 2, false).unwrap(), &mut bytes).unwrap();
    assert_eq!(&bytes, b"345\0\0\0\0\0");
    let fd = files.open(HERE, b"/f", O_RDWR, 0, NOW).unwrap();
    let place = |offset| files.to_map(fd, offset, true).unwrap();
    let within = |offset, size| files.within_file(place(offset), size);
    assert_eq!([within(3, 6), within(3, 1), within(5, 6), within(9, 6)], [Ok(2), Ok(1), Ok(0), Ok(0)]);
    let place = place(3);
    files.write_mapped(place, b"ab", NOW).unwrap();
    assert_eq!(contents(&mut files, "/f"), Ok(b"123ab".to_vec()));
    assert_eq!(files.to_map(0, 0, false), Err(Errno::NODEV));
}

#[test]
fn a_mapping_holds_its_file() {
    let mut files = Files::new();
    file(&mut files, "/f", b"12345");
    let fd = files.open(HERE, b"/f", O_RDWR, 0, NOW).unwrap();
    let place = files.to_map(fd, 1, true).unwrap();
    files.map(0x1000, 4, place).unwrap();
    let inode = files.stat_open(fd).unwrap().inode;
    files.close(fd).unwrap();
    files.unlink(HERE, b"/f", NOW).unwrap();
    check(&files);
    assert_eq!(files.mapped(0x0fff), None);
    assert_eq!(files.mapped(0x1000), Some((place, 4)));
    assert_eq!(files.mapped(0x1003), Some((place.behind(3), 1)));
    assert_eq!(files.mapped(0x1004), None);
    files.write_mapped(place, b"abcd", NOW).unwrap();
    assert_eq!(files.tree.node(inode).unwrap().holders, 1);
    files.unmap(0x1001);
    assert!(files.tree.node(inode).is_ok());
    files.unmap(0x1000);
    assert_eq!(files.tree.node(inode), Err(Errno::NOENT));
    check(&files);
}

#[test]
fn memory_that_is_mapped_twice_is_of_the_file_that_came_last() {
    let mut files = Files::new();
    for path in ["/a", "/b"] {
        file(&mut files, path, path.as_bytes());
        let fd = files.open(HERE, path.as_bytes(), O_RDWR, 0, NOW).unwrap();
        let place = files.to_map(fd, 0, true).unwrap();
        files.map(64, 2, place).unwrap();
        files.close(fd).unwrap();
    }
    let (place, _) = files.mapped(64).unwrap();
    files.write_mapped(place, b"XY", NOW).unwrap();
    assert_eq!(contents(&mut files, "/a"), Ok(b"/a".to_vec()));
    assert_eq!(contents(&mut files, "/b"), Ok(b"XY".to_vec()));
    files.unlink(HERE, b"/a", NOW).unwrap();
    check(&files);
}

#[test]
fn what_cannot_be_paid_for_is_not_done() {
    let mut files = Files::new();
    file(&mut files, "/f", b"12345");
    files.begin_work(63);
    assert!(files.unlink(HERE, b"/f", NOW).is_err());
    assert_eq!((files.given_up(), files.paid()), (Some(GivenUp::Spent), 0));
    files.begin_work(66);
    assert_eq!(files.unlink(HERE, b"/f", NOW), Ok(()));
    assert_eq!((files.given_up(), files.paid()), (None, 66));
}

#[test]
fn times_are_the_callers() {
    let mut files = Files::new();
    file(&mut files, "/f", b"");
    let written = Time { seconds: 1_700_000_000, nanoseconds: 123_000_000 };
    let times = files.stat(HERE, b"/f", 0).unwrap().times;
    assert_eq!((times.accessed, times.modified, times.changed), (written, written, written));
    let set = Time { seconds: -5, nanoseconds: 7 };
    files.set_times(HERE, Some(b"/f"), [SetTime::Leave, SetTime::To(set)], 0, 1_000).unwrap();
    let times = files.stat(HERE, b"/f", 0).unwrap().times;
    let now = Time { seconds: 1, nanoseconds: 0 };
    assert_eq!((times.accessed, times.modified, times.changed), (written, set, now));
    check(&files);
}
