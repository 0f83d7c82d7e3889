/* SPDX-License-Identifier: MIT */
/*
 * Arenas: which operations come how often, and what a page must look like. The operations
 * themselves are in stress_arena_ops.c.
 */
#include "guest/stress_arena.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum kind {
	PLAIN,
	HUGE,
	SWAP,
	KINDS,
};

static void fork_op(struct arena *a, size_t first, size_t n);

/* How often, of each kind of arena. */
static const struct {
	arena_op *op;
	unsigned char often[KINDS];
} ops[] = {
	{arena_map, {8, 10, 8}},
	{arena_unmap, {5, 5, 4}},
	{arena_protect, {12, 8, 6}},
	{arena_write, {16, 14, 14}},
	{arena_read, {8, 6, 8}},
	{arena_empty, {4, 5, 3}},
	{arena_free, {4, 3, 4}},
	{arena_move, {6, 8, 3}},
	{arena_populate, {3, 4, 2}},
	{arena_page_out, {0, 0, 8}},
	{arena_make_huge, {0, 6, 1}},
	{arena_make_small, {1, 1, 1}},
	{arena_collapse, {0, 4, 0}},
	{arena_merge, {1, 0, 0}},
	{arena_migrate, {3, 3, 1}},
	{arena_soft_dirty, {0, 1, 2}},
	{fork_op, {2, 2, 1}},
};

enum {
	N_OPS = sizeof(ops) / sizeof(ops[0]),
	OPS_A_ROUND = 20,
	OPS_OF_A_CHILD = 8,
};

static enum kind kind_of_this; /* of the worker; a process has one arena */

void arena_check(struct arena *a, size_t page)
{
	struct arena_page *p = &a->pages[page];

	if (!p->mapped || !(p->prot & PROT_READ))
		return;
	if (p->lazy) {
		if (stress_stamped(a->s, arena_at(a, page), p->tag))
			return;
		p->lazy = false;
		p->tag = 0;
	}
	stress_expect(a->s, arena_at(a, page), p->tag, "arena");
}

void arena_check_all(struct arena *a)
{
	for (size_t page = 0; page < ARENA_PAGES; page++)
		arena_check(a, page);
}

/* On processors without the NX bit what can be read can be executed. */
static bool execution_can_fault(struct stress *s)
{
	static char page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
	static int answer = -1;

	if (answer < 0) {
		stress_stamp(page, stress_tag(s));
		answer = stress_access(page, STRESS_EXECUTE) != 0;
	}
	return answer;
}

void arena_probe(struct arena *a, size_t page)
{
	static const uint8_t needs[] = {PROT_READ, PROT_WRITE, PROT_EXEC};
	struct arena_page *p = &a->pages[page];
	enum stress_access how = stress_random(a->s, 3);
	bool allowed = p->mapped && (p->prot & needs[how]);

	/* What is empty, or may be, is nothing to execute. */
	if (how == STRESS_EXECUTE &&
		((allowed && (p->tag == 0 || p->lazy)) || !execution_can_fault(a->s)))
		return;
	stress_expect_access(a->s, arena_at(a, page), how, allowed ? 0 : SIGSEGV);
	stress_count_unit(a->s);
	if (how == STRESS_WRITE && allowed)
		p->dirty = true;
}

static void pick_range(struct arena *a, size_t *first, size_t *n)
{
	static const unsigned limits[] = {1, 16, 100, 3 * HUGE_PAGES / 2};

	if (stress_chance(a->s, kind_of_this == HUGE ? 2 : 12)) {
		*first = stress_random(a->s, ARENA_PAGES / HUGE_PAGES) * HUGE_PAGES;
		*n = (1 + stress_random(a->s, 2)) * HUGE_PAGES;
	} else {
		*first = stress_random(a->s, ARENA_PAGES);
		*n = 1 + stress_random(a->s, limits[stress_random(a->s, 4)]);
	}
	if (*n > ARENA_PAGES - *first)
		*n = ARENA_PAGES - *first;
}

/* One of those before @n_ops in the table. */
static void any_op(struct arena *a, unsigned n_ops)
{
	unsigned all = 0;
	unsigned op = 0;
	size_t first, n;

	for (unsigned i = 0; i < n_ops; i++)
		all += ops[i].often[kind_of_this];
	for (unsigned at = stress_random(a->s, all); at >= ops[op].often[kind_of_this]; op++)
		at -= ops[op].often[kind_of_this];
	pick_range(a, &first, &n);
	ops[op].op(a, first, n);
	for (unsigned i = 0; i < 4; i++) {
		arena_check(a, first + stress_random(a->s, (uint32_t)n));
		arena_check(a, stress_random(a->s, ARENA_PAGES));
	}
	arena_probe(a, first + stress_random(a->s, (uint32_t)n));
	arena_probe(a, stress_random(a->s, ARENA_PAGES));
}

/* Parent and child go on with the same pages, each with a model of its own. */
static void fork_op(struct arena *a, size_t first, size_t n)
{
	pid_t pid = stress_fork(a->s);

	for (unsigned i = 0; i < OPS_OF_A_CHILD; i++)
		any_op(a, N_OPS - 1);
	for (size_t page = first; page < first + n; page++)
		arena_check(a, page);
	if (pid == 0) {
		arena_check_all(a);
		stress_child_end();
	}
	stress_reap(a->s, pid, 0);
}

static void make_arena(struct arena *a, struct stress *s, enum kind kind)
{
	/* Far from where the kernel places what has no address of its own. */
	a->base = (char *)(uintptr_t)0x40000000;
	a->s = s;
	kind_of_this = kind;
	if (mmap(a->base, ARENA_PAGES * PAGE_BYTES, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		    0) != a->base)
		stress_failed(s, "mmap");
	arena_unmap(a, 0, ARENA_PAGES);
}

static void arena_round(struct stress *s, enum kind kind)
{
	static struct arena arena;

	if (!arena.s)
		make_arena(&arena, s, kind);
	for (unsigned i = 0; i < OPS_A_ROUND; i++)
		any_op(&arena, N_OPS);
	arena_check_all(&arena);
	if (stress_chance(s, 30))
		arena_unmap(&arena, 0, ARENA_PAGES);
}

void stress_arena_round(struct stress *s)
{
	arena_round(s, PLAIN);
}

void stress_huge_round(struct stress *s)
{
	arena_round(s, HUGE);
}

void stress_swap_round(struct stress *s)
{
	arena_round(s, SWAP);
}
