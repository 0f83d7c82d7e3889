/* SPDX-License-Identifier: MIT */
/*
 * The framing on the command's serial line, which carries a command's bytes, of all 256 values, and
 * a few words about the command. The escape byte is 0x01.
 *
 * Guest to host:
 *	"\x01UMBRA\x02\n"    the line is open: what follows is the command's output
 *	0x01 0x01            the byte 0x01 of the output; every other byte is itself
 *	"\x01EXIT <n>\n"     the command has ended with status n; nothing follows
 * Host to guest, not before the line is open:
 *	0x01 0x01            the byte 0x01 of the input
 *	0x01 0x04            end of input
 *	0x01 and any other   both bytes as they are, so that plain input mostly needs no framing
 */
#ifndef GUEST_FRAME_H
#define GUEST_FRAME_H

#include "guest/queue.h"

enum {
	FRAME_ESCAPE = 0x01,
	FRAME_END_OF_INPUT = 0x04,
};

#define FRAME_OPEN "\x01UMBRA\x02\n"

/* What decoding has to remember between reads. All zero at the start. */
struct frame_input {
	bool escaped; /* the last byte was an escape */
	bool ended;
};

/* Append @len bytes of output to @q, framed. Returns false when memory has run out. */
bool frame_put_output(struct queue *q, const char *bytes, size_t len);

/* Append the line that ends the output. Returns false when memory has run out. */
bool frame_put_exit(struct queue *q, int status);

/* Append to @q the input that @len bytes from the line hold. Bytes after the end of input are
 * dropped. Returns false when memory has run out. */
bool frame_put_input(struct frame_input *in, struct queue *q, const char *bytes, size_t len);

#endif
