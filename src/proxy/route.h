/* route: which route takes a request, and where it leads. Pure.
 *
 * Routes are tried in their order, the first whose conditions all hold takes the request. Paths are
 * compared in normal form (RFC 3986, 6.2.2: unreserved characters decoded, dot segments removed;
 * and runs of '/' as one), so that "/a/../admin" and "/%61dmin" do not go round a rule for
 * "/admin"; what is sent on is what came, unless the route rewrites it. */
#ifndef HF_PROXY_ROUTE_H
#define HF_PROXY_ROUTE_H

#include "view/view.h"
#include "wire/http1.h"

/* What conditions look at. Points into the head, and into the caller's scratch. */
struct route_request {
    const struct http_head *head;
    struct str host;  /* without its port and a last dot, as received */
    struct str path;  /* in normal form, without the query */
    struct str query; /* without the '?'; .p is NULL when there is none */
};

/* scratch holds at least as many bytes as head->path has, plus one. */
void route_look(const struct http_head *h, char *scratch, struct route_request *out);
/* NULL: none takes it. *rest is what of the path follows the part that matched. */
const struct view_route *route_find(const struct view_service *s, const struct route_request *q,
                                    struct str *rest);
/* Which of the route's targets; `draw` is any number, evenly distributed. The index of a service in
 * the view; -1 when the route has no targets. */
int route_target(const struct view_route *r, uint64_t draw);

/* What a placeholder stands for. */
struct route_values {
    const struct route_request *request;
    struct str client, rest, service, route, request_id;
};
/* Appends the text with its placeholders replaced; a text without any is copied. Control characters
 * from the request never get in: they are left out. */
void route_expand(struct str text, const struct route_values *v, struct buf *out);
/* Appends the target that is sent on: rewrite, then rest, then the query. */
void route_rewrite(const struct view_route *r, const struct route_request *q, struct str rest,
                   struct buf *out);

#endif
