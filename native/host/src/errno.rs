//! Error numbers as programs see them: those of WASI, which Emscripten's library has taken over.

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(i32);

impl Errno {
    pub(crate) const ACCES: Errno = Errno(2);
    pub(crate) const AGAIN: Errno = Errno(6);
    pub(crate) const BADF: Errno = Errno(8);
    pub(crate) const BUSY: Errno = Errno(10);
    pub(crate) const EXIST: Errno = Errno(20);
    pub(crate) const FAULT: Errno = Errno(21);
    pub(crate) const FBIG: Errno = Errno(22);
    pub(crate) const ILSEQ: Errno = Errno(25);
    pub(crate) const INVAL: Errno = Errno(28);
    pub(crate) const IO: Errno = Errno(29);
    pub(crate) const ISDIR: Errno = Errno(31);
    pub(crate) const LOOP: Errno = Errno(32);
    pub(crate) const MFILE: Errno = Errno(33);
    pub(crate) const NAMETOOLONG: Errno = Errno(37);
    pub(crate) const NFILE: Errno = Errno(41);
    pub(crate) const NODEV: Errno = Errno(43);
    pub(crate) const NOENT: Errno = Errno(44);
    pub(crate) const NOMEM: Errno = Errno(48);
    pub(crate) const NOSPC: Errno = Errno(51);
    pub(crate) const NOSYS: Errno = Errno(52);
    pub(crate) const NOTDIR: Errno = Errno(54);
    pub(crate) const NOTEMPTY: Errno = Errno(55);
    pub(crate) const NOTSOCK: Errno = Errno(57);
    /// Of WASI; Emscripten's library has [`NOTSUP`](Self::NOTSUP).
    pub(crate) const NOTSUP_OF_WASI: Errno = Errno(58);
    pub(crate) const NOTTY: Errno = Errno(59);
    pub(crate) const NXIO: Errno = Errno(60);
    pub(crate) const OVERFLOW: Errno = Errno(61);
    pub(crate) const PERM: Errno = Errno(63);
    pub(crate) const PIPE: Errno = Errno(64);
    pub(crate) const RANGE: Errno = Errno(68);
    pub(crate) const SPIPE: Errno = Errno(70);
    pub(crate) const NOTSUP: Errno = Errno(138);

    /// As the functions of WASI answer it.
    pub(crate) fn positive(self) -> i32 {
        self.0
    }

    /// As system calls answer it.
    pub(crate) fn negative(self) -> i32 {
        -self.0
    }

    /// Its name in lower case, as Erlang has it; `eio` for one that operations on paths do not have.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Errno::ACCES => "eacces",
            Errno::AGAIN => "eagain",
            Errno::BUSY => "ebusy",
            Errno::EXIST => "eexist",
            Errno::FBIG => "efbig",
            Errno::INVAL => "einval",
            Errno::ISDIR => "eisdir",
            Errno::LOOP => "eloop",
            Errno::NAMETOOLONG => "enametoolong",
            Errno::NOENT => "enoent",
            Errno::NOSPC => "enospc",
            Errno::NOTDIR => "enotdir",
            Errno::NOTEMPTY => "enotempty",
            Errno::NOTSUP => "enotsup",
            Errno::PERM => "eperm",
            _ => "eio",
        }
    }
}
