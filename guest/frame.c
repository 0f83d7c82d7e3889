/* SPDX-License-Identifier: MIT */
/*
 * Owns the framing on the command's serial line, both directions; see frame.h. No system calls.
 */
#include "guest/frame.h"

#include <stdio.h>
#include <string.h>

static const char escape[2] = {FRAME_ESCAPE, FRAME_ESCAPE};

bool frame_put_output(struct queue *q, const char *bytes, size_t len)
{
	while (len > 0) {
		const char *at = memchr(bytes, FRAME_ESCAPE, len);
		size_t plain = at ? (size_t)(at - bytes) : len;

		if (!queue_put(q, bytes, plain))
			return false;
		if (!at)
			return true;
		if (!queue_put(q, escape, 2))
			return false;
		bytes += plain + 1;
		len -= plain + 1;
	}
	return true;
}

bool frame_put_exit(struct queue *q, int status)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%cEXIT %d\n", FRAME_ESCAPE, status);

	return queue_put(q, line, (size_t)len);
}

bool frame_put_input(struct frame_input *in, struct queue *q, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && !in->ended; i++) {
		bool escaped = in->escaped;

		in->escaped = !escaped && bytes[i] == FRAME_ESCAPE;
		if (in->escaped)
			continue;
		if (escaped && bytes[i] == FRAME_END_OF_INPUT) {
			in->ended = true;
			continue;
		}
		if (escaped && bytes[i] != FRAME_ESCAPE && !queue_put(q, escape, 1))
			return false;
		if (!queue_put(q, &bytes[i], 1))
			return false;
	}
	return true;
}
