#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_write(struct str bytes, struct buf *out)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    if (!buf_reserve(out, (bytes.n + 2) / 3 * 4))
        return false;
    for (size_t left = bytes.n; left; left -= left < 3 ? left : 3, p += 3) {
        uint32_t b = left > 1 ? p[1] : 0u, c = left > 2 ? p[2] : 0u;
        uint32_t bits = (uint32_t)p[0] << 16 | b << 8 | c;
        char four[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
                        left > 1 ? alphabet[bits >> 6 & 63] : '=',
                        left > 2 ? alphabet[bits & 63] : '='};
        buf_add(out, four, sizeof four);
    }
    return !out->failed;
}

/* 64: it is none. */
static uint32_t value_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? (uint32_t)(c - 'A')
           : c >= 'a' && c <= 'z' ? (uint32_t)(c - 'a' + 26)
           : c >= '0' && c <= '9' ? (uint32_t)(c - '0' + 52)
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : 64;
}

bool base64_read(struct str text, struct buf *out)
{
    size_t before = out->n, padding = 0;
    if (text.n % 4 || !buf_reserve(out, text.n / 4 * 3))
        return false;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < text.n; i += 4) {
        size_t lacks = i + 4 == text.n ? padding : 0;
        uint32_t bits = 0, wrong = 0;
        for (size_t k = 0; k < 4; k++) {
            uint32_t v = k >= 4 - lacks ? 0 : value_of(text.p[i + k]);
            wrong |= v & 64;
            bits = bits << 6 | (v & 63);
        }
        if (wrong || (lacks && bits << (lacks == 1 ? 24 : 16))) {
            out->n = before;
            return false;
        }
        char three[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
        buf_add(out, three, 3 - lacks);
    }
    return !out->failed;
}
