/* SPDX-License-Identifier: MIT */
/*
 * The fast path of exits: what of the guest's state and of the exit's details comes where, what is
 * left to the general path, and under which tag the guest goes on.
 */
#include "tests/unit/exit_world.h"
#include "tests/unit/hv_fake.h"
#include "hv/vm/shadow_walk.h"

/* ---- page faults ---- */

static void a_fault_that_is_fixed_runs_the_guest_again(void **state)
{
	(void)state;
	vmcb->save.cpl = 3;
	vmcb->save.rflags = 2 | X86_RFLAGS_AC;
	assert_int_equal(world_page_fault(7, 0x12345678), VMCB_PHYS);
	assert_int_equal(world.n_calls, 1);
	assert_int_equal(world.fault.gva, 0x12345678);
	assert_int_equal(world.fault.error_code, 7);
	assert_int_equal(world.fault.cpl, 3);
	assert_true(world.fault.ac);
	assert_int_equal(vmcb->event_inject, 0);
	assert_int_equal(vmcb->save.rip, RIP);
	assert_int_equal(vmcb->tlb_control, 0);
	assert_int_equal(vcpu.n_exits, 1);
	assert_int_equal(vcpu.exits[EXIT_PF], 1);
	assert_int_equal(vcpu.ring.code[0], SVM_EXIT_PF);
	assert_int_equal(vcpu.ring.info1[0], 7);
	assert_int_equal(vcpu.ring.info2[0], 0x12345678);
	assert_true(vcpu.ring.rip[0] == RIP);
}

static void the_ring_of_exits_wraps(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXIT_RING + 3; i++)
		world_page_fault(0, i);
	assert_int_equal(vcpu.n_exits, EXIT_RING + 3);
	assert_int_equal(vcpu.ring.info2[2], EXIT_RING + 2);
	assert_int_equal(vcpu.ring.info2[3], 3);
}

static void protection_keys_are_read_where_they_are_on(void **state)
{
	(void)state;
	vcpu.regs.cr4 = X86_CR4_PKS;
	world_page_fault(0, 0);
	assert_int_equal(world.fault.pkru, 0x123);
	assert_int_equal(world.fault.pkrs, 0x456);
}

static void a_flush_that_the_library_asks_for_stays_asked(void **state)
{
	(void)state;
	world.flushes = true;
	world_page_fault(0, 0);
	assert_int_equal(vmcb->tlb_control, SVM_TLB_FLUSH_ALL);
}

static void a_fixed_fault_goes_on_in_the_shadow_of_sti(void **state)
{
	(void)state;
	vmcb->int_state = SVM_INT_STATE_SHADOW;
	assert_int_equal(world_page_fault(0, 0), VMCB_PHYS | SVM_IN_SHADOW);
}

static void the_guests_own_fault_is_injected(void **state)
{
	(void)state;
	world.outcome = UMBRA_INJECT;
	world.out = (struct umbra_exit){.vector = X86_PF, .error_code = 5, .gva = 0x8888};
	vmcb->int_state = SVM_INT_STATE_SHADOW;
	assert_int_equal(world_page_fault(4, 0x8888), VMCB_PHYS);
	assert_true(vmcb->event_inject ==
		    (SVM_EVENT_VALID | SVM_EVENT_ERROR_VALID | 3ull << 8 | X86_PF | 5ull << 32));
	assert_true(arch.injected == vmcb->event_inject);
	assert_int_equal(vmcb->save.cr2, 0x8888);
	assert_true(vmcb->save.rflags & X86_RFLAGS_RF);
	assert_int_equal(vmcb->int_state, 0);
	assert_int_equal(vcpu.exits[EXIT_PF], 1);
}

static void a_fault_during_a_delivery_is_left_alone(void **state)
{
	(void)state;
	vmcb->exit_int_info = SVM_EVENT_VALID | 0x41;
	assert_int_equal(world_page_fault(4, 0x8888), SVM_GENERAL);
	assert_int_equal(world.n_calls, 0);
	assert_int_equal(vcpu.n_exits, 0);
	assert_int_equal(vmcb->tlb_control, SVM_TLB_FLUSH_ALL);
}

static void other_outcomes_are_finished_elsewhere(void **state)
{
	static const enum umbra_outcome outcomes[] = {UMBRA_EMULATE, UMBRA_MMIO};

	for (unsigned i = 0; i < N(outcomes); i++) {
		world_reset(state);
		world.outcome = outcomes[i];
		world.out.gpa = 0x9999;
		assert_int_equal(world_page_fault(4, 0x8888), SVM_GENERAL | SVM_UNFINISHED);
		assert_int_equal(vcpu.outcome, outcomes[i]);
		assert_int_equal(vcpu.out.gpa, 0x9999);
		assert_int_equal(vcpu.exits[EXIT_PF], 1);
		assert_int_equal(vcpu.n_exits, 1);
	}
}

static void a_new_root_is_followed(void **state)
{
	static const enum umbra_outcome outcomes[] = {UMBRA_RESUME, UMBRA_INJECT};

	for (unsigned i = 0; i < N(outcomes); i++) {
		world_reset(state);
		world.outcome = outcomes[i];
		world.root = ROOT_2;
		world.tag = 5;
		world_page_fault(0, 0);
		assert_int_equal(vmcb->save.cr3, ROOT_2);
		assert_int_equal(vmcb->asid, 6);
		assert_int_equal(vcpu.root, ROOT_2);
	}
}

/* The exit of @exit_code by @bytes, on tables that the guest was not given. */
static void expect_stopped(void **state, uint64_t exit_code, const char *bytes)
{
	world_reset(state);
	world_execute(exit_code, bytes); /* the site is known */
	vmcb->save.rip = RIP;
	vmcb->save.cr3 = 0x66000;
	if (setjmp(hv_fake_return) == 0)
		svm_fast(&vcpu, &arch);
	assert_true(world.stopped);
}

static void tables_that_are_not_ours_end_the_guest(void **state)
{
	expect_stopped(state, SVM_EXIT_PF, "");
	expect_stopped(state, CR3_WRITE, "\x0f\x22\xdf");
	expect_stopped(state, SVM_EXIT_INVLPG, "\x0f\x01\x3f");
}

/* ---- instructions ---- */

static void cr3_is_loaded(void **state)
{
	(void)state;
	vcpu.gpr[X86_RDI] = 0x12007 | X86_CR3_NO_FLUSH;
	vmcb->save.rflags = 2 | X86_RFLAGS_RF;
	vmcb->int_state = SVM_INT_STATE_SHADOW;
	world.root = ROOT; /* by which the site is learnt */
	assert_int_equal(world_execute(CR3_WRITE, "\x0f\x22\xdf"), VMCB_PHYS);
	assert_true(world.cr3 == (0x12007 | X86_CR3_NO_FLUSH));
	assert_int_equal(vcpu.regs.cr3, 0x12007);
	assert_true(vmcb->save.rip == RIP + 3);
	assert_int_equal(vmcb->save.rflags, 2);
	assert_int_equal(vmcb->int_state, 0);
	assert_int_equal(vmcb->tlb_control, 0);
	assert_int_equal(vcpu.exits[EXIT_CR3], 1);
	assert_int_equal(vcpu.n_exits, 1);
	/* And once more, to other tables. */
	vmcb->save.rip = RIP;
	vcpu.gpr[X86_RDI] = 0x13000;
	world.root = ROOT_2;
	world.tag = 14;
	assert_int_equal(svm_fast(&vcpu, &arch), VMCB_PHYS);
	assert_int_equal(vmcb->save.cr3, ROOT_2);
	assert_int_equal(vmcb->asid, 15);
	assert_int_equal(vcpu.regs.cr3, 0x13000);
}

static void a_cr3_that_is_refused_changes_nothing(void **state)
{
	(void)state;
	world.outcome = UMBRA_INJECT;
	world.out = (struct umbra_exit){.vector = X86_GP};
	assert_int_equal(world_execute(CR3_WRITE, "\x0f\x22\xdf"), VMCB_PHYS);
	assert_true(vmcb->save.rip == RIP);
	assert_true(vmcb->save.rflags & X86_RFLAGS_RF);
	assert_int_equal(vcpu.regs.cr3, 0x7000);
	assert_true(vmcb->event_inject ==
		    (SVM_EVENT_VALID | SVM_EVENT_ERROR_VALID | 3ull << 8 | X86_GP));
}

static void cr3_is_read(void **state)
{
	(void)state;
	assert_int_equal(world_execute(CR3_READ, "\x41\x0f\x20\xd8" /* mov r8, cr3 */), VMCB_PHYS);
	assert_int_equal(vcpu.gpr[8], 0x7000);
	assert_true(vmcb->save.rip == RIP + 4);
	assert_int_equal(vcpu.exits[EXIT_CR3], 1);
	assert_int_equal(world.n_calls, 0);
	vmcb->save.rip = RIP;
	assert_int_equal(world_execute(CR3_READ, "\x0f\x20\xd8" /* mov rax, cr3 */), VMCB_PHYS);
	assert_int_equal(vmcb->save.rax, 0x7000);
}

static void an_address_is_invalidated(void **state)
{
	(void)state;
	vcpu.gpr[X86_RSI] = 0xffff800000123456ull;
	assert_int_equal(world_execute(SVM_EXIT_INVLPG, "\x0f\x01\x3e"), VMCB_PHYS);
	assert_true(world.gva == 0xffff800000123456ull);
	assert_true(vmcb->save.rip == RIP + 3);
	assert_int_equal(vcpu.exits[EXIT_INVLPG], 1);
}

/* Registers that C functions preserve are not at hand, other code sizes not known. */
static void what_is_out_of_reach_is_left_alone(void **state)
{
	static const char *const insns[] = {"\x0f\x22\xdb", "\x0f\x22\xdd", "\x41\x0f\x22\xdc",
		"\x41\x0f\x22\xdd", "\x41\x0f\x22\xde", "\x41\x0f\x22\xdf"};

	for (unsigned i = 0; i < N(insns); i++) {
		world_reset(state);
		assert_int_equal(world_execute(CR3_WRITE, insns[i]), SVM_GENERAL);
		assert_int_equal(vcpu.n_exits, 0);
	}
	world_reset(state);
	vmcb->save.cs.attributes = SEGMENT_DB;
	assert_int_equal(world_execute(CR3_WRITE, "\x0f\x22\xdf"), SVM_GENERAL);
	/* Single steps have more to report. */
	world_reset(state);
	assert_int_equal(world_execute(CR3_WRITE, "\x0f\x22\xdf"), VMCB_PHYS);
	vmcb->save.rip = RIP;
	vmcb->save.rflags |= X86_RFLAGS_TF;
	assert_int_equal(svm_fast(&vcpu, &arch), SVM_GENERAL);
	assert_true(vmcb->save.rip == RIP);
	/* Known, and now reached in 32-bit code. */
	world_reset(state);
	assert_int_equal(world_execute(CR3_WRITE, "\x0f\x22\xdf"), VMCB_PHYS);
	vmcb->save.rip = RIP;
	vmcb->save.cs.attributes = SEGMENT_DB;
	assert_int_equal(svm_fast(&vcpu, &arch), SVM_GENERAL);
	assert_int_equal(world.n_calls, 1);
	world_reset(state);
	vcpu.shadow_shift = SHADOW_SHIFT_5LEVEL;
	assert_int_equal(world_execute(CR3_WRITE, "\x0f\x22\xdf"), SVM_GENERAL);
}

static void all_other_exits_are_left_alone(void **state)
{
	(void)state;
	for (uint64_t code = 0; code < 0x500; code++) {
		if (code == SVM_EXIT_PF || code == SVM_EXIT_INVLPG || code == CR3_READ ||
			code == CR3_WRITE)
			continue;
		vmcb->exit_code = code;
		assert_int_equal(svm_fast(&vcpu, &arch), SVM_GENERAL);
	}
	assert_int_equal(vcpu.n_exits, 0);
	assert_int_equal(vmcb->tlb_control, SVM_TLB_FLUSH_ALL);
}

/* ---- tags ---- */

static void tags_are_what_the_hypervisor_leaves(void **state)
{
	(void)state;
	svm_features.n_asids = 16;
	assert_int_equal(vendor_tags(), 15);
	/* Not told, or nothing left: one has to do. */
	svm_features.n_asids = 0;
	assert_int_equal(vendor_tags(), 1);
	svm_features.n_asids = 1;
	assert_int_equal(vendor_tags(), 1);
	svm_features.n_asids = 0;
}

static void a_tag_is_flushed_alone_where_the_processor_can(void **state)
{
	(void)state;
	vmcb->tlb_control = 0;
	vendor_flush_tag(&vcpu);
	assert_int_equal(vmcb->tlb_control, SVM_TLB_FLUSH_ALL);
	svm_features.flush_by_asid = true;
	vmcb->tlb_control = 0;
	vendor_flush_tag(&vcpu);
	assert_int_equal(vmcb->tlb_control, SVM_TLB_FLUSH_ASID);
	/* All is more. */
	vendor_flush_tlb(&vcpu);
	assert_int_equal(vmcb->tlb_control, SVM_TLB_FLUSH_ALL);
	vendor_flush_tag(&vcpu);
	assert_int_equal(vmcb->tlb_control, SVM_TLB_FLUSH_ALL);
	svm_features.flush_by_asid = false;
}

#define T(test) cmocka_unit_test_setup(test, world_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_fault_that_is_fixed_runs_the_guest_again),
		T(the_ring_of_exits_wraps),
		T(protection_keys_are_read_where_they_are_on),
		T(a_flush_that_the_library_asks_for_stays_asked),
		T(a_fixed_fault_goes_on_in_the_shadow_of_sti),
		T(the_guests_own_fault_is_injected),
		T(a_fault_during_a_delivery_is_left_alone),
		T(other_outcomes_are_finished_elsewhere),
		T(a_new_root_is_followed),
		T(tables_that_are_not_ours_end_the_guest),
		T(cr3_is_loaded),
		T(a_cr3_that_is_refused_changes_nothing),
		T(cr3_is_read),
		T(an_address_is_invalidated),
		T(what_is_out_of_reach_is_left_alone),
		T(all_other_exits_are_left_alone),
		T(tags_are_what_the_hypervisor_leaves),
		T(a_tag_is_flushed_alone_where_the_processor_can),
	};

	return cmocka_run_group_tests(tests, world_map_memory, NULL);
}
