/* SPDX-License-Identifier: MIT */
/*
 * Every instruction that stores does to a live table what it does to a page of data: the same
 * bytes, registers and flags. Tables of level 2, since stores into those of level 1 may be let go.
 */
#include "tests/guest/guest.h"

struct piece {
	const char *name;
	const char *code;
};

extern const struct piece pieces[];

/* Flags that instructions define: CF, PF, ZF, SF, DF, OF. */
#define FLAGS_JUDGED 0xcc5u
/* Offsets in the table between which entries are in use, with the places of stores between. */
#define FIRST_USED 0x7c0u
#define END_USED   0x880u

struct scene {
	uint8_t *table;        /* what is stored into: a table */
	uint8_t *data;         /* the same as data */
	uint8_t *saved;        /* what both hold before */
	uint8_t *table_beyond; /* what lies behind them in their windows, zero before */
	uint8_t *data_beyond;
	word table_at; /* windows of two pages each, at the same place in a page */
	word data_at;
	word used_gva; /* translated by the table */
};

static void window(word gva, const void *first, const void *second)
{
	path_make(gva, 1, phys(first) | PTE_ALL);
	path_make(gva + X86_PAGE_SIZE, 1, phys(second) | PTE_ALL);
}

/* Both windows through all of their tables, so that nothing has to be set in these later. */
static void warm_up(const struct scene *s)
{
	for (enum who who = KERNEL; who <= USER; who += USER) {
		for (word page = 0; page < 2 * X86_PAGE_SIZE; page += X86_PAGE_SIZE) {
			expect_done("write", attempt(OP_AND8, who, s->table_at + page, 0xff));
			expect_done("write", attempt(OP_AND8, who, s->data_at + page, 0xff));
		}
		expect_done("write", attempt(OP_AND8, who, s->used_gva, 0xff));
	}
}

static struct scene make_scene(void)
{
	struct scene s = {
		.data = frame_new(),
		.saved = frame_new(),
		.table_beyond = frame_new(),
		.data_beyond = frame_new(),
		.used_gva = test_gva(0),
		.table_at = test_gva_far(1, 0x20),
		.data_at = test_gva_far(1, 0x30),
	};
	struct path path = path_make(s.used_gva, 1, phys(frame_marked(0x77777777)) | PTE_ALL);

	s.table = (uint8_t *)((uintptr_t)path.entry[2] & ~(uintptr_t)0xfff);
	window(s.table_at, s.table, s.table_beyond);
	window(s.data_at, s.data, s.data_beyond);
	warm_up(&s);
	/* Entries around those that are stored into refer to a table, too. */
	for (unsigned at = FIRST_USED; at < END_USED; at += mode->entry_bytes)
		entry_write(s.table + at, path_get(&path, 2));
	memory_copy(s.saved, s.table, X86_PAGE_SIZE);
	flush_all();
	return s;
}

/* For XMM0. */
static const uint8_t pattern[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct probe run(const struct piece *piece, enum who who, word at)
{
	struct probe probe = probe_of(OP_READ, who, at, 0x1e);
	word *top;

	probe.ip = (word)piece->code;
	if (who == USER)
		probe.ip = (word)(USER_CODE + (piece->code - probe_code));
	probe.sp -= 128;
	top = (word *)(who == USER ? (word)user_stack + (probe.sp - USER_STACK) : probe.sp);
	top[0] = 0x600d600d; /* for POP */
	__asm__ volatile("fninit; fldpi; movups %0, %%xmm0" : : "m"(*pattern));
	probe.ax = (word)0x8877665544332211ull;
	probe.bx = 2;
	probe.cx = 3;
	probe.dx = 0x5a5b5c5d;
	probe_run(&probe);
	return probe;
}

static void compare(const struct scene *s, const struct probe *table, const struct probe *data,
	const char *name)
{
	const uint32_t *stored = (const uint32_t *)s->table;
	const uint32_t *expected = (const uint32_t *)s->data;
	word apart = s->table_at - s->data_at;

	expect_equal(name, data->vector, table->vector);
	expect_equal(name, data->ip, table->ip);
	expect_equal(name, data->flags & FLAGS_JUDGED, table->flags & FLAGS_JUDGED);
	expect_equal(name, data->sp, table->sp);
	expect_equal(name, data->ax, table->ax);
	expect_equal(name, data->bx, table->bx);
	expect_equal(name, data->cx, table->cx);
	expect_equal(name, data->dx, table->dx);
	expect_equal(name, data->si, data->si == table->si ? table->si : table->si - apart);
	expect_equal(name, data->di, table->di - apart);
	for (unsigned i = 0; i < X86_PAGE_SIZE / 4; i++) {
		given("at", i * 4);
		expect_equal(name, expected[i], stored[i]);
	}
	for (unsigned i = 0; i < 64; i++)
		expect_equal(name, s->data_beyond[i], s->table_beyond[i]);
}

static void all_pieces(enum who who, unsigned offset)
{
	struct scene s = make_scene();

	given("who", who);
	given("offset", offset);
	for (unsigned i = 0; pieces[i].name; i++) {
		struct probe table;
		struct probe data;

		memory_copy(s.data, s.saved, X86_PAGE_SIZE);
		memory_fill(s.data_beyond, 0, 64);
		memory_fill(s.table_beyond, 0, 64);
		expect_reads("the table is in use", s.used_gva, 0x77777777);
		data = run(&pieces[i], who, s.data_at + offset);
		table = run(&pieces[i], who, s.table_at + offset);
		compare(&s, &table, &data, pieces[i].name);
		memory_copy(s.table, s.saved, X86_PAGE_SIZE);
		flush_all();
	}
}

static void aligned(void)
{
	all_pieces(USER, 0x808);
	mode_reset();
	all_pieces(KERNEL, 0x800);
}

static void unaligned(void)
{
	all_pieces(USER, 0x80d);
}

static void at_the_end(void)
{
	all_pieces(USER, 0xffd);
}

static const struct test tests[] = {
	{.name = "pieces", .modes = IN_PAGED, .run = aligned},
	{.name = "pieces_unaligned", .modes = IN_PAGED, .run = unaligned},
	{.name = "pieces_crossing", .modes = IN_PAGED, .run = at_the_end},
};
GROUP(group_pieces, tests);
