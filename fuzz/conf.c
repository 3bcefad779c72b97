/* A configuration of any bytes, with any bytes as the files that it includes: 0xff divides the
 * input into files, and the last letter of a path says which one it names.
 *
 * Whatever comes: a view that every reader accepts and that survives its encoding, or problems with
 * a place. What came from a variable is in no message. */
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 8, READS = 5 };
static const char secret[] = "s3cret-value";

struct world {
    struct str files[FILES];
    size_t n;
    unsigned reads;
};

static int read_file(void *self, const char *path, size_t max, struct buf *out, struct err *e)
{
    struct world *w = self;
    size_t n = strlen(path), i = n ? (size_t)(uint8_t)path[n - 1] % w->n : 0;
    buf_clear(out);
    if (strcmp(path, "main") == 0)
        i = 0;
    if (w->reads++ ==
        READS) /* includes that multiply are slow, and their bound has its unit test */
        return err_set(e, ERR_LIMIT, "%s is one file too many", path);
    if (w->files[i].n > max)
        return err_set(e, ERR_LIMIT, "%s is too large", path);
    return buf_add_str(out, w->files[i]) ? 0 : err_set(e, ERR_NOMEM, "no memory");
}

static int find_files(void *self, const char *pattern, void (*found)(void *arg, const char *path),
                      void *arg, struct err *e)
{
    found(arg, "c");
    found(arg, "a");
    found(arg, "b");
    return 0;
}

static const char *variable(void *self, const char *name)
{
    switch (name[0]) {
    case 'A': return "10.0.0.1:80";
    case 'B': return "";
    case 'N': return "7";
    case 'S': return secret;
    default: return NULL;
    }
}

static struct world split(const uint8_t *data, size_t size)
{
    struct world w = {.n = 1};
    w.files[0] = (struct str){(const char *)data, 0};
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0xff && w.n < FILES)
            w.files[w.n++] = (struct str){(const char *)data + i + 1, 0};
        else
            w.files[w.n - 1].n++;
    }
    return w;
}

static void check_problems(const struct conf_problems *p, struct str input)
{
    struct buf out = {0};
    CHECK(p->n <= CONF_MAX_PROBLEMS && p->n <= p->errors + p->warnings);
    for (uint32_t i = 0; i < p->n; i++)
        CHECK(p->list[i].line && p->list[i].column && p->list[i].width && p->list[i].text[0]);
    conf_problems_print(p, true, &out);
    CHECK(!out.failed);
    /* Unless the input itself says it. */
    if (out.n && !memmem(input.p, input.n, secret, sizeof secret - 1))
        CHECK(!memmem(out.p, out.n, secret, sizeof secret - 1));
    buf_free(&out);
}

static void check_view(struct view *v)
{
    struct buf bytes = {0}, changes = {0};
    struct view *back = NULL;
    CHECK(view_assign_slots(v, NULL, NULL) == 0);
    v->epoch = 1;
    CHECK(view_verify(v, NULL) == 0);
    view_encode(v, &bytes);
    CHECK(view_decode(buf_str(&bytes), &back, NULL) == 0);
    CHECK(conf_diff(v, back, &changes) == 0);
    CHECK(changes.n == 0);
    CHECK(conf_diff(NULL, v, &changes) >= (int)v->n_services);
    buf_free(&bytes);
    buf_free(&changes);
    view_free(back);
}

static int inspect(void *self, const char *path, struct conf_file *out, struct err *e)
{
    *out = (struct conf_file){path[0] != 'd', path[0] == 'o' ? 0644 : 0600};
    return path[0] == 'x' ? err_set(e, ERR_ABSENT, "%s does not exist", path) : 0;
}

static int absolute(void *self, const char *path, struct buf *out, struct err *e)
{
    return buf_printf(out, "/%s", path) ? 0 : err_set(e, ERR_NOMEM, "no memory");
}

static bool has_address(void *self, const struct addr *a)
{
    return a->ip[0] == 127;
}

static struct conf_env world_env(struct world *w)
{
    return (struct conf_env){.self = w,
                             .read = read_file,
                             .glob = find_files,
                             .variable = variable,
                             .inspect = inspect,
                             .absolute = absolute,
                             .has_address = has_address,
                             .cpus = 4,
                             .host = "a"};
}

/* The same bytes as a drop-in file. */
static void check_backends(struct str input)
{
    struct world w = split((const uint8_t *)input.p, input.n);
    struct conf_env env = world_env(&w);
    struct conf_problems p = {0};
    struct view *v = NULL;
    int rc = conf_load_backends("main", &env, &v, &p, NULL);
    CHECK((rc == 0) == (p.errors == 0) && (rc == 0) == (v != NULL));
    check_problems(&p, input);
    if (v) {
        CHECK(v->n_services == 1 && v->services[0].n_instances <= POOL_MAX);
        for (uint32_t i = 0; i < v->services[0].n_instances; i++)
            CHECK(v->services[0].instances[i].name.n);
    }
    view_free(v);
    conf_problems_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = split(data, size);
    struct conf_env env = world_env(&w);
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    int rc = conf_load("main", &env, &v, &p, &e);
    CHECK(rc == 0 || rc == -ERR_INVAL);
    CHECK((rc == 0) == (p.errors == 0) && (rc == 0) == (v != NULL));
    check_problems(&p, (struct str){(const char *)data, size});
    if (v)
        check_view(v);
    view_free(v);
    conf_problems_free(&p);
    check_backends((struct str){(const char *)data, size});
    return 0;
}
