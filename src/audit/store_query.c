/* Questions to the store. Each row becomes one JSON object, the shape of an event with what only
 * the audit knows beside it (docs/admin-api.md). Answers are bounded in rows and bytes: `more` and
 * a cursor tell that there are others. */
#include "audit/inside.h"

#include "base/suggest.h"

enum {
    ANSWER_BYTES = 2 * 1024 * 1024,
    THEN_MAX = 64,       /* subjects whose state at a time is told */
    NAMES_MAX = 16,      /* that a name could mean */
    SUBJECTS_MAX = 8192, /* that are looked through for one */
};

#define COLUMNS                                                                                    \
    "records.id, seq, at, wall, epoch, kind, code, level, subject_kind, subject, before, after,"   \
    " reason, asker, text, rule, evidence, boots.boot, boots.node"                                 \
    " FROM records"
#define BOOTS " JOIN boots ON boots.id = records.boot"

enum column {
    ID,
    SEQ,
    AT,
    WALL,
    EPOCH,
    KIND,
    CODE,
    LEVEL,
    SUBJECT_KIND,
    SUBJECT,
    BEFORE,
    AFTER,
    REASON,
    ASKER,
    TEXT,
    RULE,
    EVIDENCE,
    BOOT,
    NODE
};

static struct str text_of(sqlite3_stmt *q, int column)
{
    const char *p = (const char *)sqlite3_column_text(q, column);
    return (struct str){p ? p : "", p ? (size_t)sqlite3_column_bytes(q, column) : 0};
}

static uint64_t number_of(sqlite3_stmt *q, int column)
{
    return (uint64_t)sqlite3_column_int64(q, column);
}

static void put_row(struct buf *out, sqlite3_stmt *q)
{
    static const struct {
        const char *key;
        uint8_t column;
        bool always;
    } texts[] = {{"boot", BOOT, true},
                 {"node", NODE, true},
                 {"code", CODE, true},
                 {"level", LEVEL, true},
                 {"subject_kind", SUBJECT_KIND, true},
                 {"subject", SUBJECT, true},
                 {"text", TEXT, true},
                 {"from", BEFORE, false},
                 {"to", AFTER, false},
                 {"reason", REASON, false},
                 {"by", ASKER, false},
                 {"rule", RULE, false}};
    buf_add(out, out->n ? ",{" : "{", out->n ? 2 : 1);
    text_number(out, "seq", number_of(q, SEQ));
    text_time(out, "time", number_of(q, WALL));
    text_number(out, "boot_ns", number_of(q, AT));
    text_number(out, "epoch", number_of(q, EPOCH));
    text_member(out, "kind", str_of(audit_kind_name((enum audit_kind)number_of(q, KIND))));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str s = text_of(q, texts[i].column);
        if (texts[i].always || s.n)
            text_member(out, texts[i].key, s);
    }
    struct str evidence = text_of(q, EVIDENCE); /* JSON already */
    buf_add_str(out, STR(",\"evidence\":"));
    buf_add_str(out, evidence.n ? evidence : STR("[]"));
    buf_add(out, "}", 1);
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for an answer of the audit");
}

/* All rows of a query that asks for one more than `limit`. */
static int put_rows(struct store *s, sqlite3_stmt *q, uint32_t limit, struct store_answer *out,
                    struct err *e)
{
    int r;
    while ((r = sqlite3_step(q)) == SQLITE_ROW) {
        if (out->n == limit || out->rows.n > ANSWER_BYTES) {
            out->more = true;
            return 0;
        }
        put_row(&out->rows, q);
        if (out->rows.failed)
            return no_memory(e);
        out->next = number_of(q, ID);
        out->n++;
    }
    return r == SQLITE_DONE ? 0 : store_error(s, e, "be read");
}

/* ---- a span of time ---- */

struct bounds {
    int64_t since, until;
    struct str exact, low, high; /* subjects: this one, and from low to below high */
    char range[2][AUDIT_NAME_MAX + 2];
};

static void bound(const struct audit_question *q, struct bounds *b)
{
    uint64_t end = q->until ? q->until : INT64_MAX;
    b->since = (int64_t)MIN(q->since, (uint64_t)INT64_MAX);
    b->until = (int64_t)MIN(end, (uint64_t)INT64_MAX);
    b->exact = str_of(q->subject);
    for (int i = 0; i < 2; i++) {
        size_t n = str_copy(b->range[i], sizeof b->range[i] - 1, b->exact);
        b->range[i][n] = i ? '/' + 1 : '/';
        b->range[i][n + 1] = 0;
    }
    b->low = str_of(b->range[0]);
    b->high = str_of(b->range[1]);
}

static bool bind(sqlite3_stmt *q, int i, struct str s)
{
    return sqlite3_bind_text(q, i, s.n ? s.p : "", (int)s.n, SQLITE_STATIC) == SQLITE_OK;
}

/* ?1 since, ?2 until, ?3 the subject, ?4 and ?5 those below it. */
static bool bind_bounds(sqlite3_stmt *q, const struct bounds *b)
{
    return q && sqlite3_bind_int64(q, 1, b->since) == SQLITE_OK &&
           sqlite3_bind_int64(q, 2, b->until) == SQLITE_OK && bind(q, 3, b->exact) &&
           bind(q, 4, b->low) && bind(q, 5, b->high);
}

#define IN_TIME    "wall >= ?1 AND wall <= ?2"
#define OF_SUBJECT "(?3 = '' OR subject = ?3 OR (subject >= ?4 AND subject < ?5))"

static int ask_span(struct store *s, const struct audit_question *question,
                    struct store_answer *out, struct err *e)
{
    static const char text[] =
        "SELECT " COLUMNS " NOT INDEXED" BOOTS " WHERE records.id > ?6"
        " AND records.id >= coalesce((SELECT min(id) FROM records INDEXED BY by_wall"
        " WHERE wall >= ?1), 9223372036854775807) AND " IN_TIME " AND " OF_SUBJECT
        " AND (?7 = '' OR code = ?7) ORDER BY records.id LIMIT ?8";
    struct bounds b;
    bound(question, &b);
    sqlite3_stmt *q = store_prepare(s, text);
    bool ok =
        bind_bounds(q, &b) &&
        sqlite3_bind_int64(q, 6, (int64_t)MIN(question->from, (uint64_t)INT64_MAX)) == SQLITE_OK &&
        bind(q, 7, str_of(question->code)) &&
        sqlite3_bind_int64(q, 8, (int64_t)question->limit + 1) == SQLITE_OK;
    out->next = question->from;
    int r = ok ? put_rows(s, q, question->limit, out, e) : store_error(s, e, "be read");
    sqlite3_finalize(q);
    return r;
}

/* ---- one subject ---- */

static int ask_subject(struct store *s, const struct audit_question *question, struct str subject,
                       struct store_answer *out, struct err *e)
{
    static const char one[] = "SELECT " COLUMNS " INDEXED BY by_subject" BOOTS
                              " WHERE subject = ?3 AND " IN_TIME " AND ?4 <> ?5"
                              " AND records.id < ?7 ORDER BY records.id DESC LIMIT ?6";
    static const char several[] =
        "SELECT " COLUMNS " NOT INDEXED" BOOTS " WHERE " IN_TIME " AND " OF_SUBJECT
        " AND records.id < ?7 ORDER BY records.id DESC LIMIT ?6";
    struct audit_question about = *question;
    struct bounds b;
    str_copy(about.subject, sizeof about.subject, subject);
    bound(&about, &b);
    bool whole = memchr(about.subject, '/', subject.n) != NULL;
    sqlite3_stmt *q = store_prepare(s, whole ? one : several);
    bool ok =
        bind_bounds(q, &b) && sqlite3_bind_int64(q, 6, (int64_t)question->limit + 1) == SQLITE_OK &&
        sqlite3_bind_int64(q, 7, question->from ? (int64_t)question->from : INT64_MAX) == SQLITE_OK;
    int r = ok ? put_rows(s, q, question->limit, out, e) : store_error(s, e, "be read");
    sqlite3_finalize(q);
    return r;
}

/* The latest verdict of each subject. */
static int ask_then(struct store *s, const struct audit_question *question, struct str subject,
                    struct store_answer *out, struct err *e)
{
    static const char text[] =
        "SELECT " COLUMNS BOOTS " WHERE records.id IN (SELECT (SELECT max(id) FROM records AS v"
        " WHERE v.subject = names.subject AND v.kind = 0 AND v.wall <= ?2) FROM (SELECT DISTINCT"
        " subject FROM records INDEXED BY by_subject WHERE subject = ?3 UNION SELECT DISTINCT"
        " subject FROM records INDEXED BY by_subject WHERE subject >= ?4 AND subject < ?5) AS names"
        " LIMIT ?6) AND ?1 IS NOT NULL ORDER BY subject";
    struct audit_question about = *question;
    struct bounds b;
    str_copy(about.subject, sizeof about.subject, subject);
    bound(&about, &b);
    sqlite3_stmt *q = store_prepare(s, text);
    int r = SQLITE_ERROR;
    if (bind_bounds(q, &b) && sqlite3_bind_int64(q, 6, THEN_MAX) == SQLITE_OK)
        while ((r = sqlite3_step(q)) == SQLITE_ROW)
            put_row(&out->then, q);
    int code = r == SQLITE_DONE ? 0 : store_error(s, e, "be read");
    sqlite3_finalize(q);
    return code == 0 && out->then.failed ? no_memory(e) : code;
}

/* ---- names ---- */

static struct str tail_of(struct str subject)
{
    const char *slash = subject.n ? memchr(subject.p, '/', subject.n) : NULL;
    size_t skip = slash ? (size_t)(slash + 1 - subject.p) : 0;
    return (struct str){subject.p + skip, subject.n - skip};
}

static void add_name(struct store_answer *out, struct str name)
{
    if (out->n_names == NAMES_MAX)
        return;
    if (out->n_names++)
        buf_add(&out->names, ",", 1);
    text_json(&out->names, name);
}

/* Subjects of which `name` is the instance's part, else those near it. */
static int ask_names(struct store *s, struct str name, struct store_answer *out, struct err *e)
{
    static const char text[] =
        "WITH RECURSIVE names (subject) AS (SELECT min(subject) FROM records UNION ALL SELECT"
        " (SELECT min(subject) FROM records WHERE subject > names.subject) FROM names"
        " WHERE names.subject IS NOT NULL) SELECT subject FROM names"
        " WHERE subject IS NOT NULL AND subject <> '' LIMIT ?1";
    struct suggest near = suggest_for(name);
    struct arena arena = {0};
    bool fits = true;
    int r = SQLITE_ERROR;
    sqlite3_stmt *q = store_prepare(s, text);
    if (q && sqlite3_bind_int64(q, 1, SUBJECTS_MAX) == SQLITE_OK)
        while ((r = sqlite3_step(q)) == SQLITE_ROW) {
            struct str subject = arena_str(&arena, text_of(q, 0));
            fits = fits && subject.p;
            if (!subject.p)
                continue;
            if (str_eq(tail_of(subject), name)) {
                str_copy(out->subject, sizeof out->subject, subject);
                add_name(out, subject);
            }
            suggest_try(&near, subject);
            suggest_try(&near, tail_of(subject));
        }
    int code = r == SQLITE_DONE ? 0 : store_error(s, e, "be read");
    sqlite3_finalize(q);
    out->near = out->n_names == 0;
    for (unsigned i = 0; out->near && i < near.n; i++)
        add_name(out, near.name[i]);
    if (out->near)
        str_copy(out->subject, sizeof out->subject, name);
    arena_free(&arena);
    return code == 0 && (!fits || out->names.failed) ? no_memory(e) : code;
}

static int ask_why(struct store *s, const struct audit_question *q, struct store_answer *out,
                   struct err *e)
{
    struct str name = str_of(q->subject);
    str_copy(out->subject, sizeof out->subject, name);
    int r = ask_subject(s, q, name, out, e);
    if (r == 0 && out->n == 0 && q->from == 0) {
        r = ask_names(s, name, out, e);
        if (r == 0 && !out->near && out->n_names == 1) {
            out->n_names = 0;
            buf_clear(&out->names);
            r = ask_subject(s, q, str_of(out->subject), out, e);
        }
    }
    if (r == 0 && out->n_names == 0)
        r = ask_then(s, q, str_of(out->subject), out, e);
    return r;
}

int store_ask(struct store *s, const struct audit_question *q, struct store_answer *out,
              struct err *e)
{
    *out = (struct store_answer){.next = 0};
    int r = 0;
    switch (q->kind) {
    case AUDIT_SPAN: r = ask_span(s, q, out, e); break;
    case AUDIT_WHY: r = ask_why(s, q, out, e); break;
    }
    return r;
}

void store_answer_free(struct store_answer *a)
{
    buf_free(&a->rows);
    buf_free(&a->then);
    buf_free(&a->names);
    *a = (struct store_answer){.next = 0};
}
