/* SPDX-License-Identifier: MIT */
/*
 * The history of memory against a plain list of everything that ever happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lab/history.h"

enum {
	N_SLOTS = 3000,
	N_WRITES = 40000,
};

struct event {
	unsigned slot;
	uint64_t before;
};

static uint64_t gpa_of(unsigned slot)
{
	return (uint64_t)slot * 8 + (slot % 7) * 0x100000;
}

/* The versions of @slot must be those of the list, back to time @oldest at least. */
static void compare(const struct history *history, const struct event *events, uint64_t n,
	unsigned slot, uint64_t oldest)
{
	struct history_version version = history_newest(history, gpa_of(slot), ~0ull);
	uint64_t until = HISTORY_NOW;

	for (uint64_t time = n; time > oldest; time--) {
		if (events[time].slot != slot)
			continue;
		assert_int_equal(version.since, time);
		assert_int_equal(version.until, until);
		assert_true(history_older(history, &version));
		assert_int_equal(version.value, events[time].before);
		assert_int_equal(version.until, time);
		until = time;
	}
	assert_true(version.since <= oldest);
}

static void run(size_t capacity, unsigned prune_every)
{
	struct history *history = history_new(capacity);
	struct event *events = calloc(N_WRITES + 1, sizeof(*events));
	uint64_t rng = 1, oldest = 0;

	assert_non_null(history);
	assert_non_null(events);
	for (uint64_t n = 1; n <= N_WRITES; n++) {
		rng = rng * 6364136223846793005ull + 1442695040888963407ull;
		events[n].slot = (unsigned)((rng >> 33) % (n % 2 ? N_SLOTS : 20));
		events[n].before = rng;
		history_write(history, gpa_of(events[n].slot), rng);
		assert_int_equal(history_time(history), n);
		if (prune_every && n % prune_every == 0) {
			oldest = n - prune_every / 2;
			history_prune(history, oldest);
		}
		if (history_forgotten(history) > oldest)
			oldest = history_forgotten(history);
		if (n % 97 == 0)
			compare(history, events, n, events[n].slot, oldest);
	}
	for (unsigned slot = 0; slot < 200; slot++)
		compare(history, events, N_WRITES, slot, oldest);
	if (capacity >= N_WRITES)
		assert_int_equal(history_forgotten(history), 0);
	else if (!prune_every)
		assert_true(history_forgotten(history) > 0);
	free(events);
	history_free(history);
}

static void all_versions_are_kept_while_there_is_room(void **state)
{
	(void)state;
	run(N_WRITES, 0);
}

static void pruned_versions_go_and_the_others_stay(void **state)
{
	(void)state;
	run(N_WRITES, 700);
}

static void a_full_log_forgets_the_oldest(void **state)
{
	(void)state;
	run(1000, 0);
	run(16, 0);
}

static void a_word_never_written_has_one_version(void **state)
{
	struct history *history = history_new(16);
	struct history_version version;

	(void)state;
	assert_non_null(history);
	version = history_newest(history, 0x1000, 5);
	assert_int_equal(version.value, 5);
	assert_int_equal(version.since, 0);
	assert_int_equal(version.until, HISTORY_NOW);
	assert_false(history_older(history, &version));
	history_free(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_versions_are_kept_while_there_is_room),
		cmocka_unit_test(pruned_versions_go_and_the_others_stay),
		cmocka_unit_test(a_full_log_forgets_the_oldest),
		cmocka_unit_test(a_word_never_written_has_one_version),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
