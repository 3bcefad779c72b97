/* drain: an instance gets no new requests; those in flight end normally. With --wait, the command
 * lasts until they have. */
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/instance.h"
#include "cli/json.h"

struct drain_options {
    struct node_place node;
    uint64_t wait;
    bool json;
};

static const struct option options[] = {
    {"wait", 'w', "SECONDS", "wait until no request is in flight; exit 1 if that takes longer",
     OPTION_NUMBER, offsetof(struct drain_options, wait)},
    CLI_OPTION_JSON(struct drain_options),
    CLI_OPTIONS_NODE(struct drain_options),
};

static const struct usage usage = {
    .command = "drain",
    .operands = "SERVICE/INSTANCE",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Gives an instance no new requests; those in flight end normally. It stays so\n"
             "over reloads and restarts until 'holdfast resume'. Doing it twice is harmless.",
    .examples = "  holdfast drain web/10.0.0.11:3000\n"
                "  holdfast drain web/10.0.0.11:3000 --wait 30 && systemctl restart app",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

enum { POLL_MS = 200 };

/* Asks again (draining is idempotent and answers with what is in flight) until that is nothing. */
static int wait_idle(const struct drain_options *o, const char *name, struct reply *r)
{
    uint64_t polls = MIN(o->wait, UINT64_C(31536000)) * 1000 / POLL_MS;
    for (; json_number(r->json, "inflight") > 0; polls--) {
        if (polls == 0)
            return cli_fail(CLI_BAD, "%s still has %.0f requests in flight after %llu s", name,
                            json_number(r->json, "inflight"), (unsigned long long)o->wait);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        reply_free(r);
        int code = instance_change(&o->node, name, "drain", r);
        if (code)
            return code;
    }
    return CLI_OK;
}

static void print(const struct reply *r, const char *name, bool changed)
{
    double inflight = json_number(r->json, "inflight");
    printf("%s %s: no new requests, ", name, changed ? "drains" : "was drained already");
    if (inflight > 0)
        printf("%.0f still in flight\n", inflight);
    else
        printf("none in flight\n");
}

int command_drain(int argc, char **argv)
{
    struct drain_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = instance_change(&o.node, operands[0], "drain", &r);
    bool changed = json_flag(r.json, "changed");
    if (code == CLI_OK && o.wait)
        code = wait_idle(&o, operands[0], &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        print(&r, operands[0], changed);
    reply_free(&r);
    return code;
}
