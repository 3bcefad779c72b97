/* What the agent makes of typed fields: etcd's arguments, all of them and no others; and of what
 * its tasks print. */
#include "daemon/process_agent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static struct agent_etcd sample(void)
{
    struct agent_etcd a = {.name = "b",
                           .token = "t0",
                           .heartbeat_ms = 100,
                           .election_ms = 1000,
                           .n_members = 2,
                           .members = {{.name = "a"}, {.name = "b"}}};
    assert_true(addr_parse(STR("10.0.0.2:7301"), &a.client));
    assert_true(addr_parse(STR("10.0.0.2:7302"), &a.peer));
    assert_true(addr_parse(STR("[2001:db8::1]:7302"), &a.members[0].peer));
    a.members[1].peer = a.peer;
    return a;
}

static struct agent_process *process(void)
{
    struct agent_process *p = mem_zero(1, sizeof *p);
    assert_non_null(p);
    str_copy(p->state, sizeof p->state, STR("/var/lib/holdfast"));
    p->drops = true;
    p->user.uid = 7;
    p->user.gid = 8;
    return p;
}

static bool installed(void)
{
    return access("/usr/bin/etcd", X_OK) == 0;
}

static bool has_word(const struct program *p, const char *word)
{
    for (const char *const *w = p->argv; *w; w++)
        if (strcmp(*w, word) == 0)
            return true;
    return false;
}

static const char *const always[] = {
    "etcd",
    "--name=b",
    "--data-dir=/var/lib/holdfast/etcd/data",
    "--listen-client-urls=https://10.0.0.2:7301",
    "--advertise-client-urls=https://10.0.0.2:7301",
    "--listen-peer-urls=https://10.0.0.2:7302",
    "--initial-advertise-peer-urls=https://10.0.0.2:7302",
    "--initial-cluster=a=https://[2001:db8::1]:7302,b=https://10.0.0.2:7302",
    "--initial-cluster-token=t0",
    "--client-cert-auth",
    "--trusted-ca-file=/var/lib/holdfast/etcd/tls/ca.pem",
    "--cert-file=/var/lib/holdfast/etcd/tls/node.pem",
    "--key-file=/var/lib/holdfast/etcd/tls/node.key",
    "--peer-client-cert-auth",
    "--peer-trusted-ca-file=/var/lib/holdfast/etcd/tls/ca.pem",
    "--peer-cert-file=/var/lib/holdfast/etcd/tls/node.pem",
    "--peer-key-file=/var/lib/holdfast/etcd/tls/node.key",
    "--heartbeat-interval=100",
    "--election-timeout=1000",
    "--quota-backend-bytes=2147483648",
};

static void check_program(const struct program *p)
{
    assert_string_equal(p->argv[0], "etcd");
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        if (!has_word(p, always[i]))
            fail_msg("%s is missing", always[i]);
    assert_true(p->path[0] == '/' && p->drop && p->uid == 7 && p->gid == 8 && p->files);
    for (const char *const *w = p->envp; *w; w++)
        assert_true(strncmp(*w, "GO", 2) == 0 || strncmp(*w, "ETCD_UNSUPPORTED", 16) == 0);
}

static void etcd_gets_what_its_fields_say(void **state)
{
    struct agent_process *p = process();
    struct agent_etcd a = sample();
    struct arena memory = {0};
    struct program what;
    struct err e = {0};
    int r = etcd_program(p, &a, &memory, &what, &e);
    assert_int_equal(r, installed() ? 0 : -ERR_ABSENT);
    if (r == 0) {
        check_program(&what);
        assert_true(has_word(&what, "--initial-cluster-state=new"));
        assert_false(has_word(&what, "--force-new-cluster"));
        a.existing = a.force_new = true;
        assert_int_equal(etcd_program(p, &a, &memory, &what, &e), 0);
        assert_true(has_word(&what, "--initial-cluster-state=existing"));
        assert_true(has_word(&what, "--force-new-cluster"));
    } else {
        assert_non_null(strstr(e.text, "install"));
    }
    a.name[0] = '-';
    assert_int_equal(etcd_program(p, &a, &memory, &what, &e), -ERR_INVAL);
    arena_free(&memory);
    mem_free(p);
}

static void memory_may_run_out(void **state)
{
    struct agent_process *p = process();
    struct agent_etcd a = sample();
    bool done = !installed();
    for (unsigned long n = 1; !done; n++) {
        struct arena memory = {0};
        struct program what;
        mem_fail_at(n);
        int r = etcd_program(p, &a, &memory, &what, NULL);
        done = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(r, done ? 0 : -ERR_NOMEM);
        arena_free(&memory);
    }
    mem_free(p);
}

static void complaints_are_told_from_chatter(void **state)
{
    assert_true(etcd_complains(STR("{\"level\":\"error\",\"msg\":\"x\"}")));
    assert_true(etcd_complains(STR("{\"level\":\"panic\",\"ts\":\"\"}")));
    assert_true(etcd_complains(STR("{\"level\":\"fatal\"}")));
    assert_true(etcd_complains(STR("panic: failed to create WAL")));
    assert_true(etcd_complains(STR("fatal error: out of memory")));
    assert_false(etcd_complains(STR("{\"level\":\"info\",\"msg\":\"error\"}")));
    assert_false(etcd_complains(STR("{\"level\":\"warn\"}")));
    assert_false(etcd_complains(STR("")));
}

static void what_tasks_print_is_checked(void **state)
{
    struct agent_disk d = {0};
    assert_true(agent_task_parse(AGENT_DATA_ASIDE, STR("ok\n"), &d));
    assert_true(agent_task_parse(AGENT_DATA_REMOVE, STR("ok\n"), &d));
    assert_false(agent_task_parse(AGENT_DATA_REMOVE, STR("ok"), &d));
    assert_false(agent_task_parse(AGENT_DATA_REMOVE, STR(""), &d));
    assert_true(agent_task_parse(AGENT_DISK, STR("ok 200 1 22 333\n"), &d));
    assert_true(d.writes == 200 && d.median == 1 && d.p99 == 22 && d.worst == 333);
    static const char *const bad[] = {"ok\n",           "ok \n",
                                      "ok 1 2 3\n",     "ok 1 2 3 4",
                                      "ok 1 2 3 4 5\n", "ok 1 2 3 x\n",
                                      "ok 1 2 3 -4\n",  "no 1 2 3 4\n",
                                      "ok  1 2 3 4\n",  "ok 1 2 3 99999999999999999999\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(agent_task_parse(AGENT_DISK, str_of(bad[i]), &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(etcd_gets_what_its_fields_say),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(complaints_are_told_from_chatter),
        cmocka_unit_test(what_tasks_print_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
