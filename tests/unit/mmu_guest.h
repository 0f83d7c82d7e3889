/* SPDX-License-Identifier: MIT */
/*
 * An operating system's habits, for the library's unit tests: it writes its tables through a window
 * that maps the frames of all tables and that all of its roots have, and owes the flushes itself.
 */
#ifndef TESTS_UNIT_MMU_GUEST_H
#define TESTS_UNIT_MMU_GUEST_H

#include "tests/unit/mmu_host.h"

#define WINDOW 0x7f0000000000ull /* gva of frame n is WINDOW + n pages, below DATA_GFN */
#define GVA    0x40000000ull
#define LEAF   (GPTE_RW | GPTE_AD)

/* A machine with the window in h->root, in 4-level paging, running on it. */
struct host *guest_new(const struct host_config *config);

/* The same with caches in the processor, with the default policy but for @oos and @sticky, and
 * without prefetch. */
struct host *guest_new_cached(enum umbra_oos oos, unsigned sticky);

/* A root with the window and whatever else the first root has in its root table now. */
uint64_t guest_new_root(struct host *h);

umbra_gva guest_window(const struct host *h, const uint64_t *entry);

/* The guest's own store to one of its entries, which must need no emulation. Returns the faults. */
unsigned guest_sets(struct host *h, uint64_t *entry, uint64_t gpte);

/* The guest maps @gva to DATA_GFN + @n below @root, behind the library's back, goes to that root
 * and writes there. Returns its last-level entry. */
uint64_t *guest_uses(struct host *h, uint64_t root, umbra_gva gva, unsigned n);

uint64_t guest_table_of(const struct host *h, const uint64_t *entry);

/* Its first shadow page; 0: none. */
uint32_t guest_page_of(struct host *h, const uint64_t *entry);

/* What a load of CR3 looked at. */
struct guest_looked {
	uint64_t compared, skipped; /* unsync tables */
};
struct guest_looked guest_load(struct host *h, uint64_t root);

#endif
