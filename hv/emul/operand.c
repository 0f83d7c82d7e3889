/* SPDX-License-Identifier: MIT */
/*
 * See operand.h. What an instruction computes is x86/execute.h's business; here is where its
 * operand lies, and how the result gets there.
 */
#include "hv/emul/operand.h"

#include "hv/emul/string.h"
#include "hv/vm/debug.h"
#include "x86/execute.h"

/* Of an instruction that the decoder does not describe: none stores more into one page. */
#define LARGEST_OPERAND X86_PAGE_SIZE
#define N_SELECTORS     6u

/* ---- one page, which the library has just looked at ---- */

typedef const volatile uint64_t __attribute__((aligned(1), may_alias)) any_word;
typedef const volatile uint32_t __attribute__((aligned(1), may_alias)) any_half;

static inline void load(uint64_t memory[2], const void *ram, unsigned n_bytes)
{
	memory[0] = 0;
	memory[1] = 0;
	/* At once, where the guest has one entry. */
	if (likely(n_bytes == 8))
		memory[0] = *(any_word *)ram;
	else if (n_bytes == 4)
		memory[0] = *(any_half *)ram;
	else
		memcpy(memory, ram, n_bytes);
}

static inline void finish(
	struct vcpu *vcpu, const struct x86_insn *insn, enum debug_kind kind, umbra_gva gva)
{
	vendor_advance(vcpu, insn->length);
	debug_access(vcpu, kind, gva, insn->operand_bytes);
}

static bool changes_registers(const struct x86_insn *insn)
{
	return insn->op == X86_OP_XADD || insn->op == X86_OP_CMPXCHG ||
	       insn->op == X86_OP_CMPXCHG_PAIR || insn->op == X86_OP_XCHG;
}

/* XCHG of a whole register. */
static bool swap(struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva, umbra_gpa gpa,
	const void *ram)
{
	uint64_t *gpr = &vcpu->gpr[insn->reg];
	enum umbra_exchange answer;
	uint64_t old[2];

	load(old, ram, insn->operand_bytes);
	answer = umbra_guest_exchange(vcpu->mmu, gpa, old, gpr, insn->operand_bytes);
	if (answer == UMBRA_EXCHANGE_DONE) {
		*gpr = old[0];
		finish(vcpu, insn, DEBUG_WRITE, gva);
	}
	/* If memory is not what was read, the guest executes it again. */
	return answer != UMBRA_EXCHANGE_REFUSED;
}

/* The store may not come about after registers have changed: then they are put back. */
static bool atomic_store(struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva,
	umbra_gpa gpa, const void *ram)
{
	struct x86_state state = {.gpr = vcpu->gpr, .rflags = vcpu->exit.rflags};
	enum umbra_exchange answer;
	uint64_t gpr[X86_GPRS];
	uint64_t memory[2];
	uint64_t old[2];
	bool stores;

	load(old, ram, insn->operand_bytes);
	memory[0] = old[0];
	memory[1] = old[1];
	if (changes_registers(insn))
		__builtin_memcpy(gpr, vcpu->gpr, sizeof(gpr));
	if (!x86_execute(insn, &state, memory, &stores))
		return false;
	answer = umbra_guest_exchange(vcpu->mmu, gpa, old, memory, insn->operand_bytes);
	if (likely(answer == UMBRA_EXCHANGE_DONE)) {
		vendor_set_rflags(vcpu, state.rflags);
		finish(vcpu, insn, DEBUG_WRITE, gva);
		return true;
	}
	if (changes_registers(insn))
		__builtin_memcpy(vcpu->gpr, gpr, sizeof(gpr));
	return answer == UMBRA_EXCHANGE_DIFFERS;
}

static inline umbra_gva linear_of(struct vcpu *vcpu, const struct known_insn *known)
{
	const struct x86_insn *insn = &known->insn;

	if (likely(known->traits & KNOWN_NEAR))
		return vcpu->gpr[insn->base] + (uint64_t)insn->displacement;
	return insn_linear(vcpu, insn);
}

static __attribute__((noinline)) bool change(
	struct vcpu *vcpu, const struct known_insn *known, umbra_gva gva, umbra_gpa gpa)
{
	struct x86_state state = {.gpr = vcpu->gpr, .rflags = vcpu->exit.rflags};
	const struct x86_insn *insn = &known->insn;
	const void *ram = memory_ram(vcpu->vm, gpa);
	uint64_t memory[2];
	bool stores;

	if (!ram && known->traits & KNOWN_READS)
		return false;
	if (known->traits & KNOWN_SWAPS)
		return swap(vcpu, insn, gva, gpa, ram);
	if (known->traits & KNOWN_ATOMIC)
		return atomic_store(vcpu, insn, gva, gpa, ram);
	if (known->traits & KNOWN_READS)
		load(memory, ram, insn->operand_bytes);
	if (!x86_execute(insn, &state, memory, &stores))
		return false;
	/* What does not read its operand has changed no register yet. */
	if (!umbra_guest_write(vcpu->mmu, gpa, memory, insn->operand_bytes))
		return false;
	vendor_set_rflags(vcpu, state.rflags);
	finish(vcpu, insn, DEBUG_WRITE, gva);
	return true;
}

bool operand_store(struct vcpu *vcpu, const struct known_insn *known, umbra_gva gva, umbra_gpa gpa)
{
	const struct x86_insn *insn = &known->insn;
	const uint64_t *from = &vcpu->gpr[insn->reg];

	/* With AC an alignment may have to be refused. */
	if (!(known->traits & KNOWN_STORES) ||
		gpa % X86_PAGE_SIZE + insn->operand_bytes > X86_PAGE_SIZE ||
		vcpu->exit.rflags & X86_RFLAGS_AC || linear_of(vcpu, known) != gva)
		return false;
	if (unlikely(!(known->traits & KNOWN_COPIES)))
		return change(vcpu, known, gva, gpa);
	if (insn->form == X86_FORM_RM_IMM)
		from = &insn->immediate;
	if (unlikely(!umbra_guest_write(vcpu->mmu, gpa, from, insn->operand_bytes)))
		return false;
	finish(vcpu, insn, DEBUG_WRITE, gva);
	return true;
}

/* ---- anywhere ---- */

/* An instruction while it is done: it works on copies of the registers, as it may fail yet. */
struct attempt {
	struct vcpu *vcpu;
	const struct x86_insn *insn;
	const struct memory_fault *fault;
	umbra_gva gva; /* what it stores, or loads if it stores nothing */
	struct memory_place place;
	uint64_t gpr[X86_GPRS];
	uint16_t selectors[N_SELECTORS];
	struct x86_state state;
	uint64_t old[2];
	uint64_t memory[2];
};

static bool has_operand(const struct x86_insn *insn)
{
	if (insn->op == X86_OP_PUSH)
		return true;
	return insn->is_memory && insn->op != X86_OP_OTHER && insn->op != X86_OP_STORE;
}

static unsigned stack_bytes(struct vcpu *vcpu)
{
	if (vendor_code_size(vcpu) == X86_CODE_64)
		return 8;
	return vendor_segment(vcpu, X86_SEG_SS).attributes & SEGMENT_DB ? 4 : 2;
}

static umbra_gva pushed_at(struct vcpu *vcpu, const struct x86_insn *insn)
{
	return insn_linear_at(
		vcpu, X86_SEG_SS, x86_push_offset(insn, vcpu->gpr, stack_bytes(vcpu)));
}

static bool is_in(struct vcpu *vcpu, umbra_gva gva, umbra_gva first, unsigned n_bytes)
{
	return insn_linear_add(vcpu, gva, -first) < n_bytes;
}

bool operand_is_at(struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva)
{
	unsigned n_bytes = insn->op == X86_OP_OTHER ? LARGEST_OPERAND : insn->operand_bytes;
	bool pushes = insn->op == X86_OP_PUSH;

	if (gva == MEMORY_ANY_GVA)
		return string_is(insn) || pushes || insn->is_memory;
	if (string_is(insn))
		return is_in(vcpu, gva, string_destination(vcpu, insn), n_bytes);
	return (pushes && is_in(vcpu, gva, pushed_at(vcpu, insn), n_bytes)) ||
	       (insn->is_memory && is_in(vcpu, gva, insn_linear(vcpu, insn), n_bytes));
}

static void begin(struct attempt *a, struct vcpu *vcpu, const struct x86_insn *insn)
{
	*a = (struct attempt){
		.vcpu = vcpu,
		.insn = insn,
		.state = {.rflags = vcpu->exit.rflags, .stack_bytes = (uint8_t)stack_bytes(vcpu)},
	};
	memcpy(a->gpr, vcpu->gpr, sizeof(a->gpr));
	for (unsigned i = 0; i < N_SELECTORS; i++)
		a->selectors[i] = vendor_segment(vcpu, (enum x86_segment)i).selector;
	a->state.gpr = a->gpr;
	a->state.selectors = a->selectors;
	a->gva = insn->op == X86_OP_PUSH ? pushed_at(vcpu, insn) : insn_linear(vcpu, insn);
}

static bool is_aligned(const struct attempt *a)
{
	return a->gva % a->insn->operand_bytes == 0;
}

/* SDM 3A "Interrupt 17 - Alignment Check Exception (#AC)"; SDM 2 "CMPXCHG8B/CMPXCHG16B". */
static bool is_refused(struct attempt *a)
{
	struct vcpu *vcpu = a->vcpu;

	if (is_aligned(a))
		return false;
	if (a->insn->operand_bytes == 16)
		inject_exception(vcpu, X86_GP, 0);
	else if (vcpu->exit.rflags & X86_RFLAGS_AC && vcpu->regs.cr0 & X86_CR0_AM &&
		 vcpu->exit.cpl == 3)
		inject_exception(vcpu, X86_AC, 0);
	else
		return false;
	return true;
}

/* Read what the instruction reads, find where it writes. Returns false if a fault was injected. To
 * read a device may change it, so nothing is read that the instruction does not read. */
static bool prepare(struct attempt *a)
{
	struct vcpu *vcpu = a->vcpu;
	const struct x86_insn *insn = a->insn;
	bool pushes = insn->op == X86_OP_PUSH;
	bool writes = pushes || x86_writes_operand(insn);

	if (pushes && insn->is_memory &&
		!memory_read(vcpu, insn_linear(vcpu, insn), a->memory, insn->operand_bytes))
		return false;
	if (!memory_prepare(vcpu, a->gva, insn->operand_bytes, &a->place,
		    writes ? UMBRA_WRITE : UMBRA_READ, a->fault))
		return false;
	if (is_refused(a))
		return false;
	if (!pushes && x86_reads_operand(insn)) {
		memory_get(vcpu, &a->place, a->old);
		memcpy(a->memory, a->old, sizeof(a->old));
	}
	return true;
}

/* Returns false if memory has changed since it was read. */
static bool put(struct attempt *a)
{
	umbra_gpa gpa = a->place.gpas[0];

	if (a->vcpu->mmu && x86_is_atomic(a->insn) && is_aligned(a) &&
		memory_ram(a->vcpu->vm, gpa)) {
		switch (umbra_guest_exchange(
			a->vcpu->mmu, gpa, a->old, a->memory, a->insn->operand_bytes)) {
		case UMBRA_EXCHANGE_DONE:
			return true;
		case UMBRA_EXCHANGE_DIFFERS:
			return false;
		case UMBRA_EXCHANGE_REFUSED:
			break;
		}
	}
	memory_put(a->vcpu, &a->place, a->memory);
	return true;
}

bool operand_do(
	struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault, bool must)
{
	struct attempt a;
	bool stores;

	if (!has_operand(insn) || !operand_is_at(vcpu, insn, fault->gva))
		return false;
	begin(&a, vcpu, insn);
	a.fault = fault;
	if (x86_is_atomic(insn) && !is_aligned(&a) && !must)
		return false;
	if (!prepare(&a))
		return true;
	if (!x86_execute(insn, &a.state, a.memory, &stores))
		return false;
	if (stores && !put(&a))
		return true;
	memcpy(vcpu->gpr, a.gpr, sizeof(a.gpr));
	vendor_set_rflags(vcpu, a.state.rflags);
	finish(vcpu, insn, stores ? DEBUG_WRITE : DEBUG_READ, a.gva);
	return true;
}
