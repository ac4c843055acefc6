//! Flags of operations on files, with the values that musl has for WebAssembly.

pub(crate) const O_WRONLY: i32 = 0o1;
pub(crate) const O_RDWR: i32 = 0o2;
pub(crate) const O_ACCMODE: i32 = 0o3;
pub(crate) const O_CREAT: i32 = 0o100;
pub(crate) const O_EXCL: i32 = 0o200;
pub(crate) const O_TRUNC: i32 = 0o1000;
pub(crate) const O_APPEND: i32 = 0o2000;
pub(crate) const O_NONBLOCK: i32 = 0o4000;
pub(crate) const O_DSYNC: i32 = 0o10000;
pub(crate) const O_ASYNC: i32 = 0o20000;
pub(crate) const O_DIRECT: i32 = 0o40000;
pub(crate) const O_LARGEFILE: i32 = 0o100000;
pub(crate) const O_DIRECTORY: i32 = 0o200000;
pub(crate) const O_NOFOLLOW: i32 = 0o400000;
pub(crate) const O_NOATIME: i32 = 0o1000000;
pub(crate) const O_CLOEXEC: i32 = 0o2000000;
/// `O_SYNC` without the `O_DSYNC` that it includes.
pub(crate) const O_SYNC_ONLY: i32 = 0o4000000;
pub(crate) const O_PATH: i32 = 0o10000000;
/// `O_TMPFILE` without the `O_DIRECTORY` that it includes.
pub(crate) const O_TMPFILE_ONLY: i32 = 0o20000000;

/// What a descriptor keeps of the flags that it was opened with.
pub(crate) const KEPT: i32 = O_ACCMODE | CHANGEABLE | O_DSYNC | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_SYNC_ONLY;
/// What a descriptor that only names a file keeps.
pub(crate) const KEPT_OF_PATH: i32 = O_PATH | O_DIRECTORY | O_NOFOLLOW;
/// What `fcntl` may change of them.
pub(crate) const CHANGEABLE: i32 = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;

/// The working directory in the place of a descriptor.
pub(crate) const AT_FDCWD: i32 = -100;
pub(crate) const AT_SYMLINK_NOFOLLOW: i32 = 0x100;
/// `unlinkat`: remove a directory.
pub(crate) const AT_REMOVEDIR: i32 = 0x200;
/// `faccessat`: with the effective ids, which are the real ones.
pub(crate) const AT_EACCESS: i32 = 0x200;
pub(crate) const AT_SYMLINK_FOLLOW: i32 = 0x400;
pub(crate) const AT_NO_AUTOMOUNT: i32 = 0x800;
/// An empty path means the descriptor itself.
pub(crate) const AT_EMPTY_PATH: i32 = 0x1000;

/// Bits of permissions, as `access` takes them.
pub(crate) const R_OK: u32 = 4;
pub(crate) const W_OK: u32 = 2;
pub(crate) const X_OK: u32 = 1;

/// The bits of a mode that tell what a node is, and their values.
pub(crate) const S_IFMT: u32 = 0o170000;
pub(crate) const S_IFIFO: u32 = 0o010000;
pub(crate) const S_IFCHR: u32 = 0o020000;
pub(crate) const S_IFDIR: u32 = 0o040000;
pub(crate) const S_IFREG: u32 = 0o100000;
pub(crate) const S_IFLNK: u32 = 0o120000;

pub(crate) const SEEK_SET: i32 = 0;
pub(crate) const SEEK_CUR: i32 = 1;
pub(crate) const SEEK_END: i32 = 2;
pub(crate) const SEEK_DATA: i32 = 3;
pub(crate) const SEEK_HOLE: i32 = 4;
