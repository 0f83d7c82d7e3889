/* SPDX-License-Identifier: MIT */
/* Verdicts; see enum_check.h. Owns no state. */
#include "lab/enum_check.h"

#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *enum_verdict_name(enum enum_verdict verdict)
{
	static const char *const names[ENUM_N_VERDICTS] = {
		[VERDICT_RIGHT] = "right",
		[VERDICT_GAP] = "known gap",
		[VERDICT_HIDDEN_FAULT] = "hidden fault",
		[VERDICT_FALSE_FAULT] = "false fault",
		[VERDICT_ERROR_CODE] = "error code",
		[VERDICT_TARGET] = "target",
		[VERDICT_MEMORY_TYPE] = "memory type",
		[VERDICT_AD] = "A or D",
		[VERDICT_TRANSLATE] = "umbra_translate",
		[VERDICT_REGISTERS] = "register write",
		[VERDICT_BROKEN] = "broken",
	};

	return names[verdict];
}

static uint64_t read_word(void *context, uint64_t gpa, unsigned n_bytes)
{
	return enum_world_word(context, gpa, n_bytes);
}

void enum_expect(
	struct enum_world *world, const struct enum_who *who, struct enum_expected *expected)
{
	static const enum oracle_kind kinds[] = {
		[UMBRA_READ] = ORACLE_READ,
		[UMBRA_WRITE] = ORACLE_WRITE,
		[UMBRA_FETCH] = ORACLE_FETCH,
	};
	const struct oracle_memory memory = {.read = read_word, .context = world};
	struct oracle_access access = {
		.gva = world->picture.gva,
		.kind = kinds[who->kind],
		.user = who->cpl == 3,
		.implicit = who->implicit,
	};
	struct oracle_cpu cpu = enum_world_cpu(world, &world->picture);
	struct oracle_result explicit;

	cpu.ac = who->ac;
	oracle_access(&cpu, &memory, &access, &expected->result);
	expected->unknowable = false;
	if (!who->implicit || !who->ac || who->cpl == 3)
		return;
	access.implicit = false;
	oracle_access(&cpu, &memory, &access, &explicit);
	expected->unknowable = expected->result.outcome != explicit.outcome;
}

bool enum_refusable(const struct enum_world *world, const struct picture *picture)
{
	const struct oracle_cpu cpu = enum_world_cpu(world, picture);
	bool refuse = false;

	if (oracle_mode(&cpu) != ORACLE_PAE)
		return false;
	for (unsigned i = 0; i < 4; i++)
		refuse |= !oracle_pdpte_loadable(
			&cpu, enum_world_word(world, (picture->regs.cr3 & 0xffffffe0) + i * 8, 8));
	return refuse;
}

/* ---- A and D ---- */

/* What the oracle lets an entry become; one that stands twice on the path is used twice. */
static void allowed_after(
	const struct oracle_result *result, unsigned index, uint64_t *must, uint64_t *may)
{
	*must = *may = 0;
	for (unsigned i = 0; i < result->n_entries; i++) {
		if (result->entries[i].gpa != result->entries[index].gpa)
			continue;
		*must |= result->entries[i].after;
		*may |= result->entries[i].after | result->entries[i].may_set;
	}
}

static enum enum_verdict check_ad(const struct enum_world *world, const struct enum_who *who,
	const struct enum_expected *expected, char *why, size_t why_bytes)
{
	const struct oracle_result *result = &expected->result;

	for (unsigned i = 0; i < result->n_entries; i++) {
		const struct oracle_entry *entry = &result->entries[i];
		const struct enum_range *range = enum_range_of(entry->gpa);
		uint64_t now = enum_world_word(world, entry->gpa, world->picture.entry_bytes);
		uint64_t must;
		uint64_t may;

		allowed_after(result, i, &must, &may);
		/* What cannot be written stays, and the walk goes on. */
		if (!range || range->read_only || range->device)
			must = may = entry->value;
		if ((now & must) == must && !(now & ~may))
			continue;
		if (expected->unknowable && (now & ~may) == ORACLE_D && who->kind == UMBRA_WRITE)
			return VERDICT_GAP;
		snprintf(why, why_bytes,
			"entry of level %u at 0x%" PRIx64 " was 0x%" PRIx64 ", is 0x%" PRIx64
			", should be 0x%" PRIx64,
			entry->level, entry->gpa, entry->value, now, must);
		return VERDICT_AD;
	}
	return VERDICT_RIGHT;
}

/* ---- ends ---- */

static enum enum_verdict check_fault(const struct enum_world *world,
	const struct enum_expected *expected, const struct enum_seen *seen, char *why,
	size_t why_bytes)
{
	const struct oracle_result *result = &expected->result;

	if (seen->end != END_FAULT) {
		snprintf(why, why_bytes, "reached 0x%" PRIx64 ", should be #PF 0x%x", seen->gpa,
			result->error_code);
		return VERDICT_HIDDEN_FAULT;
	}
	if (seen->error_code == result->error_code && seen->gva == world->picture.gva)
		return VERDICT_RIGHT;
	snprintf(why, why_bytes, "#PF 0x%x of 0x%" PRIx64 ", should be 0x%x of 0x%" PRIx64,
		seen->error_code, seen->gva, result->error_code, world->picture.gva);
	return VERDICT_ERROR_CODE;
}

static enum enum_verdict check_passed(const struct enum_who *who,
	const struct oracle_result *result, const struct enum_seen *seen, char *why,
	size_t why_bytes)
{
	const struct enum_range *range = enum_range_of(result->gpa);
	bool absent = !range || (range->read_only && who->kind == UMBRA_WRITE);

	if (seen->end == END_FAULT) {
		snprintf(why, why_bytes, "#PF 0x%x, should reach 0x%" PRIx64, seen->error_code,
			result->gpa);
		return VERDICT_FALSE_FAULT;
	}
	if (!range && seen->end == END_ABSENT_PAGE && who->kind != UMBRA_WRITE)
		return VERDICT_RIGHT;
	if (seen->end == END_MEMORY && seen->gpa == result->gpa && !seen->emulated &&
		seen->pat != result->rights.pat) {
		snprintf(why, why_bytes, "PAT %u, should be %u", seen->pat, result->rights.pat);
		return VERDICT_MEMORY_TYPE;
	}
	if (seen->end == (absent ? END_ABSENT : END_MEMORY) && seen->gpa == result->gpa)
		return VERDICT_RIGHT;
	snprintf(why, why_bytes, "ended as %d at 0x%" PRIx64 ", should reach 0x%" PRIx64 "%s",
		(int)seen->end, seen->gpa, result->gpa, absent ? ", absent" : "");
	return VERDICT_TARGET;
}

enum enum_verdict enum_check(const struct enum_world *world, const struct enum_who *who,
	const struct enum_expected *expected, const struct enum_seen *seen, char *why,
	size_t why_bytes)
{
	const struct oracle_result *result = &expected->result;
	enum enum_verdict verdict;

	if (seen->end == END_LIVELOCK || seen->end == END_STRANGE) {
		snprintf(why, why_bytes,
			seen->end == END_LIVELOCK ? "the access never ends"
						  : "an outcome that makes no sense");
		return VERDICT_BROKEN;
	}
	if (result->outcome == ORACLE_PAGE_FAULT)
		verdict = check_fault(world, expected, seen, why, why_bytes);
	else
		verdict = check_passed(who, result, seen, why, why_bytes);
	return verdict == VERDICT_RIGHT ? check_ad(world, who, expected, why, why_bytes) : verdict;
}

enum enum_verdict enum_check_translate(const struct enum_world *world, const struct enum_who *who,
	const struct enum_expected *expected, char *why, size_t why_bytes)
{
	const struct oracle_result *result = &expected->result;
	/* Implicit accesses have CPL 3 and no U; those below are explicit to the library. */
	const struct umbra_page_fault access = {
		.gva = world->picture.gva,
		.error_code = (who->kind == UMBRA_WRITE ? X86_PF_W : 0) |
			      (who->kind == UMBRA_FETCH ? X86_PF_I : 0) |
			      (who->cpl == 3 && !who->implicit ? X86_PF_U : 0),
		.cpl = who->implicit ? 3 : who->cpl,
		.ac = who->ac,
		.pkru = world->picture.pkru,
		.pkrs = world->picture.pkrs,
	};
	struct umbra_exit out = {0};
	umbra_gpa gpa = 0;
	bool passes = umbra_translate(world->vcpus[0].umbra, &access, &gpa, &out);

	if (result->outcome == ORACLE_OK) {
		if (passes && gpa == result->gpa)
			return VERDICT_RIGHT;
	} else if (!passes && out.vector == X86_PF && out.error_code == result->error_code &&
		   out.gva == world->picture.gva) {
		return VERDICT_RIGHT;
	}
	snprintf(why, why_bytes, "%s 0x%" PRIx64 ", should be %s 0x%" PRIx64,
		passes ? "gpa" : "#PF", passes ? gpa : out.error_code,
		result->outcome == ORACLE_OK ? "gpa" : "#PF",
		result->outcome == ORACLE_OK ? result->gpa : result->error_code);
	return VERDICT_TRANSLATE;
}
