/* SPDX-License-Identifier: MIT */
/*
 * Operations on frames that were page tables a moment ago. The kernel hands such frames out again,
 * as data and as tables; the first store into each is its own, a REP STOS that clears the page.
 *
 * A kernel prefers other frames for data. So that it has few, a hog takes what is free but the
 * tables: then most of what is handed out next are frames of these.
 */
#include "guest/ops.h"

#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum {
	TABLE_SPAN_BYTES = 2 * MIB, /* of one page table with 8-byte entries */
	MEMSET_BYTES = 64 * MIB,
	SPARE_BYTES = 24 * MIB, /* free beside the tables: the kernel is not to look for more */
	REUSE_PAGES = 8,        /* of data to a table, as small processes have them */
	/* What 32-bit code can map has room for so many. */
	TABLES_MAX = sizeof(void *) == 8 ? MEMSET_BYTES / PAGE_BYTES : 512,
};

/* In a guest with more memory than this fewer frames are those of tables: it would take too long.
 */
#define HOG_MAX_BYTES ((size_t)1536 * MIB)

/* A mapping with @n_tables page tables and nothing else: what is only read is the one zero page. */
static char *map_tables(size_t n_tables)
{
	char *memory = mem_map(n_tables * TABLE_SPAN_BYTES);

	for (size_t i = 0; i < n_tables; i++)
		(void)*(volatile char *)(memory + i * TABLE_SPAN_BYTES);
	return memory;
}

static void unmap_tables(char *memory, size_t n_tables)
{
	mem_unmap(memory, n_tables * TABLE_SPAN_BYTES);
}

/* A process that holds all memory but a little. */
struct hog {
	pid_t pid;
	struct proc_pipe ready;
	struct proc_pipe go;
};

static _Noreturn void hog_body(const struct hog *hog, size_t spare_bytes)
{
	struct sysinfo info;
	uint64_t free_bytes;
	size_t bytes = HOG_MAX_BYTES;

	if (sysinfo(&info) != 0)
		bench_die("sysinfo");
	free_bytes = (uint64_t)info.freeram * info.mem_unit;
	if (free_bytes > spare_bytes) {
		if (bytes > free_bytes - spare_bytes)
			bytes = (size_t)(free_bytes - spare_bytes) / PAGE_BYTES * PAGE_BYTES;
		mem_write_pages(mem_map(bytes), bytes);
	}
	proc_send(hog->ready.to);
	proc_receive(hog->go.from);
	_exit(0);
}

static void hog_start(struct hog *hog, size_t spare_bytes)
{
	proc_pipe_open(&hog->ready);
	proc_pipe_open(&hog->go);
	hog->pid = proc_fork();
	if (hog->pid == 0)
		hog_body(hog, spare_bytes);
	proc_receive(hog->ready.from);
}

static void hog_stop(struct hog *hog)
{
	proc_send(hog->go.to);
	proc_reap(hog->pid);
	proc_pipe_close(&hog->ready);
	proc_pipe_close(&hog->go);
}

/* memset() of new memory, per page. */
static uint32_t timed_memset(struct bench *b)
{
	char *memory = mem_map(MEMSET_BYTES);

	bench_begin(b);
	memset(memory, 1, MEMSET_BYTES);
	bench_end(b);
	mem_unmap(memory, MEMSET_BYTES);
	return MEMSET_BYTES / PAGE_BYTES;
}

uint32_t op_memset_after_ptfree(struct bench *b)
{
	char *tables = map_tables(TABLES_MAX);
	struct hog hog;
	uint32_t n_pages;

	hog_start(&hog, SPARE_BYTES + MEMSET_BYTES - TABLES_MAX * (size_t)PAGE_BYTES);
	unmap_tables(tables, TABLES_MAX);
	n_pages = timed_memset(b);
	hog_stop(&hog);
	return n_pages;
}

/* The same, of frames that were no tables. */
uint32_t op_memset_fresh(struct bench *b)
{
	struct hog hog;
	uint32_t n_pages;

	hog_start(&hog, SPARE_BYTES + MEMSET_BYTES);
	n_pages = timed_memset(b);
	hog_stop(&hog);
	return n_pages;
}

/* A process that leaves nothing but table frames. */
static void leave_tables(void)
{
	pid_t pid = proc_fork();

	if (pid == 0) {
		map_tables(TABLES_MAX);
		_exit(0);
	}
	proc_reap(pid);
}

/* The next one makes all of them data and tables: so many pages of data to a table. */
static void reuse_tables(uint32_t n_tables)
{
	pid_t pid = proc_fork();

	if (pid == 0) {
		char *memory = mem_map((size_t)n_tables * TABLE_SPAN_BYTES);

		for (uint32_t i = 0; i < n_tables; i++)
			mem_write_pages(
				memory + (size_t)i * TABLE_SPAN_BYTES, REUSE_PAGES * PAGE_BYTES);
		_exit(0);
	}
	proc_reap(pid);
}

/* Per frame that is used again: from the fork of the process that uses it to that one's end. */
uint32_t op_ptpage_reuse(struct bench *b)
{
	uint32_t n_tables = TABLES_MAX / (REUSE_PAGES + 1);
	struct hog hog;

	hog_start(&hog, SPARE_BYTES + TABLES_MAX * (size_t)PAGE_BYTES);
	leave_tables();
	bench_begin(b);
	reuse_tables(n_tables);
	bench_end(b);
	hog_stop(&hog);
	return n_tables * (REUSE_PAGES + 1);
}
