/* SPDX-License-Identifier: MIT */
/* The table of paging modes; see mode.h. */
#include "mode.h"

#include "gpte.h"
#include "slot.h"

/* SDM 3A "Paging Modes and Control Bits"; APM 2 "Paging Overview". */
static const struct mode mode_none = {
	.levels = 0,
	.shadow_levels = 3,
	.shadow = UMBRA_SHADOW_PAE,
	.role = ROLE_DIRECT | ROLE_PAE_ROOT,
};

static const struct mode mode_2level = {
	.levels = 3,
	.shadow_levels = 3,
	.shadow = UMBRA_SHADOW_PAE,
	.role = ROLE_NARROW | ROLE_PAE_ROOT,
};

static const struct mode mode_pae = {
	.levels = 3,
	.shadow_levels = 3,
	.shadow = UMBRA_SHADOW_PAE,
	.role = ROLE_PAE | ROLE_PAE_ROOT,
};

static const struct mode mode_4level = {
	.levels = 4,
	.shadow_levels = 4,
	.shadow = UMBRA_SHADOW_4LEVEL,
};

static const struct mode mode_5level = {
	.levels = 5,
	.shadow_levels = 5,
	.shadow = UMBRA_SHADOW_5LEVEL,
};

static const struct mode *mode_of(const struct umbra_paging_regs *regs)
{
	if (!(regs->cr0 & X86_CR0_PG))
		return &mode_none;
	if (regs->efer & X86_EFER_LMA)
		return regs->cr4 & X86_CR4_LA57 ? &mode_5level : &mode_4level;
	return regs->cr4 & X86_CR4_PAE ? &mode_pae : &mode_2level;
}

/* ---- reserved bits ---- */

/* SDM 3A "Paging-Structure Entries": bits 51:MAXPHYADDR, XD if EFER.NXE=0, and in PAE bits 62:52.
 */
static uint64_t reserved_high(const struct umbra_vm *vm, uint32_t role)
{
	uint64_t high = X86_PTE_FRAME & ~vm->maxphyaddr_mask;

	if (role & ROLE_PAE)
		high |= 0x7ff0000000000000;
	return role & ROLE_NXE ? high : high | X86_PTE_NX;
}

void mode_init_formats(struct umbra_vm *vm, unsigned maxphyaddr, bool no_1g)
{
	static const uint32_t roles[] = {0, ROLE_NXE, ROLE_PAE, ROLE_PAE | ROLE_NXE};
	struct format *narrow = &vm->formats[role_format(ROLE_NARROW)];

	vm->maxphyaddr_mask = (1ull << maxphyaddr) - 1;
	for (unsigned i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		struct format *f = &vm->formats[role_format(roles[i])];

		for (unsigned level = 1; level <= MAX_LEVEL; level++) {
			f->reserved[level][0] = reserved_high(vm, roles[i]);
			f->reserved[level][1] = f->reserved[level][0];
		}
		/* Large frames are aligned; bit 12 is PAT. Bit 7 of a PML4E must be 0. */
		f->reserved[2][1] |= 0x1fe000;
		f->reserved[3][1] |= no_1g ? X86_PTE_PS : 0x3fffe000;
		f->reserved[4][1] |= X86_PTE_PS;
		f->reserved[5][1] |= X86_PTE_PS;
	}
	/* Only 4M pages have any: address bits that do not exist, and GPTE_RESERVED_4M. */
	narrow->reserved[2][1] = X86_PTE_FRAME & ~vm->maxphyaddr_mask;
	narrow->reserved[2][1] |= GPTE_RESERVED_4M;
}

/* ---- PDPTEs ---- */

#define PDPTE_RESERVED 0x1e6ull                            /* bits 2:1 and 8:5 */
#define PDPTE_GRANTED  (X86_PTE_W | X86_PTE_U | X86_PTE_A) /* of a normal gpte; a PDPTE has none */

/* Returns false, and nothing happened, if a present one has reserved bits. SDM 3A "PDPTE
 * Registers". */
static bool load_pdptes(struct umbra_vcpu *vcpu, uint64_t cr3)
{
	uint64_t gfn = (uint32_t)cr3 >> X86_PAGE_SHIFT;
	const uint64_t *table = slot_table(slot_find(vcpu->vm, gfn), gfn);
	uint64_t loaded[4];

	for (unsigned i = 0; i < 4; i++) {
		uint64_t entry = gpte_load(&table[cr3 % X86_PAGE_SIZE / 32 * 4 + i]);

		loaded[i] = 0;
		if (!(entry & X86_PTE_P))
			continue;
		if (entry & (PDPTE_RESERVED | ~vcpu->vm->maxphyaddr_mask))
			return false;
		loaded[i] = (entry & (X86_PTE_FRAME | X86_PTE_P)) | PDPTE_GRANTED;
	}
	for (unsigned i = 0; i < 4; i++)
		vcpu->pdpte[i] = loaded[i];
	return true;
}

/* 2-level: the only table of the second level, once for each of our four. */
static void name_table(struct umbra_vcpu *vcpu, uint64_t cr3)
{
	for (unsigned i = 0; i < 4; i++)
		vcpu->pdpte[i] = (cr3 & 0xfffff000) | X86_PTE_P | PDPTE_GRANTED;
}

/* SDM 3A "PDPTE Registers": with CR3, and when MOV to CR0 or CR4 changes one of these. */
static bool reloads_pdptes(const struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	uint64_t cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_PG;
	uint64_t cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;

	return vcpu->mode != &mode_pae || ((vcpu->regs.cr0 ^ regs->cr0) & cr0) ||
	       ((vcpu->regs.cr4 ^ regs->cr4) & cr4) || vcpu->regs.cr3 != regs->cr3;
}

/* Fill vcpu->pdpte, in the modes that begin there. Returns as load_pdptes(). */
static bool load_top(struct umbra_vcpu *vcpu, const struct mode *mode, uint64_t cr3)
{
	if (mode == &mode_2level)
		name_table(vcpu, cr3);
	return mode != &mode_pae || load_pdptes(vcpu, cr3);
}

/* ---- registers ---- */

/* SDM 3A "Control Registers": bits 63:MAXPHYADDR are reserved in long mode. */
static bool cr3_legal(const struct umbra_vm *vm, uint64_t efer, uint64_t cr3)
{
	return !(efer & X86_EFER_LMA) || !(cr3 & ~vm->maxphyaddr_mask);
}

/* Is there a processor state with these values? SDM 3A "Control Registers", "Extended Feature
 * Enable Register"; APM 2 "Long Mode Consistency Checks". */
static bool consistent(const struct umbra_vm *vm, const struct umbra_paging_regs *regs)
{
	bool paged = regs->cr0 & X86_CR0_PG;
	bool lma = regs->efer & X86_EFER_LMA;

	if (paged && !(regs->cr0 & X86_CR0_PE))
		return false;
	if (lma != (paged && (regs->efer & X86_EFER_LME)))
		return false;
	if (lma && !(regs->cr4 & X86_CR4_PAE))
		return false;
	if ((regs->cr4 & X86_CR4_PCIDE) && !lma)
		return false;
	return cr3_legal(vm, regs->efer, regs->cr3);
}

static uint32_t root_role(const struct umbra_vcpu *vcpu)
{
	uint32_t role = vcpu->mode->shadow_levels | vcpu->mode->role | ROLE_ACC_W;

	if (role & ROLE_DIRECT)
		return role;
	if (vcpu->nxe)
		role |= ROLE_NXE;
	if ((role & ROLE_NARROW) && (vcpu->regs.cr4 & X86_CR4_PSE))
		role |= ROLE_PSE;
	if (!vcpu->wp) {
		role |= ROLE_WP0;
		if (vcpu->smep)
			role |= ROLE_SMEP;
		if (vcpu->keep_u)
			role |= ROLE_KEEP_U;
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

/* Take the registers that mode_set() or mode_reset() found good. */
static void take(struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	bool paged = regs->cr0 & X86_CR0_PG;
	bool lma = regs->efer & X86_EFER_LMA;

	vcpu->regs = *regs;
	vcpu->mode = mode_of(regs);
	vcpu->linear_mask = lma ? ~0ull : 0xffffffff;
	vcpu->nxe = (regs->efer & X86_EFER_NXE) && (regs->cr4 & X86_CR4_PAE);
	vcpu->wp = regs->cr0 & X86_CR0_WP;
	vcpu->smep = paged && (regs->cr4 & X86_CR4_SMEP);
	vcpu->smap = paged && (regs->cr4 & X86_CR4_SMAP);
	vcpu->pke = lma && (regs->cr4 & X86_CR4_PKE);
	vcpu->pks = lma && (regs->cr4 & X86_CR4_PKS);
	vcpu->keep_u = vcpu->smap || vcpu->pke || vcpu->pks;
	vcpu->root_role = root_role(vcpu);
	vcpu->format = &vcpu->vm->formats[role_format(vcpu->root_role)];
	vcpu->report = X86_PF_W | X86_PF_U | (vcpu->nxe || vcpu->smep ? X86_PF_I : 0);
	for (unsigned i = 0; i < PERMISSIONS; i++)
		vcpu->permissions[i] = permission_for(vcpu, (i & 7) << 1 | (i & 8) << 1);
}

void mode_reset(struct umbra_vcpu *vcpu)
{
	/* SDM 3A "Processor State After Reset" */
	take(vcpu, &(struct umbra_paging_regs){.cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET});
}

bool mode_set(struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	const struct mode *mode = mode_of(regs);

	if (!consistent(vcpu->vm, regs))
		return false;
	if ((mode != &mode_pae || reloads_pdptes(vcpu, regs)) && !load_top(vcpu, mode, regs->cr3))
		return false;
	take(vcpu, regs);
	return true;
}

bool mode_set_cr3(struct umbra_vcpu *vcpu, uint64_t cr3)
{
	/* Bit 63 asks for no flush. It is not kept, and we do as for a load that flushes. */
	if (vcpu->regs.cr4 & X86_CR4_PCIDE)
		cr3 &= ~X86_CR3_NO_FLUSH;
	if (!cr3_legal(vcpu->vm, vcpu->regs.efer, cr3) || !load_top(vcpu, vcpu->mode, cr3))
		return false;
	vcpu->regs.cr3 = cr3;
	return true;
}

bool mode_canonical(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	int64_t high = (int64_t)gva >> (vcpu->regs.cr4 & X86_CR4_LA57 ? 56 : 47);

	return high == 0 || high == -1;
}

/* ---- accesses ---- */

#define KEY_AD 0x55555555u /* access disabled, key 0 in bit 0 */

/* The keys, a bit each, for which @pkr, PKRU or IA32_PKRS, disables access, or writes if @write. */
static uint64_t denied_keys(uint32_t pkr, bool write)
{
	uint32_t keys = (write ? pkr | pkr >> 1 : pkr) & KEY_AD;

	/* Every second bit to a half as many, side by side. */
	keys = (keys | keys >> 1) & 0x33333333;
	keys = (keys | keys >> 2) & 0x0f0f0f0f;
	keys = (keys | keys >> 4) & 0x00ff00ff;
	return (keys | keys >> 8) & 0xffff;
}

/* SDM 3A "Protection Keys". A user's access to a supervisor page fails whatever the key. */
access_bits mode_access_keys(
	const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, access_bits access)
{
	bool user = access & X86_PF_U;
	bool write = (access & X86_PF_W) && (user || vcpu->wp);

	if (access & X86_PF_I)
		return access;
	if (vcpu->pke)
		access |= denied_keys(fault->pkru, write) << ACCESS_USER_KEYS;
	if (vcpu->pks && !user)
		access |= denied_keys(fault->pkrs, write) << ACCESS_SUPERVISOR_KEYS;
	return access;
}

bool mode_key_stops_store(const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault,
	uint64_t leaf, bool user)
{
	unsigned key = gpte_key(leaf);

	if (user)
		return vcpu->pke && (denied_keys(fault->pkru, true) >> key & 1);
	return vcpu->pks && (denied_keys(fault->pkrs, true) >> key & 1);
}
