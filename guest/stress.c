/* SPDX-License-Identifier: MIT */
/*
 * stress: everything a kernel does to page tables, at once and without end, checked.
 *
 * Owns the table of workers, starts a process for each, says how far they are, and what came of it.
 * Exit status: 0, or 1 if a worker or the kernel found something wrong.
 */
#include "guest/stress.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	EXIT_USAGE = 64, /* EX_USAGE of sysexits.h */
	SECONDS_DEFAULT = 60,
	SECONDS_MAX = 1000000,
	PROGRESS_SECONDS = 10,
	GRACE_SECONDS = 300, /* for the last rounds */
};

static const struct {
	const char *name;
	void (*round)(struct stress *s);
	const char *unit;
} workers[] = {
	{"fork", stress_fork_round, "processes"},
	{"exec", stress_exec_round, "programs"},
	{"cow", stress_cow_round, "processes"},
	{"switch", stress_switch_round, "laps"},
	{"shared", stress_shared_round, "turns"},
	{"file", stress_file_round, "faults behind the end"},
	{"dirty", stress_dirty_round, "scans"},
	{"access", stress_access_round, "scans"},
	{"none", stress_none_round, "faults"},
	{"arena", stress_arena_round, "accesses"},
	{"huge", stress_huge_round, "accesses"},
	{"swap", stress_swap_round, "accesses"},
	{"ksm", stress_ksm_round, "rounds with merged pages"},
	{"module", stress_module_round, "modules"},
	{"reclaim", stress_reclaim_round, "compactions"},
};

enum { N_WORKERS = sizeof(workers) / sizeof(workers[0]) };

static struct {
	unsigned seconds;
	uint64_t seed;
	bool chosen[N_WORKERS];
} options = {.seconds = SECONDS_DEFAULT, .seed = 1};

static struct stress_count *counts; /* one for each worker */

static const char usage_text[] =
	"usage: stress [--seconds N] [--only NAME,...] [--seed N] [--list]\n"
	"Work on page tables of every kind in parallel processes, for N seconds (60), and check\n"
	"what they see. Exit status 1, and sentences, if something is wrong.\n";

static _Noreturn void usage_error(const char *what, const char *which)
{
	fprintf(stderr, "stress: %s '%s'\n%s", what, which, usage_text);
	exit(EXIT_USAGE);
}

static uint64_t number(const char *text, uint64_t max)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (!*text || *end || n < 1 || n > max)
		usage_error("not a number that is possible here:", text);
	return n;
}

static void choose(char *names)
{
	memset(options.chosen, 0, sizeof(options.chosen));
	for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
		int n = 0;

		while (n < N_WORKERS && strcmp(workers[n].name, name) != 0)
			n++;
		if (n == N_WORKERS)
			usage_error("unknown worker", name);
		options.chosen[n] = true;
	}
}

static void set_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"seconds", required_argument, NULL, 's'},
		{"only", required_argument, NULL, 'o'},
		{"seed", required_argument, NULL, 'r'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	memset(options.chosen, true, sizeof(options.chosen));
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 's':
			options.seconds = (unsigned)number(optarg, SECONDS_MAX);
			break;
		case 'o':
			choose(optarg);
			break;
		case 'r':
			options.seed = number(optarg, UINT64_MAX);
			break;
		case 'l':
			for (int n = 0; n < N_WORKERS; n++)
				printf("%s (%s)\n", workers[n].name, workers[n].unit);
			exit(0);
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		default:
			fputs(usage_text, stderr);
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc)
		usage_error("unexpected argument", argv[optind]);
}

static _Noreturn void work(unsigned n, uint64_t end_ns)
{
	static struct stress s;

	s = (struct stress){
		.name = workers[n].name,
		.number = n,
		.random = options.seed * 0x9e3779b97f4a7c15ull + (n + 1) * 0xd1342543de82ef95ull,
		.end_ns = end_ns,
		.count = &counts[n],
	};
	if (s.random == 0)
		s.random = 1;
	stress_catch_faults(&s);
	while (stress_go_on(&s))
		workers[n].round(&s);
	_exit(0);
}

/* Processes of workers that still run. */
static unsigned start(pid_t *pids, uint64_t end_ns)
{
	unsigned running = 0;

	for (unsigned n = 0; n < N_WORKERS; n++) {
		pids[n] = options.chosen[n] ? fork() : 0;
		if (!options.chosen[n])
			continue;
		if (pids[n] == 0)
			work(n, end_ns);
		if (pids[n] < 0) {
			perror("stress: fork");
			exit(1);
		}
		running++;
	}
	return running;
}

/* A worker that has ended. */
static void judge(const pid_t *pids, pid_t pid, int status)
{
	for (unsigned n = 0; n < N_WORKERS; n++) {
		if (pids[n] != pid || status == 0)
			continue;
		if (!atomic_load(&counts[n].wrong))
			printf("stress: %s: wrong: ended with status %x\n", workers[n].name,
				(unsigned)status);
		atomic_store(&counts[n].wrong, true);
	}
}

static void say_progress(uint64_t started_ns)
{
	printf("stress: %" PRIu64 " s:", (stress_now_ns() - started_ns) / 1000000000u);
	for (unsigned n = 0; n < N_WORKERS; n++) {
		if (options.chosen[n] && !atomic_load(&counts[n].unusable))
			printf(" %s %lu", workers[n].name, atomic_load(&counts[n].units));
	}
	printf("\n");
	fflush(stdout);
}

/* Until all have ended; what has not in time is killed. */
static void watch(const pid_t *pids, unsigned running, uint64_t started_ns, uint64_t end_ns)
{
	uint64_t next_ns = started_ns + PROGRESS_SECONDS * 1000000000ull;
	struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};

	while (running > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			judge(pids, pid, status);
			running--;
			continue;
		}
		nanosleep(&pause, NULL);
		if (stress_now_ns() >= next_ns) {
			say_progress(started_ns);
			next_ns += PROGRESS_SECONDS * 1000000000ull;
		}
		for (unsigned n = 0; n < N_WORKERS; n++) {
			if (pids[n] > 0 && stress_now_ns() > end_ns + GRACE_SECONDS * 1000000000ull)
				kill(pids[n], SIGKILL);
		}
	}
}

static int conclude(uint64_t started_ns)
{
	unsigned long checks = 0;
	unsigned n_wrong = 0;
	unsigned complaints = stress_kernel_complaints();

	for (unsigned n = 0; n < N_WORKERS; n++) {
		const struct stress_count *c = &counts[n];

		if (!options.chosen[n])
			continue;
		checks += atomic_load(&c->checks);
		n_wrong += atomic_load(&c->wrong);
		printf("%-8s %8lu rounds %10lu checks %9lu %s%s\n", workers[n].name,
			atomic_load(&c->rounds), atomic_load(&c->checks), atomic_load(&c->units),
			workers[n].unit,
			atomic_load(&c->wrong)      ? ": WRONG"
			: atomic_load(&c->unusable) ? ": not possible with this kernel"
						    : "");
	}
	printf("stress: %u wrong, %u complaints of the kernel, %lu checks in %" PRIu64 " s\n",
		n_wrong, complaints, checks, (stress_now_ns() - started_ns) / 1000000000u);
	return n_wrong || complaints ? 1 : 0;
}

int main(int argc, char **argv)
{
	pid_t pids[N_WORKERS];
	uint64_t started_ns, end_ns;
	unsigned running;

	if (argc > 1 && strcmp(argv[1], STRESS_EXECUTED) == 0)
		return stress_executed(argc, argv);
	set_options(argc, argv);
	counts = mmap(NULL, N_WORKERS * sizeof(*counts), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED) {
		perror("stress: mmap");
		return 1;
	}
	stress_prepare_kernel();
	fflush(stdout);
	started_ns = stress_now_ns();
	end_ns = started_ns + options.seconds * 1000000000ull;
	running = start(pids, end_ns);
	watch(pids, running, started_ns, end_ns);
	return conclude(started_ns);
}
