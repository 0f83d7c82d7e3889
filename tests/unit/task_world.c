/* SPDX-License-Identifier: MIT */
/*
 * See task_world.h.
 */
#include "tests/unit/task_world.h"

#include <stdio.h>

struct task_world world;

struct phys_range hv_reserved;
struct vcpu vcpu;

/* ---- what the hypervisor would supply ---- */

_Noreturn void vm_stop(struct vcpu *of, const char *fmt, ...)
{
	(void)of;
	fail_msg("the guest was stopped: %s", fmt);
	abort();
}

void *memory_ram(const struct vm *vm, umbra_gpa gpa)
{
	(void)vm;
	return gpa < RAM_BYTES ? world.ram + gpa : NULL;
}

static bool refused(const struct umbra_page_fault *access, struct umbra_exit *out)
{
	size_t page = access->gva >> X86_PAGE_SHIFT;
	bool write = access->error_code & X86_PF_W;

	assert_true(page < 16);
	if (!world.missing[page] && !(write && world.read_only[page]))
		return false;
	*out = (struct umbra_exit){
		.vector = X86_PF,
		.error_code = access->error_code | (world.missing[page] ? 0 : X86_PF_P),
		.gva = access->gva,
	};
	return true;
}

enum umbra_outcome umbra_page_fault(
	struct umbra_vcpu *mmu, const struct umbra_page_fault *fault, struct umbra_exit *out)
{
	(void)mmu;
	return refused(fault, out) ? UMBRA_INJECT : UMBRA_RESUME;
}

bool umbra_translate(struct umbra_vcpu *mmu, const struct umbra_page_fault *access, umbra_gpa *gpa,
	struct umbra_exit *out)
{
	(void)mmu;
	*gpa = access->gva;
	return !refused(access, out);
}

bool umbra_guest_write(struct umbra_vcpu *mmu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	(void)mmu;
	assert_true(gpa + n_bytes <= RAM_BYTES);
	memcpy(world.ram + gpa, bytes, n_bytes);
	return true;
}

enum umbra_outcome umbra_load_cr3(struct umbra_vcpu *mmu, uint64_t cr3, struct umbra_exit *out)
{
	(void)mmu;
	if (world.bad_root) {
		*out = (struct umbra_exit){.vector = X86_GP};
		return UMBRA_INJECT;
	}
	world.root = cr3;
	return UMBRA_RESUME;
}

bool paging_change(struct vcpu *of, const struct umbra_paging_regs *regs)
{
	of->regs = *regs;
	return true;
}

void inject_outcome(struct vcpu *of, const struct umbra_exit *out)
{
	(void)of;
	world.injected = *out;
}

enum insn_status insn_decode(struct vcpu *of, struct x86_insn *insn)
{
	(void)of;
	insn->length = (uint8_t)world.insn_length;
	return INSN_OK;
}

unsigned vendor_insn_length(const struct vcpu *of)
{
	(void)of;
	return 0;
}

bool vendor_vectoring(const struct vcpu *of, struct vendor_event *event)
{
	(void)of;
	*event = world.event;
	return world.delivering;
}

void vendor_event_done(struct vcpu *of)
{
	(void)of;
	world.done = true;
}

void vendor_unblock_nmi(void)
{
	world.unblocked = true;
}

void vendor_debug_trap(struct vcpu *of, uint64_t dr6)
{
	(void)of;
	world.dr6 = dr6;
}

void vendor_task_get(struct vcpu *of, struct vendor_task *task)
{
	(void)of;
	*task = world.task;
}

void vendor_task_set(struct vcpu *of, const struct vendor_task *task)
{
	(void)of;
	world.task = *task;
}

struct vendor_segment vendor_gdt(const struct vcpu *of)
{
	(void)of;
	return (struct vendor_segment){.base = world.gdt, .limit = 0x4f};
}

struct vendor_task_switch vendor_task_switch(const struct vcpu *of)
{
	(void)of;
	return world.asked;
}

/* ---- the world ---- */

void world_store(unsigned at, uint64_t value, size_t n_bytes)
{
	memcpy(world.ram + at, &value, n_bytes);
}

uint32_t world_load(unsigned at, size_t n_bytes)
{
	uint32_t value = 0;

	memcpy(&value, world.ram + at, n_bytes);
	return value;
}

void world_describe(
	unsigned selector, uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	world_store(GDT + (selector & ~7u),
		(limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
			(uint64_t)(limit & 0xf0000) << 32 | (uint64_t)flags << 52 |
			(uint64_t)(base & 0xff000000) << 32,
		8);
}

unsigned world_access_byte(unsigned selector)
{
	return world_load(GDT + selector + 5, 1);
}

static void make_new_tss_32(void)
{
	static const uint16_t segments[] = {DATA, CODE, DATA, DATA, DATA, DATA};

	memset(world.ram + NEW_TSS, 0, TASK_TSS_MAX);
	world_store(NEW_TSS + 0x1c, 0x7000, 4);
	world_store(NEW_TSS + 0x20, 0x401000, 4);
	world_store(NEW_TSS + 0x24, 0x206, 4);
	for (unsigned i = 0; i < 8; i++)
		world_store(
			NEW_TSS + 0x28 + 4 * i, i == X86_RSP ? STACK : 0x20202020u * (i + 1), 4);
	for (unsigned i = 0; i < 6; i++)
		world_store(NEW_TSS + 0x48 + 4 * i, segments[i], 2);
}

void world_make_new_tss_16(void)
{
	static const uint16_t segments[] = {DATA, CODE, DATA, DATA};

	memset(world.ram + NEW_TSS, 0, TASK_TSS_MAX);
	world_store(NEW_TSS + 0x0e, 0x1234, 2);
	world_store(NEW_TSS + 0x10, 0x206, 2);
	for (unsigned i = 0; i < 8; i++)
		world_store(NEW_TSS + 0x12 + 2 * i, i == X86_RSP ? STACK : 0x2020u * (i + 1), 2);
	for (unsigned i = 0; i < 4; i++)
		world_store(NEW_TSS + 0x22 + 2 * i, segments[i], 2);
	world_describe(NEW, NEW_TSS, 0x2b, AVAILABLE_16, 0);
}

int world_reset(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	memset(&vcpu.exit, 0, sizeof(vcpu.exit));
	world_describe(OLD, OLD_TSS, 0x67, BUSY_32, 0);
	world_describe(NEW, NEW_TSS, 0x67, AVAILABLE_32, 0);
	world_describe(CODE, 0, 0xfffff, 0x9b, 0xc);
	world_describe(DATA, 0, 0xfffff, 0x93, 0xc);
	world_describe(CODE_3, 0, 0xfffff, 0xfb, 0xc);
	world_describe(DATA_3, 0, 0xfffff, 0xf3, 0xc);
	make_new_tss_32();
	world.task.tr = (struct vendor_segment){OLD, BUSY_32, 0x67, OLD_TSS};
	for (unsigned i = 0; i < 6; i++)
		world.task.segments[i] =
			(struct vendor_segment){(uint16_t)(0x100 + 8 * i), 0xc93, UINT32_MAX, 0};
	world.task.rip = 0x8000;
	world.task.rflags = 0x4202; /* NT */
	world.task.dr7 = 0x7ff;
	world.insn_length = 7;
	world.gdt = GDT;
	world.asked = (struct vendor_task_switch){.cause = TASK_CALL, .selector = NEW};
	vcpu.regs = (struct umbra_paging_regs){.cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x6000};
	for (unsigned i = 0; i < 8; i++)
		vcpu.gpr[i] = 0x01010101u * (i + 1);
	return 0;
}

void world_iret(void)
{
	world.asked.cause = TASK_IRET;
	world_describe(NEW, NEW_TSS, 0x67, BUSY_32, 0);
}

void world_gate(enum event_type type, unsigned vector)
{
	world.asked.cause = TASK_GATE;
	world.delivering = true;
	world.event = (struct vendor_event){.type = type, .vector = (uint8_t)vector};
}

void expect_fault(unsigned vector, uint32_t error)
{
	assert_int_equal(world.injected.vector, vector);
	assert_int_equal(world.injected.error_code, error);
}
