/* SPDX-License-Identifier: MIT */
/* From bytes to a trace; see fuzz.h. */
#include "lab/fuzz.h"

#include "x86/x86.h"

#include <stdio.h>
#include <string.h>

/* The first byte's low half. */
enum op {
	OP_LOAD,
	OP_STORE,
	OP_FETCH,
	OP_POKE,   /* the host stores an entry */
	OP_WINDOW, /* the guest stores an entry through the window */
	OP_TURN,   /* one bit of an entry is turned over, by either */
	OP_CR3,
	OP_REGS,
	OP_INVLPG,
	OP_INVPCID,
	OP_PKRU,
	OP_PKRS,
	OP_UNSHADOW,
	OP_POLICY,
	OP_SPECULATE,
	OP_RAW, /* the host stores anything at an entry */
};

#define VCPUS  2u
#define LEVELS 5u

/* What the decoder knows of the run; wrong where the machine refused something. */
struct decoder {
	struct trace *trace;
	enum fuzz_mode mode[VCPUS];
	uint64_t last[LEVELS][8]; /* entries, by level, table and index, as last written */
};

/* A step's bytes, by what they say. */
struct code {
	unsigned op;
	unsigned vcpu;
	unsigned more; /* 0 to 7: variants of the op */
	unsigned who;  /* of accesses; of entries which one */
	unsigned gva;
	const uint8_t *rest; /* 4 bytes */
};

/* ---- the machine ---- */

static const char *const policies[] = {"", "cache=off", "large=off", "write=zap", "prefetch=8",
	"replace=fifo", "oos=off", "oos=all", "write=unsync", "write=emulate", "sticky=0"};

#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

static void decode_policy(const uint8_t *bytes, char *text, size_t text_bytes)
{
	static const char *const oos[4] = {"leaf", "off", "all", "all,snapshot=off"};
	static const char *const writes[4] = {"auto", "zap", "unsync", "emulate"};
	static const unsigned prefetch[4] = {8, 0, 512, 32};
	static const unsigned sticky[4] = {3, 0, 1, 1000};

	snprintf(text, text_bytes,
		"oos=%s,prefetch=%u,sticky=%u,cache=%s,large=%s,write=%s,replace=%s,elide=%s",
		oos[bytes[1] & 3], prefetch[bytes[1] >> 2 & 3], sticky[bytes[2] & 3],
		bytes[1] & 0x10 ? "off" : "on", bytes[1] & 0x20 ? "off" : "on",
		writes[bytes[1] >> 6], (bytes[1] & 0x30) == 0x30 ? "fifo" : "clock",
		bytes[0] & 0x80 ? "off" : "on");
}

static enum fuzz_mode decode_header(const uint8_t *bytes, struct lab_config *config)
{
	static const unsigned widths[4] = {40, 36, 46, 52};
	static const unsigned tags[4] = {1, 8, 2, 3};

	*config = lab_config_default;
	config->vcpus = bytes[0] & 0x20 ? 2 : 1;
	config->pool = bytes[0] & 0x40 ? 128 : 64;
	config->audit_every = 64;
	config->absent_page = bytes[0] & 8;
	config->no_1g = bytes[0] & 0x10;
	config->maxphyaddr = widths[bytes[2] >> 2 & 3];
	config->tags = tags[bytes[2] >> 4 & 3];
	config->flush_tag = bytes[2] & 0x40;
	config->flush_gva = !(bytes[2] & 0x80);
	config->mode = LAB_MODE_MIXED;
	decode_policy(bytes, config->policy, sizeof(config->policy));
	return (enum fuzz_mode)((bytes[0] & 7) % FUZZ_N_MODES);
}

/* ---- steps ---- */

/* Another instruction for a store, or another size. */
static void set_insn(unsigned code, struct step *step)
{
	if (code >= 0xc0)
		step->bytes = 1 + code % STEP_BYTES_MAX;
	else if (code % 32 < N_STEP_OPS && step_has_size((enum step_op)(code % 32), step->bytes))
		step->op = code % 32;
	step->type = code >> 5 & 1 && code < 0xc0;
}

static void set_access(const struct decoder *decoder, const struct code *code, struct step *step)
{
	static const uint8_t cpls[4] = {0, 3, 3, 1};
	static const enum step_kind kinds[] = {
		[OP_LOAD] = STEP_LOAD, [OP_STORE] = STEP_STORE, [OP_FETCH] = STEP_FETCH};

	step->kind = kinds[code->op];
	step->cpl = cpls[code->who & 3];
	step->implicit = code->op != OP_FETCH && (code->who & 0x84) == 0x84;
	step->ac = code->who >> 3 & 1;
	step->bytes = 1ull << (code->who >> 4 & 3);
	step->gva = fuzz_gva(decoder->mode[code->vcpu], code->gva);
	if (step->gva % X86_PAGE_SIZE + step->bytes > X86_PAGE_SIZE &&
		(code->op == OP_LOAD || step->implicit || code->more == 3))
		step->gva -= step->bytes;
	if (code->more == 7)
		step->gva ^= 1ull << 50;
	memcpy(&step->value, code->rest, 4);
	if (code->more & 1)
		step->value = fuzz_entry(decoder->mode[code->vcpu], 1 + (code->more >> 1),
			code->rest[0], code->rest[1], code->rest[2] % 65);
	if (code->op == OP_STORE && (code->more & 1) && !step->implicit)
		set_insn(code->rest[3], step);
}

/* The entry that @code means: its place, and what was last written there. */
static uint64_t *find_entry(
	struct decoder *decoder, const struct code *code, unsigned *level, uint64_t *gpa)
{
	enum fuzz_mode mode = decoder->mode[code->vcpu];
	unsigned levels = fuzz_levels(mode) ? fuzz_levels(mode) : LEVELS;

	*level = 1 + (code->who & 7) % levels;
	*gpa = fuzz_slot(mode, *level, code->who >> 3 & 1, code->who >> 4 & 3);
	return &decoder->last[*level - 1][code->who >> 3 & 7];
}

/* A store of an entry, by the host, or by the guest through the window. */
static void set_store(const struct decoder *decoder, const struct code *code, bool window,
	uint64_t gpa, uint64_t value, struct step *step)
{
	enum fuzz_mode mode = decoder->mode[code->vcpu];

	step->bytes = fuzz_entry_bytes(mode);
	step->value = value;
	step->kind = window ? STEP_STORE : STEP_POKE;
	step->gpa = gpa;
	if (!window)
		return;
	step->gva = fuzz_window(mode, gpa);
	set_insn(code->rest[3], step);
}

static void set_entry(struct decoder *decoder, const struct code *code, struct step *step)
{
	unsigned level;
	uint64_t gpa;
	uint64_t *last = find_entry(decoder, code, &level, &gpa);
	bool window = code->op == OP_WINDOW || (code->op == OP_TURN && (code->more & 1));

	if (code->op == OP_TURN)
		*last ^= 1ull << (code->rest[0] & 63);
	else
		*last = fuzz_entry(decoder->mode[code->vcpu], level, code->rest[0], code->rest[1],
			code->rest[2] % 65);
	set_store(decoder, code, window, gpa, *last, step);
}

static void set_raw(struct decoder *decoder, const struct code *code, struct step *step)
{
	unsigned level;
	uint64_t gpa;
	uint64_t *last = find_entry(decoder, code, &level, &gpa);
	uint32_t low;

	memcpy(&low, code->rest, 4);
	*last = low | (uint64_t)code->gva << (code->more & 1 ? 48 : 32);
	set_store(decoder, code, code->more & 2, gpa, *last, step);
}

static void set_cr3(const struct decoder *decoder, const struct code *code, struct step *step)
{
	fuzz_regs(decoder->mode[code->vcpu], code->who, 0, step);
	step->kind = STEP_CR3;
	step->value = step->cr3 | (code->rest[0] & 0x1b);
	if (code->rest[1] & 1)
		step->value |= 1ull << 63;
	if (code->rest[2])
		step->value ^= 1ull << (code->rest[2] & 63);
}

/* Registers, now and then in a state that no processor is in. */
static void set_regs(struct decoder *decoder, const struct code *code, struct step *step)
{
	static const struct {
		size_t offset_bytes;
		uint64_t bit;
	} flips[] = {
		{offsetof(struct step, cr0), X86_CR0_PE},
		{offsetof(struct step, cr0), X86_CR0_PG},
		{offsetof(struct step, cr0), X86_CR0_CD},
		{offsetof(struct step, cr0), X86_CR0_WP},
		{offsetof(struct step, cr3), X86_CR3_PCD},
		{offsetof(struct step, cr3), 1ull << 5},
		{offsetof(struct step, cr3), 1ull << 45},
		{offsetof(struct step, cr3), 1ull << 63},
		{offsetof(struct step, cr4), X86_CR4_PSE},
		{offsetof(struct step, cr4), X86_CR4_PAE},
		{offsetof(struct step, cr4), X86_CR4_PGE},
		{offsetof(struct step, cr4), X86_CR4_LA57},
		{offsetof(struct step, cr4), X86_CR4_PCIDE},
		{offsetof(struct step, efer), X86_EFER_LME},
		{offsetof(struct step, efer), X86_EFER_LMA},
		{offsetof(struct step, efer), X86_EFER_NXE},
		{offsetof(struct step, efer), X86_EFER_TCE},
	};
	unsigned flip = code->rest[2];

	decoder->mode[code->vcpu] = (enum fuzz_mode)(code->rest[0] % FUZZ_N_MODES);
	step->kind = STEP_REGS;
	fuzz_regs(decoder->mode[code->vcpu], code->who, code->rest[1], step);
	if (flip >= sizeof(flips) / sizeof(flips[0]))
		return;
	*(uint64_t *)(void *)((char *)step + flips[flip].offset_bytes) ^= flips[flip].bit;
}

static void set_invpcid(const struct decoder *decoder, const struct code *code, struct step *step)
{
	step->kind = STEP_INVPCID;
	step->type = code->rest[0] & 7;
	step->pcid = code->rest[1] & 0x1b;
	if (code->rest[2] >= 0xc0)
		step->pcid ^= 1ull << (code->rest[2] & 63);
	step->gva = fuzz_gva(decoder->mode[code->vcpu], code->gva);
	if (code->more == 7)
		step->gva ^= 1ull << 50;
}

/* What the embedder does about a frame: gives it up, begins or ceases to track it. */
static void set_frame(const struct code *code, struct step *step)
{
	static const enum step_kind kinds[8] = {STEP_UNSHADOW, STEP_UNSHADOW, STEP_UNSHADOW,
		STEP_UNSHADOW, STEP_TRACK, STEP_TRACK, STEP_TRACK, STEP_UNTRACK};

	step->kind = kinds[code->more];
	step->gpa = fuzz_entry(FUZZ_4LEVEL, 1, 0, code->rest[1] & 31, 0);
	step->value = code->rest[0] % TRACK_WATCHES;
	step->type = code->rest[2] % (2 * N_TRACK_MANNERS);
}

static void decode_step(struct decoder *decoder, const struct code *code, struct step *step)
{
	enum fuzz_mode mode = decoder->mode[code->vcpu];

	switch ((enum op)code->op) {
	case OP_LOAD:
	case OP_STORE:
	case OP_FETCH:
		set_access(decoder, code, step);
		break;
	case OP_POKE:
	case OP_WINDOW:
	case OP_TURN:
		set_entry(decoder, code, step);
		break;
	case OP_RAW:
		set_raw(decoder, code, step);
		break;
	case OP_CR3:
		set_cr3(decoder, code, step);
		break;
	case OP_REGS:
		set_regs(decoder, code, step);
		break;
	case OP_INVPCID:
		set_invpcid(decoder, code, step);
		break;
	case OP_INVLPG:
	case OP_SPECULATE:
		step->kind = code->op == OP_INVLPG ? STEP_INVLPG : STEP_SPECULATE;
		step->gva = fuzz_gva(mode, code->gva);
		break;
	case OP_PKRU:
	case OP_PKRS:
		step->kind = code->op == OP_PKRU ? STEP_PKRU : STEP_PKRS;
		step->value = (uint64_t)code->rest[1] << 8 | code->rest[0];
		break;
	case OP_UNSHADOW:
		set_frame(code, step);
		break;
	case OP_POLICY:
		step->kind = STEP_POLICY;
		snprintf(step->policy, sizeof(step->policy), "%s",
			policies[code->rest[0] % N_POLICIES]);
		break;
	}
}

void fuzz_decode(const uint8_t *bytes, size_t n_bytes, struct trace *trace)
{
	uint8_t header[FUZZ_HEADER_BYTES] = {0};
	struct decoder decoder = {.trace = trace};
	enum fuzz_mode mode;

	memcpy(header, bytes, n_bytes < sizeof(header) ? n_bytes : sizeof(header));
	mode = decode_header(header, &trace->config);
	fuzz_build(trace, mode);
	for (unsigned i = 0; i < trace->config.vcpus; i++) {
		struct step step = {.kind = STEP_REGS, .vcpu = i, .nonce = i};

		decoder.mode[i] = mode;
		fuzz_regs(mode, i, header[3], &step);
		trace_add(trace, &step);
	}
	for (unsigned i = 0; i < FUZZ_STEPS_MAX; i++) {
		size_t at = sizeof(header) + (size_t)i * FUZZ_STEP_BYTES;
		const uint8_t *record = bytes + at;
		struct code code;
		struct step step = {0};

		if (at + FUZZ_STEP_BYTES > n_bytes)
			break;
		code = (struct code){
			.op = record[0] & 15,
			.vcpu = (record[0] >> 4 & 1) % trace->config.vcpus,
			.more = record[0] >> 5,
			.who = record[1],
			.gva = record[2] | (unsigned)record[3] << 8,
			.rest = record + 4,
		};
		step.vcpu = code.vcpu;
		step.nonce = i * 8 + code.more;
		decode_step(&decoder, &code, &step);
		trace_add(trace, &step);
	}
	trace->config.steps = trace->n_steps;
}
