/* SPDX-License-Identifier: MIT */
/* Delta debugging over the steps of a trace: drop ever smaller pieces as long as it still fails. */
#include "lab/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 60u

static void give_up(const char *what)
{
	perror(what);
	exit(1);
}

/* In the child: run, and send the beginning of the reason for a failure, up to its first colon. */
__attribute__((noreturn)) static void run_child(const struct trace *trace, int pipe_end)
{
	struct run_result result;
	ssize_t written = 0;

	alarm(SECONDS_MAX);
	if (!freopen("/dev/null", "w", stderr))
		_exit(1);
	run_trace(trace, NULL, &result);
	if (result.failed)
		written = write(pipe_end, result.why, strcspn(result.why, ":0123456789"));
	_exit(written < 0);
}

bool shrink_fails(const struct trace *trace, char *kind)
{
	int ends[2];
	int status = 0;
	ssize_t n_read;
	pid_t child;

	fflush(NULL);
	if (pipe(ends) != 0)
		give_up("umbra-lab: pipe");
	child = fork();
	if (child < 0)
		give_up("umbra-lab: fork");
	if (child == 0)
		run_child(trace, ends[1]);
	close(ends[1]);
	n_read = read(ends[0], kind, SHRINK_KIND_BYTES - 1);
	close(ends[0]);
	if (waitpid(child, &status, 0) != child)
		give_up("umbra-lab: waitpid");
	kind[n_read > 0 ? n_read : 0] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return kind[0] != '\0';
	snprintf(kind, SHRINK_KIND_BYTES, "the process died, status %d", status);
	return true;
}

/* Make it @trace without the @n steps from @from, if that still fails in the way @wanted. */
static bool try_without(struct trace *trace, size_t from, size_t n, const char *wanted)
{
	struct trace shorter = {.config = trace->config};
	char kind[SHRINK_KIND_BYTES];

	for (size_t i = 0; i < trace->n_steps; i++)
		if (i < from || i >= from + n)
			trace_add(&shorter, &trace->steps[i]);
	if (!shrink_fails(&shorter, kind) || strcmp(kind, wanted) != 0) {
		trace_free(&shorter);
		return false;
	}
	trace_free(trace);
	*trace = shorter;
	return true;
}

/* Try to drop each piece of @n steps, from the end: what set the stage is needed longest. */
static bool drop_pieces(struct trace *trace, size_t n, const char *wanted)
{
	bool dropped = false;

	for (size_t end = trace->n_steps; end > 0;) {
		size_t from = end > n ? end - n : 0;

		dropped |= try_without(trace, from, end - from, wanted);
		end = from;
	}
	return dropped;
}

void shrink_trace(struct trace *trace)
{
	char wanted[SHRINK_KIND_BYTES];
	size_t piece = trace->n_steps / 2;

	if (!shrink_fails(trace, wanted))
		return;
	while (piece > 0) {
		bool dropped;

		fprintf(stderr, "umbra-lab: shrink: %zu steps, dropping %zu at a time\n",
			trace->n_steps, piece);
		dropped = drop_pieces(trace, piece, wanted);
		if (piece > 1 || !dropped)
			piece /= 2;
	}
}
