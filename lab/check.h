/* SPDX-License-Identifier: MIT */
/*
 * Is what the guest saw legal? Carries the machine's events to the model of legal outcomes
 * (legal.h) and its verdicts back, and watches what the library writes into guest memory: A and D
 * bits, where and when a processor would set them, and nothing else. Every verdict "no" is a
 * lab_fail().
 */
#ifndef LAB_CHECK_H
#define LAB_CHECK_H

#include "lab/config.h"
#include "lab/fail.h"
#include "lab/hw.h"
#include "lab/memory.h"
#include "umbra/umbra.h"

#define CHECK_FRAMES 4096u

struct legal;

struct check {
	struct legal *legal;
	struct memory *memory;
	struct lab_fail *fail;
	bool no_1g;
	enum lab_sabotage sabotage;
	struct umbra_paging_regs regs[LAB_MAX_VCPUS];
	uint64_t frames[CHECK_FRAMES]; /* by hash: frames in present words written, bit 0 set */
};

/* Keeps @memory and @fail. @check must be zeroed; check_free() also after a failure. */
void check_init(struct check *check, const struct lab_config *config, struct memory *memory,
	struct lab_fail *fail);
void check_free(struct check *check);

/* The ways an access ends, before its own data is stored. @gpa may be absent memory;
 * check_absent(): it is, but nobody knows where. */
void check_translation(
	struct check *check, unsigned vcpu, const struct hw_access *access, uint64_t gpa);
void check_absent(struct check *check, unsigned vcpu, const struct hw_access *access);
void check_fault(
	struct check *check, unsigned vcpu, const struct hw_access *access, uint32_t error_code);

/* Memory now holds a store of @bytes at @gpa, by the guest or for it: within a page, at most 8. */
void check_wrote(struct check *check, uint64_t gpa, const void *bytes, size_t n_bytes);

/* A vCPU begins with @regs and nothing remembered. */
void check_reset(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs);

/* Events of a vCPU that change or invalidate what it may remember. */
void check_load_cr3(struct check *check, unsigned vcpu, uint64_t cr3);
void check_set_regs(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs);
void check_invlpg(struct check *check, unsigned vcpu, uint64_t gva);

/* Would a processor take @regs, as far as paging is concerned? */
bool check_regs_legal(const struct check *check, const struct umbra_paging_regs *regs);

/* Questions that the model let pass for lack of memory; a run that proves something has none. */
uint64_t check_undecided(const struct check *check);

/* Outside of accesses the library must leave guest memory alone: compare all of it. */
void check_memory(struct check *check);

#endif
