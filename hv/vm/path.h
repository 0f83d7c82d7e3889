/* SPDX-License-Identifier: MIT */
/*
 * The way from the root of the shadow tables to a page of code, entry by entry. As long as each
 * entry is what it was, from the root down, it leads where it led; a root of another address space
 * with the same entry does too.
 */
#ifndef HV_VM_PATH_H
#define HV_VM_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "umbra/types.h"

#define PATH_ENTRIES 3u /* below the root: tables of up to 4 levels */

struct vcpu;

/* An entry of a shadow table: where it is, and what it was. */
struct path_entry {
	const volatile uint64_t *at;
	uint64_t was;
};

struct code_path {
	/* Where the root's entry is, less the physical address of the root; and its value. */
	umbra_gva root_entry;
	uint64_t root_was;
	struct path_entry entries[PATH_ENTRIES]; /* the last one repeated where there are less */
};

/* Is @path unchanged under the tables of @root? */
static inline __attribute__((always_inline)) bool code_path_holds(
	const struct code_path *path, umbra_hpa root)
{
	const volatile uint64_t *root_entry =
		(const volatile uint64_t *)(uintptr_t)(path->root_entry + root);

	if (*root_entry != path->root_was)
		return false;
#pragma GCC unroll 3
	for (unsigned i = 0; i < PATH_ENTRIES; i++) {
		if (*path->entries[i].at != path->entries[i].was)
			return false;
	}
	return true;
}

/* Make *@path that of @gva, where the tables of @vcpu map it. Returns where it leads, in the direct
 * map; NULL if it is not mapped, or the tables have 5 levels. With shadow paging only. */
const void *code_path_find(struct vcpu *vcpu, struct code_path *path, umbra_gva gva);

#endif
