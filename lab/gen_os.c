/* SPDX-License-Identifier: MIT */
/*
 * The well-behaved guest: a little operating system with processes, demand paging, copy on write,
 * fork, exit, unmapping, accessed-bit scans and table frames that come back as data. It edits its
 * tables through a direct map of large pages, as Linux does, and flushes what it must (and, for
 * accessed bits, only what it wants to). With PCIDs each process has one; with protection keys each
 * page has one.
 */
#include "lab/gen_os.h"

#include "x86/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CR3_NO_FLUSH (1ull << 63)

static const struct os_layout layouts[PAGING_COUNT] = {
	[PAGING_2LEVEL] = {0x400000, 0xb7fd0000, 0xc0000000, 768},
	[PAGING_PAE] = {0x400000, 0xb7fd0000, 0xc0000000, 3},
	[PAGING_4LEVEL] = {0x400000, 0x7ffffffd0000, 0xffff888000000000, 256},
	[PAGING_5LEVEL] = {0x400000, 0xfffffffffd0000, 0xff11000000000000, 256},
};

static struct os_process *current(struct os_plan *plan)
{
	return &plan->guest->processes[plan->guest->current];
}

static void invlpg(struct os_plan *plan, uint64_t gva)
{
	queue_add(plan->queue, STEP_INVLPG, 0)->gva = gva;
}

/* Go on with @process. @keep: what its PCID has cached is good. */
static void load_cr3(struct os_plan *plan, struct os_process *process, bool keep)
{
	uint64_t value = process->root << X86_PAGE_SHIFT;

	if (plan->guest->cr4 & X86_CR4_PCIDE) {
		value |= (uint64_t)(process - plan->guest->processes) + 1;
		value |= keep && !process->fresh ? CR3_NO_FLUSH : 0;
	}
	process->fresh = false;
	queue_add(plan->queue, STEP_CR3, 0)->value = value;
}

/* ---- processes ---- */

static void unmap_page(struct os_plan *plan, struct os_process *process, unsigned page)
{
	uint64_t gpa;
	uint64_t entry;
	uint64_t gfn;

	process->pages[page].mapped = false;
	if (!os_find_entry(plan, process->root, os_page_gva(plan->guest, page), &gpa))
		return;
	entry = os_entry(plan, gpa);
	if (!(entry & X86_PTE_P))
		return;
	gfn = (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	os_store_entry(plan, gpa, 0);
	if (--plan->guest->shares[gfn] == 0)
		os_give_frame(plan, gfn);
}

static unsigned other_process(struct os_plan *plan)
{
	unsigned start = rng_below(plan->rng, OS_PROCESSES);

	for (unsigned i = 0; i < OS_PROCESSES; i++) {
		unsigned candidate = (start + i) % OS_PROCESSES;

		if (candidate != plan->guest->current && plan->guest->processes[candidate].alive)
			return candidate;
	}
	return plan->guest->current;
}

static void plan_switch(struct os_plan *plan)
{
	plan->guest->current = other_process(plan);
	load_cr3(plan, current(plan), rng_percent(plan->rng, 75));
}

/* The current process ends; another goes on. The last one stays. */
static void plan_exit(struct os_plan *plan)
{
	struct os_process *dying = current(plan);
	unsigned next = other_process(plan);

	if (next == plan->guest->current)
		return;
	for (unsigned page = 0; page < OS_PAGES; page++)
		unmap_page(plan, dying, page);
	plan->guest->current = next;
	load_cr3(plan, current(plan), true);
	os_free_root(plan, dying->root);
	dying->alive = false;
}

/* Copy the tables; both sides lose the right to write what is private. */
static void plan_fork(struct os_plan *plan)
{
	struct os_process *parent = current(plan);
	struct os_process *child = plan->guest->processes;
	struct os_made made = {0};

	while (child < plan->guest->processes + OS_PROCESSES && child->alive)
		child++;
	if (child == plan->guest->processes + OS_PROCESSES || plan->guest->n_free < 24 ||
		!os_new_root(plan, &child->root))
		return;
	made.gfn[0][paging_rows[plan->guest->mode].levels] = child->root;
	made.gfn[1][paging_rows[plan->guest->mode].levels] = child->root;
	child->alive = true;
	child->fresh = true;
	memcpy(child->pages, parent->pages, sizeof(child->pages));
	for (unsigned page = 0; page < OS_PAGES; page++) {
		uint64_t entry = os_page_entry(plan, parent->root, page);
		uint64_t gva = os_page_gva(plan->guest, page);
		uint64_t gpa;

		if (!(entry & X86_PTE_P) || !os_find_entry(plan, parent->root, gva, &gpa))
			continue;
		if (entry & X86_PTE_W)
			os_store_entry(plan, gpa, entry & ~X86_PTE_W);
		if (os_set_entry(plan, child->root, page,
			    entry & ~(X86_PTE_W | X86_PTE_A | X86_PTE_D), &made))
			plan->guest->shares[(entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT]++;
	}
	load_cr3(plan, parent, false);
}

/* ---- memory of the current process ---- */

static void plan_touch(struct os_plan *plan)
{
	struct os_process *process = current(plan);
	unsigned page = rng_below(plan->rng, OS_PAGES);
	struct step *step;

	if (!process->pages[page].mapped) {
		process->pages[page].mapped = true;
		process->pages[page].writable = rng_percent(plan->rng, 85);
		process->pages[page].key = 0;
		if (plan->guest->cr4 & X86_CR4_PKE)
			process->pages[page].key = (uint64_t)rng_below(plan->rng, 4)
						   << X86_PTE_PK_SHIFT;
	}
	step = queue_add(plan->queue, rng_percent(plan->rng, 50) ? STEP_STORE : STEP_LOAD, 0);
	step->gva = os_page_gva(plan->guest, page) + rng_below(plan->rng, 8) * 8;
	step->bytes = 8;
	step->value = rng_u64(plan->rng);
	step->cpl = 3;
	plan->guest->waiting = true;
	plan->guest->handled = 0;
	plan->guest->access = *step;
}

/* Put the frame @gfn into the entry of @page, with a new entry's rights. */
static bool set_page(struct os_plan *plan, unsigned page, uint64_t gfn, struct os_made *made)
{
	struct os_process *process = current(plan);
	const struct os_page *what = &process->pages[page];

	return os_set_entry(plan, process->root, page,
		gfn << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_U | what->key |
			(what->writable ? X86_PTE_W : 0),
		made);
}

/* The page fault handler: give a page, copy it, allow the write; or the process was wrong. */
static void handle_fault(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	struct os_process *process = current(plan);
	uint64_t gva = guest->access.gva & ~(uint64_t)(X86_PAGE_SIZE - 1);
	unsigned page = os_page_at(guest, gva);
	bool write = guest->access.kind == STEP_STORE;
	uint64_t entry = os_page_entry(plan, process->root, page);
	uint64_t old = (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	struct os_made made = {0};
	uint64_t gfn = old;

	guest->waiting = false;
	if ((write && !process->pages[page].writable) || guest->handled++ > 2 ||
		(plan->machine->last.error_code & X86_PF_PK))
		return;
	if ((!(entry & X86_PTE_P) || guest->shares[old] > 1) && !os_take_frame(plan, &gfn))
		return;
	if (gfn != old || !(entry & X86_PTE_P)) {
		guest->shares[gfn] = 1;
		os_store(plan, gfn << X86_PAGE_SHIFT, rng_u64(plan->rng), 8);
		if (entry & X86_PTE_P)
			guest->shares[old]--;
	}
	if ((entry & X86_PTE_P) && gfn != old && rng_percent(plan->rng, 70)) {
		os_set_entry(plan, process->root, page, 0, &made);
		invlpg(plan, gva);
	}
	if (!set_page(plan, page, gfn, &made))
		return;
	if (entry & X86_PTE_P)
		invlpg(plan, gva);
	/* A new PDPTE is not seen before it is loaded. */
	if (guest->mode == PAGING_PAE && made.gfn[page >= OS_AREA_PAGES][2])
		load_cr3(plan, process, false);
	*queue_add(plan->queue, guest->access.kind, 0) = guest->access;
	guest->waiting = true;
}

static void plan_unmap(struct os_plan *plan)
{
	unsigned first = rng_below(plan->rng, OS_PAGES);
	unsigned n_pages = 1 + rng_below(plan->rng, 8);

	for (unsigned page = first; page < OS_PAGES && page < first + n_pages; page++) {
		unmap_page(plan, current(plan), page);
		if (n_pages < 5)
			invlpg(plan, os_page_gva(plan->guest, page));
	}
	if (n_pages >= 5)
		load_cr3(plan, current(plan), false);
}

static void plan_protect(struct os_plan *plan)
{
	struct os_process *process = current(plan);
	unsigned first = rng_below(plan->rng, OS_PAGES);
	bool writable = rng_percent(plan->rng, 60);

	for (unsigned page = first; page < OS_PAGES && page < first + 6; page++) {
		uint64_t gpa;
		uint64_t entry;

		process->pages[page].writable = writable;
		if (!os_find_entry(plan, process->root, os_page_gva(plan->guest, page), &gpa))
			continue;
		entry = os_entry(plan, gpa);
		if (!(entry & X86_PTE_P) || writable)
			continue;
		os_store(plan, gpa, (uint8_t)(entry & ~X86_PTE_W), 1);
		invlpg(plan, os_page_gva(plan->guest, page));
	}
}

/* The swapper looks for unused pages: accessed bits are cleared by byte stores, mostly unflushed.
 */
static void plan_scan(struct os_plan *plan)
{
	struct os_process *process = current(plan);
	bool dirty_too = rng_percent(plan->rng, 30);
	uint64_t clear = X86_PTE_A | (dirty_too ? X86_PTE_D : 0);

	for (unsigned page = 0; page < OS_PAGES; page++) {
		uint64_t gpa;
		uint64_t entry;

		if (!os_find_entry(plan, process->root, os_page_gva(plan->guest, page), &gpa))
			continue;
		entry = os_entry(plan, gpa);
		if ((entry & X86_PTE_P) && (entry & clear))
			os_store(plan, gpa, (uint8_t)(entry & ~clear), 1);
	}
	if (dirty_too || rng_percent(plan->rng, 30))
		load_cr3(plan, process, false);
}

/* The kernel writes a former table or a free frame as data. */
static void plan_reuse(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	uint64_t gpa = guest->free_frames[guest->n_free - 1] << X86_PAGE_SHIFT;

	for (unsigned i = 0; i < 24; i++)
		os_store(plan, gpa + i * 8, rng_percent(plan->rng, 50) ? 0 : rng_u64(plan->rng), 8);
}

/* The process changes what its keys deny. */
static void plan_keys(struct os_plan *plan)
{
	uint64_t pkru = 0;

	for (unsigned key = 1; key < 4; key++)
		pkru |= rng_percent(plan->rng, 30) ? (1ull + rng_below(plan->rng, 2)) << 2 * key
						   : 0;
	queue_add(plan->queue, STEP_PKRU, 0)->value = pkru;
}

/* ---- life ---- */

static enum paging pick_mode(const struct os_plan *plan)
{
	switch (plan->guest->config_mode) {
	case LAB_MODE_2LEVEL:
		return PAGING_2LEVEL;
	case LAB_MODE_PAE:
		return PAGING_PAE;
	case LAB_MODE_5LEVEL:
		return PAGING_5LEVEL;
	case LAB_MODE_MIXED:
		return (enum paging)(PAGING_2LEVEL + rng_below(plan->rng, 4));
	default:
		return PAGING_4LEVEL;
	}
}

/* Load the kernel and switch paging on; before that off, if a kernel of another mode ran. */
static void boot(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	struct step *step;

	step = queue_add(plan->queue, STEP_REGS, 0);
	step->cr0 = X86_CR0_PE | X86_CR0_ET;
	guest->mode = pick_mode(plan);
	guest->layout = &layouts[guest->mode];
	guest->cr4 = X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP |
		     (guest->mode == PAGING_2LEVEL ? X86_CR4_PSE : X86_CR4_PAE);
	if (guest->mode == PAGING_5LEVEL)
		guest->cr4 |= X86_CR4_LA57;
	if (paging_is_long(guest->mode))
		guest->cr4 |= (rng_percent(plan->rng, 50) ? X86_CR4_PCIDE : 0) |
			      (rng_percent(plan->rng, 50) ? X86_CR4_PKE : 0) |
			      (rng_percent(plan->rng, 30) ? X86_CR4_PKS : 0);
	memset(guest->processes, 0, sizeof(guest->processes));
	guest->current = 0;
	guest->processes[0].alive = true;
	guest->processes[0].fresh = true;
	guest->processes[0].root = os_load_kernel(plan);
	step = queue_add(plan->queue, STEP_REGS, 0);
	step->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_WP | X86_CR0_PG;
	step->cr3 = guest->processes[0].root << X86_PAGE_SHIFT;
	step->cr4 = guest->cr4;
	step->efer = X86_EFER_NXE;
	if (paging_is_long(guest->mode))
		step->efer |= X86_EFER_LME | X86_EFER_LMA;
	load_cr3(plan, current(plan), false);
	queue_add(plan->queue, STEP_PKRU, 0)->value = 0;
	guest->booted = true;
}

struct os_guest *os_guest_create(const struct lab_config *config)
{
	struct os_guest *guest = calloc(1, sizeof(*guest));

	if (!guest) {
		fprintf(stderr, "umbra-lab: out of memory (%zu bytes)\n", sizeof(*guest));
		exit(1);
	}
	guest->config_mode = config->mode;
	return guest;
}

/* Something that happens less than once in two hundred plans. */
static void plan_rare(struct os_plan *plan)
{
	if (plan->guest->cr4 & X86_CR4_PKE)
		plan_keys(plan);
	if (plan->guest->config_mode == LAB_MODE_MIXED && rng_percent(plan->rng, 20))
		boot(plan);
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
		unsigned choice = rng_below(rng, 200);

		if (!guest->booted)
			boot(&plan);
		else if (choice < 158)
			plan_touch(&plan);
		else if (choice < 175)
			plan_switch(&plan);
		else if (choice < 182)
			plan_fork(&plan);
		else if (choice < 186)
			plan_exit(&plan);
		else if (choice < 190)
			plan_unmap(&plan);
		else if (choice < 194)
			plan_protect(&plan);
		else if (choice < 196)
			plan_scan(&plan);
		else if (choice < 198)
			plan_rare(&plan);
		else
			plan_reuse(&plan);
	}
}
