/* A round: the questions of one name, from the first to the time of the next round.
 *
 *   due -> /etc/hosts, or else candidate after candidate of the search list: its questions are
 *   queued, asked, answered -> what was found counts at once; what was not, when the round is over
 *
 * A round that found nothing and could ask for no other candidate has failed: the last good answer
 * stays, and the next round waits longer each time. */
#include "discover/names_inside.h"

#include <stdio.h>

#define SYSTEM_NS  (5 * NS_PER_S)  /* the system's files are read again after this */
#define FAILURE_NS (30 * NS_PER_S) /* between rounds that fail, at most */
enum { HOSTS_TTL = 5 };

static void round_over(struct name *m);

/* ---- the system's files ---- */

static void read_system(struct names *n)
{
    struct buf text = {0};
    uint64_t now = loop_now(n->loop);
    if (n->read_at && now - n->read_at < SYSTEM_NS)
        return;
    n->read_at = now;
    if (file_read(n->o.hosts, SYSTEM_TEXT_MAX, &n->hosts, NULL))
        buf_clear(&n->hosts);
    if (file_read(n->o.resolv_conf, SYSTEM_TEXT_MAX, &text, NULL))
        buf_clear(&text);
    system_resolver_parse(buf_str(&text), &n->system);
    buf_free(&text);
}

static void add_found(void *arg, const struct addr *a)
{
    struct name *m = arg;
    struct record one = {.addr = *a};
    one.addr.port = 0;
    records_add(&m->lookups[a->kind == ADDR_IP6].found, &one);
}

/* True: /etc/hosts knows the name. */
static bool look_into_hosts(struct name *m)
{
    if (m->srv || !system_hosts_find(buf_str(&m->names->hosts), str_of(m->text), add_found, m))
        return false;
    for (uint32_t i = 0; i < m->n_lookups; i++) {
        struct lookup *l = &m->lookups[i];
        l->result = l->found.n ? RESULT_FOUND : RESULT_EMPTY;
        l->ttl = HOSTS_TTL;
    }
    return true;
}

/* ---- what counts now ---- */

/* Targets are looked up like any host; they are known once each of them had a round. */
static bool targets_known(struct name *m)
{
    bool known = true, any = false;
    for (uint32_t i = 0; i < m->next.n; i++) {
        struct name *host = names_get(m->names, str_of(m->next.list[i].target), false);
        if (!host)
            continue; /* no room: it stays out */
        host->used = true;
        known &= host->answered;
        any |= host->good.n > 0;
    }
    return known && any;
}

static void take_targets(struct name *m)
{
    if (!m->awaiting || !targets_known(m))
        return;
    m->awaiting = false;
    records_free(&m->good);
    m->good = m->next;
    m->next = (struct records){0};
    m->names->owner.changed(m->names->owner.context);
}

/* A host had a round: who waited for it? */
static void take_all_targets(struct names *n)
{
    list_for_each (it, &n->services)
        take_targets(LIST_ENTRY(it, struct name, link));
}

static void replace(struct name *m, struct records *now)
{
    if (m->srv && records_same(now, &m->next) && m->awaiting) {
        records_free(now);
    } else if (records_same(now, &m->good)) {
        m->awaiting = false;
        records_free(&m->next);
        records_free(now);
    } else if (m->srv) {
        records_free(&m->next);
        m->next = *now;
        m->awaiting = true;
    } else {
        records_free(&m->good);
        m->good = *now;
        m->names->owner.changed(m->names->owner.context);
    }
    *now = (struct records){0};
    take_targets(m);
}

/* Nothing at all never replaces something. */
static void count(struct name *m)
{
    struct records now = {0};
    bool whole = true;
    for (uint32_t i = 0; i < m->n_lookups; i++)
        whole &= records_join(&now, &m->lookups[i].latest);
    if (now.n && (whole || now.n == RECORDS_MAX))
        replace(m, &now);
    else
        records_free(&now);
}

static void commit(struct lookup *l)
{
    records_free(&l->latest);
    l->latest = l->found;
    l->found = (struct records){0};
}

static void lookup_over(struct lookup *l)
{
    struct name *m = l->name;
    if (l->result == RESULT_FOUND) {
        commit(l);
        count(m);
    }
    for (uint32_t i = 0; i < m->n_lookups; i++)
        if (m->lookups[i].result == RESULT_NONE)
            return;
    round_over(m);
}

/* ---- asking ---- */

static void pump(struct names *n)
{
    while (n->in_flight < NAMES_IN_FLIGHT && !list_empty(&n->queue)) {
        struct lookup *l = LIST_ENTRY(n->queue.next, struct lookup, queue);
        struct name *m = l->name;
        struct dns_question q = {.type = l->type, .class = DNS_IN};
        list_remove(&l->queue);
        if (!system_candidate(&n->system, str_of(m->text), m->candidate, &q.name)) {
            l->result = RESULT_EMPTY;
            lookup_over(l);
            continue;
        }
        struct ask_servers servers = n->servers.n ? n->servers : n->system.servers;
        servers.timeout = n->timeout;
        l->in_flight = true;
        n->in_flight++;
        ask_start(&l->ask, &servers, &q);
    }
}

static void add_record(void *arg, const struct dns_record *r)
{
    struct lookup *l = arg;
    struct record one = {.priority = r->priority, .weight = r->weight};
    if (r->type == DNS_SRV) {
        char text[DNS_NAME_TEXT_MAX];
        struct dns_name plain;
        size_t n = dns_name_text(&r->target, text);
        /* "." says that there is no such service here; no host has bytes to be escaped. */
        if (r->port == 0 || !dns_name_parse((struct str){text, n}, &plain))
            return;
        snprintf(one.target, sizeof one.target, "%.253s.", text);
        one.addr.port = r->port;
    } else {
        one.addr.kind = r->type == DNS_A ? ADDR_IP4 : ADDR_IP6;
        memcpy(one.addr.ip, r->ip, sizeof one.addr.ip);
    }
    records_add(&l->found, &one);
}

static void on_asked(struct ask *a, int rc, struct str message, const char *why)
{
    struct lookup *l = CONTAINER_OF(a, struct lookup, ask);
    struct names *n = l->name->names;
    struct dns_result r = {0};
    const char *unread;
    l->in_flight = false;
    n->in_flight--;
    records_free(&l->found);
    if (rc == 0)
        rc = dns_answer(message, a->head.id, &a->question, add_record, l, &r, &unread);
    l->result = rc ? RESULT_ERROR : l->found.n ? RESULT_FOUND : RESULT_EMPTY;
    l->rcode = r.rcode;
    l->ttl = r.ttl;
    if (rc)
        str_copy(l->ask.last.text, sizeof l->ask.last.text, str_of(why));
    lookup_over(l);
    pump(n);
}

static void ask_candidate(struct name *m)
{
    for (uint32_t i = 0; i < m->n_lookups; i++) {
        m->lookups[i].result = RESULT_NONE;
        list_remove(&m->lookups[i].queue);
        list_push_back(&m->names->queue, &m->lookups[i].queue);
    }
}

/* ---- the end of a round ---- */

static void tell_failure(struct name *m)
{
    char text[320], kept[64] = "there is no answer of before";
    const char *why = "it has no addresses";
    for (uint32_t i = 0; i < m->n_lookups; i++) {
        if (m->lookups[i].result == RESULT_ERROR)
            why = m->lookups[i].ask.last.text;
        else if (m->lookups[i].rcode == DNS_NXDOMAIN)
            why = "there is no such name (NXDOMAIN)";
    }
    if (m->good.n)
        snprintf(kept, sizeof kept, "the %u %s of before stay", m->good.n,
                 m->srv ? "targets" : "addresses");
    snprintf(text, sizeof text, "%.200s; %s", why, kept);
    m->names->owner.tell(m->names->owner.context, true, m->text, text);
}

static void failed(struct name *m)
{
    struct names *n = m->names;
    uint64_t delay = n->ttl_least << MIN(m->failures, 10u);
    delay = MIN(delay, MAX(FAILURE_NS, n->ttl_least));
    m->failures++;
    if (!m->failing)
        tell_failure(m);
    m->failing = true;
    delay += prng_below(&n->prng, delay / 4 + 1);
    loop_timer_set(n->loop, &m->due, loop_now(n->loop) + delay);
}

static void succeeded(struct name *m)
{
    struct names *n = m->names;
    uint64_t ttl = UINT32_MAX;
    for (uint32_t i = 0; i < m->n_lookups; i++)
        if (m->lookups[i].result == RESULT_FOUND)
            ttl = MIN(ttl, (uint64_t)m->lookups[i].ttl);
    uint64_t delay = MAX(MIN(ttl * NS_PER_S, n->ttl_most), n->ttl_least);
    delay -= prng_below(&n->prng, delay / 10 + 1);
    m->failures = 0;
    if (m->failing)
        n->owner.tell(n->owner.context, false, m->text, "it is answered again");
    m->failing = false;
    loop_timer_set(n->loop, &m->due, loop_now(n->loop) + delay);
}

static void round_over(struct name *m)
{
    bool found = false, error = false;
    struct dns_name next;
    for (uint32_t i = 0; i < m->n_lookups; i++) {
        found |= m->lookups[i].result == RESULT_FOUND;
        error |= m->lookups[i].result == RESULT_ERROR;
    }
    if (!found && !error &&
        system_candidate(&m->names->system, str_of(m->text), m->candidate + 1, &next)) {
        m->candidate++;
        ask_candidate(m);
        return;
    }
    for (uint32_t i = 0; i < m->n_lookups; i++)
        if (m->lookups[i].result == RESULT_EMPTY)
            commit(&m->lookups[i]);
    count(m);
    m->answered = true;
    if (found)
        succeeded(m);
    else
        failed(m);
    if (!m->srv)
        take_all_targets(m->names);
}

void round_begin(struct name *m)
{
    struct names *n = m->names;
    read_system(n);
    m->candidate = 0;
    for (uint32_t i = 0; i < m->n_lookups; i++)
        records_free(&m->lookups[i].found);
    if (look_into_hosts(m)) {
        for (uint32_t i = 0; i < m->n_lookups; i++)
            commit(&m->lookups[i]);
        round_over(m);
        return;
    }
    ask_candidate(m);
    pump(n);
}

static void on_due(struct timer *t)
{
    round_begin(CONTAINER_OF(t, struct name, due));
}

void round_init(struct name *m)
{
    static const uint16_t of_host[] = {DNS_A, DNS_AAAA}, of_service[] = {DNS_SRV};
    m->n_lookups = m->srv ? 1 : 2;
    timer_init(&m->due, on_due);
    for (uint32_t i = 0; i < m->n_lookups; i++) {
        struct lookup *l = &m->lookups[i];
        l->name = m;
        l->type = m->srv ? of_service[i] : of_host[i];
        list_init(&l->queue);
        ask_init(&l->ask, m->names->loop, on_asked);
    }
}

void round_end(struct name *m)
{
    loop_timer_stop(m->names->loop, &m->due);
    for (uint32_t i = 0; i < m->n_lookups; i++) {
        struct lookup *l = &m->lookups[i];
        list_remove(&l->queue);
        m->names->in_flight -= l->in_flight;
        ask_stop(&l->ask);
        records_free(&l->found);
        records_free(&l->latest);
    }
    records_free(&m->good);
    records_free(&m->next);
}
