/* err: the one error idiom. A code for programs and one sentence for people.
 *
 * A function that can fail takes `struct err *` last and returns 0, or the negative code that it
 * stored there. The sentence says what failed and, where we know it, what to do. Callers add
 * context with err_wrap and pass it up; it is logged once, at the top. A NULL err is allowed
 * everywhere: the code alone is returned. */
#ifndef HF_ERR_H
#define HF_ERR_H

enum err_code {
    ERR_OK = 0,
    ERR_NOMEM,  /* an allocation failed */
    ERR_IO,     /* a system call failed */
    ERR_INVAL,  /* the request itself is wrong */
    ERR_PROTO,  /* the peer's bytes are malformed */
    ERR_LIMIT,  /* a configured or fixed bound was reached */
    ERR_ABSENT, /* what was named does not exist */
    ERR_EXISTS, /* what was to be made is already there */
    ERR_BUSY,   /* it may work later */
    ERR_DENIED, /* not permitted */
    ERR_TIMEOUT,
    ERR_CODES
};

struct err {
    int code; /* 0 or a negative enum err_code */
    char text[256];
};

/* Stores -code and the sentence; returns -code. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set with ": " and the text of errno (saved on entry) behind the sentence. */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the sentence that is there; returns the code that is there. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A stable short name for a code ("limit"), for JSON and logs. Accepts the code with either sign.
 */
const char *err_name(int code);

#endif
