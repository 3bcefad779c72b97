/* view: the immutable, epoch-stamped picture that the data plane reads, and its bytes.
 *
 * control compiles a configuration file into a view (conf/), encodes it into a sealed memfd, and
 * the supervisor hands that to every process. Whoever holds a view needs nobody else to go on
 * (static stability). A view never changes; a new one replaces it.
 *
 * Pure: structs, a codec, and a comparison. The decoder trusts nothing: a damaged view is refused
 * whole. All strings and arrays live in the view's arena; view_free ends all of it. Durations are
 * nanoseconds. */
#ifndef HF_VIEW_H
#define HF_VIEW_H

#include "base/base.h"
#include "balance/balance.h"
#include "detect/findings.h"

enum {
    VIEW_MAX_SERVICES = 4096,
    VIEW_MAX_SOCKETS = 4096,
    VIEW_MAX_SLOTS = 16384, /* instances in all services together */
    VIEW_MAX_REPLIES = 1000000,
    VIEW_MAX_TOKENS = 256,
    VIEW_MAX_NODES = 128,
    VIEW_MAX_VOTERS = 5,
    VIEW_MAX_ENDPOINTS = 16,
    VIEW_MAX_BEATS = 1024,
    VIEW_MAX_LOGS = 1024,
    VIEW_MAX_NOTIFIES = 4,
    VIEW_MAX_NOTIFY_EVENTS = 64,
    VIEW_MAX_WEBHOOK = 400,  /* bytes */
    VIEW_MAX_LOG_RULES = 64, /* of one log */
    VIEW_MAX_LOG_PATTERN = 1024,
    VIEW_MAX_LOG_OVER = 1000000,
    VIEW_MAX_LOG_PATH = 1024,
    VIEW_MAX_ON = 16,      /* nodes that one service may run on */
    VIEW_MAX_COMMAND = 64, /* a program and its arguments */
    VIEW_FORMAT = 7,       /* of the encoding; a decoder refuses others */
    VIEW_MAX_WORKERS = 64,
    VIEW_MAX_WEIGHT = 1000,
    VIEW_MAX_ATTEMPTS = 16,
    VIEW_MAX_HEAD = 256 * 1024, /* bytes of a head */
    VIEW_MAX_HEAD_FIELDS = 256,
    VIEW_MAX_CONNECTIONS = 10000000,
    VIEW_MAX_MIN_RATE = 1024 * 1024 * 1024,
    VIEW_MAX_REPLAY = 16 * 1024 * 1024,
    VIEW_MAX_SOURCES = 64, /* of one service: names and directories that give it instances */
    VIEW_MAX_NAMESERVERS = 8,
    VIEW_MAX_BYTES = 64 * 1024 * 1024, /* of an encoded view */
    VIEW_MAX_ROUTES = 1024,            /* of one service */
    VIEW_MAX_WORDS = 256,              /* in one list of words */
    VIEW_MAX_TARGETS = 16,             /* services that one route divides its requests between */
    VIEW_MAX_RATES = 8,                /* of one service or route */
    VIEW_MAX_PAGES = 32,               /* of one service */
    VIEW_MAX_PAGE = 64 * 1024,         /* bytes of a page */
    VIEW_MAX_RATE_KEYS = 1024 * 1024,  /* that one rate limit remembers */
};
/* No duration in a view is longer, so that adding one to a clock never overflows. */
#define VIEW_MAX_DURATION (366ull * 24 * 3600 * 1000000000)

/* Something that the supervisor opens once, keeps over every restart, and hands to the process that
 * uses it. */
enum socket_use {
    SOCKET_HTTP,       /* a listening socket of the proxy */
    SOCKET_METRICS,    /* a listening socket of control: GET /metrics over TCP */
    SOCKET_ACCESS_LOG, /* a file opened for appending, written by the proxy; path in addr.path (kind
                          ADDR_UNIX) */
    SOCKET_TCP,        /* a listening socket of the proxy whose bytes are passed on as they are */
    SOCKET_UDP,        /* a bound datagram socket of the proxy */
    SOCKET_ADMIN,  /* a listening socket of control: the admin API over TCP, for who has a token */
    SOCKET_GOSSIP, /* control's datagram socket for the other nodes */
    SOCKET_LINK,   /* control's listening socket for the other nodes */
    SOCKET_BEAT,   /* control's listening socket for jobs that say that they live */
    SOCKET_BEAT_DATAGRAM, /* the same for datagrams */
    SOCKET_USES
};
/* Carries datagrams: a listening socket may have the same address. */
static inline bool socket_is_datagram(uint8_t use)
{
    return use == SOCKET_UDP || use == SOCKET_GOSSIP || use == SOCKET_BEAT_DATAGRAM;
}
/* Handed to control, not to the proxy. */
static inline bool socket_is_of_control(uint8_t use)
{
    return use == SOCKET_METRICS || use == SOCKET_ADMIN || use == SOCKET_GOSSIP ||
           use == SOCKET_LINK || use == SOCKET_BEAT || use == SOCKET_BEAT_DATAGRAM;
}
struct view_socket {
    uint8_t use; /* enum socket_use */
    struct addr addr;
    uint32_t slot; /* row of the listeners' table; stable while use and address stay */
};

enum { CHECK_NONE, CHECK_TCP, CHECK_HTTP };
struct view_check {
    uint8_t kind;
    struct str path;                 /* CHECK_HTTP: the target of the GET, "/health" */
    struct str host;                 /* Host header; empty: the instance's address */
    uint16_t status_min, status_max; /* inclusive; default 200..399 */
    struct str body;                 /* bytes that the body must contain; empty: any */
    bool secret; /* path, host or body came from a variable or another file: never show them */
    uint64_t interval, fast_interval, timeout;
    uint32_t rise, fall;
};

struct view_timeouts {
    uint64_t client_idle;  /* keep-alive connection without a request */
    uint64_t request_head; /* from the first byte of a head to its end */
    uint64_t connect;
    uint64_t first_byte; /* request sent, no byte of the response */
    uint64_t idle;       /* between two bytes of a body, either way */
    uint64_t tunnel;     /* an upgraded connection without a byte either way */
    uint64_t flow;       /* UDP: without a datagram either way */
    uint64_t
        drain; /* what a removed listener's or stopping daemon's connections are given to end */
};

enum { RETRY_CONNECT = 1, RETRY_RESET = 2, RETRY_TIMEOUT = 4, RETRY_5XX = 8 };
struct view_retry {
    uint32_t on;       /* RETRY_* bits */
    uint32_t attempts; /* tries in all, the first included; 1..16 */
    uint32_t budget_permille;
    uint32_t reserve;    /* retries per ten seconds besides the share */
    uint64_t replay_max; /* bytes of an idempotent request's body kept for replay */
};

struct view_eject {
    uint32_t after;          /* failed requests in a row; 0 never */
    uint32_t share_permille; /* of a pool at most */
    uint64_t hold, hold_max;
    uint32_t slow_permille; /* ejected for being slow: its latency over the pool's median; 0: never
                             */
    uint64_t slow_least;    /* ... and at least this much above it */
};

/* How many requests are under way at most; more wait, for a while. 0: no limit. */
struct view_admit {
    uint32_t requests;     /* of the service, in all workers of this node */
    uint32_t per_instance; /* unless the instance has its own */
    uint32_t queue;        /* requests that wait; more are refused */
    uint64_t wait;         /* and how long */
};

/* A service most of whose requests fail is given rest. */
struct view_breaker {
    uint32_t failed_permille; /* of the requests in `window`; 0: no breaker */
    uint32_t least;           /* requests in `window` before it may open */
    uint64_t window, rest;
};

enum { STICKY_OFF, STICKY_INSERT, STICKY_LEARN };
struct view_sticky {
    uint8_t kind;      /* STICKY_* */
    struct str cookie; /* its name */
    uint64_t ttl;      /* LEARN: forgotten when unused for so long. INSERT: Max-Age; 0: the client's
                          session */
    bool secure;       /* INSERT: only over TLS */
};

struct view_limits {
    uint32_t head_bytes;              /* of a request or response head */
    uint32_t head_fields;             /* header fields in one head */
    uint64_t body_bytes;              /* of a request; 0 is no limit */
    uint32_t connections;             /* of clients, to this service on this node; 0 is no limit */
    uint32_t connections_per_address; /* the same of one address; an IPv6 one is its /64 */
    uint64_t min_rate; /* bytes a second that a client must send or read while only it is waited
                          for; 0 is no limit */
};

/* Who named an instance. The file's stay until the file changes; the others come and go while the
 * service runs (discover/). */
enum view_origin { ORIGIN_FILE, ORIGIN_DNS, ORIGIN_DROPIN, ORIGIN_API, ORIGINS };

struct view_instance {
    struct str name; /* as written; unique within the service. Its text address if the file gave no
                        other */
    struct addr addr;
    uint32_t weight;     /* 0..1000, default 1 */
    uint32_t own_weight; /* as its origin says; weight is another one when an operator set it */
    uint8_t origin;      /* enum view_origin */
    struct str source;   /* ORIGIN_DNS: the name as written; ORIGIN_DROPIN: the file; else empty */
    uint32_t slot; /* row of the shared tables; stable over reloads while service and name stay */
    uint32_t priority;     /* 0..15: its group; 0 is used first */
    uint32_t max_requests; /* under way at a time; 0: as the service's view_admit says */
    struct str zone;       /* where it is; empty: not said */
};

/* What gives a service instances while it runs. */
enum view_source_kind { SOURCE_HOST, SOURCE_SRV, SOURCE_DIR, SOURCE_KINDS };
struct view_source {
    uint8_t kind;              /* enum view_source_kind */
    struct str name;           /* of a host or service; a directory's path */
    uint16_t port;             /* SOURCE_HOST */
    struct view_instance like; /* SOURCE_HOST, SOURCE_SRV: weight and all that, of those that it
                                  gives; without name and address */
};

/* How names are looked up. */
struct view_resolver {
    struct addr *servers; /* none: those of the system */
    uint32_t n_servers;
    uint64_t timeout;             /* of one question */
    uint64_t ttl_least, ttl_most; /* an answer is asked for again no earlier and no later */
};

/* What is done with traceparent (wire/trace_context.h). */
enum view_trace {
    TRACE_PASS,  /* as received */
    TRACE_SPAN,  /* every attempt is a span, the child of the one received */
    TRACE_START, /* ... or of one that begins here, when none was received */
    TRACES
};

enum view_mode { VIEW_HTTP, VIEW_TCP, VIEW_UDP, VIEW_MODES };
/* "http://", "tcp://", "udp://". */
static inline const char *view_mode_scheme(uint8_t mode)
{
    return mode == VIEW_UDP ? "udp://" : mode == VIEW_TCP ? "tcp://" : "http://";
}
/* The use that a service's listeners have. */
static inline uint8_t view_mode_use(uint8_t mode)
{
    return mode == VIEW_UDP ? SOCKET_UDP : mode == VIEW_TCP ? SOCKET_TCP : SOCKET_HTTP;
}

/* What a request is placed by, where the algorithm places by key (balance.h), or counted by. */
enum hash_kind {
    HASH_SOURCE,
    HASH_HEADER,
    HASH_COOKIE,
    HASH_PATH,
    HASH_QUERY,
    HASH_NONE, /* of rate limits: all requests together */
    HASH_KINDS
};
struct view_hash {
    uint8_t kind;    /* enum hash_kind */
    struct str name; /* of the header, cookie or query parameter; else empty */
};

/* --- rules of HTTP traffic (docs/traffic.md) --- */

struct view_words {
    struct str *list;
    uint32_t n;
};

enum { EDIT_REMOVE, EDIT_SET, EDIT_ADD };
/* A change of a head's fields. */
struct view_edit {
    uint8_t op;       /* EDIT_* */
    struct str name;  /* never one that frames the message or belongs to one connection */
    struct str value; /* empty for EDIT_REMOVE */
};

/* A token bucket: `requests` in `every`, and up to `burst` at once. */
struct view_rate {
    struct view_hash per; /* one bucket for each value; HASH_NONE: one for all */
    uint32_t requests;    /* at least 1 */
    uint32_t burst;       /* at least 1 */
    uint64_t every;
    uint32_t keys; /* buckets remembered at most */
};

/* What is done with a request on its way. The service's apply first, then its route's, then those
 * of the service that the route leads to. */
struct view_rules {
    struct view_edit *request; /* in the order in which they are applied */
    uint32_t n_request;
    struct view_edit *response;
    uint32_t n_response;
    struct view_rate *rates;
    uint32_t n_rates;
    uint32_t mirror_permille; /* of the requests: copies of them go to another service, and nobody
                                 waits for its answers; 0: none */
    uint32_t mirror;          /* that service's index in view.services; HTTP */
    bool idempotent;          /* whatever the method: may be sent more than once */
    uint64_t hedge_after; /* a second instance is asked when the first is silent so long; 0: no */
    uint32_t hedge_permille; /* ... or for longer than this share of the answers took; 0: no */
    bool secret; /* a text of these, or of their route, came from a variable or another file: never
                    show any */
};

/* Which requests a route takes: all conditions that are there must hold, and of each one of its
 * words. */
struct view_match {
    struct view_words hosts; /* in lower case, without port; "*.x" is any name below x */
    struct view_words paths; /* "/a": /a and all below it; "=/a": /a only; "*.png": its end */
    struct view_words methods;
    struct view_words headers; /* "name", "!name", "name: value" or "name: start*" */
    struct view_words queries; /* "name" or "name=value" */
    struct view_words cookies; /* the same */
};

enum route_action { ROUTE_FORWARD, ROUTE_REDIRECT, ROUTE_RESPOND, ROUTE_ACTIONS };
struct view_target {
    uint32_t service; /* index in view.services; HTTP */
    uint32_t weight;
};
struct view_route {
    struct str name; /* unique within the service */
    struct view_match match;
    uint8_t action;              /* enum route_action */
    struct view_target *targets; /* ROUTE_FORWARD; none: this service's own instances */
    uint32_t n_targets;
    struct str rewrite;  /* ROUTE_FORWARD: takes the place of the path's part that matched; empty:
                            none */
    struct str location; /* ROUTE_REDIRECT: with {host}, {path}, {query}, {uri} and {rest} */
    uint16_t status;     /* ROUTE_REDIRECT, ROUTE_RESPOND */
    struct str body;     /* ROUTE_RESPOND */
    struct str type;     /* of the body */
    struct view_rules rules;
};

/* What an answer of our own with this status says. */
struct view_page {
    uint16_t status; /* 400..599; 4 or 5: the whole class */
    struct str type, body;
};

/* What is told of requests. */
struct view_log {
    struct str format;        /* of the access log: log_format.h; empty: plain */
    uint32_t sample_permille; /* of the requests that have a line; those that fail and slow ones
                                 always have */
    uint64_t slow;            /* from here on a request is slow; 0: none is */
};

/* --- services of kind primary (docs/failover.md) --- */

/* What keeps an instance of the service. One whose agent is not AGENT_NONE is of kind primary: it
 * has no instances in the view, its mode is VIEW_TCP, and its listeners have a wildcard address. */
enum view_agent {
    AGENT_NONE,
    AGENT_REDIS,
    AGENT_PROCESS, /* any command, on one node at a time */
    AGENT_HOOK,    /* a command that is told who is the primary; holdfast runs nothing else */
    AGENTS
};
const char *view_agent_name(uint8_t agent);
/* What a setting of Redis, "maxmemory 1g", is for a service; *name: the part of it. */
enum { VIEW_REDIS_BYTES = 120 };
enum view_redis { VIEW_REDIS_FINE, VIEW_REDIS_OWNED, VIEW_REDIS_UNKNOWN, VIEW_REDIS_BAD };
enum view_redis view_redis_setting(struct str text, struct str *name);
/* The names that are fine, one after the other; NULL: no more. */
const char *view_redis_name(size_t i);

/* Of a service whose agent is not AGENT_NONE; of others the rest means nothing. The service's slot
 * is the row of its role. */
struct view_primary {
    uint8_t agent;            /* enum view_agent */
    uint32_t on[VIEW_MAX_ON]; /* indices into cluster.nodes, in the order of the file: the order of
                                 preference. An index in this array is a node's *place* */
    uint32_t n_on;
    uint16_t port;            /* where the instance listens, at its node's address; 0: nowhere */
    struct addr vip;          /* port 0; kind 0: none */
    uint8_t vip_prefix;       /* bits of its network */
    struct str vip_interface; /* empty: the one that has the network */
    uint32_t sync;            /* replicas that a reply waits for, below n_on; 0: none */
    bool strict;              /* ... and it waits for ever rather than with fewer */
    uint64_t lag_bytes, lag_time; /* one that is so far behind is told, and promoted only by force;
                                     0: no bound */
    struct view_words command;    /* AGENT_PROCESS: the program and its arguments */
    struct view_words redis;      /* AGENT_REDIS: settings of its own, "maxmemory 1g" */
    struct view_words hook;       /* told of each change of the role; AGENT_HOOK has one */
    uint32_t n_readers;    /* AGENT_REDIS: the last of the service's sockets; their clients read at
                              replicas */
    bool only_replicas;    /* ... and never at the primary */
    uint64_t hang_after;   /* its own node fails an instance without a good answer so long */
    uint64_t hold;         /* new clients wait so long, at most, while nobody is primary */
    uint32_t hold_clients; /* and so many of them */
    bool failback;         /* the first of `on` that can becomes primary again */
    uint32_t flaps;        /* failovers within flap_window, then each waits longer; 0: never */
    uint64_t flap_window;
    struct view_words apart; /* services whose primary is better elsewhere, by name */
};

struct view_service {
    struct str name;   /* unique */
    uint32_t slot;     /* row of the services' table; stable while the name stays */
    uint8_t mode;      /* enum view_mode */
    bool proxy_in;     /* clients begin with a PROXY header (wire/proxy_protocol.h) */
    uint8_t proxy_out; /* version of the PROXY header that instances are sent, TCP only; 0: none */
    uint32_t replies;  /* UDP: datagrams that answer one of a client's; 0: unknown */
    uint8_t trace;     /* enum view_trace; HTTP */
    uint32_t *sockets; /* indices into view.sockets; all of the use that belongs to mode */
    uint32_t n_sockets;
    int32_t access_log; /* index into view.sockets or -1 */
    struct view_log log;
    uint8_t balance; /* enum algorithm */
    struct view_instance *instances;
    uint32_t n_instances;
    bool dynamic; /* it may have no instance: others come while it runs */
    struct view_source *sources;
    uint32_t n_sources;
    struct view_hash hash;
    uint32_t hash_bound_permille; /* a member's load over the mean, at most; 0: unbounded */
    uint32_t group_permille; /* a priority group is enough while this share of it is well; 0: while
                                one member is */
    uint32_t subset;         /* instances that each worker uses at least; 0: all */
    uint64_t slow_start;     /* until a new or returned instance has its whole weight; 0: at once */
    struct view_check check;
    struct view_timeouts timeouts;
    struct view_retry retry;
    struct view_eject eject;
    struct view_limits limits;
    struct view_admit admit;
    struct view_breaker breaker;
    struct view_sticky sticky;
    struct view_rules rules;
    struct view_route *routes; /* the first that matches counts; none: this service's instances */
    uint32_t n_routes;
    struct view_page *pages;
    uint32_t n_pages;
    struct view_primary primary;
};
static inline bool view_is_primary(const struct view_service *s)
{
    return s->primary.agent != AGENT_NONE;
}

/* What a token of the admin API may be allowed. */
enum {
    RIGHT_READ = 1,      /* status, events, members, version */
    RIGHT_METRICS = 2,   /* metrics */
    RIGHT_DRAIN = 4,     /* drain, resume */
    RIGHT_INSTANCES = 8, /* add, change and remove instances */
    RIGHT_RELOAD = 16,   /* the configuration */
    RIGHT_RESTART = 32,  /* processes */
    RIGHT_UPGRADE = 64,  /* the program */
    RIGHT_CLUSTER = 128, /* leave, maintenance */
    RIGHT_BEAT = 256,    /* say that a job lives */
    RIGHT_KEYS = 512,    /* the cluster's keys: rotate them, let machines join */
    RIGHT_APPLY = 1024,  /* the configuration of all nodes */
    RIGHT_ROLES = 2048,  /* switchovers, forced failovers, maintenance of a service */
    RIGHTS = 12          /* how many */
};
/* Of 1 << i. */
const char *view_right_name(unsigned i);

/* Who knows the secret may do what the rights say. The secret itself is nowhere. */
struct view_token {
    struct str name;    /* unique */
    uint8_t digest[32]; /* SHA-256 of the secret */
    uint32_t rights;    /* RIGHT_* */
};

/* A job that says itself that it lives: detect/beat.h. */
struct view_beat {
    struct str name;       /* unique */
    uint64_t every, grace; /* ns; every is not 0 */
    bool secret;           /* over the network it must bring a token */
    uint8_t digest[32];    /* SHA-256 of that; else zeros */
};

/* Somebody who is told of events (docs/notifications.md). */
struct view_notify {
    struct str name;          /* unique */
    struct str webhook;       /* a URL, which may hold a secret */
    struct str key_file;      /* absolute: what signs; empty: nothing does */
    struct view_words events; /* levels and codes; none: warning and error */
    uint64_t repeat;          /* ns: the same is told once in it */
};

/* A log that is read for what it tells of its subject (docs/logs.md). */
struct view_log_rule {
    struct str match;  /* a pattern */
    struct str except; /* lines that match it too do not count; empty: none */
    uint32_t over;     /* so many lines, at least 1, */
    uint64_t window;   /* within so much time */
    uint8_t verdict;   /* VERDICT_DEGRADED or VERDICT_FAILED */
};
struct view_read_log {
    uint8_t subject;         /* SUBJECT_NODE, SUBJECT_SERVICE or SUBJECT_INSTANCE */
    struct str service;      /* by name; empty of a node */
    struct str instance;     /* by name; empty but of an instance */
    struct str path;         /* absolute; empty: of a unit */
    struct str unit;         /* of the systemd journal, as in "redis.service"; empty: of a file */
    struct view_words packs; /* of rules, by name */
    struct view_log_rule *rules;
    uint32_t n_rules;
    uint64_t learn; /* ns until what is normal is known; 0: it is not learnt */
};

/* A machine of the cluster. */
enum node_role {
    NODE_MEMBER,
    NODE_WITNESS, /* votes and observes, hosts nothing */
    NODE_ROLES
};
struct view_node {
    struct str name, zone; /* zone may be empty */
    struct addr address;   /* of its gossip (UDP) and links (TCP), port included */
    uint8_t role;          /* enum node_role */
    uint16_t place;        /* in the file, from 0: no two are the same */
    bool votes;            /* named by `voters` */
};
/* Who keeps what all nodes agree on (docs/coordinator.md). */
enum coordinator_kind {
    COORDINATOR_LOCAL,    /* a file on this machine: of a node that is alone */
    COORDINATOR_NONE,     /* nobody */
    COORDINATOR_MANAGED,  /* etcd on the voters, which holdfast runs */
    COORDINATOR_EXTERNAL, /* an etcd that is there already */
    COORDINATOR_KINDS
};
struct view_coordinator {
    uint8_t kind; /* enum coordinator_kind */
    /* Of an external one; the contents of the files never come into a view. */
    struct str *endpoints;                                  /* "https://10.0.0.9:2379" */
    uint32_t n_endpoints;                                   /* 1 to VIEW_MAX_ENDPOINTS */
    struct str ca_file, cert_file, key_file, password_file; /* absolute; empty: none */
    struct str user;                                        /* empty: none */
};
/* With a managed one a node also has these ports at its address. */
enum { VIEW_COORD_CLIENT = 1, VIEW_COORD_PEER = 2, VIEW_COORD_PORTS = 3 };
struct view_cluster {
    struct str name;         /* empty: this node is alone */
    struct view_node *nodes; /* in the order of their names, which differ, as do their addresses */
    uint32_t n_nodes;        /* 0 when alone, at most VIEW_MAX_NODES */
    uint32_t self;           /* which of nodes this one is */
    struct str key_file; /* absolute, its contents never come into a view; empty: one node alone */
    uint64_t heartbeat;  /* ns, 10 ms to 10 s */
    uint64_t suspect_after;   /* ns, at least 3 heartbeats */
    uint64_t lease, demotion; /* L and D of docs/protocol/lease.md, ns: at least 4 heartbeats; at
                                 most as L */
    uint32_t n_voters; /* nodes that vote because the file says so: 0 (holdfast chooses), 1, 3
                          or 5 */
    struct view_coordinator coordinator;
};
/* A cluster with a key has one SOCKET_GOSSIP and one SOCKET_LINK, both at the address of self. */
enum { VIEW_LEAST_SILENCE = 3, VIEW_LEAST_LEASE = 4 /* heartbeats */ };
#define VIEW_HEARTBEAT_MIN (10ull * 1000000)
#define VIEW_HEARTBEAT_MAX (10ull * 1000000000)
#define VIEW_LEASE_MAX     (3600ull * 1000000000)

/* What is kept of what happened (docs/audit.md). */
struct view_audit { /* 0: the default */
    uint64_t keep;  /* ns */
    uint64_t size;  /* bytes of the file, at most 1 GiB */
    uint32_t rows;  /* at most 10 million */
};
#define VIEW_AUDIT_KEEP (30ull * 24 * 3600 * 1000000000)
enum { VIEW_AUDIT_SIZE = 64 * 1024 * 1024, VIEW_AUDIT_ROWS = 200000 };

struct view {
    struct arena arena;
    uint64_t epoch;   /* rises with every view */
    uint64_t version; /* of the cluster's configuration; 0: the node's own file */
    uint32_t workers; /* proxy threads; fixed at start, a reload that changes it is refused */
    struct str file;  /* the configuration's path, for people */
    struct str zone;  /* where this node is: instances there are preferred; empty: none are */
    struct view_resolver resolver;
    struct view_audit audit;
    struct view_socket *sockets;
    uint32_t n_sockets;
    struct view_service *services;
    uint32_t n_services;
    struct view_token *tokens; /* of the admin API over TCP */
    uint32_t n_tokens;
    struct view_beat *beats;
    uint32_t n_beats;
    struct view_read_log *logs; /* no two have one subject and place */
    uint32_t n_logs;
    struct view_notify *notifies;
    uint32_t n_notifies;
    struct view_cluster cluster;
};

/* Which node this one is, or NULL when it is alone. */
const struct view_node *view_self(const struct view *v);
/* The place of a node, by its index in cluster.nodes, in the service; -1: it is no candidate. */
int view_place(const struct view_service *s, uint32_t node);
/* Does a node with this view run programs of others? */
bool view_wants_agent(const struct view *v);
/* ... or has it something to read besides: logs? */
bool view_wants_sense(const struct view *v);
/* NULL when the cluster has none of this name. */
const struct view_node *view_node_find(const struct view *v, struct str name);

/* Appends the encoding to out; check out->failed. */
void view_encode(const struct view *v, struct buf *out);
/* *out is new and the caller's to free with view_free. Checks every bound and cross-reference named
 * above. */
int view_decode(struct str bytes, struct view **out, struct err *e);
/* NULL is allowed. */
void view_free(struct view *v);
/* An empty view with its arena and one worker; NULL when memory is out. */
struct view *view_new(void);

/* Finds many of a view's services, of which most are where they are looked for first. */
struct view_index {
    const struct view *v;
    struct map names; /* filled when it is first needed */
    bool linear;      /* memory was out: the slow way */
};
/* The service of this name, looked for at `at` first; NULL when there is none. */
const struct view_service *view_index_find(struct view_index *x, uint32_t at, struct str name);
void view_index_free(struct view_index *x);

const struct view_service *view_service_find(const struct view *v, struct str name);
const struct view_instance *view_instance_find(const struct view_service *s, struct str name);

/* Gives every service and instance of `next` its slot: the one that it has in `now` (may be NULL)
 * by service and instance name, else a free one that `now` does not use. ERR_LIMIT when the tables
 * are full. */
int view_assign_slots(struct view *next, const struct view *now, struct err *e);
/* As above; new instances get a row of `resting` (a bit each, VIEW_MAX_SLOTS of them) only when no
 * other is free: one whose last owner left a moment ago may still be written for him. */
int view_assign_slots_but(struct view *next, const struct view *now, const uint64_t *resting,
                          struct err *e);

enum { VIEW_SOCKET_NEW = -1 };
/* Which sockets `next` keeps: from[i] becomes the index in `now` of the one that next[i] is, or
 * VIEW_SOCKET_NEW. No two keep the same. False when memory is out. */
bool view_keep_sockets(const struct view_socket *now, size_t n_now, const struct view_socket *next,
                       size_t n_next, int32_t *from);

/* Nothing about the service has changed: all its settings, its instances, slots, listeners and log
 * are alike. False when memory is out. scratch is the caller's, for many comparisons. */
bool view_same_service(const struct view *a, const struct view_service *x, const struct view *b,
                       const struct view_service *y, struct buf scratch[2]);

/* True when names, bounds, indices and (once the epoch is not 0) slots are as promised above: what
 * view_decode accepts. Says what is wrong otherwise. A view of epoch 0 has not been given its slots
 * yet. */
int view_verify(const struct view *v, struct err *e);

/* A field that rules may change: a token, and none that frames a message or belongs to one
 * connection. */
bool view_edit_name_valid(struct str name);

#endif
