/* SPDX-License-Identifier: MIT */
/*
 * The lab's machine: vCPUs with their CPUs (hw.h), memory, the library between them, and the model
 * that says whether what the guest sees is legal (check.h). It does one step at a time; a step that
 * shows a bug ends the run through lab_fail().
 *
 * What the embedder flushes by itself: nothing. Not at CR3 loads, not when the root changes, not
 * at mode switches: translations go only when the library calls flush_tlb, flush_tag or flush_gva.
 * A vCPU takes a new root and tag only when it enters the guest: after its own exits, or kicked by
 * flush_tlb.
 */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include "lab/check.h"
#include "lab/config.h"
#include "lab/fail.h"
#include "lab/hw.h"
#include "lab/memory.h"
#include "lab/paging.h"
#include "lab/rng.h"
#include "lab/step.h"
#include "lab/track.h"
#include "umbra/umbra.h"

/* Physical address width of the lab's processor itself; the guest's is the run's. */
#define MACHINE_MAXPHYADDR 40u

struct machine_vcpu {
	struct umbra_vcpu *umbra;
	struct umbra_paging_regs regs;
	struct hw hw;
	bool kicked; /* has left the guest for a flush, so it enters again before it goes on */
	bool owed;   /* it was told to flush this tag, or an address under it, before it enters */
	unsigned owed_tag;
};

struct machine_counts {
	uint64_t steps;
	uint64_t accesses; /* checked */
	uint64_t translated;
	uint64_t absent;
	uint64_t not_present;           /* page faults that the guest saw, by error code: P=0 */
	uint64_t denied;                /* P=1 */
	uint64_t reserved;              /* RSVD=1 */
	uint64_t keys;                  /* PK=1 */
	uint64_t refused;               /* what the guest wrote to registers and got #GP for */
	uint64_t in_mode[PAGING_COUNT]; /* checked accesses, by the guest's mode */
	uint64_t exits;                 /* page faults of the hardware */
	uint64_t emulated;
	uint64_t exchanged; /* of these, by umbra_guest_exchange() */
	uint64_t told;      /* of stores to tracked frames */
	uint64_t dropped;
	uint64_t unshadowed;
	uint64_t flushes;
	uint64_t misses; /* of TLBs, by accesses */
	uint64_t audits;
};

/* What the guest saw of its last access. */
enum machine_seen {
	MACHINE_SEEN_MEMORY, /* the access was made; loads gave .value */
	MACHINE_SEEN_FAULT,  /* #PF with .error_code */
	MACHINE_SEEN_ABSENT, /* no memory there */
	MACHINE_SEEN_GP,     /* a register write was refused */
};

struct machine_result {
	enum machine_seen seen;
	uint32_t error_code;
	uint64_t value;
};

struct machine {
	struct lab_config config;
	struct lab_fail *fail;
	struct memory memory;
	struct umbra_host host;
	unsigned calling; /* the vCPU that the step is of */
	struct umbra_vm *vm;
	struct umbra_policy policy;
	void *vm_meta;
	struct machine_vcpu vcpus[LAB_MAX_VCPUS];
	struct check check;
	struct track track;
	struct rng rng;      /* reseeded by every step */
	struct rng host_rng; /* also: of the host's choices in its part of a store */
	struct machine_counts counts;
	struct machine_result last;
};

/* Build a machine for @config; failures go to @fail, whose setjmp is the caller's. The machine must
 * be zeroed; free it with machine_free() also after a failure. Keeps @fail. */
void machine_init(struct machine *machine, const struct lab_config *config, struct lab_fail *fail);
void machine_free(struct machine *machine);

/* Enter the guest of @vcpu again, after an exit, with what the library says now. */
void machine_enter(struct machine *machine, struct machine_vcpu *vcpu);

/* The linear address of @gva: 32 bits outside of long mode. false: it is not canonical. */
bool machine_linear(const struct machine_vcpu *vcpu, uint64_t gva, uint64_t *linear);

/* Do @step, check all that it showed, and put what the guest saw into @machine->last. */
void machine_step(struct machine *machine, const struct step *step);

/* The library's whole state against its invariants. */
void machine_audit(struct machine *machine);

#endif
