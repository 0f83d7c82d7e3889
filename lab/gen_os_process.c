/* SPDX-License-Identifier: MIT */
/*
 * The little operating system's processes: switches, fork, exit, and what they do to their
 * mappings. Whoever takes something away flushes it wherever it may be cached.
 */
#include "lab/gen_os.h"

#include "x86/x86.h"

#include <string.h>

#define CR3_NO_FLUSH (1ull << 63)

struct os_process *os_current(struct os_plan *plan)
{
	return &plan->guest->processes[plan->guest->current[plan->vcpu]];
}

void os_invlpg(struct os_plan *plan, uint64_t gva)
{
	for (unsigned i = 0; i < plan->guest->n_vcpus; i++)
		queue_add(plan->queue, STEP_INVLPG, i)->gva = gva;
}

static void load_on(struct os_plan *plan, unsigned vcpu, struct os_process *process, bool keep)
{
	struct os_guest *guest = plan->guest;
	uint64_t value = process->root << X86_PAGE_SHIFT;

	if (guest->cr4 & X86_CR4_PCIDE) {
		value |= (uint64_t)(process - guest->processes) + 1;
		value |= keep && !(process->fresh & 1u << vcpu) ? CR3_NO_FLUSH : 0;
	}
	process->fresh &= ~(1u << vcpu);
	queue_add(plan->queue, STEP_CR3, vcpu)->value = value;
}

void os_load_cr3(struct os_plan *plan, struct os_process *process, bool keep)
{
	load_on(plan, plan->vcpu, process, keep);
}

void os_flush_process(struct os_plan *plan, struct os_process *process)
{
	struct os_guest *guest = plan->guest;

	process->fresh = ~0u;
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		if (&guest->processes[guest->current[i]] == process)
			load_on(plan, i, process, false);
}

static void unmap_page(struct os_plan *plan, struct os_process *process, unsigned page)
{
	uint64_t gpa;
	uint64_t entry;

	process->pages[page].mapped = false;
	if (!os_find_entry(plan, process->root, os_page_gva(plan->guest, page), 1, &gpa))
		return;
	entry = os_entry(plan, gpa);
	if (!(entry & X86_PTE_P))
		return;
	os_store_entry(plan, gpa, 0);
	if (--plan->guest->shares[os_gfn(entry)] == 0)
		os_give_frame(plan, os_gfn(entry));
}

/* A living process that this vCPU does not run, or the one it does. */
static unsigned other_process(struct os_plan *plan)
{
	const struct os_guest *guest = plan->guest;
	unsigned own = guest->current[plan->vcpu];
	unsigned start = rng_below(plan->rng, guest->n_processes);

	for (unsigned i = 0; i < guest->n_processes; i++) {
		unsigned candidate = (start + i) % guest->n_processes;

		if (candidate != own && guest->processes[candidate].alive)
			return candidate;
	}
	return own;
}

void os_switch(struct os_plan *plan)
{
	plan->guest->current[plan->vcpu] = other_process(plan);
	os_load_cr3(plan, os_current(plan), rng_percent(plan->rng, 75));
}

void os_reload(struct os_plan *plan)
{
	os_load_cr3(plan, os_current(plan), false);
}

/* Another process goes on. The last one stays, and one that runs elsewhere too. */
void os_exit(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	struct os_process *dying = os_current(plan);
	unsigned own = guest->current[plan->vcpu];
	unsigned next = other_process(plan);

	for (unsigned i = 0; i < guest->n_vcpus; i++)
		if (i != plan->vcpu && guest->current[i] == own)
			return;
	if (next == own)
		return;
	for (unsigned page = 0; page < OS_PAGES; page++)
		unmap_page(plan, dying, page);
	guest->current[plan->vcpu] = next;
	os_load_cr3(plan, os_current(plan), true);
	os_free_root(plan, dying->root);
	dying->alive = false;
}

static struct os_process *free_process(struct os_guest *guest)
{
	for (unsigned i = 0; i < guest->n_processes; i++)
		if (!guest->processes[i].alive)
			return &guest->processes[i];
	return NULL;
}

/* Copy the tables; both sides lose the right to write what is private. */
void os_fork(struct os_plan *plan)
{
	struct os_process *parent = os_current(plan);
	struct os_process *child = free_process(plan->guest);
	struct os_made made = {0};

	if (!child || plan->guest->n_free < 24 || !os_new_root(plan, &child->root))
		return;
	made.gfn[0][paging_rows[plan->guest->mode].levels] = child->root;
	made.gfn[1][paging_rows[plan->guest->mode].levels] = child->root;
	child->alive = true;
	child->fresh = ~0u;
	memcpy(child->pages, parent->pages, sizeof(child->pages));
	for (unsigned page = 0; page < OS_PAGES; page++) {
		uint64_t entry = os_page_entry(plan, parent->root, page);
		uint64_t gva = os_page_gva(plan->guest, page);
		uint64_t gpa;

		if (!(entry & X86_PTE_P) || !os_find_entry(plan, parent->root, gva, 1, &gpa))
			continue;
		if (entry & X86_PTE_W)
			os_store_entry(plan, gpa, entry & ~X86_PTE_W);
		if (os_set_entry(plan, child->root, gva,
			    entry & ~(X86_PTE_W | X86_PTE_A | X86_PTE_D), true,
			    made.gfn[page >= OS_AREA_PAGES]))
			plan->guest->shares[os_gfn(entry)]++;
	}
	os_flush_process(plan, parent);
}

void os_unmap(struct os_plan *plan)
{
	struct os_process *process = os_current(plan);
	unsigned first = rng_below(plan->rng, OS_PAGES);
	unsigned n_pages = 1 + rng_below(plan->rng, 8);

	for (unsigned page = first; page < OS_PAGES && page < first + n_pages; page++) {
		unmap_page(plan, process, page);
		if (n_pages < 5)
			os_invlpg(plan, os_page_gva(plan->guest, page));
	}
	if (n_pages >= 5)
		os_flush_process(plan, process);
}

void os_protect(struct os_plan *plan)
{
	struct os_process *process = os_current(plan);
	unsigned first = rng_below(plan->rng, OS_PAGES);
	bool writable = rng_percent(plan->rng, 60);

	for (unsigned page = first; page < OS_PAGES && page < first + 6; page++) {
		uint64_t gva = os_page_gva(plan->guest, page);
		uint64_t gpa;
		uint64_t entry;

		process->pages[page].writable = writable;
		if (!os_find_entry(plan, process->root, gva, 1, &gpa))
			continue;
		entry = os_entry(plan, gpa);
		if (!(entry & X86_PTE_P) || writable)
			continue;
		os_clear_bits(plan, gpa, entry, X86_PTE_W);
		os_invlpg(plan, gva);
	}
}

/* The swapper looks for unused pages: accessed bits are cleared by byte stores, mostly unflushed.
 */
void os_scan(struct os_plan *plan)
{
	struct os_process *process = os_current(plan);
	bool dirty_too = rng_percent(plan->rng, 30);
	uint64_t clear = X86_PTE_A | (dirty_too ? X86_PTE_D : 0);

	for (unsigned page = 0; page < OS_PAGES; page++) {
		uint64_t gpa;
		uint64_t entry;

		if (!os_find_entry(plan, process->root, os_page_gva(plan->guest, page), 1, &gpa))
			continue;
		entry = os_entry(plan, gpa);
		if ((entry & X86_PTE_P) && (entry & clear))
			os_clear_bits(plan, gpa, entry, clear);
	}
	if (dirty_too || rng_percent(plan->rng, 30))
		os_flush_process(plan, process);
}

void os_invlpg_in_vain(struct os_plan *plan)
{
	for (unsigned i = 1 + rng_below(plan->rng, 4); i > 0; i--)
		os_invlpg(plan, os_page_gva(plan->guest, rng_below(plan->rng, OS_PAGES)));
}

/* No table is in the memory that can be one large page: the embedder gives all up that was one. */
static void unshadow_aligned(struct os_plan *plan)
{
	for (uint64_t gfn = OS_ALIGNED_FIRST; gfn < OS_ALIGNED_END; gfn++)
		queue_add(plan->queue, STEP_UNSHADOW, plan->vcpu)->gpa = gfn << X86_PAGE_SHIFT;
}

void os_move(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	unsigned n_alive = 0;

	for (unsigned i = 0; i < guest->n_processes; i++)
		n_alive += guest->processes[i].alive;
	if (guest->moving == OS_MOVED) {
		/* Its child goes on, whose tables are new. */
		guest->moving = OS_SETTLED;
		os_exit(plan);
		if (!guest->aligned)
			unshadow_aligned(plan);
		return;
	}
	if (guest->moving == OS_SETTLED)
		guest->aligned = rng_percent(plan->rng, 30);
	guest->moving = n_alive > guest->n_vcpus ? OS_ENDING : OS_MOVED;
	if (guest->moving == OS_ENDING)
		os_exit(plan);
	else
		os_fork(plan);
	if (plan->queue->count == 0)
		os_switch(plan);
}
