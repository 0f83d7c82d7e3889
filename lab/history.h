/* SPDX-License-Identifier: MIT */
/*
 * The past contents of guest memory: every change of an aligned 8-byte word, in order.
 *
 * Time is the number of changes so far. A value is current at time t if since <= t < until. The
 * write that begins a value's time ends the one before it, so one log of old values, found by the
 * number of the write that ended them, holds the list of versions of every word.
 */
#ifndef LAB_HISTORY_H
#define LAB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_NOW UINT64_MAX /* the end of a value that is still current */

struct history;

struct history_version {
	uint64_t value;
	uint64_t since; /* 0: always, as far as is known */
	uint64_t until;
};

/* A log of up to @capacity changes, rounded up to a power of two. NULL without memory. */
struct history *history_new(size_t capacity);
void history_free(struct history *history);

/* The word at @gpa (aligned to 8) changed from @before to something else: time advances by one.
 * With no room left, in the log or in memory, the oldest changes are forgotten:
 * history_forgotten(). */
void history_write(struct history *history, uint64_t gpa, uint64_t before);

uint64_t history_time(const struct history *history);

/* Changes made before this time were forgotten for lack of room (not by history_prune()). 0:
 * none. */
uint64_t history_forgotten(const struct history *history);

/* Nobody will ask for values that ended at @time or before: release them. */
void history_prune(struct history *history, uint64_t time);

/* The versions of the word at @gpa from newest to oldest. @current is its present content. */
struct history_version history_newest(
	const struct history *history, uint64_t gpa, uint64_t current);
/* Replaces *@version by the one before it. Returns false, changing nothing, if none is known. */
bool history_older(const struct history *history, struct history_version *version);

#endif
