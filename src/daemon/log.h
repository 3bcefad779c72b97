/* log: what a process says to its operator: one line on standard error per event.
 *
 *   2026-03-01T10:20:30.123Z holdfast[proxy] warning: text      on a terminal or in a file
 *   <4>holdfast[proxy]: text                                    below a service manager (the
 * journal adds the time and reads the level)
 *
 * A line is one write, so that lines of several processes never mix, and it never waits: when
 * standard error is a pipe that nobody reads, the line is dropped and counted; the next line that
 * fits says how many. Control characters in the text become '?', so that nothing quoted in a line
 * can forge another. Any thread may log. */
#ifndef HF_LOG_H
#define HF_LOG_H

#include <stdarg.h>
#include <stdatomic.h>

#include "base/base.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVELS };

struct log {
    int fd;
    const char *name; /* of the process; NULL for the supervisor, which is just "holdfast" */
    enum log_level least;
    bool managed; /* a service manager reads */
    _Atomic uint32_t dropped;
};

/* Standard error, at the level of that name ("error", "warning", "info", "debug"; NULL is info). */
int log_open(struct log *l, const char *name, const char *level, struct err *e);
void log_line(struct log *l, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
const char *log_level_name(enum log_level level);

/* The line alone, with its newline; returns its length. Cut to fit. For log_line and its test. */
size_t log_line_format(char *out, size_t size, const struct log *l, enum log_level level,
                       uint64_t unix_ns, const char *text);

#define log_error(l, ...)   log_line((l), LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(l, ...) log_line((l), LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(l, ...)    log_line((l), LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(l, ...)   log_line((l), LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
