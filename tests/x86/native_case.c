/* SPDX-License-Identifier: MIT */
/*
 * Random native instructions: see native_case.h.
 */
#include "tests/x86/native_case.h"

#include <string.h>

#include "tests/x86/native_address.h"
#include "tests/x86/random.h"

#define REX_W 8u

/* Carry to direction, without the trap and interrupt flags; and ID. SDM 1 "EFLAGS Register". */
#define RANDOM_FLAGS 0x200cd5u
#define FIXED_FLAGS  0x202u

/* Prefixes of a case in the making. */
struct prefixes {
	bool operand_size;
	bool address_size;
	uint8_t bytes[8];
	unsigned n;
};

enum x86_code_size native_code_size(enum native_mode mode)
{
	return mode == NATIVE_64 ? X86_CODE_64 : mode == NATIVE_16 ? X86_CODE_16 : X86_CODE_32;
}

unsigned native_stack_bytes(const struct native_segments *segments)
{
	return segments->mode == NATIVE_64 ? 8 : segments->stack_is_32 ? 4 : 2;
}

bool native_is_locked(const struct native_case *test)
{
	return test->lock || (test->form->flags & FORM_ATOMIC);
}

bool native_crosses(const struct native_case *test, unsigned boundary)
{
	return test->has_memory && test->linear % boundary + test->memory_bytes > boundary;
}

/* A value, often one at which signs and carries change. */
static uint64_t any_value(uint64_t *seed)
{
	static const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
		0x80000000, 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX};

	switch (random_below(seed, 4)) {
	case 0:
		return edges[random_below(seed, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return random_below(seed, 128);
	default:
		return random_word(seed);
	}
}

static const struct native_form *choose_form(enum native_mode mode, uint64_t *seed)
{
	uint32_t unwanted = mode == NATIVE_64 ? FORM_NOT_64 : FORM_ONLY_64;
	const struct native_form *form;

	do
		form = &native_forms[random_below(seed, (unsigned)native_n_forms)];
	while (form->flags & unwanted);
	return form;
}

static void add_prefix(struct prefixes *prefixes, uint8_t prefix)
{
	prefixes->bytes[prefixes->n++] = prefix;
}

/* A segment that the operand can be in. Code segments cannot be written, GS is the glue's own in
 * 16- and 32-bit code; in 64-bit code ES, CS, SS and DS are prefixes without effect. */
static int choose_segment(
	const struct native_case *test, const struct native_segments *segments, uint64_t *seed)
{
	int segment = (int)random_below(seed, NATIVE_SEGMENTS);

	if (segments->mode == NATIVE_64)
		return segment < X86_SEG_FS || native_has_bases() ? segment : -1;
	if (segment == X86_SEG_GS)
		return -1;
	if (segment == X86_SEG_CS && (test->form->flags & FORM_WRITES))
		return -1;
	return segment;
}

/* The prefixes but REX. Returns the segment chosen, -1 for the default one. */
static int choose_prefixes(struct native_case *test, struct prefixes *prefixes,
	const struct native_segments *segments, uint64_t *seed)
{
	static const uint8_t of_segment[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	uint32_t flags = test->form->flags;
	int segment = -1;

	if (!(flags & FORM_32_UP) && random_one_in(seed, 3)) {
		prefixes->operand_size = true;
		add_prefix(prefixes, 0x66);
	}
	if (segments->mode != NATIVE_32_FLAT && random_one_in(seed, 4)) {
		prefixes->address_size = true;
		add_prefix(prefixes, 0x67);
	}
	if (test->has_memory && random_one_in(seed, 3))
		segment = choose_segment(test, segments, seed);
	if (segment >= 0)
		add_prefix(prefixes, of_segment[segment]);
	if ((flags & FORM_LOCK) && random_one_in(seed, 3)) {
		test->lock = true;
		add_prefix(prefixes, 0xf0);
	}
	if (!(flags & FORM_0F) && random_one_in(seed, 8))
		add_prefix(prefixes, random_one_in(seed, 2) ? 0xf2 : 0xf3);
	if (segments->mode != NATIVE_64)
		return segment;
	if (random_one_in(seed, 8))
		add_prefix(prefixes, of_segment[random_below(seed, X86_SEG_FS)]);
	return segment < X86_SEG_FS ? -1 : segment;
}

static void shuffle(struct prefixes *prefixes, uint64_t *seed)
{
	for (unsigned i = prefixes->n; i > 1; i--) {
		unsigned j = random_below(seed, i);
		uint8_t last = prefixes->bytes[i - 1];

		prefixes->bytes[i - 1] = prefixes->bytes[j];
		prefixes->bytes[j] = last;
	}
}

/* Operand and address size. SDM 1 "Operand-Size and Address-Size Attributes". */
static void set_sizes(
	struct native_case *test, const struct prefixes *prefixes, enum native_mode mode)
{
	uint32_t flags = test->form->flags;
	bool is_16 = (mode == NATIVE_16) != prefixes->operand_size;

	test->operand_bytes = is_16 ? 2 : 4;
	if ((test->rex & REX_W) || (mode == NATIVE_64 && (flags & FORM_PUSH) && !is_16))
		test->operand_bytes = 8;
	if ((flags & FORM_32_UP) && test->operand_bytes == 2)
		test->operand_bytes = 4;
	if (flags & FORM_BYTE)
		test->operand_bytes = 1;
	test->memory_bytes = test->form->memory_bytes ? test->form->memory_bytes
			     : flags & FORM_PAIR      ? (uint8_t)(2 * test->operand_bytes)
						      : test->operand_bytes;
	if (mode == NATIVE_64)
		test->address.n_bytes = prefixes->address_size ? 4 : 8;
	else
		test->address.n_bytes = (mode == NATIVE_16) != prefixes->address_size ? 2 : 4;
}

static unsigned immediate_bytes(const struct native_case *test)
{
	if (test->form->flags & FORM_IMM8)
		return 1;
	if (!(test->form->flags & FORM_IMM))
		return 0;
	return test->operand_bytes == 8 ? 4 : test->operand_bytes;
}

static void put(struct native_case *test, uint64_t value, unsigned n_bytes)
{
	memcpy(test->bytes + test->n_bytes, &value, n_bytes);
	test->n_bytes = (uint8_t)(test->n_bytes + n_bytes);
}

static void assemble(struct native_case *test, const struct prefixes *prefixes, uint8_t opcode,
	uint64_t immediate)
{
	const struct native_address *address = &test->address;
	uint32_t flags = test->form->flags;

	test->n_bytes = 0;
	for (unsigned i = 0; i < prefixes->n; i++)
		put(test, prefixes->bytes[i], 1);
	if (test->rex)
		put(test, test->rex, 1);
	if (flags & FORM_0F)
		put(test, 0x0f, 1);
	put(test, opcode, 1);
	if (!(flags & (FORM_MOFFS | FORM_NO_MODRM)))
		put(test, (uint64_t)(address->mod << 6 | (test->reg & 7) << 3 | address->rm), 1);
	if (address->has_sib)
		put(test, address->sib, 1);
	put(test, (uint64_t)address->displacement, address->displacement_bytes);
	put(test, immediate, immediate_bytes(test));
}

static void choose_registers(struct native_case *test, enum native_mode mode, uint64_t *seed)
{
	for (unsigned i = 0; i < X86_GPRS; i++) {
		test->state.gpr[i] = any_value(seed);
		if (mode != NATIVE_64)
			test->state.gpr[i] = i < 8 ? (uint32_t)test->state.gpr[i] : 0;
	}
	test->state.rflags = FIXED_FLAGS | (random_word(seed) & RANDOM_FLAGS);
}

static void choose_reg(struct native_case *test, uint64_t *seed)
{
	test->reg = (uint8_t)random_below(seed, 8);
	if (test->form->flags & FORM_GROUP)
		test->reg = test->form->extension;
	else if (test->form->flags & FORM_SREG)
		test->reg = (uint8_t)random_below(seed, NATIVE_SEGMENTS);
	else if (test->rex & 4)
		test->reg |= 8;
}

static uint64_t base_of(const struct native_segments *segments, enum x86_segment segment)
{
	return segments->mode == NATIVE_64 && segment < X86_SEG_FS ? 0 : segments->bases[segment];
}

/* A place for @n_bytes in the buffer, often across a page or a cache line, or at its very end. */
static uint64_t choose_place(unsigned n_bytes, uint64_t *seed)
{
	unsigned last = NATIVE_BUFFER_BYTES - n_bytes;
	unsigned at = random_below(seed, last + 1);

	switch (random_below(seed, 8)) {
	case 0:
		at = 4096 - random_below(seed, n_bytes + 1);
		break;
	case 1:
		at = (at | (NATIVE_LINE - 1)) - random_below(seed, n_bytes + 1);
		break;
	case 2:
		at = random_one_in(seed, 2) ? last : 0;
		break;
	case 3:
	case 4:
		at -= at % n_bytes;
		break;
	}
	return NATIVE_BUFFER + (at <= last ? at : last);
}

static bool is_in_buffer(uint64_t linear, unsigned n_bytes)
{
	return linear >= NATIVE_BUFFER && linear <= NATIVE_BUFFER + NATIVE_BUFFER_BYTES - n_bytes;
}

/* Make RSP point so that a PUSH stores into the buffer. The stack pointer's unused upper bits stay
 * as they are. */
static void aim_stack(
	struct native_case *test, const struct native_segments *segments, uint64_t *seed)
{
	unsigned stack_bytes = native_stack_bytes(segments);
	uint64_t mask = stack_bytes == 8 ? UINT64_MAX : (1ull << (8 * stack_bytes)) - 1;
	uint64_t *rsp = &test->state.gpr[X86_RSP];

	test->push_linear = choose_place(test->operand_bytes, seed);
	*rsp = (*rsp & ~mask) |
	       ((test->push_linear + test->operand_bytes - base_of(segments, X86_SEG_SS)) & mask);
}

/* Move the operand to a random place. False if it cannot be done, or if the place will not do. */
static bool aim_operand(struct native_case *test, const struct native_segments *segments,
	uint64_t *seed, bool may_split)
{
	uint64_t base = base_of(segments, test->address.segment);
	if (!native_aim(test, choose_place(test->memory_bytes, seed) - base))
		return false;
	test->linear = native_offset(test) + base;
	if (segments->mode != NATIVE_64)
		test->linear = (uint32_t)test->linear;
	if (!is_in_buffer(test->linear, test->memory_bytes))
		return false;
	if (test->memory_bytes == 16 && test->linear % 16 != 0)
		return false;
	if (native_is_locked(test) && native_crosses(test, NATIVE_LINE))
		return may_split && random_one_in(seed, 16);
	return true;
}

/* The operand's value; that of CMPXCHG and its like is often what they expect. */
static void choose_preset(struct native_case *test, uint64_t *seed)
{
	const uint64_t *gpr = test->state.gpr;
	uint64_t low = any_value(seed);
	uint64_t high = any_value(seed);

	if (test->form->op == X86_OP_CMPXCHG && random_one_in(seed, 2))
		low = gpr[X86_RAX];
	if (test->form->op == X86_OP_CMPXCHG_PAIR && !random_one_in(seed, 3)) {
		low = gpr[X86_RAX];
		high = gpr[X86_RDX];
		if (test->memory_bytes == 8)
			low = (low & 0xffffffff) | high << 32;
		if (random_one_in(seed, 4))
			low ^= 1ull << random_below(seed, 64);
	}
	memcpy(test->preset, &low, 8);
	memcpy(test->preset + 8, &high, 8);
}

/* Try to make a case. Not every choice has an address in the buffer. */
static bool try_make(struct native_case *test, const struct native_segments *segments,
	uint64_t *seed, bool may_split)
{
	struct prefixes prefixes = {0};
	const struct native_form *form = choose_form(segments->mode, seed);
	unsigned span = form->last_opcode ? form->last_opcode - form->opcode + 1u : 1;
	uint8_t opcode = (uint8_t)(form->opcode + random_below(seed, span));
	uint64_t immediate = any_value(seed);
	unsigned slot = test->slot;
	int segment;

	*test = (struct native_case){.form = form, .slot = slot};
	test->has_memory = !(form->flags & (FORM_NO_MODRM | FORM_REGISTER));
	segment = choose_prefixes(test, &prefixes, segments, seed);
	shuffle(&prefixes, seed);
	if (segments->mode == NATIVE_64 && random_one_in(seed, 2))
		test->rex = (uint8_t)(0x40 | random_below(seed, 16));
	if (form->flags & FORM_SREG)
		test->rex &= (uint8_t)~4u; /* there are no more than eight */
	set_sizes(test, &prefixes, segments->mode);
	choose_reg(test, seed);
	choose_registers(test, segments->mode, seed);
	if (form->flags & FORM_PUSH)
		aim_stack(test, segments, seed);
	if (test->has_memory)
		native_choose_address(test, segments->mode, seed);
	else
		test->address =
			(struct native_address){.mod = 3, .rm = (uint8_t)random_below(seed, 8)};
	if (segment >= 0)
		test->address.segment = (enum x86_segment)segment;
	assemble(test, &prefixes, opcode, immediate);
	if (test->n_bytes > X86_INSN_MAX)
		return false;
	if (test->has_memory && !aim_operand(test, segments, seed, may_split))
		return false;
	assemble(test, &prefixes, opcode, immediate);
	choose_preset(test, seed);
	return true;
}

void native_make(struct native_case *test, const struct native_segments *segments, unsigned slot,
	uint64_t seed, bool may_split)
{
	test->slot = slot;
	while (!try_make(test, segments, &seed, may_split))
		;
}
