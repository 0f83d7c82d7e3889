/* SPDX-License-Identifier: MIT */
/*
 * Stores into live tables by code that is not flat: segments with bases, 16-bit code, virtual-8086
 * mode; in 64-bit mode FS and GS, and compatibility mode. Who completes such a store must find its
 * address and width as the processor does. Code: segment_code.S.
 */
#include "tests/guest/guest.h"

struct segment_code {
	const char *name;
	const char *code;
};

/* In segment_code.S: each ended by a NULL name. */
extern const struct segment_code segment_code_16[];
extern const struct segment_code segment_code_32[];
extern const char prelude_16[];
extern const char prelude_32[];

/* A table of level 2 (which is not let go when it is written), and a page of data like it. */
struct scene {
	uint8_t *table;
	uint8_t *data;
	uint8_t *saved;
	uint8_t *table_near; /* the pages behind them */
	uint8_t *data_near;
	word used_gva; /* translated by the table */
};

/* Flags that instructions define: CF, PF, ZF, SF, DF, OF. */
#define FLAGS_JUDGED 0xcc5u
/* Where stores go, in a page: entries that are in use. */
#define TARGET 0x810u
/* Linear addresses below 1 MiB: bases for any kind of segment. */
#define TABLE_AT 0x50000u
#define DATA_AT  0x60000u
#define CODE_AT  0x40000u
#define STACK_AT 0x70000u

#define SELECTOR_DATA (GDT_SPARE | 3)
#define SELECTOR_16   ((GDT_SPARE + 8) | 3)

#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

static uint64_t with_base(uint64_t descriptor, uint32_t base)
{
	return descriptor | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56;
}

static struct scene make_scene(void)
{
	struct scene s = {
		.data = frame_new(),
		.saved = frame_new(),
		.table_near = frame_new(),
		.data_near = frame_new(),
		.used_gva = test_gva(0),
	};
	struct path path = path_make(s.used_gva, 1, phys(frame_marked(0x66666666)) | PTE_ALL);

	s.table = (uint8_t *)((uintptr_t)path.entry[2] & ~(uintptr_t)0xfff);
	table_own_low(table_root());
	write_cr3(read_cr3());
	path_make(TABLE_AT, 1, phys(s.table) | PTE_ALL);
	path_make(DATA_AT, 1, phys(s.data) | PTE_ALL);
	path_make(TABLE_AT + X86_PAGE_SIZE, 1, phys(s.table_near) | PTE_ALL);
	path_make(DATA_AT + X86_PAGE_SIZE, 1, phys(s.data_near) | PTE_ALL);
	path_make(STACK_AT, 1, phys(user_stack) | PTE_ALL);
	for (unsigned i = 0; i < USER_CODE_PAGES; i++)
		path_make(CODE_AT + i * X86_PAGE_SIZE, 1,
			phys(probe_code + i * X86_PAGE_SIZE) | X86_PTE_P | X86_PTE_U);
	expect_done("write", attempt(OP_AND8, USER, TABLE_AT, 0xff));
	expect_done("write", attempt(OP_AND8, USER, DATA_AT, 0xff));
	expect_done("write", attempt(OP_AND8, USER, s.used_gva, 0xff));
	for (unsigned at = 0x7c0; at < 0x880; at += mode->entry_bytes)
		entry_write(s.table + at, path_get(&path, 2));
	gdt_set(SELECTOR_16 & ~7u, with_base(0x0000fb000000ffffull, USER_CODE));
	flush_all();
	return s;
}

static void compare(const struct scene *s, const char *name, const struct probe *table,
	const struct probe *data)
{
	const uint32_t *stored = (const uint32_t *)s->table;
	const uint32_t *expected = (const uint32_t *)s->data;

	expect_done(name, probe_outcome(data));
	expect_done(name, probe_outcome(table));
	expect_equal(name, data->ip, table->ip);
	expect_equal(name, data->flags & FLAGS_JUDGED, table->flags & FLAGS_JUDGED);
	expect_equal(name, data->ax, table->ax);
	expect_equal(name, data->cx, table->cx);
	expect_equal(name, data->si, table->si);
	expect_equal(name, data->di, table->di);
	for (unsigned i = 0; i < X86_PAGE_SIZE / 4; i++) {
		given("at", i * 4);
		expect_equal(name, expected[i], stored[i]);
	}
	expect_equal(name, *(uint64_t *)s->data_near, *(uint64_t *)s->table_near);
}

/* Every way in which a segment may get a base. */
static void set_base(struct probe *probe, uint32_t base)
{
	gdt_set(SELECTOR_DATA & ~7u, with_base(0x00cff3000000ffffull, base));
	if (sizeof(word) == 8) {
		write_msr(MSR_FS_BASE, base);
		write_msr(MSR_GS_BASE, base);
	}
	probe->segments = base >> 4;
}

/* Each piece twice, by a probe that @make makes: on the page of data and on the table. */
static void run_all(const struct segment_code *codes, struct probe (*make)(const char *code))
{
	struct scene s = make_scene();

	memory_copy(s.saved, s.table, X86_PAGE_SIZE);
	for (; codes->name; codes++) {
		struct probe data = make(codes->code);
		struct probe table = data;

		expect_reads("the table is in use", s.used_gva, 0x66666666);
		memory_copy(s.saved, s.table, X86_PAGE_SIZE);
		memory_copy(s.data, s.saved, X86_PAGE_SIZE);
		*(uint64_t *)s.data_near = 0;
		*(uint64_t *)s.table_near = 0;
		set_base(&data, DATA_AT);
		probe_run(&data);
		set_base(&table, TABLE_AT);
		probe_run(&table);
		compare(&s, codes->name, &table, &data);
		expect_true(codes->name,
			*(uint32_t *)(s.data + TARGET) != *(uint32_t *)(s.saved + TARGET));
		memory_copy(s.table, s.saved, X86_PAGE_SIZE);
		flush_all();
	}
}

static struct probe make_native(const char *code)
{
	struct probe probe = probe_of(OP_READ, USER, TARGET, SELECTOR_DATA);

	probe.ip = (word)(USER_CODE + (code - probe_code));
	probe.ax = 0x44332211;
	probe.cx = 3;
	probe.dx = 0x5a5b5c5d;
	return probe;
}

static struct probe make_32(const char *code)
{
	struct probe probe = make_native(prelude_32);

	probe.cs = GDT_USER_32;
	probe.bx = (word)(USER_CODE + (code - probe_code));
	return probe;
}

static struct probe make_16(const char *code)
{
	struct probe probe = make_native(prelude_16);

	probe.cs = SELECTOR_16;
	probe.ip = (word)(prelude_16 - probe_code);
	probe.bx = (word)(code - probe_code);
	return probe;
}

static void bases_of_32_bit_code(void)
{
	run_all(segment_code_32, make_32);
}

static void bases_of_16_bit_code(void)
{
	run_all(segment_code_16, make_16);
}

#ifdef __x86_64__
extern const struct segment_code segment_code_64[];

static void fs_and_gs(void)
{
	run_all(segment_code_64, make_native);
}
#else
#define FLAGS_V86 (2 | X86_RFLAGS_VM | 3u << 12) /* IOPL 3, for INT */

static struct probe make_v86(const char *code)
{
	struct probe probe = make_native(code);

	probe.flags = (word)FLAGS_V86;
	probe.cs = CODE_AT >> 4;
	probe.ip = (word)(code - probe_code);
	probe.ss = STACK_AT >> 4;
	probe.sp = X86_PAGE_SIZE;
	return probe;
}

static void virtual_8086(void)
{
	run_all(segment_code_16, make_v86);
}
#endif

/* Each world knows all tests, since one lists them; and has the code of those that it runs. */
#ifdef __x86_64__
#define IN_WORLD_64(run) (run)
#define IN_WORLD_32(run) NULL
#else
#define IN_WORLD_64(run) NULL
#define IN_WORLD_32(run) (run)
#endif

static const struct test tests[] = {
	{.name = "segments_16", .modes = IN_PAGED, .run = bases_of_16_bit_code},
	{.name = "segments_32", .modes = IN_PAGED, .run = bases_of_32_bit_code},
	{.name = "segments_64", .modes = IN_LONG, .run = IN_WORLD_64(fs_and_gs)},
	{.name = "segments_v86",
		.modes = IN(TWO_LEVEL) | IN(PAE),
		.run = IN_WORLD_32(virtual_8086)},
};
GROUP(group_segment, tests);
