/* SPDX-License-Identifier: MIT */
/*
 * Workers with many processes: made and ended in numbers, executed, sharing pages until one of them
 * writes, switched between.
 */
#include "guest/stress.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	FORKS = 12,
	COW_PAGES = 600, /* more than one last-level table */
	COW_CHILDREN = 3,
	COW_DEPTH = 2,
	RING = 5,
	RING_LAPS = 15,
	RING_PAGES = 16,
};

/* ---- fork: some at once, each with a status of its own ---- */

void stress_fork_round(struct stress *s)
{
	unsigned n = 1 + stress_random(s, FORKS);
	pid_t pids[FORKS];

	for (unsigned i = 0; i < n; i++) {
		pids[i] = stress_fork(s);
		if (pids[i] == 0)
			_exit((int)i + 1);
	}
	/* In any order. */
	while (n > 0) {
		unsigned i = stress_random(s, n);
		int status = 0;

		if (waitpid(pids[i], &status, 0) != pids[i] || WEXITSTATUS(status) < 1 ||
			WEXITSTATUS(status) > FORKS || WIFSIGNALED(status))
			stress_wrong(s, "a child ended with status %x", (unsigned)status);
		stress_count_unit(s);
		stress_count_check(s);
		pids[i] = pids[--n];
	}
}

/* ---- exec: this program again, by fork and by vfork, which says what it was told ---- */

int stress_executed(int argc, char **argv)
{
	static char untouched[8 * PAGE_BYTES];
	static char data[4 * PAGE_BYTES] = {1, 2, 3};
	unsigned sum = 0;

	if (argc != 3 || data[2] != 3)
		return 1;
	for (size_t i = 0; i < sizeof(untouched); i += PAGE_BYTES)
		sum += (unsigned char)untouched[i]++;
	for (const char *p = argv[2]; *p; p++)
		sum += (unsigned char)*p;
	return 16 + (int)(sum % 64);
}

void stress_exec_round(struct stress *s)
{
	char text[24];
	char *argv[] = {"stress", STRESS_EXECUTED, text, NULL};
	char *no_environment[] = {NULL};
	unsigned sum = 0;
	pid_t pid;

	snprintf(text, sizeof(text), "%llx", (unsigned long long)stress_tag(s));
	for (const char *p = text; *p; p++)
		sum += (unsigned char)*p;
	if (stress_chance(s, 2)) {
		/* Shares the memory until it executes. */
		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, no_environment) != 0)
			stress_failed(s, "posix_spawn");
	} else {
		pid = stress_fork(s);
		if (pid == 0) {
			execve("/proc/self/exe", argv, no_environment);
			_exit(1);
		}
	}
	stress_reap(s, pid, 16 + (int)(sum % 64));
	stress_count_unit(s);
}

/* ---- copy on write: nobody sees what another one writes ---- */

static void write_some(struct stress *s, char *memory, uint64_t *tags)
{
	unsigned n = 1 + stress_random(s, COW_PAGES / 2);

	while (n-- > 0) {
		unsigned page = stress_random(s, COW_PAGES);

		tags[page] = stress_tag(s);
		stress_stamp(memory + page * PAGE_BYTES, tags[page]);
	}
}

static void expect_all(struct stress *s, const char *memory, const uint64_t *tags)
{
	for (unsigned page = 0; page < COW_PAGES; page++)
		stress_expect(s, memory + page * PAGE_BYTES, tags[page], "copy on write");
}

/* @tags is in private memory too: each process has its own view of what must be there. */
static void cow_family(struct stress *s, char *memory, uint64_t *tags, unsigned depth)
{
	unsigned n = depth ? 1 + stress_random(s, COW_CHILDREN) : 0;
	pid_t pids[COW_CHILDREN];

	for (unsigned i = 0; i < n; i++) {
		pids[i] = stress_fork(s);
		if (pids[i] == 0) {
			expect_all(s, memory, tags);
			write_some(s, memory, tags);
			cow_family(s, memory, tags, depth - 1);
			expect_all(s, memory, tags);
			stress_child_end();
		}
		stress_count_unit(s);
		write_some(s, memory, tags);
	}
	expect_all(s, memory, tags);
	while (n-- > 0)
		stress_reap(s, pids[n], 0);
	expect_all(s, memory, tags);
}

void stress_cow_round(struct stress *s)
{
	size_t bytes = COW_PAGES * PAGE_BYTES;
	char *memory = stress_map(s, bytes);
	uint64_t *tags = calloc(COW_PAGES, sizeof(*tags));

	if (!tags)
		stress_failed(s, "calloc");
	write_some(s, memory, tags);
	cow_family(s, memory, tags, COW_DEPTH);
	free(tags);
	munmap(memory, bytes);
}

/* ---- switches: a token goes round, each process has the same addresses with content of its own
 * ---- */

static void ring_member(struct stress *s, const int *in, const int *out)
{
	static char pages[RING_PAGES * PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
	uint64_t tags[RING_PAGES];
	unsigned token;

	for (unsigned i = 0; i < RING_PAGES; i++) {
		tags[i] = stress_tag(s);
		stress_stamp(pages + i * PAGE_BYTES, tags[i]);
	}
	while (read(in[0], &token, sizeof(token)) == sizeof(token)) {
		for (unsigned i = 0; i < RING_PAGES; i++)
			stress_expect(s, pages + i * PAGE_BYTES, tags[i], "switch");
		token++;
		if (write(out[1], &token, sizeof(token)) != sizeof(token))
			break;
	}
	stress_child_end();
}

void stress_switch_round(struct stress *s)
{
	int pipes[RING + 1][2];
	pid_t pids[RING];
	unsigned token = 0;

	for (unsigned i = 0; i <= RING; i++) {
		if (pipe(pipes[i]) != 0)
			stress_failed(s, "pipe");
	}
	for (unsigned i = 0; i < RING; i++) {
		pids[i] = stress_fork(s);
		if (pids[i] == 0) {
			for (unsigned j = 0; j <= RING; j++)
				close(pipes[j][1 - (j == i + 1)]);
			/* The end to write to is open nowhere else: its closing ends the next. */
			ring_member(s, pipes[i], pipes[i + 1]);
		}
	}
	for (unsigned lap = 0; lap < RING_LAPS; lap++) {
		unsigned before = token;

		if (write(pipes[0][1], &token, sizeof(token)) != sizeof(token) ||
			read(pipes[RING][0], &token, sizeof(token)) != sizeof(token))
			stress_failed(s, "pipe");
		if (token != before + RING)
			stress_wrong(s, "the token is %u, not %u", token, before + RING);
		stress_count_unit(s);
	}
	for (unsigned i = 0; i <= RING; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	for (unsigned i = 0; i < RING; i++)
		stress_reap(s, pids[i], 0);
}
