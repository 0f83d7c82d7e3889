/* SPDX-License-Identifier: MIT */
/*
 * What the host stores for the guest it stores at once or not at all: over two frames, in whole
 * entries, and, if the guest asked for it, only in place of what was there.
 */
#include "tests/unit/mmu_steps.h"

#include <string.h>

#include "mmu/src/gpte.h"
#include "tests/unit/mmu_patchwork.h"

#define GVA 0x40000000ull

/* ---- all or nothing ---- */

static void a_store_over_two_frames_is_made_in_both_or_in_none(void **state)
{
	/* By the second frame, an enum patch. */
	static const bool done[PATCHES + 1] = {[PATCH_MORE_RAM] = true};
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);
	static struct patchwork patches, before;
	uint8_t bytes[64];

	(void)state;
	patchwork_add(h, &patches);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	for (unsigned second = 0; second <= PATCHES; second++) {
		umbra_gpa boundary = (PATCH_GFN + second) << X86_PAGE_SHIFT;

		for (unsigned n = 2; n <= sizeof(bytes); n++) {
			for (unsigned head = 1; head < n; head++) {
				before = patches;
				assert_int_equal(
					umbra_guest_write(h->vcpu, boundary - head, bytes, n),
					done[second]);
				if (done[second]) {
					memcpy(patch_bytes(&before, second - 1) + X86_PAGE_SIZE -
							head,
						bytes, head);
					memcpy(patch_bytes(&before, second), bytes + head,
						n - head);
				}
				assert_memory_equal(&patches, &before, sizeof(patches));
			}
		}
	}
	assert_int_equal(umbra_stats(h->vm)->mmu_pte_write, 0);
	host_free(h);
}

/* The first page of it is a table: nothing is stored, so its shadow is what it was. */
static void a_refused_store_leaves_tables_and_shadows(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);
	const uint64_t table = RAM_FRAMES - 1;
	uint64_t zeroes[4] = {0}, spte;

	(void)state;
	host_map(h, h->root, GVA + (511 << 12), 2, gpte_of(table, GPTE_RW));
	host_words(h, table)[511] = gpte_of(DATA_GFN, GPTE_RW | GPTE_AD);
	host_start(h, h->root);
	host_read_gfn(h, GVA + (511 << 12));
	spte = host_spte(h, GVA + (511 << 12), 1);
	for (unsigned n = 9; n <= sizeof(zeroes); n++)
		assert_false(
			umbra_guest_write(h->vcpu, (RAM_FRAMES << X86_PAGE_SHIFT) - 8, zeroes, n));
	assert_int_equal(host_words(h, table)[511], gpte_of(DATA_GFN, GPTE_RW | GPTE_AD));
	assert_int_equal(host_spte(h, GVA + (511 << 12), 1), spte);
	host_write(h, (RAM_FRAMES << X86_PAGE_SHIFT) - 8, zeroes, 8);
	assert_int_equal(host_spte(h, GVA + (511 << 12), 1), 0);
	host_free(h);
}

static void a_store_that_wraps_or_is_too_long_is_refused(void **state)
{
	static const struct {
		umbra_gpa gpa;
		size_t n_bytes;
	} cases[] = {
		{~0ull, 1},
		{~0ull, 2},
		{~0ull - 7, 16},
		{~0ull - 0xfff, 0x1000},
		{1ull << 52, 8},
		{(1ull << 52) - 4, 8},
		{DATA_GFN << X86_PAGE_SHIFT, X86_PAGE_SIZE + 1},
		{DATA_GFN << X86_PAGE_SHIFT | 1, X86_PAGE_SIZE + 1},
		{DATA_GFN << X86_PAGE_SHIFT, 1ull << 32},
		{DATA_GFN << X86_PAGE_SHIFT, ~(size_t)0},
		{DATA_GFN << X86_PAGE_SHIFT | 8, ~(size_t)0 - 7},
		{0, ~(size_t)0},
	};
	struct host *h = *state;
	uint8_t bytes[64] = {1};

	memset(bytes, 0x5a, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_false(umbra_guest_write(h->vcpu, cases[i].gpa, bytes, cases[i].n_bytes));
	assert_int_equal(host_words(h, DATA_GFN)[0], 0);
	assert_int_equal(host_words(h, 0)[0], 0);
	/* Nothing to be stored is nothing to refuse, but for where. */
	assert_true(umbra_guest_write(h->vcpu, DATA_GFN << X86_PAGE_SHIFT, bytes, 0));
	assert_false(umbra_guest_write(h->vcpu, ROM_GFN << X86_PAGE_SHIFT, bytes, 0));
	host_check(h);
}

/* ---- at once ---- */

struct watched {
	const uint64_t *words;
	unsigned n;
	unsigned torn;
};

/* Each word is all zeroes or all ones, at any time. */
static void watch(void *ctx)
{
	struct watched *w = ctx;

	for (unsigned i = 0; i < w->n; i++) {
		uint64_t word = gpte_load(&w->words[i]);

		w->torn += word && ~word;
	}
}

/* The whole entries inside an odd store, of any length at any place, while another vCPU walks them.
 */
static void entries_change_at_once(void **state)
{
	struct host *h = *state;
	uint8_t *page = (uint8_t *)host_words(h, DATA_GFN);

	for (unsigned offset = 0; offset < 8; offset++) {
		for (unsigned n = 8; n <= 30; n += 2) {
			unsigned first = (offset + 7) / 8, end = (offset + n) / 8;
			struct watched watched = {
				.words = host_words(h, DATA_GFN) + first,
				.n = end > first ? end - first : 0,
			};
			uint8_t bytes[30];

			memset(bytes, 0xff, sizeof(bytes));
			memset(page, 0, 64);
			steps_begin(watch, &watched);
			(void)umbra_guest_write(
				h->vcpu, (DATA_GFN << X86_PAGE_SHIFT) + offset, bytes, n);
			assert_true(steps_end() > 20);
			assert_int_equal(watched.torn, 0);
			assert_memory_equal(page + offset, bytes, n);
		}
	}
}

/* And each 4-byte entry of a narrow table. */
static void watch_narrow(void *ctx)
{
	struct watched *w = ctx;

	for (unsigned i = 0; i < w->n; i++) {
		uint32_t word = gpte_load_narrow((const uint32_t *)w->words + i);

		w->torn += word && ~word;
	}
}

static void small_entries_change_at_once(void **state)
{
	struct host *h = *state;
	uint8_t *page = (uint8_t *)host_words(h, DATA_GFN);

	for (unsigned offset = 0; offset < 8; offset++) {
		for (unsigned n = 4; n <= 18; n += 2) {
			unsigned first = (offset + 3) / 4, end = (offset + n) / 4;
			struct watched watched = {
				.words = (const uint64_t *)((const uint32_t *)page + first),
				.n = end > first ? end - first : 0,
			};
			uint8_t bytes[18];

			memset(bytes, 0xff, sizeof(bytes));
			memset(page, 0, 64);
			steps_begin(watch_narrow, &watched);
			(void)umbra_guest_write(
				h->vcpu, (DATA_GFN << X86_PAGE_SHIFT) + offset, bytes, n);
			(void)steps_end();
			assert_int_equal(watched.torn, 0);
		}
	}
}

/* ---- exchange ---- */

/* Each bit of the @n_bytes at @gpa counts, and nothing else. */
static void exchange_everything(struct host *h, umbra_gpa gpa, size_t n_bytes)
{
	uint8_t *page = (uint8_t *)host_words(h, gpa >> X86_PAGE_SHIFT);
	uint8_t *at = page + gpa % X86_PAGE_SIZE;
	static uint8_t memory[X86_PAGE_SIZE];
	uint8_t expected[16], bytes[16];

	memcpy(expected, at, n_bytes);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(0xc0 + i);
	memcpy(memory, page, sizeof(memory));
	for (unsigned bit = 0; bit < 8 * n_bytes; bit++) {
		expected[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(umbra_guest_exchange(h->vcpu, gpa, expected, bytes, n_bytes),
			UMBRA_EXCHANGE_DIFFERS);
		expected[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_memory_equal(page, memory, sizeof(memory));
	assert_int_equal(
		umbra_guest_exchange(h->vcpu, gpa, expected, bytes, n_bytes), UMBRA_EXCHANGE_DONE);
	memcpy(memory + gpa % X86_PAGE_SIZE, bytes, n_bytes);
	assert_memory_equal(page, memory, sizeof(memory));
	/* And back. */
	assert_int_equal(
		umbra_guest_exchange(h->vcpu, gpa, bytes, expected, n_bytes), UMBRA_EXCHANGE_DONE);
	assert_memory_equal(at, expected, n_bytes);
}

static void an_exchange_is_made_in_place_of_what_was_expected(void **state)
{
	struct host *h = *state;
	uint8_t *page = (uint8_t *)host_words(h, DATA_GFN);

	for (unsigned i = 0; i < X86_PAGE_SIZE; i++)
		page[i] = (uint8_t)(i * 7 + 0x81);
	for (size_t n = 1; n <= 16; n *= 2) {
		for (umbra_gpa at = 0; at < 64; at += n)
			exchange_everything(h, (DATA_GFN << X86_PAGE_SHIFT) + at, n);
		exchange_everything(h, ((DATA_GFN + 1) << X86_PAGE_SHIFT) - n, n);
	}
}

/* As an emulated LOCK AND of a byte, or CMPXCHG8B of a PAE entry. */
static void an_exchange_in_a_table_is_seen_at_once(void **state)
{
	struct host *h = *state;
	const uint64_t was = gpte_of(DATA_GFN, GPTE_RW | GPTE_AD);
	const uint64_t next = gpte_of(DATA_GFN + 1, GPTE_RW | GPTE_AD);
	uint64_t two[2], other[2];
	umbra_gpa gpa;
	uint8_t low = (uint8_t)was, ro = (uint8_t)(was & ~X86_PTE_W);

	host_map(h, h->root, GVA, 1, was);
	host_map(h, h->root, GVA + X86_PAGE_SIZE, 1, next);
	gpa = host_gpa(h, host_gpte(h, h->root, GVA, 1));
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	assert_int_equal(umbra_guest_exchange(h->vcpu, gpa, &ro, &low, 1), UMBRA_EXCHANGE_DIFFERS);
	assert_int_equal(umbra_stats(h->vm)->mmu_pte_write, 0);
	assert_int_equal(umbra_guest_exchange(h->vcpu, gpa, &low, &ro, 1), UMBRA_EXCHANGE_DONE);
	host_check(h);
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, GVA, 0).faults, 0);
	memcpy(two, host_gpte(h, h->root, GVA, 1), sizeof(two));
	other[0] = two[1];
	other[1] = two[0];
	assert_int_equal(umbra_guest_exchange(h->vcpu, gpa, two, other, 16), UMBRA_EXCHANGE_DONE);
	host_check(h);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	assert_int_equal(host_access(h, GVA + X86_PAGE_SIZE, 0).faults, 0);
	assert_int_equal(host_read_gfn(h, GVA + X86_PAGE_SIZE), DATA_GFN);
	assert_int_equal(umbra_stats(h->vm)->mmu_pte_write, 2);
	assert_int_equal(umbra_stats(h->vm)->mmu_shadow_zapped, 0);
}

static void what_no_instruction_exchanges_is_refused(void **state)
{
	static const umbra_gpa no_ram[] = {ROM_GFN << X86_PAGE_SHIFT, DEVICE_GFN << X86_PAGE_SHIFT,
		ABSENT_GFN << X86_PAGE_SHIFT, RAM_FRAMES << X86_PAGE_SHIFT, ~0xfull};
	struct host *h = *state;
	const uint8_t zeroes[32] = {0}, ones[32] = {1, 1, 1, 1};

	for (size_t n = 0; n <= 32; n++) {
		bool size = n == 1 || n == 2 || n == 4 || n == 8 || n == 16;

		for (umbra_gpa at = 0; at < 32; at++) {
			umbra_gpa gpa = (DATA_GFN << X86_PAGE_SHIFT) + at;
			enum umbra_exchange made =
				umbra_guest_exchange(h->vcpu, gpa, zeroes, ones, n);

			assert_int_equal(made,
				size && at % n == 0 ? UMBRA_EXCHANGE_DONE : UMBRA_EXCHANGE_REFUSED);
			memset(host_words(h, DATA_GFN), 0, X86_PAGE_SIZE);
		}
		for (unsigned i = 0; i < sizeof(no_ram) / sizeof(no_ram[0]); i++)
			assert_int_equal(umbra_guest_exchange(h->vcpu, no_ram[i], zeroes, ones, n),
				UMBRA_EXCHANGE_REFUSED);
	}
	assert_int_equal(
		umbra_guest_exchange(h->vcpu, DATA_GFN << X86_PAGE_SHIFT, zeroes, ones, ~(size_t)0),
		UMBRA_EXCHANGE_REFUSED);
	assert_int_equal(
		umbra_guest_exchange(h->vcpu, DATA_GFN << X86_PAGE_SHIFT, zeroes, ones, 1ull << 32),
		UMBRA_EXCHANGE_REFUSED);
	assert_int_equal(host_words(h, DATA_GFN)[0], 0);
	assert_int_equal(host_words(h, ROM_GFN)[0], 0);
}

struct other {
	uint8_t *byte;
	unsigned first, every; /* acts after these instructions */
	uint8_t n;
};

/* Counts in its byte. */
static void count(void *ctx)
{
	struct other *o = ctx;

	if (steps.n >= o->first && (steps.n - o->first) % o->every == 0)
		*(volatile uint8_t *)o->byte = ++o->n;
}

/* Exchange @n bytes of zeroes at byte @at of the page for ones, while somebody else counts in byte
 * @other. Nothing gets lost, either way. Returns whether it was made. */
static bool exchange_beside(
	struct host *h, unsigned at, size_t n, unsigned other, unsigned first, unsigned every)
{
	uint8_t *page = (uint8_t *)host_words(h, DATA_GFN);
	struct other o = {.byte = page + other, .first = first, .every = every};
	const uint8_t zeroes[16] = {0};
	enum umbra_exchange made;
	uint8_t ones[16];

	memset(ones, 0xff, sizeof(ones));
	memset(page, 0, 48);
	steps_begin(count, &o);
	made = umbra_guest_exchange(h->vcpu, (DATA_GFN << X86_PAGE_SHIFT) + at, zeroes, ones, n);
	(void)steps_end();
	assert_int_not_equal(made, UMBRA_EXCHANGE_REFUSED);
	for (unsigned i = 0; i < 48; i++) {
		bool exchanged = made == UMBRA_EXCHANGE_DONE && i - at < n;

		assert_int_equal(page[i], i == other && o.n ? o.n : exchanged ? 0xff : 0);
	}
	return made == UMBRA_EXCHANGE_DONE;
}

static void neighbours_of_what_is_exchanged_lose_nothing(void **state)
{
	struct host *h = *state;

	for (unsigned every = 1; every < 100; every *= 9) {
		for (size_t n = 1; n < 16; n *= 2) {
			for (unsigned at = 16; at < 24; at += (unsigned)n) {
				(void)exchange_beside(h, at, n, at - 1, 1, every);
				(void)exchange_beside(h, at, n, at + (unsigned)n, 1, every);
			}
		}
	}
}

/* Once, before each of the instructions around the one that does it: it is done or it differs. */
static void no_store_comes_between(void **state)
{
	static const struct {
		size_t n;
		unsigned other;
	} cases[] = {{1, 16}, {8, 23}, {16, 31}};
	struct host *h = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned differs = 1, done = 2048;

		while (done - differs > 1) {
			unsigned when = (differs + done) / 2;

			if (exchange_beside(h, 16, cases[i].n, cases[i].other, when, ~0u))
				done = when;
			else
				differs = when;
		}
		assert_true(differs > 5 && steps.n > done + 5);
		for (unsigned when = differs - 5; when < done + 60; when += 2)
			(void)exchange_beside(h, 16, cases[i].n, cases[i].other, when, ~0u);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		cmocka_unit_test(a_store_over_two_frames_is_made_in_both_or_in_none),
		cmocka_unit_test(a_refused_store_leaves_tables_and_shadows),
		T(a_store_that_wraps_or_is_too_long_is_refused),
		T(entries_change_at_once),
		T(small_entries_change_at_once),
		T(an_exchange_is_made_in_place_of_what_was_expected),
		T(an_exchange_in_a_table_is_seen_at_once),
		T(what_no_instruction_exchanges_is_refused),
		T(neighbours_of_what_is_exchanged_lose_nothing),
		T(no_store_comes_between),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
