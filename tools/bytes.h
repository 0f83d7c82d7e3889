/* SPDX-License-Identifier: MIT */
/*
 * Memory of the command: a growing byte queue, a list of strings, and allocation that cannot fail
 * (out of memory ends the command with EXIT_GUEST_DIED after a sentence; QEMU dies with us).
 */
#ifndef TOOLS_BYTES_H
#define TOOLS_BYTES_H

#include <stddef.h>

/* A first-in first-out queue of bytes. All zero is an empty one. */
struct bytes {
	char *memory;
	size_t capacity;
	size_t begin;
	size_t end;
};

/* Append; @from may be NULL if @n_bytes is 0. */
void bytes_add(struct bytes *queue, const void *from, size_t n_bytes);
void bytes_add_text(struct bytes *queue, const char *text);
size_t bytes_count(const struct bytes *queue);
/* The oldest byte; valid until the queue changes. NULL if nothing was ever in it. */
char *bytes_front(const struct bytes *queue);
/* Drop the oldest @n_bytes, at most bytes_count(). */
void bytes_drop(struct bytes *queue, size_t n_bytes);
void bytes_free(struct bytes *queue);

/* A growing list of strings, NULL-terminated for execv. All zero is an empty one. */
struct words {
	char **word;
	size_t count;
};

/* Appends a copy of @word. */
void words_add(struct words *words, const char *word);
void words_free(struct words *words);

void *allocate(size_t n_bytes);           /* zeroed; the caller frees */
void *grow(void *memory, size_t n_bytes); /* realloc */
char *copy_text(const char *text);
char *make_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
