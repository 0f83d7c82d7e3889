/* SPDX-License-Identifier: MIT */
/*
 * Which combinations there are: the spaces as products of knob ranges, and the rows that run them.
 * Data and arithmetic only.
 */
#include "lab/enum.h"

#include "lab/rng.h"

#include <string.h>

#define STALE       ENUM_STALE
#define ABSENT_PAGE ENUM_ABSENT_PAGE
#define NO_1G       ENUM_NO_1G
#define MIXED       ENUM_MIXED
#define PIECES      ENUM_PIECES

static const struct enum_row rows[] = {
	/* In full, one optimisation set. */
	{"", MANNER_COLD, SPACE_RIGHTS, 0, STALE, 40},
	{"", MANNER_COLD, SPACE_KEYS, 0, STALE, 40},
	{"", MANNER_COLD, SPACE_AD, 0, 0, 40},
	{"", MANNER_COLD, SPACE_BITS, 0, 0, 40},
	{"", MANNER_COLD, SPACE_TARGETS, 0, STALE, 40},
	{"", MANNER_POKE, SPACE_REGISTERS, 0, STALE, 40},
	/* Samples of what is too much, and of every knob at once. */
	{"", MANNER_COLD, SPACE_PAIRS, 20000, ABSENT_PAGE, 40},
	{"", MANNER_COLD, SPACE_ALL, 20000, 0, 36},
	{"", MANNER_COLD, SPACE_ALL, 6000, 0, 32},
	{"", MANNER_COLD, SPACE_ALL, 20000, STALE | NO_1G, 52},
	/* From one combination to another without forgetting. */
	{"", MANNER_POKE, SPACE_ALL, 12000, STALE, 40},
	{"", MANNER_STORE, SPACE_ALL, 12000, STALE, 40},
	{"", MANNER_INVLPG, SPACE_ALL, 12000, STALE, 40},
	{"oos=all", MANNER_POKE, SPACE_ALL, 10000, STALE, 40},
	{"oos=all", MANNER_STORE, SPACE_ALL, 10000, STALE, 40},
	{"oos=all", MANNER_INVLPG, SPACE_ALL, 10000, STALE, 40},
	/* The same with the mode changing too: tables of one mode become those of another. */
	{"", MANNER_POKE, SPACE_ALL, 150000, MIXED | STALE, 40},
	{"", MANNER_STORE, SPACE_ALL, 150000, MIXED | STALE, 40},
	{"oos=all", MANNER_STORE, SPACE_ALL, 150000, MIXED | ABSENT_PAGE, 36},
	{"oos=all", MANNER_INVLPG, SPACE_ALL, 150000, MIXED | STALE, 40},
	{"oos=off", MANNER_INVLPG, SPACE_ALL, 100000, MIXED | STALE, 46},
	/* By stores that are no entries. */
	{"", MANNER_POKE, SPACE_ALL, 100000, MIXED | PIECES | STALE, 40},
	{"oos=off", MANNER_STORE, SPACE_ALL, 100000, MIXED | PIECES, 40},
	{"oos=all", MANNER_INVLPG, SPACE_ALL, 100000, MIXED | PIECES | STALE, 40},
	{"write=emulate", MANNER_INVLPG, SPACE_ALL, 60000, MIXED | PIECES | STALE, 40},
	/* Every policy. */
	{"write=emulate", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"write=unsync", MANNER_STORE, SPACE_ALL, 6000, STALE, 40},
	{"sticky=0", MANNER_INVLPG, SPACE_ALL, 6000, 0, 40},
	{"oos=off", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"oos=off", MANNER_INVLPG, SPACE_ALL, 6000, STALE, 40},
	{"oos=off,write=zap", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"write=zap", MANNER_INVLPG, SPACE_ALL, 6000, 0, 40},
	{"large=off", MANNER_COLD, SPACE_ALL, 6000, STALE, 40},
	{"large=off", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"cache=off", MANNER_COLD, SPACE_ALL, 6000, 0, 40},
	{"cache=off", MANNER_STORE, SPACE_ALL, 6000, STALE, 40},
	{"prefetch=2", MANNER_COLD, SPACE_ALL, 20000, STALE, 40},
	{"prefetch=0", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"prefetch=512", MANNER_STORE, SPACE_ALL, 4000, ABSENT_PAGE, 40},
	{"prefetch=512", MANNER_INVLPG, SPACE_ALL, 4000, STALE, 40},
	{"sticky=0", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"sticky=1000,oos=all", MANNER_INVLPG, SPACE_ALL, 6000, ABSENT_PAGE, 40},
	{"replace=fifo", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"cache=off,large=off,write=zap,oos=off,prefetch=0", MANNER_STORE, SPACE_ALL, 6000, 0, 40},
	{"cache=off,large=off,write=zap,oos=off,prefetch=0", MANNER_COLD, SPACE_PAIRS, 6000, 0, 40},
};

const struct enum_row *enum_row(unsigned index)
{
	return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : NULL;
}

const char *enum_space_name(enum enum_kind kind)
{
	static const char *const names[ENUM_N_SPACES] = {
		"rights", "keys", "a-and-d", "bits", "targets", "pairs", "all", "registers"};

	return names[kind];
}

const char *enum_manner_name(enum enum_manner manner)
{
	static const char *const names[] = {"cold", "poke", "store", "invlpg"};

	return names[manner];
}

static void add(struct enum_space *space, unsigned knob, unsigned first, unsigned last)
{
	space->dims[space->n_dims++] =
		(struct enum_dim){(uint8_t)knob, (uint8_t)first, (uint8_t)(last - first + 1)};
}

/* @knob of every level from the leaf to the root. PDPTEs have none. */
static void add_levels(struct enum_space *space, unsigned knob)
{
	unsigned mode = space->base.knob[KNOB_MODE];
	unsigned top = mode == ENUM_PAE ? 2 : enum_mode_levels(mode);

	for (unsigned level = space->base.knob[KNOB_LEAF]; level <= top; level++)
		add(space, knob + level - 1, 0, 1);
}

static void add_range(struct enum_space *space, unsigned knob)
{
	add(space, knob, 0, enum_knob_max(knob));
}

static void add_rights(struct enum_space *space)
{
	unsigned mode = space->base.knob[KNOB_MODE];
	unsigned leaf = space->base.knob[KNOB_LEAF];

	add_levels(space, KNOB_W);
	add_levels(space, KNOB_U);
	/* With five levels NX of the leaf alone: the other levels are in the samples. */
	if (mode == ENUM_5LEVEL)
		add(space, KNOB_NX + leaf - 1, 0, 1);
	else if (mode >= ENUM_PAE)
		add_levels(space, KNOB_NX);
	add_range(space, KNOB_SMEP);
	add_range(space, KNOB_SMAP);
	add_range(space, KNOB_NXE);
	add_range(space, KNOB_WP);
}

static void add_keys(struct enum_space *space)
{
	unsigned leaf = space->base.knob[KNOB_LEAF];
	unsigned upper = enum_mode_levels(space->base.knob[KNOB_MODE]) - 1;

	add(space, KNOB_W + leaf - 1, 0, 1);
	add(space, KNOB_U + leaf - 1, 0, 1);
	add(space, KNOB_W + upper, 0, 1);
	add(space, KNOB_U + upper, 0, 1);
	add(space, KNOB_KEY, 4, 5);
	add_range(space, KNOB_PKE);
	add_range(space, KNOB_PKRU);
	add_range(space, KNOB_PKS);
	add_range(space, KNOB_PKRS);
	add_range(space, KNOB_SMAP);
	add_range(space, KNOB_WP);
}

static void add_used(struct enum_space *space)
{
	unsigned mode = space->base.knob[KNOB_MODE];

	add(space, KNOB_ROM, 0, mode == ENUM_PAE ? 2 : enum_mode_levels(mode));
	add(space, KNOB_FLIP_LEVEL, 0, enum_mode_levels(mode)); /* bit 0 of it */
	add(space, KNOB_W + space->base.knob[KNOB_LEAF] - 1, 0, 1);
	add_levels(space, KNOB_A);
	add_range(space, KNOB_D);
	add_range(space, KNOB_WP);
}

static void add_bits(struct enum_space *space)
{
	unsigned mode = space->base.knob[KNOB_MODE];

	add(space, KNOB_FLIP_LEVEL, 1, mode == ENUM_PAE ? ENUM_LEVELS + 1 : enum_mode_levels(mode));
	add(space, KNOB_FLIP_BIT, 0, mode < ENUM_PAE ? 31 : 63);
	add_range(space, KNOB_SMEP);
	add_range(space, KNOB_SMAP);
	add_range(space, KNOB_NXE);
	add_range(space, KNOB_WP);
}

static void add_targets(struct enum_space *space)
{
	unsigned leaf = space->base.knob[KNOB_LEAF];

	add_range(space, KNOB_TARGET);
	add_range(space, KNOB_GVA);
	add(space, KNOB_W + leaf - 1, 0, 1);
	add(space, KNOB_U + leaf - 1, 0, 1);
	add(space, KNOB_A + leaf - 1, 0, 1);
	add_range(space, KNOB_D);
	add_range(space, KNOB_SMAP);
	add_range(space, KNOB_WP);
}

/* Everything but mode and leaf; a second bit turned over if @pairs. */
static void add_all(struct enum_space *space, bool pairs)
{
	space->few_flips = !pairs;
	for (unsigned knob = KNOB_W; knob < KNOB_WHO; knob++)
		if (pairs || (knob != KNOB_FLIP2_LEVEL && knob != KNOB_FLIP2_BIT))
			add_range(space, knob);
}

bool enum_space(const struct enum_row *row, unsigned mode, unsigned leaf, struct enum_space *space)
{
	bool paged = mode != ENUM_UNPAGED;

	memset(space, 0, sizeof(*space));
	space->base = enum_scene_default;
	space->salt = (uint64_t)(row - rows) << 8 | mode << 4 | leaf;
	space->base.knob[KNOB_MODE] = (uint8_t)mode;
	space->base.knob[KNOB_LEAF] = (uint8_t)leaf;
	if (leaf > enum_mode_leaves(mode))
		return false;
	switch (row->space) {
	case SPACE_RIGHTS:
		if (!paged)
			return false;
		add_rights(space);
		break;
	case SPACE_KEYS:
		if (mode < ENUM_4LEVEL)
			return false;
		add_keys(space);
		break;
	case SPACE_AD:
		if (!paged)
			return false;
		add_used(space);
		break;
	case SPACE_BITS:
		if (!paged)
			return false;
		add_bits(space);
		break;
	case SPACE_TARGETS:
		add_targets(space);
		break;
	case SPACE_PAIRS:
		if (!paged)
			return false;
		add_all(space, true);
		break;
	case SPACE_ALL:
		add_all(space, false);
		break;
	case SPACE_REGISTERS:
	case ENUM_N_SPACES:
		return false;
	}
	add_range(space, KNOB_WHO);
	return true;
}

uint64_t enum_space_size(const struct enum_space *space)
{
	uint64_t size = 1;

	for (unsigned i = 0; i < space->n_dims; i++)
		size *= space->dims[i].n;
	return size;
}

/* Samples turn most knobs that take rights away off, or hardly any access would pass. */
static uint8_t draw(const struct enum_space *space, const struct enum_dim *dim, struct rng *rng)
{
	bool right = dim->knob >= KNOB_W && dim->knob < KNOB_A;
	bool rare = right || dim->knob == KNOB_ROM || dim->knob == KNOB_TARGET ||
		    (dim->knob == KNOB_FLIP_LEVEL && space->few_flips);

	if (rare && rng_percent(rng, 80))
		return enum_scene_default.knob[dim->knob];
	return (uint8_t)(dim->first + rng_below(rng, dim->n));
}

void enum_space_scene(
	const struct enum_space *space, uint64_t index, bool sampled, struct scene *scene)
{
	struct rng rng = rng_seed(index << 16 | space->salt);

	*scene = space->base;
	for (unsigned i = space->n_dims; i-- > 0;) {
		const struct enum_dim *dim = &space->dims[i];

		if (sampled) {
			scene->knob[dim->knob] = draw(space, dim, &rng);
		} else {
			scene->knob[dim->knob] = (uint8_t)(dim->first + index % dim->n);
			index /= dim->n;
		}
	}
}
