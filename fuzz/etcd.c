/* What etcd's gateway answers, or whatever is at its address: the first byte says to what question.
 * What is accepted keeps its promises: keys that were asked for, in order, inside of what was
 * allocated. */
#include <stddef.h>
#include <stdint.h>

#include "coord/etcd_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct etcd_scope SCOPE = {{"hf/a", 4}, 3};

static void check_items(const struct etcd_items *items)
{
    for (uint32_t i = 0; i < items->n; i++) {
        const struct coord_item *item = &items->p[i];
        const char *end = items->bytes.p + items->bytes.n;
        CHECK(item->revision && item->key.n && item->key.n <= COORD_KEY_MAX);
        CHECK(item->key.p[0] == 'a' && item->key.p + item->key.n <= end);
        CHECK(!item->value.n ||
              (item->value.p >= items->bytes.p && item->value.p + item->value.n <= end));
    }
}

static void read_range(struct str body)
{
    struct etcd_page p;
    if (etcd_read_range(body, &SCOPE, &p, NULL)) {
        CHECK(!p.items.p && !p.items.n);
        return;
    }
    check_items(&p.items);
    CHECK(p.items.n <= p.present && p.header.revision && (!p.more || p.last.n));
    etcd_items_free(&p.items);
}

static void read_line(struct str line)
{
    struct etcd_line l;
    if (etcd_read_line(line, &SCOPE, &l, NULL)) {
        CHECK(!l.changes.p);
        return;
    }
    check_items(&l.changes);
    for (uint32_t i = 0; i < l.changes.n; i++)
        CHECK(l.changes.p[i].revision <= l.newest);
    CHECK(l.kind != ETCD_LINE_ENDED || l.why.text[0]);
    etcd_items_free(&l.changes);
}

static void read_rest(struct str body)
{
    struct etcd_header h;
    struct etcd_refusal r;
    struct buf token = {0};
    bool succeeded;
    if (etcd_read_txn(body, &h, &succeeded, NULL) == 0)
        CHECK(h.revision);
    if (etcd_read_token(body, &token, NULL) == 0)
        CHECK(token.n > 1 && strlen(token.p) + 1 == token.n);
    buf_free(&token);
    etcd_read_refusal(503, body, &r);
    CHECK(r.text[0]);
    (void)etcd_meaning_of(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str rest = {(const char *)data + 1, size - 1};
    switch (data[0] % 3) {
    case 0: read_range(rest); break;
    case 1: read_line(rest); break;
    default: read_rest(rest); break;
    }
    return 0;
}
