/* SPDX-License-Identifier: MIT */
/*
 * Instructions done for the guest: stores into its page tables and into frames that somebody
 * watches, and accesses to memory that is not there. hv/emul/ is entered through this header only.
 *
 * Each store is computed through the guest's own translation with its own rights, both pages of one
 * that crosses pages before anything is written, and atomically where the instruction is. What is
 * not understood costs speed where the table can be given up, so that the guest does its store
 * itself; elsewhere it stops the guest, with a report.
 */
#ifndef HV_EMUL_EMUL_H
#define HV_EMUL_EMUL_H

#include "hv/vm/vcpu.h"

/* The library's UMBRA_EMULATE: a store at @gva. Done here, or the table is given up. */
void emulate_store(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out);

/* An access at @gva to memory that is not there: reads are all ones, writes do nothing. The linear
 * address of a nested page fault is not known: MEMORY_ANY_GVA. */
void emulate_absent(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out);

#endif
