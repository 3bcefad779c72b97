/* seal_bench: nanoseconds of sealing and of opening a datagram, for some sizes, of a handshake, and
 * of refusing what is forged. No test: it measures, and judges nothing. Usage: bench_mesh_seal */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mesh/seal.h"
#include "os/os.h"

enum { TIMES = 20000, ROUNDS = 15, HEARTBEAT = 200 };

static struct seal *a, *b;
static uint8_t out[TIMES][SEAL_DATAGRAM_MAX];
static uint64_t now = 1000000000;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void real_entropy(void *context, void *p, size_t n)
{
    entropy(p, n);
}

static void meet(void)
{
    struct keyring k = {0};
    const struct seal_host h = {.entropy = real_entropy};
    const uint8_t secret[SEAL_SECRET] = {1};
    struct seal_opened o;
    uint8_t d[SEAL_DATAGRAM_MAX];
    bool sealed;
    if (keyring_add(&k, secret, NULL) || seal_new(&a, STR("x"), 1, &k, &h, NULL) ||
        seal_new(&b, STR("x"), 2, &k, &h, NULL) || seal_know(a, 2, NULL) || seal_know(b, 1, NULL))
        exit(1);
    size_t n = seal_write(a, 2, "", 0, now, d, &sealed);
    seal_read(b, d, n, now, &o);
    for (int i = 0; i < 2; i++) { /* WELCOME, and what confirms it */
        n = o.reply_n;
        memcpy(d, o.reply, n);
        seal_read(i ? b : a, d, n, now, &o);
    }
    if (!o.up)
        exit(1);
}

static void datagrams(size_t n)
{
    static const uint8_t text[SEAL_DATAGRAM_MAX];
    struct seal_opened o;
    double seal = 1e18, open = 1e18, forged = 1e18;
    bool sealed;
    for (int round = 0; round < ROUNDS; round++) {
        double t = now_ns();
        for (int i = 0; i < TIMES; i++)
            seal_write(a, 2, text, n, now, out[i], &sealed);
        seal = MIN(seal, now_ns() - t);
        memcpy(out[1], out[0], sizeof out[0]);
        out[0][n + SEAL_OVERHEAD - 1] ^= 1;
        t = now_ns();
        for (int i = 1; i < TIMES; i++)
            if (seal_read(b, out[i], n + SEAL_OVERHEAD, now, &o) != SEAL_OK)
                exit(1);
        open = MIN(open, now_ns() - t);
        seal_write(a, 2, text, n, now, out[0], &sealed);
        t = now_ns();
        for (int i = 0; i < TIMES; i++) {
            out[0][n + SEAL_OVERHEAD - 1] ^= (uint8_t)i | 1;
            seal_read(b, out[0], n + SEAL_OVERHEAD, now, &o);
        }
        forged = MIN(forged, now_ns() - t);
    }
    printf("%4zu bytes: seal %4.0f ns, open %4.0f ns, refuse %4.0f ns\n", n, seal / TIMES,
           open / TIMES, forged / TIMES);
}

static void handshakes(void)
{
    double least = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double t = now_ns();
        for (int i = 0; i < 100; i++) {
            meet();
            seal_free(a);
            seal_free(b);
        }
        least = MIN(least, now_ns() - t);
    }
    printf("a handshake, both sides: %.1f us\n", least / 100 / 1e3);
}

int main(void)
{
    handshakes();
    meet();
    datagrams(50);
    datagrams(HEARTBEAT);
    datagrams(SEAL_DATAGRAM_MAX - SEAL_OVERHEAD);
    seal_free(a);
    seal_free(b);
    return 0;
}
