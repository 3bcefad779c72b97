#include "conf/schema.h"

#include <stdio.h>

#include "conf/logs.h"
#include "conf/scalar.h"

#define US 1000ull
#define MS (1000 * US)
#define S  (1000 * MS)
#define M  (60 * S)
#define H  (60 * M)
#define D  (24 * H)
#define K  1024ull

#define NUMBER(KEY, KIND, TYPE, FIELD, MIN, MAX, FALLBACK, HELP)                                   \
    {                                                                                              \
        KEY, KIND, sizeof(((TYPE *)0)->FIELD), offsetof(TYPE, FIELD), MIN, MAX, FALLBACK, HELP     \
    }
#define FIELD(KEY, KIND, TYPE, FIELD, FALLBACK, HELP)                                              \
    {                                                                                              \
        KEY, KIND, 0, offsetof(TYPE, FIELD), 0, 0, FALLBACK, HELP                                  \
    }
#define SPECIAL(KEY, KIND, FALLBACK, HELP)                                                         \
    {                                                                                              \
        KEY, KIND, 0, NO_FIELD, 0, 0, FALLBACK, HELP                                               \
    }

#define CHOICE(KEY, TYPE, FIELD, CHOICES, FALLBACK, HELP)                                          \
    {                                                                                              \
        KEY, KIND_CHOICE, 0, offsetof(TYPE, FIELD), 0, 0, FALLBACK, HELP, CHOICES                  \
    }

static const char *const no_yes[] = {"no", "yes", NULL};
static const char *const agents[] = {"none", "redis", "process", "hook", NULL};
static const char *const node_roles[] = {"member", "witness", NULL};
static const char *const sticky_modes[] = {"off", "insert", "learn", NULL};
static const char *const traces[] = {"pass", "span", "start", NULL};
static const char *const log_verdicts[] = {"degraded", "failed", NULL};
static const char *const proxy_versions[] = {"no", "v1", "v2", NULL};

static const struct setting top[] = {
    NUMBER("workers", KIND_COUNT, struct view, workers, 1, VIEW_MAX_WORKERS,
           "(one per processor, at most 64)",
           "threads of the proxy; fixed at the start: a reload cannot change it"),
    FIELD("zone", KIND_LABEL, struct view, zone, "",
          "where this node is: backends of the same zone are preferred while they have room"),
};
static const struct setting admin[] = {
    SPECIAL("metrics", KIND_LISTEN, "", "where `GET /metrics` is answered over TCP"),
    SPECIAL("listen", KIND_LISTEN, "",
            "where the whole admin API is answered over TCP, for who has a token"),
};
static const struct setting token[] = {
    SPECIAL("secret", KIND_SECRET, "", "what its bearer sends: 16 bytes or more; required"),
    SPECIAL("rights", KIND_RIGHTS, "{read, metrics}", "what its bearer may do"),
};
static const struct setting resolver[] = {
    SPECIAL("nameserver", KIND_SERVERS, "(those of /etc/resolv.conf)",
            "who is asked for names; one or several"),
    NUMBER("timeout", KIND_DURATION, struct view_resolver, timeout, 10 * MS, M, "1s",
           "for the answer to one question; then the next server is asked"),
    NUMBER("ttl-min", KIND_DURATION, struct view_resolver, ttl_least, 10 * MS, H, "1s",
           "an answer is asked for again no earlier, whatever its TTL"),
    NUMBER("ttl-max", KIND_DURATION, struct view_resolver, ttl_most, 10 * MS, D, "5m",
           "an answer is asked for again no later, whatever its TTL"),
};
static const struct setting notify[] = {
    FIELD("webhook", KIND_TEXT, struct view_notify, webhook, "",
          "where events are sent by POST: an http:// or https:// URL; required"),
    SPECIAL("key", KIND_KEY, "", "the file of the key that signs; none: nothing is signed"),
    SPECIAL("events", KIND_EVENTS, "{warning, error}", "which: levels and codes"),
    NUMBER("repeat", KIND_DURATION, struct view_notify, repeat, S, D, "5m",
           "the same of the same subject is told once in it"),
};
static const struct setting audit[] = {
    NUMBER("keep", KIND_DURATION, struct view_audit, keep, H, 366 * D, "30d",
           "verdicts and events are forgotten after it, decisions and actions after four times it"),
    NUMBER("size", KIND_SIZE, struct view_audit, size, 1024 * K, 1024 * 1024 * K, "64m",
           "of STATE/audit.db; the oldest makes room"),
    NUMBER("rows", KIND_COUNT, struct view_audit, rows, 1000, 10000000, "200000",
           "records in it; the oldest makes room"),
};
static const struct setting beats[] = {
    SPECIAL("listen", KIND_DOOR, "",
            "where beats are taken, as a line of text; one or several; `holdfast beat` needs none"),
};
static const struct setting beat[] = {
    NUMBER("every", KIND_DURATION, struct view_beat, every, 100 * MS, 366 * D, "",
           "a beat is due this often; required"),
    NUMBER("grace", KIND_DURATION, struct view_beat, grace, 0, 366 * D, "(half of every)",
           "so much more is waited until the job counts as failed"),
    SPECIAL("token", KIND_SECRET, "",
            "what a line over the network must bring: 16 bytes or more; none: nothing"),
};
static const struct setting read_log[] = {
    FIELD("match", KIND_TEXT, struct log_block, match, "",
          "a Perl regular expression (PCRE2): lines that match count; `(?i)` in front ignores the "
          "case of letters"),
    FIELD("except", KIND_TEXT, struct log_block, except, "",
          "lines that match this too do not count"),
    {"over", KIND_OVER, 0, NO_FIELD, S, D, "1/60s",
     "of match: so many lines in so much time are a finding"},
    CHOICE("verdict", struct log_block, verdict, log_verdicts, "degraded",
           "of match: what the finding makes of its subject"),
    SPECIAL("rules", KIND_PACKS, "",
            "rules that come with holdfast for a program's worst lines; they only degrade"),
    NUMBER("learn", KIND_DURATION, struct log_block, learn, 0, 7 * D,
           "(5m without match and rules, else 0)",
           "so long its usual lines are learnt; then new errors, and from 5m on changed rates, are "
           "findings; 0: not at all"),
};
static const struct setting cluster[] = {
    SPECIAL("key", KIND_KEY, "",
            "the file of the key that all nodes share (`holdfast key new`); required of two nodes "
            "and more"),
    NUMBER("port", KIND_COUNT, struct cluster_block, port, 1, UINT16_MAX, "7300",
           "UDP and TCP, of nodes whose address names none"),
    NUMBER("heartbeat", KIND_DURATION, struct cluster_block, cluster.heartbeat, VIEW_HEARTBEAT_MIN,
           VIEW_HEARTBEAT_MAX, "50ms", "how often a node tells each other one that it lives"),
    NUMBER("suspect-after", KIND_DURATION, struct cluster_block, cluster.suspect_after, 30 * MS, M,
           "(four heartbeats, at least 200ms)",
           "silence before which nobody is suspected; at least three heartbeats"),
    NUMBER("lease", KIND_DURATION, struct cluster_block, cluster.lease, 40 * MS, H,
           "(six heartbeats, at least 300ms)",
           "so long a primary acts without a word from a majority of the voters; at least four "
           "heartbeats; fixed while the cluster runs"),
    NUMBER("demotion", KIND_DURATION, struct cluster_block, cluster.demotion, MS, H, "100ms",
           "so long it takes at most until one whose lease ran out has really ended; at most as "
           "lease; fixed while the cluster runs"),
    SPECIAL("coordinator", KIND_COORDINATOR, "(managed, if there is a key)",
            "who keeps what all nodes agree on: etcd on the voters that holdfast runs itself, "
            "nobody, or an etcd that is there already, by its endpoints (docs/coordinator.md)"),
    SPECIAL("voters", KIND_VOTERS, "(chosen: at most 5, odd, across zones)",
            "the nodes that vote: 1, 3 or 5 of them"),
    SPECIAL("coordinator-ca", KIND_KEY, "(the system's)",
            "of endpoints: the file of the authority that their certificates are from"),
    SPECIAL("coordinator-cert", KIND_KEY, "", "of endpoints: the file of this node's certificate"),
    SPECIAL("coordinator-key", KIND_KEY, "", "of endpoints: the file of the certificate's key"),
    FIELD("coordinator-user", KIND_NAME, struct cluster_block, cluster.coordinator.user, "",
          "of endpoints: the user's name there"),
    SPECIAL("coordinator-password", KIND_KEY, "", "of endpoints: the file of the user's password"),
};
static const struct setting node[] = {
    SPECIAL("address", KIND_NODE, "", "where the other nodes reach it; required"),
    CHOICE("role", struct view_node, role, node_roles, "member",
           "a witness votes and observes, and hosts nothing"),
    FIELD("zone", KIND_LABEL, struct view_node, zone, "",
          "where it is: on that node, what the file's own `zone` says unless it is set"),
};
static const struct setting service[] = {
    SPECIAL("listen", KIND_LISTEN, "",
            "where clients connect, as http://, tcp:// or udp://; one or several; none if routes "
            "of other services lead here"),
    FIELD("balance", KIND_BALANCE, struct view_service, balance, "least-requests",
          "how an instance is picked"),
    FIELD("hash-key", KIND_HASH, struct view_service, hash, "source",
          "of the hash algorithms: requests with an equal key go to one instance"),
    NUMBER("hash-balance-factor", KIND_SHARE, struct view_service, hash_bound_permille, 0, 10000,
           "125%",
           "of the hash algorithms: an instance's load over the mean, at most; 0%: no bound"),
    NUMBER("slow-start", KIND_DURATION, struct view_service, slow_start, 0, H, "0",
           "until an instance that is new or was failed has its whole weight"),
    NUMBER("subset", KIND_COUNT, struct view_service, subset, 0, POOL_MAX, "0",
           "instances that each worker uses at least, of a large pool; 0: all"),
    NUMBER("priority-threshold", KIND_SHARE, struct view_service, group_permille, 0, 1000, "0%",
           "a priority group is helped by the next while less of it is well; 0%: while anybody is, "
           "it is not"),
    CHOICE("accept-proxy", struct view_service, proxy_in, no_yes, "no",
           "clients come through another proxy and begin with its PROXY header"),
    CHOICE("send-proxy", struct view_service, proxy_out, proxy_versions, "no",
           "of a TCP service: backends are told the client's address by a PROXY header"),
    NUMBER("replies", KIND_COUNT, struct view_service, replies, 0, VIEW_MAX_REPLIES, "0",
           "of a UDP service: datagrams that answer one of a client's; 0: not known"),
    CHOICE(
        "traceparent", struct view_service, trace, traces, "pass",
        "of an HTTP service: a client's trace goes on as it came; `span`: with each attempt as a "
        "span of its own; `start`: also for requests that come without one"),
    SPECIAL("access-log", KIND_LOG, "off", "a file that gets one line a request"),
    FIELD("access-log-format", KIND_FORM, struct view_service, log.format, "plain",
          "what a line says"),
    NUMBER("access-log-sample", KIND_SHARE, struct view_service, log.sample_permille, 0, 1000,
           "100%", "of the requests that get a line; failed and slow ones always do"),
    NUMBER("slow-log", KIND_DURATION, struct view_service, log.slow, 0, H, "0",
           "a request that takes this long gets a line, here and in the daemon's log; 0: none"),
    SPECIAL("backends-from", KIND_DIR, "",
            "a directory whose files `*.conf` hold more backends, which come and go with them"),
    CHOICE("dynamic", struct view_service, dynamic, no_yes, "no",
           "there may be no backend in the file: `holdfast instance add` brings them"),
};
/* Offsets are in struct view_primary. */
static const struct setting primary[] = {
    CHOICE(
        "agent", struct view_primary, agent, agents, "none",
        "what keeps an instance on each node: redis; process, any command on one node at a time; "
        "hook, a command that is told who is the primary"),
    SPECIAL("on", KIND_VOTERS, "(all nodes but witnesses)",
            "the nodes that may be primary, at most 16, the preferred ones first"),
    NUMBER("port", KIND_COUNT, struct view_primary, port, 1, UINT16_MAX, "(6379 of redis)",
           "where the instance listens, at its node's address"),
    NUMBER("sync", KIND_COUNT, struct view_primary, sync, 0, VIEW_MAX_ON - 1, "0",
           "of redis: the reply to a write waits until so many replicas have it; 0: for none"),
    CHOICE("strict", struct view_primary, strict, no_yes, "no",
           "of sync: writes wait for ever rather than for fewer replicas than that"),
    NUMBER("lag-bytes", KIND_SIZE, struct view_primary, lag_bytes, 0, 1ull << 40, "0",
           "of redis: a replica that is further behind is promoted by force only; 0: no bound"),
    NUMBER("lag-time", KIND_DURATION, struct view_primary, lag_time, 0, H, "0",
           "the same by the age of what it has; 0: no bound"),
    SPECIAL("replicas", KIND_LISTEN, "",
            "of redis: where clients connect that only read; they are led to replicas, the least "
            "loaded and least behind first, to none beyond `lag-bytes` or `lag-time`"),
    CHOICE("replicas-only", struct view_primary, only_replicas, no_yes, "no",
           "of replicas: while none is fit readers wait for one; no: they are led to the primary"),
    SPECIAL("vip", KIND_VIP, "", "an address that goes with the primary, and its network's bits"),
    FIELD("vip-interface", KIND_LABEL, struct view_primary, vip_interface,
          "(the one that has the network)", "where it is put"),
    SPECIAL("redis", KIND_REDIS, "",
            "of redis: settings of its own, each as one text; they count when an instance starts"),
    SPECIAL("command", KIND_COMMAND, "",
            "of process: the program, by its absolute path, and its arguments; required"),
    SPECIAL("hook", KIND_COMMAND, "",
            "a program, and its arguments, that is told of each change of the role; required of "
            "hook"),
    NUMBER("hang-after", KIND_DURATION, struct view_primary, hang_after, 100 * MS, H, "600ms",
           "an instance that gives no good answer for so long has failed"),
    NUMBER("hold", KIND_DURATION, struct view_primary, hold, 0, M, "5s",
           "new clients wait so long, at most, while nobody is primary"),
    NUMBER("hold-clients", KIND_COUNT, struct view_primary, hold_clients, 0, VIEW_MAX_CONNECTIONS,
           "1000", "so many of them wait on this node; more are closed"),
    CHOICE("failback", struct view_primary, failback, no_yes, "no",
           "the first node of `on` that is well becomes primary again by itself"),
    NUMBER("flaps", KIND_COUNT, struct view_primary, flaps, 0, 100, "3",
           "after so many failovers in `flap-window` each waits longer; 0: none does"),
    NUMBER("flap-window", KIND_DURATION, struct view_primary, flap_window, S, D, "10m",
           "how far back failovers count"),
    SPECIAL("apart", KIND_APART, "",
            "services of the same kind: their primaries are kept on other nodes where possible"),
};
static const struct setting backend[] = {
    NUMBER("weight", KIND_COUNT, struct view_instance, weight, 0, VIEW_MAX_WEIGHT, "1",
           "its share of the requests; 0: only when nobody else can"),
    NUMBER("priority", KIND_COUNT, struct view_instance, priority, 0, POOL_GROUPS - 1, "0",
           "its group: the next is used when the one before is not enough"),
    NUMBER("max-requests", KIND_COUNT, struct view_instance, max_requests, 0, 1000000, "0",
           "requests that it is given at a time; more go elsewhere or wait; 0: as `per-backend` "
           "says"),
    FIELD("zone", KIND_LABEL, struct view_instance, zone, "", "where it is: a rack, a data centre"),
    FIELD("name", KIND_NAME, struct view_instance, name, "(its address)",
          "what commands and metrics call it"),
};
static const struct setting check[] = {
    FIELD("http", KIND_TARGET, struct view_check, path, "", "a GET of this path must succeed"),
    SPECIAL("tcp", KIND_FLAG, "(yes without http)", "a connection must be accepted"),
    SPECIAL("none", KIND_FLAG, "no", "no checks: only real requests are judged"),
    NUMBER("every", KIND_DURATION, struct view_check, interval, 50 * MS, H, "1s",
           "between two checks"),
    NUMBER("fast", KIND_DURATION, struct view_check, fast_interval, 10 * MS, H,
           "(a fifth of every, at least 50ms)",
           "between two checks while the verdict is uncertain"),
    NUMBER("timeout", KIND_DURATION, struct view_check, timeout, 10 * MS, M,
           "(as every, at most 1s)", "for one check, from connect to its last byte"),
    NUMBER("rise", KIND_COUNT, struct view_check, rise, 1, 100, "2",
           "passed checks in a row until healthy"),
    NUMBER("fall", KIND_COUNT, struct view_check, fall, 1, 100, "3",
           "failed checks in a row until failed"),
    SPECIAL("status", KIND_STATUS, "200-399", "of an HTTP check: the status codes that pass"),
    FIELD("body", KIND_TEXT, struct view_check, body, "",
          "of an HTTP check: what the body must contain"),
    FIELD("host", KIND_HOST, struct view_check, host, "(the backend's address)",
          "of an HTTP check: the Host field"),
};
static const struct setting timeout[] = {
    NUMBER("client-idle", KIND_DURATION, struct view_timeouts, client_idle, MS, D, "60s",
           "a client's connection between two requests"),
    NUMBER("request-head", KIND_DURATION, struct view_timeouts, request_head, MS, H, "10s",
           "from the first byte of a request's head to its end"),
    NUMBER("connect", KIND_DURATION, struct view_timeouts, connect, MS, M, "500ms",
           "until a backend takes a connection"),
    NUMBER("first-byte", KIND_DURATION, struct view_timeouts, first_byte, MS, D, "30s",
           "until a backend begins to answer"),
    NUMBER("idle", KIND_DURATION, struct view_timeouts, idle, MS, D, "60s",
           "between two bytes of a body, either way"),
    NUMBER("tunnel", KIND_DURATION, struct view_timeouts, tunnel, MS, 30 * D, "1h",
           "an upgraded connection without a byte either way"),
    NUMBER("flow", KIND_DURATION, struct view_timeouts, flow, MS, D, "30s",
           "of a UDP service: a client without a datagram either way"),
    NUMBER("drain", KIND_DURATION, struct view_timeouts, drain, 0, D, "30s",
           "what open connections are given to end when a proxy hands over or the node stops"),
};
static const struct setting retry[] = {
    FIELD("on", KIND_RETRY_ON, struct view_retry, on, "{connect, reset, timeout}",
          "the failures after which another instance is tried; `none` for never"),
    NUMBER("attempts", KIND_COUNT, struct view_retry, attempts, 1, VIEW_MAX_ATTEMPTS, "3",
           "tries in all, the first included"),
    NUMBER("budget", KIND_SHARE, struct view_retry, budget_permille, 0, 1000, "20%",
           "retries, as a share of the requests of the last ten seconds"),
    NUMBER("reserve", KIND_COUNT, struct view_retry, reserve, 0, 100000, "32",
           "retries in ten seconds besides that share"),
    NUMBER("replay", KIND_SIZE, struct view_retry, replay_max, 0, VIEW_MAX_REPLAY, "64k",
           "of an idempotent request's body, kept to be sent again"),
};
static const struct setting eject[] = {
    NUMBER("after", KIND_COUNT, struct view_eject, after, 0, 1000, "5",
           "failed requests in a row until an instance is left out; 0: never"),
    NUMBER("share", KIND_SHARE, struct view_eject, share_permille, 0, 1000, "70%",
           "of the backends, left out at most on uncertain evidence"),
    NUMBER("hold", KIND_DURATION, struct view_eject, hold, MS, H, "1s",
           "until the first trial after an ejection"),
    NUMBER("hold-max", KIND_DURATION, struct view_eject, hold_max, MS, D, "30s",
           "what hold doubles up to while trials fail"),
    NUMBER("slow", KIND_SHARE, struct view_eject, slow_permille, 0, 100000, "0%",
           "left out for being slow: its latency over the median of the backends; 0%: never"),
    NUMBER("slow-least", KIND_DURATION, struct view_eject, slow_least, 0, M, "20ms",
           "of slow: and at least so much above that median"),
};
static const struct setting limit[] = {
    NUMBER("head", KIND_SIZE, struct view_limits, head_bytes, K, VIEW_MAX_HEAD, "16k",
           "of a request's or response's head"),
    NUMBER("fields", KIND_COUNT, struct view_limits, head_fields, 1, VIEW_MAX_HEAD_FIELDS, "100",
           "header fields in one head"),
    NUMBER("body", KIND_SIZE, struct view_limits, body_bytes, 0, 1ull << 40, "0",
           "of a request's body; 0: no limit"),
    NUMBER("connections", KIND_COUNT, struct view_limits, connections, 0, VIEW_MAX_CONNECTIONS, "0",
           "of clients to the service on this node; more are reset; 0: no limit"),
    NUMBER("connections-per-address", KIND_COUNT, struct view_limits, connections_per_address, 0,
           VIEW_MAX_CONNECTIONS, "0", "the same from one address, IPv6 from one /64; 0: no limit"),
    NUMBER("min-rate", KIND_SIZE, struct view_limits, min_rate, 0, VIEW_MAX_MIN_RATE, "0",
           "bytes a second, over 10 s, of a body that only the client holds up; 0: no limit"),
};
static const struct setting concurrency[] = {
    NUMBER("requests", KIND_COUNT, struct view_admit, requests, 0, 10000000, "0",
           "requests under way in the service on this node; 0: no limit"),
    NUMBER("per-backend", KIND_COUNT, struct view_admit, per_instance, 0, 1000000, "0",
           "the same for each backend that has no `max-requests`; 0: no limit"),
    NUMBER("queue", KIND_COUNT, struct view_admit, queue, 0, 1000000, "1000",
           "requests that wait for their turn; more are refused with 503"),
    NUMBER("wait", KIND_DURATION, struct view_admit, wait, 0, H, "5s",
           "how long one waits until it is refused"),
};
static const struct setting breaker[] = {
    NUMBER("failed", KIND_SHARE, struct view_breaker, failed_permille, 0, 1000, "0%",
           "failed requests, as a share of those in `window`, that open it; 0%: never"),
    NUMBER("least", KIND_COUNT, struct view_breaker, least, 1, 1000000, "20",
           "requests in `window` before it may open"),
    NUMBER("window", KIND_DURATION, struct view_breaker, window, S, H, "10s",
           "how far back requests count"),
    NUMBER("rest", KIND_DURATION, struct view_breaker, rest, 10 * MS, H, "5s",
           "how long requests are refused until one is tried"),
};
static const struct setting sticky[] = {
    FIELD("cookie", KIND_COOKIE, struct view_sticky, cookie, "", "its name; required"),
    CHOICE("mode", struct view_sticky, kind, sticky_modes, "(insert, where there is a cookie)",
           "insert: a cookie of our own names the backend; learn: the backend sets the cookie, and "
           "its value is remembered"),
    NUMBER("ttl", KIND_DURATION, struct view_sticky, ttl, 0, 366 * D, "(0; of learn 1h)",
           "insert: the cookie's Max-Age, 0: until the browser ends; learn: forgotten when unused "
           "for so long"),
    CHOICE("secure", struct view_sticky, secure, no_yes, "no",
           "of insert: the cookie is sent over TLS only"),
};
/* Offsets are in struct view_rules. */
static const struct setting rules[] = {
    SPECIAL("request-remove", KIND_NAMES, "", "header fields that backends do not get"),
    SPECIAL("request-set", KIND_FIELDS, "", "header fields that take the place of the client's"),
    SPECIAL("request-add", KIND_FIELDS, "", "header fields that backends get besides"),
    SPECIAL("response-remove", KIND_NAMES, "", "header fields that clients do not get"),
    SPECIAL("response-set", KIND_FIELDS, "", "header fields that take the place of the backend's"),
    SPECIAL("response-add", KIND_FIELDS, "", "header fields that clients get besides"),
    SPECIAL("mirror", KIND_SERVICE, "",
            "a service that gets copies of the requests; its answers are thrown away"),
    NUMBER("mirror-share", KIND_SHARE, struct view_rules, mirror_permille, 1, 1000, "(100%)",
           "of the requests, as many are copied"),
    CHOICE("idempotent", struct view_rules, idempotent, no_yes, "no",
           "whatever their method, requests may be sent more than once"),
    NUMBER("hedge-after", KIND_DURATION, struct view_rules, hedge_after, 0, H, "0",
           "of idempotent requests: a second backend is asked when the first is silent so long; "
           "0: never"),
    NUMBER("hedge-percentile", KIND_SHARE, struct view_rules, hedge_permille, 0, 999, "0%",
           "the same when it is silent for longer than this share of the answers took; 0%: never"),
};
static const struct setting rate[] = {
    FIELD("per", KIND_PER, struct view_rate, per, "address",
          "what is counted apart: all is one count for all clients"),
    NUMBER("requests", KIND_COUNT, struct view_rate, requests, 1, 1000000, "",
           "as many in `every`; required"),
    NUMBER("every", KIND_DURATION, struct view_rate, every, MS, D, "1s", "the time for `requests`"),
    NUMBER("burst", KIND_COUNT, struct view_rate, burst, 1, 1000000, "(as requests)",
           "as many at once, after a quiet time"),
    NUMBER("keys", KIND_COUNT, struct view_rate, keys, 1, VIEW_MAX_RATE_KEYS, "16384",
           "addresses, or other values, that are remembered at most"),
};
static const struct setting route[] = {
    FIELD("host", KIND_HOSTS, struct view_route, match.hosts, "",
          "condition: the host asked for, without its port"),
    FIELD("path", KIND_PATHS, struct view_route, match.paths, "",
          "condition: the path and all below it; \"=/exact\": it alone; \"*.png\": its end"),
    FIELD("method", KIND_METHODS, struct view_route, match.methods, "", "condition: the method"),
    FIELD("header", KIND_HEADERS, struct view_route, match.headers, "",
          "conditions: header fields; \"name: start*\" by its beginning, \"!name\" by its absence"),
    FIELD("query", KIND_PAIRS, struct view_route, match.queries, "",
          "condition: a parameter of the query"),
    FIELD("cookie", KIND_PAIRS, struct view_route, match.cookies, "", "condition: a cookie"),
    SPECIAL("to", KIND_TO, "(this service's own backends)",
            "the services that get the requests, with weights if there are several"),
    FIELD("rewrite", KIND_REWRITE, struct view_route, rewrite, "",
          "takes the place of the part of the path that matched"),
    FIELD("redirect", KIND_LOCATION, struct view_route, location, "",
          "where clients are sent instead"),
    SPECIAL("status", KIND_REDIRECT, "302", "of a redirect"),
    NUMBER("respond", KIND_COUNT, struct view_route, status, 200, 599, "",
           "the status of an answer without any backend"),
    FIELD("text", KIND_TEXT, struct view_route, body, "", "of respond: the answer's body"),
    SPECIAL("file", KIND_FILE, "", "of respond: a file that holds the body, at most 64k"),
    FIELD("type", KIND_TYPE, struct view_route, type, "(by the file's name, else text/plain)",
          "of respond: the body's media type"),
};
static const struct setting page[] = {
    SPECIAL("file", KIND_FILE, "", "a file that holds the page, at most 64k"),
    FIELD("text", KIND_TEXT, struct view_page, body, "", "the page itself"),
    FIELD("type", KIND_TYPE, struct view_page, type, "(by the file's name, else text/plain)",
          "its media type"),
};

#define SETTINGS(t) t, ARRAY_LEN(t)

#define IN(id)   (1u << (id))
#define NO_RULES NO_FIELD
#define PART(f)  offsetof(struct view_service, f)

static const struct block blocks[BLOCKS] = {
    [BLOCK_TOP] = {"", 0, NULL, false, ANY_MODE, 0, NO_RULES, SETTINGS(top), "The file itself."},
    [BLOCK_ADMIN] = {"admin", IN(BLOCK_TOP), NULL, false, ANY_MODE, 0, NO_RULES, SETTINGS(admin),
                     "What operators and their tools see."},
    [BLOCK_TOKEN] = {"token", IN(BLOCK_ADMIN), "NAME", true, ANY_MODE, 0, NO_RULES, SETTINGS(token),
                     "Who may use the admin API over TCP (docs/admin-api.md)."},
    [BLOCK_RESOLVER] = {"resolver", IN(BLOCK_TOP), NULL, false, ANY_MODE, 0, NO_RULES,
                        SETTINGS(resolver), "How names of backends are looked up."},
    [BLOCK_AUDIT] =
        {"audit", IN(BLOCK_TOP), NULL, false, ANY_MODE, 0, NO_RULES, SETTINGS(audit),
         "What each node keeps of what happened, was decided and done (docs/audit.md)."},
    [BLOCK_BEATS] = {"beats", IN(BLOCK_TOP), NULL, false, ANY_MODE, 0, NO_RULES, SETTINGS(beats),
                     "Where jobs say that they live (docs/beats.md)."},
    [BLOCK_BEAT] = {"beat", IN(BLOCK_TOP), "NAME", true, ANY_MODE, 0, NO_RULES, SETTINGS(beat),
                    "A job that says itself that it lives: cron jobs, scripts, services. Without a "
                    "beat in `every` and `grace` it has failed."},
    [BLOCK_LOG] = {"log", IN(BLOCK_TOP) | IN(BLOCK_SERVICE) | IN(BLOCK_BACKEND), "PATH", true,
                   ANY_MODE, 0, NO_RULES, SETTINGS(read_log),
                   "A log that is read for what it tells of a backend, a service, or, at the top "
                   "of the file, of each node (docs/logs.md). PATH is absolute, or `journal:UNIT`. "
                   "Without a block it is learnt; several of one PATH are one log with several "
                   "rules. A backend's is read on the node whose address it has."},
    [BLOCK_NOTIFY] = {"notify", IN(BLOCK_TOP), "NAME", true, ANY_MODE, 0, NO_RULES,
                      SETTINGS(notify), "Who is told of events (docs/notifications.md)."},
    [BLOCK_CLUSTER] = {"cluster", IN(BLOCK_TOP), "NAME", false, ANY_MODE, 0, NO_RULES,
                       SETTINGS(cluster),
                       "The nodes that belong together: the same block on each of them "
                       "(docs/mesh.md)."},
    [BLOCK_NODE] = {"node", IN(BLOCK_CLUSTER), "NAME", true, ANY_MODE, 0, NO_RULES, SETTINGS(node),
                    "One machine of the cluster, up to 128. NAME as of a service; which one this "
                    "machine is, `--node NAME` says, or else its addresses or its host name."},
    [BLOCK_SERVICE] = {"service", IN(BLOCK_TOP), "NAME", true, ANY_MODE, 0, PART(rules),
                       SETTINGS(service),
                       "One service: where clients come in, and the backends behind it. NAME has "
                       "up to 63 letters, digits, `.`, `_` and `-`.",
                       .primary = true},
    [BLOCK_PRIMARY] = {"", 0, NULL, false, ANY_MODE, PART(primary), NO_RULES, SETTINGS(primary),
                       "A service with an `agent` has no backends: one node of the cluster is its "
                       "primary, the others follow and take its place (docs/failover.md)."},
    [BLOCK_BACKEND] = {"backend", IN(BLOCK_SERVICE), "ADDRESS[:PORT]", true, false, 0, NO_RULES,
                       SETTINGS(backend),
                       "One instance of the service, or, by a host name or `srv:NAME`, as many as "
                       "the name has addresses. The block may be left out."},
    [BLOCK_CHECK] = {"check", IN(BLOCK_SERVICE), NULL, false, ANY_MODE, PART(check), NO_RULES,
                     SETTINGS(check),
                     "How every backend is probed. Without it: a TCP check with these defaults. "
                     "`check = none` turns checks off."},
    [BLOCK_TIMEOUT] = {"timeout", IN(BLOCK_SERVICE), NULL, false, ANY_MODE, PART(timeouts),
                       NO_RULES, SETTINGS(timeout), "How long is waited for what."},
    [BLOCK_RETRY] = {"retry", IN(BLOCK_SERVICE), NULL, false, ANY_MODE, PART(retry), NO_RULES,
                     SETTINGS(retry), "When a failed request is tried on another instance."},
    [BLOCK_EJECT] = {"eject", IN(BLOCK_SERVICE), NULL, false, ANY_MODE, PART(eject), NO_RULES,
                     SETTINGS(eject),
                     "When failing or slow requests take an instance out, and for how long."},
    [BLOCK_LIMIT] = {"limit", IN(BLOCK_SERVICE), NULL, false, ANY_MODE, PART(limits), NO_RULES,
                     SETTINGS(limit), "What a message may measure."},
    [BLOCK_CONCURRENCY] = {"concurrency", IN(BLOCK_SERVICE), NULL, false, NOT_UDP, PART(admit),
                           NO_RULES, SETTINGS(concurrency),
                           "How many requests are under way at a time; more wait in line."},
    [BLOCK_BREAKER] = {"breaker", IN(BLOCK_SERVICE), NULL, false, NOT_UDP, PART(breaker), NO_RULES,
                       SETTINGS(breaker),
                       "A service most of whose requests fail is given rest: they are refused at "
                       "once."},
    [BLOCK_STICKY] = {"sticky", IN(BLOCK_SERVICE), NULL, false, ONLY_HTTP, PART(sticky), NO_RULES,
                      SETTINGS(sticky),
                      "A client's requests go to the backend that it had before, "
                      "by a cookie."},
    [BLOCK_RULES] = {"", 0, NULL, false, ONLY_HTTP, 0, NO_RULES, SETTINGS(rules),
                     "Rules, of a `service` for all its requests and of a `route` for those that "
                     "it takes."},
    [BLOCK_RATE] = {"rate", IN(BLOCK_SERVICE) | IN(BLOCK_ROUTE), NULL, true, ONLY_HTTP, 0, NO_RULES,
                    SETTINGS(rate),
                    "A limit on requests, of a `service` or a `route`; several hold together. What "
                    "is above it is answered with 429."},
    [BLOCK_ROUTE] =
        {"route", IN(BLOCK_SERVICE), "NAME", true, ONLY_HTTP, 0, offsetof(struct view_route, rules),
         SETTINGS(route),
         "What is done with some of the service's requests. The first route in the file "
         "all of whose conditions hold takes a request; of a list one item must hold, of `header` "
         "all. "
         "It leads `to` services, or has a `redirect`, or a `respond`."},
    [BLOCK_PAGE] = {"error-page", IN(BLOCK_SERVICE), "STATUS", true, ONLY_HTTP, 0, NO_RULES,
                    SETTINGS(page),
                    "What holdfast's own answers of this status say. STATUS is 400 to 599, or 4xx "
                    "or 5xx."},
};

const struct block *schema_block(enum block_id id)
{
    CHECK(id < BLOCKS);
    return &blocks[id];
}

static size_t n_rules(const struct block *b)
{
    return b->rules == NO_RULES ? 0 : ARRAY_LEN(rules);
}

size_t schema_count(const struct block *b)
{
    return b->n + n_rules(b) + (b->primary ? ARRAY_LEN(primary) : 0);
}

const struct block *schema_owner(const struct block *b, size_t i)
{
    CHECK(i < schema_count(b));
    return i < b->n ? b : i < b->n + n_rules(b) ? &blocks[BLOCK_RULES] : &blocks[BLOCK_PRIMARY];
}

const struct setting *schema_at(const struct block *b, size_t i)
{
    const struct block *owner = schema_owner(b, i);
    size_t before = owner == b ? 0 : owner == &blocks[BLOCK_RULES] ? b->n : b->n + n_rules(b);
    return &owner->settings[i - before];
}

size_t schema_offset(const struct block *b, size_t i)
{
    const struct block *owner = schema_owner(b, i);
    return owner == b ? 0 : owner == &blocks[BLOCK_RULES] ? b->rules : owner->offset;
}

/* Every statement is compared with all keys of its block: most differ in their first letter. */
static bool is_key(const char *key, struct str name)
{
    return name.n && name.p[0] == key[0] && str_eq(name, str_of(key));
}

static size_t find_in(const struct setting *settings, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (is_key(settings[i].key, key))
            return i;
    return NO_FIELD;
}

size_t schema_find(const struct block *b, struct str key)
{
    size_t i = find_in(b->settings, b->n, key);
    if (i == NO_FIELD && b->rules != NO_RULES) {
        i = find_in(rules, ARRAY_LEN(rules), key);
        i = i == NO_FIELD ? NO_FIELD : b->n + i;
    }
    if (i == NO_FIELD && b->primary) {
        i = find_in(primary, ARRAY_LEN(primary), key);
        i = i == NO_FIELD ? NO_FIELD : b->n + n_rules(b) + i;
    }
    return i;
}

const struct setting *schema_setting(const struct block *b, struct str key)
{
    size_t i = schema_find(b, key);
    return i == NO_FIELD ? NULL : schema_at(b, i);
}

enum block_id schema_child(enum block_id parent, struct str name)
{
    for (int i = BLOCK_TOP + 1; i < BLOCKS; i++)
        if (blocks[i].parents >> parent & 1 && is_key(blocks[i].name, name))
            return (enum block_id)i;
    return BLOCKS;
}

/* "no, v1 or v2" */
static void choices_text(const struct setting *s, char *to, size_t size)
{
    struct buf b = {0};
    for (size_t i = 0; s->choices[i]; i++)
        buf_printf(&b, "%s%s", i == 0 ? "" : s->choices[i + 1] ? ", " : " or ", s->choices[i]);
    str_copy(to, size, b.failed ? STR("one of a few words") : buf_str(&b));
    buf_free(&b);
}

/* "round-robin, random, ... or maglev" */
static void algorithms_text(char *to, size_t size)
{
    struct buf b = {0};
    for (int i = 0; i < ALGORITHMS; i++)
        buf_printf(&b, "%s%s",
                   i == 0               ? ""
                   : i + 1 < ALGORITHMS ? ", "
                                        : " or ",
                   algorithm_name((enum algorithm)i));
    str_copy(to, size, b.failed ? STR("the name of an algorithm") : buf_str(&b));
    buf_free(&b);
}

/* What a kind takes, and how it is kept. */
static const struct {
    const char *text; /* NULL: schema_range knows */
    bool list;
    uint8_t field; /* enum field_type */
} forms[KINDS] = {
    [KIND_COUNT] = {NULL, false, FIELD_NUMBER},
    [KIND_DURATION] = {NULL, false, FIELD_NUMBER},
    [KIND_SIZE] = {NULL, false, FIELD_NUMBER},
    [KIND_SHARE] = {NULL, false, FIELD_NUMBER},
    [KIND_BALANCE] = {NULL, false, FIELD_BYTE},
    [KIND_CHOICE] = {NULL, false, FIELD_BYTE},
    [KIND_TEXT] = {"a text", false, FIELD_TEXT},
    [KIND_TARGET] = {"a path, as in /health", false, FIELD_TEXT},
    [KIND_HOST] = {"a host name, as in www.example.com", false, FIELD_TEXT},
    [KIND_NAME] = {"up to 63 letters, digits, '.', '_' and '-'", false, FIELD_TEXT},
    [KIND_LABEL] = {"a word, as in eu-1a", false, FIELD_TEXT},
    [KIND_FLAG] = {"yes or no", false, FIELD_NONE},
    [KIND_STATUS] = {"a code or a range, as in 200 or 200-399", false, FIELD_STATUS},
    [KIND_RETRY_ON] = {"none, or some of {connect, reset, timeout, 5xx}", true, FIELD_RETRY},
    [KIND_HASH] = {"source, path, header:NAME, cookie:NAME or query:NAME", false, FIELD_HASH},
    [KIND_PER] = {"all, address, path, header:NAME, cookie:NAME or query:NAME", false, FIELD_HASH},
    [KIND_HOSTS] = {"host names, as in example.com or \"*.example.com\"", true, FIELD_WORDS},
    [KIND_PATHS] = {"paths, as in /v1, \"=/exact\" or \"*.png\"", true, FIELD_WORDS},
    [KIND_METHODS] = {"methods, as in GET or {PUT, DELETE}", true, FIELD_WORDS},
    [KIND_HEADERS] = {"fields, as in x-beta, \"x-beta: yes\" or \"!x-beta\"", true, FIELD_WORDS},
    [KIND_PAIRS] = {"names and values, as in beta or \"beta=1\"", true, FIELD_WORDS},
    [KIND_REWRITE] = {"a path, as in /v2", false, FIELD_TEXT},
    [KIND_LOCATION] = {"a URL or path, as in \"https://{host}{uri}\"", false, FIELD_TEXT},
    [KIND_COOKIE] = {"a name, as in SRV", false, FIELD_TEXT},
    [KIND_TYPE] = {"a media type, as in text/html", false, FIELD_TEXT},
    [KIND_FIELDS] = {"fields, as in \"X-Env: prod\"", true, FIELD_NONE},
    [KIND_NAMES] = {"names of fields, as in X-Env", true, FIELD_NONE},
    [KIND_TO] = {"services, as in api or {api:95, api-next:5}", true, FIELD_NONE},
    [KIND_SERVICE] = {"the name of a service", false, FIELD_NONE},
    [KIND_REDIRECT] = {"301, 302, 303, 307 or 308", false, FIELD_NONE},
    [KIND_FILE] = {"a path, as in errors/503.html", false, FIELD_NONE},
    [KIND_DOOR] = {"udp:// or tcp:// and an address, as in udp://127.0.0.1:7301", true, FIELD_NONE},
    [KIND_LISTEN] = {"an address, as in http://0.0.0.0:8080", true, FIELD_NONE},
    [KIND_LOG] = {"an absolute path, or off", false, FIELD_NONE},
    [KIND_FORM] = {"plain, common, combined, json or a text with {fields}", false, FIELD_TEXT},
    [KIND_SECRET] = {"file:PATH or env:NAME", false, FIELD_NONE},
    [KIND_RIGHTS] = {"some of {read, metrics, drain, instances, reload, restart, upgrade, cluster, "
                     "beat, keys, apply, roles}, or all",
                     true, FIELD_NONE},
    [KIND_DIR] = {"an absolute path", false, FIELD_NONE},
    [KIND_SERVERS] = {"an address, as in 10.0.0.53 or [::1]:5353", true, FIELD_NONE},
    [KIND_NODE] = {"an address, as in 10.0.0.1 or [fd00::1]:7301", false, FIELD_NONE},
    [KIND_KEY] = {"file:PATH", false, FIELD_NONE},
    [KIND_COORDINATOR] = {"managed, none or endpoints, as in https://10.0.0.9:2379", true,
                          FIELD_NONE},
    [KIND_VOTERS] = {"names of nodes, as in {a, b, c}", true, FIELD_NONE},
    [KIND_VIP] = {"an address and its network's bits, as in 10.0.0.100/24", false, FIELD_NONE},
    [KIND_COMMAND] = {"a program and its arguments, as in {/usr/bin/worker, --queue, mail}", true,
                      FIELD_NONE},
    [KIND_REDIS] = {"settings of Redis, as in {\"maxmemory 1g\", \"save 900 1\"}", true,
                    FIELD_NONE},
    [KIND_APART] = {"names of services, as in {cache, db}", true, FIELD_NONE},
    [KIND_OVER] = {"a number of lines and a time from 1s to 1d, as in 5/10s", false, FIELD_NONE},
    [KIND_EVENTS] = {"levels and codes, as in {error, role-promoted}", true, FIELD_NONE},
    [KIND_PACKS] = {"some of {postgresql, redis, nginx, kernel, systemd}", true, FIELD_NONE},
};

enum field_type schema_field(const struct setting *s)
{
    CHECK(s->kind < KINDS);
    return (enum field_type)forms[s->kind].field;
}

bool schema_takes_list(const struct setting *s)
{
    CHECK(s->kind < KINDS);
    return forms[s->kind].list;
}

void schema_range(const struct setting *s, char *to, size_t size)
{
    char a[SCALAR_TEXT_MAX], b[SCALAR_TEXT_MAX];
    if (s->kind == KIND_COUNT) {
        snprintf(to, size, "%llu to %llu", (unsigned long long)s->min, (unsigned long long)s->max);
    } else if (s->kind == KIND_DURATION) {
        snprintf(to, size, "%s to %s", scalar_duration_text(s->min, a),
                 scalar_duration_text(s->max, b));
    } else if (s->kind == KIND_SIZE) {
        snprintf(to, size, "%s to %s", scalar_size_text(s->min, a), scalar_size_text(s->max, b));
    } else if (s->kind == KIND_SHARE) {
        snprintf(to, size, "%s to %s", scalar_share_text(s->min, a), scalar_share_text(s->max, b));
    } else if (s->kind == KIND_BALANCE) {
        algorithms_text(to, size);
    } else if (s->kind == KIND_CHOICE) {
        choices_text(s, to, size);
    } else {
        CHECK(s->kind < KINDS && forms[s->kind].text);
        snprintf(to, size, "%s", forms[s->kind].text);
    }
}
