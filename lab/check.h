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
#include "lab/step.h"
#include "umbra/umbra.h"

struct legal;
struct check_parts;

/* The registers of a vCPU that decide about translation. */
struct check_vcpu {
	struct umbra_paging_regs regs;
	uint64_t pdpte[4]; /* as last loaded */
	uint32_t pkru;
	uint32_t pkrs;
};

/* An answer of umbra_translate(). */
struct check_answer {
	bool translated;
	uint64_t gpa;        /* if so */
	uint32_t error_code; /* if not */
};

struct check {
	struct legal *legal;
	struct check_parts *parts; /* of the access under way */
	struct memory *memory;
	struct lab_fail *fail;
	bool no_1g;
	unsigned maxphyaddr;
	enum lab_sabotage sabotage;
	struct check_vcpu vcpus[LAB_MAX_VCPUS];
};

/* Keeps @memory and @fail. @check must be zeroed; check_free() also after a failure. */
void check_init(struct check *check, const struct lab_config *config, struct memory *memory,
	struct lab_fail *fail);
void check_free(struct check *check);

/* An access begins, of one part or of two in two pages; hw_access.part tells which one is meant. */
void check_begin(struct check *check);

/* The library has dealt with a fault of a part; the access goes on. What it set in tables was for
 * that part. Not needed where there is only one. */
void check_exit(struct check *check, unsigned vcpu, const struct hw_access *access);

/* The ways a part ends, before its own data is stored. @gpa may be absent memory; @pat is the
 * index into the PAT, CHECK_NO_PAT if the CPU had no part in it. check_absent(): it is absent, but
 * nobody knows where. */
#define CHECK_NO_PAT UINT32_MAX
void check_translation(struct check *check, unsigned vcpu, const struct hw_access *access,
	uint64_t gpa, unsigned pat);
void check_absent(struct check *check, unsigned vcpu, const struct hw_access *access);
void check_fault(
	struct check *check, unsigned vcpu, const struct hw_access *access, uint32_t error_code);

/* What umbra_translate() answered for an access: @gpa, or (false) a #PF with @error_code. It walks
 * memory as it is now. */
void check_translate(struct check *check, unsigned vcpu, const struct hw_access *access,
	const struct check_answer *answer);

/* Memory now holds a store of @bytes at @gpa, by the guest or for it: within a page, at most
 * STEP_BYTES_MAX. */
void check_wrote(struct check *check, uint64_t gpa, const void *bytes, size_t n_bytes);

/* A vCPU begins with @regs and nothing remembered. */
void check_reset(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs);

/* Events of a vCPU that change or invalidate what it may remember. Of those that a processor may
 * refuse with #GP: would it take this one? If not, nothing has changed. */
bool check_load_cr3(struct check *check, unsigned vcpu, uint64_t cr3);
bool check_set_regs(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs);
bool check_invpcid(struct check *check, unsigned vcpu, uint64_t type, uint64_t pcid, uint64_t gva);
void check_invlpg(struct check *check, unsigned vcpu, uint64_t gva);
void check_set_keys(struct check *check, unsigned vcpu, uint32_t pkru, uint32_t pkrs);

/* Questions that the model let pass for lack of memory; a run that proves something has none. */
uint64_t check_undecided(const struct check *check);

/* Outside of accesses the library must leave guest memory alone: compare all of it. */
void check_memory(struct check *check);

#endif
