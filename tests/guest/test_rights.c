/* SPDX-License-Identifier: MIT */
/* Rights: who may do what, by the entries on the path and the control bits; and the error codes. */
#include "tests/guest/guest.h"

/* INT TRAP_DONE twice: what pages hold, and what is written to them. */
#define INT_DONE 0x30cd30cdu

/* What the manual says of one access. SDM 3A "Access Rights", "Page-Fault Exceptions". */
struct situation {
	uint64_t leaf;  /* P, W, U and NX of the leaf entry */
	uint64_t upper; /* the same of one entry above it */
	bool wp, smep, smap, nxe;
};

static bool allowed(const struct situation *s, enum op op, enum who who)
{
	bool user_page = s->leaf & s->upper & X86_PTE_U;
	bool writable = s->leaf & s->upper & X86_PTE_W;
	bool no_execute = (s->leaf | s->upper) & X86_PTE_NX;

	if (op == OP_FETCH)
		return !no_execute && (who == USER ? user_page : !(user_page && s->smep));
	if (who == USER)
		return user_page && (writable || op == OP_READ);
	if (user_page && s->smap && who != KERNEL_AC)
		return false;
	return op == OP_READ || writable || !s->wp;
}

static uint32_t error_of(const struct situation *s, enum op op, enum who who)
{
	uint32_t error = who == USER ? X86_PF_U : 0;

	if (op == OP_WRITE)
		error |= X86_PF_W;
	/* I is told where fetches can be refused at all. */
	if (op == OP_FETCH && (s->nxe || s->smep))
		error |= X86_PF_I;
	if (s->leaf & s->upper & X86_PTE_P)
		error |= X86_PF_P;
	return error;
}

static void judge(const struct situation *s, word gva)
{
	static const enum op ops[] = {OP_READ, OP_WRITE, OP_FETCH};

	for (unsigned i = 0; i < 3; i++) {
		for (enum who who = KERNEL; who <= USER; who++) {
			struct outcome got = attempt(ops[i], who, gva, INT_DONE);

			given("op", ops[i]);
			given("who", who);
			if (allowed(s, ops[i], who) && (s->leaf & s->upper & X86_PTE_P))
				expect_done("access", got);
			else
				expect_fault("access", got, error_of(s, ops[i], who), gva);
		}
	}
}

/* Bits of the leaf: all rights together, present; and two of those that are not. */
#define N_LEAF 10u

static uint64_t leaf_bits(unsigned i)
{
	if (i >= 8)
		return i == 8 ? 0 : X86_PTE_W | X86_PTE_U;
	return X86_PTE_P | (i & 1 ? X86_PTE_W : 0) | (i & 2 ? X86_PTE_U : 0) |
	       (i & 4 ? X86_PTE_NX : 0);
}

/* Bits of an entry above: every right, and every right but one. */
static const uint64_t upper_bits[] = {PTE_ALL, PTE_ALL & ~X86_PTE_P, PTE_ALL & ~X86_PTE_W,
	PTE_ALL & ~X86_PTE_U, PTE_ALL | X86_PTE_NX};

#define N_UPPER (sizeof(upper_bits) / sizeof(*upper_bits))

static void set_controls(const struct situation *s)
{
	uint64_t cr0 = read_cr0() & ~X86_CR0_WP;
	uint64_t cr4 = read_cr4() & ~(X86_CR4_SMEP | X86_CR4_SMAP);

	write_cr0(s->wp ? cr0 | X86_CR0_WP : cr0);
	write_cr4(cr4 | (s->smep ? X86_CR4_SMEP : 0) | (s->smap ? X86_CR4_SMAP : 0));
	given("wp", s->wp);
	given("smep", s->smep);
	given("smap", s->smap);
}

/* {leaf bits} x {bits of the entry at @upper_level; 0: there is none} with @s's controls. */
static void all_bits(const struct path *path, unsigned upper_level, struct situation *s)
{
	uint64_t frame = path_get(path, path->leaf) & X86_PTE_FRAME;
	uint64_t table = upper_level ? path_get(path, upper_level) & X86_PTE_FRAME : 0;
	size_t n_upper = upper_level ? N_UPPER : 1;

	for (unsigned i = 0; i < N_LEAF * n_upper; i++) {
		s->leaf = leaf_bits(i % N_LEAF);
		s->upper = upper_bits[i / N_LEAF];
		if (!s->nxe && (s->leaf | s->upper) & X86_PTE_NX)
			continue;
		if (upper_level)
			path_set(path, upper_level, table | s->upper);
		path_set(path, path->leaf, frame | s->leaf | large_bit(path->leaf));
		invlpg(path->gva);
		given("leaf", s->leaf);
		given("upper", s->upper);
		judge(s, path->gva);
	}
	if (upper_level)
		path_set(path, upper_level, table | PTE_ALL);
}

/* All rights at one upper level, with {WP, SMEP, SMAP}. */
static void all_rights(unsigned leaf_level, unsigned upper_level)
{
	uint64_t frame = SPARE_BASE & ~(level_bytes(leaf_level) - 1);
	word gva = test_gva(0) + (word)(SPARE_BASE - frame);
	struct path path = path_make(gva, leaf_level, frame | PTE_ALL);

	memory_fill((void *)SPARE_BASE, INT_DONE, X86_PAGE_SIZE);
	given("leaf level", leaf_level);
	given("upper level", upper_level);
	for (unsigned control = 0; control < 8; control++) {
		struct situation s = {
			.wp = control & 1,
			.smep = control & 2,
			.smap = control & 4,
			.nxe = cpu.nx && mode->entry_bytes == 8,
		};

		if ((s.smep && !cpu.smep) || (s.smap && !cpu.smap))
			continue;
		set_controls(&s);
		all_bits(&path, upper_level, &s);
	}
	/* Leaves of other levels need other tables. */
	path_set(&path, mode->level_max, 0);
	flush_all();
}

static void rights_of_small_pages(void)
{
	for (unsigned upper = 2; upper <= mode->level_max; upper++)
		all_rights(1, upper);
}

static void rights_of_large_pages(void)
{
	for (unsigned leaf = 2; leaf <= mode->levels; leaf++) {
		if (!level_has_leaf(leaf))
			continue;
		all_rights(leaf, leaf < mode->level_max ? leaf + 1 : 0);
	}
}

static const struct test tests[] = {
	{.name = "rights_large", .modes = IN_PAGED, .run = rights_of_large_pages},
	{.name = "rights", .modes = IN_PAGED, .run = rights_of_small_pages},
};
GROUP(group_rights, tests);
