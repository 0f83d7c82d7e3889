/* SPDX-License-Identifier: MIT */
/*
 * The two layouts of a task-state segment. SDM 3A "Task-State Segment (TSS)", "16-Bit Task-State
 * Segment (TSS)". Pure.
 */
#include "hv/vm/task.h"

#define TSS32_CR3   0x1cu
#define TSS32_TRAP  0x64u
#define N_REGISTERS 8u
/* In both: EIP, EFLAGS, general registers, segment registers, LDT. */
#define FIELD_GPR     2u
#define FIELD_SEGMENT (FIELD_GPR + N_REGISTERS)

const struct task_format task_format_16 = {
	.n_bytes = 0x2c,
	.n_saved = 0x2a,
	.first = 0x0e,
	.field_bytes = 2,
	.n_segments = 4,
};
const struct task_format task_format_32 = {
	.n_bytes = 0x68,
	.n_saved = 0x5e,
	.first = 0x20,
	.field_bytes = 4,
	.n_segments = 6,
};

static unsigned at(const struct task_format *format, unsigned field)
{
	return format->first + field * format->field_bytes;
}

static void put(uint8_t *bytes, uint32_t value, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get(const uint8_t *bytes, unsigned n_bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < n_bytes; i++)
		value |= (uint32_t)bytes[i] << 8 * i;
	return value;
}

void task_image_save(const struct task_image *image, const struct task_format *format,
	uint8_t bytes[TASK_TSS_MAX])
{
	unsigned wide = format->field_bytes;

	put(bytes + at(format, 0), image->eip, wide);
	put(bytes + at(format, 1), image->eflags, wide);
	for (unsigned i = 0; i < N_REGISTERS; i++)
		put(bytes + at(format, FIELD_GPR + i), image->gpr[i], wide);
	for (unsigned i = 0; i < format->n_segments; i++)
		put(bytes + at(format, FIELD_SEGMENT + i), image->selectors[i], 2);
}

void task_image_load(struct task_image *image, const struct task_format *format,
	const uint8_t bytes[TASK_TSS_MAX])
{
	unsigned wide = format->field_bytes;
	uint32_t upper = wide == 2 ? 0xffff0000u : 0;

	*image = (struct task_image){0};
	image->eip = get(bytes + at(format, 0), wide);
	image->eflags = get(bytes + at(format, 1), wide);
	for (unsigned i = 0; i < N_REGISTERS; i++)
		image->gpr[i] = upper | get(bytes + at(format, FIELD_GPR + i), wide);
	for (unsigned i = 0; i < format->n_segments; i++)
		image->selectors[i] = (uint16_t)get(bytes + at(format, FIELD_SEGMENT + i), 2);
	image->ldt = (uint16_t)get(bytes + at(format, FIELD_SEGMENT + format->n_segments), 2);
	if (wide == 4) {
		image->cr3 = get(bytes + TSS32_CR3, 4);
		image->trap = bytes[TSS32_TRAP] & 1;
	}
}
