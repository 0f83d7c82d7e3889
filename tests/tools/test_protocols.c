/* SPDX-License-Identifier: MIT */
/* What comes from the hypervisor's monitor and from QEMU. */
#include "tests/tools/check.h"
#include "tools/monitor.h"
#include "tools/qmp.h"

#include <string.h>
#include <unistd.h>

struct seen {
	unsigned n_events;
	enum monitor_kind kind;
	char text[64];
	char reason[16];
	long long id;
	long long pf;
};

static void note(void *who, const struct monitor_event *event)
{
	struct seen *seen = who;

	seen->n_events++;
	seen->kind = event->kind;
	seen->id = event->id;
	seen->pf = json_integer_value(json_object_get(event->exits, "pf"));
	snprintf(seen->text, sizeof(seen->text), "%s", event->text);
	snprintf(seen->reason, sizeof(seen->reason), "%s", event->reason);
}

static void every_kind_of_monitor_line_is_read(void **state)
{
	struct seen seen = {0};

	(void)state;
	monitor_line("{\"type\":\"hello\",\"version\":\"1\"}", note, &seen);
	assert_int_equal(seen.kind, MONITOR_HELLO);
	monitor_line("{\"type\":\"mark\",\"id\":5,\"exits\":{\"pf\":7},\"mmu\":{},\"tsc\":1}", note,
		&seen);
	assert_int_equal(seen.kind, MONITOR_MARK);
	assert_int_equal(seen.id, 5);
	assert_int_equal(seen.pf, 7);
	monitor_line("{\"type\":\"stats\",\"reason\":\"poweroff\",\"exits\":{},\"mmu\":{},\"guest_"
		     "ns\":1}",
		note, &seen);
	assert_int_equal(seen.kind, MONITOR_STATS);
	assert_string_equal(seen.reason, "poweroff");
	monitor_line("{\"type\":\"panic\",\"text\":\"a \\\"b\\\"\"}", note, &seen);
	assert_int_equal(seen.kind, MONITOR_PANIC);
	assert_string_equal(seen.text, "a \"b\"");
	monitor_line("", note, &seen);
	assert_int_equal(seen.n_events, 4);
}

static void what_is_no_monitor_line_is_passed_on_as_garbage(void **state)
{
	static const char *const lines[] = {
		"SeaBIOS",
		"{\"type\":\"hel",
		"[]",
		"{\"type\":\"unknown\"}",
		"{\"type\":5}",
		"{\"type\":\"mark\",\"id\":1,\"mmu\":{}}",
		"{\"type\":\"mark\",\"id\":1,\"exits\":{\"pf\":\"7\"},\"mmu\":{}}",
		"{\"type\":\"stats\",\"exits\":[],\"mmu\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct seen seen = {0};

		monitor_line(lines[i], note, &seen);
		assert_int_equal(seen.n_events, 1);
		assert_int_equal(seen.kind, MONITOR_GARBAGE);
		assert_memory_equal(
			seen.text, lines[i], strlen(lines[i]) < 63 ? strlen(lines[i]) : 63);
	}
}

static bool sent(struct qmp *qmp, const char *command)
{
	struct bytes *line = qmp->line;
	bool found;

	bytes_add(line, "", 1);
	found = strstr(bytes_front(line), command) != NULL;
	bytes_drop(line, bytes_count(line));
	return found;
}

static void an_nmi_waits_until_the_serial_port_has_taken_its_bytes(void **state)
{
	struct bytes line = {0};
	struct qmp qmp = {.line = &line};
	int pair[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(pair), 0);
	qmp.serial = pair[1];
	assert_int_equal(write(pair[1], "ab", 2), 2);
	qmp_inject_nmi(&qmp);
	assert_int_equal(bytes_count(&line), 0); /* the connection is not ready */
	qmp_line(&qmp, "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":22,\"minor\":2,\"major\":7},"
		       "\"package\":\"\"},\"capabilities\":[]}}");
	assert_string_equal(qmp.version, "7.2.22");
	assert_true(sent(&qmp, "qmp_capabilities"));
	assert_false(qmp.ready);
	qmp_line(&qmp, "{\"return\":{},\"id\":\"qmp_capabilities\"}");
	assert_true(qmp.ready);
	assert_true(sent(&qmp, "query-status"));
	qmp_inject_nmi(&qmp);
	assert_int_equal(bytes_count(&line), 0); /* one at a time */
	for (unsigned i = 0; i < 2; i++) {
		qmp_line(&qmp, "{\"return\":{},\"id\":\"query-status\"}");
		assert_true(sent(&qmp, "query-status"));
		assert_int_equal(read(pair[0], &byte, 1), 1);
	}
	qmp_line(&qmp, "{\"return\":{},\"id\":\"query-status\"}");
	assert_true(sent(&qmp, "inject-nmi"));
	qmp_line(&qmp, "{\"return\":{},\"id\":\"inject-nmi\"}");
	assert_true(sent(&qmp, "query-status"));
	close(pair[0]);
	close(pair[1]);
	bytes_free(&line);
}

static void the_reason_of_a_shutdown_is_kept_and_noise_is_not_minded(void **state)
{
	struct bytes line = {0};
	struct qmp qmp = {.line = &line};

	(void)state;
	qmp_line(&qmp, "{\"event\":\"RESUME\",\"timestamp\":{}}");
	qmp_line(&qmp, "not json");
	qmp_line(&qmp, "{\"event\":\"SHUTDOWN\"}");
	assert_string_equal(qmp.shutdown, "");
	qmp_line(&qmp,
		"{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-reset\"}}");
	assert_string_equal(qmp.shutdown, "guest-reset");
	bytes_free(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_monitor_line_is_read),
		cmocka_unit_test(what_is_no_monitor_line_is_passed_on_as_garbage),
		cmocka_unit_test(an_nmi_waits_until_the_serial_port_has_taken_its_bytes),
		cmocka_unit_test(the_reason_of_a_shutdown_is_kept_and_noise_is_not_minded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
