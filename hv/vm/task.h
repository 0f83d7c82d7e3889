/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches, done for the guest because they load CR3: between the files task*.c.
 *
 * SDM 3A "Task Management", above all "Task Switching" and its tables; APM 2 "Hardware
 * Multitasking". The processor has checked task gate, privilege and the new TSS's descriptor before
 * the exit; what is left is here. A fault before the commit point leaves everything as it was and
 * belongs to the old task; one after it to the new one.
 */
#ifndef HV_VM_TASK_H
#define HV_VM_TASK_H

#include "hv/vm/system_memory.h"

/* The fields of a TSS that a switch saves or loads, of 16 or of 32 bits. */
struct task_image {
	uint32_t eip, eflags;
	uint32_t gpr[8];       /* by enum x86_gpr */
	uint16_t selectors[6]; /* by enum x86_segment */
	uint16_t ldt;
	uint32_t cr3; /* 32-bit TSS */
	bool trap;    /* the T bit; 32-bit TSS */
};

#define TASK_TSS_MAX 104u

/* Where in a TSS the fields lie. Pure data. */
struct task_format {
	unsigned n_bytes;     /* of what a switch reads: the smallest TSS */
	unsigned n_saved;     /* bytes from 0 on to the end of what is saved */
	unsigned first;       /* offset of EIP or IP, where that begins; the other fields follow */
	unsigned field_bytes; /* distance and size of the registers */
	unsigned n_segments;  /* FS and GS are missing in a 16-bit TSS */
};

extern const struct task_format task_format_16, task_format_32;

/* Put the fields that are saved into a TSS; everything else in @bytes stays. */
void task_image_save(const struct task_image *image, const struct task_format *format,
	uint8_t bytes[TASK_TSS_MAX]);
/* What a 16-bit TSS does not say is: upper halves of general registers all ones, of EIP and EFLAGS
 * zero, FS and GS null. */
void task_image_load(struct task_image *image, const struct task_format *format,
	const uint8_t bytes[TASK_TSS_MAX]);

/* A descriptor in memory, and as a segment register holds it. */
struct vendor_segment task_unpack(uint16_t selector, uint64_t descriptor);

/* Types of system descriptors: a TSS may be busy, and of 32 bits. SDM 3A "System Descriptor
 * Types". */
#define TASK_TYPE_TSS  1u
#define TASK_TYPE_BUSY 2u
#define TASK_TYPE_32   8u
#define TASK_TYPE_LDT  2u

/*
 * Load LDTR and the segment registers of the new task, whose RFLAGS and GDT are known, from the
 * selectors of @image. @ext is the EXT bit of error codes. Returns false: @fault holds the
 * exception of the new task, and what could not be loaded is null; a task whose CS or SS is missing
 * counts as CPL 3, so that its exception handler gets a stack from the TSS.
 */
bool task_load_segments(struct vcpu *vcpu, struct vendor_task *task, const struct task_image *image,
	uint32_t ext, struct umbra_exit *fault);

#endif
