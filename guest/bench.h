/* SPDX-License-Identifier: MIT */
/*
 * What every operation of mmubench is written with: the timed parts, the memory it works on and the
 * processes it works with. Knows nothing about single operations, nor how results are printed.
 *
 * Functions that can fail end the program with a message and status 1: a benchmark that cannot set
 * its scene has no result.
 */
#ifndef GUEST_BENCH_H
#define GUEST_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PAGE_BYTES = 4096,
	KIB = 1024,
	MIB = 1024 * KIB,
};

enum bench_clock {
	BENCH_CLOCK_NS,  /* CLOCK_MONOTONIC */
	BENCH_CLOCK_TSC, /* the time stamp counter: instructions under QEMU's -icount */
};

/* One operation in progress. Lives in memory shared with children, so that a child can be timed. */
struct bench {
	enum bench_clock clock;
	bool marks;       /* announce the timed parts to the hypervisor */
	uint32_t op;      /* position of the operation in the table */
	uint64_t started; /* clock at the start of the timed part we are in */
	uint64_t ticks;   /* sum of the timed parts */
};

/* Gives a bench with nothing measured yet, never freed. */
struct bench *bench_new(void);

/* Enclose a timed part. An operation may have several: their times are added, and each has its own
 * pair of marks, 2 * op at the start and 2 * op + 1 at the end, outside the time taken. */
void bench_begin(struct bench *b);
void bench_end(struct bench *b);

/* "mmubench: @what: reason from errno" on standard error, then _exit(1). */
_Noreturn void bench_die(const char *what);

/* Private anonymous memory in small pages, zero and untouched. Gives it until mem_unmap(). */
char *mem_map(size_t bytes);
void mem_unmap(char *start, size_t bytes);

/* Store to (load from) one byte of every page. */
void mem_write_pages(char *start, size_t bytes);
void mem_read_pages(const char *start, size_t bytes);

/* fork(); a child must leave by _exit(). */
pid_t proc_fork(void);

/* Wait for @pid, which must have exited with status 0. */
void proc_reap(pid_t pid);

struct proc_pipe {
	int from;
	int to;
};

void proc_pipe_open(struct proc_pipe *p);
void proc_pipe_close(struct proc_pipe *p);

/* Pass one byte. */
void proc_send(int fd);
void proc_receive(int fd);

/* A process that does nothing but answer: each round trip is two switches between processes. */
struct proc_peer {
	pid_t pid;
	struct proc_pipe there;
	struct proc_pipe back;
};

void proc_peer_start(struct proc_peer *peer);
void proc_peer_round_trip(struct proc_peer *peer);
void proc_peer_stop(struct proc_peer *peer);

#endif
