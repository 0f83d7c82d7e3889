/* SPDX-License-Identifier: MIT */
/*
 * A small walker. SDM 3A "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging".
 */
#include "hv/vm/walk.h"

struct geometry {
	unsigned levels;
	unsigned index_bits;
	unsigned entry_bytes;
};

static struct geometry geometry_of(const struct umbra_paging_regs *regs)
{
	if (regs->efer & X86_EFER_LMA)
		return (struct geometry){regs->cr4 & X86_CR4_LA57 ? 5 : 4, 9, 8};
	if (regs->cr4 & X86_CR4_PAE)
		return (struct geometry){3, 9, 8};
	return (struct geometry){2, 10, 4};
}

static bool is_large(const struct umbra_paging_regs *regs, struct geometry geometry, unsigned level,
	uint64_t entry)
{
	if (!(entry & X86_PTE_PS) || level == 1 || level > 3)
		return false;
	/* PSE decides in 2-level tables; PDPTEs of PAE paging have no PS bit. */
	if (geometry.levels == 2)
		return regs->cr4 & X86_CR4_PSE;
	return level == 2 || geometry.levels > 3;
}

/* Memory that is not there holds ones. */
static uint64_t read_entry(const struct vm *vm, umbra_gpa gpa, unsigned n_bytes)
{
	const void *ram = memory_ram(vm, gpa);
	uint64_t entry = 0;

	if (!ram)
		return ~0ull >> (64 - 8 * n_bytes);
	memcpy(&entry, ram, n_bytes);
	return entry;
}

/* Physical address that a large leaf of @shift bits gives @gva. */
static umbra_gpa large_gpa(struct geometry geometry, uint64_t entry, unsigned shift, umbra_gva gva)
{
	uint64_t offset_mask = (1ull << shift) - 1;
	uint64_t frame = entry & X86_PTE_FRAME & ~offset_mask;

	/* PSE-36: address bits 39:32 stand in bits 20:13. */
	if (geometry.levels == 2)
		frame = (entry & 0xffc00000u) | (entry >> 13 & 0xff) << 32;
	return frame | (gva & offset_mask);
}

bool walk_translate(const struct vcpu *vcpu, umbra_gva gva, enum umbra_access access,
	umbra_gpa *gpa, struct umbra_exit *out)
{
	const struct umbra_paging_regs *regs = &vcpu->regs;
	struct geometry geometry = geometry_of(regs);
	/* The PDPT of PAE paging is aligned to 32 bytes. */
	uint64_t table = regs->cr3 & (geometry.levels == 3 ? 0xffffffe0u : X86_PTE_FRAME);

	*gpa = gva;
	if (!(regs->cr0 & X86_CR0_PG))
		return true;
	for (unsigned level = geometry.levels; level > 0; level--) {
		unsigned shift = X86_PAGE_SHIFT + (level - 1) * geometry.index_bits;
		uint64_t index = gva >> shift & ((1u << geometry.index_bits) - 1);
		uint64_t entry = read_entry(
			vcpu->vm, table + index * geometry.entry_bytes, geometry.entry_bytes);

		if (!(entry & X86_PTE_P))
			break;
		if (is_large(regs, geometry, level, entry)) {
			*gpa = large_gpa(geometry, entry, shift, gva);
			return true;
		}
		table = entry & X86_PTE_FRAME;
		*gpa = table | gva % X86_PAGE_SIZE;
		if (level == 1)
			return true;
	}
	*out = (struct umbra_exit){
		.vector = X86_PF,
		.error_code = (access == UMBRA_WRITE ? X86_PF_W : 0) |
			      (vcpu->exit.cpl == 3 ? X86_PF_U : 0) |
			      (access == UMBRA_FETCH && regs->efer & X86_EFER_NXE ? X86_PF_I : 0),
		.gva = gva,
	};
	return false;
}
