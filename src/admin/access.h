/* access: who comes in over TCP, and what they may do.
 *
 * A request brings a bearer token (RFC 6750, 2.1); its SHA-256 is compared with those of the view
 * in force, all of them, in constant time. A token that a reload takes away is refused from then
 * on. Secrets are random and long, so that guessing is hopeless; that it is also slow and seen is
 * what the table of attempts is for: after ACCESS_TRIES refusals within ACCESS_WINDOW an address is
 * refused unheard for as long again, and an event tells. The table is bounded: the address that was
 * refused longest ago makes room. Owned by admin, used on its loop. */
#ifndef HF_ADMIN_ACCESS_H
#define HF_ADMIN_ACCESS_H

#include "os/os.h"
#include "view/view.h"

enum { ACCESS_ADDRESSES = 256, ACCESS_TRIES = 10 };
#define ACCESS_WINDOW (10 * NS_PER_S)

struct attempts {
    struct addr from;
    uint64_t since; /* ns, of the first refusal that counts; 0: free */
    uint32_t refused;
};

struct access {
    struct attempts list[ACCESS_ADDRESSES];
};

/* True when this address was refused too often just now. */
bool access_barred(const struct access *a, const struct addr *from, uint64_t now);
/* Remembers a refusal. True when it was the one too many. */
bool access_refused(struct access *a, const struct addr *from, uint64_t now);

/* The token of an Authorization field's value, or NULL. */
const struct view_token *access_token(const struct view *v, struct str authorization);
/* The name of a Unix user by /etc/passwd; false when it does not say. */
bool access_user_name(unsigned uid, char *out, size_t size);
/* "read, drain", or "none" */
void access_rights_text(uint32_t rights, struct buf *out);

#endif
