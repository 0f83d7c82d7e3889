/* SPDX-License-Identifier: MIT */
/*
 * See implicit.h. SDM 3A "Access Rights": implicit supervisor-mode accesses.
 */
#include "hv/emul/implicit.h"

bool implicit_inject(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out)
{
	static const enum x86_segment tables[] = {X86_SEG_LDTR, X86_SEG_TR};
	struct vendor_segment table = vendor_gdt(vcpu);
	bool found = gva - table.base <= table.limit;

	if (out->vector != X86_PF)
		return false;
	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		table = vendor_segment(vcpu, tables[i]);
		found |= gva - table.base <= table.limit;
	}
	if (found)
		inject_outcome(vcpu, out);
	return found;
}
