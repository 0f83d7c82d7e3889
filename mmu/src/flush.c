/* SPDX-License-Identifier: MIT */
/* TLB flushes asked of the host; see flush.h. */
#include "flush.h"

void flush_now(struct umbra_vm *vm)
{
	vm->flush_all = false;
	vm->freed = false;
	vm->stale_writable = false;
	vm->stale_parts = false;
	vm->stats.tlb_flush++;
	vm->host->flush_tlb(vm->host_ctx, NULL);
}

void flush_vcpu(struct umbra_vcpu *vcpu)
{
	struct umbra_vm *vm = vcpu->vm;

	if (vm->n_vcpus == 1) {
		flush_now(vm);
		return;
	}
	vm->stats.tlb_flush++;
	vm->host->flush_tlb(vm->host_ctx, vcpu);
}

void flush_gva(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct umbra_vm *vm = vcpu->vm;

	if (vm->stale_parts)
		flush_now(vm);
	else if (vm->host->flush_gva)
		vm->host->flush_gva(vm->host_ctx, vcpu, gva);
	else
		flush_vcpu(vcpu);
}
