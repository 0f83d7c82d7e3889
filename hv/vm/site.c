/* SPDX-License-Identifier: MIT */
/*
 * Finding out what stands at a site.
 */
#include "hv/vm/site.h"

#include "hv/vm/vcpu.h"

/* [REX] opcode, ModRM. Returns false if it is not @kind, written like this. */
static bool decode(uint32_t word, enum site_kind kind, unsigned *gpr, unsigned *length)
{
	/* The second byte of the opcode, and what ModRM must have: CR3; [register] and 7. */
	static const struct {
		uint8_t opcode, modrm_mask, modrm;
	} forms[SITE_KINDS] = {
		[SITE_CR3_READ] = {0x20, 0x38, 0x18},
		[SITE_CR3_WRITE] = {0x22, 0x38, 0x18},
		[SITE_INVLPG] = {0x01, 0xf8, 0x38},
	};
	unsigned rex = 0;

	*length = 3;
	if ((word & 0xf0) == 0x40) {
		rex = word & 0x0f;
		word >>= 8;
		*length = 4;
	}
	*gpr = (word >> 16 & 7) | (rex & 1) << 3;
	/* With RSP's number, and R12's, a SIB byte follows; with RBP's and R13's a displacement. */
	if (kind == SITE_INVLPG && ((*gpr & 7) == X86_RSP || (*gpr & 7) == X86_RBP))
		return false;
	/* REX.R chooses another control register. */
	return (word & 0xff) == 0x0f && (word >> 8 & 0xff) == forms[kind].opcode &&
	       (word >> 16 & forms[kind].modrm_mask) == forms[kind].modrm &&
	       !(kind != SITE_INVLPG && rex & 4);
}

bool site_learn(struct vcpu *vcpu, struct insn_site *site, enum site_kind kind, uint64_t rip)
{
	const void *bytes = NULL;
	unsigned gpr;

	site->rip = SITE_EMPTY;
	if (rip % X86_PAGE_SIZE <= X86_PAGE_SIZE - sizeof(uint32_t))
		bytes = code_path_find(vcpu, &site->path, rip);
	if (!bytes)
		return false;
	site->code.at = bytes;
	site->code.was = *site->code.at;
	if (!decode(site->code.was, kind, &gpr, &site->length))
		return false;
	site->operand = vendor_gpr_home(vcpu, gpr);
	if (!site->operand)
		return false;
	site->rip = rip;
	return true;
}

void sites_forget(struct vcpu *vcpu)
{
	for (unsigned kind = 0; kind < SITE_KINDS; kind++) {
		for (unsigned i = 0; i < SITES; i++)
			vcpu->sites[kind][i].rip = SITE_EMPTY;
	}
}
