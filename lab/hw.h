/* SPDX-License-Identifier: MIT */
/*
 * The CPU of the lab: translates guest-virtual addresses through the shadow tables, as the manual
 * says for the mode the library asks for, always with CR0.WP=1 and EFER.NXE=1. Sets A and D in
 * shadow entries, remembers in its TLB. Knows nothing of guest tables.
 *
 * SDM 3A "Paging", "Access Rights", "Accessed and Dirty Flags".
 */
#ifndef LAB_HW_H
#define LAB_HW_H

#include "lab/fail.h"
#include "lab/memory.h"
#include "lab/rng.h"
#include "lab/tlb.h"
#include "umbra/types.h"

struct hw {
	struct memory *memory;
	struct lab_fail *fail;
	struct tlb tlb; /* its tag is the one in use */
	enum umbra_shadow_mode mode;
	uint64_t root;     /* host-physical */
	uint64_t pdpte[4]; /* PAE: loaded at each entry to the guest */
	bool smep;
	bool smap;
	bool pke; /* without effect but in 4-level and 5-level mode, as pks */
	bool pks;
	uint32_t pkru; /* the guest's own */
	uint32_t pkrs;
	bool stuck_pdptes;   /* sabotage: they are loaded only together with another root */
	bool never_dirty;    /* sabotage: D is not set in tables */
	uint64_t misses;     /* walks that accesses had to make; not those of hw_speculate() */
	unsigned maxphyaddr; /* wider frames in a present entry are a bug of the library */
};

struct hw_access {
	unsigned part; /* 1: of the second page of an access to two */
	uint64_t gva;
	enum umbra_access kind;
	bool supervisor; /* by privilege level, or implicitly */
	bool implicit;   /* to the GDT and the like: what AC says does not count */
	bool ac;         /* EFLAGS.AC */
	bool disguised;  /* implicit, but CPL and AC say to the library that it may be explicit */
};

struct hw_result {
	bool fault;
	uint32_t error_code; /* fault */
	uint64_t hpa;        /* no fault */
	unsigned pat;        /* no fault: index into the PAT */
};

/* Enter the guest with @root in CR3 under @tag; no flush. PAE loads the four PDPTEs. */
void hw_enter(struct hw *hw, enum umbra_shadow_mode mode, uint64_t root, unsigned tag);

/* Translate once. Tables outside the pool or malformed entries are failures of the lab. */
struct hw_result hw_translate(struct hw *hw, struct rng *rng, const struct hw_access *access);

/* What a CPU may do at any time: walk for @gva ahead of any use and remember what was found. */
void hw_speculate(struct hw *hw, struct rng *rng, uint64_t gva);

#endif
