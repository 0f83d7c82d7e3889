/* SPDX-License-Identifier: MIT */
/*
 * Workers that have the kernel take bits from all entries of a range, and use it again: soft-dirty
 * and accessed bits are exact, rights come back by one fault a block. (Linux, "Soft-Dirty PTEs",
 * "Examining Process Page Tables".)
 */
#include "guest/stress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SCAN_PAGES = 1100,
	SCANS = 3,
	MOVED_MAX = 16,
	NONE_PAGES = 4096,
	NONE_BLOCK = 16, /* pages that a fault gives back */
};

#define NONE_BLOCK_BYTES ((size_t)NONE_BLOCK * PAGE_BYTES)

/* Written, in small pages, and never paged out nor moved: their bits are what is looked at. */
static char *map_locked(struct stress *s, uint64_t *tags)
{
	char *memory = stress_map(s, SCAN_PAGES * PAGE_BYTES);

	madvise(memory, SCAN_PAGES * PAGE_BYTES, MADV_NOHUGEPAGE);
	if (mlock(memory, SCAN_PAGES * PAGE_BYTES) != 0)
		stress_failed(s, "mlock");
	for (unsigned i = 0; i < SCAN_PAGES; i++) {
		tags[i] = stress_tag(s);
		stress_stamp(memory + i * PAGE_BYTES, tags[i]);
	}
	return memory;
}

/* Use a part of the pages, and say which: bit 0 written, bit 1 read. */
static long use_some(struct stress *s, char *memory, uint64_t *tags, uint8_t *used)
{
	uint32_t one_in = 1 + stress_random(s, 20);
	long n = 0;

	for (unsigned i = 0; i < SCAN_PAGES; i++) {
		used[i] = stress_chance(s, one_in) ? (uint8_t)(1 + stress_random(s, 2)) : 0;
		if (used[i] == 1) {
			tags[i] = stress_tag(s);
			stress_stamp(memory + i * PAGE_BYTES, tags[i]);
		} else if (used[i] == 2) {
			stress_expect(s, memory + i * PAGE_BYTES, tags[i], "scan");
		}
		n += used[i] != 0;
	}
	return n;
}

/* A page is soft-dirty if it was written; and if the kernel moved it, which these are rarely. */
static void compare_dirty(struct stress *s, const uint64_t *entries, const uint8_t *used)
{
	unsigned moved = 0;

	for (unsigned i = 0; i < SCAN_PAGES; i++) {
		bool dirty = entries[i] & PAGEMAP_SOFT_DIRTY;

		if (!dirty && used[i] == 1)
			stress_wrong(s, "page %u was written, its entry is %llx", i,
				(unsigned long long)entries[i]);
		moved += dirty && used[i] != 1;
		stress_count_check(s);
	}
	if (moved > MOVED_MAX)
		stress_wrong(s, "%u pages are soft-dirty that were not written", moved);
	stress_count_unit(s);
}

void stress_dirty_round(struct stress *s)
{
	static uint64_t tags[SCAN_PAGES], entries[SCAN_PAGES];
	static uint8_t used[SCAN_PAGES];
	char *memory = map_locked(s, tags);

	if (!stress_has_soft_dirty(s))
		stress_unusable(s);
	for (unsigned scan = 0; scan < SCANS; scan++) {
		if (!stress_tell("/proc/self/clear_refs", "4"))
			stress_unusable(s);
		use_some(s, memory, tags, used);
		stress_pagemap(s, memory, SCAN_PAGES, entries);
		compare_dirty(s, entries, used);
	}
	munmap(memory, SCAN_PAGES * PAGE_BYTES);
}

/* "Referenced" of the mapping at @start, in pages; -1 if it is not told. */
static long pages_referenced(const char *start)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[200];
	char wanted[40];
	bool here = false;
	long kib = -1;

	snprintf(wanted, sizeof(wanted), "%lx-", (unsigned long)start);
	while (f && kib < 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, wanted, strlen(wanted)) == 0)
			here = true;
		else if (here)
			sscanf(line, "Referenced: %ld kB", &kib);
	}
	if (f)
		fclose(f);
	return kib < 0 ? -1 : kib / (PAGE_BYTES / 1024);
}

/* Its own address space, and back: no processor keeps a translation over that. */
static void leave_and_return(struct stress *s)
{
	pid_t pid = stress_fork(s);

	if (pid == 0)
		stress_child_end();
	stress_reap(s, pid, 0);
}

void stress_access_round(struct stress *s)
{
	static uint64_t tags[SCAN_PAGES];
	static uint8_t used[SCAN_PAGES];
	char *memory = map_locked(s, tags);

	/* The child is to get none of it: a fork would look at every page. */
	if (madvise(memory, SCAN_PAGES * PAGE_BYTES, MADV_DONTFORK) != 0)
		stress_failed(s, "MADV_DONTFORK");
	for (unsigned scan = 0; scan < SCANS; scan++) {
		long wanted, seen;

		if (!stress_tell("/proc/self/clear_refs", "1"))
			stress_unusable(s);
		leave_and_return(s);
		wanted = use_some(s, memory, tags, used);
		seen = pages_referenced(memory);
		if (seen != wanted)
			stress_wrong(s, "%ld pages were used, %ld are referenced", wanted, seen);
		stress_count_check(s);
		stress_count_unit(s);
	}
	munmap(memory, SCAN_PAGES * PAGE_BYTES);
}

/* ---- all rights of a range are taken, and come back where it is used, as NUMA balancing does ----
 */

static struct {
	struct stress *s;
	char *memory;
	unsigned faults;
	int prot;
} none;

static void give_back(char *address)
{
	char *block =
		none.memory + (size_t)(address - none.memory) / NONE_BLOCK_BYTES * NONE_BLOCK_BYTES;

	none.faults++;
	stress_count_unit(none.s);
	if (mprotect(block, NONE_BLOCK_BYTES, PROT_READ | PROT_WRITE) != 0)
		stress_failed(none.s, "mprotect");
}

/* @prot none: the first access to each block faults; read-only: the first write. */
static void take_and_use(struct stress *s, char *memory, uint64_t *tags, int prot)
{
	static bool open[NONE_PAGES / NONE_BLOCK];
	unsigned expected = 0;

	memset(open, 0, sizeof(open));
	none.faults = 0;
	if (mprotect(memory, NONE_PAGES * PAGE_BYTES, prot) != 0)
		stress_failed(s, "mprotect");
	for (unsigned n = NONE_PAGES / 4; n-- > 0;) {
		unsigned i = stress_random(s, NONE_PAGES);
		bool write = stress_chance(s, 2);

		if (!open[i / NONE_BLOCK] && (write || prot == PROT_NONE)) {
			open[i / NONE_BLOCK] = true;
			expected++;
		}
		if (write)
			tags[i] = stress_tag(s);
		if (write)
			stress_stamp(memory + i * PAGE_BYTES, tags[i]);
		else
			stress_expect(s, memory + i * PAGE_BYTES, tags[i], "rights");
		if (none.faults != expected)
			stress_wrong(s, "%s page %u: %u faults by now, not %u",
				write ? "writing" : "reading", i, none.faults, expected);
	}
}

void stress_none_round(struct stress *s)
{
	static uint64_t tags[NONE_PAGES];
	char *memory = stress_map(s, NONE_PAGES * PAGE_BYTES);

	memset(tags, 0, sizeof(tags));
	none.s = s;
	none.memory = memory;
	stress_answer_faults(memory, memory + NONE_PAGES * PAGE_BYTES, give_back);
	for (unsigned scan = 0; scan < SCANS; scan++)
		take_and_use(s, memory, tags, stress_chance(s, 2) ? PROT_NONE : PROT_READ);
	stress_answer_faults(NULL, NULL, NULL);
	munmap(memory, NONE_PAGES * PAGE_BYTES);
}
