/* SPDX-License-Identifier: MIT */
/*
 * Sites: where the guest's 64-bit code executes MOV CR3 or INVLPG, of which a kernel has a handful.
 * A site is decoded once. From then on it is enough to prove that its RIP still leads to the same
 * bytes: each entry of the shadow tables on the way there is compared with what it was, and then
 * the bytes are. That is a walk without the work, and as exact: a guest that maps or writes other
 * code there, in whichever address space, is seen.
 */
#ifndef HV_VM_SITE_H
#define HV_VM_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/vm/path.h"

#define SITES 8u /* of a kind; found by some bits of RIP */

struct vcpu;

enum site_kind {
	SITE_CR3_READ,
	SITE_CR3_WRITE,
	SITE_INVLPG,
	SITE_KINDS,
};

/* 32 bits of code: where they are, and what they were. */
typedef uint32_t __attribute__((aligned(1))) site_word;

struct site_code {
	const volatile site_word *at;
	uint32_t was;
};

struct __attribute__((aligned(128))) insn_site {
	uint64_t rip;
	uint64_t *operand; /* the home of its general register: vendor_gpr_home() */
	struct code_path path;
	struct site_code code;
	unsigned length; /* at most 4 */
};

/* No site: not canonical, so never a RIP. */
#define SITE_EMPTY (1ull << 63)

/* Is @site at @rip, in 64-bit code, and unchanged under the tables of @root? */
static inline __attribute__((always_inline)) bool site_holds(
	const struct insn_site *site, umbra_hpa root, uint64_t rip)
{
	return site->rip == rip && code_path_holds(&site->path, root) &&
	       *site->code.at == site->code.was;
}

/* The place for a site of @kind at @rip. */
static inline struct insn_site *site_place(
	struct insn_site (*sites)[SITES], enum site_kind kind, uint64_t rip)
{
	return &sites[kind][rip / 16 % SITES];
}

/* Make *@site that of the instruction at @rip, 64-bit code, of which the exit says that it is of
 * @kind. Returns false, and it is empty, if it is not written in the common way, in one page that
 * the shadow tables map, or its register is out of reach. */
bool site_learn(struct vcpu *vcpu, struct insn_site *site, enum site_kind kind, uint64_t rip);

/* Empty all: before the first exit, and when the paging mode changes. */
void sites_forget(struct vcpu *vcpu);

#endif
