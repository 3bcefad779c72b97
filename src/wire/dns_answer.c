/* What a response answers: the records of the type asked for, wherever aliases lead. The order of
 * records says nothing, so that each alias may cost one more look at the answer. */
#include "wire/dns.h"

/* The records of the answer section, from their start; false at its end or where it is malformed.
 */
static int next_answer(struct dns_message *m, struct dns_record *r)
{
    return m->left[DNS_ANSWER] ? dns_next(m, r) : 0;
}

/* Replaces *name by the name that it is an alias of. 1: it is one; 0; -1: malformed. */
static int follow(struct dns_message m, struct dns_name *name, uint32_t *ttl, const char **why)
{
    struct dns_record r;
    int rc;
    while ((rc = next_answer(&m, &r)) > 0) {
        if (r.type != DNS_CNAME || r.class != DNS_IN || !dns_name_eq(&r.name, name))
            continue;
        *name = r.target;
        *ttl = MIN(*ttl, r.ttl);
        return 1;
    }
    *why = m.why;
    return rc;
}

static int follow_all(const struct dns_message *m, uint16_t type, struct dns_result *out,
                      const char **why)
{
    for (int i = 0; type != DNS_CNAME && i < DNS_ALIASES_MAX; i++) {
        int rc = follow(*m, &out->name, &out->ttl, why);
        if (rc <= 0)
            return rc;
    }
    return 0;
}

/* RFC 2308, section 5: how long nothing may be believed is the least of the zone's SOA record's TTL
 * and its last field. */
static int read_rest(struct dns_message *m, struct dns_result *out)
{
    struct dns_record r;
    int rc;
    bool said = false;
    uint32_t ttl = 0;
    while ((rc = dns_next(m, &r)) > 0) {
        if (r.section == DNS_AUTHORITY && r.type == DNS_SOA && !said) {
            ttl = MIN(r.ttl, r.minimum);
            said = true;
        }
    }
    if (out->found == 0)
        out->ttl = ttl;
    return rc;
}

static int open_response(struct dns_message *m, struct str bytes, uint16_t id,
                         const struct dns_question *asked, const char **why)
{
    *why = "it is no response to this question";
    if (dns_open(m, bytes)) {
        *why = m->why;
        return -1;
    }
    if (!m->head.response || m->head.opcode != 0 || m->head.id != id || m->questions != 1)
        return -1;
    return m->question.type == asked->type && m->question.class == asked->class &&
                   dns_name_eq(&m->question.name, &asked->name)
               ? 0
               : -1;
}

int dns_answer(struct str bytes, uint16_t id, const struct dns_question *asked,
               void (*found)(void *arg, const struct dns_record *r), void *arg,
               struct dns_result *out, const char **why)
{
    struct dns_message m;
    struct dns_record r;
    int rc;
    if (open_response(&m, bytes, id, asked, why))
        return -1;
    *out = (struct dns_result){.rcode = m.head.rcode,
                               .truncated = m.head.truncated,
                               .ttl = UINT32_MAX,
                               .name = asked->name};
    /* All of it is looked at before anything is handed out. */
    struct dns_message whole = m;
    if (read_rest(&whole, out)) {
        *why = whole.why;
        return -1;
    }
    uint32_t nothing = out->ttl;
    out->ttl = UINT32_MAX;
    if (follow_all(&m, asked->type, out, why))
        return -1;
    while ((rc = next_answer(&m, &r)) > 0) {
        if (r.type != asked->type || r.class != DNS_IN || !dns_name_eq(&r.name, &out->name))
            continue;
        out->ttl = MIN(out->ttl, r.ttl);
        out->found++;
        if (found)
            found(arg, &r);
    }
    CHECK(rc == 0);
    if (out->found == 0)
        out->ttl = nothing;
    return 0;
}
