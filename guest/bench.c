/* SPDX-License-Identifier: MIT */
/*
 * Owns the clocks, the marks for the hypervisor, and the memory operations work on.
 */
#include "guest/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The mark hypercall: VMMCALL with EAX = "UMBR", EBX = 1, ECX = id; legal at any privilege level.
 * Without a hypervisor that takes it, it is an invalid opcode (see main: SIGILL). */
enum {
	HYPERCALL_MAGIC = 0x554d4252,
	HYPERCALL_MARK = 1,
};

static void mark(uint32_t id)
{
	uint32_t eax = HYPERCALL_MAGIC;

	__asm__ volatile("vmmcall" : "+a"(eax) : "b"(HYPERCALL_MARK), "c"(id) : "memory");
}

/* LFENCE on both sides keeps the timed work on its side of the read. */
static uint64_t read_tsc(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static uint64_t read_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t read_clock(enum bench_clock clock)
{
	return clock == BENCH_CLOCK_TSC ? read_tsc() : read_ns();
}

void bench_begin(struct bench *b)
{
	if (b->marks)
		mark(2 * b->op);
	b->started = read_clock(b->clock);
}

void bench_end(struct bench *b)
{
	b->ticks += read_clock(b->clock) - b->started;
	if (b->marks)
		mark(2 * b->op + 1);
}

struct bench *bench_new(void)
{
	void *shared = mmap(NULL, sizeof(struct bench), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		bench_die("mmap");
	return shared;
}

void bench_die(const char *what)
{
	dprintf(STDERR_FILENO, "mmubench: %s: %s\n", what, strerror(errno));
	_exit(1);
}

char *mem_map(size_t bytes)
{
	char *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		bench_die("mmap");
	/* Refused by a kernel without huge pages, which is as good. */
	madvise(start, bytes, MADV_NOHUGEPAGE);
	return start;
}

void mem_unmap(char *start, size_t bytes)
{
	if (munmap(start, bytes) != 0)
		bench_die("munmap");
}

void mem_write_pages(char *start, size_t bytes)
{
	for (volatile char *p = start; p != start + bytes; p += PAGE_BYTES)
		*p = 1;
}

void mem_read_pages(const char *start, size_t bytes)
{
	for (const volatile char *p = start; p != start + bytes; p += PAGE_BYTES)
		(void)*p;
}
