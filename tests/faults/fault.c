/* Answers of file systems that a test machine has not: an LD_PRELOAD shim.

   FAULT=call:errno:nth lets the nth `call` on a path that begins with FAULT_PATH fail with `errno`; -nth: that one and
   all after it.
   FAULT_COUNT names a file of one long in which the calls are counted, over all processes that share it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_ 4096

#define REAL(result, name, ...) result (*real)(__VA_ARGS__) = dlsym(RTLD_NEXT, name)

static long count_call(void) {
    static long alone;
    const char *name = getenv("FAULT_COUNT");
    if (!name) return __atomic_add_fetch(&alone, 1, __ATOMIC_SEQ_CST);
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int (*real_close)(int) = dlsym(RTLD_NEXT, "close");
    int file = real_open(name, O_RDWR);
    long *shared = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    real_close(file);
    if (shared == MAP_FAILED) abort();
    long counted = __atomic_add_fetch(shared, 1, __ATOMIC_SEQ_CST);
    munmap(shared, sizeof(long));
    return counted;
}

/* Whether this call on an absolute path is the one that fails; then errno is set. */
static int fails(const char *call, const char *path) {
    const char *fault = getenv("FAULT"), *prefix = getenv("FAULT_PATH");
    size_t length = strlen(call);
    if (!fault || !prefix || !path || strncmp(path, prefix, strlen(prefix))) return 0;
    if (strncmp(fault, call, length) || fault[length] != ':') return 0;
    int number = 0;
    long nth = 0;
    sscanf(fault + length, ":%d:%ld", &number, &nth);
    int saved = errno;
    long counted = count_call();
    errno = saved;
    if (nth > 0 ? counted != nth : counted < -nth) return 0;
    errno = number;
    return 1;
}

static const char *of_descriptor(int descriptor, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int saved = errno;
    ssize_t length = readlink(link, buffer, PATH_MAX_);
    errno = saved;
    if (length < 0) return NULL;
    buffer[length] = 0;
    return buffer;
}

static const char *of_path(int folder, const char *path, char *buffer) {
    if (!path || path[0] == '/') return path;
    int saved = errno;
    const char *base = folder == AT_FDCWD ? getcwd(buffer, PATH_MAX_) : of_descriptor(folder, buffer);
    errno = saved;
    if (!base) return NULL;
    size_t length = strlen(buffer);
    snprintf(buffer + length, PATH_MAX_ - length, "/%s", path);
    return buffer;
}

#define FAILS_FD(call, descriptor) ({ char b[PATH_MAX_ + 1]; fails(call, of_descriptor(descriptor, b)); })
#define FAILS_AT(call, folder, path) ({ char b[PATH_MAX_ + 1]; fails(call, of_path(folder, path, b)); })

#define OPEN(name)                                                                            \
    int name(const char *path, int flags, ...) {                                              \
        va_list more;                                                                         \
        va_start(more, flags);                                                                \
        mode_t mode = va_arg(more, mode_t);                                                   \
        va_end(more);                                                                         \
        if ((flags & O_ACCMODE) != O_RDONLY && FAILS_AT("open", AT_FDCWD, path)) return -1;   \
        REAL(int, #name, const char *, int, ...);                                             \
        return real(path, flags, mode);                                                       \
    }
OPEN(open)
OPEN(open64)

#define FD(name, call, result, arguments, ...)                                                \
    result name arguments {                                                                   \
        if (FAILS_FD(call, file)) return -1;                                                  \
        result (*real) arguments = dlsym(RTLD_NEXT, #name);                                   \
        return real(__VA_ARGS__);                                                             \
    }
FD(read, "read", ssize_t, (int file, void *data, size_t size), file, data, size)
FD(write, "write", ssize_t, (int file, const void *data, size_t size), file, data, size)
FD(pwrite, "write", ssize_t, (int file, const void *data, size_t size, off_t at), file, data, size, at)
FD(pwrite64, "write", ssize_t, (int file, const void *data, size_t size, off64_t at), file, data, size, at)
FD(fsync, "fsync", int, (int file), file)
FD(fdatasync, "fsync", int, (int file), file)
FD(fchmod, "chmod", int, (int file, mode_t mode), file, mode)
FD(flock, "flock", int, (int file, int what), file, what)
FD(ftruncate, "ftruncate", int, (int file, off_t size), file, size)
FD(ftruncate64, "ftruncate", int, (int file, off64_t size), file, size)
FD(futimens, "utime", int, (int file, const struct timespec times[2]), file, times)

#define AT(name, call, folder, path, result, arguments, ...)                                  \
    result name arguments {                                                                   \
        if (FAILS_AT(call, folder, path)) return -1;                                          \
        result (*real) arguments = dlsym(RTLD_NEXT, #name);                                   \
        return real(__VA_ARGS__);                                                             \
    }
AT(chmod, "chmod", AT_FDCWD, path, int, (const char *path, mode_t mode), path, mode)
AT(fchmodat, "chmod", at, path, int, (int at, const char *path, mode_t mode, int how), at, path, mode, how)
AT(rename, "rename", AT_FDCWD, to, int, (const char *path, const char *to), path, to)
AT(renameat, "rename", at, to, int, (int from, const char *path, int at, const char *to), from, path, at, to)
AT(mkdir, "mkdir", AT_FDCWD, path, int, (const char *path, mode_t mode), path, mode)
AT(mkdirat, "mkdir", at, path, int, (int at, const char *path, mode_t mode), at, path, mode)
AT(rmdir, "unlink", AT_FDCWD, path, int, (const char *path), path)
AT(unlink, "unlink", AT_FDCWD, path, int, (const char *path), path)
AT(unlinkat, "unlink", at, path, int, (int at, const char *path, int how), at, path, how)
AT(link, "link", AT_FDCWD, to, int, (const char *path, const char *to), path, to)
AT(symlink, "link", AT_FDCWD, to, int, (const char *path, const char *to), path, to)
AT(utimensat, "utime", at, path, int, (int at, const char *path, const struct timespec times[2], int how), at, path, times, how)

/* What has been written may still be refused when the file is closed, as by a full share of NFS. */
int close(int file) {
    int refused = FAILS_FD("close", file), number = errno;
    REAL(int, "close", int);
    int closed = real(file);
    if (!refused) return closed;
    errno = number;
    return -1;
}

/* A machine that starts no more threads or processes. */
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *), void *with) {
    if (fails("thread", getenv("FAULT_PATH"))) return errno;
    REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return real(thread, how, work, with);
}

pid_t fork(void) {
    if (fails("fork", getenv("FAULT_PATH"))) return -1;
    REAL(pid_t, "fork", void);
    return real();
}
