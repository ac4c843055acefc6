//! The calls that programs make, on memories of both widths.

mod old;

use super::{FUNCTIONS, syscalls};
use crate::abi::Abi;
use crate::context::{Args, HostCtx};
use crate::failure::Fault;
use crate::files::flags::*;
use crate::files::tests::{check, contents};
use crate::function::Call;
use crate::memory::{Memory, Width};
use crate::state::State;
use crate::wasi;

const NOW: u64 = 1_700_000_000_123;
const HERE: i32 = AT_FDCWD;
const NEW: i32 = O_CREAT | O_RDWR;

/// Where texts and results are.
const TEXT: u64 = 0x100;
const OTHER: u64 = 0x200;
const INTO: u64 = 0x400;
const SIZE: usize = 0x2000;

struct Guest {
    bytes: Vec<u8>,
    width: Width,
    abi: Abi,
    state: State,
}

impl Guest {
    fn new(width: Width) -> Guest {
        Guest { bytes: vec![0; SIZE], width, abi: Abi::Current, state: State::default() }
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory::new(&mut self.bytes, self.width, u64::MAX)
    }

    fn try_call(&mut self, name: &str, args: &[i64]) -> Result<i32, Fault> {
        let mut functions = FUNCTIONS.iter().copied().chain([wasi::FUNCTIONS]).flatten();
        let fits = |shape: &str| shape.find(':') == Some(args.len());
        let function = functions.find(|function| function.name == name && fits(function.shape)).unwrap();
        let args: Vec<u64> = args.iter().map(|arg| *arg as u64).collect();
        let memory = Memory::new(&mut self.bytes, self.width, u64::MAX);
        let mut host = HostCtx { memory, state: &mut self.state, now: NOW, abi: self.abi };
        let Some(result) = function.call.run(&mut host, Args(&args)) else { panic!("{name} requires a guest") };
        result.map(|result| result.map_or(-1, |bits| bits as i32))
    }

    #[track_caller]
    fn call(&mut self, name: &str, args: &[i64]) -> i32 {
        self.try_call(name, args).unwrap()
    }

    fn text(&mut self, at: u64, text: &str) -> i64 {
        self.memory().put(at, &[text.as_bytes(), &[0]].concat()).unwrap();
        at as i64
    }

    fn open(&mut self, path: &str, flags: i32) -> i32 {
        let path = self.text(TEXT, path);
        self.memory().put_i32(INTO, 0o644).unwrap();
        self.call("__syscall_openat", &[HERE.into(), path, flags.into(), INTO as i64])
    }

    /// Parts for reading and writing: addresses and sizes.
    fn parts(&mut self, parts: &[(u64, u64)]) -> i64 {
        let step = self.width.bytes();
        for (part, at) in parts.iter().zip((OTHER..).step_by(2 * step as usize)) {
            self.memory().put_pointer(at, part.0).unwrap();
            self.memory().put_pointer(at + step, part.1).unwrap();
        }
        OTHER as i64
    }

    fn told(&mut self) -> u64 {
        self.memory().pointer(INTO).unwrap()
    }
}

fn each_width(test: impl Fn(Guest)) {
    [Width::Narrow, Width::Wide].into_iter().for_each(|width| test(Guest::new(width)));
}

#[test]
fn pipes_have_the_flags_that_are_given() {
    const FIONREAD: i64 = 0x541b;
    each_width(|mut guest| {
        assert_eq!(guest.call("__syscall_pipe2", &[INTO as i64, O_DIRECT.into()]), -28);
        assert_eq!(guest.call("__syscall_pipe2", &[SIZE as i64 - 7, 0]), -21);
        assert_eq!(guest.call("__syscall_pipe2", &[INTO as i64, (O_CLOEXEC | O_NONBLOCK).into()]), 0);
        assert_eq!(guest.memory().u64(INTO), Ok(3 | 4 << 32));
        assert_eq!(guest.call("__syscall_fcntl64", &[4, 1, 0]), 1);
        assert_eq!(guest.call("__syscall_fcntl64", &[4, 3, 0]), O_NONBLOCK | O_WRONLY);
        guest.text(TEXT, "text");
        let parts = guest.parts(&[(TEXT, 3), (TEXT + 3, 1)]);
        assert_eq!(guest.call("fd_write", &[4, parts, 2, INTO as i64]), 0);
        guest.memory().put_pointer(OTHER, INTO).unwrap();
        assert_eq!(guest.call("__syscall_ioctl", &[3, FIONREAD, OTHER as i64]), 0);
        assert_eq!(guest.memory().i32(INTO), Ok(4));
        assert_eq!(guest.call("fd_fdstat_get", &[3, INTO as i64]), 0);
        // As with JavaScript, a pipe is told as a file there.
        assert_eq!((guest.bytes[INTO as usize], guest.bytes[INTO as usize + 2]), (4, 4));
        // What was read counts, though no more can be.
        let parts = guest.parts(&[(0x600, 4), (0x700, 4)]);
        assert_eq!(guest.call("fd_read", &[3, parts, 2, INTO as i64]), 0);
        assert_eq!((guest.told(), &guest.bytes[0x600..0x604]), (4, &b"text"[..]));
        assert_eq!(guest.call("fd_read", &[3, parts, 2, INTO as i64]), 6);
        check(&guest.state.files);
    });
}

#[test]
fn parts_are_written_and_read() {
    each_width(|mut guest| {
        let fd = i64::from(guest.open("/f", NEW));
        guest.text(TEXT, "hello, world");
        let parts = guest.parts(&[(TEXT, 5), (TEXT, 0), (TEXT + 5, 7)]);
        assert_eq!(guest.call("fd_write", &[fd, parts, 3, INTO as i64]), 0);
        assert_eq!(guest.told(), 12);
        assert_eq!(guest.call("fd_seek", &[fd, -5, 1, INTO as i64]), 0);
        assert_eq!(guest.memory().u64(INTO), Ok(7));
        let parts = guest.parts(&[(0x800, 2), (0x900, 100), (0xa00, 1)]);
        assert_eq!(guest.call("fd_read", &[fd, parts, 3, INTO as i64]), 0);
        assert_eq!(guest.told(), 5);
        assert_eq!(guest.memory().get(0x800, 2), Ok(&b"wo"[..]));
        assert_eq!(guest.memory().string(0x900, 100), Ok(&b"rld"[..]));
        assert_eq!(guest.call("fd_pread", &[fd, parts, 1, 5, INTO as i64]), 0);
        assert_eq!(guest.memory().get(0x800, 2), Ok(&b", "[..]));
        assert_eq!(guest.call("fd_pwrite", &[fd, parts, 1, 0, INTO as i64]), 0);
        assert_eq!(contents(&mut guest.state.files, "/f"), Ok(b", llo, world".to_vec()));
        assert_eq!(guest.call("fd_pread", &[fd, parts, 1, -1, INTO as i64]), 28);
        assert_eq!(guest.call("fd_close", &[fd]), 0);
        assert_eq!(guest.call("fd_close", &[fd]), 8);
        assert_eq!(guest.call("fd_write", &[fd, parts, 0, INTO as i64]), 8);
    });
}

#[test]
fn no_call_moves_more_than_64_mebibytes() {
    const PART: usize = 1 << 20;

    each_width(|mut guest| {
        guest.bytes.resize(SIZE + PART, 0);
        let fd = i64::from(guest.open("/f", NEW));
        guest.state.files.truncate_open(fd as i32, 1 << 35, NOW).unwrap();
        guest.memory().put_u8(SIZE as u64, 1).unwrap();
        let step = guest.width.bytes();
        for at in (0x1000..).step_by(2 * step as usize).take(100) {
            guest.memory().put_pointer(at, SIZE as u64).unwrap();
            guest.memory().put_pointer(at + step, PART as u64).unwrap();
        }
        assert_eq!(guest.call("fd_read", &[fd, 0x1000, 100, INTO as i64]), 0);
        assert_eq!(guest.told(), 64 << 20);
        assert_eq!(guest.call("fd_write", &[fd, 0x1000, 100, INTO as i64]), 0);
        assert_eq!(guest.told(), 64 << 20);
        assert_eq!(guest.call("fd_pread", &[fd, 0x1000, 64, 7, INTO as i64]), 0);
        assert_eq!(guest.told(), 64 << 20);
        assert_eq!(guest.call("fd_pread", &[fd, 0x1000, 63, 7, INTO as i64]), 0);
        assert_eq!(guest.told(), 63 << 20);
    });
}

#[test]
fn what_was_done_before_a_bad_address_is_told() {
    each_width(|mut guest| {
        let end = SIZE as u64;
        let parts = guest.parts(&[(TEXT, 3), (end - 1, 2)]);
        assert_eq!(guest.call("fd_write", &[1, parts, 2, INTO as i64]), 0);
        assert_eq!(guest.told(), 3);
        let parts = guest.parts(&[(end - 1, 2)]);
        assert_eq!(guest.call("fd_write", &[1, parts, 1, INTO as i64]), 21);
        assert_eq!(guest.call("fd_write", &[1, parts, 1, end as i64]), 21);
        assert_eq!(guest.call("fd_write", &[1, end as i64, 1, INTO as i64]), 21);
        assert_eq!(guest.call("fd_write", &[1, -1, 1, INTO as i64]), 21);
        assert_eq!(guest.call("fd_write", &[1, parts, 1025, INTO as i64]), 28);
        assert_eq!(guest.call("__syscall_chdir", &[end as i64]), -21);
        assert_eq!(guest.call("__syscall_chdir", &[0]), -21);
        assert_eq!(guest.call("__syscall_fstat64", &[1, end as i64 - 8]), -21);
        assert_eq!(guest.call("__syscall_poll", &[end as i64, 1, 0]), -21);
        assert_eq!(guest.call("__syscall_poll", &[0, 5000, 0]), -28);
        guest.bytes.fill(b'x');
        assert_eq!(guest.call("__syscall_chdir", &[1]), -37);
        assert_eq!(guest.call("__syscall_chdir", &[end as i64 - 10]), -21);
    });
}

#[test]
fn stat_is_as_the_library_has_it() {
    each_width(|mut guest| {
        let fd = guest.open("/f", NEW);
        guest.state.files.truncate_open(fd, 513, NOW).unwrap();
        assert_eq!(guest.call("__syscall_fstat64", &[fd.into(), INTO as i64]), 0);
        let wide = guest.width == Width::Wide;
        let [size, blocks, seconds, nanoseconds, inode] =
            if wide { [32, 44, 64, 72, 96] } else { [24, 36, 56, 64, 88] }.map(|at| INTO + at);
        let memory = guest.memory();
        assert_eq!(memory.i32(INTO + 4), Ok(0o100644));
        assert_eq!(memory.pointer(INTO + 8), Ok(1));
        assert_eq!(memory.u64(size), Ok(513));
        assert_eq!(memory.i32(blocks), Ok(2));
        assert_eq!(memory.u64(seconds), Ok(1_700_000_000));
        assert_eq!(memory.i32(nanoseconds), Ok(123_000_000));
        assert_eq!(memory.u64(inode), Ok(18));
        let path = guest.text(TEXT, "/dev/stdin");
        assert_eq!(guest.call("__syscall_stat64", &[path, INTO as i64]), 0);
        assert_eq!(guest.memory().i32(INTO + 4), Ok(0o020666));
        assert_eq!(guest.call("__syscall_lstat64", &[path, INTO as i64]), 0);
        assert_eq!(guest.memory().i32(INTO + 4), Ok(0o120777));
        assert_eq!(guest.call("__syscall_newfstatat", &[HERE.into(), path, INTO as i64, 0x100]), 0);
        assert_eq!(guest.call("__syscall_newfstatat", &[HERE.into(), path, INTO as i64, 0x1]), -28);
        let [files, flags] = if wide { [28, 64] } else { [20, 44] }.map(|at| INTO + at);
        let bytes = if wide { 104 } else { 64 };
        assert_eq!(guest.call("__syscall_fstatfs64", &[1, bytes, INTO as i64]), 0);
        assert_eq!((guest.memory().i32(files), guest.memory().pointer(flags)), (Ok(1_000_000), Ok(2)));
    });
}

#[test]
fn directories_are_listed_in_records() {
    each_width(|mut guest| {
        let fd = i64::from(guest.open("/home", O_DIRECTORY));
        assert_eq!(guest.call("__syscall_getdents64", &[fd, INTO as i64, 279]), -28);
        assert_eq!(guest.call("__syscall_getdents64", &[fd, INTO as i64, 600]), 560);
        let memory = guest.memory();
        assert_eq!((memory.u64(INTO), memory.u64(INTO + 8)), (Ok(3), Ok(1)));
        assert_eq!((memory.u16(INTO + 16), memory.u8(INTO + 18)), (Ok(280), Ok(4)));
        assert_eq!(memory.string(INTO + 280 + 19, 100), Ok(&b".."[..]));
        assert_eq!(guest.call("__syscall_getdents64", &[fd, INTO as i64, 600]), 280);
        assert_eq!(guest.memory().string(INTO + 19, 100), Ok(&b"web_user"[..]));
        assert_eq!(guest.call("__syscall_getdents64", &[fd, INTO as i64, 600]), 0);
        assert_eq!(guest.call("__syscall_getdents64", &[1, INTO as i64, 600]), -54);
    });
}

#[test]
fn terminals_are_known_as_such() {
    each_width(|mut guest| {
        guest.memory().put_pointer(INTO, 0x800).unwrap();
        assert_eq!(guest.call("__syscall_ioctl", &[1, 0x5413, INTO as i64]), 0);
        assert_eq!((guest.memory().u16(0x800), guest.memory().u16(0x802)), (Ok(24), Ok(80)));
        assert_eq!(guest.call("__syscall_ioctl", &[2, 0x5401, INTO as i64]), 0);
        assert_eq!((guest.memory().i32(0x80c), guest.memory().u8(0x811)), (Ok(35387), Ok(3)));
        assert_eq!(guest.call("__syscall_ioctl", &[0, 0x541b, INTO as i64]), 0);
        assert_eq!(guest.call("__syscall_ioctl", &[9, 0x5413, INTO as i64]), -8);
        let fd = i64::from(guest.open("/f", NEW));
        assert_eq!(guest.call("__syscall_ioctl", &[fd, 0x5413, INTO as i64]), -59);
        assert_eq!(guest.call("fd_fdstat_get", &[1, INTO as i64]), 0);
        assert_eq!(guest.memory().u8(INTO), Ok(2));
        assert_eq!(guest.call("fd_seek", &[1, 0, 1, INTO as i64]), 70);
    });
}

#[test]
fn descriptors_are_controlled() {
    each_width(|mut guest| {
        let fd = i64::from(guest.open("/f", NEW | O_CLOEXEC | O_APPEND));
        let rest = OTHER as i64;
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 1, rest]), 1);
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 3, rest]), O_RDWR | O_APPEND);
        guest.memory().put_i32(OTHER, 40).unwrap();
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 0, rest]), 40);
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 1030, rest]), 41);
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 4, rest]), 0);
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 3, rest]), O_RDWR);
        guest.memory().put_pointer(OTHER, 0x800).unwrap();
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 5, rest]), 0);
        assert_eq!(guest.memory().u16(0x800), Ok(2));
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 6, rest]), 0);
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 99, rest]), -28);
        assert_eq!(guest.call("__syscall_fcntl64", &[77, 99, rest]), -8);
        guest.memory().put_i32(OTHER, -1).unwrap();
        assert_eq!(guest.call("__syscall_fcntl64", &[fd, 0, rest]), -28);
        assert_eq!(guest.call("__syscall_dup3", &[fd, 1, 0]), 1);
        assert_eq!(guest.call("__syscall_dup", &[fd]), 4);
    });
}

#[test]
fn paths_are_given_and_taken() {
    each_width(|mut guest| {
        let path = guest.text(TEXT, "/tmp");
        assert_eq!(guest.call("__syscall_chdir", &[path]), 0);
        assert_eq!(guest.call("__syscall_getcwd", &[INTO as i64, 5]), 5);
        assert_eq!(guest.memory().string(INTO, 100), Ok(&b"/tmp"[..]));
        assert_eq!(guest.call("__syscall_getcwd", &[INTO as i64, 4]), -68);
        assert_eq!(guest.call("__syscall_getcwd", &[INTO as i64, 0]), -28);
        let (target, link) = (guest.text(TEXT, "somewhere"), guest.text(OTHER, "link"));
        assert_eq!(guest.call("__syscall_symlinkat", &[target, HERE.into(), link]), 0);
        guest.bytes[INTO as usize..][..8].fill(b'x');
        assert_eq!(guest.call("__syscall_readlinkat", &[HERE.into(), link, INTO as i64, 4]), 4);
        assert_eq!(guest.memory().get(INTO, 6), Ok(&b"somexx"[..]));
        assert_eq!(guest.call("__syscall_unlinkat", &[HERE.into(), link, 7]), -28);
        assert_eq!(guest.call("__syscall_unlinkat", &[HERE.into(), link, 0]), 0);
        assert_eq!(guest.call("__syscall_mkdirat", &[HERE.into(), link, 0o700]), 0);
        assert_eq!(guest.call("__syscall_renameat", &[HERE.into(), link, HERE.into(), target]), 0);
        assert_eq!(guest.call("__syscall_rmdir", &[target]), 0);
        assert_eq!(guest.call("__syscall_faccessat", &[HERE.into(), target, 0, 0]), -44);
    });
}

#[test]
fn times_are_set_as_asked() {
    each_width(|mut guest| {
        let fd = guest.open("/f", NEW);
        let at = OTHER as i64;
        guest.memory().put_u64(OTHER, 5).unwrap();
        guest.memory().put_i32(OTHER + 8, 6).unwrap();
        guest.memory().put_i32(OTHER + 24, 0x3fff_fffe).unwrap();
        assert_eq!(guest.call("__syscall_utimensat", &[fd.into(), 0, at, 0]), 0);
        let times = guest.state.files.stat_open(fd).unwrap().times;
        assert_eq!((times.accessed.seconds, times.accessed.nanoseconds), (5, 6));
        assert_eq!(times.modified.seconds, 1_700_000_000);
        guest.memory().put_i32(OTHER + 8, 1_000_000_000).unwrap();
        assert_eq!(guest.call("__syscall_utimensat", &[fd.into(), 0, at, 0]), -28);
        let path = guest.text(TEXT, "f");
        assert_eq!(guest.call("__syscall_utimensat", &[HERE.into(), path, 0, 0]), 0);
    });
}

#[test]
fn a_program_has_a_name_and_no_environment() {
    each_width(|mut guest| {
        let (into, other) = (INTO as i64, OTHER as i64);
        assert_eq!(guest.call("args_sizes_get", &[into, other]), 0);
        assert_eq!((guest.memory().pointer(INTO), guest.memory().pointer(OTHER)), (Ok(1), Ok(15)));
        assert_eq!(guest.call("args_get", &[into, other]), 0);
        assert_eq!(guest.memory().pointer(INTO), Ok(OTHER));
        assert_eq!(guest.memory().string(OTHER, 100), Ok(&b"./this.program"[..]));
        assert_eq!(guest.call("environ_sizes_get", &[into, other]), 0);
        assert_eq!((guest.memory().pointer(INTO), guest.memory().pointer(OTHER)), (Ok(0), Ok(0)));
        assert_eq!(guest.call("clock_time_get", &[0, 1, into]), 0);
        assert_eq!(guest.memory().u64(INTO), Ok(NOW * 1_000_000));
        assert_eq!(guest.call("clock_time_get", &[9, 1, into]), 28);
        assert_eq!(guest.try_call("proc_exit", &[3]), Err(Fault::Exit(3)));
    });
}

#[test]
fn what_is_given_the_time_is_counted_as_javascript_looks_at_its_clock() {
    each_width(|mut guest| {
        let looks = |guest: &mut Guest, name: &str, args: &[i64]| {
            guest.state.files.begin_work(u64::MAX);
            assert!(guest.call(name, args) >= 0, "{name}");
            guest.state.files.stamps()
        };
        let at = i64::from(HERE);
        let path = guest.text(TEXT, "f");
        guest.memory().put_i32(INTO, 0o644).unwrap();
        let open = |flags: i32| [at, path, flags.into(), INTO as i64];
        assert_eq!(looks(&mut guest, "__syscall_openat", &open(O_CREAT | O_WRONLY)), 1);
        assert_eq!(looks(&mut guest, "__syscall_openat", &open(O_CREAT | O_WRONLY)), 0);
        assert_eq!(looks(&mut guest, "__syscall_openat", &open(O_TRUNC | O_WRONLY)), 1);
        let parts = guest.parts(&[(TEXT, 1), (TEXT, 0), (TEXT, 1)]);
        for descriptor in [1, 3] {
            assert_eq!(looks(&mut guest, "fd_write", &[descriptor, parts, 3, INTO as i64]), 2);
        }
        assert_eq!(looks(&mut guest, "__syscall_ftruncate64", &[3, 1]), 1);
        assert_eq!(looks(&mut guest, "__syscall_fchmod", &[3, 0o600]), 1);
        assert_eq!(looks(&mut guest, "__syscall_stat64", &[path, OTHER as i64]), 0);
        assert_eq!(looks(&mut guest, "__syscall_unlinkat", &[at, path, 0]), 1);
        assert_eq!(looks(&mut guest, "__syscall_mkdirat", &[at, path, 0o755]), 1);
        assert_eq!(looks(&mut guest, "__syscall_rmdir", &[path]), 1);
    });
}

#[test]
fn no_arguments_do_harm() {
    each_width(|mut guest| {
        let values = [0, 1, 3, -1, -100, 0x100, 0x1fff, 0x2000, i64::MAX, i64::MIN, 0xffff_ffff];
        let functions = syscalls::FUNCTIONS.iter().chain(wasi::FUNCTIONS);
        for function in functions.filter(|function| !matches!(function.call, Call::Operation(_))) {
            let count = function.shape.split_once(':').unwrap().0.len();
            for start in 0..values.len() {
                for step in 0..values.len() {
                    let args: Vec<_> = (0..count).map(|at| values[(start + at * step) % values.len()]).collect();
                    let _ = guest.try_call(function.name, &args[..count]);
                }
            }
        }
        check(&guest.state.files);
    });
}
