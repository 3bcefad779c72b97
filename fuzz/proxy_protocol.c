/* A PROXY header from anybody: what is understood lies inside the input, asks for more only when
 * more could help, and reads the same after it was written again. */
#include <stddef.h>
#include <stdint.h>

#include "wire/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every shorter input asks for more, or is refused at once: never something else than the whole
 * says. */
static void check_prefixes(const char *p, size_t n, const struct proxy_header *whole)
{
    for (size_t cut = 0; cut < n; cut += 1 + n / 16) {
        struct proxy_header h;
        const char *why;
        int r = proxy_header_parse(p, cut, &h, &why);
        CHECK(r == PROXY_MORE || (r == PROXY_DONE && h.bytes == whole->bytes));
    }
}

static void check_rewritten(const struct proxy_header *h)
{
    char out[PROXY_HEADER_WRITTEN_MAX];
    struct proxy_header again;
    const char *why;
    size_t n = proxy_header_write(h->version, &h->from, &h->to, out);
    CHECK(n > 0 && n <= sizeof out);
    CHECK(proxy_header_parse(out, n, &again, &why) == PROXY_DONE && again.bytes == n);
    bool both = h->from.kind != ADDR_NONE && h->from.kind == h->to.kind;
    if (!h->local && both)
        CHECK(addr_eq(&h->from, &again.from) && addr_eq(&h->to, &again.to));
    if (!h->hop || h->from.kind == ADDR_UNIX)
        return;
    n = proxy_header_write_hop(&h->from, &h->to, h->hop_flags, out);
    CHECK(n <= sizeof out && proxy_header_parse(out, n, &again, &why) == PROXY_DONE);
    CHECK(again.bytes == n && again.hop && again.hop_flags == h->hop_flags);
    CHECK(addr_eq(&h->from, &again.from) && addr_eq(&h->to, &again.to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header h;
    const char *why = NULL;
    int r = proxy_header_parse((const char *)data, size, &h, &why);
    CHECK(r == PROXY_MORE || r == PROXY_DONE || (r == PROXY_REFUSED && why));
    CHECK(r != PROXY_MORE || size < PROXY_HEADER_MAX);
    if (r != PROXY_DONE)
        return 0;
    CHECK(h.bytes > 0 && h.bytes <= size && h.bytes <= PROXY_HEADER_MAX);
    check_prefixes((const char *)data, size, &h);
    check_rewritten(&h);
    return 0;
}
