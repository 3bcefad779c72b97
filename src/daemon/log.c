#include "daemon/log.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

enum { LINE_MAX_BYTES = 1024, TEXT_MAX_BYTES = 900 };

static const struct {
    const char *name;
    int syslog; /* RFC 5424, section 6.2.1 */
} levels[LOG_LEVELS] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

const char *log_level_name(enum log_level level)
{
    CHECK(level < LOG_LEVELS);
    return levels[level].name;
}

int log_open(struct log *l, const char *name, const char *level, struct err *e)
{
    *l = (struct log){.fd = STDERR_FILENO, .name = name, .least = LOG_LEVEL_INFO};
    l->managed = getenv("JOURNAL_STREAM") != NULL;
    if (!level)
        return 0;
    for (enum log_level i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(levels[i].name, level) == 0) {
            l->least = i;
            return 0;
        }
    }
    return err_set(e, ERR_INVAL, "the log level is error, warning, info or debug, not '%.32s'",
                   level);
}

static size_t clamp(int n, size_t size)
{
    return n < 0 ? 0 : MIN((size_t)n, size - 1);
}

static size_t format_head(char *out, size_t size, const struct log *l, enum log_level level,
                          uint64_t unix_ns)
{
    const char *open = l->name ? "[" : "";
    const char *name = l->name ? l->name : "";
    const char *close = l->name ? "]" : "";
    if (l->managed)
        return clamp(
            snprintf(out, size, "<%d>holdfast%s%s%s: ", levels[level].syslog, open, name, close),
            size);
    time_t seconds = (time_t)(unix_ns / NS_PER_S);
    struct tm tm;
    char stamp[32] = "";
    if (gmtime_r(&seconds, &tm))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    return clamp(snprintf(out, size, "%s.%03uZ holdfast%s%s%s %s: ", stamp,
                          (unsigned)(unix_ns / NS_PER_MS % 1000), open, name, close,
                          levels[level].name),
                 size);
}

size_t log_line_format(char *out, size_t size, const struct log *l, enum log_level level,
                       uint64_t unix_ns, const char *text)
{
    CHECK(level < LOG_LEVELS && size >= 128);
    size_t n = format_head(out, size - 1, l, level, unix_ns);
    for (const char *p = text; *p && n < size - 1; p++) {
        unsigned char c = (unsigned char)*p;
        out[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    out[n++] = '\n';
    return n;
}

static uint64_t unix_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* A pipe is writable for poll when PIPE_BUF bytes fit, which is more than a line: the write that
 * follows does not wait. */
static void emit(struct log *l, const char *line, size_t n)
{
    struct pollfd p = {.fd = l->fd, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) || write(l->fd, line, n) != (ssize_t)n)
        atomic_fetch_add_explicit(&l->dropped, 1, memory_order_relaxed);
}

void log_line(struct log *l, enum log_level level, const char *fmt, ...)
{
    if (level > l->least)
        return;
    char text[TEXT_MAX_BYTES], line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    uint32_t dropped = atomic_exchange_explicit(&l->dropped, 0, memory_order_relaxed);
    if (dropped) {
        char lost[64];
        snprintf(lost, sizeof lost, "%u lines could not be written", dropped);
        emit(l, line, log_line_format(line, sizeof line, l, LOG_LEVEL_WARNING, unix_now(), lost));
    }
    emit(l, line, log_line_format(line, sizeof line, l, level, unix_now(), text));
    /* The notice itself may have been dropped: then its count must not be lost. */
    if (dropped && atomic_load_explicit(&l->dropped, memory_order_relaxed))
        atomic_fetch_add_explicit(&l->dropped, dropped - 1, memory_order_relaxed);
}
