/* SPDX-License-Identifier: MIT */
/*
 * The decoder: prefixes, opcode, ModRM/SIB/displacement, immediate, in that order, driven by the
 * tables of opcodes.h. Must not know why anybody asks.
 *
 * It is part of what each emulated store costs. So what common instructions have comes first and is
 * inline, what they do not have is behind a test.
 */
#include "x86/decode.h"
#include "x86/opcodes.h"

#define INLINE   static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

#define unlikely(x) __builtin_expect(!!(x), 0)

/* What is taken before the decoder sees that it is too much: 15 prefixes, then at most an opcode of
 * four bytes (with a VEX), ModRM, SIB, and displacement and immediate of four each, or one of them
 * of eight. */
#define WINDOW 32u

_Static_assert(WINDOW >= X86_INSN_MAX + 4 + 2 + 8, "what is taken is in the window");

/* All but the window stays in registers if no function that is not inline gets its address. */
struct decoder {
	const uint8_t *window; /* the bytes, then zeroes: what is taken is there */
	size_t at;             /* beyond the bytes at the end: something was missing */
	const struct meaning *meaning;
	enum x86_code_size size;
	uint32_t prefixes;
	uint8_t opcode;
	uint8_t modrm;
};

INLINE void fill(uint8_t window[WINDOW], const uint8_t *bytes, size_t n_bytes)
{
	__builtin_memset(window, 0, WINDOW);
	if (n_bytes >= 8) {
		/* Which overlap. */
		__builtin_memcpy(window, bytes, 8);
		__builtin_memcpy(&window[n_bytes - 8], &bytes[n_bytes - 8], 8);
		return;
	}
	for (size_t i = 0; i < n_bytes; i++)
		window[i] = bytes[i];
}

INLINE uint8_t take(struct decoder *d)
{
	return d->window[d->at++];
}

INLINE uint32_t take_4(struct decoder *d)
{
	const uint8_t *from = &d->window[d->at];

	d->at += 4;
	return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

INLINE int64_t take_signed_1(struct decoder *d)
{
	return (int8_t)take(d);
}

INLINE int64_t take_signed_4(struct decoder *d)
{
	return (int32_t)take_4(d);
}

/* @n_bytes: 1, 2, 4 or 8. */
INLINE int64_t take_signed(struct decoder *d, unsigned n_bytes)
{
	uint64_t low;

	if (n_bytes == 1)
		return take_signed_1(d);
	if (n_bytes == 4)
		return take_signed_4(d);
	if (n_bytes == 2) {
		low = take(d);
		return (int16_t)(low | (uint64_t)take(d) << 8);
	}
	low = take_4(d);
	return (int64_t)(low | (uint64_t)take_4(d) << 32);
}

/* ModRM.reg without REX: the opcode of a group. */
INLINE uint8_t reg_of(const struct decoder *d)
{
	return d->modrm >> 3 & 7;
}

/* ---- prefixes and opcode ---- */

static uint32_t segment_prefix(uint32_t prefixes, enum x86_code_size size, enum x86_segment segment)
{
	/* In 64-bit mode ES, CS, SS and DS prefixes do nothing, not even end the effect of an FS or
	 * GS one. */
	if (size == X86_CODE_64 && segment < X86_SEG_FS)
		return prefixes;
	return (prefixes & ~(SEGMENT_MASK << SEGMENT_SHIFT)) | PREFIX_SEGMENT |
	       (uint32_t)segment << SEGMENT_SHIFT;
}

/* @prefixes, and @byte, which is one too. A REX before it does not count. */
NOINLINE uint32_t with_prefix(uint32_t prefixes, enum x86_code_size size, uint8_t byte)
{
	prefixes &= ~PREFIX_ANY_REX;
	switch (byte) {
	case 0x64:
	case 0x65:
		return segment_prefix(prefixes, size, (enum x86_segment)(byte - 0x60));
	case 0x66:
		return prefixes | PREFIX_OPERAND;
	case 0x67:
		return prefixes | PREFIX_ADDRESS;
	case 0xf0:
		return prefixes | PREFIX_LOCK;
	case 0xf2:
		return (prefixes & ~PREFIX_F3) | PREFIX_F2;
	case 0xf3:
		return (prefixes & ~PREFIX_F2) | PREFIX_F3;
	default:
		return segment_prefix(prefixes, size, (enum x86_segment)(byte >> 3 & 3));
	}
}

/* 0F: the other maps. */
INLINE enum shape take_escaped(struct decoder *d)
{
	enum shape shape;

	d->opcode = take(d);
	d->meaning = &two_byte_meanings[d->opcode];
	shape = (enum shape)two_byte_shapes[d->opcode];
	if (unlikely(shape == SHAPE_ESCAPE)) {
		shape = d->opcode == 0x38 ? SHAPE_MODRM : SHAPE_MODRM_IMM8;
		d->opcode = take(d);
		d->meaning =
			shape == SHAPE_MODRM && d->opcode == 0x82 ? &invpcid_meaning : &no_meaning;
	}
	return shape;
}

/* C4 or C5: the rest of a VEX prefix and the opcode. SDM 2 "The VEX Prefix". */
INLINE enum shape take_vex(struct decoder *d)
{
	/* The prefix that VEX.pp stands for. */
	static const uint32_t implied[4] = {0, PREFIX_OPERAND, PREFIX_F3, PREFIX_F2};
	bool three_bytes = d->opcode == 0xc4;
	uint8_t byte = take(d);
	uint32_t rex =
		~(uint32_t)byte >> 5 & (three_bytes ? PREFIX_R | PREFIX_X | PREFIX_B : PREFIX_R);
	uint8_t map = 1;

	if (three_bytes) {
		map = byte & 0x1f;
		byte = take(d);
		rex |= (uint32_t)byte >> 4 & PREFIX_W;
	}
	/* There are eight registers outside 64-bit mode. */
	d->prefixes |= PREFIX_VEX | implied[byte & 3] | (byte & 4 ? PREFIX_VEX_L : 0) |
		       (d->size == X86_CODE_64 ? rex : 0);
	d->opcode = take(d);
	/* Of general instructions VEX makes others. */
	d->meaning = &no_meaning;
	if (map == 1 && two_byte_meanings[d->opcode].op == X86_OP_STORE)
		d->meaning = &two_byte_meanings[d->opcode];
	switch (map) {
	case 1:
		return (enum shape)two_byte_shapes[d->opcode];
	case 2:
		return SHAPE_MODRM;
	case 3:
		return SHAPE_MODRM_IMM8;
	default:
		return SHAPE_UNKNOWN;
	}
}

/* Outside 64-bit mode C4 and C5 are LES and LDS if a memory operand follows. */
INLINE bool is_vex(const struct decoder *d)
{
	return d->size == X86_CODE_64 || d->window[d->at] >= 0xc0;
}

/* Prefixes and opcode. A REX counts only directly before the opcode. */
INLINE enum shape take_opcode(struct decoder *d)
{
	enum shape shape;

	for (;;) {
		d->opcode = take(d);
		shape = (enum shape)one_byte_shapes[d->opcode];
		if (shape > SHAPE_REX)
			break;
		if (shape == SHAPE_PREFIX)
			d->prefixes = with_prefix(d->prefixes, d->size, d->opcode);
		else if (d->size == X86_CODE_64)
			d->prefixes = (d->prefixes & ~PREFIX_ANY_REX) | d->opcode;
		else
			break;
	}
	if (shape == SHAPE_ESCAPE)
		return take_escaped(d);
	d->meaning = &one_byte_meanings[d->opcode];
	if (unlikely(shape == SHAPE_VEX) && is_vex(d))
		return take_vex(d);
	return shape;
}

/* What prefixes alone decide. */
INLINE void apply_prefixes(const struct decoder *d, struct x86_insn *insn)
{
	unsigned sizes = d->prefixes >> SIZES_SHIFT & (SIZES - 1);

	insn->operand_bytes = operand_sizes[d->size][sizes];
	insn->address_bytes = address_sizes[d->size][sizes];
	insn->rex = d->prefixes & PREFIX_REX;
	if (d->prefixes & PREFIX_LEGACY) {
		insn->lock = d->prefixes & PREFIX_LOCK;
		insn->rep = d->prefixes & (PREFIX_F2 | PREFIX_F3) && !(d->prefixes & PREFIX_VEX);
		if (d->prefixes & PREFIX_SEGMENT)
			insn->segment =
				(enum x86_segment)(d->prefixes >> SEGMENT_SHIFT & SEGMENT_MASK);
	}
}

/* ---- operands ---- */

/* The stack segment is the default with a base of RSP or RBP. */
INLINE void set_base(const struct decoder *d, struct x86_insn *insn, uint8_t base)
{
	insn->base = (int8_t)base;
	if ((base == X86_RSP || base == X86_RBP) && !(d->prefixes & PREFIX_SEGMENT))
		insn->segment = X86_SEG_SS;
}

/* SDM 2 "16-Bit Addressing Forms with the ModR/M Byte". */
INLINE void take_memory_16(struct decoder *d, struct x86_insn *insn)
{
	static const uint8_t bases[8] = {
		X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const int8_t indices[8] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI, X86_NO_REGISTER,
		X86_NO_REGISTER, X86_NO_REGISTER, X86_NO_REGISTER};
	uint8_t mod = d->modrm >> 6;
	uint8_t rm = d->modrm & 7;

	if (mod == 0 && rm == 6) {
		insn->displacement = take_signed(d, 2);
		return;
	}
	set_base(d, insn, bases[rm]);
	insn->index = indices[rm];
	if (mod == 1)
		insn->displacement = take_signed(d, 1);
	else if (mod == 2)
		insn->displacement = take_signed(d, 2);
}

/* Returns the base's lower bits. */
INLINE uint8_t take_sib(struct decoder *d, struct x86_insn *insn)
{
	uint8_t sib = take(d);
	uint8_t index = (uint8_t)((sib >> 3 & 7) | (d->prefixes & PREFIX_X) << 2);

	if (index != X86_RSP)
		insn->index = (int8_t)index;
	insn->scale = (uint8_t)(1u << (sib >> 6));
	return sib & 7;
}

/* SDM 2 "32-Bit Addressing Forms with the ModR/M Byte", "RIP-Relative Addressing". */
INLINE void take_memory_32(struct decoder *d, struct x86_insn *insn)
{
	uint8_t mod = d->modrm >> 6;
	uint8_t rm = d->modrm & 7;
	uint8_t base = rm == X86_RSP ? take_sib(d, insn) : rm;

	if (mod == 0 && base == X86_RBP) {
		insn->rip_relative = rm == X86_RBP && d->size == X86_CODE_64;
		insn->displacement = take_signed_4(d);
		return;
	}
	set_base(d, insn, (uint8_t)(base | (d->prefixes & PREFIX_B) << 3));
	if (mod != 0)
		insn->displacement = mod == 1 ? take_signed_1(d) : take_signed_4(d);
}

INLINE void take_modrm(struct decoder *d, struct x86_insn *insn)
{
	d->modrm = take(d);
	insn->reg = (uint8_t)(reg_of(d) | (d->prefixes & PREFIX_R) << 1);
	insn->rm = (uint8_t)((d->modrm & 7) | (d->prefixes & PREFIX_B) << 3);
	insn->is_memory = d->modrm < 0xc0;
}

INLINE void take_memory(struct decoder *d, struct x86_insn *insn)
{
	if (unlikely(insn->address_bytes == 2))
		take_memory_16(d, insn);
	else
		take_memory_32(d, insn);
}

/* Of shapes that have an immediate which counts; else 0. */
INLINE unsigned immediate_bytes(const struct decoder *d, unsigned operand_bytes, enum shape shape)
{
	unsigned z_bytes = operand_bytes == 2 ? 2 : 4;

	switch (shape) {
	case SHAPE_MODRM_IMM8:
	case SHAPE_MODRM_IMM8_NOT_64:
	case SHAPE_IMM8:
	case SHAPE_IMM8_NOT_64:
		return 1;
	case SHAPE_MODRM_IMMZ:
	case SHAPE_IMMZ:
		return z_bytes;
	case SHAPE_GROUP3_BYTE:
		return reg_of(d) < 2 ? 1 : 0;
	case SHAPE_GROUP3:
		return reg_of(d) < 2 ? z_bytes : 0;
	case SHAPE_IMMV:
		return operand_bytes;
	case SHAPE_IMM16:
		return 2;
	default:
		return 0;
	}
}

/* What only a few have. Returns false if there is no such instruction. */
INLINE bool take_rest(struct decoder *d, struct x86_insn *insn, enum shape shape)
{
	bool in_64 = d->size == X86_CODE_64;

	switch (shape) {
	case SHAPE_REGISTERS:
		take_modrm(d, insn);
		insn->is_memory = false;
		return true;
	case SHAPE_MOFFS:
		insn->is_memory = true;
		insn->displacement = take_signed(d, insn->address_bytes);
		return true;
	case SHAPE_ENTER:
		d->at += 3;
		return true;
	case SHAPE_SSE4A:
		d->at += d->prefixes & (PREFIX_OPERAND | PREFIX_F2) ? 2 : 0;
		return true;
	case SHAPE_FAR:
		d->at += insn->operand_bytes == 2 ? 4 : 6;
		return !in_64;
	case SHAPE_NOT_64:
	case SHAPE_IMM8_NOT_64:
	case SHAPE_MODRM_IMM8_NOT_64:
		return !in_64;
	case SHAPE_BOUND:
		return !in_64 && insn->is_memory;
	case SHAPE_POP:
		return reg_of(d) == 0;
	case SHAPE_UNKNOWN:
	case SHAPE_ESCAPE: /* behind a VEX */
		return false;
	default:
		return true;
	}
}

/* What follows opcode and ModRM. Returns false if there is no such instruction. */
INLINE bool take_immediate(struct decoder *d, struct x86_insn *insn, enum shape shape)
{
	unsigned n_bytes = immediate_bytes(d, insn->operand_bytes, shape);

	if (n_bytes)
		insn->immediate = (uint64_t)take_signed(d, n_bytes);
	return take_rest(d, insn, shape);
}

/* ---- meaning ---- */

static void set_width(struct x86_insn *insn, unsigned n_bytes)
{
	insn->operand_bytes = (uint8_t)n_bytes;
	insn->source_bytes = (uint8_t)n_bytes;
}

/* PUSH: its operand size, and the operand that is in the opcode. */
static void look_at_push(
	struct x86_insn *insn, enum x86_code_size size, uint32_t prefixes, uint8_t opcode)
{
	/* SDM 2 "PUSH": there is no 32-bit one in 64-bit mode. */
	if (size == X86_CODE_64 && insn->operand_bytes == 4)
		set_width(insn, 8);
	if (insn->form == X86_FORM_REG)
		insn->reg = (uint8_t)((opcode & 7) | (prefixes & PREFIX_B) << 3);
	else if (insn->form == X86_FORM_SREG)
		insn->reg = opcode >> 3 & 7;
}

/* MOV from a segment register, or MOVNTI, which has no 16-bit form. */
static void look_at_mov(struct x86_insn *insn, uint32_t prefixes)
{
	if (insn->form == X86_FORM_RM_REG) {
		set_width(insn, prefixes & PREFIX_W ? 8 : 4);
		return;
	}
	insn->reg &= 7;
	if (insn->is_memory)
		set_width(insn, 2);
}

/* Returns false for ARPL, which 63 is outside 64-bit mode. */
static bool look_at_extension(struct x86_insn *insn, enum x86_code_size size, uint8_t opcode)
{
	if (opcode != 0x63) {
		insn->source_bytes = opcode & 1 ? 2 : 1;
		return true;
	}
	insn->source_bytes = 4;
	return size == X86_CODE_64;
}

/* 0F 01 5: RDPKRU or WRPKRU, if anything that we know. Returns false if not. */
static bool look_at_pkru(struct x86_insn *insn, uint32_t prefixes)
{
	uint8_t rm = insn->rm & 7;

	insn->op = rm == 6 ? X86_OP_RDPKRU : X86_OP_WRPKRU;
	insn->form = X86_FORM_NONE;
	return rm >= 6 && !insn->is_memory &&
	       !(prefixes & (PREFIX_OPERAND | PREFIX_F2 | PREFIX_F3 | PREFIX_LOCK));
}

/* INVPCID has a 66. */
static bool look_at_invpcid(struct x86_insn *insn, enum x86_code_size size, uint32_t prefixes)
{
	if (!insn->is_memory || !(prefixes & PREFIX_OPERAND) || prefixes & (PREFIX_F2 | PREFIX_F3))
		return false;
	set_width(insn, size == X86_CODE_64 ? 8 : 4);
	return true;
}

/* Stores of vector registers. Returns false for F3 0F 7E, which is a load. */
static bool look_at_store(struct x86_insn *insn, uint32_t prefixes, uint8_t opcode)
{
	const struct vector_store *store = vector_stores;
	unsigned n_bytes;

	while (store->opcode != opcode)
		store++;
	if (prefixes & PREFIX_F3)
		n_bytes = store->f3_bytes;
	else if (prefixes & PREFIX_F2)
		n_bytes = store->f2_bytes;
	else
		n_bytes = prefixes & PREFIX_OPERAND ? store->operand_bytes : store->plain_bytes;
	insn->stored = X86_STORED_XMM;
	if (opcode == 0x17) {
		insn->stored = X86_STORED_XMM_HIGH;
	} else if (store->mmx && !(prefixes & (PREFIX_OPERAND | PREFIX_F2 | PREFIX_F3))) {
		insn->stored = X86_STORED_MMX;
		insn->reg &= 7;
	}
	if (n_bytes == 16 && prefixes & PREFIX_VEX_L)
		n_bytes = 32;
	if (n_bytes == 4 && opcode == 0x7e && prefixes & PREFIX_W)
		n_bytes = 8;
	if (n_bytes)
		set_width(insn, n_bytes);
	return n_bytes != 0;
}

/* Operations about which more than the opcode counts. Returns false if it is none of them. */
NOINLINE bool look_closer(
	struct x86_insn *insn, enum x86_code_size size, uint32_t prefixes, uint8_t opcode)
{
	switch (insn->op) {
	case X86_OP_PUSH:
		look_at_push(insn, size, prefixes, opcode);
		return true;
	case X86_OP_SETCC:
		insn->condition = opcode & 0xf;
		return true;
	case X86_OP_MOV:
		look_at_mov(insn, prefixes);
		return true;
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
		return look_at_extension(insn, size, opcode);
	case X86_OP_CMPXCHG_PAIR:
		set_width(insn, prefixes & PREFIX_W ? 16 : 8);
		return insn->is_memory;
	case X86_OP_STORE:
		return insn->is_memory && look_at_store(insn, prefixes, opcode);
	case X86_OP_MOV_CR:
		set_width(insn, size == X86_CODE_64 ? 8 : 4);
		return true;
	case X86_OP_INVPCID:
		return look_at_invpcid(insn, size, prefixes);
	case X86_OP_SMSW:
		if (insn->is_memory)
			set_width(insn, 2);
		return true;
	case X86_OP_LMSW:
		set_width(insn, 2);
		return true;
	case X86_OP_INVLPG:
		if (!insn->is_memory)
			return false;
		set_width(insn, 1);
		return true;
	case X86_OP_RDPKRU:
		return look_at_pkru(insn, prefixes);
	default: /* group 2, by one */
		insn->immediate = 1;
		return true;
	}
}

/* What the table says about it. */
INLINE void set_meaning(const struct decoder *d, struct x86_insn *insn)
{
	struct meaning m = *d->meaning;

	if (m.op >= GROUP_1) {
		struct member member = groups[m.op - GROUP_1][reg_of(d)];

		m.op = member.op;
		if (member.form)
			m.form = (uint8_t)(member.form | (m.form & LOOK));
		if (!member.op)
			m.form = X86_FORM_NONE;
	}
	insn->op = (enum x86_op)m.op;
	insn->form = (enum x86_form)(m.form & ~LOOK);
	if (m.operand_bytes)
		insn->operand_bytes = m.operand_bytes;
	insn->source_bytes = insn->operand_bytes;
	if (m.form & LOOK && !look_closer(insn, d->size, d->prefixes, d->opcode)) {
		insn->op = X86_OP_OTHER;
		insn->form = X86_FORM_NONE;
		insn->stored = X86_STORED_NOTHING;
	}
}

/* The instruction that has nothing. Field by field: a compiler may make a loop of more. */
INLINE void clear(struct x86_insn *insn)
{
	insn->segment = X86_SEG_DS;
	insn->lock = false;
	insn->rep = false;
	insn->condition = 0;
	insn->stored = X86_STORED_NOTHING;
	insn->reg = 0;
	insn->rm = 0;
	insn->is_memory = false;
	insn->rip_relative = false;
	insn->base = X86_NO_REGISTER;
	insn->index = X86_NO_REGISTER;
	insn->scale = 1;
	insn->rex = false;
	insn->displacement = 0;
	insn->immediate = 0;
}

enum x86_decode_status x86_decode(
	struct x86_insn *insn, enum x86_code_size size, const uint8_t *bytes, size_t n_bytes)
{
	uint8_t window[WINDOW];
	struct decoder d = {.window = window, .size = size};
	size_t n_used = n_bytes < X86_INSN_MAX ? n_bytes : X86_INSN_MAX;
	enum shape shape;
	bool known;

	fill(window, bytes, n_used);
	clear(insn);
	shape = take_opcode(&d);
	apply_prefixes(&d, insn);
	if (!(shape & SHAPE_NO_MODRM)) {
		take_modrm(&d, insn);
		if (insn->is_memory)
			take_memory(&d, insn);
	}
	known = shape == SHAPE_MODRM || take_immediate(&d, insn, shape);
	if (unlikely(d.at > n_used))
		return n_bytes < X86_INSN_MAX ? X86_DECODE_TRUNCATED : X86_DECODE_TOO_LONG;
	if (unlikely(!known))
		return X86_DECODE_UNKNOWN;
	insn->length = (uint8_t)d.at;
	set_meaning(&d, insn);
	return X86_DECODE_OK;
}
