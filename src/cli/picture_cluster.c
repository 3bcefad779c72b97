/* The cluster as text: one line for `status`, a table for `members` and `top`. */
#include "cli/json.h"
#include "cli/picture.h"
#include "member/member.h"

static bool is_state(const json_t *member, enum member_state s)
{
    return strcmp(json_text(member, "state"), member_state_name(s)) == 0;
}

static enum colour state_colour(const json_t *member)
{
    static const enum colour colours[MEMBER_STATES] = {
        [MEMBER_ALIVE] = COLOUR_GREEN,
        [MEMBER_SUSPECT] = COLOUR_YELLOW,
        [MEMBER_FAILED] = COLOUR_RED,
        [MEMBER_LEFT] = COLOUR_DIM,
    };
    for (unsigned s = 0; s < MEMBER_STATES; s++)
        if (is_state(member, (enum member_state)s))
            return colours[s];
    return COLOUR_NONE;
}

/* Nothing for what goes without saying. A reason that is not known here is told as it came. */
static const char *reason_words(const char *reason)
{
    static const char *const words[MEMBER_REASONS] = {
        [MEMBER_SELF] = "",
        [MEMBER_HEARD] = "",
        [MEMBER_VOUCHED] = "not heard here, but by others",
        [MEMBER_UNHEARD] = "not heard since this node started",
        [MEMBER_SILENT] = "silent here, and it is not agreed yet that it is gone",
        [MEMBER_UNCONFIRMED] = "silent, and too few are left to agree that it is gone",
        [MEMBER_DEAF] = "heard, but it says that it hears nobody",
        [MEMBER_AGREED] = "its observers agree that it is gone",
        [MEMBER_ALONE] = "silent for long, and nobody else observes it",
        [MEMBER_SAID_GOODBYE] = "it said goodbye",
    };
    for (unsigned r = 0; r < MEMBER_REASONS; r++)
        if (strcmp(member_reason_name((enum member_reason)r), reason) == 0)
            return words[r];
    return reason;
}

/* ---- the line ---- */

enum { NAMED_MAX = 3 };

static void name_trouble(const struct picture *p, const json_t *member, struct buf *out)
{
    char since[AMOUNT_MAX];
    const char *state = json_text(member, "state");
    bool lasts = is_state(member, MEMBER_SUSPECT);
    amount_seconds(json_number(member, "since_seconds"), since);
    buf_add_str(out, STR(", "));
    text_printf(out, p->term, state_colour(member), "%s %s%s %s%s", json_text(member, "name"),
                state, lasts ? " for" : "", since, lasts ? "" : " ago");
}

static void print_troubles(const struct picture *p, const json_t *members, struct buf *out)
{
    unsigned more = 0, named = 0;
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *one = json_array_get(members, i);
        if (is_state(one, MEMBER_ALIVE))
            continue;
        if (named++ < NAMED_MAX)
            name_trouble(p, one, out);
        else
            more++;
    }
    if (more)
        buf_printf(out, ", and %u more", more);
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *one = json_array_get(members, i);
        if (!json_flag(one, "maintenance"))
            continue;
        buf_add_str(out, STR(", "));
        text_printf(out, p->term, COLOUR_CYAN, "%s in maintenance", json_text(one, "name"));
    }
}

static void print_lines(const struct picture *p, enum colour c, struct str lines, struct buf *out)
{
    while (lines.n) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end ? (size_t)(end - lines.p) : lines.n;
        if (n) {
            buf_add_str(out, STR("  "));
            text_coloured(out, p->term, c, (struct str){lines.p, n});
            buf_add(out, "\n", 1);
        }
        lines.p += MIN(n + 1, lines.n);
        lines.n -= MIN(n + 1, lines.n);
    }
}

void picture_cluster(const struct picture *p, const json_t *cluster, struct buf *out)
{
    const json_t *states = json_object_get(cluster, "states"), *count;
    const char *key;
    double all = 0;
    if (!json_is_object(cluster))
        return;
    json_object_foreach((json_t *)(uintptr_t)states, key, count)
    {
        all += json_number_value(count);
    }
    buf_add_str(out, STR("cluster "));
    text_coloured(out, p->term, COLOUR_BOLD, str_of(json_text(cluster, "cluster")));
    buf_printf(out, ": %.0f node%s, %.0f alive", all, all == 1 ? "" : "s",
               json_number(states, member_state_name(MEMBER_ALIVE)));
    print_troubles(p, json_object_get(cluster, "members"), out);
    buf_add(out, "\n", 1);
    if (json_flag(cluster, "left"))
        print_lines(p, COLOUR_YELLOW, STR("this node has left"), out);
    else if (json_flag(cluster, "isolated"))
        print_lines(p, COLOUR_RED, STR("this node hears too few others to agree with anybody"),
                    out);
    print_lines(p, COLOUR_YELLOW, str_of(json_text(cluster, "explain")), out);
}

/* ---- the table ---- */

static const struct column member_columns[] = {
    {"NODE", ALIGN_LEFT, false},       {"ADDRESS", ALIGN_LEFT, true},
    {"STATE", ALIGN_LEFT, false},      {"SINCE", ALIGN_RIGHT, false},
    {"HEARD", ALIGN_RIGHT, false},     {"RTT", ALIGN_RIGHT, false},
    {"OBSERVERS", ALIGN_RIGHT, false}, {"VOTER", ALIGN_LEFT, false},
    {"CONFIG", ALIGN_RIGHT, false},    {"REASON", ALIGN_LEFT, false},
};

static void add_amount(struct table *t, const json_t *member, const char *key,
                       const char *(*form)(double, char[AMOUNT_MAX]))
{
    char text[AMOUNT_MAX];
    const json_t *v = json_object_get(member, key);
    text_table_add(t, COLOUR_NONE, "%s",
                   json_is_number(v) ? form(json_number_value(v), text) : "-");
}

/* Of what the coordinator tells; "-" is not known. */
static void add_shared(struct table *t, const json_t *member)
{
    const json_t *voter = json_object_get(member, "voter");
    const json_t *version = json_object_get(member, "config_version");
    enum colour c = *json_text(member, "config_problem") ? COLOUR_RED : COLOUR_NONE;
    text_table_add(t, COLOUR_NONE, "%s",
                   json_is_true(voter)    ? "yes"
                   : json_is_false(voter) ? "no"
                                          : "-");
    if (!json_is_integer(version))
        text_table_add(t, c, "-");
    else if (json_integer_value(version) == 0)
        text_table_add(t, c, "own");
    else
        text_table_add(t, c, "%lld", (long long)json_integer_value(version));
}

static void add_member(struct table *t, const json_t *member)
{
    const json_t *observers = json_object_get(member, "observers");
    bool witness = strcmp(json_text(member, "role"), "witness") == 0;
    bool maintenance = json_flag(member, "maintenance");
    text_table_add(t, COLOUR_NONE, "%s%s", json_text(member, "name"), witness ? " (witness)" : "");
    text_table_add(t, COLOUR_NONE, "%s", json_text(member, "address"));
    text_table_add(t, state_colour(member), "%s", json_text(member, "state"));
    add_amount(t, member, "since_seconds", amount_seconds);
    add_amount(t, member, "heard_ago_seconds", amount_seconds);
    add_amount(t, member, "rtt_us", amount_us);
    text_table_add(t, COLOUR_NONE, "%.0f/%.0f", json_number(observers, "hearing_count"),
                   json_number(observers, "count"));
    add_shared(t, member);
    text_table_add(t, maintenance ? COLOUR_CYAN : COLOUR_NONE, "%s",
                   maintenance ? "maintenance" : json_text(member, "reason"));
}

static void add_names(struct buf *out, const char *before, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        buf_printf(out, "%s%s", i ? ", " : before, name ? name : "");
    }
}

static void print_config(const struct picture *p, const json_t *member, struct buf *out)
{
    struct buf line = {0};
    if (!*json_text(member, "config_problem"))
        return;
    buf_printf(&line, "%s: configuration: %s", json_text(member, "name"),
               json_text(member, "config_problem"));
    out->failed |= line.failed;
    print_lines(p, COLOUR_RED, buf_str(&line), out);
    buf_free(&line);
}

/* Why one is not plainly there, in a sentence. */
static void print_why(const struct picture *p, const json_t *member, struct buf *out)
{
    char since[AMOUNT_MAX];
    struct buf line = {0};
    const json_t *observers = json_object_get(member, "observers");
    const char *why = reason_words(json_text(member, "reason"));
    if (!*why && !json_flag(member, "maintenance"))
        return;
    buf_printf(&line, "%s: %s for %s", json_text(member, "name"), json_text(member, "state"),
               amount_seconds(json_number(member, "since_seconds"), since));
    if (*why)
        buf_printf(&line, ", %s", why);
    if (*why && !is_state(member, MEMBER_LEFT)) {
        add_names(&line, "; not heard by ", json_object_get(observers, "silent"));
        add_names(&line, "; heard by ", json_object_get(observers, "hearing"));
    }
    if (json_flag(member, "maintenance"))
        buf_add_str(&line, STR("; in maintenance: nothing on it is judged failed"));
    out->failed |= line.failed;
    print_lines(p, COLOUR_DIM, buf_str(&line), out);
    buf_free(&line);
}

void picture_members(const struct picture *p, const json_t *cluster, struct buf *out)
{
    const json_t *all = json_object_get(cluster, "members");
    struct table t = {
        .columns = member_columns, .n_columns = ARRAY_LEN(member_columns), .indent = 2};
    if (json_array_size(all) == 0)
        return;
    for (size_t i = 0; i < json_array_size(all); i++)
        add_member(&t, json_array_get(all, i));
    text_table_print(&t, p->term, out);
    text_table_free(&t);
    for (size_t i = 0; i < json_array_size(all); i++)
        print_why(p, json_array_get(all, i), out);
    for (size_t i = 0; i < json_array_size(all); i++)
        print_config(p, json_array_get(all, i), out);
}

const char *picture_missing(const json_t *cluster)
{
    const json_t *all = json_object_get(cluster, "members");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        if ((is_state(one, MEMBER_SUSPECT) || is_state(one, MEMBER_FAILED)) &&
            !json_flag(one, "maintenance"))
            return json_text(one, "name");
    }
    return NULL;
}
