/* os: the seam to the world. Everything that is not a pure function passes through here, so that a
 * simulator can stand in.
 *
 * `struct os` answers what a program asks of its machine without waiting: the time, and randomness.
 * It is passed explicitly; there is no global one. loop.h is the other half: waiting for
 * descriptors and time. linux/ is the real implementation of both. */
#ifndef HF_OS_H
#define HF_OS_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "os/aead.h"
#include "os/cert.h"
#include "os/digest.h"
#include "os/file.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/priority.h"
#include "os/watch.h"

#endif
