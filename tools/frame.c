/* SPDX-License-Identifier: MIT */
/* Decoder and encoder of the command framing. Must not know where bytes come from or go to. */
#include "tools/frame.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char frame_header[] = "\x01UMBRA\x02\n";
#define ESCAPE       '\x01'
#define END_OF_INPUT '\x04'

static void feed_before(struct frame *frame, char byte)
{
	/* ESCAPE stands only at the header's beginning, so a mismatch can only begin there again.
	 */
	if (byte == frame_header[frame->n_matched])
		frame->n_matched++;
	else
		frame->n_matched = byte == ESCAPE ? 1 : 0;
	if (frame_header[frame->n_matched] == '\0')
		frame->state = FRAME_OPEN;
}

/* The text between ESCAPE and LF, NUL-terminated. */
static void end_control(struct frame *frame)
{
	char *rest;
	long status;

	frame->state = FRAME_BROKEN;
	if (strncmp(frame->control, "EXIT ", 5) != 0 || !isdigit((unsigned char)frame->control[5]))
		return;
	status = strtol(frame->control + 5, &rest, 10);
	if (*rest != '\0' || status > 255)
		return;
	frame->exit_status = (int)status;
	frame->state = FRAME_ENDED;
}

/* A byte after ESCAPE. Returns whether it is the second ESCAPE, which stands for one. */
static bool feed_control(struct frame *frame, char byte)
{
	size_t at = frame->n_control++ - 1;

	if (at == 0 && byte == ESCAPE) {
		frame->n_control = 0;
		return true;
	}
	if (byte == '\n') {
		frame->control[at] = '\0';
		end_control(frame);
	} else if (at + 1 < sizeof(frame->control)) {
		frame->control[at] = byte;
	} else {
		frame->state = FRAME_BROKEN;
	}
	return false;
}

void frame_feed(struct frame *frame, const char *bytes, size_t n_bytes, frame_sink sink, void *who)
{
	const char *end = bytes + n_bytes;

	while (bytes < end) {
		const char *run;

		if (frame->state == FRAME_BEFORE) {
			feed_before(frame, *bytes++);
			continue;
		}
		if (frame->state != FRAME_OPEN)
			return;
		if (frame->n_control > 0) {
			if (feed_control(frame, *bytes))
				sink(who, bytes, 1);
			bytes++;
			continue;
		}
		run = bytes;
		while (bytes < end && *bytes != ESCAPE)
			bytes++;
		if (bytes > run)
			sink(who, run, (size_t)(bytes - run));
		if (bytes < end) {
			frame->n_control = 1;
			bytes++;
		}
	}
}

void frame_encode_input(struct bytes *line, const char *bytes, size_t n_bytes)
{
	static const char escape = ESCAPE;
	static const char end_of_input[] = {ESCAPE, END_OF_INPUT};

	for (size_t i = 0; i < n_bytes; i++) {
		if (bytes[i] == ESCAPE)
			bytes_add(line, &escape, 1);
		bytes_add(line, &bytes[i], 1);
	}
	if (n_bytes == 0)
		bytes_add(line, end_of_input, sizeof(end_of_input));
}
