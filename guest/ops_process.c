/* SPDX-License-Identifier: MIT */
/*
 * Operations on processes: the system call itself, fork, exec and exit, and switches.
 */
#include "guest/ops.h"

#include <sys/syscall.h>
#include <unistd.h>

enum {
	GETPID_CALLS = 20000,
	FORKS = 100,
	EXECS = 60,
	ROUND_TRIPS = 2000,
	RING_PROCS = 8,
	RING_LAPS = 100,
	STAYING_PROCS = 48,
	WORKING_SET_BYTES = 64 * PAGE_BYTES,
};

/* The smallest program there is, see exit0.c. */
static const char exec_path[] = "/bin/exit0";

uint32_t op_getpid(struct bench *b)
{
	bench_begin(b);
	for (int i = 0; i < GETPID_CALLS; i++)
		syscall(SYS_getpid);
	bench_end(b);
	return GETPID_CALLS;
}

static void fork_exit(void)
{
	pid_t pid = proc_fork();

	if (pid == 0)
		_exit(0);
	proc_reap(pid);
}

uint32_t op_fork_exit(struct bench *b)
{
	fork_exit();
	bench_begin(b);
	for (int i = 0; i < FORKS; i++)
		fork_exit();
	bench_end(b);
	return FORKS;
}

static void fork_exec(void)
{
	pid_t pid = proc_fork();

	if (pid == 0) {
		char *argv[] = {(char *)exec_path, NULL};
		char *envp[] = {NULL};

		execve(exec_path, argv, envp);
		bench_die(exec_path);
	}
	proc_reap(pid);
}

uint32_t op_fork_exec_full(struct bench *b)
{
	if (access(exec_path, X_OK) != 0)
		return 0;
	fork_exec();
	bench_begin(b);
	for (int i = 0; i < EXECS; i++)
		fork_exec();
	bench_end(b);
	return EXECS;
}

uint32_t op_pipe_pingpong(struct bench *b)
{
	struct proc_peer peer;

	proc_peer_start(&peer);
	bench_begin(b);
	for (int i = 0; i < ROUND_TRIPS; i++)
		proc_peer_round_trip(&peer);
	bench_end(b);
	proc_peer_stop(&peer);
	return 2 * ROUND_TRIPS;
}

/* Each member makes the same number of laps: one to warm up, the timed ones, and one after which it
 * may exit without being timed. */
static _Noreturn void ring_member(int from, int to, char *working_set)
{
	for (int lap = 0; lap < 1 + RING_LAPS + 1; lap++) {
		proc_receive(from);
		mem_write_pages(working_set, WORKING_SET_BYTES);
		proc_send(to);
	}
	_exit(0);
}

/* The lap as seen by member 0, which is this process and has the token at rest. */
static void ring_lap(int from, int to, char *working_set)
{
	mem_write_pages(working_set, WORKING_SET_BYTES);
	proc_send(to);
	proc_receive(from);
}

/* Member n writes pipe n; the next one reads it. */
uint32_t op_ring8_ws64(struct bench *b)
{
	char *working_set = mem_map(WORKING_SET_BYTES);
	struct proc_pipe pipes[RING_PROCS];
	pid_t members[RING_PROCS];

	for (int n = 0; n < RING_PROCS; n++)
		proc_pipe_open(&pipes[n]);
	for (int n = 1; n < RING_PROCS; n++) {
		members[n] = proc_fork();
		if (members[n] == 0)
			ring_member(pipes[n - 1].from, pipes[n].to, working_set);
	}

	ring_lap(pipes[RING_PROCS - 1].from, pipes[0].to, working_set);
	bench_begin(b);
	for (int lap = 0; lap < RING_LAPS; lap++)
		ring_lap(pipes[RING_PROCS - 1].from, pipes[0].to, working_set);
	bench_end(b);
	ring_lap(pipes[RING_PROCS - 1].from, pipes[0].to, working_set);

	for (int n = 1; n < RING_PROCS; n++)
		proc_reap(members[n]);
	for (int n = 0; n < RING_PROCS; n++)
		proc_pipe_close(&pipes[n]);
	mem_unmap(working_set, WORKING_SET_BYTES);
	return RING_LAPS * RING_PROCS;
}

/* Processes that each write a working set and stay until told to go. */
struct crowd {
	char *working_set;
	struct proc_pipe ready;
	struct proc_pipe go;
	pid_t procs[STAYING_PROCS];
};

static void crowd_prepare(struct crowd *c)
{
	c->working_set = mem_map(WORKING_SET_BYTES);
	proc_pipe_open(&c->ready);
	proc_pipe_open(&c->go);
}

static void crowd_create(struct crowd *c)
{
	for (int n = 0; n < STAYING_PROCS; n++) {
		c->procs[n] = proc_fork();
		if (c->procs[n] == 0) {
			mem_write_pages(c->working_set, WORKING_SET_BYTES);
			proc_send(c->ready.to);
			proc_receive(c->go.from);
			_exit(0);
		}
	}
	for (int n = 0; n < STAYING_PROCS; n++)
		proc_receive(c->ready.from);
}

static void crowd_exit(struct crowd *c)
{
	for (int n = 0; n < STAYING_PROCS; n++)
		proc_send(c->go.to);
	for (int n = 0; n < STAYING_PROCS; n++)
		proc_reap(c->procs[n]);
}

static void crowd_clean(struct crowd *c)
{
	proc_pipe_close(&c->ready);
	proc_pipe_close(&c->go);
	mem_unmap(c->working_set, WORKING_SET_BYTES);
}

uint32_t op_procs48_create(struct bench *b)
{
	struct crowd c;

	crowd_prepare(&c);
	bench_begin(b);
	crowd_create(&c);
	bench_end(b);
	crowd_exit(&c);
	crowd_clean(&c);
	return STAYING_PROCS;
}

uint32_t op_procs48_exit(struct bench *b)
{
	struct crowd c;

	crowd_prepare(&c);
	crowd_create(&c);
	bench_begin(b);
	crowd_exit(&c);
	bench_end(b);
	crowd_clean(&c);
	return STAYING_PROCS;
}
