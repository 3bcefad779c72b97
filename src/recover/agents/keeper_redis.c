/* The process: its directory is made by a program as the children's user (a disk that hangs hangs
 * that), then redis-server is executed and connected to, and again when it has ended.
 *
 * One that cannot read its own data (a full disk left zeros in its file) would end at each start.
 * When it is to follow a primary all its data comes from there: what it has is set aside in a
 * directory beside (one; an older one goes), for somebody to look at, and it begins with nothing.
 * One that follows nobody keeps trying: what it has may be all there is. */
#include "recover/agents/keeper_redis.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORTEST      (50 * NS_PER_MS)
#define LONGEST       (5 * NS_PER_S)
#define STEADY        (10 * NS_PER_S) /* so long it ran: the next wait is the shortest again */
#define FOLDER_LIMIT  (10 * NS_PER_S)
#define ASIDE_LIMIT   (60 * NS_PER_S) /* an older one may be large */
#define CONNECT_EVERY (20 * NS_PER_MS)
enum { REDIS_FILES = 65536 };

static const char *const places[] = {"/usr/bin/redis-server", "/usr/local/bin/redis-server",
                                     "/usr/bin/valkey-server", "/usr/local/bin/valkey-server"};
static const char *const environment[] = {NULL};

static void prepare(struct kept_redis *r);

static int folder_of(const struct keeper *k, char out[REDIS_PATH], struct err *e)
{
    int n = snprintf(out, REDIS_PATH, "%s/redis-%s", k->host->state, k->spec.service);
    return n > 0 && n < REDIS_PATH ? 0 : err_set(e, ERR_LIMIT, "the state directory is too long");
}

/* --- the end --- */

static void try_later(struct kept_redis *r)
{
    uint64_t now = loop_refresh(r->keeper->loop);
    bool steady = r->started && now - r->started > STEADY;
    r->wait = steady || r->wait == 0 ? SHORTEST : MIN(2 * r->wait, LONGEST);
    r->started = 0;
    loop_timer_set(r->keeper->loop, &r->again, now + r->wait);
}

static void unable(struct kept_redis *r, const struct err *e)
{
    struct keeper *k = r->keeper;
    r->life = REDIS_IDLE;
    keeper_well(k, "it cannot be started: %s", e->text);
    keeper_log(k, true, "%s", k->report.sentence);
    try_later(r);
    keeper_tell(k);
}

static void on_exit(struct runner *runner, int status)
{
    struct kept_redis *r = CONTAINER_OF(runner, struct kept_redis, runner);
    struct keeper *k = r->keeper;
    char what[96];
    output_end(&r->output, loop_refresh(k->loop));
    runner_tell(status, what, sizeof what);
    redis_link_close(&r->link);
    redis_look_forget(r);
    starved_close(&r->starved);
    loop_timer_stop(k->loop, &r->again);
    loop_timer_stop(k->loop, &r->look);
    r->life = REDIS_IDLE;
    k->report.pid = 0;
    r->unreadable = r->unreadable && WIFEXITED(status) && WEXITSTATUS(status);
    keeper_well(k, "redis-server %s%s", what, r->unreadable ? ": it cannot read its data" : "");
    keeper_log(k, !k->ending, "%s", k->report.sentence);
    redis_role_dead(r);
    if (k->ending) {
        keeper_over(k);
        return;
    }
    try_later(r);
    keeper_tell(k);
}

void redis_kill(struct kept_redis *r, const char *why)
{
    keeper_log(r->keeper, true, "redis-server is killed: %s", why);
    runner_stop(&r->runner, 0);
}

/* --- its words --- */

static bool has(struct str line, struct str part)
{
    return line.n >= part.n && memmem(line.p, line.n, part.p, part.n) != NULL;
}

/* "PID:ROLE DATE # TEXT" is a warning, and half of what it says at its start is. */
static bool complains(struct str line)
{
    static const struct str bad[] = {{"rror", 4},    {"ailed", 5}, {"an't", 4},
                                     {"atal", 4},    {"annot", 5}, {"crash", 5},
                                     {"corrupt", 7}, {"FATAL", 5}, {"out of memory", 13}};
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        any |= has(line, bad[i]);
    return any && has(line, STR(" # ")) && !has(line, STR("WARNING"));
}

/* What it says when a file of its own makes no sense; not when it could not be read. */
static bool is_unreadable(struct str line)
{
    static const struct str says[] = {{"Bad file format reading the append only file", 44},
                                      {"Wrong RDB checksum", 18},
                                      {"RDB CRC error", 13},
                                      {"Wrong signature trying to load DB", 33},
                                      {"Internal error in RDB reading", 29}};
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(says); i++)
        any |= has(line, says[i]);
    return any;
}

static void on_line(void *context, struct str line)
{
    struct kept_redis *r = context;
    r->unreadable |= is_unreadable(line);
    keeper_log(r->keeper, complains(line), "redis: " STR_FMT, STR_ARG(line));
}

static void on_output(struct runner *runner, struct str bytes)
{
    struct kept_redis *r = CONTAINER_OF(runner, struct kept_redis, runner);
    output_add(&r->output, bytes, loop_now(r->keeper->loop));
}

/* --- the connection --- */

static void connect_later(struct kept_redis *r)
{
    loop_timer_set(r->keeper->loop, &r->again, loop_refresh(r->keeper->loop) + CONNECT_EVERY);
}

static void on_lost(void *context, const char *why)
{
    struct kept_redis *r = context;
    redis_look_forget(r);
    if (!r->fresh)
        keeper_log(r->keeper, false, "the connection to redis-server: %s", why);
    if (r->life == REDIS_RUNS)
        connect_later(r);
}

static void join(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    struct err e;
    if (redis_link_open(&r->link, &k->spec.places[k->spec.place].address, "holdfast",
                        k->spec.password, &e)) {
        connect_later(r);
        return;
    }
    redis_connected(r);
}

/* --- the start --- */

static int input(struct kept_redis *r, int *fd, struct err *e)
{
    struct keeper *k = r->keeper;
    struct buf b = {0};
    char folder[REDIS_PATH];
    int rc = folder_of(k, folder, e);
    if (rc == 0 &&
        !redis_conf_write(&b, &k->spec, folder, r->sink.port,
                          k->host->words(k->host->context, k->spec.service, WORDS_REDIS)))
        rc = err_set(e, ERR_NOMEM, "no memory for its configuration");
    if (rc == 0)
        rc = *fd = memfd_sealed("redis.conf", buf_str(&b), e);
    if (b.p)
        wipe(b.p, b.cap);
    buf_free(&b);
    if (rc < 0)
        return rc;
    lseek(*fd, 0, SEEK_SET);
    return 0;
}

static int execute(struct kept_redis *r, struct err *e)
{
    static const char *const argv[] = {"redis-server", "-", NULL};
    struct program what = {.argv = argv, .envp = environment};
    for (size_t i = 0; i < ARRAY_LEN(places) && !what.path; i++)
        if (access(places[i], X_OK) == 0)
            what.path = places[i];
    if (!what.path)
        return err_set(e, ERR_ABSENT,
                       "redis-server is not installed (looked for %s): install the package "
                       "redis-server",
                       places[0]);
    int rc = input(r, &what.input, e);
    if (rc)
        return rc;
    r->keeper->host->fill(r->keeper->host->context, &what);
    what.files = REDIS_FILES;
    what.nice = 0;
    rc = runner_start(&r->runner, &what, e);
    close(what.input);
    return rc;
}

static void begin(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    struct err e;
    if (execute(r, &e)) {
        unable(r, &e);
        return;
    }
    r->life = REDIS_RUNS;
    r->started = loop_refresh(k->loop);
    patience_good(&r->well, r->started);
    r->asked_at = r->started;
    starved_open(&r->starved, r->runner.pid);
    r->fresh = true;
    r->unreadable = false;
    k->report.pid = (uint32_t)r->runner.pid;
    k->report.starts++;
    keeper_well(k, "redis-server starts");
    keeper_log(k, false, "redis-server runs as process %ld", (long)r->runner.pid);
    connect_later(r);
    redis_look_soon(r);
    keeper_tell(k);
}

static void on_folder(void *context, const struct command_end *end)
{
    struct kept_redis *r = context;
    struct err e;
    r->folder = NULL;
    if (command_result(end, "mkdir", &e))
        unable(r, &e);
    else
        begin(r);
}

static void on_aside(void *context, const struct command_end *end)
{
    struct kept_redis *r = context;
    struct err e;
    r->folder = NULL;
    if (command_result(end, "setting its data aside", &e)) {
        unable(r, &e);
        return;
    }
    keeper_log(r->keeper, true,
               "redis-server cannot read its data, which is set aside as redis-%s.unreadable in "
               "the state directory; all of it comes from the primary: delete what was set aside "
               "when it is of no more use",
               r->keeper->spec.service);
    r->unreadable = false;
    prepare(r);
}

static void set_aside(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    char folder[REDIS_PATH], aside[REDIS_PATH + 16];
    const char *const argv[] = {
        "sh", "-c", "rm -rf -- \"$2\" && mv -T -- \"$1\" \"$2\"", "sh", folder, aside, NULL};
    struct program what = {.path = "/bin/sh", .argv = argv, .envp = environment};
    struct err e;
    k->host->fill(k->host->context, &what);
    r->life = REDIS_PREPARES;
    loop_refresh(k->loop);
    int rc = folder_of(k, folder, &e);
    if (rc == 0)
        snprintf(aside, sizeof aside, "%s.unreadable", folder);
    if (rc || command_start(&r->folder, k->loop, &what, ASIDE_LIMIT, on_aside, r, &e))
        unable(r, &e);
}

static void prepare(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    if (r->unreadable && r->follows == FOLLOWS_PRIMARY) {
        set_aside(r);
        return;
    }
    char folder[REDIS_PATH];
    const char *const argv[] = {"mkdir", "-p", "-m", "0700", "--", folder, NULL};
    struct program what = {.path = "/bin/mkdir", .argv = argv, .envp = environment};
    struct err e;
    k->host->fill(k->host->context, &what);
    r->life = REDIS_PREPARES;
    loop_refresh(k->loop);
    if (folder_of(k, folder, &e) ||
        command_start(&r->folder, k->loop, &what, FOLDER_LIMIT, on_folder, r, &e))
        unable(r, &e);
}

static void on_again(struct timer *t)
{
    struct kept_redis *r = CONTAINER_OF(t, struct kept_redis, again);
    if (r->life == REDIS_IDLE)
        prepare(r);
    else if (r->life == REDIS_RUNS && !redis_link_is_open(&r->link))
        join(r);
}

/* --- the kind --- */

static int redis_open(struct keeper *k, struct err *e)
{
    struct kept_redis *r = mem_zero(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "no memory for the Redis of %s", k->spec.service);
    r->keeper = k;
    int rc = redis_sink_open(&r->sink, k->loop, e);
    if (rc) {
        mem_free(r);
        return rc;
    }
    starved_init(&r->starved);
    runner_init(&r->runner, k->loop);
    r->runner.on_output = on_output;
    r->runner.on_exit = on_exit;
    r->output.context = r;
    r->output.on_line = on_line;
    output_clear(&r->output, loop_now(k->loop));
    redis_link_init(&r->link, k->loop);
    r->link.context = r;
    r->link.on_reply = redis_reply;
    r->link.on_lost = on_lost;
    timer_init(&r->again, on_again);
    timer_init(&r->look, redis_on_look);
    timer_init(&r->limit, redis_on_limit);
    k->kept = r;
    prepare(r);
    return 0;
}

/* The old password goes on to count until it is started anew: not all nodes change at once. */
static void redis_configure(struct keeper *k, const struct agent_instance *was)
{
    struct kept_redis *r = k->kept;
    bool same = addr_eq(&was->places[was->place].address, &k->spec.places[k->spec.place].address);
    bool secrets = strcmp(was->password, k->spec.password) == 0 &&
                   strcmp(was->gate_password, k->spec.gate_password) == 0;
    if (same && !secrets && redis_link_is_open(&r->link)) {
        redis_passwords(r);
    } else if (!(same && secrets) && runner_runs(&r->runner)) {
        keeper_log(k, true, "redis-server is started anew, for its configuration is another");
        runner_stop(&r->runner, k->spec.demotion);
    }
}

static void redis_stop(struct keeper *k, uint64_t grace)
{
    struct kept_redis *r = k->kept;
    loop_timer_stop(k->loop, &r->again);
    command_abandon(r->folder);
    r->folder = NULL;
    if (runner_runs(&r->runner))
        runner_stop(&r->runner, grace);
    else
        keeper_over(k);
}

static void redis_look(struct keeper *k)
{
    redis_look_soon(k->kept);
}

static void redis_close(struct keeper *k)
{
    struct kept_redis *r = k->kept;
    loop_timer_stop(k->loop, &r->again);
    loop_timer_stop(k->loop, &r->look);
    loop_timer_stop(k->loop, &r->limit);
    command_abandon(r->folder);
    redis_link_close(&r->link);
    starved_close(&r->starved);
    runner_abandon(&r->runner);
    redis_sink_close(&r->sink);
    mem_free(r);
}

const struct keeper_ops keeper_redis = {
    .open = redis_open,
    .configure = redis_configure,
    .order = redis_order,
    .lapse = redis_lapse,
    .look = redis_look,
    .stop = redis_stop,
    .close = redis_close,
};
