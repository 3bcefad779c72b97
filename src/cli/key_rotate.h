/* key_rotate: the one action of `holdfast key` that asks a running node. */
#ifndef HF_CLI_KEY_ROTATE_H
#define HF_CLI_KEY_ROTATE_H

/* argv[0] is "rotate". The exit code. */
int key_rotate(int argc, char **argv);

#endif
