/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU, the virtual machine it belongs to, and what the exit families do to them.
 *
 * Everything here belongs to the CPU that runs the vCPU. Knows the guest's state only through
 * hv/arch/vendor.h.
 */
#ifndef HV_VM_VCPU_H
#define HV_VM_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/arch/vendor.h"
#include "hv/core/core.h"
#include "hv/emul/stuck.h"
#include "hv/vm/known.h"
#include "hv/vm/site.h"
#include "umbra/umbra.h"
#include "x86/decode.h"
#include "x86/x86.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define EXIT_RING  256u /* a byte counts them */
#define VM_RAM_MAX 16u

struct measure;     /* hv/vm/measure.h */
struct vendor_vcpu; /* the vendor's own */

/* Guest RAM; guest-physical is host-physical. */
struct vm_ram {
	uint64_t base_bytes;
	uint64_t size_bytes;
};

struct vm {
	struct umbra_vm *mmu;  /* NULL with nested paging */
	umbra_hpa absent_page; /* what reads of memory that is not there see: 0xff */
	umbra_hpa apic_page;   /* of the local APIC */
	bool apic_on;          /* APIC_BASE.EN: else there is no APIC at that page */
	unsigned maxphyaddr;
	uint64_t cr4_mask;             /* bits that the guest may set, from what CPUID shows it */
	uint64_t efer_mask;            /* the same; LMA is not among them */
	struct vm_ram ram[VM_RAM_MAX]; /* largest first */
	unsigned n_ram;
	uint64_t start_tsc;
};

/* Is @gpa in the MiB where stores are interrupt messages, unless it is the APIC's page? With such a
 * message the guest could send INIT: none of its stores get there. SDM 3A "Message Address Register
 * Format". */
#define VM_MESSAGES_BASE 0xfee00000ull
#define VM_MESSAGES_END  0xfef00000ull

static inline bool vm_is_message(const struct vm *vm, umbra_gpa gpa)
{
	return gpa >= VM_MESSAGES_BASE && gpa < VM_MESSAGES_END &&
	       gpa - vm->apic_page >= X86_PAGE_SIZE;
}

/*
 * The last exits, for reports: number n, counted from 0, is at n % EXIT_RING of each array. So one
 * register, a byte that wraps by itself, leads to all of them: every exit pays for this.
 */
struct exit_ring {
	uint64_t rip[EXIT_RING];
	uint64_t info1[EXIT_RING]; /* see exit_note() */
	uint64_t info2[EXIT_RING];
	uint32_t code[EXIT_RING];
};

struct vcpu {
	uint64_t gpr[X86_GPRS]; /* first: hv/arch/svm/enter.S */
	umbra_hpa root; /* of the shadow tables: the library's answer after every event. Unused with
			   nested paging */
	unsigned tag;   /* and the address-space tag to run under; not on the fast path */
	unsigned shadow_shift;  /* the lowest address bit that chooses an entry of the root; 0
				   with nested paging */
	struct umbra_vcpu *mmu; /* NULL with nested paging */
	struct vm *vm;
	struct vendor_vcpu *arch;
	struct measure *measure;       /* NULL unless the option measure=1 was given */
	struct umbra_paging_regs regs; /* as the guest sees them */
	uint64_t n_exits;
	uint64_t exits[EXIT_KINDS];
	struct exit_record exit; /* the present one, but only off the fast path */
	uint64_t n_described;    /* the value of n_exits for which gpr and exit were filled */
	/* What the library said to a page fault, if exit_pf_finish() has to go on with it. */
	enum umbra_outcome outcome;
	struct umbra_exit out;
	struct stuck_store stuck;                  /* hv/emul/stuck.h */
	struct known_insn known[KNOWN_INSNS];      /* hv/vm/known.h */
	struct insn_site sites[SITE_KINDS][SITES]; /* hv/vm/site.h */
	struct exit_ring ring;
};

/* Count an exit, and keep what a report tells about it: the processor's own number and, as @info1
 * and @info2, what it said about it or, on the fast path, what is at hand. */
static inline void exit_note(
	struct vcpu *vcpu, uint32_t code, uint64_t info1, uint64_t info2, uint64_t rip)
{
	unsigned at = *(const uint8_t *)&vcpu->n_exits; /* modulo EXIT_RING */

	vcpu->n_exits++;
	vcpu->ring.code[at] = code;
	vcpu->ring.info1[at] = info1;
	vcpu->ring.info2[at] = info2;
	vcpu->ring.rip[at] = rip;
}

/* Run on the library's root, and under its tag, from here on. */
static inline void vcpu_follow(struct vcpu *vcpu)
{
	vcpu->root = umbra_root(vcpu->mmu);
	vcpu->tag = umbra_tag(vcpu->mmu);
}

/* ---- vm.c ---- */

/* The one there is. */
extern struct vm the_vm;
extern struct vcpu the_vcpu;

/* Stop the guest for good, for a reason of the guest's own: log line, statistics, exit code 67. */
_Noreturn void vm_stop(struct vcpu *vcpu, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- exit families: one handler per kind, called by the exit loop ---- */

typedef void exit_handler(struct vcpu *vcpu);

exit_handler exit_pf, exit_pf_finish, exit_npf;        /* fault.c */
exit_handler exit_ud;                                  /* keys.c */
exit_handler exit_cr0, exit_cr3, exit_cr4;             /* cr.c */
exit_handler exit_invlpg, exit_invpcid;                /* invlpg.c */
exit_handler exit_cpuid;                               /* cpuid.c */
exit_handler exit_msr;                                 /* msr.c */
exit_handler exit_io;                                  /* io.c */
exit_handler exit_vmmcall;                             /* vmmcall.c */
exit_handler exit_nmi, exit_smi;                       /* nmi.c */
exit_handler exit_exception;                           /* inject.c */
exit_handler exit_task_switch;                         /* task.c */
exit_handler exit_svm_insn, exit_shutdown, exit_other; /* refuse.c */

/* Ask for the exits that these families need. Boot only. */
void msr_intercept_all(void);
void io_intercept_all(void);

/* ---- paging.c: the registers that decide about translation ---- */

/* Change them as the guest did, in the library (if there is one) and in the hardware. Returns
 * false, and nothing changed, if the library refuses: #GP(0) for a MOV. */
bool paging_change(struct vcpu *vcpu, const struct umbra_paging_regs *regs);
/* Fill vm->cr4_mask and vm->efer_mask, and make access_of() work. */
void paging_init(struct vm *vm);

/* ---- inject.c ---- */

/* Deliver an exception, promoted to #DF or shutdown if another one was just being delivered.
 * SDM 3A "Interrupt 8 - Double Fault Exception (#DF)". */
void inject_exception(struct vcpu *vcpu, enum x86_vector vector, uint32_t error_code);
/* What the library said: UMBRA_INJECT. */
void inject_outcome(struct vcpu *vcpu, const struct umbra_exit *out);

/* ---- memory.c: the guest's memory as an instruction of the guest sees it ---- */

/* Read PKRU and PKRS, where the guest's CR4 switches them on: both registers are its own. Elsewhere
 * nobody looks at them. */
void memory_keys(const struct vcpu *vcpu, struct umbra_page_fault *access);

static inline bool memory_has_keys(const struct vcpu *vcpu)
{
	return vcpu->regs.cr4 & (X86_CR4_PKE | X86_CR4_PKS);
}

/* An access by the instruction at RIP, or one that faulted there, for the library. */
struct umbra_page_fault access_of(const struct vcpu *vcpu, umbra_gva gva, uint32_t error_code);

/* Bytes of guest RAM at @gpa, valid to the end of their page; NULL if it is not RAM. */
void *memory_ram(const struct vm *vm, umbra_gpa gpa);
/* false: @out holds the #PF. */
bool memory_translate(struct vcpu *vcpu, umbra_gva gva, enum umbra_access access, umbra_gpa *gpa,
	struct umbra_exit *out);
/* Copy the bytes from RIP on, as many as there are in one or two pages but at most X86_INSN_MAX.
 * Returns how many; 0: a #PF was injected. */
size_t memory_fetch(struct vcpu *vcpu, uint8_t bytes[X86_INSN_MAX + 1]);
/* Where the operand of an instruction lies: in one page or in two. */
struct memory_place {
	umbra_gpa gpas[2];
	size_t n_bytes;
	size_t first; /* of these in the first page */
};

/* An access by the instruction at RIP that the library hands to us. */
struct memory_fault {
	umbra_gva gva; /* MEMORY_ANY_GVA: not known */
	umbra_gpa gpa;
	bool granted; /* it is a write, which the guest's tables allow; A and D are set */
};
#define MEMORY_ANY_GVA UINT64_MAX

/* Prepare an access of @n_bytes (at most a page) at @gva by the instruction at RIP: A and D bits,
 * faults and shadows are as if the processor had done it. Returns false: a fault was injected.
 * @fault, or NULL, saves asking for what is known of a write. */
bool memory_prepare(struct vcpu *vcpu, umbra_gva gva, size_t n_bytes, struct memory_place *place,
	enum umbra_access access, const struct memory_fault *fault);
/* Do it. What is beyond the direct map, and the hypervisor, reads as all ones, and writes to it are
 * dropped. A device sees one access if the operand has 2, 4 or 8 bytes and lies in one page. */
void memory_get(struct vcpu *vcpu, const struct memory_place *place, void *bytes);
void memory_put(struct vcpu *vcpu, const struct memory_place *place, const void *bytes);
/* Below 4 GiB, what is no RAM, as above. */
void memory_put_device(umbra_gpa gpa, const void *bytes, size_t n_bytes);
/* Both at once. Return false: a fault was injected, nothing was copied. */
bool memory_read(struct vcpu *vcpu, umbra_gva gva, void *bytes, size_t n_bytes);
bool memory_write(struct vcpu *vcpu, umbra_gva gva, const void *bytes, size_t n_bytes);

/* ---- insn.c ---- */

enum insn_status {
	INSN_OK,
	INSN_RETRY,   /* its fetch faulted, and that was injected: run the guest */
	INSN_UNKNOWN, /* our decoder does not have it */
};

/* Fetch and decode the instruction at RIP: what stands there, borrowed until this is called again.
 * NULL: *@status says why. */
const struct known_insn *insn_at_rip(struct vcpu *vcpu, enum insn_status *status);
/* The same into *@insn, if it can be decoded. */
enum insn_status insn_decode(struct vcpu *vcpu, struct x86_insn *insn);
/* Believe no path to an instruction any more: when the paging mode changes. */
void insn_forget_paths(struct vcpu *vcpu);
/* Linear address of its memory operand. */
umbra_gva insn_linear(struct vcpu *vcpu, const struct x86_insn *insn);
/* @offset in @segment, as a linear address. */
umbra_gva insn_linear_at(struct vcpu *vcpu, enum x86_segment segment, uint64_t offset);
/* @gva plus @n_bytes: addresses of 16- and 32-bit code wrap at 4 GiB. */
umbra_gva insn_linear_add(const struct vcpu *vcpu, umbra_gva gva, uint64_t n_bytes);
/* May 64-bit code address @gva? */
bool insn_is_canonical(const struct vcpu *vcpu, umbra_gva gva);
/* For an instruction that exited before its memory operand of @n_bytes was looked at: its linear
 * address. Returns false if #GP or #SS was injected: it is beyond the segment's limit, of the wrong
 * kind, or not canonical. */
bool insn_operand(
	struct vcpu *vcpu, const struct x86_insn *insn, size_t n_bytes, bool write, umbra_gva *gva);
/* Step over the instruction at RIP, whatever it is. */
void insn_skip(struct vcpu *vcpu);

/* ---- stats.c ---- */

extern const char *const exit_kind_names[EXIT_KINDS];

/* The monitor's "mark" and "stats" lines. */
void stats_mark(struct vcpu *vcpu, uint32_t id);
void stats_report(struct vcpu *vcpu, const char *reason);

#endif
