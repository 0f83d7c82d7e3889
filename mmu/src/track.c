/* SPDX-License-Identifier: MIT */
/* Frames with somebody to be told of stores; see track.h. */
#include "track.h"

#include "audit.h"
#include "large.h"
#include "lock.h"
#include "page.h"
#include "slot.h"

static struct umbra_track **bucket(struct umbra_vm *vm, uint64_t gfn)
{
	return &vm->tracks[gfn % TRACK_BUCKETS];
}

static bool is_tracked(const struct umbra_vm *vm, uint64_t gfn)
{
	const struct umbra_track *track = vm->tracks[gfn % TRACK_BUCKETS];

	while (track && track->gfn.n != gfn)
		track = track->next;
	return track;
}

bool track_any(const struct umbra_vm *vm, uint64_t gfn, uint64_t n_frames)
{
	if (n_frames == 1)
		return is_tracked(vm, gfn);
	for (unsigned i = 0; i < TRACK_BUCKETS; i++) {
		for (const struct umbra_track *track = vm->tracks[i]; track; track = track->next) {
			if (track->gfn.n - gfn < n_frames)
				return true;
		}
	}
	return false;
}

/* ---- begin and end ---- */

static void begin(struct umbra_vm *vm, struct slot *slot, uint64_t gfn)
{
	struct frame *frame = slot_frame(slot, gfn);

	if (!frame) {
		/* Which entries map a device is not recorded. */
		slot->tracked = true;
		page_zap_all(vm);
		return;
	}
	if (frame->state & FRAME_TRACKED)
		return;
	if (!frame_tables(frame))
		large_split(vm, slot, gfn);
	frame->state |= FRAME_TRACKED;
	sync_protect(vm, gfn);
}

static void end(struct umbra_vm *vm, struct umbra_track **at)
{
	uint64_t gfn = (*at)->gfn.n;
	struct slot *slot = slot_find(vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);

	*at = (*at)->next;
	if (is_tracked(vm, gfn))
		return;
	if (!frame) {
		slot->tracked = track_any(vm, slot->first, slot->n_frames);
		return;
	}
	frame->state &= ~FRAME_TRACKED;
	if (!frame_tables(frame)) {
		frame_free(frame);
		large_may_merge(vm, gfn);
	}
}

static struct umbra_track **find(struct umbra_vm *vm, const struct umbra_track *track, uint64_t gfn)
{
	struct umbra_track **at = bucket(vm, gfn);

	while (*at && *at != track)
		at = &(*at)->next;
	return at;
}

enum umbra_status umbra_track_write(struct umbra_vm *vm, umbra_gfn gfn, struct umbra_track *track)
{
	struct slot *slot = slot_find(vm, gfn.n);
	struct umbra_track **at;

	if (!slot || !slot->writable || !track->written || track->when > UMBRA_TRACK_AFTER)
		return UMBRA_BAD_ARG;
	mmu_lock(vm);
	at = find(vm, track, gfn.n);
	if (!*at) {
		track->gfn = gfn;
		track->next = NULL;
		*at = track;
		begin(vm, slot, gfn.n);
	}
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_OK;
}

void umbra_untrack_write(struct umbra_vm *vm, struct umbra_track *track)
{
	struct umbra_track **at;

	mmu_lock(vm);
	at = find(vm, track, track->gfn.n);
	if (*at)
		end(vm, at);
	mmu_unlock(vm);
	audit_event(vm);
}

/* ---- stores ---- */

bool track_tell(
	struct umbra_vcpu *vcpu, enum umbra_track_when when, const struct track_store *store)
{
	struct umbra_vm *vm = vcpu->vm;
	uint64_t gfn = store->gpa >> X86_PAGE_SHIFT;
	struct umbra_track **at = bucket(vm, gfn);
	bool wanted = true;

	while (*at) {
		struct umbra_track *track = *at;
		enum umbra_track_answer answer = UMBRA_TRACK_STORE;

		if (track->gfn.n == gfn && track->when == when) {
			vm->stats.mmu_tracked++;
			answer = track->written(
				track->ctx, vcpu, store->gpa, store->bytes, store->n_bytes);
		}
		wanted &= answer != UMBRA_TRACK_DROP;
		if (answer == UMBRA_TRACK_STOP)
			end(vm, at);
		else
			at = &track->next;
	}
	return wanted;
}
