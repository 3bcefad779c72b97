/* switchover and failover: another primary for a service, without loss or whatever is lost. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/picture.h"
#include "cli/role_ask.h"

struct switch_options {
    struct node_place node;
    uint64_t wait; /* seconds */
    bool json, force, yes;
};

enum { WAIT_S = 30 };

static const struct option switchover_options[] = {
    {"wait", 'w', "SECONDS", "how long to wait until it is done (30)", OPTION_NUMBER,
     offsetof(struct switch_options, wait)},
    CLI_OPTION_JSON(struct switch_options),
    CLI_OPTIONS_NODE(struct switch_options),
};

static const struct usage switchover_usage = {
    .command = "switchover",
    .operands = "SERVICE [to NODE]",
    .min_operands = 1,
    .max_operands = 3,
    .about = "Makes another node the primary of SERVICE without loss: writers are held, the\n"
             "target gets everything, the roles change, and writers go on there. Without a\n"
             "node it is the best candidate. When the target does not catch up in time the\n"
             "primary goes on, and the command says why. Prints how long writers waited.",
    .examples = "  holdfast switchover cache to b\n  holdfast switchover cache",
    .options = switchover_options,
    .n_options = ARRAY_LEN(switchover_options),
};

static const struct option failover_options[] = {
    {"force", 0, NULL, "required: writes may be lost", OPTION_FLAG,
     offsetof(struct switch_options, force)},
    {"yes", 'y', NULL, "do not ask", OPTION_FLAG, offsetof(struct switch_options, yes)},
    {"wait", 'w', "SECONDS", "how long to wait until it is done (30)", OPTION_NUMBER,
     offsetof(struct switch_options, wait)},
    CLI_OPTION_JSON(struct switch_options),
    CLI_OPTIONS_NODE(struct switch_options),
};

static const struct usage failover_usage = {
    .command = "failover",
    .operands = "SERVICE [to NODE]",
    .min_operands = 1,
    .max_operands = 3,
    .about = "Makes another node the primary of SERVICE whatever is lost, where holdfast does\n"
             "not do so itself: every node with all writes is gone, or the replicas are too\n"
             "far behind. What only the old primary has is lost. The command says how much\n"
             "that may be, as far as it is known, and asks. Without a node it is the most\n"
             "advanced one that is there.",
    .examples = "  holdfast failover cache --force\n"
                "  holdfast failover cache to c --force --yes",
    .options = failover_options,
    .n_options = ARRAY_LEN(failover_options),
};

/* "to NODE" behind the service; false after a complaint. */
static bool target_of(const struct usage *u, const char *const *operands, const char **to)
{
    *to = operands[1] ? operands[2] : NULL;
    if (!operands[1] || (strcmp(operands[1], "to") == 0 && operands[2]))
        return true;
    cli_fail(CLI_USAGE, "write 'holdfast %s %s to %s'", u->command, operands[0],
             operands[2]                      ? operands[2]
             : strcmp(operands[1], "to") == 0 ? "NODE"
                                              : operands[1]);
    return false;
}

static json_t *body_of(const char *to, bool force)
{
    json_t *o = json_object();
    bool bad = !o || (to && json_object_set_new(o, "to", json_string(to))) ||
               (force && json_object_set_new(o, "force", json_true()));
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

/* What became of it, in a line. */
static void print_done(const json_t *role, const char *was)
{
    const json_t *last = json_object_get(role, "last"), *took = json_object_get(last, "took_ms");
    const char *is = json_text(role, "primary");
    struct buf out = {0};
    text_clean(&out, str_of(json_text(role, "service")));
    buf_add_str(&out, STR(": "));
    text_clean(&out, str_of(is));
    buf_add_str(&out, STR(" is the primary now"));
    if (*was && strcmp(was, is) != 0) {
        buf_add_str(&out, STR(", it was "));
        text_clean(&out, str_of(was));
    }
    buf_printf(&out, "; epoch %.0f", json_number(role, "epoch"));
    if (json_is_number(took) && json_number(last, "epoch") == json_number(role, "epoch"))
        buf_printf(&out, "; writers waited %.0f ms", json_number_value(took));
    else if (*was && strcmp(was, is) != 0) {
        buf_add_str(&out, STR("; how long writers waited is an event of node "));
        text_clean(&out, str_of(was));
    }
    buf_add(&out, "\n", 1);
    cli_write(stdout, &out);
    buf_free(&out);
}

static int carry_out(struct role_ask *ask, const struct switch_options *o, const char *was)
{
    struct reply r = {0};
    json_t *body = body_of(ask->to, o->force);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text)
        return cli_fail(CLI_USAGE, "a name is not UTF-8, or memory is out");
    ask->body = str_of(text);
    ask->wait = o->wait ? o->wait : WAIT_S;
    int code = role_carry_out(ask, &r);
    free(text); /* jansson's own */
    if (o->json)
        reply_print(&r);
    else if (code == CLI_OK)
        print_done(json_array_get(json_object_get(r.json, "roles"), 0), was);
    reply_free(&r);
    return code;
}

int command_switchover(int argc, char **argv)
{
    struct switch_options o = {0};
    const char *operands[OPERANDS_MAX], *to;
    char was[128] = "";
    struct reply r = {0};
    int code;
    if (!cli_options(&switchover_usage, argc, argv, &o, operands, &code))
        return code;
    if (!target_of(&switchover_usage, operands, &to))
        return CLI_USAGE;
    struct role_ask ask = {
        .node = &o.node, .service = operands[0], .to = to, .action = "switchover"};
    const json_t *role = role_look(&ask, &r, &code);
    bool there = to && json_flag(role, "acts") && strcmp(json_text(role, "primary"), to) == 0;
    str_copy(was, sizeof was, str_of(json_text(role, "primary")));
    if (o.json && (there || code))
        reply_print(&r);
    else if (there)
        printf("%s: %s is the primary already\n", operands[0], to);
    reply_free(&r);
    return code || there ? code : carry_out(&ask, &o, was);
}

/* --- what a forced failover may lose --- */

static const json_t *candidate(const json_t *role, const char *name)
{
    const json_t *list = json_object_get(role, "candidates"), *best = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (name && strcmp(json_text(one, "node"), name) == 0)
            return one;
        if (!name && json_flag(one, "alive") && json_flag(one, "heard") &&
            !json_flag(one, "primary") &&
            (!best || json_number(one, "position") > json_number(best, "position")))
            best = one;
    }
    return best;
}

static void put_loss(const json_t *role, const json_t *target, struct buf *out)
{
    const json_t *old = candidate(role, json_text(role, "primary"));
    double ahead = json_number(old, "position") - json_number(target, "position");
    bool both = json_number(old, "position") > 0 && json_number(target, "position") > 0;
    buf_add_str(out, STR("What may be lost: "));
    if (json_flag(target, "in_sync") && json_number(role, "sync") > 0) {
        buf_add_str(out, STR("nothing that was acknowledged, as far as is known: it was in sync."));
    } else if (json_is_number(json_object_get(target, "lag_bytes"))) {
        buf_add_str(out, STR("it was behind by "));
        picture_lag(target, out);
        buf_add_str(out, STR(" when it was last heard, and by what came after that."));
    } else if (both) {
        buf_printf(out,
                   "it was behind by %.0f B when both were last heard, and by what came after "
                   "that.",
                   ahead > 0 ? ahead : 0);
    } else {
        buf_add_str(out, STR("how much is not known: every write that it does not have."));
    }
    buf_add(out, "\n", 1);
}

/* Plainly, before anything is done. */
static void warn(const json_t *role, const char *to)
{
    const json_t *target = candidate(role, to);
    const char *old = json_text(role, "primary"), *name = json_text(target, "node");
    struct buf out = {0};
    text_clean(&out, str_of(json_text(role, "service")));
    buf_add_str(&out, STR(": "));
    text_clean(&out, str_of(*name ? name : "the most advanced node that is there"));
    buf_add_str(&out, STR(" becomes the primary, and what only "));
    text_clean(&out, str_of(*old ? old : "others"));
    buf_add_str(&out, strcmp(old, name) == 0 ? STR(" does not have is given up.\n")
                                             : STR(" has is lost for good.\n"));
    put_loss(role, target, &out);
    if (json_flag(role, "acts")) {
        text_clean(&out, str_of(old));
        buf_add_str(&out, STR(" takes writes now: 'holdfast switchover' loses nothing.\n"));
    }
    cli_write(stderr, &out);
    buf_free(&out);
}

static bool agreed(const struct switch_options *o)
{
    char answer[16] = "";
    if (o->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        cli_fail(CLI_USAGE, "without a terminal it takes --yes");
        return false;
    }
    fprintf(stderr, "Fail over? [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int command_failover(int argc, char **argv)
{
    struct switch_options o = {0};
    const char *operands[OPERANDS_MAX], *to;
    char was[128] = "";
    struct reply r = {0};
    int code;
    if (!cli_options(&failover_usage, argc, argv, &o, operands, &code))
        return code;
    if (!target_of(&failover_usage, operands, &to))
        return CLI_USAGE;
    if (!o.force)
        return cli_fail(CLI_USAGE,
                        "holdfast fails over by itself; 'holdfast switchover %s' changes the "
                        "primary without loss, and --force whatever is lost",
                        operands[0]);
    struct role_ask ask = {.node = &o.node, .service = operands[0], .to = to, .action = "failover"};
    const json_t *role = role_look(&ask, &r, &code);
    if (role) {
        str_copy(was, sizeof was, str_of(json_text(role, "primary")));
        warn(role, to);
    } else if (o.json) {
        reply_print(&r);
    }
    reply_free(&r);
    if (!role)
        return code ? code : CLI_BAD;
    return agreed(&o)                      ? carry_out(&ask, &o, was)
           : o.yes || isatty(STDIN_FILENO) ? CLI_BAD
                                           : CLI_USAGE;
}
