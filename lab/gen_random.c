/* SPDX-License-Identifier: MIT */
/*
 * The adversarial guest: random tables over few frames, so that they share, alias data, map
 * themselves and loop, and random edits, flushes and accesses on them. Owns its choice of frames
 * and addresses; what the choices lead to is for the model to judge.
 */
#include "lab/gen_entry.h"
#include "lab/gen_guest.h"

#include "x86/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_INDICES   6u /* indices in use, the same at every level: addresses meet often */
#define N_RECENT    16u
#define WINDOW_SLOT 0x111u /* root index of the window through which the guest edits its tables */

/* Tables of the window: one per level below the root's, mapping the low frames and some others. */
static const uint64_t window_gfns[4] = {[3] = 0x1d, [2] = 0x1e, [1] = 0x1f};

struct random_guest {
	enum lab_mode mode;
	unsigned vcpus;
	bool booted;
	unsigned luck; /* of late accesses that reached memory, per 256 */
	unsigned indices[N_INDICES];
	uint64_t recent[N_RECENT];
};

/* What the guest has at hand while it plans. */
struct plan {
	struct random_guest *guest;
	const struct machine *machine;
	struct rng *rng;
	struct queue *queue;
	unsigned vcpu;
};

static unsigned pick_index(struct plan *plan)
{
	if (rng_percent(plan->rng, 3))
		return rng_below(plan->rng, 512);
	return plan->guest->indices[rng_below(plan->rng, N_INDICES)];
}

static bool paged(const struct plan *plan)
{
	return plan->machine->vcpus[plan->vcpu].regs.cr0 & X86_CR0_PG;
}

static uint64_t window_gva(uint64_t gpa)
{
	return gen_canonical((uint64_t)WINDOW_SLOT << 39 | (gpa & 0x7fffffff));
}

/* Where the four entries that translate @gva are now, from the root's down; returns how many. */
static unsigned entry_path(const struct plan *plan, uint64_t gva, uint64_t *gpas)
{
	uint64_t table = plan->machine->vcpus[plan->vcpu].regs.cr3;

	for (unsigned level = 4; level >= 1; level--) {
		uint64_t index = gva >> (12 + 9 * (level - 1)) & 511;
		uint64_t entry;

		gpas[4 - level] = (table & X86_PTE_FRAME) + index * 8;
		entry = gen_word(plan->machine, gpas[4 - level]);
		if (!(entry & X86_PTE_P) || (level < 4 && (entry & X86_PTE_PS)))
			return 5 - level;
		table = entry;
	}
	return 4;
}

/* A page of the indices in use: mapped to memory, if a few tries find such a one. */
static uint64_t pick_page(struct plan *plan)
{
	uint64_t gva = 0;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t gpas[4];
		uint64_t entry;

		gva = gen_canonical(
			(uint64_t)pick_index(plan) << 39 | (uint64_t)pick_index(plan) << 30 |
			(uint64_t)pick_index(plan) << 21 | (uint64_t)pick_index(plan) << 12);
		entry = gen_word(plan->machine, gpas[entry_path(plan, gva, gpas) - 1]);
		if ((entry & X86_PTE_P) && memory_range_of(entry & X86_PTE_FRAME))
			break;
	}
	return gva;
}

static uint64_t pick_gva(struct plan *plan)
{
	struct rng *rng = plan->rng;
	uint64_t *recent = &plan->guest->recent[rng_below(rng, N_RECENT)];

	if (!paged(plan))
		return (entry_gfn(rng) << X86_PAGE_SHIFT | rng_below(rng, 4096)) & 0xffffffff;
	if (rng_percent(rng, 12))
		return window_gva(entry_table(rng, rng_below(rng, 5)) << X86_PAGE_SHIFT |
				  rng_below(rng, 512) * 8);
	if (rng_percent(rng, 50))
		*recent = pick_page(plan);
	return *recent | (rng_percent(rng, 60) ? pick_index(plan) * 8 : rng_below(rng, 4096));
}

/* Give @step an operand within its page at or around @gva. */
static void set_operand(struct plan *plan, struct step *step, uint64_t gva)
{
	step->bytes = rng_percent(plan->rng, 60) ? 8 : 1ull << rng_below(plan->rng, 4);
	if (rng_percent(plan->rng, 85))
		gva &= ~(step->bytes - 1);
	if (gva % X86_PAGE_SIZE + step->bytes > X86_PAGE_SIZE)
		gva -= step->bytes;
	step->gva = gva;
}

static void plan_access(struct plan *plan)
{
	static const enum step_kind access_kinds[] = {
		STEP_LOAD, STEP_LOAD, STEP_LOAD, STEP_STORE, STEP_STORE, STEP_STORE, STEP_FETCH};
	struct rng *rng = plan->rng;
	struct step *step = queue_add(plan->queue, access_kinds[rng_below(rng, 7)], plan->vcpu);

	step->cpl = rng_percent(rng, 50) ? 3 : rng_percent(rng, 95) ? 0 : 1 + rng_below(rng, 2);
	step->implicit = step->cpl == 3 && step->kind != STEP_FETCH && rng_percent(rng, 8);
	step->ac = rng_percent(rng, 40);
	step->value =
		rng_percent(rng, 60) ? entry_pick(rng, 1 + rng_below(rng, 4)) : rng_below(rng, 2);
	set_operand(plan, step, pick_gva(plan));
}

/* A flush, at best the one that a change at @gva needs. */
static void plan_flush(struct plan *plan, uint64_t gva)
{
	const struct umbra_paging_regs *regs = &plan->machine->vcpus[plan->vcpu].regs;
	struct rng *rng = plan->rng;
	unsigned choice = rng_below(rng, 100);
	struct step *step;

	if (choice < 50) {
		step = queue_add(plan->queue, STEP_INVLPG, plan->vcpu);
		step->gva = rng_percent(rng, 85) ? gva : pick_gva(plan);
		if (paged(plan))
			step->gva = gen_canonical(step->gva);
	} else if (choice < 90) {
		step = queue_add(plan->queue, STEP_CR3, plan->vcpu);
		step->value = rng_percent(rng, 50) ? regs->cr3
						   : entry_nth_table(4, rng_below(rng, ENTRY_ROOTS))
							     << X86_PAGE_SHIFT;
		if (rng_percent(rng, 3))
			step->value = entry_gfn(rng) << X86_PAGE_SHIFT;
		step->value |= entry_maybe(rng, 3, X86_CR3_PWT) | entry_maybe(rng, 1, 1ull << 45);
	} else {
		for (unsigned i = 0; i < 2; i++) {
			step = queue_add(plan->queue, STEP_REGS, plan->vcpu);
			step->cr0 = regs->cr0;
			step->cr3 = regs->cr3;
			step->cr4 = i ? regs->cr4 : regs->cr4 ^ X86_CR4_PGE;
			step->efer = regs->efer;
		}
	}
}

/* Where the window shows @gpa; only what it maps can be edited there. */
static void plan_edit_store(struct plan *plan, uint64_t gpa, uint64_t value)
{
	struct rng *rng = plan->rng;
	unsigned n_bytes = rng_percent(rng, 75) ? 8 : 1u << rng_below(rng, 4);
	unsigned offset = n_bytes == 8 ? 0 : rng_below(rng, 8 / n_bytes) * n_bytes;
	struct step *step;

	/* Now and then parts of two entries at once. */
	if (rng_percent(rng, 3) && gpa % X86_PAGE_SIZE < X86_PAGE_SIZE - 8) {
		n_bytes = 8;
		offset = 1 + rng_below(rng, 7);
	}
	if (rng_percent(rng, 10)) {
		step = queue_add(plan->queue, STEP_POKE, plan->vcpu);
		step->gpa = gpa + offset;
	} else {
		step = queue_add(plan->queue, STEP_STORE, plan->vcpu);
		step->gva = (paged(plan) ? window_gva(gpa) : gpa & 0xffffffff) + offset;
		step->ac = true;
	}
	step->bytes = n_bytes;
	step->value = value >> (8 * offset);
}

/* An access to some byte of the page of @gva, mostly an allowed one. */
static void plan_touch(struct plan *plan, uint64_t gva)
{
	struct rng *rng = plan->rng;
	struct step *step =
		queue_add(plan->queue, rng_percent(rng, 50) ? STEP_LOAD : STEP_STORE, plan->vcpu);

	step->cpl = rng_percent(rng, 60) ? 3 : 0;
	step->ac = rng_percent(rng, 80);
	step->value = rng_u64(rng);
	set_operand(plan, step, (gva & ~0xfffull) + rng_below(rng, 4096));
}

static void plan_edit(struct plan *plan)
{
	struct rng *rng = plan->rng;
	uint64_t gva = plan->guest->recent[rng_below(rng, N_RECENT)];
	uint64_t gpas[4];
	unsigned n = entry_path(plan, gva, gpas);
	unsigned depth = rng_percent(rng, 60) ? n - 1 : rng_below(rng, n);
	uint64_t entry = gen_word(plan->machine, gpas[depth]);

	plan_edit_store(plan, gpas[depth], entry_edited(rng, entry, 4 - depth));
	if (rng_percent(rng, 65))
		plan_flush(plan, gva);
	for (unsigned i = rng_below(rng, 3); i > 0; i--)
		plan_touch(plan, gva);
}

/* Another address that shares most of the way with @gva, or its large page. */
static uint64_t neighbour(struct plan *plan, uint64_t gva)
{
	unsigned shift = 12 + 9 * rng_below(plan->rng, 4);

	if (rng_percent(plan->rng, 40))
		return gva ^ (uint64_t)rng_below(plan->rng, 512) << 12;
	return gen_canonical((gva & ~(511ull << shift)) | (uint64_t)pick_index(plan) << shift);
}

/*
 * Changes at all levels of the way to one address as it was at first, in all orders with accesses
 * and flushes: what was cut off goes on changing, and must not be seen any more.
 */
static void plan_storm(struct plan *plan)
{
	struct rng *rng = plan->rng;
	uint64_t gva = pick_page(plan);
	uint64_t gpas[4];
	unsigned n = entry_path(plan, gva, gpas);

	for (unsigned i = 4 + rng_below(rng, 10); i > 0; i--) {
		unsigned choice = rng_below(rng, 100);
		unsigned depth = rng_below(rng, n);

		if (choice < 40)
			plan_edit_store(plan, gpas[depth],
				entry_edited(rng, gen_word(plan->machine, gpas[depth]), 4 - depth));
		else if (choice < 65)
			plan_touch(plan, gva);
		else if (choice < 80)
			plan_touch(plan, neighbour(plan, gva));
		else if (choice < 84)
			queue_add(plan->queue, STEP_SPECULATE, plan->vcpu)->gva = gva;
		else
			plan_flush(plan, rng_percent(rng, 60) ? gva : neighbour(plan, gva));
	}
}

/* A former table becomes data, or data a table, by a run of stores. */
static void plan_memset(struct plan *plan)
{
	struct rng *rng = plan->rng;
	uint64_t gpa = entry_table(rng, 1 + rng_below(rng, 4)) << X86_PAGE_SHIFT;
	bool entries = rng_percent(rng, 50);
	unsigned level = 1 + rng_below(rng, 4);
	unsigned start = pick_index(plan);

	for (unsigned i = start; i < 512 && i < start + 24; i++)
		plan_edit_store(plan, gpa + i * 8, entries ? entry_pick(rng, level) : 0);
}

static void fill_regs(struct plan *plan, struct step *step)
{
	struct rng *rng = plan->rng;
	enum lab_mode mode = plan->guest->mode;
	bool on = mode == LAB_MODE_4LEVEL || (mode == LAB_MODE_MIXED && rng_percent(rng, 70));
	bool nx = rng_percent(rng, 85);

	step->cr0 = 0x10 | entry_maybe(rng, 70, X86_CR0_WP);
	step->cr3 = entry_nth_table(4, rng_below(rng, ENTRY_ROOTS)) << X86_PAGE_SHIFT;
	step->cr4 = entry_maybe(rng, 75, X86_CR4_PGE) | entry_maybe(rng, 30, X86_CR4_SMEP) |
		    entry_maybe(rng, 30, X86_CR4_SMAP);
	step->efer = nx ? X86_EFER_NXE : 0;
	if (on) {
		step->cr0 |= X86_CR0_PE | X86_CR0_PG;
		step->cr4 |= X86_CR4_PAE;
		step->efer |= X86_EFER_LME | X86_EFER_LMA;
	} else {
		step->cr0 |= entry_maybe(rng, 70, X86_CR0_PE);
		step->cr4 |= entry_maybe(rng, 50, X86_CR4_PAE);
		step->efer |= entry_maybe(rng, 50, X86_EFER_LME);
	}
}

/* Change one thing of the registers, or all of them. */
static void plan_regs(struct plan *plan)
{
	const struct umbra_paging_regs *regs = &plan->machine->vcpus[plan->vcpu].regs;
	struct rng *rng = plan->rng;
	struct step *step = queue_add(plan->queue, STEP_REGS, plan->vcpu);

	fill_regs(plan, step);
	if (rng_percent(rng, 20))
		return;
	step->cr0 = regs->cr0 ^ entry_maybe(rng, 50, X86_CR0_WP);
	step->cr3 = regs->cr3;
	step->cr4 = regs->cr4 ^
		    (entry_maybe(rng, 20, X86_CR4_SMEP) | entry_maybe(rng, 20, X86_CR4_SMAP) |
			    entry_maybe(rng, 20, X86_CR4_PGE));
	step->efer = regs->efer;
	step->efer ^= entry_maybe(rng, 20, X86_EFER_NXE);
}

static void poke(struct plan *plan, uint64_t gfn, unsigned index, uint64_t value)
{
	struct step *step = queue_add(plan->queue, STEP_POKE, plan->vcpu);

	step->gpa = (gfn << X86_PAGE_SHIFT) + index * 8;
	step->bytes = 8;
	step->value = value;
}

/* The window: low frames one by one, the large pages beyond, the rest absent. */
static void build_window(struct plan *plan)
{
	uint64_t flags = X86_PTE_P | X86_PTE_W | X86_PTE_A;

	for (unsigned i = 0; i < ENTRY_ROOTS; i++)
		poke(plan, entry_nth_table(4, i), WINDOW_SLOT,
			flags | window_gfns[3] << X86_PAGE_SHIFT);
	poke(plan, window_gfns[3], 0, flags | window_gfns[2] << X86_PAGE_SHIFT);
	poke(plan, window_gfns[2], 0, flags | window_gfns[1] << X86_PAGE_SHIFT);
	for (unsigned i = 1; i < 4; i++)
		poke(plan, window_gfns[2], i,
			flags | X86_PTE_PS | (uint64_t)i << 21 |
				entry_maybe(plan->rng, 50, X86_PTE_G));
	for (unsigned i = 0; i < 0x30; i++)
		poke(plan, window_gfns[1], i,
			flags | (uint64_t)i << X86_PAGE_SHIFT |
				entry_maybe(plan->rng, 30, X86_PTE_G | X86_PTE_D));
	poke(plan, window_gfns[1], 0x1f9, flags | 0x1f9ull << X86_PAGE_SHIFT);
}

static void build_tables(struct plan *plan)
{
	for (unsigned level = 4; level >= 1; level--) {
		uint64_t gfn;

		for (unsigned i = 0; (gfn = entry_nth_table(level, i)) != ENTRY_NO_TABLE; i++)
			for (unsigned j = 0; j < N_INDICES; j++)
				poke(plan, gfn, plan->guest->indices[j],
					entry_pick(plan->rng, level));
	}
	build_window(plan);
}

static void boot(struct plan *plan)
{
	static const unsigned candidates[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x110, 0x112, 0x1fe, 0x1ff};
	struct random_guest *guest = plan->guest;

	for (unsigned i = 0; i < N_INDICES; i++)
		guest->indices[i] = candidates[rng_below(plan->rng, 11)];
	build_tables(plan);
	for (unsigned i = 0; i < guest->vcpus; i++) {
		struct step *step = queue_add(plan->queue, STEP_REGS, i);

		fill_regs(plan, step);
	}
	guest->luck = 128;
	guest->booted = true;
}

/* Follow how many accesses reach memory; when next to none do, begin again with fresh tables. */
static void follow_luck(struct plan *plan)
{
	struct random_guest *guest = plan->guest;
	bool lucky = plan->machine->last.seen == MACHINE_SEEN_MEMORY;

	guest->luck = (guest->luck * 31 + (lucky ? 256 : 0)) / 32;
	if (guest->luck > 20)
		return;
	build_tables(plan);
	plan_regs(plan);
	guest->luck = 128;
}

static void plan_rare(struct plan *plan)
{
	static const char *const policies[] = {"", "cache=off", "large=off", "emulate=off",
		"prefetch=8", "replace=fifo", "oos=off", "oos=all"};
	struct rng *rng = plan->rng;
	struct step *step;

	switch (rng_below(rng, 4)) {
	case 0:
		step = queue_add(plan->queue, STEP_UNSHADOW, plan->vcpu);
		step->gpa = entry_gfn(rng) << X86_PAGE_SHIFT;
		break;
	case 1:
		plan_memset(plan);
		break;
	case 2:
		poke(plan, entry_gfn(rng), pick_index(plan),
			entry_pick(rng, 1 + rng_below(rng, 4)));
		break;
	default:
		if (rng_percent(rng, 80))
			break;
		step = queue_add(plan->queue, STEP_POLICY, plan->vcpu);
		snprintf(step->policy, sizeof(step->policy), "%s", policies[rng_below(rng, 8)]);
		break;
	}
}

struct random_guest *random_guest_create(const struct lab_config *config)
{
	struct random_guest *guest = calloc(1, sizeof(*guest));

	if (!guest) {
		fprintf(stderr, "umbra-lab: out of memory (%zu bytes)\n", sizeof(*guest));
		exit(1);
	}
	guest->mode = config->mode;
	guest->vcpus = config->vcpus;
	return guest;
}

void random_guest_plan(struct random_guest *guest, const struct machine *machine, struct rng *rng,
	struct queue *queue)
{
	struct plan plan = {guest, machine, rng, queue, rng_below(rng, guest->vcpus)};
	unsigned choice = rng_below(rng, 100);

	if (!guest->booted) {
		boot(&plan);
		return;
	}
	follow_luck(&plan);
	if (choice < 66) {
		plan_access(&plan);
	} else if (choice < 82) {
		plan_edit(&plan);
	} else if (choice < 86) {
		plan_storm(&plan);
	} else if (choice < 92) {
		plan_flush(&plan, pick_gva(&plan));
	} else if (choice < 95) {
		struct step *step = queue_add(queue, STEP_SPECULATE, plan.vcpu);

		step->gva = pick_gva(&plan);
	} else if (choice < 97) {
		plan_regs(&plan);
	} else {
		plan_rare(&plan);
	}
}
