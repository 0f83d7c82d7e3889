/* SPDX-License-Identifier: MIT */
/*
 * The guest's page tables, read without the MMU library, which nested paging does not use.
 */
#ifndef HV_VM_WALK_H
#define HV_VM_WALK_H

#include "hv/vm/vcpu.h"

/* Like umbra_translate(), for finding what the processor has just accessed: rights are not checked.
 */
bool walk_translate(const struct vcpu *vcpu, umbra_gva gva, enum umbra_access access,
	umbra_gpa *gpa, struct umbra_exit *out);

#endif
