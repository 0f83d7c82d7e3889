/* SPDX-License-Identifier: MIT */
/* Tables that are memory too: that map themselves, are data, are shared by roles and levels. */
#include "tests/guest/guest.h"

/* Make a table of @level that lies on the way to @gva refer to itself in its last entry, and return
 * the address at which it is then mapped as a page: all indices below it are the last. */
static word map_itself(const struct path *path, unsigned level, void **table)
{
	unsigned last = (1u << mode->index_bits) - 1;
	word at = path->gva;

	*table = (void *)((uintptr_t)path->entry[level] & ~(uintptr_t)0xfff);
	entry_write((uint8_t *)*table + last * mode->entry_bytes, phys(*table) | PTE_ALL);
	for (unsigned below = 1; below <= level; below++) {
		at &= ~(word)(level_bytes(below + 1) - level_bytes(below));
		at |= (word)(last * level_bytes(below));
	}
	return at & ~(word)0xfff;
}

/* Through the window a table is a page: what it shows, and what a store there does. */
static void self_map(void)
{
	for (unsigned level = 2; level <= mode->level_max && level < 4; level++) {
		word gva = test_gva(0x10);
		struct path path = path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
		void *table;
		word window = map_itself(&path, level, &table);
		/* One step less through the window: the table that it refers to for @gva. */
		word entry = window + level_index(gva, level) * mode->entry_bytes;

		given("level", level);
		flush_all();
		expect_done("access", attempt(OP_WRITE, USER, gva, 1));
		expect_equal("the entry seen", (uint32_t)path_get(&path, level),
			attempt(OP_READ32, USER, entry, 0).value);
		for (uint32_t i = 0; i < 6; i++) {
			uint64_t old = path_get(&path, level);

			given("round", i);
			expect_done("clear it through the window",
				attempt(OP_AND8, i & 1 ? USER : KERNEL, entry,
					(word) ~(word)X86_PTE_P));
			invlpg(gva);
			expect_fault("absent", attempt(OP_READ, USER, gva, 0), X86_PF_U, gva);
			expect_done("set it through the window",
				attempt(OP_WRITE32, USER, entry, (word)old));
			expect_reads("present", gva, 1);
		}
		path_set(&path, mode->level_max, 0);
		flush_all();
	}
}

/* A store into the table that maps the store itself. */
static void maps_its_own_store(void)
{
	word gva = test_gva(0x20);
	struct path path = path_make(gva, 1, 0);
	uint64_t table = phys(entry_table(path.entry[2]));
	word entry = gva + level_index(gva, 1) * mode->entry_bytes;
	uint32_t *page = frame_marked(0x55);

	for (unsigned i = 0; i < 8; i++) {
		given("round", i);
		path_set(&path, 1, table | PTE_ALL);
		invlpg(gva);
		/* Now the page at gva is the table with the entry for gva. */
		expect_done("D is clear and gets set by this store",
			attempt(OP_WRITE32, USER, entry, (word)(phys(page) | PTE_ALL)));
		invlpg(gva);
		expect_reads("another page", gva, 0x55);
		path_set(&path, 1, table | PTE_ALL);
		invlpg(gva);
		expect_done("the store forbids the next",
			attempt(OP_WRITE32, USER, entry, (word)(table | X86_PTE_P | X86_PTE_U)));
		invlpg(gva);
		expect_fault("the next", attempt(OP_WRITE32, USER, entry, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, entry);
		path_set(&path, 1, table | PTE_ALL);
		invlpg(gva);
		expect_done("AND", attempt(OP_AND, USER, entry, (word)-2));
		invlpg(gva);
		expect_fault("gone", attempt(OP_READ, USER, gva, 0), X86_PF_U, gva);
		expect_equal("P", 0, path_get(&path, 1) & X86_PTE_P);
	}
}

/* The walk for a store sets A and D before the store: what it replaces may have them, and what it
 * leaves is what it stored, no bit more. */
static void own_bits_are_first(void)
{
	word gva = test_gva(0x20);
	struct path path = path_make(gva, 1, 0);
	uint64_t table = phys(entry_table(path.entry[2]));
	word entry = gva + level_index(gva, 1) * mode->entry_bytes;

	for (unsigned i = 0; i < 4; i++) {
		struct probe probe = probe_of(OP_XCHG, USER, entry, (word)(table | PTE_ALL));

		given("round", i);
		path_set(&path, 1, table | PTE_ALL);
		invlpg(gva);
		expect_value("a read sees A", attempt(OP_READ32, USER, entry, 0),
			(word)(table | PTE_ALL | X86_PTE_A));
		probe_run(&probe);
		expect_done("exchange", probe_outcome(&probe));
		/* Whether the load of an exchange sees the D of its store is not said. */
		expect_equal("it saw A", (uint32_t)(table | PTE_ALL | PTE_AD),
			(uint32_t)(probe.ax | X86_PTE_D));
		expect_equal("it left what it stored", table | PTE_ALL, path_get(&path, 1));
		path_set(&path, 1, table | PTE_ALL);
		invlpg(gva);
		expect_done("move",
			attempt(OP_WRITE32, KERNEL, entry, (word)(table | PTE_ALL | 0x200)));
		expect_equal("it left what it stored", table | PTE_ALL | 0x200, path_get(&path, 1));
	}
}

/* A table is zeroed by one string instruction, used as data, and is a table again. */
static void table_to_data_and_back(void)
{
	enum { N = 6 };
	word window = test_gva_far(1, 0);
	word gva = test_gva(0);

	for (uint32_t round = 0; round < N; round++) {
		struct path path = path_make(gva, 1, phys(frame_marked(round)) | PTE_ALL);
		uint32_t *table = entry_table(path.entry[2]);
		uint64_t upper = path_get(&path, 2);
		struct probe clear = probe_of(OP_REP_STOS, USER, window, 0);

		given("round", round);
		for (unsigned i = 1; i < 40; i++)
			path_make(gva + i * X86_PAGE_SIZE, 1, phys(frame_new()) | PTE_ALL);
		flush_all();
		for (unsigned i = 0; i < 40; i++)
			expect_done("touch",
				attempt(OP_WRITE8, USER, gva + 4 + i * X86_PAGE_SIZE, round));
		expect_reads("as a table", gva, round);
		path_make(window, 1, phys(table) | PTE_ALL);
		clear.cx = X86_PAGE_SIZE / sizeof(word);
		clear.ax = (word)0x0101010101010101ull * round;
		path_set(&path, 2, round & 1 ? upper : 0);
		flush_all();
		probe_run(&clear);
		expect_done("overwrite it", probe_outcome(&clear));
		path_set(&path, 2, 0);
		flush_all();
		expect_fault("no table", attempt(OP_READ, USER, gva, 0), X86_PF_U, gva);
		for (unsigned i = 0; i < 1024; i += 17) {
			expect_equal("data", round * 0x01010101, table[i]);
			expect_done("write data", attempt(OP_WRITE32, USER, window + 4 * i, i));
			expect_equal("new data", i, table[i]);
		}
		for (unsigned i = 0; i < 1024; i++)
			table[i] = 0;
		path_set(&path, 2, upper);
		path_set(&path, 1, phys(frame_marked(round + 50)) | PTE_ALL);
		invlpg(gva);
		expect_reads("a table again", gva, round + 50);
	}
}

/* One table under an entry that lets users in, and under one that does not, and under one that
 * forbids writes. */
static void one_table_many_roles(void)
{
	static const uint64_t rights[] = {
		PTE_ALL, X86_PTE_P | X86_PTE_W, X86_PTE_P | X86_PTE_U, X86_PTE_P};
	struct path paths[4];
	word gva;
	uint32_t *table = NULL;

	for (unsigned i = 0; i < 4; i++) {
		gva = test_gva(0) + i * (word)level_bytes(2);
		paths[i] = path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
		if (!table)
			table = entry_table(paths[i].entry[2]);
		path_set(&paths[i], 2, phys(table) | rights[i]);
	}
	flush_all();
	for (uint32_t round = 1; round < 6; round++) {
		given("round", round);
		for (unsigned i = 0; i < 4; i++) {
			struct outcome got = attempt(OP_WRITE32, USER, paths[i].gva + 8, round);

			given("role", i);
			expect_reads("the same page", paths[i].gva, round);
			if (rights[i] == PTE_ALL)
				expect_done("user write", got);
			else
				expect_fault("user write", got, X86_PF_P | X86_PF_W | X86_PF_U,
					paths[i].gva + 8);
		}
		path_set(&paths[0], 1, phys(frame_marked(round + 1)) | PTE_ALL);
		for (unsigned i = 0; i < 4; i++)
			invlpg(paths[(round + i) % 4].gva);
	}
}

/* The same frame is the table of level 1 and of level 2 (and page): an entry serves as both. */
static void one_table_two_levels(void)
{
	word gva = test_gva(0) + 5 * (word)level_bytes(2);
	struct path path = path_make(gva, 1, 0);
	void *upper = (void *)((uintptr_t)path.entry[2] & ~(uintptr_t)0xfff);
	uint32_t *leaf_table = (uint32_t *)frame_marked(0);
	word inner;

	/* upper[5] -> upper: as level 1 its entry 7 maps what as level 2 is a table. */
	path_set(&path, 2, phys(upper) | PTE_ALL);
	inner = gva + 7 * X86_PAGE_SIZE;
	for (uint32_t i = 0; i < 5; i++) {
		word through = (gva & ~(word)(level_bytes(3) - 1)) + 7 * (word)level_bytes(2);

		given("round", i);
		entry_write((uint8_t *)upper + 7 * mode->entry_bytes, phys(leaf_table) | PTE_ALL);
		entry_write(leaf_table, phys(frame_marked(i + 0x30)) | PTE_ALL);
		invlpg(inner);
		invlpg(through);
		expect_reads("as an upper entry", through, i + 0x30);
		expect_value("as a leaf", attempt(OP_READ32, USER, inner, 0),
			(word)(uint32_t)entry_read(leaf_table));
		/* Through the leaf the table below the upper one is written. */
		expect_done("store by the leaf",
			attempt(OP_WRITE32, USER, inner, (word)(phys(frame_marked(i)) | PTE_ALL)));
		invlpg(through);
		expect_reads("what the store did", through, i);
		expect_done("store by the upper entry", attempt(OP_WRITE32, USER, through, 99));
		expect_done("clear", attempt(OP_WRITE32, USER, inner, 0));
		invlpg(through);
		expect_fault("gone", attempt(OP_READ, USER, through, 0), X86_PF_U, through);
	}
}

/* The root is a page table somewhere below itself. */
static void root_as_leaf_table(void)
{
	word gva = test_gva(0);
	struct path path = path_make(gva, 1, 0);
	unsigned n = 1u << mode->index_bits;
	uint8_t *root = table_root();
	word spare = (word)0x11 * X86_PAGE_SIZE;

	if (mode->id == PAE)
		skip("its root holds only PDPTEs");
	path_set(&path, 2, phys(root) | PTE_ALL);
	flush_all();
	/* An unused root entry serves as a leaf. */
	for (uint32_t i = 0; i < 5; i++) {
		void *entry = root + (n / 2 + 0x11) * mode->entry_bytes;
		word at = (gva & ~(word)(level_bytes(2) - 1)) + n / 2 * X86_PAGE_SIZE + spare;

		given("round", i);
		entry_write(entry, phys(frame_marked(i)) | PTE_ALL);
		invlpg(at);
		expect_reads("by the root's entry", at, i);
		expect_done("write", attempt(OP_WRITE, USER, at, 0));
		entry_write(entry, 0);
		invlpg(at);
		expect_fault("gone", attempt(OP_READ, USER, at, 0), X86_PF_U, at);
	}
}

/* A data page that is mapped and written becomes a table while it is mapped, and is written on. */
static void data_becomes_table(void)
{
	word window = test_gva_far(1, 3);
	word gva = test_gva(0);
	uint32_t *table = frame_new();
	struct path path = path_make(gva, 1, 0);
	word entry = window + level_index(gva, 1) * mode->entry_bytes;

	path_make(window, 1, phys(table) | PTE_ALL);
	for (uint32_t i = 0; i < 6; i++) {
		given("round", i);
		path_set(&path, 2, 0);
		flush_all();
		expect_done("as data",
			attempt(OP_WRITE32, USER, entry, (word)(phys(frame_marked(i)) | PTE_ALL)));
		path_set(&path, 2, phys(table) | PTE_ALL);
		expect_reads("as a table", gva, i);
		expect_done("store while a table",
			attempt(OP_WRITE32, USER, entry,
				(word)(phys(frame_marked(i + 9)) | PTE_ALL)));
		invlpg(gva);
		expect_reads("seen", gva, i + 9);
	}
}

static const struct test tests[] = {
	{.name = "self_map", .modes = IN_PAGED, .run = self_map},
	{.name = "own_store", .modes = IN_PAGED, .run = maps_its_own_store},
	{.name = "own_bits", .modes = IN_PAGED, .run = own_bits_are_first},
	{.name = "table_to_data", .modes = IN_PAGED, .run = table_to_data_and_back},
	{.name = "many_roles", .modes = IN_PAGED, .run = one_table_many_roles},
	{.name = "two_levels", .modes = IN_PAGED, .run = one_table_two_levels},
	{.name = "root_as_table", .modes = IN_PAGED, .run = root_as_leaf_table},
	{.name = "data_to_table", .modes = IN_PAGED, .run = data_becomes_table},
};
GROUP(group_table, tests);
