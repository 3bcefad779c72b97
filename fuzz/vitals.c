/* The kernel's texts about the machine: whatever stands there, what is read fits, and is judged
 * without a failed belief. The first byte chooses the text. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "detect/vitals.h"
#include "detect/vitals_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *context, enum subject_kind kind, struct str name,
                   const struct finding_signal *s)
{
    (void)context, (void)kind, (void)name;
    CHECK(s->says.n < FINDING_SAYS && s->weight > 0 && s->weight <= 1);
}

static void ignore_end(void *context, enum subject_kind kind, struct str name,
                       enum finding_kind what, uint64_t key, uint64_t now)
{
    (void)context, (void)kind, (void)name, (void)what, (void)key, (void)now;
}

/* The same text, then a part of it: counters go to and fro. */
static void judge(struct str text)
{
    static struct vitals v;
    static struct vitals_nic nics[4];
    static struct vitals_device devices[4];
    const struct vitals_host host = {NULL, ignore, ignore_end};
    vitals_init(&v, &host, STR("b"));
    for (uint64_t i = 1; i < 6; i++) {
        struct str part = {text.p, text.n - (i % 2 ? 0 : text.n / 3)};
        uint32_t n = parse_interfaces(part, nics, 4);
        for (uint32_t k = 0; k < n; k++)
            nics[k].up = nics[k].carrier = i != 3;
        vitals_nics(&v, nics, n, i * UINT64_C(1000000000));
        vitals_devices(&v, devices, parse_devices(part, devices, 4), i * UINT64_C(1000000000));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t a = 0, b = 0;
    if (size == 0)
        return 0;
    struct str text = {(const char *)data + 1, size - 1};
    switch (data[0] % 7) {
    case 0: parse_pressure(text, &a, &b); break;
    case 1: parse_loadavg(text, &a, &b); break;
    case 2: parse_field(text, STR("oom_kill"), &a); break;
    case 3: parse_number(text, data[0] / 7, &a); break;
    case 4: parse_open_files(text, &a); break;
    default: judge(text); break;
    }
    return 0;
}
