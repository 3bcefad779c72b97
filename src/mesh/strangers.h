/* strangers: who was told of already. A datagram that is refused is worth a line in the log once
 * for its source and reason, and not again for a while; a flood of sources is worth no more lines
 * than the table has places. Inside this room. */
#ifndef HF_MESH_STRANGERS_H
#define HF_MESH_STRANGERS_H

#include "base/base.h"

enum { STRANGERS_MAX = 64 };
#define STRANGERS_AGAIN_NS (600ull * 1000000000)

struct strangers {
    struct stranger {
        uint8_t ip[16];
        uint8_t kind; /* enum addr_kind */
        uint8_t why;
        uint64_t told; /* ns; 0: a free place */
    } list[STRANGERS_MAX];
};
/* True when this is to be told. The port does not count: it changes too easily. */
bool strangers_tell(struct strangers *s, const struct addr *from, unsigned why, uint64_t now);

#endif
