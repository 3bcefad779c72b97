/* Steps are told in the order of their times. The time between two belongs to what the later one
 * ends, so that the parts add up to the whole. */
#include "cli/chain.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/moment.h"

enum { STEPS_MAX = 64, WORD = 10 };

/* What passes until a step. */
enum phase {
    PHASE_NOTICE,
    PHASE_DECIDE,
    PHASE_COORDINATOR,
    PHASE_LEASE,
    PHASE_FENCE,
    PHASE_CATCH_UP,
    PHASE_PROMOTE,
    PHASE_ADDRESS,
    PHASE_OTHER,
    PHASES
};
static const char *const phase_names[PHASES] = {
    [PHASE_NOTICE] = "until it was known",
    [PHASE_DECIDE] = "deciding",
    [PHASE_COORDINATOR] = "the coordinator",
    [PHASE_LEASE] = "the voters' promise",
    [PHASE_FENCE] = "fencing",
    [PHASE_CATCH_UP] = "catching up",
    [PHASE_PROMOTE] = "the promotion",
    [PHASE_ADDRESS] = "the address",
    [PHASE_OTHER] = "other things",
};

static const struct {
    const char *name;
    enum phase phase;
    const char *text; /* for a step that says nothing itself */
} known[] = {
    {"lost", PHASE_NOTICE, "the last sign of it"},
    {"agreed", PHASE_NOTICE, "it has failed"},
    {"held", PHASE_OTHER, "writers are held"},
    {"challenge", PHASE_DECIDE, "asks the coordinator for the next epoch"},
    {"recorded", PHASE_COORDINATOR, "the record names it"},
    {"leased", PHASE_LEASE, "a majority of the voters acknowledges it"},
    {"confirmed", PHASE_COORDINATOR, "the epoch is still its own"},
    {"fence", PHASE_DECIDE, "asks the others to take nothing more from the old one"},
    {"fenced", PHASE_FENCE, "takes nothing more from it"},
    {"enough", PHASE_FENCE, "enough do"},
    {"catch-up", PHASE_DECIDE, "has more: is followed first"},
    {"promote", PHASE_DECIDE, "its agent is told"},
    {"promoted", PHASE_PROMOTE, "takes writes"},
    {"address", PHASE_ADDRESS, "the address is here"},
};

struct step {
    const json_t *json;
    double before; /* seconds until the record */
    size_t order;
    size_t kind; /* in known; ARRAY_LEN(known): another */
};

static int by_time(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->before != y->before)
        return x->before > y->before ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static size_t steps_of(const json_t *record, struct step steps[STEPS_MAX])
{
    const json_t *list = json_object_get(record, "evidence");
    size_t n = MIN(json_array_size(list), (size_t)STEPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = json_text(one, "signal");
        size_t kind = 0;
        while (kind < ARRAY_LEN(known) && strcmp(known[kind].name, name) != 0)
            kind++;
        steps[i] = (struct step){one, json_number(one, "age_seconds"), i, kind};
    }
    if (n)
        qsort(steps, n, sizeof *steps, by_time);
    return n;
}

bool chain_is(const json_t *record)
{
    const char *code = json_text(record, "code");
    return (strcmp(code, "role-promoted") == 0 || strcmp(code, "role-told") == 0) &&
           json_array_size(json_object_get(record, "evidence")) > 0;
}

double chain_ms(const json_t *record)
{
    struct step steps[STEPS_MAX];
    size_t n = steps_of(record, steps);
    return n ? (steps[0].before - steps[n - 1].before) * 1000 : 0;
}

/* "node b" is "b". */
static struct str who(const json_t *step)
{
    struct str s = str_of(json_text(step, "observer"));
    struct str node = STR("node ");
    return str_starts(s, node) ? (struct str){s.p + node.n, s.n - node.n} : s;
}

static void put_step(const struct step *s, double first, struct buf *out)
{
    const char *says = json_text(s->json, "says");
    double detail = json_number(s->json, "detail"), count = json_number(s->json, "count");
    struct buf name = {0};
    buf_printf(out, "  %5.0f ms  ", (first - s->before) * 1000);
    text_clean(&name, str_of(json_text(s->json, "signal")));
    buf_printf(out, "%-*.*s  ", WORD, (int)name.n, name.p ? name.p : "");
    out->failed |= name.failed;
    buf_free(&name);
    text_clean(out, who(s->json));
    if (count > 1)
        buf_printf(out, " (%.0f times)", count);
    buf_add_str(out, STR(": "));
    if (*says)
        text_clean(out, str_of(says));
    else
        buf_add_str(out, str_of(s->kind < ARRAY_LEN(known) ? known[s->kind].text : ""));
    if (detail > 0)
        buf_printf(out, ", at offset %.0f", detail);
    buf_add(out, "\n", 1);
}

/* What a step ends: what was caught up with takes its time until the next one. */
static enum phase phase_of(const struct step *steps, size_t i)
{
    bool after = i && steps[i - 1].kind < ARRAY_LEN(known) &&
                 strcmp(known[steps[i - 1].kind].name, "catch-up") == 0;
    if (after)
        return PHASE_CATCH_UP;
    return steps[i].kind < ARRAY_LEN(known) ? known[steps[i].kind].phase : PHASE_OTHER;
}

/* The longest first; what took less than a millisecond is left out. */
static void put_phases(const struct step *steps, size_t n, struct buf *out)
{
    double spent[PHASES] = {0}, total = steps[0].before - steps[n - 1].before;
    const char *before = "  Where the time went: ";
    for (size_t i = 1; i < n; i++)
        spent[phase_of(steps, i)] += steps[i - 1].before - steps[i].before;
    for (size_t shown = 0; shown < PHASES; shown++) {
        enum phase most = PHASE_NOTICE;
        for (int p = 1; p < PHASES; p++)
            if (spent[p] > spent[most])
                most = (enum phase)p;
        if (spent[most] < 0.0005)
            break;
        buf_printf(out, "%s%s %.0f ms (%.0f%%)", before, phase_names[most], spent[most] * 1000,
                   spent[most] / total * 100);
        before = ", ";
        spent[most] = 0;
    }
    if (*before == ',')
        buf_add_str(out, STR(".\n"));
}

static void put_head(const struct term *t, uint64_t now, const json_t *record, double ms,
                     struct buf *out)
{
    char at[MOMENT_MAX];
    const char *from = json_text(record, "from"), *reason = json_text(record, "reason");
    moment_local(moment_of(str_of(json_text(record, "time"))), now, at);
    text_coloured(out, t, COLOUR_BOLD,
                  strcmp(reason, "switchover") == 0 ? STR("The last switchover")
                  : strcmp(reason, "first") == 0    ? STR("The first primary")
                                                    : STR("The last failover"));
    buf_add_str(out, strcmp(reason, "forced") == 0 ? STR(" (forced), ") : STR(", "));
    text_clean(out, str_of(*from ? from : "nobody"));
    buf_add_str(out, STR(" -> "));
    text_clean(out, str_of(json_text(record, "to")));
    buf_printf(out, ", %s, %.0f ms\n", at, ms);
    if (*json_text(record, "rule")) {
        buf_add_str(out, STR("  "));
        text_coloured(out, t, COLOUR_DIM, str_of(json_text(record, "rule")));
        buf_add(out, "\n", 1);
    }
}

static void put_chain(const struct term *t, uint64_t now, const json_t *record, struct buf *out)
{
    struct step steps[STEPS_MAX];
    size_t n = steps_of(record, steps);
    put_head(t, now, record, chain_ms(record), out);
    for (size_t i = 0; i < n; i++)
        put_step(&steps[i], steps[0].before, out);
    if (n > 1 && steps[0].before > steps[n - 1].before)
        put_phases(steps, n, out);
}

/* The chain lies where the instance was promoted, and where that node could tell it. */
static void put_elsewhere(const json_t *role, bool older, struct buf *out)
{
    const json_t *list = json_object_get(role, "candidates");
    const char *primary = json_text(role, "primary");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_flag(json_array_get(list, i), "self") &&
            strcmp(json_text(json_array_get(list, i), "node"), primary) == 0)
            primary = "";
    if (!*primary)
        return;
    buf_add_str(out, older ? STR("What led to its present primary is recorded on node ")
                           : STR("What led to it is recorded on node "));
    text_clean(out, str_of(primary));
    buf_add_str(out, STR(": ask there.\n"));
}

void chain_print(const struct term *t, uint64_t now, const json_t *why, struct buf *out)
{
    const json_t *list = json_object_get(why, "records"), *is = json_object_get(why, "now");
    const json_t *role = NULL, *found = NULL;
    for (size_t i = 0; i < json_array_size(is); i++)
        if (strcmp(json_text(json_array_get(is, i), "kind"), "role") == 0)
            role = json_array_get(is, i);
    for (size_t i = 0; i < json_array_size(list) && !found; i++)
        if (chain_is(json_array_get(list, i)))
            found = json_array_get(list, i);
    bool here = found && role && strcmp(json_text(found, "to"), json_text(role, "primary")) == 0;
    if (role && !here)
        put_elsewhere(role, found != NULL, out);
    if (found)
        put_chain(t, now, found, out);
    if (found)
        buf_add(out, "\n", 1);
}
