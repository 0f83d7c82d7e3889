/* SPDX-License-Identifier: MIT */
/*
 * The fuzzer's language: bytes that say what a machine is and what happens on it. Any bytes mean
 * something, most of what they mean works, and a small change of the bytes is a small change of the
 * run: that is what a coverage-guided fuzzer needs. Knows nothing of the library.
 *
 *   4 bytes    the machine: mode, policy, processor
 *   8 bytes    a step, for as long as there are some
 *
 * A run begins with tables of its mode in place (fuzz_tables.c) and registers loaded.
 */
#ifndef LAB_FUZZ_H
#define LAB_FUZZ_H

#include "lab/run.h"

#define FUZZ_HEADER_BYTES 4u
#define FUZZ_STEP_BYTES   8u
#define FUZZ_STEPS_MAX    256u

/* Make @trace, which is empty, what @bytes mean. */
void fuzz_decode(const uint8_t *bytes, size_t n_bytes, struct trace *trace);

/* ---- fuzz_tables.c: the world the bytes talk about ---- */

/* The modes, by the number in the bytes. */
enum fuzz_mode {
	FUZZ_UNPAGED,
	FUZZ_2LEVEL,
	FUZZ_2LEVEL_PSE,
	FUZZ_PAE,
	FUZZ_4LEVEL,
	FUZZ_5LEVEL,
	FUZZ_N_MODES,
};

/* An address from its short form: bits 1:0 choose the index of level 1, 3:2 that of level 2, and so
 * on to 9:8; bits 15:10 the byte in the page. */
uint64_t fuzz_gva(enum fuzz_mode mode, unsigned code);

/* Where the window of @mode, which maps all tables, shows guest address @gpa. */
uint64_t fuzz_window(enum fuzz_mode mode, uint64_t gpa);

/* An entry of @level from its short form: @flags are P W U A D NX G PS, @target a page or table,
 * bits 4:0, and a protection key, 7:5; @flip 1 to 64 turns over the bit below it. */
uint64_t fuzz_entry(
	enum fuzz_mode mode, unsigned level, unsigned flags, unsigned target, unsigned flip);

/* The address of an entry: table @which, 0 or 1, of @level, and a short index, 0 to 3. */
uint64_t fuzz_slot(enum fuzz_mode mode, unsigned level, unsigned which, unsigned index);

unsigned fuzz_entry_bytes(enum fuzz_mode mode);
unsigned fuzz_levels(enum fuzz_mode mode);

/* Registers for @mode with root @which and @features: WP NXE SMEP SMAP PKE PKS PGE PCIDE. Fills
 * cr0, cr3, cr4 and efer of @step. */
void fuzz_regs(enum fuzz_mode mode, unsigned which, unsigned features, struct step *step);

/* The steps that build the tables for a beginning in @mode, added to @trace. */
void fuzz_build(struct trace *trace, enum fuzz_mode mode);

#endif
