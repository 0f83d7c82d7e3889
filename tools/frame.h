/* SPDX-License-Identifier: MIT */
/*
 * The framing on the third serial port, which carries a guest command's output and input.
 *
 * Guest to host:
 *   \x01 UMBRA \x02 \n        the command begins (anything before is ignored)
 *   ... bytes ...             its output; a byte \x01 is sent twice
 *   \x01 EXIT <status> \n     its end, status 0 to 255 in decimal
 * Host to guest, not before the command begins:
 *   ... bytes ...             its input; a byte \x01 is sent twice
 *   \x01 \x04                 end of input
 */
#ifndef TOOLS_FRAME_H
#define TOOLS_FRAME_H

#include "tools/bytes.h"

#include <stddef.h>

enum frame_state {
	FRAME_BEFORE, /* the header has not come */
	FRAME_OPEN,
	FRAME_ENDED,  /* the status is known */
	FRAME_BROKEN, /* something came that the framing does not know; the rest is ignored */
};

/* All zero is a stream that has not begun. */
struct frame {
	enum frame_state state;
	size_t n_matched; /* of the header */
	size_t n_control; /* bytes in control, 0 if not inside an escape */
	char control[16];
	int exit_status; /* if FRAME_ENDED */
};

/* Runs of the command's own bytes, in order. */
typedef void (*frame_sink)(void *who, const char *bytes, size_t n_bytes);

/* Decode the next @n_bytes of the line, in pieces of any size. */
void frame_feed(struct frame *frame, const char *bytes, size_t n_bytes, frame_sink sink, void *who);

/* Append @n_bytes of input, encoded, to @line; none at all means end of input. */
void frame_encode_input(struct bytes *line, const char *bytes, size_t n_bytes);

#endif
