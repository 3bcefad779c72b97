/* The agent as the supervisor's child: it runs where a view wants it, is replaced when it dies or
 * hangs, and ends with its supervisor. */
#include "daemon/supervisor_fixture.h"

static long agent_pid(const struct node *n, const char *life)
{
    char line[64], said[32];
    long pid = 0;
    for (uint64_t end = clock_now() + PATIENCE; clock_now() < end; breathe()) {
        tell(n, "agent", line, sizeof line);
        if (sscanf(line, "%ld %31s", &pid, said) == 2 && pid && strcmp(said, life) == 0)
            return pid;
    }
    fail_msg("the agent is: %s", line);
    return 0;
}

/* Another than `pid`, once control has heard of it. */
static long next_agent(const struct node *n, long pid)
{
    long next;
    for (uint64_t end = clock_now() + PATIENCE;
         (next = agent_pid(n, "never")) == pid && clock_now() < end;)
        breathe();
    assert_int_not_equal(next, pid);
    return next;
}

static void start_with_agent(struct node *n, const char *more)
{
    write_file(n, "http 127.0.0.1:%u\nagent 127.0.0.1:%u\n%s", n->port, pick_port(NULL), more);
    start(n);
}

static bool is_gone(long pid)
{
    for (uint64_t end = clock_now() + PATIENCE; clock_now() < end; breathe()) {
        char path[64];
        struct buf b = {0};
        snprintf(path, sizeof path, "/proc/%ld/stat", pid);
        int r = file_read(path, 4096, &b, NULL);
        bool gone = r || memmem(b.p, b.n, ") Z ", 4);
        buf_free(&b);
        if (gone)
            return true;
    }
    return false;
}

static void the_agent_runs_where_a_view_wants_it(void **state)
{
    struct node *n = *state;
    start(n);
    expect(n, "agent", "0 -");
    assert_false(logged(n, "the agent"));
    write_file(n, "http 127.0.0.1:%u\nagent 127.0.0.1:%u\n", n->port, pick_port(NULL));
    expect(n, "load", "taken 2");
    long pid = agent_pid(n, "never");
    write_file(n, "http 127.0.0.1:%u\n", n->port);
    expect(n, "load", "taken 3");
    expect_soon(n, "agent", "0 -");
    assert_true(is_gone(pid));
    assert_int_equal(stop(n), 0);
}

static void a_killed_agent_is_replaced_and_a_new_control_finds_it(void **state)
{
    struct node *n = *state;
    start_with_agent(n, "");
    long pid = agent_pid(n, "never"), next, control = control_pid(n);
    kill((pid_t)pid, SIGKILL);
    next = next_agent(n, pid);
    kill((pid_t)control, SIGKILL);
    for (uint64_t end = clock_now() + PATIENCE; control_pid(n) == control && clock_now() < end;)
        breathe();
    assert_int_equal(agent_pid(n, "never"), next);
    assert_int_equal(stop(n), 0);
    assert_true(is_gone(next));
    assert_true(logged(n, "stopped"));
}

static void a_hung_agent_is_replaced(void **state)
{
    struct node *n = *state;
    start_with_agent(n, "");
    long pid = agent_pid(n, "never");
    kill((pid_t)pid, SIGSTOP);
    await_log(n, "is killed: its main loop stands still");
    next_agent(n, pid);
    assert_int_equal(stop(n), 0);
}

static void the_agent_dies_with_its_supervisor(void **state)
{
    struct node *n = *state;
    start_with_agent(n, "");
    long pid = agent_pid(n, "never");
    kill(n->pid, SIGKILL);
    assert_int_equal(waitpid(n->pid, NULL, 0), n->pid);
    n->pid = 0;
    assert_true(is_gone(pid));
}

static bool agent_is_copy(const struct node *n, long pid)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof link, "/proc/%ld/exe", pid);
    return readlink(link, path, sizeof path - 1) > 0 &&
           str_starts(str_of(path), str_of(n->directory));
}

static void an_upgrade_replaces_the_agent_when_it_is_sure(void **state)
{
    struct node *n = *state;
    copy_program(n);
    start_with_agent(n, "dies\n");
    long pid = agent_pid(n, "never");
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change", "1 failed taken back");
    assert_int_equal(agent_pid(n, "never"), pid);
    assert_false(agent_is_copy(n, pid));
    write_file(n, "http 127.0.0.1:%u\nagent 127.0.0.1:%u\n", n->port, pick_port(NULL));
    expect(n, "load", "taken 2");
    expect(n, "upgrade", "2 ");
    expect_soon(n, "change", "2 done holdfast");
    for (uint64_t end = clock_now() + PATIENCE;
         !agent_is_copy(n, agent_pid(n, "never")) && clock_now() < end;)
        breathe();
    assert_true(agent_is_copy(n, agent_pid(n, "never")));
    assert_true(is_gone(pid));
    assert_int_equal(stop(n), 0);
}

int main(int argc, char **argv)
{
    int r = become(argc, argv);
    if (r >= 0)
        return r;
    const struct CMUnitTest tests[] = {
        NODE_TEST(the_agent_runs_where_a_view_wants_it),
        NODE_TEST(a_killed_agent_is_replaced_and_a_new_control_finds_it),
        NODE_TEST(a_hung_agent_is_replaced),
        NODE_TEST(the_agent_dies_with_its_supervisor),
        NODE_TEST(an_upgrade_replaces_the_agent_when_it_is_sure),
    };
    signal(SIGPIPE, SIG_IGN);
    own_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
