/* SPDX-License-Identifier: MIT */
/*
 * The words of the library: addresses, frames, statuses, outcomes.
 */
#ifndef UMBRA_TYPES_H
#define UMBRA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Addresses are bytes. g = guest, h = host; v = virtual, p = physical. */
typedef uint64_t umbra_gva;
typedef uint64_t umbra_gpa;
typedef uint64_t umbra_hpa;

/* Frames are 4 KiB units. Two types, so that swapping them does not compile. */
typedef struct {
	uint64_t n;
} umbra_gfn;

typedef struct {
	uint64_t n;
} umbra_hfn;

/* Could the library do what it was asked? What a guest does wrong is an outcome, never a status. */
enum umbra_status {
	UMBRA_OK = 0,
	UMBRA_BAD_ARG,   /* the embedder broke the contract of the call; nothing changed */
	UMBRA_NO_MEMORY, /* the memory that was given is smaller than the call needs */
	UMBRA_OVERLAP,   /* the slot overlaps another one */
	UMBRA_TOO_MANY,  /* no slot or vCPU left */
};

/* What the vCPU does next. */
enum umbra_outcome {
	/* Run the guest; the same instruction starts again if it had faulted. */
	UMBRA_RESUME = 0,
	/* Deliver umbra_exit.vector with .error_code; for #PF .gva goes to CR2. */
	UMBRA_INJECT,
	/*
	 * Perform the guest's store at .gpa for it: decode it and hand it to umbra_guest_write(),
	 * or call umbra_unshadow() and resume. It goes into one of the guest's page tables, or into
	 * a frame that is tracked. But with CR0.WP=0 and any of CR4.SMEP, SMAP, PKE and PKS it can
	 * go into any memory that a slot grants, a device's too: then only performing it helps, or
	 * ending the guest.
	 */
	UMBRA_EMULATE,
	/* The access touches memory that no slot grants, at .gpa. */
	UMBRA_MMIO,
};

/* The kind of a guest memory access. */
enum umbra_access {
	UMBRA_READ,
	UMBRA_WRITE,
	UMBRA_FETCH,
};

/* The paging mode of the *shadow* tables, which the host must run the vCPU in. */
enum umbra_shadow_mode {
	UMBRA_SHADOW_PAE, /* CR4.PAE=1, EFER.LMA=0: the root is four PDPTEs below 4 GiB */
	UMBRA_SHADOW_4LEVEL,
	UMBRA_SHADOW_5LEVEL,
};

#define UMBRA_MUST_CHECK __attribute__((warn_unused_result))

#endif
