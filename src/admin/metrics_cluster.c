/* The metrics of the cluster and of the mesh that carries it. A node that is alone has none. */
#include "admin/exposition.h"
#include "admin/inside.h"

static const struct labels no_labels;

static struct labels node_labels(const struct admin_member *m)
{
    return (struct labels){{{"node", m->name}}, 1};
}

static struct labels with(struct labels l, const char *name, const char *value)
{
    CHECK(l.n < LABELS_MAX);
    l.list[l.n++] = (struct label){name, str_of(value)};
    return l;
}

static void member_families(struct exposition *x, const struct admin_cluster *k)
{
    exposition_family(x, "holdfast_member_state", METRIC_GAUGE,
                      "What this node thinks of a member: 1 for the state that holds.");
    for (uint32_t i = 0; i < k->n; i++)
        for (unsigned s = 0; s < MEMBER_STATES; s++) {
            struct labels l =
                with(node_labels(&k->members[i]), "state", member_state_name((enum member_state)s));
            exposition_count(x, &l, k->members[i].info.state == s);
        }
    exposition_family(x, "holdfast_member_maintenance", METRIC_GAUGE,
                      "1 while nothing on the member is judged failed.");
    for (uint32_t i = 0; i < k->n; i++) {
        struct labels l = node_labels(&k->members[i]);
        exposition_count(x, &l, k->members[i].info.maintenance);
    }
    exposition_family(x, "holdfast_member_rtt_seconds", METRIC_GAUGE,
                      "Smoothed round trip to the member, as far as it is known.");
    for (uint32_t i = 0; i < k->n; i++) {
        struct labels l = node_labels(&k->members[i]);
        if (k->members[i].info.rtt)
            exposition_ns(x, &l, k->members[i].info.rtt);
    }
}

static void both_directions(struct exposition *x, const char *name, const char *help, uint64_t sent,
                            uint64_t received)
{
    exposition_family(x, name, METRIC_COUNTER, help);
    struct labels l = with(no_labels, "direction", "sent");
    exposition_count(x, &l, sent);
    l = with(no_labels, "direction", "received");
    exposition_count(x, &l, received);
}

static void mesh_families(struct exposition *x, const struct admin_mesh_counts *c)
{
    both_directions(x, "holdfast_mesh_datagrams_total", "Datagrams between nodes.", c->sent,
                    c->received);
    both_directions(x, "holdfast_mesh_bytes_total", "Bytes of these datagrams.", c->sent_bytes,
                    c->received_bytes);
    exposition_family(x, "holdfast_mesh_refused_total", METRIC_COUNTER,
                      "Datagrams that were refused, by reason; they changed nothing.");
    for (uint32_t i = 0; i < c->n_refused; i++) {
        struct labels l = with(no_labels, "reason", c->refused[i].reason);
        exposition_count(x, &l, c->refused[i].n);
    }
    exposition_family(x, "holdfast_mesh_links", METRIC_GAUGE,
                      "Encrypted streams to other nodes that are up.");
    exposition_count(x, &no_labels, c->links);
    exposition_family(x, "holdfast_mesh_real_time", METRIC_GAUGE,
                      "1 while heartbeats come before all ordinary work of this machine.");
    exposition_count(x, &no_labels, c->real_time);
}

void metrics_cluster(struct admin *a, struct exposition *x)
{
    struct admin_cluster k;
    struct err e = {0};
    if (!cluster_picture(a, &k, &e)) {
        x->out->failed |= e.code != -ERR_ABSENT;
        admin_cluster_free(&k);
        return;
    }
    member_families(x, &k);
    mesh_families(x, &k.mesh);
    exposition_family(x, "holdfast_node_health", METRIC_GAUGE,
                      "How late this node's own timers run: 1 well, to 8; it suspects others that "
                      "much later.");
    exposition_count(x, &no_labels, k.health);
    exposition_family(x, "holdfast_node_isolated", METRIC_GAUGE,
                      "1 while this node hears too few others to agree with anybody.");
    exposition_count(x, &no_labels, k.isolated);
    admin_cluster_free(&k);
}
