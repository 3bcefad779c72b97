#include "coord/embedded_db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x48464344 /* "HFCD" */

enum statement { READ, PUT, REMOVE, REVISION, RANGE, BEGIN, COMMIT, ROLLBACK, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [READ] = "SELECT revision FROM item WHERE key = ?1",
    [PUT] = "INSERT INTO item(key, value, revision) VALUES(?1, ?2, ?3) ON CONFLICT(key) DO UPDATE "
            "SET value = excluded.value, revision = excluded.revision",
    [REMOVE] = "DELETE FROM item WHERE key = ?1",
    [REVISION] = "UPDATE map SET revision = ?1",
    [RANGE] = "SELECT key, value, revision FROM item WHERE key >= ?1 AND (?2 IS NULL OR key < ?2) "
              "ORDER BY key",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct db {
    sqlite3 *sqlite; /* NULL: closed by trouble */
    sqlite3_stmt *statements[STATEMENTS];
    uint64_t revision;
    char path[]; /* terminated */
};

/* ---- SQLite's errors as ours ---- */

static int sqlite_err(const struct db *db, int code, const char *what, struct err *e)
{
    const char *text = db->sqlite ? sqlite3_errmsg(db->sqlite) : sqlite3_errstr(code);
    int system = db->sqlite ? sqlite3_system_errno(db->sqlite) : 0;
    switch (code & 0xff) {
    case SQLITE_NOMEM: return err_set(e, ERR_NOMEM, "no memory to %s %s", what, db->path);
    case SQLITE_BUSY:
        return err_set(e, ERR_BUSY,
                       "%s is in use: another holdfast runs with this state directory; stop it, or "
                       "give one of them another directory",
                       db->path);
    case SQLITE_FULL:
        return err_set(e, ERR_LIMIT,
                       "cannot %s %s: the disk is full, or the file has reached %d MiB; make room",
                       what, db->path, DB_BYTES_MAX / 1024 / 1024);
    case SQLITE_NOTADB:
        return err_set(e, ERR_INVAL,
                       "%s is not a coordinator's file; move it away, and a new one is made",
                       db->path);
    case SQLITE_CORRUPT:
        return err_set(e, ERR_IO,
                       "%s is damaged (%s): stop holdfast, then put a backup in its place, or move "
                       "it away and apply the configuration anew",
                       db->path, text);
    default:
        return err_set(e, ERR_IO, "cannot %s %s: %s%s%s", what, db->path, text, system ? ": " : "",
                       system ? strerror(system) : "");
    }
}

static bool row_of(struct db *db, const char *query, sqlite3_stmt **out, int *code)
{
    *out = NULL;
    *code = sqlite3_prepare_v2(db->sqlite, query, -1, out, NULL);
    if (*code == SQLITE_OK)
        *code = sqlite3_step(*out);
    return *code == SQLITE_ROW;
}

/* One number that a query answers. */
static int number(struct db *db, const char *query, int64_t *out, struct err *e)
{
    sqlite3_stmt *s;
    int code, bad = 0;
    if (row_of(db, query, &s, &code))
        *out = sqlite3_column_int64(s, 0);
    else if (code == SQLITE_DONE)
        bad = err_set(e, ERR_INVAL, "%s lacks what it should hold; put a backup in its place",
                      db->path);
    else
        bad = sqlite_err(db, code, "read", e);
    sqlite3_finalize(s);
    return bad;
}

static int run(struct db *db, const char *text, struct err *e)
{
    int code = sqlite3_exec(db->sqlite, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_err(db, code, "write", e);
}

/* ---- Opening ---- */

/* A new file is empty and 0600 before SQLite sees it, and its name outlives a power loss. */
static int make_file(const char *path, bool create, struct err *e)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | (create ? O_CREAT : 0), 0600);
    struct stat st;
    if (fd < 0)
        return err_errno(e, "cannot open %s", path);
    int bad = 0;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        bad = err_set(e, ERR_INVAL, "%s is not a file", path);
    else if ((st.st_mode & 077) && fchmod(fd, 0600))
        bad = err_errno(e, "cannot make %s its owner's alone", path);
    close(fd);
    if (bad || !create)
        return bad;
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        bad = err_errno(e, "cannot sync %s", folder);
    if (fd >= 0)
        close(fd);
    return bad;
}

/* Nothing that writes: it may be somebody else's. */
static int begin_reading(struct db *db, struct err *e)
{
    sqlite3_extended_result_codes(db->sqlite, 1);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return run(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON", e);
}

static int begin_writing(struct db *db, struct err *e)
{
    char text[320];
    snprintf(text, sizeof text,
             "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
             "PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216; "
             "PRAGMA max_page_count = %d",
             DB_PAGE, DB_BYTES_MAX / DB_PAGE);
    return run(db, text, e);
}

static int make_schema(struct db *db, struct err *e)
{
    char text[512];
    snprintf(text, sizeof text,
             "BEGIN IMMEDIATE;"
             "CREATE TABLE item(key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, "
             "revision INTEGER NOT NULL);"
             "CREATE TABLE map(one INTEGER PRIMARY KEY CHECK(one = 1), revision INTEGER NOT NULL);"
             "INSERT INTO map VALUES(1, %d);"
             "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             DB_FIRST, APPLICATION_ID, DB_SCHEMA);
    return run(db, text, e);
}

/* Whose it is and of which version; a file without tables is a new one. */
static int check_schema(struct db *db, bool *new, struct err *e)
{
    int64_t id = 0, version = 0, tables = 0;
    int bad = number(db, "SELECT count(*) FROM sqlite_schema", &tables, e);
    bad = bad ? bad : number(db, "PRAGMA application_id", &id, e);
    bad = bad ? bad : number(db, "PRAGMA user_version", &version, e);
    if (bad)
        return bad;
    *new = !tables && !id && !version;
    if (*new)
        return 0;
    if (id != APPLICATION_ID)
        return err_set(e, ERR_INVAL,
                       "%s is some other program's database; move it away, and a new one is made",
                       db->path);
    if (version != DB_SCHEMA)
        return err_set(
            e, ERR_INVAL,
            "%s is of version %lld, and this holdfast knows version %d; run the holdfast "
            "that wrote it, or a newer one",
            db->path, (long long)version, DB_SCHEMA);
    return 0;
}

static int check_whole(struct db *db, struct err *e)
{
    sqlite3_stmt *s;
    int code, bad = 0;
    if (!row_of(db, "PRAGMA integrity_check(1)", &s, &code))
        bad = sqlite_err(db, code, "check", e);
    else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
        bad = err_set(e, ERR_IO,
                      "%s is damaged (%.80s): stop holdfast, then put a backup in its place, or "
                      "move it away and apply the configuration anew",
                      db->path, (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    return bad;
}

static int check_revision(struct db *db, struct err *e)
{
    int64_t revision = 0, highest = 0;
    int bad = number(db, "SELECT revision FROM map", &revision, e);
    bad = bad ? bad : number(db, "SELECT coalesce(max(revision), 0) FROM item", &highest, e);
    if (bad)
        return bad;
    if (revision < DB_FIRST || highest > revision)
        return err_set(e, ERR_IO, "%s contradicts itself; put a backup in its place", db->path);
    if ((uint64_t)revision < db->revision)
        return err_set(
            e, ERR_IO,
            "%s holds revision %lld, and %llu was done already: it is an older file; put "
            "the newer one back, or restart holdfast to go on with this one",
            db->path, (long long)revision, (unsigned long long)db->revision);
    db->revision = (uint64_t)revision;
    return 0;
}

static int prepare(struct db *db, struct err *e)
{
    for (int i = 0; i < STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(db->sqlite, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &db->statements[i], NULL);
        if (code != SQLITE_OK)
            return sqlite_err(db, code, "open", e);
    }
    return 0;
}

static void shut(struct db *db)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }
    int code = sqlite3_close(db->sqlite);
    CHECK(code == SQLITE_OK); /* no statement is left */
    db->sqlite = NULL;
}

/* What the log holds is for the next reader to find: closing must not tidy it away. */
static void abandon(struct db *db)
{
    if (!db->sqlite)
        return;
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    shut(db);
}

static int open_file(struct db *db, bool create, struct err *e)
{
    bool new = false;
    int bad = make_file(db->path, create, e);
    if (bad)
        return bad;
    int code = sqlite3_open_v2(
        db->path, &db->sqlite,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    bad = code == SQLITE_OK ? begin_reading(db, e) : sqlite_err(db, code, "open", e);
    bad = bad ? bad : check_schema(db, &new, e);
    if (!bad && new && !create)
        bad = err_set(e, ERR_IO, "%s is empty: put the file back that was there", db->path);
    bad = bad ? bad : begin_writing(db, e);
    bad = bad || !new ? bad : make_schema(db, e);
    bad = bad ? bad : check_whole(db, e);
    bad = bad ? bad : check_revision(db, e);
    bad = bad ? bad : prepare(db, e);
    if (bad)
        abandon(db);
    return bad;
}

int db_open(struct db **out, const char *path, struct err *e)
{
    size_t n = strlen(path) + 1;
    struct db *db = mem_zero(1, sizeof *db + n);
    if (!db)
        return err_set(e, ERR_NOMEM, "no memory to open %s", path);
    memcpy(db->path, path, n);
    int bad = open_file(db, true, e);
    if (bad) {
        mem_free(db);
        return bad;
    }
    *out = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    shut(db);
    mem_free(db);
}

/* All that the log holds goes into the main file and is synced there; then the log is empty. */
static int rewrite(struct db *db, struct err *e)
{
    sqlite3_stmt *s;
    int code, bad = 0;
    if (!row_of(db, "PRAGMA wal_checkpoint(TRUNCATE)", &s, &code))
        bad = sqlite_err(db, code, "write", e);
    else if (sqlite3_column_int(s, 0))
        bad = err_set(e, ERR_IO, "cannot write %s: its log is in use", db->path);
    sqlite3_finalize(s);
    return bad;
}

int db_settle(struct db *db, struct err *e)
{
    abandon(db);
    int bad = open_file(db, false, e);
    if (bad)
        return bad;
    bad = rewrite(db, e);
    if (bad)
        abandon(db);
    return bad;
}

uint64_t db_revision(const struct db *db)
{
    return db->revision;
}

/* ---- Reading and changing ---- */

static int step(struct db *db, enum statement which)
{
    int code = sqlite3_step(db->statements[which]);
    if (code != SQLITE_ROW) {
        sqlite3_reset(db->statements[which]);
        sqlite3_clear_bindings(db->statements[which]);
    }
    return code;
}

static void bind(struct db *db, enum statement which, int at, struct str s)
{
    /* Bound bytes stay where they are until the statement is reset. Binding cannot fail for want of
     * memory then, and the places are right. */
    int code = sqlite3_bind_blob64(db->statements[which], at, s.n ? s.p : "", s.n, SQLITE_STATIC);
    CHECK(code == SQLITE_OK);
}

/* A failure before the commit: back to where it was. Whether the file can be trusted goes by what
 * it was. */
static enum db_end undo(struct db *db, int code, struct err *e)
{
    sqlite_err(db, code, "write", e);
    if (!sqlite3_get_autocommit(db->sqlite) && step(db, ROLLBACK) != SQLITE_DONE)
        return DB_SICK;
    int kind = code & 0xff;
    return kind == SQLITE_NOMEM || kind == SQLITE_FULL ? DB_REFUSED : DB_SICK;
}

/* The revision of a key's last change, 0 when it is not there. */
static int read_revision(struct db *db, struct str key, uint64_t *out)
{
    bind(db, READ, 1, key);
    int code = step(db, READ);
    *out = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(db->statements[READ], 0) : 0;
    if (code == SQLITE_ROW)
        code = sqlite3_reset(db->statements[READ]) == SQLITE_OK ? SQLITE_DONE : SQLITE_IOERR;
    return code;
}

static int compare(struct db *db, const struct coord_op *ops, uint32_t n, struct db_change *out)
{
    out->outcome = COORD_DONE;
    out->changed = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t is;
        int code = read_revision(db, ops[i].key, &is);
        if (code != SQLITE_DONE)
            return code;
        if (ops[i].expected != COORD_ANY && ops[i].expected != is)
            out->outcome = COORD_CONFLICT;
        if (ops[i].act == COORD_PUT || (ops[i].act == COORD_REMOVE && is))
            out->changed |= 1u << i;
    }
    return SQLITE_DONE;
}

static int change(struct db *db, const struct coord_op *op, uint64_t revision)
{
    enum statement which = op->act == COORD_PUT ? PUT : REMOVE;
    bind(db, which, 1, op->key);
    if (which == PUT) {
        bind(db, PUT, 2, op->value);
        sqlite3_bind_int64(db->statements[PUT], 3, (sqlite3_int64)revision);
    }
    return step(db, which);
}

enum db_end db_cas(struct db *db, const struct coord_op *ops, uint32_t n, struct db_change *out,
                   struct err *e)
{
    out->revision = db->revision;
    int code = compare(db, ops, n, out);
    if (code != SQLITE_DONE)
        return undo(db, code, e);
    if (out->outcome == COORD_CONFLICT || !out->changed)
        return DB_OK;
    uint64_t revision = db->revision + 1;
    code = step(db, BEGIN);
    for (uint32_t i = 0; i < n && code == SQLITE_DONE; i++)
        if (out->changed & 1u << i)
            code = change(db, &ops[i], revision);
    if (code == SQLITE_DONE) {
        sqlite3_bind_int64(db->statements[REVISION], 1, (sqlite3_int64)revision);
        code = step(db, REVISION);
    }
    if (code != SQLITE_DONE)
        return undo(db, code, e);
    out->revision = revision;
    code = step(db, COMMIT);
    if (code != SQLITE_DONE) {
        sqlite_err(db, code, "write", e);
        return DB_UNSETTLED;
    }
    db->revision = revision;
    return DB_OK;
}

/* The first key after all that begin with the prefix; false when there is none such. */
static bool after_prefix(struct str prefix, char *to, size_t *n)
{
    *n = prefix.n;
    memcpy(to, prefix.n ? prefix.p : "", prefix.n);
    while (*n && (unsigned char)to[*n - 1] == 0xff)
        --*n;
    if (!*n)
        return false;
    to[*n - 1] = (char)((unsigned char)to[*n - 1] + 1);
    return true;
}

/* Room for one more, doubling. Keys and values are lengths until all bytes have their place. */
static bool add_item(struct db_items *out, uint32_t *cap, sqlite3_stmt *s)
{
    if (out->n == *cap) {
        uint32_t more = MAX(16, *cap * 2);
        struct coord_item *items = mem_resize(out->items, more * sizeof *items);
        if (!items)
            return false;
        out->items = items;
        *cap = more;
    }
    struct str key = {sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0)};
    struct str value = {sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)};
    if ((key.n && !key.p) || (value.n && !value.p))
        return false;
    out->items[out->n++] = (struct coord_item){
        .key.n = key.n, .value.n = value.n, .revision = (uint64_t)sqlite3_column_int64(s, 2)};
    return buf_add_str(&out->bytes, key) && buf_add_str(&out->bytes, value);
}

static void place_bytes(struct db_items *out)
{
    const char *at = out->bytes.p;
    for (uint32_t i = 0; i < out->n; i++) {
        out->items[i].key.p = at;
        at += out->items[i].key.n;
        out->items[i].value.p = at;
        at += out->items[i].value.n;
    }
}

enum db_end db_range(struct db *db, struct str prefix, struct db_items *out, struct err *e)
{
    sqlite3_stmt *s = db->statements[RANGE];
    char end[COORD_KEY_MAX];
    size_t n;
    uint32_t cap = 0;
    int code;
    *out = (struct db_items){0};
    bind(db, RANGE, 1, prefix);
    if (after_prefix(prefix, end, &n))
        bind(db, RANGE, 2, (struct str){end, n});
    while ((code = step(db, RANGE)) == SQLITE_ROW)
        if (!add_item(out, &cap, s)) {
            code = SQLITE_NOMEM;
            break;
        }
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    if (code != SQLITE_DONE) {
        db_items_free(out);
        return undo(db, code, e);
    }
    place_bytes(out);
    return DB_OK;
}

void db_items_free(struct db_items *i)
{
    mem_free(i->items);
    buf_free(&i->bytes);
    *i = (struct db_items){0};
}
