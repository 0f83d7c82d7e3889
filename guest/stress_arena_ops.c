/* SPDX-License-Identifier: MIT */
/*
 * What can be done to pages of an arena: each system call with its effect on the model.
 */
#include "guest/stress_arena.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of Linux, where the C library's headers may be older. */
enum {
	ADVISE_COLD = 20,
	ADVISE_PAGE_OUT = 21,
	ADVISE_POPULATE_READ = 22,
	ADVISE_POPULATE_WRITE = 23,
	ADVISE_COLLAPSE = 25,
	MOVE_DONT_UNMAP = 4,
	MIGRATE_MOVE = 2, /* MPOL_MF_MOVE */
	MIGRATE_PAGES = 64,
};

static void set_all(struct arena *a, size_t first, size_t n, struct arena_page page)
{
	for (size_t i = first; i < first + n; i++)
		a->pages[i] = page;
}

/* Make the range its first part that is mapped, of one protection if @alike. */
static bool mapped_part(const struct arena *a, size_t *first, size_t *n, bool alike)
{
	size_t end = *first + *n;
	size_t at = *first;

	while (at < end && !a->pages[at].mapped)
		at++;
	*first = at;
	while (at < end && a->pages[at].mapped &&
		(!alike || a->pages[at].prot == a->pages[*first].prot))
		at++;
	*n = at - *first;
	return *n > 0;
}

static void must(struct arena *a, int result, const char *what)
{
	if (result != 0)
		stress_failed(a->s, what);
}

/* ---- mappings ---- */

void arena_map(struct arena *a, size_t first, size_t n)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

	if (n <= HUGE_PAGES && stress_chance(a->s, 4))
		flags |= MAP_POPULATE;
	if (mmap(arena_at(a, first), n * PAGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0) !=
		arena_at(a, first))
		stress_failed(a->s, "mmap");
	set_all(a, first, n, (struct arena_page){.mapped = true, .prot = PROT_READ | PROT_WRITE});
}

void arena_unmap(struct arena *a, size_t first, size_t n)
{
	must(a, munmap(arena_at(a, first), n * PAGE_BYTES), "munmap");
	set_all(a, first, n, (struct arena_page){0});
}

void arena_protect(struct arena *a, size_t first, size_t n)
{
	static const uint8_t prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC,
		PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE | PROT_EXEC};
	uint8_t prot = prots[stress_random(a->s, sizeof(prots))];

	if (!mapped_part(a, &first, &n, false))
		return;
	must(a, mprotect(arena_at(a, first), n * PAGE_BYTES, prot), "mprotect");
	for (size_t i = first; i < first + n; i++)
		a->pages[i].prot = prot;
}

/* Whole tables move when the range is large and aligned. */
void arena_move(struct arena *a, size_t first, size_t n)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (stress_chance(a->s, 4) ? MOVE_DONT_UNMAP : 0);
	size_t to;
	char *moved;

	if (!mapped_part(a, &first, &n, true))
		return;
	to = stress_random(a->s, (uint32_t)(ARENA_PAGES - n + 1));
	if (first % HUGE_PAGES == 0 && n % HUGE_PAGES == 0)
		to -= to % HUGE_PAGES;
	if (to < first + n && first < to + n)
		return;
	arena_unmap(a, to, n);
	moved = mremap(arena_at(a, first), n * PAGE_BYTES, n * PAGE_BYTES, flags, arena_at(a, to));
	if (moved == MAP_FAILED && errno == EFAULT)
		return; /* not one mapping to the kernel */
	if (moved != arena_at(a, to))
		stress_failed(a->s, "mremap");
	for (size_t i = 0; i < n; i++) {
		struct arena_page *from = &a->pages[first + i];

		a->pages[to + i] = *from;
		*from = flags & MOVE_DONT_UNMAP
				? (struct arena_page){.mapped = true, .prot = from->prot}
				: (struct arena_page){0};
	}
}

/* ---- content ---- */

void arena_write(struct arena *a, size_t first, size_t n)
{
	uint32_t one_in = 1 + stress_random(a->s, 3);

	for (size_t i = first; i < first + n; i++) {
		struct arena_page *p = &a->pages[i];

		if (!(p->prot & PROT_WRITE) || !stress_chance(a->s, one_in))
			continue;
		p->tag = stress_tag(a->s);
		p->lazy = false;
		p->dirty = true;
		stress_stamp(arena_at(a, i), p->tag);
	}
}

void arena_read(struct arena *a, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		arena_check(a, i);
}

void arena_empty(struct arena *a, size_t first, size_t n)
{
	if (!mapped_part(a, &first, &n, false))
		return;
	must(a, madvise(arena_at(a, first), n * PAGE_BYTES, MADV_DONTNEED), "MADV_DONTNEED");
	for (size_t i = first; i < first + n; i++) {
		a->pages[i].tag = 0;
		a->pages[i].lazy = false;
		a->pages[i].dirty = false;
	}
}

void arena_free(struct arena *a, size_t first, size_t n)
{
	if (!mapped_part(a, &first, &n, false))
		return;
	must(a, madvise(arena_at(a, first), n * PAGE_BYTES, MADV_FREE), "MADV_FREE");
	for (size_t i = first; i < first + n; i++) {
		a->pages[i].lazy = a->pages[i].tag != 0;
		a->pages[i].dirty = false;
	}
}

/* ---- what changes nothing, as far as we can see ---- */

/* The kernel may refuse, or have better things to do. */
static void advise(struct arena *a, size_t first, size_t n, int advice)
{
	if (mapped_part(a, &first, &n, false))
		madvise(arena_at(a, first), n * PAGE_BYTES, advice);
}

void arena_populate(struct arena *a, size_t first, size_t n)
{
	advise(a, first, n, stress_chance(a->s, 2) ? ADVISE_POPULATE_READ : ADVISE_POPULATE_WRITE);
}

void arena_page_out(struct arena *a, size_t first, size_t n)
{
	advise(a, first, n, stress_chance(a->s, 4) ? ADVISE_COLD : ADVISE_PAGE_OUT);
}

void arena_make_huge(struct arena *a, size_t first, size_t n)
{
	advise(a, first, n, MADV_HUGEPAGE);
}

void arena_make_small(struct arena *a, size_t first, size_t n)
{
	advise(a, first, n, MADV_NOHUGEPAGE);
}

void arena_collapse(struct arena *a, size_t first, size_t n)
{
	advise(a, first, n, ADVISE_COLLAPSE);
}

void arena_merge(struct arena *a, size_t first, size_t n)
{
	advise(a, first, n, stress_chance(a->s, 4) ? MADV_UNMERGEABLE : MADV_MERGEABLE);
}

/* To the other node, where there is one. */
void arena_migrate(struct arena *a, size_t first, size_t n)
{
	void *pages[MIGRATE_PAGES];
	int nodes[MIGRATE_PAGES];
	int status[MIGRATE_PAGES];
	int node = (int)stress_random(a->s, 2);

	if (n > MIGRATE_PAGES)
		n = MIGRATE_PAGES;
	for (size_t i = 0; i < n; i++) {
		pages[i] = arena_at(a, first + i);
		nodes[i] = node;
	}
	syscall(SYS_move_pages, 0, n, pages, nodes, status, MIGRATE_MOVE);
}

/* ---- soft-dirty bits: a page that was written has it; one that was not may ---- */

void arena_soft_dirty(struct arena *a, size_t first, size_t n)
{
	static uint64_t entries[ARENA_PAGES];

	(void)first;
	(void)n;
	if (!stress_has_soft_dirty(a->s))
		return;
	stress_pagemap(a->s, a->base, ARENA_PAGES, entries);
	for (size_t i = 0; i < ARENA_PAGES; i++) {
		if (a->pages[i].dirty && a->pages[i].tag && !(entries[i] & PAGEMAP_SOFT_DIRTY))
			stress_wrong(a->s, "the page at %p was written and is not soft-dirty: %llx",
				(void *)arena_at(a, i), (unsigned long long)entries[i]);
		a->pages[i].dirty = false;
	}
	stress_count_check(a->s);
	if (!stress_tell("/proc/self/clear_refs", "4"))
		stress_failed(a->s, "/proc/self/clear_refs");
}
