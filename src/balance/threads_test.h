/* Threads for the tests of what workers share. Include after cmocka.h. */
#ifndef HF_THREADS_TEST_H
#define HF_THREADS_TEST_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"

enum { THREADS = 4 };

/* Runs f in THREADS threads at once; each gets its number and the same context. */
struct thread_job {
    void (*f)(void *context, uint32_t number);
    void *context;
    uint32_t number;
    _Atomic uint32_t *waiting;
};

static inline void *thread_main(void *arg)
{
    struct thread_job *j = arg;
    atomic_fetch_sub(j->waiting, 1);
    while (atomic_load(j->waiting) > 0)
        ;
    j->f(j->context, j->number);
    return NULL;
}

static inline void in_threads(void (*f)(void *, uint32_t), void *context)
{
    pthread_t threads[THREADS];
    struct thread_job jobs[THREADS];
    _Atomic uint32_t waiting = THREADS;
    for (uint32_t i = 0; i < THREADS; i++) {
        jobs[i] = (struct thread_job){f, context, i, &waiting};
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &jobs[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

#endif
