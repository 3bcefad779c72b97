/* @agent-task WORD STATE: one thing that takes time, done by a process of its own as the children's
 * user. Prints "ok" and what it found, or a sentence, and ends.
 *
 *   aside   STATE/etcd/data becomes STATE/etcd/aside-N, N one above the highest; the latest
 *           AGENT_ASIDE_KEPT stay
 *   remove  STATE/etcd/data is gone
 *   disk    how long the disk of STATE/etcd takes to make small blocks durable; after each one
 *           it is left to others for as long
 *
 * Directories are walked by descriptors and never through a symbolic link. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/process_agent.h"

enum { DEEPEST = 16, WRITES = 50, BLOCK = 512 };
#define MEASURE_FOR (3 * NS_PER_S)
#define ASIDE       "aside-"

const char *agent_task_name(enum agent_task t)
{
    switch (t) {
    case AGENT_DATA_ASIDE: return "aside";
    case AGENT_DATA_REMOVE: return "remove";
    case AGENT_DISK: return "disk";
    case AGENT_TASKS: break;
    }
    UNREACHABLE();
}

/* --- directories --- */

static int open_directory(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int remove_tree(int at, const char *name, int depth, struct err *e);

static int empty_directory(int fd, int depth, struct err *e)
{
    DIR *d = fdopendir(fd);
    int r = 0;
    if (!d) {
        r = err_errno(e, "cannot read a directory");
        close(fd);
        return r;
    }
    for (const struct dirent *entry; r == 0 && (entry = readdir(d));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = remove_tree(dirfd(d), entry->d_name, depth - 1, e);
    closedir(d);
    return r;
}

static int remove_tree(int at, const char *name, int depth, struct err *e)
{
    int fd = open_directory(at, name);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0) /* a file, a link */
        return unlinkat(at, name, 0) ? err_errno(e, "cannot remove %s", name) : 0;
    if (depth == 0) {
        close(fd);
        return err_set(e, ERR_LIMIT, "%s lies too deep to be removed", name);
    }
    int r = empty_directory(fd, depth, e);
    if (r == 0 && unlinkat(at, name, AT_REMOVEDIR))
        r = err_errno(e, "cannot remove %s", name);
    return r;
}

/* The number of an aside directory; false: it is none. */
static bool is_aside(const char *name, uint64_t *n)
{
    struct str s = str_of(name), prefix = STR(ASIDE);
    return str_starts(s, prefix) &&
           str_u64((struct str){s.p + prefix.n, s.n - prefix.n}, UINT32_MAX, n);
}

/* The highest number; how many there are, and the lowest of them. */
static int scan_asides(int at, uint64_t *highest, uint64_t *lowest, uint32_t *count, struct err *e)
{
    int fd = open_directory(at, ".");
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return err_errno(e, "cannot read the directory of etcd");
    *highest = *count = 0;
    *lowest = UINT64_MAX;
    uint64_t n;
    for (const struct dirent *entry; (entry = readdir(d));)
        if (is_aside(entry->d_name, &n)) {
            *highest = MAX(*highest, n);
            *lowest = MIN(*lowest, n);
            ++*count;
        }
    closedir(d);
    return 0;
}

static int thin_out(int at, struct err *e)
{
    for (;;) {
        uint64_t highest, lowest;
        uint32_t count;
        char name[64];
        int r = scan_asides(at, &highest, &lowest, &count, e);
        if (r || count <= AGENT_ASIDE_KEPT)
            return r;
        snprintf(name, sizeof name, ASIDE "%llu", (unsigned long long)lowest);
        r = remove_tree(at, name, DEEPEST, e);
        if (r)
            return r;
    }
}

static int put_aside(int at, struct err *e)
{
    uint64_t highest, lowest;
    uint32_t count;
    char name[64];
    int r = scan_asides(at, &highest, &lowest, &count, e);
    if (r)
        return r;
    snprintf(name, sizeof name, ASIDE "%llu", (unsigned long long)highest + 1);
    if (renameat(at, "data", at, name) && errno != ENOENT)
        return err_errno(e, "cannot put etcd's data aside");
    if (fsync(at))
        return err_errno(e, "cannot put etcd's data aside");
    return thin_out(at, e);
}

static int remove_data(int at, struct err *e)
{
    int r = remove_tree(at, "data", DEEPEST, e);
    return r == 0 && fsync(at) ? err_errno(e, "cannot remove etcd's data") : r;
}

static int in_etcd(const char *state, int (*act)(int at, struct err *e), struct err *e)
{
    int top = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int at = top < 0 ? -1 : open_directory(top, "etcd");
    int r = 0;
    if (top < 0 || (at < 0 && errno != ENOENT))
        r = err_errno(e, "cannot open the directory of etcd");
    else if (at >= 0) /* else there is nothing to put away */
        r = act(at, e);
    if (at >= 0)
        close(at);
    if (top >= 0)
        close(top);
    return r;
}

/* --- the disk --- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int append(int fd, uint64_t *took, struct err *e)
{
    static const char block[BLOCK];
    uint64_t from = clock_now();
    if (write(fd, block, sizeof block) != (ssize_t)sizeof block || fsync(fd))
        return err_errno(e, "the state directory cannot be written");
    *took = clock_now() - from;
    return 0;
}

static void rest(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    nanosleep(&t, NULL);
}

static int measure_file(int fd, struct err *e)
{
    uint64_t times[WRITES], from = clock_now();
    uint32_t n = 0;
    while (n < WRITES && (n == 0 || clock_now() - from < MEASURE_FOR)) {
        int r = append(fd, &times[n], e);
        if (r)
            return r;
        rest(times[n++]);
    }
    qsort(times, n, sizeof times[0], by_size);
    printf("ok %u %llu %llu %llu\n", n, (unsigned long long)times[n / 2],
           (unsigned long long)times[(n - 1) * 99 / 100], (unsigned long long)times[n - 1]);
    return 0;
}

/* Where etcd's data lies, which may be a disk of its own, or will be made. */
static int measure(const char *state, struct err *e)
{
    char path[PATHS_MAX];
    int r = paths_join(path, state, "etcd/sync-XXXXXX", e);
    int fd = r ? -1 : mkostemp(path, O_CLOEXEC | O_APPEND);
    if (r == 0 && fd < 0 && errno == ENOENT) {
        r = paths_join(path, state, "sync-XXXXXX", e);
        fd = r ? -1 : mkostemp(path, O_CLOEXEC | O_APPEND);
    }
    if (r)
        return r;
    if (fd < 0)
        return err_errno(e, "cannot write to the state directory");
    unlink(path);
    r = measure_file(fd, e);
    close(fd);
    return r;
}

/* --- the process --- */

static bool take_number(struct str *s, uint64_t *out)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != ' ')
        n++;
    bool ok = str_u64((struct str){s->p, n}, UINT64_MAX, out);
    n = MIN(n + 1, s->n);
    *s = (struct str){s->p + n, s->n - n};
    return ok;
}

bool agent_task_parse(enum agent_task t, struct str output, struct agent_disk *disk)
{
    uint64_t writes;
    if (t != AGENT_DISK)
        return str_eq(output, STR("ok\n"));
    if (!str_starts(output, STR("ok ")) || output.p[output.n - 1] != '\n')
        return false;
    output = (struct str){output.p + 3, output.n - 4};
    if (!take_number(&output, &writes) || !take_number(&output, &disk->median) ||
        !take_number(&output, &disk->p99) || !take_number(&output, &disk->worst) || output.n)
        return false;
    disk->writes = (uint32_t)MIN(writes, (uint64_t)UINT32_MAX);
    return true;
}

int agent_task_main(int argc, char **argv)
{
    struct err e = {0};
    int r = argc == 3 ? 0 : err_set(&e, ERR_INVAL, "@agent-task is started by holdfast itself");
    if (r == 0 && strcmp(argv[1], agent_task_name(AGENT_DISK)) == 0)
        r = measure(argv[2], &e);
    else if (r == 0 && strcmp(argv[1], agent_task_name(AGENT_DATA_ASIDE)) == 0)
        r = in_etcd(argv[2], put_aside, &e);
    else if (r == 0 && strcmp(argv[1], agent_task_name(AGENT_DATA_REMOVE)) == 0)
        r = in_etcd(argv[2], remove_data, &e);
    else if (r == 0)
        r = err_set(&e, ERR_INVAL, "there is no task %s", argv[1]);
    if (r)
        printf("%s\n", e.text);
    else if (strcmp(argv[1], agent_task_name(AGENT_DISK)) != 0)
        printf("ok\n");
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
