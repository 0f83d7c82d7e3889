/* SPDX-License-Identifier: MIT */
/*
 * Addressing forms: see native_address.h.
 */
#include "tests/x86/native_address.h"

#include "tests/x86/random.h"

/* Rounds of correction until an operand is where it should be. More than one is needed where a
 * register is used twice. */
#define AIM_ROUNDS 24

static uint64_t mask_of(unsigned n_bytes)
{
	return n_bytes >= 8 ? UINT64_MAX : (1ull << (8 * n_bytes)) - 1;
}

static int64_t sign_extend(uint64_t value, unsigned n_bytes)
{
	unsigned shift = 64 - 8 * n_bytes;

	return (int64_t)(value << shift) >> shift;
}

static unsigned rex_bit(const struct native_case *test, unsigned bit)
{
	return test->rex & bit ? 8 : 0;
}

/* Bytes of memory from the operand's address to the word that holds the bit. SDM 2 "BT--Bit Test":
 * the offset is signed. */
static int64_t bit_displacement(const struct native_case *test)
{
	int64_t bit;

	if (!(test->form->flags & FORM_BIT_REG))
		return 0;
	bit = sign_extend(test->state.gpr[test->reg], test->operand_bytes);
	return (bit >> (test->operand_bytes == 8          ? 6
			       : test->operand_bytes == 4 ? 5
							  : 4)) *
	       test->operand_bytes;
}

uint64_t native_offset(const struct native_case *test)
{
	const struct native_address *address = &test->address;
	uint64_t offset = (uint64_t)address->displacement + (uint64_t)bit_displacement(test);

	if (address->rip_relative)
		offset += native_slot(test->slot) + test->n_bytes;
	if (address->base != X86_NO_REGISTER)
		offset += test->state.gpr[address->base];
	if (address->index != X86_NO_REGISTER)
		offset += test->state.gpr[address->index] * address->scale;
	return offset & mask_of(address->n_bytes);
}

/* Is the base BP or SP, so that the segment is SS? SDM 1 "Specifying a Segment Selector". */
static bool is_stack_base(int base)
{
	return base == X86_RSP || base == X86_RBP;
}

static void choose_16(struct native_address *address)
{
	static const int8_t bases[] = {
		X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const int8_t indexes[] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI, X86_NO_REGISTER,
		X86_NO_REGISTER, X86_NO_REGISTER, X86_NO_REGISTER};

	address->base = bases[address->rm];
	address->index = indexes[address->rm];
	address->displacement_bytes = address->mod;
	if (address->mod == 0 && address->rm == 6) {
		address->base = X86_NO_REGISTER;
		address->displacement_bytes = 2;
	}
}

static void choose_sib(struct native_case *test, uint64_t *seed)
{
	struct native_address *address = &test->address;
	unsigned index;

	address->has_sib = true;
	address->sib = (uint8_t)random_word(seed);
	address->scale = (uint8_t)(1u << (address->sib >> 6));
	index = (address->sib >> 3 & 7) | rex_bit(test, 2);
	address->index = index == 4 ? X86_NO_REGISTER : (int)index;
	address->base = (int)((address->sib & 7) | rex_bit(test, 1));
	if ((address->sib & 7) == 5 && address->mod == 0) {
		address->base = X86_NO_REGISTER;
		address->displacement_bytes = 4;
	}
}

static void choose_32(struct native_case *test, enum native_mode mode, uint64_t *seed)
{
	struct native_address *address = &test->address;

	address->displacement_bytes = address->mod == 2 ? 4 : address->mod;
	if (address->rm == 4) {
		choose_sib(test, seed);
	} else if (address->rm == 5 && address->mod == 0) {
		address->rip_relative = mode == NATIVE_64;
		address->displacement_bytes = 4;
	} else {
		address->base = (int)(address->rm | rex_bit(test, 1));
	}
}

void native_choose_address(struct native_case *test, enum native_mode mode, uint64_t *seed)
{
	struct native_address *address = &test->address;

	address->base = X86_NO_REGISTER;
	address->index = X86_NO_REGISTER;
	address->scale = 1;
	address->mod = (uint8_t)random_below(seed, 3);
	address->rm = (uint8_t)random_below(seed, 8);
	if (test->form->flags & FORM_MOFFS)
		address->displacement_bytes = address->n_bytes;
	else if (address->n_bytes == 2)
		choose_16(address);
	else
		choose_32(test, mode, seed);
	address->segment = is_stack_base(address->base) ? X86_SEG_SS : X86_SEG_DS;
	if (address->displacement_bytes != 0)
		address->displacement = sign_extend(random_word(seed), address->displacement_bytes);
}

/* Add @delta to the address bits of a register. */
static void move_register(struct native_case *test, int number, int64_t delta)
{
	uint64_t mask = mask_of(test->address.n_bytes);
	uint64_t *gpr = &test->state.gpr[number];

	*gpr = (*gpr & ~mask) | ((*gpr + (uint64_t)delta) & mask);
}

static bool is_free(const struct native_case *test, int number)
{
	return number != X86_NO_REGISTER && !(number == X86_RSP && (test->form->flags & FORM_PUSH));
}

static bool move_displacement(struct native_case *test, int64_t delta)
{
	struct native_address *address = &test->address;
	int64_t displacement = (int64_t)((uint64_t)address->displacement + (uint64_t)delta);

	if (address->displacement_bytes < 2)
		return false;
	if (address->displacement_bytes < address->n_bytes &&
		sign_extend((uint64_t)displacement, address->displacement_bytes) != displacement)
		return false;
	address->displacement = sign_extend((uint64_t)displacement, address->displacement_bytes);
	return true;
}

static bool move(struct native_case *test, int64_t delta)
{
	const struct native_address *address = &test->address;

	if (is_free(test, address->base)) {
		if (address->base == address->index)
			delta /= address->scale + 1;
		move_register(test, address->base, delta);
		return true;
	}
	if (is_free(test, address->index)) {
		move_register(test, address->index, delta / address->scale);
		return true;
	}
	return move_displacement(test, delta);
}

bool native_aim(struct native_case *test, uint64_t offset)
{
	unsigned n_bytes = test->address.n_bytes;

	for (unsigned i = 0; i < AIM_ROUNDS; i++) {
		int64_t delta =
			sign_extend((offset - native_offset(test)) & mask_of(n_bytes), n_bytes);

		if (delta == 0)
			return true;
		if (!move(test, delta))
			return false;
	}
	return true;
}
