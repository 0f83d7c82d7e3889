/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine control block. Source: AMD APM 2 "Layout of VMCB".
 */
#ifndef HV_ARCH_SVM_VMCB_H
#define HV_ARCH_SVM_VMCB_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes;
	uint32_t limit;
	uint64_t base;
};

struct vmcb_save {
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_0a0[0x0cb - 0x0a0];
	uint8_t cpl;
	uint32_t reserved_0cc;
	uint64_t efer;
	uint8_t reserved_0d8[0x148 - 0x0d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved_180[0x1d8 - 0x180];
	uint64_t rsp;
	uint8_t reserved_1e0[0x1f8 - 0x1e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t reserved_248[0x268 - 0x248];
	uint64_t g_pat;
	uint64_t debug_control;
	uint8_t reserved_278[0xc00 - 0x278];
};

struct vmcb {
	uint16_t intercept_cr_reads, intercept_cr_writes;
	uint16_t intercept_dr_reads, intercept_dr_writes;
	uint32_t intercept_exceptions;
	uint32_t intercepts[3];
	uint8_t reserved_018[0x040 - 0x018];
	uint64_t iopm_base;
	uint64_t msrpm_base;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control;
	uint8_t reserved_05d[3];
	uint64_t int_control;
	uint64_t int_state; /* bit 0: in the shadow of STI or MOV SS */
	uint64_t exit_code, exit_info1, exit_info2;
	uint64_t exit_int_info;
	uint64_t nested_control;
	uint8_t reserved_098[0x0a8 - 0x098];
	uint64_t event_inject;
	uint64_t nested_cr3;
	uint64_t lbr_control;
	uint64_t clean;
	uint64_t next_rip;
	uint8_t reserved_0d0[0x400 - 0x0d0];
	struct vmcb_save save;
};

static_assert(offsetof(struct vmcb, iopm_base) == 0x040, "APM 2, VMCB control area");
static_assert(offsetof(struct vmcb, asid) == 0x058, "APM 2, VMCB control area");
static_assert(offsetof(struct vmcb, exit_code) == 0x070, "APM 2, VMCB control area");
static_assert(offsetof(struct vmcb, event_inject) == 0x0a8, "APM 2, VMCB control area");
static_assert(offsetof(struct vmcb, next_rip) == 0x0c8, "APM 2, VMCB control area");
static_assert(offsetof(struct vmcb_save, efer) == 0x0d0, "APM 2, VMCB state save area");
static_assert(offsetof(struct vmcb_save, cr4) == 0x148, "APM 2, VMCB state save area");
static_assert(offsetof(struct vmcb_save, rsp) == 0x1d8, "APM 2, VMCB state save area");
static_assert(offsetof(struct vmcb_save, rax) == 0x1f8, "APM 2, VMCB state save area");
static_assert(offsetof(struct vmcb_save, cr2) == 0x240, "APM 2, VMCB state save area");
static_assert(offsetof(struct vmcb_save, g_pat) == 0x268, "APM 2, VMCB state save area");
static_assert(sizeof(struct vmcb) == 4096, "a VMCB is one page");

/* Bits of intercepts[0], [1] and [2]. */
#define SVM_I1_NMI           (1u << 1)
#define SVM_I1_SMI           (1u << 2)
#define SVM_I1_CR0_SEL_WRITE (1u << 5) /* of other bits than TS and MP */
#define SVM_I1_CPUID         (1u << 18)
#define SVM_I1_IRET          (1u << 20)
#define SVM_I1_INVLPG        (1u << 25)
#define SVM_I1_INVLPGA       (1u << 26)
#define SVM_I1_IOIO          (1u << 27)
#define SVM_I1_MSR           (1u << 28)
#define SVM_I1_TASK_SWITCH   (1u << 29)
#define SVM_I1_SHUTDOWN      (1u << 31)
#define SVM_I2_VMRUN         (1u << 0)
#define SVM_I2_VMMCALL       (1u << 1)
#define SVM_I2_VMLOAD        (1u << 2)
#define SVM_I2_VMSAVE        (1u << 3)
#define SVM_I2_STGI          (1u << 4)
#define SVM_I2_CLGI          (1u << 5)
#define SVM_I2_SKINIT        (1u << 6)
#define SVM_I3_INVLPGB       (1u << 0)
#define SVM_I3_INVPCID       (1u << 2)
#define SVM_I3_TLBSYNC       (1u << 4)

/* Exit codes. APM 2 "SVM Intercept Codes". */
enum svm_exit_code {
	SVM_EXIT_CR0_READ = 0x00,
	SVM_EXIT_CR0_WRITE = 0x10,
	SVM_EXIT_EXCEPTION = 0x40,
	SVM_EXIT_PF = 0x4e,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI = 0x61,
	SVM_EXIT_SMI = 0x62,
	SVM_EXIT_CR0_SEL_WRITE = 0x65,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVLPG = 0x79,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IOIO = 0x7b,
	SVM_EXIT_MSR = 0x7c,
	SVM_EXIT_TASK_SWITCH = 0x7d,
	SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80,
	SVM_EXIT_VMMCALL = 0x81,
	SVM_EXIT_VMLOAD = 0x82,
	SVM_EXIT_VMSAVE = 0x83,
	SVM_EXIT_STGI = 0x84,
	SVM_EXIT_CLGI = 0x85,
	SVM_EXIT_SKINIT = 0x86,
	SVM_EXIT_INVLPGB = 0xa0,
	SVM_EXIT_INVPCID = 0xa2,
	SVM_EXIT_TLBSYNC = 0xa4,
	SVM_EXIT_NPF = 0x400,
};

/* VMEXIT_INVALID is -1; TCG writes the lower half only. */
#define SVM_EXIT_INVALID_32 0xffffffffu

/* EVENTINJ and EXITINTINFO. APM 2 "Event Injection". */
#define SVM_EVENT_VECTOR      0xffull
#define SVM_EVENT_TYPE_SHIFT  8
#define SVM_EVENT_ERROR_VALID (1ull << 11)
#define SVM_EVENT_VALID       (1ull << 31)
#define SVM_EVENT_ERROR_SHIFT 32
enum svm_event_type {
	SVM_TYPE_INTERRUPT = 0,
	SVM_TYPE_NMI = 2,
	SVM_TYPE_EXCEPTION = 3,
	SVM_TYPE_SOFTWARE = 4,
};

#define SVM_INT_STATE_SHADOW 1ull
#define SVM_TLB_FLUSH_ALL    1u
#define SVM_TLB_FLUSH_ASID   3u
#define SVM_NESTED_ENABLE    1ull

#endif
