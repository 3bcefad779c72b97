#include "cli/stand_in.h"
#include "conf/conf.h"
#include "daemon/daemon.h"
#define WEAK __attribute__((weak))
WEAK int proxy_main(int argc, char **argv)
{
    return 1;
}
WEAK int control_main(int argc, char **argv)
{
    return 1;
}
WEAK int supervisor_run(const struct run_options *o, struct err *e)
{
    return err_set(e, ERR_INVAL, "not yet");
}
WEAK int conf_load(const char *path, const struct conf_env *env, struct view **out,
                   struct conf_problems *problems, struct err *e)
{
    return err_set(e, ERR_INVAL, "not yet");
}
WEAK void conf_problems_free(struct conf_problems *p)
{
}
WEAK void conf_problem_print(const struct conf_problem *p, bool colour, struct buf *out)
{
}
WEAK void conf_problems_print(const struct conf_problems *p, bool colour, struct buf *out)
{
}
WEAK struct conf_env conf_env_real(void)
{
    return (struct conf_env){0};
}
int paths_state(char out[4096], const char *given, struct err *e);
WEAK int paths_state(char out[4096], const char *given, struct err *e)
{
    str_copy(out, 4096, str_of(given ? given : "/var/lib/holdfast"));
    return 0;
}
int paths_admin_socket(struct addr *out, const char *state_dir, struct err *e);
WEAK int paths_admin_socket(struct addr *out, const char *state_dir, struct err *e)
{
    *out = (struct addr){.kind = ADDR_UNIX};
    size_t n = str_copy(out->path, sizeof out->path, str_of(state_dir));
    memcpy(out->path + n, "/admin.sock", 12);
    return 0;
}
WEAK void view_free(struct view *v)
{
}
WEAK const char *algorithm_name(enum algorithm a)
{
    return "round-robin";
}
