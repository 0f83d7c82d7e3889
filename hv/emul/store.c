/* SPDX-License-Identifier: MIT */
/*
 * Stores that the library has the host perform: what is done with each. In this order:
 *
 * 1. A plain store into one page: done.
 * 2. A repeated string instruction that has much of the page to write: the frame is given up as a
 *    table, and the guest goes on by itself. One exit.
 * 3. What else is known of operands and of strings: done.
 * 4. Anything else: the frame is given up, and the guest does it. Unless that does not help, as
 *    somebody watches the frame, or as the same store comes again: then whatever can be done here
 *    is, and the rest stops the guest.
 */
#include "hv/emul/emul.h"
#include "hv/emul/implicit.h"
#include "hv/emul/operand.h"
#include "hv/emul/string.h"
#include "hv/emul/vector.h"

static _Noreturn void stop(struct vcpu *vcpu, umbra_gpa gpa, const char *why)
{
	vm_stop(vcpu, "a store to %lx at rip %lx cannot be done for the guest, nor by it: %s", gpa,
		vcpu->exit.rip, why);
}

/* Giving up the table did not help, or is not enough. Returns false if nobody knows the
 * instruction. */
static bool do_whatever_it_takes(
	struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault)
{
	if (string_is(insn)) {
		string_do(vcpu, insn, fault);
		return true;
	}
	return operand_do(vcpu, insn, fault, true) || vector_store(vcpu, insn, fault);
}

/* 4. @insn is NULL if it is not known, or an event was being delivered. */
static void leave_to_guest(
	struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault)
{
	unsigned n_times = stuck_note(vcpu);

	if (n_times == 0 && umbra_unshadow(vcpu->mmu, fault->gpa))
		return;
	if (insn && do_whatever_it_takes(vcpu, insn, fault))
		return;
	if (!umbra_unshadow(vcpu->mmu, fault->gpa))
		stop(vcpu, fault->gpa, "the frame is watched, or no RAM");
	if (n_times >= STUCK_TIMES)
		stop(vcpu, fault->gpa,
			"it makes no progress, as it writes a page table that it needs itself, or "
			"breaks through the guest's own protection (CR0.WP=0 with CR4.SMEP, SMAP, "
			"PKE or PKS)");
}

/* 2 to 4. */
static __attribute__((noinline)) void other_store(
	struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva, const struct umbra_exit *out)
{
	struct memory_fault fault = {.gva = gva, .gpa = out->gpa, .granted = true};

	if (!insn || !operand_is_at(vcpu, insn, gva)) {
		if (!implicit_inject(vcpu, gva, out))
			leave_to_guest(vcpu, NULL, &fault);
	} else if (string_is(insn)) {
		if (string_is_long(vcpu, insn))
			leave_to_guest(vcpu, insn, &fault);
		else
			string_do(vcpu, insn, &fault);
	} else if (!operand_do(vcpu, insn, &fault, false)) {
		leave_to_guest(vcpu, insn, &fault);
	}
}

void emulate_store(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out)
{
	const struct known_insn *known = NULL;
	enum insn_status status;
	struct vendor_event event;

	/* Or the store is the processor's own, onto a stack or into a descriptor. */
	if (likely(!vendor_vectoring(vcpu, &event))) {
		known = insn_at_rip(vcpu, &status);
		if (unlikely(status == INSN_RETRY))
			return;
		if (likely(known && operand_store(vcpu, known, gva, out->gpa)))
			return;
	}
	other_store(vcpu, known ? &known->insn : NULL, gva, out);
}
