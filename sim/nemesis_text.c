/* nemesis_text: schedules as text, both ways. */
#include "nemesis.h"

static const struct form {
    const char *name;
    bool pair, valued;
    int64_t least, most;
} forms[FAULT_KINDS] = {
    [FAULT_CUT] = {"cut", true, false, 0, 0},
    [FAULT_LOSS] = {"loss", true, true, 0, 100},
    [FAULT_DELAY] = {"delay", true, true, 0, 60000},
    [FAULT_DUP] = {"dup", true, true, 0, 100},
    [FAULT_REORDER] = {"reorder", true, true, 0, 100},
    [FAULT_CORRUPT] = {"corrupt", true, true, 0, 100},
    [FAULT_REPLAY] = {"replay", true, true, 1, 10000},
    [FAULT_FORGE] = {"forge", false, true, 1, 10000},
    [FAULT_CRASH] = {"crash", false, false, 0, 0},
    [FAULT_WIPE] = {"wipe", false, false, 0, 0},
    [FAULT_PAUSE] = {"pause", false, false, 0, 0},
    [FAULT_SLOW] = {"slow", false, true, 0, 60000},
    [FAULT_DRIFT] = {"drift", false, true, -100000, 100000},
    [FAULT_DISK_SLOW] = {"disk-slow", false, true, 0, 600000},
    [FAULT_DISK_FULL] = {"disk-full", false, false, 0, 0},
    [FAULT_LEAVE] = {"leave", false, false, 0, 0},
    [FAULT_MAINTENANCE] = {"maintenance", false, false, 0, 0},
    [FAULT_ROTATE] = {"rotate", false, false, 0, 0},
    [FAULT_COORD_AWAY] = {"coord-away", false, false, 0, 0},
    [FAULT_COORD_LOSS] = {"coord-loss", false, true, 0, 100},
    [FAULT_COORD_DELAY] = {"coord-delay", false, true, 0, 60000},
    [FAULT_COORD_BREAK] = {"coord-break", false, false, 0, 0},
    [FAULT_COORD_COMPACT] = {"coord-compact", false, false, 0, 0},
    [FAULT_REFUSE] = {"refuse", false, false, 0, 0},
    [FAULT_VOTERS] = {"voters", false, false, 0, 0},
    [FAULT_APPLY] = {"apply", false, false, 0, 0},
};

const char *fault_name(enum fault_kind k)
{
    return forms[k].name;
}

bool fault_of_pair(enum fault_kind k)
{
    return forms[k].pair;
}

static uint64_t everybody(uint32_t nodes)
{
    return nodes == FAULT_NODES ? UINT64_MAX : (UINT64_C(1) << nodes) - 1;
}

static void print_set(uint64_t set, uint32_t nodes, struct buf *out)
{
    if (set == everybody(nodes)) {
        buf_printf(out, "*");
        return;
    }
    const char *comma = "";
    for (uint32_t i = 0; i < nodes; i++)
        if (set >> i & 1) {
            buf_printf(out, "%s%u", comma, i);
            comma = ",";
        }
}

void fault_print(const struct fault *f, uint32_t nodes, struct buf *out)
{
    const struct form *form = &forms[f->kind];
    buf_printf(out, "%.3f+%.3f %s ", (double)f->at / 1e9, (double)f->length / 1e9, form->name);
    print_set(f->a, nodes, out);
    if (form->pair) {
        buf_printf(out, "%c", f->both ? '-' : '>');
        print_set(f->b, nodes, out);
    }
    if (form->valued)
        buf_printf(out, " %lld", (long long)f->value);
}

void faults_print(const struct faults *f, uint32_t nodes, struct buf *out)
{
    for (uint32_t i = 0; i < f->n; i++) {
        if (i)
            buf_printf(out, "; ");
        fault_print(&f->v[i], nodes, out);
    }
}

/* The next word of s, up to a blank. */
static struct str word(struct str *s)
{
    *s = str_trim(*s);
    struct str w = {s->p, 0};
    while (w.n < s->n && s->p[w.n] != ' ' && s->p[w.n] != '\t')
        w.n++;
    *s = (struct str){s->p + w.n, s->n - w.n};
    return w;
}

/* What stands before the first of these signs; *s is what stands behind it. found: the sign. */
static struct str before(struct str *s, const char *signs, char *found)
{
    size_t i = 0;
    while (i < s->n && !strchr(signs, s->p[i]))
        i++;
    struct str head = {s->p, i};
    *found = i < s->n ? s->p[i] : '\0';
    *s = i < s->n ? (struct str){s->p + i + 1, s->n - i - 1} : (struct str){s->p + i, 0};
    return head;
}

/* Seconds with up to three decimals. */
static bool parse_seconds(struct str s, uint64_t *ns)
{
    char point;
    uint64_t whole, part = 0;
    struct str head = before(&s, ".", &point);
    if (!str_u64(head, 1000000, &whole) || (point && (s.n > 3 || !str_u64(s, 999, &part))))
        return false;
    for (size_t i = s.n; point && i < 3; i++)
        part *= 10;
    *ns = whole * SEC + part * MS;
    return true;
}

static bool parse_set(struct str s, uint32_t nodes, uint64_t *set)
{
    *set = 0;
    if (str_eq(s, STR("*"))) {
        *set = everybody(nodes);
        return true;
    }
    for (char sign = ','; sign;) {
        uint64_t i;
        if (!str_u64(before(&s, ",", &sign), nodes - 1, &i))
            return false;
        *set |= UINT64_C(1) << i;
    }
    return true;
}

static bool parse_value(struct str s, const struct form *form, int64_t *value)
{
    bool negative = s.n && s.p[0] == '-';
    uint64_t v;
    if (negative)
        s = (struct str){s.p + 1, s.n - 1};
    if (!str_u64(s, INT32_MAX, &v))
        return false;
    *value = negative ? -(int64_t)v : (int64_t)v;
    return *value >= form->least && *value <= form->most;
}

static bool parse_kind(struct str s, enum fault_kind *kind)
{
    for (uint32_t k = 0; k < FAULT_KINDS; k++)
        if (str_eq(s, str_of(forms[k].name))) {
            *kind = (enum fault_kind)k;
            return true;
        }
    return false;
}

static int parse_fault(struct str line, uint32_t nodes, struct fault *f, struct err *e)
{
    struct str rest = line, times = word(&rest), kind = word(&rest), who = word(&rest);
    struct str value = word(&rest);
    char sign;
    struct str at = before(&times, "+", &sign);
    if (!sign || !parse_seconds(at, &f->at) || !parse_seconds(times, &f->length))
        return err_set(e, ERR_INVAL, "\"" STR_FMT "\" does not begin with START+LENGTH in seconds",
                       STR_ARG(line));
    if (!parse_kind(kind, &f->kind))
        return err_set(e, ERR_INVAL, "\"" STR_FMT "\" is no kind of fault", STR_ARG(kind));
    const struct form *form = &forms[f->kind];
    struct str a = who;
    if (form->pair) {
        a = before(&who, ">-", &sign);
        f->both = sign == '-';
        if (!sign || !parse_set(who, nodes, &f->b))
            return err_set(e, ERR_INVAL, "\"" STR_FMT "\": who? A>B or A-B, nodes below %u",
                           STR_ARG(line), nodes);
    }
    if (!parse_set(a, nodes, &f->a))
        return err_set(e, ERR_INVAL, "\"" STR_FMT "\": which node? It is below %u", STR_ARG(line),
                       nodes);
    if (form->valued ? !parse_value(value, form, &f->value) : value.n > 0)
        return err_set(e, ERR_INVAL, "\"" STR_FMT "\": its value is not %s", STR_ARG(line),
                       form->valued ? "within bounds" : "expected");
    if (str_trim(rest).n)
        return err_set(e, ERR_INVAL, "\"" STR_FMT "\" goes on too long", STR_ARG(line));
    return 0;
}

int faults_parse(struct str text, uint32_t nodes, struct faults *out, struct err *e)
{
    CHECK(nodes >= 1 && nodes <= FAULT_NODES);
    *out = (struct faults){0};
    for (char sign = ';'; sign;) {
        struct str line = str_trim(before(&text, ";\n", &sign));
        if (!line.n || line.p[0] == '#')
            continue;
        if (out->n == FAULTS_MOST)
            return err_set(e, ERR_LIMIT, "more than %d faults", FAULTS_MOST);
        int failed = parse_fault(line, nodes, &out->v[out->n], e);
        if (failed)
            return failed;
        out->n++;
    }
    return 0;
}
