/* The supervisor with real processes: this program is also the children (supervisor_fake.h). Each
 * test runs a node of its own in a directory of its own, and watches it from outside. */
#include "daemon/supervisor_fixture.h"

/* --- the tests --- */

static void serves_and_stops(void **state)
{
    struct node *n = *state;
    struct answer a = start(n);
    assert_int_equal(a.epoch, 1);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/admin.sock", n->state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(stop(n), 0);
    assert_int_equal(stat(path, &st), -1);
    assert_true(refused(n->port));
    assert_true(logged(n, "stopped"));
}

/* Connections made while there is no proxy wait in the socket; none is refused. */
static void a_killed_proxy_is_replaced_at_once(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    kill((pid_t)before.pid, SIGKILL);
    uint64_t began = clock_now();
    bool answered;
    do { /* the first may still be the dead one's */
        assert_false(refused(n->port));
        answered = ask_proxy(n->port, &after) && after.pid != before.pid;
    } while (!answered && clock_now() < began + PATIENCE);
    print_message("serves again after %.1f ms\n", (double)(clock_now() - began) / 1e6);
    assert_true(answered);
    assert_int_not_equal(after.pid, before.pid);
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(after.epoch, before.epoch);
    assert_true(logged(n, "the proxy (process"));
    expect_soon(n, "children", "started;ended 9;started;");
    expect(n, "state", " 1\n"); /* the dead one's connection is not counted any more */
    assert_int_equal(stop(n), 0);
}

static void a_killed_control_comes_back_with_the_view(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    expect(n, "load", "taken 2");
    long pid = control_pid(n);
    kill((pid_t)pid, SIGKILL);
    for (uint64_t end = clock_now() + PATIENCE; control_pid(n) == pid && clock_now() < end;)
        breathe();
    expect_soon(n, "state", "2 "); /* it answers before it has been handed the view */
    assert_int_not_equal(control_pid(n), pid);
    struct answer after = await(n->port);
    assert_int_equal(after.pid, before.pid);
    expect(n, "load", "taken 3");
    assert_int_equal(stop(n), 0);
}

static void repeated_deaths_are_slowed_down(void **state)
{
    struct node *n = *state;
    struct answer a = start(n);
    kill((pid_t)a.pid, SIGKILL);
    for (int i = 0; i < 2; i++) {
        long old = a.pid;
        while ((a = await(n->port)).pid == old)
            breathe();
        kill((pid_t)a.pid, SIGKILL);
    }
    await_log(n, "the proxy starts again in 100 ms");
    await_log(n, "the proxy starts again in 200 ms");
    await(n->port);
    assert_int_equal(stop(n), 0);
}

static void a_refused_view_changes_nothing(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    int fd;
    uint16_t fresh = pick_port(NULL), taken = pick_port(&fd);
    write_file(n, "http 127.0.0.1:%u\nhttp 127.0.0.1:%u\n", fresh, taken);
    expect(n, "load", "ddress already in use");
    assert_true(refused(fresh));
    struct answer after = await(n->port);
    assert_memory_equal(&after, &before, sizeof after);
    close(fd);
    expect(n, "load", "taken 2");
    assert_int_equal(await(fresh).epoch, 2);
    assert_int_equal(await(taken).epoch, 2);
    assert_true(refused(n->port));
    assert_int_equal(stop(n), 0);
}

static void a_kept_socket_is_the_same_socket(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    uint16_t second = pick_port(NULL);
    write_file(n, "http 127.0.0.1:%u\nhttp 127.0.0.1:%u\n", second, n->port);
    expect(n, "load", "taken 2");
    struct answer after = await(n->port);
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(after.epoch, 2);
    assert_int_equal(await(second).epoch, 2);
    assert_int_equal(stop(n), 0);
}

static void damaged_and_stale_views_are_refused(void **state)
{
    struct node *n = *state;
    start(n);
    expect(n, "damaged", "refused 2");
    expect(n, "stale", "refused 1 epoch 1 is in force");
    assert_int_equal(await(n->port).epoch, 1);
    expect(n, "epoch", "epoch 1\n");
    expect(n, "load", "taken 2");
    expect(n, "epoch", "epoch 2\n");
    assert_int_equal(stop(n), 0);
}

static void a_control_that_breaks_the_protocol_is_replaced(void **state)
{
    struct node *n = *state;
    start(n);
    long pid = control_pid(n);
    expect(n, "nonsense", "1 ");
    await_log(n, "is killed: it closed its connection");
    await_log(n, "killed by signal 9");
    assert_int_not_equal(control_pid(n), pid);
    assert_int_equal(stop(n), 0);
}

static void control_may_ask_for_a_new_proxy(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    expect(n, "restart", "1 ");
    do
        after = await(n->port);
    while (after.pid == before.pid);
    expect_soon(n, "children", "started;ended 0;started;");
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(stop(n), 0);
}

static void a_new_proxy_takes_over(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "1 done proxy 2 ");
    do
        after = await(n->port);
    while (after.pid == before.pid);
    assert_int_equal(after.inode, before.inode);
    await_log(n, "ended with status 0");
    expect(n, "state", " 1\n"); /* the bank of the one that accepts */
    expect_soon(n, "children", "started;started;ended 0;");
    expect(n, "load", "taken 2"); /* by the new one */
    assert_int_equal(await(n->port).epoch, 2);
    kill((pid_t)after.pid, SIGKILL);
    while (await(n->port).pid == after.pid)
        breathe();
    assert_int_equal(stop(n), 0);
}

/* Banks are limited, and nobody is cut for want of one. */
static void old_proxies_are_not_cut_for_new_ones(void **state)
{
    struct node *n = *state;
    write_file(n, "http 127.0.0.1:%u\nstubborn\n", n->port);
    start(n);
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "1 done");
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "2 done");
    expect(n, "load", "taken 2"); /* those that drain take it too, and nobody waits for them */
    expect(n, "handover", "2 ");
    expect_soon(n, "change", "3 done");
    expect(n, "handover", "2 ");
    expect_soon(n, "change", "4 failed 3 proxies drain already");
    assert_int_equal(await(n->port).epoch, 2);
    kill(n->pid, SIGTERM);
    await_log(n, "stopping:");
    assert_int_equal(stop(n), 0);
}

static void a_new_proxy_that_fails_is_discarded(void **state)
{
    struct node *n = *state;
    write_file(n, "http 127.0.0.1:%u\ndies\n", n->port);
    struct answer before = start(n);
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "1 failed the new proxy died: proxy 1 goes on accepting");
    assert_int_equal(await(n->port).pid, before.pid);
    write_file(n, "http 127.0.0.1:%u\nmute\n", n->port);
    expect(n, "load", "taken 2");
    expect(n, "handover", "2 ");
    expect(n, "handover", "2 "); /* while one runs another is no second one */
    expect_soon(n, "change", "2 runs");
    struct answer during = await(n->port);
    assert_int_equal(during.pid, before.pid);
    kill((pid_t)before.pid, SIGKILL); /* the one that starts takes its place, unasked */
    expect_soon(n, "change", "2 done");
    assert_int_equal(await(n->port).epoch, 2);
    assert_int_equal(stop(n), 0);
}

static void another_program_goes_on_in_the_same_process(void **state)
{
    struct node *n = *state;
    copy_program(n);
    struct answer before = start(n);
    expect(n, "load", "taken 2");
    expect(n, "upgrade", "2 ");
    expect_soon(n, "change", "1 done holdfast");
    runs_the_copy(n, true);
    struct answer after = await(n->port);
    assert_int_not_equal(after.pid, before.pid);
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(after.epoch, 2);
    expect(n, "load", "taken 3");
    expect(n, "handover", "3 ");
    expect_soon(n, "change", "2 done proxy 3");
    expect(n, "upgrade", "3 "); /* once more, from the copy to the copy */
    expect_soon(n, "change", "3 done holdfast");
    kill((pid_t)await(n->port).pid, SIGKILL);
    assert_int_equal(await(n->port).epoch, 3);
    assert_int_equal(stop(n), 0);
    assert_true(refused(n->port));
}

static void a_program_that_fails_is_taken_back(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change", "1 failed not upgraded, nothing has changed");
    copy_program(n);
    write_file(n, "http 127.0.0.1:%u\nbad\n", n->port);
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change",
                "2 failed not upgraded, nothing has changed: the new program's self-check");
    write_file(n, "http 127.0.0.1:%u\ndies\n", n->port);
    expect(n, "load", "taken 2");
    expect(n, "upgrade", "2 ");
    expect_soon(n, "change", "3 failed taken back");
    assert_true(logged(n, "the new proxy died: going back"));
    runs_the_copy(n, false);
    struct answer after = await(n->port);
    assert_int_equal(after.pid, before.pid);
    expect(n, "state", "2 ");
    write_file(n, "http 127.0.0.1:%u\n", n->port);
    expect(n, "load", "taken 3");
    expect(n, "upgrade", "3 ");
    expect_soon(n, "change", "4 done holdfast");
    runs_the_copy(n, true);
    assert_int_equal(stop(n), 0);
}

static void a_signal_on_trial_ends_both(void **state)
{
    struct node *n = *state;
    copy_program(n);
    write_file(n, "http 127.0.0.1:%u\nmute\n", n->port);
    start(n);
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change", "1 runs the new program starts");
    assert_int_equal(stop(n), 0);
    assert_true(refused(n->port));
}

static void hangup_means_reload(void **state)
{
    struct node *n = *state;
    start(n);
    kill(n->pid, SIGHUP);
    while (await(n->port).epoch != 2)
        breathe();
    assert_int_equal(stop(n), 0);
}

static void access_logs_are_opened_anew(void **state)
{
    struct node *n = *state;
    char log[128], moved[160];
    struct stat st;
    snprintf(log, sizeof log, "%s/access", n->directory);
    snprintf(moved, sizeof moved, "%s.1", log);
    write_file(n, "http 127.0.0.1:%u\nlog %s\n", n->port, log);
    start(n);
    assert_int_equal(rename(log, moved), 0);
    expect(n, "load", "taken 2");
    struct buf b = {0};
    assert_int_equal(file_read(log, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("2\n")));
    assert_int_equal(file_read(moved, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("1\n")));
    buf_free(&b);
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(stop(n), 0);
}

/* No view is refused because a log that is open cannot be opened again. */
static void an_access_log_that_is_in_the_way_goes_on(void **state)
{
    struct node *n = *state;
    char log[128], moved[160];
    snprintf(log, sizeof log, "%s/access", n->directory);
    snprintf(moved, sizeof moved, "%s.1", log);
    write_file(n, "http 127.0.0.1:%u\nlog %s\n", n->port, log);
    start(n);
    assert_int_equal(rename(log, moved), 0);
    assert_int_equal(mkdir(log, 0755), 0);
    expect(n, "load", "taken 2");
    assert_true(logged(n, "the file that is open is kept"));
    struct buf b = {0};
    assert_int_equal(file_read(moved, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("1\n2\n")));
    buf_free(&b);
    write_file(n, "http 127.0.0.1:%u\nlog %s/sub/new\n", n->port, log);
    expect(n, "load", "refused 3");
    assert_int_equal(stop(n), 0);
}

/* The fake children run as another user if we are root; what they could plant is a link. */
static void no_link_lends_roots_rights(void **state)
{
    struct node *n = *state;
    char log[128], target[128];
    snprintf(log, sizeof log, "%s/access", n->directory);
    snprintf(target, sizeof target, "%s/precious", n->directory);
    write_file(n, "http 127.0.0.1:%u\nlog %s\n", n->port, log);
    start(n);
    assert_int_equal(file_replace(target, STR("kept"), 0600, NULL), 0);
    assert_int_equal(unlink(log), 0);
    assert_int_equal(symlink(target, log), 0);
    expect(n, "load", "taken 2");
    struct buf b = {0};
    assert_int_equal(file_read(target, 100, &b, NULL), 0);
    /* Without root there are no two users: the link is ours, and so is the file. */
    assert_true(str_starts(buf_str(&b), STR("kept")));
    assert_int_equal(b.n, geteuid() == 0 ? 4 : 6);
    buf_free(&b);
    assert_int_equal(stop(n), 0);
}

static void a_hung_proxy_is_replaced(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    kill((pid_t)before.pid, SIGSTOP);
    await_log(n, "loop stands still");
    after = await(n->port);
    assert_int_not_equal(after.pid, before.pid);
    assert_int_equal(stop(n), 0);
}

static void a_second_signal_means_now(void **state)
{
    struct node *n = *state;
    write_file(n, "http 127.0.0.1:%u\nstubborn\n", n->port);
    start(n);
    kill(n->pid, SIGTERM);
    await_log(n, "connections are given up to");
    for (uint64_t end = clock_now() + PATIENCE; !refused(n->port) && clock_now() < end;)
        breathe();
    assert_true(refused(n->port));
    assert_int_equal(stop(n), 0);
    assert_true(logged(n, "stopping now"));
}

static void refuses_to_start(struct node *n, const char *sentence)
{
    launch(n);
    assert_int_equal(wait_end(n), 1);
    if (!logged(n, sentence))
        print_log(n);
    assert_true(logged(n, sentence));
}

static void a_taken_port_is_told_at_once(void **state)
{
    struct node *n = *state;
    int fd;
    write_file(n, "http 127.0.0.1:%u\n", pick_port(&fd));
    refuses_to_start(n, "another program uses it");
    assert_false(logged(n, "runs as process"));
    close(fd);
}

static void a_bad_file_is_told_at_once(void **state)
{
    struct node *n = *state;
    write_file(n, "bad\nbad\nhttp 127.0.0.1:%u\n", n->port);
    refuses_to_start(n, "2 problems");
    assert_true(refused(n->port));
}

static void a_directory_has_one_holdfast(void **state)
{
    struct node *n = *state, second;
    start(n);
    second = *n;
    snprintf(second.log, sizeof second.log, "%s/log2", n->directory);
    char expected[64];
    snprintf(expected, sizeof expected, "another holdfast (process %ld)", (long)n->pid);
    refuses_to_start(&second, expected);
    assert_int_equal(await(n->port).epoch, 1);
    assert_int_equal(stop(n), 0);
}

/* The lock ends with its process: nothing has to be cleared after a crash. */
static void a_killed_supervisor_leaves_nothing_behind(void **state)
{
    struct node *n = *state;
    start(n);
    kill(n->pid, SIGKILL);
    assert_int_equal(waitpid(n->pid, NULL, 0), n->pid);
    for (uint64_t end = clock_now() + PATIENCE; !refused(n->port) && clock_now() < end;)
        breathe();
    assert_int_equal(start(n).epoch, 1);
    assert_int_equal(stop(n), 0);
}

int main(int argc, char **argv)
{
    int r = become(argc, argv);
    if (r >= 0)
        return r;
    const struct CMUnitTest tests[] = {
        NODE_TEST(serves_and_stops),
        NODE_TEST(a_killed_proxy_is_replaced_at_once),
        NODE_TEST(a_killed_control_comes_back_with_the_view),
        NODE_TEST(repeated_deaths_are_slowed_down),
        NODE_TEST(a_refused_view_changes_nothing),
        NODE_TEST(a_kept_socket_is_the_same_socket),
        NODE_TEST(damaged_and_stale_views_are_refused),
        NODE_TEST(a_control_that_breaks_the_protocol_is_replaced),
        NODE_TEST(control_may_ask_for_a_new_proxy),
        NODE_TEST(a_new_proxy_takes_over),
        NODE_TEST(old_proxies_are_not_cut_for_new_ones),
        NODE_TEST(a_new_proxy_that_fails_is_discarded),
        NODE_TEST(another_program_goes_on_in_the_same_process),
        NODE_TEST(a_program_that_fails_is_taken_back),
        NODE_TEST(a_signal_on_trial_ends_both),
        NODE_TEST(hangup_means_reload),
        NODE_TEST(access_logs_are_opened_anew),
        NODE_TEST(an_access_log_that_is_in_the_way_goes_on),
        NODE_TEST(no_link_lends_roots_rights),
        NODE_TEST(a_hung_proxy_is_replaced),
        NODE_TEST(a_second_signal_means_now),
        NODE_TEST(a_taken_port_is_told_at_once),
        NODE_TEST(a_bad_file_is_told_at_once),
        NODE_TEST(a_directory_has_one_holdfast),
        NODE_TEST(a_killed_supervisor_leaves_nothing_behind),
    };
    signal(SIGPIPE, SIG_IGN);
    own_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
