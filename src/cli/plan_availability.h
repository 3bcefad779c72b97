/* plan_availability: `holdfast plan --availability`: the arithmetic of detect/availability.h, asked
 * and answered on the command line. Needs no node. */
#ifndef HF_CLI_PLAN_AVAILABILITY_H
#define HF_CLI_PLAN_AVAILABILITY_H

#include "cli/cli.h"

struct availability_options {
    const char *mtbf, *repair, *detect, *failover, *data_mtbf, *resync, *lag; /* durations */
    const char *copies, *voters, *sync;                                       /* counts */
};

#define AVAILABILITY_OPTION(T, NAME, FIELD, VALUE, HELP)                                           \
    {                                                                                              \
        NAME, 0, VALUE, HELP, OPTION_TEXT, offsetof(T, availability_options.FIELD)                 \
    }
#define AVAILABILITY_OPTIONS(T)                                                                    \
    AVAILABILITY_OPTION(T, "mtbf", mtbf, "TIME", "between failures of a node (90d)"),              \
        AVAILABILITY_OPTION(T, "repair", repair, "TIME", "until it is back (4h)"),                 \
        AVAILABILITY_OPTION(T, "copies", copies, "COUNT", "nodes that have the service (3)"),      \
        AVAILABILITY_OPTION(T, "voters", voters, "COUNT", "nodes that vote (3)"),                  \
        AVAILABILITY_OPTION(T, "sync", sync, "COUNT", "replicas a write waits for (1)"),           \
        AVAILABILITY_OPTION(T, "detect", detect, "TIME", "until a failure is agreed (350ms)"),     \
        AVAILABILITY_OPTION(T, "failover", failover, "TIME", "until another serves (100ms)"),      \
        AVAILABILITY_OPTION(T, "data-mtbf", data_mtbf, "TIME",                                     \
                            "between losses of a node's data (the mtbf)"),                         \
        AVAILABILITY_OPTION(T, "resync", resync, "TIME", "until a new copy is whole (1h)"),        \
        AVAILABILITY_OPTION(T, "lag", lag, "TIME", "of replicas, with sync 0 (1s)")

/* Whether any of them was given. */
bool plan_availability_asked(const struct availability_options *o);
/* An exit code. */
int plan_availability(const struct availability_options *o, bool json);

#endif
