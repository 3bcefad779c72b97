#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    CHECK(code > ERR_OK && code < ERR_CODES);
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        e->code = -(int)code;
    }
    return -(int)code;
}

int err_errno(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    int code = -(int)(saved == ENOMEM                     ? ERR_NOMEM
                      : saved == EACCES || saved == EPERM ? ERR_DENIED
                                                          : ERR_IO);
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof e->text)
            snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(saved));
        e->code = code;
    }
    errno = saved;
    return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -(int)ERR_IO;
    char context[sizeof e->text], whole[sizeof context + sizeof e->text + 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    snprintf(whole, sizeof whole, "%s: %s", context, e->text);
    memcpy(e->text, whole, sizeof e->text - 1);
    e->text[sizeof e->text - 1] = 0;
    return e->code;
}

const char *err_name(int code)
{
    static const char *const names[ERR_CODES] = {
        [ERR_OK] = "ok",         [ERR_NOMEM] = "nomem",     [ERR_IO] = "io",
        [ERR_INVAL] = "invalid", [ERR_PROTO] = "protocol",  [ERR_LIMIT] = "limit",
        [ERR_ABSENT] = "absent", [ERR_EXISTS] = "exists",   [ERR_BUSY] = "busy",
        [ERR_DENIED] = "denied", [ERR_TIMEOUT] = "timeout",
    };
    if (code < 0)
        code = -code;
    return code < ERR_CODES ? names[code] : "unknown";
}
