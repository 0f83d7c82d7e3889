/* SPDX-License-Identifier: MIT */
/*
 * The guest's state and the details of an exit, out of the VMCB.
 */
#include "hv/arch/svm/svm.h"

void vendor_set_rflags(struct vcpu *vcpu, uint64_t rflags)
{
	vcpu->arch->vmcb.save.rflags = rflags;
}

void svm_set_cr2(struct vmcb *vmcb, umbra_gva gva)
{
	vmcb->save.cr2 = gva;
	/* Bochs does not load it at VMRUN. */
	__asm__ volatile("mov %0, %%cr2" : : "r"(gva));
}

void vendor_set_cr2(struct vcpu *vcpu, umbra_gva gva)
{
	svm_set_cr2(&vcpu->arch->vmcb, gva);
}

static inline const struct vmcb_segment *segment_of(struct vcpu *vcpu, enum x86_segment segment)
{
	static const uint16_t offsets[] = {
		[X86_SEG_ES] = offsetof(struct vmcb_save, es),
		[X86_SEG_CS] = offsetof(struct vmcb_save, cs),
		[X86_SEG_SS] = offsetof(struct vmcb_save, ss),
		[X86_SEG_DS] = offsetof(struct vmcb_save, ds),
		[X86_SEG_FS] = offsetof(struct vmcb_save, fs),
		[X86_SEG_GS] = offsetof(struct vmcb_save, gs),
		[X86_SEG_LDTR] = offsetof(struct vmcb_save, ldtr),
		[X86_SEG_TR] = offsetof(struct vmcb_save, tr),
	};
	const uint8_t *save = (const uint8_t *)&vcpu->arch->vmcb.save;

	/* These were left in the processor. */
	if (unlikely(segment >= X86_SEG_FS))
		__asm__ volatile("vmsave %0" : : "a"(vcpu->arch->vmcb_phys) : "memory");
	return (const struct vmcb_segment *)(const void *)(save + offsets[segment]);
}

uint64_t vendor_segment_base(struct vcpu *vcpu, enum x86_segment segment)
{
	return segment_of(vcpu, segment)->base;
}

struct vendor_segment vendor_segment(struct vcpu *vcpu, enum x86_segment segment)
{
	const struct vmcb_segment *from = segment_of(vcpu, segment);

	return (struct vendor_segment){from->selector, from->attributes, from->limit, from->base};
}

enum x86_code_size vendor_code_size(const struct vcpu *vcpu)
{
	const struct vmcb_save *save = &vcpu->arch->vmcb.save;

	if (save->efer & X86_EFER_LMA && save->cs.attributes & SEGMENT_L)
		return X86_CODE_64;
	return save->cs.attributes & SEGMENT_DB ? X86_CODE_32 : X86_CODE_16;
}

unsigned vendor_insn_length(const struct vcpu *vcpu)
{
	const struct vmcb *vmcb = &vcpu->arch->vmcb;
	uint64_t length = vmcb->next_rip - vmcb->save.rip;

	return svm_features.next_rip && length <= X86_INSN_MAX ? (unsigned)length : 0;
}

/* EXITINFO1 of a MOV CRx with decode assists. APM 2 "MOV CRx/DRx Intercepts". */
#define CR_INFO_IS_MOV (1ull << 63)

bool vendor_cr_is_write(const struct vcpu *vcpu)
{
	return vendor_exit_is_cr_write(vcpu->exit.code);
}

bool vendor_cr_mov_gpr(const struct vcpu *vcpu, uint8_t *gpr)
{
	*gpr = vcpu->exit.info1 & 15;
	return svm_features.decode_assists && vcpu->exit.info1 & CR_INFO_IS_MOV;
}

/* APM 2 "IOIO Intercept Information". */
#define IO_INFO_IN     (1u << 0)
#define IO_INFO_STRING (1u << 2)

struct io_access vendor_io_access(const struct vcpu *vcpu)
{
	const struct exit_record *exit = &vcpu->exit;

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
	return vcpu->exit.info1 & 1;
}

bool vendor_invlpg_gva(const struct vcpu *vcpu, umbra_gva *gva)
{
	*gva = vcpu->exit.info1;
	return svm_features.decode_assists;
}
