/* llhttp: the parser of Node.js reads the same messages, and every difference has a name.
 *
 * The cases of the room's own tests and seeded mutations of them go through both. A difference is
 * put into the first class that explains it; docs/http1.md says why each class is as it is. One
 * that none explains fails the test, and so does a class that explains nothing any more.
 *
 * Usage: llhttp DOCUMENT [cases] [seed] */
#include <stdio.h>
#include <stdlib.h>

#include "classes.h"
#include "mutate.h"

enum { MESSAGE_MAX = 2048, CLASSES_MAX = 64, SHOWN = 20 };

struct tally {
    unsigned long cases, accepted, refused, unfinished, unexplained;
    unsigned long classes[CLASSES_MAX];
};

static uint64_t text_of(const struct http_head *h)
{
    uint64_t hash = ORACLE_HASH;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        hash = oracle_hash(hash, h->headers[i].name.p, h->headers[i].name.n);
        hash = oracle_hash(hash, ":", 1);
        hash = oracle_hash(hash, h->headers[i].value.p, h->headers[i].value.n);
        hash = oracle_hash(hash, "\n", 1);
    }
    return hash;
}

static void read_both(struct reading *r)
{
    static char to[MESSAGE_MAX];
    if (r->kind == CASE_CHUNKED) {
        struct http_chunked c = {0};
        size_t payload;
        r->result = http1_case_decode(&c, r->p, r->n, r->n, to, &payload, &r->used, &r->why);
        r->payload = oracle_hash(ORACLE_HASH, to, payload);
        oracle_chunked(r->p, r->n, &r->theirs);
        return;
    }
    r->result = http1_case_parse(r->kind, r->p, r->n, 0, &r->head, &r->why);
    if (r->result == HTTP_DONE) {
        r->used = r->head.bytes;
        r->text = text_of(&r->head);
    }
    oracle_head(r->kind == CASE_REQUEST, r->p, r->n, &r->theirs);
}

static void show_bytes(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '\r' || c == '\n')
            printf("\\%c", c == '\r' ? 'r' : 'n');
        else if (c < 0x20 || c >= 0x7f || c == '\\')
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    putchar('\n');
}

static void show(const struct reading *r)
{
    static const char *const results[] = {"refuse", "want more", "accept"};
    printf("unexplained: we %s%s%s, llhttp %s %s\n", results[r->result + 1],
           r->result == HTTP_REFUSED ? ": " : "", r->result == HTTP_REFUSED ? r->why->code : "",
           r->theirs.result == ORACLE_REFUSED ? "refuses"
           : r->theirs.result == ORACLE_DONE  ? "accepts"
                                              : "wants more",
           r->theirs.result == ORACLE_REFUSED ? r->theirs.error : "");
    if (r->result == HTTP_DONE && r->theirs.result == ORACLE_DONE)
        printf("  bytes %zu/%zu framing %u/%u length %llu/%llu fields %u/%u keep-alive %d/%d\n",
               r->used, r->theirs.bytes, r->head.framing, r->theirs.framing,
               (unsigned long long)r->head.length, (unsigned long long)r->theirs.length,
               r->head.n_headers, r->theirs.fields, r->head.keep_alive, r->theirs.keep_alive);
    printf("  ");
    show_bytes(r->p, r->n);
}

/* We wait for a whole head where llhttp judges it byte by byte: what it would come to is seen once
 * it is whole. False if it was completed already. */
static bool complete(struct reading *r)
{
    static char whole[MESSAGE_MAX + 4];
    if (r->kind == CASE_CHUNKED)
        return false;
    size_t n = r->n;
    while (n && (r->p[n - 1] == '\r' || r->p[n - 1] == '\n'))
        n--;
    memcpy(whole, r->p, n);
    memcpy(whole + n, "\r\n\r\n", 4);
    r->p = whole;
    r->n = n + 4;
    return true;
}

static void judge(enum http1_case_kind kind, const char *p, size_t n, struct tally *t)
{
    static struct reading r;
    r.kind = kind;
    r.p = p;
    r.n = n;
    read_both(&r);
    if (r.result == HTTP_MORE && r.theirs.result == ORACLE_REFUSED && complete(&r))
        read_both(&r);
    t->cases++;
    if (reading_agrees(&r)) {
        t->accepted += r.result == HTTP_DONE;
        t->refused += r.result == HTTP_REFUSED;
        t->unfinished += r.result == HTTP_MORE;
        return;
    }
    int class = class_of(&r);
    if (class >= 0)
        t->classes[class]++;
    else if (t->unexplained++ < SHOWN)
        show(&r);
}

struct seed {
    enum http1_case_kind kind;
    struct str bytes;
};

/* Refused ones first; *refused is how many. */
static size_t collect(struct seed *seeds, size_t room, size_t *refused)
{
    size_t n = 0;
    *refused = 0;
    for (size_t i = 0; i < http1_refused_count + http1_accepted_count; i++) {
        bool accepted = i >= http1_refused_count;
        size_t k = accepted ? i - http1_refused_count : i;
        struct seed s =
            accepted ? (struct seed){http1_accepted_cases[k].kind, http1_accepted_cases[k].bytes}
                     : (struct seed){http1_refused_cases[k].kind, http1_refused_cases[k].bytes};
        /* The oracle is not told what a response answers. */
        if (s.kind != CASE_HEAD_RESPONSE && s.bytes.n < MESSAGE_MAX && n < room)
            seeds[n++] = s;
        if (!accepted)
            *refused = n;
    }
    return n;
}

static void run(unsigned long cases, uint64_t seed, struct tally *t)
{
    static struct seed seeds[1024];
    static char p[MESSAGE_MAX];
    struct prng r;
    prng_seed(&r, seed);
    size_t refused, n = collect(seeds, ARRAY_LEN(seeds), &refused);
    for (size_t i = 0; i < n; i++)
        judge(seeds[i].kind, seeds[i].bytes.p, seeds[i].bytes.n, t);
    while (t->cases < cases) {
        /* Mostly what is accepted: what is refused twice tells less. */
        size_t from = prng_below(&r, 4) ? refused : 0;
        const struct seed *s = &seeds[from + prng_below(&r, n - from)];
        const struct seed *other = &seeds[prng_below(&r, n)];
        memcpy(p, s->bytes.p, s->bytes.n);
        judge(s->kind, p, mutate(&r, p, s->bytes.n, sizeof p, other->bytes), t);
    }
}

/* Every class has a row in the document, "| `class` | ...", and explains something. */
static bool classes_in_order(const char *path, const struct tally *t)
{
    static char text[1 << 18];
    FILE *f = fopen(path, "r");
    if (!f || fread(text, 1, sizeof text - 1, f) == 0) {
        printf("cannot read %s\n", path);
        return false;
    }
    fclose(f);
    bool good = true;
    for (int i = 0; class_name(i); i++) {
        char row[128];
        snprintf(row, sizeof row, "\n| `%s` | ", class_name(i));
        bool there = strstr(text, row) != NULL;
        printf("%8lu  %s%s\n", t->classes[i], class_name(i),
               there ? "" : "  (not in the document)");
        good = good && there && t->classes[i];
    }
    return good;
}

int main(int argc, char **argv)
{
    static struct tally t;
    if (argc < 2)
        return 2;
    run(argc > 2 ? strtoul(argv[2], NULL, 10) : 200000, argc > 3 ? strtoull(argv[3], NULL, 10) : 1,
        &t);
    printf("%lu cases: both accept %lu, both refuse %lu, both want more %lu, unexplained %lu\n",
           t.cases, t.accepted, t.refused, t.unfinished, t.unexplained);
    bool good = classes_in_order(argv[1], &t);
    return good && t.unexplained == 0 ? 0 : 1;
}
