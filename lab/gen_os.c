/* SPDX-License-Identifier: MIT */
/*
 * The well-behaved guest: a little operating system with processes, demand paging, copy on write,
 * fork, exit, unmapping, accessed-bit scans, kernel mappings that all roots share, and table frames
 * that come back as data. It edits its tables through a direct map of large pages, as Linux does,
 * and flushes what it must (and, for accessed bits, only what it wants to). With PCIDs each process
 * has one; with protection keys each page has one. Owns what happens when.
 */
#include "lab/gen_os.h"

#include "x86/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct os_layout layouts[PAGING_COUNT] = {
	[PAGING_2LEVEL] = {0x400000, 0xb7fd0000, 0xc0000000, 768},
	[PAGING_PAE] = {0x400000, 0xb7fd0000, 0xc0000000, 3},
	[PAGING_4LEVEL] = {0x400000, 0x7ffffffd0000, 0xffff888000000000, 256},
	[PAGING_5LEVEL] = {0x400000, 0xfffffffffd0000, 0xff11000000000000, 256},
};

/* ---- memory of the current process ---- */

/* In a life of which the TLB is watched a process uses no more pages than fit. */
static bool is_small(const struct os_guest *guest)
{
	return guest->life > LAB_LIFE_LARGE;
}

/* Half of all accesses go to a few pages. */
static unsigned pick_page(struct os_plan *plan)
{
	return is_small(plan->guest) || rng_percent(plan->rng, 50) ? rng_below(plan->rng, 4) * 9
								   : rng_below(plan->rng, OS_PAGES);
}

static void plan_touch(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	struct os_process *process = os_current(plan);
	unsigned number = pick_page(plan);
	struct os_page *page = &process->pages[number];
	struct step *step;

	if (!page->mapped) {
		page->mapped = true;
		page->writable = is_small(guest) || rng_percent(plan->rng, 85);
		page->key = 0;
		if (guest->cr4 & X86_CR4_PKE)
			page->key = (uint64_t)rng_below(plan->rng, 4) << X86_PTE_PK_SHIFT;
	}
	step = queue_add(
		plan->queue, rng_percent(plan->rng, 50) ? STEP_STORE : STEP_LOAD, plan->vcpu);
	step->gva = os_page_gva(guest, number) + rng_below(plan->rng, 8) * 8;
	step->bytes = 8;
	step->value = rng_u64(plan->rng);
	step->cpl = 3;
	guest->waiting = true;
	guest->handled = 0;
	guest->access = *step;
}

/* Put the frame @gfn into the entry of @page, with a new entry's rights. */
static bool set_page(struct os_plan *plan, unsigned page, uint64_t gfn, struct os_made *made)
{
	struct os_process *process = os_current(plan);
	const struct os_page *what = &process->pages[page];

	return os_set_entry(plan, process->root, os_page_gva(plan->guest, page),
		gfn << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_U | what->key |
			(what->writable ? X86_PTE_W : 0),
		true, made->gfn[page >= OS_AREA_PAGES]);
}

/* The page fault handler: give a page, copy it, allow the write; or the process was wrong. */
static void handle_fault(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	struct os_process *process = os_current(plan);
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
	if ((!(entry & X86_PTE_P) || guest->shares[old] > 1) && !os_take_frame(plan, OS_DATA, &gfn))
		return;
	if (gfn != old || !(entry & X86_PTE_P)) {
		guest->shares[gfn] = 1;
		os_store(plan, gfn << X86_PAGE_SHIFT, rng_u64(plan->rng), 8);
		if (entry & X86_PTE_P)
			guest->shares[old]--;
	}
	if ((entry & X86_PTE_P) && gfn != old && rng_percent(plan->rng, 70)) {
		os_set_entry(plan, process->root, gva, 0, true, made.gfn[page >= OS_AREA_PAGES]);
		os_invlpg(plan, gva);
	}
	if (!set_page(plan, page, gfn, &made))
		return;
	if (entry & X86_PTE_P)
		os_invlpg(plan, gva);
	/* A new PDPTE is not seen before it is loaded. */
	if (guest->mode == PAGING_PAE && made.gfn[page >= OS_AREA_PAGES][2])
		os_flush_process(plan, process);
	*queue_add(plan->queue, guest->access.kind, plan->vcpu) = guest->access;
	guest->waiting = true;
}

/* The kernel writes a former table or a free frame as data. */
static void plan_reuse(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	unsigned which = rng_percent(plan->rng, 50) ? 1 : 1 + rng_below(plan->rng, guest->n_free);
	uint64_t gpa = guest->free_frames[guest->n_free - which] << X86_PAGE_SHIFT;

	unsigned n_bytes = 8u << rng_below(plan->rng, 4);

	for (unsigned i = 0; i < 24; i++)
		os_store(plan, gpa + i * n_bytes,
			rng_percent(plan->rng, 50) ? 0 : rng_u64(plan->rng), n_bytes);
}

/* Somebody outside begins or ceases to be told of stores into a table of the process, or into
 * another frame. Nobody drops them: this guest relies on its memory. */
static void plan_track(struct os_plan *plan)
{
	static const enum track_manner manners[] = {
		TRACK_STORE, TRACK_STORE, TRACK_STORE, TRACK_STOP, TRACK_STOP_SOME};
	struct os_guest *guest = plan->guest;
	bool begins = rng_percent(plan->rng, 50);
	unsigned page = rng_below(plan->rng, OS_PAGES);
	unsigned level = 1 + rng_below(plan->rng, paging_rows[guest->mode].levels);
	struct step *step = queue_add(plan->queue, begins ? STEP_TRACK : STEP_UNTRACK, plan->vcpu);
	uint64_t gpa;

	step->value = rng_below(plan->rng, TRACK_WATCHES);
	if (!begins)
		return;
	step->type = manners[rng_below(plan->rng, 5)] * 2 + rng_below(plan->rng, 2);
	if (rng_percent(plan->rng, 30) ||
		!os_find_entry(plan, os_current(plan)->root, os_page_gva(guest, page), level, &gpa))
		gpa = guest->free_frames[rng_below(plan->rng, guest->n_free)] << X86_PAGE_SHIFT;
	step->gpa = gpa & ~(X86_PAGE_SIZE - 1ull);
}

/* The process changes what its keys deny. */
static void plan_keys(struct os_plan *plan)
{
	uint64_t pkru = 0;

	for (unsigned key = 1; key < 4; key++)
		pkru |= rng_percent(plan->rng, 30) ? (1ull + rng_below(plan->rng, 2)) << 2 * key
						   : 0;
	queue_add(plan->queue, STEP_PKRU, plan->vcpu)->value = pkru;
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

/* What the control registers of this kernel are. */
static void pick_registers(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;

	guest->mode = pick_mode(plan);
	guest->layout = &layouts[guest->mode];
	guest->cr4 = X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP |
		     (guest->mode == PAGING_2LEVEL ? X86_CR4_PSE : X86_CR4_PAE);
	guest->efer = X86_EFER_NXE | (rng_percent(plan->rng, 40) ? X86_EFER_TCE : 0);
	if (guest->mode == PAGING_5LEVEL)
		guest->cr4 |= X86_CR4_LA57;
	if (!paging_is_long(guest->mode))
		return;
	guest->efer |= X86_EFER_LME | X86_EFER_LMA;
	guest->cr4 |= (rng_percent(plan->rng, 50) ? X86_CR4_PCIDE : 0) |
		      (rng_percent(plan->rng, 50) ? X86_CR4_PKE : 0) |
		      (rng_percent(plan->rng, 30) ? X86_CR4_PKS : 0);
}

/* Load the kernel and switch paging on; before that off, if a kernel of another mode ran. */
static void boot(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	struct step *step;

	for (unsigned i = 0; i < guest->n_vcpus; i++)
		queue_add(plan->queue, STEP_REGS, i)->cr0 = X86_CR0_PE | X86_CR0_ET;
	pick_registers(plan);
	memset(guest->processes, 0, sizeof(guest->processes));
	memset(guest->current, 0, sizeof(guest->current));
	guest->processes[0].alive = true;
	guest->processes[0].root = os_load_kernel(plan);
	for (unsigned i = 0; i < guest->n_vcpus; i++) {
		step = queue_add(plan->queue, STEP_REGS, i);
		step->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_WP | X86_CR0_PG;
		step->cr3 = guest->processes[0].root << X86_PAGE_SHIFT;
		step->cr4 = guest->cr4;
		step->efer = guest->efer;
		queue_add(plan->queue, STEP_PKRU, i)->value = 0;
	}
	os_flush_process(plan, &guest->processes[0]);
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
	guest->life = config->life;
	guest->n_vcpus = config->vcpus;
	guest->n_processes = config->life == LAB_LIFE_CROWD ? OS_PROCESSES : 5;
	return guest;
}

/* What happens a few times in a thousand plans. */
static void plan_rare(struct os_plan *plan)
{
	if (plan->guest->cr4 & X86_CR4_PKE)
		plan_keys(plan);
	if (plan->guest->config_mode == LAB_MODE_MIXED && rng_percent(plan->rng, 20))
		boot(plan);
}

/* What there is to do, and how often in each kind of life. */
static const struct {
	void (*plan)(struct os_plan *plan);
	unsigned weights[LAB_LIFE_COUNT];
} doings[] = {
	/* all, crowd, large, switch, reload, invlpg */
	{plan_touch, {720, 600, 400, 900, 900, 900}},
	{os_switch, {85, 180, 60, 90, 0, 0}},
	{os_reload, {5, 0, 300, 0, 90, 0}},
	{os_invlpg_in_vain, {5, 0, 0, 0, 0, 90}},
	{os_fork, {35, 60, 20, 10, 0, 0}},
	{os_exit, {20, 10, 10, 0, 0, 0}},
	{os_unmap, {20, 5, 5, 0, 0, 0}},
	{os_protect, {20, 5, 5, 0, 0, 0}},
	{os_scan, {10, 5, 5, 0, 0, 0}},
	{os_kernel, {60, 120, 20, 0, 0, 0}},
	{os_direct, {5, 5, 6, 0, 0, 0}},
	{os_move, {2, 1, 4, 0, 0, 0}},
	{plan_reuse, {15, 10, 20, 0, 0, 0}},
	{plan_rare, {10, 5, 5, 0, 0, 0}},
	{plan_track, {6, 4, 6, 0, 0, 0}},
};

#define N_DOINGS (sizeof(doings) / sizeof(doings[0]))

static void do_something(struct os_plan *plan)
{
	enum lab_life life = plan->guest->life;
	unsigned total = 0;
	unsigned choice;
	unsigned i = 0;

	for (unsigned j = 0; j < N_DOINGS; j++)
		total += doings[j].weights[life];
	choice = rng_below(plan->rng, total);
	while (choice >= doings[i].weights[life])
		choice -= doings[i++].weights[life];
	doings[i].plan(plan);
}

void os_guest_plan(
	struct os_guest *guest, const struct machine *machine, struct rng *rng, struct queue *queue)
{
	struct os_plan plan = {guest, machine, rng, queue, guest->access.vcpu};

	if (guest->waiting && machine->last.seen == MACHINE_SEEN_FAULT)
		handle_fault(&plan);
	else
		guest->waiting = false;
	while (queue->count == 0) {
		plan.vcpu = rng_below(rng, guest->n_vcpus);
		if (!guest->booted)
			boot(&plan);
		else if (guest->moving != OS_SETTLED && rng_percent(rng, 30))
			os_move(&plan);
		else
			do_something(&plan);
	}
}
