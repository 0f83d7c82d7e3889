/* SPDX-License-Identifier: MIT */
/*
 * The lines between us and QEMU.
 *
 * Serial lines are FIFOs, in a private directory that is removed as soon as QEMU has opened them. A
 * FIFO takes a megabyte, byte by byte: a guest's output then never waits for us, and when it does
 * not wait, counted instructions are the same in every run. (A socket takes a few hundred single
 * bytes.) The line to QEMU itself is a socket pair.
 */
#ifndef TOOLS_CHANNELS_H
#define TOOLS_CHANNELS_H

#include "tools/bytes.h"

enum channel {
	CHANNEL_CONSOLE, /* first serial port: the guest's console */
	CHANNEL_MONITOR, /* second: the hypervisor */
	CHANNEL_COMMAND, /* third: the guest's command */
	CHANNEL_QMP,     /* QEMU itself */
	CHANNEL_COUNT,
};

struct channels {
	int from[CHANNEL_COUNT]; /* we read; non-blocking */
	int to[CHANNEL_COUNT];   /* we write; non-blocking, may be the same as from */
	int far_qmp;             /* QEMU's end of CHANNEL_QMP: the child must inherit it */
	char *directory;         /* NULL once it is removed */
};

/* Returns EXIT_OK, or EXIT_CANNOT_WRITE after saying why. channels_close() is owed in any case. */
int channels_open(struct channels *channels);
/* QEMU's arguments for all of them. */
void channels_arguments(const struct channels *channels, struct words *argv);
/* QEMU has opened its ends, or never will: their names are no longer needed. */
void channels_hide(struct channels *channels);
void channels_close(struct channels *channels);

/* Append @text to @list with every comma doubled, as QEMU wants it inside option values. */
void channels_escape(struct bytes *list, const char *text);

#endif
