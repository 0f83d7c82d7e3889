/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own memory: pages handed out once, and where the image lies in physical memory.
 */
#include "hv/core/init.h"
#include "x86/x86.h"

/* The linker's: hv/boot/image.ld. */
extern char image_start[];
extern char image_end[];

static struct phys_range left;
static uint64_t image_phys;

void frames_init(struct phys_range range)
{
	left = range;
}

size_t frames_left(void)
{
	return left.size_bytes / X86_PAGE_SIZE;
}

void *frames_alloc(size_t n_pages)
{
	void *pages = phys_to_virt(left.base_bytes);

	if (n_pages > frames_left())
		fatal_config("no memory left for the hypervisor itself: %zu KiB more are needed, "
			     "%zu of %llu KiB are free; give it more with reserve=MIB",
			n_pages * X86_PAGE_SIZE / 1024, frames_left() * X86_PAGE_SIZE / 1024,
			(unsigned long long)hv_reserved.size_bytes / 1024);
	left.base_bytes += n_pages * X86_PAGE_SIZE;
	left.size_bytes -= n_pages * X86_PAGE_SIZE;
	return memset(pages, 0, n_pages * X86_PAGE_SIZE);
}

void image_moved_to(uint64_t phys)
{
	image_phys = phys;
}

uint64_t virt_to_phys(const void *virt)
{
	uint64_t address = (uintptr_t)virt;

	if (address < HV_VIRT)
		return address - DIRECT_MAP;
	HV_ASSERT((const char *)virt >= image_start && (const char *)virt < image_end);
	return address - (uintptr_t)image_start + image_phys;
}
