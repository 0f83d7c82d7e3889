/* SPDX-License-Identifier: MIT */
/*
 * Instructions done for the guest: stores into its page tables, and accesses to memory that is not
 * there. What is not understood costs speed in the first case (the table is given up and the guest
 * does its store), and the guest in the second, with a report.
 */
#include "hv/vm/debug.h"
#include "hv/vm/vcpu.h"
#include "x86/execute.h"

#define RFLAGS_DF (1ull << 10)

/* A store that was given up and comes again this soon may make no progress: it needs the very table
 * it writes to be shadowed. After so many times it is certain. */
#define STUCK_TIMES 256u
#define STUCK_EXITS 16u

static bool is_string(const struct x86_insn *insn)
{
	return insn->op == X86_OP_STOS || insn->op == X86_OP_MOVS;
}

static uint64_t string_mask(const struct x86_insn *insn)
{
	return insn->address_bytes == 8 ? ~0ull : (1ull << 8 * insn->address_bytes) - 1;
}

static umbra_gva string_destination(struct vcpu *vcpu, const struct x86_insn *insn)
{
	return insn_linear_at(vcpu, X86_SEG_ES, vcpu->gpr[X86_RDI] & string_mask(insn));
}

/* Move the registers of a string instruction past @n elements, and RIP past it if that was all. */
static void string_advance(struct vcpu *vcpu, const struct x86_insn *insn, uint64_t n)
{
	uint64_t step = vcpu->exit.rflags & RFLAGS_DF ? -(uint64_t)insn->operand_bytes
						      : insn->operand_bytes;
	uint64_t *gpr = vcpu->gpr;
	uint64_t left;

	x86_gpr_write(insn, gpr, X86_RDI, insn->address_bytes, gpr[X86_RDI] + n * step);
	if (insn->op == X86_OP_MOVS)
		x86_gpr_write(insn, gpr, X86_RSI, insn->address_bytes, gpr[X86_RSI] + n * step);
	if (!insn->rep) {
		vendor_advance(vcpu, insn->length);
		return;
	}
	left = (gpr[X86_RCX] - n) & string_mask(insn);
	x86_gpr_write(insn, gpr, X86_RCX, insn->address_bytes, left);
	vendor_advance(vcpu, left == 0 ? insn->length : 0);
}

/* Elements of a string instruction from @gva on that begin in the same page, at most those that are
 * left. One in 16- and 32-bit code, where the next may be beyond the segment's limit, or wrap; and
 * with TF or a breakpoint, which trap after each. */
static uint64_t string_in_page(const struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva)
{
	uint64_t offset = gva % X86_PAGE_SIZE;
	uint64_t left = insn->rep ? vcpu->gpr[X86_RCX] & string_mask(insn) : 1;
	uint64_t fits;

	if (vendor_code_size(vcpu) != X86_CODE_64 || vcpu->exit.rflags & X86_RFLAGS_TF ||
		debug_armed(vcpu))
		return 1;
	if (vcpu->exit.rflags & RFLAGS_DF)
		fits = offset / insn->operand_bytes + 1;
	else
		fits = (X86_PAGE_SIZE - offset + insn->operand_bytes - 1) / insn->operand_bytes;
	return left < fits ? left : fits;
}

/* Is @gva where the explicit memory operand is (or its part in a second page)? */
static bool operand_is_at(struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva)
{
	unsigned n_bytes = insn->operand_bytes ? insn->operand_bytes : 64;
	umbra_gva first =
		is_string(insn) ? string_destination(vcpu, insn) : insn_linear(vcpu, insn);

	return gva == EMULATE_ANY_GVA || insn_linear_add(vcpu, gva, -first) < n_bytes;
}

/*
 * The #PF in @out is for an access that the processor makes by itself, to a descriptor, whatever
 * EFLAGS.AC says. Was it one? Then it is injected. @insn: the instruction at RIP, or NULL if an
 * event was being delivered. SDM 3A "Access Rights": implicit supervisor-mode accesses.
 */
static bool inject_if_implicit(
	struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva, const struct umbra_exit *out)
{
	static const enum x86_segment tables[] = {X86_SEG_LDTR, X86_SEG_TR};
	struct vendor_segment table;
	bool found;

	if (out->vector != X86_PF)
		return false;
	if (insn && (insn->is_memory || is_string(insn)) && operand_is_at(vcpu, insn, gva))
		return false;
	table = vendor_gdt(vcpu);
	found = gva - table.base <= table.limit;
	for (unsigned i = 0; i < 2; i++) {
		table = vendor_segment(vcpu, tables[i]);
		found |= gva - table.base <= table.limit;
	}
	if (found)
		inject_outcome(vcpu, out);
	return found;
}

/* ---- stores into page tables ---- */

static uint64_t load(const void *ram, unsigned n_bytes)
{
	uint64_t value = 0;

	/* At once, where the guest has one entry. */
	if (n_bytes == sizeof(value))
		__builtin_memcpy(&value, ram, sizeof(value));
	else
		memcpy(&value, ram, n_bytes);
	return value;
}

/* Do the store at RIP if it is a plain one to @gva. Returns false if it has to be done by the
 * guest. */
static bool do_table_store(
	struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva, umbra_gpa gpa)
{
	struct x86_state state = {.gpr = vcpu->gpr, .rflags = vcpu->exit.rflags};
	const void *ram = memory_ram(vcpu->vm, gpa);
	uint64_t value;
	bool stores;

	if (!ram || !insn->is_memory || insn->form == X86_FORM_REG_RM ||
		insn->form == X86_FORM_ACC_MEM)
		return false;
	if (insn_linear(vcpu, insn) != gva ||
		gpa % X86_PAGE_SIZE + insn->operand_bytes > X86_PAGE_SIZE)
		return false;
	value = load(ram, insn->operand_bytes);
	if (!x86_execute(insn, &state, &value, &stores) || !stores)
		return false;
	if (!umbra_guest_write(vcpu->mmu, gpa, &value, insn->operand_bytes))
		panic("the MMU library refuses a store to RAM at %lx", gpa);
	vendor_set_rflags(vcpu, state.rflags);
	vendor_advance(vcpu, insn->length);
	debug_access(vcpu, DEBUG_WRITE, gva, insn->operand_bytes);
	return true;
}

/* Note that a store is given up. Returns how many times in a row the same one was. Its address does
 * not count: in two pages it may be refused by turns. */
static unsigned note_given_up(struct vcpu *vcpu)
{
	struct stuck_store *last = &vcpu->stuck;
	bool again = last->rip == vcpu->exit.rip && vcpu->n_exits - last->n_exits <= STUCK_EXITS &&
		     memcmp(last->gpr, vcpu->gpr, sizeof(last->gpr)) == 0;

	last->n_times = again ? last->n_times + 1 : 0;
	last->n_exits = vcpu->n_exits;
	last->rip = vcpu->exit.rip;
	memcpy(last->gpr, vcpu->gpr, sizeof(last->gpr));
	return last->n_times;
}

/* One element of a string instruction that writes a table it needs itself. */
static void string_one(struct vcpu *vcpu, const struct x86_insn *insn)
{
	umbra_gva to = string_destination(vcpu, insn);
	umbra_gva from =
		insn_linear_at(vcpu, insn->segment, vcpu->gpr[X86_RSI] & string_mask(insn));
	uint64_t value = vcpu->gpr[X86_RAX];
	bool loads = insn->op == X86_OP_MOVS;

	if (loads && !memory_read(vcpu, from, &value, insn->operand_bytes))
		return;
	if (!memory_write(vcpu, to, &value, insn->operand_bytes))
		return;
	string_advance(vcpu, insn, 1);
	if (loads)
		debug_access(vcpu, DEBUG_READ, from, insn->operand_bytes);
	debug_access(vcpu, DEBUG_WRITE, to, insn->operand_bytes);
}

/* The load, the change and the store of a plain instruction, wherever its operand is: in two pages,
 * in a device. Returns false, and nothing happened, if it is none. */
static bool do_any_store(struct vcpu *vcpu, const struct x86_insn *insn)
{
	uint64_t gpr[X86_GPRS];
	struct x86_state state = {.gpr = gpr, .rflags = vcpu->exit.rflags};
	uint64_t value = 0;
	bool stores;
	umbra_gva gva;

	if (!insn->is_memory || insn->op == X86_OP_OTHER || insn->op == X86_OP_STORE)
		return false;
	gva = insn_linear(vcpu, insn);
	/* To read a device may change it, so only what the instruction itself reads is read. */
	if (insn->op != X86_OP_MOV && !memory_read(vcpu, gva, &value, insn->operand_bytes))
		return true;
	memcpy(gpr, vcpu->gpr, sizeof(gpr));
	if (!x86_execute(insn, &state, &value, &stores))
		return false;
	if (stores && !memory_write(vcpu, gva, &value, insn->operand_bytes))
		return true;
	memcpy(vcpu->gpr, gpr, sizeof(gpr));
	vendor_set_rflags(vcpu, state.rflags);
	vendor_advance(vcpu, insn->length);
	debug_access(vcpu, stores ? DEBUG_WRITE : DEBUG_READ, gva, insn->operand_bytes);
	return true;
}

/* Do the store that giving up a table does not help. Returns false if it cannot be done here. */
static bool do_stuck_store(struct vcpu *vcpu, const struct x86_insn *insn)
{
	if (!is_string(insn))
		return do_any_store(vcpu, insn);
	string_one(vcpu, insn);
	return true;
}

void emulate_table_store(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out)
{
	enum insn_status status = INSN_UNKNOWN;
	umbra_gpa gpa = out->gpa;
	struct vendor_event event;
	struct x86_insn insn;
	unsigned n_times;

	/* Or the store is the processor's own, onto a stack or into a descriptor. */
	if (!vendor_vectoring(vcpu, &event)) {
		status = insn_decode(vcpu, &insn);
		if (status == INSN_RETRY ||
			(status == INSN_OK && do_table_store(vcpu, &insn, gva, gpa)))
			return;
	}
	if (inject_if_implicit(vcpu, status == INSN_OK ? &insn : NULL, gva, out))
		return;
	n_times = note_given_up(vcpu);
	if (n_times > 0 && status == INSN_OK && do_stuck_store(vcpu, &insn))
		return;
	if (n_times >= STUCK_TIMES)
		vm_stop(vcpu,
			"a store to %lx at rip %lx makes no progress and is not emulated: it "
			"writes a page table that it needs itself, or breaks through the guest's "
			"own protection (CR0.WP=0 with CR4.SMAP, PKE or PKS)",
			gpa, vcpu->exit.rip);
	umbra_unshadow(vcpu->mmu, gpa);
}

/* ---- memory that is not there ---- */

static _Noreturn void refuse_absent(struct vcpu *vcpu, umbra_gpa gpa, const char *why)
{
	vm_stop(vcpu,
		"access to physical address %lx, where there is no memory for the guest, at rip "
		"%lx: %s",
		gpa, vcpu->exit.rip, why);
}

static void absent_string(
	struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva, umbra_gpa gpa)
{
	umbra_gva to = string_destination(vcpu, insn);
	uint64_t n = string_in_page(vcpu, insn, to);

	if (!operand_is_at(vcpu, insn, gva))
		refuse_absent(vcpu, gpa, "not the destination of the string instruction there");
	string_advance(vcpu, insn, n);
	if (vcpu->exit.rflags & RFLAGS_DF)
		to -= (n - 1) * insn->operand_bytes;
	debug_access(vcpu, DEBUG_WRITE, to, n * insn->operand_bytes);
}

void emulate_absent(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out)
{
	struct x86_state state = {.gpr = vcpu->gpr, .rflags = vcpu->exit.rflags};
	umbra_gpa gpa = out->gpa;
	struct vendor_event event;
	struct x86_insn insn;
	uint64_t value = ~0ull;
	bool stores = true;

	if (vendor_vectoring(vcpu, &event)) {
		if (inject_if_implicit(vcpu, NULL, gva, out))
			return;
		refuse_absent(vcpu, gpa, "while an interrupt or exception was being delivered");
	}
	switch (insn_decode(vcpu, &insn)) {
	case INSN_RETRY:
		return;
	case INSN_UNKNOWN:
		refuse_absent(vcpu, gpa, "an instruction that cannot be decoded");
	case INSN_OK:
		break;
	}
	if (inject_if_implicit(vcpu, &insn, gva, out))
		return;
	if (is_string(&insn)) {
		absent_string(vcpu, &insn, gva, gpa);
		return;
	}
	if (!insn.is_memory || !operand_is_at(vcpu, &insn, gva))
		refuse_absent(vcpu, gpa, "not by the operand of the instruction there");
	gva = insn_linear(vcpu, &insn);
	if (insn.op != X86_OP_STORE && !x86_execute(&insn, &state, &value, &stores))
		refuse_absent(vcpu, gpa, "by an instruction that is not emulated");
	vendor_set_rflags(vcpu, state.rflags);
	vendor_advance(vcpu, insn.length);
	debug_access(vcpu, stores ? DEBUG_WRITE : DEBUG_READ, gva,
		insn.operand_bytes ? insn.operand_bytes : 1);
}
