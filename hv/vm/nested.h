/* SPDX-License-Identifier: MIT */
/*
 * Nested paging (option paging=npt): the same machine without shadow tables, for comparison.
 */
#ifndef HV_VM_NESTED_H
#define HV_VM_NESTED_H

#include "hv/vm/vcpu.h"

/* Tables that map guest-physical to the same host-physical memory, but the hypervisor's to a
 * read-only page of ones. Takes frames. Returns the root. Boot only. */
umbra_hpa nested_create(const struct vm *vm);

#endif
