/* oracle: llhttp's reading of a message, in words of neither parser. Its header and ours name
 * things alike and cannot be included together. */
#ifndef HF_ORACLE_H
#define HF_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum oracle_result { ORACLE_MORE, ORACLE_DONE, ORACLE_REFUSED };
enum oracle_framing { ORACLE_NONE, ORACLE_LENGTH, ORACLE_CHUNKED, ORACLE_CLOSE, ORACLE_TUNNEL };

struct oracle {
    enum oracle_result result;
    const char *error; /* ORACLE_REFUSED: "HPE_..." */
    size_t bytes;      /* of the head, or of the chunked body with its trailers */
    const char *method;
    unsigned major, minor, status, fields;
    enum oracle_framing framing;
    uint64_t length;
    bool keep_alive;
    uint64_t text;    /* oracle_hash over names and values in order */
    uint64_t payload; /* oracle_hash over a chunked body */
};

/* Continues a hash (FNV-1a) with n bytes. */
uint64_t oracle_hash(uint64_t hash, const char *p, size_t n);
enum { ORACLE_HASH = 5381 }; /* where it starts */

void oracle_head(bool request, const char *p, size_t n, struct oracle *out);
void oracle_chunked(const char *p, size_t n, struct oracle *out);

#endif
