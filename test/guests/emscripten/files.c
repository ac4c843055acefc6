/* Files by the imports that Emscripten's C library has for them, one export
 * for each import: strings and buffers are the host's, in memory from malloc.
 * What an import of WASI gives in memory is the result here. An error is the
 * negative number of it.
 */
#include "emscripten.h"

/* Where a mapping begins in its file. */
#ifdef OLD
#define OFFSET(name) size name
#define PASS_OFFSET(value) (size)(value)
#else
#define OFFSET(name) WIDE(name)
#define PASS_OFFSET(value) PASS_WIDE(value)
#endif

/* Variable arguments are passed as their address, which is what the imports
 * take. */
int __syscall_openat(int directory, const char *path, int flags, ...);
int __syscall_fcntl64(int descriptor, int command, ...);
int __syscall_ioctl(int descriptor, int operation, ...);
int __syscall_stat64(const char *path, void *status);
int __syscall_lstat64(const char *path, void *status);
int __syscall_fstat64(int descriptor, void *status);
int __syscall_newfstatat(int directory, const char *path, void *status, int flags);
int __syscall_statfs64(const char *path, size bytes, void *status);
int __syscall_fstatfs64(int descriptor, size bytes, void *status);
int __syscall_getdents64(int descriptor, void *entries, size bytes);
int __syscall_unlinkat(int directory, const char *path, int flags);
int __syscall_rmdir(const char *path);
int __syscall_mkdirat(int directory, const char *path, int mode);
int __syscall_renameat(int old_directory, const char *old, int new_directory, const char *new);
int __syscall_rename(const char *old, const char *new);
int __syscall_symlink(const char *target, const char *path);
int __syscall_symlinkat(const char *target, int directory, const char *path);
int __syscall_readlinkat(int directory, const char *path, char *to, size bytes);
int __syscall_getcwd(char *to, size bytes);
int __syscall_chdir(const char *path);
int __syscall_fchdir(int descriptor);
int __syscall_chmod(const char *path, int mode);
int __syscall_fchmod(int descriptor, int mode);
#ifdef OLD
int __syscall_fchmodat(int directory, const char *path, int mode, ...);
#else
int __syscall_fchmodat2(int directory, const char *path, int mode, int flags);
#endif
int __syscall_fchown32(int descriptor, int owner, int group);
int __syscall_fchownat(int directory, const char *path, int owner, int group, int flags);
int __syscall_faccessat(int directory, const char *path, int mode, int flags);
int __syscall_utimensat(int directory, const char *path, const void *times, int flags);
int __syscall_truncate64(const char *path, WIDE(bytes));
int __syscall_ftruncate64(int descriptor, WIDE(bytes));
int __syscall_fallocate(int descriptor, int mode, WIDE(offset), WIDE(bytes));
int __syscall_fdatasync(int descriptor);
int __syscall_dup(int descriptor);
int __syscall_dup3(int descriptor, int new, int flags);
int __syscall_pipe(int *descriptors);
int __syscall_poll(void *descriptors, int count, int timeout);
int __syscall_umask(int mask);
int __syscall_getuid32(void);
int __syscall_geteuid32(void);
int __syscall_getgid32(void);
int __syscall_getegid32(void);
int _mmap_js(size bytes, int protection, int flags, int descriptor, OFFSET(offset), int *allocated, void **address);
int _munmap_js(void *address, size bytes, int protection, int flags, int descriptor, OFFSET(offset));
int _msync_js(void *address, size bytes, int protection, int flags, int descriptor, OFFSET(offset));
void _emscripten_memcpy_js(void *to, const void *from, size bytes);

typedef struct {
    void *at;
    size bytes;
} part;

WASI(fd_read) int fd_read(int descriptor, const part *parts, size count, size *done);
WASI(fd_write) int fd_write(int descriptor, const part *parts, size count, size *done);
WASI(fd_pread) int fd_pread(int descriptor, const part *parts, size count, WIDE(offset), size *done);
WASI(fd_pwrite) int fd_pwrite(int descriptor, const part *parts, size count, WIDE(offset), size *done);
WASI(fd_seek) int fd_seek(int descriptor, WIDE(offset), int whence, u64 *position);
WASI(fd_close) int fd_close(int descriptor);
WASI(fd_sync) int fd_sync(int descriptor);
WASI(fd_fdstat_get) int fd_fdstat_get(int descriptor, void *status);

/* --- Descriptors ----------------------------------------------------------- */

EXPORT(openat) int openat(int directory, const char *path, int flags, int mode) {
    return __syscall_openat(directory, path, flags, mode);
}
EXPORT(close) int close(int descriptor) { return -fd_close(descriptor); }
EXPORT(sync) int sync(int descriptor) { return -fd_sync(descriptor); }
EXPORT(datasync) int datasync(int descriptor) { return __syscall_fdatasync(descriptor); }
EXPORT(dup) int dup(int descriptor) { return __syscall_dup(descriptor); }
EXPORT(dup3) int dup3(int descriptor, int new, int flags) { return __syscall_dup3(descriptor, new, flags); }
EXPORT(pipe) int pipe(int *descriptors) { return __syscall_pipe(descriptors); }
EXPORT(poll) int poll(void *descriptors, int count, int timeout) {
    return __syscall_poll(descriptors, count, timeout);
}
EXPORT(fcntl) int fcntl(int descriptor, int command, int value) {
    return __syscall_fcntl64(descriptor, command, value);
}
EXPORT(fcntl_pointer) int fcntl_pointer(int descriptor, int command, void *value) {
    return __syscall_fcntl64(descriptor, command, value);
}
EXPORT(ioctl) int ioctl(int descriptor, int operation, void *value) {
    return __syscall_ioctl(descriptor, operation, value);
}
EXPORT(fdstat) int fdstat(int descriptor, void *status) { return -fd_fdstat_get(descriptor, status); }

static i64 number_or_error(int error, i64 number) { return error ? -error : number; }

EXPORT(read) i64 read(int descriptor, void *to, size bytes) {
    part one = {to, bytes};
    size done = 0;
    int error = fd_read(descriptor, &one, 1, &done);
    return number_or_error(error, (i64)done);
}

EXPORT(write) i64 write(int descriptor, void *from, size bytes) {
    part one = {from, bytes};
    size done = 0;
    int error = fd_write(descriptor, &one, 1, &done);
    return number_or_error(error, (i64)done);
}

EXPORT(pread) i64 pread(int descriptor, void *to, size bytes, i64 offset) {
    part one = {to, bytes};
    size done = 0;
    int error = fd_pread(descriptor, &one, 1, PASS_WIDE(offset), &done);
    return number_or_error(error, (i64)done);
}

EXPORT(pwrite) i64 pwrite(int descriptor, void *from, size bytes, i64 offset) {
    part one = {from, bytes};
    size done = 0;
    int error = fd_pwrite(descriptor, &one, 1, PASS_WIDE(offset), &done);
    return number_or_error(error, (i64)done);
}

/* In two parts, the second of which begins after `first` bytes; with an empty
 * one between. */
EXPORT(read_parts) i64 read_parts(int descriptor, u8 *to, size bytes, size first) {
    part parts[3] = {{to, first}, {to, 0}, {to + first, bytes - first}};
    size done = 0;
    int error = fd_read(descriptor, parts, 3, &done);
    return number_or_error(error, (i64)done);
}

EXPORT(write_parts) i64 write_parts(int descriptor, u8 *from, size bytes, size first) {
    part parts[3] = {{from, first}, {from, 0}, {from + first, bytes - first}};
    size done = 0;
    int error = fd_write(descriptor, parts, 3, &done);
    return number_or_error(error, (i64)done);
}

EXPORT(seek) i64 seek(int descriptor, i64 offset, int whence) {
    u64 position = 0;
    int error = fd_seek(descriptor, PASS_WIDE(offset), whence, &position);
    return number_or_error(error, (i64)position);
}

EXPORT(ftruncate) int ftruncate(int descriptor, i64 bytes) {
    return __syscall_ftruncate64(descriptor, PASS_WIDE(bytes));
}
EXPORT(fallocate) int fallocate(int descriptor, int mode, i64 offset, i64 bytes) {
    return __syscall_fallocate(descriptor, mode, PASS_WIDE(offset), PASS_WIDE(bytes));
}

/* --- What there is to know of a file -------------------------------------- */

typedef struct {
    i64 seconds;
    long nanoseconds;
} moment;

typedef struct {
    u32 device;
    u32 mode;
    unsigned long links;
    u32 owner;
    u32 group;
    u32 special;
    i64 bytes;
    int block;
    int blocks;
    moment read, written, changed;
    u64 number;
} status;

#ifdef __wasm64__
_Static_assert(sizeof(status) == 104, "the host knows this layout");
#else
_Static_assert(sizeof(status) == 96, "the host knows this layout");
#endif

/* The last one asked for. */
static status last;

EXPORT(stat) int stat(const char *path) { return __syscall_stat64(path, &last); }
EXPORT(lstat) int lstat(const char *path) { return __syscall_lstat64(path, &last); }
EXPORT(fstat) int fstat(int descriptor) { return __syscall_fstat64(descriptor, &last); }
EXPORT(fstatat) int fstatat(int directory, const char *path, int flags) {
    return __syscall_newfstatat(directory, path, &last, flags);
}

EXPORT(stat_field) i64 stat_field(int which) {
    switch (which) {
    case 0: return last.device;
    case 1: return last.mode;
    case 2: return (i64)last.links;
    case 3: return last.owner;
    case 4: return last.group;
    case 5: return last.special;
    case 6: return last.bytes;
    case 7: return last.block;
    case 8: return last.blocks;
    case 9: return last.read.seconds;
    case 10: return last.read.nanoseconds;
    case 11: return last.written.seconds;
    case 12: return last.written.nanoseconds;
    case 13: return last.changed.seconds;
    case 14: return last.changed.nanoseconds;
    case 15: return (i64)last.number;
    default: return -1;
    }
}

EXPORT(statfs) int statfs(const char *path, size bytes, void *to) { return __syscall_statfs64(path, bytes, to); }
EXPORT(fstatfs) int fstatfs(int descriptor, size bytes, void *to) {
    return __syscall_fstatfs64(descriptor, bytes, to);
}
EXPORT(access) int access(int directory, const char *path, int mode, int flags) {
    return __syscall_faccessat(directory, path, mode, flags);
}
EXPORT(chmod) int chmod(const char *path, int mode) { return __syscall_chmod(path, mode); }
EXPORT(fchmod) int fchmod(int descriptor, int mode) { return __syscall_fchmod(descriptor, mode); }
/* Without flags; the older import has none, but an address of more arguments. */
EXPORT(chmodat) int chmodat(int directory, const char *path, int mode) {
#ifdef OLD
    return __syscall_fchmodat(directory, path, mode, 0);
#else
    return __syscall_fchmodat2(directory, path, mode, 0);
#endif
}
EXPORT(fchown) int fchown(int descriptor, int owner, int group) {
    return __syscall_fchown32(descriptor, owner, group);
}
EXPORT(chownat) int chownat(int directory, const char *path, int owner, int group, int flags) {
    return __syscall_fchownat(directory, path, owner, group, flags);
}
EXPORT(utime) int utime(int directory, const char *path, i64 read, int read_ns, i64 written, int written_ns, int flags) {
    moment times[2] = {{read, read_ns}, {written, written_ns}};
    return __syscall_utimensat(directory, path, times, flags);
}
/* To the time it is. */
EXPORT(touch) int touch(int directory, const char *path) { return __syscall_utimensat(directory, path, 0, 0); }
EXPORT(truncate) int truncate(const char *path, i64 bytes) { return __syscall_truncate64(path, PASS_WIDE(bytes)); }

/* --- Directories and links -------------------------------------------------- */

EXPORT(mkdirat) int mkdirat(int directory, const char *path, int mode) {
    return __syscall_mkdirat(directory, path, mode);
}
EXPORT(rmdir) int rmdir(const char *path) { return __syscall_rmdir(path); }
EXPORT(unlinkat) int unlinkat(int directory, const char *path, int flags) {
    return __syscall_unlinkat(directory, path, flags);
}
EXPORT(renameat) int renameat(int old_directory, const char *old, int new_directory, const char *new) {
    return __syscall_renameat(old_directory, old, new_directory, new);
}
EXPORT(rename) int rename(const char *old, const char *new) { return __syscall_rename(old, new); }
EXPORT(symlink) int symlink(const char *target, const char *path) { return __syscall_symlink(target, path); }
EXPORT(symlinkat) int symlinkat(const char *target, int directory, const char *path) {
    return __syscall_symlinkat(target, directory, path);
}
EXPORT(readlinkat) int readlinkat(int directory, const char *path, char *to, size bytes) {
    return __syscall_readlinkat(directory, path, to, bytes);
}
EXPORT(getcwd) int getcwd(char *to, size bytes) { return __syscall_getcwd(to, bytes); }
EXPORT(chdir) int chdir(const char *path) { return __syscall_chdir(path); }
EXPORT(fchdir) int fchdir(int descriptor) { return __syscall_fchdir(descriptor); }

typedef struct {
    u64 number;
    i64 next;
    u16 bytes;
    u8 type;
    char name[256];
} entry;
_Static_assert(sizeof(entry) == 280, "the host knows this layout");

static entry entries[64];
static int entries_count;

/* Reads as many entries as there are, and at most `most`: how many, or an
 * error. 0 is the end. */
EXPORT(entries) int read_entries(int descriptor, int most) {
    if (most < 0 || most > 64) return -28; /* EINVAL */
    int bytes = __syscall_getdents64(descriptor, entries, (size)most * sizeof(entry));
    entries_count = bytes < 0 ? 0 : bytes / (int)sizeof(entry);
    return bytes < 0 ? bytes : entries_count;
}

static int is_entry(int index) { return index >= 0 && index < entries_count; }
EXPORT(entry_name) const char *entry_name(int index) { return is_entry(index) ? entries[index].name : 0; }
EXPORT(entry_type) int entry_type(int index) { return is_entry(index) ? entries[index].type : -1; }
EXPORT(entry_number) i64 entry_number(int index) { return is_entry(index) ? (i64)entries[index].number : -1; }

/* --- Who runs the program ---------------------------------------------------- */

EXPORT(umask) int umask(int mask) { return __syscall_umask(mask); }
/* All bits that one of the four numbers has. */
EXPORT(identity) int identity(void) {
    return __syscall_getuid32() | __syscall_geteuid32() | __syscall_getgid32() | __syscall_getegid32();
}

/* --- Memory ------------------------------------------------------------------ */

/* The address, or an error. */
EXPORT(map) i64 map(size bytes, int protection, int flags, int descriptor, i64 offset) {
    int allocated = 0;
    void *address = 0;
    int error = _mmap_js(bytes, protection, flags, descriptor, PASS_OFFSET(offset), &allocated, &address);
    return error ? error : (i64)(uptr)address;
}
EXPORT(unmap) int unmap(void *address, size bytes, int protection, int flags, int descriptor, i64 offset) {
    int error = _munmap_js(address, bytes, protection, flags, descriptor, PASS_OFFSET(offset));
    free(address); /* as the C library does where the host has allocated it */
    return error;
}
EXPORT(msync) int msync(void *address, size bytes, int protection, int flags, int descriptor, i64 offset) {
    return _msync_js(address, bytes, protection, flags, descriptor, PASS_OFFSET(offset));
}
EXPORT(copy) void copy(void *to, const void *from, size bytes) { _emscripten_memcpy_js(to, from, bytes); }
