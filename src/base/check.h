/* check: assertions that state beliefs, in production too.
 *
 * CHECK(x) is for what our own code guarantees. It never guards input: bytes from the network, a
 * file or another process are refused with an error (err.h). A failed CHECK prints one line and
 * aborts: the supervisor restarts the process. */
#ifndef HF_CHECK_H
#define HF_CHECK_H

#include <stddef.h>
#include <stdint.h>

_Noreturn void check_failed(const char *file, int line, const char *func, const char *what);

#define CHECK(x)                                                                                   \
    (__builtin_expect(!!(x), 1) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #x))
#define UNREACHABLE() check_failed(__FILE__, __LINE__, __func__, "unreachable")

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

/* The struct of type T whose MEMBER is at PTR. */
#define CONTAINER_OF(ptr, T, member) ((T *)(void *)((char *)(ptr)-offsetof(T, member)))

#endif
