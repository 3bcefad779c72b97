/* addr: where something listens or is reached, and its one text form. Pure: no resolver, no system
 * header.
 *
 * Text forms: "10.0.0.1:80", "[2001:db8::1]:80", "unix:/run/x.sock", "unix:@abstract". */
#ifndef HF_ADDR_H
#define HF_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum addr_kind { ADDR_NONE, ADDR_IP4, ADDR_IP6, ADDR_UNIX };

struct addr {
    uint8_t kind;   /* enum addr_kind */
    uint16_t port;  /* host order; 0 for ADDR_UNIX */
    uint8_t ip[16]; /* network order; an IPv4 address is in the first four */
    char path[108]; /* ADDR_UNIX: terminated; a leading '@' is Linux's abstract namespace */
};

enum { ADDR_TEXT_MAX = 128 };

/* Numeric addresses only. False when s is not one of the forms above, or a port is 0, missing or
 * above 65535. */
bool addr_parse(struct str s, struct addr *out);
/* Only the address, without port and brackets. Returns the length; the text is terminated. */
size_t addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* The text form above. */
size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
bool addr_eq(const struct addr *a, const struct addr *b);

#endif
