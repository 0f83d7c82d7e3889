/* SPDX-License-Identifier: MIT */
/*
 * The log of changed words and its index. Must not know what the words mean.
 *
 * Write number n stands at log[n & mask], with the old value and the number of the write before it
 * to the same word. The index (open addressing, linear probing) maps a word to its last write.
 */
#include "lab/history.h"

#include <stdlib.h>

struct change {
	uint64_t gpa;
	uint64_t before;
	uint64_t previous; /* write that made @before; 0 if not recorded */
};

struct bucket {
	uint64_t gpa;
	uint64_t last; /* write; 0: the bucket is empty */
};

struct history {
	struct change *log;
	uint64_t log_mask;
	uint64_t time;     /* newest write */
	uint64_t released; /* writes up to this one are no longer in the log */
	uint64_t forgotten;
	struct bucket *buckets;
	size_t bucket_mask;
	size_t n_used;
};

enum {
	FIRST_BUCKETS = 1024,
};

static size_t hash(uint64_t gpa)
{
	return (size_t)(((gpa >> 3) * 0x9e3779b97f4a7c15ull) >> 20);
}

/* The bucket of @gpa, or the empty one where it belongs. */
static struct bucket *find(const struct history *history, uint64_t gpa)
{
	size_t i = hash(gpa) & history->bucket_mask;

	while (history->buckets[i].last != 0 && history->buckets[i].gpa != gpa)
		i = (i + 1) & history->bucket_mask;
	return &history->buckets[i];
}

static bool grow(struct history *history)
{
	struct bucket *old = history->buckets;
	size_t n_old = history->bucket_mask + 1;
	struct bucket *buckets = calloc(n_old * 2, sizeof(*buckets));

	if (!buckets)
		return false;
	history->buckets = buckets;
	history->bucket_mask = n_old * 2 - 1;
	for (size_t i = 0; i < n_old; i++) {
		if (old[i].last != 0)
			*find(history, old[i].gpa) = old[i];
	}
	free(old);
	return true;
}

/* Empty @bucket, and move up those behind it that a search would no longer reach. */
static void empty(struct history *history, struct bucket *bucket)
{
	size_t mask = history->bucket_mask;
	size_t hole = (size_t)(bucket - history->buckets);
	size_t i = hole;

	for (;;) {
		size_t home;

		i = (i + 1) & mask;
		if (history->buckets[i].last == 0)
			break;
		home = hash(history->buckets[i].gpa) & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		history->buckets[hole] = history->buckets[i];
		hole = i;
	}
	history->buckets[hole].last = 0;
	history->n_used--;
}

static void release_oldest(struct history *history)
{
	uint64_t number = ++history->released;
	struct bucket *bucket = find(history, history->log[number & history->log_mask].gpa);

	if (bucket->last == number)
		empty(history, bucket);
}

struct history *history_new(size_t capacity)
{
	struct history *history = calloc(1, sizeof(*history));
	size_t n_log = 16;

	if (!history)
		return NULL;
	while (n_log < capacity)
		n_log *= 2;
	history->log = calloc(n_log, sizeof(*history->log));
	history->log_mask = n_log - 1;
	history->buckets = calloc(FIRST_BUCKETS, sizeof(*history->buckets));
	history->bucket_mask = FIRST_BUCKETS - 1;
	if (!history->log || !history->buckets) {
		history_free(history);
		return NULL;
	}
	return history;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	free(history->log);
	free(history->buckets);
	free(history);
}

static bool has_room(struct history *history)
{
	if (history->time - history->released > history->log_mask)
		return false;
	return history->n_used * 2 <= history->bucket_mask || grow(history);
}

void history_write(struct history *history, uint64_t gpa, uint64_t before)
{
	struct bucket *bucket;

	while (!has_room(history)) {
		release_oldest(history);
		history->forgotten = history->released;
	}
	bucket = find(history, gpa);
	if (bucket->last == 0)
		history->n_used++;
	history->time++;
	history->log[history->time & history->log_mask] = (struct change){
		.gpa = gpa,
		.before = before,
		.previous = bucket->last,
	};
	*bucket = (struct bucket){.gpa = gpa, .last = history->time};
}

uint64_t history_time(const struct history *history)
{
	return history->time;
}

uint64_t history_forgotten(const struct history *history)
{
	return history->forgotten;
}

void history_prune(struct history *history, uint64_t time)
{
	while (history->released < time)
		release_oldest(history);
}

struct history_version history_newest(const struct history *history, uint64_t gpa, uint64_t current)
{
	return (struct history_version){
		.value = current,
		.since = find(history, gpa)->last,
		.until = HISTORY_NOW,
	};
}

bool history_older(const struct history *history, struct history_version *version)
{
	const struct change *change = &history->log[version->since & history->log_mask];

	if (version->since <= history->released)
		return false;
	*version = (struct history_version){
		.value = change->before,
		.since = change->previous,
		.until = version->since,
	};
	return true;
}
