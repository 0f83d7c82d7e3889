/* SPDX-License-Identifier: MIT */
/* Which tests run, their verdicts and the words about them. Must not know any test. */
#include "tests/guest/guest.h"

#define N_CIRCUMSTANCES 12u
/* So many failures of one test are told. */
#define N_TOLD 5u

struct shared *shared;

static const struct test *running;
static const char *running_mode;
static const char *skipped_because;
static unsigned n_failures;
static struct {
	const char *name;
	uint64_t value;
} circumstances[N_CIRCUMSTANCES];
static unsigned n_circumstances;

static void print_test(const char *verdict)
{
	print(verdict);
	print(running_mode);
	print(".");
	print(running->name);
}

bool row_in(unsigned rows)
{
	return rows & ROWS(shared->row);
}

void skip(const char *reason)
{
	skipped_because = reason;
	guard_leave();
}

void given(const char *name, uint64_t value)
{
	unsigned i = 0;

	while (i < n_circumstances && circumstances[i].name != name)
		i++;
	if (i == N_CIRCUMSTANCES)
		i = 0;
	else if (i == n_circumstances)
		n_circumstances++;
	circumstances[i].name = name;
	circumstances[i].value = value;
}

/* Begin the message of a failure; false if there were too many. */
static bool failed(const char *what)
{
	if (n_failures++ >= N_TOLD)
		return false;
	print_test("FAIL ");
	for (unsigned i = 0; i < n_circumstances; i++) {
		print(" ");
		print(circumstances[i].name);
		print("=");
		print_hex(circumstances[i].value);
	}
	print(": ");
	print(what);
	return true;
}

static void print_outcome(struct outcome outcome)
{
	if (outcome.vector == TRAP_DONE) {
		print("done, value=0x");
		print_hex(outcome.value);
		return;
	}
	print("vector=");
	print_number(outcome.vector);
	print(" error=0x");
	print_hex(outcome.error);
	if (outcome.vector == X86_PF) {
		print(" cr2=0x");
		print_hex(outcome.cr2);
	}
}

static void expect_outcome(
	const char *what, struct outcome expected, bool with_value, struct outcome got)
{
	bool same = got.vector == expected.vector;

	if (got.vector == TRAP_DONE)
		same = same && (!with_value || got.value == expected.value);
	else
		same = same && got.error == expected.error &&
		       (got.vector != X86_PF || got.cr2 == expected.cr2);
	if (same || !failed(what))
		return;
	print(" expected ");
	if (expected.vector == TRAP_DONE && !with_value)
		print("done");
	else
		print_outcome(expected);
	print(" got ");
	print_outcome(got);
	print("\n");
}

void expect_equal(const char *what, uint64_t expected, uint64_t got)
{
	if (got == expected || !failed(what))
		return;
	print(" expected 0x");
	print_hex(expected);
	print(" got 0x");
	print_hex(got);
	print("\n");
}

void expect_true(const char *what, bool holds)
{
	if (!holds && failed(what))
		print(" expected, but it does not hold\n");
}

void expect_done(const char *what, struct outcome got)
{
	expect_outcome(what, (struct outcome){.vector = TRAP_DONE}, false, got);
}

void expect_value(const char *what, struct outcome got, word value)
{
	expect_outcome(what, (struct outcome){.vector = TRAP_DONE, .value = value}, true, got);
}

void expect_fault(const char *what, struct outcome got, uint32_t error, word gva)
{
	expect_outcome(
		what, (struct outcome){.vector = X86_PF, .error = error, .cr2 = gva}, false, got);
}

void expect_trap(const char *what, struct outcome got, unsigned vector, uint32_t error)
{
	expect_outcome(what, (struct outcome){.vector = vector, .error = error, .cr2 = got.cr2},
		false, got);
}

void expect_reads(const char *what, word gva, uint32_t marker)
{
	expect_value(what, attempt(OP_READ32, KERNEL, gva, 0), marker);
}

void expect_ad(const char *what, const struct path *path, unsigned level, uint64_t ad)
{
	given("level", level);
	expect_equal(what, ad, path_get(path, level) & PTE_AD);
}

/* ---- choosing and running ---- */

/* Is @name that of @pattern, which may end in an asterisk? */
static bool matches(const char *pattern, const char *name)
{
	while (*pattern && *pattern != '*' && *pattern == *name) {
		pattern++;
		name++;
	}
	return *pattern == '*' || *pattern == *name;
}

static bool chosen(void)
{
	const char *only = shared->only;
	const char *at = running_mode;

	if (!*only || text_same(only, running_mode) || matches(only, running->name))
		return true;
	while (*at && *at == *only) {
		at++;
		only++;
	}
	return !*at && *only == '.' && matches(only + 1, running->name);
}

static void run_chosen(void)
{
	mode_reset();
	running->run();
}

static void skipped(const char *reason)
{
	print_test("skip ");
	print(" ");
	print(reason);
	print("\n");
	shared->skipped++;
}

static void run_one(void)
{
	n_failures = 0;
	n_circumstances = 0;
	skipped_because = NULL;
	if (!guard_call(run_chosen) && !skipped_because)
		failed("it could not go on\n");
	if (n_failures > 0) {
		if (n_failures > N_TOLD) {
			print_test("FAIL ");
			print(" and ");
			print_number(n_failures - N_TOLD);
			print(" more\n");
		}
		shared->failed++;
	} else if (skipped_because) {
		skipped(skipped_because);
	} else {
		print_test("ok ");
		print("\n");
		shared->passed++;
	}
}

static void run_all(enum mode_id id, const char *absent)
{
	running_mode = modes[id].name;
	for (unsigned g = 0; g < n_test_groups; g++) {
		for (unsigned i = 0; i < test_groups[g]->n_tests; i++) {
			running = &test_groups[g]->tests[i];
			if (!(running->modes & IN(id)) || !chosen())
				continue;
			if (shared->list) {
				print_test("");
				print("\n");
			} else if (absent) {
				skipped(absent);
			} else if (row_in(running->departs_in)) {
				skipped(running->departs);
			} else {
				run_one();
			}
		}
	}
}

void run_tests(void)
{
	n_probes = 0;
	run_all(mode->id, NULL);
	shared->probes += n_probes;
	if (!shared->list)
		guard_call(mode_reset);
}

void run_none(enum mode_id id, const char *reason)
{
	run_all(id, reason);
}
