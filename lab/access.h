/* SPDX-License-Identifier: MIT */
/*
 * One memory access of the guest, from the instruction to what it saw: TLB, shadow walk, #PF to the
 * library, its outcome, again. Every end is checked against the model, and so is where it landed.
 * Stores are in store.h.
 */
#ifndef LAB_ACCESS_H
#define LAB_ACCESS_H

#include "lab/machine.h"

/* So many exits for one access are a livelock: every RESUME must bring it forward. */
#define ACCESS_EXITS_MAX 24u

/* An access under way, or its part in one page. */
struct access {
	struct machine *machine;
	struct machine_vcpu *vcpu;
	const struct step *step;
	struct hw_access hw;
};

/* Do the load, store or fetch @step. */
void access_step(struct machine *machine, const struct step *step);

/* ---- what loads and stores have in common ---- */

/* Begin with the access @step, or with its second part, @offset bytes behind. false: its address is
 * not canonical. Also asks umbra_translate(), now and then. */
bool access_begin(
	struct access *access, struct machine *machine, const struct step *step, unsigned offset);

/* How the library would be told of it. @ac: what EFLAGS.AC is to count as. */
struct umbra_page_fault access_fault(const struct access *access, uint32_t error_code, bool ac);

/* Report a page fault of the hardware; the outcome is that for the host of an implicit access. */
enum umbra_outcome access_exit(struct access *access, uint32_t error_code, struct umbra_exit *out);

/* The error code of the access where no entry is to blame. */
uint32_t access_error_code(const struct access *access);

/* It ends with the #PF @out. */
void access_inject(struct access *access, const struct umbra_exit *out);

/* It goes to @gpa: is that legal? */
void access_check_target(struct access *access, uint64_t gpa, unsigned pat);

/* It ends with nothing there. */
void access_absent(struct access *access);

/* Where the hardware's @hpa is in the guest's memory. */
uint64_t access_gpa(struct access *access, uint64_t hpa);

/* MMIO at @gpa: is it one? */
void access_check_mmio(struct access *access, uint64_t gpa);

#endif
