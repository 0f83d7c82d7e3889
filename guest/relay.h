/* SPDX-License-Identifier: MIT */
/*
 * Runs a command whose standard input, output and error are the far end of a serial line. Knows
 * nothing of what else the first process does.
 */
#ifndef GUEST_RELAY_H
#define GUEST_RELAY_H

/* Run @argv (NULL-terminated) on the line @path, framed as in frame.h, until it has ended and all
 * it wrote has left the machine. What its own children write after that is lost.
 * @watch: from children_watch(); borrows.
 * Ends the machine, with a message on the console, when the line does not work. */
void relay_run(char **argv, const char *path, int watch);

#endif
