/* SPDX-License-Identifier: MIT */
/* Steps as text. One table says which kind has which fields; nothing here knows what they mean. */
#include "lab/step.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum field {
	FIELD_NONCE,
	FIELD_OP,
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

static const char *const op_names[N_STEP_OPS] = {"mov", "xchg", "and", "or", "xor", "add", "sub",
	"inc", "dec", "not", "neg", "bts", "btr", "btc", "xadd", "cmpxchg", "cmpxchg-pair", "setcc",
	"push", "stos"};

struct field_row {
	const char *name;
	size_t offset_bytes;      /* of a uint64_t in struct step */
	bool zero_unsaid;         /* left out of the text when it is zero */
	const char *const *names; /* of the values; NULL: they are numbers */
	unsigned n_names;
};

static const struct field_row field_rows[N_FIELDS] = {
	[FIELD_NONCE] = {"n", offsetof(struct step, nonce), false, NULL, 0},
	[FIELD_OP] = {"op", offsetof(struct step, op), true, op_names, N_STEP_OPS},
	[FIELD_GVA] = {"gva", offsetof(struct step, gva), false, NULL, 0},
	[FIELD_GPA] = {"gpa", offsetof(struct step, gpa), false, NULL, 0},
	[FIELD_BYTES] = {"bytes", offsetof(struct step, bytes), false, NULL, 0},
	[FIELD_VALUE] = {"value", offsetof(struct step, value), false, NULL, 0},
	[FIELD_CPL] = {"cpl", offsetof(struct step, cpl), true, NULL, 0},
	[FIELD_IMPLICIT] = {"implicit", offsetof(struct step, implicit), true, NULL, 0},
	[FIELD_AC] = {"ac", offsetof(struct step, ac), true, NULL, 0},
	[FIELD_CR0] = {"cr0", offsetof(struct step, cr0), false, NULL, 0},
	[FIELD_CR3] = {"cr3", offsetof(struct step, cr3), false, NULL, 0},
	[FIELD_CR4] = {"cr4", offsetof(struct step, cr4), false, NULL, 0},
	[FIELD_EFER] = {"efer", offsetof(struct step, efer), false, NULL, 0},
	[FIELD_TYPE] = {"type", offsetof(struct step, type), true, NULL, 0},
	[FIELD_PCID] = {"pcid", offsetof(struct step, pcid), false, NULL, 0},
};

#define BIT(field)    (1u << (field))
#define ACCESS_FIELDS (BIT(FIELD_GVA) | BIT(FIELD_CPL) | BIT(FIELD_IMPLICIT) | BIT(FIELD_AC))

struct kind_row {
	const char *name;
	unsigned fields; /* printed in the order of enum field; the nonce always */
};

static const struct kind_row kinds[] = {
	[STEP_LOAD] = {"load", ACCESS_FIELDS | BIT(FIELD_BYTES)},
	[STEP_STORE] = {"store", ACCESS_FIELDS | BIT(FIELD_OP) | BIT(FIELD_BYTES) |
					 BIT(FIELD_VALUE) | BIT(FIELD_TYPE)},
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
	[STEP_TRACK] = {"track", BIT(FIELD_GPA) | BIT(FIELD_VALUE) | BIT(FIELD_TYPE)},
	[STEP_UNTRACK] = {"untrack", BIT(FIELD_VALUE)},
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
		if (field_rows[i].names)
			used += (size_t)snprintf(text + used, STEP_TEXT_BYTES - used, " %s=%s",
				field_rows[i].name, field_rows[i].names[value]);
		else
			used += (size_t)snprintf(text + used, STEP_TEXT_BYTES - used,
				" %s=0x%" PRIx64, field_rows[i].name, value);
	}
	if (step->kind == STEP_POLICY)
		snprintf(text + used, STEP_TEXT_BYTES - used, " text=%s", step->policy);
}

/* The number or name @text as a value of @row; false if it is none. */
static bool parse_value(const struct field_row *row, const char *text, uint64_t *value)
{
	char *end;

	for (unsigned i = 0; i < row->n_names; i++) {
		if (strcmp(row->names[i], text) == 0) {
			*value = i;
			return true;
		}
	}
	*value = strtoull(text, &end, 0);
	return !row->names && end != text && *end == '\0';
}

static bool parse_field(struct step *step, const char *word, const char **why)
{
	const char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : 0;

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
		if (parse_value(&field_rows[i], equals + 1, field_at(step, i)))
			return true;
		*why = "a field's value is none that it can have";
		return false;
	}
	*why = "a word is no field of this kind of step";
	return false;
}

bool step_has_size(enum step_op op, uint64_t n_bytes)
{
	bool plain = n_bytes == 1 || n_bytes == 2 || n_bytes == 4 || n_bytes == 8;

	switch (op) {
	case STEP_OP_MOV:
		return n_bytes >= 1 && n_bytes <= STEP_BYTES_MAX;
	case STEP_OP_BTS:
	case STEP_OP_BTR:
	case STEP_OP_BTC:
	case STEP_OP_PUSH:
		return plain && n_bytes > 1;
	case STEP_OP_CMPXCHG_PAIR:
		return n_bytes == 8 || n_bytes == 16;
	case STEP_OP_SETCC:
		return n_bytes == 1;
	default:
		return plain;
	}
}

void step_operand(const struct step *step, uint8_t *bytes)
{
	for (uint64_t at = 0; at < step->bytes; at += 8) {
		uint64_t word = step->value ? step->value + at / 8 * 4096 : 0;

		memcpy(bytes + at, &word, step->bytes - at < 8 ? step->bytes - at : 8);
	}
}

static bool check_ranges(const struct step *step, const char **why)
{
	bool sized = kinds[step->kind].fields & BIT(FIELD_BYTES);
	bool store = step->kind == STEP_STORE || step->kind == STEP_POKE;
	bool crosses = step->gva % 4096 + step->bytes > 4096;

	if (sized && (step->bytes < 1 || step->bytes > (store ? STEP_BYTES_MAX : 8))) {
		*why = store ? "bytes must be 1 to 64" : "bytes must be 1 to 8";
		return false;
	}
	if (sized && crosses && (step->kind == STEP_LOAD || step->implicit)) {
		*why = "the access crosses a page";
		return false;
	}
	if (!step_has_size((enum step_op)step->op, step->bytes) && step->kind == STEP_STORE) {
		*why = "the instruction has no operand of such a size";
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
