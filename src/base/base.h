/* base: the vocabulary that every room speaks.
 *
 * No I/O, no domain, no clock. Everything may include this header; this folder includes nothing of
 * ours.
 *
 * It is the front door: include "base/base.h" and have them all. */
#ifndef HF_BASE_H
#define HF_BASE_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/sip.h"
#include "base/str.h"
#include "base/suggest.h"

#endif
