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
/* The last of them: what is not emulated where nothing else would help. */
extern const struct piece pieces_rare[];

/* Flags that instructions define: CF, PF, ZF, SF, DF, OF. */
#define FLAGS_JUDGED 0xcc5u
/* Offsets in the table between which entries are in use, with the places of stores between. */
#define FIRST_USED 0x7c0u
#define END_USED   0x880u
/* Registers at first. */
#define START_AX 0x8877665544332211ull
#define START_BX 2u
#define START_CX 3u
#define START_DX 0x5a5b5c5du
#define START_SI 0x1eu
/* No piece stores more. */
#define NEAR_BYTES 256u

struct scene {
	uint8_t *table;      /* what is stored into: a table */
	uint8_t *data;       /* the same as data */
	uint8_t *saved;      /* what both hold before */
	uint8_t *table_near; /* the bytes before or behind them in their windows, zero before */
	uint8_t *data_near;
	word table_at; /* windows of two pages each, at the same place in a page */
	word data_at;
	word used_gva; /* translated by the table */
};

/* @page at @gva, and @near behind or before it. Returns the bytes of @near next to @page. */
static uint8_t *window(word gva, const void *page, uint8_t *near, bool before)
{
	path_make(gva, 1, phys(page) | PTE_ALL);
	path_make(before ? gva - X86_PAGE_SIZE : gva + X86_PAGE_SIZE, 1, phys(near) | PTE_ALL);
	return before ? near + X86_PAGE_SIZE - NEAR_BYTES : near;
}

/* Both windows through all of their tables, so that nothing has to be set in these later. */
static void warm_up(const struct scene *s, word near)
{
	for (enum who who = KERNEL; who <= USER; who += USER) {
		for (unsigned i = 0; i < 2; i++) {
			word at = i == 0 ? 0 : near;

			expect_done("write", attempt(OP_AND8, who, s->table_at + at, 0xff));
			expect_done("write", attempt(OP_AND8, who, s->data_at + at, 0xff));
		}
		expect_done("write", attempt(OP_AND8, who, s->used_gva, 0xff));
	}
}

/* XSAVE and AVX: states x87, SSE and AVX. SDM 1 "Enabling the XSAVE Feature Set". */
static void enable_extended_state(void)
{
	if (!cpu.xsave)
		return;
	write_cr4(read_cr4() | X86_CR4_OSXSAVE);
	write_xcr0(cpu.avx ? 7 : 3);
}

static struct scene make_scene(bool before)
{
	struct scene s = {
		.data = frame_new(),
		.saved = frame_new(),
		.used_gva = test_gva(0),
		.table_at = test_gva_far(1, 0x20),
		.data_at = test_gva_far(1, 0x30),
	};
	struct path path = path_make(s.used_gva, 1, phys(frame_marked(0x77777777)) | PTE_ALL);

	s.table = (uint8_t *)((uintptr_t)path.entry[2] & ~(uintptr_t)0xfff);
	s.table_near = window(s.table_at, s.table, frame_new(), before);
	s.data_near = window(s.data_at, s.data, frame_new(), before);
	warm_up(&s, before ? (word)0 - 8 : X86_PAGE_SIZE);
	/* Entries around those that are stored into refer to a table, too. */
	for (unsigned at = FIRST_USED; at < END_USED; at += mode->entry_bytes)
		entry_write(s.table + at, path_get(&path, 2));
	memory_copy(s.saved, s.table, X86_PAGE_SIZE);
	enable_extended_state();
	flush_all();
	return s;
}

/* For XMM0. */
static const uint8_t pattern[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct probe run(const struct piece *piece, enum who who, word at)
{
	struct probe probe = probe_of(OP_READ, who, at, START_SI);
	word *top;

	probe.ip = (word)piece->code;
	if (who == USER)
		probe.ip = (word)(USER_CODE + (piece->code - probe_code));
	probe.sp -= 128;
	top = (word *)(who == USER ? (word)user_stack + (probe.sp - USER_STACK) : probe.sp);
	top[0] = 0x600d600d; /* for POP */
	__asm__ volatile("fninit; fldpi; movups %0, %%xmm0" : : "m"(*pattern));
	probe.ax = (word)START_AX;
	probe.bx = START_BX;
	probe.cx = START_CX;
	probe.dx = START_DX;
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
	for (unsigned i = 0; i < NEAR_BYTES; i++) {
		given("near", i);
		expect_equal(name, s->data_near[i], s->table_near[i]);
	}
}

/* Every piece up to @end (NULL: all) on the data and on the table, @at bytes into their windows. */
static void each_piece(const struct scene *s, enum who who, word at, const struct piece *end)
{
	given("who", who);
	given("offset", at);
	for (const struct piece *piece = pieces; piece->name && piece != end; piece++) {
		struct probe table;
		struct probe data;

		memory_copy(s->data, s->saved, X86_PAGE_SIZE);
		memory_fill(s->data_near, 0, NEAR_BYTES);
		memory_fill(s->table_near, 0, NEAR_BYTES);
		expect_reads("the table is in use", s->used_gva, 0x77777777);
		data = run(piece, who, s->data_at + at);
		table = run(piece, who, s->table_at + at);
		compare(s, &table, &data, piece->name);
		memory_copy(s->table, s->saved, X86_PAGE_SIZE);
		flush_all();
	}
}

static void all_pieces(enum who who, int offset)
{
	struct scene s = make_scene(offset < 0);

	each_piece(&s, who, (word)offset, NULL);
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

/* The other way round; with 2 levels life's own entries would be hit. */
static void at_the_beginning(void)
{
	all_pieces(USER, -3);
	mode_reset();
	all_pieces(USER, -1);
}

/*
 * The supervisor writes to a page of the user's that is read-only: with CR0.WP=0, SMAP and AC. No
 * shadow entry can say that it may, and that the user may not. First in a table, then in data.
 */
static void forced(void)
{
	for (unsigned in_data = 0; in_data < 2; in_data++) {
		struct scene s = make_scene(false);

		given("in data", in_data);
		if (in_data) {
			s.table = frame_new();
			memory_copy(s.table, s.saved, X86_PAGE_SIZE);
		}
		path_make(s.table_at, 1, phys(s.table) | X86_PTE_P | X86_PTE_U);
		path_make(s.used_gva, 1, phys(frame_marked(0x77777777)) | X86_PTE_P);
		if (cpu.smap)
			write_cr4(read_cr4() | X86_CR4_SMAP);
		write_cr0(read_cr0() & ~X86_CR0_WP);
		flush_all();
		each_piece(&s, KERNEL_AC, 0x800, pieces_rare);
		mode_reset();
	}
}

/* A piece whose first instruction is refused has changed nothing: flags and registers neither. */
static void refused(void)
{
	word gva = test_gva(0);
	uint32_t *frame = frame_marked(0xa5a5a5a5);
	unsigned n_refused = 0;

	path_make(gva, 1, phys(frame) | X86_PTE_P | X86_PTE_U);
	for (unsigned i = 0; pieces[i].name; i++) {
		const char *name = pieces[i].name;
		struct probe probe = run(&pieces[i], USER, gva + 0x800);

		expect_equal(name, 0xa5a5a5a5, frame[0x800 / 4]);
		if (probe.vector != X86_PF ||
			probe.ip != (word)(USER_CODE + (pieces[i].code - probe_code)))
			continue;
		n_refused++;
		expect_equal(name, 0, probe.flags & FLAGS_JUDGED);
		expect_equal(name, (word)START_AX, probe.ax);
		expect_equal(name, START_BX, probe.bx);
		expect_equal(name, START_CX, probe.cx);
		expect_equal(name, START_DX, probe.dx);
		expect_equal(name, START_SI, probe.si);
		expect_equal(name, gva + 0x800, probe.di);
	}
	expect_true("most are refused", n_refused > 60);
}

static const struct test tests[] = {
	{.name = "pieces", .modes = IN_PAGED, .run = aligned},
	{.name = "pieces_forced", .modes = IN_PAGED, .run = forced},
	{.name = "pieces_refused", .modes = IN_PAGED, .run = refused},
	{.name = "pieces_unaligned", .modes = IN_PAGED, .run = unaligned},
	{.name = "pieces_crossing", .modes = IN_PAGED, .run = at_the_end},
	{.name = "pieces_crossing_into", .modes = IN_WIDE, .run = at_the_beginning},
};
GROUP(group_pieces, tests);
