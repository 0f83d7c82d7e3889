/* SPDX-License-Identifier: MIT */
/*
 * Owns the queue of bytes: one heap block, which is only ever made larger.
 */
#include "guest/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_CAPACITY = 8192 };

size_t queue_len(const struct queue *q)
{
	return q->tail - q->head;
}

static void move_to_start(struct queue *q)
{
	memmove(q->bytes, q->bytes + q->head, queue_len(q));
	q->tail -= q->head;
	q->head = 0;
}

/* Moving is worth its price only when it frees half of the block: else a long queue that is taken
 * from byte by byte would be moved for every byte. */
static bool make_room(struct queue *q, size_t len)
{
	size_t capacity = q->capacity ? q->capacity : FIRST_CAPACITY;
	char *larger;

	if (q->head > q->capacity / 2)
		move_to_start(q);
	while (capacity - q->tail < len)
		capacity *= 2;
	if (capacity == q->capacity)
		return true;
	larger = realloc(q->bytes, capacity);
	if (!larger)
		return false;
	q->bytes = larger;
	q->capacity = capacity;
	return true;
}

bool queue_put(struct queue *q, const void *bytes, size_t len)
{
	if (q->capacity - q->tail < len && !make_room(q, len))
		return false;
	memcpy(q->bytes + q->tail, bytes, len);
	q->tail += len;
	return true;
}

bool queue_write(struct queue *q, int fd)
{
	while (queue_len(q) > 0) {
		ssize_t n = write(fd, q->bytes + q->head, queue_len(q));

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		q->head += (size_t)n;
	}
	q->head = 0;
	q->tail = 0;
	return true;
}
