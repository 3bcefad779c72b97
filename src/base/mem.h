/* mem: allocation that can be made to fail.
 *
 * All heap memory of the daemon comes from here. The functions return NULL when memory is out, and
 * tests make the n-th allocation of a thread fail, so that every failure path is run. The owner of
 * a block is named where it is allocated; mem_free accepts NULL. */
#ifndef HF_MEM_H
#define HF_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1))); /* uninitialised */
void *mem_zero(size_t count, size_t size)
    __attribute__((alloc_size(1, 2))); /* zeroed; the product is overflow-checked */
void *mem_resize(void *p, size_t size)
    __attribute__((alloc_size(2))); /* as realloc; p stays valid on NULL */
void mem_free(void *p);

/* Tests only: let the n-th allocation from now on in this thread fail, once (1 is the next one); 0
 * disarms. */
void mem_fail_at(unsigned long n);
/* Tests only: true once the armed failure has happened. */
int mem_failed(void);

#endif
