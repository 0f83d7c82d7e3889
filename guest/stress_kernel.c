/* SPDX-License-Identifier: MIT */
/*
 * Workers that have the kernel change pages of its own accord: merge equal ones, load code, compact
 * and reclaim; the switches that make it do so often; and its log.
 */
#include "guest/stress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	MERGE_PAGES = 600,
	MERGE_TAGS = 12, /* so many different contents */
	MERGE_WAITS = 6,
	RECLAIM_PAGES = 6000,
	LOG_BYTES = 1 << 20,
	LOG_READ_ALL = 3, /* syslog(2) */
};

/* Modules of the kernel that runs; where there are none their workers are unusable. */
#define MODULES "/lib/stress/"

/* Less than a second. */
static void pause_ms(uint32_t ms)
{
	struct timespec pause = {.tv_nsec = (long)ms * 1000000};

	nanosleep(&pause, NULL);
}

/* ---- KSM ---- */

static void expect_merged(struct stress *s, const char *memory, const uint64_t *tags)
{
	for (unsigned i = 0; i < MERGE_PAGES; i++)
		stress_expect(s, memory + i * PAGE_BYTES, tags[i], "KSM");
}

void stress_ksm_round(struct stress *s)
{
	size_t bytes = MERGE_PAGES * PAGE_BYTES;
	char *memory = stress_map(s, bytes);
	static uint64_t tags[MERGE_PAGES];
	uint64_t few[MERGE_TAGS];

	if (madvise(memory, bytes, MADV_MERGEABLE) != 0)
		stress_unusable(s);
	for (unsigned i = 0; i < MERGE_TAGS; i++)
		few[i] = stress_tag(s);
	for (unsigned i = 0; i < MERGE_PAGES; i++) {
		tags[i] = few[stress_random(s, MERGE_TAGS)];
		stress_stamp(memory + i * PAGE_BYTES, tags[i]);
	}
	for (unsigned wait = 0; wait < MERGE_WAITS; wait++) {
		pause_ms(100);
		expect_merged(s, memory, tags);
		/* Some leave, some come back. */
		for (unsigned n = stress_random(s, 30); n-- > 0;) {
			unsigned i = stress_random(s, MERGE_PAGES);

			tags[i] = stress_chance(s, 2) ? stress_tag(s)
						      : few[stress_random(s, MERGE_TAGS)];
			memset(memory + i * PAGE_BYTES, 0, PAGE_BYTES);
			stress_stamp(memory + i * PAGE_BYTES, tags[i]);
		}
	}
	expect_merged(s, memory, tags);
	if (stress_ask("/sys/kernel/mm/ksm/pages_sharing") > 0)
		stress_count_unit(s);
	munmap(memory, bytes);
}

/* ---- modules ---- */

static bool module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool loaded = fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0;

	if (fd >= 0)
		close(fd);
	return loaded;
}

void stress_module_round(struct stress *s)
{
	static const struct {
		const char *path, *name;
	} modules[] = {{MODULES "crc7.ko", "crc7"}, {MODULES "crc-itu-t.ko", "crc_itu_t"}};

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		if (access(modules[i].path, R_OK) != 0)
			stress_unusable(s);
		if (!module_load(modules[i].path)) {
			if (errno == ENOEXEC)
				stress_unusable(s); /* another kernel's */
			stress_failed(s, modules[i].path);
		}
		stress_count_unit(s);
	}
	pause_ms(stress_random(s, 20));
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		if (syscall(SYS_delete_module, modules[i].name, O_NONBLOCK) != 0)
			stress_failed(s, modules[i].name);
		stress_count_check(s);
	}
}

/* ---- compaction, caches, and memory that was used for something else just before ---- */

void stress_reclaim_round(struct stress *s)
{
	static uint64_t tags[RECLAIM_PAGES];
	char *memory = stress_map(s, RECLAIM_PAGES * PAGE_BYTES);
	const char *caches[] = {"1", "2", "3"};

	for (unsigned i = 0; i < RECLAIM_PAGES; i++) {
		tags[i] = stress_tag(s);
		stress_stamp(memory + i * PAGE_BYTES, tags[i]);
	}
	/* Holes, so that there is something to compact. */
	for (unsigned n = RECLAIM_PAGES / 8; n-- > 0;) {
		unsigned i = stress_random(s, RECLAIM_PAGES);

		madvise(memory + i * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED);
		tags[i] = 0;
	}
	if (!stress_tell("/proc/sys/vm/compact_memory", "1") ||
		!stress_tell("/proc/sys/vm/drop_caches", caches[stress_random(s, 3)]))
		stress_unusable(s);
	for (unsigned i = 0; i < RECLAIM_PAGES; i++)
		stress_expect(s, memory + i * PAGE_BYTES, tags[i], "compaction");
	stress_count_unit(s);
	munmap(memory, RECLAIM_PAGES * PAGE_BYTES);
	pause_ms(50 + stress_random(s, 200));
}

/* ---- the kernel's switches ---- */

/* A swap area's header: Linux, union swap_header. */
static bool make_swap(const char *path, uint32_t n_pages)
{
	static uint32_t header[PAGE_BYTES / sizeof(uint32_t)];
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written;

	header[256] = 1; /* version */
	header[257] = n_pages - 1;
	memcpy((char *)header + PAGE_BYTES - 10, "SWAPSPACE2", 10);
	written = fd >= 0 && write(fd, header, sizeof(header)) == sizeof(header);
	if (fd >= 0)
		close(fd);
	return written && swapon(path, 0) == 0;
}

static bool prepare_swap(void)
{
	module_load(MODULES "zsmalloc.ko");
	module_load(MODULES "lzo-rle.ko");
	module_load(MODULES "zram.ko");
	return stress_tell("/sys/block/zram0/disksize", "64M") &&
	       make_swap("/dev/zram0", 64 * MIB / PAGE_BYTES);
}

static bool prepare_merging(void)
{
	stress_tell("/sys/kernel/mm/ksm/sleep_millisecs", "20");
	stress_tell("/sys/kernel/mm/ksm/pages_to_scan", "400");
	return stress_tell("/sys/kernel/mm/ksm/run", "1");
}

static bool prepare_collapsing(void)
{
	stress_tell("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "100");
	stress_tell("/sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs", "100");
	return stress_tell("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
}

/* Only where there are two nodes. */
static bool prepare_balancing(void)
{
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	stress_tell("/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "50");
	stress_tell("/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms", "50");
	stress_tell("/sys/kernel/debug/sched/numa_balancing/scan_period_max_ms", "200");
	return access("/sys/devices/system/node/node1", F_OK) == 0 &&
	       stress_tell("/proc/sys/kernel/numa_balancing", "1");
}

void stress_prepare_kernel(void)
{
	static const struct {
		const char *name;
		bool (*prepare)(void);
	} parts[] = {
		{"swap", prepare_swap},
		{"ksm", prepare_merging},
		{"huge-pages", prepare_collapsing},
		{"numa-balancing", prepare_balancing},
	};

	/* Locked pages are to stay where they are: their bits are looked at. */
	stress_tell("/proc/sys/vm/compact_unevictable_allowed", "0");
	printf("stress: the kernel has");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		printf(" %s=%s", parts[i].name, parts[i].prepare() ? "yes" : "no");
	printf("\n");
}

unsigned stress_kernel_complaints(void)
{
	static const char *const words[] = {"BUG:", "WARNING: CPU", "Bad page", "bad pm", "bad pte",
		"bad pgd", "bad pud", "bad p4d", "Oops", "general protection", "segfault at",
		"RIP:", "Call Trace", "rss-counter", "soft lockup", "self-detected",
		"blocked for more than", "Out of memory", "Bad swap", "unhandled signal",
		"trap invalid", "Corrupted page", "double fault", "nmi_handle", "Tainted"};
	static char text[LOG_BYTES];
	int n = klogctl(LOG_READ_ALL, text, LOG_BYTES - 1);
	unsigned complaints = 0;

	text[n > 0 ? n : 0] = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		bool complains = false;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			complains |= strstr(line, words[i]) != NULL;
		if (complains && complaints++ < 40)
			printf("stress: the kernel says: %s\n", line);
	}
	return complaints;
}
