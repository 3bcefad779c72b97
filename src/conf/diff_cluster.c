/* What changes of the cluster: its nodes first, by name, then what holds for all of them. */
#include "conf/diff.h"
#include "conf/scalar.h"

static void line(struct diff *d, const struct view_cluster *k)
{
    d->n++;
    buf_printf(d->out, "cluster " STR_FMT ": ", STR_ARG(k->name));
}

static void node_line(struct diff *d, const struct view_node *n)
{
    line(d, &d->next->cluster);
    buf_printf(d->out, "node " STR_FMT " ", STR_ARG(n->name));
}

static const char *role_name(uint8_t role)
{
    return role == NODE_WITNESS ? "witness" : "member";
}

static void text_change(struct diff *d, const struct view_node *n, const char *what, struct str a,
                        struct str b)
{
    if (str_eq(a, b))
        return;
    node_line(d, n);
    buf_printf(d->out, "%s " STR_FMT " -> " STR_FMT, what, STR_ARG(a.n ? a : STR("-")),
               STR_ARG(b.n ? b : STR("-")));
    diff_end(d);
}

static void node_changes(struct diff *d, const struct view_node *was, const struct view_node *is)
{
    char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    addr_format(&was->address, from);
    addr_format(&is->address, to);
    text_change(d, is, "address", str_of(from), str_of(to));
    text_change(d, is, "role", str_of(role_name(was->role)), str_of(role_name(is->role)));
    text_change(d, is, "zone", was->zone, is->zone);
}

static void node_added(struct diff *d, const struct view_node *n)
{
    char text[ADDR_TEXT_MAX];
    addr_format(&n->address, text);
    node_line(d, n);
    buf_printf(d->out, "added (%s%s)", text, n->role == NODE_WITNESS ? ", witness" : "");
    diff_end(d);
}

static void duration_change(struct diff *d, const char *key, uint64_t was, uint64_t is)
{
    char from[SCALAR_TEXT_MAX], to[SCALAR_TEXT_MAX];
    if (was == is)
        return;
    line(d, &d->next->cluster);
    buf_printf(d->out, "%s %s -> %s", key, scalar_duration_text(was, from),
               scalar_duration_text(is, to));
    diff_end(d);
}

static void path_change(struct diff *d, const char *key, struct str was, struct str is)
{
    if (str_eq(was, is))
        return;
    line(d, &d->next->cluster);
    buf_printf(d->out, "%s " STR_FMT " -> " STR_FMT, key, STR_ARG(was.n ? was : STR("-")),
               STR_ARG(is.n ? is : STR("-")));
    diff_end(d);
}

static void print_coordinator(const struct view_coordinator *k, struct buf *out)
{
    static const char *const names[COORDINATOR_KINDS] = {[COORDINATOR_LOCAL] = "local",
                                                         [COORDINATOR_NONE] = "none",
                                                         [COORDINATOR_MANAGED] = "managed"};
    if (k->kind != COORDINATOR_EXTERNAL)
        buf_printf(out, "%s", names[k->kind]);
    for (uint32_t i = 0; i < k->n_endpoints; i++)
        buf_printf(out, "%s" STR_FMT, i ? ", " : "", STR_ARG(k->endpoints[i]));
}

static void print_voters(const struct view_cluster *k, struct buf *out)
{
    const char *before = "";
    if (k->n_voters == 0)
        buf_printf(out, "chosen");
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        if (!k->nodes[i].votes)
            continue;
        buf_printf(out, "%s" STR_FMT, before, STR_ARG(k->nodes[i].name));
        before = ", ";
    }
}

/* A line for what is written differently than it was. */
static void text_line(struct diff *d, const char *key, const struct buf *was, const struct buf *is)
{
    if (was->failed || is->failed)
        d->out->failed = true;
    else if (!str_eq(buf_str(was), buf_str(is))) {
        line(d, &d->next->cluster);
        buf_printf(d->out, "%s " STR_FMT " -> " STR_FMT, key, STR_ARG(buf_str(was)),
                   STR_ARG(buf_str(is)));
        diff_end(d);
    }
}

static void coordination(struct diff *d, const struct view_cluster *was,
                         const struct view_cluster *is)
{
    const struct view_coordinator *a = &was->coordinator, *b = &is->coordinator;
    struct buf from = {0}, to = {0};
    print_coordinator(a, &from);
    print_coordinator(b, &to);
    text_line(d, "coordinator", &from, &to);
    buf_clear(&from);
    buf_clear(&to);
    print_voters(was, &from);
    print_voters(is, &to);
    text_line(d, "voters", &from, &to);
    buf_free(&from);
    buf_free(&to);
    path_change(d, "coordinator-ca", a->ca_file, b->ca_file);
    path_change(d, "coordinator-cert", a->cert_file, b->cert_file);
    path_change(d, "coordinator-key", a->key_file, b->key_file);
    path_change(d, "coordinator-user", a->user, b->user);
    path_change(d, "coordinator-password", a->password_file, b->password_file);
}

static void settings(struct diff *d, const struct view_cluster *was, const struct view_cluster *is)
{
    duration_change(d, "heartbeat", was->heartbeat, is->heartbeat);
    duration_change(d, "suspect-after", was->suspect_after, is->suspect_after);
    duration_change(d, "lease", was->lease, is->lease);
    duration_change(d, "demotion", was->demotion, is->demotion);
    path_change(d, "key", was->key_file, is->key_file);
    coordination(d, was, is);
}

static void appears(struct diff *d)
{
    const struct view_cluster *k = &d->next->cluster;
    line(d, k);
    buf_printf(d->out, "added, %u node%s, this one is " STR_FMT, k->n_nodes,
               k->n_nodes == 1 ? "" : "s", STR_ARG(k->nodes[k->self].name));
    diff_end(d);
}

void diff_cluster(struct diff *d)
{
    const struct view_cluster *was = &d->now->cluster, *is = &d->next->cluster;
    bool same = str_eq(was->name, is->name);
    if (was->n_nodes && !same) {
        line(d, was);
        buf_printf(d->out, "removed");
        diff_end(d);
    }
    if (is->n_nodes && !same)
        appears(d);
    if (!same || is->n_nodes == 0)
        return;
    for (uint32_t i = 0; i < was->n_nodes; i++) {
        if (view_node_find(d->next, was->nodes[i].name))
            continue;
        node_line(d, &was->nodes[i]);
        buf_printf(d->out, "removed");
        diff_end(d);
    }
    for (uint32_t i = 0; i < is->n_nodes; i++) {
        const struct view_node *old = view_node_find(d->now, is->nodes[i].name);
        if (old)
            node_changes(d, old, &is->nodes[i]);
        else
            node_added(d, &is->nodes[i]);
    }
    settings(d, was, is);
}
