/* The metrics of notifications: what was sent to whom, and what was not. */
#include "admin/exposition.h"
#include "admin/inside.h"

void metrics_notify(struct admin *a, struct exposition *x)
{
    static const struct {
        const char *name, *help;
        enum metric_type type;
        size_t offset;
    } rows[] = {
        {"holdfast_notify_sent_total", "Events that a receiver has taken.", METRIC_COUNTER,
         offsetof(struct admin_notify, sent)},
        {"holdfast_notify_failed_total", "Tries that failed.", METRIC_COUNTER,
         offsetof(struct admin_notify, failed)},
        {"holdfast_notify_held_total", "Events that came again within their time, told as one.",
         METRIC_COUNTER, offsetof(struct admin_notify, held)},
        {"holdfast_notify_dropped_total", "Events that were shed, refused or given up.",
         METRIC_COUNTER, offsetof(struct admin_notify, dropped)},
        {"holdfast_notify_waiting", "Events that wait to be sent.", METRIC_GAUGE,
         offsetof(struct admin_notify, waiting)},
    };
    struct admin_notify k;
    if (!a->host.notify || !a->host.notify(a->host.context, 0, &k))
        return; /* a family has a sample */
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        exposition_family(x, rows[r].name, rows[r].type, rows[r].help);
        for (uint32_t i = 0; a->host.notify(a->host.context, i, &k); i++) {
            struct labels l = {{{"notify", str_of(k.name)}}, 1};
            uint64_t n;
            memcpy(&n, (const char *)&k + rows[r].offset, sizeof n);
            exposition_count(x, &l, n);
        }
    }
}
