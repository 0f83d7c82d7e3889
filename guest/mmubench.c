/* SPDX-License-Identifier: MIT */
/*
 * mmubench: what memory virtualization costs, operation by operation.
 *
 * Owns the table of operations, the choice among them, and the printing. How an operation works is
 * in ops_*.c; what it is written with in bench.h.
 */
#include "guest/ops.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum {
	EXIT_USAGE = 64, /* EX_USAGE of sysexits.h */
	WARM_UP_BYTES = 200 * MIB,
	SETTLE_NS = 20 * 1000 * 1000,
};

struct op {
	const char *name;
	const char *per;
	uint32_t (*run)(struct bench *b);
	unsigned needs_mib; /* of free memory; 0: less than any guest has */
};

/* The position in this table is the operation's number in marks: append only. */
static const struct op ops[] = {
	{.name = "getpid", .per = "call", .run = op_getpid},
	{.name = "segv_longjmp", .per = "fault", .run = op_segv_longjmp},
	{.name = "fork_exit", .per = "process", .run = op_fork_exit},
	{.name = "fork_exec_full", .per = "process", .run = op_fork_exec_full},
	{.name = "pipe_pingpong", .per = "switch", .run = op_pipe_pingpong},
	{.name = "ring8_ws64", .per = "hop", .run = op_ring8_ws64},
	{.name = "anon_fault_cycle", .per = "page", .run = op_anon_fault_cycle},
	{.name = "cow_fault", .per = "page", .run = op_cow_fault},
	{.name = "wrprot_reuse_fault", .per = "page", .run = op_wrprot_reuse_fault},
	{.name = "mprotect_flip_touch", .per = "page", .run = op_mprotect_flip_touch},
	{.name = "clear_then_switch", .per = "round trip", .run = op_clear_then_switch},
	{.name = "touch_after_clear", .per = "page", .run = op_touch_after_clear},
	{.name = "kscand_cycle", .per = "page", .run = op_kscand_cycle},
	{.name = "softdirty_scan", .per = "page", .run = op_softdirty_scan},
	{.name = "sparse_touch", .per = "table page", .run = op_sparse_touch},
	{.name = "sparse_unmap", .per = "table page", .run = op_sparse_unmap},
	{.name = "memset_after_ptfree",
		.per = "page",
		.run = op_memset_after_ptfree,
		.needs_mib = 100},
	{.name = "munmap_16M", .per = "page", .run = op_munmap_16m},
	{.name = "procs48_create", .per = "process", .run = op_procs48_create},
	{.name = "procs48_exit", .per = "process", .run = op_procs48_exit},
	{.name = "file_read_touch", .per = "page", .run = op_file_read_touch},
	{.name = "tlb_random_read", .per = "read", .run = op_tlb_random_read, .needs_mib = 80},
	{.name = "memset_fresh", .per = "page", .run = op_memset_fresh, .needs_mib = 100},
	{.name = "ptpage_reuse", .per = "page", .run = op_ptpage_reuse, .needs_mib = 60},
	{.name = "clear_and_switch", .per = "round trip", .run = op_clear_and_switch},
};

enum { N_OPS = sizeof(ops) / sizeof(ops[0]) };

struct options {
	enum bench_clock clock;
	bool marks;
	bool list;
	bool chosen[N_OPS];
};

static const char usage_text[] =
	"usage: mmubench [--marks] [--clock tsc|ns] [--ops NAME,...] [--list]\n"
	"  --clock tsc   count with the time stamp counter (instructions under QEMU's -icount)\n"
	"  --clock ns    nanoseconds\n"
	"  --marks       tell the hypervisor where each operation starts and ends\n"
	"  --ops         run only these operations (see --list)\n"
	"  --list        print the operations, in the order of their numbers\n"
	"umbra.clock= and umbra.marks= on the kernel's command line are the defaults.\n";

static _Noreturn void usage_error(const char *what, const char *which)
{
	fprintf(stderr, "mmubench: %s '%s'\n%s", what, which, usage_text);
	exit(EXIT_USAGE);
}

static void set_clock(struct options *o, const char *name)
{
	if (strcmp(name, "tsc") == 0)
		o->clock = BENCH_CLOCK_TSC;
	else if (strcmp(name, "ns") == 0)
		o->clock = BENCH_CLOCK_NS;
	else
		usage_error("unknown clock", name);
}

static void choose(struct options *o, char *names)
{
	memset(o->chosen, 0, sizeof(o->chosen));
	for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
		int n = 0;

		while (n < N_OPS && strcmp(ops[n].name, name) != 0)
			n++;
		if (n == N_OPS)
			usage_error("unknown operation", name);
		o->chosen[n] = true;
	}
}

static void set_defaults(struct options *o)
{
	char line[4096];
	FILE *f = fopen("/proc/cmdline", "r");

	memset(o, 0, sizeof(*o));
	memset(o->chosen, true, sizeof(o->chosen));
	if (f && fgets(line, sizeof(line), f)) {
		for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
			if (strncmp(word, "umbra.clock=", 12) == 0)
				set_clock(o, word + 12);
			else if (strncmp(word, "umbra.marks=", 12) == 0)
				o->marks = strcmp(word + 12, "0") != 0;
		}
	}
	if (f)
		fclose(f);
}

static void set_options(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{"marks", no_argument, NULL, 'm'},
		{"clock", required_argument, NULL, 'c'},
		{"ops", required_argument, NULL, 'o'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	set_defaults(o);
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'm':
			o->marks = true;
			break;
		case 'c':
			set_clock(o, optarg);
			break;
		case 'o':
			choose(o, optarg);
			break;
		case 'l':
			o->list = true;
			break;
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

static void no_hypervisor(int signal_number)
{
	static const char text[] =
		"mmubench: no hypervisor takes marks here: run without --marks and umbra.marks=1\n";

	(void)signal_number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

/* Start again with a fixed layout of the address space, for the children too: where the stack lies
 * decides how many pages a fork copies, and that is not to differ from run to run. */
static void fix_layout(char **argv)
{
	int now = personality(0xffffffff);

	if (now < 0 || (now & ADDR_NO_RANDOMIZE))
		return;
	if (personality((unsigned long)now | ADDR_NO_RANDOMIZE) >= 0)
		execv("/proc/self/exe", argv);
}

static uint64_t free_memory_bytes(void)
{
	struct sysinfo info;

	if (sysinfo(&info) != 0)
		bench_die("sysinfo");
	return (uint64_t)info.freeram * info.mem_unit;
}

/* A child touches much of the free memory first: no operation is to be the one that pays for the
 * first use of a frame below it (in the hypervisor, in the emulator, in the host). */
static void warm_up(void)
{
	uint64_t limit = free_memory_bytes() / 3 * 2;
	size_t bytes = WARM_UP_BYTES;
	pid_t pid;

	if (bytes > limit)
		bytes = (size_t)limit / PAGE_BYTES * PAGE_BYTES;
	pid = proc_fork();
	if (pid == 0) {
		mem_write_pages(mem_map(bytes), bytes);
		_exit(0);
	}
	proc_reap(pid);
}

/* What was printed travels on by interrupts: let them pass before the next timed part. */
static void settle(void)
{
	struct timespec pause = {.tv_nsec = SETTLE_NS};

	fflush(stdout);
	nanosleep(&pause, NULL);
}

static void run(struct bench *b, uint32_t n)
{
	uint32_t count = 0;
	uint64_t tenths;

	b->op = n;
	b->ticks = 0;
	settle();
	if (free_memory_bytes() / MIB >= ops[n].needs_mib)
		count = ops[n].run(b);
	if (count == 0) {
		printf("%s - unsupported\n", ops[n].name);
		return;
	}
	tenths = (b->ticks * 10 + count / 2) / count;
	printf("%s %" PRIu64 ".%u %s\n", ops[n].name, tenths / 10, (unsigned)(tenths % 10),
		b->clock == BENCH_CLOCK_TSC ? "instructions" : "ns");
	if (b->marks)
		printf("# %s ops=%" PRIu32 "\n", ops[n].name, count);
}

int main(int argc, char **argv)
{
	struct options o;
	struct bench *b;

	fix_layout(argv);
	set_options(&o, argc, argv);
	if (o.list) {
		for (int n = 0; n < N_OPS; n++)
			printf("%s (per %s)\n", ops[n].name, ops[n].per);
		return 0;
	}
	b = bench_new();
	b->clock = o.clock;
	b->marks = o.marks;
	signal(SIGILL, no_hypervisor);
	warm_up();
	for (uint32_t n = 0; n < N_OPS; n++) {
		if (o.chosen[n])
			run(b, n);
	}
	if (fflush(stdout) != 0)
		bench_die("standard output");
	return 0;
}
