/* SPDX-License-Identifier: MIT */
/*
 * A running machine: QEMU, the lines to it, signals, time-out, and our own standard input and
 * output, in one poll loop that never blocks on any of them.
 *
 * It moves bytes; what they mean is for the hooks. A hook may call any machine_*() function but
 * machine_run().
 */
#ifndef TOOLS_MACHINE_H
#define TOOLS_MACHINE_H

#include "tools/lines.h"
#include "tools/monitor.h"
#include "tools/qemu.h"
#include "tools/qmp.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a machine came to its end; the first reason counts. */
enum machine_end {
	MACHINE_GUEST_ENDED, /* QEMU ended by itself */
	MACHINE_USER_LEFT,   /* machine_stop() */
	MACHINE_TIMED_OUT,
	MACHINE_SIGNALLED,   /* SIGINT, SIGTERM or SIGHUP came to us */
	MACHINE_OUTPUT_GONE, /* nobody reads our standard output any more */
};

/* NULL means: not interested; without @input standard input is not read. */
struct machine_hooks {
	/* Bytes of the console, and of the command line. Every monitor line the hypervisor sent
	 * before them was delivered before. */
	void (*console)(void *who, const char *bytes, size_t n_bytes);
	void (*command)(void *who, const char *bytes, size_t n_bytes);
	monitor_sink monitor;
	/* Bytes of our standard input; none at all: its end. Asked only while @wants_input says so.
	 */
	void (*input)(void *who, const char *bytes, size_t n_bytes);
	bool (*wants_input)(void *who);
};

struct machine {
	const struct machine_config *config;
	const struct machine_hooks *hooks;
	void *who;
	bool stats_at_end; /* when we have to stop the machine, ask for statistics first */

	/* Results, after machine_run(). */
	enum machine_end end;
	int signal;         /* MACHINE_SIGNALLED: which */
	int qemu_status;    /* as waitpid() gives it */
	struct tail errors; /* QEMU's standard error */
	struct qmp qmp;
	uint64_t real_ns; /* from QEMU's start to its end */

	/* Its own. */
	struct qemu qemu;
	struct bytes to_channel[CHANNEL_COUNT];
	struct bytes to_output;
	struct lines monitor_lines;
	struct lines qmp_lines;
	int signals;               /* signalfd */
	unsigned stop_stage;       /* enum stop_stage */
	uint64_t stop_deadline_ns; /* of this stage; 0 none */
	uint64_t deadline_ns;      /* 0 none */
	uint64_t started_ns;
	bool qemu_ended;
	bool input_ended;
	bool stats_awaited;
};

/*
 * Run the machine until it has ended, as @config and @image say. The first five members above must
 * be set, the rest zero. Returns EXIT_OK, or EXIT_NO_QEMU (said why) if it could not be started.
 * machine_free() is owed in any case.
 */
int machine_run(struct machine *machine, const struct boot_image *image);
void machine_free(struct machine *machine);

/* Bytes for a line to the guest, or for our standard output. Queued without limit: see
 * machine_room(). */
void machine_send(struct machine *machine, enum channel channel, const char *bytes, size_t n_bytes);
void machine_print(struct machine *machine, const char *bytes, size_t n_bytes);
/* The line's queue is short enough to ask for more input for it. */
bool machine_room(const struct machine *machine, enum channel channel);

/* Have the hypervisor send its statistics (the monitor hook gets them); nothing without a
 * hypervisor. */
void machine_ask_stats(struct machine *machine);
/* Stop the machine, the user wants it. */
void machine_stop(struct machine *machine);
/* Give the machine no more than @seconds from now. */
void machine_limit(struct machine *machine, unsigned seconds);
/* Nanoseconds since QEMU was started. */
uint64_t machine_age_ns(const struct machine *machine);

#endif
