/* SPDX-License-Identifier: MIT */
/*
 * A step: one thing that happens to a guest, and its line in a trace. A step holds everything that
 * decides what it does (chance included, as a nonce), so a trace can lose any of its steps and the
 * rest still means the same. Knows nothing of who makes or runs steps.
 *
 *   store v0 n=5a3c op=or gva=0x7f0000001008 bytes=8 value=0x1067 cpl=3
 */
#ifndef LAB_STEP_H
#define LAB_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEP_TEXT_BYTES 256u
#define STEP_BYTES_MAX  64u /* of a store */

enum step_kind {
	STEP_LOAD,      /* the guest reads @bytes at @gva */
	STEP_STORE,     /* the guest does @op with @value to memory */
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
	STEP_TRACK,     /* watch @value tracks the frame of @gpa, as @type says: track.h */
	STEP_UNTRACK,   /* watch @value ends */
};

/* What a store does: the name of the instruction. */
enum step_op {
	STEP_OP_MOV, /* also of sizes that no general register has */
	STEP_OP_XCHG,
	STEP_OP_AND,
	STEP_OP_OR,
	STEP_OP_XOR,
	STEP_OP_ADD,
	STEP_OP_SUB,
	STEP_OP_INC,
	STEP_OP_DEC,
	STEP_OP_NOT,
	STEP_OP_NEG,
	STEP_OP_BTS,
	STEP_OP_BTR,
	STEP_OP_BTC,
	STEP_OP_XADD,
	STEP_OP_CMPXCHG,
	STEP_OP_CMPXCHG_PAIR, /* CMPXCHG8B, CMPXCHG16B */
	STEP_OP_SETCC,
	STEP_OP_PUSH,
	STEP_OP_STOS,
	N_STEP_OPS,
};

/* Numbers are all of one type, so that step.c can describe them in a table. */
struct step {
	enum step_kind kind;
	unsigned vcpu;
	uint64_t nonce; /* seeds what chance decides within the step */
	uint64_t gva;
	uint64_t gpa;
	uint64_t op;    /* enum step_op */
	uint64_t bytes; /* 1 to 8, within a page; stores and pokes: to STEP_BYTES_MAX, anywhere */
	uint64_t value; /* of wide ones see step_operand() */
	uint64_t cpl;   /* 0 to 3 */
	uint64_t implicit; /* not 0: an implicit supervisor access, whatever cpl is */
	uint64_t ac;       /* not 0: EFLAGS.AC is set */
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t type;   /* of a store that compares: not 0: with what is not there */
	uint64_t pcid;   /* the descriptor's first quadword */
	char policy[96]; /* no spaces */
};

/* The operand of a store or poke, step->bytes of it: @value, then, if that is not 0, entries for
 * the frames behind. */
void step_operand(const struct step *step, uint8_t *bytes);

/* Has the instruction @op such an operand? */
bool step_has_size(enum step_op op, uint64_t n_bytes);

/* Write @step as a line without its end into @text of STEP_TEXT_BYTES. */
void step_print(const struct step *step, char *text);

/* Read such a line. false: *@why is a sentence about what is wrong with it. */
bool step_parse(struct step *step, const char *line, const char **why);

#endif
