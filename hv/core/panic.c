/* SPDX-License-Identifier: MIT */
/*
 * The ends of the machine: panic (a bug of ours), fatal_config (cannot work like this),
 * machine_exit.
 */
#include "hv/core/init.h"
#include "hv/core/insn.h"
#include "hv/core/stack.h"
#include "hv/core/trap.h"

/* isa-debug-exit: QEMU ends with status value*2+1. */
#define DEBUG_EXIT_PORT 0xf4u

enum {
	EXIT_BAD_CONFIGURATION = 32, /* 65 */
	EXIT_PANIC = 35,             /* 71 */
};

#define REPORTS_MAX 8u

/* The linker's: hv/boot/image.ld. */
extern char text_start[];
extern char text_end[];

static void (*reports[REPORTS_MAX])(void);
static unsigned n_reports;
static bool panicking;

_Noreturn void machine_exit(uint8_t value)
{
	monitor_drain();
	outb(DEBUG_EXIT_PORT, value);
	for (;;)
		__asm__ volatile("cli\n\thlt" : : : "memory");
}

_Noreturn void fatal_config(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line("error", "%s", text);
	machine_exit(EXIT_BAD_CONFIGURATION);
}

void panic_register(void (*report)(void))
{
	HV_ASSERT(n_reports < REPORTS_MAX);
	reports[n_reports++] = report;
}

/* The words from @rsp up that look like return addresses: a backtrace with some noise, which needs
 * neither frame pointers nor tables. */
static void print_stack(uint64_t rsp)
{
	uint64_t top = (uintptr_t)cpu_self();
	char text[512];
	int used = 0;
	unsigned n_found = 0;

	/* A wild stack pointer is not followed. */
	if (rsp % 8 || rsp >= top || rsp < top - CPU_STACK_BYTES)
		return;
	text[0] = '\0';
	for (; rsp < top && n_found < 16; rsp += 8) {
		uint64_t word = *(const uint64_t *)(uintptr_t)rsp;

		if (word < (uintptr_t)text_start || word >= (uintptr_t)text_end)
			continue;
		used += format(text + used, sizeof(text) - (size_t)used, " %lx", word);
		n_found++;
	}
	log_line("panic", "stack:%s", text);
}

static void print_control_registers(void)
{
	log_line("panic", "cpu %u cr0 %lx cr2 %lx cr3 %lx cr4 %lx", cpu_self()->index, read_cr0(),
		read_cr2(), read_cr3(), read_cr4());
}

/* All the reports, then the end. A panic in one of them goes straight to the end. */
static _Noreturn void finish(void)
{
	for (unsigned i = 0; i < n_reports; i++)
		reports[i]();
	machine_exit(EXIT_PANIC);
}

static void enter(void)
{
	if (panicking) {
		log_line("panic", "panic while reporting a panic");
		machine_exit(EXIT_PANIC);
	}
	panicking = true;
}

_Noreturn void panic(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line("panic", "%s", text);
	enter();
	print_control_registers();
	print_stack(read_rsp());
	finish();
}

_Noreturn void panic_trap(const struct trap_frame *f)
{
	log_line("panic", "%s %lu in the hypervisor at rip %lx, error code %lx",
		f->vector < 32 ? "exception" : "interrupt", f->vector, f->rip, f->error_code);
	enter();
	print_control_registers();
	log_line("panic", "rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx rsp %lx", f->rax,
		f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->rsp);
	log_line("panic",
		"r8 %lx r9 %lx r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx rflags %lx", f->r8,
		f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15, f->rflags);
	print_stack(f->rsp);
	finish();
}
