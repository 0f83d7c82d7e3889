/* SPDX-License-Identifier: MIT */
/*
 * The reference walker against a second one: the enumeration's strict processor (lab/enum_hw.h),
 * which was written from the manuals by other hands and shares no rule with it. Where both exist
 * (PAE, 4-level and 5-level paging with CR0.WP=1 and EFER.NXE=1) they must agree on random tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lab/enum_hw.h"
#include "lab/oracle.h"
#include "lab/rng.h"

#define TABLES_AT 0x10000ull
#define N_TABLES  6u /* the root, and one of each lower level, and one more */
#define TRIALS    150000u
#define WIDTH     46u

static uint64_t tables[N_TABLES * 512];
static uint64_t before[N_TABLES * 512];

static uint64_t read_tables(void *context, uint64_t gpa, unsigned n_bytes)
{
	(void)context;
	assert_int_equal(n_bytes, 8);
	assert_in_range(gpa, TABLES_AT, TABLES_AT + sizeof(tables) - 8);
	return before[(gpa - TABLES_AT) / 8];
}

static uint64_t maybe(struct rng *rng, unsigned percent, uint64_t bits)
{
	return rng_percent(rng, percent) ? bits : 0;
}

/* An entry that most accesses can use; one that is no leaf leads to a table. */
static uint64_t pick_entry(struct rng *rng, unsigned level, bool pae)
{
	uint64_t entry = maybe(rng, 97, ORACLE_P) | maybe(rng, 85, ORACLE_W) |
			 maybe(rng, 70, ORACLE_U) | maybe(rng, 50, ORACLE_A) |
			 maybe(rng, 10, ORACLE_NX) | (rng_u64(rng) & 0xf18 & ~ORACLE_A);

	if (pae && level == 3)
		return maybe(rng, 95, ORACLE_P) | (TABLES_AT + 0x1000 * (1 + rng_below(rng, 5)));
	if (!pae)
		entry |= rng_u64(rng) & 0x7ff0000000000000;
	if (rng_percent(rng, 4))
		entry |= 1ull << (WIDTH + rng_below(rng, (pae ? 63 : 52) - WIDTH));
	if (level == 1)
		return entry | maybe(rng, 20, ORACLE_PAT_4K) | (rng_u64(rng) & 0x3ffffffff000) |
		       maybe(rng, 30, ORACLE_D);
	if (level <= 3 && rng_percent(rng, 30))
		return entry | ORACLE_PS |
		       (rng_u64(rng) & (level == 2 ? 0x3fffffe00000 : 0x3fffc0000000)) |
		       maybe(rng, 5, rng_u64(rng) & 0x1ff000);
	return entry | maybe(rng, level > 3 ? 3 : 0, ORACLE_PS) |
	       (TABLES_AT + 0x1000 * (1 + rng_below(rng, 5)));
}

struct trial {
	struct oracle_cpu cpu;
	struct oracle_access access;
	struct lab_fail fail;
	struct enum_hw hw;
	struct enum_hw_access hw_access;
};

/* Random tables on the way of @gva. All tables serve all levels, since entries lead anywhere: the
 * same index can be at each. */
static void fill_tables(struct rng *rng, unsigned levels, uint64_t gva)
{
	bool pae = levels == 3;

	memset(tables, 0, sizeof(tables));
	for (unsigned i = 0; i < N_TABLES; i++)
		for (unsigned level = 1; level <= levels; level++)
			tables[i * 512 + (gva >> (3 + 9 * level) & (pae && level == 3 ? 3 : 511))] =
				pick_entry(rng, i == 0 ? levels : level, pae);
	memcpy(before, tables, sizeof(tables));
}

/* The same processor and access for the second walker. */
static void set_up_second(struct trial *trial, unsigned levels)
{
	static const enum umbra_access kinds[] = {
		[ORACLE_READ] = UMBRA_READ,
		[ORACLE_WRITE] = UMBRA_WRITE,
		[ORACLE_FETCH] = UMBRA_FETCH,
	};
	static const enum umbra_shadow_mode modes[] = {
		[3] = UMBRA_SHADOW_PAE, [4] = UMBRA_SHADOW_4LEVEL, [5] = UMBRA_SHADOW_5LEVEL};

	trial->hw = (struct enum_hw){
		.fail = &trial->fail,
		.tables = tables,
		.tables_hpa = TABLES_AT,
		.n_tables = N_TABLES,
		.smep = trial->cpu.cr4 & ORACLE_CR4_SMEP,
		.smap = trial->cpu.cr4 & ORACLE_CR4_SMAP,
		.pke = trial->cpu.cr4 & ORACLE_CR4_PKE,
		.pks = trial->cpu.cr4 & ORACLE_CR4_PKS,
	};
	trial->hw_access = (struct enum_hw_access){
		.gva = trial->access.gva,
		.kind = kinds[trial->access.kind],
		.supervisor = !trial->access.user || trial->access.implicit,
		.open = trial->cpu.ac && !trial->access.implicit,
		.pkru = trial->cpu.pkru,
		.pkrs = trial->cpu.pkrs,
	};
	enum_hw_enter(&trial->hw, modes[levels], TABLES_AT);
}

/* Random registers, a random access, random tables. */
static void set_up(struct trial *trial, struct rng *rng)
{
	unsigned levels = 3 + rng_below(rng, 3);
	unsigned unused = levels == 5 ? 7 : 16;
	bool pae = levels == 3;
	uint64_t gva = rng_u64(rng);
	uint64_t keys = rng_u64(rng);

	gva = pae ? (uint32_t)gva : (uint64_t)((int64_t)(gva << unused) >> unused);
	fill_tables(rng, levels, gva);
	*trial = (struct trial){
		.cpu = {.cr0 = ORACLE_CR0_PE | ORACLE_CR0_PG | ORACLE_CR0_WP,
			.cr3 = TABLES_AT,
			.cr4 = ORACLE_CR4_PAE | (levels == 5 ? ORACLE_CR4_LA57 : 0) |
			       maybe(rng, 50, ORACLE_CR4_SMEP) | maybe(rng, 50, ORACLE_CR4_SMAP) |
			       maybe(rng, 50, ORACLE_CR4_PKE) | maybe(rng, 50, ORACLE_CR4_PKS),
			.efer = ORACLE_EFER_NXE | (pae ? 0 : ORACLE_EFER_LME),
			.pkru = (uint32_t)keys,
			.pkrs = (uint32_t)(keys >> 32),
			.ac = rng_percent(rng, 50),
			.maxphyaddr = WIDTH,
			.has_1g_pages = true},
		.access = {.gva = gva,
			.kind = (enum oracle_kind)rng_below(rng, 3),
			.user = rng_percent(rng, 50)},
	};
	trial->access.implicit = trial->access.kind != ORACLE_FETCH && rng_percent(rng, 20);
	memcpy(trial->cpu.pdpte, tables, sizeof(trial->cpu.pdpte));
	set_up_second(trial, levels);
}

static void compare(const struct oracle_result *result, const struct enum_hw_result *hw)
{
	assert_int_equal(hw->fault, result->outcome == ORACLE_PAGE_FAULT);
	if (hw->fault) {
		assert_int_equal(hw->error_code, result->error_code);
		return;
	}
	assert_int_equal(hw->hpa, result->gpa);
	assert_int_equal(hw->pat, result->rights.pat);
	for (unsigned i = 0; i < result->n_entries; i++) {
		const struct oracle_entry *entry = &result->entries[i];
		uint64_t now = tables[(entry->gpa - TABLES_AT) / 8];

		/* An entry that was used at two levels has the bits of both. */
		assert_int_equal(now & entry->after, entry->after);
		assert_int_equal((now ^ entry->value) & ~(ORACLE_A | ORACLE_D), 0);
	}
}

/* The second walker's answer. false: it took reserved bits for a bug, as it should. */
static bool ask_second(struct trial *trial, struct enum_hw_result *hw)
{
	if (setjmp(trial->fail.unwind) != 0) {
		assert_non_null(strstr(trial->fail.text, "reserved"));
		return false;
	}
	*hw = enum_hw_translate(&trial->hw, &trial->hw_access);
	return true;
}

static void two_walkers_agree(void **state)
{
	static struct trial trial;
	const struct oracle_memory memory = {.read = read_tables};
	struct rng rng = rng_seed(7);
	unsigned n_ok = 0;
	unsigned n_denied = 0;
	unsigned n_reserved = 0;

	(void)state;
	for (unsigned i = 0; i < TRIALS; i++) {
		struct oracle_result result;
		struct enum_hw_result hw = {0};
		bool reserved;

		set_up(&trial, &rng);
		oracle_access(&trial.cpu, &memory, &trial.access, &result);
		reserved = !ask_second(&trial, &hw);
		assert_int_equal(reserved, (result.error_code & ORACLE_PF_RSVD) != 0);
		if (!reserved)
			compare(&result, &hw);
		n_reserved += reserved;
		n_ok += !reserved && !hw.fault;
		n_denied += hw.fault && (hw.error_code & ORACLE_PF_P);
	}
	/* The dice gave all kinds. */
	assert_in_range(n_ok, TRIALS / 10, TRIALS);
	assert_in_range(n_denied, TRIALS / 10, TRIALS);
	assert_in_range(n_reserved, TRIALS / 100, TRIALS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_walkers_agree),
	};

	return cmocka_run_group_tests_name("oracle: a second walker", tests, NULL, NULL);
}
