/* SPDX-License-Identifier: MIT */
/*
 * The guest's state and the details of an exit, out of the VMCB.
 */
#include "hv/arch/svm/svm.h"

void vendor_set_rflags(struct vcpu *vcpu, uint64_t rflags)
{
	vcpu->arch->vmcb->save.rflags = rflags;
}

void vendor_set_cr2(struct vcpu *vcpu, umbra_gva gva)
{
	vcpu->arch->vmcb->save.cr2 = gva;
}

uint64_t vendor_segment_base(struct vcpu *vcpu, enum x86_segment segment)
{
	const struct vmcb_save *save = &vcpu->arch->vmcb->save;

	switch (segment) {
	case X86_SEG_ES:
		return save->es.base;
	case X86_SEG_CS:
		return save->cs.base;
	case X86_SEG_SS:
		return save->ss.base;
	case X86_SEG_DS:
		return save->ds.base;
	default:
		/* FS and GS were left in the processor. */
		__asm__ volatile("vmsave %0" : : "a"(vcpu->arch->vmcb_phys) : "memory");
		return segment == X86_SEG_FS ? save->fs.base : save->gs.base;
	}
}

enum x86_code_size vendor_code_size(const struct vcpu *vcpu)
{
	const struct vmcb_save *save = &vcpu->arch->vmcb->save;

	if (save->efer & X86_EFER_LMA && save->cs.attributes & VMCB_ATTR_L)
		return X86_CODE_64;
	return save->cs.attributes & VMCB_ATTR_D ? X86_CODE_32 : X86_CODE_16;
}

#define DR6_SINGLE_STEP (1ull << 14)

void vendor_advance(struct vcpu *vcpu, unsigned n_bytes)
{
	struct vmcb *vmcb = vcpu->arch->vmcb;
	uint64_t rip = vmcb->save.rip + n_bytes;

	if (vendor_code_size(vcpu) != X86_CODE_64)
		rip = (uint32_t)rip;
	vmcb->save.rip = rip;
	/* Elsewhere the shadow is kept across exits; TCG forgets it at VMRUN, which can let an
	 * interrupt in one instruction early. */
	vmcb->int_state &= ~SVM_INT_STATE_SHADOW;
	if (unlikely(vmcb->save.rflags & X86_RFLAGS_TF)) {
		struct vendor_event step = {.type = EVENT_EXCEPTION, .vector = X86_DB};

		vmcb->save.dr6 |= DR6_SINGLE_STEP;
		vendor_inject(vcpu, &step);
	}
	vmcb->save.rflags &= ~X86_RFLAGS_RF;
}

#define OVERFLOW 4 /* the vector of INTO */

bool vendor_vectoring(const struct vcpu *vcpu, struct vendor_event *event)
{
	uint64_t info = vcpu->arch->vmcb->exit_int_info;
	uint64_t type = info >> SVM_EVENT_TYPE_SHIFT & 7;
	uint8_t vector = (uint8_t)(info & SVM_EVENT_VECTOR);

	if (!(info & SVM_EVENT_VALID))
		return false;
	*event = (struct vendor_event){
		.vector = vector,
		.has_error = info & SVM_EVENT_ERROR_VALID,
		.error_code = (uint32_t)(info >> SVM_EVENT_ERROR_SHIFT),
	};
	if (type == SVM_TYPE_SOFTWARE)
		event->type = EVENT_SOFTWARE;
	else if (type == SVM_TYPE_NMI)
		event->type = EVENT_NMI;
	else if (type == SVM_TYPE_INTERRUPT)
		event->type = EVENT_INTERRUPT;
	/* TCG calls every event an exception; VMRUN would reject that. INT3 and INTO execute again,
	 * like INT n. */
	else if (vector >= 32)
		event->type = EVENT_INTERRUPT;
	else if (vector == X86_NMI)
		event->type = EVENT_NMI;
	else
		event->type =
			vector == X86_BP || vector == OVERFLOW ? EVENT_SOFTWARE : EVENT_EXCEPTION;
	return true;
}

void vendor_inject(struct vcpu *vcpu, const struct vendor_event *event)
{
	static const uint8_t types[] = {
		[EVENT_INTERRUPT] = SVM_TYPE_INTERRUPT,
		[EVENT_NMI] = SVM_TYPE_NMI,
		[EVENT_EXCEPTION] = SVM_TYPE_EXCEPTION,
		[EVENT_SOFTWARE] = SVM_TYPE_SOFTWARE,
	};
	uint64_t inject = SVM_EVENT_VALID | event->vector;

	inject |= (uint64_t)types[event->type] << SVM_EVENT_TYPE_SHIFT;
	if (event->has_error)
		inject |= SVM_EVENT_ERROR_VALID | (uint64_t)event->error_code
							  << SVM_EVENT_ERROR_SHIFT;
	vcpu->arch->vmcb->event_inject = inject;
}

unsigned vendor_insn_length(const struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu->arch->vmcb;
	uint64_t length = vmcb->next_rip - vmcb->save.rip;

	return svm_features.next_rip && length <= X86_INSN_MAX ? (unsigned)length : 0;
}

/* EXITINFO1 of a MOV CRx with decode assists. APM 2 "MOV CRx/DRx Intercepts". */
#define CR_INFO_IS_MOV (1ull << 63)

bool vendor_cr_is_write(const struct vcpu *vcpu)
{
	return vcpu->exit->code >= SVM_EXIT_CR0_WRITE;
}

bool vendor_cr_mov_gpr(const struct vcpu *vcpu, uint8_t *gpr)
{
	*gpr = vcpu->exit->info1 & 15;
	return svm_features.decode_assists && vcpu->exit->info1 & CR_INFO_IS_MOV;
}

/* APM 2 "IOIO Intercept Information". */
#define IO_INFO_IN     (1u << 0)
#define IO_INFO_STRING (1u << 2)

struct io_access vendor_io_access(const struct vcpu *vcpu)
{
	const struct exit_record *exit = vcpu->exit;

	return (struct io_access){
		.port = (uint16_t)(exit->info1 >> 16),
		.n_bytes = exit->info1 >> 4 & 7,
		.in = exit->info1 & IO_INFO_IN,
		.string = exit->info1 & IO_INFO_STRING,
		.next_rip = exit->info2,
	};
}

bool vendor_msr_is_write(const struct vcpu *vcpu)
{
	return vcpu->exit->info1 & 1;
}

bool vendor_invlpg_gva(const struct vcpu *vcpu, umbra_gva *gva)
{
	*gva = vcpu->exit->info1;
	return svm_features.decode_assists;
}
