/* SPDX-License-Identifier: MIT */
/*
 * The facts of the x86 architecture that more than one part of Umbra needs: control registers,
 * EFER, page-fault error codes, paging-structure entries, MSR numbers.
 *
 * Sources: Intel SDM (order 325462, volumes 3A and 4) and AMD APM (24593, volume 2). Citations
 * name section titles, since numbers move between editions.
 */
#ifndef X86_X86_H
#define X86_X86_H

#include <stdint.h>

/* CR0, CR4. SDM 3A "Control Registers"; APM 2 "System-Control Registers". */
#define X86_CR0_PE (1ull << 0)
#define X86_CR0_MP (1ull << 1)
#define X86_CR0_EM (1ull << 2)
#define X86_CR0_TS (1ull << 3)
#define X86_CR0_ET (1ull << 4)
#define X86_CR0_NE (1ull << 5)
#define X86_CR0_WP (1ull << 16)
#define X86_CR0_AM (1ull << 18)
#define X86_CR0_NW (1ull << 29)
#define X86_CR0_CD (1ull << 30)
#define X86_CR0_PG (1ull << 31)

#define X86_CR3_PWT (1ull << 3)
#define X86_CR3_PCD (1ull << 4)
/* With CR4.PCIDE=1, in the operand of MOV to CR3 only: translations of the new PCID may stay. */
#define X86_CR3_NO_FLUSH (1ull << 63)

#define X86_CR4_VME        (1ull << 0)
#define X86_CR4_PVI        (1ull << 1)
#define X86_CR4_TSD        (1ull << 2)
#define X86_CR4_DE         (1ull << 3)
#define X86_CR4_PSE        (1ull << 4)
#define X86_CR4_PAE        (1ull << 5)
#define X86_CR4_MCE        (1ull << 6)
#define X86_CR4_PGE        (1ull << 7)
#define X86_CR4_PCE        (1ull << 8)
#define X86_CR4_OSFXSR     (1ull << 9)
#define X86_CR4_OSXMMEXCPT (1ull << 10)
#define X86_CR4_UMIP       (1ull << 11)
#define X86_CR4_LA57       (1ull << 12)
#define X86_CR4_FSGSBASE   (1ull << 16)
#define X86_CR4_PCIDE      (1ull << 17)
#define X86_CR4_OSXSAVE    (1ull << 18)
#define X86_CR4_SMEP       (1ull << 20)
#define X86_CR4_SMAP       (1ull << 21)
#define X86_CR4_PKE        (1ull << 22)
#define X86_CR4_CET        (1ull << 23)
#define X86_CR4_PKS        (1ull << 24)

#define X86_EFER_SCE    (1ull << 0)
#define X86_EFER_LME    (1ull << 8)
#define X86_EFER_LMA    (1ull << 10)
#define X86_EFER_NXE    (1ull << 11)
#define X86_EFER_SVME   (1ull << 12)
#define X86_EFER_FFXSR  (1ull << 14)
#define X86_EFER_TCE    (1ull << 15)
#define X86_EFER_AIBRSE (1ull << 21)

#define X86_RFLAGS_TF (1ull << 8)
#define X86_RFLAGS_IF (1ull << 9)
#define X86_RFLAGS_NT (1ull << 14)
#define X86_RFLAGS_RF (1ull << 16)
#define X86_RFLAGS_VM (1ull << 17)
#define X86_RFLAGS_AC (1ull << 18)

/* DR6. SDM 3B "Debug Status Register (DR6)". */
#define X86_DR6_BS (1ull << 14) /* single step */
#define X86_DR6_BT (1ull << 15) /* task switch */

/* Page-fault error code. SDM 3A "Interrupt 14 - Page-Fault Exception (#PF)". */
#define X86_PF_P    (1u << 0)
#define X86_PF_W    (1u << 1)
#define X86_PF_U    (1u << 2)
#define X86_PF_RSVD (1u << 3)
#define X86_PF_I    (1u << 4)
#define X86_PF_PK   (1u << 5)

/* Paging-structure entries. SDM 3A "Paging"; APM 2 "Page Translation and Protection". */
#define X86_PTE_P         (1ull << 0)
#define X86_PTE_W         (1ull << 1)
#define X86_PTE_U         (1ull << 2)
#define X86_PTE_PWT       (1ull << 3)
#define X86_PTE_PCD       (1ull << 4)
#define X86_PTE_A         (1ull << 5)
#define X86_PTE_D         (1ull << 6)
#define X86_PTE_PS        (1ull << 7) /* in an upper-level entry: this maps a large page */
#define X86_PTE_PAT_4K    (1ull << 7) /* the PAT bit of a 4K leaf */
#define X86_PTE_G         (1ull << 8)
#define X86_PTE_PAT_LARGE (1ull << 12) /* the PAT bit of a large leaf */
#define X86_PTE_PK_SHIFT  59
#define X86_PTE_PK        (15ull << X86_PTE_PK_SHIFT)
#define X86_PTE_NX        (1ull << 63)
#define X86_PTE_FRAME     0x000ffffffffff000ull /* bits 51:12 */

#define X86_PAGE_SHIFT 12
#define X86_PAGE_SIZE  4096u

/* Exception vectors. SDM 3A "Exception and Interrupt Vectors". */
enum x86_vector {
	X86_DE = 0,
	X86_DB = 1,
	X86_NMI = 2,
	X86_BP = 3,
	X86_UD = 6,
	X86_NM = 7,
	X86_DF = 8,
	X86_TS = 10,
	X86_NP = 11,
	X86_SS = 12,
	X86_GP = 13,
	X86_PF = 14,
	X86_AC = 17,
	X86_MC = 18,
};

/* MSRs. SDM 4 "Model-Specific Registers"; APM 2 "Model-Specific Registers (MSRs)". */
#define X86_MSR_APIC_BASE 0x0000001bu
#define X86_MSR_MTRR_CAP  0x000000feu
#define X86_MSR_PAT       0x00000277u
#define X86_MSR_PKRS      0x000006e1u
#define X86_MSR_X2APIC    0x00000800u /* the first of 256 */
#define X86_MSR_EFER      0xc0000080u
#define X86_MSR_SYSCFG    0xc0010010u
#define X86_MSR_IORR0     0xc0010016u
#define X86_MSR_IORR3     0xc0010019u
#define X86_MSR_TOP_MEM   0xc001001au
#define X86_MSR_TOP_MEM2  0xc001001du
#define X86_MSR_SMM_BASE  0xc0010111u
#define X86_MSR_SMM_ADDR  0xc0010112u
#define X86_MSR_SMM_MASK  0xc0010113u
#define X86_MSR_VM_CR     0xc0010114u
#define X86_MSR_VM_IGNNE  0xc0010115u
#define X86_MSR_SMM_CTL   0xc0010116u
#define X86_MSR_VM_HSAVE  0xc0010117u
#define X86_MSR_SVM_KEY   0xc0010118u

#endif
