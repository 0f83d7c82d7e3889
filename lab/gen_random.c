/* SPDX-License-Identifier: MIT */
/*
 * The adversarial guest: random tables over few frames, so that they share, alias data, map
 * themselves and loop, and random edits, flushes and accesses on them. Owns what it does when; what
 * that leads to is for the model to judge.
 */
#include "lab/gen_random.h"

#include "x86/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a flood uses: frames, and indices into a table of level 2. */
#define FLOOD_TABLES 80u
#define FLOOD_GFN    0x280u
#define FLOOD_INDEX  0x20u

static bool paged(const struct random_plan *plan)
{
	return plan->style.mode != PAGING_UNPAGED;
}

unsigned random_level(const struct random_plan *plan, unsigned depth)
{
	return paging_rows[plan->style.mode].levels - depth;
}

void random_find_way(const struct random_plan *plan, uint64_t gva, struct random_way *way)
{
	enum paging mode = plan->style.mode;
	uint64_t table = plan->regs->cr3 & (mode == PAGING_PAE ? 0xffffffe0 : X86_PTE_FRAME);

	way->n = 0;
	for (unsigned level = paging_rows[mode].levels; level >= 1; level--) {
		uint64_t gpa = paging_slot(mode, table, level, gva);
		uint64_t entry = gen_entry(plan->machine, mode, gpa);

		way->gpas[way->n] = gpa;
		way->entries[way->n++] = entry;
		if (!(entry & X86_PTE_P) || ((level == 2 || level == 3) && (entry & X86_PTE_PS)))
			return;
		table = entry & X86_PTE_FRAME;
	}
}

uint64_t random_page(struct random_plan *plan)
{
	uint64_t gva = 0;

	for (unsigned i = 0; i < 8; i++) {
		struct random_way way;
		uint64_t entry;

		gva = random_address(plan);
		random_find_way(plan, gva, &way);
		entry = way.entries[way.n - 1];
		if ((entry & X86_PTE_P) && memory_range_of(entry & X86_PTE_FRAME))
			break;
	}
	return gva;
}

uint64_t random_gva(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	uint64_t *recent = &plan->guest->recent[rng_below(rng, RANDOM_RECENT)];
	uint64_t gva;

	if (!paged(plan))
		return (entry_gfn(rng) << X86_PAGE_SHIFT | rng_below(rng, 4096)) & 0xffffffff;
	if (rng_percent(rng, 12)) {
		struct entry_style style = plan->style;

		style.mode = (enum paging)(1 + rng_below(rng, PAGING_COUNT - 1));
		if (!random_uses(plan->guest, style.mode))
			style.mode = plan->style.mode;
		return random_window(
			plan, entry_table(rng, &style, rng_below(rng, 6)) << X86_PAGE_SHIFT |
				      rng_below(rng, 512) * 8);
	}
	if (rng_percent(rng, 50))
		*recent = random_page(plan);
	gva = *recent |
	      (rng_percent(rng, 60) ? random_index(plan, 1) % 512 * 8 : rng_below(rng, 4096));
	/* An address of another mode, now and then as it is. */
	return rng_percent(rng, 1) ? gva : paging_canonical(plan->style.mode, gva);
}

/* Give @step an operand within its page at or around @gva. */
static void set_operand(struct random_plan *plan, struct step *step, uint64_t gva)
{
	step->bytes = rng_percent(plan->rng, 60) ? 8 : 1ull << rng_below(plan->rng, 4);
	if (rng_percent(plan->rng, 85))
		gva &= ~(step->bytes - 1);
	if (gva % X86_PAGE_SIZE + step->bytes > X86_PAGE_SIZE)
		gva -= step->bytes;
	step->gva = gva;
}

static uint64_t pick_entry(struct random_plan *plan)
{
	return entry_pick(plan->rng, &plan->style, 1 + rng_below(plan->rng, 4));
}

/* An access of any kind to @gva. */
static void plan_any_access(struct random_plan *plan, uint64_t gva)
{
	static const enum step_kind access_kinds[] = {
		STEP_LOAD, STEP_LOAD, STEP_LOAD, STEP_STORE, STEP_STORE, STEP_STORE, STEP_FETCH};
	struct rng *rng = plan->rng;
	struct step *step = queue_add(plan->queue, access_kinds[rng_below(rng, 7)], plan->vcpu);

	step->cpl = rng_percent(rng, 50) ? 3 : rng_percent(rng, 95) ? 0 : 1 + rng_below(rng, 2);
	step->implicit = step->kind != STEP_FETCH && rng_percent(rng, 6);
	step->ac = rng_percent(rng, 40);
	step->value = rng_percent(rng, 60) ? pick_entry(plan) : rng_below(rng, 2);
	set_operand(plan, step, gva);
	if (step->kind == STEP_STORE)
		gen_vary_store(rng, step);
}

/* All kinds of accesses to one page, most by the supervisor, while what decides about them changes.
 */
static void plan_probe(struct random_plan *plan)
{
	static const enum step_kind kinds[] = {STEP_LOAD, STEP_STORE, STEP_STORE, STEP_FETCH};
	struct rng *rng = plan->rng;
	uint64_t gva = random_gva(plan);

	for (unsigned i = 4 + rng_below(rng, 8); i > 0; i--) {
		unsigned choice = rng_below(rng, 100);
		struct step *step;

		if (choice < 25) {
			random_plan_rights(plan);
		} else if (choice < 30) {
			random_plan_keys(plan);
		} else {
			step = queue_add(plan->queue, kinds[rng_below(rng, 4)], plan->vcpu);
			step->cpl = rng_percent(rng, 30) ? 3 : 0;
			step->ac = rng_percent(rng, 50);
			step->value = rng_u64(rng);
			set_operand(plan, step, (gva & ~0xfffull) + rng_below(rng, 4096));
			if (step->kind == STEP_STORE)
				gen_vary_store(rng, step);
		}
	}
}

void random_edit_store(struct random_plan *plan, uint64_t gpa, uint64_t value)
{
	struct rng *rng = plan->rng;
	unsigned entry_bytes = paging_rows[plan->style.mode].entry_bytes;
	unsigned n_bytes = rng_percent(rng, 75) ? entry_bytes : 1u << rng_below(rng, 4);
	unsigned offset =
		n_bytes >= entry_bytes ? 0 : rng_below(rng, entry_bytes / n_bytes) * n_bytes;
	struct step *step;

	/* Now and then parts of two entries at once. */
	if (rng_percent(rng, 3) && gpa % X86_PAGE_SIZE < X86_PAGE_SIZE - 8) {
		n_bytes = 8;
		offset = 1 + rng_below(rng, entry_bytes - 1);
	}
	if (gpa % X86_PAGE_SIZE + offset + n_bytes > X86_PAGE_SIZE)
		n_bytes = entry_bytes;
	if (rng_percent(rng, 10)) {
		if (rng_percent(rng, 10))
			n_bytes = 1 + rng_below(rng, STEP_BYTES_MAX);
		random_poke(plan, gpa + offset, value >> (8 * offset), n_bytes);
		return;
	}
	step = queue_add(plan->queue, STEP_STORE, plan->vcpu);
	step->gva = random_window(plan, gpa) + offset;
	step->ac = true;
	step->bytes = n_bytes;
	step->value = value >> (8 * offset);
	gen_vary_store(rng, step);
}

void random_store(struct random_plan *plan, uint64_t gva, uint64_t entry)
{
	struct step *step = queue_add(plan->queue, STEP_STORE, plan->vcpu);

	step->gva = gva;
	step->bytes = paging_rows[plan->style.mode].entry_bytes;
	step->value = entry;
	step->ac = true;
	step->cpl = rng_percent(plan->rng, 50) ? 3 : 0;
}

void random_touch(struct random_plan *plan, uint64_t gva)
{
	struct rng *rng = plan->rng;
	struct step *step =
		queue_add(plan->queue, rng_percent(rng, 50) ? STEP_LOAD : STEP_STORE, plan->vcpu);

	step->cpl = rng_percent(rng, 60) ? 3 : 0;
	step->ac = rng_percent(rng, 80);
	step->value = rng_u64(rng);
	set_operand(plan, step, (gva & ~0xfffull) + rng_below(rng, 4096));
	if (step->kind == STEP_STORE)
		gen_vary_store(rng, step);
}

static void plan_edit(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	uint64_t gva = paging_canonical(
		plan->style.mode, plan->guest->recent[rng_below(rng, RANDOM_RECENT)]);
	struct random_way way;
	unsigned depth;

	random_find_way(plan, gva, &way);
	depth = rng_percent(rng, 60) ? way.n - 1 : rng_below(rng, way.n);
	random_edit_store(plan, way.gpas[depth],
		entry_edited(rng, &plan->style, way.entries[depth], random_level(plan, depth)));
	if (rng_percent(rng, 65))
		random_plan_flush(plan, gva);
	for (unsigned i = rng_below(rng, 3); i > 0; i--)
		random_touch(plan, gva);
}

/* Another address that shares most of the way with @gva, or its large page. */
static uint64_t neighbour(struct random_plan *plan, uint64_t gva)
{
	enum paging mode = plan->style.mode;
	unsigned level = 1 + rng_below(plan->rng, paging_rows[mode].levels);
	unsigned shift = paging_shift(mode, level);
	uint64_t indices = (1ull << paging_rows[mode].index_bits) - 1;

	if (rng_percent(plan->rng, 40))
		return gva ^ (uint64_t)rng_below(plan->rng, 512) << 12;
	return paging_canonical(
		mode, (gva & ~(indices << shift)) | (uint64_t)random_index(plan, level) << shift);
}

/*
 * Changes at all levels of the way to one address as it was at first, in all orders with accesses
 * and flushes: what was cut off goes on changing, and must not be seen any more.
 */
static void plan_storm(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	uint64_t gva = random_page(plan);
	bool together = rng_percent(rng, 30);
	struct random_way way;

	random_find_way(plan, gva, &way);
	if (together)
		random_follow(plan);
	for (unsigned i = 4 + rng_below(rng, 10); i > 0; i--) {
		unsigned choice = rng_below(rng, 100);
		unsigned depth = rng_below(rng, way.n);

		if (together && rng_percent(rng, 40))
			plan->vcpu = rng_below(rng, plan->guest->vcpus);
		if (choice < 40)
			random_edit_store(plan, way.gpas[depth],
				entry_edited(rng, &plan->style,
					gen_entry(plan->machine, plan->style.mode, way.gpas[depth]),
					random_level(plan, depth)));
		else if (choice < 65)
			random_touch(plan, gva);
		else if (choice < 80)
			random_touch(plan, neighbour(plan, gva));
		else if (choice < 84)
			queue_add(plan->queue, STEP_SPECULATE, plan->vcpu)->gva = gva;
		else
			random_plan_flush(plan, rng_percent(rng, 60) ? gva : neighbour(plan, gva));
	}
}

/* A former table becomes data, or data a table, by a run of stores. */
static void plan_memset(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	unsigned entry_bytes = paging_rows[plan->style.mode].entry_bytes;
	unsigned level = 1 + rng_below(rng, 4);
	uint64_t gpa = entry_table(rng, &plan->style, level) << X86_PAGE_SHIFT;
	bool entries = rng_percent(rng, 50);
	unsigned start = random_index(plan, 1);

	for (unsigned i = start; i < 4096 / entry_bytes && i < start + 24; i++)
		random_edit_store(plan, gpa + i * entry_bytes,
			entries ? entry_pick(rng, &plan->style, level) : 0);
}

/* More last-level tables in use and changed, without a flush, than the library lets be unsync. */
static void plan_flood(struct random_plan *plan)
{
	const uint64_t flags = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D;
	const struct paging_row *row = &paging_rows[plan->style.mode];
	unsigned shift = paging_shift(plan->style.mode, 2);
	uint64_t gva = random_address(plan);
	struct random_way way;

	if (!paged(plan))
		return;
	random_find_way(plan, gva, &way);
	if (way.n + 1 < row->levels)
		return;
	gva &= ~((1ull << row->index_bits << shift) - 1);
	for (uint64_t i = 0; i < FLOOD_TABLES; i++) {
		uint64_t upper = way.gpas[row->levels - 2] & ~(X86_PAGE_SIZE - 1ull);
		uint64_t table = (FLOOD_GFN + i) << X86_PAGE_SHIFT;

		random_poke(plan, upper + (FLOOD_INDEX + i) * row->entry_bytes, table | flags,
			row->entry_bytes);
		random_poke(plan, table, entry_gfn(plan->rng) << X86_PAGE_SHIFT | flags,
			row->entry_bytes);
		random_touch(plan, gva + ((FLOOD_INDEX + i) << shift));
	}
	for (uint64_t i = 0; i < FLOOD_TABLES; i++) {
		random_edit_store(plan, (FLOOD_GFN + i) << X86_PAGE_SHIFT,
			entry_pick(plan->rng, &plan->style, 1));
		if (rng_percent(plan->rng, 30))
			random_touch(plan, gva + ((FLOOD_INDEX + i) << shift));
	}
	random_plan_flush(plan, gva + ((uint64_t)FLOOD_INDEX << shift));
	for (uint64_t i = 0; i < FLOOD_TABLES; i++)
		random_touch(plan, gva + ((FLOOD_INDEX + i) << shift));
}

static void boot(struct random_plan *plan)
{
	static const unsigned candidates[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x110, 0x112, 0x1fe, 0x1ff};
	struct random_guest *guest = plan->guest;

	for (unsigned i = 0; i < RANDOM_INDICES; i++)
		guest->indices[i] = candidates[rng_below(plan->rng, 11)];
	guest->mixed = rng_percent(plan->rng, 70) ? 8 : 40;
	random_build_tables(plan);
	for (unsigned i = 0; i < guest->vcpus; i++)
		random_fill_regs(plan, queue_add(plan->queue, STEP_REGS, i));
	guest->luck = 128;
	guest->booted = true;
}

/* Follow how many accesses reach memory; when next to none do, begin again with fresh tables. */
static void follow_luck(struct random_plan *plan)
{
	struct random_guest *guest = plan->guest;
	bool lucky = plan->machine->last.seen == MACHINE_SEEN_MEMORY;

	guest->luck = (guest->luck * 31 + (lucky ? 256 : 0)) / 32;
	if (guest->luck > 20)
		return;
	random_build_tables(plan);
	random_fill_regs(plan, queue_add(plan->queue, STEP_REGS, plan->vcpu));
	guest->luck = 128;
}

/* Somebody begins or ceases to be told of stores into a table, or into anything. */
static void plan_track(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	bool begins = rng_percent(rng, 55);
	struct step *step = queue_add(plan->queue, begins ? STEP_TRACK : STEP_UNTRACK, plan->vcpu);

	step->value = rng_below(rng, TRACK_WATCHES);
	if (!begins)
		return;
	step->type = rng_below(rng, 2 * N_TRACK_MANNERS);
	step->gpa = (rng_percent(rng, 60) ? entry_table(rng, &plan->style, 1 + rng_below(rng, 4))
					  : entry_gfn(rng))
		    << X86_PAGE_SHIFT;
	if (rng_percent(rng, 10))
		step->gpa = (0xc00ull + rng_below(rng, 4)) << X86_PAGE_SHIFT;
}

static void plan_rare(struct random_plan *plan)
{
	static const char *const policies[] = {"", "cache=off", "large=off", "prefetch=8",
		"replace=fifo", "oos=off", "oos=leaf", "write=auto", "write=unsync",
		"write=emulate", "write=zap"};
	struct rng *rng = plan->rng;
	struct step *step;

	if (rng_percent(rng, 4))
		plan_flood(plan);
	if (rng_percent(rng, 25))
		plan_track(plan);
	switch (rng_below(rng, 4)) {
	case 0:
		step = queue_add(plan->queue, STEP_UNSHADOW, plan->vcpu);
		step->gpa = entry_gfn(rng) << X86_PAGE_SHIFT;
		break;
	case 1:
		plan_memset(plan);
		break;
	case 2:
		random_poke(plan,
			(entry_gfn(rng) << X86_PAGE_SHIFT) + random_index(plan, 1) % 512 * 8,
			pick_entry(plan), 8);
		break;
	default:
		if (rng_percent(rng, 80))
			break;
		step = queue_add(plan->queue, STEP_POLICY, plan->vcpu);
		snprintf(step->policy, sizeof(step->policy), "%s", policies[rng_below(rng, 11)]);
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
	guest->maxphyaddr = config->maxphyaddr;
	return guest;
}

void random_guest_plan(struct random_guest *guest, const struct machine *machine, struct rng *rng,
	struct queue *queue)
{
	unsigned vcpu = rng_below(rng, guest->vcpus);
	const struct umbra_paging_regs *regs = &machine->vcpus[vcpu].regs;
	struct random_plan plan = {guest, machine, rng, queue, vcpu, regs,
		{paging_of(regs), guest->maxphyaddr, guest->mixed}};
	unsigned choice = rng_below(rng, 100);

	if (!guest->booted) {
		boot(&plan);
		return;
	}
	follow_luck(&plan);
	if (!paged(&plan) && !random_uses(guest, PAGING_UNPAGED) && rng_percent(rng, 20))
		random_fill_regs(&plan, queue_add(queue, STEP_REGS, vcpu));
	if (choice < 62 || (!paged(&plan) && choice < 85)) {
		plan_any_access(&plan, random_gva(&plan));
	} else if (choice < 65) {
		plan_probe(&plan);
	} else if (choice < 81) {
		plan_edit(&plan);
	} else if (choice < 83) {
		plan_storm(&plan);
	} else if (choice < 85) {
		if (rng_percent(rng, 60))
			random_plan_alias(&plan);
		else
			random_plan_takeover(&plan);
	} else if (choice < 91) {
		random_plan_flush(&plan, random_gva(&plan));
	} else if (choice < 94) {
		queue_add(queue, STEP_SPECULATE, plan.vcpu)->gva = random_gva(&plan);
	} else if (choice < 96) {
		random_plan_regs(&plan);
	} else if (choice < 97) {
		random_plan_keys(&plan);
	} else {
		plan_rare(&plan);
	}
}
