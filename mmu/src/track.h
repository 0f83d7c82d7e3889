/* SPDX-License-Identifier: MIT */
/*
 * Frames whose stores the embedder wants to be told of (umbra_track_write). They are protected as
 * synced tables are (I2), so that every store comes to store.c, which tells. Lock: MMU lock held,
 * everywhere here.
 */
#ifndef MMU_TRACK_H
#define MMU_TRACK_H

#include "vm.h"

/* A store: @n_bytes, 1 or more, at @gpa, in one page. */
struct track_store {
	umbra_gpa gpa;
	const void *bytes;
	size_t n_bytes;
};

/* Is one of the @n_frames frames from @gfn on tracked? Of RAM the frame tells sooner. */
bool track_any(const struct umbra_vm *vm, uint64_t gfn, uint64_t n_frames);

/* The same for a device's frame, @slot's. */
static inline bool track_device(const struct umbra_vm *vm, const struct slot *slot, uint64_t gfn)
{
	return slot->n_tracked && track_any(vm, gfn, 1);
}

/* How many of them are; for the audit: it looks at all there is. */
uint64_t track_count(const struct umbra_vm *vm, uint64_t gfn, uint64_t n_frames);

/* Tell those who asked for it @when. Returns false if one wants the store not to be made. */
bool track_tell(
	struct umbra_vcpu *vcpu, enum umbra_track_when when, const struct track_store *store);

#endif
