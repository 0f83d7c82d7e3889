/* SPDX-License-Identifier: MIT */
/*
 * The segment registers of a new task: found, checked, loaded. SDM 3A "Exception Conditions Checked
 * During a Task Switch"; "Segment Descriptors".
 */
#include "hv/vm/task.h"

#define SELECTOR_TABLE 4u /* in the LDT */
#define SELECTOR_INDEX 0xfff8u
/* Of an error code that names a selector. */
#define ERROR_SELECTOR 0xfffcu

#define DESCRIPTOR_BYTES       8u
#define DESCRIPTOR_ACCESS      5u /* offset of the byte with type, DPL and P */
#define DESCRIPTOR_ACCESSED    1u
#define DESCRIPTOR_GRANULARITY (1ull << 55)

/* Virtual-8086 mode: data, writable, accessed, DPL 3. */
#define ATTRIBUTES_V86 0xf3u

struct loader {
	struct vcpu *vcpu;
	struct vendor_task *task;
	struct umbra_exit *fault;
	uint32_t ext;
};

struct vendor_segment task_unpack(uint16_t selector, uint64_t descriptor)
{
	uint32_t limit = (uint32_t)((descriptor & 0xffff) | (descriptor >> 32 & 0xf0000));

	if (descriptor & DESCRIPTOR_GRANULARITY)
		limit = limit << X86_PAGE_SHIFT | (X86_PAGE_SIZE - 1);
	return (struct vendor_segment){
		.selector = selector,
		.attributes = (uint16_t)((descriptor >> 40 & 0xff) | (descriptor >> 44 & 0xf00)),
		.limit = limit,
		.base = (descriptor >> 16 & 0xffffff) | (descriptor >> 32 & 0xff000000),
	};
}

static bool is_null(uint16_t selector)
{
	return !(selector & ERROR_SELECTOR);
}

static bool refuse(const struct loader *loader, enum x86_vector vector, uint16_t selector)
{
	*loader->fault = (struct umbra_exit){
		.vector = vector,
		.error_code = (selector & ERROR_SELECTOR) | loader->ext,
	};
	return false;
}

/* Read the descriptor of @selector, and find its place in memory. Returns false for a #TS or #PF,
 * here and below. */
static bool fetch(const struct loader *loader, uint16_t selector, struct vendor_segment *segment,
	umbra_gva *gva)
{
	struct vendor_segment table = vendor_gdt(loader->vcpu);
	unsigned index = selector & SELECTOR_INDEX;
	struct system_span span;
	uint64_t descriptor;

	if (selector & SELECTOR_TABLE)
		table = loader->task->ldtr;
	if ((selector & SELECTOR_TABLE && !(table.attributes & SEGMENT_PRESENT)) ||
		index + DESCRIPTOR_BYTES - 1 > table.limit)
		return refuse(loader, X86_TS, selector);
	*gva = (uint32_t)(table.base + index);
	if (!system_prepare(loader->vcpu, *gva, DESCRIPTOR_BYTES, (struct system_access){0}, &span,
		    loader->fault))
		return false;
	system_read(loader->vcpu, &span, &descriptor);
	*segment = task_unpack(selector, descriptor);
	return true;
}

/* Set the accessed bit in memory, where it is clear, and load the register. */
static bool load(const struct loader *loader, struct vendor_segment *to,
	const struct vendor_segment *segment, umbra_gva gva)
{
	uint8_t access = (uint8_t)(segment->attributes | DESCRIPTOR_ACCESSED);
	struct system_span span;

	if (!(segment->attributes & DESCRIPTOR_ACCESSED)) {
		if (!system_prepare(loader->vcpu, (uint32_t)(gva + DESCRIPTOR_ACCESS), 1,
			    (struct system_access){.write = true}, &span, loader->fault))
			return false;
		system_write(loader->vcpu, &span, &access);
	}
	*to = *segment;
	to->attributes |= DESCRIPTOR_ACCESSED;
	return true;
}

static bool load_ldt(const struct loader *loader, uint16_t selector)
{
	const uint16_t kind = SEGMENT_TYPE | SEGMENT_NO_SYSTEM;
	struct vendor_segment segment;
	umbra_gva gva;

	if (is_null(selector))
		return true;
	if (selector & SELECTOR_TABLE)
		return refuse(loader, X86_TS, selector);
	if (!fetch(loader, selector, &segment, &gva))
		return false;
	if ((segment.attributes & kind) != TASK_TYPE_LDT || !(segment.attributes & SEGMENT_PRESENT))
		return refuse(loader, X86_TS, selector);
	loader->task->ldtr = segment;
	return true;
}

static bool load_code(const struct loader *loader, uint16_t selector)
{
	const uint16_t kind = SEGMENT_NO_SYSTEM | SEGMENT_CODE;
	unsigned rpl = selector & 3;
	struct vendor_segment segment;
	umbra_gva gva;
	unsigned dpl;

	if (is_null(selector))
		return refuse(loader, X86_TS, selector);
	if (!fetch(loader, selector, &segment, &gva))
		return false;
	dpl = SEGMENT_DPL(segment.attributes);
	if ((segment.attributes & kind) != kind ||
		(segment.attributes & SEGMENT_EXPANDS ? dpl > rpl : dpl != rpl))
		return refuse(loader, X86_TS, selector);
	if (!(segment.attributes & SEGMENT_PRESENT))
		return refuse(loader, X86_NP, selector);
	return load(loader, &loader->task->segments[X86_SEG_CS], &segment, gva);
}

/* The stack of a task that runs at @cpl. */
static bool load_stack(const struct loader *loader, uint16_t selector, unsigned cpl)
{
	const uint16_t kind = SEGMENT_NO_SYSTEM | SEGMENT_CODE | SEGMENT_WRITE_READ;
	struct vendor_segment segment;
	umbra_gva gva;

	if (is_null(selector))
		return refuse(loader, X86_TS, selector);
	if (!fetch(loader, selector, &segment, &gva))
		return false;
	if ((segment.attributes & kind) != (SEGMENT_NO_SYSTEM | SEGMENT_WRITE_READ) ||
		SEGMENT_DPL(segment.attributes) != cpl || (selector & 3) != cpl)
		return refuse(loader, X86_TS, selector);
	if (!(segment.attributes & SEGMENT_PRESENT))
		return refuse(loader, X86_SS, selector);
	return load(loader, &loader->task->segments[X86_SEG_SS], &segment, gva);
}

static bool load_data(
	const struct loader *loader, enum x86_segment where, uint16_t selector, unsigned cpl)
{
	const uint16_t conforming = SEGMENT_CODE | SEGMENT_EXPANDS;
	unsigned needed = cpl > (selector & 3) ? cpl : selector & 3;
	struct vendor_segment segment;
	umbra_gva gva;

	if (is_null(selector))
		return true;
	if (!fetch(loader, selector, &segment, &gva))
		return false;
	if (!(segment.attributes & SEGMENT_NO_SYSTEM) ||
		(segment.attributes & SEGMENT_CODE && !(segment.attributes & SEGMENT_WRITE_READ)))
		return refuse(loader, X86_TS, selector);
	if ((segment.attributes & conforming) != conforming &&
		SEGMENT_DPL(segment.attributes) < needed)
		return refuse(loader, X86_TS, selector);
	if (!(segment.attributes & SEGMENT_PRESENT))
		return refuse(loader, X86_NP, selector);
	return load(loader, &loader->task->segments[where], &segment, gva);
}

/* SDM 3B "Segment Registers" of virtual-8086 mode. */
static void load_v86(struct vendor_task *task, const struct task_image *image)
{
	for (unsigned i = 0; i < 6; i++)
		task->segments[i] = (struct vendor_segment){
			.selector = image->selectors[i],
			.attributes = ATTRIBUTES_V86,
			.limit = 0xffff,
			.base = (uint64_t)image->selectors[i] << 4,
		};
}

/* Selectors without anything behind them; a code segment that can be left by an exception. */
static void load_nothing(struct vendor_task *task, const struct task_image *image)
{
	static const uint16_t code = SEGMENT_PRESENT | SEGMENT_NO_SYSTEM | SEGMENT_CODE |
				     SEGMENT_WRITE_READ | DESCRIPTOR_ACCESSED | 3u << 5 |
				     SEGMENT_DB;

	for (unsigned i = 0; i < 6; i++)
		task->segments[i] = (struct vendor_segment){.selector = image->selectors[i]};
	task->segments[X86_SEG_CS].attributes = code;
	task->segments[X86_SEG_SS].attributes = 3u << 5;
	task->ldtr = (struct vendor_segment){.selector = image->ldt, .attributes = TASK_TYPE_LDT};
	task->cpl = 3;
}

bool task_load_segments(struct vcpu *vcpu, struct vendor_task *task, const struct task_image *image,
	uint32_t ext, struct umbra_exit *fault)
{
	static const enum x86_segment data[] = {X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS};
	const uint16_t *selectors = image->selectors;
	struct loader loader = {vcpu, task, fault, ext};
	unsigned cpl = selectors[X86_SEG_CS] & 3;

	load_nothing(task, image);
	if (!load_ldt(&loader, image->ldt))
		return false;
	if (task->rflags & X86_RFLAGS_VM) {
		load_v86(task, image);
		return true;
	}
	if (!load_code(&loader, selectors[X86_SEG_CS]))
		return false;
	if (!load_stack(&loader, selectors[X86_SEG_SS], cpl)) {
		/* With a stack of its own level the exception could not be delivered. */
		task->segments[X86_SEG_CS].attributes |= 3u << 5;
		return false;
	}
	task->cpl = cpl;
	for (unsigned i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		if (!load_data(&loader, data[i], selectors[data[i]], cpl))
			return false;
	}
	return true;
}
