//! Pipes: what Linux does, but that nobody waits.

use super::super::pipe::{Pipe, Ready};
use super::super::{GivenUp, SetTime, Time};
use super::*;
use crate::encoding::DecodeError;
use proptest::prelude::*;
use std::collections::VecDeque;

const FULL: usize = 65_536;
const IDLE: Ready = Ready { reads: false, writes: false, hung_up: false, broken: false };

fn pipe(files: &mut Files) -> [i32; 2] {
    files.make_pipe(0, NOW).unwrap()
}

#[track_caller]
fn read(files: &mut Files, fd: i32, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0xee; most];
    let count = files.count(fd, None, most as u64);
    let read = files.read(fd, &mut bytes);
    assert_eq!(read, count.map(|count| count as usize), "another count than was told before");
    bytes.truncate(read?);
    Ok(bytes)
}

#[test]
fn what_is_written_is_read_once_and_in_order() {
    let mut files = Files::new();
    assert_eq!(pipe(&mut files), [3, 4]);
    assert_eq!(read(&mut files, 3, 5), Err(Errno::AGAIN));
    assert_eq!(read(&mut files, 3, 0), Ok(vec![]));
    assert_eq!(files.write(4, b"hello ", NOW), Ok(6));
    assert_eq!(files.write(4, b"world", NOW), Ok(5));
    assert_eq!((files.readable(3), files.readable(4)), (Ok(11), Ok(11)));
    check(&files);
    assert_eq!(read(&mut files, 3, 3), Ok(b"hel".to_vec()));
    check(&files);
    assert_eq!(read(&mut files, 3, 100), Ok(b"lo world".to_vec()));
    assert_eq!(read(&mut files, 3, 1), Err(Errno::AGAIN));
    check(&files);
}

#[test]
fn an_end_is_one_direction_and_has_no_place() {
    let mut files = Files::new();
    let [from, to] = pipe(&mut files);
    assert_eq!((files.flags(from), files.flags(to)), (Ok(0), Ok(O_WRONLY)));
    assert_eq!(read(&mut files, to, 1), Err(Errno::BADF));
    assert_eq!(files.write(from, b"x", NOW), Err(Errno::BADF));
    for fd in [from, to] {
        assert_eq!(files.seek(fd, 0, SEEK_CUR), Err(Errno::SPIPE));
        assert_eq!(files.truncate_open(fd, 0, NOW), Err(Errno::INVAL));
        assert_eq!(files.terminal(fd), Err(Errno::NOTTY));
        assert_eq!(files.sync(fd), Err(Errno::INVAL));
        assert_eq!(files.list(fd, |_| true), Err(Errno::NOTDIR));
        assert_eq!(files.change_directory_to(fd), Err(Errno::NOTDIR));
        let stat = files.stat_open(fd).unwrap();
        assert_eq!((stat.mode, stat.size, stat.links), (S_IFIFO | 0o600, 0, 1));
    }
    assert_eq!(files.pread(from, 0, &mut [0]), Err(Errno::SPIPE));
    assert_eq!(files.count(from, Some(0), 1), Err(Errno::SPIPE));
    assert_eq!(files.pwrite(to, 0, b"x", NOW), Err(Errno::SPIPE));
    assert_eq!(files.allocate(to, 0, 0, 1, NOW), Err(Errno::SPIPE));
    assert_eq!(files.to_map(from, 0, false), Err(Errno::NODEV));
    assert_eq!(files.sync(1), Ok(()));
    check(&files);
}

#[test]
fn a_pipe_ends_with_its_last_writer_and_breaks_with_its_last_reader() {
    let mut files = Files::new();
    let new = files.clone();
    let [from, to] = pipe(&mut files);
    let other = files.duplicate(to, 0, false).unwrap();
    files.write(to, b"left", NOW).unwrap();
    files.close(to).unwrap();
    assert_eq!(read(&mut files, from, 2), Ok(b"le".to_vec()));
    files.close(other).unwrap();
    check(&files);
    assert_eq!(files.ready(from), Ok(Ready { reads: true, hung_up: true, ..IDLE }));
    assert_eq!(read(&mut files, from, 9), Ok(b"ft".to_vec()));
    assert_eq!(read(&mut files, from, 9), Ok(vec![]));
    assert_eq!(files.ready(from), Ok(Ready { hung_up: true, ..IDLE }));
    files.close(from).unwrap();
    assert_eq!(files.tree.nodes, new.tree.nodes);
    assert_eq!(files.tree.bytes, new.tree.bytes);

    let [from, to] = pipe(&mut files);
    assert_eq!(files.ready(from), Ok(IDLE));
    assert_eq!(files.ready(to), Ok(Ready { writes: true, ..IDLE }));
    // Another descriptor takes its place.
    assert_eq!(files.duplicate_as(1, from, 0), Ok(from));
    assert_eq!(files.write(to, b"x", NOW), Err(Errno::PIPE));
    assert_eq!(files.write(to, b"", NOW), Ok(0));
    assert_eq!(files.ready(to), Ok(Ready { writes: true, broken: true, ..IDLE }));
    check(&files);
}

#[test]
fn a_pipe_takes_64_kib_and_counts_for_the_space() {
    let mut files = Files::new();
    let before = files.tree.room();
    let [from, to] = pipe(&mut files);
    let empty = files.tree.room();
    assert_eq!(before - empty, 1024);
    assert_eq!(files.write(to, &vec![7; FULL - 10], NOW), Ok(FULL - 10));
    assert_eq!(files.write(to, &[8; 30], NOW), Ok(10));
    assert_eq!(files.write(to, &[9], NOW), Err(Errno::AGAIN));
    assert_eq!(files.ready(to), Ok(IDLE));
    assert_eq!(empty - files.tree.room(), FULL as u64);
    check(&files);
    // A page is free when all of it has been read.
    assert_eq!(read(&mut files, from, 4095), Ok(vec![7; 4095]));
    assert_eq!(files.write(to, &[9; 5000], NOW), Ok(4095));
    assert_eq!(empty - files.tree.room(), FULL as u64 + 4096);
    check(&files);
    assert_eq!(read(&mut files, from, 1), Ok(vec![7]));
    assert_eq!(empty - files.tree.room(), FULL as u64);
    let rest = [vec![7; FULL - 10 - 4096], vec![8; 10], vec![9; 4095]].concat();
    assert_eq!(read(&mut files, from, 2 * FULL), Ok(rest));
    assert_eq!(files.tree.room(), empty);
    // Where the file system is full.
    files.tree.bytes += empty - 4096;
    assert_eq!(files.write(to, &[1; 5000], NOW), Ok(4096));
    assert_eq!(files.write(to, &[1], NOW), Err(Errno::NOSPC));
    assert_eq!(files.make_pipe(0, NOW), Err(Errno::NFILE));
}

#[test]
fn pipes_are_opened_with_two_descriptors_or_not_at_all() {
    let mut files = Files::new();
    assert_eq!(files.make_pipe(O_DIRECT, NOW), Err(Errno::INVAL));
    let [from, to] = files.make_pipe(O_CLOEXEC | O_NONBLOCK, NOW).unwrap();
    assert_eq!((files.flags(from), files.flags(to)), (Ok(O_NONBLOCK), Ok(O_NONBLOCK | O_WRONLY)));
    assert_eq!((files.is_closed_on_exec(from), files.is_closed_on_exec(to)), (Ok(true), Ok(true)));
    check(&files);
    let mut one = Files::new();
    while one.descriptors.open.len() < 4095 {
        one.duplicate(1, 0, false).unwrap();
    }
    let before = one.clone();
    one.begin_work(u64::MAX);
    assert_eq!(one.make_pipe(0, NOW), Err(Errno::MFILE));
    assert_eq!(one.paid(), 2 * 8 * 4095);
    one.begin_work(10_000);
    assert!(one.make_pipe(0, NOW).is_err());
    assert_eq!((one.given_up(), one.paid()), (Some(GivenUp::Spent), 0));
    assert_eq!(one, before);
}

#[test]
fn a_pipe_is_found_under_its_descriptor_only() {
    let mut files = Files::new();
    let [from, to] = pipe(&mut files);
    assert_eq!(files.stat(HERE, b"/proc/self/fd/3", 0), files.stat_open(from));
    assert_eq!(files.read_link(HERE, b"/proc/self/fd/3"), Err(Errno::NOENT));
    assert_eq!(files.link((HERE, b"/proc/self/fd/3"), (HERE, b"/p"), 0x400, NOW), Err(Errno::NOENT));
    // It may be opened again, for both as well.
    let both = files.open(HERE, b"/proc/self/fd/3", O_RDWR, 0, NOW).unwrap();
    let path = files.open(HERE, b"/proc/self/fd/3", O_PATH, 0, NOW).unwrap();
    files.close(to).unwrap();
    files.close(from).unwrap();
    check(&files);
    assert_eq!(files.write(both, b"abc", NOW), Ok(3));
    assert_eq!(files.ready(both), Ok(Ready { reads: true, writes: true, ..IDLE }));
    assert_eq!(read(&mut files, both, 5), Ok(b"abc".to_vec()));
    assert_eq!(read(&mut files, both, 5), Err(Errno::AGAIN));
    files.close(both).unwrap();
    check(&files);
    let times = [SetTime::To(Time { seconds: 1, nanoseconds: 0 }); 2];
    assert_eq!(files.set_times(HERE, Some(b"/proc/self/fd/6"), times, 0, NOW), Ok(()));
    assert_eq!(files.stat(path, b"", AT_EMPTY_PATH).unwrap().times.modified.seconds, 1);
    check(&files);
}

/// The encoding of a pipe with `abcdef` of which two are read; where its node is, and its contents.
fn half_read() -> (Vec<u8>, usize, usize) {
    let mut files = Files::new();
    let [from, to] = pipe(&mut files);
    files.write(to, b"abcdef", NOW).unwrap();
    read(&mut files, from, 2).unwrap();
    let bytes = encoded(&files);
    let start = [&files.stat_open(from).unwrap().inode.to_le_bytes()[..], &(S_IFIFO | 0o600).to_le_bytes()].concat();
    let node = bytes.windows(start.len()).position(|bytes| bytes == start).unwrap();
    let contents = bytes.windows(6).position(|bytes| bytes == b"\0\0cdef").unwrap();
    (bytes, node, contents)
}

#[test]
fn only_pipes_make_it_version_4() {
    let version = |files: &Files| encoded(files)[..8].to_vec();
    let mut files = Files::new();
    assert_eq!(version(&files), b"files 01");
    let [from, to] = pipe(&mut files);
    assert_eq!(version(&files), b"files 04");
    files.close(from).unwrap();
    files.close(to).unwrap();
    assert_eq!(version(&files), b"files 01");
    check(&files);
}

#[test]
fn what_no_pipe_is_like_is_refused() {
    let (bytes, node, contents) = half_read();
    assert!(Files::decode(&bytes).is_ok());
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        Files::decode(&bytes)
    };
    let refused = |text: &'static str| Err(DecodeError::from(text));
    assert_eq!(bytes[node + 8..node + 12], (S_IFIFO | 0o600).to_le_bytes());
    let (size, read) = (node + 72, node + 80);
    assert_eq!(bytes[size..size + 16], [6_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat());
    // More than has been read is gone, less is, or all; or there is more than there may be.
    for (at, number) in [(read, 3_u64), (read, 6), (read, 7), (read, 4096), (read, u64::MAX)] {
        assert_eq!(with(at, &number.to_le_bytes()), refused("invalid pipe"), "{number}");
    }
    assert!(with(read, &1_u64.to_le_bytes()).is_ok());
    assert_eq!(with(contents + 1, b"x"), refused("invalid pipe"));
    assert!(with(size, &1_u64.to_le_bytes()).is_err());
    // A pipe of another version, and none where there should be one.
    assert!(with(0, b"files 03").is_err());
    assert!(with(node + 8, &(S_IFREG | 0o600).to_le_bytes()).is_err());
    let mut none = encoded(&Files::new());
    none[..8].copy_from_slice(b"files 04");
    none.splice(48..48, [0; 16]);
    assert!(Files::decode(&none).is_err());
    for end in 0..bytes.len() {
        assert!(Files::decode(&bytes[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_pipe_is_bounded_and_starts_in_its_first_page() {
    let contents = |size: u64| {
        let mut contents = super::super::pages::Contents::default();
        contents.resize(size).unwrap();
        contents
    };
    assert!(Pipe::of(contents(65_536), 0).is_some());
    assert!(Pipe::of(contents(65_537), 0).is_none());
    assert!(Pipe::of(contents(65_537), 1).is_some());
    assert!(Pipe::of(contents(65_536 + 4095), 4095).is_some());
    assert!(Pipe::of(contents(65_536 + 4096), 4096).is_none());
    assert!(Pipe::of(contents(1 << 40), 0).is_none());
    assert!(Pipe::of(contents(0), 0).is_some());
}

/// What to do with a pipe: write so many bytes of this value, read so many, or restore it.
#[derive(Clone, Debug)]
enum Step {
    Write(u8, usize),
    Read(usize),
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = || prop_oneof![0_usize..20, 0_usize..9000, 0_usize..80_000, Just(4096_usize)];
    let step = prop_oneof![
        3 => (prop_oneof![Just(0), any::<u8>()], size()).prop_map(|(value, size)| Step::Write(value, size)),
        3 => size().prop_map(Step::Read),
        1 => Just(Step::Restore),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn a_pipe_is_a_queue(steps in steps()) {
        let mut files = Files::new();
        let [from, to] = pipe(&mut files);
        let mut queue = VecDeque::new();
        for step in steps {
            match step {
                Step::Write(value, size) => {
                    let fits = size.min(FULL - queue.len());
                    let expected = if fits == 0 && size > 0 { Err(Errno::AGAIN) } else { Ok(fits) };
                    prop_assert_eq!(files.write(to, &vec![value; size], NOW), expected);
                    queue.extend(std::iter::repeat_n(value, fits));
                }
                Step::Read(most) => {
                    let expected: Vec<u8> = queue.drain(..most.min(queue.len())).collect();
                    let is_empty = expected.is_empty() && most > 0;
                    prop_assert_eq!(read(&mut files, from, most), if is_empty { Err(Errno::AGAIN) } else { Ok(expected) });
                }
                Step::Restore => {
                    check(&files);
                    files = Files::decode(&encoded(&files)).unwrap();
                }
            }
            prop_assert_eq!(files.readable(from), Ok(queue.len() as u64));
        }
    }
}
