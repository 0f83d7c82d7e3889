/* SPDX-License-Identifier: MIT */
/*
 * Native execution: see native_machine.h. Segment registers of 16- and 32-bit code are those of a
 * local descriptor table where the kernel has modify_ldt().
 */
#include "tests/x86/native_machine.h"

#include <assert.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HWCAP2_BIT_FSGSBASE (1ul << 1) /* Linux, arch/x86/include/uapi/asm/hwcap2.h */
#define LDT_SELECTOR(entry) ((uint16_t)((entry) << 3 | 7))
#define MODIFY_LDT_WRITE    0x11

struct native_live {
	uint64_t gpr[X86_GPRS];
	uint64_t rflags;
	uint32_t target;
	uint16_t target_cs;
	uint16_t padding0;
	uint32_t glue32;
	uint16_t glue32_cs;
	uint16_t padding1;
	uint16_t selectors[NATIVE_SEGMENTS];
	uint16_t padding2[2];
	uint64_t fs_base;
	uint64_t gs_base;
	uint64_t host_fs;
	uint64_t host_rsp;
	uint64_t set_bases;
	uint64_t target64;
};

static_assert(offsetof(struct native_live, rflags) == LIVE_RFLAGS, "layout");
static_assert(offsetof(struct native_live, target) == LIVE_TARGET, "layout");
static_assert(offsetof(struct native_live, target_cs) == LIVE_TARGET_CS, "layout");
static_assert(offsetof(struct native_live, glue32) == LIVE_GLUE32, "layout");
static_assert(offsetof(struct native_live, selectors) == LIVE_SELECTORS, "layout");
static_assert(offsetof(struct native_live, fs_base) == LIVE_FS_BASE, "layout");
static_assert(offsetof(struct native_live, gs_base) == LIVE_GS_BASE, "layout");
static_assert(offsetof(struct native_live, host_fs) == LIVE_HOST_FS, "layout");
static_assert(offsetof(struct native_live, host_rsp) == LIVE_HOST_RSP, "layout");
static_assert(offsetof(struct native_live, set_bases) == LIVE_SET_BASES, "layout");
static_assert(offsetof(struct native_live, target64) == LIVE_TARGET64, "layout");

extern const uint8_t native_glue[], native_glue_end[];
extern const uint8_t native_enter64[], native_leave64[];
extern const uint8_t native_enter32[], native_leave32[], native_start32[];

const char *const native_mode_names[NATIVE_MODES] = {
	[NATIVE_64] = "64-bit",
	[NATIVE_32_FLAT] = "32-bit, flat",
	[NATIVE_32] = "32-bit",
	[NATIVE_16] = "16-bit",
};

static sigjmp_buf fault_exit;

static struct native_live *live(void)
{
	return (struct native_live *)(uintptr_t)NATIVE_LIVE;
}

/* Address of the running copy of @label. */
static uintptr_t copy_of(const uint8_t *label)
{
	return NATIVE_GLUE + (uintptr_t)(label - native_glue);
}

/* The faulting code may have had another FS base, without which no library function works. */
static void on_fault(int number)
{
	long result = SYS_arch_prctl;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"(ARCH_SET_FS), "S"(live()->host_fs)
			 : "rcx", "r11", "memory");
	siglongjmp(fault_exit, number);
}

static void map_at(uintptr_t start, size_t n_bytes, int protection)
{
	void *memory = mmap((void *)start, n_bytes, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory != (void *)start) {
		perror("test_native: mmap below 2 GiB");
		exit(2);
	}
}

static void catch_faults(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	static uint8_t stack[65536];
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};

	sigaltstack(&other, NULL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

void native_init(void)
{
	map_at(NATIVE_GLUE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	map_at(NATIVE_LIVE, 4096, PROT_READ | PROT_WRITE);
	map_at(NATIVE_SLOTS, NATIVE_SLOTS_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
	map_at(NATIVE_BUFFER, NATIVE_BUFFER_BYTES, PROT_READ | PROT_WRITE);
	memcpy((void *)(uintptr_t)NATIVE_GLUE, native_glue,
		(size_t)(native_glue_end - native_glue));
	mprotect((void *)(uintptr_t)NATIVE_GLUE, 4096, PROT_READ | PROT_EXEC);
	live()->glue32 = (uint32_t)copy_of(native_start32);
	live()->glue32_cs = NATIVE_CS32;
	syscall(SYS_arch_prctl, ARCH_GET_FS, &live()->host_fs);
	catch_faults();
}

bool native_has_bases(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_BIT_FSGSBASE;
}

/* Write descriptor @entry; false if the kernel does not let us. A segment of data reaches up to 4
 * GiB, one of code holds the slots and the buffer. */
static bool set_descriptor(unsigned entry, uint64_t base, bool code, bool is_32)
{
	struct user_desc descriptor = {
		.entry_number = entry,
		.base_addr = (unsigned)base,
		.limit = 0xfffff,
		.seg_32bit = is_32,
		.contents = code ? MODIFY_LDT_CONTENTS_CODE : MODIFY_LDT_CONTENTS_DATA,
		.limit_in_pages = true,
		.useable = true,
	};

	return syscall(SYS_modify_ldt, MODIFY_LDT_WRITE, &descriptor, sizeof(descriptor)) == 0;
}

static bool load_table(struct native_segments *segments)
{
	for (unsigned i = 0; i < NATIVE_SEGMENTS; i++) {
		bool code = i == X86_SEG_CS;
		bool is_32 = code ? segments->mode == NATIVE_32 : segments->stack_is_32;

		if (i == X86_SEG_GS)
			continue;
		if (!set_descriptor(i, segments->bases[i], code, is_32))
			return false;
		segments->selectors[i] = LDT_SELECTOR(i);
	}
	return true;
}

static bool load(struct native_segments *segments)
{
	for (unsigned i = 0; i < NATIVE_SEGMENTS; i++)
		segments->selectors[i] = NATIVE_DATA;
	segments->selectors[X86_SEG_CS] = NATIVE_CS32;
	if ((segments->mode == NATIVE_32 || segments->mode == NATIVE_16) && !load_table(segments))
		return false;
	memcpy(live()->selectors, segments->selectors, sizeof(segments->selectors));
	live()->target_cs = segments->selectors[X86_SEG_CS];
	live()->set_bases = segments->mode == NATIVE_64 && native_has_bases();
	live()->fs_base = segments->bases[X86_SEG_FS];
	live()->gs_base = segments->bases[X86_SEG_GS];
	if (segments->mode == NATIVE_64) {
		uint16_t *selectors = segments->selectors;

		__asm__ volatile("mov %%es, %0" : "=r"(selectors[X86_SEG_ES]));
		__asm__ volatile("mov %%cs, %0" : "=r"(selectors[X86_SEG_CS]));
		__asm__ volatile("mov %%ss, %0" : "=r"(selectors[X86_SEG_SS]));
		__asm__ volatile("mov %%ds, %0" : "=r"(selectors[X86_SEG_DS]));
		__asm__ volatile("mov %%fs, %0" : "=r"(selectors[X86_SEG_FS]));
		__asm__ volatile("mov %%gs, %0" : "=r"(selectors[X86_SEG_GS]));
	}
	return true;
}

void native_load(struct native_segments *segments)
{
	if (!load(segments)) {
		perror("test_native: modify_ldt");
		exit(2);
	}
}

uint64_t native_slot(unsigned number)
{
	return NATIVE_SLOTS + (uint64_t)number * NATIVE_SLOT_BYTES;
}

static uint8_t *put32(uint8_t *to, uint64_t word)
{
	uint32_t word32 = (uint32_t)word;

	memcpy(to, &word32, sizeof(word32));
	return to + sizeof(word32);
}

/* The way back is JMP rel32 from 64-bit code, JMP FAR ptr16:32 from the other two. */
void native_write_slot(const struct native_segments *segments, unsigned number,
	const uint8_t *bytes, unsigned n_bytes)
{
	uint8_t *to = (uint8_t *)(uintptr_t)native_slot(number);

	memcpy(to, bytes, n_bytes);
	to += n_bytes;
	if (segments->mode == NATIVE_64) {
		*to++ = 0xe9;
		put32(to, copy_of(native_leave64) - ((uintptr_t)to + 4));
		return;
	}
	if (segments->mode == NATIVE_16)
		*to++ = 0x66;
	*to++ = 0xea;
	to = put32(to, copy_of(native_leave32));
	*to++ = NATIVE_CS32;
	*to = 0;
}

int native_run(const struct native_segments *segments, unsigned number, struct native_state *state)
{
	const uint8_t *enter = segments->mode == NATIVE_64 ? native_enter64 : native_enter32;
	struct native_live *registers = live();
	int fault = sigsetjmp(fault_exit, 0);

	if (fault != 0)
		return fault;
	memcpy(registers->gpr, state->gpr, sizeof(state->gpr));
	registers->rflags = state->rflags;
	registers->target64 = native_slot(number);
	registers->target = (uint32_t)(native_slot(number) - segments->bases[X86_SEG_CS]);
	((void (*)(void))copy_of(enter))();
	memcpy(state->gpr, registers->gpr, sizeof(state->gpr));
	state->rflags = registers->rflags;
	return 0;
}

bool native_can(enum native_mode mode)
{
	static const uint8_t nop = 0x90;
	struct native_segments segments = {.mode = mode, .stack_is_32 = true};
	struct native_state state = {.rflags = 0x202};

	if (mode == NATIVE_32 || mode == NATIVE_16)
		segments.bases[X86_SEG_CS] = NATIVE_SLOTS;
	if (!load(&segments))
		return false;
	native_write_slot(&segments, 0, &nop, 1);
	return native_run(&segments, 0, &state) == 0;
}
