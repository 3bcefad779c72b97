/* Roles as text: of a service in a line, and whole with a row for each candidate. */
#include <string.h>

#include "cli/json.h"
#include "cli/moment.h"
#include "cli/picture.h"

/* What keeps it from taking writes, or NULL. */
static const char *trouble(const json_t *role)
{
    if (!json_flag(role, "known"))
        return "nothing is known of its role yet";
    if (!json_flag(role, "recorded"))
        return "it never had a primary";
    if (!*json_text(role, "primary"))
        return "it has no primary";
    return json_flag(role, "acts") ? NULL : "no primary takes writes";
}

void picture_role_line(const struct term *t, const json_t *role, struct buf *out)
{
    const char *bad = trouble(role), *waits = json_text(role, "waits");
    const char *primary = json_text(role, "primary"), *wanted = json_text(role, "wanted");
    if (bad)
        text_coloured(out, t, COLOUR_RED, str_of(bad));
    if (bad && *primary)
        buf_add_str(out, STR("; the record names "));
    else if (*primary)
        buf_add_str(out, STR("primary "));
    if (*primary)
        text_coloured(out, t, bad ? COLOUR_NONE : COLOUR_GREEN, str_of(primary));
    if (json_flag(role, "recorded"))
        buf_printf(out, ", epoch %.0f", json_number(role, "epoch"));
    if (*wanted) {
        buf_add_str(out, STR(", goes to "));
        text_clean(out, str_of(wanted));
    }
    if (json_flag(role, "paused"))
        text_coloured(out, t, COLOUR_CYAN, STR(", in maintenance: nothing is decided"));
    if (*waits) {
        buf_add_str(out, STR("; waits: "));
        text_clean(out, str_of(waits));
    }
}

static const struct column columns[] = {
    {"NODE", ALIGN_LEFT, false},   {"INSTANCE", ALIGN_LEFT, false},
    {"STATE", ALIGN_LEFT, false},  {"SYNC", ALIGN_LEFT, false},
    {"LAG", ALIGN_RIGHT, false},   {"POSITION", ALIGN_RIGHT, false},
    {"WHY NOT", ALIGN_LEFT, true},
};

static const char *state_of(const json_t *c, enum colour *colour)
{
    *colour = COLOUR_NONE;
    if (json_flag(c, "maintenance")) {
        *colour = COLOUR_CYAN;
        return "maintenance";
    }
    *colour = COLOUR_RED;
    if (!json_flag(c, "alive"))
        return "gone";
    *colour = COLOUR_YELLOW;
    if (!json_flag(c, "heard"))
        return "not heard";
    *colour = json_flag(c, "well") ? COLOUR_GREEN : COLOUR_RED;
    return json_flag(c, "well") ? "well" : "not well";
}

/* "211 B, 1.5 s"; nothing of the primary, and of who is not known. */
void picture_lag(const json_t *c, struct buf *out)
{
    char bytes[AMOUNT_MAX], age[AMOUNT_MAX];
    double seconds = json_number(c, "lag_seconds");
    if (!json_is_number(json_object_get(c, "lag_bytes")))
        return;
    buf_printf(out, "%s B", amount_count(json_number(c, "lag_bytes"), bytes));
    if (seconds >= 60)
        buf_printf(out, ", %s", amount_seconds(seconds, age));
    else if (seconds > 0)
        buf_printf(out, ", %s", amount_us(seconds * 1e6, age));
}

static void add_candidate(struct table *t, const json_t *c)
{
    enum colour colour;
    const char *state = state_of(c, &colour);
    struct buf lag = {0};
    bool primary = json_flag(c, "primary");
    picture_lag(c, &lag);
    t->failed |= lag.failed;
    text_table_add(t, primary ? COLOUR_BOLD : COLOUR_NONE, "%s", json_text(c, "node"));
    text_table_add(t, COLOUR_NONE, "%s", json_text(c, "instance"));
    text_table_add(t, colour, "%s", state);
    text_table_add(t, COLOUR_NONE, "%s", json_flag(c, "in_sync") ? "yes" : "no");
    text_table_add(t, COLOUR_NONE, "%.*s", lag.n ? (int)lag.n : 1, lag.n ? lag.p : "-");
    if (json_number(c, "position") > 0)
        text_table_add(t, COLOUR_NONE, "%.0f", json_number(c, "position"));
    else
        text_table_add(t, COLOUR_NONE, "-");
    text_table_add(t, COLOUR_NONE, "%s",
                   primary || !*json_text(c, "why_not") ? "-" : json_text(c, "why_not"));
    buf_free(&lag);
}

/* "  since 05:34:27.125, by b: node a failed" */
static void put_record(uint64_t now, const json_t *role, struct buf *out)
{
    char at[MOMENT_MAX];
    uint64_t when = moment_of(str_of(json_text(role, "time")));
    if (!when)
        return;
    moment_local(when, now, at);
    buf_printf(out, "  since %s", at);
    if (*json_text(role, "who")) {
        buf_add_str(out, STR(", by "));
        text_clean(out, str_of(json_text(role, "who")));
    }
    if (*json_text(role, "why")) {
        buf_add_str(out, STR(": "));
        text_clean(out, str_of(json_text(role, "why")));
    }
    buf_add(out, "\n", 1);
}

/* "  last: a -> b, failover, 412 ms" */
static void put_last(const json_t *role, struct buf *out)
{
    const json_t *last = json_object_get(role, "last");
    const char *from = json_text(last, "from");
    if (!json_is_object(last))
        return;
    buf_add_str(out, STR("  last: "));
    text_clean(out, str_of(*from ? from : "nobody"));
    buf_add_str(out, STR(" -> "));
    text_clean(out, str_of(json_text(last, "to")));
    buf_add_str(out, !*from                       ? STR(", the first")
                     : json_flag(last, "planned") ? STR(", switchover")
                                                  : STR(", failover"));
    if (*from && json_is_number(json_object_get(last, "took_ms")))
        buf_printf(out, ", %.0f ms without writes", json_number(last, "took_ms"));
    buf_add(out, "\n", 1);
}

/* What a reply waits for, and what is asked for. */
static void put_terms(const json_t *role, struct buf *out)
{
    const json_t *request = json_object_get(role, "request");
    double sync = json_number(role, "sync"), now = json_number(role, "acknowledgements");
    if (strcmp(json_text(role, "agent"), "redis") == 0) {
        buf_printf(out,
                   sync > 0 ? "  writes wait for %.0f replica%s" : "  writes wait for no replica",
                   sync, sync == 1 ? "" : "s");
        if (sync > 0 && json_flag(role, "acts") && now != sync)
            buf_printf(out, ", now for %.0f", now);
        buf_add(out, "\n", 1);
    }
    if (json_flag(role, "held"))
        buf_add_str(out, STR("  writers are held here\n"));
    if (strcmp(json_text(request, "state"), "running") == 0) {
        buf_add_str(out, STR("  asked for: "));
        text_clean(out, str_of(json_text(request, "what")));
        buf_add_str(out, *json_text(request, "text") ? STR(", ") : STR(""));
        text_clean(out, str_of(json_text(request, "text")));
        buf_add(out, "\n", 1);
    }
    if (json_flag(role, "known") && !json_flag(role, "coordinator"))
        buf_add_str(out,
                    STR("  the coordinator cannot be reached: nobody is promoted meanwhile\n"));
}

void picture_roles(const struct term *term, uint64_t now, const json_t *answer, struct buf *out)
{
    const json_t *all = json_object_get(answer, "roles");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *role = json_array_get(all, i), *list = json_object_get(role, "candidates");
        struct table t = {.columns = columns, .n_columns = ARRAY_LEN(columns), .indent = 2};
        if (i)
            buf_add(out, "\n", 1);
        text_coloured(out, term, COLOUR_BOLD, str_of(json_text(role, "service")));
        buf_add_str(out, STR(" ("));
        text_clean(out, str_of(json_text(role, "agent")));
        buf_add_str(out, STR("): "));
        picture_role_line(term, role, out);
        buf_add(out, "\n", 1);
        put_record(now, role, out);
        put_last(role, out);
        put_terms(role, out);
        for (size_t k = 0; k < json_array_size(list); k++)
            add_candidate(&t, json_array_get(list, k));
        if (json_array_size(list))
            text_table_print(&t, term, out);
        text_table_free(&t);
    }
    if (json_array_size(all) == 0)
        buf_add_str(out, STR("no service has a primary: none has an 'agent'\n"));
}

const char *picture_headless(const json_t *answer)
{
    const json_t *all = json_object_get(answer, "roles");
    for (size_t i = 0; i < json_array_size(all); i++)
        if (trouble(json_array_get(all, i)))
            return json_text(json_array_get(all, i), "service");
    return NULL;
}
