#include "jobs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MOST = 256 };

struct worker {
    pid_t pid;
    uint8_t *partial;
    size_t n;
    uint64_t records;
};

void job_write(const struct job *j, const void *record, size_t size)
{
    const uint8_t *p = record;
    while (size) {
        ssize_t n = write(j->fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(2); /* nobody listens any more */
        p += n;
        size -= (size_t)n;
    }
}

static void begin(struct worker *k, struct pollfd *fd, struct job j, size_t size,
                  void (*work)(void *, const struct job *), void *context)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) || (k->pid = fork()) < 0)
        sim_die("no process for a job");
    if (k->pid == 0) {
        close(ends[0]);
        j.fd = ends[1];
        work(context, &j);
        fflush(NULL);
        _exit(0);
    }
    close(ends[1]);
    *fd = (struct pollfd){.fd = ends[0], .events = POLLIN};
    k->partial = sim_zero(1, size);
}

/* Reads what is there; false when all are over. */
static bool collect(struct worker *k, struct pollfd *fd, size_t size,
                    bool (*more)(void *, const void *), void *context, bool *on)
{
    ssize_t n = read(fd->fd, k->partial + k->n, size - k->n);
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0) {
        close(fd->fd);
        fd->fd = -1;
        return false;
    }
    k->n += (size_t)n;
    if (k->n == size) {
        k->n = 0;
        k->records++;
        *on = more(context, k->partial) && *on;
    }
    return true;
}

bool jobs_run(uint32_t count, size_t record_size, void (*work)(void *context, const struct job *j),
              bool (*more)(void *context, const void *record), void *context, uint64_t *died)
{
    struct worker workers[JOBS_MOST] = {0};
    struct pollfd fds[JOBS_MOST];
    bool on = true, well = true;
    count = MAX(1, MIN(count, JOBS_MOST));
    for (uint32_t i = 0; i < count; i++)
        begin(&workers[i], &fds[i], (struct job){i, count, -1}, record_size, work, context);
    for (uint32_t open = count; open && on;) {
        if (poll(fds, count, -1) < 0)
            continue;
        for (uint32_t i = 0; i < count && on; i++)
            if (fds[i].fd >= 0 && fds[i].revents &&
                !collect(&workers[i], &fds[i], record_size, more, context, &on))
                open--;
    }
    for (uint32_t i = 0; i < count; i++) {
        int status = 0;
        if (!on)
            kill(workers[i].pid, SIGKILL);
        if (fds[i].fd >= 0)
            close(fds[i].fd);
        waitpid(workers[i].pid, &status, 0);
        if (on && status && well && died)
            *died = workers[i].records * count + i;
        well = well && (!on || status == 0);
        mem_free(workers[i].partial);
    }
    return well;
}
