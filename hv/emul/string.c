/* SPDX-License-Identifier: MIT */
/*
 * See string.h. SDM 2 "REP/REPE/REPZ/REPNE/REPNZ", "STOS", "MOVS".
 */
#include "hv/emul/string.h"

#include "hv/vm/debug.h"

#define RFLAGS_DF (1ull << 10)

/* Bytes done at once in RAM. An eighth of a table: who writes more of it by one instruction clears
 * or copies pages. */
#define CHUNK_BYTES 512u

/* Elements of a string instruction: @n of them, all in one page of the destination and, if it
 * loads, of the source; or one that crosses pages. */
struct run {
	struct vcpu *vcpu;
	const struct x86_insn *insn;
	bool loads;
	bool down;
	uint64_t n;
	umbra_gva to, from;                       /* of the run's lowest element, */
	struct memory_place to_place, from_place; /* and the places of all */
};

static uint64_t address_mask(const struct x86_insn *insn)
{
	return insn->address_bytes == 8 ? ~0ull : (1ull << 8 * insn->address_bytes) - 1;
}

umbra_gva string_destination(struct vcpu *vcpu, const struct x86_insn *insn)
{
	return insn_linear_at(vcpu, X86_SEG_ES, vcpu->gpr[X86_RDI] & address_mask(insn));
}

static umbra_gva source(struct vcpu *vcpu, const struct x86_insn *insn)
{
	return insn_linear_at(vcpu, insn->segment, vcpu->gpr[X86_RSI] & address_mask(insn));
}

/* Elements from the one at @gva on that lie wholly in its page, in the direction that they are
 * done in. */
static uint64_t fit(const struct x86_insn *insn, umbra_gva gva, bool down)
{
	uint64_t left = X86_PAGE_SIZE - gva % X86_PAGE_SIZE;

	if (left < insn->operand_bytes)
		return 0;
	return down ? gva % X86_PAGE_SIZE / insn->operand_bytes + 1 : left / insn->operand_bytes;
}

/* Are the @n elements from @offset on, lowest first, in the segment, all as one? Nothing wraps
 * then. SDM 3A "Limit Checking". */
static bool is_within(struct vcpu *vcpu, const struct x86_insn *insn, enum x86_segment number,
	uint64_t offset, uint64_t n)
{
	uint64_t last = offset + n * insn->operand_bytes - 1;
	struct vendor_segment segment;

	if (last > address_mask(insn))
		return false;
	if (vendor_code_size(vcpu) == X86_CODE_64)
		return true;
	segment = vendor_segment(vcpu, number);
	if (!(segment.attributes & SEGMENT_CODE) && segment.attributes & SEGMENT_EXPANDS)
		return false;
	return last <= segment.limit;
}

/* May elements be done together? Not with TF or a breakpoint: there may be a trap after each. */
static bool is_together(struct run *run)
{
	struct vcpu *vcpu = run->vcpu;
	const struct x86_insn *insn = run->insn;
	uint64_t below = run->down ? (run->n - 1) * insn->operand_bytes : 0;
	uint64_t to = vcpu->gpr[X86_RDI] & address_mask(insn);
	uint64_t from = vcpu->gpr[X86_RSI] & address_mask(insn);

	if (vcpu->exit.rflags & X86_RFLAGS_TF || debug_armed(vcpu) || to < below ||
		!is_within(vcpu, insn, X86_SEG_ES, to - below, run->n))
		return false;
	return !run->loads ||
	       (from >= below && is_within(vcpu, insn, insn->segment, from - below, run->n));
}

static uint64_t left_of(const struct vcpu *vcpu, const struct x86_insn *insn)
{
	return insn->rep ? vcpu->gpr[X86_RCX] & address_mask(insn) : 1;
}

bool string_is_long(struct vcpu *vcpu, const struct x86_insn *insn)
{
	bool down = vcpu->exit.rflags & RFLAGS_DF;
	uint64_t n = fit(insn, string_destination(vcpu, insn), down);
	uint64_t left = left_of(vcpu, insn);

	return (left < n ? left : n) * insn->operand_bytes > CHUNK_BYTES;
}

/* Does nobody have to see single elements, and may the loads of all come before the first store? */
static bool is_bulk(const struct run *run)
{
	const struct vm *vm = run->vcpu->vm;

	if (!memory_ram(vm, run->to_place.gpas[0]))
		return false;
	return !run->loads ||
	       (memory_ram(vm, run->from_place.gpas[0]) &&
		       (run->from_place.gpas[0] ^ run->to_place.gpas[0]) >= X86_PAGE_SIZE);
}

/* Returns false if a fault was injected. */
static bool begin(struct run *run, struct vcpu *vcpu, const struct x86_insn *insn,
	const struct memory_fault *fault)
{
	uint64_t left = left_of(vcpu, insn);
	size_t n_bytes;
	uint64_t fits;

	*run = (struct run){
		.vcpu = vcpu,
		.insn = insn,
		.loads = insn->op == X86_OP_MOVS,
		.down = vcpu->exit.rflags & RFLAGS_DF,
		.to = string_destination(vcpu, insn),
		.n = CHUNK_BYTES / insn->operand_bytes,
	};
	if (run->loads)
		run->from = source(vcpu, insn);
	fits = fit(insn, run->to, run->down);
	if (run->loads && fit(insn, run->from, run->down) < fits)
		fits = fit(insn, run->from, run->down);
	if (fits < run->n)
		run->n = fits;
	if (left < run->n)
		run->n = left;
	if (run->n == 0 || !is_together(run))
		run->n = 1;
	/* The direction has no meaning for what is done at once. */
	if (run->down) {
		run->to -= (run->n - 1) * insn->operand_bytes;
		run->from -= (run->n - 1) * insn->operand_bytes;
	}
	n_bytes = run->n * insn->operand_bytes;
	if (run->loads &&
		!memory_prepare(vcpu, run->from, n_bytes, &run->from_place, UMBRA_READ, NULL))
		return false;
	return memory_prepare(vcpu, run->to, n_bytes, &run->to_place, UMBRA_WRITE, fault);
}

static void bulk(const struct run *run)
{
	unsigned n_bytes = run->insn->operand_bytes;
	uint8_t bytes[CHUNK_BYTES];

	if (run->loads) {
		memory_get(run->vcpu, &run->from_place, bytes);
	} else {
		for (uint64_t i = 0; i < run->n; i++)
			memcpy(bytes + i * n_bytes, &run->vcpu->gpr[X86_RAX], n_bytes);
	}
	memory_put(run->vcpu, &run->to_place, bytes);
}

static void one_by_one(const struct run *run)
{
	unsigned n_bytes = run->insn->operand_bytes;

	for (uint64_t i = 0; i < run->n; i++) {
		uint64_t at = (run->down ? run->n - 1 - i : i) * n_bytes;
		struct memory_place to = run->to_place;
		struct memory_place from = run->from_place;
		uint64_t value = run->vcpu->gpr[X86_RAX];

		if (run->n > 1) {
			to = (struct memory_place){
				.gpas = {to.gpas[0] + at}, .n_bytes = n_bytes, .first = n_bytes};
			from = (struct memory_place){
				.gpas = {from.gpas[0] + at}, .n_bytes = n_bytes, .first = n_bytes};
		}
		if (run->loads)
			memory_get(run->vcpu, &from, &value);
		memory_put(run->vcpu, &to, &value);
	}
}

/* Move the registers past the run, and RIP past the instruction if that was all. */
static void advance(const struct run *run)
{
	struct vcpu *vcpu = run->vcpu;
	const struct x86_insn *insn = run->insn;
	uint64_t bytes = run->n * insn->operand_bytes;
	uint64_t step = run->down ? -bytes : bytes;
	uint64_t *gpr = vcpu->gpr;
	uint64_t left;

	x86_gpr_write(insn, gpr, X86_RDI, insn->address_bytes, gpr[X86_RDI] + step);
	if (run->loads)
		x86_gpr_write(insn, gpr, X86_RSI, insn->address_bytes, gpr[X86_RSI] + step);
	if (!insn->rep) {
		vendor_advance(vcpu, insn->length);
		return;
	}
	left = (gpr[X86_RCX] - run->n) & address_mask(insn);
	x86_gpr_write(insn, gpr, X86_RCX, insn->address_bytes, left);
	vendor_advance(vcpu, left == 0 ? insn->length : 0);
}

void string_do(struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault)
{
	struct run run;

	/* This does not fault: it is not the instruction that did, which is there no more. */
	if (left_of(vcpu, insn) == 0) {
		vendor_advance(vcpu, insn->length);
		return;
	}
	if (!begin(&run, vcpu, insn, fault))
		return;
	if (run.n > 1 && is_bulk(&run))
		bulk(&run);
	else
		one_by_one(&run);
	advance(&run);
	if (run.loads)
		debug_access(vcpu, DEBUG_READ, run.from, run.n * insn->operand_bytes);
	debug_access(vcpu, DEBUG_WRITE, run.to, run.n * insn->operand_bytes);
}
