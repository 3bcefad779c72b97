/* The world that a node's configuration is read in: the same for the supervisor, for control, for a
 * program that checks itself before an upgrade, and for `holdfast check`. */
#include "conf/conf.h"
#include "daemon/daemon.h"

struct conf_env daemon_conf_env(const char *node)
{
    struct conf_env env = conf_env_real();
    env.node = node;
    return env;
}
