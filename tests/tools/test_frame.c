/* SPDX-License-Identifier: MIT */
/* The framing of a guest command's output and input. */
#include "tests/tools/check.h"
#include "tools/frame.h"

#include <stdio.h>
#include <string.h>

#define OPENING "\x01UMBRA\x02\n"

static void collect(void *who, const char *bytes, size_t n_bytes)
{
	bytes_add(who, bytes, n_bytes);
}

/* Feeds @line in pieces of @piece bytes and checks the payload. */
static struct frame decode(const char *line, size_t n_bytes, size_t piece, const char *payload)
{
	struct bytes collected = {0};
	struct frame frame = {0};

	for (size_t at = 0; at < n_bytes; at += piece) {
		size_t n = n_bytes - at < piece ? n_bytes - at : piece;

		frame_feed(&frame, line + at, n, collect, &collected);
	}
	assert_int_equal(bytes_count(&collected), strlen(payload));
	if (*payload)
		assert_memory_equal(bytes_front(&collected), payload, strlen(payload));
	bytes_free(&collected);
	return frame;
}

static void payload_and_status_come_out_however_the_line_is_cut(void **state)
{
	static const char line[] = "noise\x01UM" OPENING "a\x01\x01z\n"
				   "\x01"
				   "EXIT 137\n"
				   "late";

	(void)state;
	for (size_t piece = 1; piece < sizeof(line); piece++) {
		struct frame frame = decode(line, sizeof(line) - 1, piece, "a\x01z\n");

		assert_int_equal(frame.state, FRAME_ENDED);
		assert_int_equal(frame.exit_status, 137);
	}
}

static void nothing_is_output_before_the_opening(void **state)
{
	(void)state;
	assert_int_equal(decode("\x01EXIT 0\nUMBRA\x02\n", 15, 15, "").state, FRAME_BEFORE);
	assert_int_equal(decode("\x01\x01UMBRA\x02\nx", 10, 10, "x").state, FRAME_OPEN);
}

static void what_the_framing_does_not_know_breaks_it(void **state)
{
	static const char *const controls[] = {
		"\x01"
		"EXIT\n",
		"\x01"
		"EXIT 256\n",
		"\x01"
		"EXIT -1\n",
		"\x01"
		"EXIT 7x\n",
		"\x01\n",
		"\x01"
		"EXIT 000000000000000000000000000000",
		"\x01"
		"EXIT  1\n",
		"\x01"
		"Exit 1\n",
	};
	char line[64];

	(void)state;
	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		snprintf(line, sizeof(line), OPENING "ab%s", controls[i]);
		assert_int_equal(decode(line, strlen(line), 3, "ab").state, FRAME_BROKEN);
	}
}

static void input_is_escaped_and_its_end_is_marked(void **state)
{
	struct bytes line = {0};

	(void)state;
	frame_encode_input(&line, "a\x01\x04", 3);
	frame_encode_input(&line, NULL, 0);
	assert_int_equal(bytes_count(&line), 6);
	assert_memory_equal(bytes_front(&line), "a\x01\x01\x04\x01\x04", 6);
	bytes_free(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payload_and_status_come_out_however_the_line_is_cut),
		cmocka_unit_test(nothing_is_output_before_the_opening),
		cmocka_unit_test(what_the_framing_does_not_know_breaks_it),
		cmocka_unit_test(input_is_escaped_and_its_end_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
