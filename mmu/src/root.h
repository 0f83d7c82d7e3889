/* SPDX-License-Identifier: MIT */
/* Which tree a vCPU runs on. */
#ifndef MMU_ROOT_H
#define MMU_ROOT_H

#include "vm.h"

/* Give a new vCPU, whose registers are set, its first root. Lock: none held. */
void root_init(struct umbra_vcpu *vcpu);

#endif
