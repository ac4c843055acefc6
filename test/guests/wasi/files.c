// A program in C on wasi-libc: what a program does with files, directories,
// time, arguments, the environment and standard input. Its status is 7.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path) {
    char *names[64];
    size_t count = 0;
    DIR *dir = opendir(path);
    if (!dir) {
        printf("opendir %s: %s\n", path, strerror(errno));
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) && count < 64;)
        // Not every host lists these two.
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) names[count++] = strdup(entry->d_name);
    closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    printf("%s:", path);
    for (size_t i = 0; i < count; i++) printf(" %s", names[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    printf("arguments:");
    for (int i = 1; i < argc; i++) printf(" [%s]", argv[i]);
    printf("\n");
    const char *greeting = getenv("GREETING");
    printf("GREETING: %s\n", greeting ? greeting : "none");

    const char *root = argc > 1 ? argv[1] : "/";
    if (chdir(root)) printf("chdir: %s\n", strerror(errno));

    if (mkdir("box", 0777)) printf("mkdir: %s\n", strerror(errno));
    printf("mkdir again: %s\n", mkdir("box", 0777) ? strerror(errno) : "done");
    FILE *out = fopen("box/numbers", "w");
    if (!out) printf("fopen: %s\n", strerror(errno));
    else {
        for (int i = 0; i < 1000; i++) fprintf(out, "%d\n", i * i);
        fclose(out);
    }
    FILE *in = fopen("box/numbers", "r+");
    long sum = 0, number;
    int lines = 0;
    while (in && fscanf(in, "%ld", &number) == 1) sum += number, lines++;
    printf("lines %d, sum %ld\n", lines, sum);
    if (in) {
        fseek(in, 2, SEEK_SET);
        fputs("X", in);
        rewind(in);
        char line[16];
        for (int i = 0; i < 3 && fgets(line, sizeof line, in); i++) printf("line %d: %s", i, line);
        fclose(in);
    }
    struct stat st;
    if (!stat("box/numbers", &st))
        printf("size %lld, regular %d\n", (long long)st.st_size, S_ISREG(st.st_mode));
    int fd = open("box/numbers", O_RDWR | O_APPEND);
    printf("append %zd\n", write(fd, "end\n", 4));
    printf("truncate %d\n", ftruncate(fd, 10));
    char start[16] = {0};
    printf("pread %zd:", pread(fd, start, 15, 4));
    for (const char *c = start; *c; c++) printf(" %02x", (unsigned)*c);
    printf("\n");
    close(fd);
    printf("rename %d\n", rename("box/numbers", "box/renamed"));
    printf("symlink %d\n", symlink("renamed", "box/link"));
    char target[32] = {0};
    printf("readlink %zd %s\n", readlink("box/link", target, sizeof target - 1), target);
    printf("link %d\n", link("box/renamed", "box/second"));
    list("box");
    printf("rmdir: %s\n", rmdir("box") ? strerror(errno) : "done");
    unlink("box/link");
    unlink("box/second");
    unlink("box/renamed");
    list("box");
    printf("rmdir: %s\n", rmdir("box") ? strerror(errno) : "done");
    printf("open missing: %s\n", open("missing", O_RDONLY) < 0 ? strerror(errno) : "done");

    char line[64];
    while (fgets(line, sizeof line, stdin)) printf("input: %s", line);
    printf("\n");

    time_t epoch = 86400 * 366;
    char text[64];
    strftime(text, sizeof text, "%A, %d %B %Y %H:%M:%S", gmtime(&epoch));
    printf("%s\n", text);
    struct timespec before, after, second = {1, 500};
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&second, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double slept = (after.tv_sec - before.tv_sec) + (after.tv_nsec - before.tv_nsec) / 1e9;
    printf("slept a second: %d\n", slept >= 1.0 && slept < 1.5);
    fprintf(stderr, "to the error output\n");
    printf("%s %.3f %e %a\n", "floats", 3.14159, 1e100, 0.5);
    exit(7);
}
