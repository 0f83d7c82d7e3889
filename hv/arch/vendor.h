/* SPDX-License-Identifier: MIT */
/*
 * The seam to the processor's virtualization extension (svm/; later vmx/). Everything above it
 * speaks of exits, registers and events, never of a VMCB.
 *
 * A port supplies every function below. While an exit is handled, general registers (RSP among
 * them) and the root of the shadow tables with its tag live in struct vcpu; everything else of the
 * guest's state stays behind these functions.
 *
 * A port does the commonest exits by itself, on a fast path where none of this is true: page
 * faults, MOV to and from CR3, INVLPG. What it cannot finish there it hands over like every other
 * exit.
 */
#ifndef HV_ARCH_VENDOR_H
#define HV_ARCH_VENDOR_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/guest/guest.h"
#include "umbra/umbra.h"
#include "x86/decode.h"

struct vcpu; /* hv/vm/vcpu.h */

/* Why the guest stopped. The names are the keys of the statistics (exit_kind_name). */
enum exit_kind {
	EXIT_PF,
	EXIT_UD,
	EXIT_EXCEPTION,
	EXIT_CR0,
	EXIT_CR3,
	EXIT_CR4,
	EXIT_INVLPG,
	EXIT_INVPCID,
	EXIT_CPUID,
	EXIT_MSR,
	EXIT_IO,
	EXIT_VMMCALL,
	EXIT_SVM_INSN,
	EXIT_NMI,
	EXIT_SMI,
	EXIT_INTR,
	EXIT_NPF,
	EXIT_SHUTDOWN,
	EXIT_TASK_SWITCH,
	EXIT_OTHER,
	EXIT_KINDS,
};

/* One exit, in vcpu->exit while it is handled. */
struct exit_record {
	uint64_t code;  /* the processor's own number */
	uint64_t info1; /* PF, NPF, EXCEPTION: error code */
	uint64_t info2; /* PF: linear address; NPF: guest-physical address */
	uint64_t rip;
	uint64_t rflags;
	uint32_t cpl;
};

enum event_type {
	EVENT_INTERRUPT, /* external */
	EVENT_NMI,
	EVENT_EXCEPTION,
	EVENT_SOFTWARE, /* INT n, INT3, INTO: executes again by itself */
};

/* Something delivered through the guest's IDT. */
struct vendor_event {
	enum event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error_code;
};

/* IN, OUT, INS or OUTS. */
struct io_access {
	uint16_t port;
	uint8_t n_bytes;
	bool in;
	bool string;
	uint64_t next_rip;
};

/* A segment register with its hidden part. */
struct vendor_segment {
	uint16_t selector;
	uint16_t attributes; /* descriptor bits 55:52 and 47:40, as SEGMENT_* */
	uint32_t limit;      /* of the last byte */
	uint64_t base;
};

#define SEGMENT_TYPE            0x00fu
#define SEGMENT_WRITE_READ      (1u << 1) /* of data: writable; of code: readable */
#define SEGMENT_EXPANDS         (1u << 2) /* of data: downward; of code: conforming */
#define SEGMENT_CODE            (1u << 3)
#define SEGMENT_NO_SYSTEM       (1u << 4) /* code or data */
#define SEGMENT_DPL(attributes) ((unsigned)(attributes) >> 5 & 3)
#define SEGMENT_PRESENT         (1u << 7)
#define SEGMENT_L               (1u << 9)
#define SEGMENT_DB              (1u << 10)

/* What a hardware task switch replaces, beside general registers and control registers. */
struct vendor_task {
	struct vendor_segment segments[6]; /* by enum x86_segment */
	struct vendor_segment ldtr, tr;
	uint64_t rip, rflags, dr7;
	unsigned cpl;
};

/* What asked for a task switch. */
enum vendor_task_cause {
	TASK_CALL,
	TASK_JMP,
	TASK_IRET,
	TASK_GATE, /* an event, by way of a task gate in the IDT */
};

struct vendor_task_switch {
	enum vendor_task_cause cause;
	uint16_t selector; /* of the new task's TSS */
	bool has_error;    /* the new task finds @error_code on its stack */
	uint32_t error_code;
	bool rf; /* RF as the old task's EFLAGS are to be saved */
};

/* ---- bringing up ---- */

/* Switch the extension on for this CPU; from here on nothing interrupts the hypervisor. @nested:
 * the guest will run on nested paging. fatal_config() if the processor or its firmware does not
 * allow it. */
void vendor_init(bool nested);

/* The exits that depend on ports and MSRs; everything else is fixed. Boot only. */
void vendor_intercept_ports(uint16_t first, unsigned n_ports);
void vendor_intercept_msr(uint32_t msr, bool reads, bool writes);

/* Give @vcpu its hardware state, that of @entry. Takes frames. Boot only. */
void vendor_vcpu_create(struct vcpu *vcpu, const struct guest_entry *entry);

/* ---- running ---- */

/* Run the guest for ever. At each exit that is not done on the fast path vcpu->gpr and vcpu->exit
 * are filled, and with nested paging vcpu->regs; then vm_exit() is called, which the virtual
 * machine supplies (hv/vm/loop.c), or vm_finish_pf() if the library's answer to a page fault is
 * already in vcpu->outcome. An event whose delivery the exit broke off will be delivered again,
 * unless vendor_inject() replaces it. */
_Noreturn void vendor_loop(struct vcpu *vcpu);
void vm_exit(struct vcpu *vcpu, enum exit_kind kind);
void vm_finish_pf(struct vcpu *vcpu);

/* Fill vcpu->exit and of vcpu->gpr what the processor keeps: for reports from the fast path. The
 * registers that C functions preserve may then be those of an earlier exit. */
void vendor_describe_exit(struct vcpu *vcpu);

/* The kind of an exit with the processor's number @code; is it a write of a control register? */
enum exit_kind vendor_exit_kind(uint64_t code);
bool vendor_exit_is_cr_write(uint64_t code);

/* Where general register @gpr of the guest is on the fast path. NULL: out of reach. */
uint64_t *vendor_gpr_home(struct vcpu *vcpu, unsigned gpr);

/* Let a pending NMI and a pending SMI reach the hypervisor. Returns true if there was an NMI; it is
 * swallowed. */
bool vendor_window(void);

/* ---- translation ---- */

/* Run with the shadow tables of vcpu->root: control registers for a guest whose own are @guest.
 * Does not flush. */
void vendor_set_paging(
	struct vcpu *vcpu, const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode);

/* Run with nested tables from @root. The guest's own control registers are then the hardware's. */
void vendor_set_nested_root(struct vcpu *vcpu, umbra_hpa root);
void vendor_nested_set_control(struct vcpu *vcpu, const struct umbra_paging_regs *regs);

/* How many address-space tags a vCPU can run under, one at a time: vcpu->tag, below this. At least
 * one. */
unsigned vendor_tags(void);

/* Before the next guest instruction forget all translations; those under the tag that the guest
 * goes on with; that of @gva under @tag, with all upper entries cached under it. */
void vendor_flush_tlb(struct vcpu *vcpu);
void vendor_flush_tag(struct vcpu *vcpu);
void vendor_flush_gva(struct vcpu *vcpu, unsigned tag, umbra_gva gva);

/* ---- the guest's state ---- */

void vendor_set_rflags(struct vcpu *vcpu, uint64_t rflags);
void vendor_set_cr2(struct vcpu *vcpu, umbra_gva gva);
uint64_t vendor_segment_base(struct vcpu *vcpu, enum x86_segment segment);
struct vendor_segment vendor_segment(struct vcpu *vcpu, enum x86_segment segment);
enum x86_code_size vendor_code_size(const struct vcpu *vcpu);

/* The instruction at RIP is done; it has @n_bytes. With 0: one round of a string instruction that
 * goes on, with RF set. Ends the shadow of STI or MOV SS and, at the end, the effect of RF. A
 * single step (TF) is reported to the guest. */
void vendor_advance(struct vcpu *vcpu, unsigned n_bytes);

/* All that a task switch replaces, and the GDT (base, and limit as of its last byte). */
void vendor_task_get(struct vcpu *vcpu, struct vendor_task *task);
void vendor_task_set(struct vcpu *vcpu, const struct vendor_task *task);
struct vendor_segment vendor_gdt(const struct vcpu *vcpu);

/* DR7; DR0 to DR3, which the guest has to itself. */
uint64_t vendor_dr7(const struct vcpu *vcpu);
void vendor_debug_addresses(uint64_t dr[4]);
/* Report @dr6 by #DB, as a trap, instead of any other event: vendor_advance() was or will be called
 * for the same instruction. */
void vendor_debug_trap(struct vcpu *vcpu, uint64_t dr6);

/* ---- events ---- */

/* The event whose delivery the exit broke off. Returns false if there was none. */
bool vendor_vectoring(const struct vcpu *vcpu, struct vendor_event *event);
/* Deliver @event at the next entry, instead of any other. */
void vendor_inject(struct vcpu *vcpu, const struct vendor_event *event);
void vendor_inject_exception(
	struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error_code);
/* Deliver nothing at the next entry: what was broken off has been done for the guest. */
void vendor_event_done(struct vcpu *vcpu);

/*
 * The NMI that made this exit is the guest's: let the processor deliver it, and block further ones
 * until the guest's IRET, as it does without a hypervisor. Until then no NMI comes here.
 */
void vendor_pass_nmi(struct vcpu *vcpu);
/* Is this exit that IRET, still to be executed? Then NMIs come to the hypervisor from here on. */
bool vendor_nmi_returns(struct vcpu *vcpu);
/* An IRET was done for the guest: end the blocking of NMIs as it would. */
void vendor_unblock_nmi(void);

/* ---- details of the last exit ---- */

/* EXCEPTION: its vector. */
uint8_t vendor_exception(const struct vcpu *vcpu);
/* Length of the instruction at RIP, or 0 if the processor does not tell. */
unsigned vendor_insn_length(const struct vcpu *vcpu);
bool vendor_cr_is_write(const struct vcpu *vcpu);
/* Control registers: true, and its general register, if the processor tells that it was MOV. */
bool vendor_cr_mov_gpr(const struct vcpu *vcpu, uint8_t *gpr);
struct io_access vendor_io_access(const struct vcpu *vcpu);
bool vendor_msr_is_write(const struct vcpu *vcpu);
struct vendor_task_switch vendor_task_switch(const struct vcpu *vcpu);
/* INVLPG: true, and its linear address, if the processor tells. */
bool vendor_invlpg_gva(const struct vcpu *vcpu, umbra_gva *gva);

#endif
