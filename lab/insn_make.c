/* SPDX-License-Identifier: MIT */
/* Encodings of the guest's stores: one table says how each is encoded, chance how its operand is
 * addressed. */
#include "lab/insn.h"

#include "lab/rng.h"

#include <string.h>

#define RFLAGS_CF (1ull << 0)

/* What of an instruction is in its ModRM.reg and behind its operand. */
enum operands {
	WITH_NOTHING,  /* .extension in ModRM.reg */
	WITH_REGISTER, /* the operand's register there */
	WITH_BIT,      /* .extension, and one byte: the number of a bit */
	WITH_IMM,      /* .extension, and an immediate of the operand's size, 4 bytes at most */
};

struct encoding {
	enum operands operands;
	uint8_t opcode; /* of operands of one byte; the next one is of wider ones */
	uint8_t extension;
	bool two_bytes; /* 0F before the opcode */
	bool one_size;  /* the opcode is the same for all sizes */
	bool lockable;
};

/* Some have a second way: with an immediate. */
static const struct encoding encodings[N_STEP_OPS][2] = {
	[STEP_OP_MOV] = {{WITH_REGISTER, 0x88, 0, false, false, false},
		{WITH_IMM, 0xc6, 0, false, false, false}},
	[STEP_OP_XCHG] = {{WITH_REGISTER, 0x86, 0, false, false, true}},
	[STEP_OP_AND] = {{WITH_REGISTER, 0x20, 0, false, false, true},
		{WITH_IMM, 0x80, 4, false, false, true}},
	[STEP_OP_OR] = {{WITH_REGISTER, 0x08, 0, false, false, true},
		{WITH_IMM, 0x80, 1, false, false, true}},
	[STEP_OP_XOR] = {{WITH_REGISTER, 0x30, 0, false, false, true},
		{WITH_IMM, 0x80, 6, false, false, true}},
	[STEP_OP_ADD] = {{WITH_REGISTER, 0x00, 0, false, false, true},
		{WITH_IMM, 0x80, 0, false, false, true}},
	[STEP_OP_SUB] = {{WITH_REGISTER, 0x28, 0, false, false, true},
		{WITH_IMM, 0x80, 5, false, false, true}},
	[STEP_OP_INC] = {{WITH_NOTHING, 0xfe, 0, false, false, true}},
	[STEP_OP_DEC] = {{WITH_NOTHING, 0xfe, 1, false, false, true}},
	[STEP_OP_NOT] = {{WITH_NOTHING, 0xf6, 2, false, false, true}},
	[STEP_OP_NEG] = {{WITH_NOTHING, 0xf6, 3, false, false, true}},
	[STEP_OP_BTS] = {{WITH_REGISTER, 0xab, 0, true, true, true},
		{WITH_BIT, 0xba, 5, true, true, true}},
	[STEP_OP_BTR] = {{WITH_REGISTER, 0xb3, 0, true, true, true},
		{WITH_BIT, 0xba, 6, true, true, true}},
	[STEP_OP_BTC] = {{WITH_REGISTER, 0xbb, 0, true, true, true},
		{WITH_BIT, 0xba, 7, true, true, true}},
	[STEP_OP_XADD] = {{WITH_REGISTER, 0xc0, 0, true, false, true}},
	[STEP_OP_CMPXCHG] = {{WITH_REGISTER, 0xb0, 0, true, false, true}},
	[STEP_OP_CMPXCHG_PAIR] = {{WITH_NOTHING, 0xc7, 1, true, true, true}},
	[STEP_OP_SETCC] = {{WITH_NOTHING, 0x92, 0, true, true, false}}, /* SETC */
};

/* Of what no general register can hold: MOVUPS, MOVQ from MMX, XSAVE. */
static const struct encoding wide_encodings[3] = {
	{WITH_NOTHING, 0x11, 0, true, true, false},
	{WITH_NOTHING, 0x7f, 0, true, true, false},
	{WITH_NOTHING, 0xae, 4, true, true, false},
};

/* An instruction in the making. */
struct maker {
	struct insn *insn;
	const struct step *step;
	struct rng rng;
	const struct encoding *encoding;
	bool long_mode;
	unsigned address_bytes;
	uint64_t gva;     /* of the operand, less what a bit's number adds */
	unsigned reg;     /* ModRM.reg without its REX bit */
	uint8_t rex;      /* 0: none */
	uint8_t modrm[6]; /* ModRM, SIB, displacement */
	unsigned n_modrm;
	bool rip_relative;
};

static void emit(struct maker *maker, uint64_t value, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		maker->insn->bytes[maker->insn->n_bytes++] = (uint8_t)(value >> 8 * i);
}

static void add_modrm(struct maker *maker, uint64_t value, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		maker->modrm[maker->n_modrm++] = (uint8_t)(value >> 8 * i);
}

/* Register @number becomes @value in its low @n_bytes; above them there is chance. */
static void set_register(struct maker *maker, unsigned number, uint64_t value, uint64_t n_bytes)
{
	uint64_t unused = n_bytes >= 8 ? 0 : ~0ull << 8 * n_bytes;

	value = (value & ~unused) | (rng_u64(&maker->rng) & unused);
	maker->insn->gpr[number] = maker->long_mode ? value : (uint32_t)value;
}

/* ---- where the operand is ---- */

/* A register for addresses: none of those that operands use. */
static unsigned pick_register(struct maker *maker, bool index)
{
	static const uint8_t registers[] = {X86_RSI, X86_RDI, X86_RBP, X86_RSP, 8, 9, 11, 12, 13};
	unsigned number;

	do
		number = registers[rng_below(&maker->rng, maker->long_mode ? 9 : 4)];
	while (index && number == X86_RSP);
	return number;
}

/* [rip + disp32] in long mode (what RIP is shows at the end), else [disp32]. */
static void address_absolute(struct maker *maker)
{
	add_modrm(maker, 5, 1);
	add_modrm(maker, maker->long_mode ? rng_u64(&maker->rng) : maker->gva, 4);
	maker->rip_relative = maker->long_mode;
}

/* [base + displacement], or [base + index * scale + displacement]. */
static void address_registers(struct maker *maker)
{
	unsigned width = rng_below(&maker->rng, 3); /* of the displacement: 0, 1 or 4 bytes */
	unsigned base = pick_register(maker, false);
	unsigned index = pick_register(maker, true);
	bool sib = base % 8 == 4 || rng_percent(&maker->rng, 40);
	bool indexed = sib && index != base;
	unsigned scale = indexed ? rng_below(&maker->rng, 4) : 0;
	uint64_t displacement = rng_u64(&maker->rng);
	uint64_t rest;

	if (width == 0 && base % 8 == 5)
		width = 1;
	displacement = width == 2   ? (uint64_t)(int64_t)(int32_t)displacement
		       : width == 1 ? (uint64_t)(int64_t)(int8_t)displacement
				    : 0;
	rest = maker->gva - displacement;
	if (indexed) {
		set_register(maker, index, rng_u64(&maker->rng), 8);
		rest -= maker->insn->gpr[index] << scale;
	}
	set_register(maker, base, rest, maker->address_bytes);
	add_modrm(maker, width << 6 | (sib ? 4 : base % 8), 1);
	if (sib)
		add_modrm(maker, scale << 6 | (indexed ? index % 8 : 4) << 3 | base % 8, 1);
	add_modrm(maker, displacement, width == 2 ? 4 : width);
	if (base >= 8)
		maker->rex |= 0x41;
	if (indexed && index >= 8)
		maker->rex |= 0x42;
}

static void make_address(struct maker *maker)
{
	if (rng_percent(&maker->rng, 20))
		address_absolute(maker);
	else
		address_registers(maker);
}

/* ---- the operands ---- */

/* A register with the operand's value: RCX, RDX or R10; of one byte CH or DH too, which are there
 * without REX only. */
static void make_register(struct maker *maker, uint64_t value)
{
	static const uint8_t numbers[] = {X86_RCX, X86_RDX, 10};
	unsigned number = numbers[rng_below(&maker->rng, maker->long_mode ? 3 : 2)];
	uint64_t n_bytes = maker->step->bytes;

	if (number == 10)
		maker->rex |= 0x44;
	maker->reg = number % 8;
	if (n_bytes == 1 && !maker->rex && rng_percent(&maker->rng, 30)) {
		set_register(maker, number, (value & 0xff) << 8 | (value >> 3 & 0xff), 2);
		maker->reg += 4;
	} else {
		set_register(maker, number, value, n_bytes);
	}
}

/* What CMPXCHG and its like have in registers besides. */
static void make_compared(struct maker *maker, const uint8_t *old)
{
	const struct step *step = maker->step;
	uint8_t compared[STEP_BYTES_MAX];
	uint8_t operand[STEP_BYTES_MAX];
	uint64_t words[4] = {0};
	size_t half = step->bytes / 2;

	insn_expected(step, old, compared);
	step_operand(step, operand);
	if (step->op == STEP_OP_CMPXCHG) {
		memcpy(&words[0], compared, step->bytes);
		set_register(maker, X86_RAX, words[0], step->bytes);
		return;
	}
	memcpy(&words[0], compared, half);
	memcpy(&words[1], compared + half, half);
	memcpy(&words[2], operand, half);
	memcpy(&words[3], operand + half, half);
	set_register(maker, X86_RAX, words[0], half);
	set_register(maker, X86_RDX, words[1], half);
	set_register(maker, X86_RBX, words[2], half);
	set_register(maker, X86_RCX, words[3], half);
}

/* Prefixes in any order, but for REX, which is the last. */
static void emit_prefixes(struct maker *maker, bool lock)
{
	static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e};
	const struct step *step = maker->step;
	bool pair = step->op == STEP_OP_CMPXCHG_PAIR;
	bool word = step->bytes == 2;

	if (rng_percent(&maker->rng, 10))
		emit(maker, segments[rng_below(&maker->rng, 4)], 1);
	if (maker->insn->size == X86_CODE_16 ? step->bytes == 4 : word)
		emit(maker, 0x66, 1);
	if (maker->insn->size == X86_CODE_16 || (maker->long_mode && maker->address_bytes == 4))
		emit(maker, 0x67, 1);
	if (lock)
		emit(maker, 0xf0, 1);
	if (pair ? step->bytes == 16 : step->bytes == 8 && step->op != STEP_OP_PUSH)
		maker->rex |= maker->long_mode ? 0x48 : 0;
	if (maker->rex)
		emit(maker, maker->rex, 1);
}

/* Can @value stand as an immediate of @n_bytes, sign-extended to @operand_bytes? */
static bool fits(uint64_t value, unsigned n_bytes, uint64_t operand_bytes)
{
	unsigned unused = 64 - 8 * n_bytes;
	uint64_t back = (uint64_t)((int64_t)(value << unused) >> unused);
	uint64_t mask = operand_bytes >= 8 ? ~0ull : (1ull << 8 * operand_bytes) - 1;

	return ((back ^ value) & mask) == 0;
}

static bool is_size(uint64_t n_bytes)
{
	return n_bytes == 1 || n_bytes == 2 || n_bytes == 4 || n_bytes == 8;
}

/* Does such code have this instruction for general registers? */
static bool has_encoding(const struct step *step, bool long_mode)
{
	if (step->op == STEP_OP_CMPXCHG_PAIR)
		return step->bytes == 8 || long_mode;
	if (step->op == STEP_OP_PUSH)
		return step->bytes == 2 || step->bytes == (long_mode ? 8 : 4);
	return is_size(step->bytes) && (step->bytes < 8 || long_mode);
}

/* ---- the kinds of instruction ---- */

static void make_push(struct maker *maker)
{
	const struct step *step = maker->step;
	bool byte = fits(step->value, 1, step->bytes);
	unsigned imm_bytes = step->bytes == 2 ? 2 : 4;

	set_register(maker, X86_RSP, maker->gva + step->bytes, maker->insn->stack_bytes);
	if (byte && rng_percent(&maker->rng, 50)) {
		emit_prefixes(maker, false);
		emit(maker, 0x6a, 1);
		emit(maker, step->value, 1);
	} else if (fits(step->value, imm_bytes, step->bytes) && rng_percent(&maker->rng, 50)) {
		emit_prefixes(maker, false);
		emit(maker, 0x68, 1);
		emit(maker, step->value, imm_bytes);
	} else {
		make_register(maker, step->value);
		emit_prefixes(maker, false);
		emit(maker, 0x50 + maker->reg % 8, 1);
	}
}

static void make_stos(struct maker *maker)
{
	set_register(maker, X86_RDI, maker->gva, maker->address_bytes);
	set_register(maker, X86_RAX, maker->step->value, maker->step->bytes);
	emit_prefixes(maker, false);
	emit(maker, maker->step->bytes == 1 ? 0xaa : 0xab, 1);
}

/* The number of the bit: in a register it can be beyond the operand, which then begins elsewhere.
 */
static uint64_t bit_number(struct maker *maker)
{
	const struct step *step = maker->step;
	uint64_t bit = insn_bit(step);
	uint64_t beyond = rng_below(&maker->rng, 9);

	if (maker->encoding->operands == WITH_BIT)
		return bit;
	maker->gva -= (beyond - 4) * step->bytes;
	return bit + (beyond - 4) * 8 * step->bytes;
}

static void make_plain(struct maker *maker, const uint8_t *old)
{
	const struct step *step = maker->step;
	const struct encoding *encoding = maker->encoding;
	bool is_bit = step->op >= STEP_OP_BTS && step->op <= STEP_OP_BTC;
	bool byte =
		encoding->opcode == 0x80 && step->bytes > 1 && fits(step->value, 1, step->bytes);
	uint64_t value = is_bit ? bit_number(maker) : step->value;
	bool lock = encoding->lockable && rng_percent(&maker->rng, 50);

	make_address(maker);
	maker->reg = encoding->extension;
	if (encoding->operands == WITH_REGISTER)
		make_register(maker, value);
	if (step->op == STEP_OP_CMPXCHG || step->op == STEP_OP_CMPXCHG_PAIR)
		make_compared(maker, old);
	maker->modrm[0] |= (uint8_t)(maker->reg << 3);
	emit_prefixes(maker, lock);
	if (encoding->two_bytes)
		emit(maker, 0x0f, 1);
	emit(maker, encoding->opcode + (byte ? 3u : !encoding->one_size && step->bytes > 1), 1);
	for (unsigned i = 0; i < maker->n_modrm; i++)
		emit(maker, maker->modrm[i], 1);
	if (encoding->operands == WITH_BIT || byte)
		emit(maker, value, 1);
	else if (encoding->operands == WITH_IMM)
		emit(maker, value, step->bytes == 8 ? 4 : (unsigned)step->bytes);
}

/* The row of the table for the step: with an immediate if it has such a one and can. */
static const struct encoding *pick_encoding(struct maker *maker)
{
	const struct step *step = maker->step;
	const struct encoding *ways = encodings[step->op];

	if (!maker->insn->understood)
		return &wide_encodings[step->bytes == 16 ? 0 : step->bytes == 8 ? 1 : 2];
	if (ways[1].opcode && (ways[1].operands == WITH_BIT || fits(step->value, 4, step->bytes)) &&
		rng_percent(&maker->rng, 50))
		return &ways[1];
	return &ways[0];
}

void insn_make(const struct step *step, uint64_t gva, bool long_mode, const uint8_t *old,
	struct insn *insn)
{
	struct maker maker = {
		.insn = insn,
		.step = step,
		.rng = rng_seed(step->nonce ^ 0x5eed0f1a),
		.long_mode = long_mode,
		.gva = gva,
	};

	memset(insn, 0, sizeof(*insn));
	insn->size = long_mode                     ? X86_CODE_64
		     : rng_percent(&maker.rng, 20) ? X86_CODE_16
						   : X86_CODE_32;
	insn->stack_bytes = long_mode ? 8 : 4;
	insn->rflags = (rng_u64(&maker.rng) & ~RFLAGS_CF & 0x8d5) | 2;
	insn->rflags |= step->op == STEP_OP_SETCC ? step->value & RFLAGS_CF : 0;
	insn->understood = has_encoding(step, long_mode);
	maker.address_bytes = long_mode && (gva >> 32 || rng_percent(&maker.rng, 50)) ? 8 : 4;
	for (unsigned i = 0; i < X86_GPRS; i++)
		set_register(&maker, i, 0, 0);
	maker.encoding = pick_encoding(&maker);
	if (insn->understood && step->op == STEP_OP_PUSH)
		make_push(&maker);
	else if (insn->understood && step->op == STEP_OP_STOS)
		make_stos(&maker);
	else
		make_plain(&maker, old);
	if (maker.rip_relative) {
		int32_t displacement;

		memcpy(&displacement, maker.modrm + 1, 4);
		insn->rip = maker.gva - (uint64_t)(int64_t)displacement - insn->n_bytes;
	}
}
