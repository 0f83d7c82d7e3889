/* SPDX-License-Identifier: MIT */
/* Stores into live tables, by every kind of instruction, of every width, aligned or not. */
#include "tests/guest/guest.h"

/*
 * A table that is in use: entries 0 to N-1 of it map frames with markers BASE + i at gva(i), and
 * all of it is mapped as a page at the window. A second page follows the window, of another table.
 */
#define N_PAGES 8u
#define BASE    0x1000u

struct scene {
	word first; /* address that entry 0 translates */
	word window;
	uint8_t *table;
	uint32_t *frames[N_PAGES];
	enum who who; /* who stores */
};

static struct scene make_scene(enum who who)
{
	struct scene s = {.first = test_gva(0), .window = test_gva_far(1, 0x40), .who = who};
	struct path path;

	for (uint32_t i = 0; i < N_PAGES; i++) {
		s.frames[i] = frame_marked(BASE + i);
		path = path_make(test_gva(i), 1, phys(s.frames[i]) | PTE_ALL);
	}
	s.table = entry_table(path.entry[2]);
	path_make(s.window, 1, phys(s.table) | PTE_ALL);
	flush_all();
	for (unsigned i = 0; i < N_PAGES; i++)
		expect_reads("before", test_gva(i), BASE + i);
	given("who", who);
	return s;
}

static uint8_t *entry_of(const struct scene *s, unsigned i)
{
	return s->table + i * mode->entry_bytes;
}

static uint64_t leaf_of(const struct scene *s, unsigned i)
{
	return phys(s->frames[i]) | PTE_ALL;
}

/* A probe of @op at entry @i through the window. */
static struct probe store(const struct scene *s, enum op op, unsigned i, uint64_t value)
{
	return probe_of(op, s->who, s->window + i * mode->entry_bytes, (word)value);
}

static void run(const char *what, struct probe *probe)
{
	probe_run(probe);
	expect_done(what, probe_outcome(probe));
}

/* After the flush that is due, page @i is the frame of page @j; or absent (j = N_PAGES). */
static void expect_page(const char *what, unsigned i, unsigned j)
{
	word gva = test_gva(i);

	given("page", i);
	invlpg(gva);
	if (j < N_PAGES)
		expect_reads(what, gva, BASE + j);
	else
		expect_fault(what, attempt(OP_READ, USER, gva, 0), X86_PF_U, gva);
}

static void each_who(void (*test)(enum who who))
{
	test(KERNEL);
	mode_reset();
	test(USER);
}

static void whole_entries_by(enum who who)
{
	struct scene s = make_scene(who);
	struct probe probe;

	for (unsigned round = 0; round < 3; round++) {
		given("round", round);
		probe = store(&s, OP_WRITE32, 1, leaf_of(&s, 2));
		run("MOV", &probe);
		expect_page("MOV", 1, 2);
		probe = store(&s, OP_XCHG, 1, leaf_of(&s, 3));
		if (mode->entry_bytes == sizeof(word)) {
			run("XCHG", &probe);
			expect_equal("what XCHG gave", leaf_of(&s, 2) | PTE_AD, probe.ax | PTE_AD);
			expect_page("XCHG", 1, 3);
		}
		probe = store(&s, OP_WRITE, 4, 0);
		run("clear", &probe);
		expect_page("clear", 4, N_PAGES);
		probe = store(&s, OP_OR, 4, leaf_of(&s, 5));
		run("OR", &probe);
		expect_page("OR", 4, 5);
		probe = store(&s, OP_AND, 4, ~(word)1);
		run("AND", &probe);
		expect_page("AND", 4, N_PAGES);
		probe = store(&s, OP_ADD, 4, 1);
		run("ADD", &probe);
		expect_page("ADD", 4, 5);
		probe = store(&s, OP_WRITE32, 1, leaf_of(&s, 1));
		run("MOV back", &probe);
		expect_page("MOV back", 1, 1);
	}
}

static void whole_entries(void)
{
	each_who(whole_entries_by);
}

static void compare_and_exchange_by(enum who who)
{
	struct scene s = make_scene(who);
	struct probe probe = store(&s, OP_CMPXCHG, 1, leaf_of(&s, 2));
	uint64_t other;

	/* It fails: the entry has not this value. */
	probe.ax = 0;
	run("CMPXCHG that fails", &probe);
	expect_page("CMPXCHG that fails", 1, 1);
	probe = store(&s, OP_CMPXCHG, 1, leaf_of(&s, 2));
	if (sizeof(word) == mode->entry_bytes) {
		probe.ax = (word)entry_read(entry_of(&s, 1));
		run("CMPXCHG", &probe);
		expect_page("CMPXCHG", 1, 2);
	}
	/* Eight bytes: one wide entry or two narrow ones. */
	probe = store(&s, OP_CMPXCHG8B, 4, 0);
	other = *(volatile uint64_t *)(s.table + 4 * mode->entry_bytes);
	probe.ax = (uint32_t)other;
	probe.dx = (uint32_t)(other >> 32);
	other = leaf_of(&s, 6) | (mode->entry_bytes == 4 ? leaf_of(&s, 7) << 32 : 0);
	probe.bx = (uint32_t)other;
	probe.cx = (uint32_t)(other >> 32);
	run("CMPXCHG8B", &probe);
	expect_page("CMPXCHG8B", 4, 6);
	expect_page("CMPXCHG8B", 5, mode->entry_bytes == 4 ? 7 : 5);
	if (sizeof(word) == 4 || !cpu.cx16)
		return;
	probe = store(&s, OP_CMPXCHG16B, 2, 0);
	probe.ax = (word)entry_read(entry_of(&s, 2));
	probe.dx = (word)entry_read(entry_of(&s, 3));
	probe.bx = (word)leaf_of(&s, 3);
	probe.cx = (word)leaf_of(&s, 2);
	run("CMPXCHG16B", &probe);
	expect_page("CMPXCHG16B", 2, 3);
	expect_page("CMPXCHG16B", 3, 2);
}

static void compare_and_exchange(void)
{
	each_who(compare_and_exchange_by);
}

static void single_bits_by(enum who who)
{
	struct scene s = make_scene(who);

	for (unsigned bit = 0; bit < 3; bit++) {
		static const uint32_t errors[] = {X86_PF_U | X86_PF_W,
			X86_PF_U | X86_PF_W | X86_PF_P, X86_PF_U | X86_PF_W | X86_PF_P};
		struct probe probe = store(&s, OP_BTR, 3, 0);

		given("bit", bit);
		probe.cx = bit;
		run("BTR", &probe);
		invlpg(test_gva(3));
		expect_fault(
			"BTR", attempt(OP_WRITE, USER, test_gva(3), 0), errors[bit], test_gva(3));
		probe = store(&s, OP_BTS, 3, 0);
		probe.cx = bit;
		run("BTS", &probe);
		invlpg(test_gva(3));
		expect_done("BTS", attempt(OP_WRITE32, USER, test_gva(3), BASE + 3));
		/* The bit may be counted from afar: 3 entries on. */
		probe = store(&s, OP_BTR, 0, 0);
		probe.cx = 3 * 8 * mode->entry_bytes + bit;
		run("BTR from afar", &probe);
		invlpg(test_gva(3));
		expect_fault("BTR from afar", attempt(OP_WRITE, USER, test_gva(3), 0), errors[bit],
			test_gva(3));
		probe = store(&s, OP_BTS, 7, 0);
		probe.cx = (word)(-4 * 8 * (int)mode->entry_bytes + (int)bit);
		run("BTS from the other side", &probe);
		expect_page("BTS from the other side", 3, 3);
	}
}

static void single_bits(void)
{
	each_who(single_bits_by);
}

/* Parts of entries: one byte, two, the half of a wide one. */
static void parts_by(enum who who)
{
	struct scene s = make_scene(who);
	struct probe probe;

	for (unsigned round = 0; round < 3; round++) {
		uint64_t entry = leaf_of(&s, 2);

		given("round", round);
		probe = store(&s, OP_AND8, 2, 0xfd);
		run("ANDB", &probe);
		invlpg(test_gva(2));
		expect_fault("W is gone", attempt(OP_WRITE, USER, test_gva(2), 0),
			X86_PF_P | X86_PF_W | X86_PF_U, test_gva(2));
		expect_reads("P is not", test_gva(2), BASE + 2);
		probe = store(&s, OP_WRITE8, 2, entry & 0xff);
		run("MOVB", &probe);
		expect_page("MOVB", 2, 2);
		expect_done("W is back", attempt(OP_WRITE32, USER, test_gva(2), BASE + 2));
		/* The second byte has bits of the frame. */
		probe = store(&s, OP_WRITE8, 2, leaf_of(&s, 3) >> 8);
		probe.di += 1;
		run("MOVB at 1", &probe);
		probe = store(&s, OP_WRITE16, 2, leaf_of(&s, 3) >> 16);
		probe.di += 2;
		run("MOVW at 2", &probe);
		expect_page("MOVB at 1, MOVW at 2", 2, 3);
		probe = store(&s, OP_WRITE16, 2, entry);
		run("MOVW at 0", &probe);
		probe = store(&s, OP_WRITE16, 2, entry >> 16);
		probe.di += 2;
		run("MOVW at 2", &probe);
		expect_page("MOVW at 0 and 2", 2, 2);
	}
}

static void parts(void)
{
	each_who(parts_by);
}

/* The upper half of a wide entry: NX, or an address far away. */
static void upper_half(void)
{
	struct scene s = make_scene(USER);
	struct probe probe;

	if (!cpu.nx)
		skip("no NX");
	*(volatile uint16_t *)s.frames[2] = 0x30cd;
	for (unsigned round = 0; round < 3; round++) {
		given("round", round);
		probe = store(&s, OP_WRITE32, 2, 0x80000000);
		probe.di += 4;
		run("NX on", &probe);
		invlpg(test_gva(2));
		expect_fault("fetch", attempt(OP_FETCH, USER, test_gva(2), 0),
			X86_PF_P | X86_PF_U | X86_PF_I, test_gva(2));
		expect_done("read", attempt(OP_READ, USER, test_gva(2), 0));
		probe = store(&s, OP_WRITE32, 2, 0);
		probe.di += 4;
		run("NX off", &probe);
		invlpg(test_gva(2));
		expect_done("fetch", attempt(OP_FETCH, USER, test_gva(2), 0));
		probe = store(&s, OP_WRITE8, 2, 0x80);
		probe.di += 7;
		run("the last byte", &probe);
		invlpg(test_gva(2));
		expect_fault("fetch", attempt(OP_FETCH, USER, test_gva(2), 0),
			X86_PF_P | X86_PF_U | X86_PF_I, test_gva(2));
		probe = store(&s, OP_AND8, 2, 0x7f);
		probe.di += 7;
		run("ANDB of the last byte", &probe);
		invlpg(test_gva(2));
		expect_done("fetch", attempt(OP_FETCH, USER, test_gva(2), 0));
	}
}

static void strings_by(enum who who)
{
	struct scene s = make_scene(who);
	struct probe probe;
	unsigned words = 3 * mode->entry_bytes / (unsigned)sizeof(word);

	for (unsigned round = 0; round < 3; round++) {
		given("round", round);
		probe = store(&s, OP_REP_STOS, 1, 0);
		probe.ax = 0;
		probe.cx = words;
		run("REP STOS of three", &probe);
		expect_equal("its count", 0, probe.cx);
		expect_equal("its address", s.window + 4 * mode->entry_bytes, probe.di);
		expect_page("REP STOS, before", 0, 0);
		for (unsigned i = 1; i < 4; i++)
			expect_page("REP STOS", i, N_PAGES);
		expect_page("REP STOS, behind", 4, 4);
		/* Entries 4 to 6 to 1 to 3. */
		probe = store(&s, OP_REP_MOVS, 1, s.window + 4 * mode->entry_bytes);
		probe.cx = words;
		run("REP MOVS of three", &probe);
		for (unsigned i = 1; i < 4; i++)
			expect_page("REP MOVS", i, i + 3);
		/* Downwards, each entry on top of the next: 1 to 3 are what 0 to 2 were. */
		probe = store(&s, OP_REP_MOVS, 4, 0);
		probe.di -= sizeof(word);
		probe.si = probe.di - mode->entry_bytes;
		probe.cx = words;
		probe.flags |= 1u << 10; /* DF */
		run("REP MOVS downwards", &probe);
		expect_page("REP MOVS downwards", 1, 0);
		expect_page("REP MOVS downwards", 2, 4);
		expect_page("REP MOVS downwards", 3, 5);
		for (unsigned i = 1; i < 4; i++)
			entry_write(entry_of(&s, i), leaf_of(&s, i));
		flush_all();
	}
}

static void strings(void)
{
	each_who(strings_by);
}

/* A string instruction that runs from a table into a page that is absent: done up to there. */
static void string_into_a_hole(void)
{
	struct scene s = make_scene(USER);
	word end = s.window + X86_PAGE_SIZE;
	struct probe probe = store(&s, OP_REP_STOS, 0, 0);
	unsigned before = 5;

	for (unsigned round = 0; round < 3; round++) {
		given("round", round);
		probe = store(&s, OP_REP_STOS, 0, 0);
		probe.di = end - before * (word)sizeof(word);
		probe.cx = 100;
		probe.ax = (word)0x0202020202020202ull;
		probe_run(&probe);
		expect_fault("REP STOS", probe_outcome(&probe), X86_PF_U | X86_PF_W, end);
		expect_equal("its count", 100 - before, probe.cx);
		expect_equal("its address", end, probe.di);
		for (unsigned i = 0; i <= before; i++)
			expect_equal("what it stored", i < before ? 0x02020202 : 0,
				*(uint32_t *)(s.table + X86_PAGE_SIZE - (i + 1) * sizeof(word)));
		for (unsigned i = 0; i < before; i++)
			*(word *)(s.table + X86_PAGE_SIZE - (i + 1) * sizeof(word)) = 0;
		/* Now with the table empty up to the end: downwards into the hole before it. */
		expect_page("the first entry", 0, 0);
	}
}

/* The stack lies in a table. */
static void pushes(void)
{
	struct scene s = make_scene(USER);
	struct probe probe;

	for (unsigned round = 0; round < 3; round++) {
		volatile word *below =
			(volatile word *)(s.table + 3 * mode->entry_bytes - sizeof(word));
		word old = *below;

		given("round", round);
		if (sizeof(word) == mode->entry_bytes) {
			probe = store(&s, OP_PUSH, 3, leaf_of(&s, 5));
			run("PUSH", &probe);
			expect_page("PUSH", 2, 5);
		}
		probe = store(&s, OP_CALL, 3, 0);
		run("CALL", &probe);
		expect_equal("what CALL pushed", USER_CODE, *below & ~(word)0x3fff);
		*below = old;
		expect_page("as it was", 2, 2);
		/* POP of what the user's stack holds. */
		probe = store(&s, OP_POP, 2, 0);
		probe.sp -= sizeof(word);
		run("POP", &probe);
		expect_equal("the stack after POP", USER_STACK + X86_PAGE_SIZE, probe.sp);
		entry_write(entry_of(&s, 2), leaf_of(&s, 2));
		expect_page("as it was", 2, 2);
	}
}

static void sse_by(enum who who)
{
	struct scene s = make_scene(who);
	struct probe probe;
	uint64_t *source = frame_new();
	word at = test_gva_far(1, 0x80);
	unsigned n = 16 / mode->entry_bytes;

	path_make(at, 1, phys(source) | PTE_ALL);
	for (unsigned round = 0; round < 3; round++) {
		given("round", round);
		for (unsigned i = 0; i < n; i++)
			entry_write((uint8_t *)source + i * mode->entry_bytes, leaf_of(&s, 7 - i));
		probe = store(&s, OP_SSE_LOAD, 0, 0);
		probe.di = at;
		run("load", &probe);
		probe = store(&s, OP_SSE_STORE, 1, 0);
		run("SSE store", &probe);
		for (unsigned i = 0; i < n; i++)
			expect_page("SSE store", 1 + i, 7 - i);
		expect_page("SSE store, before", 0, 0);
		for (unsigned i = 0; i < n; i++) {
			entry_write(entry_of(&s, 1 + i), leaf_of(&s, 1 + i));
			expect_page("MOV", 1 + i, 1 + i);
		}
	}
}

static void sse(void)
{
	each_who(sse_by);
}

/* A store across the end of one table into the next page, also a table, or absent, or read-only. */
static void crossing_by(enum who who)
{
	struct scene s = make_scene(who);
	unsigned last = (1u << mode->index_bits) - 1;
	uint32_t fault = (who == USER ? X86_PF_U : 0) | X86_PF_W;
	word far = (test_gva(0) & ~(word)(level_bytes(2) - 1)) + last * X86_PAGE_SIZE;
	word end = s.window + X86_PAGE_SIZE;
	word half = sizeof(word) / 2;
	uint8_t *next = frame_new();
	struct path second;
	word value = (word)0x0102030405060708ull;

	for (unsigned round = 0; round < 3; round++) {
		volatile word *tail = (volatile word *)(s.table + X86_PAGE_SIZE - sizeof(word));

		given("round", round);
		*tail = 0;
		second = path_make(end, 1, 0);
		invlpg(end);
		expect_fault("into an absent page", attempt(OP_WRITE, who, end - half, value),
			fault, end);
		expect_equal("nothing was stored", 0, *tail);
		path_set(&second, 1, phys(next) | X86_PTE_P | X86_PTE_U);
		invlpg(end);
		expect_fault("into a read-only page", attempt(OP_WRITE, who, end - half, value),
			fault | X86_PF_P, end);
		expect_equal("nothing was stored", 0, *tail);
		path_set(&second, 1, phys(next) | PTE_ALL);
		invlpg(end);
		expect_done("into a page", attempt(OP_WRITE, who, end - half, value));
		expect_equal("the first half", value << (8 * half), *tail);
		expect_equal("the second half", value >> (8 * half), *(volatile word *)next);
		/* The table still is one. */
		entry_write(entry_of(&s, last), leaf_of(&s, 1));
		invlpg(far);
		expect_reads("the last entry", far, BASE + 1);
		entry_write(entry_of(&s, last), 0);
		invlpg(far);
		expect_fault("cleared", attempt(OP_READ, USER, far, 0), X86_PF_U, far);
		*(volatile word *)next = 0;
	}
}

static void crossing(void)
{
	each_who(crossing_by);
}

/* One store over two entries: the end of one and the beginning of the next. */
static void over_two_entries(void)
{
	struct scene s = make_scene(USER);
	word half = sizeof(word) / 2;

	for (unsigned round = 0; round < 4; round++) {
		word at = s.window + 3 * mode->entry_bytes - half;
		volatile word *mine = (volatile word *)(s.table + 3 * mode->entry_bytes - half);
		word old = *mine;

		given("round", round);
		expect_done("clear", attempt(OP_WRITE, USER, at, 0));
		invlpg(test_gva(2));
		expect_page("the second", 3, N_PAGES);
		expect_done("set", attempt(OP_WRITE, USER, at, old));
		expect_page("the first", 2, 2);
		expect_page("the second", 3, 3);
	}
}

/* Stores that change upper entries: a whole table at once. */
static void upper_entries(void)
{
	struct scene s = make_scene(USER);
	struct path path = path_make(s.first, 1, leaf_of(&s, 0));

	for (unsigned level = 2; level <= mode->level_max; level++) {
		uint8_t *table = (uint8_t *)((uintptr_t)path.entry[level] & ~(uintptr_t)0xfff);
		word at = s.window + X86_PAGE_SIZE + (word)(path.entry[level] - (void *)table);
		uint64_t entry = path_get(&path, level);

		path_make(s.window + X86_PAGE_SIZE, 1, phys(table) | PTE_ALL);
		flush_all();
		for (unsigned round = 0; round < 4; round++) {
			given("level", level);
			given("round", round);
			expect_done("clear P", attempt(OP_AND8, USER, at, 0xfe));
			expect_page("absent", 0, N_PAGES);
			expect_done("set", attempt(OP_WRITE32, USER, at, (word)entry));
			expect_page("present", 0, 0);
			expect_done("clear U", attempt(OP_AND8, USER, at, 0xfb));
			invlpg(s.first);
			expect_fault("supervisor", attempt(OP_READ, USER, s.first, 0),
				X86_PF_P | X86_PF_U, s.first);
			expect_done("set", attempt(OP_WRITE32, USER, at, (word)entry));
			expect_page("present", 0, 0);
		}
	}
}

static const struct test tests[] = {
	{.name = "store", .modes = IN_PAGED, .run = whole_entries},
	{.name = "store_cmpxchg", .modes = IN_PAGED, .run = compare_and_exchange},
	{.name = "store_bits", .modes = IN_PAGED, .run = single_bits},
	{.name = "store_parts", .modes = IN_PAGED, .run = parts},
	{.name = "store_upper_half", .modes = IN_WIDE, .run = upper_half},
	{.name = "store_string", .modes = IN_PAGED, .run = strings},
	{.name = "store_string_hole", .modes = IN_PAGED, .run = string_into_a_hole},
	{.name = "store_stack", .modes = IN_PAGED, .run = pushes},
	{.name = "store_sse", .modes = IN_PAGED, .run = sse},
	{.name = "store_crossing", .modes = IN_PAGED, .run = crossing},
	{.name = "store_two_entries", .modes = IN_PAGED, .run = over_two_entries},
	{.name = "store_upper", .modes = IN_PAGED, .run = upper_entries},
};
GROUP(group_store, tests);
