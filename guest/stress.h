/* SPDX-License-Identifier: MIT */
/*
 * What the workers of stress share: chance, time, verdicts, pages with known content, accesses that
 * may fault. Knows nothing of single workers.
 *
 * A worker is a process that does one kind of work, round after round, until its time is over, and
 * checks what it sees. Whatever is not as it must be ends it with a sentence.
 */
#ifndef GUEST_STRESS_H
#define GUEST_STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PAGE_BYTES = 4096,
	MIB = 1024 * 1024,
	HUGE_PAGES = 512, /* small pages in a huge one; in half of one with 2-level paging */
};

/* What a worker tells the first process; in memory that they share. */
struct stress_count {
	_Atomic unsigned long rounds;
	_Atomic unsigned long checks; /* pages compared, accesses and processes judged */
	_Atomic unsigned long units;  /* of what the worker is named after: processes, faults */
	_Atomic bool wrong;
	_Atomic bool unusable; /* this kernel lacks what it needs */
};

struct stress {
	const char *name;
	uint64_t number; /* of the worker; in its pages' tags */
	uint64_t random; /* state, never 0 */
	uint64_t end_ns; /* CLOCK_MONOTONIC */
	uint64_t tags;   /* given out */
	struct stress_count *count;
};

/* ---- stress_tools.c ---- */

uint64_t stress_now_ns(void);

/* Time for one more round? Counts it. */
bool stress_go_on(struct stress *s);

/* Below @limit, which is not 0. */
uint32_t stress_random(struct stress *s, uint32_t limit);
static inline bool stress_chance(struct stress *s, uint32_t one_in)
{
	return stress_random(s, one_in) == 0;
}

/* "stress: NAME: wrong: ..." on standard error; ends the process. */
_Noreturn void stress_wrong(struct stress *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for a call of the system that failed and should not: "WHAT: reason from errno". */
_Noreturn void stress_failed(struct stress *s, const char *what);
/* This kernel cannot do what the worker needs: ends it, without fault. */
_Noreturn void stress_unusable(struct stress *s);

static inline void stress_count_check(struct stress *s)
{
	atomic_fetch_add_explicit(&s->count->checks, 1, memory_order_relaxed);
}

static inline void stress_count_unit(struct stress *s)
{
	atomic_fetch_add_explicit(&s->count->units, 1, memory_order_relaxed);
}

/* Private anonymous memory, zero and untouched. */
char *stress_map(struct stress *s, size_t bytes);

/* fork(), in the child with chance of its own; it leaves by stress_child_end(). */
pid_t stress_fork(struct stress *s);
_Noreturn void stress_child_end(void);
/* Wait for @pid, which must leave with @status. */
void stress_reap(struct stress *s, pid_t pid, int status);

/* The kernel's entries of the @n_pages pages from @start on; PAGEMAP_ bits. */
#define PAGEMAP_SOFT_DIRTY (1ull << 55)
void stress_pagemap(struct stress *s, const char *start, size_t n_pages, uint64_t *entries);
/* Does the kernel keep soft-dirty bits? */
bool stress_has_soft_dirty(struct stress *s);

/* Write @text to a file of the kernel's. False if it will not have it. */
bool stress_tell(const char *path, const char *text);
/* The number that the file begins with; -1 if there is none. */
long stress_ask(const char *path);

/* ---- pages with known content ---- */

/* A tag no other page in the machine has; never 0. */
uint64_t stress_tag(struct stress *s);
/* Write @tag into the page, in places that depend on it, and a return instruction. */
void stress_stamp(void *page, uint64_t tag);
/* Has the page exactly that: of tag 0, nothing (where this looks)? Counts as a check. */
bool stress_stamped(struct stress *s, const void *page, uint64_t tag);
/* Else ends the process; @what says which page it was. */
void stress_expect(struct stress *s, const void *page, uint64_t tag, const char *what);

/* ---- stress_fault.c ---- */

enum stress_access {
	STRESS_READ,
	STRESS_WRITE,   /* leaves the page as it is */
	STRESS_EXECUTE, /* of a stamped page, or one whose execution must fault */
};

/* From now on a fault that nobody expects is wrong, and told. */
void stress_catch_faults(struct stress *s);
/* Access the page. Returns 0, or the signal that came of it, which must be for its address. */
int stress_access(void *page, enum stress_access how);
/* The same, and the signal must be @expected. Counts as a check. */
void stress_expect_access(struct stress *s, void *page, enum stress_access how, int expected);
/* A fault at an address from @start on, below @end, is answered by @answer, and the access done
 * again. NULL: no more. */
void stress_answer_faults(char *start, char *end, void (*answer)(char *address));

/* ---- the workers: a round each; the first process calls prepare once, before all ---- */

void stress_fork_round(struct stress *s);
void stress_exec_round(struct stress *s);
void stress_cow_round(struct stress *s);
void stress_switch_round(struct stress *s);
void stress_shared_round(struct stress *s);
void stress_file_round(struct stress *s);
void stress_dirty_round(struct stress *s);
void stress_access_round(struct stress *s);
void stress_none_round(struct stress *s);
void stress_ksm_round(struct stress *s);
void stress_module_round(struct stress *s);
void stress_reclaim_round(struct stress *s);
/* Arenas: anything to any page, and a model of what must be there. */
void stress_arena_round(struct stress *s);
void stress_huge_round(struct stress *s);
void stress_swap_round(struct stress *s);

/* What the worker of stress_exec_round() executes: this program, with this as its first word. */
#define STRESS_EXECUTED "--executed"
int stress_executed(int argc, char **argv);

/* Have the kernel do much of what is rare: merge, collapse, swap, balance. Says what it has. */
void stress_prepare_kernel(void);
/* Complaints in the kernel's log are printed. Returns their number. */
unsigned stress_kernel_complaints(void);

#endif
