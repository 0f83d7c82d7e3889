/* SPDX-License-Identifier: MIT */
/*
 * Paging modes of the guest as a table, and what the control registers add to them.
 * Owns the vCPU's view of its registers; knows nothing of shadow pages but the role bits that a
 * mode implies.
 */
#ifndef MMU_MODE_H
#define MMU_MODE_H

#include "vm.h"

struct mode {
	uint8_t levels; /* a walk passes; PAE and 2-level begin at vcpu->pdpte. 0: paging off */
	uint8_t shadow_levels;
	enum umbra_shadow_mode shadow;
	uint32_t role; /* bits of its pages */
};

/* Reserved-bit masks for guests of @maxphyaddr bits; part of creation. */
void mode_init_formats(struct umbra_vm *vm, unsigned maxphyaddr, bool no_1g);

/* The state after reset. */
void mode_reset(struct umbra_vcpu *vcpu);

/* Take @regs and derive the rest of @vcpu from them, root_role included; not the root. Returns
 * false if no vCPU can be in that state: #GP, nothing changed. */
bool mode_set(struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs);

/* The same for a load of CR3 alone: @cr3 as the instruction has it. */
bool mode_set_cr3(struct umbra_vcpu *vcpu, uint64_t cr3);

/* The page-table frame that CR3 names, in modes with a root in memory. */
static inline uint64_t mode_root_gfn(const struct umbra_vcpu *vcpu)
{
	return (vcpu->regs.cr3 & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
}

/* Does the walk begin at vcpu->pdpte? */
static inline bool mode_pdptes(const struct umbra_vcpu *vcpu)
{
	return vcpu->mode->levels == 3;
}

/* Is @gva canonical, for as many bits as CR4.LA57 gives? */
bool mode_canonical(const struct umbra_vcpu *vcpu, umbra_gva gva);

/* The part of mode_access() that protection keys have. */
access_bits mode_access_keys(
	const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, access_bits access);

/* The access that @fault tells of. */
static inline access_bits mode_access(
	const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault)
{
	access_bits access = fault->error_code & (X86_PF_W | X86_PF_U | X86_PF_I);

	/* SDM 3A "Determination of Access Rights": EFLAGS.AC overrides SMAP for explicit accesses.
	 */
	if (fault->ac && fault->cpl < 3)
		access |= ACCESS_AC;
	return vcpu->pke || vcpu->pks ? mode_access_keys(vcpu, fault, access) : access;
}

/* Would hardware that runs with CR0.WP=1 refuse the supervisor's store of @fault by the key of
 * @leaf, whose pages are @user's? */
bool mode_key_stops_store(const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault,
	uint64_t leaf, bool user);

#endif
