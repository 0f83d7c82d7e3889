/* SPDX-License-Identifier: MIT */
/* Watches: begin, end, and what the library tells them. */
#include "lab/track.h"

#include "lab/machine.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <string.h>

static uint64_t frame_of(uint64_t gpa)
{
	return gpa >> X86_PAGE_SHIFT;
}

/* The bytes of the store under way that are in frame @gfn: how many, from @gpa on. */
static size_t part_in(const struct track *track, uint64_t gfn, uint64_t *gpa)
{
	uint64_t first = gfn << X86_PAGE_SHIFT;
	uint64_t end = first + X86_PAGE_SIZE;

	if (!track->bytes)
		return 0;
	first = track->gpa > first ? track->gpa : first;
	end = track->gpa + track->n_bytes < end ? track->gpa + track->n_bytes : end;
	*gpa = first;
	return end > first ? end - first : 0;
}

static enum umbra_track_answer pick_answer(struct track_watch *watch)
{
	enum track_manner manner = watch->manner;
	unsigned chance = rng_below(&watch->machine->host_rng, 100);

	if (manner == TRACK_STOP || (manner >= TRACK_STOP_SOME && chance < 25))
		return UMBRA_TRACK_STOP;
	if (manner == TRACK_DROP || (manner == TRACK_DROP_SOME && chance < 50) ||
		(manner == TRACK_SOME && chance < 60))
		return UMBRA_TRACK_DROP;
	return UMBRA_TRACK_STORE;
}

/* Does memory hold what it should while this watch is told? */
static void check_moment(const struct track_watch *watch, uint64_t gpa, size_t n_bytes)
{
	const struct machine *machine = watch->machine;
	const uint8_t *memory = memory_at(&machine->memory, gpa);
	const uint8_t *before = memory_mirror(&machine->memory, gpa);
	bool device = memory_range_of(gpa)->kind == MEMORY_DEVICE;
	bool after = watch->umbra.when == UMBRA_TRACK_AFTER && !device;

	if (memcmp(memory, after ? machine->track.bytes + (gpa - machine->track.gpa) : before,
		    n_bytes) != 0)
		lab_fail(machine->fail, "a store at gpa 0x%" PRIx64 " is told too %s", gpa,
			after ? "early" : "late");
}

static enum umbra_track_answer written(
	void *ctx, struct umbra_vcpu *vcpu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	struct track_watch *watch = ctx;
	struct machine *machine = watch->machine;
	uint64_t first = 0;
	size_t n_expected = part_in(&machine->track, watch->gfn, &first);
	enum umbra_track_answer answer = pick_answer(watch);

	/* Sabotage: the library did not tell. */
	if (machine->config.sabotage == LAB_SABOTAGE_UNTOLD && rng_percent(&machine->host_rng, 10))
		return UMBRA_TRACK_STORE;
	if (!watch->on || vcpu != machine->vcpus[machine->calling].umbra)
		lab_fail(machine->fail, "a store at gpa 0x%" PRIx64 " is told %s", gpa,
			watch->on ? "as another vCPU's" : "to who does not track");
	if (gpa != first || n_bytes != n_expected ||
		memcmp(bytes, machine->track.bytes + (gpa - machine->track.gpa), n_bytes) != 0)
		lab_fail(machine->fail,
			"the store told of, %zu bytes at gpa 0x%" PRIx64
			", is not the one that was made, %zu bytes at gpa 0x%" PRIx64,
			n_bytes, gpa, n_expected, first);
	check_moment(watch, gpa, n_bytes);
	watch->told++;
	machine->counts.told++;
	watch->dropped = answer == UMBRA_TRACK_DROP && watch->umbra.when == UMBRA_TRACK_BEFORE;
	watch->on = answer != UMBRA_TRACK_STOP;
	return answer;
}

/* ---- begin and end ---- */

static void stop(struct machine *machine, struct track_watch *watch)
{
	if (watch->given)
		umbra_untrack_write(machine->vm, &watch->umbra);
	watch->on = false;
}

static void start(struct machine *machine, struct track_watch *watch, const struct step *step)
{
	const struct memory_range *range = memory_range_of(step->gpa);
	bool good = range && range->kind != MEMORY_READ_ONLY;
	enum umbra_status status;

	watch->machine = machine;
	watch->gfn = frame_of(step->gpa);
	watch->manner = (enum track_manner)(step->type / 2 % N_TRACK_MANNERS);
	watch->umbra = (struct umbra_track){
		.when = step->type & 1 ? UMBRA_TRACK_AFTER : UMBRA_TRACK_BEFORE,
		.written = written,
		.ctx = watch,
	};
	status = umbra_track_write(machine->vm, (umbra_gfn){watch->gfn}, &watch->umbra);
	if (status != (good ? UMBRA_OK : UMBRA_BAD_ARG))
		lab_fail(machine->fail, "umbra_track_write of gpa 0x%" PRIx64 " returns status %d",
			step->gpa, (int)status);
	watch->on = good;
	watch->given = good;
}

/* To begin once more with the same frame changes nothing, with another one is refused. */
static void begin_again(struct machine *machine, struct track_watch *watch)
{
	const umbra_gfn same = {watch->gfn};
	const umbra_gfn other = {watch->gfn ^ 1};

	if (umbra_track_write(machine->vm, same, &watch->umbra) != UMBRA_OK ||
		umbra_track_write(machine->vm, other, &watch->umbra) != UMBRA_BAD_ARG)
		lab_fail(machine->fail, "who tracks gpa 0x%" PRIx64 " begins again, to another end",
			watch->gfn << X86_PAGE_SHIFT);
}

void track_step(struct machine *machine, const struct step *step)
{
	struct track_watch *watch = &machine->track.watches[step->value % TRACK_WATCHES];

	if (watch->on)
		begin_again(machine, watch);
	if (watch->on && step->nonce % 8 == 0)
		return;
	stop(machine, watch);
	if (step->kind == STEP_TRACK)
		start(machine, watch, step);
}

bool track_has(const struct machine *machine, uint64_t gpa)
{
	for (unsigned i = 0; i < TRACK_WATCHES; i++) {
		const struct track_watch *watch = &machine->track.watches[i];

		if (watch->on && watch->gfn == frame_of(gpa))
			return true;
	}
	return false;
}

/* ---- stores ---- */

void track_begin(struct machine *machine, uint64_t gpa, const uint8_t *bytes, size_t n_bytes)
{
	struct track *track = &machine->track;

	track->gpa = gpa;
	track->bytes = bytes;
	track->n_bytes = n_bytes;
	for (unsigned i = 0; i < TRACK_WATCHES; i++) {
		struct track_watch *watch = &track->watches[i];
		uint64_t first;

		watch->told = 0;
		watch->dropped = false;
		watch->wanted = watch->on && part_in(track, watch->gfn, &first);
	}
}

bool track_wanted(const struct machine *machine, uint64_t gpa)
{
	for (unsigned i = 0; i < TRACK_WATCHES; i++) {
		const struct track_watch *watch = &machine->track.watches[i];

		if (watch->dropped && watch->gfn == frame_of(gpa))
			return false;
	}
	return true;
}

void track_end(struct machine *machine, bool done)
{
	for (unsigned i = 0; i < TRACK_WATCHES; i++) {
		const struct track_watch *watch = &machine->track.watches[i];
		bool after = watch->umbra.when == UMBRA_TRACK_AFTER;
		unsigned times = watch->wanted && done;

		if (after && !track_wanted(machine, watch->gfn << X86_PAGE_SHIFT))
			times = 0;
		if (watch->told != times)
			lab_fail(machine->fail,
				"who tracks the frame of a store at gpa 0x%" PRIx64
				" is told %u times instead of %u",
				machine->track.gpa, watch->told, times);
	}
	machine->track.bytes = NULL;
}
