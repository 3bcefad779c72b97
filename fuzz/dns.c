/* A DNS message from anybody: reading ends, stays inside the input, and what was read can be
 * written again and reads the same. */
#include <stddef.h>
#include <stdint.h>

#include "wire/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const struct dns_record *r)
{
    CHECK(r->name.n > 0);
    ++*(uint32_t *)arg;
}

static void check_answer(struct str bytes, const struct dns_message *m)
{
    struct dns_result result;
    const char *why = NULL;
    uint32_t n = 0;
    if (m->question.name.n == 0 ||
        dns_answer(bytes, m->head.id, &m->question, count, &n, &result, &why))
        return;
    CHECK(n == result.found && result.name.n > 0);
}

static bool writable(const struct dns_record *r)
{
    return r->type == DNS_A || r->type == DNS_AAAA || r->type == DNS_CNAME || r->type == DNS_NS ||
           r->type == DNS_PTR || r->type == DNS_SRV || r->type == DNS_TXT;
}

static void check_same(const struct dns_record *a, struct dns_message *again)
{
    struct dns_record b;
    CHECK(dns_next(again, &b) == 1);
    CHECK(dns_name_eq(&a->name, &b.name) && dns_name_eq(&a->target, &b.target));
    CHECK(a->type == b.type && a->class == b.class && a->ttl == b.ttl && a->section == b.section);
    CHECK(a->port == b.port && a->weight == b.weight && a->priority == b.priority);
    CHECK(memcmp(a->ip, b.ip, sizeof a->ip) == 0);
}

static void check_rewritten(struct dns_message m, struct buf *out)
{
    struct dns_writer w;
    struct dns_record r;
    struct dns_message first = m, again;
    dns_begin(&w, out, &m.head, DNS_MESSAGE_MAX);
    if (m.question.name.n)
        dns_put_question(&w, &m.question);
    while (dns_next(&m, &r) == 1)
        if (writable(&r))
            dns_put_record(&w, &r);
    if (!dns_end(&w) || w.full)
        return;
    CHECK(dns_open(&again, buf_str(out)) == 0);
    CHECK(dns_name_eq(&again.question.name, &first.question.name));
    while (dns_next(&first, &r) == 1)
        if (writable(&r))
            check_same(&r, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct dns_message m;
    struct dns_record r;
    struct buf out = {0};
    char text[DNS_NAME_TEXT_MAX];
    if (dns_open(&m, bytes)) {
        CHECK(m.why);
        return 0;
    }
    check_answer(bytes, &m);
    struct dns_message first = m;
    int rc;
    size_t n = 0;
    while ((rc = dns_next(&m, &r)) == 1) {
        CHECK(dns_name_text(&r.name, text) < sizeof text);
        CHECK(n++ < size); /* a record has at least eleven bytes */
    }
    if (rc == 0)
        check_rewritten(first, &out);
    buf_free(&out);
    return 0;
}
