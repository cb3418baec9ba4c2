/* Preloaded into a process, it makes the Nth call that changes something below a folder fail.

Counted are calls of the C library that make, write, sync, cut, rename or remove files, as CPython
and SQLite make them. Nothing is counted before `failing_calls_arm`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { ONCE, FROM_THERE_ON, KILLED_BEFORE, KILLED_HALFWAY };

static char folder[PATH_MAX];
static atomic_long calls;
static long nth;
static int number;
static int way;
static atomic_int armed;
static atomic_long turned_back;

/* The N-th call from now on, below `below`, fails with `error`, in one of the ways above. */
void failing_calls_arm(const char *below, long n, int error, int how) {
  snprintf(folder, sizeof folder, "%s", below);
  nth = n;
  number = error;
  way = how;
  atomic_store(&calls, 0);
  atomic_store(&armed, 1);
}

/* No more; gives how many calls were counted. */
long failing_calls_disarm(void) {
  atomic_store(&armed, 0);
  return atomic_load(&calls);
}

/* From now on the wall clock stands so many seconds earlier each time it is read. */
static atomic_long seconds_back;
void failing_calls_turn_back(long seconds) { atomic_store(&seconds_back, seconds); }

static int concerns(const char *path) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int concerns_descriptor(int descriptor) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return concerns(path);
}

/* Whether this call is to fail; `halfway` tells one that can be killed in its middle. */
static int strikes(int *halfway) {
  long n = atomic_fetch_add(&calls, 1) + 1;
  if (n != nth && !(way == FROM_THERE_ON && n > nth)) return 0;
  if (way == KILLED_HALFWAY && halfway != NULL) {
    *halfway = 1;
    return 0;
  }
  if (way >= KILLED_BEFORE) raise(SIGKILL);
  errno = number;
  return 1;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_DESCRIPTOR(descriptor) \
  int before = errno; \
  if (atomic_load(&armed) && concerns_descriptor(descriptor) && strikes(NULL)) return -1; \
  errno = before

#define ON_PATH(path) \
  int before = errno; \
  if (atomic_load(&armed) && concerns(path) && strikes(NULL)) return -1; \
  errno = before

#define WRITES(call, half) \
  int before = errno, halfway = 0; \
  if (atomic_load(&armed) && concerns_descriptor(descriptor) && strikes(&halfway)) return -1; \
  errno = before; \
  if (halfway) { \
    if (half) {} \
    raise(SIGKILL); \
  } \
  return call

ssize_t write(int descriptor, const void *data, size_t size) {
  REAL(write);
  WRITES(real(descriptor, data, size), real(descriptor, data, size / 2) >= 0);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t at) {
  REAL(pwrite);
  WRITES(real(descriptor, data, size, at), real(descriptor, data, size / 2, at) >= 0);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t at) {
  REAL(pwrite64);
  WRITES(real(descriptor, data, size, at), real(descriptor, data, size / 2, at) >= 0);
}

int fsync(int descriptor) {
  REAL(fsync);
  ON_DESCRIPTOR(descriptor);
  return real(descriptor);
}

int fdatasync(int descriptor) {
  REAL(fdatasync);
  ON_DESCRIPTOR(descriptor);
  return real(descriptor);
}

int ftruncate(int descriptor, off_t size) {
  REAL(ftruncate);
  ON_DESCRIPTOR(descriptor);
  return real(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) {
  REAL(ftruncate64);
  ON_DESCRIPTOR(descriptor);
  return real(descriptor, size);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  ON_PATH(to);
  return real(from, to);
}

int unlink(const char *path) {
  REAL(unlink);
  ON_PATH(path);
  return real(path);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  ON_PATH(path);
  return real(path, mode);
}

#define OPENS(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list rest; \
      va_start(rest, flags); \
      mode = va_arg(rest, mode_t); \
      va_end(rest); \
    } \
    if (flags & O_CREAT) { \
      ON_PATH(path); \
    } \
    return real(path, flags, mode); \
  }

OPENS(open)
OPENS(open64)

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(clock_gettime);
  int result = real(clock, now);
  long step = atomic_load(&seconds_back);
  if (result == 0 && clock == CLOCK_REALTIME && step)
    now->tv_sec -= atomic_fetch_add(&turned_back, step) + step;
  return result;
}
