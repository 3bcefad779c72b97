/* The file: opening it, writing records, and what to make of SQLite's errors.
 *
 * WAL with synchronous NORMAL: a transaction is in the kernel's hands when it has ended, so that a
 * killed process loses nothing of it; the disk itself is waited for only at checkpoints and at
 * store_sync, so that what a power failure takes is bounded by time, and an idle or busy disk costs
 * no sync for each transaction. An audit that is some seconds short after a power failure is worth
 * that; it is never inconsistent.
 *
 * Versions: user_version is STORE_VERSION. Columns and tables are only added, with defaults: then
 * the version rises by one, a newer program adds them when it opens the file, and an older one
 * goes on to read and write it. A change that older programs cannot live with begins another
 * hundred; they set such a file aside and begin anew. */
#include "audit/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    APPLICATION = 0x68664175, /* "hfAu" */
    PAGE = 4096,
    BUSY_MS = 2000, /* at a hand-over two controls may write for a moment */
};

static const char *const sql[STORE_STATEMENTS] = {
    [STORE_BEGIN] = "BEGIN IMMEDIATE",
    [STORE_COMMIT] = "COMMIT",
    [STORE_ROLLBACK] = "ROLLBACK",
    [STORE_INSERT] =
        "INSERT INTO records (seq, boot, at, wall, epoch, kind, lasting, code, level, subject_kind,"
        " subject, before, after, reason, asker, text, rule, evidence)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
};

/* boots: each start of the machine, and who wrote then. records.lasting: decisions and actions. */
static const char tables[] =
    "CREATE TABLE boots (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, node TEXT NOT NULL,"
    " UNIQUE (boot, node));"
    "CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, seq INTEGER NOT NULL,"
    " boot INTEGER NOT NULL, at INTEGER NOT NULL, wall INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, lasting INTEGER NOT NULL, code TEXT NOT NULL, level TEXT NOT NULL,"
    " subject_kind TEXT NOT NULL, subject TEXT NOT NULL, before TEXT NOT NULL,"
    " after TEXT NOT NULL, reason TEXT NOT NULL, asker TEXT NOT NULL, text TEXT NOT NULL,"
    " rule TEXT NOT NULL, evidence TEXT NOT NULL);"
    "CREATE INDEX by_lasting ON records (lasting);"
    "CREATE INDEX by_subject ON records (subject);"
    "CREATE INDEX by_wall ON records (wall);";

static enum err_code code_of(int sqlite)
{
    switch (sqlite & 0xff) {
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_PROTO;
    case SQLITE_FULL: return ERR_LIMIT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_BUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return ERR_DENIED;
    default: return ERR_IO;
    }
}

int store_error(struct store *s, struct err *e, const char *doing)
{
    int code = s->db ? sqlite3_extended_errcode(s->db) : SQLITE_NOMEM;
    const char *text = s->db ? sqlite3_errmsg(s->db) : "out of memory";
    return err_set(e, code_of(code), "the audit cannot %s: %s", doing, text);
}

sqlite3_stmt *store_prepare(struct store *s, const char *text)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, text, -1, &q, NULL) != SQLITE_OK) {
        sqlite3_finalize(q);
        return NULL;
    }
    return q;
}

int store_run(struct store *s, const char *text, struct err *e)
{
    if (sqlite3_exec(s->db, text, NULL, NULL, NULL) != SQLITE_OK)
        return store_error(s, e, "be set up");
    return 0;
}

/* One number; 0 when there is none. */
static int number(struct store *s, const char *text, uint64_t *out, struct err *e)
{
    sqlite3_stmt *q = store_prepare(s, text);
    int r = q ? sqlite3_step(q) : SQLITE_ERROR;
    *out = r == SQLITE_ROW ? (uint64_t)MAX(sqlite3_column_int64(q, 0), (sqlite3_int64)0) : 0;
    int code = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : store_error(s, e, "be read");
    sqlite3_finalize(q);
    return code;
}

uint64_t store_size(struct store *s)
{
    uint64_t pages = 0, unused = 0;
    if (number(s, "PRAGMA page_count", &pages, NULL) ||
        number(s, "PRAGMA freelist_count", &unused, NULL))
        return s->bytes;
    return (pages - MIN(unused, pages)) * PAGE;
}

int store_count(struct store *s, struct err *e)
{
    int r = number(s, "SELECT count(*) FROM records", &s->rows, e);
    if (r == 0)
        r = number(s, "SELECT count(*) FROM records WHERE lasting = 1", &s->lasting, e);
    if (r == 0)
        s->bytes = store_size(s);
    return r;
}

/* ---- opening ---- */

/* Only this user may read what happened here; SQLite gives its other files the same rights. */
static int make_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    return err_errno(e, "cannot open %s", path);
}

static int set_up(struct store *s, struct err *e)
{
    sqlite3_busy_timeout(s->db, BUSY_MS);
    return store_run(s,
                     "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;"
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                     "PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;"
                     "PRAGMA journal_size_limit = 8388608; PRAGMA wal_autocheckpoint = 1000;"
                     "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;",
                     e);
}

static int make_tables(struct store *s, struct err *e)
{
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
             APPLICATION, STORE_VERSION);
    int r = store_run(s, "BEGIN IMMEDIATE;", e);
    if (r == 0)
        r = store_run(s, tables, e);
    if (r == 0)
        r = store_run(s, mark, e);
    if (r && !sqlite3_get_autocommit(s->db))
        store_run(s, "ROLLBACK", NULL);
    return r;
}

/* A newer version adds its steps here, each in a transaction that also sets user_version. */
static int check_version(struct store *s, struct err *e)
{
    uint64_t application = 0, version = 0, there = 0;
    int r = number(s, "PRAGMA application_id", &application, e);
    if (r == 0)
        r = number(s, "PRAGMA user_version", &version, e);
    if (r == 0)
        r = number(s, "SELECT count(*) FROM sqlite_schema", &there, e);
    if (r)
        return r;
    if (application == 0 && version == 0 && there == 0)
        return make_tables(s, e);
    if (application != APPLICATION)
        return err_set(e, ERR_PROTO, "it is not an audit");
    if (version / 100 != STORE_VERSION / 100)
        return err_set(e, ERR_EXISTS, "it is of another program: its version is %llu, not %d",
                       (unsigned long long)version, STORE_VERSION);
    return 0;
}

static int begin_boot(struct store *s, const char *node, const char *boot, struct err *e)
{
    sqlite3_stmt *q = store_prepare(s, "INSERT OR IGNORE INTO boots (boot, node) VALUES (?1, ?2)");
    bool ok = q && sqlite3_bind_text(q, 1, boot, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_bind_text(q, 2, node, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_step(q) == SQLITE_DONE;
    sqlite3_finalize(q);
    if (!ok)
        return store_error(s, e, "be written");
    q = store_prepare(s, "SELECT id FROM boots WHERE boot = ?1 AND node = ?2");
    ok = q && sqlite3_bind_text(q, 1, boot, -1, SQLITE_STATIC) == SQLITE_OK &&
         sqlite3_bind_text(q, 2, node, -1, SQLITE_STATIC) == SQLITE_OK &&
         sqlite3_step(q) == SQLITE_ROW;
    s->boot = ok ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return ok ? 0 : store_error(s, e, "be read");
}

static int prepare_all(struct store *s, struct err *e)
{
    for (int i = 0; i < STORE_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i],
                               NULL) != SQLITE_OK)
            return store_error(s, e, "be read");
    }
    return 0;
}

int store_open(struct store *s, const char *path, const char *vfs, const char *node,
               const char *boot_id, const struct audit_limits *l, struct err *e)
{
    *s = (struct store){.limits = *l};
    int r = make_file(path, e);
    if (r)
        return r;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &s->db, flags, vfs) != SQLITE_OK)
        r = store_error(s, e, "be opened");
    if (r == 0)
        r = set_up(s, e);
    if (r == 0)
        r = check_version(s, e);
    if (r == 0)
        r = begin_boot(s, node, boot_id, e);
    if (r == 0)
        r = prepare_all(s, e);
    if (r == 0)
        r = store_count(s, e);
    if (r)
        store_close(s);
    return r;
}

void store_close(struct store *s)
{
    for (int i = 0; i < STORE_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    *s = (struct store){.limits = s->limits};
}

int store_set_aside(const char *path, const char *why, struct err *e)
{
    static const char *const tails[] = {"-wal", "-shm", ""}; /* the log goes with its file */
    char from[4200], to[4200];
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        snprintf(from, sizeof from, "%s%s", path, tails[i]);
        snprintf(to, sizeof to, "%s.%s%s", path, why, tails[i]);
        if (rename(from, to) && errno != ENOENT)
            return err_errno(e, "cannot rename %s", from);
    }
    return 0;
}

int store_sync(struct store *s, struct err *e)
{
    int r = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return r == SQLITE_OK || (r & 0xff) == SQLITE_BUSY ? 0 : store_error(s, e, "be synced");
}

/* ---- writing ---- */

static bool step(struct store *s, enum store_statement which)
{
    sqlite3_stmt *q = s->statements[which];
    bool ok = sqlite3_step(q) == SQLITE_DONE;
    sqlite3_reset(q);
    return ok;
}

static bool bind_text(sqlite3_stmt *q, int i, struct str t)
{
    return sqlite3_bind_text(q, i, t.n ? t.p : "", (int)t.n, SQLITE_STATIC) == SQLITE_OK;
}

static bool insert(struct store *s, const struct audit_record *r, struct str evidence)
{
    sqlite3_stmt *q = s->statements[STORE_INSERT];
    const int64_t numbers[] = {
        (int64_t)r->seq,
        s->boot,
        (int64_t)r->boot,
        (int64_t)r->wall,
        (int64_t)r->epoch,
        (int64_t)r->kind,
        r->kind == AUDIT_DECISION || r->kind == AUDIT_ACTION,
    };
    const struct str texts[] = {r->code,   r->level, r->subject_kind, r->subject,
                                r->before, r->after, r->reason,       r->by,
                                r->text,   r->rule,  evidence};
    bool ok = true;
    int i = 1;
    for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
        ok &= sqlite3_bind_int64(q, i++, numbers[k]) == SQLITE_OK;
    for (size_t k = 0; k < ARRAY_LEN(texts); k++)
        ok &= bind_text(q, i++, texts[k]);
    ok = ok && sqlite3_step(q) == SQLITE_DONE;
    sqlite3_reset(q);
    return ok;
}

/* What a transaction will have done. */
struct batch {
    uint64_t rows, lasting, seq;
    struct buf evidence;
};

static int write_rows(struct store *s, struct str *bytes, uint32_t most, struct batch *b,
                      struct err *e)
{
    struct audit_signal evidence[AUDIT_EVIDENCE];
    struct audit_record r;
    while (b->rows < most && record_next(bytes, &r, evidence)) {
        buf_clear(&b->evidence);
        record_evidence(&b->evidence, &r);
        if (b->evidence.failed)
            return err_set(e, ERR_NOMEM, "no memory to write the audit");
        if (!insert(s, &r, buf_str(&b->evidence)))
            return store_error(s, e, "be written");
        b->rows++;
        b->lasting += r.kind == AUDIT_DECISION || r.kind == AUDIT_ACTION;
        b->seq = r.seq;
    }
    return 0;
}

int store_write(struct store *s, struct str *bytes, uint32_t most, struct err *e)
{
    struct str left = *bytes;
    struct batch b = {0};
    int r = step(s, STORE_BEGIN) ? 0 : store_error(s, e, "be written");
    if (r == 0)
        r = write_rows(s, &left, most, &b, e);
    if (r == 0 && !step(s, STORE_COMMIT))
        r = store_error(s, e, "be written");
    buf_free(&b.evidence);
    if (r) {
        if (!sqlite3_get_autocommit(s->db))
            step(s, STORE_ROLLBACK);
        return r;
    }
    s->rows += b.rows;
    s->total += b.rows;
    s->lasting += b.lasting;
    s->bytes = store_size(s);
    s->written = MAX(s->written, b.seq);
    *bytes = left;
    return 0;
}
