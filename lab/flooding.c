/* SPDX-License-Identifier: MIT */
/* The scenes of flooding.h, under every policy. */
#include "lab/flooding.h"

#include "lab/flooding_world.h"
#include "lab/run.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))
#define FRAME        0x30u /* of the table */
#define ROUNDS       400u

/* What the library did in a scene after it was set. */
struct outcome {
	struct umbra_stats stats;
	uint64_t exits;
};

struct scene {
	const char *what;
	void (*play)(struct flooding_world *world);
	unsigned level;
	bool fresh;        /* it begins as it was made: out of sync, if it may be; else protected */
	unsigned given_up; /* under these policies (a bit each) the table is; under others not: */
	unsigned mistakes; /* but for so many times with write=auto */
};

/* With sticky=0 two flushes protect the table. */
static const char *const writes[] = {"auto", "unsync", "emulate", "zap"};
static const char *const ooses[] = {"off", "leaf", "all"};

enum {
	AUTO = 1 << 0,
	ZAP = 1 << 3,
};

static void use_all(struct flooding_world *world)
{
	for (unsigned i = 0; i < 16; i++)
		flooding_use(world, i, false);
}

/* A former table: its entries are overwritten, again and again, and nobody uses them. */
static void play_dead(struct flooding_world *world)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		flooding_store(world, i % 512, STEP_OP_MOV, (uint64_t)i << 1, 8, false);
		if (i % 8 == 7)
			flooding_flush_all(world);
	}
}

/* The same by a user, whose memory it is now. */
static void play_user(struct flooding_world *world)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		flooding_store(world, i % 512, STEP_OP_MOV, (uint64_t)i << 1, 8, true);
}

/* A live table: what is written is used before it is written again. */
static void play_busy(struct flooding_world *world)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t entry = flooding_entry(world, i % 8);

		flooding_store(world, i % 8, STEP_OP_MOV, entry ^ X86_PTE_W, 8, false);
		flooding_flush_all(world);
		flooding_use(world, i % 8, false);
	}
}

/* Aging: a byte of each entry loses A, then some of them are used. */
static void play_aging(struct flooding_world *world)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		flooding_store(world, i % 16, STEP_OP_AND, (uint8_t)~X86_PTE_A, 1, false);
		if (i % 16 != 15)
			continue;
		flooding_flush_all(world);
		for (unsigned used = 0; used < 16; used += 3)
			flooding_use(world, used, false);
	}
}

/* Parts of entries in use are written, and what they say stays. */
static void play_parts(struct flooding_world *world)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t entry = flooding_entry(world, i % 8);

		if (i % 4 == 3)
			flooding_store_high(world, i % 8, (entry ^ X86_PTE_NX) >> 32);
		else
			flooding_store(
				world, i % 8, STEP_OP_MOV, entry ^ X86_PTE_D, 1u << i % 4, false);
		flooding_invlpg(world, i % 8);
		flooding_use(world, i % 8, i % 2);
	}
}

/* Aging comes upon several entries in a row that were not used: until it has been wrong once the
 * library takes that for the end of a table that is so cheap to make again. */
static const struct scene scenes[] = {
	{"written by the kernel, not used", play_dead, 1, false, AUTO | ZAP, 0},
	{"the same, born out of sync", play_dead, 1, true, AUTO | ZAP, 0},
	{"written by a user, not used", play_user, 1, false, AUTO | ZAP, 0},
	{"written and used in turns", play_busy, 1, false, ZAP, 0},
	{"the same, born out of sync", play_busy, 1, true, ZAP, 0},
	{"the same above the last level", play_busy, 2, false, ZAP, 0},
	{"parts written and used", play_parts, 1, false, ZAP, 0},
	{"aged by bytes, a third used", play_aging, 1, false, ZAP, 1},
	{"the same, born out of sync", play_aging, 1, true, ZAP, 1},
};

struct playing {
	const struct scene *scene;
	struct outcome outcome;
};

static void play(struct machine *machine, void *context)
{
	struct playing *playing = context;
	struct flooding_world world;
	struct umbra_stats *out = &playing->outcome.stats;
	struct umbra_stats before;
	uint64_t exits;

	flooding_build(&world, machine, playing->scene->level, FRAME);
	use_all(&world);
	for (unsigned i = 0; i < 2 && !playing->scene->fresh; i++)
		flooding_flush_all(&world);
	use_all(&world);
	before = *umbra_stats(machine->vm);
	exits = machine->counts.exits;
	playing->scene->play(&world);
	*out = *umbra_stats(machine->vm);
	out->mmu_shadow_zapped -= before.mmu_shadow_zapped;
	out->mmu_shadow_created -= before.mmu_shadow_created;
	out->mmu_flooded -= before.mmu_flooded;
	out->mmu_unshadow -= before.mmu_unshadow;
	out->mmu_pte_write -= before.mmu_pte_write;
	out->mmu_unsync -= before.mmu_unsync;
	playing->outcome.exits = machine->counts.exits - exits;
}

/* The scene under one policy. false: it failed. */
static bool run_one(const struct scene *scene, unsigned write, unsigned oos, struct report *report,
	struct outcome *outcome)
{
	struct playing playing = {.scene = scene};
	struct lab_config config = lab_config_default;
	struct run_result result;

	config.audit_every = 16;
	config.unshadow = 0;
	snprintf(config.policy, sizeof(config.policy), "write=%s,oos=%s,sticky=0", writes[write],
		ooses[oos]);
	report_running(&config, NULL);
	run_scene(&config, play, &playing, &result);
	report_add(report, &result);
	*outcome = playing.outcome;
	if (result.failed)
		printf("  %s, policy %s: %s\n", scene->what, config.policy, result.why);
	return !result.failed;
}

/* Was the table given up as it should? What goes is always a shadow page. */
static bool is_good(const struct scene *scene, unsigned write, const struct outcome *outcome)
{
	uint64_t gone = outcome->stats.mmu_shadow_zapped;

	if (scene->given_up & 1u << write)
		return gone > 0;
	return gone <= (1u << write == AUTO ? scene->mistakes : 0);
}

int flooding_print(struct report *report, unsigned tries)
{
	int status = 0;

	printf("%-34s %-8s %-5s %7s %9s %7s %8s %8s\n", "a table that is", "write", "oos", "exits",
		"emulated", "unsync", "given up", "flooded");
	for (unsigned i = 0; i < COUNT(scenes) * COUNT(writes) * COUNT(ooses); i++) {
		const struct scene *scene = &scenes[i / (COUNT(writes) * COUNT(ooses))];
		unsigned write = i / COUNT(ooses) % COUNT(writes);
		unsigned oos = i % COUNT(ooses);
		struct outcome outcome;
		bool good;

		if (!run_one(scene, write, oos, report, &outcome))
			return 1;
		good = is_good(scene, write, &outcome);
		status |= !good;
		printf("%-34s %-8s %-5s %7" PRIu64 " %9" PRIu64 " %7" PRIu64 " %8" PRIu64
		       " %8" PRIu64 "%s\n",
			i % (COUNT(writes) * COUNT(ooses)) ? "" : scene->what, writes[write],
			ooses[oos], outcome.exits, outcome.stats.mmu_pte_write,
			outcome.stats.mmu_unsync, outcome.stats.mmu_shadow_zapped,
			outcome.stats.mmu_flooded, good ? "" : "  WRONG");
	}
	return status | flooding_search(report, tries);
}
