/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A disk that fails, or that remembers in which order it was written: preloaded into a program, it
 * stands between the program and the files below DISK_DIR. Each directory there has a number for a
 * name, which is that of a word in DISK_CONTROL:
 *
 *   0  nothing happens
 *   1  one write fails with EIO, and no other
 *   2  the disk was removed: all that is done with a file fails with EIO
 *
 * With DISK_LOG set, each write, cut and sync is appended there as a record (struct record, then the
 * bytes that were written), with the time at which it was done. losses.py reads them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, ONCE, GONE };
/* A sync covers what was written before it began, once it is done. */
enum { WRITE = 'w', CUT = 'c', SYNC = 's', SYNCED = 'd' };

struct record {
    double time;     /* CLOCK_MONOTONIC, in seconds */
    uint64_t inode;
    uint64_t offset; /* of a write; the size after a cut */
    uint32_t length;
    uint32_t what;
};

#define CASES 256

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[4096];
static volatile uint32_t *control;
static int log_file = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static FILE *(*real_fopen)(const char *, const char *);

static void *next(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) {
        fprintf(stderr, "no %s to stand in front of\n", name);
        abort();
    }
    return symbol;
}

static void start(void)
{
    real_write = next("write");
    real_writev = next("writev");
    real_pwrite = next("pwrite64");
    real_ftruncate = next("ftruncate64");
    real_fsync = next("fsync");
    real_fdatasync = next("fdatasync");
    real_open = next("open64");
    real_openat = next("openat64");
    real_fopen = next("fopen64");
    const char *dir = getenv("DISK_DIR"), *words = getenv("DISK_CONTROL"), *log = getenv("DISK_LOG");
    if (dir)
        snprintf(directory, sizeof directory, "%s/", dir);
    if (words) {
        int fd = real_open(words, O_RDWR | O_CLOEXEC);
        void *map = fd < 0 ? MAP_FAILED
                           : mmap(NULL, CASES * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) {
            perror(words);
            abort();
        }
        control = map;
        close(fd);
    }
    if (log) {
        log_file = real_open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (log_file < 0) {
            perror(log);
            abort();
        }
    }
}

/* The number of the directory that a path is in, or -1. */
static int number_of(const char *path)
{
    size_t length = strlen(directory);
    if (!length || strncmp(path, directory, length))
        return -1;
    char *end;
    long number = strtol(path + length, &end, 10);
    return end > path + length && *end == '/' && number >= 0 && number < CASES ? (int)number : -1;
}

static int number_of_file(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return -1;
    path[length] = 0;
    return number_of(path);
}

/* Whether what is done now with a file of this number fails; only writes use up a single failure. */
static int fails(int number, int is_write)
{
    if (number < 0 || !control)
        return 0;
    if (control[number] == GONE)
        return 1;
    uint32_t expected = ONCE;
    return is_write && __atomic_compare_exchange_n((uint32_t *)&control[number], &expected, NOTHING,
                                                   0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void note(int fd, int what, off64_t offset, const struct iovec *parts, int count, size_t length)
{
    struct stat64 file;
    struct timespec now;
    if (log_file < 0 || fstat64(fd, &file))
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct record record = {now.tv_sec + now.tv_nsec / 1e9, file.st_ino, offset, length, what};
    char *bytes = malloc(sizeof record + length), *at = bytes + sizeof record;
    if (!bytes)
        abort();
    memcpy(bytes, &record, sizeof record);
    for (int n = 0; n < count && length; n++) {
        size_t part = parts[n].iov_len < length ? parts[n].iov_len : length;
        memcpy(at, parts[n].iov_base, part);
        at += part;
        length -= part;
    }
    if (real_write(log_file, bytes, at - bytes) != at - bytes)
        abort();
    free(bytes);
}

static ssize_t put(int fd, const struct iovec *parts, int count, off64_t at)
{
    pthread_once(&once, start);
    int number = number_of_file(fd);
    if (number < 0)
        return at < 0 ? real_writev(fd, parts, count)
                      : real_pwrite(fd, parts[0].iov_base, parts[0].iov_len, at);
    if (fails(number, 1)) {
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&lock);
    off64_t offset = at;
    if (at < 0) {
        int append = fcntl(fd, F_GETFL) & O_APPEND;
        offset = lseek64(fd, 0, append ? SEEK_END : SEEK_CUR);
    }
    ssize_t done = at < 0 ? real_writev(fd, parts, count)
                          : real_pwrite(fd, parts[0].iov_base, parts[0].iov_len, at);
    int error = errno;
    if (done > 0)
        note(fd, WRITE, offset, parts, count, done);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    struct iovec part = {(void *)bytes, length};
    return put(fd, &part, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return put(fd, parts, count, -1);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    struct iovec part = {(void *)bytes, length};
    return put(fd, &part, 1, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(fd, bytes, length, offset);
}

int ftruncate64(int fd, off64_t size)
{
    pthread_once(&once, start);
    int number = number_of_file(fd);
    if (fails(number, 0)) {
        errno = EIO;
        return -1;
    }
    int done = real_ftruncate(fd, size);
    if (!done && number >= 0) {
        pthread_mutex_lock(&lock);
        note(fd, CUT, size, NULL, 0, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

static void note_sync(int fd, int number, int what)
{
    if (number < 0)
        return;
    pthread_mutex_lock(&lock);
    note(fd, what, 0, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
}

static int synced(int fd, int (*real)(int))
{
    int number = number_of_file(fd);
    if (fails(number, 0)) {
        errno = EIO;
        return -1;
    }
    note_sync(fd, number, SYNC);
    int done = real(fd);
    if (!done)
        note_sync(fd, number, SYNCED);
    return done;
}

int fsync(int fd)
{
    pthread_once(&once, start);
    return synced(fd, real_fsync);
}

int fdatasync(int fd)
{
    pthread_once(&once, start);
    return synced(fd, real_fdatasync);
}

static int refuses(const char *path)
{
    pthread_once(&once, start);
    if (!fails(number_of(path), 0))
        return 0;
    errno = EIO;
    return 1;
}

static mode_t mode_in(int flags, va_list rest)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_in(flags, rest);
    va_end(rest);
    return refuses(path) ? -1 : real_open(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_in(flags, rest);
    va_end(rest);
    return open64(path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_in(flags, rest);
    va_end(rest);
    return refuses(path) ? -1 : real_openat(at, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_in(flags, rest);
    va_end(rest);
    return openat64(at, path, flags, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    return refuses(path) ? NULL : real_fopen(path, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    return fopen64(path, mode);
}
