/* SPDX-License-Identifier: MIT */
/*
 * An arena of stress: a range of addresses in which anything is done to any pages, and a model of
 * what each must be afterwards.
 */
#ifndef GUEST_STRESS_ARENA_H
#define GUEST_STRESS_ARENA_H

#include "guest/stress.h"

#define ARENA_PAGES ((size_t)8 * HUGE_PAGES)

struct arena_page {
	uint64_t tag; /* 0: empty */
	bool mapped;
	bool lazy;  /* MADV_FREE: the kernel may have emptied it, or may yet */
	bool dirty; /* written since the soft-dirty bits were cleared */
	uint8_t prot;
};

struct arena {
	struct stress *s;
	char *base; /* aligned as a huge page */
	struct arena_page pages[ARENA_PAGES];
};

static inline char *arena_at(const struct arena *a, size_t page)
{
	return a->base + page * PAGE_BYTES;
}

/* Read the page, if that is allowed, and compare. */
void arena_check(struct arena *a, size_t page);
/* Access it in one of three ways, which may fault and does exactly if it must. */
void arena_probe(struct arena *a, size_t page);
void arena_check_all(struct arena *a);

/* One operation on pages @first to @first + @n - 1, of which it may leave out some. */
typedef void arena_op(struct arena *a, size_t first, size_t n);

/* ---- stress_arena_ops.c ---- */

arena_op arena_map, arena_unmap, arena_protect, arena_write, arena_read, arena_empty, arena_free,
	arena_move, arena_populate, arena_page_out, arena_make_huge, arena_make_small,
	arena_collapse, arena_merge, arena_migrate, arena_soft_dirty;

#endif
