/* SPDX-License-Identifier: MIT */
/*
 * The processor of the library's unit tests: host_access() of mmu_host.h, and what it caches. Its
 * caches know nothing of roots and forget nothing by themselves: an entry is found again by vCPU,
 * tag and address.
 */
#ifndef TESTS_UNIT_MMU_PROCESSOR_H
#define TESTS_UNIT_MMU_PROCESSOR_H

#include "tests/unit/mmu_host.h"

size_t processor_caches_bytes(void);

/* Forget all of @vcpu, NULL: of all; @tag: only what was made under its present tag. */
void processor_forget(struct host *h, const struct umbra_vcpu *vcpu, bool tag);

/* Forget the translation of @gva under the present tag of @vcpu, and all upper entries there. */
void processor_forget_gva(struct host *h, const struct umbra_vcpu *vcpu, umbra_gva gva);

#endif
