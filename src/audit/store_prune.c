/* Keeping the store within its bounds.
 *
 * Too old: a verdict or event after `keep`, a decision or action after four times that. Too much:
 * more rows than `rows`, or a file of more than nine tenths of `bytes`: then the oldest hundredth
 * goes, verdicts and events first; decisions and actions only where they are more than half of all,
 * so that a storm of changing verdicts never takes away what was decided. The latest verdict of
 * each subject stays as long as there is anything else to take, so that `why` knows it.
 *
 * Pages that become free are used again; where the file is above its bound, because that was
 * lowered, they go back to the file system. */
#include "audit/inside.h"

#include <stdio.h>

enum { STEP_ROWS = 2000, STEP_LEAST = 1200, VACUUM_PAGES = 500 };

/* Verdicts that others follow, and all that is no verdict. */
#define REPLACED                                                                                   \
    "(kind <> 0 OR EXISTS (SELECT 1 FROM records AS n WHERE n.subject = records.subject"           \
    " AND n.kind = 0 AND n.id > records.id))"

enum which { OLD, OLD_LASTING, MUCH, MUCH_LASTING, ANY };
static const char *const deletions[] = {
    [OLD] = "DELETE FROM records WHERE id IN (SELECT id FROM records INDEXED BY by_wall"
            " WHERE wall < ?1 AND lasting = 0 AND " REPLACED " ORDER BY wall LIMIT ?2)",
    [OLD_LASTING] = "DELETE FROM records WHERE id IN (SELECT id FROM records INDEXED BY by_wall"
                    " WHERE wall < ?1 ORDER BY wall LIMIT ?2)",
    [MUCH] = "DELETE FROM records WHERE id IN (SELECT id FROM records INDEXED BY by_lasting"
             " WHERE lasting = 0 AND ?1 IS NOT NULL AND " REPLACED " ORDER BY id LIMIT ?2)",
    [MUCH_LASTING] = "DELETE FROM records WHERE id IN (SELECT id FROM records"
                     " INDEXED BY by_lasting WHERE lasting = 1 AND ?1 IS NOT NULL"
                     " ORDER BY id LIMIT ?2)",
    [ANY] = "DELETE FROM records WHERE id IN (SELECT id FROM records WHERE ?1 IS NOT NULL"
            " ORDER BY id LIMIT ?2)",
};

static int take(struct store *s, enum which which, uint64_t before, uint64_t most, uint64_t *taken,
                struct err *e)
{
    sqlite3_stmt *q = store_prepare(s, deletions[which]);
    bool ok = q && sqlite3_bind_int64(q, 1, (int64_t)before) == SQLITE_OK &&
              sqlite3_bind_int64(q, 2, (int64_t)most) == SQLITE_OK &&
              sqlite3_step(q) == SQLITE_DONE;
    *taken = ok ? (uint64_t)sqlite3_changes(s->db) : 0;
    int code = ok ? 0 : store_error(s, e, "be cut back");
    sqlite3_finalize(q);
    if (code || *taken == 0)
        return code;
    if (which == OLD_LASTING || which == ANY)
        return store_count(s, e);
    s->rows -= MIN(*taken, s->rows);
    s->lasting -= which == MUCH_LASTING ? MIN(*taken, s->lasting) : 0;
    s->bytes = store_size(s);
    return 0;
}

static bool is_too_much(const struct store *s)
{
    return s->rows > s->limits.rows || s->bytes > s->limits.bytes / 10 * 9;
}

static uint64_t before(uint64_t wall, uint64_t age)
{
    return wall > age ? wall - age : 0;
}

static int take_old(struct store *s, uint64_t wall, uint64_t *taken, struct err *e)
{
    uint64_t keep = s->limits.keep;
    int r = take(s, OLD, before(wall, keep), STEP_ROWS, taken, e);
    if (r == 0 && *taken == 0)
        r = take(s, OLD_LASTING, before(wall, 4 * keep), STEP_ROWS, taken, e);
    return r;
}

static int take_much(struct store *s, uint64_t *taken, struct err *e)
{
    uint64_t over = s->rows > s->limits.rows ? s->rows - s->limits.rows : 0;
    uint64_t least = MIN(s->rows / 10, (uint64_t)STEP_LEAST);
    uint64_t n = MIN(over + MAX(s->rows / 100, least), (uint64_t)STEP_ROWS);
    enum which first = s->lasting > s->rows / 2 ? MUCH_LASTING : MUCH;
    int r = take(s, first, 0, n, taken, e);
    if (r == 0 && *taken == 0)
        r = take(s, ANY, 0, n, taken, e);
    return r;
}

static int give_back(struct store *s, struct err *e)
{
    char text[64];
    sqlite3_stmt *q = store_prepare(s, "PRAGMA page_count");
    bool ok = q && sqlite3_step(q) == SQLITE_ROW;
    uint64_t pages = ok ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    if (pages * 4096 <= s->limits.bytes)
        return 0;
    snprintf(text, sizeof text, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    return store_run(s, text, e);
}

bool store_prune(struct store *s, uint64_t wall, int *code, struct err *e)
{
    uint64_t taken = 0;
    *code = take_old(s, wall, &taken, e);
    if (*code == 0 && taken == 0 && is_too_much(s))
        *code = take_much(s, &taken, e);
    if (*code == 0)
        *code = give_back(s, e);
    return *code == 0 && taken > 0;
}
