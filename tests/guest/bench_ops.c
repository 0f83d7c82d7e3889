/* SPDX-License-Identifier: MIT */
/*
 * The operations: scanners of a kernel, and tables that are written and used, or not. Must not know
 * how they are chosen and printed.
 */
#include "tests/guest/bench.h"

#define N_ENTRIES 512u /* of a wide table */
#define ROUNDS    8u
#define N_TABLES  16u /* of highpte_scan */
#define N_FRAMES  ((SPARE_END - SPARE_BASE) / X86_PAGE_SIZE)

/* Of the tables that are written: */
#define WRITTEN_ROUNDS 1024u
#define WRITTEN        8u /* entries, in each round */
#define FLAP_ROUNDS    8u /* in which the table is not used, before it is used once */

/* Table number @n of those that translate the test's addresses, full, each entry of its own page.
 */
static uint8_t *make_table(unsigned n)
{
	struct path path;

	for (unsigned i = n * N_ENTRIES; i < (n + 1) * N_ENTRIES; i++)
		path = path_make(
			test_gva(i), 1, (SPARE_BASE + i % N_FRAMES * X86_PAGE_SIZE) | PTE_ALL);
	return entry_table(path.entry[2]);
}

static void touch_all(unsigned n_pages)
{
	flush_all();
	for (unsigned i = 0; i < n_pages; i++)
		*(volatile uint32_t *)test_gva(i) = i;
}

/*
 * Linux's ptep_set_wrprotect() of old, clear_bit() on an entry: a LOCK AND of its first byte. The
 * entry stays live: after the flush that is due its page is read.
 */
static uint32_t clear_bit_pte(void)
{
	uint8_t *table = make_table(0);

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < N_ENTRIES; i++)
			table[i * 8] |= X86_PTE_W;
		touch_all(N_ENTRIES);
		bench_begin();
		for (unsigned i = 0; i < N_ENTRIES; i++) {
			__asm__ volatile("lock andb %1, %0"
					 : "+m"(table[i * 8])
					 : "i"((uint8_t)~X86_PTE_W)
					 : "memory");
			invlpg(test_gva(i));
			(void)*(volatile uint32_t *)test_gva(i);
		}
		bench_end();
	}
	return ROUNDS * N_ENTRIES;
}

/* Test and clear A of all entries of table @n, in @window. Returns how many had it. */
static uint32_t scan(volatile uint8_t *window, unsigned n)
{
	uint32_t n_young = 0;

	for (unsigned i = 0; i < N_ENTRIES; i++) {
		bool young;

		__asm__ volatile("lock btrl %2, %1"
				 : "=@ccc"(young), "+m"(*(volatile uint32_t *)(window + i * 8))
				 : "i"(5)
				 : "memory");
		if (young)
			invlpg(test_gva(n * N_ENTRIES + i));
		n_young += young;
	}
	return n_young;
}

/*
 * The scanner of a kernel whose tables lie in high memory (kscand of RHEL 3): one address is mapped
 * to each table in turn, and there the A bit of every entry is tested and cleared, and its
 * page flushed.
 */
static uint32_t highpte_scan(void)
{
	word window = test_gva_far(1, 0);
	uint8_t *tables[N_TABLES];
	struct path path = path_make(window, 1, 0);
	uint32_t n_young = 0;

	for (unsigned n = 0; n < N_TABLES; n++)
		tables[n] = make_table(n);
	for (unsigned round = 0; round < ROUNDS; round++) {
		touch_all(N_TABLES * N_ENTRIES);
		bench_begin();
		for (unsigned n = 0; n < N_TABLES; n++) {
			path_set(&path, 1, phys(tables[n]) | X86_PTE_P | X86_PTE_W);
			invlpg(window);
			n_young += scan((volatile uint8_t *)window, n);
		}
		bench_end();
	}
	return n_young;
}

/*
 * A table of which some entries get another frame in each round, then everything is flushed; the
 * table is used in every @use-th round, or never (0). Counted are stores.
 */
static uint32_t written_table(unsigned use)
{
	uint8_t *table = make_table(0);

	touch_all(N_ENTRIES);
	bench_begin();
	for (unsigned round = 1; round <= WRITTEN_ROUNDS; round++) {
		for (unsigned i = 0; i < WRITTEN; i++)
			entry_write(table + i * 8,
				(SPARE_BASE + (i + round) % N_FRAMES * X86_PAGE_SIZE) | PTE_ALL);
		write_cr3(read_cr3());
		for (unsigned i = 0; use && round % use == 0 && i < WRITTEN; i++)
			(void)*(volatile uint32_t *)test_gva(i);
	}
	bench_end();
	return WRITTEN_ROUNDS * WRITTEN;
}

static uint32_t busy_table(void)
{
	return written_table(1);
}

static uint32_t idle_table(void)
{
	return written_table(0);
}

static uint32_t flapping_table(void)
{
	return written_table(FLAP_ROUNDS);
}

#define IN_BENCH (IN(PAE) | IN(FOUR_LEVEL))

const struct measured bench_ops[] = {
	{.name = "clear_bit_pte", .modes = IN_BENCH, .run = clear_bit_pte},
	{.name = "highpte_scan", .modes = IN_BENCH, .run = highpte_scan},
	{.name = "busy_table", .modes = IN_BENCH, .run = busy_table},
	{.name = "idle_table", .modes = IN_BENCH, .run = idle_table},
	{.name = "flapping_table", .modes = IN_BENCH, .run = flapping_table},
};
const unsigned n_bench_ops = sizeof(bench_ops) / sizeof(*bench_ops);
