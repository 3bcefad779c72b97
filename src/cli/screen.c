#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

/* Alternate screen, cursor hidden, no wrapping; and back. */
#define ENTER STR("\033[?1049h\033[?25l\033[?7l\033[2J")
#define LEAVE STR("\033[?7h\033[?25h\033[?1049l")

static sigset_t watched_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        sigaddset(&set, watched[i]);
    return set;
}

bool screen_write(struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes.p, bytes.n);
        if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){STDOUT_FILENO, POLLOUT, 0}, 1, 1000);
        else if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            bytes = (struct str){bytes.p + n, bytes.n - (size_t)n};
    }
    return true;
}

static void enter(struct screen *s)
{
    if (s->keys >= 0) {
        struct termios raw = s->saved;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr(s->keys, TCSADRAIN, &raw);
    }
    screen_write(ENTER);
    s->entered = true;
}

static void leave(struct screen *s)
{
    if (!s->entered)
        return;
    s->entered = false;
    screen_write(LEAVE);
    if (s->keys >= 0)
        tcsetattr(s->keys, TCSADRAIN, &s->saved);
}

int screen_open(struct screen *s, struct err *e)
{
    sigset_t set = watched_set();
    *s = (struct screen){.keys = -1};
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        return err_errno(e, "cannot watch for signals");
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s->saved) == 0)
        s->keys = STDIN_FILENO;
    enter(s);
    return 0;
}

void screen_close(struct screen *s)
{
    sigset_t set = watched_set();
    leave(s);
    close(s->signals);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (s->fatal) {
        signal(s->fatal, SIG_DFL); /* whoever started us may have had it ignored */
        raise(s->fatal);           /* whoever waits for us sees which signal it was */
    }
}

static enum screen_event on_signal(struct screen *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return SCREEN_NONE;
    int number = (int)info.ssi_signo;
    if (number == SIGWINCH)
        return SCREEN_RESIZE;
    if (number == SIGTSTP) {
        leave(s);
        raise(SIGSTOP);
        enter(s); /* somebody let us go on */
        return SCREEN_RESIZE;
    }
    s->fatal = number == SIGINT ? 0 : number; /* ^C is the same as q */
    return SCREEN_QUIT;
}

static void drop_keys(struct screen *s, size_t n)
{
    s->n_pending -= n;
    memmove(s->pending, s->pending + n, s->n_pending);
}

/* The next key that means something among those that are typed ahead. */
static enum screen_event next_key(struct screen *s)
{
    static const struct {
        const char *bytes;
        enum screen_event event;
    } keys[] = {
        {"q", SCREEN_QUIT},    {"Q", SCREEN_QUIT},          {"k", SCREEN_UP},
        {"j", SCREEN_DOWN},    {"\033[A", SCREEN_UP},       {"\033[B", SCREEN_DOWN},
        {"\033OA", SCREEN_UP}, {"\033OB", SCREEN_DOWN},     {" ", SCREEN_PAGE_DOWN},
        {"b", SCREEN_PAGE_UP}, {"\033[5~", SCREEN_PAGE_UP}, {"\033[6~", SCREEN_PAGE_DOWN},
    };
    while (s->n_pending > 0) {
        struct str typed = {s->pending, s->n_pending};
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            if (str_starts(typed, str_of(keys[i].bytes))) {
                drop_keys(s, strlen(keys[i].bytes));
                return keys[i].event;
            }
        }
        drop_keys(s,
                  s->pending[0] == '\033' ? s->n_pending : 1); /* an unknown sequence goes whole */
    }
    return SCREEN_NONE;
}

static enum screen_event on_keys(struct screen *s)
{
    ssize_t n = read(s->keys, s->pending, sizeof s->pending);
    if (n > 0) {
        s->n_pending = (size_t)n;
        return next_key(s);
    }
    bool again = n < 0 && (errno == EINTR || errno == EAGAIN);
    return again ? SCREEN_NONE : SCREEN_QUIT;
}

enum screen_event screen_wait(struct screen *s, int timeout_ms)
{
    struct pollfd fds[2] = {{s->signals, POLLIN, 0}, {s->keys, POLLIN, 0}};
    enum screen_event typed = next_key(s);
    if (typed != SCREEN_NONE)
        return typed;
    if (poll(fds, 2, timeout_ms) <= 0)
        return SCREEN_NONE;
    if (fds[0].revents)
        return on_signal(s);
    return fds[1].revents ? on_keys(s) : SCREEN_NONE;
}
