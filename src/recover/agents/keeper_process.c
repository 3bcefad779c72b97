/* A command that runs where its service's primary is, and nowhere else (a *singleton*): the words
 * of `command`, as the children's user, with the hook's environment.
 *
 *   state     event                      what happens                         state then
 *   idle      PROMOTE                     it is started                        runs
 *   runs      it ends                     started again here after a wait, which doubles
 *                                         up to LONGEST; one that ended more than PATIENT
 *                                         times since it ran for STEADY is not well,
 *                                         and another node may take it         waits
 *   waits     the wait is over            it is started                        runs
 *   runs      FOLLOW, FENCE, DEMOTE       SIGTERM; SIGKILL after GRACE         stops
 *   stops     it ends                     the order is answered                idle
 *   any       the lease's deadline        SIGKILL to its group                 stops
 *
 * The deadline holds without the agent too, whether it hangs, is stopped or is killed: leash.h.
 *
 * It has no data of its own that is replicated: every node is as good as any, its position is 0.
 * One that makes itself a session of its own escapes the end of its group (process.h): it must not.
 */
#include <stdio.h>

#include "recover/agents/keeper.h"
#include "recover/agents/leash.h"

#define SHORTEST (100 * NS_PER_MS)
#define LONGEST  (10 * NS_PER_S)
#define STEADY   (10 * NS_PER_S) /* so long it ran: the next wait is the shortest again */
#define GRACE    (5 * NS_PER_S)
enum { COMMAND_FILES = 65536, PATIENT = 2 };

struct kept_process {
    struct keeper *keeper;
    struct runner runner;
    struct leash leash;
    struct output output;
    struct timer again;
    uint64_t started, wait;
    uint32_t ends; /* since it ran for long */
    char ended[96];
    bool wanted; /* this node's is the one that runs */
};

static void begin(struct kept_process *p);

static void on_line(void *context, struct str line)
{
    struct kept_process *p = context;
    keeper_log(p->keeper, false, STR_FMT, STR_ARG(line));
}

static void on_output(struct runner *r, struct str bytes)
{
    struct kept_process *p = CONTAINER_OF(r, struct kept_process, runner);
    output_add(&p->output, bytes, loop_now(p->keeper->loop));
}

static void wait_again(struct kept_process *p, const char *why, bool patient)
{
    struct keeper *k = p->keeper;
    uint64_t now = loop_refresh(k->loop);
    bool steady = p->started && now - p->started > STEADY;
    p->wait = steady || p->wait == 0 ? SHORTEST : MIN(2 * p->wait, LONGEST);
    keeper_well(k, "it %s; it is started again in %llu ms", why,
                (unsigned long long)(p->wait / NS_PER_MS));
    keeper_log(k, true, "%s", k->report.sentence);
    p->ends = steady ? 1 : p->ends + 1;
    k->report.well = patient && p->ends <= PATIENT;
    loop_timer_set(k->loop, &p->again, now + p->wait);
}

/* Not here, and nobody wants it here. */
static void rest(struct kept_process *p)
{
    struct keeper *k = p->keeper;
    loop_timer_stop(k->loop, &p->again);
    p->wait = p->ends = 0;
    p->ended[0] = 0;
    k->report.pid = 0;
    k->report.joined = true;
    if (k->ending) {
        keeper_over(k);
        return;
    }
    keeper_well(k, KEEPER_GOOD);
    keeper_rests(k);
    keeper_state(k, INSTANCE_REPLICA);
    keeper_done(k, 0, NULL);
    keeper_tell(k);
}

static void on_exit(struct runner *r, int status)
{
    struct kept_process *p = CONTAINER_OF(r, struct kept_process, runner);
    struct keeper *k = p->keeper;
    leash_end(&p->leash);
    output_end(&p->output, loop_now(k->loop));
    runner_tell(status, p->ended, sizeof p->ended);
    k->report.pid = 0;
    if (!p->wanted) {
        rest(p);
        return;
    }
    wait_again(p, p->ended, true);
    keeper_tell(k);
}

/* In the leash: until when the epoch of its start may act. */
static uint64_t deadline(void *context)
{
    const struct keeper *k = context;
    uint64_t epoch, until = k->host->lease(k->host->context, k->spec.slot, &epoch);
    return epoch >= k->acts_epoch ? until : 0;
}

static int start_tied(struct kept_process *p, const struct program *what, struct err *e)
{
    struct keeper *k = p->keeper;
    int r = leash_start(&p->leash, deadline, k, k->spec.demotion / 2, e);
    if (r)
        return r;
    r = runner_start(&p->runner, what, e);
    if (r == 0) {
        r = leash_tie(&p->leash, p->runner.pid, e);
        if (r)
            runner_abandon(&p->runner);
    }
    if (r)
        leash_end(&p->leash);
    return r;
}

static int execute(struct kept_process *p, struct err *e)
{
    struct keeper *k = p->keeper;
    struct arena memory = {0};
    const char *const *words = k->host->words(k->host->context, k->spec.service, WORDS_COMMAND);
    if (!words)
        return err_set(e, ERR_ABSENT, "the configuration has no command for it");
    struct program what = {.path = words[0], .argv = words};
    int r = keeper_environment(k, "primary", k->spec.place, &memory, &what)
                ? 0
                : err_set(e, ERR_NOMEM, "no memory to start it");
    k->host->fill(k->host->context, &what);
    what.files = COMMAND_FILES;
    what.nice = 0;
    r = r ? r : start_tied(p, &what, e);
    arena_free(&memory);
    return r;
}

static void begin(struct kept_process *p)
{
    struct keeper *k = p->keeper;
    struct err e;
    if (execute(p, &e)) {
        char why[200];
        snprintf(why, sizeof why, "cannot be started: %.180s", e.text);
        wait_again(p, why, false);
        keeper_done(k, e.code, &e);
        keeper_tell(k);
        return;
    }
    p->started = loop_refresh(k->loop);
    k->report.pid = (uint32_t)p->runner.pid;
    k->report.starts++;
    keeper_log(k, false, "runs as process %ld", (long)p->runner.pid);
    keeper_well(k, KEEPER_GOOD);
    if (p->ends)
        snprintf(k->report.sentence, sizeof k->report.sentence, "it %s and was started again",
                 p->ended[0] ? p->ended : "could not be started");
    keeper_state(k, INSTANCE_PRIMARY);
    keeper_done(k, 0, NULL);
    keeper_tell(k);
}

/* After a pause of the whole agent this may be due before the lease's timer is looked at. */
static void on_again(struct timer *t)
{
    struct kept_process *p = CONTAINER_OF(t, struct kept_process, again);
    struct keeper *k = p->keeper;
    if (keeper_lease_holds(k, loop_refresh(k->loop)))
        begin(p);
    else
        loop_timer_set(k->loop, &p->again, loop_now(k->loop) + SHORTEST);
}

static void end(struct kept_process *p, uint64_t grace)
{
    p->wanted = false;
    loop_timer_stop(p->keeper->loop, &p->again);
    if (runner_runs(&p->runner))
        runner_stop(&p->runner, grace);
    else
        rest(p);
}

/* --- the kind --- */

static int process_open(struct keeper *k, struct err *e)
{
    struct kept_process *p = mem_zero(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for the command of %s", k->spec.service);
    p->keeper = k;
    runner_init(&p->runner, k->loop);
    p->runner.on_output = on_output;
    p->runner.on_exit = on_exit;
    p->output.context = p;
    p->output.on_line = on_line;
    output_clear(&p->output, loop_now(k->loop));
    timer_init(&p->again, on_again);
    k->kept = p;
    rest(p);
    return 0;
}

static void process_configure(struct keeper *k, const struct agent_instance *was)
{
    (void)k;
    (void)was;
}

static void process_order(struct keeper *k)
{
    struct kept_process *p = k->kept;
    k->report.history = k->report.epoch;
    if (keeper_only_asked(k)) {
        keeper_done(k, 0, NULL);
        return;
    }
    if (k->order.what != ORDER_PROMOTE) {
        k->report.follows = k->order.what == ORDER_FOLLOW ? k->order.primary : ROLE_NOBODY;
        end(p, GRACE);
        return;
    }
    k->report.follows = ROLE_NOBODY;
    k->report.joined = false;
    if (p->wanted && runner_runs(&p->runner)) {
        keeper_done(k, 0, NULL);
        return;
    }
    if (runner_runs(&p->runner)) {
        struct err e;
        keeper_done(k, err_set(&e, ERR_BUSY, "it is still ending"), &e);
        return;
    }
    p->wanted = true;
    begin(p);
}

static void process_lapse(struct keeper *k)
{
    end(k->kept, 0);
}

static void process_look(struct keeper *k)
{
    (void)k;
}

static void process_stop(struct keeper *k, uint64_t grace)
{
    end(k->kept, grace);
}

static void process_close(struct keeper *k)
{
    struct kept_process *p = k->kept;
    loop_timer_stop(k->loop, &p->again);
    runner_abandon(&p->runner);
    leash_end(&p->leash);
    mem_free(p);
}

const struct keeper_ops keeper_process = {
    .open = process_open,
    .configure = process_configure,
    .order = process_order,
    .lapse = process_lapse,
    .look = process_look,
    .stop = process_stop,
    .close = process_close,
};
