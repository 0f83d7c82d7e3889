/* SPDX-License-Identifier: MIT */
/*
 * A hardware task switch from beginning to end. All that can fault for the old task's sake comes
 * before the first change: descriptors and both TSSs are translated, the new page tables loaded.
 */
#include "hv/vm/task.h"

/* What EFLAGS can hold. SDM 3A "EFLAGS Register"; VM of a 32-bit TSS among them. */
#define EFLAGS_DEFINED 0x003f7fd5u
#define EFLAGS_ONE     2u
/* SDM 3B "Debug Control Register (DR7)": L0 to L3 and LE belong to a task. */
#define DR7_LOCAL 0x155u

#define SELECTOR_TABLE    4u
#define ERROR_SELECTOR    0xfffcu
#define ERROR_EXTERNAL    1u
#define DESCRIPTOR_BYTES  8u
#define DESCRIPTOR_ACCESS 5u

/* One switch. */
struct task_switch {
	struct vcpu *vcpu;
	struct vendor_task_switch asked;
	uint32_t old_eip; /* where the old task will go on */
	uint32_t ext;     /* EXT of error codes: the program did not ask for this */
	struct vendor_task task;
	const struct task_format *old, *new; /* formats of their TSSs */
	struct vendor_segment new_tr;
	struct task_image image; /* of the new task */
	/* All that is written before the new task's own accesses. */
	struct system_span old_tss, link, old_access, new_access;
	struct umbra_exit fault;
};

static const struct system_access READ = {.write = false};
static const struct system_access WRITE = {.write = true};

static bool refuse(struct task_switch *sw, enum x86_vector vector, uint32_t selector)
{
	sw->fault = (struct umbra_exit){
		.vector = vector,
		.error_code = (selector & ERROR_SELECTOR) | sw->ext,
	};
	return false;
}

/* Is the old task one that will be returned to, by IRET? */
static bool nests(const struct task_switch *sw)
{
	return sw->asked.cause == TASK_CALL || sw->asked.cause == TASK_GATE;
}

/* Linear address of the descriptor of TSS @selector. */
static umbra_gva descriptor_gva(const struct task_switch *sw, uint16_t selector)
{
	return (uint32_t)(vendor_gdt(sw->vcpu).base + (selector & ~7u));
}

static const struct task_format *format_of(const struct vendor_segment *tr)
{
	return tr->attributes & TASK_TYPE_32 ? &task_format_32 : &task_format_16;
}

/* The new TSS's descriptor. Returns false for a fault of the old task, here and up to load_root().
 */
static bool find_tss(struct task_switch *sw)
{
	bool back = sw->asked.cause == TASK_IRET;
	enum x86_vector vector = back ? X86_TS : X86_GP;
	uint16_t selector = sw->asked.selector;
	uint16_t wanted = back ? TASK_TYPE_TSS | TASK_TYPE_BUSY : TASK_TYPE_TSS;
	struct system_span span;
	uint64_t descriptor;
	uint16_t kind;

	if (selector & SELECTOR_TABLE ||
		(selector & ~7u) + DESCRIPTOR_BYTES - 1 > vendor_gdt(sw->vcpu).limit)
		return refuse(sw, vector, selector);
	if (!system_prepare(sw->vcpu, descriptor_gva(sw, selector), DESCRIPTOR_BYTES, READ, &span,
		    &sw->fault))
		return false;
	system_read(sw->vcpu, &span, &descriptor);
	sw->new_tr = task_unpack(selector, descriptor);
	kind = sw->new_tr.attributes & (SEGMENT_NO_SYSTEM | SEGMENT_TYPE);
	sw->new = format_of(&sw->new_tr);
	if ((kind & ~TASK_TYPE_32) != wanted)
		return refuse(sw, vector, selector);
	if (!(sw->new_tr.attributes & SEGMENT_PRESENT))
		return refuse(sw, X86_NP, selector);
	if (sw->new_tr.limit < sw->new->n_bytes - 1)
		return refuse(sw, X86_TS, selector);
	return true;
}

/* The access byte of TSS @selector's descriptor, to write its busy bit. */
static bool prepare_access(struct task_switch *sw, uint16_t selector, struct system_span *span)
{
	return system_prepare(sw->vcpu,
		(uint32_t)(descriptor_gva(sw, selector) + DESCRIPTOR_ACCESS), 1, WRITE, span,
		&sw->fault);
}

/* Translate what will be written: the old task's state, and what tells how to come back. */
static bool prepare_writes(struct task_switch *sw)
{
	const struct vendor_segment *old = &sw->task.tr;

	sw->old = format_of(old);
	if (old->limit < sw->old->n_saved - 1)
		return refuse(sw, X86_TS, old->selector);
	if (!system_prepare(sw->vcpu, (uint32_t)(old->base + sw->old->first),
		    sw->old->n_saved - sw->old->first, WRITE, &sw->old_tss, &sw->fault))
		return false;
	if (nests(sw)) {
		if (!system_prepare(sw->vcpu, sw->new_tr.base, 2, WRITE, &sw->link, &sw->fault))
			return false;
	} else if (!prepare_access(sw, old->selector, &sw->old_access)) {
		return false;
	}
	return sw->asked.cause == TASK_IRET ||
	       prepare_access(sw, sw->new_tr.selector, &sw->new_access);
}

static bool read_new(struct task_switch *sw)
{
	uint8_t bytes[TASK_TSS_MAX];
	struct system_span span;

	if (!system_prepare(sw->vcpu, sw->new_tr.base, sw->new->n_bytes, READ, &span, &sw->fault))
		return false;
	system_read(sw->vcpu, &span, bytes);
	task_image_load(&sw->image, sw->new, bytes);
	return true;
}

/* SDM 3A "Paging": MOV to CR3 in all but name, where the value changes. */
static bool load_root(struct task_switch *sw)
{
	struct umbra_paging_regs *regs = &sw->vcpu->regs;

	if (sw->new != &task_format_32 || !(regs->cr0 & X86_CR0_PG) || sw->image.cr3 == regs->cr3)
		return true;
	if (umbra_load_cr3(sw->vcpu->mmu, sw->image.cr3, &sw->fault) == UMBRA_INJECT)
		return false;
	regs->cr3 = sw->image.cr3;
	return true;
}

static void save_old(struct task_switch *sw)
{
	struct task_image image = {
		.eip = sw->old_eip,
		.eflags = (uint32_t)sw->task.rflags,
	};
	uint8_t bytes[TASK_TSS_MAX];

	image.eflags &= ~(uint32_t)X86_RFLAGS_RF;
	if (sw->asked.rf)
		image.eflags |= (uint32_t)X86_RFLAGS_RF;
	if (sw->asked.cause == TASK_IRET)
		image.eflags &= ~(uint32_t)X86_RFLAGS_NT;
	for (unsigned i = 0; i < 8; i++)
		image.gpr[i] = (uint32_t)sw->vcpu->gpr[i];
	for (unsigned i = 0; i < 6; i++)
		image.selectors[i] = sw->task.segments[i].selector;
	/* The upper halves of selectors are not written. */
	system_read(sw->vcpu, &sw->old_tss, bytes + sw->old->first);
	task_image_save(&image, sw->old, bytes);
	system_write(sw->vcpu, &sw->old_tss, bytes + sw->old->first);
}

static void set_busy(struct task_switch *sw, const struct system_span *span, bool busy)
{
	uint8_t access;

	system_read(sw->vcpu, span, &access);
	access = (uint8_t)(busy ? access | TASK_TYPE_BUSY : access & ~TASK_TYPE_BUSY);
	system_write(sw->vcpu, span, &access);
}

/* SDM 3A "Effect of a Task Switch on Busy Flag, NT Flag, Previous Task Link Field, and TS Flag". */
static void commit(struct task_switch *sw)
{
	struct umbra_paging_regs regs = sw->vcpu->regs;
	uint32_t eflags = sw->image.eflags & EFLAGS_DEFINED;

	save_old(sw);
	if (nests(sw)) {
		system_write(sw->vcpu, &sw->link, &sw->task.tr.selector);
		eflags |= (uint32_t)X86_RFLAGS_NT;
	} else {
		set_busy(sw, &sw->old_access, false);
	}
	if (sw->asked.cause == TASK_IRET)
		vendor_unblock_nmi();
	else
		set_busy(sw, &sw->new_access, true);
	sw->task.tr = sw->new_tr;
	sw->task.tr.attributes |= TASK_TYPE_BUSY;
	sw->task.rip = sw->image.eip;
	sw->task.rflags = eflags | EFLAGS_ONE;
	sw->task.dr7 &= ~(uint64_t)DR7_LOCAL;
	for (unsigned i = 0; i < 8; i++)
		sw->vcpu->gpr[i] = sw->image.gpr[i];
	regs.cr0 |= X86_CR0_TS;
	if (!paging_change(sw->vcpu, &regs))
		panic("the MMU library does not take CR0.TS");
}

/* The error code of an exception that came by way of a task gate. */
static bool push_error(struct task_switch *sw)
{
	const struct vendor_segment *ss = &sw->task.segments[X86_SEG_SS];
	unsigned n_bytes = sw->new->field_bytes;
	struct system_access access = {.write = true,
		.is_explicit = true,
		.cpl = sw->task.cpl,
		.ac = sw->task.rflags & X86_RFLAGS_AC};
	uint64_t mask = ss->attributes & SEGMENT_DB ? 0xffffffffu : 0xffffu;
	uint64_t esp = sw->vcpu->gpr[X86_RSP];
	uint64_t offset = (esp - n_bytes) & mask;
	uint64_t last = offset + n_bytes - 1;
	struct system_span span;

	if (ss->attributes & SEGMENT_EXPANDS ? offset <= ss->limit || last > mask
					     : last > ss->limit)
		return refuse(sw, X86_SS, 0);
	if (!system_prepare(
		    sw->vcpu, (uint32_t)(ss->base + offset), n_bytes, access, &span, &sw->fault))
		return false;
	system_write(sw->vcpu, &span, &sw->asked.error_code);
	sw->vcpu->gpr[X86_RSP] = (esp & ~mask) | offset;
	return true;
}

/* The steps after the commit point. Returns false for a fault of the new task. */
static bool begin_new(struct task_switch *sw)
{
	if (!task_load_segments(sw->vcpu, &sw->task, &sw->image, sw->ext, &sw->fault))
		return false;
	if (sw->asked.has_error && !push_error(sw))
		return false;
	if (sw->image.eip > sw->task.segments[X86_SEG_CS].limit)
		return refuse(sw, X86_GP, 0);
	return true;
}

/* The exit's details. Returns false if the instruction that asked for the switch cannot be read any
 * more, and that was injected. */
static bool begin(struct task_switch *sw)
{
	struct vcpu *vcpu = sw->vcpu;
	bool by_insn = sw->asked.cause != TASK_GATE;
	unsigned length = 0;
	struct vendor_event event;
	struct x86_insn insn;

	if (!by_insn && vendor_vectoring(vcpu, &event)) {
		by_insn = event.type == EVENT_SOFTWARE;
		sw->ext = by_insn ? 0 : ERROR_EXTERNAL;
	}
	if (by_insn)
		length = vendor_insn_length(vcpu);
	if (by_insn && !length) {
		switch (insn_decode(vcpu, &insn)) {
		case INSN_RETRY:
			return false;
		case INSN_UNKNOWN:
			vm_stop(vcpu,
				"cannot decode the instruction that switches tasks at rip %lx",
				vcpu->exit.rip);
		case INSN_OK:
			break;
		}
		length = insn.length;
	}
	vendor_task_get(vcpu, &sw->task);
	sw->old_eip = (uint32_t)sw->task.rip + length;
	return true;
}

void exit_task_switch(struct vcpu *vcpu)
{
	struct task_switch sw = {.vcpu = vcpu, .asked = vendor_task_switch(vcpu)};

	if (!begin(&sw))
		return;
	if (!find_tss(&sw) || !prepare_writes(&sw) || !read_new(&sw) || !load_root(&sw)) {
		inject_outcome(vcpu, &sw.fault);
		return;
	}
	/* Whatever asked for it is delivered by this. */
	vendor_event_done(vcpu);
	commit(&sw);
	if (!begin_new(&sw)) {
		vendor_task_set(vcpu, &sw.task);
		inject_outcome(vcpu, &sw.fault);
		return;
	}
	vendor_task_set(vcpu, &sw.task);
	if (sw.image.trap)
		vendor_debug_trap(vcpu, X86_DR6_BT);
}
