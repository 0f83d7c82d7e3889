/* SPDX-License-Identifier: MIT */
/*
 * Where the hypervisor lives: choosing the place, and the jump there.
 */
#include "hv/boot/relocate.h"

#include "hv/boot/paging.h"
#include "hv/core/init.h"
#include "x86/x86.h"

#define PLACE_ALIGN_BYTES (2ull << 20)

/* The linker's: hv/boot/image.ld. */
extern char image_start[];
extern char image_end[];

static struct phys_range choose_place(const struct boot_info *boot, uint64_t reserve_bytes)
{
	struct phys_range taken[BOOT_MODULES_MAX + 1];
	struct phys_range place = {.size_bytes = reserve_bytes};
	uint64_t taken_bytes = 0;
	unsigned n_taken = 0;

	for (; n_taken < boot->n_modules; n_taken++) {
		taken[n_taken].base_bytes = boot->modules[n_taken].base_bytes;
		taken[n_taken].size_bytes = boot->modules[n_taken].size_bytes;
		taken_bytes += taken[n_taken].size_bytes;
	}
	taken[n_taken].base_bytes = virt_to_phys(image_start);
	taken[n_taken].size_bytes = (uint64_t)(image_end - image_start);
	if (!memory_map_highest(reserve_bytes, PLACE_ALIGN_BYTES, BOOT_MAPPED_BYTES, taken,
		    n_taken + 1, &place.base_bytes))
		fatal_config("no room for the hypervisor: it needs %llu MiB of free RAM below 4 "
			     "GiB beside the %llu MiB of boot modules; give the machine more "
			     "memory, or the hypervisor less (reserve=MIB)",
			(unsigned long long)reserve_bytes >> 20,
			(unsigned long long)taken_bytes >> 20);
	return place;
}

/* Copy the image, running stack included, and go on in the copy. One statement, so that nothing is
 * written to the old place after it was copied. */
static void switch_to_copy(uint64_t copy, uint64_t cr3)
{
	void *to = phys_to_virt(copy);
	const void *from = image_start;
	size_t n_bytes = (size_t)(image_end - image_start);

	__asm__ volatile("rep movsb\n\tmov %[cr3], %%cr3"
			 : "+D"(to), "+S"(from), "+c"(n_bytes)
			 : [cr3] "r"(cr3)
			 : "memory");
}

void relocate(const struct boot_info *boot, uint64_t reserve_bytes)
{
	struct phys_range place = choose_place(boot, reserve_bytes);
	uint64_t image_bytes =
		((uint64_t)(image_end - image_start) + X86_PAGE_SIZE - 1) & ~(X86_PAGE_SIZE - 1ull);
	uint64_t cr3;

	if (image_bytes >= reserve_bytes)
		fatal_config(
			"reserve=%llu: the hypervisor's image alone has %llu KiB; reserve more",
			(unsigned long long)reserve_bytes >> 20,
			(unsigned long long)image_bytes >> 10);
	if (!memory_map_reserve(place))
		fatal_config("the memory map of this machine has too many entries (more than %u); "
			     "the hypervisor cannot be hidden in it",
			MEMORY_MAP_MAX);
	hv_reserved = place;
	frames_init((struct phys_range){
		place.base_bytes + image_bytes, place.size_bytes - image_bytes});
	cr3 = paging_build(place.base_bytes);
	switch_to_copy(place.base_bytes, cr3);
	image_moved_to(place.base_bytes);
}
