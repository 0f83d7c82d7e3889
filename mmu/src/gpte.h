/* SPDX-License-Identifier: MIT */
/*
 * Guest entries as the rest of the library sees them. Every mode is brought to one normal form:
 * 8-byte entries, 512 in a table, as 4-level paging has them. An entry is read once, atomically,
 * and never trusted twice: the guest may be writing it.
 *
 * The tables of 2-level paging are *narrow*: 1,024 entries of 4 bytes. A shadow page stands for a
 * half of such a table at level 1 and for a quarter at level 2, where a guest entry is two of ours,
 * each for 2M of its 4M. SDM 3A "32-Bit Paging".
 */
#ifndef MMU_GPTE_H
#define MMU_GPTE_H

#include "vm.h"

/* What the normal form of a 4M entry says if bit 21 of it, which is reserved, was set. */
#define GPTE_RESERVED_4M (1ull << 51)

static inline uint64_t gpte_load(const void *entry)
{
	return atomic_load_explicit((const _Atomic uint64_t *)entry, memory_order_relaxed);
}

static inline uint32_t gpte_load_narrow(const void *entry)
{
	return atomic_load_explicit((const _Atomic uint32_t *)entry, memory_order_relaxed);
}

/* The narrow @entry at @level in normal form; at level 2 the one of its two halves that is meant.
 */
uint64_t gpte_widen(uint32_t entry, unsigned level, bool pse, bool upper_half);

/* The same for the entry behind @index of a narrow page at level 2. */
uint64_t gpte_of_upper(const struct shadow_page *page, unsigned index);

/* The guest table of an indirect page, ready to be read by our indices. One of the three is set. */
struct gpte_table {
	const uint64_t *wide;
	const uint32_t *narrow;         /* the half of a last-level one */
	const struct shadow_page *page; /* narrow, above */
};

static inline struct gpte_table page_gptes(const struct shadow_page *page)
{
	if (LIKELY(!page_narrow(page)))
		return (struct gpte_table){.wide = page->guest};
	if (page_level(page) > 1)
		return (struct gpte_table){.page = page};
	return (struct gpte_table){
		.narrow = (const uint32_t *)page->guest + page_quadrant(page) * ENTRIES};
}

static inline uint64_t gpte_at(struct gpte_table table, unsigned index)
{
	if (LIKELY(table.wide))
		return gpte_load(&table.wide[index]);
	if (LIKELY(table.narrow))
		return gpte_load_narrow(&table.narrow[index]);
	return gpte_of_upper(table.page, index);
}

/* The guest entry behind @index of the indirect @page. */
static inline uint64_t page_gpte(const struct shadow_page *page, unsigned index)
{
	return gpte_at(page_gptes(page), index);
}

/* Is the group of 8-byte entries at @now what it @was? */
static inline bool gpte_group_same(const uint64_t *now, const uint64_t *was)
{
	return gpte_load(now) == was[0] && gpte_load(now + 1) == was[1] &&
	       gpte_load(now + 2) == was[2] && gpte_load(now + 3) == was[3] &&
	       gpte_load(now + 4) == was[4] && gpte_load(now + 5) == was[5] &&
	       gpte_load(now + 6) == was[6] && gpte_load(now + 7) == was[7];
}

/* Entries of @page that stand for @n_bytes at @offset of its guest table: from *first up to but not
 * including *end. */
static inline void page_entries_at(const struct shadow_page *page, unsigned offset, size_t n_bytes,
	unsigned *first, unsigned *end)
{
	unsigned shift, base, from, to;

	if (LIKELY(!page_narrow(page))) {
		*first = offset / 8;
		*end = (unsigned)(offset + n_bytes + 7) / 8;
		return;
	}
	shift = page_level(page) - 1; /* 2 of ours for 1: 1 */
	base = page_quadrant(page) * ENTRIES;
	from = offset / 4 << shift;
	to = (unsigned)(offset + n_bytes + 3) / 4 << shift;
	*first = from < base ? 0 : from - base;
	*end = to < base ? 0 : to - base > ENTRIES ? ENTRIES : to - base;
}

/* Does it end the walk? */
static inline bool gpte_terminal(uint64_t gpte, unsigned level)
{
	return level == 1 || (gpte & X86_PTE_PS);
}

/* First guest frame of a guest entry: the table below it, or what a terminal one maps. */
static inline uint64_t gpte_gfn(uint64_t gpte, unsigned level)
{
	uint64_t gfn = (gpte & X86_PTE_FRAME) >> X86_PAGE_SHIFT;

	return gpte_terminal(gpte, level) ? gfn & ~(level_frames(level) - 1) : gfn;
}

/* Does @gpte grant anything that a shadow entry may stand for: present, accessed (I6), none of the
 * bits that are reserved in its kind of entry. */
static inline bool gpte_grants(uint64_t gpte, uint64_t reserved)
{
	return (gpte & (X86_PTE_P | X86_PTE_A)) == (X86_PTE_P | X86_PTE_A) && !(gpte & reserved);
}

/* The same for an entry at @level of a table of @format. */
static inline bool gpte_usable(const struct format *format, uint64_t gpte, unsigned level)
{
	bool ps = level > 1 && (gpte & X86_PTE_PS);

	return gpte_grants(gpte, format->reserved[level][ps]);
}

static inline unsigned gpte_key(uint64_t gpte)
{
	return (unsigned)((gpte & X86_PTE_PK) >> X86_PTE_PK_SHIFT);
}

#endif
