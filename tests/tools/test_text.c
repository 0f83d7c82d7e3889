/* SPDX-License-Identifier: MIT */
/* Queues, lines, the tail of a stream, and the keys of the terminal. */
#include "tests/tools/check.h"
#include "tools/lines.h"
#include "tools/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_queue_gives_back_what_went_in_through_any_pattern(void **state)
{
	struct bytes queue = {0};
	unsigned char in = 0;
	unsigned char out = 0;

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < round % 37; i++)
			bytes_add(&queue, &(unsigned char){in++}, 1);
		for (unsigned i = 0; i < round % 41 && bytes_count(&queue) > 0; i++) {
			assert_int_equal((unsigned char)*bytes_front(&queue), out++);
			bytes_drop(&queue, 1);
		}
	}
	assert_int_equal((unsigned char)(in - out), (unsigned char)bytes_count(&queue));
	bytes_free(&queue);
}

static void join_with_bars(void *who, char *line)
{
	bytes_add_text(who, line);
	bytes_add_text(who, "|");
}

static void lines_are_cut_at_lf_and_lose_their_cr(void **state)
{
	static const char text[] = "one\r\n\ntwo\nthree";
	const char *expected = "one||two|three|";

	(void)state;
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		struct bytes joined = {0};
		struct lines lines = {0};

		for (size_t at = 0; at < sizeof(text) - 1; at += piece)
			lines_feed(&lines, text + at,
				sizeof(text) - 1 - at < piece ? sizeof(text) - 1 - at : piece,
				join_with_bars, &joined);
		lines_end(&lines, join_with_bars, &joined);
		assert_int_equal(bytes_count(&joined), strlen(expected));
		assert_memory_equal(bytes_front(&joined), expected, strlen(expected));
		bytes_free(&joined);
	}
}

static void count_bytes(void *who, char *line)
{
	size_t *longest = who;

	if (strlen(line) > *longest)
		*longest = strlen(line);
}

static void an_endless_line_does_not_grow_without_bound(void **state)
{
	struct lines lines = {0};
	char chunk[1000];
	size_t longest = 0;

	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	for (unsigned i = 0; i < 1000; i++)
		lines_feed(&lines, chunk, sizeof(chunk), count_bytes, &longest);
	assert_int_equal(longest, LINE_MAX_BYTES);
	lines_end(&lines, count_bytes, &longest);
}

static void check_tail(const struct tail *tail, unsigned n_lines, const char *expected)
{
	char *printed = NULL;
	size_t n_bytes = 0;
	FILE *to = open_memstream(&printed, &n_bytes);

	tail_print(tail, to, "> ", n_lines);
	fclose(to);
	assert_string_equal(printed, expected);
	free(printed);
}

static void the_tail_is_the_last_lines_made_harmless(void **state)
{
	struct tail tail = {0};

	(void)state;
	check_tail(&tail, 3, "");
	tail_add(&tail, "a\nb\n\x1b[2Jc\nd", 12);
	check_tail(&tail, 2, "> [2Jc\n> d\n");
	check_tail(&tail, 9, "> a\n> b\n> [2Jc\n> d\n");
	for (unsigned i = 0; i < 2 * TAIL_MAX_BYTES; i++)
		tail_add(&tail, "z", 1);
	assert_int_equal(bytes_count(&tail.kept), TAIL_MAX_BYTES);
	tail_free(&tail);
}

static void note_wish(void *who, enum terminal_wish wish, const char *bytes, size_t n_bytes)
{
	static const char *const names[] = {[TERMINAL_SEND] = "",
		[TERMINAL_LEAVE] = "<leave>",
		[TERMINAL_STATS] = "<stats>",
		[TERMINAL_HELP] = "<help>"};

	bytes_add_text(who, names[wish]);
	bytes_add(who, bytes, n_bytes);
}

static void ctrl_a_is_the_only_key_kept_from_the_guest(void **state)
{
	static const char typed[] = "\x03"
				    "a\x01\x01"
				    "b\x01s\x01q\x01hc\x01x";
	const char *expected = "\x03"
			       "a\x01"
			       "b<stats><help>c<leave>";

	(void)state;
	for (size_t piece = 1; piece < sizeof(typed); piece++) {
		struct bytes noted = {0};
		struct terminal_keys keys = {0};

		for (size_t at = 0; at < sizeof(typed) - 1; at += piece)
			terminal_feed(&keys, typed + at,
				sizeof(typed) - 1 - at < piece ? sizeof(typed) - 1 - at : piece,
				note_wish, &noted);
		bytes_add(&noted, "", 1);
		assert_string_equal(bytes_front(&noted), expected);
		bytes_free(&noted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_gives_back_what_went_in_through_any_pattern),
		cmocka_unit_test(lines_are_cut_at_lf_and_lose_their_cr),
		cmocka_unit_test(an_endless_line_does_not_grow_without_bound),
		cmocka_unit_test(the_tail_is_the_last_lines_made_harmless),
		cmocka_unit_test(ctrl_a_is_the_only_key_kept_from_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
