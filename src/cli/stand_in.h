#ifndef HF_CLI_STAND_IN_H
#define HF_CLI_STAND_IN_H
int proxy_main(int argc, char **argv);
#endif
