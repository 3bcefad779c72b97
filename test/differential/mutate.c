#include "mutate.h"

static const struct str words[] = {
    {"\r\n", 2},
    {"\n", 1},
    {"\r", 1},
    {" ", 1},
    {"\t", 1},
    {":", 1},
    {"\0", 1},
    {",", 1},
    {";", 1},
    {"chunked", 7},
    {"Content-Length: 5\r\n", 19},
    {"Transfer-Encoding: chunked\r\n", 28},
    {"Connection: close\r\n", 19},
    {"Connection: keep-alive\r\n", 24},
    {"Connection: upgrade\r\n", 21},
    {"Upgrade: websocket\r\n", 20},
    {"Host: b\r\n", 9},
    {"HTTP/1.0", 8},
    {"HTTP/1.1", 8},
    {"0", 1},
    {"5", 1},
    {"f", 1},
    {"+", 1},
    {"-", 1},
    {"\x80", 1},
    {"\x7f", 1},
    {"\v", 1},
    {"\r\n ", 3},
    {"\r\n\r\n", 4},
    {"GET ", 4},
    {"http://b/", 9},
};

static size_t insert(char *p, size_t n, size_t size, size_t at, struct str s)
{
    if (s.n > size - n)
        return n;
    memmove(p + at + s.n, p + at, n - at);
    memcpy(p + at, s.p, s.n);
    return n + s.n;
}

static size_t erase(char *p, size_t n, size_t at, size_t count)
{
    count = MIN(count, n - at);
    memmove(p + at, p + at + count, n - at - count);
    return n - count;
}

/* The start of a line at random, the first included. */
static size_t line_start(struct prng *r, struct str s)
{
    size_t at = prng_below(r, s.n + 1);
    while (at > 0 && s.p[at - 1] != '\n')
        at--;
    return at;
}

static struct str line_at(struct str s, size_t at)
{
    const char *end = memchr(s.p + at, '\n', s.n - at);
    return (struct str){s.p + at, end ? (size_t)(end - s.p) + 1 - at : s.n - at};
}

static size_t once(struct prng *r, char *p, size_t n, size_t size, struct str other)
{
    size_t at = prng_below(r, n + 1);
    struct str self = {p, n}, word = words[prng_below(r, ARRAY_LEN(words))];
    char copy[64];
    switch (prng_below(r, 8)) {
    case 0: return insert(p, n, size, at, word);
    case 1: return insert(p, n, size, line_start(r, self), word);
    case 2: return erase(p, n, at, 1 + prng_below(r, 3));
    case 3: return insert(p, n, size, line_start(r, self), line_at(other, line_start(r, other)));
    case 4: {
        struct str line = line_at(self, line_start(r, self));
        size_t length = str_copy(copy, sizeof copy, line);
        return insert(p, n, size, line_start(r, self), (struct str){copy, length});
    }
    case 5:
        if (at < n)
            p[at] = (char)prng_below(r, 256);
        return n;
    case 6:
        if (at < n)
            p[at] ^= 0x20;
        return n;
    default:
        if (at < n)
            p[at] = word.p[0];
        return n;
    }
}

size_t mutate(struct prng *r, char *p, size_t n, size_t size, struct str other)
{
    do
        n = once(r, p, n, size, other);
    while (prng_below(r, 2));
    return n;
}
