/* certs: a node's certificates from a cluster's secrets, as control writes them.
 *
 *   certs DIRECTORY NAME USE SECRET[,SECRET...] ADDRESS...
 *
 * Secrets are 64 hexadecimal digits, newest first; USE is the number of the one in use, from 0.
 * Prints what changed: "authorities", "node", both or nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "os/os.h"

static uint32_t read_secrets(const char *text, uint8_t out[CERT_SECRETS][CERT_SECRET])
{
    uint32_t n = 0;
    while (n < CERT_SECRETS && strlen(text) >= 2 * CERT_SECRET) {
        for (int i = 0; i < CERT_SECRET; i++, text += 2) {
            char digits[3] = {text[0], text[1], 0};
            out[n][i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        n++;
        if (*text == ',')
            text++;
    }
    return *text ? 0 : n;
}

int main(int argc, char **argv)
{
    uint8_t secrets[CERT_SECRETS][CERT_SECRET];
    struct addr addresses[CERT_ADDRESSES];
    struct cert_changes c;
    struct err e;
    uint32_t n = argc >= 6 ? read_secrets(argv[4], secrets) : 0;
    uint32_t use = n ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    if (n == 0 || use >= n || argc - 5 > CERT_ADDRESSES) {
        fprintf(stderr, "certs DIRECTORY NAME USE SECRET[,SECRET...] ADDRESS...\n");
        return 2;
    }
    struct cert_node node = {str_of(argv[2]), addresses, 0};
    for (int i = 5; i < argc; i++) {
        char text[ADDR_TEXT_MAX];
        snprintf(text, sizeof text, strchr(argv[i], ':') ? "[%s]:1" : "%s:1", argv[i]);
        if (!addr_parse(str_of(text), &addresses[node.n_addresses++])) {
            fprintf(stderr, "%s is no address\n", argv[i]);
            return 2;
        }
    }
    if (cert_write(argv[1], (const uint8_t(*)[CERT_SECRET])secrets, n, use, &node, &c, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    printf("%s%s%s\n", c.authorities ? "authorities" : "", c.authorities && c.node ? " " : "",
           c.node ? "node" : "");
    return 0;
}
