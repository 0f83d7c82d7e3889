/* SPDX-License-Identifier: MIT */
/*
 * From every mode to every other at run time, real mode too; and what is without paging. 32-bit
 * world: the others are visited from here.
 */
#include "tests/guest/guest.h"

/* ---- real mode ---- */

extern const uint8_t real_begin[];
extern const uint8_t real_end[];
extern const uint16_t real_count_offset;
extern const uint16_t real_gp_offset;
void real_visit(void);

static volatile uint32_t *const mail = (volatile uint32_t *)REAL_MAIL;

static void set_real_vector(unsigned vector, uint16_t offset)
{
	volatile uint16_t *entry = (volatile uint16_t *)(uintptr_t)(4 * vector);

	/* The table of real mode begins at address 0, which C does not think to be memory. */
	__asm__("" : "+r"(entry));
	entry[0] = offset;
	entry[1] = 0;
}

/* One visit, which must see @marker and write to @anywhere. */
static void visit_real_mode(uint32_t marker, volatile uint32_t *anywhere, bool refused)
{
	for (unsigned i = 0; real_begin + i < real_end; i++)
		((volatile uint8_t *)REAL_CODE)[i] = real_begin[i];
	set_real_vector(REAL_VECTOR, real_count_offset);
	set_real_vector(X86_GP, real_gp_offset);
	mail[0] = marker;
	mail[1] = 0;
	mail[4] = (uint32_t)anywhere;
	mail[6] = ~marker;
	mail[8] = refused;
	*anywhere = marker;
	real_visit();
	expect_equal("through a segment", marker + 1, mail[1]);
	expect_equal("interrupts", 2, mail[2]);
	expect_equal("PE and PG in CR0", 0, mail[3] & (X86_CR0_PE | (uint32_t)X86_CR0_PG));
	expect_equal("read beyond 1 MiB", marker, mail[5]);
	expect_equal("written beyond 1 MiB", ~marker, *anywhere);
	expect_equal("#GP", refused, mail[7]);
}

static void real_mode(void)
{
	uint32_t *frame = frame_new();

	for (uint32_t i = 0; i < 8; i++) {
		given("visit", i);
		visit_real_mode(i * 0x1234567, &frame[i], false);
	}
}

static void real_mode_no_paging(void)
{
	visit_real_mode(5, frame_new(), true);
}

/* ---- tables of all modes, and reading through them ---- */

#define GVA    0x40003000u
#define N_KEPT (N_MODES + 1u) /* and real mode */

struct kept {
	void *root;
	void *entry; /* leaf of GVA */
	uint32_t marker;
};

/* A root of @id with a page of @marker at GVA, of whose tables none is shared with another's. */
static struct kept keep(enum mode_id id, uint32_t marker)
{
	const struct mode *now = mode;
	struct kept kept = {.root = frame_new(), .marker = marker};

	mode = &modes[id];
	memory_copy(kept.root, (const void *)mode_root(id), X86_PAGE_SIZE);
	table_own_low(kept.root);
	kept.entry = path_make_in(kept.root, GVA, 1, phys(frame_marked(marker)) | PTE_ALL).entry[1];
	mode = now;
	return kept;
}

/* Another page for GVA. */
static void renew(enum mode_id id, struct kept *kept, uint32_t marker)
{
	const struct mode *now = mode;

	mode = &modes[id];
	entry_write(kept->entry, phys(frame_marked(marker)) | PTE_ALL);
	mode = now;
	kept->marker = marker;
}

/* GVA as mode @id sees it; from and to the unpaged mode. */
static uint32_t read_in(enum mode_id id, const struct kept *kept)
{
	struct outcome got;

	if (IN(id) & IN_LONG) {
		shared->job = JOB_READ;
		shared->root = (uint32_t)kept->root;
		shared->gva = GVA;
		world64_call(id);
		return shared->value;
	}
	mode_enter(id);
	write_cr3((word)kept->root);
	got = attempt(OP_READ32, KERNEL, GVA, 0);
	mode_leave();
	return got.vector == TRAP_DONE ? (uint32_t)got.value : ~0u;
}

static void visit(unsigned which, struct kept *kept, uint32_t *frame)
{
	given("mode", which);
	if (which == N_MODES) {
		visit_real_mode(kept->marker, frame, false);
	} else if (which == UNPAGED) {
		*(volatile uint32_t *)frame = kept->marker;
		expect_reads("without paging", (word)frame, kept->marker);
	} else {
		expect_equal("its own page", kept->marker, read_in((enum mode_id)which, kept));
	}
}

/* Every ordered pair: a, b, a again, with the tables of a changed while in b. */
static void every_pair(void)
{
	struct kept kept[N_KEPT] = {{.root = NULL}};
	uint32_t *frame = frame_new();
	uint32_t marker = 0x100;

	for (unsigned i = 0; i < N_KEPT; i++) {
		if (i == UNPAGED || i == N_MODES)
			kept[i].marker = marker++;
		else if (mode_possible((enum mode_id)i))
			kept[i] = keep((enum mode_id)i, marker++);
	}
	for (unsigned a = 0; a < N_KEPT; a++) {
		for (unsigned b = 0; b < N_KEPT; b++) {
			if (!kept[a].marker || !kept[b].marker)
				continue;
			given("from", a);
			given("to", b);
			visit(a, &kept[a], frame);
			visit(b, &kept[b], frame);
			if (kept[a].root)
				renew((enum mode_id)a, &kept[a], marker++);
			visit(a, &kept[a], frame);
		}
	}
}

/*
 * One frame is the page directory of 2-level paging and, by its first 32 bytes, the PDPTEs of PAE:
 * CR4.PAE then changes the mode under running code. (Life begins at 32 MiB for this: entry 8.)
 */
static void pae_toggled_while_paging(void)
{
	struct kept narrow = keep(TWO_LEVEL, 0x2222);
	struct kept wide = keep(PAE, 0x3333);

	memory_copy(narrow.root, wide.root, 32);
	mode_enter(TWO_LEVEL);
	write_cr3((word)narrow.root);
	for (uint32_t i = 0; i < 8; i++) {
		given("round", i);
		expect_reads("2-level", GVA, narrow.marker);
		expect_done("2-level, user", attempt(OP_WRITE32, USER, GVA + 8, i));
		renew(PAE, &wide, 0x3000 + i);
		write_cr4(read_cr4() | X86_CR4_PAE);
		mode = &modes[PAE];
		expect_reads("PAE", GVA, wide.marker);
		expect_done("PAE, user", attempt(OP_WRITE32, USER, GVA + 8, i));
		renew(TWO_LEVEL, &narrow, 0x2000 + i);
		write_cr4(read_cr4() & ~X86_CR4_PAE);
		mode = &modes[TWO_LEVEL];
	}
	mode_leave();
}

/* One page as the lowest table of several modes in turn: 4-byte entries and 8-byte ones. */
static void one_table_in_two_formats(void)
{
	struct kept narrow = keep(TWO_LEVEL, 0x2222);
	struct kept wide = keep(PAE, 0x3333);
	/* Leaf 3 of the narrow one lies in bytes 12 to 15, of the wide one in 24 to 31: no clash.
	 */
	uint32_t *table = (uint32_t *)((uintptr_t)narrow.entry & ~0xfffu);
	uint32_t *directory = entry_table(&((uint32_t *)wide.root)[2]);
	uint32_t leaf = *(uint32_t *)wide.entry;

	table[6] = leaf;
	table[7] = 0;
	directory[0] = (uint32_t)table | (uint32_t)PTE_ALL;
	wide.entry = &table[6];
	for (uint32_t i = 0; i < 6; i++) {
		given("round", i);
		expect_equal("2-level", narrow.marker, read_in(TWO_LEVEL, &narrow));
		renew(PAE, &wide, 0x3000 + i);
		expect_equal("PAE", wide.marker, read_in(PAE, &wide));
		renew(TWO_LEVEL, &narrow, 0x2000 + i);
	}
}

/* Paging goes off and on again with the same CR3, tables changed in between. */
static void paging_off_and_on(void)
{
	for (unsigned id = TWO_LEVEL; id < N_MODES; id++) {
		struct kept kept;

		if (!mode_possible((enum mode_id)id))
			continue;
		given("mode", id);
		kept = keep((enum mode_id)id, id);
		for (uint32_t i = 0; i < 6; i++) {
			expect_equal("its page", kept.marker, read_in((enum mode_id)id, &kept));
			renew((enum mode_id)id, &kept, i + 0x1000 * id);
		}
	}
}

/* ---- no paging ---- */

/* Whatever CR3 holds and CR4 says, there is no translation, no right and nothing set in tables. */
static void no_paging(void)
{
	static const uint64_t cr4_bits[] = {
		0, X86_CR4_PSE, X86_CR4_PAE, X86_CR4_PGE, X86_CR4_SMEP, X86_CR4_SMAP};
	uint32_t *table = frame_new();
	uint32_t *frame = frame_new();
	uint64_t cr4 = read_cr4();

	for (unsigned i = 0; i < 1024; i++)
		table[i] = (i << 22) | X86_PTE_P | X86_PTE_PS;
	for (unsigned i = 0; i < sizeof(cr4_bits) / sizeof(*cr4_bits); i++) {
		if ((!cpu.smep && cr4_bits[i] == X86_CR4_SMEP) ||
			(!cpu.smap && cr4_bits[i] == X86_CR4_SMAP))
			continue;
		given("cr4", cr4_bits[i]);
		write_cr3(i & 1 ? 0x12345018 : (uintptr_t)table);
		write_cr4(cr4 | cr4_bits[i]);
		for (enum who who = KERNEL; who <= USER; who += USER) {
			given("who", who);
			frame[0] = i;
			frame[1] = 0x30cd;
			expect_value("read", attempt(OP_READ, who, (word)frame, 0), i);
			expect_done("write", attempt(OP_WRITE, who, (word)frame, i + 9));
			expect_equal("in memory", i + 9, *(volatile uint32_t *)frame);
			expect_done("fetch", attempt(OP_FETCH, who, (word)&frame[1], 0));
			invlpg((word)frame);
		}
		write_cr4(cr4);
	}
	for (unsigned i = 0; i < 1024; i++)
		expect_equal("an entry of what is no table", (i << 22) | X86_PTE_P | X86_PTE_PS,
			table[i]);
}

/* Memory where there is none reads as something and takes every store. */
static void no_memory(void)
{
	static const uint32_t holes[] = {0xd0000000, 0xb0000ffc, 0xf0000000};

	for (unsigned i = 0; i < 3; i++) {
		given("at", holes[i]);
		expect_done("read", attempt(OP_READ, KERNEL, holes[i], 0));
		expect_done("write", attempt(OP_WRITE, KERNEL, holes[i], 1));
		expect_done("read", attempt(OP_READ8, USER, holes[i] + 3, 0));
	}
}

static const struct test tests[] = {
	{.name = "no_paging", .modes = IN(UNPAGED), .run = no_paging},
	{.name = "no_memory", .modes = IN(UNPAGED), .run = no_memory},
	{.name = "real_mode", .modes = IN(UNPAGED), .run = real_mode},
	{.name = "real_mode_refused",
		.modes = IN(UNPAGED),
		.run = real_mode_no_paging,
		.departs_in = ROWS(ROW_NONE),
		.departs = "TCG takes CR0.PG without PE"},
	{.name = "every_pair", .modes = IN(UNPAGED), .run = every_pair},
	{.name = "paging_off_on", .modes = IN(UNPAGED), .run = paging_off_and_on},
	{.name = "pae_toggled", .modes = IN(UNPAGED), .run = pae_toggled_while_paging},
	{.name = "two_formats", .modes = IN(UNPAGED), .run = one_table_in_two_formats},
};
GROUP(group_switch, tests);
