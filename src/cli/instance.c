#include "cli/instance.h"

#include "cli/cli.h"

int instance_change(const struct node_place *place, const char *name, const char *change,
                    struct reply *out)
{
    const char *slash = strchr(name, '/');
    *out = (struct reply){0};
    if (!slash || slash == name || !slash[1])
        return cli_fail(CLI_USAGE,
                        "'%s' does not name an instance: write SERVICE/INSTANCE, as in "
                        "web/10.0.0.11:3000 ('holdfast status' lists them)",
                        name);
    struct buf path = {0};
    buf_add_str(&path, STR("/v1/services/"));
    node_segment(&path, (struct str){name, (size_t)(slash - name)});
    buf_add_str(&path, STR("/instances/"));
    node_segment(&path, str_of(slash + 1));
    buf_printf(&path, "/%s", change);
    int code =
        path.failed ? cli_fail(CLI_BAD, "out of memory") : node_once(place, "POST", path.p, out);
    buf_free(&path);
    return code;
}
