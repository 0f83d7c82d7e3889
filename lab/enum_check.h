/* SPDX-License-Identifier: MIT */
/*
 * The verdict on one access of the enumeration: what the reference walker says against what was
 * seen, the A and D bits in guest memory included.
 */
#ifndef LAB_ENUM_CHECK_H
#define LAB_ENUM_CHECK_H

#include "lab/enum_world.h"

enum enum_verdict {
	VERDICT_RIGHT,
	VERDICT_GAP,          /* wrong, and nobody could know better; see struct enum_expected */
	VERDICT_HIDDEN_FAULT, /* the access passed, and should have faulted */
	VERDICT_FALSE_FAULT,  /* the access faulted, and should have passed */
	VERDICT_ERROR_CODE,   /* the fault's error code or address is wrong */
	VERDICT_TARGET,       /* other memory was reached, or an access was not made */
	VERDICT_MEMORY_TYPE,  /* the hardware would use another entry of the PAT */
	VERDICT_AD,           /* A and D in guest memory */
	VERDICT_TRANSLATE,    /* umbra_translate() says otherwise */
	VERDICT_REGISTERS,    /* a register write was taken or refused */
	VERDICT_BROKEN,       /* livelock, panic, senseless outcome, malformed shadow entry */
	ENUM_N_VERDICTS,
};

const char *enum_verdict_name(enum enum_verdict verdict);

/* What the oracle says about an access before it is made. */
struct enum_expected {
	struct oracle_result result;
	/*
	 * It is refused only because it is implicit, at CPL 0 to 2 with EFLAGS.AC=1. Nobody tells
	 * the library: it learns it when the hardware refuses the access on a complete mapping, or
	 * leaves it to the host to find out. So it has set D for a store by then.
	 */
	bool unknowable;
};

void enum_expect(
	struct enum_world *world, const struct enum_who *who, struct enum_expected *expected);

/* Must the registers of @picture be refused? */
bool enum_refusable(const struct enum_world *world, const struct picture *picture);

/* Does umbra_translate() agree? Ask before the access. */
enum enum_verdict enum_check_translate(const struct enum_world *world, const struct enum_who *who,
	const struct enum_expected *expected, char *why, size_t why_bytes);

/* The verdict on @seen; a sentence about it in @why unless it is right. */
enum enum_verdict enum_check(const struct enum_world *world, const struct enum_who *who,
	const struct enum_expected *expected, const struct enum_seen *seen, char *why,
	size_t why_bytes);

#endif
