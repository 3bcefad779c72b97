/* What a member of etcd answers to the questions of etcd_members.h, read. Fields that are absent
 * are zero, as protobuf's JSON leaves them out then; 64-bit numbers are strings, and may be
 * numbers. */
#include "coord/etcd_members.h"
#include "coord/etcd_scan.h"

static int broken(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTO, "that is not how etcd answers: %s", what);
}

static bool read_u64(struct str object, const char *name, uint64_t *out)
{
    struct str text = scan_get(object, name);
    *out = 0;
    if (!text.p)
        return true;
    (void)scan_string(text, &text);
    return str_u64(text, UINT64_MAX, out);
}

static bool read_text(struct str object, const char *name, char *out, size_t size)
{
    struct str text = scan_get(object, name);
    *out = 0;
    if (!text.p)
        return true;
    if (!scan_string(text, &text) || text.n >= size)
        return false;
    str_copy(out, size, text);
    return true;
}

static bool read_header(struct str root, struct etcd_told *out)
{
    struct str v = scan_get(root, "header");
    return !v.p ||
           (scan_is_object(v) && read_u64(v, "cluster_id", &out->cluster) &&
            read_u64(v, "member_id", &out->member) && read_u64(v, "revision", &out->revision) &&
            read_u64(v, "raft_term", &out->term));
}

static bool has(struct str text, struct str part)
{
    return text.n >= part.n && memmem(text.p, text.n, part.p, part.n);
}

/* Alarms stand among its errors, in words: "memberID:3319814642761637952 alarm:NOSPACE ". */
static bool read_errors(struct str root, struct etcd_told *out)
{
    struct str list = scan_get(root, "errors"), at = {NULL, 0};
    if (list.p && !scan_is_array(list))
        return false;
    while (list.p && scan_next(list, &at)) {
        out->no_space |= has(at, STR("NOSPACE"));
        out->corrupt |= has(at, STR("CORRUPT"));
    }
    return true;
}

static bool read_status(struct str root, struct etcd_told *out)
{
    uint64_t term;
    bool good =
        read_u64(root, "leader", &out->leader) && read_u64(root, "raftTerm", &term) &&
        read_u64(root, "raftAppliedIndex", &out->applied) &&
        read_u64(root, "dbSize", &out->bytes) && read_u64(root, "dbSizeInUse", &out->used) &&
        read_text(root, "version", out->version, sizeof out->version) && read_errors(root, out);
    out->learner = scan_is_true(scan_get(root, "isLearner"));
    out->term = good && term ? term : out->term;
    return good;
}

static bool read_member(struct str value, struct etcd_member *m)
{
    struct str urls = scan_get(value, "peerURLs"), first = {NULL, 0};
    *m = (struct etcd_member){.learner = scan_is_true(scan_get(value, "isLearner"))};
    if (!read_u64(value, "ID", &m->id) || !read_text(value, "name", m->name, sizeof m->name))
        return false;
    if (!urls.p || !scan_next(urls, &first))
        return true;
    if (!scan_string(first, &first) || first.n >= sizeof m->peer)
        return false;
    str_copy(m->peer, sizeof m->peer, first);
    return true;
}

static bool read_members(struct str root, struct etcd_told *out)
{
    struct str list = scan_get(root, "members"), at = {NULL, 0}, added = scan_get(root, "member");
    if (list.p && !scan_is_array(list))
        return false;
    while (list.p && scan_next(list, &at))
        if (out->n == ETCD_MEMBERS_MAX || !scan_is_object(at) ||
            !read_member(at, &out->members[out->n++]))
            return false;
    return !added.p || (scan_is_object(added) && read_u64(added, "ID", &out->added));
}

static bool read_alarm(struct str alarm, struct etcd_told *out)
{
    struct str kind = scan_get(alarm, "alarm");
    uint64_t id;
    if (!scan_is_object(alarm) || !read_u64(alarm, "memberID", &id) || !scan_string(kind, &kind))
        return false;
    out->corrupt |= str_eq(kind, STR("CORRUPT"));
    if (!str_eq(kind, STR("NOSPACE")))
        return true;
    out->no_space = true;
    if (out->n_full == ETCD_MEMBERS_MAX)
        return false;
    out->full[out->n_full++] = id;
    return true;
}

static bool read_alarms(struct str root, struct etcd_told *out)
{
    struct str list = scan_get(root, "alarms"), at = {NULL, 0};
    if (list.p && !scan_is_array(list))
        return false;
    while (list.p && scan_next(list, &at))
        if (!read_alarm(at, out))
            return false;
    return true;
}

int etcd_read_told(enum etcd_question q, struct str body, struct etcd_told *out, struct err *e)
{
    struct str root;
    bool good = true;
    *out = (struct etcd_told){0};
    if (!scan_value(body, false, &root) || !scan_is_object(root))
        return broken(e, "it is no JSON object");
    if (!read_header(root, out))
        return broken(e, "a number in its header is none");
    switch (q) {
    case ETCD_STATUS: good = read_status(root, out); break;
    case ETCD_LIST:
    case ETCD_ADD:
    case ETCD_PROMOTE:
    case ETCD_REMOVE: good = read_members(root, out); break;
    case ETCD_ALARMS:
    case ETCD_DISARM: good = read_alarms(root, out); break;
    case ETCD_LEAD:
    case ETCD_COMPACT:
    case ETCD_DEFRAGMENT:
    case ETCD_QUESTIONS: break;
    }
    return good ? 0 : broken(e, "a field of it is something else");
}
