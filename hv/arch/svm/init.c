/* SPDX-License-Identifier: MIT */
/*
 * Switching SVM on, the permission maps, and a VMCB in its first state with its intercepts.
 */
#include "hv/arch/cpu.h"
#include "hv/arch/svm/svm.h"
#include "hv/core/insn.h"

/* APM 2 "Determining Support for SVM", "Enabling SVM". */
#define CPUID_EXT_FEATURES   0x80000001u
#define CPUID_EXT_ECX_SVM    (1u << 2)
#define CPUID_SVM            0x8000000au
#define CPUID_SVM_NP         (1u << 0)
#define CPUID_SVM_NRIP       (1u << 3)
#define CPUID_SVM_FLUSH_ASID (1u << 6)
#define CPUID_SVM_ASSISTS    (1u << 7)
#define VM_CR_SVMDIS         (1u << 4)

#define CPUID_HYPERVISOR           0x40000000u
#define CPUID_7_EBX_INVPCID        (1u << 10)
#define CPUID_80000008_EBX_INVLPGB (1u << 3)

#define IOPM_PAGES  3u
#define MSRPM_PAGES 2u

struct svm_features svm_features;
static uint8_t *io_map;  /* one bit a port: exit */
static uint8_t *msr_map; /* two bits an MSR: exit at reads, exit at writes */

static uint32_t max_leaf(uint32_t range)
{
	return cpuid(range, 0).eax;
}

static void check_processor(void)
{
	if (max_leaf(0x80000000u) < CPUID_SVM ||
		!(cpuid(CPUID_EXT_FEATURES, 0).ecx & CPUID_EXT_ECX_SVM))
		fatal_config("this processor has no SVM (AMD-V), which the hypervisor runs the "
			     "guest with; use an AMD "
			     "processor, or in QEMU a model with it: -cpu EPYC,+svm,+npt");
	if (rdmsr(X86_MSR_VM_CR) & VM_CR_SVMDIS)
		fatal_config("SVM (AMD-V) is switched off by the firmware (VM_CR.SVMDIS); switch "
			     "it on in the firmware's "
			     "setup (often called SVM mode or virtualization)");
}

/* QEMU's emulation, by its name for hypervisors to be asked for. */
static bool is_tcg(void)
{
	struct cpuid_result name = cpuid(CPUID_HYPERVISOR, 0);

	return memcmp(&name.ebx, "TCGTCGTCGTCG", 12) == 0;
}

void vendor_init(bool nested)
{
	struct cpuid_result svm;
	uint32_t edx;

	check_processor();
	svm = cpuid(CPUID_SVM, 0);
	edx = svm.edx;
	svm_features = (struct svm_features){
		.nested_paging = edx & CPUID_SVM_NP,
		.next_rip = edx & CPUID_SVM_NRIP,
		.decode_assists = edx & CPUID_SVM_ASSISTS,
		.flush_by_asid = edx & CPUID_SVM_FLUSH_ASID,
		.n_asids = svm.ebx,
		.injects_alone = is_tcg() && !nested,
		.needs_control = is_tcg(),
		.nested = nested,
	};
	if (nested && !svm_features.nested_paging)
		fatal_config("option paging=npt: this processor has no nested paging; use "
			     "paging=shadow, or in QEMU a "
			     "model with it: -cpu EPYC,+svm,+npt");
	/* With TCE invalidations would leave more cached than the library is told. */
	wrmsr(X86_MSR_EFER, (rdmsr(X86_MSR_EFER) & ~X86_EFER_TCE) | X86_EFER_SVME);
	wrmsr(X86_MSR_VM_HSAVE, virt_to_phys(frames_alloc(1)));
	/* From here on interrupts of any kind wait until the guest runs, or vendor_window() lets
	 * them in. */
	__asm__ volatile("clgi" : : : "memory");
	io_map = frames_alloc(IOPM_PAGES);
	msr_map = frames_alloc(MSRPM_PAGES);
}

void vendor_intercept_ports(uint16_t first, unsigned n_ports)
{
	for (unsigned port = first; port < first + n_ports; port++)
		io_map[port / 8] |= (uint8_t)(1u << port % 8);
}

/* MSRs outside these ranges always exit. APM 2 "MSR Intercepts". */
void vendor_intercept_msr(uint32_t msr, bool reads, bool writes)
{
	static const uint32_t ranges[] = {0x00000000u, 0xc0000000u, 0xc0010000u};

	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		uint32_t bit = (msr - ranges[i]) * 2;

		if (msr - ranges[i] < 0x2000)
			msr_map[i * 0x800 + bit / 8] |= (uint8_t)((reads | writes << 1) << bit % 8);
	}
}

/* One intercept, and why it has to be there. */
struct intercept {
	enum {
		WORD_0,
		WORD_1,
		WORD_2,
	} word;
	uint32_t bit;
	const char *why;
};

static const struct intercept intercepts[] = {
	{WORD_0, SVM_I1_NMI, "the monitor's request arrives as one; all others are handed on"},
	{WORD_0, SVM_I1_SMI,
		"inside SMM intercepts would stay active and the firmware would meet them"},
	{WORD_0, SVM_I1_CPUID,
		"hides SVM and what shadow paging does not do; OSXSAVE comes from the guest's CR4"},
	{WORD_0, SVM_I1_INVLPGA,
		"SVM instruction: #UD; it would invalidate translations of our tag"},
	{WORD_0, SVM_I1_IOIO,
		"the monitor's port is ours; power-off, sleep and reset are reported or refused"},
	{WORD_0, SVM_I1_MSR,
		"EFER and the APIC's place are virtual; VM_*, SMM_* and memory routing are ours"},
	{WORD_0, SVM_I1_SHUTDOWN,
		"a triple fault of the guest is reported instead of resetting the machine"},
	{WORD_1, SVM_I2_VMRUN, "SVM instruction: #UD; the processor insists on this one"},
	{WORD_1, SVM_I2_VMMCALL, "marks of the guest for measurements; others are #UD"},
	{WORD_1, SVM_I2_VMLOAD, "SVM instruction: #UD; it reads any physical memory"},
	{WORD_1, SVM_I2_VMSAVE, "SVM instruction: #UD; it writes any physical memory"},
	{WORD_1, SVM_I2_STGI, "SVM instruction: #UD; the global interrupt flag is ours"},
	{WORD_1, SVM_I2_CLGI, "SVM instruction: #UD; it would hold our NMIs for ever"},
	{WORD_1, SVM_I2_SKINIT, "SVM instruction: #UD; it resets the processor into a loader"},
};

/* With nested paging the guest has these for itself. */
static const struct intercept shadow_intercepts[] = {
	{WORD_0, SVM_I1_INVLPG, "a guest table changed and this address must show it"},
	{WORD_0, SVM_I1_TASK_SWITCH, "it loads CR3 from the TSS: done for the guest"},
};

/* Where nested paging must not leave the guest alone with them: svm.h. */
static const struct intercept control_intercepts[] = {
	{WORD_0, SVM_I1_CR0_SEL_WRITE, "PG decides whether LME may be in the hardware's EFER"},
};

/* Only where the processor has the instruction: the bits are reserved otherwise. */
static const struct intercept invpcid_intercepts[] = {
	{WORD_2, SVM_I3_INVPCID, "like INVLPG; and the hardware knows no PCIDs"},
};
static const struct intercept invlpgb_intercepts[] = {
	{WORD_2, SVM_I3_INVLPGB,
		"hidden: #UD; it invalidates on all processors without an exit there"},
	{WORD_2, SVM_I3_TLBSYNC, "hidden, with INVLPGB: #UD"},
};

static void intercept(struct vmcb *vmcb, const struct intercept *rows, size_t n_rows)
{
	for (size_t i = 0; i < n_rows; i++)
		vmcb->intercepts[rows[i].word] |= rows[i].bit;
}

#define INTERCEPT(vmcb, rows) intercept(vmcb, rows, sizeof(rows) / sizeof((rows)[0]))

static void set_intercepts(struct vmcb *vmcb)
{
	bool has_invpcid = max_leaf(0) >= 7 && cpuid(7, 0).ebx & CPUID_7_EBX_INVPCID;
	bool has_invlpgb = max_leaf(0x80000000u) >= 0x80000008u &&
			   cpuid(0x80000008u, 0).ebx & CPUID_80000008_EBX_INVLPGB;

	INTERCEPT(vmcb, intercepts);
	if (has_invlpgb)
		INTERCEPT(vmcb, invlpgb_intercepts);
	if (svm_features.nested) {
		if (svm_features.needs_control) {
			INTERCEPT(vmcb, control_intercepts);
			vmcb->intercept_cr_writes = 1u << 4;
		}
		return;
	}
	INTERCEPT(vmcb, shadow_intercepts);
	if (has_invpcid)
		INTERCEPT(vmcb, invpcid_intercepts);
	/* CR0, CR3, CR4: the guest's are virtual, the hardware's belong to the shadow tables. */
	vmcb->intercept_cr_reads = 1u << 0 | 1u << 3 | 1u << 4;
	vmcb->intercept_cr_writes = 1u << 0 | 1u << 3 | 1u << 4;
	/* #PF: what fills the shadow tables. */
	vmcb->intercept_exceptions = 1u << X86_PF;
	/* #TS, #NP, #SS, #GP: what may come of delivering an injected exception. */
	if (svm_features.injects_alone)
		vmcb->intercept_exceptions |=
			1u << X86_TS | 1u << X86_NP | 1u << X86_SS | 1u << X86_GP;
}

static void set_segments(struct vmcb_save *save, const struct guest_entry *entry)
{
	struct vmcb_segment data = {entry->ds_selector, entry->ds_attributes, 0xffffffffu, 0};

	save->cs = (struct vmcb_segment){entry->cs_selector, entry->cs_attributes, 0xffffffffu, 0};
	save->ds = data;
	save->es = data;
	save->fs = data;
	save->gs = data;
	save->ss = data;
	save->gdtr = (struct vmcb_segment){.limit = entry->gdt_limit, .base = entry->gdt_base};
	save->ldtr = (struct vmcb_segment){.attributes = 0x82};                /* LDT */
	save->tr = (struct vmcb_segment){.attributes = 0x8b, .limit = 0xffff}; /* busy TSS */
}

void vendor_vcpu_create(struct vcpu *vcpu, const struct guest_entry *entry)
{
	struct vendor_vcpu *arch =
		frames_alloc((sizeof(struct vendor_vcpu) + X86_PAGE_SIZE - 1) / X86_PAGE_SIZE);
	struct vmcb *vmcb = &arch->vmcb;

	arch->vmcb_phys = virt_to_phys(vmcb);
	vcpu->arch = arch;
	vmcb->asid = svm_asid(0);
	vmcb->iopm_base = virt_to_phys(io_map);
	vmcb->msrpm_base = virt_to_phys(msr_map);
	set_intercepts(vmcb);
	set_segments(&vmcb->save, entry);
	vmcb->save.efer = entry->efer | X86_EFER_SVME;
	arch->nested_lme = entry->efer & X86_EFER_LME;
	vmcb->save.cr0 = entry->cr0;
	vcpu->root = entry->cr3;
	vmcb->save.cr4 = entry->cr4;
	vmcb->save.rip = entry->rip;
	vmcb->save.rflags = entry->rflags | 2;
	vmcb->save.dr6 = 0xffff0ff0u;
	vmcb->save.dr7 = 0x400;
	vmcb->save.g_pat = rdmsr(X86_MSR_PAT);
	vcpu->gpr[X86_RAX] = entry->rax;
	vcpu->gpr[X86_RBX] = entry->rbx;
	vcpu->gpr[X86_RSI] = entry->rsi;
	vcpu->gpr[X86_RSP] = entry->rsp;
	/* FS, GS, TR, LDTR and the system call MSRs are the guest's from here on. */
	__asm__ volatile("vmload %0" : : "a"(arch->vmcb_phys) : "memory");
	vendor_flush_tlb(vcpu);
}
