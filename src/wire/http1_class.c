#include "wire/http1_class.h"

/* Each set is written once as a condition, and the table is what the compiler makes of it. */
#define DIGIT(c) ((c) >= '0' && (c) <= '9')
#define ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define HEX(c)   (DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define VCHAR(c) ((c) > 0x20 && (c) < 0x7f)

#define TOKEN(c)                                                                                   \
    (DIGIT(c) || ALPHA(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' ||          \
     (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')

/* RFC 3986 with what browsers send unescaped all the same: [ ] { } | ^ ` and, in a query, the
 * backslash. Nothing here frames or routes, so they pass as they are. */
#define QUERY(c) (VCHAR(c) && (c) != '"' && (c) != '<' && (c) != '>' && (c) != '#')
#define PATH(c)  (QUERY(c) && (c) != '?' && (c) != '\\')

#define HOST(c)                                                                                    \
    (DIGIT(c) || ALPHA(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '!' || \
     (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' || (c) == '*' ||          \
     (c) == '+' || (c) == ';' || (c) == '=')

#define VALUE(c) (VCHAR(c) || (c) == ' ' || (c) == '\t' || (c) >= 0x80)

#define OF(c)                                                                                      \
    ((TOKEN(c) ? CLASS_TOKEN : 0) | (PATH(c) ? CLASS_PATH : 0) | (QUERY(c) ? CLASS_QUERY : 0) |    \
     (HOST(c) ? CLASS_HOST : 0) | (VALUE(c) ? CLASS_VALUE : 0) | (HEX(c) ? CLASS_HEX : 0) |        \
     (DIGIT(c) ? CLASS_DIGIT : 0))
#define OF4(c)  OF(c), OF((c) + 1), OF((c) + 2), OF((c) + 3)
#define OF16(c) OF4(c), OF4((c) + 4), OF4((c) + 8), OF4((c) + 12)
#define OF64(c) OF16(c), OF16((c) + 16), OF16((c) + 32), OF16((c) + 48)

const uint8_t http1_class[256] = {OF64(0), OF64(64), OF64(128), OF64(192)};
