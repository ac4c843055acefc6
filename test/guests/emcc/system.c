// Dates, files, directories, pipes and the environment, as a program sees them that Emscripten 3.1.6 has built. Each line of output is the
// same in JavaScript.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

static void show(const char *name, const struct tm *tm) {
    printf("%s %d-%02d-%02d %02d:%02d:%02d weekday %d yearday %d dst %d zone %ld\n", name, tm->tm_year + 1900, tm->tm_mon + 1,
           tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec, tm->tm_wday, tm->tm_yday, tm->tm_isdst, (long)tm->tm_gmtoff);
}

static void dates(void) {
    const time_t times[] = {0, 1, -1, 951782400, 1234567890, 1700000000, 2147483647, -2147483647 - 1};
    printf("time_t %zu timespec %zu stat %zu\n", sizeof(time_t), sizeof(struct timespec), sizeof(struct stat));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char text[64];
        struct tm tm = *gmtime(&times[i]);
        show("gmtime", &tm);
        printf("timegm %ld\n", (long)timegm(&tm));
        tm = *localtime(&times[i]);
        show("localtime", &tm);
        printf("mktime %ld\n", (long)mktime(&tm));
        strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y %j %U %p", &tm);
        printf("strftime %s\n", text);
        printf("asctime %s", asctime(&tm));
    }
    struct tm far = {.tm_year = 119, .tm_mon = 12, .tm_mday = 32, .tm_hour = 25, .tm_min = -1, .tm_isdst = -1};
    printf("mktime %ld\n", (long)mktime(&far));
    show("fields", &far);
    struct timespec spec = {7, 7}, resolution = {7, 7};
    struct timeval val = {7, 7};
    printf("clock %d", clock_gettime(CLOCK_REALTIME, &spec));
    printf(" %ld %ld\n", (long)spec.tv_sec, spec.tv_nsec);
    printf("resolution %d %ld %ld\n", clock_getres(CLOCK_REALTIME, &resolution), (long)resolution.tv_sec, resolution.tv_nsec);
    printf("no clock %d", clock_gettime(77, &spec));
    printf(" %d\n", errno == EINVAL);
    printf("timeofday %d", gettimeofday(&val, 0));
    printf(" %ld %ld\n", (long)val.tv_sec, (long)val.tv_usec);
    printf("time %ld difference %g\n", (long)time(0), difftime(5, 2));
}

static void status(const char *path) {
    struct stat st;
    memset(&st, 0x55, sizeof st);
    if (stat(path, &st)) {
        printf("%s: %s\n", path, strerror(errno));
        return;
    }
    printf("%s: mode %o links %d user %d size %ld block %ld blocks %ld modified %ld inode %d\n", path, st.st_mode, (int)st.st_nlink,
           (int)st.st_uid, (long)st.st_size, (long)st.st_blksize, (long)st.st_blocks, (long)st.st_mtime, st.st_ino > 0);
}

static void files(void) {
    char text[100] = "";
    FILE *file = fopen("/tmp/file", "w");
    fprintf(file, "hello, world\n");
    fclose(file);
    status("/tmp/file");
    file = fopen("/tmp/file", "r+");
    fseek(file, 7, SEEK_SET);
    fputs("W", file);
    rewind(file);
    printf("%s", fgets(text, sizeof text, file));
    printf("at %ld\n", ftell(file));
    fclose(file);
    int fd = open("/tmp/file", O_RDWR | O_APPEND);
    struct stat st;
    printf("fstat %d %ld\n", fstat(fd, &st), (long)st.st_size);
    printf("ftruncate %d", ftruncate(fd, 5));
    printf(" write %zd lseek %ld\n", write(fd, "!", 1), (long)lseek(fd, 0, SEEK_CUR));
    printf("pread %zd %.3s\n", pread(fd, text, 3, 1), text);
    int other = dup(fd);
    printf("dup %d close %d %d\n", other > fd, close(fd), close(other));
    printf("close %d %d\n", close(fd), errno == EBADF);
    struct utimbuf times = {1000, 2000};
    printf("utime %d\n", utime("/tmp/file", &times));
    status("/tmp/file");
    printf("chmod %d access %d %d\n", chmod("/tmp/file", 0444), access("/tmp/file", R_OK), access("/tmp/none", F_OK));
    printf("mkdir %d again %d", mkdir("/tmp/dir", 0755), mkdir("/tmp/dir", 0755));
    printf(" %s\n", strerror(errno));
    printf("rename %d symlink %d\n", rename("/tmp/file", "/tmp/dir/file"), symlink("/tmp/dir/file", "/tmp/link"));
    ssize_t length = readlink("/tmp/link", text, sizeof text);
    printf("readlink %zd %.*s\n", length, (int)length, text);
    // In JavaScript a file that was renamed has been changed.
    utime("/tmp/dir/file", &times);
    status("/tmp/link");
    DIR *dir = opendir("/tmp");
    for (struct dirent *entry; (entry = readdir(dir));) printf("entry %s %d\n", entry->d_name, entry->d_type);
    closedir(dir);
    printf("chdir %d cwd %s\n", chdir("/tmp/dir"), getcwd(text, sizeof text));
    status("file");
    fd = open("file", O_RDONLY);
    char *map = mmap(0, 6, PROT_READ, MAP_PRIVATE, fd, 0);
    printf("mmap %.6s munmap %d\n", map, munmap(map, 6));
    close(fd);
    printf("rmdir %d\n", rmdir("/tmp/dir"));
    printf("unlink %d %d chdir %d rmdir %d\n", unlink("file"), unlink("/tmp/link"), chdir("/"), rmdir("/tmp/dir"));
    status("/tmp/dir");
    printf("open %d", open("/tmp/none", O_RDONLY));
    printf(" %s\n", strerror(errno));
}

// JavaScript neither knows a pipe that is full or has no other end, nor what fstat and dup do with one.
static void pipes(void) {
    static char bytes[20000];
    int ends[2], others[2];
    printf("pipe %d", pipe(ends));
    printf(" %d", pipe(others));
    printf(" next %d %d\n", ends[1] - ends[0], others[0] - ends[1]);
    printf("tty %d %d\n", isatty(ends[0]), isatty(ends[1]));
    printf("empty %zd", read(ends[0], bytes, 5));
    printf(" %d nothing %zd\n", errno == EAGAIN, read(ends[0], bytes, 0));
    printf("wrong end %zd", read(ends[1], bytes, 5));
    printf(" %d %zd %d\n", errno == EBADF, write(ends[0], bytes, 5), errno == EBADF);
    printf("seek %ld", (long)lseek(ends[0], 0, SEEK_CUR));
    printf(" %d\n", errno == ESPIPE);
    struct pollfd polled[] = {{ends[0], POLLIN | POLLOUT, 0}, {ends[1], POLLIN | POLLOUT, 0}};
    printf("poll %d", poll(polled, 2, 0));
    printf(" %d %d\n", polled[0].revents, polled[1].revents);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7 % 251);
    printf("write %zd %zd", write(ends[1], bytes, sizeof bytes), write(ends[1], "the end", 7));
    printf(" other %zd\n", write(others[1], "elsewhere", 9));
    printf("poll %d", poll(polled, 2, 0));
    printf(" %d %d\n", polled[0].revents, polled[1].revents);
    printf("read");
    unsigned long sum = 0;
    for (ssize_t count; (count = read(ends[0], bytes, 3001)) > 0;) {
        for (ssize_t i = 0; i < count; i++) sum = (sum * 31 + (unsigned char)bytes[i]) % 1000000007;
        printf(" %zd", count);
    }
    printf(" sum %lu again %d\n", sum, errno == EAGAIN);
    FILE *file = fdopen(others[0], "r");
    printf("line %s\n", fgets(bytes, 10, file));
    printf("close %d %d %d %d\n", close(ends[0]), close(ends[1]), fclose(file), close(others[1]));
}

int main(int argc, char **argv) {
    printf("arguments %d %s\n", argc, argv[0]);
    const char *names[] = {"USER", "LOGNAME", "PATH", "PWD", "HOME", "LANG", "_", "NONE"};
    for (int i = 0; i < 8; i++) printf("%s=%s\n", names[i], getenv(names[i]) ? getenv(names[i]) : "(none)");
    dates();
    files();
    pipes();
    return 0;
}
