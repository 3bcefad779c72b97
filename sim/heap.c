/* heap: how much memory the daemon's objects hold. The linker puts these functions before those of
 * base/mem.h (--wrap); whoever is entered is charged. A block is given back where it came from:
 * engines free their memory only inside their own calls. */
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

void *__real_mem_alloc(size_t size);
void *__real_mem_zero(size_t count, size_t size);
void *__real_mem_resize(void *p, size_t size);
void __real_mem_free(void *p);
void *__wrap_mem_alloc(size_t size);
void *__wrap_mem_zero(size_t count, size_t size);
void *__wrap_mem_resize(void *p, size_t size);
void __wrap_mem_free(void *p);

static _Thread_local struct sim_heap *charged;

void sim_enter(struct sim_heap *h)
{
    charged = h;
}

struct sim_heap *sim_leave(void)
{
    struct sim_heap *was = charged;
    charged = NULL;
    return was;
}

static void *charge(void *p)
{
    if (charged && p) {
        charged->blocks++;
        charged->bytes += (int64_t)malloc_usable_size(p);
    }
    return p;
}

static void discharge(void *p)
{
    if (charged && p) {
        charged->blocks--;
        charged->bytes -= (int64_t)malloc_usable_size(p);
    }
}

void *__wrap_mem_alloc(size_t size)
{
    return charge(__real_mem_alloc(size));
}

void *__wrap_mem_zero(size_t count, size_t size)
{
    return charge(__real_mem_zero(count, size));
}

void *__wrap_mem_resize(void *p, size_t size)
{
    discharge(p);
    void *moved = __real_mem_resize(p, size);
    charge(moved ? moved : p);
    return moved;
}

void __wrap_mem_free(void *p)
{
    discharge(p);
    __real_mem_free(p);
}

_Noreturn void sim_die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "holdfast-sim: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(2);
}

void *sim_zero(size_t count, size_t size)
{
    void *p = mem_zero(count, size);
    if (!p)
        sim_die("out of memory");
    return p;
}

void *sim_resize(void *p, size_t size)
{
    void *moved = mem_resize(p, size);
    if (!moved)
        sim_die("out of memory");
    return moved;
}

struct str sim_text(const struct buf *b)
{
    if (b->failed)
        sim_die("out of memory");
    return buf_str(b);
}
