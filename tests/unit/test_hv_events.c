/* SPDX-License-Identifier: MIT */
/*
 * Events in the hypervisor: what comes of an exception during a delivery, over the whole table;
 * what of an exit is delivered again, and how; breakpoints on accesses done for the guest.
 */
#include "tests/unit/hv_fake.h"

#include <stdio.h>

#include "hv/arch/svm/svm.h"
#include "hv/vm/combine.h"
#include "hv/vm/debug.h"

struct svm_features svm_features;
uint32_t trap_nmis;

static struct vendor_vcpu arch;
static struct vmcb *const vmcb = &arch.vmcb;
static struct vcpu vcpu = {.arch = &arch};

static char stopped[256];

_Noreturn void vm_stop(struct vcpu *stopped_vcpu, const char *fmt, ...)
{
	va_list ap;

	(void)stopped_vcpu;
	va_start(ap, fmt);
	vsnprintf(stopped, sizeof(stopped), fmt, ap);
	va_end(ap);
	longjmp(hv_fake_return, 1);
}

void vendor_set_cr2(struct vcpu *of, umbra_gva gva)
{
	of->arch->vmcb.save.cr2 = gva;
}

enum x86_code_size vendor_code_size(const struct vcpu *of)
{
	(void)of;
	return X86_CODE_32;
}

static int reset(void **state)
{
	(void)state;
	memset(&arch, 0, sizeof(arch));
	svm_features = (struct svm_features){0};
	memset(&vcpu.exit, 0, sizeof(vcpu.exit));
	vcpu.regs.cr0 = X86_CR0_PE;
	stopped[0] = '\0';
	return 0;
}

/* ---- combine() ---- */

/* SDM 3A, "Conditions for Generating a Double Fault", by vectors. */
static bool is_one_of(unsigned vector, const uint8_t *set, size_t n)
{
	return memchr(set, (int)vector, n) != NULL;
}

static enum combined by_the_manual(enum event_type type, unsigned first, unsigned second)
{
	static const uint8_t contributory[] = {0, 10, 11, 12, 13, 21};
	static const uint8_t page_fault[] = {14, 20};
	bool first_contributory = is_one_of(first, contributory, sizeof(contributory));
	bool second_contributory = is_one_of(second, contributory, sizeof(contributory));
	bool first_fault = is_one_of(first, page_fault, sizeof(page_fault));
	bool second_fault = is_one_of(second, page_fault, sizeof(page_fault));

	if (type != EVENT_EXCEPTION)
		return COMBINED_SECOND;
	if (first_contributory && second_contributory)
		return COMBINED_DOUBLE_FAULT;
	if (first_fault && (second_contributory || second_fault))
		return COMBINED_DOUBLE_FAULT;
	if (first == 8 && (second_contributory || second_fault))
		return COMBINED_SHUTDOWN;
	return COMBINED_SECOND;
}

static void every_exception_during_every_event(void **state)
{
	unsigned counts[3] = {0};

	(void)state;
	for (unsigned type = EVENT_INTERRUPT; type <= EVENT_SOFTWARE; type++) {
		for (unsigned first = 0; first < 256; first++) {
			struct vendor_event event = {
				.type = (enum event_type)type, .vector = (uint8_t)first};

			if (type == EVENT_EXCEPTION && first >= 32)
				break;
			for (unsigned second = 0; second < 32; second++) {
				enum combined got = combine(&event, (uint8_t)second);

				/* #DF is made here and never arises. */
				if (second == X86_DF)
					continue;
				assert_int_equal(
					got, by_the_manual((enum event_type)type, first, second));
				counts[got]++;
			}
		}
	}
	/* 6 x 6 and 2 x 8 make #DF, 8 after #DF the end. */
	assert_int_equal(counts[COMBINED_DOUBLE_FAULT], 6 * 6 + 2 * 8);
	assert_int_equal(counts[COMBINED_SHUTDOWN], 8);
}

static void error_codes_and_faults(void **state)
{
	static const uint8_t with_error[] = {8, 10, 11, 12, 13, 14, 17, 21};
	static const uint8_t no_fault[] = {1, 2, 3, 4, 8, 18};

	(void)state;
	for (unsigned vector = 0; vector < 32; vector++) {
		assert_int_equal(exception_has_error((uint8_t)vector),
			is_one_of(vector, with_error, sizeof(with_error)));
		assert_int_equal(exception_is_fault((uint8_t)vector),
			!is_one_of(vector, no_fault, sizeof(no_fault)));
	}
	assert_false(exception_has_error(13 + 32));
}

static void error_codes_name_the_gate_and_the_cause(void **state)
{
	static const struct {
		enum event_type type;
		uint8_t vector;
		uint32_t given, expected;
	} rows[] = {
		{EVENT_SOFTWARE, 0x31, 0x312, 0x18a},
		{EVENT_SOFTWARE, 0x31, 0x18a, 0x18a},
		{EVENT_INTERRUPT, 0x41, 0x412, 0x20b},
		{EVENT_EXCEPTION, 14, 0xe2, 0x73},
		{EVENT_EXCEPTION, 14, 0x18, 0x19}, /* a selector */
		{EVENT_SOFTWARE, 3, 0x18, 0x18},
		{EVENT_NMI, 2, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vendor_event first = {.type = rows[i].type, .vector = rows[i].vector};

		assert_int_equal(error_during(&first, rows[i].given), rows[i].expected);
	}
}

/* ---- inject_exception(), on a VMCB ---- */

static void was_delivering(unsigned type, unsigned vector, bool has_error, uint32_t error)
{
	vmcb->exit_int_info = SVM_EVENT_VALID | (uint64_t)type << SVM_EVENT_TYPE_SHIFT | vector |
			      (has_error ? SVM_EVENT_ERROR_VALID : 0) |
			      (uint64_t)error << SVM_EVENT_ERROR_SHIFT;
	svm_redeliver(&vcpu);
}

static uint64_t injection(unsigned type, unsigned vector, bool has_error, uint32_t error)
{
	return SVM_EVENT_VALID | (uint64_t)type << SVM_EVENT_TYPE_SHIFT | vector |
	       (has_error ? SVM_EVENT_ERROR_VALID : 0) | (uint64_t)error << SVM_EVENT_ERROR_SHIFT;
}

static void a_fault_alone_is_injected_as_it_is(void **state)
{
	(void)state;
	inject_exception(&vcpu, X86_GP, 0x18);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_GP, true, 0x18));
	inject_exception(&vcpu, X86_UD, 0);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_UD, false, 0));
	assert_true(vmcb->save.rflags & X86_RFLAGS_RF);
}

static void real_mode_pushes_no_error_code(void **state)
{
	(void)state;
	vcpu.regs.cr0 = 0;
	inject_exception(&vcpu, X86_GP, 0);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_GP, false, 0));
}

static void two_page_faults_are_a_double_fault(void **state)
{
	struct umbra_exit out = {.vector = X86_PF, .error_code = 2, .gva = 0x1234};

	(void)state;
	was_delivering(SVM_TYPE_EXCEPTION, X86_PF, true, 4);
	inject_outcome(&vcpu, &out);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_DF, true, 0));
	assert_int_equal(vmcb->save.cr2, 0x1234);
}

static void a_page_fault_replaces_an_interrupt(void **state)
{
	struct umbra_exit out = {.vector = X86_PF, .error_code = 2, .gva = 0x1234};

	(void)state;
	was_delivering(SVM_TYPE_INTERRUPT, 0x41, false, 0);
	inject_outcome(&vcpu, &out);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_PF, true, 2));
}

static void a_fault_in_a_double_fault_is_the_end(void **state)
{
	(void)state;
	was_delivering(SVM_TYPE_EXCEPTION, X86_DF, true, 0);
	if (setjmp(hv_fake_return) == 0) {
		inject_exception(&vcpu, X86_PF, 0);
		fail_msg("the guest goes on");
	}
	assert_says(stopped, "triple fault");
}

/* ---- what is delivered again ---- */

/* {given, expect}: EXITINTINFO's type and vector, and EVENTINJ's; -1: nothing. */
static void broken_off_events_are_delivered_again(void **state)
{
	static const struct {
		uint8_t type, vector;
		int again;
	} rows[] = {
		{SVM_TYPE_INTERRUPT, 0x41, SVM_TYPE_INTERRUPT},
		{SVM_TYPE_NMI, X86_NMI, SVM_TYPE_NMI},
		{SVM_TYPE_EXCEPTION, X86_UD, SVM_TYPE_EXCEPTION},
		{SVM_TYPE_EXCEPTION, X86_DB, SVM_TYPE_EXCEPTION},
		{SVM_TYPE_SOFTWARE, 0x80, -1},                  /* INT n executes again */
		{SVM_TYPE_EXCEPTION, X86_BP, -1},               /* INT3 too */
		{SVM_TYPE_EXCEPTION, 4, -1},                    /* INTO too */
		{SVM_TYPE_EXCEPTION, 0x41, SVM_TYPE_INTERRUPT}, /* as TCG calls them */
		{SVM_TYPE_EXCEPTION, X86_NMI, SVM_TYPE_NMI},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t expected = 0;

		reset(state);
		if (rows[i].again >= 0)
			expected = injection((unsigned)rows[i].again, rows[i].vector, false, 0);
		was_delivering(rows[i].type, rows[i].vector, false, 0);
		assert_int_equal(vmcb->event_inject, expected);
	}
}

/* TCG: an exception with an error code is one that was injected. */
static void the_timer_of_the_pic_is_no_double_fault(void **state)
{
	(void)state;
	svm_features.injects_alone = true;
	was_delivering(SVM_TYPE_EXCEPTION, X86_DF, true, 0);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_INTERRUPT, X86_DF, false, 0));
	inject_exception(&vcpu, X86_PF, 6);
	was_delivering(SVM_TYPE_EXCEPTION, X86_PF, true, 6);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_PF, true, 6));
	was_delivering(SVM_TYPE_EXCEPTION, X86_UD, false, 0);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_UD, false, 0));
}

static void error_code_and_flags_survive(void **state)
{
	(void)state;
	vmcb->int_state = SVM_INT_STATE_SHADOW;
	vmcb->save.cr2 = 0x5678;
	was_delivering(SVM_TYPE_EXCEPTION, X86_PF, true, 7);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_PF, true, 7));
	assert_int_equal(vmcb->save.cr2, 0x5678);
	assert_int_equal(vmcb->int_state, 0);
	assert_true(vmcb->save.rflags & X86_RFLAGS_RF);
}

static void only_faults_set_rf(void **state)
{
	(void)state;
	was_delivering(SVM_TYPE_INTERRUPT, 0x41, false, 0);
	assert_false(vmcb->save.rflags & X86_RFLAGS_RF);
	vendor_debug_trap(&vcpu, X86_DR6_BS);
	assert_false(vmcb->save.rflags & X86_RFLAGS_RF);
	assert_int_equal(vmcb->event_inject, injection(SVM_TYPE_EXCEPTION, X86_DB, false, 0));
	assert_int_equal(vmcb->save.dr6, X86_DR6_BS);
}

static void a_debug_trap_clears_general_detect(void **state)
{
	(void)state;
	vmcb->save.dr7 = 0x2402;
	vendor_debug_trap(&vcpu, 1);
	assert_int_equal(vmcb->save.dr7, 0x402);
}

static void an_instruction_done_ends_shadow_and_rf(void **state)
{
	(void)state;
	vmcb->int_state = SVM_INT_STATE_SHADOW;
	vmcb->save.rflags = X86_RFLAGS_RF | X86_RFLAGS_IF;
	vmcb->save.rip = 0xfffffffe;
	vendor_advance(&vcpu, 3);
	assert_int_equal(vmcb->int_state, 0);
	assert_int_equal(vmcb->save.rflags, X86_RFLAGS_IF);
	assert_int_equal(vmcb->save.rip, 1);
	assert_int_equal(vmcb->event_inject, 0);
}

static void a_round_of_a_string_instruction_sets_rf(void **state)
{
	(void)state;
	vmcb->int_state = SVM_INT_STATE_SHADOW;
	vmcb->save.rflags = X86_RFLAGS_IF;
	vmcb->save.rip = 0x1000;
	vendor_advance(&vcpu, 0);
	assert_int_equal(vmcb->int_state, 0);
	assert_int_equal(vmcb->save.rflags, X86_RFLAGS_IF | X86_RFLAGS_RF);
	assert_int_equal(vmcb->save.rip, 0x1000);
}

static void an_nmi_is_passed_until_iret(void **state)
{
	(void)state;
	vmcb->intercepts[0] = SVM_I1_NMI | SVM_I1_CPUID;
	vcpu.exit.code = SVM_EXIT_NMI;
	assert_false(vendor_nmi_returns(&vcpu));
	vendor_pass_nmi(&vcpu);
	assert_int_equal(vmcb->intercepts[0], SVM_I1_IRET | SVM_I1_CPUID);
	vcpu.exit.code = SVM_EXIT_IRET;
	assert_true(vendor_nmi_returns(&vcpu));
	assert_int_equal(vmcb->intercepts[0], SVM_I1_NMI | SVM_I1_CPUID);
}

/* ---- breakpoints ---- */

/* R/W and LEN of breakpoint 0, which is enabled. */
#define DR7(rw, len) (1ull | (uint64_t)(rw) << 16 | (uint64_t)(len) << 18)

static void breakpoints_hit_what_overlaps(void **state)
{
	static const struct {
		uint64_t dr7, at;
		enum debug_kind kind;
		uint64_t address;
		size_t n_bytes;
		uint64_t hits;
	} rows[] = {
		{DR7(1, 3), 0x1000, DEBUG_WRITE, 0x1000, 4, 1},
		{DR7(1, 3), 0x1000, DEBUG_WRITE, 0x1003, 1, 1}, /* its last byte */
		{DR7(1, 3), 0x1000, DEBUG_WRITE, 0x0ffd, 4, 1}, /* its first one */
		{DR7(1, 3), 0x1000, DEBUG_WRITE, 0x0ffc, 4, 0},
		{DR7(1, 3), 0x1000, DEBUG_WRITE, 0x1004, 4, 0},
		{DR7(1, 3), 0x1002, DEBUG_WRITE, 0x1000, 1, 1}, /* low address bits do not count */
		{DR7(1, 2), 0x1000, DEBUG_WRITE, 0x1007, 1, 1}, /* LEN 10: eight bytes */
		{DR7(1, 0), 0x1000, DEBUG_READ, 0x1000, 4, 0},
		{DR7(3, 0), 0x1000, DEBUG_READ, 0x1000, 4, 1},
		{DR7(3, 0), 0x1000, DEBUG_WRITE, 0x1000, 4, 1},
		{DR7(0, 0), 0x1000, DEBUG_READ, 0x1000, 4, 0}, /* on instructions */
		{DR7(2, 1), 0x64, DEBUG_PORT, 0x65, 1, 1},
		{DR7(1, 1), 0x64, DEBUG_PORT, 0x64, 1, 0},
		{DR7(1, 3) & ~1ull, 0x1000, DEBUG_WRITE, 0x1000, 4, 0},       /* off */
		{(DR7(1, 3) & ~1ull) | 2, 0x1000, DEBUG_WRITE, 0x1000, 4, 1}, /* G0 */
		{DR7(1, 0), UINT64_MAX, DEBUG_WRITE, UINT64_MAX - 3, 4, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t dr[4] = {rows[i].at};

		assert_int_equal(
			debug_hits(rows[i].dr7, dr, rows[i].kind, rows[i].address, rows[i].n_bytes),
			rows[i].hits);
	}
}

static void each_breakpoint_has_its_bit(void **state)
{
	uint64_t dr[4] = {0x10, 0x20, 0x30, 0x10};
	uint64_t dr7 = 1ull << 0 | 1ull << 2 | 1ull << 4 | 1ull << 7 | 0x1111ull << 16;

	(void)state;
	assert_int_equal(debug_hits(dr7, dr, DEBUG_WRITE, 0x10, 1), 1 | 8);
	assert_int_equal(debug_hits(dr7, dr, DEBUG_WRITE, 0x10, 0x30), 15);
}

#define T(test) cmocka_unit_test_setup(test, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_exception_during_every_event),
		T(error_codes_and_faults),
		T(error_codes_name_the_gate_and_the_cause),
		T(a_fault_alone_is_injected_as_it_is),
		T(real_mode_pushes_no_error_code),
		T(two_page_faults_are_a_double_fault),
		T(a_page_fault_replaces_an_interrupt),
		T(a_fault_in_a_double_fault_is_the_end),
		T(broken_off_events_are_delivered_again),
		T(the_timer_of_the_pic_is_no_double_fault),
		T(error_code_and_flags_survive),
		T(only_faults_set_rf),
		T(a_debug_trap_clears_general_detect),
		T(an_instruction_done_ends_shadow_and_rf),
		T(a_round_of_a_string_instruction_sets_rf),
		T(an_nmi_is_passed_until_iret),
		T(breakpoints_hit_what_overlaps),
		T(each_breakpoint_has_its_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
