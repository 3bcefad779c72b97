/* load: closed-loop HTTP/1.1 load that checks every answer, for the scenario tests.
 *
 *   load --to ADDR [--connections 64] [--post 25] [--put 10] [--chunked 10] [--body 512]
 *        [--think-us 0] [--timeout-ms 10000] [--fresh 0] [--run NAME]
 *
 * Each connection sends a request, waits for its answer, thinks, and goes on (--fresh 1: with a new
 * connection each time). Post, put and chunked are percentages; the rest are GETs. Every request
 * has an X-Request-Id of its own, and its answer must repeat method, id and body (see backend.c):
 * an answer that belongs to another request is a failure like any other.
 *
 * Talks over stdin and stdout, a line for a line: "phase NAME" ends the phase at hand and answers
 * with its figures, "snapshot" answers with the figures so far, "count" with the number of requests
 * and failures alone (cheap), "stop" (or end of file) lets what is in flight come in and answers
 * with the total. A request counts in the phase it ends in.
 *
 * How a request can fail:
 *   refused     no connection could be made        died     the connection ended before the answer
 *   timeout     no answer in --timeout-ms          bad      not the answer to this request
 *   status      an answer above 399
 * A kept connection that the server closes while nothing is in flight is no failure
 * ("idle_closed").
 */
#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>

enum kind { IDEMPOTENT, ONCE, KINDS };
static const char *const kind_names[KINDS] = {"idempotent", "non_idempotent"};

enum outcome { OK, STATUS, REFUSED, DIED, TIMEOUT, BAD, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {"ok",   "status",  "refused",
                                                    "died", "timeout", "bad"};

enum { IN_MAX = 16 * 1024, OUT_MAX = 80 * 1024, BODY_MAX = 64 * 1024, FAILURES = 512 };

struct failure {
    char id[48];
    double at_s;
    uint32_t us;
    uint16_t status;
    uint8_t outcome, kind;
};

struct figures {
    char name[64];
    uint64_t start, last_ok, max_gap;
    uint64_t count[KINDS][OUTCOMES];
    uint64_t by_status[KINDS][600];
    uint64_t idle_closed, connects;
    struct tool_samples us[KINDS], failed_us;
    struct failure failures[FAILURES];
    size_t n_failures;
};

enum state { IDLE, CONNECTING, SENDING, READING };

struct conn {
    int fd; /* -1: none */
    enum state state;
    uint64_t started, next_at; /* of the request; when IDLE the next one's time */
    char method[8], id[48], in[IN_MAX];
    uint32_t body_sum;
    size_t body_n, in_n, out_n, out_at;
    char out[OUT_MAX];
};

struct load {
    const char *to, *run;
    int epoll;
    uint64_t connections, post, put, chunked, body, think, timeout, fresh;
    uint64_t began, serial;
    uint32_t random;
    bool stopping;
    struct conn *conns;
    struct figures phase, total;
    struct tool_lines lines;
};

static uint32_t roll(struct load *l)
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 17;
    return l->random ^= l->random << 5;
}

/* ---- figures ---- */

static void figures_reset(struct figures *f, const char *name)
{
    struct tool_samples keep[3] = {f->us[0], f->us[1], f->failed_us};
    memset(f, 0, sizeof *f);
    for (int i = 0; i < 3; i++)
        keep[i].n = 0;
    f->us[0] = keep[0];
    f->us[1] = keep[1];
    f->failed_us = keep[2];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->start = f->last_ok = tool_now();
}

static void figures_add(struct figures *f, struct load *l, struct conn *c, enum outcome o,
                        uint16_t status)
{
    uint64_t now = tool_now(), us = (now - c->started) / 1000;
    enum kind k = strcmp(c->method, "POST") == 0 ? ONCE : IDEMPOTENT;
    f->count[k][o]++;
    f->by_status[k][status < 600 ? status : 0]++;
    if (o == OK) {
        tool_samples_add(&f->us[k], us);
        if (now - f->last_ok > f->max_gap)
            f->max_gap = now - f->last_ok;
        f->last_ok = now;
        return;
    }
    tool_samples_add(&f->failed_us, us);
    if (f->n_failures == FAILURES)
        return;
    struct failure *x = &f->failures[f->n_failures++];
    snprintf(x->id, sizeof x->id, "%s", c->id);
    x->at_s = (double)(now - l->began) / (double)SECOND_NS;
    x->us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    x->status = status;
    x->outcome = (uint8_t)o;
    x->kind = (uint8_t)k;
}

static void print_kind(struct figures *f, enum kind k)
{
    const char *comma = "";
    uint64_t failed = 0;
    tool_samples_sort(&f->us[k]);
    printf("\"%s\": {", kind_names[k]);
    for (int o = 0; o < OUTCOMES; o++) {
        printf("\"%s\": %llu, ", outcome_names[o], (unsigned long long)f->count[k][o]);
        failed += o == OK ? 0 : f->count[k][o];
    }
    printf("\"failed\": %llu, \"statuses\": {", (unsigned long long)failed);
    for (int s = 1; s < 600; s++)
        if (f->by_status[k][s]) {
            printf("%s\"%d\": %llu", comma, s, (unsigned long long)f->by_status[k][s]);
            comma = ", ";
        }
    printf("}, \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}, ", tool_samples_at(&f->us[k], 500),
           tool_samples_at(&f->us[k], 990), tool_samples_at(&f->us[k], 1000));
}

static uint64_t sum(const struct figures *f, int first_outcome)
{
    uint64_t n = 0;
    for (int k = 0; k < KINDS; k++)
        for (int o = first_outcome; o < OUTCOMES; o++)
            n += f->count[k][o];
    return n;
}

static void print_figures(struct figures *f)
{
    uint64_t now = tool_now(), requests = sum(f, OK);
    uint64_t gap = now - f->last_ok > f->max_gap ? now - f->last_ok : f->max_gap;
    tool_samples_sort(&f->failed_us);
    printf("{\"phase\": \"%s\", \"seconds\": %.3f, \"requests\": %llu, \"max_gap_us\": %llu, ",
           f->name, (double)(now - f->start) / (double)SECOND_NS, (unsigned long long)requests,
           (unsigned long long)gap / 1000);
    print_kind(f, IDEMPOTENT);
    print_kind(f, ONCE);
    printf("\"connects\": %llu, \"idle_closed\": %llu, \"failed_max_us\": %u, \"failures\": [",
           (unsigned long long)f->connects, (unsigned long long)f->idle_closed,
           tool_samples_at(&f->failed_us, 1000));
    for (size_t i = 0; i < f->n_failures; i++) {
        struct failure *x = &f->failures[i];
        printf("%s{\"id\": \"%s\", \"kind\": \"%s\", \"outcome\": \"%s\", \"status\": %u, "
               "\"us\": %u, \"at_s\": %.3f}",
               i ? ", " : "", x->id, kind_names[x->kind], outcome_names[x->outcome], x->status,
               x->us, x->at_s);
    }
    printf("]}\n");
    fflush(stdout);
}

/* ---- one request ---- */

static void drop(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void request_end(struct load *l, struct conn *c, enum outcome o, uint16_t status, bool keep)
{
    figures_add(&l->phase, l, c, o, status);
    figures_add(&l->total, l, c, o, status);
    if (!keep || l->fresh)
        drop(c);
    c->state = IDLE;
    c->in_n = 0;
    /* a refusal is answered by trying again soon, but not by spinning */
    uint64_t rest = o == OK ? l->think : l->think > 2 * MS_NS ? l->think : 2 * MS_NS;
    c->next_at = tool_now() + rest;
}

static void write_request(struct load *l, struct conn *c)
{
    uint32_t dice = roll(l) % 100;
    const char *method = dice < l->post ? "POST" : dice < l->post + l->put ? "PUT" : "GET";
    const char *path = roll(l) % 100 < l->chunked ? "/chunked" : "/line";
    snprintf(c->method, sizeof c->method, "%s", method);
    snprintf(c->id, sizeof c->id, "%s-%c%llu", l->run, method[1], (unsigned long long)l->serial++);
    /* every fifth has none: what may be sent again must not hang on the body alone */
    c->body_n = *method == 'G' || l->serial % 5 == 0 ? 0 : l->body;
    int n = snprintf(c->out, OUT_MAX, "%s %s HTTP/1.1\r\nHost: test\r\nX-Request-Id: %s\r\n",
                     method, path, c->id);
    n += c->body_n
             ? snprintf(c->out + n, OUT_MAX - (size_t)n, "Content-Length: %zu\r\n\r\n", c->body_n)
             : snprintf(c->out + n, OUT_MAX - (size_t)n, "\r\n");
    for (size_t i = 0; i < c->body_n; i++)
        c->out[(size_t)n + i] = (char)('a' + (i + l->serial) % 26);
    c->body_sum = tool_fnv(TOOL_FNV, c->out + n, c->body_n);
    c->out_n = (size_t)n + c->body_n;
    c->out_at = 0;
}

static void connection_ended(struct load *l, struct conn *c)
{
    if (c->state == IDLE) {
        l->phase.idle_closed++;
        l->total.idle_closed++;
        drop(c);
        return;
    }
    request_end(l, c, c->state == CONNECTING ? REFUSED : DIED, 0, false);
}

static void send_more(struct load *l, struct conn *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        connection_ended(l, c);
        return;
    }
    c->out_at += n > 0 ? (size_t)n : 0;
    c->state = c->out_at < c->out_n ? SENDING : READING;
    tool_watch(l->epoll, c->fd, EPOLLIN | (c->state == SENDING ? EPOLLOUT : 0), c, false);
}

static void request_begin(struct load *l, struct conn *c)
{
    c->started = tool_now();
    c->in_n = 0;
    write_request(l, c);
    if (c->fd >= 0) {
        send_more(l, c);
        return;
    }
    c->state = CONNECTING;
    c->fd = tool_connect(l->to);
    l->phase.connects++;
    l->total.connects++;
    if (c->fd < 0)
        request_end(l, c, REFUSED, 0, false);
    else
        tool_watch(l->epoll, c->fd, EPOLLOUT, c, true);
}

/* ---- its answer ---- */

/* Unwraps a chunked body in place. Its length, or SIZE_MAX when it is not complete. */
static size_t unchunk(char *p, size_t n, size_t *used)
{
    size_t at = 0, to = 0;
    for (;;) {
        char *eol = at < n ? memchr(p + at, '\n', n - at) : NULL;
        if (!eol)
            return SIZE_MAX;
        size_t size = strtoul(p + at, NULL, 16);
        at = (size_t)(eol - p) + 1;
        if (size == 0)
            break;
        if (at + size + 2 > n)
            return SIZE_MAX;
        memmove(p + to, p + at, size);
        to += size;
        at += size + 2;
    }
    for (;;) { /* trailers up to the empty line */
        char *eol = at < n ? memchr(p + at, '\n', n - at) : NULL;
        if (!eol)
            return SIZE_MAX;
        bool empty = (size_t)(eol - p) - at <= 1;
        at = (size_t)(eol - p) + 1;
        if (empty)
            break;
    }
    *used = at;
    return to;
}

static bool answer_matches(struct conn *c, const char *body, size_t n)
{
    char want[160];
    int k =
        snprintf(want, sizeof want, " %s %s %zu %08x\n", c->method, c->id, c->body_n, c->body_sum);
    const char *blank = memchr(body, ' ', n);
    return blank && (size_t)(body + n - blank) == (size_t)k && memcmp(blank, want, (size_t)k) == 0;
}

/* An answer that is whole ends the request. */
static void look_at_answer(struct load *l, struct conn *c)
{
    char v[64], copy[IN_MAX + 1];
    size_t head = tool_head_end(c->in, c->in_n), used = 0, n;
    int status = 0;
    if (!head)
        return;
    memcpy(copy, c->in, c->in_n);
    copy[c->in_n] = 0;
    if (sscanf(copy, "HTTP/1.1 %3d", &status) != 1) {
        request_end(l, c, BAD, 0, false);
        return;
    }
    char *body = copy + head;
    if (tool_field(copy, head, "Transfer-Encoding", v, sizeof v)) {
        n = unchunk(body, c->in_n - head, &used);
    } else if (tool_field(copy, head, "Content-Length", v, sizeof v)) {
        n = used = strtoul(v, NULL, 10);
        if (c->in_n - head < n)
            return;
    } else {
        request_end(l, c, BAD, 0, false);
        return;
    }
    if (n == SIZE_MAX)
        return;
    bool keep = !(tool_field(copy, head, "Connection", v, sizeof v) && strcasecmp(v, "close") == 0);
    if (c->in_n != head + used)
        request_end(l, c, BAD, (uint16_t)status, false);
    else if (status > 399)
        request_end(l, c, STATUS, (uint16_t)status, keep);
    else if (!answer_matches(c, body, n))
        request_end(l, c, BAD, (uint16_t)status, false);
    else
        request_end(l, c, OK, (uint16_t)status, keep);
}

static void read_more(struct load *l, struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_n, IN_MAX - c->in_n, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        connection_ended(l, c);
        return;
    }
    c->in_n += (size_t)n;
    if (c->state == IDLE) { /* bytes that nobody asked for; the next request will see them */
        drop(c);
        return;
    }
    look_at_answer(l, c);
    if (c->state != IDLE && c->in_n == IN_MAX)
        request_end(l, c, BAD, 0, false);
}

static void on_event(struct load *l, struct conn *c, uint32_t events)
{
    if (c->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        if (tool_connect_result(c->fd))
            connection_ended(l, c);
        else
            send_more(l, c);
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        read_more(l, c);
    if (c->fd >= 0 && c->state == SENDING && events & EPOLLOUT)
        send_more(l, c);
}

/* ---- the run ---- */

static void on_line(void *arg, char *text)
{
    struct load *l = arg;
    if (strncmp(text, "phase ", 6) == 0) {
        print_figures(&l->phase);
        figures_reset(&l->phase, text + 6);
    } else if (strcmp(text, "snapshot") == 0) {
        print_figures(&l->total);
    } else if (strcmp(text, "count") == 0) {
        printf("{\"requests\": %llu, \"failed\": %llu}\n", (unsigned long long)sum(&l->total, OK),
               (unsigned long long)sum(&l->total, STATUS));
        fflush(stdout);
    } else if (strcmp(text, "stop") == 0) {
        l->stopping = true;
    }
}

/* Begins what is due, ends what took too long. Sets how long nothing has to be done; false when
 * all is over. */
static bool turn(struct load *l, uint64_t *wait)
{
    uint64_t now = tool_now(), next = now + SECOND_NS;
    bool busy = false;
    for (uint64_t i = 0; i < l->connections; i++) {
        struct conn *c = &l->conns[i];
        if (c->state == IDLE && c->next_at <= now && !l->stopping)
            request_begin(l, c);
        if (c->state != IDLE && c->started + l->timeout <= now)
            request_end(l, c, TIMEOUT, 0, false);
        uint64_t due = c->state == IDLE ? c->next_at : c->started + l->timeout;
        if (due < next && !(c->state == IDLE && l->stopping))
            next = due;
        busy |= c->state != IDLE;
    }
    *wait = next > now ? next - now : 0;
    return busy || !l->stopping;
}

static void run(struct load *l)
{
    uint64_t wait;
    while (turn(l, &wait)) {
        struct epoll_event e[256];
        struct timespec t = {.tv_sec = (time_t)(wait / SECOND_NS),
                             .tv_nsec = (long)(wait % SECOND_NS)};
        int n = epoll_pwait2(l->epoll, e, 256, &t, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = e[i].data.ptr;
            if (!c) {
                if (!tool_lines_read(&l->lines, on_line, l)) {
                    epoll_ctl(l->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
                    l->stopping = true;
                }
            } else if (c->fd >= 0) {
                on_event(l, c, e[i].events);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct load l = {.to = tool_option(argc, argv, "to"),
                     .run = tool_option(argc, argv, "run"),
                     .connections = tool_number(argc, argv, "connections", 64),
                     .post = tool_number(argc, argv, "post", 25),
                     .put = tool_number(argc, argv, "put", 10),
                     .chunked = tool_number(argc, argv, "chunked", 10),
                     .body = tool_number(argc, argv, "body", 512),
                     .think = tool_number(argc, argv, "think-us", 0) * 1000,
                     .timeout = tool_number(argc, argv, "timeout-ms", 10000) * MS_NS,
                     .fresh = tool_number(argc, argv, "fresh", 0),
                     .random = 2463534242u};
    if (!l.to || l.body > BODY_MAX || !l.connections) {
        fprintf(stderr, "usage: load --to ADDR [--connections N] ... (see the head of load.c)\n");
        return 2;
    }
    l.run = l.run ? l.run : "r";
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.conns = calloc(l.connections, sizeof *l.conns);
    if (!l.conns)
        tool_die("memory");
    for (uint64_t i = 0; i < l.connections; i++)
        l.conns[i].fd = -1;
    signal(SIGPIPE, SIG_IGN);
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    tool_watch(l.epoll, STDIN_FILENO, EPOLLIN, NULL, true);
    l.began = tool_now();
    figures_reset(&l.phase, "start");
    figures_reset(&l.total, "total");
    run(&l);
    print_figures(&l.phase);
    print_figures(&l.total);
    return 0;
}
