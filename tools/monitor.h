/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's monitor line, read: one JSON object per line.
 */
#ifndef TOOLS_MONITOR_H
#define TOOLS_MONITOR_H

#include <jansson.h>

enum monitor_kind {
	MONITOR_HELLO,   /* the hypervisor runs */
	MONITOR_MARK,    /* the guest passed a mark: id, exits */
	MONITOR_STATS,   /* statistics: reason, exits, mmu, guest_ns */
	MONITOR_LOG,     /* text */
	MONITOR_ERROR,   /* it cannot work with this configuration: text */
	MONITOR_PANIC,   /* one line of a panic report: text and whatever else is in object */
	MONITOR_GARBAGE, /* not a line of the monitor's: text is the line itself */
};

/* All borrowed by who handles it, until it returns. */
struct monitor_event {
	enum monitor_kind kind;
	const json_t *object; /* the whole line; NULL for MONITOR_GARBAGE */
	const char *text;     /* "" if it has none */
	const char *reason;
	json_int_t id;
	const json_t *exits; /* kind: count; never NULL for marks and statistics */
	const json_t *mmu;
};

typedef void (*monitor_sink)(void *who, const struct monitor_event *event);

/* Read one line (without LF) and hand it to @sink; an empty line is nothing. */
void monitor_line(const char *line, monitor_sink sink, void *who);

#endif
