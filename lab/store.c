/* SPDX-License-Identifier: MIT */
/* Stores of the guest. One in two pages is two accesses that must both be possible before any byte
 * is written. */
#include "lab/store.h"

#include "lab/access.h"
#include "lab/emulate.h"
#include "lab/sabotage.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <string.h>

/* A page's part of it. */
struct part {
	struct access access;
	size_t offset; /* in the operand */
	size_t n_bytes;
	uint64_t gpa;
	unsigned pat; /* CHECK_NO_PAT: the CPU had no part in it */
};

struct store {
	struct machine *machine;
	struct machine_vcpu *vcpu;
	const struct step *step;
	struct part parts[2];
	unsigned n_parts;
	unsigned n_given_up; /* frames, in vain or not */
};

static enum memory_kind kind_at(uint64_t gpa)
{
	const struct memory_range *range = memory_range_of(gpa);

	/* Absent memory is as little written as read-only memory. */
	return range ? range->kind : MEMORY_READ_ONLY;
}

/* What memory holds there: ones where there is none. */
static void read_parts(const struct store *store, uint8_t *old)
{
	memset(old, 0xff, STEP_BYTES_MAX);
	for (unsigned i = 0; i < store->n_parts; i++) {
		const struct part *part = &store->parts[i];
		const uint8_t *from = memory_at(&store->machine->memory, part->gpa);

		if (from)
			memcpy(old + part->offset, from, part->n_bytes);
	}
}

static void check_targets(struct store *store)
{
	for (unsigned i = 0; i < store->n_parts; i++)
		access_check_target(
			&store->parts[i].access, store->parts[i].gpa, store->parts[i].pat);
}

/* ---- by the hardware ---- */

/* The hardware translated all of it: is it what the guest should reach? Then do it. */
static void land(struct store *store)
{
	struct machine *machine = store->machine;
	uint8_t old[STEP_BYTES_MAX];
	uint8_t result[STEP_BYTES_MAX];

	check_targets(store);
	read_parts(store, old);
	insn_result(store->step, old, result);
	for (unsigned i = 0; i < store->n_parts; i++) {
		const struct part *part = &store->parts[i];

		memcpy(memory_at(&machine->memory, part->gpa), result + part->offset,
			part->n_bytes);
		check_wrote(&machine->check, part->gpa, result + part->offset, part->n_bytes);
	}
	machine->counts.translated++;
	machine->last.seen = MACHINE_SEEN_MEMORY;
}

static void take_translation(struct part *part, const struct hw_result *result)
{
	struct machine *machine = part->access.machine;

	part->gpa = access_gpa(&part->access, result->hpa);
	part->pat = result->pat;
	if (kind_at(part->gpa) == MEMORY_READ_ONLY)
		lab_fail(machine->fail, "a store reaches read-only memory at gpa 0x%" PRIx64,
			part->gpa);
	if (track_has(machine, part->gpa))
		lab_fail(machine->fail,
			"a store reaches gpa 0x%" PRIx64 ", which is tracked, and nobody is told",
			part->gpa);
}

/* ---- by the host ---- */

/* It ends with the #PF @out of part @index. Those before it could have been written. */
static void end_inject(struct store *store, unsigned index, const struct umbra_exit *out)
{
	for (unsigned i = 0; i < index; i++)
		access_check_target(
			&store->parts[i].access, store->parts[i].gpa, store->parts[i].pat);
	access_inject(&store->parts[index].access, out);
}

/*
 * The host has to know where another part than the faulting one goes, and to set A and D as the
 * hardware would. A repeated fault of a page that is mapped can look like one of an implicit
 * access, which SMAP denies: what a walk says counts. Returns false if that part faults, and the
 * store is over.
 */
static bool resolve(struct store *store, unsigned index)
{
	struct part *part = &store->parts[index];
	struct access *access = &part->access;
	uint32_t error_code = access_error_code(access);
	const struct umbra_page_fault what = access_fault(access, error_code, access->hw.ac);
	struct umbra_exit out = {0};
	struct umbra_exit walked = {0};
	enum umbra_outcome outcome = access_exit(access, error_code, &out);

	part->pat = CHECK_NO_PAT;
	check_exit(&store->machine->check, store->step->vcpu, &access->hw);
	if (umbra_translate(access->vcpu->umbra, &what, &part->gpa, &walked))
		return true;
	/* A fault drops what the processor has cached, but this one it did not raise itself. */
	tlb_fault(&store->vcpu->hw.tlb, access->hw.gva);
	/* An earlier part counts as made; it is the faulting one, or was resolved before. */
	end_inject(store, index, outcome == UMBRA_INJECT ? &out : &walked);
	return false;
}

/* Two parts that follow each other in memory can be handed over as one. */
static bool are_one(const struct store *store)
{
	return store->n_parts == 2 &&
	       store->parts[1].gpa == store->parts[0].gpa + store->parts[0].n_bytes;
}

/* Returns false if the instruction has to be begun again. */
static bool write_parts(struct store *store, bool atomic, const uint8_t *old, const uint8_t *result)
{
	struct machine *machine = store->machine;
	unsigned vcpu = store->step->vcpu;
	size_t n_bytes = store->step->bytes;
	uint64_t gpa = store->parts[0].gpa;

	if (store->n_parts == 1 && kind_at(gpa) == MEMORY_RAM &&
		emulate_has_exchange(gpa, n_bytes) &&
		(atomic || rng_percent(&machine->host_rng, 20)))
		return emulate_exchange(machine, vcpu, gpa, old, result, n_bytes);
	if (are_one(store) && rng_percent(&machine->host_rng, 80) &&
		emulate_write(machine, vcpu, gpa, result, n_bytes))
		return true;
	for (unsigned i = 0; i < store->n_parts; i++) {
		const struct part *part = &store->parts[i];
		const uint8_t *bytes = result + part->offset;

		if (emulate_write(machine, vcpu, part->gpa, bytes, part->n_bytes) ||
			kind_at(part->gpa) != MEMORY_DEVICE)
			continue;
		memcpy(memory_at(&machine->memory, part->gpa), bytes, part->n_bytes);
		check_wrote(&machine->check, part->gpa, bytes, part->n_bytes);
	}
	return true;
}

static void end_performed(struct store *store)
{
	bool absent = true;

	for (unsigned i = 0; i < store->n_parts; i++)
		absent &= kind_at(store->parts[i].gpa) == MEMORY_READ_ONLY;
	if (absent) {
		access_absent(&store->parts[0].access);
		return;
	}
	store->machine->counts.emulated++;
	store->machine->last.seen = MACHINE_SEEN_MEMORY;
}

/* With CR0.WP=0 the library can want a store performed that goes into no table: to give that up is
 * in vain. */
static bool may_give_up(struct store *store)
{
	return (store->vcpu->regs.cr0 & X86_CR0_WP) || store->n_given_up++ < 3;
}

/* The library wants the host to make the store, of which part @index goes to @gpa. Does that, or
 * gives the table up, if it is one. true: the access is over. */
static bool perform(struct store *store, unsigned index, uint64_t gpa)
{
	struct machine *machine = store->machine;
	const struct step *step = store->step;
	bool wide = paging_is_long(paging_of(&store->vcpu->regs));
	uint64_t gva = store->parts[0].access.hw.gva;
	uint8_t old[STEP_BYTES_MAX];
	uint8_t result[STEP_BYTES_MAX];
	struct insn insn;
	bool atomic = false;

	store->parts[index].gpa = gpa;
	store->parts[index].pat = CHECK_NO_PAT;
	for (unsigned i = 0; i < store->n_parts; i++)
		if (i != index && !resolve(store, i))
			return true;
	read_parts(store, old);
	insn_make(step, gva, wide, old, &insn);
	if (!emulate_execute(machine, step, &insn, gva, old, result, &atomic)) {
		if (rng_percent(&machine->host_rng, machine->config.unshadow) &&
			may_give_up(store) && umbra_unshadow(store->vcpu->umbra, gpa))
			return false;
		insn_result(step, old, result);
	}
	check_targets(store);
	if (!write_parts(store, atomic, old, result))
		return false;
	sabotage_stored(machine, gpa, step->bytes);
	end_performed(store);
	return true;
}

static bool emulate(struct store *store, unsigned index, uint64_t gpa)
{
	struct machine *machine = store->machine;
	bool tracked = track_has(machine, gpa);
	bool given_up;

	if (kind_at(gpa) == MEMORY_READ_ONLY)
		lab_fail(machine->fail,
			"asks to emulate what is no store to memory, gpa 0x%" PRIx64, gpa);
	if (kind_at(gpa) == MEMORY_RAM && rng_percent(&machine->rng, machine->config.unshadow) &&
		may_give_up(store)) {
		given_up = umbra_unshadow(store->vcpu->umbra, gpa);
		if (given_up == tracked)
			lab_fail(machine->fail, "umbra_unshadow of gpa 0x%" PRIx64 " %s", gpa,
				tracked ? "gives up what is tracked" : "does nothing");
		machine->counts.unshadowed += given_up;
		if (given_up)
			return false;
	}
	return perform(store, index, gpa);
}

/* Report the hardware's page fault for part @index. true: the access is over. */
static bool take_exit(struct store *store, unsigned index, uint32_t error_code)
{
	struct access *access = &store->parts[index].access;
	struct umbra_exit out = {0};
	enum umbra_outcome outcome = access_exit(access, error_code, &out);
	bool over = true;

	/* Each part's own A and D: two entries can be in one word. */
	if (store->n_parts > 1)
		check_exit(&store->machine->check, store->step->vcpu, &access->hw);
	switch (outcome) {
	case UMBRA_RESUME:
		over = false;
		break;
	case UMBRA_INJECT:
		end_inject(store, index, &out);
		break;
	case UMBRA_EMULATE:
		over = emulate(store, index, out.gpa);
		break;
	case UMBRA_MMIO:
		access_check_mmio(access, out.gpa);
		over = perform(store, index, out.gpa);
		break;
	}
	machine_enter(store->machine, store->vcpu);
	return over;
}

/* ---- the whole ---- */

/* Once through the instruction. true: it is over. */
static bool attempt(struct store *store)
{
	for (unsigned i = 0; i < store->n_parts; i++) {
		struct part *part = &store->parts[i];
		struct hw_result result =
			hw_translate(&store->vcpu->hw, &store->machine->rng, &part->access.hw);

		if (result.fault)
			return take_exit(store, i, result.error_code);
		take_translation(part, &result);
	}
	land(store);
	return true;
}

static bool begin(struct store *store)
{
	const struct step *step = store->step;
	size_t left = X86_PAGE_SIZE - step->gva % X86_PAGE_SIZE;

	store->n_parts = step->bytes > left ? 2 : 1;
	store->parts[0].n_bytes = step->bytes > left ? left : step->bytes;
	store->parts[1].offset = left;
	store->parts[1].n_bytes = step->bytes - store->parts[0].n_bytes;
	for (unsigned i = 0; i < store->n_parts; i++)
		if (!access_begin(&store->parts[i].access, store->machine, step,
			    (unsigned)store->parts[i].offset))
			return false;
	return true;
}

void store_step(struct machine *machine, const struct step *step)
{
	struct store store = {
		.machine = machine,
		.vcpu = &machine->vcpus[step->vcpu],
		.step = step,
	};

	if (!begin(&store)) {
		machine->last.seen = MACHINE_SEEN_GP;
		return;
	}
	for (unsigned i = 0; i < ACCESS_EXITS_MAX; i++)
		if (attempt(&store))
			return;
	lab_fail(machine->fail, "livelock: %u exits for one access to gva 0x%" PRIx64,
		ACCESS_EXITS_MAX, store.parts[0].access.hw.gva);
}
