/* @self-check: a program that is to take over says whether it can, before anything changes.
 *
 * It is started by the supervisor that runs, with its state at descriptor 3, its view at 4, and at
 * 5 a pipe for one line: "ok VERSION" with status 0, or a sentence with status 1. It reads the
 * state as it would when it takes over, and the configuration as a start would. */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/conf.h"
#include "daemon/daemon.h"
#include "daemon/ipc.h"
#include "daemon/kept.h"
#include "daemon/paths.h"
#include "daemon/upgrade_state.h"

enum { FD_STATE = 3, FD_VIEW = 4, FD_ANSWER = 5 };

static int check_file(const char *file, const char *state, const char *node, struct err *e)
{
    struct conf_place p = {file, state, *node ? node : NULL};
    struct shared_start s = {0};
    int r = shared_conf_start(&p, &s, e);
    shared_start_free(&s);
    return r;
}

static int check_state(char state[PATHS_MAX], char node[UPGRADE_NODE_MAX], struct err *e)
{
    struct buf bytes = {0};
    struct upgrade_state st = {0};
    int r = memfd_read(FD_STATE, UPGRADE_MAX_BYTES, &bytes, e);
    if (r == 0)
        r = upgrade_state_decode(buf_str(&bytes), &st, e);
    str_copy(node, UPGRADE_NODE_MAX, str_of(st.node));
    str_copy(state, PATHS_MAX, str_of(st.state));
    upgrade_state_free(&st);
    buf_free(&bytes);
    return r;
}

/* A view of another format is no obstacle: the file is read anew then. */
static void try_view(void)
{
    struct view *v = NULL;
    if (ipc_read_view(FD_VIEW, &v, NULL) == 0)
        view_free(v);
}

int self_check_main(int argc, char **argv)
{
    struct err e = {0};
    char answer[sizeof e.text + 32], node[UPGRADE_NODE_MAX], state[PATHS_MAX];
    if (argc != 3 || strcmp(argv[1], "--file") != 0) {
        fprintf(stderr, "@self-check is started by holdfast itself: --file FILE\n");
        return 2;
    }
    int r = check_state(state, node, &e);
    if (r == 0)
        r = check_file(argv[2], state, node, &e);
    try_view();
    int n = r ? snprintf(answer, sizeof answer, "%s\n", e.text)
              : snprintf(answer, sizeof answer, "ok %s\n", HF_VERSION);
    bool told = write(FD_ANSWER, answer, (size_t)n) == n;
    return r || !told ? 1 : 0;
}
