/* SPDX-License-Identifier: MIT */
/*
 * A step: one thing that happens to a guest, and its line in a trace. A step holds everything that
 * decides what it does (chance included, as a nonce), so a trace can lose any of its steps and the
 * rest still means the same. Knows nothing of who makes or runs steps.
 *
 *   store v0 n=5a3c gva=0x7f0000001008 bytes=8 value=0x1067 cpl=3
 */
#ifndef LAB_STEP_H
#define LAB_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEP_TEXT_BYTES 256u

enum step_kind {
	STEP_LOAD,      /* the guest reads @bytes at @gva */
	STEP_STORE,     /* the guest writes @value */
	STEP_FETCH,     /* the guest fetches an instruction */
	STEP_SPECULATE, /* the CPU walks ahead for @gva */
	STEP_CR3,       /* MOV of @value to CR3 */
	STEP_REGS,      /* CR0, CR3, CR4 and EFER change */
	STEP_INVLPG,    /* INVLPG of @gva */
	STEP_POKE,      /* the host stores @value at @gpa for the guest */
	STEP_UNSHADOW,  /* the embedder gives @gpa up as a table, unasked */
	STEP_POLICY,    /* the policy changes to the run's, altered by @policy */
	STEP_INVPCID,   /* INVPCID of @type, @pcid, @gva */
	STEP_PKRU,      /* WRPKRU of @value */
	STEP_PKRS,      /* WRMSR of @value to IA32_PKRS */
};

/* Numbers are all of one type, so that step.c can describe them in a table. */
struct step {
	enum step_kind kind;
	unsigned vcpu;
	uint64_t nonce; /* seeds what chance decides within the step */
	uint64_t gva;
	uint64_t gpa;
	uint64_t bytes; /* 1 to 8, within a page */
	uint64_t value;
	uint64_t cpl;      /* 0 to 3 */
	uint64_t implicit; /* not 0: an implicit supervisor access, whatever cpl is */
	uint64_t ac;       /* not 0: EFLAGS.AC is set */
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t type;
	uint64_t pcid;   /* the descriptor's first quadword */
	char policy[96]; /* no spaces */
};

/* Write @step as a line without its end into @text of STEP_TEXT_BYTES. */
void step_print(const struct step *step, char *text);

/* Read such a line. false: *@why is a sentence about what is wrong with it. */
bool step_parse(struct step *step, const char *line, const char **why);

#endif
