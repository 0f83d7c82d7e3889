/* SPDX-License-Identifier: MIT */
/*
 * The reverse map: from a guest frame to every leaf that maps it, and from a shadow page to every
 * entry that links to it. Both are intrusive doubly linked lists over refs, so adding cannot fail
 * and removing is O(1). Keeps the list half of I3 and I4; only set.c adds and removes.
 */
#ifndef MMU_RMAP_H
#define MMU_RMAP_H

#include "vm.h"

static inline void rmap_add(struct umbra_vm *vm, uint32_t *head, uint32_t ref)
{
	struct link *links = vm->links[0]; /* by ref */
	uint32_t next = *head;

	links[ref] = (struct link){.next = next, .prev = 0};
	if (next)
		links[next].prev = ref;
	*head = ref;
}

static inline void rmap_remove(struct umbra_vm *vm, uint32_t *head, uint32_t ref)
{
	struct link *links = vm->links[0];
	struct link link = links[ref];

	if (link.next)
		links[link.next].prev = link.prev;
	if (link.prev)
		links[link.prev].next = link.next;
	else
		*head = link.next;
}

#endif
