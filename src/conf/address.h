/* address: where a service listens and where a backend is reached, from a value. Inside this room
 * only. False after a problem was reported. */
#ifndef HF_CONF_ADDRESS_H
#define HF_CONF_ADDRESS_H

#include "conf/tree.h"

/* "http://0.0.0.0:8080", "http://[::]:8080", "http://unix:/run/x.sock"; port 80 if none is given.
 * "tcp://0.0.0.0:5432": the same forms, but a port must be given. */
bool address_listen(struct conf *c, const struct value *v, enum view_mode *mode, struct addr *out);
/* "10.0.0.1:3000", "[2001:db8::1]:3000", "unix:/run/x.sock", "localhost:3000"; the same default.
 * Or a name to be looked up: "api.internal:8080", "srv:_http._tcp.api.internal". */
struct address_backend {
    struct addr addr; /* kind ADDR_NONE: a name */
    struct str name;  /* in the value */
    bool srv;         /* its records have the ports */
    uint16_t port;
};
bool address_backend(struct conf *c, const struct value *v, struct address_backend *out);
/* "10.0.0.53", "[::1]:5353"; port 53 if none is given. */
bool address_nameserver(struct conf *c, const struct value *v, struct addr *out);
/* "10.0.0.1", "[fd00::1]:7301": of a node, where others can reach it; the port if none is given.
 */
bool address_node(struct conf *c, const struct value *v, uint16_t port, struct addr *out);
/* An absolute path of a directory, as one of a file. */
bool address_directory(struct conf *c, const struct value *v, struct addr *out);
/* An absolute path that fits struct addr, which is how a view names files. */
bool address_file(struct conf *c, const struct value *v, struct addr *out);

#endif
