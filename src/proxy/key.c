#include "proxy/key.h"

#include "wire/cookie.h"

/* FNV-1a mixes its last bytes poorly into the high bits; the finaliser of splitmix64 (Steele, Lea
 * and Flood 2014) makes up for it. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t hash(struct str s)
{
    return mix(str_hash(s));
}

uint64_t key_of_source(const uint8_t *ip, size_t n)
{
    return hash((struct str){(const char *)ip, n});
}

uint64_t key_of_instance(struct str service, struct str instance)
{
    uint64_t key = mix(hash(service) + hash(instance));
    return key ? key : 1;
}

static struct str header(const struct http_head *h, struct str name)
{
    for (uint32_t i = 0; i < h->n_headers; i++)
        if (str_eq_nocase(h->headers[i].name, name))
            return h->headers[i].value;
    return (struct str){NULL, 0};
}

bool key_part(struct str list, char separator, struct str name, struct str *value)
{
    while (list.n) {
        const char *end = memchr(list.p, separator, list.n);
        struct str one = {list.p, end ? (size_t)(end - list.p) : list.n};
        list.p += one.n + (end != NULL);
        list.n -= one.n + (end != NULL);
        one = str_trim(one);
        bool valued = one.n > name.n && one.p[name.n] == '=';
        if (!str_starts(one, name) || (one.n > name.n && !valued))
            continue;
        *value = valued ? (struct str){one.p + name.n + 1, one.n - name.n - 1} : STR("");
        return true;
    }
    return false;
}

/* .p is NULL when there is none with a value. */
static struct str part(struct str list, char separator, struct str name)
{
    struct str value = {NULL, 0};
    return key_part(list, separator, name, &value) ? value : (struct str){NULL, 0};
}

static struct str cookie(const struct http_head *h, struct str name)
{
    struct str value = {NULL, 0};
    return cookie_find(h, name, &value) ? value : (struct str){NULL, 0};
}

static struct str path(const struct http_head *h, bool query)
{
    const char *mark = h->path.n ? memchr(h->path.p, '?', h->path.n) : NULL;
    size_t n = mark ? (size_t)(mark - h->path.p) : h->path.n;
    if (!query)
        return (struct str){h->path.p, n};
    return mark ? (struct str){mark + 1, h->path.n - n - 1} : (struct str){NULL, 0};
}

struct str key_text(const struct view_hash *by, const struct http_head *h)
{
    switch ((enum hash_kind)by->kind) {
    case HASH_SOURCE:
    case HASH_NONE:
    case HASH_KINDS: break;
    case HASH_HEADER: return header(h, by->name);
    case HASH_COOKIE: return cookie(h, by->name);
    case HASH_PATH: return path(h, false);
    case HASH_QUERY: return part(path(h, true), '&', by->name);
    }
    return (struct str){NULL, 0};
}

uint64_t key_of(const struct view_hash *by, const struct http_head *h, const uint8_t *ip, size_t n)
{
    struct str key = h ? key_text(by, h) : (struct str){NULL, 0};
    return key.p ? hash(key) : key_of_source(ip, n);
}
