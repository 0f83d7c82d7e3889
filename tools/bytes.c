/* SPDX-License-Identifier: MIT */
/* Byte queues and string lists. Knows nothing of what is stored. */
#include "tools/bytes.h"

#include "tools/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (!memory) {
		say_error("out of memory on the host; the machine is stopped; free some memory and "
			  "try again");
		exit(EXIT_GUEST_DIED);
	}
	return memory;
}

void *allocate(size_t n_bytes)
{
	return must(calloc(1, n_bytes ? n_bytes : 1));
}

void *grow(void *memory, size_t n_bytes)
{
	return must(realloc(memory, n_bytes));
}

char *copy_text(const char *text)
{
	return must(strdup(text));
}

char *make_text(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return must(text);
}

void bytes_add(struct bytes *queue, const void *from, size_t n_bytes)
{
	if (n_bytes == 0)
		return;
	if (queue->begin > 0 && queue->end + n_bytes > queue->capacity) {
		memmove(queue->memory, queue->memory + queue->begin, queue->end - queue->begin);
		queue->end -= queue->begin;
		queue->begin = 0;
	}
	if (queue->end + n_bytes > queue->capacity) {
		queue->capacity = 2 * (queue->end + n_bytes);
		queue->memory = grow(queue->memory, queue->capacity);
	}
	memcpy(queue->memory + queue->end, from, n_bytes);
	queue->end += n_bytes;
}

void bytes_add_text(struct bytes *queue, const char *text)
{
	bytes_add(queue, text, strlen(text));
}

size_t bytes_count(const struct bytes *queue)
{
	return queue->end - queue->begin;
}

char *bytes_front(const struct bytes *queue)
{
	return queue->memory ? queue->memory + queue->begin : NULL;
}

void bytes_drop(struct bytes *queue, size_t n_bytes)
{
	queue->begin += n_bytes;
	if (queue->begin == queue->end)
		queue->begin = queue->end = 0;
}

void bytes_free(struct bytes *queue)
{
	free(queue->memory);
	*queue = (struct bytes){0};
}

void words_add(struct words *words, const char *word)
{
	words->word = grow(words->word, (words->count + 2) * sizeof(words->word[0]));
	words->word[words->count++] = copy_text(word);
	words->word[words->count] = NULL;
}

void words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->word[i]);
	free(words->word);
	*words = (struct words){0};
}
