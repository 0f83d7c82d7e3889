/* SPDX-License-Identifier: MIT */
/*
 * The well-behaved guest: a little operating system with processes, demand paging, copy on write,
 * fork, exit, unmapping, accessed-bit scans and table frames that come back as data. It edits its
 * tables through a direct map of large pages, as Linux does, and flushes what it must (and, for
 * accessed bits, only what it wants to).
 */
#include "lab/gen_guest.h"

#include "x86/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_PROCESSES  5u
#define N_PAGES      40u /* of a process: two areas, so two branches of its tables */
#define AREA_PAGES   24u
#define AREA_LOW     0x400000ull
#define AREA_HIGH    0x7ffffffd0000ull
#define DIRECT_MAP   0xffff888000000000ull
#define KERNEL_TABLE 0x20u /* first of the kernel's own two tables */
#define FRAMES_MAX   160u

struct os_page {
	bool mapped;
	bool writable; /* what the process may do, not what the entry says just now */
};

struct os_process {
	bool alive;
	uint64_t root; /* gfn; tables below are found in memory */
	struct os_page pages[N_PAGES];
};

struct os_guest {
	bool booted;
	bool waiting; /* an access is under way that may need the fault handler */
	struct step access;
	unsigned handled; /* faults taken for it */
	unsigned current;
	struct os_process processes[N_PROCESSES];
	uint64_t free_frames[FRAMES_MAX];
	unsigned n_free;
	uint8_t shares[0x1000]; /* by gfn: user mappings of a data frame */
};

struct os_plan {
	struct os_guest *guest;
	const struct machine *machine;
	struct rng *rng;
	struct queue *queue;
};

static uint64_t page_gva(unsigned page)
{
	if (page < AREA_PAGES)
		return AREA_LOW + page * X86_PAGE_SIZE;
	return AREA_HIGH + (page - AREA_PAGES) * X86_PAGE_SIZE;
}

static struct os_process *current(struct os_plan *plan)
{
	return &plan->guest->processes[plan->guest->current];
}

/* ---- kernel stores ---- */

static void kernel_store(struct os_plan *plan, uint64_t gpa, uint64_t value, unsigned n_bytes)
{
	struct step *step = queue_add(plan->queue, STEP_STORE, 0);

	step->gva = DIRECT_MAP + gpa;
	step->value = value;
	step->bytes = n_bytes;
}

static void invlpg(struct os_plan *plan, uint64_t gva)
{
	queue_add(plan->queue, STEP_INVLPG, 0)->gva = gva;
}

static void load_cr3(struct os_plan *plan, uint64_t root)
{
	queue_add(plan->queue, STEP_CR3, 0)->value = root << X86_PAGE_SHIFT;
}

/* ---- frames ---- */

static bool take_frame(struct os_plan *plan, uint64_t *gfn)
{
	struct os_guest *guest = plan->guest;

	if (guest->n_free < 8)
		return false;
	*gfn = guest->free_frames[--guest->n_free];
	return true;
}

static void give_frame(struct os_plan *plan, uint64_t gfn)
{
	plan->guest->free_frames[plan->guest->n_free++] = gfn;
}

/* Make @gfn a table: clear what memory shows to be there. */
static void clear_frame(struct os_plan *plan, uint64_t gfn)
{
	for (unsigned i = 0; i < 512; i++)
		if (gen_word(plan->machine, (gfn << X86_PAGE_SHIFT) + i * 8))
			kernel_store(plan, (gfn << X86_PAGE_SHIFT) + i * 8, 0, 8);
}

/* ---- tables; they are read from memory, so a plan changes a table once before it reads it ---- */

static uint64_t entry_gpa(uint64_t table_gfn, uint64_t gva, unsigned level)
{
	return (table_gfn << X86_PAGE_SHIFT) + (gva >> (12 + 9 * (level - 1)) & 511) * 8;
}

/* The gpa of @gva's last-level entry under @root; false if a table above it is missing. */
static bool find_entry(struct os_plan *plan, uint64_t root, uint64_t gva, uint64_t *gpa)
{
	uint64_t table = root;

	for (unsigned level = 4; level > 1; level--) {
		uint64_t entry = gen_word(plan->machine, entry_gpa(table, gva, level));

		if (!(entry & X86_PTE_P))
			return false;
		table = (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	}
	*gpa = entry_gpa(table, gva, 1);
	return true;
}

static uint64_t page_entry(struct os_plan *plan, uint64_t root, unsigned page)
{
	uint64_t gpa;

	return find_entry(plan, root, page_gva(page), &gpa) ? gen_word(plan->machine, gpa) : 0;
}

/*
 * Set the entry of @page under @root, making tables. @known remembers the tables made in this plan:
 * [area][level], 0 for none, so that the next page of the area finds them before memory has them.
 */
static bool set_entry(
	struct os_plan *plan, uint64_t root, unsigned page, uint64_t entry, uint64_t known[2][5])
{
	uint64_t gva = page_gva(page);
	uint64_t *made = known[page >= AREA_PAGES];
	uint64_t table = root;

	for (unsigned level = 4; level > 1; level--) {
		uint64_t gpa = entry_gpa(table, gva, level);
		uint64_t upper = gen_word(plan->machine, gpa);

		if (made[level - 1]) {
			table = made[level - 1];
		} else if (!made[level] && (upper & X86_PTE_P)) {
			table = (upper & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
		} else {
			uint64_t fresh;

			if (!take_frame(plan, &fresh))
				return false;
			clear_frame(plan, fresh);
			kernel_store(plan, gpa,
				fresh << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_W | X86_PTE_U, 8);
			made[level - 1] = fresh;
			table = fresh;
		}
	}
	kernel_store(plan, entry_gpa(table, gva, 1), entry, 8);
	return true;
}

/* ---- processes ---- */

static bool new_root(struct os_plan *plan, uint64_t *root)
{
	if (!take_frame(plan, root))
		return false;
	clear_frame(plan, *root);
	kernel_store(plan, entry_gpa(*root, DIRECT_MAP, 4),
		KERNEL_TABLE << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_W, 8);
	return true;
}

static void unmap_page(struct os_plan *plan, struct os_process *process, unsigned page)
{
	uint64_t gpa;
	uint64_t entry;
	uint64_t gfn;

	process->pages[page].mapped = false;
	if (!find_entry(plan, process->root, page_gva(page), &gpa))
		return;
	entry = gen_word(plan->machine, gpa);
	if (!(entry & X86_PTE_P))
		return;
	gfn = (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	kernel_store(plan, gpa, 0, 8);
	if (--plan->guest->shares[gfn] == 0)
		give_frame(plan, gfn);
}

/* Give the frames of the tables of @table_gfn and below back; they keep their garbage. */
static void free_tables(
	struct os_plan *plan, uint64_t table_gfn, unsigned level, unsigned n_entries)
{
	for (unsigned i = 0; level > 1 && i < n_entries; i++) {
		uint64_t entry = gen_word(plan->machine, (table_gfn << X86_PAGE_SHIFT) + i * 8);

		if (entry & X86_PTE_P)
			free_tables(
				plan, (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT, level - 1, 512);
	}
	give_frame(plan, table_gfn);
}

static unsigned other_process(struct os_plan *plan)
{
	unsigned start = rng_below(plan->rng, N_PROCESSES);

	for (unsigned i = 0; i < N_PROCESSES; i++) {
		unsigned candidate = (start + i) % N_PROCESSES;

		if (candidate != plan->guest->current && plan->guest->processes[candidate].alive)
			return candidate;
	}
	return plan->guest->current;
}

static void plan_switch(struct os_plan *plan)
{
	plan->guest->current = other_process(plan);
	load_cr3(plan, current(plan)->root);
}

/* The current process ends; another goes on. The last one stays. */
static void plan_exit(struct os_plan *plan)
{
	struct os_process *dying = current(plan);
	unsigned next = other_process(plan);

	if (next == plan->guest->current)
		return;
	for (unsigned page = 0; page < N_PAGES; page++)
		unmap_page(plan, dying, page);
	plan->guest->current = next;
	load_cr3(plan, current(plan)->root);
	free_tables(plan, dying->root, 4, 256);
	dying->alive = false;
}

/* Copy the tables; both sides lose the right to write what is private. */
static void plan_fork(struct os_plan *plan)
{
	struct os_process *parent = current(plan);
	struct os_process *child = plan->guest->processes;
	uint64_t known[2][5] = {{0}};

	while (child < plan->guest->processes + N_PROCESSES && child->alive)
		child++;
	if (child == plan->guest->processes + N_PROCESSES || plan->guest->n_free < 24 ||
		!new_root(plan, &child->root))
		return;
	known[0][4] = known[1][4] = child->root;
	child->alive = true;
	memcpy(child->pages, parent->pages, sizeof(child->pages));
	for (unsigned page = 0; page < N_PAGES; page++) {
		uint64_t entry = page_entry(plan, parent->root, page);
		uint64_t gpa;

		if (!(entry & X86_PTE_P) || !find_entry(plan, parent->root, page_gva(page), &gpa))
			continue;
		if (entry & X86_PTE_W)
			kernel_store(plan, gpa, entry & ~X86_PTE_W, 8);
		if (set_entry(plan, child->root, page, entry & ~(X86_PTE_W | X86_PTE_A | X86_PTE_D),
			    known))
			plan->guest->shares[(entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT]++;
	}
	load_cr3(plan, parent->root);
}

/* ---- memory of the current process ---- */

static void plan_touch(struct os_plan *plan)
{
	struct os_process *process = current(plan);
	unsigned page = rng_below(plan->rng, N_PAGES);
	struct step *step;

	if (!process->pages[page].mapped) {
		process->pages[page].mapped = true;
		process->pages[page].writable = rng_percent(plan->rng, 85);
	}
	step = queue_add(plan->queue, rng_percent(plan->rng, 50) ? STEP_STORE : STEP_LOAD, 0);
	step->gva = page_gva(page) + rng_below(plan->rng, 8) * 8;
	step->bytes = 8;
	step->value = rng_u64(plan->rng);
	step->cpl = 3;
	plan->guest->waiting = true;
	plan->guest->handled = 0;
	plan->guest->access = *step;
}

/* The page fault handler: give a page, copy it, allow the write; or the process was wrong. */
static void handle_fault(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	struct os_process *process = current(plan);
	uint64_t gva = guest->access.gva & ~(uint64_t)(X86_PAGE_SIZE - 1);
	unsigned page = (unsigned)((gva < DIRECT_MAP && gva >= AREA_HIGH
						   ? gva - AREA_HIGH + AREA_PAGES * X86_PAGE_SIZE
						   : gva - AREA_LOW) /
				   X86_PAGE_SIZE);
	bool write = guest->access.kind == STEP_STORE;
	uint64_t entry = page_entry(plan, process->root, page);
	uint64_t old = (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	uint64_t known[2][5] = {{0}};
	uint64_t gfn = old;

	guest->waiting = false;
	if ((write && !process->pages[page].writable) || guest->handled++ > 2)
		return;
	if ((!(entry & X86_PTE_P) || guest->shares[old] > 1) && !take_frame(plan, &gfn))
		return;
	if (gfn != old || !(entry & X86_PTE_P)) {
		guest->shares[gfn] = 1;
		kernel_store(plan, gfn << X86_PAGE_SHIFT, rng_u64(plan->rng), 8);
		if (entry & X86_PTE_P)
			guest->shares[old]--;
	}
	if ((entry & X86_PTE_P) && gfn != old && rng_percent(plan->rng, 70)) {
		set_entry(plan, process->root, page, 0, known);
		invlpg(plan, gva);
	}
	if (!set_entry(plan, process->root, page,
		    gfn << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_U |
			    (process->pages[page].writable ? X86_PTE_W : 0),
		    known))
		return;
	if (entry & X86_PTE_P)
		invlpg(plan, gva);
	*queue_add(plan->queue, guest->access.kind, 0) = guest->access;
	guest->waiting = true;
}

static void plan_unmap(struct os_plan *plan)
{
	unsigned first = rng_below(plan->rng, N_PAGES);
	unsigned n_pages = 1 + rng_below(plan->rng, 8);

	for (unsigned page = first; page < N_PAGES && page < first + n_pages; page++) {
		unmap_page(plan, current(plan), page);
		if (n_pages < 5)
			invlpg(plan, page_gva(page));
	}
	if (n_pages >= 5)
		load_cr3(plan, current(plan)->root);
}

static void plan_protect(struct os_plan *plan)
{
	struct os_process *process = current(plan);
	unsigned first = rng_below(plan->rng, N_PAGES);
	bool writable = rng_percent(plan->rng, 60);

	for (unsigned page = first; page < N_PAGES && page < first + 6; page++) {
		uint64_t gpa;
		uint64_t entry;

		process->pages[page].writable = writable;
		if (!find_entry(plan, process->root, page_gva(page), &gpa))
			continue;
		entry = gen_word(plan->machine, gpa);
		if (!(entry & X86_PTE_P) || writable)
			continue;
		kernel_store(plan, gpa, (uint8_t)(entry & ~X86_PTE_W), 1);
		invlpg(plan, page_gva(page));
	}
}

/* The swapper looks for unused pages: accessed bits are cleared by byte stores, mostly unflushed.
 */
static void plan_scan(struct os_plan *plan)
{
	struct os_process *process = current(plan);
	bool dirty_too = rng_percent(plan->rng, 30);
	uint64_t clear = X86_PTE_A | (dirty_too ? X86_PTE_D : 0);

	for (unsigned page = 0; page < N_PAGES; page++) {
		uint64_t gpa;
		uint64_t entry;

		if (!find_entry(plan, process->root, page_gva(page), &gpa))
			continue;
		entry = gen_word(plan->machine, gpa);
		if ((entry & X86_PTE_P) && (entry & clear))
			kernel_store(plan, gpa, (uint8_t)(entry & ~clear), 1);
	}
	if (dirty_too || rng_percent(plan->rng, 30))
		load_cr3(plan, process->root);
}

/* The kernel writes a former table or a free frame as data. */
static void plan_reuse(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	uint64_t gpa = guest->free_frames[guest->n_free - 1] << X86_PAGE_SHIFT;

	for (unsigned i = 0; i < 24; i++)
		kernel_store(
			plan, gpa + i * 8, rng_percent(plan->rng, 50) ? 0 : rng_u64(plan->rng), 8);
}

/* ---- life ---- */

static void poke(struct os_plan *plan, uint64_t gpa, uint64_t value)
{
	struct step *step = queue_add(plan->queue, STEP_POKE, 0);

	step->gpa = gpa;
	step->bytes = 8;
	step->value = value;
}

/* The loader: direct map, the first root, paging on. */
static void boot(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	const uint64_t upper = X86_PTE_P | X86_PTE_W;
	uint64_t root = KERNEL_TABLE + 2;
	struct step *step;

	poke(plan, entry_gpa(KERNEL_TABLE, DIRECT_MAP, 3),
		(KERNEL_TABLE + 1) << X86_PAGE_SHIFT | upper);
	for (uint64_t i = 0; i < 4; i++)
		poke(plan, ((KERNEL_TABLE + 1) << X86_PAGE_SHIFT) + i * 8,
			i << 21 | upper | X86_PTE_PS | X86_PTE_G | X86_PTE_NX);
	poke(plan, entry_gpa(root, DIRECT_MAP, 4), KERNEL_TABLE << X86_PAGE_SHIFT | upper);
	for (uint64_t gfn = KERNEL_TABLE + 3; gfn < 0x60; gfn++)
		guest->free_frames[guest->n_free++] = gfn;
	for (uint64_t gfn = 0x1f8; gfn < 0x220; gfn++)
		guest->free_frames[guest->n_free++] = gfn;
	for (uint64_t gfn = 0x600; gfn < 0x628; gfn++)
		guest->free_frames[guest->n_free++] = gfn;
	guest->processes[0].alive = true;
	guest->processes[0].root = root;
	step = queue_add(plan->queue, STEP_REGS, 0);
	step->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_WP | X86_CR0_PG;
	step->cr3 = root << X86_PAGE_SHIFT;
	step->cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP;
	step->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
	guest->booted = true;
}

struct os_guest *os_guest_create(const struct lab_config *config)
{
	struct os_guest *guest = calloc(1, sizeof(*guest));

	(void)config;
	if (!guest) {
		fprintf(stderr, "umbra-lab: out of memory (%zu bytes)\n", sizeof(*guest));
		exit(1);
	}
	return guest;
}

void os_guest_plan(
	struct os_guest *guest, const struct machine *machine, struct rng *rng, struct queue *queue)
{
	struct os_plan plan = {guest, machine, rng, queue};

	if (guest->waiting && machine->last.seen == MACHINE_SEEN_FAULT)
		handle_fault(&plan);
	else
		guest->waiting = false;
	while (queue->count == 0) {
		unsigned choice = rng_below(rng, 100);

		if (!guest->booted)
			boot(&plan);
		else if (choice < 80)
			plan_touch(&plan);
		else if (choice < 88)
			plan_switch(&plan);
		else if (choice < 91)
			plan_fork(&plan);
		else if (choice < 93)
			plan_exit(&plan);
		else if (choice < 95)
			plan_unmap(&plan);
		else if (choice < 97)
			plan_protect(&plan);
		else if (choice < 98)
			plan_scan(&plan);
		else
			plan_reuse(&plan);
	}
}
