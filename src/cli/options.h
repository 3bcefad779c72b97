/* options: one parser and one help text for every command.
 *
 * A command describes itself with a struct usage: a table of options, what it takes besides them,
 * and an example. The parser fills the command's own struct by the offsets in the table, so that
 * there is no second list to keep. Forms: --name, --name=VALUE, --name VALUE, -x, -xVALUE, -x
 * VALUE, and -- to end the options. --help and -h are understood by every command.
 *
 * Pure: nothing is printed here. Strings that it hands out point into argv. */
#ifndef HF_CLI_OPTIONS_H
#define HF_CLI_OPTIONS_H

#include "base/base.h"

enum option_kind {
    OPTION_FLAG,  /* fills a bool */
    OPTION_TEXT,  /* fills a const char * */
    OPTION_NUMBER /* fills a uint64_t */
};

struct option {
    const char *name;  /* the long form, without its dashes */
    char letter;       /* the short form; 0 is none */
    const char *value; /* what --help calls the value; NULL for a flag */
    const char *help;
    enum option_kind kind;
    size_t offset; /* of the field to fill */
};

enum { OPERANDS_MAX = 256 };

struct usage {
    const char *command;
    const char *operands; /* "FILE", or NULL */
    unsigned min_operands, max_operands;
    const char *about;    /* sentences, in lines of at most 78 columns */
    const char *examples; /* lines, each with two blanks in front */
    const struct option *options;
    size_t n_options;
};

enum { OPTIONS_HELP = 1 };

/* argv[0] is the command's name. 0, OPTIONS_HELP when help is wanted, or an error that names the
 * mistake and what was probably meant. Operands not given are NULL. */
int options_parse(const struct usage *u, int argc, char *const *argv, void *into,
                  const char *operands[OPERANDS_MAX], struct err *e);

/* Appends the help text; check out->failed. */
void options_help(const struct usage *u, struct buf *out);

#endif
