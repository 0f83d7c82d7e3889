/* SPDX-License-Identifier: MIT */
/*
 * The little operating system's kernel mappings beside the direct map: made, used and taken away in
 * tables that all roots share, whichever process runs. Most are global.
 */
#include "lab/gen_os.h"

#include "x86/x86.h"

#define UNUSED_ENTRY 300u

static void map(struct os_plan *plan, unsigned page)
{
	struct os_guest *guest = plan->guest;
	uint64_t made[6] = {0};
	uint64_t flags = X86_PTE_P | (rng_percent(plan->rng, 80) ? X86_PTE_W : 0) |
			 (rng_percent(plan->rng, 70) ? X86_PTE_G : 0);
	uint64_t gfn;

	if (!os_take_frame(plan, OS_DATA, &gfn))
		return;
	os_store(plan, gfn << X86_PAGE_SHIFT, rng_u64(plan->rng), 8);
	if (os_set_entry(plan, os_current(plan)->root, os_kernel_gva(guest, page),
		    gfn << X86_PAGE_SHIFT | flags, false, made))
		guest->kernel_mapped[page] = true;
	else
		os_give_frame(plan, gfn);
}

/* Global mappings go from every PCID only with CR4.PGE off. */
static void flush_all(struct os_plan *plan)
{
	for (unsigned i = 0; i < plan->guest->n_vcpus; i++) {
		const struct umbra_paging_regs *regs = &plan->machine->vcpus[i].regs;

		for (unsigned on = 0; on < 2; on++) {
			struct step *step = queue_add(plan->queue, STEP_REGS, i);

			step->cr0 = regs->cr0;
			step->cr3 = regs->cr3;
			step->cr4 = on ? regs->cr4 : regs->cr4 & ~(uint64_t)X86_CR4_PGE;
			step->efer = regs->efer;
		}
	}
}

static void unmap(struct os_plan *plan, unsigned page)
{
	uint64_t gpa;

	plan->guest->kernel_mapped[page] = false;
	if (!os_find_entry(plan, os_current(plan)->root, os_kernel_gva(plan->guest, page), 1, &gpa))
		return;
	os_give_frame(plan, os_gfn(os_entry(plan, gpa)));
	os_store_entry(plan, gpa, 0);
}

/* Take some away; each by itself is flushed at once, many together. */
static void unmap_some(struct os_plan *plan)
{
	bool many = rng_percent(plan->rng, 30);

	for (unsigned page = 0; page < OS_KERNEL_PAGES; page++) {
		if (!plan->guest->kernel_mapped[page] || rng_percent(plan->rng, many ? 30 : 85))
			continue;
		unmap(plan, page);
		if (!many)
			os_invlpg(plan, os_kernel_gva(plan->guest, page));
	}
	if (many)
		flush_all(plan);
}

static void protect(struct os_plan *plan, unsigned page)
{
	uint64_t gva = os_kernel_gva(plan->guest, page);
	uint64_t gpa;

	if (!os_find_entry(plan, os_current(plan)->root, gva, 1, &gpa))
		return;
	os_store_entry(plan, gpa, os_entry(plan, gpa) ^ X86_PTE_W);
	os_invlpg(plan, gva);
}

/* An access of the kernel to one of a few frames of the 2M at @gva; if it is a table, to an entry
 * that is never used, which stays not present. */
static void touch_direct(struct os_plan *plan, uint64_t gva)
{
	bool store = rng_percent(plan->rng, 50);
	struct step *step = queue_add(plan->queue, store ? STEP_STORE : STEP_LOAD,
		rng_below(plan->rng, plan->guest->n_vcpus));

	step->gva = gva + ((uint64_t)rng_below(plan->rng, 16) << (X86_PAGE_SHIFT + 5)) +
		    UNUSED_ENTRY * 8;
	step->bytes = 8;
	step->value = rng_u64(plan->rng) & ~(uint64_t)X86_PTE_P;
}

void os_direct(struct os_plan *plan)
{
	struct os_guest *guest = plan->guest;
	uint64_t gva = guest->layout->direct_map + (1u << 21);
	unsigned n = 4 + rng_below(plan->rng, 8);
	uint64_t gpa;
	uint64_t entry;

	if (guest->mode == PAGING_2LEVEL ||
		!os_find_entry(plan, os_current(plan)->root, gva, 2, &gpa))
		return;
	entry = os_entry(plan, gpa);
	for (unsigned i = 0; i < n; i++)
		touch_direct(plan, gva);
	os_store_entry(plan, gpa, entry & ~(rng_percent(plan->rng, 70) ? X86_PTE_W : X86_PTE_P));
	os_invlpg(plan, gva + ((uint64_t)rng_below(plan->rng, 512) << X86_PAGE_SHIFT));
	for (unsigned i = 0; i < n; i++)
		touch_direct(plan, gva);
	os_store_entry(plan, gpa, entry);
	touch_direct(plan, gva);
}

/* Tables on the way to @page with nothing in them go back. In 2-level paging every root has entries
 * of its own for them, so they stay. */
static void free_table(struct os_plan *plan, unsigned page)
{
	struct os_guest *guest = plan->guest;
	uint64_t gva = os_kernel_gva(guest, page);
	unsigned level = paging_is_long(guest->mode) && page >= OS_KERNEL_PAGES / 2 &&
					 rng_percent(plan->rng, 50)
				 ? 3
				 : 2;
	uint64_t mask = ~((1ull << paging_shift(guest->mode, level)) - 1);
	uint64_t gpa;
	uint64_t entry;

	if (guest->mode == PAGING_2LEVEL ||
		!os_find_entry(plan, os_current(plan)->root, gva, level, &gpa))
		return;
	for (unsigned i = 0; i < OS_KERNEL_PAGES; i++)
		if (guest->kernel_mapped[i] && ((os_kernel_gva(guest, i) ^ gva) & mask) == 0)
			return;
	entry = os_entry(plan, gpa);
	if (!(entry & X86_PTE_P))
		return;
	os_store_entry(plan, gpa, 0);
	flush_all(plan);
	os_free_tables(plan, os_gfn(entry), level - 1, 512);
}

static void touch(struct os_plan *plan, unsigned page)
{
	bool store = rng_percent(plan->rng, 50);
	struct step *step = queue_add(plan->queue, store ? STEP_STORE : STEP_LOAD, plan->vcpu);

	step->gva = os_kernel_gva(plan->guest, page) + rng_below(plan->rng, 512) * 8;
	step->bytes = 8;
	step->value = rng_u64(plan->rng);
}

void os_kernel(struct os_plan *plan)
{
	unsigned page = rng_below(plan->rng, OS_KERNEL_PAGES);
	unsigned choice = rng_below(plan->rng, 100);
	bool mapped = plan->guest->kernel_mapped[page];

	if (choice < 20 && !mapped)
		map(plan, page);
	else if (choice < 26)
		unmap_some(plan);
	else if (choice < 30 && mapped)
		protect(plan, page);
	else if (choice < 34)
		free_table(plan, page);
	else
		touch(plan, page);
}
