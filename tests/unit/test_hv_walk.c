/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's two walks: of the guest's tables, against the lab's reference walker, and of
 * shadow tables, which are built here by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "hv/vm/shadow_walk.h"
#include "hv/vm/walk.h"
#include "lab/oracle.h"
#include "tests/unit/hv_fake.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Guest-physical memory from 0 on, in which every frame may be a table. */
#define N_FRAMES  8u
#define RAM_BYTES (N_FRAMES * X86_PAGE_SIZE)

void *memory_ram(const struct vm *vm, umbra_gpa gpa)
{
	(void)vm;
	return gpa < RAM_BYTES ? phys_to_virt(gpa) : NULL;
}

static int map_memory(void **state)
{
	void *ram = mmap((void *)(uintptr_t)DIRECT_MAP, RAM_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	(void)state;
	return ram == MAP_FAILED ? -1 : 0;
}

/* ---- the guest's tables ---- */

static uint64_t read_memory(void *context, uint64_t gpa, unsigned n_bytes)
{
	uint64_t value = 0;

	(void)context;
	if (gpa >= RAM_BYTES)
		return ~0ull;
	memcpy(&value, phys_to_virt(gpa), n_bytes);
	return value;
}

struct mode {
	const char *name;
	uint64_t cr4;
	uint64_t efer;
	unsigned entry_bytes;
};

static const struct mode modes[] = {
	{"2-level", 0, 0, 4},
	{"2-level with PSE", X86_CR4_PSE, 0, 4},
	{"PAE", X86_CR4_PAE, 0, 8},
	{"4-level", X86_CR4_PAE, X86_EFER_LME | X86_EFER_LMA, 8},
	{"5-level", X86_CR4_PAE | X86_CR4_LA57, X86_EFER_LME | X86_EFER_LMA, 8},
};

static uint64_t random_64(void)
{
	return (uint64_t)fake_random() << 32 | fake_random();
}

/* An entry that is mostly present, mostly leads to RAM, and sometimes is a large leaf. */
static uint64_t random_entry(unsigned entry_bytes)
{
	static const uint64_t reserved[] = {0x001fe000u, 0x3fffe000u};
	uint64_t entry = fake_random() % (N_FRAMES + 1) * X86_PAGE_SIZE;

	if (fake_random() % 4 == 0) {
		/* Of 4 bytes: PSE-36, with address bits everywhere but in bit 21. */
		entry = entry_bytes == 4
				? fake_random() & ~(1ull << 21)
				: random_64() % (1ull << 40) & ~reserved[fake_random() % 2];
		entry |= X86_PTE_PS;
	}
	entry |= X86_PTE_P;
	if (fake_random() % 16 == 0)
		entry &= ~X86_PTE_P;
	return entry;
}

static void fill(const struct mode *mode)
{
	for (unsigned at = 0; at < RAM_BYTES; at += mode->entry_bytes) {
		uint64_t entry = random_entry(mode->entry_bytes);

		memcpy(phys_to_virt(at), &entry, mode->entry_bytes);
	}
}

static struct oracle_cpu oracle_of(const struct umbra_paging_regs *regs)
{
	struct oracle_cpu cpu = {
		.cr0 = regs->cr0,
		.cr3 = regs->cr3,
		.cr4 = regs->cr4,
		.efer = regs->efer & ~X86_EFER_LMA,
		.maxphyaddr = 40,
		.has_1g_pages = true,
		.has_pse36 = true,
	};

	for (unsigned i = 0; i < 4; i++)
		cpu.pdpte[i] = read_memory(NULL, (regs->cr3 & 0xffffffe0u) + i * 8, 8);
	return cpu;
}

static uint64_t random_gva(const struct mode *mode)
{
	unsigned width = mode->cr4 & X86_CR4_LA57 ? 57 : 48;

	if (!mode->efer)
		return fake_random();
	return (uint64_t)((int64_t)(random_64() << (64 - width)) >> (64 - width));
}

/* What the two walks say of one address. Returns true if it is mapped. */
static bool compare(const struct mode *mode, struct vcpu *vcpu, uint64_t gva)
{
	struct oracle_cpu cpu = oracle_of(&vcpu->regs);
	struct oracle_memory memory = {.read = read_memory};
	struct oracle_access access = {.gva = gva, .kind = ORACLE_READ};
	struct oracle_result wanted;
	struct umbra_exit out = {0};
	umbra_gpa gpa = 0;
	bool found = walk_translate(vcpu, gva, UMBRA_READ, &gpa, &out);

	oracle_access(&cpu, &memory, &access, &wanted);
	if (wanted.outcome == ORACLE_OK && (!found || gpa != wanted.gpa))
		fail_msg("%s, gva %llx: %d %llx, not %llx", mode->name, (unsigned long long)gva,
			found, (unsigned long long)gpa, (unsigned long long)wanted.gpa);
	/* Rights and reserved bits are not its business. */
	if (wanted.outcome != ORACLE_OK && !(wanted.error_code & ORACLE_PF_P) && found)
		fail_msg("%s, gva %llx: found at %llx, though not present", mode->name,
			(unsigned long long)gva, (unsigned long long)gpa);
	if (!found) {
		assert_int_equal(out.vector, X86_PF);
		assert_int_equal(out.gva, gva);
	}
	return wanted.outcome == ORACLE_OK;
}

static void the_guests_tables_are_walked_in_every_mode_as_the_reference_does(void **state)
{
	(void)state;
	for (unsigned m = 0; m < N(modes); m++) {
		unsigned n_mapped = 0;

		for (unsigned world = 0; world < 60; world++) {
			struct vcpu vcpu = {
				.regs = {X86_CR0_PE | X86_CR0_PG, 0, modes[m].cr4, modes[m].efer},
			};

			fill(&modes[m]);
			vcpu.regs.cr3 = fake_random() % N_FRAMES * X86_PAGE_SIZE;
			/* The four entries of a PAE root may be anywhere in a page. */
			if (m == 2)
				vcpu.regs.cr3 |= fake_random() % 128 * 32;
			for (unsigned i = 0; i < 400; i++)
				n_mapped += compare(&modes[m], &vcpu, random_gva(&modes[m]));
		}
		if (n_mapped < 1000)
			fail_msg("%s: only %u addresses are mapped", modes[m].name, n_mapped);
	}
}

static void unpaged_addresses_are_physical_ones(void **state)
{
	struct vcpu vcpu = {.regs = {.cr0 = X86_CR0_PE, .cr3 = 0x1000}};
	struct umbra_exit out;
	umbra_gpa gpa;

	(void)state;
	assert_true(walk_translate(&vcpu, 0xfee00123u, UMBRA_WRITE, &gpa, &out));
	assert_int_equal(gpa, 0xfee00123u);
}

/* ---- shadow tables ---- */

#define PRESENT (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A)

/* Make the tables of frames 7, 6 and so on a path for @gva from @shift down to a leaf of
 * @leaf_shift that maps @page. Returns the root. */
static umbra_hpa build(unsigned shift, unsigned leaf_shift, uint64_t gva, uint64_t page)
{
	unsigned frame = N_FRAMES - 1;
	umbra_hpa root = frame * X86_PAGE_SIZE;

	memset(phys_to_virt(0), 0, RAM_BYTES);
	for (; shift > leaf_shift; shift -= 9, frame--) {
		uint64_t *table = phys_to_virt(frame * X86_PAGE_SIZE);

		table[gva >> shift & 511] = (frame - 1) * X86_PAGE_SIZE | PRESENT;
	}
	((uint64_t *)phys_to_virt(frame * X86_PAGE_SIZE))[gva >> shift & 511] =
		page | PRESENT | X86_PTE_NX | (leaf_shift > X86_PAGE_SHIFT ? X86_PTE_PS : 0);
	return root;
}

static void shadow_tables_are_walked_in_every_mode_to_every_kind_of_leaf(void **state)
{
	static const struct {
		unsigned shift;
		uint64_t gva;
	} roots[] = {
		{SHADOW_SHIFT_PAE, 0xfedcb987u},
		{SHADOW_SHIFT_PAE, 0x00001234u},
		{SHADOW_SHIFT_4LEVEL, 0xffff87654321fedcull},
		{SHADOW_SHIFT_5LEVEL, 0xff12345678987654ull},
		{SHADOW_SHIFT_5LEVEL, 0x00123456789abcdeull},
	};
	static const unsigned leaves[] = {12, 21, 30};

	(void)state;
	for (unsigned r = 0; r < N(roots); r++) {
		for (unsigned l = 0; l < N(leaves); l++) {
			uint64_t offset = roots[r].gva & ((1ull << leaves[l]) - 1);
			umbra_hpa root;
			umbra_gpa gpa;

			/* A PDPTE is no leaf. */
			if (leaves[l] == roots[r].shift)
				continue;
			root = build(roots[r].shift, leaves[l], roots[r].gva, 0x3c0000000ull);
			assert_true(shadow_walk(root, roots[r].shift, roots[r].gva, &gpa));
			assert_int_equal(gpa, 0x3c0000000ull | offset);
			/* The same in the next entry of each table is not there. */
			for (unsigned s = leaves[l]; s <= roots[r].shift; s += 9)
				assert_false(shadow_walk(
					root, roots[r].shift, roots[r].gva ^ 1ull << s, &gpa));
		}
	}
}

static void the_pat_bit_of_a_small_page_is_no_size(void **state)
{
	umbra_hpa root = build(SHADOW_SHIFT_4LEVEL, 12, 0x5123, 0x77000 | X86_PTE_PAT_4K);
	umbra_gpa gpa;

	(void)state;
	assert_true(shadow_walk(root, SHADOW_SHIFT_4LEVEL, 0x5123, &gpa));
	assert_int_equal(gpa, 0x77123);
	root = build(SHADOW_SHIFT_PAE, 12, 0x5123, 0x77000 | X86_PTE_PAT_4K);
	assert_true(shadow_walk(root, SHADOW_SHIFT_PAE, 0x5123, &gpa));
	assert_int_equal(gpa, 0x77123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guests_tables_are_walked_in_every_mode_as_the_reference_does),
		cmocka_unit_test(unpaged_addresses_are_physical_ones),
		cmocka_unit_test(shadow_tables_are_walked_in_every_mode_to_every_kind_of_leaf),
		cmocka_unit_test(the_pat_bit_of_a_small_page_is_no_size),
	};

	return cmocka_run_group_tests(tests, map_memory, NULL);
}
