/* schema: every block and setting that a configuration may hold, as a table. Inside this room only.
 *
 * The table drives reading (build.c), the diff (diff.c), the suggestions and the reference in
 * docs/configuration.md; a new setting is one line here. */
#ifndef HF_CONF_SCHEMA_H
#define HF_CONF_SCHEMA_H

#include "view/view.h"

enum kind {
    KIND_COUNT,    /* 3 */
    KIND_DURATION, /* 500ms */
    KIND_SIZE,     /* 64k */
    KIND_SHARE,    /* 20%; stored in thousandths */
    KIND_TEXT,     /* "ok" */
    KIND_TARGET,   /* /health: what stands behind GET */
    KIND_HOST,     /* a Host field's value */
    KIND_NAME,     /* of an instance */
    KIND_FLAG,     /* yes or no; alone it means yes */
    KIND_STATUS,   /* 200-399 */
    KIND_RETRY_ON, /* {connect, reset} */
    KIND_BALANCE,  /* least-requests */
    KIND_CHOICE,   /* one of a few words, stored as its number in a byte */
    KIND_HASH,     /* source, path, header:NAME, cookie:NAME or query:NAME */
    KIND_LISTEN,   /* http://0.0.0.0:8080, or several */
    KIND_LOG,      /* /var/log/x.log or off */
    KIND_DIR,      /* /etc/web.d */
    KIND_SERVERS,  /* 10.0.0.53, or several */
    KINDS
};

enum { NO_FIELD = UINT16_MAX };

struct setting {
    const char *key;
    uint8_t kind;    /* enum kind */
    uint8_t bytes;   /* of the field of a number: 4 or 8 */
    uint16_t offset; /* of the field in the block's struct; NO_FIELD: build.c knows what to do */
    uint64_t min, max;
    const char *fallback; /* the default as one would write it; in parentheses when it is computed;
                             empty: none */
    const char *help;
    const char *const *choices; /* KIND_CHOICE: the words, NULL behind the last */
};

enum block_id {
    BLOCK_TOP,
    BLOCK_ADMIN,
    BLOCK_RESOLVER,
    BLOCK_SERVICE,
    BLOCK_BACKEND,
    BLOCK_CHECK,
    BLOCK_TIMEOUT,
    BLOCK_RETRY,
    BLOCK_EJECT,
    BLOCK_LIMIT,
    BLOCKS
};

enum { MAX_SETTINGS = 16 }; /* in one block */

struct block {
    const char *name;     /* empty for the file itself */
    uint8_t parent;       /* enum block_id; BLOCK_TOP is its own */
    const char *argument; /* "NAME"; NULL: takes none */
    bool repeats;         /* may stand more than once in its parent */
    uint16_t offset;      /* of its struct in struct view_service */
    const struct setting *settings;
    size_t n;
    const char *help;
};

const struct block *schema_block(enum block_id id);
/* Its place in the table, or NULL. */
const struct setting *schema_setting(const struct block *b, struct str key);
/* The block of this name directly below, or BLOCKS. */
enum block_id schema_child(enum block_id parent, struct str name);
/* What a setting takes: "1 to 100", "50ms to 1h". Terminated. */
void schema_range(const struct setting *s, char *to, size_t size);

#endif
