/* SPDX-License-Identifier: MIT */
/* The audit of the invariants, umbra_audit() in the API. */
#ifndef MMU_AUDIT_H
#define MMU_AUDIT_H

#include "vm.h"

/* If it is the event's turn under the policy `audit`: audit, and panic with the verdict if that is
 * bad. What free pages hold is looked at in turns. Lock: none held. */
void audit_after_event(struct umbra_vm *vm);

/* At the end of every event. */
static inline void audit_event(struct umbra_vm *vm)
{
	if (UNLIKELY(vm->policy.audit))
		audit_after_event(vm);
}

#endif
