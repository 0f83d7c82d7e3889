/* SPDX-License-Identifier: MIT */
/*
 * Operations on the accessed and soft-dirty bits of page tables: the kernel clears them all, as its
 * page scanner does, and the process goes on. Linux does both on request, by clear_refs of proc(5).
 */
#include "guest/ops.h"

#include <fcntl.h>
#include <unistd.h>

enum {
	ROUNDS = 4,
	SWITCH_ROUNDS = 16, /* one round trip is short: a timer tick is to weigh little */
	SCAN_BYTES = 16 * MIB,
	SCAN_PAGES = SCAN_BYTES / PAGE_BYTES,
};

#define PAGEMAP_SOFT_DIRTY (1ull << 55) /* Linux, "Examining Process Page Tables" */

static const char clear_accessed[] = "1";
static const char clear_soft_dirty[] = "4";

struct scan {
	char *memory;
	int clear_refs;
	struct proc_peer peer;
};

/* False when this kernel has no clear_refs. The peer comes first: its fork is to share no page of
 * the memory. */
static bool scan_prepare(struct scan *s)
{
	s->clear_refs = open("/proc/self/clear_refs", O_WRONLY);
	if (s->clear_refs < 0)
		return false;
	proc_peer_start(&s->peer);
	s->memory = mem_map(SCAN_BYTES);
	mem_write_pages(s->memory, SCAN_BYTES);
	return true;
}

static void scan_clean(struct scan *s)
{
	mem_unmap(s->memory, SCAN_BYTES);
	proc_peer_stop(&s->peer);
	close(s->clear_refs);
}

static void scan_clear(struct scan *s, const char *what)
{
	if (write(s->clear_refs, what, 1) != 1)
		bench_die("/proc/self/clear_refs");
}

static uint32_t clear_and_switch(struct bench *b, bool clear_is_timed)
{
	struct scan s;

	if (!scan_prepare(&s))
		return 0;
	for (int i = 0; i < SWITCH_ROUNDS; i++) {
		if (clear_is_timed)
			bench_begin(b);
		scan_clear(&s, clear_accessed);
		if (!clear_is_timed)
			bench_begin(b);
		proc_peer_round_trip(&s.peer);
		bench_end(b);
		mem_write_pages(s.memory, SCAN_BYTES);
	}
	scan_clean(&s);
	return SWITCH_ROUNDS;
}

uint32_t op_clear_then_switch(struct bench *b)
{
	return clear_and_switch(b, false);
}

/* Who does not pay at the switch has paid before. */
uint32_t op_clear_and_switch(struct bench *b)
{
	return clear_and_switch(b, true);
}

uint32_t op_touch_after_clear(struct bench *b)
{
	struct scan s;

	if (!scan_prepare(&s))
		return 0;
	for (int i = 0; i < ROUNDS; i++) {
		scan_clear(&s, clear_accessed);
		proc_peer_round_trip(&s.peer);
		bench_begin(b);
		mem_write_pages(s.memory, SCAN_BYTES);
		bench_end(b);
	}
	scan_clean(&s);
	return ROUNDS * SCAN_PAGES;
}

uint32_t op_kscand_cycle(struct bench *b)
{
	struct scan s;

	if (!scan_prepare(&s))
		return 0;
	bench_begin(b);
	for (int i = 0; i < ROUNDS; i++) {
		scan_clear(&s, clear_accessed);
		proc_peer_round_trip(&s.peer);
		mem_write_pages(s.memory, SCAN_BYTES);
	}
	bench_end(b);
	scan_clean(&s);
	return ROUNDS * SCAN_PAGES;
}

/* A kernel without soft-dirty tracking takes the request and does nothing: see a written page. */
static bool tracks_soft_dirty(const char *written)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	off_t where = (off_t)((uintptr_t)written / PAGE_BYTES * sizeof(uint64_t));
	uint64_t entry = 0;

	if (fd < 0)
		return false;
	if (pread(fd, &entry, sizeof(entry), where) != (ssize_t)sizeof(entry))
		entry = 0;
	close(fd);
	return entry & PAGEMAP_SOFT_DIRTY;
}

uint32_t op_softdirty_scan(struct bench *b)
{
	struct scan s;
	bool supported;

	if (!scan_prepare(&s))
		return 0;
	supported = tracks_soft_dirty(s.memory);
	for (int i = 0; supported && i < ROUNDS; i++) {
		bench_begin(b);
		scan_clear(&s, clear_soft_dirty);
		bench_end(b);
		mem_write_pages(s.memory, SCAN_BYTES);
	}
	scan_clean(&s);
	return supported ? ROUNDS * SCAN_PAGES : 0;
}
