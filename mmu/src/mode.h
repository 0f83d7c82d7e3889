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
	uint8_t linear_bits;
	uint32_t role; /* bits of its pages */
};

/* Reserved-bit masks for guests of @maxphyaddr bits; part of creation. */
void mode_init_formats(struct umbra_vm *vm, unsigned maxphyaddr, bool no_1g);

/* What mode_check() found out, for mode_set(). */
struct mode_change {
	struct umbra_paging_regs regs;
	uint64_t pdpte[4];
};

/*
 * Can a vCPU go from its state to @regs? @cr3_loaded: by an instruction that loads CR3. Changes
 * nothing. Returns false if not: #GP.
 */
bool mode_check(const struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs,
	bool cr3_loaded, struct mode_change *change);

/* Take @change, which mode_check() made, and derive the rest of @vcpu from it, root_role included.
 * Not the root. */
void mode_set(struct umbra_vcpu *vcpu, const struct mode_change *change);

/* A load of CR3 alone: the part of mode_set() that it needs. */
void mode_set_cr3(struct umbra_vcpu *vcpu, const struct mode_change *change);

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

/* Is @gva canonical in @vcpu's mode (always, where addresses have 32 bits)? */
bool mode_canonical(const struct umbra_vcpu *vcpu, umbra_gva gva);

/* The access that @fault tells of. */
access_bits mode_access(const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault);

/* Would hardware that runs with CR0.WP=1 refuse the supervisor's store of @fault by the key of
 * @leaf, whose pages are @user's? */
bool mode_key_stops_store(const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault,
	uint64_t leaf, bool user);

#endif
