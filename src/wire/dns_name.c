/* Names of the domain name system: text, wire, comparison. */
#include "wire/dns.h"

#include <stdio.h>

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool dns_name_parse(struct str text, struct dns_name *out)
{
    struct dns_name name = {0};
    size_t at = 1, label = 0; /* label: where its length goes */
    if (text.n && text.p[text.n - 1] == '.')
        text.n--;
    if (text.n == 0 || text.n > DNS_NAME_MAX - 2)
        return false;
    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && text.p[i] != '.') {
            if (!is_host_char(text.p[i]))
                return false;
            name.bytes[at++] = (uint8_t)text.p[i];
            continue;
        }
        size_t n = at - label - 1;
        if (n == 0 || n > DNS_LABEL_MAX)
            return false;
        name.bytes[label] = (uint8_t)n;
        label = at++;
    }
    name.n = (uint8_t)at; /* the byte at `label` is the empty label */
    *out = name;
    return true;
}

size_t dns_name_text(const struct dns_name *n, char out[DNS_NAME_TEXT_MAX])
{
    size_t at = 0;
    for (size_t i = 0; i < n->n && n->bytes[i];) {
        size_t end = i + 1 + n->bytes[i];
        if (at)
            out[at++] = '.';
        for (i++; i < end && i < n->n; i++) {
            uint8_t c = n->bytes[i];
            if (c > 0x20 && c < 0x7f && c != '.' && c != '\\')
                out[at++] = (char)c;
            else
                at += (size_t)snprintf(out + at, DNS_NAME_TEXT_MAX - at, "\\%03u", c);
        }
    }
    if (at == 0)
        out[at++] = '.';
    out[at] = 0;
    return at;
}

/* A length is at most 63 and so never changed by this. */
static uint8_t small(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (small(a->bytes[i]) != small(b->bytes[i]))
            return false;
    return true;
}

static const struct {
    uint16_t number;
    const char *name;
} types[] = {{DNS_A, "A"},     {DNS_NS, "NS"},   {DNS_CNAME, "CNAME"}, {DNS_SOA, "SOA"},
             {DNS_PTR, "PTR"}, {DNS_TXT, "TXT"}, {DNS_AAAA, "AAAA"},   {DNS_SRV, "SRV"},
             {DNS_OPT, "OPT"}, {DNS_ANY, "ANY"}};

const char *dns_type_name(unsigned type)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].number == type)
            return types[i].name;
    return "?";
}

const char *dns_rcode_name(unsigned rcode)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                        "NXDOMAIN", "NOTIMP",  "REFUSED"};
    return rcode < ARRAY_LEN(names) ? names[rcode] : "an error";
}
