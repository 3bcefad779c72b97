/* etcd_meaning: what can be relied on when etcd refuses.
 *
 * The question is always the same: can a transaction that was refused so have been carried out, or
 * be carried out yet? When in doubt it can (ETCD_UNSURE). A row says "no" only where etcd's source
 * (3.4; named in the reason) gives that answer before it proposes anything to the others, or when
 * every member refuses while it applies. */
#include "coord/etcd_json.h"

static const struct {
    const char *text; /* part of what it says */
    enum etcd_meaning meaning;
} BY_TEXT[] = {
    /* Said after the proposal went out: it may be decided later. */
    {"etcdserver: request timed out",
     ETCD_UNSURE},                                /* also with ", possibly due to ..." behind it */
    {"etcdserver: leader changed", ETCD_UNSURE},  /* while it waited for what it proposed */
    {"etcdserver: server stopped", ETCD_UNSURE},  /* the same, while it went down */
    {"etcdserver: corrupt cluster", ETCD_UNSURE}, /* one member refuses to apply; others do not */
    {"context canceled", ETCD_UNSURE},            /* the gateway gave up waiting */
    {"context deadline exceeded", ETCD_UNSURE},
    {"transport is closing", ETCD_UNSURE}, /* between the gateway and its own server */

    /* The quota is looked at before proposing, and again by every member when it applies. */
    {"mvcc: database space exceeded", ETCD_REFUSED},
    /* Sizes are looked at before proposing. The gateway says "larger than max" of what it sends
     * and of what it gets; an answer to a transaction of ours is small, so only ranges take the
     * second sense. */
    {"etcdserver: request is too large", ETCD_REFUSED},
    {"received message larger than max", ETCD_TOO_MUCH},
    {"trying to send message larger than max", ETCD_TOO_MUCH},
    /* Refused before proposing: too much is committed and not applied yet. */
    {"etcdserver: too many requests", ETCD_ELSEWHERE},
    /* Raft took it neither to its log nor to another's: no leader, or one that hands over. */
    {"raft proposal dropped", ETCD_ELSEWHERE},
    /* Said by the interceptors before the request is looked at. */
    {"etcdserver: no leader", ETCD_ELSEWHERE},
    {"etcdserver: not capable", ETCD_ELSEWHERE},
    {"etcdserver: rpc not supported for learner", ETCD_ELSEWHERE},
    /* Before proposing; the second and third by every member when it applies. */
    {"etcdserver: invalid auth token", ETCD_TOKEN},
    {"etcdserver: revision of auth store is old", ETCD_TOKEN},
    {"etcdserver: auth token is not provided", ETCD_TOKEN},
    {"etcdserver: user name is empty", ETCD_TOKEN}, /* authentication was enabled meanwhile */
    {"etcdserver: permission denied", ETCD_REFUSED},
    {"etcdserver: authentication failed", ETCD_REFUSED},
    {"etcdserver: authentication is not enabled", ETCD_REFUSED},
    {"mvcc: required revision has been compacted", ETCD_COMPACTED},
    /* Linearizable reads never ask for it, but a page may reach a member that is behind. */
    {"mvcc: required revision is a future revision", ETCD_ELSEWHERE},
};

/* google.golang.org/grpc/codes: what is not among the texts. */
static const struct {
    unsigned grpc;
    enum etcd_meaning meaning;
} BY_CODE[] = {
    {3, ETCD_REFUSED},  /* InvalidArgument: the request itself; never after an effect */
    {7, ETCD_REFUSED},  /* PermissionDenied */
    {9, ETCD_REFUSED},  /* FailedPrecondition */
    {11, ETCD_REFUSED}, /* OutOfRange */
    {12, ETCD_REFUSED}, /* Unimplemented */
    {16, ETCD_TOKEN},   /* Unauthenticated */
};

enum etcd_meaning etcd_meaning_of(const struct etcd_refusal *r)
{
    for (size_t i = 0; i < ARRAY_LEN(BY_TEXT); i++)
        if (strstr(r->text, BY_TEXT[i].text))
            return BY_TEXT[i].meaning;
    for (size_t i = 0; i < ARRAY_LEN(BY_CODE); i++)
        if (r->grpc && r->grpc == BY_CODE[i].grpc)
            return BY_CODE[i].meaning;
    /* Not etcd's own words: a server without such a path, or something between us and it. */
    if (!r->grpc && (r->http == 404 || r->http == 405))
        return ETCD_ELSEWHERE;
    if (!r->grpc && r->http == 401)
        return ETCD_TOKEN;
    return ETCD_UNSURE;
}
