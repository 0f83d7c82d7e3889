/* SPDX-License-Identifier: MIT */
/*
 * How a machine did: what its console and its hypervisor said, and which exit code follows.
 */
#ifndef TOOLS_OUTCOME_H
#define TOOLS_OUTCOME_H

#include "tools/machine.h"

#include <stdbool.h>
#include <stdio.h>

/* All zero is a machine that has said nothing yet. */
struct outcome {
	FILE *log;           /* the file of --log; NULL for none */
	struct tail console; /* the last of the console and of the hypervisor's messages */
	bool console_shown;  /* the user sees the console anyway */
	bool panicked;       /* the hypervisor's report was printed */
	bool refused;        /* the hypervisor cannot work so; it said why */
	json_t *stats;       /* the last statistics line; NULL: none came */
	char *stopped;       /* why the hypervisor stopped the guest; NULL: it did not say */
};

/* Open the log. Returns EXIT_OK, or EXIT_CANNOT_WRITE after saying why. */
int outcome_begin(struct outcome *outcome, const struct machine_config *config);
void outcome_end(struct outcome *outcome);

/* To be called with everything that comes from the console and the monitor. */
void outcome_console(struct outcome *outcome, const char *bytes, size_t n_bytes);
void outcome_monitor(struct outcome *outcome, const struct monitor_event *event);

/*
 * The exit code for @machine, which has ended. @command_status: of a guest command that ended, -1
 * if it did not, -2 if there was none. Whatever is not the guest's own doing is said, with the
 * console's tail.
 */
#define OUTCOME_UNFINISHED (-1)
#define OUTCOME_NO_COMMAND (-2)
int outcome_code(const struct outcome *outcome, const struct machine *machine, int command_status);

#endif
