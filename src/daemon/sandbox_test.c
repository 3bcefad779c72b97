/* What is left of a process after sandbox_enter. Each attempt is made in a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/sandbox_steps.h"

/* What it returned, seen from outside: the exit status of the child that entered and tried. */
static int inside(enum sandbox_role role, int (*attempt)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e = {0};
        if (sandbox_enter(role, NULL, &e)) {
            fprintf(stderr, "%s\n", e.text);
            _exit(200);
        }
        _exit(attempt() & 127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_exec(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int try_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : 0;
}

static int try_open(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int try_create(void)
{
    return open("/tmp/holdfast-sandbox-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? errno : 0;
}

static int try_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) < 0 ? errno : 0;
}

static int try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 ? errno : 0;
}

static void *in_thread(void *arg)
{
    return arg;
}

/* What the proxy lives from: threads, memory, sockets, anonymous files. */
static int try_work(void)
{
    pthread_t t;
    void *result = NULL;
    int fds[2];
    if (pthread_create(&t, NULL, in_thread, fds) || pthread_join(t, &result) || result != fds)
        return 1;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || munmap(memory, 4096))
        return 2;
    if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ||
        socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0)
        return 3;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
        return 4;
    return write(STDERR_FILENO, "", 0) == 0 ? 0 : 5;
}

static int is_root(void)
{
    return geteuid() == 0 || getegid() == 0 || setuid(0) == 0;
}

static int may_gain(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static int dies_with_parent(void)
{
    int number = 0;
    return prctl(PR_GET_PDEATHSIG, &number, 0, 0, 0) == 0 ? number : 1;
}

static void both_lose_root_and_its_ways_back(void **state)
{
    for (enum sandbox_role r = SANDBOX_CONTROL; r <= SANDBOX_PROXY; r++) {
        assert_int_equal(inside(r, is_root), 0);
        assert_int_equal(inside(r, may_gain), 0);
        assert_int_equal(inside(r, try_work), 0);
    }
}

static void control_dies_with_its_supervisor_and_the_proxy_does_not(void **state)
{
    assert_int_equal(inside(SANDBOX_CONTROL, dies_with_parent), SIGKILL);
    assert_int_equal(inside(SANDBOX_PROXY, dies_with_parent), 0);
}

static void control_reads_files(void **state)
{
    assert_int_equal(inside(SANDBOX_CONTROL, try_open), 0);
}

static void the_proxy_can_start_and_touch_nothing(void **state)
{
    struct sandbox_notes notes = {""};
    struct {
        int (*attempt)(void);
        int expected;
        bool by_landlock;
    } attempts[] = {
        {try_exec, EPERM, false},           {try_fork, EPERM, false}, {try_ptrace, EPERM, false},
        {try_netlink, EAFNOSUPPORT, false}, {try_open, EACCES, true}, {try_create, EACCES, true},
    };
    if (SANDBOX_SANITIZER) { /* then it says so, and that is all that there is to see */
        assert_int_equal(sandbox_seccomp(SANDBOX_FILTER_PROXY, &notes, NULL), 0);
        assert_int_equal(sandbox_landlock(&notes, NULL), 0);
        assert_non_null(strstr(notes.text, "filter"));
        assert_non_null(strstr(notes.text, "Landlock"));
        return;
    }
    bool landlock =
        access("/sys/kernel/security/landlock", F_OK) == 0 || inside(SANDBOX_PROXY, try_open) != 0;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        if (landlock || !attempts[i].by_landlock)
            assert_int_equal(inside(SANDBOX_PROXY, attempts[i].attempt), attempts[i].expected);
}

static void control_keeps_reading_when_told_so(void **state)
{
    char path[] = "/tmp/holdfast-sandbox-XXXXXX";
    bool root = geteuid() == 0;         /* else the file is its own before and after */
    int fd = mkostemp(path, O_CLOEXEC); /* mode 0600, and ours */
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(setenv(SANDBOX_READ_ALL, "1", 1), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool entered = sandbox_enter(SANDBOX_CONTROL, NULL, NULL) == 0;
        bool reads = open(path, O_RDONLY | O_CLOEXEC) >= 0;
        bool writes = open(path, O_WRONLY | O_CLOEXEC) >= 0;
        _exit(entered && reads && writes != root ? 0 : 1);
    }
    unsetenv(SANDBOX_READ_ALL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    unlink(path);
}

/* --- the agent --- */

/* Entered, as the agent does; then the attempt. */
static int inside_agent(const char *state, int (*attempt)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e = {0};
        bool drops = geteuid() == 0;
        if (chdir(state) || sandbox_enter_agent(state, 0, &drops, NULL, &e)) {
            fprintf(stderr, "%s\n", e.text);
            _exit(200);
        }
        _exit(attempt() & 127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_program(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(99);
    }
    int status = 98 << 8;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static int try_become(void)
{
    return setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ? errno : 0;
}

/* As the user that its programs are. */
static int try_write_state(void)
{
    if (geteuid() == 0 && try_become())
        return 99;
    int fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 || unlink("file") ? errno : 0;
}

static int try_namespace(void)
{
    return unshare(CLONE_NEWUSER) ? errno : 0;
}

/* Needs CAP_CHOWN, or to be its owner and that. */
static int try_chown(void)
{
    return chown("/dev/null", 1, 1) ? errno : 0;
}

static void the_agent_starts_programs_and_does_little_else(void **state)
{
    char directory[] = "/tmp/holdfast-sandbox-XXXXXX";
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chmod(directory, 0777), 0);
    assert_int_equal(inside_agent(directory, try_program), 0);
    assert_int_equal(inside_agent(directory, try_write_state), 0);
    assert_int_equal(inside_agent(directory, may_gain), 0);
    assert_int_equal(inside_agent(directory, dies_with_parent), SIGKILL);
    assert_int_equal(inside_agent(directory, try_chown), EPERM);
    if (geteuid() == 0)
        assert_int_equal(inside_agent(directory, try_become), 0);
    if (!SANDBOX_SANITIZER) {
        assert_int_equal(inside_agent(directory, try_ptrace), EPERM);
        assert_int_equal(inside_agent(directory, try_namespace), EPERM);
        assert_int_equal(inside_agent(directory, try_netlink), 0);
        if (inside(SANDBOX_PROXY, try_open) != 0) /* there is Landlock */
            assert_int_equal(inside_agent(directory, try_create), EACCES);
    }
    assert_int_equal(rmdir(directory), 0);
}

static void notes_add_up(void **state)
{
    struct sandbox_notes n = {""};
    sandbox_note(&n, "one");
    sandbox_note(&n, "two");
    assert_string_equal(n.text, "one; two");
    for (int i = 0; i < 100; i++)
        sandbox_note(&n, "more");
    assert_true(strlen(n.text) < sizeof n.text);
    sandbox_note(NULL, "nobody listens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_lose_root_and_its_ways_back),
        cmocka_unit_test(control_dies_with_its_supervisor_and_the_proxy_does_not),
        cmocka_unit_test(control_reads_files),
        cmocka_unit_test(the_proxy_can_start_and_touch_nothing),
        cmocka_unit_test(control_keeps_reading_when_told_so),
        cmocka_unit_test(the_agent_starts_programs_and_does_little_else),
        cmocka_unit_test(notes_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
