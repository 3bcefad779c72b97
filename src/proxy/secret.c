#include "proxy/secret.h"

#include <pthread.h>

enum { SERVICES_MAX = 4096 };

struct secret {
    struct secret *next;
    size_t name_n, n;
    char bytes[]; /* the name, then the secret */
};

struct secrets {
    pthread_mutex_t lock;
    struct secret *first;
    uint32_t count;
};

struct secrets *secrets_new(void)
{
    struct secrets *s = mem_zero(1, sizeof *s);
    if (s)
        pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void forget(struct secret *x)
{
    explicit_bzero(x->bytes, x->name_n + x->n);
    mem_free(x);
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    while (s->first) {
        struct secret *next = s->first->next;
        forget(s->first);
        s->first = next;
    }
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static struct secret **find(struct secrets *s, struct str service)
{
    struct secret **at = &s->first;
    while (*at && !str_eq((struct str){(*at)->bytes, (*at)->name_n}, service))
        at = &(*at)->next;
    return at;
}

/* Takes the place of the one that the service had. */
static void put(struct secrets *s, struct str service, struct secret *fresh)
{
    struct secret **at = find(s, service), *old = *at;
    if (fresh) {
        fresh->next = old ? old->next : NULL;
        *at = fresh;
    } else if (old) {
        *at = old->next;
    }
    s->count += (fresh != NULL) - (old != NULL);
    if (old)
        forget(old);
}

int secrets_set(struct secrets *s, struct str service, struct str secret, struct err *e)
{
    struct secret *x = NULL;
    if (secret.n) {
        x = mem_alloc(sizeof *x + service.n + secret.n);
        if (!x)
            return err_set(e, ERR_NOMEM, "no memory for a service's secret");
        *x = (struct secret){.name_n = service.n, .n = secret.n};
        memcpy(x->bytes, service.p, service.n);
        memcpy(x->bytes + service.n, secret.p, secret.n);
    }
    pthread_mutex_lock(&s->lock);
    bool full = x && s->count >= SERVICES_MAX && !*find(s, service);
    if (!full)
        put(s, service, x);
    pthread_mutex_unlock(&s->lock);
    if (!full)
        return 0;
    forget(x);
    return err_set(e, ERR_LIMIT, "too many services have a secret");
}

size_t secrets_get(struct secrets *s, struct str service, char *out, size_t size)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    const struct secret *x = *find(s, service);
    if (x && x->n <= size) {
        n = x->n;
        memcpy(out, x->bytes + x->name_n, n);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}
