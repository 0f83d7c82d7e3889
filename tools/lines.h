/* SPDX-License-Identifier: MIT */
/*
 * A byte stream cut into lines, and the last part of a stream kept for a report.
 */
#ifndef TOOLS_LINES_H
#define TOOLS_LINES_H

#include "tools/bytes.h"

#include <stdio.h>

/* A line, NUL-terminated, without its LF (and without a CR before it). May be changed by the
 * callee. */
typedef void (*line_sink)(void *who, char *line);

/* All zero is the beginning of a stream. */
struct lines {
	struct bytes unfinished;
};

/* A line longer than this is delivered in pieces, so that a mad guest cannot eat the host's memory.
 */
#define LINE_MAX_BYTES ((size_t)64 << 10)

void lines_feed(struct lines *lines, const char *bytes, size_t n_bytes, line_sink sink, void *who);
/* Deliver what came after the last LF, if anything, and free. */
void lines_end(struct lines *lines, line_sink sink, void *who);

/* The last bytes of a stream. All zero is an empty one. */
struct tail {
	struct bytes kept;
};

#define TAIL_MAX_BYTES ((size_t)64 << 10)

void tail_add(struct tail *tail, const char *bytes, size_t n_bytes);
/* Print at most @n_lines last lines, each with @prefix before it; control characters are made
 * harmless. */
void tail_print(const struct tail *tail, FILE *to, const char *prefix, unsigned n_lines);
void tail_free(struct tail *tail);

#endif
