/* SPDX-License-Identifier: MIT */
/*
 * The little operating system's memory: frames, page tables in every mode, the direct map. Tables
 * are read from memory, so a plan changes a table once before it reads it.
 */
#include "lab/gen_os.h"

#include "x86/x86.h"

#include <string.h>

/* First of the kernel's own tables: of levels 2, 3, 4; in 2-level paging two of level 1. */
#define KERNEL_TABLE 0x20u
#define FIRST_ROOT   (KERNEL_TABLE + 3)

uint64_t os_page_gva(const struct os_guest *guest, unsigned page)
{
	if (page < OS_AREA_PAGES)
		return guest->layout->area_low + page * X86_PAGE_SIZE;
	return guest->layout->area_high + (page - OS_AREA_PAGES) * X86_PAGE_SIZE;
}

/* In the direct map's upper tables: two last-level tables' worth, and as much in another gigabyte
 * where there is one. */
uint64_t os_kernel_gva(const struct os_guest *guest, unsigned page)
{
	unsigned table = page / (OS_KERNEL_PAGES / 4);
	uint64_t gva = guest->layout->direct_map + (1ull << 24);

	if (table >= 2 && paging_is_long(guest->mode))
		gva += 1ull << 30;
	return gva + ((uint64_t)(table & 1) << paging_shift(guest->mode, 2)) +
	       (page % (OS_KERNEL_PAGES / 4) + (table & 2) * 8) * X86_PAGE_SIZE;
}

unsigned os_page_at(const struct os_guest *guest, uint64_t gva)
{
	const struct os_layout *layout = guest->layout;

	if (gva < layout->area_high)
		return (unsigned)((gva - layout->area_low) / X86_PAGE_SIZE);
	return OS_AREA_PAGES + (unsigned)((gva - layout->area_high) / X86_PAGE_SIZE);
}

static void store_by(
	struct os_plan *plan, enum step_op op, uint64_t gpa, uint64_t value, unsigned n_bytes)
{
	struct step *step = queue_add(plan->queue, STEP_STORE, plan->vcpu);

	step->op = op;
	step->gva = plan->guest->layout->direct_map + gpa;
	step->value = value;
	step->bytes = n_bytes;
}

void os_store(struct os_plan *plan, uint64_t gpa, uint64_t value, unsigned n_bytes)
{
	store_by(plan, STEP_OP_MOV, gpa, value, n_bytes);
}

/* The two halves of a PAE entry: P is set last and cleared first. */
static void store_halves(struct os_plan *plan, uint64_t gpa, uint64_t entry)
{
	bool present = entry & X86_PTE_P;

	for (unsigned i = 0; i < 2; i++) {
		bool high = present == (i == 0);

		os_store(plan, gpa + (high ? 4 : 0), high ? entry >> 32 : (uint32_t)entry, 4);
	}
}

void os_store_entry(struct os_plan *plan, uint64_t gpa, uint64_t entry)
{
	static const enum step_op ops[] = {
		STEP_OP_MOV, STEP_OP_MOV, STEP_OP_MOV, STEP_OP_XCHG, STEP_OP_CMPXCHG, STEP_OP_STOS};
	unsigned n_bytes = paging_rows[plan->guest->mode].entry_bytes;

	if (plan->guest->mode == PAGING_PAE && rng_percent(plan->rng, 50))
		store_halves(plan, gpa, entry);
	else if (n_bytes == 8 && rng_percent(plan->rng, 10))
		store_by(plan, STEP_OP_CMPXCHG_PAIR, gpa, entry, 8);
	else
		store_by(plan, ops[rng_below(plan->rng, 6)], gpa, entry, n_bytes);
}

void os_clear_bits(struct os_plan *plan, uint64_t gpa, uint64_t entry, uint64_t bits)
{
	unsigned choice = rng_below(plan->rng, 4);

	if (choice == 0)
		os_store(plan, gpa, (uint8_t)(entry & ~bits), 1);
	else if (choice == 1 && (bits & (bits - 1)) == 0)
		store_by(plan, STEP_OP_BTR, gpa, (uint64_t)__builtin_ctzll(bits), 4);
	else
		store_by(plan, STEP_OP_AND, gpa, ~bits, choice == 2 ? 1 : 4);
}

uint64_t os_entry(const struct os_plan *plan, uint64_t gpa)
{
	return gen_entry(plan->machine, plan->guest->mode, gpa);
}

static bool is_aligned(uint64_t gfn)
{
	return gfn >= OS_ALIGNED_FIRST && gfn < OS_ALIGNED_END;
}

bool os_take_frame(struct os_plan *plan, enum os_use use, uint64_t *gfn)
{
	struct os_guest *guest = plan->guest;
	bool aligned = guest->aligned && use == OS_TABLE;
	unsigned last = guest->n_free - 1;

	if (guest->n_free < 8)
		return false;
	for (unsigned i = 0; i < guest->n_free && use != OS_DATA; i++) {
		if (is_aligned(guest->free_frames[last - i]) == aligned) {
			uint64_t found = guest->free_frames[last - i];

			guest->free_frames[last - i] = guest->free_frames[last];
			guest->free_frames[last] = found;
			break;
		}
	}
	*gfn = guest->free_frames[--guest->n_free];
	return true;
}

void os_give_frame(struct os_plan *plan, uint64_t gfn)
{
	plan->guest->free_frames[plan->guest->n_free++] = gfn;
}

/* Make @gfn a table: clear what memory shows to be there. */
static void clear_frame(struct os_plan *plan, uint64_t gfn)
{
	unsigned n_bytes = 8u << rng_below(plan->rng, 4);
	unsigned cleared = 0;

	for (unsigned i = 0; i < X86_PAGE_SIZE; i += 8) {
		if (i < cleared || !gen_word(plan->machine, (gfn << X86_PAGE_SHIFT) + i))
			continue;
		cleared = i / n_bytes * n_bytes + n_bytes;
		os_store(plan, (gfn << X86_PAGE_SHIFT) + cleared - n_bytes, 0, n_bytes);
	}
}

static uint64_t entry_gpa(const struct os_plan *plan, uint64_t gfn, uint64_t gva, unsigned level)
{
	return paging_slot(plan->guest->mode, gfn << X86_PAGE_SHIFT, level, gva);
}

uint64_t os_gfn(uint64_t entry)
{
	return (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
}

/* An entry of @level for a table of the process or (no @user) of the kernel. */
static uint64_t link_to(const struct os_plan *plan, uint64_t gfn, unsigned level, bool user)
{
	if (plan->guest->mode == PAGING_PAE && level == 3)
		return gfn << X86_PAGE_SHIFT | X86_PTE_P;
	return gfn << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_W | (user ? X86_PTE_U : 0);
}

static unsigned top_level(const struct os_plan *plan)
{
	return paging_rows[plan->guest->mode].levels;
}

bool os_find_entry(struct os_plan *plan, uint64_t root, uint64_t gva, unsigned level, uint64_t *gpa)
{
	uint64_t table = root;

	for (unsigned at = top_level(plan); at > level; at--) {
		uint64_t entry = os_entry(plan, entry_gpa(plan, table, gva, at));

		if (!(entry & X86_PTE_P))
			return false;
		table = os_gfn(entry);
	}
	*gpa = entry_gpa(plan, table, gva, level);
	return true;
}

uint64_t os_page_entry(struct os_plan *plan, uint64_t root, unsigned page)
{
	uint64_t gpa;

	if (!os_find_entry(plan, root, os_page_gva(plan->guest, page), 1, &gpa))
		return 0;
	return os_entry(plan, gpa);
}

/* A new table for the entry of @level at @gpa. */
static bool make_table(
	struct os_plan *plan, uint64_t gpa, unsigned level, bool user, uint64_t *made)
{
	uint64_t fresh;

	if (!os_take_frame(plan, user ? OS_TABLE : OS_KERNEL_TABLE, &fresh))
		return false;
	clear_frame(plan, fresh);
	os_store_entry(plan, gpa, link_to(plan, fresh, level, user));
	*made = fresh;
	return true;
}

bool os_set_entry(struct os_plan *plan, uint64_t root, uint64_t gva, uint64_t entry, bool user,
	uint64_t made[6])
{
	uint64_t table = root;

	for (unsigned level = top_level(plan); level > 1; level--) {
		uint64_t gpa = entry_gpa(plan, table, gva, level);
		uint64_t upper = os_entry(plan, gpa);

		if (!made[level - 1] && !made[level] && (upper & X86_PTE_P)) {
			table = os_gfn(upper);
			continue;
		}
		if (!made[level - 1] && !make_table(plan, gpa, level, user, &made[level - 1]))
			return false;
		table = made[level - 1];
	}
	os_store_entry(plan, entry_gpa(plan, table, gva, 1), entry);
	return true;
}

/* The kernel's entries of a root, number @i of them: where, and what; false past the last. */
static bool kernel_entry(
	const struct os_plan *plan, uint64_t root, unsigned i, uint64_t *gpa, uint64_t *entry)
{
	uint64_t direct_map = plan->guest->layout->direct_map;
	unsigned top = top_level(plan);

	*gpa = entry_gpa(plan, root, direct_map, top);
	if (top > 2) {
		*entry = link_to(plan, KERNEL_TABLE + top - 3, top, false);
		return i == 0;
	}
	/* Two pages of 4M, then the two tables of os_kernel_gva(). */
	*gpa += (i < 2 ? i : i + 2) * 4;
	*entry = (uint64_t)i << 22 | X86_PTE_P | X86_PTE_W | X86_PTE_PS | X86_PTE_G;
	if (i >= 2)
		*entry = link_to(plan, KERNEL_TABLE + i - 2, top, false);
	return i < 4;
}

bool os_new_root(struct os_plan *plan, uint64_t *root)
{
	uint64_t gpa;
	uint64_t entry;

	if (!os_take_frame(plan, OS_TABLE, root))
		return false;
	clear_frame(plan, *root);
	for (unsigned i = 0; kernel_entry(plan, *root, i, &gpa, &entry); i++)
		os_store_entry(plan, gpa, entry);
	return true;
}

void os_free_tables(struct os_plan *plan, uint64_t gfn, unsigned level, unsigned n_entries)
{
	unsigned entry_bytes = paging_rows[plan->guest->mode].entry_bytes;

	for (unsigned i = 0; level > 1 && i < n_entries; i++) {
		uint64_t entry = os_entry(plan, (gfn << X86_PAGE_SHIFT) + i * entry_bytes);

		if (entry & X86_PTE_P)
			os_free_tables(plan, os_gfn(entry), level - 1, 512);
	}
	os_give_frame(plan, gfn);
}

void os_free_root(struct os_plan *plan, uint64_t root)
{
	os_free_tables(plan, root, top_level(plan), plan->guest->layout->user_entries);
}

static void poke(struct os_plan *plan, uint64_t gpa, uint64_t value, unsigned n_bytes)
{
	struct step *step = queue_add(plan->queue, STEP_POKE, plan->vcpu);

	step->gpa = gpa;
	step->bytes = n_bytes;
	step->value = value;
}

/* What was in these frames before, and the lists of frames. */
static void clean_up(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	uint64_t n_frames = guest->life == LAB_LIFE_ALL ? 0x28 : 0x200;

	for (uint64_t gpa = KERNEL_TABLE << X86_PAGE_SHIFT;
		gpa < (FIRST_ROOT + 1) << X86_PAGE_SHIFT; gpa += 8)
		if (gen_word(plan->machine, gpa))
			poke(plan, gpa, 0, 8);
	memset(guest->shares, 0, sizeof(guest->shares));
	memset(guest->kernel_mapped, 0, sizeof(guest->kernel_mapped));
	guest->moving = OS_SETTLED;
	guest->aligned = false;
	guest->n_free = 0;
	for (uint64_t gfn = FIRST_ROOT + 1; gfn < 0x60; gfn++)
		os_give_frame(plan, gfn);
	for (uint64_t gfn = 0x1f8; gfn < 0x1f8 + n_frames; gfn++)
		os_give_frame(plan, gfn);
	for (uint64_t gfn = 0x600; gfn < 0x600 + n_frames; gfn++)
		os_give_frame(plan, gfn);
}

uint64_t os_load_kernel(struct os_plan *plan)
{
	uint64_t direct_map = plan->guest->layout->direct_map;
	unsigned entry_bytes = paging_rows[plan->guest->mode].entry_bytes;
	uint64_t gpa;
	uint64_t entry;

	clean_up(plan);
	for (unsigned level = 3; level < top_level(plan); level++)
		poke(plan, entry_gpa(plan, KERNEL_TABLE + level - 2, direct_map, level),
			link_to(plan, KERNEL_TABLE + level - 3, level, false), 8);
	for (uint64_t i = 0; i < 4 && top_level(plan) > 2; i++)
		poke(plan, (KERNEL_TABLE << X86_PAGE_SHIFT) + i * 8,
			i << 21 | X86_PTE_P | X86_PTE_W | X86_PTE_PS | X86_PTE_G | X86_PTE_NX, 8);
	for (unsigned i = 0; kernel_entry(plan, FIRST_ROOT, i, &gpa, &entry); i++)
		poke(plan, gpa, entry, entry_bytes);
	return FIRST_ROOT;
}
