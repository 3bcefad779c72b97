/* thread: what the owner of an audit and its thread share. Inside this room. */
#ifndef HF_AUDIT_THREAD_H
#define HF_AUDIT_THREAD_H

#include <pthread.h>

#include "audit/inside.h"

enum { NEWS = 8 };

struct audit_job {
    struct list link;      /* in asked, then in answered */
    struct audit_ask *ask; /* the owner's; NULL: nobody waits any more */
    struct audit_question question;
    struct store_answer answer;
    struct err err;
    uint64_t written;
};

struct news {
    enum audit_news what;
    uint64_t n;
    char text[320];
};

struct audit {
    struct audit_options o;
    char path[4096], node[256], vfs[32];
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t more; /* CLOCK_MONOTONIC */

    /* under the lock */
    struct buf filling;
    struct list asked, answered;
    struct audit_limits limits;
    struct audit_counts counts;
    uint64_t lost; /* not told yet */
    struct news news[NEWS];
    uint32_t n_news;
    bool stop, asleep;

    /* the thread's */
    struct store store;
    bool open, failing;
    struct buf writing;
    struct str left;            /* of writing */
    uint64_t sync_at, retry_at; /* boot ns; 0: no need */

    /* the owner's */
    struct io wake;
    int wake_fd;
    uint32_t n_asks;
    struct buf packed;
};

/* The thread: argument is a struct audit. */
void *thread_run(void *argument);

#endif
