/* SPDX-License-Identifier: MIT */
/* The table of paging modes; see mode.h. */
#include "mode.h"

/* SDM 3A "Paging Modes and Control Bits"; APM 2 "Paging Overview". */
static const struct mode mode_none = {
	.levels = 0,
	.shadow_levels = 3,
	.shadow = UMBRA_SHADOW_PAE,
};

static const struct mode mode_4level = {
	.levels = 4,
	.shadow_levels = 4,
	.shadow = UMBRA_SHADOW_4LEVEL,
};

/* The mode of @regs, or NULL if it is one that is not supported. */
static const struct mode *mode_of(const struct umbra_paging_regs *regs)
{
	if (!(regs->cr0 & X86_CR0_PG))
		return &mode_none;
	if (regs->efer & X86_EFER_LMA)
		return regs->cr4 & X86_CR4_LA57 ? NULL : &mode_4level;
	return NULL;
}

void mode_init_formats(struct umbra_vm *vm, unsigned maxphyaddr, bool no_1g)
{
	vm->maxphyaddr_mask = (1ull << maxphyaddr) - 1;
	for (unsigned nxe = 0; nxe < 2; nxe++) {
		struct format *f = &vm->formats[nxe];
		uint64_t high = X86_PTE_FRAME & ~vm->maxphyaddr_mask;

		/* SDM 3A "Paging-Structure Entries": bits 51:MAXPHYADDR, and XD if EFER.NXE=0. */
		if (!nxe)
			high |= X86_PTE_NX;
		for (unsigned level = 1; level <= MAX_LEVEL; level++)
			f->reserved[level][0] = f->reserved[level][1] = high;
		/* Large frames are aligned; bit 12 is PAT. Bit 7 of a PML4E must be 0. */
		f->reserved[2][1] |= 0x1fe000;
		f->reserved[3][1] |= no_1g ? X86_PTE_PS : 0x3fffe000;
		f->reserved[4][1] |= X86_PTE_PS;
		f->reserved[5][1] |= X86_PTE_PS;
	}
}

enum umbra_outcome mode_check(
	const struct umbra_vm *vm, const struct umbra_paging_regs *regs, struct umbra_exit *out)
{
	const struct mode *mode = mode_of(regs);

	if (!mode || (regs->cr4 & (X86_CR4_PCIDE | X86_CR4_PKE | X86_CR4_PKS))) {
		*out = (struct umbra_exit){.vector = X86_GP};
		return UMBRA_INJECT;
	}
	/* Bits 63:MAXPHYADDR of CR3 must be 0 in long mode. SDM 3A "Control Registers". */
	if (mode == &mode_4level && (regs->cr3 & ~vm->maxphyaddr_mask)) {
		*out = (struct umbra_exit){.vector = X86_GP};
		return UMBRA_INJECT;
	}
	return UMBRA_RESUME;
}

static uint32_t root_role(const struct umbra_vcpu *vcpu)
{
	uint32_t role = vcpu->mode->shadow_levels;

	if (!vcpu->mode->levels)
		return role | ROLE_DIRECT | ROLE_PAE_ROOT | ROLE_ACC_W;
	role |= ROLE_ACC_W;
	if (vcpu->nxe)
		role |= ROLE_NXE;
	if (!vcpu->wp) {
		role |= ROLE_WP0;
		if (vcpu->smep)
			role |= ROLE_SMEP;
		if (vcpu->smap)
			role |= ROLE_SMAP;
	}
	return role;
}

/* SDM 3A "Determination of Access Rights"; APM 2 "Page-Protection Checks". */
static struct permission permission_for(const struct umbra_vcpu *vcpu, access_bits access)
{
	struct permission p = {.need = X86_PTE_P};
	bool user = access & X86_PF_U;
	bool fetch = access & X86_PF_I;

	if (user)
		p.need |= X86_PTE_U;
	if ((access & X86_PF_W) && (user || vcpu->wp))
		p.need |= X86_PTE_W;
	if (!user && fetch && vcpu->smep)
		p.deny |= X86_PTE_U;
	if (!user && !fetch && vcpu->smap && !(access & ACCESS_AC))
		p.deny |= X86_PTE_U;
	return p;
}

void mode_set(struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	vcpu->regs = *regs;
	vcpu->mode = mode_of(regs);
	vcpu->nxe = regs->efer & X86_EFER_NXE;
	vcpu->wp = regs->cr0 & X86_CR0_WP;
	vcpu->smep = regs->cr4 & X86_CR4_SMEP;
	vcpu->smap = regs->cr4 & X86_CR4_SMAP;
	vcpu->format = &vcpu->vm->formats[vcpu->nxe];
	vcpu->root_role = root_role(vcpu);
	vcpu->report = X86_PF_W | X86_PF_U | (vcpu->nxe || vcpu->smep ? X86_PF_I : 0);
	for (unsigned i = 0; i < PERMISSIONS; i++)
		vcpu->permissions[i] = permission_for(vcpu, (i & 7) << 1 | (i & 8) << 1);
}

bool mode_canonical(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	int64_t high = (int64_t)gva >> 47;

	return vcpu->mode->levels < 4 || high == 0 || high == -1;
}
