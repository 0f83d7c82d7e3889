/* SPDX-License-Identifier: MIT */
/*
 * See exit_world.h.
 */
#include "tests/unit/exit_world.h"

#include <stdio.h>

#include "hv/vm/shadow_walk.h"
#include "tests/unit/hv_fake.h"
#include "tests/unit/hv_machine.h"

struct svm_features svm_features;
uint32_t trap_nmis;
struct phys_range hv_reserved;

static struct vm vm;
struct vcpu vcpu;
struct vendor_vcpu arch;
struct vmcb *const vmcb = &arch.vmcb;
struct exit_world world;

/* ---- the fake library and the rest of the hypervisor ---- */

static enum umbra_outcome event(struct umbra_exit *out)
{
	world.n_calls++;
	if (world.flushes)
		vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
	if (out)
		*out = world.out;
	return world.outcome;
}

enum umbra_outcome umbra_page_fault(
	struct umbra_vcpu *mmu, const struct umbra_page_fault *fault, struct umbra_exit *out)
{
	(void)mmu;
	world.fault = *fault;
	return event(out);
}

enum umbra_outcome umbra_load_cr3(struct umbra_vcpu *mmu, uint64_t cr3, struct umbra_exit *out)
{
	(void)mmu;
	world.cr3 = cr3;
	return event(out);
}

void umbra_invlpg(struct umbra_vcpu *mmu, umbra_gva gva)
{
	(void)mmu;
	world.gva = gva;
	event(NULL);
}

unsigned umbra_tag(const struct umbra_vcpu *mmu)
{
	(void)mmu;
	return world.tag;
}

umbra_hpa umbra_root(const struct umbra_vcpu *mmu)
{
	(void)mmu;
	return world.root;
}

void *memory_ram(const struct vm *of, umbra_gpa gpa)
{
	(void)of;
	return gpa < 0x100000 ? phys_to_virt(gpa) : NULL;
}

void memory_keys(const struct vcpu *of, struct umbra_page_fault *access)
{
	(void)of;
	access->pkru = 0x123;
	access->pkrs = 0x456;
}

void svm_set_cr2(struct vmcb *of, umbra_gva gva)
{
	of->save.cr2 = gva;
}

void vendor_set_cr2(struct vcpu *of, umbra_gva gva)
{
	of->arch->vmcb.save.cr2 = gva;
}

_Noreturn void svm_foreign_tables(struct vcpu *of)
{
	(void)of;
	world.stopped = true;
	longjmp(hv_fake_return, 1);
}

_Noreturn void vm_stop(struct vcpu *of, const char *fmt, ...)
{
	(void)of;
	fail_msg("the guest was stopped: %s", fmt);
	abort();
}

enum x86_code_size vendor_code_size(const struct vcpu *of)
{
	const struct vmcb_save *save = &of->arch->vmcb.save;

	return save->efer & X86_EFER_LMA && save->cs.attributes & SEGMENT_L ? X86_CODE_64
									    : X86_CODE_32;
}

/* ---- helpers ---- */

uint64_t *world_entry(umbra_hpa table, unsigned shift)
{
	return (uint64_t *)phys_to_virt(table) + (RIP >> shift & 511);
}

/* Tables of both roots that map the page of RIP at CODE. */
static void build(void)
{
	memset(phys_to_virt(ROOT), 0, 0x30000);
	*world_entry(ROOT, 39) = (ROOT + 0x1000) | PRESENT;
	*world_entry(ROOT_2, 39) = (ROOT + 0x1000) | PRESENT;
	*world_entry(ROOT + 0x1000, 30) = (ROOT + 0x2000) | PRESENT;
	*world_entry(ROOT + 0x2000, 21) = (ROOT + 0x3000) | PRESENT;
	*world_entry(ROOT + 0x3000, 12) = CODE | PRESENT;
}

void world_store_code(umbra_hpa page, const uint8_t *bytes, size_t n_bytes)
{
	memcpy((uint8_t *)phys_to_virt(page) + RIP % X86_PAGE_SIZE, bytes, n_bytes);
}

int world_reset(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	memset(&arch, 0, sizeof(arch));
	memset(&vcpu, 0, sizeof(vcpu));
	build();
	world.root = ROOT;
	arch.vmcb_phys = VMCB_PHYS;
	vmcb->save.cr3 = ROOT;
	vmcb->save.rip = RIP;
	vmcb->save.rflags = 2;
	vmcb->save.efer = X86_EFER_LMA;
	vmcb->save.cs.attributes = SEGMENT_L;
	vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
	vcpu.vm = &vm;
	vcpu.arch = &arch;
	vcpu.root = ROOT;
	vcpu.shadow_shift = SHADOW_SHIFT_4LEVEL;
	vcpu.regs = (struct umbra_paging_regs){.cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x7000};
	for (unsigned i = 0; i < X86_GPRS; i++)
		vcpu.gpr[i] = 0x1000ull * (i + 1);
	vmcb->save.rax = 0xa000;
	sites_forget(&vcpu);
	return 0;
}

umbra_hpa world_page_fault(uint32_t error_code, umbra_gva gva)
{
	vmcb->exit_code = SVM_EXIT_PF;
	vmcb->exit_info1 = error_code;
	vmcb->exit_info2 = gva;
	return svm_fast(&vcpu, &arch);
}

/* The instruction of @bytes at RIP makes its exit. */
umbra_hpa world_execute(uint64_t exit_code, const char *bytes)
{
	world_store_code(CODE, (const uint8_t *)bytes, strlen(bytes));
	vmcb->exit_code = exit_code;
	return svm_fast(&vcpu, &arch);
}

int world_map_memory(void **state)
{
	(void)state;
	return machine_map(1ull << 31) ? 0 : -1;
}
