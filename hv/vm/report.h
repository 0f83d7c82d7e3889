/* SPDX-License-Identifier: MIT */
/*
 * What the last guest instructions and exits were, for whoever has to find out why they were the
 * last.
 */
#ifndef HV_VM_REPORT_H
#define HV_VM_REPORT_H

#include "hv/vm/vcpu.h"

/* Have panics print the guest's registers, its last exits and the audit's verdict. */
void report_init(void);

/* Print the guest's registers and its last @n_exits exits as lines of @type. */
void report_guest(struct vcpu *vcpu, const char *type, unsigned n_exits);

#endif
