/* SPDX-License-Identifier: MIT */
/* The audit of the invariants, umbra_audit() in the API. */
#ifndef MMU_AUDIT_H
#define MMU_AUDIT_H

#include "vm.h"

/* Panic with the audit's verdict; behind the policy `audit`. Lock: none held. */
void audit_or_panic(struct umbra_vm *vm);

/* At the end of every event. */
static inline void audit_event(struct umbra_vm *vm)
{
	if (vm->policy.audit)
		audit_or_panic(vm);
}

#endif
