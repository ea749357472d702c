/* The wall clock of whatever is started with it (LD_PRELOAD), LATER days ahead, and with it the times of files.
 *
 * Not libfaketime: as Debian 12 has it (0.9.10), time.sleep() of Python 3.11 fails under it.
 *
 * What waits, waits by CLOCK_MONOTONIC, which stays as it is. Programs that clear their environment, as the
 * daemons of Postfix do, go by the true clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t later(void)
{
    static time_t seconds = -1;
    if (seconds < 0) {
        const char *days = getenv("LATER");
        seconds = days ? 86400L * atol(days) : 0;
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += later();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed)
        now->tv_sec += later();
    return failed;
}

time_t time(time_t *now)
{
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    return now ? *now = found.tv_sec : found.tv_sec;
}

/* The kernel stamps files by the true clock: moved when they are read (by stat, as Python does), back when set. */
#define MOVED(name, given, passed)                    \
    int name given                                    \
    {                                                 \
        static int(*real) given;                      \
        if (!real)                                    \
            real = (int(*) given)dlsym(RTLD_NEXT, #name); \
        int failed = real passed;                     \
        if (!failed) {                                \
            found->st_mtim.tv_sec += later();         \
            found->st_atim.tv_sec += later();         \
            found->st_ctim.tv_sec += later();         \
        }                                             \
        return failed;                                \
    }
#define ALL_MOVED(suffix, kind)                                                                        \
    MOVED(stat##suffix, (const char *restrict path, struct kind *restrict found), (path, found))       \
    MOVED(lstat##suffix, (const char *restrict path, struct kind *restrict found), (path, found))      \
    MOVED(fstat##suffix, (int file, struct kind *found), (file, found))                                \
    MOVED(fstatat##suffix, (int at, const char *restrict path, struct kind *restrict found, int flags), \
          (at, path, found, flags))
ALL_MOVED(, stat)
ALL_MOVED(64, stat64)

static const struct timespec *back(const struct timespec given[2], struct timespec moved[2])
{
    for (int i = 0; given && i < 2; i++) {
        moved[i] = given[i];
        if (given[i].tv_nsec != UTIME_NOW && given[i].tv_nsec != UTIME_OMIT)
            moved[i].tv_sec -= later();
    }
    return given ? moved : NULL;
}

int utimensat(int at, const char *path, const struct timespec times[2], int flags)
{
    struct timespec moved[2];
    return syscall(SYS_utimensat, at, path, back(times, moved), flags);
}

int futimens(int file, const struct timespec times[2])
{
    struct timespec moved[2];
    return syscall(SYS_utimensat, file, NULL, back(times, moved), 0);
}
