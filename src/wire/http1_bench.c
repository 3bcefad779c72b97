/* http1_bench: nanoseconds per head parsed and written, for heads as they are met. No test: it
 * measures, and judges nothing. Usage: bench_wire_http1 [rounds] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire/http1.h"

struct sample {
    const char *name;
    const char *bytes;
    bool response;
};

static const struct sample samples[] = {
    {"request, wrk", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", false},
    {"request, curl",
     "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl/7.88.1\r\n"
     "Accept: */*\r\n\r\n",
     false},
    {"request, browser",
     "GET /a/path/to/some/page.html?with=a&query=string HTTP/1.1\r\nHost: www.example.org\r\n"
     "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
     "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
     "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n"
     "Referer: http://www.example.org/a/path/to/another/page.html\r\nConnection: keep-alive\r\n"
     "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=all\r\n"
     "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
     "Sec-Fetch-Site: same-origin\r\nIf-None-Match: \"5f3c-1a2b3c4d5e6f7\"\r\n\r\n",
     false},
    {"response, small",
     "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
     "Content-Type: text/plain\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n",
     true},
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static size_t parse(const struct sample *s, size_t n, struct http_head *h)
{
    const struct http_limits lim = {16384, 100};
    const struct http_refusal *why;
    int r = s->response ? http_parse_response(s->bytes, n, 0, HTTP_GET, &lim, h, &why)
                        : http_parse_request(s->bytes, n, 0, &lim, h, &why);
    return r == HTTP_DONE ? h->bytes : 0;
}

static size_t write_head(const struct sample *s, const struct http_head *h, char *to, size_t size)
{
    const struct http_forward f = {.client_ip = STR("192.0.2.17"),
                                   .proto = STR("http"),
                                   .via = STR("holdfast"),
                                   .keep_upstream = true};
    const struct http_answer a = {.keep_client = true, .client_minor = 1, .via = STR("holdfast")};
    uint8_t framing;
    return s->response ? http_write_response(h, &a, &framing, to, size)
                       : http_write_request(h, &f, to, size);
}

int main(int argc, char **argv)
{
    static struct http_head h;
    static char to[16384];
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 2000000;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        size_t n = strlen(s->bytes), sum = 0;
        double start = now_ns();
        for (long k = 0; k < rounds; k++)
            sum += parse(s, n, &h);
        double parsed = now_ns();
        for (long k = 0; k < rounds; k++)
            sum += write_head(s, &h, to, sizeof to);
        double written = now_ns();
        printf("%-18s %4zu bytes  parse %6.1f ns  write %6.1f ns  both %6.1f ns  (%zu)\n", s->name,
               n, (parsed - start) / (double)rounds, (written - parsed) / (double)rounds,
               (written - start) / (double)rounds, sum);
    }
    return 0;
}
