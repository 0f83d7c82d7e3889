/* SPDX-License-Identifier: MIT */
/*
 * Page faults on the shadow tables, what the MMU library is for: those that came while an event was
 * delivered, and what is not done in a few instructions about the others. And faults on nested
 * tables, in paging=npt.
 */
#include "hv/emul/emul.h"

void exit_pf_finish(struct vcpu *vcpu)
{
	const struct umbra_exit *out = &vcpu->out;
	umbra_gva gva = vcpu->exit.info2;

	switch (vcpu->outcome) {
	case UMBRA_RESUME:
		return;
	case UMBRA_INJECT:
		inject_outcome(vcpu, out);
		return;
	case UMBRA_EMULATE:
		emulate_store(vcpu, gva, out);
		return;
	case UMBRA_MMIO:
		emulate_absent(vcpu, gva, out);
		return;
	}
	panic("unknown outcome %d of a page fault", (int)vcpu->outcome);
}

void exit_pf(struct vcpu *vcpu)
{
	struct umbra_page_fault fault =
		access_of(vcpu, vcpu->exit.info2, (uint32_t)vcpu->exit.info1);

	vcpu->outcome = umbra_page_fault(vcpu->mmu, &fault, &vcpu->out);
	exit_pf_finish(vcpu);
}

/* The nested tables map all there is and hide the hypervisor behind a read-only page: a store went
 * there, or the address is beyond what they cover. */
void exit_npf(struct vcpu *vcpu)
{
	struct umbra_exit absent = {.gpa = vcpu->exit.info2};

	if (vcpu->mmu)
		panic("nested page fault at %lx without nested paging", vcpu->exit.info2);
	/* The linear address is not told: the instruction has to be believed. */
	emulate_absent(vcpu, MEMORY_ANY_GVA, &absent);
}
