#include "coord/etcd_members.h"

#include "coord/etcd_http.h"
#include "coord/etcd_json.h"
#include "coord/etcd_scan.h"

enum { ANSWER_MAX = 256 * 1024 };
#define CONNECT_NS (2 * NS_PER_S)

struct etcd_members {
    struct etcd_http *http;
    struct etcd_call call;
    enum etcd_question question;
    void (*done)(void *context, enum etcd_question q, const struct etcd_told *t);
    void *context;
    struct etcd_told told;
    char at[ETCD_MEMBER_URL];
};

static const struct {
    const char *path;
    bool once; /* a change: never sent twice */
} QUESTIONS[ETCD_QUESTIONS] = {
    [ETCD_STATUS] = {"/v3/maintenance/status", false},
    [ETCD_LIST] = {"/v3/cluster/member/list", false},
    [ETCD_ADD] = {"/v3/cluster/member/add", true},
    [ETCD_PROMOTE] = {"/v3/cluster/member/promote", true},
    [ETCD_REMOVE] = {"/v3/cluster/member/remove", true},
    [ETCD_LEAD] = {"/v3/maintenance/transfer-leadership", true},
    [ETCD_ALARMS] = {"/v3/maintenance/alarm", false},
    [ETCD_DISARM] = {"/v3/maintenance/alarm", true},
    [ETCD_COMPACT] = {"/v3/kv/compaction", false},
    [ETCD_DEFRAGMENT] = {"/v3/maintenance/defragment", false},
};

/* --- reading --- */

static int broken(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTO, "that is not how etcd answers: %s", what);
}

static bool read_u64(struct str object, const char *name, uint64_t *out)
{
    struct str text = scan_get(object, name);
    *out = 0;
    if (!text.p)
        return true;
    (void)scan_string(text, &text);
    return str_u64(text, UINT64_MAX, out);
}

static bool read_text(struct str object, const char *name, char *out, size_t size)
{
    struct str text = scan_get(object, name);
    *out = 0;
    if (!text.p)
        return true;
    if (!scan_string(text, &text) || text.n >= size)
        return false;
    str_copy(out, size, text);
    return true;
}

static bool read_header(struct str root, struct etcd_told *out)
{
    struct str v = scan_get(root, "header");
    return !v.p ||
           (scan_is_object(v) && read_u64(v, "cluster_id", &out->cluster) &&
            read_u64(v, "member_id", &out->member) && read_u64(v, "revision", &out->revision) &&
            read_u64(v, "raft_term", &out->term));
}

static bool read_status(struct str root, struct etcd_told *out)
{
    uint64_t term;
    bool good = read_u64(root, "leader", &out->leader) && read_u64(root, "raftTerm", &term) &&
                read_u64(root, "raftAppliedIndex", &out->applied) &&
                read_u64(root, "dbSize", &out->bytes) &&
                read_u64(root, "dbSizeInUse", &out->used) &&
                read_text(root, "version", out->version, sizeof out->version);
    out->learner = scan_is_true(scan_get(root, "isLearner"));
    out->term = good && term ? term : out->term;
    return good;
}

static bool read_member(struct str value, struct etcd_member *m)
{
    struct str urls = scan_get(value, "peerURLs"), first = {NULL, 0};
    *m = (struct etcd_member){.learner = scan_is_true(scan_get(value, "isLearner"))};
    if (!read_u64(value, "ID", &m->id) || !read_text(value, "name", m->name, sizeof m->name))
        return false;
    if (!urls.p || !scan_next(urls, &first))
        return true;
    if (!scan_string(first, &first) || first.n >= sizeof m->peer)
        return false;
    str_copy(m->peer, sizeof m->peer, first);
    return true;
}

static bool read_members(struct str root, struct etcd_told *out)
{
    struct str list = scan_get(root, "members"), at = {NULL, 0}, added = scan_get(root, "member");
    if (list.p && !scan_is_array(list))
        return false;
    while (list.p && scan_next(list, &at))
        if (out->n == ETCD_MEMBERS_MAX || !scan_is_object(at) ||
            !read_member(at, &out->members[out->n++]))
            return false;
    return !added.p || (scan_is_object(added) && read_u64(added, "ID", &out->added));
}

/* Of all members; whose it is does not matter here. */
static bool read_alarms(struct str root, struct etcd_told *out)
{
    struct str list = scan_get(root, "alarms"), at = {NULL, 0}, kind;
    if (list.p && !scan_is_array(list))
        return false;
    while (list.p && scan_next(list, &at)) {
        kind = scan_get(at, "alarm");
        out->no_space |= scan_string(kind, &kind) && str_eq(kind, STR("NOSPACE"));
        out->corrupt |= str_eq(kind, STR("CORRUPT"));
    }
    return true;
}

int etcd_read_told(enum etcd_question q, struct str body, struct etcd_told *out, struct err *e)
{
    struct str root;
    bool good = true;
    *out = (struct etcd_told){0};
    if (!scan_value(body, false, &root) || !scan_is_object(root))
        return broken(e, "it is no JSON object");
    if (!read_header(root, out))
        return broken(e, "a number in its header is none");
    switch (q) {
    case ETCD_STATUS: good = read_status(root, out); break;
    case ETCD_LIST:
    case ETCD_ADD:
    case ETCD_PROMOTE:
    case ETCD_REMOVE: good = read_members(root, out); break;
    case ETCD_ALARMS:
    case ETCD_DISARM: good = read_alarms(root, out); break;
    case ETCD_LEAD:
    case ETCD_COMPACT:
    case ETCD_DEFRAGMENT:
    case ETCD_QUESTIONS: break;
    }
    return good ? 0 : broken(e, "a field of it is something else");
}

/* --- asking --- */

static void request(const struct etcd_ask *a, struct buf *out)
{
    buf_clear(out);
    switch (a->question) {
    case ETCD_ADD: buf_printf(out, "{\"peerURLs\":[\"%s\"],\"isLearner\":true}", a->url); return;
    case ETCD_PROMOTE:
    case ETCD_REMOVE: buf_printf(out, "{\"ID\":\"%llu\"}", (unsigned long long)a->id); return;
    case ETCD_LEAD: buf_printf(out, "{\"targetID\":\"%llu\"}", (unsigned long long)a->id); return;
    case ETCD_ALARMS: buf_printf(out, "{\"action\":\"GET\"}"); return;
    case ETCD_DISARM:
        buf_printf(out, "{\"action\":\"DEACTIVATE\",\"memberID\":\"%llu\",\"alarm\":\"NOSPACE\"}",
                   (unsigned long long)a->id);
        return;
    case ETCD_COMPACT:
        buf_printf(out, "{\"revision\":\"%llu\",\"physical\":true}",
                   (unsigned long long)a->revision);
        return;
    case ETCD_STATUS:
    case ETCD_LIST:
    case ETCD_DEFRAGMENT:
    case ETCD_QUESTIONS: buf_printf(out, "{}"); return;
    }
}

static void on_done(struct etcd_call *call)
{
    struct etcd_members *m = CONTAINER_OF(call, struct etcd_members, call);
    struct etcd_refusal refusal;
    struct err e = {0};
    int r = 0;
    m->told = (struct etcd_told){0};
    if (call->status == 200) {
        r = etcd_read_told(m->question, buf_str(&call->answer), &m->told, &e);
    } else if (call->status == 0) {
        e = call->why;
        r = e.code ? e.code : err_set(&e, ERR_IO, "no answer");
    } else {
        etcd_read_refusal(call->status, buf_str(&call->answer), &refusal);
        r = err_set(&e, ERR_DENIED, "etcd refuses: %s", refusal.text);
    }
    m->told.code = r;
    m->told.why = r ? &e : NULL;
    etcd_call_end(&m->call);
    etcd_call_init(&m->call, on_done);
    m->done(m->context, m->question, &m->told); /* which may ask again, or free m */
}

int etcd_members_new(struct etcd_members **out, struct loop *l, const char *ca, const char *cert,
                     const char *key, struct err *e)
{
    struct etcd_http_options o = {ca, cert, key};
    struct etcd_members *m = mem_zero(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for a connection to etcd");
    int r = etcd_http_new(&m->http, l, &o, e);
    if (r) {
        mem_free(m);
        return r;
    }
    etcd_call_init(&m->call, on_done);
    *out = m;
    return 0;
}

void etcd_members_free(struct etcd_members *m)
{
    if (!m)
        return;
    etcd_call_end(&m->call);
    etcd_http_free(m->http);
    mem_free(m);
}

int etcd_members_refresh(struct etcd_members *m, struct err *e)
{
    return etcd_http_refresh(m->http, e);
}

bool etcd_members_busy(const struct etcd_members *m)
{
    return etcd_call_runs(&m->call);
}

int etcd_members_ask(struct etcd_members *m, const struct etcd_ask *a,
                     void (*done)(void *context, enum etcd_question q, const struct etcd_told *t),
                     void *context, struct err *e)
{
    CHECK(a->question < ETCD_QUESTIONS);
    if (etcd_members_busy(m))
        return err_set(e, ERR_BUSY, "etcd has not answered the last question yet");
    str_copy(m->at, sizeof m->at, str_of(a->at));
    m->question = a->question;
    m->done = done;
    m->context = context;
    m->call.base = m->at;
    m->call.path = QUESTIONS[a->question].path;
    m->call.once = QUESTIONS[a->question].once;
    m->call.connect_ns = MIN(CONNECT_NS, a->limit);
    m->call.limit_ns = a->limit;
    m->call.answer_max = ANSWER_MAX;
    request(a, &m->call.request);
    if (m->call.request.failed)
        return err_set(e, ERR_NOMEM, "no memory for a question to etcd");
    return etcd_call_start(m->http, &m->call, e);
}
