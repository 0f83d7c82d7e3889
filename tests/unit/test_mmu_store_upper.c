/* SPDX-License-Identifier: MIT */
/*
 * Stores that the host makes for the guest into tables above the last level: whatever part of a
 * link is written, it is from then on what memory says, and the table that it stands in keeps its
 * shadow.
 */
#include <string.h>

#include "mmu/src/page.h"
#include "tests/unit/mmu_walk_root.h"

#define GVA 0x40000000ull

/* @gva, for each access, as a walk of memory says. */
static void look(struct host *h, umbra_gva gva)
{
	static const access_bits accesses[] = {0, X86_PF_W, X86_PF_U, X86_PF_U | X86_PF_W};

	for (unsigned i = 0; i < 4; i++) {
		struct walk walk;
		bool allowed = walk_from_root(h, gva, accesses[i], &walk) == ALLOWED;
		struct host_result result = host_access(h, gva, accesses[i]);

		assert_int_equal(result.outcome, allowed ? UMBRA_RESUME : UMBRA_INJECT);
		if (allowed)
			assert_int_equal(result.hpa, (RAM_HFN + walk.gfn) << X86_PAGE_SHIFT);
		else
			assert_int_equal(result.exit.error_code, walk.error_code);
	}
}

/* Each part of an entry of @level above GVA, turned to that of another one and back. Parts that
 * leave the table that it leads to in its place let its shadow live. */
static void write_parts(struct host *h, bool narrow, unsigned level)
{
	unsigned size = narrow ? 4 : 8;
	uint8_t *entry = narrow ? (uint8_t *)host_gpte32(h, h->root, GVA, level)
				: (uint8_t *)host_gpte(h, h->root, GVA, level);
	uint32_t page = page_of_table(h->vm, host_gpa(h, entry) >> X86_PAGE_SHIFT, 0);
	uint64_t was = 0, other, now;

	memcpy(&was, entry, size);
	was |= X86_PTE_A;
	/* Read-only, supervisor's, another table, no execution: something in each byte of use. */
	other = (was ^ (X86_PTE_W | X86_PTE_U | 1ull << 12)) | (narrow ? 0 : X86_PTE_NX);
	for (unsigned n = 1; n <= size; n++) {
		for (unsigned at = 0; at + n <= size; at++) {
			uint64_t zapped = umbra_stats(h->vm)->mmu_shadow_zapped;

			memcpy(&now, &was, 8);
			memcpy((uint8_t *)&now + at, (uint8_t *)&other + at, n);
			host_write(h, host_gpa(h, entry) + at, (uint8_t *)&other + at, n);
			assert_memory_equal(entry, &now, size);
			if (!((now ^ was) & X86_PTE_FRAME))
				assert_int_equal(umbra_stats(h->vm)->mmu_shadow_zapped, zapped);
			look(h, GVA);
			look(h, GVA + 3 * X86_PAGE_SIZE);
			host_write(h, host_gpa(h, entry) + at, (uint8_t *)&was + at, n);
			look(h, GVA);
			/* The table itself is what it was. */
			assert_int_equal(
				page_of_table(h->vm, host_gpa(h, entry) >> X86_PAGE_SHIFT, 0),
				page);
		}
	}
}

/* The tables under GVA and twins of them in the next frames, which map other pages. */
static void map_twins(struct host *h, bool narrow)
{
	/* At even frames, so that one bit turns one to the other. */
	if (h->next_table & 1)
		h->next_table++;
	for (unsigned level = narrow ? 2 : h->levels; level > 1; level--) {
		uint64_t gfn = host_new_table(h), twin = host_new_table(h);
		unsigned top = h->levels == 3 && level == 3 ? X86_PTE_P : GPTE_RW | X86_PTE_A;

		assert_int_equal(gfn & 1, 0);
		if (narrow)
			host_map32(h, h->root, GVA, level, gpte_of(gfn, top));
		else
			host_map(h, h->root, GVA, level, gpte_of(gfn, top));
		if (level > 2)
			continue;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t leaf = gpte_of(DATA_GFN + 16 * i, GPTE_RW);
			uint64_t leaf3 = gpte_of(DATA_GFN + 16 * i + 3, GPTE_RO);

			if (narrow) {
				uint32_t *to = (uint32_t *)host_words(h, i ? twin : gfn);

				to[GVA >> 12 & 1023] = (uint32_t)leaf;
				to[(GVA >> 12 & 1023) + 3] = (uint32_t)leaf3;
			} else {
				host_words(h, i ? twin : gfn)[gva_index(GVA, 1)] = leaf;
				host_words(h, i ? twin : gfn)[gva_index(GVA, 1) + 3] = leaf3;
			}
		}
	}
}

static void any_part_of_a_link_can_be_written(void **state)
{
	(void)state;
	for (enum host_mode mode = HOST_2LEVEL; mode <= HOST_5LEVEL; mode++) {
		for (unsigned oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos += UMBRA_OOS_ALL) {
			struct umbra_policy policy = host_plain_policy();
			bool narrow = mode == HOST_2LEVEL;
			struct host *h;
			unsigned top;

			policy.oos = oos;
			policy.write = oos ? UMBRA_WRITE_UNSYNC : UMBRA_WRITE_EMULATE;
			h = host_new_policy(&policy);
			h->levels = mode == HOST_PAE ? 3 : mode == HOST_5LEVEL ? 5 : 4;
			map_twins(h, narrow);
			host_start_mode(h, mode, h->root);
			host_read_gfn(h, GVA);
			/* PDPTEs are registers. */
			top = narrow || mode == HOST_PAE ? 2 : h->levels;
			for (unsigned level = 2; level <= top; level++) {
				print_message("  mode %d, oos %u, level %u\n", mode, oos, level);
				write_parts(h, narrow, level);
			}
			host_free(h);
		}
	}
}

/* Two entries of a page directory at once, in each half of a store: a 4-byte entry is two of the
 * shadow's. */
static void a_store_over_two_links_is_one_to_both(void **state)
{
	(void)state;
	for (enum host_mode mode = HOST_2LEVEL; mode <= HOST_4LEVEL; mode++) {
		struct umbra_policy policy = host_plain_policy();
		bool narrow = mode == HOST_2LEVEL;
		unsigned size = narrow ? 4 : 8;
		uint64_t span = narrow ? 4ull << 20 : 2ull << 20;
		uint64_t links[2];
		struct host *h;
		uint8_t *entry;
		uint8_t ro[16];

		policy.write = UMBRA_WRITE_EMULATE;
		h = host_new_policy(&policy);
		h->levels = mode == HOST_PAE ? 3 : 4;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t leaf = gpte_of(DATA_GFN + i, GPTE_RW);

			if (narrow)
				host_map32(h, h->root, GVA + i * span, 1, leaf);
			else
				host_map(h, h->root, GVA + i * span, 1, leaf);
		}
		host_start_mode(h, mode, h->root);
		entry = narrow ? (uint8_t *)host_gpte32(h, h->root, GVA, 2)
			       : (uint8_t *)host_gpte(h, h->root, GVA, 2);
		look(h, GVA);
		look(h, GVA + span);
		memcpy(ro, entry, 2 * size);
		memcpy(links, entry, 2 * size);
		ro[0] = ro[size] = (uint8_t)(GPTE_RO | X86_PTE_A);
		for (unsigned n = size + 1; n < 2 * size; n++) {
			host_write(h, host_gpa(h, entry), ro, n);
			assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_INJECT);
			assert_int_equal(
				host_access(h, GVA + span, X86_PF_W).outcome, UMBRA_INJECT);
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
			assert_int_equal(host_read_gfn(h, GVA + span), DATA_GFN + 1);
			host_write(h, host_gpa(h, entry), links, 2 * size);
			look(h, GVA);
			look(h, GVA + span);
		}
		assert_int_equal(umbra_stats(h->vm)->mmu_shadow_zapped, 0);
		host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_part_of_a_link_can_be_written),
		cmocka_unit_test(a_store_over_two_links_is_one_to_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
