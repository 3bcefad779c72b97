#include "coord/etcd_members.h"

#include "coord/etcd_http.h"
#include "coord/etcd_json.h"

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
