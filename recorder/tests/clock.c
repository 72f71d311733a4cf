/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A system clock that somebody sets: preloaded into a program, it is ahead of the real one by as many
 * nanoseconds as the eight bytes of the file CLOCK_AHEAD say. Clocks that nobody sets go on as they are.
 */
#define _GNU_SOURCE
/* Each name is the function of that name: what has 64 bits where long has 32 is below. */
#undef _TIME_BITS
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static volatile int64_t *ahead;

static void start(void)
{
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CLOCK_AHEAD");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    if (!real_clock_gettime || map == MAP_FAILED) {
        perror("CLOCK_AHEAD");
        abort();
    }
    ahead = map;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    pthread_once(&once, start);
    int result = real_clock_gettime(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t time = now->tv_sec * (int64_t)SECOND + now->tv_nsec + *ahead;
        now->tv_sec = time / SECOND;
        now->tv_nsec = time % SECOND;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (now)
        *now = time.tv_sec;
    return time.tv_sec;
}

#if __SIZEOF_LONG__ == 4
/* What programs call there that are built for times after 2038. */
struct seconds_and {
    int64_t seconds;
    int32_t rest;
    int32_t nothing;
};

int __clock_gettime64(clockid_t clock, struct seconds_and *now)
{
    struct timespec time;
    int result = clock_gettime(clock, &time);
    *now = (struct seconds_and){.seconds = time.tv_sec, .rest = time.tv_nsec};
    return result;
}

int __gettimeofday64(struct seconds_and *restrict now, void *restrict zone)
{
    (void)zone;
    int result = __clock_gettime64(CLOCK_REALTIME, now);
    now->rest /= 1000;
    return result;
}

int64_t __time64(int64_t *now)
{
    time_t seconds = time(NULL);
    if (now)
        *now = seconds;
    return seconds;
}
#endif
