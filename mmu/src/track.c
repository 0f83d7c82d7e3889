/* SPDX-License-Identifier: MIT */
/* Frames with somebody to be told of stores; see track.h. */
#include "track.h"

#include "audit.h"
#include "large.h"
#include "lock.h"
#include "page.h"
#include "slot.h"

static struct umbra_track **bucket(const struct umbra_vm *vm, uint64_t gfn)
{
	return &vm->tracks[page_hash(vm, gfn) - vm->hash];
}

bool track_any(const struct umbra_vm *vm, uint64_t gfn, uint64_t n_frames)
{
	for (; n_frames; n_frames--, gfn++) {
		for (const struct umbra_track *t = *bucket(vm, gfn); t; t = t->next) {
			if (t->gfn.n == gfn)
				return true;
		}
	}
	return false;
}

/* Is another one of its frame behind @track? */
static bool has_next(const struct umbra_track *track)
{
	const struct umbra_track *t = track->next;

	while (t && t->gfn.n != track->gfn.n)
		t = t->next;
	return t;
}

uint64_t track_count(const struct umbra_vm *vm, uint64_t gfn, uint64_t n_frames)
{
	uint64_t n = 0;

	for (size_t i = 0; i < 1ull << (64 - vm->hash_shift); i++) {
		for (const struct umbra_track *t = vm->tracks[i]; t; t = t->next)
			n += t->gfn.n - gfn < n_frames && !has_next(t);
	}
	return n;
}

/* ---- begin and end ---- */

/* @gfn has one to be told. */
static void begin(struct umbra_vm *vm, struct slot *slot, uint64_t gfn)
{
	struct frame *frame = slot_frame(slot, gfn);

	if (!frame) {
		/* Which entries map a device is not recorded. */
		slot->n_tracked++;
		page_zap_all(vm);
		return;
	}
	if (!frame_tables(frame))
		large_split(vm, slot, gfn);
	frame->state |= FRAME_TRACKED;
	sync_protect(vm, gfn);
}

/* It has none any more. */
static void end(struct umbra_vm *vm, uint64_t gfn)
{
	struct slot *slot = slot_find(vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);

	if (!frame) {
		slot->n_tracked--;
		return;
	}
	frame->state &= ~FRAME_TRACKED;
	if (!frame_tables(frame)) {
		frame_free(frame);
		large_may_merge(vm, gfn);
	}
}

static void take_out(struct umbra_vm *vm, struct umbra_track **at)
{
	uint64_t gfn = (*at)->gfn.n;

	*at = (*at)->next;
	if (!track_any(vm, gfn, 1))
		end(vm, gfn);
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
	enum umbra_status status = UMBRA_OK;
	bool first;

	if (!slot || !slot->writable || !track->written || track->when > UMBRA_TRACK_AFTER)
		return UMBRA_BAD_ARG;
	mmu_lock(vm);
	if (*find(vm, track, track->gfn.n)) {
		if (track->gfn.n != gfn.n)
			status = UMBRA_BAD_ARG;
	} else {
		first = !track_any(vm, gfn.n, 1);
		track->gfn = gfn;
		track->next = NULL;
		*find(vm, track, gfn.n) = track;
		if (first)
			begin(vm, slot, gfn.n);
	}
	mmu_unlock(vm);
	audit_event(vm);
	return status;
}

void umbra_untrack_write(struct umbra_vm *vm, struct umbra_track *track)
{
	struct umbra_track **at;

	mmu_lock(vm);
	at = find(vm, track, track->gfn.n);
	if (*at)
		take_out(vm, at);
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
			take_out(vm, at);
		else
			at = &track->next;
	}
	return wanted;
}
