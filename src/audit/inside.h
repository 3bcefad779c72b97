/* inside: what the files of this room share. */
#ifndef HF_AUDIT_INSIDE_H
#define HF_AUDIT_INSIDE_H

#include <sqlite3.h>

#include "audit/audit.h"

/* ---- record.c: a record as bytes in the queue, and as JSON ---- */

enum { RECORD_MAX = 24 * 1024 }; /* bytes; every text is cut so that it fits */

/* Appends a length and the record; all of it or nothing. */
bool record_pack(struct buf *out, const struct audit_record *r);
/* The next one; false at the end. Its texts point into the bytes, its evidence to `evidence`. */
bool record_next(struct str *bytes, struct audit_record *out,
                 struct audit_signal evidence[AUDIT_EVIDENCE]);
/* The evidence as a JSON array. */
void record_evidence(struct buf *out, const struct audit_record *r);

/* A JSON text; what is not UTF-8 becomes '?'. */
void text_json(struct buf *out, struct str s);
/* "key":"value", with a comma before it unless the object has just begun. */
void text_member(struct buf *out, const char *key, struct str value);
void text_number(struct buf *out, const char *key, uint64_t value);
/* "2026-11-23T05:34:27.125Z" */
void text_time(struct buf *out, const char *key, uint64_t wall);

/* ---- store.c, store_prune.c, store_query.c: the file. One thread ---- */

enum store_statement { STORE_BEGIN, STORE_COMMIT, STORE_ROLLBACK, STORE_INSERT, STORE_STATEMENTS };

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
    struct audit_limits limits;
    int64_t boot;     /* the row of this boot and node */
    uint64_t rows;    /* as of the last transaction */
    uint64_t lasting; /* of them, decisions and actions */
    uint64_t bytes;
    uint64_t total;   /* written through this struct */
    uint64_t written; /* sequence number of the latest since this boot */
};

/* The version of the tables: the hundreds are what an older program cannot read. */
enum { STORE_VERSION = 100 };

/* ERR_PROTO: the file is damaged, or no audit; ERR_EXISTS: it is of a newer program, in a form that
 * this one cannot read. After a failure nothing is open. */
int store_open(struct store *s, const char *path, const char *vfs, const char *node,
               const char *boot_id, const struct audit_limits *l, struct err *e);
void store_close(struct store *s);
/* Renames the file and what belongs to it to path.WHY, or, where that is there already, replaces
 * it. */
int store_set_aside(const char *path, const char *why, struct err *e);
/* Writes records from *bytes in one transaction, at most `most`; takes off what is written. After a
 * failure nothing of it is. ERR_LIMIT: the disk is full; ERR_PROTO: damaged. */
int store_write(struct store *s, struct str *bytes, uint32_t most, struct err *e);
/* Takes away what is too old or too much, in small steps: true when there is more to do. */
bool store_prune(struct store *s, uint64_t wall, int *code, struct err *e);
/* What was written goes to the disk itself. */
int store_sync(struct store *s, struct err *e);
/* The size of the file, and how much of it is used; bytes. */
uint64_t store_size(struct store *s);
int store_count(struct store *s, struct err *e);

int store_error(struct store *s, struct err *e, const char *doing);
/* A statement for once; NULL after an error. */
sqlite3_stmt *store_prepare(struct store *s, const char *sql);
int store_run(struct store *s, const char *sql, struct err *e);

/* All buffers are the caller's. */
struct store_answer {
    struct buf rows, then, names;
    uint32_t n, n_names;
    bool more, near;
    uint64_t next;
    char subject[AUDIT_NAME_MAX + 1];
};
int store_ask(struct store *s, const struct audit_question *q, struct store_answer *out,
              struct err *e);
void store_answer_free(struct store_answer *a);

#endif
