/* A version of the configuration as the coordinator holds it: any bytes. What is accepted has its
 * bounds, is written back, and reads the same; a bundle is accepted with its digest only. The first
 * byte says whether an adopter is given it as head and as a record too. */
#include <stddef.h>
#include <stdint.h>

#include "coord/versions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_fetch(void *context, uint64_t number)
{
    *(uint64_t *)context = number;
}

static void on_version(void *context, const struct version *v, struct str bundle)
{
    CHECK(v->number == *(uint64_t *)context && bundle.n <= VERSION_BUNDLE_MAX);
}

static void follow(struct str text)
{
    uint64_t asked = 0;
    char key[VERSION_KEY];
    struct adopter_params p = adopter_defaults();
    struct adopter_host h = {&asked, on_fetch, on_version, on_version};
    struct adopter a;
    adopter_begin(&a, &p, &h, NULL);
    struct coord_item item = {.key = STR(VERSIONS_HEAD), .value = text, .revision = 2};
    adopter_head(&a, &item, 1);
    if (asked) {
        version_key(asked, key);
        item.key = str_of(key);
        struct coord_answer answer = {.outcome = COORD_DONE, .items = &item, .n = 1};
        adopter_fetched(&a, asked, &answer, 2);
        CHECK(a.phase == ADOPTER_KEEPING || a.problem.code);
    }
    adopter_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct version v, again;
    struct buf bundle = {0}, out = {0};
    struct str text = {(const char *)data + 1, size ? size - 1 : 0};
    if (!size)
        return 0;
    if (version_read(text, &v, NULL, NULL) == 0) {
        CHECK(v.number && v.number <= VERSION_MOST && v.from < v.number);
        CHECK(version_write(&v, NULL, &out, NULL) == 0);
        CHECK(version_read(buf_str(&out), &again, NULL, NULL) == 0);
        CHECK(memcmp(&v, &again, sizeof v) == 0);
    }
    version_read(text, &v, &bundle, NULL);
    if (data[0] % 2)
        follow(text);
    buf_free(&bundle);
    buf_free(&out);
    return 0;
}
