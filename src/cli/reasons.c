#include "cli/reasons.h"

#include <string.h>

#include "cli/chain.h"
#include "cli/json.h"
#include "cli/moment.h"
#include "cli/picture.h"

enum { EVIDENCE_LINES = 4 };

static enum colour colour_of(const char *state)
{
    static const struct {
        const char *state;
        enum colour colour;
    } colours[] = {{"healthy", COLOUR_GREEN},
                   {"alive", COLOUR_GREEN},
                   {"degraded", COLOUR_YELLOW},
                   {"suspect", COLOUR_YELLOW},
                   {"failed", COLOUR_RED}};
    for (size_t i = 0; i < ARRAY_LEN(colours); i++)
        if (strcmp(colours[i].state, state) == 0)
            return colours[i].colour;
    return COLOUR_NONE;
}

static void put(struct buf *out, const char *text)
{
    buf_add_str(out, str_of(text));
}

static void clean(struct buf *out, const char *text)
{
    text_clean(out, str_of(text));
}

/* "failed (checks-fail)" */
static void put_state(const struct reasons *r, const char *state, const char *reason,
                      struct buf *out)
{
    text_coloured(out, r->term, colour_of(state), str_of(state));
    if (*reason) {
        put(out, " (");
        clean(out, reason);
        put(out, ")");
    }
}

static void put_time(const struct reasons *r, uint64_t wall, struct buf *out)
{
    char text[MOMENT_MAX];
    moment_local(wall, r->now, text);
    put(out, text);
}

/* ---- what it is ---- */

static void put_since(const struct reasons *r, double seconds, struct buf *out)
{
    char span[AMOUNT_MAX];
    uint64_t ns = seconds > 0 ? (uint64_t)(seconds * 1e9) : 0;
    put(out, " since ");
    put_time(r, r->now > ns ? r->now - ns : 0, out);
    put(out, ", for ");
    put(out, amount_seconds(seconds, span));
}

static void put_observers(const struct reasons *r, const json_t *one, struct buf *out)
{
    size_t i;
    const json_t *o;
    json_array_foreach(json_object_get(one, "observers"), i, o)
    {
        put(out, "  node ");
        clean(out, json_text(o, "node"));
        put(out, " sees it ");
        put_state(r, json_text(o, "verdict"), json_text(o, "reason"), out);
        put(out, json_flag(o, "counts") ? "\n" : "; that does not count now\n");
    }
}

static void put_names(struct buf *out, const json_t *names)
{
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        put(out, i ? ", " : " (");
        clean(out, json_string_value(name) ? json_string_value(name) : "");
    }
    put(out, json_array_size(names) ? ")" : "");
}

static void put_member(const struct reasons *r, const json_t *one, struct buf *out)
{
    const json_t *o = json_object_get(one, "observers");
    (void)r;
    buf_printf(out, "  %u observe it: %u hear it", json_count(o, "count"),
               json_count(o, "hearing_count"));
    put_names(out, json_object_get(o, "hearing"));
    buf_printf(out, ", %u do not", json_count(o, "silent_count"));
    put_names(out, json_object_get(o, "silent"));
    put(out, "\n");
}

static void put_role(const struct reasons *r, const json_t *role, struct buf *out)
{
    char at[MOMENT_MAX];
    uint64_t when = moment_of(str_of(json_text(role, "time")));
    text_coloured(out, r->term, COLOUR_BOLD, str_of(json_text(role, "subject")));
    put(out, ": ");
    picture_role_line(r->term, role, out);
    if (when) {
        moment_local(when, r->now, at);
        put(out, ", since ");
        put(out, at);
    }
    put(out, "\n");
}

/* "b (node) is degraded (memory-pressure) since ..." */
static void put_held(const struct reasons *r, const json_t *one, struct buf *out)
{
    text_coloured(out, r->term, COLOUR_BOLD, str_of(json_text(one, "subject")));
    buf_printf(out, " (%s) is ", json_text(one, "of"));
    put_state(r, json_text(one, "verdict"), json_text(one, "reason"), out);
    put_since(r, json_number(one, "since_seconds"), out);
    put(out, "\n  ");
    clean(out, json_text(one, "explanation"));
    put(out, "\n");
}

static void put_now(const struct reasons *r, const json_t *one, struct buf *out)
{
    bool node = strcmp(json_text(one, "kind"), "node") == 0;
    const char *state = json_text(one, node ? "state" : "verdict");
    const char *own = json_text(one, "own_verdict"), *why = json_text(one, "explanation");
    text_coloured(out, r->term, COLOUR_BOLD, str_of(json_text(one, "subject")));
    put(out, " is ");
    put_state(r, state, json_text(one, "reason"), out);
    put_since(r, json_number(one, "since_seconds"), out);
    put(out, "\n");
    if (*why) {
        put(out, "  ");
        clean(out, why);
        put(out, "\n");
    }
    if (node)
        put_member(r, one, out);
    else
        put_observers(r, one, out);
    if (*own && strcmp(own, state) != 0) {
        put(out, "  by this node's own evidence it is ");
        put_state(r, own, "", out);
        put(out, "\n");
    }
    if (json_flag(one, "draining"))
        put(out, "  It drains: it takes no new requests.\n");
    if (json_flag(one, "maintenance"))
        put(out, node ? "  It is in maintenance: nothing on it is judged failed.\n"
                      : "  Its node is in maintenance: it stays as it was.\n");
}

static void put_then(const struct reasons *r, const json_t *why, struct buf *out)
{
    const json_t *then = json_object_get(why, "then"), *one;
    size_t i;
    put(out, "At ");
    put_time(r, moment_of(str_of(json_text(why, "at"))), out);
    put(out, ":\n");
    json_array_foreach(then, i, one)
    {
        put(out, "  ");
        text_coloured(out, r->term, COLOUR_BOLD, str_of(json_text(one, "subject")));
        put(out, " was ");
        put_state(r, json_text(one, "to"), json_text(one, "reason"), out);
        put(out, " since ");
        put_time(r, moment_of(str_of(json_text(one, "time"))), out);
        put(out, "\n");
    }
    if (json_array_size(then) == 0)
        put(out, "  No verdict of that time or before is kept.\n");
}

void reasons_state(const struct reasons *r, const json_t *why, struct buf *out)
{
    const json_t *now = json_object_get(why, "now"), *one;
    size_t i;
    if (json_is_string(json_object_get(why, "at"))) {
        put_then(r, why, out);
        return;
    }
    json_array_foreach(now, i, one)
    {
        if (strcmp(json_text(one, "kind"), "role") == 0)
            put_role(r, one, out);
        else if (strcmp(json_text(one, "kind"), "findings") == 0)
            put_held(r, one, out);
        else
            put_now(r, one, out);
    }
    if (json_array_size(now) == 0) {
        text_coloured(out, r->term, COLOUR_BOLD, str_of(json_text(why, "subject")));
        put(out, " has no verdict now.\n");
    }
}

/* ---- what was recorded ---- */

static void put_detail(const json_t *s, struct buf *out)
{
    const char *signal = json_text(s, "signal");
    double detail = json_number(s, "detail");
    char text[AMOUNT_MAX];
    size_t n = strlen(signal);
    bool ok = n > 3 && strcmp(signal + n - 3, "-ok") == 0;
    if (ok && strncmp(signal, "beat", 4) != 0 && detail > 0)
        buf_printf(out, ", in %s", amount_us(detail, text));
    else if (detail >= 100 && detail < 600 &&
             (strcmp(signal, "check-bad") == 0 || strcmp(signal, "request-5xx") == 0))
        buf_printf(out, ", answered %.0f", detail);
}

/* "check-refused x3 by control, 0.1 s before" */
static void put_signal(const json_t *s, struct buf *out)
{
    double count = json_number(s, "count");
    put(out, "    ");
    clean(out, json_text(s, "signal"));
    if (count > 1)
        buf_printf(out, " x%.0f", count);
    put(out, " by ");
    clean(out, json_text(s, "observer"));
    put_detail(s, out);
    if (json_object_get(s, "time") || json_number(s, "age_seconds") > 0)
        buf_printf(out, ", %.1f s before", json_number(s, "age_seconds"));
    if (*json_text(s, "says")) {
        put(out, ": ");
        clean(out, json_text(s, "says"));
    }
    put(out, "\n");
}

/* The latest first: they tipped it. What is said in words comes last in the record, and stays. */
static void put_evidence(const json_t *evidence, struct buf *out)
{
    size_t n = json_array_size(evidence);
    for (size_t i = 0; i < n && i < EVIDENCE_LINES; i++)
        put_signal(json_array_get(evidence, n - 1 - i), out);
    if (n > EVIDENCE_LINES)
        buf_printf(out, "    and %zu more (--json)\n", n - EVIDENCE_LINES);
}

static void put_record(const struct reasons *r, const char *asked, const json_t *one,
                       struct buf *out)
{
    const char *subject = json_text(one, "subject"), *to = json_text(one, "to");
    const char *by = json_text(one, "by"), *rule = json_text(one, "rule");
    put_time(r, moment_of(str_of(json_text(one, "time"))), out);
    put(out, "  ");
    if (strcmp(subject, asked) != 0) {
        text_coloured(out, r->term, COLOUR_BOLD, str_of(subject));
        put(out, "  ");
    }
    if (*to) {
        put_state(r, json_text(one, "from"), "", out);
        put(out, " -> ");
        put_state(r, to, json_text(one, "reason"), out);
    } else {
        clean(out, json_text(one, "code"));
        put(out, ": ");
        clean(out, json_text(one, "text"));
    }
    if (*by) {
        put(out, "; asked for by ");
        clean(out, by);
    }
    put(out, "\n");
    if (*rule) {
        put(out, "    ");
        text_coloured(out, r->term, COLOUR_DIM, str_of(rule));
        put(out, "\n");
    }
    if (chain_is(one))
        buf_printf(out, "    %zu steps, %.0f ms (--json)\n",
                   json_array_size(json_object_get(one, "evidence")), chain_ms(one));
    else
        put_evidence(json_object_get(one, "evidence"), out);
}

static unsigned lines_in(const struct buf *b)
{
    unsigned n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->p[i] == '\n';
    return n;
}

bool reasons_records(const struct reasons *r, const json_t *why, struct buf *out)
{
    const json_t *records = json_object_get(why, "records");
    const char *asked = json_text(why, "subject");
    unsigned used = 0;
    for (size_t i = 0; i < json_array_size(records); i++) {
        struct buf one = {0};
        put_record(r, asked, json_array_get(records, i), &one);
        unsigned lines = lines_in(&one);
        bool fits = r->lines == 0 || i == 0 || used + lines <= r->lines;
        if (fits)
            buf_add_str(out, buf_str(&one));
        out->failed |= one.failed;
        buf_free(&one);
        if (!fits)
            return true;
        used += lines;
    }
    if (json_array_size(records) == 0)
        put(out, "Nothing is recorded about it.\n");
    return false;
}
