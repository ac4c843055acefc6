//! The functions of WASI preview 1 (`wasi_snapshot_preview1`) and of the snapshot before it (`wasi_unstable`). They return 0
//! or an error's number. An address outside of the memory is `EFAULT`.
//!
//! Sizes and addresses are as wide as the pointers of the image, also in structures: as C's `size_t` and Zig's `usize`.
//!
//! | file | what |
//! |---|---|
//! | `process` | arguments, environment, exit, signals |
//! | `clock`, `poll` | clocks; waiting, by which they advance |
//! | `random` | random bytes |
//! | `descriptor` | descriptors |
//! | `transfer` | reading and writing in parts |
//! | `listing` | listing directories |
//! | `path` | paths, which do not lead out of the directory at which they start |
//! | `layout` | structures and flags |
//! | `startup` | `_initialize` and `_start` |

mod clock;
mod descriptor;
mod layout;
mod listing;
mod path;
mod poll;
mod process;
mod random;
mod startup;
mod transfer;

pub(crate) use listing::readdir as list_directory;
pub(crate) use process::{put_sizes, put_strings};
pub(crate) use random::get as random_bytes;
pub(crate) use startup::initialize;

use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::function::Call::{self, Operation, Plain, Wasi};
use crate::function::{DESCRIPTOR, FILE, Flags, Function, LONG, OPEN, Operation as Do, PARTS};

/// The module of preview 1.
pub(crate) const PREVIEW_1: &str = "wasi_snapshot_preview1";
/// The module of the snapshot before it.
const UNSTABLE: &str = "wasi_unstable";
/// The modules that programs of WASI import from.
pub(crate) const MODULES: [&str; 2] = [PREVIEW_1, UNSTABLE];

/// The functions of one of these modules; those that differ in the older one come first.
pub(crate) fn functions(module: &str) -> impl Iterator<Item = &'static Function> + use<> {
    let (older, all): (&[Function], &[Function]) = match module {
        PREVIEW_1 => (&[], FUNCTIONS),
        UNSTABLE => (OLDER, FUNCTIONS),
        _ => (&[], &[]),
    };
    older.iter().chain(all)
}

/// What a function answers.
type Answer = Result<(), Errno>;

pub(crate) const FUNCTIONS: &[Function] = &[
    wasi("args_get", "pp:i", LONG, Wasi(process::args_get)),
    wasi("args_sizes_get", "pp:i", OPEN, Wasi(process::args_sizes_get)),
    wasi("clock_res_get", "ip:i", OPEN, Wasi(clock::res_get)),
    wasi("clock_time_get", "ijp:i", OPEN, Wasi(clock::time_get)),
    wasi("environ_get", "pp:i", LONG, Wasi(process::environ_get)),
    wasi("environ_sizes_get", "pp:i", OPEN, Wasi(process::environ_sizes_get)),
    wasi("fd_advise", "ijji:i", DESCRIPTOR, Wasi(descriptor::advise)),
    wasi("fd_allocate", "ijj:i", DESCRIPTOR, Wasi(descriptor::allocate)),
    wasi("fd_close", "i:i", DESCRIPTOR, Wasi(descriptor::close)),
    wasi("fd_datasync", "i:i", DESCRIPTOR, Wasi(descriptor::sync)),
    wasi("fd_fdstat_get", "ip:i", DESCRIPTOR, Wasi(descriptor::fdstat_get)),
    wasi("fd_fdstat_set_flags", "ii:i", DESCRIPTOR, Wasi(descriptor::fdstat_set_flags)),
    wasi("fd_fdstat_set_rights", "ijj:i", DESCRIPTOR, Wasi(descriptor::fdstat_set_rights)),
    wasi("fd_filestat_get", "ip:i", DESCRIPTOR, Wasi(descriptor::filestat_get)),
    wasi("fd_filestat_set_size", "ij:i", DESCRIPTOR, Wasi(descriptor::filestat_set_size)),
    wasi("fd_filestat_set_times", "ijji:i", DESCRIPTOR, Wasi(descriptor::filestat_set_times)),
    wasi("fd_pread", "ippjp:i", PARTS, Wasi(transfer::pread)),
    wasi("fd_prestat_dir_name", "ipp:i", DESCRIPTOR, Wasi(descriptor::prestat_dir_name)),
    wasi("fd_prestat_get", "ip:i", DESCRIPTOR, Wasi(descriptor::prestat_get)),
    wasi("fd_pwrite", "ippjp:i", PARTS, Wasi(transfer::pwrite)),
    wasi("fd_read", "ippp:i", PARTS, Wasi(transfer::read)),
    wasi("fd_readdir", "ippjp:i", DESCRIPTOR, Operation(Do::ListDirectory)),
    wasi("fd_renumber", "ii:i", DESCRIPTOR, Wasi(descriptor::renumber)),
    wasi("fd_seek", "ijip:i", DESCRIPTOR, Wasi(descriptor::seek)),
    wasi("fd_sync", "i:i", DESCRIPTOR, Wasi(descriptor::sync)),
    wasi("fd_tell", "ip:i", DESCRIPTOR, Wasi(descriptor::tell)),
    wasi("fd_write", "ippp:i", PARTS, Wasi(transfer::write)),
    wasi("path_create_directory", "ipp:i", FILE, Wasi(path::create_directory)),
    wasi("path_filestat_get", "iippp:i", FILE, Wasi(path::filestat_get)),
    wasi("path_filestat_set_times", "iippjji:i", FILE, Wasi(path::filestat_set_times)),
    wasi("path_link", "iippipp:i", FILE, Wasi(path::link)),
    wasi("path_open", "iippijjip:i", FILE, Wasi(path::open)),
    wasi("path_readlink", "ippppp:i", FILE, Wasi(path::readlink)),
    wasi("path_remove_directory", "ipp:i", FILE, Wasi(path::remove_directory)),
    wasi("path_rename", "ippipp:i", FILE, Wasi(path::rename)),
    wasi("path_symlink", "ppipp:i", FILE, Wasi(path::symlink)),
    wasi("path_unlink_file", "ipp:i", FILE, Wasi(path::unlink_file)),
    wasi("poll_oneoff", "pppp:i", OPEN, Wasi(poll::oneoff)),
    wasi("proc_exit", "i:", OPEN, Plain(process::exit)),
    wasi("proc_raise", "i:i", OPEN, Plain(process::raise)),
    wasi("random_get", "pp:i", LONG, Operation(Do::RandomBytes)),
    wasi("sched_yield", ":i", OPEN, Wasi(process::sched_yield)),
    wasi("sock_accept", "iip:i", OPEN, Wasi(no_socket)),
    wasi("sock_recv", "ippipp:i", OPEN, Wasi(no_socket)),
    wasi("sock_send", "ippip:i", OPEN, Wasi(no_socket)),
    wasi("sock_shutdown", "ii:i", OPEN, Wasi(shutdown)),
];

/// Those that `wasi_unstable` has otherwise.
const OLDER: &[Function] = &[
    wasi("fd_filestat_get", "ip:i", DESCRIPTOR, Wasi(descriptor::older_filestat_get)),
    wasi("fd_seek", "ijip:i", DESCRIPTOR, Wasi(descriptor::older_seek)),
    wasi("path_filestat_get", "iippp:i", FILE, Wasi(path::older_filestat_get)),
    wasi("poll_oneoff", "pppp:i", OPEN, Wasi(poll::older_oneoff)),
];

const fn wasi(name: &'static str, shape: &'static str, flags: Flags, call: Call) -> Function {
    Function { module: PREVIEW_1, name, shape, flags, call }
}

/// There are no sockets, and nothing that could make one.
fn no_socket(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.check(args.int(0))?;
    Err(Errno::NOTSUP_OF_WASI)
}

fn shutdown(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.check(args.int(0))?;
    Err(Errno::NOTSOCK)
}
