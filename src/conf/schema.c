#include "conf/schema.h"

#include <stdio.h>

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
static const char *const proxy_versions[] = {"no", "v1", "v2", NULL};

static const struct setting top[] = {
    NUMBER("workers", KIND_COUNT, struct view, workers, 1, VIEW_MAX_WORKERS,
           "(one per processor, at most 64)",
           "threads of the proxy; fixed at the start: a reload cannot change it"),
};
static const struct setting admin[] = {
    SPECIAL("metrics", KIND_LISTEN, "", "where `GET /metrics` is answered over TCP"),
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
static const struct setting service[] = {
    SPECIAL("listen", KIND_LISTEN, "",
            "where clients connect, as http://, tcp:// or udp://; one or several, required"),
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
    SPECIAL("access-log", KIND_LOG, "off", "a file that gets one line a request"),
    SPECIAL("backends-from", KIND_DIR, "",
            "a directory whose files `*.conf` hold more backends, which come and go with them"),
    CHOICE("dynamic", struct view_service, dynamic, no_yes, "no",
           "there may be no backend in the file: `holdfast instance add` brings them"),
};
static const struct setting backend[] = {
    NUMBER("weight", KIND_COUNT, struct view_instance, weight, 0, VIEW_MAX_WEIGHT, "1",
           "its share of the requests; 0: only when nobody else can"),
    NUMBER("priority", KIND_COUNT, struct view_instance, priority, 0, POOL_GROUPS - 1, "0",
           "its group: the next is used when the one before is not enough"),
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
           "what open connections are given to end when a listener or the node stops"),
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
};
static const struct setting limit[] = {
    NUMBER("head", KIND_SIZE, struct view_limits, head_bytes, K, VIEW_MAX_HEAD, "16k",
           "of a request's or response's head"),
    NUMBER("fields", KIND_COUNT, struct view_limits, head_fields, 1, VIEW_MAX_HEAD_FIELDS, "100",
           "header fields in one head"),
    NUMBER("body", KIND_SIZE, struct view_limits, body_bytes, 0, 1ull << 40, "0",
           "of a request's body; 0: no limit"),
};

#define SETTINGS(t) t, ARRAY_LEN(t)

static const struct block blocks[BLOCKS] = {
    [BLOCK_TOP] = {"", BLOCK_TOP, NULL, false, 0, SETTINGS(top), "The file itself."},
    [BLOCK_ADMIN] = {"admin", BLOCK_TOP, NULL, false, 0, SETTINGS(admin),
                     "What operators and their tools see."},
    [BLOCK_RESOLVER] = {"resolver", BLOCK_TOP, NULL, false, 0, SETTINGS(resolver),
                        "How names of backends are looked up."},
    [BLOCK_SERVICE] = {"service", BLOCK_TOP, "NAME", true, 0, SETTINGS(service),
                       "One service: where clients come in, and the backends behind it. NAME has "
                       "up to 63 letters, digits, `.`, `_` and `-`."},
    [BLOCK_BACKEND] =
        {"backend", BLOCK_SERVICE, "ADDRESS[:PORT]", true, 0, SETTINGS(backend),
         "One instance of the service, or, by a host name or `srv:NAME`, as many as the name has "
         "addresses. The block may be left out."},
    [BLOCK_CHECK] = {"check", BLOCK_SERVICE, NULL, false, offsetof(struct view_service, check),
                     SETTINGS(check),
                     "How every backend is probed. Without it: a TCP check with these defaults. "
                     "`check = none` turns checks off."},
    [BLOCK_TIMEOUT] = {"timeout", BLOCK_SERVICE, NULL, false,
                       offsetof(struct view_service, timeouts), SETTINGS(timeout),
                       "How long is waited for what."},
    [BLOCK_RETRY] = {"retry", BLOCK_SERVICE, NULL, false, offsetof(struct view_service, retry),
                     SETTINGS(retry), "When a failed request is tried on another instance."},
    [BLOCK_EJECT] = {"eject", BLOCK_SERVICE, NULL, false, offsetof(struct view_service, eject),
                     SETTINGS(eject),
                     "When failing requests take an instance out, and for how long."},
    [BLOCK_LIMIT] = {"limit", BLOCK_SERVICE, NULL, false, offsetof(struct view_service, limits),
                     SETTINGS(limit), "What a message may measure."},
};

const struct block *schema_block(enum block_id id)
{
    CHECK(id < BLOCKS);
    return &blocks[id];
}

const struct setting *schema_setting(const struct block *b, struct str key)
{
    for (size_t i = 0; i < b->n; i++)
        if (str_eq(key, str_of(b->settings[i].key)))
            return &b->settings[i];
    return NULL;
}

enum block_id schema_child(enum block_id parent, struct str name)
{
    for (int i = BLOCK_TOP + 1; i < BLOCKS; i++)
        if (blocks[i].parent == parent && str_eq(name, str_of(blocks[i].name)))
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

void schema_range(const struct setting *s, char *to, size_t size)
{
    char a[SCALAR_TEXT_MAX], b[SCALAR_TEXT_MAX];
    switch ((enum kind)s->kind) {
    case KIND_COUNT:
        snprintf(to, size, "%llu to %llu", (unsigned long long)s->min, (unsigned long long)s->max);
        return;
    case KIND_DURATION:
        scalar_duration_text(s->min, a);
        scalar_duration_text(s->max, b);
        break;
    case KIND_SIZE:
        scalar_size_text(s->min, a);
        scalar_size_text(s->max, b);
        break;
    case KIND_SHARE:
        scalar_share_text(s->min, a);
        scalar_share_text(s->max, b);
        break;
    case KIND_TEXT: snprintf(to, size, "a text"); return;
    case KIND_TARGET: snprintf(to, size, "a path, as in /health"); return;
    case KIND_HOST: snprintf(to, size, "a host name, as in www.example.com"); return;
    case KIND_NAME: snprintf(to, size, "up to 63 letters, digits, '.', '_' and '-'"); return;
    case KIND_FLAG: snprintf(to, size, "yes or no"); return;
    case KIND_STATUS: snprintf(to, size, "a code or a range, as in 200 or 200-399"); return;
    case KIND_RETRY_ON:
        snprintf(to, size, "none, or some of {connect, reset, timeout, 5xx}");
        return;
    case KIND_BALANCE: algorithms_text(to, size); return;
    case KIND_HASH:
        snprintf(to, size, "source, path, header:NAME, cookie:NAME or query:NAME");
        return;
    case KIND_LISTEN: snprintf(to, size, "an address, as in http://0.0.0.0:8080"); return;
    case KIND_CHOICE: choices_text(s, to, size); return;
    case KIND_LOG: snprintf(to, size, "an absolute path, or off"); return;
    case KIND_DIR: snprintf(to, size, "an absolute path"); return;
    case KIND_SERVERS: snprintf(to, size, "an address, as in 10.0.0.53 or [::1]:5353"); return;
    case KINDS: UNREACHABLE();
    }
    snprintf(to, size, "%s to %s", a, b);
}
