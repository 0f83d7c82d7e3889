/* SPDX-License-Identifier: MIT */
/* Lines of a stream and its tail. Must not know which stream. */
#include "tools/lines.h"

#include <stdbool.h>
#include <string.h>

static void deliver(struct bytes *unfinished, line_sink sink, void *who)
{
	char *line;

	if (bytes_count(unfinished) > 0 &&
		bytes_front(unfinished)[bytes_count(unfinished) - 1] == '\r')
		unfinished->end--;
	bytes_add(unfinished, "", 1);
	line = bytes_front(unfinished);
	sink(who, line);
	bytes_drop(unfinished, bytes_count(unfinished));
}

void lines_feed(struct lines *lines, const char *bytes, size_t n_bytes, line_sink sink, void *who)
{
	while (n_bytes > 0) {
		const char *newline = memchr(bytes, '\n', n_bytes);
		size_t n_part = newline ? (size_t)(newline - bytes) : n_bytes;
		size_t room = LINE_MAX_BYTES - bytes_count(&lines->unfinished);
		size_t n_used = newline ? n_part + 1 : n_part;
		bool complete = newline != NULL;

		if (n_part > room) {
			n_part = n_used = room;
			complete = true;
		}
		bytes_add(&lines->unfinished, bytes, n_part);
		if (complete)
			deliver(&lines->unfinished, sink, who);
		bytes += n_used;
		n_bytes -= n_used;
	}
}

void lines_end(struct lines *lines, line_sink sink, void *who)
{
	if (bytes_count(&lines->unfinished) > 0)
		deliver(&lines->unfinished, sink, who);
	bytes_free(&lines->unfinished);
}

void tail_add(struct tail *tail, const char *bytes, size_t n_bytes)
{
	size_t count;

	bytes_add(&tail->kept, bytes, n_bytes);
	count = bytes_count(&tail->kept);
	if (count > TAIL_MAX_BYTES)
		bytes_drop(&tail->kept, count - TAIL_MAX_BYTES);
}

void tail_print(const struct tail *tail, FILE *to, const char *prefix, unsigned n_lines)
{
	const char *end;
	const char *at;
	bool line_begins = true;

	if (bytes_count(&tail->kept) == 0)
		return;
	end = bytes_front(&tail->kept) + bytes_count(&tail->kept);
	at = end;
	if (end[-1] == '\n')
		at--;
	for (; at > bytes_front(&tail->kept); at--)
		if (at[-1] == '\n' && --n_lines == 0)
			break;
	for (; at < end; at++) {
		if (line_begins)
			fputs(prefix, to);
		line_begins = *at == '\n';
		if (line_begins || *at == '\t' || (unsigned char)*at >= ' ')
			fputc(*at, to);
	}
	if (!line_begins)
		fputc('\n', to);
}

void tail_free(struct tail *tail)
{
	bytes_free(&tail->kept);
}
