/* SPDX-License-Identifier: MIT */
/*
 * The enumeration: one guest access after another, each in a world of its own choosing, through the
 * library and a strict hardware walker, compared with the reference walker.
 *
 * A *scene* says everything about one combination as a vector of small numbers, its knobs. A
 * *picture* is what a scene means: registers, table entries, an access. A *space* is a product of
 * knob ranges. A *row* runs a space (in full, or a sample) under one policy. Spaces and rows are
 * data. Knows nothing of the random guests and their machine.
 */
#ifndef LAB_ENUM_H
#define LAB_ENUM_H

#include "lab/oracle.h"
#include "umbra/umbra.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENUM_LEVELS     5u
#define ENUM_TEXT_BYTES 512u

enum enum_mode {
	ENUM_UNPAGED,
	ENUM_32BIT,
	ENUM_32BIT_PSE,
	ENUM_PAE,
	ENUM_4LEVEL,
	ENUM_5LEVEL,
	ENUM_N_MODES,
};

/* What the leaf maps. */
enum enum_target {
	TARGET_RAM,
	TARGET_ROM,
	TARGET_DEVICE,
	TARGET_ABSENT,
	TARGET_TABLE, /* the leaf's own table */
	TARGET_HIGH,  /* RAM above 4 GiB */
	ENUM_N_TARGETS,
};

/* Those of five levels are in the order of the levels, from 1. */
enum enum_knob {
	KNOB_MODE, /* enum enum_mode */
	KNOB_LEAF, /* level of the leaf */
	KNOB_W,    /* the entry's bits: 1 is set */
	KNOB_U = KNOB_W + ENUM_LEVELS,
	KNOB_NX = KNOB_U + ENUM_LEVELS,
	KNOB_A = KNOB_NX + ENUM_LEVELS,
	KNOB_D = KNOB_A + ENUM_LEVELS,
	KNOB_KEY,        /* the leaf's protection key */
	KNOB_PAT,        /* the leaf's: PAT, PCD, PWT */
	KNOB_G,          /* the leaf's */
	KNOB_NEXT,       /* what the entry beside the leaf is; 0: nothing */
	KNOB_FLIP_LEVEL, /* one bit of one entry is turned over; 0: none; 6: of another PDPTE */
	KNOB_FLIP_BIT,
	KNOB_FLIP2_LEVEL, /* and another one */
	KNOB_FLIP2_BIT,
	KNOB_TARGET, /* enum enum_target */
	KNOB_ROM,    /* level of the table that is in read-only memory, 0: none */
	KNOB_WP,
	KNOB_SMEP,
	KNOB_SMAP,
	KNOB_PKE,
	KNOB_PKS,
	KNOB_NXE,
	KNOB_PGE,
	KNOB_PCIDE, /* long mode only */
	KNOB_PKRU,  /* the two bits for the key; other keys get the opposite */
	KNOB_PKRS,
	KNOB_GVA, /* row of a table of addresses */
	KNOB_WHO, /* row of enum_whos[] */
	ENUM_N_KNOBS,
};

struct scene {
	uint8_t knob[ENUM_N_KNOBS];
};

/* Who accesses, and how. */
struct enum_who {
	const char *name;
	enum umbra_access kind;
	unsigned cpl;
	bool implicit;
	bool ac;
};

#define ENUM_N_WHOS 17u
extern const struct enum_who enum_whos[ENUM_N_WHOS];

struct enum_word {
	uint64_t gpa;
	uint64_t value;
};

struct picture {
	struct umbra_paging_regs regs;
	uint32_t pkru;
	uint32_t pkrs;
	uint64_t gva;      /* linear: 32 bits outside of long mode */
	uint64_t next_gva; /* what the entry beside the leaf translates; 0: there is none */
	unsigned entry_bytes;
	unsigned n_words; /* all other words of all tables are 0 */
	struct enum_word words[ENUM_LEVELS + 2];
};

/* ---- enum_scene.c ---- */

extern const struct scene enum_scene_default;

/* The greatest value of @knob. */
unsigned enum_knob_max(unsigned knob);

/* Levels of tables in memory, the PDPTEs included; 0 if unpaged. */
unsigned enum_mode_levels(unsigned mode);

/* The highest level that can be a leaf. */
unsigned enum_mode_leaves(unsigned mode);

void enum_picture(const struct scene *scene, struct picture *picture);

/* As words "knob=value", those that differ from the default. */
void enum_scene_print(const struct scene *scene, char text[ENUM_TEXT_BYTES]);

/* false: @why is a sentence for the user. */
bool enum_scene_parse(struct scene *scene, const char *text, char *why, size_t why_bytes);

/* ---- enum_space.c ---- */

/* How the tables of a combination come to be after those of the one before. */
enum enum_manner {
	MANNER_COLD,   /* the library forgets all tables, then they are written */
	MANNER_POKE,   /* by umbra_guest_write(), then the registers are loaded */
	MANNER_STORE,  /* by stores of another vCPU, then the registers are loaded */
	MANNER_INVLPG, /* by such stores after the registers were loaded, then INVLPG */
};

struct enum_space {
	struct scene base;
	uint64_t salt;  /* of its samples */
	bool few_flips; /* most samples turn no bit over */
	unsigned n_dims;
	struct enum_dim {
		uint8_t knob;
		uint8_t first;
		uint8_t n;
	} dims[ENUM_N_KNOBS];
};

enum enum_kind {
	SPACE_RIGHTS,    /* W, U, NX of each level x WP, SMEP, SMAP, NXE */
	SPACE_KEYS,      /* keys x W, U x WP, SMAP */
	SPACE_AD,        /* A of each level, D x a level not present x a table in ROM */
	SPACE_BITS,      /* each bit of each entry x WP, SMEP, SMAP, NXE */
	SPACE_TARGETS,   /* what is mapped x rights, A, D x addresses */
	SPACE_PAIRS,     /* two bits of any entries */
	SPACE_ALL,       /* every knob */
	SPACE_REGISTERS, /* no scenes: enum_regs.h */
	ENUM_N_SPACES,
};

#define ENUM_STALE       1u /* the hardware keeps a translation */
#define ENUM_ABSENT_PAGE 2u /* reads of absent memory are mapped to a page of 0xff */
#define ENUM_NO_1G       4u
#define ENUM_PIECES      16u /* entries are written in pieces, with their neighbours */
#define ENUM_MIXED       8u  /* modes and leaf levels in one VM, by chance */

struct enum_row {
	const char *policy;
	enum enum_manner manner;
	enum enum_kind space;
	uint64_t samples; /* of each mode and leaf, or of them mixed; 0: all */
	unsigned flags;   /* ENUM_STALE ... */
	unsigned maxphyaddr;
};

/* Row number @index of the enumeration, or NULL past the last. */
const struct enum_row *enum_row(unsigned index);

/* The space of @row in @mode with leaves at level @leaf. false: there is no such thing. */
bool enum_space(const struct enum_row *row, unsigned mode, unsigned leaf, struct enum_space *space);

uint64_t enum_space_size(const struct enum_space *space);

/* Scene number @index of @space; with @sampled some scene of it that depends on @index. */
void enum_space_scene(
	const struct enum_space *space, uint64_t index, bool sampled, struct scene *scene);

const char *enum_space_name(enum enum_kind kind);
const char *enum_manner_name(enum enum_manner manner);
const char *enum_mode_name(unsigned mode);

#endif
