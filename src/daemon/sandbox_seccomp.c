/* Filters of system calls: what a process that only moves bytes between sockets never does, and
 * what a process that somebody took over would do next. The agent's leaves what it takes to start
 * programs as another user; new namespaces it leaves to nobody. A list of what is denied, not of
 * what is allowed: a C library that starts to use a new harmless call must not end a load balancer.
 *
 * Denied calls fail with EPERM. clone3 fails with ENOSYS, so that the C library falls back to
 * clone, whose flags a filter can read: threads pass, processes do not. socket() passes for the
 * Internet and Unix families only. A call through another calling convention (32 bit, x32) ends the
 * process: our binary has none.
 *
 * The program is BPF as in linux/filter.h: one comparison and one return for each denied number. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "daemon/sandbox_steps.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

#if ARCHITECTURE

static const int denied[] = {
    /* other processes */
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_pidfd_getfd,
    SYS_kcmp,
    /* another root, other namespaces, other mounts */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    /* the kernel's wide and young surfaces */
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_fanotify_init,
    /* the machine */
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};

/* What the agent lives from. */
static const int denied_to_proxy[] = {
    /* other programs */
    SYS_execve,
    SYS_execveat,
    /* another identity */
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
#if defined(__x86_64__)
    SYS_fork,
    SYS_vfork,
#endif
};

#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |     \
     CLONE_NEWCGROUP)

enum { PROGRAM_MAX = 256 };

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short n;
};

static void add(struct program *p, struct sock_filter f)
{
    CHECK(p->n < PROGRAM_MAX);
    p->code[p->n++] = f;
}

static void load(struct program *p, size_t offset)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void answer(struct program *p, uint32_t action)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* Skips the next `over` instructions unless the loaded word is `value`. */
static void unless(struct program *p, uint32_t value, uint8_t over)
{
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, over));
}

static void check_convention(struct program *p)
{
    load(p, offsetof(struct seccomp_data, arch));
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    answer(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
    enum { X32 = 0x40000000 };
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
    answer(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

/* Both supported machines are little-endian: the low half of an argument comes first. The proxy
 * may make threads; the agent processes too, in the namespaces that it is in. */
static void check_clone(struct program *p, enum sandbox_filter f)
{
    bool agent = f == SANDBOX_FILTER_AGENT;
    unless(p, SYS_clone3, 1);
    answer(p, SECCOMP_RET_ERRNO | ENOSYS);
    unless(p, SYS_clone, 4);
    load(p, offsetof(struct seccomp_data, args));
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
                                        agent ? NAMESPACES : CLONE_THREAD, agent, !agent));
    answer(p, SECCOMP_RET_ALLOW);
    answer(p, SECCOMP_RET_ERRNO | EPERM);
}

/* Programs look at interfaces by netlink. Packets are the agent's, who announces addresses by them:
 * it takes CAP_NET_RAW besides, which it has for nothing else, and what it starts has not. */
static void check_socket(struct program *p, enum sandbox_filter f)
{
    static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
    size_t n = f == SANDBOX_FILTER_SENSE   ? 1
               : f == SANDBOX_FILTER_PROXY ? ARRAY_LEN(families) - 2
                                           : ARRAY_LEN(families);
    unless(p, SYS_socket, (uint8_t)(2 + 2 * n));
    load(p, offsetof(struct seccomp_data, args));
    for (size_t i = 0; i < n; i++) {
        unless(p, families[i], 1);
        answer(p, SECCOMP_RET_ALLOW);
    }
    answer(p, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

static void deny(struct program *p, const int *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unless(p, (uint32_t)list[i], 1);
        answer(p, SECCOMP_RET_ERRNO | EPERM);
    }
}

static void build(struct program *p, enum sandbox_filter f)
{
    p->n = 0;
    check_convention(p);
    deny(p, denied, ARRAY_LEN(denied));
    if (f != SANDBOX_FILTER_AGENT)
        deny(p, denied_to_proxy, ARRAY_LEN(denied_to_proxy));
    check_clone(p, f);
    check_socket(p, f);
    answer(p, SECCOMP_RET_ALLOW);
}

int sandbox_seccomp(enum sandbox_filter f, struct sandbox_notes *n, struct err *e)
{
    if (SANDBOX_SANITIZER) {
        sandbox_note(n, "a sanitizer build goes without a filter of system calls");
        return 0;
    }
    struct program p;
    build(&p, f);
    struct sock_fprog filter = {.len = p.n, .filter = p.code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return err_errno(e, "cannot install the filter of system calls");
    sandbox_note(n, "this kernel has no filter of system calls");
    return 0;
}

#else

int sandbox_seccomp(enum sandbox_filter f, struct sandbox_notes *n, struct err *e)
{
    (void)f;
    (void)e;
    sandbox_note(n, "there is no filter of system calls for this machine");
    return 0;
}

#endif
