/* SPDX-License-Identifier: MIT */
/*
 * Page faults on the shadow tables: what the MMU library is for. And faults on nested tables, in
 * paging=npt.
 */
#include "hv/vm/vcpu.h"

static __attribute__((noinline)) void do_outcome(
	struct vcpu *vcpu, enum umbra_outcome outcome, const struct umbra_exit *out)
{
	umbra_gva gva = vcpu->exit->info2;

	switch (outcome) {
	case UMBRA_RESUME:
		return;
	case UMBRA_INJECT:
		inject_outcome(vcpu, out);
		return;
	case UMBRA_EMULATE:
		emulate_table_store(vcpu, gva, out);
		return;
	case UMBRA_MMIO:
		emulate_absent(vcpu, gva, out);
		return;
	}
	panic("unknown outcome %d of a page fault", (int)outcome);
}

void exit_pf(struct vcpu *vcpu)
{
	const struct exit_record *exit = vcpu->exit;
	struct umbra_page_fault fault = access_of(vcpu, exit->info2, (uint32_t)exit->info1);
	struct umbra_exit out;
	enum umbra_outcome outcome = umbra_page_fault(vcpu->mmu, &fault, &out);

	if (unlikely(outcome != UMBRA_RESUME))
		do_outcome(vcpu, outcome, &out);
	vcpu->root = umbra_root(vcpu->mmu);
}

/* The nested tables map all there is and hide the hypervisor behind a read-only page: a store went
 * there, or the address is beyond what they cover. */
void exit_npf(struct vcpu *vcpu)
{
	struct umbra_exit absent = {.gpa = vcpu->exit->info2};

	if (vcpu->mmu)
		panic("nested page fault at %lx without nested paging", vcpu->exit->info2);
	/* The linear address is not told: the instruction has to be believed. */
	emulate_absent(vcpu, EMULATE_ANY_GVA, &absent);
}
