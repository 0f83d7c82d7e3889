/* SPDX-License-Identifier: MIT */
/*
 * A guest that wages war on its own page tables, to see whether the hypervisor survives and
 * whether shadow tables do what the processor's own walks do.
 *
 * Memory: everything the guest needs to live (code, stack, GDT, IDT) is mapped by tables of its
 * own, in the first slots of each root. The rest of the address space is reached through the arena:
 * frames whose words are page-table entries of every level and data at once, most of them leading
 * to other frames of the arena. No random word ever leads to what keeps the guest alive.
 */
#ifndef CHAOS_H
#define CHAOS_H

#include "x86/x86.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define N_ROOTS      4u
#define ARENA_FRAMES 64u
#define WORDS        512u

/* Two large pages of data: RAM behind the image that the boot header asks for. */
#define LARGE_BASE  0x2000000ull
#define LARGE_BYTES 0x400000ull
/* Nothing is there. */
#define NOWHERE 0x40000000ull

/* Slots of a root. */
enum {
	SLOT_LIFE,  /* memory below 1 GiB as it is */
	SLOT_USER,  /* the page of operations, for the user */
	SLOT_SELF,  /* the root itself, read-only */
	SLOT_CHAOS, /* the first whose word is random */

	N_SLOTS_CHAOS = 8, /* so many in each half of the address space */
};

/* ---- entry.S ---- */

enum operation {
	OP_LOAD,
	OP_LOAD1,
	OP_STORE,
	OP_STORE4,
	OP_STORE1,
	OP_ADD,
	OP_XCHG,
	OP_LOCK_OR,
	OP_STOS,
	OP_MOVS,
	OP_INVLPG,
	OP_JUMP,
	N_RANDOM_OPS, /* what follows is asked for by name */
	OP_VMRUN = N_RANDOM_OPS,
	OP_VMLOAD,
	OP_VMSAVE,
	OP_STGI,
	OP_CLGI,
	OP_INVLPGA,
	OP_VMMCALL,
	OP_RDMSR,
	OP_WRMSR,
	OP_SSE_STORE,
	OP_SGDT,
	N_OPS,
};

/* The trap that ends every operation; and a word that is the code for it (after an XOR of AL), but
 * as an entry not present, so that no processor changes it. */
#define TRAP_DONE   0x30u
#define JUMP_TARGET 0x30cd30cd30cdc030ull

/* One instruction to try: RDI is @gva, RSI @value. entry.S knows the offsets. */
struct attempt {
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
	uint64_t gva;
	uint64_t value;
	/* How it ended: the exception, or TRAP_DONE. */
	uint64_t vector;
	uint64_t error_code;
	uint64_t cr2;
	uint64_t result; /* RAX */
};

/* Run @attempt. Not reentrant. */
void attempt_run(struct attempt *attempt);
_Static_assert(offsetof(struct attempt, gva) == 40 && offsetof(struct attempt, result) == 80,
	"entry.S has other offsets");

/* Take an exception with a stack at @rsp; without handlers. */
_Noreturn void lose_stack(uint64_t rsp);
_Noreturn void lose_idt(void);

extern const uint32_t operation_offsets[N_OPS]; /* of their code, in the page operations */
extern const uint64_t trap_entries[TRAP_DONE + 1];
extern char operations[];
extern uint64_t arena[ARENA_FRAMES][WORDS];

/* ---- trip_code.S ---- */

/* The code that run_trip() copies below 1 MiB, and the offsets of two handlers in it. */
extern const char trip_start[];
extern const char trip_end[];
extern const uint16_t trip_vectors[2];
void trip_run(void);

/* ---- console.c ---- */

void print(const char *text);
void print_number(uint64_t number);
void print_hex(uint64_t number);
bool text_same(const char *a, const char *b);
/* End the machine with @code at the debug-exit port. */
_Noreturn void leave(uint8_t code);
/* Say what is wrong, and leave. */
_Noreturn void fail(const char *text);

enum {
	LEAVE_WELL = 21, /* QEMU's exit status is 43 */
	LEAVE_FAILED = 22,
};

/* ---- machine.c ---- */

/* What the loader told. */
struct boot_facts {
	const char *command_line;
	uint64_t hidden_base; /* the largest reserved range below 4 GiB: the hypervisor */
	uint64_t hidden_bytes;
};

struct boot_facts boot_read(const uint8_t *boot_params);
/* GDT, TSS, IDT, and roots in which nothing is random yet; the first is in use. */
void machine_init(void);
uint64_t *root_of(unsigned n);
uint64_t *root_in_use(void);
/* Load CR3 with that root, under a fifth level if there is one; @flags are CR3's. */
void use_root(unsigned n, uint64_t flags);
/* Have five levels from here on. */
void add_level(const struct boot_facts *facts);

uint64_t read_cr0(void);
uint64_t read_cr3(void);
uint64_t read_cr4(void);
void write_cr0(uint64_t cr0);
void write_cr3(uint64_t cr3);
void write_cr4(uint64_t cr4);
uint64_t read_efer(void);
void write_efer(uint64_t efer);
uint8_t port_in8(uint16_t port);
void port_out8(uint16_t port, uint8_t byte);
/* Forget all translations, global ones too. */
void flush_all(void);

/* Try @op at @gva; the answer is in @attempt. */
void attempt_make(struct attempt *attempt, enum operation op, uint64_t gva, uint64_t value,
	bool user, bool ac);

/* ---- tables.c ---- */

void random_seed(uint64_t seed);
uint64_t random_word(void);
uint64_t random_below(uint64_t limit);

/* Which random words may come. */
struct word_kinds {
	const struct boot_facts *facts;
	bool anywhere; /* also tables and pages in the hypervisor, and where no memory is */
};

/* One that leads to a frame of the arena. */
uint64_t random_arena_entry(void);
uint64_t random_entry(const struct word_kinds *kinds);
/* Fill the arena and the random slots of all roots. */
void tables_fill(const struct word_kinds *kinds);
/* An address in a random slot, 8-byte aligned. */
uint64_t random_gva(void);
/* The word that maps @gva at a random level, in the root in use; NULL if it is none that may be
 * changed. */
uint64_t *random_word_on_path(uint64_t gva);

/* ---- what there is to do ---- */

/* Changes and accesses with a full flush before each access: every outcome is the architecture's,
 * so it is summed up in a number that has to be the same with and without shadow tables. @traced:
 * say every access. */
void run_orderly(const struct boot_facts *facts, unsigned n_rounds, bool traced);
/* The same without flushes, with more kinds of accesses. Only survival counts. */
void run_wild(const struct boot_facts *facts, unsigned n_rounds);
/* What a guest under a hypervisor must not be able to do. */
void run_forbidden(const struct boot_facts *facts);
/* Through every mode of the processor and back, to @cr3 and @cr4. @strict: what TCG does not check
 * must be checked. */
void run_trip(const struct boot_facts *facts, bool strict, uint64_t cr3, uint64_t cr4);
/* Kill this guest in the way named. Returns if there is no such way. */
void run_death(const struct boot_facts *facts, const char *way);

/* Toggle one of the bits that decide about rights, by number: CR0.WP, CR4.PGE, SMEP, SMAP,
 * EFER.NXE; CR4.PKE and PKS where the processor has them. */
#define N_RIGHTS 7u
void toggle_right(unsigned which);
/* Give the keys other rights, where there are keys. */
void change_keys(void);

#endif
