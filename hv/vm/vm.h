/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine as the boot code sees it: one call that never returns.
 */
#ifndef HV_VM_VM_H
#define HV_VM_VM_H

#include "hv/guest/guest.h"

/* Run the guest from @entry until the machine ends. Borrows @entry until the first instruction of
 * the guest. Context: memory map, frames, monitor, traps and acpi_machine are ready; interrupts are
 * off. */
_Noreturn void vm_run(const struct guest_entry *entry);

#endif
