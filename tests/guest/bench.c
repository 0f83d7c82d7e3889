/* SPDX-License-Identifier: MIT */
/*
 * Measures operations: bench= on the command line chooses them; they are printed, and marked for
 * the hypervisor, as guest/mmubench does it. For both worlds. Must not know what the operations
 * are.
 */
#include "tests/guest/bench.h"

/* The ACPI power management timer of QEMU's PC: 24 bits, 3.579545 MHz. ACPI specification, "Power
 * Management Timer". */
#define PM_TIMER     0x608
#define PM_MASK      0xffffffu
#define PM_TENTHS_NS 2794u /* of a tick, in tenths of ns */
#define MARK_MAGIC   0x554d4252u
#define MARK_CALL    1u

static const struct measured *running;
static uint32_t op_number; /* of the operation in marks */
static uint64_t ticks;     /* sum of its timed parts */
static uint64_t started;
static uint32_t n_done;

static uint64_t read_clock(void)
{
	uint32_t low;
	uint32_t high;

	if (shared->clock_ns) {
		__asm__ volatile("inl %w1, %0" : "=a"(low) : "Nd"(PM_TIMER) : "memory");
		return low;
	}
	__asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void mark(uint32_t id)
{
	uint32_t eax = MARK_MAGIC;

	if (shared->marks)
		__asm__ volatile("vmmcall" : "+a"(eax) : "b"(MARK_CALL), "c"(id) : "memory");
}

void bench_begin(void)
{
	mark(2 * op_number);
	started = read_clock();
}

void bench_end(void)
{
	uint64_t passed = read_clock() - started;

	ticks += shared->clock_ns ? passed & PM_MASK : passed;
	mark(2 * op_number + 1);
}

/* ---- choosing and printing ---- */

/* What follows @start in @text, if it begins so; else NULL. */
static const char *after(const char *text, const char *start)
{
	while (*start) {
		if (!text || *text++ != *start++)
			return NULL;
	}
	return text;
}

static bool is_end(const char *at)
{
	return at && (*at == '\0' || *at == ',');
}

/* Is the operation among the names asked for, with the mode's behind it or without? */
static bool chosen(void)
{
	const char *at = shared->bench;

	for (;;) {
		const char *rest = after(at, running->name);

		if (is_end(rest) || is_end(after(after(rest, "_"), mode->name)))
			return true;
		while (!is_end(at))
			at++;
		if (!*at++)
			return false;
	}
}

/* The quotient must fit in 32 bits. */
static uint32_t divided(uint64_t number, uint32_t by)
{
	uint32_t low = (uint32_t)number;
	uint32_t high = (uint32_t)(number >> 32);

	__asm__("divl %2" : "+a"(low), "+d"(high) : "r"(by) : "cc");
	return low;
}

/* "name_mode", and what mmubench says behind a name. */
static void print_result(uint32_t n)
{
	uint32_t tenths = divided(ticks * (shared->clock_ns ? PM_TENTHS_NS : 10), n);

	print(running->name);
	print("_");
	print(mode->name);
	print(" ");
	print_number(tenths / 10);
	print(".");
	print_number(tenths % 10);
	print(shared->clock_ns ? " ns\n" : " instructions\n");
	if (!shared->marks)
		return;
	print("# ");
	print(running->name);
	print("_");
	print(mode->name);
	print(" ops=");
	print_number(n);
	print("\n");
}

static void run_one(void)
{
	mode_reset();
	op_number = (uint32_t)(running - bench_ops) * N_MODES + mode->id;
	ticks = 0;
	n_done = running->run();
}

void run_bench(void)
{
	for (running = bench_ops; running < bench_ops + n_bench_ops; running++) {
		if (!(running->modes & IN(mode->id)) || !chosen())
			continue;
		if (guard_call(run_one))
			print_result(n_done);
		else
			shared->failed++;
	}
	guard_call(mode_reset);
}
