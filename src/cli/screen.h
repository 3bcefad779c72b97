/* screen: the terminal while a program owns it: alternate screen, no echo, keys one at a time,
 * signals as events. It is given back on every way out: leaving, a signal, a stop (^Z). */
#ifndef HF_CLI_SCREEN_H
#define HF_CLI_SCREEN_H

#include <termios.h>

#include "base/base.h"

enum screen_event {
    SCREEN_NONE,   /* the time passed */
    SCREEN_RESIZE, /* another size, or back from a stop: draw again */
    SCREEN_QUIT,   /* q, ^C, or the terminal is gone */
    SCREEN_UP,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN
};

struct screen {
    struct termios saved;
    int keys;    /* standard input, or -1 when it is no terminal */
    int signals; /* a signalfd */
    int fatal;   /* the signal that ends the program once the screen is left; 0: none */
    bool entered;
    char pending[64]; /* keys typed ahead */
    size_t n_pending;
};

int screen_open(struct screen *s, struct err *e);
/* Gives the terminal back; if a signal asked for the end, the program ends by it here. */
void screen_close(struct screen *s);
/* The next event within timeout_ms. */
enum screen_event screen_wait(struct screen *s, int timeout_ms);
/* All of the bytes; false when the terminal is gone. */
bool screen_write(struct str bytes);

#endif
