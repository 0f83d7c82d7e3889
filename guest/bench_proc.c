/* SPDX-License-Identifier: MIT */
/*
 * Owns what operations need of processes: children, pipes between them, a peer to switch to.
 */
#include "guest/bench.h"

#include <sys/wait.h>
#include <unistd.h>

pid_t proc_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	return pid;
}

void proc_reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		bench_die("waitpid");
	if (status != 0)
		bench_die("a child failed; last error");
}

void proc_pipe_open(struct proc_pipe *p)
{
	int ends[2];

	if (pipe(ends) != 0)
		bench_die("pipe");
	p->from = ends[0];
	p->to = ends[1];
}

void proc_pipe_close(struct proc_pipe *p)
{
	close(p->from);
	close(p->to);
}

void proc_send(int fd)
{
	char token = 0;

	if (write(fd, &token, 1) != 1)
		bench_die("write to a pipe");
}

void proc_receive(int fd)
{
	char token;

	if (read(fd, &token, 1) != 1)
		bench_die("read from a pipe");
}

static _Noreturn void peer_answer(const struct proc_peer *peer)
{
	char token;

	close(peer->there.to);
	while (read(peer->there.from, &token, 1) == 1)
		proc_send(peer->back.to);
	_exit(0);
}

void proc_peer_start(struct proc_peer *peer)
{
	proc_pipe_open(&peer->there);
	proc_pipe_open(&peer->back);
	peer->pid = proc_fork();
	if (peer->pid == 0)
		peer_answer(peer);
	/* The first trip is for what the fork left to copy. */
	proc_peer_round_trip(peer);
}

void proc_peer_round_trip(struct proc_peer *peer)
{
	proc_send(peer->there.to);
	proc_receive(peer->back.from);
}

void proc_peer_stop(struct proc_peer *peer)
{
	proc_pipe_close(&peer->there);
	proc_reap(peer->pid);
	proc_pipe_close(&peer->back);
}
