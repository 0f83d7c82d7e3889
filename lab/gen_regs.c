/* SPDX-License-Identifier: MIT */
/*
 * The random guest's registers: control registers in all combinations, key registers, and the
 * instructions that flush.
 */
#include "lab/gen_random.h"

#include "x86/x86.h"

#define CR3_NO_FLUSH (1ull << 63)

static enum paging pick_mode(struct random_plan *plan)
{
	enum paging mode;

	do {
		mode = (enum paging)rng_below(plan->rng, PAGING_COUNT);
	} while (!random_uses(plan->guest, mode));
	return mode;
}

/* What CR3 holds besides the table: a PCID, or bits that count for little. */
static uint64_t pick_cr3_low(struct random_plan *plan, uint64_t cr4)
{
	static const uint64_t pcids[] = {0, 0, 1, 2, 3, 0xfff};
	struct rng *rng = plan->rng;

	if (cr4 & X86_CR4_PCIDE)
		return pcids[rng_below(rng, 6)];
	return entry_maybe(rng, 3, X86_CR3_PWT) | entry_maybe(rng, 3, X86_CR3_PCD);
}

/* Change one of the bits of which not all combinations are possible. */
static void make_doubtful(struct random_plan *plan, struct step *step)
{
	switch (rng_below(plan->rng, 7)) {
	case 0:
		step->cr0 ^= X86_CR0_PE;
		break;
	case 1:
		step->cr0 ^= X86_CR0_PG;
		break;
	case 2:
		step->cr4 ^= X86_CR4_PAE;
		break;
	case 3:
		step->cr4 ^= X86_CR4_PCIDE;
		break;
	case 4:
		step->efer ^= X86_EFER_LME;
		break;
	case 5:
		step->efer ^= X86_EFER_LMA;
		break;
	default:
		step->cr3 ^= 1ull << (32 + rng_below(plan->rng, 32));
		break;
	}
}

void random_fill_regs(struct random_plan *plan, struct step *step)
{
	struct rng *rng = plan->rng;
	enum paging mode = pick_mode(plan);

	step->cr0 = 0x10 | entry_maybe(rng, 70, X86_CR0_WP);
	step->cr4 = entry_maybe(rng, 75, X86_CR4_PGE) | entry_maybe(rng, 30, X86_CR4_SMEP) |
		    entry_maybe(rng, 60, X86_CR4_PSE);
	/* Without any of these CR0.WP=0 lets more be mapped. */
	if (rng_percent(rng, 70))
		step->cr4 |= entry_maybe(rng, 40, X86_CR4_SMAP) |
			     entry_maybe(rng, 50, X86_CR4_PKE) | entry_maybe(rng, 40, X86_CR4_PKS);
	step->efer = entry_maybe(rng, 85, X86_EFER_NXE) | entry_maybe(rng, 30, X86_EFER_TCE);
	if (mode == PAGING_UNPAGED) {
		step->cr0 |= entry_maybe(rng, 70, X86_CR0_PE);
		step->cr4 |= entry_maybe(rng, 50, X86_CR4_PAE) | entry_maybe(rng, 20, X86_CR4_LA57);
		step->efer |= entry_maybe(rng, 50, X86_EFER_LME);
	} else {
		step->cr0 |= X86_CR0_PE | X86_CR0_PG;
		step->cr4 |= mode == PAGING_2LEVEL ? 0 : X86_CR4_PAE;
	}
	if (mode == PAGING_2LEVEL || mode == PAGING_PAE)
		step->cr4 |= entry_maybe(rng, 15, X86_CR4_LA57);
	if (paging_is_long(mode)) {
		step->cr4 |= (mode == PAGING_5LEVEL ? X86_CR4_LA57 : 0) |
			     entry_maybe(rng, 40, X86_CR4_PCIDE);
		step->efer |= X86_EFER_LME | X86_EFER_LMA;
	}
	step->cr3 = entry_root(rng, mode == PAGING_UNPAGED ? PAGING_2LEVEL : mode) |
		    pick_cr3_low(plan, step->cr4);
	if (rng_percent(rng, 4))
		make_doubtful(plan, step);
}

static void copy_regs(const struct random_plan *plan, struct step *step)
{
	step->cr0 = plan->regs->cr0;
	step->cr3 = plan->regs->cr3;
	step->cr4 = plan->regs->cr4;
	step->efer = plan->regs->efer;
}

void random_follow(struct random_plan *plan)
{
	for (unsigned i = 0; i < plan->guest->vcpus; i++)
		if (i != plan->vcpu)
			copy_regs(plan, queue_add(plan->queue, STEP_REGS, i));
}

void random_plan_regs(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	struct step *step = queue_add(plan->queue, STEP_REGS, plan->vcpu);

	if (rng_percent(rng, 20)) {
		random_fill_regs(plan, step);
		return;
	}
	copy_regs(plan, step);
	step->cr0 ^= entry_maybe(rng, 50, X86_CR0_WP) | entry_maybe(rng, 5, X86_CR0_CD);
	step->cr4 ^= entry_maybe(rng, 20, X86_CR4_SMEP) | entry_maybe(rng, 20, X86_CR4_SMAP) |
		     entry_maybe(rng, 20, X86_CR4_PGE) | entry_maybe(rng, 15, X86_CR4_PSE) |
		     entry_maybe(rng, 15, X86_CR4_PKE) | entry_maybe(rng, 15, X86_CR4_PKS);
	if (paging_is_long(plan->style.mode))
		step->cr4 ^= entry_maybe(rng, 10, X86_CR4_PCIDE);
	step->efer ^= entry_maybe(rng, 20, X86_EFER_NXE) | entry_maybe(rng, 20, X86_EFER_TCE);
	if (rng_percent(rng, 3))
		make_doubtful(plan, step);
}

void random_plan_rights(struct random_plan *plan)
{
	static const uint64_t cr4_bits[] = {
		X86_CR4_SMEP, X86_CR4_SMEP, X86_CR4_SMAP, X86_CR4_PKE, X86_CR4_PKS, X86_CR4_PSE};
	struct step *step = queue_add(plan->queue, STEP_REGS, plan->vcpu);
	unsigned choice = rng_below(plan->rng, 11);

	copy_regs(plan, step);
	if (choice < 4)
		step->cr0 ^= X86_CR0_WP;
	else if (choice < 5)
		step->efer ^= X86_EFER_NXE;
	else
		step->cr4 ^= cr4_bits[choice - 5];
}

void random_plan_keys(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	enum step_kind kind = rng_percent(rng, 60) ? STEP_PKRU : STEP_PKRS;
	uint64_t value = 0;

	for (unsigned key = 0; key < 16; key++)
		value |= entry_maybe(rng, 35, (uint64_t)(1 + rng_below(rng, 3)) << (2 * key));
	queue_add(plan->queue, kind, plan->vcpu)->value = value;
}

static void plan_cr3(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	struct step *step = queue_add(plan->queue, STEP_CR3, plan->vcpu);

	if (rng_percent(rng, 50))
		step->value = plan->regs->cr3;
	else
		step->value =
			entry_root(rng, plan->style.mode) | pick_cr3_low(plan, plan->regs->cr4);
	if (rng_percent(rng, 3))
		step->value = entry_gfn(rng) << X86_PAGE_SHIFT;
	step->value |= entry_maybe(rng, 1, 1ull << 45);
	if (plan->regs->cr4 & X86_CR4_PCIDE)
		step->value |= entry_maybe(rng, 40, CR3_NO_FLUSH);
	else if (paging_is_long(plan->style.mode))
		step->value |= entry_maybe(rng, 1, CR3_NO_FLUSH);
}

static void plan_invpcid(struct random_plan *plan, uint64_t gva)
{
	struct rng *rng = plan->rng;
	struct step *step = queue_add(plan->queue, STEP_INVPCID, plan->vcpu);
	uint64_t own = plan->regs->cr4 & X86_CR4_PCIDE ? plan->regs->cr3 & 0xfff : 0;

	step->type = rng_below(rng, 4);
	step->pcid = rng_percent(rng, 60) ? own : pick_cr3_low(plan, plan->regs->cr4);
	step->gva = gva;
	if (rng_percent(rng, 3))
		step->type = rng_u64(rng) >> rng_below(rng, 64);
	if (rng_percent(rng, 3))
		step->pcid |= 1ull << rng_below(rng, 64);
	if (rng_percent(rng, 3))
		step->gva ^= 1ull << 62;
}

static void plan_toggle_pge(struct random_plan *plan)
{
	struct step *step = queue_add(plan->queue, STEP_REGS, plan->vcpu);

	copy_regs(plan, step);
	step->cr4 ^= X86_CR4_PGE;
	copy_regs(plan, queue_add(plan->queue, STEP_REGS, plan->vcpu));
}

void random_plan_flush(struct random_plan *plan, uint64_t gva)
{
	struct rng *rng = plan->rng;
	unsigned choice = rng_below(rng, 100);
	uint64_t where = rng_percent(rng, 85) ? gva : random_gva(plan);

	if (choice < 45) {
		/* What is above 32 bits does not count, or makes it no address at all. */
		queue_add(plan->queue, STEP_INVLPG, plan->vcpu)->gva =
			where ^ entry_maybe(rng, 4, rng_u64(rng) << 32);
	} else if (choice < 82) {
		plan_cr3(plan);
	} else if (choice < 92) {
		plan_invpcid(plan, where);
	} else {
		plan_toggle_pge(plan);
	}
}
