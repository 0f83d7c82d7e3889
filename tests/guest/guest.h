/* SPDX-License-Identifier: MIT */
/*
 * The bare paging-test guest: what a test is, and what it may use.
 *
 * One multiboot image holds two worlds, built from the same sources: one of 32-bit code, which runs
 * without paging and with 2-level and PAE tables, and one of 64-bit code, which runs with 4 and 5
 * levels. A test is a function in a table; it is run once in each mode of its mask, with fresh
 * tables, and judges by expect_*(). It may leave everything as it likes but the life mapping, the
 * GDT's first entries and the IDT, which are put right before the next test too.
 */
#ifndef TESTS_GUEST_GUEST_H
#define TESTS_GUEST_GUEST_H

#include <stddef.h>

#include "tests/guest/cpu.h"
#include "tests/guest/layout.h"

/* ---- modes ---- */

enum mode_id { UNPAGED, TWO_LEVEL, PAE, FOUR_LEVEL, FIVE_LEVEL, N_MODES };

/* Masks of modes. */
#define IN(id) (1u << (id))
enum {
	IN_32 = IN(UNPAGED) | IN(TWO_LEVEL) | IN(PAE),
	IN_LONG = IN(FOUR_LEVEL) | IN(FIVE_LEVEL),
	IN_PAGED = IN(TWO_LEVEL) | IN(PAE) | IN_LONG,
	IN_WIDE = IN(PAE) | IN_LONG, /* entries of 8 bytes */
	IN_ALL = IN_32 | IN_LONG,
};

struct mode {
	const char *name;
	enum mode_id id;
	unsigned levels;      /* 0: no paging */
	unsigned entry_bytes; /* of a table entry */
	unsigned index_bits;  /* of an address, for each level */
	unsigned level_max;   /* highest level whose entries carry rights: PDPTEs of PAE do not */
	uint64_t test_va;     /* addresses from here to test_end are free for tests */
	uint64_t test_end;
	uint64_t cr4; /* what CR4 must have for it */
};

extern const struct mode modes[N_MODES];
/* The mode that tests run in now. */
extern const struct mode *mode;

/* Once, before any mode is entered. */
void mode_tables_make(void);
/* Enter @id from the unpaged mode (32-bit world), or take over the mode that long_call has entered
 * (64-bit world). */
void mode_enter(enum mode_id id);
/* Back to no paging (32-bit world). */
void mode_leave(void);
/* Every control register, key register and table as a test may expect it. */
void mode_reset(void);
/* Is the mode there on this processor? */
bool mode_possible(enum mode_id id);
/* CR3 for @id's own tables, which map life and the user's window only. */
word mode_root(enum mode_id id);

/* ---- tables ---- */

/* A frame of zeros, mapped at its own address. Given until the next test. */
void *frame_new(void);

/* A frame with @marker in each 32-bit word, which no other frame of the test has if @marker is not
 * used twice. */
uint32_t *frame_marked(uint32_t marker);

/* The root table of the running test, in CR3. */
void *table_root(void);

/* mode_reset(): all frames are free again, and the root is a copy of @base (NULL: none). */
void table_reset(const void *base);

/* A word of a table, of the mode's width. */
uint64_t entry_read(const void *entry);
void entry_write(void *entry, uint64_t value);

/* Address number @n, in pages, of those that are free for tests; and one in another entry of the
 * root's, the @i-th (0 to 1). */
word test_gva(unsigned n);
word test_gva_far(unsigned i, unsigned n);

/* Bytes that one entry of @level maps, and the table index of @gva there. */
uint64_t level_bytes(unsigned level);
unsigned level_index(word gva, unsigned level);

/* The table that @entry, not a leaf, refers to. */
void *entry_table(const void *entry);

/* Give @root copies of the tables that it shares with other roots for low addresses, of every level
 * above 1. CR3 is to be loaded then. */
void table_own_low(void *root);

/* The entries that translate one address, from the root's down to level 1. */
struct path {
	word gva;
	unsigned leaf;  /* its level */
	void *entry[6]; /* by level; NULL where there is none */
};

/*
 * Make @gva be translated by an entry @leaf at @leaf_level, through tables that give every right;
 * missing ones are made. PS is added where a large page needs it. In PAE mode CR3 is loaded again
 * if a PDPTE had to be made. Nothing is flushed.
 */
struct path path_make(word gva, unsigned leaf_level, uint64_t leaf);

/* The same in the tables below @root, which need not be in CR3. */
struct path path_make_in(void *root, word gva, unsigned leaf_level, uint64_t leaf);

/* Entry of @path at @level. */
uint64_t path_get(const struct path *path, unsigned level);
void path_set(const struct path *path, unsigned level, uint64_t value);

/* The bit that makes an entry of @level a large page: 0 for level 1. */
uint64_t large_bit(unsigned level);
/* Can a leaf be at @level, in this mode and on this processor? (CR4.PSE is set by mode_reset.) */
bool level_has_leaf(unsigned level);

/* Physical address of something in life memory. */
static inline uint64_t phys(const void *at)
{
	return (uintptr_t)at;
}

/* Flush every translation, global ones too. */
void flush_all(void);

#define PTE_ALL (X86_PTE_P | X86_PTE_W | X86_PTE_U)
#define PTE_AD  (X86_PTE_A | X86_PTE_D)

/* ---- probes: an instruction, at a privilege level, and what became of it ---- */

/* In and out: registers before, and as they were when the instruction trapped. Layout: layout.h. */
struct probe {
	word ip, cs, flags, sp, ss;
	word ax, bx, cx, dx, si, di;
	word vector; /* TRAP_DONE: it came to its end */
	word error;
	word cr2;
	word segments; /* of virtual-8086 mode, if FLAGS asks for it: ES, DS, FS and GS */
};

/* Run it: IRET to @probe's state; comes back at the first exception or interrupt. Flags IF and TF
 * are as asked. At CPL 0 in 32-bit code the stack must be good for a trap's frame. */
void probe_run(struct probe *probe);
/* How often that was done. */
extern uint32_t n_probes;

/*
 * Operations: pieces of position-independent code, in probes.S. All take the address in DI and the
 * value in SI, and leave a result in AX. They end by INT TRAP_DONE.
 */
enum op {
	OP_READ,
	OP_WRITE,
	OP_FETCH, /* jump to the address */
	OP_READ8,
	OP_READ32,
	OP_WRITE8,
	OP_WRITE16,
	OP_WRITE32,
	OP_XCHG,
	OP_CMPXCHG,    /* expects AX, stores SI */
	OP_CMPXCHG8B,  /* expects DX:AX, stores CX:BX */
	OP_CMPXCHG16B, /* the same; 64-bit world only */
	OP_ADD,
	OP_AND8,
	OP_AND,
	OP_OR,
	OP_BTS, /* bit CX; LOCK */
	OP_BTR,
	OP_REP_STOS, /* AX, CX words */
	OP_REP_MOVS, /* CX words from SI to DI */
	OP_PUSH,     /* SI, the stack pointer being DI */
	OP_POP,      /* to DI, from the stack of the probe */
	OP_CALL,     /* with the stack pointer DI: pushes an address */
	OP_SSE_STORE,
	OP_SSE_LOAD,
	OP_STAC_READ, /* STAC, read, CLAC */
	OP_STAC_WRITE,
	OP_CLAC_READ,
	OP_LOAD_ES, /* selector SI into ES */
	OP_INVLPG,
	OP_WRITE_CR0, /* SI */
	OP_WRITE_CR3,
	OP_WRITE_CR4,
	OP_WRITE_MSR, /* CX: which; DX:AX: what */
	OP_INVPCID,   /* type SI, descriptor at DI */
	OP_WRPKRU,    /* AX; CX and DX zero */
	OP_LMSW,      /* SI */
	OP_CLTS,
	N_OPS
};

/* Section .probes, which the user has at USER_CODE; and in it the operations. */
extern const char probe_code[];
extern const char probe_ops[];
extern uint8_t user_stack[X86_PAGE_SIZE];

/* Who does it. */
enum who { KERNEL, KERNEL_AC, USER };

/* What became of it. */
struct outcome {
	unsigned vector; /* TRAP_DONE: done */
	uint32_t error;
	word cr2;   /* meaningful for #PF */
	word value; /* AX */
};

/* A probe of @op by @who, to be changed before probe_run() if need be. */
struct probe probe_of(enum op op, enum who who, word gva, word value);
struct outcome probe_outcome(const struct probe *probe);
/* Make it and run it. */
struct outcome attempt(enum op op, enum who who, word gva, word value);

/* ---- traps ---- */

/* Gate of @vector: interrupt gate to @handler, DPL @dpl, stack @ist (64-bit world; 0: none).
 * mode_reset() brings back the gates that end a probe. */
void trap_set(unsigned vector, void (*handler)(void), unsigned dpl, unsigned ist);
/* The handler that ends a probe. */
void (*trap_stub(unsigned vector))(void);
/* Entry @selector of the GDT, 8 bytes. */
void gdt_set(unsigned selector, uint64_t descriptor);
/* The GDT and IDT in use, and the TSS (32-bit or 64-bit layout). */
extern uint64_t gdt[GDT_ENTRIES];
extern uint32_t idt[256 * (sizeof(word) == 8 ? 4 : 2)];
extern uint8_t tss[104];
/* Fill them with what every test may count on. */
void descriptors_make(void);
/* Load GDTR, IDTR, TR and segment registers with them. */
void descriptors_load(void);

/* ---- tests ---- */

/* What stands between the guest and the machine, from the command line: row=. */
enum row { ROW_UNKNOWN, ROW_NONE, ROW_NPT, ROW_SHADOW };
#define ROWS(row) (1u << (row))
/* Where it is the emulator that walks the guest's tables. */
#define ROWS_EMULATOR (ROWS(ROW_NONE) | ROWS(ROW_NPT))
#define ROWS_ALL      (ROWS_EMULATOR | ROWS(ROW_SHADOW))

struct test {
	const char *name;
	unsigned modes; /* mask of IN() */
	void (*run)(void);
	/* Rows in which the emulator is known to depart from the manual here, and how; zero: none.
	 */
	unsigned departs_in;
	const char *departs;
};

struct test_group {
	const struct test *tests;
	unsigned n_tests;
};

/* All of them; groups.c. */
extern const struct test_group *const test_groups[];
extern const unsigned n_test_groups;

#define GROUP(name, array)                                                                         \
	const struct test_group name = {array, sizeof(array) / sizeof((array)[0])}

/* Is the row, as far as it is known, one of @rows? For small departures inside a test. */
bool row_in(unsigned rows);

/* What the test cannot do on this machine. Does not return. */
_Noreturn void skip(const char *reason);

/* A circumstance, for the messages: its name (a literal) and value. The last few count. */
void given(const char *name, uint64_t value);

void expect_equal(const char *what, uint64_t expected, uint64_t got);
void expect_true(const char *what, bool holds);
/* @got must be the end of the operation. */
void expect_done(const char *what, struct outcome got);
/* @got must be that, with that value. */
void expect_value(const char *what, struct outcome got, word value);
/* @got must be a #PF with @error at @gva. */
void expect_fault(const char *what, struct outcome got, uint32_t error, word gva);
/* @got must be exception @vector with @error. */
void expect_trap(const char *what, struct outcome got, unsigned vector, uint32_t error);

/* The kernel reads @marker, 32 bits, at @gva. */
void expect_reads(const char *what, word gva, uint32_t marker);
/* Entry of @path at @level has exactly these of the bits A and D. */
void expect_ad(const char *what, const struct path *path, unsigned level, uint64_t ad);

/* ---- running them ---- */

/* What both worlds share; at the same address for both. */
struct shared {
	char only[64];     /* mode, test, or mode.test; empty: all */
	char bench[128];   /* operations to measure, "a,b_pae", and no tests; empty: none */
	uint32_t clock_ns; /* in nanoseconds, not in counts of the time stamp counter */
	uint32_t marks;    /* tell the hypervisor where timed parts begin and end */
	uint32_t row;
	uint32_t seed, rounds; /* of the random guest; 0: its own choice */
	uint32_t list;         /* only print the names */
	uint32_t mode;         /* asked of the 64-bit world */
	uint32_t job;          /* enum job */
	uint32_t root;         /* JOB_READ: CR3, what to read there */
	uint32_t gva;
	uint32_t value; /* what it found */
	uint32_t passed, failed, skipped;
	uint32_t probes; /* how many were run */
};

enum job { JOB_TESTS, JOB_BENCH, JOB_READ };

extern struct shared *shared;

/* Run every test of the mode that is in force. */
void run_tests(void);
/* @skip every test of a mode that is not there. */
void run_none(enum mode_id id, const char *reason);

/* Measure the operations asked for that there are in the mode that is in force; bench.c. */
void run_bench(void);

/* Call @function; false if guard_leave() ended it. Not nested. */
bool guard_call(void (*function)(void));
_Noreturn void guard_leave(void);

/* 32-bit world: the 64-bit world's entry, in mode @id, with shared->job to be done. */
void world64_call(enum mode_id id);

/* ---- console ---- */

/* Set the serial port up; once. */
void console_begin(void);
void print(const char *text);
void print_hex(uint64_t number);
void print_number(uint32_t number);
bool text_same(const char *a, const char *b);
/* The machine's end: exit status 0 if @well. */
_Noreturn void leave(bool well);

#endif
