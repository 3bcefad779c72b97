/* embedded_db: the coordinator's map in a SQLite file. Inside this room only.
 *
 * One thread at a time uses it, and waits for the disk. The file is locked for this process as long
 * as it is open. Write-ahead log, synchronous=FULL: what db_cas calls done is on the disk. The
 * revision lies in the same transaction as the change that raised it, so it never goes back.
 *
 * Trouble. A statement that fails before the commit has changed nothing: it is rolled back. When
 * the commit itself fails nobody knows what a later reader of the log will find (SQLite, "atomic
 * commit", and fsync that reports an error only once): db_cas says DB_UNSETTLED, and the file is
 * not used until db_settle has opened it again, has read what it holds, and has had all of it
 * written and synced anew into the main file (a checkpoint). Then it is known whether the change
 * happened.
 *
 * Opening checks: it is ours (application id), of a version that we know, undamaged
 * (integrity_check), and not behind what it was. An error says what to do. */
#ifndef HF_COORD_EMBEDDED_DB_H
#define HF_COORD_EMBEDDED_DB_H

#include "coord/coord.h"

struct db;

enum db_end {
    DB_OK,
    DB_REFUSED,   /* nothing happened, and the file is as good as before */
    DB_SICK,      /* nothing happened; db_settle before anything else */
    DB_UNSETTLED, /* it may have happened; db_settle tells */
};

/* What a range holds: one block for the items and one for their bytes. */
struct db_items {
    struct coord_item *items;
    uint32_t n;
    struct buf bytes;
};

enum {
    DB_SCHEMA = 1,
    DB_FIRST = 1, /* the revision of an empty map */
    DB_PAGE = 4096,
    DB_BYTES_MAX = 512 * 1024 * 1024, /* a file that would grow further is full */
};

/* Makes the file if it is not there, mode 0600. */
int db_open(struct db **out, const char *path, struct err *e);
void db_close(struct db *db); /* NULL is allowed */
/* Opens the same file again. An error: as before, try again later. Its revision is then what the
 * file holds, and never below what was done. */
int db_settle(struct db *db, struct err *e);
uint64_t db_revision(const struct db *db);

struct db_change {
    enum coord_outcome outcome; /* COORD_DONE or COORD_CONFLICT */
    uint64_t revision;          /* of it, when it happens */
    uint32_t changed;           /* a bit for each operation that changed something */
};
enum db_end db_cas(struct db *db, const struct coord_op *ops, uint32_t n, struct db_change *out,
                   struct err *e);
/* DB_OK, DB_REFUSED or DB_SICK. */
enum db_end db_range(struct db *db, struct str prefix, struct db_items *out, struct err *e);
void db_items_free(struct db_items *i);

#endif
