/* baseline: the bytes in which what a source has learnt survives a restart; see logs.h.
 *
 *   "HFLG", version u16 (1), flags u16 (0), ticks u32, total: rate, templates u32, each:
 *     id u64, bucket u64, n u8, head u8, marks u8 (1 error, 2 known), times u8, rate, n words u32,
 * text (u32 length, bytes) and a hash u64 of all before (FNV-1a): a torn or mixed-up file is not
 * believed. rate: mean and variance as bits of floats u32, ticks u32, active u32 */
#ifndef HF_DETECT_LOGS_BASELINE_H
#define HF_DETECT_LOGS_BASELINE_H

#include "detect/logs/source.h"

enum { BASELINE_VERSION = 1 };

#endif
