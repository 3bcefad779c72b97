/* Any bytes as a view: as they are, and with their hash repaired, so that what lies behind it is
 * reached. What is accepted is what every reader relies on, and encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "view/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HASH = 8 };

static void check_view(struct view *v, struct str from)
{
    struct buf again = {0};
    CHECK(view_verify(v, NULL) == 0);
    view_encode(v, &again);
    CHECK(!again.failed && again.n == from.n && memcmp(again.p, from.p, from.n) == 0);
    buf_free(&again);
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        CHECK(view_service_find(v, s->name) == s);
        for (uint32_t k = 0; k < s->n_sockets; k++)
            CHECK(v->sockets[s->sockets[k]].use ==
                  (s->mode == VIEW_TCP ? SOCKET_TCP : SOCKET_HTTP));
        for (uint32_t k = 0; k < s->n_instances; k++)
            CHECK(s->instances[k].slot < VIEW_MAX_SLOTS);
    }
    CHECK(view_assign_slots(v, NULL, NULL) == 0);
    v->epoch = 1;
    CHECK(view_verify(v, NULL) == 0);
}

static void decode(struct str bytes)
{
    struct view *v = NULL;
    struct err e = {0};
    int rc = view_decode(bytes, &v, &e);
    CHECK((rc == 0) == (v != NULL));
    CHECK(rc == 0 || e.text[0]);
    if (v)
        check_view(v, bytes);
    view_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf repaired = {0};
    decode((struct str){(const char *)data, size});
    if (size < HASH)
        return 0;
    buf_add(&repaired, data, size - HASH);
    put_u64(&repaired, str_hash(buf_str(&repaired)));
    CHECK(!repaired.failed);
    decode(buf_str(&repaired));
    buf_free(&repaired);
    return 0;
}
