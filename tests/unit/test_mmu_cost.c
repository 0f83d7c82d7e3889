/* SPDX-License-Identifier: MIT */
/*
 * What a resync and an emulated store cost, in instructions of the library as it is shipped:
 * counted by single steps of a child, so they depend on the compiler and on nothing else. The
 * limits are what docs/MMU.md says.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/mmu_guest.h"

#define PAGE_BYTES  X86_PAGE_SIZE
#define TABLE_BYTES (ENTRIES * PAGE_BYTES)
#define TABLES      8u

enum measured {
	LOAD_ONE_UNWRITTEN,
	LOAD_UNWRITTEN,
	LOAD_WRITTEN,
	LOAD_RIGHTS,
	LOAD_REMOVED,
	LOAD_NEW,
	LOAD_OTHER,
	STORE_FAULT,
	STORE_WRITE,
	MEASURED,
};

/* ---- the child: a guest ---- */

static uint64_t *tables[TABLES];

static void mark(void)
{
	__asm__ volatile("int3");
}

static void measured_load(struct host *h)
{
	struct umbra_exit exit;
	enum umbra_outcome outcome;

	mark();
	outcome = umbra_load_cr3(h->vcpu, h->root << X86_PAGE_SHIFT, &exit);
	mark();
	assert_int_equal(outcome, UMBRA_RESUME);
}

/* A last-level table with all of its entries in use, in the shadow too. */
static void use_table(struct host *h, unsigned t)
{
	umbra_gva gva = GVA + t * TABLE_BYTES;

	for (unsigned i = 0; i < ENTRIES; i++)
		host_map(h, h->root, gva + i * PAGE_BYTES, 1, gpte_of(DATA_GFN + i, LEAF));
	tables[t] = host_gpte(h, h->root, gva, 1);
	for (unsigned i = 0; i < ENTRIES; i++)
		host_read_gfn(h, gva + i * PAGE_BYTES);
}

/* The guest xors @bits into all entries of the first table. */
static void change_all(struct host *h, uint64_t bits)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		guest_sets(h, &tables[0][i], tables[0][i] ^ bits);
}

static void settle(struct host *h)
{
	host_cr3(h, h->root);
	host_cr3(h, h->root);
}

/* A store to a table that is write-protected: the fault, and what the host does about it. */
static void measured_store(struct host *h, uint64_t *entry, uint64_t gpte)
{
	const struct umbra_page_fault fault = {
		.gva = guest_window(h, entry),
		.error_code = X86_PF_P | X86_PF_W,
	};
	struct umbra_exit exit;
	enum umbra_outcome outcome;
	bool written;

	mark();
	outcome = umbra_page_fault(h->vcpu, &fault, &exit);
	mark();
	assert_int_equal(outcome, UMBRA_EMULATE);
	mark();
	written = umbra_guest_write(h->vcpu, exit.gpa, &gpte, sizeof(gpte));
	mark();
	assert_true(written);
}

static void run_stores(void)
{
	struct host_config config = {.policy = umbra_policy_default};
	struct host *h;

	config.policy.write = UMBRA_WRITE_EMULATE;
	h = guest_new(&config);
	h->unchecked = true;
	use_table(h, 0);
	host_access(h, guest_window(h, &tables[0][7]), X86_PF_W);
	measured_store(h, &tables[0][7], tables[0][7] ^ X86_PTE_W);
	host_free(h);
}

static void run_loads(void)
{
	struct host_config config = {.policy = umbra_policy_default};
	struct host *h = guest_new(&config);

	h->unchecked = true;
	use_table(h, 0);
	guest_sets(h, &tables[0][7], tables[0][7]);
	settle(h);
	measured_load(h);
	for (unsigned t = 1; t < TABLES; t++)
		use_table(h, t);
	/* So that there are shadows for the window. */
	guest_sets(h, &tables[0][7], tables[0][7]);
	settle(h);
	measured_load(h);
	guest_sets(h, &tables[0][7], tables[0][7]);
	measured_load(h);
	change_all(h, X86_PTE_W);
	measured_load(h);
	change_all(h, X86_PTE_P);
	measured_load(h);
	change_all(h, X86_PTE_P);
	measured_load(h);
	change_all(h, 1024ull << X86_PAGE_SHIFT);
	measured_load(h);
	host_free(h);
}

/* ---- the parent: a clock ---- */

/* Let the child go on to its next mark. Returns false if it ended instead. */
static bool run_to_mark(pid_t child)
{
	int status;

	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

/* Step to the next mark. Returns how many instructions that took. */
static unsigned step_to_mark(pid_t child)
{
	siginfo_t info = {0};
	unsigned n = 0;
	int status;

	for (;; n++) {
		ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
		waitpid(child, &status, 0);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		ptrace(PTRACE_GETSIGINFO, child, NULL, &info);
		if (info.si_code == SI_KERNEL)
			return n;
	}
}

static void count(unsigned cost[MEASURED])
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		run_loads();
		run_stores();
		_exit(0);
	}
	waitpid(child, &status, 0);
	for (unsigned i = 0; i < MEASURED; i++) {
		assert_true(run_to_mark(child));
		cost[i] = step_to_mark(child);
	}
	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void at_most(const char *what, unsigned cost, unsigned limit)
{
	print_message("%-34s %5u instructions, limit %u\n", what, cost, limit);
	assert_in_range(cost, 1, limit);
}

static void events_are_as_cheap_as_is_said(void **state)
{
	unsigned cost[MEASURED];
	unsigned unwritten, written;

	(void)state;
	count(cost);
	unwritten = (cost[LOAD_UNWRITTEN] - cost[LOAD_ONE_UNWRITTEN]) / (TABLES - 1);
	written = cost[LOAD_WRITTEN] - cost[LOAD_UNWRITTEN] + unwritten;
	at_most("a table that was not written", unwritten, 150);
	at_most("one that was, 512 entries as before", written, 1900);
	at_most("each change of rights", (cost[LOAD_RIGHTS] - cost[LOAD_WRITTEN]) / ENTRIES, 60);
	at_most("each entry removed", (cost[LOAD_REMOVED] - cost[LOAD_WRITTEN]) / ENTRIES, 150);
	at_most("each new entry", (cost[LOAD_NEW] - cost[LOAD_WRITTEN]) / ENTRIES, 150);
	at_most("each other frame", (cost[LOAD_OTHER] - cost[LOAD_WRITTEN]) / ENTRIES, 150);
	at_most("the fault of an emulated store", cost[STORE_FAULT], 300);
	at_most("and the store", cost[STORE_WRITE], 350);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_as_cheap_as_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
