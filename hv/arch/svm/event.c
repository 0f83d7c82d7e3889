/* SPDX-License-Identifier: MIT */
/*
 * Events: what the exit broke off, what is delivered at the next entry, NMIs and SMIs, and the
 * debug exceptions that are owed for an instruction that was done for the guest. APM 2 "Event
 * Injection", "Exception and Interrupt Intercepts".
 */
#include "hv/arch/cpu.h"
#include "hv/arch/svm/svm.h"
#include "hv/core/trap.h"
#include "hv/vm/combine.h"

#define OVERFLOW 4 /* the vector of INTO */

/* TCG calls every event an exception, and VMRUN would reject some of those. Is this one? Exceptions
 * with these vectors are intercepted there, so they come of an injection only. */
static bool is_exception(const struct vendor_vcpu *arch, uint64_t info, uint8_t vector)
{
	const uint32_t injected_only = 1u << X86_DF | 1u << X86_TS | 1u << X86_NP | 1u << X86_SS |
				       1u << X86_GP | 1u << X86_PF;

	if (vector >= 32 || vector == X86_NMI)
		return false;
	return !svm_features.injects_alone || !(injected_only >> vector & 1) ||
	       info == arch->injected;
}

static __attribute__((noinline)) void describe(
	const struct vendor_vcpu *arch, uint64_t info, struct vendor_event *event)
{
	uint64_t type = info >> SVM_EVENT_TYPE_SHIFT & 7;
	uint8_t vector = (uint8_t)(info & SVM_EVENT_VECTOR);

	*event = (struct vendor_event){.vector = vector};
	if (type == SVM_TYPE_EXCEPTION && is_exception(arch, info, vector)) {
		event->has_error = info & SVM_EVENT_ERROR_VALID;
		event->error_code = (uint32_t)(info >> SVM_EVENT_ERROR_SHIFT);
		/* INT3 and INTO execute again, like INT n. */
		event->type =
			vector == X86_BP || vector == OVERFLOW ? EVENT_SOFTWARE : EVENT_EXCEPTION;
	} else if (type == SVM_TYPE_SOFTWARE) {
		event->type = EVENT_SOFTWARE;
	} else {
		event->type =
			type == SVM_TYPE_NMI || vector == X86_NMI ? EVENT_NMI : EVENT_INTERRUPT;
	}
}

bool vendor_vectoring(const struct vcpu *vcpu, struct vendor_event *event)
{
	uint64_t info = vcpu->arch->vmcb.exit_int_info;

	if (likely(!(info & SVM_EVENT_VALID)))
		return false;
	describe(vcpu->arch, info, event);
	return true;
}

uint8_t vendor_exception(const struct vcpu *vcpu)
{
	return (uint8_t)(vcpu->exit.code - SVM_EXIT_EXCEPTION);
}

static void set_injection(struct vcpu *vcpu, uint64_t inject)
{
	struct vmcb *vmcb = &vcpu->arch->vmcb;

	vmcb->event_inject = inject;
	vcpu->arch->injected = inject;
	/* Its handler begins outside the shadow of the instruction before. */
	vmcb->int_state &= ~SVM_INT_STATE_SHADOW;
}

void vendor_inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error_code)
{
	uint64_t inject = SVM_EVENT_VALID | SVM_TYPE_EXCEPTION << SVM_EVENT_TYPE_SHIFT | vector;

	if (has_error)
		inject |= SVM_EVENT_ERROR_VALID | (uint64_t)error_code << SVM_EVENT_ERROR_SHIFT;
	if (exception_is_fault(vector))
		vcpu->arch->vmcb.save.rflags |= X86_RFLAGS_RF;
	set_injection(vcpu, inject);
}

void vendor_inject(struct vcpu *vcpu, const struct vendor_event *event)
{
	static const uint8_t types[] = {
		[EVENT_INTERRUPT] = SVM_TYPE_INTERRUPT,
		[EVENT_NMI] = SVM_TYPE_NMI,
		[EVENT_SOFTWARE] = SVM_TYPE_SOFTWARE,
	};

	if (event->type == EVENT_EXCEPTION)
		vendor_inject_exception(vcpu, event->vector, event->has_error, event->error_code);
	else
		set_injection(vcpu, SVM_EVENT_VALID |
					    (uint64_t)types[event->type] << SVM_EVENT_TYPE_SHIFT |
					    event->vector);
}

void vendor_event_done(struct vcpu *vcpu)
{
	vcpu->arch->vmcb.event_inject = 0;
}

void svm_redeliver(struct vcpu *vcpu)
{
	struct vendor_event event;

	if (vendor_vectoring(vcpu, &event) && event.type != EVENT_SOFTWARE)
		vendor_inject(vcpu, &event);
}

/* ---- debug exceptions ---- */

/* SDM 3B "Debug Registers"; APM 2 "Debug-Status Register (DR6)", "Debug-Control MSR". */
#define DR7_GENERAL_DETECT   (1ull << 13)
#define MSR_DEBUG_CONTROL    0x1d9u
#define DEBUG_CONTROL_BRANCH (1ull << 1)

void vendor_debug_trap(struct vcpu *vcpu, uint64_t dr6)
{
	struct vmcb_save *save = &vcpu->arch->vmcb.save;

	/* An injected #DB does to DR6 and DR7 only what is done here. */
	save->dr6 |= dr6;
	save->dr7 &= ~DR7_GENERAL_DETECT;
	vendor_inject_exception(vcpu, X86_DB, false, 0);
}

uint64_t vendor_dr7(const struct vcpu *vcpu)
{
	return vcpu->arch->vmcb.save.dr7;
}

void vendor_debug_addresses(uint64_t dr[4])
{
	/* The processor does not switch these four. */
	__asm__ volatile("mov %%db0, %0\n\tmov %%db1, %1\n\tmov %%db2, %2\n\tmov %%db3, %3"
			 : "=r"(dr[0]), "=r"(dr[1]), "=r"(dr[2]), "=r"(dr[3]));
}

/* TF: a trap after every instruction, or, with DebugCtl.BTF, only after branches, of which none is
 * done for the guest. */
static __attribute__((noinline)) void single_step(struct vcpu *vcpu)
{
	if (!(rdmsr(MSR_DEBUG_CONTROL) & DEBUG_CONTROL_BRANCH))
		vendor_debug_trap(vcpu, X86_DR6_BS);
}

void vendor_advance(struct vcpu *vcpu, unsigned n_bytes)
{
	struct vmcb *vmcb = &vcpu->arch->vmcb;
	uint64_t rip = vmcb->save.rip + n_bytes;

	if (vendor_code_size(vcpu) != X86_CODE_64)
		rip = (uint32_t)rip;
	vmcb->save.rip = rip;
	vmcb->int_state &= ~SVM_INT_STATE_SHADOW;
	if (unlikely(vmcb->save.rflags & X86_RFLAGS_TF))
		single_step(vcpu);
	/* Between two rounds of a string instruction RF is set, as in the image that an interrupt
	 * would push: a breakpoint on the instruction is not met again. SDM 3B "Instruction-
	 * Breakpoint Exception Condition". */
	if (likely(n_bytes))
		vmcb->save.rflags &= ~X86_RFLAGS_RF;
	else
		vmcb->save.rflags |= X86_RFLAGS_RF;
}

/* ---- NMI, SMI ---- */

bool vendor_window(void)
{
	uint32_t n_nmis = trap_nmis;

	/* An intercepted NMI or SMI stays pending. With GIF set and IF clear it arrives here: the
	 * NMI gate of the hypervisor's IDT counts and returns, SMM does its work. */
	__asm__ volatile("stgi\n\tnop\n\tnop\n\tclgi" : : : "memory");
	return trap_nmis != n_nmis;
}

void vendor_pass_nmi(struct vcpu *vcpu)
{
	uint32_t *intercepts = &vcpu->arch->vmcb.intercepts[0];

	*intercepts = (*intercepts & ~SVM_I1_NMI) | SVM_I1_IRET;
}

bool vendor_nmi_returns(struct vcpu *vcpu)
{
	uint32_t *intercepts = &vcpu->arch->vmcb.intercepts[0];

	if (vcpu->exit.code != SVM_EXIT_IRET)
		return false;
	*intercepts = (*intercepts & ~SVM_I1_IRET) | SVM_I1_NMI;
	return true;
}

void vendor_unblock_nmi(void)
{
	uint64_t scratch;

	/* IRET to the next instruction. */
	__asm__ volatile("mov %%ss, %k0\n\tpush %q0\n\tlea 8(%%rsp), %q0\n\tpush %q0\n\tpushf\n\t"
			 "mov %%cs, %k0\n\tpush %q0\n\tlea 1f(%%rip), %q0\n\tpush %q0\n\tiretq\n1:"
			 : "=&r"(scratch)
			 :
			 : "memory");
	(void)scratch;
}
