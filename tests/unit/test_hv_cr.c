/* SPDX-License-Identifier: MIT */
/*
 * Instructions that read and write control registers or invalidate translations, from their bytes
 * to what the library is told: with a fake processor, so that what no emulator has (PCIDs, INVPCID)
 * is tried too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vm/debug.h"
#include "hv/vm/vcpu.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define NOTHING  0xffu /* no exception */

#define FLAT_CODE SEGMENT_PRESENT | SEGMENT_CODE | SEGMENT_WRITE_READ
#define FLAT_DATA SEGMENT_PRESENT | SEGMENT_WRITE_READ

/* ---- the fake processor, memory and library ---- */

static struct {
	enum x86_code_size size;
	struct vendor_segment segments[X86_SEG_TR + 1];
	uint8_t bytes[X86_INSN_MAX];
	bool is_write;
	unsigned advanced;
	unsigned vector;
	uint32_t error_code;
	/* Memory: what is read, what was written, and where. */
	uint8_t memory[16];
	umbra_gva gva;
	bool memory_faults;
	/* The library. */
	bool refuses;
	unsigned n_changes;
	struct umbra_paging_regs regs;
	uint64_t cr3;
	uint64_t type;
	struct umbra_invpcid descriptor;
} fake;

static struct vm vm;
static struct vcpu vcpu;

enum x86_code_size vendor_code_size(const struct vcpu *v)
{
	(void)v;
	return fake.size;
}

uint64_t vendor_segment_base(struct vcpu *v, enum x86_segment segment)
{
	(void)v;
	return fake.segments[segment].base;
}

struct vendor_segment vendor_segment(struct vcpu *v, enum x86_segment segment)
{
	(void)v;
	return fake.segments[segment];
}

void vendor_advance(struct vcpu *v, unsigned n_bytes)
{
	(void)v;
	fake.advanced += n_bytes;
}

unsigned vendor_insn_length(const struct vcpu *v)
{
	(void)v;
	return 0;
}

bool vendor_cr_is_write(const struct vcpu *v)
{
	(void)v;
	return fake.is_write;
}

bool vendor_cr_mov_gpr(const struct vcpu *v, uint8_t *gpr)
{
	(void)v;
	(void)gpr;
	return false;
}

bool vendor_invlpg_gva(const struct vcpu *v, umbra_gva *gva)
{
	(void)v;
	(void)gva;
	return false;
}

size_t memory_fetch(struct vcpu *v, uint8_t bytes[X86_INSN_MAX + 1])
{
	(void)v;
	memcpy(bytes, fake.bytes, X86_INSN_MAX);
	return X86_INSN_MAX;
}

void *memory_ram(const struct vm *v, umbra_gpa gpa)
{
	(void)v;
	(void)gpa;
	return NULL;
}

bool memory_read(struct vcpu *v, umbra_gva gva, void *bytes, size_t n_bytes)
{
	(void)v;
	fake.gva = gva;
	memcpy(bytes, fake.memory, n_bytes);
	return !fake.memory_faults;
}

bool memory_write(struct vcpu *v, umbra_gva gva, const void *bytes, size_t n_bytes)
{
	(void)v;
	fake.gva = gva;
	memcpy(fake.memory, bytes, n_bytes);
	return !fake.memory_faults;
}

void inject_exception(struct vcpu *v, enum x86_vector vector, uint32_t error_code)
{
	(void)v;
	fake.vector = vector;
	fake.error_code = error_code;
}

void inject_outcome(struct vcpu *v, const struct umbra_exit *out)
{
	inject_exception(v, (enum x86_vector)out->vector, out->error_code);
}

bool paging_change(struct vcpu *v, const struct umbra_paging_regs *regs)
{
	fake.n_changes++;
	fake.regs = *regs;
	if (!fake.refuses)
		v->regs = *regs;
	return !fake.refuses;
}

void debug_access(struct vcpu *v, enum debug_kind kind, uint64_t address, size_t n_bytes)
{
	(void)v;
	(void)kind;
	(void)address;
	(void)n_bytes;
}

_Noreturn void vm_stop(struct vcpu *v, const char *fmt, ...)
{
	(void)v;
	(void)fmt;
	abort();
}

static enum umbra_outcome library_says(struct umbra_exit *out)
{
	*out = (struct umbra_exit){.vector = X86_GP};
	return fake.refuses ? UMBRA_INJECT : UMBRA_RESUME;
}

enum umbra_outcome umbra_load_cr3(struct umbra_vcpu *mmu, uint64_t cr3, struct umbra_exit *out)
{
	(void)mmu;
	fake.cr3 = cr3;
	return library_says(out);
}

enum umbra_outcome umbra_invpcid(struct umbra_vcpu *mmu, uint64_t type,
	const struct umbra_invpcid *descriptor, struct umbra_exit *out)
{
	(void)mmu;
	fake.type = type;
	fake.descriptor = *descriptor;
	return library_says(out);
}

void umbra_invlpg(struct umbra_vcpu *mmu, umbra_gva gva)
{
	(void)mmu;
	fake.gva = gva;
}

umbra_hpa umbra_root(const struct umbra_vcpu *mmu)
{
	(void)mmu;
	return 0;
}

/* ---- helpers ---- */

/* A processor at @bytes in code of @size, with flat segments. Registers count up from 0x100. */
static void prepare(enum x86_code_size size, const char *bytes, size_t n_bytes, bool is_write)
{
	memset(&fake, 0, sizeof(fake));
	fake.size = size;
	fake.is_write = is_write;
	fake.vector = NOTHING;
	memcpy(fake.bytes, bytes, n_bytes);
	for (unsigned i = 0; i <= X86_SEG_TR; i++)
		fake.segments[i] = (struct vendor_segment){
			.limit = UINT32_MAX, .attributes = FLAT_DATA | SEGMENT_DB};
	fake.segments[X86_SEG_CS].attributes = FLAT_CODE | SEGMENT_DB;
	fake.segments[X86_SEG_TR].attributes = SEGMENT_PRESENT | 11;
	vm = (struct vm){.cr4_mask = ~0ull, .efer_mask = ~0ull};
	/* No shadow tables: the bytes are fetched. */
	vcpu = (struct vcpu){.exit = {.rip = 0x1000}, .vm = &vm};
	for (unsigned i = 0; i < X86_GPRS; i++)
		vcpu.gpr[i] = 0xabcd000000000100ull + i;
	vcpu.regs = (struct umbra_paging_regs){.cr0 = X86_CR0_PE};
	if (size == X86_CODE_64)
		vcpu.regs = (struct umbra_paging_regs){
			.cr0 = X86_CR0_PE | X86_CR0_PG,
			.cr4 = X86_CR4_PAE,
			.efer = X86_EFER_LME | X86_EFER_LMA,
		};
}

#define PREPARE(size, bytes, is_write) prepare(size, bytes, sizeof(bytes) - 1, is_write)

static void expect_done(unsigned n_bytes)
{
	assert_int_equal(fake.vector, NOTHING);
	assert_int_equal(fake.advanced, n_bytes);
}

static void expect_fault(enum x86_vector vector)
{
	assert_int_equal(fake.vector, vector);
	assert_int_equal(fake.error_code, 0);
	assert_int_equal(fake.advanced, 0);
}

/* ---- CR3 ---- */

static void the_no_flush_bit_reaches_the_library_and_is_not_read_back(void **state)
{
	(void)state;
	PREPARE(X86_CODE_64, "\x41\x0f\x22\xd8" /* mov cr3, r8 */, true);
	vcpu.regs.cr4 |= X86_CR4_PCIDE;
	vcpu.gpr[8] = X86_CR3_NO_FLUSH | 0x5007;
	exit_cr3(&vcpu);
	expect_done(4);
	assert_true(fake.cr3 == (X86_CR3_NO_FLUSH | 0x5007));
	assert_int_equal(vcpu.regs.cr3, 0x5007);
	PREPARE(X86_CODE_64, "\x0f\x20\xd8" /* mov rax, cr3 */, false);
	vcpu.regs.cr3 = 0x5007;
	exit_cr3(&vcpu);
	expect_done(3);
	assert_int_equal(vcpu.gpr[X86_RAX], 0x5007);
}

static void what_the_library_refuses_changes_nothing(void **state)
{
	(void)state;
	PREPARE(X86_CODE_64, "\x0f\x22\xd8", true);
	vcpu.regs.cr3 = 0x1000;
	fake.refuses = true;
	exit_cr3(&vcpu);
	expect_fault(X86_GP);
	assert_int_equal(vcpu.regs.cr3, 0x1000);
}

static void code_of_32_and_16_bits_moves_32_bits(void **state)
{
	(void)state;
	for (enum x86_code_size size = X86_CODE_16; size <= X86_CODE_32; size++) {
		PREPARE(size, "\x0f\x22\xda" /* mov cr3, edx */, true);
		exit_cr3(&vcpu);
		expect_done(3);
		assert_int_equal(fake.cr3, 0x102);
		PREPARE(size, "\x0f\x20\xda" /* mov edx, cr3 */, false);
		vcpu.regs.cr3 = 0x123456000;
		exit_cr3(&vcpu);
		expect_done(3);
		assert_int_equal(vcpu.gpr[X86_RDX], 0x23456000);
	}
}

/* ---- CR0 ---- */

static void long_mode_is_entered_only_from_a_segment_and_a_task_that_fit(void **state)
{
	static const struct {
		uint16_t cs, tr;
		bool enters;
	} rows[] = {
		{FLAT_CODE | SEGMENT_DB, SEGMENT_PRESENT | 11, true},
		{FLAT_CODE, SEGMENT_PRESENT | 9, true},
		{FLAT_CODE | SEGMENT_L, SEGMENT_PRESENT | 11, false},
		{FLAT_CODE | SEGMENT_DB, SEGMENT_PRESENT | 1, false},
		{FLAT_CODE | SEGMENT_DB, SEGMENT_PRESENT | 3, false},
	};

	(void)state;
	for (unsigned i = 0; i < N(rows); i++) {
		PREPARE(X86_CODE_32, "\x0f\x22\xc0" /* mov cr0, eax */, true);
		fake.segments[X86_SEG_CS].attributes = rows[i].cs;
		fake.segments[X86_SEG_TR].attributes = rows[i].tr;
		vcpu.regs.cr4 = X86_CR4_PAE;
		vcpu.regs.efer = X86_EFER_LME;
		vcpu.gpr[X86_RAX] = X86_CR0_PE | X86_CR0_PG;
		exit_cr0(&vcpu);
		if (!rows[i].enters) {
			expect_fault(X86_GP);
			assert_int_equal(fake.n_changes, 0);
			continue;
		}
		expect_done(3);
		assert_true(fake.regs.efer == (X86_EFER_LME | X86_EFER_LMA));
	}
}

static void lmsw_sets_pe_and_never_clears_it(void **state)
{
	static const struct {
		uint64_t cr0;
		uint16_t word;
		uint64_t after;
	} rows[] = {
		{X86_CR0_ET, 0xfff1, X86_CR0_ET | X86_CR0_PE},
		{X86_CR0_ET | X86_CR0_PE | X86_CR0_TS, 0, X86_CR0_ET | X86_CR0_PE},
		{X86_CR0_ET | X86_CR0_AM, X86_CR0_MP | X86_CR0_EM | X86_CR0_TS,
			X86_CR0_ET | X86_CR0_AM | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS},
	};

	(void)state;
	for (unsigned i = 0; i < N(rows); i++) {
		PREPARE(X86_CODE_16, "\x0f\x01\xf3" /* lmsw bx */, true);
		vcpu.regs.cr0 = rows[i].cr0;
		vcpu.gpr[X86_RBX] = 0x55550000u | rows[i].word;
		exit_cr0(&vcpu);
		expect_done(3);
		assert_int_equal(vcpu.regs.cr0, rows[i].after);
	}
}

static void smsw_to_a_register_is_as_wide_as_the_operand(void **state)
{
	(void)state;
	PREPARE(X86_CODE_16, "\x0f\x01\xe3" /* smsw bx */, false);
	vcpu.regs.cr0 = 0x80050033;
	exit_cr0(&vcpu);
	expect_done(3);
	assert_true(vcpu.gpr[X86_RBX] == 0xabcd000000000033ull);
	PREPARE(X86_CODE_32, "\x0f\x01\xe3" /* smsw ebx */, false);
	vcpu.regs.cr0 = 0x80050033;
	exit_cr0(&vcpu);
	assert_true(vcpu.gpr[X86_RBX] == 0x80050033u);
}

/* ---- operands that the processor has not looked at ---- */

static void operands_are_checked_against_their_segment(void **state)
{
	static const struct {
		uint16_t attributes;
		uint32_t limit;
		uint16_t offset;
		bool fits;
	} rows[] = {
		{FLAT_DATA, 0xffff, 0xfffe, true},
		{FLAT_DATA, 0xffff, 0xffff, false},
		{FLAT_DATA, 0x100, 0xff, true},
		{FLAT_DATA, 0x100, 0x100, false},
		{SEGMENT_PRESENT, 0xffff, 0, false},    /* read-only */
		{SEGMENT_WRITE_READ, 0xffff, 0, false}, /* an unusable segment */
		{FLAT_CODE, 0xffff, 0, false},
		{FLAT_DATA | SEGMENT_EXPANDS, 0x100, 0x100, false},
		{FLAT_DATA | SEGMENT_EXPANDS, 0x100, 0x101, true},
		{FLAT_DATA | SEGMENT_EXPANDS, 0x100, 0xffff, false},
		{FLAT_DATA | SEGMENT_EXPANDS | SEGMENT_DB, 0x100, 0xffff, true},
	};

	(void)state;
	for (unsigned i = 0; i < N(rows); i++) {
		PREPARE(X86_CODE_16, "\x0f\x01\x27" /* smsw [bx] */, false);
		fake.segments[X86_SEG_DS] =
			(struct vendor_segment){0, rows[i].attributes, rows[i].limit, 0x40000};
		vcpu.gpr[X86_RBX] = rows[i].offset;
		exit_cr0(&vcpu);
		if (!rows[i].fits) {
			expect_fault(X86_GP);
			continue;
		}
		expect_done(3);
		assert_int_equal(fake.gva, 0x40000u + rows[i].offset);
	}
}

static void real_mode_knows_limits_only_and_the_stack_segment_has_its_own_fault(void **state)
{
	(void)state;
	PREPARE(X86_CODE_16, "\x0f\x01\x27" /* smsw [bx] */, false);
	vcpu.regs.cr0 = 0;
	fake.segments[X86_SEG_DS] = (struct vendor_segment){.limit = 0xffff};
	vcpu.gpr[X86_RBX] = 0x10;
	exit_cr0(&vcpu);
	expect_done(3);
	PREPARE(X86_CODE_16, "\x0f\x01\x66\x00" /* smsw [bp] */, false);
	fake.segments[X86_SEG_SS].limit = 0x10;
	vcpu.gpr[X86_RBP] = 0x10;
	exit_cr0(&vcpu);
	expect_fault(X86_SS);
}

static void an_operand_that_faults_leaves_everything_as_it_was(void **state)
{
	(void)state;
	PREPARE(X86_CODE_64, "\x0f\x01\x33" /* lmsw [rbx] */, true);
	vcpu.gpr[X86_RBX] = 0x5000;
	fake.memory_faults = true;
	exit_cr0(&vcpu);
	assert_int_equal(fake.advanced, 0);
	assert_int_equal(fake.n_changes, 0);
}

/* ---- INVLPG, INVPCID ---- */

static void invlpg_adds_the_segment_base(void **state)
{
	(void)state;
	PREPARE(X86_CODE_32, "\x0f\x01\x3f" /* invlpg [edi] */, true);
	fake.segments[X86_SEG_DS].base = 0xfffff000;
	vcpu.gpr[X86_RDI] = 0xabcd000000003123ull;
	exit_invlpg(&vcpu);
	expect_done(3);
	assert_int_equal(fake.gva, 0x2123);
	PREPARE(X86_CODE_64, "\x64\x0f\x01\x3f" /* invlpg fs:[rdi] */, true);
	fake.segments[X86_SEG_FS].base = 0x7000;
	vcpu.gpr[X86_RDI] = 0x10;
	exit_invlpg(&vcpu);
	expect_done(4);
	assert_int_equal(fake.gva, 0x7010);
}

static void invpcid_hands_type_and_descriptor_on(void **state)
{
	static const struct umbra_invpcid descriptor = {0x123, 0xffff800012345000ull};

	(void)state;
	PREPARE(X86_CODE_64, "\x66\x0f\x38\x82\x0b" /* invpcid rcx, [rbx] */, true);
	vcpu.gpr[X86_RBX] = 0x9000;
	vcpu.gpr[X86_RCX] = 0x100000001ull;
	memcpy(fake.memory, &descriptor, sizeof(descriptor));
	exit_invpcid(&vcpu);
	expect_done(5);
	assert_int_equal(fake.gva, 0x9000);
	assert_true(fake.type == 0x100000001ull);
	assert_memory_equal(&fake.descriptor, &descriptor, sizeof(descriptor));
	/* 32-bit code has a 32-bit type. */
	PREPARE(X86_CODE_32, "\x66\x0f\x38\x82\x0b" /* invpcid ecx, [ebx] */, true);
	vcpu.gpr[X86_RCX] = 0x100000001ull;
	exit_invpcid(&vcpu);
	expect_done(5);
	assert_int_equal(fake.type, 1);
}

static void invpcid_is_refused_as_the_manual_says(void **state)
{
	(void)state;
	PREPARE(X86_CODE_64, "\x66\x0f\x38\x82\x0b", true);
	vcpu.gpr[X86_RBX] = 0x9000;
	vcpu.exit.cpl = 3;
	exit_invpcid(&vcpu);
	expect_fault(X86_GP);
	/* Not canonical, by its last byte too. */
	PREPARE(X86_CODE_64, "\x66\x0f\x38\x82\x0b", true);
	vcpu.gpr[X86_RBX] = 0x00007ffffffffff8ull;
	exit_invpcid(&vcpu);
	expect_fault(X86_GP);
	PREPARE(X86_CODE_64, "\x66\x0f\x38\x82\x0b", true);
	vcpu.gpr[X86_RBX] = 0x00007ffffffffff8ull;
	vcpu.regs.cr4 |= X86_CR4_LA57;
	exit_invpcid(&vcpu);
	expect_done(5);
	PREPARE(X86_CODE_64, "\x66\x0f\x38\x82\x0b", true);
	vcpu.gpr[X86_RBX] = 0x9000;
	fake.refuses = true;
	exit_invpcid(&vcpu);
	expect_fault(X86_GP);
	/* Its descriptor's #PF was injected by whoever read it. */
	PREPARE(X86_CODE_64, "\x66\x0f\x38\x82\x0b", true);
	vcpu.gpr[X86_RBX] = 0x9000;
	fake.memory_faults = true;
	exit_invpcid(&vcpu);
	assert_int_equal(fake.advanced, 0);
	assert_int_equal(fake.vector, NOTHING);
}

static void an_instruction_that_changed_meanwhile_has_its_turn(void **state)
{
	(void)state;
	PREPARE(X86_CODE_64, "\x90", true);
	exit_cr0(&vcpu);
	exit_cr3(&vcpu);
	exit_cr4(&vcpu);
	exit_invlpg(&vcpu);
	exit_invpcid(&vcpu);
	expect_done(0);
	/* A read where the processor saw a write. */
	PREPARE(X86_CODE_64, "\x0f\x20\xd8", true);
	exit_cr3(&vcpu);
	expect_done(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_no_flush_bit_reaches_the_library_and_is_not_read_back),
		cmocka_unit_test(what_the_library_refuses_changes_nothing),
		cmocka_unit_test(code_of_32_and_16_bits_moves_32_bits),
		cmocka_unit_test(long_mode_is_entered_only_from_a_segment_and_a_task_that_fit),
		cmocka_unit_test(lmsw_sets_pe_and_never_clears_it),
		cmocka_unit_test(smsw_to_a_register_is_as_wide_as_the_operand),
		cmocka_unit_test(operands_are_checked_against_their_segment),
		cmocka_unit_test(
			real_mode_knows_limits_only_and_the_stack_segment_has_its_own_fault),
		cmocka_unit_test(an_operand_that_faults_leaves_everything_as_it_was),
		cmocka_unit_test(invlpg_adds_the_segment_base),
		cmocka_unit_test(invpcid_hands_type_and_descriptor_on),
		cmocka_unit_test(invpcid_is_refused_as_the_manual_says),
		cmocka_unit_test(an_instruction_that_changed_meanwhile_has_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
