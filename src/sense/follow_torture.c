/* follow_torture: a log that is rotated thousands of times while it is written and followed.
 *
 *   follow_torture --rotations N [--seed S]   every line exactly once
 *   follow_torture --flood SECONDS            five times as much as can be read: read + shed are
 *                                             what was written, in bytes and lines, in 32 MiB
 *
 * The writer is a thread that numbers its lines. It rotates by itself, for the truth to be known:
 * copying and truncating loses what is written in between, so nothing is; and what was never open
 * in the follower is gone once it is compressed or deleted, so the writer first waits until the
 * follower has come to that file, and of a deleted one nobody stops the follower before it has all.
 * Nothing else makes it wait. The follower is stopped and started anew, from what it saved, a
 * hundred times on the way. */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sense/follow.h"

enum { KEPT = 12, LINE_MOST = 400, PATH = 128, PATIENCE = 2000 };

enum kind {
    RENAMED,         /* and the new one is written at once */
    RENAMED_LATE,    /* ... while the old one still is, for some lines */
    RENAMED_PENDING, /* the old one is written until the program reopens */
    COPIED,
    COPIED_OVER, /* onto the last copy */
    LINKED,
    DELETED,
    KINDS
};
static const char *const kind_names[KINDS] = {"renamed",
                                              "renamed, late lines",
                                              "renamed, reopened later",
                                              "copied and truncated",
                                              "copied over",
                                              "link changed",
                                              "deleted"};

struct torture {
    char dir[64], path[PATH];
    uint32_t rotations, seconds;
    struct prng prng;
    /* the writer's */
    int fd;
    uint64_t next;         /* number of the next line */
    uint64_t first;        /* of this file */
    uint64_t firsts[KEPT]; /* of the rotated ones, youngest first; of copies the last one */
    char names[KEPT][PATH];
    char target[PATH]; /* of the link, where the path is one */
    uint32_t kept;
    uint64_t kinds[KINDS];
    uint64_t bytes;
    uint64_t number; /* of linked files */
    uint64_t compressed;
    /* shared */
    _Atomic uint64_t distinct; /* lines that were read */
    _Atomic uint8_t *seen;
    _Atomic bool ended;
    pthread_mutex_t life; /* of the follower: held while it is down, or must not go down */
    /* the follower's */
    struct loop *loop;
    struct follows *set;
    struct follow *follow;
    struct buf saved;
    uint64_t room, lines, repeated, wrong, disordered, restarts, truncated, files, shed, last;
    uint64_t end_at;
    bool down; /* until it has opened what is at the path */
    struct timer tick, restart;
};

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void sleep_us(uint64_t us)
{
    nanosleep(&(struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000}, NULL);
}

/* --- lines --- */

/* What follows from its number alone. */
static size_t make_line(uint64_t n, char *to)
{
    struct prng p;
    prng_seed(&p, n);
    size_t at = (size_t)sprintf(to, "%llu ", (unsigned long long)n);
    for (size_t more = prng_below(&p, prng_below(&p, 8) ? 60 : 300); more; more--)
        to[at++] = (char)('a' + prng_below(&p, 26));
    to[at++] = '\n';
    return at;
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0)
            die("write");
        p += w;
        n -= (size_t)w;
    }
}

/* Sometimes in two pieces. */
static void write_lines(struct torture *t, int fd, uint64_t n)
{
    char line[LINE_MOST];
    for (; n; n--) {
        size_t size = make_line(t->next++, line);
        size_t first = prng_below(&t->prng, 4) ? size : prng_below(&t->prng, size);
        write_all(fd, line, first);
        write_all(fd, line + first, size - first);
        t->bytes += size;
    }
}

static uint64_t some(struct torture *t)
{
    return 1 + prng_below(&t->prng, prng_below(&t->prng, 10) ? 30 : 300);
}

/* --- rotation --- */

static int create(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        die(path);
    return fd;
}

static void name_of(struct torture *t, char to[PATH], const char *what, uint64_t n)
{
    snprintf(to, PATH, "%s/app.log%s%llu", t->dir, what, (unsigned long long)n);
}

/* The follower has read this line. */
static void await(struct torture *t, uint64_t line)
{
    for (int i = 0; !atomic_load(&t->seen[line]) && i < PATIENCE; i++)
        sleep_us(200);
}

static void await_all(struct torture *t)
{
    for (int i = 0; atomic_load(&t->distinct) < t->next && i < PATIENCE; i++)
        sleep_us(200);
}

static void compress(struct torture *t, const char *path)
{
    char to[PATH + 8], command[3 * PATH];
    snprintf(to, sizeof to, "%s-%llu.gz", path, (unsigned long long)t->compressed);
    if (t->compressed++ % 100 == 0) {
        snprintf(command, sizeof command, "gzip -c %s >%s", path, to);
        if (system(command))
            die("gzip");
    } else {
        int fd = create(to);
        write_all(fd, "\x1f\x8b\x08 and so on\n", 14);
        close(fd);
    }
    unlink(path);
    if (t->compressed % 2)
        unlink(to);
}

/* The oldest goes when there are too many. `by_number`: its name tells its age, as .1, .2, .3. */
static void keep(struct torture *t, const char *name, uint64_t line)
{
    if (t->kept == KEPT) {
        t->kept--;
        await(t, t->firsts[t->kept]);
        await(t, t->firsts[t->kept - 1]); /* older ones are read before */
        compress(t, t->names[t->kept]);
    }
    memmove(t->names + 1, t->names, t->kept * sizeof *t->names);
    memmove(t->firsts + 1, t->firsts, t->kept * sizeof *t->firsts);
    str_copy(t->names[0], PATH, str_of(name));
    t->firsts[0] = line;
    t->kept++;
}

/* .1 becomes .2 and so on. */
static void shift(struct torture *t)
{
    char numbered[PATH], to[PATH];
    for (uint32_t i = t->kept; i-- > 0;) {
        const char *dot = strrchr(t->names[i], '.');
        if (strncmp(dot, ".log", 4) == 0)
            continue;
        name_of(t, numbered, ".", (uint64_t)atoi(dot + 1));
        name_of(t, to, ".", (uint64_t)atoi(dot + 1) + 1);
        if (rename(t->names[i], to))
            die("shift");
        str_copy(t->names[i], PATH, str_of(to));
    }
}

static bool is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* What is at the path gets another name; a link goes, and the file that it led to has a name. */
static void put_away(struct torture *t)
{
    char to[PATH];
    if (is_link(t->path)) {
        unlink(t->path);
        keep(t, t->target, t->first);
        return;
    }
    shift(t);
    name_of(t, to, ".", 1);
    keep(t, to, t->first);
    if (rename(t->path, to))
        die("rename");
}

static void open_new(struct torture *t)
{
    t->fd = create(t->path);
    t->first = t->next;
}

static void rename_it(struct torture *t, enum kind k)
{
    int old = t->fd;
    put_away(t);
    if (k == RENAMED_PENDING)
        write_lines(t, old, some(t));
    open_new(t);
    if (k == RENAMED_LATE) {
        write_lines(t, t->fd, some(t));
        write_lines(t, old, some(t));
    }
    close(old);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (in < 0 || out < 0)
        die("copy");
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
        write_all(out, bytes, (size_t)n);
    close(in);
    close(out);
}

static void copy_it(struct torture *t, enum kind k)
{
    char to[PATH];
    bool over = k == COPIED_OVER && t->kept && strcmp(strrchr(t->names[0], '.'), ".1") == 0;
    if (over) { /* what is in it must have been read */
        await_all(t);
        str_copy(to, PATH, str_of(t->names[0]));
    } else {
        shift(t);
        name_of(t, to, ".", 1);
        keep(t, to, t->next - 1);
    }
    copy_file(t->path, to);
    t->firsts[0] = t->next - 1;
    if (ftruncate(t->fd, 0))
        die("truncate");
    t->first = t->next;
}

static void link_it(struct torture *t)
{
    char to[PATH], link[PATH];
    int old = t->fd;
    if (is_link(t->path))
        keep(t, t->target, t->first);
    else
        put_away(t);
    name_of(t, to, "-", 100000 + t->number++);
    snprintf(link, sizeof link, "%s/new", t->dir);
    t->fd = create(to);
    if (symlink(to, link) || rename(link, t->path))
        die("symlink");
    t->first = t->next;
    str_copy(t->target, PATH, str_of(to));
    close(old);
}

static void delete_it(struct torture *t)
{
    await(t, t->first);
    pthread_mutex_lock(&t->life);
    if (is_link(t->path))
        keep(t, t->target, t->first);
    unlink(t->path);
    close(t->fd);
    if (t->next) /* it is open in this follower, and nowhere else */
        await(t, t->next - 1);
    pthread_mutex_unlock(&t->life);
    open_new(t);
}

static void rotate(struct torture *t)
{
    enum kind k = (enum kind)prng_below(&t->prng, KINDS);
    t->kinds[k]++;
    if (k <= RENAMED_PENDING)
        rename_it(t, k);
    else if (k <= COPIED_OVER)
        copy_it(t, k);
    else if (k == LINKED)
        link_it(t);
    else
        delete_it(t);
}

static void *write_and_rotate(void *context)
{
    struct torture *t = context;
    for (uint32_t i = 0; i < t->rotations; i++) {
        write_lines(t, t->fd, some(t));
        uint64_t rest = prng_below(&t->prng, 20);
        if (rest < 10)
            sleep_us(prng_below(&t->prng, rest ? 4000 : 60000));
        rotate(t);
    }
    write_lines(t, t->fd, 100);
    atomic_store(&t->ended, true);
    return NULL;
}

/* --- the follower --- */

static void on_line(struct torture *t, struct str line)
{
    char should[LINE_MOST];
    uint64_t n = strtoull(line.p, NULL, 10);
    size_t size = n < t->room ? make_line(n, should) : 0;
    t->lines++;
    if (size != line.n + 1 || memcmp(should, line.p, line.n) != 0) {
        if (t->wrong++ < 5)
            fprintf(stderr, "no line of ours: " STR_FMT "\n", STR_ARG(line));
        return;
    }
    if (atomic_fetch_add(&t->seen[n], 1) == 0)
        atomic_fetch_add(&t->distinct, 1);
    else if (t->repeated++ < 5)
        fprintf(stderr, "line %llu again\n", (unsigned long long)n);
    t->disordered += n < t->last;
    t->last = n;
}

static void on_bytes(void *context, struct lines *file, struct str bytes, uint64_t now)
{
    struct str line;
    (void)now;
    while (lines_next(file, &bytes, &line))
        on_line(context, line);
}

static void on_end(void *context, struct lines *file, uint64_t now)
{
    struct str line;
    (void)now;
    if (lines_last(file, &line))
        on_line(context, line);
}

static void on_shed(void *context, uint64_t bytes, uint64_t lines, uint64_t now)
{
    struct torture *t = context;
    (void)now;
    (void)bytes;
    t->shed += lines;
}

static void start(struct torture *t, const struct follow_owner *owner)
{
    struct err e;
    if (follows_new(&t->set, t->loop, &e) ||
        follow_start(t->set, t->path, owner, buf_str(&t->saved), &t->follow, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(2);
    }
}

static void stop(struct torture *t)
{
    const struct follow_counts *c = follow_counts(t->follow);
    t->truncated += c->truncated;
    t->files += c->files;
    buf_clear(&t->saved);
    follow_save(t->follow, &t->saved);
    follows_free(t->set);
    t->set = NULL;
}

static void start_reading(struct torture *t)
{
    struct follow_owner owner = {.context = t, .bytes = on_bytes, .end = on_end, .shed = on_shed};
    start(t, &owner);
}

/* Stopped for a moment, as when the process is replaced. */
static void on_restart(struct timer *timer)
{
    struct torture *t = CONTAINER_OF(timer, struct torture, restart);
    if (t->set) {
        if (pthread_mutex_trylock(&t->life)) {
            loop_timer_set(t->loop, timer, loop_now(t->loop) + NS_PER_MS);
            return;
        }
        t->down = true;
        stop(t);
        t->restarts++;
        loop_timer_set(t->loop, timer, loop_now(t->loop) + (t->restarts % 5) * 4 * NS_PER_MS);
        return;
    }
    start_reading(t);
    loop_timer_set(t->loop, timer, loop_now(t->loop) + (50 + t->restarts * 7 % 500) * NS_PER_MS);
}

static void on_tick(struct timer *timer)
{
    struct torture *t = CONTAINER_OF(timer, struct torture, tick);
    uint64_t now = loop_now(t->loop);
    loop_timer_set(t->loop, timer, now + 10 * NS_PER_MS);
    if (t->down && t->set && follow_state(t->follow, NULL) == FOLLOW_READS) {
        t->down = false;
        pthread_mutex_unlock(&t->life);
    }
    if (!t->end_at) /* it has been looked at: the writer may begin */
        loop_stop(t->loop);
    if (!atomic_load(&t->ended))
        t->end_at = now + 5 * NS_PER_S;
    else if (t->lines == t->next || now > t->end_at)
        t->end_at = MIN(t->end_at, now + 2 * NS_PER_S); /* for what comes twice */
    if (now > t->end_at)
        loop_stop(t->loop);
}

static void prepare(struct torture *t, uint64_t seed)
{
    strcpy(t->dir, "/tmp/follow-torture-XXXXXX");
    if (!mkdtemp(t->dir) || loop_new(&t->loop, NULL))
        die("/tmp");
    snprintf(t->path, sizeof t->path, "%s/app.log", t->dir);
    prng_seed(&t->prng, seed);
    t->room = (uint64_t)t->rotations * 1000 + 1000;
    t->seen = mem_zero(t->room, 1);
    if (!t->seen)
        die("memory");
    timer_init(&t->tick, on_tick);
    timer_init(&t->restart, on_restart);
    pthread_mutex_init(&t->life, NULL);
}

static void clean(struct torture *t)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", t->dir);
    if (system(command))
        die("rm");
    loop_free(t->loop);
    buf_free(&t->saved);
    mem_free((void *)t->seen);
}

static int torture_rotations(uint32_t rotations, uint64_t seed)
{
    struct torture *t = mem_zero(1, sizeof *t);
    pthread_t writer;
    t->rotations = rotations;
    prepare(t, seed);
    open_new(t);
    start_reading(t);
    loop_timer_set(t->loop, &t->tick, loop_now(t->loop) + 10 * NS_PER_MS);
    loop_run(t->loop, NULL);
    loop_timer_set(t->loop, &t->restart, loop_now(t->loop) + 100 * NS_PER_MS);
    uint64_t from = clock_now();
    if (pthread_create(&writer, NULL, write_and_rotate, t) || loop_run(t->loop, NULL) ||
        pthread_join(writer, NULL))
        die("thread");
    if (t->set)
        stop(t);
    uint64_t lost = 0;
    for (uint64_t i = 0; i < t->next; i++)
        if (!t->seen[i] && lost++ < 5)
            fprintf(stderr, "line %llu was lost\n", (unsigned long long)i);
    printf("seed %llu: %u rotations (", (unsigned long long)seed, rotations);
    for (int i = 0; i < KINDS; i++)
        printf("%s%llu %s", i ? ", " : "", (unsigned long long)t->kinds[i], kind_names[i]);
    printf("), %llu files compressed, in %.1f s; %llu restarts\n",
           (unsigned long long)t->compressed, (double)(clock_now() - from) / 1e9,
           (unsigned long long)t->restarts);
    printf("%llu lines written, %llu read, %llu lost, %llu repeated, %llu wrong, %llu shed; %llu "
           "after a younger one; %llu files begun, %llu truncations seen\n",
           (unsigned long long)t->next, (unsigned long long)t->lines, (unsigned long long)lost,
           (unsigned long long)t->repeated, (unsigned long long)t->wrong,
           (unsigned long long)t->shed, (unsigned long long)t->disordered,
           (unsigned long long)t->files, (unsigned long long)t->truncated);
    int bad = lost || t->repeated || t->wrong || t->shed;
    clean(t);
    mem_free(t);
    return bad;
}

/* --- the flood --- */

/* Its owner is slow: reading alone is faster than the disk takes what is written. */
enum { DRAIN = 1 << 20 /* bytes a second */, TIMES = 5, MEMORY_MOST = 32 << 20, PIECES = 20 };

static void flood_line(struct torture *t, struct str line)
{
    char should[LINE_MOST];
    uint64_t n = strtoull(line.p, NULL, 10);
    size_t size = make_line(n, should);
    t->lines++;
    t->disordered += n < t->last;
    t->last = n;
    if ((size != line.n + 1 || memcmp(should, line.p, line.n) != 0) && t->wrong++ < 5)
        fprintf(stderr, "no line of ours: " STR_FMT "\n", STR_ARG(line));
}

static void flood_bytes(void *context, struct lines *file, struct str bytes, uint64_t now)
{
    struct torture *t = context;
    struct str line;
    (void)now;
    if (!atomic_load(&t->ended))
        sleep_us(bytes.n * 1000000 / DRAIN);
    while (lines_next(file, &bytes, &line))
        flood_line(t, line);
}

static void *write_flood(void *context)
{
    struct torture *t = context;
    uint64_t from = clock_now();
    for (uint64_t piece = 0; piece < (uint64_t)t->seconds * PIECES; piece++) {
        while (t->bytes < (piece + 1) * (DRAIN * TIMES / PIECES))
            write_lines(t, t->fd, 100);
        uint64_t due = from + (piece + 1) * (NS_PER_S / PIECES), now = clock_now();
        if (due > now)
            sleep_us((due - now) / 1000);
    }
    atomic_store(&t->ended, true);
    return NULL;
}

static uint64_t flood_read(const struct torture *t)
{
    const struct follow_counts *c = follow_counts(t->follow);
    return c->bytes + c->shed_bytes;
}

static void on_flood_tick(struct timer *timer)
{
    struct torture *t = CONTAINER_OF(timer, struct torture, tick);
    uint64_t now = loop_now(t->loop);
    bool ended = atomic_load(&t->ended);
    if (!ended)
        t->end_at = now + 60 * NS_PER_S;
    if (follow_state(t->follow, NULL) == FOLLOW_READS && !t->seen) {
        t->seen = mem_zero(1, 1); /* it is followed: the writer may begin */
        loop_stop(t->loop);
    }
    if ((ended && flood_read(t) >= t->bytes) || now > t->end_at)
        loop_stop(t->loop);
    loop_timer_set(t->loop, timer, now + 10 * NS_PER_MS);
}

/* The most that this process ever had. */
static uint64_t memory_peak(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return (uint64_t)kib << 10;
}

static int flood_report(const struct torture *t, double seconds)
{
    const struct follow_counts *c = follow_counts(t->follow);
    uint64_t peak = memory_peak();
    bool sums = flood_read(t) == t->bytes && t->lines + c->shed_lines == t->next;
    printf("flood of %.0f s: %llu bytes in %llu lines written, %llu in %llu read, %llu in %llu "
           "shed: %s; %llu wrong, %llu not in order; %.1f MiB of memory at most\n",
           seconds, (unsigned long long)t->bytes, (unsigned long long)t->next,
           (unsigned long long)c->bytes, (unsigned long long)t->lines,
           (unsigned long long)c->shed_bytes, (unsigned long long)c->shed_lines,
           sums ? "all accounted for" : "NOT what was written", (unsigned long long)t->wrong,
           (unsigned long long)t->disordered, (double)peak / (1 << 20));
    return !sums || t->wrong || t->disordered || !c->shed_lines || !peak || peak > MEMORY_MOST;
}

static int torture_flood(uint32_t seconds, uint64_t seed)
{
    struct torture *t = mem_zero(1, sizeof *t);
    struct follow_owner owner = {
        .context = t, .bytes = flood_bytes, .end = on_end, .shed = on_shed};
    pthread_t writer;
    t->seconds = seconds;
    prepare(t, seed);
    mem_free((void *)t->seen);
    t->seen = NULL;
    open_new(t);
    start(t, &owner);
    timer_init(&t->tick, on_flood_tick);
    loop_timer_set(t->loop, &t->tick, loop_now(t->loop));
    loop_run(t->loop, NULL);
    uint64_t from = clock_now();
    if (pthread_create(&writer, NULL, write_flood, t) || loop_run(t->loop, NULL) ||
        pthread_join(writer, NULL))
        die("thread");
    int bad = flood_report(t, (double)(clock_now() - from) / 1e9);
    stop(t);
    clean(t);
    mem_free(t);
    return bad;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rotations", required_argument, NULL, 'r'},
                                            {"flood", required_argument, NULL, 'f'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    uint64_t seed = 1;
    uint32_t rotations = 0, flood = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'r')
            rotations = (uint32_t)atoi(optarg);
        else if (o == 'f')
            flood = (uint32_t)atoi(optarg);
        else if (o == 's')
            seed = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (flood)
        return torture_flood(flood, seed);
    return rotations ? torture_rotations(rotations, seed) : 2;
}
