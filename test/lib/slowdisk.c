/* slowdisk: runs a program and all that it starts on a disk that takes its time to sync.
 *
 *     slowdisk FILE PROGRAM [ARGUMENTS...]
 *
 * Each fsync, fdatasync, sync_file_range, msync and syncfs waits for as many milliseconds as stand
 * in FILE when it begins, then happens as usual. FILE may change meanwhile; absent, empty or 0: no
 * wait.
 *
 * A library that is preloaded would not reach programs that call the kernel themselves, as those
 * in Go do. So a filter of system calls (seccomp) hands these calls to a process of ours, which
 * lets them go on when their time has come. The filter is inherited by everything that is started;
 * PROGRAM keeps our process id, and the one that waits is nobody's child and ends with the last
 * process that has the filter. It takes root, or gives up new privileges. Linux 5.9 or later.
 *
 * Calls wait beside each other, not behind each other: each takes that long, as on a disk that is
 * far away. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV /* Linux 5.19 */
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { WAITING = 4096 };

struct waiting {
    uint64_t id, until;
};

static int install(void)
{
    static const unsigned slow[] = {SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_msync,
                                    SYS_syncfs};
    enum { SLOW = sizeof slow / sizeof slow[0] };
    struct sock_filter code[SLOW + 3];
    unsigned n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < SLOW; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, slow[i],
                                                 (unsigned char)(SLOW - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog filter = {(unsigned short)n, code};
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        tool_die("no new privileges");
    /* A thread that waits is not to be woken by every signal, only to begin anew. */
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);
    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    if (fd < 0)
        tool_die("seccomp");
    return (int)fd;
}

/* --- who lets them wait --- */

static uint64_t delay_of(const char *file)
{
    char text[32] = "";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    return n > 0 ? strtoull(text, NULL, 10) * MS_NS : 0;
}

/* Who died meanwhile needs no answer. */
static void let_go(int listener, uint64_t id)
{
    struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) && errno == EINTR)
        continue;
}

static void take(int listener, const char *file, struct waiting *all, size_t *n)
{
    struct seccomp_notif call;
    memset(&call, 0, sizeof call); /* the kernel insists */
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
        return;
    uint64_t delay = delay_of(file);
    if (delay == 0 || *n == WAITING)
        let_go(listener, call.id);
    else
        all[(*n)++] = (struct waiting){call.id, tool_now() + delay};
}

static uint64_t let_due_go(int listener, struct waiting *all, size_t *n)
{
    uint64_t now = tool_now(), next = UINT64_MAX;
    for (size_t i = 0; i < *n;) {
        if (all[i].until <= now) {
            let_go(listener, all[i].id);
            all[i] = all[--*n];
        } else {
            next = all[i].until < next ? all[i].until : next;
            i++;
        }
    }
    return next;
}

static void serve(int listener, const char *file)
{
    static struct waiting all[WAITING];
    size_t n = 0;
    for (;;) {
        uint64_t next = let_due_go(listener, all, &n), now = tool_now();
        int ms = next == UINT64_MAX ? -1 : next > now ? (int)((next - now) / MS_NS) + 1 : 0;
        struct pollfd p = {.fd = listener, .events = POLLIN};
        if (poll(&p, 1, ms) < 0 && errno != EINTR)
            tool_die("poll");
        if (p.revents & POLLIN)
            take(listener, file, all, &n);
        else if (p.revents & (POLLHUP | POLLERR))
            return; /* nobody has the filter any more */
    }
}

/* --- the two processes --- */

static void send_listener(int to, int listener)
{
    char byte = 0, room[CMSG_SPACE(sizeof listener)];
    struct iovec one = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    memset(room, 0, sizeof room);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof listener), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &listener, sizeof listener);
    if (sendmsg(to, &m, 0) != 1)
        tool_die("sendmsg");
}

static int receive_listener(int from)
{
    char byte, room[CMSG_SPACE(sizeof(int))];
    struct iovec one = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    int fd = -1;
    if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

/* The grandchild serves, so that PROGRAM has no child that it does not know. */
static void begin(int ends[2], const char *file)
{
    pid_t child = fork();
    if (child < 0)
        tool_die("fork");
    if (child > 0) {
        waitpid(child, NULL, 0);
        return;
    }
    close(ends[1]);
    if (fork() != 0)
        _exit(0);
    setsid(); /* a signal to the program's group is not for us */
    prctl(PR_SET_NAME, "slowdisk");
    int listener = receive_listener(ends[0]);
    close(ends[0]);
    if (listener >= 0)
        serve(listener, file);
    _exit(0);
}

int main(int argc, char **argv)
{
    int ends[2];
    if (argc < 3) {
        fprintf(stderr, "usage: slowdisk FILE PROGRAM [ARGUMENTS...]\n");
        return 2;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        tool_die("socketpair");
    begin(ends, argv[1]);
    int listener = install();
    send_listener(ends[1], listener);
    close(listener);
    close(ends[0]);
    close(ends[1]);
    execvp(argv[2], argv + 2);
    tool_die(argv[2]);
}
