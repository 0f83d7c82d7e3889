/* SPDX-License-Identifier: MIT */
/* Steps as text. One table says which kind has which fields; nothing here knows what they mean. */
#include "lab/step.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum field {
	FIELD_NONCE,
	FIELD_GVA,
	FIELD_GPA,
	FIELD_BYTES,
	FIELD_VALUE,
	FIELD_CPL,
	FIELD_IMPLICIT,
	FIELD_AC,
	FIELD_CR0,
	FIELD_CR3,
	FIELD_CR4,
	FIELD_EFER,
	FIELD_TYPE,
	FIELD_PCID,
	N_FIELDS,
};

struct field_row {
	const char *name;
	size_t offset_bytes; /* of a uint64_t in struct step */
	bool zero_unsaid;    /* left out of the text when it is zero */
};

static const struct field_row field_rows[N_FIELDS] = {
	[FIELD_NONCE] = {"n", offsetof(struct step, nonce), false},
	[FIELD_GVA] = {"gva", offsetof(struct step, gva), false},
	[FIELD_GPA] = {"gpa", offsetof(struct step, gpa), false},
	[FIELD_BYTES] = {"bytes", offsetof(struct step, bytes), false},
	[FIELD_VALUE] = {"value", offsetof(struct step, value), false},
	[FIELD_CPL] = {"cpl", offsetof(struct step, cpl), true},
	[FIELD_IMPLICIT] = {"implicit", offsetof(struct step, implicit), true},
	[FIELD_AC] = {"ac", offsetof(struct step, ac), true},
	[FIELD_CR0] = {"cr0", offsetof(struct step, cr0), false},
	[FIELD_CR3] = {"cr3", offsetof(struct step, cr3), false},
	[FIELD_CR4] = {"cr4", offsetof(struct step, cr4), false},
	[FIELD_EFER] = {"efer", offsetof(struct step, efer), false},
	[FIELD_TYPE] = {"type", offsetof(struct step, type), false},
	[FIELD_PCID] = {"pcid", offsetof(struct step, pcid), false},
};

#define BIT(field)    (1u << (field))
#define ACCESS_FIELDS (BIT(FIELD_GVA) | BIT(FIELD_CPL) | BIT(FIELD_IMPLICIT) | BIT(FIELD_AC))

struct kind_row {
	const char *name;
	unsigned fields; /* printed in the order of enum field; the nonce always */
};

static const struct kind_row kinds[] = {
	[STEP_LOAD] = {"load", ACCESS_FIELDS | BIT(FIELD_BYTES)},
	[STEP_STORE] = {"store", ACCESS_FIELDS | BIT(FIELD_BYTES) | BIT(FIELD_VALUE)},
	[STEP_FETCH] = {"fetch", ACCESS_FIELDS},
	[STEP_SPECULATE] = {"speculate", BIT(FIELD_GVA)},
	[STEP_CR3] = {"cr3", BIT(FIELD_VALUE)},
	[STEP_REGS] = {"regs", BIT(FIELD_CR0) | BIT(FIELD_CR3) | BIT(FIELD_CR4) | BIT(FIELD_EFER)},
	[STEP_INVLPG] = {"invlpg", BIT(FIELD_GVA)},
	[STEP_POKE] = {"poke", BIT(FIELD_GPA) | BIT(FIELD_BYTES) | BIT(FIELD_VALUE)},
	[STEP_UNSHADOW] = {"unshadow", BIT(FIELD_GPA)},
	[STEP_POLICY] = {"policy", 0},
	[STEP_INVPCID] = {"invpcid", BIT(FIELD_TYPE) | BIT(FIELD_PCID) | BIT(FIELD_GVA)},
	[STEP_PKRU] = {"pkru", BIT(FIELD_VALUE)},
	[STEP_PKRS] = {"pkrs", BIT(FIELD_VALUE)},
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint64_t *field_at(struct step *step, unsigned field)
{
	return (uint64_t *)(void *)((char *)step + field_rows[field].offset_bytes);
}

void step_print(const struct step *step, char *text)
{
	struct step copy = *step;
	unsigned fields = kinds[step->kind].fields | BIT(FIELD_NONCE);
	size_t used = (size_t)snprintf(
		text, STEP_TEXT_BYTES, "%s v%u", kinds[step->kind].name, step->vcpu);

	for (unsigned i = 0; i < N_FIELDS; i++) {
		uint64_t value = *field_at(&copy, i);

		if (!(fields & BIT(i)) || (field_rows[i].zero_unsaid && value == 0))
			continue;
		used += (size_t)snprintf(text + used, STEP_TEXT_BYTES - used, " %s=0x%" PRIx64,
			field_rows[i].name, value);
	}
	if (step->kind == STEP_POLICY)
		snprintf(text + used, STEP_TEXT_BYTES - used, " text=%s", step->policy);
}

static bool parse_field(struct step *step, const char *word, const char **why)
{
	const char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : 0;
	char *end;

	if (step->kind == STEP_POLICY && length == 4 && strncmp(word, "text", 4) == 0) {
		snprintf(step->policy, sizeof(step->policy), "%s", equals + 1);
		return true;
	}
	for (unsigned i = 0; i < N_FIELDS; i++) {
		const char *name = field_rows[i].name;

		if (strlen(name) != length || strncmp(word, name, length) != 0)
			continue;
		if (!((kinds[step->kind].fields | BIT(FIELD_NONCE)) & BIT(i)))
			break;
		*field_at(step, i) = strtoull(equals + 1, &end, 0);
		if (end != equals + 1 && *end == '\0')
			return true;
		*why = "a field's value is no number";
		return false;
	}
	*why = "a word is no field of this kind of step";
	return false;
}

static bool check_ranges(const struct step *step, const char **why)
{
	bool sized = kinds[step->kind].fields & BIT(FIELD_BYTES);
	uint64_t start = step->kind == STEP_POKE ? step->gpa : step->gva;

	if (sized && (step->bytes < 1 || step->bytes > 8)) {
		*why = "bytes must be 1 to 8";
		return false;
	}
	if (sized && start % 4096 + step->bytes > 4096) {
		*why = "the access crosses a page";
		return false;
	}
	if (step->cpl > 3) {
		*why = "cpl must be 0 to 3";
		return false;
	}
	return true;
}

bool step_parse(struct step *step, const char *line, const char **why)
{
	char copy[STEP_TEXT_BYTES];
	char *rest = copy;
	char *word;
	unsigned kind = 0;

	memset(step, 0, sizeof(*step));
	snprintf(copy, sizeof(copy), "%s", line);
	word = strsep(&rest, " ");
	while (kind < N_KINDS && strcmp(word, kinds[kind].name) != 0)
		kind++;
	if (kind == N_KINDS) {
		*why = "the first word is no kind of step";
		return false;
	}
	step->kind = (enum step_kind)kind;
	word = strsep(&rest, " ");
	if (!word || word[0] != 'v' || word[1] < '0' || word[1] > '9' || word[2] != '\0') {
		*why = "the second word must be the vCPU, v0 to v9";
		return false;
	}
	step->vcpu = (unsigned)(word[1] - '0');
	while ((word = strsep(&rest, " ")) != NULL)
		if (*word && !parse_field(step, word, why))
			return false;
	return check_ranges(step, why);
}
