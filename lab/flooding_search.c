/* SPDX-License-Identifier: MIT */
/*
 * An adversary who wants a table to be given up and made again as often as can be. A *pattern* is a
 * few events that are repeated, the first of them perhaps until the table is given up; the search
 * changes the best one found so far. What counts is the shadow pages made again per event. Each
 * pattern gets a table in a frame of its own, as the library remembers what became of a frame.
 */
#include "lab/flooding.h"

#include "lab/flooding_world.h"
#include "lab/run.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))

/* Frames in memory that is never mapped large. */
#define FIRST_FRAME 0x600u
#define FRAMES      0x200u

#define PATTERN_MAX 10u
#define EVENTS      700u   /* of a pattern */
#define EVENTS_WORN 2600u  /* of a pattern, in a frame that was given up so often that it counts */
#define EVENTS_LONG 10000u /* of the worst ones found */

/* What flood.h promises of a frame: however it is written and used it is given up so often at most,
 * and then once in so many events. */
#define FREE_GIVE_UPS    3u
#define EVENTS_PER_CYCLE 16u

enum event {
	EVENT_CHANGE, /* another frame, with A */
	EVENT_CLEAR,  /* not present */
	EVENT_AGE,    /* a byte loses A */
	EVENT_SAME,   /* what was there */
	EVENT_WIDE,   /* eight entries that nobody uses */
	EVENT_USER,   /* a user writes it */
	EVENT_LOAD,   /* a use */
	EVENT_STORE,  /* a use that writes */
	EVENT_FLUSH,
	EVENT_FLUSH_ALL,
	EVENT_INVLPG,
	EVENT_UNSHADOW, /* the host gives it up */
	N_EVENTS,
};

static const char *const event_names[N_EVENTS] = {"change", "clear", "age", "same", "wide", "user",
	"load", "store", "flush", "flush-all", "invlpg", "unshadow"};

struct pattern {
	unsigned n;
	unsigned n_until; /* so many of the first are repeated until the table is given up */
	struct {
		enum event event;
		unsigned index;
		unsigned times; /* in a row */
	} events[PATTERN_MAX];
};

/* What to begin with: write until it is given up, and use it then. */
static const struct pattern known[] = {
	{2, 1, {{EVENT_CHANGE, 0, 1}, {EVENT_LOAD, 0, 1}}},
	{2, 1, {{EVENT_USER, 0, 1}, {EVENT_LOAD, 0, 1}}},
	{3, 2, {{EVENT_CHANGE, 0, 1}, {EVENT_FLUSH, 0, 1}, {EVENT_LOAD, 0, 1}}},
	{3, 2, {{EVENT_CHANGE, 0, 1}, {EVENT_FLUSH_ALL, 0, 1}, {EVENT_LOAD, 0, 1}}},
	{3, 2, {{EVENT_CLEAR, 1, 1}, {EVENT_FLUSH_ALL, 0, 1}, {EVENT_LOAD, 0, 1}}},
};

/* How a pattern did. */
struct trial {
	uint64_t n_made;
	uint64_t n_events;
};

struct search {
	unsigned level;
	unsigned tries;
	bool worn;
	struct pattern best;
	struct trial worst;
	struct trial longer; /* of the same pattern */
	struct rng rng;
};

static void give_up(struct flooding_world *world)
{
	struct step step = {.kind = STEP_UNSHADOW, .gpa = flooding_slot(world, 0)};

	machine_step(world->machine, &step);
	world->n_events++;
}

static void do_event(struct flooding_world *world, enum event event, unsigned index)
{
	uint64_t entry = flooding_entry(world, index);
	uint64_t frame = world->level == 1 ? X86_PAGE_SIZE : 0;

	switch (event) {
	case EVENT_CHANGE:
		flooding_store(world, index, STEP_OP_MOV,
			(entry ^ frame ^ X86_PTE_G) | X86_PTE_P | X86_PTE_A, 8, false);
		break;
	case EVENT_CLEAR:
		flooding_store(world, index, STEP_OP_AND, (uint8_t)~X86_PTE_P, 1, false);
		break;
	case EVENT_AGE:
		flooding_store(world, index, STEP_OP_AND, (uint8_t)~X86_PTE_A, 1, false);
		break;
	case EVENT_SAME:
		flooding_store(world, index, STEP_OP_MOV, entry, 8, false);
		break;
	case EVENT_WIDE:
		flooding_store(world, 64 + index * 8, STEP_OP_MOV, entry, 64, false);
		break;
	case EVENT_USER:
		flooding_store(world, index + 64, STEP_OP_MOV, entry, 8, true);
		break;
	case EVENT_LOAD:
	case EVENT_STORE:
		flooding_use(world, index, event == EVENT_STORE);
		break;
	case EVENT_FLUSH:
		flooding_flush(world);
		break;
	case EVENT_FLUSH_ALL:
		flooding_flush_all(world);
		break;
	case EVENT_INVLPG:
		flooding_invlpg(world, index);
		break;
	case EVENT_UNSHADOW:
		give_up(world);
		break;
	case N_EVENTS:
		break;
	}
}

static void random_event(struct search *search, unsigned at)
{
	static const unsigned times[] = {1, 1, 1, 1, 1, 2, 3, 5, 9, 40, 130, 300};

	search->best.events[at].event = (enum event)rng_below(&search->rng, N_EVENTS);
	search->best.events[at].index = rng_below(&search->rng, 3);
	search->best.events[at].times = times[rng_below(&search->rng, COUNT(times))];
}

/* A pattern like the best one, or a new one. */
static struct pattern next_pattern(struct search *search)
{
	struct pattern before = search->best;
	struct pattern next;
	unsigned n_changes = 1 + rng_below(&search->rng, 2);

	if (!search->best.n || rng_percent(&search->rng, 25)) {
		search->best.n = 2 + rng_below(&search->rng, PATTERN_MAX - 1);
		n_changes = 0;
		for (unsigned i = 0; i < search->best.n; i++)
			random_event(search, i);
	}
	search->best.n_until =
		rng_percent(&search->rng, 50) ? 0 : rng_below(&search->rng, search->best.n);
	for (; n_changes; n_changes--) {
		unsigned choice = rng_below(&search->rng, 4);

		if (choice == 0 && search->best.n > 1)
			search->best.n--;
		else if (choice == 1 && search->best.n < PATTERN_MAX)
			random_event(search, search->best.n++);
		else
			random_event(search, rng_below(&search->rng, search->best.n));
	}
	if (search->best.n_until > search->best.n)
		search->best.n_until = search->best.n;
	next = search->best;
	search->best = before;
	return next;
}

static unsigned events_of(const struct search *search)
{
	return search->worn ? EVENTS_WORN : EVENTS;
}

/* The table is given up as often as can be. */
static void wear(struct flooding_world *world)
{
	for (unsigned i = 0; i < 2 * FREE_GIVE_UPS; i++) {
		give_up(world);
		flooding_use(world, 0, false);
	}
}

static void do_events(
	struct flooding_world *world, const struct pattern *pattern, unsigned from, unsigned end)
{
	for (unsigned i = from; i < end; i++)
		for (unsigned n = 0; n < pattern->events[i].times; n++)
			do_event(world, pattern->events[i].event, pattern->events[i].index);
}

/* What becomes of @pattern, repeated for @n_events at least. */
static struct trial try_pattern(
	struct flooding_world *world, const struct pattern *pattern, uint64_t n_events)
{
	const struct umbra_stats *stats = umbra_stats(world->machine->vm);
	uint64_t created;

	for (unsigned i = 0; i < 3; i++)
		flooding_use(world, i, false);
	created = stats->mmu_shadow_created;
	world->n_events = 0;
	while (world->n_events < n_events) {
		uint64_t zapped = stats->mmu_shadow_zapped;

		while (pattern->n_until && world->n_events < n_events &&
			stats->mmu_shadow_zapped == zapped)
			do_events(world, pattern, 0, pattern->n_until);
		do_events(world, pattern, pattern->n_until, pattern->n);
	}
	return (struct trial){stats->mmu_shadow_created - created, world->n_events};
}

static void search_in(struct machine *machine, void *context)
{
	struct search *search = context;
	struct flooding_world world;
	unsigned frame = FIRST_FRAME;

	flooding_build(&world, machine, search->level, frame);
	for (unsigned i = 0; i < search->tries; i++) {
		struct pattern pattern = i < COUNT(known) ? known[i] : next_pattern(search);
		struct trial trial;

		if (search->worn)
			wear(&world);
		trial = try_pattern(&world, &pattern, events_of(search));
		if (trial.n_made * search->worst.n_events >=
			search->worst.n_made * trial.n_events) {
			search->worst = trial;
			search->best = pattern;
		}
		flooding_move(&world, ++frame);
	}
	if (search->worn)
		wear(&world);
	search->longer = try_pattern(&world, &search->best, EVENTS_LONG);
}

/* To give a table of level 2 up can take the one below it along. */
static uint64_t bound(const struct search *search, const struct trial *trial)
{
	uint64_t cycles = trial->n_events / EVENTS_PER_CYCLE + 1;

	return search->level * (cycles + (search->worn ? 0 : FREE_GIVE_UPS));
}

static bool is_bounded(const struct search *search, const struct trial *trial)
{
	return trial->n_made <= bound(search, trial);
}

static void print_trial(const struct search *search, const struct trial *trial)
{
	printf(" %7.2f %7.2f", (double)trial->n_made * 1000 / (double)trial->n_events,
		(double)bound(search, trial) * 1000 / (double)trial->n_events);
}

static void print_search(const struct search *search, const char *policy)
{
	printf("%-32s %5u %5s", policy, search->level, search->worn ? "worn" : "new");
	print_trial(search, &search->worst);
	print_trial(search, &search->longer);
	printf(" ");
	for (unsigned i = 0; i < search->best.n; i++) {
		printf(" %s%u", event_names[search->best.events[i].event],
			search->best.events[i].index);
		if (search->best.events[i].times > 1)
			printf("*%u", search->best.events[i].times);
		if (i + 1 == search->best.n_until)
			printf(" (until it is given up)");
	}
}

static int search_policy(struct report *report, const char *policy, struct search *search)
{
	struct lab_config config = lab_config_default;
	struct run_result result;
	/* To give a table up at each store is what zap is. */
	bool good = strcmp(policy, "write=zap") == 0;

	config.audit_every = 0;
	config.unshadow = 0;
	snprintf(config.policy, sizeof(config.policy), "%s", policy);
	report_running(&config, NULL);
	run_scene(&config, search_in, search, &result);
	report_add(report, &result);
	if (result.failed) {
		printf("  policy %s: %s\n", policy, result.why);
		return 1;
	}
	good |= is_bounded(search, &search->worst) && is_bounded(search, &search->longer);
	print_search(search, policy);
	puts(good ? "" : "  WRONG");
	return !good;
}

int flooding_search(struct report *report, unsigned tries)
{
	static const char *const policies[] = {
		"write=auto,oos=off",
		"write=auto,oos=leaf,sticky=0",
		"write=auto,oos=all,sticky=0",
		"write=auto,oos=all,sticky=20",
		"write=auto,oos=all,sticky=1000",
		"write=unsync,oos=off",
		"write=unsync,oos=leaf,sticky=0",
		"write=unsync,oos=all,sticky=0",
		"write=emulate",
		"write=zap",
	};
	int status = 0;

	if (tries >= FRAMES)
		tries = FRAMES - 1;
	printf("\n%-32s %5s %5s %7s %7s %7s %7s  %s\n", "pages made again in 1000 events", "level",
		"frame", "worst", "bound", "longer", "bound", "the worst pattern found");
	for (unsigned i = 0; i < 4 * COUNT(policies); i++) {
		struct search search = {
			.level = 1 + i / 2 % 2,
			.tries = tries,
			.worn = i % 2,
			.rng = rng_seed(i),
		};

		status |= search_policy(report, policies[i / 4], &search);
	}
	return status;
}
