/* SPDX-License-Identifier: MIT */
/*
 * Frames whose stores the lab wants to be told of (umbra_track_write), and what it was told. Each
 * store must be told once to each who tracks the frame, with its bytes, before or after it was
 * made; none may be made behind their backs. Knows nothing of instructions.
 */
#ifndef LAB_TRACK_H
#define LAB_TRACK_H

#include "umbra/umbra.h"

#define TRACK_WATCHES 6u

struct machine;
struct step;

/* What a watch answers: step->type, less its lowest bit, which says AFTER. */
enum track_manner {
	TRACK_STORE,
	TRACK_DROP,
	TRACK_STOP,
	TRACK_DROP_SOME,
	TRACK_STOP_SOME,
	TRACK_SOME, /* of each */
	N_TRACK_MANNERS,
};

struct track_watch {
	struct umbra_track umbra;
	struct machine *machine;
	enum track_manner manner;
	uint64_t gfn;
	bool given; /* to the library, ever */
	bool on;
	/* By the store under way. */
	unsigned told;
	bool dropped;
	bool wanted; /* it was on when the store began */
};

struct track {
	struct track_watch watches[TRACK_WATCHES];
	/* The store under way. */
	uint64_t gpa;
	const uint8_t *bytes; /* NULL: there is none */
	size_t n_bytes;
};

/* STEP_TRACK and STEP_UNTRACK. */
void track_step(struct machine *machine, const struct step *step);

/* Does somebody track the frame of @gpa? */
bool track_has(const struct machine *machine, uint64_t gpa);

/* The host is about to hand the library a store of @bytes, which are borrowed till track_end(). */
void track_begin(struct machine *machine, uint64_t gpa, const uint8_t *bytes, size_t n_bytes);

/* The library has made the store, or (not @done) refused to. Was everybody told? */
void track_end(struct machine *machine, bool done);

/* After that: was the part of the store in the frame of @gpa made, as far as those who were told
 * wanted it? */
bool track_wanted(const struct machine *machine, uint64_t gpa);

#endif
