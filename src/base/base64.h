/* base64: bytes as text and back (RFC 4648, section 4: "+", "/", padding). Reading is strict: one
 * text for the same bytes, no blanks, nothing behind the padding. */
#ifndef HF_BASE64_H
#define HF_BASE64_H

#include "base/buf.h"

bool base64_write(struct str bytes, struct buf *out); /* appends; false: out has failed */
/* Appends. False, and out as it was, when the text is no base64 or out has failed. */
bool base64_read(struct str text, struct buf *out);

#endif
