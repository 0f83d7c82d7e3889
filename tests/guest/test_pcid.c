/* SPDX-License-Identifier: MIT */
/*
 * Process-context identifiers and INVPCID, where CPUID has them. That a translation survives a load
 * without flush is allowed, not promised: judged is what must hold after the flush that is due. SDM
 * 3A "Process-Context Identifiers (PCIDs)"; SDM 2 "INVPCID".
 */
#include "tests/guest/guest.h"

#define NO_FLUSH (1ull << 63)

enum { ONE_ADDRESS, ONE_CONTEXT, ALL_GLOBAL, ALL_CONTEXTS };

struct descriptor {
	uint64_t pcid;
	uint64_t gva;
};

static struct outcome invpcid(uint64_t type, uint64_t pcid, uint64_t gva)
{
	struct descriptor descriptor = {pcid, gva};

	return attempt(OP_INVPCID, KERNEL, (word)&descriptor, (word)type);
}

static void need_pcid(void)
{
	if (!cpu.pcid)
		skip("no PCID");
	write_cr4(read_cr4() | X86_CR4_PCIDE);
}

static void need_invpcid(void)
{
	if (!cpu.invpcid)
		skip("no INVPCID");
}

/* A root of its own in which @gva is a page of @marker; its leaf in @path. */
static uint64_t new_root(word gva, uint32_t marker, struct path *path)
{
	void *root = frame_new();

	memory_copy(root, (const void *)mode_root(mode->id), X86_PAGE_SIZE);
	*path = path_make_in(root, gva, 1, phys(frame_marked(marker)) | PTE_ALL);
	return phys(root);
}

static void two_contexts(void)
{
	word gva = test_gva(6);
	struct path one;
	struct path two;
	uint64_t first = new_root(gva, 1, &one) | 5;
	uint64_t second = new_root(gva, 2, &two) | 6;

	need_pcid();
	write_cr3(first);
	write_cr3(second);
	for (uint32_t i = 0; i < 6; i++) {
		given("round", i);
		write_cr3(first | NO_FLUSH);
		expect_equal("bit 63 is not kept", first, read_cr3());
		expect_reads("first", gva, i ? i * 16 : 1);
		write_cr3(second | NO_FLUSH);
		expect_reads("second", gva, 2);
		/* Changed under the other's identifier, and flushed by each way in turn. */
		path_set(&one, 1, phys(frame_marked((i + 1) * 16)) | PTE_ALL);
		if (i % 3 == 0 || !cpu.invpcid)
			write_cr3(first);
		else if (i % 3 == 1)
			expect_done("INVPCID", invpcid(ONE_ADDRESS, 5, gva));
		else
			expect_done("INVPCID", invpcid(ONE_CONTEXT, 5, 0));
	}
}

static void pcide_and_cr3(void)
{
	uint64_t cr3 = read_cr3();

	if (!cpu.pcid)
		skip("no PCID");
	expect_trap("bit 63 without PCIDE",
		attempt(OP_WRITE_CR3, KERNEL, 0, (word)(cr3 | NO_FLUSH)), X86_GP, 0);
	write_cr3(cr3 | X86_CR3_PWT);
	expect_trap("PCIDE while CR3 has low bits",
		attempt(OP_WRITE_CR4, KERNEL, 0, (word)(read_cr4() | X86_CR4_PCIDE)), X86_GP, 0);
	write_cr3(cr3);
	write_cr4(read_cr4() | X86_CR4_PCIDE);
	write_cr3(cr3 | 0xabc);
	expect_equal("CR3", cr3 | 0xabc, read_cr3());
	write_cr3(cr3);
}

static void invpcid_types(void)
{
	word gva = test_gva(6);
	struct path path;

	need_invpcid();
	path = path_make(gva, 1, phys(frame_marked(0)) | PTE_ALL);
	for (uint32_t i = 0; i < 8; i++) {
		given("type", i % 4);
		expect_reads("before", gva, i);
		path_set(&path, 1, phys(frame_marked(i + 1)) | PTE_ALL);
		expect_done("INVPCID", invpcid(i % 4, 0, i % 4 == ONE_ADDRESS ? gva : 0));
	}
}

static void invpcid_global(void)
{
	word gva = test_gva(6);
	struct path path;

	need_invpcid();
	write_cr4(read_cr4() | X86_CR4_PGE);
	path = path_make(gva, 1, phys(frame_marked(0)) | PTE_ALL | X86_PTE_G);
	for (uint32_t i = 0; i < 4; i++) {
		expect_reads("before", gva, i);
		path_set(&path, 1, phys(frame_marked(i + 1)) | PTE_ALL | X86_PTE_G);
		expect_done("INVPCID of all, global ones too", invpcid(ALL_GLOBAL, 0, 0));
	}
}

static void invpcid_refused(void)
{
	struct descriptor descriptor = {0, 0};

	need_invpcid();
	expect_trap("by the user", attempt(OP_INVPCID, USER, (word)&descriptor, 0), X86_GP, 0);
	expect_trap("type 4", invpcid(4, 0, 0), X86_GP, 0);
	for (unsigned bit = 12; bit < 64; bit += 3) {
		given("bit", bit);
		expect_trap("a reserved bit", invpcid(ONE_CONTEXT, 1ull << bit, 0), X86_GP, 0);
	}
	expect_trap("not canonical", invpcid(ONE_ADDRESS, 0, 1ull << 62), X86_GP, 0);
	expect_trap("a PCID without PCIDE", invpcid(ONE_ADDRESS, 1, 0), X86_GP, 0);
	expect_fault(
		"its operand absent", attempt(OP_INVPCID, KERNEL, test_gva(9), 0), 0, test_gva(9));
}

static void pcide_off_flushes(void)
{
	word gva = test_gva(6);
	struct path path = path_make(gva, 1, phys(frame_marked(0)) | PTE_ALL);

	for (uint32_t i = 0; i < 4; i++) {
		need_pcid();
		expect_reads("before", gva, i);
		path_set(&path, 1, phys(frame_marked(i + 1)) | PTE_ALL);
		write_cr4(read_cr4() & ~X86_CR4_PCIDE);
		expect_reads("after", gva, i + 1);
	}
}

static const struct test tests[] = {
	{.name = "pcid", .modes = IN_LONG, .run = two_contexts},
	{.name = "pcid_cr3", .modes = IN_LONG, .run = pcide_and_cr3},
	{.name = "pcid_off", .modes = IN_LONG, .run = pcide_off_flushes},
	{.name = "invpcid", .modes = IN_PAGED, .run = invpcid_types},
	{.name = "invpcid_global", .modes = IN_PAGED, .run = invpcid_global},
	{.name = "invpcid_refused", .modes = IN_PAGED, .run = invpcid_refused},
};
GROUP(group_pcid, tests);
