//! The same as older versions of Emscripten have it.

use super::*;

fn each_version(test: impl Fn(Guest)) {
    for abi in [Abi::Until3_1_15, Abi::Until3_1_20, Abi::Until3_1_41] {
        each_width(|guest| test(Guest { abi, ..guest }));
    }
}

#[test]
fn stat_is_padded() {
    each_version(|mut guest| {
        let fd = guest.open("/f", NEW);
        guest.state.files.truncate_open(fd, 513, NOW).unwrap();
        guest.bytes[INTO as usize..].fill(0xee);
        assert_eq!(guest.call("__syscall_fstat64", &[fd.into(), INTO as i64]), 0);
        // Where fields are: mode, links, size, blocks, the seconds of the second time, its nanoseconds, inode, the end.
        let [mode, links, size, blocks, seconds, nanoseconds, inode, end] = match (guest.width, guest.abi) {
            (Width::Narrow, Abi::Until3_1_15) => [12, 16, 40, 52, 64, 68, 80, 88],
            (Width::Narrow, _) => [12, 16, 40, 52, 72, 80, 104, 112],
            (Width::Wide, _) => [16, 24, 48, 60, 80, 88, 112, 120],
        }
        .map(|at| INTO + at);
        let is_short = guest.abi == Abi::Until3_1_15;
        let memory = guest.memory();
        assert_eq!(memory.i32(mode), Ok(0o100644));
        assert_eq!(memory.pointer(links), Ok(1));
        assert_eq!(memory.u64(size), Ok(513));
        assert_eq!(memory.i32(blocks), Ok(2));
        assert_eq!(memory.i32(seconds), Ok(1_700_000_000));
        assert!(is_short || memory.u64(seconds) == Ok(1_700_000_000));
        assert_eq!(memory.i32(nanoseconds), Ok(123_000_000));
        assert_eq!(memory.u64(inode), Ok(18));
        assert_eq!(memory.pointer(INTO + 8), Ok(18));
        assert_eq!((memory.u8(end - 1), memory.u8(end)), (Ok(0), Ok(0xee)));
    });
}

#[test]
fn times_are_set_from_their_own_structure() {
    each_version(|mut guest| {
        let fd = guest.open("/f", NEW);
        let half = if guest.width == Width::Narrow && guest.abi == Abi::Until3_1_15 { 4 } else { 8 };
        for (index, number) in [5, 6, 7, 8].into_iter().enumerate() {
            guest.memory().put_i32(OTHER + half * index as u64, number).unwrap();
        }
        assert_eq!(guest.call("__syscall_utimensat", &[fd.into(), 0, OTHER as i64, 0]), 0);
        let times = guest.state.files.stat_open(fd).unwrap().times;
        assert_eq!((times.accessed.seconds, times.accessed.nanoseconds), (5, 6));
        assert_eq!((times.modified.seconds, times.modified.nanoseconds), (7, 8));
    });
}

#[test]
fn paths_without_a_directory_start_at_the_working_directory() {
    each_version(|mut guest| {
        let path = guest.text(TEXT, "d");
        assert_eq!(guest.call("__syscall_mkdir", &[path, 0o755]), 0);
        assert_eq!(guest.call("__syscall_chdir", &[path]), 0);
        let path = guest.text(TEXT, "f");
        guest.memory().put_i32(INTO, 0o600).unwrap();
        let fd = guest.call("__syscall_open", &[path, NEW.into(), INTO as i64]);
        assert_eq!(guest.state.files.stat_open(fd).unwrap().mode, 0o100600);
        assert_eq!(guest.call("__syscall_access", &[path, 0]), 0);
        assert_eq!(guest.call("__syscall_fstatat64", &[HERE.into(), path, INTO as i64, 0]), 0);
        assert_eq!(guest.call("__syscall_fadvise64_64", &[fd.into(), 0, 0, 0]), 0);
        assert_eq!(guest.call("__syscall_readlink", &[path, INTO as i64, 9]), -28);
        assert_eq!(guest.call("__syscall_unlink", &[path]), 0);
        assert_eq!(guest.call("__syscall_access", &[path, 0]), -44);
        assert_eq!(guest.call("__syscall_mknod", &[path, 0o100644, 0]), 0);
        check(&guest.state.files);
    });
}

#[test]
fn clocks_are_the_callers() {
    each_width(|guest| {
        let mut guest = Guest { abi: Abi::Until3_1_15, ..guest };
        let behind = INTO + guest.width.bytes();
        assert_eq!(guest.call("time", &[0]), 1_700_000_000);
        assert_eq!(guest.call("time", &[INTO as i64]), 1_700_000_000);
        assert_eq!(guest.memory().i32(INTO), Ok(1_700_000_000));
        for clock in [0, 1, 4] {
            assert_eq!(guest.call("clock_gettime", &[clock, INTO as i64]), 0);
            assert_eq!(
                (guest.memory().i32(INTO), guest.memory().pointer(behind)),
                (Ok(1_700_000_000), Ok(123_000_000))
            );
        }
        assert_eq!(guest.call("clock_gettime", &[2, INTO as i64]), -1);
        assert_eq!(guest.call("clock_getres", &[1, INTO as i64]), 0);
        assert_eq!((guest.memory().i32(INTO), guest.memory().pointer(behind)), (Ok(0), Ok(1_000_000)));
        assert_eq!(guest.call("gettimeofday", &[INTO as i64, 0]), 0);
        assert_eq!((guest.memory().i32(INTO), guest.memory().i32(behind)), (Ok(1_700_000_000), Ok(123_000)));
        assert_eq!(
            (guest.call("clock", &[]), guest.call("dysize", &[1900]), guest.call("dysize", &[2000])),
            (0, 365, 366)
        );
    });
}

#[test]
fn there_is_no_shell() {
    each_width(|mut guest| {
        assert_eq!(guest.call("system", &[0]), 0);
        assert_eq!(guest.call("system", &[1]), -1);
    });
}
