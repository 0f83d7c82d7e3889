/* SPDX-License-Identifier: MIT */
/*
 * A queue of bytes that grows as needed. Knows nothing about what the bytes mean.
 */
#ifndef GUEST_QUEUE_H
#define GUEST_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty queue. */
struct queue {
	char *bytes;
	size_t head; /* the first byte not taken yet */
	size_t tail;
	size_t capacity;
};

/* Append @len bytes. Returns false, with nothing appended, when memory has run out. */
bool queue_put(struct queue *q, const void *bytes, size_t len);

size_t queue_len(const struct queue *q);

/* Write as much as @fd takes at once and drop that from the queue.
 * Returns false on an error other than "would block" (errno says which). */
bool queue_write(struct queue *q, int fd);

#endif
