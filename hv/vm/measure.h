/* SPDX-License-Identifier: MIT */
/*
 * What an exit costs, from the first instruction after #VMEXIT to VMRUN, in ticks of the time stamp
 * counter (under QEMU's -icount a tick is an instruction). Only with the option measure=1.
 */
#ifndef HV_VM_MEASURE_H
#define HV_VM_MEASURE_H

#include "hv/vm/vcpu.h"

/* An exit that does its one thing is booked apart from one that also brings tables back in sync and
 * the like. */
enum measure_class {
	MEASURE_LEAF_FIX, /* #PF: one entry installed or changed in pages that are there */
	MEASURE_TREE_FIX, /* #PF fixed with more: pages made, neighbours prefetched, a table unsync
			   */
	MEASURE_PF_GUEST, /* #PF injected */
	MEASURE_PF_EMULATE, /* #PF by a store into a table, done for the guest or left to it */
	MEASURE_PF_TRACKED, /* by one into a frame that is watched: the local APIC's */
	MEASURE_CR3,        /* a write that finds its root and nothing to compare */
	MEASURE_CR3_SYNC,   /* any other write */
	MEASURE_INVLPG,     /* of at most one entry to repair */
	MEASURE_INVLPG_SYNC,
	MEASURE_CLASSES,
	MEASURE_NONE = MEASURE_CLASSES,
};

#define MEASURE_BUCKET_TICKS 4u
#define MEASURE_BUCKETS      2048u /* the last one also holds what is longer */

struct measure_histogram {
	uint64_t n;
	uint64_t min, max;
	uint32_t buckets[MEASURE_BUCKETS];
};

struct measure {
	uint64_t tsc[2];           /* around the handling of the last exit: hv/arch/svm/enter.S */
	struct umbra_stats before; /* the library's counters before that exit */
	struct measure_histogram classes[MEASURE_CLASSES];
};

/* Begin measuring if the option asks for it. Takes frames. Boot only. */
void measure_init(struct vcpu *vcpu);

/* Book the last exit; called at the beginning of the next one. */
void measure_exit(struct vcpu *vcpu);

/* Write ,"exit_cost":{...} to the monitor. Nothing if not measuring. */
void measure_report(const struct vcpu *vcpu);

#endif
