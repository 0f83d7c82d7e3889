/* SPDX-License-Identifier: MIT */
/*
 * See emul_world.h.
 */
#include "tests/unit/emul_world.h"

#include <stdio.h>

#include "hv/emul/vector.h"
#include "hv/vm/debug.h"
#include "hv/vm/shadow_walk.h"
#include "hv/vm/walk.h"
#include "tests/unit/hv_machine.h"

#define ROOT      0x10000ull /* of the tables for RIP, which follow */
#define PAGES_MAX 16u
#define CPL_USER  3u

struct page {
	umbra_gva gva;
	umbra_gpa gpa;
	unsigned kind;
};

struct phys_range hv_reserved = {HV_BASE, X86_PAGE_SIZE};

static struct vm vm;
struct vcpu guest;
struct emul_world world;
static struct page pages[PAGES_MAX];
static unsigned n_pages;
static unsigned code_bytes;
static uint64_t gpr_before[X86_GPRS];

/* ---- memory ---- */

void world_page(umbra_gva gva, umbra_gpa gpa, unsigned kind)
{
	assert_true(n_pages < PAGES_MAX);
	pages[n_pages++] = (struct page){gva & ~0xfffull, gpa & ~0xfffull, kind};
}

uint8_t *world_at(umbra_gpa gpa)
{
	return machine + gpa;
}

uint64_t word_at(umbra_gpa gpa)
{
	uint64_t word;

	memcpy(&word, world_at(gpa), sizeof(word));
	return word;
}

void set_word(umbra_gpa gpa, uint64_t word)
{
	memcpy(world_at(gpa), &word, sizeof(word));
}

static struct page *page_of(umbra_gva gva)
{
	for (unsigned i = 0; i < n_pages; i++) {
		if (pages[i].gva == (gva & ~0xfffull))
			return &pages[i];
	}
	return NULL;
}

static struct page *page_at(umbra_gpa gpa)
{
	for (unsigned i = 0; i < n_pages; i++) {
		if (pages[i].gpa == (gpa & ~0xfffull))
			return &pages[i];
	}
	return NULL;
}

/* ---- the fake library ---- */

static bool find(umbra_gva gva, uint32_t error_code, umbra_gpa *gpa, struct umbra_exit *out)
{
	const struct page *page = page_of(gva);

	*out = (struct umbra_exit){.vector = X86_PF, .error_code = error_code, .gva = gva};
	if (!page)
		return false;
	out->error_code |= X86_PF_P;
	if (error_code & X86_PF_W && page->kind & PAGE_READ_ONLY)
		return false;
	*gpa = page->gpa | (gva & 0xfff);
	*out = (struct umbra_exit){.gpa = *gpa};
	return true;
}

enum umbra_outcome umbra_page_fault(
	struct umbra_vcpu *mmu, const struct umbra_page_fault *fault, struct umbra_exit *out)
{
	umbra_gpa gpa;

	(void)mmu;
	world.n_faults++;
	if (!find(fault->gva, fault->error_code, &gpa, out))
		return UMBRA_INJECT;
	if (fault->error_code & X86_PF_W && page_of(fault->gva)->kind & (PAGE_TABLE | PAGE_TRACKED))
		return UMBRA_EMULATE;
	return page_of(fault->gva)->kind & PAGE_ABSENT ? UMBRA_MMIO : UMBRA_RESUME;
}

void umbra_invlpg(struct umbra_vcpu *mmu, umbra_gva gva)
{
	(void)mmu;
	world.forgotten = gva;
}

bool umbra_translate(struct umbra_vcpu *mmu, const struct umbra_page_fault *access, umbra_gpa *gpa,
	struct umbra_exit *out)
{
	(void)mmu;
	return find(access->gva, access->error_code, gpa, out);
}

bool umbra_guest_write(struct umbra_vcpu *mmu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	const struct page *page = page_at(gpa);

	(void)mmu;
	assert_true(gpa % X86_PAGE_SIZE + n_bytes <= X86_PAGE_SIZE);
	if (gpa >= RAM_END && !(page && page->kind & PAGE_TRACKED))
		return false;
	world.n_written++;
	world.written_at = gpa;
	world.written_bytes = n_bytes;
	memcpy(world_at(gpa), bytes, n_bytes);
	return true;
}

enum umbra_exchange umbra_guest_exchange(struct umbra_vcpu *mmu, umbra_gpa gpa,
	const void *expected, const void *bytes, size_t n_bytes)
{
	(void)mmu;
	if (gpa >= RAM_END || gpa % n_bytes)
		return UMBRA_EXCHANGE_REFUSED;
	if (world.differs) {
		world.differs = false;
		return UMBRA_EXCHANGE_DIFFERS;
	}
	assert_memory_equal(world_at(gpa), expected, n_bytes);
	world.n_exchanged++;
	memcpy(world_at(gpa), bytes, n_bytes);
	return UMBRA_EXCHANGE_DONE;
}

bool umbra_unshadow(struct umbra_vcpu *mmu, umbra_gpa gpa)
{
	const struct page *page = page_at(gpa);

	(void)mmu;
	world.n_unshadowed++;
	return gpa < RAM_END && page && !(page->kind & PAGE_TRACKED);
}

umbra_hpa umbra_root(const struct umbra_vcpu *mmu)
{
	(void)mmu;
	return ROOT;
}

/* ---- the fake processor ---- */

enum x86_code_size vendor_code_size(const struct vcpu *of)
{
	(void)of;
	return world.size;
}

struct vendor_segment vendor_segment(struct vcpu *of, enum x86_segment segment)
{
	(void)of;
	return world.segments[segment];
}

uint64_t vendor_segment_base(struct vcpu *of, enum x86_segment segment)
{
	(void)of;
	return world.segments[segment].base;
}

struct vendor_segment vendor_gdt(const struct vcpu *of)
{
	(void)of;
	return (struct vendor_segment){.base = 0x9000000, .limit = 0xff};
}

void vendor_set_rflags(struct vcpu *of, uint64_t rflags)
{
	of->exit.rflags = rflags;
}

void vendor_advance(struct vcpu *of, unsigned n_bytes)
{
	of->exit.rip += n_bytes;
	world.advanced++;
}

bool vendor_vectoring(const struct vcpu *of, struct vendor_event *event)
{
	(void)of;
	*event = (struct vendor_event){.type = EVENT_INTERRUPT, .vector = 0x40};
	return world.vectoring;
}

void vendor_set_cr2(struct vcpu *of, umbra_gva gva)
{
	(void)of;
	world.cr2 = gva;
}

void vendor_inject_exception(struct vcpu *of, uint8_t vector, bool has_error, uint32_t error_code)
{
	(void)of;
	(void)has_error;
	world.vector = vector;
	world.error_code = error_code;
}

uint8_t vendor_exception(const struct vcpu *of)
{
	(void)of;
	return X86_GP;
}

uint64_t vendor_dr7(const struct vcpu *of)
{
	(void)of;
	return world.dr7;
}

void vendor_debug_addresses(uint64_t dr[4])
{
	memcpy(dr, world.dr, sizeof(world.dr));
}

void vendor_debug_trap(struct vcpu *of, uint64_t dr6)
{
	(void)of;
	world.dr6 |= dr6;
}

unsigned vendor_insn_length(const struct vcpu *of)
{
	(void)of;
	return 0;
}

bool walk_translate(const struct vcpu *of, umbra_gva gva, enum umbra_access access, umbra_gpa *gpa,
	struct umbra_exit *out)
{
	(void)of;
	return find(gva, access == UMBRA_WRITE ? X86_PF_W : 0, gpa, out);
}

_Noreturn void vm_stop(struct vcpu *of, const char *fmt, ...)
{
	va_list ap;

	(void)of;
	va_start(ap, fmt);
	vsnprintf(hv_fake_text, sizeof(hv_fake_text), fmt, ap);
	va_end(ap);
	world.stopped = true;
	longjmp(hv_fake_return, 1);
}

/* Byte i of register n is 16n + i. */
static void read_vector(unsigned number, uint8_t *bytes, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)(16 * number + i);
}

void vector_read_mmx(unsigned number, void *bytes)
{
	read_vector(number, bytes, 8);
}

void vector_read_xmm(unsigned number, void *bytes)
{
	read_vector(number, bytes, 16);
}

void vector_read_ymm(unsigned number, void *bytes)
{
	read_vector(number, bytes, 32);
}

/* ---- instructions ---- */

void world_code(const void *bytes, size_t n_bytes)
{
	memset(world_at(CODE_GPA), 0xcc, 32);
	memcpy(world_at(CODE_GPA), bytes, n_bytes);
	code_bytes = (unsigned)n_bytes;
	guest.exit.rip = CODE_GVA;
}

static void fault(umbra_gva gva,
	void (*emulate)(struct vcpu *of, umbra_gva gva, const struct umbra_exit *out))
{
	const struct page *page = page_of(gva);
	const struct umbra_exit out = {.gpa = page ? page->gpa | (gva & 0xfff) : gva};

	memcpy(gpr_before, guest.gpr, sizeof(gpr_before));
	world.vector = -1;
	world.stopped = false;
	world.advanced = 0;
	world.n_faults = 0;
	guest.exit.info1 = X86_PF_W;
	guest.exit.info2 = gva;
	guest.n_exits++;
	if (setjmp(hv_fake_return) == 0)
		emulate(&guest, gva, &out);
}

void world_store(umbra_gva gva)
{
	fault(gva, emulate_store);
}

void world_absent(umbra_gva gva)
{
	fault(gva, emulate_absent);
}

static void expect_nothing_happened(void)
{
	assert_true(guest.exit.rip == CODE_GVA);
	assert_int_equal(world.advanced, 0);
	assert_memory_equal(guest.gpr, gpr_before, sizeof(gpr_before));
}

void expect_done(void)
{
	assert_false(world.stopped);
	assert_int_equal(world.vector, -1);
	assert_true(guest.exit.rip == CODE_GVA + code_bytes);
	assert_int_equal(world.advanced, 1);
}

void expect_left(void)
{
	assert_false(world.stopped);
	assert_int_equal(world.vector, -1);
	expect_nothing_happened();
}

void expect_page_fault(umbra_gva gva, uint32_t error_code)
{
	assert_false(world.stopped);
	assert_int_equal(world.vector, X86_PF);
	assert_int_equal(world.error_code, error_code);
	assert_int_equal(world.cr2, gva);
	/* As a processor that faults. */
	assert_int_equal(world.forgotten, gva);
	expect_nothing_happened();
}

/* ---- beginning ---- */

static uint64_t *entry_of(umbra_hpa table, unsigned level)
{
	return (uint64_t *)(void *)(machine + table) + (CODE_GVA >> (3 + 9 * level) & 511);
}

void world_map_code(umbra_gpa gpa, unsigned level)
{
	static unsigned n_tables;
	umbra_hpa table = ROOT;

	for (unsigned above = 4; above > level; above--)
		table = *entry_of(table, above) & X86_PTE_FRAME;
	for (; level > 1; level--) {
		umbra_hpa below = ROOT + 0x1000 + n_tables++ % 64 * 0x1000;

		memset(machine + below, 0, X86_PAGE_SIZE);
		*entry_of(table, level) = below | X86_PTE_P;
		table = below;
	}
	*entry_of(table, 1) = gpa | X86_PTE_P;
}

int world_reset(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	memset(&guest, 0, sizeof(guest));
	memset(&vm, 0, sizeof(vm));
	n_pages = 0;
	memset(machine + ROOT, 0, X86_PAGE_SIZE);
	world_map_code(CODE_GPA, 4);
	vm.ram[0] = (struct vm_ram){0, RAM_END};
	vm.n_ram = 1;
	guest.vm = &vm;
	/* Never looked into. */
	guest.mmu = (struct umbra_vcpu *)(void *)machine;
	guest.shadow_shift = SHADOW_SHIFT_4LEVEL;
	guest.regs.cr0 = X86_CR0_PE | X86_CR0_PG;
	guest.exit.rflags = 2;
	guest.exit.cpl = CPL_USER;
	world.size = X86_CODE_64;
	for (unsigned i = 0; i < N(world.segments); i++) {
		world.segments[i] = (struct vendor_segment){
			.selector = (uint16_t)(0x10 + 8 * i),
			.attributes = 0xc93,
			.limit = 0xffffffff,
		};
	}
	world.vector = -1;
	world_page(CODE_GVA, CODE_GPA, PAGE_READ_ONLY);
	return 0;
}

int world_table(void **state)
{
	world_reset(state);
	memset(world_at(TABLE), 0, X86_PAGE_SIZE);
	memset(world_at(NEXT), 0, X86_PAGE_SIZE);
	memset(world_at(OTHER), 0, X86_PAGE_SIZE);
	world_page(AT, TABLE, PAGE_TABLE);
	guest.gpr[X86_RDI] = AT;
	guest.gpr[X86_RAX] = 0x1122334455667788ull;
	guest.gpr[X86_RCX] = 0x99aabbccddeeff00ull;
	return 0;
}

int world_map_memory(void **state)
{
	(void)state;
	return machine_map(RAM_END + 0x1000000) ? 0 : -1;
}
