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
    KIND_LABEL,    /* a word, as in eu-1a */
    KIND_FLAG,     /* yes or no; alone it means yes */
    KIND_STATUS,   /* 200-399 */
    KIND_RETRY_ON, /* {connect, reset} */
    KIND_BALANCE,  /* least-requests */
    KIND_CHOICE,   /* one of a few words, stored as its number in a byte */
    KIND_HASH,     /* source, path, header:NAME, cookie:NAME or query:NAME */
    KIND_PER,      /* the same of a rate limit: all, address, path, ... */
    KIND_HOSTS,    /* {example.com, "*.example.org"}; this and the next four: of a route, words */
    KIND_PATHS,    /* {/v1, "=/exact", "*.png"} */
    KIND_METHODS,  /* {GET, POST} */
    KIND_HEADERS,  /* {"x-beta: yes", "!x-old", x-any} */
    KIND_PAIRS,    /* {"name=value", name}: of a query or of cookies */
    KIND_REWRITE,  /* /v2: a path and nothing else */
    KIND_LOCATION, /* "https://{host}/new{rest}" */
    KIND_COOKIE,   /* the name of a cookie */
    KIND_TYPE,     /* "text/html; charset=utf-8" */
    KIND_FIELDS,   /* {"Name: value", ...} */
    KIND_NAMES,    /* {Name, ...}: of header fields */
    KIND_TO,       /* {api:95, api-next:5} */
    KIND_SERVICE,  /* a service's name */
    KIND_REDIRECT, /* 301, 302, 303, 307 or 308 */
    KIND_FILE,     /* errors/503.html */
    KIND_DOOR,     /* udp://127.0.0.1:7301, or several: of beats */
    KIND_LISTEN,   /* http://0.0.0.0:8080, or several */
    KIND_LOG,      /* /var/log/x.log or off */
    KIND_FORM,     /* combined, or "{client} {status}": of a log's lines */
    KIND_SECRET,   /* file:/etc/holdfast/token: a reference */
    KIND_RIGHTS,   /* {read, drain} */
    KIND_DIR,      /* /etc/web.d */
    KIND_SERVERS,  /* 10.0.0.53, or several */
    KIND_NODE,     /* 10.0.0.1 or 10.0.0.1:7300: where a node of the cluster is */
    KIND_KEY,      /* file:cluster.key: a file that is named and not read */
    KIND_COORDINATOR, /* managed, none or {"https://10.0.0.9:2379"} */
    KIND_VOTERS,      /* {a, b, c}: nodes */
    KIND_VIP,         /* 10.0.0.100/24 */
    KIND_COMMAND,     /* {/usr/bin/worker, --queue, mail} */
    KIND_REDIS,       /* {"maxmemory 1g", "save 900 1"} */
    KIND_APART,       /* {cache, db}: services */
    KIND_OVER,        /* 5/10s: lines in a time */
    KIND_PACKS,       /* {postgresql, kernel}: rules of logs */
    KIND_EVENTS,      /* {error, role-promoted}: levels and codes */
    KINDS
};

enum { NO_FIELD = UINT16_MAX };

/* What a field of a kind is in C. */
enum field_type {
    FIELD_NONE,   /* build.c's business, or none of its own */
    FIELD_NUMBER, /* of setting.bytes */
    FIELD_TEXT,   /* struct str */
    FIELD_WORDS,  /* struct view_words */
    FIELD_HASH,   /* struct view_hash */
    FIELD_BYTE,
    FIELD_STATUS, /* two fields of struct view_check */
    FIELD_RETRY,  /* bits */
};

struct setting {
    const char *key;
    uint8_t kind;    /* enum kind */
    uint8_t bytes;   /* of the field of a number: 2, 4 or 8 */
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
    BLOCK_TOKEN,
    BLOCK_RESOLVER,
    BLOCK_AUDIT,
    BLOCK_BEATS,
    BLOCK_BEAT,
    BLOCK_LOG,
    BLOCK_NOTIFY,
    BLOCK_CLUSTER,
    BLOCK_NODE,
    BLOCK_SERVICE,
    BLOCK_PRIMARY, /* no block of its own: settings of a service whose instances have roles */
    BLOCK_BACKEND,
    BLOCK_CHECK,
    BLOCK_TIMEOUT,
    BLOCK_RETRY,
    BLOCK_EJECT,
    BLOCK_LIMIT,
    BLOCK_CONCURRENCY,
    BLOCK_BREAKER,
    BLOCK_STICKY, /* from BLOCK_CHECK to here: at most one in a service, one struct each */
    BLOCK_RULES,  /* no block of its own: settings that a service and a route share */
    BLOCK_RATE,
    BLOCK_ROUTE,
    BLOCK_PAGE,
    BLOCKS
};

enum { MAX_SETTINGS = 64 }; /* in one block, those that it shares included */

/* What a cluster block fills. */
struct cluster_block {
    struct view_cluster cluster;
    uint16_t port; /* of nodes that name none */
};

enum block_only { ANY_MODE, ONLY_HTTP, NOT_UDP };

struct block {
    const char *name;     /* empty for the file itself, and for shared settings */
    uint32_t parents;     /* bits of enum block_id; none of the file and of shared settings */
    const char *argument; /* "NAME"; NULL: takes none */
    bool repeats;         /* may stand more than once in its parent */
    uint8_t only;         /* enum block_only: in which services */
    uint16_t offset;      /* of its struct in struct view_service */
    uint16_t rules;       /* of struct view_rules in its struct, if it has the settings of
                             BLOCK_RULES too; else NO_FIELD */
    const struct setting *settings;
    size_t n;
    const char *help;
    bool primary; /* it has the settings of BLOCK_PRIMARY too */
};

const struct block *schema_block(enum block_id id);
/* Settings in all, those that it shares included, and each of them. */
size_t schema_count(const struct block *b);
const struct setting *schema_at(const struct block *b, size_t i);
/* Whose the setting is: the block's own, BLOCK_RULES or BLOCK_PRIMARY. */
const struct block *schema_owner(const struct block *b, size_t i);
/* The struct that holds a setting's field, given its block's. */
size_t schema_offset(const struct block *b, size_t i);
/* By its key: its place below schema_count, or NO_FIELD. */
size_t schema_find(const struct block *b, struct str key);
/* The same as the setting itself, or NULL. */
const struct setting *schema_setting(const struct block *b, struct str key);
enum field_type schema_field(const struct setting *s);
/* Whether it may hold several values. */
bool schema_takes_list(const struct setting *s);
/* The block of this name directly below, or BLOCKS. */
enum block_id schema_child(enum block_id parent, struct str name);
/* Whose a statement of a block is, once nodes share a configuration (local.c). */
enum locality {
    LOCAL_NOT,   /* the shared configuration's */
    LOCAL_OWN,   /* the node's own file's, which may leave it out */
    LOCAL_FIRST, /* the own file's if it says something, else the shared one's */
};
enum locality schema_locality(enum block_id id, struct str name);
/* What a setting takes: "1 to 100", "50ms to 1h". Terminated. */
void schema_range(const struct setting *s, char *to, size_t size);

#endif
