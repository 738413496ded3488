/* A library for LD_PRELOAD: counts the calls that change the files beneath a folder, and kills the
 * process before one of them, or in the middle of it, or makes calls fail. In the modes of reading
 * it counts the calls that open files to read, or read, instead.
 *
 * A process arms it for itself: torture_arm(shared, folder, mode, first, last, error). What it
 * counts is in `shared`, memory that outlives the process. Unlike a shim in Python it also sees what
 * libraries in C and Rust do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL_BEFORE, KILL_WITHIN, FAIL, SHORT, COUNT_READS, FAIL_READS, SHORT_READS };
enum { PROCEED, FAILS, PARTIAL };
enum { READS = -1 };
enum { TRACE_BYTES = (1 << 20) - 16 };

struct shared {
    atomic_long count;
    atomic_long traced;
    char trace[TRACE_BYTES];
};

static struct shared *shared;
static char folder[PATH_MAX];
static size_t folder_length;
static int mode, error_number;
static long first_call, last_call;

void torture_arm(void *memory, const char *path, int how, long first, long last, int error) {
    strncpy(folder, path, sizeof folder - 1);
    folder_length = strlen(folder);
    mode = how, first_call = first, last_call = last, error_number = error;
    shared = memory;
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

#define REAL(result, name, ...)                                                                    \
    static result (*real)(__VA_ARGS__);                                                            \
    if (!real) real = (result(*)(__VA_ARGS__))next(#name)

static void trace(const char *name, const char *path) {
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s\n", name, path + folder_length);
    long at = atomic_fetch_add(&shared->traced, length);
    if (at + length < TRACE_BYTES) memcpy(shared->trace + at, line, length);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int is_reading_mode(void) { return mode >= COUNT_READS; }

/* What a call that reads does with an absolute path. */
static int decide_read(const char *name, const char *path) {
    if (strncmp(path, folder, folder_length)) return PROCEED;
    if (path[folder_length] && path[folder_length] != '/') return PROCEED;
    long number = atomic_fetch_add(&shared->count, 1) + 1;
    trace(name, path);
    if (number < first_call || number > last_call || mode == COUNT_READS) return PROCEED;
    if (mode == SHORT_READS) return strcmp(name, "read") ? PROCEED : PARTIAL;
    if (error_number == EMFILE && strcmp(name, "open")) return PROCEED;
    errno = error_number;
    return FAILS;
}

/* What a call does with an absolute path. Only writing can be partial. */
static int decide(const char *name, const char *path, int writes) {
    if (writes == READS)
        return is_reading_mode() ? decide_read(name, path) : PROCEED;
    if (is_reading_mode()) return PROCEED;
    if (strncmp(path, folder, folder_length)) return PROCEED;
    if (path[folder_length] && path[folder_length] != '/') return PROCEED;
    long number = atomic_fetch_add(&shared->count, 1) + 1;
    trace(name, path);
    if (number < first_call || number > last_call) return PROCEED;
    if (mode == KILL_BEFORE || (mode == KILL_WITHIN && !writes)) die();
    if (mode == KILL_WITHIN) return PARTIAL;
    if (mode == SHORT) return writes ? PARTIAL : PROCEED;
    if (mode != FAIL) return PROCEED;
    if (error_number == EMFILE && strcmp(name, "open")) return PROCEED;
    if (error_number == EFBIG && !writes) return PROCEED;
    errno = error_number;
    return FAILS;
}

static int on_path_to(const char *name, int at, const char *path, int writes) {
    char whole[2 * PATH_MAX];
    if (!shared) return PROCEED;
    if (path[0] == '/') return decide(name, path, writes);
    char base[PATH_MAX] = "";
    if (at == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return PROCEED;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        if (readlink(link, base, sizeof base - 1) < 0) return PROCEED;
    }
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return decide(name, whole, writes);
}

static int on_path(const char *name, int at, const char *path) {
    return on_path_to(name, at, path, 0);
}

static int on_descriptor(const char *name, int descriptor, int writes) {
    char link[64], path[PATH_MAX] = "";
    if (!shared) return PROCEED;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, path, sizeof path - 1) < 0) return PROCEED;
    return decide(name, path, writes);
}

static int opens_to_write(int flags) { return flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC); }

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        REAL(int, name, const char *, int, ...);                                                   \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t permissions = va_arg(more, mode_t);                                                 \
        va_end(more);                                                                              \
        if (on_path_to("open", AT_FDCWD, path, opens_to_write(flags) ? 0 : READS)) return -1;      \
        return real(path, flags, permissions);                                                     \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                               \
    int name(int at, const char *path, int flags, ...) {                                           \
        REAL(int, name, int, const char *, int, ...);                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t permissions = va_arg(more, mode_t);                                                 \
        va_end(more);                                                                              \
        if (on_path_to("open", at, path, opens_to_write(flags) ? 0 : READS)) return -1;            \
        return real(at, path, flags, permissions);                                                 \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *how) {                                                \
        REAL(FILE *, name, const char *, const char *);                                            \
        if (on_path_to("open", AT_FDCWD, path, strpbrk(how, "wa+") ? 0 : READS)) return NULL;      \
        return real(path, how);                                                                    \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* Half of what is to be written; the process ends after it where it is killed. */
#define PARTIALLY(call)                                                                            \
    do {                                                                                           \
        ssize_t written = call;                                                                    \
        if (mode == KILL_WITHIN) die();                                                            \
        return written;                                                                            \
    } while (0)

ssize_t write(int descriptor, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    switch (on_descriptor("write", descriptor, 1)) {
    case FAILS: return -1;
    case PARTIAL: PARTIALLY(real(descriptor, data, (size + 1) / 2));
    }
    return real(descriptor, data, size);
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int descriptor, const void *data, size_t size, offset_type offset) {              \
        REAL(ssize_t, name, int, const void *, size_t, offset_type);                               \
        switch (on_descriptor("write", descriptor, 1)) {                                           \
        case FAILS: return -1;                                                                     \
        case PARTIAL: PARTIALLY(real(descriptor, data, (size + 1) / 2, offset));                   \
        }                                                                                          \
        return real(descriptor, data, size, offset);                                               \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    switch (on_descriptor("write", descriptor, 1)) {
    case FAILS: return -1;
    case PARTIAL: PARTIALLY(real(descriptor, pieces, (count + 1) / 2));
    }
    return real(descriptor, pieces, count);
}

ssize_t read(int descriptor, void *data, size_t size) {
    REAL(ssize_t, read, int, void *, size_t);
    switch (on_descriptor("read", descriptor, READS)) {
    case FAILS: return -1;
    case PARTIAL: return real(descriptor, data, (size + 1) / 2);
    }
    return real(descriptor, data, size);
}

#define PREAD(name, offset_type)                                                                   \
    ssize_t name(int descriptor, void *data, size_t size, offset_type offset) {                    \
        REAL(ssize_t, name, int, void *, size_t, offset_type);                                     \
        switch (on_descriptor("read", descriptor, READS)) {                                        \
        case FAILS: return -1;                                                                     \
        case PARTIAL: return real(descriptor, data, (size + 1) / 2, offset);                       \
        }                                                                                          \
        return real(descriptor, data, size, offset);                                               \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define COPY(name, parameters, types, arguments)                                                   \
    ssize_t name parameters {                                                                      \
        REAL(ssize_t, name, types);                                                                \
        if (on_descriptor("copy", to, 0)) return -1;                                               \
        return real arguments;                                                                     \
    }
#define TYPES(...) __VA_ARGS__
COPY(sendfile, (int to, int from, off_t *offset, size_t size), TYPES(int, int, off_t *, size_t),
     (to, from, offset, size))
COPY(sendfile64, (int to, int from, off64_t *offset, size_t size),
     TYPES(int, int, off64_t *, size_t), (to, from, offset, size))
COPY(copy_file_range, (int from, off64_t *a, int to, off64_t *b, size_t size, unsigned flags),
     TYPES(int, off64_t *, int, off64_t *, size_t, unsigned), (from, a, to, b, size, flags))

#define ON_DESCRIPTOR(name, label)                                                                 \
    int name(int descriptor) {                                                                     \
        REAL(int, name, int);                                                                      \
        return on_descriptor(label, descriptor, 0) ? -1 : real(descriptor);                        \
    }
ON_DESCRIPTOR(fsync, "sync")
ON_DESCRIPTOR(fdatasync, "sync")

#define RESIZE(name, size_type)                                                                    \
    int name(int descriptor, size_type size) {                                                     \
        REAL(int, name, int, size_type);                                                           \
        return on_descriptor("truncate", descriptor, 0) ? -1 : real(descriptor, size);             \
    }
RESIZE(ftruncate, off_t)
RESIZE(ftruncate64, off64_t)

int fchmod(int descriptor, mode_t permissions) {
    REAL(int, fchmod, int, mode_t);
    return on_descriptor("chmod", descriptor, 0) ? -1 : real(descriptor, permissions);
}

#define ON_PATH(name, label)                                                                       \
    int name(const char *path) {                                                                   \
        REAL(int, name, const char *);                                                             \
        return on_path(label, AT_FDCWD, path) ? -1 : real(path);                                   \
    }
ON_PATH(unlink, "unlink")
ON_PATH(rmdir, "rmdir")
ON_PATH(remove, "unlink")

#define WITH_MODE(name, label)                                                                     \
    int name(const char *path, mode_t permissions) {                                               \
        REAL(int, name, const char *, mode_t);                                                     \
        return on_path(label, AT_FDCWD, path) ? -1 : real(path, permissions);                      \
    }
WITH_MODE(mkdir, "mkdir")
WITH_MODE(chmod, "chmod")

int unlinkat(int at, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    return on_path("unlink", at, path) ? -1 : real(at, path, flags);
}

int mkdirat(int at, const char *path, mode_t permissions) {
    REAL(int, mkdirat, int, const char *, mode_t);
    return on_path("mkdir", at, path) ? -1 : real(at, path, permissions);
}

int fchmodat(int at, const char *path, mode_t permissions, int flags) {
    REAL(int, fchmodat, int, const char *, mode_t, int);
    return on_path("chmod", at, path) ? -1 : real(at, path, permissions, flags);
}

#define TWO_PATHS(name, label)                                                                     \
    int name(const char *from, const char *to) {                                                   \
        REAL(int, name, const char *, const char *);                                               \
        return on_path(label, AT_FDCWD, to) ? -1 : real(from, to);                                 \
    }
TWO_PATHS(rename, "rename")
TWO_PATHS(link, "link")
TWO_PATHS(symlink, "link")

int renameat(int from_at, const char *from, int to_at, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    return on_path("rename", to_at, to) ? -1 : real(from_at, from, to_at, to);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    return on_path("link", to_at, to) ? -1 : real(from_at, from, to_at, to, flags);
}
