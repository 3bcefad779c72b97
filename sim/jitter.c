#include "jitter.h"

#include <math.h>
#include <stdio.h>

enum { STRETCH = 1000, INVENTED = 1 << 17 };

static void add(struct jitter *j, size_t *cap, uint32_t us)
{
    if (j->n == *cap) {
        *cap = *cap ? *cap * 2 : 4096;
        j->us = sim_resize(j->us, *cap * sizeof *j->us);
    }
    j->us[j->n++] = us;
    j->worst = MAX(j->worst, us);
}

int jitter_read(struct jitter *out, const char *path, struct err *e)
{
    *out = (struct jitter){0};
    FILE *f = fopen(path, "r");
    if (!f)
        return err_errno(e, "cannot open the recording %s", path);
    char line[128];
    size_t cap = 0, number = 0;
    while (fgets(line, sizeof line, f)) {
        number++;
        struct str s = str_trim((struct str){line, strcspn(line, "\r\n")});
        uint64_t us;
        if (!s.n || s.p[0] == '#')
            continue;
        if (!str_u64(s, UINT32_MAX, &us)) {
            fclose(f);
            jitter_free(out);
            return err_set(e, ERR_INVAL, "%s:%zu is no number of microseconds", path, number);
        }
        add(out, &cap, (uint32_t)us);
    }
    fclose(f);
    return out->n ? 0 : err_set(e, ERR_INVAL, "%s holds no delay", path);
}

/* Log-normal about 60 us as an idle kernel has it; one in 500 is Pareto from 1 ms, as where others
 * compute; none above 150 ms. */
void jitter_invent(struct jitter *out)
{
    struct prng r;
    size_t cap = 0;
    *out = (struct jitter){0};
    prng_seed(&r, 1);
    for (int i = 0; i < INVENTED; i++) {
        double us, u = 1 - prng_unit(&r), v = prng_unit(&r);
        if (prng_below(&r, 500) == 0)
            us = 1000 * pow(u, -1 / 1.2);
        else
            us = 60 * exp(0.6 * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
        add(out, &cap, (uint32_t)MIN(us, 150000));
    }
}

void jitter_free(struct jitter *j)
{
    mem_free(j->us);
    *j = (struct jitter){0};
}

uint64_t jitter_next(const struct jitter *j, struct jitter_at *at, struct prng *r)
{
    if (!at->left || at->next >= j->n) {
        at->next = prng_below(r, j->n);
        at->left = STRETCH;
    }
    at->left--;
    return j->us[at->next++] * US;
}
