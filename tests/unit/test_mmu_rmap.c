/* SPDX-License-Identifier: MIT */
/*
 * The reverse map: a list says exactly which refs were added and not removed, in whatever order;
 * and set.c keeps entry and record together.
 */
#include "tests/unit/mmu_host.h"

#include "mmu/src/page.h"
#include "mmu/src/rmap.h"
#include "mmu/src/set.h"
#include "mmu/src/slot.h"
#include "mmu/src/spte.h"

enum { N = 6 };

/* The list from @head holds exactly the refs whose bit is in @expect, each once, and links back. */
static void assert_list(struct host *h, uint32_t head, const uint32_t *refs, unsigned expect)
{
	unsigned seen = 0;
	uint32_t prev = 0;

	for (uint32_t ref = head; ref; prev = ref, ref = ref_link(h->vm, ref)->next) {
		unsigned i = 0;

		while (i < N && refs[i] != ref)
			i++;
		assert_true(i < N && !(seen & 1u << i));
		seen |= 1u << i;
		assert_int_equal(ref_link(h->vm, ref)->prev, prev);
	}
	assert_int_equal(seen, expect);
}

/* All orders of removing: 6! of them, by counting in the factorial system. */
static void what_is_removed_in_any_order_leaves_the_rest(void **state)
{
	struct host *h = *state;
	/* Two in one page, first and last index, and the first ref that there can be. */
	const uint32_t refs[N] = {ref_make(1, 0), ref_make(1, 1), ref_make(2, 511), ref_make(3, 7),
		ref_make(127, 511), ref_make(9, 300)};

	for (unsigned order = 0; order < 720; order++) {
		unsigned left = (1u << N) - 1;
		uint32_t head = 0;

		for (unsigned i = 0; i < N; i++)
			rmap_add(h->vm, &head, refs[i]);
		assert_list(h, head, refs, left);
		for (unsigned n = N, rest = order; n > 0; rest /= n, n--) {
			unsigned pick = rest % n;
			unsigned i = 0;

			for (; !(left & 1u << i) || pick-- > 0; i++)
				;
			left &= ~(1u << i);
			rmap_remove(h->vm, &head, refs[i]);
			assert_list(h, head, refs, left);
		}
		assert_int_equal(head, 0);
	}
}

/* A direct page for the data. */
static uint32_t new_page(struct host *h, unsigned level, uint32_t parent)
{
	page_reserve(h->vm, 1);
	return page_create(h->vm, DATA_GFN, level | ROLE_DIRECT | ROLE_ACC_W, parent);
}

static void a_leaf_and_its_record_come_and_go_together(void **state)
{
	struct host *h = *state;
	uint32_t page = new_page(h, 1, 0);
	uint64_t spte = (RAM_HFN + DATA_GFN + 5) << X86_PAGE_SHIFT | GPTE_RW;
	struct frame *frame = frame_of(h->vm, DATA_GFN + 5);

	set_leaf(h->vm, page, 5, spte, &frame->rmap);
	assert_int_equal(frame->rmap, ref_make(page, 5));
	assert_int_equal(set_read(h->vm, page, 5), spte | SPTE_RMAP);
	assert_int_equal(h->vm->pages[page].n_present, 1);
	host_check(h);

	/* Taking W says whether it was there to be taken: the caller owes a flush only then. */
	assert_true(set_read_only(h->vm, ref_make(page, 5)));
	assert_false(set_read_only(h->vm, ref_make(page, 5)));
	assert_int_equal(frame->rmap, ref_make(page, 5));

	assert_int_equal(set_clear(h->vm, page, 5), 0);
	assert_int_equal(frame->rmap, 0);
	assert_int_equal(set_read(h->vm, page, 5), 0);
	assert_int_equal(h->vm->pages[page].n_present, 0);
	host_check(h);
}

static void a_link_is_recorded_with_its_child(void **state)
{
	struct host *h = *state;
	uint32_t parent = new_page(h, 2, 0);
	uint32_t child = new_page(h, 1, parent);

	set_link(h->vm, parent, 0, child, X86_PTE_W | X86_PTE_U);
	assert_int_equal(h->vm->pages[child].parents, ref_make(parent, 0));
	assert_true(set_clear_accessed(h->vm, ref_make(parent, 0)));
	assert_false(set_clear_accessed(h->vm, ref_make(parent, 0)));
	host_check(h);
	assert_int_equal(set_clear(h->vm, parent, 0), child);
	assert_int_equal(h->vm->pages[child].parents, 0);
	host_check(h);
}

/* Many leaves of one frame, from several pages and roots, are all found when it becomes a table. */
static void every_leaf_of_a_frame_is_found_when_it_has_to_be_protected(void **state)
{
	struct host *h = *state;
	uint64_t table;

	for (unsigned i = 0; i < 40; i++) {
		umbra_gva gva = (umbra_gva)i * 0x40201000 % (1ull << 46) & ~0xfffull;

		host_map(h, h->root, gva, 1, gpte_of(DATA_GFN, GPTE_RW));
		assert_int_equal(host_access(h, gva, X86_PF_W).outcome, UMBRA_RESUME);
	}
	host_map(h, h->root, 0x600000000000, 2, gpte_of(DATA_GFN, GPTE_RW));
	host_words(h, DATA_GFN)[0] = gpte_of(DATA_GFN + 1, GPTE_RW);
	table = host_read_gfn(h, 0x600000000000);
	assert_int_equal(table, DATA_GFN + 1);
	for (uint32_t ref = frame_of(h->vm, DATA_GFN)->rmap; ref; ref = ref_link(h->vm, ref)->next)
		assert_false(set_read(h->vm, ref_page(ref), ref_index(ref)) & X86_PTE_W);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		T(what_is_removed_in_any_order_leaves_the_rest),
		T(a_leaf_and_its_record_come_and_go_together),
		T(a_link_is_recorded_with_its_child),
		T(every_leaf_of_a_frame_is_found_when_it_has_to_be_protected),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
