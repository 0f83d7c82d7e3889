/* SPDX-License-Identifier: MIT */
/*
 * What keeps the guest alive: descriptors, traps, the tables of its own code; and control
 * registers.
 */
#include "tests/system/chaos/chaos.h"

enum {
	SELECTOR_CODE = 0x08,
	SELECTOR_DATA = 0x10,
	SELECTOR_USER_DATA = 0x18 | 3,
	SELECTOR_USER_CODE = 0x20 | 3,
	SELECTOR_TSS = 0x28,
};

/* Offsets in boot_params: zero-page.rst; an entry of the memory map is base, size, type. */
enum {
	PARAMS_E820_ENTRIES = 0x1e8,
	PARAMS_COMMAND_LINE = 0x228,
	PARAMS_E820_TABLE = 0x2d0,
	E820_BYTES = 20,
	E820_RESERVED = 2,
};

struct __attribute__((packed)) gate {
	uint16_t offset_0;
	uint16_t selector;
	uint16_t attributes;
	uint16_t offset_16;
	uint32_t offset_32;
	uint32_t zero;
};

struct __attribute__((packed)) table_register {
	uint16_t limit;
	uint64_t base;
};

#define CPUID_7_ECX_PKU (1u << 3)
#define CPUID_7_ECX_PKS (1u << 31)

#define GATE_INTERRUPT 0x8e00u
#define GATE_USER      0x6000u

static uint64_t descriptors[7] = {
	0,
	0x00af9b000000ffffull,
	0x00cf93000000ffffull,
	0x00cff3000000ffffull,
	0x00affb000000ffffull,
};
static struct gate idt[TRAP_DONE + 1];
static uint32_t tss[26];
static uint8_t trap_stack[4096] __attribute__((aligned(16)));
static uint8_t operation_stack[4096] __attribute__((aligned(16)));

static uint64_t roots[N_ROOTS][WORDS] __attribute__((aligned(4096)));
static uint64_t upper_roots[N_ROOTS][WORDS] __attribute__((aligned(4096)));
static bool has_upper_roots;
static bool has_pku;
static bool has_pks;
static uint64_t life_pointers[WORDS] __attribute__((aligned(4096)));
static uint64_t life_directory[WORDS] __attribute__((aligned(4096)));
static uint64_t user_tables[3][WORDS] __attribute__((aligned(4096)));

static uint64_t load(const uint8_t *from, unsigned n_bytes)
{
	uint64_t value = 0;

	while (n_bytes-- > 0)
		value = value << 8 | from[n_bytes];
	return value;
}

struct boot_facts boot_read(const uint8_t *boot_params)
{
	struct boot_facts facts = {
		.command_line = (const char *)(uintptr_t)load(boot_params + PARAMS_COMMAND_LINE, 4),
	};
	const uint8_t *entry = boot_params + PARAMS_E820_TABLE;

	for (unsigned n = boot_params[PARAMS_E820_ENTRIES]; n > 0; n--, entry += E820_BYTES) {
		uint64_t base = load(entry, 8);
		uint64_t n_bytes = load(entry + 8, 8);

		if (load(entry + 16, 4) == E820_RESERVED && base < NOWHERE &&
			n_bytes > facts.hidden_bytes) {
			facts.hidden_base = base;
			facts.hidden_bytes = n_bytes;
		}
	}
	return facts;
}

/* ---- registers ---- */

uint64_t read_cr0(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

uint64_t read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

void write_cr0(uint64_t cr0)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
}

void write_cr3(uint64_t cr3)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

void write_cr4(uint64_t cr4)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}

uint64_t read_efer(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(X86_MSR_EFER));
	return (uint64_t)high << 32 | low;
}

void write_efer(uint64_t efer)
{
	__asm__ volatile("wrmsr"
			 :
			 : "a"((uint32_t)efer), "d"((uint32_t)(efer >> 32)), "c"(X86_MSR_EFER)
			 : "memory");
}

uint8_t port_in8(uint16_t port)
{
	uint8_t byte;

	__asm__ volatile("inb %1, %0" : "=a"(byte) : "Nd"(port));
	return byte;
}

void port_out8(uint16_t port, uint8_t byte)
{
	__asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port) : "memory");
}

void flush_all(void)
{
	uint64_t cr4 = read_cr4();

	/* Without PGE there are no global translations. */
	if (cr4 & X86_CR4_PGE) {
		write_cr4(cr4 & ~X86_CR4_PGE);
		write_cr4(cr4);
	} else {
		write_cr3(read_cr3());
	}
}

/* ---- attempts ---- */

void attempt_make(struct attempt *attempt, enum operation op, uint64_t gva, uint64_t value,
	bool user, bool ac)
{
	uint64_t base = user ? (uint64_t)SLOT_USER << 39 : (uintptr_t)operations;

	*attempt = (struct attempt){
		.rip = base + operation_offsets[op],
		.cs = user ? SELECTOR_USER_CODE : SELECTOR_CODE,
		.rflags = 2 | (ac ? X86_RFLAGS_AC : 0),
		.rsp = (uintptr_t)operation_stack + sizeof(operation_stack),
		.ss = user ? SELECTOR_USER_DATA : SELECTOR_DATA,
		.gva = gva,
		.value = value,
	};
	attempt_run(attempt);
}

/* ---- set-up ---- */

uint64_t *root_of(unsigned n)
{
	return roots[n];
}

uint64_t *root_in_use(void)
{
	uint64_t *root = (uint64_t *)(uintptr_t)(read_cr3() & X86_PTE_FRAME);

	return has_upper_roots ? (uint64_t *)(uintptr_t)(root[0] & X86_PTE_FRAME) : root;
}

void use_root(unsigned n, uint64_t flags)
{
	uint64_t *root = has_upper_roots ? upper_roots[n] : roots[n];

	write_cr3((uintptr_t)root | flags);
}

void add_level(const struct boot_facts *facts)
{
	for (unsigned n = 0; n < N_ROOTS; n++) {
		upper_roots[n][0] = (uintptr_t)roots[n] | X86_PTE_P | X86_PTE_W | X86_PTE_U;
		upper_roots[n][WORDS - 1] = upper_roots[n][0];
	}
	/* Long mode has to be left for that. */
	run_trip(facts, false, (uintptr_t)upper_roots[0], read_cr4() | X86_CR4_LA57);
	has_upper_roots = true;
}

static void find_keys(void)
{
	uint32_t eax = 7;
	uint32_t ecx = 0;

	__asm__ volatile("cpuid" : "+a"(eax), "+c"(ecx) : : "ebx", "edx");
	has_pku = ecx & CPUID_7_ECX_PKU;
	has_pks = ecx & CPUID_7_ECX_PKS;
}

static void make_tables(void)
{
	uint64_t present = X86_PTE_P | X86_PTE_W;
	uint64_t user = X86_PTE_P | X86_PTE_U;

	life_pointers[0] = (uintptr_t)life_directory | present;
	for (uint64_t i = 0; i < WORDS; i++)
		life_directory[i] = i << 21 | present | X86_PTE_PS;
	user_tables[0][0] = (uintptr_t)user_tables[1] | user;
	user_tables[1][0] = (uintptr_t)user_tables[2] | user;
	user_tables[2][0] = (uintptr_t)operations | user;
}

static void make_roots(void)
{
	for (unsigned n = 0; n < N_ROOTS; n++) {
		roots[n][SLOT_LIFE] = (uintptr_t)life_pointers | X86_PTE_P | X86_PTE_W;
		roots[n][SLOT_USER] = (uintptr_t)user_tables[0] | X86_PTE_P | X86_PTE_U;
		roots[n][SLOT_SELF] = (uintptr_t)roots[n] | X86_PTE_P | X86_PTE_U;
	}
}

static void load_descriptors(void)
{
	struct table_register gdtr = {sizeof(descriptors) - 1, (uintptr_t)descriptors};
	uint64_t at = (uintptr_t)tss;
	uint64_t stack = (uintptr_t)trap_stack + sizeof(trap_stack);

	tss[1] = (uint32_t)stack;
	tss[2] = (uint32_t)(stack >> 32);
	tss[25] = sizeof(tss) << 16;
	descriptors[5] =
		(sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
	descriptors[6] = at >> 32;
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %q1\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmov %2, %%ss\n\t"
			 "mov %2, %%ds\n\t"
			 "mov %2, %%es\n\t"
			 "ltr %w3"
			 :
			 : "m"(gdtr), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(SELECTOR_TSS)
			 : "rax", "memory");
}

static void load_traps(void)
{
	struct table_register idtr = {sizeof(idt) - 1, (uintptr_t)idt};

	for (unsigned i = 0; i <= TRAP_DONE; i++) {
		uint64_t to = trap_entries[i];

		idt[i] = (struct gate){
			.offset_0 = (uint16_t)to,
			.selector = SELECTOR_CODE,
			.attributes = GATE_INTERRUPT | (i == TRAP_DONE ? GATE_USER : 0),
			.offset_16 = (uint16_t)(to >> 16),
			.offset_32 = (uint32_t)(to >> 32),
		};
	}
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void machine_init(void)
{
	volatile uint64_t *large = (volatile uint64_t *)LARGE_BASE;

	for (unsigned i = 0; i < LARGE_BYTES / sizeof(*large); i++)
		large[i] = 0;
	find_keys();
	load_descriptors();
	load_traps();
	make_tables();
	make_roots();
	write_cr3((uintptr_t)roots[0]);
}

void toggle_right(unsigned which)
{
	switch (which) {
	case 0:
		write_cr0(read_cr0() ^ X86_CR0_WP);
		break;
	case 1:
		write_cr4(read_cr4() ^ X86_CR4_PGE);
		break;
	case 2:
		write_cr4(read_cr4() ^ X86_CR4_SMEP);
		break;
	case 3:
		write_cr4(read_cr4() ^ X86_CR4_SMAP);
		break;
	case 4:
		write_efer(read_efer() ^ X86_EFER_NXE);
		break;
	case 5:
		write_cr4(read_cr4() ^ (has_pku ? X86_CR4_PKE : 0));
		break;
	default:
		write_cr4(read_cr4() ^ (has_pks ? X86_CR4_PKS : 0));
		break;
	}
}

void change_keys(void)
{
	/* Key 0 keeps us alive. */
	uint32_t rights = (uint32_t)random_word() & ~3u;
	bool user = random_below(2);

	if (user && read_cr4() & X86_CR4_PKE)
		__asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory");
	if (!user && has_pks)
		__asm__ volatile("wrmsr" : : "a"(rights), "c"(X86_MSR_PKRS), "d"(0) : "memory");
}
