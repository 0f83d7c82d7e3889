/* SPDX-License-Identifier: MIT */
/*
 * The MMU library's host: what the guest's physical memory is, and the memory the library works
 * with.
 */
#ifndef HV_HOST_H
#define HV_HOST_H

#include "hv/vm/vcpu.h"

/* Fill vm->ram, vm->maxphyaddr, vm->apic_page and vm->absent_page from the memory map and the
 * processor. Takes one frame. */
void host_memory_init(struct vm *vm);

/* Make vm->mmu with its slots, out of all frames that are left, and vcpu->mmu. fatal_config() if
 * they are too few or the option policy= is wrong. */
void host_mmu_create(struct vm *vm, struct vcpu *vcpu);

/* Ranges of guest memory that are neither RAM nor the hypervisor: devices. Calls @each in ascending
 * order. */
void host_for_each_device(const struct vm *vm,
	void (*each)(void *ctx, uint64_t base_bytes, uint64_t end_bytes), void *ctx);

#endif
