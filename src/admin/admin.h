/* admin: the API that operators and scripts use: JSON over HTTP/1.1 on the node's Unix socket, and
 * Prometheus text.
 *
 * Lives in control. All routes are versioned under /v1; docs/admin-api.md is the reference.
 *
 *   GET  /v1/status                                   services, instances, processes, epoch
 *   GET  /v1/events?after=SEQ&wait=SECONDS            events with a higher sequence number; waits
 * (long poll) when there is none POST /v1/reload                                   reads the
 * configuration file again; 200 with the changes, or 422 with every error POST
 * /v1/services/NAME/instances/NAME/drain       no new requests; idempotent POST
 * /v1/services/NAME/instances/NAME/resume GET  /metrics Prometheus text format 0.0.4; alone on the
 * optional TCP listener */
#ifndef HF_ADMIN_H
#define HF_ADMIN_H

struct admin;

#endif
