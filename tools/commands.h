/* SPDX-License-Identifier: MIT */
/* `umbra run` and `umbra bench`: argv[0] is the subcommand; each returns the exit code. */
#ifndef TOOLS_COMMANDS_H
#define TOOLS_COMMANDS_H

int run_main(int argc, char **argv);
int bench_main(int argc, char **argv);

#endif
