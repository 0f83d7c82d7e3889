/* SPDX-License-Identifier: MIT */
/* SMAP beyond plain accesses: STAC, CLAC, and accesses that no instruction asked for. SDM 3A
 * "Access Rights": implicit supervisor-mode accesses. */
#include "tests/guest/guest.h"

static struct path user_page(void)
{
	if (!cpu.smap)
		skip("no SMAP");
	write_cr4(read_cr4() | X86_CR4_SMAP);
	return path_make(test_gva(0), 1, phys(frame_marked(0x77777777)) | PTE_ALL);
}

static void stac_and_clac(void)
{
	struct path path = user_page();

	for (unsigned i = 0; i < 3; i++) {
		given("round", i);
		expect_fault("read", attempt(OP_READ, KERNEL, path.gva, 0), X86_PF_P, path.gva);
		expect_done("STAC, read", attempt(OP_STAC_READ, KERNEL, path.gva, 0));
		expect_fault("write", attempt(OP_WRITE, KERNEL, path.gva, 0), X86_PF_P | X86_PF_W,
			path.gva);
		expect_done("STAC, write", attempt(OP_STAC_WRITE, KERNEL, path.gva, i));
		expect_fault("CLAC, read", attempt(OP_CLAC_READ, KERNEL_AC, path.gva, 0), X86_PF_P,
			path.gva);
		expect_done("the user", attempt(OP_WRITE, USER, path.gva, 0));
		expect_trap(
			"STAC by the user", attempt(OP_STAC_READ, USER, path.gva, 0), X86_UD, 0);
	}
}

static void toggled(void)
{
	struct path path = user_page();

	for (unsigned i = 0; i < 4; i++) {
		write_cr4(read_cr4() & ~X86_CR4_SMAP);
		expect_done("off", attempt(OP_WRITE, KERNEL, path.gva, 0));
		write_cr4(read_cr4() | X86_CR4_SMAP);
		expect_fault("on", attempt(OP_WRITE, KERNEL, path.gva, 0), X86_PF_P | X86_PF_W,
			path.gva);
	}
}

/* With WP=0: what SMAP forbids stays forbidden, what it allows may write to read-only pages. */
static void without_wp(void)
{
	struct path path = user_page();

	path_set(&path, 1, path_get(&path, 1) & ~X86_PTE_W);
	write_cr0(read_cr0() & ~X86_CR0_WP);
	flush_all();
	for (unsigned i = 0; i < 3; i++) {
		given("round", i);
		expect_fault("write", attempt(OP_WRITE, KERNEL, path.gva, 0), X86_PF_P | X86_PF_W,
			path.gva);
		expect_done("with AC", attempt(OP_WRITE32, KERNEL_AC, path.gva, i));
		expect_ad("with AC", &path, 1, PTE_AD);
		expect_fault("read", attempt(OP_READ, KERNEL, path.gva, 0), X86_PF_P, path.gva);
		expect_value("the user reads", attempt(OP_READ32, USER, path.gva, 0), i);
		expect_fault("the user writes", attempt(OP_WRITE, USER, path.gva, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, path.gva);
		path_set(&path, 1, path_get(&path, 1) & ~PTE_AD);
		invlpg(path.gva);
	}
}

/* ---- implicit accesses: a descriptor read by a load of a segment register ---- */

/* So many descriptors before the page's end, in which the kernel's own lie. */
#define N_NEAR 16u

/* A GDT that crosses into the page of @path: selector FAR is the first descriptor in it. */
#define FAR (N_NEAR * 8)

static struct path far_descriptors(uint64_t leaf_bits, uint64_t descriptor)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		word base;
	} gdtr;
	uint64_t *near = frame_new();
	uint64_t *far = frame_new();
	struct path path;

	path_make(test_gva(0), 1, phys(near) | X86_PTE_P | X86_PTE_W);
	path = path_make(test_gva(1), 1, phys(far) | leaf_bits);
	for (unsigned i = 0; i < N_NEAR; i++)
		near[512 - N_NEAR + i] = gdt[i];
	far[0] = descriptor;
	gdtr.limit = (N_NEAR + 1) * 8 - 1;
	gdtr.base = test_gva(1) - FAR;
	__asm__ volatile("lgdt %0" : : "m"(gdtr));
	return path;
}

#define ACCESSED     0x00cff3000000ffffull
#define NOT_ACCESSED 0x00cff2000000ffffull

static void load_far(const char *what, enum who who, bool well, uint32_t error)
{
	struct outcome got = attempt(OP_LOAD_ES, who, 0, FAR | 3);

	/* Which bytes of the descriptor are touched to mark it is not said. */
	got.cr2 &= ~(word)7;
	given("who", who);
	if (well)
		expect_done(what, got);
	else
		expect_fault(what, got, error, test_gva(1));
}

static void implicit(void)
{
	struct path path = far_descriptors(X86_PTE_P | X86_PTE_W, ACCESSED);

	load_far("a supervisor page", KERNEL, true, 0);
	load_far("a supervisor page", USER, true, 0);
	path_set(&path, 1, path_get(&path, 1) | X86_PTE_U);
	flush_all();
	load_far("a user page, SMAP off", KERNEL, true, 0);
	load_far("a user page, SMAP off", USER, true, 0);
	path_set(&path, 1, 0);
	flush_all();
	load_far("no page", KERNEL, false, 0);
	load_far("no page", USER, false, 0);
}

static void implicit_smap(void)
{
	struct path path = far_descriptors(PTE_ALL, ACCESSED);

	if (!cpu.smap)
		skip("no SMAP");
	write_cr4(read_cr4() | X86_CR4_SMAP);
	for (unsigned i = 0; i < 3; i++) {
		given("round", i);
		load_far("a user page, SMAP on", KERNEL, false, X86_PF_P);
		load_far("a user page, SMAP on", USER, false, X86_PF_P);
		expect_done("the user himself", attempt(OP_WRITE8, USER, path.gva + 32, 0));
		path_set(&path, 1, path_get(&path, 1) & ~X86_PTE_U);
		invlpg(path.gva);
		load_far("a supervisor page, SMAP on", USER, true, 0);
		path_set(&path, 1, path_get(&path, 1) | X86_PTE_U);
		invlpg(path.gva);
	}
}

/* EFLAGS.AC=1 permits explicit accesses only. */
static void implicit_smap_ac(void)
{
	struct path path = far_descriptors(PTE_ALL, ACCESSED);

	if (!cpu.smap)
		skip("no SMAP");
	write_cr4(read_cr4() | X86_CR4_SMAP);
	for (unsigned i = 0; i < 3; i++) {
		given("round", i);
		load_far("implicit, AC=1", KERNEL_AC, false, X86_PF_P);
		expect_done("explicit, AC=1", attempt(OP_READ, KERNEL_AC, path.gva, 0));
	}
}

/* The processor marks a descriptor as accessed: an implicit store. */
static void implicit_store(void)
{
	struct path path = far_descriptors(X86_PTE_P, NOT_ACCESSED);
	uint64_t *far = (uint64_t *)(uintptr_t)(path_get(&path, 1) & X86_PTE_FRAME);

	path_set(&path, 1, path_get(&path, 1) & ~PTE_AD);
	invlpg(path.gva);
	load_far("a read-only page", KERNEL, false, X86_PF_P | X86_PF_W);
	load_far("a read-only page", USER, false, X86_PF_P | X86_PF_W);
	expect_equal("D", 0, path_get(&path, 1) & X86_PTE_D);
	expect_equal("the descriptor", NOT_ACCESSED, far[0]);
	path_set(&path, 1, path_get(&path, 1) | X86_PTE_W);
	invlpg(path.gva);
	load_far("a writable page", USER, true, 0);
	expect_equal("the descriptor", ACCESSED, far[0]);
	expect_ad("after the store", &path, 1, PTE_AD);
	far[0] = NOT_ACCESSED;
	path_set(&path, 1, path_get(&path, 1) & ~(X86_PTE_W | PTE_AD));
	write_cr0(read_cr0() & ~X86_CR0_WP);
	flush_all();
	load_far("a read-only page, WP=0", USER, true, 0);
	expect_equal("the descriptor", ACCESSED, far[0]);
	expect_ad("after the store, WP=0", &path, 1, PTE_AD);
}

static const struct test tests[] = {
	{.name = "smap_stac", .modes = IN_PAGED, .run = stac_and_clac},
	{.name = "smap_toggled", .modes = IN_PAGED, .run = toggled},
	{.name = "smap_without_wp", .modes = IN_PAGED, .run = without_wp},
	{.name = "implicit", .modes = IN_PAGED, .run = implicit},
	{.name = "implicit_smap", .modes = IN_PAGED, .run = implicit_smap},
	{.name = "implicit_smap_ac",
		.modes = IN_PAGED,
		.run = implicit_smap_ac,
		.departs_in = ROWS_ALL,
		.departs = "TCG lets EFLAGS.AC permit implicit accesses too"},
	{.name = "implicit_store", .modes = IN_PAGED, .run = implicit_store},
};
GROUP(group_smap, tests);
