#include "proxy/round.h"

#include <stdio.h>

static bool next_line(struct str *rest, struct str *line)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    size_t whole = n + (end != NULL);
    *line = (struct str){rest->p, n > 0 && rest->p[n - 1] == '\r' ? n - 1 : n};
    rest->p += whole;
    rest->n -= whole;
    return true;
}

static bool cut(struct str *rest, char at, struct str *part)
{
    const char *end = rest->n ? memchr(rest->p, at, rest->n) : NULL;
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    *part = (struct str){rest->p, n};
    rest->p += n + (end != NULL);
    rest->n -= n + (end != NULL);
    return part->n > 0;
}

/* "ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0" */
static bool read_replica(struct str value, struct round_replica *out)
{
    struct str field, ip = {0}, port = {0};
    bool online = false, offset = false;
    char text[ADDR_TEXT_MAX];
    while (cut(&value, ',', &field)) {
        struct str name;
        cut(&field, '=', &name);
        if (str_eq(name, STR("ip")))
            ip = field;
        else if (str_eq(name, STR("port")))
            port = field;
        else if (str_eq(name, STR("state")))
            online = str_eq(field, STR("online"));
        else if (str_eq(name, STR("offset")))
            offset = str_u64(field, UINT64_MAX, &out->offset);
    }
    bool six = ip.n && memchr(ip.p, ':', ip.n);
    if (!online || !offset || ip.n == 0 || ip.n > 46 || port.n == 0 || port.n > 5)
        return false;
    snprintf(text, sizeof text, six ? "[" STR_FMT "]:" STR_FMT : STR_FMT ":" STR_FMT, STR_ARG(ip),
             STR_ARG(port));
    return addr_parse(str_of(text), &out->addr);
}

static bool is_replica(struct str name)
{
    uint64_t number;
    return name.n > 5 && memcmp(name.p, "slave", 5) == 0 &&
           str_u64((struct str){name.p + 5, name.n - 5}, UINT32_MAX, &number);
}

bool round_read(struct str info, struct round_picture *out)
{
    struct str line, name;
    bool role = false, offset = false;
    *out = (struct round_picture){0};
    while (next_line(&info, &line)) {
        cut(&line, ':', &name);
        if (str_eq(name, STR("role"))) {
            role = true;
            out->primary = str_eq(line, STR("master"));
        } else if (str_eq(name, STR("master_repl_offset"))) {
            offset = str_u64(line, UINT64_MAX, &out->offset);
        } else if (out->n < GATE_PLACES && is_replica(name) &&
                   read_replica(line, &out->replicas[out->n])) {
            out->n++;
        }
    }
    return role && offset;
}

uint16_t round_acknowledged(const struct round_picture *p, const struct round_places *places,
                            uint16_t insync, uint64_t offset)
{
    uint16_t found = 0;
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < places->n && k < GATE_PLACES; k++) {
            bool counts = (insync >> k & 1) && (int)k != places->self;
            if (counts && p->replicas[i].offset >= offset &&
                addr_eq(&p->replicas[i].addr, &places->at[k]))
                found |= (uint16_t)(1u << k);
        }
    return found;
}
