/* SPDX-License-Identifier: MIT */
/*
 * The decoder: prefixes, opcode, ModRM/SIB/displacement, immediate, in that order, driven by the
 * tables of opcodes.h. Must not know why anybody asks.
 */
#include "x86/decode.h"
#include "x86/opcodes.h"

enum opcode_map {
	MAP_ONE_BYTE,
	MAP_0F,
	MAP_0F38,
	MAP_0F3A,
};

/* REX bits, also what VEX carries of them. */
#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct decoder {
	struct x86_insn *insn;
	const uint8_t *bytes;
	size_t n_bytes;
	size_t at;
	enum x86_code_size size;
	enum opcode_map map;
	uint8_t opcode;
	uint8_t rex;
	uint8_t mod;
	uint8_t reg3;       /* ModRM.reg without REX: the opcode of a group */
	uint8_t prefix_rep; /* F2, F3 or 0: the last one counts */
	bool operand_prefix;
	bool address_prefix;
	bool vex;
	bool override; /* a segment prefix: insn->segment is final */
	bool truncated;
};

/* The next byte, or 0 with .truncated set. */
static uint8_t take(struct decoder *d)
{
	if (d->at >= d->n_bytes) {
		d->truncated = true;
		return 0;
	}
	return d->bytes[d->at++];
}

static int64_t take_signed(struct decoder *d, unsigned n_bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n_bytes; i++)
		value |= (uint64_t)take(d) << (8 * i);
	if (n_bytes > 0 && n_bytes < 8 && value >> (8 * n_bytes - 1))
		value |= ~0ull << (8 * n_bytes);
	return (int64_t)value;
}

static void segment_prefix(struct decoder *d, enum x86_segment segment)
{
	/* In 64-bit mode ES, CS, SS and DS prefixes do nothing, not even end the effect of an FS or
	 * GS one. */
	if (d->size == X86_CODE_64 && segment < X86_SEG_FS)
		return;
	d->insn->segment = segment;
	d->override = true;
}

/* Take legacy prefixes and REX. A REX counts only directly before the opcode. Returns the opcode's
 * first byte. */
static uint8_t take_prefixes(struct decoder *d)
{
	for (;;) {
		uint8_t byte = take(d);

		if (d->truncated)
			return 0;
		if (d->size == X86_CODE_64 && (byte & 0xf0) == 0x40) {
			d->rex = byte;
			continue;
		}
		switch (byte) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			segment_prefix(d, (enum x86_segment)(byte >> 3 & 3));
			break;
		case 0x64:
		case 0x65:
			segment_prefix(d, (enum x86_segment)(byte - 0x60));
			break;
		case 0x66:
			d->operand_prefix = true;
			break;
		case 0x67:
			d->address_prefix = true;
			break;
		case 0xf0:
			d->insn->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			d->insn->rep = true;
			d->prefix_rep = byte;
			break;
		default:
			return byte;
		}
		d->rex = 0;
	}
}

/* C4 or C5: the rest of a VEX prefix and the opcode. SDM 2 "The VEX Prefix". */
static enum x86_decode_status take_vex(struct decoder *d, uint8_t first)
{
	uint8_t byte = take(d);
	uint8_t map = MAP_0F;

	d->vex = true;
	d->rex = byte & 0x80 ? 0 : REX_R;
	if (first == 0xc4) {
		map = byte & 0x1f;
		d->rex |= (uint8_t)((byte & 0x40 ? 0 : REX_X) | (byte & 0x20 ? 0 : REX_B));
		byte = take(d);
		d->rex |= byte & 0x80 ? REX_W : 0;
	}
	/* The prefix that VEX.pp stands for. */
	d->prefix_rep = (byte & 3) == 2 ? 0xf3 : (byte & 3) == 3 ? 0xf2 : 0;
	d->opcode = take(d);
	if (map < MAP_0F || map > MAP_0F3A)
		return X86_DECODE_UNKNOWN;
	d->map = (enum opcode_map)map;
	return X86_DECODE_OK;
}

/* Outside 64-bit mode C4 and C5 are LES and LDS if a memory operand follows. */
static bool is_vex(const struct decoder *d, uint8_t byte)
{
	if (byte != 0xc4 && byte != 0xc5)
		return false;
	return d->size == X86_CODE_64 || (d->at < d->n_bytes && d->bytes[d->at] >= 0xc0);
}

static enum x86_decode_status take_opcode(struct decoder *d)
{
	uint8_t byte = take_prefixes(d);

	if (is_vex(d, byte))
		return take_vex(d, byte);
	d->map = MAP_ONE_BYTE;
	if (byte == 0x0f) {
		d->map = MAP_0F;
		byte = take(d);
		if (byte == 0x38 || byte == 0x3a) {
			d->map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
			byte = take(d);
		}
	}
	d->opcode = byte;
	return X86_DECODE_OK;
}

static enum shape opcode_shape(const struct decoder *d)
{
	enum shape shape;

	switch (d->map) {
	case MAP_ONE_BYTE:
		shape = (enum shape)one_byte_shapes[d->opcode];
		break;
	case MAP_0F:
		shape = (enum shape)two_byte_shapes[d->opcode];
		break;
	case MAP_0F38:
		return SHAPE_MODRM;
	default:
		return SHAPE_MODRM_IMM8;
	}
	if (d->size == X86_CODE_64 &&
		(shape == SHAPE_NOT_64 || shape == SHAPE_IMM8_NOT_64 || shape == SHAPE_FAR))
		return SHAPE_UNKNOWN;
	return shape;
}

static void set_sizes(struct decoder *d)
{
	struct x86_insn *insn = d->insn;

	if (d->size == X86_CODE_64) {
		insn->operand_bytes = d->rex & REX_W ? 8 : d->operand_prefix ? 2 : 4;
		insn->address_bytes = d->address_prefix ? 4 : 8;
	} else {
		bool wide = d->size == X86_CODE_32;

		insn->operand_bytes = wide != d->operand_prefix ? 4 : 2;
		insn->address_bytes = wide != d->address_prefix ? 4 : 2;
	}
}

/* SDM 2 "16-Bit Addressing Forms with the ModR/M Byte". */
static void take_memory_16(struct decoder *d, uint8_t rm)
{
	static const int8_t bases[8] = {
		X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const int8_t indices[8] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI, X86_NO_REGISTER,
		X86_NO_REGISTER, X86_NO_REGISTER, X86_NO_REGISTER};
	struct x86_insn *insn = d->insn;
	bool bare = d->mod == 0 && rm == 6;

	insn->base = bare ? X86_NO_REGISTER : bases[rm];
	insn->index = indices[rm];
	insn->scale = 1;
	insn->displacement = take_signed(d, bare ? 2 : d->mod);
}

static void take_sib(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	uint8_t sib = take(d);
	uint8_t index = (uint8_t)((sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0));

	insn->base = (int8_t)((sib & 7) | (d->rex & REX_B ? 8 : 0));
	insn->index = index == X86_RSP ? X86_NO_REGISTER : (int8_t)index;
	insn->scale = (uint8_t)(1u << (sib >> 6));
	if ((sib & 7) == X86_RBP && d->mod == 0) {
		insn->base = X86_NO_REGISTER;
		insn->displacement = take_signed(d, 4);
	}
}

/* SDM 2 "32-Bit Addressing Forms with the ModR/M Byte", "RIP-Relative Addressing". */
static void take_memory_32(struct decoder *d, uint8_t rm)
{
	struct x86_insn *insn = d->insn;

	insn->index = X86_NO_REGISTER;
	insn->scale = 1;
	if (rm == X86_RSP) {
		take_sib(d);
	} else if (rm == X86_RBP && d->mod == 0) {
		insn->base = X86_NO_REGISTER;
		insn->rip_relative = d->size == X86_CODE_64;
		insn->displacement = take_signed(d, 4);
	} else {
		insn->base = (int8_t)(rm | (d->rex & REX_B ? 8 : 0));
	}
	if (d->mod == 1 || d->mod == 2)
		insn->displacement = take_signed(d, d->mod == 1 ? 1 : 4);
}

static void take_modrm(struct decoder *d, bool registers_only)
{
	struct x86_insn *insn = d->insn;
	uint8_t modrm = take(d);
	uint8_t rm = modrm & 7;

	d->mod = registers_only ? 3 : modrm >> 6;
	d->reg3 = modrm >> 3 & 7;
	insn->reg = (uint8_t)(d->reg3 | (d->rex & REX_R ? 8 : 0));
	insn->rm = (uint8_t)(rm | (d->rex & REX_B ? 8 : 0));
	if (d->mod == 3)
		return;
	insn->is_memory = true;
	if (insn->address_bytes == 2)
		take_memory_16(d, rm);
	else
		take_memory_32(d, rm);
	/* The stack segment is the default with a base of RSP or RBP. */
	if (!d->override && (insn->base == X86_RSP || insn->base == X86_RBP))
		insn->segment = X86_SEG_SS;
}

static void take_moffs(struct decoder *d)
{
	struct x86_insn *insn = d->insn;

	insn->is_memory = true;
	insn->base = X86_NO_REGISTER;
	insn->index = X86_NO_REGISTER;
	insn->displacement = take_signed(d, insn->address_bytes);
}

static bool has_modrm(enum shape shape)
{
	switch (shape) {
	case SHAPE_MODRM:
	case SHAPE_MODRM_IMM8:
	case SHAPE_MODRM_IMMZ:
	case SHAPE_MODRM_CR:
	case SHAPE_GROUP3_BYTE:
	case SHAPE_GROUP3:
	case SHAPE_POP:
		return true;
	default:
		return false;
	}
}

static unsigned immediate_bytes(const struct decoder *d, enum shape shape)
{
	unsigned z_bytes = d->insn->operand_bytes == 2 ? 2 : 4;

	switch (shape) {
	case SHAPE_IMM8:
	case SHAPE_IMM8_NOT_64:
	case SHAPE_MODRM_IMM8:
		return 1;
	case SHAPE_IMM16:
		return 2;
	case SHAPE_ENTER:
		return 3;
	case SHAPE_IMMZ:
	case SHAPE_MODRM_IMMZ:
		return z_bytes;
	case SHAPE_IMMV:
		return d->insn->operand_bytes;
	case SHAPE_FAR:
		return z_bytes + 2;
	case SHAPE_GROUP3_BYTE:
		return d->reg3 < 2 ? 1 : 0;
	case SHAPE_GROUP3:
		return d->reg3 < 2 ? z_bytes : 0;
	default:
		return 0;
	}
}

/* Everything after the opcode. */
static enum x86_decode_status take_operands(struct decoder *d, enum shape shape)
{
	if (shape == SHAPE_UNKNOWN || shape == SHAPE_PREFIX)
		return X86_DECODE_UNKNOWN;
	if (has_modrm(shape))
		take_modrm(d, shape == SHAPE_MODRM_CR);
	if (shape == SHAPE_POP && d->reg3)
		return X86_DECODE_UNKNOWN;
	if (shape == SHAPE_MOFFS)
		take_moffs(d);
	else
		d->insn->immediate = (uint64_t)take_signed(d, immediate_bytes(d, shape));
	return X86_DECODE_OK;
}

/* Opcodes whose ModRM.reg says what they do. */
static struct meaning group_meaning(const struct decoder *d)
{
	uint8_t byte = d->opcode & 1 ? 0 : 1;
	uint8_t reg = d->reg3;

	switch (d->opcode) {
	case 0x80:
	case 0x81:
	case 0x83:
		return (struct meaning){(uint8_t)(X86_OP_ADD + reg), X86_FORM_RM_IMM, byte, 0};
	case 0xc6:
	case 0xc7:
		if (reg == 0)
			return (struct meaning){X86_OP_MOV, X86_FORM_RM_IMM, byte, 0};
		break;
	case 0xf6:
	case 0xf7:
		if (reg < 2)
			return (struct meaning){X86_OP_TEST, X86_FORM_RM_IMM, byte, 0};
		if (reg < 4)
			return (struct meaning){
				reg == 2 ? X86_OP_NOT : X86_OP_NEG, X86_FORM_RM, byte, 0};
		break;
	case 0xfe:
	case 0xff:
		if (reg < 2)
			return (struct meaning){
				reg == 0 ? X86_OP_INC : X86_OP_DEC, X86_FORM_RM, byte, 0};
		break;
	default:
		break;
	}
	return (struct meaning){0};
}

/* 0F 01 with two registers: each ModRM is an instruction of its own, most without prefixes. */
static struct meaning modrm_meaning(const struct decoder *d)
{
	bool plain = !d->operand_prefix && !d->prefix_rep && !d->insn->lock;

	if (plain && d->reg3 == 5 && (d->insn->rm & 7) >= 6)
		return (struct meaning){
			(uint8_t)((d->insn->rm & 7) == 6 ? X86_OP_RDPKRU : X86_OP_WRPKRU),
			X86_FORM_NONE, 0, 0};
	return (struct meaning){0};
}

static struct meaning group_meaning_0f(const struct decoder *d)
{
	if (d->opcode == 0xba && d->reg3 >= 4)
		return (struct meaning){(uint8_t)(X86_OP_BT + d->reg3 - 4), X86_FORM_RM_IMM, 0, 0};
	if (d->opcode == 0x01 && d->reg3 == 4)
		return (struct meaning){
			X86_OP_SMSW, X86_FORM_RM, (uint8_t)(d->insn->is_memory ? 2 : 0), 0};
	if (d->opcode == 0x01 && d->reg3 == 6)
		return (struct meaning){X86_OP_LMSW, X86_FORM_RM, 2, 0};
	if (d->opcode == 0x01 && d->reg3 == 7 && d->insn->is_memory)
		return (struct meaning){X86_OP_INVLPG, X86_FORM_RM, 1, 0};
	if (d->opcode == 0x01 && !d->insn->is_memory)
		return modrm_meaning(d);
	return (struct meaning){0};
}

static struct meaning one_byte_meaning(const struct decoder *d)
{
	struct meaning m = one_byte_meanings[d->opcode];

	if (d->opcode < 0x40 && (d->opcode & 7) < 4) {
		m.op = (uint8_t)(X86_OP_ADD + (d->opcode >> 3));
		m.form = d->opcode & 2 ? X86_FORM_REG_RM : X86_FORM_RM_REG;
		m.operand_bytes = d->opcode & 1 ? 0 : 1;
		return m;
	}
	/* 63 is ARPL outside 64-bit mode. */
	if (d->opcode == 0x63 && d->size != X86_CODE_64)
		return (struct meaning){0};
	return m.op ? m : group_meaning(d);
}

static struct meaning two_byte_meaning(const struct decoder *d)
{
	struct meaning m = two_byte_meanings[d->opcode];

	/* F3 0F 7E is a load; stores to a register, and what VEX makes of general opcodes, are not
	 * described. */
	if (m.op == X86_OP_STORE &&
		(!d->insn->is_memory || (d->opcode == 0x7e && d->prefix_rep == 0xf3)))
		return (struct meaning){0};
	if (d->vex && m.op != X86_OP_STORE)
		return (struct meaning){0};
	return m.op ? m : d->vex ? m : group_meaning_0f(d);
}

static struct meaning three_byte_meaning(const struct decoder *d)
{
	if (d->opcode == 0x82 && d->operand_prefix && !d->prefix_rep && !d->vex &&
		d->insn->is_memory)
		return (struct meaning){X86_OP_INVPCID, X86_FORM_REG_RM, 0, 0};
	return (struct meaning){0};
}

static void set_meaning(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	struct meaning m = {0};

	if (d->map == MAP_ONE_BYTE)
		m = one_byte_meaning(d);
	else if (d->map == MAP_0F)
		m = two_byte_meaning(d);
	else if (d->map == MAP_0F38)
		m = three_byte_meaning(d);
	insn->op = (enum x86_op)m.op;
	insn->form = (enum x86_form)m.form;
	if (insn->op == X86_OP_STORE)
		insn->operand_bytes = 0;
	else if (insn->op == X86_OP_MOV_CR || insn->op == X86_OP_INVPCID)
		insn->operand_bytes = d->size == X86_CODE_64 ? 8 : 4;
	else if (m.operand_bytes)
		insn->operand_bytes = m.operand_bytes;
	insn->source_bytes = m.source_bytes ? m.source_bytes : insn->operand_bytes;
}

enum x86_decode_status x86_decode(
	struct x86_insn *insn, enum x86_code_size size, const uint8_t *bytes, size_t n_bytes)
{
	struct decoder d = {
		.insn = insn,
		.bytes = bytes,
		.n_bytes = n_bytes < X86_INSN_MAX ? n_bytes : X86_INSN_MAX,
		.size = size,
	};
	enum x86_decode_status status;

	*insn = (struct x86_insn){
		.base = X86_NO_REGISTER, .index = X86_NO_REGISTER, .segment = X86_SEG_DS};
	status = take_opcode(&d);
	set_sizes(&d);
	if (status == X86_DECODE_OK && !d.truncated)
		status = take_operands(&d, opcode_shape(&d));
	if (d.truncated)
		return n_bytes < X86_INSN_MAX ? X86_DECODE_TRUNCATED : X86_DECODE_TOO_LONG;
	if (status != X86_DECODE_OK)
		return status;
	insn->length = (uint8_t)d.at;
	insn->rex = (d.rex & 0xf0) == 0x40;
	set_meaning(&d);
	return X86_DECODE_OK;
}
