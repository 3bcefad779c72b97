/* The hook, beside an instance of another kind and as a kind of its own: then the command is the
 * instance. It is run as "replica" when it is opened and whenever it is demoted, fenced or to
 * follow, as "primary" when it is promoted, as "down" when it is stopped; what it returns is the
 * order's outcome. Past the deadline what runs is killed and "replica" is run: holdfast can see to
 * it that the command is asked in time, and no more.
 *
 *   state   event                     what runs     then
 *   idle    order                     the command   runs
 *   runs    it ends                   -             idle; the order is answered
 *   runs    another order, or lapse   it is killed, the command runs for the newer one */
#include "recover/agents/keeper_hook.h"

#include <stdio.h>

bool keeper_environment(struct keeper *k, const char *role, uint8_t primary, struct arena *memory,
                        struct program *what)
{
    enum { VARIABLES = 9, LONGEST = 192 };
    char address[ADDR_TEXT_MAX] = "", text[VARIABLES - 1][LONGEST];
    const struct instance_place *p = primary < k->spec.n_places ? &k->spec.places[primary] : NULL;
    const char **envp = arena_array(memory, VARIABLES, sizeof *envp);
    if (p)
        addr_format_ip(&p->address, address);
    snprintf(text[0], LONGEST, "HOLDFAST_SERVICE=%s", k->spec.service);
    snprintf(text[1], LONGEST, "HOLDFAST_ROLE=%s", role);
    snprintf(text[2], LONGEST, "HOLDFAST_EPOCH=%llu", (unsigned long long)k->report.epoch);
    snprintf(text[3], LONGEST, "HOLDFAST_NODE=%s", k->spec.places[k->spec.place].name);
    snprintf(text[4], LONGEST, "HOLDFAST_PRIMARY=%s", p ? p->name : "");
    snprintf(text[5], LONGEST, "HOLDFAST_PRIMARY_ADDRESS=%s", address);
    snprintf(text[6], LONGEST, "HOLDFAST_AGENT=%s", instance_kind_name(k->spec.kind));
    snprintf(text[7], LONGEST, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    for (size_t i = 0; envp && i < VARIABLES - 1; i++) {
        envp[i] = arena_cstr(memory, str_of(text[i]));
        if (!envp[i])
            return false;
    }
    what->envp = envp;
    return envp != NULL;
}

int keeper_hook_run(struct keeper *k, const char *role, uint8_t primary, command_done *done,
                    void *context, struct command **out, struct err *e)
{
    const char *const *words = k->host->words(k->host->context, k->spec.service, WORDS_HOOK);
    struct arena memory = {0};
    if (!words)
        return err_set(e, ERR_ABSENT, "%s has no hook", k->spec.service);
    struct program what = {.path = words[0], .argv = words};
    int r = keeper_environment(k, role, primary, &memory, &what)
                ? 0
                : err_set(e, ERR_NOMEM, "no memory to run the hook");
    k->host->fill(k->host->context, &what);
    loop_refresh(k->loop);
    r = r ? r : command_start(out, k->loop, &what, HOOK_LIMIT, done, context, e);
    arena_free(&memory);
    return r;
}

static const char *role_of(const struct keeper *k)
{
    switch ((enum role_instance)k->report.state) {
    case INSTANCE_PRIMARY: return "primary";
    case INSTANCE_REPLICA: return "replica";
    case INSTANCE_DOWN:
    case INSTANCE_UNKNOWN: break;
    }
    return "down";
}

static uint8_t primary_of(const struct keeper *k)
{
    return k->report.state == INSTANCE_PRIMARY ? k->spec.place : k->report.follows;
}

/* --- beside another kind --- */

static void told(void *context, const struct command_end *end)
{
    struct keeper *k = context;
    struct err e;
    k->hook = NULL;
    if (command_result(end, "the hook", &e))
        keeper_log(k, true, "%s", e.text);
    keeper_hook_follow(k);
}

void keeper_hook_follow(struct keeper *k)
{
    struct err e;
    uint64_t now = (uint64_t)k->report.state << 8 | primary_of(k);
    if (k->spec.kind == KIND_HOOK || k->hook || now == k->hooked)
        return;
    k->hooked = now;
    int r = keeper_hook_run(k, role_of(k), primary_of(k), told, k, &k->hook, &e);
    if (r && r != -ERR_ABSENT)
        keeper_log(k, true, "the hook: %s", e.text);
}

/* --- as a kind --- */

struct hooked {
    struct keeper *keeper;
    struct command *run;
    const char *as; /* what runs, or ran last */
    bool stopping;
    struct timer again;
};

#define AGAIN (5 * NS_PER_S)

static void become(struct hooked *h, const char *role, uint8_t primary);

static void arrive(struct hooked *h)
{
    struct keeper *k = h->keeper;
    bool primary = strcmp(h->as, "primary") == 0;
    keeper_state(k, primary ? INSTANCE_PRIMARY : INSTANCE_REPLICA);
    keeper_well(k, KEEPER_GOOD);
    k->report.joined = !primary;
    k->report.history = k->report.epoch;
    if (!primary)
        keeper_rests(k);
    keeper_done(k, 0, NULL);
    keeper_tell(k);
}

static void failed(struct hooked *h, int r, const struct err *e)
{
    struct keeper *k = h->keeper;
    keeper_well(k, "%s", e->text);
    keeper_done(k, r, e);
    keeper_tell(k);
    if (!timer_is_set(&h->again))
        loop_timer_set(k->loop, &h->again, loop_now(k->loop) + AGAIN);
}

static void on_done(void *context, const struct command_end *end)
{
    struct hooked *h = context;
    struct err e;
    int r = command_result(end, "the hook", &e);
    h->run = NULL;
    if (h->stopping)
        keeper_over(h->keeper);
    else if (r)
        failed(h, r, &e);
    else
        arrive(h);
}

static void become(struct hooked *h, const char *role, uint8_t primary)
{
    struct err e;
    loop_timer_stop(h->keeper->loop, &h->again);
    command_abandon(h->run);
    h->run = NULL;
    h->as = role;
    int r = keeper_hook_run(h->keeper, role, primary, on_done, h, &h->run, &e);
    if (r && h->stopping)
        keeper_over(h->keeper);
    else if (r)
        failed(h, r, &e);
}

/* A command that failed to do what is safe is asked again: nobody else would. */
static void on_again(struct timer *t)
{
    struct hooked *h = CONTAINER_OF(t, struct hooked, again);
    if (strcmp(h->as, "replica") == 0)
        become(h, "replica", h->keeper->report.follows);
}

static int hook_open(struct keeper *k, struct err *e)
{
    struct hooked *h = mem_zero(1, sizeof *h);
    if (!h)
        return err_set(e, ERR_NOMEM, "no memory for the hook of %s", k->spec.service);
    h->keeper = k;
    timer_init(&h->again, on_again);
    k->kept = h;
    become(h, "replica", ROLE_NOBODY);
    return 0;
}

static void hook_configure(struct keeper *k, const struct agent_instance *was)
{
    (void)k;
    (void)was;
}

static void hook_order(struct keeper *k)
{
    struct hooked *h = k->kept;
    bool promote = k->order.what == ORDER_PROMOTE;
    if (keeper_only_asked(k)) {
        keeper_done(k, 0, NULL);
        return;
    }
    k->report.follows = k->order.what == ORDER_FOLLOW ? k->order.primary : ROLE_NOBODY;
    become(h, promote ? "primary" : "replica", promote ? k->spec.place : k->report.follows);
}

static void hook_lapse(struct keeper *k)
{
    become(k->kept, "replica", ROLE_NOBODY);
}

static void hook_look(struct keeper *k)
{
    (void)k;
}

static void hook_stop(struct keeper *k, uint64_t grace)
{
    struct hooked *h = k->kept;
    h->stopping = true;
    if (grace)
        become(h, "down", ROLE_NOBODY);
    else
        keeper_over(k);
}

static void hook_close(struct keeper *k)
{
    struct hooked *h = k->kept;
    loop_timer_stop(k->loop, &h->again);
    command_abandon(h->run);
    mem_free(h);
}

const struct keeper_ops keeper_hook = {
    .open = hook_open,
    .configure = hook_configure,
    .order = hook_order,
    .lapse = hook_lapse,
    .look = hook_look,
    .stop = hook_stop,
    .close = hook_close,
};
