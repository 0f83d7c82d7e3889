/* SPDX-License-Identifier: MIT */
/*
 * What a hardware task switch reads and replaces, in the VMCB and in the processor. APM 2 "Task
 * Switch Intercept".
 */
#include "hv/arch/svm/svm.h"

/* EXITINFO2. */
#define INFO_IRET      (1ull << 36)
#define INFO_JMP       (1ull << 38)
#define INFO_HAS_ERROR (1ull << 44)
#define INFO_RF        (1ull << 48)

static struct vendor_segment segment_of(const struct vmcb_segment *from)
{
	return (struct vendor_segment){
		.selector = from->selector,
		.attributes = from->attributes,
		.limit = from->limit,
		.base = from->base,
	};
}

static struct vmcb_segment to_vmcb(const struct vendor_segment *from)
{
	return (struct vmcb_segment){
		.selector = from->selector,
		.attributes = from->attributes,
		.limit = from->limit,
		.base = from->base,
	};
}

void vendor_task_get(struct vcpu *vcpu, struct vendor_task *task)
{
	const struct vmcb_save *save = &vcpu->arch->vmcb.save;

	/* FS, GS, TR and LDTR were left in the processor. */
	__asm__ volatile("vmsave %0" : : "a"(vcpu->arch->vmcb_phys) : "memory");
	task->segments[X86_SEG_ES] = segment_of(&save->es);
	task->segments[X86_SEG_CS] = segment_of(&save->cs);
	task->segments[X86_SEG_SS] = segment_of(&save->ss);
	task->segments[X86_SEG_DS] = segment_of(&save->ds);
	task->segments[X86_SEG_FS] = segment_of(&save->fs);
	task->segments[X86_SEG_GS] = segment_of(&save->gs);
	task->ldtr = segment_of(&save->ldtr);
	task->tr = segment_of(&save->tr);
	task->rip = save->rip;
	task->rflags = save->rflags;
	task->dr7 = save->dr7;
	task->cpl = save->cpl;
}

void vendor_task_set(struct vcpu *vcpu, const struct vendor_task *task)
{
	struct vmcb *vmcb = &vcpu->arch->vmcb;
	struct vmcb_save *save = &vmcb->save;

	save->es = to_vmcb(&task->segments[X86_SEG_ES]);
	save->cs = to_vmcb(&task->segments[X86_SEG_CS]);
	save->ss = to_vmcb(&task->segments[X86_SEG_SS]);
	save->ds = to_vmcb(&task->segments[X86_SEG_DS]);
	save->fs = to_vmcb(&task->segments[X86_SEG_FS]);
	save->gs = to_vmcb(&task->segments[X86_SEG_GS]);
	save->ldtr = to_vmcb(&task->ldtr);
	save->tr = to_vmcb(&task->tr);
	save->rip = task->rip;
	save->rflags = task->rflags;
	save->dr7 = task->dr7;
	save->cpl = (uint8_t)task->cpl;
	vmcb->int_state &= ~SVM_INT_STATE_SHADOW;
	__asm__ volatile("vmload %0" : : "a"(vcpu->arch->vmcb_phys) : "memory");
}

struct vendor_segment vendor_gdt(const struct vcpu *vcpu)
{
	return segment_of(&vcpu->arch->vmcb.save.gdtr);
}

struct vendor_task_switch vendor_task_switch(const struct vcpu *vcpu)
{
	uint64_t info = vcpu->exit.info2;
	struct vendor_task_switch result = {
		.selector = (uint16_t)vcpu->exit.info1,
		.has_error = info & INFO_HAS_ERROR,
		.error_code = (uint32_t)info,
		.rf = info & INFO_RF,
	};

	if (info & INFO_IRET)
		result.cause = TASK_IRET;
	else if (info & INFO_JMP)
		result.cause = TASK_JMP;
	else if (vcpu->arch->vmcb.exit_int_info & SVM_EVENT_VALID)
		result.cause = TASK_GATE;
	else
		result.cause = TASK_CALL;
	return result;
}
