/* SPDX-License-Identifier: MIT */
/* The umbra-enum command: walks through the rows, counts, and tells what was wrong. */
#include "lab/enum_check.h"
#include "lab/enum_regs.h"
#include "lab/enum_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 64

/* Combinations in one VM. Parts of the work are dealt out in such chunks. */
#define CHUNK 4096u

/* Accesses to what the entry beside the leaf translates. */
#define NEXT_ACCESSES 4u

/* The library's invariants are checked this often, and at the end of a chunk. */
#define AUDIT_EVERY 512u

struct options {
	unsigned part; /* from 1 */
	unsigned n_parts;
	int row; /* -1: all */
	uint64_t from;
	uint64_t count; /* 0: all */
	uint64_t seed;  /* of the samples */
	unsigned print; /* complaints printed of each verdict; all are counted */
	unsigned thin;  /* every how many-th chunk only */
	const char *scene;
	bool modes[ENUM_N_MODES];
	bool list;
	bool verbose;
};

struct totals {
	uint64_t full;    /* combinations of rows run in full */
	uint64_t sampled; /* of rows that are samples */
	uint64_t accesses;
	uint64_t verdicts[ENUM_N_VERDICTS];
};

/* On the heap, so that unwinding by longjmp loses nothing. */
struct run {
	struct lab_fail fail;
	struct enum_world world;
	struct options options;
	struct totals totals;
	uint64_t n_chunks; /* of all rows, for dealing them out */
	/* The spaces of the row that are in the same VM: one, or those of all modes. */
	struct enum_space spaces[ENUM_N_MODES * 3];
	unsigned n_spaces;
	/* Where we are. */
	const struct enum_row *row;
	unsigned row_index;
	unsigned mode;
	unsigned leaf;
	uint64_t index;
	uint64_t chunk_start;
	struct scene scene;
	const struct enum_who *who;
};

static void complain(struct run *run, enum enum_verdict verdict, const char *why)
{
	char text[ENUM_TEXT_BYTES];

	if (run->totals.verdicts[verdict]++ >= run->options.print)
		return;
	enum_scene_print(&run->scene, text);
	if (run->row->space == SPACE_REGISTERS)
		printf("%s: %s\n", enum_verdict_name(verdict), why);
	else
		printf("%s: %s\n  scene: %s\n  now:   %s\n", enum_verdict_name(verdict), why, text,
			run->who ? run->who->name : "registers");
	for (unsigned i = 0; i < run->world.picture.n_words; i++) {
		const struct enum_word *word = &run->world.picture.words[i];

		printf("  [0x%" PRIx64 "]=0x%" PRIx64, word->gpa, word->value);
	}
	printf("\n  again: --row %u", run->row_index);
	if (run->options.seed)
		printf(" --seed %" PRIu64, run->options.seed);
	if (!(run->row->flags & ENUM_MIXED))
		printf(" --modes %s --leaf %u", enum_mode_name(run->mode), run->leaf);
	printf(" --from %" PRIu64 " --count %" PRIu64 "\n", run->chunk_start,
		run->index - run->chunk_start + 1);
}

/* One access on the world as it is, and what umbra_translate() says if it is the @first. */
static void one_access(struct run *run, const struct enum_who *who, bool first)
{
	struct enum_expected expected;
	struct enum_seen seen;
	enum enum_verdict verdict;
	char why[256];

	run->who = who;
	run->totals.accesses++;
	enum_expect(&run->world, who, &expected);
	if (first) {
		verdict = enum_check_translate(&run->world, who, &expected, why, sizeof(why));
		if (verdict != VERDICT_RIGHT)
			complain(run, verdict, why);
	}
	enum_world_access(&run->world, who, &seen);
	verdict = enum_check(&run->world, who, &expected, &seen, why, sizeof(why));
	if (verdict == VERDICT_GAP)
		run->totals.verdicts[VERDICT_GAP]++;
	else if (verdict != VERDICT_RIGHT)
		complain(run, verdict, why);
	if (run->options.verbose)
		printf("%s: end %d gpa 0x%" PRIx64 " code 0x%x -> %s\n", who->name, (int)seen.end,
			seen.gpa, seen.error_code, enum_verdict_name(verdict));
}

/* One combination: its access first, then all others on what that left, in an order of its own. */
static void one_combination(struct run *run)
{
	struct picture picture;
	unsigned first = run->scene.knob[KNOB_WHO];
	unsigned step = 1 + (unsigned)(run->index * 0x9e3779b1u >> 7) % (ENUM_N_WHOS - 1);
	bool shown;

	run->who = NULL;
	enum_picture(&run->scene, &picture);
	shown = enum_world_show(&run->world, &picture, run->row->manner);
	if (shown == enum_refusable(&run->world, &picture)) {
		complain(run, VERDICT_REGISTERS, shown ? "taken" : "refused");
		return;
	}
	if (!shown)
		return;
	/* 17 is a prime, so every step visits all. */
	for (unsigned i = 0; i < ENUM_N_WHOS; i++)
		one_access(run, &enum_whos[(first + i * step) % ENUM_N_WHOS], i == 0);
	if (!picture.next_gva)
		return;
	run->world.picture.gva = picture.next_gva;
	for (unsigned i = 0; i < NEXT_ACCESSES; i++)
		one_access(run, &enum_whos[(first + i * step) % ENUM_N_WHOS], true);
}

static void one_register_write(struct run *run)
{
	char why[512] = "";
	enum enum_verdict verdict = enum_regs_one(&run->world, run->index, why, sizeof(why));

	run->totals.accesses += 2;
	if (verdict != VERDICT_RIGHT)
		complain(run, verdict, why);
}

static void audit(struct run *run)
{
	char why[256] = "";
	char text[300];
	unsigned broken = umbra_audit(run->world.vm, why, sizeof(why));

	if (!broken)
		return;
	snprintf(text, sizeof(text), "audit: I%u: %s", broken, why);
	complain(run, VERDICT_BROKEN, text);
}

/* The space of combination @index. */
static const struct enum_space *space_of(const struct run *run, uint64_t index)
{
	return &run->spaces[run->n_spaces == 1 ? 0 : (index * 0x9e3779b1u >> 9) % run->n_spaces];
}

/* Combinations @from to @end - 1 in a VM of their own. */
static void chunk(struct run *run, uint64_t from, uint64_t end)
{
	run->chunk_start = from;
	run->index = from;
	if (setjmp(run->fail.unwind) != 0) {
		complain(run, VERDICT_BROKEN, run->fail.text);
		return;
	}
	enum_world_begin(&run->world, run->row);
	for (; run->index < end; run->index++) {
		if (run->row->space == SPACE_REGISTERS) {
			one_register_write(run);
		} else {
			enum_space_scene(space_of(run, run->index), run->index, run->row->samples,
				&run->scene);
			one_combination(run);
		}
		if (run->row->samples)
			run->totals.sampled++;
		else
			run->totals.full++;
		if (run->index % AUDIT_EVERY == AUDIT_EVERY - 1)
			audit(run);
	}
	run->index--;
	audit(run);
}

/* All chunks of the spaces that are ours. Returns the number of combinations. */
static uint64_t all_chunks(struct run *run)
{
	const struct options *options = &run->options;
	uint64_t size = run->row->samples;
	uint64_t done = 0;

	if (run->row->space == SPACE_REGISTERS)
		size = enum_regs_size();
	else if (!size)
		size = enum_space_size(&run->spaces[0]);
	if (options->count) {
		uint64_t end = options->from + options->count;

		chunk(run, options->from, end < size ? end : size);
		return options->count;
	}
	for (uint64_t from = 0; from < size; from += CHUNK) {
		uint64_t end = from + CHUNK < size ? from + CHUNK : size;
		uint64_t number = run->n_chunks++;

		if (number % options->n_parts + 1 != options->part ||
			number / options->n_parts % options->thin)
			continue;
		chunk(run, from, end);
		done += end - from;
	}
	return done;
}

/* The row's spaces, in VMs of their own or in one. */
static uint64_t all_spaces(struct run *run, unsigned only_leaf)
{
	uint64_t done = 0;

	if (run->row->space == SPACE_REGISTERS)
		return all_chunks(run);
	run->n_spaces = 0;
	for (run->mode = 0; run->mode < ENUM_N_MODES; run->mode++)
		for (run->leaf = 1; run->leaf <= 3; run->leaf++) {
			if (!run->options.modes[run->mode] ||
				(only_leaf && only_leaf != run->leaf) ||
				!enum_space(run->row, run->mode, run->leaf,
					&run->spaces[run->n_spaces]))
				continue;
			run->spaces[run->n_spaces++].salt += run->options.seed << 40;
			if (run->row->flags & ENUM_MIXED)
				continue;
			done += all_chunks(run);
			run->n_spaces = 0;
		}
	return run->n_spaces ? done + all_chunks(run) : done;
}

static void print_row(const struct run *run)
{
	const struct enum_row *row = run->row;

	printf("%2u %-7s %-6s %s policy=%s%s%s%s%s%s maxphyaddr=%u", run->row_index,
		enum_space_name(row->space), enum_manner_name(row->manner),
		row->samples ? "sampled" : "in full", row->policy[0] ? row->policy : "default",
		row->flags & ENUM_STALE ? " stale" : "",
		row->flags & ENUM_ABSENT_PAGE ? " absent-page" : "",
		row->flags & ENUM_NO_1G ? " no-1g" : "",
		row->flags & ENUM_MIXED ? " modes mixed" : "",
		row->flags & ENUM_PIECES ? " in pieces" : "", row->maxphyaddr);
}

/* Of the processor, so that figures do not depend on what else is running. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void one_row(struct run *run)
{
	double began = seconds();
	uint64_t done;
	unsigned only_leaf = run->leaf;

	print_row(run);
	if (run->options.list) {
		puts("");
		return;
	}
	done = all_spaces(run, only_leaf);
	run->leaf = only_leaf;
	printf(": %" PRIu64 " in %.1f s\n", done, seconds() - began);
	fflush(stdout);
}

/* Returns the exit status. */
static int result(const struct run *run, double took)
{
	const struct totals *t = &run->totals;
	uint64_t others = 0;

	for (unsigned i = VERDICT_ERROR_CODE; i < ENUM_N_VERDICTS; i++)
		others += t->verdicts[i];
	printf("enumeration: %" PRIu64 " combinations (%" PRIu64 " in full, %" PRIu64
	       " sampled), %" PRIu64 " accesses, %" PRIu64
	       " exits, %.1f s of one processor: %" PRIu64 " hidden faults, %" PRIu64
	       " false faults, %" PRIu64 " other; %" PRIu64 " known gaps\n",
		t->full + t->sampled, t->full, t->sampled, t->accesses, run->world.n_exits, took,
		t->verdicts[VERDICT_HIDDEN_FAULT], t->verdicts[VERDICT_FALSE_FAULT], others,
		t->verdicts[VERDICT_GAP]);
	for (unsigned i = VERDICT_HIDDEN_FAULT; i < ENUM_N_VERDICTS; i++)
		if (t->verdicts[i])
			printf("  %s: %" PRIu64 "\n", enum_verdict_name(i), t->verdicts[i]);
	return others + t->verdicts[VERDICT_HIDDEN_FAULT] + t->verdicts[VERDICT_FALSE_FAULT] != 0;
}

/* ---- command line ---- */

static void help(void)
{
	puts("usage: umbra-enum [OPTION]...\n"
	     "Try every combination of mode, table entries, registers and access on libumbra, one\n"
	     "access each and then all other accesses to the same address, and compare outcome,\n"
	     "error code, address, A and D bits with the reference walker.\n\n"
	     "  --part I/N       the I-th of N equal parts of the work\n"
	     "  --thin N         only every N-th chunk of it\n"
	     "  --row R          only row R of --list\n"
	     "  --modes A,B      only these of unpaged, 32bit, 32bit.pse, pae, 4level, 5level\n"
	     "  --leaf L         only pages mapped at level L, 1 to 3\n"
	     "  --from N         with --row and --count: from combination N on, in a new VM\n"
	     "  --count N        so many combinations\n"
	     "  --scene TEXT     one scene as printed with a failure, in row --row or 0\n"
	     "  --seed N         the samples alone, and others than those of seed 0\n"
	     "  --print N        print N failures of a kind (default 5); all are counted\n"
	     "  --verbose        tell of every access\n"
	     "  --list           the rows\n"
	     "  --help           this text\n\n"
	     "Exit status: 0 all right, 1 a difference was found, 64 wrong usage.");
}

static void usage_error(const char *what, const char *text)
{
	fprintf(stderr, "umbra-enum: %s \"%s\"; --help lists the options\n", what, text);
	exit(EXIT_USAGE);
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (end == text || *end || text[0] == '-')
		usage_error(option, text);
	return value;
}

static void parse_modes(struct options *options, char *text)
{
	char *name;

	memset(options->modes, 0, sizeof(options->modes));
	while ((name = strsep(&text, ",")) != NULL) {
		unsigned mode = 0;

		while (mode < ENUM_N_MODES && strcmp(name, enum_mode_name(mode)) != 0)
			mode++;
		if (mode == ENUM_N_MODES)
			usage_error("no such mode:", name);
		options->modes[mode] = true;
	}
}

static void parse_value(struct run *run, const char *option, char *text)
{
	struct options *options = &run->options;

	if (strcmp(option, "--part") == 0) {
		if (sscanf(text, "%u/%u", &options->part, &options->n_parts) != 2 ||
			options->part < 1 || options->part > options->n_parts)
			usage_error("--part needs I/N, not", text);
	} else if (strcmp(option, "--thin") == 0) {
		options->thin = (unsigned)number("--thin needs a number, not", text);
		if (!options->thin)
			usage_error("--thin needs at least 1, not", text);
	} else if (strcmp(option, "--row") == 0) {
		options->row = (int)number("--row needs a number, not", text);
		if (!enum_row((unsigned)options->row))
			usage_error("no such row:", text);
	} else if (strcmp(option, "--seed") == 0) {
		options->seed = number("--seed needs a number, not", text);
	} else if (strcmp(option, "--print") == 0) {
		options->print = (unsigned)number("--print needs a number, not", text);
	} else if (strcmp(option, "--modes") == 0) {
		parse_modes(options, text);
	} else if (strcmp(option, "--leaf") == 0) {
		run->leaf = (unsigned)number("--leaf needs a number, not", text);
	} else if (strcmp(option, "--from") == 0) {
		options->from = number("--from needs a number, not", text);
	} else if (strcmp(option, "--count") == 0) {
		options->count = number("--count needs a number, not", text);
	} else if (strcmp(option, "--scene") == 0) {
		options->scene = text;
	} else {
		usage_error("unknown option", option);
	}
}

static void parse(struct run *run, int argc, char **argv)
{
	run->options = (struct options){.part = 1, .n_parts = 1, .row = -1, .print = 5, .thin = 1};
	memset(run->options.modes, true, sizeof(run->options.modes));
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			help();
			exit(0);
		} else if (strcmp(argv[i], "--list") == 0) {
			run->options.list = true;
		} else if (strcmp(argv[i], "--verbose") == 0) {
			run->options.verbose = true;
		} else if (i + 1 < argc) {
			parse_value(run, argv[i], argv[i + 1]);
			i++;
		} else {
			usage_error("unknown option, or one that needs a value:", argv[i]);
		}
	}
	if (run->options.count && run->options.row < 0)
		usage_error("--count needs", "--row");
}

/* The one scene of --scene. */
static void one_scene(struct run *run)
{
	char why[256];

	if (!enum_scene_parse(&run->scene, run->options.scene, why, sizeof(why)))
		usage_error("--scene:", why);
	run->row = enum_row(run->options.row < 0 ? 0 : (unsigned)run->options.row);
	run->mode = run->scene.knob[KNOB_MODE];
	run->leaf = run->scene.knob[KNOB_LEAF];
	if (setjmp(run->fail.unwind) != 0) {
		complain(run, VERDICT_BROKEN, run->fail.text);
		return;
	}
	enum_world_begin(&run->world, run->row);
	one_combination(run);
	audit(run);
	run->totals.sampled++;
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	double began = seconds();
	int status;

	if (!run) {
		fprintf(stderr, "umbra-enum: out of memory\n");
		return 1;
	}
	parse(run, argc, argv);
	enum_world_init(&run->world, &run->fail);
	if (run->options.scene)
		one_scene(run);
	else
		for (unsigned i = 0; (run->row = enum_row(i)) != NULL; i++) {
			run->row_index = i;
			if ((run->options.row < 0 || (unsigned)run->options.row == i) &&
				(run->row->samples || !run->options.seed))
				one_row(run);
		}
	status = run->options.list ? 0 : result(run, seconds() - began);
	enum_world_free(&run->world);
	free(run);
	return status;
}
