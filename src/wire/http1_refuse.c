#include "wire/http1_refuse.h"

static const struct http_refusal table[] = {
#define X(name, status, code, text) {status, code, text},
    HTTP1_REFUSALS(X)
#undef X
};

const struct http_refusal *http_refusal_at(unsigned i)
{
    return i < ARRAY_LEN(table) ? &table[i] : NULL;
}

int http1_refused(enum http1_refuse r, const struct http_refusal **why)
{
    CHECK(r > REFUSE_NONE && r < REFUSE_COUNT);
    *why = &table[r - 1];
    return HTTP_REFUSED;
}
