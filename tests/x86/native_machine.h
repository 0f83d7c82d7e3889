/* SPDX-License-Identifier: MIT */
/*
 * Runs instructions on the processor: the memory they are allowed to touch, the segments of 16- and
 * 32-bit code, and the way out when one faults. It must not know what any instruction means.
 */
#ifndef TESTS_X86_NATIVE_MACHINE_H
#define TESTS_X86_NATIVE_MACHINE_H

#include "tests/x86/native_layout.h"
#include "x86/decode.h"

#define NATIVE_SEGMENTS 6 /* ES to GS */

/* Kinds of code an instruction can be run as. */
enum native_mode {
	NATIVE_64,
	NATIVE_32_FLAT, /* the kernel's flat segments */
	NATIVE_32,      /* segments of the local descriptor table, each with a base of its own */
	NATIVE_16,
	NATIVE_MODES,
};

extern const char *const native_mode_names[NATIVE_MODES];

/* Segments of a batch of instructions. GS is not to be used but in 64-bit code, FS and GS in 64-bit
 * code only if native_has_bases(). */
struct native_segments {
	enum native_mode mode;
	uint64_t bases[NATIVE_SEGMENTS];
	bool stack_is_32;                    /* SS.B, in 16- and 32-bit code */
	uint16_t selectors[NATIVE_SEGMENTS]; /* filled in by native_load() */
};

struct native_state {
	uint64_t gpr[X86_GPRS];
	uint64_t rflags;
};

/* Map everything. Exits with a message if that fails. */
void native_init(void);

/* Can instructions be run in @mode here? Tries it. */
bool native_can(enum native_mode mode);

/* Can 64-bit code be given bases of FS and GS? */
bool native_has_bases(void);

/* Make @segments the segments of what native_run() runs from now on. */
void native_load(struct native_segments *segments);

/* Address of slot @number in memory. */
uint64_t native_slot(unsigned number);

/* Write an instruction into slot @number, and behind it the way back. */
void native_write_slot(const struct native_segments *segments, unsigned number,
	const uint8_t *bytes, unsigned n_bytes);

/* Run slot @number on @state and the buffer. Returns 0, or the signal that the instruction raised;
 * @state is undefined then. */
int native_run(const struct native_segments *segments, unsigned number, struct native_state *state);

static inline uint8_t *native_buffer(void)
{
	return (uint8_t *)(uintptr_t)NATIVE_BUFFER;
}

#endif
