/* SPDX-License-Identifier: MIT */
/*
 * Owns the verdicts of stress, its chance and time, its children, and what a page of it looks like.
 */
#include "guest/stress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t stress_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool stress_go_on(struct stress *s)
{
	if (stress_now_ns() >= s->end_ns)
		return false;
	atomic_fetch_add_explicit(&s->count->rounds, 1, memory_order_relaxed);
	return true;
}

/* xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
uint32_t stress_random(struct stress *s, uint32_t limit)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return (uint32_t)(((s->random * 0x2545f4914f6cdd1dull >> 32) * limit) >> 32);
}

void stress_wrong(struct stress *s, const char *format, ...)
{
	char text[400];
	va_list args;
	int n = snprintf(text, sizeof(text), "stress: %s: wrong: ", s->name);

	va_start(args, format);
	n += vsnprintf(text + n, sizeof(text) - (size_t)n - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(text) - 2)
		n = sizeof(text) - 2;
	text[n++] = '\n';
	atomic_store(&s->count->wrong, true);
	_exit(write(STDERR_FILENO, text, (size_t)n) == n ? 1 : 2);
}

void stress_failed(struct stress *s, const char *what)
{
	stress_wrong(s, "%s: %s", what, strerror(errno));
}

void stress_unusable(struct stress *s)
{
	atomic_store(&s->count->unusable, true);
	_exit(0);
}

char *stress_map(struct stress *s, size_t bytes)
{
	char *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		stress_failed(s, "mmap");
	return start;
}

/* ---- children ---- */

pid_t stress_fork(struct stress *s)
{
	uint64_t random = s->random ^ 0x9e3779b97f4a7c15ull;
	pid_t pid;

	stress_random(s, 2);
	pid = fork();
	if (pid < 0)
		stress_failed(s, "fork");
	if (pid == 0 && random)
		s->random = random;
	return pid;
}

void stress_child_end(void)
{
	_exit(0);
}

void stress_reap(struct stress *s, pid_t pid, int expected)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		stress_failed(s, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
		stress_wrong(s, "a child ended with status %x, not %x", (unsigned)status,
			(unsigned)expected << 8);
	stress_count_check(s);
}

/* ---- the kernel's files ---- */

bool stress_tell(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

long stress_ask(const char *path)
{
	char text[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return strtol(text, NULL, 10);
}

void stress_pagemap(struct stress *s, const char *start, size_t n_pages, uint64_t *entries)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t bytes = n_pages * sizeof(*entries);
	off_t where = (off_t)((uintptr_t)start / PAGE_BYTES * sizeof(*entries));

	if (fd < 0 || pread(fd, entries, bytes, where) != (ssize_t)bytes)
		stress_failed(s, "/proc/self/pagemap");
	close(fd);
}

bool stress_has_soft_dirty(struct stress *s)
{
	static char page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
	static bool known, has;
	uint64_t entry;

	if (!known) {
		*(volatile char *)page = 1;
		stress_pagemap(s, page, 1, &entry);
		has = entry & PAGEMAP_SOFT_DIRTY;
		known = true;
	}
	return has;
}

/* ---- pages ---- */

enum {
	WORDS = PAGE_BYTES / sizeof(uint64_t),
	HEAD_WORDS = 8, /* tag, its complement, instructions; the tag again anywhere after them */
	CODE_WORD = 2,
	WORKER_SHIFT = 44,
};

/* RET, eight times; a word that no tag is. */
#define CODE 0xc3c3c3c3c3c3c3c3ull

uint64_t stress_tag(struct stress *s)
{
	/* The number of the process, for children that were forked with the same count. */
	return (s->number + 1) << WORKER_SHIFT | ((uint64_t)getpid() & 0xfff) << 32 |
	       (++s->tags & 0xffffffff);
}

static size_t third_place(uint64_t tag)
{
	return HEAD_WORDS + (uint32_t)(tag * 0x9e3779b97f4a7c15ull >> 32) % (WORDS - HEAD_WORDS);
}

void stress_stamp(void *page, uint64_t tag)
{
	volatile uint64_t *words = page;

	words[0] = tag;
	words[1] = ~tag;
	words[CODE_WORD] = CODE;
	words[third_place(tag)] = tag;
}

bool stress_stamped(struct stress *s, const void *page, uint64_t tag)
{
	const volatile uint64_t *words = page;

	stress_count_check(s);
	if (tag)
		return words[0] == tag && words[1] == ~tag && words[CODE_WORD] == CODE &&
		       words[third_place(tag)] == tag;
	return !words[0] && !words[1] && !words[CODE_WORD] &&
	       !words[HEAD_WORDS + stress_random(s, WORDS - HEAD_WORDS)];
}

void stress_expect(struct stress *s, const void *page, uint64_t tag, const char *what)
{
	const volatile uint64_t *words = page;

	if (!stress_stamped(s, page, tag))
		stress_wrong(s, "%s: the page at %p has tag %llx, %llx, %llx instead of %llx", what,
			page, (unsigned long long)words[0], (unsigned long long)words[1],
			(unsigned long long)words[tag ? third_place(tag) : CODE_WORD],
			(unsigned long long)tag);
}
