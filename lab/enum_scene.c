/* SPDX-License-Identifier: MIT */
/*
 * Scenes: the knobs, their text, and the picture a scene stands for. The picture is made of the
 * formats of entries alone; whether an entry is legal or grants anything is not known here.
 */
#include "lab/enum.h"

#include "lab/enum_world.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CR3 of a PAE guest is aligned to 32 bytes only. */
#define PDPT_OFFSET 0x60u

const struct enum_who enum_whos[ENUM_N_WHOS] = {
	{"read.cpl0", UMBRA_READ, 0, false, false},
	{"read.cpl1.ac", UMBRA_READ, 1, false, true},
	{"read.cpl3", UMBRA_READ, 3, false, false},
	{"read.cpl3.ac", UMBRA_READ, 3, false, true},
	{"read.implicit.cpl3", UMBRA_READ, 3, true, false},
	{"read.implicit.cpl3.ac", UMBRA_READ, 3, true, true},
	{"read.implicit.cpl0.ac", UMBRA_READ, 0, true, true},
	{"write.cpl0", UMBRA_WRITE, 0, false, false},
	{"write.cpl2.ac", UMBRA_WRITE, 2, false, true},
	{"write.cpl3", UMBRA_WRITE, 3, false, false},
	{"write.cpl3.ac", UMBRA_WRITE, 3, false, true},
	{"write.implicit.cpl3", UMBRA_WRITE, 3, true, false},
	{"write.implicit.cpl3.ac", UMBRA_WRITE, 3, true, true},
	{"write.implicit.cpl0.ac", UMBRA_WRITE, 0, true, true},
	{"fetch.cpl0", UMBRA_FETCH, 0, false, false},
	{"fetch.cpl0.ac", UMBRA_FETCH, 0, false, true},
	{"fetch.cpl3", UMBRA_FETCH, 3, false, false},
};

const struct scene enum_scene_default = {.knob = {
						 [KNOB_MODE] = ENUM_4LEVEL,
						 [KNOB_LEAF] = 1,
						 [KNOB_W... KNOB_W + ENUM_LEVELS - 1] = 1,
						 [KNOB_U... KNOB_U + ENUM_LEVELS - 1] = 1,
						 [KNOB_NXE] = 1,
					 }};

struct knob_row {
	const char *name;
	uint8_t max;
};

#define LEVELS_OF(at, what)                                                                        \
	[at] = {"e1." what, 1}, [(at) + 1] = {"e2." what, 1}, [(at) + 2] = {"e3." what, 1},        \
	[(at) + 3] = {"e4." what, 1}, [(at) + 4] = {"e5." what, 1}

static const struct knob_row knob_rows[ENUM_N_KNOBS] = {
	[KNOB_MODE] = {"mode", ENUM_N_MODES - 1},
	[KNOB_LEAF] = {"leaf", 3},
	LEVELS_OF(KNOB_W, "w"),
	LEVELS_OF(KNOB_U, "u"),
	LEVELS_OF(KNOB_NX, "nx"),
	LEVELS_OF(KNOB_A, "a"),
	[KNOB_D] = {"leaf.d", 1},
	[KNOB_KEY] = {"leaf.key", 15},
	[KNOB_PAT] = {"leaf.pat", 7},
	[KNOB_G] = {"leaf.g", 1},
	[KNOB_NEXT] = {"next", 7},
	[KNOB_FLIP_LEVEL] = {"flip", ENUM_LEVELS + 1},
	[KNOB_FLIP_BIT] = {"flip.bit", 63},
	[KNOB_FLIP2_LEVEL] = {"flip2", ENUM_LEVELS + 1},
	[KNOB_FLIP2_BIT] = {"flip2.bit", 63},
	[KNOB_TARGET] = {"target", ENUM_N_TARGETS - 1},
	[KNOB_ROM] = {"rom", ENUM_LEVELS},
	[KNOB_WP] = {"cr0.wp", 1},
	[KNOB_SMEP] = {"cr4.smep", 1},
	[KNOB_SMAP] = {"cr4.smap", 1},
	[KNOB_PKE] = {"cr4.pke", 1},
	[KNOB_PKS] = {"cr4.pks", 1},
	[KNOB_NXE] = {"efer.nxe", 1},
	[KNOB_PGE] = {"cr4.pge", 1},
	[KNOB_PCIDE] = {"cr4.pcide", 1},
	[KNOB_PKRU] = {"pkru", 3},
	[KNOB_PKRS] = {"pkrs", 3},
	[KNOB_GVA] = {"gva", 3},
	[KNOB_WHO] = {"who", ENUM_N_WHOS - 1},
};

struct mode_row {
	const char *name;
	uint8_t levels;
	uint8_t leaves;
	uint8_t index_bits;
	uint64_t cr4;
};

static const struct mode_row mode_rows[ENUM_N_MODES] = {
	[ENUM_UNPAGED] = {"unpaged", 0, 1, 0, 0},
	[ENUM_32BIT] = {"32bit", 2, 1, 10, 0},
	[ENUM_32BIT_PSE] = {"32bit.pse", 2, 2, 10, X86_CR4_PSE},
	[ENUM_PAE] = {"pae", 3, 2, 9, X86_CR4_PAE},
	[ENUM_4LEVEL] = {"4level", 4, 3, 9, X86_CR4_PAE},
	[ENUM_5LEVEL] = {"5level", 5, 3, 9, X86_CR4_PAE | X86_CR4_LA57},
};

unsigned enum_knob_max(unsigned knob)
{
	return knob_rows[knob].max;
}

unsigned enum_mode_levels(unsigned mode)
{
	return mode_rows[mode].levels;
}

unsigned enum_mode_leaves(unsigned mode)
{
	return mode_rows[mode].leaves;
}

const char *enum_mode_name(unsigned mode)
{
	return mode_rows[mode].name;
}

/* A scene being painted. */
struct painter {
	const uint8_t *knob;
	const struct mode_row *mode;
	struct picture *picture;
	bool long_mode;
};

/* Bits 29:12 are those of an own table (see enum_world.h), so that a large page can map one. The
 * last row is for five levels; with four it is made canonical. */
static uint64_t gva_of(const struct painter *p)
{
	static const uint64_t gvas[] = {
		0x00007f1240015ab8, 0xffffffffc0215ff8, 0x0000000000015000, 0x00ff800080015010};
	uint64_t gva = gvas[p->knob[KNOB_GVA]];

	if (p->mode->levels == 4)
		gva = (uint64_t)((int64_t)(gva << 16) >> 16);
	return p->long_mode ? gva : (uint32_t)gva;
}

/* The first frame of the page that the leaf maps. */
static uint64_t target_gfn(const struct painter *p)
{
	static const uint64_t absent[] = {0, 0x500, 0x800, 0x100000};
	unsigned leaf = p->knob[KNOB_LEAF];
	unsigned index = 0;

	switch ((enum enum_target)p->knob[KNOB_TARGET]) {
	case TARGET_ABSENT:
		return absent[leaf];
	case TARGET_TABLE:
		return leaf == 1 ? enum_table_gfn(1) : 0;
	case TARGET_RAM:
		index = ENUM_RANGE_DATA;
		break;
	case TARGET_ROM:
		index = ENUM_RANGE_ROM;
		break;
	case TARGET_DEVICE:
		index = ENUM_RANGE_DEVICE;
		break;
	case TARGET_HIGH:
		/* Out of reach of 32-bit page tables. */
		index = p->mode->index_bits == 10 && leaf == 1 ? ENUM_RANGE_DATA : ENUM_RANGE_HIGH;
		break;
	case ENUM_N_TARGETS:
		break;
	}
	if (leaf == 1)
		return enum_ranges[index].gfn + 0x155;
	/* The second 2M of it; 4M and 1G pages begin where the range does. */
	return enum_ranges[index].gfn + (leaf == 2 && p->mode->index_bits == 9 ? 0x200 : 0);
}

/* The frame of the table of @level. */
static uint64_t table_gfn(const struct painter *p, unsigned level)
{
	if (p->knob[KNOB_ROM] == level)
		return enum_ranges[ENUM_RANGE_ROM].gfn + level;
	return enum_table_gfn(level);
}

/* Address bits of a leaf. In a 4M page's entry bits 39:32 stand at 20:13. SDM 3A "32-Bit Paging".
 */
static uint64_t leaf_address(const struct painter *p)
{
	uint64_t gpa = target_gfn(p) << X86_PAGE_SHIFT;

	if (p->mode->index_bits == 10)
		return (uint32_t)gpa | (gpa >> 32) << 13;
	return gpa;
}

/* The bits of a leaf that choose its memory type. */
static uint64_t type_of(const struct painter *p)
{
	unsigned pat = p->knob[KNOB_PAT];
	uint64_t high = p->knob[KNOB_LEAF] == 1 ? X86_PTE_PAT_4K : X86_PTE_PAT_LARGE;

	return (pat & 4 ? high : 0) | (pat & 2 ? X86_PTE_PCD : 0) | (pat & 1 ? X86_PTE_PWT : 0);
}

static uint64_t entry_of(const struct painter *p, unsigned level)
{
	unsigned leaf = p->knob[KNOB_LEAF];
	uint64_t key = p->knob[KNOB_KEY];
	uint64_t entry = X86_PTE_P;

	if (p->mode->levels == 3 && level == 3)
		return entry | table_gfn(p, 2) << X86_PAGE_SHIFT;
	entry |= (p->knob[KNOB_W + level - 1] ? X86_PTE_W : 0) |
		 (p->knob[KNOB_U + level - 1] ? X86_PTE_U : 0) |
		 (p->knob[KNOB_A + level - 1] ? X86_PTE_A : 0);
	if (p->knob[KNOB_NX + level - 1] && p->mode->index_bits == 9)
		entry |= X86_PTE_NX;
	/* An upper entry's key has no meaning: it gets another one. */
	if (level > leaf)
		return entry | table_gfn(p, level - 1) << X86_PAGE_SHIFT |
		       (key && p->long_mode ? (key ^ 15) << X86_PTE_PK_SHIFT : 0);
	return entry | leaf_address(p) | type_of(p) | (p->knob[KNOB_D] ? X86_PTE_D : 0) |
	       (p->knob[KNOB_G] ? X86_PTE_G : 0) | (leaf > 1 ? X86_PTE_PS : 0) |
	       (p->long_mode ? key << X86_PTE_PK_SHIFT : 0);
}

static uint64_t flips_of(const struct painter *p, unsigned level)
{
	uint64_t flips = 0;

	if (p->knob[KNOB_FLIP_LEVEL] == level)
		flips ^= 1ull << p->knob[KNOB_FLIP_BIT];
	if (p->knob[KNOB_FLIP2_LEVEL] == level)
		flips ^= 1ull << p->knob[KNOB_FLIP2_BIT];
	return p->picture->entry_bytes == 4 ? (uint32_t)flips : flips;
}

static void add_word(struct painter *p, uint64_t gpa, uint64_t value)
{
	p->picture->words[p->picture->n_words++] = (struct enum_word){gpa, value};
}

/* The entry beside the leaf: for the same page, used before, with something of its own. */
static void paint_next(struct painter *p, uint64_t slot)
{
	static const uint64_t own[8] = {
		0, 0, X86_PTE_W, X86_PTE_U, X86_PTE_A, X86_PTE_D, X86_PTE_PCD, 1ull << 51};
	unsigned leaf = p->knob[KNOB_LEAF];
	unsigned next = p->knob[KNOB_NEXT];
	uint64_t entry = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D;

	if (!next)
		return;
	entry = (entry | leaf_address(p) | (leaf > 1 ? X86_PTE_PS : 0)) ^ own[next];
	add_word(p, slot ^ p->picture->entry_bytes,
		p->picture->entry_bytes == 4 ? (uint32_t)entry : entry);
	p->picture->next_gva = p->picture->gva ^ 1ull << (12 + (leaf - 1) * p->mode->index_bits);
}

static void paint_tables(struct painter *p)
{
	struct picture *picture = p->picture;

	for (unsigned level = p->mode->levels; level && level >= p->knob[KNOB_LEAF]; level--) {
		uint64_t table = table_gfn(p, level) << X86_PAGE_SHIFT;
		uint64_t index = picture->gva >> (12 + (level - 1) * p->mode->index_bits);
		uint64_t value = entry_of(p, level);

		if (p->mode->levels == 3 && level == 3) {
			index &= 3;
			table += PDPT_OFFSET;
			/* Another register, which this access does not use. */
			if (flips_of(p, ENUM_LEVELS + 1))
				add_word(p, table + (index ^ 1) * 8,
					value ^ flips_of(p, ENUM_LEVELS + 1));
		} else {
			index &= (1u << p->mode->index_bits) - 1;
		}
		add_word(p, table + index * picture->entry_bytes, value ^ flips_of(p, level));
		if (level == p->knob[KNOB_LEAF])
			paint_next(p, table + index * picture->entry_bytes);
	}
}

static void paint_regs(struct painter *p)
{
	static const struct {
		uint8_t knob;
		uint64_t cr4;
	} cr4_bits[] = {
		{KNOB_SMEP, X86_CR4_SMEP},
		{KNOB_SMAP, X86_CR4_SMAP},
		{KNOB_PKE, X86_CR4_PKE},
		{KNOB_PKS, X86_CR4_PKS},
		{KNOB_PGE, X86_CR4_PGE},
	};
	struct umbra_paging_regs *regs = &p->picture->regs;
	bool pcid = p->long_mode && p->knob[KNOB_PCIDE];

	regs->cr0 = X86_CR0_PE | (p->mode->levels ? X86_CR0_PG : 0) |
		    (p->knob[KNOB_WP] ? X86_CR0_WP : 0);
	regs->cr4 = p->mode->cr4 | (pcid ? X86_CR4_PCIDE : 0);
	for (size_t i = 0; i < sizeof(cr4_bits) / sizeof(cr4_bits[0]); i++)
		regs->cr4 |= p->knob[cr4_bits[i].knob] ? cr4_bits[i].cr4 : 0;
	regs->efer = (p->long_mode ? X86_EFER_LME | X86_EFER_LMA : 0) |
		     (p->knob[KNOB_NXE] ? X86_EFER_NXE : 0);
	regs->cr3 = p->mode->levels ? table_gfn(p, p->mode->levels) << X86_PAGE_SHIFT : 0;
	regs->cr3 |= p->mode->levels == 3 ? PDPT_OFFSET : pcid ? 0x123 : X86_CR3_PWT;
}

/* @pair for the key, the opposite for all others. */
static uint32_t key_register(uint32_t pair, unsigned key)
{
	uint32_t all = pair * 0x55555555u;

	return ~all ^ 3u << 2 * key;
}

void enum_picture(const struct scene *scene, struct picture *picture)
{
	struct painter p = {
		.knob = scene->knob,
		.mode = &mode_rows[scene->knob[KNOB_MODE]],
		.picture = picture,
	};

	p.long_mode = p.mode->levels >= 4;
	picture->n_words = 0;
	picture->next_gva = 0;
	picture->entry_bytes = p.mode->index_bits == 10 ? 4 : 8;
	picture->gva = gva_of(&p);
	if (!p.mode->levels)
		picture->gva =
			(uint32_t)(target_gfn(&p) << X86_PAGE_SHIFT) | (picture->gva & 0xfff);
	picture->pkru = key_register(p.knob[KNOB_PKRU], p.long_mode ? p.knob[KNOB_KEY] : 0);
	picture->pkrs = key_register(p.knob[KNOB_PKRS], p.long_mode ? p.knob[KNOB_KEY] : 0);
	paint_regs(&p);
	paint_tables(&p);
}

/* ---- text ---- */

/* The names of a knob's values, or NULL if they are numbers. */
static const char *value_name(unsigned knob, unsigned value)
{
	static const char *const targets[ENUM_N_TARGETS] = {
		"ram", "rom", "device", "absent", "table", "high"};

	switch (knob) {
	case KNOB_MODE:
		return mode_rows[value].name;
	case KNOB_TARGET:
		return targets[value];
	case KNOB_WHO:
		return enum_whos[value].name;
	default:
		return NULL;
	}
}

void enum_scene_print(const struct scene *scene, char text[ENUM_TEXT_BYTES])
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < ENUM_N_KNOBS; i++) {
		unsigned value = scene->knob[i];
		const char *name = value_name(i, value);
		const char *space = used ? " " : "";

		if (i != KNOB_MODE && i != KNOB_WHO && value == enum_scene_default.knob[i])
			continue;
		if (name)
			used += (size_t)snprintf(text + used, ENUM_TEXT_BYTES - used, "%s%s=%s",
				space, knob_rows[i].name, name);
		else
			used += (size_t)snprintf(text + used, ENUM_TEXT_BYTES - used, "%s%s=%u",
				space, knob_rows[i].name, value);
	}
}

/* The value that @text names for @knob; more than its maximum if none. */
static unsigned long parse_value(unsigned knob, const char *text)
{
	char *end;
	unsigned long value;

	for (unsigned i = 0; value_name(knob, 0) && i <= knob_rows[knob].max; i++)
		if (strcmp(text, value_name(knob, i)) == 0)
			return i;
	value = strtoul(text, &end, 10);
	return end == text || *end ? ~0ul : value;
}

static bool parse_word(struct scene *scene, char *word, char *why, size_t why_bytes)
{
	char *equals = strchr(word, '=');

	if (equals)
		*equals = '\0';
	for (unsigned i = 0; equals && i < ENUM_N_KNOBS; i++) {
		unsigned long value;

		if (strcmp(word, knob_rows[i].name) != 0)
			continue;
		value = parse_value(i, equals + 1);
		if (value > knob_rows[i].max) {
			snprintf(why, why_bytes, "%s cannot be \"%s\"", word, equals + 1);
			return false;
		}
		scene->knob[i] = (uint8_t)value;
		return true;
	}
	snprintf(why, why_bytes, "\"%s\" is no knob=value of a scene", word);
	return false;
}

bool enum_scene_parse(struct scene *scene, const char *text, char *why, size_t why_bytes)
{
	char copy[ENUM_TEXT_BYTES];
	char *rest = copy;
	char *word;

	*scene = enum_scene_default;
	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, " ")) != NULL)
		if (*word && !parse_word(scene, word, why, why_bytes))
			return false;
	if (scene->knob[KNOB_LEAF] < 1 ||
		scene->knob[KNOB_LEAF] > enum_mode_leaves(scene->knob[KNOB_MODE])) {
		snprintf(why, why_bytes, "this mode has no leaf at that level");
		return false;
	}
	return true;
}
