/* SPDX-License-Identifier: MIT */
/*
 * The decoder and the executor of x86/ against the processor that runs this test: random
 * instructions on random registers, flags and memory, in 64-, 32- and 16-bit code.
 *
 * usage: test_native [COUNT [SEED]]
 *        test_native --batch BATCH SEED     one batch again, every difference told
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/x86/native_flags.h"
#include "tests/x86/native_model.h"
#include "tests/x86/random.h"

#define MAX_TOLD 8 /* differences that are printed */

struct tally {
	uint64_t done[NATIVE_MODES];
	uint64_t failed;
	uint64_t lines; /* operands across cache lines, and of these: */
	uint64_t pages;
	uint64_t locked;
	bool may_split; /* locked operands across cache lines may be used */
	uint64_t forms[NATIVE_MAX_FORMS];
	unsigned max_told;
};

static struct native_case cases[NATIVE_SLOT_COUNT];
static uint8_t model_buffer[NATIVE_BUFFER_BYTES];

/* Processors that trap locked accesses across cache lines make them too slow, or the kernel kills
 * who uses them. */
static bool may_split_locks(void)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[4096];
	bool may = true;

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, "split_lock_detect") || strstr(line, "bus_lock_detect"))
			may = false;
	if (file)
		fclose(file);
	return may;
}

/* Bases that let a 16-bit offset reach the buffer, and in 64-bit code any. */
static void choose_segments(struct native_segments *segments, uint64_t *seed)
{
	bool has_table = segments->mode == NATIVE_32 || segments->mode == NATIVE_16;

	segments->stack_is_32 = !has_table || random_one_in(seed, 2);
	for (unsigned i = 0; i < NATIVE_SEGMENTS; i++) {
		segments->bases[i] = 0;
		if (has_table && i != X86_SEG_GS)
			segments->bases[i] = NATIVE_SLOTS - random_below(seed, 0x4000);
		if (segments->mode == NATIVE_64 && i >= X86_SEG_FS)
			segments->bases[i] = random_one_in(seed, 2)
						     ? random_word(seed) >> 17
						     : NATIVE_BUFFER - (random_word(seed) >> 36);
	}
}

/* Is what lies above the selector in a PUSH of a segment register left as it was? Intel's
 * processors do that, AMD's store zeroes, as x86/ does. SDM 2 "PUSH"; APM 3 "PUSH". Then make the
 * model's memory agree. */
static void allow_short_push(const struct native_case *test, const uint8_t *before)
{
	uint64_t at = test->push_linear - NATIVE_BUFFER;

	if ((test->form->flags & FORM_PUSH) && (test->form->flags & FORM_SREG) &&
		!memcmp(native_buffer() + at + 2, before + 2, test->operand_bytes - 2u))
		memcpy(model_buffer + at + 2, before + 2, test->operand_bytes - 2u);
}

static const char *compare(const struct native_case *test, const struct native_segments *segments,
	const struct native_state *native, const struct native_state *model)
{
	for (unsigned i = 0; i < X86_GPRS; i++) {
		uint64_t different = native->gpr[i] ^ model->gpr[i];

		if (segments->mode != NATIVE_64)
			different = (uint32_t)different;
		if (different)
			return "registers";
	}
	if ((native->rflags ^ model->rflags) & ~native_undefined_flags(test))
		return "flags";
	if (memcmp(native_buffer(), model_buffer, NATIVE_BUFFER_BYTES) != 0)
		return "memory";
	return NULL;
}

static void print_state(const char *name, const struct native_state *state)
{
	printf("  %s: flags %llx", name, (unsigned long long)state->rflags);
	for (unsigned i = 0; i < X86_GPRS; i++)
		printf(" %llx", (unsigned long long)state->gpr[i]);
	printf("\n");
}

static void print_memory(const struct native_case *test)
{
	for (unsigned i = 0; i < NATIVE_BUFFER_BYTES; i++)
		if (native_buffer()[i] != model_buffer[i])
			printf("  memory %x (operand at %llx): processor %02x, x86/ %02x\n",
				NATIVE_BUFFER + i, (unsigned long long)test->linear,
				native_buffer()[i], model_buffer[i]);
}

static void print_case(const struct native_case *test, const struct native_segments *segments,
	const char *difference)
{
	printf("native: %s code, %s: %s:", native_mode_names[segments->mode], test->form->name,
		difference);
	for (unsigned i = 0; i < test->n_bytes; i++)
		printf(" %02x", test->bytes[i]);
	printf(" (operand of %u bytes at %llx", test->memory_bytes,
		(unsigned long long)test->linear);
	for (unsigned i = 0; i < sizeof(test->preset); i++)
		printf("%s%02x", i ? "" : ", was ", test->preset[i]);
	printf(")\n");
	print_state("before", &test->state);
}

/* Returns what differs, NULL if nothing does. */
static const char *run_case(const struct native_case *test, const struct native_segments *segments,
	struct native_state *native, struct native_state *model)
{
	const char *difference;
	uint8_t before[8];

	*native = test->state;
	*model = test->state;
	if (test->form->flags & FORM_PUSH)
		memcpy(before, native_buffer() + (test->push_linear - NATIVE_BUFFER),
			test->operand_bytes);
	if (test->has_memory) {
		uint64_t at = test->linear - NATIVE_BUFFER;

		memcpy(native_buffer() + at, test->preset, test->memory_bytes);
		memcpy(model_buffer + at, test->preset, test->memory_bytes);
	}
	difference = native_model(test, segments, model, model_buffer);
	if (native_run(segments, test->slot, native) != 0)
		return "a fault of the processor";
	if (difference)
		return difference;
	allow_short_push(test, before);
	return compare(test, segments, native, model);
}

static void count(
	struct tally *tally, const struct native_segments *segments, const struct native_case *test)
{
	tally->done[segments->mode]++;
	tally->forms[test->form - native_forms]++;
	if (!native_crosses(test, NATIVE_LINE))
		return;
	tally->lines++;
	if (native_crosses(test, NATIVE_PAGE))
		tally->pages++;
	if (native_is_locked(test))
		tally->locked++;
}

static void run_batch(struct tally *tally, const struct native_segments *segments, uint64_t batch,
	uint64_t run_seed)
{
	for (unsigned slot = 0; slot < NATIVE_SLOT_COUNT; slot++) {
		struct native_state native;
		struct native_state model;
		const char *difference = run_case(&cases[slot], segments, &native, &model);

		count(tally, segments, &cases[slot]);
		if (!difference)
			continue;
		if (tally->failed++ < tally->max_told) {
			print_case(&cases[slot], segments, difference);
			print_state("processor", &native);
			print_state("x86/", &model);
			print_memory(&cases[slot]);
			printf("  replay: test_native --batch %llu %llu\n",
				(unsigned long long)batch, (unsigned long long)run_seed);
		}
		memcpy(model_buffer, native_buffer(), NATIVE_BUFFER_BYTES);
	}
}

/* Make and run one batch of cases, all of one mode. */
static void do_batch(struct tally *tally, enum native_mode mode, uint64_t batch, uint64_t run_seed)
{
	uint64_t seed = run_seed ^ (batch * 0xd1342543de82ef95ull);
	struct native_segments segments = {.mode = mode};

	choose_segments(&segments, &seed);
	native_load(&segments);
	for (unsigned i = 0; i < NATIVE_BUFFER_BYTES; i++)
		native_buffer()[i] = (uint8_t)random_word(&seed);
	memcpy(model_buffer, native_buffer(), NATIVE_BUFFER_BYTES);
	for (unsigned slot = 0; slot < NATIVE_SLOT_COUNT; slot++) {
		native_make(&cases[slot], &segments, slot, random_word(&seed), tally->may_split);
		native_write_slot(&segments, slot, cases[slot].bytes, cases[slot].n_bytes);
	}
	run_batch(tally, &segments, batch, run_seed);
}

/* The mode of @batch, NATIVE_MODES if it cannot be had here. Half of the cases are 64-bit code. */
static enum native_mode mode_of(uint64_t batch, const bool can[NATIVE_MODES])
{
	static const enum native_mode modes[] = {
		NATIVE_64, NATIVE_32, NATIVE_64, NATIVE_16, NATIVE_64, NATIVE_32_FLAT};
	enum native_mode mode = modes[batch % (sizeof(modes) / sizeof(modes[0]))];

	return can[mode] ? mode : NATIVE_MODES;
}

/* Each encoding must have been run, where its mode can be had and enough cases were asked for. */
static bool forms_covered(const struct tally *tally, const bool can[NATIVE_MODES])
{
	bool covered = true;

	for (size_t i = 0; i < native_n_forms; i++) {
		bool possible = !(native_forms[i].flags & FORM_NOT_64) || can[NATIVE_32_FLAT] ||
				can[NATIVE_32];

		if (possible && tally->forms[i] == 0) {
			printf("native: %s (opcode %02x) never run\n", native_forms[i].name,
				native_forms[i].opcode);
			covered = false;
		}
	}
	return covered;
}

static int finish(const struct tally *tally, uint64_t seed, bool ok)
{
	uint64_t sum = 0;

	for (unsigned mode = 0; mode < NATIVE_MODES; mode++)
		sum += tally->done[mode];
	printf("native: %s: %llu cases (seed %llu):", ok ? "ok" : "FAILED", (unsigned long long)sum,
		(unsigned long long)seed);
	for (unsigned mode = 0; mode < NATIVE_MODES; mode++)
		printf(" %llu %s,", (unsigned long long)tally->done[mode], native_mode_names[mode]);
	printf(" %llu across cache lines (%llu across pages, %llu locked%s), %llu different\n",
		(unsigned long long)tally->lines, (unsigned long long)tally->pages,
		(unsigned long long)tally->locked, tally->may_split ? "" : ": they trap here",
		(unsigned long long)tally->failed);
	return ok ? 0 : 1;
}

static int run_all(uint64_t count, uint64_t seed, const bool can[NATIVE_MODES])
{
	struct tally tally = {.may_split = may_split_locks(), .max_told = MAX_TOLD};
	uint64_t done = 0;
	bool ok;

	for (uint64_t batch = 0; done < count; batch++) {
		enum native_mode mode = mode_of(batch, can);

		if (mode == NATIVE_MODES)
			continue;
		do_batch(&tally, mode, batch, seed);
		done += NATIVE_SLOT_COUNT;
	}
	ok = tally.failed == 0;
	if (count >= 100000 && !forms_covered(&tally, can))
		ok = false;
	return finish(&tally, seed, ok);
}

static int run_one(uint64_t batch, uint64_t seed, const bool can[NATIVE_MODES])
{
	struct tally tally = {.may_split = may_split_locks(), .max_told = NATIVE_SLOT_COUNT};
	enum native_mode mode = mode_of(batch, can);

	if (mode == NATIVE_MODES) {
		fprintf(stderr, "test_native: code of this batch cannot be run here\n");
		return 2;
	}
	do_batch(&tally, mode, batch, seed);
	return finish(&tally, seed, tally.failed == 0);
}

int main(int argc, char **argv)
{
	bool can[NATIVE_MODES];

	native_init();
	for (unsigned mode = 0; mode < NATIVE_MODES; mode++) {
		can[mode] = native_can((enum native_mode)mode);
		if (!can[mode])
			printf("native: skipped: %s code: the kernel does not let us\n",
				native_mode_names[mode]);
	}
	if (argc == 4 && !strcmp(argv[1], "--batch"))
		return run_one(strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0), can);
	return run_all(argc > 1 ? strtoull(argv[1], NULL, 0) : 100000,
		argc > 2 ? strtoull(argv[2], NULL, 0) : 1, can);
}
